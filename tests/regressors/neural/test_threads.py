"""Trainings in threads of one process, which share torch's state, equal separate ones bitwise."""

import pickle
import threading

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score

from skldos import LDOSRegressor
from skldos.regressors.torch_state import Placeholders, own_defaults
from skldos.uncertainty import DeepEnsemble, MCDropout

QUICK = {
    "module__hidden_layer_sizes": (6,),
    "module__dropout": 0.3,
    "max_epochs": 10,
    "batch_size": 8,
    "random_state": 0,
}


class Noisy(torch.nn.Linear):
    """A network of a user that draws random numbers wherever it likes."""

    def forward(self, rows):
        return super().forward(rows + torch.randn_like(rows) if self.training else rows)


MODELS = {
    "LDOS": lambda: LDOSRegressor(**QUICK),
    "of a user": lambda: LDOSRegressor(Noisy, max_epochs=10, batch_size=8, random_state=0),
    "DeepEnsemble": lambda: DeepEnsemble(LDOSRegressor(**QUICK), n_estimators=4, random_state=0),
    "MCDropout": lambda: MCDropout(LDOSRegressor(**QUICK), n_passes=4, random_state=0),
}


def fitted(make, blocks, targets):
    return make().fit(blocks, targets).predict(blocks)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_trainings_in_threads_share_no_random_numbers(name, blocks, targets):
    expected = fitted(MODELS[name], blocks, targets)
    task = joblib.delayed(fitted)(MODELS[name], blocks, targets)
    found = joblib.Parallel(n_jobs=2, backend="threading")([task] * 4)
    assert all(same(one, expected) for one in found)


def test_scores_of_folds_in_threads(blocks, targets):
    X, y = np.concatenate(blocks), np.concatenate(targets)
    model = LDOSRegressor(**QUICK)
    expected = cross_val_score(model, X, y, cv=4)
    with joblib.parallel_config("threading"):
        found = cross_val_score(model, X, y, cv=4, n_jobs=2)
    np.testing.assert_array_equal(found, expected)


def test_members_that_are_trained_in_threads(blocks, targets):
    ensemble = MODELS["DeepEnsemble"]()
    expected = ensemble.fit(blocks, targets).predict(blocks)
    with joblib.parallel_config("threading"):
        found = ensemble.set_params(n_jobs=2).fit(blocks, targets).predict(blocks)
    assert same(found, expected)


class Loading(torch.nn.Linear):
    """Waits, in its training, for a thread that loads a network."""

    stored = None

    def forward(self, rows):
        if self.training:
            thread = threading.Thread(target=pickle.loads, args=[self.stored], daemon=True)
            thread.start()
            thread.join(timeout=200)
            assert not thread.is_alive()
        return super().forward(rows)


def test_a_training_may_wait_for_threads_that_load_networks(blocks, targets):
    class Plain(Loading):
        forward = torch.nn.Linear.forward

    model = LDOSRegressor(**QUICK).fit(blocks, targets)
    Loading.stored = pickle.dumps(model)
    options = {"max_epochs": 2, "batch_size": 16, "random_state": 0}
    expected = LDOSRegressor(Plain, **options).fit(blocks, targets).predict(blocks)
    found = LDOSRegressor(Loading, **options).fit(blocks, targets).predict(blocks)
    assert same(found, expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.nn.Linear(3, 4),
        lambda: torch.nn.Embedding(3, 4),
        lambda: torch.nn.GRU(3, 4),
        lambda: torch.nn.MultiheadAttention(4, 2),
        lambda: torch.nn.init.orthogonal_(torch.empty(4, 4)),
        lambda: torch.nn.init.trunc_normal_(torch.empty(4, 4)),
        lambda: torch.normal(0.0, 1.0, (3,)),
        lambda: torch.randperm(4),
    ],
)
def test_placeholders_leave_the_random_numbers_alone(make):
    before = torch.get_rng_state()
    with Placeholders():
        make()
    assert torch.equal(torch.get_rng_state(), before)
    make()
    assert not torch.equal(torch.get_rng_state(), before)


def test_what_is_loaded_can_draw_with_a_generator_of_its_own():
    with Placeholders():
        ours = torch.rand(3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(ours, torch.rand(3, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_blocks_of_threads_that_overlap_give_the_dtype_back(first_to_end):
    torch.set_default_dtype(torch.float64)
    try:
        blocks = [own_defaults(), own_defaults()]
        for block in blocks:
            block.__enter__()
        blocks.pop(first_to_end).__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float32
        blocks.pop().__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
