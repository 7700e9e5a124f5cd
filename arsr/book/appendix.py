"""Sphinx extension of the book: pages that the project writes about itself.

```{deviations}
```               what every chapter says about where it departs from the paper
```{api}
```               the public functions and classes, from their docstrings
```{status}
```               run times, environment, commit, hashes of weights and records
"""

import html
import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

import arsr
import arsr_core
from arsr_core import __version__

HEADING = "## Where this chapter departs from the paper"
SPHINX = (".pages", ".verdicts", ".appendix", ".printed")  # extensions of the book, no interface


def setup(app):
    app.add_directive("deviations", Deviations)
    app.add_directive("api", Api)
    app.add_directive("status", Status)
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}


class Deviations(Directive):
    """The chapters' own lists, in reading order, each under a link to its chapter."""

    def run(self):
        env = self.state.document.settings.env
        box = nodes.container()
        for path in sorted(Path(env.srcdir, "book").glob("[0-9][0-9]-*.ipynb")):
            env.note_dependency(str(path))
            if found := departures(json.loads(path.read_text(encoding="utf-8"))):
                title, lines = found
                text = [f"**[{title}]({path.stem})**", "", *lines]
                self.state.nested_parse(StringList(text, str(path)), self.content_offset, box)
        return [box]


def departures(notebook: dict) -> tuple[str, list[str]] | None:
    """A chapter's title and the lines of its list of deviations; None where it has none."""
    text = "\n\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    body = re.search(rf"^{re.escape(HEADING)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    return (title[1], body[1].strip().splitlines()) if title and body else None


class Api(Directive):
    """Each module with its public names: signature and docstring."""

    def run(self):
        return [nodes.raw("", "".join(_module(module) for module in modules()), format="html")]


def modules() -> list:
    """The package's modules with an interface, in alphabetical order."""
    found = [m for p in (arsr_core, arsr) for m in pkgutil.walk_packages(p.__path__, f"{p.__name__}.")]
    names = [m.name for m in found if not m.name.endswith((*SPHINX, "triton", "__main__"))]
    return [importlib.import_module(name) for name in names]


def public(module) -> dict[str, object]:
    """Functions and classes that the module itself defines, by name."""
    members = vars(module).items()
    own = {name: m for name, m in members if getattr(m, "__module__", None) == module.__name__ and callable(m)}
    return {name: own[name] for name in sorted(own) if not name.startswith("_") and inspect.getdoc(own[name])}


def _module(module) -> str:
    names = public(module)
    if not names:
        return ""
    entries = "".join(
        f"<dt id='{module.__name__}.{name}'><code>{html.escape(name + _signature(thing))}</code></dt>"
        f"<dd>{_prose(inspect.getdoc(thing))}</dd>"
        for name, thing in names.items()
    )
    first = _prose((module.__doc__ or "").strip().partition("\n")[0])
    head = f"<summary><code>{module.__name__}</code> {first}</summary>"
    return f"<details>{head}<dl class='arsr-api'>{entries}</dl></details>"


def _prose(text: str) -> str:
    """A docstring's text as HTML, its `names` as code."""
    return re.sub("`([^`\n]+)`", r"<code>\1</code>", html.escape(text))


def _signature(thing) -> str:
    try:
        text = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return ""
    return re.sub(r" at 0x[0-9a-f]+", "", text)


class Status(Directive):
    """What this build ran, on what, and how long it took: status.json, which the build writes."""

    def run(self):
        path = Path(self.state.document.settings.env.srcdir) / "status.json"
        self.state.document.settings.env.note_dependency(str(path))
        status = json.loads(path.read_text(encoding="utf-8"))
        chapters = [(c["chapter"], f"{c['seconds']:.0f} s", c["key"]) for c in status["chapters"]]
        total = sum(c["seconds"] for c in status["chapters"])
        text = _table(
            "Chapters", ("chapter", "run time", "key"), [*chapters, ("all, one after the other", f"{total:.0f} s", "")]
        )
        text += _table("Build", ("what", "value"), status["build"].items())
        text += _table("Weights", ("weights", "sha256", "trained on, sha256"), status["weights"])
        text += _table("Committed records", ("file", "sha256"), status["results"].items())
        text += _table("Environment", ("package", "version"), status["versions"].items())
        return [nodes.raw("", text, format="html")]


def _table(title: str, heads: tuple, rows) -> str:
    head = "".join(f'<th scope="col">{h}</th>' for h in heads)
    cells = "".join(
        f'<tr><th scope="row">{html.escape(str(first))}</th>'
        + "".join(f"<td>{html.escape(str(v))}</td>" for v in rest)
        + "</tr>"
        for first, *rest in rows
    )
    table = f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"
    return f'<div class="arsr-ledger arsr-status" tabindex="0" role="region" aria-label="{title}">{table}</div>'
