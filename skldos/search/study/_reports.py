"""Reports to a trial while a network is trained."""

import numpy as np
from optuna import TrialPruned
from skorch.callbacks import Callback


class Reporter:
    """Report intermediate values to a trial, and end it if the pruner says so.

    Every epoch of the first training is reported. After every further training, the mean of the
    final values of all is reported, because trainings on other data, or from other weights, cannot
    be compared epoch by epoch. Steps count epochs, so that a pruner can use them as a resource;
    without epochs, they count trainings, of which the trial has `n_trainings`.
    """

    def __init__(self, trial, n_trainings):
        self._trial = trial
        self._n_trainings = n_trainings
        self._ends = []

    def __call__(self, value, step):
        """Report `value`; greater is better."""
        self._trial.report(float(value), step)
        # Pruning after the last training would save nothing, and lose the score.
        if len(self._ends) < self._n_trainings and self._trial.should_prune():
            raise TrialPruned(f"pruned at step {step}")

    @property
    def first(self):
        """Whether no training has finished yet."""
        return not self._ends

    def end(self, value, n_epochs):
        """Record the `value` at the end of a training of `n_epochs`, and report the mean so far."""
        by_epochs = n_epochs is not None
        self._ends.append(value)
        if len(self._ends) > 1 or not by_epochs:
            self(np.mean(self._ends), len(self._ends) * (n_epochs if by_epochs else 1))


class EpochReport(Callback):
    """Callback of a network that reports ``value(net)`` after its epochs."""

    def __init__(self, reporter, value):
        self.reporter = reporter
        self.value = value
        self.end_ = None
        self.interrupt_ = None

    # Estimators around the network copy it with its callbacks, but all copies share the trial.
    def __sklearn_clone__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def on_epoch_end(self, net, **kwargs):
        """Report the value after this epoch of the first training."""
        self.end_ = None
        if self.reporter.first:
            try:
                self.end_ = self.value(net)
            except KeyboardInterrupt as interrupt:  # the network would treat it as early stopping
                self.interrupt_ = interrupt
                raise
            self.reporter(self.end_, len(net.history))

    def on_train_end(self, net, **kwargs):
        """Record the final value of the training, and its largest number of epochs."""
        self.max_epochs_ = net.max_epochs
        if self.end_ is None and len(net.history) > 0:
            self.end_ = self.value(net)


class Monitor:
    """Value of a network in training; greater is better.

    `monitor` is as for ``StudySearchCV``, and `data` are the transformed held-out X, and y if
    given. If the network is `nested` inside the last step, its targets are not known.
    """

    def __init__(self, monitor, data, nested):
        self._monitor = monitor
        self._data = data
        self._nested = nested

    def __call__(self, net):
        """Return the value of `net`."""
        name = self._monitor
        if name is None and "valid_loss" in net.history[-1]:
            name = "valid_loss"
        if isinstance(name, str):
            if name not in net.history[-1]:
                raise ValueError(
                    f"monitor={name!r} must be a loss that the network records, one of "
                    f"{sorted(key for key in net.history[-1] if key.endswith('_loss'))}; for "
                    "valid_loss, set train_split."
                )
            return -net.history[-1][name]
        if name is None and self._nested:
            raise ValueError(
                "the network within the last step has no validation data: set its train_split, or "
                "pass a scorer as monitor."
            )
        net.module_.eval()  # an epoch without validation data ends in training mode
        return float(net.score(*self._data) if name is None else name(net, *self._data))
