"""Search without a network: the sections of all pages as one script, which `assets/search.js` ranks and quotes.

Sphinx's own search fetches each page that it quotes, which file:// forbids, and ranks a word in a heading as any other.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from docutils import nodes

from arsr_core.files import write_atomically

SPHINX = re.compile(r'<script src="(?:_static/(?:searchtools|language_data)|searchindex)\.js[^>]*></script>\s*')
OURS = '<script src="searchtext.js"></script><script src="_static/search.js"></script>'
UNREAD = (
    nodes.section,
    nodes.raw,
    nodes.comment,
    nodes.image,
    nodes.target,
    nodes.pending,
    nodes.title,
    nodes.math,
    nodes.math_block,
)


def sections(page: nodes.document) -> list[tuple[str, str, str]]:
    """(anchor, heading, text) of each section, without that of the sections in it: prose, tables, then code."""

    def text(node: nodes.Node, code: bool = False) -> str:
        if isinstance(node, UNREAD) or (isinstance(node, nodes.literal_block) and not code):
            return ""
        if isinstance(node, nodes.Text):
            return str(node)
        inline = isinstance(node, nodes.TextElement)
        return ("" if inline else " ").join(text(child, code) for child in node.children)

    found = []
    for section in page.findall(nodes.section):
        heading = next((child.astext() for child in section.children if isinstance(child, nodes.title)), "")
        blocks = section.findall(nodes.literal_block)
        code = (text(block, True) for block in blocks if next(_above(block)) is section)
        own = " ".join([*map(text, section.children), *code])
        found.append((section["ids"][0], heading, " ".join(own.split())))
    return found


def _above(node: nodes.Node) -> Iterator[nodes.section]:
    """The sections around a node, from the inside."""
    while node.parent:
        node = node.parent
        if isinstance(node, nodes.section):
            yield node


def write(folder: Path, env: Any, names: Iterable[str]) -> None:
    """Write searchtext.js, and make search.html use it."""
    pages = [[f"{name}.html", env.titles[name].astext(), sections(env.get_doctree(name))] for name in names]
    text = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    write_atomically(folder / "searchtext.js", f"window.ARSR_PAGES={text};\n")
    page = folder / "search.html"
    text = SPHINX.sub("", page.read_text(encoding="utf-8"))
    write_atomically(page, text if OURS in text else text.replace("</head>", f"{OURS}</head>", 1))
