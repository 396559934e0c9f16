"""Dropout in prediction: exact variances of a small network, and what must not change them."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from skldos import AtomEnvTransformer, CSNNRegressor, LDOSRegressor
from skldos.data import Blocks
from skldos.decomposition import ADOSDecomposer
from skldos.networks import ConcentricSpherical
from skldos.networks._spherical_layers import GraphConvolution, RadialConvolution
from skldos.uncertainty import MCDropout

P = 0.25


def dense(**options):
    options = {"module__hidden_layer_sizes": (6,), "module__dropout": P} | options
    return LDOSRegressor(max_epochs=2, dos_weight=None, random_state=0, **options)


def spheres(**options):
    options = {"module__factor": 1, "module__dropout": 0.1, "batch_size": 8} | options
    return CSNNRegressor(max_epochs=1, random_state=0, **options)


@pytest.fixture(scope="module")
def environments():
    from skldos.datasets import make_snapshots

    snapshots = make_snapshots(3, grid_shape=(4, 4, 4), n_energies=11, random_state=0)
    transformer = AtomEnvTransformer(n_spheres=3, subdivisions=1, r_min=1.5, r_cut=4.0)
    return transformer.fit_transform(snapshots), ADOSDecomposer().fit_transform(snapshots)


@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_variance_of_one_hidden_layer(blocks, targets, masks):
    n = 4000
    fitted = MCDropout(dense(), n, masks=masks, random_state=0).fit(blocks, targets)
    hidden, weights = [], fitted.regressor_.module_[-1].weight.detach().numpy()
    for block in blocks:
        with torch.no_grad():
            hidden.append(fitted.regressor_.module_[:2](torch.tensor(block).float()).numpy())
    # h m / (1 - P) with m = 0 or 1 has the variance h^2 P / (1 - P); sums of rows that share
    # their masks add before they are squared.
    scale = P / (1 - P) * np.square(fitted.regressor_.target_scale_)
    if masks == "shared":
        of_sums = [scale * (np.square(h.sum(axis=0)) @ np.square(weights).T) for h in hidden]
    else:
        of_sums = [scale * (np.square(h).sum(axis=0) @ np.square(weights).T) for h in hidden]
    samples = fitted.sample_sums(blocks)
    # Standard errors of a variance and of a mean, over all passes: 2 and 1.6 per cent.
    np.testing.assert_allclose(samples.var(axis=0), of_sums, rtol=0.12)
    np.testing.assert_allclose(fitted.predict_sum(blocks), samples.mean(axis=0))
    expected = fitted.regressor_.predict_sum(blocks)
    apart = (samples.mean(axis=0) - expected) / np.sqrt(np.array(of_sums) / n)
    assert np.abs(apart).max() < 4.5
    mean, std = fitted.predict(blocks, return_std=True)
    of_rows = scale * (np.square(hidden[0]) @ np.square(weights).T)
    np.testing.assert_allclose(std[0] ** 2, of_rows, rtol=0.12)
    sums = [block.sum(axis=0) for block in mean]
    np.testing.assert_allclose(sums, samples.mean(axis=0), rtol=1e-5)


def test_a_pass_is_one_network_whatever_is_in_the_batch(blocks, targets):
    fitted = MCDropout(dense(), 7, random_state=0).fit(blocks, targets)
    samples = fitted.sample_sums(blocks)
    np.testing.assert_allclose(fitted.sample_sums(blocks[4:])[:, 0], samples[:, 4], rtol=1e-6)
    in_small = fitted.set_params(batch_rows=3).fit(blocks, targets).sample_sums(blocks)
    np.testing.assert_allclose(in_small, samples, rtol=1e-5)


def test_on_spheres(environments):
    X, y = environments
    fitted = MCDropout(spheres(), 6, random_state=0).fit(X, y)
    weights = {k: v.clone() for k, v in fitted.regressor_.module_.state_dict().items()}
    mean, std = fitted.predict(X, return_std=True)
    assert all((block > 0).any() for block in std)
    assert not fitted.regressor_.module_.training
    for name, value in fitted.regressor_.module_.state_dict().items():
        assert torch.equal(value, weights[name])  # running means of the batch norms included
    order = np.array([2, 0, 3, 1])
    turned = fitted.predict(Blocks([X[0][order]]), return_std=True)
    for block, expected in zip(turned, (mean, std), strict=True):
        np.testing.assert_allclose(block[0], expected[0][order], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        fitted.sample_sums(X).std(axis=0, ddof=1),
        MCDropout(spheres(), 6, batch_rows=50, random_state=0)
        .fit(X, y)
        .sample_sums(X)
        .std(axis=0, ddof=1),
        rtol=1e-3,
        atol=1e-6,
    )


class Counted(torch.nn.Linear):
    """Counts the rows that pass through."""

    rows = 0

    def forward(self, x):
        Counted.rows += len(x)
        return super().forward(x)


def layers(n_in, n_out, dropout=0.3):
    """Return two layers, the second with dropout."""
    first, act, drop = Counted(n_in, 5), torch.nn.Tanh(), torch.nn.Dropout(dropout)
    return torch.nn.Sequential(first, act, torch.nn.BatchNorm1d(5), drop, torch.nn.Linear(5, n_out))


class Opaque(torch.nn.Module):
    """Does what `layers` do, but does not show it."""

    def __init__(self, n_in, n_out, dropout=0.3):
        super().__init__()
        self.all = layers(n_in, n_out, dropout)

    def forward(self, x):
        return self.all(x)


@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_what_comes_before_the_first_dropout_runs_once(blocks, targets, masks):
    samples, counted = {}, {}
    for module in (layers, Opaque):
        network = LDOSRegressor(
            module, module__dropout=0.3, max_epochs=2, dos_weight=None, random_state=0
        )
        fitted = MCDropout(network, 7, masks=masks, random_state=0).fit(blocks, targets)
        Counted.rows = 0
        samples[module] = fitted.sample_sums(blocks)
        counted[module] = Counted.rows
    n_rows = sum(len(block) for block in blocks)
    assert counted == {layers: n_rows, Opaque: 7 * n_rows}
    assert (np.ptp(samples[layers], axis=0) > 0).all()
    np.testing.assert_allclose(samples[layers], samples[Opaque], rtol=1e-5)


class DenseDropout(ConcentricSpherical):
    """Drops in the dense layers alone."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        for layer in self.modules():
            if isinstance(layer, (GraphConvolution, RadialConvolution)):
                layer.dropout.p = 0.0


