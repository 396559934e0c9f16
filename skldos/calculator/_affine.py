"""The matrix of a row-wise transformer that is an affine map."""

import numpy as np

#: Length of the probes; a power of two, and large against the means that a scaler subtracts.
PROBE = 2.0**20
#: How far a map may be from affine, relative to its largest value: rounding, with room.
TOLERANCE = 1e-8


# A map that takes logarithms, say, is told by an error, and not by warnings of infinity before it.
@np.errstate(all="ignore")
def matrix_of(transform, n_features, name="the transformer"):
    r"""Return the matrix M of a map :math:`x \mapsto x M + c` of rows.

    It is found by looking at zero and at multiples of the unit vectors, so that any scaler,
    projection or selection will do, and a transformer that is not affine is noticed.

    Parameters
    ----------
    transform : callable
        Takes and returns rows, float64 arrays of shape (n_rows, n_features) and (n_rows, n_out).
    n_features : int
        Width of the rows.
    name : str
        What to call it in the message.

    Returns
    -------
    ndarray of shape (n_features, n_out)

    Raises
    ------
    ValueError
        If the map is not affine.

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
