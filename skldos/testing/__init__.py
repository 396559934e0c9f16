"""Laws that transformers, decomposers, scorers, energy terms and networks must obey.

``check_transformer(MyTransformer())`` runs all checks of a transformer and raises an
:class:`AssertionError` that names the violated law. ``transformer_checks(...)`` returns the checks
one by one, for ``pytest.mark.parametrize``. The functions for other kinds work the same way.
"""

from skldos.testing.changes import Change
from skldos.testing.decomposers import check_decomposer, decomposer_checks
from skldos.testing.networks import check_network, network_checks
from skldos.testing.scorers import check_scorer, scorer_checks
from skldos.testing.terms import System, check_term, term_checks
from skldos.testing.transformers import check_transformer, transformer_checks

__all__ = [
    "check_transformer",
    "transformer_checks",
    "check_decomposer",
    "decomposer_checks",
    "check_scorer",
    "scorer_checks",
    "check_term",
    "term_checks",
    "check_network",
    "network_checks",
    "Change",
    "System",
]
