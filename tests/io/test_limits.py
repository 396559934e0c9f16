"""Limits of files of other programs: just within them a file is read, just beyond it is refused."""

import dataclasses
import re
import types
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from skldos.exceptions import FileFormatError, SnapshotError
from skldos.io.espresso.lines import Lines
from skldos.io.espresso.output import ELECTRONS_ERROR, _refined, charge_of, read_output
from skldos.io.espresso.xml import read_xml
from skldos.io.limits import check_atoms, check_numbers, check_run, check_stored, refusing_damage
from skldos.units import BOHR, BOLTZMANN

DATA = Path(__file__).parent / "data"
XML = DATA / "al2" / "al2.save" / "data-file-schema.xml"
OUTPUT = DATA / "al2" / "al2.scf.out"
NEAR = (0.997, 1.003)


@pytest.fixture(scope="module")
def run():
    return dataclasses.replace(read_xml(XML), occupations=None)


def refuses(function, *arguments, match=None):
    with pytest.raises(FileFormatError, match=match):
        function(*arguments)


def test_bounds_are_inclusive_and_nan_is_within_none():
    check_numbers("x", [0.0, 1.0], "f", low=0, high=1)
    check_numbers("x", [], "f", low=0, high=1)
    for wrong in (-1e-9, 1 + 1e-9, np.nan, np.inf, -np.inf):
        with pytest.raises(FileFormatError, match="x must lie within 0 and 1, got"):
            check_numbers("x", [0.5, wrong], "f", low=0, high=1)
    with pytest.raises(FileFormatError, match="x must be real numbers"):
        check_numbers("x", ["a"], "f")


@pytest.mark.parametrize(
    "error", [OverflowError("big"), RecursionError(), KeyError("x"), TypeError("t")]
)
def test_damage_has_one_name(error):
    match = r"the file is damaged: .*\(a\.json\)"
    with pytest.raises(FileFormatError, match=match) as caught, refusing_damage("a.json"):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [FileNotFoundError("x"), SnapshotError("y"), MemoryError("z")])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, refusing_damage("a.json"):
        raise error
    assert caught.value is error


