"""The rule on the sphere in four dimensions and the harmonics that it integrates."""

import numpy as np
import pytest
from scipy.special import eval_chebyu

from skldos.descriptors.bispectrum.cubature import fibre_angles, fourfold_directions, sphere_rule
from skldos.descriptors.bispectrum.harmonics import sphere_harmonics
from skldos.descriptors.bispectrum.tables import CACHE_LINE, kernel_tables


def random_unit_vectors(n):
    g = np.random.default_rng(0).normal(size=(n, 4))
    return g / np.linalg.norm(g, axis=1)[:, None]


@pytest.mark.parametrize("j", [0, 1, 2, 7, 15])
def test_harmonics_obey_the_addition_theorem(j):
    g = random_unit_vectors(20)
    Z = sphere_harmonics(g, j)
    assert Z.shape == ((j + 1) ** 2, 20)
    assert np.allclose(Z.T @ Z, eval_chebyu(j, g @ g.T), atol=1e-11)


@pytest.mark.parametrize("degree", [0, 3, 7, 12, 15, 18])
def test_rule_makes_harmonics_orthogonal(degree):
    nodes, weights = sphere_rule(degree)
    assert weights.sum() == pytest.approx(1, rel=1e-13)
    assert np.allclose(np.linalg.norm(nodes, axis=1), 1, atol=1e-14)
    for j in range(degree + 1):
        for i in range(j % 2, min(j, 2 * degree - j) + 1, 2):
            overlap = sphere_harmonics(nodes, j) * weights @ sphere_harmonics(nodes, i).T
            expected = np.eye(len(overlap)) / (j + 1) if i == j else 0
            assert np.abs(overlap - expected).max() < 1e-13


def test_rule_is_not_exact_much_beyond_its_degree():
    nodes, weights = sphere_rule(3)
    overlap = sphere_harmonics(nodes, 4) * weights @ sphere_harmonics(nodes, 4).T
    assert np.abs(overlap - np.eye(25) / 5).max() > 1e-2


@pytest.mark.parametrize("degree", range(1, 20))
def test_every_other_fibre_angle_is_equispaced_too(degree):
    gamma = fibre_angles(degree)
    n = len(gamma)
    assert 2 * n > degree
    for some in ((-1.0) ** np.arange(n) * gamma, -((-1.0) ** np.arange(n)) * gamma):
        means = [np.exp(1j * m * some).mean() for m in range(1, n)]
        assert np.abs(means).max(initial=0) < 1e-14


@pytest.mark.parametrize(("degree", "n"), [(12, 16), (15, 23)])
def test_rule_folds_to_few_directions_of_positive_weight(degree, n):
    theta, phi, weights = fourfold_directions(degree)
    assert len(theta) == len(phi) == len(weights) == n
    assert weights.min() > 0
    assert phi.min() >= 0
    assert phi.max() < np.pi / 2


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_tables_are_aligned_and_of_one_precision(dtype):
    tables = kernel_tables(6, dtype)
    assert {t.dtype.name for t in tables} == {dtype, "int64"}
    assert all(t.ctypes.data % CACHE_LINE == 0 for t in tables)
    assert kernel_tables(6, dtype) is tables
