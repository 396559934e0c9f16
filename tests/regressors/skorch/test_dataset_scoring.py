"""Scores of batches during a training."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from skldos import LDOSRegressor
from skldos.regressors.skorch._scoring import DatasetScoring


@pytest.fixture(scope="module")
def net():
    X, y = np.random.default_rng(0).normal(size=(2, 20, 3)).astype(np.float32)
    return LDOSRegressor(max_epochs=1, random_state=0).fit(X, y)


def test_functions_see_the_batch_and_names_its_rows(net, rng):
    batch = torch.tensor(rng.normal(size=(7, 3)), dtype=torch.float32)
    outputs = torch.tensor(rng.normal(size=(7, 3)), dtype=torch.float32)
    seen = DatasetScoring(lambda *arguments: arguments)(net, batch, outputs)
    assert seen == (net, batch, outputs)
    true = net._scaling.restore(outputs.numpy())
    expected = r2_score(true, net.predict(batch.numpy()))
    assert abs(expected) > 0.01
    for scoring in (None, "r2"):
        assert DatasetScoring(scoring)(net, batch, outputs) == pytest.approx(expected, rel=1e-5)
