"""Tables of pages. The benchmark in HTML: methods by data sets, networks and streams; sortable, without a network.

The script `book/assets/sortable.js` sorts and unfolds it. Without scripts it is a plain table.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd

from arsr.names import SCORES, TITLES, title
from arsr.records import Record
from arsr_core.errors import InputError

KINDS = {  # the groups of Table 4's rows: single-image and video super-resolution, a pair of them
    "SISR": ("bicubic", "vdsr", "rcan", "srresnet", "srgan", "rrdb", "esrgan", "sosr"),
    "VSR": ("spmc", "duf16", "duf52", "tosr"),
    "pair": ("sosr+tosr",),
    "HR": ("hr",),
}


def kind(method: str) -> str:
    """The group of a method in Table 4; a pair of two methods is a "pair".

    >>> kind("esrgan+duf52"), kind("tosr")
    ('pair', 'VSR')
    """
    return "pair" if "+" in method else next((k for k, methods in KINDS.items() if method in methods), "other")


def ranks(frame: pd.DataFrame) -> pd.Series:
    """1 for the best of each column, 2 for the second best; HR does not compete, equals share a rank: int per row."""
    rivals = frame[frame["method"] != "hr"]
    found = rivals.groupby(["dataset", "network", "stream"])["accuracy"].rank(method="min", ascending=False)
    return found.reindex(frame.index).fillna(0).astype(int)


def from_records(records: Mapping[str, Record], profile: str) -> pd.DataFrame:
    """The committed accuracies of a profile's studies as a tidy table, as `benchmark` wants it; empty without any."""
    key = re.compile(rf"{profile}\.(?:benchmark|accuracy)\.([^.]+)\.([^.]+)\.([^.]+)\.({'|'.join(SCORES)})")
    found = [(match.groups(), records[k]) for k in records if (match := key.fullmatch(k))]
    columns = ["dataset", "network", "method", "stream", "accuracy", "low", "high", "count", "n"]
    rows = [(*names, r.value, r.low, r.high, r.count, r.n) for names, r in found]
    frame = pd.DataFrame(rows, columns=columns)
    order = frame["stream"].map(SCORES.index)
    return frame.assign(order=order).sort_values(["dataset", "network", "order"], kind="stable").drop(columns="order")


def titles(weights: Mapping[str, str], lite: Collection[str]) -> dict[str, str]:
    """`names.TITLES`, marked where a method, or one of a pair, has lite weights. weights: method: hash, as in a header
    of scores; lite: hashes of lite weights.

    >>> titles({"sosr": "1f", "tosr": "2e"}, {"1f"})["sosr+tosr"]
    'SoSR+ToSR (lite)'
    """
    marked = {method for method, found in weights.items() if found in lite}
    return {name: f"{title} (lite)" if marked & {*name.split("+")} else title for name, title in TITLES.items()}


def benchmark(frame: pd.DataFrame, caption: str, badge: str = "", names: Mapping[str, str] = TITLES) -> str:
    """The table as HTML. frame: a row a cell with method, dataset, network, stream, accuracy (%), low, high, count, n.

    The best of a column is bold, the second best underlined. A button shows counts and intervals; a button in each
    head sorts by its column. badge: HTML that says where the numbers come from.
    """
    if missing := {"method", "dataset", "network", "stream", "accuracy", "low", "high", "count", "n"} - set(frame):
        raise InputError(f"tables.benchmark: no column {', '.join(sorted(missing))}; give a table of accuracies")
    frame = frame.assign(rank=ranks(frame))
    columns = list(frame[["dataset", "network", "stream"]].drop_duplicates().itertuples(index=False, name=None))
    order = [m for methods in KINDS.values() for m in methods]
    found = list(frame["method"].unique())
    methods = [*(m for m in order if m in found), *(m for m in found if m not in order)]
    cells = {(r.method, r.dataset, r.network, r.stream): r for r in frame.itertuples()}
    body, before = "", None
    for method in methods:
        tds = "".join(_cell(cells.get((method, *column))) for column in columns)
        first = ' class="first"' if kind(method) != before else ""
        head = html.escape(names.get(method, method))
        body += f'<tr{first}><th scope="row">{head}</th><td class="kind">{kind(method)}</td>{tds}</tr>'
        before = kind(method)
    heads = _spans([c[0] for c in columns], names), _spans([c[:2] for c in columns], names)
    streams = "".join(_head(title(stream), i + 2, " data-stream") for i, (*_, stream) in enumerate(columns))
    label = html.escape(caption, quote=True)
    return (
        f'<div class="arsr-benchmark"><p><button type="button" class="details" aria-pressed="false" hidden>'
        f'Counts and intervals</button></p><div tabindex="0" role="region" aria-label="{label}"><table>'
        f"<caption>{html.escape(caption)} {badge}</caption><thead>"
        f'<tr><td colspan="2"></td>{heads[0]}</tr><tr><td colspan="2"></td>{heads[1]}</tr>'
        f"<tr>{_head('method', 0)}{_head('kind', 1)}{streams}</tr></thead><tbody>{body}</tbody></table></div></div>"
    )


