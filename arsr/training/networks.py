"""Training SoSR, ToSR and their rivals: a recipe for every row of Tables 2 and 3, its controls, and Table 4's methods.

A recipe is data; `task` turns it into networks, optimisers and the losses of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import nn

from arsr import processes
from arsr.data.pairs import PairSet
from arsr.embedded import generated
from arsr.training import loop as train
from arsr_core import losses, video
from arsr_core.degrade import imresize, to_lr
from arsr_core.errors import InputError
from arsr_core.files import sha256, write_atomically
from arsr_core.sr import METHODS, build, load
from arsr_core.sr.networks import discriminator


@dataclass(frozen=True)
class Recipe:
    """L = pixel_weight pixel + feature L_feature + adversarial L_adversarial, or ToSR's loss on pairs of frames."""

    method: str  # the network, as sr.METHODS names it
    lite: bool  # its small form
    steps: int
    batch: int
    patch: int  # HR, px
    rate: float
    pixel: str = "mse"  # a name in PIXEL
    pixel_weight: float = 1.0
    feature: float = 0.0
    adversarial: float = 0.0
    gan: str = "relativistic"  # or "standard", SRGAN's
    warp: tuple[float, float, float] | None = None  # weights of L_SR, L_warp-SR, L_warp-HR; (1, 0, 0): the control
    warp_form: str = "paper"
    start: str | None = None  # the recipe whose weights it starts from
    optimizer: str = "adam"
    milestones: tuple[int, ...] = ()  # steps where the rate falls by `factor`
    factor: float = 0.5
    clip: float | None = None
    ema: float | None = None

    def __post_init__(self):
        names = {
            "method": METHODS,
            "pixel": PIXEL,
            "gan": ADVERSARIAL,
            "warp_form": losses.FORMS,
            "optimizer": OPTIMIZERS,
        }
        for name, known in names.items():
            if getattr(self, name) not in known:
                raise InputError(f"expected {name} to be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.warp and (self.feature or self.adversarial):
            raise InputError("a recipe has ToSR's loss or the spatial ones, not both")


PIXEL = {  # (sr, hr, flow) -> loss
    "mse": lambda sr, hr, flow: losses.mse(sr, hr),
    "wmse": lambda sr, hr, flow: losses.wmse(sr, hr, flow),
    "wmse_normalised": lambda sr, hr, flow: losses.wmse(sr, hr, flow, variant="normalised"),
    "wmse_code": lambda sr, hr, flow: losses.wmse(sr, hr, flow, variant="code"),
    "l1": lambda sr, hr, flow: F.l1_loss(sr, hr),
    "huber": lambda sr, hr, flow: F.huber_loss(sr, hr, delta=0.01),
}


def _standard_g(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return F.softplus(-fake).mean()  # -log D(G(lr))


def _standard_d(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return F.softplus(-real).mean() + F.softplus(fake).mean()


ADVERSARIAL = {  # of the generator and of the discriminator, on logits
    "relativistic": (losses.relativistic_g, losses.relativistic_d),
    "standard": (_standard_g, _standard_d),
}

OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, betas=(0.9, 0.999)),
    "sgd": partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-4),  # VDSR's
}


