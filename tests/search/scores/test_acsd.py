"""The training-free score of descriptors: laws, then numbers, then searches."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from skldos import ArrayFile, GridSNAPTransformer
from skldos.data import ComputedArray, as_rows
from skldos.search import ACSDScorer, acsd

SIDED = ["two", "one"]


@pytest.fixture
def pair(rng):
    """Descriptors and targets of 30 points."""
    return rng.uniform(-0.1, 1, size=(30, 5)), rng.random((30, 7))


@pytest.fixture
def transformer(snapshots):
    """A fitted transformer with 14 features."""
    return GridSNAPTransformer(twojmax=4, n_jobs=1).fit(snapshots)


def by_pairs(descriptors, targets, sided):
    """Eq. (9) of Fiedler et al., or MALA's one side of it, pair by pair."""

    def cosine(a, b):
        return a @ b / np.sqrt((a @ a) * (b @ b))

    terms = []
    for i, j in combinations(range(len(targets)), 2):
        more = cosine(descriptors[i], descriptors[j]) - cosine(targets[i], targets[j])
        terms.append(abs(more) if sided == "two" else max(more, 0))
    return np.mean(terms)


# -------------------------------------------------------------------- the formula


@pytest.mark.parametrize("sided", SIDED)
@pytest.mark.parametrize("n_pairs", [None, 435, 10**6])
def test_the_formula(pair, sided, n_pairs):
    expected = by_pairs(*pair, sided)
    assert expected > 0.02
    assert acsd(*pair, sided=sided, n_pairs=n_pairs) == pytest.approx(expected, rel=1e-12)


def test_two_sides_are_one_and_the_other(pair):
    descriptors, targets = pair
    sides = acsd(descriptors, targets, sided="one") + acsd(targets, descriptors, sided="one")
    assert acsd(descriptors, targets, sided="two") == pytest.approx(sides, rel=1e-12)


def test_descriptors_as_similar_as_the_targets(pair, rng):
    targets = pair[1]
    rotation, _ = np.linalg.qr(rng.normal(size=(7, 7)))
    lengths = rng.uniform(0.1, 10, size=(30, 1))
    # Cosines of 1 come with an error of the order of rounding.
    assert acsd(lengths * (targets @ rotation), targets) < 1e-14
    assert acsd(targets[::-1], targets) > 0.01


def test_descriptors_that_tell_nothing_apart(pair):
    same = np.ones((30, 2))
    assert acsd(same, pair[1], sided="one") == pytest.approx(
        acsd(same, pair[1], sided="two"), rel=1e-12
    )
    assert acsd(pair[1], same, sided="one") < 1e-14 < acsd(pair[1], same, sided="two")


def test_vectors_of_zeros(pair):
    descriptors = pair[0].copy()
    descriptors[:2] = 0
    # Equal to each other, unlike all others.
    assert acsd(descriptors[:2], descriptors[[2, 2]], sided="two") == pytest.approx(0, abs=1e-15)
    assert acsd(descriptors[1:3], descriptors[[2, 2]], sided="two") == pytest.approx(1)


@pytest.mark.parametrize(("n_pairs", "n_points"), [(1, 2), (2, 3), (3, 3), (4, 4), (40000, 284)])
def test_no_more_points_than_the_pairs_take(n_pairs, n_points, rng):
    rows, read = rng.normal(size=(10**6, 3)), []

    def compute(start, stop):
        read.extend(range(start, stop))
        return rows[start:stop]

    lazy = ComputedArray(compute, rows.shape, float)
    found = acsd(lazy, rows**2, n_pairs=n_pairs, random_state=0)
    assert len(read) == len(set(read))
    # Rows that lie close together are read in one go.
    assert n_points <= len(read) <= 1 + 10 * (n_points - 1)
    assert found == acsd(rows, rows**2, n_pairs=n_pairs, random_state=0)
    drawn = np.random.RandomState(0).choice(10**6, n_points, replace=False)
    assert set(drawn) <= set(read)
    assert found == pytest.approx(acsd(rows[drawn], rows[drawn] ** 2, n_pairs=None), rel=1e-12)


def test_many_points_of_a_computed_array_are_read_in_few_steps(rng):
    rows, steps = rng.normal(size=(20000, 3)), []

    def compute(start, stop):
        steps.append((start, stop))
        return rows[start:stop]

    lazy = ComputedArray(compute, rows.shape, float)
    found = acsd(lazy, rows**2, n_pairs=10**6, random_state=0)
    assert found == acsd(rows, rows**2, n_pairs=10**6, random_state=0)
    # Mean gaps of 14 rows are bridged, but not everything is in memory at a time.
    starts, stops = np.array(sorted(steps)).T
    assert (starts[1:] >= stops[:-1]).all()
    assert 3 <= len(steps) < 100
    assert max(stops - starts) <= 8192


