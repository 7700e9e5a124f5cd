"""From clips to scores in one pass: LR -> SR -> frames and flow -> both streams, with no file in between.

Stages overlap: one thread decodes the next clips, one computes flow (several pairs at a time), and this one runs the
networks. Only the frames that the snippets show are kept and super-resolved, to 8 bits as a video would hold them:
memory does not grow with a clip's length. A clip's scores are kept as soon as they are there, so a run goes on where
it was killed; `torchrun` or `accelerate launch` shares the clips among processes.

>>> path = evaluate(Evaluation("embedded", "scores.parquet", ("rgb.safetensors", "flow.safetensors")))
"""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from torch import nn

from arsr import places, processes, records, scores
from arsr.data import clips as sources
from arsr.data import flow_cache, folders, stores
from arsr.data.clips import Clip
from arsr.data.folds import require_every_class
from arsr.embedded.actions import ACTIONS
from arsr.evaluation import Evaluation
from arsr.names import SCORES, STREAMS, pair
from arsr.printing import printable
from arsr_core import degrade, devices, flow, recognition, sr
from arsr_core.errors import InputError
from arsr_core.files import sha256
from arsr_core.recognition import Protocol

SCALE = 4
AHEAD = 2  # clips decoded, and methods whose flow is computed, before they are needed
CHUNK = 32  # frames super-resolved at a time: bounds memory


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
    Raises InputError for clips that `check` refuses, recognisers of other classes or made for other flow, a file that
    holds scores of another kind or of other clips by these names, and one that another run writes to.
    """
    from tqdm import tqdm

    if clips is None:
        clips, classes = dataset_clips(config)
    check(clips, classes, present_only=config.present_only)
    clips = sorted(clips, key=lambda clip: (config.fold(clip), clip.label, clip.name))
    state = processes.this(config.device)
    device = state.device if config.device is None or state.num_processes > 1 else devices.device(config.device)
    out = Path(config.out)
    if out.suffix != ".parquet" or (out.exists() and not out.is_file()):
        raise InputError(f"{out}: expected a file of scores, OUT.parquet; choose another name")
    parts = out.with_name(f"{out.name}.parts")

    def files() -> list[Path]:
        return [path for path in (out, *sorted(parts.glob("[!.]*.parquet"))) if path.exists()]  # not half-written ones

    with places.own(parts, "scores") if state.is_main_process else nullcontext():
        pipeline = Pipeline(config, tuple(classes), device, config.fold(clips[0]))
        header = pipeline.header(clips, provenance or provenance_of(config))
        kept, _ = scores.load(*files(), header=header)
        done = {scores.key(row) for row in kept[kept["status"] == "ok"].to_dict("records")}
        with state.split_between_processes(clips) as mine:
            todo = [(clip, units) for clip in mine if (units := pipeline.missing(clip, done))]
            disable = True if not state.is_main_process else None if progress is None else not progress
            with tqdm(total=len(mine), initial=len(mine) - len(todo), unit="clip", delay=2, disable=disable) as bar:
                for rows in pipeline.run(todo):
                    rows = [row for row in rows if scores.key(row) not in done]
                    name = hashlib.sha256(repr([scores.key(row) for row in rows]).encode()).hexdigest()[:24]
                    scores.save(parts / f"{name}.parquet", rows, header.of(rows))
                    bar.update()
        state.wait_for_everyone()
        if state.is_main_process and any(parts.glob("[!.]*.parquet")):
            scores.save(out, *scores.load(*files()))
            places.clear(parts)
    state.wait_for_everyone()
    return out


def recogniser(path: str | Path, classes: Sequence[str]) -> recognition.Recogniser:
    """A recogniser in this book's form, or a public one; InputError where its classes are not these."""
    load = recognition.load if Path(path).suffix == ".safetensors" else recognition.load_public
    return load(path, classes=classes)


