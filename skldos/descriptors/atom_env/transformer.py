"""The environment of every atom on concentric spheres."""

import numpy as np

from skldos.descriptors._parameters import PARAMETERS
from skldos.descriptors.atom_env.blocks import Environments, check_rotations, find_environment
from skldos.descriptors.atom_env.spheres import ConcentricSpheres
from skldos.descriptors.base import SnapshotTransformer
from skldos.descriptors.elements import by_atom, check_by_element, check_elements
from skldos.descriptors.set_output import output_container
from skldos.docstrings import documented
from skldos.validation import check_option
from skldos.workers import check_n_jobs, n_threads


@documented(PARAMETERS)
class AtomEnvTransformer(SnapshotTransformer):
    r"""Neighbours of every atom on concentric spheres, for spherical neural networks.

    Around each atom lie `n_spheres` shells of equal width between `r_min` and `r_cut`, each with
    the vertices of an icosphere. A neighbour at distance *d* in direction *n* adds

    .. math:: f(d)\, B_s(d)\, w_v(n)

    to vertex *v* of sphere *s*. With ``"nearest"`` assignment, as in Ref. [1]_, the whole
    contribution goes to the vertex nearest to *n* on the sphere whose shell contains *d*, so the
    environment jumps when an atom crosses to another vertex or shell. With ``"smooth"`` assignment,
    *B* and *w* share it among nearby spheres and vertices, with weights that sum to one, and *f*
    fades out at the cutoff: the environment then has two continuous derivatives with respect to
    the positions.

    All periodic images count, the cutoff may exceed the cell, and the 60 rotations of the
    icosahedron permute the vertices.

    Parameters
    ----------
    n_spheres : int, default=16
        Number of spheres.
    subdivisions : int, default=3
        Level of the icosphere: 0 to 3 give 12, 42, 162 and 642 vertices.
    r_min : float, default=2.0
        Inner radius of the innermost shell, in Å. Closer atoms count on the innermost sphere.
    r_cut : float, default=7.0
        Cutoff radius in Å.
    radial : {"inverse_square", "inverse", "gaussian"}, default="inverse_square"
        Radial weight of a neighbour: 1/d², 1/d, or :math:`e^{-\gamma d^2}`, 0.01 at the cutoff.
    assignment : {"nearest", "smooth"}, default="nearest"
        How neighbours are assigned to spheres and vertices.
    reach : float, default=2.0
        Angle within which a neighbour counts on vertices with smooth assignment, in units of the
        vertex spacing (8.6° for 642 vertices); at least 1.
    fade : float, default=1.0
        Length in Å over which neighbours fade out below the cutoff, with smooth assignment.
    weights : dict of str to float, optional
        Weight of each element, such as ``{"Na": 1.0, "Cl": 0.6}``, in one channel for all. By
        default each element has a channel of its own.
    center : bool, default=False
        Whether an atom counts in its own environment: 1 in the channel of its element, or its
        weight, evenly over the innermost sphere. This distinguishes the elements at the centre.
    lazy : bool, default=False
        Whether :meth:`transform` returns lazy :class:`~skldos.descriptors.atom_env.Environments`,
        which hold only the neighbours and can be rotated; not with `memory`.
    dtype : {"float64", "float32"}, default="float32"
        Precision of the result; sums are taken in double precision.
    %(n_jobs)s
    %(memory)s
    %(verbose)s

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

    computing_parameters = (*SnapshotTransformer.computing_parameters, "lazy")
    rotation_invariant = False

    def __init__(
        self,
        n_spheres=16,
        subdivisions=3,
        r_min=2.0,
        r_cut=7.0,
        radial="inverse_square",
        assignment="nearest",
        reach=2.0,
        fade=1.0,
        weights=None,
        center=False,
        lazy=False,
        *,
        dtype="float32",
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        self.n_spheres = n_spheres
        self.subdivisions = subdivisions
        self.r_min = r_min
        self.r_cut = r_cut
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
            One block per snapshot, with the shape given in the notes of the class: an array, an
            :class:`~skldos.ArrayFile` if `memory` is set, lazy if `lazy` is set, or a DataFrame
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
            Orthogonal matrices, acting on column vectors, that rotate the surroundings of every
            atom; None does not rotate them.

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
        for environments, matrix in zip(out, matrices, strict=True):
            environments[:] = block.rotated(matrix)
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
            The rotations of the environments, if any.

        Returns
        -------
        %(by_positions)s
        %(by_strain)s
            It is symmetric only if A is invariant under rotations.

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
        # Each vector points from a central atom to a neighbour.
        centers = np.repeat(np.arange(len(block)), np.diff(neighbors.first))
        np.subtract.at(by_positions, centers, gradient)
        return by_positions, neighbors.vectors.T @ gradient

    def derivatives(self, snapshot):
        """Return the derivatives of every feature, summed over the atoms; see the base class."""
        if self.assignment == "nearest":
            raise NotImplementedError('the environment has no derivatives by assignment="nearest".')
        return super().derivatives(snapshot)

    @property
    def spheres(self):
        """The spheres that the parameters describe, a ConcentricSpheres."""
        names = ("n_spheres", "subdivisions", "r_min", "r_cut", "radial", "assignment")
        return ConcentricSpheres(*(getattr(self, name) for name in (*names, "reach", "fade")))

    def check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""
        super().check_parameters()
        check_n_jobs(self.n_jobs, "threads")
        check_by_element("weights", self.weights)
        self.spheres  # noqa: B018 (checks its parameters)
        check_option("center", self.center, (True, False))
        check_option("lazy", self.lazy, (True, False))
        if self.lazy and self.memory is not None:
            raise ValueError(f"memory must be None if lazy is set, got {self.memory!r}.")

    def check_snapshot(self, snapshot):
        """Raise an error for an unknown element, or one without a weight."""
        super().check_snapshot(snapshot)
        check_elements("weights", self.weights, snapshot)

    def _n_channels(self):
        return len(self.species_) if self.weights is None else 1

    def feature_names(self):
        """Return one name per vertex of a sphere, with the element where each has a channel."""
        n_spheres, n_vertices = self.spheres.shape
        of_channel = [f"{s}_{v}" for s in range(n_spheres) for v in range(n_vertices)]
        if self._n_channels() == 1:
            return [f"sphere_{name}" for name in of_channel]
        return [f"{symbol}_sphere_{name}" for symbol in self.species_ for name in of_channel]

    def block_shape(self, snapshot):
        """Return the shape of a block: atoms, channels (if several), spheres, vertices."""
        channels = self._n_channels()
        return (
            len(snapshot.atoms),
            *((channels,) if channels > 1 else ()),
            *self.spheres.shape,
        )

    def cache_key(self, snapshot):
        """Return everything the block of `snapshot` depends on."""
        # The channels depend on the elements seen in fit.
        return (*super().cache_key(snapshot), self.species_)

    def _environments(self, snapshot, start=0, stop=None):
        """Return the lazy block of a snapshot, or that of the atoms `start` to `stop`."""
        atoms, n_channels = self._checked(snapshot).atoms, self._n_channels()
        channels, weights = np.zeros(len(atoms), np.int64), np.ones(len(atoms))
        if self.weights is not None:
            weights = by_atom(self.weights, atoms)
        elif n_channels > 1:
            channels = np.array([self.species_.index(symbol) for symbol in atoms.symbols])
        spheres = self.spheres
        neighbors = find_environment(
            atoms.positions, atoms.cell.array, spheres.r_cut, channels, weights, start, stop
        )
        own = None
        if self.center:
            own = weights[:, None] * (channels[:, None] == np.arange(n_channels))
            own = own[start:stop] / spheres.mesh.n_vertices
        return Environments(neighbors, spheres, n_channels, own, self.dtype, n_threads(self.n_jobs))

    def compute(self, snapshot, start, stop):
        """Compute the environments of atoms `start` to `stop`."""
        return np.asarray(self._environments(snapshot, start, stop))

    def _lazy_block(self, snapshot):
        return self._environments(snapshot)

    def _wrap(self, block):
        if output_container(self) == "default":
            return block
        # A table has one row per atom.
        return super()._wrap(np.asarray(block).reshape(len(block), -1))
