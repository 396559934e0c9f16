"""A small potential, cells of aluminium, and their forces."""

from ase.build import bulk
from ase.calculators.emt import EMT
from sklearn.pipeline import make_pipeline

from skldos import AtomSNAPTransformer, FreeEnergyRegressor, Snapshot

POTENTIAL = make_pipeline(
    AtomSNAPTransformer(r_cut=3.5, twojmax=2, n_jobs=1), FreeEnergyRegressor(alphas=(1e-6,))
)


def rattled(width=0.05, n=2, first_seed=0):
    """Return displaced cells of aluminium."""
    cells = [bulk("Al", cubic=True) for _ in range(n)]
    for seed, atoms in enumerate(cells):
        atoms.rattle(width, seed=first_seed + seed)
    return cells


def answer(atoms):
    """Return a snapshot of the atoms with their energy and forces."""
    atoms.calc = EMT()
    found = {"total_energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    return Snapshot(atoms, reference=found)
