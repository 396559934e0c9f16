"""Tables on a terminal and in files."""

#: Digits after the decimal point, by the ending of a column's name; four for other columns.
DIGITS = {
    "forces_error": 3,
    "stress_error": 4,
    "density_max_error": 4,
    "density_mean_error": 4,
    "_std": 2,
    "_error": 2,
    "temperature": 0,
    "n_electrons": 2,
}
#: Units of the other columns, by full name.
UNITS = {
    "temperature": "K",
    "fermi_level_std": "meV",
    "band_energy_std": "meV/atom",
    "total_energy_std": "meV/atom",
} | {
    f"{name}{true}": "eV"
    for name in ("fermi_level", "band_energy", "total_energy", "minus_ts")
    for true in ("", "_true")
}


def as_text(table):
    """Return a table as text, with all columns and their units."""
    formats = {
        _titled(name): f"{{:.{_digits(name)}f}}".format
        for name in table.columns
        if table[name].dtype.kind == "f"
    }
    return table.rename(columns=_titled).to_string(formatters=formats, na_rep="")


def mean_errors(table):
    """Return the mean absolute errors of a table of `evaluate` as text."""
    means = table[error_columns(table)].abs().mean()
    texts = (f"{name.removesuffix('_error').replace('_', ' ')} {value:.3g} {unit_of(name)}"
             for name, value in means.items())  # fmt: skip
    return "mean absolute errors: " + ", ".join(text.strip() for text in texts)


def error_columns(table):
    """Return the names of the error columns."""
    return [name for name in table.columns if name.endswith("_error")]


def write(table, path, overwrite):
    """Write a table to a CSV file, with the same column names as in Python."""
    from skldos.cli.arguments import check_free
    from skldos.data.files import atomic_file

    check_free(path, overwrite)
    with atomic_file(path, "w") as file:
        file.write(table.to_csv(index=False))


def unit_of(name):
    """Return the unit of a column, or an empty string."""
    from skldos.scoring.evaluation import ERROR_UNITS

    return (ERROR_UNITS | UNITS).get(name, "")


def _titled(name):
    unit = unit_of(name)
    return f"{name} ({unit})" if unit else name


def _digits(name):
    return next((digits for ending, digits in DIGITS.items() if name.endswith(ending)), 4)
