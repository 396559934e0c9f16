"""Commands: examples in help texts and the page run, and numbers equal those of the library."""

import gc
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.io import read

import skldos
from skldos import SnapshotList, cli
from skldos.cli.main import COLLECTION_THRESHOLD, COMMANDS, one_line
from skldos.datasets import make_snapshots
from skldos.io import read_cube
from skldos.units import BOHR

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cli.md"
#: What the tests run in another way, and what they make smaller.
ELSEWHERE = ("skldos demo",)
SMALLER = {
    " --sharpen 2": "",  # synthetic snapshots know no broadening
    "--steps 1000": "--steps 2",
    "aluminium": "snapshots",
    "twojmax=8": "twojmax=2",
    "--energies -5 0.1 200": "--energies -5 1.5 11",
    "--energies -6 0.2 81 --broadening 0.4": "--energies -20 1 45 --broadening 2",
}


def run(line):
    """Run one shell command line."""
    words = shlex.split(line, comments=True)
    assert words[0] == "skldos"
    return cli.main(words[1:])


def smaller(line):
    for text, other in SMALLER.items():
        line = line.replace(text, other)
    return line


def commands_of_page(page=PAGE):
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line[:6] == "skldos" and not line.startswith(ELSEWHERE)]


def test_the_page_completes_all_commands():
    (words,) = re.findall(r'^complete -o default -W "(.*)" skldos$', PAGE.read_text(), re.MULTILINE)
    assert words.split() == [*COMMANDS]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_page_runs_in_order(place, capsys):
    (toml,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    Path("pipeline.toml").write_text(toml)
    for name in ("atoms", "potential"):
        Path(f"{name}.skldos").unlink()
    lines = commands_of_page()
    assert len(lines) >= 12
    for line in lines:
        # The recommended descriptors, smaller.
        line = line.replace("uncertainty=True", "uncertainty=True n_max=3 l_max=2")
        line = line.replace(
            "potential.skldos --cv 2", "potential.skldos --cv 2 --set n_max=3 l_max=2"
        )
        assert run(line) == 0, (line, capsys.readouterr().err)
    card = skldos.model_card("atoms.skldos")
    assert card["errors"]["mean absolute band_energy_error (meV/atom)"] > 0
    assert len(read("run.traj", ":")) == 3
    assert np.isfinite(pd.read_csv("mean-dos.csv")["dos"]).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", ["get_started.md", "tutorials/first_model.md"])
def test_three_commands_lead_from_runs_to_predictions(page, place, capsys):
    shutil.rmtree("snapshots")
    Path("model.skldos").unlink()
    runs = [shutil.copytree("runs", f"{folder}") for folder in ("again", "once more")]
    for folder in runs:
        shutil.move(folder, "runs")
    lines = commands_of_page(ROOT / "docs" / page)
    assert len(lines) == 3
    for line in lines:
        assert run(smaller(line)) == 0, (line, capsys.readouterr().err)
    assert len(SnapshotList.load("snapshots")) == 3
    assert skldos.model_card("model.skldos")["errors"]
    assert Path("dos.png").read_bytes().startswith(b"\x89PNG")


EXAMPLES = [
    (name, line)
    for name, module in COMMANDS.items()
    for line in module.EXAMPLES
    if not line.startswith(ELSEWHERE)
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line[7:30] for _, line in EXAMPLES])
def test_examples_of_help_texts_run(name, line, place, capsys):
    if name in ("convert", "fit"):
        line += " --overwrite"
    if name == "fit":
        line += " --cv 2" + ("" if "--set" in line or "toml" in line else " --set n_max=2 l_max=1")
    assert run(smaller(line)) == 0, capsys.readouterr().err
    assert capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_too_few_snapshots_to_cross_validate(tmp_path, capsys):
    snapshots = make_snapshots(2, random_state=0)
    for n, fits in ((2, True), (1, False)):
        folder = snapshots[:n].save(tmp_path / f"{n}")
        target = tmp_path / f"{n}.skldos"
        line = f"fit atoms {folder} -o {target} --set n_max=2 l_max=1"
        assert run(f"skldos {line}") == (0 if fits else 1)
        said = capsys.readouterr()
        assert f"no cross-validation: it takes 3 snapshots, got {n}" in said.out
        assert target.exists() == fits
    assert "needs at least two of them, got 1. With one, set" in said.err
    assert run(f"skldos {line} alpha=1e-3 dos_weight=10") == 0


