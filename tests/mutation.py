"""Put small mistakes into the code one at a time: do the tests detect them?

``python tests/mutation.py --number 100 --seed 0 --output mutants.json`` draws lines of the package
at random, over all folders, changes one thing in each (an operator, a comparison, a constant, a
sign, a keyword, a whole statement), and runs the tests of its folder, and those of all signatures
and limits, on a copy of the repository. A run with the same output file continues where it stopped.
Survivors are printed as they are found: each is a missing test, or a change that changes nothing.
At the end the tests that noticed a mistake run without any: one that fails then noticed nothing.
Run it on committed files alone, since the copy is made once.
"""

import argparse
import ast
import contextlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import numba
import pytest

ROOT = Path(__file__).parents[1]
#: Further folders of tests that look at a folder of the package; its mirror always does.
ALSO = {
    "geometry": ["descriptors"],
    "physics": ["scoring", "calculator"],
    "data": ["descriptors"],
    "networks": ["regressors"],
    "prediction": ["scoring", "regressors", "uncertainty"],
    "scoring": ["uncertainty"],
    "io": ["datasets"],
    "regressors": ["uncertainty"],
}
#: Tests of the whole package, which look at every folder.
WHOLE = ("test_signatures.py", "test_limits.py", "test_parameters.py")
#: What takes long to import, and is not tested.
LIBRARIES = (
    "ase.io",
    "matplotlib.pyplot",
    "optuna",
    "pandas",
    "scipy.stats",
    "sklearn.pipeline",
    "skorch",
)
COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
}


def mistakes(tree):
    """Yield (line, what, function that makes the change) for all possible changes."""
    texts = {id(node) for error in ast.walk(tree) for node in _said(error)}
    for node in ast.walk(tree):
        if id(node) in texts:
            continue
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
            new = COMPARISONS[type(node.ops[0])]
            yield line, f"comparison to {new.__name__}", _set(node.ops, 0, new())
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS:
            new = OPERATORS[type(node.op)]
            yield line, f"operator to {new.__name__}", _attribute(node, "op", new())
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            new = node.value + 1 if isinstance(node.value, int) else 1.01 * node.value + 1e-12
            yield line, f"constant {node.value} to {new}", _attribute(node, "value", new)
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            yield line, f"constant to {not node.value}", _attribute(node, "value", not node.value)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield line, "sign lost", _attribute(node, "op", ast.UAdd())
        elif isinstance(node, ast.If):
            yield line, "condition negated", _attribute(node, "test", ast.Not, negate=True)
        elif isinstance(node, ast.Call) and node.keywords:
            yield line, f"keyword {node.keywords[-1].arg} lost", _pop(node.keywords)
        elif isinstance(node, (ast.FunctionDef, ast.For, ast.With)):
            for i, statement in enumerate(node.body):
                simple = isinstance(statement, (ast.AugAssign, ast.Expr))
                if simple and not isinstance(getattr(statement, "value", None), ast.Constant):
                    yield statement.lineno, "statement lost", _set(node.body, i, ast.Pass())


def _said(node):
    """Return the nodes that only belong to a message or a docstring."""
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.AnnAssign)):
        return ast.walk(node)
    called = getattr(getattr(node, "func", None), "attr", getattr(node, "func", None))
    if called == "warn" or getattr(called, "id", None) == "tqdm":
        return ast.walk(node)
    return ()


def _set(sequence, index, new):
    def change():
        sequence[index] = new

    return change


def _attribute(node, name, new, negate=False):
    def change():
        value = ast.UnaryOp(op=ast.Not(), operand=getattr(node, name)) if negate else new
        setattr(node, name, value)

    return change


def _pop(sequence):
    return sequence.pop


def draw(number, seed):
    """Return `number` mistakes as (path, index in the file), equally many per folder."""
    rng = random.Random(seed)
    by_folder = {}
    for path in sorted((ROOT / "skldos").rglob("*.py")):
        if path.name != "__init__.py":
            by_folder.setdefault(path.relative_to(ROOT / "skldos").parts[0], []).append(path)
    folders = [name for name in by_folder if not name.endswith(".py")]
    drawn = []
    while len(drawn) < number:
        path = rng.choice(by_folder[folders[len(drawn) % len(folders)]])
        found = list(mistakes(ast.parse(path.read_text())))
        if found:
            drawn.append((path.relative_to(ROOT), rng.randrange(len(found))))
    return drawn


def run(path, index, copy, tests, limits):
    """Make the change in `copy`, run `tests` within limits of time, undo it; return the result."""
    source = (ROOT / path).read_text()
    tree = ast.parse(source)
    line, what, change = list(mistakes(tree))[index]
    change()
    target = copy / path
    times = target.stat()
    target.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    try:
        by = _failed(tests, copy, *limits, _kernels_of(path))
    finally:
        target.write_text(source)
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))  # as Numba's cache knows it
    text = source.splitlines()[line - 1].strip()
    found = {"path": str(path), "line": line, "what": what, "code": text}
    return found | {"noticed": by is not None, "by": by}


