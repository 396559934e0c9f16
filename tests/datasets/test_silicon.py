"""The bundled silicon snapshots are what their README says."""

from pathlib import Path

import numpy as np
import pytest

from skldos import physics
from skldos.datasets import load_silicon, load_silicon_pseudopotentials
from skldos.io import read_upf
from skldos.units import BOHR, RYDBERG

SILICON = Path("/usr/share/espresso/pseudo/Si.pz-vbc.UPF")  # of Debian and its relatives


@pytest.fixture(scope="module")
def snapshots():
    return load_silicon()


def test_kinds_and_shapes(snapshots):
    kinds = [s.reference["kind"] for s in snapshots]
    assert kinds == ["crystal"] * 3 + ["strained", "vacancy", "interstitial", "amorphous"]
    assert [len(s.atoms) for s in snapshots] == [8, 8, 8, 8, 15, 17, 16]
    for snapshot in snapshots:
        assert set(snapshot.atoms.symbols) == {"Si"}
        assert snapshot.density.dtype == np.float32
        assert snapshot.ldos is None
        assert snapshot.n_electrons == 4 * len(snapshot.atoms)
        assert (snapshot.temperature, snapshot.reference["ecutwfc"]) == (600.0, 12.0)
        assert snapshot.reference["functional"] == "lda-pz"


def test_the_density_has_the_energies_of_the_calculation(snapshots):
    for snapshot in snapshots:
        cell, n = snapshot.atoms.cell.array, snapshot.density
        density_cutoff = 4 * snapshot.reference["ecutwfc"] * RYDBERG
        hartree = physics.hartree(n, cell, density_cutoff=density_cutoff)[0]
        assert hartree == pytest.approx(snapshot.reference["hartree"], rel=2e-3)
        xc = physics.exchange_correlation(
            n, cell, functional="lda-pz", density_cutoff=density_cutoff
        )[0]
        assert xc == pytest.approx(snapshot.reference["xc"], rel=2e-4)


def test_one_kind_alone(snapshots):
    (glass,) = load_silicon(kind="amorphous")
    np.testing.assert_array_equal(glass.density, snapshots[-1].density)
    with pytest.raises(ValueError, match=r"kind must be one of None, 'crystal'.*; got 'liquid'"):
        load_silicon(kind="liquid")


def test_the_free_atom_is_that_of_the_pseudopotential(snapshots):
    if not SILICON.exists():
        pytest.skip("needs the pseudopotentials of Quantum ESPRESSO")
    kept, file = load_silicon_pseudopotentials(), {"Si": read_upf(SILICON)}
    assert repr(kept) == repr(file)
    snapshot = snapshots[0]
    changes = [physics.potential_change(snapshot.density, snapshot.atoms, p) for p in (kept, file)]
    # Of a change of 0.4 eV, some meV depend on the form of the free atom.
    assert changes[1].std() > 0.4
    assert (changes[0] - changes[1]).std() < 4e-3


def test_electrons_of_the_free_atom_are_where_they_are_in_the_file():
    if not SILICON.exists():
        pytest.skip("needs the pseudopotentials of Quantum ESPRESSO")
    (kept,), file = load_silicon_pseudopotentials().values(), read_upf(SILICON)
    np.testing.assert_allclose(kept.radii / BOHR, 0.02 * np.arange(501), atol=1e-12)

    def integral(atom, power):
        inside = atom.radii < 10 * BOHR
        rings = 4 * np.pi * atom.radii**2 * atom.radial_weights * atom.atomic_density
        return (rings * atom.radii**power)[inside].sum()

    assert integral(kept, 0) == pytest.approx(integral(file, 0), abs=2.5e-4) != 4
    assert integral(kept, 1) == pytest.approx(integral(file, 1), rel=5e-5)
