"""The input file of pw.x: its namelists, and entries that users may add."""

import os
from collections.abc import Mapping

from skldos.datasets.recipe.run import PREFIX
from skldos.units import BOLTZMANN, RYDBERG

#: Entries that the recipe sets, by namelist. Users may not change them, because the labels of the
#: snapshot would then be wrong: for example, the smearing would not match its temperature.
RECIPE_ENTRIES = {
    "control": ("calculation", "prefix", "outdir", "pseudo_dir"),
    "system": ("ecutwfc", "ecutrho", "occupations", "smearing", "degauss", "nbnd", "nspin"),
    "electrons": ("conv_thr",),
}


def check_input_data(input_data):
    """Return further entries of the namelists, in lower case, or raise an error.

    Other namelists than ``control``, ``system`` and ``electrons`` would have no effect, and are
    refused as well as an entry of :data:`RECIPE_ENTRIES`.

    Examples
    --------
    >>> check_input_data({"SYSTEM": {"NoSym": True}})
    {'system': {'nosym': True}}
    """
    input_data = {} if input_data is None else input_data
    if not isinstance(input_data, Mapping):
        raise TypeError(f"input_data must map namelists to mappings, got {input_data!r}.")
    checked = {}
    for section, entries in input_data.items():
        if not isinstance(entries, Mapping):
            raise TypeError(
                'input_data must map namelists to mappings, as {"system": {"nosym": True}}; got '
                f"{entries!r} for {section!r}."
            )
        if section.lower() not in RECIPE_ENTRIES:
            raise ValueError(
                f"input_data must have namelists of {list(RECIPE_ENTRIES)}, got {section!r}."
            )
        checked[section.lower()] = {key.lower(): value for key, value in entries.items()}
    for section, entries in checked.items():
        for key in RECIPE_ENTRIES[section]:
            if key in entries:
                raise ValueError(f"input_data must leave {key!r} to the recipe.")
    return checked


def check_pseudopotentials(pseudopotentials):
    """Return a dict of file names by chemical symbol, or raise an error.

    The names must not contain a folder; pw.x searches its own.

    Examples
    --------
    >>> check_pseudopotentials({"Al": "Al.pz-vbc.UPF"})
    {'Al': 'Al.pz-vbc.UPF'}
    """
    if not isinstance(pseudopotentials, Mapping):
        raise TypeError(
            f"pseudopotentials must map chemical symbols to file names, got {pseudopotentials!r}."
        )
    if not pseudopotentials:
        raise ValueError("pseudopotentials must name at least one file, got none.")
    for symbol, name in pseudopotentials.items():
        if not isinstance(name, str):
            raise TypeError(f"pseudopotentials[{symbol!r}] must be a file name, got {name!r}.")
        if os.path.basename(name) != name:
            raise ValueError(
                f"pseudopotentials[{symbol!r}] must be a file name, whose folder is pseudo_dir, "
                f"got {name!r}."
            )
    return dict(pseudopotentials)


def namelists(*, ecutwfc, ecutrho, temperature, n_bands, conv_thr, pseudo_dir, more):
    """Return the namelists of a self-consistent calculation with Fermi-Dirac smearing.

    Cutoffs and accuracy are in Ry, the electronic temperature in K. `n_bands` and `pseudo_dir` may
    be None, which leaves them to pw.x. `more` comes from :func:`check_input_data`.

    Examples
    --------
    >>> sections = namelists(
    ...     ecutwfc=12.0,
    ...     ecutrho=48.0,
    ...     temperature=3157.75,
    ...     n_bands=8,
    ...     conv_thr=1e-8,
    ...     pseudo_dir=None,
    ...     more={"electrons": {"mixing_beta": 0.3}},
    ... )
    >>> round(sections["system"]["degauss"], 6), sections["electrons"]
    (0.02, {'conv_thr': 1e-08, 'mixing_beta': 0.3})
    """
    sections = {
        "control": {
            "calculation": "scf",
            "prefix": PREFIX,
            "outdir": ".",
            "tprnfor": True,
            "tstress": True,
            "verbosity": "high",
        },
        "system": {
            "ecutwfc": ecutwfc,
            "ecutrho": ecutrho,
            "occupations": "smearing",
            "smearing": "fermi-dirac",
            "degauss": BOLTZMANN * temperature / RYDBERG,
        },
        "electrons": {"conv_thr": conv_thr},
    }
    if n_bands is not None:
        sections["system"]["nbnd"] = n_bands
    if pseudo_dir is not None:
        sections["control"]["pseudo_dir"] = os.fspath(pseudo_dir)
    return {name: entries | more.get(name, {}) for name, entries in sections.items()}
