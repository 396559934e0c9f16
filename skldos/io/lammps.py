"""LAMMPS potentials that are linear in the bispectrum: ``pair_style snap``."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from skldos.data.files import atomic_file
from skldos.validation import check_finite, check_shape


def write_snap_files(path, coefficients, *, r_cut, twojmax, weights, radii, **options):
    r"""Write the two files for LAMMPS's ``pair_style snap``, and return their paths.

    The energy of an atom of element Z is :math:`\beta^Z_0 + \sum_k \beta^Z_k B_k`, with the
    bispectrum components of the atom. The coefficients, (1 + n_components,) in eV by element, begin
    with :math:`\beta^Z_0`. The cutoff radius is in Å, the radius of each element in units of it.
    `path` has no suffix: ``.snapcoeff`` and ``.snapparam`` are added. Options are further keywords
    of the parameter file, such as ``rfac0=0.99363`` and ``chemflag=1``.

    Examples
    --------
    >>> import tempfile
    >>> from skldos.io.lammps import write_snap_files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_snap_files(
    ...         f"{folder}/Al", {"Al": [-3.0, 0.1, 0.2]}, r_cut=4.0, twojmax=1,
    ...         weights={"Al": 1.0}, radii={"Al": 1.0},
    ...     )
    ...     print(files[0].read_text())
    # pair_style snap
    # pair_coeff * * Al.snapcoeff Al.snapparam Al
    1 3
    Al 0.5 1.0
    -3.0
    0.1
    0.2
    <BLANKLINE>
    """
    path = Path(path)
    if path.suffix in (".snapcoeff", ".snapparam"):
        path = path.with_suffix("")
    elements = list(coefficients)
    coefficients = {z: np.asarray(beta, dtype=float) for z, beta in coefficients.items()}
    n = len(next(iter(coefficients.values())))
    for element, beta in coefficients.items():
        check_shape(f"coefficients[{element!r}]", beta, (n,))
        check_finite(f"coefficients[{element!r}]", beta)
    names = [f"{path.name}{suffix}" for suffix in (".snapcoeff", ".snapparam")]
    # The order of the elements matters to LAMMPS if each element has its own density.
    usage = f"# pair_coeff * * {' '.join(names)} {' '.join(elements)}"
    lines = ["# pair_style snap", usage, f"{len(elements)} {n}"]
    for element, beta in coefficients.items():
        # The cutoff for two atoms is rcutfac times the sum of their radii.
        lines.append(f"{element} {0.5 * float(radii[element])!r} {float(weights[element])!r}")
        lines += [repr(value) for value in beta.tolist()]
    parameters = {"rcutfac": float(r_cut), "twojmax": twojmax, **options}
    texts = lines, ["# pair_style snap", *(f"{k} {v!r}" for k, v in parameters.items())]
    files = tuple(path.with_name(name) for name in names)
    # Both or none: new coefficients with old parameters would be another potential.
    with ExitStack() as stack:
        for file, text in zip(files, texts, strict=True):
            stream = stack.enter_context(atomic_file(file, "w"))
            stream.write("\n".join(text) + "\n")
            stream.flush()
    return files
