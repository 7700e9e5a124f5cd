"""Committed scores as the explorer shows them: a study is one recogniser on one data set, with all its methods."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from arsr import scores
from arsr.evaluation import TABLE4
from arsr.explorer import variants
from arsr.names import METHODS, RIVALS, SCORES, STREAMS, pair, title

PAGE = "clips.html"  # beside the book's first page
POOLED = "real"  # of `names.POOLS`: all sets of real clips
NEVER = np.float32(-1e4)  # a score whose probability is 0: of another set's class
HOW = ("recognisers", "protocol", "flow", "precision")  # of a header: how its clips were scored
SHOWN = ("turned", "gained", "lost", "hr", "wrong", "right", "all")  # which clips the page can list


@dataclass(frozen=True)
class Study:
    """One recogniser's scores on the clips of one data set, each clip with every method in every stream."""

    name: str  # in addresses: DATASET-NETWORK, or that of a file with other methods
    dataset: str
    network: str
    frame: pd.DataFrame  # `scores.load`'s rows
    header: scores.Header
    about: str = ""  # what differs, if not the methods of the benchmark

    @property
    def title(self) -> str:
        """What a page calls it, e.g. "embedded clips, TSN"."""
        plain = f"{title(self.dataset)}, {title(self.network)}"
        return f"{plain}: {self.about}" if self.about else plain

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """In the order of the tables; also pairs whose fused scores follow from their streams'."""
        there, cells = set(self.frame["method"]), _cells(self.frame)
        pairs = [method for method in (*TABLE4, *RIVALS) if "+" in method]
        joined = {method for method in pairs if cells.issuperset(zip(pair(method), STREAMS, strict=True))}
        order = [*METHODS]
        return tuple(sorted(there | joined, key=lambda m: (order.index(m) if m in order else len(order), m)))

    @property
    def streams(self) -> dict[str, list[str]]:
        """By method the streams in which it has scores, stored or fused as `scores.rows_of` does."""
        there = _cells(self.frame)

        def has(method: str, stream: str) -> bool:
            both = zip((method, method) if (method, "spatial") in there else pair(method), STREAMS, strict=True)
            return (method, stream) in there or (stream == "fused" and there.issuperset(both))

        return {method: [stream for stream in SCORES if has(method, stream)] for method in self.methods}


def found(results: Path) -> dict[str, Study]:
    """The studies whose scores a folder of results holds, by name.

    First the benchmark's, then its real sets taken together, then those of what was trained in several ways.
    """
    own = [*_benchmark(results.glob("scores/*.parquet"))]
    known = [*own, *_with_pooled([*_benchmark(results.glob("study-*.parquet"))])]
    for kind in dict.fromkeys(name.partition("-")[0] for name in variants.KINDS):
        trained = []
        for path in sorted(results.glob(f"{kind}-*.parquet")):
            rows, header = scores.load(path)
            for end, network, about, frame in variants.parted(kind, rows):
                study = Study(f"{path.stem}-{end}", frame["dataset"].iloc[0], network, frame, header, about)
                trained.append(_with_references(study, own))
        known += _with_pooled(trained)
    return {study.name: study for study in known}


def _with_pooled(known: list[Study]) -> list[Study]:
    """Then the real sets together, of each recogniser or part that several of them have."""
    alike: dict[str, list[Study]] = {}
    for study in known:
        if study.dataset != "embedded":
            alike.setdefault(study.name.replace(study.dataset, POOLED, 1), []).append(study)
    return known + [pooled(name, sets) for name, sets in alike.items() if len(sets) > 1]


def _benchmark(paths: Iterable[Path]) -> Iterator[Study]:
    for path in sorted(paths):
        rows, header = scores.load(path)
        for (dataset, network), frame in rows.groupby(["dataset", "network"]):
            yield Study(f"{dataset}-{network}", dataset, network, frame, header)


def _cells(frame: pd.DataFrame) -> set[tuple[str, str]]:
    """(method, stream) of what has scores."""
    return {*frame[["method", "stream"]].drop_duplicates().itertuples(index=False, name=None)}


