"""The parts of a pseudopotential that a total energy needs."""

import copy
import pickle

import joblib
import numpy as np
import pytest

from skldos.physics import Pseudopotential

MESH = {"radii": [0.0, 0.1, 0.2], "radial_weights": [0.1, 0.1, 0.1], "core_density": [3, 2, 1]}


def test_attributes_are_what_was_given():
    pseudo = Pseudopotential("Na", 9, functional="pbe", kind="ultrasoft", **MESH)
    assert (pseudo.symbol, pseudo.valence, pseudo.functional) == ("Na", 9.0, "pbe")
    for name, values in MESH.items():
        array = getattr(pseudo, name)
        assert array.dtype == float
        np.testing.assert_array_equal(array, values)
    bare = Pseudopotential("Na", 1)
    assert bare.functional is bare.radii is bare.radial_weights is bare.core_density is None
    assert bare.atomic_density is pseudo.atomic_density is None
    free = Pseudopotential("Na", 9, **MESH, atomic_density=[5, 4, 3])
    np.testing.assert_array_equal(free.atomic_density, [5.0, 4.0, 3.0])
    assert bare.kind == "norm-conserving"


def test_arrays_are_copies():
    radii = np.array(MESH["radii"])
    pseudo = Pseudopotential("Na", 9, **(MESH | {"radii": radii}))
    radii[1] = 7
    assert pseudo.radii[1] == 0.1


def test_it_shows_what_matters():
    assert repr(Pseudopotential("Al", 3)) == "Pseudopotential(Al, valence 3, norm-conserving)"
    shown = repr(Pseudopotential("Na", 9.5, functional="pbe", kind="paw", **MESH))
    assert shown == "Pseudopotential(Na, valence 9.5, pbe, paw, core correction)"


def test_it_can_be_pickled_copied_and_hashed():
    pseudo = Pseudopotential("Na", 9, functional="pbe", **MESH)
    for same in (pickle.loads(pickle.dumps(pseudo)), copy.deepcopy(pseudo)):
        assert repr(same) == repr(pseudo)
        np.testing.assert_array_equal(same.core_density, pseudo.core_density)
        assert joblib.hash(same) == joblib.hash(pseudo)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valence": 0}, "valence must be > 0, got 0"),
        ({"kind": "soft"}, "kind must be one of 'norm-conserving', .*; got 'soft'"),
        ({"radii": None}, "radii must have one value per value of core_density, 3, got none"),
        ({"radial_weights": [0.1]}, "radial_weights must have one value .* 3, got 1"),
        ({"core_density": [[1.0]]}, r"core_density must have shape \(any\), got \(1, 1\)"),
        ({"core_density": [1.0, np.nan, 0]}, "core_density must be finite, got 1 NaN"),
        ({"atomic_density": [1.0]}, "radii must have one value per value of atomic_density, 1"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Pseudopotential(**({"symbol": "Na", "valence": 9} | MESH | change))


def test_a_valence_is_a_number():
    with pytest.raises(TypeError, match="valence must be a number, got '3'"):
        Pseudopotential("Al", "3")
