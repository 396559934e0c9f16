"""Fields of MALA in openPMD form: two small files that MALA itself wrote, and damaged ones."""

import json
import pickle
import sys
from contextlib import nullcontext
from pathlib import Path

import joblib
import numpy as np
import pytest

from skldos import EnergyGrid
from skldos.data import as_rows
from skldos.exceptions import FileFormatError
from skldos.io import read_mala, read_openpmd
from skldos.io.openpmd import UNITS
from tests.io.test_mala import INFO

DATA = Path(__file__).parent / "data" / "mala"
# What data/README.md says about the files.
VALUES = (np.arange(72).reshape(2, 3, 4, 3) / 7).astype(np.float32)


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


@pytest.fixture
def edit(h5py, tmp_path):
    """Return a copy of the LDOS file after a change."""

    def edit(change):
        path = tmp_path / "edited.h5"
        path.write_bytes((DATA / "ldos.h5").read_bytes())
        with h5py.File(path, "a") as file:
            change(file)
        return path

    return edit


def test_the_values_are_those_that_were_written(h5py):
    field = read_openpmd(DATA / "ldos.h5")
    assert (field.shape, field.dtype) == (VALUES.shape, np.float32)
    np.testing.assert_array_equal(np.asarray(field), VALUES)
    np.testing.assert_array_equal(field[1:], VALUES[1:])
    np.testing.assert_array_equal(as_rows(field)[5:20], VALUES.reshape(-1, 3)[5:20])
    density = read_openpmd(str(DATA / "density.h5"), "Density")
    np.testing.assert_array_equal(density[:], VALUES[..., :1])


def test_handles_travel_to_workers_and_hash_their_contents(h5py, edit):
    field = read_openpmd(DATA / "ldos.h5")
    again = pickle.loads(pickle.dumps(field))
    np.testing.assert_array_equal(again[:], VALUES)
    assert joblib.hash(field) == joblib.hash(again)
    other = read_openpmd(edit(lambda file: None))
    assert joblib.hash(field) != joblib.hash(other)
    assert repr(other).endswith("'LDOS', shape=(2, 3, 4, 3))")


def test_a_snapshot_of_mala_takes_it_as_the_ldos(h5py, tmp_path):
    (tmp_path / "info.json").write_text(json.dumps(INFO))
    energies = EnergyGrid.regular(-5, 2.5, 3)
    snapshot = read_mala(DATA / "ldos.h5", tmp_path / "info.json", energies=energies)
    volume = snapshot.voxel_volume
    np.testing.assert_allclose(snapshot.dos(), VALUES.sum((0, 1, 2)) * volume, rtol=1e-6)
    assert "ldos on disk" in repr(snapshot)


def test_without_h5py_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install skldos\[io\]"):
        read_openpmd(DATA / "ldos.h5")


def test_other_files_are_refused(h5py, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.h5"):
        read_openpmd(tmp_path / "absent.h5")
    (tmp_path / "x.h5").write_bytes((DATA / "ldos.h5").read_bytes()[:3000])
    with pytest.raises(FileFormatError, match=r"not an HDF5 file.*x\.h5"):
        read_openpmd(tmp_path / "x.h5")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["data"] = [1, 2]
    with pytest.raises(FileFormatError, match=r"not in the openPMD format.*y\.h5"):
        read_openpmd(tmp_path / "y.h5")
    with pytest.raises(FileFormatError, match=r"'LDOS' is not among \['Density'\]"):
        read_openpmd(DATA / "density.h5")


MESH = "data/0/meshes/LDOS"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.copy("data/0", "data/1"), r"one iteration, got \['0', '1'\]"),
        (lambda file: file.move(f"{MESH}/1", f"{MESH}/7"), r"components 0, 1, …, got"),
        (lambda file: file[f"{MESH}/1"].attrs.modify("unitSI", 6.2e18), r"LDOS/1 in units of 6.24"),
        *(
            (lambda file, unit=unit: file[f"{MESH}/1"].attrs.create("unitSI", unit), "in units of")
            for unit in ("abc", [1.0, 2.0], float("nan"))
        ),
        (lambda file: file[MESH].attrs.modify("dataOrder", "F"), r"in C order"),
        (lambda file: file[MESH].attrs.modify("axisLabels", ["z", "y", "x"]), r"got \['z', 'y'"),
    ],
)
def test_another_layout_is_refused(edit, change, message):
    with pytest.raises(FileFormatError, match=rf"{message}.*edited\.h5"):
        read_openpmd(edit(change))


def test_a_component_of_another_shape_is_refused(edit):
    def change(file):
        del file[f"{MESH}/2"]
        file[f"{MESH}/2"] = np.zeros((2, 3, 5), dtype=np.float32)

    with pytest.raises(FileFormatError, match=r"LDOS/2 is not an array \(n_x, n_y, n_z\)"):
        read_openpmd(edit(change))


def component_of(file):
    (iteration,) = file["data"].values()
    return iteration["meshes/LDOS/1"]


@pytest.mark.parametrize(("change", "refused"), [(0.995e-6, False), (1.005e-6, True)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_units_agree_to_a_millionth(edit, change, refused, sign):
    expected = UNITS["LDOS"]

    def rescale(file):
        component_of(file).attrs["unitSI"] = expected * (1 + sign * change)

    path, message = edit(rescale), r"in units of 6\.241509e\+48 \(SI\), got"
    with pytest.raises(FileFormatError, match=message) if refused else nullcontext():
        read_openpmd(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e31])
def test_values_are_checked_where_they_are_read(edit, value):
    def damage(file):
        component_of(file)[1, 2, 3] = value

    field = read_openpmd(edit(damage))
    np.testing.assert_array_equal(field[:1], VALUES[:1])
    with pytest.raises(FileFormatError, match=r"LDOS must lie within .*edited\.h5"):
        field[1:]


@pytest.fixture
def read(h5py, tmp_path):
    """Write a field with two components, and read it."""

    def read(*, shape=(2, 3, 4), values=None, dtype=float, **options):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.attrs["openPMD"] = "1.1.0"
            mesh = file.create_group(MESH)
            mesh.attrs.update({"axisLabels": ["x", "y", "z"], "dataOrder": "C"})
            for k in range(2):
                part = mesh.create_dataset(str(k), shape, dtype, **options)
                part.attrs["unitSI"] = UNITS["LDOS"]
                if values is not None:
                    part[...] = values
        return read_openpmd(tmp_path / "a.h5")

    return read


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"chunks": (1, 3, 4)}])
def test_fields_that_are_possible(read, options):
    assert np.asarray(read(values=0.25, **options)).tolist() == [[[[0.25] * 2] * 4] * 3] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (4000, 4000, 4000), "chunks": (100, 100, 100)}, "bytes, but the file has 0"),
        (
            {"shape": (10**6, 10**6, 1), "chunks": True, "compression": "gzip"},
            "needs .* bytes, but",
        ),
        ({"values": b"a", "dtype": "S1"}, "must hold real numbers"),
        ({"shape": (0, 3, 4)}, "must hold real numbers"),
    ],
)
def test_fields_that_are_not(read, options, message):
    with pytest.raises(FileFormatError, match=message):
        read(**options)
