"""Every file that skldos writes appears complete or not at all."""

import ast
from pathlib import Path

import numpy as np
import pytest

import skldos
from skldos import LDOSRegressor
from skldos.active._run_state import STATE_FILE, read_state, write_state
from skldos.datasets import make_snapshots
from skldos.exceptions import FileFormatError
from skldos.io import write_cube, write_extxyz, write_mala, write_xsf
from skldos.io.lammps import write_snap_files
from tests.disks import NO_SPACE, largest_file

#: Where files are written in place, and why a fault there does no harm.
IN_PLACE = {
    "data/files.py": "the one place that makes temporary files, locks and maps",
    "search/study/_journal.py": "a line is appended; a torn one is cut off by the next reader",
    "active/on_the_fly.py": "a line is appended to a log; a torn one is short",
    "datasets/recipe/recipe.py": "the input of pw.x, which is written anew for every run",
    "cli/demo.py": "pictures of a demonstration",
    "datasets/recipe/run.py": "the output of pw.x, which is judged by how it ends",
}
METHODS = {"write_text", "write_bytes", "to_csv", "savefig", "tofile"}
FUNCTIONS = {("np", "save"), ("np", "savez"), ("np", "savetxt"), ("joblib", "dump")}
FUNCTIONS |= {("torch", "save")}


def writes_in_place(tree):
    """Yield the lines that write to a path, not to a file that :func:`atomic_file` has opened."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        if isinstance(call.func, ast.Name) and call.func.id == "open":
            mode = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
            if any(set("wax+") & set(str(getattr(m, "value", m))) for m in mode):
                yield call.lineno
        elif isinstance(call.func, ast.Attribute):
            owner = getattr(call.func.value, "id", None)
            to = (
                getattr(call.args[-1 if owner == "torch" else 0], "id", None) if call.args else None
            )
            by_name = (owner, call.func.attr) in FUNCTIONS or call.func.attr in METHODS
            if by_name and call.args and to not in ("file", "content", "body"):
                yield call.lineno


def lines_of_package(search):
    """Return the lines that `search` finds in the modules of the package, by path."""
    package = Path(skldos.__file__).parent
    found = {
        str(path.relative_to(package)): list(search(ast.parse(path.read_text(encoding="utf-8"))))
        for path in package.rglob("*.py")
    }
    return {path: lines for path, lines in found.items() if lines}


def test_writers_write_aside_and_rename():
    found = lines_of_package(writes_in_place)
    assert {path: lines for path, lines in found.items() if path not in IN_PLACE} == {}
    assert set(IN_PLACE) <= set(found)  # or one of them needs no exception any more


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("open(p, 'w')", 1),
        ("open(p, mode='r+b')", 1),
        ("open(p)", 0),
        ("open(p, 'rb')", 0),
        ("p.write_text(s)", 1),
        ("table.to_csv(p)", 1),
        ("table.to_csv(file)", 0),
        ("table.to_csv()", 0),
        ("np.save(p, a)", 1),
        ("np.save(file, a)", 0),
    ],
)
def test_what_is_written_in_place_is_seen(code, found):
    assert len(list(writes_in_place(ast.parse(code)))) == found


def texts_without_encoding(tree):
    """Yield the lines that read or write text in the system's encoding."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or "encoding" in {k.arg for k in call.keywords}:
            continue
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("read_text", "write_text"):
            yield call.lineno
        elif isinstance(call.func, ast.Name) and call.func.id == "open":
            binary = any("b" in str(getattr(a, "value", "")) for a in call.args[1:2])
            if not binary:
                yield call.lineno


def test_texts_are_utf8_wherever_they_are_read():
    assert lines_of_package(texts_without_encoding) == {}


# ---------------------------------------------------------------- disks that are full


SNAPSHOTS = make_snapshots(1, grid_shape=(12, 12, 12), n_energies=5, random_state=0)
X, Y = np.random.default_rng(0).random((2, 8, 3)).astype(np.float32)


def net(**options):
    network = {"module__hidden_layer_sizes": (100, 100), "max_epochs": 1, "random_state": 0}
    return LDOSRegressor(**network, **options)


