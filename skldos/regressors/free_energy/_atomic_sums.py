r"""Joint least squares of energies, forces and virials, with an unpenalised baseline.

For every snapshot s there are rows of three kinds: the mean of the features over its atoms for the
energy per atom, derivatives of their sum for forces, and derivatives by strain for the virial per
atom. The baseline acts on two of them alone: the composition on energies, a constant pressure times
volume on virials. It is eliminated first (Frisch, Waugh and Lovell), so that the matrix which is
left has nothing but features in it, and no scale of its own.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from skldos.workers import results_of

#: Bytes of rows kept in memory; rows of further snapshots are recomputed when needed.
KEPT_BYTES = 2**29
#: Independent components of a symmetric tensor, and factors that preserve its norm.
VOIGT_PAIRS = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
VOIGT_FACTORS = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0]) ** 0.5
#: The isotropic tensor in these components.
ISOTROPIC = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
#: Threshold above which an energy is (almost) the only one that determines its baseline, so that
#: its left-out error is meaningless.
SOLE_LEVERAGE = 1 - 1e-9


class Rows(NamedTuple):
    """Derivatives of the sum of the features of a snapshot, with their targets.

    Forces are in eV/Å; virials, none or the six components of a symmetric tensor, are per atom and
    in eV/atom. Rows have shape (n_rows, n_features).
    """

    forces: np.ndarray
    force_targets: np.ndarray
    virials: np.ndarray
    virial_targets: np.ndarray


class Setting(NamedTuple):
    """Weights of energies and virials, and the penalty relative to the mean eigenvalue."""

    energy_weight: float
    virial_weight: float
    alpha: float


class LeftOut(NamedTuple):
    """Errors, predicted minus true, of a snapshot that is left out, and variances for unit noise.

    In eV/atom, eV/Å and eV/atom; the error of an energy is NaN if only this energy determines the
    baseline of an element.
    """

    energy: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    energy_variance: np.ndarray
    forces_variance: np.ndarray
    virial_variance: np.ndarray


class AtomicSums:
    """The linear problem of all snapshots.

    It takes, for every snapshot, the `means` of the features over its atoms, the `energies` per
    atom in eV, the composition as `fractions` of the elements, and the weights `counts`, above
    zero. The function `rows`, a :class:`~._atomic_data.RowsOf`, returns the :class:`Rows` of a
    snapshot, which `n_jobs` workers compute. `pulay` is the constant trace in virials, in eV/atom,
    that is not of the energies; None fits it.
    """

    def __init__(self, means, energies, fractions, rows, counts, pulay=0.0, n_jobs=None):
        self._compute, self._cache, self._room = rows, {}, KEPT_BYTES
        self.counts, self.pulay, self.n_snapshots = counts, pulay, len(means)
        self._fractions = fractions
        self._composition(means, energies)
        n_features = means.shape[1]
        self._forces, self._virials = np.zeros((2, n_features, n_features))
        self._by_forces, self._by_virials, traces = np.zeros((3, n_features))
        self.n_forces, self.n_stressed, n_stressed, trace_targets = 0, 0.0, 0, 0.0
        computed = results_of([rows.task(s) for s in range(self.n_snapshots)], n_jobs)
        for s, (count, r) in enumerate(zip(counts, computed, strict=True)):
            self._keep(s, r)
            self._forces += count * r.forces.T @ r.forces
            self._by_forces += count * r.forces.T @ r.force_targets
            self.n_forces += len(r.forces)
            self._virials += count * r.virials.T @ r.virials
            self._by_virials += count * r.virials.T @ r.virial_targets
            if len(r.virials):
                self.n_stressed += count
                n_stressed += 1
                traces += count * ISOTROPIC @ r.virials
                trace_targets += count * ISOTROPIC @ r.virial_targets
        self._eliminate_pulay(traces, trace_targets, n_stressed)
        # Energies and virials per atom are small compared with forces, unless these vanish by
        # symmetry.
        learned = self._forces + self._virials + self._energies
        #: Mean eigenvalue in eV², to which penalties are relative.
        self.scale = np.trace(learned) / n_features or 1.0

    def _composition(self, means, energies):
        """Regress energies and features on the composition, and keep the residuals."""
        root = np.sqrt(self.counts)[:, None]
        inverse = np.linalg.pinv(root * self._fractions)
        self.feature_baseline = inverse @ (root * means)
        self.energy_baseline = inverse @ (root[:, 0] * energies)
        self.composition_inverse = inverse @ inverse.T
        self._means = means - self._fractions @ self.feature_baseline
        self._targets = energies - self._fractions @ self.energy_baseline
        weighted = self.counts[:, None] * self._means
        self._energies, self._by_energies = weighted.T @ self._means, weighted.T @ self._targets
        self._leverages = self.counts * baseline_variance(self._fractions, self.composition_inverse)

    def _eliminate_pulay(self, traces, trace_targets, n_stressed):
        if self.pulay is None and n_stressed < 2:
            raise ValueError(
                "pulay_virial='fit' needs at least two snapshots with a reference 'stress', got "
                f"{n_stressed}."
            )
        self._traces, self._trace_target = np.zeros_like(traces), self.pulay or 0.0
        if self.pulay is None:
            n = 3 * self.n_stressed  # |ISOTROPIC|² = 3
            self._traces, self._trace_target = traces / n, trace_targets / n
            self._virials -= np.outer(traces, traces) / n
            self._by_virials -= traces * trace_targets / n
        else:
            self._by_virials -= traces * self.pulay

    def rows(self, s):
        """Return the rows of a snapshot, kept or computed."""
        return self._cache[s] if s in self._cache else self._compute(s)

    def _keep(self, s, rows):
        """Keep the rows of a snapshot if they fit into the memory limit."""
        size = sum(array.nbytes for array in rows)
        if size <= self._room:
            self._room -= size
            self._cache[s] = rows

    def decompose(self, energy_weight, virial_weight):
        """Return eigenvalues and eigenvectors of the normal matrix, and its right side in them."""
        normal = self._forces + energy_weight**2 * self._energies
        rhs = self._by_forces + energy_weight**2 * self._by_energies
        if self.n_stressed:
            normal = normal + virial_weight**2 * self._virials
            rhs = rhs + virial_weight**2 * self._by_virials
        values, vectors = eigh(normal)
        return np.maximum(values, 0), vectors, vectors.T @ rhs

    def energies_by_forces(self, alpha):
        """Return energies per atom, and those of a model of the forces alone, without baseline."""
        coef, _, _ = self.solve(self.decompose(0.0, 0.0), alpha)
        return self._targets, self._means @ coef

    def left_out(self, s, decomposed, settings):
        """Yield the left-out errors of a snapshot, for settings that differ in alpha.

        Let H be the matrix that maps the targets of the snapshot to their predictions. The left-out
        errors are (1 − H)⁻¹ times the errors of the full model, and (1 − H)⁻¹ − 1 is the covariance
        of the left-out predictions.
        """
        values, vectors, rhs = decomposed
        r, count = self.rows(s), self.counts[s]
        weights = np.concatenate(
            [
                [settings[0].energy_weight],
                np.ones(len(r.forces)),
                np.full(len(r.virials), settings[0].virial_weight),
            ]
        )
        isotropic = ISOTROPIC[: len(r.virials)]
        virials = r.virials - np.outer(isotropic, self._traces)
        virial_targets = r.virial_targets - isotropic * self._trace_target
        scaled = np.sqrt(count) * weights
        A = scaled[:, None] * np.concatenate([self._means[s : s + 1], r.forces, virials])
        targets = scaled * np.concatenate(
            [self._targets[s : s + 1], r.force_targets, virial_targets]
        )
        baseline = np.zeros((len(A), len(A)))
        # Without its energy, the baseline of a snapshot's composition may be unknown.
        alone = self._leverages[s] > SOLE_LEVERAGE
        baseline[0, 0] = 0.0 if alone else self._leverages[s]
        if self.pulay is None and len(r.virials):
            virial = slice(len(A) - len(r.virials), len(A))
            baseline[virial, virial] = (
                count * np.outer(isotropic, isotropic) / (3 * self.n_stressed)
            )
        Z = A @ vectors
        for setting in settings:
            damped = Z / (values + setting.alpha * self.scale)
            residuals = damped @ rhs - targets
            errors, variances = _without(damped @ Z.T + baseline, residuals)
            errors, variances = errors / scaled, variances / scaled**2
            if alone:
                errors[0] = variances[0] = np.nan
            ends = [1, 1 + len(r.forces)]
            yield LeftOut(*np.split(errors, ends), *np.split(variances, ends))

    def solve(self, decomposed, alpha):
        """Return the weights of the features, the baseline, and the constant of the virials."""
        values, vectors, rhs = decomposed
        coef = vectors @ (rhs / (values + alpha * self.scale))
        pulay = self._trace_target - self._traces @ coef
        return coef, self.energy_baseline - self.feature_baseline @ coef, float(pulay)


def _without(hat, residuals):
    """Return left-out errors for the rows of a hat matrix, and the variances of the predictions."""
    try:
        inverse = np.linalg.inv(np.eye(len(hat)) - hat)
    except np.linalg.LinAlgError:  # no other data determine these rows
        return np.full((2, len(hat)), np.inf)
    return inverse @ residuals, np.diag(inverse) - 1


def baseline_variance(fractions, composition_inverse):
    """Return the baseline's part of the variance of energies per atom, for unit noise."""
    return np.einsum("se,ef,sf->s", fractions, composition_inverse, fractions)


def symmetric_rows(tensors):
    """Return the independent components of tensors of shape (3, 3, ...), of the same norm."""
    tensors = np.asarray(tensors)
    components = np.array([(tensors[i, j] + tensors[j, i]) / 2 for i, j in VOIGT_PAIRS])
    return VOIGT_FACTORS.reshape(-1, *[1] * (tensors.ndim - 2)) * components
