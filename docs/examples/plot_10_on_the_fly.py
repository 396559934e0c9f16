"""
Learning on the fly
===================

Dynamics that asks for the calculations it needs: error bars decide, and every answer is learned.
"""

# %%
# The reference is EMT here, so that the example runs anywhere. With Quantum ESPRESSO installed it
# would be ``EspressoRecipe({"Al": "Al.pz-vbc.UPF"}, energies=None, ecutwfc=12, kpts=(4, 4, 4),
# temperature=933)``, and nothing else would change.

from ase.build import bulk
from ase.calculators.emt import EMT
from sklearn.pipeline import make_pipeline

from skldos import AtomSOAPTransformer, FreeEnergyRegressor

reference = EMT()
potential = make_pipeline(
    AtomSOAPTransformer(r_cut=5.0, n_max=4, l_max=3, n_jobs=1), FreeEnergyRegressor()
)
initial = [bulk("Al", cubic=True).repeat((2, 1, 1)) for _ in range(2)]
for seed, cell in enumerate(initial):
    cell.rattle(0.05, seed=seed)

# %%
# The model begins with two cells hardly displaced, and is then heated to 1500 K, where it has never
# been. It asks where the expected error of a force exceeds 0.05 eV/Å.

import tempfile

import numpy as np
from ase import units
from ase.md.langevin import Langevin

from skldos import OnTheFlyLearner

folder = tempfile.mkdtemp()  # a folder of yours, from which a killed run goes on
learner = OnTheFlyLearner(potential, reference, initial, folder, threshold=0.05)
atoms = initial[0].copy()
options = {"temperature_K": 1500, "friction": 0.01 / units.fs, "fixcm": False}
dynamics = Langevin(atoms, 3 * units.fs, rng=np.random.default_rng(0), **options)
learner.run(dynamics, 120)

# %%
# What was asked, and why.

print(learner.asked.drop(columns=["reference_seconds", "fit_seconds"]).round(3).to_string())

# %%
# Error bars over time, and the true errors where the reference was asked. A *check* is a question
# that no error bar asked for: the first ones correct error bars that are too small.

from skldos.plotting import OnTheFlyDisplay

display = OnTheFlyDisplay.from_learner(learner)

# %%
# In the end, the forces along the rest of the run are right without a question.

errors = []
for _ in range(5):
    dynamics.run(10)
    check = atoms.copy()
    check.calc = reference
    errors.append(np.sqrt(np.mean((atoms.get_forces() - check.get_forces()) ** 2)))
print(f"force errors after {len(learner.snapshots)} calculations:", np.round(errors, 3), "eV/Å")
