"""Trained MALA models: the archive of MALA's own tests, archives made here, and hostile ones."""

import io
import itertools
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skldos import EnergyGrid, Snapshot, evaluate
from skldos.datasets import make_snapshots
from skldos.exceptions import FileFormatError
from skldos.io import read_mala, read_mala_model
from skldos.io.mala import _info
from skldos.io.mala_archive import unpickle_scaler

# What MALA 1.4.0 makes of its own test archive and its own descriptors, summed over the grid
# (LDOS in 1/(eV Å³)), and the band energies in eV it then returns: Predictor.load_run with
# activation_list_legacy_load, as its models of that age need.
SUMS = {
    0: [
        *(75.7582194144, 101.4144783989, 127.1472278293, 149.0516431239, 163.9731896278),
        *(169.8634669718, 166.1743551744, 153.7291060835, 133.7227321798, 109.6618005750),
        84.8069283804,
    ],
    1: [
        *(64.3937359424, 93.7395890830, 146.0067067919, 164.6512305746, 167.3613014081),
        *(161.3702405142, 186.0288903983, 155.4931327365, 150.9698317349, 121.3696830085),
        81.8695658706,
    ],
}
BAND_ENERGIES = {0: 12.45396752967892, 1: 12.25074925151156}
# The same network without the activation of the output layer, negative values set to zero.
LINEAR_SUM, LINEAR_BAND_ENERGY = 1493.0390323784668, 12.260253131770146

N_FEATURES, N_ENERGIES = 5, 3  # of twojmax 2


def scaler(kind="standard", width=N_FEATURES, **changes):
    """Return the entries of a JSON scaler."""
    rng = np.random.default_rng(width)
    means, stds = rng.normal(size=width), 1 + rng.random(width)
    return {
        "typestring": f"feature-wise-{kind}",
        "use_ddp": False,
        "scale_standard": kind == "standard",
        "scale_minmax": kind == "minmax",
        "feature_wise": True,
        "cantransform": True,
        "means": [means.tolist()],
        "stds": [stds.tolist()],
        "mins": means.tolist(),
        "maxs": (means + stds).tolist(),
        "total_mean": 0.5,
        "total_std": 2.0,
        "total_min": -1.0,
        "total_max": 3.0,
        "total_data_count": 7,
    } | changes


def parameters(**changes):
    """Return the sections of MALA's parameters that say what a model is."""
    sections = {
        "network": {
            "nn_type": "feed-forward",
            "layer_sizes": [N_FEATURES, 4, N_ENERGIES],
            "layer_activations": "LeakyReLU",
            "layer_activations_include_output_layer": False,
        },
        "descriptors": {
            "descriptor_type": "Bispectrum",
            "bispectrum_twojmax": 2,
            "bispectrum_cutoff": 3.5,
            "bispectrum_switchflag": 1,
        },
        "targets": {
            "target_type": "LDOS",
            "ldos_gridsize": N_ENERGIES,
            "ldos_gridoffset_ev": -1.0,
            "ldos_gridspacing_ev": 0.5,
            "restrict_targets": "zero_out_negative",
        },
        "running": {"inference_data_grid": [0, 0, 0]},
    }
    for section, entries in changes.items():
        sections[section] = sections[section] | entries
    return sections


@pytest.fixture(scope="module")
def sample():
    (snapshot,) = make_snapshots(1, grid_shape=(4, 4, 4), random_state=0)
    return snapshot


@pytest.fixture(scope="module")
def bare(sample):
    return sample.replace(ldos=None, grid_shape=(4, 4, 4))


@pytest.fixture
def make(tmp_path, sample):
    """Return a function that writes an archive and returns its path and the network's weights."""

    def write(params=None, iscaler=None, oscaler=None, *, info=True, files=None):
        torch.manual_seed(0)
        params = params or parameters()
        sizes = params["network"]["layer_sizes"]
        layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        state = {
            f"layers.{2 * i}.{name}": value
            for i, layer in enumerate(layers)
            for name, value in layer.state_dict().items()
        }
        network = io.BytesIO()
        torch.save(state, network, _use_new_zipfile_serialization=False)
        members = {
            "m.network.pth": network.getvalue(),
            "m.params.json": json.dumps(params),
            "m.iscaler.json": json.dumps(iscaler or scaler()),
            "m.oscaler.json": json.dumps(oscaler or scaler("minmax", N_ENERGIES)),
        } | (files or {})
        if info:
            members["m.info.json"] = json.dumps(_info(sample))
        path = tmp_path / "m.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                if content is not None:
                    archive.writestr(name, content)
        return path, [(layer.weight.detach(), layer.bias.detach()) for layer in layers]

    return write


