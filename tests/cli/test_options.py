"""Options of all commands: defaults, limits, help; what they change, and what is printed."""

import argparse
import io
import re
import shutil
import struct
import sys
import types
from pathlib import Path

import ase.md.langevin
import numpy as np
import pandas as pd
import pytest
from ase import units
from ase.build import bulk
from ase.io import read
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator

import skldos
from skldos import SnapshotList, cli
from skldos.cli import demo, info, md, predict, tables
from skldos.cli.main import COMMANDS, OPTIONS, make_parser, with_options
from skldos.cli.pipelines import make_model
from skldos.cli.spectra import write_spectra
from skldos.cli.validation import cross_validated, each_fold, folds_by_temperature, splits

OUTPUT = {"output": None, "overwrite": False}
#: Command -> arguments that it cannot do without, and all options that follow from them.
DEFAULTS = {
    "demo": (
        [],
        {"data": None, "pseudo": None, "epochs": None, "random_state": 0, "quick": False}
        | {"output": Path("skldos-output"), "overwrite": False},
    ),
    "convert": (
        ["a", "b"],
        {"sources": [Path("a"), Path("b")], "output": Path("snapshots"), "overwrite": False}
        | {"ldos": None, "density": None, "energies": None, "broadening": None}
        | {"kernel": "gaussian", "temperature": None},
    ),
    "info": (["a"], {"path": Path("a")}),
    "fit": (
        ["atoms", "a"],
        {"model": "atoms", "data": Path("a"), "output": Path("model.skldos"), "overwrite": False}
        | {"cv": 5, "set": None, "pseudo": None, "cache": None, "random_state": 0},
    ),
    "evaluate": (
        ["m", "a"],
        {"model": Path("m"), "data": Path("a"), **OUTPUT, "pseudo": None}
        | {"density": False, "reference": "ldos", "sharpen": 0},
    ),
    "predict": (
        ["m", "a", "b"],
        {"model": Path("m"), "structures": [Path("a"), Path("b")], **OUTPUT}
        | {"temperature": None, "pseudo": None, "sharpen": None, "dos": None, "cube": None},
    ),
    "md": (
        ["m", "a", "--temperature", "300"],
        {"model": Path("m"), "structure": Path("a"), "output": Path("md.traj"), "overwrite": False}
        | {"temperature": 300.0, "electronic_temperature": None, "steps": 100, "timestep": 2.0}
        | {"friction": 0.01, "interval": 10, "pseudo": None, "dos_model": None, "dos": None}
        | {"random_state": 0},
    ),
}
SEEDS = (["0", str(2**32 - 1)], ["-1", str(2**32), "1.5"])
#: (command, option) -> texts that are accepted, at the limits, and texts that are refused.
LIMITS = {
    ("demo", "--epochs"): (["1"], ["0", "1.5"]),
    ("demo", "--random-state"): SEEDS,
    ("fit", "--random-state"): SEEDS,
    ("md", "--random-state"): SEEDS,
    ("convert", "--broadening"): (["1e-9"], ["0", "-1", "nan"]),
    ("convert", "--temperature"): (["0", "300"], ["-1e-9"]),
    ("convert", "--kernel"): (["gaussian", "fermi-dirac"], ["square"]),
    ("convert", "--energies"): (["0 1 2"], ["0 1", "0 1 2 3", "a b c"]),
    ("fit", "--cv"): (["0", "7"], ["-1", "2.5"]),
    ("fit", "--set"): (["a=1", "a=1 b=2"], [""]),
    ("fit", "--pseudo"): (["a", "a b"], [""]),
    ("demo", "--pseudo"): (["a", "a b"], [""]),
    ("evaluate", "--reference"): (["ldos", "dft"], ["truth"]),
    ("evaluate", "--sharpen"): (["0", "2"], ["-1", "1.5"]),
    ("predict", "--sharpen"): (["0", "2"], ["-1", "1.5"]),
    ("predict", "--temperature"): (["0", "1e4"], ["-1e-9"]),
    ("md", "--temperature"): (["1e-9"], ["0", "-1"]),
    ("md", "--electronic-temperature"): (["0"], ["-1e-9"]),
    ("md", "--steps"): (["1"], ["0", "2.5"]),
    ("md", "--timestep"): (["1e-3"], ["0", "-1"]),
    ("md", "--friction"): (["1e-9"], ["0", "-1"]),
    ("md", "--interval"): (["1"], ["0", "2.5"]),
}


