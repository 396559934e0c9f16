"""Scorers of forces and stresses, and other functions for models of the free energy."""

import pickle

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skldos import (
    AtomSNAPTransformer,
    AtomSOAPTransformer,
    BandEnergyScorer,
    DensityScorer,
    ForceScorer,
    FreeEnergyRegressor,
    SiteRegressor,
    Snapshot,
    SnapshotList,
    StressScorer,
    TotalEnergyScorer,
    evaluate,
    predict,
    predict_density,
    predict_dos,
    predict_forces,
    predict_ldos,
)
from skldos.data.free_energies import full_stress
from skldos.datasets import make_snapshots
from skldos.exceptions import ScoringError, SnapshotError
from skldos.plotting import ParityDisplay
from skldos.prediction import predict_stress
from tests.scoring.predicts import Potential

GPA = 160.2176634  # per eV/Å³: the elementary charge of 2018 is exact


@pytest.fixture(scope="module")
def snapshots():
    found = []
    for seed in range(6):
        atoms = bulk("Cu", cubic=True, a=3.6 + 0.01 * (seed % 3)) * (1, 1, 1 + seed % 2)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_potential_energy(), atoms.get_stress()
        found.append(Snapshot(atoms))
    return SnapshotList(found)


@pytest.fixture(scope="module")
def model(snapshots):
    soap = AtomSOAPTransformer(r_cut=4.0, n_max=4, l_max=3, n_jobs=1)
    options = {"alphas": [1e-6], "energy_weights": [30.0]}
    return make_pipeline(soap, FreeEnergyRegressor(**options)).fit(snapshots)


def test_the_score_is_the_root_mean_square_over_all_components(snapshots):
    forces = np.concatenate([s.reference["forces"] for s in snapshots])
    rms = np.sqrt(np.mean(forces**2))
    assert rms > 0.1
    assert ForceScorer()(Potential(1.1), snapshots) == pytest.approx(-0.1 * rms)
    assert ForceScorer("meV/Å")(Potential(1.1), snapshots) == pytest.approx(-100 * rms)
    each = ForceScorer().errors(Potential(0.9), snapshots)
    assert each[0] == pytest.approx(0.1 * np.sqrt(np.mean(snapshots[0].reference["forces"] ** 2)))
    stresses = np.array([full_stress(s.reference["stress"]) for s in snapshots])
    expected = -0.1 * np.sqrt(np.mean(stresses**2))
    assert StressScorer()(Potential(1.1), snapshots) == pytest.approx(expected)
    assert StressScorer("GPa")(Potential(1.1), snapshots) == pytest.approx(expected * GPA)


@pytest.mark.parametrize("scorer", [ForceScorer(), StressScorer("GPa")])
def test_laws_of_scorers(scorer, snapshots, model):
    best, good, bad = (scorer(Potential(factor), snapshots) for factor in (1.0, 1.02, 0.9))
    assert best == 0
    assert best > good > bad
    assert type(scorer(model, snapshots[:1])) is float
    assert scorer(model, snapshots) == pytest.approx(scorer(model, snapshots[::-1]))
    scores = cross_val_score(model, snapshots[:4], cv=2, scoring=scorer, error_score="raise")
    assert (scores < 0).all()
    again = pickle.loads(pickle.dumps(scorer))
    assert repr(again) == repr(scorer)
    assert type(scorer).__name__ in repr(scorer)
    blocks = model[:-1].transform(snapshots)
    assert scorer(model[-1], blocks) == pytest.approx(scorer(model, snapshots))
    with pytest.raises(SnapshotError, match="at least one snapshot"):
        scorer(model, [])


