"""The concentric spherical network: its size, its symmetry, its layers and its gradient."""

import numpy as np
import pytest
import torch
from torch import nn

from skldos.geometry.sphere import icosphere
from skldos.networks._spherical_layers import (
    GraphConvolution,
    NeighborSum,
    NormReLU,
    RadialConvolution,
    Smoothing,
    VertexPooling,
)
from skldos.networks.csnn import ConcentricSpherical, subdivisions_of

N_VERTICES = {0: 12, 1: 42, 2: 162, 3: 642, None: 1}


def n_weights(network):
    return sum(weights.numel() for weights in network.parameters())


def small(subdivisions=1, n_spheres=3, n_channels=1, n_out=4, **options):
    """Return a small network and environments for it."""
    torch.manual_seed(0)
    n_in = n_channels * n_spheres * N_VERTICES[subdivisions]
    options = {"factor": 1, "n_hidden": 1} | options
    network = ConcentricSpherical(
        n_in, n_out, n_spheres=n_spheres, subdivisions=subdivisions, **options
    )
    return network, torch.rand(5, n_channels, n_spheres, N_VERTICES[subdivisions])


def trained(network, inputs):
    """Return the network in evaluation mode, its batch norms with the statistics of the inputs."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]
    for norm in norms:
        norm.momentum = 1.0
    network.train()(inputs)
    return network.eval()


# Fox et al. report 5,924,026 weights for their network and, in their Table 4, the rounded
# numbers of the others; hence their factors and numbers of hidden layers here. (A factor of 9 with
# 8 layers would give the last one, too.)
@pytest.mark.parametrize(
    ("factor", "n_hidden", "expected", "reported"),
    [
        (4, 2, 5_924_026, "5.92e+06"),
        (10, 6, 62_235_482, "6.22e+07"),
        (8, 6, 39_945_850, "3.99e+07"),
        (12, 3, 61_107_258, "6.11e+07"),
    ],
)
def test_numbers_of_weights_are_those_of_the_paper(factor, n_hidden, expected, reported):
    with torch.device("meta"):
        network = ConcentricSpherical(16 * 642, 250, factor=factor, n_hidden=n_hidden)
    assert n_weights(network) == expected
    assert f"{expected:.2e}" == reported
    # Beside the batch norms: 7 within spheres, 7 between them, dense layers, the smoothing.
    trainable = [m for m in network.modules() if isinstance(m, (nn.Linear, nn.Conv1d))]
    assert len(trainable) == 7 + 7 + n_hidden + 1 + 1


def test_layers_of_the_paper_in_their_order():
    with torch.device("meta"):
        network = ConcentricSpherical(16 * 642, 250)
    names = [type(layer).__name__ for layer in network]
    level = 2 * ["GraphConvolution"] + 2 * ["RadialConvolution"] + ["VertexPooling"]
    icosahedron = ["GraphConvolution", "Mean", "RadialConvolution", "Mean", "Features"]
    hidden = 2 * ["Dropout", "Linear", "NormReLU"]
    last = ["Dropout", "Linear", "NormReLU", "Smoothing"]
    assert names == ["Spheres", *3 * level, *icosahedron, *hidden, *last]
    within = [m.linear.out_features for m in network if isinstance(m, GraphConvolution)]
    between = [m.conv.out_channels for m in network if isinstance(m, RadialConvolution)]
    assert within == [64, 64, 128, 128, 256, 256, 512]
    assert between == [128, 128, 256, 256, 512, 512, 1024]
    pooled = [m.neighbor_sum.starts.shape for m in network if isinstance(m, VertexPooling)]
    assert pooled == [(162,), (42,), (12,)]


@pytest.mark.parametrize(
    "options", [{}, {"output": "linear"}, {"spheres": "channels"}, {"n_levels": 1}]
)
@pytest.mark.parametrize("subdivisions", [0, 1, 2, 3])
def test_icosahedral_rotations_change_nothing(subdivisions, options):
    network, inputs = small(subdivisions, n_spheres=2, n_channels=2, **options)
    trained(network, inputs)
    permutations = torch.tensor(icosphere(subdivisions).permutations)
    with torch.no_grad():
        expected = network(inputs)
        assert expected.std(dim=0).max() > 1e-2
        for permutation in permutations[:: 1 if subdivisions < 2 else 7]:
            turned = torch.empty_like(inputs)
            turned[..., permutation] = inputs
            torch.testing.assert_close(network(turned), expected, rtol=1e-5, atol=1e-5)
        # Other permutations do.
        shuffled = inputs[..., torch.randperm(inputs.shape[-1])]
        assert (network(shuffled) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("self_weight", [False, True])
@pytest.mark.parametrize("output", ["smooth", "linear"])
@pytest.mark.parametrize("subdivisions", [None, 0, 1])
def test_gradients_are_those_of_finite_differences(subdivisions, output, self_weight):
    network, inputs = small(
        subdivisions, n_spheres=2, n_out=3, output=output, self_weight=self_weight
    )
    trained(network.double(), inputs.double())
    inputs = inputs[:2].double().requires_grad_()
    assert torch.autograd.grad(network(inputs).sum(), inputs)[0].abs().max() > 1e-6
    assert torch.autograd.gradcheck(network, inputs)


def test_gradients_of_weights_in_training_mode():
    network, inputs = small(0, n_spheres=2, n_out=2, output="linear")
    network.double().train()
    names, weights = zip(*network.named_parameters(), strict=True)
    chosen = [i for i, w in enumerate(weights) if w.numel() <= 64]
    assert len(chosen) > 3

    def outputs(*some):
        given = {names[i]: w for i, w in zip(chosen, some, strict=True)}
        return torch.func.functional_call(network, given, (inputs.double(),))

    assert torch.autograd.gradcheck(outputs, [weights[i] for i in chosen])


def test_neighbor_sum_is_a_matrix_product():
    mesh = icosphere(1)
    members = mesh.pool_neighbors
    matrix = np.zeros((12, 42))
    for row, vertices in zip(matrix, members, strict=True):
        row[vertices[vertices >= 0]] = 1
    assert matrix.sum() == 12 * 6
    x = torch.rand(42, 2, 3, dtype=torch.float64, requires_grad=True)
    layer = NeighborSum(members, 42)
    expected = torch.einsum("ij,jkl->ikl", torch.tensor(matrix), x)
    torch.testing.assert_close(layer(x), expected)
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)


def test_a_graph_convolution_is_its_formula():
    torch.manual_seed(0)
    neighbors = icosphere(0).neighbors
    layer = GraphConvolution(3, 3, neighbors).double()
    x = torch.randn(12, 4, 2, 3).double()
    closed = [[v, *row[row >= 0]] for v, row in enumerate(neighbors)]
    z = layer.linear(torch.stack([x[list(vertices)].sum(dim=0) for vertices in closed]))
    normed = (z - z.mean(dim=(0, 1, 2))) / (z.var(dim=(0, 1, 2), unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(layer(x), x + normed.clamp(min=0))


def test_a_separate_self_weight_contains_the_common_one():
    torch.manual_seed(0)
    neighbors = icosphere(1).neighbors
    common = GraphConvolution(3, 5, neighbors).eval()
    separate = GraphConvolution(3, 5, neighbors, self_weight=True).eval()
    separate.load_state_dict(common.state_dict(), strict=False)
    separate.self_linear.weight.data = common.linear.weight.data.clone()
    x = torch.randn(42, 2, 4, 3)
    torch.testing.assert_close(separate(x), common(x))
    separate.self_linear.weight.data *= 2
    assert (separate(x) - common(x)).abs().max() > 0.1


def test_a_radial_convolution_is_that_of_torch_along_each_ray():
    torch.manual_seed(0)
    layer = RadialConvolution(3, 5).eval()
    x = torch.randn(12, 4, 6, 3)
    for vertex, row in [(0, 0), (7, 3)]:
        expected = layer.norm(layer.conv(x[vertex, row].T[None])[0].T)
        torch.testing.assert_close(layer(x)[vertex, row], expected)


def test_pooling_keeps_constants():
    x = torch.full((162, 2, 3, 4), 1.7)
    mesh = icosphere(2)
    pooled = VertexPooling(mesh.pool_neighbors, 162)(x)
    torch.testing.assert_close(pooled, torch.full((42, 2, 3, 4), 1.7))


def test_smoothing_sees_neighbouring_outputs_alone():
    layer = Smoothing()
    with torch.no_grad():
        layer.conv.weight.copy_(torch.tensor([1.0, 2.0, 1.0]))
        layer.conv.bias.zero_()
        spectrum = torch.zeros(1, 9)
        spectrum[0, 4] = 1
        expected = torch.tensor([[0.0, 0, 0, 1, 2, 1, 0, 0, 0]])
        torch.testing.assert_close(layer(spectrum), expected)


def test_rows_may_be_flat():
    network, inputs = small(n_channels=2)
    trained(network, inputs)
    torch.testing.assert_close(network(inputs.reshape(5, -1)), network(inputs))


def test_rows_do_not_see_each_other_in_evaluation():
    network, inputs = small()
    trained(network, inputs)
    torch.testing.assert_close(network(inputs[2:3]), network(inputs)[2:3])


def test_spheres_and_channels_have_their_order():
    network, inputs = small(n_channels=2, n_spheres=3)
    layout = network[0](inputs.reshape(5, -1))
    assert layout.shape == (42, 5, 3, 2)
    assert layout[7, 4, 2, 1] == inputs[4, 1, 2, 7]
    # Neither is a symmetry of the network.
    trained(network, inputs)
    with torch.no_grad():
        for axis in (1, 2):
            assert (network(inputs.flip(axis)) - network(inputs)).abs().max() > 1e-3


def test_spheres_may_be_channels():
    network, inputs = small(n_channels=2, n_spheres=3, spheres="channels", output="linear")
    layout = network[0](inputs.reshape(5, -1))
    assert layout.shape == (42, 5, 1, 6)
    assert layout[7, 4, 0, 5] == inputs[4, 1, 2, 7]
    names = [type(layer).__name__ for layer in network]
    level = [*2 * ["GraphConvolution"], "VertexPooling"]
    icosahedron = ["GraphConvolution", "Mean", "Mean", "Features"]
    dense = ["Dropout", "Linear", "NormReLU", "Dropout", "Linear"]
    assert names == ["Spheres", *level, *icosahedron, *dense]
    # Every distance has weights of its own: their order is no symmetry.
    trained(network, inputs)
    assert (network(inputs.flip(2)) - network(inputs)).abs().max() > 1e-3


@pytest.mark.parametrize(("spheres", "width"), [("convolution", 64), ("channels", 32)])
def test_levels_end_where_they_are_told_to(spheres, width):
    network, inputs = small(2, n_spheres=2, spheres=spheres, n_levels=2, n_hidden=0)
    within = [m.linear.out_features for m in network if isinstance(m, GraphConvolution)]
    assert within == [16, 16, 32]
    (pooling,) = (m for m in network if isinstance(m, VertexPooling))
    assert pooling.neighbor_sum.starts.shape == (42,)
    (output,) = (m for m in network if isinstance(m, nn.Linear))
    assert output.in_features == width
    assert network(inputs).shape == (5, 4)


def test_a_shallow_network_is_its_formula():
    # A mean over vertices of a graph convolution, and a matrix product.
    options = {"spheres": "channels", "n_levels": 1, "n_hidden": 0, "output": "linear"}
    network, inputs = small(n_channels=2, n_spheres=3, **options)
    trained(network, inputs)
    channels = inputs.reshape(5, 6, 42)
    mesh = icosphere(1)
    sums = torch.stack(
        [channels[..., [v, *row[row >= 0]]].sum(dim=-1) for v, row in enumerate(mesh.neighbors)]
    )
    convolution, output = network[1], network[-1]
    hidden = convolution.norm(convolution.linear(sums)).mean(dim=0)
    torch.testing.assert_close(network(inputs), output(hidden))
    assert network(inputs).std(dim=0).max() > 1e-3


@pytest.mark.parametrize("part", [GraphConvolution, RadialConvolution, nn.Linear])
def test_dropout_acts_in_every_kind_of_layer(part):
    network, inputs = small(2, dropout=0.5, output="linear")
    trained(network, inputs)
    with torch.no_grad():
        assert torch.equal(network(inputs), network(inputs))
        layers = list(network)
        for i, layer in enumerate(layers):
            if isinstance(layer, part):
                # A dense layer has its dropout before it.
                owner = layers[i - 1] if part is nn.Linear else layer
                owner.train()
                for module in owner.modules():
                    if isinstance(module, nn.BatchNorm1d):
                        module.eval()
        one, two = network(inputs), network(inputs)
    assert (one - two).abs().max() > 1e-2


def test_dropout_never_hides_an_atom():
    network, _ = small(dropout=0.9)
    rates = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.0, *(len(rates) - 1) * [0.9]]
    assert len(rates) == 6 + 2


def test_one_row_can_be_trained_on():
    network, inputs = small()
    outputs = network.train()(inputs[:1])
    outputs.sum().backward()
    assert outputs.isfinite().all()
    norm = NormReLU(3)
    torch.testing.assert_close(norm(torch.ones(1, 3)), norm.eval()(torch.ones(1, 3)))


def test_a_sphere_without_directions_takes_rows_of_any_width():
    network = ConcentricSpherical(7, 2, n_spheres=1, subdivisions=None)
    assert network(torch.rand(3, 7)).shape == (3, 2)


def test_constants_of_the_mesh_are_no_state():
    network, _ = small()
    kinds = {name.rsplit(".")[-1] for name in network.state_dict()}
    batch_norm = {"running_mean", "running_var", "num_batches_tracked"}
    assert kinds == {"weight", "bias", *batch_norm}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_in": 100}, ValueError, r"a multiple of 3 × 42 .* n_spheres=3 .* got 100"),
        ({"subdivisions": 4}, ValueError, "subdivisions must be one of 3, 2, 1, 0, None; got 4"),
        ({"factor": 0}, ValueError, "factor must be >= 1, got 0"),
        ({"n_out": 0}, ValueError, "n_out must be >= 1, got 0"),
        ({"n_hidden": -1}, ValueError, "n_hidden must be >= 0, got -1"),
        ({"n_hidden": 1.5}, TypeError, "n_hidden must be an integer, got 1.5"),
        ({"dropout": -0.1}, ValueError, "dropout must be >= 0 and <= 1, got -0.1"),
        ({"output": "relu"}, ValueError, "output must be one of 'smooth', 'linear'; got 'relu'"),
        ({"n_spheres": 0}, ValueError, "n_spheres must be >= 1"),
        ({"n_levels": 3}, ValueError, "n_levels must be >= 1 and <= 2, got 3"),
        ({"spheres": "mean"}, ValueError, "spheres must be one of 'convolution', 'channels'; got"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    good = {"n_in": 3 * 42, "n_out": 2, "n_spheres": 3, "subdivisions": 1}
    ConcentricSpherical(**good | {"factor": 1, "n_hidden": 0, "dropout": 1, "n_out": 1})
    with pytest.raises(error, match=message):
        ConcentricSpherical(**good | arguments)


def test_levels_are_known_by_their_vertices():
    assert [subdivisions_of(n) for n in (642, 162, 42, 12, 1)] == [3, 2, 1, 0, None]
    with pytest.raises(ValueError, match=r"one of \[1, 12, 42, 162, 642\] vertices, got 43"):
        subdivisions_of(43)
