"""
Forces from the LDOS
====================

A model of the LDOS as an ASE calculator: energy, exact forces, a short run at constant energy, and
a larger cell.
"""

# %%
# Forces are the gradient of the predicted energy, through network and descriptors. They are as
# smooth as the network, so its activation is ``"silu"`` rather than a rectifier.

from skldos import models
from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials

snapshots = load_aluminium()  # four at 298 K, four at 933 K
training, test = snapshots[[0, 1, 2, 4, 5, 6]], snapshots[7]
model = models.grid(activation="silu", max_epochs=20, random_state=0).fit(training)

# %%
# The temperature is that of the electrons. The model knows how its LDOS was broadened, and the
# calculator undoes it.

from skldos import LDOSCalculator

calculator = LDOSCalculator(model, load_aluminium_pseudopotentials(), temperature=933)
atoms = test.atoms.copy()
atoms.calc = calculator
print(calculator.get_total_energy_breakdown(atoms))

# %%
# Energy and forces of a held-out snapshot, compared with pw.x. The model was trained on six LDOS
# and on no forces; for dynamics, prefer a model that is fitted to forces.

import numpy as np

error = 1e3 * (atoms.get_potential_energy() - test.reference["total_energy"]) / len(atoms)
forces, true_forces = atoms.get_forces(), test.reference["forces"]
print(f"energy: {error:+.1f} meV/atom from pw.x")
rms = [np.sqrt(np.mean(values**2)) for values in (true_forces, forces - true_forces)]
print(f"forces: rms {rms[0]:.2f} eV/Å, errors {rms[1]:.2f} eV/Å")

# %%
# Dynamics at constant energy, from rest. Potential energy becomes kinetic and vice versa; their sum
# is conserved.

from ase import units
from ase.md.verlet import VelocityVerlet

rows = []


def record():
    """Note time in fs and energies in eV."""
    time = dynamics.get_time() / units.fs
    rows.append((time, atoms.get_potential_energy(), atoms.get_kinetic_energy()))


dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)
dynamics.attach(record)
dynamics.run(20)

# %%
# Energies per atom, relative to those at the start.

import matplotlib.pyplot as plt

time, potential, kinetic = np.array(rows).T
figure, ax = plt.subplots(figsize=(6.4, 3.6), dpi=120, layout="constrained")
for label, energy in (("potential", potential), ("kinetic", kinetic), ("sum", potential + kinetic)):
    ax.plot(time, 1e3 * (energy - energy[0]) / len(atoms), label=label)
ax.set(xlabel="time (fs)", ylabel="energy (meV/atom)")
ax.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
total = potential + kinetic
print(f"exchanged: {1e3 * np.ptp(kinetic) / len(atoms):.0f} meV/atom")
print(f"the sum varies by {1e3 * np.ptp(total) / len(atoms):.2f} meV/atom")

# %%
# The same model in a larger cell. The grid follows the cell, at the spacing of the training data,
# and a supercell of eight atoms has the same energy per atom.

larger = test.atoms.repeat((2, 1, 1))
larger.calc = calculator
print(calculator.grid_for(larger))
small = test.atoms.copy()
small.calc = calculator
print(f"{small.get_potential_energy() / 4:.6f} eV/atom in the cell of 4 atoms")
print(f"{larger.get_potential_energy() / 8:.6f} eV/atom in the cell of 8")
