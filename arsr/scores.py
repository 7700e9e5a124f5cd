"""Scores of clips in one columnar file, and every table, interval and paired test as a pure function over it.

A row is a clip, a network, a stream and a super-resolution method, with the class scores before softmax:

>>> frame, header = load("scores.parquet")
>>> hr, lr = (select(frame, network="tsn", stream="spatial", method=m) for m in ("hr", "bicubic"))
>>> accuracy(hr), paired_bootstrap(lr, hr)

Intervals are of 95 %. Clips are taken as a sample of independent ones; where they are not, name the column that says
what belongs together (`groups`): whole groups are then drawn (cluster bootstrap; Field and Welsh, 2007). Bootstraps are
percentile ones (Efron and Tibshirani, 1993) with a fixed seed; with few units they cover less than 95 %.
A clip that could not be read counts as wrong; give the rows whose `status` is "ok" to leave such clips out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from annotated_types import MinLen
from pydantic import AfterValidator, BaseModel, ConfigDict

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
HASHES = ("weights", "recognisers", "clips")  # in a header, of what rows are made of
RESAMPLES = 9_999


def _once(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len({*classes}) < len(classes):
        raise ValueError("a class comes twice")
    return classes


class Header(BaseModel):
    """What the rows of a file have in common; it lies in the file's schema metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: Annotated[tuple[str, ...], MinLen(1), AfterValidator(_once)]
    protocol: dict
    flow: dict  # method and parameters
    precision: str
    weights: dict[str, str] = {}  # SR method: hash of its weights
    recognisers: dict[str, str] = {}  # network/stream/fold: hash of its weights
    clips: dict[str, str] = {}  # clip: hash of its file
    runs: tuple[Provenance, ...]  # one for each machine and commit that added rows

    def joined(self, other: Header) -> Header:
        """Both headers in one; raises InputError where they contradict each other."""
        ours, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")  # tuples are lists, as in a file
        for name in ("classes", "protocol", "flow", "precision"):
            if ours[name] != theirs[name]:
                raise InputError(f"scores of another {name}: {ours[name]} and {theirs[name]}")
        for name in HASHES:
            if clash := sorted(k for k in ours[name].keys() & theirs[name].keys() if ours[name][k] != theirs[name][k]):
                raise InputError(f"scores made with other {name} of {', '.join(clash)}; keep them in another file")
        hashes = {name: dict(sorted((ours[name] | theirs[name]).items())) for name in HASHES}
        runs = {run.model_dump_json(): run for run in (*self.runs, *other.runs)}
        return self.model_copy(update=hashes | {"runs": tuple(runs[text] for text in sorted(runs))})

    def of(self, rows: Iterable[dict]) -> Header:
        """With the clips of these rows alone, but for unreadable ones, which may be repaired."""
        seen = {row["clip"] for row in rows if row["status"] == "ok"}
        return self.model_copy(update={"clips": {clip: its for clip, its in self.clips.items() if clip in seen}})


# The file ---------------------------------------------------------------------------------------------------


def key(row: dict) -> tuple[str, ...]:
    """What makes a row the only one of its kind: its values in KEY."""
    return tuple(row[name] for name in KEY)


