"""Callbacks that parameters switch on, and what they are set to."""

from types import SimpleNamespace

import pytest
from skorch.callbacks import EarlyStopping, EpochTimer, LRScheduler, PrintLog
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from skldos import BandEnergyScorer
from skldos.regressors.callbacks import SnapshotScoring
from skldos.regressors.neural import _callbacks
from skldos.regressors.neural._callbacks import EpochBar, default_callbacks


def callbacks(**changes):
    net = {"train_split": 1, "lr_schedule": None, "early_stopping": None, "verbose": 0}
    net |= {"_epochs_": 7, "_team_": SimpleNamespace(rank=0)}
    return dict(default_callbacks(SimpleNamespace(**net | changes)))


def test_by_default_there_is_a_clock():
    found = callbacks()
    assert {name: type(c) for name, c in found.items()} == {"epoch_timer": EpochTimer}


@pytest.mark.parametrize(("split", "monitor"), [(None, "train_loss"), (1, "valid_loss")])
def test_plateaus(split, monitor):
    schedule = callbacks(lr_schedule="plateau", train_split=split)["lr_schedule"]
    assert isinstance(schedule, LRScheduler)
    assert schedule.policy is ReduceLROnPlateau
    assert schedule.monitor == monitor
    assert schedule.kwargs == {"patience": 3, "factor": 0.1}


@pytest.mark.parametrize(("epochs", "length"), [(7, 7), (1, 1), (0, 1)])
def test_cosines_end_with_the_training(epochs, length):
    schedule = callbacks(lr_schedule="cosine", _epochs_=epochs)["lr_schedule"]
    assert schedule.policy is CosineAnnealingLR
    assert schedule.kwargs == {"T_max": length, "last_epoch": -1}


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_schedules_do_not_have_every_batch_recorded(schedule, blocks, targets, make):
    plain, scheduled = (
        make(lr_schedule=name, max_epochs=2).fit(blocks, targets) for name in (None, schedule)
    )
    assert "event_lr" in scheduled.history_[-1]
    assert scheduled.history_[-1]["train_batch_count"] > 1
    for net in plain, scheduled:
        assert [len(epoch["batches"]) for epoch in net.history_] == [1, 1]


def test_early_stopping_keeps_the_best_and_is_silent(capsys):
    stopping = callbacks(early_stopping=4)["early_stopping"]
    assert isinstance(stopping, EarlyStopping)
    assert (stopping.monitor, stopping.patience, stopping.load_best) == ("valid_loss", 4, True)
    stopping.sink("stopped")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("verbose", "kind"), [(0, None), (1, EpochBar), (True, EpochBar), (2, PrintLog)]
)
def test_reports(verbose, kind):
    assert (set(map(type, callbacks(verbose=verbose).values())) - {EpochTimer}) == {kind} - {None}
    # One of several processes is enough.
    other = SimpleNamespace(rank=1)
    assert set(callbacks(verbose=verbose, _team_=other)) == {"epoch_timer"}
    assert "early_stopping" in callbacks(verbose=verbose, _team_=other, early_stopping=1)


class Net:
    _epochs_ = 3
    history = ({"train_loss": 9.0}, {"train_loss": 0.1235, "valid_loss": 2.0, "dur": 1.0})


@pytest.mark.parametrize("watched", [True, False])
def test_the_bar_shows_the_losses_of_the_last_epoch_and_goes(monkeypatch, watched):
    made = {}

    class Bar:
        n = 0

        def __init__(self, **options):
            made.update(options)

        def set_postfix(self, losses, refresh):
            made.update(losses=losses, refresh=refresh)

        def update(self):
            self.n += 1

        def close(self):
            made.update(closed=self.n)

    monkeypatch.setattr(_callbacks, "progress_bar", Bar)
    monkeypatch.setattr(_callbacks, "is_watched", lambda: watched)
    bar, net = EpochBar(), Net()
    bar.on_train_begin(net)
    for _ in range(2):
        bar.on_epoch_end(net)
    bar.on_train_end(net)
    assert made == {
        **{"total": 3, "unit": "epoch", "desc": "Net", "leave": False, "refresh": watched},
        **{"losses": {"train_loss": "1.235e-01", "valid_loss": "2.000e+00"}, "closed": 2},
    }


# -------------------------------------------------------------------- scores during training


@pytest.mark.parametrize("every", [0, 1.5])
def test_scores_come_after_whole_numbers_of_epochs(every):
    with pytest.raises((ValueError, TypeError), match="every must be"):
        SnapshotScoring(BandEnergyScorer(), every=every).on_train_begin(Net())
