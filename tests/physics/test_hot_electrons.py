"""Free energy and heat capacity of electrons: mpmath, Sommerfeld, derivatives, pw.x."""

from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch

from skldos.exceptions import FermiLevelError
from skldos.physics import (
    electronic_free_energy,
    electronic_heat_capacity,
    fermi_level,
    integration_weights,
    sharpening_matrix,
)
from skldos.physics.hot_electrons import check_reach
from skldos.units import BOLTZMANN

E = np.linspace(-2, 20, 45)
DOS = np.where(E > 0, np.sqrt(np.abs(E)), 0.0) * (1 + 0.2 * np.random.default_rng(0).random(45))
N = 12.0


def by_mpmath(temperature):
    """Return F and C of the piecewise linear DOS, with adaptive quadrature."""
    mu = mpmath.mpf(float(fermi_level(DOS, E, temperature=temperature, n_electrons=N)))
    kT = mpmath.mpf(BOLTZMANN * temperature)
    h = E[1] - E[0]
    nodes = [E[0] - h, *E, E[-1] + h]
    values = [0.0, *DOS, 0.0]

    def integral(g):
        total = mpmath.mpf(0)
        for a, b, y0, y1 in zip(nodes, nodes[1:], values, values[1:], strict=False):
            points = [mpmath.mpf(a), mpmath.mpf(b)]
            if a < mu < b:
                points = [points[0], mu, points[1]]
            slope = (y1 - y0) / (b - a)
            total += mpmath.quad(lambda e, a=a, y0=y0, s=slope: g(e) * (y0 + s * (e - a)), points)
        return total

    def f(e):
        return 1 / (1 + mpmath.exp((e - mu) / kT))

    def p(e):  # -df/dE
        return f(e) * (1 - f(e)) / kT

    omega = integral(lambda e: -kT * mpmath.log1p(mpmath.exp(-(e - mu) / kT)))
    free = omega + mu * N
    first = integral(lambda e: (e - mu) * p(e))
    second = integral(lambda e: (e - mu) ** 2 * p(e))
    return float(free), float((second - first**2 / integral(p)) / temperature)


@pytest.mark.parametrize("temperature", [900.0, 12000.0])
def test_equal_mpmath(temperature):
    state = {"temperature": temperature, "n_electrons": N}
    free, capacity = by_mpmath(temperature)
    assert electronic_free_energy(DOS, E, **state) == pytest.approx(free, rel=1e-11)
    assert electronic_heat_capacity(DOS, E, **state) == pytest.approx(capacity, rel=1e-9)


def test_gradient_is_the_grand_potential():
    dos = torch.tensor(DOS, requires_grad=True)
    state = {"temperature": 5000.0, "n_electrons": N}
    (grad,) = torch.autograd.grad(electronic_free_energy(dos, E, **state), dos)
    mu = fermi_level(DOS, E, **state)
    at = {"temperature": 5000.0, "fermi_level": mu}
    weights = integration_weights(E, quantity="grand_potential", **at)
    assert np.abs(weights).max() > 1
    np.testing.assert_allclose(grad.numpy(), weights, rtol=1e-10, atol=1e-12)


def test_cold_electrons_have_no_heat_capacity():
    found = electronic_heat_capacity(DOS, E, temperature=[0.0, 100.0], n_electrons=N)
    assert found[0] == 0
    assert found[1] > 0


def test_batches_are_calculated_one_by_one():
    dos, T = np.stack([DOS, 1.1 * DOS]), np.array([1000.0, 4000.0])
    for function in (electronic_free_energy, electronic_heat_capacity):
        both = function(dos, E, temperature=T, n_electrons=N)
        each = [function(d, E, temperature=t, n_electrons=N) for d, t in zip(dos, T, strict=True)]
        np.testing.assert_allclose(both, each, rtol=1e-12)
        assert isinstance(
            function(torch.tensor(dos), E, temperature=T, n_electrons=N), torch.Tensor
        )


def test_reach():
    # 10 kT of 2900 K are 2.5 eV.
    check_reach(E, temperature=2900.0, fermi_level=17.5)
    with pytest.raises(FermiLevelError, match=r"end at 20 eV.*enough for 2901 K"):
        check_reach(E, temperature=2910.0, fermi_level=17.5)


def test_frozen_dos_of_aluminium_against_self_consistent_calculations():
    # data/README.md says how pw.x was run.
    with np.load(Path(__file__).parent / "data" / "hot_aluminium.npz") as data:
        data = dict(data)
    C = sharpening_matrix(data["energies"], broadening=float(data["broadening"]), order=2)
    state = {"temperature": data["temperatures"], "n_electrons": float(data["n_electrons"])}
    F = electronic_free_energy(C @ data["dos"], data["energies"], **state)
    true = data["total_energies"] - data["total_energies"][1]
    found = F - F[1]
    assert true[-1] < -7.9  # eV, of four atoms
    # 0.3 meV/atom at 20,000 K, 0.2 elsewhere
    assert np.abs(found - true).max() / 4 < 4e-4
    # without the sharpening the broadening of 0.4 eV adds more
    F = electronic_free_energy(data["dos"], data["energies"], **state)
    assert np.abs(F - F[1] - true).max() / 4 > 6e-4
