"""Mixtures of Gaussians, one for every row, as a mixture density network predicts them."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state

from skldos.validation import check_scalar, check_shape

#: Largest number of steps towards the mode, and step length, in standard deviations, to stop at.
MODE_STEPS, MODE_PRECISION = 200, 1e-8


@dataclass(frozen=True)
class GaussianMixtures:
    r"""Probability densities :math:`p_n(y) = \sum_k w_{nk} N(y; \mu_{nk}, \Sigma_{nk})`.

    Parameters
    ----------
    weights : ndarray of shape (n_rows, n_components)
        Weights, with a sum of 1 in every row.
    means : ndarray of shape (n_rows, n_components, n_outputs)
        Means, in the unit of y.
    roots : ndarray of shape (n_rows, n_components, n_outputs, n_outputs)
        Invertible matrices :math:`R_{nk}` with :math:`\Sigma_{nk} = R_{nk} R_{nk}^T`. Outputs may
        be of very different size and nearly dependent on each other: the covariances themselves
        would then be singular to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> two = GaussianMixtures([[0.75, 0.25]], [[[-1.0], [3.0]]], np.full((1, 2, 1, 1), 0.1))
    >>> two
    GaussianMixtures(1 of 2 components for 1 outputs)
    >>> print(two.mean(), two.mode().round(3), two.std().round(2))
    [[0.]] [[-1.]] [[1.73]]
    """

    weights: np.ndarray
    means: np.ndarray
    roots: np.ndarray

    def __post_init__(self):
        arrays = {name: np.asarray(a, dtype=float) for name, a in vars(self).items()}
        check_shape("means", arrays["means"], (None, None, None))
        n_rows, n_components, n_outputs = arrays["means"].shape
        check_shape("weights", arrays["weights"], (n_rows, n_components))
        shape = (n_rows, n_components, n_outputs, n_outputs)
        check_shape("roots", arrays["roots"], shape)
        for name, array in arrays.items():
            object.__setattr__(self, name, array)

    def __len__(self):
        return len(self.weights)

    def __repr__(self):
        _, n_components, n_outputs = self.means.shape
        return f"GaussianMixtures({len(self)} of {n_components} components for {n_outputs} outputs)"

    # ---------------------------------------------------------------- moments

    def mean(self):
        """Return the means of y, of shape (n_rows, n_outputs)."""
        return np.einsum("nk,nki->ni", self.weights, self.means)

    @property
    def covariances(self):
        """Covariances of the components, (n_rows, n_components, n_outputs, n_outputs)."""
        return self.roots @ self.roots.swapaxes(-1, -2)

    def covariance(self):
        """Return the covariances of y, of shape (n_rows, n_outputs, n_outputs)."""
        deviations = self.means - self.mean()[:, None]
        between = np.einsum("nk,nki,nkj->nij", self.weights, deviations, deviations)
        return between + np.einsum("nk,nkij->nij", self.weights, self.covariances)

    def std(self):
        """Return the standard deviations of y, of shape (n_rows, n_outputs)."""
        return np.sqrt(np.einsum("nii->ni", self.covariance()))

    def component_std(self):
        """Return standard deviations of components, (n_rows, n_components, n_outputs)."""
        return np.linalg.norm(self.roots, axis=-1)

    def mode(self):
        r"""Return the most probable y, of shape (n_rows, n_outputs).

        From the mean of every component, by fixed-point iteration of the condition that the
        gradient vanishes,

        .. math:: y = \Big(\sum_k r_k \Sigma_k^{-1}\Big)^{-1} \sum_k r_k \Sigma_k^{-1} \mu_k,
                  \qquad r_k \propto w_k N(y; \mu_k, \Sigma_k),

        which never lowers the density; the best of the ends is taken.
        """
        # In units of the first component, in which the others are nearly isotropic.
        unit, origin = self.roots[:, 0], self.means[:, :1]
        means = np.linalg.solve(unit[:, None], (self.means - origin)[..., None])[..., 0]
        scaled = GaussianMixtures(self.weights, means, np.linalg.solve(unit[:, None], self.roots))
        best, highest = scaled.mean(), np.full(len(self), -np.inf)
        for start in range(means.shape[1]):
            end = scaled._climb(means[:, start])
            density = scaled.log_density(end)
            better = density > highest
            best[better], highest[better] = end[better], density[better]
        return origin[:, 0] + np.einsum("nij,nj->ni", unit, best)

    def _climb(self, y):
        inverse = np.linalg.inv(self.roots)
        precisions = inverse.swapaxes(-1, -2) @ inverse
        pulls = np.einsum("nkij,nkj->nki", precisions, self.means)
        widths = self.component_std().min(axis=1)
        for _ in range(MODE_STEPS):
            logs = self._log_joint(y)
            shares = np.exp(logs - logs.max(axis=1, keepdims=True))  # their sum cancels
            matrix = np.einsum("nk,nkij->nij", shares, precisions)
            rhs = np.einsum("nk,nki->ni", shares, pulls)
            step = np.linalg.solve(matrix, rhs[..., None])[..., 0] - y
            y = y + step
            if (np.abs(step) <= MODE_PRECISION * widths).all():
                break
        return y

    # ---------------------------------------------------------------- densities and samples

    def log_density(self, y):
        r"""Return the logarithms of the densities.

        Parameters
        ----------
        y : array-like of shape (n_rows, n_outputs)
            One point per row.

        Returns
        -------
        ndarray of shape (n_rows,)
            :math:`\log p_n(y_n)`.
        """
        return np.logaddexp.reduce(self._log_joint(y), axis=1)

    def _log_joint(self, y):
        r"""Return :math:`\log w_{nk} N(y_n; \mu_{nk}, \Sigma_{nk})`."""
        y = np.asarray(y, dtype=float)
        check_shape("y", y, (len(self), self.means.shape[2]))
        z = np.linalg.solve(self.roots, (y[:, None] - self.means)[..., None])[..., 0]
        log_det = np.linalg.slogdet(self.roots).logabsdet
        with np.errstate(divide="ignore"):  # a weight of zero
            log_weights = np.log(self.weights)
        constant = 0.5 * y.shape[1] * np.log(2 * np.pi)
        return log_weights - 0.5 * (z**2).sum(axis=-1) - log_det - constant

    def sample(self, n_samples=1, *, random_state=None):
        """Draw points.

        Parameters
        ----------
        n_samples : int, default=1
            Number of points per row.
        random_state : int, RandomState instance or None, default=None
            Seed.

        Returns
        -------
        ndarray of shape (n_samples, n_rows, n_outputs)
            Independent points.
        """
        check_scalar("n_samples", n_samples, low=1, integer=True)
        rng = check_random_state(random_state)
        uniform = rng.random_sample((n_samples, len(self), 1))
        components = (uniform > np.cumsum(self.weights, axis=1)[None, :, :-1]).sum(axis=-1)
        rows = np.arange(len(self))[None]
        roots = self.roots[rows, components]
        normal = rng.standard_normal((n_samples, len(self), self.means.shape[2]))
        return self.means[rows, components] + np.einsum("snij,snj->sni", roots, normal)
