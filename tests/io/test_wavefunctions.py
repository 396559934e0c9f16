"""LDOS and densities from plane waves: sum rules, symmetry, and pp.x.

`wfc_silicon.save` is what pw.x 6.7 left of diamond silicon at 6 Ry with 48 symmetries (half of them
with a fractional translation) and 3 of 8 k points; `wfc_silicon_pp.npz` is its LDOS as pp.x 6.7
wrote it with ten digits. `wfc_gamma.save` is a skewed cell of aluminium at the Γ point, for which
pw.x stores half of the plane waves.
"""

import math
import shutil
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from skldos import ArrayFile, EnergyGrid
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.geometry import voxel_volume
from skldos.io.espresso import wavefunctions
from skldos.io.espresso.binary import WavefunctionFile, read_charge_density
from skldos.io.espresso.wavefunctions import charge_density, wavefunction_density, wavefunction_ldos
from skldos.io.espresso.xml import read_xml
from skldos.physics.smearing import broadening
from skldos.units import BOHR, RYDBERG
from tests.espresso import SMEARING, execute, needs_pw, run_pw

DATA = Path(__file__).parent / "data"
SILICON, GAMMA = DATA / "wfc_silicon.save", DATA / "wfc_gamma.save"
AL2 = DATA / "al2" / "al2.save"
XML = "data-file-schema.xml"
ENERGIES = EnergyGrid.regular(-8.0, 0.5, 41, broadening=0.4, kernel="gaussian")


@pytest.fixture(params=[SILICON, GAMMA], ids=["symmetry", "gamma"])
def save(request):
    return request.param


@pytest.fixture
def copied(tmp_path):
    """A save directory that may be damaged."""
    return Path(shutil.copytree(SILICON, tmp_path / "silicon.save"))


# Laws -----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:the energies end:UserWarning")
@pytest.mark.parametrize("kernel", ["gaussian", "fermi-dirac"])
def test_the_ldos_sums_up_to_the_density_of_states(save, kernel):
    run = read_xml(save / XML)
    energies = EnergyGrid.regular(-9.0, 0.5, 20, broadening=0.2, kernel=kernel)
    ldos = wavefunction_ldos(save, energies)
    assert (ldos.shape, ldos.dtype) == ((*run.grid_shape, 20), np.float32)
    total = ldos.sum(axis=(0, 1, 2), dtype=float) * voxel_volume(run.atoms.cell, run.grid_shape)
    # D(E) = Σ_kn w_k δ(E - ε_kn), for every state is normalised
    levels = run.eigenvalues[..., None]
    peaks = broadening(energies.values - levels, width=0.2, kernel=kernel)
    dos = np.einsum("k, kne -> e", run.weights, peaks)
    assert dos.max() > 1
    # The LDOS is rounded to float32, 6e-8.
    np.testing.assert_allclose(total, dos, rtol=1e-7, atol=1e-7 * dos.max())


@pytest.mark.filterwarnings("ignore:the highest of the")
def test_windows_are_calculated_one_by_one():
    levels = np.sort(read_xml(SILICON / XML).eigenvalues.ravel())
    at = np.argmax(np.diff(levels))
    low, high = levels[at], levels[at + 1]
    width = (high - low) / 20
    windows = [
        EnergyGrid.regular(start, width / 2, n, broadening=broad, kernel="gaussian")
        for start, n, broad in ((low - 20 * width, 50, width), (high - 3 * width, 30, width / 1.5))
    ]
    grid = EnergyGrid.joined(*windows)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*lie below them")
        ldos = wavefunction_ldos(SILICON, grid)
        for window, columns in zip(windows, grid.columns, strict=True):
            alone = wavefunction_ldos(SILICON, window)
            assert alone.max() > 0.01
            np.testing.assert_allclose(ldos[..., columns], alone, atol=1e-6 * alone.max())
    assert not ldos[..., 50:52].any()
    crossed = EnergyGrid.joined(
        EnergyGrid.regular(-30.0, 0.5, 40, broadening=0.5, kernel="gaussian"),
        EnergyGrid.regular(levels[-1], 0.5, 4, broadening=0.5, kernel="gaussian"),
    )
    with pytest.warns(UserWarning, match="are in levels between the windows"):
        wavefunction_ldos(SILICON, crossed)


