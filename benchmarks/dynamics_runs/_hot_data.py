"""Cells of four atoms of aluminium at several electronic temperatures, energies up to 29 eV."""

import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.data import structures
from benchmarks.data.make import Job, calculate

#: Temperature at which models are trained, in K.
COLD = 933
TEMPERATURES = (300, 933, 3000, 6000, 12_000, 20_000)
#: Displacements in Å of the cells to learn from.
TRAINING = (0.15, 0.08, 0.2, 0.12, 0.05, 0.18, 0.1, 0.14)
SETTINGS = {"kpts": (4, 4, 4), "energies": (-6.0, 0.2, 176), "n_bands": 48}


def jobs():
    """Return what is to be calculated: a cell at all temperatures, cells to learn from, another."""
    others = [kelvin for kelvin in TEMPERATURES if kelvin != COLD]
    cells = {"a": (0.15, 0.0, 60_000), "b": (0.1, 0.0, 60_002)}
    wanted = [("a", kelvin) for kelvin in (COLD, 20_000, 6000, 300, 12_000, 3000)]
    wanted += [(f"train_{i}", COLD) for i in range(len(TRAINING))]
    wanted += [("b", kelvin) for kelvin in (COLD, *others[::-1])]
    cells |= {f"train_{i}": (width, 0.0, 61_000 + i) for i, width in enumerate(TRAINING)}
    for cell, kelvin in wanted:
        make = partial(structures.displaced_cell, *cells[cell])
        yield Job("hot", f"{cell}_{kelvin}K", make, kelvin, **SETTINGS)


def read_all(folder, calculating=True):
    """Return the arrays of all jobs by name; what is missing is calculated, or left out."""
    found = {}
    folder.mkdir(parents=True, exist_ok=True)
    for job in jobs():
        path = folder / f"{job.name}.npz"
        if not path.exists():
            if not calculating:
                continue
            work = Path(tempfile.mkdtemp(dir=folder))
            np.savez_compressed(path.with_suffix(".partial.npz"), **calculate(job, work))
            path.with_suffix(".partial.npz").rename(path)
            shutil.rmtree(work)
        with np.load(path) as data:
            found[job.name] = dict(data)
    return found
