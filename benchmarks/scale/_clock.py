"""Times of the epochs of a training."""

from skorch.callbacks import Callback


class Clock(Callback):
    """Appends the seconds of every epoch, by the clock `now`, to `seconds`."""

    def __init__(self, seconds, now):
        self.seconds = seconds
        self.now = now

    def on_epoch_begin(self, net, **kwargs):
        self.begin = self.now()

    def on_epoch_end(self, net, **kwargs):
        self.seconds.append(self.now() - self.begin)
