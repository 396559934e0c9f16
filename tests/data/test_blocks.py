"""Blocks are one-dimensional arrays of arrays, linked to their snapshots."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed

from skldos import ArrayFile
from skldos.data import Blocks, ComputedArray, is_blocks


@pytest.fixture
def blocks(snapshots):
    return Blocks([np.full((4, 2), float(i)) for i in range(6)], snapshots)


def test_blocks_of_equal_shape_are_not_stacked(blocks):
    assert (blocks.shape, blocks.dtype) == ((6,), object)
    assert blocks[2].shape == (4, 2)


@pytest.mark.parametrize(
    "key",
    [slice(1, 4), slice(None, None, -1), [5, 0], np.arange(6) > 2, np.array([], dtype=int)],
    ids=repr,
)
def test_selected_blocks_bring_their_snapshots(blocks, key):
    for selected in (blocks[key], blocks[key, ...]):
        expected = np.arange(6)[key]
        assert [block[0, 0] for block in selected] == expected.tolist()
        assert [id(s) for s in selected.snapshots] == [id(blocks.snapshots[i]) for i in expected]


@pytest.mark.parametrize(
    "operation",
    [
        lambda blocks: np.take(blocks, [1, 0]),
        lambda blocks: np.concatenate([blocks[3:], blocks[:3]]),
        lambda blocks: np.roll(blocks, 1),
    ],
    ids=["take", "concatenate", "roll"],
)
def test_reordered_blocks_never_bring_the_wrong_snapshots(blocks, operation):
    reordered = operation(blocks)
    snapshots = getattr(reordered, "snapshots", None)
    assert snapshots is None or [blocks.snapshots[int(b[0, 0])] for b in reordered] == [*snapshots]


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, Blocks.copy, lambda b: pickle.loads(pickle.dumps(b))],
    ids=["copy", "deepcopy", "method", "pickle"],
)
def test_copies_keep_blocks_and_snapshots(blocks, duplicate):
    same = duplicate(blocks)
    assert isinstance(same, Blocks)
    np.testing.assert_array_equal(np.stack(same), np.stack(blocks))
    assert [repr(s) for s in same.snapshots] == [repr(s) for s in blocks.snapshots]


def test_joblib_stores_and_sends_blocks(blocks, tmp_path):
    joblib.dump(blocks, tmp_path / "blocks.joblib")
    assert len(joblib.load(tmp_path / "blocks.joblib").snapshots) == 6
    assert joblib.hash(blocks) == joblib.hash(pickle.loads(pickle.dumps(blocks)))
    sums = Parallel(n_jobs=2)(delayed(_sums)(part) for part in (blocks[:2], blocks[2:]))
    assert sums == [[0.0, 8.0], [16.0, 24.0, 32.0, 40.0]]


def _sums(blocks):
    assert len(blocks) == len(blocks.snapshots)
    return [float(block.sum()) for block in blocks]


def test_repr_is_short(blocks):
    wide = Blocks([np.zeros((1000, 91))] * 7)
    assert repr(wide) == str(wide) == "Blocks(7 of shape " + ", ".join(["(1000, 91)"] * 6) + ", …)"


def test_what_is_blocks_and_what_is_rows(tmp_path, blocks):
    np.save(tmp_path / "a.npy", np.zeros((4, 2)))
    rows = np.zeros((4, 2))
    lazy = ComputedArray(lambda a, b: rows[a:b], (4, 2), float)
    for yes in ([rows], (rows, rows), blocks, [ArrayFile(tmp_path / "a.npy")], [lazy]):
        assert is_blocks(yes)
    assert is_blocks([pd.DataFrame(rows)])
    for no in (rows, rows[0], [[1.0, 2.0]], [], pd.DataFrame(rows), np.zeros((2, 3, 4)), "text"):
        assert not is_blocks(no)
