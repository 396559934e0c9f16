"""Laws of decomposers, which describe fields of a snapshot by numbers for its atoms."""

import numpy as np
from sklearn.base import clone

from skldos.exceptions import SnapshotError
from skldos.testing._checks import close, named, raises, require, run
from skldos.testing.transformers import default_snapshots, transformer_checks


def check_decomposer(decomposer, snapshots=None):
    """Check that a decomposer obeys the laws of all of them.

    These are the laws of a transformer (:func:`~skldos.testing.check_transformer`); the rows are
    those of the atoms, and ``inverse_transform`` makes of them one field, or one density of
    states, per snapshot, linearly but for a constant.

    Parameters
    ----------
    decomposer : estimator
        Makes blocks ``(n_atoms, n_features)`` of snapshots with fields.
    snapshots : SnapshotList, optional
        As in :func:`~skldos.testing.check_transformer`, with the fields that are decomposed.

    Raises
    ------
    AssertionError
        If a law does not hold; the message names it.

    Examples
    --------
    >>> from skldos import ADOSDecomposer
    >>> from skldos.testing import check_decomposer
    >>> check_decomposer(ADOSDecomposer())
    """
    run(decomposer_checks(decomposer, snapshots), type(decomposer).__name__)


def decomposer_checks(decomposer, snapshots=None):
    """Return the checks of :func:`check_decomposer` one by one.

    Parameters
    ----------
    decomposer : estimator
        The decomposer.
    snapshots : SnapshotList, optional
        As in :func:`check_decomposer`.

    Returns
    -------
    list of (str, callable)
        Names and checks to be called without arguments.

    Examples
    --------
    >>> from skldos import ADOSDecomposer
    >>> from skldos.testing import decomposer_checks
    >>> dict(decomposer_checks(ADOSDecomposer()))["rows_are_atoms"]()
    """
    snapshots = default_snapshots() if snapshots is None else snapshots
    return transformer_checks(decomposer, snapshots) + named(CHECKS, decomposer, snapshots)


def check_rows_are_atoms(decomposer, snapshots):
    """Check: a block has a row per atom."""
    for block, snapshot in zip(clone(decomposer).fit_transform(snapshots), snapshots, strict=True):
        require(
            len(block) == len(snapshot.atoms), f"{len(block)} rows, {len(snapshot.atoms)} atoms"
        )


def check_fields_are_needed(decomposer, snapshots):
    """Check: snapshots without the field raise an error that names them."""
    bare = [snapshot.atoms for snapshot in snapshots]
    raises(SnapshotError, clone(decomposer).fit, bare)
    raises(SnapshotError, clone(decomposer).fit(snapshots).transform, bare)


def check_inverse_is_affine(decomposer, snapshots):
    """Check: the inverse of a sum of blocks is the sum of their inverses, up to a constant."""
    fitted = clone(decomposer)
    blocks = fitted.fit_transform(snapshots)
    other = blocks.copy()
    for i, block in enumerate(blocks):
        other[i] = np.asarray(block)[::-1] * 0.5

    def of(factor, more):
        made = blocks.copy()
        for i, block in enumerate(blocks):
            made[i] = factor * np.asarray(block) + more * other[i]
        return fitted.inverse_transform(made)

    whole, one, two, nothing = of(1, 1), of(1, 0), of(0, 1), of(0, 0)
    require(len(whole) == len(snapshots), f"{len(whole)} fields of {len(snapshots)} snapshots")
    for a, b, c, zero in zip(whole, one, two, nothing, strict=True):
        close(a + zero, b + c, "the inverse of a sum")


CHECKS = (check_rows_are_atoms, check_fields_are_needed, check_inverse_is_affine)
