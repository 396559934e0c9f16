"""Quantum ESPRESSO: runs of pw.x, their wavefunctions and densities."""

from skldos.io.espresso.binary import write_charge_density
from skldos.io.espresso.reader import read_espresso
from skldos.io.espresso.trajectory import read_espresso_trajectory
from skldos.io.espresso.wavefunctions import charge_density, wavefunction_density, wavefunction_ldos

__all__ = [
    "read_espresso",
    "read_espresso_trajectory",
    "wavefunction_ldos",
    "wavefunction_density",
    "charge_density",
    "write_charge_density",
]
