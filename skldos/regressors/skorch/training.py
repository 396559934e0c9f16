"""The training loop of a skorch net, with batches that are pairs of tensors."""

from contextlib import contextmanager

import numpy as np
import torch
from skorch.callbacks import Callback

from skldos.regressors.skorch import _records
from skldos.regressors.skorch.checkpoint import restore, training_file_state
from skldos.regressors.team import SINGLE_PROCESS


class _StopTraining(Exception):  # noqa: N818 (an event, not an error)
    """A callback requests the end of training."""


class SkorchTraining:
    """How a skorch net is trained; a part of :class:`.SkorchRegressor`.

    In skorch, every batch passes through every callback, which for small networks costs more than
    the network itself. Here, callbacks are called per batch only if one of them uses it.
    """

    # State from which training continues, and where it is stored during training.
    _training_state = None
    _file_ = None
    # The processes that share the training.
    _team_ = SINGLE_PROCESS
    # Whether a callback uses every gradient; set when an epoch begins.
    _grad_listeners_ = False
    # Subclasses may have a parameter of this name.
    lr_schedule = None

    def _train(self, data, *, epochs, goes_on, file=None):
        """Train a net that is built on checked data for `epochs`.

        With zero epochs, the network stays as initialised. Continued training starts from exactly
        the final state of the last training, including random numbers, so results are bitwise
        identical to uninterrupted training.
        """
        state = None
        if goes_on:
            state = self._training_state
            self._initialize_callbacks()  # with the current parameters
        if epochs > 0:
            self._run_epochs(data, epochs, goes_on, state, file)
        elif not goes_on:
            self._training_state = _records.training_state(self)
        self._set_training(False)
        return self

    def _prepare(self):
        """Build new network, optimizer and callbacks."""
        self.initialized_ = False  # otherwise skorch announces a new start
        self._training_state = None
        self.initialize()

    def _run_epochs(self, data, epochs, goes_on, state, file):
        """Train until the last epoch or until a callback ends it.

        skorch treats a user's interrupt as such an end, and silently returns a half-trained model.
        Here the interrupt is raised.
        """
        n_before = len(self.history)
        # A learning rate that was set since, or annealed by a schedule, is reset.
        anew = state is None or self.lr != state["lr"] or self.lr_schedule == "cosine"
        if anew and goes_on and not hasattr(self, "optimizer__param_groups"):
            rate = {"lr": self.lr, "initial_lr": self.lr}
            _records.set_rates(self, [rate] * len(self.optimizer_.param_groups))
        rates = _records.rates(self)
        self.notify("on_train_begin", X=data, y=None)
        if state is not None:
            if not anew:
                # skorch has created new schedules, which have already taken a step.
                _records.restore_training(self, state)
                _records.set_rates(self, rates)
            _records.restore_random(self, state)
        stored = file.read() if file is not None and self._team_.rank == 0 else None
        stored = self._team_.agree(stored)
        if stored is not None:
            restore(self, stored)
        # Epochs loaded from a file, or by skorch's LoadInitState, are not trained again.
        loaded = len(self.history) - n_before if stored is not None or not goes_on else 0
        self._file_ = file
        try:
            if stored is None or not stored["stopped"]:
                self.fit_loop(data, epochs=max(0, epochs - loaded))
        except _StopTraining:
            pass
        finally:
            self._file_ = None
            self._training_state = _records.training_state(self)
            self.notify("on_train_end", X=data, y=None)

    def notify(self, method_name, **cb_kwargs):
        """Call a method of all callbacks; early stopping, which interrupts, ends training.

        After an epoch, the training is stored if requested.
        """
        stopped = False
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            if method_name != "on_epoch_end":
                raise
            stopped = True
        if method_name == "on_epoch_end" and self._file_ is not None and self._team_.rank == 0:
            self._file_.write(training_file_state(self, stopped=stopped))
        if stopped:
            raise _StopTraining

    def check_data(self, X, y=None):
        """Do nothing: data are checked before they get here."""

    def _listeners(self, method):
        """Whether some callback does something at `method`, such as ``on_batch_end``."""
        return any(
            getattr(type(callback), method, None) is not getattr(Callback, method)
            for _, callback in self.callbacks_
        )

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run over all batches once and record the mean loss per row.

        Unlike in skorch, losses stay on a GPU until the epoch ends, and callbacks are called per
        batch only if one of them uses it.
        """
        if iterator is None:
            return
        self._set_training(training)
        listening = self._listeners("on_batch_begin") or self._listeners("on_batch_end")
        self._grad_listeners_ = self._listeners("on_grad_computed")
        losses, sizes = [], []
        for batch in iterator:
            if listening:
                self.history.new_batch()
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            if listening:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", len(batch[0]))
                self.notify("on_batch_end", batch=batch, training=training, **step)
            loss = step["loss"].detach()
            # On a GPU, a number would be waited for. On a CPU, tensors that outlive their batches
            # would fragment the memory.
            losses.append(loss.item() if loss.device.type == "cpu" else loss)
            sizes.append(batch[0].shape[0])
            del batch  # so that the next one can have its memory
        if not listening:
            self.history.new_batch()  # Checkpoint needs at least one
        # Callbacks that predict at the end of an epoch do so without dropout.
        self._set_training(False)
        loss = self._mean_loss(losses, sizes)
        if training and not np.isfinite(loss):
            raise ValueError(
                f"training diverged: the loss of epoch {len(self.history)} is {loss}; lower "
                f"lr={self.lr} or standardise the inputs."
            )
        self.history.record(f"{prefix}_batch_count", len(sizes))
        name = f"{prefix}_loss"
        self.history.record(name, loss)
        # Callbacks such as Checkpoint look for this mark.
        previous = [row[name] for row in self.history[:-1] if name in row]
        self.history.record(f"{name}_best", not previous or loss < min(previous))

    def _mean_loss(self, losses, sizes):
        """Return the mean loss per row of batches of these sizes, over all processes."""
        sizes = torch.tensor(sizes, dtype=torch.float64, device="cpu")
        losses = torch.stack(losses).tolist() if losses and torch.is_tensor(losses[0]) else losses
        losses = torch.tensor(losses, dtype=torch.float64, device="cpu")
        total, n_rows = self._team_.sum(losses @ sizes, sizes.sum())
        return float(total / n_rows)

    def train_step(self, batch, **fit_params):
        """Take one optimisation step on `batch`."""
        if isinstance(self.optimizer_, torch.optim.LBFGS):
            return super().train_step(batch, **fit_params)  # needs a closure
        if batch[0].shape[0] > 0:
            step = self.train_step_single(batch, **fit_params)
        else:  # this process may have no rows of the batch
            step = {"loss": batch[1].new_zeros(()), "y_pred": batch[1]}
        if self._team_.size > 1:
            fraction = len(batch[0]) / batch.n_shared
            self._team_.add_gradients(self.module_.parameters(), fraction)
        if self._grad_listeners_:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
        self.optimizer_step()
        return step

    def optimizer_step(self):
        """Let the optimizer update the weights with the current gradients."""
        self.optimizer_.step()

    def train_step_single(self, batch, **fit_params):
        """Compute predictions, loss and gradients for `batch`."""
        X, _ = batch
        self.optimizer_.zero_grad()
        y_pred = self._network_outputs(X)
        loss = self._loss(y_pred, batch, training=True)
        self._backward(loss)
        return {"loss": loss, "y_pred": y_pred}

    def _backward(self, loss):
        loss.backward()

    def validation_step(self, batch, **fit_params):
        """Compute predictions and loss for `batch` without gradients."""
        X, _ = batch
        with torch.no_grad():
            y_pred = self._network_outputs(X)
            return {"loss": self._loss(y_pred, batch, training=False), "y_pred": y_pred}

    def _network_outputs(self, X):
        return self.module_(X)

    def _loss(self, y_pred, batch, *, training):
        """Return the loss of a batch, weighted if the batch has weights."""
        X, y = batch
        weights = getattr(batch, "weights", None)
        if weights is None:
            return self.get_loss(y_pred, y, X=X, training=training)
        with _each_row(self.criterion_):
            losses = self.get_loss(y_pred, y, X=X, training=training)
        if losses.ndim == 0 or len(losses) != len(y):
            raise ValueError(
                f"sample_weight needs one loss per row from criterion={self.criterion!r} with "
                f"reduction='none', got shape {tuple(losses.shape)}."
            )
        return (losses.reshape(len(y), -1).mean(dim=1) * weights[:, 0]).mean()


@contextmanager
def _each_row(criterion):
    """Let a criterion return the losses of all rows instead of their mean, within a with block."""
    reduction = getattr(criterion, "reduction", None)
    if reduction != "mean":
        raise ValueError(
            "sample_weight needs a criterion with reduction='mean', like the losses of "
            f"torch; got {criterion!r} with {reduction!r}."
        )
    criterion.reduction = "none"
    try:
        yield
    finally:
        criterion.reduction = reduction
