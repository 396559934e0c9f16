"""
Hot electrons
=============

Free energy and heat capacity of electrons that are hotter than the atoms, from a predicted density
of states.
"""

# %%
# A laser pulse heats electrons within femtoseconds, while the atoms stay cold for picoseconds. The
# density of states hardly changes with the electronic temperature, so one density of states gives
# the electrons at any temperature: occupations change, levels do not (frozen DOS).
#
# A model of the atom-decomposed density of states predicts it for atoms at 933 K.

from skldos import models, predict_dos
from skldos.datasets import load_aluminium

snapshots = load_aluminium(temperature=933)
model = models.atoms().fit(snapshots[:3])
test = snapshots[3]
(predicted,) = predict_dos(model, [test])  # 1/eV
n_atoms = len(test.atoms)

# %%
# The energies of the data end 2 eV above the Fermi level, which is enough for temperatures up to
# 2300 K, 10 kT. Hotter electrons need data that reach higher.

import numpy as np

from skldos.physics import electronic_free_energy, electronic_heat_capacity

temperatures = np.linspace(100, 2300, 45)  # K, of the electrons
curves = {}
for name, dos in (("true", test.dos()), ("predicted", predicted)):
    state = {"temperature": temperatures, "n_electrons": test.n_electrons}
    free_energy = electronic_free_energy(dos[None], test.energies, **state)  # eV
    heat_capacity = electronic_heat_capacity(dos[None], test.energies, **state)  # eV/K
    curves[name] = free_energy - free_energy[0], heat_capacity

# %%
# The change of the free energy, and the heat capacity in units of the Boltzmann constant. It grows
# in proportion to the temperature where the density of states is flat (Sommerfeld).

import matplotlib.pyplot as plt

from skldos.units import BOLTZMANN

figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), dpi=120, layout="constrained")
for (name, curve), style in zip(
    curves.items(), ({"lw": 4, "alpha": 0.4}, {"lw": 1.4}), strict=True
):
    axes[0].plot(temperatures, 1e3 * curve[0] / n_atoms, color="#0072B2", label=name, **style)
    axes[1].plot(temperatures, curve[1] / BOLTZMANN / n_atoms, color="#0072B2", **style)
axes[0].set(xlabel="electronic temperature (K)", ylabel="change of free energy (meV/atom)")
axes[1].set(xlabel="electronic temperature (K)", ylabel="heat capacity (k/atom)")
axes[0].legend(frameon=False)

# %%
# How far is the prediction off?

for quantity, unit, scale in ((0, "meV/atom", 1e3), (1, "k/atom", 1 / BOLTZMANN)):
    error = scale * np.abs(curves["predicted"][quantity] - curves["true"][quantity]).max() / n_atoms
    print(f"largest error: {error:.4f} {unit}")
