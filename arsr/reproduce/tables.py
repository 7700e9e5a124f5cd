"""Accuracies with intervals and paired tests, from all scores that a study has made."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from arsr import claims, evaluate, records, scores
from arsr.evaluation import Evaluation
from arsr.names import STREAMS, pair
from arsr.reproduce.holdings import RECOGNISERS, Holdings
from arsr.reproduce.study import Study
from arsr.studies import ablation, adaptation
from arsr_core.errors import InputError


def tables(
    study: Study, have: Holdings, provenance: records.Provenance
) -> tuple[pd.DataFrame, list[records.Record], dict[str, tuple[pd.DataFrame, scores.Header]]]:
    """Table 4 as a tidy table, the records of all that was scored, and the scores of Table 4 by DATASET-NETWORK.

    Keys: PROFILE.benchmark.DATASET.NETWORK.METHOD.STREAM, and PROFILE.benchmark.DATASET.NETWORK.STREAM.A.to_B, over
    clips and trainings where there are several; PROFILE.ablation.DATASET.NETWORK.STREAM.*, PROFILE.classes.DATASET.*,
    PROFILE.retrained.DATASET.tsn.*, PROFILE.end-to-end.DATASET.NETWORK.spatial.*. Of embedded clips the first two
    alone: the rest has studies of its own. Raises InputError where there are no scores.
    """
    made, numbers, kept = [], {}, {}
    root, profile = study.out / "scores", provenance.profile
    whole = study.profile != "embedded"

    def keep(found: list[records.Record]) -> None:  # several trainings come first, and stay
        for record in found:
            numbers.setdefault(record.key, record)

    for dataset, held in have.datasets.items():
        clips = {clip.name for clip in _clips(study, dataset, held.root)}
        for network in RECOGNISERS:
            key, name = f"{profile}.benchmark.{dataset}.{network}", f"{dataset}-{network}"
            files = sorted((root / name).glob("*.parquet"))
            rows = {stream: _rows(root, name, stream, clips) for stream in STREAMS}
            where, wanted = f"{network} on {dataset}", claims.comparisons(dataset, network)
            for stream, frames in rows.items():
                if len(frames) > 1 and whole:
                    joined = pd.concat(frames.values(), ignore_index=True)
                    keep(ablation.records(joined, f"{profile}.ablation.{dataset}.{network}.{stream}", provenance))
                keep(_contrasts(frames, stream, wanted, key, where, provenance))
            if files:
                frame, header = scores.load(*files)
                frame = frame[frame["clip"].isin(clips)]
                single = set(frame["method"])
                pairs = [m for m in study.methods if "+" in m and m not in single and set(pair(m)) <= single]
                table = scores.table(frame, pairs=pairs, groups="group", present_only=study.present_only)
                made.append(table)
                kept[name] = frame, header
                keep(scores.records(table, provenance, f"{profile}.benchmark"))
                keep(scores.contrasts(frame, wanted, key, where, provenance))
                if network == "tsn" and whole:
                    keep(classes(frame, f"{profile}.classes.{dataset}", where, provenance))
        keep(_retrained(root / "figure-8" / dataset, clips, f"{profile}.retrained.{dataset}.tsn", provenance))
        keep(_end_to_end(root / "end-to-end", dataset, clips, f"{profile}.end-to-end.{dataset}", provenance))
    if not made:
        raise InputError(f"{study.out}: no scores of Table 4 there yet")
    return pd.concat(made, ignore_index=True), [*numbers.values()], kept


def keep(
    numbers: list[records.Record], kept: Mapping[str, tuple[pd.DataFrame, scores.Header]], folder: Path
) -> list[Path]:
    """Copy the records, and the scores of Table 4 that they were made from, to the project's results."""
    written = [records.save(numbers, folder / f"benchmark-{numbers[0].provenance.profile}.json")]
    return written + [scores.save(folder / "scores" / f"{name}.parquet", *its) for name, its in kept.items()]


def _clips(study: Study, dataset: str, root: Path) -> list:
    how = dict(split=study.split, splits=study.splits, present_only=study.present_only, clips=study.clips)
    return evaluate.dataset_clips(Evaluation(dataset, Path("."), ("-",), root=root, **how))[0]


