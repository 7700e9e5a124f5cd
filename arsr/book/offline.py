"""Pages load nothing from the network: what an element, a style sheet or an inline script would fetch is found."""

import re
from html.parser import HTMLParser
from pathlib import Path

LOADING = ("src", "poster", "background", "data", "href", "xlink:href", "style", "srcset")
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
        loads = _CSS.findall(text) if path.suffix == ".css" else _Loads(text).found
        found += [(str(path.relative_to(folder)), address) for address in loads]
    return found


class _Loads(HTMLParser):
    """What a page would fetch from another host, in `found`."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        link = tag == "a" or values.get("rel") == "canonical"  # leads elsewhere, loads nothing
        refresh = values.get("content", "").lower().partition("url=")[2] if "http-equiv" in values else ""
        loads = [value for name, value in values.items() if name in LOADING and not (link and name.endswith("href"))]
        addresses = [*loads, *values.get("srcset", "").split(","), refresh]
        self.found += [a.strip() for a in addresses if re.match(_HOST, a.strip(), re.IGNORECASE)]
        self.found += _CSS.findall(values.get("style", ""))

    def handle_data(self, data: str) -> None:
        pattern = {"style": _CSS, "script": _SCRIPT}.get(self.cdata_elem)
        self.found += pattern.findall(data) if pattern else []
