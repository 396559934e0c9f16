"""Descriptors: transformers from snapshots to one block of features per snapshot."""

from skldos.descriptors.atom_env import AtomEnvTransformer
from skldos.descriptors.row_wise import RowWise
from skldos.descriptors.snap import AtomSNAPTransformer, GridSNAPTransformer
from skldos.descriptors.soap import SOAPTransformer
from skldos.descriptors.union import BlockUnion

__all__ = [
    "GridSNAPTransformer",
    "AtomSNAPTransformer",
    "SOAPTransformer",
    "AtomEnvTransformer",
    "BlockUnion",
    "RowWise",
]
