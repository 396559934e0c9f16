"""Environments on concentric spheres: symmetries, sums, a brute-force oracle, derivatives."""

import dataclasses
import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.interpolate import BSpline
from scipy.spatial.transform import Rotation
from sklearn.base import clone

from skldos import ArrayFile
from skldos.data import LazyArray
from skldos.descriptors.atom_env import AtomEnvTransformer
from skldos.descriptors.atom_env.spheres import ConcentricSpheres
from skldos.exceptions import SnapshotError
from skldos.geometry.sphere import icosahedral_rotations, icosphere

TRICLINIC = np.array([[3.9, 0.3, 0.1], [-1.2, 4.2, 0.4], [0.3, -0.7, 3.6]])
RADIAL = {
    "inverse_square": lambda d: 1 / d**2,
    "inverse": lambda d: 1 / d,
    "gaussian": lambda d: 0.01 ** (d**2 / 25),  # 0.01 at the cutoff of 5 Å
}
both_assignments = pytest.mark.parametrize("assignment", ["nearest", "smooth"])


def make(assignment="nearest", **params):
    small = {"n_spheres": 5, "subdivisions": 1, "r_cut": 5.0, "dtype": "float64", "n_jobs": 1}
    return AtomEnvTransformer(assignment=assignment, **(small | params))


@pytest.fixture
def crystal():
    """Return four atoms of two elements in a triclinic cell smaller than the cutoff."""
    fractional = np.random.default_rng(3).uniform(-0.1, 0.1, (4, 3))
    fractional += [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    return Atoms("NaClNaCl", scaled_positions=fractional, cell=TRICLINIC, pbc=True)


@pytest.fixture
def aluminium(crystal):
    """Return the same atoms, of one element."""
    atoms = crystal.copy()
    atoms.symbols[:] = "Al"
    return atoms


def block_of(transformer, atoms):
    return np.asarray(transformer.fit([atoms]).transform([atoms])[0])


def all_vectors(atoms, r_cut, span=6):
    """Yield atom, neighbour and vector for all pairs, by looking at many cells."""
    steps = np.arange(-span, span + 1)
    shifts = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3) @ atoms.cell.array
    for i, center in enumerate(atoms.positions):
        for j, position in enumerate(atoms.positions):
            vectors = position + shifts - center
            d = np.linalg.norm(vectors, axis=1)
            for vector in vectors[(d < r_cut) & (d > 1e-9)]:
                yield i, j, vector


def faded(d, r_cut=5.0, fade=1.0):
    x = np.clip((d - r_cut + fade) / fade, 0, 1)
    return 1 - 10 * x**3 + 15 * x**4 - 6 * x**5


# -------------------------------------------------------------------- the oracle


def by_nearest(vector, transformer):
    t, d = transformer, np.linalg.norm(vector)
    vertices = icosphere(t.subdivisions).vertices
    shell = int(np.ceil(t.n_spheres * (d - t.r_min) / (t.r_cut - t.r_min))) - 1
    out = np.zeros((t.n_spheres, len(vertices)))
    vertex = np.linalg.norm(vertices - vector / d, axis=1).argmin()
    out[max(shell, 0), vertex] = RADIAL[t.radial](d)
    return out


def by_smooth(vector, transformer):
    t, d = transformer, np.linalg.norm(vector)
    width = (t.r_cut - t.r_min) / t.n_spheres
    # Shells go on for ever on both sides, and end up on the first and the last.
    spline = np.zeros(t.n_spheres)
    for s in range(-30, 30 + t.n_spheres):
        knots = t.r_min + width * (s + 0.5 + np.arange(-2, 3))
        value = BSpline.basis_element(knots, extrapolate=False)(d)
        spline[np.clip(s, 0, t.n_spheres - 1)] += np.nan_to_num(value)
    weights = icosphere(t.subdivisions).spread([vector], t.reach)[0]
    return RADIAL[t.radial](d) * faded(d, t.r_cut, t.fade) * np.outer(spline, weights)


ORACLES = {"nearest": by_nearest, "smooth": by_smooth}


