"""A network regressor is a skorch net: examples of skorch's documentation work."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import make_scorer, mean_absolute_error, r2_score
from skorch.callbacks import BatchScoring, EpochScoring, PrintLog
from skorch.exceptions import NotInitializedError
from skorch.helper import SliceDict

from skldos import (
    ADOSRegressor,
    AtomEnvTransformer,
    BandEnergyScorer,
    CSNNRegressor,
    GridSNAPTransformer,
    LDOSRegressor,
    MDNRegressor,
)
from skldos.networks import FeedForward
from skldos.regressors.callbacks import SnapshotScoring

FLAT = {"module__n_spheres": 1, "module__subdivisions": None, "module__factor": 1}


class Penalised(LDOSRegressor):
    """A custom loss, as in skorch's documentation."""

    def __init__(self, *args, alpha=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.alpha = alpha

    def get_loss(self, y_pred, y_true, X=None, training=False):
        loss = super().get_loss(y_pred, y_true, X=X, training=training)
        return loss + self.alpha * sum(w.square().sum() for w in self.module_.parameters())


class Deeper(Penalised):
    """A subclass of a subclass, whose signature names one parameter only."""

    def __init__(self, beta=2, **kwargs):
        super().__init__(**kwargs)
        self.beta = beta


# -------------------------------------------------------------------- subclasses


@pytest.mark.parametrize("kind", [Penalised, Deeper])
def test_a_subclass_has_parameters_of_its_own(kind, blocks, targets, weights):
    options = {"max_epochs": 20, "lr": 0.05, "random_state": 0, "module__hidden_layer_sizes": (5,)}
    light, heavy = (kind(alpha=alpha, **options).fit(blocks, targets) for alpha in (0.0, 10.0))
    assert np.linalg.norm(weights(heavy)) < 0.5 * np.linalg.norm(weights(light))
    plain = LDOSRegressor(**options, dos_weight=None).fit(blocks, targets)
    # No refit by least squares, which would undo the penalty.
    np.testing.assert_allclose(weights(light), weights(plain), rtol=1e-2, atol=1e-3)
    assert clone(heavy).get_params()["alpha"] == 10.0
    copied = pickle.loads(pickle.dumps(heavy))
    assert copied.alpha == 10.0
    np.testing.assert_array_equal(copied.predict(blocks)[0], heavy.predict(blocks)[0])
    with pytest.raises(ValueError, match=r"unexpected argument\(s\) alhpa"):
        kind(alhpa=1.0).fit(blocks, targets)
    with pytest.raises(ValueError, match="did you mean module__x"):
        kind(module_x=1.0).fit(blocks, targets)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"module__hiden": 3}, "module__hiden must be a parameter of FeedForward: .*activation"),
        ({"optimizer__weightdecay": 3}, "optimizer__weightdecay must be .* Adam: .*weight_decay"),
        ({"criterion__reductio": "mean"}, "criterion__reductio must be .* MSELoss: .*reduction"),
    ],
)
def test_misspelt_parameters_of_parts_are_named(blocks, targets, given, message):
    with pytest.raises(ValueError, match=message):
        LDOSRegressor(max_epochs=1, **given).fit(blocks, targets)


# -------------------------------------------------------------------- files


def nets(**options):
    options = {"max_epochs": 2, "random_state": 0} | options
    return {
        "LDOS": LDOSRegressor(module__hidden_layer_sizes=(5,), target_scaling="minmax", **options),
        "CSNN": CSNNRegressor(**FLAT, target_scaling="standard", **options),
        "MDN": MDNRegressor(module__hidden_layer_sizes=(5,), **options),
    }


