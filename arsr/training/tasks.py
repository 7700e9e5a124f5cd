"""What is trained: the networks, losses and optimisers of a recipe, for super-resolution or for a recogniser.

A task is a dict of the arguments of `loop.fit`. To train with a loss of your own, call `fit` yourself.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import nn

from arsr import processes
from arsr.data.pairs import PairSet
from arsr.data.snippets import Snippets, to_float
from arsr.training.loop import cosine, fit, halved
from arsr.training.recipes import RecogniserRecipe, SRRecipe
from arsr_core import losses, recognition, sr
from arsr_core.errors import InputError
from arsr_core.files import sha256, write_atomically
from arsr_core.recognition import PROTOCOLS, TSN, STResNet, augment
from arsr_core.sr import METHODS
from arsr_core.sr.networks import discriminator

Batch, Networks = dict[str, torch.Tensor], dict[str, nn.Module]
Logged = tuple[torch.Tensor, dict[str, torch.Tensor]]  # a loss, and terms to log

# Super-resolution -------------------------------------------------------------------------------------------

PIXEL = {  # of each name in SRRecipe: (sr, hr, flow) -> loss
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


def spatial(batch: Batch, nets: Networks, recipe: SRRecipe, features: nn.Module | None) -> Logged:
    """The generator's loss: pixel_weight L_pixel + feature L_feature + adversarial L_adversarial."""
    made = nets["generator"](batch["lr"])
    pixel = PIXEL[recipe.pixel](made, batch["hr"], batch["flow"])
    loss, terms = looks(made, batch["hr"], batch, nets, recipe, features)
    return recipe.pixel_weight * pixel + loss, {"pixel": pixel} | terms


def siamese(batch: Batch, nets: Networks, recipe: SRRecipe, features: nn.Module | None = None) -> Logged:
    """pixel_weight times ToSR's loss on two frames, made in one pass; the first may have looks, too."""
    made = nets["generator"](torch.cat((batch["lr0"], batch["lr1"]))).chunk(2)
    siamese = losses.siamese_warp(*made, batch["hr0"], batch["hr1"], batch["flow"], weights=recipe.warp)
    loss, terms = looks(made[0], batch["hr0"], batch, nets, recipe, features)
    parts = {"sr": siamese.sr, "warp_sr": siamese.warp_sr, "warp_hr": siamese.warp_hr}
    return recipe.pixel_weight * siamese.total + loss, parts | terms


def looks(
    made: torch.Tensor, hr: torch.Tensor, batch: Batch, nets: Networks, recipe: SRRecipe, features: nn.Module | None
) -> Logged:
    """feature L_feature + adversarial L_adversarial; the batch keeps both frames for the discriminator."""
    loss, terms = made.new_zeros(()), {}
    if recipe.feature:
        terms["feature"] = features(made, hr)
        loss = loss + recipe.feature * terms["feature"]
    if recipe.adversarial:
        batch["sr"], batch["hr"] = made, hr
        judge = nets["discriminator"].requires_grad_(False)
        terms["adversarial"] = ADVERSARIAL[recipe.gan][0](judge(hr).detach(), judge(made))
        loss = loss + recipe.adversarial * terms["adversarial"]
    return loss, terms


def discriminating(batch: Batch, nets: Networks, recipe: SRRecipe) -> torch.Tensor:
    """The discriminator's loss, on what the generator made before its step."""
    judge = nets["discriminator"].requires_grad_(True)
    return ADVERSARIAL[recipe.gan][1](judge(batch["hr"]), judge(batch["sr"].detach()))


def sr_task(
    recipe: SRRecipe, *, start: Sequence[str | Path] = (), features: nn.Module | None = None, seed: int = 0
) -> dict[str, Any]:
    """The networks, optimisers and losses of a recipe, and its schedule.

    start: the file that the generator starts from, which recipes with `start` need. features: a `losses.FeatureLoss`
    on the device; None makes one where the recipe needs it. seed: of fresh weights, and of the order of the samples.
    """
    if recipe.start and not start:
        raise InputError(f"the recipe starts from the weights of {recipe.start}: train that first, or give its file")
    if recipe.feature and not features:
        features = losses.FeatureLoss().to(processes.this().device)  # the loop moves the networks alone
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        size = METHODS[recipe.method].lite if recipe.lite else METHODS[recipe.method].hyper
        generator = sr.load(recipe.method, start[0]) if start else sr.build(recipe.method, **size)
        nets = {"generator": generator.requires_grad_(True)}
        if recipe.adversarial:
            make = discriminator.srgan if recipe.method == "srgan" else discriminator.esrgan
            nets["discriminator"] = make(patch=recipe.patch, **({"features": 16} if recipe.lite else {}))
    for net in nets.values():
        if not any(isinstance(part, nn.Conv3d) for part in net.modules()):  # measured: they are slower with it
            net.to(memory_format=torch.channels_last)  # others take half the time on a CPU
    loss = partial(siamese if recipe.warp else spatial, recipe=recipe, features=features)
    compute = {"generator": loss, "discriminator": partial(discriminating, recipe=recipe)}
    rates = {"generator": recipe.rate, "discriminator": recipe.rate * recipe.judge}
    about = {"features": features.name if recipe.feature else None, "weights": sha256(start[0]) if start else None}
    return dict(
        model=nets,
        loss={name: compute[name] for name in nets},
        optimizer={name: torch.optim.Adam(net.parameters(), rates[name]) for name, net in nets.items()},
        anneal=halved(*recipe.milestones, factor=recipe.factor) if recipe.milestones else cosine(recipe.steps),
        recipe=asdict(recipe) | about | {"seed": seed},
        **dict(steps=recipe.steps, batch=recipe.batch, clip=recipe.clip, seed=seed),
    )


