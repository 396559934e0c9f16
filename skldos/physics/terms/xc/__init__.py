"""Exchange and correlation: one module per functional, in atomic units, and their energy."""

from skldos.physics.terms.xc.energy import FUNCTIONALS, exchange_correlation

__all__ = ["FUNCTIONALS", "exchange_correlation"]
