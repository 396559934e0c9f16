"""Validation data are whole snapshots, chosen as requested."""

import numpy as np
import pytest
import torch
from skorch.dataset import ValidSplit

from skldos.regressors.neural._split import split_units


@pytest.mark.parametrize(
    ("train_split", "n_validation"),
    [(1, 1), (4, 4), (0.2, 2), (0.01, 1), (np.int64(3), 3), (0.25, 2)],
)
def test_numbers_and_fractions_draw_at_random(train_split, n_validation):
    torch.manual_seed(0)
    training, validation = split_units(train_split, range(10))
    assert len(validation) == n_validation
    assert sorted([*training, *validation]) == list(range(10))
    others = [tuple(split_units(train_split, range(10))[1]) for _ in range(20)]
    assert len(set(others)) > 1


def test_none_validates_nothing():
    training, validation = split_units(None, range(3))
    np.testing.assert_array_equal(training, [0, 1, 2])
    assert validation is None


@pytest.mark.parametrize("indices", [[3, 1], (1, 3), np.array([1, 3]), [-1, 1], [3, 1, 3]], ids=str)
def test_indices_name_the_validation_samples(indices):
    training, validation = split_units(indices, range(4))
    np.testing.assert_array_equal(training, [0, 2])
    np.testing.assert_array_equal(validation, [1, 3])


def test_a_splitter_of_skorch_is_taken():
    training, validation = split_units(ValidSplit(2, stratified=False), range(6))
    assert sorted([*training, *validation]) == list(range(6))
    assert len(validation) == 3


@pytest.mark.parametrize(
    ("train_split", "message"),
    [
        (0, "train_split=0 would leave no samples"),
        (4, "train_split=4 would leave no samples .* 4 sample"),
        (-1, "train_split=-1"),
        (1.0, "train_split=1.0"),
        (-0.5, "train_split=-0.5"),
        (0.0, "train_split=0.0"),
        (float("nan"), "train_split=nan"),
        (True, "train_split must be a number, indices or callable, got True"),
        ([], "leaves 4 sample"),
        ([0, 1, 2, 3], "leaves 0 sample"),
        ([4], "holds the index 4, but there are 4 samples"),
        ([-5], "holds the index -5"),
        ([0.5], "must hold the indices of samples"),
        ([[0]], "must hold the indices of samples"),
        ("half", "must hold the indices of samples"),
        ([True, False, False, False], "must hold the indices of samples"),
    ],
)
def test_splits_that_cannot_be_are_named(train_split, message):
    with pytest.raises(ValueError, match=message):
        split_units(train_split, range(4))
