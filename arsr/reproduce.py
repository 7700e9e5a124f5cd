"""The whole study: every row of Table 4 on each data set and recogniser at hand, in stages that can be interrupted.

    prepare   what is there and what is missing, how many clips, frames, hours            -> a plan
    scores    LR -> SR -> flow -> both streams, one method after the other, streaming   -> OUT/DATASET-NETWORK.parquet
    tables    accuracies with intervals, and paired tests                               -> OUT/records.json

SR and flow are parts of the stage scores: no frame is written. Flow that several jobs see (two recognisers, or a
method and a pair with its flow) is cached until the last of them is done.
"""

from __future__ import annotations

import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from arsr import claims, evaluate, manifest, processes, scores
from arsr import records as results
from arsr.data import folders
from arsr.data.clips import Clip
from arsr.evaluate import Evaluation
from arsr_core import devices, flow, recognition, sr, video
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

TABLE4 = ("hr", "bicubic", "vdsr", "rcan", "srgan", "esrgan", "sosr", "spmc", "duf16", "duf52", "tosr", "sosr+tosr")
SUFFIXES = (".safetensors", ".pth", ".pt", ".h5")


@dataclass(frozen=True)
class Study:
    """What is to be reproduced, on what."""

    profile: str = "paper"  # or embedded: the shipped networks on embedded (synthetic) clips
    data: Path | None = None  # folder of hmdb51, ucf101, their split files, and weights (see `file`)
    out: Path = Path("_build/reproduce")
    datasets: tuple[str, ...] = ("hmdb51", "ucf101")
    methods: tuple[str, ...] = (*TABLE4, *sr.STARTS)  # claim C3 compares with these
    protocol: str | None = None  # None: full; lite for embedded clips
    preset: str | None = None  # of TV-L1; None: reference; fast for embedded clips
    split: int = 1
    splits: Path | None = None  # folder of the split files; None: in or beside the data set
    present_only: bool = False
    clips: int = 360  # embedded test clips
    seed: int = 0
    shipped: Path = Path("weights")  # of the profile embedded
    device: str | None = None

    def __post_init__(self):
        if self.profile not in ("paper", "embedded"):
            raise InputError(f"reproduce: no profile {self.profile!r}; expected paper or embedded")
        if self.profile == "paper" and self.data is None:
            raise InputError("reproduce: give the folder that holds hmdb51, ucf101 and weights, --data FOLDER")
        if self.data and not self.data.is_dir():
            raise InputError(f"{self.data}: no such folder; expected one that holds hmdb51, ucf101 and weights")
        known = {"hr", *sr.METHODS}, {name for name, dataset in folders.DATASETS.items() if dataset.splits}
        named = {name for method in self.methods for name in method.split("+")}, set(self.datasets)
        for kind, names, expected in zip(("method", "data set"), named, known, strict=True):
            if not names or names - expected:
                given = ", ".join(sorted(names - expected)) or "none"
                raise InputError(f"reproduce: {kind} {given}; expected some of {', '.join(sorted(expected))}")
        if self.protocol not in (None, *PROTOCOLS) or self.preset not in (None, *flow.PRESETS):
            choices = f"{', '.join(PROTOCOLS)}; {', '.join(flow.PRESETS)}"
            raise InputError(f"reproduce: protocol {self.protocol}, preset {self.preset}; expected of {choices}")


@dataclass(frozen=True)
class Part:
    """One recogniser on one data set: `config.methods` are those with weights, `config.out` is for its scores."""

    config: Evaluation
    clips: list[Clip] = field(repr=False)
    classes: tuple[str, ...] = field(repr=False)
    lengths: list[int] = field(repr=False)  # frames of each clip, 0 where it cannot be read

    def done(self) -> dict[str, int]:
        """Clips with scores in every stream, by method."""
        if not Path(self.config.out).exists():
            return {}
        frame, _ = scores.load(self.config.out)
        frame = frame[frame["status"] == "ok"]
        return frame.groupby(["method", "stream"])["clip"].nunique().groupby("method").min().to_dict()

    def needs(self) -> tuple[int, int, int]:
        """What a method shows of all the clips: frames as they are, frames for flow, and pairs of these."""
        protocol, both = self.config.protocol, self.config.network == "st-resnet"
        spots = shown = pairs = 0
        for length in self.lengths:
            if length > protocol.flow_frames:
                stacks = recognition.starts(length - 1, protocol, protocol.flow_frames)
                first = (stacks[:, None] + torch.arange(protocol.flow_frames)).unique()
                spots += len((stacks if both else recognition.starts(length, protocol)).unique())
                shown += len(torch.cat((first, first + 1)).unique())
                pairs += len(first)
        return spots, shown, pairs


