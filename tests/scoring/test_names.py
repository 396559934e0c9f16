"""Tables contain the names of snapshots."""

from skldos import SnapshotList, evaluate


def test_names_are_the_first_column(oracle, snapshots):
    model = oracle(1.01).fit(snapshots)
    plain = evaluate(model, snapshots[:2])
    assert "name" not in plain
    named = evaluate(model, SnapshotList([snapshots[0].replace(name="cold"), snapshots[1]]))
    assert list(named.columns) == ["name", *plain.columns]
    assert named["name"].tolist() == ["cold", "Al4, 298 K"]
    assert named.drop(columns="name").equals(plain)
    assert (named["band_energy_error"] != 0).all()
