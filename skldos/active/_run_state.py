"""The state from which an interrupted run continues: one file, replaced as a whole."""

import json
from pathlib import Path

import numpy as np

from skldos.data.files import atomic_file
from skldos.exceptions import FileFormatError

STATE = "state.json"


def read_state(folder):
    """Return the last state in a folder, or None."""
    path = Path(folder) / STATE
    if not path.exists():
        return None
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"not the state of a run: {error}", path) from error
    if not isinstance(state, dict):
        raise FileFormatError(f"not the state of a run, but {type(state).__name__}", path)
    return state


def write_state(folder, content):
    """Replace the state in a folder."""
    with atomic_file(Path(folder) / STATE, "w") as file:
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
        rng.set_state((random[0], np.array(random[1], dtype=np.uint32), *random[2:]))


def _random_state(rng):
    """Return the state of NumPy's old or new kind of random generator, or None."""
    if isinstance(rng, np.random.Generator):
        return rng.bit_generator.state
    if hasattr(rng, "get_state"):
        name, keys, *rest = rng.get_state()
        return [name, keys.tolist(), *rest]
    return None
