"""Bundled data: cells of silicon carbide."""

from skldos.data import SnapshotList
from skldos.datasets.bundles import read_bundle
from skldos.validation import check_option

FILE = "silicon_carbide.npz"
PSEUDOPOTENTIALS = {"Si": "Si.pz-vbc.UPF", "C": "C.UPF"}


def load_silicon_carbide(*, split=None):
    """Load the bundled DFT snapshots of silicon carbide, a compound with a band gap.

    Cells of eight atoms of the zinc-blende crystal, with random displacements and strains, and
    electrons at 1000 K. They have atom-decomposed densities of states, energies, forces and
    stresses, but no grid, for models of atoms. The README next to the file describes the
    calculations.

    Parameters
    ----------
    split : {"train", "test"}, optional
        Return only the 52 snapshots for training, or the 12 that you should not use to choose a
        model.

    Returns
    -------
    SnapshotList
        Snapshots by name. Their `reference` has ``"dos"`` and ``"ados"`` (1/eV, at the 126
        energies of the snapshot), energies (eV), ``"forces"`` (eV/Å), ``"stress"`` (eV/Å³: xx, yy,
        zz, yz, xz, xy, positive under tension) and ``"split"``.

    Raises
    ------
    FileFormatError
        If the file differs from the bundled one.

    Examples
    --------
    >>> from skldos.datasets import load_silicon_carbide
    >>> snapshots = load_silicon_carbide(split="test")
    >>> len(snapshots), snapshots[0].reference["ados"].shape
    (12, (8, 126))
    """
    check_option("split", split, (None, "train", "test"))
    snapshots = read_bundle(FILE, PSEUDOPOTENTIALS)
    return SnapshotList([s for s in snapshots if split in (None, s.reference["split"])])
