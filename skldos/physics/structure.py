"""The atoms of a total energy, and checks that their pseudopotentials fit."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch

from skldos.physics.arrays import to_float64
from skldos.physics.terms import FUNCTIONALS
from skldos.validation import check_option


@dataclass(frozen=True)
class Structure:
    """Positions, cell and species of atoms.

    Attributes
    ----------
    positions : Tensor of shape (n_atoms, 3)
        In Å.
    cell : Tensor of shape (3, 3)
        Cell vectors as rows, in Å.
    symbols : tuple of str
        Chemical symbols.
    """

    positions: torch.Tensor
    cell: torch.Tensor
    symbols: tuple

    @classmethod
    def of(cls, atoms):
        """Read them from an ``ase.Atoms`` or a similar object."""
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


def check_electrons(symbols, pseudopotentials, n_electrons):
    """Raise a ``ValueError`` unless the pseudopotentials fit the atoms and number of electrons."""
    check_every_element(symbols, pseudopotentials)
    paw = sorted({symbol for symbol in symbols if pseudopotentials[symbol].kind == "paw"})
    if paw:
        raise ValueError(
            "pseudopotentials must be norm-conserving or ultrasoft, because the one-centre terms "
            f"of PAW are not computed; got {pseudopotentials[paw[0]]!r}."
        )
    valence = sum(pseudopotentials[symbol].valence for symbol in symbols)
    # The sum that pw.x writes is rounded.
    if not abs(valence - float(n_electrons)) <= 1e-6:
        raise ValueError(
            f"n_electrons must be the sum of the valences of the pseudopotentials, {valence:g}, "
            f"got {float(n_electrons):g}."
        )


def check_every_element(symbols, pseudopotentials):
    """Raise an error unless every element has a pseudopotential."""
    if not isinstance(pseudopotentials, Mapping):
        raise TypeError(
            "pseudopotentials must be a mapping of elements to pseudopotentials, got "
            f"{pseudopotentials!r}; skldos.io.as_pseudopotentials makes one."
        )
    missing = sorted(set(symbols) - set(pseudopotentials))
    if missing:
        raise ValueError(
            f"pseudopotentials must have one for every element, got none for {missing[0]}, only "
            f"for {sorted(pseudopotentials)}."
        )


def common_functional(symbols, pseudopotentials, functional=None, used=None):
    """Return the given functional, or the common functional of all pseudopotentials.

    It must equal the functional that the calculation `used`, if known.
    """
    if functional is None:
        functionals = {pseudopotentials[symbol].functional for symbol in symbols}
        if functionals == {None} and used is not None:
            functionals = {used}
        if len(functionals) != 1 or None in functionals:
            raise ValueError(
                "functional is required unless all pseudopotentials name the same one, got "
                f"{sorted(map(str, functionals))}."
            )
        (functional,) = functionals
    if used not in (None, functional):
        raise ValueError(
            f"the calculation was made with the functional {used!r}, but energies would be "
            f"evaluated with {functional!r}: set functional to the former."
        )
    return check_option("functional", functional, FUNCTIONALS)
