"""Types that a model file may contain."""

from importlib import import_module

#: Modules of skldos with further classes that can be parts of models. They do not include types
#: whose creation has side effects, such as file readers.
OWN_MODULES = (
    "skldos.data.energy_grid",
    "skldos.physics.pseudopotential",
    "skldos.scoring",
    "skldos.regressors.neural.target_scaling",
    "skldos.regressors.neural.mixtures",
)
#: Modules of torch whose classes may be parts of a network.
TORCH_MODULES = ("torch.nn.modules", "torch.optim")
#: Plain types that skops does not trust by default.
PLAIN_TYPES = ("collections.OrderedDict", "numpy.random.mtrand.RandomState", "builtins.slice")


def is_trusted(name):
    """Return whether a file may contain a type of skldos or torch: estimators, networks, parts.

    `name` is the full name of a type or function. skops itself trusts types of scikit-learn, NumPy
    and SciPy.

    Examples
    --------
    >>> is_trusted("skldos.regressors.neural.ldos.LDOSRegressor"), is_trusted("os.system")
    (True, False)
    >>> is_trusted("skldos.data.files.atomic_file")
    False
    """
    if name in PLAIN_TYPES:
        return True
    module, _, attribute = name.rpartition(".")
    if module.split(".")[0] not in ("skldos", "torch"):
        return False
    try:
        kind = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    # The class must have this name: an alias could refer to anything.
    if not isinstance(kind, type) or f"{kind.__module__}.{kind.__name__}" != name:
        return False
    return _is_part_of_torch(module, kind) if module.startswith("torch") else _is_own(module, kind)


def _is_part_of_torch(module, kind):
    from torch.nn import Module
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    in_torch = any(module == name or module.startswith(f"{name}.") for name in TORCH_MODULES)
    return in_torch and issubclass(kind, (Module, Optimizer, LRScheduler))


def _is_own(module, kind):
    from sklearn.base import BaseEstimator
    from torch.nn import Module

    if issubclass(kind, (BaseEstimator, Module)):
        return True
    return any(module == name or module.startswith(f"{name}.") for name in OWN_MODULES)
