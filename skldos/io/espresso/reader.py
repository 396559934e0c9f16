"""A snapshot from a run of pw.x, with LDOS and density from wherever they are."""

import os
from pathlib import Path

import numpy as np

from skldos._validation import check_scalar
from skldos.data import ArrayFile, EnergyGrid, LazyArray, Snapshot
from skldos.exceptions import FileFormatError
from skldos.io.cube import ldos_cubes_with_atoms, read_cube, same_atoms
from skldos.io.espresso.locate import find_run
from skldos.io.espresso.output import read_output
from skldos.io.espresso.xml import read_xml
from skldos.io.openpmd import read_openpmd
from skldos.units import BOHR, BOLTZMANN


def read_espresso(
    path,
    *,
    prefix=None,
    ldos=None,
    energies=None,
    density=None,
    temperature=None,
    verbose=False,
):
    r"""Read a snapshot from a run of Quantum ESPRESSO's pw.x.

    Atoms, FFT grid and energies come from ``data-file-schema.xml``, to all digits, or from what
    pw.x printed with ``verbosity='high'``. The run must be self-consistent and converged,
    without spin, PAW and DFT+U; symmetry may reduce its k points. After
    ``calculation='nscf'`` there is no total energy.

    Parameters
    ----------
    path : str or path-like
        The folder `outdir` with ``prefix.save`` in it, the folder ``prefix.save`` itself, its
        ``data-file-schema.xml``, the text output of pw.x, or a folder with one such output
        ``*.out``.
    prefix : str, optional
        Which ``prefix.save`` to take where `path` holds several.
    ldos : {"wavefunctions"}, str, path-like, sequence of them or array-like, optional
        Where the LDOS comes from.

        - ``"wavefunctions"``: it is calculated from the save directory; needs
          norm-conserving pseudopotentials.
        - a list of cube files of pp.x in the order of `energies`, or a pattern
          (``"ldos.pp*.cube"``); :func:`~skldos.io.read_ldos_cubes` with `out` reads one that
          is larger than memory.
        - a ``.npy`` or ``.h5`` file in 1/(eV Å³), read when it is used.
        - an array of shape (n_x, n_y, n_z, n_energies) in 1/(eV Å³).
    energies : EnergyGrid, optional
        Energies of the LDOS in eV, needed with one, with `broadening` and `kernel`. pp.x takes
        the smearing of the calculation as the kernel unless ``use_gauss_ldos=.true.``;
        ``"wavefunctions"`` takes a Gaussian unless `kernel` says otherwise.
    density : {"charge-density", "wavefunctions"}, str, path-like or array-like, optional
        Where the electron density comes from: the file in the save directory, the occupied
        wavefunctions there, a cube file of pp.x, a ``.npy`` file or an array in 1/Å³.
    temperature : float, optional
        Electronic temperature in K. A Fermi-Dirac smearing and fixed occupations (0 K) have
        their own, the former with 8 K of uncertainty in a text output, where the exact one may
        be given; with other smearings it has to be.
    verbose : bool, default=False
        Show a progress bar while the LDOS is read.

    Returns
    -------
    Snapshot
        Its `reference` holds ``"fermi_energy"`` (not with fixed occupations),
        ``"band_energy"`` :math:`\sum_{kn} w_k f_{kn} \varepsilon_{kn}`, ``"total_energy"``
        (the free energy E − TS), ``"minus_ts"``, ``"one_electron"``, ``"hartree"``, ``"xc"``
        and ``"ewald"`` in eV, ``"forces"`` in eV/Å where they were calculated, and
        ``"ecutwfc"`` and ``"ecutrho"`` in Ry, and the exchange-correlation ``"functional"``.

    Raises
    ------
    FileNotFoundError
        If there is no run, or no such file.
    FileFormatError
        If a file is damaged or truncated, is of another calculation, or holds one that cannot
        be used; the message names file and line.
    SnapshotError
        If the parts do not fit together.
    ValueError
        If an argument is missing or contradicts the run.

    Examples
    --------
    >>> from skldos import EnergyGrid
    >>> from skldos.io import read_espresso
    >>> energies = EnergyGrid.regular(-6.0, 0.2, 81, broadening=0.4, kernel="gaussian")
    >>> read_espresso(
    ...     "tmp/al.save", ldos="wavefunctions", energies=energies, density="charge-density"
    ... )  # doctest: +SKIP
    Snapshot(Al4, grid 18x18x18, 81 energies -6…10 eV, 298 K, ldos, density)
    """
    file = find_run(Path(path), prefix)
    run = read_xml(file) if file.suffix == ".xml" else read_output(file)
    temperature = _temperature(run, temperature)
    if ldos is not None:
        energies = _energies(energies, by_us=_is(ldos, "wavefunctions"))
        ldos = _ldos(run, ldos, energies, verbose)
    density = None if density is None else _density(run, density)
    return Snapshot(
        run.atoms,
        grid_shape=run.grid_shape,
        energies=energies,
        temperature=temperature,
        n_electrons=run.n_electrons,
        ldos=ldos,
        density=density,
        reference=_reference(run),
    )


