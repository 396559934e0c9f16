"""Every parameter is documented once, regardless of the source of its text."""

import inspect
import pkgutil
import re
from dataclasses import is_dataclass
from importlib import import_module

import pytest

import skldos
from skldos.docstrings import documented, entries_of

TABLE = entries_of(r"""
    alpha : float, default=1.0
        Penalty, 50 % of :math:`\frac{a}{b}`:

        - a list, after an empty line.
    beta_, gamma_ : ndarray
        Two of them.
    rest
        Without a type.
""")


def _public_classes():
    """Yield the classes with public names that the public modules of skldos define."""
    for info in pkgutil.walk_packages(skldos.__path__, "skldos."):
        if not re.search(r"\._", info.name):
            for name, thing in vars(import_module(info.name)).items():
                own = inspect.isclass(thing) and thing.__module__ == info.name
                if own and name[0] != "_" and not issubclass(thing, BaseException):
                    yield thing


CLASSES = sorted(_public_classes(), key=lambda cls: (cls.__module__, cls.__qualname__))


def _names(doc, section):
    """Return the names of the entries of a section of a docstring in the style of numpydoc."""
    parts = re.split(r"^(\S.*)\n-{3,}$", doc, flags=re.MULTILINE)
    body = dict(zip(parts[1::2], parts[2::2], strict=True)).get(section, "")
    heads = re.findall(r"^(\S.*?)(?: : .*)?$", body, flags=re.MULTILINE)
    return [name.lstrip("*") for head in heads for name in head.split(", ")]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")
def test_every_parameter_is_documented_once(cls):
    doc = inspect.getdoc(cls)
    names = _names(doc, "Parameters")
    # The fields of a record are its parameters and its attributes.
    if is_dataclass(cls) or issubclass(cls, tuple):
        names += _names(doc, "Attributes")
    assert sorted(names) == sorted(inspect.signature(cls).parameters)
    assert not re.search(r"^ *%\(", doc, flags=re.MULTILINE)


def test_the_classes_are_found():
    found = {cls.__name__ for cls in CLASSES}
    promised = {name for name in skldos.__all__ if inspect.isclass(getattr(skldos, name))}
    assert promised <= found
    assert {"FeedForward", "EspressoRun", "Pseudopotential"} <= found


def test_a_parameter_that_is_missing_or_twice_is_seen():
    doc = "Do.\n\nParameters\n----------\na, b : int\n    One.\n*args\n    All.\na : int\n    More."
    assert _names(doc, "Parameters") == ["a", "b", "args", "a"]
    assert _names(doc, "Attributes") == []


# ---------------------------------------------------------------- the decorator


def _function(doc):
    """Return a function with a docstring that nobody has filled."""

    def function():
        pass

    function.__doc__ = doc
    return function


def test_marks_become_entries():
    function = _function("""Do it.

    Parameters
    ----------
    %(alpha)s
        Here it is 100 %s, and %(alpha)s stays within a line.
    beta_ : int, default=3
        %(beta_.text)s
    %(rest)s
    """)
    assert documented(TABLE)(function) is function
    assert (
        inspect.getdoc(function)
        == r"""Do it.

Parameters
----------
alpha : float, default=1.0
    Penalty, 50 % of :math:`\frac{a}{b}`:

    - a list, after an empty line.
    Here it is 100 %s, and %(alpha)s stays within a line.
beta_ : int, default=3
    Two of them.
rest
    Without a type."""
    )


def test_a_class_is_filled_with_its_methods():
    @documented(TABLE)
    class Filled:
        """Be there.

        Parameters
        ----------
        %(rest)s
        """

        bare = 3

        def fit(self):
            """Fit.

            Returns
            -------
                %(beta_)s
            """

        def predict(self):
            pass

    class Heir(Filled):
        pass

    assert inspect.getdoc(Filled).endswith("----------\nrest\n    Without a type.")
    assert "\n    beta_, gamma_ : ndarray\n        Two of them." in inspect.getdoc(Filled.fit)
    assert Filled.predict.__doc__ is None
    assert documented(TABLE)(Heir).__doc__ is None


@pytest.mark.parametrize("mark", ["delta", "gamma_", "alph", "delta.text"])
def test_an_unknown_mark_is_refused(mark):
    function = _function(f"Do it.\n\n    %({mark})s\n")
    name = mark.removesuffix(".text")
    with pytest.raises(ValueError, match=rf"function must be among \['alpha', .*got '{name}'"):
        documented(TABLE)(function)


def test_an_unknown_mark_of_a_method_names_it():
    class Wrong:
        """Be there."""

        def fit(self):
            """Fit.

            %(delta)s
            """

    with pytest.raises(ValueError, match=r"Wrong\.fit must be among"):
        documented(TABLE)(Wrong)


@pytest.mark.parametrize(
    "text", ["a : int\n    A.\na : float\n    B.", "a : int\nThe description.", "", ": int\n    A."]
)
def test_wrong_tables_are_refused(text):
    with pytest.raises(ValueError, match="each name once and descriptions indented"):
        entries_of(text)


def test_tables_know_entries_by_their_first_names():
    assert list(TABLE) == ["alpha", "beta_", "rest"]
    assert TABLE["beta_"] == "beta_, gamma_ : ndarray\n    Two of them."


def test_without_docstrings_nothing_is_filled():
    # As python -OO compiles it.
    source = """
@documented(TABLE)
class Bare:
    '''Be there.

    %(alpha)s
    '''

    def fit(self):
        '''%(delta)s'''
"""
    names = {"documented": documented, "TABLE": TABLE}
    exec(compile(source, "bare", "exec", optimize=2), names)
    assert names["Bare"].__doc__ is names["Bare"].fit.__doc__ is None
