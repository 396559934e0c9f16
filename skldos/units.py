"""Physical constants and unit conversions, all from CODATA 2018.

Energies are in eV, lengths in Å and temperatures in K throughout skldos; multiply by a
constant to come in (``13.2 * RYDBERG``) and divide by it to go out (``energy / RYDBERG``).
They stand here rather than being taken from :mod:`ase.units`, whose default set is CODATA
2014: its Boltzmann constant is 3.4e-7 smaller, which shows in an entropy.

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
#: Coulomb constant e²/4πε₀ in eV Å.
COULOMB = HARTREE * BOHR
