"""Shared data of the studies of searches and scores: thinned snapshots in two halves."""

from benchmarks.common.snapshots import read_snapshot, thinned
from benchmarks.common.splits import paths_of

#: Which grid points are kept in each direction, by system.
STEPS = {"al4": 2, "al32": 3}


def read_system(data, system, thin=True):
    """Return snapshots and the two halves: indices of every second one of a kind, and the rest."""
    paths = paths_of(data, system)
    step = STEPS[system] if thin else 1
    snapshots = [thinned(read_snapshot(path), step) for path in paths]
    # In the order of their names, kinds follow each other.
    everything = list(range(len(paths)))
    return snapshots, (everything[::2], everything[1::2])


def standardised(snapshots):
    """Return blocks of standardised bispectra."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import GridSNAPTransformer, RowWise

    head = make_pipeline(GridSNAPTransformer(), RowWise(StandardScaler()))
    return head.fit_transform(snapshots)
