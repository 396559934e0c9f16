"""The transformer: potentials of densities and back, with the usual estimator interface."""

from copy import copy

import joblib
import numpy as np
import pytest
from ase import Atoms
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skldos import ArrayFile, Snapshot, SnapshotList
from skldos.data import Blocks
from skldos.datasets import load_silicon, load_silicon_pseudopotentials
from skldos.decomposition import GaussianPotentialDecomposer, geometric_exponents
from skldos.exceptions import SnapshotError
from skldos.physics import Pseudopotential
from skldos.physics.potential import atomic_density, potential_change
from skldos.units import BOHR, RYDBERG


@pytest.fixture(scope="module")
def silicon():
    return load_silicon_pseudopotentials()


@pytest.fixture(scope="module")
def snapshots():
    return load_silicon()[:3]


@pytest.fixture(scope="module")
def decomposer(snapshots, silicon):
    return GaussianPotentialDecomposer(silicon).fit(snapshots)


def relative_error(V, W):
    """Relative L2 norm of the difference of fields, both without their means."""
    V, W = V - V.mean(), W - W.mean()
    return np.linalg.norm(V - W) / np.linalg.norm(V)


# ------------------------------------------------------------------ there and back


def test_blocks_are_rows_of_atoms(decomposer, snapshots):
    blocks = decomposer.transform(snapshots)
    assert isinstance(blocks, Blocks)
    assert blocks.snapshots == snapshots
    assert [block.shape for block in blocks] == [(len(s.atoms), 6) for s in snapshots]


def test_gaussians_of_silicon_follow_the_potential(decomposer, snapshots):
    # Spheres on atoms cannot hold the charge between them, which is a fifth of the change.
    potentials = decomposer.potentials(snapshots)
    for V, W in zip(
        potentials, decomposer.inverse_transform(decomposer.transform(snapshots)), strict=True
    ):
        assert np.std(V) > 0.3
        assert 0.15 < relative_error(V, W) < 0.3
        # Means of silicon are alike, so that of the fit will do.
        assert V.mean() > 0.1
        assert abs(V.mean() - W.mean()) < 0.02


def test_potentials_are_those_of_the_physics(decomposer, snapshots, silicon):
    snapshot = snapshots[1]
    expected = potential_change(
        snapshot.density,
        snapshot.atoms,
        silicon,
        density_cutoff=snapshot.reference["ecutrho"] * RYDBERG,
    )
    np.testing.assert_allclose(decomposer.potentials([snapshot])[0], expected, atol=1e-12)


@pytest.mark.parametrize("fit_mean", [True, False])
def test_a_sum_of_gaussians_comes_back(snapshots, silicon, rng, fit_mean):
    decomposer = GaussianPotentialDecomposer(silicon, ridge=0, fit_mean=fit_mean).fit(snapshots)
    A = [rng.normal(size=(len(s.atoms), 6)) for s in snapshots]
    for V, block, snapshot in zip(
        decomposer.inverse_transform(A, snapshots), A, snapshots, strict=True
    ):
        # The condition number of the equations is up to 1e5.
        np.testing.assert_allclose(decomposer.gaussians(snapshot).fit(V), block, atol=1e-9)


def test_squared_norms_are_integrals_and_quadratic_forms(decomposer, snapshots, rng):
    A = [rng.normal(size=(len(s.atoms), 6)) for s in snapshots]
    found = decomposer.squared_norms(A, snapshots)
    fields = decomposer.inverse_transform(A, snapshots)
    for value, V, block, snapshot in zip(found, fields, A, snapshots, strict=True):
        S = decomposer.gaussians(snapshot).overlap()
        assert value > 1
        assert value == pytest.approx(block.ravel() @ S @ block.ravel(), rel=1e-10)
        integral = ((V - decomposer.mean_) ** 2).sum() * snapshot.voxel_volume
        assert value == pytest.approx(integral, rel=1e-10)


# ------------------------------------------------------------------ symmetries


