"""Write the tables of benchmarks/README.md from benchmarks/results/*.json.

    python benchmarks/report.py [--check]

A table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; nothing else is touched.
"""

import argparse
import json
import re
import statistics
import sys
from collections import defaultdict

import active_learning
import ados_models
from _harness import HERE, RESULTS, format_table

README = HERE / "README.md"


def mean_and_range(values, form):
    """Return `mean (lowest to highest)`, or the value alone."""
    text = format(statistics.fmean(values), form)
    if len(values) == 1:
        return text
    return f"{text} ({format(min(values), form)} to {format(max(values), form)})"


def group(rows, *keys):
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return groups


def render_descriptors(record):
    header = [
        "2Jmax",
        "variant",
        "CPU µs/point",
        "wall µs/point",
        "ratio to LAMMPS",
        "largest deviation",
        "working memory, MiB",
        "first call, s",
    ]
    rows = []
    for row in record["rows"]:
        is_peer = "speedup" not in row
        rows.append(
            [
                row["twojmax"],
                row["variant"],
                f"{row['cpu_us_per_point']:.1f}",
                f"{row['wall_us_per_point']:.1f}",
                "1" if is_peer else f"{row['speedup']:.2f}",
                "" if is_peer else f"{row['deviation']:.0e}",
                f"{row['memory_mib']:.0f}",
                "" if is_peer else f"{row['first_call_s']:.1f}",
            ]
        )
    caption = f"{record['grid']}³ points, cutoff {record['rcut']} Å."
    return caption + "\n\n" + format_table(header, rows)


def training_cells(rows):
    cells = [mean_and_range([row[key] for row in rows], ".1f") for key in ("cpu_s", "wall_s")]
    return [*cells, f"{max(row['peak_mib'] for row in rows):.0f}"]


def render_training_be2(record):
    header = [
        "variant",
        "training, CPU s",
        "wall s",
        "peak memory, MiB",
        "ratio to MALA (CPU)",
        "MSE after the last epoch",
        "MALA's own loss",
    ]
    groups = group(record["rows"], "variant")
    baseline = groups.get(("MALA",))
    rows = []
    for (variant,), of_variant in groups.items():
        ratio = ""
        if baseline:
            cpu = statistics.fmean(row["cpu_s"] for row in of_variant)
            ratio = f"{statistics.fmean(row['cpu_s'] for row in baseline) / cpu:.2f}"
        own = [row["loss_mala"] for row in of_variant if row["loss_mala"] is not None]
        rows.append(
            [
                variant,
                *training_cells(of_variant),
                ratio,
                mean_and_range([row["mse_scaled"] for row in of_variant], ".2e"),
                mean_and_range(own, ".2e") if own else "",
            ]
        )
    seeds = len({row["seed"] for row in record["rows"]})
    caption = f"{record['epochs']} epochs; mean (lowest to highest) of {seeds} seeds."
    return caption + "\n\n" + format_table(header, rows)


def kind_of(snapshot):
    """Return "933K liquid" from "Al32_933K_liquid_5"."""
    _, temperature, phase, _ = snapshot.split("_")
    return f"{temperature} {phase}"


def render_training_al32(record):
    groups = group(record["rows"], "variant")
    kinds = sorted({kind_of(name) for name in record["rows"][0]["errors_mev_per_atom"]})
    header = ["variant", "epochs", "training, CPU s", "wall s", "peak memory, MiB", *kinds, "all"]
    rows = []
    for (variant,), of_variant in groups.items():
        by_kind = []
        for kind in [*kinds, None]:
            means = [mean_absolute(row["errors_mev_per_atom"], kind) for row in of_variant]
            by_kind.append(mean_and_range(means, ".1f"))
        epochs = mean_and_range([row["epochs"] for row in of_variant], ".0f")
        rows.append([variant, epochs, *training_cells(of_variant), *by_kind])
    seeds = len({row["seed"] for row in record["rows"]})
    caption = (
        f"Mean absolute error of the band energy in meV/atom over the test snapshots of a kind; "
        f"mean (lowest to highest) of {seeds} seeds; {record['threads']} thread(s)."
    )
    return caption + "\n\n" + format_table(header, rows)


def render_large_snapshot(record):
    arrays = record["ldos_mib"] + record["descriptors_mib"]
    header = ["step", "wall s", "peak memory, MiB", "working memory, MiB", "working / arrays"]
    names = {
        "describe": "descriptors, into the cache",
        "train": "one epoch of training, scaling included",
        "score": "band-energy score",
    }
    rows = [
        [
            names[row["step"]],
            f"{row['wall_s']:.0f}",
            f"{row['peak_mib']:.0f}",
            f"{row['memory_mib']:.0f}",
            f"{row['memory_mib'] / arrays:.2f}",
        ]
        for row in record["rows"]
    ]
    caption = (
        f"{record['grid']}³ points, {record['energies']} energies: LDOS "
        f"{record['ldos_mib']:.0f} MiB, descriptors {record['descriptors_mib']:.0f} MiB (float32); "
        f"training buffer {record['buffer_mib']:.0f} MiB."
    )
    return caption + "\n\n" + format_table(header, rows)