def by_hand(model, snapshot, weights, iscaler, oscaler, last=None):
    """Return the LDOS as MALA's formulas have it: scale, layers, scale back, cut."""
    x = torch.tensor(np.asarray(model[0].transform([snapshot])[0]))

    def bounds(values):
        one = values["feature_wise"]
        if values["scale_standard"]:
            names = ("means", "stds") if one else ("total_mean", "total_std")
            return [torch.tensor(values[name]).reshape(-1) for name in names]
        names = ("mins", "maxs") if one else ("total_min", "total_max")
        low, high = (torch.tensor(values[name]).reshape(-1) for name in names)
        return [low, high - low]

    center, scale = bounds(iscaler)
    x = (x - center) / scale
    for i, (matrix, bias) in enumerate(weights):
        x = x @ matrix.T.double() + bias.double()
        if i < len(weights) - 1:
            x = torch.nn.functional.leaky_relu(x)
    x = x if last is None else last(x)
    center, scale = bounds(oscaler)
    return torch.clamp(x * scale + center, min=0).numpy()


# -------------------------------------------------------------------- predictions


@pytest.mark.parametrize("number", [0, 1])
def test_the_archive_of_mala_predicts_what_mala_does(shared_data, number):
    folder = shared_data / "be2"
    model = read_mala_model(folder / "Be_model.zip")
    snapshot = read_mala(
        folder / f"Be_snapshot{number}.out.npy",
        folder / f"Be_snapshot{number}.info.json",
        energies=EnergyGrid.regular(-5.0, 2.5, 11),
    )
    table = evaluate(model, [snapshot])
    assert table["band_energy"][0] == pytest.approx(BAND_ENERGIES[number], abs=2e-6)
    # Their descriptors are those of the file that MALA's LAMMPS wrote: equal point by point.
    rows = np.load(folder / f"Be_snapshot{number}.in.npy").reshape(-1, 94)[:, 3:]
    scaled = model[1].row_transformer_.transform(rows)
    from_theirs = model[-1].predict([scaled])[0]
    ours = np.asarray(model.predict([snapshot])[0])
    np.testing.assert_allclose(ours, from_theirs, rtol=1e-5)
    np.testing.assert_allclose(ours.sum(axis=0, dtype=float), SUMS[number], rtol=1e-6)


