"""The files for LAMMPS hold the energies that the potential predicts."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import AtomSNAPTransformer, FreeEnergyRegressor, RowWise, Snapshot, SnapshotList
from skldos.io import write_snap


@pytest.fixture(scope="module")
def snapshots():
    found = []
    for seed in range(6):
        atoms = bulk("Cu", cubic=True, a=3.7)
        atoms.symbols[: 1 + seed % 3] = "Au"
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_potential_energy()
        found.append(Snapshot(atoms))
    return SnapshotList(found)


def read(files):
    """Return coefficients, radius and weight of every element, and the parameters."""
    coefficients, parameters = (
        [line.split() for line in file.read_text().splitlines() if not line.startswith("#")]
        for file in files
    )
    n_elements, n = map(int, coefficients[0])
    elements = {}
    for i in range(n_elements):
        (symbol, *numbers), *values = coefficients[1 + i * (n + 1) : 1 + (i + 1) * (n + 1)]
        elements[symbol] = np.array(values, dtype=float)[:, 0], [float(x) for x in numbers]
    return elements, {name: float(value) for name, value in parameters}


@pytest.mark.parametrize("n_steps", [0, 1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {"chem": True},
        {"weights": {"Cu": 1.0, "Au": 0.7}, "radii": {"Cu": 0.9, "Au": 1.1}},
        {"weights": {"Cu": 1.0, "Au": 0.7}, "chem": True},
        {"weights": {"Cu": 1.0, "Au": 0.7}, "rmin0": 0.1, "rfac0": 0.9, "switch": False},
    ],
    ids=["plain", "alloy", "chem", "other radial part"],
)
def test_files_give_the_energies_of_the_potential(snapshots, tmp_path, options, n_steps):
    snap = AtomSNAPTransformer(3.4, twojmax=2, n_jobs=1, **options)
    steps = [RowWise(StandardScaler()) for _ in range(n_steps)]
    model = make_pipeline(snap, *steps, FreeEnergyRegressor()).fit(snapshots)
    elements, parameters = read(write_snap(tmp_path / "it", model))
    energies = [
        sum(
            elements[symbol][0] @ [1.0, *row]
            for symbol, row in zip(s.atoms.symbols, block, strict=True)
        )
        for s, block in zip(snapshots, snap.transform(snapshots), strict=True)
    ]
    np.testing.assert_allclose(energies, model.predict(snapshots), rtol=1e-9)
    for symbol, (_, (radius, weight)) in elements.items():
        assert radius == 0.5 * options.get("radii", {}).get(symbol, 1.0)
        assert weight == options.get("weights", {}).get(symbol, 1.0)
    assert parameters == {
        **{"rcutfac": 3.4, "twojmax": 2, "rfac0": options.get("rfac0", 0.99363)},
        **{"rmin0": options.get("rmin0", 0.0), "switchflag": options.get("switch", True)},
        # As the features: all components, of no isolated atom, and linear.
        **{"bzeroflag": 0, "quadraticflag": 0, "bnormflag": 0, "wselfallflag": 0},
        "chemflag": options.get("chem", False),
    }


def test_coefficients_agree_where_components_are_equal(snapshots, tmp_path):
    snap = AtomSNAPTransformer(3.4, twojmax=0, weights={"Cu": 1.0, "Au": 0.7}, chem=True)
    model = make_pipeline(snap, FreeEnergyRegressor()).fit(snapshots)
    for coefficients, _ in read(write_snap(tmp_path / "it", model))[0].values():
        beta = coefficients[1:].reshape(2, 2, 2)
        for axes in ((1, 0, 2), (2, 1, 0), (0, 2, 1)):
            np.testing.assert_allclose(beta, beta.transpose(axes))
        assert np.ptp(beta) > 0


def test_other_pipelines_are_refused(snapshots, tmp_path):
    snap, regressor = AtomSNAPTransformer(3.4, twojmax=2, chem=True), FreeEnergyRegressor()
    for other in (regressor, make_pipeline(regressor), make_pipeline(snap, Ridge())):
        with pytest.raises(TypeError, match="potential must be a pipeline of AtomSNAP"):
            write_snap(tmp_path / "it", other)
    for half in ((snap, regressor), (clone(snap).fit(snapshots), regressor)):
        with pytest.raises(NotFittedError):
            write_snap(tmp_path / "it", make_pipeline(*half))
