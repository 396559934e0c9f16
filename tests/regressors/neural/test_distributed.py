"""Several processes train one model: the same as one process, and never separate models."""

import multiprocessing
import os
import signal
import warnings

import joblib
import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import distributed

from skldos import CSNNRegressor, LDOSRegressor, MDNRegressor
from skldos.data import Blocks
from skldos.networks import FeedForward
from skldos.regressors.block_dataset import BlockDataset
from skldos.regressors.neural._batches import RowBatches
from skldos.regressors.neural.output_layer import fit_output_layer
from skldos.regressors.neural.target_scaling import TargetScaling
from skldos.regressors.team import SINGLE_PROCESS, Team, join

FORK = multiprocessing.get_context("fork")


def _run(function, rank, size, folder, args):
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size
    )
    try:
        result = function(rank, *args)
    except Exception as error:  # what the test is to see
        result = f"{type(error).__name__}: {error}"
    joblib.dump(result, f"{folder}/{rank}.joblib")
    # At once: what a fork has inherited belongs to the test.
    os._exit(0)


def together(folder, function, *args, size=2):
    """Return what ``function(rank, *args)`` gives in each of some processes of a group."""
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytest has threads, which sleep
        processes = [
            FORK.Process(target=_run, args=(function, r, size, folder, args)) for r in range(size)
        ]
        for process in processes:
            process.start()
    for process in processes:
        process.join(timeout=600)
    results = [folder / f"{rank}.joblib" for rank in range(size)]
    return [joblib.load(path) if path.exists() else None for path in results]


def fitted(_, model, *data, **options):
    model.fit(*data, **options)
    return model


# -------------------------------------------------------------------- one model


@pytest.mark.parametrize(
    "params",
    [
        {"dos_weight": 10.0, "train_split": [1], "early_stopping": 3, "lr_schedule": "plateau"},
        {"target_scaling": "standard", "buffer_size": 16 * 5 * 28 / 2**20},  # streams
        {"target_scaling": "minmax", "criterion": torch.nn.L1Loss},  # by autograd
    ],
    ids=["refit", "streaming", "autograd"],
)
def test_two_processes_train_what_one_does(make, weights, blocks, targets, tmp_path, params):
    model = make(distributed="auto", batch_size=20, **params)
    counts = None if "dos_weight" in params else [1, 2, 1, 0, 1, 1]
    alone = make(**{**model.get_params(), "distributed": None}).fit(blocks, targets, counts)
    shared = together(tmp_path / "group", fitted, model, blocks, targets, counts)
    assert [str(model)[:4] for model in shared] == ["LDOS", "LDOS"], shared
    np.testing.assert_array_equal(weights(shared[0]), weights(shared[1]))
    # The refit solves a system of condition 1e6 made of single-precision outputs.
    close = {"rtol": 1e-4, "atol": 1e-4 if "dos_weight" in params else 2e-6}
    np.testing.assert_allclose(weights(shared[0]), weights(alone), **close)
    np.testing.assert_allclose(shared[0].target_scale_, alone.target_scale_, rtol=1e-6)
    for name in ("train_loss", "valid_loss")[: 1 + ("train_split" in params)]:
        np.testing.assert_allclose(
            shared[1].history[:, name], alone.history[:, name], rtol=1e-5, err_msg=name
        )
    untrained = make(**{**model.get_params(), "distributed": None, "max_epochs": 0})
    moved = weights(alone) - weights(untrained.fit(blocks, targets))
    assert np.abs(moved).max() > 1e-2


def test_more_processes_than_rows_of_a_batch(make, weights, tmp_path, blocks, targets):
    model = make(distributed="auto", batch_size=2, max_epochs=1)
    data = Blocks([blocks[0][:5]]), [targets[0][:5]]
    alone = make(batch_size=2, max_epochs=1).fit(*data)
    shared = together(tmp_path / "group", fitted, model, *data, size=3)
    np.testing.assert_allclose(weights(shared[2]), weights(alone), rtol=1e-5, atol=1e-7)


def test_without_a_seed_all_processes_draw_the_same(make, weights, blocks, targets, tmp_path):
    model = make(distributed="auto", random_state=None, module__dropout=0.3)
    one, other = together(tmp_path / "group", fitted, model, blocks, targets)
    np.testing.assert_array_equal(weights(one), weights(other))


def closed_form(rank, network, slices):
    team = Team(rank, 2)
    of_rank = [[pair for i, pair in enumerate(pairs) if i % 2 == rank] for pairs in slices]
    fit_output_layer(network, of_rank, 100.0, snapshot_weights=[1.0, 3.0], team=team)
    return network[-1].weight.detach().numpy()


def test_the_output_layer_is_refitted_to_all_rows(tmp_path):
    torch.manual_seed(0)
    network = FeedForward(3, 2, hidden_layer_sizes=(8,)).double()
    double = {"dtype": torch.float64}
    slices = [
        [(torch.randn(n, 3, **double), torch.randn(n, 2, **double)) for n in (40, 25)]
        for _ in range(2)
    ]
    shared = together(tmp_path / "group", closed_form, network, slices)
    before = network[-1].weight.detach().numpy().copy()
    fit_output_layer(network, slices, 100.0, snapshot_weights=[1.0, 3.0])
    alone = network[-1].weight.detach().numpy()
    assert np.abs(alone - before).max() > 0.1
    for found in shared:
        np.testing.assert_allclose(found, alone, rtol=1e-10, atol=1e-12)


