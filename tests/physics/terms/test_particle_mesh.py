import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from skldos.physics.terms import particle_mesh as module
from skldos.physics.terms.particle_mesh import (
    mesh_structure_factors,
    phases,
    spline_transform,
    spline_weights,
    spread,
)

orders = pytest.mark.parametrize("order", [2, 4, 8, 12, 16])


@pytest.fixture
def atoms():
    """Fractional coordinates and charges."""
    rng = np.random.default_rng(7)
    return torch.tensor(rng.random((6, 3))), torch.tensor(rng.normal(size=6))


def exact(fractional, charges, mesh_shape):
    """Structure factors by the definition, of the waves of ``rfftn``."""
    n = mesh_shape
    m = [np.fft.fftfreq(n[0], 1 / n[0]), np.fft.fftfreq(n[1], 1 / n[1]), np.arange(n[2] // 2 + 1)]
    m = np.stack(np.meshgrid(*m, indexing="ij"), axis=-1)
    return np.exp(-2j * np.pi * m @ fractional.numpy().T) @ charges.numpy()


@orders
def test_weights_are_the_centred_b_spline(order):
    offset = torch.linspace(0, 1, 11, dtype=torch.float64)
    spline = BSpline.basis_element(np.arange(order + 1) - order / 2, extrapolate=False)
    x = offset.numpy()[:, None] - np.arange(1 - order // 2, order // 2 + 1)
    weights = spline_weights(offset, order).numpy()
    assert weights.max() > 0.1
    assert np.allclose(weights, np.nan_to_num(spline(x)), rtol=0, atol=1e-14)
    assert np.allclose(weights.sum(1), 1, rtol=0, atol=1e-14)


@orders
def test_transform_is_that_of_the_sampled_spline(order):
    n = 20
    samples = np.zeros(n)
    weights = spline_weights(torch.zeros((), dtype=torch.float64), order).numpy()
    np.add.at(samples, np.arange(1 - order // 2, order // 2 + 1) % n, weights)
    expected = np.fft.fft(samples).real
    assert expected.min() > 0
    assert np.allclose(spline_transform(n, order).numpy(), expected, rtol=0, atol=1e-14)
    half = spline_transform(n, order, half=True).numpy()
    assert np.allclose(half, expected[: n // 2 + 1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("order", [4, 8, 12])
def test_structure_factors_are_as_accurate_as_the_euler_spline(order, atoms):
    shape = (24, 20, 25)
    S = mesh_structure_factors(*atoms, shape, order).numpy()
    error = np.abs(S - exact(*atoms, shape))
    x, y = np.abs(np.fft.fftfreq(24)), np.abs(np.fft.fftfreq(20))
    z = np.fft.rfftfreq(25)
    # The leading errors of each axis, 2 (m/(K-m))^p, with a little room for the next ones
    bound = sum(
        2 * (f / (1 - f)) ** order for f in (x[:, None, None], y[None, :, None], z[None, None, :])
    )
    assert error[3, 2, 3] > 0
    assert (error <= atoms[1].abs().sum().item() * (1.5 * bound + 1e-14)).all()


def test_structure_factors_on_a_mesh_smaller_than_the_spline(atoms):
    S = mesh_structure_factors(*atoms, (4, 5, 6), 12).numpy()
    assert S[0, 0, 0] == pytest.approx(atoms[1].sum().item(), rel=1e-12)
    assert np.abs(S[1, 0, 0] - exact(*atoms, (4, 5, 6))[1, 0, 0]) < 1e-4


def test_phases_multiply_to_waves(atoms):
    m = torch.tensor([[3.0, -2.0, 5.0]])
    factors = [phases(atoms[0][:, axis], m[:, axis]) for axis in range(3)]
    got = (factors[0] * factors[1] * factors[2])[:, 0].numpy()
    assert np.allclose(got, np.exp(-2j * np.pi * atoms[0].numpy() @ m[0].numpy()), atol=1e-14)


def test_gradients_are_those_of_finite_differences(atoms):
    fractional, charges = (a.clone().requires_grad_() for a in atoms)
    assert torch.autograd.gradcheck(
        lambda s, q: spread(s, q, (7, 6, 5), 6), (fractional, charges), atol=1e-7
    )


def test_pieces_do_not_matter(atoms, monkeypatch):
    whole = spread(*atoms, (9, 8, 10), 6)
    monkeypatch.setattr(module, "PIECE", 500)
    parts = spread(*atoms, (9, 8, 10), 6)
    assert whole.abs().max() > 0.1
    assert torch.allclose(parts, whole, rtol=0, atol=1e-15)
    test_gradients_are_those_of_finite_differences(atoms)
