"""Every public transformer, decomposer, scorer, term and network obeys the laws of its kind.

They are found by walking the packages: a new class without an example here makes a test fail.
"""

import inspect

import numpy as np
import pytest
from ase.build import bulk
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    ADOSDecomposer,
    AtomEnvTransformer,
    AtomSNAPTransformer,
    AtomSOAPTransformer,
    BandEnergyScorer,
    BlockUnion,
    DensityScorer,
    DOSScorer,
    ForceScorer,
    GaussianPotentialDecomposer,
    GridSNAPTransformer,
    GridSOAPTransformer,
    RowWise,
    Snapshot,
    SnapshotList,
    StressScorer,
    TotalEnergyScorer,
    decomposition,
    descriptors,
    networks,
    scoring,
)
from skldos.datasets import load_silicon_pseudopotentials, make_snapshots
from skldos.physics import Pseudopotential, terms
from skldos.testing import (
    decomposer_checks,
    network_checks,
    scorer_checks,
    term_checks,
    transformer_checks,
)

SNAP = {"twojmax": 2, "r_cut": 3.0, "n_jobs": 1}
ALLOY = {"weights": {"Al": 1.0, "Mg": 0.6}, "radii": {"Al": 1.0, "Mg": 0.8}}
SOAP = {"r_cut": 3.0, "n_max": 2, "l_max": 1}
SPHERES = {"n_spheres": 3, "subdivisions": 0, "r_cut": 3.5, "n_jobs": 1, "dtype": "float64"}


def alloy(grid_shape=(4, 4, 4)):
    """Three snapshots of two elements, in oblique cells that are smaller than a cutoff."""
    rng = np.random.default_rng(0)
    snapshots = []
    for _ in range(3):
        atoms = bulk("Al", cubic=True)
        atoms.symbols = ["Al", "Mg", "Al", "Mg"]
        atoms.set_cell(atoms.cell.array * [0.9, 1.0, 1.1] + 0.3 * rng.normal(size=(3, 3)), True)
        atoms.positions += rng.normal(scale=0.1, size=(4, 3))
        ldos = rng.random((*grid_shape, 4))
        energies, density = [0.0, 1.0, 2.0, 3.0], ldos.sum(axis=-1)
        snapshots.append(Snapshot(atoms, energies=energies, ldos=ldos, density=density))
    return SnapshotList(snapshots)


def silicon():
    """Three snapshots of displaced silicon whose density is one of long waves."""
    rng = np.random.default_rng(0)
    snapshots = []
    x = 2 * np.pi * np.arange(15) / 15
    for _ in range(3):
        atoms = bulk("Si")
        atoms.positions += rng.normal(scale=0.1, size=(2, 3))
        wave = np.cos(x[:, None, None] + rng.random()) + np.sin(x[:, None] + rng.random())
        density = (1 + 0.1 * (wave + np.cos(x + rng.random()))) * 8 / atoms.cell.volume
        snapshots.append(Snapshot(atoms, density=density, reference={"ecutrho": 6.0}))
    return SnapshotList(snapshots)


def smooth():
    """Three snapshots whose density is cut off within the waves that oblique cells have."""
    made = make_snapshots(3, grid_shape=(12, 12, 12), n_energies=5, random_state=0)
    return SnapshotList([snapshot.replace(reference={"ecutrho": 3.5}) for snapshot in made])


