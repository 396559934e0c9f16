"""Mutual information of descriptors and LDOS: laws, then numbers, then searches."""

import numpy as np
import pytest
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_regression

from skldos import GridSNAPTransformer
from skldos.data import ComputedArray, as_rows
from skldos.search import MutualInformationScorer, mutual_information


def correlated(rng, correlations, n):
    """Draw pairs of vectors whose components have these correlations, one by one."""
    correlations = np.asarray(correlations)
    a, b = rng.normal(size=(2, n, len(correlations)))
    return a, correlations * a + np.sqrt(1 - correlations**2) * b


def by_pairs(a, b, k):
    """The first estimator of Kraskov et al., point by point, for generic points."""
    n = len(a)
    a = a / a.std(axis=0)
    a /= np.sqrt(a.var(axis=0).sum())
    b = b / np.sqrt(b.var(axis=0).sum())
    found = digamma(k) + digamma(n)
    for i in range(n):
        in_a, in_b = (np.delete(np.linalg.norm(x - x[i], axis=1), i) for x in (a, b))
        radius = np.sort(np.maximum(in_a, in_b))[k - 1]
        found -= (digamma(sum(in_a < radius) + 1) + digamma(sum(in_b < radius) + 1)) / n
    return found


@pytest.fixture
def transformer(snapshots):
    """A fitted transformer with 14 features."""
    return GridSNAPTransformer(twojmax=4, n_jobs=1).fit(snapshots)


# -------------------------------------------------------------------- laws


def test_symmetric_for_columns_of_equal_variance(rng):
    a, b = (x / x.std(axis=0) for x in correlated(rng, [0.5, 0.9], 300))
    found = mutual_information(a, b)
    assert found == pytest.approx(mutual_information(b, a), rel=1e-12)
    assert found > 0.5


def test_units_and_rotations_do_not_matter(rng):
    a, b = correlated(rng, [0.5, 0.9, 0.1], 300)
    found = mutual_information(a, b)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    units = np.array([1e-2, 1e4, -3.0])
    assert mutual_information(7 + a * units, 2 - 1e-9 * b @ rotation) == pytest.approx(found)
    constant = np.full((300, 1), 0.1)
    assert mutual_information(np.hstack([a, constant]), b) == found
    assert mutual_information(a, np.hstack([b, constant])) == found > 0.5


def test_the_whole_is_known_at_the_resolution_of_the_points(rng):
    a = rng.normal(size=(400, 3))
    a /= a.std(axis=0)
    # The neighbours are the same: n_B = n_d = k − 1, or k in one of them by a rounded distance,
    # and ψ(k + 1) − ψ(k) = 1/k.
    most = digamma(400) - digamma(3)
    assert most - 1 / 3 <= mutual_information(a, 2 * a[:, ::-1]) <= most


def test_nothing_is_known_of_a_constant(rng):
    a, constant = rng.normal(size=(200, 3)), np.full((200, 2), 0.3)
    for pair in ((a, constant), (constant, a), (constant, constant)):
        assert mutual_information(*pair) == pytest.approx(0, abs=1e-13)


def test_discrete_variables_have_their_entropy(rng):
    a = rng.permutation(np.repeat(np.eye(4), 100, axis=0))
    # Four values equally often; ψ(400) − ψ(100) is ln 4 + O(1/N).
    assert mutual_information(a, a) == pytest.approx(np.log(4), abs=0.01)
    shuffled = a[rng.permutation(400)]
    # The counts of 16 cells: (16 − 1)/2N of the plug-in estimate, and its scatter.
    assert abs(mutual_information(a, shuffled)) < 0.03


def test_noise_takes_information_away(rng):
    a, noise = rng.normal(size=(2, 500, 4))
    found = [mutual_information(a + level * noise, a) for level in (0.01, 0.1, 0.5, 1, 5)]
    assert (np.diff(found) < -0.1).all()


# -------------------------------------------------------------------- numbers


