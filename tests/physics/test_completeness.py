import numpy as np
import pytest
import torch

from skldos.physics import electron_deficit, fermi_level, n_electrons

E = np.linspace(-6, 10, 161)
DOS = np.sqrt(np.clip(E + 5, 0, None))
KNOWN = {"temperature": 700.0, "n_electrons": 9.0}
MU = float(fermi_level(DOS, E, **KNOWN))


def test_nothing_lacks_at_the_level_of_the_dos_itself():
    assert electron_deficit(DOS, E, fermi_level=MU, **KNOWN) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("start", [-4.0, -2.5, 0.0])
def test_finds_what_a_grid_that_starts_too_high_cuts_off(start):
    cut = start <= E
    lost = electron_deficit(DOS[cut], E[cut], fermi_level=MU, **KNOWN)
    held = n_electrons(DOS[cut], E[cut], temperature=700.0, fermi_level=MU)
    assert lost == pytest.approx(9 - held, rel=1e-13)
    # all electrons below the start, but for the ghost node
    assert lost == pytest.approx(2 / 3 * (start + 5) ** 1.5, abs=0.15)
    assert lost > 0.5


@pytest.mark.parametrize("scale", [13.605693, 1 / 13.605693])
def test_finds_other_units(scale):
    lost = electron_deficit(scale * DOS, E, fermi_level=MU, **KNOWN)
    assert lost == pytest.approx(9 * (1 - scale), rel=1e-12)


def test_width_is_what_a_shifted_level_explains():
    shifted = {width: electron_deficit(DOS, E, fermi_level=MU + 0.4, width=width, **KNOWN)
               for width in (0.0, 0.3, 0.4001)}  # fmt: skip
    too_many = n_electrons(DOS, E, temperature=700.0, fermi_level=MU + 0.4) - 9
    rest = n_electrons(DOS, E, temperature=700.0, fermi_level=MU + 0.1) - 9
    assert too_many > 3 * rest > 0.3
    assert shifted[0.0] == pytest.approx(-too_many, rel=1e-12)
    assert shifted[0.3] == pytest.approx(-rest, rel=1e-12)
    assert shifted[0.4001] == 0
    assert electron_deficit(DOS, E, fermi_level=MU - 0.4, width=0.3, **KNOWN) > 0.1


def test_batches_and_gradients():
    dos = torch.tensor(np.stack([DOS, 0.5 * DOS]), requires_grad=True)
    lost = electron_deficit(dos, E, fermi_level=[MU, MU], temperature=700.0, n_electrons=9.0)
    np.testing.assert_allclose(lost.detach(), [0, 4.5], atol=1e-12)
    lost.sum().backward()
    assert dos.grad[1].abs().max() > 0


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"width": -0.1}, "width must be finite and >= 0"),
        ({"n_electrons": 0.0}, "n_electrons"),
        ({"temperature": -1.0}, "temperature"),
    ],
)
def test_refuses(wrong, match):
    with pytest.raises(ValueError, match=match):
        electron_deficit(DOS, E, **({"fermi_level": MU} | KNOWN | wrong))
