"""What the studies of searches and scores share: thinned snapshots in two halves, kept results."""

import json

import numpy as np
from _snapshots import read_snapshot

#: Which grid points are kept in each direction, by system.
STEPS = {"al4": 2, "al32": 3}


def thinned(snapshot, step):
    """Return a snapshot with every `step`-th point of the grid in each direction."""
    ldos = snapshot.ldos[::step, ::step, ::step]
    return snapshot.replace(ldos=np.ascontiguousarray(ldos), density=None, grid_shape=None)


def read_system(data, system, thin=True):
    """Return snapshots and the two halves: indices of every second one of a kind, and the rest."""
    paths = sorted((data / system).glob("*.npz"))
    if not paths:
        raise SystemExit(f"no {system} snapshots under {data}: give the folder by --data")
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


def cached(path, compute, *arguments):
    """Return what `path` holds, or what `compute` returns, which it will hold from then on."""
    if path.exists():
        return json.loads(path.read_text())
    result = compute(*arguments)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))
    return result
