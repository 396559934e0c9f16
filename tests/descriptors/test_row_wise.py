"""RowWise fits and applies a transformer to the rows of all blocks at once."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_regression
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    QuantileTransformer,
    StandardScaler,
)

from skldos import ArrayFile, GridSNAPTransformer, RowWise, SnapshotList
from skldos.data import Blocks, LazyArray, as_rows
from skldos.descriptors import row_wise


@pytest.fixture
def blocks(rng, ragged):
    """Blocks of 3 to 40 rows and 4 features of different scale."""
    sizes = (40, 3, 20, 17, 5, 30)
    return Blocks([3 + rng.normal(size=(n, 4)) * [1, 10, 0.1, 5] for n in sizes], ragged)


@pytest.fixture
def files(blocks, tmp_path):
    """The same blocks on disk, as float32."""
    handles = []
    for i, block in enumerate(blocks):
        np.save(tmp_path / f"{i}.npy", block.astype(np.float32))
        handles.append(ArrayFile(tmp_path / f"{i}.npy"))
    return Blocks(handles, blocks.snapshots)


@pytest.mark.parametrize(
    "transformer",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        MinMaxScaler(),
        MaxAbsScaler(),
        PCA(n_components=2),
        PolynomialFeatures(2),
        FunctionTransformer(np.square),
        QuantileTransformer(n_quantiles=10),
    ],
    ids=lambda t: type(t).__name__,
)
def test_equals_the_transformer_on_all_rows(transformer, blocks):
    expected = clone(transformer).fit(np.concatenate(blocks))
    transformed = RowWise(transformer).fit_transform(blocks)
    assert isinstance(transformed, Blocks)
    assert transformed.snapshots is blocks.snapshots
    for block, original in zip(transformed, blocks, strict=True):
        np.testing.assert_allclose(block, expected.transform(original), rtol=1e-9, atol=1e-12)


def test_streamed_fitting_equals_fitting_at_once(files, monkeypatch):
    seen = []

    class Recorder(StandardScaler):
        def partial_fit(self, X, y=None, sample_weight=None):
            seen.append(X.copy())
            return super().partial_fit(X)

    monkeypatch.setattr(
        row_wise, "iter_slices", lambda block: (block[i : i + 7] for i in range(0, len(block), 7))
    )
    scaler = RowWise(Recorder()).fit(files).row_transformer_
    rows = np.concatenate([block[:] for block in files])
    np.testing.assert_array_equal(np.concatenate(seen), rows)
    assert max(len(part) for part in seen) == 7
    expected = StandardScaler().fit(rows)
    np.testing.assert_allclose(scaler.mean_, expected.mean_, rtol=1e-6)
    np.testing.assert_allclose(scaler.var_, expected.var_, rtol=1e-5)


@pytest.mark.parametrize("n_components", [2, 4, None])
@pytest.mark.parametrize("order", [1, -1])
def test_incremental_pca_takes_blocks_smaller_than_its_components(blocks, n_components, order):
    # The smallest block has three rows and comes early.
    blocks = blocks[[1, 4, 3, 0, 2, 5]][::order]
    pca = RowWise(IncrementalPCA(n_components=n_components)).fit(blocks).row_transformer_
    exact = PCA(n_components=pca.n_components_).fit(np.concatenate(blocks))
    assert pca.n_samples_seen_ == sum(len(block) for block in blocks)
    np.testing.assert_allclose(pca.explained_variance_[0], exact.explained_variance_[0], rtol=0.05)
    assert abs(pca.components_[0] @ exact.components_[0]) > 0.99


@pytest.mark.parametrize("max_rows", [10, 50, 10**6])
def test_max_rows_draws_so_many_rows(blocks, files, max_rows):
    for source in (blocks, files):
        pca = RowWise(PCA(), max_rows=max_rows, random_state=0).fit(source)
        assert pca.row_transformer_.n_samples_ == min(max_rows, 115)
    again = RowWise(PCA(), max_rows=max_rows, random_state=0).fit(blocks).row_transformer_
    same = RowWise(PCA(), max_rows=max_rows, random_state=0).fit(blocks).row_transformer_
    other = RowWise(PCA(), max_rows=max_rows, random_state=1).fit(blocks).row_transformer_
    np.testing.assert_array_equal(again.mean_, same.mean_)
    assert np.array_equal(again.mean_, other.mean_) == (max_rows > 115)


def test_rows_are_drawn_without_replacement_from_all_blocks():
    blocks = [np.arange(i, i + 10.0)[:, None] for i in range(0, 100, 10)]
    rows = RowWise(PCA(), max_rows=99, random_state=0)._gather(blocks)
    assert len(np.unique(rows)) == 99


@pytest.mark.parametrize(
    "transformer", [StandardScaler(), PCA(n_components=4), PCA(n_components=2)]
)
def test_inverse_transform(transformer, blocks):
    rowwise = RowWise(transformer).fit(blocks)
    back = rowwise.inverse_transform(rowwise.transform(blocks))
    assert [block.shape for block in back] == [block.shape for block in blocks]
    assert back.snapshots is blocks.snapshots
    expected = rowwise.row_transformer_
    for block, original in zip(back, blocks, strict=True):
        there = expected.inverse_transform(expected.transform(original))
        np.testing.assert_allclose(block, there, rtol=1e-9)


@pytest.mark.parametrize(
    "transformer", [StandardScaler(), PCA(n_components=2), PolynomialFeatures()]
)
def test_lazy_in_lazy_out(transformer, files, monkeypatch):
    rowwise = RowWise(transformer).fit(files)
    monkeypatch.setattr(ArrayFile, "read", None)  # nothing may be read
    lazy = rowwise.transform(files)
    monkeypatch.undo()
    assert lazy.snapshots is files.snapshots
    for block, file in zip(lazy, files, strict=True):
        assert isinstance(block, LazyArray)
        expected = rowwise.row_transformer_.transform(file[:])
        assert (block.shape, block.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(np.asarray(block), expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(block[1:3], expected[1:3], rtol=1e-5, atol=1e-5)
    scaled = RowWise(StandardScaler()).fit(files)
    back = scaled.inverse_transform(scaled.transform(files))
    np.testing.assert_allclose(back[0][:], files[0][:], rtol=1e-5)


def test_lazy_blocks_of_integers_become_floats(tmp_path):
    np.save(tmp_path / "n.npy", np.arange(8).reshape(4, 2))
    (lazy,) = RowWise(StandardScaler()).fit_transform([ArrayFile(tmp_path / "n.npy")])
    assert lazy.dtype == np.asarray(lazy).dtype == float


def test_lazy_blocks_can_be_pickled(files):
    lazy = RowWise(StandardScaler()).fit_transform(files)
    copied = pickle.loads(pickle.dumps(lazy))
    np.testing.assert_array_equal(copied[2][:], lazy[2][:])


def test_a_plain_array_is_one_block(rng):
    X = rng.random((20, 3))
    rowwise = RowWise(StandardScaler())
    scaled = rowwise.fit_transform(X)
    assert type(scaled) is np.ndarray
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(X))
    np.testing.assert_allclose(rowwise.inverse_transform(scaled), X)


def test_float32_stays_float32(blocks):
    single = Blocks([block.astype(np.float32) for block in blocks])
    assert RowWise(StandardScaler()).fit_transform(single)[0].dtype == np.float32


def test_data_frames_keep_their_names(blocks):
    frames = Blocks([pd.DataFrame(block, columns=list("abcd")) for block in blocks])
    rowwise = RowWise(StandardScaler()).set_output(transform="pandas").fit(frames)
    assert list(rowwise.transform(frames)[0].columns) == list("abcd")
    assert list(rowwise.get_feature_names_out()) == list("abcd")
    named = RowWise(PolynomialFeatures(1)).set_output(transform="pandas").fit_transform(frames)
    assert list(named[0].columns) == ["1", *"abcd"]
    # Fitted anew on arrays, the names are gone.
    assert list(rowwise.fit(blocks).get_feature_names_out()) == ["x0", "x1", "x2", "x3"]
    pca = RowWise(PCA(2)).set_output(transform="pandas").fit(blocks)
    assert list(pca.transform(blocks)[0].columns) == ["pca0", "pca1"]


def test_a_row_transformer_with_its_own_container(files, blocks):
    scaler = StandardScaler().set_output(transform="pandas")
    for source in (blocks, files):
        block = RowWise(scaler).fit_transform(source)[0]
        assert isinstance(block[:], np.ndarray)


def test_the_users_transformer_stays_unfitted(blocks):
    scaler = StandardScaler()
    rowwise = RowWise(scaler).fit(blocks)
    assert not hasattr(scaler, "mean_")
    assert rowwise.row_transformer is scaler


def test_blocks_are_not_changed(blocks):
    state = joblib.hash(blocks)
    RowWise(StandardScaler()).fit_transform(blocks)
    assert joblib.hash(blocks) == state


def test_parameters_of_the_inner_transformer_can_be_set():
    rowwise = RowWise(StandardScaler())
    rowwise.set_params(row_transformer__with_mean=False, max_rows=7)
    assert rowwise.row_transformer.with_mean is False
    assert clone(rowwise).get_params()["max_rows"] == 7
    assert "StandardScaler" in repr(rowwise)
    assert "StandardScaler" in rowwise._repr_html_()


def test_unfitted_transformers_say_so(blocks):
    for method in ("transform", "inverse_transform"):
        with pytest.raises(NotFittedError, match="RowWise"):
            getattr(RowWise(StandardScaler()), method)(blocks)
    with pytest.raises(NotFittedError, match="RowWise"):
        RowWise(StandardScaler()).get_feature_names_out()


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.zeros((4, 2)), np.zeros((4, 3))], r"same features, got widths \[2, 3\]"),
        ([np.zeros((4, 2, 2))], r"\(n_sites, n_features\), got \(4, 2, 2\) for block 0"),
        (np.zeros(4), r"\(n_sites, n_features\), got \(4,\)"),
        (Blocks([]), "at least one block, got none"),
    ],
)
def test_wrong_blocks_are_named(X, message):
    with pytest.raises(ValueError, match=message):
        RowWise(StandardScaler()).fit(X)


def test_blocks_of_another_width_are_named(blocks):
    with pytest.raises(ValueError, match="3 features, but StandardScaler is expecting 4"):
        RowWise(StandardScaler()).fit(blocks).transform([np.zeros((2, 3))])


@pytest.mark.parametrize("kind", ["snapshots", "list", "atoms", "one"])
def test_snapshots_need_a_transformer_before_it(kind, snapshots):
    X = {
        "snapshots": snapshots,
        "list": list(snapshots),
        "atoms": [s.atoms for s in snapshots],
        "one": snapshots[0],
    }[kind]
    with pytest.raises(TypeError, match=r"takes blocks of rows, got \w+: put .* before it"):
        RowWise(StandardScaler()).fit(X)


def test_subclasses_keep_their_blocks(blocks):
    class Scaled(RowWise):
        def transform(self, X):
            return super().transform(X)

    frames = Scaled(StandardScaler()).set_output(transform="pandas").fit(blocks).transform(blocks)
    assert [frame.shape for frame in frames] == [block.shape for block in blocks]


# -------------------------------------------------------------------- supervised and sparse steps


def supervised_steps():
    return [
        PLSRegression(n_components=2),
        make_pipeline(StandardScaler(), SelectKBest(f_regression, k=2)),
        SelectFromModel(Ridge(), max_features=2, threshold=-np.inf),
    ]


@pytest.mark.parametrize("step", supervised_steps(), ids=lambda step: type(step).__name__)
def test_supervised_steps_get_the_rows_of_the_targets(step, blocks, rng):
    targets = [block @ [1.0, 0.0, 30.0, 0.1] + rng.normal(size=len(block)) for block in blocks]
    expected = clone(step).fit(np.concatenate(blocks), np.concatenate(targets))
    made = RowWise(step).fit(blocks, targets).transform(blocks)
    np.testing.assert_allclose(made[1], expected.transform(blocks[1]), rtol=1e-9)
    # Rows that are drawn are the same of both.
    drawn = RowWise(step, max_rows=50, random_state=0).fit(blocks, [10 * b[:, 0] for b in blocks])
    exact = clone(step).fit(np.concatenate(blocks), np.concatenate([10 * b[:, 0] for b in blocks]))
    if isinstance(step, SelectFromModel):
        selected = drawn.row_transformer_.get_support()
        np.testing.assert_array_equal(selected, exact.get_support())


def test_a_supervised_step_in_a_pipeline_is_fitted_on_the_ldos(snapshots):
    pipeline = make_pipeline(GridSNAPTransformer(twojmax=2), RowWise(PLSRegression(2)))
    rows = pipeline[0].fit_transform(snapshots)
    targets = np.concatenate([as_rows(snapshot.ldos) for snapshot in snapshots])
    expected = PLSRegression(2).fit(np.concatenate(rows), targets).transform(rows[3])
    np.testing.assert_allclose(pipeline.fit_transform(snapshots)[3], expected, rtol=1e-9)


def test_a_supervised_step_without_targets_says_so(blocks, snapshots):
    for X in (list(blocks), Blocks(blocks, SnapshotList([s.atoms for s in snapshots]))):
        with pytest.raises(ValueError, match="supervised transformer needs targets: pass y, or"):
            RowWise(PLSRegression(2)).fit(X)
    with pytest.raises(ValueError, match=r"one row per row of X, \[40, 3, 20, 17, 5, 30\] .*got"):
        RowWise(PLSRegression(2)).fit(blocks, [np.zeros(7)] * 6)


@pytest.mark.parametrize("lazy", [False, True])
def test_sparse_output_becomes_dense(lazy, blocks, files):
    source = files if lazy else blocks
    sparse = KBinsDiscretizer(4, encode="onehot", quantile_method="averaged_inverted_cdf")
    dense = clone(sparse).set_params(encode="onehot-dense")
    made = RowWise(sparse).fit_transform(source)
    expected = RowWise(dense).fit_transform(source)
    for block, wanted in zip(made, expected, strict=True):
        assert block.shape[1] == 16
        np.testing.assert_array_equal(np.asarray(block), np.asarray(wanted))
