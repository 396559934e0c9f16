"""Write the tables of all benchmarks: results/NAME.md beside every results/NAME.json.

    python -m benchmarks.common.report [--check]

`render(record)` of the script NAME, or of NAME without the system at its end, makes the tables.
"""

import importlib
import json
import sys

from benchmarks.common import harness


def describe(record):
    """Return date, machine and versions of a record as a line of Markdown."""
    machine = record["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    text = (
        f"{record['date']}; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, load {machine['load']}; "
        f"Python {machine['python']}, {versions}"
    )
    if machine["peer_versions"]:
        peers = [f"{n} {v}" for n, v in machine["peer_versions"].items()]
        text += "; peers: " + ", ".join(peers)
    return f"*{text}.*"


def script_of(path):
    """Return the module of a file of results, and its system, if any."""
    folder, stem, system = path.parents[1], path.stem, None
    if not (folder / f"{stem}.py").exists():
        stem, _, system = stem.rpartition("_")
    return importlib.import_module(f"benchmarks.{folder.name}.{stem}"), system


def page(path):
    """Return the page of a file of results: what was measured, the tables, the machine."""
    record = json.loads(path.read_text())
    script, system = script_of(path)
    title = script.__doc__.splitlines()[0].rstrip(".")
    command = f"python -m {script.__name__}" + (f" --system {system}" if system else "")
    parts = [f"# {title}", f"From `{command}`; the conditions are in the docstring of the script."]
    return "\n\n".join([*parts, script.render(record), describe(record)]) + "\n"


def pages():
    """Yield the path and the text of every page."""
    for path in sorted(harness.BENCHMARKS.glob("*/results/*.json")):
        yield path.with_suffix(".md"), page(path)


def main():
    parser = harness.plain_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of date")
    arguments = parser.parse_args()
    for path, text in pages():
        if not arguments.check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path} is out of date: run `python -m benchmarks.common.report`")


if __name__ == "__main__":
    main()
