"""MALA's fields in HDF5 files of the openPMD standard.

A file holds ``/data/<iteration>/meshes/<name>/<k>``, one array of shape (n_x, n_y, n_z) per
component k: an energy of an LDOS, or the one component of a density.
"""

from pathlib import Path

import numpy as np

from skldos.data.files import file_state
from skldos.data.lazy import LazyArray
from skldos.exceptions import FileFormatError
from skldos.io.hdf5 import open_hdf5
from skldos.io.limits import check_numbers, check_stored, refusing_damage

# Joules in one eV, from e = 1.602176634e-19 C (exact in the SI of 2019).
ELECTRONVOLT = 1.602176634e-19
#: Unit of the fields in SI: 1/(eV Å³) and 1/Å³.
UNITS = {"LDOS": 1e30 / ELECTRONVOLT, "Density": 1e30}


def read_openpmd(path, field="LDOS"):
    """Open a field in an openPMD file (``.h5``) that MALA wrote.

    Parameters
    ----------
    path : str or path-like
        The file; reading it needs h5py (``pip install skldos[io]``).
    field : str, default="LDOS"
        Name of the field: ``"LDOS"`` in 1/(eV Å³), ``"Density"`` in 1/Å³, or a descriptor.

    Returns
    -------
    LazyArray of shape (n_x, n_y, n_z, n_components)
        Slices of the first axis are read on demand; ``numpy.asarray`` reads everything.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is not openPMD, lacks the field, or holds it in other units or axes.
    ImportError
        If h5py is not installed.

    Examples
    --------
    >>> from skldos.io import read_openpmd
    >>> read_openpmd("Be_snapshot0.out.h5").shape  # doctest: +SKIP
    (18, 18, 27, 11)
    """
    return OpenPMDField(path, field)


class OpenPMDField(LazyArray):
    """The result of :func:`read_openpmd`; it holds path and shape, but no data.

    Parameters
    ----------
    path, field
        As in :func:`read_openpmd`.
    """

    def __init__(self, path, field="LDOS"):
        self.path = Path(path).absolute()
        self.field = field
        with refusing_damage(self.path), open_hdf5(self.path) as file:
            self._components = _components(file, field, self.path)
            first = file[self._components[0]]
            self.shape = (*first.shape, len(self._components))
            self.dtype = first.dtype

    def read(self, start, stop):
        """Return rows `start` to `stop` of the first axis as an array in memory."""
        rows = np.empty((stop - start, *self.shape[1:]), dtype=self.dtype)
        with refusing_damage(self.path), open_hdf5(self.path) as file:
            for k, name in enumerate(self._components):
                rows[..., k] = file[name][start:stop]
        check_numbers(self.field, rows, self.path)
        return rows

    def __getstate__(self):
        return file_state(self.path) | {"field": self.field}

    def __setstate__(self, state):
        self.__init__(state["path"], state["field"])

    def __repr__(self):
        return f"OpenPMDField({str(self.path)!r}, {self.field!r}, shape={self.shape})"


def _components(file, field, path):
    """Return the names of the arrays of a field, in order."""
    if "openPMD" not in file.attrs or "data" not in file:
        raise FileFormatError("the file is not in the openPMD format", path)
    iterations = sorted(file["data"])
    if len(iterations) != 1:
        raise FileFormatError(f"expected one iteration, got {iterations}", path)
    meshes = file[f"data/{iterations[0]}"].get("meshes", {})
    if field not in meshes:
        raise FileFormatError(f"the field {field!r} is not among {sorted(meshes)}", path)
    mesh = meshes[field]
    axes = [_text(label) for label in mesh.attrs.get("axisLabels", ())]
    if axes != ["x", "y", "z"] or _text(mesh.attrs.get("dataOrder")) != "C":
        raise FileFormatError(f"expected the axes x, y, z in C order, got {axes}", path)
    count = len(mesh)
    names = [f"{mesh.name}/{k}" for k in range(count)]
    if count == 0 or any(name not in file for name in names):
        raise FileFormatError(f"expected components 0, 1, …, got {sorted(mesh)}", path)
    for name in names:
        _check_component(file[name], file[names[0]], field, path)
    return names


def _check_component(component, first, field, path):
    shape = getattr(component, "shape", None)
    if shape is None or len(shape) != 3 or shape != first.shape or component.dtype != first.dtype:
        raise FileFormatError(f"{component.name} is not an array (n_x, n_y, n_z)", path)
    if component.dtype.kind not in "fiu" or component.size == 0:
        raise FileFormatError(
            f"{component.name} must hold real numbers, got {component.shape} of {component.dtype}",
            path,
        )
    check_stored(component, path)
    unit, expected = component.attrs.get("unitSI"), UNITS.get(field)
    # MALA uses the constants of CODATA 2014, which differ by 7e-9.
    is_number = np.ndim(unit) == 0 and isinstance(unit, (int, float, np.number))
    if expected is not None and not (is_number and np.isclose(unit, expected, rtol=1e-6, atol=0)):
        raise FileFormatError(
            f"expected {component.name} in units of {expected:.6e} (SI), got {unit}", path
        )


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)
