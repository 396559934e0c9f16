"""Predicted against true energies and forces."""

import numpy as np

from skldos.data import Blocks
from skldos.plotting._snapshots import all_or_none
from skldos.plotting.axes import (
    GUIDE,
    bar_beside,
    check_length,
    colors,
    legend_above,
    new_axes,
    panel_below,
)
from skldos.prediction.forces import predicts_forces
from skldos.prediction.pipelines import check_predicts_states, regressor_of, snapshots_of
from skldos.scoring import evaluate
from skldos.scoring.forces import true_and_predicted_forces
from skldos.uncertainty import energy_uncertainty
from skldos.validation import check_finite, check_option, check_shape

#: Name, unit and unit of errors (a thousandth of the unit) for each quantity.
QUANTITIES = {
    "band_energy": ("band energy", "eV/atom", "meV/atom"),
    "total_energy": ("total free energy", "eV/atom", "meV/atom"),
    "fermi_level": ("Fermi level", "eV", "meV"),
    "forces": ("force", "eV/Å", "meV/Å"),
}
#: Up to this many different values of `hue` each have a colour and a legend entry.
MAX_GROUPS = 6
#: If all errors are a smaller fraction of the axis than this, a residual panel is drawn.
VISIBLE = 0.02


class ParityDisplay:
    """Predicted against true energies or Fermi levels, or components of forces.

    There is one point per snapshot, or one per component of the force on every atom.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_points,)
        Energies in eV/atom, Fermi levels in eV, or components of forces in eV/Å.
    quantity : {"band_energy", "total_energy", "fermi_level", "forces"}, default="band_energy"
        Kind of the values.
    hue : array-like of shape (n_points,), optional
        Quantity shown as colour: numbers, such as temperatures, or names.
    hue_label : str, optional
        Label of `hue`, such as ``"T (K)"``.
    std : array-like of shape (n_points,), optional
        Standard deviations of the predictions in meV/atom, in meV for Fermi levels, as
        :func:`~skldos.uncertainty.energy_uncertainty` gives them, or in meV/Å for forces; drawn as
        bars.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    residual_ax_ : matplotlib.axes.Axes or None
        The panel below, with predicted minus true.
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
        pseudopotentials=None,
        functional=None,
        density_cutoff=None,
        reference="ldos",
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
            Fitted; predicts the LDOS on grids, the DOS of atoms, or free energies with forces.
        X : sequence of Snapshot, or Blocks
            Snapshots with energies, temperature and number of electrons; or blocks made of
            them, if the estimator takes blocks. A model of free energies
            (:class:`~skldos.FreeEnergyRegressor`) only needs the results of the calculation,
            which are the true values.
        y : sequence of array-like, optional
            True LDOS; None uses those of the snapshots.
        quantity : {"band_energy", "total_energy", "fermi_level", "forces"}, default="band_energy"
            Quantity to show. Total energies and forces of a model of free energies need none of the
            following arguments.
        pseudopotentials : mapping of str to Pseudopotential or path, optional
            One per element, needed for ``"total_energy"`` of an LDOS.
        functional : str, optional
            Exchange-correlation functional; None uses that of the pseudopotentials.
        density_cutoff : float, optional
            Largest kinetic energy of the density in eV, as in :func:`~skldos.evaluate`.
        reference : {"ldos", "dft"}, default="ldos"
            The true values, as in :func:`~skldos.evaluate`.
        sharpen : int, default=0
            Order to which the broadening is undone, as in :func:`~skldos.evaluate`.
        hue : "temperature", array-like of shape (n_snapshots,) or None, default="temperature"
            Quantity shown as colour.
        hue_label : str, optional
            Label of `hue`; by default ``"T (K)"`` for temperatures.
        std : bool, default=False
            Whether bars show predicted standard deviations; needs an estimator with uncertainties,
            see :func:`~skldos.uncertainty.energy_uncertainty`. For band energies and Fermi levels,
            without `sharpen`.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        ParityDisplay
            The display, drawn.
        """
        check_option("quantity", quantity, tuple(QUANTITIES))
        if isinstance(hue, str):
            check_option("hue", hue, ("temperature",))
        if quantity == "forces":
            return cls._of_forces(estimator, X, hue, hue_label, std, ax, **plot_options)
        if quantity != "total_energy":
            check_predicts_states(estimator)
        options = {"reference": reference, "sharpen": sharpen}
        if quantity == "total_energy" and not predicts_forces(estimator):
            if pseudopotentials is None:
                raise ValueError("quantity 'total_energy' needs pseudopotentials, got None.")
            options |= {"pseudopotentials": pseudopotentials, "functional": functional}
            options["density_cutoff"] = density_cutoff
        check_option("std", std, (True, False))
        if std and (quantity == "total_energy" or sharpen):
            raise ValueError(
                "std=True is for band energies and Fermi levels without sharpen, got "
                f"quantity={quantity!r}, sharpen={sharpen!r}."
            )
        table = evaluate(estimator, X, y, **options)
        n = 1 if quantity == "fermi_level" else table["n_atoms"].to_numpy()
        if isinstance(hue, str):
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
    def _of_forces(cls, estimator, X, hue, hue_label, std, ax, **plot_options):
        """Draw all force components, in the colours of their snapshots."""
        snapshots = snapshots_of(X)
        pairs = true_and_predicted_forces(estimator, X)
        if isinstance(hue, str):
            hue, hue_label = all_or_none(snapshots, "temperature"), hue_label or "T (K)"
        if hue is not None:
            check_length("hue", hue, len(snapshots))
            hue = np.repeat(np.asarray(hue), [true.size for true, _ in pairs])
        if std:
            blocks = X if isinstance(X, Blocks) else estimator[:-1].transform(snapshots)
            _, std = regressor_of(estimator).predict_forces(blocks, return_std=True)
            std = 1e3 * np.concatenate([np.ravel(each) for each in std])
        true, predicted = (
            np.concatenate([p.ravel() for p in both]) for both in zip(*pairs, strict=True)
        )
        options = {"scatter_kwargs": {"s": 12, "linewidths": 0.2}} | plot_options
        return cls.from_predictions(
            true,
            predicted,
            quantity="forces",
            hue=hue,
            hue_label=hue_label,
            std=std if np.ndim(std) else None,
            ax=ax,
            **options,
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
        """Draw given energies.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_points,)
            Energies in eV/atom, Fermi levels in eV, or components of forces in eV/Å.
        quantity : {"band_energy", "total_energy", "fermi_level", "forces"}, default="band_energy"
            Kind of the values.
        hue : array-like of shape (n_points,), optional
            Quantity shown as colour: numbers, such as temperatures, or names.
        hue_label : str, optional
            Label of `hue`.
        std : array-like of shape (n_points,), optional
            Standard deviations of the predictions in meV/atom, in meV for Fermi levels, or in
            meV/Å for forces.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

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
        """Predicted minus true in meV/atom (energies), meV (Fermi level) or meV/Å (forces)."""
        return 1e3 * (np.asarray(self.y_pred) - np.asarray(self.y_true))

    def plot(self, ax=None, *, residual="auto", scatter_kwargs=None, errorbar_kwargs=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        residual : bool or "auto", default="auto"
            Whether a panel below shows predicted minus true; ``"auto"`` draws it if all errors
            are smaller than 2 % of the axis.
        scatter_kwargs : dict, optional
            Options for :meth:`matplotlib.axes.Axes.scatter`.
        errorbar_kwargs : dict, optional
            Options for :meth:`matplotlib.axes.Axes.errorbar`, for the bars of `std`.

        Returns
        -------
        ParityDisplay
            The display.
        """
        check_option("residual", residual, (True, False, "auto"))
        self.ax_ = new_axes(ax, figsize=(5.4, 5.4))
        self.figure_ = self.ax_.figure
        self._draw_diagonal()
        self.residual_ax_ = None
        if residual == "auto":
            low, high = self.ax_.get_xlim()
            residual = np.abs(self.errors).max() < 1e3 * VISIBLE * (high - low)
        if residual:
            self.residual_ax_ = panel_below(self.ax_, QUANTITIES[self.quantity][2])
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
            bar_beside(self.ax_, points, self.hue_label)
        self._label()
        legend_above(self.ax_, grow=ax is None)
        return self

    def _scatter(self, chosen, prefix, **options):
        """Draw the chosen points, with their errors in the legend."""
        errors, true = self.errors[chosen], np.asarray(self.y_true)[chosen]
        sizes, unit = np.abs(errors), QUANTITIES[self.quantity][2]
        if self.residual_ax_ is not None:
            self.residual_ax_.scatter(true, errors, **(options | {"s": options["s"] / 2}))
        # The usual measures: MAE of energies, RMSE of forces.
        forces = self.quantity == "forces"
        mean = np.sqrt(np.mean(sizes**2)) if forces else sizes.mean()
        return self.ax_.scatter(
            true,
            np.asarray(self.y_pred)[chosen],
            label=f"{prefix}{'RMSE' if forces else 'MAE'} {mean:.1f}, max {sizes.max():.1f} {unit}",
            **options,
        )

    def _draw_bars(self, chosen, **options):
        """Draw the standard deviations of the chosen points."""
        if self.std is not None:
            x, y, std = (np.asarray(a)[chosen] for a in (self.y_true, self.y_pred, self.std))
            self.ax_.errorbar(x, y, yerr=std / 1e3, **options)
            if self.residual_ax_ is not None:
                self.residual_ax_.errorbar(x, self.errors[chosen], yerr=std, **options)

    def _name(self, value):
        """Return the legend entry for a value of `hue`: ``298 K`` for ``T (K)``."""
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
        bottom = self.ax_ if self.residual_ax_ is None else self.residual_ax_
        bottom.set_xlabel(f"true {name} ({unit})")
        self.ax_.set_ylabel(f"predicted {name} ({unit})")
        for axis in (self.ax_.xaxis, self.ax_.yaxis):
            axis.set_major_locator(MaxNLocator(5))
            axis.get_major_formatter().set_useOffset(False)