#: What a run may hold, and the values between which that must lie.
BOUNDS = {
    "ecutwfc": (0.1, 1e5),
    "fermi_energy": (-1e6, 1e6),
    "width": (1e-12, 1e9 * BOLTZMANN),
    "charge": (-1e9, 1e9),
    "eigenvalues": (-1e6, 1e6),
    "forces": (-1e6, 1e6),
    "stress": (-1e6, 1e6),
    "energies": (-1e15, 1e15),
    "rotations": (-100, 100),
    "translations": (-100, 100),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_numbers_of_a_run(name, run):
    def changed(value):
        if name == "energies":
            value = {**run.energies, "total_energy": value}
        elif name not in ("ecutwfc", "fermi_energy", "width", "charge"):
            known = np.zeros((3, 3)) if name == "stress" else getattr(run, name)
            value = np.where(np.arange(known.size).reshape(known.shape) == 0, value, known)
        return dataclasses.replace(run, **{name: value})

    low, high = BOUNDS[name]
    inward, outward = NEAR if low < 0 else NEAR[::-1]
    check_run(changed(inward * low))
    check_run(changed(NEAR[0] * high))
    refuses(check_run, changed(outward * low), match="must lie within")
    refuses(check_run, changed(NEAR[1] * high), match="must lie within")


def test_cutoffs_of_the_density_have_the_same_limits(run):
    dense = dataclasses.replace(run, grid_shape=(1, 1, 1))
    check_run(dataclasses.replace(dense, ecutrho=0.997e5))
    refuses(check_run, dataclasses.replace(dense, ecutrho=1.003e5))
    check_run(dataclasses.replace(dense, ecutrho=0.1003))
    refuses(check_run, dataclasses.replace(dense, ecutrho=0.0997))


def test_weights_of_k_points(run):
    for value, fits in ((2.0, True), (0.0, True), (2.01, False), (-1e-9, False)):
        changed = dataclasses.replace(run, weights=np.where(run.weights > -1, value, 0))
        check_run(changed) if fits else refuses(check_run, changed)


@pytest.mark.parametrize("axis", range(3))
def test_grids_may_be_sixteen_times_finer_than_the_waves_need(run, axis):
    # |m| = |G · a| / 2π of both signs, and zero; four more for small cells.
    length = np.linalg.norm(run.atoms.cell.array[axis]) / BOHR
    limit = int(16 * (2 * np.sqrt(run.ecutrho) * length / (2 * np.pi) + 1 + 4))
    shape = list(run.grid_shape)
    for shape[axis], fits in ((limit, True), (limit + 1, False), (1, True), (0, False)):
        changed = dataclasses.replace(run, grid_shape=tuple(shape))
        check_run(changed) if fits else refuses(check_run, changed)


@pytest.mark.parametrize(("part", "fits"), [(0.00997, True), (0.01003, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_states_hold_the_electrons_to_one_per_cent(part, fits, sign):
    run = read_xml(XML)
    held = float(run.weights @ run.occupations.sum(axis=1))
    # Relative to one more than the electrons.
    n = (held - sign * part) / (1 + sign * part)
    changed = dataclasses.replace(run, n_electrons=n)
    check_run(changed) if fits else refuses(check_run, changed)


@pytest.mark.parametrize(
    ("value", "fits"), [(-0.997, True), (-1.003, False), (1.997, True), (2.003, False)]
)
def test_occupations(value, fits):
    run = read_xml(XML)
    occupations = run.occupations.copy()
    occupations[0, 0] = value
    n_electrons = float(run.weights @ occupations.sum(axis=1))
    changed = dataclasses.replace(run, occupations=occupations, n_electrons=n_electrons)
    message = "occupations must lie within -1 and 2"
    check_run(changed) if fits else refuses(check_run, changed, match=message)


@pytest.mark.parametrize(("difference", "fits"), [(0.997e-4, True), (1.003e-4, False)])
def test_stresses_are_symmetric(difference, fits, run):
    stress = np.eye(3)
    stress[0, 2] = difference
    changed = dataclasses.replace(run, stress=stress)
    check_run(changed) if fits else refuses(check_run, changed)


@pytest.mark.parametrize(("filters", "factor"), [(0, 1), (1, 1100)])
def test_datasets_are_in_their_file(filters, factor):
    def dataset(promised, **changes):
        identity = types.SimpleNamespace(
            get_storage_size=lambda: 80,
            get_create_plist=lambda: types.SimpleNamespace(get_nfilters=lambda: filters),
        )
        known = {"is_virtual": False, "external": None, "name": "x", "id": identity}
        size = {"size": promised // 8, "dtype": np.dtype(float)}
        return types.SimpleNamespace(**known | size | changes)

    check_stored(dataset(80 * factor), "f")
    refuses(check_stored, dataset(80 * factor + 8), "f")
    refuses(check_stored, dataset(8, is_virtual=True), "f")
    refuses(check_stored, dataset(8, external=[("g", 0, 8)]), "f")


def test_a_file_without_atoms():
    with pytest.raises(FileFormatError, match=r"at least one atom, got none \(f:3\)"):
        check_atoms(bulk("Al")[:0], "f", 3)


# -------------------------------------------------------------------- text outputs


@pytest.mark.parametrize(("length", "fits"), [(5000, True), (5001, False)])
def test_lines_of_an_output(length, fits, tmp_path):
    path = tmp_path / "a.out"
    path.write_text("Program PWSCF\n" + "x" * length + "\nJOB DONE\n")
    with (
        nullcontext() if fits else pytest.raises(FileFormatError, match=r"5001 characters \(.*:2\)")
    ):
        assert len(Lines(path)) == 3


def test_the_last_run_of_an_output_counts(tmp_path):
    path = tmp_path / "a.out"
    path.write_text("Program PWSCF\na = 1\nJOB DONE\nProgram PWSCF\na = 2.5\na=-3 7\nJOB DONE\n")
    lines = Lines(path)
    assert lines.number("a =", len(lines)) == -3
    assert lines.number("a =", 2) == 2.5
    assert lines.last("a") == 2
    assert lines.last("a", before=2) == 1
    assert lines.last("a", after=3) is None
    assert lines.numbers(2) == [-3, 7]
    with pytest.raises(FileFormatError, match=r"expected 3 numbers, got 'a=-3 7' \(.*:6\)"):
        lines.numbers(2, 3)
    with pytest.raises(FileFormatError, match=r"'b =' with its value is missing.*:7\)"):
        lines.number("b =", len(lines))
    path.write_text("Program PWSCF\n")
    with pytest.raises(FileFormatError, match="truncated"):
        Lines(path)
    assert len(Lines(path, torn=True)) == 1


@pytest.mark.parametrize(("shift", "fits"), [(0.99e-5, True), (1.01e-5, False)])
@pytest.mark.parametrize("card", ["CELL_PARAMETERS", "ATOMIC_POSITIONS"])
def test_atoms_that_moved_after_the_last_calculation(card, shift, fits, tmp_path):
    atoms = read_output(OUTPUT).atoms
    rows = (atoms.cell.array if card.startswith("CELL") else atoms.positions).copy()
    rows[1, 2] += shift
    names = ["", "", ""] if card.startswith("CELL") else ["Al", "Al"]
    table = "\n".join(
        f"{n} " + " ".join(f"{x:.12f}" for x in row) for n, row in zip(names, rows, strict=False)
    )
    text = OUTPUT.read_text()
    end = text.index("JOB DONE")
    start = text.rindex("\n", 0, end)
    path = tmp_path / "a.out"
    path.write_text(f"{text[:start]}\n{card} (angstrom)\n{table}\n{text[start:]}")
    with nullcontext() if fits else pytest.raises(FileFormatError, match="the atoms moved by"):
        read_output(path)


@pytest.mark.parametrize(("unit", "scale"), [("angstrom", 1.0), ("bohr", BOHR)])
def test_units_of_a_geometry(unit, scale, tmp_path):
    positions = read_output(OUTPUT).atoms.positions
    rows = "\n".join("Al " + " ".join(f"{x / scale:.12f}" for x in row) for row in positions)
    text = OUTPUT.read_text()
    place = text.rindex("\n", 0, text.index("!    total energy"))
    path = tmp_path / "a.out"
    path.write_text(f"{text[:place]}\nATOMIC_POSITIONS ({unit})\n{rows}\n{text[place:]}")
    np.testing.assert_allclose(read_output(path).atoms.positions, positions, atol=1e-10)


def test_charges_are_known_to_two_decimals(tmp_path):
    path = tmp_path / "a.out"

    def charge(valence, n_electrons, n_atoms=2):
        sites = "\n".join(
            f"   {i + 1}  Al  tau( {i + 1}) = ( 0.0 0.0 0.0 )" for i in range(n_atoms)
        )
        species = f"  Al  {valence}  26.98  Al( 1.00)"
        count = f"number of atoms/cell = {n_atoms}"
        path.write_text(f"Program PWSCF\n{species}\n{count}\n{sites}\nJOB DONE\n")
        lines = Lines(path)
        return charge_of(lines, len(lines), n_electrons)

    # Half a unit of the second decimal, of the electrons and of each valence that is no integer.
    assert charge("3.00", 6.005) == 0
    assert charge("3.00", 6.0052) == -0.01
    assert charge("3.25", 6.515) == 0
    assert charge("3.25", 6.5153) == -0.02
    assert charge("3.00", 5.0) == 1.0


@pytest.mark.parametrize(
    ("counted", "expected"),
    [(6.25005, 6.25), (6.2502, 6.2502), (6.2599, 6.2599), (6.2601, 6.25), (6.2402, 6.2402)],
)
def test_electrons_get_their_digits_from_the_states(counted, expected):
    weights, occupations = np.array([1.0]), np.array([[counted]])
    assert _refined(6.25, weights, occupations) == pytest.approx(expected, abs=1e-12)
    assert _refined(6.0, weights, np.array([[6.004]])) == 6
    assert _refined(6.25, weights, None) == 6.25
    assert ELECTRONS_ERROR == 0.005


@pytest.mark.parametrize(("times", "fits"), [(1.09, True), (1.11, False)])
def test_parts_add_up_to_the_total_energy(times, fits, tmp_path):
    text = OUTPUT.read_text()
    found = re.search(r"(!\s+total energy\s+=\s+)(\S+)", text)
    names = ("one-electron", "hartree", "xc", "ewald", "smearing contrib")
    parts = [float(re.search(rf"     {name}.*=\s+(\S+) Ry", text)[1]) for name in names]
    # Of each number, half a unit of the last digit, and ten per cent.
    total = sum(parts) + times * 0.5e-8 * (len(parts) + 1)
    path = tmp_path / "a.out"
    path.write_text(text.replace(found[0], f"{found[1]}{total:.12f}"))
    message = r"do not add up: 0\.00000003 Ry"
    with nullcontext() if fits else pytest.raises(FileFormatError, match=message):
        read_output(path)
