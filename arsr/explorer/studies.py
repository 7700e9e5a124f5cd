"""Committed scores as the explorer shows them: a study is one recogniser on one data set, with all its methods."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from arsr import scores
from arsr.evaluation import RIVALS, TABLE4
from arsr.names import METHODS, SCORES, STREAMS, pair, title

PAGE = "clips.html"  # beside the book's first page
SHOWN = ("turned", "gained", "lost", "hr", "wrong", "right", "all")  # which clips the page can list


@dataclass(frozen=True)
class Study:
    """One recogniser's scores on the clips of one data set, each clip with every method in every stream."""

    name: str  # in addresses: DATASET-NETWORK, or that of a file with other methods
    dataset: str
    network: str
    frame: pd.DataFrame  # `scores.load`'s rows
    header: scores.Header
    methods: tuple[str, ...]  # in the order of the tables; also pairs whose fused scores follow from their streams'

    @property
    def title(self) -> str:
        """What a page calls it, e.g. "embedded clips, TSN"."""
        plain = f"{title(self.dataset)}, {title(self.network)}"
        return plain if self.name == f"{self.dataset}-{self.network}" else f"{plain}: losses and training"

    @property
    def streams(self) -> dict[str, list[str]]:
        """By method the streams in which it has scores, stored or fused as `scores.rows_of` does."""
        there = set(zip(self.frame["method"], self.frame["stream"], strict=True))

        def has(method: str, stream: str) -> bool:
            both = zip((method, method) if (method, "spatial") in there else pair(method), STREAMS, strict=True)
            return (method, stream) in there or (stream == "fused" and there.issuperset(both))

        return {method: [stream for stream in SCORES if has(method, stream)] for method in self.methods}


def found(results: Path) -> dict[str, Study]:
    """The studies whose scores a folder of results holds, by name: the benchmark's, then those of other networks."""
    studies = {}
    benchmark = (*sorted(results.glob("scores/*.parquet")), *sorted(results.glob("study-*.parquet")))
    for path in (*benchmark, *sorted(results.glob("ablation-*.parquet"))):
        rows, header = scores.load(path)
        for (dataset, network), frame in rows.groupby(["dataset", "network"]):
            name = f"{dataset}-{network}" if path in benchmark else f"{path.stem}-{network}"
            studies[name] = Study(name, dataset, network, frame, header, _methods(frame))
    return studies


def _methods(frame: pd.DataFrame) -> tuple[str, ...]:
    there = set(frame["method"])
    joined = {method for method in (*TABLE4, *RIVALS) if "+" in method and set(pair(method)) <= there}
    order = [*METHODS]
    return tuple(sorted(there | joined, key=lambda m: (order.index(m) if m in order else len(order), m)))


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


def in_laboratory(study: Study, known: dict[str, str]) -> list[str]:
    """The methods whose networks the laboratory runs as the study did. known: method: sha256 of its weights there."""
    weights = study.header.weights
    same = {"hr", "bicubic", *(method for method in weights if weights[method] == known.get(method))}
    return [method for method in study.methods if method in same]
