import numpy as np
import pytest
import torch

from skldos.physics import broadening, entropy_density, occupation
from skldos.units import BOLTZMANN

E = 7 + np.arange(-200, 201) / 16  # exactly symmetric about 7 eV


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 298.0, 933.0, 1e5])
def test_particle_hole_symmetry(temperature):
    f = occupation(E, temperature=temperature, fermi_level=7.0)
    assert ((f >= 0) & (f <= 1)).all()
    np.testing.assert_allclose(f + f[::-1], 1, rtol=1e-15)
    s = entropy_density(E, temperature=temperature, fermi_level=7.0)
    assert s.max() == pytest.approx(np.log(2))
    np.testing.assert_allclose(s, s[::-1], rtol=1e-15)


def test_matches_the_definition():
    x = np.linspace(-5, 5, 21)
    kT = BOLTZMANN * 500
    f = 1 / (1 + np.exp(x))
    at = {"temperature": 500, "fermi_level": 1.0}
    np.testing.assert_allclose(occupation(1 + kT * x, **at), f, rtol=1e-13)
    s = -f * np.log(f) - (1 - f) * np.log(1 - f)
    np.testing.assert_allclose(entropy_density(1 + kT * x, **at), s, rtol=1e-13)


def test_slope_of_the_entropy_is_x_times_slope_of_the_occupation():
    kT = BOLTZMANN * 298
    x = torch.linspace(-30, 30, 121, dtype=torch.float64)
    e = (kT * x).requires_grad_()
    at = {"temperature": 298, "fermi_level": 0.0}
    (ds,) = torch.autograd.grad(entropy_density(e, **at).sum(), e)
    (df,) = torch.autograd.grad(occupation(e, **at).sum(), e)
    assert ds.abs().max() > 1
    torch.testing.assert_close(ds, x * df, rtol=1e-12, atol=3e-14 / kT)
    # (1 - f is rounded at the scale of 1, and divided by kT.)


def test_zero_temperature_is_the_step_function():
    at = {"temperature": 0.0, "fermi_level": 7.0}
    np.testing.assert_array_equal(occupation([6.9, 7.0, 7.1], **at), [1.0, 0.5, 0.0])
    np.testing.assert_array_equal(entropy_density([-1e4, 6.9, 7.1, 1e4], **at), 0.0)


def test_gradients_stay_finite_at_zero_temperature():
    e = torch.tensor([-5.0, 7.0, 9.0], requires_grad=True)
    T = torch.tensor(0.0, requires_grad=True)
    for function in (occupation, entropy_density):
        grads = torch.autograd.grad(function(e, temperature=T, fermi_level=6.0).sum(), (e, T))
        assert all(torch.isfinite(grad).all() for grad in grads)


def test_kernels_match_their_definitions():
    x = np.linspace(-6, 6, 13)
    gaussian = np.exp(-(x**2)) / (0.4 * np.sqrt(np.pi))
    np.testing.assert_allclose(broadening(0.4 * x, width=0.4), gaussian, rtol=1e-13)
    fermi_dirac = 1 / (2 + 2 * np.cosh(x)) / 5
    np.testing.assert_allclose(
        broadening(5 * x, width=5.0, kernel="fermi-dirac"), fermi_dirac, rtol=1e-14
    )


def test_far_away_nothing_overflows():
    for kernel in ("gaussian", "fermi-dirac"):
        np.testing.assert_array_equal(broadening([-1e6, 1e6], width=0.1, kernel=kernel), 0.0)
    far = occupation([-1e6, 1e6], temperature=1, fermi_level=0.0)
    np.testing.assert_array_equal(far, [1.0, 0.0])


def test_errors():
    with pytest.raises(ValueError, match="temperature must be >= 0 K, got -1"):
        occupation(E, temperature=-1, fermi_level=7.0)
    with pytest.raises(TypeError, match=r"temperature must be a real number .* got NoneType"):
        occupation(E, temperature=None, fermi_level=7.0)
    with pytest.raises(ValueError, match="width must be > 0, got 0"):
        broadening(E, width=0)
    with pytest.raises(ValueError, match="kernel must be one of 'gaussian', 'fermi-dirac'"):
        broadening(E, width=1, kernel="mp")
