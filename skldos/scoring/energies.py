"""The scorer that judges a model of the LDOS by the band energies it gives."""

import numpy as np

from skldos._validation import check_option
from skldos.scoring._energies import REFERENCES, evaluate

UNITS = ("meV/atom", "eV/atom", "eV")


class BandEnergyScorer:
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

    def __init__(self, reference="ldos", unit="meV/atom"):
        self.reference = check_option("reference", reference, REFERENCES)
        self.unit = check_option("unit", unit, UNITS)

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
        table = evaluate(estimator, X, y, reference=self.reference)
        per_atom = table["band_energy_error"].to_numpy()  # meV
        if self.unit == "meV/atom":
            return per_atom
        return per_atom / 1e3 * (1 if self.unit == "eV/atom" else table["n_atoms"].to_numpy())

    def __call__(self, estimator, X, y=None):
        """Return the negative mean absolute error of the band energy in `unit`."""
        return -float(np.mean(np.abs(self.errors(estimator, X, y))))

    def __repr__(self):
        return f"BandEnergyScorer(reference={self.reference!r}, unit={self.unit!r})"
