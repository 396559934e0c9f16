"""Scorers that judge a model of the LDOS by the energies it gives."""

import numpy as np

from skldos._validation import check_option, check_scalar
from skldos.physics.terms import FUNCTIONALS
from skldos.scoring._energies import REFERENCES, evaluate

UNITS = ("meV/atom", "eV/atom", "eV")


class _EnergyScorer:
    """Negative mean absolute error of an energy that :func:`evaluate` compares."""

    _quantity = None

    def errors(self, estimator, X, y=None):
        """Return the error of every snapshot, predicted minus true.

        Parameters
        ----------
        estimator : estimator
            Fitted.
        X : sequence of Snapshot
            The snapshots.
        y : sequence of array-like, optional
            True LDOS; None takes those of the snapshots.

        Returns
        -------
        ndarray of shape (n_snapshots,)
            Errors in `unit`.
        """
        table = evaluate(estimator, X, y, **self._options())
        per_atom = table[f"{self._quantity}_error"].to_numpy()  # meV
        if self.unit == "meV/atom":
            return per_atom
        return per_atom / 1e3 * (1 if self.unit == "eV/atom" else table["n_atoms"].to_numpy())

    def __call__(self, estimator, X, y=None):
        """Return the negative mean absolute error in `unit`."""
        return -float(np.mean(np.abs(self.errors(estimator, X, y))))

    def __repr__(self):
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({options})"


class BandEnergyScorer(_EnergyScorer):
    r"""Negative mean absolute error of the band energy.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` of every search and
    cross-validation of scikit-learn; greater is better. Predictions are integrated to the
    density of states, the Fermi level that holds the electrons, and

    .. math:: E_\mathrm{band} = \int E\, f\big((E - \mu)/k_B T\big)\, D(E)\, dE .

    Parameters
    ----------
    reference : {"ldos", "dft"}, default="ldos"
        What counts as true: band energies of the true LDOS, or of the calculation itself
        (which differ by the broadening of the LDOS).
    unit : {"meV/atom", "eV/atom", "eV"}, default="meV/atom"
        Unit of the score.
    sharpen : int, default=0
        Order to which the broadening of the LDOS is undone first, so that energies can be compared
        with those of the calculation; see :func:`skldos.physics.sharpening_matrix`.

    Raises
    ------
    ScoringError
        When called, if snapshots lack what is needed or shapes do not match. Cross-validation
        turns it into NaN with a warning, as it does with every error of a scorer; pass
        ``error_score="raise"`` to stop at it.

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

    def __init__(self, reference="ldos", unit="meV/atom", sharpen=0):
        self.reference = check_option("reference", reference, REFERENCES)
        self.unit = check_option("unit", unit, UNITS)
        self.sharpen = check_scalar("sharpen", sharpen, low=0, integer=True)

    def _options(self):
        return {"reference": self.reference, "sharpen": self.sharpen}


class TotalEnergyScorer(_EnergyScorer):
    r"""Negative mean absolute error of the total free energy.

    A callable ``scorer(estimator, X, y=None)`` for ``scoring=`` of every search and
    cross-validation of scikit-learn; greater is better. Predictions give the DOS and the density,
    and with them

    .. math:: A = E_\mathrm{band} - \int n\,(v_H + v_{xc})\,dr + E_H + E_{xc}
              + E_\mathrm{Ewald} - TS .

    Parameters
    ----------
    pseudopotentials : mapping of str to Pseudopotential or path
        One per element, or the path of its UPF file, which is read when it is needed.
    xc : {"lda-pz", "lda-pw", "pbe", "pbesol"}, optional
        Exchange-correlation functional; None takes that of the pseudopotentials.
    reference : {"ldos", "dft"}, default="ldos"
        What counts as true: free energies of the true LDOS, or of the calculation itself
        (which differ by the broadening of the LDOS).
    unit : {"meV/atom", "eV/atom", "eV"}, default="meV/atom"
        Unit of the score.
    sharpen : int, default=0
        Order to which the broadening of the LDOS is undone first, so that energies can be compared
        with those of the calculation; see :func:`skldos.physics.sharpening_matrix`.

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

    def __init__(self, pseudopotentials, xc=None, reference="ldos", unit="meV/atom", sharpen=0):
        if pseudopotentials is None:  # for evaluate it means: no total energies
            raise TypeError("pseudopotentials must have one for every element, got None.")
        self.pseudopotentials = pseudopotentials
        self.xc = check_option("xc", xc, (None, *FUNCTIONALS))
        self.reference = check_option("reference", reference, REFERENCES)
        self.unit = check_option("unit", unit, UNITS)
        self.sharpen = check_scalar("sharpen", sharpen, low=0, integer=True)

    def _options(self):
        return {
            "reference": self.reference,
            "sharpen": self.sharpen,
            "pseudopotentials": self.pseudopotentials,
            "xc": self.xc,
        }
