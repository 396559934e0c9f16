"""Settings of the process that other code made, and pipes whose reader stops."""

import io
import os
import sys
from importlib import import_module

import numpy as np
import pytest
import torch

from skldos import LDOSRegressor
from skldos.cli.main import main
from skldos.datasets import make_snapshots
from skldos.progress import is_watched, progress_bar

X = np.random.default_rng(0).random((12, 3)).astype(np.float32)


def fitted():
    return LDOSRegressor(max_epochs=1, random_state=0).fit(X, X[:, :2])


def test_mixed_precision_of_the_process_changes_nothing():
    model = fitted()
    expected = model.predict(X)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(model.predict(X), expected)
        np.testing.assert_array_equal(fitted().predict(X), expected)


def test_constants_do_not_depend_on_the_default_device():
    polylog = import_module("skldos.physics.polylog")
    before = polylog._COEFFICIENTS, polylog._RATES
    with torch.device("meta"):
        after = polylog._series_coefficients()
    for one, two in zip(before, after, strict=True):
        assert torch.equal(one, two)


def test_a_reader_that_stops_is_no_error(tmp_path, monkeypatch, capfd):
    make_snapshots(1, random_state=0).save(tmp_path / "snapshots")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["info", str(tmp_path / "snapshots")]) == 0
    assert capfd.readouterr().err == ""


def test_processes_without_a_stderr_train(monkeypatch):
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(progress_bar(range(3), desc="")) == [0, 1, 2]
        assert not is_watched()
        model = LDOSRegressor(max_epochs=1, random_state=0, verbose=1).fit(X, X[:, :2])
        assert len(model.history) == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_numbers_of_numpy_where_warnings_and_overflows_are_errors(dtype):
    with np.errstate(all="raise"):
        snapshot = make_snapshots(1, random_state=0)[0].replace(temperature=dtype(300))
    assert type(snapshot.temperature) is float
    assert snapshot.temperature == 300
