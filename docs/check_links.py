"""Check that every link within a built site leads somewhere: ``python docs/check_links.py FOLDER``.

Pages, files and anchors must exist. Addresses elsewhere are not visited, only read: scheme and host
must be there.
"""

import sys
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: What the theme fills in when a page is shown.
BY_SCRIPT = ("", "#")


class Page(HTMLParser):
    """The anchors and the links of a file."""

    def __init__(self, path):
        super().__init__()
        self.path, self.anchors, self.links = path, set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        """Keep what a tag names and what it leads to."""
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag in ("a", "img", "link", "script", "source", "iframe"):
            self.links |= {given[name] for name in ("href", "src") if given.get(name)}


class Site:
    """All pages of a folder."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        paths = sorted(self.folder.rglob("*.html"))
        # The theme leaves a template among its own files.
        self.pages = {path: Page(path) for path in paths if "_static" not in path.parts}

    @cached_property
    def dead(self):
        """Pairs of a page and a link that leads nowhere."""
        return [
            (page.path.relative_to(self.folder), link)
            for page in self.pages.values()
            for link in sorted(page.links.difference(BY_SCRIPT))
            if not self.leads_somewhere(page, link)
        ]

    def leads_somewhere(self, page, link):
        """Return whether a file, and in it the anchor, exists, or an address can be one."""
        address = urlsplit(link)
        if address.scheme in ("http", "https"):
            return "." in address.netloc and " " not in link
        if address.scheme:
            return address.scheme in ("mailto", "data")
        path = (page.path.parent / unquote(address.path)).resolve() if address.path else page.path
        if path.is_dir():
            path = path / "index.html"
        if not path.exists() or not path.is_relative_to(self.folder):
            return False
        if not address.fragment or path not in self.pages:
            return True
        return unquote(address.fragment) in self.pages[path].anchors


def main(folder):
    """Print the dead links; return 1 if there are any, or no pages at all."""
    site = Site(folder)
    for path, link in site.dead:
        print(f"{path}: {link} leads nowhere")
    n_links = sum(len(page.links) for page in site.pages.values())
    print(f"{len(site.pages)} pages, {n_links} links, {len(site.dead)} of them dead")
    return int(bool(site.dead) or not site.pages)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
