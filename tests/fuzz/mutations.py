"""Random damage to files."""

import re

import numpy as np

#: What may stand where a number should.
NUMBERS = [
    "1e308", "-1e308", "1e400", "-1", "0", "-0.0", "500", "1e30", "1e-308", "nan", "NaN", "inf",
    "-inf", "null", "None", "true", "[]", "{}", '""', "1_0", "0x10", "1" * 400,
    "10000000000000000000000", "2147483648", "-2147483649", "999999999", "1.5", "1,5", "***",
    "1d5", "1e5000", "²", "٣",
]  # fmt: skip
INTEGERS = [0, -1, 1, 2, 2**31 - 1, -(2**31), 10**9, 127, 2**16]
DOUBLES = [np.nan, np.inf, -np.inf, 1e308, -1e308, 1e30, 1e-308, -1.0, 0.0]
NUMBER = re.compile(rb"[-+]?\d+\.?\d*(?:[eEdD][-+]?\d+)?")


def mutate_text(data, rng):
    """Return damaged text and the name of the damage; both as bytes and for bytes."""
    mutations = [_number, _number, _number, _line, _line, _word, *BYTES, _deep]
    change = mutations[rng.integers(len(mutations))]
    return change(data, rng), change.__name__.strip("_")


def mutate_binary(data, rng):
    """Return damaged binary data and the name of the damage."""
    mutations = [_integer, _integer, _double, _double, *BYTES]
    change = mutations[rng.integers(len(mutations))]
    return change(data, rng), change.__name__.strip("_")


def _span(data, rng, longest=200):
    start = int(rng.integers(len(data)))
    return start, min(len(data), start + int(rng.integers(1, longest)))


def _flip(data, rng):
    at = int(rng.integers(len(data)))
    return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]


def _cut(data, rng):
    return data[: int(rng.integers(len(data)))]


def _drop(data, rng):
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def _repeat(data, rng):
    start, stop = _span(data, rng)
    return data[:stop] + data[start:]


def _zero(data, rng):
    start, stop = _span(data, rng)
    return data[:start] + bytes(stop - start) + data[stop:]


def _noise(data, rng):
    start, stop = _span(data, rng, 20)
    return data[:start] + rng.bytes(stop - start) + data[stop:]


def _longer(data, rng):
    return data + rng.bytes(int(rng.integers(1, 100)))


def _crlf(data, rng):
    return data.replace(b"\n", b"\r\n")


BYTES = [_flip, _cut, _drop, _repeat, _zero, _noise, _longer, _crlf]


def _number(data, rng):
    """Another number, or none, in place of one."""
    found = list(NUMBER.finditer(data))
    if not found:
        return _flip(data, rng)
    old = found[rng.integers(len(found))]
    new = NUMBERS[rng.integers(len(NUMBERS))].encode()
    return data[: old.start()] + new + data[old.end() :]


def _line(data, rng):
    """A line that is missing, twice there or in another place."""
    lines = data.split(b"\n")
    i, j = (int(k) for k in rng.integers(len(lines), size=2))
    kind = rng.integers(3)
    if kind == 0:
        del lines[i]
    elif kind == 1:
        lines.insert(i, lines[i])
    else:
        lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def _word(data, rng):
    """A word in place of another."""
    words = list(re.finditer(rb"[A-Za-z_]+", data))
    if not words:
        return _flip(data, rng)
    old, new = (words[k] for k in rng.integers(len(words), size=2))
    return data[: old.start()] + new[0] + data[old.end() :]


def _deep(data, rng):
    """Endless nesting."""
    at = int(rng.integers(len(data)))
    opening = [b"[", b'{"a":', b"<a>", b"("][rng.integers(4)]
    return data[:at] + opening * 30_000 + data[at:]


def _integer(data, rng):
    at = 4 * int(rng.integers(max(1, len(data) // 4)))
    new = np.int32(INTEGERS[rng.integers(len(INTEGERS))]).tobytes()
    return data[:at] + new + data[at + 4 :]


def _double(data, rng):
    at = 4 * int(rng.integers(max(1, len(data) // 4)))
    new = np.float64(DOUBLES[rng.integers(len(DOUBLES))]).tobytes()
    return data[:at] + new + data[at + 8 :]
