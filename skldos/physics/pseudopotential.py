"""The parts of a pseudopotential that a total energy needs, as arrays."""

import numpy as np

from skldos.validation import check_finite, check_option, check_scalar, check_shape

KINDS = ("norm-conserving", "ultrasoft", "paw")


class Pseudopotential:
    r"""Valence charge, functional, pseudo-core charge and free-atom density of an element.

    The local and nonlocal potentials themselves are not needed: they act through the eigenvalues,
    and so through the LDOS.

    Parameters
    ----------
    symbol : str
        Chemical symbol.
    valence : float
        Number of valence electrons, which is the charge of the ion.
    functional : str, optional
        Exchange-correlation functional of the pseudopotential: ``"lda-pz"``, ``"lda-pw"``,
        ``"pbe"``, ``"pbesol"``, or the name in its file for any other.
    kind : {"norm-conserving", "ultrasoft", "paw"}, default="norm-conserving"
        Kind of pseudopotential.
    radii, radial_weights : array-like of shape (n_radii,), optional
        Radial mesh r in Å and dr/di, its derivative with respect to the index of the point.
    core_density : array-like of shape (n_radii,), optional
        Pseudo-core charge (nonlinear core correction) :math:`n_c(r)` in 1/Å³; None if there is
        none.
    atomic_density : array-like of shape (n_radii,), optional
        Density of the valence electrons of a free atom in 1/Å³; total energies do not need it.

    Raises
    ------
    ValueError
        If a value is out of range, or arrays do not match.

    Examples
    --------
    >>> Pseudopotential("Al", 3, functional="lda-pz")
    Pseudopotential(Al, valence 3, lda-pz, norm-conserving)
    """

    def __init__(
        self,
        symbol,
        valence,
        *,
        functional=None,
        kind="norm-conserving",
        radii=None,
        radial_weights=None,
        core_density=None,
        atomic_density=None,
    ):
        self.symbol = symbol
        self.valence = check_scalar("valence", valence, low=0, strict=True)
        self.functional = functional
        self.kind = check_option("kind", kind, KINDS)
        self.radii = _mesh("radii", radii)
        self.radial_weights = _mesh("radial_weights", radial_weights)
        self.core_density = _mesh("core_density", core_density)
        self.atomic_density = _mesh("atomic_density", atomic_density)
        for density in ("core_density", "atomic_density"):
            self._check_mesh_of(density)

    def __repr__(self):
        parts = [self.symbol, f"valence {self.valence:g}"]
        if self.functional is not None:
            parts.append(self.functional)
        parts.append(self.kind)
        if self.core_density is not None:
            parts.append("core correction")
        return f"Pseudopotential({', '.join(parts)})"

    def _check_mesh_of(self, density):
        """Raise a ``ValueError`` unless the density of this name has as many points as the mesh."""
        values = getattr(self, density)
        for name in ("radii", "radial_weights"):
            mesh = getattr(self, name)
            if values is not None and (mesh is None or len(mesh) != len(values)):
                got = "none" if mesh is None else f"{len(mesh)}"
                raise ValueError(
                    f"{name} must have one value per value of {density}, {len(values)}, got {got}."
                )


def _mesh(name, values):
    if values is None:
        return None
    values = np.array(values, dtype=float)
    check_shape(name, values, (None,))
    check_finite(name, values)
    return values
