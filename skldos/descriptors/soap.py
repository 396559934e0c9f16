"""Smooth overlap of atomic positions (SOAP) around atoms, with derivatives."""

import numpy as np
from ase.data import atomic_numbers

from skldos.descriptors._parameters import OF_SOAP
from skldos.descriptors.base import SnapshotTransformer
from skldos.descriptors.power_spectrum import (
    BASES,
    check_lengths,
    power_spectrum,
    power_spectrum_adjoint,
    power_spectrum_derivatives,
)
from skldos.descriptors.power_spectrum.radial import MAX_L, MAX_N
from skldos.descriptors.snap import AtomSNAPTransformer
from skldos.docstrings import documented, like
from skldos.validation import check_option, check_scalar, check_shape
from skldos.workers import check_n_jobs, n_threads


class SOAPTransformer(SnapshotTransformer):
    """Common code of SOAP around atoms and grid points: `n_max`, `l_max` and `species`."""

    def check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""
        super().check_parameters()
        check_scalar("n_max", self.n_max, low=1, high=MAX_N, integer=True)
        check_scalar("l_max", self.l_max, low=0, high=MAX_L, integer=True)
        check_species(self.species)

    def learn_species(self, snapshots):
        """Return the elements to distinguish, sorted."""
        return super().learn_species(snapshots) if self.species is None else sorted(self.species)

    def cache_key(self, snapshot):
        """Return everything the block of `snapshot` depends on, including the elements."""
        name, params, *rest = super().cache_key(snapshot)
        return (name, params | {"species": self.species_}, *rest)


