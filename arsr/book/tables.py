"""Tables of pages. The benchmark in HTML: methods by data sets, networks and streams; sortable, without a network.

The script `book/assets/sortable.js` sorts and unfolds it. Without scripts it is a plain table.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import pandas as pd

from arsr.book.filling import fill
from arsr.explorer import studies
from arsr.names import SCORES, TITLES, title
from arsr.printing import printable
from arsr.records import Record

KINDS = dict.fromkeys(("bicubic", "vdsr", "rcan", "srresnet", "srgan", "rrdb", "esrgan", "sosr"), "SISR")
KINDS |= dict.fromkeys(("spmc", "duf16", "duf52", "tosr"), "VSR") | {"sosr+tosr": "pair", "hr": "HR"}


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
    rows.sort(key=lambda row: (row[0], row[1], SCORES.index(row[3])))
    return pd.DataFrame(rows, columns=columns)


def benchmark(
    frame: pd.DataFrame, caption: str, source: Record, names: Mapping[str, str] = TITLES, *, clips: bool = False
) -> str:
    """The table as HTML. frame: a row a cell with method, dataset, network, stream, accuracy (%), low, high, count, n.

    The best of a column is bold, the second best underlined. A button shows counts and intervals; a button in each
    head sorts by its column. source: a record whose badge says where the numbers come from. clips: a cell leads to its
    clips, for the scores are committed.
    """
    frame = frame.assign(rank=ranks(frame), counted=frame["count"].notna())
    columns = list(dict.fromkeys(zip(frame["dataset"], frame["network"], frame["stream"], strict=True)))
    cells = {(r.method, r.dataset, r.network, r.stream): r for r in frame.itertuples()}
    order = [name for name in KINDS if name != "hr"]  # others, as pairs, follow; HR is last
    methods = sorted(frame["method"].unique(), key=lambda method: (method == "hr", [*order, method].index(method)))
    kinds = KINDS | {m: "pair" if "+" in m else "other" for m in methods if m not in KINDS}
    rows = [(names.get(m, m), kinds[m], [cells.get((m, *column)) for column in columns]) for m in methods]
    spans = [groupby(columns, key=itemgetter(slice(depth))) for depth in (1, 2)]  # of equal neighbours
    heads = [[(names.get(of[-1], of[-1]), len([*same])) for of, same in level] for level in spans]
    streams = [title(stream) for *_, stream in columns]
    link = _behind if clips else None
    return fill("tables", link=link, caption=caption, source=source, heads=heads, streams=streams, rows=rows)


def _behind(cell: Any) -> str:
    """The clips of a cell, from a page of the book."""
    a = studies.rival(cell.method)
    return "../" + studies.address(f"{cell.dataset}-{cell.network}", cell.stream, a, cell.method)


def contrasts(rows: Mapping[str, str], head: str = "difference") -> str:
    """Paired contrasts as a table of Markdown: points and log-probability with 95 % intervals, and their p.

    rows: title: key of the records KEY.accuracy and KEY.log-probability. head: of the first column.
    """
    digits = {"accuracy": "+.1f", "log-probability": "+.3f"}
    forms = [(name, form) for name, spec in digits.items() for form in (f"{spec} interval", "p")]
    cells = [[title, *(num(f"{key}.{name}", form) for name, form in forms)] for title, key in rows.items()]
    return markdown((head, "points", "p", "log-probability", "p"), cells)


def num(key: str, form: str = "") -> str:
    """The role that a page turns into a record's number, e.g. form=".1f interval", or into its p, form="p" or "p .3f".

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
    lines = [f"| {' | '.join(map(printable, row))} |" for row in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def plain(frame: pd.DataFrame, name: str, label: str) -> pd.io.formats.style.Styler:
    """A data frame as an HTML table without its index: a Styler. name: unique in the chapter; label: what it shows."""
    frame = frame.map(lambda cell: html.escape(printable(cell)) if isinstance(cell, str) else cell)  # names of files
    attributes = f'class="dataframe" aria-label="{html.escape(label, quote=True)}"'
    return frame.style.hide(axis="index").format(thousands=",").set_uuid(name).set_table_attributes(attributes)
