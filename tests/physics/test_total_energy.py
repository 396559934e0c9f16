"""The total free energy: sums and symmetries, gradients, and pw.x's values for aluminium."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms

from skldos import physics
from skldos.data import ArrayFile
from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials
from skldos.exceptions import FermiLevelError
from skldos.io import read_mala, read_upf
from skldos.physics import Pseudopotential, TotalEnergy, total_energy
from skldos.physics.structure import Structure
from skldos.physics.total_energy import ELECTRON_TOLERANCE, density_terms
from skldos.units import RYDBERG

TERMS = ("band", "deband", "hartree", "xc", "ewald", "minus_ts")
ENERGIES = np.linspace(-6.0, 8.0, 15)
CELL = np.array([[3.1, 0.2, -0.3], [0.7, 2.8, 0.4], [-0.5, 0.9, 3.6]])
CUTOFF = 90.0  # eV; a sphere within the grid of the small system


def pseudopotentials(functional, core=False):
    """Sodium, with a Gaussian core charge if asked for, and aluminium without."""
    r = np.linspace(0, 4, 401)
    mesh = {"radii": r, "radial_weights": np.full(401, 0.01)} if core else {}
    charge = 0.3 * np.exp(-((r / 0.6) ** 2)) if core else None
    return {
        "Na": Pseudopotential("Na", 1, functional=functional, core_density=charge, **mesh),
        "Al": Pseudopotential("Al", 3, functional=functional),
    }


@pytest.fixture
def atoms():
    fractional = [[0.1, 0.2, 0.3], [0.55, 0.7, 0.8]]
    return Atoms("NaAl", scaled_positions=fractional, cell=CELL, pbc=True)


@pytest.fixture
def ldos(rng):
    """A positive LDOS on a grid without symmetry; it holds four electrons below 4 eV or so."""
    return 0.012 + 0.008 * rng.random((8, 7, 9, len(ENERGIES)))


@pytest.fixture
def settings():
    return {"temperature": 900.0, "n_electrons": 4.0}


def every_case(test):
    """Both kinds of functionals, with and without a core charge and a cutoff."""
    cases = [("lda-pz", False, None), ("pbe", False, CUTOFF), ("pbe", True, CUTOFF)]
    ids = ["lda", "pbe, cutoff", "pbe, core, cutoff"]
    return pytest.mark.parametrize(("functional", "core", "density_cutoff"), cases, ids=ids)(test)


# -------------------------------------------------------------------- the breakdown


def test_the_total_is_the_sum_of_the_terms(ldos, atoms, settings):
    energy = total_energy(
        ldos, ENERGIES, atoms=atoms, pseudopotentials=pseudopotentials("pbe", True), **settings
    )
    terms = [getattr(energy, name) for name in TERMS]
    assert all(isinstance(term, float) and term != 0 for term in terms)
    assert energy.total == pytest.approx(sum(terms), rel=1e-15)
    assert energy.one_electron == energy.band + energy.deband


def test_terms_are_those_of_the_functions_one_by_one(ldos, atoms, settings):
    energy = total_energy(
        ldos, ENERGIES, atoms=atoms, pseudopotentials=pseudopotentials("pbe"), **settings
    )
    cell, voxel = atoms.cell.array, atoms.cell.volume / (8 * 7 * 9)
    dos, state = voxel * ldos.sum(axis=(0, 1, 2)), {"temperature": 900.0}
    mu = state["fermi_level"] = physics.fermi_level(dos, ENERGIES, n_electrons=4.0, temperature=900)
    assert ENERGIES[0] < mu < ENERGIES[-1]
    n = physics.density(ldos, ENERGIES, **state)
    E_H, v_H = physics.hartree(n, cell)
    E_xc, v_xc = physics.exchange_correlation(n, cell, functional="pbe")
    expected = TotalEnergy(
        band=physics.band_energy(dos, ENERGIES, **state),
        deband=-voxel * np.sum(n * (v_H + v_xc)),
        hartree=E_H,
        xc=E_xc,
        ewald=physics.ewald(atoms.positions, cell, [1.0, 3.0]),
        minus_ts=physics.entropy(dos, ENERGIES, **state),
        fermi_level=mu,
    )
    for name in (*TERMS, "fermi_level"):
        assert getattr(energy, name) == pytest.approx(getattr(expected, name), rel=1e-12)


def test_the_core_charge_is_in_the_potential_but_not_in_what_it_acts_on(ldos, atoms, settings):
    with_core, cell = pseudopotentials("lda-pz", True), atoms.cell.array
    energy = total_energy(ldos, ENERGIES, atoms=atoms, pseudopotentials=with_core, **settings)
    without = total_energy(
        ldos, ENERGIES, atoms=atoms, pseudopotentials=pseudopotentials("lda-pz"), **settings
    )
    core = physics.core_charge(atoms.positions, cell, (8, 7, 9), atoms.symbols, with_core)
    n = physics.density(ldos, ENERGIES, temperature=900, fermi_level=energy.fermi_level)
    E_H, v_H = physics.hartree(n, cell)
    E_xc, v_xc = physics.exchange_correlation(n + core, cell, functional="lda-pz")
    voxel = atoms.cell.volume / n.size
    assert energy.hartree == pytest.approx(E_H, rel=1e-12)
    assert energy.xc == pytest.approx(E_xc, rel=1e-12)
    assert energy.deband == pytest.approx(-voxel * np.sum(n * (v_H + v_xc)), rel=1e-12)
    assert abs(energy.xc - without.xc) > 0.1
    assert abs(energy.deband - without.deband) > 0.1


def test_it_prints_with_the_names_of_pw():
    text = str(TotalEnergy(1.0, -2.0, 0.5, -3.0, -4.0, -0.1, fermi_level=8.0))
    rows = {line[:25].strip(): line[25:].split() for line in text.splitlines()[1:]}
    # The rows as pw.x 6.7 prints them, without its punctuation.
    assert list(rows)[:5] == [
        "one-electron contribution",
        "hartree contribution",
        "xc contribution",
        "ewald contribution",
        "smearing contrib. (-TS)",
    ]
    total = float(rows["total energy (A)"][0])
    assert total == pytest.approx(sum(float(row[0]) for row in list(rows.values())[:5]))
    assert float(rows["total energy (A)"][1]) == pytest.approx(total / RYDBERG, abs=1e-8)
    values = torch.tensor((1.0, -2.0, 0.5, -3.0, -4.0, -0.1, 8.0), requires_grad=True)
    tensors = TotalEnergy(*values)  # warnings, of lost gradients too, are errors
    assert str(tensors).splitlines()[1:3] == text.splitlines()[1:3]


# -------------------------------------------------------------------- symmetries


@every_case
def test_a_supercell_of_a_shifted_cell_has_eight_times_the_energy(
    ldos, atoms, settings, functional, core, density_cutoff
):
    known = {
        "pseudopotentials": pseudopotentials(functional, core),
        "density_cutoff": density_cutoff,
    }
    one = total_energy(ldos, ENERGIES, atoms=atoms, **settings, **known)
    settings["n_electrons"] *= 8
    steps = np.array([3, -2, 4])
    atoms.positions += steps / ldos.shape[:3] @ atoms.cell.array
    tiled = np.tile(np.roll(ldos, steps, axis=(0, 1, 2)), (2, 2, 2, 1))
    eight = total_energy(tiled, ENERGIES, atoms=atoms.repeat(2), **settings, **known)
    assert eight.fermi_level == pytest.approx(one.fermi_level, abs=1e-12)
    for name in TERMS:
        assert getattr(eight, name) == pytest.approx(8 * getattr(one, name), rel=1e-11)


# -------------------------------------------------------------------- gradients


@every_case
def test_gradients_are_finite_differences(
    ldos, atoms, settings, rng, functional, core, density_cutoff
):
    settings |= {
        "pseudopotentials": pseudopotentials(functional, core),
        "density_cutoff": density_cutoff,
    }

    def energy(ldos, positions, strain):
        deformation = torch.eye(3, dtype=torch.float64) + strain
        ions = SimpleNamespace(
            positions=positions @ deformation, cell=cell @ deformation, symbols=atoms.symbols
        )
        return total_energy(ldos, ENERGIES, atoms=ions, **settings).total

    cell = torch.as_tensor(atoms.cell.array)
    at = [torch.as_tensor(ldos), torch.as_tensor(atoms.positions), torch.zeros(3, 3).double()]
    at = [value.requires_grad_() for value in at]
    gradients = torch.autograd.grad(energy(*at), at)
    for i, (step, gradient) in enumerate(zip((1e-5, 1e-3, 1e-4), gradients, strict=True)):
        direction = torch.as_tensor(rng.standard_normal(at[i].shape))

        def moved(by, i=i, direction=direction):
            return energy(*(x + by * direction if j == i else x for j, x in enumerate(at)))

        # Five points: the error is of the fourth power of the step.
        slope = (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / 12
        expected = (gradient * direction).sum().item()
        assert abs(expected) > 0.1
        assert slope.item() / step == pytest.approx(expected, rel=2e-7)


def test_tensors_keep_their_gradients_and_arrays_become_floats(ldos, atoms, settings):
    settings |= {"atoms": atoms, "pseudopotentials": pseudopotentials("lda-pz")}
    plain = total_energy(ldos, ENERGIES, **settings)
    given = torch.as_tensor(ldos).requires_grad_()
    kept = total_energy(given, ENERGIES, **settings)
    assert isinstance(plain.total, float)
    assert kept.total.requires_grad
    assert kept.total.item() == plain.total
    with torch.no_grad():
        assert not total_energy(given, ENERGIES, **settings).total.requires_grad


def test_a_given_fermi_level_is_taken(ldos, atoms, settings):
    settings |= {"atoms": atoms, "pseudopotentials": pseudopotentials("lda-pz")}
    own = total_energy(ldos, ENERGIES, **settings)
    again = total_energy(ldos, ENERGIES, fermi_level=own.fermi_level, **settings)
    assert again == own
    other = total_energy(ldos, ENERGIES, fermi_level=own.fermi_level + 0.02, **settings)
    assert other.fermi_level == own.fermi_level + 0.02
    assert abs(other.band - own.band) > 1e-2


def test_an_ldos_on_disk_is_read_in_pieces(ldos, atoms, settings, tmp_path):
    np.save(tmp_path / "ldos.npy", ldos)
    on_disk = ArrayFile(tmp_path / "ldos.npy")
    settings |= {"atoms": atoms, "pseudopotentials": pseudopotentials("pbe")}
    expected = total_energy(ldos, ENERGIES, **settings)
    assert total_energy(on_disk, ENERGIES, **settings) == expected
    assert total_energy(on_disk.memmap(), ENERGIES, **settings) == expected


# -------------------------------------------------------------------- pw.x


@pytest.fixture(scope="module")
def aluminium():
    return load_aluminium()


def test_terms_of_the_density_of_pw_are_its_own(aluminium):
    valence = load_aluminium_pseudopotentials()
    for snapshot in aluminium:
        n = torch.as_tensor(snapshot.density, dtype=torch.float64)
        terms = density_terms(n, Structure.of(snapshot.atoms).to_tensors(), valence)
        found, reference = {k: v.item() for k, v in terms.items()}, snapshot.reference
        deband = reference["one_electron"] - reference["band_energy"]
        # pw.x prints to 1e-8 Ry, the density is stored in single precision: found 1e-7 eV.
        assert found["hartree"] == pytest.approx(reference["hartree"], abs=1e-6)
        assert found["xc"] == pytest.approx(reference["xc"], abs=1e-6)
        # Its Ewald sum ends at 1e-7 Ry or so: found 4e-6 eV.
        assert found["ewald"] == pytest.approx(reference["ewald"], abs=1e-5)
        # It uses the potential that went into the last step: found 1.4e-4 eV.
        assert found["deband"] == pytest.approx(deband, abs=5e-4)
        assert min(map(abs, found.values())) > 0.5


def test_terms_of_beryllium_with_its_core_charge_are_those_of_pw(shared_data):
    # Ultrasoft, PBE, with a core correction. The run ended after one iteration, so that its
    # density is not the one of its eigenvalues, and the deband term cannot be compared.
    folder = shared_data / "be2"
    snapshot = read_mala(None, folder / "Be_snapshot0.info.json", energies=None)
    n = torch.as_tensor(np.load(folder / "Be_snapshot0.dens.npy")[..., 0], dtype=torch.float64)
    valence = {"Be": read_upf(folder / "Be.pbe-n-rrkjus_psl.1.0.0.UPF")}
    ions = Structure.of(snapshot.atoms).to_tensors()
    terms = density_terms(n, ions, valence, density_cutoff=160 * RYDBERG)
    # Found 6e-8, 3e-6 and 4e-7 eV.
    for name, error in {"hartree": 2e-7, "xc": 6e-6, "ewald": 1e-6}.items():
        assert terms[name].item() == pytest.approx(snapshot.reference[name], abs=error)
        assert abs(terms[name].item()) > 0.05
    uncut = density_terms(n, ions, valence)
    assert abs(uncut["xc"].item() - snapshot.reference["xc"]) > 1e-4  # pw.x has a sphere


# -------------------------------------------------------------------- mistakes


NA = {"Na": Pseudopotential("Na", 1, functional="pbe")}
MISTAKES = [
    ({"pseudopotentials": {"Al": Pseudopotential("Al", 3)}}, "got none for Na, only for .'Al'."),
    ({"n_electrons": 5.0}, "n_electrons must be the sum of the valences .*, 4, got 5"),
    ({"functional": "b3lyp"}, "functional must be one of 'lda-pz', .*; got 'b3lyp'"),
    ({"pseudopotentials": pseudopotentials(None)}, r"functional is required .*got \['None'\]"),
    (
        {"pseudopotentials": {**NA, "Al": Pseudopotential("Al", 3)}},
        r"functional is required .*got \['None', 'pbe'\]",
    ),
    ({"pseudopotentials": pseudopotentials("B3LYP")}, "functional must be one of .*'B3LYP'"),
    ({"temperature": -1.0}, "temperature must be >= 0 K, got -1"),
    ({"density_cutoff": -5.0}, "density_cutoff must be > 0, got -5"),
    (
        {"pseudopotentials": {**NA, "Al": Pseudopotential("Al", 3, kind="paw")}},
        r"one-centre terms of PAW are not computed; got Pseudopotential\(Al",
    ),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_mistakes_are_named(ldos, atoms, settings, change, message):
    settings |= {"atoms": atoms, "pseudopotentials": pseudopotentials("pbe")}
    with pytest.raises(ValueError, match=message):
        total_energy(ldos, ENERGIES, **(settings | change))


def test_wrong_shapes_are_named(ldos, atoms, settings):
    settings |= {"atoms": atoms, "pseudopotentials": pseudopotentials("pbe")}
    with pytest.raises(ValueError, match=r"ldos must have shape \(n_x, .*got \(504, 15\)"):
        total_energy(ldos.reshape(-1, 15), ENERGIES, **settings)
    with pytest.raises(ValueError, match=r"must have shape .*n_energies"):
        total_energy([1.0, 2.0], ENERGIES, **settings)
    with pytest.raises(ValueError, match=r"one value per energy .* \(\.\.\., 14\), got \(15,\)"):
        total_energy(ldos, ENERGIES[1:], **settings)
    ldos[1, 2, 3, 4] = np.nan
    with pytest.raises(ValueError, match="the sum of ldos over the grid must be finite"):
        total_energy(ldos, ENERGIES, **settings)


def test_energies_that_end_too_early_are_named(ldos, atoms, settings):
    settings |= {"atoms": atoms, "pseudopotentials": pseudopotentials("pbe")}
    with pytest.raises(FermiLevelError, match="no Fermi level inside the energies"):
        total_energy(0.1 * ldos, ENERGIES, **settings)


def test_what_is_no_structure_is_named(ldos, settings):
    settings |= {"pseudopotentials": pseudopotentials("pbe")}
    with pytest.raises(TypeError, match="positions, cell and symbols, got dict without positions"):
        total_energy(ldos, ENERGIES, atoms={}, **settings)


def test_a_functional_that_is_asked_for_goes_first(ldos, atoms, settings):
    settings |= {"atoms": atoms, "pseudopotentials": pseudopotentials("pbe")}
    asked = total_energy(ldos, ENERGIES, functional="lda-pz", **settings)
    settings["pseudopotentials"] = pseudopotentials("lda-pz")
    assert asked == total_energy(ldos, ENERGIES, **settings)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_a_fermi_level_that_does_not_hold_the_electrons_is_noticed(
    ldos, atoms, settings, as_tensor, recwarn
):
    voxel = atoms.cell.volume / np.prod(ldos.shape[:3])
    dos = physics.dos_from_ldos(ldos, voxel)
    given = torch.from_numpy(ldos) if as_tensor else ldos
    settings |= {"atoms": atoms, "pseudopotentials": pseudopotentials("lda-pz")}
    n, T = settings["n_electrons"], settings["temperature"]
    for factor, noticed in ((1 / 3, 0), (-1 / 3, 0), (3, 1), (-3, 1)):
        off = factor * ELECTRON_TOLERANCE
        mu = physics.fermi_level(dos, ENERGIES, n_electrons=(1 + off) * n, temperature=T)
        energy = total_energy(given, ENERGIES, fermi_level=mu, **settings)
        assert energy.fermi_level == mu
        assert len(recwarn) == noticed
        if noticed:
            message = str(recwarn.pop(UserWarning).message)
            assert f"holds {(1 + off) * n:.6g} electrons instead of n_electrons={n:g}" in message


@pytest.mark.parametrize("part", [2.9, 3.1, 13.6])
def test_a_cutoff_far_below_what_the_grid_holds_warns(part, recwarn):
    # The grid of 18 points along 4.0495 Å holds waves of up to ħ²/2m (18π / 4.0495 Å)².
    held = (18 * np.pi / 4.0495 * 0.529177210903) ** 2 * RYDBERG
    snapshot = load_aluminium(temperature=298)[0]
    total_energy(
        snapshot.ldos,
        snapshot.energies,
        atoms=snapshot.atoms,
        temperature=298,
        n_electrons=12,
        pseudopotentials=load_aluminium_pseudopotentials(),
        density_cutoff=held / part,
    )
    messages = [str(w.message) for w in recwarn]
    assert len(messages) == (part > 3)
    if part > 3:
        assert f"density_cutoff={held / part:g} eV leaves out most" in messages[0]
        assert f"holds those up to {held:.4g} eV: is it in eV" in messages[0]
