"""Equation of state, elastic constants and relaxed cells of fcc aluminium, beside pw.x.

The models of `accuracy.py` (SOAP, 7 Å) are trained on displaced cells of 32 atoms at 2.70 g/cm³
and, as far as `benchmarks.data.make` has made them, of other volumes and shapes, with forces and
stresses where there are any; all settings, the Pulay virial among them, are chosen in the training
data. They then tell energies and pressures of perfect cells of 4 atoms, from −12 to +8 % volume,
which were not trained on:

  one density   the 21 snapshots beside the repository and those of the set al32
  volumes       the same, and the cells of other volumes of the set strain
  sheared       the same, and the sheared cells of the set strain
  half          the same, and every second one of the perfect cells

Energies of pw.x are those of a fixed cutoff of 12 Ry, without a correction; its stresses less the
virial that the model *sheared* found. V₀ and B are those of a Birch-Murnaghan fit from 14.5 Å³ on
to either. Elastic constants are slopes of the stress at 2.70 g/cm³, by strains of ±1 % along z
(C11, C12) and of 1 % in xy (C44). Perfect cells of pw.x depend on the mesh of k points, so that it
is run with several; the training data have 8×8×8 points of the cubic cell, but displaced atoms.

*Left out* are errors of every snapshot with a stress in a model of all others (nested: the settings
are those that the others choose), *unseen* those of the cells of the set strain that are for tests.
*Relaxed* is a cell of four atoms, strained by 2 to 4 % and with displaced atoms, after a relaxation
with the model *sheared*; pw.x tells the stress that is left.

    python -m benchmarks.dynamics.stress [--output FOLDER ...]

FOLDER holds what `benchmarks.data.make` has made of al32, strain and eos and is not bundled. Runs
of pw.x are kept in `benchmarks/output`.
"""

import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.dynamics import _data as data

GPA = 160.2176634  # eV/Å³
SMALLEST_VOLUME = 14.5
STRAIN = 0.01
#: Points along each axis of the cubic cell.
MESHES = (8, 12, 16)
#: Along those of the primitive cell of one atom: as dense as 20 of the cubic cell.
PRIMITIVE = (32,)
#: Deformation of the cell that is relaxed, and displacements in Å.
START = np.array([[0.03, 0.015, 0.0], [0.015, -0.02, 0.01], [0.0, 0.01, 0.04]])
RATTLED = 0.08
INPUT = """&control
 calculation='scf', prefix='al', outdir='.', pseudo_dir='/usr/share/espresso/pseudo',
 tprnfor=.true., tstress=.true., disk_io='none'
/
&system
 ibrav=0, nat={n_atoms}, ntyp=1, ecutwfc=12, occupations='smearing', smearing='fermi-dirac',
 degauss={degauss}, nbnd={n_bands}
/
&electrons
 conv_thr=1d-9
/
ATOMIC_SPECIES
 Al 26.98 Al.pz-vbc.UPF
K_POINTS automatic
 {mesh} {mesh} {mesh} 0 0 0
CELL_PARAMETERS angstrom
{cell}
ATOMIC_POSITIONS crystal
{positions}
"""


def fitted(blocks, chosen):
    from skldos import FreeEnergyRegressor

    weights = {"energy_weights": (30.0, 100.0), "virial_weights": (10.0, 30.0, 100.0)}
    alphas = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
    return FreeEnergyRegressor(alphas=alphas, **weights, pulay_virial=_pulay(blocks, chosen)).fit(
        blocks[chosen]
    )


def _pulay(blocks, chosen):
    """Return how the Pulay virial is known: it shows in energies of several densities alone."""
    volumes = [s.atoms.get_volume() / len(s.atoms) for s in blocks.snapshots[chosen]]
    return "fit" if max(volumes) > 1.01 * min(volumes) else 0.0


def strained_cells(lattice):
    """Return perfect cells: without strain, ±1 % along z, 1 % of shear in xy."""
    from ase.build import bulk

    cells = {}
    for name, (i, j), size in (
        ("none", (2, 2), 0.0),
        ("axial +", (2, 2), STRAIN),
        ("axial -", (2, 2), -STRAIN),
        ("shear", (0, 1), STRAIN / 2),
    ):
        strain = np.zeros((3, 3))
        strain[i, j] = strain[j, i] = size
        atoms = bulk("Al", cubic=True, a=lattice)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        cells[name] = atoms
    return cells


