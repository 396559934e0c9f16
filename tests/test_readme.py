"""The examples in the README and in the documentation run unchanged.

The Python blocks of a page share their names and run in a fresh folder, in order. A block after the
comment ``<!-- skip: why -->`` is skipped. `FILES` creates the files that a page reads.
"""

import re
import runpy
import shutil
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType

import matplotlib
import pytest

matplotlib.use("Agg")

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/tutorials/*.md"),
        *ROOT.glob("docs/developer/*.md"),
    ]
)
EXAMPLES = sorted(ROOT.glob("docs/examples/plot_*.py"))
BLOCK = re.compile(r"(<!-- skip[^>]*-->\s*)?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")  # of Debian and its relatives


def runs_of_pw(folder):
    """Leave three small runs of pw.x in ``runs/``, as a user has them."""
    if not (shutil.which("pw.x") and PSEUDOPOTENTIALS.exists()):
        pytest.skip("needs pw.x with its pseudopotentials")
    from ase.build import bulk

    from skldos import EnergyGrid
    from skldos.datasets import EspressoRecipe

    energies = EnergyGrid.regular(-6.0, 0.2, 81, broadening=0.4, kernel="gaussian")
    recipe = EspressoRecipe(
        {"Al": "Al.pz-vbc.UPF"},
        energies=energies,
        ecutwfc=8.0,
        kpts=(4, 4, 4),
        temperature=933.0,
        pseudo_dir=PSEUDOPOTENTIALS,
        keep_files=True,
    )
    crystals = [bulk("Al", a=a) for a in (4.0, 4.05, 4.1)]
    recipe.run(crystals, folder / "calculated")
    for i, save in enumerate(sorted((folder / "calculated").rglob("*.save"))):
        save.rename((folder / "runs" / str(i)).mkdir(parents=True) or folder / f"runs/{i}/al.save")


def run_of_pw(folder):
    """Leave a small run of pw.x in ``out/``."""
    shutil.copytree(ROOT / "tests/io/data/al2/al2.save", folder / "out" / "al.save")


def files_of_mala(folder):
    """Leave two snapshots in MALA's format."""
    from skldos.datasets import make_snapshots
    from skldos.io import write_mala

    for i, snapshot in enumerate(make_snapshots(2, n_energies=11, random_state=0)):
        write_mala(snapshot, folder / f"Be_snapshot{i}")


#: What makes the files that a page reads.
FILES = {
    "README.md": run_of_pw,
    "docs/guide.md": run_of_pw,
    "docs/tutorials/coming_from_mala.md": files_of_mala,
    "docs/tutorials/first_model.md": runs_of_pw,
}


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
def test_blocks_of_page_run(page, monkeypatch):
    # A real module, as of a script: what a page defines can be pickled.
    FILES.get(name_of(page), lambda folder: None)(Path.cwd())
    script = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)
    for line, code in blocks(page):
        # Empty lines in front make a traceback show the line of the page.
        exec(compile("\n" * line + code, str(page), "exec"), vars(script))


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


@pytest.mark.parametrize(
    ("page", "heading", "n_blocks"),
    [
        ("get_started.md", "A cross-validated model", 1),
        ("get_started.md", "True and predicted density", 1),
        ("get_started.md", "A run at constant temperature", 1),
        ("tutorials/first_model.md", "1. Read the runs", 2),  # and cross-validate
    ],
)
def test_first_steps_take_at_most_fifteen_lines(page, heading, n_blocks):
    page = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = islice(BLOCK.finditer(page, page.index(f"## {heading}")), n_blocks)
    lines = [line for match in found for line in match.group(2).splitlines() if line.strip()]
    assert 3 < len(lines) <= 15
