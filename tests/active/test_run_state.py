"""The state of dynamics, with every kind of random generator that ASE accepts."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet

from skldos.active._run_state import restore, state_of

GENERATORS = {
    "new": lambda: np.random.default_rng(3),
    "old": lambda: np.random.RandomState(3),
    "of the module": lambda: np.random,
}


def langevin(rng):
    atoms = bulk("Al").repeat(2)
    return Langevin(atoms, 1.0, temperature_K=300, friction=0.01, fixcm=False, rng=rng)


@pytest.mark.parametrize("kind", GENERATORS)
def test_random_numbers_go_on_where_they_were(kind):
    dynamics = langevin(GENERATORS[kind]())
    dynamics.rng.standard_normal(5)  # an odd number: generators of the old kind keep one back
    state = json.loads(json.dumps(state_of(dynamics)))
    expected = dynamics.rng.standard_normal(7)
    other = langevin(GENERATORS[kind]())
    other.rng.standard_normal(2)
    restore(other, state)
    np.testing.assert_array_equal(other.rng.standard_normal(7), expected)
    assert np.any(other.rng.standard_normal(7) != expected)


def test_what_moves_comes_back():
    dynamics = VelocityVerlet(bulk("Al").repeat(2), 1.0)
    dynamics.atoms.set_momenta(np.arange(24.0).reshape(8, 3))
    dynamics.nsteps = 5
    state = json.loads(json.dumps(state_of(dynamics)))
    assert state["random"] is None
    other = VelocityVerlet(bulk("Al", a=4.2).repeat(2), 1.0)
    restore(other, state)
    assert other.nsteps == 5
    for kind in ("positions", "momenta", "cell"):
        found, expected = (
            np.array(a.get_cell() if kind == "cell" else a.arrays[kind])
            for a in (other.atoms, dynamics.atoms)
        )
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="must have the atoms of the run"):
        restore(VelocityVerlet(bulk("Cu").repeat(2), 1.0), state)


def test_constraints_do_not_change_what_comes_back():
    dynamics = VelocityVerlet(bulk("Al").repeat(2), 1.0)
    dynamics.atoms.set_momenta(np.arange(24.0).reshape(8, 3))
    state = state_of(dynamics)
    other = VelocityVerlet(bulk("Al", a=4.2).repeat(2), 1.0)
    other.atoms.set_constraint(FixAtoms([0, 3]))
    restore(other, state)
    np.testing.assert_array_equal(other.atoms.arrays["momenta"], state["momenta"])
    np.testing.assert_array_equal(other.atoms.positions, dynamics.atoms.positions)
