"""Bispectrum transformers, on the points of a grid and on atoms."""

import warnings

import numpy as np

from skldos._validation import check_device, check_option, check_scalar
from skldos.descriptors._base import SnapshotTransformer, n_threads
from skldos.descriptors.bispectrum import (
    component_names,
    grid_bispectrum,
    grid_bispectrum_adjoint,
    point_bispectrum,
)


class _SNAPTransformer(SnapshotTransformer):
    """What the bispectrum on grids and on atoms have in common."""

    def __init__(
        self,
        rcut=4.67637,
        twojmax=10,
        rfac0=0.99363,
        rmin0=0.0,
        switch=True,
        weights=None,
        dtype="float64",
        device="cpu",
        n_jobs=None,
        memory=None,
        verbose=False,
        radii=None,
    ):
        self.rcut = rcut
        self.twojmax = twojmax
        self.rfac0 = rfac0
        self.rmin0 = rmin0
        self.switch = switch
        self.weights = weights
        self.dtype = dtype
        self.device = device
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose
        self.radii = radii

    def _learn_species(self, snapshots):
        species = super()._learn_species(snapshots)
        if self.weights is None and len(species) > 1:
            warnings.warn(
                f"{' and '.join(species)} look alike to {type(self).__name__} without weights; "
                "set the parameter weights, such as "
                f"{dict(zip(species, (1.0, 0.6, 0.3), strict=False))}, to tell them apart.",
                UserWarning,
                stacklevel=3,
            )
        return species

    def _check_parameters(self):
        super()._check_parameters()
        check_scalar("rmin0", self.rmin0, low=0)
        check_scalar("rcut", self.rcut, low=self.rmin0, strict=True)
        for symbol, radius in (self.radii or {}).items():
            check_scalar(f"radii[{symbol!r}]", radius, low=0, strict=True)
        if self.radii is not None and self.rmin0 != 0:
            raise ValueError(f"radii needs rmin0=0, got rmin0={self.rmin0}.")
        check_scalar("twojmax", self.twojmax, low=0, integer=True)
        check_scalar("rfac0", self.rfac0, low=0, high=1, strict=True)
        check_option("switch", self.switch, (True, False))
        check_device("device", self.device)

    def _feature_names(self):
        return component_names(self.twojmax)

    def _atom_weights(self, atoms):
        """Return the weight of every atom."""
        return np.ones(len(atoms)) if self.weights is None else _by_atom(self.weights, atoms)

    def _atom_radii(self, atoms):
        """Return the cutoff of every atom in units of `rcut`, or None."""
        return None if self.radii is None else _by_atom(self.radii, atoms)

    def _options(self):
        return {
            "twojmax": self.twojmax,
            "rcut": self.rcut,
            "rfac0": self.rfac0,
            "rmin0": self.rmin0,
            "switch": self.switch,
            "dtype": self.dtype,
            "device": self.device,
            "n_threads": n_threads(self.n_jobs),
        }


def _by_atom(by_element, atoms):
    return np.array([by_element[symbol] for symbol in atoms.symbols], dtype=float)