def task(
    recipe: Recipe,
    to_batch: Callable[[dict], dict],
    *,
    weights: str | Path | None = None,
    features: nn.Module | None = None,
    seed: int = 0,
) -> train.Task:
    """The networks, optimisers and losses of a recipe.

    to_batch: makes a batch of lr, hr and flow (of pairs: lr0, lr1, ...) of what the loader gives, `PairSet.to_batch`.
    weights: file that the generator starts from (recipes with `start` need it). features: a `losses.FeatureLoss`,
    where the recipe has one. seed: of fresh weights.
    """
    if recipe.start and weights is None:
        raise InputError(f"the recipe starts from the weights of {recipe.start}: train that first, or give its file")
    size = METHODS[recipe.method].lite if recipe.lite else METHODS[recipe.method].hyper
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = load(recipe.method, weights) if weights else build(recipe.method, **size)
        modules = {"generator": generator.requires_grad_(True)}
        if recipe.adversarial:
            make = discriminator.srgan if recipe.method == "srgan" else discriminator.esrgan
            modules["discriminator"] = make(patch=recipe.patch, **({"features": 16} if recipe.lite else {}))
    if recipe.feature and features is None:
        raise InputError("the recipe has a feature loss: give losses.FeatureLoss(...)")
    optimizers = {name: OPTIMIZERS[recipe.optimizer](m.parameters(), recipe.rate) for name, m in modules.items()}
    content = asdict(recipe) | {"seed": seed, "features": features.name if recipe.feature else None}
    content["weights"] = sha256(weights) if weights else None

    against, verdict = ADVERSARIAL[recipe.gan]

    def spatial(modules: dict[str, nn.Module], raw: dict) -> Iterator[tuple]:
        batch = to_batch(raw)
        hr, flow = batch["hr"], batch["flow"]
        sr = modules["generator"](batch["lr"])
        terms = {"pixel": PIXEL[recipe.pixel](sr, hr, flow)}
        loss = recipe.pixel_weight * terms["pixel"]
        if recipe.feature:
            terms["feature"] = features(sr, hr)
            loss = loss + recipe.feature * terms["feature"]
        if recipe.adversarial:
            judge = modules["discriminator"].requires_grad_(False)
            terms["adversarial"] = against(judge(hr).detach(), judge(sr))
            loss = loss + recipe.adversarial * terms["adversarial"]
        yield "generator", loss, terms
        if recipe.adversarial:
            judge = modules["discriminator"].requires_grad_(True)
            yield "discriminator", verdict(judge(hr), judge(sr.detach())), {}

    def siamese(modules: dict[str, nn.Module], raw: dict) -> Iterator[tuple]:
        batch = to_batch(raw)
        both = modules["generator"](torch.cat((batch["lr0"], batch["lr1"])))  # shared weights, one pass
        sr0, sr1 = both.chunk(2)
        made = (sr0, sr1, batch["hr0"], batch["hr1"], batch["flow"])
        terms = losses.siamese_warp(*made, form=recipe.warp_form, weights=recipe.warp)
        yield "generator", terms.total, {"sr": terms.sr, "warp_sr": terms.warp_sr, "warp_hr": terms.warp_hr}

    rate = train.halved(*recipe.milestones, factor=recipe.factor) if recipe.milestones else train.cosine(recipe.steps)
    losses_ = siamese if recipe.warp else spatial
    return train.Task(modules, optimizers, losses_, rate, content, partial(sample, modules["generator"]))


@torch.no_grad()
def sample(generator: nn.Module) -> torch.Tensor:
    """What a network makes of a frame that no recipe trains on: bicubic, SR and HR side by side, (3, 120, 480)."""
    generator.eval()
    device = next(generator.parameters()).device
    hr = video.to_tensor(generated.clip(4, split="test").frames[: generator.frames]).to(device)  # a racket swings
    lr = to_lr(hr, 4, eight_bit=True)
    centre = generator.frames // 2
    sr = generator(lr if generator.frames > 1 else lr[:, 0])
    return torch.cat((imresize(lr[0, centre], 4), sr[0], hr[0, centre]), 2)


def fit_sr(
    recipe: Recipe,
    store: str | Path,
    folder: str | Path,
    *,
    weights: str | Path | None = None,
    features: nn.Module | None = None,
    seed: int = 0,
    progress: bool | None = None,
    **schedule,
):
    """Train one network on a store of pairs (data.pairs) -> (file of weights, loss curves).

    Checkpoints and the weights lie in `folder`; a run that was interrupted goes on. weights, features: see `task`.
    schedule: other fields of `train.Schedule`, e.g. precision, workers.
    """
    data = PairSet(store, frames=METHODS[recipe.method].frames, pair=bool(recipe.warp), seed=seed)
    if data.config.patch != recipe.patch:
        raise InputError(f"{store}: windows of {data.config.patch} px, the recipe expects {recipe.patch}")
    if features is not None:
        features.to(processes.this().device)  # the loop moves the task's modules alone
    job = task(recipe, data.to_batch, weights=weights, features=features, seed=seed)
    limits = {"steps": recipe.steps, "batch": recipe.batch, "clip": recipe.clip, "ema": recipe.ema, "seed": seed}
    curve = train.fit(job, data, train.Schedule(**limits | schedule), folder, progress=progress)
    path = Path(folder) / "weights.safetensors"
    write_atomically(path, save({k: v.contiguous() for k, v in job.modules["generator"].state_dict().items()}))
    return path, curve


