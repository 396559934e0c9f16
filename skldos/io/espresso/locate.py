"""Find the results of pw.x in a folder."""

XML = "data-file-schema.xml"


def find_run(path, prefix=None):
    """Return the XML file (``*.xml``), or else the text output, that a path refers to.

    The path is a folder or a file; `prefix` names the ``prefix.save`` to read. A
    ``FileNotFoundError`` is raised if there is no such file, a ``ValueError`` if there are several
    candidates.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     outdir = pathlib.Path(folder)
    ...     (outdir / "al.save").mkdir()
    ...     _ = (outdir / "al.save" / XML).write_text("")
    ...     find_run(outdir).relative_to(outdir).as_posix()
    'al.save/data-file-schema.xml'
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"there is no file or folder {path}.")
    if (path / XML).exists():
        if prefix is not None and path.name != f"{prefix}.save":
            raise FileNotFoundError(f"{path} is not the save directory of prefix {prefix!r}.")
        return path / XML
    runs = {file.parent.name.removesuffix(".save"): file for file in path.glob(f"*.save/{XML}")}
    if prefix is not None:
        if prefix not in runs:
            raise FileNotFoundError(
                f"{path} holds no {prefix}.save/{XML}; it has {_names(runs, '.save')}."
            )
        return runs[prefix]
    if len(runs) > 1:
        raise ValueError(f"prefix is required: {path} holds several runs, {_names(runs, '.save')}.")
    outputs = list(runs.values()) or sorted(filter(is_output, path.glob("*.out")))
    if not outputs:
        raise FileNotFoundError(
            f"{path} holds neither {XML}, prefix.save nor an output *.out of pw.x."
        )
    if len(outputs) > 1:
        raise ValueError(
            f"path must be one run, but {path} holds {_names(file.name for file in outputs)}."
        )
    return outputs[0]


def is_output(path):
    """Return whether pw.x wrote a file, rather than, for example, pp.x."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return "Program PWSCF" in file.read(2000)


def _names(names, suffix=""):
    return ", ".join(f"{name}{suffix}" for name in sorted(names)) or "none"
