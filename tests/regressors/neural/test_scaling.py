"""Normalisations of the targets, learned in one pass."""

import numpy as np
import pytest

from skldos import ArrayFile
from skldos.regressors.neural import target_scaling
from skldos.regressors.neural.target_scaling import TargetScaling


@pytest.fixture
def blocks(rng):
    return [rng.normal(size=(n, 3)) * [1, 5, 0.1] + [0, 2, 1e4] for n in (20, 7, 31)]


def normalised(blocks, scaling):
    return (np.concatenate(blocks) - scaling.center) / scaling.scale


def test_max_divides_by_the_largest_absolute_value(blocks):
    blocks[1][3, 1] = -3e4
    scaling = TargetScaling.learn(blocks, "max")
    assert scaling.center == 0
    assert scaling.scale == pytest.approx(3e4)


def test_minmax_maps_the_range_to_one(blocks):
    z = normalised(blocks, TargetScaling.learn(blocks, "minmax"))
    assert (z.min(), z.max()) == (pytest.approx(0, abs=1e-6), pytest.approx(1))


def test_standard_scales_every_output(blocks, monkeypatch):
    # An offset of 1e5 standard deviations must not cancel the variance.
    for slice_bytes in (10**6, 100):
        monkeypatch.setattr(
            target_scaling,
            "iter_slices",
            lambda block, n=slice_bytes // 24, **_: np.array_split(block, -(-len(block) // n)),
        )
        scaling = TargetScaling.learn(blocks, "standard")
        rows = np.concatenate(blocks)
        np.testing.assert_allclose(scaling.center, rows.mean(axis=0), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(scaling.scale, rows.std(axis=0), rtol=1e-6)


def test_none_changes_nothing(blocks):
    scaling = TargetScaling.learn(blocks, None)
    np.testing.assert_array_equal(normalised(blocks, scaling), np.concatenate(blocks))


@pytest.mark.parametrize("method", ["max", "minmax", "standard", None])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_found_in_its_sample(blocks, method, bad, tmp_path):
    blocks[2][5, 1] = bad
    with pytest.raises(ValueError, match=r"y holds NaN or infinite values \(in sample 2\)"):
        TargetScaling.learn(blocks, method)
    np.save(tmp_path / "y.npy", blocks[2])
    with pytest.raises(ValueError, match=r"sample 0|the data hold NaN"):
        TargetScaling.learn([ArrayFile(tmp_path / "y.npy")], method)


def test_wrong_names_are_named(blocks):
    with pytest.raises(ValueError, match=r"target_scaling must be one of 'max'.* got 'unit'"):
        TargetScaling.learn(blocks, "unit")


# -------------------------------------------------------------------- back and forth


METHODS = ("max", "minmax", "standard", "whiten", None)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_normalised_is_restored(rng, method):
    blocks = [rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3)) + [1, -2, 3] for n in (20, 31)]
    scaling = TargetScaling.learn(blocks, method)
    assert scaling.center.dtype == scaling.scale.dtype == np.float32
    rows = np.concatenate(blocks).astype(np.float32)
    normal = rows.copy()
    scaling.normalise(normal)
    np.testing.assert_allclose(scaling.restore(normal), rows, atol=1e-5)
    assert (np.abs(normal - rows).max() > 0.1) == (method is not None)
    if method in ("standard", "whiten"):
        np.testing.assert_allclose(normal.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(normal.std(axis=0), 1, rtol=1e-4)
    if method == "whiten":
        np.testing.assert_allclose(np.cov(normal.T, bias=True), np.eye(3), atol=1e-4)


@pytest.mark.parametrize("method", ["standard", "whiten"])
def test_whole_weights_are_repetitions(rng, method):
    blocks = [rng.normal(size=(n, 2)) @ [[1, 2], [0, 3]] + [5, 7] for n in (9, 6)]
    counts = [np.arange(9) % 3, np.arange(6) % 2 + 1]
    found = TargetScaling.learn(blocks, method, [c.astype(float) for c in counts])
    repeated = [np.repeat(b, c, axis=0) for b, c in zip(blocks, counts, strict=True)]
    expected = TargetScaling.learn(repeated, method)
    np.testing.assert_allclose(found.center, expected.center, rtol=1e-6)
    covariances = [s.scale @ s.scale.T if s.scale.ndim == 2 else s.scale for s in (found, expected)]
    np.testing.assert_allclose(*covariances, rtol=1e-5)
    assert np.abs(TargetScaling.learn(blocks, method).center - found.center).max() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_vary_keeps_its_unit(method):
    blocks = [np.tile([0.0, 2.0], (5, 1)) if method != "minmax" else np.full((5, 2), 2.0)]
    scaling = TargetScaling.learn(blocks, method)
    expected = {"max": 2.0, "minmax": 1.0, "standard": [1, 1], None: 1.0}
    if method == "whiten":
        np.testing.assert_allclose(scaling.scale @ scaling.scale.T, np.eye(2))
    else:
        np.testing.assert_array_equal(scaling.scale, np.atleast_1d(expected[method]))
    if method == "max":
        assert TargetScaling.learn([np.zeros((3, 2))], "max").scale == 1


def test_directions_without_variance_are_not_blown_up(rng):
    x = rng.normal(size=(50, 1))
    scaling = TargetScaling.learn([np.hstack([x, 2 * x])], "whiten")
    variances = np.linalg.eigvalsh((scaling.scale @ scaling.scale.T).astype(float))
    assert variances[1] == pytest.approx(5 * x.var(), rel=1e-5)
    singular = np.linalg.norm(scaling.scale.astype(float), axis=0).min()
    assert singular**2 == pytest.approx(1e-10 * variances[1], rel=1e-3)
