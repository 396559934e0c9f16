r"""Assignment of neighbours to spheres, compiled for the CPU.

A neighbour at distance *d* in direction *n*, with weight *q*, contributes to sphere *s* and vertex
*v* of its channel

.. math:: q \, f(d) \, B_s(d) \, w_v(n) .

*Nearest* assignment: *B* and *w* are one for the shell and for the vertex that it falls on, and
zero elsewhere. *Smooth* assignment: *f* is faded out towards the cutoff, *B* are cubic B-splines
and *w* the weights of :meth:`skldos.geometry.sphere.IcoSphere.spread`; both sum to one.

Sums are always computed in double precision.
"""

import numpy as np

from skldos.compilation import compiled, inlined
from skldos.geometry.sphere import nearest_vertex

#: Number of cubic B-splines that are nonzero at a point.
SPLINES = 4


@compiled
def add_nearest(first, vectors, channels, weights, vertices, r_min, r_cut, radial, decay, out):
    """Write environments by nearest assignment into `out` (n_atoms, n_channels, n_spheres, V)."""
    n_spheres = out.shape[2]
    total = np.zeros(out.shape[1:])
    for i in range(len(out)):
        total[:] = 0
        for k in range(first[i], first[i + 1]):
            x, y, z = vectors[k]
            d = np.sqrt(x * x + y * y + z * z)
            # The shells are (edge, edge + width]. Neighbours closer than r_min are in the first
            # shell.
            shell = int(np.ceil(n_spheres * (d - r_min) / (r_cut - r_min))) - 1
            shell = min(max(shell, 0), n_spheres - 1)
            v = nearest_vertex(x / d, y / d, z / d, vertices)
            total[channels[k], shell, v] += weights[k] * radial_part(d, radial, decay)[0]
        out[i] = total


@compiled
def add_smooth(
    first, vectors, channels, weights, vertices, r_min, r_cut, radial, decay, fade, edge, out
):
    """Write environments by smooth assignment into `out` (n_atoms, n_channels, n_spheres, V)."""
    n_spheres = out.shape[2]
    total = np.zeros(out.shape[1:])
    spline, slope = np.empty(SPLINES), np.empty(SPLINES)
    near, kernel = np.empty(len(vertices), np.int64), np.empty(len(vertices))
    for i in range(len(out)):
        total[:] = 0
        for k in range(first[i], first[i + 1]):
            x, y, z = vectors[k]
            d = np.sqrt(x * x + y * y + z * z)
            value, _ = faded_part(d, r_cut, fade, radial, decay)
            shell = spline_weights(d, r_min, (r_cut - r_min) / n_spheres, spline, slope)
            n, norm = collect_vertices(x / d, y / d, z / d, vertices, edge, near, kernel)
            for j in range(SPLINES):
                row = total[channels[k], min(max(shell + j, 0), n_spheres - 1)]
                amount = weights[k] * value * spline[j] / norm
                for m in range(n):
                    row[near[m]] += amount * kernel[m] ** 3
        out[i] = total


