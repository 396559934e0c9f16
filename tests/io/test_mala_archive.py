"""Archives of MALA models: what is in them, in all forms, and what is refused."""

import io
import itertools
import json
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import torch

from skldos.exceptions import FileFormatError
from skldos.io import mala_archive
from skldos.io.mala_archive import read_mala_archive, unpickle_scaler

SIZES = [3, 5, 4, 2]
NETWORK = {"layer_sizes": SIZES, "layer_activations": "ReLU"}
#: The name that MALA has for an activation, and that of skldos.
NAMES = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "SiLU": "silu", "GELU": "gelu"}
NAMES |= {"Tanh": "tanh", "Sigmoid": "sigmoid", "Softplus": "softplus", None: None}


def scaler(width, **changes):
    """Return the entries of a scaler that learned nothing."""
    numbers = np.arange(1.0, width + 1)
    return {
        **{"scale_standard": False, "scale_minmax": False, "feature_wise": True},
        **{"means": [numbers.tolist()], "stds": [(2 * numbers).tolist()]},
        **{"mins": (-numbers).tolist(), "maxs": (3 * numbers).tolist()},
        **{"total_mean": 0.5, "total_std": 2.0, "total_min": -1.0, "total_max": 3.0},
    } | changes


def layers(sizes=SIZES):
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in itertools.pairwise(sizes)]


def network(weights, **changes):
    """Return the file of a network; its layers have activations between them."""
    state = {}
    for i, (matrix, bias) in enumerate(weights):
        state |= {f"layers.{5 * i}.weight": matrix, f"layers.{5 * i}.bias": bias}
    state = {name: torch.tensor(value, dtype=torch.float32) for name, value in state.items()}
    file = io.BytesIO()
    more = {name: torch.tensor(value) for name, value in changes.items()}
    torch.save(dict(reversed(state.items())) | more, file)
    return file.getvalue()


@pytest.fixture
def make(tmp_path):
    """Return a function that writes an archive, and returns what is read from it."""

    def write(**files):
        members = {
            "network.pth": network(layers()),
            "params.json": json.dumps({"network": NETWORK, "targets": {"a": 1}}),
            "iscaler.json": json.dumps(scaler(3)),
            "oscaler.json": json.dumps(scaler(2)),
        } | {name.replace("_", "."): content for name, content in files.items()}
        with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
            for name, content in members.items():
                if content is not None:
                    archive.writestr(f"m.{name}", content)
        return read_mala_archive(tmp_path / "m.zip")

    return write


def of_network(**changes):
    return json.dumps({"network": NETWORK | changes})


def standard(width, **changes):
    return json.dumps(scaler(width, scale_standard=True, **changes))


def test_what_is_in_an_archive(make, tmp_path):
    found = make(info_json='{"b": 2}')
    assert found.path == tmp_path / "m.zip"
    assert found.parameters == {"network": NETWORK, "targets": {"a": 1}}
    assert found.info == {"b": 2}
    # In the order of their numbers, of which the third has two digits.
    for (matrix, bias), (A, b) in zip(found.weights, layers(), strict=True):
        np.testing.assert_array_equal(matrix, A.astype(np.float32), strict=True)
        np.testing.assert_array_equal(bias, b.astype(np.float32), strict=True)
    assert found.activations == ["relu"] * 3
    assert make().info is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"layer_activations": "Tanh"}, ["tanh"] * 3),
        ({"layer_activations": None}, [None] * 3),
        ({"layer_activations": ["GELU"]}, ["gelu"] * 3),
        ({"layer_activations": ["SiLU", "ReLU"]}, ["silu", "relu", None]),
        ({"layer_activations": ["SiLU", "ReLU", "Tanh", "GELU"]}, ["silu", "relu", "tanh"]),
        *(
            (
                {"layer_activations": name, "layer_activations_include_output_layer": False},
                [n, n, None],
            )
            for name, n in NAMES.items()
        ),
        (
            {"layer_activations": "ReLU", "layer_activations_include_output_layer": True},
            ["relu"] * 3,
        ),
        (
            {"layer_activations": ["ReLU"], "layer_activations_include_output_layer": True},
            ["relu", None, None],
        ),
        ({"nn_type": "feed-forward"}, ["relu"] * 3),
    ],
)
def test_activations_after_the_layers(make, settings, expected):
    assert make(params_json=of_network(**settings)).activations == expected


def test_scalers_of_columns_and_of_all(make):
    for by_feature in (True, False):
        one = {"feature_wise": by_feature}
        minmax = json.dumps(scaler(2, scale_minmax=True, **one))
        found = make(iscaler_json=standard(3, **one), oscaler_json=minmax)
        assert (found.inputs.kind, found.outputs.kind) == ("standard", "minmax")
        expected = (
            ([1, 2, 3], [2, 4, 6], [-1, -2], [4, 8]) if by_feature else ([0.5], [2], [-1], [4])
        )
        arrays = (*found.inputs[1:], *found.outputs[1:])
        for array, values in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(array, np.array(values, dtype=float), strict=True)
    plain = make().inputs
    assert (plain.kind, plain.center.tolist(), plain.scale.tolist()) == (None, [0], [1])
    # Before MALA 1.3.
    old = {name: value for name, value in scaler(2).items() if name != "scale_minmax"}
    assert make(oscaler_json=json.dumps(old | {"scale_normal": True})).outputs.kind == "minmax"


@pytest.fixture
def pickled(monkeypatch):
    """Return a function that pickles a scaler as MALA does, with tensors."""
    module = types.ModuleType("mala.datahandling.data_scaler")

    class DataScaler:
        pass

    DataScaler.__module__, DataScaler.__qualname__ = module.__name__, "DataScaler"
    module.DataScaler = DataScaler
    for name in ("mala", "mala.datahandling", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)

    def dump(**entries):
        one = DataScaler()
        vars(one).update(entries)
        return pickle.dumps(one)

    return dump