def test_python_m_skldos_names_the_commands_and_loads_nothing_heavy():
    code = "import skldos.cli, sys, json; print(json.dumps(sorted(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(found.stdout)}
    assert not loaded & {
        "torch",
        "sklearn",
        "ase",
        "pandas",
        "scipy",
        "numba",
        "matplotlib",
        "tqdm",
    }
    command = [sys.executable, "-m", "skldos", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in COMMANDS:
        assert name in done.stdout


def test_a_command_searches_for_cycles_rarely_and_not_at_exit(monkeypatch):
    thresholds = gc.get_threshold()
    during = []
    monkeypatch.setattr(COMMANDS["info"], "run", lambda options: during.append(gc.get_threshold()))
    assert run("skldos info aluminium") == 0
    assert during == [(COLLECTION_THRESHOLD, *thresholds[1:])]
    assert gc.get_threshold() == thresholds
    gc.set_threshold(2 * COLLECTION_THRESHOLD, *thresholds[1:])
    try:
        run("skldos info aluminium")
        assert during[1][0] == 2 * COLLECTION_THRESHOLD
    finally:
        gc.set_threshold(*thresholds)
    # What is registered first runs last.
    code = (
        "import atexit, gc; atexit.register(lambda: print('frozen:', gc.get_freeze_count()));"
        "from skldos.cli import main; main(['info', 'aluminium'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1].removeprefix("frozen: ")) > 10_000


@pytest.mark.parametrize(("given", "used"), [(None, "20"), ("4", "4")])
def test_threads_of_numpy_do_not_wait_long(given, used, monkeypatch):
    code = """
import importlib.abc, os, sys
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
sys.meta_path.insert(0, Finder())
import skldos.cli
"""
    monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT", raising=False)
    if given is not None:
        monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", given)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [used]


def test_real_data_do_not_load_what_synthetic_data_and_files_need():
    code = "import skldos.cli.data, skldos.io, skldos.datasets, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = found.stdout.split()
    assert "skldos.datasets.synthetic" in loaded
    assert not {"ase.build", "ase.db", "ase.io"} & set(loaded)


# ------------------------------------------------------------------ numbers


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_predict_prints_and_writes_what_the_library_says(place, capsys):
    line = "skldos predict model.skldos start.xyz snapshots --pseudo Al.upf -o t.csv --sharpen 0"
    assert run(f"{line} --dos dos.csv --cube cubes") == 0
    model = skldos.load("model.skldos")
    structures = [*skldos.io.read_snapshots("start.xyz"), *SnapshotList.load("snapshots")]
    expected = skldos.predict(
        model, structures, pseudopotentials=["Al.upf"], sharpen=0, density=True, dos=True
    )
    found = pd.read_csv("t.csv")
    for name in ("fermi_level", "band_energy", "minus_ts", "total_energy", "temperature"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)
    dos = pd.read_csv("dos.csv")
    np.testing.assert_allclose(dos["start"], expected["dos"][0], rtol=1e-9)
    assert len(dos.columns) == 1 + len(structures)
    density, atoms = read_cube("cubes/start.cube")
    np.testing.assert_allclose(density / BOHR**3, expected["density"][0], atol=1e-7)
    assert str(atoms.symbols) == "Al4"
    printed = capsys.readouterr().out
    assert f"{expected['total_energy'][0]:.4f}" in printed
    assert "total_energy (eV)" in printed
    assert len(list(Path("cubes").iterdir())) == len(structures)


def test_fit_leaves_each_snapshot_out_once(place, capsys):
    assert run("skldos fit pipeline.toml snapshots -o mine.skldos --cv 6") == 0
    snapshots = SnapshotList.load("snapshots")
    model = skldos.load("mine.skldos")
    left_out = skldos.load("mine.skldos").fit(snapshots[1:])
    expected = skldos.evaluate(left_out, snapshots[:1])["band_energy_error"][0]
    first = next(l for l in capsys.readouterr().out.splitlines() if l.startswith("0"))
    assert first.split()[-1] == f"{expected:.2f}"
    assert skldos.model_card(model)["trained_on"]["n_snapshots"] == 6


def test_convert_keeps_numbers_names_and_sources(place):
    assert run("skldos convert dynamics.extxyz snapshots -o both") == 0
    both = SnapshotList.load("both")
    assert len(both) == 5 + 6
    image = read("dynamics.extxyz", 2)
    assert both[2].name == "dynamics_2"
    assert both[2].source == "dynamics.extxyz"
    assert both[2].reference["total_energy"] == image.get_potential_energy()
    np.testing.assert_array_equal(both[2].reference["forces"], image.get_forces())
    np.testing.assert_array_equal(both[5].ldos[:], SnapshotList.load("snapshots")[0].ldos[:])
    assert sorted(p.suffix for p in Path("both").iterdir()) == [".json"] + [".npy"] * 12


def test_dynamics_repeat_themselves_and_need_what_they_need(place, capsys):
    line = "skldos md potential.skldos start.xyz --temperature 300 --steps 2 --interval 1"
    assert run(f"{line} -o a.traj") == 0
    assert run(f"{line} -o b.traj") == 0
    first, second = read("a.traj", ":"), read("b.traj", ":")
    assert len(first) == 3
    np.testing.assert_array_equal(first[2].positions, second[2].positions)
    assert np.abs(first[2].positions - first[0].positions).max() > 1e-4
    assert np.isfinite(first[2].get_potential_energy())
    capsys.readouterr()
    assert run(f"{line} -o c.traj --dos d.csv") == 1
    assert "--dos needs --dos-model" in capsys.readouterr().err
    assert run("skldos md model.skldos start.xyz --temperature 300 -o c.traj") == 1
    assert "needs --pseudo" in capsys.readouterr().err
    assert run("skldos md atoms.skldos start.xyz --temperature 300 -o c.traj") == 1
    assert "atoms.skldos predicts densities of states of atoms, not" in capsys.readouterr().err


def test_dynamics_with_a_model_of_the_ldos(place, capsys):
    line = "skldos md model.skldos start.xyz --pseudo Al.upf --temperature 300 --steps 1"
    assert run(f"{line} --electronic-temperature 298 --interval 1 --dos d.csv") == 0
    assert capsys.readouterr().out.startswith("electrons at 298 K\n")
    table = pd.read_csv("d.csv")
    assert len(table) == 21
    assert list(table) == ["energy", "dos"]
    assert run(f"{line} --interval 1 --dos d.png --overwrite") == 0
    assert Path("d.png").read_bytes().startswith(b"\x89PNG")


# ------------------------------------------------------------------ failures


def fails(line, message, capsys):
    assert run(line) == 1
    (printed,) = capsys.readouterr().err.splitlines()
    assert printed.startswith("skldos: error: ")
    assert re.search(message, printed), printed


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "evaluate model.skldos runs",
            r"holds no snapshots, but 1 × runs of pw\.x: run 'skldos conv",
        ),
        ("evaluate model.skldos mala", "holds no snapshots, but 2 × files of MALA"),
        ("evaluate model.skldos absent", "absent holds no snapshots: there is no file or folder"),
        ("evaluate absent.skldos test", r"no model absent\.skldos; .skldos fit. writes one"),
        ("evaluate POSCAR test", r"not a file of skldos\.save"),
        ("predict model.skldos POSCAR -o Al.upf", r"Al\.upf exists; name another file"),
        ("predict model.skldos POSCAR --dos Al.upf", r"Al\.upf exists"),
        ("predict atoms.skldos POSCAR --cube cubes", "every grid point"),
        ("predict model.skldos Al.upf", r"ASE cannot read it.*Al\.upf"),
        ("convert mala -o new", "energies are required"),
        ("convert runs -o new --ldos wavefunctions", "--ldos needs --energies"),
        ("convert mala -o new --energies 0 1 2.5", "whole number of energies, got 2.5"),
        ("convert mala", r"snapshots\.json exists; name another file"),
        ("fit nothing snapshots -o x", r"MODEL must be one of atoms, grid, potential, or a file"),
        ("fit absent.py snapshots -o x", r"there is no file absent\.py"),
        ("fit atoms snapshots -o x --set n_max", "takes NAME=VALUE, got 'n_max'"),
        (
            "fit atoms snapshots -o x --set n_maxx=3",
            r"models\.atoms takes .*n_max, .*; Invalid parameter 'n_maxx'",
        ),
        ("fit atoms snapshots -o absent/x", "there is no folder absent to write x to"),
        ("predict atoms.skldos POSCAR -o absent/x.csv", "there is no folder absent to write x"),
        ("evaluate atoms.skldos test -o absent/x.csv", "there is no folder absent to write x"),
        ("md potential.skldos start.xyz --temperature 9 -o absent/x", "there is no folder absent"),
        ("fit atoms snapshots", r"model\.skldos exists"),
        ("fit potential snapshots -o x --cv 0", "has no reference 'total_energy'"),
        ("info absent", "there is no file or folder absent"),
        ("predict absent.skldos POSCAR", r"no model absent\.skldos; 'skldos fit' writes one"),
        ("fit atoms snapshots -o x --set r_cutt=5", r"'r_cutt'; .* STEP__NAME, .* rowwise, ado"),
        (
            "convert runs -o x --ldos wavefunctions --energies -6 0.2 81",
            "--ldos needs --broadening",
        ),
        (
            "md potential.skldos start.xyz --temperature 9 --electronic-temperature 9 -o x",
            "temperature 9 K needs --dos-model: potential was trained at 300 K",
        ),
        ("predict potential.skldos POSCAR --temperature 9", "error: --temperature must be that of"),
        (
            "evaluate atoms.skldos bare",
            "lacks ldos, which 'skldos convert' reads with --ldos: .*; 'skldos predict' needs only",
        ),
    ],
)
def test_what_is_wrong_is_one_line(line, message, place, capsys):
    before = {path.name for path in Path().iterdir()}
    fails(f"skldos {line}", message, capsys)
    left = {path.name for path in Path().iterdir()} - before
    # A folder that was made for results may stay, empty.
    assert not any(any(Path(name).rglob("*")) for name in left if Path(name).is_dir())
    assert not any(Path(name).is_file() for name in left)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = 3", "expected tables"),
        ("[[steps]", "not TOML"),
        ('[[steps]]\ntype = "os.system"', "must be an estimator of skldos"),
        ('[[steps]]\ntype = "sklearn.utils.deprecated"', "must be an estimator"),
        ('[[steps]]\ntype = "EspressoRecipe"', "must be an estimator"),
        ('[[steps]]\ntype = "sklearn.nothing.X"', "must be an estimator"),
        ("[[steps]]\nr_cut = 3", "every step needs a type"),
        ('[[steps]]\ntype = "AtomSNAPTransformer"\nrcut = 3', "AtomSNAPTransformer: .*rcut"),
    ],
)
def test_a_pipeline_file_that_is_wrong_is_named(text, message, place, capsys):
    Path("wrong.toml").write_text(text)
    fails("skldos fit wrong.toml snapshots -o x", rf"{message}.*wrong\.toml", capsys)


