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

from dataclasses import dataclass, fields

import numpy as np
import torch

from skldos._validation import check_option
from skldos.physics._arrays import to_float64
from skldos.physics.density import density as electron_density
from skldos.physics.dos import band_energy, dos_from_ldos, entropy
from skldos.physics.fermi import fermi_level as solve_fermi_level
from skldos.physics.terms import (
    FUNCTIONALS,
    core_charge,
    ewald,
    exchange_correlation,
    hartree,
    has_core_charge,
    low_pass,
)
from skldos.units import RYDBERG

#: What pw.x calls the sums of the terms, and how they are made of ours.
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
        Fermi level; not a part of the sum.

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
        """The free energy A, what pw.x prints after its exclamation mark."""
        return self.band + self.deband + self.hartree + self.xc + self.ewald + self.minus_ts

    @property
    def one_electron(self):
        """What pw.x prints as one-electron contribution: `band` + `deband`."""
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
    cutoff=None,
    fermi_level=None,
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
        Exchange-correlation functional; None takes that of the pseudopotentials.
    cutoff : float, optional
        Kinetic energy in eV of the shortest waves of the density (pw.x: ecutrho); shorter ones
        are left out, as pw.x does. None keeps all that the grid holds.
    fermi_level : float, optional
        μ in eV; None takes that of the LDOS itself, at `n_electrons`, as one should.

    Returns
    -------
    TotalEnergy
        Terms in eV: tensors with gradients if a tensor came in, floats otherwise.

    Raises
    ------
    FermiLevelError
        If the energies end before the electrons do.
    ValueError
        If shapes disagree, an element has no pseudopotential or one of the kind PAW, whose
        one-centre terms are not computed, the valences do not sum to `n_electrons`, or the
        functional is not known.

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
    given = (ldos, energies, structure.positions, structure.cell)
    keep = any(isinstance(value, torch.Tensor) for value in given)
    with torch.set_grad_enabled(keep and torch.is_grad_enabled()):
        structure = structure.to_tensors()
        voxel = structure.volume / np.prod(ldos.shape[:3])
        dos = dos_from_ldos(ldos, voxel)
        energies = to_float64("energies", energies, dos.device)
        bands = band_terms(dos, energies, **settings)
        n = electron_density(
            ldos, energies, temperature=temperature, fermi_level=bands["fermi_level"]
        )
        terms = density_terms(n, structure, pseudopotentials, functional, cutoff)
    return breakdown(bands | terms, keep=keep)


def breakdown(terms, *, keep):
    """Return terms as a :class:`TotalEnergy`; as floats unless their tensors are to `keep`."""
    if not keep:
        terms = {name: _as_float(value) for name, value in terms.items()}
    return TotalEnergy(**terms)


def _as_float(value):
    return value.item() if isinstance(value, torch.Tensor) else float(value)


def band_terms(dos, energies, *, temperature, n_electrons, fermi_level=None):
    """Fermi level, unless it is given, band energy and -TS of a density of states, in eV."""
    state, mu = {"temperature": temperature}, fermi_level
    if mu is None:
        mu = solve_fermi_level(dos, energies, n_electrons=n_electrons, **state)
    return {
        "band": band_energy(dos, energies, fermi_level=mu, **state),
        "minus_ts": entropy(dos, energies, fermi_level=mu, **state),
        "fermi_level": mu,
    }


