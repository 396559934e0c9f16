"""SearchDisplay: stored numbers, and drawing."""

import copy

import matplotlib.pyplot as plt
import numpy as np
import optuna
import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV

from skldos.plotting import SearchDisplay
from skldos.search import DirectSearchCV, OrthogonalArraySearchCV, kendall_interval
from tests.plotting.displays import Sum, X, legend_of

GRID = {"a": [1, 2, 3], "b": [0.0, 4.0, 1.0]}
SCORING = {"cheap": lambda e, X, y=None: -(e.a**2) + e.b, "error": lambda e, X, y=None: -e.a}


@pytest.fixture(scope="module")
def search():
    return GridSearchCV(Sum(), {"a": [1, 2], "b": [0.0, 4.0, 1.0]}, cv=2).fit(X)


@pytest.fixture(scope="module")
def failing():
    with pytest.warns((FitFailedWarning, UserWarning), match="fail|non-finite"):
        return GridSearchCV(Sum(), GRID, cv=2).fit(X)


@pytest.fixture(scope="module")
def metrics():
    return GridSearchCV(Sum(), GRID, cv=2, scoring=SCORING, refit="error", error_score=np.nan)


# -------------------------------------------------------------------- progress and cost


def test_progress(search):
    display = SearchDisplay.from_search(search, negative=True, label="error (meV)")
    table = display.table
    assert table["score"].tolist() == search.cv_results_["mean_test_score"].tolist()
    assert table["best"].tolist() == [1, 5, 5, 5, 6, 6]
    np.testing.assert_allclose(table["elapsed"], np.cumsum(table["seconds"]))
    (points,) = display.ax_.collections
    np.testing.assert_array_equal(points.get_offsets(), table[["elapsed", "score"]] * [1, -1])
    (line,) = display.ax_.lines
    np.testing.assert_array_equal(line.get_xydata(), table[["elapsed", "best"]] * [1, -1])
    assert legend_of(display) == ["candidates", "best so far"]
    assert display.ax_.get_ylabel() == "error (meV)"
    assert display.ax_.get_xlabel() == "time spent (s)"


def test_failed_candidates_cost_and_improve_nothing(failing):
    display = SearchDisplay.from_search(failing)
    failed = np.flatnonzero(display.table["score"].isna())
    assert failed.tolist() == [7]
    assert display.table["best"].tolist() == [1, 5, 5, 5, 6, 6, 6, 6, 6]
    assert display.table["seconds"][7] > 0
    assert legend_of(display)[0] == "candidates (1 failed)"
    assert len(display.ax_.collections[0].get_offsets()) == 8


def test_halving_starts_anew_with_each_round():
    search = HalvingGridSearchCV(
        Sum(), {"a": [1, 2, 3, 4]}, cv=2, resource="b", min_resources=1, max_resources=4, factor=2
    ).fit(X)
    display = SearchDisplay.from_search(search)
    rounds = display.table["round"]
    assert len(display.ax_.lines) == rounds.nunique() > 1
    first = display.table[rounds == 0]
    assert first["best"].tolist() == np.maximum.accumulate(first["score"]).tolist()
    assert legend_of(display) == ["candidates", "best so far"]


@pytest.mark.filterwarnings("ignore:OptunaSearchCV is experimental")
@pytest.mark.filterwarnings("ignore:.optuna.terminator.:FutureWarning")  # its own business
def test_several_searches():
    from optuna.distributions import CategoricalDistribution
    from optuna_integration import OptunaSearchCV

    grid = {"a": [1, 2], "b": [0.0, 4.0, 1.0]}
    spaces = {name: CategoricalDistribution(values) for name, values in grid.items()}
    optuna.logging.disable_default_handler()
    searches = {
        "grid": GridSearchCV(Sum(), grid, cv=2),
        "array": OrthogonalArraySearchCV(Sum(), grid, cv=2),
        "direct": DirectSearchCV(Sum(), grid, cv=2),
        "random": RandomizedSearchCV(Sum(), grid, cv=2, n_iter=1, random_state=0),
        "optuna": OptunaSearchCV(Sum(), spaces, cv=2, n_trials=3, random_state=0),
    }
    for search in searches.values():
        search.fit(X)
    display = SearchDisplay.from_search(searches)
    assert legend_of(display) == list(searches)
    assert len(display.ax_.lines) == 5
    assert not display.ax_.collections
    best = display.table.groupby("search", sort=False)["best"].last()
    assert best["grid"] == best["direct"] == 6
    again = SearchDisplay.from_search(searches["optuna"].study_)
    optunas = display.table[display.table["search"] == "optuna"]
    np.testing.assert_array_equal(again.table["score"], optunas["score"])
    np.testing.assert_array_equal(again.table["elapsed"], optunas["elapsed"])


def test_a_study_search():
    from optuna.distributions import CategoricalDistribution

    from skldos.search import StudySearchCV

    search = StudySearchCV(
        Sum(), {"a": CategoricalDistribution([1, 2])}, cv=2, n_trials=3, random_state=0
    ).fit(X)
    display = SearchDisplay.from_search(search)
    np.testing.assert_array_equal(display.table["score"], search.cv_results_["mean_test_score"])
    assert (display.table["seconds"] > 0).all()


