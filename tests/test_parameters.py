"""Numeric parameters of estimators, scorers and functions: their limits, on both sides.

Nothing is computed: what has a good parameter complains of its data, or of nothing.
"""

import re

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import skldos
from skldos import (
    datasets,
    decomposition,
    geometry,
    networks,
    physics,
    plotting,
    prediction,
    scoring,
    search,
    uncertainty,
)
from skldos.calculator import MonteCarlo
from skldos.geometry.sphere import icosphere
from skldos.physics import terms
from skldos.search.study.pruners import NASWOTPruner

TINY = 1e-9
SNAPSHOTS = datasets.make_snapshots(2, grid_shape=(2, 2, 2), n_energies=3, random_state=0)
#: Above zero; not below zero; at least one, an integer; none below zero, an integer.
POSITIVE, NOT_NEGATIVE = ([TINY, 1e3], [0, -TINY]), ([0, 1e3], [-TINY])
FROM_ONE, FROM_ZERO, FROM_TWO = ([1, 7], [0, 1.5]), ([0, 7], [-1, 1.5]), ([2, 7], [1, 2.5])


def each(limits):
    """Return limits of the values in a list."""
    return tuple([[value] for value in values] for values in limits)


def of_elements(limits):
    """Return limits of a value per element."""
    return tuple([{"Al": value} for value in values] for values in limits)


