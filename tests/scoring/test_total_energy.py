"""Total-energy errors of a model, against hand computation, and inside scikit-learn's tools."""

import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skldos import (
    AtomSNAPTransformer,
    BandEnergyScorer,
    EnergyGrid,
    LDOSRegressor,
    SnapshotList,
    TotalEnergyScorer,
    evaluate,
)
from skldos.data import ArrayFile, Blocks, as_rows
from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials
from skldos.exceptions import ScoringError
from skldos.physics import Pseudopotential, total_energy
from tests.scoring.predicts import MISTAKES, Predicts

AL = load_aluminium_pseudopotentials()
PATH = Path(__file__).parents[1] / "io" / "data" / "Al.UPF"


def tilted(snapshot):
    """The true LDOS, tilted in energy and along an axis of the grid."""
    field = snapshot.ldos * np.linspace(0.9, 1.1, len(snapshot.energies), dtype=np.float32)
    wave = 1 + 0.05 * np.sin(2 * np.pi * np.arange(snapshot.grid_shape[0]) / 4)
    return as_rows(field * wave[:, None, None, None].astype(np.float32))


def total(ldos, snapshot, **options):
    return total_energy(
        ldos,
        snapshot.energies,
        atoms=snapshot.atoms,
        temperature=snapshot.temperature,
        n_electrons=snapshot.n_electrons,
        pseudopotentials=options.pop("pseudopotentials", AL),
        **options,
    )


# -------------------------------------------------------------------- values


def test_an_oracle_makes_no_error(snapshots, oracle):
    assert TotalEnergyScorer(AL)(oracle().fit(snapshots), snapshots) == 0


@pytest.mark.parametrize("functional", [None, "pbe"])
@pytest.mark.parametrize("unit", ["meV/atom", "eV/atom", "eV"])
def test_errors_equal_a_hand_computation(snapshots, unit, functional):
    expected = []
    for snapshot in snapshots:
        predicted = tilted(snapshot).reshape(snapshot.ldos.shape)
        energies = (
            total(ldos, snapshot, functional=functional) for ldos in (predicted, snapshot.ldos)
        )
        error = np.subtract(*(energy.total for energy in energies))
        expected.append(error * {"eV": 1, "eV/atom": 1 / 4, "meV/atom": 1000 / 4}[unit])
    assert np.min(np.abs(expected)) > 1e-3
    scorer = TotalEnergyScorer(AL, functional=functional, unit=unit)
    model = Predicts(tilted).fit(snapshots)
    np.testing.assert_allclose(scorer.errors(model, snapshots), expected, rtol=1e-7)
    assert scorer(model, snapshots) == pytest.approx(-np.mean(np.abs(expected)), rel=1e-7)


def test_the_table_has_total_and_band_energies(snapshots):
    model = Predicts(tilted).fit(snapshots)
    table = evaluate(model, snapshots, pseudopotentials=AL)
    plain = evaluate(model, snapshots)
    assert list(table.columns) == [
        *("n_atoms", "temperature", "fermi_level", "fermi_level_true", "band_energy"),
        *("band_energy_true", "total_energy", "total_energy_true"),
        *("fermi_level_error", "band_energy_error", "total_energy_error"),
    ]
    np.testing.assert_allclose(table["band_energy"], plain["band_energy"], rtol=1e-6)
    for row, snapshot in zip(table.itertuples(), snapshots, strict=True):
        assert row.total_energy_true == pytest.approx(total(snapshot.ldos, snapshot).total)
        difference = row.total_energy - row.total_energy_true
        assert row.total_energy_error == pytest.approx(250 * difference, rel=1e-9)


def test_a_fermi_level_beyond_the_energies_gives_a_large_error(snapshots, oracle):
    with pytest.warns(UserWarning, match="end of the energy grid is used"):
        score = TotalEnergyScorer(AL)(oracle(0.01).fit(snapshots), snapshots)
    assert np.isfinite(score)
    assert score < -1000


