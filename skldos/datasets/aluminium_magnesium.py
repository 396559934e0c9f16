"""Bundled data: cells of aluminium and magnesium."""

from skldos.data import SnapshotList
from skldos.datasets.bundles import read_bundle
from skldos.validation import check_option

FILE = "aluminium_magnesium.npz"
PSEUDOPOTENTIALS = {"Al": "Al.pz-vbc.UPF", "Mg": "Mg.pz-n-vbc.UPF"}
SIZES = (4, 8, 16, 32)


def load_aluminium_magnesium(*, n_atoms=None):
    """Load the bundled DFT snapshots of aluminium-magnesium alloys.

    Cells of 4 to 32 atoms on a face-centred cubic lattice, with random compositions, occupations,
    displacements and volumes, and electrons at 933 K. They have atom-decomposed densities of
    states, energies and forces, but no grid, for models of atoms. The README next to the file
    describes the calculations.

    Parameters
    ----------
    n_atoms : {4, 8, 16, 32}, optional
        Return only cells with this number of atoms.

    Returns
    -------
    SnapshotList
        Snapshots by name. Their `reference` has ``"dos"`` and ``"ados"`` (1/eV, at the 101
        energies of the snapshot), energies (eV), ``"forces"`` (eV/Å), and ``"split"``:
        ``"train"``, or ``"test"`` for snapshots that you should not use to choose a model.

    Raises
    ------
    FileFormatError
        If the file differs from the bundled one.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium_magnesium
    >>> snapshots = load_aluminium_magnesium(n_atoms=8)
    >>> snapshots[0].atoms.get_chemical_formula(), snapshots[0].reference["ados"].shape
    ('Al3Mg5', (8, 101))
    """
    check_option("n_atoms", n_atoms, (None, *SIZES))
    snapshots = read_bundle(FILE, PSEUDOPOTENTIALS)
    return SnapshotList([s for s in snapshots if n_atoms in (None, len(s.atoms))])
