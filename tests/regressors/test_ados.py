"""Targets computed in fit: no y, and searches over the decomposition."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    AtomEnvTransformer,
    AtomSNAPTransformer,
    BandEnergyScorer,
    CSNNRegressor,
    GridSNAPTransformer,
    LDOSRegressor,
    RidgePosterior,
    RowWise,
    predict_dos,
)
from skldos.data import Blocks
from skldos.decomposition import ADOSDecomposer
from skldos.exceptions import SnapshotError
from skldos.regressors.ados import ADOSRegressor
from skldos.regressors.site import SiteRegressor


def make_model(regressor=None, decomposer=None):
    regressor = SiteRegressor(Ridge(1e-2), dos_weight=10) if regressor is None else regressor
    return make_pipeline(
        AtomSNAPTransformer(twojmax=4, n_jobs=1),
        RowWise(StandardScaler()),
        ADOSRegressor(regressor, decomposer),
    )


def test_a_pipeline_fits_snapshots_without_y(snapshots):
    model = make_model().fit(snapshots)
    blocks = model.predict(snapshots)
    assert isinstance(blocks, Blocks)
    assert [block.shape for block in blocks] == [(4, 11)] * 6
    # The same by hand.
    X = model[:-1].transform(snapshots)
    targets = ADOSDecomposer().fit_transform(snapshots)
    by_hand = SiteRegressor(Ridge(1e-2), dos_weight=10).fit(X, targets).predict(X)
    np.testing.assert_allclose(np.concatenate(blocks), np.concatenate(by_hand), rtol=1e-10)
    assert np.array_equal(model[-1].energies_, snapshots[0].energies)


def test_sums_are_densities_of_states(snapshots):
    model = make_model().fit(snapshots)
    sums = [block.sum(axis=0) for block in model.predict(snapshots)]
    np.testing.assert_allclose(predict_dos(model, snapshots), sums, rtol=1e-12)
    X = model[:-1].transform(snapshots)
    np.testing.assert_allclose(model[-1].predict_sum(X), sums, rtol=1e-12)
    for dos, snapshot in zip(sums, snapshots, strict=True):
        np.testing.assert_allclose(dos, snapshot.dos(), atol=0.05 * snapshot.dos().max())


def test_the_band_energy_scorer_judges_it(snapshots):
    scores = cross_val_score(
        make_model(), snapshots, scoring=BandEnergyScorer(), cv=3, error_score="raise"
    )
    scatter = np.std([s.reference["band_energy"] for s in snapshots]) / 4 * 1e3
    assert (scores > -scatter).all()
    assert (scores < 0).all()


def test_the_decomposition_is_searched(snapshots):
    grid = {
        "adosregressor__decomposer__sigma": [0.6, 1.3],
        "adosregressor__decomposer__partition": ["gaussian", "nearest"],
        "adosregressor__regressor__regressor__alpha": [1e-3],
    }
    search = GridSearchCV(make_model(), grid, scoring=BandEnergyScorer(), cv=2).fit(snapshots)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    # "nearest" has no sigma: of four, three differ.
    assert len(set(scores)) == 3


def test_targets_are_kept_for_other_folds(snapshots, tmp_path, monkeypatch):
    calls = []
    compute = ADOSDecomposer.compute

    def counted(self, snapshot, start, stop):
        calls.append(snapshot)
        return compute(self, snapshot, start, stop)

    monkeypatch.setattr(ADOSDecomposer, "compute", counted)
    model = make_model(decomposer=ADOSDecomposer(memory=str(tmp_path)))
    cross_val_score(model, snapshots, scoring=BandEnergyScorer(), cv=3)
    assert len(calls) == 6


def test_ldos_as_y_is_decomposed(snapshots):
    doubled = [2 * snapshot.ldos for snapshot in snapshots]
    bare = [s.replace(ldos=None, grid_shape=s.grid_shape) for s in snapshots]
    expected = make_model().fit(snapshots).predict(snapshots)
    predicted = make_model().fit(bare, doubled).predict(snapshots)
    np.testing.assert_allclose(predicted[0], 2 * expected[0], rtol=1e-5)


def test_score_is_that_of_the_atoms(snapshots):
    model = make_model().fit(snapshots)
    true = np.concatenate(ADOSDecomposer().fit_transform(snapshots))
    error = np.square(true - np.concatenate(model.predict(snapshots))).sum()
    expected = 1 - error / np.square(true - true.mean(axis=0)).sum()
    assert 0.5 < expected < 1
    assert model.score(snapshots) == pytest.approx(expected, rel=1e-10)


def test_parameters_and_clones(snapshots):
    model = ADOSRegressor(SiteRegressor(Ridge()))
    params = model.get_params()
    assert params["decomposer__sigma"] == 1.3
    assert params["regressor__regressor__alpha"] == 1.0
    copy = clone(model).set_params(decomposer__sigma=0.5)
    assert (copy.decomposer.sigma, model.decomposer.sigma) == (0.5, 1.3)
    assert ADOSRegressor(SiteRegressor(Ridge())).decomposer.sigma == 1.3
    fitted = make_model(decomposer=copy.decomposer).fit(snapshots)
    assert not hasattr(copy.decomposer, "energies_")
    assert fitted[-1].decomposer_.sigma == 0.5


# -------------------------------------------------------------------- mistakes


def test_blocks_must_be_of_atoms_and_know_them(snapshots):
    regressor = ADOSRegressor(SiteRegressor(Ridge()))
    with pytest.raises(ValueError, match="needs blocks that are linked to snapshots, got ndarray"):
        regressor.fit(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="put a transformer such as AtomSNAPTransformer before"):
        regressor.fit(snapshots)
    grid = GridSNAPTransformer(twojmax=2).fit_transform(snapshots)
    with pytest.raises(
        ValueError, match=r"X\[0\] must have one row per atom of .*, got 64: .* AtomSOAPTransformer"
    ):
        regressor.fit(grid)


def test_snapshots_must_have_an_ldos(snapshots):
    bare = [snapshot.atoms for snapshot in snapshots]
    with pytest.raises(SnapshotError, match="lacks ldos"):
        make_model().fit(bare)
    with pytest.raises(ValueError, match="X has 6 blocks, but y has 5"):
        make_model().fit(snapshots, [snapshot.ldos for snapshot in snapshots[:5]])


def test_features_are_counted(snapshots):
    model = make_model().fit(snapshots)
    assert model[-1].n_features_in_ == model[0].n_features_out_ == 14
    environments = AtomEnvTransformer(n_spheres=2, subdivisions=0, n_jobs=1)
    X = environments.fit_transform(snapshots)
    network = CSNNRegressor(module__factor=1, max_epochs=1, random_state=0)
    assert ADOSRegressor(network).fit(X).n_features_in_ == 2 * 12


@pytest.mark.parametrize(("off", "even"), [(0.5e-6, True), (2e-6, False)])
def test_energies_of_aligned_states_are_even_to_a_millionth(snapshots, off, even):
    energies = snapshots[0].energies.copy()
    energies[5:] += off * (energies[1] - energies[0])
    uneven = [s.replace(energies=energies, reference={}) for s in snapshots]
    X = AtomSNAPTransformer(twojmax=2, n_jobs=1).fit_transform(uneven)
    model = ADOSRegressor(SiteRegressor(Ridge(1e-2)), align="fermi")
    if even:
        assert np.isfinite(model.fit(X).predict(X)[0]).all()
    else:
        with pytest.raises(ValueError, match="needs evenly spaced energies"):
            model.fit(X)


def test_uncertainties_need_states_in_one_frame(snapshots):
    X = AtomSNAPTransformer(twojmax=2, n_jobs=1).fit_transform(snapshots)
    posterior = RidgePosterior(SiteRegressor(Ridge(1e-2)), random_state=0)
    mean, std = ADOSRegressor(posterior).fit(X).predict(X, return_std=True)
    assert [block.shape for block in std] == [block.shape for block in mean]
    aligned = ADOSRegressor(SiteRegressor(Ridge(1e-2)), align="fermi").fit(X)
    assert not hasattr(aligned, "predict_lazy")
    plain = ADOSRegressor(LDOSRegressor(max_epochs=1, random_state=0)).fit(X)
    np.testing.assert_array_equal(plain.predict_lazy(X)[0][:], plain.predict(X)[0])
