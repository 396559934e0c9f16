"""Fields on the grid of a cell, written for programs such as VESTA or OVITO."""

import numpy as np
from ase import Atoms

from skldos.data import Snapshot
from skldos.data.files import atomic_file
from skldos.data.ranges import check_atoms_values, check_unmasked, check_within
from skldos.io.cube import LARGEST_VALUE
from skldos.units import BOHR, HARTREE
from skldos.validation import check_shape

#: Decimals of a value: more than single precision has.
PER_LINE, FORMAT = 6, " %15.8E"


def write_cube(path, values, atoms, *, title="written by skldos"):
    """Write one field, such as a density or a potential, to a Gaussian cube file.

    :func:`read_cube`, ASE, VESTA, OVITO and VMD read it.

    Parameters
    ----------
    path : str or path-like
        The file, ``*.cube``.
    values : array-like of shape (n_x, n_y, n_z)
        Values at the grid points, in any unit; they are written unchanged. Programs expect
        densities in 1/bohr³: multiply the density of a snapshot by ``skldos.units.BOHR**3``.
    atoms : ase.Atoms or Snapshot
        The atoms in the cell that the grid fills.
    title : str
        The first line of the file. Use it for the name of the values and their unit.

    Raises
    ------
    ValueError
        If `values` are not on a grid, or not finite, or the atoms have no cell.

    See Also
    --------
    skldos.physics.ldos_at, skldos.physics.integrated_ldos, skldos.physics.effective_potential :
        Fields to plot.

    Examples
    --------
    >>> import tempfile
    >>> from skldos.datasets import load_aluminium
    >>> from skldos.io import read_cube, write_cube
    >>> from skldos.physics import integrated_ldos
    >>> from skldos.units import BOHR, HARTREE
    >>> snapshot = load_aluminium(temperature=298)[0]
    >>> mu = snapshot.reference["fermi_energy"]
    >>> states = integrated_ldos(snapshot.ldos, snapshot.energies, mu - 0.5, mu + 0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_cube(f"{folder}/states.cube", states * BOHR**3, snapshot, title="1/bohr^3")
    ...     again, atoms = read_cube(f"{folder}/states.cube")
    >>> bool(abs(again / BOHR**3 - states).max() < 1e-7 * states.max()), len(atoms)
    (True, 4)
    """
    values, atoms = _checked(values, atoms)
    lines = [_one_line(title), "grid of a periodic cell, lengths in bohr"]
    lines.append(f"{len(atoms):5d}" + _row([0.0, 0.0, 0.0]))
    for n, vector in zip(values.shape, atoms.cell.array / BOHR, strict=True):
        lines.append(f"{n:5d}" + _row(vector / n))
    for number, position in zip(atoms.numbers, atoms.positions / BOHR, strict=True):
        lines.append(f"{number:5d}" + _row([float(number), *position]))
    with atomic_file(path, "w") as file:
        file.write("\n".join(lines) + "\n")
        for column in values.reshape(-1, values.shape[2]):
            # Every row along z begins on a new line.
            _write_numbers(file, column)


def write_xsf(path, fields, atoms):
    """Write fields on one grid, with the atoms, to an XSF file for XCrySDen or VESTA.

    Parameters
    ----------
    path : str or path-like
        The file, ``*.xsf``.
    fields : array-like of shape (n_x, n_y, n_z), or mapping of str to such arrays
        Values at the grid points, in any unit; several fields by name.
    atoms : ase.Atoms or Snapshot
        The atoms in the cell that the grid fills. Forces of a snapshot are written too.

    Raises
    ------
    ValueError
        If the fields are not on a grid, or not finite, a name is not one word, or the atoms have
        no cell.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skldos.datasets import load_aluminium
    >>> from skldos.io import write_xsf
    >>> snapshot = load_aluminium(temperature=298)[0]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_xsf(f"{folder}/Al.xsf", {"density": snapshot.density}, snapshot)
    ...     print(Path(f"{folder}/Al.xsf").read_text().splitlines()[:2])
    ['CRYSTAL', 'PRIMVEC']
    """
    by_name = dict(fields) if hasattr(fields, "items") else {"field": fields}
    forces = atoms.reference.get("forces") if isinstance(atoms, Snapshot) else None
    forces = None if forces is None else np.asarray(forces)
    checked = {}
    for name, values in by_name.items():
        if not isinstance(name, str) or len(name.split()) != 1:
            raise ValueError(f"the name of a field must be one word, got {name!r}.")
        checked[name], bare = _checked(values, atoms, name)
    if not checked:
        raise ValueError("fields must hold at least one field, got none.")
    cell = [_row(vector) for vector in bare.cell.array]
    lines = ["CRYSTAL", "PRIMVEC", *cell, "PRIMCOORD", f"{len(bare)} 1"]
    # The format has forces in hartree/Å.
    rows = bare.positions if forces is None else np.hstack([bare.positions, forces / HARTREE])
    lines += [f"{number:3d}{_row(row)}" for number, row in zip(bare.numbers, rows, strict=True)]
    with atomic_file(path, "w") as file:
        file.write("\n".join([*lines, "BEGIN_BLOCK_DATAGRID_3D", "skldos"]) + "\n")
        for name, values in checked.items():
            # A general grid repeats the first points at the end; x runs fastest.
            values = np.pad(values, (0, 1), mode="wrap")
            shape = " ".join(map(str, values.shape))
            header = [f"BEGIN_DATAGRID_3D_{name}", shape, _row([0.0, 0.0, 0.0]), *cell]
            file.write("\n".join(header) + "\n")
            for plane in values.transpose(2, 1, 0):
                _write_numbers(file, plane.reshape(-1))
            file.write("END_DATAGRID_3D\n")
        file.write("END_BLOCK_DATAGRID_3D\n")


def _checked(values, atoms, name="values"):
    """Return a field as an array of floats, and the atoms."""
    if isinstance(atoms, Snapshot):
        atoms = atoms.atoms
    if not isinstance(atoms, Atoms):
        raise TypeError(f"atoms must be an ase.Atoms or a Snapshot, got {type(atoms).__name__}.")
    if not len(atoms):
        raise ValueError("atoms must hold at least one atom, got none.")
    check_atoms_values(atoms)
    check_unmasked(name, values)
    values = np.asarray(values)
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be real numbers, got {values.dtype}.")
    check_shape(name, values, (None, None, None))
    if values.size == 0:
        raise ValueError(f"{name} must have at least one point, got shape {values.shape}.")
    check_within(name, values, LARGEST_VALUE)
    return values.astype(float), atoms


def _one_line(title):
    # Names of files may hold bytes that are no UTF-8, which cannot be written.
    if (
        not isinstance(title, str)
        or len(title.splitlines()) > 1
        or title.encode(errors="ignore").decode() != title
    ):
        raise ValueError(f"title must be one line of text, got {title!r}.")
    return title


def _row(numbers):
    # Enough digits for a displacement of 1e-9 Å.
    return "".join(f" {number:19.12f}" for number in numbers)


def _write_numbers(file, values):
    """Write numbers, six to a line."""
    full = len(values) // PER_LINE * PER_LINE
    np.savetxt(file, values[:full].reshape(-1, PER_LINE), fmt=FORMAT, delimiter="")
    if full < len(values):
        np.savetxt(file, values[None, full:], fmt=FORMAT, delimiter="")
