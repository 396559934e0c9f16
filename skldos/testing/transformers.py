"""Laws of transformers from snapshots to blocks."""

import pickle
import tempfile

import joblib
import numpy as np
from ase import Atoms
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skldos.data import Blocks, LazyArray, SnapshotList
from skldos.datasets import make_snapshots
from skldos.exceptions import SkldosError
from skldos.testing import changes
from skldos.testing._checks import close, named, raises, require, run

#: Parameters that may change after ``fit``: how something is computed, or on which sites.
FREE = ("n_jobs", "memory", "verbose", "device", "dtype", "grid_shape", "lazy")


def check_transformer(transformer, snapshots=None):
    """Check that a transformer of snapshots obeys the laws of all of them.

    These are the rules of scikit-learn (parameters, clones, fitting again, pickles, containers),
    the invariances of a crystal (lattice shifts of single atoms, another choice of cell,
    handedness, supercells, order of the atoms, rotations), and what skldos promises: lazy blocks,
    caches and slices equal the whole, and parameters that changed after ``fit`` never act in
    ``transform``.

    Parameters
    ----------
    transformer : estimator
        Makes one block per snapshot, with a row per grid point or per atom. If its attribute
        `rotation_invariant` is False, rotations are left out.
    snapshots : SnapshotList, optional
        At least two, on grids with as many points along each cell vector; by default snapshots
        of :func:`~skldos.datasets.make_snapshots`.

    Raises
    ------
    AssertionError
        If a law does not hold; the message names it.

    Examples
    --------
    >>> from skldos import AtomSNAPTransformer
    >>> from skldos.testing import check_transformer
    >>> check_transformer(AtomSNAPTransformer(twojmax=2))
    """
    run(transformer_checks(transformer, snapshots), type(transformer).__name__)


def transformer_checks(transformer, snapshots=None):
    """Return the checks of :func:`check_transformer` one by one.

    Parameters
    ----------
    transformer : estimator
        The transformer.
    snapshots : SnapshotList, optional
        As in :func:`check_transformer`.

    Returns
    -------
    list of (str, callable)
        Names and checks to be called without arguments.

    Examples
    --------
    >>> from skldos import AtomSNAPTransformer
    >>> from skldos.testing import transformer_checks
    >>> checks = dict(transformer_checks(AtomSNAPTransformer(twojmax=2)))
    >>> checks["lattice_shifts"]()
    """
    return named(CHECKS, transformer, default_snapshots() if snapshots is None else snapshots)


def default_snapshots():
    """Return three small snapshots on a cubic grid."""
    return make_snapshots(3, grid_shape=(4, 4, 4), n_energies=5, random_state=0)


# -------------------------------------------------------------------- rules of scikit-learn


def check_parameters(transformer, snapshots):
    """Check: ``__init__`` only stores parameters, and get_params and set_params agree."""
    params = transformer.get_params(deep=False)
    made = type(transformer)(**params)
    for name in params:
        marker = object()
        stored = type(transformer)(**params | {name: marker}).get_params(deep=False)[name]
        require(stored is marker, f"__init__ does not store {name} as it is given")
    fitted = [name for name in vars(made) if name.endswith("_")]
    require(not fitted, f"__init__ sets {fitted}")
    copied = clone(transformer)
    copied.set_params(**transformer.get_params(deep=False))
    _same_parameters(copied, transformer)
    require(type(transformer).__name__ in repr(transformer), "repr() lacks the name of the class")


def check_clones_are_unfitted(transformer, snapshots):
    """Check: a clone has only the parameters, and raises an error if it is not fitted."""
    for copied in (clone(transformer), clone(clone(transformer).fit(snapshots))):
        _same_parameters(copied, transformer)
        raises(NotFittedError, copied.transform, snapshots)


def check_inputs_are_left_alone(transformer, snapshots):
    """Check: ``fit`` returns the transformer; parameters and snapshots do not change."""
    fitted = clone(transformer)
    params, state = joblib.hash(_values(fitted)), joblib.hash(list(snapshots))
    require(fitted.fit(snapshots) is fitted, "fit() does not return self")
    fitted.transform(snapshots)
    require(joblib.hash(_values(fitted)) == params, "fit() or transform() changes parameters")
    require(joblib.hash(list(snapshots)) == state, "fit() or transform() changes the snapshots")


