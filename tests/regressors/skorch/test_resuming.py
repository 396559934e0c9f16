"""An interrupted training gives bitwise the same result as an uninterrupted one."""

import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, Checkpoint, LoadInitState, LRScheduler

from skldos import CSNNRegressor, LDOSRegressor, MDNRegressor
from skldos.data import Blocks
from skldos.exceptions import FileFormatError
from skldos.regressors.skorch.training_name import PIECE_ROWS, _checksum
from tests.processes import start_python

FLAT = {"module__n_spheres": 1, "module__subdivisions": None, "module__factor": 1}
QUICK = {"batch_size": 16, "random_state": 0, "max_epochs": 6}
NETS = {
    "LDOS": lambda **k: LDOSRegressor(module__hidden_layer_sizes=(6,), **QUICK | k),
    "LDOS, dropout": lambda **k: LDOSRegressor(
        module__dropout=0.3, dos_weight=None, optimizer=torch.optim.AdamW, **QUICK | k
    ),
    "LDOS, streamed": lambda **k: LDOSRegressor(buffer_size=1e-3, **QUICK | k),
    "CSNN": lambda **k: CSNNRegressor(
        **FLAT, module__output="linear", module__dropout=0.1, dos_weight=10.0, **QUICK | k
    ),
    "MDN": lambda **k: MDNRegressor(module__hidden_layer_sizes=(6,), **QUICK | k),
}
every_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


class Killed(Exception):  # noqa: N818 (an event)
    """Simulates the end of a process."""


class Kill(Callback):
    """Stop everything in the middle of an epoch, the first time it is reached."""

    def __init__(self, epoch, memory, batch=2):
        self.epoch = epoch
        self.memory = memory
        self.batch = batch

    def on_epoch_begin(self, net, **kwargs):
        self.batches_ = 0

    def on_batch_end(self, net, batch=None, training=None, **kwargs):
        self.batches_ += training
        late = len(net.history) == self.epoch and self.batches_ >= self.batch
        if late and not self.memory.exists():
            self.memory.touch()
            raise Killed


def same(one, other):
    """Compare weights, optimizers and histories bit by bit."""
    for a, b in (
        (one.module_.state_dict(), other.module_.state_dict()),
        (one.optimizer_.state_dict()["state"], other.optimizer_.state_dict()["state"]),
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    for name in ("train_loss", "valid_loss", "event_lr"):
        assert [row.get(name) for row in one.history_] == [row.get(name) for row in other.history_]


# -------------------------------------------------------------------- going on


@every_net
@pytest.mark.parametrize("lr_schedule", [None, "plateau"])
@pytest.mark.parametrize("stored", [False, True], ids=["in memory", "from a pickle"])
def test_two_halves_are_a_whole(make, lr_schedule, stored, blocks, targets):
    options = {"lr_schedule": lr_schedule, "train_split": 2, "lr": 0.05}
    if lr_schedule:
        options["callbacks__lr_schedule__patience"] = 0
    whole = make(**options).fit(blocks, targets)
    half = make(**options).fit(blocks, targets, epochs=0)
    for _ in range(3):
        half = pickle.loads(pickle.dumps(half)) if stored else half
        half.partial_fit(blocks, targets, epochs=2)
    same(half, whole)


@every_net
def test_a_pickle_goes_on_as_the_net_does(make, blocks, targets):
    model = make(warm_start=True, lr_schedule="cosine", max_epochs=3).fit(blocks, targets)
    loaded = pickle.loads(pickle.dumps(model))
    same(loaded.fit(blocks, targets), model.fit(blocks, targets))
    assert len(model.history_) == 6


def test_going_on_draws_other_batches(blocks, targets, make):
    seen = []

    class Watch(Callback):
        def on_batch_begin(self, net, batch=None, training=None, **kwargs):
            seen.append(batch[0].clone())

    model = make(max_epochs=1, warm_start=True, callbacks=[Watch()]).fit(blocks, targets)
    model.fit(blocks, targets)
    half = len(seen) // 2
    assert not torch.equal(torch.cat(seen[:half]), torch.cat(seen[half:]))


@pytest.mark.parametrize("gamma", [0.5, 0.9])
def test_schedules_of_the_user_go_on(blocks, targets, make, gamma):
    def net(epochs):
        rate = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=gamma)
        return make(callbacks=[("rate", rate)]).fit(blocks, targets, epochs=epochs)

    half = pickle.loads(pickle.dumps(net(3))).partial_fit(blocks, targets, epochs=3)
    same(half, net(6))
    np.testing.assert_allclose(
        half.history_[:, "event_lr"], 1e-2 * gamma ** np.array([0, 0, 1, 1, 2, 2])
    )