def arguments_of(command):
    (commands,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return commands.choices[command]._actions


def parse(command, *words):
    return make_parser().parse_args([command, *DEFAULTS[command][0], *words])


@pytest.mark.parametrize("command", COMMANDS)
def test_defaults(command):
    _, expected = DEFAULTS[command]
    assert vars(parse(command)) == expected | {"command": command, "traceback": False}
    # What the help says is what is.
    for argument in arguments_of(command):
        assert argument.help, argument.dest
        if "%(default)s" in argument.help:
            assert argument.default is not None
        elif argument.dest == "output":
            assert argument.default is None
        for text in re.findall(r"\(default: ([\w.]+)\)", argument.help):
            assert text == str(expected[argument.dest] or demo.FULL_SETTINGS["max_epochs"])


@pytest.mark.parametrize("command", COMMANDS)
def test_arguments_that_cannot_be_left_out(command, capsys):
    words = {"convert": ["a"], "predict": ["m", "a"]}.get(command, DEFAULTS[command][0])
    make_parser().parse_args([command, *words])
    for i in range(len(words)):
        with pytest.raises(SystemExit) as stop:
            make_parser().parse_args([command, *words[:i], *words[i + 1 :]])
        assert stop.value.code == 2


@pytest.mark.parametrize(("command", "option"), LIMITS)
def test_limits(command, option, capsys):
    accepted, refused = LIMITS[command, option]
    name = option[2:].replace("-", "_")
    for text in accepted:
        found = getattr(parse(command, option, *text.split()), name)
        values = found if isinstance(found, list) else [found]
        for value, word in zip(values, text.split(), strict=True):
            assert value == type(value)(word)
        assert isinstance(values[0], str) == (option in ("--kernel", "--reference", "--set"))
    for text in refused:
        with pytest.raises(SystemExit) as stop:
            parse(command, option, *text.split())
        assert stop.value.code == 2
        said = capsys.readouterr().err
        assert re.search(f"argument {option}: (value must be|invalid|expected)|unrecog", said), said


def test_whole_numbers_are_integers():
    for command, option in (("md", "--steps"), ("md", "--interval"), ("fit", "--cv")):
        assert type(getattr(parse(command, option, "3"), option[2:])) is int


@pytest.mark.parametrize("command", COMMANDS)
def test_switches(command):
    for argument in arguments_of(command):
        if argument.nargs == 0 and argument.dest != "help":
            assert vars(parse(command, argument.option_strings[-1]))[argument.dest] is True


@pytest.mark.parametrize("command", COMMANDS)
def test_help_keeps_the_lines_of_the_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for example in COMMANDS[command].EXAMPLES:
        assert f"  {example}" in lines
    text = make_parser().format_help()
    assert COMMANDS[command].HELP[:30] in text
    assert text.startswith("usage: skldos [-h] [--version] COMMAND ...")
    assert "Machine-learned density functional theory" in text
    assert max(len(line) for line in COMMANDS[command].DESCRIPTION.split()) < 80
    start = lines.index("") + 1
    description = lines[start : lines.index("", start)]
    assert max(map(len, description)) <= 80


def test_version_and_list_of_commands(capsys):
    assert cli.main([]) == 0
    assert "COMMAND" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"skldos {skldos.__version__}\n"


@pytest.mark.parametrize(("argument", "option"), OPTIONS.items())
def test_messages_name_options(argument, option):
    assert with_options(f"it {argument}.") == f"it {option}."


# -------------------------------------------------------------------- spectra


@pytest.fixture
def pictures(monkeypatch):
    """Keep the figures that are saved, by the name of the file or their number."""
    saved = {}
    original = Figure.savefig

    def savefig(self, file, **options):
        saved[Path(getattr(file, "name", file)).name] = self
        return original(self, file, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


def curves(n):
    energies = np.linspace(-1.0, 2.0, 4)
    return {f"c{i}": pd.Series([0.0, 4.0 + i, 2.0, 8.0], index=energies) for i in range(n)}


def test_spectra_are_drawn_per_atom_with_their_levels(tmp_path, pictures):
    path = tmp_path / "a.png"
    write_spectra(curves(2), path, False, n_atoms=[2, 4], levels=[0.5, None])
    (figure,) = pictures.values()
    (ax,) = figure.axes
    first, level, second = ax.lines
    np.testing.assert_array_equal(first.get_xydata().T, [[-1, 0, 1, 2], [0, 2, 1, 4]])
    np.testing.assert_array_equal(second.get_ydata(), [0, 1.25, 0.5, 2])
    assert list(level.get_xdata()) == [0.5, 0.5]
    assert (level.get_color(), level.get_linestyle()) == (first.get_color(), "--")
    assert level.get_linewidth() < first.get_linewidth()
    assert ax.get_xlim() == (-1, 2)
    assert ax.get_xlabel() == "energy (eV) (dashed: Fermi level)"
    assert ax.get_ylabel() == "DOS (1/(eV atom))"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["c0", "c1"]
    assert not legend.get_frame_on()
    # 6.4 x 4.2 inches with 150 points each
    assert struct.unpack(">II", path.read_bytes()[16:24]) == (960, 630)


@pytest.mark.parametrize(("n", "named"), [(1, True), (10, True), (11, False)])
def test_many_curves_have_no_legend(n, named, tmp_path, pictures):
    write_spectra(curves(n), tmp_path / "a.png", False, n_atoms=[1] * n)
    (figure,) = pictures.values()
    assert bool(figure.legends) == named
    assert len(figure.axes[0].lines) == n
    assert figure.axes[0].get_xlabel() == "energy (eV)"


@pytest.mark.parametrize(
    ("name", "start"), [("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a", b"\x89PNG")]
)
def test_format_of_a_picture_is_that_of_its_name(name, start, tmp_path):
    write_spectra(curves(1), tmp_path / name, False, n_atoms=[1])
    assert (tmp_path / name).read_bytes().startswith(start)


def test_tables_of_spectra_are_of_the_cell(tmp_path):
    path = tmp_path / "a.csv"
    write_spectra(curves(2), path, False, n_atoms=[2, 4])
    assert path.read_text().splitlines()[:3] == ["energy,c0,c1", "-1.0,0.0,0.0", "0.0,4.0,5.0"]
    with pytest.raises(FileExistsError, match="exists"):
        write_spectra(curves(1), path, False, n_atoms=[2])
    write_spectra(curves(1), path, True, n_atoms=[2])
    assert path.read_text().startswith("energy,c0\n")


# -------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("name", "title", "text"),
    [
        ("temperature", "temperature (K)", "123"),
        ("n_electrons", "n_electrons", "123.46"),
        ("fermi_level", "fermi_level (eV)", "123.4568"),
        ("band_energy_true", "band_energy_true (eV)", "123.4568"),
        ("total_energy", "total_energy (eV)", "123.4568"),
        ("minus_ts_true", "minus_ts_true (eV)", "123.4568"),
        ("band_energy_error", "band_energy_error (meV/atom)", "123.46"),
        ("fermi_level_error", "fermi_level_error (meV)", "123.46"),
        ("fermi_level_std", "fermi_level_std (meV)", "123.46"),
        ("band_energy_std", "band_energy_std (meV/atom)", "123.46"),
        ("total_energy_std", "total_energy_std (meV/atom)", "123.46"),
        ("forces_error", "forces_error (eV/Å)", "123.457"),
        ("stress_error", "stress_error (eV/Å³)", "123.4568"),
        ("density_max_error", "density_max_error (1/Å³)", "123.4568"),
        ("density_mean_error", "density_mean_error (1/Å³)", "123.4568"),
        ("density_percentage_error", "density_percentage_error (%)", "123.46"),
    ],
)
def test_digits_and_units_of_columns(name, title, text):
    table = pd.DataFrame({"n_atoms": [4], name: [123.456789]})
    first, second = tables.as_text(table).splitlines()
    assert first.split(maxsplit=1)[1] == title
    assert second.split() == ["0", "4", text]
    assert tables.as_text(table.assign(**{name: np.nan})).splitlines()[1].split() == ["0", "4"]


def test_mean_errors_are_of_absolute_values():
    table = pd.DataFrame({"band_energy_error": [1.0, -3.0], "forces_error": [-0.1, -0.2]})
    assert tables.mean_errors(table) == (
        "mean absolute errors: band energy 2 meV/atom, forces 0.15 eV/Å"
    )


# -------------------------------------------------------------------- the demo


def results(temperatures):
    n = len(temperatures)
    return pd.DataFrame(
        {
            "temperature": temperatures,
            "n_atoms": [4] * n,
            "fermi_level_true": [7.0 + 0.01 * i for i in range(n)],
            "fermi_level_error": [(-1.0) ** i * (i + 1) for i in range(n)],
            "band_energy_true": [36.0 + i for i in range(n)],
            "band_energy": [36.01 + i for i in range(n)],
            "density_percentage_error": [0.5 + i for i in range(n)],
        }
    )


def test_report_of_the_demo():
    lines = demo.report(results([298.0, 298.0, 933.0])).splitlines()
    head, unit, *rows = lines[4:]
    assert {len(line) for line in (head, unit, *rows)} == {16 + 2 * 14}
    assert re.split(r"\s{2,}", head) == ["snapshot", "T", "Fermi level", "density"]
    assert unit.split() == ["(K)", "(meV)", "(%)"]
    assert [row.split() for row in rows] == [
        ["0", "298", "+1.0", "0.50"],
        ["1", "298", "-2.0", "1.50"],
        ["2", "933", "+3.0", "2.50"],
        ["mean", "298", "K", "1.5", "1.00"],
        ["mean", "933", "K", "3.0", "2.50"],
        ["mean", "absolute", "2.0", "1.50"],
        ["largest", "3.0", "2.50"],
    ]


@pytest.mark.parametrize("temperatures", [[298.0, 298.0], [298.0, 933.0]])
def test_means_that_say_nothing_new_are_left_out(temperatures):
    assert " K " not in demo.report(results(temperatures)).partition("(K)")[2]


def test_pictures_of_the_demo(tiny, tmp_path, pictures):
    table = results([s.temperature for s in tiny])
    predicted = {i: (1.01 * tiny[i].dos(), 1.02 * np.asarray(tiny[i].density)) for i in (0, 3)}
    demo.draw(table, predicted, tiny, tmp_path)
    dos, parity, density = (pictures[f"{name}.png"] for name in ("dos", "parity", "density"))
    above, below = dos.axes
    true = [s.dos() / 4 for s in (tiny[0], tiny[3])]
    for line in above.lines[:1] + above.lines[4:5]:
        i = int(line is above.lines[4])
        np.testing.assert_allclose(line.get_ydata(), true[i], rtol=1e-6)
        np.testing.assert_allclose(above.lines[4 * i + 1].get_ydata(), 1.01 * true[i], rtol=1e-6)
        assert above.lines[4 * i + 2].get_xdata()[0] == 0  # energies from the Fermi level
    assert below.get_xlabel() == "E − μ (eV)"
    texts = [text.get_text() for text in above.get_legend().get_texts()]
    assert texts[2:] == ["298 K", "933 K"]
    points = np.concatenate([c.get_offsets() for c in parity.axes[0].collections])
    np.testing.assert_allclose(points, table[["band_energy_true", "band_energy"]] / 4)
    texts = [text.get_text() for text in parity.axes[0].get_legend().get_texts()]
    assert texts == [f"{T} K: MAE 2.5, max 2.5 meV/atom" for T in (298, 933)]
    # The hottest snapshot, as a histogram and as three maps.
    assert density.axes[0].get_title() == "933 K"
    assert density.axes[0].get_legend().get_texts()[2].get_text().startswith("MAPE ")
    titles = [ax.get_title() for ax in density.axes]
    assert [t for t in titles if t] == ["933 K", "true", "predicted", "predicted − true"]
    left, *maps = (ax.get_position() for ax in density.axes if ax.get_title())
    assert left.x1 < min(box.x0 for box in maps)
    sizes = {name: tuple(figure.get_size_inches()) for name, figure in pictures.items()}
    assert sizes == {"dos.png": (6.4, 4.6), "parity.png": (4.6, 4.6), "density.png": (12.6, 4.4)}
    assert {figure.dpi for figure in pictures.values()} == {150}


def test_size_of_the_model_of_the_demo(tmp_path):
    def built(*words):
        return demo.build(parse("demo", "-o", str(tmp_path), *words)).get_params()

    full, quick = built("--random-state", "3"), built("--quick")
    for name in ("gridsnaptransformer__twojmax", "ldosregressor__max_epochs"):
        assert quick[name] < full[name]
    assert full["ldosregressor__random_state"] == 3
    assert full["gridsnaptransformer__memory"] == str(tmp_path / "cache")
    longer = built("--epochs", "77")
    changed = {name for name in full if repr(full[name]) != repr(longer[name])}
    assert longer["ldosregressor__max_epochs"] == 77
    assert "gridsnaptransformer__twojmax" not in changed
    assert len(each_fold(SnapshotList([bulk("Al")] * 9), demo.N_FOLDS)) == demo.N_FOLDS


# -------------------------------------------------------------------- models by name


def test_settings_of_a_model():
    settings = ["twojmax=3", "ldosregressor__lr=0.5", "hidden_layer_sizes=(5, 4)"]
    model = make_model("grid", settings, memory="here", random_state=7)
    params = model.get_params()
    assert params["gridsnaptransformer__twojmax"] == 3
    assert params["gridsnaptransformer__memory"] == "here"
    assert params["ldosregressor__lr"] == 0.5
    assert params["ldosregressor__module__hidden_layer_sizes"] == (5, 4)
    assert params["ldosregressor__random_state"] == 7
    # What it has no use for is left out; what is set wins.
    assert make_model("potential", [], random_state=7, memory=None) is not None
    assert make_model("grid", ["random_state=8"], random_state=7)[-1].random_state == 8


def test_fit_takes_a_seed_and_a_cache(place):
    line = "fit grid snapshots --cv 0 --set twojmax=2 hidden_layer_sizes=(3,) max_epochs=1"
    words = [*line.split(), "--random-state", "5", "--cache", "kept"]
    assert cli.main([*words, "-o", "x.skldos"]) == 0
    assert skldos.load("x.skldos")[-1].random_state == 5
    assert any(Path("kept").rglob("*"))


# -------------------------------------------------------------------- dynamics


def test_dynamics_are_those_that_were_asked_for(place, monkeypatch, capsys):
    asked = {}

    class Recorded(ase.md.langevin.Langevin):
        def __init__(self, atoms, timestep, **options):
            asked.update(options, timestep=timestep, start=atoms.positions.copy())
            super().__init__(atoms, timestep, **options)

    monkeypatch.setattr(ase.md.langevin, "Langevin", Recorded)
    line = "md potential.skldos dynamics.traj --temperature 400 --steps 4 --interval 2"
    words = [*line.split(), "--timestep", "0.5", "--friction", "0.02"]
    assert cli.main([*words, "-o", "t.traj"]) == 0
    frames = read("dynamics.traj", ":")
    np.testing.assert_array_equal(asked["start"], frames[-1].positions)
    assert asked["timestep"] == pytest.approx(0.5 * units.fs)
    assert asked["friction"] == pytest.approx(0.02 / units.fs)
    assert asked["temperature_K"] == 400
    assert asked["fixcm"] is False
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "electrons at 300 K"
    assert lines[1] == "   time (fs)     T (K)  energy (eV/atom)"[2:]
    rows = [line.split() for line in lines[2:-1]]
    assert [row[0] for row in rows] == ["0.0", "1.0", "2.0"]
    for row, atoms in zip(rows, read("t.traj", ":"), strict=True):
        assert row[1] == f"{atoms.get_temperature():.1f}"
        assert row[2] == f"{atoms.get_potential_energy() / len(atoms):.6f}"
    assert {len(line) for line in lines[1:-1]} == {38}
    assert lines[-1] == "written: t.traj"


def test_momenta_have_the_temperature():
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True).repeat(8)
    momenta = md.thermal_momenta(atoms, 500.0, np.random.default_rng(0))
    for symbol in ("Na", "Cl"):
        chosen = atoms.symbols == symbol
        squares = momenta[chosen] ** 2 / atoms.get_masses()[chosen][:, None]
        # Of 6144 numbers the mean of squares scatters by 1.8 %.
        assert squares.mean() == pytest.approx(units.kB * 500, rel=0.06)


