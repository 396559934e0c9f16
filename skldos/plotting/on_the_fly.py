"""Error bars and reference calculations of dynamics with learning on the fly."""

from skldos.plotting.axes import GUIDE, colors, legend_above, new_axes


class OnTheFlyDisplay:
    """Expected force errors over time, the threshold, and the true errors where calculated.

    Use :meth:`from_learner` to make one.

    Parameters
    ----------
    error_bars : DataFrame
        As :attr:`skldos.active.OnTheFlyLearner.error_bars`.
    asked : DataFrame
        As :attr:`skldos.active.OnTheFlyLearner.asked`.
    threshold : float
        In eV/Å.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import pandas as pd
    >>> from skldos.plotting import OnTheFlyDisplay
    >>> bars = pd.DataFrame({"step": [0, 1], "expected": [0.2, 0.05], "asked": [True, False]})
    >>> asked = pd.DataFrame({"why": ["threshold"], "step": [0], "force_error": [0.15]})
    >>> display = OnTheFlyDisplay(error_bars=bars, asked=asked, threshold=0.1).plot()
    >>> display.ax_.get_ylabel()
    'error of forces (eV/Å)'
    """

    def __init__(self, *, error_bars, asked, threshold):
        self.error_bars = error_bars
        self.asked = asked
        self.threshold = threshold

    @classmethod
    def from_learner(cls, learner, *, ax=None):
        """Draw the history of a learner during dynamics.

        Parameters
        ----------
        learner : OnTheFlyLearner
            After ``run``.
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.

        Returns
        -------
        OnTheFlyDisplay
            The display, drawn.
        """
        tables = {"error_bars": learner.error_bars, "asked": learner.asked}
        return cls(**tables, threshold=learner.threshold).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw in; None makes a new figure.

        Returns
        -------
        OnTheFlyDisplay
            The display.
        """
        self.ax_ = new_axes(ax, figsize=(6.4, 3.4))
        self.figure_ = self.ax_.figure
        line, *marks = colors(3)
        bars, asked = self.error_bars, self.asked
        self.ax_.plot(bars["step"], bars["expected"], color=line, label="expected, worst atom")
        for why, marker, color in zip(("threshold", "check"), "o^", marks, strict=True):
            rows = asked[asked["why"] == why]
            if len(rows):
                style = {"marker": marker, "ms": 5, "ls": "none", "color": color}
                self.ax_.plot(rows["step"], rows["force_error"], label=f"true: {why}", **style)
        self.ax_.axhline(self.threshold, color=GUIDE, ls="--", lw=0.8, label="threshold")
        self.ax_.set(xlabel="step", ylabel="error of forces (eV/Å)", yscale="log")
        legend_above(self.ax_, ncols=2)
        return self
