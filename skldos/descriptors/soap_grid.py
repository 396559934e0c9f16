"""Smooth overlap of atomic positions (SOAP) around the points of a grid, computed by DScribe."""

from importlib.metadata import version

import numpy as np
from ase import Atoms

from skldos.descriptors._parameters import OF_SOAP
from skldos.descriptors.grid import GridTransformer
from skldos.descriptors.soap import SOAPTransformer
from skldos.docstrings import documented
from skldos.geometry import grid_points, wrap
from skldos.validation import check_option, check_scalar


@documented(OF_SOAP)
class GridSOAPTransformer(GridTransformer, SOAPTransformer):
    r"""SOAP power spectrum of the atoms around every grid point.

    The density of Gaussians on the neighbours is expanded in radial functions and spherical
    harmonics; products of the coefficients over m are invariant under rotations [1]_. The
    computation is DScribe's [2]_. Atoms up to `r_cut` + 3.7 `sigma` contribute.

    Parameters
    ----------
    r_cut : float, default=4.67637
        Extent of the radial functions in Å.
    n_max : int, default=6
        %(n_max.text)s
    %(l_max)s
    sigma : float, default=0.5
        %(sigma.text)s
    rbf : {"gto", "polynomial"}, default="gto"
        Radial functions.
    %(species)s
    %(grid_shape)s
    %(dtype)s
    %(memory)s
    %(verbose)s

    Attributes
    ----------
    %(species_)s
    %(n_features_out_)s

    See Also
    --------
    AtomSOAPTransformer : SOAP around atoms, with derivatives.

    References
    ----------
    .. [1] A. P. Bartók, R. Kondor, G. Csányi, "On representing chemical environments",
       Phys. Rev. B 87, 184115 (2013).
    .. [2] L. Himanen et al., "DScribe: Library of descriptors for machine learning in
       materials science", Comput. Phys. Commun. 247, 106949 (2020).

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos import GridSOAPTransformer
    >>> soap = GridSOAPTransformer(n_max=2, l_max=2, grid_shape=(4, 4, 4))
    >>> soap.fit_transform([bulk("Al", cubic=True)])[0].shape
    (64, 9)
    """

    block_version = 2  # 1: atoms outside the cell were not wrapped

    def __init__(
        self,
        r_cut=4.67637,
        n_max=6,
        l_max=6,
        sigma=0.5,
        rbf="gto",
        species=None,
        grid_shape=None,
        *,
        dtype="float64",
        memory=None,
        verbose=False,
    ):
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

    def check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""
        super().check_parameters()
        check_option("rbf", self.rbf, ("gto", "polynomial"))
        check_scalar("r_cut", self.r_cut, low=0, strict=True)
        check_scalar("sigma", self.sigma, low=0, strict=True)

    def _soap(self):
        # DScribe's objects cannot be cloned, so they are created when needed.
        try:
            from dscribe.descriptors import SOAP
        except ImportError as error:
            raise ImportError(
                "GridSOAPTransformer needs DScribe, which has no wheel for Linux on ARM: "
                "pip install dscribe builds it from its source."
            ) from error

        return SOAP(
            species=self.species_,
            r_cut=self.r_cut,
            n_max=self.n_max,
            l_max=self.l_max,
            sigma=self.sigma,
            rbf=self.rbf,
            periodic=True,
        )

    def compute(self, snapshot, start, stop):
        """Compute the power spectra at sites `start` to `stop`."""
        # DScribe repeats the cell around the atoms' positions. Atoms and centres must be inside the
        # cell, otherwise images are missed. Only required data are passed to DScribe.
        atoms, cell = snapshot.atoms, snapshot.atoms.cell.array
        inside = Atoms(
            numbers=atoms.numbers, positions=wrap(atoms.positions, cell), cell=cell, pbc=True
        )
        centers = wrap(grid_points(cell, self.grid(snapshot), start, stop), cell)
        rows = self._soap().create(inside, centers=centers)
        return np.asarray(rows, dtype=self.dtype).reshape(stop - start, -1)

    def feature_names(self):
        """Return one name per feature, by their number."""
        return [f"soap_{i}" for i in range(self._soap().get_number_of_features())]

    def cache_key(self, snapshot):
        """Return everything the block of `snapshot` depends on, including DScribe's version."""
        name, *rest = super().cache_key(snapshot)
        return (f"{name}, DScribe {version('dscribe')}", *rest)
