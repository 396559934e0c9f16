"""The results of a run of pw.x, independent of the file they were read from."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from skldos.io.limits import check_settings
from skldos.units import BOLTZMANN

#: Kinds of smearing: names in the input, the XML file and the text output, in lower case, and
#: skldos's name.
SMEARINGS = {
    "fd": "fermi-dirac",
    "f-d": "fermi-dirac",
    "fermi-dirac": "fermi-dirac",
    "mv": "marzari-vanderbilt",
    "m-v": "marzari-vanderbilt",
    "cold": "marzari-vanderbilt",
    "marzari-vanderbilt": "marzari-vanderbilt",
    "mp": "methfessel-paxton",
    "m-p": "methfessel-paxton",
    "methfessel-paxton": "methfessel-paxton",
    "gauss": "gaussian",
    "gaussian": "gaussian",
}
#: With PAW, the energies that are available without the one-centre terms.
WITHOUT_PAW = ("total_energy", "minus_ts")
#: Labels of the isotopes of hydrogen, which differ only in mass.
ISOTOPES = ("D", "T")
#: Messages about both files of pw.x.
OTHER_SUM = (
    "the parts of the total energy do not add up: {} of it are unaccounted for, so it has a part "
    "that skldos does not support"
)
MOVED = (
    "the atoms moved by {:.2g} Å after the last self-consistent calculation; run calculation='scf' "
    "for the geometry that you need"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class _RunSettings:
    """What all steps of a run share; see :class:`EspressoRun`."""

    path: Path
    n_electrons: float
    occupations_kind: str
    width: float
    width_error: float = 0.0
    ecutwfc: float
    ecutrho: float
    charge: float | None
    functional: str | None
    kind: str
    pseudopotentials: dict

    @property
    def smearing(self):
        """Name of the smearing; None with tetrahedra and with fixed or given occupations."""
        return self.occupations_kind if self.occupations_kind in SMEARINGS.values() else None

    @property
    def temperature(self):
        """Electronic temperature in K; None if the smearing is not thermal."""
        if self.occupations_kind == "fixed":
            return 0.0
        return self.width / BOLTZMANN if self.smearing == "fermi-dirac" else None

    @property
    def reference(self):
        """The settings under the names of :attr:`skldos.Snapshot.reference`, or None."""
        return {
            "ecutwfc": self.ecutwfc,
            "ecutrho": self.ecutrho,
            "functional": self.functional,
            "charge": self.charge,
            "occupations": self.occupations_kind,
            "pseudopotentials": self.pseudopotentials or None,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class EspressoRun(_RunSettings):
    """A self-consistent calculation of Quantum ESPRESSO without spin, in eV and Å.

    Attributes
    ----------
    path : pathlib.Path
        The file that was read.
    atoms : ase.Atoms
        The atoms that all results belong to.
    grid_shape : tuple of 3 int
        The dense FFT grid.
    n_electrons : float
        Number of valence electrons.
    weights : ndarray of shape (n_kpoints,)
        Weights of the k points; they sum to 2, for the two spins.
    eigenvalues : ndarray of shape (n_kpoints, n_bands)
        Energies of the states in eV.
    occupations : ndarray of shape (n_kpoints, n_bands) or None
        Occupations between 0 and 1 (a little beyond with some smearings).
    fermi_energy : float or None
        Fermi level in eV; None with occupations that are fixed or were given.
    occupations_kind : str
        Where the occupations come from: the name of a smearing, ``"fermi-dirac"``,
        ``"gaussian"``, ``"methfessel-paxton"`` or ``"marzari-vanderbilt"``; ``"tetrahedra"``,
        ``"fixed"`` or ``"from-input"``.
    width : float
        Width of the smearing in eV; 0 without one.
    width_error : float
        Uncertainty of `width` in eV, because of its few digits.
    ecutwfc, ecutrho : float
        Cutoffs of wavefunctions and density in Ry.
    energies : dict of str to float
        Energies in eV under the names of :attr:`skldos.Snapshot.reference`.
    forces : ndarray of shape (n_atoms, 3) or None
        Forces in eV/Å.
    stress : ndarray of shape (3, 3) or None
        Stress in eV/Å³, positive if the cell tends to shrink.
    charge : float or None
        Charge of the cell in units of e; positive if electrons are missing.
    functional : str or None
        Exchange-correlation functional, under skldos's name if skldos has it.
    kind : {"norm-conserving", "ultrasoft", "paw"}
        The softest of the pseudopotentials.
    pseudopotentials : dict of str to str
        Name of the pseudopotential file of every chemical symbol.
    save_directory : pathlib.Path or None
        The folder ``prefix.save``; None if the run was read from its text output.
    gamma_only : bool
        Whether only half of the plane waves are stored, as the wavefunctions are real.
    rotations : ndarray of shape (n_symmetries, 3, 3) of int
        The symmetries that reduced the k points, as in the file: pw.x's matrices s(i, j) in
        crystal axes. Empty for the text output.
    translations : ndarray of shape (n_symmetries, 3)
        Their fractional translations.
    assume_isolated : {"2D"} or None
        Boundary conditions other than those of a crystal.
    """

    atoms: Atoms
    grid_shape: tuple
    weights: np.ndarray
    eigenvalues: np.ndarray
    occupations: np.ndarray | None
    fermi_energy: float | None
    energies: dict
    forces: np.ndarray | None
    stress: np.ndarray | None
    gamma_only: bool
    assume_isolated: str | None
    save_directory: Path | None = None
    rotations: np.ndarray = field(default_factory=lambda: np.zeros((0, 3, 3), dtype=int))
    translations: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))

    @property
    def results(self):
        """Energies in eV, forces in eV/Å and stress in eV/Å³ by name, None if missing."""
        return {**self.energies, "forces": self.forces, "stress": self.stress}

    def band_energy(self):
        """Return Σ_kn w_k f_kn ε_kn in eV, or None if the occupations are not known."""
        if self.occupations is None:
            return None
        return float(self.weights @ (self.occupations * self.eigenvalues).sum(axis=1))


def checked_settings(**settings):
    """Return what all steps of a run share, after checks that such numbers are possible."""
    settings = _RunSettings(**settings)
    check_settings(settings)
    return settings


def smearing_name(word):
    """Return skldos's name of a smearing; raise a ``ValueError`` if it is unknown."""
    if word.lower() not in SMEARINGS:
        raise ValueError(f"unknown smearing {word.lower()!r}, expected one of {sorted(SMEARINGS)}")
    return SMEARINGS[word.lower()]


def add_pseudopotential(files, label, file):
    """Add the file of a species to a mapping by element, which can have one file only."""
    symbol = chemical_symbol(label)
    if files.setdefault(symbol, file) != file:
        raise ValueError(
            f"expected one pseudopotential for {symbol}, got {files[symbol]} and {file}"
        )


def chemical_symbol(label):
    """Return the chemical symbol in a label of pw.x such as ``Fe1`` or ``O_surface``.

    ``D`` and ``T`` are the isotopes of hydrogen, unless they begin another symbol (``Dy``, ``Ti``).
    A label without a symbol is a ``ValueError``.

    Examples
    --------
    >>> chemical_symbol("Fe1"), chemical_symbol("C_h"), chemical_symbol("CO"), chemical_symbol("D2")
    ('Fe', 'C', 'Co', 'H')
    """
    letters = re.match("[A-Za-z]*", label.strip())[0].capitalize()
    for symbol in (letters[:2], letters[:1]):
        if atomic_numbers.get(symbol, 0) > 0:
            return symbol
        if symbol in ISOTOPES:
            return "H"
    raise ValueError(f"no chemical symbol in the label {label!r}")
