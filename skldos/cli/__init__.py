"""The command line: ``skldos COMMAND``."""

from skldos.cli.main import main

__all__ = ["main"]
