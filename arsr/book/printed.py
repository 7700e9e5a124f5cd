"""`print.html`: all pages in reading order on one, for paper or a PDF, made from the finished pages.

So it says what they say: their articles without scripts, links between them turned into links within the page. Viewers
show their posters; code and records stay folded until asked for. Sphinx's own `singlehtml` leaves links within tables
and outputs as they were, and gives equal headings of several chapters one identifier.
"""

from pathlib import Path
from urllib.parse import urljoin

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
        styles |= {urljoin(name, tag["href"]): None for tag in soup.select("link[rel=stylesheet]")}
        for tag in soup.find_all("script"):  # mathematics alone stays
            if "mathjax" in tag.get("src", "") or "window.MathJax" in (tag.string or ""):
                tag.attrs |= {"src": urljoin(name, tag["src"])} if "src" in tag.attrs else {}
                scripts[str(tag)] = None
            else:
                tag.decompose()
        article = soup.find("article")
        for tag in article.select("a.headerlink"):
            tag.decompose()
        for tag in article.select("details.records[open]"):  # a hundred pages on paper
            del tag["open"]
        for tag in article.find_all(id=True):
            tag["id"] = _anchor(name, tag["id"])
        for tag in article.find_all("img"):
            tag["src"] = urljoin(name, tag["src"])
        for tag in article.find_all("a", href=True):
            path, hash_, fragment = urljoin(f"{name}.html", tag["href"]).partition("#")
            inside = path.removesuffix(".html")
            tag["href"] = f"#{_anchor(inside, fragment)}" if inside in names else path + hash_ + fragment
        heads = [(tag.find_parent("section")["id"], tag.decode_contents()) for tag in article.find_all("h2")]
        head = article.find("h1").decode_contents()
        pages.append({"anchor": _anchor(name), "title": head, "heads": heads, "body": article.decode_contents()})
    return fill("print", title=title, styles=[*styles, "_static/print.css"], scripts=scripts, pages=pages)


def _anchor(name: str, identifier: str = "") -> str:
    """Of a page, or of what it calls `identifier`: pages share identifiers, such as those of equal headings."""
    return name.rpartition("/")[2] + (f"--{identifier}" if identifier else "")
