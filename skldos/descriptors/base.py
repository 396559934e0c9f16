"""The base class of transformers of snapshots: blocks, cache, progress, output containers."""

from abc import ABCMeta, abstractmethod
from copy import copy, deepcopy
from functools import partial

import joblib
import numpy as np
from joblib import effective_n_jobs
from joblib.parallel import ThreadingBackend, get_active_backend
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks, ComputedArray, SnapshotList, as_snapshots
from skldos.descriptors._store import BlockStore
from skldos.descriptors.set_output import BlockTransformerMixin, as_container
from skldos.exceptions import SnapshotError
from skldos.progress import progress_bar
from skldos.validation import check_option, check_unchanged
from skldos.workers import n_workers, results_of

#: Number of sites computed at once; the progress bar advances after each such chunk.
CHUNK_SITES = 8192


class SnapshotTransformer(BlockTransformerMixin, BaseEstimator, metaclass=ABCMeta):
    """Base class of transformers that compute one block of features per snapshot.

    A subclass implements the two hooks :meth:`compute` and :meth:`feature_names`. It has the
    parameters `dtype`, `memory` and `verbose` besides its own, which it checks in
    :meth:`check_parameters`. This class provides caching, chunks, lazy blocks, the progress bar,
    DataFrame output and the check for parameters that changed after ``fit``.

    Each row of a block belongs to a site. Here the sites are the atoms; derive from
    :class:`GridTransformer` if they are the points of a grid.

    Attributes
    ----------
    species_ : list of str
        Elements seen in ``fit``.
    n_features_out_ : int
        Number of features.

    See Also
    --------
    GridTransformer : The base class for the points of a grid.
    skldos.testing.check_transformer : The laws that a transformer must obey.

    Examples
    --------
    >>> import numpy as np
    >>> from ase.build import bulk
    >>> from skldos.descriptors import SnapshotTransformer
    >>> class AtomicNumbers(SnapshotTransformer):
    ...     def __init__(self, dtype="float64", memory=None, verbose=False):
    ...         self.dtype = dtype
    ...         self.memory = memory
    ...         self.verbose = verbose
    ...
    ...     def compute(self, snapshot, start, stop):
    ...         return snapshot.atoms.numbers[start:stop, None]
    ...
    ...     def feature_names(self):
    ...         return ["Z"]
    >>> AtomicNumbers().fit_transform([bulk("NaCl", "rocksalt", a=5.6)])[0]
    array([[11.],
           [17.]])
    """

    #: Version of the contents of a block. Increase it when your blocks change: older blocks in a
    #: cache are then ignored.
    block_version = 1

    #: Parameters that affect how a block is computed, but not its contents: not in the cache key.
    computing_parameters = ("n_jobs", "memory", "verbose", "device")

    #: Further parameters that may change after ``fit`` without changing the meaning of a feature.
    free_parameters = ("dtype",)

    #: Number of threads, if a subclass has no such parameter.
    n_jobs = None

    #: Whether features stay the same when atoms and cell are rotated.
    rotation_invariant = True

    def fit(self, X, y=None):
        """Check the parameters and learn the elements.

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
        self.check_parameters()
        self.species_ = self.learn_species(snapshots)
        for snapshot in snapshots:
            self.check_snapshot(snapshot)
        self.n_features_out_ = len(self.feature_names())
        free = (*self.computing_parameters, *self.free_parameters)
        params = self.get_params(deep=False)
        self._fitted_params = deepcopy({k: v for k, v in params.items() if k not in free})
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
        return Blocks([self._wrap(block) for block in blocks], snapshots, self._handles(snapshots))

    def transform_lazy(self, X):
        """Return blocks whose rows are computed when they are read, a slice at a time.

        Nothing is stored. Use it for one pass over a grid that is too large for memory.

        Parameters
        ----------
        X : sequence of Snapshot or ase.Atoms
            The snapshots.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One :class:`~skldos.data.ComputedArray` per snapshot, or the cached block in `memory`.
        """
        blocks, snapshots = self._blocks(X, lazy=True)
        return Blocks(blocks, snapshots, self._handles(snapshots))

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
        self.check_fitted()
        return np.asarray(self.feature_names(), dtype=object)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_features_out_")

    # ------------------------------------------------------------------- hooks of subclasses

    @abstractmethod
    def compute(self, snapshot, start, stop):
        """Compute some rows of a block. Every subclass implements this hook.

        Parameters
        ----------
        snapshot : Snapshot
            The snapshot, which passed :meth:`check_snapshot`. Atoms may lie outside the cell.
        start, stop : int
            Range of the requested sites.

        Returns
        -------
        array-like of shape (stop - start, n_features_out)
            Rows `start` to `stop` of the block.
        """

    @abstractmethod
    def feature_names(self):
        """Return the names of the columns. Every subclass implements this hook.

        Returns
        -------
        list of str
            One distinct name per column.
        """

    def n_sites(self, snapshot):
        """Return the number of rows of the block of `snapshot`: its number of atoms."""
        return len(snapshot.atoms)

    def block_shape(self, snapshot):
        """Return the shape of the block of `snapshot`: ``(n_sites, n_features_out)``."""
        return (self.n_sites(snapshot), self.n_features_out_)

    def check_parameters(self):
        """Raise an error that names a parameter with a wrong value; called first in ``fit``.

        A subclass checks its own parameters and calls this method of its base class.
        """
        check_option("dtype", self.dtype, ("float64", "float32"))

    def learn_species(self, snapshots):
        """Return the value of `species_`: by default the sorted elements of the snapshots."""
        return sorted({symbol for snapshot in snapshots for symbol in snapshot.atoms.symbols})

    def check_snapshot(self, snapshot):
        """Raise a :class:`~skldos.exceptions.SnapshotError` if `snapshot` cannot be transformed.

        Called for every snapshot of ``fit`` and ``transform``. By default, elements that were
        not seen in ``fit`` are refused.
        """
        unknown = sorted(set(snapshot.atoms.symbols) - set(self.species_))
        if unknown:
            raise SnapshotError(
                f"the species that {type(self).__name__} was fitted for must hold every element: "
                f"{unknown[0]} of {snapshot!r} is not among {self.species_}."
            )

    def cache_key(self, snapshot):
        """Return everything the block of `snapshot` depends on, in a form for :func:`joblib.hash`.

        By default this is the class and its `block_version`, the parameters except the
        `computing_parameters`, and numbers, positions and cell of the atoms. A subclass that
        depends on anything else (a field, something learned in ``fit``, the version of a library)
        adds it: ``return (*super().cache_key(snapshot), self.species_)``.
        """
        params = self.get_params(deep=False)
        for name in self.computing_parameters:
            params.pop(name, None)
        atoms = snapshot.atoms
        name = f"{type(self).__module__}.{type(self).__qualname__} {self.block_version}"
        return (name, params, atoms.numbers, atoms.positions, atoms.cell.array)

    def derivatives(self, snapshot):
        r"""Return the derivatives of every feature, summed over the sites.

        .. math:: \frac{\partial}{\partial R_i} \sum_s B_k(s)

        These suffice for the forces and stress of a linear model of a sum over sites. By default
        they come from ``pullback``, one call per feature, if the transformer has it.

        Parameters
        ----------
        snapshot : Snapshot or ase.Atoms
            The snapshot.

        Returns
        -------
        by_positions : ndarray of shape (n_atoms, 3, n_features_out)
            Per Å.
        by_strain : ndarray of shape (3, 3, n_features_out)
            With respect to a strain ε that maps every row vector x to x (1 + ε).

        Raises
        ------
        NotImplementedError
            If the transformer has no derivatives.
        """
        if not hasattr(self, "pullback"):
            raise NotImplementedError(
                f"{type(self).__name__} has no derivatives: it implements neither pullback() nor "
                "derivatives()."
            )
        snapshot = self._checked(snapshot)
        sensitivity = np.zeros(self.block_shape(snapshot))
        columns = sensitivity.reshape(len(sensitivity), -1)
        gradients = []
        for k in range(columns.shape[1]):
            columns[:] = 0
            columns[:, k] = 1
            gradients.append(self.pullback(snapshot, sensitivity))
        by_positions, by_strain = zip(*gradients, strict=True)
        return np.stack(by_positions, axis=-1), np.stack(by_strain, axis=-1)

    # -------------------------------------------------------------------

    def check_fitted(self):
        """Raise an error unless the transformer is fitted with its current parameters.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` was not called.
        ValueError
            If a parameter that affects the contents of a block changed since.
        """
        check_is_fitted(self)
        check_unchanged(self, self._fitted_params)

    def _checked(self, snapshot):
        """Return one checked snapshot, on the grid whose points are the sites."""
        self.check_fitted()
        (snapshot,) = as_snapshots([snapshot])
        self.check_snapshot(snapshot)
        return self._on_sites(snapshot)

    def _on_sites(self, snapshot):
        """Return `snapshot` with the grid whose points are the sites, if sites are grid points."""
        return snapshot

    def _blocks(self, X, lazy=False):
        """Return the block of every snapshot, from `memory` if set, and the snapshots."""
        self.check_fitted()
        snapshots = as_snapshots(X)
        for snapshot in snapshots:
            self.check_snapshot(snapshot)
        snapshots = SnapshotList([self._on_sites(snapshot) for snapshot in snapshots])
        store = None if self.memory is None else BlockStore(self.memory)
        total = sum(self.n_sites(snapshot) for snapshot in snapshots)
        name = type(self).__name__
        quiet = not self.verbose or (lazy and store is None)
        blocks = []
        with progress_bar(total=total, unit="site", desc=name, shown=not quiet) as bar:
            for snapshot in snapshots:
                block = None if store is None else self._stored_block(snapshot, store, bar)
                if block is None:
                    block = self._lazy_block(snapshot) if lazy else self._block(snapshot, bar)
                blocks.append(block)
        return blocks, snapshots

    def _chunks(self, snapshot, bar):
        n_sites = self.n_sites(snapshot)
        starts = range(0, n_sites, CHUNK_SITES)
        slices = [(start, min(start + CHUNK_SITES, n_sites)) for start in starts]
        worker, n_jobs = self._worker()
        tasks = [(worker.compute, snapshot, start, stop) for start, stop in slices]
        for (start, stop), rows in zip(slices, results_of(tasks, n_jobs), strict=True):
            yield start, stop, rows
            bar.update(stop - start)

    def _worker(self):
        """Return the transformer that computes chunks, and the number of joblib's workers.

        On one machine, compute() uses threads, which share the neighbours and are faster.
        """
        n_jobs = n_workers(self.n_jobs)
        backend, _ = get_active_backend(prefer="threads")
        threads = isinstance(backend, ThreadingBackend) or backend.nesting_level != 0
        if threads or effective_n_jobs(n_jobs) == 1:
            return self, 1
        worker = copy(self)
        worker.n_jobs = 1
        return worker, n_jobs

    def _stored_block(self, snapshot, store, bar):
        """Return the handle of a block on disk; None if it cannot be stored."""
        shape, dtype = self.block_shape(snapshot), np.dtype(self.dtype)
        key = joblib.hash((self.cache_key(snapshot), shape, dtype.str))
        block = store.find(key, shape, dtype)
        if block is None:
            return store.write(key, shape, dtype, self._chunks(snapshot, bar))
        bar.update(shape[0])
        return block

    def _block(self, snapshot, bar):
        block = np.empty(self.block_shape(snapshot), self.dtype)
        for start, stop, rows in self._chunks(snapshot, bar):
            block[start:stop] = rows
        return block

    def _handles(self, snapshots):
        """Return the functions that compute the derivatives of every block."""
        # A copy, as for lazy blocks.
        return [partial(copy(self).derivatives, snapshot) for snapshot in snapshots]

    def _lazy_block(self, snapshot):
        # A copy, because blocks read later must not depend on parameters changed until then.
        rows = partial(copy(self).compute, snapshot)
        return ComputedArray(rows, self.block_shape(snapshot), self.dtype)

    def _wrap(self, block):
        return as_container(self, block, self.feature_names)
