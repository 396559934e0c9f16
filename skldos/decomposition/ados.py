"""The atom-decomposed density of states as a transformer."""

from collections.abc import Mapping

import numpy as np

from skldos.data import EnergyGrid, as_snapshots, sum_rows
from skldos.decomposition.partition import Partition, decompose
from skldos.descriptors.base import SnapshotTransformer
from skldos.descriptors.elements import by_atom, check_by_element, check_elements
from skldos.exceptions import SnapshotError
from skldos.validation import check_shape
from skldos.workers import check_n_jobs, n_threads


class ADOSDecomposer(SnapshotTransformer):
    r"""Partition the LDOS of a snapshot among its atoms (ADOS).

    Each grid point is shared among the surrounding atoms by a Gaussian partition of unity over all
    periodic images [1]_,

    .. math::

        D_i(E) = \sum_r w_i(r)\, d(r, E)\, \Delta V, \qquad
        w_i(r) = \frac{\sum_L e^{-|r - R_i - L|^2 / 2\sigma^2}}
                      {\sum_j \sum_L e^{-|r - R_j - L|^2 / 2\sigma^2}},

    so that :math:`\sum_i D_i` is the density of states D. Works for any cell; a point far from all
    atoms is shared by the nearest ones. The LDOS is read in slices and summed in double precision,
    at a cost proportional to grid points times neighbours. A snapshot without an LDOS may carry an
    earlier decomposition: ``reference["ados"]``, of shape (n_atoms, n_energies) in 1/eV, is used if
    ``reference["ados_sigma"]`` equals `sigma`.

    Parameters
    ----------
    sigma : float or dict of str to float, default=1.3
        Width of the Gaussians in Å, or that of each element, such as ``{"Si": 1.3, "C": 0.9}``; 1.3
        was chosen for aluminium [1]_. Not used by the partition "nearest", which is the limit of
        zero width.
    partition : {"gaussian", "nearest"}, default="gaussian"
        Gaussians on the atoms, or each point to its nearest atom (equally near atoms share it).
    tolerance : float, default=1e-8
        Images of atoms are left out if their weight, relative to the nearest image, is below this.
        The weights always add up to one.
    dtype : {"float64", "float32"}, default="float64"
        Type of the blocks.
    n_jobs : int, optional
        Number of threads; None uses all threads available to this process.
    memory : str, path-like or joblib.Memory, optional
        Folder for caching blocks, shared with other folds and other processes.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    energies_ : ndarray of shape (n_features_out,)
        Energies of the columns in eV.
    n_features_out_ : int
        Number of energies.

    See Also
    --------
    skldos.regressors.ados.ADOSRegressor : Makes these targets inside ``fit``.

    References
    ----------
    .. [1] Fox et al., "Resolving Computational Challenges in Accelerating Electronic Structure
       Calculations using Machine Learning".

    Examples
    --------
    >>> import numpy as np
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.decomposition import ADOSDecomposer
    >>> snapshots = make_snapshots(2, random_state=0)
    >>> decomposer = ADOSDecomposer().fit(snapshots)
    >>> blocks = decomposer.transform(snapshots)
    >>> blocks
    Blocks(2 of shape (4, 21), (4, 21))
    >>> bool(np.allclose(decomposer.inverse_transform(blocks)[0], snapshots[0].dos()))
    True
    """

    def __init__(
        self,
        sigma=1.3,
        partition="gaussian",
        tolerance=1e-8,
        *,
        dtype="float64",
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        self.sigma = sigma
        self.partition = partition
        self.tolerance = tolerance
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    def fit(self, X, y=None):
        """Check the parameters, and that all snapshots have an LDOS (or ADOS) at the same energies.

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
        self._check_source(snapshots[0])
        self.energies_ = snapshots[0].energies
        return super().fit(snapshots)

    def inverse_transform(self, X):
        """Return the density of states of every snapshot, the sum over its atoms.

        Parameters
        ----------
        X : Blocks or sequence of array-like of shape (n_atoms, n_features_out)
            Densities of states of the atoms in 1/eV, for example predicted by a model.

        Returns
        -------
        ndarray of shape (n_snapshots, n_features_out)
            In 1/eV.
        """
        self.check_fitted()
        sums = [sum_rows(block) for block in X]
        for i, dos in enumerate(sums):
            if dos.shape != (self.n_features_out_,):
                raise ValueError(
                    f"X must hold blocks of {self.n_features_out_} energies, got {len(dos)} in "
                    f"block {i}."
                )
        return np.stack(sums) if sums else np.empty((0, self.n_features_out_))

    # ---------------------------------------------------------------- of SnapshotTransformer

    def check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""
        super().check_parameters()
        check_n_jobs(self.n_jobs, "threads")
        if isinstance(self.sigma, Mapping):
            check_by_element("sigma", self.sigma, low=0, strict=True)
            if not self.sigma:
                raise ValueError("sigma must name at least one element, got an empty mapping.")
        self._partition()

    def check_snapshot(self, snapshot):
        """Raise an error for a snapshot without an LDOS, or at other energies."""
        # Elements that were not in the fit are allowed, because nothing is learned about elements.
        self._check_source(snapshot)
        if not np.array_equal(snapshot.energies, self.energies_):
            raise SnapshotError(
                f"all snapshots must have the energies of the fit, {EnergyGrid(self.energies_)!r}, "
                f"got {snapshot.energy_grid!r} in {snapshot!r}."
            )

    def _check_source(self, snapshot):
        """Raise an error unless there is an LDOS, or an ADOS of the same partition."""
        if isinstance(self.sigma, Mapping):
            check_elements("sigma", self.sigma, snapshot)
        if snapshot.ldos is not None or "ados" not in snapshot.reference:
            snapshot.require("ldos")
            return
        snapshot.require("energies")
        shape = (len(snapshot.atoms), len(snapshot.energies))
        check_shape("reference['ados']", np.asarray(snapshot.reference["ados"]), shape)
        sigma = snapshot.reference.get("ados_sigma")
        widths = self._widths(snapshot.atoms)
        if self.partition != "gaussian" or sigma is None or not np.allclose(sigma, widths):
            raise SnapshotError(
                f"{snapshot!r} has no LDOS, and its ADOS used Gaussians of {sigma} Å: set "
                f"partition='gaussian' and sigma={sigma}, got {self.partition!r} and {self.sigma}."
            )

    def compute(self, snapshot, start, stop):
        """Compute the densities of states of atoms `start` to `stop`."""
        if snapshot.ldos is None:
            return np.asarray(snapshot.reference["ados"], dtype=float)[start:stop]
        atoms = snapshot.atoms
        threads = n_threads(self.n_jobs)
        place = snapshot.ldos, atoms.positions, atoms.cell.array
        block = decompose(*place, self._partition(), threads, self._scales(atoms))
        if not np.isfinite(block).all():
            raise SnapshotError(f"the LDOS of {snapshot!r} holds NaN or infinite values.")
        return block[start:stop]

    def _widths(self, atoms):
        """Return the width of the Gaussian of every atom in Å."""
        if isinstance(self.sigma, Mapping):
            return by_atom(self.sigma, atoms)
        return np.full(len(atoms), float(self.sigma))

    def _largest(self):
        return max(self.sigma.values()) if isinstance(self.sigma, Mapping) else self.sigma

    def _partition(self):
        """Return the partition for distances scaled by `_scales`."""
        return Partition.of(self.partition, self._largest(), self.tolerance)

    def _scales(self, atoms):
        if self.partition == "nearest":
            return None
        return (self._largest() / self._widths(atoms)) ** 2

    def _chunks(self, snapshot, bar):
        # One pass over the LDOS gives all atoms.
        n_atoms = self.n_sites(snapshot)
        yield 0, n_atoms, self.compute(snapshot, 0, n_atoms)
        bar.update(n_atoms)

    def feature_names(self):
        """Return one name per energy."""
        return [f"dos_{energy:.9g}" for energy in self.energies_]

    def cache_key(self, snapshot):
        """Return everything the block of `snapshot` depends on, including its LDOS."""
        source = snapshot.reference["ados"] if snapshot.ldos is None else snapshot.ldos
        return (*super().cache_key(snapshot), source)
