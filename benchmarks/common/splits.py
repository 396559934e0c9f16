"""The 32-atom aluminium snapshots, and their splits in the studies."""

import numpy as np

from benchmarks.common.snapshots import read_snapshot

#: Fit and validation of the studies that do not draw them; all others are for the test.
FIT = [f"Al32_933K_{phase}_{i}" for phase in ("liquid", "solid") for i in range(4)]
VALIDATE = ["Al32_933K_liquid_4", "Al32_933K_solid_4"]
#: In the order of the tables.
KINDS = ("933 K liquid", "933 K solid", "500 K solid", "298 K solid", "100 K solid")


def paths_of(data, system):
    """Return the files of all snapshots of a system, in the order of their names."""
    paths = sorted((data / system).glob("*.npz"))
    if not paths:
        raise SystemExit(f"no {system} snapshots under {data}: give the folder by --data")
    return paths


def read_al32(data):
    """Return all snapshots in `data`/al32, and their names."""
    paths = paths_of(data, "al32")
    return [read_snapshot(path) for path in paths], [path.stem for path in paths]


def kind_of(name):
    """Return temperature and phase of a snapshot: "933 K liquid"."""
    _, temperature, phase, _ = name.split("_")
    return f"{temperature[:-1]} K {phase}"


def random_split(names, seed):
    """Return indices of training, validation and test data.

    Of the seven liquids at 933 K five are for training, one for validation and one for the test,
    of the seven solids at 933 K likewise, drawn by `seed`; everything colder is for the test.
    """
    rng = np.random.default_rng(seed)
    parts = [[], [], []]
    for kind in KINDS:
        members = [i for i, name in enumerate(names) if kind_of(name) == kind]
        if kind.startswith("933"):
            drawn = rng.permutation(members).tolist()
            for part, some in zip(parts, (drawn[:5], drawn[5:6], drawn[6:]), strict=True):
                part += some
        else:
            parts[2] += members
    return tuple(sorted(part) for part in parts)


def leave_one_out(names):
    """Yield indices of training and test data, a single snapshot in each test."""
    for i in range(len(names)):
        yield [j for j in range(len(names)) if j != i], [i]
