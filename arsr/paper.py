"""The paper's printed numbers, with the counts and intervals that they imply.

Source: H. Zhang, D. Liu, Z. Xiong, "Two-Stream Action Recognition-Oriented Video Super-Resolution", ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import product
from typing import TYPE_CHECKING

import yaml

from arsr.records import Provenance, Record, wilson
from arsr_core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

# UCF101's figures are means over classes of unequal size, so no clip count stands behind them
CLASS_MEANS = ("ucf101",)
UNITS = {"accuracy": "%", "psnr": "dB", "ssim": ""}  # of what a cell may print
VALUES = (*UNITS, "count", "n", "low", "high", "exact", "case")  # all else says which cell it is


@cache
def printed() -> dict:
    """The tables as printed (`paper.yaml`), untouched."""
    return yaml.safe_load(files("arsr").joinpath("paper.yaml").read_text(encoding="utf-8"))


def recover_count(percent: float, n: int, decimals: int = 2) -> int | None:
    """The integer k with round(100 k / n, decimals) = percent, or None where there is none.

    >>> recover_count(53.59, 1530)
    820
    >>> recover_count(53.60, 1530) is None
    True
    """
    count = round(percent * n / 100)
    half = 0.5 * 10**-decimals + 1e-9  # half a unit in the last printed place
    return count if abs(100 * count / n - percent) <= half else None


def table(name: str) -> pd.DataFrame:
    """A table as a tidy pandas frame: what identifies the cell, then accuracy, count, n, low, high, exact.

    `count` is the recovered number of correct clips (missing where the cell is no k/n), [low, high] the 95 %
    Wilson interval in percent; `exact` says whether it rests on a recovered count or on accuracy x n.
    `table_b` has no proportions of n clips: printed values only. `figure6` counts the snippets of one video, which are
    no independent trials: counts without intervals. `figure8` is read off a plot: its intervals are wider by that.
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
    rows, n = data["rows"], data.get("n")
    match name:
        case "table1":
            for row, method in product(rows, ("hr", "bicubic", "vdsr")):
                yield dict(action=row["action"], case=row["case"], method=method) | _proportion(row[method], row["n"])
        case "table2":
            for row in rows:
                loss = "+".join([row["pixel"], *(term for term in ("feature", "adversarial") if row[term])])
                yield dict(structure=row["structure"], loss=loss) | _proportion(row["accuracy"], n)
        case "table3":
            for row in rows:
                loss = "warp" if row["warp_loss"] else "plain"
                yield dict(structure=row["structure"], loss=loss) | _proportion(row["accuracy"], n)
        case "table4":
            for (method, dataset, network), accuracies in _leaves(rows, 3):
                for stream, accuracy in zip(data["streams"], accuracies, strict=True):
                    if accuracy is not None:  # SoSR+ToSR has a fusion cell only
                        cell = dict(method=method, dataset=dataset, network=network, stream=stream)
                        yield cell | _proportion(accuracy, n[dataset], counts=dataset not in CLASS_MEANS)
        case "table_b":
            for (method, dataset), values in _leaves(rows, 2):
                yield dict(method=method, dataset=dataset) | values
        case "figure6":
            for method, accuracy in rows.items():
                yield dict(method=method, accuracy=float(accuracy), count=recover_count(accuracy, n, 0), n=n)
        case "figure8":
            for (stream, tested_on), accuracies in _leaves(rows, 2):
                for alpha, accuracy in zip(data["alpha"], accuracies, strict=True):
                    cell = _proportion(accuracy, n, counts=False, wider=data["reading_error"])
                    yield dict(stream=stream, tested_on=tested_on, alpha=alpha) | cell


def _leaves(tree: dict, depth: int) -> Iterator[tuple[tuple[str, ...], list | dict]]:
    """What lies `depth` keys deep in nested dicts, with the keys on the way."""
    for key, below in tree.items():
        for keys, leaf in _leaves(below, depth - 1) if depth > 1 else [((), below)]:
            yield (key, *keys), leaf


def _proportion(accuracy: float, n: int, *, counts: bool = True, wider: float = 0.0) -> dict:
    """A share of n clips in percent, with the count behind it where there is one, and Wilson's interval."""
    count = recover_count(accuracy, n) if counts else None
    low, high = wilson(accuracy * n / 100 if count is None else count, n)
    # rounding may put the printed value a hair outside an interval that ends at 0 or 100 %
    low, high = min(low, accuracy) - wider, max(high, accuracy) + wider
    return dict(accuracy=accuracy, count=count, n=n, low=low, high=high, exact=count is not None)
