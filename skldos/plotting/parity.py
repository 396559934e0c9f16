"""Predicted against true energies."""

import numpy as np

from skldos._validation import check_finite, check_option, check_shape
from skldos.plotting._axes import GUIDE, check_length, colors, new_axes
from skldos.scoring import evaluate
from skldos.uncertainty import energy_uncertainty

#: For each quantity its name, its unit, and the unit of its error, a thousandth of it.
QUANTITIES = {
    "band_energy": ("band energy", "eV/atom", "meV/atom"),
    "total_energy": ("total free energy", "eV/atom", "meV/atom"),
    "fermi_level": ("Fermi level", "eV", "meV"),
}
#: Up to so many different values of `hue` have a colour and a line of the legend each.
MAX_GROUPS = 6


class ParityDisplay:
    """Predicted against true energies or Fermi levels, one point per snapshot.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_snapshots,)
        Energies in eV/atom, or Fermi levels in eV.
    quantity : {"band_energy", "total_energy", "fermi_level"}, default="band_energy"
        What they are.
    hue : array-like of shape (n_snapshots,), optional
        What the colour tells: numbers, such as temperatures, or names.
    hue_label : str, optional
        What to write for it, such as ``"T (K)"``.
    std : array-like of shape (n_snapshots,), optional
        Standard deviations of the predictions in meV/atom, or in meV for Fermi levels, as
        :func:`~skldos.uncertainty.energy_uncertainty` gives them; drawn as bars.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    DOSDisplay : Densities of states.
    DensityDisplay : Electron densities.
    CalibrationDisplay : Errors against standard deviations.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skldos.plotting import ParityDisplay
    >>> display = ParityDisplay.from_predictions([9.86, 9.89], [9.862, 9.886])
    >>> display.ax_.get_legend().get_texts()[0].get_text()
    'MAE 3.0, max 4.0 meV/atom'
    """

    def __init__(
        self, *, y_true, y_pred, quantity="band_energy", hue=None, hue_label=None, std=None
    ):
        self.y_true = y_true
        self.y_pred = y_pred
        self.quantity = quantity
        self.hue = hue
        self.hue_label = hue_label
        self.std = std

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        quantity="band_energy",
        reference="ldos",
        pseudopotentials=None,
        xc=None,
        sharpen=0,
        hue="temperature",
        hue_label=None,
        std=False,
        ax=None,
        **plot_options,
    ):
        """Predict the energies of `X` and draw them against the true ones.

        Parameters
        ----------
        estimator : estimator
            Fitted; predicts the LDOS on grids, or the DOS of atoms.
        X : sequence of Snapshot, or Blocks
            Snapshots with energies, temperature and number of electrons; or blocks made of
            them, where the estimator takes blocks.
        y : sequence of array-like, optional
            True LDOS; None takes those of the snapshots.
        quantity : {"band_energy", "total_energy", "fermi_level"}, default="band_energy"
            What is shown.
        reference : {"ldos", "dft"}, default="ldos"
            What is true, as in :func:`~skldos.evaluate`.
        pseudopotentials : mapping of str to Pseudopotential or path, optional
            One per element, needed for ``"total_energy"``.
        xc : str, optional
            Exchange-correlation functional; None takes that of the pseudopotentials.
        sharpen : int, default=0
            Order to which the broadening is undone, as in :func:`~skldos.evaluate`.
        hue : "temperature", array-like of shape (n_snapshots,) or None, default="temperature"
            What the colour tells.
        hue_label : str, optional
            What to write for it; ``"T (K)"`` for temperatures.
        std : bool, default=False
            Whether bars show the standard deviations that the estimator predicts, which then has
            to know them, as for :func:`~skldos.uncertainty.energy_uncertainty`; for band energies
            and Fermi levels, without `sharpen`.
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a new figure.
        **plot_options
            As of :meth:`plot`.

        Returns
        -------
        ParityDisplay
            The display, drawn.
        """
        check_option("quantity", quantity, tuple(QUANTITIES))
        options = {"reference": reference, "sharpen": sharpen}
        if quantity == "total_energy":
            if pseudopotentials is None:
                raise ValueError("quantity 'total_energy' needs pseudopotentials, got None.")
            options |= {"pseudopotentials": pseudopotentials, "xc": xc}
        check_option("std", std, (True, False))
        if std and (quantity == "total_energy" or sharpen):
            raise ValueError(
                "std=True is for band energies and Fermi levels without sharpen, got "
                f"quantity={quantity!r}, sharpen={sharpen!r}."
            )
        table = evaluate(estimator, X, y, **options)
        n = 1 if quantity == "fermi_level" else table["n_atoms"].to_numpy()
        if isinstance(hue, str):
            check_option("hue", hue, ("temperature",))
            hue, hue_label = table["temperature"].to_numpy(), hue_label or "T (K)"
        return cls.from_predictions(
            table[f"{quantity}_true"].to_numpy() / n,
            table[quantity].to_numpy() / n,
            quantity=quantity,
            hue=hue,
            hue_label=hue_label,
            std=energy_uncertainty(estimator, X)[f"{quantity}_std"] if std else None,
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_pred,
        *,
        quantity="band_energy",
        hue=None,
        hue_label=None,
        std=None,
        ax=None,
        **plot_options,
    ):
        """Draw energies that are already there.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_snapshots,)
            Energies in eV/atom, or Fermi levels in eV.
        quantity : {"band_energy", "total_energy", "fermi_level"}, default="band_energy"
            What they are.
        hue : array-like of shape (n_snapshots,), optional
            What the colour tells: numbers, such as temperatures, or names.
        hue_label : str, optional
            What to write for it.
        std : array-like of shape (n_snapshots,), optional
            Standard deviations of the predictions in meV/atom, or in meV for Fermi levels.
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a new figure.
        **plot_options
            As of :meth:`plot`.

        Returns
        -------
        ParityDisplay
            The display, drawn.
        """
        check_option("quantity", quantity, tuple(QUANTITIES))
        y_true, y_pred = np.asarray(y_true, dtype=float), np.asarray(y_pred, dtype=float)
        check_shape("y_true", y_true, (None,))
        check_shape("y_pred", y_pred, y_true.shape)
        if len(y_true) == 0:
            raise ValueError("y_true must hold at least one value, got none.")
        check_finite("y_true", y_true)
        check_finite("y_pred", y_pred)
        if hue is not None:
            hue = np.asarray(hue)
            check_length("hue", hue, len(y_true))
        if std is not None:
            std = np.asarray(std, dtype=float)
            check_length("std", std, len(y_true))
            check_finite("std", std)
            if (std < 0).any():
                raise ValueError(f"std must not be negative, got {std.min()}.")
        options = {"quantity": quantity, "hue": hue, "hue_label": hue_label, "std": std}
        return cls(y_true=y_true, y_pred=y_pred, **options).plot(ax, **plot_options)

    @property
    def errors(self):
        """Predicted minus true in meV/atom (energies) or meV (Fermi level)."""
        return 1e3 * (np.asarray(self.y_pred) - np.asarray(self.y_true))

    def plot(self, ax=None, *, scatter_kwargs=None, errorbar_kwargs=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a new figure.
        scatter_kwargs : dict, optional
            Options for :meth:`matplotlib.axes.Axes.scatter`.
        errorbar_kwargs : dict, optional
            Options for :meth:`matplotlib.axes.Axes.errorbar`, by which the bars of `std` are
            drawn.

        Returns
        -------
        ParityDisplay
            The display.
        """
        self.ax_ = new_axes(ax, figsize=(5.4, 4.6))
        self.figure_ = self.ax_.figure
        self._draw_diagonal()
        options = {"s": 42, "edgecolors": "white", "linewidths": 0.7, "zorder": 3}
        options |= scatter_kwargs or {}
        bars = {"fmt": "none", "elinewidth": 1.2, "capsize": 2.5, "alpha": 0.75, "zorder": 2}
        bars |= errorbar_kwargs or {}
        groups = None if self.hue is None else np.unique(self.hue)
        if groups is None:
            self._scatter(slice(None), "", color=colors(1)[0], **options)
            self._draw_bars(slice(None), **({"ecolor": colors(1)[0]} | bars))
        elif len(groups) <= MAX_GROUPS or groups.dtype.kind not in "fiu":
            for value, color in zip(groups, colors(len(groups)), strict=True):
                self._scatter(self.hue == value, f"{self._name(value)}: ", color=color, **options)
                self._draw_bars(self.hue == value, **({"ecolor": color} | bars))
        else:
            points = self._scatter(slice(None), "", c=self.hue, cmap="cividis", **options)
            self._draw_bars(slice(None), **({"ecolor": GUIDE} | bars))
            self.figure_.colorbar(points, ax=self.ax_, label=self.hue_label, shrink=0.8)
        self._label()
        return self

    def _scatter(self, chosen, prefix, **options):
        """Draw the chosen points, with their errors in the legend."""
        sizes = np.abs(self.errors[chosen])
        unit = QUANTITIES[self.quantity][2]
        return self.ax_.scatter(
            np.asarray(self.y_true)[chosen],
            np.asarray(self.y_pred)[chosen],
            label=f"{prefix}MAE {sizes.mean():.1f}, max {sizes.max():.1f} {unit}",
            **options,
        )

    def _draw_bars(self, chosen, **options):
        """Draw the standard deviations of the chosen points."""
        if self.std is not None:
            x, y, std = (np.asarray(a)[chosen] for a in (self.y_true, self.y_pred, self.std))
            self.ax_.errorbar(x, y, yerr=std / 1e3, **options)

    def _name(self, value):
        """Return what the legend calls a value of `hue`: ``298 K`` for ``T (K)``."""
        if isinstance(value, str):
            return value
        label = self.hue_label or ""
        if label.endswith(")") and " (" in label:
            return f"{value:g} {label.rpartition(' (')[2][:-1]}"
        return f"{label} {value:g}".strip()

    def _draw_diagonal(self):
        """Draw the line of perfect prediction across the range of all values and bars."""
        y_pred, std = np.asarray(self.y_pred), 0 if self.std is None else np.asarray(self.std) / 1e3
        values = np.concatenate([self.y_true, y_pred - std, y_pred + std])
        margin = 0.07 * np.ptp(values) or 1e-3
        ends = values.min() - margin, values.max() + margin
        self.ax_.plot(ends, ends, color=GUIDE, lw=1, zorder=1)
        self.ax_.set(xlim=ends, ylim=ends, aspect="equal")

    def _label(self):
        from matplotlib.ticker import MaxNLocator

        name, unit, _ = QUANTITIES[self.quantity]
        self.ax_.set_xlabel(f"true {name} ({unit})")
        self.ax_.set_ylabel(f"predicted {name} ({unit})")
        for axis in (self.ax_.xaxis, self.ax_.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.get_major_formatter().set_useOffset(False)
        self.ax_.legend(loc="upper left", frameon=False, handletextpad=0.2, borderaxespad=0.1)
