"""Every single requirement of the checks is violated by somebody, and is then named."""

import re

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skldos import AtomSNAPTransformer, AtomSOAPTransformer, BandEnergyScorer, BlockUnion
from skldos.data import Blocks, ComputedArray
from skldos.datasets import make_snapshots
from skldos.networks import FeedForward
from skldos.physics import hartree
from skldos.testing import (
    System,
    changes,
    check_network,
    check_scorer,
    check_term,
    check_transformer,
    decomposer_checks,
    network_checks,
    scorer_checks,
    term_checks,
    transformer_checks,
)
from skldos.testing import scorers as of_scorers
from skldos.testing import terms as of_terms
from skldos.testing import transformers as of_transformers
from skldos.testing._checks import close, named, raises, require, run
from skldos.testing.scorers import TrueLDOS
from tests.testing.test_broken import Guesses, Sums, network, scorer


def said(checks, name):
    """Return what a check finds."""
    with pytest.raises(AssertionError) as caught:
        dict(checks)[name]()
    return str(caught.value)


# -------------------------------------------------------------------- the tools


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_close_is_relative_to_the_largest(dtype, tolerance):
    expected = np.array([0.0, -100.0, 1.0], dtype=dtype)
    for factor, fits in ((0.99, True), (1.01, False)):
        found = expected.astype(float)
        found[0] = factor * 100 * tolerance
        other = found.astype(dtype)
        if fits:
            close(other, expected, "x")
        else:
            with pytest.raises(AssertionError, match=r"x: largest difference .* up to 100"):
                close(other, expected, "x")
    close([1.0, 2.0], [1.0, 2.1], "x", rtol=0.05)
    with pytest.raises(AssertionError):
        close([1.0, 2.0], [1.0, 2.1], "x", rtol=0.04)
    with pytest.raises(AssertionError):
        close([1.0 + 1e-15], [1.0], "x", rtol=0)
    close([], [], "x")
    close([2.0], [2.0], "x", rtol=0)


def test_close_needs_equal_shapes_and_numbers():
    with pytest.raises(AssertionError, match=r"x: shape \(1, 2\), not \(2,\)"):
        close([[1.0, 2.0]], [1.0, 2.0], "x")
    for wrong in (np.nan, np.inf):
        with pytest.raises(AssertionError, match="x: largest difference"):
            close([1.0, wrong], [1.0, 2.0], "x")


def test_raises_names_what_did_not_happen():
    def fail(message):
        raise ValueError(message)

    raises(ValueError, fail, "of width")
    raises((KeyError, ValueError), fail, "of width", match="width")
    with pytest.raises(AssertionError, match="'of width' does not name 'height'"):
        raises(ValueError, fail, "of width", match="height")
    with pytest.raises(AssertionError, match=r"no ValueError was raised"):
        raises(ValueError, str, "of width")
    with pytest.raises(AssertionError, match=r"no KeyError/ValueError was raised"):
        raises((KeyError, ValueError), str, "of width")
    with pytest.raises(ValueError, match="of width"):
        raises(KeyError, fail, "of width")


def test_checks_have_names_and_their_failures_too():
    def check_sum(a, b):
        """Check: they add up."""
        require(a + b == 3, f"{a} and {b}")

    ((name, check),) = named([check_sum], 1, 2)
    assert name == "sum"
    check()
    with pytest.raises(AssertionError, match="Thing fails sum: 1 and 1"):
        run(named([check_sum], 1, 1), "Thing")
    with pytest.raises(ZeroDivisionError):
        run([("x", lambda: 1 / 0)], "Thing")


class Empty(Sums):
    def transform(self, X):
        return []


def first_position(system):
    return 1.0 + system.positions[0, 0]


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        (check_transformer, Empty(), "Empty fails"),
        (
            check_scorer,
            scorer(lambda *_: 0, "Zero"),
            "Zero fails returns_a_float: the score is a int",
        ),
        (check_network, network(lambda out, x: out[:2], "Halves"), "Halves fails outputs: 2 rows"),
        (check_term, first_position, "first_position fails translations"),
    ],
)
def test_whole_checks_name_who_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken)


