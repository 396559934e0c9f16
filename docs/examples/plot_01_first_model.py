"""
A first model
=============

Learn the local density of states of aluminium from three snapshots and predict a fourth.
"""

# %%
# The package comes with data: four-atom cells at 298 K, each with the LDOS of a density-functional
# calculation on 18³ grid points and 81 energies.

from skldos.datasets import load_aluminium

snapshots = load_aluminium(temperature=298)
training, test = snapshots[:3], snapshots[3:]
print(test)

# %%
# The recommended pipeline for grid points: bispectrum components of the atoms around each point,
# scaled and decorrelated, and a network that maps them to the LDOS. A small network and few epochs
# are enough here.

from skldos import models

model = models.grid(hidden_layer_sizes=(50,), max_epochs=10, random_state=0)
model.fit(training)

# %%
# Predicted and true energies of the held-out snapshot. Errors are in meV (Fermi level) and meV/atom
# (band energy).

from skldos import evaluate

print(evaluate(model, test).T)

# %%
# The density of states: true (thick) and predicted (thin), with occupied states shaded, and their
# difference below.

from skldos.plotting import DOSDisplay

DOSDisplay.from_estimator(model, test, align_fermi=True)

# %%
# A model predicts from atoms alone. This is the perfect crystal at the same volume; the model has
# not seen other volumes and would be unreliable there.

from ase.build import bulk

import skldos

atoms = bulk("Al", cubic=True)
atoms.set_cell(training[0].atoms.cell, scale_atoms=True)
print(skldos.predict(model, atoms).T)
