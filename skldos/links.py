"""Links from scikit-learn's diagrams of estimators to the documentation of skldos."""

import sys
from importlib.metadata import PackageNotFoundError, metadata


def documentation_address():
    """Return the address that the installed package names as its documentation, or ``""``.

    Returns
    -------
    str
        Without a slash at its end.
    """
    try:
        named = metadata("skldos").get_all("Project-URL") or []
    except PackageNotFoundError:
        named = []
    addresses = dict(line.split(", ", 1) for line in named)
    return addresses.get("Documentation", "").rstrip("/")


class PageLinkMixin:
    """Mixin of estimators: their names in HTML diagrams lead to their pages, if there is a site."""

    @property
    def _doc_link_module(self):
        # scikit-learn makes no link unless this is the package of the class.
        public = type(self).__name__ in sys.modules["skldos"].__all__
        return "skldos" if public and documentation_address() else ""

    @property
    def _doc_link_template(self):
        return documentation_address() + "/generated/skldos.{estimator_name}.html"
