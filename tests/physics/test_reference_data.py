"""Numbers of other programs, for real DFT data next to the repository."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from skldos.physics import band_energy, density, dos_from_ldos, entropy, fermi_level, n_electrons
from skldos.units import BOLTZMANN

DATA = Path(__file__).parents[2].parent / "shared" / "data"

# Fermi level, band energy and -TS (eV) by MALA 1.4.0 (Target.get_self_consistent_fermi_energy,
# get_band_energy, get_entropy_contribution; analytical integration) of the LDOS of its own test
# data, cast to float64.
BE2 = [
    (10.240735437300, 12.447077138958, -6.551579581e-4),
    (10.149207154844, 12.279480141240, -6.617246962e-4),
]
# MALA takes ase.units.kB, CODATA 2014; only the product kT enters.
BOLTZMANN_2014 = 8.6173303e-5


@pytest.mark.parametrize("snapshot", [0, 1])
def test_beryllium_matches_mala(snapshot):
    path = DATA / "be2" / f"Be_snapshot{snapshot}.out.npy"
    if not path.exists():
        pytest.skip(f"needs MALA's test data, {path.name}")
    info = json.loads(path.with_suffix("").with_suffix(".info.json").read_text())
    voxel_volume = abs(np.linalg.det(info["voxel"]["array"]))
    temperature = info["temperature"] * BOLTZMANN_2014 / BOLTZMANN
    energies = -5 + 2.5 * np.arange(11)
    ldos = np.load(path, mmap_mode="r")

    dos = dos_from_ldos(ldos, voxel_volume)
    mu = fermi_level(dos, energies, temperature=temperature, n_electrons=4.0)
    at = {"temperature": temperature, "fermi_level": mu}
    expected = BE2[snapshot]
    assert mu == pytest.approx(expected[0], rel=0, abs=1e-11)
    assert band_energy(dos, energies, **at) == pytest.approx(expected[1], rel=0, abs=1e-11)
    assert entropy(dos, energies, **at) == pytest.approx(expected[2], rel=1e-8)
    assert density(ldos, energies, **at).sum() * voxel_volume == pytest.approx(4.0, rel=1e-13)


def test_beryllium_at_the_fermi_level_of_the_dft_calculation():
    path = DATA / "be2" / "Be_snapshot0.dos.npy"
    if not path.exists():
        pytest.skip(f"needs MALA's test data, {path.name}")
    info = json.loads(path.with_suffix("").with_suffix(".info.json").read_text())
    energies = -5 + 2.5 * np.arange(11)
    dos = np.load(path).astype(np.float64).ravel()
    temperature = info["temperature"] * BOLTZMANN_2014 / BOLTZMANN
    # MALA 1.4.0 on the DOS that pw.x and dos.x gave.
    mu = fermi_level(dos, energies, temperature=temperature, n_electrons=4.0)
    assert mu == pytest.approx(8.10928953846, rel=0, abs=1e-10)
    at = {"temperature": temperature, "fermi_level": mu}
    assert band_energy(dos, energies, **at) == pytest.approx(10.75350911022, rel=0, abs=1e-10)
    at["fermi_level"] = info["fermi_energy_dft"]
    assert band_energy(dos, energies, **at) == pytest.approx(12.94530856849, rel=0, abs=1e-10)


@pytest.mark.parametrize("name", ["Al4_298K_0", "Al4_298K_3", "Al4_933K_2", "Al4_933K_3"])
def test_aluminium_against_pw(name):
    with (files("skldos.datasets") / "data" / f"{name}.npz").open("rb") as file:
        data = dict(np.load(file))
    ldos = data["ldos"].astype(np.float32) / np.float32(data["ldos_scale"])
    n_atoms, electrons = len(data["numbers"]), float(data["n_electrons"])
    voxel_volume = abs(np.linalg.det(data["cell"])) / ldos[..., 0].size
    energies, temperature = data["energies"], float(data["temperature"])

    dos = dos_from_ldos(ldos, voxel_volume)
    mu = fermi_level(dos, energies, temperature=temperature, n_electrons=electrons)
    at = {"temperature": temperature, "fermi_level": mu}
    assert n_electrons(dos, energies, **at) == pytest.approx(electrons, rel=1e-14)

    # The broadening, 0.4 eV, lowers the band energy and blurs the occupation at the Fermi level;
    # measured on all 14 snapshots: -15.6 to -19.5 meV/atom and up to 79 meV.
    bias = 1e3 * (band_energy(dos, energies, **at) - data["band_energy"]) / n_atoms
    assert -20 < bias < -15
    assert abs(mu - data["fermi_energy"]) < 0.1
    # -TS follows D(mu), which the broadening changes by up to a quarter.
    assert 0.7 < entropy(dos, energies, **at) / data["minus_ts"] < 1.1

    # The density differs by it from the one of the occupied states: at most 0.53 % of the mean
    # density at a point, 0.16 % root mean square (all 14 snapshots).
    n = density(ldos, energies, **at)
    assert n.sum() * voxel_volume == pytest.approx(electrons, rel=0, abs=1e-10)
    error = (n - data["density"]) / data["density"].mean()
    assert 1e-4 < np.abs(error).max() < 6e-3
    assert np.sqrt((error**2).mean()) < 2e-3
