"""DensityDisplay: stored numbers, and drawing."""

import numpy as np
import pytest

from skldos import DensityScorer, evaluate, physics, predict_density
from skldos.plotting import DensityDisplay
from tests.plotting.displays import legend_of

CELL = np.array([[4.0, 0.0, 0.0], [1.5, 5.0, 0.0], [-1.0, 1.0, 6.0]])


@pytest.fixture
def fields(rng):
    """Return two positive fields on a grid of three different lengths, of a few per cent apart."""
    true = rng.uniform(0.1, 0.3, (4, 5, 6))
    return true, true * rng.uniform(0.97, 1.03, true.shape)


def test_errors_in_the_legend():
    true = np.full((2, 2, 2), 0.2)
    pred = true.copy()
    pred[0, 0, 0], pred[1, 1, 1] = 0.22, 0.16
    display = DensityDisplay.from_predictions(true, pred)
    np.testing.assert_allclose(display.errors, (0.04, 0.0075, 3.75))
    assert legend_of(display) == ["max 0.04/Å³", "MAE 0.0075/Å³", "MAPE 3.75 %"]


@pytest.mark.parametrize("sharpen", [0, 1])
@pytest.mark.parametrize("reference", ["ldos", "dft"])
def test_from_estimator_equals_from_predictions(model, broadened, reference, sharpen):
    snapshots = broadened
    options = {"reference": reference, "sharpen": sharpen}
    by_model = DensityDisplay.from_estimator(model, snapshots, **options)
    np.testing.assert_array_equal(
        by_model.density_pred, predict_density(model, snapshots, sharpen=sharpen)
    )
    table = evaluate(model, snapshots, density=True, **options)
    largest, mean, percentage = by_model.errors
    assert largest == pytest.approx(table["density_max_error"].max())
    assert mean == pytest.approx(table["density_mean_error"].mean())
    assert percentage == pytest.approx(-DensityScorer(**options)(model, snapshots))
    assert percentage > 0.1
    by_arrays = DensityDisplay.from_predictions(
        by_model.density_true,
        by_model.density_pred,
        cell=[snapshot.atoms.cell for snapshot in snapshots],
    )
    assert by_arrays.errors == by_model.errors
    np.testing.assert_array_equal(by_arrays.cell, by_model.cell)


def test_truth_is_the_density_of_the_ldos_or_that_of_the_snapshot(model, snapshots):
    snapshot = snapshots[0]
    state = {"temperature": snapshot.temperature}
    mu = physics.fermi_level(snapshot.dos(), snapshot.energies, n_electrons=12, **state)
    expected = physics.density(snapshot.ldos, snapshot.energies, fermi_level=mu, **state)
    display = DensityDisplay.from_estimator(model, [snapshot])
    np.testing.assert_allclose(display.density_true[0], expected, rtol=1e-6)
    display = DensityDisplay.from_estimator(model, [snapshot], reference="dft")
    np.testing.assert_array_equal(display.density_true[0], snapshot.density)


def test_targets_apart_from_the_snapshots_and_blocks(model, snapshots):
    plain = DensityDisplay.from_estimator(model, snapshots)
    # Twice the states, cut at the level that holds the same electrons: another density.
    other = DensityDisplay.from_estimator(model, snapshots, [2 * s.ldos for s in snapshots])
    assert np.abs(np.subtract(other.density_true, plain.density_true)).max() > 1e-3
    blocks = DensityDisplay.from_estimator(model[-1], model[:-1].transform(snapshots))
    np.testing.assert_allclose(blocks.density_pred, plain.density_pred, rtol=1e-5)


def test_histograms_count_every_point(fields):
    display = DensityDisplay.from_predictions(*fields)
    for ax in (display.ax_, display.residual_ax_):
        counts = ax.collections[0].get_array().filled(0)
        assert counts.sum() == fields[0].size
    assert display.ax_.get_xlim() == display.ax_.get_ylim()
    assert display.ax_.get_ylabel() == "predicted density (1/Å³)"
    assert display.residual_ax_.get_xlabel() == "true density (1/Å³)"
    display.plot(residual=False)
    assert display.residual_ax_ is None
    assert display.ax_.get_xlabel() == "true density (1/Å³)"


def test_snapshots_on_different_grids_are_pooled(fields, rng):
    other = rng.uniform(0.1, 0.3, (3, 3, 3))
    display = DensityDisplay.from_predictions([fields[0], other], [fields[1], other])
    assert display.ax_.collections[0].get_array().filled(0).sum() == fields[0].size + 27
    alone = DensityDisplay.from_predictions(*fields)
    np.testing.assert_allclose(display.errors[0], alone.errors[0])
    np.testing.assert_allclose(display.errors[1:], np.array(alone.errors[1:]) / 2)


@pytest.mark.parametrize("normal", [0, 1, 2])
def test_planes_have_the_geometry_of_the_cell(fields, normal):
    display = DensityDisplay.from_predictions(
        *fields, cell=CELL, kind="slice", normal=normal, index=1
    )
    assert len(display.slice_axes_) == 3
    spanning = [i for i in range(3) if i != normal]
    n_u, n_v = (fields[0].shape[i] for i in spanning)
    mesh = display.ax_.collections[0]
    points = np.asarray(mesh.get_coordinates()).reshape(n_u + 1, n_v + 1, 2)
    # Lengths and angles of the plane are those in space.
    vectors = np.array([points[-1, 0], points[0, -1]])
    np.testing.assert_allclose(vectors @ vectors.T, CELL[spanning] @ CELL[spanning].T)
    fractions = np.einsum("xyi,ij->xyj", points, np.linalg.inv(vectors))
    indices = np.stack(np.mgrid[: n_u + 1, : n_v + 1], axis=-1)
    np.testing.assert_allclose(fractions * (n_u, n_v), indices, atol=1e-12)


def test_maps_show_the_numbers(fields):
    display = DensityDisplay.from_predictions(*fields, cell=CELL, kind="slice", normal=1, index=2)
    true, pred = (field[:, 2] for field in fields)
    shown = [ax.collections[0].get_array().reshape(5, 7) for ax in display.slice_axes_]
    for values, expected in zip(shown, (true, pred, 1e3 * (pred - true)), strict=True):
        np.testing.assert_allclose(values[:-1, :-1], expected)
        # the far edges are the near ones again
        np.testing.assert_array_equal(values[-1], values[0])
        np.testing.assert_array_equal(values[:, -1], values[:, 0])


def test_default_plane_goes_through_the_largest_error(fields):
    true = fields[0]
    pred = true.copy()
    pred[1, 3, 4] += 0.05
    display = DensityDisplay.from_predictions(true, pred, cell=CELL, kind="slice")
    difference = display.slice_axes_[2].collections[0].get_array().reshape(5, 6)
    assert difference[1, 3] == pytest.approx(50)
    assert display.slice_axes_[1].get_xlabel() == "along a₁ (Å), at 0.67 a₃"


def test_planes_of_a_chosen_snapshot(model, snapshots):
    display = DensityDisplay.from_estimator(model, snapshots)
    display.plot(kind="slice", snapshot=2, index=0)
    shown = display.ax_.collections[0].get_array().reshape(7, 7)
    np.testing.assert_array_equal(shown[:-1, :-1], display.density_true[2][:, :, 0])


def test_negative_densities_are_shown(fields):
    true = fields[0] - 0.12
    display = DensityDisplay.from_predictions(true, true)
    assert display.ax_.get_xlim()[0] < true.min() < 0
