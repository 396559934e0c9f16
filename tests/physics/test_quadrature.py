import numpy as np
import pytest
import torch
from scipy import integrate

from skldos.physics import integration_weights
from skldos.physics.quadrature import electrons_and_slope, weights
from skldos.units import BOLTZMANN

QUANTITIES = ["electrons", "energy", "entropy", "grand_potential"]

# Grid and Fermi level; the levels sit between nodes, on a node, and next to one.
GRIDS = {
    "fine": (7 + 0.01 * np.arange(-8, 9), 7.0371),
    "usual": (7 + 0.1 * np.arange(-8, 9), 7.0),
    "coarse": (-5 + 2.5 * np.arange(11), 10.240735437300),
    "nearly on a node": (0.2 * np.arange(12), np.nextafter(1.0, 2)),
    "from short to long": (6 + np.cumsum(np.geomspace(1e-3, 2, 16)), 7.3),
    "random": (np.sort(np.random.default_rng(0).uniform(0, 14, 16)), 7.1),
    "level below": (7.5 + 0.5 * np.arange(5), 7.3),
}


@pytest.mark.parametrize("temperature", [0.0, 1.0, 30.0, 298.0, 933.0, 1e4, 1e5])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_weights_match_50_digits(quantity, temperature, exact_weights):
    for name, (energies, mu) in GRIDS.items():
        w = integration_weights(
            energies, temperature=temperature, fermi_level=mu, quantity=quantity
        )
        exact = exact_weights(energies, temperature, mu, quantity)
        largest = np.abs(exact).max()
        if quantity == "entropy" and temperature == 0:
            np.testing.assert_array_equal(w, 0.0)
            continue
        assert largest > 1e-300, name
        assert np.abs(w - exact).max() < 1e-14 * largest, name
        relevant = np.abs(exact) > 1e-3 * largest
        np.testing.assert_allclose(w[relevant], exact[relevant], rtol=1e-13, err_msg=name)


def test_integrates_hats_as_scipy_does(exact_weights):
    # The hats are integrated numerically here, so that ghosts and ramps are checked as such.
    energies, mu, T = np.array([0.0, 0.4, 1.0, 1.1]), 0.5, 3000.0
    w = integration_weights(energies, temperature=T, fermi_level=mu)
    extended = np.array([-0.4, 0.0, 0.4, 1.0, 1.1, 1.2])
    for i in range(4):

        def integrand(E, i=i):
            hat = np.interp(E, extended, np.eye(6)[i + 1])
            return hat / (1 + np.exp((E - mu) / (BOLTZMANN * T)))

        value, _ = integrate.quad(
            integrand, extended[i], extended[i + 2], points=[extended[i + 1]], epsrel=1e-12
        )
        assert w[i] == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize("temperature", [5.0, 298.0, 933.0, 2e4])
