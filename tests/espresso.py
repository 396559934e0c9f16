"""Programs of Quantum ESPRESSO, where they are installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")  # of Debian and its relatives
needs_pw = pytest.mark.skipif(
    not (shutil.which("pw.x") and shutil.which("pp.x") and PSEUDOPOTENTIALS.exists()),
    reason="needs pw.x and pp.x of Quantum ESPRESSO with their pseudopotentials",
)
SMEARING = "occupations='smearing', smearing='fermi-dirac', degauss=0.02"
INPUT = """&control
 calculation='{calculation}', prefix='test', outdir='.', pseudo_dir='{pseudo_dir}', {control}
 verbosity='high'
/
&system
 ibrav=0, nat=2, ntyp=1, ecutwfc=8, {system}
/
&electrons
 {electrons}
/
{cards}
ATOMIC_SPECIES
{species}
CELL_PARAMETERS angstrom
{cell}
ATOMIC_POSITIONS {positions}
K_POINTS {k_points}
"""


def run_pw(
    folder,
    cell,
    positions,
    k_points,
    *,
    species="Al 26.98 Al.pz-vbc.UPF",
    calculation="scf",
    control="",
    system=SMEARING,
    electrons="conv_thr=1e-9",
    cards="",
):
    """Run pw.x on a cell of two atoms in a folder, which gets ``pw.out`` and ``test.save``.

    Return whether it came to its end, and what it printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = INPUT.format(
        pseudo_dir=PSEUDOPOTENTIALS,
        cell="\n".join(" ".join(f"{x:.14f}" for x in vector) for vector in cell),
        positions=positions,
        k_points=k_points,
        species=species,
        calculation=calculation,
        control=control,
        system=system,
        electrons=electrons,
        cards=cards,
    )
    status, printed = execute("pw.x", text, folder)
    (folder / "pw.out").write_text(printed)
    return status == 0, printed


def execute(program, text, folder):
    """Run a program on an input; return its status and what it printed."""
    (folder / "input").write_text(text)
    done = subprocess.run(
        [program, "-in", "input"],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stdout
