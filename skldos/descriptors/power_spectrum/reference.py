"""The power spectrum as in the formulas, for tests and readers; slow."""

from itertools import pairwise

import numpy as np
from scipy.integrate import fixed_quad
from scipy.special import sph_harm_y, spherical_in

from skldos.descriptors.power_spectrum.radial import radial_basis
from skldos.geometry import bin_neighbors, find_neighbors


def reference_power_spectrum(
    positions, cell, species, *, n_species, r_cut, n_max, l_max, sigma, fade=1.0, **radial
):
    """Calculate :func:`~skldos.descriptors.power_spectrum.power_spectrum` with explicit loops.

    `radial` holds radius and kind of the radial functions, as for
    :func:`~skldos.descriptors.power_spectrum.radial.radial_basis`; `r_cut` and ``"gto"`` by
    default.
    """
    radial = {"n_max": n_max, "radius": r_cut} | radial
    bins, rows = bin_neighbors(positions, cell, r_cut), []
    for own, position in zip(species, positions, strict=True):
        atoms, displacements = find_neighbors(position, bins)
        c = np.zeros((n_species, n_max, (l_max + 1) ** 2))
        c[own] += _contribution(np.zeros(3), l_max, sigma, radial)
        for atom, d in zip(atoms, displacements, strict=True):
            cut = _cutoff(np.linalg.norm(d), r_cut, fade)
            c[species[atom]] += cut * _contribution(d, l_max, sigma, radial)
        c = c.reshape(n_species * n_max, -1)
        rows.append([p for l in range(l_max + 1) for p in _products(c, l)])
    return np.array(rows)


def _contribution(d, l_max, sigma, radial):
    """Return I_nl(r) Y_lm of one neighbour, of shape (n_max, (l_max + 1)²)."""
    r = np.linalg.norm(d)
    polar, azimuth = np.arccos(d[2] / r) if r else 0.0, np.arctan2(d[1], d[0])
    columns = []
    for l in range(l_max + 1):
        integral = _radial_integral(l, r, sigma, radial)
        for m in range(-l, l + 1):
            Y = np.sqrt(2 if m else 1) * (-1) ** m * sph_harm_y(l, abs(m), polar, azimuth)
            columns.append(integral * (Y.imag if m < 0 else Y.real))
    return np.array(columns).T


def _radial_integral(l, r, sigma, radial):
    def integrand(x):
        bessel = spherical_in(l, x * r / sigma**2)
        gaussians = np.exp(-(x**2 + r**2) / (2 * sigma**2))
        return x**2 * radial_basis(x, l, **radial) * gaussians * bessel

    # Polynomials have a kink at their radius.
    ends = np.array([max(0, r - 8 * sigma), radial["radius"], r + 8 * sigma])
    ends = np.clip(ends, ends[0], ends[2])
    integral = sum(fixed_quad(integrand, *pair, n=100)[0] for pair in pairwise(ends))
    return 4 * np.pi / (np.pi * sigma**2) ** 0.75 * integral


def _cutoff(r, r_cut, fade):
    if r < r_cut - fade:
        return 1.0
    return 0.5 * (1 + np.cos(np.pi * (r - r_cut + fade) / fade))


def _products(c, l):
    """Return √(2/(2l+1)) Σ_m c_a c_b for all a < b, and without the 2 for a = b."""
    part = c[:, l**2 : (l + 1) ** 2]
    products = part @ part.T * np.sqrt(2 / (2 * l + 1))
    np.fill_diagonal(products, np.diag(products) / np.sqrt(2))
    return products[np.triu_indices(len(c))]