def primitive(atoms):
    """Return the primitive cell of one atom of a strained cubic cell of fcc."""
    from ase import Atoms

    cell = (np.ones((3, 3)) - np.eye(3)) / 2 @ atoms.cell.array
    return Atoms("Al", cell=cell, positions=[[0, 0, 0]], pbc=True)


def calculated_stress(atoms, temperature, mesh):
    """Return the stress of some atoms in eV/Å³ by pw.x, as a list."""
    from skldos.io import read_espresso_trajectory
    from skldos.units import BOLTZMANN, RYDBERG

    lines = {
        "n_atoms": len(atoms),
        "n_bands": 6 if len(atoms) == 1 else 4 * len(atoms),
        "cell": "\n".join(" ".join(f"{x:.10f}" for x in row) for row in atoms.cell.array),
        "positions": "\n".join(
            " ".join(["Al", *(f"{x:.10f}" for x in row)]) for row in atoms.get_scaled_positions()
        ),
    }
    text = INPUT.format(degauss=temperature * BOLTZMANN / RYDBERG, mesh=mesh, **lines)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "al.in").write_text(text)
        with open(Path(folder) / "al.out", "w") as out:
            subprocess.run(["pw.x", "-in", "al.in"], cwd=folder, stdout=out, check=True)
        (step,) = read_espresso_trajectory(Path(folder) / "al.out")
    return step.reference["stress"].tolist()


def known_stress(name, atoms, mesh, pulay):
    """Return the stress by pw.x at 933 K, calculated once, less the Pulay stress."""
    key = "_".join([name.replace(" ", "_"), *(f"{x:.5f}" for x in atoms.cell.cellpar()[[0, 3]])])
    path = harness.output_of(__file__) / f"{key}_{mesh}.json"  # a one-atom cell has another edge
    found = harness.cached(path, calculated_stress, atoms, 933.0, mesh)
    return np.array(found) - pulay * len(atoms) / atoms.get_volume() * np.eye(3)


def elastic_constants(stresses):
    """Return C11, C12 and C44 in GPa from the stresses of `strained_cells`."""
    slope = (stresses["axial +"] - stresses["axial -"]) / (2 * STRAIN)
    return {
        "C11": float(GPA * slope[2, 2]),
        "C12": float(GPA * (slope[0, 0] + slope[1, 1]) / 2),
        "C44": float(GPA * stresses["shear"][0, 1] / STRAIN),
    }


def equation_of_state(volumes, energies):
    """Return V₀ in Å³ and B in GPa of a Birch-Murnaghan fit."""
    from ase.eos import EquationOfState

    wanted = volumes > SMALLEST_VOLUME
    fit = EquationOfState(volumes[wanted], energies[wanted], eos="birchmurnaghan").fit()
    return {"V0": float(fit[0]), "B": float(GPA * fit[2])}


def model_row(name, model, blocks, perfect, cells):
    snapshots = blocks[perfect].snapshots
    n_atoms = np.array([len(s.atoms) for s in snapshots])
    volumes = np.array([s.atoms.get_volume() for s in snapshots]) / n_atoms
    true = np.array([s.reference["total_energy"] for s in snapshots]) / n_atoms
    energies = model.predict(blocks[perfect]) / n_atoms
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")  # cells of −12 % are outside of all training data
        pressures = [-np.trace(stress) / 3 for stress in model.predict_stress(blocks[perfect])]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stresses = model.predict_stress(cells[1])
    virial = model.pulay_virial_ / volumes
    calculated = [-np.mean(s.reference["stress"][:3]) for s in snapshots] + virial
    wide = volumes > SMALLEST_VOLUME
    return {
        "part": "constants",
        "name": name,
        "n": len(model.left_out_errors_["energy"]),
        "warns": len(caught) > 0,
        "pulay": model.pulay_virial_,
        "energy": data.rms([1e3 * (energies - true)[wide]]),
        "pressure": data.rms([GPA * (np.array(pressures) - calculated)[wide]]),
        **equation_of_state(volumes, energies),
        **elastic_constants(dict(zip(cells[0], stresses, strict=True))),
        "volumes": volumes.tolist(),
        "energies": energies.tolist(),
        "calculated": true.tolist(),
    }


