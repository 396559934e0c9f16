r"""Power spectra of atoms and their derivatives, compiled.

With sums over the neighbours j of element z,

.. math:: c^i_{zn,lm} = \sum_{j \in z} f_c(r_{ij})\, G_{nl}(r_{ij})\, r_{ij}^l Y_{lm}(\hat r_{ij}) ,

and a = (z, n),

.. math:: p^i_{l,ab} = \frac{w_{ab}}{\sqrt{2 l + 1}} \sum_m c^i_{a,lm}\, c^i_{b,lm}, \qquad a \le b,

where :math:`w_{aa} = 1` and :math:`w_{ab} = \sqrt 2` for a < b, so that scalar products of spectra
include all pairs. The atom itself is one of its neighbours, at distance zero. Coefficients are laid
out as [lm, a], so that the innermost loops run over radial functions.

Every kernel processes atoms one by one and returns the first atom with more neighbours than there
is room for, or `stop`.
"""

from typing import NamedTuple

import numpy as np

from skldos.compilation import compiled, inlined
from skldos.descriptors.power_spectrum.expansion import add_neighbor, add_self, radial_values
from skldos.descriptors.power_spectrum.harmonics import solid_harmonics, solid_harmonics_gradient
from skldos.geometry.neighbors import collect_neighbors


class Surroundings(NamedTuple):
    """The neighbours of one atom, and memory for quantities computed from them.

    Attributes
    ----------
    home, low, high, work : ndarray
        For the search of neighbours and the harmonics.
    displacements : ndarray of shape (3, room)
    found, kind : ndarray of shape (room,)
        Atom and element of every neighbour.
    harmonics : ndarray of shape (room, (l_max + 1)²)
        Solid harmonics.
    radial : ndarray of shape (room, 2, (l_max + 1) · n_max)
        :math:`f_c G_{nl}` and its derivative by r.
    gradient : ndarray of shape (3, (l_max + 1)²)
        Of the solid harmonics of one neighbour.
    c : ndarray of shape ((l_max + 1)², n_species · n_max)
        The coefficients.
    """

    home: np.ndarray
    low: np.ndarray
    high: np.ndarray
    work: np.ndarray
    displacements: np.ndarray
    found: np.ndarray
    kind: np.ndarray
    harmonics: np.ndarray
    radial: np.ndarray
    gradient: np.ndarray
    c: np.ndarray


