"""The script that checks the links of the built site finds the dead ones, and no others."""

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "check_links.py"
PAGE = '<h1 id="top">A</h1><a name="old"></a><a href="{link}">x</a><img src="picture.png">'


@pytest.fixture
def check(tmp_path, capsys):
    """Return what makes a site whose first page has one link, and checks it."""

    def run(link):
        (tmp_path / "sub dir").mkdir()
        (tmp_path / "picture.png").touch()
        (tmp_path / "index.html").write_text(PAGE.format(link=link))
        (tmp_path / "sub dir" / "index.html").write_text('<p id="here &amp; now">')
        (tmp_path / "_static").mkdir()
        (tmp_path / "_static" / "template.html").write_text('<a href="nowhere">')
        status = runpy.run_path(str(SCRIPT))["main"](tmp_path)
        return status, capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    "link",
    [
        "#top", "#old", "index.html#top", "sub%20dir/index.html#here%20%26%20now", "sub%20dir/",
        "picture.png#part", "?query", "#", "https://example.org/a#b", "mailto:a@example.org",
    ],
)  # fmt: skip
def test_links_that_lead_somewhere(link, check):
    status, printed = check(link)
    assert status == 0, printed
    assert "2 pages, 2 links, 0 of them dead" in printed or link == "#"


@pytest.mark.parametrize(
    "link",
    [
        "#absent", "absent.html", "sub%20dir/index.html#top", "sub%20dir/absent", "../index.html",
        "https:///path", "https://exam ple.org", "http://word", "javascript:void(0)",
    ],
)  # fmt: skip
def test_links_that_lead_nowhere(link, check):
    status, printed = check(link)
    assert status == 1
    assert f"index.html: {link} leads nowhere" in printed


def test_a_site_without_pages_is_wrong(tmp_path, capsys):
    assert runpy.run_path(str(SCRIPT))["main"](tmp_path) == 1
    assert "0 pages" in capsys.readouterr().out