@pytest.mark.parametrize("radial", RADIAL)
@both_assignments
def test_environments_are_those_of_brute_force(assignment, radial, aluminium):
    transformer = make(assignment, radial=radial, r_min=2.6)
    expected = np.zeros((4, 5, 42))
    nearest = 9.0
    for i, _, vector in all_vectors(aluminium, 5.0):
        expected[i] += ORACLES[assignment](vector, transformer)
        nearest = min(nearest, np.linalg.norm(vector))
    assert nearest < 2.6  # closer than r_min: the innermost sphere
    block = block_of(transformer, aluminium)
    assert (block[:, 0].sum(axis=1) > 0.01).any()
    np.testing.assert_allclose(block, expected, rtol=1e-12, atol=1e-15)
    single = block_of(transformer.set_params(dtype="float32"), aluminium)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("shift", [-0.01, 0.0, 0.01])
def test_shells_are_those_of_the_paper_and_end_on_the_right(shift):
    # R = 16 shells between 2 and 7 Å; a dimer at an edge, and a little off it.
    edges = 2 + 0.3125 * np.arange(17)
    transformer = AtomEnvTransformer(subdivisions=0, n_jobs=1).fit([bulk("Al")])
    for k, edge in enumerate(edges[:-1]):
        dimer = Atoms("Al2", [[0, 0, 0], [0, 0, edge + shift]], cell=20 * np.eye(3), pbc=True)
        filled = np.flatnonzero(np.asarray(transformer.transform([dimer])[0])[0].sum(axis=1))
        assert filled.tolist() == [max(0, k if shift > 0 else k - 1)]


def test_the_cutoff_itself_is_outside():
    for d, n in ((6.999, 2), (7.0, 0)):
        dimer = Atoms("Al2", [[0, 0, 0], [0, 0, d]], cell=20 * np.eye(3), pbc=True)
        assert (block_of(AtomEnvTransformer(subdivisions=0), dimer)[:, 15] > 0).sum() == n


# -------------------------------------------------------------------- symmetries


@both_assignments
def test_icosahedral_rotations_permute_the_vertices(assignment, aluminium):
    transformer = make(assignment, subdivisions=2)
    block = block_of(transformer, aluminium)
    seen = transformer.environments(aluminium, icosahedral_rotations())
    assert seen.shape == (60, *block.shape)
    for turned, p in zip(seen, icosphere(2).permutations, strict=True):
        np.testing.assert_allclose(turned[..., p], block, rtol=1e-11, atol=1e-14)
    assert np.abs(seen[1:] - block).max(axis=(1, 2, 3)).min() > 0.01


