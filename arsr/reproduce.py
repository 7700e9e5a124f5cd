"""The whole study: every row of Table 4 on each data set and recogniser at hand, in stages that can be interrupted.

    prepare   what is there and what is missing, how many clips, and about how many hours -> a plan
    scores    LR -> SR -> flow -> both streams, one method after the other, streaming   -> OUT/DATASET-NETWORK.parquet
    tables    accuracies with intervals, and paired tests                               -> OUT/records.json

No frame is written. Flow that several jobs see (two recognisers, or a method and a pair with its flow) is cached until
the last of them is done.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from annotated_types import Ge, MinLen

from arsr import claims, evaluate, manifest, processes, records, scores
from arsr.data import folders
from arsr.data.clips import Clip
from arsr.evaluate import Evaluation, Method
from arsr.names import pair
from arsr.settings import Flag, Suppress, settings
from arsr_core import devices, flow, sr
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

TABLE4 = ("hr", "bicubic", "vdsr", "rcan", "srgan", "esrgan", "sosr", "spmc", "duf16", "duf52", "tosr", "sosr+tosr")
SUFFIXES = (".safetensors", ".pth", ".pt", ".h5")
RECOGNISERS = {"tsn": ("tsn-rgb", "tsn-flow"), "st-resnet": ("st-resnet",)}  # their files, NAME-DATASET


@settings
class Study:
    """What is to be reproduced, on what."""

    profile: Literal["paper", "embedded"] = "paper"  # paper, or embedded: the shipped networks on embedded clips
    data: Path | None = None  # folder of hmdb51, ucf101, their split files, and weights
    out: Path = Path("_build/reproduce")  # folder of the scores and records
    datasets: Annotated[tuple[Literal["hmdb51", "ucf101"], ...], MinLen(1), Suppress] = ("hmdb51", "ucf101")
    methods: Annotated[tuple[Method, ...], MinLen(1), Suppress] = (*TABLE4, *sr.STARTS)  # default: Table 4's and C3's
    protocol: Literal[*PROTOCOLS] | None = None  # full, light ...; default: full, lite if embedded
    preset: Literal[*flow.PRESETS] | None = None  # of TV-L1; default: reference, fast if embedded
    split: int = 1  # official split
    splits: Path | None = None  # folder of the split files; default: in or beside the data set
    present_only: Flag[bool] = False  # do without clips that are missing
    clips: Annotated[int, Ge(1)] = 360  # embedded test clips
    seed: Annotated[int, Ge(0), Suppress] = 0  # of the embedded clips
    shipped: Suppress[Path] = Path("weights")  # folder of the weights of the profile embedded
    device: str | None = None  # cpu, cuda ...; default: cuda where there is one

    def __post_init__(self):
        if self.profile == "paper" and self.data is None:
            raise InputError("reproduce: give the folder that holds hmdb51, ucf101 and weights, --data FOLDER")
        if self.data and not self.data.is_dir():
            raise InputError(f"{self.data}: no such folder; expected one that holds hmdb51, ucf101 and weights")


@dataclass(frozen=True)
class Part:
    """One recogniser on one data set: `config.methods` are those with weights, `config.out` is for its scores."""

    config: Evaluation
    clips: list[Clip] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)

    def only(self, method: str, **changed: object) -> Evaluation:
        """The evaluation of one method, with other settings as given."""
        used = {name: path for name, path in self.config.weights.items() if name in pair(method)}
        return replace(self.config, methods=(method,), weights=used, **changed)

    def kept(self) -> tuple[pd.DataFrame, scores.Header] | None:
        """The scores that are there, of these clips alone: an earlier run may have seen more."""
        if not Path(self.config.out).exists():
            return None
        frame, header = scores.load(self.config.out)
        return frame[frame["clip"].isin([clip.name for clip in self.clips])], header

    def left(self, method: str) -> int:
        """The clips that have no scores of a method in some stream."""
        if not (kept := self.kept()):
            return len(self.clips)
        done = kept[0].query("status == 'ok' and method == @method").groupby("stream")["clip"].nunique()
        return len(self.clips) - int(done.min() if len(done) else 0)


@dataclass(frozen=True)
class Plan:
    """What `prepare` found: the parts in order, and in words what is missing and how to get it."""

    study: Study
    parts: list[Part]
    missing: list[str]

    def jobs(self) -> list[tuple[Part, str, str]]:
        """What is to score: (part, method, name of the flow that it sees, of a pair that of its second method).

        The recognisers of a data set take turns for each method, so that they share its flow.
        """
        datasets = dict.fromkeys(part.config.dataset for part in self.parts)
        cells = [(p, m, d) for d in datasets for m in self.study.methods for p in self.parts if p.config.dataset == d]
        return [(part, m, f"{dataset}-{pair(m)[1]}") for part, m, dataset in cells if m in part.config.methods]


# Stage 1: prepare -------------------------------------------------------------------------------------------


def prepare(study: Study) -> Plan:
    """Look for clips, recognisers and weights. Raises InputError where there is nothing to score at all."""
    weights = {name: path for name in sr.METHODS if (path := _file(study, name))}
    absent = [(method, name) for method in study.methods for name in pair(method) if name not in {"hr", *weights}]
    missing = [f"{method}: no weights of {name}" for method, name in absent if name != "bicubic"]
    parts, embedded = [], study.profile == "embedded"
    for dataset in ("embedded",) if embedded else study.datasets:
        for network, stems in RECOGNISERS.items():
            names = [f"{stem}-{'lite' if embedded else dataset}" for stem in stems]
            files = {name: _file(study, name) for name in names}
            if lacking := [name for name, path in files.items() if not path]:
                missing.append(f"{dataset}, {network}: no weights of {' and '.join(lacking)}")
                continue
            config = _evaluation(study, dataset, network, tuple(map(str, files.values())), weights)
            try:
                clips, classes = evaluate.dataset_clips(config)
                evaluate.check(clips, classes, present_only=study.present_only)
            except InputError as error:
                missing.append(f"{dataset}: {error}")
                continue
            parts.append(Part(config, clips, classes))
    missing = list(dict.fromkeys(missing))
    if not parts:
        raise InputError(f"reproduce: nothing can be scored. {'; '.join(missing)}")
    return Plan(study, parts, missing)


def _file(study: Study, name: str) -> Path | None:
    """The weights of a method or recogniser: DATA/weights/NAME with some suffix, or those that are shipped."""
    if study.profile == "embedded":
        known = manifest.load(study.shipped)
        return next((manifest.find(study.shipped, n) for n in (name, f"{name}-lite") if n in known), None)
    files = (study.data / "weights" / f"{name}{suffix}" for suffix in SUFFIXES)
    return next(filter(Path.is_file, files), None)


def _evaluation(study: Study, dataset: str, network: str, recognisers: tuple[str, ...], weights: dict) -> Evaluation:
    # TSN's streams do not see each other: a pair of methods needs no run of its own
    methods = [m for m in study.methods if "+" not in m or network == "st-resnet"]
    methods = [m for m in methods if set(pair(m)) <= {"hr", "bicubic", *weights}]
    real = dataset != "embedded"
    return Evaluation(
        dataset,
        study.out / f"{dataset}-{network}.parquet",
        recognisers,
        tuple(methods),
        {name: weights[name] for method in methods for name in pair(method) if name in weights},
        PROTOCOLS[study.protocol or ("full" if real else "lite")],
        study.preset or ("reference" if real else "fast"),
        network=network,
        root=_root(study.data, dataset) if real else None,
        **{name: getattr(study, name) for name in ("splits", "split", "present_only", "clips", "seed", "device")},
    )


def _root(data: Path, dataset: str) -> Path:
    names = (dataset, *folders.DATASETS[dataset].homes[:2])
    return next((data / name for name in names if (data / name).is_dir()), data / dataset)


def estimate(plan: Plan) -> pd.DataFrame:
    """A row for each job that is left: dataset, network, method, clips, hours on one device, disk in bytes, at most.

    One snippet is timed here, with flow from the cache as in the study; disk is what the cache will hold of its flow.
    """
    jobs, rows = [(*job, left) for job in plan.jobs() if (left := job[0].left(job[1]))], []
    flows = [motion for _, _, motion, _ in jobs]
    with tempfile.TemporaryDirectory() as folder:
        for number, (part, method, motion, left) in enumerate(jobs):
            cache, config = Path(folder, motion), part.config
            seconds, snippets = _seconds(part, method, cache), left * config.protocol.snippets
            written = motion in flows[number + 1 :] and motion not in flows[:number]
            disk = snippets * sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()) if written else 0
            rows.append((config.dataset, config.network, method, left, seconds * snippets / 3600, disk))
    return pd.DataFrame(rows, columns=("dataset", "network", "method", "clips", "hours", "disk"))


def _seconds(part: Part, method: str, cache: Path) -> float:
    """What one snippet of the first clip that can be read takes; its flow may lie in the cache."""
    config = part.only(method, cache=cache, protocol=replace(part.config.protocol, snippets=1))
    pipeline = evaluate.Pipeline(config, part.classes, devices.device(config.device), config.fold(part.clips[0]))
    kept = pipeline.cache
    for clip in part.clips:
        for pipeline.cache in (None, kept):  # the first run compiles
            start = time.perf_counter()
            [rows] = pipeline.run([(clip, pipeline.units)])
            seconds = time.perf_counter() - start
        if all(row["status"] == "ok" for row in rows):
            return seconds
    raise InputError(f"{config.dataset}: no clip can be read; 'arsr data check {config.dataset}' says why")


def describe(plan: Plan, costs: pd.DataFrame, processes: int = 1) -> str:
    """The plan in words: what is there, what it will take, what is missing."""
    lines = []
    for config, clips in ((part.config, len(part.clips)) for part in plan.parts):
        how = f"{config.protocol.name}, TV-L1 {config.flow}"
        lines.append(f"{config.dataset}, {config.network}: {clips:,} clips; {how}")
    if costs.empty:
        lines.append("every score is there")
    else:
        hours, disk = costs["hours"].sum(), costs["disk"].max() / 2**30
        each = f", {hours / processes:.2f} h on {processes} processes" if processes > 1 else ""
        table = costs.drop(columns="disk").to_string(index=False, float_format="%.2f")
        total = f"at most {hours:.2f} h on one device{each}; {disk:.1f} GiB of disk for flow at a time"
        lines += ["", table, total]
    return "\n".join(lines + [f"missing: {line}" for line in plan.missing])


# Stage 2: scores --------------------------------------------------------------------------------------------


def score(plan: Plan, *, provenance: records.Provenance | None = None, say: Callable[[str], None] = print) -> None:
    """Every job of the plan, in order; a run that was killed goes on. Several processes share the clips of each job."""
    jobs = plan.jobs()
    flows = [motion for _, _, motion in jobs]
    for number, (part, method, motion) in enumerate(jobs, 1):
        cache = plan.study.out / "flow" / motion if flows.count(motion) > 1 else None
        say(f"{number} of {len(jobs)}: {part.config.dataset}, {part.config.network}, {method}")
        evaluate.evaluate(part.only(method, cache=cache), part.clips, part.classes, provenance=provenance)
        if cache and motion not in flows[number:] and processes.this().is_main_process:  # no job is left that wants it
            shutil.rmtree(cache, ignore_errors=True)


# Stage 3: tables --------------------------------------------------------------------------------------------


def tables(plan: Plan, provenance: records.Provenance) -> tuple[pd.DataFrame, list[records.Record]]:
    """Table 4 from the scores, and the paired tests that the claims need -> (tidy table, records).

    Keys: PROFILE.benchmark.DATASET.NETWORK.METHOD.STREAM, and PROFILE.benchmark.DATASET.NETWORK.STREAM.A.to_B.
    """
    found, kept, prefix = [], [], f"{plan.study.profile}.benchmark"
    for part in plan.parts:
        if not (there := part.kept()):
            continue
        config, (frame, _) = part.config, there
        single = set(frame["method"])
        pairs = [m for m in plan.study.methods if "+" in m and m not in single and set(pair(m)) <= single]
        found.append(scores.table(frame, pairs=pairs, groups="group", present_only=config.present_only))
        kept += scores.records(found[-1], provenance, prefix)
        for stream, a, b in claims.comparisons(config.dataset, config.network):
            rows = [scores.rows_of(frame, method, stream) for method in (a, b)]
            if all(side is not None for side in rows):
                key = f"{prefix}.{config.dataset}.{config.network}.{stream}.{a}.to_{b}"
                what = f"{a} minus {b}, {stream} stream, {config.network} on {config.dataset}"
                kept += scores.compare(*rows, key, what, provenance, groups="group")
    if not found:
        raise InputError(f"{plan.study.out}: no scores there yet; run the stage scores first")
    return pd.concat(found, ignore_index=True), kept


def provenance(study: Study, command: str, code: str | None = None) -> records.Provenance:
    """Where the study's numbers come from; code: the commit, for numbers that are kept."""
    embedded = study.profile == "embedded"
    data = "embedded test clips (synthetic)" if embedded else ", ".join(study.datasets)
    note = "lite networks and recognisers, trained on embedded clips" if embedded else None
    return records.measured("arsr reproduce", command, data, code, profile=study.profile, note=note)


def keep(plan: Plan, found: list[records.Record], folder: Path) -> list[Path]:
    """Copy the records, and the scores of the plan's clips, to the project's results."""
    written = [records.save(found, folder / f"benchmark-{plan.study.profile}.json")]
    for part in plan.parts:
        if there := part.kept():
            written.append(scores.save(folder / "scores" / Path(part.config.out).name, *there))
    return written