def left_out_rows(model, snapshots):
    """Yield the errors of the snapshots with a stress, left out one by one."""
    for i, snapshot in enumerate(snapshots):
        virial = model.left_out_errors_["virial"][i]
        if np.isfinite(virial):
            per_atom = snapshot.atoms.get_volume() / len(snapshot.atoms)
            yield {
                "part": "left out",
                "name": snapshot.name,
                "energy": float(model.left_out_errors_["energy"][i]),
                "forces": float(model.left_out_errors_["forces"][i]),
                "stress": float(virial / 1e3 / per_atom * GPA),
                "deviator": deviator_of(snapshot),
            }


def unseen_rows(model, blocks):
    """Yield the errors of strained cells that no model was trained on."""
    for i, snapshot in enumerate(blocks.snapshots):
        block = blocks[[i]]
        (energy,), (forces,) = data.errors(model, block)
        virial = model.pulay_virial_ * len(snapshot.atoms) / snapshot.atoms.get_volume()
        true = snapshot.reference["stress"] - virial * np.array([1, 1, 1, 0, 0, 0])
        stress = model.predict_stress(block)[0].ravel()[[0, 4, 8, 5, 2, 1]]
        yield {
            "part": "left out",
            "name": f"{snapshot.name} (unseen)",
            "energy": float(energy),
            "forces": data.rms([forces]),
            "stress": data.rms([GPA * (stress - true)[[0, 1, 2, 3, 3, 4, 4, 5, 5]]]),
            "deviator": deviator_of(snapshot),
        }


def deviator_of(snapshot):
    """Return the root mean square of the deviator of a stress by pw.x, over six components."""
    true = GPA * snapshot.reference["stress"]
    return data.rms([true - np.mean(true[:3]) * np.array([1, 1, 1, 0, 0, 0])])


def relaxed_row(model, soap, lattice):
    """Return the cell after a relaxation with a model, and the stress that pw.x finds there."""
    from ase.build import bulk
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS
    from sklearn.pipeline import make_pipeline

    from skldos import FreeEnergyCalculator

    atoms = bulk("Al", cubic=True, a=lattice)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + START), scale_atoms=True)
    atoms.rattle(RATTLED, seed=0)
    atoms.calc = FreeEnergyCalculator(make_pipeline(soap, model))
    with BFGS(FrechetCellFilter(atoms), logfile=None) as relaxation:
        converged = relaxation.run(fmax=1e-3, steps=500)
    row = {"part": "relaxed", "converged": bool(converged), "steps": relaxation.nsteps}
    row |= dict(zip("abc", atoms.cell.lengths().tolist(), strict=True))
    row["angles"] = atoms.cell.angles().tolist()
    from_first = atoms.get_scaled_positions() - atoms.get_scaled_positions()[0]
    row["off_site"] = float(np.abs(from_first - np.round(2 * from_first) / 2).max() * row["a"])
    for mesh in MESHES[:1]:  # almost without symmetry
        stress = known_stress("relaxed", atoms, mesh, model.pulay_virial_)
        row[f"stress_{mesh}"] = (GPA * stress).tolist()
    return row


def calculated_rows(perfect, cells, pulay):
    """Yield equation of state and elastic constants by pw.x."""
    volumes = np.array([s.atoms.get_volume() / len(s.atoms) for s in perfect])
    energies = np.array([s.reference["total_energy"] / len(s.atoms) for s in perfect])
    for mesh in (*MESHES, *PRIMITIVE):
        one = mesh in PRIMITIVE
        stresses = {
            name: known_stress(name, primitive(cell) if one else cell, mesh, pulay)
            for name, cell in cells.items()
        }
        fit = equation_of_state(volumes, energies) if mesh == 8 else {}
        name = f"pw.x, {mesh}×{mesh}×{mesh} k{', primitive cell' if one else ''}"
        yield {"part": "constants", "name": name, **fit, **elastic_constants(stresses)}