def check_blocks(transformer, snapshots):
    """Check: one finite block per snapshot, with a row per site and a name per column."""
    fitted = clone(transformer)
    blocks = fitted.fit_transform(snapshots)
    require(isinstance(blocks, Blocks), f"transform() returns {type(blocks).__name__}, no Blocks")
    require(len(blocks) == len(snapshots), f"{len(blocks)} blocks of {len(snapshots)} snapshots")
    names = list(fitted.get_feature_names_out())
    require(len(set(names)) == len(names), "names of features occur twice")
    for block, snapshot in zip(blocks, snapshots, strict=True):
        block = np.asarray(block)
        sites = {len(snapshot.atoms), snapshot.n_grid_points}
        require(len(block) in sites, f"{len(block)} rows of {sites} sites")
        width = int(np.prod(block.shape[1:]))
        require(width == len(names), f"{width} columns have {len(names)} names")
        require(np.isfinite(block).all(), "a block is not finite")
    varies = [np.ptp(np.asarray(block), axis=0).max() > 0 for block in blocks]
    require(any(varies), "all sites have the same features")


def check_fitting_again(transformer, snapshots):
    """Check: fitting again forgets earlier fits."""
    expected = clone(transformer).fit(snapshots).transform(snapshots)
    fitted = clone(transformer).fit(snapshots[:1])
    for _ in range(2):
        _same(fitted.fit(snapshots).transform(snapshots), expected, "fitted again", rtol=0)
    _same(clone(transformer).fit_transform(snapshots), expected, "fit_transform()", rtol=0)


def check_lengths(transformer, snapshots):
    """Check: a list of one snapshot works; an empty list or a bare snapshot is an error."""
    fitted = clone(transformer).fit(snapshots)
    whole = fitted.transform(snapshots)
    for i in range(len(snapshots)):
        _same(fitted.transform(snapshots[i : i + 1]), whole[i : i + 1], "a list of one", rtol=0)
    _same(fitted.transform(list(snapshots)), whole, "a plain list", rtol=0)
    require(len(clone(transformer).fit(snapshots[:1]).transform(snapshots[:1])) == 1, "one")
    for method in (clone(transformer).fit, fitted.transform):
        raises((ValueError, SkldosError), method, [])
        raises(TypeError, method, snapshots[0])


def check_n_jobs(transformer, snapshots):
    """Check: results are bitwise independent of the number of jobs."""
    if "n_jobs" in transformer.get_params(deep=False):
        one, two = (
            clone(transformer).set_params(n_jobs=n).fit_transform(snapshots) for n in (1, 2)
        )
        _same(two, one, "two jobs", rtol=0)


def check_pickling(transformer, snapshots):
    """Check: a pickled transformer gives the same results; also with skops, if installed."""
    fitted = clone(transformer).fit(snapshots)
    expected = fitted.transform(snapshots)
    _same(pickle.loads(pickle.dumps(fitted)).transform(snapshots), expected, "pickled", rtol=0)
    try:
        from skops import io
    except ImportError:
        return
    data = io.dumps(fitted)
    trusted = io.get_untrusted_types(data=data)
    ours = [name for name in trusted if not name.startswith("skldos.")]
    foreign = [name for name in ours if not name.startswith(type(transformer).__module__)]
    require(not foreign, f"skops has to trust {foreign}")
    _same(io.loads(data, trusted=trusted).transform(snapshots), expected, "by skops", rtol=0)


def check_set_output(transformer, snapshots):
    """Check: ``set_output(transform="pandas")`` makes DataFrames with named columns."""
    arrays = clone(transformer).fit_transform(snapshots)
    fitted = clone(transformer).set_output(transform="pandas").fit(snapshots)
    for frame, array in zip(fitted.transform(snapshots), arrays, strict=True):
        require(hasattr(frame, "iloc"), f"a block is {type(frame).__name__}, no DataFrame")
        require(list(frame.columns) == list(fitted.get_feature_names_out()), "other column names")
        close(frame.to_numpy(), np.asarray(array).reshape(frame.shape), "values in a DataFrame")