@both_assignments
def test_rotated_frames_are_rotated_crystals(assignment, aluminium, rng):
    transformer = make(assignment).fit([aluminium])
    R = Rotation.random(3, rng).as_matrix()
    seen = transformer.environments(aluminium, R)
    for matrix, turned in zip(R, seen, strict=True):
        atoms = aluminium.copy()
        atoms.set_cell(TRICLINIC @ matrix.T)
        atoms.positions = aluminium.positions @ matrix.T
        block = np.asarray(transformer.transform([atoms])[0])
        np.testing.assert_allclose(turned, block, rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(
        transformer.environments(aluminium), transformer.transform([aluminium])[0]
    )


def test_one_atom_sees_its_images_and_an_isolated_one_nothing():
    alone = Atoms("Al", cell=2.5 * np.eye(3), pbc=True)
    # Of the simple cubic lattice: 6 at 2.5, 12 at 3.54, 8 at 4.33 Å; 5 Å is the cutoff.
    block = block_of(make(), alone)
    assert block.shape == (1, 5, 42)
    assert block.sum() == pytest.approx((6 + 12 / 2 + 8 / 3) / 2.5**2, rel=1e-13)
    for assignment in ("nearest", "smooth"):
        far = Atoms("Al", cell=30 * np.eye(3), pbc=True)
        np.testing.assert_array_equal(block_of(make(assignment), far), np.zeros((1, 5, 42)))


# -------------------------------------------------------------------- elements


@both_assignments
def test_each_element_has_its_channel(assignment, crystal):
    transformer = make(assignment)
    block = block_of(transformer, crystal)
    assert transformer.species_ == ["Cl", "Na"]
    assert block.shape == (4, 2, 5, 42)
    expected = np.zeros_like(block)
    for i, j, vector in all_vectors(crystal, 5.0):
        expected[i, ["Cl", "Na"].index(crystal.symbols[j])] += ORACLES[assignment](
            vector, transformer
        )
    assert (expected.sum(axis=(2, 3)) > 0.5).all()
    np.testing.assert_allclose(block, expected, rtol=1e-12, atol=1e-15)


@both_assignments
def test_channels_add_up_by_weights(assignment, crystal):
    channels = block_of(make(assignment), crystal)
    weighted = block_of(make(assignment, weights={"Na": 1.0, "Cl": -0.6}), crystal)
    assert weighted.shape == (4, 5, 42)
    np.testing.assert_allclose(
        weighted, channels[:, 1] - 0.6 * channels[:, 0], rtol=1e-11, atol=1e-14
    )


def test_channels_are_those_of_fit(crystal, aluminium):
    crystal.symbols[3] = "K"
    transformer = make().fit([crystal])
    sodium = crystal[[0, 2]]
    block = np.asarray(transformer.transform([sodium])[0])
    assert block.shape == (2, 3, 5, 42)
    np.testing.assert_array_equal(block.sum(axis=(0, 2, 3)) > 0, [False, False, True])
    with pytest.raises(SnapshotError, match=r"Al of Snapshot.* is not among \['Cl', 'K', 'Na'\]"):
        transformer.transform([aluminium])


@pytest.mark.parametrize("weights", [None, {"Na": 1.0, "Cl": 0.6}])
def test_the_atom_itself_counts_on_the_innermost_sphere(weights, crystal):
    without = block_of(make(weights=weights), crystal).reshape(4, -1, 5, 42)
    own = block_of(make(weights=weights, center=True), crystal).reshape(4, -1, 5, 42) - without
    expected = np.array([[0, 1], [1, 0]] * 2) if weights is None else [[1.0], [0.6]] * 2
    np.testing.assert_allclose(own[:, :, 0].sum(axis=-1), expected, atol=1e-14)
    np.testing.assert_allclose(np.ptp(own[:, :, 0], axis=-1), 0, atol=1e-15)
    np.testing.assert_array_equal(own[:, :, 1:], 0)


# -------------------------------------------------------------------- smoothness


def scan(assignment, n_steps):
    """Environments while one atom moves across vertices and spheres, out of the cutoff."""
    path = np.linspace([2.1, 0.2, -0.3], [4.3, 2.9, 0.4], n_steps)
    transformer = make(assignment, n_spheres=8, subdivisions=2).fit([bulk("Al")])
    dimers = [Atoms("Al2", [[0, 0, 0], x], cell=20 * np.eye(3), pbc=True) for x in path]
    return transformer, dimers, np.array([b[0] for b in transformer.transform(dimers)])


def test_smooth_environments_have_no_steps_and_no_kinks():
    first, second = [], []
    for n_steps in (201, 401):
        transformer, dimers, blocks = scan("smooth", n_steps)
        assert len({tuple(np.unravel_index(b.argmax(), b.shape)) for b in blocks}) > 8
        assert blocks[-1].max() == 0  # beyond the cutoff
        first.append(np.abs(np.diff(blocks, axis=0)).max())
        G = np.random.default_rng(0).normal(size=blocks[0].shape)
        G = np.stack([G, 0 * G])
        gradients = np.array([transformer.pullback(atoms, G)[0][1] for atoms in dimers])
        assert np.abs(gradients).max() > 0.1
        second.append(np.abs(np.diff(gradients, axis=0)).max())
    # Half the step, half the change: of the numbers and of their derivatives.
    assert first[1] == pytest.approx(first[0] / 2, rel=0.02)
    assert second[1] == pytest.approx(second[0] / 2, rel=0.02)


def test_nearest_environments_jump():
    changes = [np.abs(np.diff(scan("nearest", n)[2], axis=0)).max() for n in (201, 401)]
    assert min(changes) > 0.1


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("radial", RADIAL)
def test_pullback_is_the_derivative_by_positions_and_strain(radial, rotated, crystal, rng):
    transformer = make("smooth", radial=radial, subdivisions=2, r_min=2.7).fit([crystal])
    R = Rotation.random(4, rng).as_matrix() if rotated else None
    G = rng.normal(size=transformer.transform([crystal])[0].shape)

    def scalar(positions, cell=TRICLINIC):
        atoms = crystal.copy()
        atoms.set_cell(cell)
        atoms.positions = positions
        block = transformer.transform_lazy([atoms])[0]
        return np.sum(G * (block if R is None else block.rotated(R)))

    by_positions, by_strain = transformer.pullback(crystal, G, R)
    h, x = 1e-4, crystal.positions
    for i in range(4):
        for a in range(3):
            e = np.zeros((4, 3))
            e[i, a] = h
            near, far = ((scalar(x + k * e) - scalar(x - k * e)) / k for k in (1, 2))
            numeric = (4 * near - far) / 6 / h
            assert numeric == pytest.approx(by_positions[i, a], rel=1e-8, abs=1e-8)
    for a in range(3):
        for b in range(3):
            e = np.zeros((3, 3))
            e[a, b] = h
            plus, minus = (scalar(x + k * x @ e, TRICLINIC + k * TRICLINIC @ e) for k in (1, -1))
            far = [scalar(x + k * x @ e, TRICLINIC + k * TRICLINIC @ e) for k in (2, -2)]
            numeric = (4 * (plus - minus) - (far[0] - far[1]) / 2) / 6 / h
            assert numeric == pytest.approx(by_strain[a, b], rel=1e-8, abs=1e-7)
    np.testing.assert_allclose(by_positions.sum(axis=0), 0, atol=1e-12)
    assert np.abs(by_positions).max() > 0.1
    assert np.abs(by_strain).max() > 0.1


def test_nearest_environments_have_no_derivative(aluminium):
    transformer = make("nearest").fit([aluminium])
    with pytest.raises(ValueError, match="assignment must be 'smooth' for derivatives"):
        transformer.pullback(aluminium, np.zeros((4, 5, 42)))


# -------------------------------------------------------------------- blocks


@both_assignments
def test_lazy_blocks_are_the_blocks_and_can_be_turned(assignment, crystal, rng):
    transformer = make(assignment, lazy=True).fit([crystal])
    (lazy,) = transformer.transform([crystal])
    assert isinstance(lazy, LazyArray)
    dense = np.asarray(make(assignment).fit([crystal]).transform([crystal])[0])
    np.testing.assert_array_equal(lazy, dense)
    np.testing.assert_array_equal(lazy[1:3], dense[1:3])
    np.testing.assert_array_equal(lazy[2:2], dense[2:2])
    one, two = Rotation.random(2, rng).as_matrix()
    seen = transformer.environments(crystal, [two @ one])[0]
    np.testing.assert_allclose(lazy.rotated(one).rotated(two), seen, rtol=1e-11, atol=1e-14)
    # Each atom in a frame of its own.
    turned = lazy.rotated([one, two, one, two])
    np.testing.assert_array_equal(turned[1:2], lazy.rotated(two)[1:2])
    np.testing.assert_array_equal(turned[2], lazy.rotated(one)[2])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(turned)), turned)


