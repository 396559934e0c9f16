"""How Sphinx builds the documentation: ``sphinx-build docs docs/_build``."""

import re
import sys
from pathlib import Path

from skorch import NeuralNet

import skldos

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "skldos"
author = copyright = "The skldos developers"  # noqa: A001 (Sphinx's name)
version = release = skldos.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "api_links",
    "repository_pages",
]
exclude_patterns = ["_build", "_templates", "examples", "gallery/*.py", "gallery/*.ipynb"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"

# Cross-references into skldos must lead somewhere, but not those to types of other packages, nor to
# attributes, which are listed on the page of their class.
nitpicky = True
nitpick_ignore_regex = [(r"py:attr", r".*"), (r"py:.*", r"(?!skldos\b)\w+\..*")]

# The inventories list the few names that are mentioned, so that the site builds without network.
_ELSEWHERE = {
    "ase": "https://ase-lib.org",
    "matplotlib": "https://matplotlib.org/stable",
    "numpy": "https://numpy.org/doc/stable",
    "optuna": "https://optuna.readthedocs.io/en/stable",
    "pandas": "https://pandas.pydata.org/docs",
    "python": "https://docs.python.org/3",
    "skorch": "https://skorch.readthedocs.io/en/stable",
    "sklearn": "https://scikit-learn.org/stable",
    "torch": "https://docs.pytorch.org/docs/stable",
}
intersphinx_mapping = {
    name: (address, f"inventories/{name}.txt") for name, address in _ELSEWHERE.items()
}


autosummary_generate = True
autosummary_imported_members = True
autodoc_preserve_defaults = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
# Types of parameters that become links, and words that do not: the inventories hold classes alone.
_TYPES = ("ase.Atoms", "matplotlib.axes.Axes", "matplotlib.figure.Figure", "pandas.DataFrame")
_WORDS = (
    "array-like",
    "array_like",
    "bool",
    "boolean",
    "callable",
    "generator",
    "iterable",
    "scalar",
    "sequence",
    "None",
    "True",
    "False",
)
numpydoc_xref_aliases = (
    {name: f":class:`{name}`" for name in _TYPES}
    | {word: word for word in _WORDS}
    | {name: f"skldos.{name}" for name in skldos.__all__}
    | {"Blocks": "skldos.data.Blocks", "Pseudopotential": "skldos.physics.Pseudopotential"}
)

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "plot_",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("skldos",),
    "reference_url": {"skldos": None},
    "capture_repr": ("_repr_html_",),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_memory": False,
    "remove_config_comments": True,
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "skldos"
html_static_path = ["_static"]
html_css_files = ["skldos.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": [], "get_started": []}
html_theme_options = {
    "logo": {"text": "skldos"},
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "show_prev_next": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_version_warning_banner": False,
}


# Methods of skorch that its users call; those that skorch calls are not documented.
_HOOKS = {*dir(NeuralNet)} - {"fit", "partial_fit", "predict", "save_params", "load_params"}


def skip_inherited(app, what, name, obj, skip, options):
    """Leave members of a class out that are written in another package, or for it."""
    written = getattr(obj, "fget", None) or getattr(obj, "__func__", obj)
    own = getattr(written, "__module__", None) or ""
    foreign = not own.startswith("skldos")
    hook = own.startswith("skldos.regressors") and name in _HOOKS
    return skip or (what in ("class", "exception") and (foreign or hook)) or None


def resolve_home(app, env, node, contnode):
    """Lead ``skldos.regressors.LDOSRegressor``, or ``LDOSRegressor``, to its one page."""
    target, domain = node.get("reftarget", ""), env.get_domain("py")
    in_module = target.startswith("skldos.")
    name = target.split(".", 2)[-1] if in_module else target
    if name.partition(".")[0] in skldos.__all__:
        found = [f"skldos.{name}"]
    else:
        end = re.compile(rf"skldos\..*\b{re.escape(name)}")
        found = [n for n, o in domain.objects.items() if end.fullmatch(n) and not o.aliased]
    if len(found) != 1:
        return None
    options = (env, node["refdoc"], app.builder, node["reftype"], found[0], node, contnode)
    return domain.resolve_xref(*options)


def setup(app):
    """Connect what decides on members and cross-references."""
    app.connect("autodoc-skip-member", skip_inherited)
    app.connect("missing-reference", resolve_home)
