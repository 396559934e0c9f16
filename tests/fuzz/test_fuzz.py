"""Damaged files of every format end in an error of this package, or in plausible numbers.

A few hundred mutations run by default. ``SKLDOS_FUZZ=400 pytest -s tests/fuzz`` runs 400 for every
format and prints their outcome; ``SKLDOS_FUZZ_SEED`` chooses others, ``SKLDOS_FUZZ_KEEP`` is a
folder for those that fail.
"""

import os
import resource
import signal
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from skldos.exceptions import SkldosError
from tests.fuzz.formats import FORMATS, numbers

COUNT = int(os.environ.get("SKLDOS_FUZZ", "30"))
SEED = int(os.environ.get("SKLDOS_FUZZ_SEED", "0"))
#: Seconds after which a reader counts as hanging, and bytes that it may take beyond what is there.
PATIENCE = 20
MEMORY = 2 * 2**30
#: No number that is accepted is larger: a cube file may be in any units, others are in ours.
ABSURD = {"cube": 1e150}
#: Documented: the temperature of a run whose occupations are of another kind has to be given.
DOCUMENTED = "temperature must be"


class HangError(BaseException):
    """A reader that did not finish."""


def hang(*_):
    raise HangError


@contextmanager
def limits():
    """Limit time and memory within the context."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, old[1]))
    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, old)


def outcome(kind, folder, original):
    """Return the outcome: ``"refused"``, ``"warned"``, ``"same"``, ``"plausible"`` or worse."""
    try:
        with limits():
            found = [np.array(part) for part in numbers(FORMATS[kind].read(folder))]
    except (SkldosError, OSError):
        return "refused"
    except ValueError as error:
        return "refused" if str(error).startswith(DOCUMENTED) else f"raw {error!r}"
    except UserWarning as warning:  # pytest makes errors of warnings
        return "warned" if "Check units and cell" in str(warning) else f"raw {warning!r}"
    except (Exception, HangError) as error:
        return f"raw {error!r}"
    if not all((np.abs(part) <= ABSURD.get(kind, 1e31)).all() for part in found):
        return "absurd"
    same = len(found) == len(original) and all(map(np.array_equal, found, original))
    return "same" if same else "plausible"


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")
@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files(kind, tmp_path):
    if kind == "openPMD":
        pytest.importorskip("h5py")
    files = FORMATS[kind].make(tmp_path)
    original = [np.array(part) for part in numbers(FORMATS[kind].read(tmp_path))]
    assert sum(part.size for part in original) > 5
    results, bad = Counter(), {}
    for i in range(COUNT):
        rng = np.random.default_rng([SEED, list(FORMATS).index(kind), i])
        path = files[rng.integers(len(files))]
        data = path.read_bytes()
        damaged, damage = FORMATS[kind].mutate(data, rng)
        path.write_bytes(damaged)
        result = outcome(kind, tmp_path, original)
        path.write_bytes(data)
        results[result.split()[0]] += 1
        if result.startswith(("raw", "absurd")):
            bad[i] = f"{path.name}, {damage}: {result}"
            if keep := os.environ.get("SKLDOS_FUZZ_KEEP"):
                Path(keep).mkdir(parents=True, exist_ok=True)
                Path(keep, f"{kind}_{i}".replace(" ", "-")).write_bytes(damaged)
    if COUNT > 100:
        print(f"\n{kind:22s}", *(f"{name} {n:4d}" for name, n in sorted(results.items())))
    assert not bad, f"{len(bad)} of {COUNT}: {list(bad.items())[:5]}"
    assert results["refused"] > COUNT / 10
