r"""LDOS and densities from the plane waves in the save directory of pw.x.

.. math::

    d(r, E) = \sum_{kn} w_k |\varphi_{kn}(r)|^2 \delta_\sigma(E - \varepsilon_{kn}), \qquad
    \varphi_{kn}(r) = \Omega^{-1/2} \sum_G c_G e^{i (k + G) r}

with weights :math:`w_k` that add up to 2, one for each spin. pp.x calculates the same with
``plot_num = 3``, but writes one text file per energy.
"""

import math
from pathlib import Path

import numpy as np
import torch

from skldos.data import ArrayFile
from skldos.data.files import new_array
from skldos.exceptions import FileFormatError, SnapshotError
from skldos.geometry import volume
from skldos.io.espresso.binary import WavefunctionFile, read_charge_density
from skldos.io.espresso.completeness import check_broadened, warn_of_missing_levels
from skldos.io.espresso.locate import XML
from skldos.io.espresso.xml import read_xml
from skldos.io.limits import MISSING_ELECTRONS
from skldos.physics.smearing import broadening
from skldos.progress import progress_bar
from skldos.units import BOHR

# Peaks below this fraction of their height are zero in double precision.
NEGLIGIBLE = 1e-17
# Memory in bytes for bands that are transformed at once, and for energies summed at once.
BATCH_BYTES = 2**25
SUM_BYTES = 2**29


def wavefunction_ldos(save_directory, energies, *, out=None, verbose=False):
    """Calculate the LDOS from the wavefunctions of a pw.x run with norm-conserving potentials.

    Besides the LDOS, this needs up to two gigabytes of memory for sums and a few bands, for any
    number of k points.

    Parameters
    ----------
    save_directory : str or path-like
        The folder ``prefix.save`` with ``data-file-schema.xml`` and one ``wfc*.dat`` or
        ``wfc*.hdf5`` (needs h5py) per k point. The run may have used symmetry.
    energies : EnergyGrid
        Energies in eV, with `broadening` and `kernel`.
    out : str or path-like, optional
        A ``.npy`` file to write to, instead of holding the whole LDOS in memory.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    ndarray or ArrayFile of shape (n_x, n_y, n_z, n_energies), float32
        In 1/(eV Å³), both spins together, on the dense FFT grid of the run.

    Raises
    ------
    SnapshotError
        If the pseudopotentials are ultrasoft or PAW (their augmentation is not in the
        wavefunctions), or if a symmetry does not map the grid on itself.
    FileFormatError
        If a file is damaged, truncated or not of this run, or if the run is one that
        :func:`~skldos.io.read_espresso` refuses.
    ValueError
        If `energies` lacks its broadening or kernel.
    OSError
        If there is no space for `out`; no partial file remains.

    Warns
    -----
    UserWarning
        If levels are missing at the upper end of the LDOS because the run had too few bands, or at
        the lower end because the energies begin too high.

    Examples
    --------
    >>> from skldos import EnergyGrid
    >>> energies = EnergyGrid.regular(-6.0, 0.2, 81, broadening=0.4, kernel="gaussian")
    >>> ldos = wavefunction_ldos("tmp/al.save", energies)  # doctest: +SKIP
    """
    check_broadened(energies)
    run = _read_usable(save_directory)
    warn_of_missing_levels(run, energies, stacklevel=2)
    shape = (*run.grid_shape, len(energies))
    with new_array(out, shape, np.float32) as ldos:
        _fill(ldos, run, energies, verbose)
    return ldos if out is None else ArrayFile(out)