def test_scalers_may_be_pickles(make, pickled):
    means = torch.arange(12.0, dtype=torch.float64).reshape(4, 3)[2:3]  # rows 6 to 8 of a storage
    content = pickled(**scaler(3, scale_standard=True, means=means, stds=torch.ones(3)))
    found = make(iscaler_json=None, iscaler_pkl=content).inputs
    assert (found.kind, found.center.tolist(), found.scale.tolist()) == (
        "standard",
        [6, 7, 8],
        [1] * 3,
    )
    # A JSON file goes before it.
    assert make(iscaler_pkl=content).inputs.kind is None
    values = unpickle_scaler(pickled(a=torch.tensor(2.5)), "x.pkl")
    assert (values["a"].shape, float(values["a"])) == ((), 2.5)
    last = torch.arange(6.0)[4:]
    np.testing.assert_array_equal(unpickle_scaler(pickled(a=last), "x.pkl")["a"], [4, 5])
    one_column = torch.arange(6.0).reshape(6, 1)
    assert unpickle_scaler(pickled(a=one_column), "x.pkl")["a"].shape == (6, 1)
    # The distance of what is alone does not matter.
    alone = torch.arange(6.0)[4::6]
    assert alone.stride() == (6,)
    assert unpickle_scaler(pickled(a=alone), "x.pkl")["a"].tolist() == [4]
    whole = unpickle_scaler(pickled(a=torch.arange(3)), "x.pkl")["a"]
    np.testing.assert_array_equal(whole, [0.0, 1.0, 2.0], strict=True)
    with pytest.raises(FileFormatError, match="a tensor that is not dense"):
        unpickle_scaler(pickled(a=torch.arange(6.0).reshape(2, 3).T), "x.pkl")


def test_tensors_end_in_their_storage(tmp_path):
    values = np.arange(6.0)
    assert mala_archive._tensor(values, 2, (4,), (1,), path="x").tolist() == [2, 3, 4, 5]
    for offset in (-1, 3):
        with pytest.raises(FileFormatError, match="a tensor that is not dense"):
            mala_archive._tensor(values, offset, (4,), (1,), path="x")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"params_json": of_network(layer_sizes=[3, 5, 4])}, r"layers of \[3, 5, 4\] units, got"),
        ({"params_json": of_network(nn_type="lstm")}, "a feed-forward network, got 'lstm'"),
        ({"params_json": of_network(layer_activations="Mish")}, "got 'Mish'"),
        ({"params_json": of_network(layer_activations=["ReLU", ["a"]])}, r"got \['a'\]"),
        ({"params_json": "[]"}, "expected a JSON object, got a list"),
        ({"params_json": "{"}, "not a JSON file"),
        ({"params_json": 10**5 * "["}, "not a JSON file"),
        ({"params_json": None}, r"expected one file \*\.params\.json in it, got 0"),
        ({"more_params_json": "{}"}, r"expected one file \*\.params\.json in it, got 2"),
        ({"info_json": "[]"}, "expected a JSON object"),
        ({"iscaler_json": standard(4)}, "iscaler must have one number or 3, got 4"),
        ({"oscaler_json": standard(3)}, "oscaler must have one number or 2, got 3"),
        ({"oscaler_json": standard(2, stds=[1.0])}, "oscaler must have one number or 2, got 2"),
        ({"oscaler_json": standard(2, stds=[1.0, -1e-9])}, "oscaler holds invalid numbers"),
        ({"iscaler_json": standard(3, means=[0, 1, np.nan])}, "iscaler holds invalid numbers"),
        ({"iscaler_json": standard(3, stds=[1, 1, np.inf])}, "iscaler holds invalid numbers"),
        ({"network_pth": network([*layers([3, 5, 4]), *layers([5, 2])])}, r"10 must have .*\(2, 4"),
        ({"network_pth": network([(np.ones((2, 3)), np.ones(3))])}, r"have weights \(3, 3\), got"),
        ({"network_pth": network([(np.full((2, 3), np.nan), np.ones(2))])}, r"layers\.0 holds NaN"),
        ({"network_pth": network([(np.ones((2, 3)), np.full(2, np.inf))])}, r"layers\.0 holds NaN"),
        ({"network_pth": network(layers(), **{"layers.3.other": np.ones(1)})}, "only dense layers"),
        ({"network_pth": b"PK"}, "cannot be loaded safely"),
    ],
)
def test_archives_that_are_refused(make, files, message):
    with pytest.raises(FileFormatError, match=rf"{message}.*m\.zip"):
        make(**files)


def test_what_is_no_archive_or_no_network(make, tmp_path):
    file = io.BytesIO()
    torch.save([1.0], file)
    with pytest.raises(FileFormatError, match="the network must be a dict, got a list"):
        make(network_pth=file.getvalue())
    (tmp_path / "x.zip").write_bytes(b"no archive")
    with pytest.raises(FileFormatError, match="not an archive"):
        read_mala_archive(tmp_path / "x.zip")


def test_scales_may_be_zero_and_members_have_a_limit(make, monkeypatch):
    assert make(oscaler_json=standard(2, stds=[0.0, 1.0])).outputs.scale.tolist() == [0, 1]
    size = len(network(layers()))
    monkeypatch.setattr(mala_archive, "LARGEST_MEMBER", size)
    make()
    monkeypatch.setattr(mala_archive, "LARGEST_MEMBER", size - 1)
    with pytest.raises(FileFormatError, match=rf"network\.pth has {size} bytes, more than the"):
        make()
