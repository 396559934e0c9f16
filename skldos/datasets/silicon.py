"""Bundled data: silicon with a few defects."""

import json

import numpy as np
from ase import Atoms

from skldos.data import Snapshot, SnapshotList
from skldos.datasets.bundles import checked_file
from skldos.physics import Pseudopotential
from skldos.units import BOHR
from skldos.validation import check_option

KINDS = ("crystal", "strained", "vacancy", "interstitial", "amorphous")
FILE = "silicon.npz"
#: Coefficients in 1/bohr³ of Gaussians with exponents from 0.05 to 4 bohr⁻², spaced by factors of
#: (4/0.05)^(1/9). They fit the valence density of the free atom of Si.pz-vbc.UPF, with a relative
#: root mean square error of 3e-4.
FREE_ATOM = (
    6.94344005e-05,
    4.81589734e-04,
    7.02441105e-03,
    2.14101366e-02,
    7.24755826e-02,
    5.48037578e-02,
    -2.28190392e-02,
    -3.27595746e-01,
    2.41279690e-01,
    -4.40764716e-02,
)


def load_silicon(*, kind=None):
    """Load the bundled DFT snapshots of silicon.

    Small cells of crystalline, strained, defective and amorphous silicon, with the density and
    the energies and forces of Quantum ESPRESSO, but without an LDOS. ``reference["kind"]`` is the
    kind of each snapshot. The README next to the file describes the calculations.

    Parameters
    ----------
    kind : {"crystal", "strained", "vacancy", "interstitial", "amorphous"}, optional
        Return only snapshots of this kind.

    Returns
    -------
    SnapshotList
        Snapshots, in the order of the kinds.

    Raises
    ------
    FileFormatError
        If the file differs from the bundled one.

    Examples
    --------
    >>> from skldos.datasets import load_silicon
    >>> snapshots = load_silicon()
    >>> snapshots[0]
    Snapshot(Si8, grid 24x24x24, 600 K, density)
    """
    check_option("kind", kind, (None, *KINDS))
    with np.load(checked_file(FILE), allow_pickle=False) as data:
        records = json.loads(str(data["records"]))
        snapshots = [_snapshot(record, data, i) for i, record in enumerate(records)]
    kinds = KINDS if kind is None else (kind,)
    return SnapshotList([s for k in kinds for s in snapshots if s.reference["kind"] == k])


def load_silicon_pseudopotentials():
    """Load the parts of the bundled snapshots' pseudopotential that potentials need.

    Valence, functional and free-atom density of ``Si.pz-vbc.UPF`` of Quantum ESPRESSO:
    norm-conserving, four valence electrons, no core correction. A sum of Gaussians approximates the
    free-atom density of the file.

    Returns
    -------
    dict of str to Pseudopotential
        The pseudopotential of silicon.

    Examples
    --------
    >>> from skldos.datasets import load_silicon_pseudopotentials
    >>> load_silicon_pseudopotentials()
    {'Si': Pseudopotential(Si, valence 4, lda-pz, norm-conserving)}
    """
    radii = np.linspace(0, 10, 501)  # bohr
    exponents = np.geomspace(0.05, 4.0, len(FREE_ATOM))
    density = np.exp(-exponents * radii[:, None] ** 2) @ FREE_ATOM
    silicon = Pseudopotential(
        "Si",
        4,
        functional="lda-pz",
        radii=radii * BOHR,
        radial_weights=np.full(len(radii), radii[1] * BOHR),
        atomic_density=density / BOHR**3,
    )
    return {"Si": silicon}


def _snapshot(record, data, i):
    """Return the snapshot of a record, with its arrays."""
    positions, cell = data[f"positions_{i}"], data[f"cell_{i}"]
    # Stored in half precision, scaled to its range
    density = data[f"density_{i}"].astype(np.float32) / np.float32(data["density_scale"])
    return Snapshot(
        Atoms(f"Si{len(positions)}", positions=positions, cell=cell, pbc=True),
        temperature=record["temperature"],
        n_electrons=4.0 * len(positions),
        density=density,
        reference=record["reference"] | {"forces": data[f"forces_{i}"]},
    )
