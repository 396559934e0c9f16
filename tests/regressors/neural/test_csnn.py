"""The concentric spherical regressor takes environments in blocks, or plain rows."""

import pickle

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skldos.data import Blocks
from skldos.datasets import make_snapshots
from skldos.decomposition import ADOSDecomposer
from skldos.descriptors.atom_env import AtomEnvTransformer
from skldos.geometry.sphere import icosahedral_rotations
from skldos.networks import FeedForward
from skldos.networks.csnn import ConcentricSpherical
from skldos.regressors.ados import ADOSRegressor
from skldos.regressors.neural.csnn import CSNNRegressor


def make(**params):
    """Make a small, quick, seeded regressor."""
    quick = {"module__factor": 1, "max_epochs": 3, "batch_size": 8, "random_state": 0}
    return CSNNRegressor(**(quick | params))


def transformer(**params):
    """Make a transformer to 3 spheres of 42 vertices."""
    return AtomEnvTransformer(
        **({"n_spheres": 3, "subdivisions": 1, "r_min": 1.5, "r_cut": 5.0, "n_jobs": 1} | params)
    )


@pytest.fixture(scope="module")
def atoms():
    """Five snapshots of four atoms, with an LDOS."""
    return make_snapshots(5, grid_shape=(4, 4, 4), n_energies=11, random_state=0)


@pytest.fixture(scope="module")
def blocks(atoms):
    """Their environments, in memory."""
    return transformer().fit_transform(atoms)


@pytest.fixture(scope="module")
def lazy(atoms):
    """Their environments, which can be rotated."""
    return transformer(lazy=True).fit_transform(atoms)


@pytest.fixture(scope="module")
def targets(atoms):
    """Their densities of states."""
    return ADOSDecomposer().fit_transform(atoms)


def flat(blocks):
    """Return all rows of the blocks, flattened."""
    return np.concatenate([np.asarray(block).reshape(len(block), -1) for block in blocks])


def assert_same(found, expected, **tolerance):
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, **tolerance)
        assert np.ptp(one, axis=0).max() > 0


# ---------------------------------------------------------------- blocks


def test_the_network_takes_its_shape_from_the_blocks(blocks, targets):
    model = make().fit(blocks, targets)
    assert model.environment_shape_ == (3, 42)
    assert model.n_features_in_ == 3 * 42
    assert (model.module_.n_spheres, model.module_.subdivisions) == (3, 1)
    predicted = model.predict(blocks)
    assert predicted.snapshots is blocks.snapshots
    assert [block.shape for block in predicted] == 5 * [(4, 11)]
    np.testing.assert_array_equal(model.energies_, blocks.snapshots[0].energies)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_rows_blocks_and_flat_blocks_are_the_same(blocks, targets, n_channels):
    shape = (3, 42) if n_channels == 1 else (2, 3, 42)
    X = [np.asarray(np.stack(n_channels * [b], axis=1)).reshape(-1, *shape) for b in blocks]
    of_blocks = make().fit(X, targets)
    assert of_blocks.environment_shape_ == shape
    sizes = {"module__n_spheres": 3, "module__subdivisions": 1}
    of_rows = make(**sizes).fit(flat(X), np.concatenate(targets))
    of_flat = make(**sizes).fit([b.reshape(len(b), -1) for b in X], targets)
    assert of_rows.environment_shape_ is None
    expected = np.concatenate(of_blocks.predict(X))
    np.testing.assert_array_equal(of_rows.predict(flat(X)).astype(np.float32), expected)
    np.testing.assert_array_equal(np.concatenate(of_flat.predict(X)), expected)
    # What is known by its axes and what is not may be mixed in prediction.
    np.testing.assert_array_equal(of_blocks.predict(flat(X)), expected)


