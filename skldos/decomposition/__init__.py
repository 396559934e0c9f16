"""From the local density of states to that of every atom."""

from skldos.decomposition.ados import ADOSDecomposer
from skldos.decomposition.partition import PARTITIONS, Partition, decompose

__all__ = ["ADOSDecomposer", "Partition", "PARTITIONS", "decompose"]
