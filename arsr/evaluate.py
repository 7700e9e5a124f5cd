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
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from annotated_types import Ge, MinLen
from pydantic import AfterValidator
from torch import nn

from arsr import processes, records, scores
from arsr.data import clips as sources
from arsr.data import flow_cache, folders
from arsr.data.clips import Clip
from arsr.embedded.actions import ACTIONS
from arsr.names import SCORES, STREAMS, pair
from arsr.settings import Flag, Many, Positional, Suppress, settings, spelled
from arsr_core import degrade, devices, flow, recognition, sr
from arsr_core.errors import InputError
from arsr_core.files import sha256
from arsr_core.recognition import PROTOCOLS, Protocol

SCALE = 4
AHEAD = 2  # clips decoded, and methods whose flow is computed, before they are needed
CHUNK = 32  # frames super-resolved at a time: bounds memory


def _known(method: str) -> str:
    if unknown := sorted(set(pair(method)) - {"hr", *sr.METHODS}):
        raise InputError(f"unknown method {unknown[0]!r}; expected hr, {', '.join(sr.METHODS)}, or two joined by +")
    return method


def _some(recognisers: tuple[str, ...]) -> tuple[str, ...]:
    if not recognisers:
        raise InputError("no recognisers; expected the files of TSN's streams or of an ST-ResNet, -r FILE -r FILE")
    return recognisers


Method = Annotated[str, AfterValidator(_known)]  # hr, a name in sr.METHODS, or two joined by +
Recognisers = Annotated[tuple[str, ...], AfterValidator(_some)]


@settings
class Evaluation:
    """What is evaluated, by what and how."""

    # embedded, ucf101, hmdb51, weizmann or ut_interaction
    dataset: Annotated[Positional[str], spelled(metavar="DATASET")]
    out: Annotated[Positional[Path], spelled(metavar="OUT")]  # OUT.parquet, of scores; goes on with what is there
    # file of a TSN stream, or an ST-ResNet; {fold} stands for the group it never saw
    recognisers: Annotated[Recognisers, Many, spelled(name="recogniser", aliases=["-r"])]
    # hr, vdsr ..., sosr+tosr (frames, flow)
    methods: Suppress[Annotated[tuple[Method, ...], MinLen(1)]] = ("hr", "bicubic")
    weights: Suppress[dict[str, str | Path]] = field(default_factory=dict)  # weights of SR methods: METHOD=FILE
    protocol: Suppress[Protocol] = PROTOCOLS["full"]  # which snippets are seen, in which crops
    flow: Annotated[Literal["reference", "fast"], spelled(name="preset")] = "reference"  # preset of TV-L1
    backend: Suppress[str] = "auto"  # of TV-L1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: SR as hardware likes; bfloat16: recognisers, too
    network: str | None = None  # its name in the table; default: tsn or st-resnet
    root: Annotated[Path | None, spelled(name="data")] = None  # the data set's folder
    splits: Path | None = None  # folder of the official split files
    split: int = 1  # official split
    present_only: Flag[bool] = False  # do without clips that are missing
    clips: Annotated[int, Ge(1)] = 180  # embedded clips
    seed: Annotated[int, Ge(0)] = 0  # of the embedded clips
    # what follows changes the speed, not the scores
    cache: Path | None = None  # folder that keeps flow for the next network or run
    device: str | None = None  # cpu, cuda, cuda:1 ...; default: cuda where there is one
    workers: Annotated[int, Ge(0)] = 0  # pairs of frames at a time on a CPU; 0: one a core
    batch: Annotated[int, Ge(0)] = 0  # images a forward of the recogniser; 0: as the device likes

    def __post_init__(self):
        if idle := sorted(self.weights.keys() - {name for method in self.methods for name in pair(method)}):
            raise InputError(f"weights of {idle[0]}, but the methods are {', '.join(self.methods)}; name it there, too")

    def fold(self, clip: Clip) -> str:
        """What the clip's recogniser was not trained on: the clip's group, or the test part of an official split."""
        if any("{fold}" in path for path in self.recognisers):
            return clip.group
        dataset = folders.DATASETS.get(self.dataset)
        return str(self.split) if dataset and dataset.splits else ""

    def files(self, fold: str) -> list[Path]:
        """The recognisers of a fold; InputError for one that is not there."""
        paths = [Path(name.replace("{fold}", fold)) for name in self.recognisers]
        if absent := [path for path in paths if not path.is_file()]:
            raise InputError(f"{absent[0]}: no such recogniser; 'arsr train' makes one")
        return paths

    def items(self) -> list[folders.Item]:
        """The test clips of a real data set, as its folder has them."""
        if self.root is None:
            raise InputError(f"{self.dataset}: give the folder of its clips, root=")
        options = dict(splits=self.splits, split=self.split, present_only=self.present_only)
        return folders.items(self.dataset, self.root, **options)

    def tvl1(self) -> dict:
        """The parameters of TV-L1 by name."""
        return asdict(flow.TVL1(**flow.PRESETS[self.flow]))


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
    clips = sorted(clips, key=lambda clip: (config.fold(clip), clip.label, clip.name))
    state = processes.this(config.device)
    device = state.device if config.device is None or state.num_processes > 1 else devices.device(config.device)
    pipeline = Pipeline(config, tuple(classes), device, config.fold(clips[0]))
    header = pipeline.header(clips, provenance or provenance_of(config))
    out = Path(config.out)
    parts = out.with_name(f"{out.name}.parts")

    def files() -> list[Path]:
        return [path for path in (out, *sorted(parts.glob("*.parquet"))) if path.exists()]

    kept, _ = scores.load(*files(), header=header)
    done = {scores.key(row) for row in kept[kept["status"] == "ok"].to_dict("records")}
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
        scores.save(out, *scores.load(*files()))
        shutil.rmtree(parts)
    state.wait_for_everyone()
    return out


