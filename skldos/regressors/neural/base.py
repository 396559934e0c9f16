"""The base class of network regressors, for blocks or plain arrays."""

from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms

from skldos.data import Snapshot, is_blocks
from skldos.data.calculation import common_calculation
from skldos.networks import Backpropagation
from skldos.prediction.completeness import warn_of_training_data
from skldos.regressors.block_dataset import RowDataset, is_container
from skldos.regressors.checks import (
    check_carried,
    checked_dataset,
    checked_weights,
    common_broadening,
    common_energies,
    validated_rows,
)
from skldos.regressors.feature_range import feature_range
from skldos.regressors.neural import _prediction
from skldos.regressors.neural._adam import FusedAdam
from skldos.regressors.neural._autocast import (
    MixedPrecisionRegressor,
    check_autocast,
    renew_statistics,
)
from skldos.regressors.neural._batches import RowBatches
from skldos.regressors.neural._callbacks import default_callbacks
from skldos.regressors.neural._prediction import NetworkPrediction
from skldos.regressors.neural._split import Split
from skldos.regressors.neural.output_layer import RIDGE, fit_output_layer, output_layer
from skldos.regressors.neural.target_scaling import TargetScaling
from skldos.regressors.skorch.checkpoint import TrainingFile
from skldos.regressors.skorch.checks import check_part, check_unused
from skldos.regressors.skorch.training_name import training_name
from skldos.regressors.team import SINGLE_PROCESS, check_distribution, join
from skldos.regressors.torch_state import seeded, torch_threads
from skldos.validation import check_device, check_option, check_scalar

#: Number of inputs per batch below which one thread trains faster than several, which mostly wait
#: for each other, especially on busy cores.
SMALL_BATCH = 2**16

#: The weight of the DOS for "auto": the best of 1, 10, 100, 1000 over three seeds on 32-atom
#: aluminium; a factor of ten changes little.
AUTO_DOS_WEIGHT = 100.0