def render_descriptor_gradient(record):
    header = [
        "2Jmax",
        "variant",
        "descriptors, CPU µs/point",
        "gradient, CPU µs/point",
        "ratio",
        "gradient, wall µs/point",
        "deviation from autograd",
        "working memory, MiB",
    ]
    rows = [
        [
            row["twojmax"],
            row["variant"],
            f"{row['forward_cpu_us_per_point']:.1f}",
            f"{row['adjoint_cpu_us_per_point']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['adjoint_wall_us_per_point']:.1f}",
            f"{row['deviation']:.0e}" if row["deviation"] else "",
            f"{row['memory_mib']:.0f}",
        ]
        for row in record["rows"]
    ]
    caption = f"{record['grid']}³ points, cutoff {record['rcut']} Å."
    return caption + "\n\n" + format_table(header, rows)


def render_total_energy_terms(record):
    names = {
        "deband": "−∫n(v_H + v_xc)",
        "hartree": "Hartree",
        "xc": "xc",
        "ewald": "Ewald",
        "minus_ts": "−TS",
        "sum": "sum",
    }
    rows = []
    for row in record["rows"]:
        largest = row["largest_difference_ev"]
        cells = [f"{largest[name]:.0e}" if name in largest else "" for name in names]
        rows.append([row["system"], row["cells"], *cells])
    caption = "Largest absolute difference from pw.x over the cells, in eV per cell."
    return caption + "\n\n" + format_table(["system", "cells", *names.values()], rows)


def render_broadening(record):
    orders = sorted({row["order"] for row in record["rows"]})
    groups = group(record["rows"], "source", "set", "width_ev")
    quantities = {"total_energy": "total free energy", "band_energy": "band energy"}
    sources = {"data": "The data", "recalculated": "Cells calculated again"}
    tables = []
    for source, title in sources.items():
        rows = []
        for (its_source, label, width), of_group in groups.items():
            for key, name in quantities.items() if its_source == source else ():
                cells = [broadening_cell(row[key]) for row in of_group]
                rows.append([label, of_group[0]["snapshots"], width, name, *cells])
        if rows:
            header = ["cells", "number", "width, eV", "energy", *(f"order {n}" for n in orders)]
            tables.append(f"{title}:\n\n{format_table(header, rows)}")
    caption = (
        "Energy of the LDOS minus that of pw.x, meV/atom: mean ± standard deviation (largest)."
    )
    return "\n\n".join([caption, *tables])


def broadening_cell(statistic):
    scatter = statistic["scatter"]
    text = f"{statistic['mean']:+.2f}" + ("" if scatter is None else f" ± {scatter:.2f}")
    return f"{text} ({statistic['largest']:.2f})"


def render_chain(record):
    header = [
        "variant",
        "descriptors in",
        "threads",
        "CPU s",
        "wall s",
        "ratio to MALA",
        "descriptors",
        "network",
        "energies",
        "gradient of descriptors",
        "peak memory, MiB",
        "band energy − MALA's, meV/atom",
    ]
    rows = []
    for row in record["rows"]:
        stages = [row["stages"].get(n) for n in ("descriptors", "network", "energies", "adjoint")]
        is_peer = row["variant"].startswith("MALA")
        rows.append(
            [
                row["variant"],
                row["dtype"],
                row["threads"],
                f"{row['cpu_s']:.2f}",
                f"{row['wall_s']:.2f}",
                "1" if is_peer else f"{row['ratio']:.1f}",
                *("" if seconds is None else f"{seconds:.2f}" for seconds in stages),
                f"{row['peak_mib']:.0f}",
                "" if is_peer else f"{row['deviation_mev_per_atom']:.0e}",
            ]
        )
    caption = f"32 atoms, {record['grid']}³ points; stages in wall seconds."
    return caption + "\n\n" + format_table(header, rows)


def render_scaling(record):
    header = ["atoms", "grid points", "wanted", "wall s", "wall ms/atom", "CPU ms/atom"]
    header += ["peak memory, MiB", "energy off by, eV/atom", "forces off by, eV/Å"]
    rows = []
    for row in record["rows"]:
        forces = row.get("forces_deviation")
        rows.append(
            [
                row["n_atoms"],
                row["n_points"],
                "energy, forces, stress" if row["forces"] else "energy",
                f"{row['wall_s']:.1f}",
                f"{1000 * row['wall_s'] / row['n_atoms']:.1f}",
                f"{1000 * row['cpu_s'] / row['n_atoms']:.1f}",
                f"{row['peak_mib']:.0f}",
                f"{row['energy_deviation_ev_per_atom']:.0e}",
                "" if forces is None else f"{forces:.0e}",
            ]
        )
    exponents = record["exponents"]
    caption = (
        f"{record['threads']} threads. CPU seconds grow as atoms to the power of "
        f"{exponents['energy']:.2f} for energies and {exponents['forces']:.2f} with forces."
    )
    return caption + "\n\n" + format_table(header, rows)