WRITERS = {
    "model": ("a.skldos", lambda path: skldos.save(net().fit(X, Y), path, overwrite=True)),
    "weights": ("a.pt", lambda path: net().fit(X, Y).save_params(f_params=path)),
    "checkpoint": ("training", lambda path: net(checkpoint=path).fit(X, Y)),
    "cube": ("a.cube", lambda p: write_cube(p, SNAPSHOTS[0].density, SNAPSHOTS[0].atoms)),
    "extxyz": ("a.xyz", lambda path: write_extxyz(path, [SNAPSHOTS[0]] * 40)),
    "xsf": ("a.xsf", lambda p: write_xsf(p, {"n": SNAPSHOTS[0].density}, SNAPSHOTS[0].atoms)),
}


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_an_error_that_leaves_nothing(name, write, tmp_path):
    with largest_file(4096), pytest.raises(OSError, match=NO_SPACE):
        write(tmp_path / name)
    assert files(tmp_path) == []
    write(tmp_path / name)
    (written,) = files(tmp_path)
    assert written.stat().st_size > 4096


#: The modules that write files, and where a full disk is tried on them.
WRITING = {
    "active/_run_state.py": "faults",
    "active/on_the_fly.py": "tables, written after each question by the state's own function",
    "cli/convert.py": "by SnapshotList.save",
    "cli/spectra.py": "by atomic_file",
    "cli/tables.py": "by atomic_file",
    "data/array_file.py": "data/test_files.py",
    "data/files.py": "data/test_files.py",
    "data/spool.py": "data/test_spool.py",
    "data/storage.py": "data/test_storage.py",
    "datasets/recipe/results.py": "by atomic_file",
    "descriptors/_store.py": "descriptors/test_store.py",
    "io/cube.py": "io/test_writing.py",
    "io/espresso/binary.py": "io/test_writing.py",
    "io/espresso/wavefunctions.py": "io/test_writing.py",
    "io/extxyz.py": "faults",
    "io/fields.py": "faults",
    "io/lammps.py": "faults",
    "io/mala.py": "faults",
    "io/olcao.py": "io/test_writing.py",
    "persistence/file.py": "faults",
    "regressors/skorch/checkpoint.py": "faults",
    "regressors/skorch/state.py": "faults",
}


def calls_of_writers(tree):
    """Yield the lines that call one of the functions of :mod:`skldos.data.files`."""
    writers = ("atomic_file", "atomic_array", "new_array", "staging_folder", "mapped")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in writers:
            yield node.lineno


def test_every_module_that_writes_is_known():
    assert set(lines_of_package(calls_of_writers)) == set(WRITING)


#: Of a run that has no dynamics yet.
FIRST_STATE = {"n_snapshots": 1, "dynamics": None, "check": None}


def test_a_full_disk_keeps_the_last_state_of_a_run(tmp_path):
    write_state(tmp_path, FIRST_STATE)
    with largest_file(4096), pytest.raises(OSError, match=NO_SPACE):
        write_state(tmp_path, FIRST_STATE | {"positions": list(range(4096))})
    assert files(tmp_path) == [tmp_path / STATE_FILE]
    assert read_state(tmp_path) == FIRST_STATE


@pytest.mark.parametrize("size", [300, 8000], ids=["parameters do not fit", "coefficients do not"])
def test_files_for_lammps_belong_together_on_a_full_disk(size, tmp_path, monkeypatch):
    def write(n, **options):
        coefficients = {"Al": np.arange(float(n))}
        settings = {"r_cut": 4.0, "twojmax": 8, "weights": {"Al": 1.0}, "radii": {"Al": 1.0}}
        write_snap_files(tmp_path / "Al", coefficients, **settings, **options)

    write(10, rmin0=0.0)
    before = {path: path.read_text() for path in files(tmp_path)}
    assert len(before) == 2
    long = {f"option{i}": 1.0 for i in range(1000)} if size == 300 else {}
    with largest_file(4096), pytest.raises(OSError, match=NO_SPACE):
        write(size, **long)
    assert {path: path.read_text() for path in files(tmp_path)} == before


def test_files_for_mala_on_a_full_disk(tmp_path):
    with largest_file(4096), pytest.raises(OSError, match=NO_SPACE):
        write_mala(SNAPSHOTS[0], tmp_path / "a")
    assert all(path.stat().st_size <= 4096 for path in tmp_path.iterdir())
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("content", [b"", b'{"step": 1', b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_state_of_a_run_is_named(content, tmp_path):
    write_state(tmp_path, FIRST_STATE)
    assert read_state(tmp_path) == FIRST_STATE
    (tmp_path / STATE_FILE).write_bytes(content)
    with pytest.raises(FileFormatError, match=f"not the state of a run.*{STATE_FILE}"):
        read_state(tmp_path)
