"""Tables in Markdown: groups of rows, cells, columns."""

import statistics
from collections import defaultdict


def group(rows, *keys):
    """Return a dict of the rows that agree in the values of `keys`."""
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def mean_and_range(values, form):
    """Return `mean (lowest to highest)`, or the value alone."""
    text = format(statistics.fmean(values), form)
    if len(values) == 1:
        return text
    return f"{text} ({format(min(values), form)} to {format(max(values), form)})"


def column_table(columns, rows):
    """Return a Markdown table with a column for every title in `columns`.

    Each column is a format string for the values of a row, or a function of the row; cells are
    empty if the row has no such value.
    """

    def cell(form, row):
        try:
            return form(row) if callable(form) else form.format_map(row)
        except (KeyError, TypeError):
            return ""

    return format_table(
        [*columns], [[cell(form, row) for form in columns.values()] for row in rows]
    )


def format_table(header, rows):
    """Return a Markdown table; numbers arrive as text."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
