"""A transformer that represents the change of the potential by Gaussians on the atoms."""

from collections.abc import Mapping

import numpy as np

from skldos.data import Blocks, SnapshotList, as_snapshots
from skldos.decomposition.gaussians import Gaussians, check_exponents, geometric_exponents
from skldos.descriptors.base import SnapshotTransformer
from skldos.exceptions import SnapshotError
from skldos.io import as_pseudopotentials
from skldos.physics.potential import potential_change
from skldos.units import RYDBERG
from skldos.validation import check_scalar

#: Number of exponents by default.
N_GAUSSIANS = 6


class GaussianPotentialDecomposer(SnapshotTransformer):
    r"""Represent the self-consistent change of the potential by Gaussians on the atoms.

    From superposed free atoms to the crystal, the local potential changes by

    .. math::

        \Delta V(r) = (v_H + v_{xc})[n](r) - (v_H + v_{xc})[n_0](r)
            \approx c_0 + \sum_B \sum_i A_{Bi} \sum_L e^{-\alpha_i |r - t_B - L|^2},

    where n is the density of a snapshot and n_0 that of free atoms. Given the coefficients A, the
    potential is known without self-consistent iterations. The OLCAO method represents potentials
    the same way [1]_. The fit in reciprocal space minimises :math:`\int (\Delta V - \dots)^2 dr`,
    with a penalty on Gaussians that cancel each other.

    Parameters
    ----------
    pseudopotentials : mapping of str to Pseudopotential or path, or sequence of them
        The pseudopotentials of the calculations, with the densities of free atoms.
    exponents : array-like of shape (n_gaussians,) or mapping of str to array-like, optional
        :math:`\alpha` in 1/Å², for all elements or by element, the same number for each; by default
        six from 0.15 to 5 bohr⁻² (:func:`~skldos.decomposition.geometric_exponents`).
    ridge : float, default=1e-4
        Weight of the penalty :math:`\lambda \sum_k \|g_k\|^2 A_k^2`, dimensionless.
    fit_mean : bool, default=False
        Whether the Gaussians represent the mean of the potential, with :math:`c_0` = 0. If False,
        the mean is that of the snapshots in ``fit``.
    functional : {"lda-pz", "lda-pw", "pbe", "pbesol"}, optional
        Exchange-correlation functional; by default that of the pseudopotentials.
    dtype : {"float64", "float32"}, default="float64"
        Type of the blocks.
    memory : str, path-like or joblib.Memory, optional
        Folder for caching blocks, shared with other folds and other processes.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    exponents_ : dict of str to ndarray of shape (n_gaussians,)
        Exponents in 1/Å² of every element seen in ``fit``.
    mean_ : float
        Mean of the potentials in ``fit``, in eV; 0 with `fit_mean`.
    n_features_out_ : int
        Number of Gaussians per atom.

    See Also
    --------
    skldos.decomposition.Gaussians : Fits any field, with arrays.

    References
    ----------
    .. [1] W.-Y. Ching and P. Rulis, "Electronic Structure Methods for Complex Materials: The
       Orthogonalized Linear Combination of Atomic Orbitals", Oxford University Press (2012).

    Examples
    --------
    >>> from skldos.datasets import load_silicon, load_silicon_pseudopotentials
    >>> from skldos.decomposition import GaussianPotentialDecomposer
    >>> snapshots = load_silicon()
    >>> decomposer = GaussianPotentialDecomposer(load_silicon_pseudopotentials()).fit(snapshots)
    >>> blocks = decomposer.transform(snapshots[:2])
    >>> blocks
    Blocks(2 of shape (8, 6), (8, 6))
    >>> V = decomposer.inverse_transform(blocks)[0]
    >>> V.shape
    (24, 24, 24)
    """

    def __init__(
        self,
        pseudopotentials,
        exponents=None,
        ridge=1e-4,
        fit_mean=False,
        *,
        functional=None,
        dtype="float64",
        memory=None,
        verbose=False,
    ):
        self.pseudopotentials = pseudopotentials
        self.exponents = exponents
        self.ridge = ridge
        self.fit_mean = fit_mean
        self.functional = functional
        self.dtype = dtype
        self.memory = memory
        self.verbose = verbose

    def fit(self, X, y=None):
        """Check the parameters, and that all snapshots have a density; learn the mean.

        Parameters
        ----------
        X : sequence of Snapshot
            The snapshots.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted transformer.
        """
        snapshots = as_snapshots(X)
        self.check_parameters()
        self.pseudopotentials_ = as_pseudopotentials(self.pseudopotentials)
        self.exponents_ = self._exponents_of(self.learn_species(snapshots))
        super().fit(snapshots)
        self.mean_ = 0.0
        if not self.fit_mean:
            self.mean_ = float(np.mean([V.mean() for V in self.potentials(snapshots)]))
        return self

    def potentials(self, X):
        """Return the change of the potential of every snapshot, the quantity to decompose.

        Parameters
        ----------
        X : sequence of Snapshot
            The snapshots.

        Returns
        -------
        list of ndarray of shape (n_x, n_y, n_z)
            In eV.
        """
        self.check_fitted()
        return [self._potential(snapshot) for snapshot in as_snapshots(X)]

    def inverse_transform(self, X, snapshots=None):
        """Return the potential of every snapshot.

        Parameters
        ----------
        X : Blocks or sequence of array-like of shape (n_atoms, n_gaussians)
            Coefficients in eV, for example predicted by a model.
        snapshots : sequence of Snapshot, optional
            Atoms and grids; by default those behind the blocks.

        Returns
        -------
        list of ndarray of shape (n_x, n_y, n_z)
            In eV.
        """
        return [
            gaussians.field(block) + self.mean_
            for gaussians, block in self._with_gaussians(X, snapshots)
        ]

    def squared_norms(self, X, snapshots=None):
        r"""Return :math:`\int V^2 dr = A^T S A` of sums of Gaussians, without :math:`c_0`.

        For a difference of coefficients, this is the squared error of the potential. Errors of
        overlapping Gaussians cancel or add up, so the sum of squared coefficients says little.

        Parameters
        ----------
        X : Blocks or sequence of array-like of shape (n_atoms, n_gaussians)
            Coefficients in eV, or differences of them.
        snapshots : sequence of Snapshot, optional
            Atoms and grids; by default those behind the blocks.

        Returns
        -------
        ndarray of shape (n_snapshots,)
            In eV² Å³.
        """
        squares = []
        for gaussians, block in self._with_gaussians(X, snapshots):
            V = gaussians.field(block)
            squares.append((V**2).sum() * abs(np.linalg.det(gaussians.cell)) / V.size)
        return np.array(squares)

    def gaussians(self, snapshot):
        """Return the Gaussians of a snapshot on its grid, with their overlap.

        Parameters
        ----------
        snapshot : Snapshot
            Atoms and grid.

        Returns
        -------
        Gaussians
        """
        self.check_fitted()
        snapshot.require("grid_shape")
        super().check_snapshot(snapshot)
        atoms = snapshot.atoms
        exponents = np.array([self.exponents_[symbol] for symbol in atoms.symbols])
        cell, grid = atoms.cell.array, snapshot.grid_shape
        return Gaussians(atoms.positions, cell, grid, exponents, mean=self.fit_mean)

    # ---------------------------------------------------------------- of SnapshotTransformer

    def check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""
        super().check_parameters()
        check_scalar("ridge", self.ridge, low=0)

    def check_snapshot(self, snapshot):
        """Raise an error for a snapshot without a density, or with an unknown element."""
        snapshot.require("density")
        if "assume_isolated" in snapshot.reference:
            raise SnapshotError(
                f"{snapshot!r} is a slab (assume_isolated='2D'): potentials can only be decomposed "
                "in cells that are periodic in three directions."
            )
        super().check_snapshot(snapshot)

    def compute(self, snapshot, start, stop):
        """Compute the coefficients of atoms `start` to `stop`."""
        block = self.gaussians(snapshot).fit(self._potential(snapshot), self.ridge)
        return block[start:stop]

    def feature_names(self):
        """Return one name per Gaussian."""
        n = len(next(iter(self.exponents_.values())))
        if isinstance(self.exponents, Mapping):
            return [f"gaussian_{i}" for i in range(n)]
        return [f"gaussian_{alpha:.6g}" for alpha in next(iter(self.exponents_.values()))]

    def cache_key(self, snapshot):
        """Return everything the block of `snapshot` depends on, including its density."""
        density_cutoff = snapshot.reference.get("ecutrho")
        name, params, *rest = super().cache_key(snapshot)
        # Contents rather than paths: a file may change, and relative paths depend on the folder.
        species = sorted(set(snapshot.atoms.symbols))
        pseudopotentials = {symbol: self.pseudopotentials_[symbol] for symbol in species}
        params = params | {"pseudopotentials": pseudopotentials}
        return (name, params, *rest, snapshot.density, density_cutoff)

    # ----------------------------------------------------------------

    def _exponents_of(self, species):
        """Return the exponents of every element."""
        exponents = geometric_exponents(N_GAUSSIANS) if self.exponents is None else self.exponents
        if not isinstance(exponents, Mapping):
            exponents = dict.fromkeys(species, exponents)
        missing = [symbol for symbol in species if symbol not in exponents]
        if missing:
            raise ValueError(f"exponents must name every element, got none for {missing[0]}.")
        by_element = {symbol: check_exponents(exponents[symbol], 1)[0].copy() for symbol in species}
        if len({len(alpha) for alpha in by_element.values()}) > 1:
            raise ValueError(
                "exponents must have the same number for all elements, got "
                + " and ".join(f"{len(alpha)} for {symbol}" for symbol, alpha in by_element.items())
                + "."
            )
        return by_element

    def _potential(self, snapshot):
        """Return the change of the potential of a snapshot."""
        self.check_snapshot(snapshot)
        density_cutoff = snapshot.reference.get("ecutrho")
        try:
            V = potential_change(
                np.asarray(snapshot.density[:], dtype=float),
                snapshot.atoms,
                self.pseudopotentials_,
                functional=self.functional,
                density_cutoff=None if density_cutoff is None else density_cutoff * RYDBERG,
            )
        except ValueError as error:
            raise SnapshotError(f"{snapshot!r} has no change of the potential: {error}") from error
        return V

    def _with_gaussians(self, X, snapshots):
        """Yield the Gaussians and the block of every snapshot."""
        self.check_fitted()
        if snapshots is None:
            snapshots = X.snapshots if isinstance(X, Blocks) else None
        if snapshots is None:
            raise ValueError("pass snapshots: the blocks of X are not linked to any.")
        snapshots = SnapshotList(as_snapshots(snapshots))
        if len(X) != len(snapshots):
            raise ValueError(f"X must hold one block per snapshot, {len(snapshots)}, got {len(X)}.")
        for i, (block, snapshot) in enumerate(zip(X, snapshots, strict=True)):
            shape = (len(snapshot.atoms), self.n_features_out_)
            block = np.asarray(block[:] if hasattr(block, "shape") else block, dtype=float)
            if block.shape != shape:
                raise ValueError(
                    f"X must hold a block of shape {shape} for {snapshot!r}, got {block.shape} in "
                    f"block {i}."
                )
            yield self.gaussians(snapshot), block
