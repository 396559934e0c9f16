"""Callbacks that the regressors bring along."""

from skorch.callbacks import Callback
from tqdm.auto import tqdm


class EpochBar(Callback):
    """A progress bar over the epochs of one fit, with the losses of the last one."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Open the bar."""
        self.bar_ = tqdm(total=net.max_epochs, unit="epoch", desc=type(net).__name__, leave=False)

    def on_epoch_end(self, net, **kwargs):
        """Advance the bar by one epoch."""
        row = net.history[-1]
        losses = {name: f"{row[name]:.3e}" for name in ("train_loss", "valid_loss") if name in row}
        self.bar_.set_postfix(losses)
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()