NETWORK = {
    "max_epochs": FROM_ZERO,
    "batch_size": FROM_ONE,
    "lr": POSITIVE,
    "buffer_size": POSITIVE,
    "dos_weight": NOT_NEGATIVE,
    "early_stopping": FROM_ONE,
    "verbose": ([0, 2], [-1]),
}
SNAP = {
    "rmin0": NOT_NEGATIVE,
    "r_cut": ([TINY, 5.0], [0, -1.0]),
    "twojmax": FROM_ZERO,
    "rfac0": ([TINY, 1], [0, 1 + TINY]),
    "radii": of_elements(POSITIVE),
}
SOAP = {"r_cut": ([1.0, 9.0], [0, -1.0]), "sigma": ([0.1, 1.0], [0, -0.1]), "n_max": FROM_ONE}
SOAP |= {"l_max": FROM_ZERO}
#: What makes an estimator from its parameters, and the limits of these, tested by `fit`.
ESTIMATORS = {
    skldos.LDOSRegressor: NETWORK,
    skldos.CSNNRegressor: {
        **{name: limits for name, limits in NETWORK.items() if name != "dos_weight"},
        **{"n_rotations": FROM_ONE, "dos_ridge": POSITIVE},
    },
    skldos.MDNRegressor: {name: NETWORK[name] for name in ("max_epochs", "batch_size", "lr")},
    skldos.FreeEnergyRegressor: {
        **{"alphas": each(POSITIVE), "energy_weights": each(POSITIVE)},
        "virial_weights": each(POSITIVE),
    },
    skldos.SiteRidgeCV: {"alphas": each(POSITIVE), "dos_weights": each(NOT_NEGATIVE)},
    lambda **p: skldos.SiteRegressor(Ridge(), **p): {
        **{"dos_weight": NOT_NEGATIVE, "band_weight": NOT_NEGATIVE, "n_components": FROM_ONE},
    },
    skldos.GridSNAPTransformer: SNAP,
    skldos.AtomSNAPTransformer: SNAP,
    skldos.AtomSOAPTransformer: SOAP | {"fade": ([1.0, 5.0], [0, 5.0 + TINY])},
    skldos.GridSOAPTransformer: SOAP,
    skldos.AtomEnvTransformer: {
        **{"n_spheres": FROM_ONE, "subdivisions": ([0, 2], [-1, 7]), "r_min": NOT_NEGATIVE},
        **{"r_cut": ([2.001, 9.0], [2.0, 1.0]), "reach": ([1, 2.0], [1 - TINY])},
        "fade": ([TINY, 7.0], [0, 7.0 + TINY]),
    },
    lambda **p: skldos.RowWise(StandardScaler(), **p): {"max_rows": FROM_ONE},
    skldos.ADOSDecomposer: {"sigma": POSITIVE, "tolerance": ([1e-100, 0.1], [0, 0.1 + TINY])},
    lambda **p: decomposition.GaussianPotentialDecomposer(
        datasets.load_silicon_pseudopotentials(), **p
    ): {"ridge": NOT_NEGATIVE},
    lambda **p: uncertainty.MCDropout(skldos.LDOSRegressor(module__dropout=0.1), **p): {
        **{"n_passes": FROM_TWO, "batch_rows": FROM_ONE},
    },
    lambda **p: uncertainty.DeepEnsemble(skldos.LDOSRegressor(), **p): {"n_estimators": FROM_TWO},
    lambda **p: uncertainty.RidgePosterior(skldos.SiteRegressor(Ridge()), **p): {
        "n_samples": FROM_TWO
    },
    lambda **p: search.DirectSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, cv=2, **p): {
        "max_rounds": FROM_ONE
    },
    lambda **p: search.StudySearchCV(
        Ridge(), {"alpha": [1.0, 2.0]}, cv=2, **({"n_trials": 1} | p)
    ): {
        **{"n_trials": FROM_ONE, "n_repeats": FROM_ONE, "heartbeat": POSITIVE},
        "timeout": POSITIVE,
    },
    skldos.active.SnapshotSelector: {"n_select": FROM_ONE},
}
#: What tests its parameters at once.
FUNCTIONS = {
    search.NASWOTScorer: {
        **{"n_initializations": FROM_ONE, "batch_size": FROM_TWO, "epsilon": POSITIVE},
    },
    search.ReadoutScorer: {
        **{"n_initializations": FROM_ONE, "batch_size": FROM_TWO, "ridge": POSITIVE},
    },
    search.ACSDScorer: {"n_pairs": FROM_ONE},
    search.MutualInformationScorer: {"n_points": FROM_TWO, "n_neighbors": FROM_ONE},
    lambda **p: NASWOTPruner(**p): {
        **{"quantile": ([0, 1], [-TINY, 1 + TINY]), "n_startup_trials": FROM_ONE},
        "n_protected": FROM_ZERO,
    },
    lambda **p: search.kendall_interval([1.0, 2.0], [2.0, 1.0], **p): {
        **{"confidence": ([TINY, 1], [0, 1 + TINY]), "n_resamples": FROM_ONE},
    },
    lambda **p: decomposition.geometric_exponents(**({"n": 3} | p)): {
        **{"n": FROM_ONE, "low": ([TINY], [0]), "high": ([1e3], [TINY])},
    },
    lambda **p: icosphere(**p): {"subdivisions": ([0, 1], [-1, 7, 0.5])},
    lambda **p: icosphere(1).edge_cosine(**p): {"reach": ([1, 2.0], [1 - TINY])},
    lambda **p: datasets.make_snapshots(**({"n": 1, "grid_shape": (1, 1, 1)} | p)): {
        **{"n": FROM_ONE, "displacement": ([0, 0.1], [-TINY]), "n_energies": FROM_TWO},
    },
    lambda **p: MonteCarlo(None, **({"temperature_K": 300} | p)): {
        **{"temperature_K": POSITIVE, "max_move": POSITIVE},
    },
    lambda **p: networks.FeedForward(**({"n_in": 3, "n_out": 2} | p)): {
        **{"n_in": FROM_ONE, "n_out": FROM_ONE, "dropout": ([0, 1], [-TINY, 1 + TINY])},
        "hidden_layer_sizes": each(FROM_ONE),
    },
    lambda **p: networks.ConcentricSpherical(
        **{"n_in": 2, "n_out": 2, "n_spheres": 1, "subdivisions": None, "factor": 1} | p
    ): {
        **{"n_in": FROM_ONE, "n_out": FROM_ONE, "n_spheres": ([1, 2], [0, 1.5])},
        **{
            "factor": ([1, 2], [0, 1.5]),
            "n_hidden": ([0, 1], [-1, 1.5]),
            "n_levels": ([1], [0, 2]),
        },
        "dropout": ([0, 1], [-TINY, 1 + TINY]),
    },
    lambda **p: networks.MixtureDensity(
        **{"n_in": 2, "n_out": 2, "covariance": "low_rank", "hidden_layer_sizes": (2,)} | p
    ): {
        **{"n_out": ([1, 2], [0, 1.5]), "n_components": ([1, 2], [0, 1.5])},
        **{"rank": ([1, 2], [0, 1.5]), "floor": NOT_NEGATIVE},
    },
    lambda **p: physics.sharpening_matrix(np.linspace(0, 10, 41), **{"broadening": 1.0} | p): {
        "broadening": ([0.1, 10], [0, 10 + TINY]),
        "order": ([0, 3], [-1, 1.5]),
    },
    lambda **p: physics.Pseudopotential("Al", **p): {"valence": POSITIVE},
    lambda **p: physics.ewald(np.zeros((1, 3)), 3 * np.eye(3), [1.0], **p): {
        "splitting": ([0.5, 2], [0, -TINY])
    },
    lambda **p: terms.low_pass(np.ones((2, 2, 2)), np.eye(3), **p): {"density_cutoff": POSITIVE},
    lambda **p: search.naswot_score(networks.FeedForward(2, 1), np.eye(2), **p): {
        "epsilon": POSITIVE
    },
    lambda **p: search.readout_score(
        networks.FeedForward(2, 1), np.ones((2, 3, 2)), np.ones((2, 3, 1)), **p
    ): {"ridge": POSITIVE},
    lambda **p: search.mutual_information(np.arange(9.0)[:, None], np.ones((9, 1)), **p): {
        "n_neighbors": ([1, 7], [0, 1.5]),
        "n_points": ([4, 9, 20], [1, 4.5]),
    },
    lambda **p: search.acsd(np.eye(3), np.eye(3), **p): {"n_pairs": FROM_ONE},
    lambda **p: search.orthogonal_array(p["levels"]): {"levels": each(FROM_ONE)},
    lambda **p: search.screen_candidates(
        Ridge(), {"alpha": [1.0]}, np.eye(2), np.ones(2), scorer=lambda *_: 1.0, **p
    ): {"n_candidates": FROM_ONE, "n_best": FROM_ONE},
    lambda **p: skldos.predict(Ridge(), SNAPSHOTS, **p): {"temperature": NOT_NEGATIVE},
    lambda **p: prediction.predict_density(Ridge(), SNAPSHOTS, **p): {"sharpen": FROM_ZERO},
    lambda **p: scoring.evaluate(Ridge(), SNAPSHOTS, **p): {"sharpen": FROM_ZERO},
    lambda **p: plotting.DOSDisplay.from_estimator(Ridge(), SNAPSHOTS, **p): {"sharpen": FROM_ZERO},
    lambda **p: geometry.check_grid_shape(tuple(p["grid_shape"])): {
        "grid_shape": ([(1, 1, 1)], [(1, 0, 1), (1, 1, 1.5)])
    },
}


