"""From clips to scores in one pass: LR -> SR -> frames and flow -> both streams, with no file in between.

Stages overlap: one thread decodes the next clips, one computes flow (several pairs at a time), and this one runs the
networks. Only the frames that the snippets show are super-resolved, to 8 bits as a video would hold them. A clip's
scores are kept as soon as they are there, so a run goes on where it was killed; `torchrun` or `accelerate launch`
shares the clips among processes.

>>> path = evaluate(Evaluation("embedded", "scores.parquet", ("rgb.safetensors", "flow.safetensors")))
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from arsr import processes, records, scores
from arsr.data import clips as sources
from arsr.data import flow_cache, folders
from arsr.data.clips import Clip
from arsr.embedded.actions import ACTIONS
from arsr_core import degrade, devices, flow, recognition, sr
from arsr_core.errors import InputError
from arsr_core.files import sha256
from arsr_core.recognition import PROTOCOLS, Protocol, STResNet

SCALE = 4
STREAMS = ("spatial", "temporal")
AHEAD = 2  # clips decoded, and methods whose flow is computed, before they are needed
CHUNK = 32  # frames super-resolved at a time: bounds memory


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, by what and how."""

    dataset: str  # embedded, or a name in folders.DATASETS
    out: str | Path  # file of scores; rows that it has are not computed again
    recognisers: tuple[str, ...]  # files: TSN streams, or one ST-ResNet; {fold} stands for the group it never saw
    methods: tuple[str, ...] = ("hr", "bicubic")  # hr, names in sr.METHODS, or pairs: sosr+tosr is frames + flow
    weights: dict[str, str | Path] = field(default_factory=dict)  # SR method: file
    protocol: Protocol = PROTOCOLS["full"]
    flow: str = "reference"  # a name in flow.PRESETS
    backend: str = "auto"  # of TV-L1
    precision: str = "auto"  # SR in bfloat16 where that is native; "float32"; "bfloat16": the recogniser, too
    network: str | None = None  # its name in the rows; None: tsn or st-resnet
    root: str | Path | None = None  # folder of a real data set
    splits: str | Path | None = None  # folder of its official split files
    split: int = 1
    present_only: bool = False  # do without clips that are missing
    clips: int = 180  # embedded clips ...
    seed: int = 0  # ... and their seed
    # what follows changes the speed, not the scores
    cache: str | Path | None = None  # folder of coded flow, to be found again by another network or run
    device: str | None = None
    workers: int = 0  # pairs of frames at a time in TV-L1 on a CPU; 0: one a core
    batch: int = 0  # images a forward of the recogniser; 0: as the device likes

    def __post_init__(self):
        names = {name for method in self.methods for name in _pair(method)}
        if unknown := sorted(names - {"hr", *sr.METHODS}):
            raise InputError(f"unknown method {unknown[0]!r}; expected hr, {', '.join(sr.METHODS)}, or two joined by +")
        if idle := sorted(self.weights.keys() - names):
            raise InputError(f"weights of {idle[0]}, but the methods are {', '.join(self.methods)}; name it there, too")
        if self.flow not in flow.PRESETS:
            raise InputError(f"unknown preset of flow {self.flow!r}; expected {' or '.join(flow.PRESETS)}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise InputError(f"expected precision auto, float32 or bfloat16, got {self.precision!r}")
        if not self.methods or not self.recognisers or self.clips < 1 or min(self.batch, self.workers) < 0:
            given = f"{self.clips} clips, batch {self.batch}, workers {self.workers}"
            given = f"methods {self.methods}, recognisers {self.recognisers}, {given}"
            raise InputError(f"expected methods, recognisers, clips from 1, batch and workers from 0, got {given}")


def evaluate(
    config: Evaluation,
    clips: Sequence[Clip] | None = None,
    classes: Sequence[str] | None = None,
    *,
    provenance: records.Provenance | None = None,
    progress: bool | None = None,
) -> Path:
    """Scores every clip with every method -> config.out, for `scores.load`; goes on where an earlier run stopped.

    clips, classes: None takes those of config.dataset. A clip that cannot be read, or is too short for a stack of
    flow, has a row with the reason instead of scores, and is tried again by the next run. One run at a time writes to
    a file; several files load together. progress: a bar on stderr; None: on a terminal, after two seconds.
    Raises InputError for clips listed twice, labels out of range, classes without clips (but for present_only),
    recognisers of other classes or made for other flow, and a file that holds scores of another kind.
    """
    from tqdm import tqdm

    if clips is None:
        clips, classes = dataset_clips(config)
    check(clips, classes, present_only=config.present_only)
    clips = sorted(clips, key=lambda clip: (_fold(config, clip), clip.label, clip.name))
    state = processes.this(config.device)
    device = state.device if config.device is None or state.num_processes > 1 else devices.device(config.device)
    pipeline = Pipeline(config, tuple(classes), device, _fold(config, clips[0]))
    header = pipeline.header(clips, provenance or provenance_of(config))
    out = Path(config.out)
    parts = out.with_name(f"{out.name}.parts")
    kept, _ = scores.rows(*_files(out, parts), header=header)
    done = {scores.key(row) for row in kept if row["status"] == "ok"}

    with state.split_between_processes(clips) as mine:
        todo = [(clip, units) for clip in mine if (units := pipeline.missing(clip, done))]
        disable = True if not state.is_main_process else None if progress is None else not progress
        with tqdm(total=len(mine), initial=len(mine) - len(todo), unit="clip", delay=2, disable=disable) as bar:
            for rows in pipeline.run(todo):
                rows = [row for row in rows if scores.key(row) not in done]
                name = hashlib.sha256(repr([scores.key(row) for row in rows]).encode()).hexdigest()[:24]
                scores.save(parts / f"{name}.parquet", rows, header)
                bar.update()
    state.wait_for_everyone()
    if state.is_main_process and parts.exists():
        scores.merge(_files(out, parts), out)
        shutil.rmtree(parts)
    state.wait_for_everyone()
    return out


def dataset_clips(config: Evaluation) -> tuple[list[Clip], tuple[str, ...]]:
    """The test clips of config.dataset, and its classes in the order of the labels."""
    if config.dataset == "embedded":
        return sources.embedded(config.clips, "test", seed=config.seed), tuple(ACTIONS)
    if config.root is None:
        raise InputError(f"{config.dataset}: give the folder of its clips, root=")
    options = dict(splits=config.splits, split=config.split, present_only=config.present_only)
    items = folders.items(config.dataset, config.root, **options)
    return sources.from_items(items), folders.DATASETS[config.dataset].classes


def check(clips: Sequence[Clip], classes: Sequence[str], *, present_only: bool = False) -> None:
    """InputError for a clip that is listed twice, a label that is not its class, and a class without clips."""
    if twice := [name for name, times in Counter(clip.name for clip in clips).items() if times > 1]:
        raise InputError(f"clip {twice[0]!r} is listed twice; expected each once")
    for clip in clips:
        if not 0 <= clip.label < len(classes) or classes[clip.label] != clip.action:
            raise InputError(
                f"clip {clip.name!r}: label {clip.label}, class {clip.action!r}; expected a label from 0 to "
                f"{len(classes) - 1} in the order {', '.join(classes[:3])} ..."
            )
    present = {clip.label for clip in clips}
    lacking = [name for label, name in enumerate(classes) if label not in present]
    if not clips or (lacking and not present_only):
        raise InputError(
            f"no clips of {', '.join(lacking[:5])} ({len(lacking)} of {len(classes)} classes); add some (of "
            f"embedded clips: --clips {len(classes)} or more), or take what there is (--present-only)"
        )


def provenance_of(config: Evaluation, command: str | None = None) -> records.Provenance:
    """Where the scores of an evaluation come from. command: what was typed; None: the call in Python."""
    code = None
    with suppress(InputError):  # no checkout, or changed since its commit
        code = records.commit(Path(__file__).parents[1], "arsr", "arsr_core")
    return records.Provenance(
        kind="measured",
        source="arsr evaluate",
        command=command or f"evaluate({config})",
        data=config.dataset,
        machine=records.machine(),
        code=code,
        versions=records.versions(),
    )


# The stages -------------------------------------------------------------------------------------------------


@torch.inference_mode()
def see(
    clip: np.ndarray,
    numbers: Sequence[int],
    network: nn.Module | None,
    protocol: Protocol,
    *,
    device: str | torch.device = "cpu",
    precision: str = "auto",
) -> torch.Tensor:
    """The frames of an HR clip as the recogniser sees them: uint8 (T, H, W, 3) -> uint8 (K, 3, *protocol.size).

    They are reduced by four and super-resolved by `network` (None: neither), to 8 bits, then resized, to 8 bits. A
    network of several frames sees the true neighbours, beyond the clip's ends the last frame again: as in the whole
    clip.
    """
    radius = network.frames // 2 if network else 0
    parts = []
    for first in range(0, len(numbers), CHUNK):
        windows = np.add.outer(numbers[first : first + CHUNK], range(-radius, radius + 1)).clip(0, len(clip) - 1)
        needed, index = np.unique(windows, return_inverse=True)
        x = torch.from_numpy(clip[needed]).to(device).movedim(-1, 1)  # uint8 (U, 3, H, W)
        x = degrade.modcrop(x, SCALE).float() / 255
        if network:
            x = degrade.to_lr(x, SCALE, eight_bit=True)
        x = x[torch.from_numpy(index.reshape(windows.shape)).to(device)]  # (K, window, 3, h, w)
        if network:
            x = degrade.quantise(sr.upscale(network, x, frames=[radius], precision=precision, progress=False))
        parts.append(_eight_bit(recognition.resize(x[:, 0], protocol)))  # (K, 3, *size)
    return torch.cat(parts)


def coded_flow(
    frames: torch.Tensor, following: torch.Tensor, protocol: Protocol, preset: str, backend: str, workers: int
) -> torch.Tensor:
    """TV-L1 flow from frames to those that follow, each uint8 (K, 3, H, W), coded: uint8 (K, 2, H, W)."""
    motion = flow.tvl1(frames, following, backend=backend, workers=workers, **flow.PRESETS[preset])
    return flow.encode_uint8(motion, protocol.bound)


@torch.inference_mode()
def score(
    net: nn.Module, *snippets: torch.Tensor, protocol: Protocol, batch: int = 10, half: bool = False
) -> dict[str, torch.Tensor]:
    """Mean scores over snippets and crops by stream, each float32 (classes,).

    snippets: uint8 (S, C, H, W), frames or stacks of coded flow; for ST-ResNet both. batch: images a forward. half: in
    bfloat16.
    """

    def crops(x: torch.Tensor) -> torch.Tensor:  # -> (S, crops, C, h, w)
        return recognition.crop(x.float() / 255, protocol)

    with torch.autocast(snippets[0].device.type, torch.bfloat16, enabled=half):
        if isinstance(net, STResNet):  # it couples the snippets of a crop
            clips = [crops(x).transpose(0, 1).split(max(1, batch // len(x))) for x in snippets]  # [(N, S, C, h, w)]
            parts = [net(*pair) for pair in zip(*clips, strict=True)]
            return {stream: torch.cat([p[stream] for p in parts]).float().mean(0) for stream in scores.STREAMS}
        images = (crops(x).flatten(0, 1) for x in snippets[0].split(max(1, batch // protocol.crops)))  # (B, C, h, w)
        parts = [net.snippets(x.contiguous(memory_format=torch.channels_last)[None])[0] for x in images]
    return {_kind(net): torch.cat(parts).float().mean(0)}


# Their interplay --------------------------------------------------------------------------------------------


class Unit(NamedTuple):
    """What is scored at once: frames of one SR method, flow of one, which may be another, or both."""

    method: str  # in the rows
    spatial: str | None
    temporal: str | None
    streams: tuple[str, ...]  # that come of it


class Source(NamedTuple):
    """A decoded clip, or the reason why there is none."""

    frames: np.ndarray | None  # uint8 (T, H, W, 3)
    reason: str = ""
    keys: dict[str, str] = {}  # SR method: the name of its flow in the cache ...
    flows: dict[str, torch.Tensor] = {}  # ... and the flow, where the cache has it


class Pipeline:
    """The networks of an evaluation, and the order in which clips pass them. fold: that of the first clip."""

    def __init__(self, config: Evaluation, classes: tuple[str, ...], device: torch.device, fold: str):
        self.config, self.classes, self.device = config, classes, device
        names = dict.fromkeys(name for method in config.methods for name in _pair(method))
        self.networks = {m: None if m == "hr" else sr.load(m, config.weights.get(m)).to(device) for m in names}
        self.hashes = {m: sha256(path) for m, path in config.weights.items()}
        self.cache = flow_cache.Cache(config.cache) if config.cache else None
        self.fold, self.recognisers = fold, _recognisers(config, fold, classes, device)
        self.kinds = tuple(self.recognisers)  # spatial and temporal, or both; in the order of config.recognisers
        self.network = config.network or ("st-resnet" if "both" in self.kinds else "tsn")
        self.units = _units(config.methods, self.kinds)

    def header(self, clips: Sequence[Clip], provenance: records.Provenance) -> scores.Header:
        """What the rows of this evaluation have in common."""
        config, hashes = self.config, {}
        for fold in dict.fromkeys(_fold(config, clip) for clip in clips):
            for kind, path in zip(self.kinds, _paths(config, fold), strict=True):
                hashes[f"{self.network}/{kind}/{fold}"] = sha256(path)
        return scores.Header(
            classes=self.classes,
            protocol=asdict(config.protocol),
            flow={"method": "tvl1", "backend": config.backend, **_parameters(config)},
            precision=config.precision,
            weights=self.hashes,
            recognisers=hashes,
            runs=(provenance,),
        )

    def missing(self, clip: Clip, done: set[tuple]) -> list[Unit]:
        """The units of which a row is not done yet."""
        return [u for u in self.units if any(scores.key(self.row(clip, u.method, s)) not in done for s in u.streams)]

    def row(self, clip: Clip, method: str, stream: str, values: torch.Tensor | None = None, reason: str = "") -> dict:
        where = dict(dataset=self.config.dataset, network=self.network, protocol=self.config.protocol.name)
        whose = dict(clip=clip.name, group=clip.group, label=clip.label, action=clip.action)
        state = dict(status="unreadable", scores=[]) if values is None else dict(status="ok", scores=values.tolist())
        return dict(stream=stream, method=method, fold=_fold(self.config, clip), reason=reason) | where | whose | state

    def run(self, todo: Iterable[tuple[Clip, list[Unit]]]) -> Iterator[list[dict]]:
        """The rows of each clip in turn. A unit pauses where it would wait for its flow; the next begin meanwhile."""
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as estimator:

            def decode(job: tuple[Clip, list[Unit]]) -> tuple[Clip, list[Unit], Future]:
                return *job, reader.submit(self.read, *job)

            def begin(step: tuple[Clip, Unit, Future, bool]) -> tuple[Iterator[list[dict]], bool]:
                clip, unit, source, last = step
                scoring = self.follow(clip, unit, source.result(), estimator)
                next(scoring)
                return scoring, last

            decoded = _ahead(decode, todo)
            steps = ((clip, unit, source, unit is units[-1]) for clip, units, source in decoded for unit in units)
            rows = []
            for scoring, last in _ahead(begin, steps):
                rows += next(scoring)
                if last:
                    yield rows
                    rows = []

    def read(self, clip: Clip, units: list[Unit]) -> Source:
        """Decodes a clip and looks for its flow in the cache."""
        try:
            frames = clip.read()
        except (InputError, OSError) as error:
            return Source(None, str(error))
        height, width = frames.shape[1:3]
        if min(height, width) < SCALE:
            return Source(None, f"{clip.name}: frames of {width}x{height} px; the methods need {SCALE}x{SCALE}")
        source = Source(frames, keys={}, flows={})
        if self.cache:
            content = np.frombuffer(hashlib.sha256(np.ascontiguousarray(frames)).digest(), np.uint8)
            for method in {unit.temporal for unit in units} - {None}:
                source.keys[method] = self._key(content, frames.shape, method)
                with suppress(_Absent):
                    source.flows[method] = self.cache.get(source.keys[method], _absent)
        return source

    def follow(self, clip: Clip, unit: Unit, source: Source, estimator: Executor) -> Iterator[list[dict]]:
        """One unit of one clip: yields no rows yet when its flow is on the way, then its rows."""
        protocol, length = self.config.protocol, self.config.protocol.flow_frames
        if self.fold != _fold(self.config, clip):
            self.fold = _fold(self.config, clip)
            self.recognisers = _recognisers(self.config, self.fold, self.classes, self.device)
        nets, reason, spots, fields = self.recognisers, source.reason, [], []  # frames shown, first fields of stacks
        if source.frames is not None:
            try:
                if unit.temporal:
                    fields = recognition.starts(len(source.frames) - 1, protocol, length).tolist()
            except InputError as error:
                reason = f"{clip.name}: {error}"
            if "both" in nets:
                spots = [first + length // 2 for first in fields]  # the middle of each stack
            elif unit.spatial:
                spots = recognition.starts(len(source.frames), protocol).tolist()
        pairs = sorted({first + i for first in fields for i in range(length)})  # flow from frame p to p + 1
        known = source.flows.get(unit.temporal)

        shown = defaultdict(set)
        shown[unit.spatial] |= set(spots)
        if known is None:
            shown[unit.temporal] |= {*pairs, *(p + 1 for p in pairs)}
        settings = dict(protocol=protocol, device=self.device, precision=self.config.precision)
        numbers = {m: sorted(wanted) for m, wanted in shown.items() if wanted}
        frames = {m: see(source.frames, chosen, self.networks[m], **settings) for m, chosen in numbers.items()}

        def pick(method: str, chosen: Sequence[int]) -> torch.Tensor:
            return frames[method][torch.from_numpy(np.searchsorted(numbers[method], chosen)).to(self.device)]

        if pairs and known is None:
            first, following = pick(unit.temporal, pairs), pick(unit.temporal, [p + 1 for p in pairs])
            coming = estimator.submit(self.estimate, first, following, source.keys.get(unit.temporal))
        batch = self.config.batch or (250 if self.device.type == "cuda" else 10)  # measured: a CPU's cache holds few
        settings = dict(protocol=protocol, batch=batch, half=self.config.precision == "bfloat16")
        rgb = [pick(unit.spatial, spots)] if spots else []
        found = score(nets["spatial"], *rgb, **settings) if rgb and "spatial" in nets else {}
        yield []
        if pairs:
            coded = known if known is not None else coming.result()
            places = np.searchsorted(pairs, fields).tolist()
            stacks = flow.stack(coded.to(self.device)[None], places, length)[0]  # (S, 2 length, H, W)
            inputs = [*rgb, stacks] if "both" in nets else [stacks]
            found |= score(nets.get("both") or nets["temporal"], *inputs, **settings)
        yield [self.row(clip, unit.method, s, found.get(s), "" if s in found else reason) for s in unit.streams]

    def estimate(self, frames: torch.Tensor, following: torch.Tensor, key: str | None) -> torch.Tensor:
        config = self.config
        workers = config.workers or len(os.sched_getaffinity(0))
        coded = coded_flow(frames, following, config.protocol, config.flow, config.backend, workers)
        return self.cache.get(key, lambda: coded) if key else coded

    def _key(self, content: np.ndarray, shape: tuple[int, ...], method: str) -> str:
        """The name of a method's flow in the cache: what the clip holds, and all that is done with it."""
        config, protocol = self.config, self.config.protocol
        made = dict(sr=method, weights=self.hashes.get(method), precision=config.precision, backend=config.backend)
        snippets = dict(
            size=protocol.size, snippets=protocol.snippets, fields=protocol.flow_frames, bound=protocol.bound
        )
        return flow_cache.cache_key(content, shape=shape, flow="tvl1", **made, **snippets, **_parameters(config))


class _Absent(Exception):
    pass


def _absent() -> torch.Tensor:
    raise _Absent


def _ahead(start: Callable, items: Iterable) -> Iterator:
    """start(item) for each item, given back when AHEAD more have been started."""
    started = deque()
    for item in items:
        started.append(start(item))
        if len(started) > AHEAD:
            yield started.popleft()
    yield from started


def _pair(method: str) -> tuple[str, str]:
    """The SR methods of the frames and of the flow."""
    spatial, _, temporal = method.partition("+")
    return spatial, temporal or spatial


def _units(methods: Sequence[str], kinds: Sequence[str]) -> list[Unit]:
    if "both" in kinds:  # its streams see each other: a pair is a method of its own
        return [Unit(method, *_pair(method), scores.STREAMS) for method in methods]
    of_frames, of_flow = ([pair[i] for pair in map(_pair, methods) if kind in kinds] for i, kind in enumerate(STREAMS))
    units = []
    for name in dict.fromkeys([*of_frames, *of_flow]):
        sides = name if name in of_frames else None, name if name in of_flow else None
        units.append(Unit(name, *sides, tuple(s for s, side in zip(STREAMS, sides, strict=True) if side)))
    return units


def _fold(config: Evaluation, clip: Clip) -> str:
    """What the clip's recogniser was not trained on: the clip's group, or the test part of an official split."""
    if any("{fold}" in path for path in config.recognisers):
        return clip.group
    dataset = folders.DATASETS.get(config.dataset)
    return str(config.split) if dataset and dataset.splits else ""


def _paths(config: Evaluation, fold: str) -> list[Path]:
    paths = [Path(name.replace("{fold}", fold)) for name in config.recognisers]
    if absent := [path for path in paths if not path.is_file()]:
        raise InputError(f"{absent[0]}: no such recogniser; 'arsr train' makes one")
    return paths


def _recognisers(config: Evaluation, fold: str, classes: tuple[str, ...], device: torch.device) -> dict[str, nn.Module]:
    """Those of a fold by kind: spatial and temporal, or both."""
    nets, protocol = {}, config.protocol
    for path in _paths(config, fold):
        if path.suffix == ".safetensors":
            net = recognition.load(path, classes=classes)
        else:
            net = recognition.load_public(path)
        if not isinstance(net, recognition.Recogniser):
            raise InputError(f"{path}: a {type(net).__name__}; expected a TSN or an ST-ResNet")
        kind, count = _kind(net), net.arguments["classes"]
        if count != len(classes):
            raise InputError(f"{path}: a recogniser of {count} classes, {config.dataset} has {len(classes)}")
        trained = getattr(net, "metadata", {}).get("protocol", {})
        stacks = net.arguments["flow_frames"], trained.get("bound", protocol.bound)
        if kind != "spatial" and stacks != (protocol.flow_frames, protocol.bound):
            raise InputError(
                f"{path}: trained on stacks of {stacks[0]} fields coded to {stacks[1]:g} px; the protocol "
                f"{protocol.name} has {protocol.flow_frames} and {protocol.bound:g} px; choose another protocol"
            )
        if kind in nets or (nets and "both" in (kind, *nets)):
            raise InputError(f"{path}: one recogniser too many; expected one TSN a stream, or one ST-ResNet")
        nets[kind] = net.to(device, memory_format=torch.channels_last)
    return nets


def _kind(net: nn.Module) -> str:
    return "both" if isinstance(net, STResNet) else {"rgb": "spatial", "flow": "temporal"}[net.modality]


def _parameters(config: Evaluation) -> dict:
    return asdict(flow.TVL1(**flow.PRESETS[config.flow]))


def _eight_bit(x: torch.Tensor) -> torch.Tensor:
    """Float in [0, 1] -> uint8, rounded half up as `degrade.quantise`."""
    return (x.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def _files(out: Path, parts: Path) -> list[Path]:
    return [path for path in (out, *sorted(parts.glob("*.parquet"))) if path.exists()]
