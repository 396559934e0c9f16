"""A regressor of the atom-decomposed density of states that makes its own targets."""

import math

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks, EnergyGrid, SnapshotList
from skldos.data.calculation import common_calculation
from skldos.decomposition import ADOSDecomposer
from skldos.links import PageLinkMixin
from skldos.prediction.completeness import warn_of_training_data
from skldos.regressors.alignment import (
    ALIGNMENTS,
    ReferenceEnergy,
    align_sums,
    electrons_and_temperatures,
    reference_energies,
    shift_dos,
)
from skldos.regressors.checks import (
    checked_weights,
    common_broadening,
    common_energies,
    linked_snapshots,
    weights_for,
)
from skldos.scoring.r2 import coefficient_of_determination
from skldos.validation import check_option


class ADOSRegressor(PageLinkMixin, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    r"""Fit the density of states of every atom, decomposed from the LDOS inside ``fit``.

    At the end of a pipeline it lets you call ``fit(snapshots)`` without `y`, and a search can vary
    the parameters of the decomposition. The sum over the atoms does not depend on the partition, so
    the error of the band energy shows which partition is learned best.

    Parameters
    ----------
    regressor : estimator
        Regressor of blocks: a :class:`~skldos.regressors.site.SiteRegressor` around a
        scikit-learn regressor, or a network.
    decomposer : ADOSDecomposer, optional
        Makes the targets; None means a default :class:`~skldos.decomposition.ADOSDecomposer`. Set
        its `memory` if the same snapshots are decomposed repeatedly, as in a search.
    align : {"fermi", "band"} or None, default=None
        Reference energy relative to which the densities of states are learned. None uses the
        energies of the calculation, which is right for cells of one composition and volume.
        Between different cells the mean potential, the zero of energy, moves by volts. The other
        options shift each snapshot to its Fermi level, or to the mean energy of its electrons,
        :math:`E_\mathrm{band}/N`, and learn this reference separately, as a mean over the atoms
        with terms of composition and volume. Predicted spectra are shifted so that their own Fermi
        level, or mean energy, equals the predicted one; with ``"band"`` the band energy is thus
        that of a model of band energies, and a :class:`~skldos.SiteRidgeCV` inside must choose by
        ``criterion="dos"``. For bulk cells.

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor.
    decomposer_ : ADOSDecomposer
        The fitted decomposer.
    energies_ : ndarray of shape (n_energies,)
        Energies of the densities of states in eV.
    broadening_, kernel_ : float and str, or None
        Broadening of the snapshots' LDOS, as in :class:`~skldos.EnergyGrid`.
    calculation_ : dict
        Functional, charge and pseudopotentials of the snapshots, as far as they are known.
    n_features_in_ : int
        Number of features.
    reference_ : ReferenceEnergy or None
        The model of the reference energies, with the chosen penalty ``alpha`` and ``error``, the
        leave-one-out root mean square error in eV over the training snapshots.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import AtomSNAPTransformer, BandEnergyScorer, RowWise
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.regressors.ados import ADOSRegressor
    >>> from skldos.regressors.site import SiteRegressor
    >>> model = make_pipeline(
    ...     AtomSNAPTransformer(twojmax=4),
    ...     RowWise(StandardScaler()),
    ...     ADOSRegressor(SiteRegressor(Ridge())),
    ... )
    >>> search = GridSearchCV(
    ...     model,
    ...     {"adosregressor__decomposer__sigma": [0.8, 1.3]},
    ...     scoring=BandEnergyScorer(),
    ...     cv=2,
    ... ).fit(make_snapshots(4, random_state=0))
    >>> search.predict(make_snapshots(1, random_state=1))
    Blocks(1 of shape (4, 21))
    """

    def __init__(self, regressor, decomposer=None, *, align=None):
        self.regressor = regressor
        self.align = align
        # Created here rather than in fit, so that searches find the parameters of the default.
        self.decomposer = ADOSDecomposer() if decomposer is None else decomposer

    def fit(self, X, y=None, sample_weight=None):
        """Decompose the LDOS of the blocks' snapshots and fit the regressor.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot, made of snapshots by a transformer.
        y : sequence of array-like of shape (n_x, n_y, n_z, n_energies), optional
            LDOS to decompose; None uses that of the snapshots.
        sample_weight : array-like of shape (n_snapshots,), optional
            Weights of the snapshots; the regressor must support them. None weights all equally.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        SnapshotError
            If a snapshot has no LDOS, or a different energy grid.
        ValueError
            If the blocks are not linked to snapshots, or do not have one row per atom; or if the
            regressor does not go with `align`.
        """
        check_option("align", self.align, (None, *ALIGNMENTS))
        snapshots = self._snapshots(X, y)
        self.decomposer_ = clone(self.decomposer)
        targets = self.decomposer_.fit_transform(snapshots)
        self.energies_ = common_energies(snapshots)
        self.broadening_, self.kernel_ = common_broadening(snapshots)
        self.calculation_ = common_calculation(snapshots)
        if y is None:
            warn_of_training_data(targets, snapshots)
        self.n_features_in_ = math.prod(X[0].shape[1:])
        self._fitted_align, self.reference_ = self.align, None
        if self.align is not None:
            X, targets = self._aligned(X, snapshots, targets, sample_weight)
        self.regressor_ = clone(self.regressor).fit(X, targets, **weights_for(sample_weight))
        return self

    def predict(self, X, **options):
        """Predict the density of states of every atom.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot.
        **options : dict
            Further options of the regressor's ``predict``.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_energies)`` per snapshot, in 1/eV.
        """
        check_is_fitted(self)
        if self._fitted_align is None:
            return self.regressor_.predict(X, **options)
        if options:
            raise ValueError(
                f"predict takes no options with align={self._fitted_align!r}, got {[*options]}."
            )
        return self._in_own_frames(X, self.regressor_.predict(X))

    def predict_sum(self, X):
        """Predict the density of states of every snapshot, the sum over its atoms.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot.

        Returns
        -------
        ndarray of shape (n_snapshots, n_energies)
            In 1/eV.
        """
        check_is_fitted(self)
        return self.decomposer_.inverse_transform(self.predict(X))

    # The common frame of a snapshot depends on all its atoms.
    @available_if(lambda self: self.reference_ is None and hasattr(self.regressor_, "predict_lazy"))
    def predict_lazy(self, X):
        """Return blocks of densities of states whose rows are predicted when they are read.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot.

        Returns
        -------
        Blocks of shape (n_snapshots,)
            One lazy block ``(n_atoms, n_energies)`` per snapshot, in 1/eV.
        """
        check_is_fitted(self)
        return self.regressor_.predict_lazy(X)

    def score(self, X, y=None):
        r"""Return the coefficient of determination of the densities of states of atoms.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot.
        y : sequence of array-like of shape (n_x, n_y, n_z, n_energies), optional
            True LDOS; None uses that of the snapshots.

        Returns
        -------
        float
            :math:`1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2` over all atoms and energies.
        """
        check_is_fitted(self)
        snapshots = self._snapshots(X, y)
        common_calculation(snapshots, self.calculation_)
        true = self.decomposer_.transform(snapshots)
        return coefficient_of_determination(zip(true, self.predict(X), strict=True))

    def _aligned(self, X, snapshots, targets, sample_weight):
        """Learn the reference energies; return blocks and targets in the common frame."""
        if hasattr(self.regressor, "sample_sums"):
            raise ValueError(
                f"align={self.align!r} needs a regressor without uncertainties, got "
                f"{self.regressor!r}: they would not include those of the reference energies."
            )
        if self.align == "band" and getattr(self.regressor, "criterion", None) == "band_energy":
            raise ValueError(
                "align='band' needs SiteRidgeCV(criterion='dos'), got criterion='band_energy': "
                "aligned spectra all have the same band energy, which therefore prefers no model."
            )
        energies, spacing = self.energies_, np.diff(self.energies_)
        if np.ptp(spacing) > 1e-6 * spacing[0]:
            raise ValueError(
                f"align={self.align!r} needs evenly spaced energies, got {EnergyGrid(energies)!r}."
            )
        for snapshot in snapshots:
            snapshot.require("temperature", "n_electrons")
        state = electrons_and_temperatures(snapshots, self.calculation_)
        dos = np.stack([np.sum(block, axis=0) for block in targets])
        references = reference_energies(dos, energies, kind=self.align, **state)
        weights = checked_weights(sample_weight, len(X))
        self.reference_ = ReferenceEnergy().fit(X, snapshots, references, weights)
        # From the lowest state below its reference to the highest above.
        step = spacing.mean()
        first = np.floor((energies[0] - references.max()) / step)
        last = np.ceil((energies[-1] - references.min()) / step)
        self._frame = step * np.arange(first, last + 1)
        targets = [
            shift_dos(np.asarray(block), energies, self._frame, reference)
            for block, reference in zip(targets, references, strict=True)
        ]
        grid = EnergyGrid(self._frame, broadening=self.broadening_, kernel=self.kernel_)
        frames = SnapshotList(
            [s.replace(energies=grid, ldos=None, reference={}) for s in snapshots]
        )
        return Blocks(list(X), frames, X.derivatives), targets

    def _in_own_frames(self, X, blocks):
        """Return predicted blocks of the common frame at the energies of the snapshots."""
        snapshots = self._snapshots(X, None)
        references = self.reference_.predict(X, snapshots)
        state = electrons_and_temperatures(snapshots, self.calculation_)
        blocks = [np.asarray(block, dtype=float) for block in blocks]
        frames = self._frame, self.energies_
        shifted = align_sums(blocks, *frames, references, kind=self._fitted_align, **state)
        return Blocks(shifted, snapshots)

    def _snapshots(self, X, y):
        """Return the snapshots behind the blocks, with the LDOS `y` if that is given."""
        snapshots = linked_snapshots(X, type(self).__name__)
        for i, (block, snapshot) in enumerate(zip(X, snapshots, strict=True)):
            if len(block) != len(snapshot.atoms):
                raise ValueError(
                    f"X[{i}] must have one row per atom of {snapshot!r}, got {len(block)}: begin "
                    "the pipeline with a transformer of atoms such as AtomSOAPTransformer."
                )
        if y is None:
            return snapshots
        if len(y) != len(X):
            raise ValueError(f"X has {len(X)} blocks, but y has {len(y)}; they must match.")
        return [s.replace(ldos=ldos) for s, ldos in zip(snapshots, y, strict=True)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags
