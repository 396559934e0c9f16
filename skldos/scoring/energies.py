"""Scorers of band energies and total energies."""

from skldos.docstrings import documented, like
from skldos.exceptions import ScoringError
from skldos.physics.terms import FUNCTIONALS
from skldos.physics.terms.checks import check_density_cutoff
from skldos.prediction.dos import OF_PREDICTIONS
from skldos.prediction.forces import predicts_forces
from skldos.prediction.observables import check_sharpen
from skldos.scoring.evaluation import REFERENCES, evaluate
from skldos.scoring.scorer import Scorer
from skldos.validation import check_option

UNITS = ("meV/atom", "eV/atom", "eV")


class _EnergyScorer(Scorer):
    """Negative mean absolute error of an energy that :func:`evaluate` compares.

    Subclasses name the energy, `_quantity`, and check in `_check` that a model predicts it.
    """

    def __init__(self, *, reference="ldos", unit="meV/atom", sharpen=0, n_jobs=None):
        self.reference = check_option("reference", reference, REFERENCES)
        self.unit = check_option("unit", unit, UNITS)
        self.sharpen = check_sharpen(sharpen)
        self.n_jobs = n_jobs

    @like(Scorer.errors)
    def errors(self, estimator, X, y=None):
        self._check(estimator)
        options = {name: value for name, value in vars(self).items() if name != "unit"}
        table = evaluate(estimator, X, y, **options)
        per_atom = table[f"{self._quantity}_error"].to_numpy()  # meV
        if self.unit == "meV/atom":
            return per_atom
        return per_atom / 1e3 * (1 if self.unit == "eV/atom" else table["n_atoms"].to_numpy())


@documented(OF_PREDICTIONS)
class BandEnergyScorer(_EnergyScorer):
    r"""Negative mean absolute error of the band energy.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. Predictions are integrated to the
    density of states, the Fermi level that holds the electrons, and

    .. math:: E_\mathrm{band} = \int E\, f\big((E - \mu)/k_B T\big)\, D(E)\, dE .

    Parameters
    ----------
    reference : {"ldos", "dft"}, default="ldos"
        The true values: band energies of the true LDOS, or of the calculation itself
        (which differ by the broadening of the LDOS).
    unit : {"meV/atom", "eV/atom", "eV"}, default="meV/atom"
        Unit of the score.
    %(sharpen)s
    %(n_jobs)s

    Raises
    ------
    ScoringError
        When called, if snapshots lack data or shapes do not match. Cross-validation turns errors of
        a scorer into NaN with a warning; pass ``error_score="raise"`` to stop instead.

    See Also
    --------
    evaluate : Errors of every snapshot in a table.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import BandEnergyScorer, GridSNAPTransformer, LDOSRegressor, RowWise
    >>> from skldos.datasets import make_snapshots
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=2),
    ...     RowWise(StandardScaler()),
    ...     LDOSRegressor(max_epochs=50, random_state=0),
    ... )
    >>> snapshots = make_snapshots(4, random_state=0)
    >>> cross_val_score(model, snapshots, cv=2, scoring=BandEnergyScorer()).shape
    (2,)
    """

    _quantity = "band_energy"

    def _check(self, estimator):
        if predicts_forces(estimator):
            raise ScoringError("a model of the free energy does not predict band energies.")


@documented(OF_PREDICTIONS)
class TotalEnergyScorer(_EnergyScorer):
    r"""Negative mean absolute error of the total free energy.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` in scikit-learn's searches and
    cross-validation; greater is better. Predictions give the DOS and the density,
    and with them

    .. math:: A = E_\mathrm{band} - \int n\,(v_H + v_{xc})\,dr + E_H + E_{xc}
              + E_\mathrm{Ewald} - TS .

    Parameters
    ----------
    pseudopotentials : mapping of str to Pseudopotential or path, optional
        One per element, or the path of its UPF file, which is read when it is needed. Only a model
        of the free energy, :class:`~skldos.FreeEnergyRegressor`, needs none; it takes
        ``reference="dft"``.
    functional : {"lda-pz", "lda-pw", "pbe", "pbesol"}, optional
        Exchange-correlation functional; None uses that of the pseudopotentials, which must be
        that of the calculation if the snapshots have it.
    density_cutoff : float, optional
        Largest kinetic energy of the density in eV, as in :func:`skldos.physics.total_energy`.
    reference : {"ldos", "dft"}, default="ldos"
        The true values: free energies of the true LDOS, or of the calculation itself
        (which differ by the broadening of the LDOS).
    unit : {"meV/atom", "eV/atom", "eV"}, default="meV/atom"
        Unit of the score.
    %(sharpen)s
    %(n_jobs)s

    Raises
    ------
    ScoringError
        When called, if predictions are not on the grid, snapshots lack what is needed, or the
        pseudopotentials are not those of the snapshots.

    See Also
    --------
    evaluate : Errors of every snapshot in a table.
    skldos.physics.total_energy : The terms, one by one.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import GridSNAPTransformer, LDOSRegressor, RowWise, TotalEnergyScorer
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.physics import Pseudopotential
    >>> model = make_pipeline(
    ...     GridSNAPTransformer(twojmax=2),
    ...     RowWise(StandardScaler()),
    ...     LDOSRegressor(max_epochs=50, random_state=0),
    ... )
    >>> snapshots = make_snapshots(4, random_state=0)
    >>> scorer = TotalEnergyScorer([Pseudopotential("Al", 3, functional="lda-pz")])
    >>> cross_val_score(model, snapshots, cv=2, scoring=scorer).shape
    (2,)
    """

    _quantity = "total_energy"

    def __init__(
        self,
        pseudopotentials=None,
        *,
        functional=None,
        density_cutoff=None,
        reference="ldos",
        unit="meV/atom",
        sharpen=0,
        n_jobs=None,
    ):
        self.pseudopotentials = pseudopotentials
        self.functional = check_option("functional", functional, (None, *FUNCTIONALS))
        self.density_cutoff = check_density_cutoff(density_cutoff)
        super().__init__(reference=reference, unit=unit, sharpen=sharpen, n_jobs=n_jobs)

    def _check(self, estimator):
        if not predicts_forces(estimator):
            if self.pseudopotentials is None:
                raise ScoringError("the total energy of an LDOS needs pseudopotentials, got None.")
        elif self.reference == "ldos":
            raise ScoringError(
                "a model of the free energy is fitted to results of calculations: set "
                "reference='dft'."
            )
