"""Pages load nothing from the network: what an element, a style sheet or an inline script would fetch is found."""

import re
from collections.abc import Iterator
from pathlib import Path

LOADING = ("src", "poster", "background", "data", "href", "xlink:href", "style", "srcset", "content")
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


def _page(text: str) -> Iterator[str]:
    from bs4 import BeautifulSoup

    for tag in BeautifulSoup(text, "html.parser").find_all(True):
        link = tag.name == "a" or tag.get("rel") == ["canonical"]  # leads elsewhere, loads nothing
        values = {name: str(tag.get(name, "")) for name in LOADING if not (link and name.endswith("href"))}
        refresh = values.pop("content").lower().partition("url=")[2] if tag.get("http-equiv") else ""
        addresses = [*values.values(), *values["srcset"].split(","), refresh]
        yield from (a.strip() for a in addresses if re.match(_HOST, a.strip(), re.IGNORECASE))
        yield from _CSS.findall(values["style"] + (tag.string or "" if tag.name == "style" else ""))
        yield from _SCRIPT.findall(tag.string or "" if tag.name == "script" else "")