def test_lazy_blocks_are_those_in_memory(atoms, blocks, lazy, targets, tmp_path):
    stored = transformer(memory=tmp_path).fit_transform(atoms)
    expected = make().fit(blocks, targets).predict(blocks)
    assert_same(make().fit(lazy, targets).predict(lazy), expected)
    assert_same(make().fit(stored, targets).predict(stored), expected)
    framed = transformer().set_output(transform="pandas").fit_transform(atoms)
    sizes = {"module__n_spheres": 3, "module__subdivisions": 1}
    assert_same(make(**sizes).fit(framed, targets).predict(framed), expected)


@pytest.mark.parametrize("n_rotations", [1, 4])
def test_predictions_of_all_kinds_agree(lazy, targets, n_rotations):
    model = make(n_rotations=n_rotations).fit(lazy, targets)
    predicted = model.predict(lazy)
    assert_same(model.predict_lazy(lazy), predicted, rtol=1e-5, atol=1e-6)
    sums = [block.sum(axis=0, dtype=float) for block in predicted]
    np.testing.assert_allclose(model.predict_sum(lazy), sums, rtol=1e-5, atol=1e-6)
    true, found = np.concatenate(targets), np.concatenate(predicted)
    r2 = 1 - np.square(true - found).sum() / np.square(true - true.mean(axis=0)).sum()
    assert model.score(lazy, targets) == pytest.approx(r2, rel=1e-5)


def test_prediction_takes_a_batch_at_a_time(blocks, targets):
    model = make().fit(blocks, targets)
    sizes = []
    model.module_.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    expected = model.predict(flat(blocks))
    assert sizes == [8, 8, 4]
    model.set_params(batch_size=3)
    np.testing.assert_allclose(model.predict(flat(blocks)), expected, rtol=1e-5, atol=1e-6)
    assert max(sizes[3:]) == 3


def test_a_linear_output_learns_what_differs_between_atoms(blocks, targets):
    options = {"module__output": "linear", "target_scaling": "standard"}
    model = make(max_epochs=150, **options).fit(blocks, targets)
    assert model.score(blocks, targets) > 0.8


def test_the_output_of_the_paper_learns_the_spectrum(blocks, targets):
    model = make(max_epochs=150).fit(blocks, targets)
    true, found = np.concatenate(targets), np.concatenate(model.predict(blocks))
    assert found.min() >= 0
    assert np.square(found - true).mean() < 0.05 * np.square(true).mean()


def test_the_output_layer_can_be_refitted(blocks, targets):
    options = {"module__output": "linear", "target_scaling": "standard", "max_epochs": 20}
    true = np.stack([target.sum(axis=0) for target in targets])
    errors = [
        np.abs(make(dos_weight=weight, **options).fit(blocks, targets).predict_sum(blocks) - true)
        for weight in (None, 1000.0)
    ]
    assert errors[1].max() < 0.2 * errors[0].max()
    with pytest.raises(ValueError, match=r"dos_weight=1\.0 needs a network that ends in a linear"):
        make(dos_weight=1.0).fit(blocks, targets)


def test_a_larger_ridge_holds_the_trained_output_layer(blocks, targets):
    options = {"module__output": "linear", "target_scaling": "standard"}
    trained = make(**options).fit(blocks, targets).predict_sum(blocks)
    changes = [
        np.abs(
            make(dos_weight=100.0, dos_ridge=ridge, **options)
            .fit(blocks, targets)
            .predict_sum(blocks)
            - trained
        ).max()
        for ridge in (1e-6, 1.0, 1e6)
    ]
    assert changes[0] > changes[1] > 100 * changes[2]


def test_a_shallow_network_trains(blocks, targets):
    shallow = {"module__spheres": "channels", "module__n_levels": 1, "module__n_hidden": 0}
    options = {"module__output": "linear", "target_scaling": "standard", "max_epochs": 40}
    model = make(module__factor=8, **shallow, **options).fit(blocks, targets)
    assert model.history_[-1, "train_loss"] < 0.9 * model.history_[0, "train_loss"]
    assert sum(type(m).__name__ == "GraphConvolution" for m in model.module_) == 1