class GridSNAPTransformer(_SNAPTransformer):
    r"""Bispectrum components of the atoms around every grid point (LAMMPS ``sna/grid``).

    The neighbour density of a grid point is mapped onto the 3-sphere and expanded in Wigner
    functions; invariant triple products of the coefficients,

    .. math:: B_{j_1 j_2 j} = \sum U^{j *}_{m m'} \,
              (C^{j m}_{j_1 m_1 j_2 m_2} C^{j m'}_{j_1 m_1' j_2 m_2'})
              U^{j_1}_{m_1 m_1'} U^{j_2}_{m_2 m_2'},

    describe it up to rotations [1]_ [2]_. Any cell, any number of elements.

    Parameters
    ----------
    rcut : float, default=4.67637
        Cutoff radius in Å.
    twojmax : int, default=10
        Twice the largest angular momentum of the expansion; 10 gives 91 features.
    rfac0 : float, default=0.99363
        Fraction of the 3-sphere that distances up to the cutoff cover.
    rmin0 : float, default=0.0
        Distance in Å below which neighbours count fully.
    switch : bool, default=True
        Whether neighbours fade out smoothly towards the cutoff.
    weights : dict of str to float, optional
        Weight of each element in the neighbour density, such as ``{"Na": 1.0, "Cl": 0.6}``;
        1 for all by default, which does not tell elements apart.
    grid_shape : tuple of 3 int, optional
        Points along each cell vector, for snapshots without a grid; by default those of each
        snapshot.
    dtype : {"float64", "float32"}, default="float64"
        Precision of computation and result.
    device : str, default="cpu"
        ``"cpu"`` for the compiled kernel, ``"cuda"`` for the graphics card.
    n_jobs : int, optional
        Number of threads; None uses all that this process may use.
    memory : str, path-like or joblib.Memory, optional
        Folder in which blocks are kept; they come back as lazy handles, and are found again
        by later calls, other folds and other processes.
    verbose : bool, default=False
        Whether to show a progress bar.
    radii : dict of str to float, optional
        Cutoff of each element in units of `rcut`, such as ``{"Si": 1.0, "O": 0.8}``; 1 for all by
        default. A point sees an atom of the element up to there. Twice LAMMPS's radius of an
        element; needs ``rmin0=0``.

    Attributes
    ----------
    species_ : list of str
        Elements seen in ``fit``.
    n_features_out_ : int
        Number of components.
    grid_spacing_ : ndarray of shape (3,)
        Finest spacing in Å of the grids seen in ``fit``, along each cell vector.

    See Also
    --------
    AtomSNAPTransformer : The same around atoms.

    References
    ----------
    .. [1] A. P. Bartók, M. C. Payne, R. Kondor, G. Csányi, "Gaussian approximation
       potentials", Phys. Rev. Lett. 104, 136403 (2010).
    .. [2] A. P. Thompson et al., "Spectral neighbor analysis method for automated generation
       of quantum-accurate interatomic potentials", J. Comput. Phys. 285, 316 (2015).

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos import GridSNAPTransformer
    >>> snap = GridSNAPTransformer(twojmax=4, grid_shape=(6, 6, 6))
    >>> snap.fit_transform([bulk("Al", cubic=True)])[0].shape
    (216, 14)
    """

    _sites_on_grid = True

    def __init__(
        self,
        rcut=4.67637,
        twojmax=10,
        rfac0=0.99363,
        rmin0=0.0,
        switch=True,
        weights=None,
        grid_shape=None,
        dtype="float64",
        device="cpu",
        n_jobs=None,
        memory=None,
        verbose=False,
        radii=None,
    ):
        same = rcut, twojmax, rfac0, rmin0, switch, weights, dtype, device, n_jobs, memory
        super().__init__(*same, verbose, radii)
        self.grid_shape = grid_shape

    def _compute(self, snapshot, start, stop):
        atoms = snapshot.atoms
        return grid_bispectrum(
            atoms.positions,
            self._atom_weights(atoms),
            atoms.cell.array,
            self._grid(snapshot),
            start=start,
            stop=stop,
            radii=self._atom_radii(atoms),
            **self._options(),
        )

    def pullback(self, snapshot, sensitivity, start=0, stop=None):
        r"""Return derivatives of a scalar A, given those with respect to the descriptors.

        .. math:: \frac{\partial A}{\partial R_i} = \sum_{r, k}
                  \frac{\partial A}{\partial B_k(r)} \frac{\partial B_k(r)}{\partial R_i}

        Parameters
        ----------
        snapshot : Snapshot
            The atoms, on the grid.
        sensitivity : array-like of shape (stop - start, n_features)
            :math:`\partial A / \partial B_k(r)` at grid points `start` to `stop`.
        start, stop : int, optional
            Slice of the flattened grid; all of it by default.

        Returns
        -------
        by_positions : ndarray of shape (n_atoms, 3)
            The derivative with respect to the positions, per Å.
        by_strain : ndarray of shape (3, 3)
            That with respect to a strain ε which takes every vector x, a row, to x (1 + ε), the
            grid moving along.
        """
        atoms = snapshot.atoms
        return grid_bispectrum_adjoint(
            atoms.positions,
            self._atom_weights(atoms),
            atoms.cell.array,
            self._grid(snapshot),
            sensitivity,
            start=start,
            stop=stop,
            radii=self._atom_radii(atoms),
            **self._options(),
        )


class AtomSNAPTransformer(_SNAPTransformer):
    """Bispectrum components of the neighbours of every atom (LAMMPS ``sna/atom``).

    The same features as :class:`GridSNAPTransformer`, which states the formulas, centred on
    the atoms; the atom itself is not among its neighbours.

    Parameters
    ----------
    rcut : float, default=4.67637
        Cutoff radius in Å.
    twojmax : int, default=10
        Twice the largest angular momentum of the expansion; 10 gives 91 features.
    rfac0 : float, default=0.99363
        Fraction of the 3-sphere that distances up to the cutoff cover.
    rmin0 : float, default=0.0
        Distance in Å below which neighbours count fully.
    switch : bool, default=True
        Whether neighbours fade out smoothly towards the cutoff.
    weights : dict of str to float, optional
        Weight of each element in the neighbour density, such as ``{"Na": 1.0, "Cl": 0.6}``;
        1 for all by default, which does not tell elements apart.
    dtype : {"float64", "float32"}, default="float64"
        Precision of computation and result.
    device : str, default="cpu"
        ``"cpu"`` for the compiled kernel, ``"cuda"`` for the graphics card.
    n_jobs : int, optional
        Number of threads; None uses all that this process may use.
    memory : str, path-like or joblib.Memory, optional
        Folder in which blocks are kept.
    verbose : bool, default=False
        Whether to show a progress bar.
    radii : dict of str to float, optional
        Cutoff of each element in units of `rcut`, such as ``{"Si": 1.0, "O": 0.8}``; 1 for all by
        default. Two atoms see each other up to the mean of theirs. Twice LAMMPS's radius of an
        element; needs ``rmin0=0``.

    Attributes
    ----------
    species_ : list of str
        Elements seen in ``fit``.
    n_features_out_ : int
        Number of components.

    See Also
    --------
    GridSNAPTransformer : The same on the points of a grid.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos import AtomSNAPTransformer
    >>> AtomSNAPTransformer(twojmax=4).fit_transform([bulk("Al", cubic=True)])[0].shape
    (4, 14)
    """

    def _compute(self, snapshot, start, stop):
        atoms = snapshot.atoms
        radii = self._atom_radii(atoms)
        return point_bispectrum(
            atoms.positions[start:stop],
            atoms.positions,
            self._atom_weights(atoms),
            atoms.cell.array,
            radii=radii,
            point_radii=None if radii is None else radii[start:stop],
            **self._options(),
        )
