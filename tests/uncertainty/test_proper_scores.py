"""Proper scores compared with their definitions, and with each other."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from skldos.uncertainty import crps, energy_score


def mixture():
    """Return means, standard deviations and weights of three components."""
    return np.array([-1.0, 0.3, 4.0]), np.array([0.5, 2.0, 0.1]), np.array([0.5, 0.3, 0.2])


@pytest.mark.parametrize("y", [-3.0, 0.0, 4.05, 50.0])
def test_crps_is_the_integral_of_its_definition(y):
    means, stds, weights = mixture()

    def below(t):
        return np.sum(weights * norm.cdf((t - means) / stds))

    points = [y, *means]
    low = quad(lambda t: below(t) ** 2, -20, y, limit=400, points=[p for p in points if p < y])[0]
    above = [p for p in points if p > y]
    high = quad(lambda t: (1 - below(t)) ** 2, y, 70, limit=400, points=above or None)[0]
    assert crps(y, means, stds, weights) == pytest.approx(low + high, rel=1e-6)


def test_crps_of_a_sharp_prediction_is_the_absolute_error():
    np.testing.assert_array_equal(crps([1.0, -2.0], [0.0, 0.5], [0.0, 0.0]), [1.0, 2.5])
    np.testing.assert_array_equal(crps([1.0], [1.0], [0.0]), [0.0])


def test_components_that_are_one():
    means, stds = np.full((2, 3), 1.5), np.full((2, 3), 0.7)
    weights = [[0.2] * 3, [0.8] * 3]
    y = np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(crps(y, means, stds, weights), crps(y, means[0], stds[0]))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_energy_score_counts_pairs_of_different_draws(n):
    """By the definition: means over n draws, and over the n (n - 1) ordered pairs of them."""
    rng = np.random.default_rng(n)
    y, samples = rng.standard_normal((4, 3)), rng.standard_normal((n, 4, 3))
    near = np.mean([np.linalg.norm(s - y, axis=1) for s in samples], axis=0)
    apart = [
        np.linalg.norm(samples[i] - samples[j], axis=1)
        for i in range(n)
        for j in range(n)
        if i != j
    ]
    expected = near - 0.5 * np.mean(apart, axis=0)
    np.testing.assert_allclose(energy_score(y, samples), expected, rtol=1e-12)


def test_metric_of_the_energy_score():
    rng = np.random.default_rng(2)
    root = rng.standard_normal((3, 3))
    y, samples = rng.standard_normal((4, 3)), rng.standard_normal((5, 4, 3))
    expected = energy_score(y @ root.T, samples @ root.T)
    np.testing.assert_allclose(energy_score(y, samples, root.T @ root), expected, rtol=1e-12)
    assert (expected > 0.1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0, 2.0], [1.0, 2.0]), "means"),
        (([1.0], [1.0], [-1.0]), "stds"),
        (([np.nan], [1.0], [1.0]), "y"),
        (([1.0, 2.0], np.ones((2, 2)), np.ones((2, 2)), [0.9, 0.1]), "weights"),
    ],
)
def test_wrong_arguments_of_crps(arguments, message):
    with pytest.raises(ValueError, match=message):
        crps(*arguments)


def test_one_draw_is_no_energy_score():
    with pytest.raises(ValueError, match="two draws"):
        energy_score([[0.0]], [[[1.0]]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], np.zeros((3, 1, 1))), r"y must have shape \(any, any\), got \(1,\)"),
        (([[0.0, 1.0]], np.zeros((3, 1, 1))), r"samples must have shape \(any, 1, 2\)"),
        (([[0.0]], np.zeros((3, 1, 1)), np.eye(2)), r"metric must have shape \(1, 1\)"),
        (([[np.inf]], np.zeros((3, 1, 1))), "y must be finite"),
        (([[0.0]], np.full((3, 1, 1), np.nan)), "samples must be finite"),
    ],
)
def test_wrong_arguments_of_the_energy_score(arguments, message):
    with pytest.raises(ValueError, match=message):
        energy_score(*arguments)
