"""Bispectrum transformers, on the points of a grid and on atoms."""

import warnings
from itertools import product

import numpy as np

from skldos.descriptors._parameters import OF_SNAP
from skldos.descriptors.base import SnapshotTransformer
from skldos.descriptors.bispectrum import (
    component_names,
    grid_bispectrum,
    grid_bispectrum_adjoint,
    point_bispectrum,
    point_bispectrum_adjoint,
)
from skldos.descriptors.bispectrum.arguments import MAX_TWOJMAX
from skldos.descriptors.elements import by_atom, check_by_element, check_elements
from skldos.descriptors.grid import GridTransformer
from skldos.docstrings import documented
from skldos.validation import check_device, check_option, check_scalar
from skldos.workers import check_n_jobs, n_threads


class _SNAPTransformer(SnapshotTransformer):
    """Common code of the bispectrum on grids and on atoms."""

    def __init__(
        self,
        r_cut=4.67637,
        twojmax=10,
        rfac0=0.99363,
        rmin0=0.0,
        switch=True,
        weights=None,
        radii=None,
        *,
        chem=False,
        dtype="float64",
        device="cpu",
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        self.r_cut = r_cut
        self.twojmax = twojmax
        self.rfac0 = rfac0
        self.rmin0 = rmin0
        self.switch = switch
        self.weights = weights
        self.radii = radii
        self.chem = chem
        self.dtype = dtype
        self.device = device
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    def learn_species(self, snapshots):
        """Return the sorted elements; warn if the descriptors cannot distinguish them."""
        species = super().learn_species(snapshots)
        if self.weights is None and len(species) > 1 and not self.chem:
            weights = dict(zip(species, (1.0, 0.6, 0.3), strict=False))
            warnings.warn(
                f"{type(self).__name__} cannot distinguish {' and '.join(species)}: set the "
                f"parameter weights, such as {weights}, or chem=True.",
                UserWarning,
                stacklevel=3,
            )
        return species

    def check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""
        super().check_parameters()
        check_n_jobs(self.n_jobs, "threads")
        check_by_element("weights", self.weights)
        check_by_element("radii", self.radii, low=0, strict=True)
        check_scalar("rmin0", self.rmin0, low=0)
        check_scalar("r_cut", self.r_cut, low=self.rmin0, strict=True)
        if self.radii is not None and self.rmin0 != 0:
            raise ValueError(f"radii needs rmin0=0, got rmin0={self.rmin0}.")
        check_scalar("twojmax", self.twojmax, low=0, high=MAX_TWOJMAX, integer=True)
        check_scalar("rfac0", self.rfac0, low=0, high=1, strict=True)
        check_option("switch", self.switch, (True, False))
        check_option("chem", self.chem, (True, False))
        if check_device("device", self.device) != "cpu" and self.chem:
            raise ValueError(f"chem=True needs device='cpu', got {self.device!r}.")

    def check_snapshot(self, snapshot):
        """Raise an error for an unknown element, or one without a weight or radius."""
        super().check_snapshot(snapshot)
        check_elements("weights", self.weights, snapshot)
        check_elements("radii", self.radii, snapshot)

    def feature_names(self):
        """Return the names of the components, with the elements of j1, j2 and j if `chem`."""
        names = component_names(self.twojmax)
        if not self.chem:
            return names
        triples = product(self.species_, repeat=3)
        return [f"{name}_{'_'.join(triple)}" for triple in triples for name in names]

    def cache_key(self, snapshot):
        """Return everything the block of `snapshot` depends on; with `chem` also the elements."""
        key = super().cache_key(snapshot)
        return (*key, self.species_) if self.chem else key

    def _place(self, atoms):
        """Return positions, weights and cell."""
        weights = np.ones(len(atoms)) if self.weights is None else by_atom(self.weights, atoms)
        return atoms.positions, weights, atoms.cell.array

    def _options(self, atoms):
        elements = np.searchsorted(self.species_, list(atoms.symbols)) if self.chem else None
        return {
            "radii": None if self.radii is None else by_atom(self.radii, atoms),
            "elements": elements,
            "n_elements": len(self.species_) if self.chem else None,
            "twojmax": self.twojmax,
            "r_cut": self.r_cut,
            "rfac0": self.rfac0,
            "rmin0": self.rmin0,
            "switch": self.switch,
            "dtype": self.dtype,
            "device": self.device,
            "n_threads": n_threads(self.n_jobs),
        }


@documented(OF_SNAP)
class GridSNAPTransformer(GridTransformer, _SNAPTransformer):
    r"""Bispectrum components of the atoms around every grid point (LAMMPS ``sna/grid``).

    The neighbour density of a grid point is mapped onto the 3-sphere and expanded in Wigner
    functions; invariant triple products of the coefficients,

    .. math:: B_{j_1 j_2 j} = \sum U^{j *}_{m m'} \,
              (C^{j m}_{j_1 m_1 j_2 m_2} C^{j m'}_{j_1 m_1' j_2 m_2'})
              U^{j_1}_{m_1 m_1'} U^{j_2}_{m_2 m_2'},

    describe it up to rotations [1]_ [2]_. Works for any cell and any number of elements.

    Parameters
    ----------
    %(r_cut)s
    %(twojmax)s
    %(rfac0)s
    %(rmin0)s
    %(switch)s
    %(weights)s
    radii : dict of str to float, optional
        Cutoff of each element in units of `r_cut`, such as ``{"Si": 1.0, "O": 0.8}``; 1 for all by
        default. A point sees atoms of the element up to this distance. Twice LAMMPS's radius of an
        element; needs ``rmin0=0``.
    %(grid_shape)s
    %(chem)s
    %(dtype)s
    %(device)s
    %(n_jobs)s
    %(memory)s
    %(verbose)s

    Attributes
    ----------
    %(species_)s
    %(n_features_out_)s
    grid_spacing_ : ndarray of shape (3,)
        Finest spacing in Å of the grids seen in ``fit``, along each cell vector.

    See Also
    --------
    AtomSNAPTransformer : The same components around atoms.

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

    def __init__(
        self,
        r_cut=4.67637,
        twojmax=10,
        rfac0=0.99363,
        rmin0=0.0,
        switch=True,
        weights=None,
        radii=None,
        grid_shape=None,
        *,
        chem=False,
        dtype="float64",
        device="cpu",
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        parameters = r_cut, twojmax, rfac0, rmin0, switch, weights, radii
        options = {"device": device, "n_jobs": n_jobs, "memory": memory, "verbose": verbose}
        super().__init__(*parameters, chem=chem, dtype=dtype, **options)
        self.grid_shape = grid_shape

    def compute(self, snapshot, start, stop):
        """Compute the components at grid points `start` to `stop`."""
        place = *self._place(snapshot.atoms), self.grid(snapshot)
        return grid_bispectrum(*place, start=start, stop=stop, **self._options(snapshot.atoms))

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
            Slice of the flattened grid; the whole grid by default.

        Returns
        -------
        %(by_positions)s
        by_strain : ndarray of shape (3, 3)
            The derivative with respect to a strain ε that maps every row vector x to x (1 + ε),
            including the grid points.
        """
        self.check_fitted()
        place = *self._place(snapshot.atoms), self.grid(snapshot)
        options = self._options(snapshot.atoms)
        return grid_bispectrum_adjoint(*place, sensitivity, start=start, stop=stop, **options)


@documented(OF_SNAP)
class AtomSNAPTransformer(_SNAPTransformer):
    """Bispectrum components of the neighbours of every atom (LAMMPS ``sna/atom``).

    The same features as :class:`GridSNAPTransformer` (see there for the formulas), centred on the
    atoms. An atom is not its own neighbour.

    Parameters
    ----------
    %(r_cut)s
    %(twojmax)s
    %(rfac0)s
    %(rmin0)s
    %(switch)s
    %(weights)s
    radii : dict of str to float, optional
        Cutoff of each element in units of `r_cut`, such as ``{"Si": 1.0, "O": 0.8}``; 1 for all by
        default. Two atoms see each other up to the mean of their cutoffs. Twice LAMMPS's radius of
        an element; needs ``rmin0=0``.
    %(chem)s
    %(dtype)s
    %(device)s
    %(n_jobs)s
    %(memory)s
    %(verbose)s

    Attributes
    ----------
    %(species_)s
    %(n_features_out_)s

    See Also
    --------
    GridSNAPTransformer : The same components on the points of a grid.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos import AtomSNAPTransformer
    >>> AtomSNAPTransformer(twojmax=4).fit_transform([bulk("Al", cubic=True)])[0].shape
    (4, 14)
    """

    def compute(self, snapshot, start, stop):
        """Compute the components around atoms `start` to `stop`."""
        place, options = self._around(snapshot.atoms, start, stop)
        return point_bispectrum(*place, **options)

    def pullback(self, snapshot, sensitivity, start=0, stop=None):
        r"""Return derivatives of a scalar A, given those with respect to the descriptors.

        Parameters
        ----------
        snapshot : Snapshot
            The atoms.
        sensitivity : array-like of shape (stop - start, n_features)
            :math:`\partial A / \partial B_k(i)` of atoms `start` to `stop`.
        start, stop : int, optional
            The atoms; all by default.

        Returns
        -------
        %(by_positions)s
        %(by_strain)s
        """
        self.check_fitted()
        place, options = self._around(snapshot.atoms, start, stop)
        # A moving atom is both a centre and a neighbour of others.
        as_center, by_positions, by_strain = point_bispectrum_adjoint(
            *place, sensitivity, **options
        )
        by_positions[start:stop] += as_center
        return by_positions, by_strain

    def _around(self, atoms, start, stop):
        """Return the arguments for the atoms `start` to `stop` as points."""
        options = self._options(atoms)
        for name in ("radii", "elements"):
            of_atoms = options[name]
            options[f"point_{name}"] = None if of_atoms is None else of_atoms[start:stop]
        return (atoms.positions[start:stop], *self._place(atoms)), options
