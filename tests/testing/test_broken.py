"""The checks of skldos.testing can fail: each detects a violation of its law, and only that."""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skldos import ADOSDecomposer, AtomSNAPTransformer, BandEnergyScorer
from skldos.data import Blocks
from skldos.data.snapshot_list import as_snapshots
from skldos.geometry import periodic_images
from skldos.networks import FeedForward
from skldos.physics import hartree
from skldos.testing import (
    decomposer_checks,
    network_checks,
    scorer_checks,
    term_checks,
    transformer_checks,
)


def fails(checks, name):
    """Whether the check of this name finds something."""
    try:
        dict(checks)[name]()
    except AssertionError:
        return True
    return False


class Sums(TransformerMixin, BaseEstimator):
    """Sums of Gaussians of the distances to all neighbours: two features of every atom."""

    def __init__(self, width=1.0, n_jobs=None, memory=None):
        self.width = width
        self.n_jobs = n_jobs
        self.memory = memory

    def set_output(self, *, transform=None):
        return self

    def fit(self, X, y=None):
        as_snapshots(X)
        self.width_ = self.width
        return self

    def get_feature_names_out(self, input_features=None):
        return np.array(["near", "far"], dtype=object)

    def transform(self, X):
        check_is_fitted(self)
        X = as_snapshots(X)
        return Blocks([self.factor(s, X) * self.block(s.atoms) for s in X], X)

    def factor(self, snapshot, X):
        return 1.0

    def block(self, atoms):
        cell = atoms.cell.array
        positions = atoms.get_positions(wrap=True)
        owners, shifts = periodic_images(positions, cell, 6.0)
        images = positions[owners] + shifts @ cell
        squares = ((positions[:, None] - images) ** 2).sum(axis=2)
        squares = np.where(squares < 36, squares, np.inf)
        gaussians = [np.exp(-squares / (w * self.width_) ** 2) for w in (1, 1.5)]
        return np.stack([g.sum(axis=1) for g in gaussians], axis=1)

    def derivatives(self, snapshot):
        raise NotImplementedError


class Stores(Sums):
    def __init__(self, width=1.0, n_jobs=None, memory=None):
        super().__init__(width, n_jobs, str(memory))


class Fits(Sums):
    def __init__(self, width=1.0, n_jobs=None, memory=None):
        super().__init__(width, n_jobs, memory)
        self.width_ = width


class ReturnsNothing(Sums):
    def fit(self, X, y=None):
        super().fit(X)


class ChangesAtoms(Sums):
    def transform(self, X):
        X[0].atoms.positions += 1e-9
        return super().transform(X)


class ChangesParameters(Sums):
    def fit(self, X, y=None):
        self.memory = "here"
        return super().fit(X)


class ReturnsLists(Sums):
    def transform(self, X):
        return list(super().transform(X))


class NotFinite(Sums):
    def block(self, atoms):
        return np.where([True, False], super().block(atoms), np.nan)


class RepeatsNames(Sums):
    def get_feature_names_out(self, input_features=None):
        return np.array(["near", "near"], dtype=object)


class LacksNames(Sums):
    def get_feature_names_out(self, input_features=None):
        return np.array(["near"], dtype=object)


class Constant(Sums):
    def block(self, atoms):
        return np.ones((len(atoms), 2))


class Remembers(Sums):
    def fit(self, X, y=None):
        self.seen_ = getattr(self, "seen_", 0) + len(X)
        return super().fit(X)

    def factor(self, snapshot, X):
        return self.seen_


class TakesNone(Sums):
    def fit(self, X, y=None):
        self.width_ = self.width
        return self

    def transform(self, X):
        return super().transform(X) if len(X) else Blocks([])


class Forgets(Sums):
    def __setstate__(self, state):
        super().__setstate__(state | {"width_": 2.0})


class ForgetsPickled(Sums):
    def __reduce_ex__(self, protocol):  # which skops does not use
        return type(self)._made, ()

    @classmethod
    def _made(cls):
        made = cls()
        made.width_ = 2.0
        return made


class Ordered(Sums):
    def block(self, atoms):
        return super().block(atoms) * (1 + np.arange(len(atoms)))[:, None]


def cells_away(atoms):
    return 1 + np.abs(np.floor(atoms.get_scaled_positions(wrap=False))).max()


def times(factor):
    """Return sums whose blocks are multiplied by a function of self, snapshot and all snapshots."""
    return type("Times", (Sums,), {"factor": factor})


