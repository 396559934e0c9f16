"""Batches hold every row once per epoch, from memory or streamed."""

import numpy as np
import pytest
import torch

from skldos import ArrayFile
from skldos.data import ComputedArray
from skldos.regressors.block_dataset import BlockDataset
from skldos.regressors.neural._batches import RowBatches
from skldos.regressors.neural.target_scaling import TargetScaling

SIZES = (20, 45, 1, 30, 21, 40)
N_ROWS = sum(SIZES)
ROW_BYTES = 4 * (2 + 1)


@pytest.fixture
def inputs():
    """Blocks whose first column numbers all rows."""
    numbers = np.split(np.arange(N_ROWS), np.cumsum(SIZES)[:-1])
    return [np.column_stack([n, 10 * n]).astype(np.float32) for n in numbers]


@pytest.fixture
def outputs(inputs):
    return [-block[:, :1] for block in inputs]


def batches(inputs, outputs, *, batch_size=16, shuffle=True, buffer_rows=10**6, scaling=None):
    return RowBatches(
        BlockDataset(inputs, outputs),
        batch_size,
        shuffle=shuffle,
        buffer_bytes=buffer_rows * ROW_BYTES,
        device="cpu",
        scaling=scaling or TargetScaling([0.0], [1.0]),
    )


@pytest.mark.parametrize("buffer_rows", [1, 5, 40, 100, N_ROWS, 10**6])
@pytest.mark.parametrize("batch_size", [1, 7, 16, N_ROWS, 1000])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_once_in_batches_of_one_size(inputs, outputs, buffer_rows, batch_size, shuffle):
    torch.manual_seed(0)
    iterator = batches(
        inputs, outputs, batch_size=batch_size, buffer_rows=buffer_rows, shuffle=shuffle
    )
    for _ in range(2):  # every epoch
        X, y = zip(*iterator, strict=True)
        sizes = [len(batch) for batch in X]
        assert len(sizes) == len(iterator) == -(-N_ROWS // batch_size)
        assert set(sizes[:-1]) <= {batch_size}
        X, y = torch.cat(X).numpy(), torch.cat(y).numpy()
        assert X.dtype == y.dtype == np.float32
        np.testing.assert_array_equal(np.sort(X[:, 0]), np.arange(N_ROWS))
        # Inputs and targets stay together.
        np.testing.assert_array_equal(X, np.column_stack([-y[:, 0], -10 * y[:, 0]]))
        if not shuffle:
            np.testing.assert_array_equal(X[:, 0], np.arange(N_ROWS))


@pytest.mark.parametrize("buffer_rows", [60, 10**6])
def test_shuffling_mixes_blocks_and_differs_between_epochs(inputs, outputs, buffer_rows):
    torch.manual_seed(0)
    iterator = batches(inputs, outputs, buffer_rows=buffer_rows)
    one, two = (torch.cat([X for X, _ in iterator])[:, 0].numpy() for _ in range(2))
    assert not np.array_equal(one, two)
    block_of = np.repeat(np.arange(len(SIZES)), SIZES)
    first_batches = [set(block_of[one[i : i + 16].astype(int)]) for i in range(0, 144, 16)]
    assert np.mean([len(blocks) for blocks in first_batches]) > 2


def test_the_same_seed_gives_the_same_batches(inputs, outputs):
    orders = []
    for _ in range(2):
        torch.manual_seed(3)
        orders.append(torch.cat([X for X, _ in batches(inputs, outputs, buffer_rows=40)]))
    torch.testing.assert_close(*orders, rtol=0, atol=0)


def test_a_small_buffer_is_never_exceeded(inputs, outputs):
    asked = []

    def rows_of(block):
        def rows(start, stop):
            asked.append(stop - start)
            return block[start:stop]

        return ComputedArray(rows, block.shape, block.dtype)

    lazy = [rows_of(block) for block in inputs]
    iterator = iter(batches(lazy, outputs, buffer_rows=32))
    next(iterator)
    assert sum(asked) <= 32 + 16  # a buffer, and what a batch lacks
    list(iterator)
    assert sum(asked) == N_ROWS


def test_what_fits_is_read_once(inputs, outputs):
    asked = []

    def rows(start, stop):
        asked.append(stop - start)
        return inputs[1][start:stop]

    iterator = batches([ComputedArray(rows, (45, 2), np.float32)], outputs[1:2])
    for _ in range(3):
        list(iterator)
    assert sum(asked) == 45


def test_files_and_arrays_give_the_same_batches(inputs, outputs, tmp_path):
    files = []
    for i, block in enumerate(inputs):
        np.save(tmp_path / f"{i}.npy", block)
        files.append(ArrayFile(tmp_path / f"{i}.npy"))
    for buffer_rows in (50, 10**6):
        found = []
        for source in (inputs, files):
            torch.manual_seed(0)
            found.append(
                torch.cat([X for X, _ in batches(source, outputs, buffer_rows=buffer_rows)])
            )
        torch.testing.assert_close(*found, rtol=0, atol=0)


def test_targets_are_normalised_and_inputs_are_not_changed(inputs, outputs):
    before = [block.copy() for block in (*inputs, *outputs)]
    scaling = TargetScaling([5.0], [2.0])
    for buffer_rows in (50, 10**6):
        for X, y in batches(inputs, outputs, buffer_rows=buffer_rows, scaling=scaling):
            torch.testing.assert_close(y, (-X[:, :1] - 5) / 2)
    for block, original in zip((*inputs, *outputs), before, strict=True):
        np.testing.assert_array_equal(block, original)


def test_a_dataset_counts_blocks_and_splits_by_them(inputs, outputs):
    dataset = BlockDataset(inputs, [block.reshape(-1, 1, 1) for block in outputs])
    assert (len(dataset), dataset.n_rows, dataset.row_bytes) == (6, N_ROWS, ROW_BYTES)
    part = dataset.take([4, 1])
    assert [block.shape for block in part.inputs] == [(21, 2), (45, 2)]
    assert [block.shape for block in part.targets] == [(21, 1), (45, 1)]
