"""Pruning of trials before training."""

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import TrialState

from skldos.search.study._storage import trials_of
from skldos.validation import check_scalar


class NASWOTPruner(BasePruner):
    """Prune candidates before training, by the NASWOT score of their untrained networks.

    An Optuna pruner that reads the attribute ``"naswot"`` of a trial before its first report: the
    score that :class:`StudySearchCV` computes with its `naswot`, or that your own objective sets by
    ``trial.set_user_attr``. The threshold is learned from preceding trials. A trial is pruned if
    its score is below

    - the `quantile` of the scores of all finished trials, including pruned ones, and
    - the score of each of the `n_protected` best trained trials.

    The second condition limits the harm of a poor score: if it ranks the best trained trials low,
    nothing is pruned. Both conventions of :class:`NASWOTScorer` work, because greater is better in
    each, but do not mix them in one study.

    Parameters
    ----------
    pruner : optuna.pruners.BasePruner, optional
        Pruner for the remaining trials during training; None prunes none of them.
    quantile : float, default=0.5
        Fraction of the candidates that may be pruned.
    n_startup_trials : int, default=10
        Number of finished trials with a score before any is pruned.
    n_protected : int, default=3
        Number of best trained trials that the threshold must not exceed; 0 trusts the score.

    See Also
    --------
    screen_candidates : Select candidates before the study starts.

    Examples
    --------
    >>> from optuna.pruners import MedianPruner
    >>> from skldos.search import NASWOTPruner
    >>> pruner = NASWOTPruner(MedianPruner(n_warmup_steps=5), quantile=0.3)
    """

    def __init__(self, pruner=None, *, quantile=0.5, n_startup_trials=10, n_protected=3):
        if pruner is not None and not isinstance(pruner, BasePruner):
            raise TypeError(f"pruner must be a pruner of optuna, got {pruner!r}.")
        self.pruner = pruner
        self.quantile = check_scalar("quantile", quantile, low=0, high=1)
        self.n_startup_trials = check_scalar(
            "n_startup_trials", n_startup_trials, low=1, integer=True
        )
        self.n_protected = check_scalar("n_protected", n_protected, low=0, integer=True)

    def prune(self, study, trial):
        """Return whether `trial` should end; called by Optuna.

        Parameters
        ----------
        study : optuna.Study
            The study.
        trial : optuna.trial.FrozenTrial
            The trial.

        Returns
        -------
        bool
            True to end the trial.
        """
        score = trial.user_attrs.get("naswot")
        # Once it has been trained, its reports are a better criterion.
        untrained = score is not None and not trial.intermediate_values
        if untrained and score < self.threshold(study):
            return True
        return self.pruner is not None and self.pruner.prune(study, trial)

    def threshold(self, study):
        """Return the score below which a trial is pruned; -inf as long as nothing is pruned.

        Parameters
        ----------
        study : optuna.Study
            The study.

        Returns
        -------
        float
            The threshold.
        """
        ended = trials_of(study, TrialState.COMPLETE, TrialState.PRUNED)
        trials = [trial for trial in ended if "naswot" in trial.user_attrs]
        if len(trials) < self.n_startup_trials:
            return -np.inf
        trained = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        trained.sort(
            key=lambda trial: trial.value, reverse=study.direction == StudyDirection.MAXIMIZE
        )
        protected = [trial.user_attrs["naswot"] for trial in trained[: self.n_protected]]
        scores = [trial.user_attrs["naswot"] for trial in trials]
        return min([float(np.quantile(scores, self.quantile)), *protected])

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"NASWOTPruner({options})"
