"""Densities of pw.x, and a cell without symmetry."""

from pathlib import Path

import numpy as np
import pytest

from skldos.units import HARTREE

DATA = Path(__file__).parent / "data" / "espresso.npz"


@pytest.fixture
def triclinic():
    """A cell in Å without right angles or equal edges."""
    return np.array([[3.1, 0.2, -0.3], [0.7, 2.8, 0.4], [-0.5, 0.9, 3.6]])


@pytest.fixture(scope="session")
def espresso():
    """Function that gives density (1/Å³), cell (Å), cutoff and energies (eV) of a pw.x run."""

    def read(system, functional):
        with np.load(DATA) as data:
            miller, cell = data[f"{system}/miller"], data[f"{system}/cell"]
            grid, density_cutoff = data[f"{system}/grid"], float(data[f"{system}/cutoff"])
            waves = data[f"{system}/{functional}/waves"]
            energies = HARTREE * data[f"{system}/{functional}/energies"]
        spectrum = np.zeros(grid, complex)
        spectrum[tuple(-miller.T)] = waves.conj()
        spectrum[tuple(miller.T)] = waves
        density = np.fft.ifftn(spectrum, norm="forward").real
        return (
            density,
            cell,
            density_cutoff,
            dict(zip(("hartree", "xc", "vxc"), energies, strict=True)),
        )

    return read
