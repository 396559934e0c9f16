"""Data and models of `learning_curve.py`: fitted to some snapshots, they predict others."""

import itertools
from functools import partial

import numpy as np

from benchmarks.atoms import _against_grid_models
from benchmarks.atoms._csnn_runs import refitted
from benchmarks.atoms._models import soap
from benchmarks.common.energies import band_energies
from benchmarks.common.harness import OUTPUT
from benchmarks.common.snapshots import read_snapshot

#: SOAP descriptors of "anew".
CUTOFFS, WIDTHS = (4.0, 6.0), (0.6, 0.9, 1.2)
#: Penalties of the refit of an output layer; None leaves it as trained.
REFITS = (None, 1e-2, 1e-4, 1e-6)
#: By how much a correction of the ridge is multiplied.
SHARES = (0.0, 0.5, 1.0)
PART_TO_CHOOSE = 4


class Data:
    """Snapshots, densities of states of their atoms, and descriptors as they are asked for."""

    def __init__(self, snapshots, kind_of, folder):
        self.snapshots, self.folder = snapshots, folder
        self.names = [s.name for s in snapshots]
        self.kinds = [kind_of(s) for s in snapshots]
        self.y = [np.asarray(s.reference["ados"], dtype=float) for s in snapshots]
        self.true = self.band_energies(self.y, range(len(snapshots)))
        self._found = {}

    def band_energies(self, blocks, where):
        """Return band energies in meV/atom; not finite where too few states hold the electrons."""
        from skldos.exceptions import FermiLevelError

        energies = []
        for block, i in zip(blocks, where, strict=True):
            try:
                energies += band_energies([block.sum(axis=0)], [self.snapshots[i]]).tolist()
            except FermiLevelError:
                energies.append(np.inf)
        return np.array(energies)

    def with_ldos(self, i):
        """Return an older snapshot with its LDOS."""
        return read_snapshot(self.folder / "al32" / f"{self.names[i]}.npz")

    def blocks(self, *steps):
        """Return the blocks that a pipeline of `steps` makes of all snapshots, made once."""
        from sklearn.pipeline import make_pipeline

        return self.once(repr(steps), lambda: make_pipeline(*steps).fit_transform(self.snapshots))

    def once(self, key, compute):
        """Return what `compute` returns, from memory if the same key has been asked for before."""
        if key not in self._found:
            self._found[key] = compute()
        return self._found[key]

    def soap(self):
        """Return the SOAP vectors of the recommended model."""
        import skldos

        return self.blocks(*skldos.models.atoms(memory=str(OUTPUT / "atoms" / "blocks"))[:-1])

    def environments(self, **options):
        """Return environments of atoms on spheres."""
        from skldos import AtomEnvTransformer

        return self.blocks(AtomEnvTransformer(n_spheres=8, n_jobs=1, **options))


# --- models: (data, train, test, seed) to predicted blocks and what was chosen -------------------


def mean(data, train, test, _seed):
    row = np.concatenate([data.y[i] for i in train]).mean(axis=0)
    return [np.tile(row, (len(data.y[i]), 1)) for i in test], None


def ridge(data, train, test, _seed, **options):
    import skldos

    model = skldos.models.atoms(**options)[-1].regressor
    model.fit(data.soap()[train], [data.y[i] for i in train])
    chosen = None if options else f"{model.alpha_:g}"
    return list(model.predict(data.soap()[test])), chosen


def ridge_anew(data, train, test, _seed):
    from skldos import SiteRidgeCV

    best = None
    for r_cut, width in itertools.product(CUTOFFS, WIDTHS):
        X = data.blocks(*soap(r_cut, 12 if width < 0.6 else 8, width))
        model = SiteRidgeCV(dos_weights=(1e3, 1e5)).fit(X[train], [data.y[i] for i in train])
        if best is None or model.best_score_ > best[0].best_score_:
            best = model, X, f"{r_cut} Å, {width} Å, {model.alpha_:g}, {model.dos_weight_:g}"
    return list(best[0].predict(best[1][test])), best[2]


def small_network(seed, **options):
    """Return a network with a hidden layer on SOAP vectors."""
    import torch

    from skldos import LDOSRegressor

    torch.set_num_threads(1)
    return LDOSRegressor(
        module__hidden_layer_sizes=(100,),
        module__activation="silu",
        optimizer=torch.optim.AdamW,
        lr=3e-3,
        lr_schedule="cosine",
        max_epochs=100,
        batch_size=64,
        target_scaling="standard",
        dos_weight=None,
        random_state=seed,
        **options,
    )


def csnn(seed, **options):
    """Return the shallow spherical network of `csnn_factorial.py`."""
    import torch

    from benchmarks.atoms.csnn_factorial import BEST
    from skldos import CSNNRegressor

    torch.set_num_threads(1)
    return CSNNRegressor(**BEST | {"max_epochs": 40} | options, random_state=seed)


