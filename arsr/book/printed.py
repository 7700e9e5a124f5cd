"""`print.html`: all pages in reading order on one, for paper or a PDF, made from the finished pages.

So it says what they say: their articles without scripts, links between them turned into links within the page. Viewers
show their posters; code and records stay folded until asked for. Sphinx's own `singlehtml` leaves links within tables
and outputs as they were, and gives equal headings of several chapters one identifier.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from arsr.book.filling import fill


def order(includes: dict[str, list[str]], name: str) -> list[str]:
    """A page and those below it, in reading order. includes: a page: those in its table of contents."""
    return [name, *(page for child in includes.get(name, []) for page in order(includes, child))]


def join(folder: Path, names: list[str], title: str) -> str:
    """The pages folder/NAME.html as one HTML page that lies in `folder`: a table of contents, then their articles."""
    from bs4 import BeautifulSoup

    styles, scripts, pages = {}, {}, []
    for name in names:
        soup = BeautifulSoup((folder / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        base = posixpath.dirname(name)
        styles |= {_local(tag["href"], base): None for tag in soup.select("link[rel=stylesheet]")}
        for tag in soup.find_all("script"):  # mathematics alone stays
            if "mathjax" in tag.get("src", "") or "window.MathJax" in (tag.string or ""):
                tag.attrs |= {"src": _local(tag["src"], base)} if "src" in tag.attrs else {}
                scripts[str(tag)] = None
            else:
                tag.decompose()
        article = soup.find("article")
        for tag in article.select("a.headerlink"):
            tag.decompose()
        for tag in article.select("details.records[open]"):  # a hundred pages on paper
            del tag["open"]
        for tag in article.find_all(True):
            _move(tag, name, names)
        heads = [(tag.find_parent("section")["id"], tag.decode_contents()) for tag in article.find_all("h2")]
        head = article.find("h1").decode_contents()
        pages.append({"anchor": _anchor(name), "title": head, "heads": heads, "body": article.decode_contents()})
    return fill("print", title=title, styles=[*styles, "_static/print.css"], scripts=scripts, pages=pages)


def _anchor(name: str, identifier: str = "") -> str:
    """Of a page, or of what it calls `identifier`: pages share identifiers, such as those of equal headings."""
    return posixpath.basename(name) + (f"--{identifier}" if identifier else "")


def _local(address: str, base: str) -> str:
    """An address as seen from the top folder."""
    return posixpath.normpath(posixpath.join(base, address))


def _move(tag: Any, name: str, names: list[str]) -> None:
    """Let the links, pictures and identifiers of a page's element fit the joint page."""
    base = posixpath.dirname(name)
    if "id" in tag.attrs:
        tag["id"] = _anchor(name, tag["id"])
    if tag.name == "img" and not tag["src"].startswith("data:"):
        tag["src"] = _local(tag["src"], base)
    address = tag.get("href", "") if tag.name == "a" else ""
    if address and "//" not in address and not address.startswith("mailto:"):
        path, hash_, fragment = address.partition("#")
        path = _local(path, base) if path else f"{name}.html"
        inside = path.removesuffix(".html")
        tag["href"] = f"#{_anchor(inside, fragment)}" if inside in names else path + hash_ + fragment
