"""The derivatives of the total energy equal those of autograd, without its memory."""

from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms

from skldos.data import ArrayFile
from skldos.physics import Pseudopotential, fermi_level, total_energy, total_energy_response
from skldos.physics.arrays import slabs
from skldos.physics.response import response_of_fields
from skldos.physics.structure import Structure
from skldos.physics.total_energy import energy_of_fields

ENERGIES = np.linspace(-6.0, 8.0, 15)
CELL = np.array([[3.1, 0.2, -0.3], [0.7, 2.8, 0.4], [-0.5, 0.9, 3.6]])
CASES = [("lda-pz", False, None), ("pbe", False, None), ("lda-pw", True, 90.0), ("pbe", True, 90.0)]
every_case = pytest.mark.parametrize(("functional", "core", "density_cutoff"), CASES)


@pytest.fixture
def ldos(rng):
    return 0.012 + 0.008 * rng.random((6, 5, 7, len(ENERGIES)))


@pytest.fixture
def settings():
    """Function that gives the keywords of a total energy of sodium and aluminium."""

    def make(functional="lda-pz", core=False, density_cutoff=None):
        r = np.linspace(0, 4, 401)
        mesh = {"radii": r, "radial_weights": np.full(401, 0.01)} if core else {}
        charge = 0.3 * np.exp(-((r / 0.6) ** 2)) if core else None
        fractional = [[0.1, 0.2, 0.3], [0.55, 0.7, 0.8]]
        return {
            "atoms": Atoms("NaAl", scaled_positions=fractional, cell=CELL, pbc=True),
            "temperature": 2000.0,
            "n_electrons": 4.0,
            "pseudopotentials": {
                "Na": Pseudopotential("Na", 1, functional=functional, core_density=charge, **mesh),
                "Al": Pseudopotential("Al", 3, functional=functional),
            },
            "density_cutoff": density_cutoff,
        }

    return make


def by_autograd(ldos, settings):
    """Gradients with respect to the LDOS, the positions and the strain."""
    atoms = settings["atoms"]
    ldos = torch.as_tensor(ldos, dtype=torch.float64).requires_grad_()
    positions = torch.as_tensor(atoms.positions).requires_grad_()
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    deformation = torch.eye(3, dtype=torch.float64) + strain
    ions = SimpleNamespace(
        positions=positions @ deformation,
        cell=torch.as_tensor(atoms.cell.array) @ deformation,
        symbols=atoms.symbols,
    )
    total = total_energy(ldos, ENERGIES, **(settings | {"atoms": ions})).total
    return [g.numpy() for g in torch.autograd.grad(total, (ldos, positions, strain))]


@every_case
def test_it_equals_autograd(ldos, settings, functional, core, density_cutoff):
    settings = settings(functional, core, density_cutoff)
    response = total_energy_response(ldos, ENERGIES, **settings)
    by_ldos, by_positions, by_strain = by_autograd(ldos, settings)
    found = {
        "by_ldos": (response.by_ldos(0, 210), by_ldos.reshape(-1, 15)),
        "by_positions": (response.by_positions, by_positions),
        "by_strain": (response.by_strain, by_strain),
    }
    for found_one, expected in found.values():
        scale = np.abs(expected).max()
        assert scale > 0.1
        np.testing.assert_allclose(found_one, expected, rtol=0, atol=1e-12 * scale)


def test_it_has_two_terms(ldos, settings):
    response = total_energy_response(ldos, ENERGIES, **settings("pbe"))
    n, g = response.density, response.by_density
    assert n.shape == g.shape == (6, 5, 7)
    assert response.by_dos.shape == response.weights.shape == response.dos.shape == (15,)
    full = response.by_dos + g[..., None] * response.weights
    np.testing.assert_array_equal(response.by_ldos(31, 77), full.reshape(-1, 15)[31:77])
    assert np.linalg.matrix_rank(full.reshape(-1, 15), tol=1e-9) == 2
    voxel = abs(np.linalg.det(CELL)) / 210
    np.testing.assert_allclose(response.dos, voxel * ldos.sum(axis=(0, 1, 2)), rtol=1e-13)
    np.testing.assert_allclose(n, ldos @ response.weights, rtol=1e-13)
    assert n.sum() * voxel == pytest.approx(4.0, rel=1e-12)


def test_the_energy_is_that_of_total_energy(ldos, settings):
    settings = settings("pbe", True, 90.0)
    expected = total_energy(ldos, ENERGIES, **settings)
    found = total_energy_response(ldos, ENERGIES, **settings).energy
    assert isinstance(found.total, float)
    assert vars(found) == pytest.approx(vars(expected), rel=1e-14)


