r"""LDOS and densities straight from the plane waves that pw.x leaves in its save directory.

.. math::

    d(r, E) = \sum_{kn} w_k |\varphi_{kn}(r)|^2 \delta_\sigma(E - \varepsilon_{kn}), \qquad
    \varphi_{kn}(r) = \Omega^{-1/2} \sum_G c_G e^{i (k + G) r}

with weights :math:`w_k` that add up to 2, one for each spin. It is what pp.x calculates for
``plot_num = 3``, without one file in text form per energy.
"""

import math
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from skldos.data import ArrayFile, EnergyGrid
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.geometry import volume
from skldos.io.espresso.locate import XML
from skldos.io.espresso.xml import read_xml
from skldos.io.espresso_binary import WavefunctionFile, read_charge_density
from skldos.physics.smearing import broadening
from skldos.units import BOHR

#: Widths from a level to where its peak has fallen to e^-16 of its height.
REACH = {"gaussian": 4.0, "fermi-dirac": 16.0}
# Peaks below this part of their height are zero in double precision.
NEGLIGIBLE = 1e-17
# Bytes of the bands that are transformed at once, and of the energies that are summed at once.
BATCH_BYTES = 2**25
SUM_BYTES = 2**29


def wavefunction_ldos(save_directory, energies, *, out=None, verbose=False):
    """Calculate the LDOS from the wavefunctions of a pw.x run with norm-conserving potentials.

    Beside the LDOS, memory holds up to two gigabytes of sums and a few bands, however many k
    points there are.

    Parameters
    ----------
    save_directory : str or path-like
        The folder ``prefix.save`` with ``data-file-schema.xml`` and one ``wfc*.dat`` or
        ``wfc*.hdf5`` (needs h5py) per k point. The run may have used symmetry.
    energies : EnergyGrid
        Energies in eV, with `broadening` and `kernel`.
    out : str or path-like, optional
        A ``.npy`` file to write to, instead of having the whole LDOS in memory.
    verbose : bool, default=False
        Show a progress bar.

    Returns
    -------
    ndarray or ArrayFile of shape (n_x, n_y, n_z, n_energies), float32
        In 1/(eV Å³), both spins together, on the dense FFT grid of the run.

    Raises
    ------
    SnapshotError
        If the pseudopotentials are ultrasoft (their augmentation is not in the wavefunctions),
        or if a symmetry does not map the grid on itself.
    FileFormatError
        If a file is damaged, truncated or not of this run, or if the run is spin-polarised,
        noncollinear or uses PAW.
    ValueError
        If `energies` lacks its broadening or kernel.

    Warns
    -----
    UserWarning
        If levels are missing from the upper end of the LDOS, because the run had too few bands.

    Examples
    --------
    >>> from skldos import EnergyGrid
    >>> energies = EnergyGrid.regular(-6.0, 0.2, 81, broadening=0.4, kernel="gaussian")
    >>> ldos = wavefunction_ldos("tmp/al.save", energies)  # doctest: +SKIP
    """
    check_broadened(energies)
    run = _read_usable(save_directory)
    _warn_of_missing_levels(run, energies)
    shape = (*run.grid_shape, len(energies))
    if out is None:
        ldos = np.empty(shape, dtype=np.float32)
        _fill(ldos, run, energies, verbose)
        return ldos
    temporary = Path(f"{out}.partial")
    try:
        ldos = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        _fill(ldos, run, energies, verbose)
        ldos.flush()
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return ArrayFile(out)


