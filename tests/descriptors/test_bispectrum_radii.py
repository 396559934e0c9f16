"""Cutoffs that differ between elements: LAMMPS, the readable reference, gradients, laws.

`data/snap_radii.npz`: a triclinic cell of two Na and two Cl, `compute sna/grid` and `sna/atom` of
LAMMPS 2025-07-22 with element radii 0.5 and 0.36, that is `radii` of 1 and 0.72.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms

from skldos import AtomSNAPTransformer, GridSNAPTransformer, Snapshot
from skldos.descriptors.bispectrum import (
    grid_bispectrum,
    grid_bispectrum_adjoint,
    point_bispectrum,
    point_bispectrum_adjoint,
)
from skldos.descriptors.bispectrum.reference import reference_bispectrum
from skldos.exceptions import SnapshotError
from skldos.geometry.neighbors import bin_neighbors, find_neighbors

ELSEWHERE = torch.device("cpu", 0)  # the way of every device but "cpu"


@pytest.fixture(scope="module")
def salt():
    with np.load(Path(__file__).parent / "data" / "snap_radii.npz") as data:
        weights, radii = (json.loads(str(data[name])) for name in ("weights", "radii"))
        atoms = Atoms(data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True)
        return SimpleNamespace(
            atoms=atoms,
            options={"weights": weights, "radii": radii, "n_jobs": 1},
            settings={"twojmax": int(data["twojmax"]), "r_cut": float(data["rcut"])},
            weights=np.array([weights[s] for s in atoms.symbols]),
            radii=np.array([radii[s] for s in atoms.symbols]),
            grid_shape=tuple(data["grid_shape"].tolist()),
            of_grid=data["grid"],
            of_atoms=data["atom"],
        )


def arrays(salt):
    """Return positions, weights and cell."""
    return salt.atoms.positions, salt.weights, salt.atoms.cell.array


def near(values, expected, tolerance):
    scale = np.abs(expected).max()
    assert scale > 1e-3
    return np.abs(values - expected).max() <= tolerance * scale


def test_grid_agrees_with_lammps(salt):
    snap = GridSNAPTransformer(grid_shape=salt.grid_shape, **salt.settings, **salt.options)
    (block,) = snap.fit_transform([salt.atoms])
    assert near(block, salt.of_grid, 1e-13)
    (alike,) = snap.set_params(radii=None).fit_transform([salt.atoms])
    assert not near(alike, salt.of_grid, 1e-2)


def test_atoms_agree_with_lammps(salt):
    snap = AtomSNAPTransformer(**salt.settings, **salt.options)
    (block,) = snap.fit_transform([salt.atoms])
    assert near(block, salt.of_atoms, 1e-13)


def test_slices_see_their_own_radii(salt):
    snap = AtomSNAPTransformer(**salt.settings, **salt.options).fit([salt.atoms])
    whole = snap.transform([salt.atoms])[0]
    part = snap.compute(Snapshot(salt.atoms), 1, 3)
    np.testing.assert_array_equal(part, whole[1:3])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_other_devices_agree_with_lammps(salt, dtype, tolerance):
    options = {"radii": salt.radii, "device": ELSEWHERE, "dtype": dtype, **salt.settings}
    block = grid_bispectrum(*arrays(salt), salt.grid_shape, **options)
    assert near(block, salt.of_grid, tolerance)
    positions = salt.atoms.positions
    block = point_bispectrum(positions, *arrays(salt), point_radii=salt.radii, **options)
    assert near(block, salt.of_atoms, tolerance)


def test_a_point_agrees_with_the_readable_reference(salt):
    positions, weights, cell = arrays(salt)
    point, own = np.array([0.3, 1.1, 2.0]), 1.3
    found = point_bispectrum(
        point[None], *arrays(salt), radii=salt.radii, point_radii=[own], **salt.settings
    )
    cutoffs = salt.settings["r_cut"] * (own + salt.radii) / 2
    atoms, displacements = find_neighbors(point, bin_neighbors(positions, cell, cutoffs.max()))
    inside = np.linalg.norm(displacements, axis=1) < cutoffs[atoms]
    assert 0 < inside.sum() < len(inside)
    atoms, displacements = atoms[inside], displacements[inside]
    expected = reference_bispectrum(
        displacements, weights[atoms], twojmax=salt.settings["twojmax"], r_cut=cutoffs[atoms]
    )
    np.testing.assert_allclose(found[0], expected, rtol=1e-12, atol=1e-13)


def test_equal_radii_are_a_longer_cutoff(salt):
    longer = {**salt.settings, "r_cut": 1.2 * salt.settings["r_cut"]}
    expected = grid_bispectrum(*arrays(salt), salt.grid_shape, **longer)
    found = grid_bispectrum(*arrays(salt), salt.grid_shape, radii=np.full(4, 1.2), **salt.settings)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("device", ["cpu", ELSEWHERE])
def test_gradients_are_differences(salt, device):
    """By positions of a sum with random coefficients; the strain from a deformed crystal."""
    positions, weights, cell = arrays(salt)
    rng = np.random.default_rng(0)
    beta = rng.standard_normal(salt.of_grid.shape)
    options = {"radii": salt.radii, **salt.settings}

    def total(positions, cell):
        return (beta * grid_bispectrum(positions, weights, cell, salt.grid_shape, **options)).sum()

    by_atom, by_strain = grid_bispectrum_adjoint(
        positions, weights, cell, salt.grid_shape, beta, device=device, **options
    )
    h, step = 1e-5, rng.standard_normal((4, 3))
    slope = (total(positions + h * step, cell) - total(positions - h * step, cell)) / (2 * h)
    assert abs(slope) > 1.0
    assert (by_atom * step).sum() == pytest.approx(slope, rel=1e-7)
    strain = rng.standard_normal((3, 3))
    up, down = (np.eye(3) + sign * h * strain for sign in (1, -1))
    slope = (total(positions @ up, cell @ up) - total(positions @ down, cell @ down)) / (2 * h)
    assert (by_strain * strain).sum() == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("device", ["cpu", ELSEWHERE])
def test_gradients_of_atoms_are_differences(salt, device):
    positions, weights, cell = arrays(salt)
    rng = np.random.default_rng(1)
    beta = rng.standard_normal(salt.of_atoms.shape)
    options = {"radii": salt.radii, "point_radii": salt.radii, **salt.settings}

    def total(positions):
        return (beta * point_bispectrum(positions, positions, weights, cell, **options)).sum()

    by_point, by_atom, _ = point_bispectrum_adjoint(
        positions, positions, weights, cell, beta, device=device, **options
    )
    h, step = 1e-5, rng.standard_normal((4, 3))
    slope = (total(positions + h * step) - total(positions - h * step)) / (2 * h)
    assert abs(slope) > 1.0
    assert ((by_point + by_atom) * step).sum() == pytest.approx(slope, rel=1e-7)


def test_what_cannot_be_combined(salt):
    with pytest.raises(ValueError, match="both"):
        point_bispectrum(np.zeros((1, 3)), *arrays(salt), radii=salt.radii, **salt.settings)


def test_every_element_has_a_radius(salt):
    snap = AtomSNAPTransformer(**salt.settings, **(salt.options | {"radii": {"Na": 1.0}}))
    with pytest.raises(SnapshotError, match="radii must have a value for every element: Cl"):
        snap.fit_transform([salt.atoms])
    with pytest.raises(TypeError, match="radii must be a mapping"):
        snap.set_params(radii=[1.0]).fit([salt.atoms])
    with pytest.raises(ValueError, match="radii needs rmin0=0"):
        snap.set_params(radii={"Na": 1.0, "Cl": 1.0}, rmin0=0.1).fit([salt.atoms])