def _fill(ldos, run, energies, verbose):
    # Every level contributes to few energies. With chunks of energies, sums in double precision
    # need little memory, and only bands that contribute to a chunk are transformed.
    length = max(1, SUM_BYTES // (8 * math.prod(run.grid_shape)))
    starts = range(0, len(energies), length)
    total = len(starts) * len(run.weights)
    with progress_bar(total=total, desc="LDOS", unit="k point", shown=verbose) as progress:
        for start in starts:
            chunk = slice(start, start + length)
            weights = [
                w * _peaks(e, energies, chunk)
                for w, e in zip(run.weights, run.eigenvalues, strict=True)
            ]
            summed = _sum_of_squares(run, weights, progress)
            ldos[..., chunk] = summed.reshape(*run.grid_shape, -1)


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
    """Read the self-consistent electron density of pw.x.

    Parameters
    ----------
    save_directory : str or path-like
        The folder ``prefix.save`` with ``data-file-schema.xml`` and ``charge-density.dat`` or
        ``charge-density.hdf5`` (needs h5py). Works with any pseudopotentials.

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
    # n_0 = N / Ω
    electrons = float(grid[0, 0, 0, 0].real) * volume(run.atoms.cell.array) / BOHR**3
    if not abs(electrons - run.n_electrons) < MISSING_ELECTRONS * run.n_electrons:
        raise FileFormatError(
            f"expected a density of {run.n_electrons:g} electrons as in {XML}, got {electrons:.6g}",
            path,
        )
    # |n_G| <= n_0, because n(r) >= 0 up to small errors
    if not np.abs(coefficients).max() * volume(run.atoms.cell.array) / BOHR**3 < 1.5 * electrons:
        raise FileFormatError(
            f"expected no wave of the density beyond its mean, got {np.abs(coefficients).max():g} "
            f"1/bohr^3",
            path,
        )
    # n(r) = Σ_G n_G e^{iGr}
    return torch.fft.ifftn(grid, dim=(1, 2, 3), norm="forward")[0].real.numpy() / BOHR**3


def _read_run(save_directory):
    """Read the XML file in a save directory."""
    path = Path(save_directory) / XML
    if not path.exists():
        raise FileNotFoundError(
            f"save_directory must be the folder prefix.save of a pw.x run, but {save_directory} "
            f"holds no {XML}."
        )
    return read_xml(path)


def _read_usable(save_directory):
    """Read the XML file, and raise an error if the bands of the run cannot be summed."""
    run = _read_run(save_directory)
    if run.kind != "norm-conserving":
        names = ", ".join(sorted(run.pseudopotentials.values()))
        raise SnapshotError(
            f"norm-conserving pseudopotentials are needed, got {run.kind} ones among {names}: "
            "their augmentation charge is not in the wavefunctions; use LDOS files written by "
            f"pp.x ({run.path})."
        )
    return run


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
        occupied = np.flatnonzero(weight.any(axis=1))
        for start in range(0, len(occupied), batch):
            bands = occupied[start : start + batch]
            squares = _squares(file, bands, run.grid_shape)
            total.addmm_(squares.T, torch.as_tensor(weight[bands]))
        if progress is not None:
            progress.update()
    total /= volume(run.atoms.cell.array)
    return _symmetrised(total, run.grid_shape, symmetries).numpy()


def _wavefunctions(run, k):
    file = WavefunctionFile(_one_of(run.path.parent, f"wfc{k + 1}"))
    expected = (k + 1, 1, run.eigenvalues.shape[1], run.gamma_only)
    header = (file.k_point, file.n_spinors, file.n_bands, file.gamma_only)
    if header != expected:
        raise FileFormatError(
            "expected k point, spinor components, bands, half of the waves to be "
            f"{expected} as in {XML}, got {header}",
            file.path,
        )
    return file


def _squares(file, bands, grid_shape):
    """Return Ω |φ_n(r)|² of some bands, (n_bands, n_points): its mean over the grid is 1."""
    coefficients = file.bands(bands)
    # Σ_G |c_G|² = 1, where each G that is not stored counts like its partner -G. Overflows fail
    # this check.
    with np.errstate(all="ignore"):
        squared = np.abs(coefficients) ** 2
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
    """Put coefficients (n, n_waves) on the FFT grid, (n, n_x, n_y, n_z)."""
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
        return total  # only the identity
    shape = np.array(grid_shape)[:, None]
    points = np.indices(grid_shape).reshape(3, -1)
    average = torch.zeros_like(total)
    for rotation, shift in symmetries:
        image = (rotation @ points + shift[:, None]) % shape
        average += total[np.ravel_multi_index(tuple(image), grid_shape)]
    average /= len(symmetries)
    return average


def _grid_symmetries(run):
    """Return every symmetry as a pair of integers M, m: grid point i is mapped to M i + m."""
    shape = np.array(run.grid_shape)
    symmetries = []
    for s, translation in zip(run.rotations, run.translations, strict=True):
        # Crystal coordinates x = i / n go to sᵀ x - t.
        rotation = s.T * shape[:, None] / shape
        shift = -translation * shape
        error = max(np.abs(x - x.round()).max() for x in (rotation, shift))
        # Translations have about ten digits; incompatible ones differ by tenths.
        if error > 1e-4:
            raise SnapshotError(
                f"the symmetry with rotation {s.tolist()} and translation {translation.tolist()} "
                f"does not map the grid {run.grid_shape} on itself; run pw.x with nosym=.true. "
                f"({run.path})."
            )
        symmetries.append((rotation.round().astype(int), shift.round().astype(int)))
    return symmetries


def _peaks(levels, energies, chunk):
    """Return δ_σ(E - ε) in 1/eV for some energies, (n_levels, n_energies)."""
    peaks = energies.broadened(levels, chunk)
    highest = max(broadening(0.0, width=w.broadening, kernel=w.kernel) for w in energies.windows)
    peaks[peaks < NEGLIGIBLE * highest] = 0
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
