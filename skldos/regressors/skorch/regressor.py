"""A skorch regressor that follows the rules of scikit-learn.

All code that depends on skorch's internals is in this folder; adapt it to a new release. Tested
with skorch 1.4.
"""

import copy
from functools import partial
from inspect import signature

import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNetRegressor
from skorch.callbacks import BatchScoring, EpochScoring
from skorch.dataset import Dataset
from torch.utils.data import DataLoader

from skldos.links import PageLinkMixin
from skldos.regressors.skorch._scoring import DatasetScoring
from skldos.regressors.skorch.state import SkorchState, StoredOptimizer, parts_of
from skldos.regressors.skorch.training import SkorchTraining

#: Callbacks that parameters switch on.
OWN_CALLBACKS = ("epoch_timer", "lr_schedule", "early_stopping", "progress", "print_log")


class SkorchRegressor(PageLinkMixin, SkorchTraining, SkorchState, NeuralNetRegressor):
    """A skorch regressor that follows the rules of scikit-learn.

    Differences to stock skorch, which this class removes:

    - its ``__init__`` sets attributes that are not parameters, and treats every attribute without a
      trailing underscore as a parameter;
    - ``set_params`` on a fitted net rebuilds modules and checks callbacks at once;
    - it pickles modules whole, see :class:`~skldos.regressors.skorch.state.SkorchState`;
    - it calls every callback for every batch, see
      :class:`~skldos.regressors.skorch.training.SkorchTraining`.

    Subclasses store their parameters in ``__init__`` (skorch's own is not called) and
    implement ``get_iterator`` (batches of two tensors) and ``get_split_datasets``.

    Parameters
    ----------
    module, *args, criterion, **kwargs
        The signature of skorch, which is not used: subclasses define their own parameters.
    """

    # skorch would set these on the instance in __init__ or register them later.
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

    # skorch's own parameters without effect here, because batches are already tensors.
    iterator_train = iterator_valid = DataLoader
    dataset = Dataset
    predict_nonlinearity = None
    use_caching = False  # EpochScoring would keep the predictions of all batches
    torch_load_kwargs = None

    # ---------------------------------------------------------------- parameters

    @property
    def _params_to_validate(self):
        """Names of free keyword arguments: ``module__x``, ``optimizer__x``, typos."""
        parameters = {
            name
            for kind in type(self).__mro__
            if "__init__" in vars(kind)
            for name, parameter in signature(kind.__init__).parameters.items()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        }
        return set(self._get_param_names()) - parameters

    @_params_to_validate.setter
    def _params_to_validate(self, names):
        pass

    def _get_param_names(self):
        return [name for name in self.__dict__ if not (name.startswith("_") or name.endswith("_"))]

    def _get_params_callbacks(self, deep=True):
        # skorch lists the parameters of all callbacks, whose number depends on other parameters.
        # clone does not support a changing set of names.
        return {}

    def set_params(self, **params):
        """Set parameters, including ``module__x`` and similar; they take effect in the next fit.

        Returns
        -------
        self
            The estimator.
        """
        own = {}
        for name, value in params.items():
            prefix, separator, _ = name.partition("__")
            if separator and prefix in self.prefixes_:
                setattr(self, name, value)
            else:
                own[name] = value
        BaseEstimator.set_params(self, **own)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        # Without tuning, a network may learn nothing within a few epochs.
        tags.regressor_tags.poor_score = True
        return tags

    @property
    def predict_proba(self):
        """Not available: this is a regressor."""
        raise AttributeError(f"{type(self).__name__} is a regressor: it has no predict_proba.")

    def __repr__(self, N_CHAR_MAX=700):
        return BaseEstimator.__repr__(self, N_CHAR_MAX)

    # ---------------------------------------------------------------- building

    def initialize(self):
        """Build network, optimizer and callbacks.

        Without data, the numbers of inputs and outputs are not known: the network is then built by
        ``fit`` or ``load_params``.

        Returns
        -------
        self
            The estimator.
        """
        if hasattr(self, "n_outputs_"):
            super().initialize()
            self._built = parts_of(self.get_params(deep=False))
        else:
            self._initialize_virtual_params()
            self._initialize_callbacks()
            self._initialize_history()
            self._validate_params()
        return self

    def initialize_module(self):
        """Build the network for the inputs and outputs seen in ``fit``."""
        arguments = self.get_params_for("module")
        if isinstance(self.module, torch.nn.Module):
            self.module_ = copy.deepcopy(self.module)  # the user's module is not changed
        else:
            self.module_ = self.module(self.n_features_in_, self.n_outputs_, **arguments)
        # Inputs are float32, regardless of the dtype of a module instance.
        self.module_.to(torch.float32)
        return self

    def initialize_optimizer(self, triggered_directly=None):
        """Build the optimizer, fused if torch supports it."""
        named_parameters = self.get_all_learnable_params()
        args, kwargs = self.get_params_for_optimizer("optimizer", named_parameters)
        excluding = kwargs.keys() & {"foreach", "differentiable"}
        if self.optimizer in (torch.optim.Adam, torch.optim.AdamW) and not excluding:
            kwargs.setdefault("fused", True)
        make = partial(self.optimizer, *args, **kwargs)
        state, self._stored_state = self._stored_state, None
        self.optimizer_ = make() if state is None else StoredOptimizer(make, state)
        return self

    def initialize_callbacks(self):
        """Create the callbacks; a parameter of an inactive callback is an error."""
        names = {name for name, _ in self._uniquely_named_callbacks()}
        for parameter in self._get_param_names():
            prefix, _, suffix = parameter.partition("__")
            # A callback that does not exist need not be removed.
            absent = suffix in OWN_CALLBACKS and getattr(self, parameter) is None
            is_active = not suffix or suffix.partition("__")[0] in names or absent
            if prefix == "callbacks" and not is_active:
                raise ValueError(
                    f"{parameter} belongs to no active callback; active are {sorted(names)}."
                )
        super().initialize_callbacks()
        for _, callback in self.callbacks_:
            if isinstance(callback, (EpochScoring, BatchScoring)):
                callback.scoring_ = DatasetScoring(callback.scoring_)
        return self
