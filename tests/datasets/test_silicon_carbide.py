"""The bundled silicon carbide obeys the laws, has a gap, and is what models of atoms need."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    ADOSDecomposer,
    ADOSRegressor,
    AtomSNAPTransformer,
    FreeEnergyRegressor,
    RowWise,
    SiteRegressor,
    evaluate,
    physics,
)
from skldos.datasets import load_aluminium_magnesium, load_silicon_carbide
from skldos.prediction import predict_stress


@pytest.fixture(scope="module")
def carbide():
    return load_silicon_carbide()


def states_at_fermi_level(snapshot):
    """Return the true density of states at the Fermi level relative to its largest value."""
    dos = snapshot.dos()
    return np.interp(snapshot.reference["fermi_energy"], snapshot.energies, dos) / dos.max()


def test_every_fifth_is_for_testing(carbide):
    assert len(carbide) == len({s.name for s in carbide}) == 64
    for i, snapshot in enumerate(carbide):
        split = "test" if i % 5 == 4 else "train"
        assert snapshot.name == f"SiC8_{split}_{i:02d}"
        assert snapshot.reference["split"] == split
    for split, number in (("train", 52), ("test", 12)):
        chosen = load_silicon_carbide(split=split)
        assert [s.name for s in chosen] == [s.name for s in carbide if split in s.name]
        assert len(chosen) == number
    with pytest.raises(ValueError, match="split must be one of"):
        load_silicon_carbide(split="all")


def test_cells_are_displaced_and_strained_crystals(carbide):
    volumes = []
    for snapshot in carbide:
        atoms = snapshot.atoms
        assert str(atoms.symbols) == "SiCSiCSiCSiC"
        # Every atom has four neighbours of the other element, at 1.89 Å in the perfect crystal.
        distances = atoms.get_all_distances(mic=True)
        others = distances[atoms.numbers == 14][:, atoms.numbers == 6]
        assert others.min() > 1.4
        assert others.max() < 2.5
        volumes.append(atoms.cell.volume / 8)
    assert np.ptp(volumes) > 1


def test_densities_of_states_hold_electrons_and_energies(carbide):
    dos, energies = np.stack([s.dos() for s in carbide]), carbide[0].energies
    known = {
        key: np.array([s.reference[key] for s in carbide])
        for key in ("fermi_energy", "band_energy", "minus_ts")
    }
    state = {"temperature": 1000.0}
    held = physics.n_electrons(dos, energies, fermi_level=known["fermi_energy"], **state)
    # The broadening fills a narrow gap from both sides.
    np.testing.assert_allclose(held, 32, atol=0.25)
    state["fermi_level"] = physics.fermi_level(dos, energies, n_electrons=32.0, **state)
    np.testing.assert_allclose(state["fermi_level"], known["fermi_energy"], atol=0.2)
    band = physics.band_energy(dos, energies, **state)
    np.testing.assert_allclose(band / 8, known["band_energy"] / 8, atol=5e-3)
    # It takes about σ²/4 g(μ) from the free energy of the electrons, which is little in a gap.
    free = band + physics.entropy(dos, energies, **state) - known["band_energy"] - known["minus_ts"]
    levels = zip(state["fermi_level"], dos, strict=True)
    taken = [0.4**2 / 4 * np.interp(mu, energies, each) for mu, each in levels]
    assert free.max() < 0
    np.testing.assert_allclose(free / 8, -np.array(taken) / 8, atol=1e-3)


def test_there_is_a_gap_at_the_fermi_level(carbide):
    states = [states_at_fermi_level(s) for s in carbide]
    assert max(states) < 0.3
    assert np.median(states) < 0.05
    metals = load_aluminium_magnesium(n_atoms=8)
    assert min(states_at_fermi_level(s) for s in metals) > 0.45


def test_what_is_known_of_the_calculation(carbide):
    for snapshot in carbide:
        known = snapshot.reference
        assert (snapshot.temperature, snapshot.n_electrons) == (1000.0, 32.0)
        assert (snapshot.energy_grid.kernel, snapshot.energy_grid.broadening) == ("gaussian", 0.4)
        np.testing.assert_allclose(snapshot.energies, np.linspace(-9, 16, 126))
        assert (known["functional"], known["ecutwfc"], known["kind"]) == (
            "lda-pz",
            50.0,
            "compound",
        )
        assert known["pseudopotentials"] == {"C": "C.UPF", "Si": "Si.pz-vbc.UPF"}
        assert known["stress"].shape == (6,)
    (block,) = ADOSDecomposer(sigma=1.3).fit_transform(carbide[:1])
    np.testing.assert_array_equal(block, carbide[0].reference["ados"])


def test_stress_is_the_slope_of_the_energy(carbide):
    """Pressures grow by the bulk modulus of SiC as volumes shrink."""
    volumes = np.array([s.atoms.cell.volume / 8 for s in carbide])
    pressures = np.array([-s.reference["stress"][:3].mean() for s in carbide])
    slope, _ = np.polyfit(np.log(volumes), pressures, 1)
    assert -slope * 160.2 == pytest.approx(225, rel=0.15)  # GPa; 225 in experiment


def test_models_of_atoms_need_no_grid(carbide):
    snap = AtomSNAPTransformer(r_cut=4.0, twojmax=2, weights={"Si": 1.0, "C": 0.3}, n_jobs=1)
    train, test = carbide[:4], carbide[4:6]
    spectra = ADOSRegressor(SiteRegressor(Ridge(1e-2), dos_weight=10), align="band")
    model = make_pipeline(snap, RowWise(StandardScaler()), spectra).fit(train)
    assert np.isfinite(evaluate(model, test)["band_energy_error"]).all()
    potential = make_pipeline(snap, RowWise(StandardScaler()), FreeEnergyRegressor()).fit(train)
    assert [stress.shape for stress in predict_stress(potential, test)] == [(3, 3)] * 2