# -------------------------------------------------------------------- transformers


class Renamed(Sums):
    def __repr__(self, N_CHAR_MAX=700):
        return "a transformer"


class Fewer(Sums):
    def transform(self, X):
        blocks = super().transform(X)
        return blocks[:-1] if len(blocks) > 2 else blocks


class Longer(Sums):
    def block(self, atoms):
        return np.repeat(super().block(atoms), 3, axis=0)


class TakesOne(Sums):
    def fit(self, X, y=None):
        return super().fit([X] if hasattr(X, "atoms") else X)


class KeepsFit(Sums):
    def __sklearn_clone__(self):
        made = type(self)(self.width, self.n_jobs, self.memory)
        if hasattr(self, "width_"):
            made.width_ = self.width_
        return made


class Resets(Sums):
    def __sklearn_clone__(self):
        return type(self)(2 * self.width, self.n_jobs, self.memory)


class Refuses(Sums):
    def transform(self, X):
        if self.width != self.width_:
            raise ValueError("something is wrong")
        return super().transform(X)


class Frames(Sums):
    def set_output(self, *, transform=None):
        self.frames = transform == "pandas"
        return self

    def transform(self, X):
        import pandas as pd

        blocks = super().transform(X)
        if not getattr(self, "frames", False):
            return blocks
        return [pd.DataFrame(2 * b, columns=self.get_feature_names_out()) for b in blocks]


REQUIRED = {
    Renamed: ("parameters", "repr() lacks the name of the class"),
    Resets: ("clones_are_unfitted", "width is 2.0, not 1.0"),
    KeepsFit: ("clones_are_unfitted", "no NotFittedError was raised"),
    Fewer: ("blocks", "2 blocks of 3 snapshots"),
    Longer: ("blocks", "12 rows of"),
    TakesOne: ("lengths", "no TypeError was raised"),
    Refuses: ("parameters_changed_after_fit", "something is wrong does not name it"),
    Sums: ("set_output", "a block is ndarray, no DataFrame"),
    Frames: ("set_output", "values in a DataFrame: largest difference"),
}


@pytest.mark.parametrize("kind", REQUIRED, ids=lambda kind: kind.__name__)
def test_requirements_of_transformers(kind):
    name, message = REQUIRED[kind]
    assert message in said(transformer_checks(kind()), name)


class Cached(Sums):
    """Remembers blocks in a dictionary by something that is not enough."""

    kept: dict = {}  # noqa: RUF012

    def key(self, snapshot):
        return "the same for all"

    def transform(self, X):
        if self.memory is None:
            return super().transform(X)
        found = []
        for snapshot in X:
            key = self.memory, self.key(snapshot)
            if key not in self.kept:
                (self.kept[key],) = super().transform([snapshot])
            found.append(self.kept[key])
        return Blocks(found, X)


class OfAtoms(Cached):
    def key(self, snapshot):
        return snapshot.atoms.positions.tobytes()


class OfAtomsAndWidth(OfAtoms):
    def key(self, snapshot):
        return super().key(snapshot), self.width_


@pytest.mark.parametrize(
    ("kind", "message"), [(Cached, "from memory, with {}"), (OfAtoms, "with {'width'")]
)
def test_keys_of_caches(kind, message):
    assert message in said(transformer_checks(kind()), "memory")
    dict(transformer_checks(OfAtomsAndWidth()))["memory"]()


class Lazy(Sums):
    def transform_lazy(self, X):
        return list(self.transform(X))


def test_lazy_blocks_are_lazy():
    assert "ndarray is not lazy" in said(transformer_checks(Lazy()), "pieces")


def test_other_parameters_are_those_that_act():
    class Many(Sums):
        def __init__(self, a=True, b=3, c=2.0, d="x", e=None, f=None, n_jobs=1, verbose=False):
            self.a, self.b, self.c, self.d, self.e, self.f = a, b, c, d, e, f
            self.n_jobs, self.verbose = n_jobs, verbose

    found = dict(of_transformers._other_parameters(Many(f={"Al": 1.0, "Mg": 0.5})))
    assert found == {
        "a": False,
        "b": 4,
        "c": pytest.approx(1.81),
        "d": "another x",
        "f": {"Al": 0.9, "Mg": 0.45},
    }


