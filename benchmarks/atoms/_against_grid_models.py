"""Models of `against_grid.py`, of the LDOS of grid points and of the DOS of atoms."""

import copy

from benchmarks.atoms._models import BLOCKS, make, of_atoms, ridge, soap, two_soaps, wide_soap
from benchmarks.common.snapshots import thinned


def ldos_snap(seed, validation=None, **options):
    """Return bispectrum, scaling and network of the LDOS."""
    from sklearn.preprocessing import StandardScaler

    from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

    if validation:
        options |= {"max_epochs": 40, "early_stopping": 8, "train_split": validation}
    else:
        options |= {"max_epochs": 12, "lr_schedule": "cosine"}
    network = LDOSRegressor(
        module__hidden_layer_sizes=(400, 400),
        module__activation="leaky_relu",
        target_scaling="minmax",
        random_state=seed,
        **options,
    )
    snap = GridSNAPTransformer(dtype="float32", memory=str(BLOCKS))
    return make(snap, RowWise(StandardScaler()), network)


#: Environments and network that did best in trials; the paper's are in `_times.py`.
SPHERES = {"n_spheres": 8, "subdivisions": 2, "assignment": "smooth"}
NETWORK = {
    "module__spheres": "channels",
    "module__n_levels": 1,
    "module__factor": 16,
    "module__n_hidden": 0,
    "module__output": "linear",
    "target_scaling": "standard",
    "dos_weight": 100.0,
    "dos_ridge": 1e-2,
    "max_epochs": 60,
}


def csnn(seed, spheres=SPHERES, **options):
    """Return environments of atoms on spheres, and the spherical network."""
    from skldos import AtomEnvTransformer, CSNNRegressor

    network = CSNNRegressor(random_state=seed, **options)
    return make(AtomEnvTransformer(**spheres), *of_atoms(network))


#: Models by name, given a seed and indices of validation snapshots (None: there are none).
MODELS = {
    "LDOS-SNAP": ldos_snap,
    "LDOS-SNAP, thinned": lambda seed, validation: ldos_snap(seed),
    "ADOS-CSNN": lambda seed, validation: csnn(seed, **NETWORK),
    "ADOS-SOAP": lambda seed, validation: make(*wide_soap(), *ridge(1e-5, 1e5)),
    "ADOS-SOAP, 8 Å": lambda seed, validation: make(*soap(), *ridge(1e-5, 100.0, 1e4)),
    "ADOS-SOAP, two": lambda seed, validation: make(*two_soaps(), *ridge(1e-5, 100.0, 1e4)),
}
#: Too dear to be trained 21 times.
ONLY_SPLIT = ("LDOS-SNAP",)
#: Trained on every second grid point along each axis, an eighth of all.
THINNED = {"LDOS-SNAP, thinned": 2}


def fitted(name, seed, fit, validate):
    """Yield names and fitted models; networks of the LDOS also without the final refit."""
    if name in THINNED:
        fit, validate = [thinned(s, THINNED[name]) for s in fit], []
    elif name != "LDOS-SNAP":
        validate = []  # has nothing to choose by it
    validation = list(range(len(fit), len(fit) + len(validate))) or None
    model = MODELS[name](seed, validation)
    if not name.startswith("LDOS"):
        yield name, model.fit(fit + validate)
        return
    keep = keeper()
    model[-1].set_params(callbacks=[keep])
    network = model.fit(fit + validate)[-1].module_
    refitted = copy.deepcopy(network.state_dict())
    for variant, weights in ((name, keep.weights), (f"{name}, refit", refitted)):
        network.load_state_dict(weights)
        yield variant, model


def keeper():
    """Return a callback that keeps the weights as they were trained."""
    from skorch.callbacks import Callback

    class Keeper(Callback):
        def on_train_end(self, net, **_):
            self.weights = copy.deepcopy(net.module_.state_dict())

    return Keeper()
