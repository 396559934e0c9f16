"""Diagrams of estimators link to the documentation, if the installed package names its address."""

from email.message import Message
from importlib.metadata import PackageNotFoundError

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import make_pipeline

import skldos
from skldos import links

PUBLIC = [getattr(skldos, name) for name in skldos.__all__]
ESTIMATORS = [c for c in PUBLIC if isinstance(c, type) and issubclass(c, BaseEstimator)]


@pytest.fixture
def site(monkeypatch):
    """Return a function that changes what the metadata of the package say."""

    def name(*urls):
        said = Message()
        for url in urls:
            said["Project-URL"] = url
        monkeypatch.setattr(links, "metadata", lambda package: said)

    return name


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_public_estimators_lead_to_their_pages(cls, site):
    estimator = cls.__new__(cls)
    site("Source, https://example.org/code", "Documentation, https://example.org/docs/")
    page = f"https://example.org/docs/generated/skldos.{cls.__name__}.html"
    assert estimator._get_doc_link() == page
    site("Source, https://example.org/code")
    assert estimator._get_doc_link() == ""


def test_there_is_no_link_without_metadata(monkeypatch):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(links, "metadata", missing)
    assert skldos.AtomSOAPTransformer()._get_doc_link() == ""


def test_the_diagram_of_a_pipeline(site):
    class Own(skldos.AtomSOAPTransformer):
        """A class of a user, for which there is no page."""

    site("Documentation, https://example.org")
    model = skldos.models.atoms()
    shown = clone(model)._repr_html_()
    for name in ("AtomSOAPTransformer", "RowWise", "ADOSRegressor", "SiteRidgeCV"):
        assert f'href="https://example.org/generated/skldos.{name}.html"' in shown
    assert "preprocessing.Normalizer.html" in shown
    assert "example.org" not in make_pipeline(Own(r_cut=3.0))._repr_html_()
