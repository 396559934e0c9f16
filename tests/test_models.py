"""Recommended models of alloys: what they are made of, and that they learn compositions."""

import numpy as np
import pytest
from sklearn.base import clone

import skldos
from skldos.datasets import load_aluminium_magnesium


def test_alloys_are_told_apart_by_element():
    model = skldos.models.alloys(["Al", "Mg"], twojmax=2)
    weights = [snap.weights for _, snap in model[0].transformer_list]
    assert weights == [{"Al": 1.0, "Mg": 0.3}, {"Al": 0.3, "Mg": 1.0}]
    cells = load_aluminium_magnesium(n_atoms=4)
    train, test = cells[::2], cells[1::2]
    fitted = clone(model).fit(train)
    errors = skldos.evaluate(fitted, test)["band_energy_error"].abs()
    mean = np.mean([s.reference["band_energy"] / 4 for s in train])
    spread = [abs(s.reference["band_energy"] / 4 - mean) for s in test]
    assert errors.mean() < 1e3 * np.mean(spread) / 10
    alone = skldos.models.alloys("Al")
    assert len(alone[0].transformer_list) == 1


@pytest.mark.parametrize("elements", [[], ["Al", "Al"]])
def test_each_element_is_named_once(elements):
    with pytest.raises(ValueError, match="elements must name each element once"):
        skldos.models.alloys(elements)


def test_potential_has_features_of_the_centre():
    cell = load_aluminium_magnesium(n_atoms=4)[1]
    options = {"r_cut": 4, "n_max": 2, "l_max": 1, "fade": 1}
    shared, own = (
        skldos.models.potential(center_species=c, **options)[0].fit_transform([cell])[0]
        for c in (False, True)
    )
    assert own.shape[1] == 2 * shared.shape[1]
