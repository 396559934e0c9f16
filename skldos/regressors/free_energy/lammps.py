"""Fitted pipelines as potentials for LAMMPS."""

from itertools import permutations

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skldos.descriptors import AtomSNAPTransformer, RowWise
from skldos.descriptors.affine import matrix_of
from skldos.descriptors.bispectrum import bispectrum_components
from skldos.io.lammps import write_snap_files
from skldos.regressors.free_energy.regressor import FreeEnergyRegressor


def write_snap(path, potential):
    """Write a potential that is linear in the bispectrum for LAMMPS's ``pair_style snap``.

    LAMMPS gives the same energies, forces and virial. The header of the first file has the two
    LAMMPS commands that load the potential. The files use ``units metal``.

    Parameters
    ----------
    path : str or path-like
        Path without suffix: ``.snapcoeff`` and ``.snapparam`` are added.
    potential : sklearn.pipeline.Pipeline
        A fitted pipeline of an ``AtomSNAPTransformer``, any number of affine ``RowWise`` steps,
        and a ``FreeEnergyRegressor``.

    Returns
    -------
    tuple of two pathlib.Path
        The files.

    Raises
    ------
    TypeError
        If the pipeline has other steps.
    ValueError
        If a row-wise step is not affine.

    Notes
    -----
    LAMMPS computes in double precision, whatever the `dtype` of the transformer. The potential
    belongs to one electronic temperature, that of the model.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.pipeline import make_pipeline
    >>> from skldos import AtomSNAPTransformer, FreeEnergyRegressor
    >>> from skldos.datasets import load_aluminium
    >>> from skldos.io import write_snap
    >>> model = make_pipeline(AtomSNAPTransformer(4.0, twojmax=2), FreeEnergyRegressor())
    >>> model = model.fit(load_aluminium(temperature=298))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     coefficients, parameters = write_snap(f"{folder}/Al", model)
    ...     print(coefficients.read_text().splitlines()[2:4])
    ['1 6', 'Al 0.5 1.0']
    """
    snap, steps, regressor = _steps(potential)
    snap.check_fitted()
    check_is_fitted(regressor)
    matrix, offset = np.eye(snap.n_features_out_), np.zeros(snap.n_features_out_)
    for step in steps:
        transform = step.row_transformer_.transform
        name = type(step.row_transformer_).__name__
        matrix = matrix @ matrix_of(transform, matrix.shape[1], name)
        offset = np.asarray(transform(offset[None]))[0]
    # E_i = b_Z + (B M + c) · w
    beta, constant = matrix @ regressor.coef_, offset @ regressor.coef_
    elements = list(snap.species_)
    if snap.chem:
        beta = symmetrised(beta, len(elements), int(snap.twojmax))
    coefficients = {z: [regressor.baseline_[z] + constant, *beta] for z in elements}
    return write_snap_files(
        path,
        coefficients,
        r_cut=snap.r_cut,
        twojmax=int(snap.twojmax),
        weights=snap.weights or dict.fromkeys(elements, 1.0),
        radii=snap.radii or dict.fromkeys(elements, 1.0),
        rfac0=float(snap.rfac0),
        rmin0=float(snap.rmin0),
        switchflag=int(snap.switch),
        bzeroflag=0,
        quadraticflag=0,
        chemflag=int(snap.chem),
        bnormflag=0,
        wselfallflag=0,
    )


def symmetrised(beta, n_elements, twojmax):
    r"""Return coefficients of the same energy that agree for equal components.

    Where two of :math:`j_1, j_2, j` are equal, exchanging their elements leaves
    :math:`B^{\kappa\lambda\mu}_{j_1 j_2 j}` as it is. The forces of LAMMPS are gradients of its
    energies only if the coefficients are equal as well. `beta`, of shape
    (n_elements**3 * n_components,), is for the components of all triples of elements.

    Examples
    --------
    >>> symmetrised(np.arange(8.0), 2, 0)  # of B_000, by the number of atoms of the second kind
    array([0.        , 2.33333333, 2.33333333, 4.66666667, 2.33333333,
           4.66666667, 4.66666667, 7.        ])
    """
    beta = beta.reshape(n_elements, n_elements, n_elements, -1).copy()
    for i, orders in enumerate(bispectrum_components(twojmax)):
        equal = [
            axes for axes in permutations(range(3)) if orders == tuple(orders[a] for a in axes)
        ]
        beta[..., i] = sum(beta[..., i].transpose(axes) for axes in equal) / len(equal)
    return beta.ravel()


def _steps(potential):
    """Return transformer, row-wise steps and regressor of a pipeline after checking them."""
    steps = [step for _, step in potential.steps] if isinstance(potential, Pipeline) else []
    kinds = [AtomSNAPTransformer, *[RowWise] * (len(steps) - 2), FreeEnergyRegressor]
    fits = len(steps) >= 2 and all(map(isinstance, steps, kinds))
    if not fits:
        names = [type(step).__name__ for step in steps] or type(potential).__name__
        raise TypeError(
            "potential must be a pipeline of AtomSNAPTransformer, RowWise steps and "
            f"FreeEnergyRegressor, got {names}."
        )
    return steps[0], steps[1:-1], steps[-1]
