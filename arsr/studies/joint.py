"""One network for both streams (C12): recipe `joint` against its controls, and against two networks, one a stream.

The joint network learns ToSR's loss on a pair of frames, and SoSR's looks on one of them. `joint-control` has no warp
loss, and `tosr` no features and no discriminator; all else is equal.
"""

import pandas

from arsr import names, scores
from arsr.records import Provenance, Record

SEEDS = (0, 1, 2)
NETWORKS = ("joint", "joint-control", "tosr")  # scored in both streams
PAIRS = ("sosr+tosr", "esrgan+duf52", "rcan+duf52")


def trainings(frame: pandas.DataFrame, method: str, stream: str) -> list[pandas.DataFrame]:
    """The rows of each seed of a method, or of a pair of methods, in a stream; of one that has no seeds, one."""
    found = []
    for seed in SEEDS:
        name = "+".join(f"{part}-seed{seed}" if seed else part for part in method.split("+"))
        found.append(scores.rows_of(frame, name, stream))
    return [rows for rows in found if rows is not None]


def recorded(frame: pandas.DataFrame, key: str, provenance: Provenance, *, groups: str | None = None) -> list[Record]:
    """KEY.STREAM.METHOD, accuracies of the first training; KEY.STREAM.joint.to_OTHER.*, over clips and trainings.

    frame: scores of one recogniser, the joint network's and others'. groups: as `scores.accuracy` has it.
    """
    found = []
    methods = [m for m in frame["method"].unique() if "-seed" not in m]
    for stream in scores.SCORES:
        rows = {m: of for m in (*methods, *PAIRS) if (of := trainings(frame, m, stream))}
        for m, of in rows.items():
            text = f"accuracy of the {stream} stream, {names.title(m)}"
            found.append(scores.accuracy(of[0], groups=groups).record(f"{key}.{stream}.{m}", text, provenance))
        for m in [m for m in rows if m != "joint"] if "joint" in rows else ():
            both = [rows["joint"], rows[m] * len(rows["joint"]) if len(rows[m]) == 1 else rows[m]]
            count = min(map(len, both))
            words = f"joint less {names.title(m)}, {stream} stream, {count} trainings"
            found += scores.compare(*(x[:count] for x in both), f"{key}.{stream}.joint.to_{m}", words, provenance)
    return found
