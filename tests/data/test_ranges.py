"""Input values are rejected just beyond their limits, as numbers, and accepted just within them."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from skldos import EnergyGrid, Snapshot
from skldos.data import ranges
from skldos.exceptions import SnapshotError


def cell_with(height, axis):
    cell = 4.0 * np.eye(3)
    cell[axis, axis] = height
    return Snapshot(Atoms("H", cell=cell, pbc=True))


def atom_at(position, axis):
    positions = np.zeros((1, 3))
    positions[0, axis] = position
    return Snapshot(Atoms("Al", positions, cell=4 * np.eye(3), pbc=True))


def with_density(value):
    return Snapshot(bulk("Al"), density=np.full((2, 2, 2), value))


def referring(**reference):
    return Snapshot(bulk("Al"), reference=reference)


#: What makes a value, the limit, and whether larger or smaller values are refused.
LIMITS = {
    "position": (lambda x: atom_at(x, 0), 1e6, 1),
    "negative position": (lambda x: atom_at(-x, 2), 1e6, 1),
    "cell": (lambda x: cell_with(x, 1), 1e6, 1),
    "thin cell": (lambda x: cell_with(x, 0), 1e-2, -1),
    "another thin cell": (lambda x: cell_with(x, 2), 1e-2, -1),
    "crowded cell": (
        lambda x: Snapshot(Atoms("H", cell=np.diag([0.25, 0.25, 16 * x]), pbc=True)),
        1e-2,
        -1,
    ),
    "temperature": (lambda x: Snapshot(bulk("Al"), temperature=x), 1e9, 1),
    "electrons": (lambda x: Snapshot(bulk("Al"), n_electrons=x), 1e4, 1),
    "electrons of two": (lambda x: Snapshot(bulk("Si"), n_electrons=x), 2e4, 1),
    "charge": (lambda x: ranges.check_charge(x, bulk("Al")), 26, 1),
    "energy": (lambda x: EnergyGrid([0.0, x]), 1e6, 1),
    "negative energy": (lambda x: EnergyGrid([-x, 0.0]), 1e6, 1),
    "broadening": (lambda x: EnergyGrid([0, 1], broadening=x), 1e6, 1),
    "forces": (lambda x: referring(forces=[[0.0, -x, 0.0]]), 1e15, 1),
    "negative reference": (lambda x: referring(xc=-x), 1e15, 1),
    **{
        name: (lambda x, name=name: referring(**{name: x}), 1e15, 1)
        for name in ("band_energy", "ewald", "minus_ts", "total_energy", "one_electron")
    },
    "density": (with_density, 1e30, 1),
    "negative density": (lambda x: with_density(-x), 1e30, 1),
}


@pytest.mark.parametrize(("make", "limit", "direction"), LIMITS.values(), ids=LIMITS)
@pytest.mark.filterwarnings("ignore:.*Check units:UserWarning")
def test_limits(make, limit, direction):
    make(limit * (1 - 0.002 * direction))
    for factor in (1.002, 1e6):
        with pytest.raises(ValueError, match=r"must|within|at least|at most"):
            make(limit * factor**direction)


def test_grids_have_at_most_a_hundred_thousand_points_along_a_vector():
    for axis in range(3):
        shape = [2, 2, 2]
        shape[axis] = 10**5
        Snapshot(bulk("Al"), grid_shape=tuple(shape))
        shape[axis] += 1
        with pytest.raises(ValueError, match="grid_shape"):
            Snapshot(bulk("Al"), grid_shape=tuple(shape))


@pytest.mark.parametrize("number", [-1, 0, 119, 500, 2**31])
def test_atoms_are_of_elements(number):
    atoms = bulk("Al", cubic=True)
    atoms.set_array("numbers", None)
    atoms.set_array("numbers", np.array([13, 13, number, 13]), dtype=int)
    with pytest.raises(SnapshotError, match=rf"between 1 and 118, got {number}\."):
        Snapshot(atoms)


@pytest.mark.parametrize("number", [1, 118])
def test_every_element_is_accepted(number):
    assert len(Snapshot(Atoms(numbers=[number], cell=np.eye(3), pbc=True)).atoms) == 1


def pair(distance, edge=4.0):
    """Two aluminium atoms on opposite sides of a cell face, far from each other's images."""
    positions = [[-distance / 2, 0, 0], [edge + distance / 2, edge, 0]]
    return Snapshot(Atoms("Al2", positions, cell=edge * np.eye(3), pbc=True))


def test_distances_of_atoms():
    for distance in (0.0, 1e-12, 0.00998):
        message = r"atoms 0 and 1 of Al2 are .* List an atom .* once"
        with pytest.raises(SnapshotError, match=message):
            pair(distance)
    for distance in (0.01002, 0.2993):
        message = rf"are {distance:.2g} Å apart.*closer than 0\.3 Å. Check units"
        with pytest.warns(UserWarning, match=message) as caught:
            pair(distance)
        assert caught[0].filename == __file__
    pair(0.3007)  # no warning: it would be an error here
    # In dense matter, 0.3 of the edge of a cube with the volume of an atom.
    limit = 0.3 * (1.0 / 2) ** (1 / 3)
    pair(1.002 * limit, edge=1.0)
    with pytest.warns(UserWarning, match=rf"closer than {limit:.2g} Å"):
        pair(0.998 * limit, edge=1.0)


