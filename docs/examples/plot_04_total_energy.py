"""
Total energy and density
========================

From the LDOS to the total free energy, term by term as pw.x prints it, and to the electron density:
first for the LDOS of the calculation itself, then for that of a model.
"""

# %%
# Besides the LDOS and the atoms, the total free energy needs the valence, the functional and, if
# there is one, the core charge of each pseudopotential. The bundled data include them; for your
# own, ``skldos.io.read_upf`` reads the file that pw.x used.

from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials

snapshots = load_aluminium()  # four at 298 K, four at 933 K
pseudopotentials = load_aluminium_pseudopotentials()
snapshot = snapshots[0]

# %%
# The total free energy of the LDOS of the calculation:

from skldos import physics

state = {"atoms": snapshot.atoms, "temperature": snapshot.temperature}
state |= {"n_electrons": snapshot.n_electrons, "pseudopotentials": pseudopotentials}
energy = physics.total_energy(snapshot.ldos, snapshot.energies, **state)
print(energy)

# %%
# It is lower than the free energy that pw.x printed, because every level of the LDOS was broadened
# by 0.4 eV. Sharpening undoes most of that.

grid = snapshot.energy_grid
sharpen = physics.sharpening_matrix(
    grid.values, broadening=grid.broadening, kernel=grid.kernel, order=2
)
sharper = physics.total_energy(snapshot.ldos @ sharpen.T, snapshot.energies, **state)
for name, value in (("as it is", energy), ("sharpened", sharper)):
    error = 1e3 * (value.total - snapshot.reference["total_energy"]) / len(snapshot.atoms)
    print(f"LDOS {name}: {error:+.2f} meV/atom from pw.x")

# %%
# A model that is trained on three snapshots at each temperature.

from skldos import models

model = models.grid(max_epochs=20, random_state=0)
training, test = snapshots[[0, 1, 2, 4, 5, 6]], snapshots[[3, 7]]
model.fit(training)

# %%
# Errors of energies in meV/atom, and of the density in 1/Å³ and in per cent. The error of the total
# energy is larger than that of the band energy: it also depends on how errors are spread in space.

from skldos import evaluate

table = evaluate(model, test, pseudopotentials=pseudopotentials, density=True)
errors = [name for name in table if name.endswith("error")]
print(table[["temperature", *errors]].T.round(4))

# %%
# Predicted against true total energies of all eight snapshots, six of which were in the training.

import numpy as np

from skldos.plotting import ParityDisplay

ParityDisplay.from_estimator(
    model,
    snapshots,
    quantity="total_energy",
    pseudopotentials=pseudopotentials,
    hue=np.where(np.isin(np.arange(8), [3, 7]), "test", "training"),
)

# %%
# The density at all points of the hot test snapshot, and on the plane with the largest error.

from skldos.plotting import DensityDisplay

display = DensityDisplay.from_estimator(model, test[1:])

# %%
#

display.plot(kind="slice")
