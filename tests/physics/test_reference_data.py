"""Numbers of other programs, for real DFT data next to the repository."""

import json
from pathlib import Path

import numpy as np
import pytest

from skldos.physics import band_energy, density, dos_from_ldos, entropy, fermi_level
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