def dataset_clips(config: Evaluation) -> tuple[list[Clip], tuple[str, ...]]:
    """The test clips of config.dataset, and its classes in the order of the labels."""
    config.require_source()
    if config.dataset == "embedded":
        return sources.embedded(config.clips, "test", seed=config.seed), tuple(ACTIONS)
    options = dict(splits=config.splits, split=config.split, present_only=config.present_only)
    clips = folders.items(config.dataset, config.root, groups=config.groups, folds=config.folds, **options)
    if config.by_fold and not config.present_only:
        require_every_class(clips)
    own = tuple(dict.fromkeys(clip.action for clip in clips))  # of a folder: clips come in the order of the labels
    return clips, folders.DATASETS[config.dataset].classes or own


def check(clips: Sequence[Clip], classes: Sequence[str], *, present_only: bool = False) -> None:
    """InputError for a clip that is listed twice, a label that is not its class, and a class without clips."""
    if twice := [name for name, times in Counter(clip.name for clip in clips).items() if times > 1]:
        raise InputError(f"clip {twice[0]!r} is listed twice; expected each once")
    if wrong := [clip for clip in clips if clip.action not in classes[clip.label : clip.label + 1]]:
        given = f"clip {wrong[0].name!r}: label {wrong[0].label}, class {wrong[0].action!r}"
        order = f"0 to {len(classes) - 1} in the order {', '.join(classes[:3])} ..."
        raise InputError(f"{given}; expected a label from {order}")
    lacking = sorted(set(range(len(classes))) - {clip.label for clip in clips})
    if not clips or (lacking and not present_only):
        few = f"no clips of {', '.join(classes[i] for i in lacking[:5])} ({len(lacking)} of {len(classes)} classes)"
        enough = f"of embedded clips: --clips {len(classes)} or more"
        raise InputError(f"{few}; add some ({enough}), or take what there is (--present-only)")


def provenance_of(config: Evaluation, command: str | None = None) -> records.Provenance:
    """Where the scores of an evaluation come from. command: what was typed; None: the call in Python."""
    code = None
    with suppress(InputError):  # no checkout, or changed since its commit
        code = records.commit(Path(__file__).parents[1], "arsr", "arsr_core")
    return records.measured("arsr evaluate", command or f"evaluate({config})", config.dataset, code)


# The stages -------------------------------------------------------------------------------------------------


