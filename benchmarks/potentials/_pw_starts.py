"""pw.x from a given density: iterations to self-consistency, and energies without iterating."""

import json
import re
import shutil
import subprocess

import numpy as np

from benchmarks.potentials._data import recipe_for

SAVE, NAME, XML = "skldos.save", "charge-density.dat", "data-file-schema.xml"


def cutoff_of(snapshot):
    """Return ecutrho in eV."""
    from skldos.units import RYDBERG

    return snapshot.reference["ecutrho"] * RYDBERG


def densities(snapshot):
    """Return the density of free atoms and the true one, of the same number of electrons."""
    from skldos.datasets import load_silicon_pseudopotentials
    from skldos.physics.potential import atomic_density

    n = np.asarray(snapshot.density[:], dtype=float)
    atoms = snapshot.atoms
    cell = atoms.cell.array
    n *= snapshot.n_electrons / (n.mean() * abs(np.linalg.det(cell)))
    pseudopotentials = load_silicon_pseudopotentials()
    n0 = atomic_density(
        atoms.positions,
        cell,
        n.shape,
        tuple(atoms.symbols),
        pseudopotentials,
        density_cutoff=cutoff_of(snapshot),
    )
    return n0 * (n.mean() / n0.mean()), n


def run_pw(folder, snapshot, density, command, changes=()):
    """Run pw.x, from a density if there is one, and return its output."""
    from skldos.io import write_charge_density

    (folder / SAVE).mkdir(parents=True, exist_ok=True)
    recipe = recipe_for(snapshot.atoms, command)
    if density is not None:
        recipe.input_data["electrons"] = {"startingpot": "file"}
        write_charge_density(
            folder / SAVE / NAME,
            density,
            snapshot.atoms.cell.array,
            density_cutoff=cutoff_of(snapshot),
        )
    path = recipe.write_input(snapshot.atoms, folder)
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    done = subprocess.run(
        [*command.split(), "-in", path.name], cwd=folder, capture_output=True, text=True, check=True
    )
    (folder / "pw.out").write_text(done.stdout)
    for path in folder.rglob("*wfc*"):
        path.unlink()  # large, and of no use here
    return done.stdout


def band_energy(path):
    """Return band energy and -TS in eV."""
    from skldos.io.espresso.xml import read_xml

    run = read_xml(path)
    f = np.clip(run.occupations, 1e-300, 1 - 1e-16)
    entropy = run.weights[:, None] * (f * np.log(f) + (1 - f) * np.log1p(-f))
    # The width of the smearing is kT.
    band = (run.weights[:, None] * f * run.eigenvalues).sum()
    return float(band), float(run.width * entropy.sum())


def harris_foulkes(snapshot, density, band, minus_ts):
    """Return the total energy in eV of states in the potential of a density."""
    import torch

    from skldos.datasets import load_silicon_pseudopotentials
    from skldos.physics.structure import Structure
    from skldos.physics.total_energy import density_terms

    terms = density_terms(
        torch.from_numpy(density),
        Structure.of(snapshot.atoms).to_tensors(),
        load_silicon_pseudopotentials(),
        density_cutoff=cutoff_of(snapshot),
    )
    return band + minus_ts + float(sum(terms.values()))


def measure(folder, snapshot, density, command, *, by_itself, reference):
    """Return the results of pw.x from a density, calculated if not available.

    With `by_itself`, pw.x starts from free atoms instead, but the density is still used for the
    energies without iterating. `reference` is the save directory of a run of the same atoms.
    """
    path = folder / "result.json"
    if path.exists():
        return json.loads(path.read_text())
    text = run_pw(folder / "scf", snapshot, None if by_itself else density, command)
    # nscf wants to know what it follows, but nothing of that enters.
    (folder / "nscf" / SAVE).mkdir(parents=True, exist_ok=True)
    shutil.copy(reference / XML, folder / "nscf" / SAVE / XML)
    run_pw(folder / "nscf", snapshot, density, command, changes=[("'scf'", "'nscf'")])
    band, minus_ts = band_energy(folder / "nscf" / SAVE / XML)
    result = {
        "iterations": int(re.search(r"achieved in +(\d+) iterations", text)[1]),
        "steps": sum(map(float, re.findall(r"avg # of iterations = *(\S+)", text))),
        "cpu_seconds": cpu_seconds(text),
        "accuracy": float(re.search(r"estimated scf accuracy +< +(\S+) Ry", text)[1]),
        "band": band,
        "energy": harris_foulkes(snapshot, density, band, minus_ts),
        "converged_band": band_energy(reference / XML)[0],
        "converged_energy": float(re.search(r"! +total energy += +(\S+) Ry", text)[1]),
    }
    path.write_text(json.dumps(result, indent=1))
    return result


def cpu_seconds(text):
    """Return the CPU time of pw.x, parsed from text such as 1m 2.5s."""
    minutes, seconds = re.search(r"PWSCF +: +(?:(\d+)m *)?([\d.]+)s CPU", text).groups()
    return 60 * int(minutes or 0) + float(seconds)
