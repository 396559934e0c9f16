"""Checks name the argument, allowed values and the received value."""

import pytest
import torch

from skldos.validation import check_device


@pytest.fixture
def cards(monkeypatch):
    """Pretend that the machine has this number of GPUs."""

    def pretend(n):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: n > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: n)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return pretend


def test_devices_of_this_machine_are_strings(cards):
    cards(2)
    for value in ("cpu", "cuda", "cuda:1", torch.device("cpu"), torch.device("cuda", 0)):
        assert check_device("device", value) == str(value)


@pytest.mark.parametrize(
    ("n_cards", "value", "message"),
    [
        (0, "gpu", "device must be .*, one of 'cpu'; got 'gpu'"),
        (0, "cuda", "one of 'cpu'; got 'cuda'"),
        (0, torch.device("cuda"), "one of 'cpu'; got device"),
        (1, "cuda:1", "one of 'cpu', 'cuda', 'cuda:0'; got 'cuda:1'"),
        (1, None, "got None"),
        (1, 0, "got 0"),
    ],
)
def test_other_devices_are_named(cards, n_cards, value, message):
    cards(n_cards)
    with pytest.raises(ValueError, match=message):
        check_device("device", value)
