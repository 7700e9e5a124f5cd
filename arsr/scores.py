"""Scores of clips in one columnar file, and every table, interval and paired test as a pure function over it.

A row is a clip, a network, a stream and a super-resolution method, with the class scores before softmax:

>>> frame, header = load("scores.parquet")
>>> hr, lr = (select(frame, network="tsn", stream="spatial", method=m) for m in ("hr", "bicubic"))
>>> accuracy(hr), compare(lr, hr)

Intervals are of 95 %. Clips are taken as a sample of independent ones; where they are not, name the column that says
what belongs together (`groups`): whole groups are then drawn (cluster bootstrap; Field and Welsh, 2007). Bootstraps are
percentile ones (Efron and Tibshirani, 1993) with a fixed seed; with few units they cover less than 95 %.
A clip that could not be read counts as wrong; give the rows whose `status` is "ok" to leave such clips out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from arsr.names import SCORES, STREAMS, pair
from arsr.records import Provenance, Record, wilson
from arsr_core.errors import InputError
from arsr_core.files import atomic

KEY = ("dataset", "network", "stream", "method", "protocol", "fold", "clip")  # one row each; also the rows' order
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in KEY),
        ("group", pa.string()),  # clips of one recording or actor
        ("label", pa.int32()),
        ("action", pa.string()),
        ("status", pa.string()),  # ok, unreadable
        ("reason", pa.string()),  # why it is unreadable, else empty
        ("scores", pa.list_(pa.float32())),  # before softmax, one a class; empty where unreadable
    ]
)
RESAMPLES = 9_999

Groups = str | Sequence[str] | None  # columns that name what belongs together: "group", ["label", "group"]


class Header(BaseModel):
    """What the rows of a file have in common; it lies in the file's schema metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: tuple[str, ...]
    protocol: dict
    flow: dict  # method and parameters
    precision: str
    weights: dict[str, str] = {}  # SR method: hash of its weights
    recognisers: dict[str, str] = {}  # network/stream/fold: hash of its weights
    runs: tuple[Provenance, ...]  # one for each machine and commit that added rows

    @field_validator("protocol", "flow", mode="before")
    @classmethod
    def _as_in_a_file(cls, value: dict) -> dict:
        return json.loads(json.dumps(value))  # tuples are lists there

    def joined(self, other: Header) -> Header:
        """Both headers in one; raises InputError where they contradict each other."""
        for name in ("classes", "protocol", "flow", "precision"):
            if getattr(self, name) != getattr(other, name):
                raise InputError(f"scores of another {name}: {getattr(self, name)} and {getattr(other, name)}")
        hashes = {}
        for name in ("weights", "recognisers"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if clash := sorted(k for k in ours.keys() & theirs.keys() if ours[k] != theirs[k]):
                raise InputError(f"scores made with other {name} of {', '.join(clash)}; keep them in another file")
            hashes[name] = dict(sorted((ours | theirs).items()))
        runs = {run.model_dump_json(): run for run in (*self.runs, *other.runs)}
        return self.model_copy(update=hashes | {"runs": tuple(runs[text] for text in sorted(runs))})


# The file ---------------------------------------------------------------------------------------------------


def key(row: dict) -> tuple[str, ...]:
    """What makes a row the only one of its kind: its values in KEY."""
    return tuple(row[name] for name in KEY)


def save(path: str | os.PathLike, rows: pd.DataFrame | Iterable[dict], header: Header) -> Path:
    """Writes a frame, or rows of SCHEMA's columns, in the order of KEY: readers see the old file or the new.

    Raises InputError for a key that occurs twice, a label that is no class, and scores of another length.
    """
    rows = sorted(rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows, key=key)
    for row in rows:
        _check(row, header.classes)
    for one, two in pairwise(rows):
        if key(one) == key(two):
            raise InputError(f"{path}: two rows for {_name(one)}; expected one")
    table = pa.Table.from_pylist(rows, SCHEMA).replace_schema_metadata({"arsr": header.model_dump_json()})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return Path(path)


def load(*paths: str | os.PathLike, header: Header | None = None) -> tuple[pd.DataFrame, Header]:
    """Reads files of scores: -> (frame in the order of KEY, header). header: of rows that are yet to come.

    `scores` holds float32 arrays (classes,); `action` is categorical, with every class in label order. A row that two
    files hold counts once, and one with scores before an unreadable one: a damaged file may have been repaired. Raises
    InputError for scores that contradict each other, and for files that are none.
    """
    frames = [SCHEMA.empty_table().to_pandas()]
    for path in map(Path, paths):
        table, its = _read(path)
        header = its if header is None else header.joined(its)
        frames.append(table.to_pandas())
    if header is None:
        raise InputError("no file of scores was given")
    frame = pd.concat(frames).sort_values([*KEY, "status", "reason"], kind="stable")  # "ok" comes first
    known = frame[frame["status"] == "ok"]
    known = known[~known.assign(scores=known["scores"].map(bytes)).duplicated([*KEY, "scores"])]
    if len(twice := known[known.duplicated(KEY)]):
        files = ", ".join(map(str, paths))
        raise InputError(f"{files}: other scores for {_name(twice.iloc[0])} in one than in another; expected one row")
    frame = frame.drop_duplicates(KEY, ignore_index=True)
    return frame.assign(action=pd.Categorical.from_codes(frame["label"].astype(int), header.classes)), header


def merge(paths: Iterable[str | os.PathLike], target: str | os.PathLike) -> Path:
    """Joins files of scores into one; the result depends on the rows alone, not on how files share them."""
    return save(target, *load(*sorted(map(Path, paths))))


def _read(path: Path) -> tuple[pa.Table, Header]:
    if not path.is_file():
        raise InputError(f"{path}: no such file of scores; 'arsr evaluate' writes it")
    try:
        table = pq.read_table(path)
        header = Header.model_validate_json((table.schema.metadata or {})[b"arsr"])
        return table.select(SCHEMA.names).cast(SCHEMA), header
    except (pa.ArrowException, OSError, KeyError, ValidationError, json.JSONDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a file of scores ({reason}); write it again with 'arsr evaluate'") from error


def _check(row: dict, classes: Sequence[str]) -> None:
    label, scores = row["label"], row["scores"]
    if not 0 <= label < len(classes) or classes[label] != row["action"]:
        raise InputError(f"{_name(row)}: label {label} ({row['action']}) is none of the {len(classes)} classes")
    if row["stream"] not in SCORES or row["status"] not in ("ok", "unreadable"):
        raise InputError(f"{_name(row)}: stream {row['stream']!r}, status {row['status']!r}; expected {SCORES}, ok")
    if row["status"] == "unreadable" and (len(scores) or not row["reason"]):
        raise InputError(f"{_name(row)}: an unreadable clip has a reason and no scores")
    if row["status"] == "ok" and (len(scores) != len(classes) or not np.isfinite(scores).all()):
        raise InputError(f"{_name(row)}: expected {len(classes)} finite scores, got {np.asarray(scores).tolist()[:4]}")


def _name(row: dict | pd.Series) -> str:
    return "/".join(str(row[name]) for name in ("network", "stream", "method", "fold", "clip") if row[name])


# One row a clip ---------------------------------------------------------------------------------------------


def select(frame: pd.DataFrame, **columns: str) -> pd.DataFrame:
    """The rows with these values in these columns, one a clip; raises InputError if it is none or several.

    >>> select(frame, network="tsn", stream="spatial", method="vdsr")
    """
    for name, value in columns.items():
        chosen = frame[frame[name] == value]
        if chosen.empty:
            there = ", ".join(map(str, sorted(frame[name].unique())))
            raise InputError(f"scores: no rows with {name} {value!r}; there are {there}")
        frame = chosen
    if frame["clip"].duplicated().any():
        several = [name for name in KEY if name != "clip" and frame[name].nunique() > 1]
        raise InputError(f"scores: several rows a clip; choose one {' and one '.join(several)}")
    return frame.sort_values("clip", ignore_index=True)


def fused(spatial: pd.DataFrame, temporal: pd.DataFrame, weights: tuple[float, float] = (1.0, 1.5)) -> pd.DataFrame:
    """Late fusion, `recognition.fuse` of two streams' scores: rows as `select` gives them, of the same clips.

    The streams may come from two methods (SoSR + ToSR). A clip that either stream lacks is unreadable.
    """
    from arsr_core.recognition import fuse

    spatial, temporal = _paired(spatial, temporal, "network", "protocol")
    both = (spatial["status"] == "ok") & (temporal["status"] == "ok")
    joint = [
        np.asarray(fuse(s, t, weights) if ok else [], np.float32)
        for s, t, ok in zip(spatial["scores"], temporal["scores"], both, strict=True)
    ]
    methods = [s if s == t else f"{s}+{t}" for s, t in zip(spatial["method"], temporal["method"], strict=True)]
    reason = spatial["reason"].where(spatial["reason"] != "", temporal["reason"])
    status = np.where(both, "ok", "unreadable")
    return spatial.assign(stream="fused", method=methods, status=status, reason=reason, scores=pd.Series(joint))


def rows_of(
    frame: pd.DataFrame, method: str, stream: str, weights: tuple[float, float] = (1.0, 1.5)
) -> pd.DataFrame | None:
    """One row a clip of a method in a stream, None where there are none: stored, or fused from stored streams.

    method: of one network and data set, or a pair as "sosr+tosr", spatial and temporal.
    """
    there = set(zip(frame["method"], frame["stream"], strict=True))
    if (method, stream) in there:
        return select(frame, method=method, stream=stream)
    coupled = (method, "spatial") in there  # of a network whose streams see each other
    both = tuple(zip((method, method) if coupled else pair(method), STREAMS, strict=True))
    if stream != "fused" or not there.issuperset(both):
        return None
    return fused(*(select(frame, method=m, stream=s) for m, s in both), weights).assign(method=method)


def predicted(frame: pd.DataFrame) -> np.ndarray:
    """The class of the highest score, -1 for an unreadable clip: (clips,)."""
    return np.array([int(np.argmax(s)) if len(s) else -1 for s in frame["scores"]], int)


def correct(frame: pd.DataFrame) -> np.ndarray:
    """Whether the highest score is the true class's, never for an unreadable clip: bool (clips,)."""
    return predicted(frame) == frame["label"].to_numpy()


def log_probability(frame: pd.DataFrame) -> np.ndarray:
    """log softmax(scores)[true class], nan for an unreadable clip: float64 (clips,)."""
    from scipy.special import log_softmax

    pairs = zip(frame["scores"], frame["label"], strict=True)
    return np.array([log_softmax(s.astype(float))[label] if len(s) else np.nan for s, label in pairs])


BY_CLIP = {"accuracy": ("points", lambda frame: 100.0 * correct(frame)), "log-probability": ("", log_probability)}


# How good one method is -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """A number with its 95 % interval; `note` says what became of unreadable clips."""

    value: float
    low: float
    high: float
    interval: str
    n: int  # clips
    unit: str = "%"
    count: int | None = None  # correct clips
    p: float | None = None  # of "no difference", two-sided
    unreadable: int = 0
    note: str = ""

    @classmethod
    def within(cls, value: float, bounds: tuple[float, float], interval: str, n: int, **more: Any) -> Measure:
        """The measure with an interval that holds its value, which rounding or few draws may have left outside."""
        return cls(value, min(bounds[0], value), max(bounds[1], value), interval, n, **more)

    def record(self, key: str, description: str, provenance: Provenance) -> Record:
        """The measure as a record, its note in the description."""
        text = description + (f" ({self.note})" if self.note else "")
        fields = {name: getattr(self, name) for name in ("value", "low", "high", "interval", "n", "unit", "count")}
        return Record(key=key, description=text, provenance=provenance, **fields)


BOUNDS = ("value", "low", "high", "interval")  # of a measure, as a table has them
OVERALL = (*BOUNDS, "count", "n", "unreadable", "note")


def accuracy(frame: pd.DataFrame, *, groups: Groups = None) -> Measure:
    """Share of clips whose highest score is the true class, with Wilson's interval (1927). frame: one row a clip.

    groups: of clips that are not independent; the interval is then a bootstrap's over them.
    """
    right, n = correct(_one_a_clip(frame)), len(frame)
    count = int(right.sum())
    bounds, interval = wilson(count, n), "Wilson"
    if groups is not None:
        drawn, of = _resampled(np.stack([right, np.ones(n)], 1), _units(frame, groups)).T
        bounds, interval = _percentiles(100 * drawn / of), "bootstrap over groups"
    return Measure.within(100 * count / n, bounds, interval, n, count=count, **_lost(frame["status"] == "ok"))


def class_accuracy(frame: pd.DataFrame, *, groups: Groups = None, present_only: bool = False) -> Measure:
    """Mean over the classes of each one's accuracy, with a bootstrap's interval over clips, or over groups of them.

    A class that a draw misses is left out of its mean. present_only: leave out classes without clips; otherwise they
    are an InputError.
    """
    classes = _one_a_clip(frame)["action"].cat.categories
    sizes = np.bincount(frame["label"], minlength=len(classes))
    if not sizes.all() and not present_only:
        absent = ", ".join(classes[sizes == 0])
        raise InputError(f"class_accuracy: no clips of {absent}; evaluate them, or ask for present classes only")
    one_hot = np.eye(len(classes))[frame["label"]]  # (clips, classes)
    right = one_hot * correct(frame)[:, None]
    value = 100 * float(np.mean(right.sum(0)[sizes > 0] / sizes[sizes > 0]))
    drawn = _resampled(np.concatenate([right, one_hot], 1), _units(frame, groups))  # (resamples, 2 x classes)
    right, sizes = np.split(drawn, 2, 1)
    means = 100 * np.nanmean(np.divide(right, sizes, out=np.full_like(right, np.nan), where=sizes > 0), 1)
    interval = f"bootstrap over {'clips' if groups is None else 'groups'}"
    return Measure.within(value, _percentiles(means), interval, len(frame), **_lost(frame["status"] == "ok"))


def per_class(frame: pd.DataFrame) -> pd.DataFrame:
    """action, n, count, accuracy, low, high (Wilson, percent), unreadable; nan where a class has no clips."""
    classes = _one_a_clip(frame)["action"].cat.categories
    n, count, lost = (
        np.bincount(frame["label"], weights, len(classes)).astype(int)
        for weights in (None, correct(frame), frame["status"] != "ok")
    )
    low, high = np.transpose([wilson(k, of) if of else (np.nan, np.nan) for k, of in zip(count, n, strict=True)])
    accuracy = 100 * np.divide(count, n, out=np.full(len(n), np.nan), where=n > 0)
    return pd.DataFrame(dict(action=classes, n=n, count=count, accuracy=accuracy, low=low, high=high, unreadable=lost))


def confusion(frame: pd.DataFrame) -> pd.DataFrame:
    """Clips of each class (rows) by the class they were taken for (columns), the last column: unreadable."""
    classes = [*frame["action"].cat.categories, "unreadable"]
    counts = np.zeros((len(classes) - 1, len(classes)), int)
    np.add.at(counts, (frame["label"].to_numpy(), predicted(frame)), 1)  # -1 is the last column
    return pd.DataFrame(counts, pd.Index(classes[:-1], name="true"), pd.Index(classes, name="predicted"))


def fusion_sweep(
    spatial: pd.DataFrame, temporal: pd.DataFrame, shares: Sequence[float] = tuple(i / 20 for i in range(21))
) -> pd.DataFrame:
    """Accuracy of late fusion by the temporal stream's share of the weight; 1:1.5 is a share of 0.6."""
    found = [{"share": s} | asdict(accuracy(fused(spatial, temporal, (1 - s, s)))) for s in shares]
    return pd.DataFrame(found).rename(columns={"value": "accuracy"})


def table(
    frame: pd.DataFrame,
    *,
    pairs: Sequence[str] = (),
    weights: tuple[float, float] = (1.0, 1.5),
    groups: Groups = None,
    present_only: bool = False,
) -> pd.DataFrame:
    """Every network, method and stream of a frame as a tidy table: overall and mean class accuracy, intervals.

    Late fusion joins where a method has both streams, and for `pairs` such as "sosr+tosr". Stored fusion scores, of a
    trained fusion, are taken as they are. HR comes first, then single methods, then pairs.
    """
    found, missing = [], set(pairs)
    for place, part in frame.groupby(["dataset", "network", "protocol"], sort=True):
        methods = sorted({*part["method"], *pairs}, key=lambda method: (method != "hr", "+" in method, method))
        for method in methods:
            for stream in SCORES:
                if (rows := rows_of(part, method, stream, weights)) is None:
                    continue
                missing.discard(method)
                overall = accuracy(rows, groups=groups)
                mean = class_accuracy(rows, groups=groups, present_only=present_only)
                found.append((*place, method, stream, *attrgetter(*OVERALL)(overall), *attrgetter(*BOUNDS)(mean)))
    if missing:
        raise InputError(f"table: no network has both streams of {', '.join(sorted(missing))}; evaluate them first")
    columns = ["dataset", "network", "protocol", "method", "stream", "accuracy", *OVERALL[1:]]
    return pd.DataFrame(found, columns=[*columns, "class_accuracy", *(f"class_{name}" for name in BOUNDS[1:])])


def records(table: pd.DataFrame, provenance: Provenance, prefix: str = "accuracy") -> list[Record]:
    """A `table` as records: PREFIX.DATASET.NETWORK.METHOD.STREAM, and the same with `.class-mean`."""
    found = []
    for row in table.to_dict("records"):
        parts = (row["dataset"], row["network"], row["method"], row["stream"])
        key = ".".join((prefix, *(str(part).lower() for part in parts)))
        what = "accuracy on {}, {}: {}, {} stream".format(*parts) + f", protocol {row['protocol']}"
        overall = Measure(row["accuracy"], **{name: row[name] for name in OVERALL[1:]})
        bounds = {name: row[f"class_{name}"] for name in BOUNDS[1:]}
        mean = replace(overall, value=row["class_accuracy"], count=None, **bounds)
        found.append(overall.record(key, f"overall {what}", provenance))
        found.append(mean.record(f"{key}.class-mean", f"mean class {what}", provenance))
    return found


# One method against another ---------------------------------------------------------------------------------


class McNemar(NamedTuple):
    """Clips that only one of two methods gets right, and the exact test's p of "equally many"."""

    only_a: int
    only_b: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """Method a minus method b on the same clips."""

    accuracy: Measure  # in points, paired bootstrap
    mcnemar: McNemar
    log_probability: Measure  # of the true class, in nats; unreadable clips have none and are left out

    def records(self, key: str, description: str, provenance: Provenance) -> list[Record]:
        """KEY.accuracy, KEY.log-probability, and what is improbable without a difference: KEY.p-mcnemar, KEY.p."""
        common = dict(n=self.accuracy.n, provenance=provenance)
        exact, drawn = f"p of exact McNemar test: {description}", f"p of paired bootstrap: {description}"
        nats = f"true class's log-probability in nats, {description}"
        return [
            self.accuracy.record(f"{key}.accuracy", f"accuracy, {description}", provenance),
            self.log_probability.record(f"{key}.log-probability", nats, provenance),
            Record(key=f"{key}.p-mcnemar", value=self.mcnemar.p, description=exact, **common),
            Record(key=f"{key}.p", value=self.log_probability.p, description=drawn, **common),
        ]


def compare(a: pd.DataFrame, b: pd.DataFrame, *, groups: Groups = None) -> Comparison:
    """Paired tests of two methods on the same clips, each one row a clip: differences are a - b.

    groups: for the bootstrap; McNemar's test takes clips as independent.
    """
    points, nats = (paired_bootstrap(a, b, of=measure, groups=groups) for measure in BY_CLIP)
    return Comparison(points, mcnemar(a, b), nats)


def mcnemar(a: pd.DataFrame, b: pd.DataFrame) -> McNemar:
    """McNemar's test (1947), exact: of the clips that only one method gets right, each method has half by chance."""
    from statsmodels.stats.contingency_tables import mcnemar as exact

    right_a, right_b = map(correct, _paired(a, b))
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return McNemar(only_a, only_b, float(exact([[0, only_a], [only_b, 0]], exact=True).pvalue))


def paired_bootstrap(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    of: Literal["accuracy", "log-probability"] = "log-probability",
    groups: Groups = None,
) -> Measure:
    """Mean difference a - b over clips, of="accuracy" (points) or "log-probability" (of the true class, nats).

    Clips, or groups of them, are drawn with both methods' results. p is twice the smaller share of resamples on one
    side of zero, zero itself included. A clip that either method could not read has no log-probability: it is left out.
    """
    a, b = _paired(a, b)
    unit, by_clip = BY_CLIP[of]
    difference = by_clip(a) - by_clip(b)
    known = ~np.isnan(difference)
    if not known.any():
        raise InputError("scores: no clip with scores of both methods; expected one or more")
    lost = _lost((a["status"] == "ok") & (b["status"] == "ok"), "counted as wrong" if known.all() else "left out")
    a, difference = a[known], difference[known]
    drawn = _resampled(np.stack([difference, np.ones(len(a))], 1), _units(a, groups))
    means, value = drawn[:, 0] / drawn[:, 1], float(difference.mean())
    slack = 1e-9 * max(1.0, np.abs(difference).max())  # sums that are zero but for rounding
    tail = min((means <= slack).sum(), (means >= -slack).sum())
    p = min(1.0, 2 * (1 + int(tail)) / (1 + RESAMPLES))
    interval = f"paired bootstrap over {'clips' if groups is None else 'groups'}"
    return Measure.within(value, _percentiles(means), interval, len(a), unit=unit, p=p, **lost)


# Shared by them ---------------------------------------------------------------------------------------------


def _one_a_clip(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        raise InputError("scores: no clip; expected one or more")
    if frame["clip"].duplicated().any():
        raise InputError("scores: several rows a clip; choose with scores.select(frame, network=, stream=, method=)")
    return frame


def _lost(ok: pd.Series, became: str = "counted as wrong") -> dict:
    """How many clips have no scores, in numbers and in words; ok: bool (clips,)."""
    lost = int((~ok).sum())
    return dict(unreadable=lost, note=f"{lost} unreadable clips {became}" if lost else "")


def _paired(a: pd.DataFrame, b: pd.DataFrame, *same: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both frames in the order of their clips, which must be the same, as must the columns `same`."""
    a, b = (frame.sort_values("clip", ignore_index=True) for frame in (a, b))
    if a.empty or not a["clip"].equals(b["clip"]) or a["clip"].duplicated().any():
        alone = len(set(a["clip"]) ^ set(b["clip"]))
        raise InputError(f"scores: expected the same clips once each, got {len(a)} and {len(b)} rows, {alone} unpaired")
    for name in ("dataset", "label", "fold", *same):
        if not a[name].equals(b[name]):
            raise InputError(f"scores: the two sets of rows differ in {name}; expected the same")
    return a, b


def _units(frame: pd.DataFrame, groups: Groups) -> np.ndarray:
    """The number of the unit that each clip is drawn with: (clips,)."""
    if groups is None:
        return np.arange(len(frame))
    names = [groups] if isinstance(groups, str) else list(groups)
    if unknown := [name for name in names if name not in frame]:
        raise InputError(f"scores: no column {', '.join(unknown)} to group by; expected some of {', '.join(frame)}")
    return frame.groupby(names, observed=True).ngroup().to_numpy()


def _resampled(values: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Sums of values (clips, K) over as many units, drawn with replacement: (RESAMPLES, K), fixed seed."""
    totals = pd.DataFrame(values).groupby(units).sum().to_numpy()  # (units, K)
    # equal units are exchangeable: drawing how often each distinct one comes is the same, and far less work
    distinct, counts = np.unique(totals, axis=0, return_counts=True)
    rng = np.random.default_rng(0)
    parts = np.array_split(np.arange(RESAMPLES), 1 + len(distinct) // 500)  # bounds memory
    return np.concatenate([rng.multinomial(len(totals), counts / len(totals), len(part)) @ distinct for part in parts])


def _percentiles(draws: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of a bootstrap's draws."""
    return tuple(np.percentile(draws, (2.5, 97.5)).tolist())
