"""The environment of an atom on concentric spheres."""

import numpy as np

from skldos.geometry.sphere import MAX_SUBDIVISIONS, icosphere, n_vertices
from skldos.plotting.axes import GUIDE, bar_beside, new_axes
from skldos.validation import check_finite, check_option, check_scalar, check_shape

KINDS = ("globes", "matrix")
#: Width of a globe in pixels; the height is half of it.
PIXELS = 240
#: Half the width and half the height of a Mollweide map of the unit sphere.
HALF_WIDTH, HALF_HEIGHT = 2 * np.sqrt(2), np.sqrt(2)
#: Unit of an environment, by the parameter `radial` of the transformer.
UNITS = {"inverse_square": "1/Å²", "inverse": "1/Å", "gaussian": None}


class EnvironmentDisplay:
    """The input of a spherical network for the surroundings of one atom.

    Use :meth:`from_estimator` or :meth:`from_block` to make one.

    Parameters
    ----------
    environment : ndarray of shape (n_spheres, n_vertices)
        Numbers on the vertices of an icosphere, from the innermost sphere outwards.
    radii : ndarray of shape (n_spheres,), optional
        Radii of the spheres in Å, for the labels.
    unit : str, optional
        Unit of the numbers, for the colour bar.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    colorbar_ : matplotlib.colorbar.Colorbar
        The colour bar.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skldos.AtomEnvTransformer : Makes environments.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from ase.build import bulk
    >>> from skldos.descriptors.atom_env import AtomEnvTransformer
    >>> from skldos.plotting import EnvironmentDisplay
    >>> transformer = AtomEnvTransformer(n_spheres=4, subdivisions=2).fit([bulk("Al")])
    >>> display = EnvironmentDisplay.from_estimator(transformer, bulk("Al"))
    >>> [text.get_text() for text in display.ax_.texts]
    ['2.62 Å', '3.88 Å', '5.12 Å', '6.38 Å']
    """

    def __init__(self, *, environment, radii=None, unit=None):
        self.environment = environment
        self.radii = radii
        self.unit = unit

    @classmethod
    def from_estimator(
        cls, estimator, snapshot, *, atom=0, channel=None, rotation=None, ax=None, **plot_options
    ):
        """Compute the environment of an atom and draw it.

        Parameters
        ----------
        estimator : AtomEnvTransformer
            Fitted.
        snapshot : Snapshot or ase.Atoms
            The atoms.
        atom : int, default=0
            Index of the central atom.
        channel : int, optional
            Index of the channel, in the order of ``species_``; None adds up all channels.
        rotation : array-like of shape (3, 3), optional
            Orthogonal matrix that rotates the surroundings before drawing.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        EnvironmentDisplay
            The display, drawn.
        """
        if not hasattr(estimator, "environments"):
            raise TypeError(
                "estimator must be a fitted AtomEnvTransformer, got "
                f"{type(estimator).__name__}; from_block draws blocks."
            )
        if rotation is None:
            block = estimator.environments(snapshot)
        else:
            (block,) = estimator.environments(snapshot, [rotation])
        return cls.from_block(
            block,
            atom=atom,
            channel=channel,
            radii=estimator.spheres.radii,
            unit=UNITS[estimator.radial],
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_block(
        cls, block, *, atom=0, channel=None, radii=None, unit=None, ax=None, **plot_options
    ):
        """Draw the environment of an atom from a given block.

        Parameters
        ----------
        block : array-like
            A block of :class:`~skldos.AtomEnvTransformer`, of shape
            (n_atoms, n_spheres, n_vertices) or (n_atoms, n_channels, n_spheres, n_vertices).
        atom : int, default=0
            Index of the central atom.
        channel : int, optional
            Index of the channel; None adds up all channels.
        radii : array-like of shape (n_spheres,), optional
            Radii of the spheres in Å, for the labels.
        unit : str, optional
            Unit of the numbers, for the colour bar.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        EnvironmentDisplay
            The display, drawn.
        """
        shape = tuple(block.shape)
        if len(shape) not in (3, 4):
            raise ValueError(
                "block must have shape (n_atoms, n_spheres, n_vertices) or (n_atoms, n_channels, "
                f"n_spheres, n_vertices), got {shape}."
            )
        check_scalar("atom", atom, low=0, high=shape[0] - 1, integer=True)
        environment = np.asarray(block[atom], dtype=float).reshape(-1, *shape[-2:])
        if channel is None:
            environment = environment.sum(axis=0)
        else:
            last = len(environment) - 1
            environment = environment[
                check_scalar("channel", channel, low=0, high=last, integer=True)
            ]
        check_finite("block", environment)
        if radii is not None:
            radii = np.asarray(radii, dtype=float)
            check_shape("radii", radii, (len(environment),))
        return cls(environment=environment, radii=radii, unit=unit).plot(ax, **plot_options)

    def plot(self, ax=None, *, kind="globes", spheres=None, n_columns=4, cmap="Blues"):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        kind : {"globes", "matrix"}, default="globes"
            Each sphere as an equal-area (Mollweide) map, *z* up and *x* in the middle, coloured by
            the nearest vertex; or a row of numbers per sphere, the vertices in order of *z*.
        spheres : sequence of int, optional
            Indices of the spheres to draw, from the innermost; None draws all.
        n_columns : int, default=4
            Number of globes per row.
        cmap : str or matplotlib.colors.Colormap, default="Blues"
            Colours, on a square-root scale from zero, or on a linear scale if some numbers are
            negative.

        Returns
        -------
        EnvironmentDisplay
            The display.
        """
        check_option("kind", kind, KINDS)
        check_scalar("n_columns", n_columns, low=1, integer=True)
        mesh = _mesh_of(self.environment)
        shown = self._shown(spheres)
        values = self.environment[shown]
        limits = {"norm": _norm(values), "cmap": cmap}
        if kind == "globes":
            n_columns = min(n_columns, len(shown))
            n_rows = -(-len(shown) // n_columns)
            self.ax_ = new_axes(ax, figsize=(1.9 * n_columns + 0.6, 1.2 * n_rows))
            picture = self._draw_globes(values, mesh, shown, n_columns, limits)
        else:
            self.ax_ = new_axes(ax, figsize=(6.4, 3.2))
            picture = self._draw_matrix(values, mesh, shown, limits)
        self.figure_ = self.ax_.figure
        label = f"weight ({self.unit})" if self.unit else "weight"
        self.colorbar_ = bar_beside(self.ax_, picture, label, width=0.025)
        return self

    def _shown(self, spheres):
        """Return the indices of the spheres to draw; raise an error for invalid ones."""
        last = len(self.environment) - 1
        shown = list(range(last + 1)) if spheres is None else list(spheres)
        if not shown:
            raise ValueError("spheres must name at least one sphere, got none.")
        return [
            check_scalar(f"spheres[{i}]", s, low=0, high=last, integer=True)
            for i, s in enumerate(shown)
        ]

    def _label(self, sphere):
        return f"sphere {sphere}" if self.radii is None else f"{self.radii[sphere]:.2f} Å"

    def _draw_globes(self, values, mesh, shown, n_columns, limits):
        from matplotlib.patches import Ellipse

        ax = self.ax_
        pixels, inside = _mollweide_pixels(mesh)
        for i, (sphere, row) in enumerate(zip(shown, values, strict=True)):
            x = 2.15 * HALF_WIDTH * (i % n_columns)
            y = -2.6 * HALF_HEIGHT * (i // n_columns)
            extent = (x - HALF_WIDTH, x + HALF_WIDTH, y - HALF_HEIGHT, y + HALF_HEIGHT)
            image = np.where(inside, row[pixels], np.nan)
            picture = ax.imshow(
                image, extent=extent, origin="lower", interpolation="nearest", **limits
            )
            outline = Ellipse((x, y), 2 * HALF_WIDTH, 2 * HALF_HEIGHT, fill=False, ec=GUIDE, lw=0.8)
            ax.add_patch(outline)
            ax.text(x, y + 1.08 * HALF_HEIGHT, self._label(sphere), ha="center", fontsize="small")
        n_rows = -(-len(shown) // n_columns)
        ax.set(
            xlim=(-1.05 * HALF_WIDTH, (2.15 * n_columns - 1.1) * HALF_WIDTH),
            ylim=(-(2.6 * n_rows - 1.5) * HALF_HEIGHT, 1.5 * HALF_HEIGHT),
            aspect="equal",
        )
        ax.set_axis_off()
        return picture

    def _draw_matrix(self, values, mesh, shown, limits):
        # From north to south; ties in the order of the vertices.
        order = np.argsort(-mesh.vertices[:, 2].round(9), kind="stable")
        picture = self.ax_.pcolormesh(values[:, order], rasterized=True, **limits)
        self.ax_.set_yticks(np.arange(len(shown)) + 0.5, [self._label(s) for s in shown])
        self.ax_.tick_params(axis="y", labelsize="small", length=0)
        self.ax_.set_xlabel("vertices, by falling z")
        return picture


def _norm(values):
    """Return the colour scale, on which small contributions of distant neighbours are visible."""
    from matplotlib.colors import Normalize, PowerNorm

    low, high = min(0, values.min()), max(0, values.max())
    if low < 0:
        return Normalize(low, high)
    return PowerNorm(0.5, vmin=0, vmax=high or 1)


def _mesh_of(environment):
    """Return the icosphere that has as many vertices as the environment."""
    check_shape("environment", environment, (None, None))
    counts = [n_vertices(level) for level in range(MAX_SUBDIVISIONS + 1)]
    if environment.shape[1] not in counts:
        raise ValueError(
            f"environment must have as many vertices as an icosphere, one of {counts}; got "
            f"{environment.shape[1]}."
        )
    return icosphere(counts.index(environment.shape[1]))


def _mollweide_pixels(mesh):
    """Return the vertex that each pixel of a map shows, and whether the pixel is on the map."""
    u = (np.arange(PIXELS) + 0.5) / PIXELS * 2 - 1
    v = (np.arange(PIXELS // 2) + 0.5) / (PIXELS // 2) * 2 - 1
    u, v = np.meshgrid(u, v)
    # x = 2√2 λ/π cos t and y = √2 sin t for longitude λ and latitude φ, with
    # 2 t + sin 2 t = π sin φ.
    t = np.arcsin(v)
    z = (2 * t + np.sin(2 * t)) / np.pi
    inside = np.abs(u) <= np.cos(t)
    longitude = np.pi * np.where(inside, u, 0) / np.cos(t)
    rho = np.sqrt(np.maximum(0, 1 - z * z))
    # East is to the right, as seen from outside the globe.
    directions = np.stack([rho * np.cos(longitude), rho * np.sin(longitude), z], axis=-1)
    return mesh.nearest(directions.reshape(-1, 3)).reshape(u.shape), inside