@pytest.mark.parametrize(
    "scorer", [ForceScorer(), StressScorer(), TotalEnergyScorer(reference="dft")]
)
def test_weights_of_snapshots(scorer, snapshots):
    twice = scorer(Potential(1.1), snapshots[[0, 0, 1]])
    assert scorer(Potential(1.1), snapshots[:2], sample_weight=[2, 1]) == pytest.approx(twice)
    assert twice != pytest.approx(scorer(Potential(1.1), snapshots[:2]), rel=1e-3)
    for wrong in ([1.0], [-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(ValueError, match="sample_weight must"):
            scorer(Potential(1.1), snapshots[:2], sample_weight=wrong)


def test_total_energies_of_a_model_of_atoms(snapshots, model):
    error = model.predict(snapshots) - [s.reference["total_energy"] for s in snapshots]
    expected = -np.mean(np.abs(1e3 * error / [len(s.atoms) for s in snapshots]))
    assert expected < 0
    assert TotalEnergyScorer(reference="dft")(model, snapshots) == pytest.approx(expected)
    with pytest.raises(ScoringError, match="set reference='dft'"):
        TotalEnergyScorer()(model, snapshots)
    with pytest.raises(ScoringError, match="does not predict band energies"):
        BandEnergyScorer(reference="dft")(model, snapshots)


def test_evaluate_shows_energies_forces_and_stresses(snapshots, model):
    table = evaluate(model, snapshots)
    np.testing.assert_allclose(table["forces_error"], ForceScorer().errors(model, snapshots))
    np.testing.assert_allclose(table["stress_error"], StressScorer().errors(model, snapshots))
    error = TotalEnergyScorer(reference="dft").errors(model, snapshots)
    np.testing.assert_allclose(table["total_energy_error"], error)
    assert table["n_atoms"].tolist() == [4, 8, 4, 8, 4, 8]
    np.testing.assert_allclose(table["total_energy"], model.predict(snapshots))
    reference = {"total_energy": snapshots[0].reference["total_energy"]}
    bare = [snapshots[0].replace(reference=reference)]
    assert not {"forces_error", "stress_error"} & set(evaluate(model, bare))


def test_predictions_are_those_of_the_regressor(snapshots, model):
    blocks = model[:-1].transform(snapshots)
    for one, two in [
        (predict_forces(model, snapshots), model[-1].predict_forces(blocks)),
        (predict_stress(model, [s.atoms for s in snapshots]), model[-1].predict_stress(blocks)),
    ]:
        assert len(one) == len(snapshots)
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("predict", [predict_forces, predict_stress])
def test_cells_of_another_functional_are_refused(predict, snapshots):
    of_pbe = SnapshotList(
        [s.replace(reference=s.reference | {"functional": "pbe"}) for s in snapshots]
    )
    potential = make_pipeline(AtomSNAPTransformer(twojmax=2), FreeEnergyRegressor()).fit(of_pbe)
    assert len(predict(potential, of_pbe[:1])) == len(predict(potential, snapshots[:1])) == 1
    other = [snapshots[0].replace(reference=snapshots[0].reference | {"functional": "lda-pz"})]
    with pytest.raises(ScoringError, match=r"the functional 'pbe', but .* with 'lda-pz'"):
        predict(potential, other)


def test_what_is_missing_is_named(snapshots, model):
    bare = [snapshots[0].replace(reference={"total_energy": 1.0})]
    with pytest.raises(ScoringError, match="no reference 'forces'"):
        ForceScorer()(model, bare)
    with pytest.raises(ScoringError, match="no reference 'stress'"):
        StressScorer()(model, bare)
    with pytest.raises(ScoringError, match="no reference 'total_energy'"):
        evaluate(model, [snapshots[0].atoms])
    made = make_snapshots(2, random_state=0)
    other = make_pipeline(AtomSNAPTransformer(twojmax=2), SiteRegressor(Ridge()))
    with pytest.raises(ScoringError, match="SiteRegressor does not predict forces"):
        ForceScorer()(other, made)
    with pytest.raises(ValueError, match="unit must be one of"):
        ForceScorer("Ry/bohr")
    with pytest.raises(ScoringError, match="pseudopotentials"):
        TotalEnergyScorer()(other, made)


def test_states_of_the_electrons_are_refused(snapshots, model):
    asked = [
        lambda: predict_dos(model, snapshots),
        lambda: predict_ldos(model, snapshots),
        lambda: predict_density(model, snapshots),
        lambda: predict(model, snapshots, dos=True),
        lambda: evaluate(model, snapshots, density=True),
        lambda: DensityScorer()(model, snapshots),
        lambda: ParityDisplay.from_estimator(model, snapshots),
        lambda: ParityDisplay.from_estimator(model, snapshots, quantity="fermi_level"),
    ]
    for ask in asked:
        with pytest.raises(ScoringError, match="without densities of states"):
            ask()


@pytest.mark.parametrize("n", [3, 5])
def test_forces_of_other_atoms_are_refused(snapshots, model, n):
    wrong = snapshots[0].replace(reference={"total_energy": 1.0})
    wrong.reference["forces"] = np.zeros((n, 3))
    with pytest.raises(ValueError, match=r"forces.* shape \(4, 3\)"):
        ForceScorer()(model, [wrong])
