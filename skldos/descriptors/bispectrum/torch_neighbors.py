"""Neighbours of many points in torch: on any device, and on a GPU without synchronisation."""

import numpy as np
import torch

from skldos.geometry.cell import plane_spacings, volume
from skldos.geometry.neighbors import SAME_SITE, periodic_images


def visible_images(positions, cell, r_cut):
    """All images of the atoms within the cutoff of the cell: their atoms and positions."""
    atoms, shifts = periodic_images(
        positions.detach().double().cpu().numpy(), cell.detach().double().cpu().numpy(), r_cut
    )
    atoms = torch.as_tensor(atoms, device=positions.device)
    shifts = torch.as_tensor(shifts, dtype=cell.dtype, device=cell.device)
    return atoms, positions[atoms] + shifts @ cell


def padded_neighbors(points, images, r_cut):
    """List the images around each point, padded to the longest list, and which entries are valid.

    Indices of shape (n_points, n_most), zero where there is no neighbour any more.
    """
    near = torch.ones(len(images), dtype=torch.bool, device=images.device)
    for x in range(3):
        low, high = points[:, x].min() - r_cut, points[:, x].max() + r_cut
        near &= (images[:, x] >= low) & (images[:, x] <= high)
    near = near.nonzero()[:, 0]
    r2 = sum((points[:, None, x] - images[near, x]) ** 2 for x in range(3))
    point, image = ((r2 < r_cut**2) & (r2 > SAME_SITE)).nonzero(as_tuple=True)
    counts = torch.bincount(point, minlength=len(points))
    first = torch.cumsum(counts, 0) - counts
    slot = torch.arange(len(point), device=point.device) - first[point]
    most = max(1, int(counts.max()))
    neighbor = torch.zeros(len(points), most, dtype=torch.long, device=point.device)
    valid = torch.zeros_like(neighbor, dtype=torch.bool)
    neighbor[point, slot] = near[image]
    valid[point, slot] = True
    return neighbor, valid


class BinnedNeighbors:
    """Images of atoms in bins that are at least as wide as the cutoff.

    A point looks through the 27 bins around its own. Nothing of what it finds is read by the host:
    lists have a fixed length, and the longest that was needed is noted on the device, to be asked
    for by :attr:`longest` when all points are through.

    Parameters
    ----------
    images : Tensor of shape (n_images, 3)
        All images within the cutoff of the cell, in Å.
    cell : Tensor of shape (3, 3)
        Lattice vectors as rows, in Å.
    r_cut : float
        In Å.
    n_atoms : int
        Atoms in the cell, from whose density the length of the lists is estimated.

    Attributes
    ----------
    room : int
        Length of the lists. Set it to :attr:`longest` and begin again where that was more.
    """

    def __init__(self, images, cell, r_cut, n_atoms):
        lattice = cell.cpu().numpy()
        reach = r_cut / plane_spacings(lattice)
        # From -reach to 1 + reach.
        shape = np.floor((1 + 2 * reach) / reach).astype(int)
        like = {"dtype": cell.dtype, "device": cell.device}
        self._reach = torch.as_tensor(reach, **like)
        self._width = torch.as_tensor((1 + 2 * reach) / shape, **like)
        self._shape = torch.as_tensor(shape, device=cell.device)
        self._inverse = torch.linalg.inv(cell)
        index = self._bin(images)
        flat = (index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2]
        self._order = torch.argsort(flat)
        counts = torch.bincount(flat, minlength=int(shape.prod()))
        self._first = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        # Largest number of atoms in three adjacent bins.
        three = counts.reshape(tuple(shape)).cumsum(2)
        three[..., 3:] = three[..., 3:] - three[..., :-3].clone()
        self._run = torch.arange(int(three.max()) if len(images) else 0, device=cell.device)
        mean = n_atoms / volume(lattice) * 4 / 3 * np.pi * r_cut**3
        self.room = int(1.5 * mean) + 16
        self._longest = torch.zeros((), dtype=torch.int64, device=cell.device)
        steps = torch.arange(-1, 2, device=cell.device)
        self._steps = torch.cartesian_prod(steps, steps)

    @property
    def longest(self):
        """Length of the longest list so far; waits for the device."""
        return int(self._longest)

    def __call__(self, points, images, r_cut):
        """List the images around each point as :func:`padded_neighbors`, padded to :attr:`room`."""
        own = self._bin(points)
        xy = own[:, None, :2] + self._steps
        inside = ((xy >= 0) & (xy < self._shape[:2])).all(-1)
        xy = torch.minimum(xy.clamp(min=0), self._shape[:2] - 1)
        row = (xy[..., 0] * self._shape[1] + xy[..., 1]) * self._shape[2]
        low = (own[:, None, 2] - 1).clamp(min=0)
        high = torch.minimum(own[:, None, 2] + 1, self._shape[2] - 1)
        start, stop = self._first[row + low], self._first[row + high + 1]
        # Candidates [point, row of bins, place in the run]
        place = start[..., None] + self._run
        valid = inside[..., None] & (place < stop[..., None])
        image = self._order[place.clamp(max=len(images) - 1)].flatten(1)
        r2 = (images[image] - points[:, None]).square().sum(-1)
        valid = valid.flatten(1) & (r2 < r_cut**2) & (r2 > SAME_SITE)
        # Valid neighbours move to the front; those that do not fit go to a last place, which is cut
        # off.
        slot = torch.where(valid, valid.cumsum(1) - 1, self.room).clamp(max=self.room)
        neighbor = image.new_zeros((len(points), self.room + 1)).scatter_(1, slot, image)
        counts = valid.sum(1)
        self._longest = torch.maximum(self._longest, counts.max())
        places = torch.arange(self.room, device=points.device)
        valid = places < counts[:, None]
        return torch.where(valid, neighbor[:, : self.room], 0), valid

    def _bin(self, points):
        """Return the indices of the bins of some points along each axis."""
        index = torch.floor((points @ self._inverse + self._reach) / self._width).long()
        return torch.minimum(index.clamp(min=0), self._shape - 1)
