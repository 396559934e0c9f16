"""Physical constants and unit conversions, all from CODATA 2018.

Energies are in eV, lengths in Å and temperatures in K throughout skldos; multiply by a constant to
convert to these units (``13.2 * RYDBERG``) and divide by it to convert back (``energy / RYDBERG``).
They are defined here because the default constants of :mod:`ase.units` are CODATA 2014, whose
Boltzmann constant is smaller by a relative 3.4e-7, which is visible in an entropy.

References
----------
.. [1] E. Tiesinga et al., "CODATA recommended values of the fundamental physical constants:
   2018", Rev. Mod. Phys. 93, 025010 (2021).
"""

#: Boltzmann constant in eV/K (exact in the SI of 2019).
BOLTZMANN = 8.617333262145179e-5
#: Hartree energy in eV.
HARTREE = 27.211386245988
#: Rydberg energy in eV.
RYDBERG = HARTREE / 2
#: Bohr radius in Å.
BOHR = 0.529177210903
#: One dalton per Å³ in g/cm³.
DALTON = 1.66053906660
#: Coulomb constant e²/4πε₀ in eV Å.
COULOMB = HARTREE * BOHR
