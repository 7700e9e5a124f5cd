"""Sphinx extension of the book: the claims ledger on its pages, and as `claims.json` beside them.

{verdict}`c4 paper`     the verdict's badge, linked to the claim
```{ledger}
```                     all claims by all tiers of evidence
```{claim} c4
```                     the rule, and every contrast with its records, interval and p
"""

import html
import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.docutils import SphinxRole

from arsr import claims
from arsr.book import chapter, pages
from arsr_core import __version__
from arsr_core.files import write_atomically

PAGE = "book/12-claims"
MARKS = {
    claims.SUPPORTED: "\N{CHECK MARK}",
    claims.NOT_SUPPORTED: "\N{MULTIPLICATION X}",
    claims.UNDECIDED: "?",
    claims.UNMEASURED: "\N{EN DASH}",
    "no numbers": "\N{EN DASH}",
}
SHORT = 8  # contrasts that a reader sees at once


def setup(app):
    app.connect("builder-inited", _weigh, priority=600)  # after the records
    app.connect("build-finished", _write)
    app.add_role("verdict", Verdict())
    app.add_directive("ledger", Ledger)
    app.add_directive("claim", Claim)
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}


def badge(verdict: str) -> str:
    """A verdict's badge as HTML: a mark, the word, and a colour."""
    mark = f'<span aria-hidden="true">{MARKS[verdict]}</span>'
    return (
        f'<span class="arsr-verdict arsr-verdict-{verdict.replace(" ", "-")}">{mark}\N{NO-BREAK SPACE}{verdict}</span>'
    )


class Verdict(SphinxRole):
    """{verdict}`c4 paper`: the badge of a claim in a tier, linked to the ledger."""

    def run(self):
        claim, _, tier = self.text.partition(" ")
        if claim not in self.env.arsr_ledger or tier not in claims.TIERS:
            message = self.inliner.reporter.error(
                f"verdict role {self.text!r}: expected a claim and a tier, such as `c4 paper`", line=self.lineno
            )
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        page = "../" * self.env.docname.count("/") + PAGE + ".html"
        link = nodes.reference("", "", refuri=f"{page}#claim-{claim}", internal=True)
        link += nodes.raw("", badge(claims.verdict(self.env.arsr_ledger[claim][tier])), format="html")
        return [link], []


class Ledger(Directive):
    """One table: the claims by the tiers of evidence."""

    def run(self):
        heads = "".join(f'<th scope="col" title="{t.words}">{t.title}</th>' for t in claims.TIERS.values())
        said = {name: html.escape(claim.statement) for name, claim in claims.CLAIMS.items()}
        rows = "".join(
            f'<tr><th scope="row"><a href="#claim-{name}">{name.upper()}</a> {said[name]}</th>'
            + "".join(f"<td>{badge(claims.verdict(found))}</td>" for found in tiers.values())
            + "</tr>"
            for name, tiers in self.state.document.settings.env.arsr_ledger.items()
        )
        table = f'<table><thead><tr><th scope="col">claim</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        return [nodes.raw("", _boxed(table, "Verdicts on the paper's claims", "arsr-overview"), format="html")]


class Claim(Directive):
    """One claim: its rule, and tier by tier the verdict with the contrasts behind it."""

    required_arguments = 1

    def run(self):
        env = self.state.document.settings.env
        (name,) = self.arguments
        if name not in env.arsr_ledger:
            raise self.error(f"no claim {name!r}; expected one of {', '.join(env.arsr_ledger)}")
        text = f'<p class="arsr-rule"><strong>Rule.</strong> {html.escape(claims.CLAIMS[name].rule)}</p>'
        for tier, found in env.arsr_ledger[name].items():
            text += _tier(claims.TIERS[tier], found, env.arsr_records, f"{name.upper()}, {claims.TIERS[tier].title}")
        return [nodes.raw("", text, format="html")]


