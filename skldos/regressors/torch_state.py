"""The state of torch within a block of code: random numbers, threads and defaults."""

import threading
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch.overrides import TorchFunctionMode

#: Lock of the thread that draws torch's random numbers, which all threads share.
_drawing = threading.RLock()
#: Lock while the default dtype, which all threads share, is changed, and its original value.
_changing, _earlier_dtypes = threading.Lock(), []
#: Functions of torch that draw random numbers and accept a generator.
_DRAWS = {
    *("bernoulli", "multinomial", "normal", "rand", "randint", "randn", "randperm"),
    *("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_"),
    *("random_", "uniform_", "kaiming_uniform_"),
}


@contextmanager
def seeded(random_state, device):
    """Seed torch within the block, and restore the user's random state afterwards.

    One such block runs at a time; other threads wait. So each draws the numbers that it would draw
    if it were alone.
    """
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    cuda = torch.device(device).type == "cuda"
    with (
        _drawing,
        own_defaults(),
        torch.random.fork_rng(devices=[torch.device(device)] if cuda else []),
    ):
        torch.manual_seed(seed)
        yield seed


class Placeholders(TorchFunctionMode):
    """Within the block, draw weights that will be replaced from a separate generator.

    Unlike :func:`seeded` this waits for no other thread: a training may itself wait for threads
    that load its network to score it.
    """

    def __init__(self):
        super().__init__()
        self._generator = torch.Generator("cpu").manual_seed(0)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Call `function`, with the generator if it draws numbers."""
        kwargs = kwargs or {}
        draws = getattr(function, "__name__", None) in _DRAWS
        if draws and kwargs.get("generator") is None:
            kwargs = kwargs | {"generator": self._generator}
        return function(*args, **kwargs)


def uncompiled(network):
    """Return the original network of a module made by ``torch.compile``, or the module itself."""
    return getattr(network, "_orig_mod", network)


@contextmanager
def torch_threads(n_threads):
    """Let torch use at most `n_threads` on the CPU within the block; None changes nothing."""
    previous = torch.get_num_threads()
    torch.set_num_threads(previous if n_threads is None else min(n_threads, previous))
    try:
        yield
    finally:
        torch.set_num_threads(previous)


@contextmanager
def own_defaults():
    """Run the block under torch's original defaults: float32 on the CPU, gradients recorded.

    Mixed precision is off, unless the block switches it on itself.

    Other libraries change them for the whole process (the calculator of MACE makes float64 the
    default), and modules of users create tensors without naming a dtype. All threads share the
    default dtype: the last of their blocks to end gives it back.
    """
    with ExitStack() as stack:
        if torch.empty(0).device.type != "cpu":  # get_default_device() of torch 2.4 knows no block
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        with _changing:
            _earlier_dtypes.append(torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
        stack.callback(_give_dtype_back)
        yield


def _give_dtype_back():
    with _changing:
        torch.set_default_dtype(_earlier_dtypes.pop())
