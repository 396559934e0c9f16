"""Properties that every transformer of snapshots must have."""

import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from ase.build import bulk
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    ArrayFile,
    AtomEnvTransformer,
    AtomSNAPTransformer,
    AtomSOAPTransformer,
    GridSNAPTransformer,
    GridSOAPTransformer,
    RowWise,
    Snapshot,
    SnapshotList,
)
from skldos.data import Blocks, LazyArray
from skldos.descriptors import base
from skldos.exceptions import SnapshotError

TRANSFORMERS = [
    GridSNAPTransformer(twojmax=2, n_jobs=1),
    AtomSNAPTransformer(twojmax=2, n_jobs=1),
    GridSOAPTransformer(r_cut=3.0, n_max=2, l_max=1),
    AtomSOAPTransformer(r_cut=3.0, n_max=2, l_max=1),
]
IDS = ["grid SNAP", "atom SNAP", "grid SOAP", "atom SOAP"]
every_transformer = pytest.mark.parametrize("transformer", TRANSFORMERS, ids=IDS)
grid_transformers = pytest.mark.parametrize(
    "transformer", [TRANSFORMERS[0], TRANSFORMERS[2]], ids=[IDS[0], IDS[2]]
)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Compute ten sites at once, so that a block takes several chunks."""
    monkeypatch.setattr(base, "CHUNK_SITES", 10)


@pytest.fixture
def calls(monkeypatch):
    """Return the list of (atoms, start, stop) that were computed."""
    made = []
    for kind in (
        GridSNAPTransformer,
        AtomSNAPTransformer,
        GridSOAPTransformer,
        AtomSOAPTransformer,
    ):

        def counting(self, snapshot, start, stop, compute=kind.compute):
            made.append((id(snapshot), start, stop))
            return compute(self, snapshot, start, stop)

        monkeypatch.setattr(kind, "compute", counting)
    return made


def n_sites(transformer, snapshot):
    if isinstance(transformer, (AtomSNAPTransformer, AtomSOAPTransformer)):
        return len(snapshot.atoms)
    return snapshot.n_grid_points


def assert_same_blocks(one, two, **tolerance):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), **{"rtol": 0} | tolerance)


# -------------------------------------------------------------------- blocks


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@every_transformer
def test_one_block_per_snapshot_with_a_row_per_site(transformer, dtype, ragged):
    transformer = clone(transformer).set_params(dtype=dtype)
    blocks = transformer.fit_transform(ragged)
    assert isinstance(blocks, Blocks)
    assert blocks.snapshots == ragged
    names = transformer.get_feature_names_out()
    assert len(set(names)) == len(names) == transformer.n_features_out_
    for block, snapshot in zip(blocks, ragged, strict=True):
        assert block.shape == (n_sites(transformer, snapshot), len(names))
        assert block.dtype == dtype
        assert np.isfinite(block).all()
        assert block.std(axis=0).max() > 1e-3


@every_transformer
def test_chunks_do_not_show(transformer, snapshots, monkeypatch):
    transformer = clone(transformer).fit(snapshots)
    chunked = transformer.transform(snapshots[:2])
    monkeypatch.setattr(base, "CHUNK_SITES", 8192)
    assert_same_blocks(chunked, transformer.transform(snapshots[:2]), rtol=1e-10, atol=1e-12)


@every_transformer
def test_lazy_blocks_equal_the_blocks(transformer, ragged, calls):
    transformer = clone(transformer).fit(ragged)
    lazy = transformer.transform_lazy(ragged)
    assert not calls
    assert lazy.snapshots == ragged
    assert all(isinstance(block, LazyArray) for block in lazy)
    blocks = transformer.transform(ragged)
    assert_same_blocks(lazy, blocks, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(lazy[1][1:3], blocks[1][1:3], rtol=1e-10, atol=1e-12)
    assert lazy[0].dtype == blocks[0].dtype


@every_transformer
def test_bare_atoms_with_a_grid_of_the_transformer(transformer, snapshots):
    transformer = clone(transformer)
    if "grid_shape" in transformer.get_params():
        transformer.set_params(grid_shape=(4, 4, 4))
    blocks = transformer.fit_transform([s.atoms for s in snapshots[:2]])
    assert_same_blocks(blocks, clone(transformer).fit_transform(snapshots[:2]))


def without_fields(snapshots):
    return SnapshotList([s.replace(ldos=None, density=None) for s in snapshots])


@grid_transformers
def test_the_grid_of_the_transformer_comes_first(transformer, snapshots):
    transformer = clone(transformer).set_params(grid_shape=(2, 1, 3))
    bare = without_fields(snapshots[:1])
    assert bare[0].grid_shape == (4, 4, 4)
    assert transformer.fit_transform(bare)[0].shape[0] == 6


@grid_transformers
def test_the_grid_of_a_field_must_be_that_of_the_transformer(transformer, snapshots):
    transformer = clone(transformer).set_params(grid_shape=[4, 4, 4]).fit(snapshots)
    transformer.set_params(grid_shape=(4, 2, 8))
    for wrong, field in ((snapshots, "ldos"), ([snapshots[0].replace(ldos=None)], "density")):
        message = rf"grid_shape .* must be \(4, 4, 4\), that of the {field} .* got \(4, 2, 8\)"
        for method in (transformer.fit, transformer.transform, transformer.transform_lazy):
            with pytest.raises(SnapshotError, match=message):
                method(wrong)


@grid_transformers
@pytest.mark.parametrize("method", ["transform", "transform_lazy"])
def test_blocks_know_the_grid_that_was_used(transformer, method, snapshots):
    transformer = clone(transformer).set_params(grid_shape=[2, 1, 3])
    given = [snapshots[0].atoms, *without_fields(snapshots[1:2])]
    made_of = getattr(transformer.fit(given), method)(given).snapshots
    assert [s.grid_shape for s in made_of] == [(2, 1, 3)] * 2
    assert made_of[1].temperature == snapshots[1].temperature


@grid_transformers
def test_a_missing_grid_is_named(transformer, snapshots):
    transformer = clone(transformer)
    with pytest.raises(SnapshotError, match=r"Snapshot\(Al\).* grid_shape"):
        transformer.fit([bulk("Al")])
    with pytest.raises(SnapshotError, match="grid_shape"):
        transformer.fit(snapshots).transform([bulk("Al")])


@grid_transformers
def test_a_wrong_grid_is_named(transformer, snapshots):
    with pytest.raises(ValueError, match=r"grid_shape must be three .* got \(4, 4\)"):
        clone(transformer).set_params(grid_shape=(4, 4)).fit(snapshots)


@every_transformer
def test_new_elements_are_refused(transformer, snapshots):
    beryllium = Snapshot(bulk("Be"), grid_shape=(2, 2, 2))
    fitted = clone(transformer).fit(snapshots)
    for method in (fitted.transform, fitted.transform_lazy):
        with pytest.raises(SnapshotError, match=r"Be of Snapshot.* is not among \['Al'\]"):
            method([beryllium])


# -------------------------------------------------------------------- rules of scikit-learn


@every_transformer
@pytest.mark.parametrize("method", ["transform", "transform_lazy", "get_feature_names_out"])
def test_unfitted_transformers_say_so(transformer, method, snapshots):
    with pytest.raises(NotFittedError, match=type(transformer).__name__):
        getattr(clone(transformer), method)(snapshots)


@every_transformer
def test_verbose_shows_progress(transformer, snapshots, capsys):
    transformer = clone(transformer).fit(snapshots)
    transformer.transform(snapshots[:1])
    assert capsys.readouterr().err == ""
    transformer.set_params(verbose=True).transform(snapshots[:1])
    shown = capsys.readouterr().err
    assert type(transformer).__name__ in shown
    assert "100%" in shown


# -------------------------------------------------------------------- containers


def test_set_output_may_be_global(snapshots):
    with sklearn.config_context(transform_output="pandas"):
        frames = make_pipeline(TRANSFORMERS[0], RowWise(StandardScaler())).fit_transform(snapshots)
    assert isinstance(frames[0], pd.DataFrame)
    with pytest.raises(ValueError, match="transform must be one of 'default', 'pandas'"):
        clone(TRANSFORMERS[0]).set_output(transform="feather")


def test_set_output_passes_names_through_a_pipeline(snapshots):
    pipe = make_pipeline(clone(TRANSFORMERS[0]), RowWise(StandardScaler()))
    frames = pipe.set_output(transform="pandas").fit_transform(snapshots)
    assert list(frames[0].columns) == list(pipe[0].get_feature_names_out())
    assert list(pipe.get_feature_names_out()) == list(pipe[0].get_feature_names_out())
    arrays = make_pipeline(clone(TRANSFORMERS[0]), RowWise(StandardScaler())).fit_transform(
        snapshots
    )
    assert_same_blocks(frames, arrays, rtol=1e-10)


# -------------------------------------------------------------------- memory


@every_transformer
def test_blocks_in_memory_are_computed_once(transformer, snapshots, tmp_path, calls):
    plain = clone(transformer).fit_transform(snapshots)
    calls.clear()
    cached = clone(transformer).set_params(memory=tmp_path)
    blocks = cached.fit_transform(snapshots)
    assert all(isinstance(block, ArrayFile) for block in blocks)
    assert_same_blocks(blocks, plain)
    n_calls = len(calls)
    assert n_calls > 0
    assert_same_blocks(clone(cached).fit_transform(snapshots[::-1]), plain[::-1])
    assert_same_blocks(clone(cached).fit(snapshots).transform_lazy(snapshots), plain)
    # Equal atoms are the same block, whatever else the snapshot holds.
    clone(cached).fit_transform([s.replace(temperature=1.0, ldos=None) for s in snapshots])
    assert len(calls) == n_calls


@every_transformer
def test_bare_atoms_share_the_blocks_of_snapshots(transformer, snapshots, tmp_path, calls):
    clone(transformer).set_params(memory=tmp_path).fit_transform(snapshots)
    n_calls = len(calls)
    bare = clone(transformer).set_params(memory=str(tmp_path))
    if "grid_shape" in bare.get_params():
        bare.set_params(grid_shape=[4, 4, 4])
    bare.fit_transform([s.atoms for s in snapshots])
    assert len(calls) == n_calls


def test_memory_of_joblib_is_accepted(snapshots, tmp_path, calls):
    expected = clone(TRANSFORMERS[0]).fit_transform(snapshots)
    for memory in (
        joblib.Memory(tmp_path, verbose=0),
        joblib.Memory(str(tmp_path), verbose=0),
        tmp_path,
    ):
        blocks = clone(TRANSFORMERS[0]).set_params(memory=memory).fit_transform(snapshots)
        assert_same_blocks(blocks, expected)
    assert len(calls) == 2 * 6 * 7
    nowhere = clone(TRANSFORMERS[0]).set_params(memory=joblib.Memory(None))
    assert_same_blocks(nowhere.fit_transform(snapshots), expected)


def test_another_grid_makes_another_block(snapshots, tmp_path):
    transformer = clone(TRANSFORMERS[0]).set_params(memory=tmp_path)
    transformer.fit_transform(snapshots[:1])
    bare = without_fields(snapshots[:1])
    after = transformer.set_params(grid_shape=(3, 4, 4)).fit_transform(bare)
    assert_same_blocks(after, clone(transformer).set_params(memory=None).fit_transform(bare))


@pytest.mark.parametrize(
    "change", [{"n_jobs": 2}, {"verbose": True}, {"device": "cpu"}, {"weights": None}], ids=str
)
def test_parameters_that_do_not_matter_find_the_block(change, snapshots, tmp_path, calls, capsys):
    transformer = clone(TRANSFORMERS[0]).set_params(memory=tmp_path)
    transformer.fit_transform(snapshots[:1])
    n_calls = len(calls)
    transformer.set_params(**change).fit_transform(snapshots[:1])
    assert len(calls) == n_calls


def test_atoms_that_moved_make_another_block(snapshots, tmp_path):
    transformer = clone(TRANSFORMERS[0]).set_params(memory=tmp_path, weights={"Al": 1, "Mg": 1})
    atoms = snapshots[0].atoms.copy()
    magnesium = bulk("Mg")
    transformer.fit([snapshots[0], Snapshot(magnesium, grid_shape=(2, 2, 2))])
    paths = [transformer.transform([snapshots[0]])[0].path]
    atoms.positions[0, 0] += 1e-6
    paths.append(transformer.transform([Snapshot(atoms, grid_shape=(4, 4, 4))])[0].path)
    atoms.cell[0, 0] += 1e-6
    paths.append(transformer.transform([Snapshot(atoms, grid_shape=(4, 4, 4))])[0].path)
    atoms.numbers[0] = 12
    paths.append(transformer.transform([Snapshot(atoms, grid_shape=(4, 4, 4))])[0].path)
    assert len(set(paths)) == 4


def test_others_may_read_the_blocks(snapshots, tmp_path):
    umask = os.umask(0o022)
    try:
        blocks = clone(TRANSFORMERS[0]).set_params(memory=tmp_path).fit_transform(snapshots[:1])
    finally:
        os.umask(umask)
    assert blocks[0].path.stat().st_mode & 0o777 == 0o644


IN_ANOTHER_PROCESS = """
import sys, numpy as np
from skldos import GridSNAPTransformer, SnapshotList
def fail(*args): raise AssertionError("computed again")
GridSNAPTransformer.compute = fail
snapshots = SnapshotList.load(sys.argv[1])
blocks = GridSNAPTransformer(twojmax=2, n_jobs=1, memory=sys.argv[2]).fit_transform(snapshots)
print([float(np.asarray(block).sum()) for block in blocks])
"""


def test_another_process_finds_the_blocks(snapshots, tmp_path, run_python):
    snapshots.save(tmp_path / "set")
    blocks = clone(TRANSFORMERS[0]).set_params(memory=tmp_path / "memory").fit_transform(snapshots)
    printed = run_python(IN_ANOTHER_PROCESS, tmp_path / "set", tmp_path / "memory")
    assert printed.strip() == str([float(np.asarray(block).sum()) for block in blocks])


def test_an_interrupt_leaves_nothing(snapshots, tmp_path, monkeypatch):
    compute = GridSNAPTransformer.compute

    def interrupted(self, snapshot, start, stop):
        if start > 30:
            raise KeyboardInterrupt
        return compute(self, snapshot, start, stop)

    monkeypatch.setattr(GridSNAPTransformer, "compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        clone(TRANSFORMERS[0]).set_params(memory=tmp_path).fit_transform(snapshots)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def other_text(path):
    content = bytearray(path.read_bytes())
    content[20:60] = 40 * b"("
    path.write_bytes(content)


DAMAGES = {
    "truncated": lambda path: os.truncate(path, 200),
    "empty": lambda path: os.truncate(path, 0),
    "header": other_text,
    "shape": lambda path: np.save(path, np.zeros((64, 4))),
    "dtype": lambda path: np.save(path, np.zeros((64, 5), dtype=np.int64)),
    "complex": lambda path: np.save(path, np.zeros((64, 5), dtype=complex)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_block_is_computed_again(damage, snapshots, tmp_path, calls):
    transformer = clone(TRANSFORMERS[0]).set_params(memory=tmp_path)
    path = transformer.fit_transform(snapshots[:1])[0].path
    damage(path)
    expected = clone(TRANSFORMERS[0]).fit_transform(snapshots[:1])
    calls.clear()
    assert_same_blocks(transformer.transform(snapshots[:1]), expected)
    n_calls = len(calls)
    assert n_calls > 0
    assert_same_blocks(transformer.transform(snapshots[:1]), expected)
    assert len(calls) == n_calls


@every_transformer
@pytest.mark.parametrize("method", ["transform", "transform_lazy"])
def test_a_folder_that_cannot_be_made_does_without(
    transformer, method, snapshots, tmp_path, monkeypatch
):
    def read_only(path, *args, **kwargs):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", read_only)
    elsewhere = clone(transformer).set_params(memory=tmp_path / "elsewhere").fit(snapshots)
    with pytest.warns(UserWarning, match=r"memory cannot be written.*elsewhere") as caught:
        blocks = getattr(elsewhere, method)(snapshots)
    assert len(caught) == 1
    assert_same_blocks(blocks, clone(transformer).fit_transform(snapshots), rtol=1e-10, atol=1e-12)
    assert all(isinstance(block, LazyArray) == (method == "transform_lazy") for block in blocks)


def test_memory_that_is_no_folder_is_named(snapshots, tmp_path):
    with pytest.raises(TypeError, match=r"memory must be a folder or a joblib.Memory, got int"):
        clone(TRANSFORMERS[0]).set_params(memory=3).fit_transform(snapshots)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        clone(TRANSFORMERS[0]).set_params(memory=tmp_path / "file").fit_transform(snapshots)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_read_and_else_done_without(snapshots, tmp_path):
    transformer = clone(TRANSFORMERS[0]).set_params(memory=tmp_path)
    transformer.fit_transform(snapshots[:1])
    folder = tmp_path / "skldos-blocks"
    folder.chmod(0o555)
    try:
        transformer.transform(snapshots[:1])  # reading is fine
        with pytest.warns(UserWarning, match="skldos-blocks"):
            blocks = transformer.transform(snapshots[:2])
    finally:
        folder.chmod(0o755)
    assert isinstance(blocks[0], ArrayFile)
    assert_same_blocks(blocks, clone(TRANSFORMERS[0]).fit_transform(snapshots[:2]))


# -------------------------------------------------------------------- parameters of SNAP


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"r_cut": 1.0, "rmin0": 2.0}, ValueError, "r_cut must be > 2.0, got 1.0"),
        ({"switch": "yes"}, ValueError, "switch must be one of True, False; got 'yes'"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of 'float64', 'float32'"),
        ({"weights": {"Al": np.nan}}, ValueError, r"weights\['Al'\] must be finite, got nan"),
        ({"weights": {"Al": "1"}}, TypeError, r"weights\['Al'\] must be a number"),
        ({"weights": [1.0]}, TypeError, "weights must be a mapping .* got list"),
        ({"weights": {"Be": 1.0}}, SnapshotError, r"Al of Snapshot.* is not among \['Be'\]"),
        ({"weights": {}}, SnapshotError, "Al of Snapshot.* is not among"),
        ({"device": "gpu"}, ValueError, "device must be .* one of 'cpu'.*; got 'gpu'"),
        ({"device": None}, ValueError, "device must be .*; got None"),
        ({"n_jobs": "2"}, TypeError, "n_jobs must be an integer, got '2'"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be .* got 0"),
    ],
)
@pytest.mark.parametrize("kind", [GridSNAPTransformer, AtomSNAPTransformer])
def test_wrong_parameters_are_named_in_fit(kind, params, error, message, snapshots):
    with pytest.raises(error, match=message):
        kind(**params).fit(snapshots)


def test_several_elements_need_weights():
    alloy = SnapshotList([bulk("Al"), bulk("Be")])
    transformer = GridSNAPTransformer(twojmax=2, grid_shape=(2, 2, 2), weights={"Al": 1.0})
    with pytest.raises(SnapshotError, match="Be of"):
        transformer.fit(alloy)
    with pytest.warns(UserWarning, match="cannot distinguish Al and Be: set the parameter weights"):
        transformer.set_params(weights=None).fit(alloy)
    assert transformer.species_ == ["Al", "Be"]
    transformer.set_params(weights={"Al": 1.0, "Be": 1.0}).fit(alloy)


@pytest.mark.parametrize("kind", [GridSNAPTransformer, AtomSNAPTransformer])
def test_weights_of_one_are_no_weights(kind, snapshots):
    plain = kind(twojmax=2).fit_transform(snapshots[:1])
    assert_same_blocks(kind(twojmax=2, weights={"Al": 1}).fit_transform(snapshots[:1]), plain)
    other = kind(twojmax=2, weights={"Al": 0.5}).fit_transform(snapshots[:1])
    assert not np.allclose(other[0], plain[0])


def test_a_grid_point_on_an_atom_sees_what_the_atom_sees():
    atoms = bulk("Al", cubic=True)
    grid = GridSNAPTransformer(twojmax=2, grid_shape=(1, 1, 1)).fit_transform([atoms])[0]
    around = AtomSNAPTransformer(twojmax=2).fit_transform([atoms])[0]
    assert grid.shape == around[:1].shape
    np.testing.assert_allclose(grid[0], around[0], rtol=1e-9)


# -------------------------------------------------------------------- values behind equal shapes


@pytest.mark.parametrize("transformer", [TRANSFORMERS[1], TRANSFORMERS[3]], ids=["SNAP", "SOAP"])
def test_blocks_of_an_older_version_are_computed_again(
    transformer, snapshots, tmp_path, monkeypatch
):
    cached = clone(transformer).set_params(memory=tmp_path)
    before = [np.array(block) for block in cached.fit_transform(snapshots)]
    kind = type(transformer)
    compute = kind.compute
    monkeypatch.setattr(kind, "compute", lambda self, *args: 2 * np.asarray(compute(self, *args)))
    assert_same_blocks(cached.transform(snapshots), before)
    monkeypatch.setattr(kind, "block_version", kind.block_version + 1)
    assert_same_blocks(cached.transform(snapshots), [2 * block for block in before])


@pytest.mark.parametrize(
    "kind",
    [
        AtomSOAPTransformer(r_cut=3.0, n_max=2, l_max=1),
        AtomEnvTransformer(3, 0, r_cut=4.0, n_jobs=1),
    ],
    ids=["SOAP", "spheres"],
)
def test_the_same_atoms_beside_other_elements_are_other_blocks(kind, tmp_path):
    # As many elements, so that the shapes are the same, but another order of channels.
    aluminium = bulk("Al", cubic=True)
    blocks = []
    for other in ("Be", "Ag"):
        fitted = clone(kind).set_params(memory=tmp_path).fit([aluminium, bulk(other, "fcc", a=4)])
        blocks.append(np.array(fitted.transform([aluminium])[0]))
        plain = fitted.set_params(memory=None).transform([aluminium])
        assert_same_blocks([blocks[-1]], plain)
    assert blocks[0].shape == blocks[1].shape
    assert not np.allclose(blocks[0], blocks[1])


ALLOY = {"weights": {"Al": 1.0, "Mg": -0.6}, "radii": {"Al": 1.0, "Mg": 0.7}}


@pytest.fixture
def alloy():
    """An oblique cell of two elements, smaller than the cutoff."""
    atoms = bulk("Al", cubic=True)
    atoms.symbols = ["Al", "Mg", "Mg", "Al"]
    shear = np.array([[0, 0.4, 0.2], [-0.3, 0, 0.1], [0.6, 0.2, -0.5]])
    atoms.set_cell(atoms.cell.array + shear, scale_atoms=True)
    atoms.rattle(0.1, seed=0)
    return Snapshot(atoms, grid_shape=(3, 4, 2))


@pytest.mark.parametrize("params", [{}, ALLOY, {"rmin0": 0.4, "rfac0": 0.9}, {"switch": False}])
def test_pullback_is_the_derivative_with_all_parameters_and_in_pieces(params, alloy, rng):
    options = {"weights": {"Al": 0.8, "Mg": 0.3}, "r_cut": 3.7, "twojmax": 3} | params
    snap = GridSNAPTransformer(**options).fit([alloy])
    sensitivity = rng.normal(size=(24, snap.n_features_out_))
    by_positions, by_strain = snap.pullback(alloy, sensitivity)
    pieces = [
        snap.pullback(alloy, sensitivity[i : i + 7], i, min(i + 7, 24)) for i in (0, 7, 14, 21)
    ]
    np.testing.assert_allclose(sum(p for p, _ in pieces), by_positions, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sum(s for _, s in pieces), by_strain, rtol=1e-9, atol=1e-9)

    direction, strain = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))

    def energy(shift, stretch):
        atoms, matrix = alloy.atoms.copy(), np.eye(3) + stretch * strain
        atoms.set_cell(atoms.cell.array @ matrix)
        atoms.positions = (alloy.atoms.positions + shift * direction) @ matrix
        return (snap.transform([alloy.replace(atoms=atoms)])[0] * sensitivity).sum()

    for found, way in (
        ((by_positions * direction).sum(), (1, 0)),
        ((by_strain * strain).sum(), (0, 1)),
    ):
        h = 1e-6 * np.array(way)
        expected = (energy(*h) - energy(*-h)) / 2e-6
        assert found == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"changed since fit: r_cut was 3\.7 and is 3\.6"):
        snap.set_params(r_cut=3.6).pullback(alloy, sensitivity)


@pytest.mark.parametrize(
    ("params", "value"),
    [
        ({"weights": {"Al": 1.0}}, {"Al": 2.0}),
        ({"weights": {"Al": 1.0}}, None),
        ({"radii": None}, {"Al": 0.9}),
        ({"switch": True}, False),
    ],
)
def test_what_was_fitted_acts_even_if_a_parameter_is_changed_in_place(params, value, snapshots):
    ((name, fitted),) = params.items()
    transformer = clone(TRANSFORMERS[0]).set_params(**params).fit(snapshots)
    expected = transformer.transform(snapshots)
    message = f"parameters of GridSNAPTransformer changed since fit: {name} was .* call fit again"
    with pytest.raises(ValueError, match=message):
        transformer.set_params(**{name: value}).transform(snapshots)
    # Back again, or equal, is unchanged; and pickles remember.
    transformer.set_params(**{name: fitted})
    assert_same_blocks(transformer.transform(snapshots), expected)
    copied = pickle.loads(pickle.dumps(transformer))
    with pytest.raises(ValueError, match=message):
        copied.set_params(**{name: value}).transform_lazy(snapshots)
    if fitted and isinstance(fitted, dict):
        transformer.weights["Al"] = 3.0
        with pytest.raises(ValueError, match=message):
            transformer.transform(snapshots)
        transformer.weights["Al"] = 1.0


def test_a_pipeline_refuses_a_cutoff_that_was_changed_after_fit(snapshots, pipeline):
    model = pipeline.fit(snapshots)
    expected = model.predict(snapshots)
    model.set_params(gridsnaptransformer__memory=None, gridsnaptransformer__n_jobs=2)
    assert_same_blocks(model.predict(snapshots), expected)
    model.set_params(gridsnaptransformer__r_cut=4.5)
    with pytest.raises(ValueError, match=r"r_cut was 4\.67637 and is 4\.5; call fit again"):
        model.predict(snapshots)


def test_transformers_without_derivatives_say_so(snapshots):
    soap = clone(TRANSFORMERS[2]).fit(snapshots)
    with pytest.raises(NotImplementedError, match="GridSOAPTransformer has no derivatives"):
        soap.derivatives(snapshots[0])


@pytest.mark.parametrize(("backend", "expected"), [("loky", 2), ("threading", 1)])
def test_chunks_go_to_processes_of_a_backend_that_was_chosen(backend, expected):
    transformer = GridSNAPTransformer(n_jobs=2)
    with joblib.parallel_config(backend):
        worker, n_workers = transformer._worker()
    assert n_workers == expected
    # Where there are several workers, each has one thread.
    assert worker.n_jobs == (1 if expected == 2 else 2)
