"""HTML of the book from templates (Jinja2), and how numbers, verdicts and docstrings are written in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from arsr.records import BADGES, Record

if TYPE_CHECKING:  # a chapter that fills a table is not executed for a new rule of a claim
    from arsr.claims import Effect

MARKS = {
    "supported": "\N{CHECK MARK}",
    "not supported": "\N{MULTIPLICATION X}",
    "undecided": "?",
    "not yet measured": "\N{EN DASH}",
    "no numbers": "\N{EN DASH}",
}


def fill(template: str, /, **values: object) -> str:
    """The HTML of a template; what is not HTML in the values is escaped."""
    return _ENVIRONMENT.get_template(f"{template}.html").render(values)


def anchor(key: str) -> str:
    """The record's anchor on the records page."""
    return f"record-{key}"


def number(value: float, spec: str = ".2f") -> str:
    """A number with a true minus sign; two decimals unless told."""
    return format(value, spec or ".2f").replace("-", "\N{MINUS SIGN}")


def value(record: Record, spec: str = "", interval: bool = False) -> str:
    """The value with its unit, e.g. `53.59 %`, and its interval if asked for."""
    space = "\N{NO-BREAK SPACE}"  # in a narrow column the interval stands in a line of its own
    text = f"{number(record.value, spec)}{space}{record.unit}".rstrip()
    return f"{text} ({number(record.low, spec)}{space}to{space}{number(record.high, spec)})" if interval else text


def digits(record: Record) -> str:
    """Digits on the records page: p to two, whole numbers as such, pixels and plain numbers with three decimals."""
    if record.key.endswith((".p", ".p-mcnemar")):
        return ".2g"
    if record.unit not in ("", "px"):
        return ".2f"
    return ".0f" if record.low is None and record.value.is_integer() else ".3f"


def effect(found: Effect) -> str:
    """+1.1 (-2.4 to +4.6), points with one decimal."""
    spec = places(found)
    return f"{number(found.value, spec)} ({number(found.low, spec)} to {number(found.high, spec)})"


def places(found: Effect) -> str:
    """How an effect is written: points with one decimal, else three, and its sign."""
    return "+.1f" if found.unit == "points" else "+.3f"


def p(value: float) -> str:
    """A p value as tables print it."""
    return "<\N{NO-BREAK SPACE}0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def badge(shown: Record | str) -> Markup:
    """The badge of a record's kind, its explanation a title; or of a verdict: a mark, the word, and a colour."""
    if isinstance(shown, Record):
        kind, source = shown.provenance.kind, shown.provenance.source
        word, colon, profile = shown.provenance.badge.partition(":")
        inner = Markup("{}<span>{}</span>").format(word, colon + profile) if colon else word  # tables leave it out
        text = '<span class="arsr-badge arsr-badge-{}" title="{}: {}">{}</span>'
        return Markup(text).format(kind, BADGES[kind], source, inner)
    mark = f'<span aria-hidden="true">{MARKS[shown]}</span>'
    kind = f"arsr-verdict arsr-verdict-{shown.replace(' ', '-')}"
    return Markup(f'<span class="{kind}">{mark}\N{NO-BREAK SPACE}{shown}</span>')


def prose(text: str) -> Markup:
    """A docstring's text, its `names` as code."""
    return Markup(re.sub("`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))


_HERE = Path(__file__).parent  # a table that chapters fill has its template beside its module
_LOADER = FileSystemLoader([_HERE / "templates", _HERE])
_ENVIRONMENT = Environment(loader=_LOADER, autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters |= {f.__name__: f for f in (anchor, badge, digits, effect, number, p, places, prose, value)}
