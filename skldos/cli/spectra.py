"""Densities of states as a table or a picture."""


def check_spectra(path):
    """Raise an error before the computation if a file of this name is neither table nor picture."""
    if path is None or path.suffix.lower() in ("", ".csv"):
        return
    from matplotlib.backend_bases import FigureCanvasBase

    types = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in types:
        raise ValueError(
            f"--dos takes a file *.csv, or a picture of one of the types {', '.join(types)}, got "
            f"{str(path)!r}."
        )


def write_spectra(curves, path, overwrite, *, n_atoms, levels=None):
    """Write densities of states to a CSV file, or draw them if the name ends otherwise.

    The curves are by label, each a ``pandas.Series`` in 1/eV over energies in eV. A file holds them
    as they are; a picture shows 1/(eV atom), and Fermi levels in eV.
    """
    import pandas as pd

    from skldos.cli.tables import write

    if path.suffix.lower() == ".csv":
        table = pd.DataFrame(dict(curves)).rename_axis("energy")
        write(table.reset_index(), path, overwrite)
    else:
        _draw(curves, path, n_atoms, [None] * len(n_atoms) if levels is None else levels)


def _draw(curves, path, n_atoms, levels):
    from matplotlib.figure import Figure

    from skldos.data.files import atomic_file

    figure = Figure(figsize=(6.4, 4.2), dpi=150, layout="constrained")
    ax = figure.add_subplot()
    for (label, dos), n, level in zip(curves.items(), n_atoms, levels, strict=True):
        (line,) = ax.plot(dos.index, dos / n, label=label)
        if level is not None:
            ax.axvline(level, color=line.get_color(), ls="--", lw=1)
    has_levels = any(level is not None for level in levels)
    note = " (dashed: Fermi level)" if has_levels else ""
    ax.set(xlabel=f"energy (eV){note}", ylabel="DOS (1/(eV atom))")
    ax.margins(x=0)
    if len(curves) <= 10:
        figure.legend(loc="outside upper center", ncols=3, fontsize="small", frameon=False)
    with atomic_file(path) as file:
        figure.savefig(file, format=path.suffix[1:] or "png")
