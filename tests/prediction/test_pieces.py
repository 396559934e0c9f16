"""Predictions in pieces: the same bits for any workers, and bounded memory."""

import pickle
import threading
from functools import partial

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    BandEnergyScorer,
    DensityScorer,
    DOSScorer,
    LDOSCalculator,
    RowWise,
    SiteRegressor,
    TotalEnergyScorer,
    evaluate,
    predict,
    predict_density,
    predict_dos,
)
from skldos.calculator import surface
from skldos.data import ArrayFile, Blocks, ComputedArray
from skldos.descriptors import base
from skldos.exceptions import ScoringError
from skldos.physics import Pseudopotential
from skldos.prediction import ldos, pieces, streaming
from skldos.prediction.ldos import predict_ldos

IONS = [Pseudopotential("Al", 3, functional="lda-pz")]


@pytest.fixture
def small_pieces(monkeypatch):
    """Slices of 10 rows, 2 of them per task."""
    monkeypatch.setattr(pieces, "SLICE_ROWS", 10)
    monkeypatch.setattr(pieces, "SLICES_PER_TASK", 2)
    monkeypatch.setattr(pieces, "TASK_BYTES", 2 * 10 * 11 * 4)


@pytest.fixture(scope="module")
def of_atoms(snapshots):
    """A fitted model of atoms."""
    network = ADOSRegressor(SiteRegressor(Ridge(1e-3)))
    steps = AtomSNAPTransformer(twojmax=2, n_jobs=1), RowWise(StandardScaler()), network
    return make_pipeline(*steps).fit(snapshots)


def numbers(start, stop):
    return np.arange(start, stop, dtype=np.float64)[:, None] + [0.1, 1 / 3]


def assert_same(one, other):
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.abs(a).max() > 0


# -------------------------------------------------------------------- pieces


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_sums_are_those_of_slices_in_order(small_pieces, n_jobs):
    blocks = [ComputedArray(numbers, (n, 2), float) for n in (57, 1, 20)]
    with joblib.parallel_config("threading"):
        found = list(pieces.iter_sums(iter(blocks), n_jobs))
    for block, total in zip(blocks, found, strict=True):
        expected = np.zeros(2)
        for start in range(0, len(block), 10):
            expected += block[start : start + 10].sum(axis=0)
        np.testing.assert_array_equal(total, expected)
        np.testing.assert_allclose(total, block[:].sum(axis=0), rtol=1e-12)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_rows_come_in_order(small_pieces, n_jobs):
    block = ComputedArray(numbers, (57, 2), float)
    with joblib.parallel_config("threading"):
        found = list(pieces.iter_rows(block, n_jobs))
    assert max(len(rows) for rows in found) == 10
    np.testing.assert_array_equal(np.concatenate(found), block[:])


def test_a_run_through_an_array_holds_its_own_rows_alone():
    assert len(pickle.dumps(pieces.Run(np.zeros((10_000, 50)), 10, 20, 5))) < 10_000
    for rows in (numbers(0, 9), ComputedArray(numbers, (9, 2), float)):
        slices = [part.tolist() for part in pieces.Run(rows, 3, 8, 3)]
        assert slices == [numbers(3, 6).tolist(), numbers(6, 8).tolist()]


def test_an_empty_block_has_no_rows():
    assert list(pieces.iter_rows(np.empty((0, 3)))) == []


# -------------------------------------------------------------------- any backend