def _read(path: Path, clips: set[str]) -> pd.DataFrame:
    """The scores of a file, of these clips alone: an earlier run may have seen more."""
    frame, _ = scores.load(path)
    return frame[frame["clip"].isin(clips)]


def _rows(root: Path, name: str, stream: str, clips: set[str]) -> dict[str, pd.DataFrame]:
    """The rows of a table's stream that are scored, each a frame whose method is the row's name."""
    found = {}
    for row in ablation.ROWS[stream]:
        for seed in ablation.SEEDS:
            title = ablation.named(row, seed)
            paths = (root / "tables-2-3" / name / f"{stream}-{title}.parquet", root / name / f"{title}.parquet")
            if path := next(filter(Path.is_file, paths), None):
                frame = _read(path, clips)
                found[title] = frame[frame["stream"] == stream].assign(method=title)
    return {title: frame for title, frame in found.items() if len(frame)}


def _contrasts(
    rows: Mapping[str, pd.DataFrame], stream: str, wanted: list, key: str, where: str, provenance: records.Provenance
) -> Iterator[records.Record]:
    """The contrasts that claims want of rows, over all seeds that both sides have."""
    for of, a, b in wanted:
        if of == stream and a in rows and b in rows:
            seeds = [s for s in ablation.SEEDS if {ablation.named(a, s), ablation.named(b, s)} <= rows.keys()]
            sides = ([rows[ablation.named(side, seed)] for seed in seeds] for side in (a, b))
            words = f"{a} less {b}, {stream} stream, {where}"
            yield from scores.compare(*sides, f"{key}.{stream}.{a}.to_{b}", words, provenance)


def classes(frame: pd.DataFrame, key: str, where: str, provenance: records.Provenance) -> list[records.Record]:
    """VDSR against bicubic enlargement and HR in the spatial stream, all classes and each: KEY[.CLASS].vdsr.to_*."""
    rows = {m: scores.rows_of(frame, m, "spatial") for m in ("vdsr", "bicubic", "hr")}
    found = []
    for other in ("bicubic", "hr"):
        if rows["vdsr"] is not None and rows[other] is not None:
            both, words = (rows["vdsr"], rows[other]), f"vdsr less {other}, spatial stream, {where}"
            found += scores.compare(*both, f"{key}.vdsr.to_{other}", words, provenance)
            found += scores.by_class(*both, f"{key}.{{}}.vdsr.to_{other}", words, provenance)
    return found


def _retrained(folder: Path, clips: set[str], key: str, provenance: records.Provenance) -> list[records.Record]:
    found = []
    for stream in STREAMS:
        files = {share: sorted(folder.glob(f"{stream}-{share}-*.parquet")) for share in adaptation.SHARES}
        methods = {p.stem.split("-", 2)[2] for paths in files.values() for p in paths}
        for method in sorted(methods):
            paths = {s: folder / f"{stream}-{s}-{method}.parquet" for s in adaptation.SHARES}
            if all(path.is_file() for path in paths.values()):
                frames = {share: _read(path, clips) for share, path in paths.items()}
                found += adaptation.retrained(frames, key, provenance)
    return found


def _end_to_end(
    folder: Path, dataset: str, clips: set[str], key: str, provenance: records.Provenance
) -> list[records.Record]:
    """KEY.NETWORK.spatial.{own,other}.to_control.*, KEY.NETWORK.spatial.own.to_other.*, as `adaptation.transferred`."""
    frames: dict[str, dict[str, pd.DataFrame]] = {}
    for judge in RECOGNISERS:
        for own in ("control", *RECOGNISERS):
            path = folder / f"{dataset}-{judge}" / f"{own}.parquet"
            if path.is_file():
                frame = _read(path, clips)
                frames.setdefault(judge, {})[own] = frame[frame["stream"] == "spatial"]
    if len(frames) < len(RECOGNISERS) or any(len(rows) <= len(RECOGNISERS) for rows in frames.values()):
        return []
    found = adaptation.transferred(frames, key, provenance)
    networks = {f"{key}.{network}.": f"{key}.{network}.spatial." for network in RECOGNISERS}
    return [r.model_copy(update={"key": _renamed(r.key, networks)}) for r in found]


def _renamed(key: str, names: Mapping[str, str]) -> str:
    return next((new + key.removeprefix(old) for old, new in names.items() if key.startswith(old)), key)