def test_the_occupied_states_are_the_density_of_pw(save):
    run = read_xml(save / XML)
    density = wavefunction_density(save)
    electrons = density.sum() * voxel_volume(run.atoms.cell, run.grid_shape)
    assert electrons == pytest.approx(run.n_electrons, rel=1e-10)
    assert np.ptp(density) > 0.1
    # Both come from the last iteration: the same sum, made by pw.x and by us.
    np.testing.assert_allclose(density, charge_density(save), rtol=0, atol=1e-13)


def test_the_ldos_has_the_symmetry_of_the_crystal():
    # Diamond: the inversion centre lies between the atoms, at 1/8 along each axis. On the grid of
    # 12 points, i -> 3 - i (mod 12).
    ldos = wavefunction_ldos(SILICON, ENERGIES)
    inverted = ldos[np.ix_(*3 * [(3 - np.arange(12)) % 12])]
    assert np.ptp(ldos) > 0.01
    np.testing.assert_allclose(inverted, ldos, rtol=1e-6)
    # and the mirror that exchanges two lattice vectors
    np.testing.assert_allclose(ldos.transpose(1, 0, 2, 3), ldos, rtol=1e-6)
    # but not under inversion at an atom
    assert np.abs(ldos[np.ix_(*3 * [-np.arange(12)])] - ldos).max() > 0.01


def test_chunks_of_energies_and_batches_of_bands_change_nothing(save, monkeypatch):
    expected = wavefunction_ldos(save, ENERGIES)
    n_points = math.prod(expected.shape[:3])
    monkeypatch.setattr(wavefunctions, "SUM_BYTES", 7 * 8 * n_points)  # 7 energies
    monkeypatch.setattr(wavefunctions, "BATCH_BYTES", 3 * 16 * n_points)  # 3 bands
    np.testing.assert_allclose(wavefunction_ldos(save, ENERGIES), expected, rtol=1e-6)


def test_two_threads_change_nothing(save):
    expected = wavefunction_ldos(save, ENERGIES)
    torch.set_num_threads(2)
    try:
        np.testing.assert_allclose(wavefunction_ldos(save, ENERGIES), expected, rtol=1e-6)
    finally:
        torch.set_num_threads(1)


# pp.x and pw.x --------------------------------------------------------------------------------


def test_saved_ldos_of_pp():
    with np.load(DATA / "wfc_silicon_pp.npz") as saved:
        energies = EnergyGrid(saved["energies"], broadening=0.5, kernel="fermi-dirac")
        expected = saved["ldos"] / (RYDBERG * BOHR**3)
    assert expected.max() > 0.05
    # Rounded to float32 here and to ten digits there.
    np.testing.assert_allclose(wavefunction_ldos(SILICON, energies), expected, rtol=2e-7)


CELL = [[2.86, 0, 0], [-1.43, 1.43 * math.sqrt(3), 0], [0, 0, 4.67]]
POSITIONS = "\n".join(["crystal", f"Al {1 / 3} {2 / 3} 0.25", f"Al {2 / 3} {1 / 3} 0.75"])


def hexagonal(folder, k_points="automatic\n3 3 2 0 0 1", system=""):
    """Calculate hexagonal aluminium and return the save directory."""
    well, printed = run_pw(
        folder,
        CELL,
        POSITIONS,
        k_points,
        system=f"{SMEARING}, nbnd=16, nr1=9, nr2=9, nr3=16, {system}",
        electrons="conv_thr=1e-13, diago_full_acc=.true.",
    )
    assert well, printed[-2000:]
    return folder / "test.save"


