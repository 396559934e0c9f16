"""An LDOS in other units, or cut off below, is detected before training."""

import re
import warnings

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skldos import (
    ADOSDecomposer,
    ADOSRegressor,
    AtomSNAPTransformer,
    LDOSRegressor,
    SiteRegressor,
    SiteRidgeCV,
)
from skldos.data import Blocks
from skldos.datasets import load_aluminium
from skldos.exceptions import SnapshotError
from skldos.uncertainty import DeepEnsemble, MCDropout, RidgePosterior

RYDBERG_PER_EV = 13.605693


@pytest.fixture(scope="module")
def aluminium():
    return load_aluminium(temperature=298)[:2]


def times(snapshots, factor):
    return type(snapshots)([s.replace(ldos=factor * s.ldos) for s in snapshots])


def on_grid(snapshots):
    blocks = [np.ones((s.n_grid_points, 2), np.float32) for s in snapshots]
    return Blocks(blocks, snapshots)


def of_atoms(snapshots):
    return Blocks([np.ones((len(s.atoms), 2)) for s in snapshots], snapshots)


MODELS = {
    "net": lambda s: LDOSRegressor(max_epochs=1, random_state=0).fit(on_grid(s)),
    "sites": lambda s: SiteRegressor(Ridge()).fit(on_grid(s)),
    "atoms": lambda s: ADOSRegressor(SiteRegressor(Ridge())).fit(of_atoms(s)),
}


@pytest.mark.parametrize("fit", MODELS.values(), ids=MODELS)
def test_other_units_are_noticed(aluminium, fit):
    said = (
        r"holds 16\d\.\d+ electrons below the Fermi level of its calculation, [\d.]+ eV, instead "
        r"of 12 \(2 of 2 snapshots\)"
    )
    with pytest.warns(UserWarning, match=said):
        fit(times(aluminium, RYDBERG_PER_EV))


@pytest.mark.parametrize("fit", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize(("factor", "warns"), [(1, False), (1.1, True), (0.9, True)])
def test_a_tenth_of_the_electrons_counts(aluminium, fit, factor, warns):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit(times(aluminium, factor))
    assert [bool(re.search("instead of 12", str(w.message))) for w in found] == [True] * warns


def test_targets_that_are_no_densities_of_states_are_left_alone(aluminium):
    SiteRegressor(Ridge()).fit(of_atoms(aluminium), [np.ones((4, 3))] * 2)
    LDOSRegressor(max_epochs=1).fit(on_grid(aluminium), [np.ones((5832, 2), np.float32)] * 2)


def fitted_on(functional, snapshots):
    told = [s.replace(reference={**s.reference, "functional": functional}) for s in snapshots]
    return type(snapshots)(told)


OF_ATOMS = {
    "sites": SiteRegressor(Ridge()),
    "cv": SiteRidgeCV(),
    "atoms": ADOSRegressor(SiteRegressor(Ridge())),
    "posterior": RidgePosterior(SiteRegressor(Ridge())),
    "ensemble": DeepEnsemble(SiteRegressor(Ridge()), 2, bootstrap=True, random_state=0),
    "dropout": MCDropout(LDOSRegressor(module__dropout=0.1, max_epochs=1), 2, random_state=0),
}


@pytest.mark.parametrize("model", OF_ATOMS.values(), ids=OF_ATOMS)
def test_calculations_of_another_functional_are_not_scored(aluminium, model):
    lda, pbe = (fitted_on(name, aluminium) for name in ("lda-pz", "pbe"))
    targets = None if isinstance(model, ADOSRegressor) else ADOSDecomposer().fit_transform(lda)
    model = make_pipeline(AtomSNAPTransformer(twojmax=2, n_jobs=1), model).fit(lda, targets)
    assert model.score(lda, targets) <= 1
    with pytest.raises(SnapshotError, match="same functional: 'lda-pz' and 'pbe' differ"):
        model.score(pbe, targets)
