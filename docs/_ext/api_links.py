"""Names of the API in code font, on pages of prose, lead to the page of the object."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform

ENTRY = re.compile(r"^   (\w[\w.]+)$", re.MULTILINE)
#: A name, alone or called, such as ``RowWise(StandardScaler())``. Plain words, such as ``predict``,
#: may be those of methods: they need ``skldos.`` before them.
CALL = re.compile(r"(?:skldos\.|(?![a-z]+\b(?!\.)))([\w.]+?)(\(.*\))?")
#: Modules whose names are also written without the module.
SHORT = ("io.", "datasets.", "plotting.")


class LinkNames(SphinxTransform):
    """Make references of names that ``api.md`` lists, outside of the pages of the objects."""

    default_priority = 400

    def apply(self):
        """Replace the names of a page that has been read."""
        page = self.env.docname
        if page.startswith("generated/"):
            return
        listed = ENTRY.findall((Path(self.env.srcdir) / "api.md").read_text(encoding="utf-8"))
        pages = {name.removeprefix(module): name for name in listed for module in ("", *SHORT)}
        for literal in list(self.document.findall(nodes.literal)):
            name = CALL.fullmatch(literal.astext())
            inside = (nodes.reference, nodes.title, pending_xref)
            if name and name[1] in pages and not isinstance(literal.parent, inside):
                target = {"refdomain": "py", "reftype": "obj", "refdoc": page, "refexplicit": True}
                link = pending_xref("", reftarget=f"skldos.{pages[name[1]]}", **target)
                literal.replace_self(link)
                link += literal


def setup(app):
    """Register the links."""
    app.add_transform(LinkNames)
    return {"parallel_read_safe": True}
