"""What the README and the pages of the documentation show runs as it stands.

The Python blocks of a page share their names and run in a fresh folder, in order. A block after the
comment ``<!-- skip: why -->`` is left out.
"""

import re
import runpy
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("docs/developer/*.md")])
EXAMPLES = sorted(ROOT.glob("docs/examples/plot_*.py"))
BLOCK = re.compile(r"(<!-- skip[^>]*-->\s*)?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def blocks(page):
    """Return (first line, code) of the Python blocks of a page that are to run."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, match.start(2)), match.group(2))
        for match in BLOCK.finditer(text)
        if match.group(1) is None
    ]


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.fixture(autouse=True)
def fresh_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_blocks_of_page_run(page):
    names = {"__name__": "__main__"}
    for line, code in blocks(page):
        # Empty lines in front make a traceback show the line of the page.
        exec(compile("\n" * line + code, str(page), "exec"), names)


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_example_runs(example):
    runpy.run_path(str(example), run_name="__main__")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_links_lead_to_files(page):
    targets = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if ":" not in link]
    assert [link for link in targets if not (page.parent / link).exists()] == []


def test_readme_commands_are_the_ones_promised():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install . && python -m skldos" in text
    assert "pip install '.[test]' && pytest" in text
