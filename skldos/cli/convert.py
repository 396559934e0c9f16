"""``skldos convert``: convert results of other programs to a folder of snapshots."""

import warnings
from pathlib import Path

from skldos.cli.arguments import add_output, check_free, number
from skldos.progress import is_watched, progress_bar

HELP = "convert pw.x runs, MALA files, .npz files or structures to a folder of snapshots"
DESCRIPTION = (
    "Read runs of pw.x (save directories or text outputs), files of MALA, .npz files or "
    "structures in any format of ASE, and write a folder of snapshots. Folders are searched "
    "to the bottom."
)
EXAMPLES = (
    "skldos convert runs/ -o snapshots --ldos wavefunctions --energies -6 0.2 81 --broadening 0.4",
    "skldos convert mala/ -o snapshots --energies -5 0.1 200 --broadening 0.2",
    "skldos convert dynamics.extxyz -o snapshots --temperature 300",
)


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "sources", metavar="PATH", type=Path, nargs="+", help="files or folders to read"
    )
    add_output(parser, "folder to write", Path("snapshots"))
    parser.add_argument(
        "--ldos", metavar="HOW", help="for pw.x runs: 'wavefunctions', or a pattern of cube files"
    )
    parser.add_argument(
        "--density", metavar="HOW", help="for pw.x runs: 'charge-density' or 'wavefunctions'"
    )
    parser.add_argument(
        "--energies", metavar=("START", "STEP", "N"), type=float, nargs=3,
        help="energies of the LDOS in eV, which pw.x and MALA files do not contain",
    )  # fmt: skip
    parser.add_argument(
        "--broadening", metavar="EV", type=number(low=0, strict=True),
        help="width of a level in the LDOS",
    )  # fmt: skip
    parser.add_argument(
        "--kernel", choices=("gaussian", "fermi-dirac"), default="gaussian",
        help="shape of a level (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--temperature", metavar="K", type=number(low=0),
        help="electronic temperature if the files do not contain it",
    )  # fmt: skip


def run(options):
    """Convert one snapshot at a time, so that only one is in memory."""
    from skldos.data import SnapshotList
    from skldos.data.files import staging_folder
    from skldos.data.storage import INDEX
    from skldos.io.folders import find_sources, read_source

    check_free(options.output / INDEX, options.overwrite)
    settings = {
        "energies": _energies(options),
        "ldos": options.ldos,
        "density": options.density,
        "temperature": options.temperature,
    }
    sources = [source for path in options.sources for source in find_sources(path)]
    _warn_of_options_without_effect(options, {source.kind for source in sources})
    options.output.mkdir(parents=True, exist_ok=True)
    with staging_folder(options.output) as stage:
        snapshots = []
        for i, source in enumerate(
            progress_bar(sources, desc="convert", unit="file", shown=is_watched())
        ):
            folder = SnapshotList(read_source(source, **settings)).save(stage / f"{i}")
            snapshots.extend(SnapshotList.load(folder))
        snapshots = SnapshotList(snapshots)
        snapshots.save(options.output, overwrite=options.overwrite)
    print(f"{len(snapshots)} snapshots in {options.output}, the first {snapshots[0]}")


def _warn_of_options_without_effect(options, kinds):
    """Warn of options that do not act on the kinds of sources that were found."""
    texts = []
    if options.energies and not options.ldos and "espresso" in kinds:
        texts.append(
            "--energies acts on runs of pw.x only with --ldos; without it, no LDOS is read"
        )
    elif options.energies and not kinds & {"espresso", "mala"}:
        texts.append("--energies acts only on runs of pw.x and files of MALA; none was found")
    for name in ("ldos", "density"):
        if getattr(options, name) and "espresso" not in kinds:
            texts.append(f"--{name} acts only on runs of pw.x; none was found")
    for text in texts:
        warnings.warn(text, UserWarning, stacklevel=3)


def _energies(options):
    from skldos.data import EnergyGrid

    if options.energies is None:
        if options.ldos is not None:
            raise ValueError("--ldos needs --energies START STEP N, in eV.")
        if options.broadening is not None:
            raise ValueError("--broadening needs --energies START STEP N, in eV.")
        return None
    if options.ldos is not None and options.broadening is None:
        raise ValueError("--ldos needs --broadening, the width of a level in eV.")
    start, step, n = options.energies
    if n != int(n):
        raise ValueError(f"--energies takes a whole number of energies, got {n:g}.")
    kernel = None if options.broadening is None else options.kernel
    return EnergyGrid.regular(start, step, int(n), broadening=options.broadening, kernel=kernel)