#: Class -> examples: objects, and snapshots if not those by default.
TRANSFORMERS = {
    GridSNAPTransformer: [
        (GridSNAPTransformer(**SNAP), None),
        (GridSNAPTransformer(**SNAP, **ALLOY), alloy()),
        (GridSNAPTransformer(**SNAP, weights=ALLOY["weights"], chem=True), alloy((2, 2, 2))),
    ],
    AtomSNAPTransformer: [
        (AtomSNAPTransformer(**SNAP), None),
        (AtomSNAPTransformer(**SNAP, **ALLOY), alloy()),
        (AtomSNAPTransformer(**SNAP, **ALLOY, chem=True), alloy()),
    ],
    GridSOAPTransformer: [(GridSOAPTransformer(**SOAP), alloy())],
    AtomSOAPTransformer: [
        (AtomSOAPTransformer(**SOAP), None),
        (AtomSOAPTransformer(**SOAP, rbf="polynomial", species=["Mg", "Al", "Na"]), alloy()),
        (AtomSOAPTransformer(**SOAP, rbf="gto_n", center_species=True, fade=3.0), alloy()),
    ],
    AtomEnvTransformer: [
        (AtomEnvTransformer(**SPHERES), alloy()),
        (AtomEnvTransformer(**SPHERES, assignment="smooth", center=True), None),
        (AtomEnvTransformer(**SPHERES, assignment="smooth", weights=ALLOY["weights"]), alloy()),
    ],
    BlockUnion: [
        (BlockUnion([("a", AtomSNAPTransformer(**SNAP)), ("b", AtomSOAPTransformer(**SOAP))]), None)
    ],
    RowWise: [(make_pipeline(AtomSNAPTransformer(**SNAP), RowWise(StandardScaler())), None)],
}
DECOMPOSERS = {
    ADOSDecomposer: [
        (ADOSDecomposer(n_jobs=1), None),
        (ADOSDecomposer(sigma=0.6, tolerance=1e-4, n_jobs=1), alloy()),
        (ADOSDecomposer(partition="nearest", n_jobs=1), alloy()),
    ],
    GaussianPotentialDecomposer: [
        (
            GaussianPotentialDecomposer(
                load_silicon_pseudopotentials(), exponents=(0.15, 0.4), functional="lda-pz"
            ),
            silicon(),
        )
    ],
}
SCORERS = {
    BandEnergyScorer: [(BandEnergyScorer(), None), (BandEnergyScorer(unit="eV/atom"), None)],
    TotalEnergyScorer: [
        (TotalEnergyScorer([Pseudopotential("Al", 3, functional="lda-pz")]), smooth())
    ],
    DensityScorer: [(DensityScorer(), None)],
    DOSScorer: [(DOSScorer(), None), (DOSScorer("overlap"), None)],
}
#: They judge models of the free energy; their laws are in tests/scoring/test_forces.py.
OF_FORCES = {ForceScorer, StressScorer}
NETWORKS = {
    networks.FeedForward: [{"hidden_layer_sizes": (5,)}, {"hidden_layer_sizes": ()}],
    networks.MixtureDensity: [
        {"covariance": kind, "hidden_layer_sizes": (5,)}
        for kind in ("full", "diagonal", "low_rank")
    ],
    networks.ConcentricSpherical: [
        {"n_in": 2 * 3 * 12, "shape": (2, 3, 12), "n_spheres": 3, "subdivisions": 0, "factor": 1}
        | {"spheres": spheres}
        for spheres in ("convolution", "channels")
    ],
}
TERMS = {
    "hartree": lambda s: terms.hartree(s.density, s.cell)[0],
    "ewald": lambda s: terms.ewald(s.positions, s.cell, s.charges),
    "exchange_correlation": lambda s: terms.exchange_correlation(
        s.density, s.cell, functional="pbe", core_density=s.core_density
    )[0],
    "core_charge": lambda s: core_energy(s),
}
#: Public names of these packages that are none of the things that are checked here.
OTHERS = {
    *("SnapshotTransformer", "GridTransformer"),  # bases, to be derived from
    *("low_pass", "FUNCTIONALS", "has_core_charge"),  # no energies
    "Backpropagation",  # no module, but the gradient of one
}


def core_energy(system):
    """Return an energy that depends on the charge of pseudo-cores alone."""
    r = np.linspace(0, 4, 401)
    mesh = {"radii": r, "radial_weights": np.full(401, 0.01)}
    atom = Pseudopotential("X", 1, core_density=0.3 * np.exp(-((r / 0.6) ** 2)), **mesh)
    names, grid = ["X"] * len(system.positions), system.density.shape
    core = terms.core_charge(
        system.positions, system.cell, grid, names, {"X": atom}, density_cutoff=90.0
    )
    return terms.hartree(core + 0 * system.density, system.cell)[0]


def classes(package, method):
    found = (getattr(package, name) for name in package.__all__ if name not in OTHERS)
    return {thing for thing in found if inspect.isclass(thing) and hasattr(thing, method)}


def test_nothing_public_is_forgotten():
    assert classes(descriptors, "transform") == set(TRANSFORMERS)
    assert classes(decomposition, "transform") == set(DECOMPOSERS)
    assert classes(scoring, "__call__") == set(SCORERS) | OF_FORCES
    assert classes(networks, "__init__") == set(NETWORKS)
    assert set(terms.__all__) - OTHERS == set(TERMS)


def cases(registry, checks):
    """Return one case per example and check."""
    found = []
    for kind, examples in registry.items():
        for i, example in enumerate(examples):
            for name, check in checks(kind, example):
                found.append(pytest.param(check, id=f"{kind.__name__} {i}: {name}"))
    return found


@pytest.mark.parametrize("check", cases(TRANSFORMERS, lambda _, pair: transformer_checks(*pair)))
def test_transformers(check):
    check()


@pytest.mark.parametrize("check", cases(DECOMPOSERS, lambda _, pair: decomposer_checks(*pair)))
def test_decomposers(check):
    check()


@pytest.mark.parametrize("check", cases(SCORERS, lambda _, pair: scorer_checks(*pair)))
def test_scorers(check):
    check()


@pytest.mark.parametrize(
    "check", cases(NETWORKS, lambda kind, options: network_checks(kind, **options))
)
def test_networks(check):
    check()


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{term}: {name}")
        for term, function in TERMS.items()
        for name, check in term_checks(function)
    ],
)
def test_terms(check):
    check()