def contrasts(rows: Mapping[str, str], head: str = "difference") -> str:
    """Paired contrasts as a table of Markdown: points and log-probability with 95 % intervals, and their p.

    rows: title: key of the records KEY.accuracy, .p-mcnemar, .log-probability, .p. head: of the first column.
    """
    forms = ("accuracy:+.1f interval", "p-mcnemar:.2g", "log-probability:+.3f interval", "p:.2g")
    lines = [f"| {head} | points | p | log-probability | p |", "|---|---|---|---|---|"]
    lines += [f"| {title} | {' | '.join(f'{{num}}`{key}.{form}`' for form in forms)} |" for title, key in rows.items()]
    return "\n".join(lines)


def num(key: str, form: str = "") -> str:
    """The role that a page turns into a record's number, e.g. form=".1f interval".

    >>> num("table2.vdsr.mse", ".1f"), num("table2.vdsr.mse")
    ('{num}`table2.vdsr.mse:.1f`', '{num}`table2.vdsr.mse`')
    """
    return f"{{num}}`{key}:{form}`" if form else f"{{num}}`{key}`"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown.

    >>> print(markdown(["method", "PSNR"], [["VDSR", "30.1"]]))
    | method | PSNR |
    |---|---|
    | VDSR | 30.1 |
    """
    return "\n".join(f"| {' | '.join(row)} |" if row else "|---" * len(heads) + "|" for row in (heads, (), *rows))


def plain(frame: pd.DataFrame, name: str, label: str):
    """A data frame as an HTML table without its index: a Styler. name: unique in the chapter; label: what it shows."""
    attributes = f'class="dataframe" aria-label="{html.escape(label, quote=True)}"'
    return frame.style.hide(axis="index").format(thousands=",").set_uuid(name).set_table_attributes(attributes)


def folded(rows: Sequence[dict], name: str, title: str, text: str) -> str:
    """A title that unfolds to a text and a `plain` table of the rows: HTML."""
    head = f"<summary>{html.escape(title)}</summary><p>{html.escape(text)}</p>"
    return f"<details>{head}{plain(pd.DataFrame(rows), name, title).to_html()}</details>"


def _cell(row) -> str:
    if row is None:
        return '<td data-value="">\N{EN DASH}</td>'
    text = f"{row.accuracy:.2f}"
    text = {1: f"<b>{text}</b>", 2: f"<u>{text}</u>"}.get(row.rank, text)
    count = "" if pd.isna(row.count) else f"{int(row.count)} of {row.n}, "
    return f'<td data-value="{row.accuracy:.6f}">{text}<small>{count}{row.low:.1f} to {row.high:.1f}</small></td>'


def _head(text: str, column: int, more: str = "") -> str:
    return f'<th scope="col" data-column="{column}"{more}><button type="button">{text}</button></th>'


def _spans(values: list, names: Mapping[str, str]) -> str:
    """Heads that span equal neighbours."""
    text, start = "", 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[start]:
            value = values[start] if isinstance(values[start], str) else values[start][-1]
            text += f'<th colspan="{i - start}" scope="colgroup">{html.escape(names.get(value, value))}</th>'
            start = i
    return text
