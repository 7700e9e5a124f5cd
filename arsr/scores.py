"""Scores of clips in one columnar file, and every table, interval and paired test as a pure function over it.

A row is a clip, a network, a stream and a super-resolution method, with the class scores before softmax:

>>> frame, header = load("scores.parquet")
>>> hr, lr = (select(frame, network="tsn", stream="spatial", method=m) for m in ("hr", "bicubic"))
>>> accuracy(hr), compare(lr, hr, "cost", "bicubic less HR", provenance)

Intervals are of 95 %. An accuracy takes clips as a sample of independent ones; where they are not, name the column that
says what belongs together (`groups`): whole groups are then drawn (cluster bootstrap; Field and Welsh, 2007), with a
fixed seed; few of them cover less than 95 %. Differences are tested by `arsr.paired`.
A clip that could not be read counts as wrong; give the rows whose `status` is "ok" to leave such clips out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, pairwise, product
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from annotated_types import MinLen
from pydantic import AfterValidator, BaseModel, ConfigDict

from arsr import paired
from arsr.names import SCORES, STREAMS, pair
from arsr.records import Provenance, Record, difference, wilson
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

    spatial, temporal = aligned(spatial, temporal, "network", "protocol")
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
    """An accuracy in % with its 95 % interval, of n clips."""

    value: float
    low: float
    high: float
    interval: str
    n: int
    count: int | None = None  # correct clips
    unreadable: int = 0  # they count as wrong

    def record(self, key: str, description: str, provenance: Provenance) -> Record:
        """The measure as a record, whose description says what became of unreadable clips."""
        if self.unreadable:
            description += f" ({self.unreadable} unreadable clips counted as wrong)"
        named = {name: value for name, value in self._asdict().items() if name != "unreadable"}
        return Record(key=key, unit="%", description=description, provenance=provenance, **named)


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
    a: pd.DataFrame | Sequence[pd.DataFrame],
    b: pd.DataFrame | Sequence[pd.DataFrame],
    key: str,
    description: str,
    provenance: Provenance,
    *,
    groups: str | None = None,
) -> list[Record]:
    """Paired tests of two methods on the same clips: KEY.accuracy, a - b in points, and KEY.log-probability in nats.

    a, b: one row a clip; or several such frames, trainings of the methods that go together: clips and trainings are
    then both drawn at random, which the description says; of fewer than `paired.TRAININGS` the first ones alone are
    compared. groups: the column that says which clips belong together, `group` unless told; where it
    holds a clip each, clips are independent. A clip that one side could not read has no log-probability.
    """
    sides = [[side] if isinstance(side, pd.DataFrame) else side for side in (a, b)]
    pairs = [aligned(*both) for both in zip(*sides, strict=True)]
    if len(pairs) >= paired.TRAININGS:
        description += f", {len(pairs)} trainings of each"
    else:
        pairs = pairs[:1]
    for one, _ in pairs:
        aligned(pairs[0][0], one)  # which have the same clips, too

    def apart(by_clip: Callable) -> np.ndarray:
        return np.stack([by_clip(one) - by_clip(other) for one, other in pairs])

    return _differences(apart, [*chain(*pairs)], groups, _tested, key, description, provenance)


def trend(
    frames: Mapping[float, pd.DataFrame],
    key: str,
    description: str,
    provenance: Provenance,
    *,
    groups: str | None = None,
) -> list[Record]:
    """How a measure goes with a number, paired by clip: KEY.accuracy in points a unit, KEY.log-probability in nats.

    frames: one row a clip of the same clips, by the number. Each clip has its slope of least squares; their mean is
    tested by sign flips over clips, or over groups of them as in `compare`.
    """
    at = np.array([*frames])
    weights = (at - at.mean()) / ((at - at.mean()) ** 2).sum()  # slope = weights @ values
    first, *others = frames.values()
    rows = [first.sort_values("clip", ignore_index=True), *(aligned(first, other)[1] for other in others)]

    def slopes(by_clip: Callable) -> np.ndarray:
        return weights[None] @ np.stack([by_clip(row) for row in rows])

    def tested(x: np.ndarray, units: np.ndarray | None, shares: bool) -> paired.Difference:  # slopes are no shares
        return paired.means(x[0], units)

    return _differences(slopes, rows, groups, tested, key, f"slope, {description}", provenance)


def _differences(
    values: Callable[[Callable], np.ndarray],
    rows: Sequence[pd.DataFrame],
    groups: str | None,
    test: Callable[..., paired.Difference],
    key: str,
    description: str,
    provenance: Provenance,
) -> list[Record]:
    """A record KEY.NAME of each measure of BY_CLIP. values: a measure's (trainings, clips), in the order of rows[0]."""
    units, lost, found = _units(rows[0], groups), _unreadable(*rows), []
    for name, (unit, by_clip) in BY_CLIP.items():
        x = values(by_clip)
        known = np.isfinite(x).all(0)
        if not known.any():
            raise InputError("scores: no clip with scores of both methods; expected one or more")
        words = f"{name}, {description}"
        if lost:
            words += f" ({lost} unreadable clips {'counted as wrong' if known.all() else 'left out'})"
        tested = test(x[:, known], None if units is None else units[known], shares=name == "accuracy")
        found.append(difference(f"{key}.{name}", tested, unit, int(known.sum()), words, provenance))
    return found


