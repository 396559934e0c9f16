r"""Explicit gradient of a feed-forward network.

The networks and batches of this field are small, so a training step spends most of its time in the
bookkeeping of automatic differentiation. For the mean square error
:math:`L = \frac{1}{n m} \sum_{ij} w_i (\hat y_{ij} - y_{ij})^2` with weights of the rows, of dense
layers :math:`h_{l+1} = \phi(z_l),\ z_l = h_l W_l^T + b_l`, the gradient takes four lines,

.. math::

    \delta_L = \tfrac{2}{n m} w (\hat y - y)\,\phi'(z_L), \quad
    \frac{\partial L}{\partial W_l} = \delta_l^T h_l, \quad
    \frac{\partial L}{\partial b_l} = \sum_\text{rows} \delta_l, \quad
    \delta_{l-1} = (\delta_l W_l)\,\phi'(z_{l-1}),

which write to memory that is allocated once. This is two to three times faster than
``loss.backward()``. Dropout multiplies :math:`h` and its gradient by the same random numbers.
"""

import torch
from torch import nn

_aten = torch.ops.aten
#: Columns of a strip in which a BLAS computes a product of matrices.
STRIP = 16
#: Rows from which a transposed product is worth its copy.
MIN_TRANSPOSED = 200

# For every activation: functions for phi(z) and for phi'(z) times the incoming gradient, their
# arguments, and whether the latter takes phi(z) rather than z.
_ACTIVATIONS = {
    # relu.out would take three times as long.
    nn.ReLU: lambda layer: (
        _aten.clamp_min.out,
        {"min": 0.0},
        _aten.threshold_backward,
        {"threshold": 0.0},
        True,
    ),
    nn.LeakyReLU: lambda layer: (
        _aten.leaky_relu.out,
        {"negative_slope": layer.negative_slope},
        _aten.leaky_relu_backward,
        {"negative_slope": layer.negative_slope, "self_is_result": True},
        True,
    ),
    nn.Tanh: lambda layer: (_aten.tanh.out, {}, _aten.tanh_backward, {}, True),
    nn.Sigmoid: lambda layer: (_aten.sigmoid.out, {}, _aten.sigmoid_backward, {}, True),
    nn.SiLU: lambda layer: (_aten.silu.out, {}, _aten.silu_backward, {}, False),
    nn.GELU: lambda layer: (
        _aten.gelu.out,
        {"approximate": layer.approximate},
        _aten.gelu_backward,
        {"approximate": layer.approximate},
        False,
    ),
    nn.Softplus: lambda layer: (
        _aten.softplus.out,
        {"beta": layer.beta, "threshold": layer.threshold},
        _aten.softplus_backward,
        {"beta": layer.beta, "threshold": layer.threshold},
        False,
    ),
}


