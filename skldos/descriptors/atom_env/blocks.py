"""The neighbours of atoms, and a lazy block of their environments in any frame."""

from typing import NamedTuple

import numpy as np

from skldos.data import LazyArray
from skldos.geometry import bin_neighbors, find_neighbors
from skldos.validation import check_finite

#: Largest allowed deviation of a rotation from orthogonality.
ORTHOGONALITY_TOLERANCE = 1e-6


class Neighbors(NamedTuple):
    """The neighbours of several atoms, including periodic images, atom by atom.

    Attributes
    ----------
    first : ndarray of shape (n_atoms + 1,)
        Index of the first neighbour of each atom.
    vectors : ndarray of shape (n_neighbors, 3)
        From the atoms to their neighbours, in Å.
    atoms : ndarray of shape (n_neighbors,)
        The atom of each neighbour, or the atom it is an image of.
    channels : ndarray of shape (n_neighbors,)
        Channel of each neighbour.
    weights : ndarray of shape (n_neighbors,)
        Weight of each neighbour.
    """

    first: np.ndarray
    vectors: np.ndarray
    atoms: np.ndarray
    channels: np.ndarray
    weights: np.ndarray

    @property
    def n_atoms(self):
        """Number of central atoms."""
        return len(self.first) - 1

    @property
    def arrays(self):
        """The arguments of the compiled functions."""
        return self.first, self.vectors, self.channels, self.weights

    def __getitem__(self, atoms):
        """Return the neighbours of a slice of atoms."""
        start, stop, _ = atoms.indices(self.n_atoms)
        stop = max(start, stop)
        bounds = self.first[start : stop + 1]
        arrays = self.vectors, self.atoms, self.channels, self.weights
        arrays = (array[bounds[0] : bounds[-1]] for array in arrays)
        return Neighbors(bounds - bounds[0], *arrays)

    def rotated(self, rotations):
        """Return the neighbours after rotations (n_atoms, 3, 3) of each atom's surroundings."""
        matrices = np.repeat(rotations, np.diff(self.first), axis=0)
        return self._replace(vectors=np.einsum("kab,kb->ka", matrices, self.vectors))


def find_environment(positions, cell, r_cut, channels, weights, start=0, stop=None):
    """Find the neighbours of atoms `start` to `stop`, with their channels and weights.

    Atoms may lie outside the cell, and the cutoff may exceed it.
    """
    bins = bin_neighbors(positions, cell, r_cut)
    neighbors = [find_neighbors(point, bins) for point in positions[start:stop]]
    first = np.concatenate([[0], np.cumsum([len(atoms) for atoms, _ in neighbors], dtype=np.int64)])
    atoms = np.concatenate([np.empty(0, np.int64), *(atoms for atoms, _ in neighbors)])
    vectors = np.concatenate([np.empty((0, 3)), *(vectors for _, vectors in neighbors)])
    return Neighbors(first, vectors, atoms, channels[atoms], weights[atoms])


