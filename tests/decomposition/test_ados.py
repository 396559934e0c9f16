"""The transformer: DOS preserved, blocks cached, files streamed, errors named."""

import time
import tracemalloc

import numpy as np
import pytest
from ase import Atoms
from sklearn.exceptions import NotFittedError

from skldos import ArrayFile, EnergyGrid, Snapshot, SnapshotList
from skldos.data import Blocks
from skldos.datasets import make_snapshots
from skldos.decomposition import ADOSDecomposer
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.io import read_npz
from tests.decomposition import reference


def test_the_sum_over_the_atoms_is_the_dos(ragged):
    decomposer = ADOSDecomposer().fit(ragged)
    blocks = decomposer.transform(ragged)
    assert isinstance(blocks, Blocks)
    assert blocks.snapshots == ragged
    for block, dos, snapshot in zip(
        blocks, decomposer.inverse_transform(blocks), ragged, strict=True
    ):
        assert block.shape == (4, 11)
        assert snapshot.dos().max() > 0.1
        np.testing.assert_allclose(dos, snapshot.dos(), rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.8, 1.3, {"Mg": 1.3, "Al": 0.8}, {"Mg": 0.6, "Al": 1.1}])
def test_the_partition_is_that_of_explicit_sums(snapshots, sigma):
    snapshot = snapshots[0]
    atoms = snapshot.atoms.copy()
    atoms.symbols[1:3] = "Mg"
    alloy = snapshot.replace(atoms=atoms)
    widths = [sigma[symbol] if isinstance(sigma, dict) else sigma for symbol in atoms.symbols]
    cell = atoms.cell.array

    def weights(points, positions, cell):
        r2 = reference.squared_distances(points, positions, cell, (3, 3, 3))
        gaussians = np.exp(-r2 / (2 * np.square(widths)[:, None])).sum(axis=2)
        return gaussians / gaussians.sum(axis=1, keepdims=True)

    expected = reference.ados(np.asarray(alloy.ldos, float), atoms.positions, cell, weights)
    assert abs(expected[0] - expected[1]).max() > 1e-3
    (block,) = ADOSDecomposer(sigma, tolerance=1e-14).fit_transform([alloy])
    np.testing.assert_allclose(block, expected, rtol=1e-9, atol=1e-12)


def test_files_are_streamed_to_the_same_blocks(snapshots, tmp_path):
    loaded = SnapshotList.load(snapshots.save(tmp_path / "set"))
    assert isinstance(loaded[0].ldos, ArrayFile)
    expected = ADOSDecomposer().fit_transform(snapshots)
    for block, wanted in zip(ADOSDecomposer().fit_transform(loaded), expected, strict=True):
        assert np.array_equal(block, wanted)


def test_blocks_are_kept_by_field_and_parameters(snapshots, tmp_path, monkeypatch):
    def transform(some, **params):
        return ADOSDecomposer(memory=str(tmp_path), **params).fit_transform(some)

    first = transform(snapshots)
    changed = [s.replace(ldos=2 * s.ldos) for s in snapshots]
    np.testing.assert_allclose(transform(changed)[0], 2 * first[0][:], rtol=1e-6)
    assert not np.allclose(transform(snapshots, sigma=0.7)[0], first[0][:])

    def fail(*args):
        raise AssertionError("decomposed again")

    monkeypatch.setattr("skldos.decomposition.ados.decompose", fail)
    again = transform(snapshots, n_jobs=1)
    assert np.array_equal(again[3][:], first[3][:])
    with pytest.raises(AssertionError, match="again"):
        transform(snapshots, partition="nearest")


def test_types_and_names(snapshots):
    decomposer = ADOSDecomposer(dtype="float32").fit(snapshots)
    assert decomposer.transform(snapshots)[0].dtype == np.float32
    assert list(decomposer.get_feature_names_out()[:2]) == ["dos_-4", "dos_-2.4"]


def test_elements_have_widths_of_their_own(snapshots):
    snapshot = snapshots[0]
    atoms = snapshot.atoms.copy()
    atoms.symbols[:2] = "Mg"
    alloy = snapshot.replace(atoms=atoms)
    (alike,) = ADOSDecomposer(0.9).fit_transform([alloy])
    (same,) = ADOSDecomposer({"Mg": 0.9, "Al": 0.9}).fit_transform([alloy])
    assert np.array_equal(same, alike)
    (block,) = ADOSDecomposer({"Mg": 1.2, "Al": 0.9}).fit_transform([alloy])
    np.testing.assert_allclose(block.sum(axis=0), snapshot.dos(), rtol=1e-12)
    # A wider Gaussian takes more of the space.
    assert block[:2].sum() > 1.1 * alike[:2].sum()
    with pytest.raises(SnapshotError, match="sigma must have a value for every element: Al of"):
        ADOSDecomposer({"Mg": 1.2}).fit([alloy])
    # An earlier decomposition will do if its widths are the same.
    stored = alloy.replace(ldos=None, reference={"ados": alike, "ados_sigma": 0.9})
    again = ADOSDecomposer({"Mg": 0.9, "Al": 0.9}).fit_transform([stored])[0]
    assert np.array_equal(again, alike)
    with pytest.raises(SnapshotError, match="its ADOS used Gaussians"):
        ADOSDecomposer({"Mg": 1.2, "Al": 0.9}).fit([stored])


# -------------------------------------------------------------------- mistakes


