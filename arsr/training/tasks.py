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
    """The generator's loss: weights[0] L_pixel + weights[1] L_feature + weights[2] L_adversarial; batch gets its sr."""
    hr = batch["hr"]
    made = batch["sr"] = nets["generator"](batch["lr"])
    terms = {"pixel": pixel(made, hr, batch["flow"])}
    loss = weights[0] * terms["pixel"]
    if weights[1]:
        terms["feature"] = features(made, hr)
        loss = loss + weights[1] * terms["feature"]
    if weights[2]:
        judge = nets["discriminator"].requires_grad_(False)
        terms["adversarial"] = adversarial(judge(hr).detach(), judge(made))
        loss = loss + weights[2] * terms["adversarial"]
    return loss, terms


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
    terms = losses.siamese_warp(sr0, sr1, batch["hr0"], batch["hr1"], batch["flow"], form=form, weights=weights)
    return terms.total, {"sr": terms.sr, "warp_sr": terms.warp_sr, "warp_hr": terms.warp_hr}


def sr_task(
    recipe: SRRecipe, *, start: Sequence[str | Path] = (), features: nn.Module | None = None, seed: int = 0
) -> dict[str, Any]:
    """The networks, optimisers and losses of a recipe, and its schedule.

    start: the file that the generator starts from, which recipes with `start` need. features: a `losses.FeatureLoss`
    on the device; None makes one where the recipe needs it. seed: of fresh weights, and of the order of the samples.
    """
    if recipe.start and not start:
        raise InputError(f"the recipe starts from the weights of {recipe.start}: train that first, or give its file")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        size = METHODS[recipe.method].lite if recipe.lite else METHODS[recipe.method].hyper
        generator = sr.load(recipe.method, start[0]) if start else sr.build(recipe.method, **size)
        nets = {"generator": generator.requires_grad_(True)}
        if recipe.adversarial:
            make = discriminator.srgan if recipe.method == "srgan" else discriminator.esrgan
            nets["discriminator"] = make(patch=recipe.patch, **({"features": 16} if recipe.lite else {}))
    if recipe.feature and not features:
        features = losses.FeatureLoss().to(processes.this().device)  # the loop moves the networks alone
    against, verdict = ADVERSARIAL[recipe.gan]
    weights = (recipe.pixel_weight, recipe.feature, recipe.adversarial)
    loss = partial(spatial, pixel=PIXEL[recipe.pixel], weights=weights, features=features, adversarial=against)
    if recipe.warp:
        loss = partial(siamese, form=recipe.warp_form, weights=recipe.warp)
    compute = {"generator": loss, "discriminator": partial(discriminating, adversarial=verdict)}
    about = {"seed": seed, "features": features.name if recipe.feature else None}
    about["weights"] = sha256(start[0]) if start else None
    return dict(
        model=nets,
        loss={name: compute[name] for name in nets},
        optimizer={name: OPTIMIZERS[recipe.optimizer](net.parameters(), recipe.rate) for name, net in nets.items()},
        anneal=halved(*recipe.milestones, factor=recipe.factor) if recipe.milestones else cosine(recipe.steps),
        picture=partial(sample, generator),
        recipe=asdict(recipe) | about,
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


def recognising(
    batch: dict[str, torch.Tensor],
    nets: dict[str, nn.Module],
    *,
    crop: int,
    augmentation: Augmentation,
    smoothing: float,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Cross-entropy of the consensus of the snippets; ST-ResNet's is the sum over its three scores."""
    clips = [to_float(batch[kind]) for kind in ("rgb", "flow") if kind in batch]  # each (N, S, C, H, W)
    generator = torch.Generator().manual_seed(torch.initial_seed())  # the loop seeds every step
    clips = augment(*clips, crop=crop, generator=generator, augmentation=augmentation)
    scores = [*nets["net"](*clips).values()] if isinstance(clips, tuple) else [nets["net"](clips)]
    loss = sum(F.cross_entropy(s, batch["label"], label_smoothing=smoothing) for s in scores)
    return loss, {"accuracy": (scores[-1].argmax(1) == batch["label"]).float().mean()}


def recogniser_task(
    recipe: RecogniserRecipe, classes: int, *, start: Sequence[str | Path] = (), seed: int = 0
) -> dict[str, Any]:
    """A recogniser, its optimiser, loss and schedule; start: files of the weights that the recipe names."""
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


# Both -------------------------------------------------------------------------------------------------------


def train(
    recipe: SRRecipe | RecogniserRecipe,
    store: str | Path,
    folder: str | Path,
    *,
    start: Sequence[str | Path] = (),
    without: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
    **schedule: Any,
) -> tuple[Path, pandas.DataFrame]:
    """Train on prepared pairs (data.pairs) or clips (data.snippets) -> (file of weights, loss curves).

    Checkpoints and the weights lie in `folder`; a run that was interrupted goes on. start: files of the weights that
    the recipe names. without: the group of clips, an actor, say, that a recogniser does not see. schedule: other fields
    of `loop.Schedule`, e.g. precision, workers.
    """
    path = Path(folder) / "weights.safetensors"
    if isinstance(recipe, SRRecipe):
        data = PairSet(store, frames=METHODS[recipe.method].frames, pair=bool(recipe.warp), seed=seed)
        if data.config.patch != recipe.patch:
            raise InputError(f"{store}: windows of {data.config.patch} px, the recipe expects {recipe.patch}")
        task = sr_task(recipe, start=start, seed=seed)
        write = partial(save_sr, task["model"]["generator"], path)
    else:
        keep = (lambda row: row["group"] != without) if without else (lambda row: True)
        data = Snippets(store, recipe.stream, segments=recipe.segments, seed=seed, keep=keep)
        if data.protocol != (expected := PROTOCOLS[recipe.protocol]):
            raise InputError(f"{store}: prepared for {data.protocol}, the recipe expects {expected}")
        if lacking := sorted(set(range(len(data.classes))) - {row["label"] for row in data.rows}):
            name = data.classes[lacking[0]]
            raise InputError(f"class {name} has no clips to train on; prepare some, or leave it out")
        task = recogniser_task(recipe, len(data.classes), start=start, seed=seed)
        about = {"recipe": asdict(recipe), "seed": seed, "protocol": asdict(data.protocol)}
        write = partial(recognition.save, task["model"]["net"], path, classes=data.classes, **about)
    curve = fit(data=data, folder=folder, progress=progress, **task | schedule)
    write()
    return path, curve


def save_sr(generator: nn.Module, path: Path) -> Path:
    """Write the weights of a super-resolution network, for `sr.load` -> path."""
    write_atomically(path, save({name: value.contiguous() for name, value in generator.state_dict().items()}))
    return path
