"""Two ways to fit video and recogniser to each other: retrain the recogniser on LR video, or train SR through it.

The first is the paper's Figure 8 (claim C9). The second is what the paper advises against (claim C10); its form here is
that of task-driven super-resolution (Haris, Shakhnarovich and Ukita, 2018).
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import torch
import torch.nn.functional as F
from torch import nn

from arsr import evaluate, paired, processes, records, scores
from arsr.data.snippets import Snippets, to_float
from arsr.training.loop import fit
from arsr.training.recipes import RecogniserRecipe
from arsr.training.tasks import recogniser_task, save_sr
from arsr_core import degrade, losses, recognition, sr
from arsr_core.errors import InputError
from arsr_core.files import sha256
from arsr_core.recognition import Augmentation, augment

OF = 4  # Figure 8's alpha counts the quarters of LR clips
SHARES = tuple(range(OF + 1))
TESTED = {"hr": "hr", "bicubic": "lr", "sosr": "sr", "tosr": "sr"}  # method: Figure 8's name of it


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


def lowered(clip: torch.Tensor) -> torch.Tensor:
    """Figure 8's LR: a clip reduced by four and enlarged by bicubic interpolation, 8 bits: (1, T, 3, H, W)."""
    lr = degrade.to_lr(degrade.modcrop(clip, 4), 4, eight_bit=True)
    return degrade.quantise(degrade.imresize(lr, 4))


def retrain(
    recipe: RecogniserRecipe, data: Mixed, start: str | Path, folder: str | Path, **options: Any
) -> tuple[Path, pandas.DataFrame]:
    """Train a recogniser on, from all its weights, on a mix -> (file of weights, loss curves).

    recipe: for its schedule; the network is that of `start`. options: others of `loop.fit`. Goes on where `folder`
    stopped.
    """
    classes, before = data.hr.classes, evaluate.recogniser(start, data.hr.classes)
    recipe = replace(recipe, backbone=before.arguments["backbone"], dropout=before.arguments["dropout"], imagenet=False)
    task = recogniser_task(replace(recipe, start=()), len(classes))
    net = task["model"]["net"]
    net.load_state_dict(before.state_dict())
    task["recipe"] |= {"share": data.share, "weights": sha256(start)}
    curve = fit(data=data, folder=folder, **task | options)
    about = {"recipe": asdict(recipe), "seed": 0, "protocol": asdict(data.hr.protocol), "share": data.share}
    return recognition.save(net, Path(folder) / "weights.safetensors", classes=classes, **about), curve


