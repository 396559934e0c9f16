"""Write the tables of benchmarks/README.md from benchmarks/results/*.json.

    python benchmarks/report.py [--check]

A table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`, and `render(record)` of the
benchmark NAME, or of NAME without the system at its end, makes it; nothing else is touched.
"""

import argparse
import importlib
import json
import re
import sys

from _harness import HERE, RESULTS

README = HERE / "README.md"
SECTION = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


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


def section(match):
    """Return what belongs between the markers of a benchmark, with the markers."""
    begin, name, end = match.groups()
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return f"{begin}Not run yet: `python benchmarks/{name}.py`.\n{end}"
    record = json.loads(path.read_text())
    module = name if (HERE / f"{name}.py").exists() else name.rpartition("_")[0]
    table = importlib.import_module(module).render(record)
    return f"{begin}{table}\n\n{describe(record)}\n{end}"


def updated(text):
    """Return the text with all tables made anew."""
    shown = {match[2] for match in SECTION.finditer(text)}
    missing = sorted({path.stem for path in RESULTS.glob("*.json")} - shown)
    if missing:
        sys.exit(f"README.md has no section between markers for {', '.join(missing)}")
    return SECTION.sub(section, text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if out of date")
    arguments = parser.parse_args()
    before = README.read_text()
    after = updated(before)
    if arguments.check:
        sys.exit("README.md is out of date: run benchmarks/report.py" if after != before else 0)
    README.write_text(after)


if __name__ == "__main__":
    main()