def test_the_mean_dos_of_a_run(tmp_path, pictures):
    dos, levels = iter([[1.0, 2.0], [3.0, 6.0], [5.0, 4.0]]), iter([1.0, 2.0, 6.0])
    calc = types.SimpleNamespace(
        temperature=None,
        energies=np.array([0.0, 0.5]),
        get_dos=lambda: np.array(next(dos)),
        get_fermi_level=lambda: next(levels),
    )
    atoms = bulk("Al").repeat((2, 1, 1))
    atoms.get_potential_energy = lambda: 3.0
    atoms.calc = calc
    dynamics = types.SimpleNamespace(nsteps=0)
    options = types.SimpleNamespace(
        output=tmp_path / "a.traj", dos=tmp_path / "a.png", timestep=1.0, overwrite=False
    )
    record = md._Record(atoms, dynamics, options)
    record.__enter__()
    record.trajectory.close()
    record.trajectory = types.SimpleNamespace(write=lambda: None, close=lambda: None)
    for _ in range(3):
        record()
    record.__exit__()
    curve, level = pictures[next(iter(pictures))].axes[0].lines
    np.testing.assert_allclose(curve.get_xydata(), [[0.0, 1.5], [0.5, 2.0]])
    assert level.get_xdata()[0] == pytest.approx(3.0)
    assert record.written == [options.output, options.dos]


