"""Potentials written for LAMMPS: energies, forces and stress are those that LAMMPS finds with them.

`data/snap/*.snapcoeff` and `*.snapparam` were written by skldos; `data/snap/lammps.npz` has energy,
forces and stress of LAMMPS 2025-07-22 (`pair_style snap`) with these files for the systems of
`tests/descriptors/data/snap_derivatives.npz`, made by

    python benchmarks/peers/lammps_reference.py --potentials tests/io/data/snap --output lammps.npz
"""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skldos import (
    AtomSNAPTransformer,
    AtomSOAPTransformer,
    FreeEnergyRegressor,
    RowWise,
    SiteRegressor,
    Snapshot,
)
from skldos.io import write_snap
from skldos.io.lammps import write_snap_files

FOLDER = Path(__file__).parent / "data" / "snap"
SYSTEMS = Path(__file__).parents[1] / "descriptors" / "data" / "snap_derivatives.npz"
NAMES = ("alloy", "isolated", "chem", "chem of three")
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


def system(name):
    """Return atoms and parameters of the transformer."""
    with np.load(SYSTEMS) as data:
        symbols, positions, cell, settings = (
            data[f"{name}/{key}"] for key in ("symbols", "positions", "cell", "settings")
        )
    atoms = Atoms(symbols.tolist(), positions=positions, cell=cell, pbc=True)
    return atoms, json.loads(str(settings)) | {"n_jobs": 1}


def potential(name, *steps):
    """Return a pipeline fitted to made-up energies of displaced atoms, and the atoms."""
    atoms, options = system(name)
    rng, snapshots = np.random.default_rng(0), []
    for _ in range(3):
        moved = atoms.copy()
        moved.rattle(0.1, rng=rng)
        found = {"total_energy": rng.normal(), "forces": rng.normal(size=(len(atoms), 3))}
        snapshots.append(Snapshot(moved, reference=found))
    regressor = FreeEnergyRegressor(forces=False)
    return make_pipeline(AtomSNAPTransformer(**options), *steps, regressor).fit(snapshots), atoms


def read_coefficients(path):
    """Return the coefficients of every element, and its radius and weight."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    n_elements, n = map(int, lines[0].split())
    coefficients, elements = {}, {}
    for i in range(n_elements):
        head, *values = lines[1 + i * (n + 1) : 1 + (i + 1) * (n + 1)]
        symbol, radius, weight = head.split()
        coefficients[symbol] = np.array(values, dtype=float)
        elements[symbol] = float(radius), float(weight)
    return coefficients, elements


def made_up(model):
    """Give a fitted model coefficients of which forces are large, the same on all machines."""
    regressor = model[-1]
    k = np.arange(len(regressor.coef_))
    regressor.coef_ = np.round(0.02 * np.cos(k**1.5), 8)
    regressor.baseline_ = {z: -3.0 - i for i, z in enumerate(regressor.elements_)}
    return model


def write_all(folder):
    """Write the files of all systems."""
    for name in NAMES:
        write_snap(Path(folder, name.replace(" ", "_")), made_up(potential(name)[0]))


@pytest.mark.parametrize("name", NAMES)
def test_lammps_finds_the_same_energy_forces_and_stress(name, tmp_path):
    model, atoms = potential(name)
    model = made_up(model)
    kept = name.replace(" ", "_")
    for file in write_snap(tmp_path / kept, model):
        assert file.read_text() == (FOLDER / file.name).read_text()
    with np.load(FOLDER / "lammps.npz") as data:
        energy, forces, stress = (data[f"{kept}/{key}"] for key in ("energy", "forces", "stress"))
    blocks = model[:-1].transform([atoms])
    assert model.predict([atoms])[0] == pytest.approx(energy, rel=1e-11)
    scale = np.abs(forces).max()
    assert scale > 0.01
    np.testing.assert_allclose(model[-1].predict_forces(blocks)[0], forces, atol=1e-11 * scale)
    found = blocks.derivatives[0]()[1] @ model[-1].coef_ / atoms.cell.volume
    found = [found[pair] for pair in VOIGT]
    np.testing.assert_allclose(found, stress, rtol=0, atol=1e-9 * np.abs(stress).max())


@pytest.mark.parametrize("name", ["alloy", "chem"])
def test_row_wise_steps_are_folded_in(name, tmp_path):
    steps = RowWise(StandardScaler()), RowWise(PCA(5, whiten=True))
    model, atoms = potential(name, *steps)
    model[-1].baseline_ = {"Al": -3.0, "Mg": -5.0}
    coefficients, elements = read_coefficients(write_snap(tmp_path / "it", model)[0])
    assert elements == {"Al": (0.5, 1.0), "Mg": (0.4 if name == "alloy" else 0.425, 0.7)}
    assert coefficients["Al"][0] - coefficients["Mg"][0] == pytest.approx(2.0)
    rows = model[0].transform([atoms])[0]
    energy = sum(
        coefficients[z][0] + coefficients[z][1:] @ row
        for z, row in zip(atoms.symbols, rows, strict=True)
    )
    assert energy == pytest.approx(model.predict([atoms])[0], rel=1e-9)


def test_a_suffix_changes_nothing(tmp_path):
    model, _ = potential("isolated")
    files = write_snap(str(tmp_path / "Al.snapcoeff"), model)
    assert [file.name for file in files] == ["Al.snapcoeff", "Al.snapparam"]
    assert "pair_coeff * * Al.snapcoeff Al.snapparam Al\n" in files[0].read_text()


def test_what_cannot_be_written(tmp_path):
    model, atoms = potential("isolated")
    snap, regressor = model[0], model[-1]
    others = (
        regressor,
        make_pipeline(AtomSOAPTransformer(), regressor),
        make_pipeline(snap, StandardScaler(), regressor),
        make_pipeline(snap, SiteRegressor(Ridge())),
        make_pipeline(regressor),
    )
    for other in others:
        with pytest.raises(TypeError, match="potential must be a pipeline of AtomSNAPTransformer"):
            write_snap(tmp_path / "it", other)
    curved = RowWise(FunctionTransformer(np.cos)).fit(model[0].transform([atoms]))
    with pytest.raises(ValueError, match="FunctionTransformer is not"):
        write_snap(tmp_path / "it", make_pipeline(snap, curved, regressor))
    with pytest.raises(ValueError, match="not fitted"):
        write_snap(tmp_path / "it", clone(model))
    model.set_params(atomsnaptransformer__r_cut=3.0)
    with pytest.raises(ValueError, match="changed"):
        write_snap(tmp_path / "it", model)
    with pytest.raises(ValueError, match=r"coefficients\[.Al.\] must be finite"):
        write_snap_files(
            tmp_path / "it", {"Al": [np.nan]}, r_cut=1.0, twojmax=0, weights={}, radii={}
        )
    assert not list(tmp_path.iterdir())
