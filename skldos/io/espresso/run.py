"""The results of a run of pw.x, independent of the file they were read from."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

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
ONE_PSEUDOPOTENTIAL = "expected one pseudopotential for {}, got {} and {}"
#: Labels of the isotopes of hydrogen, which differ only in mass.
ISOTOPES = ("D", "T")


@dataclass(frozen=True, eq=False)
class EspressoRun:
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
        Where the occupations come from: the name of the `smearing`, ``"tetrahedra"``,
        ``"fixed"`` or ``"from-input"``.
    charge : float or None
        Charge of the cell in units of e; positive if electrons are missing.
    smearing : str or None
        ``"fermi-dirac"``, ``"gaussian"``, ``"methfessel-paxton"`` or ``"marzari-vanderbilt"``;
        None with fixed or given occupations or tetrahedra.
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
    pseudopotentials : dict of str to str
        Name of the pseudopotential file of every chemical symbol.
    functional : str or None
        Exchange-correlation functional, under skldos's name if skldos has it.
    kind : {"norm-conserving", "ultrasoft", "paw"}
        The softest of the pseudopotentials.
    save_directory : pathlib.Path or None
        The folder ``prefix.save``; None if the run was read from its text output.
    gamma_only : bool
        Whether only half of the plane waves are stored, as the wavefunctions are real.
    fixed_occupations : bool
        Whether the lowest bands are full and all others empty, as at zero temperature.
    rotations : ndarray of shape (n_symmetries, 3, 3) of int
        The symmetries that reduced the k points, as in the file: pw.x's matrices s(i, j) in
        crystal axes. Empty for the text output.
    translations : ndarray of shape (n_symmetries, 3)
        Their fractional translations.
    assume_isolated : {"2D"} or None
        Boundary conditions other than those of a crystal.
    """

    path: Path
    atoms: Atoms
    grid_shape: tuple
    n_electrons: float
    weights: np.ndarray
    eigenvalues: np.ndarray
    occupations: np.ndarray | None
    fermi_energy: float | None
    smearing: str | None
    width: float
    ecutwfc: float
    ecutrho: float
    energies: dict
    forces: np.ndarray | None = None
    stress: np.ndarray | None = None
    pseudopotentials: dict = field(default_factory=dict)
    functional: str | None = None
    kind: str = "norm-conserving"
    save_directory: Path | None = None
    gamma_only: bool = False
    width_error: float = 0.0
    fixed_occupations: bool = False
    occupations_kind: str | None = None
    charge: float | None = None
    rotations: np.ndarray = field(default_factory=lambda: np.zeros((0, 3, 3), dtype=int))
    translations: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    assume_isolated: str | None = None

    @property
    def temperature(self):
        """Electronic temperature in K; None if the smearing is not thermal."""
        if self.fixed_occupations:
            return 0.0
        return self.width / BOLTZMANN if self.smearing == "fermi-dirac" else None

    def band_energy(self):
        """Return Σ_kn w_k f_kn ε_kn in eV, or None if the occupations are not known."""
        if self.occupations is None:
            return None
        return float(self.weights @ (self.occupations * self.eigenvalues).sum(axis=1))


def chemical_symbol(label):
    """Return the chemical symbol in a label of pw.x such as ``Fe1`` or ``O_surface``.

    ``D`` and ``T`` are the isotopes of hydrogen, unless they begin another symbol (``Dy``, ``Ti``).

    Raises
    ------
    ValueError
        If the label has no chemical symbol.

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
