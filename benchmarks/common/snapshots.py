"""The aluminium data next to the repository, as snapshots."""

import numpy as np


def read_snapshot(path):
    """Return a file of the data as a Snapshot without a name."""
    from skldos.io import read_npz

    return read_npz(path).replace(name=None, source=None)


def thinned(snapshot, step):
    """Return a snapshot with every `step`-th point of the grid in each direction."""
    ldos = np.ascontiguousarray(snapshot.ldos[::step, ::step, ::step])
    return snapshot.replace(ldos=ldos, density=None)
