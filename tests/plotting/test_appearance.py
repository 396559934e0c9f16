"""How displays look: sizes, order of drawing, limits of axes, legends that show what is drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import LogNorm, to_rgb, to_rgba

from skldos import ADOSDecomposer
from skldos.datasets import make_snapshots
from skldos.plotting import (
    ADOSDisplay,
    CalibrationDisplay,
    DensityDisplay,
    DOSDisplay,
    SearchDisplay,
)
from skldos.plotting.axes import GUIDE, bar_beside, divided, legend_above, new_axes, panel_below
from skldos.plotting.density import BINS
from tests.plotting.displays import (
    DOS,
    ENERGIES,
    ados,
    calibration,
    density,
    dos,
    environment,
    legend_of,
    on_the_fly,
    parity,
    search,
)

# -------------------------------------------------------------------- sizes

#: Displays in figures of their own.
DISPLAYS = {
    "DOS": dos,
    "ADOS": ados,
    "errors": calibration,
    "coverage": lambda: calibration("coverage"),
    "parity": lambda: parity([1.0, 2.0]),
    "density": density,
    "wide slice": lambda: density(kind="slice", normal=1),
    "high slice": lambda: density(kind="slice", normal=2),
    "one globe": lambda: environment(1),
    "five globes": environment,
    "matrix": lambda: environment(kind="matrix"),
    "progress": lambda: search("progress"),
    "effects": lambda: search("effects"),
    "on the fly": on_the_fly,
}


@pytest.mark.parametrize("name", DISPLAYS)
def test_a_new_figure(name):
    display = DISPLAYS[name]()
    width, height = display.figure_.get_size_inches()
    assert 1 < height < width + 1e-9 or name == "density"
    assert max(width, height) < 11  # a page
    # A layout engine makes room for labels; the two that an axes does not need are left out.
    engine = display.figure_.get_layout_engine()
    assert engine.get_info()["compress"] if hasattr(engine, "get_info") else engine is not None
    shown = {side for side in ("top", "right") if display.ax_.spines[side].get_visible()}
    assert not shown or name.endswith("globes") or name == "one globe"


def test_figures_grow_with_what_they_show():
    def size(name):
        return DISPLAYS[name]().figure_.get_size_inches()

    assert (size("five globes") > size("one globe")).all()
    assert size("high slice")[1] > size("wide slice")[1]


def test_parts_of_axes_have_their_shares():
    display = dos()
    display.figure_.canvas.draw()
    above, below = (ax.get_position() for ax in (display.ax_, display.residual_ax_))
    assert above.height > 2 * below.height
    assert above.y0 > below.y1
    assert not any(tick.label1.get_visible() for tick in display.ax_.xaxis.get_major_ticks())
    assert display.residual_ax_.get_xlim() == display.ax_.get_xlim()
    for side in ("top", "right"):
        assert not display.residual_ax_.spines[side].get_visible()
    zero = display.residual_ax_.lines[0]
    assert set(zero.get_ydata()) == {0}
    assert zero.get_zorder() < display.residual_ax_.lines[1].get_zorder()
    assert len(display.residual_ax_.get_yticks()) <= 5


def test_a_panel_without_a_layout_engine_keeps_a_gap():
    figure, ax = plt.subplots()
    before = ax.get_position()
    panel = panel_below(ax, "eV")
    above, below = ax.get_position(), panel.get_position()
    assert (above.y1, below.y0) == pytest.approx((before.y1, before.y0))
    assert above.height > 2 * below.height
    assert 0 < above.y0 - below.y1 < below.height
    assert panel.get_ylabel() == "Δ (eV)"
    figure, ax = plt.subplots()
    box = ax.get_position()
    grid = divided(ax, 1, 3, gap=0.5)
    middle = figure.add_subplot(grid[1]).get_position()
    # The gap is half as wide as a cell.
    assert middle.width == pytest.approx(box.width / 4)
    assert middle.x0 - ax.get_position().x1 == pytest.approx(box.width / 8)


@pytest.mark.parametrize("width", [0.05, 0.2])
def test_a_bar_stands_beside_its_axes(width):
    figure, ax = plt.subplots()
    image = ax.imshow([[0.0, 1.0]], aspect="auto")
    options = {} if width == 0.05 else {"width": width}
    bar = bar_beside(ax, image, "here", **options)
    figure.canvas.draw()
    box, own = ax.get_window_extent(), bar.ax.get_window_extent()
    assert 0 < own.x0 - box.x1 < own.width
    assert own.width == pytest.approx(width * box.width)
    assert (own.y0, own.y1) == pytest.approx((box.y0, box.y1))
    assert bar.ax.get_ylabel() == "here"


def test_a_legend_above_touches_the_axes_at_the_left():
    _, ax = plt.subplots()
    ax.plot([0, 1], label="one")
    legend_above(ax, ncols=2)
    ax.figure.canvas.draw()
    legend, box = ax.get_legend(), ax.get_window_extent()
    extent = legend.get_window_extent()
    size = legend._fontsize * ax.figure.dpi / 72
    assert 0 <= extent.x0 - box.x0 < size / 2
    assert 0 <= extent.y0 - box.y1 < size / 2
    assert not legend.get_frame_on()


def test_axes_stay_in_their_figure():
    _, ax = plt.subplots()
    assert new_axes(ax, figsize=(1, 1)) is ax
    assert not ax.spines["top"].get_visible()
    assert new_axes(None, figsize=(1, 1)).figure is not ax.figure


# -------------------------------------------------------------------- legends and order


def style(line):
    return line.get_lw(), line.get_alpha(), line.get_ls(), to_rgba(line.get_color())


@pytest.mark.parametrize("display", [dos, ados])
def test_the_legend_shows_the_lines_as_they_are_drawn(display):
    drawn = display()
    lines = [line for line in drawn.ax_.lines if len(line.get_xdata()) == 11]
    true, predicted = lines[-2:]
    legend = drawn.ax_.get_legend()
    handles = legend.legend_handles
    assert style(handles[0]) == style(true)
    assert style(handles[1]) == style(predicted)
    assert true.get_lw() > 2 * predicted.get_lw()
    assert true.get_alpha() < 0.5
    assert true.get_solid_capstyle() == "butt"
    assert true.get_zorder() <= predicted.get_zorder()
    assert legend.get_frame().get_alpha() == 0.7
    assert to_rgba(legend.get_frame().get_edgecolor())[3] in (0, 0.7)


def test_atoms_are_thin_and_behind_their_sum():
    for n in (1, 2):
        display = ados(n, residual=False)
        atoms = display.ax_.lines[: 2 * n]
        true, total = display.ax_.lines[2 * n : 2 * n + 2]
        handle = display.ax_.get_legend().legend_handles[2]
        for line in atoms:
            assert line.get_lw() == handle.get_lw() < total.get_lw()
            assert line.get_zorder() < true.get_zorder() < total.get_zorder()
            assert line.get_alpha() == (0.6 if n == 1 else 0.3)
        assert to_rgb(atoms[0].get_color()) == to_rgb("0.55" if n == 1 else total.get_color())


def test_neighbours_in_a_stack_differ_and_the_legend_is_between():
    display = ados(atoms="stack")
    shades = [to_rgb(area.get_facecolor()[0])[0] for area in display.ax_.collections]
    assert shades == pytest.approx([0.8, 0.9])
    patch = display.ax_.get_legend().legend_handles[2]
    assert to_rgb(patch.get_facecolor())[0] == pytest.approx(np.mean(shades))
    assert legend_of(display)[2] == "share of each atom"
    for area, weight in zip(display.ax_.collections, (0.25, 1.0), strict=True):
        top = area.get_paths()[0].vertices[:, 1].max()
        assert top == pytest.approx(weight * DOS[0].max())
        assert area.get_zorder() < min(line.get_zorder() for line in display.ax_.lines)


def test_elements_are_dashed_in_colours_of_their_own():
    display = ados(atoms="elements")
    lines = display.ax_.lines[:2]
    handles = display.ax_.get_legend().legend_handles[2:]
    for line, handle in zip(lines, handles, strict=True):
        assert (handle.get_color(), handle.get_ls()) == (line.get_color(), line.get_ls())
        assert line.get_zorder() < display.ax_.lines[2].get_zorder()
    assert len({line.get_color() for line in display.ax_.lines}) == 3


@pytest.mark.parametrize("display", [dos, ados])
def test_several_snapshots_are_named_by_squares_of_their_colours(display):
    drawn = display(2, labels=["a", "b"], residual=False)
    handles = drawn.ax_.get_legend().legend_handles[-2:]
    totals = [line for line in drawn.ax_.lines if line.get_lw() == 1.4]
    assert [h.get_marker() for h in handles] == ["s", "s"]
    assert [h.get_linestyle() for h in handles] == ["None", "None"]
    assert [h.get_color() for h in handles] == [line.get_color() for line in totals]
    # Kinds of lines have no colour then.
    assert to_rgb(drawn.ax_.get_legend().legend_handles[0].get_color()) == to_rgb("0.25")
    assert drawn.ax_.get_title() == ""


def test_fermi_levels_are_thin_and_the_predicted_one_is_dashed():
    display = dos(factor=1.2)
    true, predicted = display.ax_.lines[2:]
    assert true.get_linestyle() == "-"
    assert predicted.get_linestyle() == "--"
    for line in (true, predicted):
        assert line.get_zorder() < display.ax_.lines[0].get_zorder()
        assert line.get_lw() < display.ax_.lines[1].get_lw()
    (area,) = display.ax_.collections
    assert area.get_alpha() < display.ax_.lines[0].get_alpha()
    (text,) = display.ax_.texts
    assert text.get_text() == "μ"
    assert text.xy == (display.fermi_level_true[0], 1)
    assert (text.xycoords, text.get_va()) == (("data", "axes fraction"), "top")
    assert (text.get_position(), text.anncoords) == ((3, 0), "offset points")


def test_points_are_in_front_of_bars_and_those_of_the_diagonal():
    true = np.linspace(0.0, 1.0, 5)
    display = parity(true, true + 1e-3, std=np.ones(5))
    diagonal, points, bars = display.ax_.lines[0], *display.ax_.collections
    assert diagonal.get_zorder() < bars.get_zorder() < points.get_zorder()
    assert to_rgb(diagonal.get_color()) == to_rgb(GUIDE)
    # In the panel they are half as large.
    assert display.residual_ax_.collections[0].get_sizes() == points.get_sizes() / 2
    *guides, points = calibration().ax_.lines
    assert [line.get_ls() for line in guides] == ["-", "-", "--", "--"]
    assert (points.get_marker(), points.get_ls()) == ("o", "None")
    diagonal = calibration("coverage").ax_.lines[0]
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])


# -------------------------------------------------------------------- limits of axes


def test_limits_of_densities_of_states():
    display = dos(factor=1.1)
    assert display.ax_.get_xlim() == (-2, 3)
    assert display.ax_.get_ylim()[0] == 0
    largest = 100 * DOS[0].max()
    assert display.residual_ax_.get_ylim() == pytest.approx((-1.3 * largest, 1.3 * largest))
    display = dos(2, align_fermi=True)
    levels = display.fermi_level_true
    assert abs(np.diff(levels)) > 0.01
    assert display.ax_.get_xlim() == pytest.approx((-2 - levels.max(), 3 - levels.min()))
    assert dos(factor=1).residual_ax_.get_ylim() == (-1.3, 1.3)
    display = ados(factor=1 / 1.1)
    assert display.ax_.get_xlim() == (-2, 3)
    top = np.abs(display.residual_ax_.lines[1].get_ydata()).max()
    assert display.residual_ax_.get_ylim() == pytest.approx((-1.3 * top, 1.3 * top))
    assert display.residual_ax_.get_xlabel() == "E (eV)"
    assert ados(residual=False).ax_.get_xlabel() == "E (eV)"


@pytest.mark.parametrize(("lowest", "cut"), [(-0.0199, True), (-0.0201, False)])
def test_values_that_hardly_go_below_zero_are_cut(lowest, cut):
    row = DOS[0] / DOS[0].max()
    row[np.argmin(row)] = lowest
    display = DOSDisplay.from_predictions(None, row, energies=ENERGIES)
    assert (display.ax_.get_ylim()[0] == 0) == cut
    display = ADOSDisplay.from_predictions(None, [row[None]], energies=ENERGIES)
    assert (display.ax_.get_ylim()[0] == 0) == cut


def test_limits_of_calibration():
    display = calibration()
    assert display.ax_.get_xlim() == pytest.approx((0, 2.16))
    for line in display.ax_.lines[:4]:
        np.testing.assert_allclose(line.get_xdata(), [0, 2.16])
    assert display.ax_.get_xlabel() == "standard deviation (meV/atom)"
    display = CalibrationDisplay.from_predictions([1.0, -2.0], [1.0, 1.0], kind="coverage")
    assert display.ax_.get_xlim() == (0, 1)
    assert display.ax_.get_ylim() == (0, 1.02)
    assert display.ax_.get_aspect() == 1
    # Half of the errors are within one standard deviation, 68 % of a normal distribution.
    held = [0.682689492137, 0.954499736104]
    expected = [[0, held[0], held[0], held[1], held[1], 1], [0, 0, 0.5, 0.5, 1, 1]]
    np.testing.assert_allclose(display.ax_.lines[1].get_data(), expected)
    assert display.ax_.get_xlabel() == "expected fraction within"
    assert display.ax_.get_ylabel() == "observed fraction within"
    # ln(2π)/2 + 5/4 and sqrt(5/2)
    assert legend_of(display)[0] == "NLL 2.17, rms of error/σ 1.58"


def test_an_error_of_just_one_deviation_is_within():
    display = CalibrationDisplay.from_predictions([1.0, 2.0, -2.0], [1.0, 1.0, 1.0])
    assert legend_of(display)[-1] == "33 % within σ, 100 % within 2σ"


def test_limits_of_parity_plots():
    display = parity([0.0, 1.0], [0.5, 0.5], std=[1000.0, 0.0])
    # From -0.5, where a bar ends, to 1.5.
    assert display.ax_.get_xlim() == pytest.approx((-0.64, 1.64))
    low, high = parity([0.0, 1.0]).ax_.get_xlim()
    assert (low, high) == pytest.approx((-0.07, 1.07))
    low, high = parity([2.0]).ax_.get_xlim()
    assert (low, high) == pytest.approx((1.999, 2.001))
    ax = parity(np.linspace(1000.0, 1001.0, 4)).ax_
    for axis in (ax.xaxis, ax.yaxis):
        assert 3 <= len(axis.get_majorticklocs()) <= 6 + 2
        assert not axis.get_major_formatter().get_useOffset()
    assert ax.get_aspect() == 1


@pytest.mark.parametrize(("error", "panel"), [(0.0201, False), (0.0199, True)])
def test_errors_below_two_per_cent_of_the_axis_have_a_panel(error, panel):
    true = np.array([0.0, 0.5, 1.0])
    display = parity(true, true + error * 1.14 * np.array([0, 1, 0]))
    assert (display.residual_ax_ is not None) == panel
    assert display.plot(residual=True).residual_ax_ is not None
    assert display.plot(residual=False).residual_ax_ is None
    assert display.ax_.get_xlabel() == "true band energy (eV/atom)"


@pytest.mark.parametrize(("n", "bar"), [(6, False), (7, True)])
def test_up_to_six_numbers_have_a_colour_each(n, bar):
    true = np.arange(float(n))
    display = parity(true, hue=np.arange(n), hue_label="T (K)", residual=False)
    assert len(display.ax_.collections) == (1 if bar else n)
    assert [ax.get_ylabel() for ax in display.ax_.child_axes if ax.axison] == ["T (K)"] * bar
    # Names always do.
    named = parity(true, hue=[f"n{i}" for i in range(n)], residual=False)
    assert len(named.ax_.collections) == n
    if bar:
        assert display.ax_.collections[0].get_cmap().name == "cividis"


@pytest.mark.parametrize(
    ("label", "text"),
    [("T (K)", "300 K"), ("step", "step 300"), (None, "300"), ("volume (Å³)", "300 Å³")],
)
def test_names_of_numbers(label, text):
    display = parity([0.0, 1.0], hue=[300.0, 300.0], hue_label=label)
    assert legend_of(display)[0].startswith(f"{text}: MAE ")


def test_histograms_of_densities():
    display = density()
    true, pred = display.density_true[0].ravel(), display.density_pred[0].ravel()
    ends = np.array([min(true.min(), pred.min()), max(true.max(), pred.max())])
    ends += 0.04 * np.ptp(ends) * np.array([-1, 1])
    assert display.ax_.get_xlim() == pytest.approx(tuple(ends))
    assert display.ax_.get_aspect() == 1
    reach = 1.1e3 * np.abs(pred - true).max()
    assert display.residual_ax_.get_ylim() == pytest.approx((-reach, reach))
    edges = np.linspace(*ends, BINS + 1)
    panel = display.residual_ax_, 1e3 * (pred - true), np.linspace(-reach, reach, 42)
    for ax, y, bins in ((display.ax_, pred, edges), panel):
        counts, _, _ = np.histogram2d(true, y, (edges, bins))
        (image,) = ax.collections
        shown = np.ma.filled(np.ma.masked_invalid(image.get_array()), 0)
        np.testing.assert_array_equal(shown.reshape(counts.T.shape), counts.T)
        assert isinstance(image.norm, LogNorm)
        assert image.norm.vmin == 1
        assert image.get_cmap().name == "cividis"
    assert BINS == 120
    diagonal = display.ax_.lines[0]
    np.testing.assert_allclose(diagonal.get_xydata(), [[ends[0]] * 2, [ends[1]] * 2])
    assert diagonal.get_zorder() < display.ax_.collections[0].get_zorder()
    (bar,) = [ax for ax in display.ax_.child_axes if ax.get_xlabel() == "grid points"]
    assert sorted({1, int(display.ax_.collections[0].norm.vmax)}) == list(bar.get_xticks())
    assert len(bar.xaxis.get_minorticklocs()) == 0
    assert bar.get_xticklabels()[0].get_text() == "1"
    legend = display.ax_.get_legend()
    assert (legend._loc, legend.get_frame_on(), legend.handlelength) == (2, False, 0)
    assert legend.handletextpad == 0


def test_equal_densities_have_room_around_them():
    display = DensityDisplay.from_predictions(np.ones((2, 2, 2)), np.ones((2, 2, 2)))
    assert display.ax_.get_xlim() == pytest.approx((0.999, 1.001))
    assert display.residual_ax_.get_ylim() == pytest.approx((-1.1, 1.1))


def test_maps_share_their_colours():
    display = density(kind="slice", normal=2, index=0)
    true, pred = display.density_true[0][..., 0], display.density_pred[0][..., 0]
    limits = min(true.min(), pred.min()), max(true.max(), pred.max())
    meshes = [ax.collections[0] for ax in display.slice_axes_]
    for mesh in meshes[:2]:
        assert mesh.get_clim() == limits
        assert mesh.get_cmap().name == "viridis"
    reach = 1e3 * np.abs(pred - true).max()
    assert meshes[2].get_clim() == pytest.approx((-reach, reach))
    assert meshes[2].get_cmap().name == "RdBu_r"
    titles = [ax.get_title() for ax in display.slice_axes_]
    assert titles == ["true", "predicted", "predicted − true"]
    for ax in display.slice_axes_:
        assert not any(spine.get_visible() for spine in ax.spines.values())
        assert ax.get_aspect() == 1
        np.testing.assert_allclose(
            ax.lines[0].get_xydata(), [[0, 0], [3, 0], [3, 6], [0, 6], [0, 0]]
        )
        assert ax.get_xlim() == display.ax_.get_xlim()
    assert [len(ax.child_axes) for ax in display.slice_axes_] == [0, 1, 1]
    shown = [ax.yaxis.get_tick_params().get("labelleft", True) for ax in display.slice_axes_]
    assert shown == [True, False, False]
    assert display.ax_.get_ylabel() == "across (Å)"
    assert display.slice_axes_[1].get_xlabel() == "along a₁ (Å), at 0.00 a₃"
    assert len(display.ax_.get_xticks()) <= 5
    assert display.slice_axes_[0].get_xticks()[-1] < display.ax_.get_xlim()[1]


# -------------------------------------------------------------------- globes


def test_globes_stand_in_rows_of_four_and_do_not_touch():
    display = environment(5)
    boxes = np.array([image.get_extent() for image in display.ax_.images])
    width, height = 4 * np.sqrt(2), 2 * np.sqrt(2)
    np.testing.assert_allclose(boxes[:, 1] - boxes[:, 0], width)
    np.testing.assert_allclose(boxes[:, 3] - boxes[:, 2], height)
    centres = (boxes[:, ::2] + boxes[:, 1::2]) / 2
    steps = np.array([[i % 4 * 2.15 / 2 * width, -(i // 4) * 1.3 * height] for i in range(5)])
    np.testing.assert_allclose(centres, steps, atol=1e-12)
    for patch, text, centre in zip(display.ax_.patches, display.ax_.texts, centres, strict=True):
        np.testing.assert_allclose(patch.get_center(), centre, atol=1e-12)
        assert (patch.get_width(), patch.get_height()) == pytest.approx((width, height))
        assert not patch.get_fill()
        assert to_rgb(patch.get_edgecolor()) == to_rgb(GUIDE)
        x, y = text.get_position()
        assert x == pytest.approx(centre[0])
        assert centre[1] + height / 2 < y < centre[1] + 0.6 * height
        assert text.get_ha() == "center"
    left, right = display.ax_.get_xlim()
    assert left == pytest.approx(boxes[:, 0].min() - 0.025 * width)
    assert right == pytest.approx(boxes[:, 1].max() + 0.025 * width)
    bottom, top = display.ax_.get_ylim()
    assert bottom == pytest.approx(boxes[:, 2].min() - 0.05 * height)
    assert top == pytest.approx(boxes[:, 3].max() + 0.25 * height)
    assert not display.ax_.axison
    assert display.ax_.get_aspect() == 1
    assert {image.origin for image in display.ax_.images} == {"lower"}
    assert {image.get_cmap().name for image in display.ax_.images} == {"Blues"}
    bar = display.colorbar_.ax
    display.figure_.canvas.draw()
    share = bar.get_window_extent().width / display.ax_.get_window_extent().width
    assert share == pytest.approx(0.025)


def test_rows_of_the_matrix_are_labelled_in_their_middle():
    display = environment(3, kind="matrix", radii=[1.0, 2.0, 3.0])
    assert list(display.ax_.get_yticks()) == [0.5, 1.5, 2.5]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["1.00 Å", "2.00 Å", "3.00 Å"]
    assert display.ax_.get_xlabel() == "vertices, by falling z"
    assert display.ax_.collections[0].get_rasterized()
    assert {tick.tick1line.get_markersize() for tick in display.ax_.yaxis.get_major_ticks()} == {0}


# -------------------------------------------------------------------- searches


def table(scores, seconds, **columns):
    made = pd.DataFrame({"score": scores, "seconds": seconds, "search": "", "round": 0})
    made["elapsed"], made["best"] = made["seconds"].cumsum(), made["score"].cummax()
    return made.assign(**columns)


@pytest.mark.parametrize(("ratio", "scale"), [(10.0, "linear"), (10.1, "log")])
def test_seconds_that_differ_by_more_than_ten_times(ratio, scale):
    made = table([1.0, 2.0], [1.0, ratio], front=True)
    display = SearchDisplay(table=made, kind="cost").plot()
    assert display.ax_.get_xscale() == scale
    if scale == "linear":
        assert display.ax_.get_xlim()[0] == 0
    both = pd.concat([made.assign(search="a", elapsed=1.0), made.assign(search="b", elapsed=ratio)])
    assert SearchDisplay(table=both).plot().ax_.get_xscale() == scale


@pytest.mark.parametrize(("ratio", "steps"), [(1e3, [1, 2, 5]), (1.01e3, [1])])
def test_ticks_of_a_logarithmic_axis(ratio, steps):
    display = SearchDisplay(table=table([1.0, 2.0], [1.0, ratio], front=True), kind="cost").plot()
    locations = display.ax_.get_xticks()
    leading = {round(t / 10 ** np.floor(np.log10(t) + 1e-9)) for t in locations}
    assert leading == set(steps)
    display.figure_.canvas.draw()
    assert "10" in [t.get_text() for t in display.ax_.get_xticklabels()]
    assert not any(t.get_text() for t in display.ax_.get_xticklabels(minor=True))


def test_zero_seconds_have_no_logarithm():
    made = table([1.0, 2.0], [0.0, 100.0], front=True)
    assert SearchDisplay(table=made, kind="cost").plot().ax_.get_xscale() == "linear"


@pytest.mark.parametrize(("lowest", "shown"), [(-12.0, True), (-12.1, False)])
def test_candidates_four_times_farther_than_the_median_are_shown(lowest, shown):
    # Median 0, best 3.
    made = table([3.0, 0.0, lowest, 1.0, -1.0], [1.0] * 5, front=False)
    for kind in ("progress", "cost"):
        display = SearchDisplay(table=made, kind=kind).plot()
        points = display.ax_.collections[0].get_offsets()
        assert len(points) == 4 + shown
        assert legend_of(display)[0] == "candidates" + ("" if shown else " (1 off the scale)")


def test_progress_is_made_of_steps_with_a_mark_at_the_end():
    display = search("progress")
    (line,), (points,) = display.ax_.lines, display.ax_.collections
    assert line.get_drawstyle() == "steps-post"
    assert line.get_markevery() == [-1]
    assert (line.get_marker(), line.get_zorder() < points.get_zorder()) == ("o", True)
    assert to_rgb(points.get_facecolor()[0]) == to_rgb(GUIDE)
    assert display.ax_.get_ylabel() == "score"
    assert search("progress", negative=True).ax_.get_ylabel() == "error"
    assert display.ax_.get_legend()._ncols == 2


def test_cost_shows_the_front_in_steps():
    display = search("cost", negative=True)
    (line,), (points,) = display.ax_.lines, display.ax_.collections
    assert line.get_drawstyle() == "steps-post"
    assert line.get_marker() == "o"
    assert points.get_alpha() < 1
    assert points.get_facecolor()[0][:3] == pytest.approx(to_rgb(line.get_color()))
    front = display.table[display.table["front"]].sort_values("seconds")
    np.testing.assert_allclose(line.get_ydata(), -front["score"])
    np.testing.assert_allclose(points.get_offsets(), display.table[["seconds", "score"]] * [1, -1])
    assert display.ax_.get_xlabel() == "time of a candidate (s)"


def test_effects_leave_a_place_between_parameters():
    display = search("effects", negative=True)
    first, second = display.ax_.lines
    np.testing.assert_array_equal(first.get_xdata(), [0, 1])
    np.testing.assert_array_equal(second.get_xdata(), [3, 4])
    assert list(display.ax_.get_xticks()) == [0, 1, 3, 4]
    assert {t.get_rotation() for t in display.ax_.get_xticklabels()} == {90}
    assert (first.get_ydata() <= 0).all()
    assert display.ax_.get_ylabel() == "mean error"
    assert [line.get_marker() for line in (first, second)] == ["o", "o"]


def test_importances_are_bars():
    display = search("importance")
    assert display.ax_.get_xlabel() == "range of the effects on the score"
    assert [bar.get_height() for bar in display.ax_.patches] == pytest.approx([0.6, 0.6])
    assert {tick.tick1line.get_markersize() for tick in display.ax_.yaxis.get_major_ticks()} == {0}


def test_options_of_the_correlation_are_passed_on(rng):
    scores, errors = rng.normal(size=(2, 12))
    plain = SearchDisplay.from_scores(scores, errors).correlation
    default = {"confidence": 0.95, "n_resamples": 2000, "random_state": 0}
    assert SearchDisplay.from_scores(scores, errors, **default).correlation == plain
    for other in ({"confidence": 0.5}, {"n_resamples": 200}, {"random_state": 1}):
        assert SearchDisplay.from_scores(scores, errors, **other).correlation[:3] != plain[:3]
    display = SearchDisplay.from_scores(scores, errors)
    rest, front = display.ax_.collections
    assert to_rgb(rest.get_facecolor()[0]) == to_rgb(GUIDE)
    assert to_rgb(front.get_facecolor()[0]) != to_rgb(GUIDE)


# -------------------------------------------------------------------- learning on the fly


def test_learning_on_the_fly():
    display = on_the_fly()
    expected, threshold, check, limit = display.ax_.lines
    assert [line.get_marker() for line in (threshold, check)] == ["o", "^"]
    assert len({line.get_color() for line in (expected, threshold, check)}) == 3
    assert {line.get_ls() for line in (threshold, check)} == {"None"}
    assert limit.get_ls() == "--"
    assert limit.get_lw() < expected.get_lw()
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_xlabel() == "step"
    assert display.ax_.get_legend()._ncols == 2


def test_atoms_from_a_decomposer_may_be_left_out():
    snapshots = make_snapshots(1, random_state=0)
    display = ADOSDisplay.from_decomposer(ADOSDecomposer(), snapshots, atoms=None)
    assert len(display.ax_.lines) == 2


# -------------------------------------------------------------------- layers and room

MORE = {
    "cost": lambda: search("cost"),
    "elements": lambda: ados(atoms="elements"),
    "bars": lambda: parity([0.0, 1.0, 2.0], [1e-3, 1.0, 2.0], std=np.ones(3)),
    "ranks": lambda: SearchDisplay.from_scores([1.0, 2.0, 3.0], [3.0, 1.0, 2.0]),
}


def drawn_in(name):
    display = MORE[name]() if name in MORE else DISPLAYS[name]()
    panel = getattr(display, "residual_ax_", None)
    return [display.ax_, *([] if panel is None else [panel])]


@pytest.mark.parametrize("name", ["DOS", "ADOS", "elements", "errors", "coverage", "density"])
def test_guides_are_thin_and_behind(name):
    n = 0
    for ax in drawn_in(name):
        guides = [line for line in ax.lines if to_rgb(line.get_color()) == to_rgb(GUIDE)]
        n += len(guides)
        for guide in guides:
            others = [line for line in ax.lines if line not in guides]
            assert all(guide.get_zorder() < line.get_zorder() for line in others)
            assert all(guide.get_lw() < line.get_lw() for line in others)
    assert n > 0


@pytest.mark.parametrize("name", ["parity", "progress", "ranks", "cost", "bars"])
def test_points_have_white_edges_and_are_in_front(name):
    for ax in drawn_in(name):
        points = [c for c in ax.collections if isinstance(c, PathCollection)]
        assert points
        others = [item for item in (*ax.lines, *ax.collections) if item not in points]
        for c in points:
            assert all(c.get_zorder() > item.get_zorder() for item in others)
            np.testing.assert_array_equal(c.get_edgecolor()[0][:3], 1)


def test_occupied_states_are_pale():
    display = dos()
    (area,) = display.ax_.collections
    assert area.get_alpha() < 0.3
    assert area.get_linewidths()[0] == 0


def test_the_edge_of_the_occupied_states_is_smooth():
    (area,) = dos(temperature=300.0).ax_.collections
    vertices = area.get_paths()[0].vertices
    assert (vertices[:, 0].min(), vertices[:, 0].max()) == (-2, 3)
    upper = vertices[vertices[:, 1] > 0]
    upper = upper[np.argsort(upper[:, 0], kind="stable")]
    # Energies are half an eV apart, 20 kT; steps of the shaded curve are much smaller.
    assert np.abs(np.diff(upper[:, 1])).max() < 0.4 * upper[:, 1].max()


def test_occupied_states_lie_on_the_offset_of_their_snapshot():
    for area, base in zip(dos(2, offset=4.0).ax_.collections, (0, 4), strict=True):
        assert area.get_paths()[0].vertices[:, 1].min() == base


def test_there_is_room_for_the_letter_of_the_fermi_level():
    plain, marked = dos(n_electrons=None), dos(shade=False)
    assert marked.ax_.get_ylim()[0] == plain.ax_.get_ylim()[0]
    assert marked.ax_.get_ylim()[1] > plain.ax_.get_ylim()[1]


def test_a_panel_leaves_room_for_its_markers_and_has_few_ticks_on_both_sides():
    true = np.linspace(0.0, 1.0, 5)
    display = parity(true, true + 1e-3 * np.array([0, 10, -2, 1, 4]))
    low, high = display.residual_ax_.get_ylim()
    assert low < -2
    assert high > 10
    ticks = display.residual_ax_.get_yticks()
    np.testing.assert_allclose(ticks, -ticks[::-1])
    assert (high - low) / np.diff(ticks)[0] <= 3
    assert display.residual_ax_.get_ylabel() == "Δ (meV/atom)"


def test_a_short_axis_has_few_ticks():
    ticks = parity([0.0, 1.0]).ax_.get_xticks()
    assert 3 <= sum((ticks >= 0) & (ticks <= 1)) <= 6


def test_equal_densities_of_states_have_no_power_of_ten():
    panel = ados(factor=1.0).residual_ax_
    assert panel.get_ylabel() == "Δ (1/\n(eV atom))"
    assert panel.get_ylim() == (-1.3, 1.3)
    assert "10" in ados(factor=1.01).residual_ax_.get_ylabel()


def test_the_bar_of_counts_is_within_the_lower_right_of_the_axes():
    display = density()
    display.figure_.canvas.draw()
    box = display.ax_.get_window_extent()
    (bar,) = [ax for ax in display.ax_.child_axes if ax.get_xlabel() == "grid points"]
    own = bar.get_window_extent()
    assert (box.x0 + box.x1) / 2 < own.x0 < own.x1 < box.x1
    assert box.y0 < own.y0 < own.y1 < (box.y0 + box.y1) / 2


@pytest.mark.parametrize("width", [3.0, 5.9, 11.0, 23.0])
def test_maps_have_few_ticks_at_round_lengths(width):
    true = np.random.default_rng(0).uniform(size=(3, 3, 3))
    cell = np.diag([width, 5.0, 5.0])
    display = DensityDisplay.from_predictions(true, true, cell=cell, kind="slice")
    low, high = display.ax_.get_xlim()
    ticks = [t for t in display.ax_.get_xticks() if low <= t <= high]
    (step,) = set(np.diff(ticks).round(9))
    assert f"{step:e}"[0] in "125"
    assert 2 <= len(ticks) <= 5
    # The label of the last one would touch the map beside it.
    assert ticks[-1] < width - 1e-9


def test_globes_are_twice_as_wide_as_high_and_named_above():
    display = environment(2)
    for image, text in zip(display.ax_.images, display.ax_.texts, strict=True):
        n_rows, n_columns = image.get_array().shape
        assert n_columns == 2 * n_rows
        left, right, bottom, top = image.get_extent()
        assert right - left == pytest.approx(2 * (top - bottom))
        assert text.get_position()[1] > top


# -------------------------------------------------------------------- legends


def test_long_lines_of_a_legend_are_broken():
    _, ax = plt.subplots()
    ax.plot([0, 1], label="short")
    ax.plot([0, 1], label="word " * 30)
    legend_above(ax)
    short, long = ax.get_legend().get_texts()
    assert short.get_text() == "short"
    assert long.get_text().split() == ["word"] * 30
    assert long.get_text().count("\n") > 1
    assert ax.get_legend().get_window_extent().width < ax.get_window_extent().width


def test_a_figure_grows_with_a_large_legend_if_it_may():
    def height(n, **options):
        figure, ax = plt.subplots(figsize=(4, 4))
        for i in range(n):
            ax.plot([0, 1], label=str(i))
        legend_above(ax, **options)
        return figure.get_figheight()

    assert height(2, grow=True) == 4
    assert height(20) == 4
    assert 4 < height(20, grow=True) < height(30, grow=True)


def test_the_place_of_a_legend_is_no_axes_to_be_seen():
    _, ax = plt.subplots()
    ax.plot([0, 1], label="one")
    legend_above(ax)
    (place,) = ax.child_axes
    assert not place.axison
    assert place.get_zorder() < 0
    ax.figure.canvas.draw()
    box, own = ax.get_window_extent(), place.get_window_extent()
    assert (own.x0, own.x1) == pytest.approx((box.x0, box.x1))
    assert (own.y0, own.y1) == pytest.approx((box.y1, ax.get_legend().get_window_extent().y1))


@pytest.mark.parametrize(
    ("labels", "above"),
    [(["a", "b"], False), (["a" * 40, "b"], True), ([f"s{i}" for i in range(30)], True)],
)
def test_large_legends_of_snapshots_are_above_the_axes(labels, above):
    rows = np.ones((len(labels), 11))
    display = DOSDisplay.from_predictions(rows, rows, energies=ENERGIES, labels=labels)
    legend = display.ax_.get_legend()
    assert len(legend.get_texts()) == len(labels) + 2
    assert (legend.get_window_extent().y0 >= display.ax_.get_window_extent().y1) == above


def test_the_name_of_a_single_snapshot_is_the_title():
    display = dos(labels=["Al"])
    assert display.ax_.get_title() == "Al"
    assert len(legend_of(display)) == 2


@pytest.mark.parametrize("length", [3, 60])
def test_legends_of_searches_are_no_wider_than_their_axes(length):
    options = {"scores": [1.0, 2.0], "seconds": [1.0, 2.0], "front": True}
    tables = [table(**options, search=name) for name in ("z" * length, "a")]
    for kind in ("progress", "cost"):
        display = SearchDisplay(table=pd.concat(tables), kind=kind).plot()
        legend, ax = display.ax_.get_legend(), display.ax_
        assert legend.get_window_extent().width < ax.get_window_extent().width
        # In the order of the searches; the fronts of several have no entry.
        assert [text.replace("\n", "") for text in legend_of(display)] == ["z" * length, "a"]


def test_many_colours_go_from_dark_to_light_but_not_to_yellow():
    display = DOSDisplay.from_predictions(None, np.ones((7, 11)), energies=ENERGIES)
    shades = np.array([line.get_color() for line in display.ax_.lines])[:, :3]
    lightness = shades @ [0.3, 0.59, 0.11]
    assert (np.diff(lightness) > 0).all()
    assert lightness[-1] < 0.8
