r"""The gradient of a feed-forward network, written out.

Networks of this field are small and so are their batches: most of the time of a training step
goes into the bookkeeping of automatic differentiation. For the mean square error
:math:`L = \frac{1}{n m} \sum (\hat y - y)^2` of dense layers
:math:`h_{l+1} = \phi(z_l),\ z_l = h_l W_l^T + b_l` the gradient is four lines,

.. math::

    \delta_L = \tfrac{2}{n m} (\hat y - y)\,\phi'(z_L), \quad
    \frac{\partial L}{\partial W_l} = \delta_l^T h_l, \quad
    \frac{\partial L}{\partial b_l} = \sum_\text{rows} \delta_l, \quad
    \delta_{l-1} = (\delta_l W_l)\,\phi'(z_{l-1}),

which run two to three times faster than ``loss.backward()``.
"""

import torch
from torch import nn

# phi(z), and phi'(z) times the incoming gradient from the *output* of the activation.
_ACTIVATIONS = {
    nn.ReLU: lambda layer: (
        torch.relu,
        lambda gradient, out: torch.ops.aten.threshold_backward(gradient, out, 0.0),
    ),
    nn.LeakyReLU: lambda layer: (
        lambda z: torch.nn.functional.leaky_relu(z, layer.negative_slope),
        lambda gradient, out: torch.ops.aten.leaky_relu_backward(
            gradient, out, layer.negative_slope, True
        ),
    ),
    nn.Tanh: lambda layer: (torch.tanh, torch.ops.aten.tanh_backward),
    nn.Sigmoid: lambda layer: (torch.sigmoid, torch.ops.aten.sigmoid_backward),
}


class Backpropagation:
    """The mean square error of a feed-forward network and its gradient.

    Parameters
    ----------
    network : torch.nn.Sequential
        Dense layers and activations for which :meth:`knows` is true.

    Examples
    --------
    >>> import torch
    >>> from skldos.networks import FeedForward
    >>> network = FeedForward(2, 1, hidden_layer_sizes=())
    >>> X, y = torch.eye(2), torch.zeros(2, 1)
    >>> predictions, loss = Backpropagation(network)(X, y)
    >>> bool(loss == predictions.square().mean())
    True
    """

    def __init__(self, network):
        # Looked up once: attributes of modules are slow.
        self._steps = []
        for layer in network:
            if type(layer) is nn.Linear:
                self._steps.append((layer.weight, layer.bias, True))
            else:
                self._steps.append((*_ACTIVATIONS[type(layer)](layer), False))

    @staticmethod
    def knows(network):
        """Return whether all layers of `network` are known and all its weights trained.

        Examples
        --------
        >>> from skldos.networks import FeedForward
        >>> Backpropagation.knows(FeedForward(3, 2))
        True
        >>> Backpropagation.knows(FeedForward(3, 2, dropout=0.5))
        False
        """
        return (
            isinstance(network, nn.Sequential)
            and type(network).forward is nn.Sequential.forward
            and all(_is_known(layer) for layer in network)
            # A layer that occurs twice would get one gradient instead of the sum.
            and len({id(p) for p in _weights(network)}) == len(_weights(network))
        )

    @torch.no_grad()
    def __call__(self, inputs, targets):
        """Return predictions and loss, and put the gradient into the parameters.

        Parameters
        ----------
        inputs : torch.Tensor of shape (n_rows, n_in)
            Inputs.
        targets : torch.Tensor of shape (n_rows, n_out)
            Targets.

        Returns
        -------
        predictions : torch.Tensor of shape (n_rows, n_out)
            Outputs of the network.
        loss : torch.Tensor of shape ()
            Mean square error. The ``grad`` of every parameter is set, not added to.
        """
        outputs = [inputs]
        for first, second, dense in self._steps:
            h = outputs[-1]
            outputs.append(torch.addmm(second, h, first.t()) if dense else first(h))
        predictions = outputs.pop()
        difference = predictions - targets
        flat = difference.view(-1)
        loss = torch.dot(flat, flat) / flat.numel()
        delta = difference.mul_(2.0 / flat.numel())
        out = predictions
        for first, second, dense in reversed(self._steps):
            h = outputs.pop()
            if dense:
                first.grad = torch.mm(delta.t(), h)
                second.grad = delta.sum(dim=0)
                delta = torch.mm(delta, first) if outputs else None
            else:
                delta = second(delta, out)
            out = h
        return predictions, loss


def _weights(network):
    """Return the parameters of all layers, as often as they occur."""
    return [p for layer in network for p in layer.parameters()]


def _is_known(layer):
    """Return whether a layer is nothing but what its type says, and all of it is trained."""
    if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
        return False
    if type(layer) is nn.Linear:
        return layer.bias is not None and all(p.requires_grad for p in layer.parameters())
    # With a negative slope the output of a leaky ReLU does not tell the sign of its input.
    return type(layer) in _ACTIVATIONS and getattr(layer, "negative_slope", 0.0) >= 0.0