def _tested(x: np.ndarray, units: np.ndarray | None, shares: bool) -> paired.Difference:
    """The test of differences (trainings, clips); shares: in points, of clips that are right or wrong."""
    if len(x) > 1 and x.any():
        return paired.trainings(x, units)
    if not shares:
        return paired.means(x[0], units)
    found = paired.accuracies(x[0] > 0, x[0] < 0, units)
    return found._replace(**{end: 100 * getattr(found, end) for end in ("value", "low", "high")})


def contrasts(
    frame: pd.DataFrame, wanted: Iterable[tuple[str, str, str]], key: str, where: str, provenance: Provenance
) -> list[Record]:
    """`compare` of each (stream, a, b) whose rows are there, of one network: KEY.STREAM.A.to_B."""
    found = []
    for stream, a, b in wanted:
        rows = [rows_of(frame, method, stream) for method in (a, b)]
        if all(side is not None for side in rows):
            words = f"{a} less {b}, {stream} stream, {where}"
            found += compare(*rows, f"{key}.{stream}.{a}.to_{b}", words, provenance)
    return found


def by_class(a: pd.DataFrame, b: pd.DataFrame, key: str, description: str, provenance: Provenance) -> list[Record]:
    """`compare` of each class of which both sides could read a clip; key: its {} is the class, in lower case."""
    found = []
    for action in a["action"].cat.categories:
        both = [side[side["action"] == action] for side in (a, b)]
        read = [set(side.loc[side["status"] == "ok", "clip"]) for side in both]
        if read[0] & read[1]:
            found += compare(*both, key.format(action.lower()), f"{description}, {action}", provenance)
    return found


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


def aligned(a: pd.DataFrame, b: pd.DataFrame, *same: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both frames in the order of their clips, which must be the same, as must the columns `same`."""
    a, b = (frame.sort_values("clip", ignore_index=True) for frame in (a, b))
    if a.empty or not a["clip"].equals(b["clip"]) or a["clip"].duplicated().any():
        alone = len(set(a["clip"]) ^ set(b["clip"]))
        raise InputError(f"scores: expected the same clips once each, got {len(a)} and {len(b)} rows, {alone} unpaired")
    for name in ("dataset", "label", "fold", *same):
        if not a[name].equals(b[name]):
            raise InputError(f"scores: the two sets of rows differ in {name}; expected the same")
    return a, b


def _units(frame: pd.DataFrame, groups: str | None) -> np.ndarray | None:
    """What each clip belongs to, by the column `groups`; None where that is a clip each."""
    if (column := groups or "group") not in frame:
        raise InputError(f"scores: no column {column} to group by; expected one of {', '.join(frame)}")
    units = frame[column].to_numpy()
    return units if len(set(units)) < len(units) else None


def _resampled(values: np.ndarray, frame: pd.DataFrame, groups: str | None) -> np.ndarray:
    """Sums of values (clips, K) over as many clips, or groups of them, drawn with replacement: (RESAMPLES, K)."""
    units = _units(frame, groups) if groups else None
    units = np.arange(len(frame)) if units is None else units
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