# Recognisers ------------------------------------------------------------------------------------------------


def recognising(batch: Batch, nets: Networks, recipe: RecogniserRecipe, crop: int) -> Logged:
    """Cross-entropy of the consensus of the snippets; ST-ResNet's is the sum over its three scores."""
    clips = [to_float(batch[kind]) for kind in ("rgb", "flow") if kind in batch]  # each (N, S, C, H, W)
    generator = torch.Generator().manual_seed(torch.initial_seed())  # the loop seeds every step
    clips = augment(*clips, crop=crop, generator=generator, augmentation=recipe.augmentation)
    scores = [*nets["net"](*clips).values()] if isinstance(clips, tuple) else [nets["net"](clips)]
    loss = sum(F.cross_entropy(s, batch["label"], label_smoothing=recipe.smoothing) for s in scores)
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
                before = recognition.load(path)
                had, has = (getattr(n, "arguments", {}) | {"classes": 0, "dropout": 0} for n in (before, net))
                if had != has:
                    raise InputError(f"{path}: weights of {had}, expected {has}")
                net.backbone.load_state_dict(before.backbone.state_dict())
    net = net.to(memory_format=torch.channels_last)  # measured: up to twice as fast on a CPU
    if recipe.partial_bn:
        recognition.partial_bn(net)
    recognition.freeze(net, recipe.frozen)
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=recipe.decay)
    else:
        groups = recognition.parameter_groups(net, recipe.rate, recipe.decay, first=1 if both else 5)
        optimizer = torch.optim.SGD(groups, recipe.rate, momentum=0.9)
    smooth = cosine(recipe.steps, warmup=recipe.steps // 4)
    return dict(
        model={"net": net},
        loss={"net": partial(recognising, recipe=recipe, crop=protocol.crop)},
        optimizer={"net": optimizer},
        anneal=halved(*recipe.milestones, factor=0.1) if recipe.milestones else smooth,
        recipe=asdict(recipe) | {"classes": classes, "seed": seed},
        **dict(steps=recipe.steps, batch=recipe.batch, clip=recipe.clip, seed=seed),
    )


# Both -------------------------------------------------------------------------------------------------------


def train(
    recipe: SRRecipe | RecogniserRecipe,
    store: str | Path,
    folder: str | Path,
    *,
    start: Sequence[str | Path] = (),
    without: str | Collection[str] = (),
    seed: int = 0,
    **options: Any,
) -> tuple[Path, pandas.DataFrame]:
    """Train on prepared pairs (data.pairs) or clips (data.snippets) -> (file of weights, loss curves).

    Checkpoints and the weights lie in `folder`; a run that was interrupted goes on. start: files of the weights that
    the recipe names. without: a group of clips, an actor, say, or several, that a recogniser does not see. options:
    others of `loop.fit`, e.g. precision, workers.
    """
    path = Path(folder) / "weights.safetensors"
    if isinstance(recipe, SRRecipe):
        data = PairSet(store, frames=METHODS[recipe.method].frames, pair=bool(recipe.warp), seed=seed)
        if data.config.patch != recipe.patch:
            raise InputError(f"{store}: windows of {data.config.patch} px, the recipe expects {recipe.patch}")
        task = sr_task(recipe, start=start, seed=seed)
        write = partial(save_sr, task["model"]["generator"], path)
    else:
        without = {without} if isinstance(without, str) else {*without}
        how = dict(segments=recipe.segments, seed=seed, keep=lambda row: row["group"] not in without)
        data = Snippets(store, recipe.stream, **how)
        if data.protocol != (expected := PROTOCOLS[recipe.protocol]):
            raise InputError(f"{store}: prepared for {data.protocol}, the recipe expects {expected}")
        if lacking := sorted(set(range(len(data.classes))) - {row["label"] for row in data.rows}):
            raise InputError(
                f"class {data.classes[lacking[0]]} has no clips to train on; prepare some, or leave it out"
            )
        task = recogniser_task(recipe, len(data.classes), start=start, seed=seed)
        about = {"recipe": asdict(recipe), "seed": seed, "protocol": asdict(data.protocol)}
        about |= {"without": sorted(without)} if without else {}
        write = partial(recognition.save, task["model"]["net"], path, classes=data.classes, **about)
    curve = fit(data=data, folder=folder, **task | options)
    write()
    return path, curve


def save_sr(generator: nn.Module, path: Path) -> Path:
    """Write the weights of a super-resolution network, for `sr.load` -> path."""
    write_atomically(path, save({name: value.contiguous() for name, value in generator.state_dict().items()}))
    return path
