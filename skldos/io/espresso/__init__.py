"""Runs of Quantum ESPRESSO: the XML file and the text output of pw.x."""

from skldos.io.espresso.reader import read_espresso

__all__ = ["read_espresso"]
