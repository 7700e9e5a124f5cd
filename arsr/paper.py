"""The paper's printed numbers, with the counts and intervals that they imply.

Source: H. Zhang, D. Liu, Z. Xiong, "Two-Stream Action Recognition-Oriented Video Super-Resolution", ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from arsr.records import Provenance, Record, wilson
from arsr_core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

UNITS = {"accuracy": "%", "psnr": "dB", "ssim": ""}  # of what a cell may print
VALUES = (*UNITS, "count", "n", "low", "high", "exact", "case")  # all else says which cell it is


@cache
def printed() -> dict:
    """The tables as printed (`paper.yaml`), untouched."""
    return yaml.safe_load(files("arsr").joinpath("paper.yaml").read_text(encoding="utf-8"))


def recover_count(percent: float, n: int) -> int | None:
    """The integer k with round(100 k / n, 2) = percent, or None where there is none.

    >>> recover_count(53.59, 1530)
    820
    >>> recover_count(53.60, 1530) is None
    True
    """
    count = round(percent * n / 100)
    return count if abs(100 * count / n - percent) <= 0.005 + 1e-9 else None  # half a unit in the last printed place


def table(name: str) -> pd.DataFrame:
    """A table as a tidy pandas frame: what identifies the cell, then accuracy, count, n, low, high, exact.

    `count` is the recovered number of correct clips (missing where the cell is no k/n), [low, high] the 95 %
    Wilson interval in percent; `exact` says whether it rests on a recovered count or on accuracy x n. paper.yaml says
    which tables have no counts or no intervals, and why; `table_b` has printed values only.
    """
    import pandas as pd

    if name not in printed():
        raise InputError(f"paper.table: no table {name!r}; the paper prints {', '.join(printed())}")
    frame = pd.DataFrame(list(_cells(name)))
    return frame.astype({"count": "Int64"}) if "count" in frame else frame


@cache
def records() -> dict[str, Record]:
    """Every printed number as a record, e.g. `table4.sosr.hmdb51.tsn.spatial`."""
    found = []
    for name, data in printed().items():
        place = f"Figure {name[6:]}" if name.startswith("figure") else f"Table {name[5:].lstrip('_')}"
        provenance = Provenance(kind="paper", source=f"{place}, {data['title']}")
        for cell in _cells(name):
            labels = [str(value).lower() for column, value in cell.items() if column not in VALUES]
            extra = {column: cell[column] for column in ("count", "n", "low", "high") if column in cell}
            if "low" in cell:
                extra["interval"] = "Wilson" if cell["exact"] else "Wilson, approximate: no k/n behind this cell"
            for measure in (name for name in UNITS if name in cell):
                key = ".".join([name, *labels, *([measure] if measure != "accuracy" else [])])
                value = dict(value=cell[measure], unit=UNITS[measure], **extra)
                words = f"{data['title']}: {', '.join(labels)}"
                found.append(Record(key=key, description=words, provenance=provenance, **value))
    return {record.key: record for record in found}


def _cells(name: str) -> Iterator[dict]:
    """The cells of a table: what identifies each, then its values."""
    data = printed()[name]
    wider = data.get("reading_error", 0.0)
    for labels, value in _leaves(data["rows"], data.get("last", ())):
        cell = dict(zip(data["labels"], labels, strict=True))
        if isinstance(value, dict):
            yield cell | value
            continue
        n = data["n"]
        n = n if isinstance(n, int) else next(n[label] for label in labels if label in n)
        counted = not wider and not {*labels} & {*data.get("class_means", ())}
        count = recover_count(value, n) if counted else None
        cell |= dict(accuracy=float(value), count=count, n=n)
        if "dependent" not in data:
            low, high = wilson(value * n / 100 if count is None else count, n)
            # rounding may put the printed value a hair outside an interval that ends at 0 or 100 %
            cell |= dict(low=min(low, value) - wider, high=max(high, value) + wider, exact=count is not None)
        yield cell


def _leaves(tree: Any, last: Sequence, above: tuple = ()) -> Iterator[tuple[tuple, float | dict]]:
    """The values of a nested table with the keys on the way to them; `last` has those of lists."""
    if isinstance(tree, list):
        tree = dict(zip(last, tree, strict=True))
    if isinstance(tree, dict) and not tree.keys() <= UNITS.keys():
        for key, below in tree.items():
            yield from _leaves(below, last, (*above, key))
    elif tree is not None:  # SoSR+ToSR has a fusion cell only
        yield above, tree