def check_parameters_changed_after_fit(transformer, snapshots):
    """Check: changed parameters have no effect after ``fit``, or a ``ValueError`` names them."""
    expected = clone(transformer).fit(snapshots).transform(snapshots)
    for name, value in _other_parameters(transformer):
        changed = clone(transformer).fit(snapshots)
        changed.set_params(**{name: value})
        try:
            blocks = changed.transform(snapshots)
        except ValueError as error:
            own = name.split("__")[-1]
            require(own in str(error) and "fit" in str(error), f"{name}: {error} does not name it")
        else:
            _same(blocks, expected, f"{name} changed after fit", rtol=0)
    for name in set(FREE) & set(transformer.get_params(deep=False)) - {"dtype", "grid_shape"}:
        value = getattr(transformer, name)
        changed = clone(transformer).fit(snapshots).set_params(**{name: value})
        _same(changed.transform(snapshots), expected, f"{name} set after fit", rtol=0)


# -------------------------------------------------------------------- pieces, laziness, caches


def check_pieces(transformer, snapshots):
    """Check: computing a slice of sites gives the same rows; lazy blocks equal the others."""
    fitted = clone(transformer).fit(snapshots)
    expected = [np.asarray(block) for block in fitted.transform(snapshots)]
    if hasattr(fitted, "transform_lazy"):
        lazy = fitted.transform_lazy(snapshots)
        changed = next((p for p in _other_parameters(transformer) if "__" not in p[0]), None)
        if changed is not None:
            fitted.set_params(**dict([changed]))  # must not affect rows read later
        for block, whole in zip(lazy, expected, strict=True):
            require(isinstance(block, LazyArray), f"{type(block).__name__} is not lazy")
            half = len(whole) // 2
            close(block[half:], whole[half:], "the second half of a lazy block")
            close(pickle.loads(pickle.dumps(block))[:half], whole[:half], "a pickled lazy block")


def check_memory(transformer, snapshots):
    """Check: a cached block equals the computed one, also after other parameters were cached."""
    if "memory" not in transformer.get_params(deep=False):
        return
    variants = [{}, *({name: value} for name, value in _other_parameters(transformer))]
    if "dtype" in transformer.get_params(deep=False):
        variants.append({"dtype": "float32"})
    samples = [snapshots, _displaced(snapshots), _with_scaled_fields(snapshots)]
    with tempfile.TemporaryDirectory() as folder:
        for i, params in enumerate(variants):
            for X in samples if i == 0 else samples[:1]:
                plain = clone(transformer).set_params(**params)
                try:
                    expected = plain.fit_transform(X)
                except (ValueError, TypeError, KeyError):
                    continue  # not a valid value of this parameter
                cached = clone(plain).set_params(memory=folder)
                for _ in range(2):
                    blocks = cached.fit_transform(X)
                    _same(blocks, expected, f"from memory, with {params}", rtol=1e-12)


# -------------------------------------------------------------------- symmetries of a crystal


def check_lattice_shifts(transformer, snapshots):
    """Check: atoms outside the cell give the same features as inside."""
    _invariant(transformer, snapshots, changes.lattice_shifts)


def check_another_cell(transformer, snapshots):
    """Check: other vectors of the same lattice, related by integers, give the same features."""
    _invariant(transformer, snapshots, changes.another_cell)


def check_left_handed_cell(transformer, snapshots):
    """Check: the handedness of the cell does not matter."""
    _invariant(transformer, snapshots, changes.left_handed)
    _invariant(transformer, snapshots, changes.reversed_axis)


def check_supercell(transformer, snapshots):
    """Check: a supercell has the features of the cell, repeated."""
    _invariant(transformer, snapshots, changes.supercell)


def check_order_of_atoms(transformer, snapshots):
    """Check: rows of atoms follow the order of atoms; those of grid points do not change."""
    _invariant(transformer, snapshots, changes.reordered)


def check_rotation(transformer, snapshots):
    """Check: features do not change when atoms and cell are rotated."""
    if getattr(transformer, "rotation_invariant", True):
        _invariant(transformer, snapshots, changes.rotated)


# -------------------------------------------------------------------- derivatives


