"""The Fermi level of a density of states that holds a given number of electrons."""

import torch

from skldos.exceptions import FermiLevelError
from skldos.physics._arrays import check_positive, same_kind_out
from skldos.physics.dos import check_arguments, check_broadcast, integrate

_TOLERANCE = 1e-13  # eV; Newton's last step leaves the square of it
_MAX_ITERATIONS = 200  # bisection alone reaches the tolerance in some 50


@same_kind_out("dos", "energies", "temperature", "n_electrons")
def fermi_level(dos, energies, *, temperature, n_electrons):
    r"""Fermi level μ that solves :math:`\int f(E)\,D(E)\,dE = N_e`.

    Newton's method, kept by bisection inside the range of the energies, so that it also
    converges where D is slightly negative and N(μ) not monotone.

    Parameters
    ----------
    dos : tensor or ndarray of shape (..., n_energies)
        D(E) in 1/eV, spin factor included; taken linear between the energies, see
        :func:`integration_weights`.
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV.
    temperature : float, tensor or ndarray of shape (...)
        T in K; broadcasts with the leading axes of `dos`.
    n_electrons : float, tensor or ndarray of shape (...)
        :math:`N_e > 0`; broadcasts as well.

    Returns
    -------
    tensor, ndarray or float of shape (...)
        μ in eV; float64. The first derivatives of a tensor with respect to all arguments are
        exact, by the implicit function theorem: :math:`d\mu = -(\partial N/\partial\mu)^{-1}
        \,\partial N`. In a gap so wide that :math:`\partial N/\partial\mu` vanishes, μ is one
        of many solutions and its derivatives are set to zero.

    Raises
    ------
    FermiLevelError
        If :math:`N_e` is not between N(μ) at the two ends of the energies.
    ValueError
        If shapes disagree, a value is not finite, the energies do not increase, the
        temperature is negative or :math:`N_e` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> energies = np.arange(0.0, 11.0)
    >>> mu = fermi_level(np.ones(11), energies, temperature=300, n_electrons=4.5)
    >>> round(float(mu), 9)
    4.0
    """
    check_arguments(dos, energies, temperature)
    check_positive("n_electrons", n_electrons)
    shapes = {"dos": dos.shape[:-1], "temperature": temperature.shape}
    check_broadcast(shapes | {"n_electrons": n_electrons.shape})
    fixed = (dos.detach(), energies.detach(), temperature.detach())
    mu = _solve(*fixed, n_electrons.detach())
    excess = integrate(dos, energies, temperature, mu, "electrons") - n_electrons
    if not excess.requires_grad:
        return mu
    # A Newton step of length zero carries dmu = -(dN/dmu)^-1 (dN - dN_e). Its length is zero by
    # subtraction, because in a gap the rounding of N, divided by the slope, could be anything.
    slope = _electrons_and_slope(*fixed, mu)[1]
    gap = slope.abs() < torch.finfo(torch.float64).tiny
    return mu - torch.where(gap, 0.0, (excess - excess.detach()) / torch.where(gap, 1.0, slope))


def _solve(dos, energies, temperature, n_electrons):
    """Root of N(mu) = N_e by Newton's method inside a bracket, all batches at once."""
    low, high = _bracket(dos, energies, temperature, n_electrons)
    mu, step = (low + high) / 2, high - low
    done = torch.zeros_like(mu, dtype=torch.bool)
    # A flat N(mu) is met within its rounding anywhere in a gap; going on would end at its edge.
    rounding = 4 * torch.finfo(torch.float64).eps * n_electrons
    for _ in range(_MAX_ITERATIONS):
        electrons, slope = _electrons_and_slope(dos, energies, temperature, mu)
        excess = electrons - n_electrons
        low = torch.where(excess < 0, mu, low)
        high = torch.where(excess < 0, high, mu)
        newton = mu - excess / slope
        # Bisect where Newton leaves the bracket, has no slope, or does not halve its step.
        safe = (newton >= low) & (newton <= high) & ((newton - mu).abs() <= step.abs() / 2)
        proposal = torch.where(safe, newton, (low + high) / 2)
        done = done | (excess.abs() <= rounding)
        step = torch.where(done, 0.0, proposal - mu)
        mu = mu + step
        done = done | (step.abs() <= _TOLERANCE)
        if done.all():
            break
    return mu


def _bracket(dos, energies, temperature, n_electrons):
    """Return the ends of the energies, in the batch shape, if N_e lies between."""
    shape = torch.broadcast_shapes(dos.shape[:-1], temperature.shape, n_electrons.shape)
    low, high = energies[0].expand(shape), energies[-1].expand(shape)
    fewest, most = (integrate(dos, energies, temperature, mu, "electrons") for mu in (low, high))
    outside = (n_electrons < fewest) | (n_electrons > most)
    if outside.any():
        first = [value.expand(shape)[outside][0].item() for value in (n_electrons, fewest, most)]
        where = "" if not shape else f" ({int(outside.sum())} of {outside.numel()} batches)"
        raise FermiLevelError(
            f"n_electrons={first[0]:.10g} is not between N({energies[0]:g} eV)={first[1]:.10g} and "
            f"N({energies[-1]:g} eV)={first[2]:.10g}: no Fermi level inside the energies{where}."
        )
    return low, high


def _electrons_and_slope(dos, energies, temperature, mu):
    """N(mu) and dN/dmu, the derivative by autograd."""
    with torch.enable_grad():
        mu = mu.detach().requires_grad_()
        electrons = integrate(dos, energies, temperature, mu, "electrons")
        (slope,) = torch.autograd.grad(electrons.sum(), mu)
    return electrons.detach(), slope