def test_a_python_file_defines_the_model(place, capsys):
    code = "import skldos\nmodel = skldos.models.atoms(n_max=2, l_max=1)\n"
    Path("mine.py").write_text(code)
    assert run("skldos fit mine.py snapshots -o x.skldos --cv 0") == 0
    assert skldos.load("x.skldos")[0].n_max == 2
    Path("mine.py").write_text("from sklearn.linear_model import Ridge as model\n")
    capsys.readouterr()
    fails("skldos fit mine.py snapshots -o y.skldos", "an estimator, got <class .*Ridge", capsys)
    Path("mine.py").write_text("a = 3\n")
    fails("skldos fit mine.py snapshots -o y.skldos", r"must define 'model'.*mine\.py", capsys)


def test_what_is_missing_is_named_as_an_option(place, capsys):
    skldos.save(skldos.models.atoms(n_max=2, l_max=1).fit(SnapshotList.load("training")), "two")
    fails("skldos predict two POSCAR", "lacks temperature: pass --temperature, since", capsys)
    assert run("skldos predict two POSCAR --temperature 500") == 0


def test_interrupted_is_said(place, monkeypatch, capsys):
    def interrupt(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(COMMANDS["info"], "run", interrupt)
    assert run("skldos info snapshots") == 130
    assert capsys.readouterr().err == "skldos: interrupted\n"


def test_traceback_on_request(place, capsys):
    assert run("skldos info absent --traceback") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.filterwarnings("default::UserWarning")
def test_warnings_are_one_line(place, capsys):
    assert run("skldos predict atoms.skldos start.xyz --temperature 5000") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("skldos: warning: outside of the training data: temperature 5000 K")


def test_an_empty_message_is_the_kind_of_error():
    assert one_line(NotImplementedError()) == "NotImplementedError"
    assert one_line(ValueError("a\n b")) == "a b"


# ------------------------------------------------------------------ info


def test_info_says_what_there_is_and_what_is_missing(place, capsys):
    run("skldos info snapshots")
    assert "lacks total_energy (6 of 6)" in capsys.readouterr().out
    run("skldos info runs")
    printed = capsys.readouterr().out
    assert "runs of pw.x, 1 in all" in printed
    assert "Al2" in printed
    assert re.search(r"^reference +.*forces, functional, hartree", printed, flags=re.MULTILINE)
    run("skldos info mala")
    assert "Al_1.info.json" in capsys.readouterr().out
    run("skldos info potential.skldos")
    printed = capsys.readouterr().out
    assert "free energies" in printed
    assert "left-out RMSE of energy (meV/atom)" in printed
    run("skldos info dynamics.extxyz")
    assert "structures that ASE reads" in capsys.readouterr().out


@pytest.mark.filterwarnings("always::UserWarning")
def test_energies_without_an_ldos_are_noticed(place, capsys):
    assert run("skldos convert runs -o new --energies -20 0.5 90 --broadening 1") == 0
    assert "only with --ldos; without it, no LDOS is read" in capsys.readouterr().err
    assert SnapshotList.load("new")[0].ldos is None


@pytest.mark.filterwarnings("always::UserWarning")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--energies -20 0.5 90", "--energies acts only on runs of pw.x and files of MALA"),
        ("--density charge-density", "--density acts only on runs of pw.x; none was found"),
        (
            "--ldos wavefunctions --energies 0 1 9 --broadening 1",
            "--ldos acts only on runs of pw.x; none was found",
        ),
    ],
)
def test_options_that_do_not_act_on_structures_are_noticed(place, options, message, capsys):
    assert run(f"skldos convert start.xyz -o of-structures --overwrite {options}") == 0
    assert message in capsys.readouterr().err