def test_chunks_threads_and_memory_do_not_show(crystal, tmp_path, monkeypatch):
    expected = block_of(make(), crystal)
    monkeypatch.setattr("skldos.descriptors.base.CHUNK_SITES", 3)
    for change in ({}, {"n_jobs": 3}, {"n_jobs": None}, {"memory": tmp_path}):
        np.testing.assert_array_equal(block_of(make(**change), crystal), expected)
    fitted = make(memory=tmp_path).fit([crystal])
    for block in (fitted.transform([crystal])[0], fitted.transform_lazy([crystal])[0]):
        assert isinstance(block, ArrayFile)
    # The channels are in the key: the same atoms, in a transformer that knows three elements.
    other = crystal.copy()
    other.symbols[0] = "K"
    assert clone(fitted).fit([crystal, other]).transform([crystal])[0].shape == (4, 3, 5, 42)


def test_names_and_tables_have_one_column_per_number(crystal, aluminium):
    transformer = make().fit([aluminium])
    names = transformer.get_feature_names_out()
    assert transformer.n_features_out_ == len(set(names)) == 210
    assert names[:2].tolist() == ["sphere_0_0", "sphere_0_1"]
    block = transformer.transform([aluminium])[0]
    table = transformer.set_output(transform="pandas").transform([aluminium])[0]
    np.testing.assert_array_equal(table["sphere_1_3"], block[:, 1, 3])
    names = make().fit([crystal]).get_feature_names_out()
    assert (len(set(names)), names[210]) == (420, "Na_sphere_0_0")


