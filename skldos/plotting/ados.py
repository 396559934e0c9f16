"""Densities of states of atoms, and how nearly their sum is that of the whole."""

import numpy as np
from sklearn.base import clone

from skldos._validation import check_finite, check_option, check_shape
from skldos.plotting._axes import check_length, colors, new_axes, panel_below
from skldos.plotting._snapshots import check_dos, common_energies, default_labels
from skldos.scoring._dos import snapshots_of

STYLES = ("lines", "stack", None)
#: Colour of the atoms of a single snapshot.
ATOMS = "0.55"


class ADOSDisplay:
    r"""Densities of states of atoms, and their sum beside that of the LDOS.

    Both are shown per atom: the DOS of the whole, divided by the number of atoms, is the mean of
    the densities of states of the atoms. Use :meth:`from_decomposer` or :meth:`from_predictions`
    to make one.

    Parameters
    ----------
    energies : array-like of shape (n_energies,)
        In eV.
    ados : sequence of array-like of shape (n_atoms, n_energies)
        Densities of states of the atoms of every snapshot, in 1/eV.
    dos_true : array-like of shape (n_snapshots, n_energies), optional
        True DOS in 1/(eV atom).
    labels : sequence of str, optional
        Names of the snapshots for the legend.

    Attributes
    ----------
    dos_sum : ndarray of shape (n_snapshots, n_energies)
        Sums over the atoms in 1/(eV atom).
    error : ndarray of shape (n_snapshots,) or None
        Relative errors of the sums in per cent,
        :math:`\int |\sum_i D_i - D|\,dE \big/ \int |D|\,dE`, which is the ``"l1"`` of
        :class:`~skldos.scoring.dos.DOSScorer`.
    ax_ : matplotlib.axes.Axes
        Axes of the densities of states.
    residual_ax_ : matplotlib.axes.Axes or None
        The panel below, with the sum minus the truth.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    DOSDisplay : The DOS that a model predicts.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skldos import ADOSDecomposer
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.plotting.ados import ADOSDisplay
    >>> display = ADOSDisplay.from_decomposer(ADOSDecomposer(), make_snapshots(1, random_state=0))
    >>> len(display.ados[0]), bool(display.error[0] < 1e-10)
    (4, True)
    """

    def __init__(self, *, energies, ados, dos_true=None, labels=None):
        self.energies = energies
        self.ados = ados
        self.dos_true = dos_true
        self.labels = labels

    @classmethod
    def from_decomposer(cls, decomposer, X, *, labels=None, ax=None, **plot_options):
        """Decompose snapshots and draw the sum over the atoms beside the DOS of the LDOS.

        Parameters
        ----------
        decomposer : ADOSDecomposer
            Fitted or not: a clone is fitted to the snapshots.
        X : sequence of Snapshot
            Snapshots with an LDOS on one energy grid.
        labels : sequence of str, optional
            Names for the legend; by default the temperatures if they differ.
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a new figure.
        **plot_options
            As of :meth:`plot`.

        Returns
        -------
        ADOSDisplay
            The display, drawn.

        Raises
        ------
        SnapshotError
            If a snapshot has no LDOS.
        ValueError
            If the snapshots have different energies.
        """
        snapshots = snapshots_of(X)
        energies = common_energies(snapshots)
        return cls.from_predictions(
            [snapshot.dos() for snapshot in snapshots],
            clone(decomposer).fit_transform(snapshots),
            energies=energies,
            labels=default_labels(snapshots) if labels is None else labels,
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(cls, dos_true, ados, *, energies, labels=None, ax=None, **plot_options):
        """Draw densities of states of atoms that are already there, such as a model's.

        Parameters
        ----------
        dos_true : array-like of shape (n_energies,) or (n_snapshots, n_energies), or None
            True DOS of the cell in 1/eV; None draws the sum over the atoms alone.
        ados : Blocks or sequence of array-like of shape (n_atoms, n_energies)
            Densities of states of the atoms of every snapshot, in 1/eV.
        energies : array-like of shape (n_energies,)
            In eV.
        labels : sequence of str, optional
            Names for the legend.
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a new figure.
        **plot_options
            As of :meth:`plot`.

        Returns
        -------
        ADOSDisplay
            The display, drawn.
        """
        energies = np.asarray(energies, dtype=float)
        check_shape("energies", energies, (None,))
        blocks = [np.asarray(block, dtype=float) for block in ados]
        for i, block in enumerate(blocks):
            check_shape(f"ados[{i}]", block, (None, len(energies)))
            check_finite(f"ados[{i}]", block)
        if labels is not None:
            check_length("labels", labels, len(blocks))
        if dos_true is not None:
            dos_true = check_dos("dos_true", dos_true, (len(blocks), len(energies)))
            dos_true = dos_true / np.array([[len(block)] for block in blocks])
        display = cls(energies=energies, ados=blocks, dos_true=dos_true, labels=labels)
        return display.plot(ax, **plot_options)

    @property
    def dos_sum(self):
        """Sums over the atoms in 1/(eV atom), shape (n_snapshots, n_energies)."""
        return np.array([np.mean(block, axis=0) for block in self.ados])

    @property
    def error(self):
        """Relative errors of the sums in per cent, shape (n_snapshots,), or None."""
        if self.dos_true is None:
            return None
        true = np.asarray(self.dos_true)
        difference = np.trapezoid(np.abs(self.dos_sum - true), self.energies)
        return 100 * difference / np.trapezoid(np.abs(true), self.energies)

    def plot(self, ax=None, *, atoms="lines", residual=True):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; None makes a new figure.
        atoms : {"lines", "stack"} or None, default="lines"
            How atoms are shown: each as a thin line, of which the DOS per atom is the mean; each as
            what it adds to that mean, on top of the one before it; or not at all. A stack is for
            one snapshot.
        residual : bool, default=True
            Whether a panel below shows the sum minus the truth, where that is known, in units of
            a power of ten that its label names.

        Returns
        -------
        ADOSDisplay
            The display.
        """
        check_option("atoms", atoms, STYLES)
        if atoms == "stack" and len(self.ados) != 1:
            raise ValueError(f'atoms="stack" is for one snapshot, got {len(self.ados)}.')
        self.ax_ = new_axes(ax, figsize=(6.4, 4.6))
        self.figure_ = self.ax_.figure
        self.residual_ax_ = None
        if residual and self.dos_true is not None:
            self.residual_ax_ = panel_below(self.ax_)
        palette = colors(len(self.ados))
        if atoms is not None:
            draw = self._draw_stack if atoms == "stack" else self._draw_atoms
            draw(palette)
        for i, color in enumerate(palette):
            if self.dos_true is not None:
                true = {"lw": 4, "alpha": 0.35, "solid_capstyle": "butt", "zorder": 2.5}
                self.ax_.plot(self.energies, self.dos_true[i], color=color, **true)
            self.ax_.plot(self.energies, self.dos_sum[i], color=color, lw=1.4, zorder=2.6)
        if self.residual_ax_ is not None:
            self._draw_residual(palette)
        self._label()
        self._draw_legend(palette, atoms)
        return self

    def _draw_atoms(self, palette):
        single = len(self.ados) == 1
        for block, color in zip(self.ados, palette, strict=True):
            line = {"lw": 0.6, "alpha": 0.6 if single else 0.3, "zorder": 1.5}
            self.ax_.plot(
                self.energies, np.transpose(block), color=ATOMS if single else color, **line
            )

    def _draw_stack(self, palette):
        (block,) = self.ados
        shares = np.asarray(block) / len(block)
        # Neighbours in the stack must differ, no more.
        shades = [("0.80", "0.90")[i % 2] for i in range(len(shares))]
        self.ax_.stackplot(self.energies, shares, colors=shades, zorder=1)

    def _draw_residual(self, palette):
        difference = self.dos_sum - np.asarray(self.dos_true)
        largest = np.abs(difference).max()
        power = int(np.floor(np.log10(largest))) if largest > 0 else 0
        for row, color in zip(difference, palette, strict=True):
            self.residual_ax_.plot(self.energies, row / 10.0**power, color=color, lw=1.2)
        limit = 1.3 * (largest / 10.0**power or 1)
        self.residual_ax_.set(ylim=(-limit, limit), ylabel=f"Δ ($10^{{{power}}}$)")

    def _label(self):
        bottom = self.ax_ if self.residual_ax_ is None else self.residual_ax_
        bottom.set_xlabel("E (eV)")
        self.ax_.set_ylabel("DOS (1/(eV atom))")
        self.ax_.set_xlim(self.energies[0], self.energies[-1])
        lowest = min(np.min(block) for block in self.ados)
        if lowest > -0.02 * np.max(self.dos_sum):
            self.ax_.set_ylim(bottom=0)

    def _draw_legend(self, palette, atoms):
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        single = len(self.ados) == 1
        color = palette[0] if single else "0.25"
        handles = [Line2D([], [], color=color, lw=1.4, label="sum of the atoms")]
        if self.dos_true is not None:
            handles.insert(0, Line2D([], [], color=color, lw=4, alpha=0.35, label="from the LDOS"))
        if atoms == "lines":
            handles.append(Line2D([], [], color=ATOMS, lw=0.6, label="each atom"))
        elif atoms == "stack":
            handles.append(Patch(color="0.85", label="share of each atom"))
        if self.labels is not None and single:
            self.ax_.set_title(self.labels[0], loc="left", fontsize="medium")
        elif self.labels is not None:
            handles += [
                Line2D([], [], color=c, marker="s", ls="", label=label)
                for c, label in zip(palette, self.labels, strict=True)
            ]
        self.ax_.legend(handles=handles, loc="upper left", frameon=False)
