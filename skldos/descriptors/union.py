"""Concatenation of several descriptors."""

from functools import partial

import numpy as np
from sklearn.pipeline import FeatureUnion
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks
from skldos.descriptors.set_output import BlockTransformerMixin, as_container
from skldos.validation import check_shape


def _all_have(method):
    """Return a check that all parts of a union have a method, for ``available_if``."""
    return lambda union: all(hasattr(step, method) for step in union.parts)


class BlockUnion(BlockTransformerMixin, FeatureUnion):
    """Concatenate the features of several transformers of the same sites.

    What ``FeatureUnion`` is for tables this is for blocks: two bispectra of different reach, for
    instance, or a descriptor and its products.

    Parameters
    ----------
    transformer_list : list of (str, transformer)
        Names and transformers that make one block per snapshot, with the same sites; "drop" in
        place of a transformer leaves it out, "passthrough" puts blocks through.
    n_jobs : int, optional
        Number of jobs in ``fit``.

    See Also
    --------
    skldos.RowWise : A transformer of rows on all blocks.

    Examples
    --------
    >>> from skldos import AtomSNAPTransformer
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.descriptors.union import BlockUnion
    >>> near, far = AtomSNAPTransformer(4.0, twojmax=4), AtomSNAPTransformer(6.0, twojmax=2)
    >>> union = BlockUnion([("near", near), ("far", far)])
    >>> union.fit_transform(make_snapshots(2, random_state=0))
    Blocks(2 of shape (4, 19), (4, 19))
    """

    def __init__(self, transformer_list, *, n_jobs=None):
        super().__init__(transformer_list, n_jobs=n_jobs)

    def fit(self, X, y=None):
        """Fit all transformers.

        Parameters
        ----------
        X : sequence of Snapshot, or Blocks
            What the transformers take.
        y : object, optional
            Passed to the transformers.

        Returns
        -------
        self
            The union.
        """
        super().fit(X, y)
        self._fitted_steps = self._steps()
        return self

    def fit_transform(self, X, y=None):
        """Fit all transformers and transform `X`.

        Parameters
        ----------
        X : sequence of Snapshot, or Blocks
            What the transformers take.
        y : object, optional
            Passed to the transformers.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            As :meth:`transform`.
        """
        return self.fit(X, y).transform(X)

    def transform(self, X):
        """Return the concatenated features of all transformers.

        Parameters
        ----------
        X : sequence of Snapshot, or Blocks
            What the transformers take.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Raises
        ------
        ValueError
            If the blocks of two transformers have different numbers of sites.
        """
        self.check_fitted()
        outputs = {
            name: X if step == "passthrough" else step.transform(X)
            for name, step in self.transformer_list
            if step != "drop"
        }
        if not outputs:
            raise ValueError("transformer_list must hold a transformer that is not dropped.")
        first = next(iter(outputs.values()))
        joined = []
        for blocks in zip(*outputs.values(), strict=True):
            sizes = dict(zip(outputs, map(len, blocks), strict=True))
            if len(set(sizes.values())) > 1:
                raise ValueError(f"all blocks must have the same sites, got numbers {sizes}.")
            joined.append(
                as_container(
                    self,
                    np.hstack([np.asarray(block) for block in blocks]),
                    self.get_feature_names_out,
                )
            )
        handles = [getattr(blocks, "derivatives", None) for blocks in outputs.values()]
        if not any(handle is None for handle in handles):
            handles = [partial(_side_by_side, group) for group in zip(*handles, strict=True)]
        else:
            handles = None
        return Blocks(joined, getattr(first, "snapshots", None), handles)

    @property
    def parts(self):
        """The transformers that are not dropped; ``"passthrough"`` is kept."""
        return [step for _, step in self.transformer_list if step != "drop"]

    def check_fitted(self):
        """Raise an error unless the union is fitted with its current transformers."""
        check_is_fitted(self)
        if self._steps() != self._fitted_steps:
            raise ValueError(
                "the parameters of BlockUnion changed since fit: transformer_list was "
                f"{self._fitted_steps} and is {self._steps()}; call fit again."
            )

    @available_if(_all_have("compute"))
    def compute(self, snapshot, start, stop):
        """Compute the rows of sites `start` to `stop` of a snapshot."""
        return np.hstack([step.compute(snapshot, start, stop) for step in self.parts])

    @available_if(_all_have("cache_key"))
    def cache_key(self, snapshot):
        """Return everything the block of `snapshot` depends on, in a form for ``joblib.hash``."""
        return ("BlockUnion", *(step.cache_key(snapshot) for step in self.parts))

    @available_if(_all_have("pullback"))
    def pullback(self, snapshot, sensitivity, start=0, stop=None):
        r"""Return derivatives of a scalar A, given those with respect to the descriptors.

        .. math:: \frac{\partial A}{\partial R_i} = \sum_p \sum_{s, k \in p}
                  \frac{\partial A}{\partial B_k(s)} \frac{\partial B_k(s)}{\partial R_i}

        Parameters
        ----------
        snapshot : Snapshot
            The atoms.
        sensitivity : array-like of shape (stop - start, n_features)
            :math:`\partial A / \partial B_k(s)` of sites `start` to `stop`, the features of all
            parts p side by side.
        start, stop : int, optional
            The sites; all by default.

        Returns
        -------
        by_positions : ndarray of shape (n_atoms, 3)
            The derivative with respect to the positions, per Å.
        by_strain : ndarray of shape (3, 3)
            That with respect to a strain ε which takes every vector x, a row, to x (1 + ε).
        """
        self.check_fitted()
        widths = [step.n_features_out_ for step in self.parts]
        check_shape("sensitivity", np.asarray(sensitivity), (None, sum(widths)))
        columns = np.split(np.asarray(sensitivity), np.cumsum(widths)[:-1], axis=1)
        derivatives = [
            step.pullback(snapshot, gradient, start, stop)
            for step, gradient in zip(self.parts, columns, strict=True)
        ]
        return tuple(sum(terms) for terms in zip(*derivatives, strict=True))

    def _steps(self):
        """Return names and types of the parts, which check their own parameters."""
        return [
            (name, step if isinstance(step, str) else type(step).__name__)
            for name, step in self.transformer_list
        ]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_fitted_steps")


def _side_by_side(handles):
    """Return the derivatives of all parts, with concatenated features."""
    return tuple(np.concatenate(by, axis=-1) for by in zip(*(h() for h in handles), strict=True))
