"""The recipes by name and profile."""

from __future__ import annotations

from dataclasses import replace

from arsr.training.tasks import RecogniserRecipe as _R
from arsr.training.tasks import SRRecipe
from arsr_core.recognition import AUGMENTATIONS, Augmentation

_PAPER = {"backbone": "bn_inception", "protocol": "full", "batch": 256, "decay": 5e-4, "partial_bn": True}
_RESNET = {"backbone": "resnet50", "protocol": "full", "decay": 5e-4}
_LITE = {"backbone": "lite", "protocol": "lite", "decay": 0.05, "optimizer": "adamw", "smoothing": 0.1}
_TSN_LITE = _LITE | {"dropout": 0.2, "batch": 32, "rate": 3e-3}
RECOGNISERS: dict[str, dict[str, _R]] = {  # by name and profile
    "tsn-rgb": {
        # Wang et al. 2016 and their released settings; ImageNet weights are given as a file
        "paper": _R("rgb", dropout=0.8, steps=3_500, rate=1e-3, milestones=(1_500, 3_000), clip=40.0, **_PAPER),
        # real clips of small sets: ImageNet features, of which the last third is fine-tuned on a CPU
        "small": _R(
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
        "embedded": _R(
            "rgb",
            steps=1_500,
            augmentation=Augmentation(scales=(1, 0.9375), degrade=0.5, degrade_scale=2.0),
            **_TSN_LITE,
        ),
    },
    "tsn-flow": {
        "paper": _R(
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
        "small": _R(
            "flow",
            start=("tsn-flow-lite",),
            steps=120,
            augmentation=AUGMENTATIONS["flow"],
            **_TSN_LITE | {"protocol": "small", "batch": 16, "rate": 2e-3},
        ),
        "embedded": _R("flow", steps=1_500, augmentation=Augmentation(scales=(1, 0.9375)), **_TSN_LITE),
    },
    # Feichtenhofer et al.'s released settings for UCF101, but for TSN's stacks, segments and augmentation: two ResNets
    # on single snippets, then the network that couples them on five
    "resnet-rgb": {
        "paper": _R("rgb", steps=2_235, batch=256, rate=1e-2, milestones=(745, 1_490), segments=1, **_RESNET),
        # no ImageNet weights of a ResNet are at hand
        "small": _R(
            "rgb",
            start=("tsn-rgb-lite",),
            steps=200,
            augmentation=Augmentation(scales=(1, 0.875), degrade=0.5, degrade_scale=2.0),
            **_TSN_LITE | {"protocol": "small", "batch": 16, "rate": 2e-3},
        ),
    },
    "resnet-flow": {
        "paper": _R(
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
        "paper": _R(
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
        "small": _R(
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
        "embedded": _R(
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


def _recipes() -> dict[str, dict[str, SRRecipe]]:
    """By name and profile: the published size and schedule, and the same losses on a small network."""
    # the starts: each network trained for fidelity as its authors did; Table 4's rows of these names
    vdsr = SRRecipe("vdsr", False, steps=300_000, batch=64, patch=64, rate=1e-4, clip=0.4)
    rcan = SRRecipe(
        "rcan", False, steps=1_000_000, batch=16, patch=192, rate=1e-4, pixel="l1", milestones=_every(200_000, 5)
    )
    srresnet = SRRecipe("srgan", False, steps=1_000_000, batch=16, patch=96, rate=1e-4)
    rrdb = replace(rcan, method="esrgan", patch=128, rate=2e-4)
    spmc = SRRecipe("spmc", False, steps=200_000, batch=16, patch=128, rate=1e-4)
    duf16 = SRRecipe(
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


def _lite(recipe: SRRecipe) -> SRRecipe:
    """The same losses, from the same start, in minutes on one core."""
    duf = recipe.method in ("duf16", "duf52", "tosr")  # cheap steps, and it needs more of them
    steps, rate = (1_000, 2e-4) if recipe.start else (8_000 if duf else 2_000, 2e-3 if duf else 1e-3)
    # the paper's weights, though the features are EfficientNet-Lite0's: with a hundredth of them the adversarial term
    # won, 4 dB below bicubic. SRGAN's authors multiply their features by 0.006
    feature = 0.01 if recipe.method == "srgan" else 1.0
    small = dict(lite=True, steps=steps, batch=8, patch=64, rate=rate, milestones=(), clip=1.0)
    small["feature"] = feature if recipe.feature else 0.0
    return replace(recipe, **small)


SR = _recipes()

RECIPES = RECOGNISERS | SR
