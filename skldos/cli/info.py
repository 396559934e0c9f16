"""``skldos info``: describe a folder, a file, a run or a model."""

from pathlib import Path

from skldos.cli.arguments import BUNDLED

HELP = "describe a folder of data, a run or a model, and what is missing"
DESCRIPTION = (
    "Describe a path: sizes, elements, temperatures and fields of snapshots, the card of a "
    "model, or the data that 'skldos convert' would find."
)
EXAMPLES = ("skldos info snapshots", "skldos info model.skldos", "skldos info runs")

#: What snapshots can be used for, and what that requires.
REQUIREMENTS = {
    "models.grid": ("ldos", "energies", "temperature", "n_electrons"),
    "models.atoms": ("ldos or ados", "energies", "temperature", "n_electrons"),
    "models.potential": ("total_energy", "forces"),
}


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("path", metavar="PATH", type=Path, help="folder, file or model")


def run(options):
    """Print a description of a path."""
    print(describe(options.path))


def describe(path):
    """Return the description of a path as text."""
    import zipfile

    from skldos.data.storage import INDEX

    bundled = str(path) == BUNDLED and not path.exists()
    if path.is_file() and zipfile.is_zipfile(path) and path.suffix != ".npz":
        import skldos

        return str(skldos.model_card(path))
    if bundled or (path / INDEX).exists():
        from skldos.cli.data import load_data

        return describe_snapshots(load_data(path))
    return describe_sources(path)


def describe_sources(path):
    """Describe the files that could be converted; a single one in detail."""
    from skldos.io.folders import KIND_NAMES, find_sources, read_source

    sources = find_sources(path)
    kind = sources[0].kind
    title = (
        f"{path}: {KIND_NAMES[kind]}, {len(sources)} in all; 'skldos convert' converts them to "
        "snapshots"
    )
    if len(sources) > 1 or kind == "mala":
        return "\n".join([title, *(f"  {source.path}" for source in sources)])
    return f"{title}\n{describe_snapshots(read_source(sources[0]))}"


def describe_snapshots(snapshots):
    """Return sizes, elements, energies and missing data of snapshots as text."""
    from skldos.data import SnapshotList
    from skldos.data.calculation import common_calculation
    from skldos.exceptions import SnapshotError

    snapshots = SnapshotList(snapshots)
    if not len(snapshots):
        return "no snapshots"
    table = snapshots.to_frame()
    formulas = table["formula"].value_counts(sort=False)
    lines = [
        ("snapshots", f"{len(snapshots)}"),
        ("formulas", ", ".join(f"{n} × {name}" for name, n in formulas.items())),
        ("density", _range(table["density"], "g/cm³", ".3f")),
        ("temperature", _range(table["temperature"], "K", "g")),
        ("grid", _distinct(s.grid_shape and "×".join(map(str, s.grid_shape)) for s in snapshots)),
        ("energies", _distinct(s.energy_grid and s.energy_grid.summary() for s in snapshots)),
    ]
    try:
        calculation = common_calculation(snapshots)
        for name in ("functional", "pseudopotentials", "charge"):
            lines.append((name, str(calculation[name]) if name in calculation else ""))
    except SnapshotError as error:
        lines.append(("problem", str(error)))
    references = sorted({name for s in snapshots for name in s.reference})
    lines.append(("reference", ", ".join(references)))
    for use, names in REQUIREMENTS.items():
        lines.append((f"for {use}", _missing(snapshots, names)))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {text}" for name, text in lines if text)


def _range(values, unit, digits):
    numbers = values.dropna()
    if numbers.empty:
        return ""
    low, high = (f"{end:{digits}}" for end in (numbers.min(), numbers.max()))
    note = "" if len(numbers) == len(values) else f", {len(values) - len(numbers)} without"
    return f"{low if low == high else f'{low} to {high}'} {unit}{note}"


def _distinct(texts):
    return ", ".join(sorted({text for text in texts if text}))


def _missing(snapshots, requirements):
    """Return the required data that snapshots lack."""

    def lacks(snapshot, names):
        values = (snapshot.reference.get(n, getattr(snapshot, n, None)) for n in names)
        return all(value is None for value in values)

    counts = {
        names: sum(lacks(snapshot, names.split(" or ")) for snapshot in snapshots)
        for names in requirements
    }
    lacking = [f"{name} ({n} of {len(snapshots)})" for name, n in counts.items() if n]
    return "complete" if not lacking else "lacks " + ", ".join(lacking)
