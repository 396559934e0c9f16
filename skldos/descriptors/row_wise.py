"""scikit-learn's row-wise transformers, applied to blocks."""

import inspect
from functools import partial

import numpy as np
from ase import Atoms
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks, LazyArray, Snapshot, SnapshotList, as_rows, is_blocks, iter_slices
from skldos.descriptors.affine import through
from skldos.descriptors.set_output import BlockTransformerMixin, as_container, output_container
from skldos.validation import check_scalar


class RowWise(BlockTransformerMixin, BaseEstimator):
    """Apply a scikit-learn transformer to the rows of all blocks.

    ``RowWise(StandardScaler())`` learns one mean and variance per feature from the rows of all
    snapshots, and scales each block by them. A transformer with ``partial_fit`` receives the rows
    slice by slice, so the blocks need not fit into memory. Any other transformer receives all rows
    at once, or `max_rows` drawn at random. Lazy blocks stay lazy.

    A supervised transformer, such as ``PLSRegression`` or ``SelectKBest``, also receives the rows
    of the targets. Sparse output is converted to dense arrays.

    Parameters
    ----------
    row_transformer : estimator
        A transformer of 2-D arrays that works row by row, such as ``StandardScaler``,
        ``IncrementalPCA`` or ``PolynomialFeatures``; or a pipeline, a ``FeatureUnion`` or a
        ``ColumnTransformer`` of such transformers.
    max_rows : int, optional
        Largest number of rows used to fit a transformer without ``partial_fit``.
    random_state : int, RandomState instance or None, default=None
        Seed for drawing them.

    Attributes
    ----------
    row_transformer_ : estimator
        The fitted transformer.
    n_features_in_ : int
        Number of features of a block.
    feature_names_in_ : ndarray of str
        Their names, if the blocks were DataFrames.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import RowWise
    >>> blocks = [np.array([[0.0], [1.0]]), np.array([[2.0], [3.0], [4.0]])]
    >>> scaled = RowWise(StandardScaler()).fit_transform(blocks)
    >>> scaled[1].ravel().round(3).tolist()
    [0.0, 0.707, 1.414]
    """

    def __init__(self, row_transformer, *, max_rows=None, random_state=None):
        self.row_transformer = row_transformer
        self.max_rows = max_rows
        self.random_state = random_state

    def fit(self, X, y=None):
        """Fit the transformer on the rows of all blocks.

        Parameters
        ----------
        X : Blocks or sequence of array-like of shape (n_sites, n_features)
            The blocks; a plain 2-D array is one block.
        y : sequence of array-like of shape (n_sites, ...), optional
            Targets of every block, used only if the transformer is supervised; None uses the LDOS
            of the blocks' snapshots.

        Returns
        -------
        self
            The fitted transformer.
        """
        blocks, single = _blocks_of(X)
        widths = sorted({block.shape[1] for block in blocks})
        if len(widths) > 1:
            raise ValueError(f"all blocks must have the same features, got widths {widths}.")
        if self.max_rows is not None:
            check_scalar("max_rows", self.max_rows, low=1, integer=True)
        self.row_transformer_ = clone(self.row_transformer)
        if _needs_targets(self.row_transformer_):
            targets = _targets_of(X, y, blocks, single)
            # Drawn with the same seed, so both have the same rows.
            seed = check_random_state(self.random_state).randint(2**31)
            self.row_transformer_.fit(self._gather(blocks, seed), self._gather(targets, seed))
        elif hasattr(self.row_transformer_, "partial_fit"):
            for rows in _iter_fit_slices(blocks, self.row_transformer_):
                self.row_transformer_.partial_fit(rows)
        else:
            self.row_transformer_.fit(self._gather(blocks))
        self.n_features_in_ = widths[0]
        columns = getattr(X if single else X[0], "columns", None)
        self.__dict__.pop("feature_names_in_", None)
        if columns is not None:
            self.feature_names_in_ = np.asarray(columns, dtype=object)
        return self

    def transform(self, X):
        """Transform the rows of every block.

        Parameters
        ----------
        X : Blocks or sequence of array-like of shape (n_sites, n_features)
            The blocks.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            Blocks ``(n_sites, n_features_out)``, lazy if the input was; an array if `X` was one.
        """
        check_is_fitted(self)
        framed = output_container(self) != "default"
        transformed = self._apply(X, self.row_transformer_.transform, framed)
        if getattr(X, "derivatives", None) is not None:
            step = partial(through, self.row_transformer_, self.n_features_in_)
            handles = [partial(step, handle) for handle in X.derivatives]
            return Blocks(transformed, transformed.snapshots, handles)
        return transformed

    def inverse_transform(self, X):
        """Undo :meth:`transform`, if the transformer supports it.

        Parameters
        ----------
        X : Blocks or sequence of array-like of shape (n_sites, n_features_out)
            Transformed blocks.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            Blocks ``(n_sites, n_features)``.
        """
        check_is_fitted(self)
        return self._apply(X, self.row_transformer_.inverse_transform)

    def get_feature_names_out(self, input_features=None):
        """Return the names that the transformer gives to the features.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the features of a block; None uses the column names seen in ``fit``.

        Returns
        -------
        ndarray of str
            Names of the transformed features.
        """
        check_is_fitted(self)
        if input_features is None:
            input_features = getattr(self, "feature_names_in_", None)
        return self.row_transformer_.get_feature_names_out(input_features)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_features_in_")

    def _gather(self, blocks, seed=None):
        """Return all rows, or `max_rows` of them drawn without replacement, in one array."""
        n_rows = sum(block.shape[0] for block in blocks)
        if self.max_rows is None or n_rows <= self.max_rows:
            return np.concatenate([np.asarray(block) for block in blocks])
        rng = check_random_state(self.random_state if seed is None else seed)
        indices = rng.choice(n_rows, self.max_rows, replace=False)
        indices.sort()
        samples, first = [], 0
        for block in blocks:
            for rows in iter_slices(block):
                inside = indices[(indices >= first) & (indices < first + len(rows))]
                samples.append(rows[inside - first])
                first += len(rows)
        return np.concatenate(samples)

    def _apply(self, X, function, framed=False):
        blocks, single = _blocks_of(X)
        # Blocks may be pickled, for a cache or another process: no closures.
        function = partial(_rows_of, function)
        applied = [_apply_to_block(block, function) for block in blocks]
        if framed:
            names = self.get_feature_names_out()
            applied = [
                block if isinstance(block, LazyArray) else as_container(self, block, lambda: names)
                for block in applied
            ]
        return applied[0] if single else Blocks(applied, getattr(X, "snapshots", None))