# -------------------------------------------------------------------- where the LDOS comes from


def test_a_streamed_prediction_is_that_of_predict(ragged, pipeline, oracle):
    model = pipeline.fit(ragged[:4])
    table = evaluate(model, ragged, pseudopotentials=AL)
    for row, block, snapshot in zip(table.itertuples(), model.predict(ragged), ragged, strict=True):
        energy = total(block.reshape(*snapshot.grid_shape, -1), snapshot)
        assert row.total_energy == pytest.approx(energy.total, rel=1e-6)
        assert abs(row.total_energy_error) > 0.1


def test_streaming_never_holds_the_descriptors(snapshots, pipeline, monkeypatch):
    model = pipeline.fit(snapshots)
    monkeypatch.setattr(type(model[0]), "transform", None)
    monkeypatch.setattr(type(model[-1]), "predict", None)
    assert TotalEnergyScorer(AL)(model, snapshots) < 0


def test_blocks_may_stand_for_the_snapshots(snapshots, pipeline):
    model = pipeline.fit(snapshots)
    expected = TotalEnergyScorer(AL)(model, snapshots)
    blocks = model[:-1].transform(snapshots)
    assert TotalEnergyScorer(AL)(model[-1], blocks) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ScoringError, match="blocks of X are not linked to snapshots"):
        TotalEnergyScorer(AL)(model[-1], Blocks(list(blocks)))


def test_a_true_ldos_on_disk_is_not_copied(snapshots, tmp_path, monkeypatch):
    on_disk = []
    for i, snapshot in enumerate(snapshots):
        np.save(tmp_path / f"{i}.npy", snapshot.ldos)
        on_disk.append(snapshot.replace(ldos=ArrayFile(tmp_path / f"{i}.npy")))
    expected = TotalEnergyScorer(AL).errors(Predicts(tilted).fit(snapshots), snapshots)
    y = [snapshot.ldos for snapshot in on_disk]
    model = Predicts(lambda s: tilted(snapshots[[s.atoms == t.atoms for t in snapshots].index(1)]))
    monkeypatch.setattr("skldos.prediction.dos.spooled", None)
    bare = SnapshotList([s.replace(ldos=None, density=None, grid_shape=(4, 4, 4)) for s in on_disk])
    with pytest.raises(TypeError):  # rows have to be brought onto the grid
        TotalEnergyScorer(AL).errors(model.fit(bare), bare, y)
    monkeypatch.undo()
    np.testing.assert_allclose(TotalEnergyScorer(AL).errors(model, bare, y), expected, rtol=1e-9)
    oracle = Predicts(lambda s: s.ldos[:])
    monkeypatch.setattr("skldos.prediction.dos.spooled", None)
    files = SnapshotList(on_disk)
    assert TotalEnergyScorer(AL)(oracle.fit(files), files) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("pseudopotentials", [{"Al": PATH}, [str(PATH)]])
def test_a_pseudopotential_may_be_a_file(snapshots, pseudopotentials):
    model = Predicts(tilted).fit(snapshots)
    scorer = TotalEnergyScorer(pseudopotentials)
    assert scorer(model, snapshots) == TotalEnergyScorer(AL)(model, snapshots)
    moved = TotalEnergyScorer({"Al": "absent.UPF"})  # is read where it is needed, not before
    with pytest.raises(FileNotFoundError, match="absent"):
        moved(model, snapshots)
    with pytest.raises(ScoringError, match="needs pseudopotentials, got None"):
        TotalEnergyScorer()(model, snapshots)


# -------------------------------------------------------------------- references