class Environments(LazyArray):
    """A block of environments that is computed when read, and can be rotated.

    It holds the neighbours, which take a fraction of the memory of the environments.

    Parameters
    ----------
    neighbors : Neighbors
        The neighbours of the atoms of a snapshot.
    spheres : ConcentricSpheres
        The spheres on which they are counted.
    n_channels : int
        Number of channels.
    own : ndarray of shape (n_atoms, n_channels), optional
        Contribution of the atoms themselves to every vertex of the innermost sphere.
    dtype : str
        Precision.
    n_threads : int, optional
        Number of threads; by default as many as Numba would use.

    Attributes
    ----------
    shape : tuple of int
        ``(n_atoms, n_spheres, n_vertices)``, or ``(n_atoms, n_channels, n_spheres, n_vertices)``
        if there are several channels.
    """

    def __init__(self, neighbors, spheres, n_channels, own=None, dtype="float32", n_threads=None):
        self._neighbors = neighbors
        self._spheres = spheres
        self._n_channels = n_channels
        self._own = own
        self._n_threads = n_threads
        self._rotations = None
        channels = (n_channels,) if n_channels > 1 else ()
        self.shape = (neighbors.n_atoms, *channels, *spheres.shape)
        self.dtype = np.dtype(dtype)

    def rotated(self, rotations):
        """Return the block of the environments after a rotation of the atoms' surroundings.

        Parameters
        ----------
        rotations : array-like of shape (3, 3) or (n_atoms, 3, 3)
            One matrix for all atoms or one for each, acting on column vectors.

        Returns
        -------
        Environments
            As lazy as this one.

        Examples
        --------
        >>> from ase.build import bulk
        >>> from scipy.spatial.transform import Rotation
        >>> from skldos.descriptors.atom_env import AtomEnvTransformer
        >>> transformer = AtomEnvTransformer(n_spheres=4, subdivisions=1, r_cut=3.0)
        >>> block = transformer.fit([bulk("Al")]).transform_lazy([bulk("Al")])[0]
        >>> turned = block.rotated(Rotation.from_euler("z", 30, degrees=True).as_matrix())
        >>> bool(np.allclose(turned, block)), bool(np.isclose(turned[0].sum(), block[0].sum()))
        (False, True)
        """
        rotated = Environments(
            self._neighbors, self._spheres, self._n_channels, self._own, self.dtype, self._n_threads
        )
        matrices = check_rotations(rotations)
        if matrices.ndim == 3 and len(matrices) != len(self):
            raise ValueError(
                f"rotations must be one matrix for all {len(self)} atoms or one for each, got "
                f"{len(matrices)}."
            )
        matrices = np.broadcast_to(matrices, (len(self), 3, 3))
        rotated._rotations = matrices if self._rotations is None else matrices @ self._rotations
        return rotated

    def read(self, start, stop):
        """Return the environments of atoms `start` to `stop` as an array in memory."""
        stop = min(stop, len(self))
        neighbors = self._neighbors[start:stop]
        if self._rotations is not None:
            neighbors = neighbors.rotated(self._rotations[start:stop])
        rows = self._spheres.count(neighbors, self._n_channels, self.dtype, self._n_threads)
        if self._own is not None:
            rows[:, :, 0] += self._own[start:stop, :, None]
        return rows.reshape(len(rows), *self.shape[1:])

    def pullback(self, sensitivity):
        """Return the derivatives of a scalar with respect to the vectors to the neighbours.

        Parameters
        ----------
        sensitivity : array-like
            Its derivatives with respect to this block, of the same shape.

        Returns
        -------
        neighbors : Neighbors
            The neighbours, unrotated.
        gradient : ndarray of shape (n_neighbors, 3)
            Derivatives with respect to their vectors, per Å.
        """
        sensitivity = np.ascontiguousarray(sensitivity, dtype=np.float64)
        if sensitivity.shape != self.shape:
            raise ValueError(f"sensitivity must have shape {self.shape}, got {sensitivity.shape}.")
        check_finite("sensitivity", sensitivity)
        sensitivity = sensitivity.reshape(len(self), self._n_channels, *self._spheres.shape)
        if self._rotations is None:
            gradient = self._spheres.pullback(self._neighbors, sensitivity, self._n_threads)
            return self._neighbors, gradient
        rotated = self._neighbors.rotated(self._rotations)
        gradient = self._spheres.pullback(rotated, sensitivity, self._n_threads)
        back = self._rotations.transpose(0, 2, 1)
        return self._neighbors, rotated._replace(vectors=gradient).rotated(back).vectors


def check_rotations(rotations):
    """Return matrices as float64 after checking that they are orthogonal, (3, 3) or (n, 3, 3).

    Reflections pass: they are as good for an environment.
    """
    matrices = np.asarray(rotations, dtype=np.float64)
    if matrices.ndim not in (2, 3) or matrices.shape[-2:] != (3, 3):
        raise ValueError(f"rotations must have shape (3, 3) or (any, 3, 3), got {matrices.shape}.")
    check_finite("rotations", matrices)
    error = np.abs(matrices @ np.swapaxes(matrices, -1, -2) - np.eye(3)).max(initial=0)
    if error > ORTHOGONALITY_TOLERANCE:
        raise ValueError(f"rotations must be orthogonal, got an error of R Rᵀ of {error:.2g}.")
    return matrices