def test_snapshots_without_ldos_or_with_other_energies(snapshots):
    bare = Snapshot(snapshots[0].atoms)
    with pytest.raises(SnapshotError, match="lacks ldos"):
        ADOSDecomposer().fit([bare])
    with pytest.raises(SnapshotError, match="lacks ldos"):
        ADOSDecomposer().fit(snapshots).transform([bare])
    other = snapshots[0].replace(energies=EnergyGrid(snapshots[0].energies + 0.1))
    with pytest.raises(SnapshotError, match="must have the energies of the fit, EnergyGrid"):
        ADOSDecomposer().fit([snapshots[0], other])


def test_nan_in_a_file_is_found(tmp_path):
    ldos = np.ones((2, 2, 2, 3), dtype=np.float32)
    ldos[1, 0, 1, 2] = np.nan
    np.save(tmp_path / "ldos.npy", ldos)
    atoms = Atoms("Al", cell=3 * np.eye(3), pbc=True)
    file = ArrayFile(tmp_path / "ldos.npy")
    snapshot = Snapshot(atoms, energies=EnergyGrid([0.0, 1.0, 2.0]), ldos=file)
    with pytest.raises((SnapshotError, FileFormatError), match="NaN"):
        ADOSDecomposer().fit_transform([snapshot])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"partition": "bader"}, ValueError, "partition must be one of"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be"),
        ({"sigma": "wide"}, TypeError, "sigma must be a number"),
        ({"sigma": {}}, ValueError, "sigma must name at least one element"),
        ({"sigma": {"Al": -1.0}}, ValueError, r"sigma\['Al'\] must be > 0"),
        ({"sigma": {"Al": 0.0, "Mg": 1.0}}, ValueError, r"sigma\['Al'\] must be > 0"),
    ],
)
def test_wrong_parameters(snapshots, params, error, message):
    with pytest.raises(error, match=message):
        ADOSDecomposer(**params).fit(snapshots)


def test_inverse_of_other_blocks(snapshots):
    with pytest.raises(ValueError, match="blocks of 11 energies, got 3 in block 0"):
        ADOSDecomposer().fit(snapshots).inverse_transform([np.zeros((4, 3))])


def test_a_reference_of_another_shape_is_refused(snapshots):
    decomposer = ADOSDecomposer().fit(snapshots)
    (block,) = decomposer.transform(snapshots[:1])
    reference = {"ados": np.asarray(block)[:, :-1], "ados_sigma": decomposer.sigma}
    with pytest.raises(ValueError, match=r"reference\['ados'\] must have shape \(4, 11\)"):
        decomposer.transform([snapshots[0].replace(ldos=None, density=None, reference=reference)])


def test_no_blocks_have_no_sums(snapshots):
    sums = ADOSDecomposer().fit(snapshots).inverse_transform([])
    assert sums.shape == (0, len(snapshots[0].energies))


# -------------------------------------------------------------------- real data


@pytest.fixture(scope="module")
def liquid(shared_data):
    """One snapshot of 32 atoms of liquid aluminium."""
    return read_npz(shared_data / "al32" / "Al32_933K_liquid_0.npz")


def test_decomposing_is_quick_and_small(liquid):
    decomposer = ADOSDecomposer(n_jobs=1).fit([liquid])
    decomposer.transform([liquid])  # compiles
    start = time.process_time()
    decomposer.transform([liquid])
    assert time.process_time() - start < 2
    tracemalloc.start()
    decomposer.transform([liquid])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # On top of the LDOS itself: the whole is below twice its size.
    assert peak < liquid.ldos.nbytes


@pytest.mark.parametrize("shown", [True, False])
def test_progress_is_shown_if_asked(shown, capsys):
    snapshots = make_snapshots(1, grid_shape=(4, 4, 4), n_energies=5, random_state=0)
    ADOSDecomposer(verbose=shown).fit_transform(snapshots)
    printed = capsys.readouterr().err
    assert ("ADOSDecomposer" in printed) == ("100%" in printed) == shown


def test_what_was_not_fitted_says_so(snapshots):
    with pytest.raises(NotFittedError):
        ADOSDecomposer().inverse_transform([np.zeros((4, 11))])
    with pytest.raises(NotFittedError):
        ADOSDecomposer().transform(snapshots)


def stored(snapshot, block, **reference):
    known = {"ados": block, "ados_sigma": 1.3} | reference
    known = {name: value for name, value in known.items() if value is not None}
    return snapshot.replace(ldos=None, density=None, reference=known)


def test_earlier_decompositions_are_used_for_what_they_are(snapshots, tmp_path):
    block = ADOSDecomposer().fit_transform(snapshots[:1])[0][:]
    one, twice = stored(snapshots[0], block), stored(snapshots[0], 2 * block)
    decomposer = ADOSDecomposer(memory=str(tmp_path)).fit([one])
    np.testing.assert_array_equal(decomposer.transform([one])[0][:], block)
    np.testing.assert_array_equal(decomposer.transform([twice])[0][:], 2 * block)
    # A snapshot with both is decomposed.
    both = snapshots[0].replace(reference={"ados": 0 * block, "ados_sigma": 1.3})
    np.testing.assert_array_equal(ADOSDecomposer().fit_transform([both])[0][:], block)
    for params, known in (
        ({"partition": "nearest"}, {}),
        ({}, {"ados_sigma": None}),
        ({}, {"ados_sigma": 1.301}),
    ):
        with pytest.raises(SnapshotError, match="set partition='gaussian' and sigma="):
            ADOSDecomposer(**params).fit([stored(snapshots[0], block, **known)])
    with pytest.raises(SnapshotError, match="lacks energies"):
        ADOSDecomposer().fit([one.replace(energies=None)])
