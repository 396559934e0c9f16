"""Every network regressor obeys scikit-learn's common checks."""

from skldos import LDOSRegressor
from tests.regressors.sklearn_checks import check_to_float32, common_checks


@common_checks(LDOSRegressor(max_epochs=10))
def test_sklearn_check(estimator, check):
    check(estimator)


def test_rows_are_predicted_alike_in_any_company():
    check_to_float32(LDOSRegressor(max_epochs=10))
