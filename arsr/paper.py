"""The paper's printed numbers, with the counts and intervals that they imply.

Source: H. Zhang, D. Liu, Z. Xiong, "Two-Stream Action Recognition-Oriented Video Super-Resolution", ICCV 2019.
"""

from functools import cache
from importlib.resources import files

import yaml

from arsr.records import Provenance, Record, wilson
from arsr_core.errors import InputError

# UCF101's figures are means over classes of unequal size, so no clip count stands behind them
CLASS_MEANS = ("ucf101",)


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


def table(name: str):
    """A table as a tidy pandas frame: what identifies the cell, then accuracy, count, n, low, high, exact.

    `count` is the recovered number of correct clips (missing where the cell is no k/n), [low, high] the 95 %
    Wilson interval in percent; `exact` says whether it rests on a recovered count or on accuracy x n.
    `table_b` has no proportions of n clips: printed values only. `figure6` counts the snippets of one video, which are
    no independent trials: counts without intervals. `figure8` is read off a plot: its intervals are wider by that.
    """
    import pandas as pd

    if name not in _ROWS:
        raise InputError(f"paper.table: no table {name!r}; the paper prints {', '.join(_ROWS)}")
    frame = pd.DataFrame(list(_ROWS[name](printed()[name])))
    if "count" in frame:
        frame["count"] = frame["count"].astype("Int64")
    return frame


@cache
def records() -> dict[str, Record]:
    """Every printed number as a record, e.g. `table4.sosr.hmdb51.tsn.spatial`."""
    found = {}
    for name, rows in _ROWS.items():
        title, where = printed()[name]["title"], _place(name)
        provenance = Provenance(kind="paper", source=f"{where}, {title}")
        for row in rows(printed()[name]):
            labels = [str(row[c]).lower() for c in row if c not in _VALUES]
            measures = [m for m in ("accuracy", "psnr", "ssim") if m in row]
            for measure in measures:
                key = ".".join([name, *labels, *([measure] if measure != "accuracy" else [])])
                found[key] = _record(key, row, measure, f"{title}: {', '.join(labels)}", provenance)
    return found


_VALUES = ("accuracy", "count", "n", "low", "high", "exact", "psnr", "ssim", "case")


def _place(name: str) -> str:
    kind, number = ("Figure", name[6:]) if name.startswith("figure") else ("Table", name[5:].lstrip("_"))
    return f"{kind} {number}"


def _record(key, row, measure, description, provenance) -> Record:
    extra = {}
    if "low" in row:
        kind = "Wilson" if row["exact"] else "Wilson, approximate: no k/n behind this cell"
        extra = {"low": row["low"], "high": row["high"], "interval": kind}
    extra |= {name: row[name] for name in ("count", "n") if name in row}
    unit = {"accuracy": "%", "psnr": "dB", "ssim": ""}[measure]
    return Record(key=key, value=row[measure], unit=unit, description=description, provenance=provenance, **extra)


def _proportion(accuracy: float, n: int, *, decimals: int = 2, counts: bool = True) -> dict:
    count = recover_count(accuracy, n, decimals) if counts else None
    low, high = wilson(accuracy * n / 100 if count is None else count, n)
    # rounding may put the printed value a hair outside an interval that ends at 0 or 100 %
    low, high = min(low, accuracy), max(high, accuracy)
    return dict(accuracy=accuracy, count=count, n=n, low=low, high=high, exact=count is not None)


def _table1(data):
    for row in data["rows"]:
        for method in ("hr", "bicubic", "vdsr"):
            yield dict(action=row["action"], case=row["case"], method=method, **_proportion(row[method], row["n"]))


def _table2(data):
    for row in data["rows"]:
        terms = [row["pixel"], *(t for t in ("feature", "adversarial") if row[t])]
        yield dict(structure=row["structure"], loss="+".join(terms), **_proportion(row["accuracy"], data["n"]))


def _table3(data):
    for row in data["rows"]:
        loss = "warp" if row["warp_loss"] else "plain"
        yield dict(structure=row["structure"], loss=loss, **_proportion(row["accuracy"], data["n"]))


def _table4(data):
    for method, datasets in data["rows"].items():
        for dataset, networks in datasets.items():
            for network, cells in networks.items():
                for stream, accuracy in zip(data["streams"], cells, strict=True):
                    if accuracy is not None:  # SoSR+ToSR has a fusion cell only
                        counts = dataset not in CLASS_MEANS
                        cell = _proportion(accuracy, data["n"][dataset], counts=counts)
                        yield dict(method=method, dataset=dataset, network=network, stream=stream, **cell)


def _table_b(data):
    for method, datasets in data["rows"].items():
        for dataset, values in datasets.items():
            yield dict(method=method, dataset=dataset, **values)


def _figure6(data):
    for method, accuracy in data["rows"].items():
        # snippets of one video are no independent trials: a count, but no interval
        yield dict(method=method, accuracy=float(accuracy), count=recover_count(accuracy, data["n"], 0), n=data["n"])


def _figure8(data):
    for stream, inputs in data["rows"].items():
        for tested_on, values in inputs.items():
            for alpha, accuracy in zip(data["alpha"], values, strict=True):
                cell = _proportion(accuracy, data["n"], counts=False)
                cell |= dict(low=cell["low"] - data["reading_error"], high=cell["high"] + data["reading_error"])
                yield dict(stream=stream, tested_on=tested_on, alpha=alpha, **cell)


_ROWS = {
    "table1": _table1,
    "table2": _table2,
    "table3": _table3,
    "table4": _table4,
    "table_b": _table_b,
    "figure6": _figure6,
    "figure8": _figure8,
}
