"""
Densities of states of atoms
============================

The density of states parted among the atoms, and learned in closed form: one prediction per atom
instead of one per grid point, for band energies alone.
"""

# %%
# Every grid point belongs to the atoms around it, by Gaussians that are 1.3 Å wide. What each atom
# gets is its density of states; they add up to that of the cell.

import numpy as np

from skldos import ADOSDecomposer
from skldos.datasets import load_aluminium

snapshots = load_aluminium()  # four at 298 K, four at 933 K
blocks = ADOSDecomposer(n_jobs=1).fit_transform(snapshots)  # one row per atom, in 1/eV
print(blocks[7].shape)
print(f"largest difference: {np.abs(blocks[7].sum(axis=0) - snapshots[7].dos()).max():.0e} 1/eV")

# %%
# The four atoms of a hot cell are nearly alike. How their densities of states differ from the mean:

import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(6.4, 3.6), dpi=120)
for i, difference in enumerate(blocks[7] - blocks[7].mean(axis=0)):
    ax.plot(snapshots[7].energies, 1e3 * difference, label=f"atom {i}")
ax.set(xlabel="energy (eV)", ylabel="difference from the mean (10⁻³/eV)")
ax.legend(frameon=False)

# %%
# A model from the surroundings of an atom to its density of states: SOAP vectors of unit length and
# ridge regression. ``ADOSRegressor`` makes the targets inside ``fit``, so that the pipeline takes
# snapshots. ``SiteRegressor`` gives weight to the error of the sum over the atoms and to that of
# the band energy, which is what counts; both keep the fit a system of linear equations. The
# settings were chosen on other cells of aluminium, of 32 atoms.

from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from skldos import ADOSRegressor, RowWise, SiteRegressor, SOAPTransformer

model = make_pipeline(
    SOAPTransformer(centers="atoms", r_cut=8.0, n_max=12, l_max=8, sigma=0.6),
    RowWise(Normalizer()),
    ADOSRegressor(
        SiteRegressor(Ridge(1e-5), dos_weight=100, band_weight=1e4), ADOSDecomposer(n_jobs=1)
    ),
)

# %%
# Each snapshot is predicted by a model of the seven others. Errors are in meV (Fermi level) and
# meV/atom (band energy); those of the density of states, by ``DOSScorer``, in per cent.

import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import LeaveOneOut, cross_val_score

from skldos import DOSScorer, evaluate

rows = []
for training, test in LeaveOneOut().split(snapshots):
    fitted = clone(model).fit(snapshots[list(training)])
    rows.append(evaluate(fitted, snapshots[list(test)]))
table = pd.concat(rows, ignore_index=True)
print(table[["temperature", "fermi_level_error", "band_energy_error"]].round(2))
print(-cross_val_score(model, snapshots, cv=LeaveOneOut(), scoring=DOSScorer()).round(2))

# %%
# Predicted against true band energies.

from skldos import ParityDisplay

ParityDisplay.from_predictions(
    table["band_energy_true"] / table["n_atoms"],
    table["band_energy"] / table["n_atoms"],
    hue=table["temperature"],
    hue_label="T (K)",
)

# %%
# What do the weights do, and does another descriptor do as well? Errors without weights, with the
# first, with both. A search could vary the partition as well
# (``adosregressor__decomposer__sigma``).

from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from skldos import AtomSNAPTransformer, BandEnergyScorer

candidates = {
    "SOAP": model,
    "SNAP": make_pipeline(
        AtomSNAPTransformer(rcut=5.0, twojmax=6, n_jobs=1),
        RowWise(StandardScaler()),
        ADOSRegressor(SiteRegressor(Ridge(1.0)), ADOSDecomposer(n_jobs=1)),
    ),
}
weights = [
    {"adosregressor__regressor__dos_weight": [dos], "adosregressor__regressor__band_weight": [band]}
    for dos, band in ((None, None), (100, None), (100, 1e4))
]
for name, candidate in candidates.items():
    search = GridSearchCV(candidate, weights, scoring=BandEnergyScorer(), cv=LeaveOneOut())
    scores = search.fit(snapshots).cv_results_["mean_test_score"]
    print(name, ", ".join(f"{-score:.1f}" for score in scores), "meV/atom")

# %%
# Instead of descriptors made by hand, ``CSNNRegressor``, a network of convolutions on spheres,
# learns what matters of an environment from the neighbours themselves. This is what it sees of an
# atom: the neighbours at about one distance on the sphere of that radius, as a map of its surface.
# Such a network needs far more than eight snapshots.

from skldos import AtomEnvTransformer, EnvironmentDisplay

environments = AtomEnvTransformer(n_spheres=8, assignment="smooth").fit(snapshots)
EnvironmentDisplay.from_estimator(environments, snapshots[7], atom=0)
