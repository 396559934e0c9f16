"""Descriptors: transformers that compute one block of features per snapshot."""

from skldos.descriptors.atom_env import AtomEnvTransformer
from skldos.descriptors.base import SnapshotTransformer
from skldos.descriptors.grid import GridTransformer
from skldos.descriptors.row_wise import RowWise
from skldos.descriptors.snap import AtomSNAPTransformer, GridSNAPTransformer
from skldos.descriptors.soap import AtomSOAPTransformer
from skldos.descriptors.soap_grid import GridSOAPTransformer
from skldos.descriptors.union import BlockUnion

__all__ = [
    "GridSNAPTransformer",
    "AtomSNAPTransformer",
    "GridSOAPTransformer",
    "AtomSOAPTransformer",
    "AtomEnvTransformer",
    "BlockUnion",
    "RowWise",
    "SnapshotTransformer",
    "GridTransformer",
]
