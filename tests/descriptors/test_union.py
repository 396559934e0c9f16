"""Descriptors side by side."""

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
    union = clone(BlockUnion([("a", AtomSNAPTransformer(twojmax=2))])).set_params(a__rcut=5.0)
    pipeline = make_pipeline(union, RowWise(StandardScaler())).fit(snapshots)
    assert pipeline[0].transformer_list[0][1].rcut == 5.0


def test_parts_must_have_the_same_sites(snapshots):
    parts = [("atoms", AtomSNAPTransformer(twojmax=2)), ("grid", GridSNAPTransformer(twojmax=2))]
    with pytest.raises(ValueError, match=r"the same sites, got numbers \{'atoms': 4, 'grid': 64\}"):
        BlockUnion(parts).fit_transform(snapshots)
    with pytest.raises(ValueError, match="must hold a transformer that is not dropped"):
        BlockUnion([("a", "drop")]).fit_transform(snapshots)
