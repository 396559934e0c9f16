"""Every format that skldos reads or writes: small files, and their readers."""

import json
import shutil
import tarfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from skldos import ArrayFile, Snapshot, SnapshotList
from skldos.datasets import make_snapshots
from skldos.io import (
    charge_density,
    read_cube,
    read_espresso,
    read_espresso_trajectory,
    read_mala,
    read_olcao_potential,
    read_openpmd,
    read_upf,
    wavefunction_density,
    write_olcao_potential,
)
from tests.fuzz.mutations import mutate_binary, mutate_text
from tests.io.test_mala import INFO

DATA = Path(__file__).parents[1] / "io" / "data"


@dataclass(frozen=True)
class Format:
    """A format for the tests.

    Attributes
    ----------
    make : callable
        ``make(folder)`` writes good files and returns those that may be damaged.
    read : callable
        ``read(folder)`` returns everything that is in them.
    mutate : callable
        Function that damages the bytes of a file.
    """

    make: callable
    read: callable
    mutate: callable = mutate_text


def copied(*names):
    def make(folder):
        for name in names:
            shutil.copy(DATA / name, folder / Path(name).name)
        return [folder / Path(name).name for name in names]

    return make


def make_save(only):
    def make(folder):
        for path in (DATA / "wfc_gamma.save").iterdir():
            shutil.copy(path, folder)
        return [path for path in folder.iterdir() if path.name == only]

    return make


def make_folder(suffix):
    def make(folder):
        SnapshotList(make_snapshots(2, grid_shape=(3, 3, 3), n_energies=5, random_state=0)).save(
            folder / "set"
        )
        return sorted((folder / "set").glob(f"*{suffix}"))

    return make


def make_array(folder):
    np.save(folder / "a.npy", np.random.default_rng(0).random((4, 3, 5)))
    return [folder / "a.npy"]


def make_olcao(folder):
    write_olcao_potential(folder / "v.dat", [[-3.0, 1.0], [-2.0, 0.5]], [0.5, 2.0])
    return [folder / "v.dat"]


def read_steps(folder):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the last step, number")  # documented
        return list(read_espresso_trajectory(folder / "md.out"))


def extracted(name):
    def make(folder):
        with tarfile.open(DATA / "trajectories.tar.xz") as archive:
            archive.extract(name, folder, filter="data")
        return [folder / name]

    return make


def make_info(folder):
    (folder / "a.json").write_text(json.dumps(INFO))
    return [folder / "a.json"]


def read_folder(folder):
    return [
        (s, *(np.asarray(f) for f in (s.ldos, s.density) if f is not None))
        for s in SnapshotList.load(folder / "set")
    ]


FORMATS = {
    "xml of pw.x": Format(
        copied("al2/al2.save/data-file-schema.xml"),
        lambda f: read_espresso(f / "data-file-schema.xml"),
    ),
    "output of pw.x": Format(copied("al2/al2.scf.out"), lambda f: read_espresso(f / "al2.scf.out")),
    "xml of waves": Format(make_save("data-file-schema.xml"), wavefunction_density),
    "waves": Format(make_save("wfc1.dat"), wavefunction_density, mutate_binary),
    "charge density": Format(make_save("charge-density.dat"), charge_density, mutate_binary),
    "UPF": Format(copied("Al.UPF"), lambda f: vars(read_upf(f / "Al.UPF"))),
    "cube": Format(copied("al2/density.cube"), lambda f: read_cube(f / "density.cube")),
    "info of MALA": Format(make_info, lambda f: read_mala(None, f / "a.json", energies=None)),
    "openPMD": Format(
        copied("mala/ldos.h5"), lambda f: np.asarray(read_openpmd(f / "ldos.h5")), mutate_binary
    ),
    "OLCAO": Format(make_olcao, lambda f: vars(read_olcao_potential(f / "v.dat"))),
    "npy": Format(make_array, lambda f: np.asarray(ArrayFile(f / "a.npy")), mutate_binary),
    "index of snapshots": Format(make_folder(".json"), read_folder),
    "arrays of snapshots": Format(make_folder(".npy"), read_folder, mutate_binary),
    "steps in the output of pw.x": Format(extracted("md.out"), read_steps),
    "steps in the xml of pw.x": Format(
        extracted("md.xml"), lambda f: list(read_espresso_trajectory(f / "md.xml"))
    ),
}


def numbers(found):
    """Yield all arrays of numbers in what a reader returned."""
    if isinstance(found, Snapshot):
        facts = (found.atoms, found.temperature, found.n_electrons, found.energies)
        yield from numbers((*facts, found.reference, found.grid_shape))
    elif isinstance(found, Atoms):
        yield from (found.numbers, found.positions, found.cell.array)
    elif isinstance(found, dict):
        yield from numbers(tuple(found.values()))
    elif isinstance(found, (tuple, list)):
        for part in found:
            yield from numbers(part)
    elif found is not None and not isinstance(found, str):
        yield np.asarray(found, dtype=float)
