"""Monte Carlo sampling at constant number of atoms, volume and temperature."""

import numpy as np

from skldos.calculator._local import LocalFreeEnergy
from skldos.calculator.free_energy import FreeEnergyCalculator
from skldos.units import BOLTZMANN
from skldos.validation import check_option, check_scalar


class MonteCarlo:
    r"""Metropolis sampling of atoms in the canonical ensemble (NVT).

    A move displaces a randomly chosen atom by a random vector, and is accepted with the probability
    :math:`\min(1, e^{-\Delta A / kT})`. With a :class:`FreeEnergyCalculator`, A is the free energy
    at its electronic temperature, and only atoms near the moved atom are recomputed. With any other
    ASE calculator, the energy of all atoms is recomputed.

    Use it like ASE dynamics, with :meth:`attach` and :meth:`run`. It needs no forces.

    Parameters
    ----------
    atoms : ase.Atoms
        Atoms with a calculator; their positions change.
    temperature_K : float
        Temperature of the ions in K, > 0.
    max_move : float, default=0.2
        Largest displacement along each axis in Å. Choose it for an acceptance of 0.3 to 0.5, which
        samples efficiently.
    local : bool, default=True
        Whether to recompute only what changes, if the calculator supports it.
    random_state : int, Generator or None, default=None
        Seed of the moves.

    Attributes
    ----------
    nsteps : int
        Number of steps so far; a step is one attempted move per atom.
    acceptance : float
        Fraction of the moves that were accepted.
    rng : numpy.random.Generator
        Random generator of the moves.

    References
    ----------
    N. Metropolis et al., "Equation of state calculations by fast computing machines", J. Chem.
    Phys. 21, 1087 (1953).

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from skldos.calculator import MonteCarlo
    >>> atoms = bulk("Al", cubic=True)
    >>> atoms.calc = EMT()
    >>> sampling = MonteCarlo(atoms, temperature_K=600, random_state=0)
    >>> energies = []
    >>> sampling.attach(lambda: energies.append(atoms.get_potential_energy()))
    >>> sampling.run(20)
    >>> len(energies), bool(0 < sampling.acceptance < 1)
    (20, True)
    """

    def __init__(self, atoms, temperature_K, max_move=0.2, *, local=True, random_state=None):
        self.atoms = atoms
        self.temperature_K = check_scalar("temperature_K", temperature_K, low=0, strict=True)
        self.max_move = check_scalar("max_move", max_move, low=0, strict=True)
        self.local = check_option("local", local, (True, False))
        self.rng = np.random.default_rng(random_state)
        self.nsteps = self._accepted = self._attempted = 0
        self._observers = []

    def __repr__(self):
        return f"MonteCarlo({self.atoms.symbols}, {self.temperature_K:g} K, {self.nsteps} steps)"

    @property
    def acceptance(self):
        """Fraction of the moves that were accepted."""
        return self._accepted / max(self._attempted, 1)

    def attach(self, function, interval=1, *args, **kwargs):
        """Call a function after every `interval`-th step.

        Parameters
        ----------
        function : callable
            Function to call.
        interval : int, default=1
            Number of steps between two calls.
        *args, **kwargs
            Arguments of the function.
        """
        self._observers.append((function, interval, args, kwargs))

    def run(self, steps):
        """Run a number of steps.

        Parameters
        ----------
        steps : int
            Number of steps; each step is one attempted move per atom.
        """
        energy = self._energy()
        for _ in range(steps):
            for _ in range(len(self.atoms)):
                self._move(energy)
            self.nsteps += 1
            for function, interval, args, kwargs in self._observers:
                if self.nsteps % interval == 0:
                    function(*args, **kwargs)

    def _energy(self):
        calculator = self.atoms.calc
        if self.local and isinstance(calculator, FreeEnergyCalculator):
            self.atoms.get_potential_energy()  # includes all checks
            return LocalFreeEnergy(calculator.surface, self.atoms, calculator.temperature)
        return _TotalEnergy(self.atoms)

    def _move(self, energy):
        index = self.rng.integers(len(self.atoms))
        vector = self.rng.uniform(-self.max_move, self.max_move, size=3)
        position = self.atoms.positions[index] + vector
        change = energy.change(index, position)
        # log(u) < -ΔA/kT with u uniform in (0, 1]
        accepted = -self.rng.exponential() < -change / (BOLTZMANN * self.temperature_K)
        if accepted:
            energy.accept()
            self.atoms.positions[index] = position
        self._attempted += 1
        self._accepted += bool(accepted)


class _TotalEnergy:
    """Energy of all atoms when one atom moves at a time."""

    def __init__(self, atoms):
        self._atoms = atoms
        self._trial = self._current = atoms.get_potential_energy()

    def change(self, index, position):
        origin = self._atoms.positions[index].copy()
        self._atoms.positions[index] = position
        self._trial = self._atoms.get_potential_energy()
        self._atoms.positions[index] = origin
        return self._trial - self._current

    def accept(self):
        self._current = self._trial