def render_energies_al32(record):
    columns = {
        "band_ldos": ("band energy, of LDOS", ".1f"),
        "total_ldos": ("total energy, of LDOS", ".1f"),
        "band_dft": ("band energy, of pw.x", ".1f"),
        "total_dft": ("total energy, of pw.x", ".1f"),
        "density": ("density, %", ".2f"),
        "force_rmse": ("forces, eV/Å", ".2f"),
        "force_rms": ("pw.x's forces, eV/Å", ".2f"),
        "force_correlation": ("correlation", ".2f"),
    }
    kinds = sorted({kind_of(row["snapshot"]) for row in record["rows"]})
    rows = []
    for (model,), of_model in group(record["rows"], "model").items():
        for kind in [*kinds, "all"]:
            some = [row for row in of_model if kind in (kind_of(row["snapshot"]), "all")]
            cells = []
            for key, (_, form) in columns.items():
                of_seeds = [
                    statistics.fmean(row[key] for row in of_seed)
                    for of_seed in group(some, "seed").values()
                ]
                cells.append(mean_and_range(of_seeds, form))
            rows.append([model, kind, *cells])
    seeds = len({row["seed"] for row in record["rows"]})
    caption = (
        "Mean absolute errors of energies in meV/atom, and of forces the root mean square one; "
        f"mean (lowest to highest) of {seeds} seeds."
    )
    header = ["model", "snapshots", *(title for title, _ in columns.values())]
    return caption + "\n\n" + format_table(header, rows)


def render_dynamics(record):
    header = ["time step, fs", "steps", "s per step", "forces against differences, relative"]
    header += ["fluctuation, meV/atom", "drift, meV/atom per ps"]
    rows = [
        [
            f"{row['step_fs']:g}",
            row["steps"],
            f"{row['seconds_per_step']:.2f}",
            f"{row['gradient_error']:.0e}",
            f"{row['fluctuation_mev_per_atom']:.4f}",
            f"{row['drift_mev_per_atom_ps']:+.3f}",
        ]
        for row in record["rows"]
    ]
    return f"{record['rows'][0]['atoms']} atoms, 18³ points.\n\n" + format_table(header, rows)


def render_ados_models(record):
    n_snapshots = len({row["snapshot"] for row in record["rows"]})
    caption = (
        f"{n_snapshots} snapshots. Mean absolute errors of band energies in meV/atom, by kind and "
        "of all; the largest one; the mean error of the DOS."
    )
    return caption + "\n\n" + ados_models.table(record["rows"])


def render_active_learning(record):
    found = record["uncertainties"]
    return "\n\n".join(
        [
            "Folds of three snapshots; std as the model gives it, in meV/atom:",
            active_learning.calibration_table(found),
            "Models of solids alone, asked about solids and liquids:",
            active_learning.separation_table(found),
            "Mean error in meV/atom with so many known snapshots, ± 95 % over the random starts; "
            "*area* is the mean over the curve:",
            active_learning.curve_table(record["rows"]),
        ]
    )


def mean_absolute(errors, kind=None):
    chosen = [abs(error) for name, error in errors.items() if kind in (None, kind_of(name))]
    return statistics.fmean(chosen)


RENDERERS = {
    "descriptors": render_descriptors,
    "training_be2": render_training_be2,
    "training_al32": render_training_al32,
    "ados_models": render_ados_models,
    "active_learning": render_active_learning,
    "large_snapshot": render_large_snapshot,
    "descriptor_gradient": render_descriptor_gradient,
    "total_energy_terms": render_total_energy_terms,
    "broadening": render_broadening,
    "chain": render_chain,
    "scaling": render_scaling,
    "energies_al32": render_energies_al32,
    "dynamics": render_dynamics,
}


def describe(record):
    machine = record["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    text = (
        f"{record['date']}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, load {machine['load']}; "
        f"Python {machine['python']}, {versions}"
    )
    if machine["peer_versions"]:
        peers = [f"{n} {v}" for n, v in machine["peer_versions"].items()]
        text += "; peers: " + ", ".join(peers)
    return f"*{text}.*"


def render(name):
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return f"Not run yet: `python benchmarks/{name}.py`."
    record = json.loads(path.read_text())
    return RENDERERS[name](record) + "\n\n" + describe(record)


def updated(text):
    for name in RENDERERS:
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if not pattern.search(text):
            sys.exit(f"README.md has no section between the markers of {name}")
        table = render(name)
        text = pattern.sub(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of date")
    arguments = parser.parse_args()
    before = README.read_text()
    after = updated(before)
    if arguments.check:
        sys.exit("README.md is out of date: run benchmarks/report.py" if after != before else 0)
    README.write_text(after)


if __name__ == "__main__":
    main()
