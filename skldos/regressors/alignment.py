r"""Densities of states relative to a reference energy, and a model of that energy.

The zero of energy of a periodic calculation is the mean potential of its cell, which moves by volts
with composition and volume. Densities of states of different cells are similar, but shifted. Here
each is shifted by its own *reference energy*,

.. math:: \tilde D(E) = D(E + \varepsilon), \qquad
          \varepsilon = \mu \quad\text{or}\quad \varepsilon = E_\mathrm{band} / N,

and the reference energy is learned separately, as a mean over the atoms,

.. math:: \varepsilon = \sum_Z \Big( a_Z\,\frac{N_Z}{N_\mathrm{atoms}} + b_Z\,\frac{N_Z}{\Omega}
          \Big) + \frac{1}{N_\mathrm{atoms}} \sum_i w \cdot \phi_i .

The terms with the volume Ω describe the mean potential, to which every ion adds a constant divided
by Ω. The energies of electrons are not linear in composition and density. With enough snapshots,
and if it improves the fit, the first sum therefore includes all second-order terms.
"""

import numpy as np
from scipy.interpolate import make_interp_spline
from sklearn.base import BaseEstimator

from skldos.data.calculation import electrons_of
from skldos.data.training import check_elements
from skldos.exceptions import FermiLevelError, SnapshotError
from skldos.physics import band_energy, fermi_level

#: Degree of the splines that shift a spectrum, which is smooth on the scale of its broadening.
SPLINE_DEGREE = 5
#: Penalties of the reference energy's weights to choose from, relative to the mean eigenvalue.
ALPHAS = tuple(10.0 ** np.arange(-10, 3))
#: Orders of the terms of composition and density to choose from.
ORDERS = (1, 2)
#: Requirements of second-order terms: snapshots per term, and no term determined by one snapshot.
SNAPSHOTS_PER_TERM, LARGEST_LEVERAGE = 3, 0.9
ALIGNMENTS = ("fermi", "band")
#: A spectrum is linear between the energies, so their positions matter slightly. Newton steps
#: correct this; each reduces the error by a factor of a hundred.
N_CORRECTIONS = 3


def reference_energies(dos, energies, *, kind, temperature, n_electrons):
    """Return the reference energies of densities of states in 1/eV, in eV, shape (n_snapshots,).

    `kind` is "fermi" for the Fermi level, or "band" for the mean energy of an electron. Raise a
    ``FermiLevelError`` if a density of states, a row of `dos`, does not hold its electrons.

    Examples
    --------
    >>> energies, dos = np.arange(0.0, 10.0, 0.1), np.ones((1, 100))
    >>> cold = {"temperature": np.zeros(1), "n_electrons": np.array([4.05])}
    >>> [float(reference_energies(dos, energies, kind=k, **cold)[0].round(2)) for k in ALIGNMENTS]
    [4.0, 1.97]
    """
    mu = fermi_level(dos, energies, n_electrons=n_electrons, temperature=temperature)
    if kind == "fermi":
        return mu
    return band_energy(dos, energies, fermi_level=mu, temperature=temperature) / n_electrons


def shift_dos(block, energies, new_energies, shift):
    """Return densities of states, (..., n_energies), at ``new_energies + shift`` (eV), by splines.

    They are constant beyond both ends of `energies`.
    """
    at = np.clip(new_energies + shift, energies[0], energies[-1])
    degree = min(SPLINE_DEGREE, (len(energies) - 1) | 1)  # odd
    degree = degree if degree < len(energies) else degree - 2
    return make_interp_spline(energies, block, k=degree, axis=-1)(at)


def align_sums(blocks, frame, energies, references, *, kind, temperature, n_electrons):
    """Shift predicted densities of states of atoms so that their sums have the reference energies.

    `blocks` of shape (n_atoms, n_frame) are in 1/eV at the energies `frame`, the result is at
    `energies`; all energies are in eV. `kind`, `temperature` and `n_electrons` are as of
    :func:`reference_energies`. A spectrum that does not hold the electrons is not shifted further.
    """

    def shifted(shifts):
        pairs = zip(blocks, shifts, strict=True)
        return [shift_dos(block, frame, energies, shift) for block, shift in pairs]

    def references_of(blocks, energies):
        dos = np.stack([block.sum(axis=0) for block in blocks])
        return reference_energies(
            dos, energies, kind=kind, temperature=temperature, n_electrons=n_electrons
        )

    try:
        shifts = references_of(blocks, frame) - references
        for _ in range(N_CORRECTIONS):
            shifts = shifts + references_of(shifted(shifts), energies) - references
    except FermiLevelError:
        if len(blocks) == 1:
            return shifted(-references)
        singles = []
        for i, block in enumerate(blocks):
            state = {"temperature": temperature[[i]], "n_electrons": n_electrons[[i]]}
            singles += align_sums([block], frame, energies, references[[i]], kind=kind, **state)
        return singles
    return shifted(shifts)


def electrons_and_temperatures(snapshots, calculation):
    """Return numbers of electrons and temperatures in K of snapshots, as keywords.

    Values that bare atoms lack come from `calculation`, the summary of the training data.
    """
    mean = None
    if "temperature" in calculation.get("training", {}):
        mean = float(np.mean(calculation["training"]["temperature"]))
    electrons, temperatures = [], []
    for s in snapshots:
        n = electrons_of(s.atoms, calculation) if s.n_electrons is None else s.n_electrons
        kelvin = mean if s.temperature is None else s.temperature
        if n is None or kelvin is None:
            raise SnapshotError(
                f"{s!r} lacks {'n_electrons' if n is None else 'temperature'}, and so do the "
                "training data; models with aligned densities of states need it."
            )
        electrons.append(n)
        temperatures.append(kelvin)
    return {"n_electrons": np.array(electrons), "temperature": np.array(temperatures)}


