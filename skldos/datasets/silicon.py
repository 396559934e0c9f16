"""Real data that come with the package: silicon with a few defects."""

import hashlib
import json
from importlib.resources import files

import numpy as np
from ase import Atoms

from skldos._validation import check_option
from skldos.data import Snapshot, SnapshotList
from skldos.exceptions import FileFormatError
from skldos.physics import Pseudopotential
from skldos.units import BOHR

KINDS = ("crystal", "strained", "vacancy", "interstitial", "amorphous")
FILE = "silicon.npz"
#: Coefficients in 1/bohr³ of Gaussians with exponents from 0.05 to 4 bohr⁻², each 4/0.05 to the
#: power of 1/9 times the one before: the valence density of the free atom of Si.pz-vbc.UPF, with a
#: relative root mean square error of 3e-4.
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
    """Load the bundled density-functional snapshots of silicon.

    Small cells of crystalline, strained, defective and amorphous silicon, with the density and
    the energies and forces of Quantum ESPRESSO, but without an LDOS. ``reference["kind"]`` says
    which is which. How they were made stands in the README beside the file.

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
        If the file is not the one that was bundled.

    Examples
    --------
    >>> from skldos.datasets import load_silicon
    >>> snapshots = load_silicon()
    >>> snapshots[0]
    Snapshot(Si8, grid 24x24x24, 600 K, density)
    """
    check_option("kind", kind, (None, *KINDS))
    folder = files("skldos.datasets") / "data"
    sums = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    found = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    if found != sums[FILE]:
        raise FileFormatError(f"expected the checksum {sums[FILE]}, got {found}", folder / FILE)
    with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as data:
        records = json.loads(str(data["records"]))
        snapshots = [_snapshot(record, data, i) for i, record in enumerate(records)]
    wanted = KINDS if kind is None else (kind,)
    return SnapshotList([s for k in wanted for s in snapshots if s.reference["kind"] == k])


def load_silicon_pseudopotentials():
    """Return what the change of the potential of the bundled snapshots needs.

    Valence, functional and free atom of ``Si.pz-vbc.UPF``, as Quantum ESPRESSO distributes it:
    norm-conserving, four valence electrons, no core correction. The density of the free atom is a
    sum of Gaussians that follows that of the file.

    Returns
    -------
    dict of str to Pseudopotential
        That of silicon.

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
    """Return the snapshot of a record, with the arrays of this number."""
    positions, cell = data[f"positions_{i}"], data[f"cell_{i}"]
    # Stored in half precision after scaling to its range
    density = data[f"density_{i}"].astype(np.float32) / np.float32(data["density_scale"])
    return Snapshot(
        Atoms(f"Si{len(positions)}", positions=positions, cell=cell, pbc=True),
        temperature=record["temperature"],
        n_electrons=4.0 * len(positions),
        density=density,
        reference=record["reference"] | {"forces": data[f"forces_{i}"]},
    )
