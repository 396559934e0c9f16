"""Training: seeds, epochs, validation, schedules and the callbacks of skorch."""

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Callback, Checkpoint, EpochScoring, GradientNormClipping, LRScheduler
from skorch.dataset import ValidSplit

from skldos import GridSNAPTransformer, LDOSRegressor


def loss_of(model, X, y):
    """The mean square error of normalised targets."""
    scale = model.target_scale_
    errors = [(p - t) / scale for p, t in zip(model.predict(X), y, strict=True)]
    return float(np.mean(np.concatenate(errors) ** 2))


# -------------------------------------------------------------------- seeds


@pytest.mark.parametrize(
    "params",
    [{}, {"train_split": 2}, {"buffer_size": 1e-3}, {"module__dropout": 0.3}],
    ids=str,
)
def test_a_seed_makes_training_reproducible(blocks, targets, make, weights, params):
    one, two = (weights(make(**params).fit(blocks, targets)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    other = weights(make(**params, random_state=1).fit(blocks, targets))
    assert not np.allclose(one, other)


def test_fitting_twice_is_fitting_once(blocks, targets, make, weights):
    model = make().fit(blocks, targets)
    once = weights(model)
    np.testing.assert_array_equal(weights(model.fit(blocks, targets)), once)
    assert len(model.history_) == 3


def test_a_random_state_goes_on(blocks, targets, make, weights):
    state = np.random.RandomState(0)
    one, two = (weights(make(random_state=state).fit(blocks, targets)) for _ in range(2))
    assert not np.allclose(one, two)


def test_the_state_of_torch_and_numpy_is_left_alone(blocks, targets, make):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 (the global state is what is tested)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    model = make(train_split=1, module__dropout=0.1).fit(blocks, targets)
    model.partial_fit(blocks, targets).predict(blocks)
    torch.testing.assert_close(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_the_state_of_torch_does_not_matter(blocks, targets, make, weights):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(weights(make(train_split=1).fit(blocks, targets)))
    np.testing.assert_array_equal(*found)


# -------------------------------------------------------------------- epochs


def test_no_epochs_only_initialise(blocks, targets, make):
    model = make(max_epochs=0).fit(blocks, targets)
    assert len(model.history_) == 0
    assert np.isfinite(np.concatenate(model.predict(blocks))).all()
    assert not model.module_.training


def test_the_loss_is_the_mean_over_rows(blocks, targets, make):
    model = make(lr=1e-12, max_epochs=1, train_split=[0, 3]).fit(blocks, targets)
    row = model.history_[-1]
    training, validation = [1, 2, 4, 5], [0, 3]
    assert row["train_loss"] == pytest.approx(
        loss_of(model, blocks[training], [targets[i] for i in training]), rel=1e-5
    )
    assert row["valid_loss"] == pytest.approx(
        loss_of(model, blocks[validation], [targets[i] for i in validation]), rel=1e-5
    )
    assert row["train_batch_count"] == -(-(45 + 30 + 40 + 33) // 16)
    assert row["dur"] > 0


def test_warm_start_and_partial_fit_go_on(blocks, targets, make, weights):
    model = make(warm_start=True).fit(blocks, targets)
    first = weights(model)
    losses = [model.history_[-1, "train_loss"]]
    for go_on in (model.fit, model.partial_fit):
        go_on(blocks, targets)
        losses.append(model.history_[-1, "train_loss"])
    assert len(model.history_) == 9
    assert losses[2] < losses[1] < losses[0]
    assert not np.allclose(weights(model), first)
    cold = make().fit(blocks, targets).fit(blocks, targets)
    assert len(cold.history_) == 3
    started = make().partial_fit(blocks, targets)
    np.testing.assert_array_equal(weights(started), first)


def test_going_on_keeps_the_normalisation(blocks, targets, make):
    model = make().fit(blocks, targets)
    scale = model.target_scale_.copy()
    model.partial_fit(blocks, [10 * target for target in targets])
    np.testing.assert_array_equal(model.target_scale_, scale)


@pytest.mark.parametrize("lr_schedule", [None, "cosine"])
def test_going_on_takes_the_rate_of_the_moment(blocks, targets, make, weights, lr_schedule):
    model = make(lr_schedule=lr_schedule).fit(blocks, targets)
    before = weights(model)
    model.set_params(lr=1e-12).partial_fit(blocks, targets)
    np.testing.assert_allclose(weights(model), before, atol=1e-7)
    model.set_params(lr=1e-2).partial_fit(blocks, targets)
    assert not np.allclose(weights(model), before, atol=1e-3)


def test_going_on_with_validation_data(blocks, targets, make):
    model = make().fit(blocks, targets).set_params(train_split=1).partial_fit(blocks, targets)
    assert ["valid_loss" in row for row in model.history_] == 3 * [False] + 3 * [True]


def test_going_on_keeps_the_validation_snapshots(blocks, targets, make):
    seen = []

    class Watch(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            seen.append([block.shape[0] for block in net.get_split_datasets(X)[1].inputs])

    model = make(train_split=2, callbacks=[Watch()]).fit(blocks, targets)
    for _ in range(4):
        model.partial_fit(blocks, targets)
    assert len({tuple(sizes) for sizes in seen}) == 1


# -------------------------------------------------------------------- validation


@pytest.mark.parametrize(
    ("train_split", "n_validation"),
    [(1, 1), (0.5, 3), ([1, 4], 2), (ValidSplit(3), 2)],
    ids=["one", "half", "named", "splitter"],
)
def test_validation_data_are_whole_snapshots(blocks, targets, make, train_split, n_validation):
    seen = []

    class Watch(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            seen.extend(net.get_split_datasets(X))

    make(train_split=train_split, callbacks=[Watch()]).fit(blocks, targets)
    assert len(seen[1]) == n_validation
    sizes = [block.shape[0] for part in seen for block in part.inputs]
    assert sorted(sizes) == sorted(len(block) for block in blocks)
    for part in seen:
        for inputs, outputs in zip(part.inputs, part.targets, strict=True):
            i = [len(block) for block in blocks].index(len(inputs))
            np.testing.assert_array_equal(inputs, blocks[i])
            np.testing.assert_array_equal(outputs, targets[i])


def test_validation_data_do_not_leak(blocks, targets, make, weights):
    model = make(train_split=[5]).fit(blocks, targets)
    changed = [*targets[:5], 100 * targets[5]]
    other = make(train_split=[5]).fit(blocks, changed)
    np.testing.assert_array_equal(weights(model), weights(other))
    np.testing.assert_array_equal(model.target_scale_, other.target_scale_)
    assert model.history_[-1, "valid_loss"] != other.history_[-1, "valid_loss"]


def test_rows_of_plain_arrays_are_split_too(rows, make):
    model = make(train_split=0.25).fit(*rows)
    assert "valid_loss" in model.history_[-1]


@pytest.mark.parametrize(("patience", "max_epochs"), [(4, 200), (100, 22)])
def test_early_stopping_returns_to_the_best_epoch(blocks, targets, make, patience, max_epochs):
    options = {"early_stopping": patience, "lr": 0.3, "max_epochs": max_epochs}
    model = make(train_split=[0, 3], **options).fit(blocks, targets)
    losses = model.history_[:, "valid_loss"]
    best = int(np.argmin(losses))
    assert len(losses) == min(best + 1 + patience, max_epochs)  # stopped, and in time
    assert losses[best] < losses[-1]
    found = loss_of(model, blocks[[0, 3]], [targets[0], targets[3]])
    assert found == pytest.approx(losses[best], rel=1e-5)


# -------------------------------------------------------------------- schedules


def rates(model):
    return model.history_[:, "event_lr"]


def test_cosine_anneals_to_zero(blocks, targets, make):
    model = make(lr_schedule="cosine", max_epochs=8).fit(blocks, targets)
    expected = 0.5e-2 * (1 + np.cos(np.pi * np.arange(8) / 8))
    np.testing.assert_allclose(rates(model), expected, rtol=1e-6)


@pytest.mark.parametrize("train_split", [None, [0]])
def test_plateau_divides_by_ten(blocks, targets, make, train_split):
    model = make(lr_schedule="plateau", max_epochs=12, lr=1e-7, train_split=train_split)
    model.set_params(callbacks__lr_schedule__patience=1, callbacks__lr_schedule__factor=0.5)
    model.fit(blocks, [0 * target + 1.0 for target in targets])
    found = np.array(rates(model))
    assert found[0] == 1e-7
    assert found[-1] < found[0]
    assert set(np.round(found[1:] / found[:-1], 6)) <= {1.0, 0.5}


def test_no_schedule_keeps_the_rate(blocks, targets, make):
    model = make().fit(blocks, targets)
    assert model.optimizer_.param_groups[0]["lr"] == 1e-2


# -------------------------------------------------------------------- callbacks of skorch


def test_checkpoint_stores_and_loads_the_best(blocks, targets, make, tmp_path):
    checkpoint = Checkpoint(dirname=str(tmp_path), load_best=True, monitor="valid_loss_best")
    model = make(train_split=[0, 3], lr=0.3, max_epochs=22, callbacks=[checkpoint])
    model.fit(blocks, targets)
    losses = model.history_[:, "valid_loss"]  # loaded too, up to the best epoch
    assert len(losses) < 22
    assert loss_of(model, blocks[[0, 3]], [targets[0], targets[3]]) == pytest.approx(
        min(losses), rel=1e-5
    )
    assert (tmp_path / "params.pt").exists()


@pytest.mark.parametrize("activation", ["leaky_relu", "gelu"])  # by hand and by autograd
def test_gradients_can_be_clipped(blocks, targets, make, weights, activation):
    params = {"optimizer": torch.optim.SGD, "max_epochs": 1, "batch_size": 1000, "lr": 1.0}
    params["module__activation"] = activation
    start = weights(make(**params | {"max_epochs": 0}).fit(blocks, targets))
    clipped = make(**params, callbacks=[GradientNormClipping(0.01)]).fit(blocks, targets)
    assert np.linalg.norm(weights(clipped) - start) == pytest.approx(0.01, rel=1e-3)
    free = weights(make(**params).fit(blocks, targets))
    assert np.linalg.norm(free - start) > 0.02


def test_a_schedule_per_batch(blocks, targets, make):
    schedule = LRScheduler(
        torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5, step_every="batch"
    )
    model = make(max_epochs=1, callbacks=[("rate", schedule)]).fit(blocks, targets)
    n_batches = -(-189 // 16)
    assert len(model.history_[-1, "batches", :, "event_lr"]) == n_batches
    assert model.optimizer_.param_groups[0]["lr"] == pytest.approx(1e-2 * 0.5**n_batches)


def test_callbacks_are_called_per_batch(blocks, targets, make):
    calls = {"begin": 0, "end": 0, "gradients": 0, "epochs": 0}

    class Count(Callback):
        def on_batch_begin(self, net, batch=None, training=None, **kwargs):
            calls["begin"] += training

        def on_batch_end(self, net, batch=None, training=None, loss=None, y_pred=None, **kwargs):
            assert y_pred.shape == batch[1].shape
            calls["end"] += training

        def on_grad_computed(self, net, named_parameters, **kwargs):
            assert all(p.grad is not None for _, p in named_parameters)
            calls["gradients"] += 1

        def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            assert len(dataset_train) == 6
            calls["epochs"] += 1

    make(callbacks=[Count()]).fit(blocks, targets)
    assert calls == {"begin": 36, "end": 36, "gradients": 36, "epochs": 3}


def test_a_callback_added_by_parameter_can_be_changed(blocks, targets, make):
    model = make(
        callbacks=[("clip", GradientNormClipping(1.0))], callbacks__clip__gradient_clip_value=2.0
    )
    model.fit(blocks, targets)
    assert dict(model.callbacks_)["clip"].gradient_clip_value == 2.0


def test_lbfgs(blocks, targets, make):
    model = make(optimizer=torch.optim.LBFGS, lr=1.0, batch_size=1000, max_epochs=20)
    model.fit(blocks, targets)
    losses = model.history_[:, "train_loss"]
    assert losses[-1] < 0.05 * losses[0]
    adam = make(batch_size=1000, max_epochs=20).fit(blocks, targets)
    assert losses[-1] < adam.history_[-1, "train_loss"]


def test_scores_by_epoch(blocks, targets, make):
    """EpochScoring of skorch, by a function of the net and by the net's own score."""

    def mean_prediction(net, X, y=None):
        return float(np.mean(np.concatenate(net.predict(X))))

    scorings = [
        ("mean", EpochScoring(mean_prediction, name="mean", on_train=True)),
        ("r2", EpochScoring(lambda net, X, y=None: net.score(X), name="r2", on_train=True)),
    ]
    model = make(callbacks=scorings, dos_weight=None).fit(blocks, targets)
    last = np.mean(np.concatenate(model.predict(blocks)))
    assert model.history_[-1, "mean"] == pytest.approx(last, rel=1e-5)
    assert model.history_[-1, "r2"] == pytest.approx(model.score(blocks, targets), rel=1e-5)


def test_interrupt_by_the_user_gets_through(blocks, targets, make):
    class Impatient(Callback):
        def on_epoch_begin(self, net, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(callbacks=[Impatient()]).fit(blocks, targets)


def test_diverged_training_is_an_error(blocks, targets, make):
    model = make(lr=1e30)
    with pytest.raises(ValueError, match=r"diverged: the loss of epoch .* is (nan|inf).*lr=1e\+30"):
        model.fit(blocks, targets)
    with pytest.raises(NotFittedError):
        model.predict(blocks)


def test_metadata_routing_can_be_switched_on(blocks, targets, make):
    with config_context(enable_metadata_routing=True):
        model = make().fit(blocks, targets)
        assert model.get_metadata_routing() is not None
        scores = cross_val_score(make(), blocks, targets, cv=2, error_score="raise")
    assert np.isfinite(scores).all()


def test_snapshots_on_different_energies_are_not_mixed(snapshots):
    moved = snapshots[1].replace(energies=snapshots[1].energies + 5.0)
    blocks = GridSNAPTransformer(twojmax=2).fit_transform([snapshots[0], moved])
    with pytest.raises(ValueError, match=r"same energies: .* from -4 to 12 eV.* from 1 to 17 eV"):
        LDOSRegressor(max_epochs=1).fit(blocks)


@pytest.mark.parametrize(
    ("target", "got"), [(None, "NoneType"), (np.zeros(64), r"shape \(64,\)")], ids=["None", "flat"]
)
def test_targets_without_columns_are_named(blocks, targets, target, got):
    with pytest.raises(ValueError, match=rf"y\[1\] must have shape .*got {got}"):
        LDOSRegressor(max_epochs=1).fit(blocks, [targets[0], target, *targets[2:]])


# -------------------------------------------------------------------- output


def test_verbose(blocks, targets, make, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")  # a bar is cut off at the width of the terminal
    make(verbose=0, train_split=1, early_stopping=1, lr=1.0).fit(blocks, targets)
    assert capsys.readouterr() == ("", "")
    make(verbose=1, train_split=1).fit(blocks, targets)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "LDOSRegressor" in shown.err
    assert "valid_loss" in shown.err
    make(verbose=2, train_split=1).fit(blocks, targets)
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()] == ["epoch", "-------", *"123"]
    assert "valid_loss" in shown.out


@pytest.mark.parametrize("device", ["gpu", None])
def test_device_that_is_not_there_is_named(blocks, targets, make, device):
    with pytest.raises(ValueError, match=r"device must be a device that torch finds .*'cpu'"):
        make(device=device).fit(blocks, targets)


def test_small_batches_train_on_one_thread(blocks, targets, make):
    seen = []

    class Threads(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        make(callbacks=[Threads()]).fit(blocks, targets)
        make(callbacks=[Threads()], batch_size=2**16).fit(blocks, targets)
        assert set(seen[: len(seen) // 2]) == {1}
        assert set(seen[len(seen) // 2 :]) == {2}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
