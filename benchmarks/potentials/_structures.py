"""Structures of silicon: crystals, defects and glass, moved by the Stillinger-Weber potential.

The potential only needs to create realistic configurations; energies and densities come from DFT
calculations. Its parameters are those of F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262
(1985), or, for glass, of R. L. C. Vink et al., J. Non-Cryst. Solids 282, 248 (2001): with the
former too many atoms have five neighbours.
"""

import itertools

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import FIRE

#: Lattice constant of the calculations, in Å, and the volume of an atom in the crystal.
LATTICE = 5.43
ATOM_VOLUME = LATTICE**3 / 8
# σ in Å, and what has no dimension
SIGMA, A, B, CUTOFF, GAMMA = 2.0951, 7.049556277, 0.6022245584, 1.80, 1.20
# ε in eV, and λ: how much angles matter
CRYSTAL = {"epsilon": 2.1683, "tetrahedrality": 21.0}
GLASS = {"epsilon": 1.64833, "tetrahedrality": 31.5}
# Of the thermostat
FRICTION = 0.01 / units.fs


class StillingerWeber(Calculator):
    """Energy and forces of silicon in cells of any shape, up to about a hundred atoms."""

    implemented_properties = ("energy", "forces")

    def __init__(self, epsilon, tetrahedrality):
        super().__init__()
        self.epsilon, self.tetrahedrality = epsilon, tetrahedrality

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Sum over pairs, and over angles at every atom."""
        super().calculate(atoms, properties, system_changes)
        neighbor, d, r, within = padded_neighbors(self.atoms, CUTOFF * SIGMA)
        s = np.where(within, SIGMA / np.where(within, r - CUTOFF * SIGMA, -1.0), 0.0)
        x4 = (SIGMA / r) ** 4
        # v2 = ε A (B (σ/r)⁴ − 1) exp(σ/(r − aσ)); every pair is met twice
        tail = np.where(within, np.exp(s), 0.0)
        v2 = self.epsilon * A * (B * x4 - 1) * tail
        slope = self.epsilon * A * (-4 * B * x4 / r - (B * x4 - 1) * s**2 / SIGMA) * tail
        gradient = slope[..., None] / 2 * d / r[..., None]
        # v3 = ε λ (cos θ + 1/3)² exp(γσ/(r − aσ)) exp(γσ/(r' − aσ)); every angle is met twice
        g = np.where(within, np.exp(GAMMA * s), 0.0)
        unit = d / r[..., None]
        cosine = unit @ unit.transpose(0, 2, 1)
        pair = g[:, :, None] * g[:, None, :] * (1 - np.eye(r.shape[1]))
        deviation = (cosine + 1 / 3) * pair
        strength = self.epsilon * self.tetrahedrality
        v3 = strength * deviation * (cosine + 1 / 3)
        turn = deviation @ unit - (deviation * cosine).sum(2)[..., None] * unit
        gradient += 2 * strength * turn / r[..., None]
        gradient += (-GAMMA * s**2 / SIGMA * v3.sum(2))[..., None] * unit
        forces = gradient.sum(axis=1)
        np.add.at(forces, neighbor[within], -gradient[within])
        self.results = {"energy": v2.sum() / 2 + v3.sum() / 2, "forces": forces}


def padded_neighbors(atoms, r_cut):
    """Return indices, displacements and distances of neighbours, and a mask of existing ones."""
    cell = atoms.cell.array
    # A little more than needed: positions may lie outside of the cell.
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    ranges = [range(-n, n + 1) for n in np.ceil(r_cut / heights).astype(int)]
    shifts = np.array(list(itertools.product(*ranges))) @ cell
    wrapped = atoms.get_positions(wrap=True)
    d = (wrapped[None, :] - wrapped[:, None])[:, :, None] + shifts
    r = np.linalg.norm(d, axis=-1).reshape(len(atoms), -1)
    near = (r < r_cut) & (r > 1e-9)
    n = max(1, near.sum(axis=1).max())
    order = np.argsort(~near, axis=1, kind="stable")[:, :n]
    within = np.take_along_axis(near, order, axis=1)
    d = np.take_along_axis(d.reshape(len(atoms), -1, 3), order[..., None], axis=1)
    r = np.where(within, np.take_along_axis(r, order, axis=1), 1.0)
    return order // len(shifts), np.where(within[..., None], d, 0.0), r, within


def supercell(*repeat):
    """Return repeated conventional cells of diamond."""
    return bulk("Si", a=LATTICE, cubic=True).repeat(repeat)


def heat(atoms, temperature, seed, picoseconds=0.5):
    """Return the atoms after Langevin dynamics at a temperature in K."""
    atoms, rng = atoms.copy(), np.random.default_rng(seed)
    atoms.calc = StillingerWeber(**CRYSTAL)
    # The energy of the velocities spreads to the positions: twice the temperature to begin with.
    MaxwellBoltzmannDistribution(atoms, temperature_K=2 * temperature, rng=rng)
    dynamics = langevin(atoms, 2 * units.fs, temperature, rng)
    dynamics.run(round(picoseconds * 500))
    return bare(atoms)


def langevin(atoms, timestep, temperature, rng):
    """Return dynamics at a temperature in K."""
    state = {"temperature_K": temperature, "friction": FRICTION, "fixcm": False}
    return Langevin(atoms, timestep, **state, rng=rng)


def bare(atoms):
    """Return numbers, positions inside of the cell, and the cell."""
    positions = atoms.get_positions(wrap=True)
    return Atoms(atoms.numbers, positions=positions, cell=atoms.cell, pbc=True)


def relaxed(atoms, steps=100, **parameters):
    """Return the atoms after a rough relaxation."""
    atoms = atoms.copy()
    atoms.calc = StillingerWeber(**parameters or CRYSTAL)
    FIRE(atoms, logfile=None).run(fmax=0.1, steps=steps)
    return bare(atoms)


def crystal(repeat, temperature, seed, strain=0.0):
    """Return a displaced crystal, in a cell with a random strain of about this size."""
    atoms = supercell(*repeat)
    if strain:
        change = np.random.default_rng(seed).normal(scale=strain, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (change + change.T) / 2), scale_atoms=True)
    return heat(atoms, temperature, seed)


def vacancy(repeat, temperature, seed):
    """Return a crystal with a vacancy."""
    atoms = supercell(*repeat)
    del atoms[0]
    return heat(relaxed(atoms), temperature, seed)


def interstitial(site, repeat, temperature, seed):
    """Return a crystal with an interstitial, at a tetrahedral, hexagonal or split site."""
    atoms = supercell(*repeat)
    home = atoms.positions[0].copy()
    if site == "tetrahedral":
        added = home + LATTICE / 2 * np.ones(3)
    elif site == "hexagonal":
        # Midway between two neighbouring tetrahedral sites
        added = home + LATTICE * np.array([5, 5, 5]) / 8
    else:
        half = 1.2 * np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
        atoms.positions[0] = home - half
        added = home + half
    atoms += Atoms("Si", positions=[added])
    return heat(relaxed(atoms, 50), temperature, seed, picoseconds=0.1)


def amorphous(n_atoms, temperature, seed, melting=2.0, quenching=8.0):
    """Return silicon that was melted in a cube and cooled within some picoseconds."""
    rng = np.random.default_rng(seed)
    edge = (n_atoms * ATOM_VOLUME) ** (1 / 3)
    atoms = Atoms(f"Si{n_atoms}", cell=edge * np.eye(3), pbc=True)
    atoms.set_scaled_positions(spread(n_atoms, edge, rng))
    atoms = relaxed(atoms, 50, **GLASS)
    atoms.calc = StillingerWeber(**GLASS)
    MaxwellBoltzmannDistribution(atoms, temperature_K=3000, rng=rng)
    step = 3e-3  # ps
    dynamics = langevin(atoms, 3 * units.fs, 3000, rng)
    dynamics.run(round(melting / step))
    for hot in np.linspace(2500, temperature, 25):
        dynamics.set_temperature(temperature_K=hot)
        dynamics.run(round(quenching / 25 / step))
    return bare(atoms)


def spread(n_atoms, edge, rng):
    """Return random positions with a minimum distance, in units of the edge."""
    places = []
    while len(places) < n_atoms:
        place = rng.random(3)
        apart = [place - other - np.round(place - other) for other in places]
        if not apart or edge * np.linalg.norm(apart, axis=1).min() > 1.8:
            places.append(place)
    return np.array(places)


def moved(structure, seed, length=0.01):
    """Return a structure whose atoms are moved by random steps of about this length, in Å."""
    atoms = structure()
    rng = np.random.default_rng(seed)
    atoms.positions += rng.normal(scale=length / np.sqrt(3), size=atoms.positions.shape)
    return bare(atoms)


def coordination(atoms, r_cut=2.85):
    """Return the number of neighbours of every atom."""
    return padded_neighbors(atoms, r_cut)[3].sum(axis=1)
