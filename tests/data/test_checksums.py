"""Checksums detect every change, and do not depend on how data arrive."""

import numpy as np
import pytest

from skldos.data import checksums
from skldos.data.checksums import Checksums, checksum, parse_trailer


@pytest.mark.parametrize("n_bytes", [1, 7, 8, 100, 4096])
def test_every_bit_counts(n_bytes, rng):
    data = rng.integers(0, 256, n_bytes, dtype=np.uint8)
    expected = checksum(data)
    for i in rng.choice(8 * n_bytes, min(8 * n_bytes, 200), replace=False):
        flipped = data.copy()
        flipped[i // 8] ^= 1 << (i % 8)
        assert checksum(flipped) != expected


def test_order_counts(rng):
    data = rng.integers(0, 256, 4096, dtype=np.uint8)
    swapped = np.concatenate([data[2048:], data[:2048]])
    assert checksum(swapped) != checksum(data)
    assert checksum(data[::-1].copy()) != checksum(data)


def test_the_factors_are_those_of_files_written_before():
    # Were they drawn anew, every file of an earlier version would count as damaged.
    assert checksum(np.arange(1, 25, dtype=np.uint8)) == 3556069637425023271


@pytest.mark.parametrize("lengths", [[1] * 30, [30], [7, 16, 7], [15, 15], [0, 17, 0, 13]])
def test_pieces_do_not_show(lengths, monkeypatch, rng):
    monkeypatch.setattr(checksums, "CHUNK_BYTES", 16 * 8)
    array = rng.random(30)
    whole, pieces = Checksums(), Checksums()
    whole.update(array)
    for piece in np.split(array, np.cumsum(lengths)[:-1]):
        pieces.update(piece)
    assert pieces.trailer(b"header", "x") == whole.trailer(b"header", "x")
    sums, label, _ = parse_trailer(whole.trailer(b"header", "x"), b"header", array.nbytes)
    data = array.view(np.uint8)
    assert sums.tolist() == [checksum(data[:128]), checksum(data[128:])]
    assert label == "x"


@pytest.mark.parametrize("n", [0, 1, 10, 2 * checksums.CHUNK_BYTES // 8])
def test_a_label_may_be_empty(n):
    sums = Checksums()
    sums.update(np.arange(float(n)))
    found, label, _ = parse_trailer(sums.trailer(b"header", ""), b"header", 8 * n)
    assert (len(found), label) == (-(-8 * n // checksums.CHUNK_BYTES), "")


def test_any_change_of_a_trailer_is_noticed():
    sums = Checksums()
    sums.update(np.arange(10.0))
    trailer = sums.trailer(b"header", "label")
    _, _, digest = parse_trailer(trailer, b"header", 80)
    assert digest != parse_trailer(sums.trailer(b"header", "other"), b"header", 80)[2]
    for i in range(len(trailer)):
        wrong = bytearray(trailer)
        wrong[i] ^= 4
        with pytest.raises(ValueError, match="list of checksums"):
            parse_trailer(bytes(wrong), b"header", 80)
        with pytest.raises(ValueError, match="list of checksums"):
            parse_trailer(trailer[:i], b"header", 80)
    for header, n_bytes in ((b"another", 80), (b"header", checksums.CHUNK_BYTES * 9)):
        with pytest.raises(ValueError, match="damaged"):
            parse_trailer(trailer, header, n_bytes)
