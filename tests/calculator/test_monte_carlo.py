"""Monte Carlo: laws for a harmonic toy model, and local energies equal to those of all atoms."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    BlockUnion,
    FreeEnergyCalculator,
    FreeEnergyRegressor,
    SiteRegressor,
)
from skldos.calculator import MonteCarlo
from skldos.datasets import make_snapshots
from skldos.units import BOLTZMANN
from tests.calculator.helpers import labelled

K = 2.0  # eV/Å²


class Harmonic(Calculator):
    """Every atom on its own spring."""

    implemented_properties = ("energy",)

    def calculate(self, atoms, properties, system_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = K / 2 * np.sum(self.atoms.positions**2)


def test_harmonic_oscillators_have_the_boltzmann_distribution():
    atoms = Atoms("H16", positions=np.zeros((16, 3)))
    atoms.calc = Harmonic()
    sampling = MonteCarlo(atoms, 600, max_move=0.25, random_state=0)
    positions = []
    sampling.run(20)
    sampling.attach(lambda: positions.append(atoms.positions.copy()))
    sampling.run(220)
    x = np.array(positions)
    assert 0.3 < sampling.acceptance < 0.7
    kT = BOLTZMANN * 600
    # 10,000 numbers, correlated over some ten steps
    assert np.mean(x**2) == pytest.approx(kT / K, rel=0.08)
    assert np.mean(x**4) == pytest.approx(3 * (kT / K) ** 2, rel=0.2)
    # Detailed balance: as many go from one region to another as come back, for every pair.
    region = np.digitize(x, [-0.03, 0.04])
    flow = np.zeros((3, 3))
    np.add.at(flow, (region[:-1].ravel(), region[1:].ravel()), 1)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        both = flow[i, j] + flow[j, i]
        assert both > 300
        assert abs(flow[i, j] - flow[j, i]) < 4 * np.sqrt(both)


@pytest.fixture(scope="module")
def models():
    """A potential and a model of the DOS, with other descriptors and with the same."""
    made = make_snapshots(4, grid_shape=(6, 6, 6), n_energies=21, random_state=3)
    snapshots = [labelled(s) for s in made]
    potential = make_pipeline(AtomSNAPTransformer(3.2, twojmax=2, n_jobs=1), FreeEnergyRegressor())
    potential.fit(snapshots)
    return potential, [
        make_pipeline(
            AtomSNAPTransformer(r_cut, twojmax=2, n_jobs=1),
            ADOSRegressor(SiteRegressor(Ridge(1e-2))),
        ).fit(snapshots)
        for r_cut in (3.2, 3.5)
    ]


def test_moves_with_a_union_of_descriptors():
    snapshots = []
    for seed in range(3):
        atoms = bulk("Al", cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        snapshots.append(atoms)
    parts = [("near", AtomSNAPTransformer(3.0, twojmax=2, n_jobs=1))]
    parts += [("far", AtomSNAPTransformer(3.5, twojmax=2, n_jobs=1))]
    potential = make_pipeline(BlockUnion(parts), FreeEnergyRegressor()).fit(snapshots)
    atoms = bulk("Al", cubic=True).repeat((4, 1, 1))
    atoms.calc = FreeEnergyCalculator(potential)
    kept = MonteCarlo(atoms, 900)._energy()
    before, change = atoms.get_potential_energy(), kept.change(3, atoms.positions[3] + 0.2)
    atoms.positions[3] += 0.2
    assert abs(change) > 1e-3
    assert atoms.get_potential_energy() - before == pytest.approx(change, abs=1e-9)


@pytest.mark.parametrize("case", ["cold", "same descriptors", "other descriptors"])
def test_local_energies_are_those_of_all_atoms(models, case):
    potential, dos_models = models
    dos_model = {"cold": None, "same descriptors": dos_models[0]}.get(case, dos_models[1])
    temperature = None if case == "cold" else 1500
    ends = []
    for local in (True, False):
        atoms = bulk("Al", cubic=True).repeat((3, 1, 1))
        skew = np.array([[0, 0.6, -0.4], [0, 0, 0.8], [0, 0, 0]])
        atoms.set_cell(atoms.cell.array + skew, scale_atoms=True)
        atoms.rattle(0.1, seed=0)
        atoms.positions[::3] -= 2 * atoms.cell.array[1]  # outside
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "outside of the training")
            atoms.calc = FreeEnergyCalculator(potential, dos_model, temperature)
        sampling = MonteCarlo(atoms, 900, max_move=0.3, local=local, random_state=1)
        sampling.run(1)
        ends.append((atoms.positions.copy(), atoms.get_potential_energy(), sampling.acceptance))
    assert 0.1 < ends[0][2] < 0.9
    np.testing.assert_allclose(ends[0][0], ends[1][0], atol=1e-12)
    # The kept energy is that of the atoms.
    kept = MonteCarlo(atoms, 900)._energy()
    change = kept.change(3, atoms.positions[3] + [0.1, -0.2, 0.3])
    kept.accept()
    before = atoms.get_potential_energy()
    atoms.positions[3] += [0.1, -0.2, 0.3]
    assert abs(change) > 1e-3
    assert atoms.get_potential_energy() - before == pytest.approx(change, abs=1e-9)
    assert kept.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)


def test_seeds_and_observers():
    atoms = bulk("Al", cubic=True)
    atoms.calc = EMT()
    start = atoms.positions.copy()
    ends = []
    for _ in range(2):
        atoms.positions = start
        MonteCarlo(atoms, 500, random_state=3).run(2)
        ends.append(atoms.positions.copy())
    np.testing.assert_array_equal(*ends)
    assert np.abs(ends[0] - start).max() > 0.01
    counted = []
    sampling = MonteCarlo(atoms, 500)
    sampling.attach(counted.append, 2, 1)
    sampling.run(5)
    assert counted == [1, 1]
