r"""The total free energy of an LDOS, in the bookkeeping of Quantum ESPRESSO's pw.x.

.. math::

    A = \underbrace{\int E f D\,dE}_{E_\mathrm{band}}
        \underbrace{- \int n\,(v_H + v_{xc})\,dr}_\mathrm{deband}
        + E_H[n] + E_{xc}[n + n_c] + E_\mathrm{Ewald} - TS

[1]_, Eq. (9). The core charge :math:`n_c` enters :math:`E_{xc}` and :math:`v_{xc}`, but neither
the density that multiplies the potentials nor :math:`E_H`.

References
----------
.. [1] J. A. Ellis et al., "Accelerating finite-temperature Kohn-Sham density functional theory
   with deep neural networks", Phys. Rev. B 104, 035120 (2021).
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from skldos.physics.arrays import autograd, to_float64
from skldos.physics.density import density as electron_density
from skldos.physics.dos import band_energy, dos_from_ldos, entropy
from skldos.physics.dos import n_electrons as count_electrons
from skldos.physics.fermi import fermi_level as solve_fermi_level
from skldos.physics.structure import Structure, check_electrons, common_functional
from skldos.physics.terms import (
    core_charge,
    ewald,
    exchange_correlation,
    hartree,
    has_core_charge,
    low_pass,
)
from skldos.physics.terms.checks import warn_of_low_cutoff
from skldos.units import RYDBERG

#: Fraction of the electrons by which a given Fermi level may be off. Because of the broadening (0.4
#: eV in aluminium), the Fermi level of the calculation is off by up to 0.8 per cent.
ELECTRON_TOLERANCE = 0.01

#: Sums that pw.x prints, and the terms that they consist of.
PW_NAMES = {
    "one-electron contribution": ("band", "deband"),
    "hartree contribution": ("hartree",),
    "xc contribution": ("xc",),
    "ewald contribution": ("ewald",),
    "smearing contrib. (-TS)": ("minus_ts",),
    "total energy (A)": ("band", "deband", "hartree", "xc", "ewald", "minus_ts"),
}


@dataclass(frozen=True)
class TotalEnergy:
    """The terms of a total free energy in eV; they sum to :attr:`total`.

    Attributes
    ----------
    band : float or tensor
        Band energy, the integral of E f D.
    deband : float or tensor
        Minus the integral of the density times its Hartree and exchange-correlation potential.
    hartree, xc, ewald : float or tensor
        Hartree, exchange-correlation and ion-ion energy.
    minus_ts : float or tensor
        Entropy term -TS.
    fermi_level : float or tensor
        Fermi level; not part of the sum.

    Examples
    --------
    >>> print(TotalEnergy(1.0, -2.0, 0.5, -3.0, -4.0, -0.1, fermi_level=8.0))
                                       eV             Ry
    one-electron contribution    -1.000000    -0.07349864
    hartree contribution          0.500000     0.03674932
    xc contribution              -3.000000    -0.22049593
    ewald contribution           -4.000000    -0.29399458
    smearing contrib. (-TS)      -0.100000    -0.00734986
    total energy (A)             -7.600000    -0.55858970
    band energy                   1.000000     0.07349864
    Fermi level                   8.000000     0.58798915
    """

    band: float
    deband: float
    hartree: float
    xc: float
    ewald: float
    minus_ts: float
    fermi_level: float

    @property
    def total(self):
        """Total free energy A, which pw.x prints after its exclamation mark."""
        return self.band + self.deband + self.hartree + self.xc + self.ewald + self.minus_ts

    @property
    def one_electron(self):
        """`band` + `deband`, which pw.x prints as one-electron contribution."""
        return self.band + self.deband

    def __str__(self):
        rows = [
            (name, sum(_as_float(getattr(self, part)) for part in parts))
            for name, parts in PW_NAMES.items()
        ]
        rows += [
            ("band energy", _as_float(self.band)),
            ("Fermi level", _as_float(self.fermi_level)),
        ]
        lines = [f"{'':25s}{'eV':>12s}{'Ry':>15s}"]
        lines += [f"{name:25s}{value:12.6f}{value / RYDBERG:15.8f}" for name, value in rows]
        return "\n".join(lines)


def total_energy(
    ldos,
    energies,
    *,
    atoms,
    temperature,
    n_electrons,
    pseudopotentials,
    functional=None,
    density_cutoff=None,
    fermi_level=None,
    assume_isolated=None,
):
    r"""Total free energy :math:`A = E_\mathrm{band} + \dots - TS` of an LDOS, term by term.

    See the module for the formula.

    Parameters
    ----------
    ldos : tensor or ndarray of shape (n_x, n_y, n_z, n_energies)
        d(r, E) in 1/(eV Å³), spin factor included, on the FFT grid of the cell. A memory map is
        read in pieces.
    energies : tensor or ndarray of shape (n_energies,)
        Strictly increasing, in eV.
    atoms : ase.Atoms
        Or anything with its `positions` (Å), `cell` (Å, vectors as rows) and `symbols`. Positions
        and cell may be tensors, and are then differentiated.
    temperature : float
        Electronic temperature in K.
    n_electrons : float
        Number of valence electrons; must be the sum of the valences.
    pseudopotentials : mapping of str to Pseudopotential
        One per element, as :func:`skldos.io.read_upf` returns it.
    functional : {"lda-pz", "lda-pw", "pbe", "pbesol"}, optional
        Exchange-correlation functional; None uses the functional of the pseudopotentials.
    density_cutoff : float, optional
        Kinetic energy in eV of the shortest waves of the density (pw.x: ecutrho); shorter ones
        are left out, as pw.x does. None keeps all that the grid holds.
    fermi_level : float, optional
        μ in eV; None (recommended) computes it from the LDOS and `n_electrons`. A value that gives
        another number of electrons causes a warning.
    assume_isolated : {"2D"}, optional
        Boundary conditions of a slab, as pw.x calls them; see :func:`hartree`. The local part of
        the pseudopotentials, which is cut off too, enters only through the band energies.

    Returns
    -------
    TotalEnergy
        Terms in eV: tensors with gradients if a tensor came in, floats otherwise.

    Raises
    ------
    FermiLevelError
        If the energies cannot hold all electrons.
    ValueError
        If shapes disagree, an element has no pseudopotential or a PAW one (its one-centre terms are
        not computed), the valences do not sum to `n_electrons`, or the functional is unknown.

    Warns
    -----
    UserWarning
        If the given `fermi_level` does not give `n_electrons` within one per cent.

    Examples
    --------
    >>> from skldos.datasets import load_aluminium
    >>> from skldos.physics import Pseudopotential, total_energy
    >>> snapshot = load_aluminium(temperature=298)[0]
    >>> energy = total_energy(
    ...     snapshot.ldos,
    ...     snapshot.energies,
    ...     atoms=snapshot.atoms,
    ...     temperature=snapshot.temperature,
    ...     n_electrons=snapshot.n_electrons,
    ...     pseudopotentials={"Al": Pseudopotential("Al", 3, functional="lda-pz")},
    ... )
    >>> round(energy.total, 2), round(snapshot.reference["total_energy"], 2)
    (-227.56, -227.5)
    """
    structure = Structure.of(atoms)
    check_electrons(structure.symbols, pseudopotentials, n_electrons)
    settings = {"temperature": temperature, "n_electrons": n_electrons, "fermi_level": fermi_level}
    check_ldos(ldos)
    inputs = (ldos, energies, structure.positions, structure.cell)
    keep_tensors = any(isinstance(value, torch.Tensor) for value in inputs)
    with torch.set_grad_enabled(keep_tensors and torch.is_grad_enabled()):
        structure = structure.to_tensors()
        voxel = structure.volume / np.prod(ldos.shape[:3])
        dos = dos_from_ldos(ldos, voxel)
        energies = to_float64("energies", energies, dos.device)
        if fermi_level is not None:
            _check_fermi_level(dos, energies, **settings)
        bands = band_terms(dos, energies, **settings)
        n = electron_density(
            ldos, energies, temperature=temperature, fermi_level=bands["fermi_level"]
        )
        terms = density_terms(
            n, structure, pseudopotentials, functional, density_cutoff, assume_isolated
        )
    return breakdown(bands | terms, keep=keep_tensors)


@autograd(False)
def energy_of_fields(
    dos,
    density,
    energies,
    *,
    atoms,
    temperature,
    n_electrons,
    fermi_level,
    pseudopotentials,
    **terms,
):
    """Compute :func:`total_energy` from the DOS and density at the Fermi level, without the LDOS.

    The DOS has shape (n_energies,), in 1/eV, and the density (n_x, n_y, n_z), in 1/Å³.
    """
    structure = Structure.of(atoms)
    check_electrons(structure.symbols, pseudopotentials, n_electrons)
    settings = {"temperature": temperature, "n_electrons": n_electrons, "fermi_level": fermi_level}
    dos, energies = to_float64("dos", dos), to_float64("energies", energies)
    bands = band_terms(dos, energies, **settings)
    density = to_float64("density", density)
    terms = density_terms(density, structure.to_tensors(), pseudopotentials, **terms)
    return breakdown(bands | terms, keep=False)


def _check_fermi_level(dos, energies, *, temperature, n_electrons, fermi_level):
    """Warn if a Fermi level does not give the right number of electrons."""
    state = {"temperature": temperature, "fermi_level": fermi_level}
    electrons = float(count_electrons(dos.detach(), energies.detach(), **state))
    if abs(electrons - float(n_electrons)) > ELECTRON_TOLERANCE * float(n_electrons):
        warnings.warn(
            f"fermi_level={float(fermi_level):g} eV holds {electrons:.6g} electrons instead of "
            f"n_electrons={float(n_electrons):g}, so the total energy is wrong. Leave out "
            "fermi_level to compute it from the LDOS.",
            UserWarning,
            stacklevel=3,
        )


def breakdown(terms, *, keep):
    """Return terms as a :class:`TotalEnergy` of floats, or of tensors with gradients if `keep`."""
    absurd = [name for name, value in terms.items() if not math.isfinite(_as_float(value))]
    if absurd:
        raise ValueError(
            f"the terms of the total energy must be finite, got {_as_float(terms[absurd[0]])} for "
            f"{absurd[0]}: is the LDOS in 1/(eV Å³)?"
        )
    if not keep:
        terms = {name: _as_float(value) for name, value in terms.items()}
    return TotalEnergy(**terms)


def _as_float(value):
    return value.item() if isinstance(value, torch.Tensor) else float(value)


def band_terms(dos, energies, *, temperature, n_electrons, fermi_level=None):
    """Fermi level (unless given), band energy and -TS of a density of states, in eV."""
    state, mu = {"temperature": temperature}, fermi_level
    if mu is None:
        mu = solve_fermi_level(dos, energies, n_electrons=n_electrons, **state)
    return {
        "band": band_energy(dos, energies, fermi_level=mu, **state),
        "minus_ts": entropy(dos, energies, fermi_level=mu, **state),
        "fermi_level": mu,
    }


def density_terms(
    density, structure, pseudopotentials, functional=None, density_cutoff=None, assume_isolated=None
):
    """Terms in eV that the valence density, a tensor in 1/Å³, and the ions determine, by name."""
    functional = common_functional(structure.symbols, pseudopotentials, functional)
    cell = structure.cell
    n = low_pass(density, cell, density_cutoff=density_cutoff)
    warn_of_low_cutoff(density_cutoff, cell, density.shape[-3:])
    core = None
    if has_core_charge({s: pseudopotentials[s] for s in set(structure.symbols)}):
        core = core_charge(
            structure.positions,
            cell,
            tuple(n.shape),
            structure.symbols,
            pseudopotentials,
            density_cutoff=density_cutoff,
        )
    E_H, v_H = hartree(n, cell, assume_isolated=assume_isolated)
    E_xc, v_xc = exchange_correlation(n, cell, functional=functional, core_density=core)
    charges = to_float64(
        "charges", [pseudopotentials[symbol].valence for symbol in structure.symbols], n.device
    )
    return {
        # -∫ n (v_H + v_xc[n + n_c]): the core charge is in v_xc, but not in n
        "deband": -(n * (v_H + v_xc)).sum() * structure.volume / n.numel(),
        "hartree": E_H,
        "xc": E_xc,
        "ewald": ewald(structure.positions, cell, charges, assume_isolated=assume_isolated),
    }


def check_ldos(ldos):
    """Raise a ``ValueError`` unless an LDOS, an array of any kind, is on a grid."""
    shape = tuple(getattr(ldos, "shape", np.shape(ldos)))
    if len(shape) != 4:
        raise ValueError(f"ldos must have shape (n_x, n_y, n_z, n_energies), got {shape}.")
