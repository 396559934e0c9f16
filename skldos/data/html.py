"""Small tables and curves to show snapshots, blocks and grids in notebooks."""

from html import escape

import numpy as np

#: Width and height of a curve in pixels, and its largest number of points.
WIDTH, HEIGHT, POINTS = 160, 36, 200
#: Largest number of rows in the table of a list.
ROWS = 10


def table(title, rows, header=None):
    """Return an HTML table; cells are strings, which are escaped, or results of :func:`sparkline`.

    `header` names the columns; without it, the first cell of each row names the row.

    Examples
    --------
    >>> table("Snapshot", [("temperature", "298 K")]).partition("</caption>")[0]
    '<table><caption>Snapshot'
    """
    first = "th" if header is None else "td"
    lines = [_row([row[:1], row[1:]], [first, "td"]) for row in rows]
    if header is not None:
        lines.insert(0, _row([header], ["th"]))
    return f"<table><caption>{escape(title)}</caption>{''.join(lines)}</table>"


class _Markup(str):
    """A string that already is HTML."""

    __slots__ = ()


def sparkline(x, y, mark=None):
    """Return a small curve y(x), x increasing, as an inline SVG that :func:`table` does not escape.

    A vertical line is drawn at `mark`, if it lies within x.

    Examples
    --------
    >>> sparkline([0, 1, 2], [0.0, 1.0, 0.5])[:4]
    '<svg'
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    # A fixed stride could miss the last point.
    shown = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).astype(int))
    x, y = x[shown], y[shown]
    low, high = min(y.min(), 0.0), max(y.max(), 0.0)
    across = WIDTH * (x - x[0]) / (x[-1] - x[0])
    down = HEIGHT * (1 - (y - low) / ((high - low) or 1.0))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
    line = ""
    if mark is not None and x[0] <= mark <= x[-1]:
        at = f"{WIDTH * (mark - x[0]) / (x[-1] - x[0]):.1f}"
        line = f'<line x1="{at}" x2="{at}" y1="0" y2="{HEIGHT}" stroke="gray"/>'
    return _Markup(
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 -1 {WIDTH} {HEIGHT + 2}" role="img">'
        f'<polyline points="{points}" fill="none" stroke="currentColor"/>{line}</svg>'
    )


def _row(groups, tags):
    # Notebooks align cells to the right, and drop spaces at their beginning.
    cells = [
        f'<{tag} style="text-align: left">{_markup(cell)}</{tag}>'
        for group, tag in zip(groups, tags, strict=True)
        for cell in group
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _markup(cell):
    if isinstance(cell, _Markup):
        return cell
    text = escape(str(cell))
    indent = len(text) - len(text.lstrip(" "))
    return "\N{EM SPACE}" * (indent // 2) + text.lstrip(" ")