@pytest.fixture(params=["kept", "streamed"])
def everything(request, small_pieces, ragged, pipeline, of_atoms, monkeypatch, tmp_path):
    """Function that computes all that workers can, with a number of them."""
    model = pipeline.fit(ragged[:2])
    if request.param == "streamed":
        monkeypatch.setattr(streaming, "KEPT_BYTES", 0)
    monkeypatch.setattr(base, "CHUNK_SITES", 30)
    monkeypatch.setattr(surface, "CHUNK_POINTS", 30)
    options = {"temperature": 298.0, "grid_shape": (4, 5, 4), "sharpen": 0}

    def compute(n_jobs):
        calculator = LDOSCalculator(model, IONS, n_jobs=n_jobs, **options)
        calculator.calculate(ragged[0].atoms, ["energy", "forces"])
        memory = tmp_path / f"{request.param}-{n_jobs}-{len(list(tmp_path.iterdir()))}"
        cached = clone(model[0]).set_params(n_jobs=n_jobs, memory=memory).fit_transform(ragged[:2])
        energies = predict(model, ragged[:2], pseudopotentials=IONS, n_jobs=n_jobs)
        return {
            "descriptors": [block[:] for block in cached],
            "DOS": predict_dos(model, ragged, n_jobs=n_jobs),
            "DOS of atoms": predict_dos(of_atoms, ragged, n_jobs=n_jobs),
            "density": predict_density(model, ragged[:2], n_jobs=n_jobs),
            "total energy": [energies[["fermi_level", "total_energy"]].to_numpy()],
            "calculator": list(calculator.results.values()),
        }

    return compute


