"""Uncertainties of energies: sample by sample, to first order, on grids and on atoms."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    AtomSOAPTransformer,
    GridSNAPTransformer,
    LDOSRegressor,
    RowWise,
    SiteRegressor,
    SnapshotList,
    evaluate,
)
from skldos.data import Blocks
from skldos.exceptions import ScoringError
from skldos.io import read_npz
from skldos.physics import band_energy, fermi_level
from skldos.uncertainty import (
    DeepEnsemble,
    MCDropout,
    RidgePosterior,
    energy_covariance,
    energy_uncertainty,
)


def network(dropout=0.0):
    options = {"module__hidden_layer_sizes": (8,), "module__dropout": dropout}
    return LDOSRegressor(lr=1e-2, max_epochs=20, random_state=0, **options)


def on_grid(regressor):
    steps = GridSNAPTransformer(twojmax=2, n_jobs=1), RowWise(StandardScaler())
    return make_pipeline(*steps, regressor)


def test_energies_of_every_sample_by_hand(snapshots):
    model = on_grid(DeepEnsemble(network(), 3, random_state=0)).fit(snapshots[:4])
    table = energy_uncertainty(model, snapshots[4:])
    s, member = snapshots[4], model[-1].estimators_
    dos = model[-1].sample_sums(model[:-1].transform(snapshots[4:]))[:, 0] * s.voxel_volume
    mu = fermi_level(dos, s.energies, temperature=s.temperature, n_electrons=s.n_electrons)
    energy = band_energy(dos, s.energies, temperature=s.temperature, fermi_level=mu)
    n = len(s.atoms)
    assert (len(member), len(mu)) == (3, 3)
    assert table["n_atoms"][0] == n
    assert table["fermi_level"][0] == pytest.approx(mu.mean(), rel=1e-9)
    assert table["fermi_level_std"][0] == pytest.approx(1e3 * mu.std(ddof=1), rel=1e-6)
    assert table["band_energy"][0] == pytest.approx(energy.mean(), rel=1e-9)
    assert table["band_energy_std"][0] == pytest.approx(1e3 * energy.std(ddof=1) / n, rel=1e-6)
    assert (table[["fermi_level_std", "band_energy_std"]] > 1e-3).all(axis=None)


def test_no_ldos_is_needed(posterior, snapshots):
    model = posterior.fit(snapshots[:4])
    expected = energy_uncertainty(model, snapshots[4:])
    for bare in ([s.replace(ldos=None) for s in snapshots[4:]], [s.atoms for s in snapshots[4:]]):
        np.testing.assert_array_equal(energy_uncertainty(model, bare), expected)


def test_bare_atoms_are_on_the_grid_of_the_training_data(snapshots):
    model = on_grid(DeepEnsemble(network(), 2, random_state=0)).fit(snapshots[:4])
    bare = [s.atoms for s in snapshots[4:]]
    np.testing.assert_array_equal(
        energy_uncertainty(model, bare), energy_uncertainty(model, snapshots[4:])
    )
    np.testing.assert_array_equal(
        energy_covariance(model, bare), energy_covariance(model, snapshots[4:])
    )


def test_first_order_is_what_samples_have(posterior, snapshots):
    model = posterior.set_params(adosregressor__regressor__n_samples=4000).fit(snapshots[:4])
    exact = energy_covariance(model, snapshots[4:])
    table = energy_uncertainty(model, snapshots[4:])
    std = 1e3 * np.sqrt(np.diag(exact))
    # Five standard errors of a standard deviation are 6 per cent, for small deviations.
    assert (std > 0.1).all()
    np.testing.assert_allclose(table["band_energy_std"], std, rtol=0.06)
    means = evaluate(model, snapshots[4:])["band_energy"]
    errors = np.abs(table["band_energy"] - means) / table["n_atoms"]
    assert (1e3 * errors < 5 * std / np.sqrt(4000) + 1e-2 * std).all()


def test_covariance_of_samples(snapshots):
    model = on_grid(MCDropout(network(0.2), 50, random_state=0)).fit(snapshots[:3])
    covariance = energy_covariance(model, snapshots[3:])
    assert covariance.shape == (3, 3)
    std = energy_uncertainty(model, snapshots[3:])["band_energy_std"]
    np.testing.assert_allclose(1e3 * np.sqrt(np.diag(covariance)), std, rtol=1e-6)
    # A pass is one network: the snapshots, which are alike, have their errors in common.
    assert covariance[0, 1] > 0.5 * np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert energy_covariance(model, snapshots[3:4]).shape == (1, 1)


@pytest.mark.parametrize("uncertain", [MCDropout(network(0.2), 4), DeepEnsemble(network(), 2)])
def test_networks_inside_an_ados_regressor(snapshots, uncertain):
    steps = AtomSNAPTransformer(twojmax=2, n_jobs=1), RowWise(StandardScaler())
    model = make_pipeline(*steps, ADOSRegressor(uncertain)).fit(snapshots[:4])
    assert (energy_uncertainty(model, snapshots[4:])["band_energy_std"] > 0).all()
    mean, std = model.predict(snapshots[4:], return_std=True)
    assert isinstance(std, Blocks)
    assert [block.shape for block in std] == [block.shape for block in mean]
    assert np.isfinite(model.score(snapshots[4:]))


def test_who_knows_nothing_is_refused(snapshots, posterior):
    model = on_grid(network()).fit(snapshots[:2])
    with pytest.raises(TypeError, match="estimator must have sample_sums"):
        energy_uncertainty(model, snapshots[2:])
    model = posterior.fit(snapshots[:4])
    with pytest.raises(ScoringError, match="at least one snapshot"):
        energy_uncertainty(model[-1], model[:-1].transform(snapshots)[:0])
    two = SnapshotList([*snapshots[:3], snapshots[3].replace(temperature=933.0)])
    with pytest.raises(ScoringError, match="lacks temperature"):
        energy_uncertainty(posterior.fit(two), [s.atoms for s in snapshots[4:]])
    model = posterior.fit(snapshots[:4])
    few = [s.replace(n_electrons=1e4) for s in snapshots[4:]]
    with pytest.raises(ScoringError, match="no Fermi level"):
        energy_uncertainty(model, few)
    assert isinstance(model[-1].regressor_, RidgePosterior)


# -------------------------------------------------------------------- real data


def test_liquids_are_uncertain_for_a_model_of_solids(shared_data):
    names = [*(f"solid_{i}" for i in range(6)), "liquid_0", "liquid_1"]
    data = [read_npz(shared_data / "al32" / f"Al32_933K_{name}.npz") for name in names]
    regressor = RidgePosterior(SiteRegressor(Ridge(1e-5), dos_weight=100), random_state=0)
    model = make_pipeline(
        AtomSOAPTransformer(r_cut=6.0, n_max=6, l_max=4, sigma=0.6),
        RowWise(Normalizer()),
        ADOSRegressor(regressor),
    ).fit(data[:4])
    std = energy_uncertainty(model, data[4:])["band_energy_std"]
    assert std[2:].min() > std[:2].max() > 0
    # Errors beyond three standard deviations would be one in 370.
    error = np.abs(evaluate(model, data[4:])["band_energy_error"])
    assert (error < 3 * std).all()
