import numba
import pytest

from skldos.geometry._compiled import compiled


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
    assert compiled(double)(21) == 42
    assert numba.njit is without_disk


def test_division_by_zero_follows_ieee():
    @compiled
    def inverse(x):
        return 1 / x

    assert inverse(0.0) == pytest.approx(float("inf"))
