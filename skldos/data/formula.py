"""Chemical formulas as chemists write them."""

#: Non-metals in the order in which IUPAC writes them in formulas, by rising electronegativity.
NON_METALS = (
    *("He", "Ne", "Ar", "Kr", "Xe", "Rn", "B", "Si", "C", "Sb", "As", "P", "N", "H"),
    *("Te", "Se", "S", "At", "I", "Br", "Cl", "O", "F"),
)


def chemical_formula(atoms):
    """Return the formula of a cell: metals by name, then non-metals by electronegativity.

    Compounds of carbon and hydrogen follow Hill: carbon, hydrogen, the others by name.

    Examples
    --------
    >>> from ase import Atoms
    >>> [chemical_formula(Atoms(name)) for name in ("Al2MgAl", "CSi", "O2Si", "C2H6O")]
    ['Al3Mg', 'SiC', 'SiO2', 'C2H6O']
    """
    counts = atoms.symbols.formula.count()
    if {"C", "H"} <= counts.keys():
        return atoms.get_chemical_formula("hill")
    order = sorted(counts.keys() - NON_METALS) + [e for e in NON_METALS if e in counts]
    return "".join(f"{e}{counts[e] if counts[e] > 1 else ''}" for e in order)