def test_snapshots_that_are_changed_for_caches():
    snapshots = make_snapshots(2, grid_shape=(2, 2, 2), n_energies=3, random_state=0)
    moved, scaled = (
        change(snapshots)
        for change in (of_transformers._displaced, of_transformers._with_scaled_fields)
    )
    for one, other, third in zip(snapshots, moved, scaled, strict=True):
        apart = other.atoms.positions - one.atoms.positions
        np.testing.assert_allclose(apart[0], [0.05, 0, 0], atol=1e-12)
        assert not apart[1:].any()
        np.testing.assert_allclose(third.ldos, 0.9 * np.asarray(one.ldos))
        np.testing.assert_allclose(third.density, 0.9 * np.asarray(one.density))
    bare = of_transformers._with_scaled_fields([snapshots[0].replace(ldos=None, density=None)])
    assert bare[0].ldos is None


@pytest.mark.parametrize(
    "name",
    [
        *("lattice_shifts", "another_cell", "left_handed", "reversed_axis", "supercell"),
        *("reordered", "rotated"),
    ],
)
def test_changes_describe_the_same_crystal(name):
    snapshot = make_snapshots(1, grid_shape=(3, 3, 3), n_energies=3, random_state=0)[0]
    snapshot = snapshot.replace(reference={"ecutrho": 3.5, "functional": "pbe", "band_energy": 1.0})
    change = getattr(changes, name)(snapshot)
    other = change.snapshot
    assert other.reference == {"ecutrho": 3.5, "functional": "pbe"}
    times = len(other.atoms) / 4
    assert times == (2 if name == "supercell" else 1)
    assert other.n_electrons == 12 * times
    assert abs(other.atoms.cell.volume) == pytest.approx(times * snapshot.atoms.cell.volume)
    one, two = np.linalg.det(snapshot.atoms.cell), np.linalg.det(other.atoms.cell)
    assert (one * two < 0) == (name in ("left_handed", "reversed_axis"))
    # Points and atoms of the other are where those of the original are, but for the lattice.
    lattice = snapshot.atoms.cell.array
    if name == "rotated":
        lattice = other.atoms.cell.array
    for found, expected in (
        (other.atoms.positions, _turned(name, snapshot, snapshot.atoms.positions)[change.atoms]),
        (_points(other), _turned(name, snapshot, _points(snapshot))[change.points]),
    ):
        apart = (found - expected) @ np.linalg.inv(lattice)
        np.testing.assert_allclose(apart, apart.round(), atol=1e-9)
    field = np.asarray(snapshot.density).ravel()
    np.testing.assert_array_equal(np.asarray(other.density).ravel(), field[change.points])
    np.testing.assert_array_equal(change.rows(field), np.asarray(other.density).ravel())
    np.testing.assert_array_equal(change.rows(np.arange(4)), change.atoms)
    moved = other.atoms.positions[:4] - snapshot.atoms.positions
    assert np.abs(moved).max() > 0.1 or np.abs(other.atoms.cell - snapshot.atoms.cell).max() > 0.1


def _points(snapshot):
    index = np.stack(np.meshgrid(*map(np.arange, snapshot.grid_shape), indexing="ij"), axis=-1)
    return (index / snapshot.grid_shape).reshape(-1, 3) @ snapshot.atoms.cell.array


def _turned(name, snapshot, positions):
    if name != "rotated":
        return positions
    rotation = np.linalg.solve(snapshot.atoms.cell, changes.rotated(snapshot).snapshot.atoms.cell)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    return positions @ rotation


def test_changes_need_equal_grids():
    snapshot = make_snapshots(1, grid_shape=(2, 2, 3), n_energies=3, random_state=0)[0]
    with pytest.raises(ValueError, match="as many points along each vector"):
        changes.another_cell(snapshot)
    with pytest.raises(ValueError, match="as many points"):
        changes._by_integers(changes.lattice_shifts(snapshot).snapshot, 2 * np.eye(3, dtype=int))


