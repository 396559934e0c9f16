"""An XML tree with the line of every element, for error messages."""

from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

import numpy as np

from skldos.exceptions import FileFormatError
from skldos.io.fortran import to_float

LOGICALS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


class Tree:
    """An element of an XML file and those below it; errors name file and line.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    element : xml.etree.ElementTree.Element
        The root of this part.
    lines : dict
        Line of every element of the file.
    """

    def __init__(self, path, element, lines):
        self.path = path
        self.element = element
        self._lines = lines

    @classmethod
    def parse(cls, path):
        """Read a file; a :class:`FileFormatError` names the line of an XML error."""
        builder, lines = TreeBuilder(), {}
        parser = expat.ParserCreate()
        parser.buffer_text = True

        def start(tag, attributes):
            # The prefix of the namespace, if any, differs between versions.
            tag = tag.rpartition(":")[2]
            lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

        parser.StartElementHandler = start
        parser.EndElementHandler = lambda tag: builder.end(tag.rpartition(":")[2])
        parser.CharacterDataHandler = builder.data
        try:
            with open(path, "rb") as file:
                parser.ParseFile(file)
        except (LookupError, ValueError) as error:
            raise FileFormatError(f"the XML is damaged: {error}", path, 1) from error
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise FileFormatError(
                f"the XML is damaged or truncated: {reason}", path, error.lineno
            ) from error
        return cls(path, builder.close(), lines)

    def error(self, message):
        """Return an error with `message` and the line of this element."""
        return FileFormatError(message, self.path, self._lines[self.element])

    def find(self, name):
        """Return the part under the path of tags `name`, or None."""
        element = self.element.find(name)
        return None if element is None else Tree(self.path, element, self._lines)

    def all(self, name):
        """Return all parts under the path of tags `name`."""
        return [Tree(self.path, element, self._lines) for element in self.element.findall(name)]

    @property
    def tag(self):
        """Name of the element."""
        return self.element.tag

    def __getitem__(self, name):
        child = self.find(name)
        if child is None:
            raise self.error(f"<{self.element.tag}> lacks the element <{name}>")
        return child

    def text(self, default=None):
        """Return the text of the element without surrounding blanks."""
        return (self.element.text or "").strip() or default

    def flag(self, name):
        """Return whether the element `name` exists and is true."""
        child = self.find(name)
        return child is not None and child.logical()

    def logical(self):
        """Return the logical in the element, in any form that Fortran or XML writes."""
        word = self.text("").strip(".").lower()
        if word not in LOGICALS:
            raise self.error(f"<{self.element.tag}> must be true or false, got {self.text()!r}")
        return LOGICALS[word]

    def numbers(self, shape):
        """Return the numbers in the element as an array of `shape` (None: any length)."""
        words = (self.element.text or "").split()
        try:
            if any("_" in word for word in words):  # Python would accept it as a separator
                raise ValueError
            try:
                values = np.array(words, dtype=float)
            except ValueError:
                # Fortran writes 1.0D+00, and 1.0-101 without a letter.
                values = np.array([to_float(word) for word in words])
        except ValueError as error:
            raise self.error(f"<{self.element.tag}> must only hold numbers") from error
        expected = None if None in shape else int(np.prod(shape))
        if expected not in (None, values.size) or not np.isfinite(values).all():
            raise self.error(
                f"<{self.element.tag}> must hold {expected or 'any number of'} finite numbers, "
                f"got {values.size}"
            )
        return values if expected is None else values.reshape(shape)

    def number(self):
        """Return the single number in the element."""
        return float(self.numbers((1,))[0])

    def integer(self):
        """Return the single integer in the element."""
        number = self.number()
        if number != int(number):
            raise self.error(f"<{self.element.tag}> must be an integer, got {self.text()!r}")
        return int(number)

    def attribute(self, name, convert=str):
        """Return an attribute of the element, converted by a function if one is given."""
        try:
            return convert(self.element.attrib[name].strip())
        except KeyError:
            raise self.error(f"<{self.element.tag}> lacks the attribute {name!r}") from None
        except ValueError:
            raise self.error(
                f"the attribute {name!r} of <{self.element.tag}> must be a number, got "
                f"{self.element.attrib[name]!r}"
            ) from None