def test_the_reference_may_be_the_calculation(oracle):
    snapshots = load_aluminium(temperature=298)[:2]
    model = oracle().fit(snapshots)
    scorers = [TotalEnergyScorer(AL, reference="dft", sharpen=order) for order in (0, 1)]
    broadened, sharp = (scorer.errors(model, snapshots) for scorer in scorers)
    # What the broadening of 0.4 eV does to aluminium, and what is left after one order.
    assert ((broadened > -17) & (broadened < -15)).all()
    np.testing.assert_allclose(sharp, [1.056, 0.798], atol=0.01)
    table = evaluate(model, snapshots, reference="dft", pseudopotentials=AL, sharpen=1)
    assert list(table["total_energy_true"]) == [s.reference["total_energy"] for s in snapshots]
    assert table["band_energy_error"].abs().max() < 0.3
    band = BandEnergyScorer(reference="dft", sharpen=1)
    # The path of the DOS alone is in double precision.
    np.testing.assert_allclose(band.errors(model, snapshots), table["band_energy_error"], atol=1e-3)
    assert band(model, snapshots) > -0.3


@pytest.mark.filterwarnings("ignore:density_cutoff=5 eV leaves out most")
def test_a_cutoff_acts_on_both(snapshots):
    # Without the wave along an axis that has been put into the prediction, errors are others.
    model, cut = Predicts(tilted).fit(snapshots), {"density_cutoff": 5.0}
    expected = []
    for snapshot in snapshots:
        pair = tilted(snapshot).reshape(snapshot.ldos.shape), snapshot.ldos
        expected.append(np.subtract(*(total(ldos, snapshot, **cut).total for ldos in pair)))
    errors = TotalEnergyScorer(AL, unit="eV", **cut).errors(model, snapshots)
    np.testing.assert_allclose(errors, expected, rtol=1e-7)
    assert np.abs(errors - TotalEnergyScorer(AL, unit="eV").errors(model, snapshots)).min() > 1e-3
    with pytest.raises(ValueError, match="density_cutoff must be > 0, got -5"):
        TotalEnergyScorer(AL, density_cutoff=-5)


def test_what_is_known_is_sharpened_to_the_second_order(snapshots, oracle):
    known = load_aluminium(temperature=298)[:1]
    model = oracle().fit(known)
    found = [
        BandEnergyScorer(reference="dft", sharpen=n).errors(model, known) for n in (None, 2, 0)
    ]
    assert found[0] == found[1] != found[2]
    unknown = Predicts(tilted).fit(snapshots)
    found = [BandEnergyScorer(sharpen=n).errors(unknown, snapshots) for n in (None, 0)]
    np.testing.assert_array_equal(*found)


def test_truth_and_prediction_are_sharpened_alike(oracle):
    snapshots = load_aluminium(temperature=298)[:1]
    assert TotalEnergyScorer(AL, sharpen=2)(oracle().fit(snapshots), snapshots) == 0


def test_what_sharpening_needs_is_named(snapshots, oracle):
    with pytest.raises(
        ScoringError, match=r"sharpen needs the broadening .* give it an EnergyGrid"
    ):
        TotalEnergyScorer(AL, sharpen=1)(oracle().fit(snapshots), snapshots)
    uneven = EnergyGrid([-4.1, *snapshots[0].energies[1:]], broadening=1, kernel="gaussian")
    changed = SnapshotList([snapshots[0].replace(energies=uneven)])
    with pytest.raises(ScoringError, match="cannot score: energies must be evenly spaced"):
        TotalEnergyScorer(AL, sharpen=1)(oracle().fit(changed), changed)


# -------------------------------------------------------------------- as a scorer


def test_it_works_in_other_processes(snapshots, pipeline):
    options = {"cv": 2, "scoring": TotalEnergyScorer([str(PATH)]), "error_score": "raise"}
    alone = cross_val_score(pipeline, snapshots, **options)
    np.testing.assert_allclose(cross_val_score(pipeline, snapshots, n_jobs=2, **options), alone)


