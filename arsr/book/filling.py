"""HTML of the book from templates (Jinja2), and how numbers, verdicts and docstrings are written in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from arsr.embedded.actions import ACTIONS
from arsr.records import BADGES, Record

if TYPE_CHECKING:  # a chapter that fills a table is not executed for a new rule of a claim
    from arsr.claims import Effect, Finding

_ACTIONS = re.compile(rf"\b({'|'.join(ACTIONS)})\b")
MARKS = {
    "supported": "\N{CHECK MARK}",
    "mixed": "\N{PLUS-MINUS SIGN}",
    "contradicted": "\N{MULTIPLICATION X}",
    "too few clips": "\N{HORIZONTAL ELLIPSIS}",
    "smaller than the paper's": "<",
    "undecided": "?",
    "not a test": "\N{EMPTY SET}",
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
    return f"{text} ({ends(record, spec)})" if interval else text


def ends(shown: Record | Effect, spec: str) -> str:
    """An interval's ends, e.g. `51.1 to 56.1`; or that there is none, of too few groups."""
    if shown.low is None:
        return "no interval"
    return "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}".join(number(end, spec) for end in (shown.low, shown.high))


def digits(record: Record) -> str:
    """Digits on the records page: p to two, whole numbers as such, pixels and plain numbers with three decimals."""
    if record.key.endswith(".p"):
        return ".2g"
    if record.unit not in ("", "px"):
        return ".2f"
    return ".0f" if record.low is None and record.value.is_integer() else ".3f"


def effect(found: Effect) -> str:
    """+1.1 (-2.4 to +4.6), points with one decimal."""
    return f"{number(found.value, places(found))} ({ends(found, places(found))})"


def may_differ(found: Effect) -> str:
    """In how many clips two methods may differ for a printed gain to mean something: 73 (4.8 %), none, or any."""
    if not found.break_even:
        return "none"
    share = 100 * found.break_even / found.n
    return f"{found.break_even:,} ({share:.1f} %)" if found.break_even + 2 <= found.n else "any"


def counts(found: Finding) -> str:
    """Contrasts for a claim, open, and against it, and those that are no test: 13 . 3 . 0."""
    *sides, no_tests = found.counts
    return " \N{MIDDLE DOT} ".join(map(str, sides)) + (f", {no_tests} not a test" if no_tests else "")


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
    kind = shown.replace(" ", "-").replace("'", "")
    return Markup(f'<span class="arsr-verdict arsr-verdict-{kind}">{mark}\N{NO-BREAK SPACE}{shown}</span>')


def spoken(text: str) -> str:
    """A record's description as a page writes it: actions without underscores, methods by their titles.

    >>> spoken("log-probability, SRGAN less VSR-DUF-16L, spatial, swing_bat")
    'log-probability, SRGAN less DUF-16, spatial, swing bat'
    """
    return re.sub(r"VSR-DUF-(\d+)L", r"DUF-\1", _ACTIONS.sub(lambda found: found[0].replace("_", " "), text))


def prose(text: str) -> Markup:
    """A docstring's text, its `names` as code."""
    return Markup(re.sub("`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))


_HERE = Path(__file__).parent  # a table that chapters fill has its template beside its module
_LOADER = FileSystemLoader([_HERE / "templates", _HERE])
_ENVIRONMENT = Environment(loader=_LOADER, autoescape=True, trim_blocks=True, lstrip_blocks=True)
_FILTERS = (anchor, badge, counts, digits, effect, ends, may_differ, number, p, places, prose, spoken, value)
_ENVIRONMENT.filters |= {f.__name__: f for f in _FILTERS}
