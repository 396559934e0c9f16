"""Aligned densities of states: laws, and alloys of aluminium."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skldos
from skldos import (
    ADOSRegressor,
    AtomEnvTransformer,
    AtomSNAPTransformer,
    CSNNRegressor,
    EnergyGrid,
    RidgePosterior,
    RowWise,
    SiteRegressor,
    SiteRidgeCV,
    SnapshotList,
    evaluate,
    load,
    predict_dos,
    save,
)
from skldos.data import Blocks
from skldos.datasets import load_aluminium_magnesium, make_snapshots
from skldos.exceptions import SnapshotError
from skldos.physics import band_energy, fermi_level, n_electrons
from skldos.regressors.alignment import (
    ALPHAS,
    ReferenceEnergy,
    align_sums,
    reference_energies,
    shift_dos,
)

WEIGHTS = {"Al": 1.0, "Mg": 0.3}


@pytest.fixture(scope="module")
def alloys():
    """Fourteen cells of four atoms and three of eight, and their blocks."""
    cells = load_aluminium_magnesium()
    small = [s for s in cells if len(s.atoms) == 4][:14]
    snapshots = SnapshotList(small + [s for s in cells if s.name.startswith("AlMg8_t0")][:3])
    snap = AtomSNAPTransformer(r_cut=4.0, twojmax=2, weights=WEIGHTS, n_jobs=1)
    return make_pipeline(snap, RowWise(StandardScaler())).fit_transform(snapshots)


def model(align, **options):
    return ADOSRegressor(SiteRegressor(Ridge(1e-2), dos_weight=100.0), align=align, **options)


def reference_energy(dos, energies, snapshot, kind):
    state = {name: np.array([getattr(snapshot, name)]) for name in ("temperature", "n_electrons")}
    return reference_energies(dos[None], energies, kind=kind, **state)[0]


def at_energies(snapshots, values):
    """Return snapshots with the same densities of states at other energies."""
    energies = EnergyGrid(values, broadening=0.4, kernel="gaussian")
    kept = ("dos", "ados", "ados_sigma")
    return SnapshotList(
        [
            s.replace(energies=energies, reference={name: s.reference[name] for name in kept})
            for s in snapshots
        ]
    )


# -------------------------------------------------------------------- the parts


def test_a_spectrum_moves_there_and_back(rng):
    energies = np.arange(-8.0, 12.1, 0.2)
    centers = rng.uniform(-4, 8, size=40)

    def peaks(e):  # broadened as the data are
        return np.exp(-(((e[:, None] - centers) / 0.4) ** 2)).sum(axis=1)

    shifted = shift_dos(peaks(energies), energies, energies[10:-10], 1.37)
    np.testing.assert_allclose(shifted, peaks(energies[10:-10] + 1.37), atol=1e-3)
    assert shifted.max() > 1
    # Beyond the ends it stays as it ends.
    ramp = shift_dos(energies, energies, np.array([-20.0, 20.0]), 0.0)
    np.testing.assert_allclose(ramp, energies[[0, -1]])
    few = shift_dos(np.arange(3.0), np.arange(3.0), np.array([0.5]), 1.0)
    np.testing.assert_allclose(few, [1.5])


def test_the_reference_moves_with_the_spectrum(alloys):
    snapshot = alloys.snapshots[2]
    dos, energies = snapshot.dos(), snapshot.energies
    for kind in ("fermi", "band"):
        here = reference_energy(dos, energies, snapshot, kind)
        there = reference_energy(dos, energies + 1.5, snapshot, kind)
        assert there - here == pytest.approx(1.5, abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_penalty_with_the_smallest_error_of_those_left_out_is_taken(alloys, rng, weighted):
    snapshots, n = alloys.snapshots, len(alloys)
    references = rng.normal(size=n)
    weights = rng.integers(1, 3, size=n).astype(float) if weighted else None
    found = ReferenceEnergy().fit(alloys, snapshots, references, weights)
    root = np.ones((n, 1)) if weights is None else np.sqrt(weights)[:, None]
    features = np.array([np.mean(block, axis=0) for block in alloys])
    features = root * (features - features.mean(axis=0)) / features.std(axis=0)
    share = np.array([[np.mean(s.atoms.symbols == e) for e in ("Al", "Mg")] for s in snapshots])
    density = np.array([[len(s.atoms) / s.atoms.cell.volume] for s in snapshots])
    baseline, y = root * np.hstack([share, share * density]), root[:, 0] * references
    # Penalties are in units of the mean square of what the baseline does not explain.
    projected = features - baseline @ np.linalg.lstsq(baseline, features, rcond=None)[0]
    level = np.square(projected).sum() / min(projected.shape)

    def solution(rows, alpha):
        penalty = np.hstack([np.zeros((features.shape[1], 4)), np.eye(features.shape[1])])
        A = np.vstack([np.hstack([baseline, features])[rows], np.sqrt(alpha * level) * penalty])
        return np.linalg.lstsq(A, np.r_[y[rows], np.zeros(len(penalty))], rcond=None)[0]

    def error(alpha):
        left_out = [
            y[i] - np.r_[baseline[i], features[i]] @ solution(np.arange(n) != i, alpha)
            for i in range(n)
        ]
        return np.sqrt(np.mean(np.square(left_out)))

    errors = [error(alpha) for alpha in ALPHAS]
    assert found.order == 1
    assert found.error == pytest.approx(min(errors), rel=1e-6)
    assert found.alpha == ALPHAS[np.argmin(errors)]
    fitted = np.hstack([baseline, features]) @ solution(slice(None), found.alpha) / root[:, 0]
    np.testing.assert_allclose(found.predict(alloys, snapshots), fitted, rtol=1e-6, atol=1e-9)


def test_composition_and_volume_alone_are_learned_exactly(alloys):
    snapshots = alloys.snapshots
    share = np.array([np.mean(s.atoms.numbers == 12) for s in snapshots])
    density = np.array([len(s.atoms) / s.atoms.cell.volume for s in snapshots])
    references = 3.0 - 2.0 * share + 100.0 * share * density
    found = ReferenceEnergy().fit(alloys[:12], snapshots[:12], references[:12])
    np.testing.assert_allclose(found.predict(alloys[12:], snapshots[12:]), references[12:])
    assert np.ptp(references) > 1


def test_terms_of_second_order_are_learned_where_there_are_enough_cells():
    cells = SnapshotList([s for s in load_aluminium_magnesium() if len(s.atoms) < 16][:24])
    share = np.array([np.mean(s.atoms.numbers == 12) for s in cells])
    density = np.array([len(s.atoms) / s.atoms.cell.volume for s in cells])
    references = 3.0 - 2.0 * share**2 + 100.0 * share * density + 2000 * density**2
    nothing = [np.zeros((len(s.atoms), 1)) for s in cells]
    found = ReferenceEnergy().fit(nothing[:20], cells[:20], references[:20])
    assert found.order == 2
    np.testing.assert_allclose(found.predict(nothing[20:], cells[20:]), references[20:], rtol=1e-9)
    # Six terms from 17 cells, or from cells of which one alone is pure: those of first order.
    few = ReferenceEnergy().fit(nothing[:17], cells[:17], references[:17])
    assert few.order == 1
    assert few.error > 1e-3
    mixed = [i for i in range(24) if 0 < share[i] < 1]
    alone = [*mixed[:1] * 20, *np.flatnonzero(share == 0)[:1]]
    one = ReferenceEnergy().fit([nothing[i] for i in alone], cells[alone], references[alone])
    assert one.order == 1


# -------------------------------------------------------------------- the regressor


@pytest.mark.parametrize("align", ["fermi", "band"])
def test_predictions_lie_where_the_reference_is(alloys, align):
    fitted = model(align).fit(alloys[:14])
    rest, snapshots = alloys[14:], alloys.snapshots[14:]
    references = fitted.reference_.predict(rest, snapshots)
    blocks = fitted.predict(rest)
    np.testing.assert_allclose(
        predict_dos(fitted, rest), [block.sum(axis=0) for block in blocks], rtol=1e-12
    )
    np.testing.assert_allclose(fitted.predict_sum(rest), predict_dos(fitted, rest), rtol=1e-12)
    for block, snapshot, reference in zip(blocks, snapshots, references, strict=True):
        assert block.shape == (len(snapshot.atoms), 101)
        found = reference_energy(block.sum(axis=0), snapshot.energies, snapshot, align)
        assert found == pytest.approx(reference, abs=1e-6)
    assert np.isfinite(fitted.score(rest))


@pytest.mark.parametrize("align", ["fermi", "band"])
def test_another_zero_of_energy_changes_nothing_else(alloys, align):
    before = model(align).fit(alloys).predict(alloys)
    moved_by = 3.0  # of all cells alike
    snapshots = at_energies(alloys.snapshots, alloys.snapshots[0].energies + moved_by)
    after = (
        model(align).fit(Blocks(list(alloys), snapshots)).predict(Blocks(list(alloys), snapshots))
    )
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_alloys_are_learned_better_in_a_frame_of_their_own(alloys):
    train, test = alloys[:14], alloys[14:]
    errors = {}
    for align in (None, "fermi", "band"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of Fermi levels beyond the energies
            table = evaluate(model(align).fit(train), test)
        errors[align] = table["band_energy_error"].abs().mean()
    assert errors["fermi"] < errors[None] / 2
    assert errors["band"] < errors[None] / 2
    assert errors[None] > 50


def test_networks_on_spheres_learn_in_the_frame_too(alloys):
    snapshots = alloys.snapshots[:12]
    environments = AtomEnvTransformer(n_spheres=3, subdivisions=0, center=True, n_jobs=1)
    X = environments.fit_transform(snapshots)
    assert X[0].shape == (4, 2, 3, 12)  # a channel for each element
    options = {"spheres": "channels", "n_hidden": 0, "output": "linear", "factor": 1}
    network = CSNNRegressor(
        **{f"module__{name}": value for name, value in options.items()},
        target_scaling="standard",
        max_epochs=2,
        dos_weight=100.0,
        random_state=0,
    )
    fitted = ADOSRegressor(network, align="band").fit(X)
    references = fitted.reference_.predict(X, snapshots)
    block = fitted.predict(X)[1]
    dos, energies = block.sum(axis=0), snapshots[1].energies
    found = reference_energy(dos, energies, snapshots[1], "band")
    assert found == pytest.approx(references[1], abs=1e-6)
    # The reference does not depend on the orientation of the environments.
    turned = [np.asarray(b)[..., ::-1] for b in X]
    np.testing.assert_allclose(fitted.reference_.predict(turned, snapshots), references)


def test_weights_count_snapshots(alloys):
    X = alloys[:8]
    weights = np.array([2, 1, 0, 1, 1, 1, 1, 3])
    repeated = alloys[np.repeat(np.arange(8), weights)]
    one = model("band").fit(X, sample_weight=weights)
    other = model("band").fit(repeated)
    # The penalty may be another one, for copies are not left out together; not the baseline.
    assert one.reference_.elements == other.reference_.elements
    np.testing.assert_allclose(
        one.reference_.predict(X, X.snapshots), other.reference_.predict(X, X.snapshots), atol=0.2
    )


def test_atoms_alone_are_enough_to_predict(alloys):
    fitted = model("band").fit(alloys)
    bare = SnapshotList(
        [s.replace(n_electrons=None, temperature=None, reference={}) for s in alloys.snapshots]
    )
    for one, other in zip(
        fitted.predict(Blocks(list(alloys), bare)), fitted.predict(alloys), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_spectrum_that_does_not_hold_the_electrons_stays_where_the_frame_says():
    frame = np.arange(-5.0, 5.1, 0.2)
    few, enough = np.full((2, len(frame)), 1e-3), np.tile(np.log1p(np.exp(3 * frame + 9)), (2, 1))
    state = {"temperature": np.full(2, 300.0), "n_electrons": np.full(2, 6.0)}
    found = align_sums([few, enough], frame, frame, np.array([0.0, 1.0]), kind="fermi", **state)
    np.testing.assert_allclose(found[0], few)
    at = {"temperature": 300.0, "fermi_level": 1.0}
    assert n_electrons(found[1].sum(axis=0), frame, **at) == pytest.approx(6)


def test_it_is_cloned_and_stored(alloys, tmp_path):
    alloys = alloys[:6]
    fitted = clone(model("fermi")).fit(alloys)
    expected = fitted.predict(alloys)[0]
    stored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(stored.predict(alloys)[0], expected)
    # What was fitted acts.
    fitted.set_params(align=None)
    np.testing.assert_array_equal(fitted.predict(alloys)[0], expected)
    pytest.importorskip("skops")
    save(fitted, tmp_path / "alloys.skldos")
    np.testing.assert_array_equal(load(tmp_path / "alloys.skldos").predict(alloys)[0], expected)


def test_one_element_and_one_volume_will_do():
    snapshots = make_snapshots(5, grid_shape=(4, 4, 4), n_energies=41, random_state=0)
    X = AtomSNAPTransformer(twojmax=2, n_jobs=1).fit_transform(snapshots)
    fitted = model("fermi").fit(X)
    table = evaluate(fitted, X)
    assert table["fermi_level_error"].abs().max() < 20  # meV
    dos = fitted.predict_sum(X)[0]
    at = {"temperature": 298.0}
    mu = fermi_level(dos, snapshots[0].energies, n_electrons=12.0, **at)
    assert np.isfinite(band_energy(dos, snapshots[0].energies, fermi_level=mu, **at))
    (alone,) = model("fermi").fit(X[:1]).predict(X[:1])  # a single snapshot
    np.testing.assert_allclose(alone.sum(axis=0), snapshots[0].dos(), atol=1.0)


def test_what_it_cannot_do_is_named(alloys):
    with pytest.raises(
        ValueError, match="align must be one of None, 'fermi', 'band'; got 'bottom'"
    ):
        model("bottom").fit(alloys)
    posterior = RidgePosterior(SiteRegressor(Ridge(1e-2)), random_state=0)
    with pytest.raises(ValueError, match="needs a regressor without uncertainties"):
        ADOSRegressor(posterior, align="band").fit(alloys)
    with pytest.raises(ValueError, match="predict takes no options"):
        model("band").fit(alloys).predict(alloys, return_std=True)
    cold = SnapshotList([s.replace(temperature=None) for s in alloys.snapshots])
    with pytest.raises(SnapshotError, match="lacks temperature"):
        model("band").fit(Blocks(list(alloys), cold))
    fitted = model("band").fit(alloys)
    atoms = alloys.snapshots[0].atoms.copy()
    atoms.symbols[0] = "Si"
    strange = SnapshotList([alloys.snapshots[0].replace(atoms=atoms)])
    with pytest.raises(SnapshotError, match="trained on Al, Mg, got Si"):
        fitted.predict(Blocks(list(alloys[:1]), strange))


def test_aligned_band_energies_choose_no_penalty(alloys):
    with pytest.raises(ValueError, match=r"align='band' needs SiteRidgeCV\(criterion='dos'\)"):
        ADOSRegressor(SiteRidgeCV(), align="band").fit(alloys)
    fitted = ADOSRegressor(SiteRidgeCV(criterion="dos"), align="band").fit(alloys)
    assert len(np.unique(fitted.regressor_.errors_)) == fitted.regressor_.errors_.size
    assert skldos.models.alloys(["Al", "Mg"])[-1].regressor.criterion == "dos"
    assert (
        skldos.models.alloys(["Al", "Mg"], align="fermi")[-1].regressor.criterion == "band_energy"
    )
