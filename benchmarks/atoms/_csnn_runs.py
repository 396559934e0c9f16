"""Data, networks and ridge regressions of `csnn_factorial.py`."""

import contextlib
import copy
import json
import time

import numpy as np

from benchmarks.atoms._models import make, soap
from benchmarks.common.energies import band_energies
from benchmarks.common.splits import kind_of, random_split, read_al32

DOS_WEIGHT = 100.0
#: Of the refit of the output layer.
RIDGES = (1e-2, 1e-4, 1e-6)


class Data:
    """The snapshots, their DOS of atoms, and environments computed on demand."""

    def __init__(self, folder, memory):
        from skldos.decomposition import ADOSDecomposer

        self.snapshots, self.names = read_al32(folder)
        targets = ADOSDecomposer(memory=str(memory)).fit_transform(self.snapshots)
        self.y = [np.asarray(block) for block in targets]
        self.true = self.band_energies(self.y)
        self._blocks = {}

    def environments(self, lazy, options):
        """Return environments, in memory unless they must be rotated."""
        from skldos import AtomEnvTransformer

        key = json.dumps([lazy, options])
        if key not in self._blocks:
            blocks = AtomEnvTransformer(lazy=lazy, **options).fit_transform(self.snapshots)
            self._blocks[key] = list(blocks)
        return self._blocks[key]

    def band_energies(self, blocks):
        """Return band energies in meV/atom; NaN if there are too few states for a Fermi level."""
        from skldos.exceptions import FermiLevelError

        energies = np.full(len(blocks), np.nan)
        for i, (block, snapshot) in enumerate(zip(blocks, self.snapshots, strict=True)):
            with contextlib.suppress(FermiLevelError):
                (energies[i],) = band_energies([block.sum(axis=0, dtype=float)], [snapshot])
        return energies

    def features(self, options):
        """Return SOAP vectors, or power spectra of environments if `options` are given."""
        if options is None:
            return list(make(*soap()).fit_transform(self.snapshots))
        return power_spectra(self.environments(False, options), options["subdivisions"])

    def errors(self, model, X, job, **labels):
        """Return one row for every snapshot with the errors of a fitted model."""
        predicted = [np.asarray(block) for block in model.predict(X)]
        errors = self.band_energies(predicted) - self.true
        _, validation, _ = random_split(self.names, job["seed"])
        rows = []
        for i, name in enumerate(self.names):
            part = "fit" if i in job["fit"] else "validation" if i in validation else "test"
            rmse = np.sqrt(np.mean((predicted[i] - self.y[i]) ** 2))
            row = {"snapshot": name, "kind": kind_of(name), "part": part}
            rows.append(row | {"error": float(errors[i]), "rmse": float(rmse)} | labels)
        return rows


def fit_network(data, job):
    """Train a network; return errors as trained and, if it is linear, after the refit."""
    from skldos.regressors import CSNNRegressor

    options, fit = job["options"], job["fit"]
    X = data.environments(options.get("augment", False), job["environment"])
    some, targets = [X[i] for i in fit], [data.y[i] for i in fit]
    start = time.perf_counter()
    model = CSNNRegressor(**options, random_state=job["seed"]).fit(some, targets)
    times = {"fit_seconds": time.perf_counter() - start}
    times["epoch_seconds"] = float(np.median(model.history_[:, "dur"]))
    times["n_weights"] = sum(weights.numel() for weights in model.module_.parameters())
    rows = data.errors(model, X, job, refit="no")
    for ridge in RIDGES if options["module__output"] == "linear" else ():
        rows += data.errors(refitted(model, some, targets, ridge), X, job, refit=f"{ridge:g}")
    return {**times, "snapshots": rows}


def refitted(model, X, y, ridge):
    """Return a copy of a trained network with its output layer refitted as by `dos_weight`."""
    import torch

    from skldos.regressors.neural.output_layer import fit_output_layer

    model = copy.deepcopy(model)
    scaled = [(block - model.target_center_) / model.target_scale_ for block in y]
    pairs = [
        [(torch.tensor(np.asarray(inputs)), torch.tensor(targets, dtype=torch.float32))]
        for inputs, targets in zip(X, scaled, strict=True)
    ]
    fit_output_layer(model.module_, pairs, DOS_WEIGHT, ridge)
    return model


def fit_ridge(data, job):
    """Fit ridge regression, with a weight on the DOS, to invariant features."""
    from sklearn.linear_model import Ridge

    from skldos.regressors.site import SiteRegressor

    X, fit = data.features(job["environment"]), job["fit"]
    start = time.perf_counter()
    model = SiteRegressor(Ridge(1e-5), dos_weight=DOS_WEIGHT)
    model.fit([X[i] for i in fit], [data.y[i] for i in fit])
    seconds = time.perf_counter() - start
    return {"fit_seconds": seconds, "snapshots": data.errors(model, X, job, refit="no")}


def power_spectra(blocks, subdivisions, hops=(0, 1, 2, 4, 8)):
    """Return invariants of environments: means over vertices of products of two spheres.

    One of the two is averaged over neighbouring vertices `hops` times, which corresponds to the
    angular momentum of a power spectrum.
    """
    from skldos.geometry.sphere import icosphere

    neighbors = icosphere(subdivisions).neighbors
    mean = np.eye(len(neighbors))
    for row, members in zip(mean, neighbors, strict=True):
        row[members[members >= 0]] = 1
    mean /= mean.sum(axis=1, keepdims=True)
    features = []
    for block in blocks:
        x = np.asarray(block, dtype=float)
        upper = np.triu_indices(x.shape[1])
        turned = (x @ np.linalg.matrix_power(mean, k).T for k in hops)
        products = [np.einsum("isv,itv->ist", x, z) for z in turned]
        rows = np.concatenate([(p + p.swapaxes(1, 2))[:, *upper] for p in products], axis=1)
        features.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return features
