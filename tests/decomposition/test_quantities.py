"""Electrons and energies by element: means that add up, and errors."""

import numpy as np
import pytest

from skldos.datasets import load_aluminium_magnesium
from skldos.decomposition import atom_quantities, element_quantities
from skldos.exceptions import SnapshotError
from skldos.physics import Pseudopotential, band_energy, fermi_level

POTENTIALS = {"Al": Pseudopotential("Al", 3), "Mg": Pseudopotential("Mg", 2)}


@pytest.fixture(scope="module")
def cells():
    return load_aluminium_magnesium(n_atoms=4)[1:4]


@pytest.fixture(scope="module")
def ados(cells):
    return [cell.reference["ados"] for cell in cells]


def test_elements_add_up_to_the_cell(cells, ados):
    table = element_quantities(ados, cells, pseudopotentials=POTENTIALS)
    for cell, block in zip(cells, ados, strict=True):
        rows = table.loc[cell.name]
        assert list(rows.index) == sorted(set(cell.atoms.symbols))
        assert rows["n_atoms"].sum() == 4
        total = rows.mul(rows["n_atoms"], axis=0).sum()
        assert total["electrons"] == pytest.approx(cell.n_electrons, rel=1e-9)
        assert total["charge"] == pytest.approx(0, abs=1e-9)
        at = {"temperature": cell.temperature}
        dos = np.sum(block, axis=0)
        at["fermi_level"] = fermi_level(dos, cell.energies, n_electrons=cell.n_electrons, **at)
        assert total["band_energy"] == pytest.approx(band_energy(dos, cell.energies, **at))
    assert table["charge"].abs().max() > 1e-3
    assert table.index.names == ["snapshot", "element"]
    assert list(table)[:3] == ["n_atoms", "electrons", "band_energy"]


def test_rows_are_means_of_atoms(cells, ados):
    table = element_quantities(ados, [cell.replace(name=None) for cell in cells])
    assert sorted(set(table.index.get_level_values("snapshot"))) == [0, 1, 2]
    found = atom_quantities(ados[2], cells[2])
    is_al = cells[2].atoms.symbols == "Al"
    assert 0 < is_al.sum() < 4
    for name, values in found.items():
        assert table.loc[(2, "Al"), name] == pytest.approx(values[is_al].mean(), rel=1e-12)


def test_single_precision_is_integrated_in_double(cells, ados):
    single = np.asarray(ados[0], dtype=np.float32)
    found = atom_quantities(single, cells[0])
    for name, values in atom_quantities(single.astype(float), cells[0]).items():
        np.testing.assert_array_equal(found[name], values, strict=True)


def test_blocks_and_snapshots_must_match(cells, ados):
    with pytest.raises(ValueError, match="one block for every snapshot, 3, got 2"):
        element_quantities(ados[:2], cells)
    with pytest.raises(ValueError, match="at least one snapshot"):
        element_quantities([], [])


def test_what_is_missing_or_wrong_is_named(cells, ados):
    cell, block = cells[0], np.array(ados[0], dtype=float)
    with pytest.raises(SnapshotError, match="lacks temperature"):
        atom_quantities(block, cell.replace(temperature=None))
    for wrong in (block[:-1], block[:, :-1]):
        with pytest.raises(ValueError, match=r"ados must have shape \(4, 101\)"):
            atom_quantities(wrong, cell)
    block[2, 3] = np.nan
    with pytest.raises(ValueError, match="ados must be finite, got 1 NaN"):
        atom_quantities(block, cell)
