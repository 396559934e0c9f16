"""True and predicted densities of states."""

import warnings

import numpy as np

from skldos.data import as_rows
from skldos.exceptions import FermiLevelError
from skldos.physics import fermi_level, occupation
from skldos.plotting._snapshots import (
    all_or_none,
    check_dos,
    common_energies,
    default_labels,
    per_snapshot,
)
from skldos.plotting.axes import check_length, colors, legend_of_snapshots, new_axes, panel_below
from skldos.prediction import dos_of_block, predict_dos
from skldos.prediction.observables import sharpened
from skldos.prediction.pipelines import snapshots_of
from skldos.validation import check_scalar, check_shape

#: Points per energy interval for drawing the edge of the occupied states.
FINE = 20


class DOSDisplay:
    """Density of states of one or several snapshots, true and predicted.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    energies : array-like of shape (n_energies,)
        In eV.
    dos_pred : array-like of shape (n_snapshots, n_energies)
        Predicted DOS in 1/(eV atom).
    dos_true : array-like of shape (n_snapshots, n_energies), optional
        True DOS in 1/(eV atom).
    fermi_level_pred, fermi_level_true : array-like of shape (n_snapshots,), optional
        Fermi levels in eV; NaN where there is none.
    temperature : array-like of shape (n_snapshots,), optional
        Electronic temperatures in K, for the edge of the occupied states; 0 if not given.
    labels : sequence of str, optional
        Names of the snapshots for the legend.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the DOS.
    residual_ax_ : matplotlib.axes.Axes or None
        The panel below, with predicted minus true.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    ParityDisplay : Energies of many snapshots.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.plotting import DOSDisplay
    >>> snapshot = make_snapshots(1, random_state=0)[0]
    >>> display = DOSDisplay.from_predictions(
    ...     snapshot.dos(), 1.01 * snapshot.dos(), energies=snapshot.energies, n_atoms=4,
    ...     temperature=298.0, n_electrons=12.0,
    ... )
    >>> display.fermi_level_true.round(1), display.ax_.get_ylabel()
    (array([7.]), 'DOS (1/(eV atom))')
    """

    def __init__(
        self,
        *,
        energies,
        dos_pred,
        dos_true=None,
        fermi_level_pred=None,
        fermi_level_true=None,
        temperature=None,
        labels=None,
    ):
        self.energies = energies
        self.dos_pred = dos_pred
        self.dos_true = dos_true
        self.fermi_level_pred = fermi_level_pred
        self.fermi_level_true = fermi_level_true
        self.temperature = temperature
        self.labels = labels

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, sharpen=0, labels=None, ax=None, **plot_options
    ):
        """Predict the DOS of `X` and draw it with the true DOS.

        Parameters
        ----------
        estimator : estimator
            Fitted; predicts the LDOS on grids, or the DOS of atoms.
        X : sequence of Snapshot, or Blocks
            Snapshots on one energy grid, with temperature and number of electrons if Fermi
            levels shall be shown; or blocks made of them, if the estimator takes blocks.
        y : sequence of array-like, optional
            True LDOS; None uses those of the snapshots, if all have one.
        sharpen : int, default=0
            Order to which the broadening of true and predicted DOS is undone; see
            :func:`~skldos.evaluate`.
        labels : sequence of str, optional
            Names for the legend; by default the temperatures if they differ.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        DOSDisplay
            The display, drawn.
        """
        snapshots = snapshots_of(X)
        energies = common_energies(snapshots)
        if y is not None:
            check_length("y", y, len(snapshots))
        elif all(snapshot.ldos is not None for snapshot in snapshots):
            y = snapshots.targets
        check_scalar("sharpen", sharpen, low=0, integer=True)
        dos_true, dos_pred = None, predict_dos(estimator, X)
        if y is not None:
            dos_true = [dos_of_block(as_rows(d), s) for d, s in zip(y, snapshots, strict=True)]
            dos_true = _sharpened(dos_true, snapshots, sharpen)
        return cls.from_predictions(
            dos_true,
            _sharpened(dos_pred, snapshots, sharpen),
            energies=energies,
            n_atoms=[len(snapshot.atoms) for snapshot in snapshots],
            temperature=all_or_none(snapshots, "temperature"),
            n_electrons=all_or_none(snapshots, "n_electrons"),
            labels=default_labels(snapshots) if labels is None else labels,
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls,
        dos_true,
        dos_pred,
        *,
        energies,
        n_atoms=1,
        temperature=None,
        n_electrons=None,
        labels=None,
        ax=None,
        **plot_options,
    ):
        """Draw given densities of states.

        Parameters
        ----------
        dos_true : array-like of shape (n_energies,) or (n_snapshots, n_energies), or None
            True DOS of the cell in 1/eV; None draws only the prediction.
        dos_pred : array-like of shape (n_energies,) or (n_snapshots, n_energies)
            Predicted DOS of the cell in 1/eV.
        energies : array-like of shape (n_energies,)
            In eV.
        n_atoms : int or array-like of shape (n_snapshots,), default=1
            Number of atoms, by which the DOS is divided.
        temperature, n_electrons : float or array-like of shape (n_snapshots,), optional
            Temperature in K and number of electrons, to compute the Fermi levels; without them no
            Fermi levels are shown.
        labels : sequence of str, optional
            Names for the legend.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        DOSDisplay
            The display, drawn.

        Warns
        -----
        UserWarning
            If a DOS cannot hold the electrons within its energies; no Fermi level is shown.
        """
        energies = np.asarray(energies, dtype=float)
        check_shape("energies", energies, (None,))
        dos_pred = check_dos("dos_pred", dos_pred, (None, len(energies)))
        n_snapshots = len(dos_pred)
        if dos_true is not None:
            dos_true = check_dos("dos_true", dos_true, dos_pred.shape)
        if labels is not None:
            check_length("labels", labels, n_snapshots)
        n_atoms = per_snapshot("n_atoms", n_atoms, n_snapshots)
        temperature = per_snapshot("temperature", temperature, n_snapshots)
        n_electrons = per_snapshot("n_electrons", n_electrons, n_snapshots)
        levels = {}
        if temperature is not None and n_electrons is not None:
            state = (energies, temperature, n_electrons)
            levels["fermi_level_pred"] = _fermi_levels("dos_pred", dos_pred, *state)
            if dos_true is not None:
                levels["fermi_level_true"] = _fermi_levels("dos_true", dos_true, *state)
        display = cls(
            energies=energies,
            dos_pred=dos_pred / n_atoms[:, None],
            dos_true=None if dos_true is None else dos_true / n_atoms[:, None],
            temperature=temperature,
            labels=labels,
            **levels,
        )
        return display.plot(ax, **plot_options)

    def plot(self, ax=None, *, align_fermi=False, residual=True, shade=True, offset=0.0):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        align_fermi : bool, default=False
            Whether energies are relative to the Fermi level of each snapshot, the true one if
            known.
        residual : bool, default=True
            Whether a panel below shows predicted minus true, if the true DOS is known.
        shade : bool, default=True
            Whether the occupied states are shaded.
        offset : float, default=0.0
            Distance in 1/(eV atom) by which each snapshot is drawn above the one before it.

        Returns
        -------
        DOSDisplay
            The display.
        """
        offset = check_scalar("offset", offset)
        if align_fermi and self._fermi_level() is None:
            raise ValueError(
                "align_fermi needs Fermi levels: give temperature and n_electrons, or the levels."
            )
        self.ax_ = new_axes(ax, figsize=(6.4, 4.6))
        self.figure_ = self.ax_.figure
        self.residual_ax_ = None
        if residual and self.dos_true is not None:
            self.residual_ax_ = panel_below(self.ax_, "10⁻³/(eV atom)")
        shifts = self._fermi_level() if align_fermi else np.zeros(len(self.dos_pred))
        for i, color in enumerate(colors(len(self.dos_pred))):
            self._draw_snapshot(i, color, shifts[i], i * offset, shade)
        if self.residual_ax_ is not None:
            largest = 1e3 * np.abs(np.subtract(self.dos_pred, self.dos_true)).max()
            self.residual_ax_.set_ylim(-1.3 * (largest or 1), 1.3 * (largest or 1))
        self._label(shifts, align_fermi)
        self._draw_legend(grow=ax is None)
        return self

    def _fermi_level(self):
        """Return the Fermi levels in eV relative to which energies can be shown, or None."""
        return self.fermi_level_pred if self.fermi_level_true is None else self.fermi_level_true

    def _draw_snapshot(self, i, color, shift, height, shade):
        x = np.asarray(self.energies) - shift
        if shade and self._fermi_level() is not None:
            self._shade(i, color, shift, height)
        if self.dos_true is not None:
            self.ax_.plot(
                x, self.dos_true[i] + height, color=color, lw=4, alpha=0.35, solid_capstyle="butt"
            )
        self.ax_.plot(x, self.dos_pred[i] + height, color=color, lw=1.4)
        for levels, style in ((self.fermi_level_true, "-"), (self.fermi_level_pred, (0, (4, 3)))):
            if levels is not None and np.isfinite(levels[i]):
                self.ax_.axvline(levels[i] - shift, color=color, lw=0.9, ls=style, zorder=1)
        if self.residual_ax_ is not None:
            difference = 1e3 * (self.dos_pred[i] - self.dos_true[i])
            self.residual_ax_.plot(x, difference, color=color, lw=1.2)

    def _shade(self, i, color, shift, height):
        """Shade f(E) D(E), on a finer grid, because f falls within few kT."""
        dos = self.dos_pred[i] if self.dos_true is None else self.dos_true[i]
        level = self._fermi_level()[i]
        if not np.isfinite(level):
            return
        energies = np.asarray(self.energies, dtype=float)
        index = np.arange(len(energies))
        fine = np.interp(np.linspace(0, index[-1], FINE * index[-1] + 1), index, energies)
        T = 0.0 if self.temperature is None else float(self.temperature[i])
        filled = np.interp(fine, energies, dos) * occupation(
            fine, temperature=T, fermi_level=float(level)
        )
        self.ax_.fill_between(fine - shift, height, height + filled, color=color, alpha=0.10, lw=0)

    def _label(self, shifts, align_fermi):
        bottom = self.ax_ if self.residual_ax_ is None else self.residual_ax_
        bottom.set_xlabel("E − μ (eV)" if align_fermi else "E (eV)")
        self.ax_.set_ylabel("DOS (1/(eV atom))")
        edges = np.asarray(self.energies)[[0, -1]]
        self.ax_.set_xlim(edges[0] - np.nanmax(shifts), edges[1] - np.nanmin(shifts))
        lowest = min(np.min(d) for d in (self.dos_pred, self.dos_true) if d is not None)
        # Negative predictions are shown unchanged.
        if lowest > -0.02 * np.max(self.dos_pred):
            self.ax_.set_ylim(bottom=0)
        levels = self._fermi_level()
        if levels is not None and np.isfinite(levels).any():
            low, high = self.ax_.get_ylim()
            self.ax_.set_ylim(top=high + 0.06 * (high - low))  # room for the letter
            self.ax_.annotate(
                "μ",
                (np.nanmean(levels - shifts), 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                va="top",
            )

    def _draw_legend(self, grow):
        from matplotlib.lines import Line2D

        kinds = colors(1)[0] if len(self.dos_pred) == 1 else "0.25"
        handles = [Line2D([], [], color=kinds, lw=1.4, label="predicted")]
        if self.dos_true is not None:
            handles.insert(0, Line2D([], [], color=kinds, lw=4, alpha=0.35, label="true"))
        legend_of_snapshots(self.ax_, handles, self.labels, grow=grow)


def _sharpened(dos, snapshots, order):
    return [sharpened(row, s, order) for row, s in zip(dos, snapshots, strict=True)]


def _fermi_levels(name, dos, energies, temperature, n_electrons):
    """Return the Fermi level in eV of every DOS, NaN where there is none."""
    levels = np.full(len(dos), np.nan)
    for i, row in enumerate(dos):
        try:
            levels[i] = fermi_level(
                row, energies, temperature=temperature[i], n_electrons=n_electrons[i]
            )
        except FermiLevelError as error:
            warnings.warn(f"no Fermi level for {name}[{i}]: {error}", UserWarning, stacklevel=3)
    return levels
