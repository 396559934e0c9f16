"""
Dynamics with a potential and its density of states
===================================================

Fit free energies and forces, compare forces with pw.x, conserve energy, and average structure and
density of states over a liquid.
"""

# %%
# Cells of 32 atoms of aluminium from density-functional theory, without grids: free energies,
# forces, and densities of states of atoms. The first thirty for training are enough here, and
# liquids for testing are kept for that.

import numpy as np

from skldos.datasets import load_aluminium

snapshots = load_aluminium(n_atoms=32, temperature=933)
training = [s for s in snapshots if s.reference["split"] == "train"][:30]
liquids = [s for s in snapshots if s.reference["kind"] == "liquid"]
test = next(s for s in liquids if s.reference["split"] == "test")
n_liquid = sum(s.reference["kind"] == "liquid" for s in training)
print(f"{len(training)} snapshots to learn from, {n_liquid} of them liquid")

# %%
# Two linear models of the same descriptors, so that these are computed once in a step: a potential,
# fitted to energies and forces at once, and the density of states of every atom.

from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from skldos import ADOSRegressor, AtomSOAPTransformer, FreeEnergyRegressor, RowWise, SiteRegressor

soap = AtomSOAPTransformer(r_cut=5.0, n_max=6, l_max=5, sigma=0.6, n_jobs=1)
potential = make_pipeline(soap, FreeEnergyRegressor()).fit(training)
dos_model = make_pipeline(
    soap, RowWise(Normalizer()), ADOSRegressor(SiteRegressor(Ridge(1e-5), dos_weight=1e4))
).fit(training)

# %%
# Forces of the liquid that took no part, against those of pw.x.

import matplotlib.pyplot as plt

from skldos import FreeEnergyCalculator

calculator = FreeEnergyCalculator(potential, dos_model)
atoms = test.atoms.copy()
atoms.calc = calculator
true, predicted = test.reference["forces"], atoms.get_forces()
rms = [np.sqrt(np.mean(values**2)) for values in (true, predicted - true)]
energy_error = atoms.get_potential_energy() - test.reference["total_energy"]
expected = calculator.get_uncertainty("forces")
print(f"forces: {rms[0]:.2f} eV/Å, error {rms[1]:.3f}, expected {expected.mean():.3f}")
print(f"free energy: off by {1e3 * energy_error / 32:+.1f} meV/atom")
figure, ax = plt.subplots(figsize=(4, 4), dpi=120, layout="constrained")
ax.plot(true.ravel(), predicted.ravel(), ".", ms=4)
ax.axline((0, 0), slope=1, color="0.55", lw=0.8)
ax.set(xlabel="pw.x (eV/Å)", ylabel="predicted (eV/Å)", title="forces of a liquid")

# %%
# Constant energy. The sum of free and kinetic energy stays, since forces are the gradient of what
# is predicted.

from ase import units
from ase.md.verlet import VelocityVerlet

rng = np.random.default_rng(0)
atoms.set_momenta(np.sqrt(units.kB * 933 * atoms.get_masses())[:, None] * rng.normal(size=(32, 3)))
rows = []
dynamics = VelocityVerlet(atoms, 2 * units.fs)
dynamics.attach(lambda: rows.append((atoms.get_potential_energy(), atoms.get_kinetic_energy())))
dynamics.run(100)
potential_energy, kinetic_energy = 1e3 * np.array(rows).T / 32
print(f"exchanged {np.ptp(kinetic_energy):.0f} meV/atom")
print(f"the sum varies by {np.std(potential_energy + kinetic_energy):.2f} meV/atom")

# %%
# Constant temperature. The pair distribution g(r) and the density of states are averaged over the
# run, and compared with the density-functional liquids.

from ase.geometry import get_distances
from ase.md.langevin import Langevin

edges = np.linspace(2.0, 5.6, 37)


def pair_distribution(atoms):
    """Return g(r) up to half the cell, between the edges."""
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)
    counts = np.histogram(distances[distances > 0], edges)[0]
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    return counts / len(atoms) / shells * atoms.get_volume() / len(atoms)


options = {"temperature_K": 933, "friction": 0.01 / units.fs, "fixcm": False}
dynamics = Langevin(atoms, 3 * units.fs, rng=rng, **options)
pairs, spectra, capacities = [], [], []


def record():
    """Keep what is averaged."""
    pairs.append(pair_distribution(atoms))
    spectra.append(calculator.get_dos(atoms) / 32)
    capacities.append(calculator.get_electronic_heat_capacity(atoms) / 32 / units.kB)


dynamics.attach(record, interval=5)
dynamics.run(150)

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), dpi=120, layout="constrained")
centers = (edges[1:] + edges[:-1]) / 2
left.plot(centers, np.mean(pairs, axis=0), label="this run")
left.plot(
    centers, np.mean([pair_distribution(s.atoms) for s in liquids], axis=0), "--", label="DFT data"
)
left.set(xlabel="r (Å)", ylabel="g(r)")
right.plot(calculator.energies, np.mean(spectra, axis=0))
right.plot(liquids[0].energies, np.mean([s.reference["dos"] for s in liquids], axis=0) / 32, "--")
right.axvline(calculator.get_fermi_level(), color="0.55", lw=0.8)
right.set(xlabel="energy (eV)", ylabel="DOS (1/(eV atom))", xlim=(-5, 9), ylim=(0, 0.6))
left.legend(frameon=False)
print(f"heat capacity of the electrons: {np.mean(capacities):.3f} k per atom")

# %%
# Hotter electrons. A laser pulse heats them to 2300 K before the atoms move: free energy and forces
# change with the occupation of the levels, up to where the energies of the data end.

cold = atoms.get_potential_energy(), atoms.get_forces()
calculator.temperature = 2300
hot = atoms.get_potential_energy(), atoms.get_forces()
print(f"free energy: {1e3 * (hot[0] - cold[0]) / 32:+.1f} meV/atom")
print(f"forces change by {1e3 * np.sqrt(np.mean((hot[1] - cold[1]) ** 2)):.1f} meV/Å (rms)")
