"""Tables of pages. The benchmark in HTML: methods by data sets, networks and streams; sortable, without a network.

The script `book/assets/sortable.js` sorts and unfolds it. Without scripts it is a plain table.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import pandas as pd
from markupsafe import Markup

from arsr.book.filling import fill
from arsr.names import SCORES, TITLES, pair, title
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
    return {name: f"{title} (lite)" if marked & {*pair(name)} else title for name, title in TITLES.items()}


def benchmark(frame: pd.DataFrame, caption: str, badge: str = "", names: Mapping[str, str] = TITLES) -> str:
    """The table as HTML. frame: a row a cell with method, dataset, network, stream, accuracy (%), low, high, count, n.

    The best of a column is bold, the second best underlined. A button shows counts and intervals; a button in each
    head sorts by its column. badge: HTML that says where the numbers come from.
    """
    if missing := {"method", "dataset", "network", "stream", "accuracy", "low", "high", "count", "n"} - set(frame):
        raise InputError(f"tables.benchmark: no column {', '.join(sorted(missing))}; give a table of accuracies")
    frame = frame.assign(rank=ranks(frame), counted=frame["count"].notna())
    columns = list(dict.fromkeys(zip(frame["dataset"], frame["network"], frame["stream"], strict=True)))
    cells = {(r.method, r.dataset, r.network, r.stream): r for r in frame.itertuples()}
    order = [m for methods in KINDS.values() for m in methods]
    methods = sorted(frame["method"].unique(), key=lambda m: order.index(m) if m in order else len(order))
    rows = [(names.get(m, m), kind(m), [cells.get((m, *column)) for column in columns]) for m in methods]
    spans = [groupby(columns, key=itemgetter(slice(depth))) for depth in (1, 2)]  # of equal neighbours
    heads = [[(names.get(of[-1], of[-1]), len([*same])) for of, same in level] for level in spans]
    shown = {"heads": heads, "streams": [title(stream) for *_, stream in columns], "rows": rows}
    return fill("tables", caption=caption, badge=Markup(badge), **shown)


def contrasts(rows: Mapping[str, str], head: str = "difference") -> str:
    """Paired contrasts as a table of Markdown: points and log-probability with 95 % intervals, and their p.

    rows: title: key of the records KEY.accuracy, .p-mcnemar, .log-probability, .p. head: of the first column.
    """
    forms = {"accuracy": "+.1f interval", "p-mcnemar": ".2g", "log-probability": "+.3f interval", "p": ".2g"}
    cells = [[title, *(num(f"{key}.{name}", form) for name, form in forms.items())] for title, key in rows.items()]
    return markdown((head, "points", "p", "log-probability", "p"), cells)


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


def plain(frame: pd.DataFrame, name: str, label: str) -> pd.io.formats.style.Styler:
    """A data frame as an HTML table without its index: a Styler. name: unique in the chapter; label: what it shows."""
    attributes = f'class="dataframe" aria-label="{html.escape(label, quote=True)}"'
    return frame.style.hide(axis="index").format(thousands=",").set_uuid(name).set_table_attributes(attributes)


def folded(rows: Sequence[dict], name: str, title: str, text: str) -> str:
    """A title that unfolds to a text and a `plain` table of the rows: HTML."""
    head = f"<summary>{html.escape(title)}</summary><p>{html.escape(text)}</p>"
    return f"<details>{head}{plain(pd.DataFrame(rows), name, title).to_html()}</details>"