def test_an_ldos_on_disk_gives_the_same(ldos, settings, tmp_path):
    np.save(tmp_path / "ldos.npy", ldos.astype(np.float32))
    expected = total_energy_response(ldos.astype(np.float32), ENERGIES, **settings("pbe"))
    found = total_energy_response(ArrayFile(tmp_path / "ldos.npy"), ENERGIES, **settings("pbe"))
    assert found.energy == expected.energy
    np.testing.assert_array_equal(found.by_ldos(0, 210), expected.by_ldos(0, 210))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(ldos, settings, mode):
    expected = total_energy_response(ldos, ENERGIES, **settings("pbe", True, 90.0))
    with mode():
        found = total_energy_response(ldos, ENERGIES, **settings("pbe", True, 90.0))
    np.testing.assert_array_equal(found.by_positions, expected.by_positions)
    np.testing.assert_array_equal(found.by_ldos(0, 210), expected.by_ldos(0, 210))
    assert np.abs(found.by_positions).max() > 1


def test_tensors_of_inference_mode_are_taken(ldos, settings):
    expected = total_energy(ldos, ENERGIES, **settings()).total
    with torch.inference_mode():
        tensor = torch.from_numpy(ldos) * 1.0
        inside = total_energy(tensor, ENERGIES, **settings()).total
    assert tensor.is_inference()
    outside = total_energy(tensor, ENERGIES, **settings()).total
    assert inside.item() == outside.item() == pytest.approx(expected, rel=1e-14)
    mu = fermi_level(tensor.sum((0, 1, 2)), ENERGIES, temperature=300.0, n_electrons=4.0)
    assert np.isfinite(mu.item())


def test_mistakes_are_named(ldos, settings):
    settings = settings()
    with pytest.raises(ValueError, match=r"ldos must have shape \(n_x, .*got \(210, 15\)"):
        total_energy_response(ldos.reshape(-1, 15), ENERGIES, **settings)
    with pytest.raises(ValueError, match="n_electrons must be the sum"):
        total_energy_response(ldos, ENERGIES, **(settings | {"n_electrons": 3.0}))


@pytest.mark.parametrize("size", [1, 2 * 5 * 7 * 15, 4 * 5 * 7 * 15])
def test_pieces_give_the_whole(ldos, settings, monkeypatch, size):
    whole = total_energy_response(ldos, ENERGIES, **settings("pbe", True, 90.0))
    monkeypatch.setattr("skldos.physics.arrays.PIECE", size)
    assert len(list(slabs("ldos", ldos))) == {1: 6, 1050: 3, 2100: 2}[size]
    pieces = total_energy_response(ldos, ENERGIES, **settings("pbe", True, 90.0))
    for one, other in zip(whole[1:], pieces[1:], strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-12 * np.abs(one).max())
    assert pieces.energy.total == pytest.approx(whole.energy.total, rel=1e-13)


@every_case
def test_an_energy_is_that_of_its_dos_and_density(ldos, settings, functional, core, density_cutoff):
    options = settings(functional, core, density_cutoff)
    expected = total_energy(ldos, ENERGIES, **options)
    response = total_energy_response(ldos, ENERGIES, **options)
    fields = response.dos, response.density, ENERGIES
    more = {"functional": None, "assume_isolated": None, "fermi_level": expected.fermi_level}
    found = energy_of_fields(*fields, **options, **more)
    for name in ("total", "band", "hartree", "xc", "ewald", "deband", "minus_ts"):
        value = getattr(found, name)
        assert type(value) is float
        assert value == pytest.approx(getattr(expected, name), rel=1e-10)
    with pytest.raises(ValueError, match="n_electrons must be the sum"):
        energy_of_fields(*fields, **options | {"n_electrons": 3.9}, **more)
    slope = np.zeros_like(response.density)
    with pytest.raises(ValueError, match="n_electrons must be the sum"):
        response_of_fields(
            response.dos, response.density, slope, ENERGIES, **options | {"n_electrons": 3.9}
        )


def test_results_do_not_change(ldos, settings):
    options = settings()
    energy = total_energy(ldos, ENERGIES, **options)
    structure = Structure.of(options["atoms"])
    for result, name in ((energy, "band"), (structure, "cell")):
        with pytest.raises(FrozenInstanceError):
            setattr(result, name, 0.0)
