"""Limits, tolerances and conventions that documentation and messages promise, as numbers.

The tests of each folder check what happens on both sides of a limit, and call it by its name; here
is what the names stand for.
"""

from importlib import import_module

import pytest

PROMISED = {
    "active.on_the_fly": {"LAST_ANSWERS": 5, "ROW_OF_QUESTIONS": 10},
    "calculator.calculator": {"MAX_SPACING_RATIO": 2.0, "MAX_SPACING": 1.0},
    "calculator.surface": {"CHARGE_TOLERANCE": 1e-3},
    "data.ranges": {
        **{
            "LARGEST": 1e30,
            "MAX_ATOMIC_NUMBER": 118,
            "LARGEST_LENGTH": 1e6,
            "SMALLEST_HEIGHT": 0.01,
        },
        **{
            "SMALLEST_VOLUME": 0.01,
            "COINCIDENCE_DISTANCE": 0.01,
            "CLOSE_DISTANCE": 0.3,
            "CLOSE_FRACTION": 0.3,
        },
        **{"MAX_TEMPERATURE": 1e9, "LARGEST_ENERGY": 1e6, "MOST_ELECTRONS": 1e4, "MOST_CHARGE": 2},
        **{"LARGEST_REFERENCE": 1e15, "FINEST_GRID": 100_000},
    },
    "data.training": {"DENSITY_MARGIN": 0.01, "TEMPERATURE_MARGIN": 0.1, "SAME_TEMPERATURE": 50.0},
    "data.html": {"ROWS": 10},
    "data.files": {"ABANDONED_AFTER": 86_400},
    "datasets.recipe.recipe": {"POSITION_DECIMALS": 10},
    "datasets.synthetic": {"VALENCE": 3.0, "FILLED_TO": 7.0},
    "decomposition.partition": {"EQUALLY_NEAR": 1e-8},
    "descriptors.affine": {"TOLERANCE": 1e-8},
    "descriptors.atom_env.blocks": {"ORTHOGONALITY_TOLERANCE": 1e-6},
    "descriptors.atom_env.spheres": {"GAUSSIAN_AT_CUTOFF": 0.01},
    "geometry.cell": {"FLATTEST_CELL": 1e-10, "MAX_LENGTH": 1e5},
    "geometry.neighbors": {"SAME_SITE": 1e-20, "MAX_NEIGHBORS": 100_000},
    "geometry.sphere": {"MAX_SUBDIVISIONS": 6},
    "io.cube": {"SAME_POSITION": 1e-3, "LARGEST_VALUE": 1e150},
    "io.espresso.completeness": {
        "MAX_LOST_FRACTION": 1e-3,
        "ELECTRON_TOLERANCE": 0.01,
        "FEWEST_ENERGIES": 5,
    }
    | {"KERNEL_REACH": {"gaussian": 4.0, "fermi-dirac": 16.0}},
    "io.espresso.geometry": {"SAME_POSITION": 1e-5},
    "io.espresso.lines": {"LONGEST_LINE": 5000},
    "io.espresso.output": {"ENERGY_ERROR": 5e-9, "ELECTRONS_ERROR": 5e-3},
    "io.limits": {
        **{
            "LARGEST_CUTOFF": 1e5,
            "SMALLEST_CUTOFF": 0.1,
            "MAX_OVERSAMPLING": 16,
            "OCCUPATION_MARGIN": 1.0,
            "LARGEST_SYMMETRY": 100,
        },
        **{"MISSING_ELECTRONS": 0.01, "ASYMMETRIC_STRESS": 1e-4, "MAX_COMPRESSION": 1100},
    },
    "io.mala_archive": {"LARGEST_MEMBER": 1_073_741_824},
    "io.olcao": {"LARGEST": 1e15, "N_COLUMNS": 5},
    "io.upf": {"MAX_VALENCE": 118, "LARGEST": 1e15, "LARGEST_RADIUS": 1e6},
    "networks.csnn": {"BASE_CHANNELS": 16},
    "persistence.header": {"FORMAT_VERSION": 1},
    "physics.hot_electrons": {"TAIL_IN_KT": 10.0},
    "physics.sharpening": {"SPACING_TOLERANCE": 1e-6},
    "physics.terms.checks": {"MAX_DENSITY": 1e8},
    "physics.terms.ewald": {"MIN_DISTANCE": 0.01},
    "physics.terms.slab": {"TILT_TOLERANCE": 1e-6},
    "physics.total_energy": {"ELECTRON_TOLERANCE": 0.01},
    "physics.terms.xc.energy": {"SMALLEST_DENSITY": 1e-10, "SMALLEST_CORRECTED_DENSITY": 1e-6},
    "physics.terms.xc.pbe": {"KAPPA": 0.804, "BETA": 0.06672455060314922, "BETA_SOL": 0.046},
    "tables": {"TEMPERATURE_TOLERANCE": 1e-3},
    "regressors.free_energy._atomic_data": {"SAME_COMPOSITION": 1e-6},
    "regressors.neural.base": {"AUTO_DOS_WEIGHT": 100.0},
    "regressors.free_energy._units": {"LARGEST_FACTOR": 3.0, "SMALLEST_CORRELATION": 0.9},
    "regressors.feature_range": {"MARGIN": 3.0, "FEW_ROWS": 1e-3, "MIN_ROWS": 100},
    "regressors.free_energy.regressor": {"OTHER_FORCES": 0.01},
    "regressors.neural.output_layer": {"RIDGE": 1e-6},
    "regressors.neural.target_scaling": {"SMALLEST_VARIANCE": 1e-10},
    "prediction.completeness": {"ELECTRON_TOLERANCE": 1e-3},
    "scoring.forces": {"FORCE_UNITS": {"eV/Å": 1.0, "meV/Å": 1000.0}}
    | {"STRESS_UNITS": {"eV/Å³": 1.0, "GPa": 160.2176634}},
    "data.free_energies": {"SAME_TEMPERATURE": 10.0},
    "prediction.observables": {"DEFAULT_ORDER": 2},
    "search.effects": {"MAX_LEVELS": 6, "N_BINS": 3},
    "search.scores.naswot": {"CONVENTIONS": {"fiedler": 1.0, "mellor": -1.0}},
    "search.scores.readout": {"N_PARTS": 5},
    "search.study._storage": {"MISSED_HEARTBEATS": 4},
    "uncertainty.calibration": {"LEVELS": (0.68, 0.95)},
    "units": {"BOLTZMANN": 8.617333262145179e-5, "HARTREE": 27.211386245988}
    | {"BOHR": 0.529177210903, "DALTON": 1.6605390666},
}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param(module, name, id=f"{module}-{name}")
        for module, names in PROMISED.items()
        for name in names
    ],
)
def test_a_limit_is_what_it_is_said_to_be(module, name):
    found = getattr(import_module(f"skldos.{module}"), name)
    expected = PROMISED[module][name]
    if isinstance(expected, dict):
        assert found == pytest.approx(expected, rel=1e-12)
    else:
        assert found == pytest.approx(expected, rel=1e-12, abs=0)
