"""Load the snapshots, pseudopotentials and structures named on the command line."""

from pathlib import Path

from skldos.cli.arguments import BUNDLED


def load_data(path):
    """Return the snapshots in a folder, or the bundled ones.

    A folder without snapshots is a ``FileNotFoundError``, which says how to convert its files.
    """
    from skldos.data import SnapshotList
    from skldos.data.storage import INDEX
    from skldos.io.folders import KIND_NAMES, find_sources

    path = Path(path)
    if str(path) == BUNDLED and not path.exists():
        from skldos.datasets import load_aluminium

        return load_aluminium()
    if (path / INDEX).exists():
        return SnapshotList.load(path)
    try:
        sources = find_sources(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} holds no snapshots: {error}") from None
    kind = KIND_NAMES[sources[0].kind]
    raise FileNotFoundError(
        f"{path} holds no snapshots, but {len(sources)} × {kind}: run 'skldos convert {path} "
        "--output snapshots' first."
    )


def load_pseudopotentials(files, data=None):
    """Return pseudopotentials from UPF files or of the bundled data, or None."""
    if files:
        from skldos.io import as_pseudopotentials

        return as_pseudopotentials(files)
    if str(data) == BUNDLED and not Path(BUNDLED).exists():
        from skldos.datasets import load_aluminium_pseudopotentials

        return load_aluminium_pseudopotentials()
    return None


def load_model(path):
    """Return a model that ``skldos fit`` saved."""
    import skldos

    if Path(path).is_dir() and (Path(path) / "model.skldos").exists():
        path = Path(path) / "model.skldos"
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no model {path}; 'skldos fit' writes one.")
    return skldos.load(path)


def load_structures(paths):
    """Return the structures in files of any format, as one list."""
    from skldos.io import read_snapshots

    return [snapshot for path in paths for snapshot in read_snapshots(path)]
