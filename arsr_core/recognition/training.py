"""Training TSN on HR clips: the recipes, the folds, and one call from prepared clips to a file of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .. import InputError, train
from ..train import Schedule, Task, fit
from .augment import AUGMENTATIONS, Augmentation, augment
from .checkpoint import save
from .prepared import Snippets, to_float
from .protocol import PROTOCOLS
from .recogniser import parameter_groups, partial_bn
from .tsn import TSN


@dataclass(frozen=True)
class Recipe:
    """How one stream of TSN is trained."""

    stream: str  # rgb or flow
    backbone: str
    protocol: str  # a name in PROTOCOLS: size of the frames, crop, length of the stack
    dropout: float
    steps: int
    batch: int
    rate: float  # learning rate
    decay: float  # of the weights
    imagenet: bool | str = False  # start from ImageNet weights: those of a package, or of a file
    optimizer: str = "sgd"  # with momentum 0.9 and TSN's groups; or adamw
    milestones: tuple[int, ...] = ()  # steps where the rate falls to a tenth; none: half a cosine
    segments: int = 3
    clip: float | None = None  # norm of the gradient
    partial_bn: bool = False
    smoothing: float = 0.0  # of the labels
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self):
        if self.stream not in ("rgb", "flow") or self.protocol not in PROTOCOLS:
            raise InputError(f"expected stream rgb or flow and a protocol of {', '.join(PROTOCOLS)}, got {self}")


_PAPER = {"backbone": "bn_inception", "protocol": "full", "batch": 256, "decay": 5e-4, "partial_bn": True}
_LITE = {"backbone": "lite", "protocol": "lite", "dropout": 0.2, "batch": 32, "rate": 3e-3, "decay": 0.05}
_LITE |= {"optimizer": "adamw", "smoothing": 0.1}
_SMALL = {"backbone": "efficientnet_lite0", "protocol": "small", "dropout": 0.5, "batch": 8, "decay": 5e-4}
_SMALL |= {"imagenet": True, "partial_bn": True, "clip": 20.0}

RECIPES: dict[str, dict[str, Recipe]] = {  # by name and profile
    "tsn-rgb": {
        # Wang et al. 2016 and their released settings; ImageNet weights are given as a file
        "paper": Recipe("rgb", dropout=0.8, steps=3_500, rate=1e-3, milestones=(1_500, 3_000), clip=40.0, **_PAPER),
        # real clips of small sets: ImageNet features, fine-tuned on two cores
        "small": Recipe("rgb", steps=150, rate=5e-3, **_SMALL),
        # embedded clips, from random weights; half of the samples lose up to half of their resolution, for without
        # that a network that has seen nothing but these sharp frames falls to chance on LR
        "embedded": Recipe(
            "rgb",
            steps=1_500,
            augmentation=Augmentation(scales=(1, 0.9375), degrade=0.5, degrade_scale=2.0),
            **_LITE,
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
        "small": Recipe("flow", steps=300, rate=5e-3, augmentation=AUGMENTATIONS["flow"], **_SMALL),
        "embedded": Recipe("flow", steps=1_500, augmentation=Augmentation(scales=(1, 0.9375)), **_LITE),
    },
}


def task(recipe: Recipe, classes: int, seed: int = 0) -> Task:
    """A fresh recogniser, its optimiser and its loss: cross-entropy of the consensus of the snippets."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        protocol = PROTOCOLS[recipe.protocol]
        net = TSN(classes, recipe.stream, recipe.backbone, recipe.dropout, protocol.flow_frames, recipe.imagenet)
    if recipe.partial_bn:
        partial_bn(net)
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=recipe.decay)
    else:
        optimizer = torch.optim.SGD(parameter_groups(net, recipe.rate, recipe.decay), recipe.rate, momentum=0.9)

    def losses(modules: dict[str, nn.Module], batch: dict) -> Iterator[tuple]:
        x = to_float(batch["snippets"])  # (N, S, C, H, W)
        generator = torch.Generator().manual_seed(torch.initial_seed())  # the loop seeds every step
        x = augment(x, crop=protocol.crop, generator=generator, augmentation=recipe.augmentation)
        scores = modules["net"](x)
        loss = F.cross_entropy(scores, batch["label"], label_smoothing=recipe.smoothing)
        yield "net", loss, {"accuracy": (scores.argmax(1) == batch["label"]).float().mean()}

    many = recipe.milestones
    rate = train.halved(*many, factor=0.1) if many else train.cosine(recipe.steps, warmup=recipe.steps // 4)
    return Task({"net": net}, {"net": optimizer}, losses, rate, asdict(recipe) | {"classes": classes, "seed": seed})


def fit_recogniser(
    recipe: Recipe,
    prepared: str | Path,
    folder: str | Path,
    *,
    keep: Callable[[dict], bool] = lambda row: True,
    seed: int = 0,
    progress: bool | None = None,
    **schedule,
):
    """Train one stream on the prepared clips that `keep` lets through -> (file of weights, loss curves).

    keep: of a row of the index (name, action, label, group). Checkpoints and the weights lie in `folder`; a run that
    was interrupted goes on. schedule: other fields of `train.Schedule`, e.g. precision, workers.
    """
    data = Snippets(prepared, recipe.stream, segments=recipe.segments, seed=seed, keep=keep)
    if data.protocol != PROTOCOLS[recipe.protocol]:
        raise InputError(f"{prepared}: prepared for {data.protocol}, the recipe expects {PROTOCOLS[recipe.protocol]}")
    labels = {row["label"] for row in data.rows}
    if lacking := sorted(set(range(len(data.classes))) - labels):
        raise InputError(f"class {data.classes[lacking[0]]} has no clips to train on; prepare some, or leave it out")
    job = task(recipe, len(data.classes), seed)
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