@needs_pw
def test_symmetry_gives_what_all_k_points_give(tmp_path):
    reduced = hexagonal(tmp_path / "reduced")
    full = hexagonal(tmp_path / "full", system="nosym=.true., noinv=.true.")
    assert len(read_xml(reduced / XML).rotations) == 24
    assert len(read_xml(full / XML).weights) == 18 > len(read_xml(reduced / XML).weights)
    expected = wavefunction_ldos(full, ENERGIES)
    # The iterations of pw.x end at slightly different densities.
    np.testing.assert_allclose(
        wavefunction_ldos(reduced, ENERGIES), expected, rtol=0, atol=1e-6 * expected.max()
    )


@needs_pw
def test_half_of_the_plane_waves_gives_what_all_of_them_give(tmp_path):
    half = hexagonal(tmp_path / "half", k_points="gamma")
    whole = hexagonal(tmp_path / "whole", k_points="automatic\n1 1 1 0 0 0")
    assert read_xml(half / XML).gamma_only
    assert not read_xml(whole / XML).gamma_only
    expected = wavefunction_ldos(whole, ENERGIES)
    np.testing.assert_allclose(
        wavefunction_ldos(half, ENERGIES), expected, rtol=0, atol=1e-6 * expected.max()
    )


@needs_pw
@pytest.mark.parametrize("k_points", ["gamma", "automatic\n1 1 1 0 0 0", "automatic\n2 2 2 0 0 0"])
def test_ldos_of_pp(tmp_path, k_points):
    save = hexagonal(tmp_path / "run", k_points=k_points)
    values = (-2.0, 4.0, 9.0)
    energies = EnergyGrid(values, broadening=0.5, kernel="fermi-dirac")
    ldos = wavefunction_ldos(save, energies)
    for i, energy in enumerate(values):
        text = (
            f"&inputpp\n prefix='test', outdir='.', filplot='ldos', plot_num=3, emin={energy}, "
            f"emax={energy}, delta_e=1.0, degauss_ldos=0.5\n/\n"
        )
        assert execute("pp.x", text, save.parent)[0] == 0
        # Five numbers a line at the end, the first axis fastest, in 1/(Ry bohr³).
        shape = ldos.shape[:3]
        lines = (save.parent / "ldos").read_text().splitlines()[-math.ceil(math.prod(shape) / 5) :]
        expected = np.array(" ".join(lines).split(), dtype=float).reshape(shape, order="F")
        expected /= RYDBERG * BOHR**3
        assert expected.max() > 1e-6
        if k_points == "gamma":
            # pp.x 6.7 forgets the G that are not stored when it goes back to the grid: all but the
            # mean comes out half as large. The same k point without that trick agrees as it is.
            expected = 2 * expected - expected.mean()
        np.testing.assert_allclose(ldos[..., i], expected, rtol=2e-7, atol=2e-7 * expected.max())


# What cannot be used --------------------------------------------------------------------------


def replace_in_xml(save, old, new):
    text = (save / XML).read_text()
    assert old in text
    (save / XML).write_text(text.replace(old, new))


def test_ultrasoft_pseudopotentials_are_refused_by_name(copied):
    replace_in_xml(copied, "<uspp>false", "<uspp>true")
    with pytest.raises(SnapshotError, match=r"norm-conserving .* ultrasoft .*Si\.pz-vbc\.UPF"):
        wavefunction_ldos(copied, ENERGIES)
    assert charge_density(copied).shape == (12, 12, 12)


def test_a_symmetry_that_does_not_fit_the_grid_is_refused(copied):
    replace_in_xml(copied, '<fft_grid nr1="12"', '<fft_grid nr1="15"')
    with pytest.raises(SnapshotError, match=r"does not map the grid \(15, 12, 12\) on itself"):
        wavefunction_ldos(copied, ENERGIES)


def test_missing_bands_are_warned_of():
    high = EnergyGrid.regular(0.0, 1.0, 15, broadening=0.4, kernel="gaussian")
    # 14.97 eV is the highest band at one of the k points; 14 + 4 x 0.4 reaches beyond.
    with pytest.warns(UserWarning, match=r"10 bands starts at 14\.97 eV, .* 15\.60 eV .*nbnd"):
        wavefunction_ldos(SILICON, high)