def _fill(ldos, run, energies, verbose):
    # Every level reaches few of the energies: in chunks of them, sums in double precision cost
    # little memory, and the bands that do not reach a chunk need not be transformed for it.
    length = max(1, SUM_BYTES // (8 * math.prod(run.grid_shape)))
    starts = range(0, len(energies), length)
    total = len(starts) * len(run.weights)
    with tqdm(total=total, desc="LDOS", unit="k point", disable=not verbose) as progress:
        for start in starts:
            chunk = slice(start, start + length)
            weights = [
                w * _peaks(e, energies, chunk)
                for w, e in zip(run.weights, run.eigenvalues, strict=True)
            ]
            summed = _sum_of_squares(run, weights, progress)
            ldos[..., chunk] = summed.reshape(*run.grid_shape, -1)


def highest_level(energies):
    """Return up to where levels reach the LDOS at some energies, in eV.

    Parameters
    ----------
    energies : EnergyGrid
        With `broadening` and `kernel`.

    Returns
    -------
    float
        The last energy and the width within which the kernel falls to e^-16 of its height; at
        every k point the highest band of a run should lie above.

    Examples
    --------
    >>> from skldos import EnergyGrid
    >>> grid = EnergyGrid.regular(-6.0, 0.5, 33, broadening=0.5, kernel="gaussian")
    >>> highest_level(grid)
    12.0
    """
    check_broadened(energies)
    return float(energies.values[-1] + REACH[energies.kernel] * energies.broadening)


def check_broadened(energies):
    """Raise an error unless `energies` is an :class:`~skldos.EnergyGrid` that knows its kernel."""
    if not isinstance(energies, EnergyGrid):
        raise TypeError(f"energies must be an EnergyGrid, got {type(energies).__name__}.")
    if energies.broadening is None or energies.kernel is None:
        raise ValueError(f"energies must say broadening and kernel, got {energies!r}.")


def wavefunction_density(save_directory):
    r"""Calculate the electron density :math:`\sum_{kn} w_k f_{kn} |\varphi_{kn}(r)|^2`.

    Parameters
    ----------
    save_directory : str or path-like
        As for :func:`wavefunction_ldos`.

    Returns
    -------
    ndarray of shape (n_x, n_y, n_z), float64
        In 1/Å³, with the occupations that pw.x found.

    Raises
    ------
    SnapshotError, FileFormatError
        As :func:`wavefunction_ldos`.

    Examples
    --------
    >>> density = wavefunction_density("tmp/al.save")  # doctest: +SKIP
    """
    run = _read_usable(save_directory)
    weights = [w * f[:, None] for w, f in zip(run.weights, run.occupations, strict=True)]
    return _sum_of_squares(run, weights).reshape(run.grid_shape)


def charge_density(save_directory):
    """Read the electron density with which pw.x became self-consistent.

    Parameters
    ----------
    save_directory : str or path-like
        The folder ``prefix.save`` with ``data-file-schema.xml`` and ``charge-density.dat`` or
        ``charge-density.hdf5`` (needs h5py). Any pseudopotentials will do.

    Returns
    -------
    ndarray of shape (n_x, n_y, n_z), float64
        In 1/Å³, on the dense FFT grid of the run; both spins together, without the core.

    Raises
    ------
    FileFormatError
        If a file is damaged, truncated or not of this run.

    Examples
    --------
    >>> density = charge_density("tmp/al.save")  # doctest: +SKIP
    """
    run = _read_run(save_directory)
    path = _one_of(run.path.parent, "charge-density")
    miller, coefficients, gamma_only = read_charge_density(path)
    grid = _on_grid(coefficients[None], miller, run.grid_shape, gamma_only, path)
    # n(r) = Σ_G n_G e^{iGr}
    return torch.fft.ifftn(grid, dim=(1, 2, 3), norm="forward")[0].real.numpy() / BOHR**3


def _read_run(save_directory):
    """Read what the XML file in a save directory says."""
    path = Path(save_directory) / XML
    if not path.exists():
        raise FileNotFoundError(
            f"save_directory must be the folder prefix.save of a pw.x run, but {save_directory} "
            f"holds no {XML}."
        )
    return read_xml(path)


def _read_usable(save_directory):
    """Read what the XML file says, if the bands of the run can be summed."""
    run = _read_run(save_directory)
    if run.kind != "norm-conserving":
        names = ", ".join(sorted(run.pseudopotentials.values()))
        raise SnapshotError(
            f"norm-conserving pseudopotentials are needed, got {run.kind} ones among {names}: "
            "their augmentation charge is not in the wavefunctions; take the LDOS from the files "
            f"of pp.x ({run.path})."
        )
    return run


def _warn_of_missing_levels(run, energies):
    """Warn if bands above the highest one may reach the energies."""
    highest = run.eigenvalues.max(axis=1).min()
    needed = highest_level(energies)
    if highest < needed:
        warnings.warn(
            f"the highest of the {run.eigenvalues.shape[1]} bands starts at {highest:.2f} eV, but "
            f"levels up to {needed:.2f} eV reach the LDOS at {energies.values[-1]:.2f} eV: some "
            f"are missing there; run pw.x with more bands (nbnd) ({run.path}).",
            stacklevel=3,
        )


def _sum_of_squares(run, weights, progress=None):
    """Return Σ_kn weights[k][n] |φ_kn(r)|² in 1/Å³ with all symmetries, (n_points, n_columns).

    Bands whose weights are all zero are not read.
    """
    n_points = math.prod(run.grid_shape)
    symmetries = _grid_symmetries(run)
    total = torch.zeros(n_points, weights[0].shape[1], dtype=torch.float64)
    batch = max(1, BATCH_BYTES // (16 * n_points))
    for k, weight in enumerate(weights):
        file = _wavefunctions(run, k)
        used = np.flatnonzero(weight.any(axis=1))
        for start in range(0, len(used), batch):
            bands = used[start : start + batch]
            squares = _squares(file, bands, run.grid_shape)
            total.addmm_(squares.T, torch.as_tensor(weight[bands]))
        if progress is not None:
            progress.update()
    total /= volume(run.atoms.cell.array)
    return _symmetrised(total, run.grid_shape, symmetries).numpy()


def _wavefunctions(run, k):
    file = WavefunctionFile(_one_of(run.path.parent, f"wfc{k + 1}"))
    expected = (k + 1, 1, run.eigenvalues.shape[1], run.gamma_only)
    found = (file.k_point, file.n_spinors, file.n_bands, file.gamma_only)
    if found != expected:
        raise FileFormatError(
            "expected k point, spinor components, bands, half of the waves to be "
            f"{expected} as in {XML}, got {found}",
            file.path,
        )
    return file


def _squares(file, bands, grid_shape):
    """Return Ω |φ_n(r)|² of some bands, (n_bands, n_points): its mean over the grid is 1."""
    coefficients = file.bands(bands)
    squared = np.abs(coefficients) ** 2
    # Σ_G |c_G|² = 1, and the G that are not stored count as those that are
    norm = squared.sum(axis=1)
    if file.gamma_only:
        origin = ~file.miller.any(axis=1)
        norm = 2 * norm - squared[:, origin].sum(axis=1)
    if not (np.abs(norm - 1) < 1e-5).all():
        worst = norm[np.argmax(np.abs(norm - 1))]
        raise FileFormatError(f"expected bands of norm 1, got {worst:.6g}", file.path)
    coefficients /= np.sqrt(norm)[:, None]
    grid = _on_grid(coefficients, file.miller, grid_shape, file.gamma_only, file.path)
    waves = torch.fft.ifftn(grid, dim=(1, 2, 3), norm="forward").flatten(1)
    return waves.real**2 + waves.imag**2


def _on_grid(coefficients, miller, grid_shape, gamma_only, path):
    """Put coefficients (n, n_waves) where the FFT expects their G, (n, n_x, n_y, n_z)."""
    shape = np.array(grid_shape)
    if (2 * np.abs(miller) >= shape).any():
        raise FileFormatError(
            f"expected wave vectors that fit the grid {tuple(grid_shape)}, got "
            f"{np.abs(miller).max(axis=0).tolist()}",
            path,
        )
    coefficients = torch.as_tensor(coefficients)
    grid = torch.zeros(len(coefficients), int(shape.prod()), dtype=torch.complex128)

    def place(G, values):
        grid[:, np.ravel_multi_index(tuple((G % shape).T), grid_shape)] = values

    if gamma_only:
        place(-miller, coefficients.conj())
    place(miller, coefficients)
    return grid.reshape(-1, *grid_shape)


def _symmetrised(total, grid_shape, symmetries):
    """Return the average of (n_points, n_columns) over the images of every grid point."""
    if len(symmetries) <= 1:
        return total  # there is but the identity
    shape = np.array(grid_shape)[:, None]
    points = np.indices(grid_shape).reshape(3, -1)
    average = torch.zeros_like(total)
    for rotation, shift in symmetries:
        image = (rotation @ points + shift[:, None]) % shape
        average += total[np.ravel_multi_index(tuple(image), grid_shape)]
    average /= len(symmetries)
    return average


def _grid_symmetries(run):
    """Return every symmetry as a pair of integers M, m: the grid point i goes to M i + m."""
    shape = np.array(run.grid_shape)
    symmetries = []
    for s, translation in zip(run.rotations, run.translations, strict=True):
        # Crystal coordinates x = i / n go to sᵀ x - t.
        rotation = s.T * shape[:, None] / shape
        shift = -translation * shape
        error = max(np.abs(x - x.round()).max() for x in (rotation, shift))
        # Translations have about ten digits, those that do not fit are off by tenths.
        if error > 1e-4:
            raise SnapshotError(
                f"the symmetry with rotation {s.tolist()} and translation {translation.tolist()} "
                f"does not map the grid {run.grid_shape} on itself; run pw.x with nosym=.true. "
                f"({run.path})."
            )
        symmetries.append((rotation.round().astype(int), shift.round().astype(int)))
    return symmetries


def _peaks(levels, energies, chunk):
    """Return δ_σ(E - ε) in 1/eV for some of the energies, (n_levels, n_energies)."""
    kernel = {"width": energies.broadening, "kernel": energies.kernel}
    peaks = broadening(energies.values[chunk] - levels[:, None], **kernel)
    peaks[peaks < NEGLIGIBLE * broadening(0.0, **kernel)] = 0
    return peaks


def _one_of(directory, stem):
    for suffix in (".dat", ".hdf5"):
        path = directory / f"{stem}{suffix}"
        if path.exists():
            return path
    raise FileNotFoundError(
        f"{directory} holds neither {stem}.dat nor {stem}.hdf5: expected the save directory of a "
        "pw.x run that kept its wavefunctions."
    )
