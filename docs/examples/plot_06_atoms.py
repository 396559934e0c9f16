"""
Atom-decomposed density of states
=================================

Partition the density of states among the atoms and learn it in closed form: one prediction per atom
instead of one per grid point.
"""

# %%
# A partition of unity assigns every grid point to the atoms around it, with Gaussian weights that
# are 1.3 Å wide. The atom-decomposed densities of states (ADOS) add up to that of the cell. In this
# metal the atoms differ by less than one per cent, so their curves lie beneath their sum.

import numpy as np

from skldos import ADOSDecomposer
from skldos.datasets import load_aluminium
from skldos.plotting import ADOSDisplay

snapshots = load_aluminium()  # four at 298 K, four at 933 K
decomposer = ADOSDecomposer(n_jobs=1)
blocks = decomposer.fit_transform(snapshots)  # one row per atom, in 1/eV
print(blocks[7].shape)
print(f"largest difference: {np.abs(blocks[7].sum(axis=0) - snapshots[7].dos()).max():.0e} 1/eV")
ADOSDisplay.from_decomposer(decomposer, snapshots[7:])

# %%
# The recommended model: SOAP power spectra and ridge regression, which gives weight to the error of
# the sum over the atoms. ``ADOSRegressor`` makes the targets inside ``fit``, so the pipeline takes
# snapshots. The descriptor was chosen on other cells of aluminium, of 32 atoms; penalties are
# chosen in ``fit``.

from skldos import models

model = models.atoms()
model

# %%
# Leave-one-out: each snapshot is predicted by a model of the seven others. Errors are in meV (Fermi
# level) and meV/atom (band energy).

import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import LeaveOneOut

from skldos import evaluate

rows = []
for training, test in LeaveOneOut().split(snapshots):
    fitted = clone(model).fit(snapshots[list(training)])
    rows.append(evaluate(fitted, snapshots[list(test)]))
table = pd.concat(rows, ignore_index=True)
print(table[["temperature", "fermi_level_error", "band_energy_error"]].round(2))

# %%
# Predicted against true band energies.

from skldos.plotting import ParityDisplay

ParityDisplay.from_predictions(
    table["band_energy_true"] / table["n_atoms"],
    table["band_energy"] / table["n_atoms"],
    hue=table["temperature"],
    hue_label="T (K)",
)

# %%
# What does the weight of the sum do? Without it, errors of atoms with the same sign add up.

from sklearn.model_selection import cross_val_score

from skldos import BandEnergyScorer

for weight in (0.0, 1e2, 1e5):
    weighted = models.atoms(dos_weight=weight)
    scores = cross_val_score(weighted, snapshots, scoring=BandEnergyScorer(), cv=4)
    print(f"dos_weight={weight:g}: {-scores.mean():.1f} meV/atom")

# %%
# ``CSNNRegressor``, a network of convolutions on spheres, learns its own features. This is its
# input for one atom: the neighbours at about one distance, as a map of the sphere of that radius.
# Such a network needs far more than eight snapshots.

from skldos import AtomEnvTransformer
from skldos.plotting import EnvironmentDisplay

environments = AtomEnvTransformer(n_spheres=8, assignment="smooth").fit(snapshots)
EnvironmentDisplay.from_estimator(environments, snapshots[7], atom=0)