@pytest.mark.parametrize("name", ["LDOS", "CSNN", "MDN"])
@pytest.mark.parametrize("safe", [False, True], ids=["torch", "safetensors"])
def test_initialize_and_load_params(name, safe, blocks, targets, tmp_path):
    model = nets()[name].fit(blocks, targets)
    f_params = tmp_path / "weights"
    model.save_params(f_params=f_params, use_safetensors=safe)
    model.save_params(f_optimizer=tmp_path / "o", f_history=tmp_path / "h")
    for fresh in (nets()[name].initialize(), nets()[name]):
        with pytest.raises((NotFittedError, NotInitializedError)):
            fresh.predict(blocks)
        fresh.load_params(f_params=f_params, use_safetensors=safe)
        fresh.load_params(f_optimizer=tmp_path / "o", f_history=str(tmp_path / "h"))
        for found, expected in zip(fresh.predict(blocks), model.predict(blocks), strict=True):
            np.testing.assert_array_equal(found, expected)
        assert fresh.history_[:, "train_loss"] == model.history_[:, "train_loss"]
        assert len(fresh.optimizer_.state_dict()["state"]) > 0
        assert len(fresh.partial_fit(blocks, targets).history_) == 4
    # A net of other data takes over the scale of the targets, too.
    other = nets()[name].fit(blocks, [100 * target for target in targets])
    other.load_params(f_params=f_params, use_safetensors=safe)
    np.testing.assert_array_equal(other.predict(blocks)[0], model.predict(blocks)[0])


def test_plain_rows_of_one_output_keep_their_form(rows, make, tmp_path):
    model = make().fit(rows[0].astype(float), rows[1][:, 0].astype(float))
    model.save_params(f_params=str(tmp_path / "w.pt"))
    loaded = make().initialize()
    loaded.load_params(f_params=str(tmp_path / "w.pt"))
    np.testing.assert_array_equal(loaded.predict(rows[0]), model.predict(rows[0]), strict=True)


def test_what_was_known_of_snapshots_is_in_the_file(snapshots, tmp_path):
    blocks = GridSNAPTransformer(twojmax=2).fit_transform(snapshots)
    model = LDOSRegressor(max_epochs=1).fit(blocks)
    model.save_params(f_params=tmp_path / "w.pt")
    loaded = LDOSRegressor()
    loaded.load_params(f_params=tmp_path / "w.pt")
    np.testing.assert_array_equal(loaded.energies_, snapshots[0].energies)
    assert (loaded.broadening_, loaded.kernel_) == (model.broadening_, model.kernel_)
    assert loaded.calculation_ == model.calculation_
    assert BandEnergyScorer()(loaded, blocks) == BandEnergyScorer()(model, blocks)


def test_the_file_is_one_of_torch(blocks, targets, make, tmp_path):
    model = make().fit(blocks, targets)
    model.save_params(f_params=tmp_path / "w.pt")
    network = FeedForward(3, 4, hidden_layer_sizes=(8,))
    network.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    torch.testing.assert_close(network.state_dict(), model.module_.state_dict(), rtol=0, atol=0)


def test_files_that_cannot_serve_are_refused(blocks, targets, make, tmp_path):
    model = make().fit(blocks, targets)
    before = model.predict(blocks)[0]
    torch.save(model.module_.state_dict(), tmp_path / "bare.pt")
    narrow = make().fit(blocks, [target[:, :2] for target in targets])
    narrow.save_params(f_params=tmp_path / "narrow.pt")
    torch.save(print, tmp_path / "code.pt")
    for net in (model, make().initialize()):
        with pytest.raises(ValueError, match="weights alone, without the scaling"):
            net.load_params(f_params=tmp_path / "bare.pt")
        with pytest.raises(pickle.UnpicklingError, match=r"[Ww]eights"):
            net.load_params(f_params=tmp_path / "code.pt")
    with pytest.raises(ValueError, match=r"3 inputs and 2 outputs, but .* with 3 and 4"):
        model.load_params(f_params=tmp_path / "narrow.pt")
    np.testing.assert_array_equal(model.predict(blocks)[0], before)
    with pytest.raises(NotInitializedError):
        make().save_params(f_params=tmp_path / "x.pt")
    with pytest.raises(NotInitializedError):
        make().load_params(f_optimizer=tmp_path / "narrow.pt")


# -------------------------------------------------------------------- callbacks


