"""Hot electrons: free energies and forces at 300 to 20,000 K against self-consistent pw.x.

Two cells of four displaced atoms of aluminium, 4×4×4 k points, energies up to 29 eV. pw.x
calculates each at six electronic temperatures (some seven minutes once; what is there is used). The
errors are taken apart:

- *frozen levels* and *frozen DOS*: the change of the free energy from 933 K, with the eigenvalues
  of 933 K, and with their DOS broadened by 0.4 eV and sharpened again, against pw.x. No model.
- *model*: the same by FreeEnergyCalculator, with a potential and a model of the ADOS trained on
  eight other cells at 933 K, and its forces.

    python -m benchmarks.dynamics_runs.hot
"""

import numpy as np

from benchmarks.common import harness, tables
from benchmarks.dynamics_runs import _hot_data, _models

ORDER = 2


def frozen_dos(data, kelvin):
    """Return F(T) of the sharpened DOS in eV, and the heat capacity in units of k per atom."""
    from skldos.physics import electronic_free_energy, electronic_heat_capacity, sharpening_matrix
    from skldos.units import BOLTZMANN

    energies = data["energies"]
    options = {"broadening": float(data["broadening"]), "kernel": str(data["kernel"])}
    dos = sharpening_matrix(energies, order=ORDER, **options) @ data["dos"]
    state = {"temperature": kelvin, "n_electrons": float(data["n_electrons"])}
    capacity = electronic_heat_capacity(dos, energies, **state) / len(data["numbers"]) / BOLTZMANN
    return float(electronic_free_energy(dos, energies, **state)), float(capacity)


def frozen_levels(data, kelvin):
    """Return F(T) of the eigenvalues in eV."""
    from scipy.optimize import brentq
    from scipy.special import entr, expit

    from skldos.units import BOLTZMANN

    kT, levels = BOLTZMANN * kelvin, data["eigenvalues"].astype(float)
    weights = np.reshape(data["weights"], (-1, 1)) * 2 / np.sum(data["weights"])
    levels = levels.reshape(len(weights), -1)

    def electrons(mu):
        return (weights * expit((mu - levels) / kT)).sum()

    mu = brentq(lambda m: electrons(m) - float(data["n_electrons"]), levels.min(), levels.max())
    f = expit((mu - levels) / kT)
    return (weights * (f * levels - kT * (entr(f) + entr(1 - f)))).sum()


def as_snapshot(data):
    """Return a snapshot with ADOS targets beside it."""
    from ase import Atoms

    from skldos import EnergyGrid, Snapshot

    atoms = Atoms(data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True)
    width = {"broadening": float(data["broadening"]), "kernel": str(data["kernel"])}
    return Snapshot(
        atoms,
        energies=EnergyGrid(data["energies"], **width),
        temperature=float(data["temperature"]),
        n_electrons=float(data["n_electrons"]),
        reference={"total_energy": float(data["total_energy"]), "forces": data["forces"]},
    )


def trained(found):
    """Return potential and model of the DOS, fitted to the cells to learn from."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    from skldos import RowWise, SiteRegressor

    cells = [data for name, data in found.items() if name.startswith("train")]
    snapshots = [as_snapshot(data) for data in cells]
    potential = _models.potentials()["SOAP"].fit(snapshots)
    regressor = SiteRegressor(Ridge(1e-5), dos_weight=1e2)
    dos = make_pipeline(_models.potentials()["SOAP"][0], RowWise(Normalizer()), regressor)
    return potential, dos.fit(snapshots, [data["ados"].astype(float) for data in cells])


def rows_of(found):
    """Return a row per cell and temperature."""
    from skldos import FreeEnergyCalculator

    potential, dos_model = trained(found)
    calculator = FreeEnergyCalculator(potential, dos_model, valence={"Al": 3.0})
    rows = []
    for cell in ("a", "b"):
        if f"{cell}_{_hot_data.COLD}K" not in found:
            continue
        cold = found[f"{cell}_{_hot_data.COLD}K"]
        n_atoms, atoms = len(cold["numbers"]), as_snapshot(cold).atoms
        calculator.temperature = None
        start = atoms.copy(), calculator.get_potential_energy(atoms)
        for kelvin in _hot_data.TEMPERATURES:
            hot = found.get(f"{cell}_{kelvin}K")
            if hot is None:
                continue
            per_atom = 1e3 / n_atoms
            calculator.temperature = kelvin
            energy, forces = calculator.get_potential_energy(atoms), calculator.get_forces(atoms)
            levels = [frozen_levels(cold, T) for T in (kelvin, _hot_data.COLD)]
            dos = [frozen_dos(cold, T)[0] for T in (kelvin, _hot_data.COLD)]
            own = frozen_dos(hot, kelvin)[1]
            capacity = calculator.get_electronic_heat_capacity(atoms) / n_atoms / 8.617333e-5
            rows.append(
                {
                    "cell": cell,
                    "kelvin": kelvin,
                    "pw": per_atom * float(hot["total_energy"] - cold["total_energy"]),
                    "levels": per_atom * (levels[0] - levels[1]),
                    "dos": per_atom * (dos[0] - dos[1]),
                    "model": per_atom * (energy - start[1]),
                    "total": per_atom * (energy - float(hot["total_energy"])),
                    "forces": float(np.sqrt(np.mean(hot["forces"] ** 2))),
                    "cold_forces_error": float(
                        np.sqrt(np.mean((hot["forces"] - cold["forces"]) ** 2))
                    ),
                    "forces_error": float(np.sqrt(np.mean((forces - hot["forces"]) ** 2))),
                    "capacity": own,
                    "capacity_frozen": frozen_dos(cold, kelvin)[1],
                    "capacity_model": capacity,
                }
            )
            harness.show(rows[-1])
    return rows


def render(record):
    """Return the tables of a record."""
    energies = {
        "cell": "{cell}",
        "T, K": "{kelvin}",
        "pw.x, A(T) − A(933 K), meV/atom": "{pw:.2f}",
        "frozen levels": "{levels:.2f}",
        "frozen DOS": "{dos:.2f}",
        "model": "{model:.2f}",
        "error of the model's A(T)": "{total:+.2f}",
    }
    forces = {
        "cell": "{cell}",
        "T, K": "{kelvin}",
        "rms of pw.x's forces, eV/Å": "{forces:.3f}",
        "of their change from 933 K": "{cold_forces_error:.3f}",
        "error of the model, RMSE": "{forces_error:.3f}",
        "heat capacity of the electrons, k/atom": "{capacity:.3f}",
        "by the DOS at 933 K": "{capacity_frozen:.3f}",
        "model": "{capacity_model:.3f}",
    }
    parts = (tables.column_table(columns, record["rows"]) for columns in (energies, forces))
    return "\n\n".join(parts)


def main():
    parser = harness.parser(__doc__)
    parser.add_argument("--only-there", action="store_true", help="calculate nothing by pw.x")
    options = parser.parse_args()
    found = _hot_data.read_all(_models.FOLDER / "hot", calculating=not options.only_there)
    rows = rows_of(found)
    if not options.no_write:
        harness.write_result(__file__, rows)


if __name__ == "__main__":
    main()
