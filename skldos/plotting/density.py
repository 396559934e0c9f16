"""True and predicted electron densities."""

import numpy as np

from skldos.exceptions import as_scoring_error
from skldos.plotting.axes import GUIDE, bar_beside, check_length, divided, new_axes, panel_below
from skldos.prediction import predict_density
from skldos.prediction.dos import ldos_on_grid
from skldos.prediction.observables import of_ldos
from skldos.prediction.pipelines import snapshots_of
from skldos.scoring.evaluation import REFERENCES, density_errors
from skldos.validation import check_finite, check_option, check_scalar, check_shape

KINDS = ("parity", "slice")
#: Bins of the histogram along each axis.
BINS = 120
SUBSCRIPTS = "₁₂₃"


class DensityDisplay:
    """Electron densities of one or several snapshots, predicted against true.

    Shows either all grid points, as in Fig. 4 of Ref. [1]_, or a plane through the cell.
    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    density_true, density_pred : list of ndarray of shape (n_x, n_y, n_z)
        Densities in 1/Å³, one per snapshot.
    cell : list of ndarray of shape (3, 3), optional
        Cell vectors in Å as rows, one cell per snapshot; planes need them.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the histogram, or of the true density on the plane.
    residual_ax_ : matplotlib.axes.Axes or None
        The panel below the histogram, with predicted minus true.
    slice_axes_ : list of matplotlib.axes.Axes
        The three maps: true, predicted, predicted minus true; empty where there are none.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    DOSDisplay : Densities of states.
    skldos.evaluate : Errors of the density in a table.

    References
    ----------
    .. [1] J. A. Ellis et al., "Accelerating finite-temperature Kohn-Sham density functional
       theory with deep neural networks", Phys. Rev. B 104, 035120 (2021).

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skldos.plotting import DensityDisplay
    >>> from skldos.datasets import make_snapshots
    >>> snapshot = make_snapshots(1, random_state=0)[0]
    >>> display = DensityDisplay.from_predictions(
    ...     snapshot.density, 1.01 * snapshot.density, cell=snapshot.atoms.cell
    ... )
    >>> display.ax_.get_legend().get_texts()[2].get_text()
    'MAPE 1.00 %'
    """

    def __init__(self, *, density_true, density_pred, cell=None):
        self.density_true = density_true
        self.density_pred = density_pred
        self.cell = cell

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, reference="ldos", sharpen=0, ax=None, **plot_options
    ):
        """Predict the densities of `X` and draw them against the true ones.

        Parameters
        ----------
        estimator : estimator
            Fitted; predicts the LDOS on grids.
        X : sequence of Snapshot, or Blocks
            Snapshots with energies, temperature and number of electrons; or blocks made of
            them, if the estimator takes blocks.
        y : sequence of array-like, optional
            True LDOS; None uses those of the snapshots.
        reference : {"ldos", "dft"}, default="ldos"
            The true density: that of the true LDOS, or the one stored in the snapshot.
        sharpen : int, default=0
            Order to which the broadening of the LDOS is undone; see :func:`~skldos.evaluate`.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        DensityDisplay
            The display, drawn.

        Raises
        ------
        ScoringError
            If the predictions are not on the grid, or a snapshot lacks what is needed.
        """
        check_option("reference", reference, REFERENCES)
        snapshots = snapshots_of(X)
        targets = [None] * len(snapshots) if y is None else y
        check_length("y", targets, len(snapshots))
        with as_scoring_error():
            true = [
                _true_density(*pair, reference, sharpen)
                for pair in zip(snapshots, targets, strict=True)
            ]
        return cls.from_predictions(
            true,
            predict_density(estimator, X, sharpen=sharpen),
            cell=[snapshot.atoms.cell.array for snapshot in snapshots],
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(cls, density_true, density_pred, *, cell=None, ax=None, **plot_options):
        """Draw given densities.

        Parameters
        ----------
        density_true, density_pred : array-like of shape (n_x, n_y, n_z), or sequence of them
            Densities in 1/Å³ of one snapshot, or of several, whose grids may differ.
        cell : array-like of shape (3, 3), or sequence of them, optional
            Cell vectors in Å as rows: one cell for all, or one per snapshot.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        DensityDisplay
            The display, drawn.
        """
        true, pred = _fields("density_true", density_true), _fields("density_pred", density_pred)
        check_length("density_pred", pred, len(true))
        for i, (t, p) in enumerate(zip(true, pred, strict=True)):
            check_shape(f"density_pred[{i}]", p, t.shape)
        display = cls(density_true=true, density_pred=pred, cell=_cells(cell, len(true)))
        return display.plot(ax, **plot_options)

    @property
    def errors(self):
        """Maximum and mean absolute error in 1/Å³, and mean absolute error in per cent, as floats.

        Mean errors are means over the snapshots, as in :class:`~skldos.DensityScorer`.
        """
        pairs = zip(self.density_pred, self.density_true, strict=True)
        rows = np.array([[*density_errors(*pair).values()] for pair in pairs])
        return float(rows[:, 0].max()), float(rows[:, 1].mean()), float(rows[:, 2].mean())

    def plot(self, ax=None, *, kind="parity", residual=True, snapshot=0, normal=2, index=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        kind : {"parity", "slice"}, default="parity"
            A histogram of true and predicted density over the grid points of all snapshots; or
            maps of the true density, the predicted density and their difference on a plane.
        residual : bool, default=True
            Whether a panel below shows predicted minus true, for ``"parity"``.
        snapshot : int, default=0
            Which snapshot is shown as ``"slice"``.
        normal : {0, 1, 2}, default=2
            The plane is spanned by the cell vectors other than this one.
        index : int, optional
            Index of the grid plane along the cell vector `normal`; None selects the plane with
            the largest error.

        Returns
        -------
        DensityDisplay
            The display.
        """
        check_option("kind", kind, KINDS)
        self.residual_ax_, self.slice_axes_ = None, []
        if kind == "parity":
            self.ax_ = new_axes(ax, figsize=(4.8, 5.4))
            self._draw_parity(residual)
        else:
            plane = self._plane(snapshot, normal, index)
            corners = _in_plane(plane[2])
            width, height = np.ptp(_outline(corners), axis=0)
            # Three maps in inches, with room for titles, labels and colour bars.
            width, height = np.array([width, height]) * min(2.4 / width, 4.5 / height)
            figsize = 3 * width + 2.4, height + 0.9
            self.ax_ = new_axes(ax, figsize=figsize, layout="compressed")
            self._draw_slice(*plane[:2], corners, plane[3])
        self.figure_ = self.ax_.figure
        return self

    def _draw_parity(self, residual):
        true = np.concatenate([field.ravel() for field in self.density_true])
        pred = np.concatenate([field.ravel() for field in self.density_pred])
        ends = min(true.min(), pred.min()), max(true.max(), pred.max())
        margin = 0.04 * (ends[1] - ends[0]) or 1e-3
        ends = ends[0] - margin, ends[1] + margin
        points = self._histogram(self.ax_, true, pred, [ends, ends])
        self.ax_.plot(ends, ends, color=GUIDE, lw=0.8, zorder=1)
        self.ax_.set(xlim=ends, ylim=ends, aspect="equal", ylabel="predicted density (1/Å³)")
        self._draw_counts(points)
        bottom = self.ax_
        if residual:
            bottom = self.residual_ax_ = panel_below(self.ax_, "10⁻³/Å³")
            difference = 1e3 * (pred - true)
            reach = 1.1 * (np.abs(difference).max() or 1)
            self._histogram(bottom, true, difference, [ends, (-reach, reach)], bins=(BINS, 41))
            bottom.set_ylim(-reach, reach)
        bottom.set_xlabel("true density (1/Å³)")
        self._draw_legend()

    def _histogram(self, ax, x, y, bounds, bins=BINS):
        from matplotlib.colors import LogNorm

        # Counts below one are zero: the bins stay empty.
        *_, image = ax.hist2d(
            x, y, bins=bins, range=bounds, norm=LogNorm(vmin=1), cmin=1, cmap="cividis", zorder=2
        )
        return image

    def _draw_counts(self, points):
        """Draw the colour bar, with ticks at the smallest and largest counts."""
        bar = self.ax_.inset_axes([0.6, 0.2, 0.34, 0.03])
        options = {"ticks": [*{1, points.norm.vmax}], "format": "%d", "label": "grid points"}
        self.ax_.figure.colorbar(points, cax=bar, orientation="horizontal", **options)
        bar.minorticks_off()

    def _draw_legend(self):
        from matplotlib.lines import Line2D

        largest, mean, percentage = self.errors
        texts = (f"max {largest:.2g}/Å³", f"MAE {mean:.2g}/Å³", f"MAPE {percentage:.2f} %")
        self.ax_.legend(
            handles=[Line2D([], [], ls="", label=text) for text in texts],
            handlelength=0,
            handletextpad=0,
            loc="upper left",
            frameon=False,
        )

    def _plane(self, snapshot, normal, index):
        """Return true and predicted density on a plane, its vectors in Å, and its position."""
        if self.cell is None:
            raise ValueError("kind 'slice' needs cell, got None.")
        last = len(self.density_true) - 1
        check_scalar("snapshot", snapshot, low=0, high=last, integer=True)
        check_scalar("normal", normal, low=0, high=2, integer=True)
        true, pred = self.density_true[snapshot], self.density_pred[snapshot]
        n = true.shape[normal]
        if index is None:
            worst = np.abs(pred - true).argmax()
            index = np.unravel_index(worst, true.shape)[normal]
        check_scalar("index", int(index), low=0, high=n - 1, integer=True)
        spanning = [i for i in range(3) if i != normal]
        vectors = np.asarray(self.cell[snapshot], dtype=float)[spanning]
        where = f"along a{SUBSCRIPTS[spanning[0]]} (Å), at {index / n:.2f} a{SUBSCRIPTS[normal]}"
        return *(field.take(index, axis=normal) for field in (true, pred)), vectors, where

    def _draw_slice(self, true, pred, corners, where):
        from matplotlib.ticker import MaxNLocator

        grid = divided(self.ax_, 1, 3, gap=0.5)
        shared = {"sharex": self.ax_, "sharey": self.ax_}
        middle, right = (self.ax_.figure.add_subplot(grid[i], **shared) for i in (1, 2))
        self.slice_axes_ = [self.ax_, middle, right]
        difference = 1e3 * (pred - true)
        reach = np.abs(difference).max() or 1
        limits = {"vmin": min(true.min(), pred.min()), "vmax": max(true.max(), pred.max())}
        density = limits | {"cmap": "viridis"}
        both_signs = {"vmin": -reach, "vmax": reach, "cmap": "RdBu_r"}
        _draw_map(self.ax_, true, corners, **density)
        points = _draw_map(middle, pred, corners, **density)
        bar_beside(middle, points, "density (1/Å³)")
        points = _draw_map(right, difference, corners, **both_signs)
        bar_beside(right, points, "Δ (10⁻³/Å³)")
        titles = ("true", "predicted", "predicted − true")
        for ax, title in zip(self.slice_axes_, titles, strict=True):
            ax.spines[:].set_visible(False)
            ax.set_title(title, fontsize="medium")
        for ax in (middle, right):
            ax.tick_params(labelleft=False)
        self.ax_.set_aspect("equal", share=True)
        # The last tick label of one map would touch the first of the next.
        self.ax_.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="upper"))
        self.ax_.set_ylabel("across (Å)")
        middle.set_xlabel(where)


def _in_plane(vectors):
    """Return two vectors in Å in the coordinates of their plane: the first one lies along x."""
    first, second = vectors
    length = np.linalg.norm(first)
    x = second @ first / length
    return np.array([[length, 0], [x, np.linalg.norm(second - x * first / length)]])


def _outline(corners):
    """Return the corners of a cell in its plane, the first one twice."""
    return np.array([[0, 0], corners[0], corners[0] + corners[1], corners[1], [0, 0]])


def _draw_map(ax, field, corners, **options):
    """Draw a periodic field on the parallelogram of a cell; return the mesh."""
    # The far edges of the cell repeat the near ones.
    field = np.pad(field, (0, 1), mode="wrap")
    u, v = (np.arange(n) / (n - 1) for n in field.shape)
    x, y = np.moveaxis(u[:, None, None] * corners[0] + v[:, None] * corners[1], -1, 0)
    ax.plot(*_outline(corners).T, color=GUIDE, lw=0.8)
    # Values are at points; colours are interpolated between them.
    return ax.pcolormesh(x, y, field, shading="gouraud", **options)


def _true_density(snapshot, target, reference, sharpen):
    if reference == "dft":
        snapshot.require("density")
        return np.asarray(snapshot.density)
    if target is None:
        snapshot.require("ldos")
        target = snapshot.ldos
    return of_ldos(ldos_on_grid(target, snapshot), snapshot, density=True, sharpen=sharpen).density


def _fields(name, fields):
    """Return densities as a list of arrays (n_x, n_y, n_z); a single one as a list of one."""
    if getattr(fields, "ndim", None) == 3:
        fields = [fields]
    fields = [np.asarray(field, dtype=float) for field in fields]
    if not fields:
        raise ValueError(f"{name} must hold at least one density, got none.")
    for i, field in enumerate(fields):
        check_shape(f"{name}[{i}]", field, (None, None, None))
        check_finite(f"{name}[{i}]", field)
    return fields


def _cells(cell, n_snapshots):
    if cell is None:
        return None
    cells = np.asarray(cell, dtype=float)
    if cells.ndim == 2:
        cells = np.broadcast_to(cells, (n_snapshots, *cells.shape))
    check_shape("cell", cells, (n_snapshots, 3, 3))
    return list(cells)
