"""Atomic contributions to the local density of states and to potentials."""

from skldos.decomposition.ados import ADOSDecomposer
from skldos.decomposition.gaussians import Gaussians, exact_overlap, geometric_exponents
from skldos.decomposition.partition import PARTITIONS, Partition, decompose
from skldos.decomposition.potential import GaussianPotentialDecomposer
from skldos.decomposition.quantities import atom_quantities, element_quantities

__all__ = [
    "ADOSDecomposer",
    "atom_quantities",
    "element_quantities",
    "Partition",
    "PARTITIONS",
    "decompose",
    "GaussianPotentialDecomposer",
    "Gaussians",
    "exact_overlap",
    "geometric_exponents",
]
