"""Names of exchange-correlation functionals, as Quantum ESPRESSO writes them."""

import re

# Exchange, correlation and their gradient corrections as pw.x calls them, and our names.
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


def functional_name(text):
    """Return our name of a functional, or the text, tidied up, if it is another one.

    Examples
    --------
    >>> functional_name(" SLA  PZ   NOGX NOGC"), functional_name("sla+pw+pbx+pbc")
    ('lda-pz', 'pbe')
    >>> functional_name("B3LYP")
    'B3LYP'
    """
    words = " ".join(re.split(r"[\s+-]+", text.strip().upper()))
    return FUNCTIONALS.get(words, words)
