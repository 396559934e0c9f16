"""Every term of the total free energy compared with pw.x, in eV per cell.

From the density that pw.x wrote, its eigenvalues and the atoms, term by term:

  Al4, Al32      14 and 21 cells, LDA, norm-conserving, converged to 1e-8 Ry
  Be2, 0 and 1   MALA's test data: PBE, ultrasoft, core correction, loosely converged (snapshot 1
                 has no density: Ewald and entropy only)
  B3             triclinic, PBE, ultrasoft, core correction, converged to 1e-13 Ry; calculated by
                 this script in some seconds, if pw.x is there

No model and no broadening are involved. `sum` is the total free energy, with the band energy of
pw.x's eigenvalues (and, for aluminium, pw.x's own -TS, as its eigenvalues are not kept). pw.x
prints energies rounded to 1e-8 Ry (1.4e-7 eV); in Be2, atoms and eigenvalues are rounded, too. The
eigenvalues belong to the potential of the step before the final density, so deband differs by the
remaining error of self-consistency.

    python -m benchmarks.energies.terms [--systems Al4 Be2]
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables

PSEUDO_DIR = Path("/usr/share/espresso/pseudo")
BORON = "B.pbe-n-rrkjus_psl.1.0.0.UPF"


def density_terms(atoms, density, pseudopotentials, ecutrho):
    """Return what skldos makes of a density in 1/Å³, in eV."""
    import torch

    from skldos.physics.structure import Structure
    from skldos.physics.total_energy import density_terms as terms_of
    from skldos.units import RYDBERG

    structure = Structure.of(atoms).to_tensors()
    density = torch.as_tensor(np.array(density, dtype=float))
    terms = terms_of(density, structure, pseudopotentials, density_cutoff=float(ecutrho) * RYDBERG)
    return {name: value.item() for name, value in terms.items()}


def entropy_of_levels(run):
    """Return -TS in eV of the levels of a run: -kT Σ w_k s(ε_kn)."""
    from skldos.physics import entropy_density
    from skldos.units import BOLTZMANN

    state = {"temperature": run.temperature, "fermi_level": run.fermi_energy}
    entropy = run.weights @ entropy_density(run.eigenvalues, **state).sum(axis=1)
    return -BOLTZMANN * run.temperature * float(entropy)


def compare(found, reference):
    """Return found and expected energies in eV, and their differences, term by term."""
    expected = {name: float(reference[name]) for name in ("hartree", "xc", "ewald", "minus_ts")}
    band = float(reference["band_energy"])
    # pw.x prints its band energy with deband, as the one-electron contribution.
    expected["deband"] = float(reference["one_electron"]) - band
    expected["sum"] = float(reference["total_energy"])
    if "deband" in found:
        # Where the levels are not kept, -TS is pw.x's own.
        parts = {"minus_ts": expected["minus_ts"]} | found
        found = found | {"sum": band + sum(parts.values())}
    return {
        "found": found,
        "expected": {name: expected[name] for name in found},
        "difference": {name: found[name] - expected[name] for name in found},
    }


# --- the systems --------------------------------------------------------------------------------


def aluminium(data, size, output):
    """Yield the comparison of every cell of 4 or 32 atoms."""
    from ase import Atoms

    from skldos.physics import Pseudopotential

    potential = {"Al": Pseudopotential("Al", 3, functional="lda-pz")}
    for path in sorted((data / f"al{size}").glob("*.npz")):
        with np.load(path) as file:
            saved = {key: file[key] for key in file.files if key != "ldos"}
        atoms = Atoms(saved["numbers"], positions=saved["positions"], cell=saved["cell"], pbc=True)
        # A density of wavefunctions up to ecutwfc reaches to four times that.
        found = density_terms(atoms, saved["density"], potential, 4 * saved["ecutwfc"])
        yield path.stem, compare(found, saved)


def beryllium(data, number, output):
    """Yield the comparison of one of MALA's snapshots."""
    from skldos.io import as_pseudopotentials, read_espresso
    from skldos.io.espresso.output import read_output
    from skldos.physics import ewald

    folder = data / "be2"
    path = folder / f"Be_snapshot{number}.out"
    if not path.exists():
        return
    potential = as_pseudopotentials([folder / "Be.pbe-n-rrkjus_psl.1.0.0.UPF"])
    density = folder / f"Be_snapshot{number}.dens.npy"
    snapshot = read_espresso(path, density=density if density.exists() else None)
    atoms = snapshot.atoms
    if snapshot.density is None:
        charges = [potential[symbol].valence for symbol in atoms.symbols]
        found = {"ewald": float(ewald(atoms.positions, atoms.cell.array, charges))}
    else:
        ecutrho = snapshot.reference["ecutrho"]
        found = density_terms(atoms, snapshot.density, potential, ecutrho)
    found["minus_ts"] = entropy_of_levels(read_output(path))
    yield path.stem, compare(found, snapshot.reference)