def dataset_clips(config: Evaluation) -> tuple[list[Clip], tuple[str, ...]]:
    """The test clips of config.dataset, and its classes in the order of the labels."""
    if config.dataset == "embedded":
        return sources.embedded(config.clips, "test", seed=config.seed), tuple(ACTIONS)
    return sources.from_items(config.items()), folders.DATASETS[config.dataset].classes


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
    lacking = sorted(set(range(len(classes))) - {clip.label for clip in clips})
    if not clips or (lacking and not present_only):
        raise InputError(
            f"no clips of {', '.join(classes[i] for i in lacking[:5])} ({len(lacking)} of {len(classes)} classes); add "
            f"some (of embedded clips: --clips {len(classes)} or more), or take what there is (--present-only)"
        )


def provenance_of(config: Evaluation, command: str | None = None) -> records.Provenance:
    """Where the scores of an evaluation come from. command: what was typed; None: the call in Python."""
    code = None
    with suppress(InputError):  # no checkout, or changed since its commit
        code = records.commit(Path(__file__).parents[1], "arsr", "arsr_core")
    return records.measured("arsr evaluate", command or f"evaluate({config})", config.dataset, code)


# The stages -------------------------------------------------------------------------------------------------


class Unit(NamedTuple):
    """What is scored at once: frames of one SR method, flow of one, which may be another, or both."""

    method: str  # in the rows
    spatial: str | None
    temporal: str | None
    coupled: bool = False  # by an ST-ResNet, whose streams see each other

    @property
    def streams(self) -> tuple[str, ...]:
        """The scores that come of it."""
        return SCORES if self.coupled else tuple(stream for stream in STREAMS if getattr(self, stream))


class Plan(NamedTuple):
    """What of a clip a unit shows, by numbers of frames."""

    spots: list[int]  # frames that are seen as they are
    stacks: list[int]  # the first fields of the stacks of flow
    pairs: list[int]  # flow from frame p to p + 1, each once
    reason: str = ""  # why there are no stacks

    @property
    def ends(self) -> set[int]:
        """The frames between which flow is computed."""
        return {*self.pairs, *(p + 1 for p in self.pairs)}


