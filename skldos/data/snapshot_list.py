"""Sequences of snapshots, the input X of estimators."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.data import storage
from skldos.data.html import ROWS, table
from skldos.data.snapshot import Snapshot
from skldos.data.training import mass_density
from skldos.exceptions import SnapshotError

#: What scikit-learn's tools for tables are told.
NOT_A_TABLE = (
    "snapshots are not a table of numbers: begin a pipeline with a transformer of snapshots such "
    "as GridSNAPTransformer, and use BlockUnion instead of FeatureUnion or ColumnTransformer, "
    "RowWise around scalers, and SiteRegressor around regressors of scikit-learn."
)
#: Columns of a table of snapshots.
COLUMNS = {
    "name": lambda s: s.name,
    "formula": lambda s: s.formula,
    "n_atoms": lambda s: len(s.atoms),
    "volume": lambda s: abs(s.atoms.cell.volume),
    "density": lambda s: mass_density(s.atoms),
    "grid_shape": lambda s: s.grid_shape,
    "temperature": lambda s: s.temperature,
    "n_electrons": lambda s: s.n_electrons,
    "source": lambda s: s.source,
}


class _Shape(tuple):
    """A shape of one dimension; who asks for a number of columns is told that there are none."""

    __slots__ = ()

    def __getitem__(self, axis):
        if axis == 1:
            raise TypeError(NOT_A_TABLE)
        return super().__getitem__(axis)


class SnapshotList(Sequence):
    """A list of snapshots that scikit-learn can split, as it splits an array of samples.

    Parameters
    ----------
    snapshots : iterable of Snapshot or ase.Atoms
        The snapshots; bare atoms become snapshots without an electronic structure.

    Attributes
    ----------
    shape : tuple of 1 int
        Number of snapshots. Indices, slices, integer arrays and masks select a new list.

    Examples
    --------
    >>> from skldos.datasets import make_snapshots
    >>> snapshots = make_snapshots(3, random_state=0)
    >>> len(snapshots), type(snapshots[[0, 2]]).__name__
    (3, 'SnapshotList')
    """

    def __init__(self, snapshots=()):
        self._snapshots = [_as_snapshot(item, i) for i, item in enumerate(_check_many(snapshots))]

    @property
    def shape(self):
        """Number of snapshots, as a tuple."""
        return _Shape((len(self._snapshots),))

    @property
    def targets(self):
        """The LDOS of every snapshot, a list of arrays or handles for use as `y`."""
        for snapshot in self:
            snapshot.require("ldos")
        return [snapshot.ldos for snapshot in self]

    def save(self, directory, *, overwrite=False):
        """Write all snapshots to a new `directory`: one JSON index and one ``.npy`` per field.

        Of the atoms, numbers, positions and cell are kept; tags, magnetic moments, constraints,
        ``info`` and any other array are not. Nothing is pickled: loading executes no code.

        The index is written last and in one step. Whatever stops the program, the folder holds
        either all of the new snapshots or what it held before; of several programs that save to
        one folder, the last wins. Other files are not touched.

        Parameters
        ----------
        directory : str or path-like
            Folder to create.
        overwrite : bool, default=False
            Whether to replace existing snapshots; handles of their files become invalid.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        FileExistsError
            If the folder holds snapshots already and `overwrite` is False.
        FileFormatError
            If `overwrite` is True and the index in the folder is damaged, or not written by skldos
            (remove it first), or if a source file of a snapshot is damaged.
        OSError
            If the disk is full; no part of the new snapshots remains.
        ValueError
            If a snapshot has more than twice as many electrons as its neutral atoms.
        """
        return storage.save_snapshots(self, Path(directory), overwrite=overwrite)

    @classmethod
    def load(cls, directory):
        """Read snapshots that :meth:`save` wrote; fields come as :class:`ArrayFile` handles.

        Parameters
        ----------
        directory : str or path-like
            The folder.

        Returns
        -------
        SnapshotList
            The snapshots. Their fields are verified when they are first read.

        Raises
        ------
        FileNotFoundError
            If the folder holds no snapshots, or one of their files is missing.
        FileFormatError
            If the index or a file is damaged, is not the saved one, or holds impossible values.

        Examples
        --------
        >>> import tempfile
        >>> from skldos.datasets import make_snapshots
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = make_snapshots(2, random_state=0).save(f"{folder}/set")
        ...     print(SnapshotList.load(path)[0].ldos.shape)
        (6, 6, 6, 21)
        """
        return cls(storage.load_snapshots(Path(directory)))

    def to_frame(self):
        """Return a table of the snapshots' properties, one row per snapshot.

        Returns
        -------
        pandas.DataFrame
            Columns ``name``, ``formula``, ``n_atoms``, ``volume`` (Å³), ``density`` (g/cm³),
            ``grid_shape``, ``temperature`` (K), ``n_electrons``, ``source``, then every entry of
            a `reference` that is a single number (in eV where it is an energy) or a text. What a
            snapshot does not have is missing (NaN or None).

        Examples
        --------
        >>> from skldos.datasets import make_snapshots
        >>> table = make_snapshots(2, random_state=0).to_frame()
        >>> table[["formula", "n_atoms", "temperature", "n_electrons"]]
          formula  n_atoms  temperature  n_electrons
        0     Al4        4        298.0         12.0
        1     Al4        4        298.0         12.0
        """
        import pandas as pd

        rows = [
            {name: entry(s) for name, entry in COLUMNS.items()}
            | {
                name: value
                for name, value in s.reference.items()
                if name not in COLUMNS and np.ndim(value) == 0 and not isinstance(value, Mapping)
            }
            for s in self
        ]
        frame = pd.DataFrame(rows, columns=None if rows else [*COLUMNS])
        return frame.astype({"temperature": float, "n_electrons": float})

    def _repr_html_(self):
        header = ["", "name", "formula", "grid", "temperature", "electrons", "DOS"]
        rows = [
            (
                str(i),
                s.name or "",
                s.formula,
                " × ".join(map(str, s.grid_shape or ())),
                "" if s.temperature is None else f"{s.temperature:g} K",
                "" if s.n_electrons is None else f"{s.n_electrons:g}",
                s._curve() or "",
            )
            for i, s in enumerate(self._snapshots[:ROWS])
        ]
        more = f", the first {ROWS}" if len(self) > ROWS else ""
        noun = "snapshot" if len(self) == 1 else "snapshots"
        return table(f"SnapshotList of {len(self)} {noun}{more}", rows, header)

    def __len__(self):
        return len(self._snapshots)

    def __getitem__(self, key):
        # scikit-learn selects samples as X[indices, ...].
        if isinstance(key, tuple):
            key = key[0]
        if isinstance(key, (int, np.integer)):
            return self._snapshots[key]
        return type(self)([self._snapshots[i] for i in np.arange(len(self))[key]])

    def __add__(self, other):
        return type(self)([*self, *SnapshotList(other)])

    def __eq__(self, other):
        if not isinstance(other, SnapshotList):
            return NotImplemented
        return len(self) == len(other) and all(a is b for a, b in zip(self, other, strict=True))

    __hash__ = None

    def __array__(self, dtype=None, copy=None):
        if dtype is None or np.dtype(dtype) != object:
            # scikit-learn would reject a one-dimensional array, or reshape it.
            raise TypeError(NOT_A_TABLE)
        array = np.empty(len(self), dtype=object)
        array[:] = self._snapshots
        return array

    def __repr__(self):
        shown = [f"  {snapshot!r}," for snapshot in self._snapshots[:ROWS]]
        if len(self) > len(shown):
            shown.append(f"  … {len(self) - len(shown)} more")
        return "\n".join(["SnapshotList([", *shown, "])"]) if shown else "SnapshotList([])"


def as_snapshots(X):
    """Return `X` as a :class:`SnapshotList`; a single snapshot or Atoms object is an error.

    Parameters
    ----------
    X : sequence of Snapshot or ase.Atoms
        The samples.

    Returns
    -------
    SnapshotList
        The same snapshots.

    Raises
    ------
    TypeError
        If `X` is a single snapshot, or not a sequence of snapshots.
    SnapshotError
        If `X` is empty, or an ``Atoms`` object does not make a snapshot.
    """
    if hasattr(X, "__iter__") and not hasattr(X, "__len__"):
        # Every step of a pipeline reads X; an iterator would be empty for the second step.
        raise TypeError(
            f"expected a sequence of Snapshot or ase.Atoms, got {type(X).__name__}, which can be "
            "read only once; make it a SnapshotList(X)."
        )
    snapshots = X if isinstance(X, SnapshotList) else SnapshotList(X)
    if len(snapshots) == 0:
        raise SnapshotError("X must hold at least one snapshot, got an empty sequence.")
    return snapshots


def _check_many(snapshots):
    if isinstance(snapshots, (Snapshot, Atoms)):
        raise TypeError(
            f"expected a sequence of snapshots, got a single {type(snapshots).__name__}; "
            "put it into a list: [snapshot]."
        )
    if isinstance(snapshots, (str, Path)):
        raise TypeError(
            f"expected a sequence of Snapshot or ase.Atoms, got the path {str(snapshots)!r}; read "
            "it with skldos.io.read_snapshots, structures also with ase.io.read."
        )
    if isinstance(snapshots, bytes) or not hasattr(snapshots, "__iter__"):
        raise TypeError(
            f"expected a sequence of Snapshot or ase.Atoms, got {type(snapshots).__name__}."
        )
    return snapshots


def _as_snapshot(item, position):
    if isinstance(item, Snapshot):
        return item
    if isinstance(item, Atoms):
        return Snapshot(item)
    shape = f" of shape {item.shape}" if hasattr(item, "shape") else ""
    raise TypeError(
        f"expected a sequence of Snapshot or ase.Atoms, got {type(item).__name__}{shape} at "
        f"position {position}."
    )
