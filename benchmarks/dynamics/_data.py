"""32-atom aluminium without grids, descriptors with stored derivatives, and errors."""

from functools import partial

import numpy as np

from benchmarks.common import harness
from benchmarks.common.splits import kind_of, paths_of
from benchmarks.data import make

#: Where `benchmarks.data.make` keeps snapshots that are not bundled yet.
MADE = make.HERE / "output"
REFERENCE = ("total_energy", "band_energy", "fermi_energy", "forces", "stress", "dos", "ados")


def parser(doc):
    """Return the parser of a benchmark that uses snapshots of `benchmarks.data.make`."""
    parser = harness.parser(doc)
    parser.add_argument(
        "--output",
        type=harness.absolute,
        nargs="*",
        default=[MADE],
        help="folders with SET/NAME.npz beside what is bundled [%(default)s]",
    )
    return parser


def read(data, name):
    """Return the arrays of a file, with an LDOS or without, as a snapshot without a grid."""
    from ase import Atoms

    from skldos import EnergyGrid, Snapshot

    atoms = Atoms(data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True)
    reference = {n: data[n] if data[n].ndim else data[n].item() for n in REFERENCE if n in data}
    if "ados" in data:
        reference["ados_sigma"] = float(data["sigma"])
    if "ldos" in data:
        voxel = abs(atoms.cell.volume) / np.prod(data["density"].shape)
        total = data["ldos"].astype(np.float32).sum(axis=(0, 1, 2), dtype=float)
        reference["dos"] = total / float(data["ldos_scale"]) * voxel
    return Snapshot(
        atoms,
        energies=EnergyGrid(
            data["energies"], broadening=float(data["broadening"]), kernel="gaussian"
        ),
        temperature=float(data["temperature"]),
        n_electrons=float(data["n_electrons"]),
        reference=reference,
        name=name,
    )


def read_known(data):
    """Return the 21 snapshots beside the repository."""
    found = []
    for path in paths_of(data, "al32"):
        with np.load(path) as file:
            found.append(read(file, path.stem))
    return found


def read_made(outputs, name):
    """Return the snapshots of a set, bundled or in a folder of `outputs`, sorted by name."""
    found = make.found(name, outputs)
    return [read(found[key], key) for key in sorted(found)]


def kind(snapshot):
    """Return temperature and phase: "933 K liquid"."""
    name = snapshot.name
    if name.startswith("Al32_"):
        return kind_of(name)
    phase, temperature = name.split("_")[:2]
    return f"{temperature[:-1]} K {phase}"


def remembered(transformer, snapshots):
    """Return the blocks of snapshots, with derivatives that are computed once."""
    from skldos.data import Blocks

    blocks = transformer.fit_transform(snapshots)
    handles = [partial(_same, handle()) for handle in blocks.derivatives]
    return Blocks(list(blocks), blocks.snapshots, handles)


def _same(derivatives):
    return derivatives


def errors(model, blocks):
    """Return errors of energies in meV/atom, and of forces in eV/Å, one array per snapshot."""
    from skldos.data.free_energies import free_energies_at

    n_atoms = np.array([len(s.atoms) for s in blocks.snapshots])
    true = free_energies_at(blocks.snapshots, model.temperature_)
    energies = 1e3 * (model.predict(blocks) - true) / n_atoms
    pairs = zip(model.predict_forces(blocks), blocks.snapshots, strict=True)
    return energies, [forces - s.reference["forces"] for forces, s in pairs]


def rms(arrays):
    """Return the root mean square of all numbers in a sequence of arrays."""
    return float(np.sqrt(np.mean(np.concatenate([np.ravel(a) for a in arrays]) ** 2)))


def interval(values, statistic, n=2000, seed=0):
    """Return the 95 % interval of a statistic by drawing from the values again (bootstrap)."""
    rng = np.random.default_rng(seed)
    drawn = [
        statistic([values[i] for i in rng.integers(len(values), size=len(values))])
        for _ in range(n)
    ]
    return [float(edge) for edge in np.quantile(drawn, [0.025, 0.975])]
