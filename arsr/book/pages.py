"""Sphinx extension of the book: what its pages take from this build; and they need no network.

{num}`table4.sosr.hmdb51.tsn.spatial:.1f`   53.6 % and the badge, linked to the record; :p its p
{verdict}`c4 paper`                         a verdict's badge, linked to the claim
{lab}`look <clip=run&left=lr&right=srgan>`  a link to the laboratory with a clip and two methods
{clips}`94 <study=embedded-tsn&stream=spatial&a=bicubic&b=srgan>`   to the clips behind a number
```{claim} c4
```                                         and {records} {ledger} {verdicts} {status} {api}: the template, filled
```{deviations}
```                                         what every chapter says about where it departs from the paper
"""

import importlib
import inspect
import json
import pkgutil
import re
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole

import arsr
import arsr_core
from arsr import claims, records
from arsr.book import filling, keys, offline, printed, search
from arsr.explorer import studies as explorer
from arsr.explorer.behind import address as clips_behind
from arsr.lab import page as lab
from arsr.names import SCORES
from arsr_core.errors import InputError
from arsr_core.files import sha256, write_atomically

HEADING = "## Where this chapter departs from the paper"


def setup(app: Any) -> dict[str, object]:
    """Connect the extension to Sphinx."""
    app.connect("builder-inited", _load)
    app.connect("env-get-updated", _shown_elsewhere, priority=900)  # after numbers are given
    app.connect("html-collect-pages", _forget)
    app.connect("html-page-context", _finish_page, priority=900)  # after the theme
    app.connect("build-finished", _finish)
    for name in LINKS:
        app.add_role(name, Linked())
    for name in CONTENTS:
        app.add_directive(name, Filled)
    app.add_directive("deviations", Deviations)
    return {"version": arsr_core.__version__, "parallel_read_safe": True, "parallel_write_safe": True}


def _number(env: Any, text: str) -> tuple[str, str, object]:
    """{num}`key:format interval`: the record's value and unit, its badge, and a link to where it comes from.

    {num}`key:p format`: the p of "no difference".
    """
    text, _, option = text.partition(" ")
    key, _, spec = text.partition(":")
    record = env.arsr_records.get(key)
    if record is None:
        near = get_close_matches(key, env.arsr_records, n=3, cutoff=0.4)
        raise InputError(f"unknown record; did you mean {', '.join(near) or 'another, of the records page'}?")
    if spec != "p" and option not in ("", "interval"):
        raise InputError(f"unknown option {option!r}; the one option is 'interval'")
    if record.p is None and (spec == "p" or (option and record.low is None)):
        raise InputError(f"this record has no {'p' if spec == 'p' else 'interval'}")
    try:
        shown = filling.number(record.p, option or ".2g") if spec == "p" else filling.value(record, spec, bool(option))
        return f"book/records.html#{filling.anchor(key)}", shown, record
    except ValueError as error:
        raise InputError(f"{error}; expected a format such as .2f") from error


def _verdict(env: Any, text: str) -> tuple[str, str, object]:
    """{verdict}`c4 paper`: the badge of a claim in a tier, linked to the ledger."""
    claim, _, tier = text.partition(" ")
    if claim not in env.arsr_ledger or tier not in claims.TIERS:
        raise InputError("expected a claim and a tier, such as `c4 paper`")
    return f"book/12-claims.html#claim-{claim}", "", env.arsr_ledger[claim][tier].verdict


def _laboratory(env: Any, text: str) -> tuple[str, str, object]:
    """{lab}`text <clip=run&left=bicubic&right=srgan>`: a link to the laboratory, in that state."""
    words, _, query = text.rstrip(">").partition(" <")
    known = {"clip": lab.CLIPS, "left": lab.METHODS, "right": lab.METHODS, "times": "234"}
    for name, value in parse_qsl(query, strict_parsing=True):
        if name in known and value not in known[name]:
            raise InputError(f"no {name} {value!r}; expected one of {', '.join(known[name])}")
    return f"lab.html#{query}", words, None


