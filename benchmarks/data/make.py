"""Density-functional snapshots without fields: atoms, densities of states, energies, forces.

Every snapshot is calculated with pw.x through `skldos.datasets.EspressoRecipe`, immediately reduced
to the data for models of atoms (the LDOS decomposed among them, no wavefunctions) and stored as one
small .npz file, output/<set>/<name>.npz. Finished snapshots are skipped, so you can stop the
program at any time and start it again. The sets alternate according to the shares of time in
`SHARES`.

    python -m benchmarks.data.make list             what there is to do, and how
    python -m benchmarks.data.make run              calculate, one after the other
    python -m benchmarks.data.make status           how many of each set are there, at what cost
    python -m benchmarks.data.make check            laws that the finished ones must obey
    python -m benchmarks.data.make bundle           one file for each set
    python -m benchmarks.data.make restore          the files of the bundles, one for each snapshot

Units are eV, Å and K. In every file:

- `numbers`, `positions`, `cell` (rows), `temperature` (electronic), `n_electrons`;
- `energies`, `broadening`, `kernel` of the DOS; `dos` (n_energies,) and `ados` (n_atoms,
  n_energies) in 1/eV, the latter partitioned by Gaussians of width `sigma`;
- `fermi_energy`, `band_energy`, `total_energy` (the free energy E − TS, pw.x's "!"), `minus_ts`,
  `one_electron`, `hartree`, `xc`, `ewald`, `functional`;
- `forces` (n_atoms, 3) and `stress` (6,) as ASE has it: xx, yy, zz, yz, xz, xy in eV/Å³,
  negative under pressure;
- `eigenvalues` (n_k, n_bands) in eV and `weights` (n_k,), whose sum is 2;
- `ecutwfc`, `ecutrho`, `conv_thr` in Ry, `kpts`, `k_shift`, `symmetry`, `pseudopotentials`,
  `code`, and `set`, `name`, `split`, `order` (of `structures.order`), `seconds`.

Needs pw.x of Quantum ESPRESSO with the pseudopotentials of Debian's quantum-espresso-data; with
libopenblas0-serial beside it pw.x is several times faster.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import tempfile
import time
import traceback
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.data import structures

#: Where snapshots are kept while they are made.
HERE = Path(__file__).resolve().parents[1] / "output" / "data"
BUNDLES = Path(__file__).with_name("bundles")
PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")
#: Part of the time that each set gets while none is complete.
SHARES = {
    "al32": 0.40,
    "almg": 0.25,
    "eos": 0.05,
    "hot": 0.05,
    "sic": 0.05,
    "size": 0.08,
    "strain": 0.12,
}
#: Width of the Gaussians that part the LDOS among the atoms, in Å.
SIGMA = 1.3
#: Of the kernel exp(−(x/σ)²)/(σ√π), in eV.
BROADENING = 0.4
# Names in a snapshot's reference that are kept as they are.
REFERENCE = (
    "fermi_energy",
    "band_energy",
    "total_energy",
    "minus_ts",
    "one_electron",
    "hartree",
    "xc",
    "ewald",
    "forces",
    "ecutwfc",
    "ecutrho",
    "functional",
)
# CODATA 2018, as pw.x has them
HARTREE, BOHR, BOLTZMANN = 27.211386245988, 0.529177210903, 8.617333262e-5
MAGNESIUM_ORDER = (4, 2, 6, 0, 8, 1, 7, 3, 5)


@dataclass(frozen=True)
class Job:
    """A snapshot to calculate: its atoms and settings."""

    set: str
    name: str
    atoms: Callable
    temperature: float
    split: str = "train"
    kpts: tuple = (4, 4, 4)
    k_shift: tuple = (0, 0, 0)
    ecutwfc: float = 12.0
    energies: tuple = (-6.0, 0.2, 81)
    n_bands: int | Callable | None = None
    nosym: bool = True

    def recipe(self, atoms):
        """Return the recipe, which leaves the save directory for the reduction."""
        from skldos import EnergyGrid
        from skldos.datasets import EspressoRecipe

        return EspressoRecipe(
            POTENTIALS[self.set],
            energies=EnergyGrid.regular(*self.energies, broadening=BROADENING, kernel="gaussian"),
            ecutwfc=self.ecutwfc,
            kpts=self.kpts,
            k_shift=self.k_shift,
            temperature=self.temperature,
            n_bands=self.n_bands(atoms) if callable(self.n_bands) else self.n_bands,
            pseudo_dir=PSEUDOPOTENTIALS,
            command=_command(),
            input_data={
                "control": {"tstress": True},
                "system": {"nosym": self.nosym},
                # The way to the same density: in the liquid 9 steps instead of 15.
                "electrons": {"mixing_mode": "local-TF"},
            },
            keep_files=True,
        )


_AL = {"Al": "Al.pz-vbc.UPF"}
POTENTIALS = {
    "al32": _AL,
    "strain": _AL,
    "size": _AL,
    "eos": _AL,
    "hot": _AL,
    "almg": _AL | {"Mg": "Mg.pz-n-vbc.UPF"},
    "sic": {"Si": "Si.pz-vbc.UPF", "C": "C.UPF"},
}


# ------------------------------------------------------------------------------------- the plan


def plan():
    """Return all jobs, set by set in the order of their priority."""
    jobs = [*_al32(), *_strain(), *_eos(), *_almg(), *_hot(), *_sic(), *_size()]
    assert len({(job.set, job.name) for job in jobs}) == len(jobs)
    return jobs


def _al32():
    """Liquid and solid at 933 K, with one for testing after every four, and cooler crystals."""
    settings = {"n_bands": 72}  # as those of the 21 snapshots that there are
    cool = iter([(298, 0), (100, 0), (500, 0), (298, 1), (500, 1), (100, 1), (298, 2), (500, 2)])
    for i in range(48):
        for k, phase in enumerate(("liquid", "solid")):
            make = partial(structures.aluminium, phase, 933, 10_000 + 2 * i + k)
            yield Job("al32", f"{phase}_933K_train_{i:02d}", make, 933, **settings)
        if i % 4 == 3:
            for k, phase in enumerate(("liquid", "solid")):
                make = partial(structures.aluminium, phase, 933, 20_000 + 2 * (i // 4) + k)
                name = f"{phase}_933K_test_{i // 4:02d}"
                yield Job("al32", name, make, 933, split="test", **settings)
        if i % 5 == 4 and (temperature := next(cool, None)):
            kelvin, number = temperature
            make = partial(structures.aluminium, "solid", kelvin, 30_000 + 10 * kelvin + number)
            # The last of each temperature is for testing.
            split = "test" if (kelvin, number) in ((298, 2), (500, 2), (100, 1)) else "train"
            name = f"solid_{kelvin}K_{split}_{number:02d}"
            yield Job("al32", name, make, kelvin, split=split, **settings)


def _strain():
    """32 atoms with other volumes and sheared cells; factors are those of the volume."""
    volumes = [
        (1.06, "solid", 933),
        (0.94, "solid", 933),
        (1.04, "liquid", 933),
        (0.96, "liquid", 933),
        (1.02, "solid", 300),
        (0.98, "solid", 300),
        (0.94, "liquid", 933),
        (1.06, "liquid", 933),
        (0.98, "solid", 933),
        (1.02, "liquid", 933),
        (0.96, "solid", 300),
        (1.04, "solid", 300),
    ]
    shears = [
        ("xy_p4", {"xy": 0.02}, "solid", 933),
        ("zz_p4", {"xx": -0.02, "yy": -0.02, "zz": 0.04}, "solid", 300),
        ("yz_m6", {"yz": -0.03}, "solid", 300),
        ("xx_m4", {"xx": -0.04, "yy": 0.02, "zz": 0.02}, "solid", 933),
        ("mixed_0", {"xx": 0.03, "yy": -0.01, "xy": 0.02, "xz": -0.02}, "solid", 933),
        ("mixed_1", {"xx": -0.02, "zz": -0.01, "yz": 0.03, "xz": 0.01}, "liquid", 933),
        ("mixed_2", {"yy": 0.03, "zz": 0.02, "xy": -0.03, "yz": 0.02}, "solid", 300),
        ("xz_p6", {"xz": 0.03}, "liquid", 933),
    ]
    entries = [
        (f"volume_{100 * (v - 1):+.0f}", np.eye(3) * (v ** (1 / 3) - 1), p, t)
        for v, p, t in volumes
    ]
    sheared = [(f"shear_{name}", _tensor(strain), p, t) for name, strain, p, t in shears]
    ordered = []
    for i, shear in enumerate(sheared):  # two volumes and one shear in turn, while there are two
        ordered += [*entries[2 * i : 2 * i + 2], shear]
    for i, (name, strain, phase, kelvin) in enumerate(ordered):
        make = partial(structures.aluminium, phase, kelvin, 40_000 + i, strain)
        # A fifth is for testing.
        split = "test" if i % 5 == 4 else "train"
        yield Job("strain", f"{name}_{phase}_{kelvin}K_{split}", make, kelvin, split, n_bands=80)


def _eos():
    """Perfect fcc cells: equation of state, tetragonal and orthorhombic shear, one axis.

    Cutoffs beside 12 Ry tell by how much stresses, of a fixed number of plane waves, differ from
    the slope of energies at a fixed cutoff, and what both are when converged.
    """
    settings = {"kpts": (8, 8, 8), "nosym": False, "split": "reference"}
    cutoffs = [(11.5, 0), (12.5, 0), (30, 0), (30, -8), (30, -4), (30, 4), (11, 0), (13, 0)]
    for kelvin in (933, 300):
        for percent in (0, -4, 4, -2, 2, -6, 6, -8, 8, -10, -12, -1, 1):
            make, name = _compressed(percent), f"volume_{percent:+d}_{kelvin}K"
            yield Job("eos", name, make, kelvin, **settings)
        for ecutwfc, percent in cutoffs if kelvin == 933 else ():
            name = f"cutoff_{ecutwfc:g}Ry_volume_{percent:+d}_{kelvin}K"
            yield Job("eos", name, _compressed(percent), kelvin, ecutwfc=ecutwfc, **settings)
        for percent in (-1, 1, -2, 2):
            e = percent / 100
            # det(1 + strain) = 1 exactly
            flat = 1 / np.sqrt(1 + e) - 1
            strains = {
                "tetragonal": {"xx": flat, "yy": flat, "zz": e},
                "shear": {"xy": e / 2},
                "axial": {"zz": e},
            }
            for kind, strain in strains.items():
                make = partial(structures.perfect_cell, _tensor(strain))
                yield Job("eos", f"{kind}_{percent:+d}_{kelvin}K", make, kelvin, **settings)


def _compressed(percent):
    """Return the maker of a perfect cell of aluminium with another volume."""
    return partial(structures.perfect_cell, np.eye(3) * ((1 + percent / 100) ** (1 / 3) - 1))


def _almg():
    """Al-Mg cells of 8, 16 and 32 atoms, compositions in turn; wide-spread ones first."""
    settings = {"ecutwfc": 14.0, "energies": (-8.0, 0.2, 101), "n_bands": _alloy_bands}
    shapes = {
        8: ((2, 1, 1), (3, 6, 6)),
        16: ((2, 2, 1), (3, 3, 6)),
        32: ((2, 2, 2), (3, 3, 3)),
    }
    counts = dict.fromkeys(shapes, 0)
    for i in range(64):
        # In 64 cells there are 16 of 16 atoms and 4 of 32.
        n_atoms = 32 if i % 16 == 7 else 16 if i % 8 in (3, 6) else 8
        number = counts[n_atoms]
        counts[n_atoms] += 1
        n_magnesium = MAGNESIUM_ORDER[number % 9] * n_atoms // 8
        if n_atoms > 8 and 0 < n_magnesium < n_atoms:
            n_magnesium += number % 3 - 1  # compositions that eight atoms do not have
        seed = 50_000 + 1000 * n_atoms + number
        displacement = (0.12, 0.06, 0.18)[(number + number // 9) % 3]
        repeat, kpts = shapes[n_atoms]
        make = partial(structures.alloy, repeat, n_magnesium, displacement, seed)
        split = "test" if number % 5 == 4 else "train"
        name = f"AlMg{n_atoms}_{split}_{number:02d}"
        yield Job("almg", name, make, 933, split=split, kpts=kpts, **settings)


def _alloy_bands(atoms):
    """Return how many bands reach 13.6 eV: free electrons from −3.5 eV, and what k points add."""
    return int(np.ceil(0.16 * atoms.get_volume() + 10))


def _hot():
    """Two displaced cells of aluminium at electronic temperatures up to 20,000 K."""
    settings = {"kpts": (8, 8, 8), "energies": (-6.0, 0.2, 176), "n_bands": 48}
    cells = {"a": (0.15, 0.0, 60_000), "b": (0.08, -0.01, 60_001)}
    for kelvin in (933, 20_000, 6000, 300, 12_000, 3000):
        for cell, arguments in cells.items():
            make = partial(structures.displaced_cell, *arguments)
            yield Job("hot", f"{cell}_{kelvin}K", make, kelvin, **settings)


def _sic():
    """Zinc-blende SiC of eight atoms, displaced and strained.

    From 40 to 55 Ry energies differ by 1.5 meV/atom between cells, forces by 0.015 eV/Å, but
    stresses by 0.03 eV/Å³.
    """
    settings = {"ecutwfc": 50.0, "kpts": (3, 3, 3), "energies": (-9.0, 0.2, 126)}
    for i in range(64):
        displacement, strain = (0.06, 0.03, 0.10)[i % 3], (0.01, 0.0, 0.02, 0.03)[i % 4]
        make = partial(structures.carbide, displacement, strain, 70_000 + i)
        split = "test" if i % 5 == 4 else "train"
        yield Job("sic", f"SiC8_{split}_{i:02d}", make, 1000, split=split, **settings)


def _size():
    """108 atoms, and some of the 32 of `al32` again on a mesh of k points equivalent to theirs.

    2×2×2 points of 108 atoms and 3×3×3 of 32 are both 6×6×6 of the cubic cell. The mesh of `al32`,
    shifted by half a step, tells how far its energies and forces are converged.
    """
    large = {"kpts": (2, 2, 2), "n_bands": 216, "split": "test"}
    small = {"n_bands": 72, "split": "reference"}
    again = {job.name: job for job in _al32()}
    for i in range(3):
        for k, phase in enumerate(("liquid", "solid")):
            make = partial(structures.aluminium, phase, 933, 80_000 + 2 * i + k, repeat=3)
            yield Job("size", f"Al108_{phase}_933K_{i:02d}", make, 933, **large)
            job = again[f"{phase}_933K_train_{i:02d}"]
            name = f"Al32_{phase}_933K_{i:02d}"
            yield Job("size", f"{name}_3x3x3", job.atoms, 933, kpts=(3, 3, 3), **small)
            if i == 0:
                yield Job("size", f"{name}_shifted", job.atoms, 933, k_shift=(1, 1, 1), **small)


def _tensor(components):
    """Return a symmetric (3, 3) from components such as ``{"xy": 0.02}``."""
    tensor = np.zeros((3, 3))
    for axes, value in components.items():
        i, j = ("xyz".index(axis) for axis in axes)
        tensor[i, j] = tensor[j, i] = value
    return tensor


# ------------------------------------------------------------------------------ the calculation


def calculate(job, work):
    """Calculate one snapshot in a folder, and return the arrays of its file."""
    start = time.perf_counter()
    atoms = job.atoms()
    recipe = job.recipe(atoms)
    (snapshot,) = recipe.run([atoms], work, verbose=False)
    save = work / "00000" / "skldos.save"
    arrays = reduce(snapshot, save, (work / "00000" / "pw.out").read_text(errors="replace"))
    return arrays | {
        "conv_thr": recipe.conv_thr,
        "kpts": np.array(job.kpts),
        "k_shift": np.array(recipe.k_shift),
        "symmetry": not job.nosym,
        "pseudopotentials": json.dumps(
            {symbol: recipe.pseudopotentials[symbol] for symbol in sorted(set(atoms.symbols))}
        ),
        "set": job.set,
        "name": job.name,
        "split": job.split,
        "order": structures.order(atoms),
        "seconds": time.perf_counter() - start,
    }


def reduce(snapshot, save, output):
    """Return what is kept of a run: arrays by name.

    Parameters
    ----------
    snapshot : skldos.Snapshot
        With LDOS and reference.
    save : pathlib.Path
        Save directory of pw.x.
    output : str
        What pw.x printed.

    Returns
    -------
    dict of str to array-like
    """
    from skldos.decomposition import ADOSDecomposer
    from skldos.io.espresso.xml import read_xml

    run = read_xml(save / "data-file-schema.xml")
    decomposer = ADOSDecomposer(sigma=SIGMA, n_jobs=1).fit([snapshot])
    (ados,) = decomposer.transform([snapshot])
    printed = re.findall(r"one-electron contribution\s*=\s*(\S+)", output)
    one_electron = float(printed[-1]) * HARTREE / 2
    # read_espresso takes this part as what the others leave: compare it with pw.x's own.
    if not abs(one_electron - snapshot.reference["one_electron"]) < 1e-5:
        raise ValueError(
            f"the parts of the total energy leave {snapshot.reference['one_electron']} eV, where "
            f"pw.x prints {one_electron} eV of one-electron energy."
        )
    return {
        "numbers": snapshot.atoms.numbers,
        "positions": snapshot.atoms.positions,
        "cell": snapshot.atoms.cell.array,
        "temperature": snapshot.temperature,
        "n_electrons": snapshot.n_electrons,
        "energies": np.asarray(snapshot.energies),
        "broadening": snapshot.energy_grid.broadening,
        "kernel": snapshot.energy_grid.kernel,
        "dos": np.asarray(snapshot.dos(), dtype=np.float64),
        "ados": np.asarray(ados, dtype=np.float32),
        "sigma": SIGMA,
        **{name: snapshot.reference[name] for name in REFERENCE},
        "stress": read_stress(save / "data-file-schema.xml"),
        "eigenvalues": run.eigenvalues.astype(np.float32),
        "weights": run.weights,
        "grid_shape": np.array(run.grid_shape),
        "code": re.search(r"Program (PWSCF v\.\S+)", output)[1],
    }


def read_stress(path):
    """Return the stress in a file of pw.x as ASE has it: six components in eV/Å³."""
    tensor = np.array(ET.parse(path).find("output/stress").text.split(), float).reshape(3, 3)
    # pw.x counts pressure as positive, ASE tension.
    tensor *= -HARTREE / BOHR**3
    return np.array([tensor[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))])


def _command():
    """Return the command for pw.x: with one thread, and ending with this program."""
    alone = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return [*alone, "pw.x"]


# ---------------------------------------------------------------------------------- subcommands


def path_of(options, job, folder="output", suffix=".npz"):
    """Return the file of a job, or the file with the reason of its failure."""
    return options.output / folder / job.set / f"{job.name}{suffix}"


def is_failed(options, job):
    """Return whether a job failed; remove its failure file to retry it."""
    return path_of(options, job, "failed", ".txt").exists()


def selected(options):
    """Return the jobs of the requested sets."""
    unknown = set(options.sets) - SHARES.keys()
    if unknown:
        raise SystemExit(f"sets must be among {', '.join(SHARES)}, got {', '.join(unknown)}")
    return [job for job in plan() if job.set in (options.sets or SHARES)]


def next_job(options, jobs, spent):
    """Return the first open job of the set that is furthest behind its share, or None."""
    first = {}
    for job in jobs:
        if not (path_of(options, job).exists() or is_failed(options, job)):
            first.setdefault(job.set, job)
    return min(first.values(), key=lambda job: spent[job.set] / SHARES[job.set], default=None)


def run(options):
    """Calculate missing snapshots until all are finished, time is up or a file `stop` appears."""
    import torch

    from skldos.exceptions import EspressoError, FileFormatError, SnapshotError

    # `check` says how far the DOS is complete.
    warnings.filterwarnings("ignore", "the highest of the .* bands starts")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    work = options.output / "work"
    work.mkdir(parents=True, exist_ok=True)
    with open(options.output / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"another program works in {options.output}") from None
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        for old in work.glob("run-*"):
            shutil.rmtree(old, ignore_errors=True)  # of a program that was killed
        jobs, deadline = selected(options), time.time() + 60 * options.minutes
        spent = {name: sum(seconds) for name, seconds in _seconds(options).items()}
        stop = options.output / "stop"
        stop.unlink(missing_ok=True)
        while time.time() < deadline and not stop.exists():
            job = next_job(options, jobs, spent)
            if job is None:
                break
            start = time.perf_counter()
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=work))
            try:
                arrays = calculate(job, folder)
            except (EspressoError, FileFormatError, SnapshotError, ValueError):
                reason = path_of(options, job, "failed", ".txt")
                reason.parent.mkdir(parents=True, exist_ok=True)
                reason.write_text(traceback.format_exc())
                _say(f"{job.set}/{job.name} FAILED, see {reason}")
            else:
                _write(path_of(options, job), arrays)
                energy = arrays["total_energy"] / len(arrays["numbers"])
                _say(f"{job.set}/{job.name} {arrays['seconds']:.0f} s, {energy:.4f} eV/atom")
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            spent[job.set] += time.perf_counter() - start


def show_list(options):
    """Print every job with its settings, and whether it is finished."""
    for job in selected(options):
        there = "done" if path_of(options, job).exists() else "open"
        first, step, n = job.energies
        print(
            f"{job.set:7s} {job.name:34s} {there} {job.temperature:6.0f} K {job.ecutwfc:3.0f} Ry "
            f"{'×'.join(map(str, job.kpts))} {first:.0f}…{first + step * (n - 1):.0f} eV"
        )


def status(options):
    """Print the number of finished snapshots of each set, and their cost."""
    jobs, times = selected(options), _seconds(options)
    for name in SHARES:
        mine = [job for job in jobs if job.set == name]
        if not mine:
            continue
        failed = sum(is_failed(options, job) for job in mine)
        seconds = times[name]
        cost = f"median {np.median(seconds):.0f} s, {sum(seconds) / 60:.0f} min" if seconds else ""
        print(f"{name:7s} {len(seconds):3d} of {len(mine):3d}, {failed} failed  {cost}")


def check(options):
    """Print how well every finished snapshot obeys the laws; fail if one violates them."""
    bad = 0
    for path in _finished(options):
        with np.load(path) as file:
            if "eigenvalues" not in file:  # restored from a bundle without them
                continue
            lines = laws(file)
        wrong = [text for text, good in lines if not good]
        bad += bool(wrong)
        shown = wrong if options.quiet else [text for text, _ in lines]
        if shown:
            print(f"{path.parent.name}/{path.stem}: {'WRONG ' * bool(wrong)}{', '.join(shown)}")
    if bad:
        raise SystemExit(f"{bad} files are wrong")


def laws(data):
    r"""Return the laws for a snapshot as sentences, and whether it obeys each.

    The levels give the number of electrons and the band energy exactly. A Gaussian solves
    :math:`\partial g / \partial \tau = g''` with :math:`\tau = \sigma^2/4`. The broadening thus
    changes the number of electrons at fixed μ by about :math:`\tau g'(\mu)`, where g bends little
    within σ, and the free energy :math:`E_\mathrm{band} - TS` at a fixed number by exactly
    :math:`-\int_0^\tau d\tau' \int (-f') g_{\tau'} dE`, in metals and in gaps. Against the same
    DOS on a fine grid only the steps of the energies matter.
    """
    from scipy.special import expit

    from skldos.physics import n_electrons

    n_atoms, energies, dos = len(data["numbers"]), data["energies"], data["dos"]
    temperature, mu, electrons, band, width = (
        float(data[name])
        for name in ("temperature", "fermi_energy", "n_electrons", "band_energy", "broadening")
    )
    free = band + float(data["minus_ts"])
    levels = data["eigenvalues"].astype(float)
    occupied = data["weights"][:, None] * expit((mu - levels) / (BOLTZMANN * temperature))
    number_error = abs(occupied.sum() - electrons)
    band_error = abs((occupied * levels).sum() - band)

    dos_error = abs(dos - _dos(data, energies)).max() / dos.max()
    ados_error = abs(data["ados"].sum(axis=0, dtype=float) - dos).max() / dos.max()
    fine = np.linspace(energies[0], energies[-1], 10 * (len(energies) - 1) + 1)
    grids = ((dos, energies), (_dos(data, fine), fine))
    at_mu, fine_at_mu = (
        float(n_electrons(d, e, temperature=temperature, fermi_level=mu)) - electrons
        for d, e in grids
    )
    shift, fine_shift = (
        1000 * (_free(d, e, temperature, electrons) - free) / n_atoms for d, e in grids
    )
    slope = np.interp(mu, energies, np.gradient(dos, energies))
    expected = -1000 * _taken(data, fine, temperature, electrons) / n_atoms

    force = abs(data["forces"].sum(axis=0)).max()
    parts = sum(float(data[k]) for k in ("one_electron", "hartree", "xc", "ewald", "minus_ts"))
    rest = abs(parts - float(data["total_energy"]))
    # Two widths below the highest band the DOS is complete to a few thousandths.
    highest = min(levels.max(axis=1).min() - 2 * width, energies[-1])
    hottest = (highest - mu) / (BOLTZMANN * temperature)
    return [
        (f"levels: N {number_error:.0e}", number_error < 1e-5 * electrons),
        (f"band {band_error:.0e} eV", band_error < 1e-5 * n_atoms),
        (f"DOS {dos_error:.0e}", dos_error < 1e-5),
        (f"sum of ADOS {ados_error:.0e}", ados_error < 1e-5),
        (
            f"N(μ) − N {at_mu:+.3f}, fine {fine_at_mu:+.3f} ({width**2 / 4 * slope:+.3f})",
            abs(at_mu - fine_at_mu) < 1e-3 * electrons and abs(fine_at_mu) < 0.02 * electrons,
        ),
        (
            f"free energy {shift:+.1f}, fine {fine_shift:+.2f} ({expected:+.2f}) meV/atom",
            abs(shift - fine_shift) < 3 and abs(fine_shift / expected - 1) < 0.02,
        ),
        (f"Σ force {force:.0e} eV/Å", force < 1e-3),
        (f"parts {rest:.0e} eV", rest < 1e-6),
        (f"DOS from {dos[0] / n_atoms:.0e}/eV", dos[0] < 1e-4 * n_atoms),
        (f"to {highest:.1f} eV = μ + {hottest:.0f} kT", hottest > 10),
    ]


def _dos(data, energies, narrowing=1.0):
    """Return the broadened levels at some energies, in 1/eV, with a part of the broadening."""
    width = narrowing * float(data["broadening"])
    dos = np.zeros(len(energies))
    for weight, levels in zip(data["weights"], data["eigenvalues"].astype(float), strict=True):
        x = (energies - levels[:, None]) / width
        dos += weight * np.exp(-(x**2)).sum(axis=0) / (width * np.sqrt(np.pi))
    return dos


def _free(dos, energies, temperature, electrons):
    """Return band energy and entropy term of a DOS at its own Fermi level, in eV."""
    from skldos.physics import band_energy, entropy, fermi_level

    state = {"temperature": temperature}
    state["fermi_level"] = fermi_level(dos, energies, n_electrons=electrons, **state)
    return float(band_energy(dos, energies, **state) + entropy(dos, energies, **state))


def _taken(data, energies, temperature, electrons):
    """Return what the broadening takes from the free energy, in eV, by three Gauss points in τ."""
    from scipy.special import expit

    from skldos.physics import fermi_level

    points, weights = np.polynomial.legendre.leggauss(3)
    slopes = []
    for point in (points + 1) / 2:
        dos = _dos(data, energies, np.sqrt(point))
        level = fermi_level(dos, energies, n_electrons=electrons, temperature=temperature)
        occupied = expit((level - energies) / (BOLTZMANN * temperature))
        thermal = occupied * (1 - occupied)
        slopes.append(thermal @ dos / thermal.sum())
    return float(data["broadening"]) ** 2 / 4 * (weights / 2) @ slopes


def bundle(options):
    """Pack the finished snapshots of every set into one compressed file.

    Rows of `numbers`, `positions`, `forces` and `ados` are those of all atoms in order, with
    `n_atoms` rows per snapshot; everything else has one row per snapshot. Bundled snapshots are
    restored first, so that they remain.
    """
    restore(options)
    folder = options.bundles
    folder.mkdir(exist_ok=True)
    by_set = {}
    for path in _finished(options):
        by_set.setdefault(path.parent.name, []).append(path)
    for name, paths in by_set.items():
        files = [dict(np.load(path)) for path in paths]
        arrays = {"n_atoms": np.array([len(f["numbers"]) for f in files])}
        for key in files[0].keys() - {"eigenvalues", "weights"}:
            values = [f[key] for f in files]
            if key in ("numbers", "positions", "forces", "ados"):
                arrays[key] = np.concatenate(values)
            elif key in ("energies", "broadening", "kernel", "sigma"):
                assert all(np.array_equal(v, values[0]) for v in values), key
                arrays[key] = values[0]
            else:
                arrays[key] = np.stack(values)
        if options.eigenvalues:
            for i, f in enumerate(files):
                arrays |= {f"eigenvalues_{i}": f["eigenvalues"], f"weights_{i}": f["weights"]}
        path = folder / f"{name}.npz"
        if path.exists() and len(unbundle(path)) == len(files):
            continue  # nothing new
        _write(path, arrays)
        print(f"{path}: {len(files)} snapshots, {path.stat().st_size / 1000:.0f} kB")


def restore(options):
    """Write the snapshots of the bundles as separate files; existing files are not changed."""
    jobs = {(job.set, job.name): job for job in selected(options)}
    for bundled in sorted(options.bundles.glob("*.npz")):
        written = 0
        for snapshot in unbundle(bundled):
            job = jobs.get((str(snapshot["set"]), str(snapshot["name"])))
            if job is not None and not path_of(options, job).exists():
                _write(path_of(options, job), snapshot)
                written += 1
        print(f"{bundled}: {written} snapshots restored")


def unbundle(path):
    """Return the snapshots in a file of `bundle`, each as a dict of arrays.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    list of dict
    """
    bundled = dict(np.load(path))
    ends = np.cumsum(bundled.pop("n_atoms"))
    snapshots = []
    for i, end in enumerate(ends):
        rows = slice(ends[i - 1] if i else 0, end)
        one = {}
        for key, value in bundled.items():
            if key in ("energies", "broadening", "kernel", "sigma"):
                one[key] = value
            elif key in ("numbers", "positions", "forces", "ados"):
                one[key] = value[rows]
            elif (ragged := re.fullmatch(r"(eigenvalues|weights)_(\d+)", key)) is not None:
                if int(ragged[2]) == i:
                    one[ragged[1]] = value
            else:
                one[key] = value[i]
        snapshots.append(one)
    return snapshots


def found(name, outputs, bundles=BUNDLES):
    """Return all snapshots of a set by their names, from its bundle and from folders of files.

    Parameters
    ----------
    name : str
        The set.
    outputs : sequence of pathlib.Path
        Folders with files SET/NAME.npz.
    bundles : pathlib.Path, optional
        Folder of the bundles.

    Returns
    -------
    dict of str to dict of str to ndarray
    """
    bundled = bundles / f"{name}.npz"
    snapshots = unbundle(bundled) if bundled.exists() else []
    found = {str(snapshot["name"]): snapshot for snapshot in snapshots}
    for output in outputs:
        for path in sorted((output / name).glob("*.npz")):
            with np.load(path) as file:
                found[path.stem] = dict(file)
    return found


# -------------------------------------------------------------------------------------- helpers


def _finished(options):
    """Return the file of every finished snapshot, also from other folders."""
    paths = []
    for job in selected(options):
        places = [path_of(options, job), *(p / job.set / f"{job.name}.npz" for p in options.also)]
        paths += [path for path in places if path.exists()][:1]
    return paths


def _seconds(options):
    """Return the times of all finished snapshots, by set."""
    seconds = {name: [] for name in SHARES}
    for path in sorted((options.output / "output").glob("*/*.npz")):
        with np.load(path) as file:
            seconds[path.parent.name].append(float(file["seconds"]))
    return seconds


def _write(path, arrays):
    """Write a file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    with open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _say(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    functions = {"list": show_list, "run": run, "status": status, "check": check}
    functions |= {"bundle": bundle, "restore": restore}
    for name, function in functions.items():
        command = commands.add_parser(name, help=function.__doc__.splitlines()[0])
        command.set_defaults(function=function)
        command.add_argument("--sets", nargs="*", default=[], help="which sets [all]")
        command.add_argument("--output", type=Path, default=HERE, help="where it is kept")
        command.add_argument("--also", type=Path, nargs="*", default=[], help="more sets of files")
        command.add_argument("--bundles", type=Path, default=BUNDLES, help="folder of the bundles")
        if name == "run":
            command.add_argument("--minutes", type=float, default=np.inf, help="start none after")
        if name == "check":
            command.add_argument("--quiet", action="store_true", help="only what is wrong")
        if name == "bundle":
            command.add_argument("--eigenvalues", action="store_true", help="keep levels too")
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