def boron(data, pseudo_dir, output):
    """Yield the comparison of a cell that pw.x calculates here, once."""
    from skldos.io import as_pseudopotentials, read_espresso
    from skldos.io.espresso.xml import read_xml

    folder = output / "boron"
    save = calculate_boron(folder, pseudo_dir)
    if save is None:
        return
    snapshot = read_espresso(save, density="charge-density")
    potential = as_pseudopotentials([pseudo_dir / BORON])
    found = density_terms(
        snapshot.atoms, snapshot.density, potential, snapshot.reference["ecutrho"]
    )
    found["minus_ts"] = entropy_of_levels(read_xml(save / "data-file-schema.xml"))
    yield "B3", compare(found, snapshot.reference)


def calculate_boron(folder, pseudo_dir):
    """Run pw.x unless it has been; return its save directory, or None if there is no pw.x."""
    from ase import Atoms
    from ase.io.espresso import write_espresso_in

    save, output = folder / "boron.save", folder / "pw.out"
    if save.exists() and output.exists() and "JOB DONE" in output.read_text():
        return save
    pw = shutil.which("pw.x")
    if pw is None or not (pseudo_dir / BORON).exists():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    positions = [[0.0, 0.1, 0.0], [1.6, 1.5, 0.2], [1.4, 0.2, 1.7]]
    cell = [[3.1, 0.2, 0.0], [0.0, 3.3, 0.3], [0.4, 0.0, 3.0]]
    settings = {
        "control": {"prefix": "boron", "outdir": ".", "pseudo_dir": str(pseudo_dir)},
        "system": {
            **{"ecutwfc": 40, "ecutrho": 320, "nbnd": 12, "nosym": True},
            **{"occupations": "smearing", "smearing": "fermi-dirac", "degauss": 0.01},
        },
        "electrons": {"conv_thr": 1e-13, "mixing_beta": 0.5},
    }
    with open(folder / "pw.in", "w") as file:
        write_espresso_in(
            file,
            Atoms("B3", positions=positions, cell=cell, pbc=True),
            input_data=settings,
            pseudopotentials={"B": BORON},
            kpts=(2, 2, 2),
        )
    with open(output, "wb") as file:
        subprocess.run([pw, "-in", "pw.in"], cwd=folder, stdout=file, check=True)
    return save


# system: (what makes its comparisons, its second argument)
SYSTEMS = {
    "Al4": (aluminium, 4),
    "Al32": (aluminium, 32),
    "Be2, 0": (beryllium, 0),
    "Be2, 1": (beryllium, 1),
    "B3": (boron, PSEUDO_DIR),
}


def make_row(system, comparisons):
    """Return the largest difference of every term over the cells of a system."""
    largest = {}
    for comparison in comparisons.values():
        for name, value in comparison["difference"].items():
            largest[name] = max(abs(value), largest.get(name, 0.0))
    return {"system": system, "cells": len(comparisons), "largest_difference_ev": largest}


def render(record):
    """Return the tables of a record."""
    names = {
        "deband": "−∫n(v_H + v_xc)",
        "hartree": "Hartree",
        "xc": "xc",
        "ewald": "Ewald",
        "minus_ts": "−TS",
        "sum": "sum",
    }
    rows = []
    for row in record["rows"]:
        largest = row["largest_difference_ev"]
        cells = [f"{largest[name]:.0e}" if name in largest else "" for name in names]
        rows.append([row["system"], row["cells"], *cells])
    caption = "Largest absolute difference from pw.x over the cells, in eV per cell."
    return caption + "\n\n" + tables.format_table(["system", "cells", *names.values()], rows)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument(
        "--pseudo-dir", type=Path, default=PSEUDO_DIR, help="of Quantum ESPRESSO [%(default)s]"
    )
    arguments = parser.parse_args()
    rows, cells = [], {}
    for system in arguments.systems:
        make, argument = SYSTEMS[system]
        argument = arguments.pseudo_dir if make is boron else argument
        comparisons = dict(make(arguments.data, argument, harness.output_of(__file__)))
        if not comparisons:
            print(f"{system}: no data, or no pw.x", flush=True)
            continue
        rows.append(make_row(system, comparisons))
        harness.show({"system": system} | rows[-1]["largest_difference_ev"])
        cells |= comparisons
    if not arguments.no_write:
        harness.write_result(__file__, rows, cells=cells)


if __name__ == "__main__":
    main()
