"""The Fermi level of a density of states that holds a given number of electrons."""

import numpy as np
import torch

from skldos.exceptions import FermiLevelError
from skldos.physics.arrays import check_positive, same_kind_out
from skldos.physics.dos import check_arguments, check_broadcast, integrate
from skldos.physics.quadrature import electrons_and_slope

_TOLERANCE = 1e-13  # eV; Newton's last step leaves an error of its square
_GAP_TOLERANCE = 1e-9  # of the electrons: what the states of a gap may be in the first guess
_MAX_ITERATIONS = 200  # bisection alone reaches the tolerance in about 50


@same_kind_out("dos", "energies", "temperature", "n_electrons")
def fermi_level(dos, energies, *, temperature, n_electrons):
    r"""Fermi level μ that solves :math:`\int f(E)\,D(E)\,dE = N_e`.

    Newton's method, safeguarded by bisection within the range of the energies, so that it also
    converges where D is slightly negative and N(μ) is not monotone.

    Parameters
    ----------
    dos : tensor or ndarray of shape (..., n_energies)
        D(E) in 1/eV, spin factor included; linearly interpolated, see :func:`integration_weights`.
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
    if not any(value.requires_grad for value in (dos, energies, temperature, n_electrons)):
        return mu
    excess = integrate(dos, energies, temperature, mu, "electrons") - n_electrons
    # A Newton step of length zero carries the gradient dmu = -(dN/dmu)^-1 (dN - dN_e). Subtraction
    # makes its length zero, because in a gap the rounding error of N, divided by the slope, is
    # arbitrary.
    slope = _slope(*fixed, mu)
    gap = slope.abs() < torch.finfo(torch.float64).tiny
    return mu - torch.where(gap, 0.0, (excess - excess.detach()) / torch.where(gap, 1.0, slope))


def _solve(dos, energies, temperature, n_electrons):
    """Root of N(mu) = N_e by Newton's method inside a bracket, all batches at once."""
    low, high = _bracket(dos, energies, temperature, n_electrons)
    mu, step = _cold_level(dos, energies, n_electrons).clamp(low, high), high - low
    done = torch.zeros_like(mu, dtype=torch.bool)
    # In a gap, N(mu) is flat and equals N_e to rounding everywhere; more steps would end at its
    # edge.
    rounding = 4 * torch.finfo(torch.float64).eps * n_electrons
    for _ in range(_MAX_ITERATIONS):
        electrons, slope = electrons_and_slope(dos, energies, temperature, mu)
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
    shape = np.broadcast_shapes(dos.shape[:-1], temperature.shape, n_electrons.shape)
    low, high = energies[0].expand(shape), energies[-1].expand(shape)
    fewest, most = integrate(dos, energies, temperature, torch.stack([low, high]), "electrons")
    outside = (n_electrons < fewest) | (n_electrons > most)
    if outside.any():
        first = [value.expand(shape)[outside][0].item() for value in (n_electrons, fewest, most)]
        where = "" if not shape else f" ({int(outside.sum())} of {outside.numel()} batches)"
        raise FermiLevelError(
            f"n_electrons={first[0]:.10g} is not between N({energies[0]:g} eV)={first[1]:.10g} and "
            f"N({energies[-1]:g} eV)={first[2]:.10g}: no Fermi level inside the energies{where}."
        )
    return low, high


def _cold_level(dos, energies, n_electrons):
    """Return roughly the μ of T = 0, in the middle of a gap: where to begin."""
    h = torch.diff(energies)
    # Half an interval of the tail below the grid, then trapezoids.
    steps = torch.cat([h[:1] * dos[..., :1] / 2, h * (dos[..., 1:] + dos[..., :-1]) / 2], dim=-1)
    states, target = torch.broadcast_tensors(steps.cumsum(dim=-1), n_electrons[..., None])
    target, last = target[..., :1], len(h) - 1
    slack = _GAP_TOLERANCE * target

    def crossing(left, level):
        left = left.clamp(0, last)
        low, high = (states.gather(-1, index) for index in (left, left + 1))
        fraction = ((level - low) / (high - low)).nan_to_num(0.5, 0.5, 0.5)
        return energies[left] + fraction * h[left]

    enough, few = ((states >= target - slack).long(), (states <= target + slack).long())
    first = enough.argmax(dim=-1, keepdim=True) - 1
    final = last + 1 - few.flip(-1).argmax(dim=-1, keepdim=True)
    ends = crossing(first, target - slack), crossing(final, target + slack)
    return ((ends[0] + ends[1]) / 2)[..., 0]


def _slope(dos, energies, temperature, mu):
    """Return dN/dmu, the derivative by autograd, which vanishes in a gap."""
    with torch.enable_grad():
        mu = mu.detach().requires_grad_()
        electrons = integrate(dos, energies, temperature, mu, "electrons")
        (slope,) = torch.autograd.grad(electrons.sum(), mu)
    return slope
