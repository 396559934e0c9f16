"""Predicted uncertainties against the errors that were made."""

import numpy as np

from skldos._validation import check_option
from skldos.plotting._axes import GUIDE, colors, new_axes
from skldos.scoring import dos_of_block
from skldos.scoring._errors import as_scoring_error
from skldos.scoring._observables import of_dos
from skldos.uncertainty import calibration, energy_uncertainty
from skldos.uncertainty.calibration import check_errors

KINDS = ("errors", "coverage")


class CalibrationDisplay:
    """Errors of band energies against the standard deviations that were predicted for them.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    error : array-like of shape (n_snapshots,)
        Predicted minus true, in meV/atom.
    std : array-like of shape (n_snapshots,)
        Standard deviations in meV/atom.
    kind : {"errors", "coverage"}, default="errors"
        ``"errors"``: one point per snapshot, with lines at one and two standard deviations.
        ``"coverage"``: the part of the errors within the interval of a normal distribution,
        against the part that should be within it; below the diagonal standard deviations are too
        small.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skldos.uncertainty.calibration : The same in numbers.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skldos.plotting.calibration import CalibrationDisplay
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
            Fitted; knows its uncertainty, as for :func:`skldos.uncertainty.energy_uncertainty`.
        X : sequence of Snapshot, or Blocks
            Snapshots with energies, temperature and number of electrons; or blocks made of
            them, where the estimator takes blocks.
        y : sequence of array-like, optional
            True LDOS (or DOS of atoms); None takes those of the snapshots.
        kind : {"errors", "coverage"}, default="errors"
            What is shown.
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a new figure.
        **plot_options
            As of :meth:`plot`.

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
        """Draw errors and standard deviations that are already there.

        Parameters
        ----------
        error, std : array-like of shape (n_snapshots,)
            Predicted minus true, and standard deviations, in meV/atom.
        kind : {"errors", "coverage"}, default="errors"
            What is shown.
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a new figure.
        **plot_options
            As of :meth:`plot`.

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
            Where to draw; None makes a new figure.
        line_kwargs : dict, optional
            Options for :meth:`matplotlib.axes.Axes.plot`, by which points and curve are drawn.

        Returns
        -------
        CalibrationDisplay
            The display.
        """
        self.ax_ = new_axes(ax, figsize=(5.0, 4.2))
        self.figure_ = self.ax_.figure
        draw = self._draw_errors if self.kind == "errors" else self._draw_coverage
        draw({"color": colors(1)[0], "zorder": 3} | (line_kwargs or {}))
        self.ax_.legend(loc="upper left", frameon=False)
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

        # An error at z standard deviations is within all intervals that should hold more.
        held = np.sort(2 * norm.cdf(np.abs(np.asarray(self.error) / self.std)) - 1)
        expected = np.concatenate([[0.0], np.repeat(held, 2), [1.0]])
        observed = np.repeat(np.arange(len(held) + 1) / len(held), 2)
        self.ax_.plot([0, 1], [0, 1], color=GUIDE, lw=1, zorder=1)
        numbers = calibration(self.error, self.std)
        label = f"NLL {numbers['nll']:.2f}, rms of error/σ {numbers['rms_z']:.2f}"
        self.ax_.plot(expected, observed, **({"label": label} | options))
        self.ax_.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
        self.ax_.set(xlabel="expected part within", ylabel="observed part within")


def _true(snapshot, target):
    """Return the band energy in eV that the true LDOS, or DOS of atoms, gives."""
    if target is None:
        snapshot.require("ldos")
        target = snapshot.ldos
    return of_dos(dos_of_block(target, snapshot), snapshot).band_energy
