"""Callbacks of the regressors."""

from skorch.callbacks import Callback, EarlyStopping, EpochTimer, LRScheduler, PrintLog
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from skldos.progress import is_watched, progress_bar


class EpochBar(Callback):
    """A progress bar over the epochs of a fit, with the losses of the last epoch."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Open the bar."""
        name = type(net).__name__
        self.bar_ = progress_bar(total=net._epochs_, unit="epoch", desc=name, leave=False)

    def on_epoch_end(self, net, **kwargs):
        """Advance the bar by one epoch."""
        row = net.history[-1]
        losses = {name: f"{row[name]:.3e}" for name in ("train_loss", "valid_loss") if name in row}
        self.bar_.set_postfix(losses, refresh=is_watched())
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()


class EpochSchedule(LRScheduler):
    """A schedule that changes the learning rate after epochs: no batch has to call it."""

    on_batch_end = Callback.on_batch_end


def default_callbacks(net):
    """Return the callbacks for the parameters of a regressor, as pairs of name and callback."""
    callbacks = [("epoch_timer", EpochTimer())]
    monitor = "train_loss" if net.train_split is None else "valid_loss"
    if net.lr_schedule == "plateau":
        plateau = EpochSchedule(ReduceLROnPlateau, monitor=monitor, patience=3, factor=0.1)
        callbacks.append(("lr_schedule", plateau))
    elif net.lr_schedule == "cosine":
        cosine = EpochSchedule(CosineAnnealingLR, T_max=max(1, net._epochs_), last_epoch=-1)
        callbacks.append(("lr_schedule", cosine))
    if net.early_stopping is not None:
        stopping = EarlyStopping(
            monitor="valid_loss", patience=net.early_stopping, load_best=True, sink=_silent
        )
        callbacks.append(("early_stopping", stopping))
    if net._team_.rank > 0:
        return callbacks  # only one process reports the training
    if net.verbose == 1:
        callbacks.append(("progress", EpochBar()))
    elif net.verbose:
        callbacks.append(("print_log", PrintLog()))
    return callbacks


def _silent(text):
    """Discard what skorch's early stopping would print."""
