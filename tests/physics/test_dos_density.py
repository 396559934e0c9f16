import itertools

import numpy as np
import pytest
import torch

from skldos.physics import (
    band_energy,
    density,
    dos_from_ldos,
    entropy,
    fermi_level,
    integrated_ldos,
    integration_weights,
    ldos_at,
    n_electrons,
)
from skldos.physics.arrays import slabs

E = np.linspace(-2, 10, 61)
RNG = np.random.default_rng(0)
DOS = 1 + RNG.random(61)
AT = {"temperature": 1500.0, "fermi_level": 5.05}


def at_constant_electrons(dos, quantities, energies=E, temperature=1500.0):
    """Sum of quantities at the Fermi level of the same DOS, which holds 9 electrons."""
    mu = fermi_level(dos, energies, temperature=temperature, n_electrons=9.0)
    return sum(q(dos, energies, temperature=temperature, fermi_level=mu) for q in quantities)


def test_integrals_are_sums_with_the_weights():
    w = {q: integration_weights(E, quantity=q, **AT) @ DOS for q in ("electrons", "energy")}
    assert n_electrons(DOS, E, **AT) == pytest.approx(w["electrons"], rel=1e-14)
    expected = w["energy"] + AT["fermi_level"] * w["electrons"]
    assert band_energy(DOS, E, **AT) == pytest.approx(expected, rel=1e-14)
    minus_ts = integration_weights(E, quantity="entropy", **AT) @ DOS
    assert minus_ts < -0.01
    assert entropy(DOS, E, **AT) == pytest.approx(minus_ts, rel=1e-14)


@pytest.mark.parametrize("quantities", [[band_energy], [entropy], [band_energy, entropy]])
@pytest.mark.parametrize("temperature", [300.0, 2e4])
def test_gradients_by_finite_differences(quantities, temperature):
    dos = torch.tensor(DOS[::6] * [[1.0], [1.4]], requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda dos: at_constant_electrons(dos, quantities, E[::6], temperature), dos, atol=1e-7
    )


def test_batches_equal_loops():
    dos = RNG.random((3, 2, 61))
    T, mu = np.array([300.0, 3000.0]), np.array([[2.0], [3.0], [4.0]])
    for function in (n_electrons, band_energy, entropy):
        values = function(dos, E, temperature=T, fermi_level=mu)
        assert values.shape == (3, 2)
        for i in range(3):
            for j in range(2):
                one = function(dos[i, j], E, temperature=T[j], fermi_level=mu[i, 0])
                assert isinstance(one, np.float64)
                assert values[i, j] == pytest.approx(one, rel=1e-13)