def windows(batch: dict[str, torch.Tensor], crop: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Crops of HR snippets as they are, and their LR: (N, S, 3, crop, crop), (N S, 3, crop / 4, crop / 4)."""
    random = torch.Generator().manual_seed(torch.initial_seed())  # the loop seeds every step
    whole = to_float(batch["rgb"])  # (N, S, 3, H, W)
    window = Augmentation(scales=(crop / min(whole.shape[-2:]),))  # not resized: LR is what `degrade` makes
    hr = augment(whole, crop=crop, generator=random, augmentation=window)
    return hr, degrade.to_lr(hr.flatten(0, 1), 4, eight_bit=True)


def end_to_end(
    batch: dict[str, torch.Tensor], network: nn.Module, *, recogniser: nn.Module, weight: float, crop: int
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """L = L_MSE(sr, hr) + weight * cross-entropy of the recogniser's consensus on sr; the recogniser is frozen.

    batch: HR snippets and labels, as `Snippets` gives them; LR is made of each crop. weight 0 is the control: all the
    same, the cross-entropy is only logged.
    """
    hr, lr = windows(batch, crop)
    flat, made = hr.flatten(0, 1), network(lr)
    with torch.set_grad_enabled(weight > 0):
        consensus = recogniser(made.clamp(0, 1).unflatten(0, hr.shape[:2]))
        recognised = F.cross_entropy(consensus, batch["label"])
    pixel = losses.mse(made, flat)
    return pixel + weight * recognised, {"pixel": pixel, "recognition": recognised}


def fit_end_to_end(
    method: str,
    start: str | Path,
    judge: str | Path,
    data: Snippets,
    folder: str | Path,
    *,
    weight: float = 0.1,
    rate: float = 2e-4,
    **options: Any,
) -> tuple[Path, pandas.DataFrame]:
    """Train the network of a method on through a recogniser (`end_to_end`) -> (file of weights, loss curves).

    weight: of the cross-entropy. options: steps and batch, and others of `loop.fit`.
    """
    seen = evaluate.recogniser(judge, data.classes).to(processes.this().device).eval().requires_grad_(False)
    network = sr.load(method, start).requires_grad_(True)
    loss = partial(end_to_end, recogniser=seen, weight=weight, crop=data.protocol.crop)
    recipe = {"weight": weight, "rate": rate, "start": sha256(start), "judge": sha256(judge)}
    curve = fit(network, data, loss=loss, rate=rate, clip=1.0, folder=folder, recipe=recipe, **options)
    return save_sr(network, Path(folder) / "weights.safetensors"), curve


# What follows from the scores --------------------------------------------------------------------------------


def retrained(
    frames: Mapping[int | str, pandas.DataFrame], key: str, provenance: records.Provenance
) -> list[records.Record]:
    """KEY.STREAM.TESTED.SHARE: accuracies; KEY.STREAM.TESTED.4.to_SHARE: all LR against each other share, paired.

    frames: scores by the share of LR that the recogniser was trained on, or by another name.
    """
    found = []
    kinds = frames[OF][["stream", "method"]].drop_duplicates().itertuples(index=False)
    for stream, method in kinds:
        rows = {share: scores.select(f, stream=stream, method=method) for share, f in frames.items()}
        where, tested = f"{key}.{stream}.{TESTED[method]}", TESTED[method].upper()
        for share, of in rows.items():
            text = f"accuracy on {tested}, {stream} stream trained with LR in {share} of {OF} clips"
            text = text if share in SHARES else f"accuracy on {tested}, {stream} stream, {share}"
            found.append(scores.accuracy(of).record(f"{where}.{share}", text, provenance))
            if share != OF and share in SHARES:
                text = f"tested on {tested}, {stream} stream, trained on LR alone less LR in {share} of {OF} clips"
                found += scores.compare(rows[OF], of, f"{where}.{OF}.to_{share}", text, provenance)
    return found


def transferred(
    frames: Mapping[str, Mapping[str, pandas.DataFrame]], key: str, provenance: records.Provenance
) -> list[records.Record]:
    """What end-to-end training gains over its control, with the recogniser it was trained on and with the other one.

    frames: by recogniser, of two, then by network; each recogniser's name is also that of the network trained on it,
    beside "control" and others. KEY.NETWORK.on.RECOGNISER: accuracy; KEY.A.own.to_control.*, KEY.A.other.to_control.*:
    gain, paired; KEY.A.own.to_other.{accuracy,log-probability}: the first less the second, clip by clip.
    """
    found, gains = [], {}
    (first, *_), *_ = (rows.values() for rows in frames.values())
    for judge, rows in frames.items():
        rows = {name: scores.aligned(first, of)[1] for name, of in rows.items()}  # all have the same clips
        for name, of in rows.items():
            text = f"accuracy, network {name}, recogniser {judge}"
            found.append(scores.accuracy(of).record(f"{key}.{name}.on.{judge}", text, provenance))
            if name in frames:
                side = "own" if name == judge else "other"
                text = f"network trained end to end on {name} less its control, recogniser {judge}"
                found += scores.compare(of, rows["control"], f"{key}.{name}.{side}.to_control", text, provenance)
                gains[name, side] = [value(of) - value(rows["control"]) for _, value in scores.BY_CLIP.values()]
    for name in frames:
        for (measure, (unit, _)), own, other in zip(
            scores.BY_CLIP.items(), gains[name, "own"], gains[name, "other"], strict=True
        ):
            text = f"{measure}: gain of end-to-end training with its own recogniser, {name}, less that with the other"
            where, less = f"{key}.{name}.own.to_other.{measure}", paired.means(own - other)
            found.append(records.difference(where, less, unit, len(own), text, provenance))
    return found
