"""What all transformers of snapshots share: blocks, cache, progress, output containers."""

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skldos._compat import BlockTransformerMixin, output_container
from skldos._validation import check_option, check_scalar
from skldos.data import Blocks, ComputedArray, SnapshotList, as_snapshots
from skldos.descriptors._store import BlockStore
from skldos.exceptions import SnapshotError
from skldos.geometry import check_grid_shape

#: Sites that are computed at once; between two such chunks a progress bar can move.
CHUNK_SITES = 8192


class SnapshotTransformer(BlockTransformerMixin, BaseEstimator, metaclass=ABCMeta):
    """Base of transformers from snapshots to one block of features per snapshot.

    A subclass implements :meth:`_compute` and :meth:`_feature_names`, and checks its parameters
    in :meth:`_check_parameters`. Its sites are the atoms, or the points of a grid if it says
    `_sites_on_grid`. Parameters it should have besides its own: `dtype`, `memory`, `verbose`,
    and for a grid `grid_shape`. Where it has `n_jobs`, or `weights` or `radii` of elements, these
    are checked here.
    """

    #: Raised by a subclass when its blocks change, so that caches of older ones are left alone.
    _block_version = 1

    #: Whether sites are points of a grid, that of the parameter `grid_shape` or else that of
    #: the snapshot; if not, they are the atoms.
    _sites_on_grid = False

    #: Parameters that change how a block is computed, but not what is in it.
    _not_in_cache_key = ("n_jobs", "memory", "verbose", "device")

    def fit(self, X, y=None):
        """Check the parameters and learn which elements there are.

        Parameters
        ----------
        X : sequence of Snapshot or ase.Atoms
            The snapshots.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted transformer.
        """
        snapshots = as_snapshots(X)
        self._check_parameters()
        self.species_ = self._learn_species(snapshots)
        for snapshot in snapshots:
            self._check_snapshot(snapshot)
        if self._sites_on_grid:
            # Per cell vector the finest, so that a grid for another cell can be made as fine.
            spacings = [s.atoms.cell.lengths() / self._grid(s) for s in snapshots]
            self.grid_spacing_ = np.min(spacings, axis=0)
        self.n_features_out_ = len(self._feature_names())
        return self

    def transform(self, X):
        """Compute the block of every snapshot.

        Parameters
        ----------
        X : sequence of Snapshot or ase.Atoms
            The snapshots.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One block of shape (n_sites, n_features_out) per snapshot: an array, an
            :class:`~skldos.ArrayFile` if `memory` is set, or a DataFrame after
            ``set_output(transform="pandas")``.
        """
        blocks, snapshots = self._blocks(X)
        return Blocks([self._wrap(block) for block in blocks], snapshots)

    def transform_lazy(self, X):
        """Return blocks whose rows are computed when they are read, a slice at a time.

        Nothing is kept: for one pass over a grid that is too large for memory.

        Parameters
        ----------
        X : sequence of Snapshot or ase.Atoms
            The snapshots.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One :class:`~skldos.data.ComputedArray` per snapshot, or what `memory` holds.
        """
        return Blocks(*self._blocks(X, lazy=True))

    def get_feature_names_out(self, input_features=None):
        """Return the names of the features.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str of shape (n_features_out,)
            One name per column of a block.
        """
        return np.asarray(self._fitted_names(), dtype=object)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_features_out_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    # ---------------------------------------------------------------- for subclasses

    def _check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""
        check_option("dtype", self.dtype, ("float64", "float32"))
        if getattr(self, "grid_shape", None) is not None:
            check_grid_shape(self.grid_shape)
        n_jobs = getattr(self, "n_jobs", None)
        if n_jobs is not None and check_scalar("n_jobs", n_jobs, integer=True) == 0:
            raise ValueError("n_jobs must be a number of threads, or negative for all; got 0.")
        for name, by_element in self._by_element().items():
            if not isinstance(by_element, Mapping):
                raise TypeError(
                    f"{name} must be a mapping of elements to numbers, got "
                    f"{type(by_element).__name__}."
                )
            for symbol, number in by_element.items():
                check_scalar(f"{name}[{symbol!r}]", number)

    def _by_element(self):
        """Return the parameters that hold a number for every element, where they are set."""
        found = {name: getattr(self, name, None) for name in ("weights", "radii")}
        return {name: value for name, value in found.items() if value is not None}

    def _check_snapshot(self, snapshot):
        """Raise an error if `snapshot` lacks something that is needed."""
        unknown = sorted(set(snapshot.atoms.symbols) - set(self.species_))
        if unknown:
            raise SnapshotError(
                f"the species that {type(self).__name__} was fitted for must hold every element: "
                f"{unknown[0]} of {snapshot!r} is not among {self.species_}."
            )
        for name, by_element in self._by_element().items():
            missing = sorted(set(snapshot.atoms.symbols) - set(by_element))
            if missing:
                raise SnapshotError(
                    f"{name} must name every element: {missing[0]} of {snapshot!r} is missing "
                    f"among {sorted(by_element)}."
                )
        if self._sites_on_grid:
            self._check_grid(snapshot)

    def _n_sites(self, snapshot):
        """Return the number of rows of the block of `snapshot`."""
        if self._sites_on_grid:
            return int(np.prod(self._grid(snapshot)))
        return len(snapshot.atoms)

    @abstractmethod
    def _compute(self, snapshot, start, stop):
        """Return rows `start` to `stop` of the block of `snapshot`."""

    @abstractmethod
    def _feature_names(self):
        """Return the names of the columns."""

    def _learn_species(self, snapshots):
        """Return the elements, sorted."""
        return sorted({symbol for snapshot in snapshots for symbol in snapshot.atoms.symbols})

    def _cache_key(self, snapshot):
        """Return what the block of `snapshot` depends on."""
        params = self.get_params(deep=False)
        for name in self._not_in_cache_key:
            params.pop(name, None)
        if "grid_shape" in params:
            # The same grid is the same block, wherever it was named.
            params["grid_shape"] = self._grid(snapshot) if self._sites_on_grid else None
        atoms = snapshot.atoms
        name = f"{type(self).__name__} {self._block_version}"
        return (name, params, atoms.numbers, atoms.positions, atoms.cell.array)

    # ----------------------------------------------------------------

    def _grid(self, snapshot):
        """Return the grid whose points are the sites."""
        return snapshot.grid_shape if self.grid_shape is None else check_grid_shape(self.grid_shape)

    def _check_grid(self, snapshot):
        name = type(self).__name__
        grid = self._grid(snapshot)
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

    def _with_grid(self, snapshot):
        """Return `snapshot` with the grid whose points are the sites."""
        if not self._sites_on_grid or snapshot.grid_shape == self._grid(snapshot):
            return snapshot
        return snapshot.replace(grid_shape=self._grid(snapshot))

    def _fitted_names(self):
        """Return the names of the columns, as many as in ``fit``."""
        check_is_fitted(self)
        names = self._feature_names()
        if len(names) != self.n_features_out_:
            raise ValueError(
                f"the parameters of {type(self).__name__} changed since fit: they give "
                f"{len(names)} features, expected {self.n_features_out_}; call fit again."
            )
        return names

    def _blocks(self, X, lazy=False):
        """Return the block of every snapshot, from `memory` if that is set, and the snapshots."""
        self._fitted_names()
        snapshots = as_snapshots(X)
        for snapshot in snapshots:
            self._check_snapshot(snapshot)
        snapshots = SnapshotList([self._with_grid(snapshot) for snapshot in snapshots])
        store = None if self.memory is None else BlockStore(self.memory)
        total = sum(self._n_sites(snapshot) for snapshot in snapshots)
        name = type(self).__name__
        quiet = not self.verbose or (lazy and store is None)
        blocks = []
        with tqdm(total=total, unit="site", desc=name, disable=quiet) as bar:
            for snapshot in snapshots:
                block = None if store is None else self._stored_block(snapshot, store, bar)
                if block is None:
                    block = self._lazy_block(snapshot) if lazy else self._block(snapshot, bar)
                blocks.append(block)
        return blocks, snapshots

    def _shape(self, snapshot):
        return (self._n_sites(snapshot), self.n_features_out_)

    def _chunks(self, snapshot, bar):
        n_sites = self._n_sites(snapshot)
        for start in range(0, n_sites, CHUNK_SITES):
            stop = min(start + CHUNK_SITES, n_sites)
            yield start, stop, self._compute(snapshot, start, stop)
            bar.update(stop - start)

    def _stored_block(self, snapshot, store, bar):
        """Return the handle of a block on disk; None if it can't be there."""
        shape, dtype = self._shape(snapshot), np.dtype(self.dtype)
        key = joblib.hash((self._cache_key(snapshot), shape, dtype.str))
        block = store.find(key, shape, dtype)
        if block is None:
            return store.write(key, shape, dtype, self._chunks(snapshot, bar))
        bar.update(shape[0])
        return block

    def _block(self, snapshot, bar):
        block = np.empty(self._shape(snapshot), self.dtype)
        for start, stop, rows in self._chunks(snapshot, bar):
            block[start:stop] = rows
        return block

    def _lazy_block(self, snapshot):
        def rows(start, stop):
            return self._compute(snapshot, start, stop)

        return ComputedArray(rows, self._shape(snapshot), self.dtype)

    def _wrap(self, block):
        if output_container(self) != "pandas":
            return block
        import pandas as pd

        return pd.DataFrame(np.asarray(block), columns=self.get_feature_names_out())


def n_threads(n_jobs):
    """Return the number of threads for `n_jobs`; None leaves the choice to the library.

    Examples
    --------
    >>> n_threads(2), n_threads(None)
    (2, None)
    """
    return None if n_jobs is None else joblib.effective_n_jobs(n_jobs)
