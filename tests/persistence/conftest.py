"""A small model of atoms, and what it was trained on."""

import pytest

import skldos


@pytest.fixture(scope="session")
def training():
    """Four snapshots, the last at another temperature."""
    options = {"grid_shape": (4, 4, 4), "n_energies": 11, "random_state": 0}
    snapshots = skldos.datasets.make_snapshots(4, **options)
    return skldos.SnapshotList([*snapshots[:3], snapshots[3].replace(temperature=933.0)])


@pytest.fixture(scope="session")
def model(training):
    """A fitted model, which the tests do not change."""
    return skldos.models.atoms(n_max=2, l_max=1).fit(training)
