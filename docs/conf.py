"""How Sphinx builds the documentation: ``sphinx-build docs docs/_build``."""

import skldos

project = "skldos"
author = copyright = "The skldos developers"  # noqa: A001 (Sphinx's name)
version = release = skldos.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples/README.md", "examples/*.py"]
autosummary_generate = False
numpydoc_show_class_members = False
html_theme = "alabaster"
# Pages link to files of the repository, which Markdown on a forge shows and Sphinx does not know.
suppress_warnings = ["myst.xref_missing"]
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "examples/output",
    "filename_pattern": "plot_",
    "download_all_examples": False,
    "write_computation_times": False,
}