def save(path: str | os.PathLike, rows: pd.DataFrame | Iterable[dict], header: Header) -> Path:
    """Writes a frame, or rows of SCHEMA's columns, in the order of KEY: readers see the old file or the new.

    Raises InputError for a key that occurs twice, a label that is no class, and scores of another length.
    """
    rows = sorted(rows.to_dict("records") if isinstance(rows, pd.DataFrame) else rows, key=key)
    _check(pd.DataFrame(rows, columns=SCHEMA.names), header.classes)
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
    InputError for scores that contradict each other, for files that are none, and as `save` does.
    """
    frames = [SCHEMA.empty_table().to_pandas()]
    for path in map(Path, paths):
        rows, its = _read(path)
        header = its if header is None else header.joined(its)
        frames.append(rows)
    if header is None:
        raise InputError("no file of scores was given")
    frame = pd.concat(frames).sort_values([*KEY, "status", "reason"], kind="stable")  # "ok" comes first
    known = frame[frame["status"] == "ok"]
    known = known.assign(scores=known["scores"].map(bytes)).drop_duplicates([*KEY, "scores"])
    if len(twice := known[known.duplicated(KEY)]):
        files = ", ".join(map(str, paths))
        raise InputError(f"{files}: other scores for {_name(twice.iloc[0])} in one than in another; expected one row")
    frame = frame.drop_duplicates(KEY, ignore_index=True)
    return frame.assign(action=pd.Categorical.from_codes(frame["label"].astype(int), header.classes)), header


def _read(path: Path) -> tuple[pd.DataFrame, Header]:
    if not path.is_file():
        what = "a folder, or no plain file" if path.exists() else "no such file of scores"
        raise InputError(f"{path}: {what}; 'arsr evaluate' writes it")
    try:
        table = pq.read_table(path)
        header = Header.model_validate_json((table.schema.metadata or {})[b"arsr"])
        table = table.select(SCHEMA.names).cast(SCHEMA)
        if lacking := [name for name in SCHEMA.names if table[name].null_count] or ["rows"] * (not len(table)):
            raise InputError(f"no {lacking[0]} in it")
        rows = table.to_pandas()
        _check(rows, header.classes)
        return rows, header
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a file of scores ({reason}); write it again with 'arsr evaluate'") from error


def _check(rows: pd.DataFrame, classes: Sequence[str]) -> None:
    """InputError for the first row that is none: SCHEMA says what one holds, classes what label and scores mean."""
    named, ok = rows["label"].map(dict(enumerate(classes))), rows["status"] == "ok"
    whole = [len(s) == len(classes) and np.isfinite(s).all() for s in rows["scores"]]
    faults = {
        f"label {{label}} ({{action}}) is none of the {len(classes)} classes": named != rows["action"],
        f"stream {{stream!r}}; expected one of {', '.join(SCORES)}": ~rows["stream"].isin(SCORES),
        "status {status!r}; expected ok or unreadable": ~rows["status"].isin(("ok", "unreadable")),
        "an unreadable clip has a reason and no scores": ~ok & (rows["scores"].map(len).gt(0) | rows["reason"].eq("")),
        f"expected {len(classes)} finite scores, got {{scores}}": ok & ~np.array(whole, bool),
    }
    for words, wrong in faults.items():
        if wrong.any():
            row = rows[wrong].iloc[0].to_dict()
            raise InputError(f"{_name(row)}: " + words.format_map(row | {"scores": list(row["scores"])[:4]}))


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


def rows_of(frame: pd.DataFrame, method: str, stream: str) -> pd.DataFrame | None:
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
    return fused(*(select(frame, method=m, stream=s) for m, s in both)).assign(method=method)


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


class Measure(NamedTuple):
    """A number with its 95 % interval, of n clips; unit: "%", "points", or "" of a log-probability."""

    value: float
    low: float
    high: float
    interval: str
    n: int
    count: int | None = None  # correct clips
    unreadable: int = 0  # they count as wrong, and have no log-probability: it leaves them out
    unit: str = "%"
    p: float | None = None  # of "no difference", two-sided

    def record(self, key: str, description: str, provenance: Provenance) -> Record:
        """The measure as a record, whose description says what became of unreadable clips."""
        if self.unreadable:
            description += f" ({self.unreadable} unreadable clips {'counted as wrong' if self.unit else 'left out'})"
        named = {name: value for name, value in self._asdict().items() if name not in ("unreadable", "p")}
        return Record(key=key, description=description, provenance=provenance, **named)


OVERALL = ("accuracy", *Measure._fields[1:7])  # a measure's first fields, as columns of a table
BY_CLASS = ("class_accuracy", "class_low", "class_high", "class_interval")


def accuracy(frame: pd.DataFrame, *, groups: str | None = None) -> Measure:
    """Share of clips whose highest score is the true class, with Wilson's interval (1927). frame: one row a clip.

    groups: of clips that are not independent; the interval is then a bootstrap's over them.
    """
    right, n = correct(_one_a_clip(frame)), len(frame)
    count = int(right.sum())
    value, bounds, interval = 100 * count / n, wilson(count, n), "Wilson"
    if groups:
        bounds, interval = _bounds(value, _means(100 * right, frame, groups)), "bootstrap over groups"
    return Measure(value, *bounds, interval, n, count, _unreadable(frame))


def class_accuracy(frame: pd.DataFrame, *, groups: str | None = None, present_only: bool = False) -> Measure:
    """Mean over the classes of each one's accuracy, with a bootstrap's interval over clips, or over groups of them.

    A class that a draw misses is left out of its mean. present_only: leave out classes without clips; otherwise they
    are an InputError.
    """
    classes = _one_a_clip(frame)["action"].cat.categories
    sizes = np.bincount(frame["label"], minlength=len(classes))
    if not sizes.all() and not present_only:
        absent = ", ".join(classes[sizes == 0])
        raise InputError(f"class_accuracy: no clips of {absent}; evaluate them, or take what there is (--present-only)")
    one_hot = np.eye(len(classes))[frame["label"]]  # (clips, classes)
    right = one_hot * correct(frame)[:, None]
    value = 100 * float(np.mean(right.sum(0)[sizes > 0] / sizes[sizes > 0]))
    right, sizes = np.split(_resampled(np.concatenate([right, one_hot], 1), frame, groups), 2, 1)
    means = 100 * np.nanmean(np.divide(right, sizes, out=np.full_like(right, np.nan), where=sizes > 0), 1)
    interval = f"bootstrap over {'groups' if groups else 'clips'}"
    return Measure(value, *_bounds(value, means), interval, len(frame), unreadable=_unreadable(frame))


def table(
    frame: pd.DataFrame, *, pairs: Sequence[str] = (), groups: str | None = None, present_only: bool = False
) -> pd.DataFrame:
    """Every network, method and stream of a frame as a tidy table: overall and mean class accuracy, intervals.

    Late fusion joins where a method has both streams, and for `pairs` such as "sosr+tosr". Stored fusion scores, of a
    trained fusion, are taken as they are. HR comes first, then single methods, then pairs.
    """
    found, missing = [], set(pairs)
    for place, part in frame.groupby(["dataset", "network", "protocol"], sort=True):
        methods = sorted({*part["method"], *pairs}, key=lambda method: (method != "hr", "+" in method, method))
        for method, stream in product(methods, SCORES):
            if (rows := rows_of(part, method, stream)) is not None:
                missing.discard(method)
                overall = accuracy(rows, groups=groups)
                mean = class_accuracy(rows, groups=groups, present_only=present_only)
                found.append((*place, method, stream, *overall[: len(OVERALL)], *mean[: len(BY_CLASS)]))
    if missing:
        raise InputError(f"table: no network has both streams of {', '.join(sorted(missing))}; evaluate them first")
    return pd.DataFrame(found, columns=["dataset", "network", "protocol", "method", "stream", *OVERALL, *BY_CLASS])


def records(table: pd.DataFrame, provenance: Provenance, prefix: str = "accuracy") -> list[Record]:
    """A `table` as records: PREFIX.DATASET.NETWORK.METHOD.STREAM, and the same with `.class-mean`."""
    found = []
    for row in table.to_dict("records"):
        parts = [str(row[name]) for name in ("dataset", "network", "method", "stream")]
        key = ".".join((prefix, *map(str.lower, parts)))
        what = "accuracy on {}, {}: {}, {} stream".format(*parts) + f", protocol {row['protocol']}"
        overall = Measure(*(row[name] for name in OVERALL))
        mean = Measure(*(row[name] for name in BY_CLASS), row["n"], unreadable=row["unreadable"])
        found.append(overall.record(key, f"overall {what}", provenance))
        found.append(mean.record(f"{key}.class-mean", f"mean class {what}", provenance))
    return found


# One method against another ---------------------------------------------------------------------------------


def compare(
    a: pd.DataFrame, b: pd.DataFrame, key: str, description: str, provenance: Provenance, *, groups: str | None = None
) -> list[Record]:
    """Paired tests of two methods on the same clips, each one row a clip: differences are a - b.

    KEY.accuracy, in points, KEY.log-probability of the true class, and what is improbable without a difference: KEY.p
    and KEY.p-mcnemar. groups: for the bootstrap; McNemar's test takes clips as independent.
    """
    points, nats = (paired_bootstrap(a, b, of=measure, groups=groups) for measure in BY_CLIP)
    exact, drawn = f"p of exact McNemar test: {description}", f"p of paired bootstrap: {description}"
    common = dict(n=points.n, provenance=provenance)
    return [
        points.record(f"{key}.accuracy", f"accuracy, {description}", provenance),
        nats.record(f"{key}.log-probability", f"true class's log-probability in nats, {description}", provenance),
        Record(key=f"{key}.p-mcnemar", value=mcnemar(a, b)[2], description=exact, **common),
        Record(key=f"{key}.p", value=nats.p, description=drawn, **common),
    ]


def mcnemar(a: pd.DataFrame, b: pd.DataFrame) -> tuple[int, int, float]:
    """McNemar's test (1947), exact: of the clips that only one method gets right, each method has half by chance.

    -> (clips that only a gets right, clips that only b does, p)
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact

    right_a, right_b = map(correct, _paired(a, b))
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return only_a, only_b, float(exact([[0, only_a], [only_b, 0]], exact=True).pvalue)


