"""The state from which an interrupted run continues: one file, replaced as a whole."""

import json
from pathlib import Path

import numpy as np

from skldos.data.files import atomic_file
from skldos.exceptions import FileFormatError

STATE_FILE = "state.json"


def read_state(folder):
    """Return the last state in a folder, or None."""
    path = Path(folder) / STATE_FILE
    if not path.exists():
        return None
    try:
        state = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"not the state of a run: {error}", path) from error
    if not _is_state(state):
        raise FileFormatError(
            "not the state of a run, or damaged: an entry is missing or wrong", path
        )
    return state


def _is_state(state):
    """Return whether a JSON value has all entries of a state, with sensible values."""
    if not isinstance(state, dict) or not {"n_snapshots", "dynamics", "check"} <= state.keys():
        return False
    check, dynamics = state["check"], state["dynamics"]
    due = check is None or (
        isinstance(check, dict)
        and {"step", "gap"} <= check.keys()
        and all(check[key] is None or _is_count(check[key]) for key in ("step", "gap"))
    )
    return due and _is_count(state["n_snapshots"]) and (dynamics is None or _is_point(dynamics))


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_point(dynamics):
    """Return whether a JSON value has the entries of :func:`state_of`."""
    entries = {"step", "numbers", "positions", "momenta", "cell", "random"}
    if not isinstance(dynamics, dict) or not entries <= dynamics.keys():
        return False
    try:
        n = len(dynamics["numbers"])
        shapes = {"numbers": (n,), "positions": (n, 3), "momenta": (n, 3), "cell": (3, 3)}
        arrays = {name: np.array(dynamics[name], dtype=float) for name in shapes}
    except (TypeError, ValueError):
        return False
    right = all(arrays[name].shape == shape for name, shape in shapes.items())
    finite = all(np.isfinite(array).all() for array in arrays.values())
    return right and finite and _is_count(dynamics["step"])


def write_state(folder, content):
    """Replace the state in a folder."""
    with atomic_file(Path(folder) / STATE_FILE, "w") as file:
        json.dump(content, file)


def state_of(dynamics):
    """Return step, atoms and random state of the dynamics as JSON values."""
    atoms = dynamics.atoms
    return {
        "step": dynamics.nsteps,
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "momenta": atoms.get_momenta().tolist(),
        "cell": atoms.cell.array.tolist(),
        "random": _random_state(getattr(dynamics, "rng", None)),
    }


def restore(dynamics, state):
    """Restore the state of the dynamics."""
    atoms = dynamics.atoms
    if atoms.numbers.tolist() != state["numbers"]:
        raise ValueError(
            f"dynamics must have the atoms of the run in the folder, got {atoms.symbols}; choose "
            "another folder."
        )
    atoms.set_cell(np.array(state["cell"]))
    atoms.positions = np.array(state["positions"])
    atoms.set_momenta(np.array(state["momenta"]), apply_constraint=False)
    dynamics.nsteps = state["step"]
    rng, random = getattr(dynamics, "rng", None), state["random"]
    if isinstance(rng, np.random.Generator) and isinstance(random, dict):
        rng.bit_generator.state = random
    elif hasattr(rng, "set_state") and isinstance(random, list):  # or the module np.random
        rng.set_state(tuple(random))


def _random_state(rng):
    """Return the state of NumPy's old or new kind of random generator, or None."""
    if isinstance(rng, np.random.Generator):
        return rng.bit_generator.state
    if hasattr(rng, "get_state"):
        name, keys, *rest = rng.get_state()
        return [name, keys.tolist(), *rest]
    return None
