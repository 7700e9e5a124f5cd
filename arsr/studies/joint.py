"""One network for both streams (C12): recipe `joint` against its controls, and against two networks, one a stream.

The joint network learns ToSR's loss, times `pixel_weight`, on a pair of frames, and SoSR's looks on one of them.
`joint-control` has no warp loss, and `tosr` no features, no discriminator and no factor; all else is equal.
"""

from pathlib import Path

import pandas

from arsr import manifest, names, scores
from arsr.evaluation import TABLE4
from arsr.records import Provenance, Record
from arsr.studies.ablation import named
from arsr.training.recipes import SUFFIXES

SEEDS = (0, 1, 2)
NETWORKS = ("joint", "joint-control", "tosr")  # scored in both streams
PAIRS = ("sosr+tosr", "esrgan+duf52", "rcan+duf52")


def beside(
    own: scores.Header, frame: pandas.DataFrame, header: scores.Header, folder: Path, profile: str
) -> pandas.DataFrame:
    """The rows, of a file with a header, that may stand beside those of `own`: no network stands in for another.

    Rows of methods without weights, and of those whose weights are a profile's of `folder`. None, where the file's
    protocol, flow, precision or recognisers are others.
    """
    shared = own.recognisers.keys() & header.recognisers.keys()
    same = all(getattr(own, name) == getattr(header, name) for name in ("protocol", "flow", "precision"))
    if not (shared and same and all(own.recognisers[key] == header.recognisers[key] for key in shared)):
        return frame[:0]
    shipped = {name: entry.sha256 for name, entry in manifest.load(folder).items()}

    def meant(method: str) -> bool:
        row, _, seed = method.partition("-seed")
        name = named(f"{row}{SUFFIXES[profile]}", int(seed or 0))
        return header.weights.get(method) in (None, shipped.get(name))

    return frame[frame["method"].map(meant)]


def trainings(frame: pandas.DataFrame, method: str, stream: str) -> dict[int, pandas.DataFrame]:
    """The rows of each seed of a method, or of a pair of methods, in a stream; of one that has no seeds, of seed 0."""
    of = {seed: "+".join(named(part, seed) for part in method.split("+")) for seed in SEEDS}
    found = {seed: scores.rows_of(frame, name, stream) for seed, name in of.items()}
    return {seed: rows for seed, rows in found.items() if rows is not None}


def recorded(frame: pandas.DataFrame, key: str, provenance: Provenance, *, groups: str | None = None) -> list[Record]:
    """KEY.STREAM.METHOD, accuracies of the first training; KEY.STREAM.joint.to_OTHER.*, over clips and trainings.

    Against a method with a single training the first one of the joint network stands, over clips alone. frame: scores
    of one recogniser, the joint network's and others'. groups: as `scores.accuracy` has it.
    """
    found, shown = [], {*TABLE4, *NETWORKS, "rrdb", "srresnet"}
    methods = [m for m in frame["method"].unique() if m in shown]
    for stream in scores.SCORES:
        rows = {m: of for m in (*methods, *PAIRS) if (of := trainings(frame, m, stream))}
        for m, of in rows.items():
            text = f"accuracy of the {stream} stream, {names.title(m)}"
            found.append(scores.accuracy(of[min(of)], groups=groups).record(f"{key}.{stream}.{m}", text, provenance))
        for m in [m for m in rows if m != "joint"] if "joint" in rows else ():
            seeds = sorted(rows["joint"].keys() & rows[m].keys())
            both = [[of[seed] for seed in seeds] for of in (rows["joint"], rows[m])]
            words = f"joint less {names.title(m)}, {stream} stream"
            found += scores.compare(*both, f"{key}.{stream}.joint.to_{m}", words, provenance) if seeds else []
    return found
