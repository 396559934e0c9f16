import importlib

import numpy as np
import pytest
import torch

from skldos.physics.terms.ewald import COULOMB, ewald

METHODS = ("direct", "mesh")
#: Relative accuracy of the methods; the mesh is promised to reach 1e-10.
ACCURACY = {"direct": 1e-12, "mesh": 1e-10}
methods = pytest.mark.parametrize("method", METHODS)

FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
BCC = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
HCP = np.array([[1, 0, 0], [-0.5, 0.75**0.5, 0], [0, 0, (8 / 3) ** 0.5]])
CELLS = {
    "triclinic": np.array([[4.0, 0.2, 0.1], [-1.0, 3.5, 0.3], [0.4, -0.7, 5.0]]),
    "left-handed": np.array([[-1.0, 3.5, 0.3], [4.0, 0.2, 0.1], [0.4, -0.7, 5.0]]),
    "flat": np.diag([12.0, 13.0, 1.1]),
    "long": np.array([[2.0, 0, 0], [0.3, 2.1, 0], [0.2, 0.1, 40.0]]),
    "skewed": np.array([[4.0, 0, 0], [43.0, 3.0, 0], [-31.0, 17.0, 3.5]]),
}


@pytest.fixture
def system(rng):
    """Function that makes atoms in one of the cells, half of them outside of it."""

    def make(name="triclinic", n_atoms=5, neutral=False):
        positions = rng.uniform(-1.5, 1.5, (n_atoms, 3)) @ CELLS[name]
        charges = rng.uniform(-1, 3, n_atoms)
        return positions, CELLS[name], charges - neutral * charges.mean()

    return make


def derivatives(positions, cell, charges, **options):
    arguments = [torch.tensor(a, requires_grad=True) for a in (positions, cell, charges)]
    return torch.autograd.grad(ewald(*arguments, **options), arguments)


# Numbers ------------------------------------------------------------------------------------


# Madelung constants referred to the nearest distance: NaCl, CsCl and zincblende are A085469,
# A181152 and A182566 of the On-Line Encyclopedia of Integer Sequences. Fluorite is a
# superposition of zincblende twice and CsCl: 2 × 1.638... + 1.762...
IONIC = {
    "NaCl": (FCC, [[0, 0, 0], [0.5, 0, 0]], [1, -1], 1.74756459463318219),
    "CsCl": (np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [1, -1], 1.76267477307098840),
    "zincblende": (FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [1, -1], 1.63805505338878942),
    "fluorite": (
        FCC,
        [[0, 0, 0], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]],
        [2, -1, -1],
        5.03878487984856724,
    ),
}


@methods
@pytest.mark.parametrize("name", IONIC)
def test_madelung_constants_of_ionic_crystals(name, method):
    cell, positions, charges, madelung = IONIC[name]
    positions = 5.6 * np.array(positions)
    nearest = np.linalg.norm(positions[1])
    energy = ewald(positions, 5.6 * cell, charges, method=method)
    assert -energy * nearest / COULOMB == pytest.approx(madelung, rel=ACCURACY[method])


# Energy of ions in a uniform background, in e²/a with the radius a of a sphere of one ion.
# bcc, fcc and hcp: D. A. Baiko, A. Y. Potekhin, D. G. Yakovlev, Phys. Rev. E 64, 057402 (2001).
# Simple cubic: half of the Wigner potential 2.837297479480619614 in units of e²/L, B. R. A.
# Nijboer, F. W. de Wette, Physica 23, 309 (1957), times a/L = (3/4π)^(1/3).
WIGNER = {
    "bcc": (BCC, [[0, 0, 0]], 0.895929255682),
    "fcc": (FCC, [[0, 0, 0]], 0.895873615195),
    "hcp": (HCP, [[0, 0, 0], [0.5, 0.75**0.5 / 3, (2 / 3) ** 0.5]], 0.895838120459),
    "sc": (np.eye(3), [[0, 0, 0]], 2.837297479480619614 / 2 * (3 / (4 * np.pi)) ** (1 / 3)),
}


@methods
@pytest.mark.parametrize("name", WIGNER)
def test_crystals_of_ions_in_a_background(name, method):
    cell, positions, constant = WIGNER[name]
    n = len(positions)
    radius = (3 * abs(np.linalg.det(2.7 * cell)) / n / (4 * np.pi)) ** (1 / 3)
    energy = ewald(2.7 * np.array(positions), 2.7 * cell, np.full(n, 3.0), method=method)
    # Twelve digits are published.
    assert -energy * radius / (9 * n * COULOMB) == pytest.approx(constant, rel=0, abs=1e-11)


@methods
def test_agrees_with_pyscf(method):
    pbc = pytest.importorskip("pyscf.pbc.gto")
    rng = np.random.default_rng(4)
    symbols, charges = ["H", "Li", "Be", "He", "C"], [1.0, 3.0, 4.0, 2.0, 6.0]
    positions = rng.uniform(size=(5, 3)) @ CELLS["triclinic"]
    atoms = list(zip(symbols, positions.tolist(), strict=True))
    cell = pbc.Cell()
    # In Bohr, so that no value of its length enters.
    cell.build(
        atom=atoms, a=CELLS["triclinic"], unit="B", basis={s: [[0, [1, 1]]] for s in symbols},
        precision=1e-13, spin=None, verbose=0,
    )  # fmt: skip
    expected = cell.ewald()
    assert expected < -10
    energy = ewald(positions, CELLS["triclinic"], charges, method=method) / COULOMB
    assert energy == pytest.approx(expected, rel=1e-10)