def scalings(rank, blocks, method):
    scaling = TargetScaling.learn(blocks, method, None, Team(rank, 2))
    return scaling.center, scaling.scale


@pytest.mark.parametrize("method", ["max", "minmax", "standard", "whiten"])
def test_targets_are_scaled_by_those_of_all(tmp_path, targets, method):
    alone = TargetScaling.learn(targets, method)
    for center, scale in together(tmp_path / "group", scalings, targets, method):
        np.testing.assert_allclose(center, alone.center, rtol=1e-6)
        if method == "whiten":  # the sign of an axis is free
            scale, alone.scale = np.abs(scale), np.abs(alone.scale)
        np.testing.assert_allclose(scale, alone.scale, rtol=1e-5, atol=1e-6)


# -------------------------------------------------------------------- the rows are dealt out


def test_each_process_reads_its_share(blocks, targets, make):
    model = make(max_epochs=0).fit(blocks, targets)
    dataset = BlockDataset(blocks, targets)
    options = {"shuffle": False, "buffer_bytes": 2**20, "device": "cpu", "scaling": model._scaling}
    seen = []
    for rank in range(3):
        batches = RowBatches(dataset, 16, **options, team=Team(rank, 3))
        seen.append(np.concatenate([batch[0] for batch in batches]))
    total = sum(map(len, blocks))
    assert [0.8 < len(rows) / (total / 3) < 1.2 for rows in seen] == [True] * 3
    rows = np.concatenate(seen)
    expected = np.concatenate(blocks).astype(np.float32)
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(expected, axis=0))
    assert len(rows) == total


# -------------------------------------------------------------------- errors


def test_several_processes_need_to_be_told(make, blocks, targets, monkeypatch):
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "x", "MASTER_PORT": 1}.items():
        monkeypatch.setenv(name, str(value))
    for model in (make(), CSNNRegressor(), MDNRegressor()):
        with pytest.raises(RuntimeError, match=r"torch.distributed runs 2, .* distributed='auto'"):
            model.fit(blocks, targets)


def test_one_process_trains_alone(make, blocks, targets, monkeypatch):
    assert join("", "auto", "cpu") is SINGLE_PROCESS
    monkeypatch.setenv("WORLD_SIZE", "2")  # of another launcher, which says no more
    assert make(distributed="auto").fit(blocks, targets)._team_ is SINGLE_PROCESS


def different(rank, model, blocks, targets):
    mine = slice(None, 3) if rank == 0 else slice(3, None)
    return model.fit(blocks[mine], targets[mine])


def test_other_data_in_each_process_are_an_error(make, blocks, targets, tmp_path):
    model = make(distributed="auto")
    for found in together(tmp_path / "group", different, model, blocks, targets):
        assert found.startswith("ValueError: distributed='auto' needs the same parameters"), found


def norm_and_all(n_in, n_out):
    return torch.nn.Sequential(torch.nn.Linear(n_in, n_out), torch.nn.BatchNorm1d(n_out))


def test_what_cannot_be_shared(make, blocks, targets, tmp_path):
    with pytest.raises(ValueError, match="does not support optimizer=LBFGS"):
        make(distributed="auto", optimizer=torch.optim.LBFGS).fit(blocks, targets)
    wrapped = torch.nn.parallel.DistributedDataParallel
    with pytest.raises(TypeError, match="module must be the network itself"):
        make(module=wrapped).fit(blocks, targets)
    with pytest.raises(ValueError, match="distributed must be"):
        make(distributed="ddp").fit(blocks, targets)
    model = LDOSRegressor(norm_and_all, distributed="auto", random_state=0)
    for found in together(tmp_path / "group", fitted, model, blocks, targets):
        assert found.startswith("ValueError: distributed='auto' needs a network without batch")


# -------------------------------------------------------------------- killed


class Kill(Callback):
    """Kills the second process after two epochs."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2 and net._team_.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_ends_the_training_and_leaves_the_checkpoint(
    make, weights, blocks, targets, tmp_path
):
    folder = tmp_path / "stored"
    params = {"distributed": "auto", "checkpoint": folder, "max_epochs": 4}
    model = make(callbacks=[Kill()], **params)
    found = together(tmp_path / "group", fitted, model, blocks, targets)
    assert found[1] is None
    assert found[0].startswith("RuntimeError: process 0 of 2 lost another process"), found[0]
    (file,) = folder.iterdir()
    assert f"stored in {str(file)!r}" in found[0]
    resumed = model.fit(blocks, targets)
    assert len(resumed.history) == 4
    whole = make(max_epochs=4).fit(blocks, targets)
    np.testing.assert_allclose(weights(resumed), weights(whole), rtol=1e-4, atol=1e-6)
