"""Trained on small cells, asked about larger ones: energies, forces, Fermi levels and DOS.

The recommended models of atoms (`models.potential`, `models.atoms`, settings as they are) learn
from cells of one size and are tested on larger ones, calculated on equivalent meshes of k points:

  4 → 32     14 crystals of four atoms at 298 and 933 K (8×8×8 k points, beside the repository);
             tested on the bundled 32 atoms (4×4×4), crystals and, far outside, liquids
  32 → 108   the bundled cells of 32 atoms (4×4×4 k points: 8×8×8 of the cubic cell); tested on the
             set `size` (2×2×2: 6×6×6), as far as it is made

*Noise of the labels*: the same 32 atoms with other k points, minus 4×4×4: with 3×3×3, which is
equivalent to 2×2×2 for 108 atoms, and with 4×4×4 shifted by half a step, which is as dense.

Errors of energies are in meV/atom at the electronic temperature of the cells: mean (signed) and
mean absolute; Fermi levels likewise in meV. Those of the DOS are integrals of |ΔD| up to 1 eV above
the Fermi level, by the number of electrons.

    python -m benchmarks.dynamics.size [--output FOLDER ...]

FOLDER holds what `benchmarks.data.make` has made of the set size and is not bundled.
"""

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.common.snapshots import read_snapshot
from benchmarks.common.splits import paths_of
from benchmarks.data import make
from benchmarks.dynamics import _data as data

#: How far above the Fermi level densities of states are compared, in eV.
ABOVE = 1.0


def kind(snapshot):
    """Return phase and temperature: "solid, 933 K"."""
    phase = "liquid" if "liquid" in snapshot.name else "solid"
    return f"{phase}, {snapshot.temperature:.0f} K"


def fitted(snapshots):
    """Return the potential and the DOS model of some snapshots."""
    from skldos import models

    return models.potential().fit(snapshots), models.atoms().fit(snapshots)


def transfer_rows(name, models, snapshots):
    """Yield the errors on snapshots of a larger size, by kind."""
    from skldos import evaluate, predict_dos

    for each in dict.fromkeys(kind(s) for s in snapshots):
        some = [s for s in snapshots if kind(s) == each]
        free, states = evaluate(models[0], some), evaluate(models[1], some)
        dos = predict_dos(models[1], some)
        yield {
            "part": "transfer",
            "name": name,
            "kind": each,
            "n": len(some),
            **both("free", free["total_energy_error"]),
            **both("band", states["band_energy_error"]),
            **both("fermi", states["fermi_level_error"]),
            "forces": float(np.sqrt(np.mean(free["forces_error"] ** 2))),
            "rms": data.rms([s.reference["forces"] for s in some]),
            "dos": float(np.mean([dos_error(d, s) for d, s in zip(dos, some, strict=True)])),
        }


def both(name, errors):
    """Return the mean and the mean absolute value of errors."""
    return {f"{name}_mean": float(np.mean(errors)), name: float(np.mean(np.abs(errors)))}


def dos_error(dos, snapshot, true=None):
    """Return the integral of |ΔD| up to a little above the Fermi level, by the electrons."""
    energies = np.asarray(snapshot.energies)
    true = snapshot.dos() if true is None else true
    inside = energies < snapshot.reference["fermi_energy"] + ABOVE
    return float(np.trapezoid(np.abs(dos - true)[inside], energies[inside]) / snapshot.n_electrons)


def noise_rows(sizes, al32):
    """Yield what another mesh of k points changes of the same 32 atoms."""
    for name, other in sizes.items():
        if not name.startswith("Al32_"):
            continue
        _, phase, temperature, number, _ = name.split("_")
        known = al32[f"{phase}_{temperature}_train_{number}"]
        assert np.allclose(known["positions"], other["positions"], atol=1e-7), name
        n = len(known["numbers"])
        changes = {key: float(other[key] - known[key]) for key in ("total_energy", "band_energy")}
        yield {
            "part": "noise",
            "name": name,
            "free": 1e3 * changes["total_energy"] / n,
            "band": 1e3 * changes["band_energy"] / n,
            "fermi": 1e3 * float(other["fermi_energy"] - known["fermi_energy"]),
            "forces": data.rms([other["forces"] - known["forces"]]),
            "dos": dos_error(other["dos"], data.read(known, name), known["dos"]),
        }


def render(record):
    """Return the tables as Markdown."""
    parts = {key[0]: rows for key, rows in tables.group(record["rows"], "part").items()}
    names = {
        "free": "free energy (meV/atom)",
        "band": "band energy (meV/atom)",
        "fermi": "Fermi level (meV)",
    }
    transfer = {"atoms": "{name}", "tested on": "{kind}", "snapshots": "{n}"}
    for key, title in names.items():
        transfer[f"{title}: mean, MAE"] = f"{{{key}_mean:+.1f}}, {{{key}:.1f}}"
    noise = {"snapshot": "{name}"} | {t: f"{{{k}:+.1f}}" for k, t in names.items()}
    transfer |= {"forces (eV/Å, RMSE)": "{forces:.3f}", "forces themselves": "{rms:.2f}"}
    noise["forces (eV/Å, RMS)"] = "{forces:.4f}"
    for columns in (transfer, noise):
        columns["DOS (%)"] = lambda row: f"{100 * row['dos']:.1f}"
    text = [tables.column_table(transfer, parts["transfer"])]
    if "noise" in parts:
        text += [
            "Noise of the labels: other k points of 32 atoms, minus 4×4×4:",
            tables.column_table(noise, parts["noise"]),
        ]
        text += [
            "32 → 108, mean errors plus what 3×3×3 instead of 4×4×4 changes in 32 atoms of the "
            "same phase (with its standard error): what is left for the model and the size:",
            tables.column_table(
                {"tested on": "{kind}"} | {t: f"{{{k}}}" for k, t in names.items()},
                left(parts["transfer"], parts["noise"], names),
            ),
        ]
    return "\n\n".join(text)


def left(transfer, noise, names):
    """Yield the mean errors in 108 atoms without those of the mesh of k points of the labels."""
    for row in transfer:
        if row["name"] != "32 → 108":
            continue
        phase = row["kind"].partition(",")[0]
        same = [r for r in noise if phase in r["name"] and r["name"].endswith("3x3x3")]
        found = {"kind": row["kind"]}
        for key in names:
            changes = np.array([r[key] for r in same])
            error = changes.std(ddof=1) / np.sqrt(len(changes))
            found[key] = f"{row[f'{key}_mean'] + changes.mean():+.1f} ± {error:.1f}"
        yield found


def main():
    parser = data.parser(__doc__)
    arguments = parser.parse_args()
    from skldos.datasets import load_aluminium

    small = [read_snapshot(path) for path in paths_of(arguments.data, "al4")]
    medium = load_aluminium(n_atoms=32)[:30]  # the 21 older ones, and nine more
    sizes = make.found("size", arguments.output)
    rows = [*transfer_rows("4 → 32", fitted(small), medium)]
    large = [data.read(a, name) for name, a in sizes.items() if name.startswith("Al108")]
    if large:
        rows += transfer_rows("32 → 108", fitted(medium), large)
    rows += noise_rows(sizes, make.found("al32", arguments.output))
    for row in rows:
        harness.show(row)
    if not arguments.no_write:
        harness.write_result(__file__, rows, sizes=sorted(sizes))


if __name__ == "__main__":
    main()