@pytest.mark.parametrize(("words", "T"), [("", 300), ("--electronic-temperature 298", 298)])
def test_electrons_have_the_temperature_of_the_ions_unless_told(words, T, place):
    line = f"m s --temperature 300 --pseudo Al.upf {words}".split()
    options = make_parser().parse_args(["md", *line])
    options.model = Path("model.skldos")
    assert md.calculator(options).temperature == T


# -------------------------------------------------------------------- predict, evaluate, info


def test_labels_are_distinct_and_names_of_files_plain():
    table = pd.DataFrame({"name": ["a", "b", "a", "a"], "formula": ["Al4"] * 4})
    assert predict._labels(table) == ["a", "b", "a (2)", "a (3)"]
    assert predict._labels(table[["formula"]]) == ["Al4"] + [f"Al4 ({i})" for i in (2, 3, 4)]
    assert predict._as_name("a b/c-_.+(2)") == "a_b_c-_.+_2_"


def test_cubes_go_to_a_folder_below_others_with_a_title(place):
    for more in ([], ["--overwrite"]):
        words = ["predict", "model.skldos", "POSCAR", "--temperature", "300"]
        assert cli.main([*words, "--cube", "a/b", *more]) == 0
    (path,) = Path("a/b").iterdir()
    assert "electrons per bohr^3" in path.read_text().splitlines()[0]
    assert cli.main([*words, "--cube", "a/b"]) == 1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_predict_uses_the_temperature_and_the_order(place):
    words = ["predict", "atoms.skldos", "POSCAR", "--temperature", "350", "-o", "t.csv"]
    assert cli.main(words) == 0
    expected = skldos.predict(skldos.load("atoms.skldos"), [read("POSCAR")], temperature=350)
    found = pd.read_csv("t.csv")
    np.testing.assert_allclose(found["band_energy"], expected["band_energy"], rtol=1e-12)
    assert found["temperature"].tolist() == [350.0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluate_passes_its_options_on(place, tiny, capsys):
    snapshots = SnapshotList(
        [
            s.replace(reference=dict(s.reference) | {"band_energy": 30.0 + i, "total_energy": -9.0})
            for i, s in enumerate(tiny[4:])
        ]
    )
    snapshots.save("known")
    line = "evaluate model.skldos known --density --reference dft --pseudo Al.upf -o e.csv"
    assert cli.main(line.split()) == 0
    options = {"density": True, "reference": "dft", "pseudopotentials": ["Al.upf"]}
    expected = skldos.evaluate(skldos.load("model.skldos"), snapshots, **options)
    found = pd.read_csv("e.csv")
    assert list(found) == list(expected)
    for name in expected.select_dtypes("number"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)
    mean = expected["band_energy_error"].abs().mean()
    assert f"band energy {mean:.3g} meV/atom" in capsys.readouterr().out
    assert mean > 0


def test_info_counts_what_is_missing(tiny):
    part = SnapshotList([tiny[0], tiny[3].replace(temperature=None)])
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in
                 info.describe_snapshots(part).splitlines())  # fmt: skip
    assert lines["snapshots"] == "2"
    assert lines["formulas"] == "2 × Al4"
    assert lines["temperature"] == "298 K, 1 without"
    assert lines["density"] == "2.698 g/cm³"
    assert lines["grid"] == "4×4×4"
    assert lines["for models.atoms"] == "lacks temperature (1 of 2)"
    assert lines["for models.grid"] == "lacks temperature (1 of 2)"
    assert lines["for models.potential"] == "lacks total_energy (2 of 2), forces (2 of 2)"
    names = info.describe_snapshots(tiny).splitlines()
    assert len({re.match(r"\S+( \S+)*\s+", name).end() for name in names}) == 1
    assert "298 to 933 K" in info.describe_snapshots(tiny)
    assert info.describe_snapshots([]) == "no snapshots"
    bare = info.describe_snapshots([bulk("Al")])
    assert not re.search(r"^(temperature|grid|energies|reference) ", bare, re.MULTILINE)
    assert "lacks ldos or ados (1 of 1), energies (1 of 1)" in bare


