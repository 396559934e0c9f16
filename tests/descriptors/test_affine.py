"""The matrix of an affine map of rows; other maps are detected."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection

from skldos.descriptors.affine import matrix_of

AFFINE = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    MinMaxScaler(),
    MaxAbsScaler(),
    RobustScaler(),
    PCA(3),
    PCA(4, whiten=True),
    VarianceThreshold(),
    GaussianRandomProjection(3, random_state=0),
    make_pipeline(StandardScaler(), PCA(2)),
    FunctionTransformer(),
]
CURVED = [
    Normalizer(),
    PolynomialFeatures(2),
    PowerTransformer(),
    QuantileTransformer(n_quantiles=20),
    MinMaxScaler(clip=True),
    FunctionTransformer(np.log1p),
    FunctionTransformer(np.log),
    FunctionTransformer(np.tanh),
    FunctionTransformer(lambda rows: rows + 1e-5 * rows**2),
]


def names(transformers):
    return [type(transformer).__name__ for transformer in transformers]


@pytest.fixture
def rows(rng):
    """Rows of the scales that bispectrum components have, from 1e-3 to 1e4."""
    scales = np.array([1e-3, 1.0, 40.0, 1e3, 1e4])
    return scales * (5 + rng.standard_normal((200, 5)) @ (np.eye(5) + 0.3))


@pytest.mark.parametrize("transformer", AFFINE, ids=names(AFFINE))
def test_the_matrix_is_the_derivative(rows, rng, transformer):
    transform = transformer.fit(rows).transform
    matrix = matrix_of(transform, 5)
    assert matrix.shape == (5, transform(rows[:1]).shape[1])
    # Along the data, a step of their size: exact for a map that is affine.
    step = rows.std(axis=0) * rng.standard_normal((20, 5))
    moved = transform(rows[:20] + step) - transform(rows[:20])
    assert np.abs(moved).max() > 0.1
    np.testing.assert_allclose(step @ matrix, moved, atol=1e-9 * np.abs(moved).max())


def test_a_scaler_is_matched_to_rounding(rows):
    scaler = StandardScaler().fit(rows)
    matrix = matrix_of(scaler.transform, 5)
    np.testing.assert_allclose(np.diag(matrix), 1 / scaler.scale_, rtol=1e-12)
    assert np.count_nonzero(matrix) == 5


@pytest.mark.parametrize("transformer", CURVED, ids=names(CURVED))
def test_other_maps_are_noticed(rows, transformer):
    transform = transformer.fit(rows).transform
    with pytest.raises(ValueError, match=r"steps that are affine, .*; the bent one is not"):
        matrix_of(transform, 5, "the bent one")


def test_nothing_may_come_out_of_nothing():
    np.testing.assert_array_equal(matrix_of(lambda rows: 0 * rows, 3), np.zeros((3, 3)))
