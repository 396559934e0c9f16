"""Free energies and forces as sums over atoms of a linear model, fitted in closed form."""

from itertools import product

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from skldos.data.calculation import common_calculation
from skldos.data.free_energies import common_temperature, free_energies_at
from skldos.data.training import has_one_density, mass_density
from skldos.links import PageLinkMixin
from skldos.regressors.checks import checked_candidates, checked_weights
from skldos.regressors.feature_range import feature_range
from skldos.regressors.free_energy._atomic_data import (
    RowsOf,
    checked_energies,
    checked_snapshots,
    means_and_fractions,
)
from skldos.regressors.free_energy._atomic_sums import AtomicSums, Setting
from skldos.regressors.free_energy._leaving_out import LeavingOut, calibration, per_snapshot
from skldos.regressors.free_energy._prediction import FreeEnergyPrediction
from skldos.regressors.free_energy._units import warn_of_outliers, warn_of_units
from skldos.validation import check_option, check_scalar

#: Change of a free energy in eV/atom with the electronic temperature, beyond which forces and
#: stress at that temperature are not used for the common one.
OTHER_FORCES = 0.01


class FreeEnergyRegressor(PageLinkMixin, FreeEnergyPrediction, RegressorMixin, BaseEstimator):
    r"""Free energy of a snapshot as a sum over its atoms, linear in their features.

    .. math:: A = \sum_i \Big( b_{Z_i} + \sum_k w_k \phi_k(i) \Big), \qquad
              F_j = - \sum_k w_k \frac{\partial}{\partial R_j} \sum_i \phi_k(i)

    Total free energies, forces and, where there are any, stresses of all snapshots are fitted at
    once: with errors of energies per atom e, forces F and virials per atom v (stress times volume),
    the weights minimise

    .. math:: \sum_{s} \big( \lambda_e^2\, \delta e_s^2 + |\delta F_s|^2 +
              \lambda_v^2\, |\delta v_s|^2 \big) + \alpha\, \bar\mu\, |w|^2 ,

    where :math:`\bar\mu` is the mean eigenvalue of the normal matrix for weights of one (which is
    that of the forces, the most by far), so that a penalty means the same for any features. The
    baseline b, one number per element, is not penalised: the composition is fitted first. Forces
    are exact gradients of the energies.

    The penalty and both weights are chosen by leaving out one snapshot after the other, with its
    energy, all of its forces and its stress, in closed form: with H the matrix that turns targets
    into predictions, the errors of snapshot s in a model without it are
    :math:`[(1 - H)_{ss}]^{-1}` times those of the model with it.

    Parameters
    ----------
    alphas : sequence of float, default=(1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
        Penalties to choose from, relative to the mean eigenvalue.
    energy_weights : sequence of float, default=(10.0, 30.0, 100.0, 300.0)
        :math:`\lambda_e` to choose from, in 1/Å: 100 weighs an error of 1 meV/atom like one of
        0.1 eV/Å in one component of one force.
    virial_weights : sequence of float, default=(10.0,)
        :math:`\lambda_v` to choose from, in 1/Å; without effect where no snapshot has a stress.
    forces : bool, default=True
        Whether forces and stresses are fitted, or energies alone.
    temperature : float, "ignore" or None, default=None
        Electronic temperature in K of what is predicted. Free energies of snapshots at other
        temperatures are brought to it by their density of states, of their LDOS or
        ``reference["dos"]``, which is taken as frozen. None takes the temperature that most
        snapshots have; ``"ignore"`` takes all free energies as they are.
    pulay_virial : float or "fit", default=0.0
        What stress times volume has in addition to the derivative of the energy, in eV/atom, a
        third of the trace. Plane waves of a fixed cutoff make it so where they are few (Pulay
        stress); it is left out of predictions. ``"fit"`` finds it, which takes energies at several
        densities.
    n_jobs : int, optional
        Number of workers over snapshots, which compute the derivatives of the features; None means
        one, unless :func:`joblib.parallel_config` sets another number. Any joblib backend works.
        The results are bitwise identical.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights w in eV.
    baseline_ : dict of str to float
        Energy of an atom of each element in eV without its features.
    temperature_ : float or None
        Electronic temperature of the predicted free energies in K; None if the snapshots had none,
        or if differences were ignored.
    alpha_, energy_weight_, virial_weight_ : float
        The chosen ones.
    pulay_virial_ : float
        In eV/atom, as given or found.
    errors_ : dict of str to ndarray of shape (n_settings,)
        A table of what was tried, ``pandas.DataFrame(model.errors_)``: ``"energy_weight"``,
        ``"virial_weight"``, ``"alpha"``, and root mean square errors of snapshots left out:
        ``"energy"`` in meV/atom, ``"forces"`` in eV/Å, ``"virial"`` in meV/atom, as far as they
        are fitted.
    left_out_errors_ : dict of str to ndarray of shape (n_snapshots,)
        The same for every snapshot, with the setting that all others choose, so that they are not
        the best of several: ``"energy"`` predicted minus true, the others root mean squares. NaN
        for the energy of the only snapshot with an element, and for snapshots without a stress.
        Snapshots of weight zero are left out.
    best_score_ : float
        Negative error by which the choice was made, the geometric mean of all kinds.
    calculation_ : dict
        What the calculations of the snapshots have in common, and the ranges of their densities
        and temperatures.
    n_features_in_ : int
        Number of features.
    feature_range_ : ndarray of shape (2, n_features) or None
        Smallest and largest value of every feature in the training data. Predictions far outside
        of it warn. None of fewer than 100 atoms.

    See Also
    --------
    skldos.SiteRidgeCV : The same idea for densities of states.
    skldos.ForceScorer : Errors of the forces.

    Notes
    -----
    Features must have derivatives: blocks of ``AtomSOAPTransformer`` and
    ``AtomSNAPTransformer`` do, also after affine row-wise steps such as
    ``RowWise(StandardScaler())`` and in a ``BlockUnion``. The normal equations are summed up
    snapshot by snapshot. Derivatives are kept up to half a gigabyte, those of further snapshots
    are computed again when they are needed; so memory does not grow with their number, but by the
    blocks themselves. Leaving out a snapshot takes the cube of the number of its forces, for every
    setting: some hundred atoms are fine, thousands are not.

    Forces and stresses are not brought to another electronic temperature. Where it changes the free
    energy by more than 10 meV/atom, those of the snapshot are left out of the fit.

    Standard deviations are those of the posterior, scaled such that the errors of snapshots left
    out are as large as they say, with a constant part besides. Between 1 and 0.1 of the variance
    follows the posterior, as is most likely by these errors.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from sklearn.pipeline import make_pipeline
    >>> from skldos import AtomSNAPTransformer, FreeEnergyRegressor
    >>> images = []
    >>> for seed in range(6):
    ...     atoms = bulk("Al", cubic=True)
    ...     atoms.rattle(0.1, seed=seed)
    ...     atoms.calc = EMT()
    ...     energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    ...     images.append(atoms)
    >>> model = make_pipeline(AtomSNAPTransformer(twojmax=4), FreeEnergyRegressor())
    >>> error = model.fit(images[:5]).predict(images[5:])[0] - energy
    >>> bool(abs(error) / 4 < 0.005)  # eV/atom
    True
    >>> from skldos import predict_forces
    >>> predict_forces(model, images[5:])[0].shape
    (4, 3)
    """

    def __init__(
        self,
        alphas=(1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4),
        energy_weights=(10.0, 30.0, 100.0, 300.0),
        virial_weights=(10.0,),
        forces=True,
        temperature=None,
        pulay_virial=0.0,
        *,
        n_jobs=None,
    ):
        self.alphas = alphas
        self.energy_weights = energy_weights
        self.virial_weights = virial_weights
        self.forces = forces
        self.temperature = temperature
        self.pulay_virial = pulay_virial
        self.n_jobs = n_jobs

    def fit(self, X, y=None, sample_weight=None):
        """Choose penalty and weights, and fit baseline and features.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,)
            One block ``(n_atoms, n_features)`` per snapshot, made of snapshots by a transformer of
            atoms; at least two. Free energies, forces and stress come from the `reference` of the
            snapshots: ``"total_energy"`` (eV), ``"forces"`` (eV/Å) and ``"stress"`` (eV/Å³, (3, 3)
            or in Voigt's order, positive if the cell wants to shrink). ``ase.Atoms`` that carry
            results of a calculator have them there. Snapshots without a stress are fitted without.
        y : array-like of shape (n_snapshots,), optional
            Total free energies in eV at the temperatures of the snapshots; None takes those of the
            snapshots.
        sample_weight : array-like of shape (n_snapshots,), optional
            Weights of the snapshots: 2 stands for two copies, which are left out together; 0
            leaves a snapshot out. None weights all equally.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError
            If blocks are not linked to snapshots, lack derivatives or are too few, or if shapes
            differ.
        SnapshotError
            If a snapshot lacks its free energy or forces, or electronic temperatures differ and
            one has no density of states.

        Warns
        -----
        UserWarning
            If energies and forces contradict each other by a factor of three, as in other units,
            or the energy of one snapshot is more than 10 eV/atom off those of most others.
        """
        settings = self._settings()
        snapshots = checked_snapshots(X, type(self).__name__)
        energies = checked_energies(y, len(X))
        counts = checked_weights(sample_weight, len(X))
        counts = np.ones(len(X)) if counts is None else counts
        present = np.flatnonzero(counts)
        if len(present) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two snapshots (of a weight above zero), got "
                f"{len(present)}."
            )
        X, counts, snapshots = X[present], counts[present], snapshots[present]
        energies = None if energies is None else energies[present]
        self.calculation_ = common_calculation(snapshots)
        if self.pulay_virial == "fit" and has_one_density(self.calculation_["training"]):
            raise ValueError(
                "pulay_virial='fit' needs snapshots whose densities differ by at least 1 %: at "
                "a single density it cannot be separated from the pressure."
            )
        self.temperature_ = common_temperature(snapshots, self.temperature)
        targets = free_energies_at(snapshots, self.temperature_, energies)
        original = (
            targets if self.temperature_ is None else free_energies_at(snapshots, None, energies)
        )
        self.elements_ = sorted({symbol for s in snapshots for symbol in s.atoms.symbols})
        self.n_features_in_ = X[0].shape[1]
        self.feature_range_ = feature_range([*X])
        n_atoms = np.array([len(s.atoms) for s in snapshots])
        has_forces = np.abs(targets - original) / n_atoms <= OTHER_FORCES
        means, fractions = means_and_fractions(X, self.elements_, self.n_features_in_)
        if self.temperature != "ignore":  # hot electrons change energies by any amount
            warn_of_outliers(targets / n_atoms, fractions)
        problem = AtomicSums(
            means,
            targets / n_atoms,
            fractions,
            RowsOf(X, has_forces if self.forces else None),
            counts,
            None if self.pulay_virial == "fit" else self.pulay_virial,
            self.n_jobs,
        )
        self._choose(problem, settings)
        if problem.n_forces:
            densities = np.array([mass_density(s.atoms) for s in snapshots])
            by_forces = problem.energies_by_forces(self.alpha_)
            warn_of_units(*by_forces, fractions, densities, counts)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    # ---------------------------------------------------------------- fitting

    def _settings(self):
        """Return all settings to choose from, those of the same weights together."""
        alphas = checked_candidates("alphas", self.alphas)
        energy_weights = checked_candidates("energy_weights", self.energy_weights)
        virial_weights = checked_candidates("virial_weights", self.virial_weights)
        check_option("forces", self.forces, (True, False))
        if isinstance(self.temperature, str):
            check_option("temperature", self.temperature, ("ignore",))
        if isinstance(self.pulay_virial, str):
            check_option("pulay_virial", self.pulay_virial, ("fit",))
        else:
            check_scalar("pulay_virial", self.pulay_virial)
        if not self.forces:  # the weight of the only kind has no effect
            energy_weights = [1.0]
        return [*map(Setting._make, product(energy_weights, virial_weights, alphas))]

    def _choose(self, problem, settings):
        if not problem.n_stressed:
            first = settings[0].virial_weight
            settings = [setting for setting in settings if setting.virial_weight == first]
        kinds = ["energy"]
        kinds += ["forces"] if problem.n_forces else []
        kinds += ["virial"] if problem.n_stressed else []
        search = LeavingOut(problem, settings, kinds)
        best, error = search.best()
        self.best_score_ = -error
        self.energy_weight_, self.virial_weight_, self.alpha_ = settings[best]
        units = {"energy": 1e3, "forces": 1.0, "virial": 1e3}
        self.errors_ = {
            name: np.array([getattr(s, name) for s in settings]) for name in Setting._fields
        }
        self.errors_ |= {kind: units[kind] * e for kind, e in search.errors().items()}
        nested = search.nested()
        self.left_out_errors_ = {kind: per_snapshot(nested, kind, units[kind]) for kind in kinds}
        self._calibration = {kind: calibration(nested, kind, problem.counts) for kind in kinds}
        decomposed = problem.decompose(self.energy_weight_, self.virial_weight_)
        self.coef_, baseline, self.pulay_virial_ = problem.solve(decomposed, self.alpha_)
        self.baseline_ = dict(zip(self.elements_, baseline.tolist(), strict=True))
        # For the posterior: the inverse of the normal matrix, and the terms of the baseline.
        self._whitening = decomposed[1] / np.sqrt(decomposed[0] + self.alpha_ * problem.scale)
        self._feature_baseline = problem.feature_baseline
        self._composition_inverse = problem.composition_inverse
        self._n_stressed = problem.n_stressed
