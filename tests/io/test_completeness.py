"""Check that an LDOS covers all levels of its calculation, and contains them."""

from pathlib import Path

import numpy as np
import pytest

from skldos import EnergyGrid
from skldos.io import read_espresso, wavefunction_ldos
from skldos.io.espresso.completeness import MAX_LOST_FRACTION, electrons_below, electrons_between
from skldos.io.espresso.xml import read_xml
from skldos.physics import broadening
from skldos.units import BOHR, RYDBERG

SILICON = Path(__file__).parent / "data" / "wfc_silicon.save"
#: Eight electrons from -5.33 eV on; all bands are there up to 14.97 eV.
RUN = read_xml(SILICON / "data-file-schema.xml")
LOWEST = RUN.eigenvalues.min()


def grid(start, *, broadening=0.3, kernel="gaussian", stop=13.0):
    return EnergyGrid(np.arange(start, stop, 0.2), broadening=broadening, kernel=kernel)


@pytest.fixture(scope="module")
def ldos():
    return wavefunction_ldos(SILICON, grid(-8.0))


def test_complete_energies_are_not_warned_of(ldos):
    snapshot = read_espresso(SILICON, ldos=ldos, energies=grid(-8.0))
    assert snapshot.dos()[0] == 0


@pytest.mark.parametrize("start", [-4.0, -1.6, 3.0])
def test_energies_that_begin_above_the_lowest_level(ldos, start):
    energies = grid(start)
    below = RUN.weights @ (RUN.occupations * (RUN.eigenvalues < start)).sum(axis=1)
    message = rf"lowest level lies at -5\.33 eV, but the energies begin at {start:.2f} eV: "
    cut = np.ascontiguousarray(ldos[..., -len(energies) :])
    for read in (
        lambda: read_espresso(SILICON, ldos="wavefunctions", energies=energies),
        lambda: read_espresso(SILICON, ldos=cut, energies=energies),
        lambda: wavefunction_ldos(SILICON, energies),
    ):
        with pytest.warns(UserWarning, match=message) as caught:
            read()
        assert len(caught) == 1
        lost = float(str(caught[0].message).split(" eV: ")[1].split(" of the 8")[0])
        assert lost == pytest.approx(below, abs=1.0)
        assert lost > 0.01
    assert caught[0].filename == __file__


def test_energies_that_end_below_the_fermi_level():
    stop = RUN.fermi_energy + 0.1
    wavefunction_ldos(SILICON, grid(-8.0, stop=stop + 0.2))
    with pytest.warns(UserWarning, match="energies end at .* eV, below the Fermi level of the run"):
        wavefunction_ldos(SILICON, grid(-8.0, stop=stop - 0.2))


@pytest.mark.parametrize("kernel", ["gaussian", "fermi-dirac"])
def test_electrons_below_are_those_of_the_broadened_levels(kernel):
    energies = grid(-3.0, kernel=kernel)
    fine = EnergyGrid(np.arange(-40, -3.1, 1e-3), broadening=0.3, kernel=kernel)
    distance = fine.values - RUN.eigenvalues[..., None]
    peaks = broadening(distance, width=0.3, kernel=kernel).sum(axis=-1) * 1e-3
    expected = RUN.weights @ (RUN.occupations * peaks).sum(axis=1)
    assert electrons_below(RUN, energies) == pytest.approx(expected, rel=2e-3)
    assert expected > 0.1


def test_the_threshold_is_a_thousandth_of_the_electrons():
    starts = np.arange(LOWEST - 2, LOWEST + 2, 0.005)
    lost = np.array([electrons_below(RUN, grid(start)) for start in starts]) / 8
    above, below = (starts[np.abs(lost - part * MAX_LOST_FRACTION).argmin()] for part in (3, 1 / 3))
    assert above > below
    with pytest.warns(UserWarning, match="the lowest level lies at"):
        wavefunction_ldos(SILICON, grid(above))
    wavefunction_ldos(SILICON, grid(below))


def test_both_ends_are_one_warning(ldos):
    energies = grid(-2.0, stop=16.0)
    zeros = np.zeros((*ldos.shape[:3], len(energies)), dtype=np.float32)
    zeros[..., : ldos.shape[-1] - 30] = ldos[..., 30:]
    with pytest.warns(UserWarning, match=r"bands starts at 14\.97 eV.*; and the lowest level"):
        read_espresso(SILICON, ldos=zeros, energies=energies)


@pytest.mark.parametrize("scale", [1 / RYDBERG, RYDBERG, BOHR**3, 0.97, 1.03])
def test_an_ldos_in_other_units_is_warned_of(ldos, scale):
    with pytest.warns(UserWarning, match="LDOS holds .* electrons below the Fermi level") as caught:
        read_espresso(SILICON, ldos=scale * ldos, energies=grid(-8.0))
    words = str(caught[0].message).split()
    held, expected = float(words[3]), float(words[words.index("hold") + 1].rstrip(":"))
    assert held == pytest.approx(scale * expected, rel=1e-4)
    assert expected == pytest.approx(8, abs=0.3)


@pytest.mark.parametrize(("excess", "warns"), [(0.98, False), (1.02, True), (-0.98, False)])
def test_an_ldos_that_holds_one_per_cent_more_electrons(ldos, excess, warns, recwarn):
    read_espresso(SILICON, ldos=0.97 * ldos, energies=grid(-8.0))
    words = str(recwarn.pop(UserWarning).message).split()
    held, expected = float(words[3]), float(words[words.index("hold") + 1].rstrip(":"))
    # Of eight electrons one per cent is 0.08.
    factor = (expected + 0.08 * excess) / (held / 0.97)
    read_espresso(SILICON, ldos=factor * ldos, energies=grid(-8.0))
    assert bool(recwarn.list) == warns


def test_another_broadening_is_warned_of_where_it_moves_electrons(ldos):
    other = grid(-8.0, broadening=2.0, kernel="fermi-dirac", stop=13.0)
    with (
        pytest.warns(UserWarning, match="the lowest level lies at"),
        pytest.warns(UserWarning, match=r"broadened differently\?"),
    ):
        read_espresso(SILICON, ldos=ldos, energies=other)


def test_electrons_between_two_windows_are_those_of_the_levels_there():
    # Both ends of the gap lie within the occupied bands of silicon.
    low, high = np.arange(-8.0, -2.1, 0.2), np.arange(1.0, 13.0, 0.2)
    windows = EnergyGrid.joined(*(EnergyGrid(v, broadening=0.3) for v in (low, high)))
    inside = (RUN.eigenvalues > low[-1]) & (RUN.eigenvalues < high[0])
    expected = RUN.weights @ (RUN.occupations * inside).sum(axis=1)
    assert 0.1 < expected < 7
    assert electrons_between(RUN, windows) == pytest.approx(expected, abs=1e-12)
