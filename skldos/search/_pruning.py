"""Reports to a trial while a network is trained."""

import numpy as np
from optuna import TrialPruned
from skorch.callbacks import Callback


class Reporter:
    """What a trial is told on its way; it ends where the pruner says so.

    Every epoch of the first training is reported, and after every further one the mean of what
    all of them ended with: trainings on other data, or from other weights, cannot be compared
    epoch by epoch. Steps are epochs spent, so that a pruner can take them for a resource; where
    there are no epochs, they are trainings.

    Parameters
    ----------
    trial : optuna.trial.Trial
        The trial.
    n_trainings : int
        How many times it trains.
    """

    def __init__(self, trial, n_trainings):
        self._trial = trial
        self._n_trainings = n_trainings
        self._ends = []

    def __call__(self, value, step):
        """Report `value`, greater being better."""
        self._trial.report(float(value), step)
        # After the last training there is nothing to save, and a score to lose.
        if len(self._ends) < self._n_trainings and self._trial.should_prune():
            raise TrialPruned(f"pruned at step {step}")

    @property
    def first(self):
        """Whether no training has ended yet."""
        return not self._ends

    def end(self, value, n_epochs):
        """Note the `value` at the end of a training of `n_epochs`, and report the mean so far."""
        by_epochs = n_epochs is not None
        self._ends.append(value)
        if len(self._ends) > 1 or not by_epochs:
            self(np.mean(self._ends), len(self._ends) * (n_epochs if by_epochs else 1))


class EpochReport(Callback):
    """Callback of a network that reports its epochs.

    Parameters
    ----------
    reporter : Reporter
        What is told.
    value : callable
        Gives the value of the network as it is, ``value(net)``.
    """

    def __init__(self, reporter, value):
        self.reporter = reporter
        self.value = value
        self.end_ = None
        self.interrupt_ = None

    # Estimators around the network copy it along with its callbacks, but there is one trial.
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
            except KeyboardInterrupt as interrupt:  # the network takes it for early stopping
                self.interrupt_ = interrupt
                raise
            self.reporter(self.end_, len(net.history))

    def on_train_end(self, net, **kwargs):
        """Keep the value that the training ends with, and how long it might have taken."""
        self.max_epochs_ = net.max_epochs
        if self.end_ is None and len(net.history) > 0:
            self.end_ = self.value(net)


class Monitor:
    """The value of a network in training, greater being better.

    Parameters
    ----------
    monitor : str, callable or None
        As for :class:`~skldos.search.StudySearchCV`.
    data : tuple
        X and perhaps y of what is held out, transformed.
    nested : bool
        Whether the network is a part of the last step, so that its targets are unknown.
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
        net.module_.eval()  # an epoch without validation ends in training mode
        return float(net.score(*self._data) if name is None else name(net, *self._data))
