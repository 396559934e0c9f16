"""Last stage of the adjoint: from derivatives by the coefficients to derivatives by neighbours.

Vector registers hold several neighbours at once, as in the forward stage,
:mod:`skldos.descriptors.bispectrum.expansion`.
"""

import numpy as np

from skldos.compilation import inlined
from skldos.descriptors.bispectrum.expansion import COSINE, NEIGHBORS, SINE, polynomial
from skldos.descriptors.bispectrum.tables import padded


@inlined
def evaluate(X, R, n, start, c, out):
    """Evaluate a function on the sphere at the neighbours: Σ_lm R_lm Σ_j c_jlm X_jl."""
    N = NEIGHBORS
    for k in range(N):
        out[k] = 0
    lm = i = 0
    for ell in range(n):
        count = padded(n - ell)
        for _ in range(2 * ell + 1):
            y = R[lm * N : lm * N + N]
            for j in range(0, count, 4):
                t = start[lm] + j
                a, b, d, e = c[t], c[t + 1], c[t + 2], c[t + 3]
                x = X[(i + j) * N : (i + j + 4) * N]
                for k in range(N):
                    out[k] += y[k] * (a * x[k] + b * x[N + k] + d * x[2 * N + k] + e * x[3 * N + k])
            lm += 1
        i += count


@inlined
def evaluate_gradient(X, R, n, start, c, out):
    """Evaluate the four partial derivatives at the neighbours, each from its own coefficients.

    See :func:`skldos.descriptors.bispectrum.adjoint_tables.gradient_rows`. Here `X` begins with
    the radial functions of l = 1 and `n` is twojmax: for each l those of l + 1 are taken.
    """
    N = NEIGHBORS
    for k in range(4 * N):
        out[k] = 0
    size = len(c) // 4
    lm = i = 0
    for ell in range(n):
        count = padded(n - ell)
        for _ in range(2 * ell + 1):
            y = R[lm * N : lm * N + N]
            for j in range(0, count, 4):
                x = X[(i + j) * N : (i + j + 4) * N]
                t, u = start[lm] + j, start[lm] + j + size
                v, w = u + size, u + 2 * size
                a0, a1, a2, a3 = c[t], c[t + 1], c[t + 2], c[t + 3]
                b0, b1, b2, b3 = c[u], c[u + 1], c[u + 2], c[u + 3]
                d0, d1, d2, d3 = c[v], c[v + 1], c[v + 2], c[v + 3]
                e0, e1, e2, e3 = c[w], c[w + 1], c[w + 2], c[w + 3]
                for k in range(N):
                    x0, x1, x2, x3 = x[k], x[N + k], x[2 * N + k], x[3 * N + k]
                    out[k] += y[k] * (a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3)
                    out[N + k] += y[k] * (b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3)
                    out[2 * N + k] += y[k] * (d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3)
                    out[3 * N + k] += y[k] * (e0 * x0 + e1 * x1 + e2 * x2 + e3 * x3)
            lm += 1
        i += count


@inlined
def pull_back(some, values, slopes, r_cut, rfac0, rmin0, switch, out):
    r"""Convert derivatives by the points of the sphere to those by the displacements.

    With :math:`g = (g_0, q\,\Delta)`, :math:`q = |\sin\theta_0| / r` and the logarithmic slope
    :math:`f_c'/f_c = -\pi \tan(\pi t / 2) / (r_\mathrm{cut} - r_\mathrm{min})` of the switching
    function, a function :math:`w f_c \varphi(g)` that is given with its gradient, both times
    :math:`w f_c`, has the derivative

    .. math:: q\,\nabla_v\varphi + \hat r \left[(g_0 \theta_0' - q)\,\hat r \cdot \nabla_v\varphi
        - q r \theta_0'\,\partial_0\varphi + \frac{f_c'}{f_c} \varphi \right].
    """
    N = NEIGHBORS
    inverse = 1 / (r_cut - rmin0)
    rate = np.pi * rfac0 * inverse  # θ0'
    for k in range(N):
        x, y, z = some[k], some[N + k], some[2 * N + k]
        r = np.sqrt(x * x + y * y + z * z)
        t = (r - rmin0) * inverse
        turn = rfac0 * t
        turn -= np.floor(turn + 0.5)
        cosine = polynomial(COSINE, turn * turn)
        g0 = cosine if turn >= 0 else -cosine
        q = abs(turn) * polynomial(SINE, turn * turn) / r
        half = 0.5 * min(max(t, 0.0), 1.0)
        tangent = half * polynomial(SINE, half * half) / polynomial(COSINE, half * half)
        fading = -np.pi * inverse * tangent * values[k] if switch else 0.0
        d0, dx, dy, dz = slopes[k], slopes[N + k], slopes[2 * N + k], slopes[3 * N + k]
        ux, uy, uz = x / r, y / r, z / r
        along = (g0 * rate - q) * (ux * dx + uy * dy + uz * dz) - q * r * rate * d0 + fading
        out[k] = q * dx + along * ux
        out[N + k] = q * dy + along * uy
        out[2 * N + k] = q * dz + along * uz


@inlined
def scatter(some, stretch, found, n, slopes, atoms, strain, point):
    """Add the derivatives of some neighbours to those of their atoms, the cell and the point."""
    N = NEIGHBORS
    for k in range(n):
        i = found[k]
        for b in range(3):
            slope = stretch[k] * slopes[b * N + k]
            atoms[i, b] += slope
            point[b] -= slope
            for a in range(3):
                strain[a, b] += some[a * N + k] / stretch[k] * slope
