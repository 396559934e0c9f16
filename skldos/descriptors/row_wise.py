"""Row-wise transformers of scikit-learn, on blocks."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skldos._compat import output_container
from skldos._validation import check_option, check_scalar
from skldos.data import Blocks, LazyArray, is_blocks, iter_slices


class RowWise(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
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
        blocks, _ = _blocks_of(X)
        widths = sorted({block.shape[1] for block in blocks})
        if len(widths) > 1:
            raise ValueError(f"all blocks must have the same features, got widths {widths}.")
        if self.max_rows is not None:
            check_scalar("max_rows", self.max_rows, low=1, integer=True)
        self.row_transformer_ = clone(self.row_transformer)
        if hasattr(self.row_transformer_, "partial_fit"):
            for block in blocks:
                for rows in _iter_fit_slices(block, self.row_transformer_):
                    self.row_transformer_.partial_fit(rows)
        else:
            self.row_transformer_.fit(self._gather(blocks))
        self.n_features_in_ = widths[0]
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
        return self._apply(X, self.row_transformer_.transform, self._n_features_out())

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
        return self._apply(X, self.row_transformer_.inverse_transform, self.n_features_in_)

    def get_feature_names_out(self, input_features=None):
        """Return the names that the transformer gives to the features.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the features of a block.

        Returns
        -------
        ndarray of str
            Names of the transformed features.
        """
        check_is_fitted(self)
        return self.row_transformer_.get_feature_names_out(input_features)

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
        return hasattr(self, "n_features_in_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    def _n_features_out(self):
        probe = np.zeros((1, self.n_features_in_))
        return self.row_transformer_.transform(probe).shape[1]

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

    def _apply(self, X, function, n_columns):
        blocks, single = _blocks_of(X)
        snapshots = getattr(X, "snapshots", None)
        applied = [self._apply_block(block, function, n_columns) for block in blocks]
        return applied[0] if single else Blocks(applied, snapshots)

    def _apply_block(self, block, function, n_columns):
        if isinstance(block, LazyArray):
            return block.map(function, n_columns)
        applied = function(block)
        if output_container(self) == "pandas":
            import pandas as pd

            return pd.DataFrame(np.asarray(applied), columns=self.get_feature_names_out())
        return applied


def _blocks_of(X):
    """Return the blocks of `X` as arrays, and whether it was a single array."""
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


def _iter_fit_slices(block, transformer):
    """Yield slices to fit on; IncrementalPCA wants at least as many rows as components."""
    rest = None
    needed = getattr(transformer, "n_components", None) or 1
    for rows in iter_slices(block):
        rows = rows if rest is None else np.concatenate([rest, rows])
        if len(rows) < needed:
            rest = rows
            continue
        rest = None
        yield rows
    if rest is not None:
        yield rest
