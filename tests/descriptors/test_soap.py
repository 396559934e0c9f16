"""SOAP blocks of grids and atoms equal direct results of DScribe."""

import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from dscribe.descriptors import SOAP

from skldos import AtomSOAPTransformer, GridSOAPTransformer, Snapshot
from skldos.exceptions import SnapshotError

PARAMS = {"r_cut": 3.5, "n_max": 3, "l_max": 2, "sigma": 0.4}


@pytest.fixture
def salt():
    """A sheared, displaced cell of two elements."""
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    shear = np.roll(np.diag([0.2, 0.1, 0.3]), 1, axis=1)
    atoms.set_cell(atoms.cell.array + shear, scale_atoms=True)
    atoms.rattle(0.1, seed=0)
    return atoms


def own(dscribe, n_species, n_max, l_max):
    """Return DScribe's features in the order and with the weights of skldos's kernel.

    Within an element the radial functions differ by an orthogonal matrix, and all by one factor.
    """
    n = n_species * n_max
    matrices = np.zeros((len(dscribe), l_max + 1, n, n))
    pairs = [(i, j) for i in range(n_species) for j in range(i, n_species)]
    f = 0
    for i, j in pairs:
        for l in range(l_max + 1):
            for a in range(n_max):
                for b in range(a if i == j else 0, n_max):
                    matrices[:, l, i * n_max + a, j * n_max + b] = dscribe[:, f]
                    matrices[:, l, j * n_max + b, i * n_max + a] = dscribe[:, f]
                    f += 1
    assert f == dscribe.shape[1]
    return matrices


@pytest.mark.parametrize("rbf", ["gto", "polynomial"])
def test_on_atoms(salt, rbf):
    expected = SOAP(species=["Cl", "Na"], periodic=True, rbf=rbf, **PARAMS).create(salt)
    expected = own(expected, 2, 3, 2).reshape(len(expected), -1)
    # DScribe's atoms end abruptly where a Gaussian has fallen to 0.001.
    reach = 3.5 + 0.4 * np.sqrt(-2 * np.log(1e-3))
    options = PARAMS | {"r_cut": reach, "basis_radius": 3.5, "fade": 1e-6}
    found = AtomSOAPTransformer(rbf=rbf, **options).fit_transform([salt])[0]
    expected, found = expected @ expected.T, found @ found.T
    assert expected[0, 1] / expected[0, 0] != pytest.approx(1, abs=1e-3)
    # Products of spectra do not depend on how the radial functions were made orthonormal.
    scale = found[0, 0] / expected[0, 0]
    np.testing.assert_allclose(found, scale * expected, rtol=1e-9 if rbf == "gto" else 1e-5)


def test_on_the_grid(salt):
    nx, ny, nz = shape = (2, 3, 4)
    points = [
        i / nx * salt.cell[0] + j / ny * salt.cell[1] + k / nz * salt.cell[2]
        for i in range(nx)
        for j in range(ny)
        for k in range(nz)
    ]
    expected = SOAP(species=["Cl", "Na"], periodic=True, **PARAMS).create(salt, centers=points)
    block = GridSOAPTransformer(**PARAMS).fit_transform([Snapshot(salt, grid_shape=shape)])[0]
    np.testing.assert_allclose(block, expected, rtol=1e-9, atol=1e-12)
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("make", [AtomSOAPTransformer, GridSOAPTransformer])
def test_names_count_the_features(salt, make):
    transformer = make(**PARAMS).fit([Snapshot(salt, grid_shape=(1, 1, 1))])
    n = SOAP(species=["Na", "Cl"], periodic=True, **PARAMS).get_number_of_features()
    names = list(transformer.get_feature_names_out())
    assert transformer.n_features_out_ == n == len(set(names))
    on_atoms = make is AtomSOAPTransformer
    assert names[1] == ("soap_0_Cl0_Cl1" if on_atoms else "soap_1")


@pytest.mark.parametrize("make", [AtomSOAPTransformer, GridSOAPTransformer])
def test_species_are_learned_or_given(salt, make):
    snapshot = Snapshot(salt, grid_shape=(1, 1, 1))
    assert make(**PARAMS).fit([snapshot]).species_ == ["Cl", "Na"]
    given = make(species=["Na", "K", "Cl"], **PARAMS).fit([snapshot])
    assert given.species_ == ["Cl", "K", "Na"]
    with pytest.raises(SnapshotError, match=r"Cl of .* is not among \['Na'\]"):
        make(species=["Na"], **PARAMS).fit([snapshot])
    with pytest.raises(SnapshotError, match="Al of"):
        given.transform([Snapshot(bulk("Al"), grid_shape=(1, 1, 1))])


@pytest.mark.parametrize("make", [AtomSOAPTransformer, GridSOAPTransformer])
def test_a_block_on_disk_belongs_to_its_species(salt, tmp_path, make):
    snapshot = Snapshot(salt, grid_shape=(1, 1, 1))
    one = make(memory=tmp_path, **PARAMS).fit_transform([snapshot])[0]
    two = make(memory=tmp_path, species=["Na", "Cl", "K"], **PARAMS)
    assert two.fit_transform([snapshot])[0].shape[1] > one.shape[1]