def test_a_cosine_begins_anew_when_training_goes_on(blocks, targets, make):
    model = (
        make(lr_schedule="cosine", max_epochs=3).fit(blocks, targets).partial_fit(blocks, targets)
    )
    rates = model.history_[:, "event_lr"]
    assert rates[:3] == rates[3:]
    assert rates[0] == 1e-2


def test_the_refit_is_taken_back(blocks, targets, make, weights):
    refitted = make(dos_weight=100.0).fit(blocks, targets)
    plain = make(dos_weight=None).fit(blocks, targets)
    assert not np.array_equal(weights(refitted), weights(plain))
    refitted.set_params(dos_weight=None).partial_fit(blocks, targets)
    np.testing.assert_array_equal(weights(refitted), weights(plain.partial_fit(blocks, targets)))


# -------------------------------------------------------------------- checkpoint


@every_net
@pytest.mark.parametrize("lr_schedule", [None, "plateau", "cosine"])
def test_a_killed_training_goes_on(make, lr_schedule, blocks, targets, tmp_path, monkeypatch):
    options = {"lr_schedule": lr_schedule, "train_split": 2, "lr": 0.05}
    whole = make(**options).fit(blocks, targets)
    kill = Kill(4, tmp_path / "killed")
    options |= {"checkpoint": tmp_path / "trainings", "callbacks": [kill]}
    with pytest.raises(Killed):
        make(**options).fit(blocks, targets)
    assert len(list((tmp_path / "trainings").iterdir())) == 1

    seen = []
    monkeypatch.setattr(Kill, "on_epoch_end", lambda self, net, **k: seen.append(len(net.history)))
    resumed = make(**options).fit(blocks, targets)
    same(resumed, whole)
    np.testing.assert_array_equal(resumed.predict(blocks)[0], whole.predict(blocks)[0])
    assert seen == [4, 5, 6]
    # What is finished is not trained again.
    same(make(**options).fit(blocks, targets), whole)
    assert seen == [4, 5, 6]


@pytest.mark.parametrize("epoch", [2, 3, 5])
def test_early_stopping_goes_on_counting(blocks, targets, make, tmp_path, epoch):
    options = {"train_split": [0, 3], "early_stopping": 3, "lr": 0.3, "max_epochs": 40}
    whole = make(**options).fit(blocks, targets)
    assert epoch < len(whole.history_) < 40
    kill = Kill(epoch, tmp_path / "killed")
    options |= {"checkpoint": tmp_path / "trainings", "callbacks": [kill]}
    with pytest.raises(Killed):
        make(**options).fit(blocks, targets)
    for _ in range(2):  # the second time it knows that it was stopped
        same(make(**options).fit(blocks, targets), whole)


def test_going_on_can_be_killed_too(blocks, targets, make, tmp_path):
    whole = make().fit(blocks, targets).partial_fit(blocks, targets, epochs=5)
    kill = Kill(6, tmp_path / "killed")
    options = {"checkpoint": tmp_path / "trainings", "callbacks": [kill]}
    model = make(**options).fit(blocks, targets)
    with pytest.raises(Killed):
        model.partial_fit(blocks, targets, epochs=5)
    model = make(**options).fit(blocks, targets)
    assert len(model.history_) == 3
    same(model.partial_fit(blocks, targets, epochs=5), whole)


