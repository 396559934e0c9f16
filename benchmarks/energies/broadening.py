"""Errors of energies from the broadening of an LDOS, and after sharpening.

Total free energy and band energy of the DFT LDOS minus those of the calculation it comes from, in
meV/atom: no model is involved. The LDOS of the data has a Gaussian width of 0.4 eV.
`skldos.physics.sharpening_matrix` sharpens it to orders 0 (not at all) to 4. If pw.x is there, four
of the Al4 cells are calculated again, for the LDOS at widths of 0.4, 0.2 and 0.1 eV, with energies
half a width apart. Each cell takes about a minute and is kept in
benchmarks/output/energies/broadening.

    python -m benchmarks.energies.broadening
    python -m benchmarks.energies.broadening --sets Al4 --cells 2 --no-widths    # a quick look
    python -m benchmarks.energies.broadening --draw    # the picture, from kept results
"""

import shutil
import statistics
import warnings
from pathlib import Path

from benchmarks.common import harness, tables
from benchmarks.common.snapshots import read_snapshot
from benchmarks.common.tables import group

ORDERS = range(5)
WIDTHS = (0.4, 0.2, 0.1)
RECALCULATED = [f"Al4_{t}K_{i}" for t in (298, 933) for i in range(2)]
PSEUDO_DIR = Path("/usr/share/espresso/pseudo")
REFERENCES = ("total_energy", "band_energy")
FIGURE = harness.IMAGES / "broadening.png"


def errors_of(snapshot):
    """Return, for every order, the errors of total and band energy in meV/atom."""
    from skldos.datasets import load_aluminium_pseudopotentials
    from skldos.physics import sharpening_matrix, total_energy

    grid = snapshot.energy_grid
    state = {"temperature": snapshot.temperature, "n_electrons": snapshot.n_electrons}
    errors = []
    for order in ORDERS:
        sharpen = sharpening_matrix(
            grid.values, broadening=grid.broadening, kernel=grid.kernel, order=order
        )
        energy = total_energy(
            snapshot.ldos @ sharpen.T,
            grid.values,
            atoms=snapshot.atoms,
            pseudopotentials=load_aluminium_pseudopotentials(),
            **state,
        )
        found = {"total_energy": energy.total, "band_energy": energy.band}
        scale = 1000 / len(snapshot.atoms)
        errors.append({n: scale * (found[n] - snapshot.reference[n]) for n in REFERENCES})
    return errors


def make_rows(label, width, errors, source):
    """Return one row per order from {snapshot: errors of every order}."""
    rows = []
    for order in ORDERS:
        row = {"set": label, "width_ev": width, "order": order, "source": source}
        row["snapshots"] = len(errors)
        for name in REFERENCES:
            values = [of_orders[order][name] for of_orders in errors.values()]
            row[name] = {
                "mean": statistics.fmean(values),
                "scatter": statistics.stdev(values) if len(values) > 1 else None,
                "largest": max(map(abs, values)),
                "of_snapshots": dict(zip(errors, values, strict=True)),
            }
        harness.show(row | {name: row[name]["mean"] for name in REFERENCES})
        rows.append(row)
    return rows


def label_of(name):
    """Return "Al32 933 K liquid" from "Al32_933K_liquid_5", and the like of Al4."""
    size, temperature, *phase = name.split("_")[:-1]
    return " ".join([size, temperature.replace("K", " K"), *phase])


def of_data(data, sets, cells):
    """Return the rows of the data as they are, at their one width."""
    kinds = {}
    for size in sets:
        for path in sorted((data / size.lower()).glob("*.npz")):
            kinds.setdefault(label_of(path.stem), []).append(path)
    rows = []
    for label, paths in kinds.items():
        snapshots = {path.stem: read_snapshot(path) for path in paths[:cells]}
        width = next(iter(snapshots.values())).energy_grid.broadening
        errors = {name: errors_of(snapshot) for name, snapshot in snapshots.items()}
        rows += make_rows(label, width, errors, "data")
    return rows


def of_widths(data, pseudo_dir):
    """Return the rows of cells that are calculated again, at every width."""
    from skldos import EnergyGrid
    from skldos.datasets import aluminium_recipe
    from skldos.io.espresso.wavefunctions import wavefunction_ldos

    folder = harness.output_of(__file__)
    recipe = aluminium_recipe(pseudo_dir=pseudo_dir, keep_files=True)
    before = [read_snapshot(data / "al4" / f"{name}.npz") for name in RECALCULATED]
    calculated = recipe.run(before, folder)
    rows = []
    for width in WIDTHS:
        # From -6 to 10 eV, as the data.
        energies = EnergyGrid.regular(
            -6.0, width / 2, round(32 / width) + 1, broadening=width, kernel="gaussian"
        )
        errors = {}
        for i, (name, snapshot) in enumerate(zip(RECALCULATED, calculated, strict=True)):
            ldos = wavefunction_ldos(folder / f"{i:05d}" / "skldos.save", energies)
            label = label_of(name)
            snapshot = snapshot.replace(ldos=ldos, energies=energies)
            errors.setdefault(label, {})[name] = errors_of(snapshot)
        for label, of_label in errors.items():
            rows += make_rows(label, width, of_label, "recalculated")
    return rows


