"""Pages load nothing from the network: what an element, a style sheet or an inline script would fetch is found."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

LOADING = ("src", "poster", "background", "data", "href", "xlink:href", "style", "srcset")
# a comment, a script or style with its text, or any other start tag; quotes hold a > back after = alone
MARKUP = re.compile(
    r"""<!--.*?-->|<(?P<name>(?P<raw>script|style)(?=[\s/>])|[a-z][^\s/>]*+)"""
    r"""(?P<how>(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+)>(?(raw)(?P<text>.*?)</(?P=raw)\s*>)""",
    re.IGNORECASE | re.DOTALL,
)
ATTRIBUTE = re.compile(r"""([^\s=/>"']+)\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""")
_HOST = r"(?:(?:https?|wss?):)?//[\w-][\w.-]+"
_CSS = re.compile(rf"""(?:url\(|image-set\(|@import)\s*['"]?\s*({_HOST}[^'")\s]*)""", re.IGNORECASE)
_SCRIPT = re.compile(
    rf"""(?:\b(?:import|from|fetch|open|Worker|WebSocket|EventSource|importScripts|sendBeacon)\s*\(?"""
    rf"""|\.(?:src|href)\s*=)\s*(?:['"][A-Z]+['"]\s*,\s*)?['"`]({_HOST}[^'"`]*)"""
)


def outside_loads(folder: Path) -> list[tuple[str, str]]:
    """(file, address) of what pages, styles and inline scripts below `folder` would fetch from another host.

    Addresses that a script puts together are beyond reading: the browser tests, with the network off, see those.
    Script files come from the theme and MathJax, which reach out only when a reader asks for it.
    """
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".html", ".css", ".svg")):
        text = path.read_text(encoding="utf-8", errors="replace")
        loads = _CSS.findall(text) if path.suffix == ".css" else _page(text)
        found += [(str(path.relative_to(folder)), address) for address in loads]
    return found


def attributes(how: str) -> dict[str, str]:
    """The attributes of a tag that have a value.

    >>> attributes(' hidden CLASS="a b" title=">" href=x.html?a&amp;b')
    {'class': 'a b', 'title': '>', 'href': 'x.html?a&b'}
    """
    return {name.lower(): unescape(value.strip("\"'")) for name, value in ATTRIBUTE.findall(how)}


def _page(text: str) -> Iterator[str]:
    for tag in (tag for tag in MARKUP.finditer(text) if tag["name"] and ("//" in tag[0] or "&" in tag[0])):
        name, found, inner = tag["name"].lower(), attributes(tag["how"]), tag["text"] or ""
        link = name == "a" or found.get("rel") == "canonical"  # leads elsewhere, loads nothing
        refresh = found.get("content", "").lower().partition("url=")[2] if "http-equiv" in found else ""
        loads = [value for key, value in found.items() if key in LOADING and not (link and key.endswith("href"))]
        addresses = [*loads, *found.get("srcset", "").split(","), refresh]
        yield from (a.strip() for a in addresses if re.match(_HOST, a.strip(), re.IGNORECASE))
        yield from _CSS.findall(found.get("style", "") + (inner if name == "style" else ""))
        yield from _SCRIPT.findall(inner if name == "script" else "")
