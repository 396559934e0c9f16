"""Terms of the total energy that the density and the ions determine, one module each."""

from skldos.physics.terms.core_charge import core_charge, has_core_charge
from skldos.physics.terms.ewald import ewald
from skldos.physics.terms.hartree import hartree
from skldos.physics.terms.low_pass import low_pass
from skldos.physics.terms.xc import FUNCTIONALS, exchange_correlation

__all__ = [
    "low_pass",
    "hartree",
    "exchange_correlation",
    "FUNCTIONALS",
    "core_charge",
    "has_core_charge",
    "ewald",
]