# -------------------------------------------------------------------- scorers


class TakesNothing(BandEnergyScorer):
    def __call__(self, estimator, X, y=None):
        return super().__call__(estimator, X, y) if len(X) else 0.0


class Counts(BandEnergyScorer):
    calls = 0

    def __call__(self, estimator, X, y=None):
        Counts.calls += 1
        return super().__call__(estimator, X, y) * (1 + 1e-12 * Counts.calls)


class Unpickled(BandEnergyScorer):
    """Scores otherwise in another process."""

    def __reduce__(self):
        return rounds, ()


def rounds():
    return scorer(lambda score, X, y: score * (1 + 1e-7))


SCORERS = [
    (scorer(lambda score, X, y: np.inf * score), "returns_a_float", "the score is -inf"),
    (TakesNothing(), "returns_a_float", "no Exception was raised"),
    (
        scorer(lambda score, X, y: score if score < -1e-6 else -1e6),
        "greater_is_better",
        "errors that grow have scores",
    ),
    (Counts(), "inputs_are_left_alone", "two calls give"),
    (Unpickled(), "in_cross_validation", "scores in cross-validation: largest"),
]


@pytest.mark.parametrize(("broken", "name", "message"), SCORERS)
def test_requirements_of_scorers(broken, name, message):
    assert message in said(scorer_checks(broken), name)


def test_the_model_of_scorers_is_wrong_linearly_in_the_energy():
    snapshots = make_snapshots(2, grid_shape=(2, 2, 2), n_energies=5, random_state=0)
    blocks = TrueLDOS(0.1).fit(None).predict(snapshots)
    for block, snapshot in zip(blocks, snapshots, strict=True):
        expected = np.asarray(snapshot.ldos, dtype=float).reshape(8, 5)
        np.testing.assert_allclose(block, expected * [0.9, 0.95, 1.0, 1.05, 1.1])
    exact = TrueLDOS().fit(None).predict(snapshots)[0]
    np.testing.assert_array_equal(exact, np.asarray(snapshots[0].ldos).reshape(8, 5))
    assert clone(TrueLDOS(0.3)).error == 0.3
    assert of_scorers._model(0.2).error == 0.2


# -------------------------------------------------------------------- networks


def first_sees_last(out, x):
    return out + torch.where(torch.arange(len(x))[:, None] == 0, x[-1:].sum(), 0.0)


class Draws(FeedForward):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        with torch.random.fork_rng():
            torch.seed()
            self.more = torch.nn.Parameter(torch.rand(1))

    def forward(self, x):
        return super().forward(x) + self.more


NETWORKS = [
    (network(lambda out, x: out[:-1]), "outputs", "4 rows of outputs for 5 of inputs"),
    (network(lambda out, x: out / 0), "outputs", "outputs are not finite"),
    (network(lambda out, x: (out, x.add_(1))[0]), "outputs", "the inputs were changed"),
    (network(first_sees_last), "rows_are_independent", "rows in another order|row by row"),
    (Draws, "seed", "the same seed"),
]


@pytest.mark.parametrize(("kind", "name", "message"), NETWORKS)
def test_requirements_of_networks(kind, name, message):
    assert re.search(message, said(network_checks(kind), name))


def test_networks_are_made_with_the_sizes_that_are_asked_for():
    made = []

    class Noted(FeedForward):
        def __init__(self, n_in, n_out, **options):
            made.append((n_in, n_out, options))
            super().__init__(n_in, n_out, **options)

    dict(network_checks(Noted))["outputs"]()
    assert made[0] == (6, 3, {})
    dict(network_checks(Noted, 4, 2, hidden_layer_sizes=(5,)))["outputs"]()
    assert made[-1] == (4, 2, {"hidden_layer_sizes": (5,)})
    state = torch.random.get_rng_state()
    dict(network_checks(Noted))["seed"]()
    assert torch.equal(torch.random.get_rng_state(), state)


# -------------------------------------------------------------------- decomposers


class Fits(Guesses):
    def fit(self, X, y=None):
        return super(Guesses, self).fit(X)

    def transform(self, X):
        first = X[0]
        if getattr(first, "ldos", None) is None:
            return Blocks([np.zeros((4, 5))] * len(X))
        return super().transform(X)


