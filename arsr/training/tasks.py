"""What is trained: the networks, losses and optimisers of a recipe, for super-resolution or for a recogniser.

A task is a dict of the arguments of `loop.fit`. To train with a loss of your own, call `fit` yourself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge
from pydantic import BeforeValidator, Strict
from safetensors.torch import save
from torch import nn

from arsr import processes
from arsr.data.pairs import PairSet
from arsr.data.snippets import Snippets, to_float
from arsr.embedded import generated
from arsr.settings import settings
from arsr.training.loop import cosine, fit, halved
from arsr_core import losses, recognition, sr, video
from arsr_core.degrade import imresize, to_lr
from arsr_core.errors import InputError
from arsr_core.files import sha256, write_atomically
from arsr_core.recognition import AUGMENTATIONS, PROTOCOLS, TSN, Augmentation, STResNet, augment
from arsr_core.sr import METHODS
from arsr_core.sr.networks import discriminator

if TYPE_CHECKING:
    import pandas

Count = Annotated[int, Strict(), Ge(1)]
Number = Annotated[float, Strict()]

# Super-resolution -------------------------------------------------------------------------------------------

PIXEL = {  # (sr, hr, flow) -> loss
    "mse": lambda sr, hr, flow: losses.mse(sr, hr),
    "wmse": lambda sr, hr, flow: losses.wmse(sr, hr, flow),
    "wmse_normalised": lambda sr, hr, flow: losses.wmse(sr, hr, flow, variant="normalised"),
    "wmse_code": lambda sr, hr, flow: losses.wmse(sr, hr, flow, variant="code"),
    "l1": lambda sr, hr, flow: F.l1_loss(sr, hr),
    "huber": lambda sr, hr, flow: F.huber_loss(sr, hr, delta=0.01),
}
ADVERSARIAL = {  # of the generator and of the discriminator: (D(real), D(fake)), logits -> loss
    "relativistic": (losses.relativistic_g, losses.relativistic_d),
    "standard": (
        lambda real, fake: F.softplus(-fake).mean(),  # -log D(G(lr))
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
    ),
}
OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, betas=(0.9, 0.999)),
    "sgd": partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-4),  # VDSR's
}


@settings
class SRRecipe:
    """L = pixel_weight pixel + feature L_feature + adversarial L_adversarial, or ToSR's loss on pairs of frames."""

    method: Literal[*METHODS]  # the network, as sr.METHODS names it
    lite: bool  # its small form
    steps: Count
    batch: Count
    patch: Count  # HR, px
    rate: Number
    pixel: Literal[*PIXEL] = "mse"
    pixel_weight: Number = 1.0
    feature: Number = 0.0
    adversarial: Number = 0.0
    gan: Literal[*ADVERSARIAL] = "relativistic"  # or "standard", SRGAN's
    warp: tuple[Number, Number, Number] | None = None  # weights of L_SR, L_warp-SR, L_warp-HR; (1, 0, 0): the control
    warp_form: Literal[*losses.FORMS] = "paper"
    start: str | None = None  # the recipe whose weights it starts from
    optimizer: Literal[*OPTIMIZERS] = "adam"
    milestones: tuple[Count, ...] = ()  # steps where the rate falls by `factor`; none: half a cosine
    factor: Number = 0.5
    clip: Number | None = None
    ema: Number | None = None

    def __post_init__(self):
        if self.warp and (self.feature or self.adversarial):
            raise InputError("a recipe has ToSR's loss or the spatial ones, not both")


