"""``skldos md``: molecular dynamics with a saved model."""

from pathlib import Path

from skldos.cli.arguments import add_output, add_pseudopotentials, check_target, integer, number

HELP = "run molecular dynamics with a model"
DESCRIPTION = (
    "Run Langevin dynamics (NVT) with ASE. The model is a potential ('skldos fit potential'),"
    " or a model of the LDOS, which needs --pseudo. With --dos-model the mean density of states "
    "is written, too."
)
EXAMPLES = (
    "skldos md potential.skldos start.xyz --temperature 933 --steps 1000",
    "skldos md potential.skldos start.xyz --temperature 933 --dos-model atoms.skldos --dos dos.csv",
)


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="file that 'skldos fit' wrote")
    parser.add_argument("structure", metavar="FILE", type=Path, help="where to start")
    add_output(parser, "trajectory of ASE", Path("md.traj"))
    parser.add_argument(
        "--temperature", metavar="K", type=number(low=0, strict=True), required=True,
        help="of the ions",
    )  # fmt: skip
    parser.add_argument(
        "--electronic-temperature", metavar="K", type=number(low=0),
        help="electronic temperature (default: that of the potential, or else of the ions)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", metavar="N", type=integer(low=1), default=100, help="(default: %(default)s)"
    )
    parser.add_argument(
        "--timestep", metavar="FS", type=number(low=0, strict=True), default=2.0,
        help="time step in fs (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--friction", metavar="RATE", type=number(low=0, strict=True), default=0.01,
        help="friction of the thermostat in 1/fs (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--interval", metavar="N", type=integer(low=1), default=10,
        help="steps between two lines or frames (default: %(default)s)",
    )  # fmt: skip
    add_pseudopotentials(parser)
    parser.add_argument(
        "--dos-model", metavar="FILE", type=Path, help="model of atoms for the DOS of a potential"
    )
    parser.add_argument(
        "--dos", metavar="FILE", type=Path,
        help="plot (*.png) or table (*.csv, DOS of the cell in 1/eV) of the mean DOS",
    )  # fmt: skip
    parser.add_argument(
        "--random-state", metavar="SEED", type=integer(low=0, high=2**32 - 1), default=0,
        help="seed of the velocities and the thermostat (default: %(default)s)",
    )  # fmt: skip


def run(options):
    """Run the dynamics."""
    import numpy as np
    from ase import units
    from ase.md.langevin import Langevin

    from skldos.cli.data import load_structures
    from skldos.cli.spectra import check_spectra

    for path in (options.output, options.dos):
        check_target(path, options.overwrite)
    check_spectra(options.dos)
    atoms = load_structures([options.structure])[-1].atoms.copy()
    atoms.calc = calculator(options)
    rng = np.random.default_rng(options.random_state)
    atoms.set_momenta(thermal_momenta(atoms, options.temperature, rng))
    dynamics = Langevin(
        atoms,
        options.timestep * units.fs,
        temperature_K=options.temperature,
        friction=options.friction / units.fs,
        fixcm=False,  # samples the canonical ensemble
        rng=rng,
    )
    # Atoms that the models do not know must not cost the files of an earlier run.
    atoms.get_potential_energy()
    if options.dos is not None:
        atoms.calc.get_fermi_level()
    record = _Record(atoms, dynamics, options)
    with record:
        dynamics.attach(record, interval=options.interval)
        dynamics.run(options.steps)
    print(f"written: {', '.join(map(str, record.written))}")


def thermal_momenta(atoms, temperature, rng):
    """Return momenta from a Maxwell-Boltzmann distribution at a temperature in K."""
    import numpy as np
    from ase.units import kB

    masses = atoms.get_masses()[:, None]
    return np.sqrt(masses * kB * temperature) * rng.normal(size=(len(atoms), 3))


def calculator(options):
    """Return the calculator that fits the model."""
    from skldos import ADOSRegressor, FreeEnergyCalculator, LDOSCalculator
    from skldos.cli.data import load_model, load_pseudopotentials
    from skldos.prediction.pipelines import predicts_free_energies, regressor_of

    model = load_model(options.model)
    pseudopotentials = load_pseudopotentials(options.pseudo)
    if predicts_free_energies(model):
        dos_model = None if options.dos_model is None else load_model(options.dos_model)
        if options.dos is not None and dos_model is None:
            raise ValueError("--dos needs --dos-model, because a potential does not predict a DOS.")
        return FreeEnergyCalculator(model, dos_model, options.electronic_temperature)
    if isinstance(regressor_of(model), ADOSRegressor):
        raise ValueError(
            f"{options.model} predicts densities of states of atoms, not forces: pass it as "
            "--dos-model, with a potential ('skldos fit potential') as MODEL."
        )
    if pseudopotentials is None:
        raise ValueError("dynamics with a model of the LDOS needs --pseudo FILE.")
    temperature = options.electronic_temperature
    if temperature is None:
        temperature = options.temperature
    return LDOSCalculator(model, pseudopotentials, temperature=temperature)


class _Record:
    """Prints a line and stores a frame at an interval of steps, and averages the DOS."""

    def __init__(self, atoms, dynamics, options):
        self.atoms, self.dynamics, self.options = atoms, dynamics, options
        self.dos, self.level, self.n = 0.0, 0.0, 0
        self.written = [options.output]

    def __enter__(self):
        from ase.io.trajectory import Trajectory

        self.trajectory = Trajectory(str(self.options.output), "w", self.atoms)
        if self.atoms.calc.temperature is not None:
            print(f"electrons at {self.atoms.calc.temperature:g} K")
        print(f"{'time (fs)':>10s}{'T (K)':>10s}{'energy (eV/atom)':>18s}", flush=True)
        return self

    def __call__(self):
        energy = self.atoms.get_potential_energy() / len(self.atoms)
        time = self.dynamics.nsteps * self.options.timestep
        print(f"{time:10.1f}{self.atoms.get_temperature():10.1f}{energy:18.6f}", flush=True)
        self.trajectory.write()
        if self.options.dos is not None:
            self.dos = self.dos + self.atoms.calc.get_dos()
            self.level += self.atoms.calc.get_fermi_level()
            self.n += 1

    def __exit__(self, *error):
        self.trajectory.close()
        if self.options.dos is not None and self.n:
            self._write_dos()

    def _write_dos(self):
        import pandas as pd

        from skldos.cli.spectra import write_spectra

        mean = pd.Series(self.dos / self.n, index=self.atoms.calc.energies)
        level = self.level / self.n
        write_spectra(
            {"dos": mean},
            self.options.dos,
            self.options.overwrite,
            n_atoms=[len(self.atoms)],
            levels=[level],
        )
        self.written.append(self.options.dos)