def test_in_a_pipeline_from_snapshots(atoms, blocks, targets):
    model = make_pipeline(transformer(), ADOSRegressor(make())).fit(atoms)
    expected = make().fit(blocks, targets)
    assert_same(model.predict(atoms), expected.predict(blocks))
    np.testing.assert_array_equal(model[-1].predict_sum(blocks), expected.predict_sum(blocks))
    # The network follows the transformer.
    model.set_params(atomenvtransformer__subdivisions=0).fit(atoms)
    assert model[-1].regressor_.module_.subdivisions == 0


def test_dropout_and_seeds(blocks, targets):
    model = make(module__dropout=0.5).fit(blocks, targets)
    assert_same(model.predict(blocks), model.predict(blocks))
    assert_same(clone(model).fit(blocks, targets).predict(blocks), model.predict(blocks))
    other = make(module__dropout=0.1).fit(blocks, targets)
    assert np.abs(other.predict(blocks)[0] - model.predict(blocks)[0]).max() > 1e-4


@pytest.mark.parametrize("trip", ["pickle", "skops"])
def test_a_stored_model_predicts_the_same(blocks, targets, trip):
    model = make(train_split=1, early_stopping=2).fit(blocks, targets)
    if trip == "pickle":
        copied = pickle.loads(pickle.dumps(model))
    else:
        import skops.io

        dumped = skops.io.dumps(model)
        untrusted = skops.io.get_untrusted_types(data=dumped)
        assert set(untrusted) <= {
            "skldos.regressors.neural.csnn.CSNNRegressor",
            "skldos.networks.csnn.ConcentricSpherical",
            "torch.nn.modules.loss.MSELoss",
            "torch.optim.adam.Adam",
        }
        copied = skops.io.loads(dumped, trusted=untrusted)
    assert_same(copied.predict(blocks), model.predict(blocks))
    assert tuple(copied.environment_shape_) == (3, 42)
    copied.partial_fit(blocks, targets)
    assert len(copied.history_) == len(model.history_) + 3


def test_other_networks_get_flat_rows(blocks, targets):
    model = CSNNRegressor(FeedForward, max_epochs=2, random_state=0).fit(blocks, targets)
    assert model.module_[0].in_features == 3 * 42
    instance = CSNNRegressor(FeedForward(3 * 42, 11), max_epochs=2).fit(blocks, targets)
    assert instance.predict(blocks)[0].shape == (4, 11)


# ---------------------------------------------------------------- rotations


def turned(lazy, rotation):
    return Blocks([block.rotated(rotation) for block in lazy])


def test_icosahedral_rotations_change_nothing(lazy, targets):
    model = make().fit(lazy, targets)
    expected = model.predict(lazy)
    for rotation in icosahedral_rotations()[[5, 23, 44]]:
        assert_same(model.predict(turned(lazy, rotation)), expected, rtol=1e-5, atol=1e-5)
    other = model.predict(turned(lazy, Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix()))
    assert np.abs(np.concatenate(other) - np.concatenate(expected)).max() > 1e-4


def test_predictions_are_means_over_frames(lazy, targets):
    model = make(batch_size=3).fit(lazy, targets)
    single = model.predict(lazy)
    model.n_rotations_ = 4
    frames = [model.predict(lazy) for _ in range(2)]
    assert_same(*frames)
    rotations = Rotation.random(4, 0).as_matrix()
    rotations[0] = np.eye(3)
    model.n_rotations_ = 1
    expected = np.mean(
        [np.concatenate(model.predict(turned(lazy, rotation))) for rotation in rotations], axis=0
    )
    np.testing.assert_allclose(np.concatenate(frames[0]), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected - np.concatenate(single)).max() > 1e-4


