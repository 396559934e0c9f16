"""The command line: what it writes and prints, and how it fails."""

import re
import subprocess
import sys

import joblib
import numpy as np
import pytest

from skldos import SnapshotList, evaluate
from skldos.__main__ import baseline_errors, folds_by_temperature, main
from skldos.datasets import load_aluminium, make_snapshots


@pytest.fixture
def synthetic(tmp_path):
    """Return a folder of six snapshots at two temperatures."""
    cold = make_snapshots(3, random_state=0)
    hot = make_snapshots(3, displacement=0.2, temperature=933.0, random_state=1)
    return (cold + hot).save(tmp_path / "snapshots")


def numbers(text):
    """Return the lines of the table, without what else is printed."""
    return [line for line in text.splitlines() if line[:8].strip().isdigit()]


def test_writes_pictures_and_a_model_that_predicts(synthetic, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(["--quick", "--data", str(synthetic), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert len(numbers(printed)) == 6
    assert "mean 933 K" in printed
    assert str(output) in printed
    assert "total energy" not in printed  # nobody knows the pseudopotential
    for name in ("dos.png", "parity.png", "density.png"):
        assert name in printed
        assert (output / name).read_bytes().startswith(b"\x89PNG")
    model = joblib.load(output / "model.joblib")
    assert model[0].memory is None
    assert np.isfinite(evaluate(model, SnapshotList.load(synthetic))["band_energy"]).all()


UPF = """<PP_HEADER>
   0  Version Number
  {element}  Element
   NC  Norm - Conserving pseudopotential
    F  Nonlinear Core Correction
 SLA PZ NOGX NOGC  PZ Exchange-Corr
    3.00000000000  Z valence
   -4.18372140000  Total energy
  0.0000000  0.0000000  Suggested cutoff for wfc and rho
    1  Max angular momentum component
    2  Number of points in mesh
    2  2  Number of Wavefunctions, Number of Projectors
</PP_HEADER>
<PP_R> 0.1 0.2 </PP_R>
<PP_RAB> 0.1 0.1 </PP_RAB>
<PP_RHOATOM> 0.1 0.1 </PP_RHOATOM>
"""


@pytest.fixture
def upf(tmp_path):
    """Return a pseudopotential file with three valence electrons of aluminium."""
    path = tmp_path / "Al.upf"
    path.write_text(UPF.format(element="Al"))
    return path


def test_a_pseudopotential_gives_total_energies(synthetic, upf, tmp_path, capsys):
    arguments = ["--quick", "--data", str(synthetic), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--pseudo", str(upf)]) == 0
    printed = capsys.readouterr().out
    header = next(line for line in printed.splitlines() if line.startswith("snapshot"))
    assert re.split(r"\s{2,}", header)[-2:] == ["total energy", "density"]
    errors = [float(line.split()[-2]) for line in numbers(printed)]
    assert len(errors) == 6
    assert np.isfinite(errors).all()
    assert max(np.abs(errors)) > 0


def test_bundled_data_know_their_pseudopotential(tmp_path, capsys):
    assert main(["--quick", "--output", str(tmp_path / "out")]) == 0
    assert "total energy" in capsys.readouterr().out


def test_what_is_not_a_pseudopotential_is_one_line(synthetic, tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("buy milk")
    for name, message in ((path, "not a UPF file"), (tmp_path / "absent.upf", "No such file")):
        arguments = ["--data", str(synthetic), "--output", str(tmp_path / "out")]
        assert main([*arguments, "--pseudo", str(name)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("skldos: error: ")
        assert message in line
        assert name.name in line
    assert not (tmp_path / "out").exists()


def test_a_pseudopotential_of_another_element_is_noticed_before_training(
    synthetic, tmp_path, capsys
):
    path = tmp_path / "Be.upf"
    path.write_text(UPF.format(element="Be"))
    arguments = ["--data", str(synthetic), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--pseudo", str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "got none for Al but for ['Be']" in line


def test_a_seed_makes_it_repeatable(synthetic, tmp_path, capsys):
    def table(seed):
        arguments = ["--quick", "--data", str(synthetic), "--output", str(tmp_path / "out")]
        assert main([*arguments, "--random-state", seed]) == 0
        return numbers(capsys.readouterr().out)

    first = table("1")
    assert table("1") == first
    assert table("2") != first


def test_epochs_can_be_set(synthetic, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["--quick", "--data", str(synthetic), "--output", str(output), "--epochs", "3"]
    assert main(arguments) == 0
    capsys.readouterr()
    assert len(joblib.load(output / "model.joblib")[-1].history_) == 3


def test_folder_without_snapshots_is_an_error_message(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    assert "holds no snapshots" in capsys.readouterr().err


def test_one_snapshot_is_an_error_message(tmp_path, capsys):
    folder = make_snapshots(1, random_state=0).save(tmp_path / "one")
    assert main(["--data", str(folder), "--output", str(tmp_path / "out")]) == 1
    assert "cross-validation needs two snapshots, got 1" in capsys.readouterr().err


def test_snapshot_without_ldos_is_an_error_message(tmp_path, capsys):
    bare = [snapshot.atoms for snapshot in make_snapshots(2, random_state=0)]
    folder = SnapshotList(bare).save(tmp_path / "bare")
    assert main(["--data", str(folder), "--output", str(tmp_path / "out")]) == 1
    assert "lacks ldos and temperature and n_electrons" in capsys.readouterr().err


def test_values_that_do_not_fit_together_are_one_line(tmp_path, capsys):
    different = make_snapshots(2, random_state=0) + make_snapshots(
        2, n_energies=20, temperature=933.0, random_state=1
    )
    arguments = ["--data", str(different.save(tmp_path / "set")), "--output", str(tmp_path / "out")]
    assert main(["--quick", *arguments]) == 1
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert "21 outputs" in printed.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--epochs", "-1", "value must be >= 1, got -1."),
        ("--epochs", "many", "invalid literal"),
        ("--random-state", "-3", "value must be >= 0 and <= 4294967295, got -3."),
        ("--random-state", str(2**32), "value must be >= 0 and <= 4294967295"),
    ],
)
def test_options_out_of_range_are_usage_errors(option, value, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main([option, value])
    assert stop.value.code == 2
    assert f"argument {option}: {message}" in capsys.readouterr().err


def test_module_runs_and_names_its_options():
    done = subprocess.run(
        [sys.executable, "-m", "skldos", "--help"], capture_output=True, text=True, check=True
    )
    for option in ("--data", "--pseudo", "--output", "--epochs", "--random-state", "--quick"):
        assert option in done.stdout


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_folds_are_even_and_none_is_empty(n):
    counts = np.bincount(folds_by_temperature(np.arange(n)))
    assert len(counts) == min(4, n)
    assert np.ptp(counts) <= 1


def test_baseline_is_the_mean_dos_at_the_nearest_temperature():
    snapshots = load_aluminium()
    errors = baseline_errors(snapshots[[0, 1, 4, 5]], snapshots[[2]])
    assert errors == baseline_errors(snapshots[[0, 1]], snapshots[[2]])
    assert baseline_errors(snapshots[[3]], snapshots[[3]]) == [0.0]
    # Band energies at 298 K scatter by 17 meV/atom.
    assert 1 < abs(errors[0]) < 60
