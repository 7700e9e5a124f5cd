"""The four data sets of real clips taken together, from the committed scores of each, without any network.

    python benchmarks/pooled.py [--keep]

Every clip counts the same, and clips of one actor, sequence, scene or person stay together in intervals and tests.
What study.py kept in results/KIND-DATASET.parquet gives results/KIND-real.json.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import _common
import pandas
import study
from again import RESULTS

from arsr import claims, records, scores
from arsr.names import title
from arsr.studies import joint

NAME = "real"


def pooled(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Rows of several data sets as those of one, whose clips and groups are named by their set, too."""
    of = frame["dataset"].astype(str) + "/"
    return frame.assign(clip=of + frame["clip"], group=of + frame["group"].astype(str), dataset=NAME)


def whole(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The rows of methods that a network scored on all its clips; others speak of some sets alone, and are named."""
    of = frame.groupby(["network", "stream"], observed=True)["clip"].transform("nunique")
    known = frame.groupby(["network", "stream", "method"], observed=True)["clip"].transform("nunique")
    for row in frame.loc[known < of, ["network", "stream", "method"]].drop_duplicates().itertuples(index=False):
        print(f"left out, not scored on all sets: {', '.join(row)}")
    return frame[known == of]


def benchmark(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """Table 4: accuracies, and the contrasts of the claims ledger."""
    found = []
    for network, part in frame.groupby("network"):
        methods = [*part["method"].unique(), *joint.PAIRS]  # the sets' labels collide, so no `scores.table`
        for method in dict.fromkeys(methods):
            for stream in scores.SCORES:
                if (rows := scores.rows_of(part, method, stream)) is not None:
                    text = f"overall accuracy on all real clips, {network}: {title(method)}, {stream} stream"
                    key = f"small.accuracy.{NAME}.{network}.{method}.{stream}"
                    found.append(scores.accuracy(rows, groups="group").record(key, text, source))
        wanted = [(stream, "bicubic", "hr") for stream in scores.SCORES] + claims.comparisons(NAME, "tsn")
        where = f"{network} on all real clips"
        found += scores.contrasts(part, wanted, f"small.benchmark.{NAME}.{network}", where, source)
    return found


KINDS: dict[str, Callable] = {
    "study": benchmark,
    "ablation": study.contrasts,
    "published": study.side_by_side,
    "rivals": study.trained_on,
    "joint": study.one_or_two,
    "frontier": study.slopes,
    "turns": study.turned,
}


def committed(kind: str, dataset: str) -> list[Path]:
    """Files of scores, if there are any: the kind's own, and, of one network against two, Table 4's."""
    kinds = (kind, "study") if kind == "joint" else (kind,)
    paths = [RESULTS / f"{name}-{dataset}.parquet" for name in kinds]
    return [path for path in paths if path.exists()] if paths[0].exists() else []


def of_kind(paths: list[Path]) -> pandas.DataFrame:
    """Scores of a kind's file of a data set; and, of Table 4's beside it, those that may stand there."""
    frame, own = scores.load(paths[0])
    known = [joint.beside(own, *scores.load(path), study.WEIGHTS, study.PROFILE) for path in paths[1:]]
    return pandas.concat([frame, *known])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="write results/KIND-real.json")
    keep = parser.parse_args().keep
    for kind, records_of in KINDS.items():
        found = {dataset: committed(kind, dataset) for dataset in study.STUDIES}
        if not (files := {dataset: paths for dataset, paths in found.items() if paths}):
            print(f"{kind}: no committed scores of any set")
            continue
        # the sets' rows differ in classes and protocol, which nothing here compares
        frame = pandas.concat([pooled(study.by_sequence(of_kind(paths))) for paths in files.values()])
        clips = frame.groupby("network")["clip"].nunique()
        data = f"{', '.join(map(title, files))}; clips: " + ", ".join(f"{n} {title(net)}" for net, n in clips.items())
        print(f"{kind}: {data}")
        source = _common.provenance("Real clips, all sets together", data, keep=keep)
        _common.show(found := records_of(whole(frame), source))
        if keep:
            _common.save(found, f"{kind}-{NAME}")


if __name__ == "__main__":
    _common.run(main)
