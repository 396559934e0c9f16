"""Readers and writers for files of other programs, one module per format."""

from importlib import import_module

from skldos.io.cube import read_cube, read_ldos_cubes
from skldos.io.espresso import (
    charge_density,
    read_espresso,
    read_espresso_trajectory,
    wavefunction_density,
    wavefunction_ldos,
    write_charge_density,
)
from skldos.io.extxyz import write_extxyz
from skldos.io.fields import write_cube, write_xsf
from skldos.io.folders import read_snapshots
from skldos.io.mala import read_mala, write_mala
from skldos.io.npz import read_npz
from skldos.io.olcao import OLCAOPotential, read_olcao_potential, write_olcao_potential
from skldos.io.openpmd import read_openpmd
from skldos.io.pseudopotentials import as_pseudopotentials
from skldos.io.upf import read_upf

__all__ = [
    "read_snapshots",
    "read_npz",
    "read_espresso",
    "read_espresso_trajectory",
    "wavefunction_ldos",
    "wavefunction_density",
    "charge_density",
    "write_charge_density",
    "read_ldos_cubes",
    "read_cube",
    "write_cube",
    "write_xsf",
    "write_extxyz",
    "write_snap",
    "read_upf",
    "as_pseudopotentials",
    "read_mala",
    "write_mala",
    "read_mala_model",
    "read_openpmd",
    "read_olcao_potential",
    "write_olcao_potential",
    "OLCAOPotential",
]


def __getattr__(name):
    # Imported on use: models consist of transformers and networks, which import skldos.io.
    homes = {"read_mala_model": "neural.mala", "write_snap": "free_energy.lammps"}
    if name in homes:
        return getattr(import_module(f"skldos.regressors.{homes[name]}"), name)
    raise AttributeError(f"module 'skldos.io' has no attribute {name!r}")