def test_a_broadening_needs_energies(place, capsys):
    line = "skldos convert start.xyz -o of-structures --overwrite --broadening 0.2"
    fails(line, "--broadening needs --energies", capsys)


# ------------------------------------------------------------------ nothing is lost


@pytest.mark.filterwarnings("ignore:n_electrons=12 is not between")
def test_structures_of_similar_names_have_files_and_columns_of_their_own(place, tiny, capsys):
    names = ["a b", "a/b", "A_b", "a b", "a b (2)", None]
    SnapshotList([s.replace(name=n) for s, n in zip(tiny, names, strict=True)]).save("similar")
    line = "skldos predict model.skldos similar --temperature 298"
    assert run(f"{line} --cube densities --dos spectra.csv") == 0
    model, snapshots = skldos.load("model.skldos"), SnapshotList.load("similar")
    table = skldos.predict(model, snapshots, temperature=298, dos=True, density=True)
    spectra = pd.read_csv("spectra.csv")
    assert list(spectra) == ["energy", "a b", "a/b", "A_b", "a b (2)", "a b (2) (2)", "Al4"]
    np.testing.assert_allclose(spectra.to_numpy()[:, 1:].T, np.stack(table["dos"]))
    files = ["a_b", "a_b_2", "A_b_3", "a_b__2_", "a_b__2___2_", "Al4"]
    assert {p.stem for p in Path("densities").iterdir()} == set(files)
    for name, density in zip(files, table["density"], strict=True):
        found = read_cube(f"densities/{name}.cube")[0]
        np.testing.assert_allclose(found / BOHR**3, density, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:outside of the training data")
def test_a_run_that_cannot_begin_leaves_the_files_of_the_last(place, capsys):
    Path("last.traj").write_bytes(b"frames")
    bulk("Mg").write("mg.xyz")
    line = "skldos md potential.skldos mg.xyz --temperature 300 -o last.traj --overwrite"
    assert run(line) == 1
    assert "Mg" in capsys.readouterr().err
    assert Path("last.traj").read_bytes() == b"frames"


@pytest.mark.parametrize(
    "line",
    [
        "predict atoms.skldos start.xyz --dos",
        "md potential.skldos start.xyz --temperature 300 --dos-model atoms.skldos -o n.traj --dos",
    ],
)
def test_files_of_spectra_are_named_before_anything_is_computed(place, line, capsys):
    fails(f"skldos {line} mean.txt", r"--dos takes a file \*.csv, or a picture.*'mean.txt'", capsys)
    fails(f"skldos {line} snapshots --overwrite", "snapshots is a folder; name a file", capsys)
    assert not Path("n.traj").exists()
    assert run(f"skldos {line} MEAN.CSV {'--steps 1' if 'md' in line else ''} --overwrite") == 0
    assert pd.read_csv("MEAN.CSV").columns[0] == "energy"
