"""Processes that train one network together, by ``torch.distributed``.

Every process has the same network and the same snapshots, and takes the same decisions. The rows
are distributed: each batch is the one that a single process would draw, and every process computes
the rows that it has read. Gradients, losses, scales of targets and normal equations are sums over
the processes.
"""

import atexit
import multiprocessing
import os

import numpy as np
import torch
from torch import distributed

from skldos.validation import check_option

#: Environment variables that torchrun sets.
TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Team:
    """The processes of a training; the methods of a single process return their arguments.

    Parameters
    ----------
    rank : int, default=0
        Number of this process.
    size : int, default=1
        Number of processes.
    device : str, default="cpu"
        Device of tensors for communication: GPUs communicate with GPUs.
    """

    def __init__(self, rank=0, size=1, device="cpu"):
        self.rank = rank
        self.size = size
        self.device = device
        #: The checkpoint file, named in errors.
        self.file = None

    def part(self, n_rows):
        """Return start and stop of this process's rows out of `n_rows`."""
        return n_rows * self.rank // self.size, n_rows * (self.rank + 1) // self.size

    def sum(self, *tensors):
        """Return the sums of tensors of one type over all processes."""
        return self._reduced(tensors, distributed.ReduceOp.SUM)

    def largest(self, *numbers):
        """Return the largest of every number over all processes."""
        tensors = [torch.tensor(float(number), dtype=torch.float64) for number in numbers]
        return [float(x) for x in self._reduced(tensors, distributed.ReduceOp.MAX)]

    def agree_on_seed(self, random_state):
        """Return the random state of the first process; None becomes a number."""
        if self.size > 1 and random_state is None:
            random_state = int(np.random.default_rng().integers(2**31))
        return self.agree(random_state)

    def agree(self, value):
        """Return the value of the first process."""
        if self.size == 1:
            return value
        values, card = [value], None if self.device == "cpu" else torch.device(self.device)
        self._talk(distributed.broadcast_object_list, values, src=0, device=card)
        return values[0]

    def check_same(self, value, message):
        """Raise a ``ValueError`` with `message` unless `value` is the same in all processes."""
        if self.size > 1:
            values = [None] * self.size
            self._talk(distributed.all_gather_object, values, value)
            if len(set(values)) > 1:
                raise ValueError(message)

    def check_shareable(self, network):
        """Raise a ``ValueError`` unless the gradient of a batch is the sum over its rows."""
        if self.size > 1 and any(hasattr(module, "running_mean") for module in network.modules()):
            raise ValueError(
                "distributed='auto' needs a network without batch normalisation, whose statistics "
                f"would be those of the rows of one process; got {network}."
            )

    def permutation(self, n):
        """Return a random permutation, the same in all processes, from the first one's state."""
        if self.size > 1:
            state = torch.get_rng_state().to(self.device)
            self._talk(distributed.broadcast, state, src=0)
            torch.set_rng_state(state.cpu())
        return torch.randperm(n, device="cpu")

    def add_gradients(self, parameters, fraction):
        """Replace gradients of means over the local rows by those of the mean over all rows.

        The local rows are a `fraction` of all rows. A parameter without a gradient counts as one
        with zeros.
        """
        parameters = [p for p in parameters if p.requires_grad]
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        # Without local rows, there is no mean and no gradient.
        gradients = [p.grad * fraction if fraction else p.grad.zero_() for p in parameters]
        for p, total in zip(parameters, self.sum(*gradients), strict=True):
            p.grad = total

    def _reduced(self, tensors, operation):
        if self.size == 1:
            return tensors
        # A single message, because waiting for other processes takes most of the time.
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).to(self.device)
        self._talk(distributed.all_reduce, flat, op=operation)
        pieces = flat.to(tensors[0].device).split([tensor.numel() for tensor in tensors])
        return [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]

    def _talk(self, function, *args, **kwargs):
        try:
            function(*args, **kwargs)
        except RuntimeError as error:
            stored = ""
            if self.file is not None:
                stored = (
                    f" The training is stored in {str(self.file)!r} up to the last whole epoch: "
                    "run again with the same parameters and data to continue from there."
                )
            raise RuntimeError(
                f"process {self.rank} of {self.size} lost another process, which was killed or "
                f"raised an error ({error}).{stored}"
            ) from error


#: A single process.
SINGLE_PROCESS = Team()


def check_distribution(net):
    """Raise an error for a net that something else distributes, or that cannot be distributed."""
    if getattr(net, "accelerator", None) is not None:
        raise TypeError(
            f"{type(net).__name__} does not work with AccelerateMixin; use its parameters device "
            "and autocast instead, and distributed='auto' for several processes."
        )
    wrapper = torch.nn.parallel.DistributedDataParallel
    wrapped = isinstance(net.module, type) and issubclass(net.module, wrapper)
    if wrapped or isinstance(net.module, wrapper):
        raise TypeError(
            f"module must be the network itself, got {net.module!r}: each process would scale the "
            "targets and refit the output layer on its own; set distributed='auto'."
        )
    if net.distributed is not None and net.optimizer is torch.optim.LBFGS:
        raise ValueError("distributed='auto' does not support optimizer=LBFGS.")
    if net.distributed is not None and net.autocast == "float16":
        raise ValueError("distributed='auto' does not support autocast='float16'.")


def join(name, mode, device):
    """Return the team of this process, for a regressor called `name` in errors.

    `mode` is "auto" if processes started by torchrun, or of a process group, train together. If it
    is None and there are several, raise a ``RuntimeError``: each would scale the targets and fit
    the output layer with its own data.
    """
    check_option("distributed", mode, (None, "auto"))
    running = distributed.is_available() and distributed.is_initialized()
    size = distributed.get_world_size() if running else _launched()
    if size == 1:
        return SINGLE_PROCESS
    if mode is None:
        raise RuntimeError(
            f"{name} trains in one process, but torch.distributed runs {size}, each of which would "
            "scale the targets and refit the output layer by its own data; set "
            "distributed='auto' (LDOSRegressor has it) to train one model in all of them, or fit "
            "in a single process."
        )
    on_card = torch.device(device).type == "cuda"
    if not running:
        if on_card:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("nccl" if on_card else "gloo")
        atexit.register(_leave)
    sends = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    return Team(distributed.get_rank(), size, sends)


def _launched():
    """Return the number of processes started by torchrun, without workers of this process."""
    in_main = multiprocessing.current_process().name == "MainProcess"
    if not (
        in_main
        and distributed.is_available()
        and all(name in os.environ for name in TORCHRUN_VARIABLES)
    ):
        return 1
    return int(os.environ["WORLD_SIZE"])


def _leave():
    if distributed.is_initialized():
        distributed.destroy_process_group()
