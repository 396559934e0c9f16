import mpmath
import numpy as np
import pytest
import torch

from skldos.physics import polylog

# Dense about 0, where the two formulas meet, and out to where exp overflows.
X = np.concatenate(
    [
        np.linspace(-700, 2000, 55),
        np.linspace(-3, 3, 61),
        [-1e-300, -1e-12, 0.0, 1e-300, 1e-12, -745.0, 709.9],
    ]
)


def exact_polylog(order, x):
    """Li_n(-e^x); the logarithm of order 1 on its own, because mpmath's cancels at small e^x."""
    if order == 1:
        return -mpmath.log1p(mpmath.exp(x))
    return mpmath.polylog(order, -mpmath.exp(x)).real


@pytest.mark.parametrize("order", [1, 2, 3])
def test_matches_50_digits(order):
    with mpmath.workdps(50):
        exact = np.array([float(exact_polylog(order, mpmath.mpf(x))) for x in X])
    assert (exact <= 0).all()
    # Relative to the condition number of e^x, |x|, where it is small; denormals have fewer digits.
    error = np.abs(polylog(order, X) - exact)
    tolerance = 1e-15 * np.where(X < -1, -X, 1.0) * np.abs(exact)
    assert (error <= np.maximum(tolerance, 1e-307)).all()


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivative_is_the_order_below(order):
    x = torch.tensor(X, requires_grad=True)
    (slope,) = torch.autograd.grad(polylog(order, x).sum(), x)
    # Li_0(-e^x) = -1 / (1 + e^-x)
    below = polylog(order - 1, x.detach()) if order > 1 else -torch.sigmoid(x.detach())
    torch.testing.assert_close(slope, below, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gradients_by_finite_differences(order):
    x = torch.tensor([-20.0, -1.0, -1e-3, 1e-3, 0.7, 30.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: polylog(order, x), x)
    assert torch.autograd.gradgradcheck(lambda x: polylog(order, x), x)


def test_kinds_and_dtypes():
    assert isinstance(polylog(2, 0.5), np.float64)
    assert polylog(2, np.float32([0.5, 1.0])).dtype == np.float64
    assert polylog(2, torch.tensor([0.5])).dtype == torch.float64
    assert polylog(2, np.zeros((2, 3))).shape == (2, 3)


def test_errors():
    with pytest.raises(ValueError, match="order must be one of 1, 2, 3; got 4"):
        polylog(4, 0.0)
    with pytest.raises(ValueError, match="x must be finite, got 1 NaN or infinite of 2"):
        polylog(2, [0.0, np.nan])
