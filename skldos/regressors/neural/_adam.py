"""The steps of torch's fused Adam without their overhead.

``Optimizer.step`` collects parameters, gradients and moments every time and opens a record for the
profiler. For the small networks of this field, this takes two to three times as long as the kernel.
This module collects them once per epoch. The kernel is a private function of torch: if it is
missing, or the optimizer has unusual options, the optimizer takes its steps itself.
"""

import torch
from torch.optim import optimizer as torch_optimizer

_KERNELS = {
    torch.optim.Adam: getattr(torch, "_fused_adam_", None),
    torch.optim.AdamW: getattr(torch, "_fused_adamw_", None),
}
#: Options of a parameter group that the kernel does not support.
_UNUSUAL = ("amsgrad", "maximize", "capturable", "differentiable")


class FusedAdam:
    """Steps of an optimizer for which :meth:`knows` is true, with the same kernel and options.

    Parameters
    ----------
    optimizer : torch.optim.Adam or torch.optim.AdamW
        Its state is the same as after its own steps.
    """

    def __init__(self, optimizer):
        self._optimizer, self._kernel = optimizer, _KERNELS[type(optimizer)]
        self._groups = None
        self._one = torch.ones((), device="cpu")  # faster to add than a number

    @staticmethod
    def knows(optimizer):
        """Return whether the kernel alone can change the weights.

        Examples
        --------
        >>> weights = [torch.zeros(3, requires_grad=True)]
        >>> FusedAdam.knows(torch.optim.Adam(weights, fused=True))
        True
        >>> FusedAdam.knows(torch.optim.Adam(weights, fused=True, amsgrad=True))
        False
        """
        hooks = (
            optimizer._optimizer_step_pre_hooks,
            optimizer._optimizer_step_post_hooks,
            torch_optimizer._global_optimizer_pre_hooks,
            torch_optimizer._global_optimizer_post_hooks,
        )
        return (
            _KERNELS.get(type(optimizer)) is not None
            and not any(hooks)
            and all(
                group["fused"] and not any(group.get(name) for name in _UNUSUAL)
                for group in optimizer.param_groups
            )
            and all(
                p.device.type == "cpu" for group in optimizer.param_groups for p in group["params"]
            )
        )

    def step(self):
        """Update the weights like ``optimizer.step()``."""
        if self._groups is None:
            # The very first step creates the moments.
            self._optimizer.step()
            trained = (
                group
                for group in self._optimizer.param_groups
                if any(p.grad is not None for p in group["params"])
            )
            self._groups = [self._collected(group) for group in trained]
            return
        for group, parameters, values, moments, steps, counts in self._groups:
            gradients = [parameter.grad for parameter in parameters]
            steps.add_(self._one)
            self._kernel(
                *(values, gradients, *moments, [], counts),
                amsgrad=False,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
                grad_scale=None,
                found_inf=None,
            )

    def _collected(self, group):
        """Return a group, its parameters, and their values, moments and numbers of steps.

        The numbers of steps come as one tensor, which is fast to increase, and as a list.
        """
        parameters = [p for p in group["params"] if p.grad is not None]
        states = [self._optimizer.state[p] for p in parameters]
        # Of the values, which are the same memory, autograd keeps no record.
        values = [p.detach() for p in parameters]
        moments = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq")]
        steps = torch.stack([state["step"] for state in states])
        counts = list(steps.unbind())
        for state, count in zip(states, counts, strict=True):
            state["step"] = count
        return group, parameters, values, moments, steps, counts