def plan(frames: int, unit: Unit, protocol: Protocol) -> Plan:
    """Which of a clip's frames a unit shows. An ST-ResNet sees the frame in the middle of each stack.

    >>> plan(9, Unit("hr", "hr", "hr"), PROTOCOLS["lite"])
    Plan(spots=[0, 2, 4, 6, 8], stacks=[0, 0, 0, 0, 0], pairs=[0, 1, 2, 3, 4], reason='')
    """
    length, stacks, reason = protocol.flow_frames, [], ""
    try:
        stacks = recognition.starts(frames - 1, protocol, length).tolist() if unit.temporal else []
    except InputError as error:
        reason = str(error)
    if unit.coupled:
        spots = [first + length // 2 for first in stacks]
    else:
        spots = recognition.starts(frames, protocol).tolist() if unit.spatial else []
    return Plan(spots, stacks, sorted({first + i for first in stacks for i in range(length)}), reason)


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
        x = recognition.resize(x[:, 0], protocol)  # (K, 3, *size)
        parts.append((x.clamp(0, 1) * 255 + 0.5).to(torch.uint8))  # rounds half up, as degrade.quantise
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
        if net.stream == "both":  # it couples the snippets of a crop
            clips = [crops(x).transpose(0, 1).split(max(1, batch // len(x))) for x in snippets]  # [(N, S, C, h, w)]
            parts = [net(*pair) for pair in zip(*clips, strict=True)]
            return {stream: torch.cat([p[stream] for p in parts]).float().mean(0) for stream in SCORES}
        images = (crops(x).flatten(0, 1) for x in snippets[0].split(max(1, batch // protocol.crops)))  # (B, C, h, w)
        parts = [net.snippets(x.contiguous(memory_format=torch.channels_last)[None])[0] for x in images]
    return {net.stream: torch.cat(parts).float().mean(0)}


# Their interplay --------------------------------------------------------------------------------------------


class Pipeline:
    """The networks of an evaluation, and the order in which clips pass them. fold: that of the first clip."""

    def __init__(self, config: Evaluation, classes: tuple[str, ...], device: torch.device, fold: str):
        self.config, self.classes, self.device = config, classes, device
        names = dict.fromkeys(name for method in config.methods for name in pair(method))
        self.networks = {m: None if m == "hr" else sr.load(m, config.weights.get(m)).to(device) for m in names}
        self.hashes = {m: sha256(path) for m, path in config.weights.items()}
        self.cache = flow_cache.Cache(config.cache) if config.cache else None
        self.use(fold)
        self.network = config.network or ("st-resnet" if "both" in self.recognisers else "tsn")
        self.units = _units(config.methods, self.recognisers)

    def use(self, fold: str) -> None:
        """Load the recognisers of a fold, by kind: spatial and temporal, or both."""
        nets, protocol, classes = {}, self.config.protocol, self.classes
        for path in self.config.files(fold):
            load = recognition.load if path.suffix == ".safetensors" else recognition.load_public
            net = load(path, classes=classes)
            bound = net.metadata.get("protocol", {}).get("bound", protocol.bound)
            kind, stacks = net.stream, (net.arguments["flow_frames"], bound)
            if kind != "spatial" and stacks != (protocol.flow_frames, protocol.bound):
                raise InputError(
                    f"{path}: trained on stacks of {stacks[0]} fields coded to {stacks[1]:g} px; the protocol "
                    f"{protocol.name} has {protocol.flow_frames} and {protocol.bound:g} px; choose another protocol"
                )
            if kind in nets or (nets and "both" in (kind, *nets)):
                raise InputError(f"{path}: one recogniser too many; expected one TSN a stream, or one ST-ResNet")
            nets[kind] = net.to(self.device, memory_format=torch.channels_last)
        self.fold, self.recognisers = fold, nets

    def header(self, clips: Iterable[Clip], provenance: records.Provenance) -> scores.Header:
        """What the rows of this evaluation have in common."""
        config, hashes = self.config, {}
        for fold in dict.fromkeys(map(config.fold, clips)):
            for kind, path in zip(self.recognisers, config.files(fold), strict=True):
                hashes[f"{self.network}/{kind}/{fold}"] = sha256(path)
        return scores.Header(
            classes=self.classes,
            protocol=asdict(config.protocol),
            flow={"method": "tvl1", "backend": config.backend, **config.tvl1()},
            precision=config.precision,
            weights=self.hashes,
            recognisers=hashes,
            runs=(provenance,),
        )

    def missing(self, clip: Clip, done: set[tuple[str, ...]]) -> list[Unit]:
        """The units of which a row is not done yet."""
        return [u for u in self.units if not {scores.key(row) for row in self.rows(clip, u, {})} <= done]

    def rows(self, clip: Clip, unit: Unit, found: dict[str, torch.Tensor], reason: str = "") -> list[dict]:
        """A unit's rows of a clip, one a stream: with scores (classes,) where they were found, else with the reason."""
        where = dict(dataset=self.config.dataset, network=self.network, protocol=self.config.protocol.name)
        where |= dict(method=unit.method, fold=self.config.fold(clip))
        where |= dict(clip=clip.name, group=clip.group, label=clip.label, action=clip.action)
        no, ok = dict(status="unreadable", reason=reason, scores=[]), dict(status="ok", reason="")
        states = {s: ok | dict(scores=found[s].tolist()) if s in found else no for s in unit.streams}
        return [where | dict(stream=stream) | state for stream, state in states.items()]

    def run(self, todo: Iterable[tuple[Clip, list[Unit]]]) -> Iterator[list[dict]]:
        """The rows of each clip in turn. While a unit waits for its flow, the next ones begin."""
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as estimator:
            decoded = _ahead(lambda job: (*job, reader.submit(self.read, *job)), todo)
            steps = ((clip, unit, source, unit is units[-1]) for clip, units, source in decoded for unit in units)
            begun = _ahead(lambda step: (self.begin(*step[:3], estimator), step[3]), steps)
            rows = []
            for finish, last in begun:
                rows += finish()
                if last:
                    yield rows
                    rows = []

    def read(self, clip: Clip, units: Sequence[Unit]) -> tuple[np.ndarray, dict[str, str], dict]:
        """A clip's frames, uint8 (T, H, W, 3), and by SR method the key of its flow in the cache, and what is there.

        Raises InputError or OSError for a clip that cannot be read, or of frames too small for the methods.
        """
        frames = clip.read()
        height, width = frames.shape[1:3]
        if min(height, width) < SCALE:
            raise InputError(f"{clip.name}: frames of {width}x{height} px; the methods need {SCALE}x{SCALE}")
        if not self.cache:
            return frames, {}, {}
        content, p = hashlib.sha256(np.ascontiguousarray(frames)).digest(), self.config.protocol
        made = dict(size=p.size, snippets=p.snippets, fields=p.flow_frames, bound=p.bound, shape=frames.shape)
        made |= dict(flow="tvl1", precision=self.config.precision, backend=self.config.backend, **self.config.tvl1())
        key = partial(flow_cache.cache_key, np.frombuffer(content, np.uint8), **made)
        methods = {unit.temporal for unit in units} - {None}
        keys = {method: key(sr=method, weights=self.hashes.get(method)) for method in methods}
        return frames, keys, {method: self.cache.peek(key) for method, key in keys.items()}

    def begin(self, clip: Clip, unit: Unit, source: Future, estimator: Executor) -> Callable[[], list[dict]]:
        """Show a unit of a clip, send its flow on its way, score its frames; to call what is left gives the rows."""
        config, protocol = self.config, self.config.protocol
        try:
            frames, keys, known = source.result()
        except (InputError, OSError) as error:
            return partial(self.rows, clip, unit, {}, str(error))
        if self.fold != config.fold(clip):
            self.use(config.fold(clip))
        nets, coded, chosen = self.recognisers, known.get(unit.temporal), plan(len(frames), unit, protocol)
        wanted = {unit.spatial: set(chosen.spots)}
        wanted[unit.temporal] = wanted.get(unit.temporal, set()) | (chosen.ends if coded is None else set())
        how = dict(protocol=protocol, device=self.device, precision=config.precision)
        seen = {}
        for method, numbers in ((method, sorted(numbers)) for method, numbers in wanted.items() if numbers):
            seen[method] = dict(zip(numbers, see(frames, numbers, self.networks[method], **how), strict=True))

        def pick(method: str, numbers: Iterable[int]) -> torch.Tensor:  # uint8 (K, 3, *protocol.size)
            return torch.stack([seen[method][n] for n in numbers])

        if chosen.pairs and coded is None:
            ends = pick(unit.temporal, chosen.pairs), pick(unit.temporal, [p + 1 for p in chosen.pairs])
            workers = config.workers or len(os.sched_getaffinity(0))
            compute = partial(coded_flow, *ends, protocol, config.flow, config.backend, workers)
            coded = estimator.submit(*(self.cache.get, keys[unit.temporal], compute) if self.cache else (compute,))
        batch = config.batch or (250 if self.device.type == "cuda" else 10)  # measured: a CPU's cache holds few
        how = dict(protocol=protocol, batch=batch, half=config.precision == "bfloat16")
        rgb = [pick(unit.spatial, chosen.spots)] if chosen.spots else []
        found = score(nets["spatial"], *rgb, **how) if rgb and not unit.coupled else {}

        def finish() -> list[dict]:
            if chosen.stacks:
                motion = (coded.result() if isinstance(coded, Future) else coded).to(self.device)  # uint8 (P, 2, H, W)
                places = np.searchsorted(chosen.pairs, chosen.stacks).tolist()
                stacks = flow.stack(motion[None], places, protocol.flow_frames)[0]  # (S, 2 flow_frames, H, W)
                both = score(nets["both"], *rgb, stacks, **how) if unit.coupled else {}
                found.update(both or score(nets["temporal"], stacks, **how))
            return self.rows(clip, unit, found, f"{clip.name}: {chosen.reason}")

        return finish


def _ahead(start: Callable, items: Iterable) -> Iterator:
    """start(item) for each item, given back when AHEAD more have been started."""
    started = deque()
    for item in items:
        started.append(start(item))
        if len(started) > AHEAD:
            yield started.popleft()
    yield from started


def _units(methods: Sequence[str], kinds: Iterable[str]) -> list[Unit]:
    if "both" in kinds:  # a pair is a method of its own
        return [Unit(method, *pair(method), coupled=True) for method in methods]
    spatial, temporal = ([pair(m)[i] for m in methods if s in kinds] for i, s in enumerate(STREAMS))
    names = dict.fromkeys([*spatial, *temporal])
    return [Unit(name, *(name if name in side else None for side in (spatial, temporal))) for name in names]