def test_it_can_be_pickled_copied_and_shown(snapshots):
    scorer = TotalEnergyScorer(AL, functional="pbe", unit="eV", sharpen=1)
    assert repr(scorer) == (
        "TotalEnergyScorer(pseudopotentials={'Al': Pseudopotential(Al, valence 3, lda-pz, "
        "norm-conserving)}, functional='pbe', density_cutoff=None, reference='ldos', unit='eV', "
        "sharpen=1, n_jobs=None)"
    )
    for same in (pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert repr(same) == repr(scorer)
        assert joblib.hash(same) == joblib.hash(scorer)


# -------------------------------------------------------------------- mistakes


def atomic(snapshot):
    """A density of states for every atom."""
    return np.ones((4, 11))


NO_GRID = "total energies need the LDOS at every grid point of Snapshot.*a block of 4 rows"


@pytest.mark.parametrize(("function", "message"), [*MISTAKES, (atomic, NO_GRID)])
def test_mistakes_in_predictions_are_shown(snapshots, function, message):
    scorer = TotalEnergyScorer(AL)
    with pytest.raises(ScoringError, match=message):
        cross_val_score(Predicts(function), snapshots, cv=2, scoring=scorer, error_score="raise")


def test_atoms_as_sites_are_named(snapshots):
    model = make_pipeline(
        AtomSNAPTransformer(twojmax=2), LDOSRegressor(max_epochs=0, random_state=0)
    )
    model.fit(snapshots, [np.ones((4, 11))] * 6)
    with pytest.raises(ScoringError, match=r"at every grid point .* a block of 4 rows"):
        TotalEnergyScorer(AL)(model, snapshots)


@pytest.mark.parametrize(
    ("pseudopotentials", "message"),
    [
        ([Pseudopotential("Na", 1, functional="pbe")], "got none for Al, only for .'Na'."),
        ([Pseudopotential("Al", 11, functional="pbe")], "sum of the valences .*, 44, got 12"),
        ([Pseudopotential("Al", 3)], "functional is required"),
    ],
)
def test_pseudopotentials_that_do_not_fit_are_named(snapshots, oracle, pseudopotentials, message):
    # Not as a ValueError, which some searches take for a bad trial.
    with pytest.raises(ScoringError, match=f"cannot score: .*{message}"):
        TotalEnergyScorer(pseudopotentials)(oracle().fit(snapshots), snapshots)


@pytest.mark.parametrize(
    ("change", "reference", "message"),
    [
        ({"temperature": None}, "ldos", "lacks temperature"),
        ({"n_electrons": None}, "ldos", "lacks n_electrons"),
        ({"reference": {"fermi_energy": 8.0, "band_energy": 1.0}}, "dft", "'total_energy'"),
    ],
)
def test_what_snapshots_lack_is_named(snapshots, oracle, change, reference, message):
    lacking = SnapshotList([snapshots[0].replace(**change)])
    with pytest.raises(ScoringError, match=message):
        TotalEnergyScorer(AL, reference=reference)(oracle().fit(lacking), lacking)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"reference": "qe"}, "reference must be one of 'ldos', 'dft'; got 'qe'"),
        ({"unit": "Ry"}, "unit must be one of 'meV/atom', 'eV/atom', 'eV'; got 'Ry'"),
        ({"functional": "scan"}, "functional must be one of None, 'lda-pz', .*; got 'scan'"),
        ({"sharpen": -1}, "sharpen must be >= 0, got -1"),
    ],
)
def test_wrong_parameters_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        TotalEnergyScorer(AL, **params)


def test_another_functional_than_that_of_the_calculation_is_noticed(oracle):
    snapshot = load_aluminium(temperature=298)[0]
    other = snapshot.replace(reference=snapshot.reference | {"functional": "pbe"})
    scorer = TotalEnergyScorer(load_aluminium_pseudopotentials())
    with pytest.raises(
        ScoringError, match=r"with the functional 'pbe', but .* with 'lda-pz': set functional"
    ):
        scorer(oracle().fit([other]), [other])
    scorer = TotalEnergyScorer(load_aluminium_pseudopotentials(), functional="pbe")
    assert scorer(oracle().fit([other]), [other]) == 0
