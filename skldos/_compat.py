"""Every place that leans on how scikit-learn and skorch work inside.

Ran with scikit-learn 1.9 and skorch 1.4. What other modules need of their private parts is
wrapped here, so that a new release of either has one file to mend.
"""

import copy
import warnings
from contextlib import contextmanager
from inspect import signature

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._set_output import _get_output_config
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.exceptions import DeviceWarning
from torch.utils.data import DataLoader

from skldos._validation import check_option


def output_container(estimator):
    """Return ``"default"``, ``"pandas"`` or ``"polars"``: what ``set_output`` asked for."""
    return _get_output_config("transform", estimator)["dense"]


class BlockTransformerMixin(TransformerMixin, auto_wrap_output_keys=None):
    """Mixin of transformers whose output is one block per snapshot, not one table.

    scikit-learn would wrap what ``transform`` returns into a single DataFrame; here the choice
    is only kept, and the transformer asks :func:`output_container` what each block should be.
    """

    def __init_subclass__(cls, **kwargs):
        # Every subclass would wrap its methods anew.
        super().__init_subclass__(**({"auto_wrap_output_keys": None} | kwargs))

    def set_output(self, *, transform=None):
        """Choose what a block is: ``"default"`` for arrays, ``"pandas"`` for DataFrames.

        Parameters
        ----------
        transform : {"default", "pandas"}, optional
            The container; None changes nothing.

        Returns
        -------
        self
            The transformer.
        """
        if transform is not None:
            check_option("transform", transform, ("default", "pandas"))
            self._sklearn_output_config = {"transform": transform}
        return self


@contextmanager
def seeded(random_state, device):
    """Seed torch for the block and give its own state back to the user afterwards."""
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    cuda = torch.device(device).type == "cuda"
    with torch.random.fork_rng(devices=[torch.device(device)] if cuda else []):
        torch.manual_seed(seed)
        yield seed


