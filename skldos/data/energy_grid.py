"""The energies at which a density of states is given, and how it was broadened."""

import numpy as np

from skldos._validation import check_finite, check_option, check_scalar, check_shape

KERNELS = ("gaussian", "fermi-dirac")


class EnergyGrid:
    r"""Energies of an LDOS in eV, with the broadening that was used to make it.

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
        values = np.array(values, dtype=float)
        check_shape("energies", values, (None,))
        check_finite("energies", values)
        if len(values) < 2 or not (np.diff(values) > 0).all():
            raise ValueError(
                "energies must be at least two strictly increasing values in eV, got "
                f"{np.array2string(values, threshold=6)}."
            )
        if broadening is not None:
            broadening = check_scalar("broadening", broadening, low=0, strict=True)
        if kernel is not None:
            check_option("kernel", kernel, KERNELS)
        values.flags.writeable = False
        self.values = values
        self.broadening = broadening
        self.kernel = kernel

    @classmethod
    def regular(cls, start, spacing, n_energies, *, broadening=None, kernel=None):
        """Make the grid ``start + k * spacing`` for k = 0 … `n_energies` − 1, in eV."""
        spacing = check_scalar("spacing", spacing, low=0, strict=True)
        n_energies = check_scalar("n_energies", n_energies, low=2, integer=True)
        return cls(start + spacing * np.arange(n_energies), broadening=broadening, kernel=kernel)

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype, copy=copy)

    def __eq__(self, other):
        if not isinstance(other, EnergyGrid):
            return NotImplemented
        return (
            np.array_equal(self.values, other.values)
            and self.broadening == other.broadening
            and self.kernel == other.kernel
        )

    __hash__ = None

    def __repr__(self):
        text = f"{len(self)} energies from {self.values[0]:g} to {self.values[-1]:g} eV"
        if self.broadening is not None:
            text += f", {self.kernel or 'unknown'} broadening {self.broadening:g} eV"
        return f"EnergyGrid({text})"
