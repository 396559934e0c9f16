"""Rank correlations with their intervals."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau

from skldos.search import kendall_interval
from skldos.search.correlation import _resampled


def test_signs_and_symmetry(rng):
    a, b = rng.normal(size=(2, 25))
    found = kendall_interval(a, b + a, random_state=0)
    assert 0.1 < found.tau < 0.9
    assert found.low < found.tau < found.high
    assert kendall_interval(b + a, a, random_state=0) == found
    reverse = kendall_interval(-a, b + a, random_state=0)
    assert reverse.tau == pytest.approx(-found.tau)
    assert (reverse.low, reverse.high) == pytest.approx((-found.high, -found.low))
    # Ranks are all that counts.
    assert kendall_interval(np.exp(a), b + a, random_state=0) == found


def test_the_correlation_is_that_of_pairs(rng):
    a, b = rng.integers(0, 5, size=(2, 30))
    pairs = list(combinations(range(30), 2))
    s, t = (np.array([np.sign(x[i] - x[j]) for i, j in pairs]) for x in (a, b))
    expected = (s @ t) / np.sqrt((s @ s) * (t @ t))
    found = kendall_interval(a, b, random_state=0)
    assert abs(expected) > 0.01
    assert found.tau == pytest.approx(expected, rel=1e-12)
    assert found.pvalue == kendalltau(a, b).pvalue


def test_resampled_correlations_are_those_of_the_samples(rng):
    a, b = rng.integers(0, 4, size=(2, 7)).astype(float)
    found = _resampled(a, b, 40, np.random.RandomState(3))
    counts = np.random.RandomState(3).multinomial(7, np.full(7, 1 / 7), size=40)
    expected = [kendalltau(np.repeat(a, n), np.repeat(b, n)).statistic for n in counts]
    expected = [tau for tau in expected if not np.isnan(tau)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert len(found) > 30


def test_the_interval_holds_the_truth(rng):
    # For normal variables of correlation ρ, τ = (2/π) arcsin ρ.
    truth = 2 / np.pi * np.arcsin(0.5)
    hits = 0
    for seed in range(200):
        a, noise = rng.normal(size=(2, 30))
        found = kendall_interval(
            a, 0.5 * a + np.sqrt(0.75) * noise, confidence=0.9, n_resamples=300, random_state=seed
        )
        hits += found.low <= truth <= found.high
    # Within three standard deviations of 200 draws, 0.064.
    assert abs(hits / 200 - 0.9) < 3 * np.sqrt(0.1 * 0.9 / 200)


def test_wider_with_more_confidence(rng):
    a, b = rng.normal(size=(2, 30))
    widths = [
        found.high - found.low
        for found in (
            kendall_interval(a, b, confidence=c, random_state=0) for c in (0.5, 0.9, 0.99)
        )
    ]
    assert 0 < widths[0] < widths[1] < widths[2]


def test_failed_candidates_are_left_out(rng):
    a, b = rng.normal(size=(2, 20))
    expected = kendall_interval(a[2:], b[2:], random_state=0)
    a[0], b[1] = np.nan, np.nan
    assert kendall_interval(a, b, random_state=0) == expected


def test_infinite_scores_have_a_rank(rng):
    a, b = rng.normal(size=(2, 20))
    a[:2] = a.max() + 1
    expected = kendall_interval(a, b, random_state=0)
    a[:2] = np.inf
    assert kendall_interval(a, b, random_state=0) == expected


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, np.nan, 2], [np.nan, 1, 1])]
)
def test_undefined(a, b):
    assert all(np.isnan(kendall_interval(a, b)))


def test_two_items_have_no_interval():
    found = kendall_interval([1, 2], [4, 3])
    assert found.tau == -1
    assert np.isnan([found.low, found.high]).all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"b must have shape \(3\), got \(2,\)"):
        kendall_interval([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="confidence must be > 0 and <= 1, got 95"):
        kendall_interval([1, 2], [1, 2], confidence=95)
