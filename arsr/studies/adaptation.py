"""Two ways to fit video and recogniser to each other: retrain the recogniser on LR video, or train SR through it.

The first is the paper's Figure 8 (claim C9). The second is what the paper advises against (claim C10); its form here is
that of task-driven super-resolution (Haris, Shakhnarovich and Ukita, 2018).
"""

from functools import partial
from pathlib import Path
from typing import Any

import pandas
import torch
import torch.nn.functional as F
from torch import nn

from arsr import processes
from arsr.data.snippets import Snippets, to_float
from arsr.training.loop import fit
from arsr.training.tasks import save_sr
from arsr_core import degrade, losses, recognition, sr
from arsr_core.errors import InputError
from arsr_core.files import sha256
from arsr_core.recognition import Augmentation, augment

OF = 4  # Figure 8's alpha counts the quarters of LR clips
SHARES = tuple(range(OF + 1))


class Mixed(torch.utils.data.Dataset):
    """Figure 8's training data, LR : HR = share : (4 - share).

    hr, lr: the same clips in the same order. Which of them are LR changes from epoch to epoch, so that after four each
    one was seen `share` times in LR. Runs of as many clips as there are classes are LR or HR together: where the
    classes take turns, as in embedded clips, they have equal shares.
    """

    def __init__(self, hr: Snippets, lr: Snippets, share: int):
        if [row["name"] for row in hr.rows] != [row["name"] for row in lr.rows] or share not in SHARES:
            given = f"{len(hr.rows)} and {len(lr.rows)} clips, share {share}"
            raise InputError(f"Mixed: expected one list of clips and a share of 0 to {OF}, got {given}")
        self.hr, self.lr, self.share = hr, lr, share

    def __len__(self) -> int:
        return len(self.hr)

    def __getitem__(self, visit: int) -> dict:
        epoch, number = divmod(visit, len(self))
        low = (number // len(self.hr.classes) + epoch) % OF < self.share
        return (self.lr if low else self.hr)[visit]


def end_to_end(
    batch: dict[str, torch.Tensor], network: nn.Module, *, recogniser: nn.Module, weight: float, crop: int
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """L = L_MSE(sr, hr) + weight * cross-entropy of the recogniser's consensus on sr; the recogniser is frozen.

    batch: HR snippets and labels, as `Snippets` gives them; LR is made of each crop. weight 0 is the control: all the
    same, the cross-entropy is only logged.
    """
    random = torch.Generator().manual_seed(torch.initial_seed())  # the loop seeds every step
    whole = to_float(batch["rgb"])  # (N, S, 3, H, W)
    window = Augmentation(scales=(crop / min(whole.shape[-2:]),))  # crops as they are: LR is what `degrade` makes
    hr = augment(whole, crop=crop, generator=random, augmentation=window)
    flat = hr.flatten(0, 1)
    made = network(degrade.to_lr(flat, 4, eight_bit=True))
    with torch.set_grad_enabled(weight > 0):
        consensus = recogniser(made.clamp(0, 1).unflatten(0, hr.shape[:2]))
        recognised = F.cross_entropy(consensus, batch["label"])
    pixel = losses.mse(made, flat)
    return pixel + weight * recognised, {"pixel": pixel, "recognition": recognised}


def fit_end_to_end(
    method: str,
    start: str | Path,
    recogniser: str | Path,
    data: Snippets,
    folder: str | Path,
    *,
    weight: float,
    rate: float = 2e-4,
    **options: Any,
) -> tuple[Path, pandas.DataFrame]:
    """Train the network of a method on through a recogniser (`end_to_end`) -> (file of weights, loss curves).

    options: steps and batch, and others of `loop.fit`.
    """
    judge = recognition.load(recogniser, processes.this().device, classes=data.classes).eval().requires_grad_(False)
    network = sr.load(method, start).requires_grad_(True)
    loss = partial(end_to_end, recogniser=judge, weight=weight, crop=data.protocol.crop)
    recipe = {"weight": weight, "rate": rate, "start": sha256(start), "judge": sha256(recogniser)}
    curve = fit(network, data, loss=loss, rate=rate, clip=1.0, folder=folder, recipe=recipe, **options)
    return save_sr(network, Path(folder) / "weights.safetensors"), curve