def spatial(
    batch: dict[str, torch.Tensor],
    nets: dict[str, nn.Module],
    *,
    pixel: Callable[..., torch.Tensor],
    weights: tuple[float, float, float],
    features: nn.Module | None,
    adversarial: Callable[..., torch.Tensor],
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The generator's loss, weights[0] L_pixel + weights[1] L_feature + weights[2] L_adversarial; batch gets its sr."""
    hr = batch["hr"]
    made = batch["sr"] = nets["generator"](batch["lr"])
    terms = {"pixel": pixel(made, hr, batch["flow"])}
    if weights[1]:
        terms["feature"] = features(made, hr)
    if weights[2]:
        judge = nets["discriminator"].requires_grad_(False)
        terms["adversarial"] = adversarial(judge(hr).detach(), judge(made))
    used = [weights[0], *(weight for weight in weights[1:] if weight)]
    weighted = [weight * term for weight, term in zip(used, terms.values(), strict=True)]
    return sum(weighted[1:], weighted[0]), terms


def discriminating(
    batch: dict[str, torch.Tensor], nets: dict[str, nn.Module], *, adversarial: Callable[..., torch.Tensor]
) -> torch.Tensor:
    """The discriminator's loss, on what the generator made before its step."""
    judge = nets["discriminator"].requires_grad_(True)
    return adversarial(judge(batch["hr"]), judge(batch["sr"].detach()))


def siamese(
    batch: dict[str, torch.Tensor], nets: dict[str, nn.Module], *, form: str, weights: tuple[float, float, float]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """ToSR's loss on two frames, which the network makes in one pass."""
    sr0, sr1 = nets["generator"](torch.cat((batch["lr0"], batch["lr1"]))).chunk(2)
    made = (sr0, sr1, batch["hr0"], batch["hr1"], batch["flow"])
    terms = losses.siamese_warp(*made, form=form, weights=weights)
    return terms.total, {"sr": terms.sr, "warp_sr": terms.warp_sr, "warp_hr": terms.warp_hr}


def sr_task(
    recipe: SRRecipe, *, weights: str | Path | None = None, features: nn.Module | None = None, seed: int = 0
) -> dict[str, Any]:
    """The networks, optimisers and losses of a recipe, and its schedule: arguments of `loop.fit`.

    weights: file that the generator starts from (recipes with `start` need it). features: a `losses.FeatureLoss`,
    on the device, where the recipe has one. seed: of fresh weights, and of the order of the samples.
    """
    if recipe.start and weights is None:
        raise InputError(f"the recipe starts from the weights of {recipe.start}: train that first, or give its file")
    if recipe.feature and features is None:
        raise InputError("the recipe has a feature loss: give losses.FeatureLoss(...)")
    size = METHODS[recipe.method].lite if recipe.lite else METHODS[recipe.method].hyper
    against, verdict = ADVERSARIAL[recipe.gan]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = sr.load(recipe.method, weights) if weights else sr.build(recipe.method, **size)
        nets = {"generator": generator.requires_grad_(True)}
        if recipe.adversarial:
            make = discriminator.srgan if recipe.method == "srgan" else discriminator.esrgan
            nets["discriminator"] = make(patch=recipe.patch, **({"features": 16} if recipe.lite else {}))
    if recipe.warp:
        loss = {"generator": partial(siamese, form=recipe.warp_form, weights=recipe.warp)}
    else:
        terms = (recipe.pixel_weight, recipe.feature, recipe.adversarial)
        common = dict(pixel=PIXEL[recipe.pixel], weights=terms, features=features, adversarial=against)
        loss = {"generator": partial(spatial, **common)}
    if recipe.adversarial:
        loss["discriminator"] = partial(discriminating, adversarial=verdict)
    about = {"features": features.name if recipe.feature else None, "weights": sha256(weights) if weights else None}
    return dict(
        model=nets,
        loss=loss,
        optimizer={name: OPTIMIZERS[recipe.optimizer](net.parameters(), recipe.rate) for name, net in nets.items()},
        anneal=halved(*recipe.milestones, factor=recipe.factor) if recipe.milestones else cosine(recipe.steps),
        picture=partial(sample, generator),
        recipe=asdict(recipe) | {"seed": seed} | about,
        **dict(steps=recipe.steps, batch=recipe.batch, clip=recipe.clip, ema=recipe.ema, seed=seed),
    )


@torch.no_grad()
def sample(generator: nn.Module) -> torch.Tensor:
    """What a network makes of a frame that no recipe trains on: bicubic, SR and HR side by side, (3, 120, 480)."""
    generator.eval()
    device = next(generator.parameters()).device
    hr = video.to_tensor(generated.clip(4, split="test").frames[: generator.frames]).to(device)  # a racket swings
    lr = to_lr(hr, 4, eight_bit=True)
    centre = generator.frames // 2
    made = generator(lr if generator.frames > 1 else lr[:, 0])
    return torch.cat((imresize(lr[0, centre], 4), made[0], hr[0, centre]), 2)


def train_sr(
    recipe: SRRecipe,
    store: str | Path,
    folder: str | Path,
    *,
    weights: str | Path | None = None,
    features: nn.Module | None = None,
    seed: int = 0,
    progress: bool | None = None,
    **schedule: Any,
) -> tuple[Path, pandas.DataFrame]:
    """Train one network on a store of pairs (data.pairs) -> (file of weights, loss curves).

    Checkpoints and the weights lie in `folder`; a run that was interrupted goes on. weights, features: see `sr_task`.
    schedule: other fields of `loop.Schedule`, e.g. precision, workers.
    """
    data = PairSet(store, frames=METHODS[recipe.method].frames, pair=bool(recipe.warp), seed=seed)
    if data.config.patch != recipe.patch:
        raise InputError(f"{store}: windows of {data.config.patch} px, the recipe expects {recipe.patch}")
    if features is not None:
        features.to(processes.this().device)  # the loop moves what it trains alone
    task = sr_task(recipe, weights=weights, features=features, seed=seed)
    curve = fit(data=data, folder=folder, progress=progress, **task | schedule)
    return save_sr(task["model"]["generator"], Path(folder) / "weights.safetensors"), curve


def save_sr(generator: nn.Module, path: Path) -> Path:
    """Write the weights of a super-resolution network as safetensors, for `sr.load` -> path."""
    write_atomically(path, save({name: value.contiguous() for name, value in generator.state_dict().items()}))
    return path


# Recognisers ------------------------------------------------------------------------------------------------


def _augmentation(given: object) -> object:
    """A name in AUGMENTATIONS, or a dict of fields."""
    if isinstance(given, str) and given in AUGMENTATIONS:
        return AUGMENTATIONS[given]
    return Augmentation(**given | {"scales": tuple(given["scales"])}) if isinstance(given, dict) else given


@settings
class RecogniserRecipe:
    """How one stream of TSN is trained, or ST-ResNet."""

    stream: Literal["rgb", "flow", "both"]  # both: ST-ResNet
    backbone: str
    protocol: Literal[*PROTOCOLS]  # size of the frames, crop, length of the stack
    steps: Count
    batch: Count
    rate: Number  # learning rate
    decay: Number  # of the weights
    dropout: Number = 0.0  # before the classifier; ST-ResNet's are those of its streams
    imagenet: bool | str = False  # start from ImageNet weights: those of a package, or of a file
    start: tuple[str, ...] = ()  # names of the weights of ST-ResNet's two streams, or of one with other classes
    optimizer: Literal["sgd", "adamw"] = "sgd"  # sgd: with momentum 0.9 and `parameter_groups`
    milestones: tuple[Count, ...] = ()  # steps where the rate falls to a tenth; none: half a cosine
    segments: Count = 3
    clip: Number | None = None  # norm of the gradient
    partial_bn: bool = False
    frozen: Annotated[int, Strict(), Ge(0)] = 0  # leading parts of the backbone that keep their ImageNet weights
    smoothing: Number = 0.0  # of the labels
    augmentation: Annotated[Augmentation, BeforeValidator(_augmentation)] = AUGMENTATIONS["rgb"]

    def __post_init__(self):
        if (len(self.start) == 2) != (self.stream == "both") or len(self.start) > 2:
            raise InputError(f"expected two streams for ST-ResNet to start from, or at most one for TSN, got {self}")


def recognising(batch: dict, nets: dict, *, crop: int, augmentation: Augmentation, smoothing: float):
    """Cross-entropy of the consensus of the snippets; ST-ResNet's is the sum over its three scores."""
    clips = [to_float(batch[kind]) for kind in ("rgb", "flow") if kind in batch]  # each (N, S, C, H, W)
    generator = torch.Generator().manual_seed(torch.initial_seed())  # the loop seeds every step
    clips = augment(*clips, crop=crop, generator=generator, augmentation=augmentation)
    scores = [*nets["net"](*clips).values()] if isinstance(clips, tuple) else [nets["net"](clips)]
    loss = sum(F.cross_entropy(s, batch["label"], label_smoothing=smoothing) for s in scores)
    return loss, {"accuracy": (scores[-1].argmax(1) == batch["label"]).float().mean()}


def recogniser_task(
    recipe: RecogniserRecipe, classes: int, *, start: Sequence[Path] = (), seed: int = 0
) -> dict[str, Any]:
    """A recogniser, its optimiser, its loss and its schedule: arguments of `loop.fit`.

    start: files of the weights that the recipe names.
    """
    if len(start) != len(recipe.start):
        raise InputError(f"expected the files of {', '.join(recipe.start) or 'no weights'}, got {len(start)}")
    protocol, both = PROTOCOLS[recipe.protocol], recipe.stream == "both"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if both:
            streams = (recognition.load(path, classes=classes) for path in start)
            net = STResNet.from_streams(*streams, frames=recipe.segments)
        else:
            net = TSN(classes, recipe.stream, recipe.backbone, recipe.dropout, protocol.flow_frames, recipe.imagenet)
            for path in start:
                _take_backbone(net, path)
    net = net.to(memory_format=torch.channels_last)  # measured: up to twice as fast on a CPU
    if recipe.partial_bn:
        recognition.partial_bn(net)
    recognition.freeze(net, recipe.frozen)
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=recipe.decay)
    else:
        groups = recognition.parameter_groups(net, recipe.rate, recipe.decay, first=1 if both else 5)
        optimizer = torch.optim.SGD(groups, recipe.rate, momentum=0.9)
    how = dict(crop=protocol.crop, augmentation=recipe.augmentation, smoothing=recipe.smoothing)
    falls = halved(*recipe.milestones, factor=0.1) if recipe.milestones else None
    return dict(
        model={"net": net},
        loss={"net": partial(recognising, **how)},
        optimizer={"net": optimizer},
        anneal=falls or cosine(recipe.steps, warmup=recipe.steps // 4),
        recipe=asdict(recipe) | {"classes": classes, "seed": seed},
        **dict(steps=recipe.steps, batch=recipe.batch, clip=recipe.clip, seed=seed),
    )


def _take_backbone(net: TSN, path: Path) -> None:
    before = recognition.load(path)
    kinds = [getattr(n, "arguments", {}) | {"classes": 0, "dropout": 0} for n in (before, net)]
    if kinds[0] != kinds[1]:
        raise InputError(f"{path}: weights of {kinds[0]}, expected {kinds[1]}")
    net.backbone.load_state_dict(before.backbone.state_dict())


def train_recogniser(
    recipe: RecogniserRecipe,
    prepared: str | Path,
    folder: str | Path,
    *,
    keep: Callable[[dict], bool] = lambda row: True,
    start: Sequence[Path] = (),
    seed: int = 0,
    progress: bool | None = None,
    **schedule: Any,
) -> tuple[Path, pandas.DataFrame]:
    """Train on the prepared clips that `keep` lets through -> (file of weights, loss curves).

    keep: of a row of the index (name, action, label, group). start: as in `recogniser_task`. Checkpoints and the
    weights lie in `folder`; a run that was interrupted goes on. schedule: other fields of `loop.Schedule`.
    """
    data = Snippets(prepared, recipe.stream, segments=recipe.segments, seed=seed, keep=keep)
    if data.protocol != PROTOCOLS[recipe.protocol]:
        raise InputError(f"{prepared}: prepared for {data.protocol}, the recipe expects {PROTOCOLS[recipe.protocol]}")
    labels = {row["label"] for row in data.rows}
    if lacking := sorted(set(range(len(data.classes))) - labels):
        raise InputError(f"class {data.classes[lacking[0]]} has no clips to train on; prepare some, or leave it out")
    task = recogniser_task(recipe, len(data.classes), start=start, seed=seed)
    curve = fit(data=data, folder=folder, progress=progress, **task | schedule)
    about = {"recipe": asdict(recipe), "seed": seed, "protocol": asdict(data.protocol)}
    path = Path(folder) / "weights.safetensors"
    recognition.save(task["model"]["net"], path, classes=data.classes, **about)
    return path, curve


def folds(groups: Sequence[str]) -> dict[str, Callable[[dict], bool]]:
    """Leave one group out: the group's name and what lets all the others' rows through.

    >>> keep = folds(["lena", "ido", "lena"])["lena"]
    >>> keep({"group": "lena"}), keep({"group": "ido"})
    (False, True)
    """
    return {group: lambda row, group=group: row["group"] != group for group in sorted(set(groups))}
