"""
Molecular dynamics
==================

A model as a calculator of ASE: forces, a short run at constant energy, and a larger cell.
"""

# %%
# Forces are the gradient of the predicted energy, through network and descriptors; they are as
# smooth as the network, so its activation is ``"silu"`` rather than a rectifier. Weight decay keeps
# it smooth between the few points it has seen, which forces need more than energies do.

from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.optim import AdamW

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise
from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials

snapshots = load_aluminium()  # four at 298 K, four at 933 K
training, test = snapshots[[0, 1, 2, 4, 5, 6]], snapshots[7]
model = make_pipeline(
    GridSNAPTransformer(twojmax=6, rcut=4.0, n_jobs=1),
    RowWise(StandardScaler()),
    RowWise(PCA(whiten=True)),
    LDOSRegressor(
        module__hidden_layer_sizes=(100,),
        module__activation="silu",
        optimizer=AdamW,
        optimizer__weight_decay=0.3,
        batch_size=200,
        lr=3e-3,
        lr_schedule="cosine",
        max_epochs=20,
        target_scaling="standard",
        random_state=0,
    ),
).fit(training)

# %%
# Temperature is that of the electrons. The model knows how its LDOS was broadened, and the
# calculator undoes it.

from skldos import LDOSCalculator

calculator = LDOSCalculator(model, load_aluminium_pseudopotentials(), temperature=933)
atoms = test.atoms.copy()
atoms.calc = calculator
print(calculator.get_total_energy_breakdown(atoms))

# %%
# Energy and forces of a snapshot that the model has not seen, beside those of pw.x. It was trained
# on six LDOS and on no forces.

import numpy as np

error = 1e3 * (atoms.get_potential_energy() - test.reference["total_energy"]) / len(atoms)
forces, true_forces = atoms.get_forces(), test.reference["forces"]
print(f"energy: {error:+.1f} meV/atom from pw.x")
rms = [np.sqrt(np.mean(values**2)) for values in (true_forces, forces - true_forces)]
print(f"forces: rms {rms[0]:.2f} eV/Å, of their errors {rms[1]:.2f} eV/Å")

# %%
# Dynamics at constant energy, from rest. While potential energy becomes kinetic and comes back,
# their sum stays.

from ase import units
from ase.md.verlet import VelocityVerlet

rows = []


def record():
    """Note time in fs and energies in eV."""
    time = dynamics.get_time() / units.fs
    rows.append((time, atoms.get_potential_energy(), atoms.get_kinetic_energy()))


dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)
dynamics.attach(record)
dynamics.run(40)

# %%
# Energies per atom, counted from where they began.

import matplotlib.pyplot as plt

time, potential, kinetic = np.array(rows).T
figure, ax = plt.subplots(figsize=(6.4, 3.6), dpi=120)
for label, energy in (("potential", potential), ("kinetic", kinetic), ("sum", potential + kinetic)):
    ax.plot(time, 1e3 * (energy - energy[0]) / len(atoms), label=label)
ax.set(xlabel="time (fs)", ylabel="energy (meV/atom)")
ax.legend(frameon=False)
total = potential + kinetic
print(f"exchanged: {1e3 * np.ptp(kinetic) / len(atoms):.0f} meV/atom")
print(f"the sum varies by {1e3 * np.ptp(total) / len(atoms):.2f} meV/atom")

# %%
# The same model in a larger cell, where the grid follows the cell at the spacing of the training
# data. The same crystal as a cell of eight atoms has the same energy per atom.

larger = test.atoms.repeat((2, 1, 1))
larger.calc = calculator
print(calculator.grid_for(larger))
small = test.atoms.copy()
small.calc = calculator
print(f"{small.get_potential_energy() / 4:.6f} eV/atom in the cell of 4 atoms")
print(f"{larger.get_potential_energy() / 8:.6f} eV/atom in the cell of 8")
