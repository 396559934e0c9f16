"""``skldos predict``: energies, densities of states and densities of new structures."""

from pathlib import Path

from skldos.cli.arguments import (
    add_output,
    add_pseudopotentials,
    check_free,
    check_target,
    integer,
    number,
)

HELP = "predict energies, densities of states and electron densities of structures"
DESCRIPTION = (
    "Predict structures in any format that ASE reads with a saved model: Fermi level, band "
    "energy, −TS and total energy in eV, standard deviations in meV (Fermi level) and "
    "meV/atom."
)
EXAMPLES = (
    "skldos predict model.skldos POSCAR --temperature 300",
    "skldos predict model.skldos dynamics.traj -o table.csv --dos dos.png",
    "skldos predict model.skldos cell.cif --pseudo Al.pz-vbc.UPF --cube density/",
)


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="file that 'skldos fit' wrote")
    parser.add_argument(
        "structures", metavar="FILE", type=Path, nargs="+",
        help="structures in any format of ASE, or folders of snapshots",
    )  # fmt: skip
    add_output(parser, "CSV file of the table")
    parser.add_argument(
        "--temperature", metavar="K", type=number(low=0),
        help="electronic temperature (default: that of the training data)",
    )  # fmt: skip
    add_pseudopotentials(parser)
    parser.add_argument(
        "--sharpen", metavar="ORDER", type=integer(low=0),
        help="order to which the broadening is undone (default: 2 if the broadening is known)",
    )  # fmt: skip
    parser.add_argument(
        "--dos", metavar="FILE", type=Path, help="plot (*.png) or table (*.csv) of the DOS"
    )
    parser.add_argument(
        "--cube", metavar="DIR", type=Path, help="folder for cube files of the densities"
    )


def run(options):
    """Print the table, and write the requested files."""
    import skldos
    from skldos.cli.data import load_model, load_pseudopotentials, load_structures
    from skldos.cli.spectra import check_spectra, write_spectra
    from skldos.cli.tables import as_text, write

    for path in (options.output, options.dos):
        check_target(path, options.overwrite)
    check_free(options.cube, options.overwrite)
    check_spectra(options.dos)
    model, structures = load_model(options.model), load_structures(options.structures)
    table = skldos.predict(
        model,
        structures,
        temperature=options.temperature,
        pseudopotentials=load_pseudopotentials(options.pseudo),
        sharpen=options.sharpen,
        dos=options.dos is not None,
        density=options.cube is not None,
    )
    numbers = table.drop(columns=["dos", "density"], errors="ignore")
    print(as_text(numbers))
    if options.output is not None:
        write(numbers, options.output, options.overwrite)
    if options.dos is not None:
        write_spectra(
            dict(zip(_labels(table), table["dos"], strict=True)),
            options.dos,
            options.overwrite,
            n_atoms=table["n_atoms"],
            levels=table["fermi_level"],
        )
    if options.cube is not None:
        write_cubes(table, structures, options.cube)
    paths = [str(path) for path in (options.output, options.dos, options.cube) if path]
    if paths:
        print(f"written: {', '.join(paths)}")


def write_cubes(table, structures, folder):
    """Write one cube file per structure, with its electron density in 1/bohr³."""
    from skldos.io import write_cube
    from skldos.units import BOHR

    folder.mkdir(parents=True, exist_ok=True)
    labels = _labels(table)
    names = _distinct(map(_as_name, labels), "{}_{}")
    for i, (snapshot, label, name) in enumerate(zip(structures, labels, names, strict=True)):
        path = folder / f"{name}.cube"
        density = table["density"][i] * BOHR**3
        write_cube(path, density, snapshot, title=f"{label}: electrons per bohr^3")


def _labels(table):
    """Return a distinct label for every row."""
    names = table["formula"]
    if "name" in table:
        names = table["name"].where(table["name"].notna(), names)
    return _distinct(names, "{} ({})")


def _distinct(names, numbered):
    """Return names that differ, also for a file system that ignores case.

    Examples
    --------
    >>> _distinct(["a", "A", "a", "a (2)"], "{} ({})")
    ['a', 'A (2)', 'a (3)', 'a (2) (2)']
    """
    lowercase, distinct = set(), []
    for name in names:
        candidate, number = name, 1
        while candidate.casefold() in lowercase:
            number += 1
            candidate = numbered.format(name, number)
        lowercase.add(candidate.casefold())
        distinct.append(candidate)
    return distinct


def _as_name(label):
    return "".join(c if c.isalnum() or c in "-_.+" else "_" for c in label)
