"""An XML tree that remembers the line of every element, for errors that name it."""

from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

import numpy as np

from skldos.exceptions import FileFormatError


class Tree:
    """The elements of an XML file under one of them, with access that reports file and line.

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
        """Read a file; a :class:`FileFormatError` names the line where it is not XML."""
        builder, lines = TreeBuilder(), {}
        parser = expat.ParserCreate()
        parser.buffer_text = True

        def start(tag, attributes):
            lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

        parser.StartElementHandler = start
        parser.EndElementHandler = builder.end
        parser.CharacterDataHandler = builder.data
        try:
            with open(path, "rb") as file:
                parser.ParseFile(file)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise FileFormatError(
                f"the XML is damaged or truncated: {reason}", path, error.lineno
            ) from error
        return cls(path, builder.close(), lines)

    def error(self, message):
        """Return the error that `message` is wrong with this element."""
        return FileFormatError(message, self.path, self._lines[self.element])

    def find(self, name):
        """Return the part under the path of tags `name`, or None."""
        found = self.element.find(name)
        return None if found is None else Tree(self.path, found, self._lines)

    def all(self, name):
        """Return all parts under the path of tags `name`."""
        return [Tree(self.path, found, self._lines) for found in self.element.findall(name)]

    def __getitem__(self, name):
        found = self.find(name)
        if found is None:
            raise self.error(f"<{self.element.tag}> lacks the element <{name}>")
        return found

    def text(self, default=None):
        """Return the text of the element without surrounding blanks."""
        return (self.element.text or "").strip() or default

    def flag(self, name):
        """Return whether the element `name` is there and true."""
        found = self.find(name)
        return found is not None and found.text() in ("true", ".true.", "T", "1")

    def numbers(self, shape):
        """Return the numbers in the element as an array of `shape`, None for any length."""
        try:
            values = np.array((self.element.text or "").split(), dtype=float)
        except ValueError as error:
            raise self.error(f"<{self.element.tag}> holds something else than numbers") from error
        expected = None if None in shape else int(np.prod(shape))
        if expected not in (None, values.size) or not np.isfinite(values).all():
            raise self.error(
                f"<{self.element.tag}> must hold {expected or 'any number of'} finite numbers, "
                f"got {values.size}"
            )
        return values if expected is None else values.reshape(shape)

    def number(self):
        """Return the one number in the element."""
        return float(self.numbers((1,))[0])

    def attribute(self, name, convert=str):
        """Return an attribute of the element."""
        try:
            return convert(self.element.attrib[name])
        except KeyError:
            raise self.error(f"<{self.element.tag}> lacks the attribute {name!r}") from None
        except ValueError:
            raise self.error(
                f"the attribute {name!r} of <{self.element.tag}> must be a number, got "
                f"{self.element.attrib[name]!r}"
            ) from None
