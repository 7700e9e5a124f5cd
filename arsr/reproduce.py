"""The whole study: every row of Table 4 on each data set and recogniser at hand, in stages that can be interrupted.

    prepare   what can be scored and what is missing                                    -> evaluations, and words
    score     LR -> SR -> flow -> both streams, one method after the other, streaming   -> OUT/DATASET-NETWORK.parquet
    tables    accuracies with intervals, and paired tests                               -> OUT/records.json

No frame is written. Flow that several recognisers see is cached, in at most 50 GiB, until all is scored.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd

from arsr import claims, evaluate, manifest, places, processes, records, scores
from arsr.data import folders
from arsr.evaluation import Evaluation, Study
from arsr.names import pair
from arsr_core import sr
from arsr_core.devices import device
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

RECOGNISERS = {"tsn": ("tsn-rgb", "tsn-flow"), "st-resnet": ("st-resnet",)}  # their files, NAME-DATASET


def prepare(study: Study) -> tuple[list[Evaluation], list[str]]:
    """What can be scored, one evaluation a data set and recogniser, and in words what is missing.

    Raises InputError where there is nothing to score at all.
    """
    embedded = study.profile == "embedded"
    weights = {name: path for name in sr.METHODS if (path := _file(study, name))}
    known = {"hr", "bicubic", *weights}
    absent = [(m, name) for m in study.methods for name in dict.fromkeys(pair(m)) if name not in known]
    methods = tuple(m for m in study.methods if m not in dict(absent))
    used = {name for method in methods for name in pair(method)}
    same = {n: getattr(study, n) for n in ("splits", "split", "present_only", "clips", "seed", "device")}
    found, missing = [], [f"{method}: no weights of {name}" for method, name in absent]
    for dataset, network in product(("embedded",) if embedded else study.datasets, RECOGNISERS):
        homes = () if embedded else (dataset, *folders.DATASETS[dataset].homes)
        names = [f"{stem}-{'lite' if embedded else dataset}" for stem in RECOGNISERS[network]]
        files = {name: _file(study, name) for name in names}
        try:
            if lacking := [name for name, path in files.items() if not path]:
                raise InputError(f"no weights of {' and '.join(lacking)}")
            config = Evaluation(
                dataset,
                study.out / f"{dataset}-{network}.parquet",
                tuple(map(str, files.values())),
                methods,
                {name: path for name, path in weights.items() if name in used},
                PROTOCOLS[study.protocol or ("lite" if embedded else "full")],
                study.preset or ("fast" if embedded else "reference"),
                network=network,
                root=next((study.data / name for name in homes if (study.data / name).is_dir()), study.data),
                **same,
            )
            evaluate.check(*evaluate.dataset_clips(config), present_only=study.present_only)
            found.append(config)
        except InputError as error:
            missing.append(f"{dataset}, {network}: {error}")
    if not found:
        raise InputError(f"reproduce: nothing can be scored. {'; '.join(missing)}")
    return found, missing


def _file(study: Study, name: str) -> Path | None:
    """The weights of a method or recogniser: DATA/weights/NAME with some suffix, or those that are shipped."""
    if study.profile == "embedded":
        known = manifest.load(study.shipped)
        return next((manifest.find(study.shipped, n) for n in (name, f"{name}-lite") if n in known), None)
    files = (study.data / "weights" / f"{name}{suffix}" for suffix in (".safetensors", ".pth", ".pt", ".h5"))
    return next(filter(Path.is_file, files), None)


def describe(found: Sequence[Evaluation], missing: Sequence[str], devices: int = 1) -> str:
    """What `prepare` found in words, and about how long it takes on so many devices: one clip is timed on this."""
    lines = []
    for config in found:
        count = len(evaluate.dataset_clips(config)[0])
        how = f"{config.protocol.name}, TV-L1 {config.flow}: {', '.join(config.methods)}"
        lines.append(f"{config.dataset}, {config.network}: {count:,} clips; {how}")
    hours = sum(map(_hours, found)) / devices
    lines.append(f"about {hours:.2f} h at most, by {devices} of this device" if hours else "every score is there")
    return "\n".join([*lines, *(f"missing: {line}" for line in missing)])


def _hours(config: Evaluation) -> float:
    """What one snippet of the first clip that can be read takes, times all that have no scores."""
    clips, classes = evaluate.dataset_clips(config)
    brief = replace(config, protocol=replace(config.protocol, snippets=1))
    pipeline = evaluate.Pipeline(brief, classes, device(config.device), config.fold(clips[0]))
    left = len(clips)
    if there := kept(config):
        done = (there[0]["status"] == "ok") & there[0]["method"].isin([*pipeline.units])
        left -= done.sum() / sum(map(len, pipeline.units.values()))
    if left <= 0:
        return 0.0
    for clip in clips:
        for _ in range(2):  # the first run compiles
            start = time.perf_counter()
            [rows] = pipeline.run([(clip, pipeline.units)])
            seconds = time.perf_counter() - start
        if all(row["status"] == "ok" for row in rows):
            return seconds * config.protocol.snippets * left / 3600
    raise InputError(f"{config.dataset}: no clip can be read; 'arsr data check {config.dataset}' says why")


def score(found: Sequence[Evaluation], provenance: records.Provenance, say: Callable[[str], None] = print) -> None:
    """Scores what `prepare` found, method by method, so that the recognisers find each other's flow in the cache.

    A run that was killed goes on. Several processes share the clips of each job.
    """
    main = processes.this(found[0].device).is_main_process
    cache = found[0].out.parent / "flow" if len(found) > 1 else None
    jobs = [*product(found[0].methods, found)]
    with places.own(found[0].out.parent, "study") if main else nullcontext():
        for number, (method, config) in enumerate(jobs, 1):
            if main:
                say(f"{number} of {len(jobs)}: {config.dataset}, {config.network}, {method}")
            weights = {name: path for name, path in config.weights.items() if name in pair(method)}
            one = dict(methods=(method,), weights=weights, cache=cache)
            evaluate.evaluate(replace(config, **one), provenance=provenance)
        if main and cache:
            shutil.rmtree(cache, ignore_errors=True)


def kept(config: Evaluation) -> tuple[pd.DataFrame, scores.Header] | None:
    """The scores that are there, of these clips alone: an earlier run may have seen more."""
    if not config.out.exists():
        return None
    frame, header = scores.load(config.out)
    return frame[frame["clip"].isin([clip.name for clip in evaluate.dataset_clips(config)[0]])], header


def tables(found: Sequence[Evaluation], provenance: records.Provenance) -> tuple[pd.DataFrame, list[records.Record]]:
    """Table 4 from the scores, and the paired tests that the claims need -> (tidy table, records).

    Keys: PROFILE.benchmark.DATASET.NETWORK.METHOD.STREAM, and PROFILE.benchmark.DATASET.NETWORK.STREAM.A.to_B.
    """
    made, numbers, prefix = [], [], f"{provenance.profile}.benchmark"
    for config, (frame, _) in ((config, there) for config in found if (there := kept(config))):
        single = set(frame["method"])
        pairs = [m for m in config.methods if "+" in m and m not in single and set(pair(m)) <= single]
        made.append(scores.table(frame, pairs=pairs, groups="group", present_only=config.present_only))
        numbers += scores.records(made[-1], provenance, prefix)
        for stream, a, b in claims.comparisons(config.dataset, config.network):
            rows = [scores.rows_of(frame, method, stream) for method in (a, b)]
            if all(side is not None for side in rows):
                key = f"{prefix}.{config.dataset}.{config.network}.{stream}.{a}.to_{b}"
                what = f"{a} minus {b}, {stream} stream, {config.network} on {config.dataset}"
                numbers += scores.compare(*rows, key, what, provenance, groups="group")
    if not made:
        raise InputError(f"{found[0].out.parent}: no scores there yet; run the stage scores first")
    return pd.concat(made, ignore_index=True), numbers


def keep(found: Sequence[Evaluation], numbers: Sequence[records.Record], folder: Path) -> list[Path]:
    """Copy the records, and the scores that they were made from, to the project's results."""
    written = [records.save(numbers, folder / f"benchmark-{numbers[0].provenance.profile}.json")]
    for config in found:
        if there := kept(config):
            written.append(scores.save(folder / "scores" / config.out.name, *there))
    return written
