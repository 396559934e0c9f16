"""Fitted parameters are used in prediction, and a seed determines everything random."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from skldos import ADOSRegressor, CSNNRegressor, LDOSRegressor, MDNRegressor, SiteRegressor
from skldos.data import Blocks
from skldos.uncertainty import DeepEnsemble, MCDropout, RidgePosterior

QUICK = {"max_epochs": 2, "random_state": 0}
FLAT = {"module__n_spheres": 1, "module__subdivisions": None, "module__factor": 1}


def network(**options):
    return LDOSRegressor(
        module__hidden_layer_sizes=(6,), module__dropout=0.3, **{"max_epochs": 2} | options
    )


CHANGES = {
    "LDOS": (
        LDOSRegressor(**QUICK),
        {
            "target_scaling": None,
            "module__hidden_layer_sizes": (3, 3),
            "batch_size": 2,
            "dos_weight": None,
            "device": "meta",
            "max_epochs": 9,
        },
    ),
    "CSNN": (
        CSNNRegressor(**FLAT, **QUICK),
        {"n_rotations": 3, "augment": True, "module__factor": 2, "batch_size": 7},
    ),
    "MDN": (MDNRegressor(**QUICK), {"target_scaling": "max", "module__n_components": 1}),
    "site": (
        SiteRegressor(Ridge(0.1), dos_weight=10.0),
        {"dos_weight": None, "center": False, "n_components": 1, "regressor__alpha": 9.0},
    ),
    "dropout": (
        MCDropout(network(), n_passes=6, random_state=0),
        {
            "n_passes": 3,
            "masks": "independent",
            "batch_rows": 2,
            "random_state": 5,
            "regressor__target_scaling": None,
        },
    ),
    "independent": (
        MCDropout(network(), n_passes=6, masks="independent", batch_rows=4, random_state=0),
        {"masks": "shared", "batch_rows": None, "random_state": 5},
    ),
    "ensemble": (
        DeepEnsemble(network(), n_estimators=2, random_state=0),
        {"n_estimators": 5, "bootstrap": True, "regressor__module__dropout": 0.1},
    ),
    "posterior": (
        RidgePosterior(SiteRegressor(Ridge(0.1), dos_weight=10.0), n_samples=9, random_state=0),
        {
            "n_samples": 4,
            "random_state": 3,
            "regressor__dos_weight": 1.0,
            "regressor__regressor__alpha": 5.0,
        },
    ),
}


def everything(model, blocks):
    """All that a model says of blocks."""
    found = list(model.predict(blocks))
    if isinstance(model, (MCDropout, DeepEnsemble, RidgePosterior, MDNRegressor)):
        found += list(model.predict(blocks, return_std=True)[1])
    for name in ("predict_sum", "sample_sums", "sum_covariance"):
        if hasattr(model, name):
            found.append(getattr(model, name)(blocks))
    return [np.asarray(part) for part in found]


@pytest.mark.parametrize(("model", "changes"), CHANGES.values(), ids=CHANGES)
def test_parameters_that_are_set_after_fit_wait_for_the_next(model, changes, blocks, targets):
    expected = everything(model.fit(blocks, targets), blocks)
    before = model.get_params()
    try:
        model.set_params(**changes)
        for found, known in zip(everything(model, blocks), expected, strict=True):
            np.testing.assert_array_equal(found, known, strict=True)
    finally:
        model.set_params(**{name: before[name] for name in changes if name in before})


@pytest.mark.parametrize("name", ["LDOS", "CSNN", "MDN"])
def test_a_pickle_is_built_as_it_was_fitted(name, blocks, targets):
    model, changes = CHANGES[name]
    model = clone(model).fit(blocks, targets)
    expected = everything(model, blocks)
    model.set_params(**{k: v for k, v in changes.items() if k != "device"})
    for copied in (copy.deepcopy(model), copy.deepcopy(copy.deepcopy(model))):
        for found, known in zip(everything(copied, blocks), expected, strict=True):
            np.testing.assert_array_equal(found, known)
        assert copied.get_params() == model.get_params()


@pytest.mark.parametrize("name", ["dropout", "independent", "ensemble", "posterior"])
def test_samples_are_those_of_the_seed(name, blocks, targets):
    fitted = clone(CHANGES[name][0]).fit(blocks, targets)
    samples = fitted.sample_sums(blocks)
    again = clone(fitted).fit(blocks, targets)
    for same in (fitted, pickle.loads(pickle.dumps(fitted)), again):
        np.testing.assert_array_equal(same.sample_sums(blocks), samples)
    other = clone(fitted).set_params(random_state=1).fit(blocks, targets)
    assert (other.sample_sums(blocks) != samples).any(axis=(1, 2)).all()
    assert (np.ptp(samples, axis=0) > 0).all()


@pytest.mark.parametrize(
    "model",
    [
        MCDropout(network(), 5, random_state=0),
        DeepEnsemble(network(), 2, random_state=0),
        DeepEnsemble(network(), 2, bootstrap=True, random_state=0),
    ],
)
def test_plain_rows(model, blocks, targets):
    X, y = np.concatenate(blocks), np.concatenate(targets)
    mean, std = model.fit(X, y).predict(X, return_std=True)
    assert mean.shape == std.shape == y.shape
    assert (std > 0).any()
    np.testing.assert_array_equal(model.predict(X), mean)


@pytest.mark.parametrize("make", [MCDropout, DeepEnsemble])
def test_a_seed_reaches_the_network(make, blocks, targets):
    def fitted(seed, **options):
        return make(network(**options), random_state=seed).fit(blocks, targets)

    one, two, other = (np.concatenate(fitted(seed).predict(blocks)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_a_seed_of_the_network_stays(blocks, targets):
    """MCDropout seeds what has no seed; the weights of others are theirs."""
    one, two = (
        MCDropout(network(random_state=7), 3, random_state=seed).fit(blocks, targets).regressor_
        for seed in (0, 1)
    )
    alone = network(random_state=7).fit(blocks, targets)
    for model in (one, two):
        np.testing.assert_array_equal(model.predict(blocks)[0], alone.predict(blocks)[0])
    free = MCDropout(network(), 3).fit(blocks, targets)
    assert free.regressor_.random_state is None


def test_a_decomposer_changed_after_fit_does_not_act(snapshots):
    from skldos import AtomSNAPTransformer

    X = AtomSNAPTransformer(twojmax=2).fit_transform(snapshots)
    model = ADOSRegressor(SiteRegressor(Ridge(0.1))).fit(X)
    expected, score = model.predict_sum(X), model.score(X)
    model.set_params(decomposer__sigma=0.7, regressor__regressor__alpha=100.0)
    np.testing.assert_array_equal(model.predict_sum(X), expected)
    assert model.score(X) == score
    assert isinstance(model.predict(X), Blocks)


METHODS = (
    *("predict", "predict_sum", "predict_mode", "predict_mixtures"),
    *("sample_sums", "sum_covariance", "condition", "score"),
)


@pytest.mark.parametrize(
    ("model", "method"),
    [
        pytest.param(model, method, id=f"{type(model).__name__}-{method}")
        for model in (
            MCDropout(network(), n_passes=2),
            DeepEnsemble(network(), n_estimators=2),
            RidgePosterior(SiteRegressor(Ridge())),
            SiteRegressor(Ridge()),
            MDNRegressor(),
            network(),
            CSNNRegressor(),
            ADOSRegressor(network()),
        )
        for method in METHODS
        if hasattr(type(model), method)
    ],
)
def test_what_is_not_fitted_says_so(model, method, blocks, targets):
    arguments = (blocks, targets) if method == "score" else (blocks,)
    with pytest.raises(NotFittedError, match=type(model).__name__):
        getattr(model, method)(*arguments)
