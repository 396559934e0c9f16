"""Environments of atoms on concentric spheres: the transformer, its blocks and its arithmetic."""

from skldos.descriptors.atom_env.blocks import Environments, Neighbors, find_environment
from skldos.descriptors.atom_env.spheres import ConcentricSpheres
from skldos.descriptors.atom_env.transformer import AtomEnvTransformer

__all__ = [
    "AtomEnvTransformer",
    "Environments",
    "Neighbors",
    "find_environment",
    "ConcentricSpheres",
]
