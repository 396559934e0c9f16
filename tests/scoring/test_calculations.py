"""Properties that the calculations of snapshots must share with each other and with a model."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skldos import (
    ADOSRegressor,
    AtomSNAPTransformer,
    BandEnergyScorer,
    DensityScorer,
    EnergyGrid,
    GridSNAPTransformer,
    RowWise,
    SiteRegressor,
    SnapshotList,
    TotalEnergyScorer,
    evaluate,
)
from skldos.datasets import load_aluminium, load_aluminium_pseudopotentials
from skldos.exceptions import ScoringError
from skldos.physics import Pseudopotential, electron_deficit, n_electrons
from skldos.prediction.completeness import (
    ELECTRON_TOLERANCE,
    electrons_held,
    warn_of_missing_electrons,
)
from skldos.scoring import DOSScorer
from tests.scoring.predicts import Predicts

AL = [Pseudopotential("Al", 3, functional="lda-pz")]
EVERY_SCORER = {
    "band energy": BandEnergyScorer(),
    "total energy": TotalEnergyScorer(AL),
    "density": DensityScorer(),
    "DOS": DOSScorer(),
}
every_scorer = pytest.mark.parametrize("scorer", EVERY_SCORER.values(), ids=EVERY_SCORER)


def say(snapshots, **facts):
    return SnapshotList([s.replace(reference=s.reference | facts) for s in snapshots])


# -------------------------------------------------------------------- facts


@every_scorer
@pytest.mark.parametrize(
    ("name", "known", "other"), [("functional", "lda-pz", "pbe"), ("charge", 0.0, 1.0)]
)
def test_snapshots_of_other_calculations_are_refused(snapshots, scorer, name, known, other):
    model = make_pipeline(GridSNAPTransformer(twojmax=2), SiteRegressor(Ridge()))
    model.fit(say(snapshots[:2], **{name: known}))
    assert np.isfinite(scorer(model, say(snapshots[2:], **{name: known})))
    assert np.isfinite(scorer(model, snapshots[2:]))
    with pytest.raises(ScoringError, match=f"(?s){name} {known!r}, but .*{other!r}|functional"):
        scorer(model, say(snapshots[2:], **{name: other}))


def test_models_of_atoms_remember_too(snapshots):
    model = make_pipeline(AtomSNAPTransformer(twojmax=2), ADOSRegressor(SiteRegressor(Ridge())))
    model.fit(say(snapshots[:3], functional="pbe"))
    assert BandEnergyScorer()(model, say(snapshots[3:], functional="pbe")) < 0
    with pytest.raises(ScoringError, match=r"the functional 'pbe', but .* with 'pbesol'"):
        BandEnergyScorer()(model, say(snapshots[3:], functional="pbesol"))


def test_the_functional_of_the_snapshots_is_taken_where_pseudopotentials_name_none(
    snapshots, oracle
):
    bare = [Pseudopotential("Al", 3)]
    model = oracle(1.01).fit(snapshots)
    expected = TotalEnergyScorer(bare, functional="pbe").errors(model, snapshots)
    told = say(snapshots, functional="pbe")
    np.testing.assert_array_equal(TotalEnergyScorer(bare).errors(model, told), expected)
    assert np.abs(TotalEnergyScorer(AL).errors(model, snapshots) - expected).max() > 1e-2


# -------------------------------------------------------------------- occupations


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("occupations", "tetrahedra"),
        ("occupations", "tetrahedra_opt"),
        ("smearing", "methfessel-paxton"),
        ("smearing", "marzari-vanderbilt"),
        ("smearing", "gaussian"),
    ],
)
def test_references_of_other_occupations_are_refused(oracle, name, value):
    snapshots = load_aluminium(temperature=298)[:1]
    other = say(snapshots, **{name: value})
    model = oracle().fit(other)
    for scorer in (
        BandEnergyScorer(reference="dft"),
        TotalEnergyScorer(load_aluminium_pseudopotentials(), reference="dft"),
        DensityScorer(reference="dft"),
    ):
        assert np.isfinite(scorer(model, snapshots))
        with pytest.raises(ScoringError, match=f"the {name} '{value}'.*reference='ldos'"):
            scorer(model, other)
    assert BandEnergyScorer()(model, other) == 0


@pytest.mark.parametrize(
    "said",
    [{"smearing": "fermi-dirac"}, {"occupations": "fixed"}, {"occupations": "smearing"}],
)
def test_references_at_a_temperature_are_taken(snapshots, oracle, said):
    table = evaluate(oracle().fit(snapshots), say(snapshots, **said), reference="dft")
    assert table["band_energy_error"].abs().max() < 1


# -------------------------------------------------------------------- electrons that are missing


TRUTH = Predicts(lambda snapshot: snapshot.ldos)


def cut(snapshot, start):
    """The snapshot without its lowest energies."""
    keep = snapshot.energies >= start
    return snapshot.replace(energies=snapshot.energies[keep], ldos=snapshot.ldos[..., keep])


@every_scorer
def test_energies_that_begin_above_the_lowest_level_are_noticed(scorer):
    whole = load_aluminium(temperature=933)[:3]
    assert np.isfinite(scorer(TRUTH, whole))
    part = [*whole[:2], cut(whole[2], 0.0)]
    held, excess = electrons_held(part[2].dos(), part[2])
    assert -3 < excess < -0.5
    with pytest.warns(UserWarning, match=rf"holds {held:.6g} electrons .* instead of 12 \(1 of 3"):
        scorer(TRUTH, part)


def test_energies_that_end_below_the_fermi_level_are_noticed():
    (snapshot,) = load_aluminium(temperature=298)[:1]
    keep = snapshot.energies <= snapshot.reference["fermi_energy"] - 0.5
    low = snapshot.replace(energies=snapshot.energies[keep], ldos=snapshot.ldos[..., keep])
    with pytest.warns(UserWarning, match=rf"energies end too low, at {low.energies[-1]:g} eV"):
        warn_of_missing_electrons([low.dos()], [low])


def test_models_without_a_regressor_are_named():
    snapshots = load_aluminium(temperature=298)[:1]
    model = make_pipeline(AtomSNAPTransformer(twojmax=2), RowWise(StandardScaler()))
    with pytest.raises(TypeError, match=r"ends in a regressor, .* got one that ends in RowWise"):
        BandEnergyScorer()(model.fit(snapshots), snapshots)


def test_other_units_are_noticed():
    (snapshot,) = load_aluminium(temperature=298)[:1]
    wrong = [snapshot.replace(ldos=2 * snapshot.ldos)]
    with pytest.warns(UserWarning, match=r"holds 24\.\d+ electrons .* instead of 12 \(1 of 1"):
        BandEnergyScorer()(TRUTH, wrong)


@pytest.mark.parametrize(("times", "noticed"), [(3, True), (1 / 3, False), (-3, True), (-1 / 3, 0)])
def test_a_thousandth_of_the_electrons_is_tolerated(recwarn, times, noticed):
    (snapshot,) = load_aluminium(temperature=298)[:1]
    state = {"temperature": 298.0, "n_electrons": 12.0, "width": 0.4}
    mu = snapshot.reference["fermi_energy"]

    def excess(scale):
        dos = scale * snapshot.dos()
        return -electron_deficit(dos, snapshot.energies, fermi_level=mu, **state) / 12

    # The scale at which so much is beyond what the broadening explains.
    low, high = (1.0, 2.0) if times > 0 else (0.5, 1.0)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < times * ELECTRON_TOLERANCE else (low, middle)
    assert excess(low) == pytest.approx(times * ELECTRON_TOLERANCE, rel=1e-6)
    ldos = snapshot.ldos.astype(float) * low
    BandEnergyScorer()(TRUTH, [snapshot.replace(ldos=ldos)])
    assert len(recwarn) == bool(noticed)


@pytest.mark.parametrize(
    "missing", [{"reference": {}}, {"n_electrons": None}, {"temperature": None}]
)
def test_snapshots_that_do_not_know_are_not_judged(missing):
    (snapshot,) = load_aluminium(temperature=298)[:1]
    lacking = cut(snapshot, 0.0).replace(**missing)
    assert electrons_held(lacking.dos(), lacking) == (None, 0.0)
    assert DOSScorer()(TRUTH, [lacking]) == 0


@pytest.mark.parametrize("broadening", [None, 0.4])
@pytest.mark.parametrize("shift", [-3.0, 2.0])
def test_the_width_within_which_levels_are_known(snapshots, broadening, shift):
    energies = np.cumsum(np.r_[-4.0, np.tile([0.2, 0.5], 15)])
    grid = EnergyGrid(energies, broadening=broadening, kernel=broadening and "gaussian")
    (one,) = snapshots[:1]
    mu = 7.0 + shift
    snapshot = one.replace(energies=grid, ldos=None, grid_shape=None, density=None)
    snapshot = snapshot.replace(reference={"fermi_energy": mu})
    dos = np.sqrt(np.maximum(energies + 1, 0))
    state = {"temperature": 298.0, "fermi_level": mu}
    held, excess = electrons_held(dos, snapshot)
    assert held == pytest.approx(n_electrons(dos, energies, **state), rel=1e-12)
    # Twice the largest spacing, where the broadening is unknown.
    width = broadening or 2 * 0.5
    expected = -electron_deficit(dos, energies, **state, n_electrons=12.0, width=width)
    assert excess == pytest.approx(expected, rel=1e-12)
    assert (excess > 0) == (held > 12)
    assert abs(excess) > 0.1
