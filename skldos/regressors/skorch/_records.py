"""The state of a training as arrays, numbers and strings, from which a stored net continues."""

import torch
from skorch.callbacks import LRScheduler

from skldos.regressors.skorch._plain_values import plain


def training_state(net):
    """Return the state needed to continue training, besides weights and optimizer.

    The random state is the current one. The learning rate is that of the parameters, because
    schedules store the annealed rate.
    """
    schedules = {
        name: plain(callback.lr_scheduler_.state_dict())
        for name, callback in net.callbacks_
        if isinstance(callback, LRScheduler) and callback.lr_scheduler_ is not None
    }
    cuda = torch.device(net.device).type == "cuda"
    scaler = getattr(net, "_scaler_", None)
    return {
        "lr": net.lr,
        "schedules": schedules,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(net.device) if cuda else None,
        "scaler": {} if scaler is None else scaler.state_dict(),
    }


def optimizer_state(net):
    """Return the states of optimizer and criterion."""
    return {"optimizer": net._optimizer_.state_dict(), "criterion": net.criterion_.state_dict()}


def restore_random(net, state):
    """Continue the random numbers from the time at which `state` was taken."""
    torch.set_rng_state(torch.as_tensor(state["random"], device="cpu"))
    if state["random_cuda"] is not None and torch.device(net.device).type == "cuda":
        torch.cuda.set_rng_state(torch.as_tensor(state["random_cuda"], device="cpu"), net.device)


def restore_training(net, state):
    """Continue the schedules of the callbacks, and the scaling of the loss."""
    for name, callback in net.callbacks_:
        schedule = state["schedules"].get(name)
        if schedule is not None and isinstance(callback, LRScheduler):
            callback.lr_scheduler_.load_state_dict(schedule)
    if state["scaler"] and getattr(net, "_scaler_", None) is not None:
        net._scaler_.load_state_dict(state["scaler"])


def rates(net):
    """Return the options of all parameter groups of the optimizer, such as the learning rate."""
    return [
        {name: value for name, value in group.items() if name != "params"}
        for group in net.optimizer_.param_groups
    ]


def set_rates(net, options):
    """Set the options that :func:`rates` returned."""
    for group, values in zip(net.optimizer_.param_groups, options, strict=True):
        group.update(values)


def callback_states(net):
    """Return the plain attributes of every callback, such as best scores."""
    return {
        name: plain({k: v for k, v in vars(callback).items() if k.endswith("_")})
        for name, callback in net.callbacks_
    }


def restore_callbacks(net, states):
    """Restore the attributes of the callbacks."""
    for name, callback in net.callbacks_:
        vars(callback).update(states.get(name, {}))


def history_rows(net):
    """Return one dict of plain values per epoch, without the batches."""
    return [plain({k: v for k, v in row.items() if k != "batches"}) for row in net.history]


def set_history(net, rows):
    """Replace the history of a net."""
    net.history.clear()
    net.history.extend(dict(row) | {"batches": []} for row in rows)
