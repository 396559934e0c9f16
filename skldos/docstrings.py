"""Fill docstrings from a table, for parameters that several classes share."""

import inspect
import re
from textwrap import dedent, indent

_HEADER = re.compile(r"(\w+)(, \w+)*( : .+)?$", re.MULTILINE)
_MARK = re.compile(r"^( *)%\((\w+)(\.text)?\)s$", re.MULTILINE)


def entries_of(text):
    r"""Return the entries of a section of parameters in the style of numpydoc.

    Parameters
    ----------
    text : str
        Entries as in a docstring: a line ``name : type`` (or ``name, other : type``), and below
        it, indented, the description.

    Returns
    -------
    dict of str to str
        Every entry by its (first) name.

    Raises
    ------
    ValueError
        If a name comes twice, or a line is neither a name nor indented.

    Examples
    --------
    >>> from skldos.docstrings import entries_of
    >>> entries_of('''
    ...     lr : float
    ...         Learning rate.
    ...     seed, key : int
    ...         Numbers.
    ... ''')["seed"]
    'seed, key : int\n    Numbers.'
    """
    entries = {}
    for entry in re.split(r"\n(?![ \n])", dedent(text).strip("\n")):
        header = _HEADER.match(entry)
        if header is None or header[1] in entries:
            raise ValueError(
                "text must be entries 'name : type', each name once and descriptions indented, "
                f"got {entry!r}."
            )
        entries[header[1]] = entry.rstrip()
    return entries


def documented(entries):
    r"""Fill the docstring of a function, or of a class and its methods, from a table.

    A line ``%(name)s``, with nothing else on it, becomes the entry of that name, indented as the
    mark is. Lines below that are indented further go on with the description. Where a type or a
    default differs, write that line in full, and below it ``%(name.text)s``, which stands for the
    description alone. Any other ``%`` stays as it is, and so does a missing docstring
    (``python -OO``).

    Parameters
    ----------
    entries : dict of str to str
        The table, as from :func:`entries_of`.

    Returns
    -------
    callable
        A decorator, which returns what it is given.

    Raises
    ------
    ValueError
        When decorating, if a mark has no entry.

    Examples
    --------
    >>> from skldos.docstrings import documented, entries_of
    >>> @documented(entries_of("lr : float, default=1e-3\n    Learning rate."))
    ... def train(lr=0.1):
    ...     '''Train.
    ...
    ...     Parameters
    ...     ----------
    ...     lr : float, default=0.1
    ...         %(lr.text)s
    ...     '''
    >>> train.__doc__.splitlines()[-2].strip()
    'Learning rate.'
    """

    def fill(target):
        def entry(mark):
            space, name, text_alone = mark.groups()
            if name not in entries:
                raise ValueError(
                    f"the marks of {function.__qualname__} must be among {sorted(entries)}, got "
                    f"{name!r}."
                )
            text = entries[name]
            return indent(dedent(text.partition("\n")[2]) if text_alone else text, space)

        members = vars(target).values() if inspect.isclass(target) else ()
        for function in (target, *filter(inspect.isfunction, members)):
            if function.__doc__ is not None:
                function.__doc__ = _MARK.sub(entry, function.__doc__)
        return target

    return fill


def like(other):
    """Give a method the docstring of another one, which does the same elsewhere.

    Parameters
    ----------
    other : callable
        The method that is documented.

    Returns
    -------
    callable
        A decorator, which returns what it is given.

    Examples
    --------
    >>> from skldos.docstrings import like
    >>> class One:
    ...     def predict(self, X):
    ...         '''Predict.'''
    >>> class Other:
    ...     @like(One.predict)
    ...     def predict(self, X):
    ...         return X
    >>> Other.predict.__doc__
    'Predict.'
    """

    def fill(function):
        function.__doc__ = other.__doc__
        return function

    return fill
