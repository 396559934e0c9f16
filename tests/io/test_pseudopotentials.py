"""Pseudopotentials as users have them: objects, paths, mappings and lists of both."""

from pathlib import Path

import pytest

from skldos.exceptions import FileFormatError
from skldos.io import as_pseudopotentials
from skldos.physics import Pseudopotential

PATH = Path(__file__).parent / "data" / "Al.UPF"
AL, NA = Pseudopotential("Al", 3, functional="lda-pz"), Pseudopotential("Na", 1)


@pytest.mark.parametrize("given", [{"Al": AL, "Na": NA}, [AL, NA], (NA, AL), iter([AL, NA])])
def test_objects_are_handed_on(given):
    known = as_pseudopotentials(given)
    assert set(known) == {"Al", "Na"}
    assert known["Al"] is AL
    assert known["Na"] is NA


@pytest.mark.parametrize("path", [PATH, str(PATH)])
@pytest.mark.parametrize("form", [lambda p: {"Al": p, "Na": NA}, lambda p: [p, NA]])
def test_files_are_read(path, form):
    known = as_pseudopotentials(form(path))
    assert repr(known["Al"]) == repr(AL)
    assert set(known) == {"Al", "Na"}


@pytest.mark.parametrize("given", ["Al.UPF", b"Al.UPF", Path("Al.UPF"), AL, None, 3])
def test_what_is_neither_is_named(given):
    with pytest.raises(TypeError, match="must be a mapping of elements to pseudopotentials"):
        as_pseudopotentials(given)


def test_a_wrong_element_is_named():
    with pytest.raises(ValueError, match=r"pseudopotentials\['Na'\] must be one of Na, got .*\(Al"):
        as_pseudopotentials({"Na": AL})
    with pytest.raises(ValueError, match=r"pseudopotentials\['Mg'\] must be one of Mg, got .*\(Al"):
        as_pseudopotentials({"Mg": PATH})
    with pytest.raises(ValueError, match="must hold one for Al, got two"):
        as_pseudopotentials([AL, PATH])


def test_a_wrong_value_is_named():
    with pytest.raises(TypeError, match="Pseudopotential or the path of a UPF file, got 3"):
        as_pseudopotentials({"Al": 3})


def test_a_wrong_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        as_pseudopotentials({"Al": tmp_path / "absent.UPF"})
    (tmp_path / "other.UPF").write_text("nothing of the kind")
    with pytest.raises(FileFormatError, match=r"other\.UPF"):
        as_pseudopotentials([tmp_path / "other.UPF"])
