"""TSN's training augmentation: multi-scale corner crops and mirroring, and, as an option, lost resolution."""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from arsr_core.errors import InputError, checked, require
from arsr_core.recognition.protocol import bilinear, mirrored
from arsr_core.recognition.settings import AUGMENTATIONS, Augmentation


@checked
def augment(
    *clips: torch.Tensor, crop: int, generator: torch.Generator, augmentation: Augmentation = AUGMENTATIONS["rgb"]
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Crop, resize and mirror samples at random: each (N, S, C, H, W) -> (N, S, C, crop, crop).

    A sample keeps one crop over all its snippets and, given frames and flow, over both. Crops lie on TSN's 13 places.
    generator: on the CPU; the same seed gives the same result.
    """
    require("augment", **{f"clips{i or ''}": (x, f"N S{i or ''} C{i or ''} H W") for i, x in enumerate(clips)})
    if not 1 <= crop <= 4096:
        raise InputError(f"augment: expected crop from 1 to 4096 px, got {crop}")
    h, w = clips[0].shape[-2:]
    changes = [_drawn(h, w, crop, augmentation, generator) for _ in clips[0]]
    out = tuple(torch.stack([change(x) for x, change in zip(clip, changes, strict=True)]) for clip in clips)
    return out if len(out) > 1 else out[0]


def _drawn(h: int, w: int, crop: int, a: Augmentation, generator: torch.Generator) -> Callable:
    """A random change of a sample of frames of h x w: (S, C, H, W) -> (S, C, crop, crop)."""
    sides = [int(min(h, w) * scale) for scale in a.scales]
    sides = [crop if abs(side - crop) < 3 else side for side in sides]  # no resizing for so little
    pairs = [(sides[i], sides[j]) for i in range(len(sides)) for j in range(len(sides)) if abs(i - j) <= 1]
    u = torch.rand(5, generator=generator).tolist()
    height, width = pairs[int(u[0] * len(pairs))]
    quarters = [(y, x) for y in range(5) for x in range(5) if (y + x) % 2 == 0]  # the 13 places
    y, x = quarters[int(u[1] * len(quarters))]
    top, left = (h - height) // 4 * y, (w - width) // 4 * x
    shrink = 1 + u[4] * (a.degrade_scale - 1) if u[3] < a.degrade else 1.0

    def change(x: torch.Tensor) -> torch.Tensor:
        if shrink > 1 and x.shape[1] == 3:
            small = [max(1, round(n / shrink)) for n in x.shape[-2:]]
            small = F.interpolate(x, small, mode="bicubic", antialias=True)
            x = F.interpolate(small, x.shape[-2:], mode="bicubic").clamp(0, 1)
        x = bilinear(x[..., top : top + height, left : left + width], (crop, crop))
        return mirrored(x) if u[2] < a.mirror else x

    return change