def test_training_sees_every_frame_once(lazy, targets):
    model = make(augment=True, max_epochs=2)
    seen = []

    class Spy(ConcentricSpherical):
        def forward(self, rows):
            if self.training:
                seen.append(rows.detach().clone())
            return super().forward(rows)

    model.set_params(module=Spy).fit(lazy, targets)
    epochs = torch.cat(seen).view(2, 20, 3, 42)
    plain = torch.tensor(flat(lazy)).view(20, 3, 42)
    for epoch in epochs:
        # Turning moves numbers from vertex to vertex, but not from sphere to sphere.
        sums, known = epoch.sum(dim=2).double(), plain.sum(dim=2).double()
        nearest = torch.cdist(sums, known).min(dim=1)
        assert nearest.values.max() < 1e-5
        assert torch.cdist(epoch.flatten(1), plain.flatten(1)).min() > 1e-2
    assert torch.cdist(epochs[0].flatten(1), epochs[1].flatten(1)).min() > 1e-2


def test_augmentation_is_reproducible(lazy, targets):
    model = make(augment=True).fit(lazy, targets)
    assert_same(clone(model).fit(lazy, targets).predict(lazy), model.predict(lazy))
    plain = make().fit(lazy, targets)
    assert np.abs(plain.predict(lazy)[0] - model.predict(lazy)[0]).max() > 1e-4


@pytest.mark.parametrize("options", [{"augment": True}, {"n_rotations": 2}])
def test_rotations_need_blocks_that_turn(blocks, targets, options):
    model = make(**options)
    message = next(f"{name}={value}" for name, value in options.items())
    with pytest.raises(ValueError, match=f"{message} needs blocks that can be rotated"):
        model.fit(blocks, targets).predict(blocks)
    rows = make(module__n_spheres=3, module__subdivisions=1, **options)
    with pytest.raises(ValueError, match=f"{message} needs blocks that can be rotated"):
        rows.fit(flat(blocks), np.concatenate(targets)).predict(flat(blocks))


# ---------------------------------------------------------------- errors


def test_sizes_that_do_not_fit_are_named(blocks, targets):
    with pytest.raises(ValueError, match=r"module__n_spheres must be 3, as .*\(3, 42\).* got 1"):
        make(module__n_spheres=1).fit(blocks, targets)
    with pytest.raises(ValueError, match="module__subdivisions must be 1"):
        make(module__subdivisions=0).fit(blocks, targets)
    with pytest.raises(ValueError, match="n_in must be channels × n_spheres × vertices"):
        make().fit(flat(blocks), np.concatenate(targets))
    with pytest.raises(ValueError, match=r"spheres must have one of .* vertices, got 43"):
        make().fit([np.zeros((4, 3, 43))], [np.zeros((4, 2))])


def test_other_environments_than_in_fit_are_refused(blocks, targets):
    model = make().fit(blocks, targets)
    swapped = [np.asarray(block).swapaxes(1, 2) for block in blocks]
    message = r"X must hold environments of shape \(3, 42\) as in fit, got \(42, 3\)"
    with pytest.raises(ValueError, match=message):
        model.predict(swapped)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(swapped, targets)
    mixed = [np.zeros((4, 3, 42)), np.zeros((4, 4, 42))]
    with pytest.raises(ValueError, match="all blocks must have the same axes after the first"):
        model.predict(mixed)
    with pytest.raises(ValueError, match="expecting 126 features"):
        model.predict([np.zeros((4, 125))])


def test_targets_of_atoms_have_to_be_given(blocks):
    with pytest.raises(ValueError, match="needs targets y with a row for every atom"):
        make().fit(blocks)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"augment": "z"}, ValueError, "augment must be one of True, False; got 'z'"),
        ({"n_rotations": 0}, ValueError, "n_rotations must be >= 1, got 0"),
        ({"lr_schedule": "step"}, ValueError, "lr_schedule must be one of"),
        ({"dos_ridge": 0.0}, ValueError, "dos_ridge must be > 0"),
    ],
)
def test_wrong_parameters_are_named(blocks, targets, options, error, message):
    with pytest.raises(error, match=message):
        make(**options).fit(blocks, targets)
