"""The atom-decomposed density of states as a transformer."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skldos.data import EnergyGrid, as_snapshots, sum_rows
from skldos.decomposition.partition import Partition, decompose
from skldos.descriptors._base import SnapshotTransformer, n_threads
from skldos.exceptions import SnapshotError


class ADOSDecomposer(SnapshotTransformer):
    r"""Part the LDOS of a snapshot among its atoms.

    Every grid point belongs to the atoms around it by a Gaussian partition of unity over all
    periodic images [1]_,

    .. math::

        D_i(E) = \sum_r w_i(r)\, d(r, E)\, \Delta V, \qquad
        w_i(r) = \frac{\sum_L e^{-|r - R_i - L|^2 / 2\sigma^2}}
                      {\sum_j \sum_L e^{-|r - R_j - L|^2 / 2\sigma^2}},

    so that :math:`\sum_i D_i` is the density of states D. Any cell; far from all atoms the nearest
    ones still share a point. The LDOS is read in slices and summed in double precision, at a cost
    of grid points times neighbours.

    Parameters
    ----------
    sigma : float, default=1.3
        Width of the Gaussians in Å; 1.3 was chosen for aluminium [1]_. Not used by the partition
        "nearest", which is the limit of zero width.
    partition : {"gaussian", "nearest"}, default="gaussian"
        Gaussians on the atoms, or every point to its nearest atom (atoms equally near share it).
    tolerance : float, default=1e-8
        Images of atoms whose weight is less than this part of that of the nearest image are left
        out. The weights add up to one whatever it is.
    dtype : {"float64", "float32"}, default="float64"
        Type of the blocks.
    n_jobs : int, optional
        Number of threads; None uses all that this process may use.
    memory : str, path-like or joblib.Memory, optional
        Folder in which blocks are kept, for other folds and other processes.
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
        """Check the parameters, and that all snapshots have an LDOS at the same energies.

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
        snapshots[0].require("ldos")
        self.energies_ = snapshots[0].energies
        return super().fit(snapshots)

    def inverse_transform(self, X):
        """Return the density of states of every snapshot, the sum over its atoms.

        Parameters
        ----------
        X : Blocks or sequence of array-like of shape (n_atoms, n_features_out)
            Densities of states of atoms in 1/eV, such as a model predicts.

        Returns
        -------
        ndarray of shape (n_snapshots, n_features_out)
            In 1/eV.
        """
        check_is_fitted(self)
        sums = [sum_rows(block) for block in X]
        for i, dos in enumerate(sums):
            if dos.shape != (self.n_features_out_,):
                raise ValueError(
                    f"X must hold blocks of {self.n_features_out_} energies, got {len(dos)} in "
                    f"block {i}."
                )
        return np.stack(sums) if sums else np.empty((0, self.n_features_out_))

    # ---------------------------------------------------------------- of SnapshotTransformer

    def _check_parameters(self):
        super()._check_parameters()
        Partition.of(self.partition, self.sigma, self.tolerance)

    def _check_snapshot(self, snapshot):
        # Other elements than those of the fit are welcome: nothing was learned of them.
        snapshot.require("ldos")
        if not np.array_equal(snapshot.energies, self.energies_):
            raise SnapshotError(
                f"all snapshots must have the energies of the fit, {EnergyGrid(self.energies_)!r}, "
                f"got {snapshot.energy_grid!r} in {snapshot!r}."
            )

    def _compute(self, snapshot, start, stop):
        atoms = snapshot.atoms
        partition = Partition.of(self.partition, self.sigma, self.tolerance)
        block = decompose(
            snapshot.ldos, atoms.positions, atoms.cell.array, partition, n_threads(self.n_jobs)
        )
        if not np.isfinite(block).all():
            raise SnapshotError(f"the LDOS of {snapshot!r} holds NaN or infinite values.")
        return block[start:stop]

    def _chunks(self, snapshot, bar):
        # One pass over the LDOS gives all atoms.
        n_atoms = self._n_sites(snapshot)
        yield 0, n_atoms, self._compute(snapshot, 0, n_atoms)
        bar.update(n_atoms)

    def _feature_names(self):
        return [f"dos_{energy:.9g}" for energy in self.energies_]

    def _cache_key(self, snapshot):
        return (*super()._cache_key(snapshot), snapshot.ldos)
