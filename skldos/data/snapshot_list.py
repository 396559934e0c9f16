"""Sequences of snapshots: what estimators take as X."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos.data import storage
from skldos.data.snapshot import Snapshot
from skldos.exceptions import SnapshotError


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
        return (len(self._snapshots),)

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

        Parameters
        ----------
        directory : str or path-like
            Folder to make.
        overwrite : bool, default=False
            Whether to replace snapshots that are already there; handles of their files that
            are still held elsewhere find nothing any more.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        FileExistsError
            If the folder holds snapshots already and `overwrite` is False.
        """
        return storage.save_snapshots(self, Path(directory), overwrite=overwrite)

    @classmethod
    def load(cls, directory):
        """Read snapshots that :meth:`save` wrote; fields come as :class:`ArrayFile` handles.

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

    def __repr__(self):
        shown = [f"  {snapshot!r}," for snapshot in self._snapshots[:10]]
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
        # Every step of a pipeline looks at X; an iterator would be empty for the second.
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
    if isinstance(snapshots, (str, bytes)) or not hasattr(snapshots, "__iter__"):
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
