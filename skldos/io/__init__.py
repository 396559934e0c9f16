"""Files of other programs, one module per format."""

from skldos.io.cube import read_cube, read_ldos_cubes
from skldos.io.espresso import read_espresso
from skldos.io.espresso_binary import write_charge_density
from skldos.io.mala import read_mala
from skldos.io.olcao import OLCAOPotential, read_olcao_potential, write_olcao_potential
from skldos.io.openpmd import read_openpmd
from skldos.io.pseudopotentials import as_pseudopotentials
from skldos.io.upf import read_upf
from skldos.io.wavefunctions import charge_density, wavefunction_density, wavefunction_ldos

__all__ = [
    "read_espresso",
    "wavefunction_ldos",
    "wavefunction_density",
    "charge_density",
    "write_charge_density",
    "read_ldos_cubes",
    "read_cube",
    "read_upf",
    "as_pseudopotentials",
    "read_mala",
    "read_openpmd",
    "read_olcao_potential",
    "write_olcao_potential",
    "OLCAOPotential",
]
