"""Self-consistent densities of silicon: crystals, vacancies, interstitials and glass.

The structures of `plan` come from molecular dynamics with the Stillinger-Weber potential, each with
its own seed. pw.x calculates each through `EspressoRecipe`. Structures and calculations are kept in
benchmarks/output/silicon, so the script continues where it stopped. The finished snapshots are then
gathered in benchmarks/output/silicon/snapshots, each with its `kind` and `name` in its `reference`.

    python -m benchmarks.potentials.data [--names crystal_8 amorphous] [--minutes 15]

With --bundle, the few snapshots of `BUNDLED` are written to the file that is bundled with the
package.

Needs pw.x of Quantum ESPRESSO with its pseudopotential Si.pz-vbc.UPF; about half an hour of one
core for all.
"""

import json
import time
from functools import partial
from pathlib import Path

import numpy as np
from ase.io import read, write

from benchmarks.common import harness
from benchmarks.potentials import _structures
from benchmarks.potentials._data import FOLDER, recipe_for

#: What comes with the package.
BUNDLED = (
    "crystal_8_300K_0",
    "crystal_8_600K_0",
    "crystal_8_900K_0",
    "strained_8_0",
    "vacancy_15_0",
    "interstitial_17_tetrahedral_3",
    "amorphous_16_0",
)
#: What is calculated a second time, with atoms moved by some 0.01 Å.
MOVED = ("crystal_8_300K_0", "vacancy_15_0", "amorphous_16_0")
#: Densities are stored in half precision, times this.
DENSITY_SCALE = 1000.0
SITES = ("tetrahedral", "hexagonal", "split")


def plan():
    """Return name, kind and maker of every structure, the most informative first."""
    entries = []

    def add(kind, name, make, *arguments, **keywords):
        entries.append((f"{kind}_{name}", kind, partial(make, *arguments, **keywords)))

    for i in range(4):
        for temperature in (100, 300, 600, 900):
            seed = 100 * temperature + i
            add(
                "crystal",
                f"8_{temperature}K_{i}",
                _structures.crystal,
                (1, 1, 1),
                temperature,
                seed,
            )
        add("strained", f"8_{i}", _structures.crystal, (1, 1, 1), 300, 10 + i, strain=0.03)
        add("amorphous", f"16_{i}", _structures.amorphous, 16, 300, 20 + i)
        add("vacancy", f"15_{i}", _structures.vacancy, (2, 1, 1), 300, 30 + i)
        add("vacancy", f"31_{i}", _structures.vacancy, (2, 2, 1), 300, 40 + i)
        add("amorphous", f"32_{i}", _structures.amorphous, 32, 300, 50 + i)
        for site in SITES:
            make = partial(_structures.interstitial, site)
            size, repeat = (17, (2, 1, 1)) if i == 3 else (33, (2, 2, 1))
            add("interstitial", f"{size}_{site}_{i}", make, repeat, 300, 60 + i)
        add("amorphous", f"24_{i}", _structures.amorphous, 24, 300, 70 + i)
    # Atoms of others, each moved a little: how steady is what is derived of them?
    for name in MOVED:
        add("moved", name, _structures.moved, partial(structure_of, name), 90)
    add("crystal", "32_600K", _structures.crystal, (2, 2, 1), 600, 80)
    add("crystal", "64_300K", _structures.crystal, (2, 2, 2), 300, 81)
    add("vacancy", "63", _structures.vacancy, (2, 2, 2), 300, 82)
    add("amorphous", "64", _structures.amorphous, 64, 300, 83)
    return entries


def structure_of(name):
    """Return a structure of the plan."""
    return next(structure(other, make) for other, _, make in plan() if other == name)


def structure(name, make):
    """Return a structure, created if not available."""
    path = FOLDER / "structures" / f"{name}.xyz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atoms = make()
        temporary = path.with_suffix(".partial")
        write(temporary, atoms, format="extxyz")
        temporary.replace(path)
    return read(path, format="extxyz")


def calculate(name, atoms, command):
    """Return the snapshot of a structure."""
    recipe = recipe_for(atoms, command)
    (snapshot,) = recipe.run([atoms], FOLDER / "runs" / name, verbose=False)
    return snapshot


def is_finished(name):
    return (FOLDER / "runs" / name / "00000" / "finished.json").exists()


def gather():
    """Save all finished snapshots in one folder, with names and kinds."""
    from skldos import SnapshotList

    snapshots = []
    for name, kind, _ in plan():
        if is_finished(name):
            (snapshot,) = SnapshotList.load(FOLDER / "runs" / name)
            density = np.asarray(snapshot.density[:], dtype=np.float32)
            reference = snapshot.reference | {"kind": kind, "name": name}
            snapshots.append(snapshot.replace(density=density, reference=reference))
    SnapshotList(snapshots).save(FOLDER / "snapshots", overwrite=True)
    print(f"{len(snapshots)} snapshots in {FOLDER / 'snapshots'}")


def bundle(path):
    """Write the snapshots of `BUNDLED` to one small file."""
    from skldos import SnapshotList

    arrays, records = {"density_scale": DENSITY_SCALE}, []
    found = SnapshotList.load(FOLDER / "snapshots")
    for snapshot in sorted(found, key=lambda s: s.reference["name"]):
        if snapshot.reference["name"] not in BUNDLED:
            continue
        i, reference = len(records), dict(snapshot.reference)
        arrays[f"forces_{i}"] = reference.pop("forces")
        arrays[f"positions_{i}"] = snapshot.atoms.positions
        arrays[f"cell_{i}"] = snapshot.atoms.cell.array
        arrays[f"density_{i}"] = (snapshot.density[:] * DENSITY_SCALE).astype(np.float16)
        records.append({"temperature": snapshot.temperature, "reference": reference})
    np.savez_compressed(path, records=json.dumps(records), **arrays)
    print(f"{len(records)} snapshots in {path}, {path.stat().st_size / 1000:.0f} kB")


def describe(name, snapshot, seconds):
    """Return one line about a snapshot."""
    neighbours = _structures.coordination(snapshot.atoms)
    forces = np.linalg.norm(snapshot.reference["forces"], axis=1)
    return (
        f"{name:28s} {snapshot.grid_shape!s:14s} {seconds:6.1f} s  "
        f"{snapshot.reference['total_energy'] / len(snapshot.atoms):9.3f} eV/atom  largest force "
        f"{forces.max():5.2f} eV/Å  coordination {neighbours.min()} to {neighbours.max()}, mean "
        f"{neighbours.mean():.2f}"
    )


def main():
    parser = harness.plain_parser(__doc__)
    parser.add_argument("--names", nargs="*", default=[""], help="beginnings of names [all]")
    parser.add_argument("--minutes", type=float, default=np.inf, help="start no more after this")
    parser.add_argument("--command", default="pw.x", help="what to run [%(default)s]")
    parser.add_argument("--bundle", type=Path, help="only write this file, of what is there")
    options = parser.parse_args()
    if options.bundle:
        bundle(options.bundle)
        return

    from skldos.exceptions import EspressoError

    begin = time.perf_counter()
    for name, _, make in plan():
        start = time.perf_counter()
        if start - begin > 60 * options.minutes:
            break
        if not name.startswith(tuple(options.names)) or is_finished(name):
            continue
        try:
            snapshot = calculate(name, structure(name, make), options.command)
        except EspressoError as error:
            print(f"{name:28s} failed: {error}", flush=True)
        else:
            print(describe(name, snapshot, time.perf_counter() - start), flush=True)
    gather()


if __name__ == "__main__":
    main()