def test_a_list_of_one_activation_is_read_by_the_age_of_the_archive(shared_data, tmp_path):
    path = shared_data / "be2" / "Be_model.zip"
    newer = tmp_path / "newer.zip"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(newer, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("params.json"):
                params = json.loads(content)
                params["network"]["layer_activations_include_output_layer"] = True
                content = json.dumps(params)
            new.writestr(name, content)
    model = read_mala_model(newer)
    rows = np.load(shared_data / "be2" / "Be_snapshot1.in.npy").reshape(-1, 94)[:, 3:]
    ldos = model[-1].predict([model[1].row_transformer_.transform(rows)])[0]
    assert ldos.sum(dtype=float) == pytest.approx(LINEAR_SUM, rel=1e-6)
    assert abs(LINEAR_SUM / sum(SUMS[1]) - 1) > 1e-4  # and is not what the older one gives


@pytest.mark.parametrize("kind", ["standard", "minmax"])
@pytest.mark.parametrize("by_feature", [True, False])
def test_all_scalings_and_the_cut_at_zero(make, bare, kind, by_feature):
    iscaler = scaler(kind, feature_wise=by_feature)
    oscaler = scaler(kind, N_ENERGIES, feature_wise=by_feature)
    path, weights = make(iscaler=iscaler, oscaler=oscaler)
    model = read_mala_model(path)
    ldos = np.asarray(model.predict([bare])[0])
    expected = by_hand(model, bare, weights, iscaler, oscaler)
    np.testing.assert_allclose(ldos, expected, rtol=2e-5, atol=1e-6)
    assert (ldos >= 0).all()
    assert ldos.any()
    assert model[-1].energies_.tolist() == [-1.0, -0.5, 0.0]


def test_an_activation_of_the_output_layer(make, bare):
    params = parameters(network={"layer_activations_include_output_layer": True})
    iscaler, oscaler = scaler(), scaler("minmax", N_ENERGIES)
    path, weights = make(params, iscaler, oscaler)
    model = read_mala_model(path)
    expected = by_hand(model, bare, weights, iscaler, oscaler, torch.nn.functional.leaky_relu)
    np.testing.assert_allclose(model.predict([bare])[0], expected, rtol=2e-5, atol=1e-6)


def test_the_pipeline_is_an_ordinary_one(make, sample, bare):
    path, _ = make()
    model = read_mala_model(path)
    before = np.asarray(model.predict([bare])[0])
    stored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(stored.predict([bare])[0], before)
    assert model[-1].n_outputs_ == N_ENERGIES
    # Trained further on, and anew.
    narrow = EnergyGrid(model[-1].energies_)
    target = Snapshot(sample.atoms, energies=narrow, ldos=np.asarray(sample.ldos)[..., :N_ENERGIES])
    model[-1].partial_fit(model[:-1].transform([target]), epochs=1)
    assert not np.array_equal(model.predict([bare])[0], before)
    clone(model).set_params(ldosregressor__max_epochs=1).fit([target])


def test_elements_come_from_the_archive_or_from_atoms(make, sample):
    path, _ = make(info=False)
    with pytest.raises(ValueError, match="atoms must be a configuration"):
        read_mala_model(path)
    transformer = read_mala_model(path, atoms=sample.atoms)[0]
    assert (transformer.species_, transformer.weights) == (["Al"], {"Al": 1.0})
    weights = {"bispectrum_element_weights": [3.0, 1.5]}  # relative to the largest
    path, _ = make(parameters(descriptors=weights), info=False)
    atoms = sample.atoms.copy()
    atoms.symbols[0] = "O"
    model = read_mala_model(path, atoms=atoms)
    assert model[0].weights == {"Al": 1.0, "O": 0.5}
    with pytest.raises(FileFormatError, match=r"a weight for each of \['Al'\]"):
        read_mala_model(path, atoms=sample.atoms)


@pytest.mark.parametrize(
    ("grid", "shape"),
    [([4, 2, 1], (4, 2, 1)), ([4, 0, 2], (1, 1, 1)), ([0, 0, 0], (1, 1, 1)), (None, (1, 1, 1))],
)
def test_the_grid_of_the_predictions_sets_the_spacing(make, sample, grid, shape):
    path, _ = make(parameters(running={"inference_data_grid": grid}), info=False)
    model = read_mala_model(path, atoms=sample.atoms)
    np.testing.assert_allclose(
        model[0].grid_spacing_, sample.atoms.cell.lengths() / shape, rtol=1e-12
    )
    assert model[0].grid_shape is None
    # A configuration with a grid has its own.
    own = read_mala_model(path, atoms=sample)
    np.testing.assert_allclose(own[0].grid_spacing_, sample.atoms.cell.lengths() / 4, rtol=1e-12)


@pytest.mark.parametrize("kind", ["standard", "minmax"])
def test_scalers_are_those_of_scikit_learn(make, sample, kind):
    changes = {"stds": [[0.0, *np.arange(1.0, N_FEATURES)]]} if kind == "standard" else {}
    iscaler = scaler(kind, **changes)
    if kind == "minmax":
        iscaler["maxs"][0] = iscaler["mins"][0]
    path, _ = make(iscaler=iscaler)
    rows = read_mala_model(path)[1].row_transformer_
    x = np.arange(2.0 * N_FEATURES).reshape(2, N_FEATURES)
    np.testing.assert_allclose(rows.inverse_transform(rows.transform(x)), x, atol=1e-12)
    assert rows.n_samples_seen_ == 1
    if kind == "standard":
        np.testing.assert_allclose(rows.scale_, [1, *np.arange(1, N_FEATURES)])
        np.testing.assert_allclose(rows.var_, rows.scale_**2)
        np.testing.assert_allclose(rows.mean_, iscaler["means"][0])
    else:
        np.testing.assert_allclose(rows.data_min_, iscaler["mins"])
        np.testing.assert_allclose(rows.data_max_[1:], iscaler["maxs"][1:])
        np.testing.assert_allclose(rows.data_range_, rows.data_max_ - rows.data_min_)
        assert rows.data_range_[0] == 1
        np.testing.assert_allclose(rows.transform([rows.data_min_, rows.data_max_])[1], 1)


@pytest.mark.parametrize(
    ("activation", "low", "restricted", "cut"),
    [
        ("ReLU", 0.0, "zero_out_negative", False),
        ("ReLU", 0.1, "zero_out_negative", False),
        ("ReLU", -0.1, "zero_out_negative", True),
        ("LeakyReLU", 0.1, "zero_out_negative", True),
        ("LeakyReLU", 0.1, None, False),
    ],
)
def test_what_cannot_be_negative_is_not_cut(make, activation, low, restricted, cut):
    network = {"layer_activations": activation, "layer_activations_include_output_layer": True}
    oscaler = scaler("minmax", N_ENERGIES, mins=[low, 0.2, 0.3], maxs=[1.0, 1.0, 1.0])
    params = parameters(network=network, targets={"restrict_targets": restricted})
    module = read_mala_model(make(params, oscaler=oscaler)[0])[-1].module_
    assert (type(module).__name__ == "NonnegativeFeedForward") == cut
    assert not module.training
    if cut:
        lowest = [-low / (1 - low), -0.2 / 0.8, -0.3 / 0.7]
        np.testing.assert_allclose(module[-1].lowest, lowest, rtol=1e-6)
        assert "lowest" not in "".join(module.state_dict())


# -------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"targets": {"target_type": "DOS"}}, "a model of the LDOS"),
        ({"targets": {"restrict_targets": "absolute_values"}}, "restrict_targets"),
        ({"targets": {"ldos_gridspacing_ev": [0.5, 1.0]}}, "energies of one spacing"),
        ({"targets": {"ldos_gridsize": 4}}, "as many outputs as energies"),
        ({"descriptors": {"descriptor_type": "AtomicDensity"}}, "the descriptors"),
        ({"descriptors": {"bispectrum_twojmax": 4}}, "14 inputs"),
        ({"network": {"nn_type": "lstm"}}, "feed-forward"),
        ({"network": {"layer_activations": "Mish"}}, "activations among"),
        ({"network": {"layer_sizes": None}}, "layers of None units"),
    ],
)
def test_models_of_another_kind_are_refused(make, params, message):
    path, _ = make()
    with zipfile.ZipFile(path) as archive:
        network = archive.read("m.network.pth")
    changed = json.dumps(parameters(**params))
    path, _ = make(files={"m.params.json": changed, "m.network.pth": network})
    with pytest.raises(FileFormatError, match=message):
        read_mala_model(path)


