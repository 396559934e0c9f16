"""Calculate training data with pw.x of Quantum ESPRESSO, from atoms to snapshots on disk."""

import json
import math
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io.espresso import write_espresso_in

from skldos.data import SnapshotList, as_snapshots
from skldos.datasets.recipe import results
from skldos.datasets.recipe.input import check_input_data, check_pseudopotentials, namelists
from skldos.datasets.recipe.run import (
    INPUT,
    OUTPUT,
    SAVE,
    free_electron_bands,
    resolve_command,
    run_pw,
)
from skldos.exceptions import EspressoError, FileFormatError, SnapshotError
from skldos.io import read_espresso, read_upf
from skldos.io.espresso.completeness import KERNEL_REACH, check_broadened, highest_level
from skldos.io.espresso.locate import XML
from skldos.io.espresso.xml import read_xml
from skldos.progress import progress_bar
from skldos.validation import check_option, check_scalar

# The input file has positions with ten digits; atoms that agree to ten digits are the same.
POSITION_DECIMALS = 10
#: How often the number of bands may be increased, and by which factor.
MORE_BANDS = 4
BAND_GROWTH = 1.25


class EspressoRecipe:
    """Settings for calculating the LDOS of any atoms with pw.x.

    Each configuration is a self-consistent calculation with norm-conserving pseudopotentials and
    Fermi-Dirac smearing at the electronic temperature. :func:`skldos.io.wavefunction_ldos` computes
    the LDOS from its wavefunctions. Without `energies` there is no LDOS, only the density.

    Parameters
    ----------
    pseudopotentials : mapping of str to str
        Name of the pseudopotential file for every chemical symbol, without its folder.
    energies : EnergyGrid or None
        Energies of the LDOS in eV, with `broadening` and `kernel`. They should start several
        widths below the lowest band. None leaves the LDOS out.
    ecutwfc : float
        Cutoff of the wavefunctions in Ry.
    kpts : tuple of 3 int or None, default=None
        Monkhorst-Pack grid; None uses only the Γ point.
    k_shift : tuple of 3 {0, 1}, default=(0, 0, 0)
        Whether the grid is shifted by half a step along each reciprocal vector.
    temperature : float, optional
        Electronic temperature in K, > 0, for configurations without their own temperature.
    ecutrho : float, optional
        Cutoff of the density in Ry; by default four times `ecutwfc`.
    n_bands : int, optional
        Number of bands. By default it is estimated for free electrons and increased until the
        highest band lies above all levels that contribute to `energies`. Without `energies` the
        default is that of pw.x.
    conv_thr : float, default=1e-8
        Accuracy of the self-consistency in Ry.
    pseudo_dir : str or path-like, optional
        Folder of the pseudopotentials; by default pw.x uses its own.
    command : str or sequence of str, default="pw.x"
        Command to run, with its arguments: ``"mpirun -np 4 pw.x -nk 2"``. The recipe appends the
        input file as ``-in pw.in``.
    input_data : mapping of str to mapping, optional
        Further entries of the namelists `control`, `system` and `electrons`, in addition to those
        set by the other arguments: ``{"system": {"nosym": True}}``.
    keep_files : bool, default=False
        Whether to keep the save directory of pw.x with the wavefunctions, which can be large.

    Raises
    ------
    ValueError, TypeError
        If an argument has an invalid value or type.

    See Also
    --------
    aluminium_recipe : The recipe of the bundled data.

    Notes
    -----
    The pw.x of Debian and Ubuntu uses the installed BLAS, by default the slow reference
    implementation. ``apt install libopenblas0-serial`` makes it several times faster.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from skldos import EnergyGrid
    >>> recipe = EspressoRecipe(
    ...     {"Al": "Al.pz-vbc.UPF"},
    ...     energies=EnergyGrid.regular(-6, 0.2, 81, broadening=0.4, kernel="gaussian"),
    ...     ecutwfc=12.0,
    ...     kpts=(8, 8, 8),
    ...     temperature=298.0,
    ... )
    >>> snapshots = recipe.run([bulk("Al", cubic=True)], "aluminium")  # doctest: +SKIP
    """

    def __init__(
        self,
        pseudopotentials,
        *,
        energies,
        ecutwfc,
        kpts=None,
        k_shift=(0, 0, 0),
        temperature=None,
        ecutrho=None,
        n_bands=None,
        conv_thr=1e-8,
        pseudo_dir=None,
        command="pw.x",
        input_data=None,
        keep_files=False,
    ):
        if energies is not None:
            check_broadened(energies)
        self.energies = energies
        self.pseudopotentials = check_pseudopotentials(pseudopotentials)
        self.ecutwfc = check_scalar("ecutwfc", ecutwfc, low=0, strict=True)
        self.kpts = None if kpts is None else _check_kpts("kpts", kpts, low=1)
        self.k_shift = _check_kpts("k_shift", k_shift, low=0, high=1)
        if self.kpts is None and any(self.k_shift):
            raise ValueError(f"k_shift needs kpts, got k_shift={k_shift} and kpts=None.")
        self.temperature = None if temperature is None else _check_temperature(temperature)
        self.ecutrho = (
            4 * self.ecutwfc if ecutrho is None else check_scalar("ecutrho", ecutrho, low=ecutwfc)
        )
        self.n_bands = (
            None if n_bands is None else check_scalar("n_bands", n_bands, low=1, integer=True)
        )
        self.conv_thr = check_scalar("conv_thr", conv_thr, low=0, strict=True)
        self.pseudo_dir = None if pseudo_dir is None else Path(pseudo_dir).resolve()
        self.command = command
        self.input_data = check_input_data(input_data)
        self.keep_files = bool(keep_files)

    def __repr__(self):
        kpts = "Γ" if self.kpts is None else "×".join(map(str, self.kpts)) + " k points"
        return (
            f"EspressoRecipe({', '.join(self.pseudopotentials.values())}, {self.ecutwfc:g} Ry, "
            f"{kpts}, {'no LDOS' if self.energies is None else self.energies})"
        )

    def write_input(self, atoms, directory, temperature=None, *, n_bands=None):
        """Write the input file ``pw.in``.

        Parameters
        ----------
        atoms : ase.Atoms
            Only atomic numbers, positions and cell are used.
        directory : str or path-like
            Folder; created if it does not exist.
        temperature : float, optional
            Electronic temperature in K; by default that of the recipe.
        n_bands : int, optional
            Number of bands; by default that of the recipe, or its estimate.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        ValueError
            If there is no temperature, or no pseudopotential for one of the atoms.
        """
        pseudopotentials = self._files(atoms)
        sections = namelists(
            ecutwfc=self.ecutwfc,
            ecutrho=self.ecutrho,
            temperature=self._temperature(temperature),
            n_bands=n_bands or self._n_bands(atoms.cell.array),
            conv_thr=self.conv_thr,
            pseudo_dir=self.pseudo_dir,
            more=self.input_data,
        )
        path = Path(directory) / INPUT
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            write_espresso_in(
                file,
                Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell),
                input_data=sections,
                pseudopotentials=pseudopotentials,
                kpts=self.kpts,
                koffset=self.k_shift,
            )
        return path

    def run(self, configurations, directory, *, on_error="raise", verbose=True):
        """Calculate snapshots, or continue where an earlier call stopped.

        Each configuration gets its own folder, ``directory/00000`` and so on, with the input and
        output of pw.x. Finished snapshots are not calculated again, however the program ended. A
        killed program loses only the snapshot in progress. A snapshot with damaged files is
        calculated again. Only one program at a time can work in a directory.

        Parameters
        ----------
        configurations : sequence of ase.Atoms or Snapshot
            Atoms to calculate; the temperature of a snapshot takes precedence over that of the
            recipe.
        directory : str or path-like
            Folder for the snapshots. ``SnapshotList.load(directory)`` returns all finished ones at
            any time.
        on_error : {"raise", "warn"}, default="raise"
            Whether a failed calculation raises an error, or is left out with a warning.
        verbose : bool, default=True
            Whether to show a progress bar.

        Returns
        -------
        SnapshotList
            Snapshots with LDOS (if requested), density and reference energies, in the same order.

        Raises
        ------
        EspressoError
            If pw.x fails or does not converge; the message states the reason and the folder.
        SnapshotError
            If a snapshot in `directory` was made from other atoms or with other settings.
        FileNotFoundError
            If `command` is not found.
        FileExistsError
            If `directory` holds snapshots that were not calculated there.
        BlockingIOError
            If another program is calculating in `directory`.
        OSError
            If the disk is full; what is finished stays.
        """
        check_option("on_error", on_error, ("raise", "warn"))
        configurations = as_snapshots(configurations)
        command = resolve_command(self.command)
        directory = Path(directory)
        results.check_folder(directory)
        settings = [self._settings(s.atoms, s.temperature) for s in configurations]
        directory.mkdir(parents=True, exist_ok=True)
        with results.reserved(directory):
            return self._run(configurations, command, directory, settings, on_error, verbose)

    def _run(self, configurations, command, directory, settings, on_error, verbose):
        finished = [_is_finished(directory, i, new) for i, new in enumerate(settings)]
        for position in progress_bar(range(len(settings)), desc="pw.x", shown=verbose):
            if finished[position]:
                continue
            try:
                self._calculate(configurations[position], command, directory, position, settings)
            except EspressoError as error:
                if on_error == "raise":
                    raise
                warnings.warn(str(error), stacklevel=3)
            else:
                finished[position] = True
        # An earlier call may have stopped just before it wrote the index.
        order = results.write_index(directory)
        stored = SnapshotList.load(directory)
        return SnapshotList(
            [stored[order.index(i)] for i, is_done in enumerate(finished) if is_done]
        )

    def _calculate(self, configuration, command, directory, position, settings):
        """Run pw.x in a new folder, and keep the required files if it succeeds."""
        folder = results.folder_of(directory, position)
        failed = folder / "failed"
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("running-*"):
            shutil.rmtree(old)  # left by a killed program
        # The name is new each time: an orphaned pw.x may still be writing into the old one.
        work = Path(tempfile.mkdtemp(prefix="running-", dir=folder))
        try:
            snapshot = self._converge_bands(configuration, command, work)
        except (EspressoError, FileFormatError, FileNotFoundError, SnapshotError) as error:
            _replace(work, failed)
            raise EspressoError(f"configuration {position}: {error}; see {failed}") from error
        except BaseException:  # such as a full disk, perhaps filled by the wavefunctions
            shutil.rmtree(work, ignore_errors=True)
            raise
        for name in (INPUT, OUTPUT, *([SAVE] if self.keep_files else [])):
            _replace(work / name, folder / name)
        for old in (work, failed):
            shutil.rmtree(old, ignore_errors=True)
        results.add_result(directory, position, settings[position], snapshot)

    def _converge_bands(self, configuration, command, work):
        """Return the snapshot, with enough bands for its energies."""
        atoms, temperature = configuration.atoms, self._temperature(configuration.temperature)
        n_bands = self._n_bands(atoms.cell.array)
        needed = -np.inf if self.energies is None else highest_level(self.energies)
        for _ in range(MORE_BANDS):
            self.write_input(atoms, work, temperature, n_bands=n_bands)
            run_pw(command, work)
            _check_elements(work / SAVE, self._files(atoms))
            run = read_xml(work / SAVE / XML)
            highest = run.eigenvalues.max(axis=1).min()
            if highest >= needed or self.n_bands is not None:
                # The file has positions in bohr, with rounding errors of the conversion.
                snapshot = read_espresso(
                    work / SAVE,
                    ldos=None if self.energies is None else "wavefunctions",
                    energies=self.energies,
                    density="charge-density",
                    assume_isolated=run.assume_isolated,
                )
                return snapshot.replace(atoms=atoms, temperature=temperature)
            tried, n_bands = n_bands, math.ceil(BAND_GROWTH * n_bands)
            shutil.rmtree(work / SAVE)
        raise EspressoError(
            f"the highest of {tried} bands starts at {highest:.2f} eV, below {needed:.2f} eV; "
            "give n_bands"
        )

    def _n_bands(self, cell):
        if self.n_bands is not None or self.energies is None:
            return self.n_bands
        # The energies start a few widths below the bottom of the lowest band.
        bottom = self.energies.values[0] + KERNEL_REACH["gaussian"] * self.energies.broadening
        width = max(highest_level(self.energies) - bottom, 1.0)
        return math.ceil(1.1 * free_electron_bands(cell, self.kpts or (1, 1, 1), width)) + 2

    def _files(self, atoms):
        """Return the pseudopotentials of the atoms."""
        symbols = sorted(set(atoms.symbols))
        missing = [symbol for symbol in symbols if symbol not in self.pseudopotentials]
        if missing:
            raise ValueError(
                "pseudopotentials must name a file for every chemical symbol, got none for "
                f"{missing[0]}."
            )
        return {symbol: self.pseudopotentials[symbol] for symbol in symbols}

    def _temperature(self, temperature):
        if temperature is None and self.temperature is None:
            raise ValueError("temperature is needed: neither the recipe nor this snapshot has one.")
        return self.temperature if temperature is None else _check_temperature(temperature)

    def _settings(self, atoms, temperature):
        """Return all settings that affect the result, as they would be read from JSON."""
        # The command and folders do not affect the result.
        settings = {
            "numbers": atoms.numbers.tolist(),
            "positions": np.round(atoms.positions, POSITION_DECIMALS).tolist(),
            "cell": np.round(atoms.cell.array, POSITION_DECIMALS).tolist(),
            "temperature": self._temperature(temperature),
            "pseudopotentials": self._files(atoms),
            "ecutwfc": self.ecutwfc,
            "ecutrho": self.ecutrho,
            "kpts": self.kpts,
            "n_bands": self.n_bands,
            "conv_thr": self.conv_thr,
            "input_data": self.input_data,
            "k_shift": self.k_shift,
        }
        if self.energies is not None:
            settings["energies"] = self.energies.values.tolist()
            settings["broadening"] = self.energies.broadening
            settings["kernel"] = self.energies.kernel
        return json.loads(json.dumps(settings, default=str))


