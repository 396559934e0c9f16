"""Densities of several elements: the readable reference, laws, arguments; LAMMPS is elsewhere.

`test_snap_derivatives.py` compares with ``chem`` of LAMMPS, on grids and atoms.
"""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from skldos import AtomSNAPTransformer, GridSNAPTransformer, Snapshot
from skldos.descriptors.bispectrum import point_bispectrum, point_bispectrum_adjoint
from skldos.descriptors.bispectrum.reference import reference_chem_bispectrum
from skldos.exceptions import SnapshotError
from skldos.geometry import bin_neighbors, find_neighbors

SETTINGS = {"twojmax": 3, "r_cut": 3.4, "n_jobs": 1}


@pytest.fixture
def alloy():
    atoms = bulk("Al", cubic=True)
    atoms.symbols = ["Al", "Mg", "Al", "Mg"]
    atoms.rattle(0.1, seed=0)
    return atoms


def test_it_equals_the_readable_reference(alloy):
    weights, kinds = np.array([1.0, 0.6, 1.0, 0.6]), np.array([0, 1, 0, 1])
    at = {"twojmax": 3, "r_cut": 3.4, "rfac0": 0.9, "rmin0": 0.3}
    points, own = alloy.positions + np.array([[0], [0.2], [0], [0.1]]), [0, 1, 1, 0]
    found = point_bispectrum(
        points, alloy.positions, weights, alloy.cell.array,
        elements=kinds, point_elements=own, **at,
    )  # fmt: skip
    bins = bin_neighbors(alloy.positions, alloy.cell.array, at["r_cut"])
    for point, element, row in zip(points, own, found, strict=True):
        atoms, displacements = find_neighbors(point, bins)
        near = displacements, weights[atoms], kinds[atoms]
        expected = reference_chem_bispectrum(*near, element, 2, **at)
        assert np.abs(expected).max() > 1
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_all_triples_add_up_to_the_bispectrum_of_one_density(alloy):
    weights = {"Al": 1.0, "Mg": 0.6}
    one = AtomSNAPTransformer(weights=weights, **SETTINGS).fit_transform([alloy])[0]
    chem = AtomSNAPTransformer(weights=weights, chem=True, **SETTINGS).fit_transform([alloy])[0]
    np.testing.assert_allclose(chem.reshape(4, 8, -1).sum(axis=1), one, rtol=0, atol=1e-11)
    assert np.abs(chem - np.tile(one, 8)).max() > 1


def test_one_element_is_no_different():
    atoms = bulk("Al")
    plain, chem = (
        AtomSNAPTransformer(chem=chem, **SETTINGS).fit_transform([atoms])[0]
        for chem in (False, True)
    )
    np.testing.assert_allclose(chem, plain, rtol=1e-13)


def test_an_element_may_be_missing(alloy):
    snap = AtomSNAPTransformer(chem=True, **SETTINGS).fit([alloy])
    rows = snap.transform([bulk("Mg")])[0]
    by_triple = rows.reshape(len(rows), 8, -1)
    assert not by_triple[:, :7].any()  # all but Mg Mg Mg
    assert by_triple[:, 7].any()
    by_positions, _ = snap.pullback(Snapshot(bulk("Mg")), np.ones_like(rows))
    assert np.isfinite(by_positions).all()


def test_blocks_and_more_neighbours_than_there_was_room_for(alloy):
    crowd = alloy * (5, 5, 3)  # 300 atoms, more than one block of points
    options = SETTINGS | {"twojmax": 1, "r_cut": 6.5}
    rows = AtomSNAPTransformer(chem=True, **options).fit_transform([crowd])[0]
    small = AtomSNAPTransformer(chem=True, **options).fit_transform([alloy])[0]
    np.testing.assert_allclose(rows, np.tile(small, (75, 1)), rtol=1e-11, atol=1e-11)


def test_single_precision(alloy):
    double, single = (
        AtomSNAPTransformer(chem=True, dtype=dtype, **SETTINGS).fit_transform([alloy])[0]
        for dtype in ("float64", "float32")
    )
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=0, atol=2e-5 * np.abs(double).max())


def test_names_tell_the_elements(alloy):
    snap = GridSNAPTransformer(twojmax=1, chem=True, grid_shape=(1, 1, 1), n_jobs=1).fit([alloy])
    names = list(snap.get_feature_names_out())
    assert len(set(names)) == snap.n_features_out_ == 16
    assert names[:3] == ["B_0_0_0_Al_Al_Al", "B_1_0_1_Al_Al_Al", "B_0_0_0_Al_Al_Mg"]


def test_a_block_on_disk_belongs_to_its_elements(alloy, tmp_path):
    lithium = Atoms("Li", cell=3 * np.eye(3), pbc=True)
    snap = AtomSNAPTransformer(chem=True, memory=tmp_path, **SETTINGS)
    first = np.array(snap.fit([alloy, lithium]).transform([alloy])[0])
    sodium = Atoms("Na", cell=3 * np.eye(3), pbc=True)  # after Al and Mg, not between them
    second = np.array(snap.fit([alloy, sodium]).transform([alloy])[0])
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


def test_what_is_refused(alloy):
    with pytest.raises(ValueError, match="chem must be one of"):
        AtomSNAPTransformer(chem="Al", **SETTINGS).fit([alloy])
    snap = AtomSNAPTransformer(chem=True, **SETTINGS).fit([alloy])
    with pytest.raises(SnapshotError, match="Na of"):
        snap.transform([bulk("Na")])
    at = alloy.positions, alloy.positions, np.ones(4), alloy.cell.array
    with pytest.raises(ValueError, match="point_elements is required"):
        point_bispectrum(*at, elements=[0, 1, 0, 1])
    with pytest.raises(ValueError, match="point_elements is required"):
        point_bispectrum_adjoint(*at, np.ones((4, 5)), elements=[0, 1, 0, 1])
    with pytest.raises(ValueError, match="elements must have shape"):
        point_bispectrum(*at, elements=[0, 1], point_elements=[0] * 4)
    with pytest.raises(ValueError, match="need device='cpu'"):
        point_bispectrum(*at, elements=[0] * 4, point_elements=[0] * 4, device="cuda")
    with pytest.raises(ValueError, match="sensitivity must have shape"):
        point_bispectrum_adjoint(
            *at, np.ones((4, 5)), twojmax=2, elements=[0, 1, 0, 1], point_elements=[0] * 4
        )