class BlockRegressor(NetworkPrediction, MixedPrecisionRegressor):
    """Base of regressors that map every row of a block to a row of targets.

    A subclass supplies the parameters and, through :meth:`block_targets`, the targets of snapshots
    that have them.

    Parameters
    ----------
    module, *args, criterion, **kwargs
        The signature of skorch, which is not used: subclasses define their own parameters.
    """

    # Allowed values of `target_scaling`.
    _scalings = ("max", "minmax", "standard", None)
    # Defaults for regressors without these parameters; number of epochs of the current fit, and the
    # processes that share it.
    dos_weight = distributed = None
    dos_ridge = RIDGE
    _epochs_ = 0
    _team_ = SINGLE_PROCESS
    # The explicit gradient and the bare kernel of the optimizer, if possible; set when an epoch
    # begins.
    _backpropagation_ = _fused_adam_ = None

    _fitted_scalars = (
        *MixedPrecisionRegressor._fitted_scalars,
        "target_center_",
        "target_scale_",
        "target_dtype_",
        "target_ndim_",
        "energies_",
        "broadening_",
        "kernel_",
        "calculation_",
        "feature_range_",
    )

    @staticmethod
    def block_targets(snapshots):
        """Return the target blocks of `snapshots`, for ``fit(X)`` without `y`."""
        return snapshots.targets

    # ---------------------------------------------------------------- fitting

    def fit(self, X, y=None, sample_weight=None, *, epochs=None):
        """Train the network.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            One block ``(n_sites, n_features)`` per snapshot, or plain rows.
        y : sequence of array-like, array-like of shape (n_rows, n_outputs) or (n_rows,), optional
            Targets, per block ``(n_sites, n_outputs)`` or on the grid
            ``(n_x, n_y, n_z, n_outputs)``. None uses the targets of the blocks' snapshots.
        sample_weight : array-like of shape (n_snapshots,) or (n_rows,), optional
            Weights of the snapshots, or of plain rows, in the loss: 2 counts twice, 0 is left
            out. None weights all equally.
        epochs : int, optional
            Passes over the training data; None means `max_epochs`.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If blocks and targets do not match in number or in rows, or hold NaN.
        FileFormatError
            If the stored training in `checkpoint` is damaged.
        """
        reset = not (self.warm_start and self.initialized_)
        return self._fit(X, y, sample_weight, reset=reset, epochs=epochs)

    def partial_fit(self, X, y=None, classes=None, sample_weight=None, *, epochs=None):
        """Continue the last fit for `epochs` more epochs; see :meth:`fit`.

        `classes` is ignored: skorch declares it.
        """
        return self._fit(X, y, sample_weight, reset=not self.initialized_, epochs=epochs)

    def _fit(self, X, y, sample_weight, *, reset, epochs):
        """Check, split, learn the scaling of the targets and train; continue unless `reset`."""
        self._check_parameters()
        team = join(type(self).__name__, self.distributed, self.device)
        epochs = self.max_epochs if epochs is None else epochs
        self._epochs_ = check_scalar("epochs", epochs, low=0, integer=True)
        dataset = self._check_data(X, y, reset=reset)
        dataset.sample_weight = checked_weights(sample_weight, len(dataset))
        self._team_ = team
        try:
            return self._fit_dataset(dataset, reset=reset)
        except Exception:
            if reset:
                # A failed fit does not leave a model.
                self.initialized_ = False
                self.__dict__.pop("module_", None)
            raise
        finally:
            self._team_ = SINGLE_PROCESS

    def _fit_dataset(self, dataset, *, reset):
        with seeded(self._team_.agree_on_seed(self.random_state), self.device) as seed:
            # Continued training must not use samples that were held out before.
            split = Split(dataset, self.train_split)
        file = self._prepare_sharing(split, seed, reset=reset)
        with seeded(self._team_.agree_on_seed(self._seed(goes_on=not reset)), self.device):
            if reset:
                # Only from the training data: validation data must not be used.
                scaling = TargetScaling.learn(
                    split.training.targets, self.target_scaling, split.training.weights, self._team_
                )
                self.target_center_, self.target_scale_ = scaling.center, scaling.scale
                self.feature_range_ = feature_range(split.training.inputs)
                self._prepare()
                self._team_.check_shareable(self.module_)
            else:
                self._take_back_refit()
            dos_weight = self._resolve_dos_weight(split)
            small = self.batch_size * self.n_features_in_ < SMALL_BATCH
            with torch_threads(1 if small else None):
                self._train(split, epochs=self._epochs_, goes_on=not reset, file=file)
                if self.autocast is not None and self._epochs_ > 0:
                    batches = self.get_iterator(split.training, training=True)
                    renew_statistics(self.module_, batches)
            if dos_weight is not None:
                self._refit_output_layer(split.training, dos_weight)
        return self

    def _prepare_sharing(self, split, seed, *, reset):
        """Return the checkpoint file, if any; check that all processes have the same training."""
        datasets = [data for data in (split.training, split.validation) if data is not None]
        training = self, datasets, self._epochs_
        if self._team_.size > 1:
            self._team_.check_same(
                (seed, training_name(*training, goes_on=not reset)),
                "distributed='auto' needs the same parameters and all snapshots in every process; "
                "got different ones. skldos distributes the rows itself.",
            )
        if self.checkpoint is None:
            return None
        file = TrainingFile(self.checkpoint, *training, goes_on=not reset)
        self._team_.file = file.path
        return file

    def _seed(self, *, goes_on):
        """Return the seed; continued training draws new batches."""
        if goes_on and self.history_ and isinstance(self.random_state, (int, np.integer)):
            return int(self.random_state) + len(self.history_)
        return self.random_state

    def _check_parameters(self):
        check_device("device", self.device)
        check_distribution(self)
        check_unused(self)
        for part in ("module", "criterion", "optimizer"):
            check_part(self, part)
        if self.checkpoint is not None and not isinstance(self.random_state, (int, np.integer)):
            raise ValueError(
                "checkpoint needs an integer random_state to identify the training; got "
                f"random_state={self.random_state!r}."
            )
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
        """Return the checked dataset; store its dimensions if `reset`, else compare them."""
        if is_container(X):
            raise TypeError(
                f"{type(self).__name__}.fit takes arrays X and y or Blocks, got "
                f"{type(X).__name__}: pass the arrays in it. Blocks of ArrayFile stream from disk."
            )
        if isinstance(X, Sequence) and len(X) > 0 and isinstance(X[0], (Snapshot, Atoms)):
            raise TypeError(
                f"{type(self).__name__} takes blocks of descriptors, got snapshots: put a "
                "transformer such as GridSNAPTransformer (for atoms, AtomEnvTransformer) before "
                "it, in a pipeline."
            )
        if reset:
            self.energies_ = self.broadening_ = self.kernel_ = self.calculation_ = None
        if is_blocks(X):
            dataset = self._check_blocks(X, y, reset=reset)
            snapshots = getattr(X, "snapshots", None)
            self.calculation_ = common_calculation(snapshots, self.calculation_)
            n_outputs = dataset.targets[0].shape[1]
        else:
            X, y = validated_rows(
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
        snapshots, carried = getattr(X, "snapshots", None), y is None
        if carried:
            check_carried(self, snapshots)
            y = self.block_targets(snapshots)
        dataset = checked_dataset(X, y)
        dataset.snapshots = snapshots
        self._check_n_features(dataset.inputs[0].shape[1], reset=reset)
        self.energies_ = common_energies(snapshots, self.energies_)
        broadening = self.broadening_, self.kernel_
        self.broadening_, self.kernel_ = common_broadening(snapshots, broadening)
        if reset:
            self.__dict__.pop("feature_names_in_", None)
            self.target_dtype_, self.target_ndim_ = "<f4", 2
        if reset and carried:
            warn_of_training_data(dataset.targets, snapshots)
        return dataset

    def _resolve_dos_weight(self, split):
        """Return the weight for refitting the output layer, or None; checked before training.

        Only this function defines the meaning of `dos_weight` for this net and data.
        """
        if self.dos_weight is None or not split.by_snapshot:
            return None
        linear = output_layer(self.module_)[0] is not None
        if self.dos_weight == "auto":
            # The least-squares refit fits no other loss, and random weights are not changed.
            trained = self._loss_is_square_error and self._epochs_ > 0
            return AUTO_DOS_WEIGHT if linear and trained else None
        if not linear:
            raise ValueError(
                f"dos_weight={self.dos_weight} needs a network that ends in a linear layer, got "
                f"{self.module_}; set dos_weight=None."
            )
        return self.dos_weight

    @property
    def _loss_is_square_error(self):
        own_loss = type(self).get_loss is not BlockRegressor.get_loss
        return type(self.criterion_) is torch.nn.MSELoss and not own_loss

    def _take_back_refit(self):
        """Restore the trained weights of the output layer, to continue training."""
        trained = (self._training_state or {}).get("output_layer")
        if trained:
            output_layer(self.module_)[0].load_state_dict(trained)

    def _refit_output_layer(self, dataset, weight):
        """Refit the output layer so that the sums over the training snapshots are right."""
        self._keep_trained()
        one_by_one = (
            self.get_iterator(dataset.take([i]), training=False) for i in range(len(dataset))
        )
        counts = None if dataset.weights is None else [float(w[0]) for w in dataset.weights]
        fit_output_layer(self.module_, one_by_one, weight, self.dos_ridge, counts, self._team_)

    def _keep_trained(self):
        """Store the trained output layer, for continued training."""
        if self._training_state is not None:
            trained = output_layer(self.module_)[0].state_dict()
            self._training_state["output_layer"] = {k: v.clone() for k, v in trained.items()}

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
        rows = self.batch_size if training else max(self.batch_size, _prediction.PREDICT_ROWS)
        return self._batches(RowBatches, dataset, rows, shuffle=training)

    def _batches(self, kind, dataset, batch_size, *, shuffle):
        return kind(
            dataset,
            batch_size,
            shuffle=shuffle,
            buffer_bytes=int(self.buffer_size * 2**20),
            device=self.device,
            scaling=self._scaling,
            team=self._team_,
        )

    def train_step_single(self, batch, **fit_params):
        """Compute predictions, loss and gradients for `batch`, without autograd if possible."""
        if self._backpropagation_ is None:
            return super().train_step_single(batch, **fit_params)
        y_pred, loss = self._backpropagation_(*batch, getattr(batch, "weights", None))
        return {"loss": loss, "y_pred": y_pred}

    def run_single_epoch(self, *args, **kwargs):
        """Run over all batches once; see the base class."""
        own_gradient = (
            self.autocast is None
            and self._loss_is_square_error
            and self.criterion_.reduction == "mean"
            and Backpropagation.knows(self.module_)
        )
        self._backpropagation_ = Backpropagation(self.module_) if own_gradient else None
        fused = self.autocast is None and FusedAdam.knows(self.optimizer_)
        self._fused_adam_ = FusedAdam(self.optimizer_) if fused else None
        super().run_single_epoch(*args, **kwargs)

    def optimizer_step(self):
        """Let the optimizer update the weights with the current gradients."""
        if self._fused_adam_ is None:
            super().optimizer_step()
        else:
            self._fused_adam_.step()