class WrongDerivatives(AtomSNAPTransformer):
    def derivatives(self, snapshot):
        by_positions, by_strain = super().derivatives(snapshot)
        return 1.001 * by_positions, by_strain


class WrongStrain(AtomSNAPTransformer):
    def derivatives(self, snapshot):
        by_positions, by_strain = super().derivatives(snapshot)
        return by_positions, 1.001 * by_strain


class WrongSlices(AtomSNAPTransformer):
    def compute(self, snapshot, start, stop):
        return super().compute(snapshot, 0, stop - start)


class WrongColumns(AtomSNAPTransformer):
    def transform(self, X):
        blocks = super().transform(X)
        for block in blocks:
            if hasattr(block, "columns"):
                block.columns = range(block.shape[1])
        return blocks


BROKEN = {
    Stores: "parameters",
    Fits: "parameters",
    ReturnsNothing: "inputs_are_left_alone",
    ChangesAtoms: "inputs_are_left_alone",
    ChangesParameters: "inputs_are_left_alone",
    ReturnsLists: "blocks",
    NotFinite: "blocks",
    RepeatsNames: "blocks",
    LacksNames: "blocks",
    Constant: "blocks",
    Remembers: "fitting_again",
    times(lambda self, snapshot, X: len(X)): "lengths",
    TakesNone: "lengths",
    times(lambda self, snapshot, X: 1 + (self.n_jobs == 2) * 1e-15 * 4): "n_jobs",
    Forgets: "pickling",
    ForgetsPickled: "pickling",
    times(lambda self, snapshot, X: self.width): "parameters_changed_after_fit",
    times(lambda self, snapshot, X: cells_away(snapshot.atoms)): "lattice_shifts",
    times(lambda self, snapshot, X: np.linalg.norm(snapshot.atoms.cell[2])): "another_cell",
    times(
        lambda self, snapshot, X: np.sign(np.linalg.det(snapshot.atoms.cell))
    ): "left_handed_cell",
    times(lambda self, snapshot, X: len(snapshot.atoms)): "supercell",
    Ordered: "order_of_atoms",
    times(lambda self, snapshot, X: 2 + snapshot.atoms.cell[0, 0]): "rotation",
    WrongDerivatives: "derivatives",
    WrongStrain: "derivatives",
    WrongSlices: "pieces",
    WrongColumns: "set_output",
}


@pytest.mark.parametrize(("kind", "law"), BROKEN.items(), ids=lambda x: getattr(x, "__name__", x))
def test_what_breaks_a_law_of_transformers_is_found(kind, law):
    options = {"twojmax": 2} if issubclass(kind, AtomSNAPTransformer) else {}
    honest = AtomSNAPTransformer if options else Sums
    assert fails(transformer_checks(kind(**options)), law)
    assert not fails(transformer_checks(honest(**options)), law)


# ---------------------------------------------------------------- networks


def network(outputs, name="Other"):
    """Return a network whose outputs are a function of those of another one, and of the inputs."""

    def forward(self, x):
        return outputs(FeedForward.forward(self, x), x)

    return type(name, (FeedForward,), {"forward": forward})


class Unseeded(FeedForward):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        for p in self.parameters():
            torch.nn.init.constant_(p, 0.1)


class Hides(FeedForward):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.hidden = torch.rand(1).double()

    def forward(self, x):
        return super().forward(x) + self.hidden


class Idle(FeedForward):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.idle = torch.nn.Parameter(torch.rand(2))


class Wide(FeedForward):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out + 1)


NETWORKS = {
    network(lambda out, x: out + 1e-6 * x.sum()): "rows_are_independent",
    Unseeded: "seed",
    Hides: "copies",
    network(lambda out, x: out + x.detach().square().sum(dim=1, keepdim=True)): "gradients",
    Idle: "gradients",
    Wide: "outputs",
    network(lambda out, x: out.float()): "outputs",
}


@pytest.mark.parametrize(("kind", "law"), NETWORKS.items(), ids=lambda x: getattr(x, "__name__", x))
def test_what_breaks_a_law_of_networks_is_found(kind, law):
    assert fails(network_checks(kind), law)
    assert not fails(network_checks(FeedForward), law)


# ---------------------------------------------------------------- scorers


