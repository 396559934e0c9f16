"""DOSDisplay: stored numbers, and drawing."""

import numpy as np
import pytest

from skldos import Snapshot, SnapshotList, evaluate, predict_dos
from skldos.datasets import make_snapshots
from skldos.plotting import DOSDisplay


def arrays(snapshots):
    """Return arguments of from_predictions for predictions that are 1 % too large."""
    true = [snapshot.dos() for snapshot in snapshots]
    options = {"energies": snapshots[0].energies, "n_atoms": 4}
    state = {"temperature": 298.0, "n_electrons": 12.0}
    return true, [1.01 * dos for dos in true], options | state


def test_from_predictions_holds_dos_per_atom_and_fermi_levels(snapshots):
    true, predicted, options = arrays(snapshots)
    display = DOSDisplay.from_predictions(true, predicted, **options)
    np.testing.assert_allclose(display.dos_true, np.array(true) / 4)
    np.testing.assert_allclose(display.dos_pred, np.array(predicted) / 4)
    expected = [snapshot.reference["fermi_energy"] for snapshot in snapshots]
    np.testing.assert_allclose(display.fermi_level_true, expected, atol=1e-4)
    # More states hold the electrons below a lower level.
    assert (display.fermi_level_pred < display.fermi_level_true - 0.01).all()
    assert display.ax_.figure is display.figure_
    assert display.residual_ax_.figure is display.figure_


def test_from_estimator_equals_from_predictions(model, snapshots):
    by_model = DOSDisplay.from_estimator(model, snapshots)
    true, _, options = arrays(snapshots)
    by_arrays = DOSDisplay.from_predictions(true, predict_dos(model, snapshots), **options)
    for name in ("energies", "dos_true", "dos_pred", "fermi_level_true", "fermi_level_pred"):
        np.testing.assert_allclose(getattr(by_model, name), getattr(by_arrays, name))
    table = evaluate(model, snapshots)
    np.testing.assert_allclose(by_model.fermi_level_pred, table["fermi_level"])


def test_from_estimator_takes_precomputed_blocks(model, snapshots):
    by_blocks = DOSDisplay.from_estimator(model[-1], model[:-1].transform(snapshots))
    by_snapshots = DOSDisplay.from_estimator(model, snapshots)
    for name in ("dos_true", "dos_pred", "fermi_level_true", "fermi_level_pred"):
        np.testing.assert_allclose(getattr(by_blocks, name), getattr(by_snapshots, name), 1e-6)


def test_from_estimator_takes_targets_apart_from_the_snapshots(model, snapshots):
    doubled = [2 * snapshot.ldos for snapshot in snapshots]
    display = DOSDisplay.from_estimator(model, snapshots, doubled)
    true = np.array([snapshot.dos() for snapshot in snapshots])
    np.testing.assert_allclose(display.dos_true, 2 * true / 4, rtol=1e-6)


def test_prediction_alone(model, snapshots):
    bare = [
        Snapshot(
            snapshot.atoms,
            grid_shape=snapshot.grid_shape,
            energies=snapshot.energies,
            temperature=298.0,
            n_electrons=12.0,
        )
        for snapshot in snapshots
    ]
    display = DOSDisplay.from_estimator(model, bare, align_fermi=True)
    assert display.dos_true is None
    assert display.residual_ax_ is None
    assert len(display.ax_.get_legend().get_texts()) == 1 + len(bare)


def test_without_electrons_there_is_no_fermi_level(snapshots):
    true, predicted, options = arrays(snapshots)
    display = DOSDisplay.from_predictions(true, predicted, **options | {"n_electrons": None})
    assert display.fermi_level_true is None
    with pytest.raises(ValueError, match="align_fermi needs Fermi levels"):
        display.plot(align_fermi=True)


