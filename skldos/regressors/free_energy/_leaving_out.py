"""Choose weights and penalty by leaving out one snapshot at a time, and calibrate the errors."""

from itertools import groupby

import numpy as np
from scipy.stats import gmean

#: Fractions ρ of the variance that follow the posterior, to choose from; the rest is constant. Zero
#: is not included: far from all training data only the posterior grows.
POSTERIOR_FRACTIONS = np.linspace(0.1, 1.0, 19)


class LeavingOut:
    """Left-out errors of all snapshots of an ``AtomicSums``, for all settings.

    The settings are grouped by equal weights. `kinds` are those to evaluate, of ``"energy"``,
    ``"forces"`` and ``"virial"``; `squares` and `numbers` have for each the sums of squared errors
    and their numbers, of shape (n_settings, n_snapshots).
    """

    def __init__(self, problem, settings, kinds):
        self.problem, self.settings, self.kinds = problem, settings, kinds
        shape = (len(settings), problem.n_snapshots)
        self.squares = {kind: np.zeros(shape) for kind in kinds}
        self.numbers = {kind: np.zeros(shape) for kind in kinds}
        for first, group in self._by_weights(range(len(settings))):
            decomposed = problem.decompose(*settings[first][:2])
            for s in range(problem.n_snapshots):
                left_out = problem.left_out(s, decomposed, [settings[i] for i in group])
                for i, snapshot in zip(group, left_out, strict=True):
                    for kind in kinds:
                        errors = getattr(snapshot, kind)
                        errors = errors[~np.isnan(errors)]
                        self.squares[kind][i, s] = errors @ errors
                        self.numbers[kind][i, s] = len(errors)

    def _by_weights(self, indices):
        """Yield groups of settings with equal weights, and the first setting of each group."""
        for _, group in groupby(indices, key=lambda i: self.settings[i][:2]):
            group = list(group)
            yield group[0], group

    def errors(self, without=None):
        """Return root mean square errors of every kind, shape (n_settings,)."""
        counts = self.problem.counts.copy()
        if without is not None:
            counts[without] = 0.0
        return {
            kind: np.sqrt(_mean(self.squares[kind] @ counts, self.numbers[kind] @ counts))
            for kind in self.kinds
        }

    def best(self, without=None):
        """Return index and value of the smallest geometric mean of errors over the settings."""
        means = gmean([*self.errors(without).values()])
        return int(np.argmin(means)), float(np.min(means))

    def nested(self):
        """Return the LeftOut of every snapshot with the setting chosen by all others."""
        best = np.array([self.best(without=s)[0] for s in range(self.problem.n_snapshots)])
        errors = [None] * len(best)
        for first, group in self._by_weights(np.unique(best)):
            decomposed = self.problem.decompose(*self.settings[first][:2])
            for s in np.flatnonzero(np.isin(best, group)):
                setting = [self.settings[best[s]]]
                (errors[s],) = self.problem.left_out(s, decomposed, setting)
        return errors


def _mean(sums, numbers):
    return np.divide(sums, numbers, out=np.full_like(sums, np.nan), where=numbers > 0)


def per_snapshot(snapshots, kind, unit=1.0):
    """Return the energy error of every snapshot, or root-mean-square errors of other kinds."""
    errors = [unit * getattr(snapshot, kind) for snapshot in snapshots]
    if kind == "energy":
        return np.concatenate(errors)
    return np.array([np.sqrt(np.mean(e**2)) if len(e) else np.nan for e in errors])


def calibration(snapshots, kind, counts):
    """Return the result of :func:`calibrated` for the errors of one kind, with snapshot weights."""
    errors = [getattr(snapshot, kind) for snapshot in snapshots]
    variances = [getattr(snapshot, f"{kind}_variance") for snapshot in snapshots]
    repeated = np.repeat(counts, [len(e) for e in errors])
    return calibrated(np.concatenate(errors), np.concatenate(variances), repeated)


def calibrated(errors, variances, counts):
    r"""Return the constant part and the slope of the variance of errors.

    The model is :math:`\sigma_i^2 = c\,[(1 - \rho)\,\bar v + \rho\, v_i]` with the variances v of
    the posterior for unit noise; c and ρ have the largest likelihood of the left-out errors, which
    `counts` weights. The results are :math:`c (1 - \rho) \bar v` and :math:`c \rho`.

    Examples
    --------
    >>> calibrated(np.array([3.0, -3.0]), np.array([2.0, 2.0]), np.ones(2))
    (8.1, 0.45)
    """
    finite = np.isfinite(errors) & (variances > 0)
    errors, variances, counts = errors[finite], variances[finite], counts[finite]
    if len(errors) == 0:
        return np.nan, np.nan
    mean = np.average(variances, weights=counts)
    best = None
    for rho in POSTERIOR_FRACTIONS:
        shape = (1 - rho) * mean + rho * variances
        c = np.average(errors**2 / shape, weights=counts)
        # −2 log p, without constants
        loss = np.average(np.log(shape), weights=counts) + np.log(max(c, 1e-300))
        if best is None or loss < best[0] - 1e-12:
            best = loss, float(c * (1 - rho) * mean), float(c * rho)
    return best[1:]
