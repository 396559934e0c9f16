"""Invalid numbers in every argument of every function: errors, never results."""

import numpy as np
import pytest
import torch
from ase import Atoms

from skldos import physics
from skldos.exceptions import FermiLevelError
from skldos.physics import Pseudopotential
from skldos.physics.terms.checks import MAX_DENSITY

E = np.linspace(-6, 10, 30)
DOS = np.sqrt(np.clip(E + 5, 0, None))
LDOS = np.ones((4, 4, 4, 30)) * DOS / 30
CELL, N = 4 * np.eye(3), np.full((4, 4, 4), 0.1)
STATE = {"energies": E, "temperature": 300.0, "fermi_level": 2.0}
R = np.linspace(0, 4, 401)
AL = Pseudopotential(
    "Al", 3, functional="pbe", radii=R, radial_weights=np.full(401, 0.01),
    core_density=np.exp(-(R**2)), atomic_density=np.exp(-(R**2)),
)  # fmt: skip
IONS = {
    "positions": np.zeros((1, 3)), "cell": CELL, "grid_shape": (4, 4, 4), "symbols": ["Al"],
    "pseudopotentials": {"Al": AL}, "density_cutoff": 50.0,
}  # fmt: skip
WHOLE = {
    "ldos": LDOS, "energies": E, "atoms": Atoms("Al", cell=CELL, pbc=True), "temperature": 300.0,
    "n_electrons": 3.0, "pseudopotentials": {"Al": AL}, "density_cutoff": 50.0,
}  # fmt: skip
FUNCTIONS = {
    "occupation": STATE,
    "entropy_density": STATE,
    "broadening": {"energies": E, "width": 0.3},
    "integration_weights": STATE,
    "dos_from_ldos": {"ldos": LDOS, "voxel_volume": 1.0},
    "sharpening_matrix": {"energies": E, "broadening": 0.5},
    "fermi_level": {"dos": DOS, "energies": E, "temperature": 300.0, "n_electrons": 3.0},
    "n_electrons": {"dos": DOS, **STATE},
    "band_energy": {"dos": DOS, **STATE},
    "electronic_free_energy": {"dos": DOS, "energies": E, "temperature": 300.0, "n_electrons": 3.0},
    "electronic_heat_capacity": {
        "dos": DOS, "energies": E, "temperature": 300.0, "n_electrons": 3.0,
    },
    "ldos_at": {"ldos": LDOS, "energies": E, "energy": 0.7},
    "integrated_ldos": {"ldos": LDOS, "energies": E, "low": -1.0, "high": 2.0},
    "entropy": {"dos": DOS, **STATE},
    "electron_deficit": {"dos": DOS, "n_electrons": 3.0, "width": 0.1, **STATE},
    "density": {"ldos": LDOS, **STATE},
    "low_pass": {"density": N, "cell": CELL, "density_cutoff": 50.0},
    "hartree": {"density": N, "cell": CELL, "density_cutoff": 50.0},
    "exchange_correlation": {"density": N, "cell": CELL, "functional": "pbe", "core_density": N},
    "effective_potential": {"density": N, "cell": CELL, "functional": "pbe", "core_density": N},
    "ewald": {"positions": np.zeros((1, 3)), "cell": CELL, "charges": [3.0]},
    "core_charge": IONS,
    "atomic_density": IONS,
    "total_energy": WHOLE,
    "total_energy_response": WHOLE,
    "potential_change": {
        "density": N, "atoms": WHOLE["atoms"], "pseudopotentials": {"Al": AL},
        "density_cutoff": 50.0,
    },
}  # fmt: skip


def numbers(result):
    """All numbers of a result of any type."""
    if isinstance(result, (tuple, list)):
        return [n for part in result for n in numbers(part)]
    if hasattr(result, "band"):
        return numbers([*vars(result).values()])
    return list(np.ravel(result))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_that_mean_nothing_are_never_silent(name):
    function, arguments = getattr(physics, name), FUNCTIONS[name]
    assert np.isfinite(numbers(function(**arguments))).all()
    numeric = {
        key: np.array(value)
        for key, value in arguments.items()
        if not isinstance(value, (str, tuple, dict, Atoms)) and key != "symbols"
    }
    assert len(numeric) >= 2
    for key, value in numeric.items():
        for bad in (np.nan, np.inf, -np.inf, 1e300, -1e300):
            spoilt = value.astype(float)
            spoilt.flat[-1] = bad
            try:
                result = function(**arguments | {key: spoilt if spoilt.ndim else float(spoilt)})
            except (ValueError, FermiLevelError):
                continue
            assert np.isfinite(bad), f"{key}={bad} went through"
            assert np.isfinite(numbers(result)).all(), f"{key}={bad} gave no number"


def test_functions_of_the_package_are_all_here():
    # The others are classes, and a function of one tensor.
    rest = {"Pseudopotential", "TotalEnergy", "Response", "polylog"}
    assert set(physics.__all__) - rest == set(FUNCTIONS)


@pytest.mark.parametrize("sign", [1, -1])
def test_densities_that_no_matter_has_are_refused(sign):
    for n in (N, torch.from_numpy(N)):
        physics.hartree(sign * n * MAX_DENSITY / 0.3, CELL)
        with pytest.raises(ValueError, match=r"density must be at most 1e\+08 1/Å\^3, got 3e\+08"):
            physics.hartree(sign * n * MAX_DENSITY / 0.1 * 3, CELL)


def test_a_broadening_wider_than_the_energies_is_refused():
    physics.sharpening_matrix(E, broadening=16 / 3)
    with pytest.raises(ValueError, match="broadening must be > 0 and <= 16"):
        physics.sharpening_matrix(E, broadening=3 * 16.0)
