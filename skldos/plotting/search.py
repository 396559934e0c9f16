"""Results and cost of hyperparameter searches."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from skldos.plotting.axes import GUIDE, LEGEND_CHARACTERS, colors, legend_above, new_axes
from skldos.search import kendall_interval
from skldos.search.candidates import candidates, pareto_front
from skldos.search.effects import importances, main_effects
from skldos.validation import check_option, check_shape

KINDS = ("progress", "cost", "importance", "effects")
#: If costs differ by a larger factor, the axis of seconds is logarithmic.
MAX_RATIO = 10
#: Candidates are shown if they are at most this many times farther from the best score than the
#: median.
OFF_SCALE = 4


class SearchDisplay:
    r"""Progress and cost of searches, importance of parameters, and correlation of scores.

    Use :meth:`from_search`, :meth:`from_metrics` or :meth:`from_scores` to make one.

    Parameters
    ----------
    table : DataFrame
        The numbers, with columns that depend on `kind`.
    kind : {"progress", "cost", "importance", "effects", "ranks"}, default="progress"
        ``"progress"``: the best score so far against the seconds so far, one line per search, and
        the candidates if there is only one search; columns ``search``, ``score``, ``seconds``,
        ``elapsed`` and ``best``. ``"cost"``: the score of every candidate against its seconds, with
        the Pareto front in colour (no cheaper candidate is better); ``search``, ``score``,
        ``seconds`` and ``front``. ``"importance"``: the range of the effects of each parameter;
        ``parameter`` and ``importance``. ``"effects"``: the effect of each value of each parameter;
        ``parameter``, ``value`` and ``effect``. ``"ranks"``: a training-free score against the
        error after training, and their rank correlation; ``score``, ``error`` and ``front``, the
        Pareto front of both.
    labels : tuple of str, default=("score", "error")
        Labels of the score, and of the error if there is one.
    correlation : KendallInterval, optional
        Kendall's τ of score and error, for ``"ranks"``.
    negative : bool, default=False
        Whether to draw −score, for scores that are negative errors.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skldos.search.kendall_interval : The rank correlation.
    skldos.OrthogonalArraySearchCV : A search that determines main effects.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skldos.plotting import SearchDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> search = GridSearchCV(Ridge(), {"alpha": [0.1, 1, 10], "positive": [True, False]})
    >>> display = SearchDisplay.from_search(search.fit(X, y), kind="importance")
    >>> display.table["parameter"].tolist()
    ['alpha', 'positive']
    """

    def __init__(
        self, *, table, kind="progress", labels=("score", "error"), correlation=None, negative=False
    ):
        self.table = table
        self.kind = kind
        self.labels = labels
        self.correlation = correlation
        self.negative = negative

    @classmethod
    def from_search(
        cls,
        search,
        *,
        kind="progress",
        metric=None,
        label=None,
        negative=False,
        ax=None,
        **plot_options,
    ):
        r"""Draw the results of one or several searches.

        Parameters
        ----------
        search : estimator, optuna.study.Study, or dict of str to such
            A fitted search in scikit-learn's style, an Optuna search, or a study; for
            ``"progress"`` and ``"cost"`` also several by name.
        kind : {"progress", "cost", "importance", "effects"}, default="progress"
            Kind of plot. Effects come from an additive model of the scores; for a grid or an
            orthogonal array, they are mean scores. Importances are the ranges of the effects.
        metric : str, optional
            Metric to use as the score; None uses the one of `refit`.
        label : str, optional
            Label of the score, such as ``"error (meV/atom)"``; None uses the metric.
        negative : bool, default=False
            Whether to draw −score, for scores that are negative errors.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        SearchDisplay
            The display, drawn.

        Notes
        -----
        Seconds are computing time: fits and scores of all splits, summed over all workers, without
        the final refit. Failed candidates count with their time, but have no score. In a halving
        search the best score is reset in each round, because scores with different resources are
        not comparable.
        """
        check_option("kind", kind, KINDS)
        several = isinstance(search, Mapping)
        if kind in ("importance", "effects"):
            if several:
                raise TypeError(f"kind {kind!r} takes one search, got {len(search)}.")
            table = main_effects(search, metric)
            table = importances(table) if kind == "importance" else table
        else:
            searches = search if several else {"": search}
            if not searches:
                raise ValueError("search must hold at least one search, got none.")
            tables = [_costs(candidates(s, metric), name) for name, s in searches.items()]
            table = pd.concat(tables, ignore_index=True)
        label = label or metric or ("error" if negative else "score")
        display = cls(table=table, kind=kind, labels=(label, "error"), negative=negative)
        return display.plot(ax, **plot_options)

    @classmethod
    def from_metrics(cls, search, score, error, *, ax=None, **options):
        """Draw two metrics of a search, such as a training-free score and a trained error.

        Parameters
        ----------
        search : estimator
            A fitted search with several metrics.
        score : str
            Name of the score to assess, such as that of a NASWOTScorer.
        error : str
            Name of the metric to compare with. Its negative is drawn, because greater scores are
            better.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **options
            As for :meth:`from_scores`.

        Returns
        -------
        SearchDisplay
            The display, drawn.
        """
        values = [candidates(search, metric)["score"].to_numpy() for metric in (score, error)]
        options = {"score_label": score, "error_label": error} | options
        return cls.from_scores(values[0], -values[1], ax=ax, **options)

    @classmethod
    def from_scores(
        cls,
        scores,
        errors,
        *,
        score_label="score",
        error_label="error",
        confidence=0.95,
        n_resamples=2000,
        random_state=0,
        ax=None,
        **plot_options,
    ):
        """Draw scores against errors, with their rank correlation.

        Parameters
        ----------
        scores : array-like of shape (n_candidates,)
            Scores without training; greater is better.
        errors : array-like of shape (n_candidates,)
            Errors after training; useful scores correlate negatively with them. NaN in either
            marks a failed candidate, which is left out.
        score_label, error_label : str
            Labels of the axes.
        confidence : float, default=0.95
            Level of the confidence interval.
        n_resamples : int, default=2000
            Number of bootstrap samples.
        random_state : int, RandomState instance or None, default=0
            Seed of the bootstrap.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        **plot_options
            As for :meth:`plot`.

        Returns
        -------
        SearchDisplay
            The display, drawn.
        """
        scores, errors = np.asarray(scores, dtype=float), np.asarray(errors, dtype=float)
        check_shape("scores", scores, (None,))
        check_shape("errors", errors, scores.shape)
        options = {
            "confidence": confidence,
            "n_resamples": n_resamples,
            "random_state": random_state,
        }
        correlation = kendall_interval(scores, errors, **options)
        front = pareto_front(scores, -errors)
        table = pd.DataFrame({"score": scores, "error": errors, "front": front})
        labels = (score_label, error_label)
        display = cls(table=table, kind="ranks", labels=labels, correlation=correlation)
        return display.plot(ax, **plot_options)

    def plot(self, ax=None, *, scatter_kwargs=None, line_kwargs=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.
        scatter_kwargs : dict, optional
            Options for :meth:`matplotlib.axes.Axes.scatter`, for the candidates.
        line_kwargs : dict, optional
            Options for :meth:`matplotlib.axes.Axes.plot`, for lines, or
            :meth:`matplotlib.axes.Axes.barh`, for importances.

        Returns
        -------
        SearchDisplay
            The display.
        """
        draw = {
            "progress": self._draw_progress,
            "cost": self._draw_cost,
            "importance": self._draw_importance,
            "effects": self._draw_effects,
            "ranks": self._draw_ranks,
        }[check_option("kind", self.kind, (*KINDS, "ranks"))]
        self.ax_ = new_axes(ax, figsize=(5.6, 4.2))
        self.figure_ = self.ax_.figure
        points = {"s": 36, "edgecolors": "white", "linewidths": 0.7, "zorder": 3}
        draw(points | (scatter_kwargs or {}), {"zorder": 2} | (line_kwargs or {}))
        labels = self.ax_.get_legend_handles_labels()[1]
        if labels:
            ncols = 1 if max(map(len, labels)) > LEGEND_CHARACTERS else 2
            legend_above(self.ax_, grow=ax is None, ncols=ncols)
        return self

    @property
    def _sign(self):
        return -1 if self.negative else 1

    def _draw_progress(self, points, line):
        groups = list(self.table.groupby("search", sort=False))
        for (name, group), color in zip(groups, colors(len(groups)), strict=True):
            if len(groups) == 1:
                options = {"color": GUIDE, "label": self._name("candidates", group)} | points
                self._scatter(group["elapsed"], group["score"], **options)
            last = group["round"].iloc[-1]
            for number, part in group.groupby("round"):
                options = {"color": color, "lw": 1.8, "drawstyle": "steps-post"} | line
                if number == last:
                    # The end of the search; a single candidate is just a point.
                    end = {"marker": "o", "ms": 5, "markevery": [-1]}
                    options = end | {"label": name or "best so far"} | options
                self.ax_.plot(part["elapsed"], self._sign * part["best"], **options)
        self.ax_.set(xlabel="time spent (s)", ylabel=self.labels[0])
        ends = [group["elapsed"].iloc[-1] for _, group in groups]
        self._scale_seconds(self.table["elapsed"], max(ends) > MAX_RATIO * min(ends))

    def _draw_cost(self, points, line):
        groups = list(self.table.groupby("search", sort=False))
        for (name, group), color in zip(groups, colors(len(groups)), strict=True):
            label = self._name(name or "candidates", group)
            options = {"color": color, "alpha": 0.35, "label": label} | points
            self._scatter(group["seconds"], group["score"], **options)
            front = group[group["front"]].sort_values("seconds")
            options = {"color": color, "lw": 1.2, "drawstyle": "steps-post", "marker": "o"} | line
            options = {"label": "best for their cost" if len(groups) == 1 else None} | options
            self.ax_.plot(front["seconds"], self._sign * front["score"], **options)
        self.ax_.set(xlabel="time of a candidate (s)", ylabel=self.labels[0])
        seconds = self.table["seconds"]
        self._scale_seconds(seconds, seconds.max() > MAX_RATIO * seconds.min())

    def _name(self, name, group):
        """Return `name` with the numbers of candidates that are not shown."""
        missing = {
            "failed": group["score"].isna().sum(),
            "off the scale": (group["score"] < self._lowest()).sum(),
        }
        text = ", ".join(f"{n} {what}" for what, n in missing.items() if n)
        return f"{name} ({text})" if text else name

    def _scatter(self, seconds, score, **options):
        shown = score >= self._lowest()
        self.ax_.scatter(seconds[shown], self._sign * score[shown], **options)

    def _lowest(self):
        """Return the worst score to show: very poor candidates would compress all others."""
        score = self.table["score"]
        return score.median() - OFF_SCALE * (score.max() - score.median())

    def _scale_seconds(self, seconds, wide):
        if not (wide and (seconds > 0).all()):
            self.ax_.set_xlim(left=0)
            return
        from matplotlib.ticker import LogLocator, NullFormatter

        self.ax_.set_xscale("log")
        steps = (1,) if seconds.max() > 1e3 * seconds.min() else (1, 2, 5)
        self.ax_.xaxis.set_major_locator(LogLocator(subs=steps))
        self.ax_.xaxis.set_major_formatter("{x:g}")
        self.ax_.xaxis.set_minor_formatter(NullFormatter())

    def _draw_importance(self, _, bar):
        # The most important parameter is on top.
        table = self.table[::-1]
        options = {"color": colors(1)[0], "height": 0.6} | bar
        self.ax_.barh(_short(table["parameter"]), table["importance"], **options)
        self.ax_.set(xlabel=f"range of the effects on the {self.labels[0]}")
        self.ax_.tick_params(axis="y", length=0)

    def _draw_effects(self, _, line):
        groups = list(self.table.groupby("parameter", sort=False))
        names = _short([name for name, _ in groups])
        start, ticks = 0, []
        for name, (_, group), color in zip(names, groups, colors(len(groups)), strict=True):
            at = start + np.arange(len(group))
            options = {"color": color, "marker": "o", "lw": 1.8, "label": name} | line
            self.ax_.plot(at, self._sign * group["effect"], **options)
            ticks += zip(at, group["value"], strict=True)
            start = at[-1] + 2
        self.ax_.set_xticks(*zip(*ticks, strict=True), rotation=90)
        self.ax_.set_ylabel(f"mean {self.labels[0]}")

    def _draw_ranks(self, points, _):
        complete = self.table["score"].notna() & self.table["error"].notna()
        front = self.table["front"]
        parts = (
            (
                complete & ~front,
                GUIDE,
                "candidates" + (f" ({n} failed)" if (n := sum(~complete)) else ""),
            ),
            (front, colors(2)[1], "no other better in both"),
        )
        for chosen, color, label in parts:
            options = {"color": color, "label": label} | points
            self.ax_.scatter(*self.table.loc[chosen, ["score", "error"]].T.to_numpy(), **options)
        self.ax_.set(xlabel=self.labels[0], ylabel=self.labels[1], title=_text(self.correlation))


def _costs(table, name):
    """Return the candidates of one search, with best score and elapsed time after each."""
    table = table.drop(columns="params").assign(search=name, elapsed=table["seconds"].cumsum())
    table["best"] = table.groupby("round")["score"].cummax()
    # A failed candidate does not improve the score, but its time counts.
    table["best"] = table.groupby("round")["best"].ffill()
    table["front"] = pareto_front(table["score"], -table["seconds"])
    return table


def _short(names):
    """Return parameter names without the names of the steps, if they remain distinct."""
    short = [name.rpartition("__")[2] for name in names]
    return short if len(set(short)) == len(short) else list(names)


def _text(correlation):
    """Return the text of the rank correlation."""
    if correlation is None:
        return ""
    if np.isnan(correlation.tau):
        return "τ undefined"
    numbers = f"τ = {correlation.tau:.2f}"
    if np.isfinite(correlation.low):
        numbers += f" [{correlation.low:.2f}, {correlation.high:.2f}]"
    return numbers
