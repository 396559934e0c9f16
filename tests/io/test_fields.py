"""Fields and atoms written for programs that draw them, read back by ASE and by ourselves."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.io.cube import read_cube_data
from ase.io.xsf import read_xsf

from skldos import ADOSDecomposer, Snapshot
from skldos.datasets import make_snapshots
from skldos.decomposition import atom_quantities
from skldos.exceptions import SnapshotError
from skldos.io import read_cube, write_cube, write_extxyz, write_mala, write_xsf
from skldos.physics import Pseudopotential


@pytest.fixture
def atoms():
    cell = [[4.0, 0.3, 0.0], [-1.0, 3.5, 0.2], [0.5, 0.0, 5.0]]
    return Atoms("AlMg", [[0.1, 0.2, 0.3], [5.0, -1.0, 2.0]], cell=cell, pbc=True)


@pytest.fixture
def values(rng):
    # Of either sign, over many orders of magnitude, and no multiple of six along z.
    return rng.normal(size=(3, 4, 7)) * 10.0 ** rng.integers(-120, 100, size=(3, 4, 7))


@pytest.mark.parametrize("left_handed", [False, True])
def test_a_cube_is_read_again(tmp_path, atoms, values, left_handed):
    if left_handed:
        atoms.cell[2] *= -1
    path = tmp_path / "x.cube"
    write_cube(path, values, atoms, title="potential in eV")
    for read in (read_cube, read_cube_data):
        again, same = read(path) if read is read_cube else read(str(path))
        np.testing.assert_allclose(again, values, rtol=1e-8)
        np.testing.assert_array_equal(same.numbers, atoms.numbers)
        np.testing.assert_allclose(same.positions, atoms.positions, atol=1e-8)
        np.testing.assert_allclose(same.cell.array, atoms.cell.array, atol=1e-7)
    assert path.read_text().splitlines()[0] == "potential in eV"


def test_an_xsf_is_read_again(tmp_path, atoms, values):
    path = tmp_path / "x.xsf"
    write_xsf(path, values, atoms)
    with open(path) as file:
        data, origin, vectors, images = read_xsf(file, read_data=True)
    # ASE leaves out nothing of the general grid: its ends are the beginnings of the next cell.
    np.testing.assert_allclose(np.asarray(data)[:-1, :-1, :-1], values, rtol=1e-8)
    np.testing.assert_allclose(np.asarray(data)[-1], np.asarray(data)[0])
    np.testing.assert_allclose(vectors, atoms.cell.array, atol=1e-10)
    np.testing.assert_allclose(images.positions, atoms.positions, atol=1e-10)
    assert not np.any(origin)


def test_an_xsf_holds_several_fields_and_forces(tmp_path, atoms, values, rng):
    snapshot = Snapshot(atoms, reference={"forces": rng.normal(size=(2, 3))})
    write_xsf(tmp_path / "x.xsf", {"one": values, "two": -values}, snapshot)
    text = (tmp_path / "x.xsf").read_text()
    assert [text.count(f"BEGIN_DATAGRID_3D_{name}") for name in ("one", "two")] == [1, 1]
    read = ase.io.read(tmp_path / "x.xsf")
    np.testing.assert_allclose(read.get_forces(), snapshot.reference["forces"], rtol=1e-6)


def test_names_are_one_word(tmp_path, atoms, values):
    with pytest.raises(ValueError, match="one word"):
        write_xsf(tmp_path / "x", {"two words": values}, atoms)
    with pytest.raises(ValueError, match="at least one field"):
        write_xsf(tmp_path / "x", {}, atoms)


# -------------------------------------------------------------------- atoms


@pytest.fixture(scope="module")
def snapshots():
    return make_snapshots(2, grid_shape=(4, 4, 4), n_energies=11, random_state=0)


def test_quantities_of_atoms_add_up(snapshots):
    blocks = ADOSDecomposer().fit_transform(snapshots)
    al = Pseudopotential("Al", 3, functional="lda-pz")
    found = [
        atom_quantities(block, s, pseudopotentials=[al])
        for block, s in zip(blocks, snapshots, strict=True)
    ]
    for quantities, snapshot in zip(found, snapshots, strict=True):
        assert quantities["electrons"].sum() == pytest.approx(12, abs=1e-9)
        assert quantities["charge"].sum() == pytest.approx(0, abs=1e-9)
        for name in ("band_energy", "minus_ts"):
            total = quantities[name].sum()
            assert total == pytest.approx(snapshot.reference[name], abs=1e-4)
        assert np.ptp(quantities["electrons"]) > 1e-3
    with pytest.raises(ValueError, match="ados must have shape"):
        atom_quantities(blocks[0][:3], snapshots[0])
    with pytest.raises(ValueError, match="none for Al"):
        atom_quantities(blocks[0], snapshots[0], pseudopotentials={"Mg": Pseudopotential("Mg", 2)})
    with pytest.raises(SnapshotError, match="temperature"):
        atom_quantities(blocks[0], snapshots[0].replace(temperature=None))


def test_frames_hold_atoms_quantities_and_results(tmp_path, snapshots, rng):
    forces, stress = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    known = {"total_energy": -3.5, "forces": forces, "stress": stress + stress.T}
    frames = [snapshots[0].replace(reference=known, name="first"), snapshots[1]]
    vectors = [rng.normal(size=(4, 3)) for _ in frames]
    charges = [rng.normal(size=4) for _ in frames]
    path = tmp_path / "x.xyz"
    write_extxyz(path, frames, {"charge": charges, "moment": vectors})
    first, second = ase.io.read(path, ":")
    np.testing.assert_allclose(first.get_forces(), forces, atol=1e-7)
    np.testing.assert_allclose(first.get_stress(voigt=False), stress + stress.T, atol=1e-7)
    assert first.get_potential_energy() == -3.5
    assert first.info["name"] == "first"
    assert first.info["temperature"] == second.info["temperature"] == 298
    for i, frame in enumerate((first, second)):
        np.testing.assert_allclose(frame.arrays["moment"], vectors[i], atol=1e-7)
        # OVITO knows this name, and ASE takes it for a result.
        np.testing.assert_allclose(frame.calc.results["charges"], charges[i], atol=1e-7)
        np.testing.assert_allclose(frame.positions, frames[i].atoms.positions, atol=1e-7)
    assert second.info["fermi_energy"] == pytest.approx(snapshots[1].reference["fermi_energy"])


@pytest.mark.parametrize("write", [write_cube, write_xsf])
def test_what_could_not_be_read_again_is_not_written(tmp_path, atoms, values, write):
    path = tmp_path / "file"
    without = Atoms(atoms.symbols, atoms.positions)
    flat, nowhere, ghost = (atoms.copy() for _ in range(3))
    flat.cell[1] = 0
    nowhere.positions[1, 2] = np.nan
    ghost.numbers[0] = 0
    masked = np.ma.masked_greater(values, np.median(values))
    for error, message, *arguments in (
        (ValueError, "a cell with a volume", values, without),
        (ValueError, "a cell with a volume", values, flat),
        (ValueError, "the positions of .* must be finite", values, nowhere),
        (ValueError, "atomic numbers must be between 1 and 118, got 0", values, ghost),
        (ValueError, "at least one atom", values, Atoms(cell=atoms.cell)),
        (TypeError, "atoms must be", values, "Al"),
        (ValueError, r"no masked elements, got \d+ of", masked, atoms),
        (ValueError, "must lie within", np.full(values.shape, -2e150), atoms),
        (ValueError, "must have shape", values[0], atoms),
        (ValueError, "must be finite", np.where(values > 0, np.nan, values), atoms),
        (ValueError, "real numbers", values + 1j, atoms),
        (ValueError, "at least one point", values[:0], atoms),
    ):
        with pytest.raises(error, match=message):
            write(path, *arguments)
    assert not path.exists()


@pytest.mark.parametrize("title", ["a\nb", "a\rb", "a\x85b", "a\x0bb", "a\u2029b", "\udc80"])
def test_titles_that_would_not_be_one_line(tmp_path, atoms, values, title):
    with pytest.raises(ValueError, match="title must be one line of text"):
        write_cube(tmp_path / "a.cube", values, atoms, title=title)


TAKEN = ["charges", "forces", "energies", "magmoms", "stresses", "energy", "dipole", "symbols", "Z"]


@pytest.mark.parametrize(
    "name",
    [*TAKEN, "forces", "move_mask", "momenta", "two words", "a:b", 'a"b', "a=b", "a\\b", " a"],
)
def test_names_of_quantities_that_mean_something_else(tmp_path, snapshots, name):
    quantity = [np.arange(len(s.atoms)) for s in snapshots]
    with pytest.raises(ValueError, match="per_atom must have names of one word"):
        write_extxyz(tmp_path / "a.xyz", snapshots, {name: quantity})


@pytest.mark.parametrize(
    ("per_atom", "error", "message"),
    [
        (3, ValueError, "one mapping per snapshot, 1, got 3"),
        ([3], TypeError, "one mapping per snapshot, got int"),
        ({"q": 3}, ValueError, r"per_atom\['q'\] must have one array per snapshot, 1, got 3"),
        ({"q": {"a": 1}}, TypeError, r"per_atom\['q'\] must be a sequence of arrays"),
        ({"q": [list("abcd")]}, ValueError, r"per_atom\['q'\] must be real numbers"),
        ({"q": [[1j] * 4]}, ValueError, "must be real numbers, got complex128"),
        (
            {"q": [np.ma.masked_equal([1, 2, 3, 4], 3)]},
            ValueError,
            "no masked elements, got 1 of 4",
        ),
        ({"q": [np.ones((4, 0))]}, ValueError, r"one value \(or row\) per atom"),
        ({"q": [np.ones(3)]}, ValueError, r"one value \(or row\) per atom"),
        ({"q": [np.full(4, np.nan)]}, ValueError, "must be finite"),
        ({"q": [np.ones(4)] * 2}, ValueError, "one array per snapshot, 1, got 2"),
        ([{}] * 2, ValueError, "one mapping per snapshot, 1, got 2"),
    ],
)
def test_quantities_in_forms_that_are_refused(tmp_path, snapshots, per_atom, error, message):
    with pytest.raises(error, match=message):
        write_extxyz(tmp_path / "a.xyz", snapshots[:1], per_atom)
    assert not (tmp_path / "a.xyz").exists()


def test_bare_atoms_are_written(tmp_path, snapshots):
    write_extxyz(tmp_path / "bare.xyz", [s.atoms for s in snapshots])
    assert len(ase.io.read(tmp_path / "bare.xyz", ":")) == 2


def test_quantities_of_other_types_and_names_of_snapshots(tmp_path, snapshots):
    path, unsigned = tmp_path / "a.xyz", np.array([1, 2, 3, 2**63], dtype=np.uint64)
    quantities = {"large": [unsigned], "flag": [np.array([True, False, True, True])]}
    write_extxyz(path, [snapshots[0].replace(name="")], quantities)
    atoms = ase.io.read(path)
    np.testing.assert_array_equal(atoms.arrays["large"], unsigned.astype(float))
    np.testing.assert_array_equal(atoms.arrays["flag"], quantities["flag"][0])
    assert "name" not in atoms.info
    assert atoms.info["temperature"] == snapshots[0].temperature
    with pytest.raises(ValueError, match="name of a snapshot must be one line"):
        write_extxyz(path, [snapshots[0].replace(name="a\nb")])


def test_files_of_mala_are_made_of_a_snapshot(tmp_path, snapshots):
    with pytest.raises(TypeError, match=r"must be a Snapshot, got \w+Path"):
        write_mala(tmp_path / "Al", snapshots[0])
    with pytest.raises(TypeError, match="snapshot must be a Snapshot, got Atoms"):
        write_mala(snapshots[0].atoms, tmp_path / "Al")
