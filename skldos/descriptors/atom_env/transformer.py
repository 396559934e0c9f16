"""The environment of every atom on concentric spheres."""

import numpy as np

from skldos._compat import output_container
from skldos._validation import check_option
from skldos.data import as_snapshots
from skldos.descriptors._base import SnapshotTransformer, n_threads
from skldos.descriptors.atom_env.blocks import Environments, check_rotations, find_environment
from skldos.descriptors.atom_env.spheres import ConcentricSpheres


class AtomEnvTransformer(SnapshotTransformer):
    r"""Neighbours of every atom on concentric spheres, for spherical neural networks.

    Around each atom lie `n_spheres` shells of equal width between `rmin` and `rcut`, each with
    the vertices of an icosphere. A neighbour at distance *d* in direction *n* adds

    .. math:: f(d)\, B_s(d)\, w_v(n)

    to vertex *v* of sphere *s*. By ``"nearest"`` assignment, that of Ref. [1]_, all of it goes to
    the vertex nearest to *n* on the sphere whose shell holds *d*: the environment jumps when an
    atom crosses from one to the next. By ``"smooth"`` assignment *B* and *w* share it among
    nearby spheres and vertices, in parts that sum to one, and *f* fades out at the cutoff: the
    environment has two continuous derivatives by the positions.

    All periodic images count, the cutoff may exceed the cell, and the 60 rotations of the
    icosahedron permute the vertices.

    Parameters
    ----------
    n_spheres : int, default=16
        Number of spheres.
    subdivisions : int, default=3
        Level of the icosphere: 0 to 3 give 12, 42, 162 and 642 vertices.
    rmin : float, default=2.0
        Where the innermost shell begins, in Å. What is closer counts on the innermost sphere.
    rcut : float, default=7.0
        Cutoff radius in Å.
    radial : {"inverse_square", "inverse", "gaussian"}, default="inverse_square"
        What a neighbour counts: 1/d², 1/d, or :math:`e^{-\gamma d^2}`, 0.01 at the cutoff.
    assignment : {"nearest", "smooth"}, default="nearest"
        How neighbours are assigned to spheres and vertices.
    reach : float, default=2.0
        Angle within which a neighbour counts on vertices by smooth assignment, in units of the
        spacing of the vertices (8.6° for 642 of them); at least 1.
    fade : float, default=1.0
        Length in Å over which neighbours fade out below the cutoff, by smooth assignment.
    weights : dict of str to float, optional
        Weight of each element, such as ``{"Na": 1.0, "Cl": 0.6}``, in one channel for all. By
        default each element has a channel of its own.
    center : bool, default=False
        Whether an atom counts in its own environment: 1 in the channel of its element, or its
        weight, evenly over the innermost sphere. It tells apart what sits at the centre.
    lazy : bool, default=False
        Whether :meth:`transform` returns lazy :class:`~skldos.descriptors.atom_env.Environments`,
        which hold the neighbours alone and can be looked at in rotated frames; not with `memory`.
    dtype : {"float64", "float32"}, default="float32"
        Precision of the result; sums are taken in double precision.
    n_jobs : int, optional
        Number of threads; None uses all that this process may use.
    memory : str, path-like or joblib.Memory, optional
        Folder in which blocks are kept; they come back as lazy handles.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    species_ : list of str
        Elements seen in ``fit``, in the order of the channels.
    n_features_out_ : int
        Number of values per atom: channels × spheres × vertices.

    See Also
    --------
    AtomSNAPTransformer : Invariant descriptors of atoms.

    Notes
    -----
    With `weights`, or one element, blocks have shape ``(n_atoms, n_spheres, n_vertices)``,
    else ``(n_atoms, n_species, n_spheres, n_vertices)``. An atom and its spheres take 41 kB in
    single precision.

    References
    ----------
    .. [1] Fox et al., "Concentric spherical neural network for 3D representation learning",
       International Joint Conference on Neural Networks (2022).

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos.descriptors.atom_env import AtomEnvTransformer
    >>> transformer = AtomEnvTransformer(n_spheres=8, subdivisions=1)
    >>> transformer.fit_transform([bulk("Al", cubic=True)])[0].shape
    (4, 8, 42)
    """

    _not_in_cache_key = (*SnapshotTransformer._not_in_cache_key, "lazy")

    def __init__(
        self,
        n_spheres=16,
        subdivisions=3,
        rmin=2.0,
        rcut=7.0,
        radial="inverse_square",
        assignment="nearest",
        reach=2.0,
        fade=1.0,
        weights=None,
        center=False,
        lazy=False,
        dtype="float32",
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        self.n_spheres = n_spheres
        self.subdivisions = subdivisions
        self.rmin = rmin
        self.rcut = rcut
        self.radial = radial
        self.assignment = assignment
        self.reach = reach
        self.fade = fade
        self.weights = weights
        self.center = center
        self.lazy = lazy
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    def transform(self, X):
        """Compute the environments of the atoms of every snapshot.

        Parameters
        ----------
        X : sequence of Snapshot or ase.Atoms
            The snapshots.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One block per snapshot, of the shape that the notes of the class give: an array, an
            :class:`~skldos.ArrayFile` if `memory` is set, lazy if `lazy` is, or a DataFrame
            of shape (n_atoms, n_features_out) after ``set_output(transform="pandas")``.
        """
        return self.transform_lazy(X) if self.lazy else super().transform(X)

    def environments(self, snapshot, rotations=None):
        """Compute the environments of the atoms of one snapshot in rotated frames.

        Parameters
        ----------
        snapshot : Snapshot or ase.Atoms
            The atoms.
        rotations : array-like of shape (n_rotations, 3, 3), optional
            Orthogonal matrices, acting on column vectors, which turn the surroundings of every
            atom; None leaves them as they are.

        Returns
        -------
        ndarray of shape (n_rotations, n_atoms, ...)
            The environments, without the first axis if there are no rotations.
        """
        block = self._environments(snapshot)
        if rotations is None:
            return np.asarray(block)
        matrices = check_rotations(rotations)
        if matrices.ndim != 3:
            raise ValueError(f"rotations must have shape (any, 3, 3), got {matrices.shape}.")
        out = np.empty((len(matrices), *block.shape), block.dtype)
        for turned, matrix in zip(out, matrices, strict=True):
            turned[:] = block.rotated(matrix)
        return out

    def pullback(self, snapshot, sensitivity, rotations=None):
        r"""Return derivatives of a scalar A, given those with respect to the environments.

        Parameters
        ----------
        snapshot : Snapshot or ase.Atoms
            The atoms.
        sensitivity : array-like of the shape of a block
            :math:`\partial A / \partial E`.
        rotations : array-like of shape (3, 3) or (n_atoms, 3, 3), optional
            Those of the environments, if they were turned.

        Returns
        -------
        by_positions : ndarray of shape (n_atoms, 3)
            The derivative with respect to the positions, per Å.
        by_strain : ndarray of shape (3, 3)
            That with respect to a strain ε which takes every vector x, a row, to x (1 + ε). It
            is symmetric only if A does not change under rotations.

        Raises
        ------
        ValueError
            If `assignment` is ``"nearest"``, which has no derivatives.
        """
        block = self._environments(snapshot)
        block = block if rotations is None else block.rotated(rotations)
        neighbors, gradient = block.pullback(sensitivity)
        by_positions = np.zeros((len(block), 3))
        np.add.at(by_positions, neighbors.atoms, gradient)
        # Each vector ends at a neighbour and begins at its centre.
        centers = np.repeat(np.arange(len(block)), np.diff(neighbors.first))
        np.subtract.at(by_positions, centers, gradient)
        return by_positions, neighbors.vectors.T @ gradient

    @property
    def spheres(self):
        """The spheres that the parameters describe, a ConcentricSpheres."""
        names = ("n_spheres", "subdivisions", "rmin", "rcut", "radial", "assignment")
        return ConcentricSpheres(*(getattr(self, name) for name in (*names, "reach", "fade")))

    def _check_parameters(self):
        super()._check_parameters()
        self.spheres  # noqa: B018 (checks its own)
        check_option("center", self.center, (True, False))
        check_option("lazy", self.lazy, (True, False))
        if self.lazy and self.memory is not None:
            raise ValueError(f"memory must be None if lazy is set, got {self.memory!r}.")

    def _n_channels(self):
        return len(self.species_) if self.weights is None else 1

    def _feature_names(self):
        n_spheres, n_vertices = self.spheres.shape
        of_channel = [f"{s}_{v}" for s in range(n_spheres) for v in range(n_vertices)]
        if self._n_channels() == 1:
            return [f"sphere_{name}" for name in of_channel]
        return [f"{symbol}_sphere_{name}" for symbol in self.species_ for name in of_channel]

    def _shape(self, snapshot):
        channels = self._n_channels()
        return (
            len(snapshot.atoms),
            *((channels,) if channels > 1 else ()),
            *self.spheres.shape,
        )

    def _cache_key(self, snapshot):
        # The channels are those of the elements seen in fit.
        return (*super()._cache_key(snapshot), self.species_)

    def _environments(self, snapshot, start=0, stop=None):
        """Return the lazy block of a snapshot, or that of the atoms `start` to `stop`."""
        (snapshot,) = as_snapshots([snapshot])
        self._fitted_names()
        self._check_snapshot(snapshot)
        atoms, n_channels = snapshot.atoms, self._n_channels()
        channels, weights = np.zeros(len(atoms), np.int64), np.ones(len(atoms))
        if self.weights is not None:
            weights = np.array([self.weights[symbol] for symbol in atoms.symbols], dtype=float)
        elif n_channels > 1:
            channels = np.array([self.species_.index(symbol) for symbol in atoms.symbols])
        spheres = self.spheres
        neighbors = find_environment(
            atoms.positions, atoms.cell.array, spheres.rcut, channels, weights, start, stop
        )
        own = None
        if self.center:
            own = weights[:, None] * (channels[:, None] == np.arange(n_channels))
            own = own[start:stop] / spheres.mesh.n_vertices
        return Environments(neighbors, spheres, n_channels, own, self.dtype, n_threads(self.n_jobs))

    def _compute(self, snapshot, start, stop):
        return np.asarray(self._environments(snapshot, start, stop))

    def _lazy_block(self, snapshot):
        return self._environments(snapshot)

    def _wrap(self, block):
        if output_container(self) != "pandas":
            return block
        # A table has rows: all that belongs to an atom.
        return super()._wrap(np.asarray(block).reshape(len(block), -1))
