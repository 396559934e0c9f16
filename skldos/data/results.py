"""Results of an ASE calculator, under the names of a snapshot's reference."""

#: Prefix of the names of calculators whose results are predictions of a fitted model.
CALCULATOR_PREFIX = "skldos"


def results_of(atoms):
    """Return the results that ``ase.Atoms`` carry, without calculating anything.

    The names are those of a snapshot's reference: ``"total_energy"`` (the free energy, or the
    energy if there is no separate free energy; eV), ``"forces"`` (eV/Å) and ``"stress"`` (eV/Å³),
    as far as available.

    Results of a calculator count if they belong to the current positions, as those that
    ``ase.io.read`` attaches. Predictions of an LDOSCalculator or a FreeEnergyCalculator are no
    reference and are left out, even if they were read from an ASE trajectory.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.singlepoint import SinglePointCalculator
    >>> atoms = bulk("Al")
    >>> atoms.calc = SinglePointCalculator(atoms, energy=-57.2, free_energy=-57.3)
    >>> results_of(atoms)
    {'total_energy': -57.3}
    """
    if atoms.calc is None or str(getattr(atoms.calc, "name", "")).startswith(CALCULATOR_PREFIX):
        return {}
    names = {"energy": "total_energy", "free_energy": "total_energy"}
    names |= {"forces": "forces", "stress": "stress"}
    results = {}
    for property_name, name in names.items():
        value = _result(atoms, property_name)
        if value is not None:
            results[name] = value
    return results


def _result(atoms, name):
    from ase.calculators.calculator import PropertyNotImplementedError

    try:
        # None if the atoms moved since.
        return atoms.calc.get_property(name, atoms, allow_calculation=False)
    except (AttributeError, NotImplementedError, PropertyNotImplementedError):
        return None