def test_info_tells_of_calculations_that_differ(tiny):
    one = tiny[0].replace(reference=dict(tiny[0].reference) | {"functional": "pbe"})
    assert re.search(r"^functional +pbe$", info.describe_snapshots([one]), re.MULTILINE)
    other = tiny[1].replace(reference=dict(tiny[1].reference) | {"functional": "lda-pz"})
    assert re.search(r"^problem .*functional", info.describe_snapshots([one, other]), re.MULTILINE)


# -------------------------------------------------------------------- convert


@pytest.mark.parametrize(
    ("words", "broadening", "kernel"),
    [
        ("", None, None),
        ("--broadening 0.3", 0.3, "gaussian"),
        ("--broadening 0.3 --kernel fermi-dirac", 0.3, "fermi-dirac"),
    ],
)
def test_convert_notes_the_broadening(words, broadening, kernel, place, capsys):
    line = f"convert mala -o new --energies -5 1.5 11 {words}"
    assert cli.main(line.split()) == 0
    grid = SnapshotList.load("new")[0].energy_grid
    assert (grid.broadening, grid.kernel) == (broadening, kernel)
    np.testing.assert_allclose(grid, -5 + 1.5 * np.arange(11))
    assert capsys.readouterr().out.startswith("2 snapshots in new, the first ")


