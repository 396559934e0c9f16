"""Checks of the parameters that a net passes on to its parts."""

import inspect

#: Parameters of skorch, and their prefixes, that nets of this package do not use.
UNUSED_PARAMETERS = {
    *("iterator_train", "iterator_valid", "dataset", "predict_nonlinearity", "use_caching"),
    "torch_load_kwargs",
}


def check_unused(net):
    """Raise a ``ValueError`` for parameters of skorch that have no effect here.

    Batches are tensors already when a net gets them, and predictions have the units of the targets.
    """
    for name in net.get_params(deep=False):
        if name.partition("__")[0] in UNUSED_PARAMETERS:
            raise ValueError(
                f"{name} is a parameter of skorch that has no effect on {type(net).__name__}: "
                "batch_size, buffer_size and train_split set the batches."
            )


def check_part(net, part):
    """Raise a ``ValueError``, like scikit-learn, for parameters that a part of a net does not have.

    The part is "module", "criterion" or "optimizer". If it is an instance, or takes arguments of
    any name, it is left alone.
    """
    kind = getattr(net, part)
    if not isinstance(kind, type):
        return
    parameters = inspect.signature(kind).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    for name in net.get_params(deep=False):
        key = name.removeprefix(f"{part}__")
        # Nested names are parameter groups and nested modules, which skorch checks.
        if key != name and "__" not in key and key not in (*parameters, "param_groups"):
            raise ValueError(
                f"{part}__{key} must be a parameter of {kind.__name__}: {', '.join(parameters)}."
            )