def pooled(name: str, sets: Sequence[Study]) -> Study:
    """The real sets of one recogniser as one study: clips and classes named with their set, methods that all have."""
    classes = tuple(f"{title(study.dataset)}: {name}" for study in sets for name in study.header.classes)
    there, frames, first = set.intersection(*(_cells(study.frame) for study in sets)), [], 0
    for study in sets:
        frame = study.frame[[cell in there for cell in zip(study.frame["method"], study.frame["stream"], strict=True)]]
        around = first, len(classes) - first - len(study.header.classes)
        wide = [np.pad(x, around, constant_values=NEVER) if len(x) else x for x in frame["scores"]]
        changes = dict(clip=f"{study.dataset}/" + frame["clip"], label=frame["label"] + first, scores=wide)
        frames.append(frame.assign(**changes))
        first += len(study.header.classes)
    header = sets[0].header
    same = all(study.header.weights == header.weights for study in sets)
    header = header.model_copy(update={"classes": classes, "weights": header.weights if same else {}})
    frame = pd.concat(frames, ignore_index=True)
    return replace(sets[0], name=name, dataset=POOLED, frame=frame, header=header)


def _with_references(study: Study, benchmark: Iterable[Study]) -> Study:
    """With HR and bicubic of the benchmark, if it lacks them and the same recognisers saw the same clips."""

    def seen(of: Study) -> list[object]:
        return [of.dataset, *(getattr(of.header, name) for name in HOW), {*of.frame["clip"].unique()}]

    alike = [] if "hr" in study.methods else [of for of in benchmark if seen(of) == seen(study)]
    if not alike:
        return study
    rows = alike[0].frame[alike[0].frame["method"].isin(["hr", "bicubic"])]
    return replace(study, frame=pd.concat([study.frame, rows], ignore_index=True))


def address(study: str, stream: str, a: str, b: str, **more: str) -> str:
    """The explorer with two methods chosen, and perhaps what else it remembers: show, label, clip.

    >>> address("embedded-tsn", "spatial", "bicubic", "srgan", show="gained")
    'clips.html#study=embedded-tsn&stream=spatial&a=bicubic&b=srgan&show=gained'
    """
    return f"{PAGE}#{urlencode(dict(study=study, stream=stream, a=a, b=b) | more)}"


def rival(method: str) -> str:
    """What a cell's method is compared with: bicubic, and bicubic with HR."""
    return "hr" if method == "bicubic" else "bicubic"


def index(studies: Iterable[Study]) -> dict[str, dict]:
    """What links to the explorer may name: {study: its title, data set, network, and {method: streams}}."""
    return {
        study.name: {
            "title": study.title,
            "dataset": study.dataset,
            "network": study.network,
            "methods": study.streams,
        }
        for study in studies
    }


def packed(study: Study) -> bytes:
    """The scores for the browser: the length of a JSON head, the head, then float32 scores (blocks, clips, classes).

    The head names clips, labels, classes and blocks, [method, stream]; a clip that could not be read has NaN.
    """
    clips = study.frame.drop_duplicates("clip").sort_values("clip")
    names, classes = clips["clip"].tolist(), study.header.classes
    blocks, data = [], []
    for (method, stream), rows in study.frame.groupby(["method", "stream"]):
        rows = rows.set_index("clip").reindex(names)
        empty = np.full(len(classes), np.nan, np.float32)
        data.append([x if isinstance(x, np.ndarray) and len(x) else empty for x in rows["scores"]])
        blocks.append([method, stream])
    head = {"clips": names, "labels": clips["label"].tolist(), "classes": list(classes), "blocks": blocks}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 4)  # the scores begin where float32 may
    return np.uint32(len(text)).tobytes() + text + np.asarray(data, "<f4").tobytes()


def in_laboratory(study: Study, known: Mapping[str, str]) -> dict[str, str]:
    """By method the laboratory's network that made the study's frames. known: its networks' sha256 of weights."""
    networks = {digest: name for name, digest in known.items()} | {"hr": "hr", "bicubic": "bicubic"}
    plain = {method: method.partition("@")[0] for method in study.methods}  # behind @: of the recogniser
    same = {method: networks.get(study.header.weights.get(name, name)) for method, name in plain.items()}
    return {method: name for method, name in same.items() if name}
