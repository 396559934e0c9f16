"""Concatenation of descriptors."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import AtomSNAPTransformer, GridSNAPTransformer, RowWise
from skldos.descriptors.union import BlockUnion


def test_blocks_are_joined_by_sites(ragged):
    near, far = AtomSNAPTransformer(4.0, twojmax=2), AtomSNAPTransformer(6.0, twojmax=4)
    union = BlockUnion([("near", near), ("left_out", "drop"), ("far", far)])
    blocks = union.fit_transform(ragged)
    assert blocks.snapshots == ragged
    for i, block in enumerate(blocks):
        assert np.array_equal(block[:, :5], near.transform(ragged)[i])
        assert np.array_equal(block[:, 5:], far.transform(ragged)[i])
    names = union.get_feature_names_out()
    assert len(names) == blocks[0].shape[1]
    assert names[0].startswith("near__")
    frame = union.set_output(transform="pandas").transform(ragged)[0]
    assert list(frame.columns) == list(names)


def test_blocks_pass_through_beside_their_scaled_selves(snapshots):
    blocks = AtomSNAPTransformer(twojmax=2).fit_transform(snapshots)
    union = BlockUnion([("raw", "passthrough"), ("scaled", RowWise(StandardScaler()))])
    joined = union.fit_transform(blocks)
    assert np.array_equal(joined[1][:, :5], blocks[1])
    assert np.abs(np.concatenate(joined)[:, 5:].mean(axis=0)).max() < 1e-10


def test_parameters_of_parts_are_found(snapshots):
    union = clone(BlockUnion([("a", AtomSNAPTransformer(twojmax=2))])).set_params(a__r_cut=5.0)
    pipeline = make_pipeline(union, RowWise(StandardScaler())).fit(snapshots)
    assert pipeline[0].transformer_list[0][1].r_cut == 5.0


def test_parts_must_have_the_same_sites(snapshots):
    parts = [("atoms", AtomSNAPTransformer(twojmax=2)), ("grid", GridSNAPTransformer(twojmax=2))]
    with pytest.raises(ValueError, match=r"the same sites, got numbers \{'atoms': 4, 'grid': 64\}"):
        BlockUnion(parts).fit_transform(snapshots)
    with pytest.raises(ValueError, match="must hold a transformer that is not dropped"):
        BlockUnion([("a", "drop")]).fit_transform(snapshots)


def test_parts_that_changed_since_fit_are_named(snapshots):
    parts = [(name, AtomSNAPTransformer(twojmax=2)) for name in ("near", "far")]
    union = BlockUnion(parts).fit(snapshots)
    with pytest.raises(ValueError, match=r"twojmax was 2 and is 4; call fit again"):
        union.set_params(far__twojmax=4).transform(snapshots)
    union.set_params(far__twojmax=2, far__n_jobs=1).transform(snapshots)
    with pytest.raises(ValueError, match=r"changed since fit: transformer_list .*'drop'"):
        union.set_params(far="drop").transform(snapshots)


def test_frames_of_polars_pass_through_a_pipeline(snapshots):
    polars = pytest.importorskip("polars")
    pipeline = make_pipeline(
        BlockUnion([("a", AtomSNAPTransformer(twojmax=2))]), RowWise(StandardScaler())
    )
    arrays = clone(pipeline).fit_transform(snapshots)
    frames = pipeline.set_output(transform="polars").fit_transform(snapshots)
    assert all(isinstance(frame, polars.DataFrame) for frame in frames)
    np.testing.assert_allclose(frames[1].to_numpy(), arrays[1], rtol=1e-12)


def test_pullback_is_the_sum_over_the_parts(snapshots):
    near, far = AtomSNAPTransformer(4.0, twojmax=2), AtomSNAPTransformer(5.0, twojmax=4)
    union = BlockUnion([("near", near), ("none", "drop"), ("far", far)])
    blocks = union.fit_transform(snapshots)
    weights = np.random.default_rng(0).normal(size=blocks[1].shape[1])
    by_positions, by_strain = blocks.derivatives[1]()
    found = union.pullback(snapshots[1], np.tile(weights, (4, 1)))
    assert np.abs(by_positions @ weights).max() > 1e-3
    np.testing.assert_allclose(found[0], by_positions @ weights, atol=1e-9)
    np.testing.assert_allclose(found[1], by_strain @ weights, atol=1e-9)
    rows = np.random.default_rng(1).normal(size=blocks[1].shape)
    halves = [union.pullback(snapshots[1], rows[i : i + 2], i, i + 2) for i in (0, 2)]
    for whole, one, other in zip(union.pullback(snapshots[1], rows), *halves, strict=True):
        np.testing.assert_allclose(one + other, whole, atol=1e-9)
    np.testing.assert_array_equal(union.compute(snapshots[1], 1, 3), blocks[1][1:3])
    with pytest.raises(ValueError, match="sensitivity must have shape"):
        union.pullback(snapshots[1], rows[:, 1:])


def test_pullback_needs_that_of_all_parts():
    assert not hasattr(BlockUnion([("raw", "passthrough")]), "pullback")
