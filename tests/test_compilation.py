import numba
import numpy as np
import pytest

from skldos.compilation import compiled, inlined


def double(x):
    return 2 * x


def test_compiled_functions_are_cached():
    function = compiled(double)
    assert function(21) == 42
    assert function.stats.cache_path is not None


def test_compiled_functions_work_where_no_cache_can_be_written(monkeypatch):
    njit = numba.njit

    def without_disk(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", without_disk)
    with pytest.warns(UserWarning, match="set the environment variable NUMBA_CACHE_DIR"):
        assert compiled(double)(21) == 42
    assert numba.njit is without_disk


def test_division_by_zero_follows_ieee():
    @compiled
    def inverse(x):
        return 1 / x

    assert inverse(0.0) == pytest.approx(float("inf"))


def test_inlined_functions_refuse_to_allocate():
    @inlined
    def zeros(n):
        return np.zeros(n)

    @compiled
    def first(n):
        return zeros(n)[0]

    with pytest.raises(numba.core.errors.NumbaError):
        first(3)


def test_inlined_functions_can_be_called_from_python():
    half = inlined(lambda x: x / 2)

    @compiled
    def quarter(x):
        return half(half(x))

    assert half(3.0) == 1.5
    assert quarter(3.0) == 0.75


PRINT_DESCRIPTORS = """
import sys
import numba
numba.config.CACHE_DIR = sys.argv[1]
from ase.build import bulk
from skldos import AtomSOAPTransformer
atoms = bulk("Al", cubic=True)
atoms.rattle(0.1, seed=0)
soap = AtomSOAPTransformer(n_jobs=1)
blocks = soap.fit_transform([atoms])
assert abs(blocks[0]).max() > 0
forces, stress = soap.pullback(blocks.snapshots[0], blocks[0])
print((blocks[0].tobytes() + forces.tobytes() + stress.tobytes()).hex())
"""


def test_code_from_the_disk_gives_the_bits_of_code_just_compiled(tmp_path, run_python):
    """A worker reads what its parent compiled; both must compute the same."""
    compiled_now = run_python(PRINT_DESCRIPTORS, tmp_path)
    assert any(tmp_path.rglob("*.nbi"))
    assert run_python(PRINT_DESCRIPTORS, tmp_path) == compiled_now
