"""Names of exchange-correlation functionals, as Quantum ESPRESSO writes them."""

import re

# Exchange, correlation and their gradient corrections in pw.x, and skldos's names.
FUNCTIONALS = {
    "LDA": "lda-pz",
    "PZ": "lda-pz",
    "SLA PZ": "lda-pz",
    "SLA PZ NOGX NOGC": "lda-pz",
    "PW": "lda-pw",
    "SLA PW": "lda-pw",
    "SLA PW NOGX NOGC": "lda-pw",
    "PBE": "pbe",
    "SLA PW PBX PBC": "pbe",
    "SLA PW PBE PBE": "pbe",
    "PBESOL": "pbesol",
    "SLA PW PSX PSC": "pbesol",
}
# Other functionals: names that differ between files of pw.x, and pw.x's numbers.
SYNONYMS = {"PBEQ2D": "Q2D"}
NUMBERS = {
    (1, 1, 0, 0): "lda-pz",
    (1, 4, 0, 0): "lda-pw",
    (1, 4, 3, 4): "pbe",
    (1, 4, 10, 8): "pbesol",
    (1, 1, 1, 1): "BP",
    (1, 3, 1, 3): "BLYP",
    (1, 4, 2, 2): "PW91",
    (1, 4, 4, 4): "REVPBE",
    (1, 4, 11, 4): "WC",
    (1, 4, 19, 12): "Q2D",
    (1, 4, 44, 4): "RPBE",
}


def functional_name(text):
    """Return skldos's name of a functional, or the tidied text if skldos lacks it.

    Examples
    --------
    >>> functional_name(" SLA  PZ   NOGX NOGC"), functional_name("sla+pw+pbx+pbc")
    ('lda-pz', 'pbe')
    >>> functional_name("B3LYP")
    'B3LYP'
    """
    words = " ".join(re.split(r"[\s+-]+", text.strip().upper()))
    return FUNCTIONALS.get(words, SYNONYMS.get(words, words))


def functional_of_numbers(text, numbers):
    """Return the name of a functional that pw.x prints with its numbers.

    The numbers are indices of exchange, correlation, their gradient corrections, and further parts.

    Examples
    --------
    >>> functional_of_numbers("SLA+PW+PBX+PBC", [1, 4, 3, 4, 0, 0, 0])
    'pbe'
    >>> functional_of_numbers("VDW-DF", [1, 4, 4, 0, 1, 0, 0])
    'VDW DF'
    """
    name = None if any(numbers[4:]) else NUMBERS.get(tuple(numbers[:4]))
    return name or functional_name(text)