CHANGES = {
    "lr": lambda X, y: (X, y, {"lr": 0.02}),
    "epochs": lambda X, y: (X, y, {"max_epochs": 5}),
    "seed": lambda X, y: (X, y, {"random_state": 1}),
    "network": lambda X, y: (X, y, {"module__activation": "tanh"}),
    "one input": lambda X, y: (Blocks([X[0] + (np.arange(3) == 2), *X[1:]]), y, {}),
    "one target": lambda X, y: (X, [*y[:-1], y[-1] * 1.0001], {}),
    "order": lambda X, y: (Blocks(list(X)[::-1]), y[::-1], {}),
    "split": lambda X, y: (X, y, {"train_split": 2}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_training_is_taken_for_another(change, blocks, targets, make, weights, tmp_path):
    make(checkpoint=tmp_path).fit(blocks, targets)
    X, y, params = change(blocks, targets)
    expected = weights(make(**params).fit(X, y))
    found = weights(make(checkpoint=tmp_path, **params).fit(X, y))
    np.testing.assert_array_equal(found, expected)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_changes_no_number_changes_no_name(blocks, targets, make, tmp_path, capsys):
    make(checkpoint=tmp_path).fit(blocks, targets)
    make(checkpoint=tmp_path, verbose=2, warm_start=True).fit(blocks, targets)
    assert len(list(tmp_path.iterdir())) == 1
    assert "dur" not in capsys.readouterr().out


def test_a_lazy_block_is_known_by_rows_all_over_it(rng):
    class Lazy:
        def __init__(self, array):
            self.array, self.shape, self.dtype = array, array.shape, array.dtype

        def __getitem__(self, rows):
            return self.array[rows]

    array = rng.normal(size=(1000, 2))
    assert _checksum(Lazy(array)) == _checksum(Lazy(array.copy()))
    for row in (0, PIECE_ROWS - 1, 999):
        changed = array.copy()
        changed[row] += 1
        assert _checksum(Lazy(changed)) != _checksum(Lazy(array))


def test_a_damaged_file_is_named(blocks, targets, make, tmp_path):
    make(checkpoint=tmp_path).fit(blocks, targets)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    half = len(content) // 2
    flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
    for damaged in (b"", content[:half], flipped, content[9:], content + b"x"):
        file.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=rf"remove the file.*{file.name}"):
            make(checkpoint=tmp_path).fit(blocks, targets)


def test_nothing_in_a_file_is_run(blocks, targets, make, tmp_path):
    import io
    import zlib

    from skldos.regressors.skorch.checkpoint import MAGIC

    make(checkpoint=tmp_path).fit(blocks, targets)
    (file,) = tmp_path.iterdir()
    body = io.BytesIO()
    torch.save({"stopped": Path("harmless")}, body)
    body = body.getvalue()
    file.write_bytes(MAGIC + f"{zlib.crc32(body):08x}".encode() + body)
    with pytest.raises(FileFormatError, match="cannot be read"):
        make(checkpoint=tmp_path).fit(blocks, targets)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)], ids=["None", "state"])
def test_a_training_needs_a_seed_to_be_known(blocks, targets, make, random_state, tmp_path):
    with pytest.raises(ValueError, match="checkpoint needs an integer random_state"):
        make(checkpoint=tmp_path, random_state=random_state).fit(blocks, targets)


TRAIN = """
import sys, time, numpy as np
from skorch.callbacks import Callback
from skldos import CSNNRegressor, LDOSRegressor, MDNRegressor

class Slow(Callback):
    def on_batch_end(self, net, batch=None, training=None, **kwargs):
        if slow:
            print(len(net.history), flush=True)
            time.sleep(600 * (len(net.history) == 4))  # in the fourth epoch, until killed

kind, folder, slow = sys.argv[1], sys.argv[2] or None, sys.argv[3] == "slow"
X = np.random.default_rng(0).normal(size=(100, 3)).astype("f4")
flat = dict(module__n_spheres=1, module__subdivisions=None, module__factor=1)
Net = {"LDOS": LDOSRegressor, "CSNN": CSNNRegressor, "MDN": MDNRegressor}[kind]
model = Net(
    max_epochs=6, batch_size=20, random_state=0, callbacks=[Slow()], checkpoint=folder,
    train_split=0.2, lr_schedule="cosine", **(flat if kind == "CSNN" else {}),
).fit(X, X[:, :2] ** 2)
print(len(model.history_), model.history_[:, "train_loss"], model.predict(X).tolist())
"""


@pytest.mark.parametrize("kind", ["LDOS", "CSNN", "MDN"])
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_kill_minus_nine_costs_one_epoch(kind, tmp_path, run_python):
    printed = tmp_path / "printed"
    process = start_python(TRAIN, kind, tmp_path, "slow", output=printed)
    deadline = time.monotonic() + 600
    while not (printed.exists() and "4\n" in printed.read_text()):
        assert process.is_alive(), printed.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (file,) = tmp_path.glob("*.training")
    body = torch.load(io_of(file), weights_only=True)
    assert len(body["history"]) == 3
    whole = run_python(TRAIN, kind, "", "fast")
    assert run_python(TRAIN, kind, tmp_path, "fast") == whole


def io_of(file):
    """Return the part of a file that torch wrote."""
    import io

    from skldos.regressors.skorch.checkpoint import MAGIC

    return io.BytesIO(file.read_bytes()[len(MAGIC) + 8 :])


# -------------------------------------------------------------------- the way of skorch


def test_load_init_state_trains_the_missing_epochs(blocks, targets, make, tmp_path):
    whole = make(max_epochs=8, train_split=[0]).fit(blocks, targets)

    def net():
        stored = Checkpoint(dirname=str(tmp_path), monitor=None)
        callbacks = [stored, LoadInitState(stored), Kill(6, tmp_path / "killed")]
        return make(max_epochs=8, train_split=[0], callbacks=callbacks)

    with pytest.raises(Killed):
        net().fit(blocks, targets)
    resumed = net().fit(blocks, targets)
    assert len(resumed.history_) == 8
    assert resumed.history_[:5, "train_loss"] == whole.history_[:5, "train_loss"]
    assert len(net().fit(blocks, targets).history_) == 8
