r"""Densities at any Fermi level of a window, from a few numbers per point.

The density :math:`n(r; \mu) = \sum_i w_i(\mu)\, d(r, E_i)` needs the Fermi level, and the Fermi
level needs the LDOS of all points. Who computes the LDOS slice by slice, and cannot keep it, needs
it twice. But near a level :math:`\mu_0` the weights are combinations of few vectors,

.. math::

    w(\mu) = w(\mu_0) + \sum_k c_k(\mu)\, b_k, \qquad
    n(r; \mu) = n(r; \mu_0) + \sum_k c_k(\mu) \sum_i b_{ki}\, d(r, E_i),

because they are smooth on the scale of kT. So it suffices to keep :math:`n(r; \mu_0)` and one
number per vector, some ten in all, until the level is known.
"""

import numpy as np
import torch

from skldos.physics.arrays import autograd, to_float64
from skldos.physics.quadrature import weights
from skldos.units import BOLTZMANN

#: Half the width of a window, in units of kT, and its least value in eV.
HALF_WIDTH, LEAST = 0.6, 5e-3
#: Levels of which the vectors are made, and the part of the weights that they may leave out.
N_LEVELS, LEFT_OUT = 32, 1e-12


class FermiWindow:
    """Weights of the electrons at the Fermi levels around one.

    Parameters
    ----------
    energies : ndarray of shape (n_energies,)
        Of the LDOS, in eV.
    temperature : float
        In K.
    level : float
        The Fermi level in the middle, in eV.

    Attributes
    ----------
    weights : ndarray of shape (n_energies,)
        Those at `level`, in eV.
    vectors : ndarray of shape (n_energies, n_vectors)
        Orthonormal columns.

    Examples
    --------
    >>> energies = np.linspace(-5.0, 10.0, 76)
    >>> window = FermiWindow(energies, 298.0, 7.0)
    >>> len(window.vectors), window.vectors.shape[1] < 16
    (76, True)
    >>> coefficients, slopes = window.at(7.01)
    >>> exact = FermiWindow(energies, 298.0, 7.01).weights
    >>> bool(np.abs(window.weights + window.vectors @ coefficients - exact).max() < 1e-12)
    True
    >>> window.at(7.5) is None
    True
    """

    def __init__(self, energies, temperature, level):
        self._energies = to_float64("energies", energies)
        self._temperature = torch.tensor(float(temperature), dtype=torch.float64)
        self.weights, slope = self._weights_at(level)
        half = max(HALF_WIDTH * BOLTZMANN * float(temperature), LEAST)
        # Chebyshev's points, at which interpolation is best.
        angles = np.pi * (np.arange(N_LEVELS) + 0.5) / N_LEVELS
        near = [self._weights_at(level + half * np.cos(angle)) for angle in angles]
        columns = [w - self.weights for w, _ in near] + [half * s for _, s in [*near, (0, slope)]]
        vectors, sizes, _ = np.linalg.svd(np.stack(columns, axis=1), full_matrices=False)
        self._tolerance = LEFT_OUT * np.abs(self.weights).max()
        self.vectors = np.ascontiguousarray(vectors[:, sizes > self._tolerance / N_LEVELS])

    def __repr__(self):
        return f"FermiWindow({len(self.weights)} energies, {self.vectors.shape[1]} vectors)"

    def at(self, level):
        """Return the coefficients of the vectors at a level in eV, and their derivatives.

        None where the level is so far away that the vectors do not suffice.
        """
        exact, slope = self._weights_at(level)
        change = exact - self.weights
        coefficients = self.vectors.T @ change
        if np.abs(self.vectors @ coefficients - change).max() > self._tolerance:
            return None
        return coefficients, self.vectors.T @ slope

    def _weights_at(self, level):
        """Return the weights at a level, and their derivatives by it."""
        with autograd():
            level = torch.tensor(float(level), dtype=torch.float64, requires_grad=True)
            w = weights(self._energies, self._temperature, level, "electrons")
            # One derivative of many functions: twice backwards is forwards.
            dual = torch.zeros_like(w, requires_grad=True)
            (pulled,) = torch.autograd.grad(w, level, dual, create_graph=True)
            (slope,) = torch.autograd.grad(pulled, dual)
        return w.detach().numpy(), slope.numpy()