def assert_all_the_same(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        assert_same(found[name], expected[name])


def test_results_are_those_of_one_process(everything):
    expected = everything(None)
    for backend in ("threading", "loky"):
        with joblib.parallel_config(backend):
            assert_all_the_same(everything(2), expected)


def test_scorers_take_workers(small_pieces, snapshots, pipeline):
    model = pipeline.fit(snapshots[:2])
    with joblib.parallel_config("threading"):
        for make in (DOSScorer, DensityScorer):
            assert make(n_jobs=2)(model, snapshots) == make()(model, snapshots) < 0


COMPUTED = {
    "DOS": lambda *data, n_jobs: predict_dos(*data, n_jobs=n_jobs),
    "LDOS": lambda *data, n_jobs: predict_ldos(*data, n_jobs=n_jobs),
    "density": lambda *data, n_jobs: predict_density(*data, n_jobs=n_jobs),
    "table": lambda *data, n_jobs: evaluate(*data, n_jobs=n_jobs),
    "table of energies": lambda *data, n_jobs: evaluate(
        *data, pseudopotentials=IONS, n_jobs=n_jobs
    ),
    **{
        type(make()).__name__: lambda *data, n_jobs, make=make: make(n_jobs=n_jobs)(*data)
        for make in (DOSScorer, DensityScorer, BandEnergyScorer, partial(TotalEnergyScorer, IONS))
    },
}


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("kept", [True, False])
def test_workers_are_put_to_work(name, kept, small_pieces, snapshots, pipeline, monkeypatch):
    if not kept:
        monkeypatch.setattr(streaming, "KEPT_BYTES", 0)
    model, X = pipeline.fit(snapshots[:2]), snapshots[:1]
    (block,) = model[:-1].transform(X)
    threads = set()

    def rows(start, stop):
        threads.add(threading.get_ident())
        return block[start:stop]

    lazy = Blocks([ComputedArray(rows, block.shape, block.dtype)], X)
    for n_jobs in (None, 2):
        threads.clear()
        with joblib.parallel_config("threading"):
            COMPUTED[name](model[-1], lazy, n_jobs=n_jobs)
        assert (threads == {threading.get_ident()}) == (n_jobs is None)


def test_workers_sum_the_states_of_atoms(of_atoms, snapshots):
    class Sums(BaseEstimator):
        def predict(self, X):
            return of_atoms[-1].predict(X)

        def predict_sum(self, X):
            threads.add(threading.get_ident())
            return of_atoms[-1].predict_sum(X)

    blocks, threads = of_atoms[:-1].transform(snapshots), set()
    for n_jobs in (None, 2):
        threads.clear()
        with joblib.parallel_config("threading"):
            found = predict_dos(Sums(), blocks, n_jobs=n_jobs)
        assert (threads == {threading.get_ident()}) == (n_jobs is None)
        np.testing.assert_allclose(found, of_atoms[-1].predict_sum(blocks), rtol=1e-9)


def test_two_workers_of_dask_give_the_same_bits(everything, cluster):
    expected = everything(None)
    with joblib.parallel_config("dask"):
        assert_all_the_same(everything(2), expected)


def test_handles_of_predictions_are_small(snapshots, pipeline):
    model = pipeline.fit(snapshots[:2])
    bare = [snapshots[0].replace(ldos=None, grid_shape=snapshots[0].grid_shape)]
    (handle,) = model[-1].predict_lazy(model[1].transform(model[0].transform_lazy(bare)))
    sent = pickle.dumps(handle)
    assert len(sent) < 50_000
    np.testing.assert_array_equal(pickle.loads(sent)[3:5], handle[3:5])


def test_an_error_in_a_worker_gets_through(snapshots, pipeline):
    model = pipeline.fit(snapshots[:2])
    broken = ComputedArray(partial(_fail, "no such file"), (64, 5), float)
    with pytest.raises(OSError, match="no such file"):
        predict_dos(model[-1], Blocks([broken], snapshots[:1]), n_jobs=2)


def _fail(message, start, stop):
    raise OSError(message)


# -------------------------------------------------------------------- to disk


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_fields_go_to_files(small_pieces, ragged, pipeline, tmp_path, n_jobs):
    model = pipeline.fit(ragged[:2])
    expected = predict_ldos(model, ragged[:3])
    zarr = pytest.importorskip("zarr")
    there = zarr.create_array(store=tmp_path / "c.zarr", shape=expected[2].shape, dtype="f4")
    out = [tmp_path / "a.npy", str(tmp_path / "b.zarr"), there]
    with joblib.parallel_config("threading"):
        found = predict_ldos(model, ragged[:3], out=out, n_jobs=n_jobs)
    assert isinstance(found[0], ArrayFile)
    assert_same([field[:] for field in found], expected)
    assert_same([np.load(out[0]), zarr.open_array(out[1])[:]], expected[:2])
    blocks = [
        block.reshape(field.shape)
        for block, field in zip(model.predict(ragged[:3]), expected, strict=True)
    ]
    for block, field in zip(blocks, expected, strict=True):
        np.testing.assert_allclose(block, field, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("slabs", "thickness"), [(0.5, 1), (1, 1), (2.9, 2), (3, 3), (99, 5)])
def test_chunks_of_zarr_are_whole_slabs_of_the_grid(
    ragged, pipeline, tmp_path, monkeypatch, slabs, thickness
):
    zarr = pytest.importorskip("zarr")
    model, snapshot = pipeline.fit(ragged[:2]), ragged[1]
    assert snapshot.grid_shape == (5, 4, 3)
    monkeypatch.setattr(ldos, "CHUNK_BYTES", int(slabs * 4 * 3 * 11 * 4))
    predict_ldos(model, ragged[1:2], out=[tmp_path / "a.zarr"])
    array = zarr.open_array(tmp_path / "a.zarr")
    assert array.chunks == (thickness, 4, 3, 11)
    np.testing.assert_array_equal(array[:], predict_ldos(model, ragged[1:2])[0])


def test_what_fields_can_go_to(snapshots, pipeline, tmp_path):
    model = pipeline.fit(snapshots[:2])
    with pytest.raises(ValueError, match=r"out must have one .* per snapshot, 1, got 2"):
        predict_ldos(model, snapshots[:1], out=[tmp_path / "a.npy"] * 2)
    with pytest.raises(ValueError, match=r"end in \.npy or \.zarr"):
        predict_ldos(model, snapshots[:1], out=[tmp_path / "a.h5"])
    with pytest.raises(ValueError, match=r"out\[0\] must have shape \(4, 4, 4, 11\)"):
        predict_ldos(model, snapshots[:1], out=[np.empty((4, 4, 4, 10))])
    with pytest.raises(TypeError, match="a list of"):
        predict_ldos(model, snapshots[:1], out=tmp_path / "a.npy")


def test_fields_need_a_grid(of_atoms, snapshots, tmp_path):
    with pytest.raises(ScoringError, match="every grid point"):
        predict_ldos(of_atoms, snapshots[:1], out=[tmp_path / "a.npy"])
    assert not (tmp_path / "a.npy").exists()


def test_tasks_hand_out_no_tasks_unless_they_are_told_to():
    assert [pieces.n_workers(None), pieces.n_workers(2)] == [None, 2]
    tasks = (joblib.delayed(pieces.n_workers)(n_jobs) for n_jobs in (None, 2))
    assert joblib.Parallel(n_jobs=2, backend="threading")(tasks) == [1, 2]