@documented(OF_SOAP)
class AtomSOAPTransformer(SOAPTransformer):
    r"""SOAP power spectrum of the neighbours of every atom.

    Gaussians on the neighbours and on the atom itself form a density for each element, which is
    expanded in orthonormal radial functions and spherical harmonics,

    .. math:: c_{zn,lm} = \sum_{j \in z} f_c(r_j) \int d^3x\; R_{nl}(x)\, Y_{lm}(\hat x)\,
              e^{-|x - r_j|^2 / 2 \sigma^2} .

    Products of the coefficients over m are invariant under rotations [1]_,

    .. math:: p_{l,ab} = \frac{1}{\sqrt{2 l + 1}} \sum_m c_{a,lm}\, c_{b,lm} ,

    where a and b run over elements and radial functions. Pairs a ≠ b appear once, times
    :math:`\sqrt 2`. Derivatives with respect to positions and strain are exact.

    Parameters
    ----------
    r_cut : float, default=5.0
        Cutoff radius in Å. Atoms beyond it do not contribute.
    n_max : int, default=8
        %(n_max.text)s
    %(l_max)s
    sigma : float, default=0.6
        %(sigma.text)s
    rbf : {"gto", "gto_n", "polynomial"}, default="gto"
        Radial functions: Gaussian-type orbitals :math:`x^l e^{-\alpha_{nl} x^2}` as in DScribe,
        :math:`x^n e^{-x^2 / 2 \sigma_n^2}` as in featomic, or powers of the distance from
        `basis_radius` as in DScribe; see Notes.
    fade : float, default=1.0
        Length in Å over which neighbours fade out below `r_cut`, by half a period of a cosine.
    basis_radius : float, optional
        Extent of the radial functions in Å; None means `r_cut`.
    center_species : bool, default=False
        Whether each element of the central atom has its own features, which are zero for the other
        elements. A linear model then has one set of weights per element.
    %(species)s
    %(dtype)s
    %(n_jobs)s
    %(memory)s
    %(verbose)s

    Attributes
    ----------
    %(species_)s
    %(n_features_out_)s

    See Also
    --------
    GridSOAPTransformer : SOAP around the points of a grid, by DScribe.
    AtomSNAPTransformer : The bispectrum of atoms.

    Notes
    -----
    Features are ordered with l slowest, then a, then b, as their names show. The cost grows with
    the number of neighbours and with the squares of the numbers of elements and radial functions.

    DScribe's ``SOAP`` uses its `r_cut` for the radial functions, and includes atoms up to a sharp
    cutoff at `r_cut` + 3.7 `sigma`. To get the same features up to an orthogonal transformation,
    set ``basis_radius`` to DScribe's `r_cut`, ``r_cut`` to that sum, and `fade` close to zero. A
    longer cutoff with a wide `fade` makes them smooth.

    References
    ----------
    .. [1] A. P. Bartók, R. Kondor, G. Csányi, "On representing chemical environments",
       Phys. Rev. B 87, 184115 (2013).

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos import AtomSOAPTransformer
    >>> soap = AtomSOAPTransformer(n_max=2, l_max=2)
    >>> soap.fit_transform([bulk("NaCl", "rocksalt", a=5.6)])[0].shape
    (2, 30)
    >>> soap.get_feature_names_out()[:3].tolist()
    ['soap_0_Cl0_Cl0', 'soap_0_Cl0_Cl1', 'soap_0_Cl0_Na0']
    """

    block_version = 3  # 1: atoms outside the cell were not wrapped; 2: DScribe's

    def __init__(
        self,
        r_cut=5.0,
        n_max=8,
        l_max=6,
        sigma=0.6,
        rbf="gto",
        fade=1.0,
        basis_radius=None,
        center_species=False,
        species=None,
        *,
        dtype="float64",
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        self.r_cut = r_cut
        self.n_max = n_max
        self.l_max = l_max
        self.sigma = sigma
        self.rbf = rbf
        self.fade = fade
        self.basis_radius = basis_radius
        self.center_species = center_species
        self.species = species
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    def check_parameters(self):
        """Raise an error that names a parameter with a wrong value."""
        super().check_parameters()
        check_n_jobs(self.n_jobs, "threads")
        check_lengths(self.r_cut, self.sigma, self.fade, self.basis_radius)
        check_option("rbf", self.rbf, BASES)
        check_option("center_species", self.center_species, (True, False))

    def compute(self, snapshot, start, stop):
        """Compute the power spectra of atoms `start` to `stop`."""
        spectra = power_spectrum(*self._atoms(snapshot), start=start, stop=stop, **self._options())
        if not self.center_species:
            return spectra.astype(self.dtype, copy=False)
        rows = np.zeros((len(spectra), len(self.species_), spectra.shape[1]), self.dtype)
        rows[np.arange(len(rows)), self._kinds(snapshot)[start:stop]] = spectra
        return rows.reshape(len(rows), -1)

    @like(AtomSNAPTransformer.pullback)
    def pullback(self, snapshot, sensitivity, start=0, stop=None):
        self.check_fitted()
        sensitivity = np.asarray(sensitivity)
        if self.center_species:
            kinds = self._kinds(snapshot)[start:stop]
            check_shape("sensitivity", sensitivity, (len(kinds), self.n_features_out_))
            by_center = sensitivity.reshape(len(kinds), len(self.species_), -1)
            sensitivity = by_center[np.arange(len(kinds)), kinds]
        return power_spectrum_adjoint(
            sensitivity, *self._atoms(snapshot), start=start, stop=stop, **self._options()
        )

    @like(SnapshotTransformer.derivatives)
    def derivatives(self, snapshot):
        snapshot = self._checked(snapshot)
        groups = self._kinds(snapshot) if self.center_species else None
        options = {"groups": groups, **self._options()}
        derivatives = power_spectrum_derivatives(*self._atoms(snapshot), **options)
        return tuple(by.reshape(*by.shape[:2], -1) for by in derivatives)

    def feature_names(self):
        """Return one name per feature: the centre if distinguished, l, element and n of both."""
        functions = [f"{symbol}{n}" for symbol in self.species_ for n in range(self.n_max)]
        names = [
            f"{l}_{functions[a]}_{functions[b]}"
            for l in range(self.l_max + 1)
            for a, b in zip(*np.triu_indices(len(functions)), strict=True)
        ]
        centers = [f"{symbol}_" for symbol in self.species_] if self.center_species else [""]
        return [f"soap_{center}{name}" for center in centers for name in names]

    def _kinds(self, snapshot):
        """Return the index of the element of every atom."""
        index = {symbol: i for i, symbol in enumerate(self.species_)}
        return np.array([index[symbol] for symbol in snapshot.atoms.symbols], dtype=np.int64)

    def _atoms(self, snapshot):
        atoms = snapshot.atoms
        return atoms.positions, atoms.cell.array, self._kinds(snapshot)

    def _options(self):
        return {
            "n_species": len(self.species_),
            "r_cut": self.r_cut,
            "n_max": self.n_max,
            "l_max": self.l_max,
            "sigma": self.sigma,
            "fade": self.fade,
            "basis_radius": self.basis_radius,
            "rbf": self.rbf,
            "n_threads": n_threads(self.n_jobs),
        }


def check_species(species):
    """Raise an error unless `species` is None or a sequence of elements."""
    if species is None:
        return
    if isinstance(species, str):
        raise TypeError(f"species must be a sequence of elements, got {species!r}.")
    unknown = [symbol for symbol in species if symbol not in atomic_numbers]
    if unknown:
        raise ValueError(f"species must be symbols of elements, got {unknown[0]!r}.")
