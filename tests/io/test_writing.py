"""Writers leave a complete file or none, on a full disk and after other errors."""

from pathlib import Path

import numpy as np
import pytest

from skldos import EnergyGrid
from skldos.io import (
    read_ldos_cubes,
    read_olcao_potential,
    wavefunction_ldos,
    write_charge_density,
    write_olcao_potential,
)
from skldos.io.espresso.binary import read_charge_density
from tests.disks import NO_SPACE, largest_file, mounted_disk

DATA = Path(__file__).parent / "data"
SILICON = DATA / "wfc_silicon.save"
CUBES = sorted((DATA / "al2").glob("ldos.pp*.cube"))
RNG = np.random.default_rng(5)


def write_density(path, n=24):
    density = RNG.random((n, n, n))
    write_charge_density(path, density, 5 * np.eye(3), density_cutoff=300.0)


def write_potential(path, n=300):
    write_olcao_potential(path, RNG.normal(size=(20, n)), np.geomspace(0.1, 100, n))


def write_waves(path):
    energies = EnergyGrid.regular(-8.0, 0.5, 41, broadening=0.4, kernel="gaussian")
    wavefunction_ldos(SILICON, energies, out=path)


ENERGIES_OF_CUBES = EnergyGrid([-6.0, 1.5, 9.0], broadening=3.0, kernel="fermi-dirac")
WRITERS = {
    "charge density": ("charge-density.dat", write_density),
    "OLCAO": ("scfV.dat", write_potential),
    "cubes": ("ldos.npy", lambda path: read_ldos_cubes(CUBES, ENERGIES_OF_CUBES, out=path)),
    "wavefunctions": ("ldos.npy", write_waves),
}


@pytest.fixture
def small_disk(tmp_path):
    with mounted_disk(tmp_path / "disk", "64k") as disk:
        yield disk


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_what_was_there_is_kept_where_there_is_no_space(tmp_path, name, write):
    path = tmp_path / name
    path.write_text("what was there")
    with largest_file(10_000), pytest.raises(OSError, match=NO_SPACE):
        write(path)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert path.read_text() == "what was there"
    write(path)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_nothing_is_left_on_a_full_disk(small_disk, name, write):
    (small_disk / "other").write_bytes(bytes(60_000))
    with pytest.raises(OSError, match="No space left"):
        write(small_disk / name)
    assert [file.name for file in small_disk.iterdir()] == ["other"]


def test_a_damaged_cube_leaves_nothing(tmp_path):
    damaged = tmp_path / "ldos.pp003.cube"
    damaged.write_text(CUBES[2].read_text()[:-200])
    with pytest.raises(ValueError, match="complete, finite values"):
        read_ldos_cubes([*CUBES[:2], damaged], ENERGIES_OF_CUBES, out=tmp_path / "ldos.npy")
    assert list(tmp_path.iterdir()) == [damaged]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    for name, write, read in (
        ("a.dat", write_density, read_charge_density),
        ("b.dat", write_potential, read_olcao_potential),
    ):
        (tmp_path / name).symlink_to(tmp_path / "there" / name)
        write(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert read(tmp_path / "there" / name) is not None
