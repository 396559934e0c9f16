"""Several descriptors side by side."""

import numpy as np
from sklearn.pipeline import FeatureUnion

from skldos._compat import BlockTransformerMixin, output_container
from skldos.data import Blocks


class BlockUnion(BlockTransformerMixin, FeatureUnion):
    """Put the features that several transformers make of the same sites side by side.

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
        """Return the features of all transformers side by side.

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
        parts = {
            name: X if step == "passthrough" else step.transform(X)
            for name, step in self.transformer_list
            if step != "drop"
        }
        if not parts:
            raise ValueError("transformer_list must hold a transformer that is not dropped.")
        first = next(iter(parts.values()))
        joined = []
        for blocks in zip(*parts.values(), strict=True):
            sizes = dict(zip(parts, map(len, blocks), strict=True))
            if len(set(sizes.values())) > 1:
                raise ValueError(f"all blocks must have the same sites, got numbers {sizes}.")
            joined.append(self._wrap(np.hstack([np.asarray(block) for block in blocks])))
        return Blocks(joined, getattr(first, "snapshots", None))

    def _wrap(self, block):
        if output_container(self) != "pandas":
            return block
        import pandas as pd

        return pd.DataFrame(block, columns=self.get_feature_names_out())
