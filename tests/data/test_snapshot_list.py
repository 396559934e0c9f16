"""Lists of snapshots are split by scikit-learn as arrays of samples are."""

import numpy as np
import pytest
from ase.build import bulk
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    ShuffleSplit,
    cross_val_score,
    learning_curve,
    train_test_split,
)
from sklearn.preprocessing import FunctionTransformer

from skldos import Snapshot, SnapshotList
from skldos.data import as_snapshots
from skldos.exceptions import SnapshotError


class Counter(BaseEstimator):
    """Scores by the number of snapshots it was fitted on."""

    def fit(self, X, y=None):
        assert isinstance(X, SnapshotList)
        self.n_ = len(X)
        return self

    def score(self, X, y=None):
        assert isinstance(X, SnapshotList)
        return self.n_ + len(X) / 100


def test_elements_and_slices(snapshots):
    assert snapshots[1] is snapshots[np.int64(1)]
    assert snapshots[-1] is snapshots[5]
    assert isinstance(snapshots[1:3], SnapshotList)
    assert list(snapshots[::-2]) == [snapshots[5], snapshots[3], snapshots[1]]
    assert snapshots.shape == (6,)
    with pytest.raises(IndexError):
        snapshots[6]


@pytest.mark.parametrize(
    "key", [[4, 1], np.array([4, 1]), np.array([4, 1], dtype=np.uint8)], ids=repr
)
def test_integer_arrays_select_in_their_order(snapshots, key):
    assert list(snapshots[key]) == [snapshots[4], snapshots[1]]
    # scikit-learn indexes all axes at once.
    assert list(snapshots[key, ...]) == [snapshots[4], snapshots[1]]


def test_masks_select(snapshots):
    mask = np.array([True, False, False, True, False, False])
    assert list(snapshots[mask]) == list(snapshots[mask.tolist()]) == [snapshots[0], snapshots[3]]
    with pytest.raises(IndexError):
        snapshots[mask[:4]]


def test_empty_lists(snapshots):
    assert len(snapshots[[]]) == len(snapshots[3:3]) == len(SnapshotList()) == 0
    assert repr(SnapshotList()) == "SnapshotList([])"
    with pytest.raises(SnapshotError, match="at least one snapshot, got an empty"):
        as_snapshots([])


def test_bare_atoms_become_snapshots():
    listed = SnapshotList([bulk("Al"), Snapshot(bulk("Be"))])
    assert [str(s.atoms.symbols) for s in listed] == ["Al", "Be2"]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (bulk("Al", cubic=True), r"a single Atoms; put it into a list: \[snapshot\]"),
        (Snapshot(bulk("Al")), "a single Snapshot"),
        ("Al", "got the path 'Al'; read it with skldos.io.read_snapshots"),
        (3, "got int"),
        ((atoms for atoms in [bulk("Al")]), r"got generator, which .* SnapshotList\(X\)"),
        (np.zeros((4, 2)), r"got ndarray of shape \(2,\) at position 0"),
        ([bulk("Al"), None], "got NoneType at position 1"),
    ],
)
def test_anything_else_as_x_is_named(X, message):
    with pytest.raises(TypeError, match=message):
        as_snapshots(X)


def test_lists_add_up_and_compare(snapshots):
    assert snapshots[:2] + snapshots[2:] == snapshots
    longer = snapshots[:2] + snapshots[2:3]
    assert longer + SnapshotList([bulk("Al")]) != snapshots[:4]
    assert snapshots != [1]
    nothing = []
    assert snapshots + nothing == SnapshotList() + snapshots == snapshots


def test_a_list_may_be_made_of_a_generator(snapshots):
    assert SnapshotList(snapshot for snapshot in snapshots) == snapshots


def test_repr_is_short(snapshots):
    assert repr(snapshots + snapshots).endswith("… 2 more\n])")


def test_targets_are_the_ldos(snapshots):
    assert all(t is s.ldos for t, s in zip(snapshots.targets, snapshots, strict=True))
    with pytest.raises(SnapshotError, match="lacks ldos"):
        SnapshotList([bulk("Al")]).targets  # noqa: B018


