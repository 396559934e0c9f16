"""Broadening undone: moments, levels and the energies of pw.x."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials
from skldos.physics import broadening, sharpening_matrix, total_energy

SIGMA, SPACING = 0.4, 0.2
ENERGIES = np.arange(-80, 81) * SPACING
kernels = pytest.mark.parametrize("kernel", ["gaussian", "fermi-dirac"])


def level(center, sigma, kernel, energies=ENERGIES):
    return broadening(energies - center, width=sigma, kernel=kernel)


def moment(values, power, center=0.0):
    """Exact moment of the function that is linear between the values, about `center`."""
    x = ENERGIES - center
    sums = SPACING * np.array([np.sum(values), np.sum(x**2 * values), np.sum(x**4 * values)])
    # A hat function of base 2h has the moments h²/6 and h⁴/15.
    added = [0, sums[0] * SPACING**2 / 6, SPACING**2 * sums[1] + sums[0] * SPACING**4 / 15]
    return (sums + added)[power // 2]


# Second and fourth moments of the kernels: σ²/2 and 3σ⁴/4; π²σ²/3 and 7π⁴σ⁴/15.
MOMENTS = {
    "gaussian": (SIGMA**2 / 2, 3 * SIGMA**4 / 4),
    "fermi-dirac": ((np.pi * SIGMA) ** 2 / 3, 7 * (np.pi * SIGMA) ** 4 / 15),
}


@pytest.mark.parametrize("center", [0.0, 0.07])
@kernels
def test_moments_of_a_level_vanish_one_order_after_the_other(kernel, center):
    second, fourth = MOMENTS[kernel]
    peak = level(center, SIGMA, kernel)
    assert moment(peak, 0, center) == pytest.approx(1, abs=1e-9)
    # The interpolation broadens by a triangle, which has the moments h²/6 and h⁴/15.
    h = SPACING
    assert moment(peak, 2, center) == pytest.approx(second + h**2 / 6, rel=1e-5)
    expected = fourth + 6 * second * h**2 / 6 + h**4 / 15
    assert moment(peak, 4, center) == pytest.approx(expected, rel=1e-4)
    for order in (1, 2, 3):
        matrix = sharpening_matrix(ENERGIES, broadening=SIGMA, kernel=kernel, order=order)
        sharper = matrix @ peak
        assert moment(sharper, 0, center) == pytest.approx(1, abs=1e-9)
        assert moment(sharper, 2, center) == pytest.approx(0, abs=1e-8)
        if order > 1:
            assert moment(sharper, 4, center) == pytest.approx(0, abs=1e-7)
        else:
            # Of the inverse, 1 - m₂∂²/2, a level keeps μ₄ - 6 μ₂².
            left = expected - 6 * (second + h**2 / 6) ** 2
            assert moment(sharper, 4, center) == pytest.approx(left, rel=1e-3)


@kernels
def test_order_zero_is_the_identity(kernel):
    matrix = sharpening_matrix(ENERGIES, broadening=SIGMA, kernel=kernel, order=0)
    np.testing.assert_array_equal(matrix, np.eye(len(ENERGIES)))


def test_waves_are_restored_as_the_series_says():
    # cos(ωE) survives broadening and interpolation times ĝ(ω) sinc²(ωh/2).
    omega, middle = 0.8, slice(40, 121)
    wave = np.cos(omega * ENERGIES)
    for kernel, transform in (
        ("gaussian", np.exp(-((SIGMA * omega) ** 2) / 4)),
        ("fermi-dirac", np.pi * SIGMA * omega / np.sinh(np.pi * SIGMA * omega)),
    ):
        shrunk = transform * np.sinc(omega * SPACING / 2 / np.pi) ** 2
        errors = []
        for order in range(5):
            matrix = sharpening_matrix(ENERGIES, broadening=SIGMA, kernel=kernel, order=order)
            errors.append(np.abs(shrunk * (matrix @ wave) - wave)[middle].max())
        # Each order takes the error down by the next power of (σω)².
        assert errors[0] > 0.02
        for before, after in pairwise(errors):
            assert after < 0.3 * before


# -------------------------------------------------------------------- aluminium


def errors_of_aluminium(order):
    """Band and total energy minus those of pw.x, in meV/atom."""
    rows = []
    for snapshot in load_aluminium():
        grid = snapshot.energy_grid
        known = {"broadening": grid.broadening, "kernel": grid.kernel}
        matrix = sharpening_matrix(snapshot.energies, order=order, **known)
        energy = total_energy(
            snapshot.ldos @ matrix.T,
            snapshot.energies,
            atoms=snapshot.atoms,
            temperature=snapshot.temperature,
            n_electrons=snapshot.n_electrons,
            pseudopotentials=load_aluminium_pseudopotentials(),
        )
        reference = snapshot.reference
        rows.append(
            [energy.band - reference["band_energy"], energy.total - reference["total_energy"]]
        )
    return 250 * np.array(rows).T


def test_energies_of_aluminium_become_those_of_pw():
    # Largest and mean absolute error over the eight snapshots in meV/atom, as found:
    # order         0            1           2           3           4
    # band energy   19.5, 17.3   1.70, 0.57  1.42, 0.67  1.09, 0.60  0.82, 0.48
    # total energy  21.7, 17.5   1.65, 0.86  1.44, 0.63  1.19, 0.56  1.02, 0.49
    band, total = np.abs(errors_of_aluminium(0))
    assert band.min() > 15
    assert total.min() > 15
    largest, mean = {1: 1.8, 2: 1.5, 4: 1.1}, {1: 0.9, 2: 0.7, 4: 0.55}
    for order in largest:
        errors = np.abs(errors_of_aluminium(order))
        assert errors.max() < largest[order]
        assert errors.mean(axis=1).max() < mean[order]


# -------------------------------------------------------------------- forms and mistakes


def test_tensors_stay_tensors():
    matrix = sharpening_matrix(torch.as_tensor(ENERGIES), broadening=SIGMA)
    expected = sharpening_matrix(ENERGIES, broadening=SIGMA, kernel="gaussian", order=2)
    assert isinstance(matrix, torch.Tensor)
    np.testing.assert_array_equal(matrix.numpy(), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energies": np.linspace(0, 1, 20) ** 2}, "must be evenly spaced .*from 0.0027.* to 0.10"),
        ({"energies": [1.0, 0.0]}, "energies must increase strictly"),
        ({"broadening": 0.0}, "broadening must be > 0 and <= 32.0, got 0.0"),
        ({"order": -1}, "order must be >= 0, got -1"),
        ({"kernel": "box"}, "kernel must be one of 'gaussian', 'fermi-dirac'; got 'box'"),
    ],
)
def test_mistakes_are_named(change, message):
    arguments = {"energies": ENERGIES, "broadening": SIGMA} | change
    with pytest.raises(ValueError, match=message):
        sharpening_matrix(**arguments)


def test_rounded_energies_count_as_even():
    rounded = np.round(np.linspace(-6, 10, 81), 6) + 1e-8 * (np.arange(81) % 3)
    assert sharpening_matrix(rounded, broadening=SIGMA).shape == (81, 81)
