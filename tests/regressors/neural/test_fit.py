"""Input of fit and predict, and errors for inconsistent input."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch import nn

from skldos import ArrayFile, GridSNAPTransformer, LDOSRegressor
from skldos.data import Blocks
from skldos.networks import FeedForward


def assert_same_predictions(one, two, X):
    np.testing.assert_array_equal(np.concatenate(one.predict(X)), np.concatenate(two.predict(X)))


# -------------------------------------------------------------------- inputs and outputs


def test_the_network_learns(blocks, targets, rows, make):
    model = make(max_epochs=300, module__hidden_layer_sizes=(30,)).fit(blocks, targets)
    error = np.concatenate(model.predict(blocks)) - rows[1]
    assert error.std() < 0.1 * rows[1].std()


@pytest.mark.parametrize("target_scaling", ["max", "minmax", "standard", None])
def test_blocks_and_arrays_give_the_same_model(blocks, targets, rows, make, target_scaling):
    on_blocks = make(target_scaling=target_scaling).fit(blocks, targets)
    on_rows = make(target_scaling=target_scaling).fit(*rows)
    # A float32 matrix product depends on the number of rows in its last digits.
    for model in (on_blocks, on_rows):
        np.testing.assert_allclose(
            np.concatenate(model.predict(blocks)), on_rows.predict(rows[0]), rtol=1e-4, atol=1e-5
        )


def test_one_block_per_snapshot_comes_back(blocks, targets, make):
    predicted = make().fit(blocks, targets).predict(blocks)
    assert isinstance(predicted, Blocks)
    assert [block.shape for block in predicted] == [target.shape for target in targets]
    assert {block.dtype for block in predicted} == {np.dtype("float32")}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ndim", [1, 2])
def test_arrays_come_back_in_the_form_of_y(rows, make, dtype, ndim):
    y = rows[1].astype(dtype)
    y = y[:, 0] if ndim == 1 else y
    predicted = make().fit(rows[0], y).predict(rows[0])
    assert (predicted.shape, predicted.dtype) == (y.shape, dtype)


def test_precision_of_the_input_does_not_show(blocks, targets, make):
    single = [block.astype(np.float32) for block in blocks]
    one = make().fit(single, [t.astype(np.float32) for t in targets])
    two = make().fit([block.astype(float) for block in single], targets)
    np.testing.assert_allclose(
        np.concatenate(one.predict(single)),
        np.concatenate(two.predict(single)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_targets_on_the_grid_are_rows(make, rng):
    X = [rng.normal(size=(24, 3)), rng.normal(size=(12, 3))]
    grids = [rng.random((2, 3, 4, 5)), rng.random((1, 3, 4, 5))]
    on_grid = make().fit(X, grids)
    as_rows = make().fit(X, [grid.reshape(-1, 5) for grid in grids])
    assert_same_predictions(on_grid, as_rows, X)


def test_without_y_the_snapshots_give_the_targets(snapshots, make):
    blocks = GridSNAPTransformer(twojmax=2).fit_transform(snapshots)
    model = make().fit(blocks)
    assert_same_predictions(model, make().fit(blocks, snapshots.targets), blocks)
    assert model.predict(blocks).snapshots is blocks.snapshots
    assert model.n_outputs_ == 11
    # Whatever fold the snapshots come in.
    assert_same_predictions(
        make().fit(blocks[[4, 1]]),
        make().fit(list(blocks[[4, 1]]), [snapshots[4].ldos, snapshots[1].ldos]),
        blocks,
    )


@pytest.mark.parametrize("container", [list, tuple, Blocks])
def test_containers_of_blocks(blocks, targets, make, container):
    assert_same_predictions(
        make().fit(container(list(blocks)), container(targets)), make().fit(blocks, targets), blocks
    )


def test_equal_blocks_may_come_stacked(make, rng):
    X, y = Blocks(rng.normal(size=(3, 20, 2))), rng.normal(size=(3, 20, 4))
    assert_same_predictions(make().fit(X, y), make().fit(list(X), list(y)), X)


def test_data_frames(blocks, targets, rows, make):
    frames = Blocks([pd.DataFrame(block, columns=list("abc")) for block in blocks])
    assert_same_predictions(make().fit(frames, targets), make().fit(blocks, targets), blocks)
    assert_same_predictions(make().fit(frames, targets), make().fit(blocks, targets), frames)
    X = pd.DataFrame(rows[0], columns=list("abc"))
    model = make().fit(X, pd.DataFrame(rows[1]))
    assert list(model.feature_names_in_) == list("abc")
    np.testing.assert_array_equal(model.predict(X), make().fit(*rows).predict(rows[0]))


def test_files_stream_to_the_same_model(blocks, targets, make, tmp_path):
    X, y = [], []
    for i, (block, target) in enumerate(zip(blocks, targets, strict=True)):
        np.save(tmp_path / f"x{i}.npy", block)
        np.save(tmp_path / f"y{i}.npy", target)
        X.append(ArrayFile(tmp_path / f"x{i}.npy"))
        y.append(ArrayFile(tmp_path / f"y{i}.npy"))
    for buffer_size in (512, 1e-3):
        on_disk = make(buffer_size=buffer_size).fit(X, y)
        assert_same_predictions(on_disk, make(buffer_size=buffer_size).fit(blocks, targets), blocks)
        np.testing.assert_array_equal(on_disk.predict(X)[0], on_disk.predict(blocks)[0])


def test_a_small_buffer_learns_as_well(blocks, targets, rows, make):
    losses = []
    for buffer_size in (512, 1e-3):
        model = make(buffer_size=buffer_size, max_epochs=100).fit(blocks, targets)
        losses.append(model.history_[-1, "train_loss"])
    assert losses[1] < 2 * losses[0]


def test_predict_sum_is_the_sum_of_predict(blocks, targets, make, monkeypatch):
    model = make().fit(blocks, targets)
    expected = [block.sum(axis=0, dtype=float) for block in model.predict(blocks)]
    np.testing.assert_allclose(model.predict_sum(blocks), expected, rtol=1e-6, atol=1e-6)
    monkeypatch.setattr("skldos.regressors.neural._prediction.PREDICT_ROWS", 7)
    np.testing.assert_allclose(model.predict_sum(blocks), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        np.concatenate(model.predict(blocks)).sum(axis=0), np.sum(expected, axis=0), rtol=1e-5
    )


def test_fit_changes_neither_data_nor_parameters(blocks, targets, make):
    before = [block.copy() for block in (*blocks, *targets)]
    model = make(callbacks=[], train_split=1)
    params = model.get_params()
    model.fit(blocks, targets).predict(blocks)
    assert model.get_params() == params
    for block, original in zip((*blocks, *targets), before, strict=True):
        np.testing.assert_array_equal(block, original)


# -------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, y[:5]), "X has 6 blocks, but y has 5"),
        (lambda X, y: (X, [*y[:5], y[5][:-1]]), r"X\[5\] has 33 sites, but y\[5\] has 32 rows"),
        (lambda X, y: ([*X[:5], X[5][:, :2]], y), "must have 3 features .* got 2 and 4 in block 5"),
        (lambda X, y: (X, [*y[:5], y[5][:, :2]]), "and 4 outputs .* got 3 and 2 in block 5"),
        (lambda X, y: (Blocks([]), []), "at least one block, got none"),
        (lambda X, y: (X, None), "LDOSRegressor.fit needs targets: pass y"),
        (lambda X, y: (X, [*y[:5], np.where(y[5] > 1, np.nan, y[5])]), "y holds NaN .* sample 5"),
        (lambda X, y: ([*X[:5], np.where(X[5] > 1, np.nan, X[5])], y), "X holds NaN"),
        (lambda X, y: ([*X[:5], np.where(X[5] > 1, np.inf, X[5])], y), "X holds NaN, infinite"),
    ],
)
def test_blocks_that_do_not_fit_are_named(blocks, targets, make, change, message):
    X, y = change(list(blocks), targets)
    with pytest.raises(ValueError, match=message):
        make().fit(X, y)


def test_prediction_needs_the_features_of_the_fit(blocks, targets, rows, make):
    model = make().fit(blocks, targets)
    for method in (model.predict, model.predict_sum):
        with pytest.raises(ValueError, match="2 features, but LDOSRegressor is expecting 3"):
            method([block[:, :2] for block in blocks])
    with pytest.raises(ValueError, match="2 features"):
        model.predict(rows[0][:, :2])


def test_going_on_needs_the_outputs_of_the_fit(blocks, targets, make):
    model = make().fit(blocks, targets)
    with pytest.raises(ValueError, match="y has 2 outputs, but LDOSRegressor was fitted with 4"):
        model.partial_fit(blocks, [target[:, :2] for target in targets])
    with pytest.raises(ValueError, match="2 features, but LDOSRegressor is expecting 3"):
        model.partial_fit([block[:, :2] for block in blocks], targets)


def test_nan_is_found_when_training_goes_on(blocks, targets, make):
    model = make().fit(blocks, targets)
    with pytest.raises(ValueError, match="y holds NaN"):
        model.partial_fit(blocks, [np.nan * targets[0], *targets[1:]])


def test_snapshots_without_a_transformer_are_named(snapshots, make):
    with pytest.raises((TypeError, ValueError), match=r"[Ss]napshot"):
        make().fit(snapshots)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"max_epochs": -1}, ValueError, "max_epochs must be >= 0, got -1"),
        ({"max_epochs": 1.5}, TypeError, "max_epochs must be an integer"),
        ({"batch_size": 0}, ValueError, "batch_size must be >= 1"),
        ({"lr": 0}, ValueError, "lr must be > 0"),
        ({"lr": "fast"}, TypeError, "lr must be a number"),
        ({"buffer_size": 0}, ValueError, "buffer_size must be > 0"),
        ({"lr_schedule": "step"}, ValueError, "lr_schedule must be one of None, 'plateau'"),
        ({"early_stopping": 0, "train_split": 1}, ValueError, "early_stopping must be >= 1"),
        ({"early_stopping": 5}, ValueError, "early_stopping needs validation data"),
        ({"target_scaling": "unit"}, ValueError, "target_scaling must be one of"),
        ({"train_split": 6}, ValueError, "train_split=6 would leave no samples"),
        ({"module__activation": "x"}, ValueError, "activation must be one of"),
        ({"module__widths": (3,)}, ValueError, "widths"),
        ({"module_hidden_layer_sizes": (3,)}, ValueError, "did you mean module__hidden"),
        ({"epochs": 3}, ValueError, "unexpected argument.* epochs"),
        ({"dos_weight": -1.0}, ValueError, "dos_weight must be >= 0"),
    ],
)
def test_wrong_parameters_are_named_in_fit(blocks, targets, make, params, error, message):
    model = make(**params)
    with pytest.raises(error, match=message):
        model.fit(blocks, targets)


def test_set_params_refuses_unknown_names(make):
    with pytest.raises(ValueError, match="Invalid parameter 'epochs'"):
        make().set_params(epochs=3)


# -------------------------------------------------------------------- parameters


def test_module_may_be_a_class(blocks, targets, make):
    class Linear(nn.Linear):
        pass

    model = make(module=Linear, module__bias=False)
    del model.module__hidden_layer_sizes
    model.fit(blocks, targets)
    assert isinstance(model.module_, Linear)
    assert model.module_.bias is None


def test_module_may_be_an_instance_which_stays_untouched(blocks, targets, make, weights):
    torch.manual_seed(0)
    module = FeedForward(3, 4, (5,))
    before = [p.detach().clone() for p in module.parameters()]
    params = {"module": module, "dos_weight": None, "random_state": 0}
    model = LDOSRegressor(max_epochs=2, **params).fit(blocks, targets)
    for parameter, original in zip(module.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), original, rtol=0, atol=0)
    assert model.module_ is not module
    assert not np.array_equal(weights(model), np.concatenate([p.numpy().ravel() for p in before]))
    started = LDOSRegressor(max_epochs=0, **params).fit(blocks, targets)
    np.testing.assert_array_equal(
        weights(started), np.concatenate([p.numpy().ravel() for p in before])
    )


def test_frozen_layers_of_an_instance_stay(blocks, targets):
    torch.manual_seed(0)
    module = FeedForward(3, 4, (5,))
    module[0].weight.requires_grad_(False)
    model = LDOSRegressor(module=module, max_epochs=3, lr=0.1, random_state=0)
    model.fit(blocks, targets)
    torch.testing.assert_close(model.module_[0].weight, module[0].weight, rtol=0, atol=0)
    assert not torch.equal(model.module_[2].weight, module[2].weight)


def test_module_parameters_reach_the_network(blocks, targets, make):
    model = make(module__hidden_layer_sizes=(7, 5), module__activation="tanh").fit(blocks, targets)
    assert [type(layer).__name__ for layer in model.module_] == [
        *("Linear", "Tanh", "Linear", "Tanh", "Linear")
    ]
    model.set_params(module__hidden_layer_sizes=(3,)).fit(blocks, targets)
    assert model.module_[0].out_features == 3


def test_optimizer_parameters_reach_the_optimizer(blocks, targets, make):
    model = make(optimizer=torch.optim.SGD, optimizer__momentum=0.9, lr=0.5).fit(blocks, targets)
    group = model.optimizer_.param_groups[0]
    assert (type(model.optimizer_), group["momentum"], group["lr"]) == (torch.optim.SGD, 0.9, 0.5)
    model = make(optimizer__weight_decay=0.1).fit(blocks, targets)
    assert model.optimizer_.param_groups[0]["weight_decay"] == 0.1


def test_other_forms_of_adam_can_be_chosen(blocks, targets, make):
    model = make(optimizer__foreach=True).fit(blocks, targets)
    assert model.optimizer_.param_groups[0]["foreach"]
    assert not model.optimizer_.param_groups[0]["fused"]


def test_another_criterion_is_used(blocks, targets, make):
    model = make(criterion=nn.L1Loss, target_scaling=None, max_epochs=0).fit(blocks, targets)
    absolute = np.mean(np.abs(np.concatenate(model.predict(blocks)) - np.concatenate(targets)))
    model.set_params(max_epochs=1, lr=1e-12, warm_start=True).fit(blocks, targets)
    assert model.history_[-1, "train_loss"] == pytest.approx(absolute, rel=1e-5)


def test_sums_instead_of_means_as_criterion(blocks, targets, make):
    model = make(criterion__reduction="sum", lr=1e-12, batch_size=1000, target_scaling=None)
    model.set_params(max_epochs=1).fit(blocks, targets)
    total = np.sum((np.concatenate(model.predict(blocks)) - np.concatenate(targets)) ** 2)
    assert model.history_[-1, "train_loss"] == pytest.approx(total, rel=1e-4)


def test_parameters_are_stored_untouched_and_cloned(make):
    params = {"module__dropout": 0.1, "train_split": [1], "callbacks__progress": None, "lr": 1e-3}
    model = LDOSRegressor(**params)
    for name, value in params.items():
        assert getattr(model, name) is value
        assert model.get_params()[name] is value
    copied = clone(model.set_params(optimizer__weight_decay=0.1))
    assert copied.get_params() == model.get_params()
    assert copied.get_params()["optimizer__weight_decay"] == 0.1


def test_representations(make, blocks, targets):
    model = make()
    assert repr(model).startswith("LDOSRegressor(")
    assert "module__hidden_layer_sizes=(8,)" in repr(model)
    assert "module__hidden_layer_sizes" in model._repr_html_()
    assert repr(model.fit(blocks, targets)) == repr(make())
    assert "max_epochs" in model._repr_html_()


def test_there_is_no_predict_proba(make):
    assert not hasattr(make(), "predict_proba")
