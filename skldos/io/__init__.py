"""Readers of files from other programs, one module per format."""

from skldos.io.mala import read_mala

__all__ = ["read_mala"]