@pytest.mark.parametrize("function", [n_electrons, band_energy, entropy])
def test_kinds_and_dtypes(function):
    value = function(DOS, E, **AT)
    tensor = function(torch.tensor(DOS, dtype=torch.float64), E, **AT)
    assert torch.is_tensor(tensor)
    assert tensor.shape == ()
    assert tensor.item() == pytest.approx(value, rel=1e-15)
    single = function(DOS.astype(np.float32), E, **AT)
    assert single.dtype == np.float64
    assert single == pytest.approx(value, rel=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_everything_stays_on_the_gpu():
    ldos = torch.rand((4, 4, 4, 61), device="cuda", requires_grad=True)
    dos = dos_from_ldos(ldos, 0.1)
    mu = fermi_level(dos, E, temperature=300, n_electrons=9.0)
    at = {"temperature": 300, "fermi_level": mu}
    total = band_energy(dos, E, **at) + entropy(dos, E, **at) + density(ldos, E, **at).sum()
    assert total.device.type == "cuda"
    total.backward()
    assert ldos.grad.abs().max() > 0


# Grid ---------------------------------------------------------------------------------------


def make_ldos(shape=(5, 4, 3), dtype=np.float32):
    return (RNG.random((*shape, 61)) + 0.1).astype(dtype)


def test_dos_and_density_are_consistent():
    ldos, voxel_volume = make_ldos(), 0.02
    dos = dos_from_ldos(ldos, voxel_volume)
    np.testing.assert_allclose(
        dos, ldos.astype(np.float64).sum((0, 1, 2)) * voxel_volume, rtol=1e-14
    )
    n = density(ldos, E, **AT)
    assert n.shape == (5, 4, 3)
    assert n.dtype == np.float64
    assert n.sum() * voxel_volume == pytest.approx(n_electrons(dos, E, **AT), rel=1e-13)
    assert n_electrons(dos, E, **AT) > 1
    # Grid or block, the same numbers.
    block = ldos.reshape(-1, 61)
    np.testing.assert_allclose(dos_from_ldos(block, voxel_volume), dos, rtol=1e-14)
    np.testing.assert_array_equal(density(block, E, **AT), n.ravel())
    assert density(block[7], E, **AT) == pytest.approx(n.ravel()[7], rel=1e-15)


def test_pieces_cover_the_array():
    ldos = make_ldos((7, 2, 2))
    for size in (1, 300, 1000, 10**6):
        pieces = list(slabs("ldos", ldos, size=size))
        assert len(pieces) == -(-7 // max(1, size // (4 * 61)))
        assert all(piece.dtype == torch.float64 for piece in pieces)
        np.testing.assert_array_equal(torch.cat(pieces).numpy(), ldos)


def test_memory_maps_are_read_in_any_order(tmp_path):
    ldos = make_ldos()
    for order in "CF":
        path = tmp_path / f"{order}.npy"
        np.save(path, np.asarray(ldos, order=order))
        mapped = np.load(path, mmap_mode="r")
        np.testing.assert_array_equal(density(mapped, E, **AT), density(ldos, E, **AT))
        np.testing.assert_allclose(
            dos_from_ldos(mapped, 0.02), dos_from_ldos(ldos, 0.02), rtol=1e-14
        )


def test_density_takes_levels_of_batches():
    ldos = make_ldos((2, 3, 4, 5))
    mu = np.array([3.0, 5.0])
    n = density(ldos, E, temperature=300, fermi_level=mu)
    assert n.shape == (2, 3, 4, 5)
    for i in range(2):
        one = density(ldos[i], E, temperature=300, fermi_level=mu[i])
        np.testing.assert_allclose(n[i], one, rtol=1e-13)


def test_gradients_of_the_grid_by_finite_differences():
    # Through the DOS, the Fermi level, the density and the energies at once.
    ldos = torch.tensor(make_ldos((2, 1, 2), np.float64)[..., ::6], requires_grad=True)
    energies = E[::6]

    def function(ldos):
        dos = dos_from_ldos(ldos, 1.3)
        mu = fermi_level(dos, energies, temperature=3000, n_electrons=9.0)
        at = {"temperature": 3000, "fermi_level": mu}
        return density(ldos, energies, **at), band_energy(dos, energies, **at)

    assert torch.autograd.gradcheck(function, ldos, atol=1e-7)


def test_single_precision_gets_single_precision_gradients():
    ldos = torch.tensor(make_ldos(), requires_grad=True)
    density(ldos, E, **AT).sum().backward()
    assert ldos.grad.dtype == torch.float32
    w = integration_weights(E, **AT)
    np.testing.assert_allclose(ldos.grad[0, 0, 0].numpy(), w, rtol=1e-6, atol=1e-9)


def test_errors():
    with pytest.raises(ValueError, match=r"shape \(\.\.\., 61\), got \(5, 4, 3, 60\)"):
        density(make_ldos()[..., :60], E, **AT)
    with pytest.raises(ValueError, match=r"ldos must begin with the axes \(2,\)"):
        density(make_ldos(), E, temperature=300, fermi_level=[1.0, 2.0])
    with pytest.raises(ValueError, match="grid axes before the energy axis"):
        dos_from_ldos(DOS, 1.0)
    with pytest.raises(ValueError, match="voxel_volume must be > 0, got -1"):
        dos_from_ldos(make_ldos(), -1.0)
    for function in (n_electrons, band_energy, entropy):
        with pytest.raises(ValueError, match=r"leading axes must broadcast, got dos \(3,\)"):
            function(np.ones((3, 61)), E, temperature=300, fermi_level=[1.0, 2.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, -1])
def test_values_that_are_no_numbers_do_not_pass(bad, at):
    ldos = make_ldos()
    ldos[..., at].flat[5] = bad  # where the occupation is one, and where it is none
    for take in (lambda: density(ldos, E, **AT), lambda: dos_from_ldos(ldos, 0.5)):
        with pytest.raises(ValueError, match="must be finite, got 1 NaN or infinite"):
            take()


def test_states_in_windows_add_up_to_those_that_are_occupied(rng):
    energies = np.sort(rng.uniform(-5, 5, size=9))
    ldos = rng.random((2, 3, 9))
    cuts = [-20.0, -2.0, 0.3, 0.31, 20.0]
    parts = [integrated_ldos(ldos, energies, *ends) for ends in itertools.pairwise(cuts)]
    at_zero = {"temperature": 0.0}
    total = density(ldos, energies, fermi_level=20.0, **at_zero)
    np.testing.assert_allclose(sum(parts), total, rtol=1e-12)
    below = density(ldos, energies, fermi_level=0.3, **at_zero)
    np.testing.assert_allclose(parts[0] + parts[1], below, rtol=1e-12)
    # A narrow window holds the states at its middle, which is between two energies.
    narrow = integrated_ldos(ldos, energies, 0.3 - 1e-4, 0.3 + 1e-4) / 2e-4
    np.testing.assert_allclose(ldos_at(ldos, energies, 0.3), narrow, rtol=1e-3)
    for k in (0, 4, 8):
        np.testing.assert_allclose(ldos_at(ldos, energies, energies[k]), ldos[..., k])
