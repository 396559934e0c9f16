"""Training steps in mixed precision."""

import torch

from skldos.regressors.skorch.regressor import SkorchRegressor
from skldos.regressors.torch_state import uncompiled
from skldos.validation import check_option

#: Types with half the bits of single precision, by name.
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def check_autocast(autocast, device, optimizer):
    """Raise a ``ValueError`` unless this precision is possible for training on `device`.

    Examples
    --------
    >>> check_autocast("bfloat16", "cpu", torch.optim.Adam)
    >>> check_autocast("float16", "cpu", torch.optim.Adam)
    Traceback (most recent call last):
    ...
    ValueError: autocast="float16" needs device="cuda", got device='cpu'; "bfloat16" needs none.
    """
    check_option("autocast", autocast, (None, *DTYPES))
    if autocast is None:
        return
    if autocast == "float16" and torch.device(device).type != "cuda":
        raise ValueError(
            f'autocast="float16" needs device="cuda", got device={device!r}; "bfloat16" needs none.'
        )
    if optimizer is torch.optim.LBFGS:
        # Curvatures are differences of gradients, in which the remaining digits cancel.
        raise ValueError(f"autocast={autocast!r} does not support optimizer=LBFGS.")


class MixedPrecisionRegressor(SkorchRegressor):
    """A skorch regressor that can compute matrix products in lower precision during training.

    Weights, losses, the optimizer and predictions stay in single precision. Only gradients and
    validation losses lose digits.

    Subclasses may have a parameter `autocast`, None or one of :data:`DTYPES`.
    """

    autocast = None
    # Keeps small gradients within the range of the type; set when training begins.
    _scaler_ = None

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Prepare the scaling of the loss for "float16", whose smallest number is 6e-8."""
        super().on_train_begin(net, X, y, **kwargs)
        device = torch.device(self.device).type
        self._scaler_ = torch.amp.GradScaler(device, enabled=self.autocast == "float16")

    def _backward(self, loss):
        if self.autocast is None:
            return super()._backward(loss)
        self._scaler_.scale(loss).backward()
        # Callbacks that use gradients, for example to clip them, get them without scaling.
        self._scaler_.unscale_(self.optimizer_)

    def _network_outputs(self, X):
        # In validation as well: statistics of batch normalisations have this precision.
        if self.autocast is None:
            return super()._network_outputs(X)
        with torch.autocast(torch.device(self.device).type, dtype=DTYPES[self.autocast]):
            y_pred = self.module_(X)
        return y_pred.float()

    def optimizer_step(self):
        """Let the optimizer update the weights, unless a gradient was too large for the type."""
        self._scaler_.step(self.optimizer_)
        self._scaler_.update()


@torch.no_grad()
def renew_statistics(network, batches):
    """Compute the running means of batch normalisations again, in single precision.

    A layer adds a bias, which the following normalisation subtracts. Rounded to eight bits, the
    error of the bias exceeds the differences between atoms, so that these means differ from those
    in prediction. For 32 atoms of aluminium, errors were three times larger with them.

    `batches` are the training data. The network is in evaluation mode afterwards.
    """
    network = uncompiled(network)
    norms = [m for m in network.modules() if getattr(m, "running_mean", None) is not None]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    network.train()
    for inputs, _ in batches:
        network(inputs)
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