class ReferenceEnergy(BaseEstimator):
    """The reference energy of a cell, linear in mean features of its atoms; see the module.

    The penalty of the weights and the order of the terms of composition and density, which have no
    penalty, are chosen by leave-one-out over snapshots, in closed form.

    Attributes
    ----------
    elements : list of str
        Elements of the training data.
    order : {1, 2}
        The chosen order of the terms of composition and density.
    alpha : float
        The chosen penalty.
    error : float
        Leave-one-out root mean square error in eV.
    """

    def fit(self, blocks, snapshots, references, weights=None):
        """Fit to reference energies in eV of snapshots; `weights` say how often each counts."""
        self.elements = sorted({symbol for s in snapshots for symbol in s.atoms.symbols})
        features = mean_features(blocks)
        root = np.ones(len(features)) if weights is None else np.sqrt(weights)
        self._mean = features.mean(axis=0)
        self._scale = np.where(features.std(axis=0) > 0, features.std(axis=0), 1.0)
        features = root[:, None] * (features - self._mean) / self._scale
        y = root * np.asarray(references, dtype=float)
        candidates = []
        for order in ORDERS:
            baseline = root[:, None] * self._terms(snapshots, order)
            Q = _orthonormal(baseline)
            if order == ORDERS[0] or _can_be_left_out(Q):
                candidates.append((order, baseline, *_left_out(features, Q, y)))
        self.order, baseline, self.alpha, self.error, self._weights = min(
            candidates, key=lambda candidate: candidate[3]
        )
        residual = y - features @ self._weights
        self._baseline = np.linalg.lstsq(baseline, residual, rcond=1e-10)[0]
        return self

    def predict(self, blocks, snapshots):
        """Return the reference energies in eV, shape (n_snapshots,)."""
        features = (mean_features(blocks) - self._mean) / self._scale
        return self._terms(snapshots, self.order) @ self._baseline + features @ self._weights

    def _terms(self, snapshots, order):
        r"""Return the unpenalised terms, of shape (n_snapshots, n_terms).

        With the fractions :math:`c_Z` and the density :math:`\varrho` in atoms per 20 Å³, these are
        :math:`c_Z, c_Z \varrho`, or all second-order terms, which contain them.
        """
        for snapshot in snapshots:
            check_elements(snapshot, self.elements)
        counts = np.array(
            [[np.sum(s.atoms.symbols == e) for e in self.elements] for s in snapshots], dtype=float
        ).reshape(-1, len(self.elements))
        n_atoms = counts.sum(axis=1, keepdims=True)
        fractions = counts / n_atoms
        density = 20 * n_atoms / np.array([[s.atoms.cell.volume] for s in snapshots])
        if order == 1:
            return np.hstack([fractions, fractions * density])
        variables = np.hstack([fractions, density])
        first, second = np.triu_indices(variables.shape[1])
        return variables[:, first] * variables[:, second]


def mean_features(blocks):
    """Return the mean features of the atoms of every snapshot, (n_snapshots, n_features).

    Environments on spheres, (n_atoms, ..., n_vertices), turn with the crystal: means over their
    vertices do not.
    """
    features = []
    for block in blocks:
        mean = np.asarray(block, dtype=float).mean(axis=0)
        features.append(mean if mean.ndim == 1 else mean.mean(axis=-1).ravel())
    return np.stack(features)


def _orthonormal(baseline):
    """Return an orthonormal basis of the columns."""
    U, s, _ = np.linalg.svd(baseline, full_matrices=False)
    return U[:, s > 1e-10 * s[0]]


def _can_be_left_out(Q):
    """Return whether the terms remain well determined without any single snapshot."""
    leverage = (Q**2).sum(axis=1)
    return len(Q) >= SNAPSHOTS_PER_TERM * Q.shape[1] and leverage.max() < LARGEST_LEVERAGE


def _left_out(features, Q, y):
    """Return the best penalty, its leave-one-out error, and the weights of the features.

    The baseline, with basis Q, is projected out of all columns, because it is not penalised.
    """
    projected, y_projected = features - Q @ (Q.T @ features), y - Q @ (Q.T @ y)
    u, sigma, vt = np.linalg.svd(projected, full_matrices=False)
    level = (sigma**2).mean() or 1.0
    best = None, np.inf, np.zeros(features.shape[1])
    for alpha in ALPHAS:
        shrinkage = sigma**2 / (sigma**2 + alpha * level)
        residuals = y_projected - u @ (shrinkage * (u.T @ y_projected))
        # (y - ŷ) / (1 - H_ss) is the error of a model without snapshot s.
        outside = 1 - (u**2) @ shrinkage - (Q**2).sum(axis=1)
        error = np.sqrt(np.mean((residuals / np.maximum(outside, 1e-12)) ** 2))
        if error < best[1]:
            weights = vt.T @ (sigma / (sigma**2 + alpha * level) * (u.T @ y_projected))
            best = alpha, float(error), weights
    return best
