"""Monte Carlo dropout: networks that drop different units in each prediction pass."""

import copy
from inspect import signature

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skldos.docstrings import documented
from skldos.networks import ConcentricSpherical
from skldos.regressors import BlockRegressor, MDNRegressor
from skldos.regressors.torch_state import own_defaults, uncompiled
from skldos.uncertainty._base import OF_UNCERTAIN, UncertainRegressor, as_blocks
from skldos.validation import check_option, check_scalar

#: Rows times passes that a network of dense layers evaluates at once.
DENSE_ROWS = 8192


@documented(OF_UNCERTAIN)
class MCDropout(UncertainRegressor):
    r"""Predictive uncertainty by Monte Carlo dropout.

    Each pass drops different units, as in training; batch normalisation stays in evaluation mode.
    Passes are samples of an approximate posterior [1]_: their mean is the prediction and their
    spread the uncertainty. The layers before the first dropout give the same result in all passes
    and run once. If only dense layers at the end have dropout, hundreds of passes cost little more
    than one.

    Parameters
    ----------
    regressor : BlockRegressor
        A network whose module has dropout: ``module__dropout`` above 0.
    n_passes : int, default=512
        Number of passes, 512 as in Ref. [2]_.
    masks : {"shared", "independent"}, default="shared"
        ``"shared"`` drops the same units for all sites of all snapshots in a pass. A pass is then
        a sample of *the network*: errors that sites have in common remain in the sums, and the
        errors of snapshots are correlated. ``"independent"`` draws new units for every site, as in
        training and in Ref. [2]_; common errors then cancel in the sums.
    batch_rows : int, optional
        Rows times passes that are evaluated at once, which limits the memory; independent masks
        also depend on it. None means 8192 or, for layers on spheres, which need a hundred times as
        much memory per row, the regressor's `batch_size`.
    random_state : int, RandomState or None, default=None
        Seed of the dropped units; an int makes predictions reproducible. It also seeds a
        `regressor` whose own random state is None.

    Attributes
    ----------
    regressor_ : BlockRegressor
        The fitted regressor.
    n_passes_, masks_, batch_rows_, random_state_
        The parameters at the time of ``fit``, used in prediction.
    %(energies_)s

    References
    ----------
    .. [1] Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation", ICML (2016).
    .. [2] Fox et al., "Resolving Computational Challenges in Accelerating Electronic
       Structure Calculations using Machine Learning".

    Examples
    --------
    >>> from skldos import AtomSNAPTransformer, LDOSRegressor
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.decomposition import ADOSDecomposer
    >>> from skldos.uncertainty import MCDropout
    >>> snapshots = make_snapshots(4, random_state=0)
    >>> X = AtomSNAPTransformer(twojmax=2).fit_transform(snapshots)
    >>> y = ADOSDecomposer().fit_transform(snapshots)
    >>> network = LDOSRegressor(
    ...     module__hidden_layer_sizes=(16,), module__dropout=0.1, max_epochs=5, random_state=0
    ... )
    >>> model = MCDropout(network, n_passes=32, random_state=0).fit(X, y)
    >>> mean, std = model.predict(X, return_std=True)
    >>> std
    Blocks(4 of shape (4, 21), (4, 21), (4, 21), (4, 21))
    >>> model.sample_sums(X).shape
    (32, 4, 21)
    """

    def __init__(
        self, regressor, n_passes=512, *, masks="shared", batch_rows=None, random_state=None
    ):
        self.regressor = regressor
        self.n_passes = n_passes
        self.masks = masks
        self.batch_rows = batch_rows
        self.random_state = random_state

    def fit(self, X, y=None, sample_weight=None):
        """Train the network.

        Parameters
        ----------
        %(X)s
        %(y)s
        %(sample_weight)s

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If the network has no dropout, or is averaged over rotations.
        """
        check_scalar("n_passes", self.n_passes, low=2, integer=True)
        check_option("masks", self.masks, ("shared", "independent"))
        if self.batch_rows is not None:
            check_scalar("batch_rows", self.batch_rows, low=1, integer=True)
        if not isinstance(self.regressor, BlockRegressor):
            raise TypeError(
                f"regressor must be a network such as CSNNRegressor, got {self.regressor!r}; put "
                "an MCDropout into an ADOSRegressor, not around it."
            )
        if isinstance(self.regressor, MDNRegressor):
            raise TypeError(
                "regressor must predict numbers, not distributions: for MDNRegressor use its own "
                "predict(X, return_std=True)."
            )
        if getattr(self.regressor, "n_rotations", 1) != 1:
            raise ValueError(
                f"regressor must have n_rotations=1, got {self.regressor.n_rotations}."
            )
        has_rate = "dropout" in signature(self.regressor.module).parameters
        if has_rate and not getattr(self.regressor, "module__dropout", 0.0):
            self._refuse()  # before the training
        network = clone(self.regressor)
        if self.random_state is not None and network.random_state is None:
            seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
            network.set_params(random_state=seed)
        self.regressor_ = network.fit(X, y, sample_weight)
        if not _dropouts(self.regressor_.module_):
            self._refuse()
        self._take_over(self.regressor_)
        self._remember("n_passes", "masks", "batch_rows", "random_state")
        return self

    def _refuse(self):
        raise ValueError(
            "the network must have dropout, set module__dropout to a number above 0; got "
            f"{self.regressor!r}."
        )

    def sample_sums(self, X):
        """Return the sums of the targets over the sites for every pass.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_passes, n_snapshots, n_outputs)
            For atoms, densities of states in 1/eV.
        """
        check_is_fitted(self)
        sums = np.zeros((self.n_passes_, len(X), self.regressor_.n_outputs_))
        for i, _, passes, outputs in self._passes(X):
            sums[passes, i] += outputs.sum(axis=1, dtype=float)
        return sums

    def _mean_and_std(self, blocks):
        shapes = [(len(block), self.regressor_.n_outputs_) for block in blocks]
        totals, squares = ([np.zeros(shape) for shape in shapes] for _ in range(2))
        # Deviations from the network without dropout: no cancellation where passes agree.
        center = self.regressor_.predict(blocks)
        for i, rows, _, outputs in self._passes(blocks):
            deviation = outputs - np.asarray(center[i][rows], dtype=float)
            totals[i][rows] += deviation.sum(axis=0)
            squares[i][rows] += np.square(deviation).sum(axis=0)
        n = self.n_passes_
        for mean, total, square in zip(center, totals, squares, strict=True):
            variance = np.maximum(square - total**2 / n, 0.0) / (n - 1)
            yield (mean + total / n).astype(np.float32), np.sqrt(variance).astype(np.float32)

    def _passes(self, X):
        """Yield block number, slice of rows, slice of passes, and outputs (passes, rows, …)."""
        model, independent = self.regressor_, self.masks_ == "independent"
        seed = check_random_state(self.random_state_).randint(np.iinfo(np.int32).max)
        trunk, head, layers = _split_at_dropout(model.module_, independent)
        for i, rows, features in self._features(trunk, X):
            n_rows = rows.stop - rows.start
            # With shared masks, a pass uses the same network for all rows of all blocks.
            where = (i, rows.start) if independent else (0, 0)
            step = max(1, self._rows_at_once(features.ndim == 4) // n_rows)
            for first in range(0, self.n_passes_, step):
                passes = slice(first, min(first + step, self.n_passes_))
                numbers = range(first, passes.stop)
                generators = [_generator(model.device, seed, *where, p) for p in numbers]
                for layer in layers:
                    layer.generators = generators
                with own_defaults(), torch.inference_mode():
                    outputs = head(_repeated(features, len(numbers))).cpu().numpy()
                outputs = model._scaling.restore(outputs)
                yield i, rows, passes, outputs.reshape(len(numbers), n_rows, -1)

    def _features(self, trunk, X):
        """Yield block number, slice of rows, and their features common to all passes."""
        model = self.regressor_
        at_once = self._rows_at_once(isinstance(uncompiled(model.module_), ConcentricSpherical))
        for i, block in enumerate(model._input_blocks(as_blocks(X))):
            for start in range(0, block.shape[0], at_once):
                rows = slice(start, min(start + at_once, block.shape[0]))
                inputs = model._tensor(block[rows])
                with own_defaults(), torch.inference_mode():
                    features = trunk(inputs)
                yield i, rows, features

    def _rows_at_once(self, on_spheres):
        if self.batch_rows_ is not None:
            return self.batch_rows_
        # On spheres, a row takes a hundred times as much memory inside the network.
        return self.regressor_.batch_size if on_spheres else DENSE_ROWS


class MaskedDropout(nn.Module):
    """Dropout with the masks of several passes, each from its own generator.

    The rows of the first pass come first, then those of the second, and so on.

    Parameters
    ----------
    p : float
        Probability of dropping a number.
    independent : bool
        Whether every row has its own mask, or all rows of a pass share one.
    """

    def __init__(self, p, independent):
        super().__init__()
        self.p = p
        self.independent = independent
        self.generators = ()

    def forward(self, x):
        """Return `x` with some numbers set to zero and the others scaled up."""
        axis = _row_axis(x)
        n_passes = len(self.generators)
        n_rows = x.shape[axis] // n_passes
        shape = [*x.shape[:axis], n_rows if self.independent else 1, *x.shape[axis + 1 :]]
        like = {"dtype": x.dtype, "device": x.device}
        draws = [torch.rand(shape, generator=g, **like) for g in self.generators]
        mask = torch.stack(draws, dim=axis) >= self.p
        scale = 0.0 if self.p == 1 else 1 / (1 - self.p)
        return (x.unflatten(axis, (n_passes, n_rows)) * (mask * scale)).view(x.shape)


def _dropouts(network):
    """Return the names of all active dropout layers of a network."""
    return [n for n, m in network.named_modules() if isinstance(m, nn.Dropout) and m.p > 0]


def _split_at_dropout(network, independent):
    """Return the part of a network before its first dropout, the rest, and its dropouts.

    Both are copies in evaluation mode, the rest with masks. If the order of the layers is not
    known, the first part is empty.
    """
    network = copy.deepcopy(uncompiled(network)).eval()
    layers = []
    for name in _dropouts(network):
        parent, _, attribute = name.rpartition(".")
        layers.append(MaskedDropout(network.get_submodule(name).p, independent))
        setattr(network.get_submodule(parent), attribute, layers[-1])
    if type(network).forward is not nn.Sequential.forward:
        return nn.Identity(), network, layers
    steps = list(network)
    drops = [any(isinstance(m, MaskedDropout) for m in step.modules()) for step in steps]
    first = drops.index(True)
    return nn.Sequential(*steps[:first]), nn.Sequential(*steps[first:]), layers


def _repeated(x, n):
    """Return `n` times the rows of features, one after the other."""
    return torch.cat([x] * n, dim=_row_axis(x))


def _row_axis(x):
    # Layers on spheres have the vertices first, (n_vertices, n_rows, n_spheres, n_channels).
    return 1 if x.ndim == 4 else 0


def _generator(device, *key):
    """Return a random generator that depends only on the numbers in `key`."""
    (state,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    # Seeds of torch are signed.
    return torch.Generator(device=device).manual_seed(int(state >> np.uint64(1)))
