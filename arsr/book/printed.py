"""`print.html`: all pages in reading order on one, for paper or a PDF, made from the finished pages.

So it says what they say: their articles without scripts, links between them turned into links within the page. Viewers
show their posters; code and records stay folded until asked for. Sphinx's own `singlehtml` leaves links within tables
and outputs as they were, and gives equal headings of several chapters one identifier.
"""

import re
from functools import partial
from html import escape, unescape
from pathlib import Path
from urllib.parse import urljoin

from arsr.book.filling import fill

# a comment, a script or style with its text, or any other start tag; quotes hold a > back after = alone
_MARKUP = re.compile(
    r"""<!--.*?-->|<(?P<name>(?P<raw>script|style)(?=[\s/>])|[a-z][^\s/>]*+)"""
    r"""(?P<how>(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+)>(?(raw)(?P<text>.*?)</(?P=raw)\s*>)""",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""([^\s=/>"']+)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""")
_HEAD = re.compile(r'<section[^>]*? id="([^"]*)"|<h2[^>]*>(.*?)</h2>', re.DOTALL)


def order(includes: dict[str, list[str]], name: str) -> list[str]:
    """A page and those below it, in reading order. includes: a page: those in its table of contents."""
    return [name, *(page for child in includes.get(name, []) for page in order(includes, child))]


def join(folder: Path, names: list[str], title: str) -> str:
    """The pages folder/NAME.html as one HTML page that lies in `folder`: a table of contents, then their articles."""
    styles, scripts, pages = {}, {}, []
    for name in names:
        text = (folder / f"{name}.html").read_text(encoding="utf-8")
        for tag in (tag for tag in _MARKUP.finditer(text) if tag["name"] in ("link", "script")):
            how = _attributes(tag["how"])
            if how.get("rel") == "stylesheet":
                styles[urljoin(name, how["href"])] = None
            elif "mathjax" in how.get("src", "") or "window.MathJax" in (tag["text"] or ""):  # mathematics alone stays
                scripts[_moved(name, names, tag)] = None
        article = text[text.index(">", text.index("<article")) + 1 : text.rindex("</article>")]
        article = re.sub(r'<script\b.*?</script>|<a class="headerlink".*?</a>', "", article, flags=re.DOTALL)
        article = article.replace('<details class="records" open>', '<details class="records">')  # a hundred pages
        body, heads, section = _MARKUP.sub(partial(_moved, name, names), article), [], ""
        for opened, head in _HEAD.findall(body):
            section = opened or section
            heads += [(section, head)] if head else []
        head = re.search(r"<h1[^>]*>(.*?)</h1>", body, re.DOTALL)[1]
        pages.append({"anchor": _anchor(name), "title": head, "heads": heads, "body": body})
    return fill("print", title=title, styles=[*styles, "_static/print.css"], scripts=scripts, pages=pages)


def _attributes(how: str) -> dict[str, str]:
    """The attributes of a tag that have a value."""
    return {name.lower(): unescape(value.strip("\"'")) for name, value in _ATTRIBUTE.findall(how)}


def _moved(name: str, names: list[str], tag: re.Match) -> str:
    """A tag of the page `name` as it is on the joint page: its identifier, and what it links to or loads."""

    def moved(found: re.Match) -> str:
        key, value = found[1].lower(), unescape(found[2].strip("\"'"))
        if key == "id":
            value = _anchor(name, value)
        elif key == "src":
            value = urljoin(name, value)
        elif key == "href" and tag["name"] == "a":
            path, hash_, fragment = urljoin(f"{name}.html", value).partition("#")
            inside = path.removesuffix(".html")
            value = f"#{_anchor(inside, fragment)}" if inside in names else path + hash_ + fragment
        else:
            return found[0]
        return f'{found[1]}="{escape(value)}"'

    return tag[0].replace(how := tag["how"] or "", _ATTRIBUTE.sub(moved, how), 1)


def _anchor(name: str, identifier: str = "") -> str:
    """Of a page, or of what it calls `identifier`: pages share identifiers, such as those of equal headings."""
    return name.rpartition("/")[2] + (f"--{identifier}" if identifier else "")
