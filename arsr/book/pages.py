"""Sphinx extension of the book: numbers from records, their badges, and pages that need no network.

{num}`table4.sosr.hmdb51.tsn.spatial:.1f`   53.6 % and the badge, linked to the record
```{records}
```                                         every record, with count, interval and source
"""

import html
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxRole

from arsr import records as results
from arsr.book.chapter import badge
from arsr_core import __version__

RECORDS_PAGE = "book/records"
BINDER = "https://mybinder.org"


def setup(app):
    app.connect("config-inited", _offer_binder)
    app.connect("builder-inited", _load_records)
    app.connect("html-page-context", _drop_scripts_from_outside, priority=900)
    app.connect("html-page-context", _share_viewer_script)
    app.connect("html-page-context", _mend_bibliography)
    app.connect("html-page-context", _launch_text_notebooks, priority=900)
    app.connect("build-finished", _fail_if_online)
    app.add_role("num", Number())
    app.add_directive("records", Records)
    app.setup_extension("arsr.book.verdicts")
    app.setup_extension("arsr.book.appendix")
    app.setup_extension("arsr.book.printed")
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}


def format_value(record: results.Record, spec: str = "", interval: bool = False) -> str:
    """The value with its unit, e.g. `53.59 %`, and its interval if asked for; default precision: two decimals."""
    value, low, high = (
        None if v is None else format(v, spec or ".2f").replace("-", "\N{MINUS SIGN}")
        for v in (record.value, record.low, record.high)
    )
    text = f"{value}\N{NO-BREAK SPACE}{record.unit}".rstrip()
    space = "\N{NO-BREAK SPACE}"  # in a narrow column the interval stands in a line of its own
    return f"{text} ({low}{space}to{space}{high})" if interval else text


def anchor(key: str) -> str:
    """The record's anchor on the records page."""
    return f"record-{key}"