@dataclass(frozen=True)
class Plan:
    """What `prepare` found: the parts in order, and in words what is missing and how to get it."""

    study: Study
    parts: list[Part]
    missing: list[str]

    def jobs(self) -> Iterator[tuple[Part, str]]:
        """(part, method), the recognisers of a data set in turn for each method: so they share its flow."""
        for dataset in dict.fromkeys(part.config.dataset for part in self.parts):
            parts = [part for part in self.parts if part.config.dataset == dataset]
            for method in self.study.methods:
                yield from ((part, method) for part in parts if method in part.config.methods)


# Stage 1: prepare -------------------------------------------------------------------------------------------


def prepare(study: Study) -> Plan:
    """Look for clips, recognisers and weights. Raises InputError where there is nothing to score at all."""
    weights = _weights(study)
    parts, missing = [], []
    for method in study.methods:
        missing += [f"{method}: no weights of {m}" for m in method.split("+") if m not in ("hr", "bicubic", *weights)]
    for dataset, network, paths in _recognisers(study):
        if lacking := [name for name, path in paths.items() if path is None]:
            missing.append(f"{dataset}, {network}: no weights of {' and '.join(lacking)}")
            continue
        config = _evaluation(study, dataset, network, tuple(map(str, paths.values())), weights)
        try:
            clips, classes = evaluate.dataset_clips(config)
            evaluate.check(clips, classes, present_only=study.present_only)
        except InputError as error:
            missing.append(f"{dataset}: {error}")
            continue
        parts.append(Part(config, clips, classes, _lengths(config, clips)))
    if not parts:
        raise InputError("reproduce: nothing can be scored. " + "; ".join(dict.fromkeys(missing)))
    return Plan(study, parts, list(dict.fromkeys(missing)))


def _weights(study: Study) -> dict[str, Path]:
    """The file of each SR method."""
    if study.profile == "embedded":
        shipped = manifest.at_hand(study.shipped, starts=True)
        return {name: model.weights for name, model in shipped.items() if model.weights}
    return {method: path for method in sr.METHODS if (path := file(study.data / "weights", method))}


def _recognisers(study: Study) -> Iterator[tuple[str, str, dict[str, Path | None]]]:
    """(data set, network, its files by name)."""
    if study.profile == "embedded":
        shipped = manifest.load(study.shipped)
        for network, names in {"tsn": ("tsn-rgb-lite", "tsn-flow-lite"), "st-resnet": ("st-resnet-lite",)}.items():
            found = {name: manifest.find(study.shipped, name) if name in shipped else None for name in names}
            yield "embedded", network, found
        return
    for dataset in study.datasets:
        for network, stems in {"tsn": ("tsn-rgb", "tsn-flow"), "st-resnet": ("st-resnet",)}.items():
            names = [f"{stem}-{dataset}" for stem in stems]
            yield dataset, network, {name: file(study.data / "weights", name) for name in names}


def _evaluation(study: Study, dataset: str, network: str, recognisers: tuple[str, ...], weights: dict) -> Evaluation:
    # TSN's streams do not see each other: a pair of methods needs no run of its own
    names = [m for m in study.methods if "+" not in m or network == "st-resnet"]
    names = [m for m in names if set(m.split("+")) <= {"hr", "bicubic", *weights}]
    embedded = dataset == "embedded"
    return Evaluation(
        dataset,
        study.out / f"{dataset}-{network}.parquet",
        recognisers,
        tuple(names),
        {name: weights[name] for method in names for name in method.split("+") if name in weights},
        PROTOCOLS[study.protocol or ("lite" if embedded else "full")],
        flow=study.preset or ("fast" if embedded else "reference"),
        network=network,
        root=None if embedded else _root(study.data, dataset),
        splits=study.splits,
        split=study.split,
        present_only=study.present_only,
        clips=study.clips,
        seed=study.seed,
        device=study.device,
    )


def file(folder: Path, stem: str) -> Path | None:
    """FOLDER/STEM with a suffix of weights, the first that there is."""
    return next((path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()), None)


def _root(data: Path, dataset: str) -> Path:
    names = (dataset, *folders.DATASETS[dataset].homes[:2])
    return next((data / name for name in names if (data / name).is_dir()), data / dataset)


def _lengths(config: Evaluation, clips: list[Clip]) -> list[int]:
    if config.dataset == "embedded":
        return [len(clips[0].read())] * len(clips)
    options = dict(splits=config.splits, split=config.split, present_only=config.present_only)
    with ThreadPoolExecutor() as pool:  # FFmpeg releases the interpreter's lock
        return list(pool.map(_length, folders.items(config.dataset, config.root, **options)))


def _length(item: folders.Item) -> int:
    try:
        info = video.probe(item.path)
    except InputError:
        return 0  # the scores will say why
    return info.frames or round((info.duration or 0) * float(info.fps or 25))


