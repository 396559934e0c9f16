"""The density of states of an atom as a function of its environment on concentric spheres."""

import numpy as np
import torch

from skldos.docstrings import documented
from skldos.networks.csnn import ConcentricSpherical, subdivisions_of
from skldos.regressors.neural._batches import RowBatches
from skldos.regressors.neural._environments import Frames, RotatedBatches, flatten, frame_rotations
from skldos.regressors.neural.base import BlockRegressor
from skldos.regressors.parameters import OF_NETS
from skldos.validation import check_option, check_scalar


@documented(OF_NETS)
class CSNNRegressor(BlockRegressor):
    r"""Concentric spherical network from environments of atoms to their densities of states.

    The network has convolutions within and between spheres around an atom [1]_; see
    :class:`~skldos.networks.csnn.ConcentricSpherical`. It takes the blocks of
    :class:`~skldos.AtomEnvTransformer` and learns one row of targets per atom, made by
    :class:`~skldos.ADOSDecomposer` and passed as `y`, or made by an
    :class:`~skldos.regressors.ados.ADOSRegressor` around this regressor.

    The outputs are invariant under the 60 rotations of the icosahedron, but not under others. Lazy
    blocks (``AtomEnvTransformer(lazy=True)``) can be rotated: `augment` then trains on random
    orientations, and `n_rotations` averages predictions over several.

    In plain two-dimensional arrays, a row holds channels × spheres × vertices, the vertices
    fastest; set ``module__n_spheres`` and ``module__subdivisions`` accordingly. With
    ``module__n_spheres=1, module__subdivisions=None`` rows may have any width.

    It is a skorch net: every parameter of the network, the optimizer and the callbacks can be
    set (and searched over) as ``module__x``, ``optimizer__x`` and ``callbacks__name__x``.

    Parameters
    ----------
    module : type or torch.nn.Module, default=ConcentricSpherical
        Network, built as ``module(n_in, n_out, **module__x)`` with the number of values per atom
        `n_in`. The default one gets its numbers of spheres and vertices from the blocks.
    augment : bool, default=False
        Whether to rotate the environment of every atom at random, anew in every epoch. Needs lazy
        blocks.
    n_rotations : int, default=1
        Number of orientations over which predictions are averaged; always the same ones, the first
        being that of the data. More than one needs lazy blocks.
    %(criterion)s
    %(optimizer)s
    lr : float, default=1e-2
        Learning rate.
    %(max_epochs)s
    batch_size : int, default=32
        Atoms per batch, in training and in prediction. It limits the memory: the network of
        Ref. [1]_ takes some 75 MB per atom in training and 20 MB in prediction.
    %(train_split)s
    %(early_stopping)s
    %(lr_schedule)s
        Ref. [1]_ uses ``"plateau"`` with a patience of 50.
    %(target_scaling)s
        The output of Ref. [1]_ is not negative and learns slowly. Use ``"standard"`` with
        ``module__output="linear"`` to learn the differences between atoms.
    dos_weight : float, "auto" or None, default=None
        After training on blocks, refit the output layer, which must be linear, in closed form to
        every row and, with this weight, to the mean over every training snapshot; see
        :class:`~skldos.LDOSRegressor`. Without it every phase keeps a bias: its predictions err
        towards the mean of the training data.
    dos_ridge : float, default=1e-2
        Ridge on the change of weights in that refit, in units of the mean eigenvalue of its
        normal matrix. With fewer atoms than weights, a small ridge does not generalise to other
        snapshots.
    %(buffer_size)s
    %(callbacks)s
    %(checkpoint)s
    %(warm_start)s
    %(device)s
    %(verbose)s
    %(compile)s
    autocast : {"bfloat16", "float16"} or None, default=None
        Precision of matrix products in training; see :class:`~skldos.LDOSRegressor`.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, validation split, batches, dropout and rotations.
    **kwargs : dict
        ``module__x`` and the like; for the default network ``module__n_spheres``,
        ``module__subdivisions``, ``module__factor``, ``module__n_hidden``, ``module__dropout``,
        ``module__output``, ``module__self_weight``, ``module__spheres``, ``module__n_levels``.

    Attributes
    ----------
    %(module_)s
    history_ : skorch.history.History
        One entry per epoch with ``train_loss``, ``valid_loss`` (means of the criterion over
        rows, of normalised targets) and ``dur`` in s.
    %(target_center_)s
    n_features_in_, n_outputs_ : int
        Numbers of inputs (values per atom) and outputs.
    environment_shape_ : tuple of int or None
        Shape of the environment of an atom, ``(n_spheres, n_vertices)`` or
        ``(n_channels, n_spheres, n_vertices)``; None if X had one axis for all of it.
    n_rotations_ : int
        `n_rotations` at the time of ``fit``, used in prediction.
    %(energies_)s
    %(broadening_)s

    References
    ----------
    .. [1] Fox et al., "Resolving Computational Challenges in Accelerating Electronic
       Structure Calculations using Machine Learning".

    Examples
    --------
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.decomposition import ADOSDecomposer
    >>> from skldos.descriptors.atom_env import AtomEnvTransformer
    >>> from skldos.regressors.neural.csnn import CSNNRegressor
    >>> snapshots = make_snapshots(4, random_state=0)
    >>> X = AtomEnvTransformer(n_spheres=4, subdivisions=1, r_min=1.5, r_cut=5.0).fit_transform(
    ...     snapshots
    ... )
    >>> y = ADOSDecomposer().fit_transform(snapshots)
    >>> model = CSNNRegressor(module__factor=1, max_epochs=20, batch_size=8, random_state=0)
    >>> model.fit(X, y).predict(X)
    Blocks(4 of shape (4, 21), (4, 21), (4, 21), (4, 21))
    """

    _fitted_scalars = (*BlockRegressor._fitted_scalars, "environment_shape_", "n_rotations_")

    def __init__(
        self,
        module=ConcentricSpherical,
        *,
        augment=False,
        n_rotations=1,
        criterion=torch.nn.MSELoss,
        optimizer=torch.optim.Adam,
        lr=1e-2,
        max_epochs=100,
        batch_size=32,
        train_split=None,
        early_stopping=None,
        lr_schedule="cosine",
        target_scaling="max",
        dos_weight=None,
        dos_ridge=1e-2,
        buffer_size=256,
        callbacks=None,
        checkpoint=None,
        warm_start=False,
        device="cpu",
        verbose=0,
        compile=False,  # noqa: A002 (skorch's name)
        autocast=None,
        random_state=None,
        **kwargs,
    ):
        self.module = module
        self.augment = augment
        self.n_rotations = n_rotations
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
        self.dos_ridge = dos_ridge
        self.buffer_size = buffer_size
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.device = device
        self.verbose = verbose
        self.compile = compile
        self.autocast = autocast
        self.random_state = random_state
        vars(self).update(kwargs)

    @staticmethod
    def block_targets(snapshots):
        """Raise an error: snapshots carry targets of grid points, not of atoms."""
        raise ValueError(
            "CSNNRegressor.fit needs targets y with a row for every atom, such as ADOSDecomposer "
            "makes; or put it into an ADOSRegressor, which makes them in fit."
        )

    # ---------------------------------------------------------------- checks

    def _check_parameters(self):
        super()._check_parameters()
        check_option("augment", self.augment, (True, False))
        check_scalar("n_rotations", self.n_rotations, low=1, integer=True)
        check_scalar("dos_ridge", self.dos_ridge, low=0, strict=True)

    def _check_data(self, X, y, *, reset):
        if reset:
            self.environment_shape_ = None
        self.n_rotations_ = self.n_rotations
        dataset = super()._check_data(X, y, reset=reset)
        if self.augment and not all(_can_rotate(block) for block in dataset.inputs):
            raise ValueError(_CANNOT_ROTATE.format("augment=True"))
        return dataset

    def _check_blocks(self, X, y, *, reset):
        flat, shape = flatten(X)
        if reset:
            self.environment_shape_ = shape
        self._check_shape(shape)
        return super()._check_blocks(flat, y, reset=reset)

    def _check_shape(self, shape):
        """Raise an error if blocks have other axes than in ``fit``; two-axis blocks always pass."""
        fitted_shape = self.environment_shape_
        if None not in (shape, fitted_shape) and shape != fitted_shape:
            raise ValueError(
                f"X must hold environments of shape {fitted_shape} as in fit, got {shape}."
            )

    # ---------------------------------------------------------------- the network

    def get_params_for(self, prefix):
        """Return the arguments of a part; the network's include the shape of environments."""
        arguments = super().get_params_for(prefix)
        environment = self.__dict__.get("environment_shape_")
        is_csnn = isinstance(self.module, type) and issubclass(self.module, ConcentricSpherical)
        if prefix != "module" or environment is None or not is_csnn:
            return arguments
        n_spheres, n_vertices = environment[-2:]
        shape = {"n_spheres": n_spheres, "subdivisions": subdivisions_of(n_vertices)}
        for name, value in shape.items():
            if arguments.get(name, value) != value:
                raise ValueError(
                    f"module__{name} must be {value}, as in environments of shape {environment}, "
                    f"or left out; got {arguments[name]!r}."
                )
        return arguments | shape

    def get_iterator(self, dataset, training=False):
        """Return batches of (inputs, normalised targets) on the device."""
        kind = RotatedBatches if training and self.augment else RowBatches
        return self._batches(kind, dataset, self.batch_size, shuffle=training)

    # ---------------------------------------------------------------- prediction

    def _input_blocks(self, X):
        """Yield the checked rows of blocks one by one, in all frames to average over."""
        flat, shape = flatten(X)
        self._check_shape(shape)
        for block in super()._input_blocks(flat):
            if self.n_rotations_ == 1:
                yield block
            elif _can_rotate(block):
                yield Frames([block.rotated(R) for R in frame_rotations(self.n_rotations_)])
            else:
                raise ValueError(_CANNOT_ROTATE.format(f"n_rotations={self.n_rotations_}"))

    def _forward(self, rows):
        """Return targets in their own units for a slice of rows, averaged over the frames."""
        if not isinstance(rows, Frames):
            if self.n_rotations_ != 1:
                raise ValueError(_CANNOT_ROTATE.format(f"n_rotations={self.n_rotations_}"))
            rows = Frames([rows])
        # In small pieces: inside the network an atom takes a hundred times as much memory.
        forward = super()._forward
        predicted = np.concatenate([forward(piece) for piece in rows.pieces(self.batch_size)])
        return predicted.reshape(-1, len(rows), self.n_outputs_).mean(axis=0)


_CANNOT_ROTATE = "{} needs blocks that can be rotated: set AtomEnvTransformer(lazy=True)."


def _can_rotate(block):
    return getattr(block, "can_rotate", False)