def _is_finished(directory, position, settings):
    """Return whether a snapshot exists; raise an error if it was calculated with other settings."""
    stored = results.settings_of(directory, position)
    if stored is None:
        return False
    stored.setdefault("k_shift", [0, 0, 0])  # absent in earlier versions
    changed = [name for name in {**settings, **stored} if stored.get(name) != settings.get(name)]
    if changed:
        raise SnapshotError(
            f"the snapshot in {results.folder_of(directory, position)} was calculated with other "
            f"{' and '.join(changed)} than asked for now; choose another directory, or remove "
            "that folder."
        )
    return True


def _check_elements(save_directory, pseudopotentials):
    """Check that each pseudopotential belongs to its element.

    pw.x does not check this. It copies the pseudopotentials to its save directory.
    """
    for symbol, name in pseudopotentials.items():
        path = save_directory / name
        if path.exists() and read_upf(path).symbol != symbol:
            raise EspressoError(
                f"pseudopotentials[{symbol!r}] is {name}, a pseudopotential of "
                f"{read_upf(path).symbol}"
            )


def _replace(source, target):
    """Move a file or folder, replacing an existing one."""
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(source, target)


def _check_kpts(name, kpts, **bounds):
    if np.shape(kpts) != (3,):
        raise ValueError(f"{name} must be three integers, one per reciprocal vector, got {kpts!r}.")
    return [check_scalar(f"{name}[{i}]", n, integer=True, **bounds) for i, n in enumerate(kpts)]


def _check_temperature(temperature):
    return check_scalar("temperature", temperature, low=0, strict=True)
