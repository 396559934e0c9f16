"""
A first model
=============

Learn the local density of states of aluminium from three snapshots and predict a fourth.
"""

# %%
# The data that come with the package: four-atom cells at 298 K, each with the LDOS of a
# density-functional calculation on 18³ points and 81 energies.

from skldos.datasets import load_aluminium

snapshots = load_aluminium(temperature=298)
training, test = snapshots[:3], snapshots[3:]
print(test)

# %%
# A pipeline: the bispectrum of the atoms around each grid point, scaled and decorrelated row by
# row, and a network from there to the LDOS. Its components are nearly dependent on each other;
# without the principal components training takes many times as many epochs.

from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

model = make_pipeline(
    GridSNAPTransformer(twojmax=6, rcut=4.0),
    RowWise(StandardScaler()),
    RowWise(PCA(whiten=True)),
    LDOSRegressor(
        module__hidden_layer_sizes=(50,),
        lr=3e-3,
        lr_schedule="cosine",
        batch_size=200,
        max_epochs=10,
        target_scaling="standard",
        random_state=0,
    ),
)
model.fit(training)

# %%
# Energies, predicted and true. Errors are in meV (Fermi level) and meV/atom (band energy).

from skldos import evaluate

print(evaluate(model, test).T)

# %%
# The density of states: true (thick) and predicted (thin), occupied states shaded, and their
# difference below.

from skldos import DOSDisplay

DOSDisplay.from_estimator(model, test, align_fermi=True)

# %%
# A model predicts from atoms alone. Here those of the perfect crystal, at the same volume: a
# model interpolates, and of other volumes this one knows nothing.

import numpy as np
from ase.build import bulk

from skldos import Snapshot, physics, predict_dos

energies = training[0].energies
atoms = bulk("Al", cubic=True)
atoms.set_cell(training[0].atoms.cell, scale_atoms=True)
(dos,) = predict_dos(model, [Snapshot(atoms, grid_shape=(18, 18, 18))])
mu = physics.fermi_level(dos, energies, temperature=298.0, n_electrons=12)
energy = physics.band_energy(dos, energies, temperature=298.0, fermi_level=mu)
print(f"μ = {mu:.3f} eV, D(μ) = {np.interp(mu, energies, dos) / 4:.3f} 1/(eV atom)")
print(f"E_band = {energy / 4:.3f} eV/atom")
