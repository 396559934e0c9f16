"""Exchange and correlation: one functional a module, in atomic units, and the energy of them."""

from skldos.physics.terms.xc.energy import FUNCTIONALS, exchange_correlation

__all__ = ["FUNCTIONALS", "exchange_correlation"]
