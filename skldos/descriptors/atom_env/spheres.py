"""Concentric spheres: how the neighbours of an atom are assigned and weighted."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skldos.compilation import check_threads, in_threads
from skldos.geometry.sphere import MAX_SUBDIVISIONS, icosphere
from skldos.validation import check_option, check_scalar

#: Largest number of spheres.
MAX_SPHERES = 10_000
#: The exponent n of a radial part 1/d^n; 0 stands for the gaussian.
RADIAL = {"inverse_square": 2, "inverse": 1, "gaussian": 0}
ASSIGNMENTS = ("nearest", "smooth")
#: Value of the gaussian at the cutoff.
GAUSSIAN_AT_CUTOFF = 0.01


@dataclass(frozen=True)
class ConcentricSpheres:
    """Spheres with the vertices of an icosphere, and the assignment of neighbours to them.

    Parameters
    ----------
    n_spheres, subdivisions, r_min, r_cut, radial, assignment, reach, fade
        As in :class:`~skldos.AtomEnvTransformer`.
    """

    n_spheres: int
    subdivisions: int
    r_min: float
    r_cut: float
    radial: str
    assignment: str
    reach: float
    fade: float

    def __post_init__(self):
        check_scalar("n_spheres", self.n_spheres, low=1, high=MAX_SPHERES, integer=True)
        check_scalar("subdivisions", self.subdivisions, low=0, high=MAX_SUBDIVISIONS, integer=True)
        check_scalar("r_min", self.r_min, low=0)
        check_scalar("r_cut", self.r_cut, low=self.r_min, strict=True)
        check_option("radial", self.radial, tuple(RADIAL))
        check_option("assignment", self.assignment, ASSIGNMENTS)
        check_scalar("reach", self.reach, low=1)
        check_scalar("fade", self.fade, low=0, high=self.r_cut, strict=True)

    @property
    def mesh(self):
        """The icosphere."""
        return icosphere(self.subdivisions)

    @property
    def radii(self):
        """Radii of the spheres in Å, the middles of the shells."""
        width = (self.r_cut - self.r_min) / self.n_spheres
        return self.r_min + width * (0.5 + np.arange(self.n_spheres))

    @property
    def shape(self):
        """Number of spheres and of vertices."""
        return (self.n_spheres, self.mesh.n_vertices)

    def count(self, neighbors, n_channels, dtype, n_threads=None):
        """Compute the environments of atoms, (n_atoms, n_channels, n_spheres, n_vertices).

        They are in 1/Å², in 1/Å, or dimensionless, as `radial` says.
        """
        from skldos.descriptors.atom_env.kernel import add_nearest, add_smooth

        out = np.empty((neighbors.n_atoms, n_channels, *self.shape), dtype)
        smooth = self.assignment == "smooth"
        kernel = add_smooth if smooth else add_nearest
        parameters = self._parameters() if smooth else self._parameters()[:5]

        def compute(atoms):
            kernel(*neighbors[atoms].arrays, *parameters, out[atoms])

        _by_slices(compute, neighbors.n_atoms, n_threads)
        return out

    def pullback(self, neighbors, sensitivity, n_threads=None):
        """Convert derivatives by environments to those by the vectors to the neighbours, per Å."""
        from skldos.descriptors.atom_env.kernel import pull_back

        if self.assignment != "smooth":
            raise ValueError(
                f"assignment must be 'smooth' for derivatives, got {self.assignment!r}."
            )
        gradient = np.empty_like(neighbors.vectors)

        def compute(atoms):
            vectors = slice(neighbors.first[atoms.start], neighbors.first[atoms.stop])
            arrays = neighbors[atoms].arrays
            pull_back(*arrays, *self._parameters(), sensitivity[atoms], gradient[vectors])

        _by_slices(compute, neighbors.n_atoms, n_threads)
        return gradient

    def _parameters(self):
        """Return the arguments of the compiled functions, in order."""
        r_min, r_cut = float(self.r_min), float(self.r_cut)
        decay = -np.log(GAUSSIAN_AT_CUTOFF) / r_cut**2
        common = (self.mesh.vertices, r_min, r_cut, RADIAL[self.radial], decay)
        return (*common, float(self.fade), self.mesh.edge_cosine(self.reach))


def _by_slices(compute, n_atoms, n_threads):
    """Call ``compute(slice)`` for slices of atoms, each in its own thread."""
    n_threads = check_threads(n_threads)
    bounds = np.linspace(0, n_atoms, max(1, min(n_threads, n_atoms)) + 1).astype(int).tolist()
    for _ in in_threads(compute, [slice(*ends) for ends in pairwise(bounds)], n_threads):
        pass
