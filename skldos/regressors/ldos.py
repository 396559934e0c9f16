"""The local density of states as a function of the surroundings of a grid point."""

import torch

from skldos.networks import FeedForward
from skldos.regressors._base import BlockRegressor


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
    criterion : type, default=torch.nn.MSELoss
        Loss between outputs and normalised targets.
    optimizer : type, default=torch.optim.Adam
        Optimizer.
    lr : float, default=1e-3
        Learning rate.
    max_epochs : int, default=100
        Passes over the training data; 0 only initialises the network.
    batch_size : int, default=1000
        Rows (grid points) per batch.
    train_split : None, int, float, array-like of int or callable, default=None
        Validation snapshots: how many, which fraction, or their indices; or a splitter of
        skorch. For plain arrays the same of rows. None validates nothing.
    early_stopping : int, optional
        Stop when the validation loss has not improved for so many epochs, and return to the
        weights of the best epoch. None trains for `max_epochs`.
    lr_schedule : {"plateau", "cosine"}, optional
        Divide the learning rate by ten when the loss stalls
        (``callbacks__lr_schedule__patience``, ``…__factor``), or anneal it to zero. None keeps it.
    target_scaling : {"max", "minmax", "standard"} or None, default="max"
        Normalisation of the targets: by the largest absolute value in the training data, their
        range to [0, 1], every output to zero mean and unit variance, or none.
    dos_weight : float, "auto" or None, default="auto"
        After training on blocks, refit the (linear) output layer in closed form to the LDOS at
        every point and, with this weight, to its mean over every training snapshot: errors
        that add up in the density of states are taken out. ``"auto"`` is 100 where the network
        ends in a linear layer and the criterion is the mean square error, and None elsewhere.
        None keeps the trained weights, as they were in Ref. [1]_.
    buffer_size : float, default=512
        Memory in MiB for rows that batches are drawn from. Training data that fit are held and
        shuffled as a whole; larger data stream through.
    callbacks : list, optional
        Callbacks of skorch.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the last one.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line per epoch.
    device : str, default="cpu"
        Where the network lives, such as ``"cuda"``.
    compile : bool, default=False
        Whether to compile the network with ``torch.compile``.
    autocast : {"bfloat16", "float16"} or None, default=None
        Precision of matrix products in training; None takes single precision. Weights, losses,
        the refit of the output layer and predictions are in single precision whatever it is.
        ``"bfloat16"`` pays on processors and cards that have it; ``"float16"`` is for older cards,
        and scales the loss. Not for LBFGS.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, validation split and batches.
    **kwargs : dict
        ``module__x`` and the like; for the default network ``module__hidden_layer_sizes``,
        ``module__activation``, ``module__output_activation``, ``module__dropout``.

    Attributes
    ----------
    module_ : torch.nn.Module
        The trained network.
    history_ : skorch.history.History
        One entry per epoch with ``train_loss``, ``valid_loss`` (means of the criterion over
        rows, of normalised targets, before the output layer is refitted) and ``dur`` in s.
    target_center_, target_scale_ : ndarray
        The normalisation, y = center + scale · output.
    n_features_in_, n_outputs_ : int
        Numbers of inputs and outputs.
    energies_ : ndarray of shape (n_outputs,) or None
        Energies of the outputs in eV, where the blocks knew their snapshots.
    broadening_, kernel_ : float and str, or None
        How the LDOS of the snapshots was broadened, as in :class:`~skldos.EnergyGrid`.

    Notes
    -----
    A pickle holds parameters, weights and history as plain arrays, but not the state of the
    optimizer: training that goes on after loading starts it anew.

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
        buffer_size=512,
        callbacks=None,
        warm_start=False,
        verbose=0,
        device="cpu",
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
        self.warm_start = warm_start
        self.verbose = verbose
        self.device = device
        self.compile = compile
        self.autocast = autocast
        self.random_state = random_state
        vars(self).update(kwargs)
