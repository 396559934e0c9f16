"""A network from descriptors of grid points to the local density of states."""

import torch

from skldos.docstrings import documented
from skldos.networks import FeedForward
from skldos.regressors.neural.base import BlockRegressor
from skldos.regressors.parameters import OF_NETS


@documented(OF_NETS)
class LDOSRegressor(BlockRegressor):
    r"""Feed-forward network from descriptors to the LDOS, point by point.

    .. math:: d(r, E_k) = s \, [W_L \phi(\dots \phi(W_1 B(r) + b_1) \dots) + b_L]_k

    with the descriptors :math:`B(r)` of a grid point and the training maximum :math:`s` of the
    LDOS [1]_. In a pipeline after a grid transformer and ``RowWise(StandardScaler())`` it
    trains on batches of rows drawn across all snapshots, from memory or streamed from disk.
    On plain two-dimensional arrays it is an ordinary scikit-learn regressor.

    It is a skorch net: every parameter of the network, the optimizer and the callbacks can be
    set (and searched over) as ``module__x``, ``optimizer__x`` and ``callbacks__name__x``.

    Parameters
    ----------
    module : type or torch.nn.Module, default=FeedForward
        Network, built as ``module(n_in, n_out, **module__x)``.
    %(criterion)s
    %(optimizer)s
    lr : float, default=1e-3
        Learning rate.
    %(max_epochs)s
    batch_size : int, default=1000
        Rows (grid points) per batch.
    %(train_split)s
    %(early_stopping)s
    lr_schedule : {"plateau", "cosine"}, optional
        %(lr_schedule.text)s
    %(target_scaling)s
    dos_weight : float, "auto" or None, default="auto"
        After training on blocks, refit the (linear) output layer in closed form to the LDOS at
        every point and, with this weight, to its mean over every training snapshot. This removes
        errors that add up in the density of states. ``"auto"`` means 100 if the network ends in a
        linear layer, the criterion is the mean square error and there is at least one epoch, and
        None otherwise. None keeps the trained weights, as in Ref. [1]_.
    %(buffer_size)s
        Training data that fit into it are kept and shuffled as a whole; larger data are streamed.
    %(callbacks)s
    %(checkpoint)s
    %(warm_start)s
    %(device)s
    %(distributed)s
    %(verbose)s
    %(compile)s
    autocast : {"bfloat16", "float16"} or None, default=None
        Precision of matrix products in training (mixed precision); None means single precision.
        Weights, losses, the refit of the output layer and predictions always use single precision.
        ``"bfloat16"`` is faster on CPUs and GPUs that support it; ``"float16"`` is for older GPUs,
        and scales the loss. Not for LBFGS.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, validation split and batches.
    **kwargs : dict
        ``module__x`` and the like; for the default network ``module__hidden_layer_sizes``,
        ``module__activation``, ``module__output_activation``, ``module__dropout``.

    Attributes
    ----------
    %(module_)s
    history_ : skorch.history.History
        One entry per epoch with ``train_loss``, ``valid_loss`` (means of the criterion over
        rows, of normalised targets, before the output layer is refitted) and ``dur`` in s.
    %(target_center_)s
    %(n_features_in_)s
    %(energies_)s
    %(broadening_)s

    Notes
    -----
    A pickle holds parameters, weights, history and the state of the training (optimizer,
    schedules and random numbers) as plain arrays. ``partial_fit``, or ``fit`` with
    ``warm_start=True``, continues from there: without a schedule, or with ``"plateau"``, two
    training runs of 50 epochs give the same bits as one of 100. ``"cosine"`` anneals anew in each
    ``fit``. The refit of the output layer is undone before training continues.

    References
    ----------
    .. [1] J. A. Ellis et al., "Accelerating finite-temperature Kohn-Sham density functional
       theory with deep neural networks", Phys. Rev. B 104, 035120 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> from skldos import LDOSRegressor
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> y = np.column_stack([X[:, 0] ** 2, 1 - X[:, 0]])
    >>> model = LDOSRegressor(lr=1e-2, max_epochs=300, batch_size=50, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.99)
    True
    """

    def __init__(
        self,
        module=FeedForward,
        *,
        criterion=torch.nn.MSELoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=100,
        batch_size=1000,
        train_split=None,
        early_stopping=None,
        lr_schedule=None,
        target_scaling="max",
        dos_weight="auto",
        buffer_size=256,
        callbacks=None,
        checkpoint=None,
        warm_start=False,
        device="cpu",
        verbose=0,
        distributed=None,
        compile=False,  # noqa: A002 (skorch's name)
        autocast=None,
        random_state=None,
        **kwargs,
    ):
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.train_split = train_split
        self.early_stopping = early_stopping
        self.lr_schedule = lr_schedule
        self.target_scaling = target_scaling
        self.dos_weight = dos_weight
        self.buffer_size = buffer_size
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.distributed = distributed
        self.compile = compile
        self.autocast = autocast
        self.random_state = random_state
        vars(self).update(kwargs)
