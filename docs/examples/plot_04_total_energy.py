"""
Total energy and density
========================

From the LDOS to the total free energy, term by term as pw.x prints it, and to the electron density:
first those of the calculation itself, then those of a model.
"""

# %%
# The terms of the density and of the ions need two things to be known of a pseudopotential: its
# valence and its functional, and, where it has one, its core charge. Those of the bundled data come
# with them; for your own ``skldos.io.read_upf`` reads the file that pw.x used.

from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials

snapshots = load_aluminium()  # four at 298 K, four at 933 K
pseudopotentials = load_aluminium_pseudopotentials()
snapshot = snapshots[0]

# %%
# What the LDOS of the calculation gives:

from skldos import physics

state = {"atoms": snapshot.atoms, "temperature": snapshot.temperature}
state |= {"n_electrons": snapshot.n_electrons, "pseudopotentials": pseudopotentials}
energy = physics.total_energy(snapshot.ldos, snapshot.energies, **state)
print(energy)

# %%
# It is lower than the free energy that pw.x printed, because every level of the LDOS was broadened
# by 0.4 eV. Most of that can be undone.

grid = snapshot.energy_grid
sharpen = physics.sharpening_matrix(
    grid.values, broadening=grid.broadening, kernel=grid.kernel, order=2
)
sharper = physics.total_energy(snapshot.ldos @ sharpen.T, snapshot.energies, **state)
for name, value in (("as it is", energy), ("sharpened", sharper)):
    error = 1e3 * (value.total - snapshot.reference["total_energy"]) / len(snapshot.atoms)
    print(f"LDOS {name}: {error:+.2f} meV/atom from pw.x")

# %%
# A model that has seen three snapshots at each temperature.

from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.optim import AdamW

from skldos import GridSNAPTransformer, LDOSRegressor, RowWise

model = make_pipeline(
    GridSNAPTransformer(twojmax=6, rcut=4.0),
    RowWise(StandardScaler()),
    RowWise(PCA(whiten=True)),
    LDOSRegressor(
        module__hidden_layer_sizes=(100,),
        optimizer=AdamW,
        optimizer__weight_decay=0.3,
        batch_size=200,
        lr=3e-3,
        lr_schedule="cosine",
        max_epochs=20,
        target_scaling="standard",
        random_state=0,
    ),
)
training, test = snapshots[[0, 1, 2, 4, 5, 6]], snapshots[[3, 7]]
model.fit(training)

# %%
# Errors of energies in meV/atom, of the density in 1/Å³ and in per cent. The total energy is not as
# good as the band energy: it depends on the density, and so on how errors are spread in space.

from skldos import evaluate

table = evaluate(model, test, pseudopotentials=pseudopotentials, density=True)
errors = [name for name in table if name.endswith("error")]
print(table[["temperature", *errors]].T.round(4))

# %%
# Predicted against true total energies of all eight; six of them the model has seen.

import numpy as np

from skldos import ParityDisplay

ParityDisplay.from_estimator(
    model,
    snapshots,
    quantity="total_energy",
    pseudopotentials=pseudopotentials,
    hue=np.where(np.isin(np.arange(8), [3, 7]), "test", "training"),
)

# %%
# The density at all points of the hot test snapshot, and on the plane with the largest error.

from skldos import DensityDisplay

display = DensityDisplay.from_estimator(model, test[1:])

# %%
#

display.plot(kind="slice")