@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_formula(rng, k):
    a, b = correlated(rng, [0.5, 0.9], 90)
    expected = by_pairs(a, b, k)
    assert expected > 0.3
    assert mutual_information(a, b, n_neighbors=k) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("correlations", [[0.0], [0.5], [0.9], [0.99], [0, 0], [0.6, 0.3]])
def test_normal_variables(rng, correlations):
    # −1/2 sum ln(1 − ρ²), over the canonical correlations
    expected = -0.5 * np.log1p(-np.square(correlations)).sum()
    found = [mutual_information(*correlated(rng, correlations, 1000)) for _ in range(12)]
    # Five standard errors, and a bias of the order of 1/100 nat.
    assert np.mean(found) == pytest.approx(
        expected, abs=5 * np.std(found) / np.sqrt(12) + 0.01 + 0.01 * expected
    )


def test_many_dimensions_are_underestimated_but_ranked(rng):
    strengths = [0.2, 0.5, 0.8, 0.95]
    found = [mutual_information(*correlated(rng, [s] * 5, 1000)) for s in strengths]
    expected = [-2.5 * np.log(1 - s**2) for s in strengths]
    assert (np.diff(found) > 0.1).all()
    assert found[-1] < 0.8 * expected[-1]


def test_single_columns_as_in_scikit_learn(rng):
    a, b = correlated(rng, [0.8], 500)
    theirs = mutual_info_regression(a, b[:, 0], n_neighbors=3, random_state=0)[0]
    # The same estimator; theirs adds noise of 1e-10 and counts up to the next smaller radius.
    assert mutual_information(a, b) == pytest.approx(theirs, rel=1e-6)


def test_draws_are_seeded_and_few_other_rows_are_read(rng):
    rows, read = rng.normal(size=(10**5, 3)), []

    def compute(start, stop):
        read.extend(range(start, stop))
        return rows[start:stop]

    lazy = ComputedArray(compute, rows.shape, float)
    found = mutual_information(lazy, rows**2, n_points=50, random_state=0)
    assert 50 <= len(read) == len(set(read)) < 500
    assert found == mutual_information(rows, rows**2, n_points=50, random_state=0)
    drawn = np.random.RandomState(0).choice(10**5, 50, replace=False)
    assert found == mutual_information(rows[drawn], rows[drawn] ** 2)
    assert found != mutual_information(rows, rows**2, n_points=50, random_state=1)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ([(9, 3), (8, 3)], {}, "one row per point, got 9 and 8 rows"),
        ([(3, 3), (3, 3)], {}, "n_neighbors must be less than the number of points, 3; got 3"),
        ([(9, 3), (9, 3)], {"n_neighbors": 0}, "n_neighbors must be >= 1, got 0"),
        ([(9, 3), (9, 3)], {"n_points": 1}, "n_points must be >= 2, got 1"),
    ],
)
def test_wrong_arguments(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        mutual_information(*map(np.ones, shapes), **options)


# -------------------------------------------------------------------- the scorer


def test_the_scorer_is_the_mean_over_snapshots(transformer, snapshots):
    scorer = MutualInformationScorer(n_points=None)
    blocks = transformer.transform(snapshots)
    expected = [
        mutual_information(b, as_rows(s.ldos)) for b, s in zip(blocks, snapshots, strict=True)
    ]
    found = scorer.informations(transformer, snapshots)
    assert found.min() > 0.5
    np.testing.assert_array_equal(found, expected)
    assert scorer(transformer, snapshots) == np.mean(found)
    assert scorer(transformer, snapshots[:1]) == found[0]


def test_scaling_and_a_regressor_make_no_difference(pipeline, snapshots):
    scorer = MutualInformationScorer(random_state=0)
    pipeline.fit(snapshots)
    found = scorer(pipeline, snapshots)
    assert found == scorer(pipeline[:-1], snapshots) > 0
    assert found == pytest.approx(scorer(pipeline[:-2], snapshots), rel=1e-6)
