"""Progress bars move on a terminal and are one line in a file."""

import io
import sys

import pytest

from skldos.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def go(stream, monkeypatch, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    for _ in progress_bar(range(2000), desc="loop", **options):
        pass
    return stream.getvalue()


def test_a_file_gets_one_line(monkeypatch):
    written = go(io.StringIO(), monkeypatch)
    assert written.count("\n") == 1
    assert written.count("\r") <= 3
    assert "2000/2000" in written


def test_a_bar_that_vanishes_on_a_terminal_stays_in_a_file(monkeypatch):
    assert "2000/2000" in go(io.StringIO(), monkeypatch, leave=False)
    assert go(Terminal(), monkeypatch, leave=False).endswith("\r")


def test_a_terminal_sees_it_move(monkeypatch):
    def slow():
        for _ in range(4):
            import time

            time.sleep(0.06)
            yield 1

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert sum(progress_bar(slow(), desc="loop", total=4)) == 4
    assert stream.getvalue().count("\r") >= 3


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_hidden_is_hidden(stream, monkeypatch):
    assert go(stream(), monkeypatch, shown=False) == ""