def test_units_on_the_axes(snapshots):
    true, predicted, options = arrays(snapshots)
    display = DOSDisplay.from_predictions(true[0], predicted[0], **options)
    assert display.ax_.get_ylabel() == "DOS (1/(eV atom))"
    assert display.residual_ax_.get_xlabel() == "E (eV)"
    display.plot(align_fermi=True, residual=False)
    assert display.ax_.get_xlabel() == "E − μ (eV)"


def test_lines_show_the_numbers(snapshots):
    true, predicted, options = arrays(snapshots)
    display = DOSDisplay.from_predictions(true[0], predicted[0], **options)
    drawn_true, drawn_predicted, level_true, level_predicted = display.ax_.lines
    np.testing.assert_allclose(drawn_true.get_ydata(), true[0] / 4)
    np.testing.assert_allclose(drawn_predicted.get_ydata(), predicted[0] / 4)
    assert level_true.get_xdata()[0] == display.fermi_level_true[0]
    assert level_predicted.get_xdata()[0] == display.fermi_level_pred[0]
    difference = display.residual_ax_.lines[-1].get_ydata()
    np.testing.assert_allclose(difference, 10 * true[0] / 4, atol=1e-9)


def test_align_fermi_puts_the_true_level_at_zero_and_offset_shifts_up(snapshots):
    true, predicted, options = arrays(snapshots[:2])
    display = DOSDisplay.from_predictions(
        true, predicted, **options, align_fermi=True, offset=0.5, residual=False
    )
    first, second = display.ax_.lines[0], display.ax_.lines[4]
    np.testing.assert_allclose(
        first.get_xdata(), snapshots[0].energies - display.fermi_level_true[0]
    )
    np.testing.assert_allclose(second.get_ydata(), true[1] / 4 + 0.5)
    assert display.ax_.lines[2].get_xdata()[0] == 0


def test_shade_holds_the_electrons(snapshots):
    true, predicted, options = arrays(snapshots[:1])
    display = DOSDisplay.from_predictions(true, predicted, **options)
    (area,) = display.ax_.collections
    x, y = area.get_paths()[0].vertices.T
    # The shoelace formula; the DOS per atom below the Fermi level holds three electrons, but
    # for the tail below the energies that a picture does not show.
    shaded = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    assert shaded == pytest.approx(3.0, rel=1e-2)
    assert not DOSDisplay.from_predictions(true, predicted, **options, shade=False).ax_.collections


def test_default_labels(model, snapshots):
    def legend(chosen):
        display = DOSDisplay.from_estimator(model, chosen)
        return [text.get_text() for text in display.ax_.get_legend().get_texts()][2:]

    hot = make_snapshots(1, temperature=933.0, random_state=1)
    assert legend(snapshots[:2]) == ["snapshot 0", "snapshot 1"]
    assert legend(snapshots[:1] + hot) == ["298 K", "933 K"]
    assert legend(snapshots[:1]) == []
    named = SnapshotList([s.replace(name=f"run {i}") for i, s in enumerate(snapshots[:2])])
    assert legend(named) == ["run 0", "run 1"]
    assert legend([named[0], named[0]]) == ["snapshot 0", "snapshot 1"]


def test_a_level_outside_the_energies_is_left_out_with_a_warning(snapshots):
    true, predicted, options = arrays(snapshots[:1])
    with pytest.warns(UserWarning, match=r"no Fermi level for dos_pred\[0\]"):
        display = DOSDisplay.from_predictions(true, 0.1 * np.array(predicted), **options)
    assert np.isnan(display.fermi_level_pred[0])
    assert len(display.ax_.lines) == 3


def test_sharpen_undoes_the_broadening_of_both(model, broadened):
    display = DOSDisplay.from_estimator(model, broadened, sharpen=1)
    table = evaluate(model, broadened, sharpen=1)
    np.testing.assert_allclose(display.fermi_level_true, table["fermi_level_true"])
    np.testing.assert_allclose(display.fermi_level_pred, table["fermi_level"])
    plain = DOSDisplay.from_estimator(model, broadened)
    assert np.abs(display.dos_true - plain.dos_true).max() > 1e-3