def paired_bootstrap(
    a: pd.DataFrame, b: pd.DataFrame, *, of: str = "log-probability", groups: str | None = None
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
    lost, a, difference = _unreadable(a, b), a[known], difference[known]
    means, value = _means(difference, a, groups), float(difference.mean())
    slack = 1e-9 * max(1.0, np.abs(difference).max())  # sums that are zero but for rounding
    tail = min((means <= slack).sum(), (means >= -slack).sum())
    p = min(1.0, 2 * (1 + int(tail)) / (1 + RESAMPLES))
    interval = f"paired bootstrap over {'groups' if groups else 'clips'}"
    return Measure(value, *_bounds(value, means), interval, len(a), unreadable=lost, unit=unit, p=p)


# Shared by them ---------------------------------------------------------------------------------------------


def _one_a_clip(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        raise InputError("scores: no clip; expected one or more")
    if frame["clip"].duplicated().any():
        raise InputError("scores: several rows a clip; choose with scores.select(frame, network=, stream=, method=)")
    return frame


def _unreadable(*frames: pd.DataFrame) -> int:
    """How many clips lack scores in one of the frames."""
    return int(np.any([frame["status"] != "ok" for frame in frames], axis=0).sum())


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


def _resampled(values: np.ndarray, frame: pd.DataFrame, groups: str | None) -> np.ndarray:
    """Sums of values (clips, K) over as many clips, or groups of them, drawn with replacement: (RESAMPLES, K)."""
    if groups and groups not in frame:
        raise InputError(f"scores: no column {groups} to group by; expected one of {', '.join(frame)}")
    units = frame.groupby(groups, observed=True).ngroup().to_numpy() if groups else np.arange(len(frame))
    totals = pd.DataFrame(values).groupby(units).sum().to_numpy()  # (units, K)
    # equal units are exchangeable: drawing how often each distinct one comes is the same, and far less work
    distinct, counts = np.unique(totals, axis=0, return_counts=True)
    rng = np.random.default_rng(0)
    parts = np.array_split(np.arange(RESAMPLES), 1 + len(distinct) // 500)  # bounds memory
    return np.concatenate([rng.multinomial(len(totals), counts / len(totals), len(part)) @ distinct for part in parts])


def _means(values: np.ndarray, frame: pd.DataFrame, groups: str | None) -> np.ndarray:
    """Means of resampled values (clips,): (RESAMPLES,)."""
    total, clips = _resampled(np.stack([values, np.ones(len(values))], 1), frame, groups).T
    return total / clips


def _bounds(value: float, draws: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of a bootstrap's draws; few of them, or rounding, do not leave the value outside."""
    low, high = np.percentile(draws, (2.5, 97.5)).tolist()
    return min(low, value), max(high, value)
