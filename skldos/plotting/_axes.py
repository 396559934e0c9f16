"""What the displays share: axes, colours, and the checks of what is given to them."""

import numpy as np

#: Colours that stay apart for colour-blind readers (Okabe and Ito), blue and vermilion first.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: Lines that are there to be compared with, such as a diagonal.
GUIDE = "0.55"


def new_axes(ax, *, figsize):
    """Return `ax`, or axes in a new figure if there is none, cleared of what is not needed."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=figsize, dpi=120)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def panel_below(ax):
    """Cut a small panel off the bottom of `ax` that shares its abscissa.

    It is for differences in thousandths.
    """
    from matplotlib.ticker import MaxNLocator
    from mpl_toolkits.axes_grid1 import make_axes_locatable

    panel = make_axes_locatable(ax).append_axes("bottom", size="24%", pad=0.12, sharex=ax)
    ax.tick_params(labelbottom=False)
    panel.spines[["top", "right"]].set_visible(False)
    panel.axhline(0, color=GUIDE, lw=0.8, zorder=1)
    panel.yaxis.set_major_locator(MaxNLocator(3, symmetric=True))
    panel.set_ylabel("Δ (10⁻³)")
    return panel


def colors(n):
    """Return `n` colours: the palette, or steps of a sequential map where it is too short."""
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 0.9, n)))


def check_length(name, values, n):
    """Raise a ``ValueError`` unless there are `n` values."""
    if len(values) != n:
        raise ValueError(f"{name} must hold one value per snapshot, {n}, got {len(values)}.")
