"""Machine-learned density functional theory in plain scikit-learn.

From atoms to energies: descriptors of every grid point (transformers), a network that maps
them to the local density of states (regressors), and its integrals (physics), combined in
scikit-learn pipelines and judged by scorers. See the documentation for a tour.
"""

from importlib import import_module

__version__ = "0.1.0"

# Where each public name lives. They are imported on first use, so that ``import skldos`` and
# every worker process start fast.
_HOMES = {
    "ArrayFile": "data",
    "EnergyGrid": "data",
    "Snapshot": "data",
    "SnapshotList": "data",
    "GridSNAPTransformer": "descriptors",
    "AtomSNAPTransformer": "descriptors",
    "SOAPTransformer": "descriptors",
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
    "BandEnergyScorer": "scoring",
    "TotalEnergyScorer": "scoring",
    "DensityScorer": "scoring",
    "DOSScorer": "scoring",
    "evaluate": "scoring",
    "predict_dos": "scoring",
    "predict_density": "scoring",
    "LDOSCalculator": "calculator",
    "MCDropout": "uncertainty",
    "DeepEnsemble": "uncertainty",
    "RidgePosterior": "uncertainty",
    "energy_uncertainty": "uncertainty",
    "SnapshotSelector": "design",
    "NASWOTScorer": "search",
    "ReadoutScorer": "search",
    "ACSDScorer": "search",
    "MutualInformationScorer": "search",
    "OrthogonalArraySearchCV": "search",
    "DirectSearchCV": "search",
    "StudySearchCV": "search",
    "NASWOTPruner": "search",
    "screen_candidates": "search",
    "DOSDisplay": "plotting",
    "ADOSDisplay": "plotting",
    "ParityDisplay": "plotting",
    "EnvironmentDisplay": "plotting",
    "CalibrationDisplay": "plotting",
    "SearchDisplay": "plotting",
    "DensityDisplay": "plotting",
}
_SUBMODULES = (
    *("units", "exceptions", "geometry", "physics", "data", "io", "descriptors"),
    *("decomposition", "networks", "datasets", "scoring", "regressors", "calculator"),
    *("search", "uncertainty", "design", "plotting"),
)

__all__ = [*_HOMES, *_SUBMODULES]


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(f"skldos.{_HOMES[name]}"), name)
    if name in _SUBMODULES:
        return import_module(f"skldos.{name}")
    raise AttributeError(f"module 'skldos' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
