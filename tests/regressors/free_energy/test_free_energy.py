"""Free energies of atoms: gradients, models without a snapshot, elements, calibration."""

import io
import pickle
import warnings
from functools import partial
from typing import ClassVar

import ase.io
import joblib
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from skldos import AtomSNAPTransformer, BlockUnion, FreeEnergyRegressor, RowWise, Snapshot
from skldos.data import Blocks, SnapshotList
from skldos.data.free_energies import full_stress
from skldos.data.training import DENSITY_MARGIN
from skldos.exceptions import SnapshotError
from skldos.physics.hot_electrons import electronic_free_energy
from skldos.regressors.free_energy._atomic_sums import AtomicSums

ONE = {"alphas": [1e-6], "energy_weights": [30.0]}


def calculated(atoms):
    """Return a snapshot with the energy, forces and stress of EMT."""
    atoms.calc = EMT()
    found = {
        "total_energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    return Snapshot(atoms, reference=found)


def alloy(seed, size=(1, 1, 1)):
    """A strained, displaced cell of gold and copper."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Au", cubic=True, a=3.9) * size
    atoms.symbols[rng.random(len(atoms)) < 0.5] = "Cu"
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.02, (3, 3))), scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


@pytest.fixture(scope="module")
def snapshots():
    return SnapshotList([calculated(alloy(seed, (1, 1, 1 + seed % 2))) for seed in range(12)])


@pytest.fixture(scope="module")
def snap():
    return AtomSNAPTransformer(twojmax=4, r_cut=4.0, weights={"Au": 1.0, "Cu": 0.5}, n_jobs=1)


def same(derivatives):
    return derivatives


def remembered(blocks):
    """Return blocks whose derivatives are calculated once."""
    handles = [partial(same, handle()) for handle in blocks.derivatives]
    return Blocks(list(blocks), blocks.snapshots, handles)


def relabelled(blocks, snapshots):
    """Return blocks of the same atoms with other results."""
    return Blocks(list(blocks), SnapshotList(snapshots), blocks.derivatives)


@pytest.fixture(scope="module")
def blocks(snap, snapshots):
    return remembered(snap.fit_transform(snapshots))


def copper(seed):
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.03, (3, 3))), scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    return calculated(atoms)


def test_energies_forces_and_stresses_are_learned():
    known, unseen = (SnapshotList(map(copper, seeds)) for seeds in (range(12), range(50, 54)))
    snap = AtomSNAPTransformer(twojmax=4, r_cut=5.0, n_jobs=1).fit(known)
    model = FreeEnergyRegressor().fit(snap.transform(known))
    blocks = snap.transform(unseen)
    energies = np.array([s.reference["total_energy"] for s in unseen])
    error = model.predict(blocks) - energies
    assert np.sqrt(np.mean(error**2)) < 0.2 * np.std(energies)
    forces = np.array([s.reference["forces"] for s in unseen])
    error = np.array(model.predict_forces(blocks)) - forces
    assert np.sqrt(np.mean(error**2)) < 0.2 * np.sqrt(np.mean(forces**2))
    stress = np.array([s.reference["stress"] for s in unseen])
    found = np.array(model.predict_stress(blocks))[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    assert np.sqrt(np.mean((found - stress) ** 2)) < 0.2 * np.sqrt(np.mean(stress**2))
    assert model.score(blocks) > 0.95


def test_forces_and_stress_are_gradients_of_the_energy(snap, blocks, snapshots):
    model = FreeEnergyRegressor(**ONE).fit(blocks)
    pipe = make_pipeline(snap, model)
    atoms, h = snapshots[0].atoms, 1e-4
    (forces,), (stress,) = (f(blocks[:1]) for f in (model.predict_forces, model.predict_stress))
    for i, x in [(0, 0), (2, 1), (3, 2)]:
        sides = []
        for step in (h, -h):
            moved = atoms.copy()
            moved.positions[i, x] += step
            sides.append(moved)
        up, down = pipe.predict(sides)
        assert forces[i, x] == pytest.approx(-(up - down) / (2 * h), rel=1e-5, abs=1e-7)
    for a, b in [(0, 0), (1, 2)]:
        sides = []
        for step in (h, -h):
            moved, strain = atoms.copy(), np.eye(3)
            strain[a, b] += step
            moved.set_cell(moved.cell.array @ strain, scale_atoms=True)
            sides.append(moved)
        up, down = pipe.predict(sides)
        slope = (up - down) / (2 * h) / atoms.cell.volume
        assert stress[a, b] == pytest.approx(slope, rel=1e-5, abs=1e-7)
    assert np.abs(forces).max() > 0.1


class Spy(AtomicSums):
    """The linear problem, with the mean eigenvalue to which penalties are relative."""

    scales: ClassVar = []

    def __init__(self, *args):
        super().__init__(*args)
        self.scales.append(self.scale)


def norm(tensor):
    return np.sqrt(np.sum(np.square(tensor)) / 6)  # six independent components


@pytest.mark.parametrize("counts", [np.ones(12), np.array([1.0, 2.5, 0.5] * 4)])
@pytest.mark.parametrize("pulay", [0.3, "fit"])
def test_errors_of_snapshots_left_out_are_those_of_models_without_them(
    blocks, snapshots, counts, pulay, monkeypatch
):
    monkeypatch.setattr("skldos.regressors.free_energy.regressor.AtomicSums", Spy)
    options = ONE | {"pulay_virial": pulay, "virial_weights": [5.0]}
    Spy.scales.clear()
    model = FreeEnergyRegressor(**options).fit(blocks, sample_weight=counts)
    found = model.left_out_errors_
    for i in (0, 1, 7):
        rest = np.delete(np.arange(len(blocks)), i)
        # The same penalty, though it is relative to a mean eigenvalue that is another without it.
        FreeEnergyRegressor(**options).fit(blocks[rest], sample_weight=counts[rest])
        alpha = 1e-6 * Spy.scales[0] / Spy.scales[-1]
        one = FreeEnergyRegressor(**options | {"alphas": [alpha]})
        one.fit(blocks[rest], sample_weight=counts[rest])
        snapshot, block = snapshots[i], blocks[[i]]
        n_atoms, volume = len(snapshot.atoms), snapshot.atoms.cell.volume
        error = one.predict(block)[0] - snapshot.reference["total_energy"]
        assert found["energy"][i] == pytest.approx(1e3 * error / n_atoms, rel=1e-5)
        error = one.predict_forces(block)[0] - snapshot.reference["forces"]
        assert found["forces"][i] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)
        error = one.predict_stress(block)[0] - full_stress(snapshot.reference["stress"])
        virial = error * volume / n_atoms + one.pulay_virial_ * np.eye(3)
        assert found["virial"][i] == pytest.approx(1e3 * norm(virial), rel=1e-5)
    assert np.abs(found["energy"]).min() > 0
    if pulay == "fit" and (counts == 1).all():
        assert model.errors_["energy"][0] == pytest.approx(np.sqrt(np.mean(found["energy"] ** 2)))


def test_the_smallest_errors_are_chosen(blocks):
    options = {"alphas": [1e-12, 1e-5, 1e3], "energy_weights": [1.0, 100.0]}
    model = FreeEnergyRegressor(**options, virial_weights=[1.0, 10.0]).fit(blocks)
    table = model.errors_
    assert {len(column) for column in table.values()} == {12}
    means = np.cbrt(table["energy"] * table["forces"] * table["virial"])
    best = np.argmin(means)
    chosen = model.energy_weight_, model.virial_weight_, model.alpha_
    assert chosen == tuple(table[n][best] for n in ("energy_weight", "virial_weight", "alpha"))
    assert model.alpha_ < 1e3


def test_a_snapshot_is_judged_with_the_setting_that_all_others_choose(blocks):
    options = {"alphas": [1e-4, 1e-2, 1e-1], "forces": False}
    model = FreeEnergyRegressor(**options).fit(blocks)
    found = np.abs(model.left_out_errors_["energy"])
    each = [
        FreeEnergyRegressor(**options | {"alphas": [alpha]}).fit(blocks).left_out_errors_["energy"]
        for alpha in options["alphas"]
    ]
    squares = np.square(each)
    for s in range(len(blocks)):
        others = np.delete(squares, s, axis=1).sum(axis=1)
        assert found[s] == pytest.approx(np.sqrt(squares[np.argmin(others), s]))
    # So it is never judged better than with the setting of them all.
    assert (found >= np.sqrt(squares[np.argmin(squares.sum(axis=1))]) - 1e-9).all()


def test_weights_stand_for_copies(blocks):
    options = {"alphas": [1e-6], "energy_weights": [30.0]}
    twice = FreeEnergyRegressor(**options).fit(blocks[[0, 1, 1, 2, 4, 4]])
    counts = [1, 2, 1, 0, 2, *[0] * 7]
    weighted = FreeEnergyRegressor(**options).fit(blocks, sample_weight=counts)
    np.testing.assert_allclose(weighted.coef_, twice.coef_, rtol=1e-6)
    assert len(weighted.left_out_errors_["energy"]) == 4
    with pytest.raises(
        ValueError, match=r"at least two snapshots \(of a weight above zero\), got 1"
    ):
        FreeEnergyRegressor().fit(blocks, sample_weight=[0, 3, *[0] * 10])


def test_rows_that_are_not_kept_are_computed_again(blocks, monkeypatch):
    model = FreeEnergyRegressor(**ONE).fit(blocks)
    monkeypatch.setattr("skldos.regressors.free_energy._atomic_sums.KEPT_BYTES", 60_000)
    again = FreeEnergyRegressor(**ONE).fit(blocks)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    np.testing.assert_array_equal(
        again.left_out_errors_["forces"], model.left_out_errors_["forces"]
    )


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_change_no_bit(snap, snapshots, backend):
    made = make_pipeline(clone(snap), RowWise(StandardScaler())).fit_transform(snapshots)
    one = FreeEnergyRegressor(**ONE).fit(made)
    with joblib.parallel_config(backend):
        two = FreeEnergyRegressor(**ONE, n_jobs=2).fit(made)
    np.testing.assert_array_equal(two.coef_, one.coef_)
    assert two.baseline_ == one.baseline_
    np.testing.assert_array_equal(two.left_out_errors_["forces"], one.left_out_errors_["forces"])
    assert np.abs(one.coef_).max() > 0


def test_a_supercell_has_the_energy_of_its_cells(snap, blocks, snapshots):
    pipe = make_pipeline(snap, FreeEnergyRegressor(**ONE).fit(blocks))
    atoms = snapshots[0].atoms
    one, eight = pipe.predict([atoms, atoms.repeat(2)])
    assert eight == pytest.approx(8 * one, rel=1e-9)
    parts = pipe[-1].predict_atoms(blocks[:1])[0]
    assert parts.shape == (len(atoms),)
    assert parts.sum() == pytest.approx(one)


def test_a_shift_of_the_energy_of_an_element_is_in_its_baseline(blocks, snapshots):
    counts = np.array([np.sum(s.atoms.symbols == "Cu") for s in snapshots])
    energies = np.array([s.reference["total_energy"] for s in snapshots])
    one = FreeEnergyRegressor(**ONE).fit(blocks)
    two = FreeEnergyRegressor(**ONE).fit(blocks, energies + 100 * counts)
    assert two.baseline_["Cu"] - one.baseline_["Cu"] == pytest.approx(100, rel=1e-4)
    assert two.baseline_["Au"] == pytest.approx(one.baseline_["Au"], abs=1e-3)
    np.testing.assert_allclose(two.coef_, one.coef_, atol=1e-4 * np.abs(one.coef_).max())


def test_affine_steps_and_unions_pass_derivatives_on(snap, snapshots):
    union = BlockUnion([("near", clone(snap).set_params(r_cut=3.0)), ("far", snap)])
    pipe = make_pipeline(union, RowWise(StandardScaler()), FreeEnergyRegressor(**ONE))
    pipe.fit(snapshots)
    moved, h = snapshots[1].atoms.copy(), 1e-4
    moved.positions[1, 2] += h
    rows = pipe[:-1].transform(snapshots[1:2])
    before, after = pipe.predict([snapshots[1].atoms, moved])
    force = pipe[-1].predict_forces(rows)[0][1, 2]
    assert force == pytest.approx(-(after - before) / h, rel=1e-2)
    assert abs(force) > 0.05
    with pytest.raises(ValueError, match="affine"):
        make_pipeline(snap, RowWise(Normalizer()), FreeEnergyRegressor(**ONE)).fit(snapshots)


def test_it_is_an_estimator(snap, blocks, snapshots):
    pipe = make_pipeline(snap, FreeEnergyRegressor(**ONE))
    grid = {"atomsnaptransformer__r_cut": [3.5, 4.0], "freeenergyregressor__forces": [True, False]}
    search = GridSearchCV(pipe, grid, cv=2).fit(snapshots[:8])
    assert search.best_params_["freeenergyregressor__forces"] is True
    pipe.set_params(freeenergyregressor__forces=False)
    energies = [s.reference["total_energy"] for s in snapshots]
    assert len(cross_val_predict(pipe, snapshots, energies, cv=3)) == 12
    model = FreeEnergyRegressor(**ONE).fit(blocks)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(blocks), model.predict(blocks))
    copied = pickle.loads(pickle.dumps(blocks[:2]))
    np.testing.assert_array_equal(
        model.predict_forces(copied)[1], model.predict_forces(blocks[:2])[1]
    )


def test_standard_deviations_say_how_large_errors_are(snap, blocks):
    model = FreeEnergyRegressor().fit(blocks)
    unseen = SnapshotList([calculated(alloy(seed)) for seed in range(100, 125)])
    rows = snap.transform(unseen)
    energies, std = model.predict(rows, return_std=True)
    true = np.array([s.reference["total_energy"] for s in unseen])
    assert 0.4 < np.sqrt(np.mean(((energies - true) / std) ** 2)) < 2.5
    forces, std = model.predict_forces(rows, return_std=True)
    true = [s.reference["forces"] for s in unseen]
    z = np.concatenate([(f - t) / s for f, t, s in zip(forces, true, std, strict=True)])
    assert 0.4 < np.sqrt(np.mean(z**2)) < 2.5


def test_energies_alone(snap, snapshots):
    bare = SnapshotList(
        [s.replace(reference={"total_energy": s.reference["total_energy"]}) for s in snapshots]
    )
    blocks = snap.transform(bare)
    model = FreeEnergyRegressor(forces=False, alphas=[1e-3, 1e-1]).fit(blocks)
    assert list(model.left_out_errors_) == ["energy"]
    assert model.errors_["alpha"].tolist() == [1e-3, 1e-1]
    assert len(model.predict_forces(blocks)) == len(blocks)
    with pytest.raises(ValueError, match="forces=True"):
        model.predict_forces(blocks, return_std=True)
    with pytest.raises(SnapshotError, match="no reference 'forces'; set forces=False"):
        FreeEnergyRegressor().fit(blocks)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"alphas": []}, ValueError, "alphas must be a sequence of at least one number"),
        ({"alphas": [-1.0]}, ValueError, "alphas must be > 0"),
        ({"energy_weights": [0.0]}, ValueError, "energy_weights must be > 0"),
        ({"virial_weights": [-1.0]}, ValueError, "virial_weights must be > 0"),
        ({"forces": None}, ValueError, "forces must be one of True, False"),
        ({"temperature": "hot"}, ValueError, "temperature must be one of 'ignore'"),
        ({"temperature": -1.0}, ValueError, "temperature must be >= 0"),
        ({"pulay_virial": "no"}, ValueError, "pulay_virial must be one of 'fit'"),
    ],
)
def test_wrong_parameters_are_named(blocks, params, error, message):
    with pytest.raises(error, match=message):
        FreeEnergyRegressor(**params).fit(blocks)


def test_wrong_data_are_named(snap, blocks, snapshots):
    model = FreeEnergyRegressor(**ONE)
    with pytest.raises(ValueError, match="needs blocks that are linked to snapshots, got ndarray"):
        model.fit(np.zeros((4, 3)), np.zeros(4))
    with pytest.raises(ValueError, match=r"at least two snapshots .*, got 1"):
        model.fit(blocks[:1])
    with pytest.raises(ValueError, match=r"y must have shape \(12\), got \(3,\)"):
        model.fit(blocks, np.zeros(3))
    with pytest.raises(SnapshotError, match="no reference 'total_energy'"):
        model.fit(snap.transform([snapshots[0].atoms, snapshots[1].atoms]))
    gold = AtomSNAPTransformer(twojmax=4, r_cut=4.0).fit_transform([bulk("Al")])
    with pytest.raises(SnapshotError, match="trained on Au, Cu, got Al"):
        model.fit(blocks).predict(gold)


# ---------------------------------------------------------------------------- sources of data


def test_results_of_ase_are_targets(snap, snapshots):
    images = []
    for snapshot in snapshots[:4]:
        atoms = snapshot.atoms.copy()
        atoms.calc = EMT()
        atoms.get_potential_energy(), atoms.get_stress()
        images.append(atoms)
    text = io.StringIO()
    ase.io.write(text, images, format="extxyz")
    read = ase.io.read(io.StringIO(text.getvalue()), ":", format="extxyz")
    pipe = make_pipeline(snap, FreeEnergyRegressor(**ONE))
    expected = clone(pipe).fit(snapshots[:4])[-1].coef_
    for atoms in (images, read):
        np.testing.assert_allclose(clone(pipe).fit(atoms)[-1].coef_, expected, rtol=1e-3)
    # Atoms that moved since carry no results any more.
    images[0].rattle(0.01)
    with pytest.raises(SnapshotError, match="no reference 'total_energy'"):
        pipe.fit(images)


def test_a_free_energy_goes_before_an_energy():
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = bulk("Al")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, free_energy=-1.5)
    assert Snapshot(atoms).reference == {"total_energy": -1.5}
    assert Snapshot(atoms, reference={}).reference == {}
    assert Snapshot(bulk("Al")).reference == {}


def heated(snapshot, temperature):
    """Return a snapshot at an electronic temperature, with a DOS that depends on the atoms."""
    energies = np.linspace(-5.0, 15.0, 81)
    tilt = 0.2 * np.tanh(snapshot.atoms.positions.std())
    dos = len(snapshot.atoms) * np.where(energies >= 0, 0.3 + tilt * energies / 15, 0.0)
    dos[energies == 0] /= 2
    n_electrons = 3.0 * len(snapshot.atoms)
    change = np.diff(
        electronic_free_energy(
            dos, energies, temperature=np.array([1000.0, temperature]), n_electrons=n_electrons
        )
    )[0]
    reference = snapshot.reference | {"dos": dos}
    reference["total_energy"] = reference["total_energy"] + change
    return snapshot.replace(
        temperature=temperature, energies=energies, n_electrons=n_electrons, reference=reference
    )


@pytest.fixture(scope="module")
def hot(blocks, snapshots):
    temperatures = [1000.0, 1000.0, 1500.0, 1000.0, 500.0, 1000.0]
    return relabelled(
        blocks[:6], [heated(s, T) for s, T in zip(snapshots[:6], temperatures, strict=True)]
    )


def test_electronic_temperatures_are_brought_to_a_common_one(blocks, hot):
    expected = FreeEnergyRegressor(**ONE).fit(blocks[:6])
    assert expected.temperature_ is None
    model = FreeEnergyRegressor(**ONE).fit(hot)
    assert model.temperature_ == 1000.0  # that most have
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-6)
    assert model.score(hot) == pytest.approx(expected.score(blocks[:6]))
    # To another one, which no snapshot has.
    warm = FreeEnergyRegressor(**ONE, temperature=1200.0).fit(hot)
    change = (warm.predict(hot) - model.predict(hot)) / [len(b) for b in hot]
    assert (change < -1e-3).all()
    assert (change > -5e-3).all()
    ignorant = FreeEnergyRegressor(**ONE, temperature="ignore").fit(hot)
    assert ignorant.temperature_ is None
    assert np.abs(ignorant.coef_ - model.coef_).max() > 1e-3 * np.abs(model.coef_).max()


def test_forces_of_much_hotter_electrons_are_left_out(blocks, snapshots):
    known = [heated(s, 1000.0) for s in snapshots[:4]]
    wrong = heated(snapshots[4], 5000.0)
    wrong.reference["forces"] = wrong.reference["forces"] + 1e3
    both = [
        FreeEnergyRegressor(**ONE).fit(relabelled(blocks[:5], [*known, last])).coef_
        for last in (wrong, heated(snapshots[4], 5000.0))
    ]
    np.testing.assert_array_equal(*both)


def test_what_temperatures_need_is_named(hot):
    snapshots = hot.snapshots
    bare = snapshots[2].replace(reference={"total_energy": 1.0, "forces": np.zeros((4, 3))})
    for odd, message in [
        (bare, "refers to 1500 K, and converting it to 1000 K requires a density of states"),
        (bare.replace(temperature=None), "has no electronic temperature, but other snapshots do"),
        (snapshots[2].replace(temperature=9000.0), "reach 10 kT above the Fermi level"),
        (snapshots[2].replace(n_electrons=None), "lacks n_electrons"),
    ]:
        blocks = relabelled(hot[:3], [*snapshots[:2], odd])
        with pytest.raises(SnapshotError, match=message):
            FreeEnergyRegressor(**ONE).fit(blocks)
        FreeEnergyRegressor(**ONE, temperature="ignore").fit(blocks)
    # As close as the digits of an output are.
    near = relabelled(hot[:3], [*snapshots[:2], bare.replace(temperature=1005.0)])
    assert FreeEnergyRegressor(**ONE).fit(near).temperature_ == 1000.0


# ---------------------------------------------------------------------------- stress, elements


def test_the_virial_that_plane_waves_add_is_found(blocks, snapshots):
    moved = []
    for snapshot in snapshots:
        stress = full_stress(snapshot.reference["stress"])
        stress = stress + 0.24 * len(snapshot.atoms) / snapshot.atoms.cell.volume * np.eye(3)
        moved.append(snapshot.replace(reference=snapshot.reference | {"stress": stress}))
    added = relabelled(blocks, moved)
    shift = [FreeEnergyRegressor(**ONE, pulay_virial="fit").fit(b) for b in (added, blocks)]
    assert shift[0].pulay_virial_ - shift[1].pulay_virial_ == pytest.approx(0.24, abs=1e-9)
    np.testing.assert_allclose(shift[0].coef_, shift[1].coef_, rtol=1e-6)
    known = FreeEnergyRegressor(**ONE, pulay_virial=0.24).fit(added)
    bare = FreeEnergyRegressor(**ONE).fit(blocks)
    np.testing.assert_allclose(known.coef_, bare.coef_, rtol=1e-6)
    one = [
        s.replace(reference={k: s.reference[k] for k in ("total_energy", "forces")}) for s in moved
    ]
    with pytest.raises(ValueError, match="at least two snapshots with a reference 'stress', got 1"):
        FreeEnergyRegressor(pulay_virial="fit").fit(relabelled(blocks, [*one[:-1], moved[-1]]))


def test_a_model_of_one_density_says_so(snap, snapshots):
    def cells(*lattices):
        found = []
        for seed, a in enumerate(lattices):
            atoms = bulk("Cu", cubic=True, a=a)
            atoms.rattle(0.05, seed=seed)
            snapshot = calculated(atoms)
            del snapshot.reference["stress"]
            found.append(snapshot)
        return snap_cu.fit_transform(found)

    snap_cu = AtomSNAPTransformer(twojmax=4, r_cut=4.0, n_jobs=1)
    near, far = (3.6 * (1 + f * DENSITY_MARGIN) ** (1 / 3) for f in (1 / 3, 3))
    one = FreeEnergyRegressor(**ONE).fit(cells(3.6, near, 3.6))
    assert not one.knows_stress()
    with pytest.warns(UserWarning, match=r"at a single density, 9.0\d g/cm³, without stresses"):
        one.predict_stress(cells(3.6))
    with pytest.raises(ValueError, match="snapshots whose densities differ by at least 1 %"):
        FreeEnergyRegressor(**ONE, pulay_virial="fit").fit(cells(3.6, near))
    two = FreeEnergyRegressor(**ONE).fit(cells(3.6, far, 3.6))
    assert two.knows_stress()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        two.predict_stress(cells(3.6, far * (1 + DENSITY_MARGIN / 3) ** (1 / 3)))
    beyond = cells(3.6, far * (1 + 3 * DENSITY_MARGIN) ** (1 / 3))
    with pytest.warns(UserWarning, match=r"outside of the training data: density 8\.\d\d\d g/cm³"):
        two.predict_stress(beyond)


def test_a_composition_that_is_no_mixture_is_warned_of(snap):
    def cell(symbols, seed):
        atoms = Atoms(symbols, bulk("Au", cubic=True).positions, cell=bulk("Au", cubic=True).cell)
        atoms.pbc = True
        atoms.rattle(0.1, seed=seed)
        return calculated(atoms)

    alike = [cell("AuCuAuCu", seed) for seed in range(4)]
    model = make_pipeline(snap, FreeEnergyRegressor(**ONE)).fit(alike)
    with pytest.warns(UserWarning, match="that is not a mixture of those of the training"):
        model.predict([cell("AuAuAuAu", 9)])
    assert len(model.predict(alike)) == 4
    # The only snapshot of another composition cannot tell its own energy.
    mixed = make_pipeline(snap, FreeEnergyRegressor(**ONE)).fit([*alike, cell("AuAuAuAu", 9)])
    errors = mixed[-1].left_out_errors_["energy"]
    assert np.isnan(errors).tolist() == [False] * 4 + [True]
    assert np.isfinite(mixed[-1].best_score_)
    assert np.isfinite(mixed[-1].left_out_errors_["forces"]).all()


def test_models_are_shared(blocks, tmp_path):
    skops = pytest.importorskip("skops.io")
    model = FreeEnergyRegressor(**ONE).fit(blocks)
    skops.dump(model, tmp_path / "model.skops")
    trusted = skops.get_untrusted_types(file=tmp_path / "model.skops")
    assert all(name.startswith("skldos.") for name in trusted)
    again = skops.load(tmp_path / "model.skops", trusted=trusted)
    for one, two in zip(again.predict(blocks, True), model.predict(blocks, True), strict=True):
        np.testing.assert_array_equal(one, two)