@pytest.mark.parametrize(
    ("cv", "groups"),
    [
        (KFold(3), None),
        (ShuffleSplit(3, random_state=0), None),
        (GroupKFold(3), [0, 0, 1, 1, 2, 2]),
    ],
    ids=["KFold", "ShuffleSplit", "GroupKFold"],
)
def test_splitters_split_by_snapshot(snapshots, cv, groups):
    options = {} if groups is None else {"groups": groups}
    for train, test in cv.split(snapshots, **options):
        parts = [*snapshots[train], *snapshots[test]]
        assert {id(s) for s in parts} == {id(s) for s in snapshots}


def test_train_test_split(snapshots):
    train, test = train_test_split(snapshots, test_size=2, random_state=0)
    assert isinstance(train, SnapshotList)
    assert {id(s) for s in [*train, *test]} == {id(s) for s in snapshots}


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_cross_validation(snapshots, n_jobs):
    scores = cross_val_score(Counter(), snapshots, cv=3, n_jobs=n_jobs, error_score="raise")
    np.testing.assert_allclose(scores, 4.02)


def test_learning_curve(snapshots):
    sizes, train, _ = learning_curve(Counter(), snapshots, None, train_sizes=[1, 3], cv=2)
    np.testing.assert_allclose(sizes, [1, 3])
    np.testing.assert_allclose(train.mean(axis=1), [1.01, 3.03])


def test_other_processes_get_the_same_snapshots(snapshots):
    dos = Parallel(n_jobs=2)(delayed(Snapshot.dos)(s) for s in snapshots[:2])
    np.testing.assert_array_equal(dos, [s.dos() for s in snapshots[:2]])


def test_a_table_of_snapshots(snapshots):
    named = snapshots[0].replace(name="first", reference={"xc": -1.5, "forces": np.zeros((4, 3))})
    known = Snapshot(bulk("Be"), reference={"functional": "lda", "files": {"Be": "x"}})
    frame = SnapshotList([named, known]).to_frame()
    columns = [
        *("name", "formula", "n_atoms", "volume", "density", "grid_shape", "temperature"),
        *("n_electrons", "source"),
    ]
    assert list(frame.columns) == [*columns, "xc", "functional"]
    assert frame.loc[0, ["name", "formula", "n_atoms", "xc"]].tolist() == ["first", "Al4", 4, -1.5]
    assert frame.loc[1, ["formula", "n_atoms", "functional"]].tolist() == ["Be2", 2, "lda"]
    assert frame.loc[0, "volume"] == pytest.approx(4.05**3)
    assert frame.loc[0, "grid_shape"] == (4, 4, 4)
    assert frame.loc[0, ["temperature", "n_electrons"]].tolist() == [298.0, 12.0]
    assert frame.loc[1, ["temperature", "n_electrons", "xc"]].isna().all()
    assert frame.temperature.dtype == float


def test_a_table_of_no_snapshots():
    assert SnapshotList().to_frame().shape == (0, 9)


@pytest.mark.parametrize(
    "use",
    [
        np.asarray,
        lambda snapshots: np.asarray(snapshots, dtype=float),
        lambda snapshots: Ridge().fit(snapshots, range(len(snapshots))),
        lambda snapshots: SelectKBest(k=1).fit(snapshots, range(len(snapshots))),
        lambda snapshots: FunctionTransformer(np.log).fit_transform(snapshots),
        lambda snapshots: ColumnTransformer([("all", "passthrough", [0])]).fit_transform(snapshots),
    ],
)
def test_what_needs_a_table_says_what_to_use_instead(snapshots, use):
    message = r"not a table of numbers.*BlockUnion.*RowWise.*SiteRegressor"
    with pytest.raises(TypeError, match=message):
        use(snapshots)


def test_snapshots_are_an_array_of_objects_where_that_is_wanted(snapshots):
    array = np.asarray(snapshots, dtype=object)
    assert array.shape == (len(snapshots),)
    assert SnapshotList(array) == snapshots
    assert np.asarray(SnapshotList(), dtype=object).shape == (0,)