def _rows_of(function, rows):
    """Convert a transformer's DataFrame or sparse matrix to an array."""
    transformed = function(rows)
    return transformed.toarray() if issparse(transformed) else np.asarray(transformed)


def _apply_to_block(block, function):
    if isinstance(block, LazyArray):
        probe = function(np.zeros((1, block.shape[1]), block.dtype))
        return block.map(function, probe.shape[1], probe.dtype)
    return function(block)


def _needs_targets(transformer):
    """Return whether ``fit`` of a transformer needs targets; tags are not always sufficient."""
    if isinstance(transformer, Pipeline):
        return any(_needs_targets(step) for _, step in transformer.steps if hasattr(step, "fit"))
    y = inspect.signature(transformer.fit).parameters.get("y")
    by_signature = y is not None and y.default is inspect.Parameter.empty
    # SelectFromModel, RFE and SelectKBest have y=None, but their model or score needs y.
    by_parameter = {"estimator", "score_func"} & set(transformer.get_params(deep=False))
    return by_signature or bool(by_parameter) or get_tags(transformer).target_tags.required


def _targets_of(X, y, blocks, single):
    """Return the targets of every block as rows, lazy if they were."""
    if y is None:
        snapshots = getattr(X, "snapshots", None)
        if snapshots is None or any(snapshot.ldos is None for snapshot in snapshots):
            raise ValueError(
                "RowWise with a supervised transformer needs targets: pass y, or blocks of "
                "snapshots that have an LDOS."
            )
        y = snapshots.targets
    targets = (
        [np.asarray(y)] if single else [t if hasattr(t, "shape") else np.asarray(t) for t in y]
    )
    targets = [target if target.ndim == 1 else as_rows(target) for target in targets]
    n_targets, n_rows = [len(target) for target in targets], [block.shape[0] for block in blocks]
    if n_targets != n_rows:
        raise ValueError(
            f"y must have one row per row of X, {n_rows} in its blocks; got {n_targets}."
        )
    return targets


def _blocks_of(X):
    """Return the blocks of `X` as arrays, and whether it was a single array."""
    first = X[0] if isinstance(X, (list, tuple, SnapshotList)) and len(X) > 0 else X
    if isinstance(first, (Snapshot, SnapshotList, Atoms)):
        raise TypeError(
            f"RowWise takes blocks of rows, got {type(first).__name__}: put a transformer that "
            "turns snapshots into blocks, such as GridSNAPTransformer, before it."
        )
    single = not is_blocks(X)
    blocks = [X] if single else list(X)
    if not blocks:
        raise ValueError("X must hold at least one block, got none.")
    arrays = [block if isinstance(block, LazyArray) else np.asarray(block) for block in blocks]
    for i, array in enumerate(arrays):
        if array.ndim != 2:
            raise ValueError(
                f"a block must have shape (n_sites, n_features), got {array.shape} for block {i}."
            )
    return arrays, single


def _iter_fit_slices(blocks, transformer):
    """Yield slices to fit; IncrementalPCA needs at least as many rows as components."""
    needed = getattr(transformer, "n_components", None) or 1
    rest = None
    for block in blocks:
        for rows in iter_slices(block):
            rows = rows if rest is None else np.concatenate([rest, rows])
            enough = len(rows) >= needed
            rest = None if enough else rows
            if enough:
                yield rows
    if rest is not None:
        yield rest
