"""Training TSN and ST-ResNet on HR clips: the recipes, the folds, and one call from prepared clips to weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from arsr.data.snippets import Snippets, to_float
from arsr.training import loop as train
from arsr.training.loop import Schedule, Task, fit
from arsr_core.errors import InputError
from arsr_core.recognition.augment import AUGMENTATIONS, Augmentation, augment
from arsr_core.recognition.checkpoint import load, save
from arsr_core.recognition.protocol import PROTOCOLS
from arsr_core.recognition.recogniser import freeze, parameter_groups, partial_bn
from arsr_core.recognition.st_resnet import STResNet
from arsr_core.recognition.tsn import TSN


@dataclass(frozen=True)
class Recipe:
    """How one stream of TSN is trained, or ST-ResNet."""

    stream: str  # rgb or flow; both: ST-ResNet
    backbone: str
    protocol: str  # a name in PROTOCOLS: size of the frames, crop, length of the stack
    steps: int
    batch: int
    rate: float  # learning rate
    decay: float  # of the weights
    dropout: float = 0.0  # before the classifier; ST-ResNet's are those of its streams
    imagenet: bool | str = False  # start from ImageNet weights: those of a package, or of a file
    start: tuple[str, ...] = ()  # names of the weights of ST-ResNet's two streams, or of one with other classes
    optimizer: str = "sgd"  # with momentum 0.9 and `parameter_groups`; or adamw
    milestones: tuple[int, ...] = ()  # steps where the rate falls to a tenth; none: half a cosine
    segments: int = 3
    clip: float | None = None  # norm of the gradient
    partial_bn: bool = False
    frozen: int = 0  # leading parts of the backbone that keep their ImageNet weights
    smoothing: float = 0.0  # of the labels
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self):
        if self.stream not in ("rgb", "flow", "both") or self.protocol not in PROTOCOLS:
            raise InputError(f"expected stream rgb, flow or both, a protocol of {', '.join(PROTOCOLS)}, got {self}")
        if (len(self.start) == 2) != (self.stream == "both") or len(self.start) > 2:
            raise InputError(f"expected two streams for ST-ResNet to start from, or at most one for TSN, got {self}")


_PAPER = {"backbone": "bn_inception", "protocol": "full", "batch": 256, "decay": 5e-4, "partial_bn": True}
_RESNET = {"backbone": "resnet50", "protocol": "full", "decay": 5e-4}
_LITE = {"backbone": "lite", "protocol": "lite", "decay": 0.05, "optimizer": "adamw", "smoothing": 0.1}
_TSN_LITE = _LITE | {"dropout": 0.2, "batch": 32, "rate": 3e-3}
RECIPES: dict[str, dict[str, Recipe]] = {  # by name and profile
    "tsn-rgb": {
        # Wang et al. 2016 and their released settings; ImageNet weights are given as a file
        "paper": Recipe("rgb", dropout=0.8, steps=3_500, rate=1e-3, milestones=(1_500, 3_000), clip=40.0, **_PAPER),
        # real clips of small sets: ImageNet features, of which the last third is fine-tuned on a CPU
        "small": Recipe(
            "rgb",
            backbone="efficientnet_lite0",
            dropout=0.5,
            imagenet=True,
            partial_bn=True,
            frozen=7,
            protocol="small",
            steps=200,
            batch=8,
            rate=5e-3,
            decay=5e-4,
            clip=5.0,
            augmentation=Augmentation(scales=(1, 0.875)),
        ),
        # embedded clips, from random weights; half of the samples lose up to half of their resolution, for without
        # that a network that has seen nothing but these sharp frames falls to chance on LR
        "embedded": Recipe(
            "rgb",
            steps=1_500,
            augmentation=Augmentation(scales=(1, 0.9375), degrade=0.5, degrade_scale=2.0),
            **_TSN_LITE,
        ),
    },
    "tsn-flow": {
        "paper": Recipe(
            "flow",
            dropout=0.7,
            steps=18_000,
            rate=5e-3,
            milestones=(10_000, 16_000),
            clip=20.0,
            augmentation=AUGMENTATIONS["flow"],
            **_PAPER,
        ),
        # motion looks much the same on real clips: start from what the embedded ones taught
        "small": Recipe(
            "flow",
            start=("tsn-flow-lite",),
            steps=120,
            augmentation=AUGMENTATIONS["flow"],
            **_TSN_LITE | {"protocol": "small", "batch": 16, "rate": 2e-3},
        ),
        "embedded": Recipe("flow", steps=1_500, augmentation=Augmentation(scales=(1, 0.9375)), **_TSN_LITE),
    },
    # Feichtenhofer et al.'s released settings for UCF101, but for TSN's stacks, segments and augmentation: two ResNets
    # on single snippets, then the network that couples them on five
    "resnet-rgb": {
        "paper": Recipe("rgb", steps=2_235, batch=256, rate=1e-2, milestones=(745, 1_490), segments=1, **_RESNET),
        # no ImageNet weights of a ResNet are at hand
        "small": Recipe(
            "rgb",
            start=("tsn-rgb-lite",),
            steps=200,
            augmentation=Augmentation(scales=(1, 0.875), degrade=0.5, degrade_scale=2.0),
            **_TSN_LITE | {"protocol": "small", "batch": 16, "rate": 2e-3},
        ),
    },
    "resnet-flow": {
        "paper": Recipe(
            "flow",
            dropout=0.8,
            steps=29_800,
            batch=128,
            rate=1e-2,
            milestones=(7_450, 14_900, 22_350),
            segments=1,
            augmentation=AUGMENTATIONS["flow"],
            **_RESNET,
        )
    },
    "st-resnet": {
        "paper": Recipe(
            "both",
            start=("resnet-rgb", "resnet-flow"),
            steps=1_860,
            batch=128,
            rate=1e-3,
            milestones=(745, 1_117, 1_490),
            segments=5,
            augmentation=AUGMENTATIONS["flow"],
            **_RESNET,
        ),
        "small": Recipe(
            "both",
            start=("resnet-rgb-small", "tsn-flow-small"),
            steps=80,
            batch=8,
            rate=3e-4,
            segments=5,
            augmentation=AUGMENTATIONS["flow"],
            **_LITE | {"protocol": "small"},
        ),
        # TSN's two small networks are ResNets already
        "embedded": Recipe(
            "both",
            start=("tsn-rgb-lite", "tsn-flow-lite"),
            steps=200,
            batch=16,
            rate=3e-4,
            segments=5,
            augmentation=Augmentation(scales=(1, 0.9375), degrade=0.5, degrade_scale=2.0),
            **_LITE,
        ),
    },
}


def task(recipe: Recipe, classes: int, seed: int = 0, start: Sequence[Path] = ()) -> Task:
    """A recogniser, its optimiser and its loss: cross-entropy of the consensus of the snippets.

    start: files of the weights that the recipe names. ST-ResNet's loss is the sum over its three scores.
    """
    if len(start) != len(recipe.start):
        raise InputError(f"expected the files of {', '.join(recipe.start) or 'no weights'}, got {len(start)}")
    protocol, both = PROTOCOLS[recipe.protocol], recipe.stream == "both"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if both:
            net = STResNet.from_streams(*(load(path, classes=classes) for path in start), frames=recipe.segments)
        else:
            net = TSN(classes, recipe.stream, recipe.backbone, recipe.dropout, protocol.flow_frames, recipe.imagenet)
            for path in start:
                _take_backbone(net, path)
    net = net.to(memory_format=torch.channels_last)  # measured: up to twice as fast on a CPU
    if recipe.partial_bn:
        partial_bn(net)
    freeze(net, recipe.frozen)
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=recipe.decay)
    else:
        groups = parameter_groups(net, recipe.rate, recipe.decay, first=1 if both else 5)
        optimizer = torch.optim.SGD(groups, recipe.rate, momentum=0.9)

    def losses(modules: dict[str, nn.Module], batch: dict) -> Iterator[tuple]:
        clips = [to_float(batch[kind]) for kind in ("rgb", "flow") if kind in batch]  # each (N, S, C, H, W)
        generator = torch.Generator().manual_seed(torch.initial_seed())  # the loop seeds every step
        clips = augment(*clips, crop=protocol.crop, generator=generator, augmentation=recipe.augmentation)
        scores = [*modules["net"](*clips).values()] if both else [modules["net"](clips)]
        loss = sum(F.cross_entropy(s, batch["label"], label_smoothing=recipe.smoothing) for s in scores)
        yield "net", loss, {"accuracy": (scores[-1].argmax(1) == batch["label"]).float().mean()}

    many = recipe.milestones
    rate = train.halved(*many, factor=0.1) if many else train.cosine(recipe.steps, warmup=recipe.steps // 4)
    return Task({"net": net}, {"net": optimizer}, losses, rate, asdict(recipe) | {"classes": classes, "seed": seed})


def _take_backbone(net: TSN, path: Path) -> None:
    before = load(path)
    kinds = [getattr(n, "arguments", {}) | {"classes": 0, "dropout": 0} for n in (before, net)]
    if kinds[0] != kinds[1]:
        raise InputError(f"{path}: weights of {kinds[0]}, expected {kinds[1]}")
    net.backbone.load_state_dict(before.backbone.state_dict())


def fit_recogniser(
    recipe: Recipe,
    prepared: str | Path,
    folder: str | Path,
    *,
    keep: Callable[[dict], bool] = lambda row: True,
    start: Sequence[Path] = (),
    seed: int = 0,
    progress: bool | None = None,
    **schedule,
):
    """Train on the prepared clips that `keep` lets through -> (file of weights, loss curves).

    keep: of a row of the index (name, action, label, group). start: as in `task`. Checkpoints and the weights lie in
    `folder`; a run that was interrupted goes on. schedule: other fields of `train.Schedule`, e.g. precision, workers.
    """
    data = Snippets(prepared, recipe.stream, segments=recipe.segments, seed=seed, keep=keep)
    if data.protocol != PROTOCOLS[recipe.protocol]:
        raise InputError(f"{prepared}: prepared for {data.protocol}, the recipe expects {PROTOCOLS[recipe.protocol]}")
    labels = {row["label"] for row in data.rows}
    if lacking := sorted(set(range(len(data.classes))) - labels):
        raise InputError(f"class {data.classes[lacking[0]]} has no clips to train on; prepare some, or leave it out")
    job = task(recipe, len(data.classes), seed, start)
    limits = {"steps": recipe.steps, "batch": recipe.batch, "clip": recipe.clip, "seed": seed}
    curve = fit(job, data, Schedule(**limits | schedule), folder, progress=progress)
    path = Path(folder) / "weights.safetensors"
    about = {"recipe": asdict(recipe), "seed": seed, "protocol": asdict(data.protocol)}
    save(job.modules["net"], path, classes=data.classes, **about)
    return path, curve


def folds(groups: Sequence[str]) -> dict[str, Callable[[dict], bool]]:
    """Leave one group out: the group's name and what lets all the others' rows through.

    >>> keep = folds(["lena", "ido", "lena"])["lena"]
    >>> keep({"group": "lena"}), keep({"group": "ido"})
    (False, True)
    """
    return {group: lambda row, group=group: row["group"] != group for group in sorted(set(groups))}
