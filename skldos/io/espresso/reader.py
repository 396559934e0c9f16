"""A snapshot from a run of pw.x, with LDOS and density from several kinds of files."""

import os
from pathlib import Path

import numpy as np

from skldos.data import ArrayFile, EnergyGrid, LazyArray, Snapshot
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.io.cube import ldos_cubes_with_atoms, read_cube, same_atoms
from skldos.io.espresso.completeness import (
    FEWEST_ENERGIES,
    warn_of_missing_levels,
    warn_of_other_levels,
)
from skldos.io.espresso.locate import find_run
from skldos.io.espresso.output import read_output
from skldos.io.espresso.xml import read_xml
from skldos.io.openpmd import read_openpmd
from skldos.physics.terms.slab import BOUNDARIES
from skldos.units import BOHR, BOLTZMANN
from skldos.validation import check_option, check_scalar


def read_espresso(
    path,
    *,
    prefix=None,
    ldos=None,
    energies=None,
    density=None,
    temperature=None,
    assume_isolated=None,
    verbose=False,
):
    r"""Read a snapshot from a run of Quantum ESPRESSO's pw.x.

    Atoms, FFT grid and energies come from ``data-file-schema.xml``, to all digits, or from what
    pw.x printed with ``verbosity='high'``. The run must be self-consistent, converged and without
    spin. Settings that change the Hamiltonian or the energy in ways that skldos does not know are
    refused: ``assume_isolated`` (except ``'2D'``, if you ask for it, and Makov and Payne's, which
    corrects the energy afterwards), electric fields and gates, van der Waals corrections, exact
    exchange, DFT+U, external forces. Symmetry may reduce the k points. After
    ``calculation='nscf'`` there is no total energy. With PAW the parts of the total energy are
    left out, because the one-centre terms are not known, and the LDOS must come from pp.x.

    Parameters
    ----------
    path : str or path-like
        The folder `outdir` with ``prefix.save`` in it, the folder ``prefix.save`` itself, its
        ``data-file-schema.xml``, the text output of pw.x, or a folder with one such output
        ``*.out``.
    prefix : str, optional
        Which ``prefix.save`` to read if `path` holds several.
    ldos : {"wavefunctions"}, str, path-like, sequence of them or array-like, optional
        Where the LDOS comes from.

        - ``"wavefunctions"``: calculate it from the save directory; needs norm-conserving
          pseudopotentials.
        - a list of cube files of pp.x in the order of `energies`, or a pattern
          (``"ldos.pp*.cube"``). For an LDOS larger than memory, use
          :func:`~skldos.io.read_ldos_cubes` with `out`.
        - a ``.npy`` or ``.h5`` file in 1/(eV Å³), read when it is used.
        - an array of shape (n_x, n_y, n_z, n_energies) in 1/(eV Å³).
    energies : EnergyGrid, optional
        Energies of the LDOS in eV, with `broadening` and `kernel`; required with `ldos`. pp.x
        broadens with the smearing of the calculation unless ``use_gauss_ldos=.true.``;
        ``"wavefunctions"`` uses a Gaussian unless `kernel` says otherwise.
    density : {"charge-density", "wavefunctions"}, str, path-like or array-like, optional
        Where the electron density comes from: the file in the save directory, the occupied
        wavefunctions there, a cube file of pp.x, a ``.npy`` file or an array in 1/Å³.
    temperature : float, optional
        Electronic temperature in K. Required unless the run has Fermi-Dirac smearing or fixed
        occupations (0 K). A text output gives the former only to 8 K; you may pass the exact
        value.
    assume_isolated : {"2D"}, optional
        Boundary conditions of the run: ``"2D"`` means a slab, which the snapshot remembers. Pass
        the same value to the functions of ``skldos.physics``. A slab is refused unless you ask
        for it here.
    verbose : bool, default=False
        Whether to show a progress bar while reading the LDOS.

    Returns
    -------
    Snapshot
        Its `reference` holds ``"fermi_energy"`` (not with fixed occupations),
        ``"band_energy"`` :math:`\sum_{kn} w_k f_{kn} \varepsilon_{kn}`, ``"total_energy"``
        (the free energy E − TS), ``"minus_ts"``, ``"one_electron"``, ``"hartree"``, ``"xc"``
        and ``"ewald"`` in eV, ``"forces"`` in eV/Å and ``"stress"`` in eV/Å³, positive if
        the cell tends to shrink, where they were calculated (no stress of a slab), and
        ``"ecutwfc"`` and ``"ecutrho"`` in Ry. It also describes the calculation: the
        exchange-correlation ``"functional"``; the ``"charge"`` of the cell, positive if electrons
        are missing; the ``"pseudopotentials"``, file names by element; and the kind of
        ``"occupations"``: ``"fermi-dirac"``, ``"gaussian"``,
        ``"methfessel-paxton"``, ``"marzari-vanderbilt"``, ``"tetrahedra"``, ``"fixed"`` or
        ``"from-input"``. Fermi level and band energy belong to `temperature` only for
        ``"fermi-dirac"``.

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

    Warns
    -----
    UserWarning
        If the energies begin above the lowest levels or end above the highest bands; or if the
        LDOS holds another number of electrons below the Fermi level than the levels of the run
        (not checked if the LDOS stays in a file).

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
    _check_boundary(run, assume_isolated)
    temperature = temperature_of(run, temperature)
    if ldos is not None:
        energies = _energies(energies, by_us=_is(ldos, "wavefunctions"))
        calculated = _is(ldos, "wavefunctions")  # it has already warned
        ldos = _ldos(run, ldos, energies, verbose)
        if not calculated and len(energies) >= FEWEST_ENERGIES:
            warn_of_missing_levels(run, energies, stacklevel=2)
    density = None if density is None else _density(run, density)
    snapshot = Snapshot(
        run.atoms,
        grid_shape=run.grid_shape,
        energies=energies,
        temperature=temperature,
        n_electrons=run.n_electrons,
        ldos=ldos,
        density=density,
        reference=_reference(run),
    )
    # Fields on disk stay there.
    if isinstance(snapshot.ldos, np.ndarray) and not isinstance(snapshot.ldos, np.memmap):
        warn_of_other_levels(run, energies, snapshot.dos(), temperature, stacklevel=2)
    return snapshot


def _check_boundary(run, assume_isolated):
    check_option("assume_isolated", assume_isolated, BOUNDARIES)
    if run.assume_isolated == assume_isolated:
        return
    if assume_isolated is not None:
        raise ValueError(
            f"assume_isolated={assume_isolated!r}, but the run is periodic in three dimensions "
            f"({run.path})."
        )
    raise FileFormatError(
        f"assume_isolated={run.assume_isolated!r} was used, whose energies are not those of a "
        f"periodic cell: read it with assume_isolated={run.assume_isolated!r}, and pass the same "
        "to functions of skldos.physics",
        run.path,
    )


def _reference(run):
    reference = {
        "fermi_energy": run.fermi_energy,
        "band_energy": run.band_energy(),
        **run.results,
        **run.reference,
        "assume_isolated": run.assume_isolated,
    }
    if run.assume_isolated is not None:
        del reference["stress"]  # has no meaning along the normal of a slab
    return {name: value for name, value in reference.items() if value is not None}


def temperature_of(run, temperature):
    """Return the electronic temperature of a run in K, or the given one."""
    if temperature is None:
        temperature = run.temperature
    if temperature is None:
        raise ValueError(
            "temperature must be given: the occupations of the run are not thermal "
            f"(smearing: {run.smearing or 'none'}; {run.path})."
        )
    temperature = check_scalar("temperature", temperature, low=0)
    if run.smearing == "fermi-dirac":
        # Tolerance for physical constants, larger if the width has few digits.
        slack = 1e-3 * run.temperature + run.width_error / BOLTZMANN
        if abs(temperature - run.temperature) > slack:
            raise ValueError(
                f"temperature must be that of the run, {run.temperature:.1f} K within "
                f"{slack:.1f} K, or None; got {temperature!r} ({run.path})."
            )
    return temperature


def _energies(energies, *, by_us):
    """Return the energies of an LDOS; raise an error if they lack its broadening."""
    if not isinstance(energies, EnergyGrid):
        raise ValueError(
            "energies must be an EnergyGrid with broadening and kernel where an LDOS is read, "
            f"got {energies!r}."
        )
    if energies.kernel is None and by_us and len(energies.windows) == 1:
        energies = EnergyGrid(energies, broadening=energies.broadening, kernel="gaussian")
    for name in ("broadening", "kernel"):
        if getattr(energies, name) is None:
            raise ValueError(f"energies must have the {name} of the LDOS, got {energies!r}.")
    return energies


def _ldos(run, ldos, energies, verbose):
    if _is(ldos, "wavefunctions"):
        from skldos.io.espresso.wavefunctions import (
            wavefunction_ldos,  # imports this package's XML reader
        )

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
        from skldos.io.espresso.wavefunctions import charge_density, wavefunction_density

        if run.kind == "paw":
            raise SnapshotError(
                "density cannot come from a save directory with PAW: the file lacks the charge in "
                f"the augmentation spheres ({run.path})."
            )
        read = charge_density if density == "charge-density" else wavefunction_density
        return read(_save_directory(run, "density"))
    if not _is_path(density):
        density = density if isinstance(density, LazyArray) else np.asarray(density)
        return _on_grid(run, "density", density)
    if Path(density).suffix == ".npy":
        array = ArrayFile(density)
        # MALA adds a fourth axis of length one.
        array = array[:][..., 0] if array.ndim == 4 and array.shape[-1] == 1 else array
        return _on_grid(run, "density", array)
    values, atoms = read_cube(density)
    return _of_run(run, "density", values / BOHR**3, atoms, density)


def _of_run(run, name, field, atoms, path):
    """Return a field from cube files, after checking that it belongs to the atoms of the run."""
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
            f"{name} can only be read from a save directory: pass the folder prefix.save, or the "
            f"outdir that holds it, instead of {run.path}."
        )
    return run.save_directory


def _is(value, word):
    return isinstance(value, str) and value == word


def _is_path(value):
    return isinstance(value, (str, os.PathLike))


def _are_paths(values):
    return isinstance(values, (list, tuple)) and all(_is_path(value) for value in values)
