"""Machine-learned density functional theory in plain scikit-learn.

From atoms to energies: descriptors of every grid point (transformers), a network that maps them to
the local density of states (regressors), and its integrals (physics), combined in scikit-learn
pipelines and evaluated by scorers. See the documentation for a tour.
"""

from importlib import import_module

__version__ = "0.1.0"

# The module of each public name. Names are imported on first use, so that ``import skldos`` and
# worker processes start fast. They are everything that a script needs to train, evaluate and use a
# model: data, transformers, regressors, scorers, searches, calculators. Displays, and tools for
# searches (pruners, samplers, statistics), are in submodules.
_HOMES = {
    "ArrayFile": "data",
    "EnergyGrid": "data",
    "Snapshot": "data",
    "SnapshotList": "data",
    "GridSNAPTransformer": "descriptors",
    "AtomSNAPTransformer": "descriptors",
    "GridSOAPTransformer": "descriptors",
    "AtomSOAPTransformer": "descriptors",
    "AtomEnvTransformer": "descriptors",
    "BlockUnion": "descriptors",
    "RowWise": "descriptors",
    "ADOSDecomposer": "decomposition",
    "GaussianPotentialDecomposer": "decomposition",
    "LDOSRegressor": "regressors",
    "CSNNRegressor": "regressors",
    "MDNRegressor": "regressors",
    "SiteRegressor": "regressors",
    "SiteRidgeCV": "regressors",
    "ADOSRegressor": "regressors",
    "FreeEnergyRegressor": "regressors",
    "BandEnergyScorer": "scoring",
    "TotalEnergyScorer": "scoring",
    "DensityScorer": "scoring",
    "DOSScorer": "scoring",
    "ForceScorer": "scoring",
    "StressScorer": "scoring",
    "predict": "tables",
    "evaluate": "scoring",
    "predict_dos": "prediction",
    "predict_density": "prediction",
    "predict_forces": "prediction",
    "predict_ldos": "prediction",
    "LDOSCalculator": "calculator",
    "FreeEnergyCalculator": "calculator",
    "MonteCarlo": "calculator",
    "MCDropout": "uncertainty",
    "DeepEnsemble": "uncertainty",
    "RidgePosterior": "uncertainty",
    "energy_uncertainty": "uncertainty",
    "save": "persistence",
    "load": "persistence",
    "model_card": "persistence",
    "SnapshotSelector": "active",
    "OnTheFlyLearner": "active",
    "NASWOTScorer": "search",
    "ReadoutScorer": "search",
    "ACSDScorer": "search",
    "MutualInformationScorer": "search",
    "OrthogonalArraySearchCV": "search",
    "DirectSearchCV": "search",
    "StudySearchCV": "search",
}
_SUBMODULES = (
    *("units", "exceptions", "geometry", "physics", "data", "io", "descriptors"),
    *("decomposition", "networks", "datasets", "prediction", "scoring", "regressors", "calculator"),
    *("search", "uncertainty", "active", "models", "persistence", "plotting", "testing"),
)

# ``from skldos import *`` imports no submodules: ``io`` would replace Python's module.
__all__ = [*_HOMES]


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(f"skldos.{_HOMES[name]}"), name)
    if name in _SUBMODULES:
        return import_module(f"skldos.{name}")
    raise AttributeError(f"module 'skldos' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__, *_SUBMODULES])
