"""SOAP blocks are what DScribe gives when it is called directly."""

import numpy as np
import pytest
from ase.build import bulk
from dscribe.descriptors import SOAP

from skldos import Snapshot, SOAPTransformer
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


@pytest.mark.parametrize("rbf", ["gto", "polynomial"])
def test_on_atoms(salt, rbf):
    expected = SOAP(species=["Cl", "Na"], periodic=True, rbf=rbf, **PARAMS).create(salt)
    transformer = SOAPTransformer(centers="atoms", rbf=rbf, **PARAMS)
    np.testing.assert_allclose(transformer.fit_transform([salt])[0], expected, rtol=1e-12)


def test_on_the_grid(salt):
    nx, ny, nz = shape = (2, 3, 4)
    points = [
        i / nx * salt.cell[0] + j / ny * salt.cell[1] + k / nz * salt.cell[2]
        for i in range(nx)
        for j in range(ny)
        for k in range(nz)
    ]
    expected = SOAP(species=["Cl", "Na"], periodic=True, **PARAMS).create(salt, centers=points)
    block = SOAPTransformer(**PARAMS).fit_transform([Snapshot(salt, grid_shape=shape)])[0]
    np.testing.assert_allclose(block, expected, rtol=1e-9, atol=1e-12)
    assert np.abs(expected).max() > 1e-3


def test_names_count_the_features(salt):
    transformer = SOAPTransformer(centers="atoms", **PARAMS).fit([salt])
    n = SOAP(species=["Na", "Cl"], periodic=True, **PARAMS).get_number_of_features()
    assert transformer.n_features_out_ == n
    assert list(transformer.get_feature_names_out()[:2]) == ["soap_0", "soap_1"]


def test_species_are_learned_or_given(salt):
    assert SOAPTransformer(centers="atoms", **PARAMS).fit([salt]).species_ == ["Cl", "Na"]
    given = SOAPTransformer(centers="atoms", species=["Na", "K", "Cl"], **PARAMS).fit([salt])
    assert given.species_ == ["Cl", "K", "Na"]
    with pytest.raises(SnapshotError, match=r"Cl of .* is not among \['Na'\]"):
        SOAPTransformer(centers="atoms", species=["Na"], **PARAMS).fit([salt])
    with pytest.raises(SnapshotError, match="Al of"):
        given.transform([bulk("Al")])


def test_a_block_on_disk_belongs_to_its_species(salt, tmp_path):
    one = SOAPTransformer(centers="atoms", memory=tmp_path, **PARAMS).fit_transform([salt])[0]
    two = SOAPTransformer(centers="atoms", memory=tmp_path, species=["Na", "Cl", "K"], **PARAMS)
    assert two.fit_transform([salt])[0].shape[1] > one.shape[1]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"centers": "bonds"}, ValueError, "centers must be one of 'grid', 'atoms'; got 'bonds'"),
        ({"rbf": "spline"}, ValueError, "rbf must be one of"),
        ({"dtype": "int"}, ValueError, "dtype must be one of"),
        ({"r_cut": -1}, ValueError, "r_cut must be > 0, got -1"),
        ({"sigma": 0}, ValueError, "sigma must be > 0"),
        ({"n_max": 0}, ValueError, "n_max must be >= 1"),
        ({"l_max": 1.5}, TypeError, "l_max must be an integer"),
        ({"species": "NaCl"}, TypeError, "species must be a sequence of elements, got 'NaCl'"),
        ({"species": ["Na", "Xx"]}, ValueError, "species .* 'Xx'"),
    ],
)
def test_wrong_parameters_are_named_in_fit(salt, params, error, message):
    with pytest.raises(error, match=message):
        SOAPTransformer(**({"centers": "atoms"} | params)).fit([salt])
