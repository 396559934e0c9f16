"""Linear models of the free energy of atoms, fitted to energies, forces and stresses."""
