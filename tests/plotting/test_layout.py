"""Layout of every figure: nothing cut off, nothing covered, units on all axes."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from skldos import AtomEnvTransformer
from skldos.datasets import make_snapshots
from skldos.plotting import (
    CalibrationDisplay,
    DensityDisplay,
    DOSDisplay,
    EnvironmentDisplay,
    ParityDisplay,
    axes,
)
from tests.plotting.displays import ados, dos, search

CELLS = {
    "cubic": np.eye(3) * 4,
    "flat": np.diag([12.0, 3.0, 3.0]),
    "tall": np.diag([3.0, 12.0, 3.0]),
    "oblique": np.array([[4.0, 0, 0], [2.0, 3.5, 0], [0, 1.0, 5.0]]),
}


def parity(error, std=None, n=9, **options):
    rng = np.random.default_rng(1)
    true = np.linspace(-3, -2, n)
    # The first and the last errors are the largest.
    predicted = true + error * np.r_[1, rng.uniform(-1, 1, n - 2), -1]
    std = None if std is None else np.full(n, std)
    return ParityDisplay.from_predictions(true, predicted, std=std, **options)


def calibration(kind):
    rng = np.random.default_rng(2)
    std = rng.uniform(1, 4, 40)
    return CalibrationDisplay.from_predictions(std * rng.normal(size=40), std, kind=kind)


def density(cell, **options):
    rng = np.random.default_rng(3)
    true = rng.uniform(0.1, 0.3, (6, 7, 5))
    predicted = true + 1e-3 * rng.normal(size=true.shape)
    display = DensityDisplay.from_predictions(true, predicted, cell=CELLS[cell])
    return display.plot(kind="slice", **options) if options else display


def environment(kind):
    (snapshot,) = make_snapshots(1, random_state=0)
    transformer = AtomEnvTransformer(n_spheres=8, subdivisions=1).fit([snapshot])
    return EnvironmentDisplay.from_estimator(transformer, snapshot, kind=kind)


PICTURES = {
    "parity": lambda: parity(0.2),
    "parity, residual": lambda: parity(1e-3, std=2.0),
    "parity, groups": lambda: parity(1e-3, hue=np.arange(9) % 5 * 1000.0, hue_label="T (K)"),
    "parity, colours": lambda: parity(1e-3, hue=np.arange(9.0) * 1e3, hue_label="T (K)"),
    "errors": lambda: calibration("errors"),
    "coverage": lambda: calibration("coverage"),
    "density": lambda: density("cubic"),
    **{f"slice, {cell}": lambda cell=cell: density(cell, normal=2) for cell in CELLS},
    "DOS": dos,
    "DOS of several": lambda: dos(4, labels=[f"a long name of snapshot {i}" for i in range(4)]),
    "ADOS": ados,
    "ADOS, stack": lambda: ados(atoms="stack"),
    "globes": lambda: environment("globes"),
    "matrix": lambda: environment("matrix"),
    **{
        kind: lambda kind=kind: search(kind)
        for kind in ("progress", "cost", "importance", "effects")
    },
}


@pytest.fixture(params=PICTURES)
def drawn(request):
    display = PICTURES[request.param]()
    display.figure_.canvas.draw()
    return display


def boxes(figure):
    """Return the texts of the figure and their positions."""
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    found = [(t.get_text(), t.get_window_extent()) for t in shown]
    assert found
    return found


def test_nothing_is_cut_off(drawn):
    width, height = drawn.figure_.bbox.size
    for text, box in boxes(drawn.figure_):
        if "−" in text or text.replace(".", "").isdigit():
            continue  # numbers of ticks beyond the ends of an axis are not drawn
        assert min(box.x0, box.y0) > -1, text
        assert max(box.x1 - width, box.y1 - height) < 1, text


def test_numbers_of_an_axis_stay_apart(drawn):
    for ax in drawn.figure_.findobj(plt.Axes):
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [
                tick.label1.get_window_extent()
                for tick in axis._update_ticks()
                if tick.label1.get_visible() and tick.label1.get_text()
                if low <= tick.get_loc() <= high
            ]
            for one, other in pairwise(sorted(ticks, key=lambda box: (box.x0, box.y0))):
                assert not one.overlaps(other), ax.get_xlabel() or ax.get_ylabel()


def test_units_of_differences(drawn):
    for ax in drawn.figure_.findobj(plt.Axes):
        label = ax.get_ylabel().replace("\n", "")
        if label.startswith("Δ"):
            assert any(unit in label for unit in ("/Å³)", "/(eV atom))", "meV/atom)", "(meV)"))


@pytest.mark.parametrize("name", [n for n in PICTURES if n.startswith(("parity", "errors"))])
def test_a_legend_covers_no_points(name):
    display = PICTURES[name]()
    display.figure_.canvas.draw()
    box = display.ax_.get_legend().get_window_extent()
    artists = [a.get_offsets() for a in display.ax_.collections if len(a.get_offsets()) > 1]
    artists += [line.get_xydata() for line in display.ax_.lines if line.get_marker() == "o"]
    assert sum(map(len, artists)) >= 8
    for points in artists:
        assert not any(box.contains(*p) for p in display.ax_.transData.transform(points))


NAME = "aluminium-magnesium, 32 atoms, liquid, run {}"


def parity_of_names(n, ax=None):
    names = [NAME.format(i) for i in range(n)]
    return ParityDisplay.from_predictions(np.arange(n), np.arange(n), hue=names, ax=ax)


def dos_of_names(n, ax=None):
    rows, names = np.ones((n, 5)), [NAME.format(i) for i in range(n)]
    return DOSDisplay.from_predictions(rows, rows, energies=np.arange(5.0), labels=names, ax=ax)


@pytest.mark.parametrize("name", ["parity", "parity, groups", "errors", "coverage", "progress"])
def test_a_title_is_above_the_legend(name):
    display = PICTURES[name]()
    title = display.ax_.set_title("A title that is as wide as the legend, or wider")
    display.figure_.canvas.draw()
    above, below = title.get_window_extent(), display.ax_.get_legend().get_window_extent()
    assert above.y0 >= below.y1 - 1
    assert above.y1 < display.figure_.bbox.y1
    # Without the legend, next to the axes.
    display.ax_.get_legend().remove()
    display.figure_.canvas.draw()
    gap = title.get_window_extent().y0 - display.ax_.get_window_extent().y1
    assert 0 < gap < 0.6 * below.height


@pytest.mark.parametrize("draw", [parity_of_names, dos_of_names])
@pytest.mark.parametrize("n", [2, 12])
def test_long_names_leave_room_for_the_plot(draw, n):
    display = draw(n)
    display.figure_.canvas.draw()
    legend, box = display.ax_.get_legend().get_window_extent(), display.ax_.get_window_extent()
    assert box.y1 <= legend.y0 < legend.y1 <= display.figure_.bbox.y1
    inch = display.figure_.dpi
    assert box.width > 2.5 * inch
    assert box.height > 1.5 * inch
    assert legend.x1 <= display.figure_.bbox.x1
    # The figure of given axes keeps its size.
    figure, ax = plt.subplots(layout="constrained")
    size = tuple(figure.get_size_inches())
    draw(n, ax)
    assert tuple(figure.get_size_inches()) == size


# -------------------------------------------------------------------- residuals of energies


def test_the_panel_shows_the_errors():
    display = parity(3e-3, std=2.0, hue=np.arange(9) % 2)
    panel = display.residual_ax_
    assert panel.get_ylabel() == "Δ (meV/atom)"
    assert panel.get_xlabel() == "true band energy (eV/atom)"
    points = np.concatenate(
        [c.get_offsets() for c in panel.collections if len(c.get_offsets()) > 1]
    )
    order = np.argsort(points[:, 0])
    np.testing.assert_allclose(points[order], np.c_[display.y_true, display.errors])
    bars = np.concatenate(
        [c.get_segments() for c in panel.collections if hasattr(c, "get_segments")]
    )
    np.testing.assert_allclose(np.diff(bars[:, :, 1]), 4.0)


@pytest.mark.parametrize("name", ["parity, residual", "parity, colours", "density"])
def test_the_panel_is_as_wide_as_the_square_above(name):
    display = PICTURES[name]()
    display.figure_.canvas.draw()
    above, below = (a.get_window_extent() for a in (display.ax_, display.residual_ax_))
    assert above.width == pytest.approx(above.height, abs=1)
    assert (below.x0, below.x1) == pytest.approx((above.x0, above.x1), abs=1)
    assert 0 < above.y0 - below.y1 < 0.15 * above.height


def test_a_panel_stays_within_given_axes():
    figure, axes = plt.subplots(2, 2)
    before = axes[0, 0].get_position()
    display = ParityDisplay.from_predictions([1.0, 2.0], [1.001, 2.0], ax=axes[0, 0])
    figure.canvas.draw()
    for ax in (display.ax_, display.residual_ax_):
        box = ax.get_position(original=True)
        assert before.y0 - 1e-9 <= box.y0 < box.y1 <= before.y1 + 1e-9
    free = figure.add_axes([0.1, 0.2, 0.5, 0.6])
    display.plot(free)
    assert display.residual_ax_.get_position(original=True).y0 == pytest.approx(0.2)


# -------------------------------------------------------------------- maps of densities


@pytest.mark.parametrize("cell", CELLS)
def test_maps_are_alike_and_close_and_bars_as_high_as_they(cell):
    display = density(cell, normal=2)
    display.figure_.canvas.draw()
    maps = [ax.get_window_extent() for ax in display.slice_axes_]
    for box in maps[1:]:
        assert box.size == pytest.approx(maps[0].size, abs=1)
        assert box.y0 == pytest.approx(maps[0].y0, abs=1)
    assert 0 < maps[1].x0 - maps[0].x1 < 30
    for ax, box in zip(display.slice_axes_[1:], maps[1:], strict=True):
        (bar,) = ax.child_axes
        extent = bar.get_window_extent()
        assert (extent.y0, extent.y1) == pytest.approx((box.y0, box.y1), abs=1)
        assert bar.get_ylabel() in ("density (1/Å³)", "Δ (10⁻³/Å³)")
    # Of a figure as large as it must be, the maps take their share.
    drawn_part = sum(box.width * box.height for box in maps) / np.prod(display.figure_.bbox.size)
    assert drawn_part > 0.25


@pytest.mark.parametrize("n", [0, 1, 5, 6, 7, 40])
def test_colours_are_distinct_and_those_of_the_palette_as_far_as_it_goes(n):
    found = axes.colors(n)
    assert len(found) == len(set(map(tuple, found))) == n
    if n <= len(axes.PALETTE):
        assert found == list(axes.PALETTE[:n])