def test_energies_must_know_their_broadening():
    with pytest.raises(ValueError, match="energies must have a broadening and a kernel"):
        wavefunction_ldos(SILICON, EnergyGrid([0.0, 1.0]))
    with pytest.raises(TypeError, match="energies must be an EnergyGrid, got list"):
        wavefunction_ldos(SILICON, [0.0, 1.0])


def test_missing_files_are_named(copied):
    (copied / "wfc2.dat").unlink()
    with pytest.raises(FileNotFoundError, match=r"wfc2\.dat nor wfc2\.hdf5"):
        wavefunction_ldos(copied, ENERGIES)
    for folder in (copied / "absent", copied.parent):
        for read in (charge_density, wavefunction_density):
            with pytest.raises(FileNotFoundError, match=r"save_directory must be .*prefix\.save"):
                read(folder)


@pytest.mark.parametrize("name", ["wfc2.dat", "charge-density.dat"])
@pytest.mark.parametrize("length", [0, 30, 60, 200, 1000, -9, -1])
def test_truncated_files_are_named(copied, name, length):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:length])
    read = wavefunction_density if name.startswith("wfc") else charge_density
    with pytest.raises(FileFormatError, match=name):
        read(copied)


@pytest.mark.parametrize("name", ["wfc2.dat", "charge-density.dat"])
@pytest.mark.parametrize("start", [0, 30, 52, 160, 300, 10_000])
def test_foreign_bytes_are_noticed(copied, name, start):
    content = bytearray((copied / name).read_bytes())
    content[start:] = bytes(255 for _ in content[start:])
    (copied / name).write_bytes(content)
    read = wavefunction_density if name.startswith("wfc") else charge_density
    with pytest.raises(FileFormatError, match=name):
        read(copied)


def test_files_of_another_run_are_noticed(copied):
    shutil.copy(copied / "wfc1.dat", copied / "wfc2.dat")
    with pytest.raises(FileFormatError, match=r"\(2, 1, 10, False\) .* got \(1, 1, 10, False\)"):
        wavefunction_density(copied)
    shutil.copy(GAMMA / "wfc1.dat", copied / "wfc1.dat")
    with pytest.raises(FileFormatError, match=r"got \(1, 1, 12, True\) .*wfc1\.dat"):
        wavefunction_density(copied)


@pytest.fixture
def change(tmp_path):
    """Overwrite bytes of a file in a copy of the save directory of aluminium."""
    save = Path(shutil.copytree(AL2, tmp_path / "al2.save"))

    def change(name, start, value):
        data = bytearray((save / name).read_bytes())
        new = np.asarray(value).tobytes()
        start %= len(data)
        data[start : start + len(new)] = new
        (save / name).write_bytes(data)
        return save

    return change


@pytest.mark.parametrize("miller", [-(2**31), 2**31 - 1, 1000])
def test_wave_vectors_that_fit_no_grid(change, miller):
    for name, start, read in (
        ("charge-density.dat", 20 + 80 + 4, charge_density),
        ("wfc1.dat", 52 + 24 + 80 + 4, wavefunction_density),
    ):
        assert (AL2 / name).read_bytes()[start : start + 12] == bytes(12)
        with pytest.raises(FileFormatError, match="wave vectors that fit the grid"):
            read(change(name, start, np.int32(miller)))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])
def test_coefficients_that_are_no_numbers(change, value):
    with pytest.raises(FileFormatError, match="the density must lie within"):
        read_charge_density(change("charge-density.dat", -12, value) / "charge-density.dat")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308, 1e200, -1e160, 2.0])
# The last wave of the last band, and the first of the first.
@pytest.mark.parametrize("start", [-12, -20, 52 + 24 + 80 + 8 + 12 * 53 + 4])
def test_bands_that_are_no_numbers(change, value, start):
    with pytest.raises(FileFormatError, match=r"expected bands of norm 1, got .*wfc1\.dat"):
        wavefunction_density(change("wfc1.dat", start, value))