def test_changed_parameters_need_another_fit(aluminium):
    changed = make().fit([aluminium]).set_params(subdivisions=2)
    with pytest.raises(ValueError, match="changed since fit"):
        changed.environments(aluminium)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"radial": "cubic"}, ValueError, "radial must be one of 'inverse_square', 'inverse'"),
        ({"assignment": "soft"}, ValueError, "assignment must be one of 'nearest', 'smooth'"),
        ({"weights": [1.0]}, TypeError, "weights must be a mapping of elements to numbers"),
        ({"weights": {"Al": "x"}}, TypeError, r"weights\['Al'\] must be a number"),
        ({"weights": {"Na": 1.0}}, SnapshotError, r"Al of Snapshot.* not among \['Na'\]"),
        ({"center": "yes"}, ValueError, "center must be one of True, False"),
        ({"lazy": 2}, ValueError, "lazy must be one of True, False"),
        ({"lazy": True, "memory": "x"}, ValueError, "memory must be None if lazy is set, got 'x'"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be a number of threads"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of"),
    ],
)
def test_wrong_parameters_are_named(params, error, message, aluminium):
    with pytest.raises(error, match=message):
        make(**params).fit([aluminium])


def test_wrong_rotations_and_sensitivities_are_named(aluminium):
    transformer = make("smooth").fit([aluminium])
    block = transformer.transform_lazy([aluminium])[0]
    with pytest.raises(ValueError, match=r"rotations must have shape \(any, 3, 3\), got \(3, 3\)"):
        transformer.environments(aluminium, np.eye(3))
    with pytest.raises(ValueError, match=r"shape \(3, 3\) or \(any, 3, 3\), got \(3,\)"):
        block.rotated(np.ones(3))
    with pytest.raises(ValueError, match="rotations must be orthogonal, got an error of R Rᵀ of 3"):
        block.rotated(2 * np.eye(3))
    with pytest.raises(ValueError, match=r"one matrix for all 4 atoms or one for each, got 2"):
        block.rotated([np.eye(3)] * 2)
    with pytest.raises(ValueError, match=r"sensitivity must have shape \(4, 5, 42\), got \(4, 5\)"):
        transformer.pullback(aluminium, np.zeros((4, 5)))


@both_assignments
def test_no_atoms_have_no_environments(assignment, aluminium):
    transformer = make(assignment).fit([aluminium])
    (block,) = transformer.transform_lazy([aluminium])
    for empty in (block[0:0], block[3:1], block[4:4]):
        assert empty.shape == (0, *block.shape[1:])
    (lazy,) = transformer.set_params(n_jobs=7).fit_transform([aluminium])
    np.testing.assert_array_equal(lazy[1:3], np.asarray(block)[1:3])


def test_spheres_are_what_they_are_for_good():
    first, second = (ConcentricSpheres(3, 1, 0.0, 5.0, "inverse", "smooth", 2.0, 1.0)
                     for _ in range(2))  # fmt: skip
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.r_cut = 6.0
