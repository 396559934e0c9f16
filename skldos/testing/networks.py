"""Laws of networks, torch modules that are built as ``module(n_in, n_out, **options)``."""

import copy
import pickle

import torch

from skldos.testing._checks import named, require, run


def check_network(module, n_in=6, n_out=3, *, shape=None, **options):
    """Check that a network obeys the laws of all of them.

    Rows are independent of each other in evaluation, gradients are right and reach every
    parameter, the seed of torch decides the initial weights, and a state dict holds all of it.

    Parameters
    ----------
    module : callable
        The class: ``module(n_in, n_out, **options)`` is a :class:`torch.nn.Module`.
    n_in, n_out : int, default=6 and 3
        Numbers of inputs and outputs.
    shape : tuple of int, optional
        Shape of the inputs of one row, if that is not ``(n_in,)``.
    **options
        Further arguments of the network.

    Raises
    ------
    AssertionError
        If a law does not hold; the message names it.

    Examples
    --------
    >>> from skldos.networks import FeedForward
    >>> from skldos.testing import check_network
    >>> check_network(FeedForward, hidden_layer_sizes=(4,))
    """
    run(network_checks(module, n_in, n_out, shape=shape, **options), module.__name__)


def network_checks(module, n_in=6, n_out=3, *, shape=None, **options):
    """Return the checks of :func:`check_network` one by one.

    Parameters
    ----------
    module : callable
        The class.
    n_in, n_out, shape, **options
        As in :func:`check_network`.

    Returns
    -------
    list of (str, callable)
        Names and checks to be called without arguments.

    Examples
    --------
    >>> from skldos.networks import FeedForward
    >>> from skldos.testing import network_checks
    >>> dict(network_checks(FeedForward))["rows_are_independent"]()
    """

    def make(seed=0):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return module(n_in, n_out, **options).double().eval()

    generator = torch.Generator().manual_seed(0)
    X = torch.rand(5, *(shape or (n_in,)), generator=generator, dtype=torch.float64)
    return named(CHECKS, make, X, n_out)


def check_outputs(make, X, n_out):
    """Check: outputs are finite, in the precision of the network, one row each; inputs stay."""
    before = X.clone()
    for dtype in (torch.float64, torch.float32):
        network = make().to(dtype)
        for tensor in _tensors(network(X.to(dtype))):
            require(len(tensor) == len(X), f"{len(tensor)} rows of outputs for {len(X)} of inputs")
            require(tensor.dtype == dtype, f"{tensor.dtype} from inputs of {dtype}")
            require(bool(tensor.isfinite().all()), "outputs are not finite")
    require(torch.equal(X, before), "the inputs were changed")
    out = make()(X)
    if torch.is_tensor(out):
        require(out.shape == (len(X), n_out), f"outputs have shape {tuple(out.shape)}")


def check_rows_are_independent(make, X, n_out):
    """Check: in evaluation, a row does not depend on other rows."""
    network = make()
    whole, order = _flat(network(X)), torch.arange(len(X)).flip(0)
    _close(_flat(network(X[order])), whole[order], "rows in another order")
    _close(torch.cat([_flat(network(row[None])) for row in X]), whole, "row by row")


def check_seed(make, X, n_out):
    """Check: only torch's seed determines the weights."""
    one, same, other = (make(seed) for seed in (0, 0, 1))
    _close(_flat(same(X)), _flat(one(X)), "the same seed")
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    require(any(not torch.equal(a, b) for a, b in pairs), "another seed gives the same weights")


def check_copies(make, X, n_out):
    """Check: state dicts, pickles and deep copies reproduce the outputs."""
    network, other = make(0), make(1)
    other.load_state_dict(network.state_dict())
    for copied in (other, pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        _close(_flat(copied(X)), _flat(network(X)), "a copy")


def check_gradients(make, X, n_out):
    """Check: derivatives by the inputs are right, and every parameter has a gradient."""
    network, probe = make(), X[:2].clone().requires_grad_()
    steps = {"eps": 1e-6, "atol": 1e-5, "rtol": 1e-3}
    right = torch.autograd.gradcheck(
        lambda x: _flat(network(x)), probe, **steps, fast_mode=True, raise_exception=False
    )
    require(right, "derivatives by the inputs are not those of the outputs")
    torch.sum(_flat(network(X)).square()).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None]
    require(not idle, f"no gradient reaches {idle}")


CHECKS = (check_outputs, check_rows_are_independent, check_seed, check_copies, check_gradients)


def _tensors(out):
    """Return the output tensors of a network, one or several."""
    return [out] if torch.is_tensor(out) else [x for x in out if x is not None]


def _flat(out):
    return torch.cat([x.reshape(len(x), -1) for x in _tensors(out)], dim=1)


def _close(found, expected, message):
    found, expected = found.detach(), expected.detach()
    difference = float((found - expected).abs().max())
    require(difference <= 1e-10 * float(expected.abs().max()), f"{message}: {difference:.3g}")
