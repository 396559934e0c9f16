"""ParityDisplay: stored numbers, and drawing."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    ForceScorer,
    FreeEnergyRegressor,
    RowWise,
    SiteRegressor,
    evaluate,
)
from skldos.datasets import load_aluminium
from skldos.physics import Pseudopotential
from skldos.plotting import ParityDisplay
from skldos.uncertainty import RidgePosterior, energy_uncertainty
from tests.plotting.displays import legend_of

TRUE = np.array([9.86, 9.88, 9.60, 9.65])
PREDICTED = TRUE + np.array([0.002, -0.004, 0.010, 0.0])


def test_errors_in_the_legend():
    display = ParityDisplay.from_predictions(TRUE, PREDICTED)
    np.testing.assert_allclose(display.errors, [2.0, -4.0, 10.0, 0.0], atol=1e-9)
    assert legend_of(display) == ["MAE 4.0, max 10.0 meV/atom"]
    assert display.ax_.get_xlabel() == "true band energy (eV/atom)"
    assert display.ax_.get_ylabel() == "predicted band energy (eV/atom)"


def test_fermi_levels_have_their_own_units():
    display = ParityDisplay.from_predictions(TRUE, PREDICTED, quantity="fermi_level")
    assert legend_of(display) == ["MAE 4.0, max 10.0 meV"]
    assert display.ax_.get_xlabel() == "true Fermi level (eV)"


def test_points_and_diagonal():
    display = ParityDisplay.from_predictions(TRUE, PREDICTED)
    (points,) = display.ax_.collections
    np.testing.assert_allclose(points.get_offsets(), np.column_stack([TRUE, PREDICTED]))
    (diagonal,) = display.ax_.lines
    np.testing.assert_allclose(diagonal.get_xdata(), diagonal.get_ydata())
    assert display.ax_.get_xlim() == display.ax_.get_ylim()


@pytest.mark.parametrize("quantity", ["band_energy", "fermi_level"])
@pytest.mark.parametrize("reference", ["ldos", "dft"])
def test_from_estimator_equals_from_predictions(model, snapshots, quantity, reference):
    by_model = ParityDisplay.from_estimator(
        model, snapshots, quantity=quantity, reference=reference
    )
    table = evaluate(model, snapshots, reference=reference)
    per = 4 if quantity == "band_energy" else 1
    by_arrays = ParityDisplay.from_predictions(
        table[f"{quantity}_true"] / per, table[quantity] / per, quantity=quantity
    )
    np.testing.assert_allclose(by_model.y_true, by_arrays.y_true)
    np.testing.assert_allclose(by_model.y_pred, by_arrays.y_pred)
    np.testing.assert_allclose(by_model.errors, table[f"{quantity}_error"], atol=1e-9)
    assert by_model.hue.tolist() == [298.0] * 3
    assert legend_of(by_model)[0].startswith("298 K: MAE")


def test_from_estimator_takes_precomputed_blocks(model, snapshots):
    by_blocks = ParityDisplay.from_estimator(model[-1], model[:-1].transform(snapshots))
    by_snapshots = ParityDisplay.from_estimator(model, snapshots)
    np.testing.assert_allclose(by_blocks.y_true, by_snapshots.y_true)
    np.testing.assert_allclose(by_blocks.y_pred, by_snapshots.y_pred)


def test_groups_of_a_hue_have_a_line_each():
    display = ParityDisplay.from_predictions(
        TRUE, PREDICTED, hue=[298, 298, 933, 933], hue_label="T (K)"
    )
    assert legend_of(display) == [
        "298 K: MAE 3.0, max 4.0 meV/atom",
        "933 K: MAE 5.0, max 10.0 meV/atom",
    ]
    colors = {tuple(points.get_facecolor()[0]) for points in display.ax_.collections}
    assert len(colors) == 2


def test_names_as_hue():
    display = ParityDisplay.from_predictions(TRUE, PREDICTED, hue=["fcc", "fcc", "bcc", "bcc"])
    assert [line.split(":")[0] for line in legend_of(display)] == ["bcc", "fcc"]


def test_a_hue_of_many_numbers_has_a_colourbar():
    true = np.linspace(9.0, 9.9, 10)
    hue = np.arange(10)
    display = ParityDisplay.from_predictions(true, true + 1e-3, hue=hue, hue_label="step")
    assert legend_of(display) == ["MAE 1.0, max 1.0 meV/atom"]
    (bar,) = [ax for ax in display.ax_.child_axes if ax.axison]
    assert bar.get_ylabel() == "step"
    np.testing.assert_array_equal(display.ax_.collections[0].get_array(), hue)


STD = np.array([3.0, 1.0, 12.0, 0.0])


def bars(ax):
    """Return lower and upper ends of the bars, in the order of drawing."""
    segments = [c.get_segments() for c in ax.collections if isinstance(c, LineCollection)]
    return np.array([s for part in segments for s in part])[:, :, 1]


def test_bars_are_one_standard_deviation_each_way():
    display = ParityDisplay.from_predictions(TRUE, PREDICTED, std=STD)
    np.testing.assert_allclose(bars(display.ax_)[:, 0], PREDICTED - STD / 1e3)
    np.testing.assert_allclose(bars(display.ax_)[:, 1], PREDICTED + STD / 1e3)
    np.testing.assert_array_equal(display.std, STD)


def test_no_bars_without_standard_deviations():
    display = ParityDisplay.from_predictions(TRUE, PREDICTED)
    assert not any(isinstance(c, LineCollection) for c in display.ax_.collections)


@pytest.mark.parametrize("hue", [[933, 298, 298, 933], ["b", "a", "a", "b"]])
def test_bars_of_groups_belong_to_their_points(hue):
    display = ParityDisplay.from_predictions(TRUE, PREDICTED, hue=hue, std=STD)
    order = [1, 2, 0, 3]
    np.testing.assert_allclose(np.ptp(bars(display.ax_), axis=1), 2 * STD[order] / 1e3, atol=1e-12)
    lines = [c for c in display.ax_.collections if isinstance(c, LineCollection)]
    points = [c for c in display.ax_.collections if not isinstance(c, LineCollection)]
    for line, point in zip(lines, points, strict=True):
        np.testing.assert_allclose(line.get_color()[0, :3], point.get_facecolor()[0, :3])


def test_bars_with_a_colourbar_and_options():
    hue, std = np.arange(10), np.full(10, 2.0)
    true = np.linspace(9.0, 9.9, 10)
    display = ParityDisplay.from_predictions(
        true, true, hue=hue, std=std, errorbar_kwargs={"elinewidth": 3}
    )
    (line,) = [c for c in display.ax_.collections if isinstance(c, LineCollection)]
    assert len(line.get_segments()) == 10
    assert line.get_linewidth().tolist() == [3]


@pytest.mark.parametrize("quantity", ["band_energy", "fermi_level"])
def test_standard_deviations_of_an_estimator(snapshots, quantity):
    model = make_pipeline(
        AtomSNAPTransformer(twojmax=2),
        RowWise(StandardScaler()),
        ADOSRegressor(RidgePosterior(SiteRegressor(Ridge(1e-3)), random_state=0)),
    ).fit(snapshots)
    display = ParityDisplay.from_estimator(model, snapshots, quantity=quantity, std=True)
    expected = energy_uncertainty(model, snapshots)[f"{quantity}_std"]
    assert expected.min() > 0
    np.testing.assert_allclose(display.std, expected)


def test_an_estimator_without_standard_deviations(model, snapshots):
    with pytest.raises(TypeError, match="must have sample_sums"):
        ParityDisplay.from_estimator(model, snapshots, std=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantity": "total_energy", "pseudopotentials": {}}, "got quantity='total_energy'"),
        ({"sharpen": 1}, "got quantity='band_energy', sharpen=1"),
        ({"std": 3.0}, "std must be one of True, False; got 3.0"),
    ],
)
def test_what_has_no_standard_deviation(model, snapshots, options, message):
    with pytest.raises(ValueError, match=message):
        ParityDisplay.from_estimator(model, snapshots, **({"std": True} | options))


AL = {"Al": Pseudopotential("Al", 3, functional="lda-pz")}


def test_total_energies(model, snapshots):
    options = {"pseudopotentials": AL, "functional": "lda-pw"}
    display = ParityDisplay.from_estimator(model, snapshots, quantity="total_energy", **options)
    table = evaluate(model, snapshots, **options)
    np.testing.assert_allclose(display.y_true, table["total_energy_true"] / 4)
    np.testing.assert_allclose(display.errors, table["total_energy_error"], atol=1e-9)
    assert np.abs(display.errors).max() > 0.01
    assert display.ax_.get_xlabel() == "true total free energy (eV/atom)"


def test_total_energies_need_pseudopotentials(model, snapshots):
    with pytest.raises(ValueError, match="'total_energy' needs pseudopotentials, got None"):
        ParityDisplay.from_estimator(model, snapshots, quantity="total_energy")


def test_sharpen_is_passed_on(model, broadened):
    display = ParityDisplay.from_estimator(model, broadened, sharpen=1)
    table = evaluate(model, broadened, sharpen=1)
    np.testing.assert_allclose(display.y_pred, table["band_energy"] / 4)
    plain = ParityDisplay.from_estimator(model, broadened)
    assert np.abs(display.y_pred - plain.y_pred).min() > 1e-3


# -------------------------------------------------------------------- forces


@pytest.fixture(scope="module")
def of_atoms():
    """A model of free energies and its training snapshots, with forces."""
    snapshots = load_aluminium(temperature=298)
    snap = AtomSNAPTransformer(twojmax=2, r_cut=4.0, n_jobs=1)
    options = {"alphas": [1e-6], "energy_weights": [30.0]}
    return make_pipeline(snap, FreeEnergyRegressor(**options)).fit(snapshots), snapshots


def test_forces_have_a_point_for_every_component(of_atoms):
    model, snapshots = of_atoms
    display = ParityDisplay.from_estimator(model, snapshots, quantity="forces", std=True)
    assert len(display.y_true) == sum(3 * len(s.atoms) for s in snapshots)
    _, std = model[-1].predict_forces(model[:-1].transform(snapshots), return_std=True)
    np.testing.assert_allclose(display.std, 1e3 * np.concatenate([x.ravel() for x in std]))
    rms = 1e3 * np.sqrt(np.mean((np.array(display.y_pred) - display.y_true) ** 2))
    (text,) = legend_of(display)
    assert text.startswith(f"298 K: RMSE {rms:.1f}, max ")
    assert text.endswith("meV/Å")
    assert display.ax_.get_ylabel() == "predicted force (eV/Å)"
    scorer = ForceScorer("meV/Å")
    assert -scorer(model, snapshots) == pytest.approx(rms)
    same = ParityDisplay.from_predictions(display.y_true, display.y_pred, quantity="forces")
    np.testing.assert_array_equal(same.errors, display.errors)
    phases = ParityDisplay.from_estimator(model, snapshots[:2], quantity="forces", hue=["a", "b"])
    assert phases.hue.tolist() == ["a"] * 12 + ["b"] * 12


def test_total_energies_of_atoms_need_no_pseudopotentials(of_atoms):
    model, snapshots = of_atoms
    display = ParityDisplay.from_estimator(model, snapshots, quantity="total_energy")
    true = [s.reference["total_energy"] / len(s.atoms) for s in snapshots]
    np.testing.assert_allclose(display.y_true, true)