def density_terms(density, structure, pseudopotentials, functional=None, cutoff=None):
    """Terms that the density and the ions determine, in eV.

    Parameters
    ----------
    density : tensor of shape (n_x, n_y, n_z)
        Valence density in 1/Å³.
    structure : Structure
        The ions, as tensors.
    pseudopotentials, functional, cutoff
        See :func:`total_energy`.

    Returns
    -------
    dict of str to tensor
        ``"deband"``, ``"hartree"``, ``"xc"`` and ``"ewald"``.
    """
    functional = common_functional(structure.symbols, pseudopotentials, functional)
    cell = structure.cell
    n = low_pass(density, cell, cutoff)
    core = None
    if has_core_charge({s: pseudopotentials[s] for s in set(structure.symbols)}):
        core = core_charge(
            structure.positions,
            cell,
            tuple(n.shape),
            structure.symbols,
            pseudopotentials,
            cutoff=cutoff,
        )
    E_H, v_H = hartree(n, cell)
    E_xc, v_xc = exchange_correlation(n, cell, functional=functional, core_density=core)
    charges = [pseudopotentials[symbol].valence for symbol in structure.symbols]
    return {
        # -∫ n (v_H + v_xc[n + n_c]): the core charge is in v_xc, but not in n
        "deband": -(n * (v_H + v_xc)).sum() * structure.volume / n.numel(),
        "hartree": E_H,
        "xc": E_xc,
        "ewald": ewald(structure.positions, cell, to_float64("charges", charges, n.device)),
    }


@dataclass(frozen=True)
class Structure:
    """Positions and cell (Å, vectors as rows) and chemical symbols of the atoms."""

    positions: torch.Tensor
    cell: torch.Tensor
    symbols: tuple

    @classmethod
    def of(cls, atoms):
        """Read them off an ``ase.Atoms``, or what looks like one."""
        missing = [f.name for f in fields(cls) if not hasattr(atoms, f.name)]
        if missing:
            raise TypeError(
                f"atoms must have positions, cell and symbols, got {type(atoms).__name__} "
                f"without {missing[0]}."
            )
        cell = atoms.cell if isinstance(atoms.cell, torch.Tensor) else np.asarray(atoms.cell)
        return cls(atoms.positions, cell, tuple(atoms.symbols))

    def to_tensors(self):
        """Return a copy with positions and cell as float64 tensors."""
        positions, cell = to_float64("positions", self.positions), to_float64("cell", self.cell)
        return Structure(positions, cell.to(positions.device), self.symbols)

    @property
    def volume(self):
        """Volume of the cell in Å³."""
        return torch.linalg.det(self.cell).abs()


def check_ldos(ldos):
    """Raise a ``ValueError`` unless an LDOS, an array of any kind, is on a grid."""
    shape = tuple(getattr(ldos, "shape", np.shape(ldos)))
    if len(shape) != 4:
        raise ValueError(f"ldos must have shape (n_x, n_y, n_z, n_energies), got {shape}.")


def check_electrons(symbols, pseudopotentials, n_electrons):
    """Raise a ``ValueError`` unless the pseudopotentials will do, for so many electrons."""
    missing = sorted(set(symbols) - set(pseudopotentials))
    if missing:
        raise ValueError(
            f"pseudopotentials must have one for every element, got none for {missing[0]} but "
            f"for {sorted(pseudopotentials)}."
        )
    paw = sorted({symbol for symbol in symbols if pseudopotentials[symbol].kind == "paw"})
    if paw:
        raise ValueError(
            "pseudopotentials must be norm-conserving or ultrasoft, because the one-centre terms "
            f"of PAW are not computed; got {pseudopotentials[paw[0]]!r}."
        )
    valence = sum(pseudopotentials[symbol].valence for symbol in symbols)
    # pw.x's own sum carries the rounding of a file.
    if abs(valence - float(n_electrons)) > 1e-6:
        raise ValueError(
            f"n_electrons must be the sum of the valences of the pseudopotentials, {valence:g}, "
            f"got {float(n_electrons):g}."
        )


def common_functional(symbols, pseudopotentials, functional=None):
    """Return the functional that was asked for, or that of all pseudopotentials."""
    if functional is None:
        named = {pseudopotentials[symbol].functional for symbol in symbols}
        if len(named) != 1 or None in named:
            raise ValueError(
                "the exchange-correlation functional must be given where the pseudopotentials do "
                f"not name one and the same, got {sorted(map(str, named))}."
            )
        (functional,) = named
    return check_option("functional", functional, FUNCTIONALS)