def cases(registry):
    found = []
    for make, parameters in registry.items():
        for name, (good, bad) in parameters.items():
            found += [(make, name, value, True) for value in good]
            found += [(make, name, value, False) for value in bad]
    return found


def complaint(function, **parameters):
    """Return the message of an error, or nothing."""
    try:
        function(**parameters)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def is_named(text, name):
    return bool(re.match(rf"(ValueError|TypeError): {name}(\[.*?\])? must be ", text))


@pytest.mark.parametrize(("make", "name", "value", "good"), cases(FUNCTIONS))
def test_limits_of_functions(make, name, value, good):
    text = complaint(make, **{name: value})
    assert is_named(text, name) != good, text


@pytest.mark.parametrize(("make", "name", "value", "good"), cases(ESTIMATORS))
def test_limits_of_estimators(make, name, value, good):
    more = {"train_split": 1} if name == "early_stopping" else {}
    estimator = make(**{name: value}, **more)
    text = complaint(lambda: estimator.fit([], []))
    if good:
        assert not is_named(text, name), text
        return
    # Some look at their data first.
    rows = np.eye(4, 2), np.arange(4.0)
    for data in ((SNAPSHOTS,), rows):
        text = text if is_named(text, name) else complaint(lambda data=data: estimator.fit(*data))
    assert is_named(text, name), text
