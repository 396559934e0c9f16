"""Settings of pw.x that change the Hamiltonian or add energy terms skldos does not know.

Many of them leave no trace among the parts of the total energy. In the XML file, every setting
that is not on a list of harmless ones is refused. A text output does not repeat its input, so it is
searched for the messages that pw.x prints when a setting is active.
"""

import re

#: Parts of ``<input>`` that define how, and for which atoms, the Kohn-Sham equations are solved.
HARMLESS_INPUT = {
    *("control_variables", "atomic_species", "atomic_structure", "dft", "spin", "bands", "basis"),
    *("electron_control", "k_points_IBZ", "ion_control", "cell_control", "symmetry_flags"),
    *("boundary_conditions", "electric_field", "ekin_functional", "free_positions"),
    *("starting_atomic_velocities", "atomic_constraints"),
}
HARMLESS_OUTPUT = {
    *("convergence_info", "algorithmic_info", "atomic_species", "atomic_structure", "symmetries"),
    *("basis_set", "dft", "boundary_conditions", "magnetization", "total_energy"),
    *("band_structure", "forces", "stress", "electric_field"),
}
HARMLESS_CONTROL = {"stress", "forces", "wf_collect"}
HARMLESS_DFT = {"functional"}
#: Makov and Payne's correction comes after the periodic run; the file has the uncorrected energy.
HARMLESS_BOUNDARIES = {"none", "2d", "mp", "m-p", "makov-payne", "makov_payne"}
#: A Berry phase is calculated without a field.
HARMLESS_POTENTIALS = {"none", "berry_phase"}
FIELDS = {"homogenous_field": "lelfield", "sawtooth_potential": "tefield"}
PARTS = {"external_atomic_forces": "the card ATOMIC_FORCES"}
DFT_SETTINGS = {
    "dftU": "dftU (lda_plus_u, the card HUBBARD)",
    "hybrid": "hybrid (input_dft with exact exchange)",
    "vdW": "vdW (vdw_corr, or a functional with a nonlocal part)",
}

#: Messages in a text output, and the settings that cause them.
SETTING_OF_MESSAGE = {
    "Martyna-Tuckerman": "assume_isolated='mt'",
    "Effective Screening Medium": "assume_isolated='esm'",
    "Berry phase electric field": "lelfield",
    "external electric field": "tefield or dipfield",
    "charged plate": "gate",
    "Dispersion": "vdw_corr",
    "TS-vdW": "vdw_corr='ts-vdw'",
    "XDM dispersion": "vdw_corr='xdm'",
    "any-body dispersion": "vdw_corr='mbd'",
    "EXX-fraction": "hybrid (input_dft with exact exchange)",
    "smooth kinetic-energy cutoff": "qcutz",
    "External forces": "the card ATOMIC_FORCES",
    "LDA+U": "DFT+U (lda_plus_u)",
    "DFT+U": "DFT+U (lda_plus_u, the card HUBBARD)",
    "Hubbard": "DFT+U (the card HUBBARD)",
    "3D-RISM": "trism",
    "Laue-RISM": "trism",
    "Fictitious charge particle": "lfcp",
    "onstant bias potential": "lfcp",
    "two chemical potentials": "twochem",
}
#: Lines to ignore: terms that may be zero, and arbitrary names of files and titles.
HARMLESS_LINE = re.compile("to forces|stress|file|Reading input|Title:", re.IGNORECASE)
NOT_SUPPORTED = "was used, which skldos does not support: it changes the Hamiltonian or the energy"


def check_xml_settings(tree):
    """Raise an error that names an unsupported setting in ``data-file-schema.xml``."""
    _check_parts(tree["input"], HARMLESS_INPUT)
    for part in ("input", "output"):
        for child in tree.all(f"{part}/dft/*"):
            if child.tag not in HARMLESS_DFT:
                raise _refuse(child, DFT_SETTINGS.get(child.tag, f"<{child.tag}>"))
        kind = tree.find(f"{part}/boundary_conditions/assume_isolated")
        if kind is not None and kind.text("none").lower() not in HARMLESS_BOUNDARIES:
            raise _refuse(kind, f"assume_isolated={kind.text()!r}")
    for child in tree.all("input/control_variables/*"):
        # Options of later versions that can be switched on.
        if child.text("").strip(".").lower() == "true" and child.tag not in HARMLESS_CONTROL:
            raise _refuse(child, child.tag)
    _check_field(tree)
    height = tree.find("input/ekin_functional/qcutz")
    if height is not None and height.number() != 0:
        raise _refuse(height, "qcutz (with ecfixed and q2sigma)")


def check_xml_results(tree):
    """Raise a :class:`FileFormatError` if a run has results that skldos does not support."""
    _check_parts(tree["output"], HARMLESS_OUTPUT)


def _check_parts(tree, harmless):
    for child in tree.all("*"):
        # An entry says whether there are two chemical potentials.
        is_off = child.find("twochem") is not None and not child.flag("twochem")
        if child.tag not in harmless and not is_off:
            raise _refuse(child, PARTS.get(child.tag, f"<{child.tag}>"))


def _check_field(tree):
    """Check ``<electric_field>``, which also has entries for fields that are not used."""
    field = tree.find("input/electric_field")
    if field is None:
        return
    potential = field.find("electric_potential")
    kind = "none" if potential is None else potential.text("none").lower()
    if field.flag("dipole_correction"):
        raise _refuse(field, "dipfield")
    if kind not in HARMLESS_POTENTIALS:
        raise _refuse(potential, FIELDS.get(kind, f"<electric_potential> {kind!r}"))
    if field.flag("gate_settings/use_gate"):
        raise _refuse(field["gate_settings"], "gate")


def check_text_settings(lines):
    """Raise an error that names an unsupported setting of which a text output speaks."""
    needles = re.compile("|".join(map(re.escape, SETTING_OF_MESSAGE)))
    for i, text in enumerate(lines.texts):
        match = needles.search(text)
        if match and HARMLESS_LINE.search(text) is None:
            raise lines.error(f"{SETTING_OF_MESSAGE[match[0]]} {NOT_SUPPORTED}", i)


def _refuse(tree, setting):
    return tree.error(f"{setting} {NOT_SUPPORTED}")
