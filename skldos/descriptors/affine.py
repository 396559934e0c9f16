"""The matrix of a row-wise transformer that is an affine map."""

import numpy as np

#: Length of the probes: a power of two, large compared with the means that a scaler subtracts.
PROBE = 2.0**20
#: Allowed deviation from an affine map, relative to its largest value: rounding with some slack.
TOLERANCE = 1e-8


def through(row_transformer, n_features, derivatives):
    """Turn derivatives of sums of rows before a fitted affine transformer into those after it.

    ``derivatives()`` returns arrays whose last axis runs over the `n_features` before it.
    """
    matrix = matrix_of(row_transformer.transform, n_features, type(row_transformer).__name__)
    return tuple(by @ matrix for by in derivatives())


# A non-affine map, such as a logarithm, gives an error, without warnings of infinity before it.
@np.errstate(all="ignore")
def matrix_of(transform, n_features, name="the transformer"):
    r"""Return the matrix M, (n_features, n_out), of a map :math:`x \mapsto x M + c` of rows.

    The matrix follows from the images of zero and of multiples of the unit vectors. This works for
    any scaler, projection or selection, and reveals transformers that are not affine, with a
    ``ValueError``.

    Examples
    --------
    >>> matrix_of(lambda rows: 3 * rows[:, :1] - 7, 2)
    array([[3.],
           [0.]])
    """
    origin = transform(np.zeros((1, n_features)))
    matrix = (transform(PROBE * np.eye(n_features)) - origin) / PROBE
    directions = np.random.default_rng(0).normal(size=(4, n_features))
    for length in (1e-2, 1.0, 1e3):
        probe = length * directions
        values = transform(probe)
        error = np.abs(values - probe @ matrix - origin).max()
        if not error <= TOLERANCE * max(np.abs(values).max(), np.abs(origin).max()):
            raise ValueError(
                f"forces need row-wise steps that are affine, such as StandardScaler or PCA; "
                f"{name} is not."
            )
    return matrix
