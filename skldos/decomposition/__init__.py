"""Fields parted among the atoms: the local density of states, and potentials."""

from skldos.decomposition.ados import ADOSDecomposer
from skldos.decomposition.gaussians import Gaussians, exact_overlap, geometric_exponents
from skldos.decomposition.partition import PARTITIONS, Partition, decompose
from skldos.decomposition.potential import GaussianPotentialDecomposer

__all__ = [
    "ADOSDecomposer",
    "Partition",
    "PARTITIONS",
    "decompose",
    "GaussianPotentialDecomposer",
    "Gaussians",
    "exact_overlap",
    "geometric_exponents",
]
