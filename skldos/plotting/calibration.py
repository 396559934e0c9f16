"""Errors compared with their predicted uncertainties."""

import numpy as np

from skldos.exceptions import as_scoring_error
from skldos.plotting.axes import GUIDE, colors, legend_above, new_axes
from skldos.prediction import dos_of_block
from skldos.prediction.observables import of_dos
from skldos.uncertainty import calibration, energy_uncertainty
from skldos.uncertainty.calibration import check_errors
from skldos.validation import check_option

KINDS = ("errors", "coverage")


class CalibrationDisplay:
    """Errors of band energies against their predicted standard deviations.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    error : array-like of shape (n_snapshots,)
        Predicted minus true, in meV/atom.
    std : array-like of shape (n_snapshots,)
        Standard deviations in meV/atom.
    kind : {"errors", "coverage"}, default="errors"
        ``"errors"``: one point per snapshot, with lines at one and two standard deviations.
        ``"coverage"``: the fraction of errors inside an interval of the normal distribution,
        against the expected fraction; below the diagonal, standard deviations are too small.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skldos.uncertainty.calibration : The same as numbers.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skldos.plotting import CalibrationDisplay
    >>> display = CalibrationDisplay.from_predictions([1.0, -3.0, 0.5], [2.0, 2.0, 1.0])
    >>> display.ax_.get_legend().get_texts()[-1].get_text()
    '67 % within σ, 100 % within 2σ'
    """

    def __init__(self, *, error, std, kind="errors"):
        self.error = error
        self.std = std
        self.kind = kind

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, kind="errors", ax=None, **plot_options):
        """Predict the band energies of `X` with their uncertainties and draw the errors.

        Parameters
        ----------
        estimator : estimator
            Fitted, with uncertainties; see :func:`skldos.uncertainty.energy_uncertainty`.
        X : sequence of Snapshot, or Blocks
            Snapshots with energies, temperature and number of electrons; or blocks made of
            them, if the estimator takes blocks.
        y : sequence of array-like, optional
            True LDOS (or DOS of atoms); None uses those of the snapshots.
        kind : {"errors", "coverage"}, default="errors"
            Kind of plot.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        CalibrationDisplay
            The display, drawn.
        """
        check_option("kind", kind, KINDS)
        table = energy_uncertainty(estimator, X)
        snapshots = getattr(X, "snapshots", None) or X
        targets = [None] * len(snapshots) if y is None else y
        with as_scoring_error():
            true = [_true(s, t) for s, t in zip(snapshots, targets, strict=True)]
        error = 1e3 * (table["band_energy"] - true) / table["n_atoms"]
        std = table["band_energy_std"]
        return cls.from_predictions(error, std, kind=kind, ax=ax, **plot_options)

    @classmethod
    def from_predictions(cls, error, std, *, kind="errors", ax=None, **plot_options):
        """Draw given errors and standard deviations.

        Parameters
        ----------
        error, std : array-like of shape (n_snapshots,)
            Predicted minus true, and standard deviations, in meV/atom.
        kind : {"errors", "coverage"}, default="errors"
            Kind of plot.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        CalibrationDisplay
            The display, drawn.
        """
        check_option("kind", kind, KINDS)
        error, std = check_errors(error, std)
        return cls(error=error, std=std, kind=kind).plot(ax, **plot_options)

    def plot(self, ax=None, *, line_kwargs=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        line_kwargs : dict, optional
            Options for :meth:`matplotlib.axes.Axes.plot`, for points and curve.

        Returns
        -------
        CalibrationDisplay
            The display.
        """
        self.ax_ = new_axes(ax, figsize=(5.0, 4.2))
        self.figure_ = self.ax_.figure
        draw = self._draw_errors if self.kind == "errors" else self._draw_coverage
        draw({"color": colors(1)[0], "zorder": 3} | (line_kwargs or {}))
        legend_above(self.ax_)
        return self

    def _draw_errors(self, options):
        error, std = np.asarray(self.error), np.asarray(self.std)
        ends = np.array([0.0, 1.08 * std.max()])
        for factor, style in ((1, "-"), (2, "--")):
            name = f"±{factor if factor > 1 else ''}σ"
            for sign in (1, -1):
                label = name if sign == 1 else None
                line = {"color": GUIDE, "lw": 1, "ls": style, "label": label, "zorder": 1}
                self.ax_.plot(ends, sign * factor * ends, **line)
        within = [100 * np.mean(np.abs(error) <= factor * std) for factor in (1, 2)]
        label = f"{within[0]:.0f} % within σ, {within[1]:.0f} % within 2σ"
        options = {"marker": "o", "ls": "", "markeredgecolor": "white", "label": label} | options
        self.ax_.plot(std, error, **options)
        self.ax_.set(xlim=ends, xlabel="standard deviation (meV/atom)", ylabel="error (meV/atom)")

    def _draw_coverage(self, options):
        from scipy.stats import norm

        # An error of z standard deviations is inside all intervals with a larger expected fraction.
        held = np.sort(2 * norm.cdf(np.abs(np.asarray(self.error) / self.std)) - 1)
        expected = np.concatenate([[0.0], np.repeat(held, 2), [1.0]])
        observed = np.repeat(np.arange(len(held) + 1) / len(held), 2)
        self.ax_.plot([0, 1], [0, 1], color=GUIDE, lw=1, zorder=1)
        numbers = calibration(self.error, self.std)
        label = f"NLL {numbers['nll']:.2f}, rms of error/σ {numbers['rms_z']:.2f}"
        self.ax_.plot(expected, observed, **({"label": label} | options))
        self.ax_.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
        self.ax_.set(xlabel="expected fraction within", ylabel="observed fraction within")


def _true(snapshot, target):
    """Return the band energy in eV of the true LDOS, or of the true DOS of the atoms."""
    if target is None:
        snapshot.require("ldos")
        target = snapshot.ldos
    return of_dos(dos_of_block(target, snapshot), snapshot).band_energy