class Number(SphinxRole):
    """{num}`key:format interval`: the record's value and unit, its badge, and a link to where it comes from."""

    def run(self):
        text, _, option = self.text.partition(" ")
        key, _, spec = text.partition(":")
        record, trouble = self.env.arsr_records.get(key), None
        if record is None:
            trouble = f"unknown record {key!r} in a num role; did you mean {_nearest(key, self.env.arsr_records)}?"
        elif option not in ("", "interval"):
            trouble = f"num role {self.text!r}: unknown option {option!r}; the one option is 'interval'"
        elif option and record.low is None:
            trouble = f"num role {self.text!r}: this record has no interval"
        else:
            try:
                value = format_value(record, spec, option == "interval")
            except ValueError as error:
                trouble = f"num role {self.text!r}: {error}; expected a format such as .2f"
        if trouble:
            message = self.inliner.reporter.error(trouble, line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        page = "../" * self.env.docname.count("/") + RECORDS_PAGE + ".html"
        link = nodes.reference("", "", refuri=f"{page}#{anchor(key)}", internal=True)
        link += [nodes.Text(value), nodes.raw("", badge(record), format="html")]
        return [link], []


class Records(Directive):
    """Every record the book knows: one table for each study and provenance, an anchor for each record."""

    def run(self):
        studies: dict[tuple, list[results.Record]] = {}
        for record in self.state.document.settings.env.arsr_records.values():
            studies.setdefault((record.key.split(".")[0], record.provenance.model_dump_json()), []).append(record)

        def place(records: list[results.Record]) -> tuple:
            """Chapters first, in their order, then measurements, then the paper."""
            first = records[0].provenance
            return ("recomputed", "measured", "paper").index(first.kind), first.command or "", records[0].key

        return [nodes.raw("", _table(records), format="html") for records in sorted(studies.values(), key=place)]


def _table(records: list[results.Record]) -> str:
    """A foldable table of records that share their provenance."""
    first = records[0]
    rows = "".join(
        f'<tr id="{anchor(r.key)}">'
        f'<th scope="row">{html.escape(r.description)}<br><code>{html.escape(r.key)}</code></th>'
        f"<td>{format_value(r, _spec(r))}</td><td>{_count(r)}</td><td>{_interval(r)}</td></tr>"
        for r in records
    )
    heads = "".join(f'<th scope="col">{h}</th>' for h in ("What", "Value", "Count", "95 % interval"))
    label = html.escape(f"Records of {first.provenance.source}", quote=True)
    # a browser opens the details when a link leads into them; the paper's many and a study's hundreds start closed
    opened = "" if first.provenance.kind == "paper" or len(records) > 100 else " open"
    title = f"{html.escape(first.provenance.source)} ({len(records)}) {badge(first)}"
    return (
        f'<details class="records"{opened}><summary>{title}</summary>{_whence(first.provenance)}'
        f'<div tabindex="0" role="region" aria-label="{label}"><table aria-label="{label}">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _whence(provenance: results.Provenance) -> str:
    """How to get the numbers again, as a definition list."""
    entries = {
        "Command": provenance.command and f"<code>{html.escape(provenance.command)}</code>",
        "Data": provenance.data and html.escape(provenance.data),
        "Machine": provenance.machine and html.escape(provenance.machine),
        "Code": provenance.code and f"commit {html.escape(provenance.code)}",
        "Note": provenance.note and html.escape(provenance.note),
        "Versions": html.escape(", ".join(f"{name} {v}" for name, v in provenance.versions.items())),
    }
    return "<dl>" + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in entries.items() if v) + "</dl>"


def _count(record) -> str:
    if record.count is not None:
        return f"{record.count}\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}{record.n}"
    return f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{record.n}" if record.n else "\N{EN DASH}"


def _spec(record) -> str:
    """Digits on the records page: p to two, whole numbers as such, pixels and plain numbers with three decimals."""
    if record.key.endswith((".p", ".p-mcnemar")):
        return ".2g"
    if record.unit not in ("", "px"):
        return ".2f"
    return ".0f" if record.low is None and record.value.is_integer() else ".3f"


def _interval(record) -> str:
    if record.low is None:
        return "\N{EN DASH}"
    low, high = (format(v, _spec(record)).replace("-", "\N{MINUS SIGN}") for v in (record.low, record.high))
    return f"{low} to {high} <small>({html.escape(record.interval)})</small>"


def _nearest(key: str, known) -> str:
    from difflib import get_close_matches

    return ", ".join(get_close_matches(key, known, n=3, cutoff=0.4)) or f"one of {len(known)} on the records page"


def _load_records(app):
    app.env.arsr_records = results.load(Path(app.srcdir) / "records.json")


def _offer_binder(app, config):
    """Chapters have a Binder button where _config.yml names the repository; the theme fails on one without."""
    if address := config.html_theme_options.get("repository_url"):
        if config.html_baseurl == address:  # Jupyter Book's guess: the pages do not lie there
            config.html_baseurl = ""
        config.html_theme_options["launch_buttons"] = {"binderhub_url": BINDER, "notebook_interface": "jupyterlab"}


def _launch_text_notebooks(app, pagename, templatename, context, doctree):
    """The theme links to the notebooks of this build; the repository has text notebooks."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("url", "").startswith(BINDER):
                button["url"] = button["url"].replace(f"{pagename}.ipynb", f"{pagename}.md")


def _drop_scripts_from_outside(app, pagename, templatename, context, doctree):
    """Take out what the theme adds for live kernels: thebe's scripts (from a CDN) and the widgets' saved state."""

    def wanted(entry) -> bool:
        attributes = getattr(entry, "attributes", None) or {}
        names = f"{getattr(entry, 'filename', entry)} {attributes.get('body', '')}"
        return "thebe" not in names.lower() and "widget-state" not in str(attributes.get("type", ""))

    for kind in ("script_files", "css_files"):
        context[kind] = [entry for entry in context.get(kind, []) if wanted(entry)]


_VIEWER_SCRIPT = re.compile("<script data-arsr-viewer-script>.*?</script>", re.DOTALL)


def _mend_bibliography(app, pagename, templatename, context, doctree):
    """docutils calls a bibliography a list, but its entries no list items: screen readers find an empty list."""
    context["body"] = context.get("body", "").replace('<div role="list" class="citation-list">', "<div>")


def _share_viewer_script(app, pagename, templatename, context, doctree):
    """Every viewer brings the same script: a page keeps the first."""
    body = context.get("body") or ""
    if first := _VIEWER_SCRIPT.search(body):
        context["body"] = body[: first.end()] + _VIEWER_SCRIPT.sub("", body[first.end() :])


def _fail_if_online(app, exception):
    """A page that would load anything from the network fails the build."""
    if exception is None and app.builder.format == "html" and (found := outside_loads(Path(app.outdir))):
        first = "; ".join(f"{page} loads {url}" for page, url in found[:5])
        raise ExtensionError(f"pages load from the network ({len(found)} places): {first}")


# attributes through which an element loads a file; `a href` only links
_LOADS = {
    "audio": ("src",),
    "base": ("href",),
    "body": ("background",),
    "embed": ("src",),
    "feimage": ("href", "xlink:href"),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "table": ("background",),
    "td": ("background",),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
_LINKS = {"stylesheet", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "icon", "manifest"}
_HOST = r"(?:(?:https?|wss?):)?//[\w-][\w.-]+"
_OUTSIDE = re.compile(_HOST, re.IGNORECASE)
_CSS_LOAD = re.compile(rf"""(?:url\(|image-set\(|@import)\s*['"]?\s*({_HOST}[^'")\s]*)""", re.IGNORECASE)
_JS_LOAD = re.compile(
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
        text, name = path.read_text(encoding="utf-8", errors="replace"), str(path.relative_to(folder))
        found += [(name, url) for url in (_CSS_LOAD.findall(text) if path.suffix == ".css" else _page_loads(text))]
    return found


def _page_loads(text: str) -> list[str]:
    from bs4 import BeautifulSoup

    found = []
    for tag in BeautifulSoup(text, "html.parser").find_all(True):
        values = []
        for attribute in _LOADS.get(tag.name, ()):
            value = tag.get(attribute) or ""
            values += value.split(",") if attribute == "srcset" else [value]
        if tag.name == "link" and _LINKS & set(tag.get("rel") or []):
            values.append(tag.get("href") or "")
        if tag.name == "meta" and str(tag.get("http-equiv")).lower() == "refresh":
            values.append((tag.get("content") or "").lower().partition("url=")[2])
        found += [value.strip() for value in values if _OUTSIDE.match(value.strip())]
        found += _CSS_LOAD.findall((tag.string or "" if tag.name == "style" else "") + (tag.get("style") or ""))
        if tag.name == "script":
            found += _JS_LOAD.findall(tag.string or "")
    return found