@compiled
def pull_back(
    first, vectors, channels, weights, vertices, r_min, r_cut, radial, decay, fade, edge,
    sensitivity, gradient,
):  # fmt: skip
    """Write derivatives by the vectors to `gradient`, from those by `add_smooth`'s result."""
    n_spheres = sensitivity.shape[2]
    spline, slope = np.empty(SPLINES), np.empty(SPLINES)
    near, kernel = np.empty(len(vertices), np.int64), np.empty(len(vertices))
    for i in range(len(sensitivity)):
        for k in range(first[i], first[i + 1]):
            d = np.sqrt(vectors[k, 0] ** 2 + vectors[k, 1] ** 2 + vectors[k, 2] ** 2)
            x, y, z = vectors[k] / d
            value, change = faded_part(d, r_cut, fade, radial, decay)
            shell = spline_weights(d, r_min, (r_cut - r_min) / n_spheres, spline, slope)
            n, norm = collect_vertices(x, y, z, vertices, edge, near, kernel)
            # g_v = Σ_s B_s G_sv and its derivative by d; their means over the weights w_v.
            mean, steep = 0.0, 0.0
            tx, ty, tz, sx, sy, sz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for m in range(n):
                v = near[m]
                g, dg = 0.0, 0.0
                for j in range(SPLINES):
                    s = min(max(shell + j, 0), n_spheres - 1)
                    g += spline[j] * sensitivity[i, channels[k], s, v]
                    dg += slope[j] * sensitivity[i, channels[k], s, v]
                mean += g * kernel[m] ** 3 / norm
                steep += dg * kernel[m] ** 3 / norm
                # K = t³, t = (n·v - edge) / (1 - edge)
                t = 3 * kernel[m] ** 2 / (1 - edge) / norm
                tx += g * t * vertices[v, 0]
                ty += g * t * vertices[v, 1]
                tz += g * t * vertices[v, 2]
                sx += t * vertices[v, 0]
                sy += t * vertices[v, 1]
                sz += t * vertices[v, 2]
            # Σ_v g_v ∂w_v/∂n, without the part along n, which has no effect.
            tx, ty, tz = tx - mean * sx, ty - mean * sy, tz - mean * sz
            along = tx * x + ty * y + tz * z
            radially = change * mean + value * steep
            gradient[k, 0] = weights[k] * (radially * x + value / d * (tx - along * x))
            gradient[k, 1] = weights[k] * (radially * y + value / d * (ty - along * y))
            gradient[k, 2] = weights[k] * (radially * z + value / d * (tz - along * z))


@inlined
def radial_part(d, radial, decay):
    """Return f and df/dd: for `radial` 0 the gaussian exp(-decay d²), else d to minus `radial`."""
    if radial == 0:
        f = np.exp(-decay * d * d)
        return f, -2 * decay * d * f
    f = d ** (-radial)
    return f, -radial * f / d


@inlined
def faded_part(d, r_cut, fade, radial, decay):
    """Return f and df/dd, faded out between r_cut - fade and r_cut."""
    f, df = radial_part(d, radial, decay)
    x = (d - r_cut + fade) / fade
    if x <= 0:
        return f, df
    if x >= 1:
        return 0.0, 0.0
    # From one to zero with two vanishing derivatives at both ends.
    c = 1 - x * x * x * (10 - 15 * x + 6 * x * x)
    dc = -30 * x * x * (1 - x) * (1 - x) / fade
    return f * c, df * c + f * dc


@inlined
def spline_weights(d, r_min, width, spline, slope):
    """Write the cubic B-splines of the four shells around d; return the index of the first.

    Splines sit at the middles of the shells. There are more of them than shells: the caller adds
    what belongs to shells before the first to the first, and after the last to the last.
    """
    u = (d - r_min) / width - 0.5
    nearest_below = np.floor(u)
    t = u - nearest_below
    spline[0] = (1 - t) ** 3 / 6
    spline[1] = (4 - 6 * t * t + 3 * t * t * t) / 6
    spline[2] = (1 + 3 * t + 3 * t * t - 3 * t * t * t) / 6
    spline[3] = t * t * t / 6
    slope[0] = -((1 - t) ** 2) / 2 / width
    slope[1] = (3 * t * t - 4 * t) / 2 / width
    slope[2] = (1 + 2 * t - 3 * t * t) / 2 / width
    slope[3] = t * t / 2 / width
    return int(nearest_below) - 1


@inlined
def collect_vertices(x, y, z, vertices, edge, near, kernel):
    """Write the vertices v within reach, and t = (n·v - edge) / (1 - edge); return their number.

    Returns the sum of t³ as well.
    """
    n, norm = 0, 0.0
    for v in range(len(vertices)):
        cosine = x * vertices[v, 0] + y * vertices[v, 1] + z * vertices[v, 2]
        if cosine > edge:
            t = (cosine - edge) / (1 - edge)
            near[n], kernel[n] = v, t
            norm += t * t * t
            n += 1
    return n, norm
