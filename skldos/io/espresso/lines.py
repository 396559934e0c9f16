"""The lines of a text output, with searches for labels and patterns."""

import re

from skldos.exceptions import FileFormatError
from skldos.io.limits import located

NUMBER = r"[-+]?\d+(?:\.\d*)?(?:[Ee][-+]?\d+)?"
#: Longest line; lines of pw.x are shorter, including file paths.
LONGEST_LINE = 5000


class Lines:
    """The lines of the last run in an output of pw.x.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    torn : bool, default=False
        Whether to accept an incomplete output.

    Raises
    ------
    FileFormatError
        If the file holds no output of pw.x, or an incomplete one.
    """

    def __init__(self, path, torn=False):
        self.path = path
        with open(path, encoding="utf-8", errors="replace") as file:
            texts = file.read().splitlines()
        starts = [i for i, text in enumerate(texts) if "Program PWSCF" in text]
        if not starts:
            raise FileFormatError("not the output of pw.x: 'Program PWSCF' is missing", path)
        self._offset = starts[-1]
        self.texts = texts[self._offset :]
        # Such a line is damaged, and searching it takes a time quadratic in its length.
        longest = max(range(len(self)), key=lambda i: len(self.texts[i]))
        if len(self.texts[longest]) > LONGEST_LINE:
            raise self.error(f"a line has {len(self.texts[longest])} characters", longest)
        if not torn and self.last("JOB DONE") is None:
            raise self.error("the output is truncated: 'JOB DONE' is missing", -1)

    def __len__(self):
        return len(self.texts)

    def error(self, message, index):
        """Return an error with `message` and the line at `index`."""
        index = index % len(self)
        return FileFormatError(message, self.path, self._offset + index + 1)

    def located(self, index):
        """Return a context that turns a ``ValueError`` into one that names the line at `index`."""
        return located(lambda message: self.error(message, index))

    def last(self, needle, before=None, after=0):
        """Return the index of the last line with `needle` in a range of lines, or None."""
        before = len(self) if before is None else before
        return next((i for i in range(before - 1, after - 1, -1) if needle in self.texts[i]), None)

    def match(self, pattern, name, before, after=0):
        """Return the last match of a regular expression, called `name`, in a range of lines."""
        pattern = re.compile(pattern)
        for i in range(before - 1, after - 1, -1):
            match = pattern.search(self.texts[i])
            if match:
                return match
        raise self.error(f"{name!r} with its value is missing before this line", before - 1)

    def number(self, label, before, after=0, convert=float):
        """Return the number after the last `label` in a range of lines."""
        # A blank in the label matches any number of blanks.
        pattern = re.escape(label).replace(r"\ ", r"\s*")
        return convert(self.match(rf"{pattern}\s*({NUMBER})", label, before, after)[1])

    def numbers(self, index, count=None):
        """Return the numbers in a line, which may touch each other as in ``-1.5-2.5``."""
        text = self.texts[index]
        numbers = [float(number) for number in re.findall(NUMBER, text)]
        if "*" in text or "NaN" in text or count not in (None, len(numbers)):
            expected = "numbers" if count is None else f"{count} numbers"
            raise self.error(f"expected {expected}, got {text.strip()!r}", index)
        return numbers
