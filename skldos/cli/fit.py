"""``skldos fit``: cross-validate a model, fit it to all snapshots and save it."""

from pathlib import Path

from skldos.cli.arguments import add_data, add_output, add_pseudopotentials, check_target, integer

HELP = "cross-validate a model, fit it to all snapshots and save it"
DESCRIPTION = (
    "Predict every snapshot with a model trained on others, print the errors, fit the model to "
    "all snapshots and save it with these errors on its card. MODEL is one of the "
    "recommended models (atoms, grid, potential), or a pipeline in a TOML or Python file."
)
EXAMPLES = (
    "skldos fit atoms snapshots -o model.skldos",
    "skldos fit grid snapshots --set twojmax=8 max_epochs=100 --cv 3",
    "skldos fit pipeline.toml aluminium",
)
#: Number of snapshots that cross-validation takes: models leave out one of those they learn from.
MIN_SNAPSHOTS = 3


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument(
        "model", metavar="MODEL", help="atoms, grid, potential, or a file *.toml or *.py"
    )
    add_data(parser)
    add_output(parser, "file of the model", Path("model.skldos"))
    parser.add_argument(
        "--cv", metavar="K", type=integer(low=0), default=5,
        help="folds of the cross-validation, each with all temperatures; 0: none (default: 5)",
    )  # fmt: skip
    parser.add_argument(
        "--set", metavar="NAME=VALUE", nargs="+",
        help="arguments of the recommended model, or parameters of the pipeline",
    )  # fmt: skip
    add_pseudopotentials(parser)
    parser.add_argument(
        "--cache", metavar="DIR", type=Path, help="folder in which to cache descriptors"
    )
    parser.add_argument(
        "--random-state", metavar="SEED", type=integer(low=0, high=2**32 - 1), default=0,
        help="seed of the training (default: %(default)s)",
    )  # fmt: skip


def run(options):
    """Cross-validate, fit and save a model."""
    import skldos
    from skldos.cli.data import load_data, load_pseudopotentials
    from skldos.cli.pipelines import make_model
    from skldos.cli.validation import cross_validated

    check_target(options.output, options.overwrite)
    memory = None if options.cache is None else str(options.cache)
    model = make_model(options.model, options.set, memory=memory, random_state=options.random_state)
    snapshots = load_data(options.data)
    pseudopotentials = load_pseudopotentials(options.pseudo, options.data)
    print(f"{len(snapshots)} snapshots, the first {snapshots[0]}", flush=True)
    table = None
    if options.cv and len(snapshots) < MIN_SNAPSHOTS:
        print(
            f"no cross-validation: it takes {MIN_SNAPSHOTS} snapshots, got {len(snapshots)}",
            flush=True,
        )
    elif options.cv:
        table = cross_validated(model, snapshots, options.cv, pseudopotentials)
        print(summary(table), flush=True)
    model.fit(snapshots)
    skldos.save(model, options.output, errors=table, overwrite=options.overwrite)
    print(f"written: {options.output}")


def summary(table):
    """Return the errors of all snapshots and their means as text."""
    from skldos.cli.tables import as_text, error_columns, mean_errors

    shown = [name for name in ("name", "temperature") if name in table]
    return (
        f"{as_text(table[[*shown, *error_columns(table)]])}\n\n"
        f"each snapshot is predicted by a model trained on others; {mean_errors(table)}"
    )
