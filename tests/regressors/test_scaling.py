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
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constant_targets_stay_finite(method, value):
    scaling = TargetScaling.learn([np.full((4, 2), value)], method)
    assert (scaling.scale > 0).all()


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
