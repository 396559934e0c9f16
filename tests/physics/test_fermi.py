import numpy as np
import pytest
import torch

from skldos.exceptions import FermiLevelError
from skldos.physics import fermi_level, n_electrons

E = np.linspace(-4, 14, 91)


def free_electrons(rng=None):
    """DOS of free electrons from -2 eV on, with a little structure."""
    dos = 1.3 * np.sqrt(np.clip(E + 2, 0, None))
    return dos if rng is None else dos * (1 + 0.1 * rng.standard_normal(E.size))


@pytest.mark.parametrize("temperature", [0.0, 1.0, 298.0, 933.0, 2e4, 1e5])
@pytest.mark.parametrize("electrons", [15.0, 20.0, 35.0])
def test_holds_the_electrons(electrons, temperature):
    dos = free_electrons(np.random.default_rng(1))
    mu = fermi_level(dos, E, temperature=temperature, n_electrons=electrons)
    assert isinstance(mu, np.float64)
    assert E[0] < mu < E[-1]
    N = n_electrons(dos, E, temperature=temperature, fermi_level=mu)
    np.testing.assert_allclose(N, electrons, rtol=2e-15)


def test_slightly_negative_dos():
    rng = np.random.default_rng(2)
    dos = free_electrons() - 0.3 * rng.random(E.size) * (E < -2)
    assert dos.min() < -0.1
    mu = fermi_level(dos, E, temperature=300, n_electrons=12.0)
    assert n_electrons(dos, E, temperature=300, fermi_level=mu) == pytest.approx(12, rel=1e-14)


@pytest.mark.parametrize("temperature", [0.0, 50.0, 300.0])
def test_level_in_a_gap(temperature):
    # A valence band of exactly 8 electrons, a gap from 1 to 4 eV, a conduction band.
    dos = np.where((E > 0.1) & (E < 0.9), 10.0, 0.0) + np.where(E > 4.1, 5.0, 0.0)
    dos *= 8 / (dos[E < 2].sum() * 0.2)
    dos = torch.tensor(dos, requires_grad=True)
    mu = fermi_level(dos, E, temperature=temperature, n_electrons=8.0)
    # Of all solutions at T = 0 the middle of the gap.
    assert mu.item() == pytest.approx(2.5, abs=0.02) if temperature == 0 else 0.9 < mu.item() < 4.2
    (grad,) = torch.autograd.grad(mu, dos)
    if temperature == 0:
        assert (grad == 0).all()
    assert not grad.isnan().any()


@pytest.mark.parametrize("temperature", [0.0, 300.0, 2e4])
def test_gradients_by_finite_differences(temperature):
    energies = torch.linspace(-1, 9, 8, dtype=torch.float64, requires_grad=True)
    rng = np.random.default_rng(3)
    dos = torch.tensor(1 + rng.random((2, 8)), requires_grad=True)
    electrons = torch.tensor([4.0, 7.3], dtype=torch.float64, requires_grad=True)
    T = torch.tensor(temperature, dtype=torch.float64, requires_grad=temperature > 0)

    def function(dos, energies, T, electrons):
        return fermi_level(dos, energies, temperature=T, n_electrons=electrons)

    assert torch.autograd.gradcheck(function, (dos, energies, T, electrons), atol=1e-7)


def test_batches_equal_loops():
    rng = np.random.default_rng(4)
    dos = np.stack([free_electrons(rng) for _ in range(6)]).reshape(3, 2, -1)
    T = np.array([0.0, 700.0])
    N = np.array([[5.0], [12.0], [30.0]])
    mu = fermi_level(dos, E, temperature=T, n_electrons=N)
    assert mu.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            one = fermi_level(dos[i, j], E, temperature=T[j], n_electrons=N[i, 0])
            assert mu[i, j] == pytest.approx(one, abs=1e-12)


def test_kinds_and_dtypes():
    dos = torch.tensor(free_electrons(), dtype=torch.float32, requires_grad=True)
    mu = fermi_level(dos, E, temperature=300, n_electrons=12)
    assert mu.dtype == torch.float64
    mu.backward()
    assert dos.grad.dtype == torch.float32
    assert dos.grad.abs().max() > 1e-3


def test_error_says_what_the_grid_holds():
    dos = free_electrons()
    with pytest.raises(FermiLevelError) as info:
        fermi_level(dos, E, temperature=300, n_electrons=1000.0)
    most = n_electrons(dos, E, temperature=300, fermi_level=E[-1])
    assert "n_electrons=1000 is not between N(-4 eV)=" in str(info.value)
    assert f"N(14 eV)={most:.10g}" in str(info.value)
    with pytest.raises(FermiLevelError, match="1 of 2 batches"):
        fermi_level(dos, E, temperature=300, n_electrons=[4.0, 1000.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dos": np.ones(90)}, r"shape \(\.\.\., 91\), got \(90,\)"),
        ({"dos": 1.0}, r"shape \(\.\.\., 91\), got \(\)"),
        ({"energies": E[::-1]}, "energies must increase strictly, got 14 before 13.8 at index 0"),
        ({"temperature": -3.0}, "temperature must be >= 0 K, got -3"),
        ({"n_electrons": 0.0}, "n_electrons must be > 0, got 0"),
        ({"dos": np.ones((2, 91)), "n_electrons": [1.0, 2.0, 3.0]}, "leading axes must broadcast"),
    ],
)
def test_errors(change, message):
    arguments = {"dos": np.ones(91), "energies": E, "temperature": 300.0, "n_electrons": 4.0}
    arguments |= change
    with pytest.raises(ValueError, match=message):
        fermi_level(arguments.pop("dos"), arguments.pop("energies"), **arguments)
