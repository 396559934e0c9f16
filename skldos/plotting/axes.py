"""Common code of the displays: axes, colours, and checks of their input."""

from textwrap import fill

import numpy as np

#: Colours that colour-blind readers can distinguish (Okabe and Ito), blue and vermilion first.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: Colour of reference lines, such as a diagonal.
GUIDE = "0.55"
#: Height of a panel for differences, relative to the axes above it.
PANEL = 0.3
#: Longest line of a legend in characters, and height in points of the legend that a figure has
#: room for.
LEGEND_CHARACTERS, LEGEND_POINTS = 44, 60


def new_axes(ax, *, figsize, layout="constrained"):
    """Return `ax`, or axes in a new figure, without the upper and right spines."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=figsize, dpi=120, layout=layout)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def divided(ax, n_rows, n_columns, *, gap, **ratios):
    """Divide `ax` into a grid; return its GridSpec. `ax` becomes its first cell.

    `gap` is that between cells, as a fraction of a cell, unless a layout engine sets it, and
    `ratios` are as for :class:`matplotlib.gridspec.GridSpec`.
    """
    figure, spec = ax.figure, ax.get_subplotspec()
    if figure.get_layout_engine() is None:
        ratios = {"hspace": gap, "wspace": gap} | ratios
    if spec is not None:
        grid = spec.subgridspec(n_rows, n_columns, **ratios)
    else:
        box = ax.get_position()
        edges = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
        grid = figure.add_gridspec(n_rows, n_columns, **edges, **ratios)
    ax.set_subplotspec(grid[0])
    return grid


def panel_below(ax, unit):
    """Return a small panel for differences at the bottom of `ax`, with the same abscissa.

    `unit` is that of the differences. If the scales of `ax` are equal, it is square.
    """
    from matplotlib.ticker import MaxNLocator

    grid = divided(ax, 2, 1, gap=0.12, height_ratios=[1, PANEL])
    panel = ax.figure.add_subplot(grid[1], sharex=ax)
    if ax.get_aspect() != "auto":  # the same width as the axes, and next to them
        panel.set_box_aspect(PANEL)
        ax.set_anchor("S")
        panel.set_anchor("N")
    ax.tick_params(labelbottom=False)
    panel.spines[["top", "right"]].set_visible(False)
    panel.axhline(0, color=GUIDE, lw=0.8, zorder=1)
    panel.margins(y=0.15)  # room for the markers
    panel.yaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    # A long unit takes a second line.
    panel.set_ylabel(f"Δ ({unit})".replace("/(", "/\n("))
    return panel


def bar_beside(ax, drawn, label, width=0.05):
    """Draw a colour bar next to `ax`, with the same height."""
    place = ax.inset_axes([1 + 0.8 * width, 0, width, 1])
    return ax.figure.colorbar(drawn, cax=place, label=label)


def legend_above(ax, handles=None, *, grow=False, **options):
    """Draw the legend above `ax`, where it covers neither the plot nor a title.

    It explains `handles`; None takes all that has a label. With `grow`, the figure becomes higher
    for a legend of more than four lines. `options` are as for
    :meth:`matplotlib.axes.Axes.legend`.
    """
    handles = ax.get_legend_handles_labels()[0] if handles is None else handles
    labels = [fill(handle.get_label(), LEGEND_CHARACTERS) for handle in handles]
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    options = place | {"frameon": False, "handletextpad": 0.4} | options
    legend = ax.legend(handles, labels, **options)
    # Matplotlib moves titles above child axes, but not above legends.
    place = ax.inset_axes([0, 1, 1, 0], zorder=-1)
    place.set_axis_off()
    place.set_axes_locator(_PlaceOfLegend(ax))
    if grow:
        height = legend.get_window_extent().height / ax.figure.dpi
        ax.figure.set_figheight(ax.figure.get_figheight() + max(0, height - LEGEND_POINTS / 72))


class _PlaceOfLegend:
    """Locator of axes where the legend of other axes is, or along their upper edge."""

    def __init__(self, ax):
        self.ax = ax

    def __call__(self, place, renderer):
        from matplotlib.transforms import Bbox

        legend, box = self.ax.get_legend(), self.ax.bbox
        top = box.y1 if legend is None else legend.get_window_extent(renderer).y1
        edges = Bbox.from_extents(box.x0, box.y1, box.x1, max(box.y1, top))
        return edges.transformed(self.ax.figure.transSubfigure.inverted())


def legend_of_snapshots(ax, handles, labels, *, grow=False):
    """Draw the legend in the best place in `ax`, or above if it is large.

    A single label becomes the title.
    """
    from matplotlib.lines import Line2D

    longest = 0
    if labels is not None and len(labels) == 1:
        ax.set_title(labels[0], fontsize="medium")
    elif labels is not None:
        longest = max(map(len, labels))
        handles = handles + [
            Line2D([], [], color=color, marker="s", ls="", label=label)
            for color, label in zip(colors(len(labels)), labels, strict=True)
        ]
    if longest > LEGEND_CHARACTERS // 2 or len(handles) > 2 * len(PALETTE):
        legend_above(ax, handles, grow=grow, ncols=1 if longest > LEGEND_CHARACTERS // 2 else 3)
    else:
        ax.legend(handles=handles, framealpha=0.7, edgecolor="none")


def colors(n):
    """Return `n` colours: the palette, or a sequential map if the palette is too short."""
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 0.9, n)))


def check_length(name, values, n):
    """Raise a ``ValueError`` unless there are `n` values."""
    if len(values) != n:
        raise ValueError(f"{name} must hold one value per snapshot, {n}, got {len(values)}.")
