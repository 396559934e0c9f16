"""Names of functionals, against the numbers in funct.f90 of Quantum ESPRESSO 6.7."""

import pytest

from skldos.io.functionals import functional_name, functional_of_numbers


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        # sla=1; pz=1, lyp=3, pw=4; b88=1, ggx=2, pbx=3, revx=4, psx=10, wcx=11, q2dx=19;
        # p86=1, ggc=2, blyp=3, pbc=4, psc=8, q2dc=12; hhnx=44 is the exchange of RPBE
        ((1, 1, 0, 0), "lda-pz"),
        ((1, 4, 0, 0), "lda-pw"),
        ((1, 4, 3, 4), "pbe"),
        ((1, 4, 10, 8), "pbesol"),
        ((1, 1, 1, 1), "BP"),
        ((1, 3, 1, 3), "BLYP"),
        ((1, 4, 2, 2), "PW91"),
        ((1, 4, 4, 4), "REVPBE"),
        ((1, 4, 11, 4), "WC"),
        ((1, 4, 19, 12), "Q2D"),
        ((1, 4, 44, 4), "RPBE"),
    ],
)
def test_numbers_decide_where_they_are_known(numbers, name):
    assert functional_of_numbers("from the input", [*numbers, 0, 0, 0]) == name
    # Meta-GGA or nonlocal correlation on top of them is another functional.
    for i in range(3):
        further = [*numbers, *(int(i == k) for k in range(3))]
        assert functional_of_numbers("from-the input", further) == "FROM THE INPUT"


def test_other_numbers_leave_the_name():
    assert functional_of_numbers("PBE", [9, 9, 9, 9, 0, 0, 0]) == "pbe"


# What pw.x 6.7 makes of each: it prints the numbers (1 1 0 0), (1 4 0 0), (1 4 3 4), (1 4 10 8).
@pytest.mark.parametrize(
    ("text", "name"),
    [
        *[(t, "lda-pz") for t in ("LDA                 ", "PZ", "sla pz", " SLA  PZ NOGX  NOGC ")],
        *[(t, "lda-pw") for t in ("PW", "SLA-PW", "SLA+PW+NOGX+NOGC", "SLA PW NOGX NOGC")],
        *[(t, "pbe") for t in ("PBE", "SLA PW PBX PBC", "sla-pw-pbx-pbc", "sla+pw+pbe+pbe")],
        *[(t, "pbesol") for t in ("PBESOL", "SLA PW PSX PSC")],
        ("PBEQ2D", "Q2D"),
        ("tpss", "TPSS"),
        (" SLA  LYP  B88  BLYP", "SLA LYP B88 BLYP"),
    ],
)
def test_names_in_all_their_spellings(text, name):
    assert functional_name(text) == name