# What it will cost, from rates measured here ----------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What is left of one method in one part."""

    dataset: str
    network: str
    method: str
    clips: int
    frames: int  # super-resolved
    pairs: int  # whose flow is computed
    seconds: float  # on one device
    disk: int  # bytes of flow that the cache holds at a time


def estimate(plan: Plan) -> list[Cost]:
    """The cost of every job that is left. Each stage is timed here, on the first clip that can be read."""
    device = devices.device(plan.study.device)
    costs, rates, coming = [], {}, set()
    flows = [_flow_of(*job) for job in plan.jobs()]
    for (part, method), motion in zip(plan.jobs(), flows, strict=True):
        config, total = part.config, len(part.clips)
        left = 1 - part.done().get(method, 0) / total
        if not left:
            continue
        spatial, _, temporal = method.partition("+")
        clip = _first(part)
        for name in {spatial, temporal or spatial}:
            key = config.dataset, name
            rates[key] = rates.get(key) or _frame_rate(part, name, clip, device)
        key = config.dataset, config.network
        rates[key] = rates.get(key) or _recogniser_rates(part, clip, device)
        per_pair, size, per_clip = rates[key]
        spots, shown, pairs = part.needs()
        if motion in coming:  # by then in the cache
            shown, pairs = 0, 0
        coming.add(motion)
        seconds = spots * rates[config.dataset, spatial] + shown * rates[config.dataset, temporal or spatial]
        seconds += pairs * per_pair + total * per_clip
        shares = flows.count(motion) > 1
        amounts = (round(left * amount) for amount in (total, spots + shown, pairs))
        costs.append(Cost(config.dataset, config.network, method, *amounts, left * seconds, shares * pairs * size))
    return costs


def _first(part: Part) -> np.ndarray:
    for clip, length in zip(part.clips, part.lengths, strict=True):
        if length > part.config.protocol.flow_frames:
            with suppress(InputError, OSError):
                return clip.read()
    raise InputError(f"{part.config.dataset}: no clip can be read; 'arsr data check {part.config.dataset}' says why")


def _frame_rate(part: Part, method: str, clip: np.ndarray, device: torch.device) -> float:
    """Seconds a frame: LR, SR, resize."""
    config = part.config
    network = None if method == "hr" else sr.load(method, config.weights.get(method)).to(device)
    numbers = range(min(len(clip), 32 if device.type == "cuda" else 2))
    settings = dict(device=device, precision=config.precision)
    return _timed(lambda: evaluate.see(clip, numbers, network, config.protocol, **settings))[1] / len(numbers)


def _recogniser_rates(part: Part, clip: np.ndarray, device: torch.device) -> tuple[float, int, float]:
    """Seconds a pair for its flow, bytes of that in the cache, seconds a clip for its scores."""
    config, protocol = part.config, part.config.protocol
    frames = evaluate.see(
        clip, range(min(len(clip), 33 if device.type == "cuda" else 3)), None, protocol, device=device
    )
    chosen = protocol, config.flow, config.backend, 1
    coded, seconds = _timed(lambda: evaluate.coded_flow(frames[:-1], frames[1:], *chosen))
    nets = evaluate.Pipeline(replace(config, methods=("hr",), weights={}), part.classes, device, str(config.split))
    rgb, stack = frames[:1], coded[:1, :1].repeat(1, 2 * protocol.flow_frames, 1, 1)
    inputs = {"spatial": (rgb,), "temporal": (stack,), "both": (rgb, stack)}
    snippets = [(net, inputs[kind]) for kind, net in nets.recognisers.items()]
    _, scoring = _timed(lambda: [evaluate.score(net, *seen, protocol=protocol) for net, seen in snippets])
    size = len(zlib.compress(coded.cpu().numpy().tobytes(), 1)) // len(coded)
    return seconds / len(coded), size, scoring * protocol.snippets


def _timed(work: Callable):
    """The result and the seconds of a second run: the first one compiles and fills caches."""
    for _ in range(2):
        start = time.perf_counter()
        result = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    return result, time.perf_counter() - start


