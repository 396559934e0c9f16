"""The coefficient of determination of rows that come in pieces."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import r2_score

from skldos.scoring.r2 import coefficient_of_determination


@pytest.mark.parametrize("pieces", [[40], [1, 39], [13, 9, 18], [1] * 40])
def test_pieces_give_the_whole(rng, pieces):
    # Rows that drift, so that no piece is like the first.
    true = np.cumsum(rng.normal(size=(40, 3)), axis=0) + np.array([5.0, 0.0, -300.0])
    predicted = true + np.linspace(0, 2, 40)[:, None] * rng.normal(size=(40, 3))
    expected = r2_score(true, predicted, multioutput="variance_weighted")
    bounds = np.cumsum([0, *pieces])
    slices = [slice(*pair) for pair in itertools.pairwise(bounds)]
    found = coefficient_of_determination((true[rows], predicted[rows]) for rows in slices)
    assert 0.3 < expected < 0.99
    assert found == pytest.approx(expected, rel=1e-12)


def test_rows_that_are_all_the_same():
    rows = np.full((4, 2), 1.7)
    assert coefficient_of_determination([(rows[:2], rows[:2]), (rows[2:], rows[2:])]) == 1.0
    assert coefficient_of_determination([(rows[:2], rows[:2]), (rows[2:], rows[2:] + 1)]) == 0.0
