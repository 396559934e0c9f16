"""Pages of the repository that lie outside ``docs/``, as pages of the site.

The benchmarks, ``CONTRIBUTING.md`` and ``CHANGELOG.md`` are copied into ``docs/`` before Sphinx
reads it. Links are written as a forge shows them, relative to the file in the repository; here they
become links to the pages of the site: to a copy, or to the gallery page of an example.
"""

import os
import re
from pathlib import Path

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent

LINK = re.compile(r"(\]\(|^\[[^]]+\]: )([^)#\s]+)", re.MULTILINE)
#: Single pages, and where their copies lie in ``docs/``.
SINGLE = {
    ROOT / "CONTRIBUTING.md": DOCS / "repository" / "contributing.md",
    ROOT / "CHANGELOG.md": DOCS / "repository" / "changes.md",
}
NAVIGATION = "\n```{{toctree}}\n:hidden:\n:glob:\n\n{}\n```\n"


def copies():
    """Return where the copy of each page lies."""
    pages = dict(SINGLE)
    for pattern in ("*.md", "[a-z]*/*.md", "[a-z]*/results/*.md"):
        for page in sorted((ROOT / "benchmarks").glob(pattern)):
            copy = DOCS / page.relative_to(ROOT)
            pages[page] = copy.with_name("index.md") if page.name == "README.md" else copy
    return pages


def rewrite(text, source, page, pages):
    """Turn the links of `source` into links of `page`, its place in the site."""

    def target(match):
        link = match.group(2)
        path = Path(os.path.normpath(source.parent / link))
        if ":" in link or not path.exists():
            return match.group()
        if path.parent == DOCS / "examples" and path.suffix == ".py":
            path = DOCS / "gallery" / f"{path.stem}.rst"
        elif path == DOCS / "examples":
            path = DOCS / "gallery" / "index.rst"
        path = pages.get(path, path)
        return match.group(1) + Path(os.path.relpath(path, page.parent)).as_posix()

    return LINK.sub(target, text)


def navigation(page):
    """Return the hidden table of contents that a copied page needs below its text."""
    if page.name != "README.md":
        return ""
    below = ["*/README.md"] if page.parent.name == "benchmarks" else ["details.md", "results/*.md"]
    found = [pattern for pattern in below if any(page.parent.glob(pattern))]
    entries = [pattern.replace("README", "index").removesuffix(".md") for pattern in found]
    return NAVIGATION.format("\n".join(entries)) if entries else ""


def copy_pages(app):
    """Write the copies, leaving those that have not changed as they are."""
    pages = copies()
    for page, copy in pages.items():
        text = rewrite(page.read_text(encoding="utf-8"), page, copy, pages) + navigation(page)
        if not copy.exists() or copy.read_text(encoding="utf-8") != text:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, encoding="utf-8")


def rewrite_source(app, name, source):
    """Rewrite the links of a page that Sphinx is about to read."""
    page = Path(app.env.doc2path(name))
    pages = copies()
    if page.suffix == ".md" and page not in pages.values():
        source[0] = rewrite(source[0], page, page, pages)


def setup(app):
    """Register both steps."""
    app.connect("builder-inited", copy_pages)
    app.connect("source-read", rewrite_source)
    return {"parallel_read_safe": True}
