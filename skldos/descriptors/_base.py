"""What all transformers of snapshots share: blocks, cache, progress, output containers."""

from abc import ABCMeta, abstractmethod

import joblib
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skldos._compat import output_container
from skldos._validation import check_option
from skldos.data import Blocks, ComputedArray, as_snapshots
from skldos.descriptors._store import BlockStore

#: Sites that are computed at once; between two such chunks a progress bar can move.
CHUNK_SITES = 8192


class SnapshotTransformer(
    TransformerMixin, BaseEstimator, auto_wrap_output_keys=None, metaclass=ABCMeta
):
    """Base of transformers from snapshots to one block of features per snapshot.

    A subclass implements :meth:`_n_sites`, :meth:`_compute` and :meth:`_feature_names`, and
    checks its parameters in :meth:`_check_parameters`. Parameters it should have besides its
    own: `dtype`, `memory`, `verbose`.
    """

    #: Raised by a subclass when its blocks change, so that caches of older ones are left alone.
    _block_version = 1

    def __init_subclass__(cls, **kwargs):
        # Every subclass would wrap fit_transform anew, and blocks are no table.
        super().__init_subclass__(**({"auto_wrap_output_keys": None} | kwargs))

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
            One block of shape (n_sites, n_features_out_) per snapshot: an array, an
            :class:`~skldos.ArrayFile` if `memory` is set, or a DataFrame after
            ``set_output(transform="pandas")``.
        """
        check_is_fitted(self)
        snapshots = as_snapshots(X)
        for snapshot in snapshots:
            self._check_snapshot(snapshot)
        store = None if self.memory is None else BlockStore(self.memory)
        total = sum(self._n_sites(snapshot) for snapshot in snapshots)
        name = type(self).__name__
        with tqdm(total=total, unit="site", desc=name, disable=not self.verbose) as bar:
            blocks = [self._transform_one(snapshot, store, bar) for snapshot in snapshots]
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
        if self.memory is not None:
            return self.transform(X)
        check_is_fitted(self)
        snapshots = as_snapshots(X)
        for snapshot in snapshots:
            self._check_snapshot(snapshot)
        return Blocks([self._lazy_block(snapshot) for snapshot in snapshots], snapshots)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the features.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str of shape (n_features_out_,)
            One name per column of a block.
        """
        check_is_fitted(self)
        return np.asarray(self._feature_names(), dtype=object)

    def set_output(self, *, transform=None):
        """Choose what a block is: ``"default"`` for arrays, ``"pandas"`` for DataFrames.

        Parameters
        ----------
        transform : {"default", "pandas"}, optional
            The container; None changes nothing.

        Returns
        -------
        self
            The transformer.
        """
        if transform is not None:
            check_option("transform", transform, ("default", "pandas"))
            self._sklearn_output_config = {"transform": transform}
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_features_out_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    # ---------------------------------------------------------------- for subclasses

    @abstractmethod
    def _check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""

    @abstractmethod
    def _check_snapshot(self, snapshot):
        """Raise an error if `snapshot` lacks something that is needed."""

    @abstractmethod
    def _n_sites(self, snapshot):
        """Return the number of rows of the block of `snapshot`."""

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
        atoms = snapshot.atoms
        name = f"{type(self).__name__} {self._block_version}"
        return (name, params, atoms.numbers, atoms.positions, atoms.cell.array)

    # ----------------------------------------------------------------

    def _transform_one(self, snapshot, store, bar):
        shape = (self._n_sites(snapshot), self.n_features_out_)
        dtype = np.dtype(self.dtype)

        def chunks():
            for start in range(0, shape[0], CHUNK_SITES):
                stop = min(start + CHUNK_SITES, shape[0])
                yield start, stop, self._compute(snapshot, start, stop)
                bar.update(stop - start)

        if store is not None:
            key = joblib.hash((self._cache_key(snapshot), shape, dtype.str))
            if key in store:
                bar.update(shape[0])
            return store.get(key, shape, dtype, chunks)
        block = np.empty(shape, dtype)
        for start, stop, rows in chunks():
            block[start:stop] = rows
        return block

    def _lazy_block(self, snapshot):
        def rows(start, stop):
            return self._compute(snapshot, start, stop)

        return ComputedArray(rows, (self._n_sites(snapshot), self.n_features_out_), self.dtype)

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
