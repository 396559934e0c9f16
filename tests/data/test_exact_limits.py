"""Limits of input values, as numbers: just within them all is well, just beyond it is an error."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from skldos import EnergyGrid, Snapshot
from skldos.data import ranges, training


def cell_with(height, axis):
    cell = 4.0 * np.eye(3)
    cell[axis, axis] = height
    return Snapshot(Atoms("H", cell=cell, pbc=True))


def atom_at(position, axis):
    positions = np.zeros((1, 3))
    positions[0, axis] = position
    return Snapshot(Atoms("Al", positions, cell=4 * np.eye(3), pbc=True))


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
    **{
        name: (lambda x, name=name: referring(**{name: x}), 1e15, 1)
        for name in ("band_energy", "ewald", "minus_ts", "total_energy", "one_electron")
    },
    "density": (lambda x: Snapshot(bulk("Al"), density=np.full((2, 2, 2), x)), 1e30, 1),
}


@pytest.mark.parametrize(("make", "limit", "direction"), LIMITS.values(), ids=LIMITS)
@pytest.mark.filterwarnings("ignore:.*Check units:UserWarning")
def test_limits(make, limit, direction):
    make(limit * (1 - 0.002 * direction))
    with pytest.raises(ValueError, match=r"must|within|at least|at most"):
        make(limit * (1 + 0.002 * direction))


def test_grids_have_at_most_a_hundred_thousand_points_along_a_vector():
    for axis in range(3):
        shape = [2, 2, 2]
        shape[axis] = 10**5
        Snapshot(bulk("Al"), grid_shape=tuple(shape))
        shape[axis] += 1
        with pytest.raises(ValueError, match="grid_shape"):
            Snapshot(bulk("Al"), grid_shape=tuple(shape))


def pair(distance, edge=4.0):
    positions = [[-distance / 2, 0, 0], [edge + distance / 2, edge, 0]]
    return Snapshot(Atoms("Al2", positions, cell=edge * np.eye(3), pbc=True))


def test_distances_of_atoms():
    with pytest.raises(ValueError, match="must not coincide"):
        pair(0.00998)
    for distance in (0.01002, 0.2993):
        with pytest.warns(UserWarning, match=r"closer than 0\.3 Å"):
            pair(distance)
    pair(0.3007)
    # 0.3 of the edge of a cube with the volume of an atom
    edge = 1.0
    limit = 0.3 * (edge**3 / 2) ** (1 / 3)
    pair(1.002 * limit, edge)
    with pytest.warns(UserWarning, match="Check units"):
        pair(0.998 * limit, edge)


DENSITY = bulk("Al").get_masses().sum() / bulk("Al").cell.volume * 1.66053906660


@pytest.mark.parametrize(("part", "inside"), [(0.00995, True), (0.01005, False)])
@pytest.mark.parametrize("side", [1, -1])
def test_densities_may_be_one_per_cent_outside_of_the_training_data(part, inside, side):
    known = {"density": [DENSITY / (1 + side * part)] * 2}
    said = training.outside_training(known, [Snapshot(bulk("Al"))])
    assert (said is None) == inside
    assert inside or "density 2.69" in said


def test_densities_within_one_per_cent_are_one():
    assert training.has_one_density({"density": [2.0, 2.0199]})
    assert not training.has_one_density({"density": [2.0, 2.0201]})


@pytest.mark.parametrize(
    ("known", "T", "inside"),
    [
        *((300.0, 349.0, True), (300.0, 351.0, False), (300.0, 249.0, False)),
        *((300.0, 251.0, True), (2000.0, 2199.0, True), (2000.0, 2201.0, False)),
        *((2000.0, 1801.0, True), (2000.0, 1799.0, False), (300.0, None, True)),
    ],
)
def test_temperatures_may_be_fifty_kelvin_or_ten_per_cent_outside(known, T, inside):
    seen = {"temperature": [known, known], "density": [DENSITY, DENSITY]}
    said = training.outside_training(seen, [Snapshot(bulk("Al"), temperature=T)])
    assert (said is None) == inside


def test_what_is_said_of_several_snapshots():
    seen = {"temperature": [300.0, 600.0], "density": [DENSITY, DENSITY]}
    snapshots = [Snapshot(bulk("Al"), temperature=T) for T in (300, 900, 400, 950)]
    assert training.outside_training(seen, snapshots) == (
        "outside of the training data: temperature 900 K of snapshot 1 and 1 more (trained: 300 to "
        "600 K). Predictions there are unreliable."
    )