@contextmanager
def torch_threads(n_threads):
    """Let torch use at most `n_threads` on the CPU within the block; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if n_threads is None else min(n_threads, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _StopTraining(Exception):  # noqa: N818 (an event, no error)
    """A callback asks for the end of the training."""


class SkorchRegressor(NeuralNetRegressor):
    """A skorch regressor that keeps the rules of scikit-learn.

    What stock skorch does otherwise, and is mended here:

    - its ``__init__`` sets attributes that are not parameters, and takes every attribute
      without a trailing underscore for a parameter;
    - ``set_params`` on a fitted net rebuilds modules and checks callbacks at once;
    - a pickle of it holds further pickles of its modules, which would run code even when it
      is read by a loader that promises not to: here the state is plain arrays;
    - every batch passes through every callback, which for the small networks of this field
      costs more than the network.

    Subclasses store their parameters in ``__init__`` (skorch's own is not called) and
    implement ``get_iterator`` (batches of two tensors) and ``get_split_datasets``.
    """

    # skorch would set these on the instance in __init__ or register them on the way.
    history_ = None
    initialized_ = False
    virtual_params_ = {}  # noqa: RUF012 (replaced, never changed)
    prefixes_ = [  # noqa: RUF012
        *NeuralNetRegressor.prefixes_,
        "module",
        "criterion",
        "optimizer",
    ]
    _modules = ["module"]  # noqa: RUF012
    _criteria = ["criterion"]  # noqa: RUF012
    _optimizers = ["optimizer"]  # noqa: RUF012

    # Whether a callback listens to every gradient; set when an epoch begins.
    _grad_listeners_ = False

    #: Fitted attributes that the pickled state carries besides the weights.
    _fitted_scalars = ("n_features_in_", "feature_names_in_", "n_outputs_")

    # Parameters of skorch's own that have no meaning here, where batches are tensors already.
    iterator_train = iterator_valid = DataLoader
    dataset = Dataset
    predict_nonlinearity = None
    use_caching = False  # EpochScoring would keep the predictions of all batches
    torch_load_kwargs = None

    # ---------------------------------------------------------------- parameters

    @property
    def _params_to_validate(self):
        """Names that came as free keyword arguments: ``module__x``, ``optimizer__x``, typos."""
        return set(self._get_param_names()) - set(signature(type(self)).parameters)

    @_params_to_validate.setter
    def _params_to_validate(self, names):
        pass

    def _get_param_names(self):
        return [name for name in self.__dict__ if not (name.startswith("_") or name.endswith("_"))]

    def _get_params_callbacks(self, deep=True):
        # skorch lists the parameters of all callbacks, of which there are more or fewer as
        # other parameters say: a set of names that changes is not what clone expects.
        return {}

    def set_params(self, **params):
        """Set parameters, ``module__x`` and its kind included; they act at the next fit.

        Returns
        -------
        self
            The estimator.
        """
        plain = {}
        for name, value in params.items():
            prefix, separator, _ = name.partition("__")
            if separator and prefix in self.prefixes_:
                setattr(self, name, value)
            else:
                plain[name] = value
        BaseEstimator.set_params(self, **plain)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        # Without tuning to the data at hand a network may learn nothing in a few epochs.
        tags.regressor_tags.poor_score = True
        return tags

    @property
    def predict_proba(self):
        """Not there: this is a regressor."""
        raise AttributeError(f"{type(self).__name__} is a regressor: it has no predict_proba.")

    def __repr__(self, N_CHAR_MAX=700):
        return BaseEstimator.__repr__(self, N_CHAR_MAX)

    # ---------------------------------------------------------------- building

    def initialize_module(self):
        """Build the network for the inputs and outputs seen in ``fit``."""
        arguments = self.get_params_for("module")
        if isinstance(self.module, torch.nn.Module):
            self.module_ = copy.deepcopy(self.module)  # the user's own stays untouched
        else:
            self.module_ = self.module(self.n_features_in_, self.n_outputs_, **arguments)
        return self

    def initialize_optimizer(self, triggered_directly=None):
        """Build the optimizer, in its fused form where torch has one."""
        named_parameters = self.get_all_learnable_params()
        args, kwargs = self.get_params_for_optimizer("optimizer", named_parameters)
        excluding = kwargs.keys() & {"foreach", "differentiable"}
        if self.optimizer in (torch.optim.Adam, torch.optim.AdamW) and not excluding:
            kwargs.setdefault("fused", True)
        self.optimizer_ = self.optimizer(*args, **kwargs)
        return self

    def initialize_callbacks(self):
        """Make the callbacks; a parameter of one that is not there is an error."""
        names = {name for name, _ in self._uniquely_named_callbacks()}
        for parameter in self._get_param_names():
            prefix, _, rest = parameter.partition("__")
            if prefix == "callbacks" and rest and rest.partition("__")[0] not in names:
                raise ValueError(
                    f"{parameter} is a parameter of no callback; there are {sorted(names)}."
                )
        super().initialize_callbacks()
        return self

    # ---------------------------------------------------------------- training

    def _train(self, data, *, reset):
        """Train on checked data for `max_epochs`, from the start if `reset`.

        No epochs at all leave the network as it was initialised.
        """
        if reset:
            self.initialized_ = False  # lest skorch announces that it starts anew
            self.initialize()
        elif not hasattr(self, "optimizer__param_groups"):
            # The rate may have been changed since, or annealed away by the last schedule.
            for group in self.optimizer_.param_groups:
                group["lr"] = group["initial_lr"] = self.lr
        if self.max_epochs > 0:
            self._run_epochs(data)
        self._set_training(False)
        return self

    def _run_epochs(self, data):
        """Train until the last epoch or until a callback ends it.

        skorch takes an interrupt by the user for such an end, and returns a half-trained model
        as if nothing had happened; here it gets through.
        """
        self.notify("on_train_begin", X=data, y=None)
        try:
            self.fit_loop(data)
        except _StopTraining:
            pass
        finally:
            self.notify("on_train_end", X=data, y=None)

    def notify(self, method_name, **cb_kwargs):
        """Call a method of all callbacks; early stopping, which interrupts, ends the training."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            if method_name != "on_epoch_end":
                raise
            raise _StopTraining from None

    def check_data(self, X, y=None):
        """Do nothing: data are checked before they get here."""

    def _listeners(self, method):
        """Whether some callback does something at `method`, such as ``on_batch_end``."""
        return any(
            getattr(type(callback), method, None) is not getattr(Callback, method)
            for _, callback in self.callbacks_
        )

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run over all batches once and record the mean loss per row.

        Unlike skorch's, losses stay on the device until the epoch ends, and callbacks are
        called per batch only if one of them listens.
        """
        if iterator is None:
            return
        self._set_training(training)
        listening = self._listeners("on_batch_begin") or self._listeners("on_batch_end")
        self._grad_listeners_ = self._listeners("on_grad_computed")
        losses, sizes = [], []
        for batch in iterator:
            if listening:
                self.history.new_batch()
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            if listening:
                self.notify("on_batch_end", batch=batch, training=training, **step)
            losses.append(step["loss"].detach())
            sizes.append(len(batch[0]))
        if not listening:
            self.history.new_batch()  # Checkpoint wants to see at least one
        weights = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
        loss = float(torch.stack(losses).cpu().double() @ weights)
        if training and not np.isfinite(loss):
            raise ValueError(
                f"training diverged: the loss of epoch {len(self.history)} is {loss}; lower "
                f"lr={self.lr} or standardise the inputs."
            )
        self.history.record(f"{prefix}_batch_count", len(sizes))
        name = f"{prefix}_loss"
        self.history.record(name, loss)
        # Callbacks such as Checkpoint look for this mark.
        previous = [row[name] for row in self.history[:-1] if name in row]
        self.history.record(f"{name}_best", not previous or loss < min(previous))

    def train_step(self, batch, **fit_params):
        """Take one optimisation step on `batch`."""
        if isinstance(self.optimizer_, torch.optim.LBFGS):
            return super().train_step(batch, **fit_params)  # needs a closure
        step = self.train_step_single(batch, **fit_params)
        if self._grad_listeners_:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
        self.optimizer_step()
        return step

    def optimizer_step(self):
        """Let the optimizer change the weights by the gradients that they have."""
        self.optimizer_.step()

    def train_step_single(self, batch, **fit_params):
        """Compute predictions, loss and gradients for `batch`."""
        X, y = batch
        self.optimizer_.zero_grad()
        y_pred = self.module_(X)
        loss = self.get_loss(y_pred, y, X=X, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": y_pred}

    def validation_step(self, batch, **fit_params):
        """Compute predictions and loss for `batch` without gradients."""
        X, y = batch
        with torch.no_grad():
            y_pred = self.module_(X)
            return {"loss": self.get_loss(y_pred, y, X=X, training=False), "y_pred": y_pred}

    # ---------------------------------------------------------------- state

    def __getstate__(self):
        state = {"params": self.get_params(deep=False)}
        for name in self._fitted_scalars:
            if name in self.__dict__:
                state[name] = self.__dict__[name]
        if self.initialized_:
            weights = self.module_.state_dict()
            state["weights"] = {k: v.detach().cpu().numpy() for k, v in weights.items()}
            state["history"] = [dict(row) for row in self.history]
        for name in ("_sklearn_output_config", "_metadata_request"):
            if name in self.__dict__:
                state[name] = self.__dict__[name]
        return state

    def __setstate__(self, state):
        state = dict(state)
        weights = state.pop("weights", None)
        history = state.pop("history", [])
        self.__init__(**state.pop("params"))
        self.__dict__.update(state)
        if weights is None:
            return
        self._fall_back_to_cpu()
        # The weights that are drawn here are replaced at once.
        with warnings.catch_warnings(), seeded(0, self.device):
            warnings.simplefilter("ignore", DeviceWarning)
            self.initialize()
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
        self.module_.load_state_dict(tensors)
        self.module_.eval()
        self.history_.extend(
            {k: v for k, v in row.items() if k != "batches"} | {"batches": []} for row in history
        )

    def _fall_back_to_cpu(self):
        device = torch.device(self.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            warnings.warn(
                f"the model was fitted on {device}, which is not here: it runs on the CPU.",
                DeviceWarning,
                stacklevel=2,
            )
            self.device = "cpu"