@pytest.mark.parametrize("name", ["LDOS", "CSNN", "MDN"])
@pytest.mark.parametrize("on_train", [False, True])
def test_scores_of_scikit_learn(name, on_train, blocks, targets):
    absolute = make_scorer(mean_absolute_error, greater_is_better=False)
    callbacks = [
        ("r2", EpochScoring("r2", on_train=on_train, lower_is_better=False)),
        ("mae", EpochScoring(absolute, on_train=on_train, name="mae")),
        ("net", EpochScoring(None, on_train=on_train, name="net")),
    ]
    model = nets(train_split=[1, 4], callbacks=callbacks)[name]
    if name == "LDOS":
        model.set_params(dos_weight=None)
    model.fit(blocks, targets)
    chosen = [0, 2, 3, 5] if on_train else [1, 4]
    true = np.concatenate([targets[i] for i in chosen])
    predicted = np.concatenate(list(model.predict(blocks[chosen])))
    last = model.history_[-1]
    assert last["r2"] == pytest.approx(r2_score(true, predicted), rel=1e-4)
    assert last["mae"] == pytest.approx(-mean_absolute_error(true, predicted), rel=1e-4)
    score = model.score(blocks[chosen], [targets[i] for i in chosen])
    assert last["net"] == pytest.approx(score, rel=1e-4)


@pytest.mark.parametrize("name", ["LDOS", "MDN"])
def test_scores_of_batches(name, blocks, targets):
    """One batch holds all validation data: its score is that of the epoch, in units of y."""
    scores = [
        ("batch", BatchScoring("neg_mean_absolute_error", name="batch", lower_is_better=False)),
        ("epoch", EpochScoring("neg_mean_absolute_error", name="epoch", lower_is_better=False)),
        ("train", BatchScoring("r2", name="train", on_train=True)),
    ]
    model = nets()[name].set_params(callbacks=scores, train_split=[1, 4])
    model.fit(blocks, [7 * target + 1 for target in targets])
    for row in model.history_:
        assert row["batch"] == pytest.approx(row["epoch"], rel=1e-4)
        assert np.isfinite(row["train"])


@pytest.mark.filterwarnings("ignore:.*no Fermi level inside")  # in the first epochs
@pytest.mark.parametrize("every", [1, 2, 3])
def test_band_energies_of_validation_snapshots(every, snapshots):
    blocks = GridSNAPTransformer(twojmax=2).fit_transform(snapshots)
    model = LDOSRegressor(
        max_epochs=6,
        train_split=[1, 3],
        dos_weight=None,
        random_state=0,
        callbacks=[
            SnapshotScoring(BandEnergyScorer(), every=every, name="rare"),
            EpochScoring(BandEnergyScorer(), name="band_energy", lower_is_better=False),
        ],
    ).fit(blocks)
    assert ["rare" in row for row in model.history_] == [n % every == 0 for n in range(1, 7)]
    expected = BandEnergyScorer()(model, blocks[[1, 3]])
    assert model.history_[-1, "band_energy"] == pytest.approx(expected, rel=1e-4)
    assert model.history_[-1, "rare"] == model.history_[-1, "band_energy"]


@pytest.mark.filterwarnings("ignore:.*no Fermi level inside")
def test_band_energies_of_atoms(snapshots):
    blocks = AtomEnvTransformer(n_spheres=2, subdivisions=0, r_cut=4.0).fit_transform(snapshots)
    score = SnapshotScoring(BandEnergyScorer(), name="band_energy")
    network = CSNNRegressor(
        module__factor=1, max_epochs=2, train_split=[1], random_state=0, callbacks=[score]
    )
    model = ADOSRegressor(network).fit(blocks)
    found = model.regressor_.history_[-1, "band_energy"]
    assert found == pytest.approx(BandEnergyScorer()(model, blocks[[1]]), rel=1e-4)


