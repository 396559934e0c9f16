"""DOS, density and energies of an LDOS that is not stored, compared with a stored one."""

import joblib
import numpy as np
import pytest

from skldos import (
    EnergyGrid,
    SnapshotList,
    TotalEnergyScorer,
    evaluate,
    predict,
    predict_density,
    predict_dos,
)
from skldos.exceptions import ScoringError
from skldos.physics import Pseudopotential
from skldos.prediction import pieces, streaming
from skldos.prediction.observables import iter_observables

IONS = [Pseudopotential("Al", 3, functional="lda-pz")]


@pytest.fixture
def nothing_kept(monkeypatch):
    """Function after which no LDOS is kept; slices of 10 rows from the beginning."""
    monkeypatch.setattr(pieces, "SLICE_ROWS", 10)
    return lambda: monkeypatch.setattr(streaming, "KEPT_BYTES", 0)


@pytest.fixture
def passes(monkeypatch):
    """List that grows with every pass over the rows."""
    found, one_pass = [], streaming._one_pass

    def counted(*arguments):
        found.append(arguments)
        return one_pass(*arguments)

    monkeypatch.setattr(streaming, "_one_pass", counted)
    return found


@pytest.mark.parametrize("sharpen", [0, 1])
def test_everything_is_as_of_an_ldos_that_is_kept(
    snapshots, pipeline, nothing_kept, passes, sharpen
):
    grid = EnergyGrid(snapshots[0].energies, broadening=0.9, kernel="gaussian")
    snapshots = SnapshotList([snapshot.replace(energies=grid) for snapshot in snapshots[:4]])
    model = pipeline.fit(snapshots[:2])
    options = {"pseudopotentials": IONS, "sharpen": sharpen, "dos": True, "density": True}
    kept = predict(model, snapshots, **options)
    assert not passes
    nothing_kept()
    found = predict(model, snapshots, **options)
    assert len(passes) >= len(snapshots)
    # Sharpening a kept LDOS is done in single precision.
    accuracy = 1e-6 if sharpen else 1e-12
    for name in ("fermi_level", "band_energy", "minus_ts", "total_energy"):
        np.testing.assert_allclose(found[name], kept[name], rtol=accuracy)
    for name in ("dos", "density"):
        for one, other in zip(found[name], kept[name], strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=accuracy * np.abs(other).max())
            assert np.abs(other).max() > 0


def test_a_wrong_guess_costs_a_second_pass_and_no_accuracy(
    snapshots, pipeline, nothing_kept, passes, monkeypatch
):
    model = pipeline.fit(snapshots[:2])
    (expected,) = predict_density(model, snapshots[:1])
    nothing_kept()
    predict_density(model, snapshots[:1])
    n_passes = len(passes)
    sampled = streaming._sampled_sum
    monkeypatch.setattr(
        streaming, "_sampled_sum", lambda *a: (1.3 * sampled(*a)[0], sampled(*a)[1])
    )
    (found,) = predict_density(model, snapshots[:1])
    assert len(passes) == n_passes + 2
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_workers_change_no_bit(snapshots, pipeline, nothing_kept):
    model = pipeline.fit(snapshots[:2])
    nothing_kept()
    scorer = TotalEnergyScorer(IONS)
    found = {}
    for n_jobs in (None, 2):
        scorer.n_jobs = n_jobs
        with joblib.parallel_config("threading"):
            table = evaluate(model, snapshots, pseudopotentials=IONS, n_jobs=n_jobs)
            density = predict_density(model, snapshots, n_jobs=n_jobs)
            found[n_jobs] = [scorer.errors(model, snapshots), table["total_energy"], *density]
    for one, other in zip(found[None], found[2], strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.abs(one).max() > 0


def test_the_dos_is_that_of_predict_dos(snapshots, pipeline, nothing_kept):
    model = pipeline.fit(snapshots[:2])
    nothing_kept()
    seen = [one for _, one in iter_observables(model, snapshots, terms=[None] * len(snapshots))]
    for one, expected in zip(seen, predict_dos(model, snapshots), strict=True):
        np.testing.assert_array_equal(one.dos, expected)
        assert one.density is None


def test_predictions_that_are_no_numbers_are_refused(snapshots, pipeline, nothing_kept):
    model = pipeline.fit(snapshots[:2])
    model[-1].target_scale_ = np.array([np.nan], dtype=np.float32)
    nothing_kept()
    with pytest.raises(ScoringError, match="NaN"):
        predict_density(model, snapshots[:1])
