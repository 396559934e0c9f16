"""Thresholds of checks: error at three times the threshold, accepted at a third."""

import numpy as np
import pytest
import torch

from skldos.exceptions import FermiLevelError
from skldos.geometry import bin_neighbors, check_cell, find_neighbors
from skldos.geometry.cell import FLATTEST_CELL
from skldos.geometry.neighbors import SAME_SITE
from skldos.physics import (
    Pseudopotential,
    electron_deficit,
    ewald,
    exchange_correlation,
    hartree,
    integrated_ldos,
    ldos_at,
    sharpening_matrix,
)
from skldos.physics.fourier import in_sphere
from skldos.physics.hot_electrons import TAIL_IN_KT, check_reach
from skldos.physics.sharpening import SPACING_TOLERANCE
from skldos.physics.structure import check_electrons
from skldos.physics.terms.checks import MAX_DENSITY
from skldos.physics.terms.ewald import MIN_DISTANCE
from skldos.physics.terms.xc.energy import SMALLEST_DENSITY
from skldos.units import BOLTZMANN


def test_uneven_energies():
    def matrix(off):
        energies = np.arange(0.0, 4.0, 0.1)
        energies[20:] += 0.1 * off  # one spacing is longer
        return sharpening_matrix(energies, broadening=0.3)

    np.testing.assert_allclose(matrix(SPACING_TOLERANCE / 3), matrix(0.0), atol=1e-5)
    with pytest.raises(ValueError, match="energies must be evenly spaced"):
        matrix(3 * SPACING_TOLERANCE)


@pytest.mark.parametrize("method", ["direct", "mesh"])
def test_atoms_that_coincide(method):
    def energy(distance):
        return ewald([[0, 0, 0], [0, distance, 0]], 4 * np.eye(3), [1.0, 2.0], method=method)

    assert energy(3 * MIN_DISTANCE) > 100
    with pytest.raises(ValueError, match=f"positions must be at least {MIN_DISTANCE} Å apart"):
        energy(MIN_DISTANCE / 3)


def test_flat_cells():
    def cell(flat):
        return np.array([[1.0, 0, 0], [0, 1.0, 0], [0.6, 0.8, flat]])

    check_cell(cell(3 * FLATTEST_CELL))
    with pytest.raises(ValueError, match="three linearly independent vectors"):
        check_cell(cell(FLATTEST_CELL / 3))


def test_an_atom_at_the_point_itself():
    def seen(distance):
        bins = bin_neighbors(np.array([[1.0, 1.0, 1.0 + distance]]), 4 * np.eye(3), 2.0)
        return len(find_neighbors(np.ones(3), bins)[0])

    # Squared distances, three times and a third; below 1 Å so that rounding is far smaller.
    assert seen(np.sqrt(9 * SAME_SITE)) == 1
    assert seen(np.sqrt(SAME_SITE / 9)) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_electrons_and_valences(sign):
    al = {"Al": Pseudopotential("Al", 3.0)}
    check_electrons(["Al"], al, 3.0 + sign * 1e-6 / 3)
    with pytest.raises(ValueError, match="n_electrons must be the sum of the valences"):
        check_electrons(["Al"], al, 3.0 + sign * 3e-6)
    with pytest.raises(ValueError, match="got nan"):
        check_electrons(["Al"], al, np.nan)


def test_a_wave_on_the_sphere_of_the_cutoff():
    wave = torch.tensor([[2.0, 1.0, -0.5]], dtype=torch.float64)
    low, high = 1.0, 1e3
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if in_sphere(wave, middle).item() else (middle, high)
    energy = 0.5 * 7.6199642 * 5.25  # ħ²/2m G² in eV
    # The cutoff may lie a relative 1e-9 below, and no more.
    assert high == pytest.approx(energy, rel=1e-6)
    assert in_sphere(wave, high * (1 + 1e-9 / 3)).item()
    assert not in_sphere(wave, high * (1 - 2e-9)).item()


@pytest.mark.parametrize("functional", ["lda-pz", "lda-pw", "pbe", "pbesol"])
def test_densities_that_are_no_electrons(functional):
    def energy(n):
        return exchange_correlation(np.full((2, 2, 2), n), 4 * np.eye(3), functional=functional)[0]

    assert energy(3 * SMALLEST_DENSITY / 0.148185) < 0  # 1/bohr³ in 1/Å³
    assert energy(SMALLEST_DENSITY / 0.148185 / 3) == 0


# -------------------------------------------------------------------- exactly at a limit


def test_what_is_exactly_at_a_limit_is_within():
    kT = BOLTZMANN * 1234.0
    check_reach([-1.0, TAIL_IN_KT * kT], temperature=1234.0, fermi_level=0.0)
    with pytest.raises(FermiLevelError):
        check_reach([-1.0, TAIL_IN_KT * kT * (1 - 1e-12)], temperature=1234.0, fermi_level=0.0)
    density = np.full((2, 2, 2), MAX_DENSITY)
    assert np.isfinite(hartree(density, np.eye(3))[0])
    with pytest.raises(ValueError, match="density"):
        hartree(density * (1 + 1e-12), np.eye(3))
    pair = np.array([[0, 0, 0], [0, 0, MIN_DISTANCE]])
    assert ewald(pair, 4 * np.eye(3), [1.0, 1.0]) > 100
    energies = np.array([0.0, 1.0, 3.0])
    assert ldos_at([2.0, 5.0, 7.0], energies, 0.0) == 2
    assert ldos_at([2.0, 5.0, 7.0], energies, 3.0) == 7
    for outside in (-1e-12, 3 + 1e-12):
        with pytest.raises(ValueError, match="energy must be within the energies, 0 to 3 eV"):
            ldos_at([2.0, 5.0, 7.0], energies, outside)
    with pytest.raises(ValueError, match="low must be less than high"):
        integrated_ldos([2.0, 5.0, 7.0], energies, 1.0, 1.0)


@pytest.mark.parametrize("width", [0.0, 0.5])
def test_levels_that_are_known_exactly_may_be_so(width):
    dos, energies = np.ones(21), np.arange(21.0)
    state = {"fermi_level": 10.0, "temperature": 0.0, "width": width}
    within = 10.5 + width  # an end of a piecewise linear DOS holds half a state more
    assert electron_deficit(dos, energies, **state, n_electrons=within) == 0
    assert electron_deficit(dos, energies, **state, n_electrons=within + 1) == pytest.approx(1)
    less = 10.5 - width
    assert electron_deficit(dos, energies, **state, n_electrons=less - 1) == pytest.approx(-1)
    with pytest.raises(ValueError, match="width"):
        electron_deficit(dos, energies, **state | {"width": -1e-9}, n_electrons=1.0)