def paper(data, train, test, seed):
    """Train the deep network once: its output cannot be refitted."""
    import torch

    from skldos import CSNNRegressor

    torch.set_num_threads(1)
    X = data.environments(subdivisions=1)
    model = CSNNRegressor(module__factor=1, max_epochs=60, random_state=seed)
    model.fit([X[i] for i in train], [data.y[i] for i in train])
    return list(model.predict([X[i] for i in test])), None


def grid_points(data, train, test, seed, *, refit):
    """Train the network of the LDOS; return the densities of states, one row each."""
    both = data.once(f"{train} {seed}", lambda: grid_points_both(data, train, test, seed))
    return both[refit], None


def grid_points_both(data, train, test, seed):
    """Return the densities of states of the network as trained, and with its refit."""
    import torch

    from skldos import predict_dos

    torch.set_num_threads(1)
    some = [data.with_ldos(i) for i in train]
    points = [data.snapshots[i].replace(grid_shape=some[0].grid_shape) for i in test]
    models = _against_grid_models.fitted("LDOS-SNAP, thinned", seed, some, [])
    # Both are one network with other weights: the first predicts before it becomes the second.
    return [[dos[None] for dos in predict_dos(model, points)] for _, model in models]


class Network:
    """A network whose settings are chosen inside of the training set."""

    def __init__(self, make, inputs, candidates, correction=False):
        self.make, self.inputs, self.candidates = make, inputs, candidates
        self.correction = correction

    def __call__(self, data, train, test, seed):
        to_choose = held_out(data, train)
        rest = [i for i in train if i not in to_choose]
        best, chosen = np.inf, None
        for options in self.candidates:
            for variant, blocks in self.predicted(data, rest, to_choose, seed, options, None):
                errors = data.band_energies(blocks, to_choose) - data.true[to_choose]
                score = np.sqrt(np.mean(errors**2))
                if score < best or chosen is None:
                    best, chosen = score, (options, variant)
        options, variant = chosen
        ((_, blocks),) = self.predicted(data, train, test, seed, options, variant)
        return blocks, {"options": options, "variant": variant, "inner_rms": float(best)}

    def predicted(self, data, train, test, seed, options, only):
        """Yield names and predictions of the variants of a network that is trained once."""
        X = self.inputs(data, train)
        targets = [data.y[i] for i in train]
        base = [0.0] * len(test)
        if self.correction:
            targets = [y - p for y, p in zip(targets, left_out(data, train), strict=True)]
            base, _ = ridge(data, train, test, seed)
        shares = SHARES if self.correction else (1.0,)
        some = [X[i] for i in train]
        trained = self.make(seed, **options).fit(some, targets)
        for refit in REFITS if only is None else (only["refit"],):
            model = trained if refit is None else refitted(trained, some, targets, refit)
            found = [np.asarray(block) for block in model.predict([X[i] for i in test])]
            for share in shares if only is None else (only["share"],):
                blocks = [b + share * f for b, f in zip(base, found, strict=True)]
                yield {"refit": refit, "share": share}, blocks


def held_out(data, train):
    """Return a quarter of the training snapshots, of every kind at least one."""
    chosen = []
    for kind in sorted(set(data.kinds)):
        members = [i for i in train if data.kinds[i] == kind]
        chosen += members[::PART_TO_CHOOSE] if len(members) > 1 else []
    return chosen


def left_out(data, train):
    """Return what ridge regressions of the other training snapshots predict, in their order."""
    found = {}
    for fold in range(PART_TO_CHOOSE):
        out = train[fold::PART_TO_CHOOSE]
        rest = [i for i in train if i not in out]
        found |= dict(zip(out, ridge(data, rest, out, 0)[0], strict=True))
    return [found[i] for i in train]


def standardised_soap(data, train):
    """Return SOAP vectors with unit variance in the training set."""
    from sklearn.preprocessing import StandardScaler

    X = data.soap()
    scaler = StandardScaler().fit(np.concatenate([X[i] for i in train]))
    return [scaler.transform(block).astype(np.float32) for block in X]


def spheres(subdivisions):
    return lambda data, _train: data.environments(subdivisions=subdivisions, assignment="smooth")


DECAYS = [{"optimizer__weight_decay": 1.0}, {"optimizer__weight_decay": 0.1}]
DROPOUT = [{"module__dropout": 0.1}]
MODELS = {
    "mean": mean,
    "ridge": ridge,
    "ridge, fixed": partial(ridge, alpha=1e-5, dos_weight=1e5),
    "ridge, anew": ridge_anew,
    "network": Network(small_network, standardised_soap, DECAYS),
    "ridge + network": Network(small_network, standardised_soap, DECAYS, correction=True),
    "CSNN": Network(csnn, spheres(1), DROPOUT),
    "ridge + CSNN": Network(csnn, spheres(1), DROPOUT, correction=True),
    "CSNN, paper's": paper,
    "CSNN, 162": Network(csnn, spheres(2), DROPOUT),
    "LDOS-SNAP": partial(grid_points, refit=False),
    "LDOS-SNAP, refit": partial(grid_points, refit=True),
}
#: Those that learn from an LDOS.
ON_GRID = ("LDOS-SNAP", "LDOS-SNAP, refit")
