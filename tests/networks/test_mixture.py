"""Mixture density networks against scipy, their start, and the limits of all networks."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from torch import nn

from skldos.networks import ConcentricSpherical, FeedForward, MixtureDensity
from skldos.networks.mixture import COVARIANCES, MixtureNLL, _spread


def mixture(kind, **options):
    torch.manual_seed(0)
    network = MixtureDensity(3, 2, covariance=kind, hidden_layer_sizes=(5,), **options).double()
    with torch.no_grad():
        for p in network.parameters():
            p += 0.3 * torch.randn_like(p)
    X = torch.randn(4, 3, dtype=torch.float64)
    return network, X


def covariances(kind, out):
    scale = out.scale.detach().numpy()
    if kind == "full":
        return np.linalg.inv(scale @ np.swapaxes(scale, -1, -2))
    found = scale[..., None] ** 2 * np.eye(2)
    if kind == "low_rank":
        factors = out.factors.detach().numpy()
        found = found + factors @ np.swapaxes(factors, -1, -2)
    return found


@pytest.mark.parametrize("kind", COVARIANCES)
def test_densities_are_those_of_scipy(kind):
    network, X = mixture(kind, rank=2)
    out, y = network(X), torch.randn(4, 2, dtype=torch.float64)
    logits, means = out.logits.detach().numpy(), out.means.detach().numpy()
    weights = logits - logsumexp(logits, axis=1, keepdims=True)
    expected = [
        logsumexp(
            [
                weights[i, k] + multivariate_normal(means[i, k], C[k]).logpdf(y[i].numpy())
                for k in range(3)
            ]
        )
        for i, C in enumerate(covariances(kind, out))
    ]
    np.testing.assert_allclose(out.log_density(y).detach(), expected, rtol=1e-10)
    np.testing.assert_allclose(MixtureNLL()(out, y).item(), -np.mean(expected))
    np.testing.assert_allclose(MixtureNLL("none")(out, y).detach(), np.negative(expected))
    roots = out.roots().detach().numpy()
    assert roots.dtype == np.float64
    np.testing.assert_allclose(roots @ np.swapaxes(roots, -1, -2), covariances(kind, out))


@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize("rank", [1, 2])
def test_shapes_and_the_floor_of_the_widths(kind, rank):
    network, X = mixture(kind, n_components=4, rank=rank, floor=0.25)
    out = network(X)
    assert (out.logits.shape, out.means.shape) == ((4, 4), (4, 4, 2))
    widths = out.scale if kind != "full" else 1 / out.scale.diagonal(dim1=-2, dim2=-1)
    assert widths.min() > 0.25
    if kind == "low_rank":
        assert out.factors.shape == (4, 4, 2, rank)
    bare = MixtureDensity(
        3, 2, covariance=kind, rank=rank, n_components=4, floor=0.0, hidden_layer_sizes=(5,)
    ).double()
    bare.load_state_dict(network.state_dict())
    without = bare(X).scale
    without = without if kind != "full" else 1 / without.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(widths, without + 0.25)
    if kind == "full":
        assert (out.scale[..., 0, 1] == 0).all()
        assert out.scale[..., 1, 0].abs().min() > 0


def test_the_start_is_round_components_at_different_places():
    torch.manual_seed(3)
    network = MixtureDensity(3, 2, n_components=5, covariance="diagonal")
    torch.manual_seed(3)
    plain = FeedForward(3, 5 * (1 + 2 + 2), (64, 64), "silu")
    last = network.layers[-1]
    torch.testing.assert_close(last.weight, 0.1 * plain[-1].weight)
    bias = last.bias.detach()
    assert not bias[:5].any()
    assert not bias[15:].any()
    places = bias[5:15].reshape(5, 2)
    apart = torch.cdist(places, places) + 10 * torch.eye(5)
    assert 0.8 < apart.min() < 2
    assert places.norm(dim=1).max() < 3
    with torch.no_grad():
        torch.testing.assert_close(network(torch.zeros(1, 3)).scale.mean().item(),
                                   np.log(2) + 0.01, atol=0.05, rtol=0)  # fmt: skip


def test_points_that_quantise_a_normal_distribution():
    torch.manual_seed(0)
    assert _spread(1, 3).tolist() == [[0.0, 0.0, 0.0]]
    draws = torch.randn(256 * 4, 1)
    torch.manual_seed(0)
    points = _spread(4, 1)
    # Lloyd and Max: ±0.4528 and ±1.510; a thousand draws give them to some per cent.
    expected = torch.tensor([-1.510, -0.4528, 0.4528, 1.510])
    torch.testing.assert_close(points[:, 0].sort().values, expected, atol=0.2, rtol=0)
    # Twenty steps with these draws.
    found = draws[:4].clone()
    for _ in range(20):
        nearest = (draws - found.T).abs().argmin(dim=1)
        found = torch.stack([draws[nearest == k].mean(dim=0) for k in range(4)])
    torch.testing.assert_close(points, found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_out": 0}, "n_out must be >= 1"),
        ({"n_components": 0}, "n_components must be >= 1"),
        ({"covariance": "round"}, "covariance must be one of 'full', 'diagonal', 'low_rank'"),
        ({"rank": 0}, "rank must be >= 1"),
        ({"floor": -1e-9}, "floor must be >= 0"),
        ({"dropout": 1.1}, "dropout must be >= 0 and <= 1"),
        ({"activation": "swish"}, "activation must be one of"),
    ],
)
def test_wrong_arguments_of_mixtures(changes, message):
    with pytest.raises(ValueError, match=message):
        MixtureDensity(**({"n_in": 3, "n_out": 2} | changes))
    with pytest.raises(ValueError, match="reduction must be one of 'mean', 'none'"):
        MixtureNLL("sum")


def test_one_of_everything_is_enough():
    for kind in COVARIANCES:
        network = MixtureDensity(1, 1, 1, kind, 1, (1,), floor=0)
        assert network(torch.zeros(2, 1)).log_density(torch.zeros(2, 1)).isfinite().all()


@pytest.mark.parametrize(("dropout", "n"), [(0.0, 0), (1e-9, 2), (1, 2)])
def test_dropout_is_there_when_asked_for(dropout, n):
    layers = [m for m in FeedForward(3, 2, (4, 4), dropout=dropout) if isinstance(m, nn.Dropout)]
    assert len(layers) == n
    assert all(layer.p == dropout for layer in layers)
    mixed = MixtureDensity(3, 2, dropout=dropout).layers
    assert sum(isinstance(m, nn.Dropout) for m in mixed) == n
    csnn = ConcentricSpherical(12, 2, n_spheres=1, subdivisions=0, factor=1, dropout=dropout)
    # What comes in is never dropped.
    assert [m.p for m in csnn.modules() if isinstance(m, nn.Dropout)] == [0.0, *[dropout] * 4]


@pytest.mark.parametrize("network", [FeedForward(3, 2, (4,)), ConcentricSpherical(12, 2, 1, 0, 1)])
def test_parts_of_networks_are_sequences(network):
    assert type(network[:2]) is nn.Sequential
    assert [*network[1:]] == [*network][1:]


@pytest.mark.parametrize(
    ("spheres", "n_levels", "width"),
    [
        ("convolution", None, 64),
        ("convolution", 1, 32),
        ("channels", None, 32),
        ("channels", 1, 16),
    ],
)
def test_widths_double_from_level_to_level(spheres, n_levels, width):
    network = ConcentricSpherical(
        42 * 3, 2, n_spheres=3, subdivisions=1, factor=1, spheres=spheres, n_levels=n_levels
    )
    last = [m for m in network if isinstance(m, nn.Linear)]
    assert [m.in_features for m in last] == [width] * 3
    assert (network.n_spheres, network.subdivisions) == (3, 1)


@pytest.mark.parametrize("kind", COVARIANCES)
def test_densities_are_where_the_inputs_are_whatever_the_default_device(kind):
    network, X = mixture(kind)
    y = torch.ones(4, 2, dtype=torch.float64)
    expected = network(X).log_density(y), network(X).roots()
    with torch.device("meta"):
        out = network(X)
        found = out.log_density(y), out.roots()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("spheres", ["convolution", "channels"])
@pytest.mark.parametrize("self_weight", [True, False])
def test_spherical_networks_compute_where_the_inputs_are(spheres, self_weight):
    options = {"spheres": spheres, "self_weight": self_weight}
    network = ConcentricSpherical(24, 2, n_spheres=2, subdivisions=0, factor=1, **options).eval()
    X = torch.rand(3, 1, 2, 12)
    expected = network(X)
    with torch.device("meta"):
        torch.testing.assert_close(network(X), expected, rtol=0, atol=0)