def test_several_activations_are_refused(make):
    network = {"layer_sizes": [N_FEATURES, 4, 4, N_ENERGIES], "layer_activations": ["ReLU", "Tanh"]}
    path, _ = make(parameters(network=network))
    with pytest.raises(FileFormatError, match="one activation for all hidden layers"):
        read_mala_model(path)


@pytest.mark.parametrize("name", ["m.params.json", "m.iscaler.json", "m.network.pth"])
def test_incomplete_and_damaged_archives_are_refused(make, name):
    path, _ = make(files={name: None})
    with pytest.raises(FileFormatError, match="expected one file"):
        read_mala_model(path)
    path, _ = make(files={name: b"\x80\x04oops"})
    with pytest.raises(FileFormatError, match=r"m\.zip"):
        read_mala_model(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileFormatError, match="not an archive"):
        read_mala_model(path)


# -------------------------------------------------------------------- hostile archives


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def storage_pickle(payload):
    """Return a pickle that asks torch to load `payload`, as scalers do for their tensors."""
    return (
        b"\x80\x04\x8c\x0dtorch.storage\x8c\x10_load_from_bytes\x93"
        b"B" + len(payload).to_bytes(4, "little") + payload + b"\x85R."
    )


def test_a_tampered_archive_executes_nothing(make, tmp_path):
    marker = tmp_path / "executed"
    evil = pickle.dumps(Evil(marker))
    pickle.loads(pickle.dumps(Evil(marker)))
    assert marker.exists()  # it would
    marker.unlink()
    nested = io.BytesIO()
    torch.save(Evil(marker), nested, _use_new_zipfile_serialization=False)
    hostile = [
        {"m.iscaler.json": None, "m.iscaler.pkl": evil},
        {"m.oscaler.json": None, "m.oscaler.pkl": storage_pickle(nested.getvalue())},
        {"m.network.pth": nested.getvalue()},
        {"m.network.pth": evil},
    ]
    for files in hostile:
        path, _ = make(files=files)
        before = path.read_bytes()
        with pytest.raises(FileFormatError, match=r"It was not executed|loaded safely"):
            read_mala_model(path)
        assert not marker.exists()
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("posix", "system"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes.__globals__"),
        ("collections", "OrderedDict.fromkeys"),
        ("mala.datahandling.data_scaler", "pickle"),
    ],
)
def test_a_pickled_scaler_knows_no_other_names(module, name):
    content = b"\x80\x04\x8c" + bytes([len(module)]) + module.encode()
    content += b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93."
    with pytest.raises(FileFormatError, match="It was not executed"):
        unpickle_scaler(content, "x.pkl")


def test_damaged_pickles_are_refused():
    # A state for one of the functions that a scaler may name.
    module, name = b"torch._utils", b"_rebuild_tensor_v2"
    content = b"\x80\x04\x8c" + bytes([len(module)]) + module
    content += b"\x8c" + bytes([len(name)]) + name + b"\x93N}\x8c\x0c__defaults__N\x86s\x86b."
    for damaged in (content, b"\x80\x04", b"", b"no pickle"):
        with pytest.raises(FileFormatError, match="damaged"):
            unpickle_scaler(damaged, "x.pkl")
    with pytest.raises(FileFormatError, match="expected a DataScaler, got a list"):
        unpickle_scaler(pickle.dumps([1]), "x.pkl")
