"""The energies of a density of states, and its broadening."""

import numpy as np

from skldos.data.html import table
from skldos.data.ranges import LARGEST_ENERGY, check_broadening, check_unmasked, check_within
from skldos.validation import check_option, check_scalar, check_shape

#: Largest number of energies of a regular grid.
MOST_ENERGIES = 10**6
KERNELS = ("gaussian", "fermi-dirac")


class EnergyGrid:
    r"""Energies of an LDOS in eV, with its broadening.

    An LDOS from a calculation with finitely many k points is smeared: every level
    :math:`\varepsilon` is replaced by a peak. Its shape belongs to the data, because derived
    energies depend on it: with a width of 0.2 eV the band energy of aluminium lies
    4.5 meV/atom too low [1]_. The kernels are, with :math:`x = (E - \varepsilon)/\sigma`,

    - ``"gaussian"``: :math:`e^{-x^2} / (\sigma\sqrt\pi)`, without a factor 1/2,
    - ``"fermi-dirac"``: :math:`1 / (\sigma\,(2 + 2\cosh x))`.

    Parameters
    ----------
    values : array-like of shape (n_energies,)
        Strictly increasing energies in eV, at least two.
    broadening : float, optional
        Width :math:`\sigma` of the kernel in eV; None if it is not known.
    kernel : {"gaussian", "fermi-dirac"}, optional
        Shape of the kernel; None if it is not known.

    Attributes
    ----------
    windows : tuple of EnergyGrid
        The grids passed to :meth:`joined`; otherwise only this grid itself.
    columns : tuple of slice
        Positions of each window in `values`.

    Raises
    ------
    ValueError
        If the energies are fewer than two, not finite or not strictly increasing, or if the
        broadening is not positive.

    References
    ----------
    .. [1] J. A. Ellis et al., "Accelerating finite-temperature Kohn-Sham density functional
       theory with deep neural networks", Phys. Rev. B 104, 035120 (2021).

    Examples
    --------
    >>> from skldos import EnergyGrid
    >>> EnergyGrid.regular(-6.0, 0.2, 81, broadening=0.4, kernel="gaussian")
    EnergyGrid(81 energies from -6 to 10 eV, gaussian broadening 0.4 eV)
    """

    def __init__(self, values, *, broadening=None, kernel=None):
        try:
            check_unmasked("energies", values)
            array = np.asarray(values)
            if array.dtype.kind not in "fiuO":  # O: integers beyond 64 bits
                raise TypeError(f"energies must be real numbers in eV, got {array.dtype}.")
            values = np.array(array, dtype=float)
        except OverflowError:
            raise ValueError(f"energies must lie within ±{LARGEST_ENERGY:g} eV.") from None
        check_shape("energies", values, (None,))
        check_within("energies", values, LARGEST_ENERGY, "eV")
        if len(values) < 2 or not (np.diff(values) > 0).all():
            raise ValueError(
                "energies must be at least two strictly increasing values in eV, got "
                f"{np.array2string(values, threshold=6)}."
            )
        if broadening is not None:
            broadening = check_broadening(broadening)
        if kernel is not None:
            check_option("kernel", kernel, KERNELS)
        values.flags.writeable = False
        self.values = values
        self.broadening = broadening
        self.kernel = kernel
        self.windows = (self,)
        self.columns = (slice(0, len(values)),)

    @classmethod
    def joined(cls, *windows):
        """Join grids with gaps between them, each with a spacing and a broadening of its own.

        Semicore states lie far below the valence bands, in narrow peaks. A fine window for each
        needs a fraction of the energies of a single grid. There must be no states between two
        windows: at each end of a gap, one spacing away, an energy is added at which the LDOS is
        zero. Integrals over the gap are then exactly zero, and every function of an LDOS accepts
        the joined grid.

        Parameters
        ----------
        *windows : EnergyGrid
            At least two, in ascending order. A gap must be wider than the sum of the spacings on
            both sides of it.

        Returns
        -------
        EnergyGrid
            Its `broadening` and `kernel` are those of the uppermost window, in which the Fermi
            level lies.

        Examples
        --------
        >>> semicore = EnergyGrid.regular(-46.0, 0.1, 21, broadening=0.2, kernel="gaussian")
        >>> valence = EnergyGrid.regular(-8.0, 0.2, 101, broadening=0.4, kernel="gaussian")
        >>> grid = EnergyGrid.joined(semicore, valence)
        >>> grid
        EnergyGrid(124 energies from -46 to 12 eV, gaussian broadening 0.4 eV, 2 windows)
        >>> grid.columns
        (slice(0, 21, None), slice(23, 124, None))
        """
        if len(windows) < 2 or not all(isinstance(w, EnergyGrid) for w in windows):
            raise TypeError(f"windows must be at least two EnergyGrids, got {windows!r}.")
        if any(len(window.windows) > 1 for window in windows):
            raise ValueError("windows must be plain grids, got one that is already joined.")
        parts, columns, start = [], [], 0
        for i, window in enumerate(windows):
            values = window.values
            low, high = values[0] - (values[1] - values[0]), 2 * values[-1] - values[-2]
            if i > 0:
                if not parts[-1][-1] < low:
                    raise ValueError(
                        "the gap between two windows must be wider than the sum of the spacings "
                        f"on both sides, got {windows[i - 1]!r} and {window!r}."
                    )
                values = np.concatenate([[low], values])
            first = start + (i > 0)
            columns.append(slice(first, first + len(window)))
            if i < len(windows) - 1:
                values = np.concatenate([values, [high]])
            parts.append(values)
            start += len(values)
        last = windows[-1]
        grid = cls(np.concatenate(parts), broadening=last.broadening, kernel=last.kernel)
        grid.windows, grid.columns = tuple(windows), tuple(columns)
        return grid

    def join(self, arrays):
        """Concatenate arrays of the windows, with zeros at the energies beside the gaps.

        Parameters
        ----------
        arrays : sequence of array-like of shape (..., n_energies of the window)
            LDOS or DOS of each window, for example from one run of pp.x per window.

        Returns
        -------
        ndarray of shape (..., n_energies)

        Examples
        --------
        >>> low, high = EnergyGrid.regular(-9, 1, 2), EnergyGrid.regular(0, 1, 3)
        >>> EnergyGrid.joined(low, high).join([[1, 2], [3, 4, 5]])
        array([1., 2., 0., 0., 3., 4., 5.])
        """
        arrays = [np.asarray(array) for array in arrays]
        widths, lengths = [a.shape[-1] for a in arrays], [len(window) for window in self.windows]
        if widths != lengths:
            raise ValueError(f"arrays must have {lengths} energies, got {widths}.")
        dtype = np.result_type(np.float32, *(a.dtype for a in arrays))
        joined = np.zeros((*arrays[0].shape[:-1], len(self)), dtype)
        for columns, array in zip(self.columns, arrays, strict=True):
            joined[..., columns] = array
        return joined

    def broadened(self, levels, columns=slice(None)):
        """Return peaks with the broadening of the LDOS, at the energies of the grid.

        Parameters
        ----------
        levels : ndarray of shape (n_levels,)
            In eV.
        columns : slice, optional
            Selects some of the energies.

        Returns
        -------
        ndarray of shape (n_levels, n_columns)
            In 1/eV, zero at the energies beside a gap.
        """
        # Imported here, so that descriptors, which need grids, do not import torch.
        from skldos.physics import broadening as broadening_at

        levels, indices = np.asarray(levels), np.arange(len(self))[columns]
        peaks = np.zeros((len(levels), len(indices)))
        for window, place in zip(self.windows, self.columns, strict=True):
            inside = (indices >= place.start) & (indices < place.stop)
            distances = self.values[indices[inside]] - levels[:, None]
            peaks[:, inside] = broadening_at(
                distances, width=window.broadening, kernel=window.kernel
            )
        return peaks

    def sharpening_matrix(self, order=2):
        """Return the matrix that undoes the broadening, window by window.

        Parameters
        ----------
        order : int, default=2
            As in :func:`skldos.physics.sharpening_matrix`.

        Returns
        -------
        ndarray of shape (n_energies, n_energies)
        """
        from skldos.physics import sharpening_matrix

        matrix = np.zeros((len(self), len(self)))
        for window, place in zip(self.windows, self.columns, strict=True):
            matrix[place, place] = sharpening_matrix(
                window.values, broadening=window.broadening, kernel=window.kernel, order=order
            )
        return matrix

    @classmethod
    def regular(cls, start, spacing, n_energies, *, broadening=None, kernel=None):
        """Make the grid ``start + k * spacing`` for k = 0 … `n_energies` − 1, in eV."""
        start = check_scalar("start", start)
        spacing = check_scalar("spacing", spacing, low=0, strict=True)
        n_energies = check_scalar("n_energies", n_energies, low=2, high=MOST_ENERGIES, integer=True)
        return cls(start + spacing * np.arange(n_energies), broadening=broadening, kernel=kernel)

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype, copy=copy)

    def __eq__(self, other):
        if not isinstance(other, EnergyGrid):
            return NotImplemented
        # A joined grid follows from its windows.
        one, two = (
            [(w.values.tolist(), w.broadening, w.kernel) for w in grid.windows]
            for grid in (self, other)
        )
        return one == two

    __hash__ = None

    def summary(self):
        """Return number, range and broadening of the energies as text."""
        text = f"{len(self)} energies from {self.values[0]:g} to {self.values[-1]:g} eV"
        if self.broadening is not None:
            text += f", {self.kernel or 'unknown'} broadening {self.broadening:g} eV"
        if len(self.windows) > 1:
            text += f", {len(self.windows)} windows"
        return text

    def __repr__(self):
        return f"EnergyGrid({self.summary()})"

    def _repr_html_(self):
        spacing = np.diff(self.values)
        steps = {f"{value:.4g}" for value in (spacing.min(), spacing.max())}
        rows = [
            ("energies", f"{len(self)}"),
            ("range", f"{self.values[0]:g} to {self.values[-1]:g} eV"),
            ("spacing", " to ".join(sorted(steps, key=float)) + " eV"),
            ("broadening", "unknown" if self.broadening is None else f"{self.broadening:g} eV"),
            ("kernel", self.kernel or "unknown"),
        ]
        return table("EnergyGrid", rows)

    def to_frame(self):
        """Return a table of the energies.

        Returns
        -------
        pandas.DataFrame
            A column ``energy`` in eV.
        """
        import pandas as pd

        return pd.DataFrame({"energy": self.values})
