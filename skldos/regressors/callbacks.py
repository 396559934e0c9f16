"""Training callbacks."""

from skorch.callbacks import EpochScoring
from skorch.utils import to_numpy

from skldos.validation import check_scalar


class SnapshotScoring(EpochScoring):
    """Score a net on its validation snapshots every few epochs, with any skldos scorer.

    The score appears in ``history_``, so ``verbose=2`` prints it and other skorch callbacks can
    monitor it. A band energy needs a full prediction of every validation snapshot; for large grids,
    use `every` to limit the cost.

    Parameters
    ----------
    scoring : callable
        Called with the net, the validation blocks and their targets. For example
        :class:`~skldos.BandEnergyScorer`, which needs blocks that are linked to snapshots.
    every : int, default=1
        Epochs between scores.
    on_train : bool, default=False
        Whether to score on the training snapshots instead.
    name : str, optional
        Name in the history; None uses the name of the scorer.
    lower_is_better : bool, default=False
        Whether lower scores are better; for skldos scorers, greater is better.
    target_extractor, use_caching
        As in skorch; without effect here.

    Examples
    --------
    >>> from skldos import DOSScorer, GridSNAPTransformer, LDOSRegressor
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.regressors.callbacks import SnapshotScoring
    >>> X = GridSNAPTransformer(twojmax=2).fit_transform(make_snapshots(4, random_state=0))
    >>> model = LDOSRegressor(
    ...     max_epochs=4,
    ...     train_split=1,
    ...     callbacks=[SnapshotScoring(DOSScorer(), every=2, name="dos")],
    ...     random_state=0,
    ... ).fit(X)
    >>> ["dos" in epoch for epoch in model.history_]
    [False, True, False, True]
    """

    def __init__(
        self,
        scoring,
        every=1,
        *,
        on_train=False,
        name=None,
        lower_is_better=False,
        target_extractor=to_numpy,
        use_caching=False,
    ):
        super().__init__(
            scoring, lower_is_better, on_train, name, target_extractor, use_caching=use_caching
        )
        self.every = every

    def _get_name(self):
        named = self.name is not None or hasattr(self.scoring, "__name__")
        return super()._get_name() if named else type(self.scoring).__name__

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Check the parameters."""
        check_scalar("every", self.every, low=1, integer=True)
        super().on_train_begin(net, X, y, **kwargs)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Score if it is time to."""
        if len(net.history) % self.every == 0:
            super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)
