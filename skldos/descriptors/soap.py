"""Smooth overlap of atomic positions, computed by DScribe."""

import numpy as np

from skldos._validation import check_option, check_scalar
from skldos.descriptors._base import SnapshotTransformer
from skldos.geometry import grid_points


class SOAPTransformer(SnapshotTransformer):
    r"""SOAP power spectrum of the neighbours of grid points or atoms.

    The density of Gaussians on the neighbours is expanded in radial functions and spherical
    harmonics; products of the coefficients over m are invariant under rotations [1]_. The
    computation is DScribe's [2]_.

    Parameters
    ----------
    centers : {"grid", "atoms"}, default="grid"
        Where the descriptor is centred.
    r_cut : float, default=4.67637
        Cutoff radius in Å.
    n_max : int, default=6
        Number of radial functions.
    l_max : int, default=6
        Largest angular momentum.
    sigma : float, default=0.5
        Width of the Gaussians in Å.
    rbf : {"gto", "polynomial"}, default="gto"
        Radial functions.
    species : sequence of str, optional
        Elements to distinguish; by default those seen in ``fit``.
    grid_shape : tuple of 3 int, optional
        Points along each cell vector, for grid centres and snapshots without a grid; by default
        those of each snapshot.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the result; computed in double precision.
    memory : str, path-like or joblib.Memory, optional
        Folder in which blocks are kept; they come back as lazy handles.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    species_ : list of str
        Elements that are distinguished.
    n_features_out_ : int
        Number of features.

    References
    ----------
    .. [1] A. P. Bartók, R. Kondor, G. Csányi, "On representing chemical environments",
       Phys. Rev. B 87, 184115 (2013).
    .. [2] L. Himanen et al., "DScribe: Library of descriptors for machine learning in
       materials science", Comput. Phys. Commun. 247, 106949 (2020).

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos import SOAPTransformer
    >>> soap = SOAPTransformer(centers="atoms", n_max=2, l_max=2)
    >>> soap.fit_transform([bulk("Al", cubic=True)])[0].shape
    (4, 9)
    """

    def __init__(
        self,
        centers="grid",
        r_cut=4.67637,
        n_max=6,
        l_max=6,
        sigma=0.5,
        rbf="gto",
        species=None,
        grid_shape=None,
        dtype="float64",
        memory=None,
        verbose=False,
    ):
        self.centers = centers
        self.r_cut = r_cut
        self.n_max = n_max
        self.l_max = l_max
        self.sigma = sigma
        self.rbf = rbf
        self.species = species
        self.grid_shape = grid_shape
        self.dtype = dtype
        self.memory = memory
        self.verbose = verbose

    def _learn_species(self, snapshots):
        return super()._learn_species(snapshots) if self.species is None else sorted(self.species)

    @property
    def _sites_on_grid(self):
        return self.centers == "grid"

    def _check_parameters(self):
        super()._check_parameters()
        check_option("centers", self.centers, ("grid", "atoms"))
        check_option("rbf", self.rbf, ("gto", "polynomial"))
        check_scalar("r_cut", self.r_cut, low=0, strict=True)
        check_scalar("sigma", self.sigma, low=0, strict=True)
        check_scalar("n_max", self.n_max, low=1, integer=True)
        check_scalar("l_max", self.l_max, low=0, integer=True)
        if isinstance(self.species, str):
            raise TypeError(f"species must be a sequence of elements, got {self.species!r}.")

    def _soap(self):
        # DScribe's objects cannot be cloned, so one is made where it is needed.
        from dscribe.descriptors import SOAP

        return SOAP(
            species=self.species_,
            r_cut=self.r_cut,
            n_max=self.n_max,
            l_max=self.l_max,
            sigma=self.sigma,
            rbf=self.rbf,
            periodic=True,
        )

    def _compute(self, snapshot, start, stop):
        atoms = snapshot.atoms
        if self._sites_on_grid:
            centers = grid_points(atoms.cell.array, self._grid(snapshot), start, stop)
        else:
            centers = atoms.positions[start:stop]
        rows = self._soap().create(atoms, centers=np.asarray(centers))
        return np.asarray(rows, dtype=self.dtype).reshape(stop - start, -1)

    def _feature_names(self):
        return [f"soap_{i}" for i in range(self._soap().get_number_of_features())]

    def _cache_key(self, snapshot):
        name, params, *rest = super()._cache_key(snapshot)
        return (name, params | {"species": self.species_}, *rest)
