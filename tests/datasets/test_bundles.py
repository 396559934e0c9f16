"""The bundled snapshots for models of atoms obey the laws, and every estimator accepts them."""

import shutil

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    ADOSDecomposer,
    ADOSRegressor,
    AtomSNAPTransformer,
    BandEnergyScorer,
    DOSScorer,
    FreeEnergyRegressor,
    RowWise,
    SiteRegressor,
    SiteRidgeCV,
    SnapshotList,
    evaluate,
    physics,
)
from skldos.datasets import (
    bundles,
    load_aluminium,
    load_aluminium_magnesium,
    load_silicon,
    load_silicon_carbide,
)
from skldos.exceptions import FileFormatError, SnapshotError

LOADERS = {
    "aluminium": load_aluminium,
    "cells of 32 atoms": lambda: load_aluminium(n_atoms=32),
    "alloys": load_aluminium_magnesium,
    "silicon": load_silicon,
    "silicon carbide": load_silicon_carbide,
}


@pytest.fixture(scope="module")
def aluminium():
    return load_aluminium(n_atoms=32)


@pytest.fixture(scope="module")
def alloys():
    return load_aluminium_magnesium()


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_what_pw_calculated_is_consistent(load):
    for snapshot in load():
        known, n_atoms = snapshot.reference, len(snapshot.atoms)
        parts = ("one_electron", "hartree", "xc", "ewald", "minus_ts")
        assert sum(known[part] for part in parts) == pytest.approx(known["total_energy"], abs=1e-6)
        assert known["forces"].shape == (n_atoms, 3)
        np.testing.assert_allclose(known["forces"].sum(axis=0), 0, atol=1e-6)
        assert np.abs(known["forces"]).max() > 0.1
        if snapshot.density is not None:
            total = snapshot.density.sum(dtype=float) * snapshot.voxel_volume
            assert total == pytest.approx(snapshot.n_electrons, rel=1e-5)
        if "ados" in known:
            np.testing.assert_allclose(known["ados"].sum(axis=0), snapshot.dos())
            # Below the bands there is nothing but the error of the 16 bits.
            assert np.abs(known["ados"][:, 0]).max() < 1e-4


@pytest.mark.parametrize("name", ["aluminium", "alloys"])
def test_what_was_bundled_obeys_the_laws(name, request):
    snapshots = request.getfixturevalue(name)
    assert len({s.name for s in snapshots}) == len(snapshots)
    for snapshot in snapshots:
        known, n_atoms = snapshot.reference, len(snapshot.atoms)
        dos, energies = snapshot.dos(), snapshot.energies
        state = {"temperature": snapshot.temperature}
        mu = physics.fermi_level(dos, energies, n_electrons=snapshot.n_electrons, **state)
        assert abs(mu - known["fermi_energy"]) < 0.15
        band = physics.band_energy(dos, energies, fermi_level=mu, **state)
        # What the broadening takes, σ²/4 g(μ).
        assert -0.03 < (band - known["band_energy"]) / n_atoms < -0.005
        assert known["split"] in ("train", "test")
        assert snapshot.energy_grid.kernel == "gaussian"


def test_there_are_enough(aluminium, alloys):
    assert len(aluminium) >= 26
    assert {s.reference["kind"] for s in aluminium} == {"liquid", "solid"}
    assert {len(s.atoms) for s in alloys} == {4, 8, 16, 32}
    shares = {round(np.mean(s.atoms.numbers == 12), 3) for s in alloys}
    assert {0.0, 0.25, 0.5, 0.75, 1.0} < shares
    for n_atoms in (4, 8, 16, 32):
        chosen = load_aluminium_magnesium(n_atoms=n_atoms)
        assert {len(s.atoms) for s in chosen} == {n_atoms}
    assert {s.temperature for s in load_aluminium(n_atoms=32, temperature=500)} == {500.0}


def test_wrong_choices_are_named():
    with pytest.raises(ValueError, match="n_atoms must be one of 4, 32; got 8"):
        load_aluminium(n_atoms=8)
    with pytest.raises(ValueError, match="n_atoms must be one of"):
        load_aluminium_magnesium(n_atoms=5)