def render(record):
    """Return the tables as Markdown."""
    parts = {key[0]: rows for key, rows in tables.group(record["rows"], "part").items()}
    columns = {
        "trained on": "{name}",
        "snapshots": "{n}",
        "energies (meV/atom, RMSE)": "{energy:.1f}",
        "pressures (GPa, RMSE)": "{pressure:.2f}",
        "Pulay virial (eV/atom)": "{pulay:.3f}",
        "V₀ (Å³)": "{V0:.2f}",
        "B (GPa)": "{B:.1f}",
    }
    columns |= {f"{name} (GPa)": f"{{{name}:.1f}}" for name in ("C11", "C12", "C44")}
    columns["warns of cells ±1 % along z"] = lambda row: "yes" if row["warns"] else "no"
    left_out = {
        "snapshot": "{name}",
        "energy (meV/atom)": "{energy:.2f}",
        "forces (eV/Å, RMSE)": "{forces:.4f}",
        "stress (GPa, RMSE)": "{stress:.3f}",
        "deviatoric stress itself (GPa, RMS)": "{deviator:.2f}",
    }
    (relaxed,) = parts["relaxed"]
    lines = [
        f"Relaxed in {relaxed['steps']} steps: a, b, c = {relaxed['a']:.4f}, {relaxed['b']:.4f}, "
        f"{relaxed['c']:.4f} Å, angles within {max(abs(a - 90) for a in relaxed['angles']):.3f}° "
        f"of 90°, atoms within {relaxed['off_site']:.4f} Å of the sites of fcc. What pw.x finds "
        "there (GPa, largest component of the deviator, and pressure):",
        tables.format_table(
            ["k points", "deviator", "pressure"],
            [
                [f"{mesh}×{mesh}×{mesh}", *(f"{x:.2f}" for x in deviator_and_pressure(stress))]
                for mesh in MESHES
                if (stress := relaxed.get(f"stress_{mesh}"))
            ],
        ),
    ]
    return "\n\n".join(
        [
            tables.column_table(columns, parts["constants"]),
            "Snapshots left out, one by one, of all that *sheared* is trained on:",
            tables.column_table(left_out, parts["left out"]),
            *lines,
        ]
    )


def deviator_and_pressure(stress):
    """Return the largest component of the deviator of a stress, and the pressure."""
    mean = np.trace(stress) / 3
    return float(np.abs(stress - mean * np.eye(3)).max()), -float(mean)


def main():
    parser = data.parser(__doc__)
    arguments = parser.parse_args()
    from skldos import AtomSOAPTransformer

    parts = {name: data.read_made(arguments.output, name) for name in ("al32", "strain", "eos")}
    perfect = [s for s in parts["eos"] if s.name.startswith("volume") and s.temperature == 933]
    if not perfect:
        raise SystemExit("no snapshots of eos were made: give their folder by --output")
    unseen = [s for s in parts["strain"] if s.name.endswith("test")]
    parts["strain"] = [s for s in parts["strain"] if not s.name.endswith("test")]
    parts["strain"].sort(key=lambda snapshot: "shear" in snapshot.name)
    n_sheared = sum("shear" in snapshot.name for snapshot in parts["strain"])
    one = data.read_known(arguments.data) + parts["al32"]
    snapshots = one + parts["strain"] + perfect
    soap = AtomSOAPTransformer(r_cut=7.0, fade=4.0, n_max=10, sigma=0.5, rbf="gto_n", n_jobs=1)
    blocks = data.remembered(soap, snapshots)
    n_one, n_strained = len(one), len(one) + len(parts["strain"])
    test = np.arange(n_strained, len(snapshots))
    lattice = one[0].atoms.cell.array[0, 0] / 2
    cells = strained_cells(lattice)
    of_cells = [*cells], data.remembered(soap, [*cells.values()])
    rows, models = [], {}
    for name, chosen in (
        ("one density", np.arange(n_one)),
        ("volumes", np.arange(n_strained - n_sheared)),
        ("sheared", np.arange(n_strained)),
        ("half", np.r_[np.arange(n_strained), test[::2]]),
    ):
        others = test[1::2] if name == "half" else test
        models[name] = fitted(blocks, chosen)
        rows.append(model_row(name, models[name], blocks, others, of_cells))
        harness.show(rows[-1])
    model = models["sheared"]
    for row in (
        *left_out_rows(model, snapshots[:n_strained]),
        *(unseen_rows(model, data.remembered(soap, unseen)) if unseen else ()),
        *calculated_rows(perfect, cells, model.pulay_virial_),
        relaxed_row(model, soap, lattice),
    ):
        rows.append(row)
        harness.show(row)
    if not arguments.no_write:
        harness.write_result(__file__, rows, strained=[s.name for s in parts["strain"]])


if __name__ == "__main__":
    main()
