"""Paired tests of committed studies, computed again from the scores of their clips, without any network.

    python benchmarks/again.py [NAME ...]

Of results/NAME.json what comes out otherwise than it stands there is written anew. It keeps where it comes from, and
a note names the commit of the statistics. All else stays.
"""

import argparse
import re

import _common
import joint
import pandas
import retrain
import study
import turns

from arsr import claims, names, records, scores
from arsr.studies import ablation, frontier

RESULTS, SAID = _common.ROOT / "results", "statistics computed again at commit"


def by_stream(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """Tables 2 and 3 on embedded clips."""
    parts = frame.groupby("stream")
    return [r for stream, part in parts for r in ablation.records(part, f"embedded.ablation.{stream}", source)]


def benchmark(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """Table 4 on embedded clips."""
    found = []
    for network, part in frame.groupby("network"):
        wanted, key = claims.comparisons("embedded", network), f"embedded.benchmark.embedded.{network}"
        found += scores.contrasts(part, wanted, key, f"{network} on embedded", source)
    return found


def classes(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """Chapter 4, whose clips and networks are those of Table 4."""
    tsn, key, found = frame[frame["network"] == "tsn"], "embedded.classes.embedded", []
    rows = {m: scores.select(tsn, stream="spatial", method=m) for m in ("hr", "bicubic", "vdsr", "srgan", "sosr")}
    for m in rows.keys() - {"bicubic"}:
        words = f"spatial stream, {names.title(m)} less bicubic"
        found += scores.compare(rows[m], rows["bicubic"], f"{key}.{m}.to_bicubic", words, source)
    for other in ("bicubic", "hr"):
        words, where = f"spatial stream, VDSR less {names.title(other)}", f"{key}.{{}}.vdsr.to_{other}"
        found += scores.by_class(rows["vdsr"], rows[other], where, words, source)
    return found


def paths(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """From fidelity to looks, on embedded clips."""
    return frontier.trends(frame, "embedded.frontier.embedded.tsn", source)


MADE = {  # what follows from the scores in results/NAME.parquet, or in those that are named
    "ablation-embedded": (by_stream,),
    "ablation-weizmann": (study.contrasts,),
    "ablation-ut_interaction": (study.contrasts,),
    "benchmark-embedded": (benchmark, "scores/embedded-tsn", "scores/embedded-st-resnet"),
    "embedded-04-sosr-analysis": (classes, "scores/embedded-tsn"),
    "frontier-embedded": (paths,),
    "joint-embedded": (joint.again,),
    "retraining-embedded": (retrain.recorded,),
    "study-weizmann": (study.compared,),
    "study-ut_interaction": (study.compared,),
    "turns-embedded": (turns.compared,),
}


def again(name: str, code: str) -> list[records.Record]:
    """The records of results/NAME.json, those of scores made again."""
    made, *files = MADE[name]
    old = records.load(RESULTS / f"{name}.json").values()
    frame = pandas.concat([scores.load(RESULTS / f"{file}.parquet")[0] for file in files or [name]])
    source = next(r.provenance for r in old if re.search(r"\.(to_|slope\.)", r.key) and ".video." not in r.key)
    notes = [note for note in (source.note or "").split("; ") if note and not note.startswith(SAID)]
    source = source.model_copy(update={"note": "; ".join([*notes, f"{SAID} {code}"])})
    found = {record.key: record for record in old}
    for record in made(study.by_sequence(frame), source):
        there = found.get(record.key)
        if there is None or numbers(there) != numbers(record):
            found[record.key] = record
    return [*found.values()]


def numbers(record: records.Record) -> tuple:
    """What a record says, but for the last digits, which the order of sums decides."""
    ends = (record.value, record.low, record.high, record.p, record.freedom)
    return record.n, record.count, record.interval, *(x if x is None else float(f"{x:.7g}") for x in ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MADE)}; default: all")
    chosen = parser.parse_args().names
    _common.require_known(chosen, MADE)
    code = records.commit(_common.ROOT, "arsr", "arsr_core", "benchmarks")
    for name in chosen or MADE:
        _common.save(again(name, code), name)


if __name__ == "__main__":
    _common.run(main)
