"""The silicon data of `data.py`: location, kinds, settings of the calculations."""

from benchmarks.common import harness

FOLDER = harness.OUTPUT / "silicon"
KINDS = ("crystal", "strained", "vacancy", "interstitial", "amorphous")
#: Edges up to this, in Å, get two k points, the others one: a grid of the same density for all.
SHORT_EDGE = 7.6


def recipe_for(atoms, command):
    """Return the recipe of the calculations, with k points for this cell."""
    from skldos.datasets import EspressoRecipe

    kpts = tuple(2 if edge < SHORT_EDGE else 1 for edge in atoms.cell.lengths())
    return EspressoRecipe(
        {"Si": "Si.pz-vbc.UPF"},
        energies=None,
        ecutwfc=12.0,
        kpts=kpts,
        k_shift=(1, 1, 1),
        temperature=600.0,
        command=command,
        input_data={"control": {"tstress": False}, "system": {"nosym": True}},
    )


def load(data):
    """Return all available snapshots, in `data` or in the folder of `data.py`."""
    from skldos import SnapshotList

    folders = [data / "silicon", FOLDER / "snapshots"]
    found = next((folder for folder in folders if folder.exists()), None)
    if found is None:
        raise SystemExit("no snapshots of silicon: run `python -m benchmarks.potentials.data`")
    return SnapshotList.load(found)


def of_kinds(data):
    """Return the snapshots of `KINDS`, sorted by name."""
    found = [s for s in load(data) if s.reference["kind"] in KINDS]
    return sorted(found, key=lambda s: s.reference["name"])