def test_convert_takes_temperature_and_density(place):
    assert cli.main(["convert", "POSCAR", "-o", "new/deep", "--temperature", "350"]) == 0
    assert SnapshotList.load("new/deep")[0].temperature == 350
    assert cli.main(["convert", "runs", "-o", "run"]) == 0
    assert SnapshotList.load("run")[0].density is None
    assert cli.main(["convert", "runs", "-o", "run"]) == 1
    words = ["--density", "wavefunctions", "--overwrite"]
    assert cli.main(["convert", "runs", "-o", "run", *words]) == 0
    assert SnapshotList.load("run")[0].density is not None


# -------------------------------------------------------------------- what commands pass on


@pytest.mark.parametrize(
    ("words", "name", "expected"),
    [
        ("evaluate model.skldos test --sharpen 2", "evaluate", {"sharpen": 2, "density": False}),
        ("predict model.skldos POSCAR --sharpen 1", "predict", {"sharpen": 1, "dos": False}),
        ("predict model.skldos POSCAR --dos d.csv", "predict", {"sharpen": None, "dos": True}),
        ("predict model.skldos POSCAR --cube d", "predict", {"density": True, "dos": False}),
    ],
)
def test_options_reach_the_library(words, name, expected, place, monkeypatch):
    passed = {}

    def record(*arguments, **options):
        passed.update(options)
        raise ValueError("enough")

    monkeypatch.setattr(skldos, name, record)
    assert cli.main(words.split()) == 1
    assert passed.items() >= expected.items()