def check_derivatives(transformer, snapshots):
    """Check: derivatives, if available, agree with the blocks."""
    fitted = clone(transformer).fit(snapshots)
    snapshot = snapshots[0].replace(ldos=None, density=None)
    if not hasattr(fitted, "derivatives"):
        return
    try:
        by_positions, by_strain = fitted.derivatives(snapshot)
    except NotImplementedError:
        return
    rng = np.random.default_rng(0)
    direction = rng.normal(size=snapshot.atoms.positions.shape)
    strain = rng.normal(size=(3, 3))

    def features(shift, stretch):
        atoms = snapshot.atoms.copy()
        atoms.positions += shift * direction
        matrix = np.eye(3) + stretch * strain
        atoms = Atoms(atoms, positions=atoms.positions @ matrix, cell=atoms.cell @ matrix)
        block = fitted.transform([snapshot.replace(atoms=atoms)])[0]
        return np.asarray(block, dtype=float).reshape(len(block), -1).sum(axis=0)

    for name, found, way in (
        ("positions", np.einsum("iak,ia->k", by_positions, direction), np.array([1, 0])),
        ("strain", np.einsum("abk,ab->k", by_strain, strain), np.array([0, 1])),
    ):
        # The best of several step sizes, because an atom may cross the cutoff within one.
        steps = (1e-4, 1e-5, 1e-6)
        slopes = [(features(*h * way) - features(*-h * way)) / (2 * h) for h in steps]
        errors = [np.abs(found - slope).max() for slope in slopes]
        close(found, slopes[np.argmin(errors)], f"derivatives by the {name}", rtol=1e-5)


CHECKS = (
    check_parameters,
    check_clones_are_unfitted,
    check_inputs_are_left_alone,
    check_blocks,
    check_fitting_again,
    check_lengths,
    check_n_jobs,
    check_pickling,
    check_set_output,
    check_parameters_changed_after_fit,
    check_pieces,
    check_memory,
    check_lattice_shifts,
    check_another_cell,
    check_left_handed_cell,
    check_supercell,
    check_order_of_atoms,
    check_rotation,
    check_derivatives,
)


def _values(estimator):
    """Return the parameters that are neither estimators nor lists of estimators."""
    params = estimator.get_params(deep=True)
    lists = ("steps", "transformer_list")  # scikit-learn fits the estimators in these in place
    return {k: v for k, v in params.items() if not hasattr(v, "get_params") and k not in lists}


def _same_parameters(one, two):
    left, right = _values(one), _values(two)
    require(left.keys() == right.keys(), f"parameters {left.keys() ^ right.keys()} differ")
    for name in left:
        if isinstance(left[name], (str, int, float, bool, type(None))):
            require(left[name] == right[name], f"{name} is {left[name]!r}, not {right[name]!r}")


def _other_parameters(transformer):
    """Yield name and another value of every parameter that affects the contents of a block."""
    for name, value in sorted(transformer.get_params(deep=True).items()):
        if name.split("__")[-1] in FREE:
            continue
        if isinstance(value, bool):
            yield name, not value
        elif isinstance(value, int):
            yield name, value + 1
        elif isinstance(value, float):
            yield name, 0.9 * value + 0.01
        elif isinstance(value, str):
            yield name, f"another {value}"
        elif isinstance(value, dict) and all(isinstance(v, float) for v in value.values()):
            yield name, {key: 0.9 * number for key, number in value.items()}


def _same(found, expected, message, rtol=None):
    require(len(found) == len(expected), f"{message}: {len(found)} blocks, not {len(expected)}")
    for one, two in zip(found, expected, strict=True):
        close(one, two, message, rtol)


def _invariant(transformer, snapshots, change):
    fitted = clone(transformer).fit(snapshots)
    changed = [change(snapshot) for snapshot in snapshots]
    blocks = fitted.transform(SnapshotList([c.snapshot for c in changed]))
    expected = fitted.transform(snapshots)
    for c, block, original in zip(changed, blocks, expected, strict=True):
        close(block, c.rows(original), change.__doc__.splitlines()[0])


def _displaced(snapshots):
    moved = []
    for snapshot in snapshots:
        atoms = snapshot.atoms.copy()
        atoms.positions[0, 0] += 0.05
        moved.append(snapshot.replace(atoms=atoms))
    return SnapshotList(moved)


def _with_scaled_fields(snapshots):
    scaled = []
    for snapshot in snapshots:
        fields = {"ldos": snapshot.ldos, "density": snapshot.density}
        fields = {k: 0.9 * np.asarray(v) for k, v in fields.items() if v is not None}
        scaled.append(snapshot.replace(**fields))
    return SnapshotList(scaled)
