"""Tables of models that predict free energies, forces and stresses."""

import numpy as np
import pytest

from skldos import SnapshotList, evaluate
from skldos.data.free_energies import free_energies_at, full_stress
from skldos.datasets import make_snapshots
from skldos.exceptions import ScoringError
from tests.scoring.predicts import Potential

VOIGT = np.array([1.0, 2.0, 3.0, 0.1, 0.2, 0.3])


def calculated(*temperatures):
    found = make_snapshots(len(temperatures), grid_shape=(2, 2, 2), n_energies=40, random_state=0)
    more = {"forces": np.ones((4, 3)), "stress": VOIGT}
    return SnapshotList(
        s.replace(temperature=T, reference={"total_energy": -5.0 * (i + 1)} | more)
        for i, (s, T) in enumerate(zip(found, temperatures, strict=True))
    )


def test_the_table_of_a_potential():
    data = calculated(300.0, 900.0)
    table = evaluate(Potential(), data)
    assert table["n_atoms"].tolist() == [4, 4]
    assert table["temperature"].tolist() == [300, 900]
    assert table["total_energy"].tolist() == pytest.approx([-5.5, -11])
    assert table["total_energy_true"].tolist() == [-5, -10]
    assert table["total_energy_error"].tolist() == pytest.approx([-125, -250])
    assert table["forces_error"].tolist() == pytest.approx([0.1, 0.1])
    rms = 0.1 * np.sqrt(np.mean(full_stress(VOIGT) ** 2))
    assert table["stress_error"].tolist() == pytest.approx([rms, rms])
    # True energies that are given, and at the temperature of the model.
    given = evaluate(Potential(), data, [-4.0, -8.0])
    assert given["total_energy_true"].tolist() == [-4, -8]
    at = evaluate(Potential(temperature=900.0), data)
    assert at["temperature"].tolist() == [900, 900]
    np.testing.assert_allclose(at["total_energy_true"], free_energies_at(data, 900.0))


def test_the_table_lacks_what_one_snapshot_or_the_potential_lacks():
    data = calculated(300.0, 300.0)

    def columns(model, X):
        return {name for name in ("forces_error", "stress_error") if name in evaluate(model, X)}

    def without(name):
        kept = {k: v for k, v in data[1].reference.items() if k != name}
        return SnapshotList([data[0], data[1].replace(reference=kept)])

    assert columns(Potential(), data) == {"forces_error", "stress_error"}
    assert columns(Potential(stress=False), data) == {"forces_error"}
    assert columns(Potential(), without("forces")) == {"stress_error"}
    assert columns(Potential(), without("stress")) == {"forces_error"}
    with pytest.raises(ScoringError, match="no reference 'total_energy'"):
        evaluate(Potential(), without("total_energy"))
