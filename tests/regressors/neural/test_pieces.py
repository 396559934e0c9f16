"""Results do not depend on the size of pieces."""

import numpy as np
import pytest

from skldos import LDOSRegressor, MDNRegressor
from skldos.regressors.neural import _batches, _prediction
from skldos.uncertainty import MCDropout, dropout


def answers(model, blocks, targets):
    """All results that are computed slice by slice, by name."""
    found = {
        "predict": np.concatenate(list(model.predict(blocks))),
        "predict_lazy": np.concatenate([b[:] for b in model.predict_lazy(blocks)]),
        "predict_sum": model.predict_sum(blocks),
        "score": model.score(blocks, targets),
        "plain": model.predict(np.concatenate(list(blocks))),
    }
    forward = model.forward(blocks)
    found["forward"] = (forward.means if isinstance(forward, tuple) else forward).numpy()
    return found


@pytest.mark.parametrize("n_rows", [1, 7, 20, 33])
@pytest.mark.parametrize("net", [LDOSRegressor, MDNRegressor])
def test_predictions_in_pieces(net, n_rows, blocks, targets, monkeypatch):
    # Targets that grow along each block tell one slice from another.
    targets = [t + np.linspace(0, 9, len(t))[:, None] for t in targets]
    blocks = type(blocks)([b + np.linspace(0, 3, len(b))[:, None] for b in blocks])
    model = net(max_epochs=3, random_state=0).fit(blocks, targets)
    whole = answers(model, blocks, targets)
    monkeypatch.setattr(_prediction, "PREDICT_ROWS", n_rows)
    monkeypatch.setattr(_prediction, "TILE_ROWS", 4)
    for name, found in answers(model, blocks, targets).items():
        np.testing.assert_allclose(found, whole[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("gather", [1, 300, 2000])
def test_batches_gathered_in_pieces(gather, blocks, targets, make, weights, monkeypatch):
    whole = weights(make().fit(blocks, targets))
    monkeypatch.setattr(_batches, "GATHER_BYTES", gather)
    np.testing.assert_array_equal(weights(make().fit(blocks, targets)), whole)


@pytest.mark.parametrize("n_rows", [1, 6, 40])
@pytest.mark.parametrize("masks", ["shared", "independent"])
def test_passes_in_pieces(masks, n_rows, blocks, targets, monkeypatch):
    """With shared masks a pass is one network, however many rows go through it at once."""
    network = LDOSRegressor(module__dropout=0.3, max_epochs=2, random_state=0)
    model = MCDropout(network, 12, masks=masks, random_state=0).fit(blocks, targets)
    whole, (mean, std) = model.sample_sums(blocks), model.predict(blocks, return_std=True)
    monkeypatch.setattr(dropout, "DENSE_ROWS", n_rows)
    sums, (mean_in_pieces, std_in_pieces) = (
        model.sample_sums(blocks),
        model.predict(blocks, return_std=True),
    )
    if masks == "shared":
        np.testing.assert_allclose(sums, whole, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            np.concatenate(list(std_in_pieces)), np.concatenate(list(std)), rtol=1e-3, atol=1e-5
        )
    # Other masks, but of the same distribution.
    np.testing.assert_allclose(sums.mean(axis=0), whole.mean(axis=0), atol=5 * whole.std())
    spread = [np.concatenate(list(s)).mean() for s in (std, std_in_pieces)]
    assert spread[1] == pytest.approx(spread[0], rel=0.3)
    close = np.concatenate(list(mean_in_pieces)) - np.concatenate(list(mean))
    assert np.abs(close).max() < 5 * np.concatenate(list(std)).max()
