"""The demo: files, output and errors."""

import contextlib
import io
import re

import numpy as np
import pytest
from ase.build import bulk

import skldos
from skldos import Snapshot, SnapshotList, cli, evaluate
from skldos.cli.demo import baseline_errors
from skldos.cli.validation import folds_by_temperature, splits
from skldos.datasets import load_aluminium, make_snapshots


def main(arguments):
    return cli.main(["demo", *arguments])


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory, tiny):
    """Return a folder of six snapshots at two temperatures."""
    return tiny.save(tmp_path_factory.mktemp("synthetic") / "snapshots")


@pytest.fixture(scope="module")
def quick(synthetic, tmp_path_factory):
    """Run the demo, and return its arguments, its folder, and what it printed to both streams."""
    output = tmp_path_factory.mktemp("demo") / "out"
    arguments = ["--quick", "--data", str(synthetic), "--output", str(output)]
    printed, shown = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(shown):
        assert main(arguments) == 0
    return arguments, output, printed.getvalue(), shown.getvalue()


def numbers(text):
    """Return the lines of the table, without other output."""
    return [line for line in text.splitlines() if line[:8].strip().isdigit()]


def test_writes_pictures_and_a_model_that_predicts(quick, synthetic):
    _, output, printed, shown = quick
    assert len(shown) < 500  # nothing but the results, where there is no terminal
    assert len(numbers(printed)) == 6
    assert "mean 933 K" in printed
    assert str(output) in printed
    assert "total energy" not in printed  # nobody knows the pseudopotential
    for name in ("dos.png", "parity.png", "density.png"):
        assert name in printed
        assert (output / name).read_bytes().startswith(b"\x89PNG")
    model = skldos.load(output / "model.skldos")
    assert model[0].memory is None
    assert np.isfinite(evaluate(model, SnapshotList.load(synthetic))["band_energy"]).all()


@pytest.fixture
def upf(tmp_path, upf_text):
    """Return a pseudopotential file with three valence electrons of aluminium."""
    path = tmp_path / "Al.upf"
    path.write_text(upf_text.format(element="Al"))
    return path


def test_a_pseudopotential_gives_total_energies_and_epochs_can_be_set(
    synthetic, upf, tmp_path, capsys
):
    output = tmp_path / "out"
    arguments = ["--quick", "--data", str(synthetic), "--output", str(output), "--epochs", "3"]
    assert main([*arguments, "--pseudo", str(upf)]) == 0
    printed = capsys.readouterr().out
    header = next(line for line in printed.splitlines() if line.startswith("snapshot"))
    assert re.split(r"\s{2,}", header)[-2:] == ["total energy", "density"]
    errors = [float(line.split()[-2]) for line in numbers(printed)]
    assert len(errors) == 6
    assert np.isfinite(errors).all()
    assert max(np.abs(errors)) > 0
    assert len(skldos.load(output / "model.skldos")[-1].history_) == 3


def test_bundled_data_know_their_pseudopotential(tmp_path, capsys):
    assert main(["--quick", "--output", str(tmp_path / "out")]) == 0
    assert "total energy" in capsys.readouterr().out


@pytest.fixture
def fails(tmp_path, capsys):
    """Return a function that checks that the demo fails, and says why in its last line."""

    def fails(data, message, *more):
        assert main(["--quick", "--data", str(data), "--output", str(tmp_path / "out"), *more]) == 1
        *others, line = capsys.readouterr().err.splitlines()
        assert line.startswith("skldos: error: ")
        assert message in line
        assert not any("Traceback" in other for other in others)
        return line

    return fails


def test_what_is_not_a_pseudopotential_is_one_line(synthetic, tmp_path, fails):
    path = tmp_path / "notes.txt"
    path.write_text("buy milk")
    for name, message in ((path, "not a UPF file"), (tmp_path / "absent.upf", "No such file")):
        assert name.name in fails(synthetic, message, "--pseudo", str(name))
    assert not (tmp_path / "out").exists()


def test_a_pseudopotential_of_another_element_is_noticed_before_training(
    synthetic, upf_text, tmp_path, fails
):
    path = tmp_path / "Be.upf"
    path.write_text(upf_text.format(element="Be"))
    fails(synthetic, "got none for Al, only for ['Be']", "--pseudo", str(path))


def test_data_without_which_there_is_no_demo(tmp_path, fails):
    fails(tmp_path, "holds no snapshots")
    one = make_snapshots(1, random_state=0)
    fails(one.save(tmp_path / "one"), "cross-validation needs two snapshots, got 1")
    bare = SnapshotList([snapshot.atoms for snapshot in make_snapshots(2, random_state=0)])
    fails(bare.save(tmp_path / "bare"), "lacks ldos and temperature and n_electrons")
    options = {"n_energies": 20, "temperature": 933.0, "random_state": 1}
    different = make_snapshots(2, random_state=0) + make_snapshots(2, **options)
    fails(different.save(tmp_path / "different"), "21 outputs")


def test_a_seed_makes_it_repeatable(quick, tmp_path, capsys):
    arguments = [*quick[0][:-1], str(tmp_path / "out")]

    def table(seed):
        assert main([*arguments, "--random-state", seed, "--overwrite"]) == 0
        return numbers(capsys.readouterr().out)

    first = numbers(quick[2])
    assert table("0") == first
    assert table("2") != first


def test_results_are_not_replaced_unless_asked(quick, capsys):
    arguments, output, *_ = quick
    before = (output / "model.skldos").stat().st_mtime_ns
    assert main(arguments) == 1
    assert "model.skldos exists; name another file, or pass --overwrite" in capsys.readouterr().err
    assert (output / "model.skldos").stat().st_mtime_ns == before


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_folds_are_even_and_none_is_empty(n):
    counts = np.bincount(folds_by_temperature(np.arange(n), 4))
    assert len(counts) == min(4, n)
    assert np.ptp(counts) <= 1


def test_snapshots_without_a_temperature_are_split_as_those_at_none():
    temperatures = [933.0, None, 300.0, None, 933.0, 300.0]
    snapshots = [Snapshot(bulk("Al"), temperature=t) for t in temperatures]
    # In the order 1 3 2 5 0 4 every third one is in a fold.
    assert [test.tolist() for _, test in splits(snapshots, 3)] == [[1, 5], [0, 3], [2, 4]]


def test_baseline_is_the_mean_dos_at_the_nearest_temperature():
    snapshots = load_aluminium()
    errors = baseline_errors(snapshots[[0, 1, 4, 5]], snapshots[[2]])
    assert errors == baseline_errors(snapshots[[0, 1]], snapshots[[2]])
    assert baseline_errors(snapshots[[3]], snapshots[[3]]) == [0.0]
    # Band energies at 298 K scatter by 17 meV/atom.
    assert 1 < abs(errors[0]) < 60