def test_free_atoms_need_no_change(silicon):
    atoms = Atoms("Si2", positions=[[0, 0, 0], [1.2, 1.5, 1.1]], cell=4 * np.eye(3), pbc=True)
    density = atomic_density(atoms.positions, atoms.cell.array, (16, 16, 16), ["Si"] * 2, silicon)
    snapshot = Snapshot(atoms, density=density)
    block = GaussianPotentialDecomposer(silicon).fit_transform([snapshot])[0]
    np.testing.assert_allclose(block, 0, atol=1e-12)


# ------------------------------------------------------------------ parameters


def test_exponents_by_element(snapshots, silicon):
    given = geometric_exponents(3)
    by_list = GaussianPotentialDecomposer(silicon, given).fit(snapshots)
    by_name = GaussianPotentialDecomposer(silicon, {"Si": given, "O": given * 2}).fit(snapshots)
    np.testing.assert_array_equal(by_list.exponents_["Si"], given)
    np.testing.assert_array_equal(by_list.transform(snapshots)[0], by_name.transform(snapshots)[0])
    assert by_list.get_feature_names_out()[0] == f"gaussian_{0.15 / BOHR**2:.6g}"
    assert list(by_name.get_feature_names_out()) == ["gaussian_0", "gaussian_1", "gaussian_2"]


def test_two_elements_with_exponents_of_their_own(silicon):
    lithium = Pseudopotential(
        "Li",
        1,
        functional="lda-pz",
        radii=silicon["Si"].radii,
        radial_weights=silicon["Si"].radial_weights,
        atomic_density=silicon["Si"].atomic_density / 4,
    )
    atoms = Atoms("SiLi", positions=[[0, 0, 0], [2, 2, 2]], cell=4 * np.eye(3), pbc=True)
    pseudopotentials = [silicon["Si"], lithium]
    density = np.full((12, 12, 12), 5 / 64)
    decomposer = GaussianPotentialDecomposer(
        pseudopotentials, {"Si": [1.0, 2.0], "Li": [0.7, 1.4]}
    ).fit([Snapshot(atoms, density=density)])
    found = decomposer.gaussians(Snapshot(atoms, grid_shape=(12, 12, 12))).exponents
    np.testing.assert_array_equal(found, [[1.0, 2.0], [0.7, 1.4]])


def test_a_ridge_makes_coefficients_small(snapshots, silicon):
    sizes = []
    for ridge in (0.0, 1e-3, 1.0):
        blocks = GaussianPotentialDecomposer(silicon, ridge=ridge).fit_transform(snapshots[:1])
        sizes.append(np.abs(blocks[0]).max())
    assert sizes[0] > sizes[1] > sizes[2] > 0.01


def test_blocks_are_kept_by_density_and_parameters(snapshots, silicon, tmp_path, monkeypatch):
    def transform(some, **params):
        return GaussianPotentialDecomposer(silicon, memory=str(tmp_path), **params).fit_transform(
            some
        )

    first = transform(snapshots[:1])
    more = transform([snapshots[0].replace(density=snapshots[0].density * 1.001)])
    assert not np.allclose(more[0][:], first[0][:])

    def fail(*args):
        raise AssertionError("fitted again")

    monkeypatch.setattr("skldos.decomposition.gaussians.Gaussians.fit", fail)
    np.testing.assert_array_equal(transform(snapshots[:1])[0][:], first[0][:])
    with pytest.raises(AssertionError, match="fitted again"):
        transform(snapshots[:1], ridge=1e-2)


def test_blocks_are_kept_by_what_a_pseudopotential_says(snapshots, silicon, tmp_path):
    """A file may change without changing its name: the densities in it count."""
    other = {"Si": copy(silicon["Si"])}
    other["Si"].atomic_density = 1.1 * silicon["Si"].atomic_density
    first, second = (
        GaussianPotentialDecomposer(pseudopotentials, memory=str(tmp_path)).fit(snapshots[:1])
        for pseudopotentials in (silicon, silicon)
    )
    kept = first.transform(snapshots[:1])[0][:]
    second.pseudopotentials_ = other  # as read from the changed file
    assert np.abs(second.transform(snapshots[:1])[0][:] - kept).max() > 1.0