def tests_of(path, copy):
    """Return the tests that are named after a module, and those of its folders."""
    names = {part.removesuffix(".py").strip("_") for part in path.parts[2:]}
    mirror = copy / "tests" / path.parts[1]
    files = sorted(mirror.rglob("test_*.py"))
    named = [file for file in files if names & set(_words(file.stem))]
    if not named:  # those that mention it
        known = names | {
            node.name for node in ast.parse((copy / path).read_text()).body if _is_def(node)
        }
        mention = re.compile(rf"\b({'|'.join(known)})\b")
        named = [file for file in files if mention.search(file.read_text())] or files
    folders = [copy / "tests" / f for f in [path.parts[1], *ALSO.get(path.parts[1], []), *WHOLE]]
    named.sort(key=lambda file: (file.stem != f"test_{path.stem.strip('_')}", file.stat().st_size))
    return [path, *named], [folder for folder in folders if folder.exists()]


def _is_def(node):
    return isinstance(node, (ast.FunctionDef, ast.ClassDef))


def _words(stem):
    """Return the module names for a test file: test_a_b gives a_b, a, b."""
    stem = stem.removeprefix("test_")
    return [stem, *stem.split("_")]


def _kernels_of(path):
    """Return the names of the modules whose compiled functions contain those of `path`.

    Numba keeps compiled code until its own module changes, not those it takes functions from.
    """
    modules = [file for file in (ROOT / "skldos").rglob("*.py") if "@compiled" in file.read_text()]
    mistaken, known = {ROOT / path}, set()
    while mistaken != known:
        known = set(mistaken)
        names = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in known)
        imports = re.compile(rf"^from ({'|'.join(names)}) import", re.MULTILINE)
        mistaken |= {file for file in modules if imports.search(file.read_text())}
    return [file.stem for file in mistaken if file in modules]


class Limit:
    """Plugin of pytest: a test that takes more than `cpu_time` s ends the process.

    The name of the last test, or of what cannot be collected, is in the file `report`.
    """

    def __init__(self, cpu_time, report):
        self.cpu_time, self.report = cpu_time, report

    def pytest_runtest_logstart(self, nodeid):
        """Start the clock again."""
        self.report.write_text(nodeid, encoding="utf-8")
        signal.setitimer(signal.ITIMER_PROF, self.cpu_time)

    def pytest_collectreport(self, report):
        """Note what cannot be collected."""
        if report.failed:
            self.report.write_text(report.nodeid, encoding="utf-8")


def _failed(tests, copy, cpu_time, patience, kernels=()):
    """Run `tests` in a fork, and return the name of the first that fails, or None.

    A test that takes more than `cpu_time` s of CPU hangs, which is a failure. If all of them take
    more than `patience`, they have noticed nothing so far.
    """
    report = copy.parent / "last"
    report.write_text("")
    cache = Path(numba.config.CACHE_DIR)
    if kernels:  # what is compiled with the mistake is not kept
        cache = shutil.copytree(cache, cache.with_name("mistaken"))
        for file in cache.rglob("*.nbi"):
            if file.name.partition(".")[0] in kernels:
                file.unlink()
    child = os.fork()
    if child == 0:
        os.setpgrp()
        signal.setitimer(signal.ITIMER_VIRTUAL, patience)
        signal.alarm(20 * min(patience, cpu_time))  # one that waits takes no CPU
        numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = str(cache)
        sys.dont_write_bytecode = False
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-n0"]
        os._exit(int(pytest.main([*options, *map(str, tests)], [Limit(cpu_time, report)])))
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # workers that it has left behind
    if kernels:
        shutil.rmtree(cache)
    # 5: there are no tests
    fine = os.waitstatus_to_exitcode(status) in (0, 5, -signal.SIGVTALRM)
    return None if fine else report.read_text(encoding="utf-8")


def main():
    """Draw mistakes, run them, print the survivors and the fraction that was detected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu-time", type=int, default=150, help="s of one test")
    parser.add_argument("--patience", type=int, default=60, help="s of the tests of a module")
    parser.add_argument("--output", type=Path, default=Path("mutants.json"))
    options = parser.parse_args()
    found = json.loads(options.output.read_text()) if options.output.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        os.environ["PYTHONPATH"] = str(copy)
        numba.config.CACHE_DIR = str(Path(folder) / "numba")
        Path(numba.config.CACHE_DIR).mkdir()
        for library in LIBRARIES:  # once: what is forked off has them
            importlib.import_module(library)
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".*venv", "__pycache__"))
        shared = ROOT.parent / "shared"
        if shared.exists():
            (copy.parent / "shared").symlink_to(shared)
        drawn = draw(options.number, options.seed)
        # Most are noticed by the tests of their module; the others wait.
        for all_of_them, patience in ((False, options.patience), (True, 10 * options.cpu_time)):
            for i, (path, index) in enumerate(drawn):
                if i < len(found) and (found[i]["noticed"] or not all_of_them):
                    continue
                tests = tests_of(path, copy)[all_of_them]
                found[i : i + 1] = [run(path, index, copy, tests, (options.cpu_time, patience))]
                options.output.write_text(json.dumps(found, indent=1))
                if not found[i]["noticed"]:
                    text = "" if all_of_them else " (so far)"
                    print("{path}:{line}: {what}: {code}".format(**found[i]) + text, flush=True)
        # They must pass without a mistake.
        alarms = sorted({one["by"] for one in found if one["noticed"]})
        false = {test for test in alarms if _failed([test], copy, 600, 600) is not None}
    for one in found:
        one["noticed"] &= one["by"] not in false
    options.output.write_text(json.dumps(found, indent=1))
    for test in sorted(false):
        print(f"fails without a mistake: {test or 'the start of pytest'}")
    print(f"{sum(one['noticed'] for one in found)} of {len(found)} noticed")


if __name__ == "__main__":
    main()