class Backpropagation:
    """The mean square error of a feed-forward network and its gradient.

    Parameters
    ----------
    network : torch.nn.Sequential
        Dense layers, activations and dropout for which :meth:`knows` is true.

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
        self._layers, self._n_rows = [], None
        for layer in network:
            if type(layer) is nn.Linear:
                self._layers.append(_Dense(layer))
            elif type(layer) is nn.Dropout:
                self._layers.append(_Dropout(layer))
            else:
                # Only the activation uses the output of a dense layer.
                in_place = bool(self._layers) and type(self._layers[-1]) is _Dense
                self._layers.append(_Activation(layer, in_place))

    @staticmethod
    def knows(network):
        """Return whether all layers of `network` are supported and all its weights are trained.

        Examples
        --------
        >>> from skldos.networks import FeedForward
        >>> Backpropagation.knows(FeedForward(3, 2))
        True
        >>> Backpropagation.knows(torch.nn.Sequential(torch.nn.LayerNorm(3)))
        False
        """
        return (
            isinstance(network, nn.Sequential)
            and type(network).forward is nn.Sequential.forward
            and all(_is_known(layer) for layer in network)
            # A layer that occurs twice would get only one of its two gradients.
            and len({id(p) for p in _weights(network)}) == len(_weights(network))
        )

    def __call__(self, inputs, targets, weights=None):
        """Return predictions and loss, and put the gradient into the parameters.

        Parameters
        ----------
        inputs : torch.Tensor of shape (n_rows, n_in)
            Inputs.
        targets : torch.Tensor of shape (n_rows, n_out)
            Targets.
        weights : torch.Tensor of shape (n_rows, 1), optional
            Weights of the rows; None weights all equally.

        Returns
        -------
        predictions : torch.Tensor of shape (n_rows, n_out)
            Outputs of the network; the next call overwrites them.
        loss : torch.Tensor of shape ()
            Mean square error. The ``grad`` of every parameter is set, not added to.
        """
        n_rows = inputs.shape[0]
        if n_rows != self._n_rows:
            self._prepare(n_rows, targets)
        inputs, targets = inputs.detach(), targets.detach()
        h = [inputs]
        for layer in self._layers:
            h.append(layer.forward(h[-1]))
        predictions = h[-1]
        delta = torch.sub(predictions, targets, out=self._delta)
        if weights is None:
            loss = torch.dot(self._flat, self._flat) * self._per_value
        else:
            loss = torch.sum(weights * delta.square()) * self._per_value
            delta.mul_(weights)
        delta.mul_(self._twice_per_value)
        for i in reversed(range(len(self._layers))):
            delta = self._layers[i].backward(delta, h[i], h[i + 1])
        return predictions, loss

    def _prepare(self, n_rows, targets):
        """Allocate memory for batches of `n_rows` rows."""
        self._n_rows = n_rows
        # Tensors, since an operation with a number takes twice as long.
        self._per_value, self._twice_per_value = targets.new_tensor(
            [1.0 / targets.numel(), 2.0 / targets.numel()]
        )
        self._delta = torch.empty_like(targets, memory_format=torch.contiguous_format)
        self._flat, delta = self._delta.view(-1), self._delta
        for layer in self._layers:
            layer.allocate(n_rows)
        for layer in reversed(self._layers):
            delta = layer.goes_back(delta, first=layer is self._layers[0])


class _Dense:
    """:math:`z = h W^T + b` and its gradient."""

    def __init__(self, layer):
        self._parameters = layer.weight, layer.bias
        # The same numbers, of which autograd keeps no record. Looked up once: attributes of modules
        # are slow.
        self._weight, self._bias = layer.weight.detach(), layer.bias.detach()
        self._transposed, self._column = self._weight.t(), self._bias[:, None]

    def allocate(self, n_rows):
        """Allocate memory for the outputs, and for transposed products where they are faster.

        The time of a product of matrices is about that of its rows times that of its strips.
        """
        n_out, n_in = self._weight.shape
        self._z = self._bias.new_empty((n_rows, n_out))
        self._z_transposed = self._gradient_transposed = None
        if n_rows >= MIN_TRANSPOSED and self._bias.device.type == "cpu":
            if 1 < n_out < STRIP:
                self._z_transposed = self._bias.new_empty((n_out, n_rows))
            if n_out * _strips(n_in) > n_in * _strips(n_out):
                self._gradient_transposed = self._bias.new_empty((n_in, n_out))

    def goes_back(self, delta, *, first):
        """Note where the gradient of the outputs is; return where that of the inputs will be."""
        self._delta_transposed = delta.t()
        self._delta_in = None if first else delta.new_empty((len(delta), self._weight.shape[1]))
        return self._delta_in

    def forward(self, h):
        if self._z_transposed is None:
            return torch.addmm(self._bias, h, self._transposed, out=self._z)
        torch.addmm(self._column, self._weight, h.t(), out=self._z_transposed)
        return self._z.copy_(self._z_transposed.t())

    def backward(self, delta, h, z):
        weight, bias = self._parameters
        if weight.grad is None:
            weight.grad = torch.empty_like(weight)
        if bias.grad is None:
            bias.grad = torch.empty_like(bias)
        if self._gradient_transposed is None:
            torch.mm(self._delta_transposed, h, out=weight.grad)
        else:
            torch.mm(h.t(), delta, out=self._gradient_transposed)
            weight.grad.copy_(self._gradient_transposed.t())
        torch.sum(delta, dim=0, out=bias.grad)
        if self._delta_in is None:
            return None
        return torch.mm(delta, self._weight, out=self._delta_in)


class _Activation:
    """A function of every element and its derivative, which takes the place of the gradient."""

    def __init__(self, layer, in_place):
        self._function, self._options, backward, options, of_result = _ACTIVATIONS[type(layer)](
            layer
        )
        self._backward, self._backward_options = backward.grad_input, options
        self._of_result, self._in_place = of_result, in_place and of_result

    def allocate(self, n_rows):
        """Have memory for the outputs allocated by the next inputs."""
        self._h = None

    def goes_back(self, delta, *, first):
        """Return where the gradient of the inputs will be: in the place of that of the outputs."""
        return delta

    def forward(self, z):
        if self._in_place:
            return self._function(z, **self._options, out=z)
        if self._h is None:
            self._h = torch.empty_like(z)
        return self._function(z, **self._options, out=self._h)

    def backward(self, delta, z, h):
        values = h if self._of_result else z
        return self._backward(delta, values, **self._backward_options, grad_input=delta)


class _Dropout:
    """:math:`h r`, where r is 0 with probability p, and otherwise 1/(1 − p)."""

    def __init__(self, layer):
        self._layer = layer

    def allocate(self, n_rows):
        """Have memory for the outputs allocated by the next inputs."""
        self._h = None

    def goes_back(self, delta, *, first):
        """Return where the gradient of the inputs will be: in the place of that of the outputs."""
        return delta

    def forward(self, h):
        if not self._layer.training:
            return h
        if self._h is None:
            self._h, self._noise = torch.empty_like(h), torch.empty_like(h)
        # The operations of torch's dropout on the CPU, so that it would draw the same numbers.
        keep = 1.0 - self._layer.p
        return torch.mul(h, self._noise.bernoulli_(keep).div_(keep), out=self._h)

    def backward(self, delta, h, out):
        return delta if out is h else delta.mul_(self._noise)


def _strips(n):
    """Return into how many strips a BLAS cuts `n` columns: of 16, and the rest of 8, 4, 2 and 1.

    A narrow strip takes as long as a wide one: 91 columns (8 strips) cost more than 96 (6).
    """
    return n // STRIP + (n % STRIP).bit_count()


def _weights(network):
    """Return the parameters of all layers, repeated for layers that occur more than once."""
    return [p for layer in network for p in layer.parameters()]


def _is_known(layer):
    """Return whether a layer is of a supported type, has no hooks and is fully trained."""
    if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
        return False
    if type(layer) is nn.Linear:
        return layer.bias is not None and all(p.requires_grad for p in layer.parameters())
    if type(layer) is nn.Dropout:
        return 0.0 < layer.p < 1.0
    # With a negative slope, the output of a leaky ReLU does not determine the sign of its input.
    return type(layer) in _ACTIVATIONS and getattr(layer, "negative_slope", 0.0) >= 0.0
