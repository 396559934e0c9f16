"""Atom-decomposed densities of states, compared with the total."""

import numpy as np
from sklearn.base import clone

from skldos.plotting._snapshots import check_dos, common_energies, default_labels
from skldos.plotting.axes import check_length, colors, legend_of_snapshots, new_axes, panel_below
from skldos.prediction.pipelines import snapshots_of
from skldos.validation import check_finite, check_option, check_shape

STYLES = ("lines", "stack", "elements", None)
#: Colour of the atoms of a single snapshot.
ATOMS = "0.55"


class ADOSDisplay:
    r"""Densities of states of atoms, and their sum compared with the DOS of the LDOS.

    Both are shown per atom: the total DOS divided by the number of atoms is the mean of the
    densities of states of the atoms. Use :meth:`from_decomposer` or :meth:`from_predictions`
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
    symbols : sequence of sequence of str, optional
        Elements of the atoms of every snapshot, for ``atoms="elements"``.

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
        The panel below, with the sum minus the true DOS.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    DOSDisplay : The DOS predicted by a model.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from skldos import ADOSDecomposer
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.plotting import ADOSDisplay
    >>> display = ADOSDisplay.from_decomposer(ADOSDecomposer(), make_snapshots(1, random_state=0))
    >>> len(display.ados[0]), bool(display.error[0] < 1e-10)
    (4, True)
    """

    def __init__(self, *, energies, ados, dos_true=None, labels=None, symbols=None):
        self.energies = energies
        self.ados = ados
        self.dos_true = dos_true
        self.labels = labels
        self.symbols = symbols

    @classmethod
    def from_decomposer(cls, decomposer, X, *, labels=None, ax=None, **plot_options):
        """Decompose snapshots and draw the sum over the atoms with the DOS of the LDOS.

        Parameters
        ----------
        decomposer : ADOSDecomposer
            Fitted or not: a clone is fitted to the snapshots.
        X : sequence of Snapshot
            Snapshots with an LDOS on one energy grid.
        labels : sequence of str, optional
            Names for the legend; by default the temperatures if they differ.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

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
            symbols=[list(snapshot.atoms.symbols) for snapshot in snapshots],
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls, dos_true, ados, *, energies, labels=None, symbols=None, ax=None, **plot_options
    ):
        """Draw given densities of states of atoms, for example predicted ones.

        Parameters
        ----------
        dos_true : array-like of shape (n_energies,) or (n_snapshots, n_energies), or None
            True DOS of the cell in 1/eV; None draws only the sum over the atoms.
        ados : Blocks or sequence of array-like of shape (n_atoms, n_energies)
            Densities of states of the atoms of every snapshot, in 1/eV.
        energies : array-like of shape (n_energies,)
            In eV.
        labels : sequence of str, optional
            Names for the legend.
        symbols : sequence of sequence of str, optional
            Elements of the atoms of every snapshot, for ``atoms="elements"``.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

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
        if symbols is not None:
            check_length("symbols", symbols, len(blocks))
            for i, (of_atoms, block) in enumerate(zip(symbols, blocks, strict=True)):
                if len(of_atoms) != len(block):
                    raise ValueError(
                        f"symbols[{i}] must name the element of every atom, {len(block)}, got "
                        f"{len(of_atoms)}."
                    )
        if dos_true is not None:
            dos_true = check_dos("dos_true", dos_true, (len(blocks), len(energies)))
            dos_true = dos_true / np.array([[len(block)] for block in blocks])
        given = {"labels": labels, "symbols": symbols}
        display = cls(energies=energies, ados=blocks, dos_true=dos_true, **given)
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
            Axes to draw in; None makes a new figure.
        atoms : {"lines", "stack", "elements"} or None, default="lines"
            How to show the atoms: as thin lines, whose mean is the DOS per atom; as stacked
            contributions to that mean (for one snapshot); as a line for each element, the mean over
            its atoms (for one snapshot); or not at all.
        residual : bool, default=True
            Whether a panel below shows the sum minus the true DOS, if known, in units of a power of
            ten given in its label.

        Returns
        -------
        ADOSDisplay
            The display.
        """
        check_option("atoms", atoms, STYLES)
        if atoms in ("stack", "elements") and len(self.ados) != 1:
            raise ValueError(f'atoms="{atoms}" is for one snapshot, got {len(self.ados)}.')
        if atoms == "elements" and self.symbols is None:
            raise ValueError('atoms="elements" needs symbols, the elements of the atoms, got None.')
        self.ax_ = new_axes(ax, figsize=(6.4, 4.6))
        self.figure_ = self.ax_.figure
        self.residual_ax_ = None
        if residual and self.dos_true is not None:
            factor = f"$10^{{{self._power}}}$" if self._power else "1"
            self.residual_ax_ = panel_below(self.ax_, f"{factor}/(eV atom)")
        palette = colors(len(self.ados))
        if atoms is not None:
            {
                "lines": self._draw_atoms,
                "stack": self._draw_stack,
                "elements": self._draw_elements,
            }[atoms](palette)
        for i, color in enumerate(palette):
            if self.dos_true is not None:
                true = {"lw": 4, "alpha": 0.35, "solid_capstyle": "butt", "zorder": 2.5}
                self.ax_.plot(self.energies, self.dos_true[i], color=color, **true)
            self.ax_.plot(self.energies, self.dos_sum[i], color=color, lw=1.4, zorder=2.6)
        if self.residual_ax_ is not None:
            self._draw_residual(palette)
        self._label()
        self._draw_legend(palette, atoms, grow=ax is None)
        return self

    @property
    def _power(self):
        """Power of ten used as the unit of differences between sums and true DOS."""
        largest = np.abs(self.dos_sum - np.asarray(self.dos_true)).max()
        return int(np.floor(np.log10(largest))) if largest > 0 else 0

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
        # Only neighbours in the stack must have different colours.
        shades = [("0.80", "0.90")[i % 2] for i in range(len(shares))]
        self.ax_.stackplot(self.energies, shares, colors=shades, zorder=1)

    def _draw_elements(self, palette):
        (block,), (symbols,) = self.ados, self.symbols
        elements = sorted(set(symbols))
        # The sum has the first colour.
        for element, color in zip(elements, colors(len(elements) + 1)[1:], strict=True):
            rows = np.asarray(block)[[s == element for s in symbols]]
            line = {"lw": 1.2, "ls": "--", "zorder": 2}
            self.ax_.plot(self.energies, rows.mean(axis=0), color=color, label=element, **line)

    def _draw_residual(self, palette):
        difference = (self.dos_sum - np.asarray(self.dos_true)) / 10.0**self._power
        for row, color in zip(difference, palette, strict=True):
            self.residual_ax_.plot(self.energies, row, color=color, lw=1.2)
        limit = 1.3 * (np.abs(difference).max() or 1)
        self.residual_ax_.set_ylim(-limit, limit)

    def _label(self):
        bottom = self.ax_ if self.residual_ax_ is None else self.residual_ax_
        bottom.set_xlabel("E (eV)")
        self.ax_.set_ylabel("DOS (1/(eV atom))")
        self.ax_.set_xlim(self.energies[0], self.energies[-1])
        lowest = min(np.min(block) for block in self.ados)
        if lowest > -0.02 * np.max(self.dos_sum):
            self.ax_.set_ylim(bottom=0)

    def _draw_legend(self, palette, atoms, grow):
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        color = palette[0] if len(self.ados) == 1 else "0.25"
        handles = [Line2D([], [], color=color, lw=1.4, label="sum of the atoms")]
        if self.dos_true is not None:
            handles.insert(0, Line2D([], [], color=color, lw=4, alpha=0.35, label="from the LDOS"))
        if atoms == "lines":
            handles.append(Line2D([], [], color=ATOMS, lw=0.6, label="each atom"))
        elif atoms == "stack":
            handles.append(Patch(color="0.85", label="share of each atom"))
        elif atoms == "elements":
            named = [line for line in self.ax_.lines if not line.get_label().startswith("_")]
            handles += [
                Line2D([], [], color=line.get_color(), ls="--", label=f"each {line.get_label()}")
                for line in named
            ]
        legend_of_snapshots(self.ax_, handles, self.labels, grow=grow)
