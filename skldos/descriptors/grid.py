"""The base class of transformers whose sites are the points of a grid."""

import numpy as np

from skldos.data import as_snapshots
from skldos.descriptors.base import SnapshotTransformer
from skldos.docstrings import like
from skldos.exceptions import SnapshotError
from skldos.geometry import check_grid_shape


class GridTransformer(SnapshotTransformer):
    """Base class of transformers whose sites are the points of a grid.

    It adds a parameter `grid_shape` to those of :class:`SnapshotTransformer`: the points along each
    cell vector, for snapshots without a grid. None uses the grid of each snapshot. The sites are
    the grid points in C order.

    Attributes
    ----------
    grid_spacing_ : ndarray of shape (3,)
        Finest spacing in Å of the grids seen in ``fit``, along each cell vector.

    See Also
    --------
    SnapshotTransformer : The hooks of a subclass.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos.descriptors import GridTransformer
    >>> from skldos.geometry import grid_points
    >>> class Heights(GridTransformer):
    ...     def __init__(self, grid_shape=None, dtype="float64", memory=None, verbose=False):
    ...         self.grid_shape = grid_shape
    ...         self.dtype = dtype
    ...         self.memory = memory
    ...         self.verbose = verbose
    ...
    ...     def compute(self, snapshot, start, stop):
    ...         cell, grid = snapshot.atoms.cell.array, self.grid(snapshot)
    ...         return grid_points(cell, grid, start, stop)[:, 2:]
    ...
    ...     def feature_names(self):
    ...         return ["z"]
    >>> Heights((1, 1, 2)).fit_transform([bulk("Al", cubic=True)])[0]
    array([[0.   ],
           [2.025]])
    """

    free_parameters = (*SnapshotTransformer.free_parameters, "grid_shape")

    @like(SnapshotTransformer.fit)
    def fit(self, X, y=None):
        snapshots = as_snapshots(X)
        super().fit(snapshots)
        # Per cell vector the finest, so that a grid for another cell can be made as fine.
        spacings = [s.atoms.cell.lengths() / self.grid(s) for s in snapshots]
        self.grid_spacing_ = np.min(spacings, axis=0)
        return self

    def grid(self, snapshot):
        """Return the grid whose points are the sites of `snapshot`, a tuple of three int."""
        return snapshot.grid_shape if self.grid_shape is None else check_grid_shape(self.grid_shape)

    def n_sites(self, snapshot):
        """Return the number of rows of the block of `snapshot`: its number of grid points."""
        return int(np.prod(self.grid(snapshot)))

    def check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""
        super().check_parameters()
        if self.grid_shape is not None:
            check_grid_shape(self.grid_shape)

    def check_snapshot(self, snapshot):
        """Raise an error for an element not seen in ``fit``, or a grid that does not fit."""
        super().check_snapshot(snapshot)
        name = type(self).__name__
        grid = self.grid(snapshot)
        if grid is None:
            raise SnapshotError(
                f"{snapshot!r} has no grid: give it a grid_shape, or set the grid_shape of {name}."
            )
        fields = [field for field in ("ldos", "density") if getattr(snapshot, field) is not None]
        if fields and grid != snapshot.grid_shape:
            # Row i of the block would not be the point of row i of the target.
            raise SnapshotError(
                f"the grid_shape of {name} must be {snapshot.grid_shape}, that of the "
                f"{fields[0]} of {snapshot!r}, or None; got {grid}."
            )

    def cache_key(self, snapshot):
        """Return everything the block of `snapshot` depends on, including its grid."""
        name, params, *rest = super().cache_key(snapshot)
        # The same grid is the same block, wherever it was named.
        return (name, params | {"grid_shape": self.grid(snapshot)}, *rest)

    def _on_sites(self, snapshot):
        if snapshot.grid_shape == self.grid(snapshot):
            return snapshot
        return snapshot.replace(grid_shape=self.grid(snapshot))
