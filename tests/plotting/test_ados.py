"""ADOSDisplay: accuracy of the sum over atoms, and drawing."""

import numpy as np
import pytest
from sklearn.base import clone

from skldos import ADOSDecomposer
from skldos.datasets import make_snapshots
from skldos.plotting import ADOSDisplay
from tests.plotting.displays import legend_of


@pytest.fixture(scope="module")
def blocks(snapshots):
    return ADOSDecomposer().fit_transform(snapshots)


@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("partition", ["gaussian", "nearest"])
def test_atoms_add_up_to_the_dos(snapshots, dtype, error, partition):
    decomposer = ADOSDecomposer(partition=partition, dtype=dtype)
    display = ADOSDisplay.from_decomposer(decomposer, snapshots)
    # Errors of rounding, in per cent: 2e-16 and 6e-8, a few of them.
    assert display.error.shape == (3,)
    assert display.error.max() < error
    np.testing.assert_allclose(display.dos_true, [s.dos() / 4 for s in snapshots])
    assert [block.shape for block in display.ados] == 3 * [(4, 21)]
    assert np.abs(np.diff(display.ados[0], axis=0)).max() > 1e-4  # atoms that differ


def test_fitted_or_not_it_stays_as_it_was(snapshots):
    bare, fitted = ADOSDecomposer(0.8), ADOSDecomposer(0.8).fit(make_snapshots(1, n_energies=5))
    energies = fitted.energies_
    by_bare, by_fitted = (ADOSDisplay.from_decomposer(d, snapshots) for d in (bare, fitted))
    np.testing.assert_array_equal(by_bare.ados, by_fitted.ados)
    np.testing.assert_array_equal(by_bare.ados, list(clone(bare).fit_transform(snapshots)))
    assert not hasattr(bare, "energies_")
    assert fitted.energies_ is energies


def test_error_is_the_part_of_the_states_that_is_wrong(snapshots, blocks):
    true = np.array([s.dos() for s in snapshots])
    display = ADOSDisplay.from_predictions(true / 1.02, blocks, energies=snapshots[0].energies)
    np.testing.assert_allclose(display.error, 2.0)
    alone = ADOSDisplay.from_predictions(None, blocks, energies=snapshots[0].energies)
    assert alone.error is None
    assert alone.residual_ax_ is None
    assert legend_of(alone)[0] == "sum of the atoms"


def test_lines_show_the_numbers(snapshots, blocks):
    true, energies = snapshots[0].dos(), snapshots[0].energies
    display = ADOSDisplay.from_predictions(1.001 * true, blocks[:1], energies=energies)
    *atoms, whole, total = display.ax_.lines
    np.testing.assert_array_equal([line.get_ydata() for line in atoms], blocks[0])
    np.testing.assert_allclose(whole.get_ydata(), 1.001 * true / 4)
    np.testing.assert_allclose(total.get_ydata(), true / 4)
    np.testing.assert_allclose(np.mean([a.get_ydata() for a in atoms], axis=0), true / 4)
    # The panel says what its numbers are to be multiplied by.
    difference = display.residual_ax_.lines[-1].get_ydata()
    np.testing.assert_allclose(1e-4 * difference, -1e-3 * true / 4, atol=1e-12)
    assert display.residual_ax_.get_ylabel() == "Δ ($10^{-4}$/\n(eV atom))"
    assert 1 <= np.abs(difference).max() < 10
    assert display.ax_.get_ylabel() == "DOS (1/(eV atom))"
    assert legend_of(display) == ["from the LDOS", "sum of the atoms", "each atom"]


def test_elements_have_a_line_each(snapshots):
    atoms = snapshots[0].atoms.copy()
    atoms.symbols[1:] = "Mg"
    alloy = snapshots[0].replace(atoms=atoms)
    display = ADOSDisplay.from_decomposer(ADOSDecomposer(), [alloy], atoms="elements")
    al, mg, _, total = display.ax_.lines
    np.testing.assert_array_equal(al.get_ydata(), display.ados[0][0])
    mean = (al.get_ydata() + 3 * mg.get_ydata()) / 4
    np.testing.assert_allclose(mean, total.get_ydata(), rtol=1e-12)
    assert np.abs(al.get_ydata() - mg.get_ydata()).max() > 1e-4
    assert legend_of(display) == ["from the LDOS", "sum of the atoms", "each Al", "each Mg"]


def test_several_snapshots_have_names(snapshots):
    hot = make_snapshots(1, temperature=933.0, random_state=1)
    display = ADOSDisplay.from_decomposer(ADOSDecomposer(), snapshots[:1] + hot, atoms=None)
    assert legend_of(display)[2:] == ["298 K", "933 K"]
    assert len(display.ax_.lines) == 4
    named = ADOSDisplay.from_decomposer(ADOSDecomposer(), snapshots[:1], labels=["Al4"])
    assert named.ax_.get_title() == "Al4"