@pytest.mark.parametrize("grid", GRIDS)
def test_thermodynamic_derivatives(grid, temperature):
    energies, mu = GRIDS[grid]
    mu = torch.tensor(mu, dtype=torch.float64, requires_grad=True)
    T = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    N, E, S, omega = (
        integration_weights(energies, temperature=T, fermi_level=mu, quantity=q) for q in QUANTITIES
    )
    scale = float(omega.detach().abs().max())
    close = {"rtol": 1e-11, "atol": 1e-13 * scale}
    # Omega = (E - mu N) - TS
    torch.testing.assert_close(E + S, omega, **close)
    for i in range(len(energies)):
        d_mu, d_T = torch.autograd.grad(omega[i], (mu, T), retain_graph=True)
        # dOmega/dmu = -N and dOmega/dT = -S
        torch.testing.assert_close(d_mu, -N[i].detach(), rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(T.detach() * d_T, S[i].detach(), **close)
        # Maxwell: dS/dmu = dN/dT
        (dS_dmu,) = torch.autograd.grad(-S[i] / T, mu, retain_graph=True)
        (dN_dT,) = torch.autograd.grad(N[i], T, retain_graph=True)
        torch.testing.assert_close(dS_dmu, dN_dT, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("temperature", [2e3, 2e4])
def test_gradients_by_finite_differences(quantity, temperature):
    energies = torch.tensor([5.0, 5.7, 6.1, 7.4, 8.0], dtype=torch.float64, requires_grad=True)
    T = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    mu = torch.tensor(6.6, dtype=torch.float64, requires_grad=True)

    def function(energies, T, mu):
        return integration_weights(energies, temperature=T, fermi_level=mu, quantity=quantity)

    assert torch.autograd.gradcheck(function, (energies, T, mu), eps=1e-5, atol=1e-7)


def test_slope_of_the_electrons_is_the_dos_at_zero_temperature():
    energies = np.arange(5.0)
    dos = torch.tensor([1.0, 2.0, 4.0, 3.0, 1.0], dtype=torch.float64)
    for mu, value in ((1.0, 2.0), (1.25, 2.5), (0.0, 1.0), (-0.5, 0.5), (3.0, 3.0)):
        level = torch.tensor(mu, dtype=torch.float64, requires_grad=True)
        T = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
        N = integration_weights(energies, temperature=T, fermi_level=level) @ dos
        slope, heating = torch.autograd.grad(N, (level, T))
        assert slope.item() == pytest.approx(value, rel=1e-15)
        assert heating.item() == 0.0


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_zero_temperature_is_the_limit(quantity):
    energies, mu = 0.2 * np.arange(60), 7.013
    T = np.array([0.0, 1e-9, 1e-3, 1.0])
    w = integration_weights(energies, temperature=T, fermi_level=mu, quantity=quantity)
    assert np.isfinite(w).all()
    # The corrections are of second order in kT over the spacing (the slope of a hat is 1/h).
    kT = BOLTZMANN * T
    assert (np.abs(w - w[0]).max(axis=-1) <= 4 * kT**2 / 0.2 + 1e-15).all()


def test_electron_weights_are_areas_of_hats_below_the_level():
    energies = np.array([0.0, 0.4, 1.0, 1.1])
    w = integration_weights(energies, temperature=10, fermi_level=30.0)
    np.testing.assert_allclose(w, [0.4, 0.5, 0.35, 0.1], rtol=1e-14)
    w = integration_weights(energies, temperature=500, fermi_level=0.5)
    assert (w > 0).all()


def test_batches_equal_loops():
    energies = np.linspace(0, 10, 30)
    T = np.array([[0.0], [300.0], [2e4]])
    mu = np.array([4.0, 5.1])
    for quantity in QUANTITIES:
        w = integration_weights(energies, temperature=T, fermi_level=mu, quantity=quantity)
        assert w.shape == (3, 2, 30)
        for i in range(3):
            for j in range(2):
                one = integration_weights(
                    energies, temperature=T[i, 0], fermi_level=mu[j], quantity=quantity
                )
                np.testing.assert_allclose(w[i, j], one, rtol=1e-14, atol=1e-16)


def test_kinds_and_dtypes():
    energies = np.linspace(0, 10, 30, dtype=np.float32)
    w = integration_weights(energies, temperature=300, fermi_level=np.float32(5))
    assert isinstance(w, np.ndarray)
    assert w.dtype == np.float64
    tensor = integration_weights(torch.from_numpy(energies), temperature=300, fermi_level=5.0)
    assert tensor.dtype == torch.float64
    np.testing.assert_array_equal(tensor.numpy(), w)
    # One tensor is enough, whichever.
    assert torch.is_tensor(
        integration_weights(energies, temperature=300, fermi_level=torch.tensor(5.0))
    )
    energies.flags.writeable = False
    np.testing.assert_array_equal(integration_weights(energies, temperature=300, fermi_level=5), w)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energies": [0.0, 1.0, 1.0]}, "must increase strictly, got 1 before 1 at index 1"),
        ({"energies": [1.0]}, r"at least 2 values, got shape \(1,\)"),
        ({"energies": np.zeros((2, 2))}, r"one axis of at least 2 values, got shape \(2, 2\)"),
        ({"temperature": -1.0}, "temperature must be >= 0 K, got -1"),
        ({"quantity": "charge"}, "quantity must be one of 'electrons', .*; got 'charge'"),
    ],
)
def test_errors(change, message):
    arguments = {"energies": [0.0, 1.0], "temperature": 1.0, "fermi_level": 0.5} | change
    with pytest.raises(ValueError, match=message):
        integration_weights(arguments.pop("energies"), **arguments)


def test_arguments_that_are_no_numbers():
    with pytest.raises(TypeError, match=r"temperature must be a real number .* got NoneType"):
        integration_weights([0.0, 1.0], temperature=None, fermi_level=0.5)
    with pytest.raises(TypeError, match=r"energies must be real, got .*complex64"):
        integration_weights(torch.tensor([0j, 1 + 0j]), temperature=1, fermi_level=0.5)


@pytest.mark.parametrize("temperature", [30.0, 933.0, 1e4, 1e5])
@pytest.mark.parametrize("name", GRIDS)
def test_slope_is_the_derivative_of_the_electrons(name, temperature):
    energies, mu = (torch.as_tensor(part, dtype=torch.float64) for part in GRIDS[name])
    dos = torch.from_numpy(np.random.default_rng(4).uniform(0.5, 1.5, len(energies)))
    temperature, mu = torch.tensor(temperature, dtype=torch.float64), mu.requires_grad_()
    electrons = (weights(energies, temperature, mu, "electrons") * dos).sum()
    (slope,) = torch.autograd.grad(electrons, mu)
    assert slope > 1e-3
    found = electrons_and_slope(dos, energies, temperature, mu.detach())
    torch.testing.assert_close(torch.stack(found), torch.stack([electrons.detach(), slope]))
