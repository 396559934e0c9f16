"""``skldos evaluate``: errors of a model's predictions."""

from pathlib import Path

from skldos.cli.arguments import add_data, add_output, add_pseudopotentials, check_target, integer

HELP = "compare a model with snapshots that it was not trained on"
DESCRIPTION = (
    "Predict snapshots with a saved model and compare with their calculations. Errors are in "
    "meV (Fermi level) and meV/atom (energies)."
)
EXAMPLES = (
    "skldos evaluate model.skldos test-snapshots",
    "skldos evaluate model.skldos test-snapshots --reference dft --sharpen 2 -o errors.csv",
)


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="file that 'skldos fit' wrote")
    add_data(parser)
    add_output(parser, "CSV file of the table")
    add_pseudopotentials(parser)
    parser.add_argument("--density", action="store_true", help="also compare electron densities")
    parser.add_argument(
        "--reference", choices=("ldos", "dft"), default="ldos",
        help="compare with energies of the true LDOS, or of the calculation (default: ldos)",
    )  # fmt: skip
    parser.add_argument(
        "--sharpen", metavar="ORDER", type=integer(low=0), default=0,
        help="order to which the broadening of the LDOS is undone (default: %(default)s)",
    )  # fmt: skip


def run(options):
    """Print the table of errors."""
    from skldos import evaluate
    from skldos.cli.data import load_data, load_model, load_pseudopotentials
    from skldos.cli.tables import as_text, mean_errors, write

    check_target(options.output, options.overwrite)
    model, snapshots = load_model(options.model), load_data(options.data)
    table = evaluate(
        model,
        snapshots,
        pseudopotentials=load_pseudopotentials(options.pseudo),
        density=options.density,
        reference=options.reference,
        sharpen=options.sharpen,
    )
    print(f"{as_text(table)}\n\n{mean_errors(table)}")
    if options.output is not None:
        write(table, options.output, options.overwrite)
        print(f"written: {options.output}")
