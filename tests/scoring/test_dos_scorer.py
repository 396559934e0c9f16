"""Errors of the density of states, against integrals done by hand."""

import numpy as np
import pytest

from skldos import BandEnergyScorer
from skldos.data import as_rows
from skldos.decomposition import ADOSDecomposer
from skldos.exceptions import ScoringError
from skldos.scoring.dos import METRICS, DOSScorer
from tests.scoring.predicts import Predicts


def scaled(factor=1.0):
    """Return what predicts the DOS of atoms of the truth, times a function of the energy."""
    return Predicts(lambda snapshot: factor * ADOSDecomposer().fit_transform([snapshot])[0])


@pytest.mark.parametrize("metric", METRICS)
def test_the_decomposition_reconstructs_the_dos(snapshots, metric):
    errors = DOSScorer(metric).errors(scaled().fit(snapshots), snapshots)
    assert errors.shape == (6,)
    assert np.abs(errors).max() < 1e-10


@pytest.mark.parametrize(("metric", "expected"), [("l1", 25), ("l2", 25), ("overlap", 20)])
def test_a_quarter_too_many_states(snapshots, metric, expected):
    scorer = DOSScorer(metric)
    model = scaled(1.25).fit(snapshots)
    np.testing.assert_allclose(scorer.errors(model, snapshots), expected, rtol=1e-9)
    assert scorer(model, snapshots) == pytest.approx(-expected)


def test_errors_equal_a_computation_by_hand(snapshots):
    tilt = np.linspace(0.8, 1.1, 11)
    model = scaled(tilt).fit(snapshots)
    D, E = snapshots[2].dos(), snapshots[2].energies

    def integral(f):
        return ((f[1:] + f[:-1]) / 2 * np.diff(E)).sum()

    expected = {
        "l1": integral(abs(tilt - 1) * D) / integral(D),
        "l2": np.sqrt(integral((tilt - 1) ** 2 * D**2) / integral(D**2)),
        "overlap": 1 - integral(np.minimum(tilt, 1) * D) / integral(np.maximum(tilt, 1) * D),
    }
    for metric in METRICS:
        error = DOSScorer(metric).errors(model, snapshots)[2]
        assert error > 1
        assert error == pytest.approx(100 * expected[metric], rel=1e-9)


def test_states_without_overlap(snapshots):
    # Half the states are not those of the calculation, whose Fermi level would tell.
    snapshots = [s.replace(reference={}) for s in snapshots]
    halves = np.array([1.0] * 6 + [0.0] * 5)
    model = scaled(halves).fit(snapshots)
    rest = [as_rows(s.ldos) * (1 - halves) for s in snapshots]
    np.testing.assert_allclose(DOSScorer("overlap").errors(model, snapshots, rest), 100)


def test_ldos_on_the_grid_counts_as_well(snapshots, oracle):
    assert DOSScorer()(oracle(1.1).fit(snapshots), snapshots) == pytest.approx(-10, rel=1e-6)
    atomic = ADOSDecomposer().fit_transform(snapshots)
    assert DOSScorer()(oracle().fit(snapshots), snapshots, atomic) == pytest.approx(0, abs=1e-5)


def test_mistakes(snapshots, oracle):
    with pytest.raises(ValueError, match="metric must be one of 'l1', 'l2', 'overlap'"):
        DOSScorer("linf")
    assert repr(DOSScorer("l2")) == "DOSScorer(metric='l2', n_jobs=None)"
    model = oracle().fit(snapshots)
    with pytest.raises(ScoringError, match="X has 6 snapshots, but y has 1 targets"):
        DOSScorer()(model, snapshots, [snapshots[0].ldos])
    short = Predicts(lambda snapshot: as_rows(snapshot.ldos)[:, :-1])
    with pytest.raises(ScoringError, match="has 10 values and the true one 11"):
        DOSScorer()(short.fit(snapshots), snapshots)
    bare = [s.replace(ldos=None, grid_shape=s.grid_shape) for s in snapshots]
    with pytest.raises(ScoringError, match="lacks ldos"):
        DOSScorer()(model, bare)


@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-12), ("float32", 1e-5)])
def test_decomposition_is_nearly_perfect(snapshots, dtype, error):
    decomposer = ADOSDecomposer(dtype=dtype).fit(snapshots)
    assert np.max(DOSScorer().errors(decomposer, snapshots)) < error
    # In meV/atom.
    assert np.abs(BandEnergyScorer().errors(decomposer, snapshots)).max() < 100 * error


def test_a_true_dos_of_another_length_is_refused(snapshots):
    model = scaled().fit(snapshots)
    bare = [s.replace(reference={}) for s in snapshots[:1]]
    short = [as_rows(bare[0].ldos)[:, :-1]]
    with pytest.raises(ScoringError, match=r"11|10"):
        DOSScorer()(model, bare, short)
    # Of what has no energies there is no integral.
    nothing = [s.replace(energies=None, ldos=None, grid_shape=s.grid_shape) for s in snapshots]
    with pytest.raises(ScoringError, match=r"lacks .*energies"):
        DOSScorer()(model, nothing)
