"""Descriptors: transformers from snapshots to one block of features per snapshot."""

from skldos.descriptors.row_wise import RowWise
from skldos.descriptors.snap import AtomSNAPTransformer, GridSNAPTransformer
from skldos.descriptors.soap import SOAPTransformer

__all__ = ["GridSNAPTransformer", "AtomSNAPTransformer", "SOAPTransformer", "RowWise"]
