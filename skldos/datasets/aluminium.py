"""Bundled data: cells of aluminium with 4 and 32 atoms."""

from skldos.data import EnergyGrid, SnapshotList
from skldos.datasets.bundles import ENERGIES, checked_file, read_bundle
from skldos.io.npz import read_npz
from skldos.physics import Pseudopotential
from skldos.validation import check_option

#: Temperatures in K, by the number of atoms.
TEMPERATURES = {4: (298, 933), 32: (100, 298, 500, 933)}
SNAPSHOTS_PER_TEMPERATURE = 4
FILE_32 = "aluminium32.npz"


def load_aluminium(*, n_atoms=4, temperature=None):
    """Load the bundled DFT snapshots of aluminium.

    There are two sets. Eight cells of four atoms, with displacements as at 298 K and 933 K, have
    the LDOS on an 18³ grid and 81 energies, the density, and the energies and forces of Quantum
    ESPRESSO. Cells of 32 atoms, solid at 100 to 933 K and liquid at 933 K, have no grid, but
    atom-decomposed densities of states, energies and forces, for models of atoms. The README next
    to the files describes the calculations.

    Parameters
    ----------
    n_atoms : {4, 32}, default=4
        Number of atoms per cell.
    temperature : {100, 298, 500, 933}, optional
        Return only the snapshots at this temperature, in K; cells of four atoms are at 298 and 933
        K.

    Returns
    -------
    SnapshotList
        Cells of four atoms with 298 K first, or cells of 32 atoms, of which 21 older ones come
        first, then liquids and solids at 933 K in turn. The `reference` of the latter has
        ``"dos"`` and ``"ados"`` (1/eV), energies, ``"forces"``, ``"kind"`` (``"solid"`` or
        ``"liquid"``) and ``"split"``: ``"train"``, or ``"test"`` for snapshots that you should not
        use to choose a model.

    Raises
    ------
    FileFormatError
        If a file differs from the bundled one.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium
    >>> snapshots = load_aluminium()
    >>> len(snapshots), snapshots[0]
    (8, Snapshot(Al4, grid 18x18x18, 81 energies -6…10 eV, 298 K, ldos, density))
    >>> larger = load_aluminium(n_atoms=32)
    >>> larger[0].reference["ados"].shape
    (32, 81)
    >>> len([s for s in larger if s.reference["split"] == "train"])
    96
    """
    check_option("n_atoms", n_atoms, tuple(TEMPERATURES))
    check_option("temperature", temperature, (None, *TEMPERATURES[n_atoms]))
    if n_atoms == 32:
        snapshots = read_bundle(FILE_32, {"Al": "Al.pz-vbc.UPF"})
        return SnapshotList([s for s in snapshots if temperature in (None, s.temperature)])
    temperatures = TEMPERATURES[4] if temperature is None else (temperature,)
    names = [
        f"Al4_{int(t)}K_{i}.npz" for t in temperatures for i in range(SNAPSHOTS_PER_TEMPERATURE)
    ]
    return SnapshotList([_read(name) for name in names])


def load_aluminium_pseudopotentials():
    """Load the parts of the bundled snapshots' pseudopotential that total energies need.

    The pseudopotential is ``Al.pz-vbc.UPF`` of Quantum ESPRESSO: norm-conserving, three valence
    electrons, no core correction.

    Returns
    -------
    dict of str to Pseudopotential
        The pseudopotential of aluminium.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium_pseudopotentials
    >>> load_aluminium_pseudopotentials()
    {'Al': Pseudopotential(Al, valence 3, lda-pz, norm-conserving)}
    """
    return {"Al": Pseudopotential("Al", 3, functional="lda-pz")}


def aluminium_recipe(**options):
    """Return the recipe with which the bundled snapshots were calculated.

    The snapshots contain their temperature, so
    ``aluminium_recipe().run(load_aluminium(), directory)`` calculates them again, in half a minute
    each.

    Parameters
    ----------
    **options
        Arguments of :class:`EspressoRecipe` to change, such as `pseudo_dir`, the folder of
        ``Al.pz-vbc.UPF``, or `command`, or a temperature for other atoms.

    Returns
    -------
    EspressoRecipe
        With a cutoff of 12 Ry and 8×8×8 k points.

    Examples
    --------
    >>> from skldos.datasets import aluminium_recipe
    >>> aluminium_recipe(command="mpirun -np 2 pw.x -nk 2").energies
    EnergyGrid(81 energies from -6 to 10 eV, gaussian broadening 0.4 eV)
    """
    # Imported on first use, because the import takes a second.
    from skldos.datasets.recipe.recipe import EspressoRecipe

    settings = {
        "pseudopotentials": {"Al": "Al.pz-vbc.UPF"},
        "energies": EnergyGrid.regular(-6.0, 0.2, 81, broadening=0.4, kernel="gaussian"),
        "ecutwfc": 12.0,
        "kpts": (8, 8, 8),
        "n_bands": 20,
        "conv_thr": 1e-8,
        "input_data": {"system": {"nosym": True}, "electrons": {"mixing_beta": 0.7}},
    }
    return EspressoRecipe(**settings | options)


def _read(name):
    snapshot = read_npz(checked_file(name))
    reference = {key: snapshot.reference[key] for key in (*ENERGIES, "forces")}
    # Unnamed: plots tell them apart by temperature.
    return snapshot.replace(reference=reference, name=None, source=None)