def test_convolutions_run_once_where_dense_layers_drop(environments, monkeypatch):
    X, y = environments
    network = spheres(module=DenseDropout)
    fitted = MCDropout(network, 6, random_state=0).fit(X, y)
    passed = []
    forward = RadialConvolution.forward
    monkeypatch.setattr(
        RadialConvolution, "forward", lambda self, x: passed.append(x.shape[1]) or forward(self, x)
    )
    samples = fitted.sample_sums(X)
    # Three convolutions of four atoms in each of three snapshots.
    assert sum(passed) == 3 * 4 * 3
    assert (samples.std(axis=0) > 0).any()
    fitted.batch_rows_ = 3
    in_small = fitted.sample_sums(X)
    np.testing.assert_allclose(in_small, samples, rtol=1e-5, atol=1e-6)
    # Dropped numbers are made up for: the mean is near what the whole network says.
    whole = fitted.regressor_.predict_sum(X)
    assert np.abs(samples.mean(axis=0) - whole).max() < 5 * samples.std(axis=0).max()


def test_dropout_of_all_convolutions_is_the_same_in_any_pieces(environments):
    X, y = environments
    fitted = MCDropout(spheres(), 5, random_state=0).fit(X, y)
    samples = fitted.sample_sums(X)
    for batch_rows in (1, 6, 1000):
        fitted.batch_rows_ = batch_rows
        in_pieces = fitted.sample_sums(X)
        np.testing.assert_allclose(in_pieces, samples, rtol=1e-4, atol=1e-5)
    assert (samples.std(axis=0) > 1e-3).any()


@pytest.mark.parametrize("dropout", [0.0, None])
def test_without_dropout_there_is_no_uncertainty_to_be_had(blocks, targets, dropout):
    options = {} if dropout is None else {"module__dropout": dropout}
    network = LDOSRegressor(max_epochs=10**9, **options)  # it is noticed before the training
    with pytest.raises(ValueError, match="set module__dropout to a number above 0"):
        MCDropout(network).fit(blocks, targets)
    network = LDOSRegressor(torch.nn.Linear(3, 2), max_epochs=1)
    with pytest.raises(ValueError, match="set module__dropout to a number above 0"):
        MCDropout(network).fit(blocks, targets)


def test_bad_arguments(blocks, targets):
    with pytest.raises(TypeError, match="regressor must be a network"):
        MCDropout(Ridge()).fit(blocks, targets)
    with pytest.raises(ValueError, match="n_passes must be >= 2, got 1"):
        MCDropout(dense(), 1).fit(blocks, targets)
    with pytest.raises(ValueError, match="masks must be one of"):
        MCDropout(dense(), masks="other").fit(blocks, targets)
    with pytest.raises(ValueError, match="n_rotations=1, got 2"):
        MCDropout(spheres(n_rotations=2)).fit(blocks, targets)
    fitted = MCDropout(dense(), 2).fit(blocks, targets)
    with pytest.raises(ValueError, match="NaN"):
        fitted.sample_sums([np.full((2, 3), np.nan)])


def test_sums_are_taken_in_double_precision(blocks, targets):
    # Dropout that never drops: every pass is the network.
    fitted = MCDropout(dense(module__dropout=1e-12), 2, random_state=0).fit(blocks, targets)
    many = [np.tile(block, (5000, 1)) for block in blocks[:1]]
    (rows,) = fitted.regressor_.predict(many)
    expected = np.sum(rows, axis=0, dtype=float)
    assert np.abs(np.sum(rows, axis=0) / expected - 1).max() > 1e-7
    np.testing.assert_allclose(fitted.sample_sums(many), [[expected]] * 2, rtol=1e-7)