def _reference(run):
    reference = {
        "fermi_energy": run.fermi_energy,
        "band_energy": run.band_energy(),
        **run.energies,
        "forces": run.forces,
        "ecutwfc": run.ecutwfc,
        "ecutrho": run.ecutrho,
        "functional": run.functional,
    }
    return {name: value for name, value in reference.items() if value is not None}


def _temperature(run, temperature):
    if temperature is None:
        temperature = run.temperature
    if temperature is None:
        raise ValueError(
            "temperature must be given: the occupations of the run are not those of a temperature "
            f"(smearing: {run.smearing or 'none'}; {run.path})."
        )
    temperature = check_scalar("temperature", temperature, low=0)
    if run.smearing == "fermi-dirac":
        # Some slack for constants, more where the width has few digits.
        slack = 1e-3 * run.temperature + run.width_error / BOLTZMANN
        if abs(temperature - run.temperature) > slack:
            raise ValueError(
                f"temperature must be that of the run, {run.temperature:.1f} K within "
                f"{slack:.1f} K, or None; got {temperature!r} ({run.path})."
            )
    return temperature


def _energies(energies, *, by_us):
    """Return the energies of an LDOS, which have to say how it was broadened."""
    if not isinstance(energies, EnergyGrid):
        raise ValueError(
            "energies must be an EnergyGrid with broadening and kernel where an LDOS is read, "
            f"got {energies!r}."
        )
    if energies.kernel is None and by_us:
        energies = EnergyGrid(energies, broadening=energies.broadening, kernel="gaussian")
    for name in ("broadening", "kernel"):
        if getattr(energies, name) is None:
            raise ValueError(f"energies must know the {name} of the LDOS, got {energies!r}.")
    return energies


def _ldos(run, ldos, energies, verbose):
    if _is(ldos, "wavefunctions"):
        from skldos.io.wavefunctions import wavefunction_ldos  # it needs this package's XML

        return wavefunction_ldos(_save_directory(run, "ldos"), energies, verbose=verbose)
    if _is_path(ldos) and Path(ldos).suffix in (".npy", ".h5", ".hdf5"):
        field = ArrayFile(ldos) if Path(ldos).suffix == ".npy" else read_openpmd(ldos)
        return _on_grid(run, "ldos", field)
    if not _is_path(ldos) and not _are_paths(ldos):
        return _on_grid(run, "ldos", ldos if isinstance(ldos, LazyArray) else np.asarray(ldos))
    field, atoms = ldos_cubes_with_atoms(ldos, energies, verbose=verbose)
    where = ldos if _is_path(ldos) else ldos[0]
    return _of_run(run, "ldos", field, atoms, where)


def _density(run, density):
    if _is(density, "charge-density") or _is(density, "wavefunctions"):
        from skldos.io.wavefunctions import charge_density, wavefunction_density

        read = charge_density if density == "charge-density" else wavefunction_density
        return read(_save_directory(run, "density"))
    if not _is_path(density):
        density = density if isinstance(density, LazyArray) else np.asarray(density)
        return _on_grid(run, "density", density)
    if Path(density).suffix == ".npy":
        array = ArrayFile(density)
        # MALA keeps a fourth axis of length one.
        array = array[:][..., 0] if array.ndim == 4 and array.shape[-1] == 1 else array
        return _on_grid(run, "density", array)
    values, atoms = read_cube(density)
    return _of_run(run, "density", values / BOHR**3, atoms, density)


def _of_run(run, name, field, atoms, path):
    """Return a field of cube files if it belongs to the atoms of the run."""
    _on_grid(run, name, field, path)
    if not same_atoms(run.atoms, atoms):
        raise FileFormatError(f"cell and atoms of the {name} differ from those in {run.path}", path)
    return field


def _on_grid(run, name, field, path=None):
    path = getattr(field, "path", path)
    if tuple(field.shape[:3]) != run.grid_shape:
        message = (
            f"{name} must be on the FFT grid {run.grid_shape} of {run.path}, got shape "
            f"{tuple(field.shape)}"
        )
        raise ValueError(f"{message}.") if path is None else FileFormatError(message, path)
    return field


def _save_directory(run, name):
    if run.save_directory is None:
        raise ValueError(
            f"{name} can be taken from a save directory only: give the folder prefix.save, or the "
            f"outdir that holds it, instead of {run.path}."
        )
    return run.save_directory


def _is(value, word):
    return isinstance(value, str) and value == word


def _is_path(value):
    return isinstance(value, (str, os.PathLike))


def _are_paths(values):
    return isinstance(values, (list, tuple)) and all(_is_path(value) for value in values)