# --- figure --------------------------------------------------------------------------------------


def draw(rows, path):
    """Draw the mean absolute error of the total energy against order and against width."""
    plt = harness.pyplot()
    figure, axes = plt.subplots(
        1, 2, figsize=(9.2, 3.8), dpi=120, layout="constrained", sharey=True
    )
    draw_orders([row for row in rows if row["source"] == "data"], axes[0])
    draw_widths([row for row in rows if row["source"] == "recalculated"], axes[1])
    axes[0].set_ylabel("mean |error| of total energy (meV/atom)")
    for ax in axes:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.title.set_fontsize("medium")
        if ax.lines:
            ax.legend(frameon=False, fontsize="small")
    figure.savefig(path)
    print(f"wrote {path}")


def mean_absolute(rows):
    values = [v for row in rows for v in row["total_energy"]["of_snapshots"].values()]
    return statistics.fmean(map(abs, values))


def draw_orders(rows, ax):
    """Draw one line per kind of cell; crystals below 900 K are one kind."""
    from skldos.plotting.axes import colors

    cold = "Al32 100 to 500 K solid"
    kinds = {}
    for row in rows:
        size, temperature = row["set"].split()[:2]
        kind = cold if size == "Al32" and int(temperature) < 900 else row["set"]
        kinds.setdefault(kind, []).append(row)
    for (kind, of_kind), color in zip(kinds.items(), colors(len(kinds)), strict=True):
        means = [mean_absolute([r for r in of_kind if r["order"] == order]) for order in ORDERS]
        ax.plot(list(ORDERS), means, color=color, marker="o", markersize=4, label=kind)
    ax.set(xlabel="order of sharpening", xticks=list(ORDERS), title="width 0.4 eV")


def draw_widths(rows, ax):
    from skldos.plotting.axes import colors

    orders = sorted({row["order"] for row in rows})
    for order, color in zip(orders, colors(len(orders)), strict=True):
        of_order = [row for row in rows if row["order"] == order]
        widths = sorted({row["width_ev"] for row in of_order})
        means = [mean_absolute([r for r in of_order if r["width_ev"] == width]) for width in widths]
        ax.loglog(widths, means, color=color, marker="o", markersize=4, label=f"order {order}")
    ax.set(xlabel="width of the LDOS (eV)", title="four Al4 cells calculated again")
    ax.set_xticks(WIDTHS, [f"{width:g}" for width in WIDTHS])
    ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)


def render(record):
    """Return the tables of a record."""
    orders = sorted({row["order"] for row in record["rows"]})
    groups = group(record["rows"], "source", "set", "width_ev")
    quantities = {"total_energy": "total free energy", "band_energy": "band energy"}
    sources = {"data": "The data", "recalculated": "Cells calculated again"}
    parts = []
    for source, title in sources.items():
        rows = []
        for (its_source, label, width), of_group in groups.items():
            for key, name in quantities.items() if its_source == source else ():
                cells = [_cell(row[key]) for row in of_group]
                rows.append([label, of_group[0]["snapshots"], width, name, *cells])
        if rows:
            header = ["cells", "number", "width, eV", "energy", *(f"order {n}" for n in orders)]
            parts.append(f"{title}:\n\n{tables.format_table(header, rows)}")
    caption = (
        "Energy of the LDOS minus that of pw.x, meV/atom: mean ± standard deviation (largest)."
    )
    return "\n\n".join([caption, *parts])


def _cell(statistic):
    scatter = statistic["scatter"]
    text = f"{statistic['mean']:+.2f}" + ("" if scatter is None else f" ± {scatter:.2f}")
    return f"{text} ({statistic['largest']:.2f})"


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--sets", nargs="*", choices=("Al4", "Al32"), default=["Al4", "Al32"])
    parser.add_argument("--cells", type=int, help="of each kind at most; all by default")
    parser.add_argument("--no-widths", action="store_true", help="do not calculate cells again")
    parser.add_argument(
        "--pseudo-dir", type=Path, default=PSEUDO_DIR, help="of Quantum ESPRESSO [%(default)s]"
    )
    parser.add_argument("--draw", action="store_true", help="only draw what was written last")
    arguments = parser.parse_args()
    if arguments.draw:
        draw(harness.read_result(__file__)["rows"], FIGURE)
        return
    # The twenty bands of the data end below the reach of their last energies.
    warnings.filterwarnings("ignore", message="the highest of the")
    rows = of_data(arguments.data, arguments.sets, arguments.cells)
    if not arguments.no_widths:
        if shutil.which("pw.x"):
            rows += of_widths(arguments.data, arguments.pseudo_dir)
        else:
            print("no pw.x: no other widths")
    if not arguments.no_write:
        harness.write_result(__file__, rows)
        draw(rows, FIGURE)


if __name__ == "__main__":
    main()