def test_every_element_has_features_of_its_own(salt):
    plain = AtomSOAPTransformer(**PARAMS).fit([salt])
    split = AtomSOAPTransformer(center_species=True, **PARAMS).fit([salt])
    rows, by_center = plain.transform([salt])[0], split.transform([salt])[0]
    n = plain.n_features_out_
    na, cl = 0, 1  # Cl comes first among the elements
    assert list(salt.symbols) == ["Na", "Cl"]
    np.testing.assert_array_equal(by_center[cl, :n], rows[cl])
    np.testing.assert_array_equal(by_center[na, n:], rows[na])
    assert not by_center[cl, n:].any()
    assert not by_center[na, :n].any()
    names = split.get_feature_names_out()
    assert names[0] == "soap_Cl_0_Cl0_Cl0"
    assert names[n] == "soap_Na_0_Cl0_Cl0"


@pytest.mark.parametrize("center_species", [False, True])
@pytest.mark.parametrize("symbols", [["Na", "Cl"], ["Na", "Na"]])
def test_derivatives_of_sums_are_those_of_pullback(salt, center_species, symbols, rng):
    both = salt.copy()
    salt.symbols = symbols  # an element may be missing
    soap = AtomSOAPTransformer(center_species=center_species, **PARAMS).fit([both])
    weights = rng.normal(size=soap.n_features_out_)
    rows = np.broadcast_to(weights, (2, len(weights)))
    pulled = soap.pullback(Snapshot(salt), rows)
    for found, expected in zip(soap.derivatives(salt), pulled, strict=True):
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(found @ weights, expected, atol=1e-12)
    parts = [soap.pullback(Snapshot(salt), rows[i : i + 1], i, i + 1) for i in range(2)]
    np.testing.assert_allclose(parts[0][0] + parts[1][0], pulled[0], atol=1e-12)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"rbf": "spline"}, ValueError, "rbf must be one of"),
        ({"basis_radius": 0.5}, ValueError, "basis_radius must be > 1"),
        ({"center_species": "Na"}, ValueError, "center_species must be one of"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be"),
        ({"dtype": "int"}, ValueError, "dtype must be one of"),
        ({"species": "NaCl"}, TypeError, "species must be a sequence of elements, got 'NaCl'"),
        ({"species": ["Na", "Xx"]}, ValueError, "species .* 'Xx'"),
    ],
)
def test_wrong_parameters_are_named_in_fit(salt, params, error, message):
    with pytest.raises(error, match=message):
        AtomSOAPTransformer(**params).fit([salt])


CELLS = {
    "left-handed": [[4.6, 0, 0], [0, 0, 4.9], [0, 5.2, 0]],
    "skewed": [[4.0, 0, 0], [7.0, 4.2, 0], [-3.0, 9.0, 4.1]],
    "smaller than the cutoff": [[0.0, 1.7, 1.6], [1.9, 0.0, 1.8], [2.0, 1.8, 0.1]],
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_every_image_within_reach_counts_wherever_the_atoms_are(cell, rng):
    # DScribe itself on a cluster cut from the crystal, with no periodicity to get wrong.
    cell, numbers = np.array(cell), np.array([11, 17, 17])
    positions = rng.random((3, 3)) @ cell
    steps = np.stack(np.meshgrid(*[np.arange(-14, 15)] * 3, indexing="ij"), -1).reshape(-1, 3)
    images = (positions + (steps @ cell)[:, None]).reshape(-1, 3)
    near = np.linalg.norm(images - cell.sum(axis=0) / 2, axis=1) < 14
    cluster = Atoms(np.tile(numbers, len(steps))[near], images[near])
    shape = (2, 1, 2)
    corners = np.array([[0, 0, 0], [0, 0, 0.5], [0.5, 0, 0], [0.5, 0, 0.5]]) @ cell
    expected = SOAP(species=["Cl", "Na"], periodic=False, **PARAMS).create(cluster, corners)

    far = Atoms(numbers, positions + rng.integers(-5, 6, (3, 3)) @ cell, cell=cell, pbc=True)
    block = GridSOAPTransformer(grid_shape=shape, **PARAMS).fit_transform([far])[0]
    np.testing.assert_allclose(block, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max())


def test_blocks_of_another_dscribe_are_left_alone(salt, tmp_path, monkeypatch):
    snapshot = Snapshot(salt, grid_shape=(1, 1, 1))
    transformer = GridSOAPTransformer(memory=tmp_path, **PARAMS)
    paths = [transformer.fit_transform([snapshot])[0].path for _ in range(2)]
    monkeypatch.setattr("skldos.descriptors.soap_grid.version", lambda name: "0.0")
    paths.append(transformer.transform([snapshot])[0].path)
    assert len(set(paths)) == 2


def test_atoms_need_no_dscribe(salt, monkeypatch):
    monkeypatch.setitem(sys.modules, "dscribe.descriptors", None)
    assert AtomSOAPTransformer(**PARAMS).fit_transform([salt])[0].shape == (2, 63)
    with pytest.raises(ImportError, match="GridSOAPTransformer needs DScribe"):
        GridSOAPTransformer(**PARAMS, grid_shape=(1, 1, 1)).fit([salt])