# Laws ---------------------------------------------------------------------------------------


@methods
@pytest.mark.parametrize("neutral", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_splitting_does_not_matter(name, neutral, method, system):
    given = system(name, neutral=neutral)
    expected = ewald(*given, method="direct")
    scale = abs(expected) + COULOMB * (given[2] ** 2).sum()  # the size of the single terms
    assert abs(expected) > 1
    for splitting in (None, 0.45, 0.7, 1.1):
        energy = ewald(*given, method=method, splitting=splitting)
        assert energy == pytest.approx(expected, rel=0, abs=ACCURACY[method] * scale)


@methods
def test_forces_are_central_differences_and_sum_to_zero(method, system):
    positions, cell, charges = system()
    gradient, step = derivatives(positions, cell, charges, method=method)[0].numpy(), 1e-4
    assert np.abs(gradient).max() > 1
    assert np.abs(gradient.sum(0)).max() < 10 * ACCURACY[method] * np.abs(gradient).max()
    for atom, axis in [(0, 0), (2, 1), (4, 2)]:
        move = np.zeros((5, 3))
        move[atom, axis] = step
        up, down = (ewald(positions + d, cell, charges) for d in (move, -move))
        # Truncation step² E'''/6 and rounding E 1e-15/step
        assert gradient[atom, axis] == pytest.approx((up - down) / (2 * step), rel=3e-6)


@methods
@pytest.mark.parametrize("name", CELLS)
def test_splitting_does_not_matter_to_derivatives(name, method, system):
    given = system(name)
    expected = derivatives(*given, method="direct")
    for splitting in (0.5, 0.9):
        got = derivatives(*given, method=method, splitting=splitting)
        for one, other in zip(got, expected, strict=True):
            # Forces and stress are less accurate by the number of mesh points to a wave.
            tolerance = 20 * ACCURACY[method] * other.abs().max().item()
            assert torch.allclose(one, other, rtol=0, atol=tolerance)


@methods
def test_energy_is_quadratic_in_the_charges(method, system):
    positions, cell, charges = system()
    energy = ewald(positions, cell, charges, method=method)
    assert ewald(positions, cell, -1.7 * charges, method=method) == pytest.approx(1.7**2 * energy)
    potential = derivatives(positions, cell, charges, method=method)[2].numpy()
    assert charges @ potential / 2 == pytest.approx(energy, rel=1e-12)


def test_second_derivatives_are_exact(system):
    positions, cell, charges = (torch.tensor(a) for a in system(n_atoms=2))

    def energy(x, h):
        return ewald(x, h, charges, method="direct")

    arguments = positions.requires_grad_(), cell.clone().requires_grad_()
    assert torch.autograd.gradgradcheck(energy, arguments, atol=1e-5, rtol=1e-5)


# Machinery ----------------------------------------------------------------------------------


@methods
def test_blocks_do_not_change_energy_or_derivatives(method, system, monkeypatch):
    given = system(n_atoms=60)
    energy, gradients = ewald(*given, method=method), derivatives(*given, method=method)
    module = importlib.import_module("skldos.physics.terms.ewald")
    monkeypatch.setattr(module, "PIECE", 2000)
    assert ewald(*given, method=method) == pytest.approx(energy, rel=1e-13)
    for got, expected in zip(derivatives(*given, method=method), gradients, strict=True):
        assert torch.allclose(got, expected, rtol=1e-11, atol=1e-11)


def test_method_follows_the_number_of_atoms(system, monkeypatch):
    module = importlib.import_module("skldos.physics.terms.ewald")
    given = system(n_atoms=20)
    energies = {method: ewald(*given, method=method) for method in METHODS}
    assert energies["direct"] != energies["mesh"]
    assert ewald(*given) == energies["direct"]
    monkeypatch.setattr(module, "MANY_ATOMS", 20)
    assert ewald(*given) == energies["mesh"]


def test_kind_of_the_result(system):
    given = system()
    assert isinstance(ewald(*given), float)
    tensor = ewald(*map(torch.tensor, given))
    assert tensor.shape == ()
    assert tensor.dtype == torch.float64


def test_bad_input_is_refused(system):
    positions, cell, charges = system()
    with pytest.raises(ValueError, match=r"charges must have shape \(5\), got \(4,\)"):
        ewald(positions, cell, charges[:4])
    with pytest.raises(ValueError, match=r"positions must have shape \(any, 3\)"):
        ewald(positions[:, :2], cell, charges)
    with pytest.raises(ValueError, match="at least one atom"):
        ewald(np.zeros((0, 3)), cell, np.zeros(0))
    with pytest.raises(ValueError, match="three linearly independent vectors"):
        ewald(positions, cell * [1, 1, 0], charges)
    with pytest.raises(ValueError, match="method must be one of"):
        ewald(positions, cell, charges, method="pme")


@methods
def test_coinciding_atoms_are_refused(method, system):
    positions, cell, charges = system()
    positions[3] = positions[1] + cell[0] - 2 * cell[2]
    with pytest.raises(ValueError, match=r"at least 0.01 Å apart.*between atoms 1 and 3"):
        ewald(positions, cell, charges, method=method)