def _behind(env: Any, text: str) -> tuple[str, str, object]:
    """{clips}`text <study=embedded-tsn&stream=spatial&a=bicubic&b=srgan&show=gained>`: a link to those clips."""
    words, _, query = text.rstrip(">").partition(" <")
    given, known = dict(parse_qsl(query, strict_parsing=True)), env.arsr_studies
    study = known.get(given.get("study"), {"methods": {}})
    allowed = {"study": known, "stream": SCORES, "show": explorer.SHOWN}
    allowed |= dict.fromkeys("ab", [m for m, its in study["methods"].items() if given.get("stream") in its])
    for name, values in allowed.items() if known else ():
        if (name in given or len(name) > 4 or name in "ab") and given.get(name) not in values:
            raise InputError(f"no {name} {given.get(name)!r}; expected one of {', '.join(values)}")
    return f"{explorer.PAGE}#{query}" if known else "", words, None


LINKS = {"num": _number, "verdict": _verdict, "lab": _laboratory, "clips": _behind}


class Linked(SphinxRole):
    """A role whose function in LINKS finds the address to link to, the text there, and what has the badge behind it."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The link, or the complaint that fails the build."""
        self.env.note_dependency("records.json")
        try:
            address, text, shown = LINKS[self.name](self.env, self.text)
        except ValueError as error:  # InputError, or a query that is none
            message = self.inliner.reporter.error(f"{self.name} role {self.text!r}: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        if not address:
            return [nodes.Text(text)], []
        up = "../" * self.env.docname.count("/")
        badge = [nodes.raw("", filling.badge(shown), format="html")] if shown else []
        title = {"reftitle": found} if (found := _interval(self.text, shown)) else {}
        return [nodes.reference("", "", nodes.Text(text), *badge, refuri=up + address, internal=True, **title)], []


def _interval(text: str, shown: object) -> str:
    """The interval of a number that a page shows without it: for the pointer, a finger, and paper."""
    if not isinstance(shown, records.Record) or shown.low is None or re.search(r":p\b| interval$", text):
        return ""
    return f"95 %: {filling.ends(shown, filling.digits(shown))}"


class Filled(SphinxDirective):
    """A directive whose HTML is the template of its name, filled by its entry in CONTENTS."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The filled template."""
        if self.name != "api":  # which depends on the package, as all pages do
            self.env.note_dependency("status.json" if self.name == "status" else "records.json")
        values = CONTENTS[self.name](self.env, *self.arguments)
        return [nodes.raw("", filling.fill(self.name, **values), format="html")]


def studies(known: dict[str, records.Record]) -> list[list[records.Record]]:
    """Records that share a study and a source: chapters first, in their order, then measurements, then the paper."""
    found: dict[tuple, list[records.Record]] = {}
    for record in known.values():
        found.setdefault((record.key.split(".")[0], record.provenance.model_dump_json()), []).append(record)

    def place(study: list[records.Record]) -> tuple:
        first = study[0].provenance
        return ("derived", "recomputed", "measured", "paper").index(first.kind), first.command or "", study[0].key

    return sorted(found.values(), key=place)


def _ledger(env: Any, *names: str) -> dict[str, object]:
    """Of all claims, or of one."""
    chosen = names or tuple(env.arsr_ledger)
    if unknown := {*chosen} - env.arsr_ledger.keys():
        raise ExtensionError(f"no claim {unknown.pop()!r}; expected one of {', '.join(env.arsr_ledger)}")
    ledger = {name: env.arsr_ledger[name] for name in chosen}
    known = {"claims": claims.CLAIMS, "tiers": claims.TIERS, "plan": claims.PLAN}
    return {"ledger": ledger, "records": env.arsr_records, "clips": behind(env), **known}


def behind(env: Any) -> dict[str, str]:
    """By the key of a record of accuracies: where its clips are, from a page of the book."""
    found = {key: clips_behind(key, env.arsr_studies) for key in env.arsr_records}
    return {key: f"../{address}" for key, address in found.items() if address}


def modules() -> list[ModuleType]:
    """The modules with an interface: not the book's extension of Sphinx, nor what needs a GPU to load."""
    found = [m.name for p in (arsr_core, arsr) for m in pkgutil.walk_packages(p.__path__, f"{p.__name__}.")]
    hidden = ("book.pages", "book.printed", "book.filling", "book.offline", "book.search", "triton", "__main__")
    return [importlib.import_module(name) for name in found if not name.endswith(hidden)]


def public(module: ModuleType) -> list[tuple[str, str, str]]:
    """Name, signature and docstring of the functions and classes that the module itself defines."""
    own = {name: thing for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__}
    shown = [name for name in sorted(own) if callable(own[name]) and not name.startswith("_")]
    return [(name, _signature(own[name]), text) for name in shown if (text := inspect.getdoc(own[name]))]


def _signature(thing: Any) -> str:
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(thing)))
    except ValueError:  # of exceptions
        return ""