def describe(plan: Plan, costs: list[Cost], processes: int = 1) -> str:
    """The plan in words: what is there, what is missing, what it will take."""
    lines = []
    for part in plan.parts:
        config, unreadable = part.config, part.lengths.count(0)
        lost = f", {unreadable:,} of them unreadable" if unreadable else ""
        what = f"{config.dataset}, {config.network}: {len(part.clips):,} clips, {sum(part.lengths):,} frames{lost}"
        lines.append(f"{what}; protocol {config.protocol.name}, TV-L1 {config.flow}")
    lines += ["", f"{'':34}{'clips':>8}{'SR frames':>12}{'flow pairs':>12}{'hours':>9}"]
    for c in costs:
        name = f"{c.dataset}, {c.network}, {c.method}"
        lines.append(f"{name:34}{c.clips:8,}{c.frames:12,}{c.pairs:12,}{c.seconds / 3600:9.2f}")
    hours, disk = sum(c.seconds for c in costs) / 3600, max((c.disk for c in costs), default=0)
    each = f", {hours / processes:.2f} h on {processes} processes" if processes > 1 else ""
    lines.append(
        f"{'all':34}{'':32}{hours:9.2f} h on one device{each}; {disk / 2**30:.1f} GiB of disk for flow at a time"
    )
    if not costs:
        lines[-1] = "every score is there"
    return "\n".join(lines + [f"missing: {line}" for line in plan.missing])


# Stage 2: scores --------------------------------------------------------------------------------------------


def score(plan: Plan, *, provenance: results.Provenance | None = None, say: Callable[[str], None] = print) -> None:
    """Every job of the plan, in order; a run that was killed goes on. Several processes share the clips of each job."""
    jobs = list(plan.jobs())
    flows = [_flow_of(*job) for job in jobs]
    for number, ((part, method), motion) in enumerate(zip(jobs, flows, strict=True), 1):
        config = part.config
        cache = plan.study.out / "flow" / motion if flows.count(motion) > 1 else None
        used = {name: path for name, path in config.weights.items() if name in method.split("+")}
        config = replace(config, methods=(method,), weights=used, cache=cache)
        say(f"{number} of {len(jobs)}: {config.dataset}, {config.network}, {method}")
        evaluate.evaluate(config, part.clips, part.classes, provenance=provenance)
        if cache and motion not in flows[number:] and processes.this().is_main_process:  # no job is left that wants it
            shutil.rmtree(cache, ignore_errors=True)


def _flow_of(part: Part, method: str) -> str:
    """The name of the flow that a job sees: that of a pair's second method."""
    return f"{part.config.dataset}-{method.rpartition('+')[2]}"


# Stage 3: tables --------------------------------------------------------------------------------------------


def tables(plan: Plan, provenance: results.Provenance) -> tuple[pd.DataFrame, list[results.Record]]:
    """Table 4 from the scores, and the paired tests that the claims need -> (tidy table, records).

    Keys: PROFILE.benchmark.DATASET.NETWORK.METHOD.STREAM, and PROFILE.benchmark.DATASET.NETWORK.STREAM.A.to_B.
    """
    found, records, profile = [], [], plan.study.profile
    for part in plan.parts:
        config = part.config
        if not Path(config.out).exists():
            continue
        frame, _ = scores.load(config.out)
        frame = frame[frame["clip"].isin([clip.name for clip in part.clips])]
        single = set(frame["method"])
        pairs = [m for m in plan.study.methods if "+" in m and m not in single and set(m.split("+")) <= single]
        table = scores.table(frame, pairs=pairs, groups="group", present_only=config.present_only)
        found.append(table)
        records += scores.records(table, provenance, f"{profile}.benchmark")
        for stream, a, b in claims.comparisons(config.dataset, config.network):
            rows = [scores.rows_of(frame, method, stream) for method in (a, b)]
            if all(part is not None for part in rows):
                key = f"{profile}.benchmark.{config.dataset}.{config.network}.{stream}.{a}.to_{b}"
                what = f"{a} minus {b}, {stream} stream, {config.network} on {config.dataset}"
                records += scores.compare(*rows, groups="group").records(key, what, provenance)
    if not found:
        raise InputError(f"{plan.study.out}: no scores there yet; run the stage scores first")
    return pd.concat(found, ignore_index=True), records


def provenance(study: Study, command: str, code: str | None = None) -> results.Provenance:
    """Where the study's numbers come from; code: the commit, for numbers that are kept."""
    embedded = study.profile == "embedded"
    return results.Provenance(
        kind="measured",
        source="arsr reproduce",
        profile=study.profile,
        command=command,
        data="embedded test clips (synthetic)" if embedded else ", ".join(study.datasets),
        machine=results.machine(),
        code=code,
        note="lite networks and recognisers, trained on embedded clips" if embedded else None,
        versions=results.versions(),
    )


def keep(plan: Plan, records: list[results.Record], folder: Path) -> list[Path]:
    """Copy the records, and the scores of the plan's clips, to the project's results."""
    written = [results.save(records, folder / f"benchmark-{plan.study.profile}.json")]
    for part in plan.parts:
        path, clips = Path(part.config.out), {clip.name for clip in part.clips}
        rows, header = scores.rows(path)
        rows = [row for row in rows if row["clip"] in clips]  # an earlier run may have seen more
        written.append(scores.save(folder / "scores" / path.name, rows, header))
    return written
