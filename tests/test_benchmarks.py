"""Benchmarks are run by hand, so what can break unseen is checked here: names, order, pages.

None is run. Those of ``benchmarks/peers`` live in an environment of their own and are left out.
"""

import ast
import importlib
import inspect
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
FOLDERS = sorted(path.parent for path in BENCHMARKS.glob("*/README.md"))
MODULES = {
    f"benchmarks.{path.parent.name}.{path.stem}": path
    for path in sorted(BENCHMARKS.glob("*/*.py"))
    if path.parent.name != "peers"
}
SCRIPTS = [name for name, path in MODULES.items() if ".parse_args()" in path.read_text("utf-8")]
DETAILS = sorted(BENCHMARKS.glob("*/details.md"))
PAGES = sorted([BENCHMARKS / "README.md", *(folder / "README.md" for folder in FOLDERS), *DETAILS])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def imports_of(path):
    """Return (module, names) of all absolute imports of a file, those inside functions included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.module, [alias.name for alias in node.names]))
    return found


def targets_of(path):
    """Return the modules of benchmarks that a file imports."""
    candidates = {
        target
        for module, names in imports_of(path)
        for target in (module, *(f"{module}.{name}" for name in names))
    }
    return sorted(candidates & MODULES.keys())


def cycle_in(graph):
    """Return a cycle of a graph {node: its successors} as a list of nodes, or None."""
    done = set()

    def visit(node, way):
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return None
        found = (visit(successor, [*way, node]) for successor in graph.get(node, ()))
        cycle = next(filter(None, found), None)
        done.add(node)
        return cycle

    return next(filter(None, (visit(node, []) for node in graph)), None)


def test_everything_lies_in_the_folder_of_a_question():
    assert [path.name for path in BENCHMARKS.glob("*.py")] == ["__init__.py"]
    with_scripts = {MODULES[name].parent for name in SCRIPTS}
    assert with_scripts == set(FOLDERS)
    assert len(SCRIPTS) > 25


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_answers_help(name, monkeypatch, capsys):
    module = importlib.import_module(name)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        module.main()
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage:")
    assert f"python -m {name}" in out


def test_cycles_are_found():
    assert cycle_in({"a": ["b"], "b": ["c"], "c": []}) is None
    assert cycle_in({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) is None
    assert cycle_in({"x": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}) == ["a", "b", "c", "a"]


def test_no_benchmark_imports_itself_by_way_of_others():
    graph = {name: targets_of(path) for name, path in MODULES.items()}
    assert sum(map(len, graph.values())) > len(graph)
    assert cycle_in(graph) is None


def test_private_modules_stay_in_their_folder():
    for name, path in MODULES.items():
        for target in targets_of(path):
            folder, _, module = target.rpartition(".")
            private = module.startswith("_") and folder != name.rpartition(".")[0]
            assert not private, f"{name} imports {target}"


def test_what_is_imported_from_here_exists():
    for name, path in MODULES.items():
        for module, names in imports_of(path):
            if module.split(".")[0] in ("skldos", "benchmarks"):
                own = importlib.import_module(module)
                for each in names:
                    found = hasattr(own, each) or f"{module}.{each}" in MODULES
                    assert found, f"{name} imports {each} from {module}, which has none"


def imported(nodes):
    """Return what the imports among some nodes take from skldos, by the name it gets."""
    return {
        alias.asname or alias.name: getattr(importlib.import_module(node.module), alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module.startswith("skldos")
        for alias in node.names
    }


def wrong_calls(tree):
    """Return calls of what a file imports from skldos with arguments that it does not take."""
    wrong, everywhere = [], imported(tree.body)
    for scope in (node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))):
        known = everywhere | imported(ast.walk(scope))
        for node in ast.walk(scope):
            function = known.get(getattr(getattr(node, "func", None), "id", None))
            if not callable(function):
                continue
            some = [] if any(isinstance(a, ast.Starred) for a in node.args) else node.args
            named = {keyword.arg: None for keyword in node.keywords if keyword.arg}
            try:
                inspect.signature(function).bind_partial(*some, **named)
            except TypeError as error:
                wrong.append(f"line {node.lineno}: {node.func.id}: {error}")
    return wrong


@pytest.mark.parametrize("where", ["\n    ", "\n\ndef f():\n    "])
def test_wrong_calls_are_found(where):
    code = "from skldos import {0}" + where + "return {0}({1})\n"
    code = f"def f():\n    {code}" if where == "\n    " else code
    for right in [("AtomSNAPTransformer", "5.0, twojmax=4, **o"), ("Snapshot", "*a, ldos=b")]:
        assert wrong_calls(ast.parse(code.format(*right))) == []
    for wrong in [("AtomSNAPTransformer", "rcut=5.0"), ("Snapshot", "a, 1, 2")]:
        assert len(wrong_calls(ast.parse(code.format(*wrong)))) == 1


def test_calls_of_skldos_pass_arguments_that_it_takes():
    for name, path in MODULES.items():
        assert wrong_calls(ast.parse(path.read_text(encoding="utf-8"))) == [], name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_readme_names_every_script_and_result(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    scripts = {MODULES[name].name for name in SCRIPTS if MODULES[name].parent == folder}
    pages = {f"results/{path.name}" for path in folder.glob("results/*.md")}
    for expected in scripts | pages:
        assert expected in text, f"{folder.name}/README.md does not name {expected}"
    for mentioned in re.findall(r"`(\w+\.py)`", text):
        assert (folder / mentioned).exists(), f"{folder.name}/README.md names {mentioned}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_readme_is_half_a_page(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    has_details = folder / "details.md" in DETAILS
    assert ("(details.md)" in text) == has_details
    assert (200 if has_details else 1) <= len(text.split()) <= 330


def test_table_of_questions_names_every_folder():
    text = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    for folder in FOLDERS:
        assert f"({folder.name}/README.md)" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_links_lead_to_files(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_commands_of_pages_exist():
    pages = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    for page in pages:
        for command in re.findall(r"python -m (benchmarks\.[\w.]+)", page.read_text("utf-8")):
            assert command in SCRIPTS, f"{page.name} shows {command}"


def test_tables_are_those_of_the_results():
    from benchmarks.common import report

    paths = set()
    for path, text in report.pages():
        assert path.read_text(encoding="utf-8") == text, f"{path} is out of date: run report"
        paths.add(path)
    assert paths == set(BENCHMARKS.glob("*/results/*.md"))


def test_records_name_their_benchmark_and_machine():
    for path in BENCHMARKS.glob("*/results/*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record["benchmark"] == path.stem
        assert record["machine"]["processor"]
        assert record["rows"]


def test_a_function_runs_in_a_fresh_process():
    from benchmarks.common import harness, tables

    keywords = {"values": [1.0, 2.0, 6.0], "form": ".1f"}
    assert harness.call_fresh(tables.mean_and_range, keywords) == "3.0 (1.0 to 6.0)"
    with pytest.raises(RuntimeError, match="StatisticsError"):
        harness.call_fresh(tables.mean_and_range, {"values": [], "form": ".1f"})


def test_what_is_kept_is_not_computed_again(tmp_path):
    from benchmarks.common.harness import cached

    path = tmp_path / "new" / "row.json"
    assert cached(path, lambda a, b: {"sum": a + b}, 1, b=2) == {"sum": 3}
    assert cached(path, lambda a, b: pytest.fail("computed again"), 1, b=2) == {"sum": 3}


@pytest.mark.parametrize("deviation", [1.1e-9, -2e-9, float("nan")])
def test_other_numbers_stop_a_benchmark(deviation):
    from benchmarks.common.harness import require

    require("the bispectrum", 0.9e-9, 1e-9)
    with pytest.raises(SystemExit, match="the bispectrum deviates by"):
        require("the bispectrum", deviation, 1e-9)


def test_cells_without_a_value_are_empty():
    from benchmarks.common.tables import column_table

    columns = {"a": "{a:.1f}", "b": "{b[c]:.2f}", "twice": lambda row: f"{2 * row['a']:g}"}
    rows = [{"a": 1.25, "b": {"c": 2}}, {"b": {}}, {"a": None, "b": None}]
    lines = column_table(columns, rows).splitlines()
    assert lines[0] == "| a | b | twice |"
    assert lines[2] == "| 1.2 | 2.00 | 2.5 |"
    assert lines[3] == lines[4] == "|  |  |  |"