CONTENTS = {
    "records": lambda env: {"studies": studies(env.arsr_records), "clips": behind(env)},
    "ledger": _ledger,
    "claim": _ledger,
    "verdicts": _ledger,
    "before": _ledger,
    "status": lambda env: {"status": json.loads(Path(env.srcdir, "status.json").read_text(encoding="utf-8"))},
    "api": lambda env: {"modules": [(m.__name__, m.__doc__ or "", public(m)) for m in modules() if public(m)]},
}


class Deviations(SphinxDirective):
    """The chapters' own lists, in reading order, each under a link to its chapter."""

    def run(self) -> list[nodes.Node]:
        """The lists as nodes."""
        box = nodes.container()
        for path in sorted(Path(self.env.srcdir, "book").glob("[0-9][0-9]-*.ipynb")):
            self.env.note_dependency(f"book/{path.name}")
            if found := departures(json.loads(path.read_text(encoding="utf-8"))):
                text = [f"**[{found[0]}]({path.stem})**", "", *found[1]]
                self.state.nested_parse(StringList(text, str(path)), self.content_offset, box)
        return [box]


def departures(notebook: dict) -> tuple[str, list[str]] | None:
    """A chapter's title and the lines of its list of deviations; None where it has none."""
    text = "\n\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    body = re.search(rf"^{re.escape(HEADING)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    return (title[1], body[1].strip().splitlines()) if title and body else None


def _load(app: Any) -> None:
    env, path = app.env, Path(app.srcdir) / "records.json"
    env.arsr_studies = json.loads(Path(app.srcdir, "studies.json").read_text(encoding="utf-8"))
    if getattr(env, "arsr_hash", "") != (found := sha256(path)):  # else the last build has kept them
        env.arsr_hash, env.arsr_records = found, records.load(path)
        env.arsr_ledger = claims.ledger(env.arsr_records)


def _shown_elsewhere(app: Any, env: Any) -> list[str]:
    """All pages are written again where one changes what others show of it: titles, headings, numbers, labels.

    One always is: where no page changes, Sphinx makes no _static either.
    """
    labels, equations = env.domaindata["std"]["labels"], env.domaindata["math"]["objects"]
    cited = [(citation.key, citation.citation_id) for citation in env.domaindata["cite"]["citations"]]
    shown = env.titles, env.tocs, env.toc_secnumbers, env.toc_fignumbers, labels, equations, cited
    before, env.arsr_shown = getattr(env, "arsr_shown", ""), keys.digest(*shown)
    return [app.config.root_doc] if env.arsr_shown == before else sorted(env.found_docs)


def _forget(app: Any) -> list:
    """A word that no page has any more leaves the search index, as if all pages were made anew."""
    for found in (app.builder.indexer._mapping, app.builder.indexer._title_mapping):
        for word in [word for word, pages in found.items() if not pages]:
            del found[word]
    return []


_VIEWER_SCRIPT = re.compile("<script data-arsr-viewer-script>.*?</script>", re.DOTALL)


_FOLD = re.compile('<details class="admonition hide above-input">\n(.*?)</details>\n?', re.DOTALL)
_FOLDED = re.compile('<p class="collapsed admonition-title">(Code of [^<]*)</p>')
_NUMBER = re.compile(r'<span class="caption-number">(.*?)\s*</span>')
_SECTION = re.compile(r"<h([1-6])>(.*?)<a class=\"headerlink\"", re.DOTALL)


def _named(body: str) -> str:
    """Folded code says what it makes: a figure by its number, all else by the section that it stands in."""
    folds, last, parts = [*_FOLDED.finditer(body)], 0, []
    for fold, after in zip(folds, [*folds[1:], None], strict=False):
        own = body[fold.end() : after.start() if after else len(body)]
        head = [*_SECTION.finditer(body, 0, fold.start())][-1:]
        number, words = _NUMBER.search(own), fold[1]
        if "figure" in words and number:
            words = f"Code of {number[1]}"
        elif head:
            words += f": {re.sub('<[^>]+>', '', head[0][2])}"
        parts += [body[last : fold.start(1)], words]
        last = fold.end(1)
    return "".join(parts) + body[last:]


GATHERED = """<div class="cell docutils container"><details class="admonition hide above-input">
<summary>
<p class="collapsed admonition-title">{words}</p>
<p class="expanded admonition-title">{words}</p>
</summary>
{inside}</details></div>
"""


def _gathered(body: str) -> str:
    """Folded code stays with its figure or viewer; that of tables and sentences stands together at the page's end."""
    folds = [(fold, title[1]) for fold in _FOLD.finditer(body) if (title := _FOLDED.search(fold[0]))]
    moved = [(fold, words) for fold, words in folds if not re.match("Code of (Fig|this figure|the viewer)", words)]
    if len(moved) < 2:
        return body
    for fold, _ in reversed(moved):
        body = body[: fold.start()] + body[fold.end() :]
    inside = [
        f'<p class="rubric">{words.removeprefix("Code of ")}</p>\n{fold[1].partition("</summary>")[2]}'
        for fold, words in moved
    ]
    words = f"Code of this chapter's {len(moved)} tables and computed sentences"
    end = body.rindex("</section>") if "</section>" in body else len(body)
    return body[:end] + GATHERED.format(words=words, inside="".join(inside)) + body[end:]


def _finish_page(app: Any, pagename: str, templatename: str, context: dict, doctree: Any) -> None:
    """What the theme, docutils and the viewers make of a page is not yet all as it should be."""
    if body := context.get("body"):
        if first := _VIEWER_SCRIPT.search(body):  # every viewer brings the same script: a page keeps the first
            body = body[: first.end()] + _VIEWER_SCRIPT.sub("", body[first.end() :])
        # docutils calls a bibliography a list, but its entries no list items: screen readers find an empty list
        context["body"] = _gathered(_named(body.replace('<div role="list" class="citation-list">', "<div>")))
    for button in (b for group in context.get("header_buttons", []) for b in group.get("buttons", [])):
        if "urlpath=" in button.get("url", ""):  # Binder gets this build's notebook; the repository has text notebooks
            button["url"] = button["url"].replace(f"{pagename}.ipynb", f"{pagename}.md")

    def wanted(entry: Any) -> bool:
        return "thebe" not in f"{entry.filename} {entry.attributes.get('body')}".lower()

    for kind in ("script_files", "css_files"):  # for live kernels: thebe's come from a CDN
        context[kind] = [entry for entry in context.get(kind, []) if wanted(entry)]


def _finish(app: Any, exception: Exception | None) -> None:
    """The ledger as data, the book on one page; a page that would load anything from the network fails the build."""
    if exception is None and app.builder.name == "html":
        folder, shown = Path(app.outdir), {name for _, name in app.env.images.values()}
        for path in folder.glob("_images/*"):  # a changed page has left its old pictures
            if path.name not in shown:
                path.unlink()
        text = json.dumps(claims.as_json(app.env.arsr_ledger), indent=1, ensure_ascii=False)
        write_atomically(folder / "claims.json", text + "\n")
        names = printed.order(app.env.toctree_includes, app.config.root_doc)
        search.write(folder, app.env, names)
        write_atomically(folder / "print.html", printed.join(folder, names, app.config.html_title))
        if found := offline.outside_loads(folder):
            first = "; ".join(f"{page} loads {url}" for page, url in found[:5])
            raise ExtensionError(f"pages load from the network ({len(found)} places): {first}")