def test_a_density_of_other_electrons(change):
    _, coefficients, _ = read_charge_density(AL2 / "charge-density.dat")
    save = change("charge-density.dat", -4 - 16 * len(coefficients), 2 * coefficients[0].real)
    with pytest.raises(FileFormatError, match=r"density of 6 electrons as in .*, got 12"):
        charge_density(save)


@pytest.mark.parametrize(("factor", "fits"), [(1.2, True), (4.0, False), (1e9, False)])
def test_no_wave_of_a_density_is_beyond_its_mean(change, factor, fits):
    _, coefficients, _ = read_charge_density(AL2 / "charge-density.dat")
    save = change("charge-density.dat", -4 - 16, factor * coefficients[0].real + 0j)
    message = "no wave of the density beyond its mean"
    with nullcontext() if fits else pytest.raises(FileFormatError, match=message):
        assert charge_density(save).min() < 0


@pytest.mark.parametrize("count", [0, -1, 10**6, 2**31 - 1])
@pytest.mark.parametrize("start", [52 + 4 + 4, 52 + 4 + 12])  # plane waves and bands
def test_counts_that_do_not_fit_the_file(change, count, start):
    with pytest.raises(FileFormatError, match=rf"expected a number of .*, got {count} \(.*wfc1"):
        WavefunctionFile(change("wfc1.dat", start, np.int32(count)) / "wfc1.dat")


# HDF5 -----------------------------------------------------------------------------------------


def to_hdf5(save):
    """Rewrite the binary files of a save directory as pw.x does when it is built with HDF5."""
    h5py = pytest.importorskip("h5py")
    for path in save.glob("wfc*.dat"):
        band = WavefunctionFile(path)
        with h5py.File(path.with_suffix(".hdf5"), "w") as file:
            file.attrs["ik"] = band.k_point
            file.attrs["gamma_only"] = np.bytes_(".TRUE." if band.gamma_only else ".FALSE.")
            file.attrs.update({"npol": 1, "nbnd": band.n_bands, "igwx": len(band.miller)})
            file["MillerIndices"] = band.miller
            file["evc"] = band.bands(range(band.n_bands)).view(float)
        path.unlink()
    path = save / "charge-density.dat"
    miller, coefficients, gamma_only = read_charge_density(path)
    with h5py.File(path.with_suffix(".hdf5"), "w") as file:
        file.attrs["gamma_only"] = np.bytes_(".TRUE." if gamma_only else ".FALSE.")
        file.attrs["ngm_g"] = len(miller)
        file["MillerIndices"] = miller
        file["rhotot_g"] = coefficients.view(float)
    path.unlink()
    return save


def test_hdf5_files_hold_the_same(save, tmp_path):
    copy = to_hdf5(Path(shutil.copytree(save, tmp_path / "copy.save")))
    np.testing.assert_array_equal(
        wavefunction_ldos(copy, ENERGIES), wavefunction_ldos(save, ENERGIES)
    )
    np.testing.assert_array_equal(charge_density(copy), charge_density(save))


def test_damaged_hdf5_files_are_named(copied):
    h5py = pytest.importorskip("h5py")
    to_hdf5(copied)
    with h5py.File(copied / "wfc2.hdf5", "a") as file:
        del file["evc"]
    with pytest.raises(FileFormatError, match=r"not a wavefunction of pw\.x.*wfc2\.hdf5"):
        wavefunction_density(copied)
    (copied / "charge-density.hdf5").write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match=r"not an HDF5 file.*charge-density\.hdf5"):
        charge_density(copied)


def test_the_ldos_may_go_to_a_file(save, tmp_path):
    ldos = wavefunction_ldos(save, ENERGIES, out=tmp_path / "ldos.npy")
    assert isinstance(ldos, ArrayFile)
    np.testing.assert_array_equal(ldos[:], wavefunction_ldos(save, ENERGIES))
    assert [path.name for path in tmp_path.iterdir()] == ["ldos.npy"]


def test_progress_is_shown(capsys):
    wavefunction_ldos(SILICON, ENERGIES, verbose=True)
    assert "LDOS" in capsys.readouterr().err