@pytest.mark.parametrize("on_grid", [True, False])
def test_densities_are_compared_if_there_are_any(on_grid, tiny, monkeypatch):
    passed = []

    class Model(BaseEstimator):
        def fit(self, snapshots):
            return self

    def evaluated(model, snapshots, **options):
        passed.append(options)
        return pd.DataFrame({"n": [len(snapshots)] * len(snapshots)})

    monkeypatch.setattr(skldos, "evaluate", evaluated)
    monkeypatch.setattr("skldos.prediction.unlabelled.predicts_on_grid", lambda model: on_grid)
    table = cross_validated(Model(), tiny, 3, "pseudopotentials")
    options = {"pseudopotentials": "pseudopotentials", "density": True}
    assert passed == [options if on_grid else {}] * 3
    assert table.index.tolist() == list(range(6))


@pytest.mark.parametrize("watched", [True, False])
def test_folds_show_their_progress_on_a_terminal(watched, tiny, monkeypatch, capsys):
    monkeypatch.setattr("skldos.cli.validation.is_watched", lambda: watched)
    assert len(list(each_fold(tiny, 3))) == 3
    assert ("cross-validation" in capsys.readouterr().err) == watched


def test_folds_of_equal_temperatures_follow_the_order():
    np.testing.assert_array_equal(folds_by_temperature(np.zeros(100), 4), np.arange(100) % 4)
    # None counts as zero, not as a little more.
    mixed = [skldos.Snapshot(bulk("Al"), temperature=T) for T in (None, 0.0, None, 0.0)]
    assert [test.tolist() for _, test in splits(mixed, 2)] == [[0, 2], [1, 3]]


def test_terminals_without_a_character_and_without_output(place, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["info", "snapshots"]) == 0
    assert b"6 ? Al4" in stream.buffer.getvalue()
    monkeypatch.setattr(sys, "stdout", None)  # as of pythonw
    assert cli.main(["info", "snapshots"]) == 0


def test_a_model_may_be_named_by_its_folder(place):
    Path("results").mkdir()
    Path("model.skldos").rename("results/model.skldos")
    words = ["predict", "results", "POSCAR", "--temperature", "300", "-o", "t.csv"]
    assert cli.main(words) == 0
    assert pd.read_csv("t.csv")["temperature"].tolist() == [300]


def test_info_lists_several_runs_and_keeps_the_order_of_formulas(place, capsys):
    shutil.copytree("runs", "runs/again")
    assert cli.main(["info", "runs"]) == 0
    first, *paths = capsys.readouterr().out.splitlines()
    assert "runs of pw.x, 2 in all" in first
    assert len(paths) == 2
    assert all(path.startswith("  runs/") for path in paths)
    some = [bulk("Mg"), bulk("Al"), bulk("Al")]
    assert "1 × Mg2, 2 × Al" in info.describe_snapshots(some)
