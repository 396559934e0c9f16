"""Derivatives of the bispectrum of atoms: LAMMPS, finite differences, laws.

`data/snap_derivatives.npz` was written by LAMMPS 2025-07-22 (`compute sna/atom`, `snad/atom`,
`snav/atom`, `sna/grid`), run by `benchmarks/peers/lammps_reference.py`, which says what is in it.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from skldos import AtomSNAPTransformer, GridSNAPTransformer, Snapshot

with np.load(Path(__file__).parent / "data" / "snap_derivatives.npz") as data:
    DATA = {name: data[name] for name in data.files}
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


def of_lammps(name):
    """Return atoms, parameters of a transformer, and what LAMMPS found."""
    found = {key.split("/")[1]: array for key, array in DATA.items() if key.startswith(f"{name}/")}
    atoms = Atoms(
        found["symbols"].tolist(), positions=found["positions"], cell=found["cell"], pbc=True
    )
    options = json.loads(str(found["settings"])) | {"n_jobs": 1}
    return SimpleNamespace(atoms=atoms, options=options, **{k: found[k] for k in (
        "atom", "grid", "by_positions", "by_strain")})  # fmt: skip


def moved(atoms, kind):
    """Return the same crystal, described by another cell or by atoms outside of it."""
    atoms = atoms.copy()
    if kind == "left-handed":
        atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    elif kind == "skewed":
        atoms.set_cell([[1, 0, 0], [2, 1, 0], [-1, 1, 1]] @ atoms.cell.array)
    elif kind == "outside":
        atoms.positions += np.arange(len(atoms) * 3).reshape(-1, 3) @ atoms.cell.array
    return atoms


@pytest.mark.parametrize("kind", ["as is", "left-handed", "skewed", "outside"])
@pytest.mark.parametrize("name", ["alloy", "isolated", "chem", "chem of three"])
def test_derivatives_are_those_of_lammps(name, kind):
    lammps = of_lammps(name)
    atoms = moved(lammps.atoms, kind)
    snap = AtomSNAPTransformer(**lammps.options).fit([atoms])
    rows = snap.transform([atoms])[0]
    np.testing.assert_allclose(rows, lammps.atom, rtol=0, atol=1e-11 * np.abs(rows).max())
    for t, symbol in enumerate(snap.species_):
        chosen = (atoms.symbols == symbol)[:, None]
        scale = np.abs(lammps.by_positions[:, t]).max()
        assert scale > 0.1
        for k in range(0, rows.shape[1], 3 if rows.shape[1] < 50 else 31):
            sensitivity = np.zeros_like(rows)
            sensitivity[:, k : k + 1] = chosen
            by_positions, by_strain = snap.pullback(Snapshot(atoms), sensitivity)
            expected = -lammps.by_positions[:, t, :, k]
            np.testing.assert_allclose(by_positions, expected, rtol=0, atol=1e-11 * scale)
            by_strain = [by_strain[pair] for pair in VOIGT]
            expected, scale_k = -lammps.by_strain[t, :, k], np.abs(lammps.by_strain[t]).max()
            np.testing.assert_allclose(by_strain, expected, rtol=0, atol=1e-11 * scale_k)


def test_derivatives_of_all_features_at_once():
    lammps = of_lammps("alloy")
    snap = AtomSNAPTransformer(**lammps.options).fit([lammps.atoms])
    by_positions, by_strain = snap.derivatives(lammps.atoms)
    expected = -lammps.by_positions.sum(axis=1)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(by_positions, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    expected = -lammps.by_strain.sum(axis=0)
    found = np.array([by_strain[pair] for pair in VOIGT])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["alloy", "chem", "chem of three"])
def test_grid_points_are_those_of_lammps(name):
    lammps = of_lammps(name)
    snap = GridSNAPTransformer(**lammps.options, grid_shape=(2, 1, 2))
    rows = snap.fit_transform([lammps.atoms])[0]
    assert np.abs(rows[:, -1]).max() > 1e-3
    np.testing.assert_allclose(rows, lammps.grid, rtol=0, atol=1e-11 * np.abs(rows).max())