class Less(Fits):
    def inverse_transform(self, X):
        return super().inverse_transform(X)[:-1]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (Fits, "fields_are_needed", "no SnapshotError was raised"),
        (Less, "inverse_is_affine", "2 fields of 3 snapshots"),
    ],
)
def test_requirements_of_decomposers(kind, name, message):
    assert message in said(decomposer_checks(kind()), name)


# -------------------------------------------------------------------- terms


def test_systems_of_terms():
    for noise in (False, True):
        for system, grid in zip(of_terms._systems(noise), of_terms.GRIDS, strict=True):
            assert system.density.shape == system.core_density.shape == grid
            assert system.positions.shape == (4, 3)
            low, high = (0.1, 0.5 + 0.4 * 0.05 * noise)
            assert low - 1e-12 <= system.density.min() < 0.15
            assert 0.4 < system.density.max() <= high + 1e-12
            assert system.core_density.max() <= high / 4 + 1e-12
            assert ((system.charges >= 0.5) & (system.charges < 1.5)).all()
            waves = np.fft.fftn(system.density)
            edge = np.abs(waves[grid[0] // 2]).max() / np.abs(waves).max()
            assert (edge > 1e-9) == noise
    one, same = (of_terms.make_system((8, 9, 10)) for _ in range(2))
    np.testing.assert_array_equal(one.density, same.density)
    assert isinstance(one.replace(cell=2 * one.cell), System)
    with pytest.raises(AttributeError):
        one.cell = None
    assert one.to_torch().density.dtype == torch.float64


def test_energies_of_terms_are_compared():
    system = of_terms.make_system((8, 9, 10))
    energy = hartree(system.density, system.cell)[0]

    def term(s):
        return hartree(s.density, s.cell)[0] * (1 + (s.charges[0] < 0) * 2e-12)

    of_terms._same_energy(term, system, system)
    with pytest.raises(AssertionError, match="expected"):
        of_terms._same_energy(term, system, system.replace(charges=-system.charges))
    of_terms._same_energy(term, system, system.replace(charges=-system.charges), rtol=3e-12)
    with pytest.raises(AssertionError, match=f"expected {2 * energy} eV"):
        of_terms._same_energy(term, system, system, times=2)
    for value, tells in ((0.0101, True), (0.0099, False), (-0.0101, True)):
        if tells:
            of_terms._same_energy(lambda s, v=value: v, system, system)
        else:
            with pytest.raises(AssertionError, match="tells nothing"):
                of_terms._same_energy(lambda s, v=value: v, system, system)


def test_terms_may_not_change_any_argument():
    for name in ("cell", "density", "core_density", "positions", "charges"):

        def term(system, name=name):
            getattr(system, name)[...] *= 1.5
            return 1.0

        assert f"{name} was changed" in said(term_checks(term), "arguments_are_left_alone")


@pytest.mark.parametrize(("off", "found"), [(1e-7, True), (1e-10, False)])
def test_targets_given_apart_make_no_difference_but_rounding(off, found):
    def rounded(score, X, y):
        # Another one with targets, and in another order.
        apart = y is not None or X[0].atoms.positions[0, 0] != FIRST
        return score * (1 + off * apart)

    for name in ("targets_given_apart", "order_of_snapshots"):
        check = dict(scorer_checks(scorer(rounded)))[name]
        if found:
            with pytest.raises(AssertionError):
                check()
        else:
            check()


# -------------------------------------------------------------------- what the checks look at


@pytest.mark.parametrize(
    ("name", "vectors"),
    [
        ("another_cell", lambda a, b, c: (a, a + b, c + 2 * b - a)),
        ("left_handed", lambda a, b, c: (b, a, c)),
        ("reversed_axis", lambda a, b, c: (a, -b, c)),
        ("supercell", lambda a, b, c: (a, 2 * b, c)),
    ],
)
def test_cells_of_changed_descriptions(name, vectors):
    snapshot = make_snapshots(1, grid_shape=(3, 3, 3), n_energies=3, random_state=0)[0]
    found = getattr(changes, name)(snapshot).snapshot.atoms.cell.array
    np.testing.assert_allclose(found, vectors(*snapshot.atoms.cell.array), atol=1e-12)


def test_changes_keep_what_belongs_to_the_state():
    snapshot = make_snapshots(1, grid_shape=(3, 3, 3), n_energies=3, random_state=0)[0]
    for change in (changes.lattice_shifts, changes.supercell, changes.rotated):
        other = change(snapshot).snapshot
        np.testing.assert_array_equal(other.energies, snapshot.energies)
        assert other.temperature == snapshot.temperature
        bare = change(snapshot.replace(ldos=None, n_electrons=None)).snapshot
        assert bare.ldos is bare.n_electrons is None


def test_lattice_shifts_go_up_to_three_vectors_in_both_directions():
    snapshot = make_snapshots(1, grid_shape=(1, 1, 1), n_energies=3, random_state=0)[0]
    many = snapshot.replace(atoms=snapshot.atoms.repeat(3), ldos=None, density=None)
    moved = changes.lattice_shifts(many).snapshot.atoms.positions - many.atoms.positions
    shifts = np.linalg.solve(many.atoms.cell.array.T, moved.T).T
    np.testing.assert_allclose(shifts, shifts.round(), atol=1e-9)
    assert set(shifts.round().ravel().astype(int).tolist()) == set(range(-3, 4))


def seen(name, term=lambda s: hartree(s.density, s.cell)[0]):
    """Return the systems whose energies a check asks for."""
    systems = []

    def noted(system):
        systems.append(system)
        return term(system)

    dict(term_checks(noted))[name]()
    return [s for s in systems if isinstance(s.density, np.ndarray)]


@pytest.mark.parametrize("name", [name for name, _ in term_checks(None)])
def test_short_waves_where_the_grid_stays(name):
    noisy = name in ("translations", "gradient_by_the_cell")
    systems = seen(name)
    for system in systems:
        waves = np.abs(np.fft.fftn(system.density))
        grid = system.density.shape
        assert (waves[grid[0] // 2].max() / waves.max() > 1e-9) == noisy
    if name not in ("another_cell", "gradient_by_the_cell", "arguments_are_left_alone"):
        assert {s.density.shape for s in systems} >= set(of_terms.GRIDS)


def test_grids_are_even_and_odd_along_every_axis():
    for lengths in zip(*of_terms.GRIDS, strict=True):
        assert sorted(n % 2 for n in lengths) == [0, 1]
        assert abs(np.diff(lengths)) == 1
    assert {len(set(grid)) for grid in of_terms.GRIDS} == {3}


def test_ions_move_by_different_vectors():
    first, moved, second, other = seen("lattice_shifts")
    for one, two in ((first, moved), (second, other)):
        shifts = (two.positions - one.positions) @ np.linalg.inv(one.cell)
        np.testing.assert_allclose(shifts, shifts.round(), atol=1e-9)
        assert len({tuple(row) for row in shifts.round()}) == 4
        assert (shifts.min().round(), shifts.max().round()) == (-2, 2)
        np.testing.assert_array_equal(one.density, two.density)


def test_translations_go_along_all_axes_in_both_directions():
    one, two, *_ = seen("translations")
    by = (two.positions - one.positions) @ np.linalg.inv(one.cell) * one.density.shape
    np.testing.assert_allclose(by, by.round(), atol=1e-9)
    assert len(set(np.abs(by[0].round()))) == 3
    assert by.min() < 0 < by.max()
    np.testing.assert_array_equal(
        two.density, np.roll(one.density, by[0].round().astype(int), (0, 1, 2))
    )


def test_axes_are_exchanged_and_cycled():
    systems = seen("names_of_axes")
    turned = [
        [int(np.flatnonzero((one.cell == row).all(axis=1))[0]) for row in two.cell]
        for one, two in zip(systems[::2], systems[1::2], strict=True)
    ]
    assert turned == 2 * [[1, 2, 0], [1, 0, 2]]


def test_supercells_along_all_axes():
    systems = seen("supercells")
    longer = [
        np.flatnonzero(np.linalg.norm(two.cell, axis=1) > 1.5 * np.linalg.norm(one.cell, axis=1))
        for one, two in zip(systems[::2], systems[1::2], strict=True)
    ]
    assert np.concatenate(longer).tolist() == 2 * [0, 1, 2]
    for one, two in zip(systems[::2], systems[1::2], strict=True):
        np.testing.assert_array_equal(two.charges, np.tile(one.charges, 2))


@pytest.mark.parametrize(("off", "found"), [(1e-6, True), (1e-9, False)])
def test_derivatives_by_the_cell_are_right_to_eight_digits(off, found):
    def term(system):
        energy = hartree(system.density, system.cell)[0]
        if isinstance(energy, torch.Tensor):  # only its gradient
            energy = energy + off * (energy - energy.detach())
        return energy

    check = dict(term_checks(term))["gradient_by_the_cell"]
    if found:
        with pytest.raises(AssertionError, match="the derivative is off by 1e-06"):
            check()
    else:
        check()


@pytest.mark.parametrize(
    ("off", "kind", "message"),
    [
        (1.005e-5, "supercell", "Repeat the cell along one axis. The score: largest"),
        (0.995e-5, "supercell", None),
        (1.005e-3, "another cell", "other, oblique vectors. The score: largest"),
        (0.995e-3, "another cell", None),
    ],
)
def test_descriptions_of_the_crystal_score_alike(off, kind, message):
    def of_cells(score, X, y):
        cell = X[0].atoms.cell.array
        oblique = cell[1, 0] > 0.5 and cell[0, 1] == 0
        other = len(X[0].atoms) > 4 if kind == "supercell" else oblique
        return score * (1 + off * bool(other))

    checks = scorer_checks(scorer(of_cells))
    if message:
        assert message in said(checks, "descriptions_of_the_crystal")
    else:
        dict(checks)["descriptions_of_the_crystal"]()


def test_errors_of_scorers_in_cross_validation_are_their_own():
    fails = scorer(lambda score, X, y: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dict(scorer_checks(fails))["in_cross_validation"]()


@pytest.mark.parametrize(("off", "found"), [(1.005e-10, True), (0.995e-10, False)])
def test_rows_of_networks_are_independent_up_to_rounding(off, found):
    def leaking(out, x):
        return out + off * out.detach().abs().max() * (len(x) > 1)

    check = dict(network_checks(network(leaking)))["rows_are_independent"]
    if found:
        with pytest.raises(AssertionError, match="row by row: "):
            check()
    else:
        check()


class Part(Sums):
    """Differs by one rounding in what one check looks at."""

    def factor(self, snapshot, X):
        return 1.0 + (2.0**-40 if self.differs(X) else 0.0)

    def differs(self, X):
        return False


class NotAlone(Part):
    def differs(self, X):
        return len(X) == 1 and X[0].atoms.positions[0, 0] != FIRST


class NotAsList(Part):
    def differs(self, X):
        return self.lists

    def transform(self, X):
        self.lists = type(X) is list
        return super().transform(X)


class NotFittedTogether(Part):
    def fit_transform(self, X, y=None):
        blocks = self.fit(X).transform(X)
        return Blocks([b * (1 + 2.0**-40) for b in blocks], X)


class NotAgain(Part):
    def fit(self, X, y=None):
        self.times_ = getattr(self, "times_", 0) + 1
        return super().fit(X)

    def differs(self, X):
        return self.times_ > 2


class NotWithAnother(Part):
    def differs(self, X):
        return self.width != self.width_


FIRST = of_transformers.default_snapshots()[0].atoms.positions[0, 0]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (NotAlone, "lengths", "a list of one"),
        (NotAsList, "lengths", "a plain list"),
        (NotFittedTogether, "fitting_again", "fit_transform()"),
        (NotAgain, "fitting_again", "fitted again"),
        (NotWithAnother, "parameters_changed_after_fit", "width changed after fit"),
    ],
)
def test_what_must_be_equal_must_be_so_to_the_last_bit(kind, name, message):
    assert message in said(transformer_checks(kind()), name)
    dict(transformer_checks(Part()))[name]()


class Nested(Sums):
    """Has a parameter that may change, but acts."""

    def factor(self, snapshot, X):
        return 1.0 if self.memory is None else 1.0 + 1e-9


def test_caches_are_exact_and_parameters_that_may_change_do_not_act():
    assert "from memory, with {}" in said(transformer_checks(Nested()), "memory")


def test_snapshots_by_default():
    found = of_transformers.default_snapshots()
    again = of_transformers.default_snapshots()
    assert len(found) > 2  # more than one on either side of a split
    assert len({s.atoms.positions.tobytes() for s in found}) == len(found)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.atoms.positions, other.atoms.positions)
        np.testing.assert_array_equal(one.ldos, other.ldos)


@pytest.mark.parametrize("name", ["hartree", "scale"])
def test_both_densities_change_together(name):
    system = of_terms.make_system((8, 9, 10))
    move = {"hartree": lambda n: np.roll(n, 1, 0), "scale": lambda n: 2 * n}[name]
    moved = system.on_grid(move)
    np.testing.assert_array_equal(moved.density, move(system.density))
    np.testing.assert_array_equal(moved.core_density, move(system.core_density))


class Seen(FeedForward):
    """Notes what comes in."""

    dtypes: list = []  # noqa: RUF012

    def forward(self, x):
        Seen.dtypes.append(x.dtype)
        return super().forward(x)


def test_networks_are_checked_in_double_precision():
    for name, check in network_checks(Seen):
        Seen.dtypes.clear()
        check()
        expected = {torch.float64} | ({torch.float32} if name == "outputs" else set())
        assert set(Seen.dtypes) == expected


# -------------------------------------------------------------------- nested parameters, fields


def test_parameters_of_parts_count():
    parts = [("a", AtomSNAPTransformer(twojmax=2)), ("b", AtomSOAPTransformer(n_max=3))]
    union = BlockUnion(parts)
    found = dict(of_transformers._other_parameters(union))
    assert (found["a__twojmax"], found["b__n_max"]) == (3, 4)
    assert not any(name.split("__")[-1] in of_transformers.FREE for name in found)
    kept = of_transformers._values(union)
    assert {"a__twojmax", "b__n_max", "a__n_jobs"} <= set(kept)
    assert not {"a", "b", "transformer_list"} & set(kept)


class OfFields(OfAtomsAndWidth):
    """Depends on the density, which its key does not."""

    def factor(self, snapshot, X):
        return float(np.sum(snapshot.density))


class OfFieldsToo(OfFields):
    def key(self, snapshot):
        return super().key(snapshot), float(np.sum(snapshot.density))


def test_caches_must_know_the_fields():
    assert "from memory, with {}" in said(transformer_checks(OfFields()), "memory")
    dict(transformer_checks(OfFieldsToo()))["memory"]()


class Rows:
    """Computes rows of a transformer when they are read."""

    def __init__(self, transformer, snapshot, late):
        self.transformer = transformer
        self.snapshot = snapshot
        self.width = None if late else transformer.width

    def __call__(self, start, stop):
        width = self.transformer.width if self.width is None else self.width
        return width * self.transformer.block(self.snapshot.atoms)[start:stop]


class LazySums(Sums):
    """Makes lazy blocks that remember the parameters, or look at them when they are read."""

    late = False

    def factor(self, snapshot, X):
        return self.width

    def transform_lazy(self, X):
        made = [Rows(self, s, self.late) for s in X]
        return [ComputedArray(rows, (len(rows.snapshot.atoms), 2), float) for rows in made]


class LateSums(LazySums):
    late = True


class HalfSums(LazySums):
    def transform_lazy(self, X):
        return super().transform_lazy(X)[:-1]


def test_lazy_blocks_keep_the_parameters_of_their_time():
    dict(transformer_checks(LazySums()))["pieces"]()
    assert "the second half of a lazy block" in said(transformer_checks(LateSums()), "pieces")
    with pytest.raises(ValueError, match="zip"):
        dict(transformer_checks(HalfSums()))["pieces"]()