def _recipes() -> dict[str, dict[str, Recipe]]:
    """By name and profile: the published size and schedule, and the same losses on a small network."""
    # the starts: each network trained for fidelity as its authors did; Table 4's rows of these names
    vdsr = Recipe("vdsr", False, steps=300_000, batch=64, patch=64, rate=1e-4, clip=0.4)
    rcan = Recipe(
        "rcan", False, steps=1_000_000, batch=16, patch=192, rate=1e-4, pixel="l1", milestones=_every(200_000, 5)
    )
    srresnet = Recipe("srgan", False, steps=1_000_000, batch=16, patch=96, rate=1e-4)
    rrdb = replace(rcan, method="esrgan", patch=128, rate=2e-4)
    spmc = Recipe("spmc", False, steps=200_000, batch=16, patch=128, rate=1e-4)
    duf16 = Recipe(
        "duf16",
        False,
        steps=300_000,
        batch=16,
        patch=128,
        rate=1e-3,
        pixel="huber",
        milestones=_every(100_000, 2),
        factor=0.1,
    )
    starts = {"vdsr": vdsr, "rcan": rcan, "srresnet": srresnet, "rrdb": rrdb, "spmc": spmc, "duf16": duf16}
    starts["duf52"] = replace(duf16, method="duf52")

    # Table 2: released schedule of ESRGAN's code, weights 1, 1, 0.005; VDSR's rows take the same steps
    tuned = dict(steps=500_000, batch=16, patch=128, rate=1e-4, milestones=(50_000, 100_000, 200_000, 300_000))
    table2 = {
        "vdsr-mse": replace(vdsr, start="vdsr", **tuned),
        "vdsr-wmse": replace(vdsr, start="vdsr", pixel="wmse", **tuned),
        "vdsr-wmse-feature": replace(vdsr, start="vdsr", pixel="wmse", feature=1.0, **tuned),
        "esrgan-wmse-feature": replace(rrdb, start="rrdb", pixel="wmse", feature=1.0, **tuned),
        "esrgan": replace(rrdb, start="rrdb", pixel="mse", feature=1.0, adversarial=0.005, **tuned),
        "sosr": replace(rrdb, method="sosr", start="rrdb", pixel="wmse", feature=1.0, adversarial=0.005, **tuned),
    }
    # Table 3: 20 epochs of 143,250 pairs, the rate a tenth after ten; "-control" has every term of the warp loss off
    siamese = dict(steps=179_060, batch=16, patch=128, rate=1e-2, milestones=(89_530,), factor=0.1)
    on, off = (1.0, 0.8, 0.1), (1.0, 0.0, 0.0)
    table3 = {
        "vdsr-warp": replace(vdsr, start="vdsr", warp=on, **siamese | {"rate": 1e-4}),
        "vdsr-warp-control": replace(vdsr, start="vdsr", warp=off, **siamese | {"rate": 1e-4}),
        "tosr": replace(duf16, method="tosr", start="duf16", warp=on, **siamese),
        "tosr-control": replace(duf16, method="tosr", start="duf16", warp=off, **siamese),
    }
    gan = replace(
        srresnet, start="srresnet", pixel_weight=0.0, feature=1.0, adversarial=1e-3, gan="standard", steps=200_000
    )
    gan = replace(gan, milestones=(100_000,), factor=0.1)
    published = starts | table2 | table3 | {"srgan": gan}
    return {name: {"paper": recipe, "embedded": _lite(recipe)} for name, recipe in published.items()}


def _every(step: int, times: int) -> tuple[int, ...]:
    return tuple(step * (i + 1) for i in range(times))


def _lite(recipe: Recipe) -> Recipe:
    """The same losses, from the same start, in minutes on one core."""
    duf = recipe.method in ("duf16", "duf52", "tosr")  # cheap steps, and it needs more of them
    steps, rate = (1_000, 2e-4) if recipe.start else (8_000 if duf else 2_000, 2e-3 if duf else 1e-3)
    # the paper's weights, though the features are EfficientNet-Lite0's: with a hundredth of them the adversarial term
    # won, 4 dB below bicubic. SRGAN's authors multiply their features by 0.006
    feature = 0.01 if recipe.method == "srgan" else 1.0
    small = dict(lite=True, steps=steps, batch=8, patch=64, rate=rate, milestones=(), clip=1.0)
    small["feature"] = feature if recipe.feature else 0.0
    return replace(recipe, **small)


RECIPES = _recipes()
