"""``set_output`` for transformers whose output is one block per snapshot.

Only this module depends on scikit-learn's internals; tested with scikit-learn 1.9.
"""

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils._set_output import _get_container_adapter, _get_output_config

from skldos.links import PageLinkMixin
from skldos.validation import check_option


def output_container(estimator):
    """Return the container set by ``set_output``: ``"default"``, ``"pandas"`` or ``"polars"``."""
    return _get_output_config("transform", estimator)["dense"]


def as_container(estimator, block, names):
    """Return a block as the DataFrame set by ``set_output``; unchanged by default.

    ``names()`` returns the names of the columns; it is called only if they are needed.
    """
    adapter = _get_container_adapter("transform", estimator)
    if adapter is None:
        return block
    block = np.asarray(block)
    return adapter.create_container(block, block, columns=[str(name) for name in names()])


class BlockTransformerMixin(PageLinkMixin, TransformerMixin, auto_wrap_output_keys=None):
    """Mixin of transformers of snapshots or blocks, whose output is one block per snapshot.

    scikit-learn would wrap the output of ``transform`` into a single DataFrame. Here the choice is
    only stored, and the transformer calls :func:`output_container` for each block.
    """

    def __init_subclass__(cls, **kwargs):
        # Otherwise every subclass would wrap its methods again.
        super().__init_subclass__(**({"auto_wrap_output_keys": None} | kwargs))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    def set_output(self, *, transform=None):
        """Choose the container of a block: an array, or a DataFrame of pandas or polars.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional
            The container; None changes nothing.

        Returns
        -------
        self
            The transformer.
        """
        if transform is not None:
            check_option("transform", transform, ("default", "pandas", "polars"))
            self._sklearn_output_config = {"transform": transform}
        return self
