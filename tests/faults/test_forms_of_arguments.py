"""Public functions of arrays: masked, complex and textual numbers, and shapes that do not fit."""

import numpy as np
import pytest
import torch

from skldos import EnergyGrid, physics
from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials
from skldos.search import acsd, kendall_interval, mutual_information
from skldos.uncertainty import calibration, crps, energy_score
from skldos.validation import as_real

RNG = np.random.default_rng(2)
ENERGIES, DOS = np.arange(9.0), np.linspace(1.0, 2.0, 9)
STATE = {"temperature": 300, "fermi_level": 4.0}
CELL, DENSITY = 4 * np.eye(3), 1 + 0.1 * RNG.random((4, 4, 4))
ROWS, POSITIONS = RNG.random((12, 3)), np.array([[0.0, 0, 0], [2.0, 2, 2]])
#: Functions of one argument, its name in messages, and a value.
CALLS = {
    "n_electrons": (lambda x: physics.n_electrons(x, ENERGIES, **STATE), "dos", DOS),
    "band_energy": (lambda x: physics.band_energy(DOS, x, **STATE), "energies", ENERGIES),
    "occupation": (lambda x: physics.occupation(x, **STATE), "energies", ENERGIES),
    "hartree": (lambda x: physics.hartree(x, CELL)[0], "density", DENSITY),
    "hartree, cell": (lambda x: physics.hartree(DENSITY, x)[0], "cell", CELL),
    "ewald": (lambda x: physics.ewald(x, CELL, [1.0, 1.0]), "positions", POSITIONS),
    "acsd": (lambda x: acsd(x, ROWS[:, :2], random_state=0), "descriptors", ROWS),
    "information": (lambda x: mutual_information(ROWS, x, random_state=0), "targets", ROWS),
    "kendall": (lambda x: kendall_interval(x, ROWS[:, 1], random_state=0).tau, "a", ROWS[:, 0]),
    "crps": (lambda x: crps(ROWS[:, 0], x, ROWS[:, 1]), "means", ROWS[:, 2]),
    "energy score": (lambda x: energy_score(ROWS, x), "samples", RNG.random((3, 12, 3))),
    "calibration": (lambda x: calibration(ROWS[:, 0], x)["nll"], "std", 0.1 + ROWS[:, 2]),
}
REFUSED = {
    "masked": (lambda a: np.ma.masked_greater(a, np.median(a)), ValueError, "no masked elements"),
    "complex": (lambda a: a + 0j, TypeError, "real number"),
    "text": (lambda a: a.astype(str), TypeError, "real number"),
    "None": (lambda a: None, TypeError, "real number"),
    "objects": (lambda a: np.full(a.shape, object(), dtype=object), TypeError, "real number"),
}


@pytest.mark.parametrize("form", REFUSED)
@pytest.mark.parametrize("name", CALLS)
def test_numbers_that_are_refused(name, form):
    call, argument, value = CALLS[name]
    change, error, message = REFUSED[form]
    with pytest.raises(error, match=rf"{argument} must (be|have) .*{message}"):
        call(change(value))


@pytest.mark.parametrize("name", CALLS)
def test_numbers_in_other_forms_are_the_same(name):
    call, _, value = CALLS[name]
    expected = np.asarray(call(value))
    masked = np.ma.masked_invalid(value)  # nothing is masked
    for same in (value.tolist(), np.asfortranarray(value), value.astype(">f8"), masked):
        np.testing.assert_array_equal(np.asarray(call(same)), expected)


def test_real_numbers():
    assert np.isnan(as_real("a", [1, None])[1])
    array = np.array([1.0, 2.0])
    assert as_real("a", array) is array
    assert as_real("a", [True, False]).tolist() == [1, 0]
    with pytest.raises(TypeError, match="a must be real numbers, got list"):
        as_real("a", [[1, 2], [3]])
    with pytest.raises(ValueError, match="a must have no masked elements, got 1 of 2"):
        as_real("a", np.ma.masked_equal([1, 2], 2))


@pytest.mark.parametrize("score", [acsd, mutual_information])
@pytest.mark.parametrize("rows", [np.ones(4), np.ones((0, 3)), np.ones((4, 0)), 3.0])
def test_rows_that_are_none(score, rows):
    with pytest.raises(ValueError, match="descriptors must have at least one row and one column"):
        score(rows, ROWS[:4])


def test_tensors_are_rows():
    found = mutual_information(torch.tensor(ROWS), ROWS, random_state=0)
    assert found == mutual_information(ROWS, ROWS, random_state=0)


@pytest.mark.parametrize("wrong", [None, "Al.UPF", [*load_aluminium_pseudopotentials().values()]])
def test_pseudopotentials_are_a_mapping(wrong):
    snapshot = load_aluminium(temperature=298)[0]
    options = {"atoms": snapshot.atoms, "temperature": 298, "n_electrons": 12}
    with pytest.raises(TypeError, match=r"must be a mapping of elements .*as_pseud"):
        physics.total_energy(snapshot.ldos, snapshot.energies, pseudopotentials=wrong, **options)


def test_numbers_that_equal_what_is_expected():
    assert len(load_aluminium(temperature=298.0)) == 4
    with pytest.raises(TypeError, match="start must be a number, got '0'"):
        EnergyGrid.regular("0", 0.5, 5)
