"""Find calculations in a folder and read them as snapshots."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from skldos.data import Snapshot, SnapshotList
from skldos.data.storage import INDEX
from skldos.exceptions import FileFormatError
from skldos.io.espresso import read_espresso
from skldos.io.espresso.locate import XML, is_output
from skldos.io.mala import read_mala
from skldos.io.npz import read_npz

#: Endings of the names of MALA's LDOS files, in order of preference.
MALA_LDOS = (".out.npy", ".out.h5")
MALA_INFO = ".info.json"
KINDS = ("snapshots", "mala", "npz", "espresso", "structures")
KIND_NAMES = {
    "snapshots": "a folder of snapshots",
    "mala": "files of MALA",
    "npz": ".npz files",
    "espresso": "runs of pw.x",
    "structures": "structures that ASE reads",
}


class Source(NamedTuple):
    """A file or folder to read.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    path : Path
        The file or folder.
    name : str, optional
        Name of the snapshot, unless the file contains one.
    """

    kind: str
    path: Path
    name: str = ""


def find_sources(path):
    """Return each :class:`Source` under a path that can be read as snapshots, sorted by path.

    A folder is searched with all its subfolders. If it holds several kinds, the first of these is
    read: a folder of :meth:`SnapshotList.save`, pairs of MALA files (found by their
    ``.info.json``), ``.npz`` files, runs of pw.x (save directories, or else text outputs). A
    ``FileNotFoundError`` says that there is nothing to read.
    """
    path = Path(path)
    if path.is_file():
        return [Source(_kind_of_file(path), path)]
    if not path.is_dir():
        raise FileNotFoundError(f"there is no file or folder {path}.")
    for kind, files in _searches(path):
        paths = sorted(files)
        if paths:
            return [Source(kind, *item) for item in zip(paths, _names(paths), strict=True)]
    raise FileNotFoundError(
        f"{path} holds neither snapshots of skldos ({INDEX}), nor files of MALA (*{MALA_INFO}), "
        "nor *.npz, nor runs of pw.x (prefix.save, *.out)."
    )


def read_snapshots(
    path, *, energies=None, ldos=None, density=None, temperature=None, assume_isolated=None
):
    """Read all snapshots that a folder or file holds, whichever program wrote them.

    Parameters
    ----------
    path : str or path-like
        A folder, which is searched with all its subfolders, or a file. If a folder holds several
        kinds of data, the first of these is read: a folder of :meth:`SnapshotList.save`, MALA
        files, ``.npz`` files, runs of pw.x. ASE reads any other file.
    energies : EnergyGrid, optional
        Energies of the LDOS in eV, for runs of pw.x and MALA files, which do not contain them.
    ldos, density : str, optional
        As for :func:`read_espresso`, for runs of pw.x; for example ``"wavefunctions"``.
    temperature : float, optional
        Electronic temperature in K, if the files do not contain it.
    assume_isolated : {"2D"}, optional
        As for :func:`read_espresso`: runs of slabs are refused unless you ask for them.

    Returns
    -------
    SnapshotList
        Each with the name of its file or folder as `name`, and the path as `source`.

    Raises
    ------
    FileNotFoundError
        If there is nothing to read.
    FileFormatError
        If a file is damaged; the message names it.

    Examples
    --------
    >>> import tempfile
    >>> from ase.build import bulk
    >>> from skldos.io import read_snapshots
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bulk("Al").write(f"{folder}/al.xyz")
    ...     read_snapshots(f"{folder}/al.xyz")[0]
    Snapshot('al', Al)
    """
    options = {"energies": energies, "ldos": ldos, "density": density, "temperature": temperature}
    options["assume_isolated"] = assume_isolated
    return SnapshotList(
        [snapshot for source in find_sources(path) for snapshot in read_source(source, **options)]
    )


def read_source(source, *, energies=None, temperature=None, **options):
    """Return the list of snapshots of one source; options are those of :func:`read_snapshots`."""
    kind, path, name = source
    if kind == "snapshots":
        return list(SnapshotList.load(path if path.is_dir() else path.parent))
    if kind == "structures":
        return _structures(path, temperature)
    if kind == "npz":
        snapshot = read_npz(path)
    elif kind == "mala":
        snapshot = _mala(path, energies)
    else:
        run = path.parent if path.name == XML else path
        energies = None if options.get("ldos") is None else energies
        snapshot = read_espresso(run, energies=energies, temperature=temperature, **options)
    name = snapshot.name or name or _name(path)
    return [snapshot.replace(name=name, source=snapshot.source or str(path))]


def _mala(info, energies):
    prefix = str(info)[: -len(MALA_INFO)]
    candidates = (Path(f"{prefix}{ending}") for ending in MALA_LDOS)
    ldos = next((path for path in candidates if path.exists()), None)
    if ldos is not None and energies is None:
        raise ValueError(f"energies are required: MALA files do not contain them ({ldos}).")
    return read_mala(ldos, info, energies=None if ldos is None else energies)


def _structures(path, temperature):
    from ase.io import read

    try:
        images = read(path, index=":")
    except Exception as error:  # each format has its own errors
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(f"ASE cannot read it: {reason}", path) from error
    if not images:
        raise FileFormatError("it holds no structures", path)
    names = [path.stem] if len(images) == 1 else [f"{path.stem}_{i}" for i in range(len(images))]
    return [
        Snapshot(atoms, temperature=temperature, name=name, source=str(path))
        for atoms, name in zip(images, names, strict=True)
    ]


def _kind_of_file(path):
    if path.name == INDEX:
        return "snapshots"
    if path.name.endswith(MALA_INFO):
        return "mala"
    if path.suffix == ".npz":
        return "npz"
    if path.name == XML or (path.suffix == ".out" and is_output(path)):
        return "espresso"
    return "structures"


def _searches(folder):
    """Yield each kind with the paths of its files or folders."""
    yield "snapshots", (file.parent for file in folder.rglob(INDEX))
    yield "mala", folder.rglob(f"*{MALA_INFO}")
    yield "npz", folder.rglob("*.npz")
    yield "espresso", folder.rglob(XML)
    yield "espresso", filter(is_output, folder.rglob("*.out"))


def _names(paths):
    """Return a name for each path; equal names are prefixed with the folders that differ."""
    folders = [path.parent.parent if path.name == XML else path.parent for path in paths]
    parents = [
        (*folder.resolve().parts[1:], _name(path))
        for path, folder in zip(paths, folders, strict=True)
    ]
    counts = [1] * len(parents)  # from the end
    while True:
        names = ["_".join(parent[-n:]) for parent, n in zip(parents, counts, strict=True)]
        occurrences = Counter(names)
        longer = [
            n + (occurrences[name] > 1 and n < len(parent))
            for parent, n, name in zip(parents, counts, names, strict=True)
        ]
        if longer == counts:
            return names
        counts = longer


def _name(path):
    """Return the name of a snapshot, from its run or its file."""
    if path.name == XML:
        return path.parent.name.removesuffix(".save")
    return path.name.removesuffix(MALA_INFO).removesuffix(".out")
