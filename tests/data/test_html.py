"""Notebook displays: well-formed, with the right numbers, and without reading files."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from ase.build import bulk

from skldos import EnergyGrid, Snapshot, SnapshotList
from skldos.data import Blocks
from skldos.data.html import HEIGHT, POINTS, ROWS, WIDTH, sparkline, table
from skldos.datasets import make_snapshots


def cells(html):
    """Return the texts of an HTML table, which has to be well-formed."""
    return [text.strip() for text in ET.fromstring(html).itertext() if text.strip()]


def polyline(html):
    (line,) = (e for e in ET.fromstring(html).iter() if e.tag == "polyline")
    return np.array([pair.split(",") for pair in line.get("points").split()], dtype=float)


def test_a_snapshot_shows_what_it_is_and_its_dos(snapshots):
    snapshot = snapshots[0].replace(name="<liquid>", source="run & co")
    shown = cells(snapshot._repr_html_())
    for text in ("<liquid>", "run & co", "Al4, 2.7 g/cm³", "4 × 4 × 4", "298 K", "12"):
        assert text in shown
    x, y = polyline(snapshot._repr_html_()).T
    dos = snapshot.dos()
    assert len(x) == len(dos)
    # Upside down: pixels count downwards.
    np.testing.assert_allclose(y, HEIGHT * (1 - dos / dos.max()), atol=0.06)
    assert (x[0], x[-1]) == (0, WIDTH)


def test_the_curve_of_a_dos_without_an_ldos():
    energies, dos = np.linspace(-2.0, 2.0, 5), np.array([0.0, 1.0, 3.0, 2.0, 2.0])
    known = Snapshot(bulk("Al"), energies=energies, reference={"dos": dos})
    x, y = polyline(known._repr_html_()).T
    assert (np.argmin(y), len(x)) == (2, 5)
    for reference in ({"dos": dos[:4]}, {}):
        other = Snapshot(bulk("Al"), energies=energies, reference=reference)
        assert "density of states" not in cells(other._repr_html_())
    assert "density of states" not in cells(
        Snapshot(bulk("Al"), reference={"dos": dos})._repr_html_()
    )


def test_what_a_snapshot_lacks_is_left_out():
    assert cells(Snapshot(bulk("Al"))._repr_html_()) == ["Snapshot", "atoms", "Al, 2.7 g/cm³"]
    assert "0 K" in cells(Snapshot(bulk("Al"), temperature=0)._repr_html_())


def test_a_field_on_disk_is_not_read(snapshots, tmp_path):
    loaded = SnapshotList.load(snapshots[:1].save(tmp_path / "set"))
    (tmp_path / "set" / "ldos_00000.npy").unlink()
    assert "of an LDOS on disk" in cells(loaded[0]._repr_html_())
    assert "of an LDOS on disk" in cells(loaded._repr_html_())


def test_rows_of_a_list_show_what_each_snapshot_has():
    bare = Snapshot(bulk("Al"), grid_shape=(2, 3, 4))
    full = Snapshot(bulk("Al"), temperature=0.0, n_electrons=3.0, name="first")
    shown = cells(SnapshotList([bare, full])._repr_html_())
    assert shown[7:] == ["0", "Al", "2 × 3 × 4", "1", "first", "Al", "0 K", "3"]


def test_lists_show_a_row_each_and_the_first_of_many(snapshots):
    many = SnapshotList([*snapshots] * 3)
    for shown in (many, Blocks([np.zeros((4, 2))] * 18, many), Blocks([np.zeros((4, 2))] * 18)):
        html = shown._repr_html_()
        assert f"18 snapshots, the first {ROWS}" in cells(html)[0]
        assert sum(e.tag == "tr" for e in ET.fromstring(html).iter()) == ROWS + 1
    assert "Al4, 298 K" in cells(Blocks([np.zeros((4, 2))] * 18, many)._repr_html_())
    assert cells(SnapshotList()._repr_html_())[0] == "SnapshotList of 0 snapshots"
    assert cells(many[:1]._repr_html_())[0] == "SnapshotList of 1 snapshot"


def test_an_energy_grid_shows_range_and_spacing():
    shown = cells(EnergyGrid.regular(-6, 0.2, 81, broadening=0.4)._repr_html_())
    assert shown[1:] == [
        *("energies", "81", "range", "-6 to 10 eV", "spacing", "0.2 eV"),
        *("broadening", "0.4 eV", "kernel", "unknown"),
    ]
    assert "1 to 2 eV" in cells(EnergyGrid([0, 1, 3])._repr_html_())


def test_tables_of_numbers():
    frame = EnergyGrid([0, 1, 3]).to_frame()
    assert frame["energy"].tolist() == [0, 1, 3]
    blocks = Blocks([np.arange(4.0).reshape(2, 2), np.ones((1, 2))])
    frame = blocks.to_frame()
    assert frame.index.tolist() == [(0, 0), (0, 1), (1, 0)]
    assert frame.to_numpy().tolist() == [[0, 1], [2, 3], [1, 1]]
    assert len(Blocks([]).to_frame()) == 0


def test_a_long_curve_is_thinned_out_but_keeps_its_ends():
    x = np.arange(10_001.0)
    points = polyline(sparkline(x, x))
    assert 100 <= len(points) <= POINTS
    np.testing.assert_allclose(points[[0, -1]], [[0, HEIGHT], [WIDTH, 0]])
    assert "<line" in sparkline(x, x, mark=5.0)
    assert "<line" not in sparkline(x, x, mark=-1.0)


@pytest.mark.parametrize(("mark", "at"), [(2.0, 0), (3.0, WIDTH / 4), (6.0, WIDTH)])
def test_a_mark_is_where_it_belongs(mark, at):
    html = sparkline([2.0, 4.0, 6.0], [-1.0, 3.0, 1.0], mark=mark)
    (line,) = (e for e in ET.fromstring(html).iter() if e.tag == "line")
    assert float(line.get("x1")) == float(line.get("x2")) == pytest.approx(at)
    assert (line.get("y1"), line.get("y2")) == ("0", str(HEIGHT))
    # From below zero to above it, downwards.
    np.testing.assert_allclose(polyline(html), [[0, HEIGHT], [WIDTH / 2, 0], [WIDTH, HEIGHT / 2]])


def test_a_curve_above_zero_stands_on_it():
    down = polyline(sparkline([0, 1], [1.0, 2.0]))[:, 1]
    np.testing.assert_allclose(down, [HEIGHT / 2, 0])
    assert len(polyline(sparkline(np.arange(200), np.arange(200)))) == 200


def test_indents_are_kept():
    html = table("Card", [("units", ""), ("  energy", "eV")])
    assert [e.text for e in ET.fromstring(html).iter("th")] == ["units", "\N{EM SPACE}energy"]


def test_cells_are_escaped():
    assert "<script>" not in table("<script>", [("<script>", "<script>")], ["<script>", "a"])


def test_a_name_is_the_label(snapshots):
    assert snapshots[0].label == "Al4, 298 K"
    assert snapshots[0].replace(name="solid 3").label == "solid 3"
    assert Snapshot(bulk("Al")).label == "Al"
    assert make_snapshots(1, random_state=0)[0].replace(source="here").source == "here"
    with pytest.raises(TypeError, match="source must be a string, got 3"):
        Snapshot(bulk("Al"), source=3)


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_curves_have_no_scale(scale):
    x, y = np.arange(4.0), np.array([0.0, 3.0, -1.0, 2.0])
    for sign in (1, -1, 0):
        assert sparkline(scale * x, scale * sign * y) == sparkline(x, sign * y)
    assert (polyline(sparkline(x, 0 * y))[:, 1] == HEIGHT).all()
