"""Uncertainties of Fermi levels and band energies, from those of the density of states."""

import numpy as np

from skldos.data import Blocks
from skldos.exceptions import ScoringError, as_scoring_error
from skldos.physics import band_energy, fermi_level
from skldos.prediction.dos import site_volume
from skldos.prediction.observables import band_energy_weights
from skldos.prediction.pipelines import lazy_inputs, regressor_of, snapshots_of
from skldos.prediction.unlabelled import filled


def energy_uncertainty(estimator, X):
    r"""Predict Fermi levels and band energies with their standard deviations.

    Every sample of the density of states has its own Fermi level and band energy. Correlations
    between atoms and between energies are thus included: errors of atoms with the same sign add
    up, and errors at unoccupied energies do not count.

    Parameters
    ----------
    estimator : estimator
        Fitted; a regressor with ``sample_sums``, such as :class:`MCDropout`, alone, inside an
        :class:`~skldos.ADOSRegressor` or at the end of a pipeline.
    X : sequence of Snapshot, or Blocks
        Snapshots, or blocks made of them if the estimator takes blocks. If a snapshot lacks
        energies, number of electrons or temperature, as bare atoms do, those of the training data
        are used.

    Returns
    -------
    pandas.DataFrame
        One row per snapshot: ``n_atoms``, ``temperature`` (K), ``fermi_level`` and
        ``band_energy`` (eV), and the standard deviations ``fermi_level_std`` (meV) and
        ``band_energy_std`` (meV/atom), from the samples.

    Raises
    ------
    TypeError
        If the estimator provides no uncertainty.
    ScoringError
        If a sample has no Fermi level within the energies, or blocks do not fit the snapshots.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skldos import ADOSRegressor, AtomSNAPTransformer, RowWise, SiteRegressor
    >>> from skldos.datasets import make_snapshots
    >>> from skldos.uncertainty import RidgePosterior, energy_uncertainty
    >>> snapshots = make_snapshots(6, random_state=0)
    >>> model = make_pipeline(
    ...     AtomSNAPTransformer(twojmax=2),
    ...     RowWise(StandardScaler()),
    ...     ADOSRegressor(RidgePosterior(SiteRegressor(Ridge(1e-3)), random_state=0)),
    ... ).fit(snapshots[:4])
    >>> table = energy_uncertainty(model, snapshots[4:])
    >>> bool((table["band_energy_std"] > 0).all())
    True
    """
    import pandas as pd

    snapshots, energies, levels = sampled_energies(estimator, X)
    n_atoms = np.array([len(s.atoms) for s in snapshots])
    return pd.DataFrame(
        {
            "n_atoms": n_atoms,
            "temperature": [s.temperature for s in snapshots],
            "fermi_level": levels.mean(axis=0),
            "fermi_level_std": 1e3 * levels.std(axis=0, ddof=1),
            "band_energy": energies.mean(axis=0),
            "band_energy_std": 1e3 * energies.std(axis=0, ddof=1) / n_atoms,
        }
    )


def energy_covariance(estimator, X):
    r"""Return the covariances between the errors of the band energies of snapshots.

    :class:`RidgePosterior` has the covariance :math:`V_{ij} \Sigma` of its densities of states in
    closed form. The covariance of the band energies is then :math:`V_{ij}\, w_i^T \Sigma w_j`, with
    the weights w of :func:`skldos.physics.integration_weights` ("energy") at the predicted Fermi
    level. This is exact to first order in the error. For other estimators the covariance comes from
    their samples.

    Parameters
    ----------
    estimator : estimator
        As for :func:`energy_uncertainty`.
    X : sequence of Snapshot, or Blocks
        As for :func:`energy_uncertainty`.

    Returns
    -------
    ndarray of shape (n_snapshots, n_snapshots)
        In (eV/atom)².
    """
    sampler, blocks, snapshots = sampler_and_inputs(estimator, X)
    if hasattr(sampler, "sum_covariance"):
        return sampler.sum_covariance(blocks) * covariance_units(sampler, blocks, snapshots)
    _, energies, _ = sampled_energies(estimator, X)
    n_atoms = np.array([len(s.atoms) for s in snapshots])
    return np.atleast_2d(np.cov(energies / n_atoms, rowvar=False))


def covariance_units(sampler, blocks, snapshots):
    r"""Return :math:`w_i^T \Sigma w_j` in (eV/atom)² for a sampler with a known covariance."""
    sums, volumes = sampler.predict_sum(blocks), _volumes(blocks, snapshots)
    with as_scoring_error(ValueError):
        along = [
            sampler.sum_residuals_ @ band_energy_weights(total * volume, s) * volume / len(s.atoms)
            for total, s, volume in zip(sums, snapshots, volumes, strict=True)
        ]
    return np.array(along) @ np.transpose(along)


def sampled_energies(estimator, X):
    """Return the snapshots, and samples of band energies and Fermi levels in eV as columns."""
    sampler, blocks, snapshots = sampler_and_inputs(estimator, X)
    samples = sampler.sample_sums(blocks)
    energies, levels = np.empty((2, *samples.shape[:2]))
    with as_scoring_error(ValueError):
        for i, (s, volume) in enumerate(zip(snapshots, _volumes(blocks, snapshots), strict=True)):
            dos = volume * samples[:, i]
            levels[:, i] = _fermi_level(dos, s)
            state = {"temperature": s.temperature, "fermi_level": levels[:, i]}
            energies[:, i] = band_energy(dos, s.energies, **state)
    return snapshots, energies, levels


def sampler_and_inputs(estimator, X):
    """Return the regressor with ``sample_sums``, its input blocks, and the snapshots."""
    sampler = _sampler(estimator)
    if sampler is None:
        raise TypeError(
            "estimator must have sample_sums, alone, in an ADOSRegressor or at the end of a "
            f"pipeline, as MCDropout, DeepEnsemble and RidgePosterior have; got {estimator!r}."
        )
    return sampler, *inputs_of(estimator, X)


def knows_uncertainty(estimator):
    """Return whether a fitted model provides uncertainties of its energies."""
    return _sampler(estimator) is not None


def _sampler(estimator):
    """Return the regressor with ``sample_sums``: the last step, or inside an ADOSRegressor."""
    last = regressor_of(estimator)
    candidates = (last, getattr(last, "regressor_", None))
    return next((candidate for candidate in candidates if hasattr(candidate, "sample_sums")), None)


def inputs_of(estimator, X):
    """Return the input blocks of the last step of a pipeline, and their snapshots.

    Data that bare atoms lack come from the model.
    """
    snapshots = snapshots_of(X)
    if len(snapshots) == 0:
        raise ScoringError("X must hold at least one snapshot, got none.")
    snapshots = filled(estimator, snapshots)
    blocks, _ = lazy_inputs(estimator, X if isinstance(X, Blocks) else snapshots, snapshots[0])
    made_of = getattr(blocks, "snapshots", None)
    return blocks, snapshots if made_of is None else filled(estimator, made_of)


def _volumes(blocks, snapshots):
    return [site_volume(len(block), s) for block, s in zip(blocks, snapshots, strict=True)]


def _fermi_level(dos, snapshot):
    snapshot.require("energies", "temperature", "n_electrons")
    state = {"temperature": snapshot.temperature, "n_electrons": snapshot.n_electrons}
    return fermi_level(dos, snapshot.energies, **state)
