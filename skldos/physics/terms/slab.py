r"""The Coulomb interaction cut off between a slab and its images, pw.x's ``assume_isolated='2D'``.

The third cell vector, of length L, is normal to the other two. Charges interact only up to a
distance of L/2 along it [1]_. The waves of 1/r are then

.. math:: \frac{4\pi}{G^2} \to \frac{4\pi}{G^2}
          \Big[ 1 - e^{-G_\parallel L/2} \cos(G_\perp L/2) \Big] ,

with the components of G parallel and normal to the slab. As long as the charges of the slab lie
within L/2 of each other, its images do not act on it, and a dipole of the slab causes no field. All
terms leave out the wave G = 0, as in three dimensions.

References
----------
.. [1] T. Sohier, M. Calandra, F. Mauri, "Density functional perturbation theory for gated
   two-dimensional heterostructures", Phys. Rev. B 96, 075448 (2017).
"""

import torch

from skldos.validation import check_option

BOUNDARIES = (None, "2D")
#: Tolerance for the cosine of the angle to the normal, for cells rounded in files.
TILT_TOLERANCE = 1e-6


def check_boundary(assume_isolated, cell):
    """Raise a ``ValueError`` unless the boundary conditions are known and fit the cell."""
    check_option("assume_isolated", assume_isolated, BOUNDARIES)
    if assume_isolated is None:
        return
    a, b, c = cell.detach()
    cosines = [abs(v @ c) / (torch.linalg.norm(v) * torch.linalg.norm(c)) for v in (a, b)]
    if max(cosines) > TILT_TOLERANCE:
        raise ValueError(
            "assume_isolated='2D' needs a cell whose third vector is normal to the other two, got "
            f"{cell.detach().tolist()} Å."
        )


def slab_factor(G, cell):
    r"""Return the factor of waves in 1/Å, :math:`1 - e^{-G_\parallel L/2} \cos(G_\perp L/2)`.

    It is between 0 and 2; for waves along the normal 0 or 2, and 0 for G = 0.
    """
    length = torch.linalg.vector_norm(cell[2])
    normal = cell[2] / length
    along = G @ normal
    squared = ((G - along[..., None] * normal) ** 2).sum(-1)
    # The root has no derivative for waves along the normal, to rounding; none is needed there.
    flat = squared <= 1e-24 * (G.detach() ** 2).sum(-1).max()
    parallel = torch.where(flat, 0.0, torch.sqrt(torch.where(flat, 1.0, squared)))
    half = length / 2
    return 1 - torch.exp(-parallel * half) * torch.cos(along * half)