def _tier(tier: claims.Tier, found: claims.Finding | str, records: dict, label: str) -> str:
    head = f"<strong>{tier.title[0].upper()}{tier.title[1:]}</strong> {badge(claims.verdict(found))}"
    if isinstance(found, str):
        return f'<p class="arsr-tier">{head} {html.escape(found)}</p>'
    if not found.measured:
        return f'<p class="arsr-tier">{head} {html.escape(tier.words)}.</p>'
    verdicts = [leaf.verdict for leaf in found.leaves() if leaf.measured]
    kinds = (claims.SUPPORTED, claims.UNDECIDED, claims.NOT_SUPPORTED)
    tally = ", ".join(f"{verdicts.count(kind)} {kind}" for kind in kinds if kind in verdicts)
    lost = f", {found.of - found.measured} not yet measured" if found.measured < found.of else ""
    one, p = found.decisive(), min(found.p_for, found.p_against)
    text = f"Of {found.of} contrasts: {tally}{lost}; p {_p(p) if p < 0.001 else '= ' + _p(p)}. "
    if found.verdict == claims.UNDECIDED and one.p_for < claims.ALPHA:
        text += "Not all that the rule needs is measured."
    else:
        text += f"Decisive: {html.escape(one.words)}, {_interval(one.effect)}."
    table = _boxed(_contrasts(found, records), f"Contrasts of {label}")
    if len(verdicts) > SHORT:
        table = f"<details><summary>All {len(verdicts)} contrasts</summary>{table}</details>"
    return f'<div class="arsr-tier"><p>{head} {text}</p>{table}</div>'


def _contrasts(found: claims.Finding, records: dict) -> str:
    """The table; paired differences are records themselves and need no columns for the two methods."""
    both = any(len(leaf.effect.records) == 2 for leaf in found.leaves() if leaf.measured)
    names = ("contrast", *(("first", "second") if both else ()), "difference (95 % interval)", "p", "so it is")
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<table><thead><tr>{heads}</tr></thead>{_body(found, records, both)}</table>"


def _body(found: claims.Finding, records: dict, both: bool) -> str:
    """A table body for each group that holds contrasts."""
    leaves = "".join(_row(part, records, both) for part in found.parts if not part.how and part.measured)
    title = (
        f'<tr><th colspan="{6 if both else 4}" scope="rowgroup">{html.escape(found.words)}</th></tr>'
        if found.words
        else ""
    )
    inner = "".join(_body(part, records, both) for part in found.parts if part.how and part.measured)
    return (f"<tbody>{title}{leaves}</tbody>" if leaves else "") + inner


def _row(leaf: claims.Finding, records: dict, both: bool) -> str:
    e = leaf.effect
    first, second = e.records if len(e.records) == 2 else ("", "")
    cells = "".join(f"<td>{_linked(records[key]) if key else ''}</td>" for key in (first, second)) if both else ""
    value, _, interval = _interval(e).partition(" ")
    difference = f"{value if first else _linked(records[e.records[0]], _spec(e))} {interval}"
    words = html.escape(leaf.words) + (f", {leaf.margin:g} allowed" if leaf.margin else "")
    return (
        f'<tr title="{html.escape(e.test)}, n = {e.n}"><th scope="row">{words}</th>{cells}'
        f"<td>{difference}</td><td>{_p(e.p)}</td><td>{badge(leaf.verdict)}</td></tr>"
    )


def _interval(e: claims.Effect) -> str:
    """+1.1 (-2.4 to +4.6), points with one decimal."""
    value, low, high = (format(x, _spec(e)).replace("-", "\N{MINUS SIGN}") for x in (e.value, e.low, e.high))
    return f"{value} ({low} to {high})"


def _spec(e: claims.Effect) -> str:
    return "+.1f" if e.unit == "points" else "+.3f"


def _linked(record, spec: str = ".1f") -> str:
    where = f"records.html#{pages.anchor(record.key)}"
    return f'<a href="{where}">{pages.format_value(record, spec)}</a>{chapter.badge(record)}'


def _p(p: float) -> str:
    return "&lt;\N{NO-BREAK SPACE}0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _boxed(table: str, label: str, kind: str = "") -> str:
    label = html.escape(label, quote=True)
    return f'<div class="arsr-ledger {kind}" tabindex="0" role="region" aria-label="{label}">{table}</div>'


def _weigh(app):
    app.env.arsr_ledger = claims.ledger(app.env.arsr_records)


def _write(app, exception):
    if exception is None and app.builder.format == "html":
        text = json.dumps(claims.as_json(app.env.arsr_ledger), indent=1, ensure_ascii=False)
        write_atomically(Path(app.outdir) / "claims.json", text + "\n")
