"""The models and the liquid that the studies of dynamics share."""

import joblib
import numpy as np

from benchmarks.common import harness
from benchmarks.common.snapshots import read_snapshot

FOLDER = harness.OUTPUT / "dynamics_runs"
#: Liquid of 2.70 g/cm³ begins as a crystal that is shaken and melted.
LATTICE = 4.05


def read_al32(data):
    """Return the 21 snapshots of 32 atoms, names as their files."""
    paths = sorted((data / "al32").glob("*.npz"))
    return [read_snapshot(path).replace(name=path.stem) for path in paths]


def snap(twojmax):
    """Return an unfitted potential on the bispectrum."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos import AtomSNAPTransformer, FreeEnergyRegressor, RowWise

    transformer = AtomSNAPTransformer(r_cut=5.0, twojmax=twojmax, n_jobs=1)
    return make_pipeline(transformer, RowWise(StandardScaler()), FreeEnergyRegressor())


def potentials():
    """Return unfitted pipelines by name."""
    from skldos import models

    return {"SOAP": models.potential(r_cut=5.0), "SNAP": snap(8)}


def dos_model():
    """Return an unfitted linear model of the ADOS with the descriptors of the SOAP potential."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    from skldos import ADOSRegressor, RowWise, SiteRegressor

    return make_pipeline(
        potentials()["SOAP"][0],
        RowWise(Normalizer()),
        ADOSRegressor(SiteRegressor(Ridge(1e-5), dos_weight=1e4)),
    )


def fitted(data):
    """Return the models, fitted to all 21 snapshots: potentials by name, and ``"DOS"``."""
    path = FOLDER / "models.joblib"
    if path.exists():
        return joblib.load(path)
    snapshots = read_al32(data)
    found = {name: model.fit(snapshots) for name, model in potentials().items()}
    found["DOS"] = dos_model().fit(snapshots)
    path.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(found, path)
    return found


def liquid(model, repeat, temperature=933.0, steps=600, seed=0):
    """Return a liquid of 4 repeat³ atoms: melted at 2500 K, then brought to a temperature."""
    path = FOLDER / f"liquid_{4 * repeat**3}.joblib"
    if path.exists():
        return joblib.load(path)
    from ase import units
    from ase.build import bulk
    from ase.md.langevin import Langevin

    from skldos import FreeEnergyCalculator

    atoms = bulk("Al", cubic=True, a=LATTICE).repeat(repeat)
    atoms.rattle(0.3, seed=seed)
    atoms.calc = FreeEnergyCalculator(model)
    for kelvin, part in ((2500.0, 0.5), (temperature, 0.5)):
        options = {"temperature_K": kelvin, "friction": 0.02, "fixcm": False}
        rng = np.random.default_rng(seed)
        Langevin(atoms, 3 * units.fs, rng=rng, **options).run(int(part * steps))
    atoms.calc = None
    path.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(atoms, path)
    return atoms
