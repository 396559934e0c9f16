"""Snapshots, lists of snapshots, and arrays that are too large for memory."""

from skldos.data.array_file import ArrayFile
from skldos.data.blocks import Blocks, is_blocks
from skldos.data.energy_grid import EnergyGrid
from skldos.data.lazy import (
    ComputedArray,
    LazyArray,
    SlicedArray,
    as_lazy,
    as_rows,
    iter_slices,
    sum_rows,
)
from skldos.data.snapshot import Snapshot
from skldos.data.snapshot_list import SnapshotList, as_snapshots
from skldos.data.spool import spooled

__all__ = [
    "Snapshot",
    "SnapshotList",
    "EnergyGrid",
    "ArrayFile",
    "Blocks",
    "LazyArray",
    "ComputedArray",
    "SlicedArray",
    "as_lazy",
    "as_rows",
    "as_snapshots",
    "is_blocks",
    "iter_slices",
    "spooled",
    "sum_rows",
]