@compiled
def surroundings(room, table, factors, n_species):
    """Return memory for up to `room` neighbours."""
    l_max, size = len(factors) - 1, table.shape[2]
    n_lm = (l_max + 1) ** 2
    return Surroundings(
        np.empty(3),
        np.empty(3, np.int64),
        np.empty(3, np.int64),
        np.zeros((l_max + 2, l_max + 2)),
        np.empty((3, room)),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty((room, n_lm)),
        np.empty((room, 2, size)),
        np.empty((3, n_lm)),
        np.empty((n_lm, n_species * (size // (l_max + 1)))),
    )


@inlined
def expand(i, positions, species, bins, table, factors, fade, around):
    """Find the neighbours of atom i and write its coefficients; return how many there are.

    Minus the room that is needed where it is too little.
    """
    n = collect_neighbors(
        positions[i], bins, around.home, around.low, around.high, around.displacements, around.found
    )
    if n < 0:
        return n
    around.c[:] = 0.0
    n_max = table.shape[2] // len(factors)
    for j in range(n):
        around.kind[j] = species[around.found[j]]
        d = around.displacements[:, j]
        r = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        radial_values(r, table, bins.r_cut, fade, around.radial[j, 0], around.radial[j, 1])
        solid_harmonics(d[0], d[1], d[2], factors, around.work, around.harmonics[j])
        add_neighbor(around.harmonics[j], around.radial[j, 0], around.kind[j] * n_max, around.c)
    add_self(species[i] * n_max, table, factors, around.c)
    return n


@inlined
def contract(c, l_max, row, spectrum):
    """Write the power spectrum of coefficients `c`, l slowest, then a, then b ≥ a.

    `row` has room for a number per radial function.
    """
    size = c.shape[1]
    f = 0
    for l in range(l_max + 1):
        norm = 1 / np.sqrt(2.0 * l + 1)
        for a in range(size):
            row[:] = 0.0
            for lm in range(l * l, (l + 1) * (l + 1)):
                for b in range(a, size):
                    row[b] += c[lm, a] * c[lm, b]
            spectrum[f] = norm * row[a]
            for b in range(a + 1, size):
                spectrum[f + b - a] = np.sqrt(2.0) * norm * row[b]
            f += size - a


@inlined
def contract_adjoint(c, l_max, by_spectrum, by_c):
    """Write the derivatives with respect to `c` from those with respect to the spectrum."""
    size = c.shape[1]
    by_c[:] = 0.0
    f = 0
    for l in range(l_max + 1):
        norm = 1 / np.sqrt(2.0 * l + 1)
        for a in range(size):
            for lm in range(l * l, (l + 1) * (l + 1)):
                w = 2 * norm * by_spectrum[f]
                by_c[lm, a] += w * c[lm, a]
                total = 0.0
                for b in range(a + 1, size):
                    w = np.sqrt(2.0) * norm * by_spectrum[f + b - a]
                    total += w * c[lm, b]
                    by_c[lm, b] += w * c[lm, a]
                by_c[lm, a] += total
            f += size - a


@compiled
def spectra(positions, species, bins, table, factors, fade, n_species, start, stop, room, out):
    """Write the spectra of atoms `start` to `stop` to the rows of `out`."""
    around = surroundings(room, table, factors, n_species)
    row = np.empty(around.c.shape[1])
    for i in range(start, stop):
        if expand(i, positions, species, bins, table, factors, fade, around) < 0:
            return i
        contract(around.c, len(factors) - 1, row, out[i - start])
    return stop


@compiled
def pullback(
    positions, species, bins, table, factors, fade, n_species, start, stop, room,
    by_rows, by_positions, strain,
):  # fmt: skip
    """Add derivatives with respect to positions and strain, from those to rows of spectra.

    Two passes over the neighbours of each atom: coefficients, then, with the derivatives with
    respect to those known, the gradient of every neighbour.
    """
    l_max = len(factors) - 1
    around = surroundings(room, table, factors, n_species)
    by_c, values, g = np.empty_like(around.c), np.empty((l_max + 1) ** 2), np.empty(3)
    for i in range(start, stop):
        n = expand(i, positions, species, bins, table, factors, fade, around)
        if n < 0:
            return i
        # The Gaussian of the atom itself does not move against it; its share of c matters.
        contract_adjoint(around.c, l_max, by_rows[i - start], by_c)
        for j in range(n):
            neighbor_gradient(j, around, factors, by_c, values, g)
            k = around.found[j]
            for x in range(3):
                by_positions[k, x] += g[x]
                by_positions[i, x] -= g[x]
                for y in range(3):
                    strain[x, y] += g[x] * around.displacements[y, j]
    return stop


@inlined
def neighbor_gradient(j, around, factors, by_c, values, g):
    """Write the derivatives with respect to the position of neighbour j.

    `values`, of shape ((l_max + 1)²,), takes those with respect to its solid harmonics.
    """
    l_max = len(factors) - 1
    n_max = around.radial.shape[2] // (l_max + 1)
    first, radial, harmonics = around.kind[j] * n_max, around.radial[j], around.harmonics[j]
    x, y, z = around.displacements[0, j], around.displacements[1, j], around.displacements[2, j]
    along = 0.0  # the derivative by r, at constant harmonics
    for l in range(l_max + 1):
        for lm in range(l * l, (l + 1) * (l + 1)):
            value = slope = 0.0
            for q in range(n_max):
                value += by_c[lm, first + q] * radial[0, l * n_max + q]
                slope += by_c[lm, first + q] * radial[1, l * n_max + q]
            values[lm] = value
            along += slope * harmonics[lm]
    solid_harmonics(x, y, z, factors, around.work, harmonics)
    solid_harmonics_gradient(x, y, z, factors, around.work, around.gradient)
    along /= np.sqrt(x * x + y * y + z * z)
    g[0], g[1], g[2] = along * x, along * y, along * z
    for lm in range(len(values)):
        for a in range(3):
            g[a] += values[lm] * around.gradient[a, lm]


@compiled
def sum_derivatives(
    positions, species, bins, table, factors, fade, n_species, start, stop, room,
    group, by_positions, strain,
):  # fmt: skip
    """Add the derivatives of the sums over the atoms of each group, for all features at once.

    `group` is that of every atom; `by_positions` has shape (n_atoms, 3, n_groups, n_features),
    `strain` (3, 3, n_groups, n_features).
    """
    l_max = len(factors) - 1
    n_max = table.shape[2] // (l_max + 1)
    around = surroundings(room, table, factors, n_species)
    by_neighbor = np.empty(around.c.shape[0] * n_max).reshape(-1, n_max)
    product = np.empty(n_max * around.c.shape[1]).reshape(n_max, -1)
    row = np.empty(by_positions.shape[3])
    for i in range(start, stop):
        n = expand(i, positions, species, bins, table, factors, fade, around)
        if n < 0:
            return i
        for j in range(n):
            d = around.displacements[:, j]
            solid_harmonics(d[0], d[1], d[2], factors, around.work, around.harmonics[j])
            solid_harmonics_gradient(d[0], d[1], d[2], factors, around.work, around.gradient)
            k, g = around.found[j], group[i]
            for x in range(3):
                coefficient_derivatives(x, j, around, by_neighbor)
                contract_derivatives(around, around.kind[j] * n_max, by_neighbor, product, row)
                for f in range(len(row)):
                    by_positions[k, x, g, f] += row[f]
                    by_positions[i, x, g, f] -= row[f]
                    for y in range(3):
                        strain[x, y, g, f] += row[f] * d[y]
    return stop


@inlined
def coefficient_derivatives(x, j, around, by_neighbor):
    """Write ∂c/∂x for neighbour j, [lm, radial function]: other elements' are zero."""
    n_max = by_neighbor.shape[1]
    d = around.displacements[:, j]
    unit = d[x] / np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    l = 0
    for lm in range(len(by_neighbor)):
        if lm == (l + 1) * (l + 1):
            l += 1
        along, across = around.harmonics[j, lm] * unit, around.gradient[x, lm]
        for q in range(n_max):
            slope, value = around.radial[j, 1, l * n_max + q], around.radial[j, 0, l * n_max + q]
            by_neighbor[lm, q] = slope * along + value * across


@inlined
def contract_derivatives(around, first, by_neighbor, product, row):
    """Write the derivatives of all features, from ∂c of the radial functions from `first` on."""
    n_max, size = product.shape
    f = 0
    for l in range(int(np.sqrt(len(by_neighbor)))):
        # Σ_m ∂c_q/∂x c_b, for the radial functions q of the neighbour's element
        product[:] = 0.0
        for lm in range(l * l, (l + 1) * (l + 1)):
            for q in range(n_max):
                for b in range(size):
                    product[q, b] += by_neighbor[lm, q] * around.c[lm, b]
        norm = 1 / np.sqrt(2.0 * l + 1)
        for a in range(size):
            for b in range(a, size):
                total = 0.0
                if first <= a < first + n_max:
                    total += product[a - first, b]
                if first <= b < first + n_max:
                    total += product[b - first, a]
                row[f] = norm * total if a == b else np.sqrt(2.0) * norm * total
                f += 1