def test_models_refuse_atoms_that_coincide(pipeline, snapshots):
    twice = snapshots[0].atoms + snapshots[0].atoms[:1]
    with pytest.raises(SnapshotError, match="must not coincide"):
        pipeline[0].fit(snapshots).transform([twice])


def test_skewed_and_left_handed_cells_are_fine():
    for cell in ([[4, 0, 0], [4, 4, 0], [12, -8, 4]], [[0, 4, 0], [4, 0, 0], [0, 0, 4]]):
        Snapshot(Atoms("Al", cell=cell, pbc=True))


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ({"band_energy": np.nan}, ValueError, r"reference\['band_energy'\] must be finite"),
        ({"xc": -np.inf}, ValueError, r"reference\['xc'\] must be finite"),
        ({"forces": np.full((2, 3), np.nan)}, ValueError, "got 6 NaN"),
        ({"xc": None}, TypeError, r"reference\['xc'\] must be a number.* got NoneType"),
        ({"xc": 1j}, TypeError, "complex"),
        ({"xc": 10**400}, ValueError, "must lie within"),
        ({"xc": [1, [2, 3]]}, TypeError, "got list"),
        ({"xc": object()}, TypeError, "got object"),
        ({3: 1.0}, TypeError, "names as keys, got 3"),
        ({"files": {"Al": np.nan}}, ValueError, r"reference\['files'\]\['Al'\] must be finite"),
        ({"a": {"b": {"c": 1}}}, TypeError, "got dict"),
        ([1], TypeError, "must be a mapping, got list"),
    ],
)
def test_references_are_finite(reference, error, message):
    with pytest.raises(error, match=message):
        Snapshot(bulk("Al"), reference=reference)
    with pytest.raises(error, match=message):
        Snapshot(bulk("Al")).replace(reference=reference)


def test_references_may_hold_numbers_arrays_texts_and_mappings_of_them():
    reference = {
        "xc": np.float32(1),
        "n": 3,
        "functional": "lda-pz",
        "spin": False,
        "forces": np.zeros((1, 3)),
        "none": [],
        "files": {"Al": "Al.UPF"},
    }
    found = Snapshot(bulk("Al"), reference=reference).reference
    assert found.keys() == reference.keys()
    for name, value in reference.items():
        np.testing.assert_equal(found[name], value)
        assert type(found[name]) is type(value)


@pytest.mark.parametrize("name", ["temperature", "n_electrons"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 10**400, -(10**400)])
def test_numbers_that_cannot_be_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        Snapshot(bulk("Al"), **{name: value})


# ---------------------------------------------------------------- forms of numbers


MASKED = np.ma.masked_array([0.0, 1.0, 2.0], mask=[False, True, False])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EnergyGrid(MASKED), ValueError, "energies must have no masked elements, got 1 of"),
        (lambda: EnergyGrid([False, True]), TypeError, "energies must be real numbers"),
        (lambda: EnergyGrid(["0", "1"]), TypeError, "energies must be real numbers"),
        (lambda: EnergyGrid([0.0, 1j]), TypeError, "energies must be real numbers"),
        (
            lambda: Snapshot(bulk("Al"), ldos=np.ma.masked_less(np.eye(4)[None, None], 1)),
            SnapshotError,
            "ldos must have no masked elements, got 12 of 16",
        ),
        (
            lambda: Snapshot(bulk("Al"), density=np.ma.masked_less(np.eye(4)[None], 1)),
            SnapshotError,
            "density must have no masked",
        ),
        (
            lambda: ranges.check_reference({"dos": MASKED}),
            ValueError,
            r"\['dos'\] must have no mask",
        ),
        (lambda: ranges.check_reference({"fermi_energy": "5"}), TypeError, "must be one number"),
        (lambda: ranges.check_reference({"total_energy": [1.0]}), TypeError, "must be one number"),
        (lambda: ranges.check_reference({"stress": np.eye(2)}), ValueError, r"\(3, 3\) or \(6,\)"),
        (
            lambda: Snapshot(bulk("Al", cubic=True), reference={"forces": np.zeros((3, 4))}),
            ValueError,
            r"reference\['forces'\] must have shape \(4, 3\)",
        ),
    ],
)
def test_numbers_in_another_form_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_masks_that_hide_nothing_do_not_matter():
    field = np.ma.masked_array(np.ones((1, 1, 4, 4)), mask=False)
    assert Snapshot(bulk("Al"), ldos=field, energies=range(4)).ldos.shape == (1, 1, 4, 4)
    reference = {"forces": np.zeros((1, 3)), "stress": np.zeros(6), "fermi_energy": np.array(5.0)}
    assert Snapshot(bulk("Al"), reference=reference).reference["fermi_energy"] == 5.0
