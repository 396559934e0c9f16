"""Atoms from seeds: aluminium moved by EMT, alloys and compounds with random displacements.

Potentials and random numbers only need to create realistic configurations; energies and forces come
from DFT calculations. The same seed always gives the same atoms.
"""

import itertools

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

#: Lattice constants in Å: aluminium of 2.70 g/cm³, what a share of magnesium adds, and SiC.
ALUMINIUM = 4.0495
ALLOY, PER_MAGNESIUM = 4.05, 0.47
CARBIDE = 4.36
# Of the dynamics: step, friction, what makes a liquid, and numbers of steps.
STEP, FRICTION, HOT = 2 * units.fs, 0.02 / units.fs, 4000
STEPS = {"melt": 500, "liquid": 1000, "solid": 500}
#: Structure factor of the strongest reflection per atom above which atoms are called ordered.
ORDERED = 0.55
# pw.x reads what ASE prints of positions and cells; these digits survive.
DECIMALS = 8


def aluminium(phase, temperature, seed, strain=None, repeat=2):
    """Return aluminium after Langevin dynamics in a fixed cell.

    Parameters
    ----------
    phase : {"solid", "liquid"}
        A liquid is melted at 4000 K and equilibrated; it is melted again if it froze.
    temperature : float
        In K.
    seed : int
        Of velocities and thermostat.
    strain : array-like of shape (3, 3), optional
        Deformation of the cell, whose rows become ``cell @ (1 + strain)``.
    repeat : int, default=2
        Number of conventional cells of four atoms along each axis.

    Returns
    -------
    ase.Atoms
    """
    rng = np.random.default_rng(seed)
    perfect = strained(bulk("Al", a=ALUMINIUM, cubic=True).repeat(repeat), strain)
    while True:
        atoms = perfect.copy()
        atoms.calc = EMT()
        # The energy of the velocities spreads to the positions: twice the temperature at first.
        MaxwellBoltzmannDistribution(atoms, temperature_K=2 * temperature, rng=rng)
        if phase == "liquid":
            _langevin(atoms, HOT, STEPS["melt"], rng)
        _langevin(atoms, temperature, STEPS[phase], rng)
        if phase == "solid" or order(atoms) < ORDERED:
            return _bare(atoms)


def alloy(repeat, n_magnesium, displacement, seed):
    """Return an fcc cell of aluminium and magnesium with random occupation.

    The lattice constant follows Vegard's law, with a scatter of 1.5 %.

    Parameters
    ----------
    repeat : tuple of 3 int
        Number of conventional cells of four atoms along each axis.
    n_magnesium : int
        Number of magnesium atoms.
    displacement : float
        Standard deviation of every coordinate in Å.
    seed : int
        Of everything that is random.

    Returns
    -------
    ase.Atoms
    """
    rng = np.random.default_rng(seed)
    n_atoms = 4 * int(np.prod(repeat))
    a = (ALLOY + PER_MAGNESIUM * n_magnesium / n_atoms) * (1 + 0.015 * rng.standard_normal())
    atoms = bulk("Al", a=a, cubic=True).repeat(repeat)
    atoms.symbols[rng.permutation(n_atoms)[:n_magnesium]] = "Mg"
    return _rattled(atoms, displacement, rng)


def carbide(displacement, strain, seed):
    """Return eight atoms of cubic SiC, displaced and strained at random.

    Parameters
    ----------
    displacement, strain : float
        Standard deviations of every coordinate in Å and of every component of the strain.
    seed : int
        Of both.

    Returns
    -------
    ase.Atoms
    """
    rng = np.random.default_rng(seed)
    tensor = strain * rng.standard_normal((3, 3))
    atoms = strained(bulk("SiC", "zincblende", a=CARBIDE, cubic=True), (tensor + tensor.T) / 2)
    return _rattled(atoms, displacement, rng)


def displaced_cell(displacement, strain, seed):
    """Return four atoms of aluminium with random displacements in Å, in a strained cell."""
    atoms = strained(bulk("Al", a=ALUMINIUM, cubic=True), strain * np.eye(3))
    return _rattled(atoms, displacement, np.random.default_rng(seed))


def perfect_cell(strain):
    """Return the conventional cell of fcc aluminium under a strain (3, 3)."""
    return _bare(strained(bulk("Al", a=ALUMINIUM, cubic=True), strain))


def strained(atoms, strain):
    """Return atoms whose cell and positions are multiplied by 1 + strain (3, 3) from the right."""
    atoms = atoms.copy()
    if strain is not None:
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def order(atoms):
    r"""Return :math:`\max_G |\sum_i e^{i G r_i}|^2 / N^2`: 1 for a lattice, below ½ for liquids."""
    scaled = atoms.get_scaled_positions()
    miller = np.array([m for m in itertools.product(range(-4, 5), repeat=3) if any(m)])
    amplitudes = np.exp(2j * np.pi * miller @ scaled.T).mean(axis=1)
    return float((abs(amplitudes) ** 2).max())


def _langevin(atoms, temperature, steps, rng):
    state = {"temperature_K": temperature, "friction": FRICTION, "fixcm": False}
    Langevin(atoms, STEP, **state, rng=rng).run(steps)


def _rattled(atoms, displacement, rng):
    atoms.positions += displacement * rng.standard_normal((len(atoms), 3))
    return _bare(atoms)


def _bare(atoms):
    """Return numbers, positions inside of the cell, and the cell, in the digits of the input."""
    positions = np.round(atoms.get_positions(wrap=True), DECIMALS)
    cell = np.round(atoms.cell.array, DECIMALS)
    return Atoms(atoms.numbers, positions=positions, cell=cell, pbc=True)
