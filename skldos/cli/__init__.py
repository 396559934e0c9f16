"""The command line: ``skldos COMMAND``."""

import os

# numpy's threads keep a core busy for a tenth of a second after each product of matrices, while
# they wait for the next one; with this, for 2**20 cycles. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

from skldos.cli.main import main

__all__ = ["main"]