def test_scores_do_not_drop_units(blocks, targets, make):
    """Between the epochs the network predicts as it will in the end."""
    score = EpochScoring("r2", on_train=True, name="r2")
    options = {"module__dropout": 0.5, "max_epochs": 3}
    model = make(callbacks=[score], **options).fit(blocks, targets)
    plain = make(**options).fit(blocks, targets)
    assert model.history_[:, "train_loss"] == plain.history_[:, "train_loss"]
    found = r2_score(np.concatenate(targets), np.concatenate(list(model.predict(blocks))))
    assert model.history_[-1, "r2"] == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_a_callback_can_be_taken_out(verbose, blocks, targets, make, capsys):
    model = make(verbose=verbose, callbacks__print_log=None).fit(blocks, targets)
    model.set_params(callbacks__epoch_timer=None).fit(blocks, targets)
    assert "dur" not in model.history_[-1]
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="callbacks__print_lgo belongs to no active callback"):
        make(callbacks__print_lgo=None).fit(blocks, targets)
    with pytest.raises(ValueError, match="callbacks__print_log__sink belongs to no active"):
        make(callbacks__print_log__sink=print).fit(blocks, targets)
    make(callbacks=[PrintLog(sink=lambda text: None)]).fit(blocks, targets)


# -------------------------------------------------------------------- data


def test_forward(blocks, targets, rows, monkeypatch):
    monkeypatch.setattr("skldos.regressors.neural._prediction.PREDICT_ROWS", 17)
    models = {name: net.fit(blocks, targets) for name, net in nets().items()}
    outputs = models["LDOS"].forward(blocks)
    restored = outputs.numpy() * models["LDOS"].target_scale_ + models["LDOS"].target_center_
    np.testing.assert_allclose(restored, np.concatenate(models["LDOS"].predict(blocks)), rtol=1e-5)
    torch.testing.assert_close(models["LDOS"].forward(rows[0]), outputs)
    assert models["LDOS"].forward(blocks, training=True).requires_grad
    assert not models["LDOS"].forward(blocks).requires_grad
    mixtures = models["MDN"].forward(blocks)
    assert mixtures.means.shape == (len(rows[0]), 3, 4)
    assert mixtures.factors is None


def test_epochs_are_an_argument_of_fit(blocks, targets, make):
    model = make().fit(blocks, targets, epochs=5)
    assert len(model.history_) == 5
    assert len(model.partial_fit(blocks, targets, epochs=2).history_) == 7
    cosine = make(lr_schedule="cosine").fit(blocks, targets, epochs=5)
    assert cosine.history_[-1, "event_lr"] > 0
    with pytest.raises(ValueError, match="epochs must be >= 0"):
        make().fit(blocks, targets, epochs=-1)


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return torch.zeros(3), torch.zeros(4)


@pytest.mark.parametrize(
    ("X", "name"), [(SliceDict(X=np.zeros((4, 3))), "SliceDict"), (Pairs(), "Pairs")]
)
def test_other_containers_are_named(X, name, rows, make):
    with pytest.raises(TypeError, match=f"takes arrays X and y or Blocks, got {name}: pass the"):
        make().fit(X, np.zeros((4, 4)))
    model = make().fit(*rows)
    with pytest.raises(TypeError, match=f"takes an array or Blocks, got {name}"):
        model.predict(X)


# -------------------------------------------------------------------- several processes


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_a_group_of_processes_is_refused(monkeypatch, blocks, targets, make):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(RuntimeError, match=r"in one process, but torch\.distributed runs 2"):
        make().fit(blocks, targets)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    make().fit(blocks, targets)


def test_accelerate_is_refused(blocks, targets, make):
    model = make()
    model.accelerator = object()
    with pytest.raises(TypeError, match="AccelerateMixin; use its parameters device and autocast"):
        model.fit(blocks, targets)


# -------------------------------------------------------------------- what has no effect


@pytest.mark.parametrize(
    "parameters",
    [
        {"iterator_train": list},
        {"iterator_train__shuffle": False},
        {"iterator_valid__batch_size": 3},
        {"dataset__length": 3},
        {"predict_nonlinearity": np.abs},
        {"use_caching": True},
        {"torch_load_kwargs": {}},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
def test_parameters_of_skorch_that_are_not_used_are_named(parameters, blocks, targets):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"{name} is a parameter of skorch that has no effect"):
        LDOSRegressor(**parameters).fit(blocks, targets)