def test_cost(search):
    search = copy.copy(search)
    # Scores 1, 5, 2, 2, 6, 3: the second 2 is dearer than the first, 3 dearer than 5.
    seconds = np.array([1.0, 4.0, 2.0, 3.0, 5.0, 4.5])
    times = {"mean_fit_time": seconds / 2, "mean_score_time": np.zeros(6)}
    search.cv_results_ = search.cv_results_ | times
    display = SearchDisplay.from_search(search, kind="cost")
    assert display.table["seconds"].tolist() == seconds.tolist()
    assert display.table["front"].tolist() == [True, True, True, False, True, False]
    assert legend_of(display) == ["candidates", "best for their cost"]
    (front,) = display.ax_.lines
    assert front.get_xydata().tolist() == [[1, 1], [2, 2], [4, 5], [5, 6]]


# -------------------------------------------------------------------- parameters


def test_importance(search):
    display = SearchDisplay.from_search(search, kind="importance")
    assert display.table.to_numpy().tolist() == [["b", pytest.approx(4)], ["a", pytest.approx(1)]]
    widths = [bar.get_width() for bar in display.ax_.patches]
    assert widths == display.table["importance"].tolist()[::-1]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["a", "b"]


def test_effects(search):
    display = SearchDisplay.from_search(search, kind="effects")
    lines = {line.get_label(): line.get_ydata() for line in display.ax_.lines}
    np.testing.assert_allclose(lines["a"], np.array([1, 2]) + 5 / 3)
    np.testing.assert_allclose(lines["b"], np.array([0, 1, 4]) + 1.5)
    ticks = [t.get_text() for t in display.ax_.get_xticklabels()]
    assert ticks == ["0", "1", "4", "1", "2"]


def test_names_of_steps_are_left_out_where_they_may():
    import pandas as pd

    for names, shown in (
        (["net__lr", "snap__r_cut"], ["lr", "r_cut"]),
        (["one__lr", "two__lr"], ["one__lr", "two__lr"]),
    ):
        table = pd.DataFrame({"parameter": names, "importance": [2.0, 1.0]})
        display = SearchDisplay(table=table, kind="importance").plot()
        assert [t.get_text() for t in display.ax_.get_yticklabels()] == shown[::-1]


# -------------------------------------------------------------------- ranks


def test_scores_against_errors(rng):
    scores = rng.normal(size=30)
    errors = 3 - scores + rng.normal(size=30)
    scores[4] = np.nan
    ax = plt.figure().subplots()
    options = {"score_label": "NASWOT", "random_state": 1}
    display = SearchDisplay.from_scores(scores, errors, ax=ax, **options)
    assert display.ax_ is ax
    assert display.correlation == kendall_interval(scores, errors, random_state=1)
    tau, low, high, _ = display.correlation
    assert display.ax_.get_title() == f"τ = {tau:.2f} [{low:.2f}, {high:.2f}]"
    assert legend_of(display) == ["candidates (1 failed)", "no other better in both"]
    rest, front = (points.get_offsets() for points in display.ax_.collections)
    assert len(rest) + len(front) == 29
    for score, error in front:
        assert not ((scores >= score) & (errors < error)).any()
    assert display.ax_.get_xlabel() == "NASWOT"


def test_two_metrics_of_a_search(metrics):
    with pytest.warns((FitFailedWarning, UserWarning)):
        metrics.fit(X)
    ax = plt.figure().subplots()
    display = SearchDisplay.from_metrics(metrics, "cheap", "error", ax=ax)
    assert display.ax_ is ax
    results = metrics.cv_results_
    np.testing.assert_array_equal(display.table["score"], results["mean_test_cheap"])
    np.testing.assert_array_equal(display.table["error"], -results["mean_test_error"])
    assert display.correlation.tau < 0
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("cheap", "error")
    named = SearchDisplay.from_metrics(metrics, "cheap", "error", error_label="error (meV/atom)")
    assert named.ax_.get_ylabel() == "error (meV/atom)"


@pytest.mark.parametrize(
    ("scores", "title"),
    [([1.0, 1.0, 1.0], "τ undefined"), ([1.0, 2.0, 2.0], "τ = 0.82 ["), ([np.nan] * 3, "τ und")],
)
def test_undefined_correlations_and_ties(scores, title):
    assert SearchDisplay.from_scores(scores, [1, 2, 3]).ax_.get_title().startswith(title)


@pytest.mark.parametrize("kind", ["progress", "cost", "importance", "effects"])
def test_one_candidate(kind):
    search = GridSearchCV(Sum(), {"a": [2]}, cv=2).fit(X)
    assert SearchDisplay.from_search(search, kind=kind).ax_.has_data()
    assert SearchDisplay.from_scores([1.0], [2.0]).ax_.get_title() == "τ undefined"


def test_matplotlib_is_imported_late(run_python):
    code = "import sys, skldos.plotting.search\nprint('matplotlib' in sys.modules)"
    assert run_python(code) == "False\n"
