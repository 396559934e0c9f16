"""Row-wise transformers of scikit-learn, on blocks."""

from functools import partial

import numpy as np
from ase import Atoms
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skldos._compat import BlockTransformerMixin, output_container
from skldos._validation import check_scalar
from skldos.data import Blocks, LazyArray, Snapshot, SnapshotList, is_blocks, iter_slices


class RowWise(BlockTransformerMixin, BaseEstimator):
    """Apply a transformer that works row by row to the rows of all blocks.

    ``RowWise(StandardScaler())`` learns one mean and variance per feature from the rows of all
    snapshots, and scales each block by them. A transformer with ``partial_fit`` sees the rows
    slice by slice, so that the blocks need not fit into memory; any other gets all of them,
    or `max_rows` drawn at random, at once. Lazy blocks stay lazy.

    Parameters
    ----------
    row_transformer : estimator
        A transformer of 2-D arrays that treats every row alike, such as ``StandardScaler``,
        ``IncrementalPCA`` or ``PolynomialFeatures``.
    max_rows : int, optional
        Largest number of rows that a transformer without ``partial_fit`` is fitted on.
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
        y : None
            Ignored.

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
        if hasattr(self.row_transformer_, "partial_fit"):
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
            Blocks ``(n_sites, n_features_out)``, lazy where they were; an array if `X` was one.
        """
        check_is_fitted(self)
        names = self.get_feature_names_out() if output_container(self) == "pandas" else None
        return self._apply(X, self.row_transformer_.transform, names)

    def inverse_transform(self, X):
        """Undo :meth:`transform`, if the transformer can.

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
            Names of the features of a block; None takes those of the DataFrames seen in ``fit``.

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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    def _gather(self, blocks):
        """Return all rows, or `max_rows` of them drawn without replacement, in one array."""
        n_rows = sum(block.shape[0] for block in blocks)
        if self.max_rows is None or n_rows <= self.max_rows:
            return np.concatenate([np.asarray(block) for block in blocks])
        chosen = check_random_state(self.random_state).choice(n_rows, self.max_rows, replace=False)
        chosen.sort()
        parts, first = [], 0
        for block in blocks:
            for rows in iter_slices(block):
                inside = chosen[(chosen >= first) & (chosen < first + len(rows))]
                parts.append(rows[inside - first])
                first += len(rows)
        return np.concatenate(parts)

    def _apply(self, X, function, names=None):
        blocks, single = _blocks_of(X)
        # Blocks may be pickled, for a cache or another process: no closures.
        function = partial(_rows_of, function)
        applied = [_apply_to_block(block, function, names) for block in blocks]
        return applied[0] if single else Blocks(applied, getattr(X, "snapshots", None))


def _rows_of(function, rows):
    """Return an array where a transformer with an output container gives a DataFrame."""
    return np.asarray(function(rows))


def _apply_to_block(block, function, names):
    if isinstance(block, LazyArray):
        probe = function(np.zeros((1, block.shape[1]), block.dtype))
        return block.map(function, probe.shape[1], probe.dtype)
    if names is None:
        return function(block)
    import pandas as pd

    return pd.DataFrame(function(block), columns=names)


def _blocks_of(X):
    """Return the blocks of `X` as arrays, and whether it was a single array."""
    first = X[0] if isinstance(X, (list, tuple, SnapshotList)) and len(X) > 0 else X
    if isinstance(first, (Snapshot, SnapshotList, Atoms)):
        raise TypeError(
            f"RowWise takes blocks of rows, got {type(first).__name__}: put a transformer that "
            "makes blocks of snapshots, such as GridSNAPTransformer, before it."
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
    """Yield slices to fit on; IncrementalPCA wants at least as many rows as components."""
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
