"""Create the bundled data sets from finished snapshots.

    python -m benchmarks.data.package [--sets SET ...] [--output FOLDER ...] [--data FOLDER]

Uses all snapshots that `make.py` has finished in the folders `--output` (including those in
`bundles/`), and the older snapshots with an LDOS, `al32` and `almg` in the folder `--data`, whose
LDOS is partitioned here. Writes `aluminium32.npz`, `aluminium_magnesium.npz` and
`silicon_carbide.npz` beside the other data of `skldos.datasets`, with their checksums; run it again
when there are more. `--check` only compares existing files with those that would be written.

A file has, for all snapshots, `n_atoms`, `cell`, `temperature`, `n_electrons`, the energies of the
calculation, `name`, `split`, `kind`; for all atoms one after the other, `numbers`, `positions`,
`forces` and `ados`, in steps of `ados_step` from `ados_low` (16 bits: an error of at most 8e-6 of
the largest value); and `energies`, `broadening`, `kernel`, `sigma` once. It has `stress` if all
snapshots have one.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

from benchmarks.common import harness
from benchmarks.data import make

TARGET = harness.ROOT / "skldos" / "datasets" / "data"
FILES = {
    "al32": "aluminium32.npz",
    "almg": "aluminium_magnesium.npz",
    "sic": "silicon_carbide.npz",
}
#: Sets that began with snapshots that have an LDOS.
WITH_OLDER = ("al32", "almg")
SCALARS = (
    *("temperature", "n_electrons", "fermi_energy", "band_energy", "total_energy", "minus_ts"),
    *("one_electron", "hartree", "xc", "ewald", "ecutwfc"),
)
BY_ATOM = ("numbers", "positions", "forces")


def collected(name, outputs, data):
    """Return the snapshots of a set as dicts of arrays, older ones first, others as planned.

    The first of them are thus a set for themselves, with as many liquids as solids.
    """
    found = make.found(name, outputs)
    before = [older(path) for path in sorted((data / name).glob("*.npz"))]
    if name in WITH_OLDER and not before:
        sys.exit(f"{data / name} has no snapshots; say with --data where the older ones are")
    planned = [job.name for job in make.plan() if job.set == name]
    return before + [found[key] for key in planned if key in found]


def older(path):
    """Return an older snapshot, its LDOS partitioned as `make.py` does."""
    from ase import Atoms

    from skldos import ADOSDecomposer, EnergyGrid, Snapshot

    with np.load(path) as file:
        arrays = dict(file)
    atoms = Atoms(arrays["numbers"], arrays["positions"], cell=arrays["cell"], pbc=True)
    ldos = arrays.pop("ldos").astype(np.float32) / np.float32(arrays.pop("ldos_scale"))
    grid = EnergyGrid(arrays["energies"], broadening=make.BROADENING, kernel="gaussian")
    snapshot = Snapshot(atoms, energies=grid, ldos=ldos)
    (ados,) = ADOSDecomposer(sigma=make.SIGMA, n_jobs=1).fit_transform([snapshot])
    print(f"{path.stem}: partitioned", flush=True)
    return arrays | {
        "ados": ados,
        "temperature": arrays.get("temperature", 933.0),
        "name": path.stem,
        "split": "train",  # they took part in many choices
    }


def kind_of(name):
    """Return the properties of a snapshot from its name."""
    parts = {"liquid": "liquid", "solid": "solid", "SiC": "compound"}
    return next((kind for part, kind in parts.items() if part in name), "alloy")


def packed(snapshots):
    """Return one dict of arrays for all snapshots of a set."""
    first = snapshots[0]
    for snapshot in snapshots:
        assert np.allclose(snapshot["energies"], first["energies"], atol=1e-9), snapshot["name"]
    ados = np.concatenate([snapshot["ados"] for snapshot in snapshots]).astype(float)
    low, step = ados.min(), np.ptp(ados) / (2**16 - 1)
    arrays = {
        "n_atoms": np.array([len(snapshot["numbers"]) for snapshot in snapshots], np.int16),
        "name": np.array([str(snapshot["name"]) for snapshot in snapshots]),
        "split": np.array([str(snapshot["split"]) for snapshot in snapshots]),
        "kind": np.array([kind_of(str(snapshot["name"])) for snapshot in snapshots]),
        "cell": np.stack([snapshot["cell"] for snapshot in snapshots]),
        "energies": first["energies"],
        "broadening": make.BROADENING,
        "kernel": "gaussian",
        "sigma": make.SIGMA,
        "ados": np.rint((ados - low) / step).astype(np.uint16),
        "ados_low": low,
        "ados_step": step,
    }
    arrays |= {k: np.array([float(s[k]) for s in snapshots]) for k in SCALARS}
    arrays |= {k: np.concatenate([s[k] for s in snapshots]) for k in BY_ATOM}
    if all("stress" in snapshot for snapshot in snapshots):
        arrays["stress"] = np.stack([snapshot["stress"] for snapshot in snapshots])
    arrays["numbers"] = arrays["numbers"].astype(np.uint8)
    arrays["forces"] = arrays["forces"].astype(np.float32)
    return arrays


def write(arrays, path):
    """Write a file and its checksum."""
    make._write(path, arrays)
    sums = path.with_name("SHA256SUMS")
    lines = [line for line in sums.read_text().splitlines() if not line.endswith(f" {path.name}")]
    lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
    sums.write_text("\n".join(sorted(lines, key=lambda line: line.split()[1])) + "\n")
    n = len(arrays["n_atoms"])
    print(f"{path}: {n} snapshots, {path.stat().st_size / n / 1000:.1f} kB each")


def main():
    parser = harness.plain_parser(__doc__)
    default = [make.HERE / "output"]
    parser.add_argument("--sets", nargs="*", default=[*FILES], choices=FILES, help="which sets")
    parser.add_argument("--output", type=Path, nargs="*", default=default, help="finished sets")
    parser.add_argument("--data", type=Path, default=harness.DATA, help="folder of the older data")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    differing = 0
    for name, file in FILES.items():
        if name not in options.sets:
            continue
        arrays = packed(collected(name, options.output, options.data))
        if options.check:
            with np.load(TARGET / file) as there:
                same = there["name"].tolist() == arrays["name"].tolist()
            print(f"{file}: {'the same snapshots' if same else 'others than there could be'}")
            differing += not same
        else:
            write(arrays, TARGET / file)
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