def plan(frames: int, streams: Collection[str], protocol: Protocol) -> tuple[list[int], list[int], list[int], str]:
    """What streams see of a clip; with "fused" among them, an ST-ResNet's: the frame in the middle of each stack.

    -> (frames that are seen as they are, the first fields of the stacks of flow, all their fields, each once, why there
    are no stacks); field p is the flow from frame p to p + 1.

    >>> plan(9, ("spatial", "temporal"), PROTOCOLS["lite"])
    ([0, 2, 4, 6, 8], [0, 0, 0, 0, 0], [0, 1, 2, 3, 4], '')
    """
    length, stacks, reason = protocol.flow_frames, [], ""
    try:
        stacks = recognition.starts(frames - 1, protocol, length).tolist() if "temporal" in streams else []
    except InputError as error:
        reason = str(error)
    if "fused" in streams:
        spots = [first + length // 2 for first in stacks]
    else:
        spots = recognition.starts(frames, protocol).tolist() if "spatial" in streams else []
    return spots, stacks, sorted({first + i for first in stacks for i in range(length)}), reason


@dataclass(frozen=True)
class Excerpt:
    """Some frames of a clip, in place of them all: as long as the clip, and [numbers] gives uint8 (K, H, W, 3)."""

    count: int  # frames of the clip
    frames: dict[int, np.ndarray]  # by number: uint8 (H, W, 3)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, numbers: Iterable[int]) -> np.ndarray:
        return np.stack([self.frames[number] for number in numbers])


def around(numbers: Iterable[int], network: nn.Module | None, count: int) -> np.ndarray:
    """What a network sees to make the frames of these K numbers: (K, its frames), beyond a clip's ends the last again.

    >>> around([0, 5], sr.build("duf16"), 6)
    array([[0, 0, 0, 0, 1, 2, 3],
           [2, 3, 4, 5, 5, 5, 5]])
    """
    radius = network.frames // 2 if network else 0
    return (np.array(list(numbers), int)[:, None] + np.arange(-radius, radius + 1)).clip(0, count - 1)


@torch.inference_mode()
def see(
    clip: np.ndarray | Excerpt,
    numbers: Sequence[int],
    network: nn.Module | None,
    protocol: Protocol,
    *,
    device: str | torch.device = "cpu",
    precision: str = "auto",
) -> torch.Tensor:
    """The frames of an HR clip as the recogniser sees them: uint8 (T, H, W, 3) -> uint8 (K, 3, *protocol.size).

    They are reduced by four and super-resolved by `network` (None: neither), to 8 bits, then resized, to 8 bits. A
    network of several frames sees the true neighbours.
    """
    parts = []
    for first in range(0, len(numbers), CHUNK):
        windows = around(numbers[first : first + CHUNK], network, len(clip))
        needed, index = np.unique(windows, return_inverse=True)
        x = torch.from_numpy(clip[needed]).to(device).movedim(-1, 1)  # uint8 (U, 3, H, W)
        x = degrade.modcrop(x, SCALE).float() / 255
        if network:
            x = degrade.to_lr(x, SCALE, eight_bit=True)
        x = x[torch.from_numpy(index.reshape(windows.shape)).to(device)]  # (K, window, 3, h, w)
        if network:
            middle = [windows.shape[1] // 2]
            x = degrade.quantise(sr.upscale(network, x, frames=middle, precision=precision, progress=False))
        x = recognition.resize(x[:, 0], protocol)  # (K, 3, *size)
        parts.append((x.clamp(0, 1) * 255 + 0.5).to(torch.uint8))  # rounds half up, as degrade.quantise
    return torch.cat(parts)


def coded_flow(frames: torch.Tensor, following: torch.Tensor, config: Evaluation) -> torch.Tensor:
    """TV-L1 flow from frames to those that follow, each uint8 (K, 3, H, W), coded: uint8 (K, 2, H, W)."""
    workers = config.workers or len(os.sched_getaffinity(0))
    motion = flow.tvl1(frames, following, backend=config.backend, workers=workers, **flow.PRESETS[config.flow])
    return flow.encode_uint8(motion, config.protocol.bound)


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
    """The networks of an evaluation, and the order in which clips pass them. fold: that of the first clip.

    `units` are what is scored at once: the streams of a method, or of a pair, frames of one and flow of the other.
    """

    def __init__(self, config: Evaluation, classes: tuple[str, ...], device: torch.device, fold: str):
        if config.precision == "auto" and not devices.multiplies_bfloat16(device):
            config = replace(config, precision="float32")  # so the header says what it was
        self.config, self.classes, self.device = config, classes, device
        names = dict.fromkeys(name for method in config.methods for name in pair(method))
        self.networks = {m: None if m == "hr" else sr.load(m, config.weights.get(m)).to(device) for m in names}
        self.hashes = {m: sha256(path) for m, path in config.weights.items()}
        self.flow = {"method": "tvl1", "backend": config.backend, **asdict(flow.TVL1(**flow.PRESETS[config.flow]))}
        self.use(fold)
        self.cache = flow_cache.Cache(config.cache) if config.cache else None
        self.coupled = "both" in self.recognisers  # ST-ResNet: its streams see each other
        self.network = config.network or ("st-resnet" if self.coupled else "tsn")
        self.units = _units(config.methods, self.recognisers)

    def use(self, fold: str) -> None:
        """Load the recognisers of a fold, by kind: spatial and temporal, or both."""
        nets, protocol = {}, self.config.protocol
        for path in self.config.files(fold):
            net = recogniser(path, self.classes)
            kind, fields = net.stream, net.arguments["flow_frames"]
            bound = net.metadata.get("protocol", {}).get("bound", protocol.bound)
            if kind != "spatial" and (fields, bound) != (protocol.flow_frames, protocol.bound):
                raise InputError(
                    f"{path}: trained on stacks of {fields} fields coded to {bound:g} px; the protocol "
                    f"{protocol.name} has {protocol.flow_frames} and {protocol.bound:g} px; choose another protocol"
                )
            if kind in nets or (nets and "both" in (kind, *nets)):
                raise InputError(f"{path}: one recogniser too many; expected one TSN a stream, or one ST-ResNet")
            nets[kind] = net.to(self.device, memory_format=torch.channels_last)
        self.fold, self.recognisers = fold, nets

    def header(self, clips: Iterable[Clip], provenance: records.Provenance) -> scores.Header:
        """What the rows of this evaluation have in common."""
        recognisers = {
            f"{self.network}/{kind}/{fold}": sha256(path)
            for fold in dict.fromkeys(map(self.config.fold, clips))
            for kind, path in zip(self.recognisers, self.config.files(fold), strict=True)
        }
        how = dict(protocol=asdict(self.config.protocol), flow=self.flow, precision=self.config.precision)
        sources = {clip.name: stores.digest(clip.path) for clip in clips if clip.path}
        files = dict(weights=self.hashes, recognisers=recognisers, clips=sources)
        return scores.Header(classes=self.classes, **how, **files, runs=(provenance,))

    def missing(self, clip: Clip, done: set[tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """The units of which a row is not done yet."""
        return {m: s for m, s in self.units.items() if not {*map(scores.key, self.rows(clip, m, {}))} <= done}

    def rows(self, clip: Clip, method: str, found: dict[str, torch.Tensor], reason: str = "") -> list[dict]:
        """A unit's rows of a clip, one a stream: with scores (classes,) where they were found, else with the reason."""
        row = dict(dataset=self.config.dataset, network=self.network, method=method, fold=self.config.fold(clip))
        row |= dict(protocol=self.config.protocol.name, clip=clip.name, group=clip.group)
        row |= dict(label=clip.label, action=clip.action)
        no, ok = dict(status="unreadable", reason=printable(reason), scores=[]), dict(status="ok", reason="")
        states = {s: ok | dict(scores=found[s].tolist()) if s in found else no for s in self.units[method]}
        return [row | dict(stream=stream) | state for stream, state in states.items()]

    def run(self, todo: Iterable[tuple[Clip, dict[str, tuple[str, ...]]]]) -> Iterator[list[dict]]:
        """The rows of each clip's units in turn. While a unit waits for its flow, the next ones begin."""
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as estimator:
            decoded = _ahead(lambda job: (*job, reader.submit(self.read, *job)), todo)
            steps = ((clip, method, source) for clip, units, source in decoded for method in units)
            begun = _ahead(lambda step: (step[0].name, self.begin(*step, estimator)), steps)
            for _, of_clip in groupby(begun, itemgetter(0)):
                yield [row for _, finish in of_clip for row in finish()]

    def read(self, clip: Clip, units: Iterable[str]) -> tuple[Excerpt, dict[str, str], dict]:
        """What units see of a clip, and by SR method the key of its flow in the cache, and what is there.

        Raises InputError or OSError for a clip that cannot be read, or of frames too small for the methods.
        """
        count, config = clip.count(), self.config
        needed, moving = {0}, {}  # frames; by SR method those that its flow depends on; 0 tells their size
        for unit in units:
            (spatial, temporal), (spots, _, fields, _) = pair(unit), plan(count, self.units[unit], config.protocol)
            needed.update(around(spots, self.networks[spatial], count).ravel().tolist())
            if fields:
                pairs = around(fields + [p + 1 for p in fields], self.networks[temporal], count)
                moving[temporal] = np.unique(pairs).tolist()
                needed.update(moving[temporal])
        numbers = tuple(sorted(needed))
        frames = Excerpt(count, dict(zip(numbers, clip.read(numbers), strict=True)))
        height, width = frames.frames[0].shape[:2]
        if min(height, width) < SCALE:
            raise InputError(f"{clip.name}: frames of {width}x{height} px; the methods need {SCALE}x{SCALE}")
        keys = {}
        if self.cache:
            made = dict(flow=self.flow, count=count, size=[height, width], precision=config.precision)
            made |= dict(protocol=asdict(config.protocol))
            for method, numbers in moving.items():
                content = hashlib.sha256(np.ascontiguousarray(frames[numbers])).digest()
                made |= dict(sr=method, weights=self.hashes.get(method), numbers=numbers)
                keys[method] = flow_cache.cache_key(content, **made)
        return frames, keys, {method: self.cache.peek(key) for method, key in keys.items()}

    def begin(self, clip: Clip, unit: str, source: Future, estimator: Executor) -> Callable[[], list[dict]]:
        """Show a unit of a clip, send its flow on its way, score its frames; to call what is left gives the rows."""
        config, protocol = self.config, self.config.protocol
        try:
            frames, keys, known = source.result()
        except (InputError, OSError) as error:
            return partial(self.rows, clip, unit, {}, str(error))
        if self.fold != config.fold(clip):
            self.use(config.fold(clip))
        for net in self.recognisers.values() if config.by_fold else ():
            unseen = net.metadata.get("without")
            if isinstance(unseen, list) and clip.group not in unseen:
                known = f"the recogniser of fold {self.fold} was trained without {', '.join(map(str, unseen[:9]))}"
                raise InputError(f"{clip.name}, of group {clip.group}: {known}; train it on the folds of these clips")
        nets, (spatial, temporal) = self.recognisers, pair(unit)
        spots, stacks, fields, reason = plan(len(frames), self.units[unit], protocol)
        coded = known.get(temporal)
        new = fields if coded is None else []  # yet to be computed
        following = [p + 1 for p in new]
        wanted = {spatial: {*spots}}
        wanted[temporal] = wanted.get(temporal, set()).union(new, following)
        images = {}  # (method, number of a frame): uint8 (3, *protocol.size)
        how = dict(protocol=protocol, device=self.device, precision=config.precision)
        for method, numbers in ((method, sorted(numbers)) for method, numbers in wanted.items() if numbers):
            made = see(frames, numbers, self.networks[method], **how)
            images |= {(method, number): image for number, image in zip(numbers, made, strict=True)}

        def pick(method: str, numbers: Iterable[int]) -> torch.Tensor:  # uint8 (K, 3, *protocol.size)
            return torch.stack([images[method, number] for number in numbers])

        shown = {"spatial": pick(spatial, spots)} if spots else {}
        if new:
            compute = partial(coded_flow, pick(temporal, new), pick(temporal, following), config)
            coded = estimator.submit(*(self.cache.get, keys[temporal], compute) if self.cache else (compute,))

        def finish() -> list[dict]:
            batch = config.batch or (250 if self.device.type == "cuda" else 10)  # measured: a CPU's cache holds few
            how = dict(protocol=protocol, batch=batch, half=config.precision == "bfloat16")
            found = {} if self.coupled else {s: score(nets[s], x, **how)[s] for s, x in shown.items()}
            if stacks:
                motion = (coded.result() if isinstance(coded, Future) else coded).to(self.device)  # uint8 (P, 2, H, W)
                places = np.searchsorted(fields, stacks).tolist()
                snippets = flow.stack(motion[None], places, protocol.flow_frames)[0]  # (S, 2 flow_frames, H, W)
                both = (nets["both"], *shown.values()) if self.coupled else (nets["temporal"],)
                found |= score(*both, snippets, **how)
            return self.rows(clip, unit, found, f"{clip.name}: {reason}")

        return finish


def _ahead(start: Callable, items: Iterable) -> Iterator:
    """start(item) for each item, given back when AHEAD more have been started."""
    started = deque()
    for item in items:
        started.append(start(item))
        if len(started) > AHEAD:
            yield started.popleft()
    yield from started


def _units(methods: Sequence[str], kinds: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The streams of each unit."""
    if "both" in kinds:
        return dict.fromkeys(methods, SCORES)
    seen = {stream: [pair(m)[i] for m in methods] for i, stream in enumerate(STREAMS) if stream in kinds}
    return {name: tuple(s for s in seen if name in seen[s]) for name in sum(seen.values(), [])}