def test_draws_scatter_around_all_pairs(rng):
    targets = rng.random((1000, 6))
    descriptors = targets + 0.3 * rng.random((1000, 6))
    exact = acsd(descriptors, targets, n_pairs=None)
    drawn = [acsd(descriptors, targets, n_pairs=1000, random_state=i) for i in range(50)]
    error = np.std(drawn, ddof=1)
    assert 0 < error < 0.2 * exact
    # Five standard errors of the mean.
    assert abs(np.mean(drawn) - exact) < 5 * error / np.sqrt(50)


def test_a_file_of_targets(pair, tmp_path):
    descriptors, targets = pair
    np.save(tmp_path / "ldos.npy", targets.reshape(2, 3, 5, 7).astype(np.float32))
    found = acsd(descriptors, ArrayFile(tmp_path / "ldos.npy"), n_pairs=50, random_state=0)
    expected = acsd(descriptors, targets.astype(np.float32), n_pairs=50, random_state=0)
    assert found == expected > 0


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ([(4, 3), (5, 3)], {}, "one row per point, got 4 and 5 rows"),
        ([(1, 3), (1, 3)], {}, "a pair needs two points, got 1"),
        ([(4, 1), (4, 3)], {}, "descriptors must have two columns or more, got 1"),
        ([(4, 3), (4, 1)], {}, "targets must have two columns or more, got 1"),
        ([(4, 3), (4, 3)], {"sided": "both"}, "sided must be one of 'two', 'one'; got 'both'"),
        ([(4, 3), (4, 3)], {"n_pairs": 0}, "n_pairs must be >= 1, got 0"),
    ],
)
def test_wrong_arguments(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        acsd(*map(np.ones, shapes), **options)


# -------------------------------------------------------------------- the scorer


@pytest.mark.parametrize("sided", SIDED)
def test_the_scorer_is_the_mean_over_snapshots(transformer, snapshots, sided):
    scorer = ACSDScorer(n_pairs=None, sided=sided)
    blocks = transformer.transform(snapshots)
    expected = [
        by_pairs(b, as_rows(s.ldos).astype(float), sided)
        for b, s in zip(blocks, snapshots, strict=True)
    ]
    found = scorer.differences(transformer, snapshots)
    assert found.min() > 0
    # Differences of cosines near 1: what counts is their rounding.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)
    assert scorer(transformer, snapshots) == -np.mean(found)


def test_pipelines_with_and_without_a_regressor(pipeline, snapshots):
    scorer = ACSDScorer(sided="two", random_state=0)
    pipeline.fit(snapshots)
    found = scorer(pipeline, snapshots)
    assert found == scorer(pipeline[:-1], snapshots) < 0
    # Scaled and unscaled descriptors have other angles.
    assert found != scorer(pipeline[:-2], snapshots)


def test_tiny_vectors_have_angles_too(pair):
    # Their squares are no numbers.
    expected = acsd(*pair)
    assert acsd(pair[0] * 1e-200, pair[1]) == pytest.approx(expected, rel=1e-12)
    assert acsd(pair[0], pair[1] * 1e200) == pytest.approx(expected, rel=1e-12)


def test_all_pairs_of_more_points_than_a_batch(rng):
    targets = rng.random((1100, 3))
    descriptors = targets**2
    cosines = [
        (x / np.linalg.norm(x, axis=1)[:, None]) @ (x / np.linalg.norm(x, axis=1)[:, None]).T
        for x in (descriptors, targets)
    ]
    upper = np.triu_indices(1100, 1)
    for sided, expected in (
        ("two", np.abs(cosines[0] - cosines[1])[upper].mean()),
        ("one", np.maximum(cosines[0] - cosines[1], 0)[upper].mean()),
    ):
        assert expected > 0.001
        assert acsd(descriptors, targets, n_pairs=None, sided=sided) == pytest.approx(expected)


def test_one_snapshot(transformer, snapshots):
    scorer = ACSDScorer(n_pairs=None)
    differences = scorer.differences(transformer, snapshots)
    assert scorer(transformer, snapshots[:1]) == -differences[0] < 0


# -------------------------------------------------------------------- searches


def test_grid_search_over_a_transformer(snapshots):
    search = GridSearchCV(
        GridSNAPTransformer(n_jobs=1),
        {"r_cut": [2.5, 4.0], "twojmax": [2, 4]},
        scoring={sided: ACSDScorer(None, sided=sided) for sided in SIDED},
        refit="two",
        cv=2,
        error_score="raise",
    ).fit(snapshots)
    table = search.cv_results_
    assert np.ptp(table["mean_test_two"]) > 0
    assert (table["mean_test_two"] < table["mean_test_one"]).all()
    assert search.best_estimator_.transform(snapshots[:1])[0].shape[0] == 64
    # The search itself transforms, too.
    assert ACSDScorer(None)(search, snapshots) == ACSDScorer(None)(
        search.best_estimator_, snapshots
    )