def test_densities_in_files(snapshots, silicon, tmp_path, decomposer):
    loaded = SnapshotList.load(snapshots.save(tmp_path / "set"))
    assert isinstance(loaded[0].density, ArrayFile)
    found = GaussianPotentialDecomposer(silicon).fit_transform(loaded)
    np.testing.assert_array_equal(found[0], decomposer.transform(snapshots)[0])


def test_it_is_an_estimator_like_the_others(decomposer, snapshots, silicon):
    copy = clone(decomposer)
    with pytest.raises(NotFittedError):
        copy.inverse_transform([], [])
    with pytest.raises(NotFittedError):
        copy.gaussians(snapshots[0])
    with pytest.raises(NotFittedError):
        copy.potentials(snapshots)
    assert not decomposer.__sklearn_tags__().input_tags.two_d_array
    assert joblib.hash(copy.fit(snapshots)) == joblib.hash(decomposer)
    half = GaussianPotentialDecomposer(silicon, dtype="float32").fit_transform(snapshots)
    assert half[0].dtype == np.float32


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"exponents": [0.0]}, ValueError, "exponents must be > 0"),
        ({"exponents": {"Al": [1.0]}}, ValueError, "exponents must name every element"),
        ({"pseudopotentials": "Si.UPF"}, TypeError, "pseudopotentials must be"),
        ({"functional": "b3lyp"}, SnapshotError, "functional must be one of"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of"),
    ],
)
def test_wrong_parameters(snapshots, silicon, params, error, message):
    with pytest.raises(error, match=message):
        GaussianPotentialDecomposer(**{"pseudopotentials": silicon} | params).fit(snapshots)


def test_exponents_of_different_lengths(silicon):
    atoms = Atoms("SiAl", positions=[[0, 0, 0], [2, 2, 2]], cell=4 * np.eye(3), pbc=True)
    snapshot = Snapshot(atoms, density=np.ones((4, 4, 4)))
    exponents = {"Si": [1.0, 2.0], "Al": [1.0]}
    with pytest.raises(ValueError, match="the same number for all elements, got 1 for Al and 2"):
        GaussianPotentialDecomposer(silicon, exponents).fit([snapshot])


def test_snapshots_without_density_or_free_atoms(snapshots, decomposer):
    bare = Snapshot(snapshots[0].atoms, grid_shape=(4, 4, 4))
    with pytest.raises(SnapshotError, match="lacks density"):
        decomposer.transform([bare])
    other = GaussianPotentialDecomposer([Pseudopotential("Si", 4, functional="lda-pz")])
    with pytest.raises(SnapshotError, match="must have the density of the free atom"):
        other.fit(snapshots)
    aluminium = snapshots[0].replace(
        atoms=Atoms("Al", cell=4 * np.eye(3), pbc=True), density=np.ones((4, 4, 4)), reference={}
    )
    with pytest.raises(SnapshotError, match="Al of Snapshot"):
        decomposer.transform([aluminium])
    with pytest.raises(SnapshotError, match="Al of Snapshot"):
        decomposer.gaussians(aluminium)
    slab = snapshots[0].replace(reference={"assume_isolated": "2D"})
    with pytest.raises(SnapshotError, match="is a slab"):
        decomposer.transform([slab])


def test_inverse_of_blocks_that_do_not_fit(decomposer, snapshots):
    with pytest.raises(ValueError, match="pass snapshots: the blocks"):
        decomposer.inverse_transform([np.zeros((8, 6))])
    with pytest.raises(ValueError, match="X must hold one block per snapshot, 1, got 2"):
        decomposer.inverse_transform([np.zeros((8, 6))] * 2, snapshots[:1])
    with pytest.raises(ValueError, match=r"block of shape \(8, 6\) for .*, got \(8, 5\)"):
        decomposer.inverse_transform([np.zeros((8, 5))], snapshots[:1])
    with pytest.raises(SnapshotError, match="lacks grid_shape"):
        decomposer.inverse_transform([np.zeros((8, 6))], [Snapshot(snapshots[0].atoms)])