@pytest.mark.parametrize(
    ("load", "file"),
    [
        (load_aluminium, "Al4_298K_0.npz"),
        (load_silicon, "silicon.npz"),
        (load_silicon_carbide, "silicon_carbide.npz"),
    ],
)
def test_a_changed_file_is_refused(load, file, tmp_path, monkeypatch):
    shutil.copytree(bundles.files("skldos.datasets") / "data", tmp_path / "data")
    path = tmp_path / "data" / file
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    monkeypatch.setattr(bundles, "files", lambda package: tmp_path)
    with pytest.raises(FileFormatError, match=rf"expected the checksum .*{file}"):
        load()


# -------------------------------------------------------------------- without an LDOS


@pytest.fixture(scope="module")
def cells(alloys):
    return SnapshotList([s for s in alloys if len(s.atoms) == 4][:8])


def model_of(regressor):
    snap = AtomSNAPTransformer(r_cut=4.0, twojmax=2, weights={"Al": 1.0, "Mg": 0.6}, n_jobs=1)
    return make_pipeline(snap, RowWise(StandardScaler()), regressor)


@pytest.mark.parametrize(
    "regressor",
    [
        ADOSRegressor(SiteRegressor(Ridge(1e-2), dos_weight=10, band_weight=10)),
        ADOSRegressor(SiteRidgeCV()),
    ],
)
def test_models_of_atoms_and_scorers_need_no_ldos(cells, regressor):
    model = model_of(clone(regressor)).fit(cells[:6])
    table = evaluate(model, cells[6:])
    assert BandEnergyScorer()(model, cells[6:]) == pytest.approx(
        -table["band_energy_error"].abs().mean()
    )
    assert -50 < DOSScorer()(model, cells[6:]) < 0
    against_dft = BandEnergyScorer(reference="dft")(model, cells[6:])
    assert np.isfinite(against_dft)
    assert model.predict(cells[6:])[0].shape == (4, 101)
    assert np.isfinite(model.score(cells[6:]))


def test_free_energies_need_none_either(cells):
    model = model_of(FreeEnergyRegressor(forces=False)).fit(cells[:6])
    errors = model.predict(cells[6:]) - [s.reference["total_energy"] for s in cells[6:]]
    assert np.isfinite(errors).all()


def test_the_partition_must_be_that_of_the_data(cells, tmp_path):
    blocks = ADOSDecomposer(memory=tmp_path).fit_transform(cells)
    for block, snapshot in zip(blocks, cells, strict=True):
        np.testing.assert_array_equal(np.asarray(block), snapshot.reference["ados"])
    for options in ({"sigma": 0.9}, {"partition": "nearest"}):
        with pytest.raises(SnapshotError, match=r"ADOS used Gaussians of 1\.3 Å"):
            ADOSDecomposer(**options).fit(cells)
    bare = cells[0].replace(reference={"ados": np.ones((3, 101)), "ados_sigma": 1.3})
    with pytest.raises(ValueError, match="must have shape"):
        ADOSDecomposer().fit([bare])
    with pytest.raises(SnapshotError, match="lacks ldos"):
        ADOSDecomposer().fit([cells[0].replace(reference={})])
    wrong = cells[0].replace(reference={"dos": np.ones(3)})
    with pytest.raises(ValueError, match="must have shape"):
        wrong.dos()


def test_an_ldos_goes_before_what_was_stored(snapshots):
    stored = {"ados": np.zeros((4, 11)), "ados_sigma": 1.3, "dos": np.zeros(11)}
    snapshot = snapshots[0].replace(reference=stored)
    block = ADOSDecomposer(sigma=0.8).fit_transform([snapshot])[0]
    np.testing.assert_allclose(block.sum(axis=0), snapshot.dos(), rtol=1e-12)
    assert snapshot.dos().max() > 0.1


def test_they_are_stored_like_others(cells, tmp_path):
    cells[:2].save(tmp_path / "cells")
    again = SnapshotList.load(tmp_path / "cells")
    np.testing.assert_allclose(again[0].dos(), cells[0].dos())
    np.testing.assert_allclose(again[0].reference["ados"], cells[0].reference["ados"])
