"""What displays take: axes, options and numbers of any kind; and what they refuse."""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skldos import ADOSDecomposer
from skldos.datasets import make_snapshots
from skldos.exceptions import ScoringError, SnapshotError
from skldos.plotting import (
    ADOSDisplay,
    CalibrationDisplay,
    DensityDisplay,
    DOSDisplay,
    EnvironmentDisplay,
    ParityDisplay,
    SearchDisplay,
)
from tests.plotting.displays import (
    DOS,
    ENERGIES,
    Sum,
    ados,
    calibration,
    density,
    dos,
    environment,
    parity,
    search,
)

FIELD = np.ones((4, 5, 6))


def some(**changes):
    return [make_snapshots(1, random_state=0)[0].replace(**changes)]


def different():
    """Return snapshots of different energies."""
    return [*some(), *make_snapshots(1, n_energies=5)]


# -------------------------------------------------------------------- axes and options


def of_decomposer(**options):
    return ADOSDisplay.from_decomposer(ADOSDecomposer(), some(), **options)


@pytest.mark.parametrize(
    "draw",
    [
        *(dos, ados, of_decomposer, calibration, partial(parity, [1.0, 2.0]), search),
        *(density, partial(density, kind="slice")),
        *(environment, partial(environment, kind="matrix")),
    ],
)
def test_given_axes_are_used(draw):
    figure, ax = plt.subplots()
    display = draw(ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()
    assert display.plot() is display
    assert display.ax_ is not ax


def test_options_reach_matplotlib():
    points, line = {"scatter_kwargs": {"s": 7}}, {"line_kwargs": {"color": "red"}}
    both = search(**points, **line).ax_
    assert both.lines[0].get_color() == "red"
    for ax in (both, parity([1.0, 2.0], **points).ax_):
        assert ax.collections[0].get_sizes().tolist() == [7]
    assert calibration(**line).ax_.lines[-1].get_color() == "red"


# -------------------------------------------------------------------- numbers


@pytest.mark.parametrize("number", [object, int])
def test_numbers_of_any_kind_are_kept_as_floats(number):
    def given(*values):
        return np.array(values).astype(number)

    energies, rows = given(0, 1, 2), given([1, 2, 1])
    of_dos = DOSDisplay.from_predictions(
        rows,
        rows,
        energies=energies,
        n_atoms=given(2),
        temperature=given(300),
        n_electrons=given(2),
    )
    of_atoms = ADOSDisplay.from_predictions(
        2 * rows, [given([1, 2, 1], [1, 2, 1])], energies=energies
    )
    of_energies = ParityDisplay.from_predictions(given(1, 2), given(1, 3), std=given(1, 2))
    of_density = DensityDisplay.from_predictions(
        np.ones((2, 2, 2)).astype(number), np.ones((2, 2, 2)).astype(number),
        cell=np.eye(3).astype(number),
    )  # fmt: skip
    of_scores = SearchDisplay.from_scores(given(1, 2, 3), given(3, 2, 1))
    of_sphere = EnvironmentDisplay.from_block(np.ones((1, 2, 12)).astype(number), radii=given(2, 3))
    for kept in (
        *(of_dos.energies, of_dos.dos_pred, of_dos.dos_true, of_dos.temperature),
        *(of_atoms.energies, of_atoms.ados[0], of_atoms.dos_true),
        *(of_energies.y_true, of_energies.y_pred, of_energies.std),
        *(of_density.density_true[0], of_density.density_pred[0], of_density.cell[0]),
        *(of_scores.table["score"], of_scores.table["error"]),
        *(of_sphere.environment, of_sphere.radii),
    ):
        assert kept.dtype == np.float64


def test_the_first_is_the_default():
    block = np.arange(24.0).reshape(2, 1, 12)
    np.testing.assert_array_equal(EnvironmentDisplay.from_block(block).environment, block[0])
    fields = np.random.default_rng(0).uniform(size=(2, 3, 3, 3))
    display = DensityDisplay.from_predictions(list(fields), list(fields), cell=np.eye(3))
    display.plot(kind="slice", index=1)
    shown = display.ax_.collections[0].get_array().reshape(4, 4)
    np.testing.assert_array_equal(shown[:3, :3], fields[0][:, :, 1])


# -------------------------------------------------------------------- what is refused

REFUSED = {
    ValueError: [
        (lambda: dos(energies=[ENERGIES]), "energies must have shape"),
        (lambda: dos(energies=[0.0, 1.0]), r"dos_pred must have shape \(any, 2\), got \(1, 11\)"),
        (lambda: dos(factor=np.nan), "dos_pred must be finite"),
        (lambda: dos(n_atoms=[4, 4]), "n_atoms must hold one value per snapshot, 1, got 2"),
        (lambda: dos(labels=["a", "b"]), "labels must hold one value per snapshot, 1, got 2"),
        (lambda: dos(offset=np.inf), "offset must be finite"),
        (lambda: of_dos(DOS[:1], DOS[:2]), r"dos_true must have shape \(2, 11\), got \(1, 11\)"),
        (lambda: DOSDisplay.from_estimator(None, some(), sharpen=-1), "sharpen must be >= 0"),
        (lambda: DOSDisplay.from_estimator(None, some(), [1, 2]), "y must hold one value"),
        (lambda: DOSDisplay.from_estimator(None, different()), "must have the same energies"),
        (lambda: ados(energies=[ENERGIES]), "energies must have shape"),
        (
            lambda: ados(energies=ENERGIES[1:]),
            r"ados\[0\] must have shape \(any, 10\), got \(2, 11",
        ),
        (lambda: of_atoms(None, [np.nan * DOS]), r"ados\[0\] must be finite"),
        (lambda: of_atoms(DOS, [DOS]), r"dos_true must have shape \(1, 11\), got \(4, 11\)"),
        (lambda: ados(labels=["a", "b"]), "labels must hold one value per snapshot, 1, got 2"),
        (lambda: ados(atoms="bars"), "atoms must be one of"),
        (lambda: ados(2, atoms="stack"), 'atoms="stack" is for one snapshot, got 2'),
        (lambda: ados(2, atoms="elements"), 'atoms="elements" is for one snapshot, got 2'),
        (lambda: ados(symbols=None, atoms="elements"), 'atoms="elements" needs symbols'),
        (lambda: ados(symbols=[["Al"]]), r"symbols\[0\] must name the element of every atom, 2"),
        (lambda: ados(symbols=[["Al", "Mg"]] * 2), "symbols must hold one value per snapshot, 1"),
        (lambda: ADOSDisplay.from_decomposer(ADOSDecomposer(), different()), "the same energies"),
        (lambda: calibration("other"), "kind must be one of 'errors', 'coverage'"),
        (lambda: CalibrationDisplay.from_predictions([1.0], [0.0]), "std must be positive"),
        (lambda: CalibrationDisplay.from_estimator(None, [], kind="x"), "kind must be one of"),
        (lambda: parity([1.0], quantity="stress"), "quantity must be one of 'band_energy', 'total"),
        (lambda: parity([[1.0], [2.0]]), r"y_true must have shape \(any\), got \(2, 1\)"),
        (lambda: parity([]), "y_true must hold at least one value"),
        (lambda: parity([np.nan], [1.0]), "y_true must be finite"),
        (lambda: parity([1.0, 2.0], [1.0]), r"y_pred must have shape \(2\), got \(1,\)"),
        (lambda: parity([1.0], [np.nan]), "y_pred must be finite"),
        (lambda: parity([1.0, 2.0], hue=[298]), "hue must hold one value per snapshot, 2, got 1"),
        (lambda: parity([1.0, 2.0], std=[1.0]), "std must hold one value per snapshot, 2, got 1"),
        (lambda: parity([1.0, 2.0], std=[1.0, np.inf]), "std must be finite"),
        (lambda: parity([1.0, 2.0], std=[1.0, -0.5]), "std must not be negative, got -0.5"),
        (lambda: ParityDisplay.from_estimator(None, [], hue="p"), "hue must be one of 'temperatur"),
        (
            lambda: of_density(FIELD, FIELD[..., 1:]),
            r"density_pred\[0\] must have shape \(4, 5, 6\)",
        ),
        (lambda: of_density(FIELD, [FIELD] * 2), "density_pred must hold one value per snapshot"),
        (
            lambda: of_density([FIELD[0]], FIELD),
            r"density_true\[0\] must have shape \(any, any, any",
        ),
        (lambda: of_density([], FIELD), "density_true must hold at least one density, got none"),
        (lambda: of_density(FIELD, np.nan * FIELD), r"density_pred\[0\] must be finite"),
        (lambda: density(cell=np.eye(2)), r"cell must have shape \(1, 3, 3\), got \(1, 2, 2\)"),
        (lambda: density(cell=None, kind="slice"), "kind 'slice' needs cell, got None"),
        (lambda: density(kind="cut"), "kind must be one of 'parity', 'slice'"),
        (lambda: density(kind="slice", normal=3), "normal must be >= 0 and <= 2, got 3"),
        (lambda: density(kind="slice", normal=-1), "normal must be >= 0"),
        (lambda: density(kind="slice", index=6), "index must be >= 0 and <= 5, got 6"),
        (lambda: density(kind="slice", index=-1), "index must be >= 0"),
        (lambda: density(kind="slice", snapshot=1), "snapshot must be >= 0 and <= 0, got 1"),
        (lambda: density(kind="slice", snapshot=-1), "snapshot must be >= 0"),
        (
            lambda: DensityDisplay.from_estimator(None, [], reference="x"),
            "reference must be one of",
        ),
        (lambda: DensityDisplay.from_estimator(None, some(), [1, 2]), "y must hold one value"),
        (lambda: environment(kind="cube"), "kind must be one of 'globes', 'matrix'"),
        (lambda: environment(atom=1), "atom must be >= 0 and <= 0, got 1"),
        (lambda: environment(atom=-1), "atom must be >= 0"),
        (lambda: environment(channel=1), "channel must be >= 0 and <= 0, got 1"),
        (lambda: environment(channel=-1), "channel must be >= 0"),
        (lambda: environment(spheres=[0, 5]), r"spheres\[1\] must be >= 0 and <= 4, got 5"),
        (lambda: environment(spheres=[-1]), r"spheres\[0\] must be >= 0"),
        (lambda: environment(spheres=[]), "spheres must name at least one sphere"),
        (lambda: environment(n_columns=0), "n_columns must be >= 1"),
        (lambda: environment(radii=[1.0, 2.0]), r"radii must have shape \(5\), got \(2,\)"),
        (lambda: EnvironmentDisplay(environment=np.ones(12)).plot(), "environment must have shape"),
        (lambda: of_block(np.ones((3, 2))), r"block must have shape .* got \(3, 2\)"),
        (lambda: of_block(np.ones((1, 2, 41))), r"as an icosphere, one of \[12, 42, .* got 41"),
        (lambda: of_block(np.full((1, 2, 12), np.nan)), "block must be finite, got 24 NaN"),
        (lambda: search("other"), "kind must be one of 'progress', 'cost', 'importance'"),
        (lambda: SearchDisplay(table=None, kind="other").plot(), "kind must be one of"),
        (lambda: SearchDisplay.from_search({}), "search must hold at least one search, got none"),
        (lambda: SearchDisplay.from_scores(DOS, DOS), "scores must have shape"),
        (lambda: of_scores([1, 2], [1, 2, 3]), r"errors must have shape \(2\), got \(3,\)"),
    ],
    TypeError: [
        (lambda: DOSDisplay.from_estimator(None, some(), sharpen=1.0), "sharpen must be an int"),
        (lambda: density(kind="slice", snapshot=0.0), "snapshot must be an integer"),
        (lambda: density(kind="slice", normal=1.0), "normal must be an integer"),
        (lambda: environment(atom=0.0), "atom must be an integer"),
        (lambda: environment(channel=0.0), "channel must be an integer"),
        (lambda: environment(spheres=[0.0]), r"spheres\[0\] must be an integer"),
        (lambda: environment(n_columns=1.0), "n_columns must be an integer"),
        (lambda: EnvironmentDisplay.from_estimator("SNAP", None), "AtomEnvTransformer, got str"),
        (lambda: SearchDisplay.from_search(Sum()), "search must be a fitted search .* got Sum"),
        (
            lambda: SearchDisplay.from_search({"one": Sum(), "two": Sum()}, kind="effects"),
            "kind 'effects' takes one search, got 2",
        ),
    ],
    SnapshotError: [
        (lambda: ADOSDisplay.from_decomposer(ADOSDecomposer(), some(ldos=None)), "ldos"),
        (lambda: DOSDisplay.from_estimator(None, some(energies=None, ldos=None)), "energies"),
    ],
    ScoringError: [(lambda: DensityDisplay.from_estimator(None, some(ldos=None)), "ldos")],
}
of_dos = partial(DOSDisplay.from_predictions, energies=ENERGIES)
of_atoms = partial(ADOSDisplay.from_predictions, energies=ENERGIES)
of_density, of_block = DensityDisplay.from_predictions, EnvironmentDisplay.from_block
of_scores = SearchDisplay.from_scores


@pytest.mark.parametrize(
    ("error", "draw", "message"),
    [(error, *case) for error, cases in REFUSED.items() for case in cases],
)
def test_what_cannot_be_drawn_is_named(error, draw, message):
    with pytest.raises(error, match=message):
        draw()
