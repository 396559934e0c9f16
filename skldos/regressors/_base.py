"""What all network regressors share: blocks or plain arrays in, the same kind out."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from ase import Atoms
from sklearn.utils.validation import check_is_fitted, validate_data

from skldos._compat import seeded, torch_threads
from skldos._validation import check_device, check_option, check_scalar
from skldos.data import Blocks, ComputedArray, Snapshot, is_blocks
from skldos.networks import Backpropagation
from skldos.regressors._autocast import (
    MixedPrecisionRegressor,
    check_autocast,
    renew_statistics,
)
from skldos.regressors._batches import BlockDataset, RowBatches, RowDataset
from skldos.regressors._callbacks import default_callbacks
from skldos.regressors._checks import checked_dataset, common_broadening, common_energies
from skldos.regressors._output_layer import fit_output_layer, output_layer
from skldos.regressors._scaling import TargetScaling
from skldos.regressors._score import coefficient_of_determination
from skldos.regressors._split import split_units

#: Rows that pass through the network at once in prediction.
PREDICT_ROWS = 8192

#: Inputs per batch below which one thread trains faster than several, which spend their time
#: waiting for each other; on busy cores by far.
SMALL_BATCH = 2**16

#: The weight of the DOS that "auto" stands for: the best of 1, 10, 100, 1000 over three seeds on
#: 32-atom aluminium, where ten times more or less changes little.
AUTO_DOS_WEIGHT = 100.0


class BlockRegressor(MixedPrecisionRegressor):
    """Base of regressors that map every row of a block to a row of targets.

    A subclass supplies the parameters and, through :meth:`block_targets`, the targets of
    snapshots that carry them.
    """

    # What `target_scaling` may be.
    _scalings = ("max", "minmax", "standard", None)
    # The gradient written out, where that is possible; set when an epoch begins.
    _backpropagation_ = None

    _fitted_scalars = (
        *MixedPrecisionRegressor._fitted_scalars,
        "target_center_",
        "target_scale_",
        "target_dtype_",
        "target_ndim_",
        "energies_",
        "broadening_",
        "kernel_",
    )

    @staticmethod
    def block_targets(snapshots):
        """Return the target blocks of `snapshots`, for ``fit(X)`` without `y`."""
        return snapshots.targets

    # ---------------------------------------------------------------- fitting

    def fit(self, X, y=None):
        """Train the network.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            One block ``(n_sites, n_features)`` per snapshot, or plain rows.
        y : sequence of array-like, array-like of shape (n_rows, n_outputs) or (n_rows,), optional
            Targets, per block ``(n_sites, n_outputs)`` or on the grid
            ``(n_x, n_y, n_z, n_outputs)``. None takes the targets that the snapshots behind
            the blocks carry.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If blocks and targets do not match in number or in rows, or hold NaN.
        """
        reset = not (self.warm_start and self.initialized_)
        return self._fit(X, y, reset=reset)

    def partial_fit(self, X, y=None, classes=None):
        """Train for `max_epochs` more, from where the last fit ended; see :meth:`fit`.

        `classes` is ignored: skorch declares it.
        """
        return self._fit(X, y, reset=not self.initialized_)

    def _fit(self, X, y, *, reset):
        """Check, split, learn the scaling of the targets and train; go on unless `reset`."""
        self._check_parameters()
        dataset = self._check_data(X, y, reset=reset)
        try:
            return self._fit_dataset(dataset, reset=reset)
        except Exception:
            if reset:
                # What a failed fit leaves is no model.
                self.initialized_ = False
                self.__dict__.pop("module_", None)
            raise

    def _fit_dataset(self, dataset, *, reset):
        with seeded(self.random_state, self.device):
            # Training that goes on must not train on what was held out before.
            split = _Split(dataset, self.train_split)
        with seeded(self._seed(goes_on=not reset), self.device):
            if reset:
                # From the training data alone: the validation data must not be seen.
                scaling = TargetScaling.learn(split.training.targets, self.target_scaling)
                self.target_center_, self.target_scale_ = scaling.center, scaling.scale
            small = self.batch_size * self.n_features_in_ < SMALL_BATCH
            with torch_threads(1 if small else None):
                self._train(split, reset=reset)
                if self.autocast is not None and self.max_epochs > 0:
                    batches = self.get_iterator(split.training, training=True)
                    renew_statistics(self.module_, batches)
        if split.dos_weight is not None:
            self._refit_output_layer(split.training, split.dos_weight)
        return self

    def _seed(self, *, goes_on):
        """Return the seed; training that goes on draws other batches than it did before."""
        if goes_on and self.history_ and isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state) + len(self.history_)
        return self.random_state

    def _check_parameters(self):
        check_device("device", self.device)
        check_scalar("max_epochs", self.max_epochs, low=0, integer=True)
        check_scalar("batch_size", self.batch_size, low=1, integer=True)
        check_scalar("verbose", int(self.verbose), low=0)
        check_scalar("lr", self.lr, low=0, strict=True)
        check_scalar("buffer_size", self.buffer_size, low=0, strict=True)
        if self.dos_weight is not None and not isinstance(self.dos_weight, str):
            check_scalar("dos_weight", self.dos_weight, low=0)
        else:
            check_option("dos_weight", self.dos_weight, ("auto", None))
        check_option("lr_schedule", self.lr_schedule, (None, "plateau", "cosine"))
        check_option("target_scaling", self.target_scaling, self._scalings)
        check_autocast(self.autocast, self.device, self.optimizer)
        if self.early_stopping is not None:
            check_scalar("early_stopping", self.early_stopping, low=1, integer=True)
            if self.train_split is None:
                raise ValueError(
                    "early_stopping needs validation data: set train_split to a number or a "
                    "fraction of snapshots, or to their indices; got train_split=None."
                )

    def _check_data(self, X, y, *, reset):
        """Return the dataset, checked; note its dimensions if `reset`, else compare them."""
        if isinstance(X, Sequence) and len(X) > 0 and isinstance(X[0], (Snapshot, Atoms)):
            raise TypeError(
                f"{type(self).__name__} takes blocks of descriptors, got snapshots: put a "
                "transformer such as GridSNAPTransformer (for atoms, AtomEnvTransformer) before "
                "it, in a pipeline."
            )
        if reset:
            self.energies_ = self.broadening_ = self.kernel_ = None
        if is_blocks(X):
            dataset = self._check_blocks(X, y, reset=reset)
            n_outputs = dataset.targets[0].shape[1]
        else:
            X, y = validate_data(
                self, X, y, reset=reset, dtype=np.float32, multi_output=True, y_numeric=True
            )
            if reset:
                dtype = y.dtype if y.dtype.kind == "f" else np.dtype(float)
                self.target_dtype_, self.target_ndim_ = dtype.str, y.ndim
            dataset = RowDataset(X, y.astype(np.float32).reshape(len(y), -1))
            n_outputs = dataset.targets.shape[1]
        if reset:
            self.n_outputs_ = n_outputs
        elif n_outputs != self.n_outputs_:
            raise ValueError(
                f"y has {n_outputs} outputs, but {type(self).__name__} was fitted with "
                f"{self.n_outputs_}."
            )
        return dataset

    def _check_blocks(self, X, y, *, reset):
        snapshots = getattr(X, "snapshots", None)
        if y is None:
            if snapshots is None:
                raise ValueError(
                    f"{type(self).__name__}.fit needs targets: pass y, or blocks that a "
                    "transformer made of snapshots that carry them."
                )
            y = self.block_targets(snapshots)
        dataset = checked_dataset(X, y)
        self._check_n_features(dataset.inputs[0].shape[1], reset=reset)
        self.energies_ = common_energies(snapshots, self.energies_)
        known = self.broadening_, self.kernel_
        self.broadening_, self.kernel_ = common_broadening(snapshots, known)
        if reset:
            self.__dict__.pop("feature_names_in_", None)
            self.target_dtype_, self.target_ndim_ = "<f4", 2
        return dataset

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Decide, before any time is spent, whether the output layer will be refitted."""
        super().on_train_begin(net, X, y, **kwargs)
        if self.dos_weight is None or not X.by_snapshot:
            return
        linear = output_layer(self.module_)[0] is not None
        if self.dos_weight == "auto":
            # Least squares follow no other loss.
            if linear and type(self.criterion_) is torch.nn.MSELoss:
                X.dos_weight = AUTO_DOS_WEIGHT
        elif linear:
            X.dos_weight = self.dos_weight
        else:
            raise ValueError(
                f"dos_weight={self.dos_weight} needs a network that ends in a linear layer, got "
                f"{self.module_}; set dos_weight=None."
            )

    def _refit_output_layer(self, dataset, weight):
        """Refit the output layer so that the sums over the training snapshots are right."""
        one_by_one = (
            self.get_iterator(dataset.take([i]), training=False) for i in range(len(dataset))
        )
        fit_output_layer(self.module_, one_by_one, weight)

    def _check_n_features(self, n_features, *, reset):
        if reset:
            self.n_features_in_ = n_features
        elif n_features != self.n_features_in_:
            raise ValueError(
                f"X has {n_features} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )

    # ---------------------------------------------------------------- hooks of skorch

    @property
    def _default_callbacks(self):
        return default_callbacks(self)

    def get_split_datasets(self, X, y=None):
        """Return training and validation data; the latter may be None."""
        return X.training, X.validation

    def get_iterator(self, dataset, training=False):
        """Return batches of (inputs, normalised targets) on the device."""
        return RowBatches(
            dataset,
            self.batch_size if training else max(self.batch_size, PREDICT_ROWS),
            shuffle=training,
            buffer_bytes=int(self.buffer_size * 2**20),
            device=self.device,
            scaling=TargetScaling(self.target_center_, self.target_scale_),
        )

    def train_step_single(self, batch, **fit_params):
        """Compute predictions, loss and gradients for `batch`, without autograd if possible."""
        if self._backpropagation_ is None:
            return super().train_step_single(batch, **fit_params)
        y_pred, loss = self._backpropagation_(*batch)
        return {"loss": loss, "y_pred": y_pred}

    def run_single_epoch(self, *args, **kwargs):
        """Run over all batches once; see the base class."""
        plain = (
            self.autocast is None
            and type(self.criterion_) is torch.nn.MSELoss
            and self.criterion_.reduction == "mean"
            and type(self).get_loss is BlockRegressor.get_loss
            and Backpropagation.knows(self.module_)
        )
        self._backpropagation_ = Backpropagation(self.module_) if plain else None
        super().run_single_epoch(*args, **kwargs)

    # ---------------------------------------------------------------- prediction

    def predict(self, X):
        """Predict the targets of every row.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows, as in :meth:`fit`.

        Returns
        -------
        Blocks or ndarray
            One float32 block ``(n_sites, n_outputs)`` per snapshot, or an array of shape
            (n_rows, n_outputs), or (n_rows,) if `y` was one-dimensional.
        """
        check_is_fitted(self)
        X, _ = _unpack(X)
        if is_blocks(X):
            predicted = [self._predict_rows(block) for block in self._input_blocks(X)]
            return Blocks(predicted, getattr(X, "snapshots", None))
        X = validate_data(self, X, reset=False, dtype=np.float32)
        y = self._predict_rows(X).astype(self.target_dtype_, copy=False)
        return y[:, 0] if self.target_ndim_ == 1 else y

    def predict_lazy(self, X):
        """Return blocks of targets whose rows are predicted when they are read.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot, lazy or not.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One lazy float32 block ``(n_sites, n_outputs)`` per snapshot.
        """
        check_is_fitted(self)
        lazy = [
            ComputedArray(partial(self._predict_slice, block), (len(block), self.n_outputs_), "<f4")
            for block in self._input_blocks(X)
        ]
        return Blocks(lazy, getattr(X, "snapshots", None))

    def predict_sum(self, X):
        """Predict the sum of the targets over the sites of every snapshot.

        Predictions are added up slice by slice, so that no block of predictions ever exists:
        an LDOS summed over the grid gives, times the voxel volume, the density of states.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_sites, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_snapshots, n_outputs)
            Sums in double precision.
        """
        check_is_fitted(self)
        sums = np.zeros((len(X), self.n_outputs_))
        for total, block in zip(sums, self._input_blocks(X), strict=True):
            for start in range(0, block.shape[0], PREDICT_ROWS):
                total += self._forward(block[start : start + PREDICT_ROWS]).sum(axis=0, dtype=float)
        return sums

    def score(self, X, y=None, sample_weight=None):
        r"""Return the coefficient of determination of the predictions.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows.
        y : sequence of array-like, optional
            True targets, as in :meth:`fit`; needed for plain rows.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of plain rows.

        Returns
        -------
        float
            For plain rows that of :func:`sklearn.metrics.r2_score`; for blocks
            :math:`1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2` over all rows and outputs,
            :math:`\bar y` being the mean of each output.
        """
        check_is_fitted(self)
        X, y = _unpack(X, y)
        if not is_blocks(X):
            return super().score(X, y, sample_weight)
        dataset = self._check_blocks(X, y, reset=False)
        return coefficient_of_determination(self._true_and_predicted(dataset))

    def _true_and_predicted(self, dataset):
        """Yield slices of true and predicted targets."""
        inputs = self._input_blocks(dataset.inputs)
        for block, target in zip(inputs, dataset.targets, strict=True):
            for start in range(0, block.shape[0], PREDICT_ROWS):
                rows = slice(start, start + PREDICT_ROWS)
                yield target[rows], self._forward(block[rows])

    def _input_blocks(self, X):
        """Yield input blocks one by one, checked."""
        for block in BlockDataset(X).inputs:
            self._check_n_features(block.shape[1], reset=False)
            yield block

    def _predict_slice(self, block, start, stop):
        return self._predict_rows(block[start:stop])

    def _predict_rows(self, block):
        predicted = np.empty((block.shape[0], self.n_outputs_), dtype=np.float32)
        for start in range(0, block.shape[0], PREDICT_ROWS):
            rows = block[start : start + PREDICT_ROWS]
            predicted[start : start + len(rows)] = self._forward(rows)
        return predicted

    def _forward(self, rows):
        """Return targets in their own units for a slice of rows."""
        scaling = TargetScaling(self.target_center_, self.target_scale_)
        return scaling.restore(self._outputs(rows).cpu().numpy())

    def _outputs(self, rows):
        """Return what the network gives for a slice of rows."""
        inputs = torch.tensor(np.asarray(rows), dtype=torch.float32, device=self.device)
        if not torch.isfinite(inputs).all():
            raise ValueError("X holds NaN or infinite values, or such that float32 cannot hold.")
        with torch.inference_mode():
            return self.module_(inputs)


class _Split:
    """Training and validation data, split by snapshot (or by row of plain arrays)."""

    def __init__(self, dataset, train_split):
        training, validation = split_units(train_split, dataset)
        self.by_snapshot = isinstance(dataset, BlockDataset)
        self.dos_weight = None  # decided when training begins
        self.training = dataset.take(training)
        self.validation = None if validation is None else dataset.take(validation)


def _unpack(X, y=None):
    """Return blocks and targets of a dataset, which skorch's EpochScoring passes; else X and y."""
    return (Blocks(X.inputs), X.targets) if isinstance(X, BlockDataset) else (X, y)
