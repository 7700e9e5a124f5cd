"""Sphinx extension of the book: `print.html`, all pages in reading order on one, for paper or a PDF.

It is made from the finished pages, so it says what they say: their articles without scripts, links between them turned
into links within the page. Viewers show their posters; code and records stay folded until asked for.
"""

from __future__ import annotations

import html
import posixpath
from collections.abc import Iterator
from pathlib import Path

from arsr_core import __version__
from arsr_core.files import write_atomically

NAME = "print.html"
HINT = (
    'Print this page, or print it to a PDF. <label><input type="checkbox" '
    "onchange=\"document.querySelectorAll('details.hide').forEach(d => d.open = this.checked)\"> with code</label>"
)
PAGE = """<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
{head}</head>
<body><main class="bd-content"><article class="bd-article">
<p class="title">{title}</p>
<p class="hint">{hint}</p>
<nav aria-label="Contents"><ol>{contents}</ol></nav>
{articles}
</article></main></body>
</html>
"""


def setup(app):
    app.connect("build-finished", _write, priority=400)  # before `pages` looks for addresses outside
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}


def _write(app, exception):
    if exception is None and app.builder.name == "html":
        names = [*_below(app.env.toctree_includes, app.config.root_doc)]
        write_atomically(Path(app.outdir) / NAME, join(Path(app.outdir), names, app.config.html_title))


def _below(includes: dict[str, list[str]], name: str) -> Iterator[str]:
    """A page and those below it, in reading order."""
    yield name
    for child in includes.get(name, []):
        yield from _below(includes, child)


def join(folder: Path, names: list[str], title: str) -> str:
    """The pages folder/NAME.html as one HTML page that lies in `folder`: a table of contents, then their articles."""
    from bs4 import BeautifulSoup

    styles, mathematics, contents, articles = {}, {}, [], []
    for name in names:
        soup = BeautifulSoup((folder / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        base = posixpath.dirname(name)
        for tag in soup.find_all("link", rel="stylesheet"):
            styles[_local(tag["href"], base)] = None
        for tag in soup.find_all("script"):
            if "mathjax" in tag.get("src", "") or "window.MathJax" in (tag.string or ""):
                if "src" in tag.attrs:
                    tag["src"] = _local(tag["src"], base)
                mathematics[str(tag)] = None
            else:
                tag.decompose()
        article = soup.find("article")
        for tag in article.select("a.headerlink"):
            tag.decompose()
        for tag in article.select("details.records[open]"):  # a hundred pages on paper
            del tag["open"]
        for tag in article.find_all(True):
            _move(tag, name, names)
        contents.append(_entries(article, _anchor(name)))
        articles.append(f'<section id="{_anchor(name)}">{article.decode_contents()}</section>')
    links = "".join(f'<link rel="stylesheet" href="{html.escape(href)}">' for href in [*styles, "_static/print.css"])
    return PAGE.format(
        title=html.escape(title),
        head=links + "".join(mathematics),
        hint=HINT,
        contents="".join(contents),
        articles="\n".join(articles),
    )


def _anchor(name: str, identifier: str = "") -> str:
    """Of a page, or of what it calls `identifier`: pages share identifiers, such as those of equal headings."""
    return posixpath.basename(name) + (f"--{identifier}" if identifier else "")


def _local(address: str, base: str) -> str:
    """An address as seen from the top folder."""
    return posixpath.normpath(posixpath.join(base, address))


def _move(tag, name: str, names: list[str]) -> None:
    """Let the links, pictures and identifiers of a page's element fit the joint page."""
    if "id" in tag.attrs:
        tag["id"] = _anchor(name, tag["id"])
    if tag.name == "img" and not tag["src"].startswith("data:"):
        tag["src"] = _local(tag["src"], posixpath.dirname(name))
    address = tag.get("href", "") if tag.name == "a" else ""
    if address and "//" not in address and not address.startswith("mailto:"):
        path, _, fragment = address.partition("#")
        path = _local(path, posixpath.dirname(name)) if path else f"{name}.html"
        inside = path.removesuffix(".html") in names
        tag["href"] = (
            f"#{_anchor(path.removesuffix('.html'), fragment)}" if inside else path + f"#{fragment}" * bool(fragment)
        )


def _entries(article, anchor: str) -> str:
    """The page's headings of two levels, as an item of the table of contents."""
    heads = ((tag.find_parent("section")["id"], tag.decode_contents()) for tag in article.find_all("h2"))
    inner = "".join(f'<li><a href="#{identifier}">{text}</a></li>' for identifier, text in heads)
    title = article.find("h1").decode_contents()
    return f'<li><a href="#{anchor}">{title}</a>' + (f"<ol>{inner}</ol>" if inner else "") + "</li>"