def scorer(change, name="Other"):
    """Return a scorer that changes a score by a function of it, the snapshots and the targets."""

    def call(self, estimator, X, y=None):
        return change(BandEnergyScorer.__call__(self, estimator, X, y), X, y)

    return type(name, (BandEnergyScorer,), {"__call__": call})()


class Touches(BandEnergyScorer):
    def __call__(self, estimator, X, y=None):
        X[0].reference["count"] = X[0].reference.get("count", 0) + 1
        return super().__call__(estimator, X, y)


class First(BandEnergyScorer):
    def __call__(self, estimator, X, y=None):
        return super().__call__(estimator, X[:1], None if y is None else y[:1])


class Nameless(BandEnergyScorer):
    def __repr__(self):
        return "scorer"


SCORERS = {
    "returns_a_float": scorer(lambda score, X, y: np.float64(score)),
    "greater_is_better": scorer(lambda score, X, y: -score),
    "inputs_are_left_alone": Touches(),
    "targets_given_apart": scorer(lambda score, X, y: score * (1 if y is None else 2)),
    "order_of_snapshots": First(),
    "descriptions_of_the_crystal": scorer(lambda score, X, y: score * len(X[0].atoms)),
    "in_cross_validation": Nameless(),
}


@pytest.mark.parametrize("law", SCORERS)
def test_what_breaks_a_law_of_scorers_is_found(law):
    assert fails(scorer_checks(SCORERS[law]), law)
    assert not fails(scorer_checks(BandEnergyScorer()), law)


# ---------------------------------------------------------------- decomposers


class Points(ADOSDecomposer):
    def transform(self, X):
        blocks = super().transform(X)
        return Blocks([np.tile(block, (2, 1)) for block in blocks], blocks.snapshots)


class Squares(ADOSDecomposer):
    def inverse_transform(self, X):
        return super().inverse_transform(X) ** 2


class Guesses(ADOSDecomposer):
    def fit(self, X, y=None):
        return self if as_snapshots(X)[0].ldos is None else super().fit(X)


DECOMPOSERS = {
    "rows_are_atoms": Points,
    "inverse_is_affine": Squares,
    "fields_are_needed": Guesses,
}


@pytest.mark.parametrize("law", DECOMPOSERS)
def test_what_breaks_a_law_of_decomposers_is_found(law):
    assert fails(decomposer_checks(DECOMPOSERS[law]()), law)
    assert not fails(decomposer_checks(ADOSDecomposer()), law)


# ---------------------------------------------------------------- terms


def honest(system):
    return hartree(system.density, system.cell)[0]


def scribbling(system):
    energy = honest(system)
    system.positions[0, 0] += 1
    return energy


def skewed(system):
    n = system.density
    roll = np.roll if isinstance(n, np.ndarray) else torch.roll
    return honest(system) + (n * roll(n, 1, 0) ** 2 * roll(n, 3, 0)).sum()


def half_seen(system):
    cell = system.cell if isinstance(system.cell, np.ndarray) else system.cell.detach()
    return honest(system) * abs(cell[0, 0])


TERMS = {
    "translations": lambda s: honest(s) + s.positions[0, 0],
    "lattice_shifts": lambda s: honest(s) + s.positions[0, 0],
    "inversion": skewed,
    "names_of_axes": lambda s: honest(s) * s.cell[0].dot(s.cell[0]),
    "another_cell": lambda s: honest(s) * s.cell[1].dot(s.cell[1]),
    "rotations": lambda s: honest(s) * (1 + abs(s.cell[2, 0])),  # a charge in a field along z
    "supercells": lambda s: honest(s) / len(s.charges),
    "gradient_by_the_cell": half_seen,
    "arguments_are_left_alone": scribbling,
}


@pytest.mark.parametrize("name", TERMS)
def test_what_breaks_a_law_of_terms_is_found(name):
    assert fails(term_checks(TERMS[name]), name)
    assert not fails(term_checks(honest), name)


def test_no_check_is_left_out():
    checked = {
        "transformers": (transformer_checks(Sums()), BROKEN.values()),
        "networks": (network_checks(FeedForward), NETWORKS.values()),
        "scorers": (scorer_checks(BandEnergyScorer()), SCORERS),
        "terms": (term_checks(honest), TERMS),
    }
    # Tested where caches are, with every part of their keys.
    elsewhere = {"memory", "clones_are_unfitted"}
    for checks, names in checked.values():
        assert {name for name, _ in checks} - elsewhere == set(names)
