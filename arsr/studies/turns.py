"""Super-resolution and its recogniser trained in turns, as SR4IR trains them for pictures (Kim, Oh and Lee, CVPR 2024).

Every step has two turns. The network learns HR's pixels and what the recogniser, frozen, makes of them: the features
before its classifier. Then the recogniser learns the class from HR, from SR, and from patches of both side by side.
The factorial control leaves out either: `weight` 0 takes the features from the first turn, `seeing` False the second.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas
import torch
import torch.nn.functional as F
from torch import nn

from arsr import processes, scores
from arsr.data.snippets import Snippets
from arsr.records import Provenance, Record
from arsr.studies.adaptation import windows
from arsr.training.loop import fit
from arsr.training.tasks import Batch, Logged, Networks, save_sr
from arsr_core import recognition, sr
from arsr_core.errors import InputError
from arsr_core.files import sha256

PATCHES = 4  # in a row, and rows, of a mix
ARMS = {  # of the factorial: the features' part in the loss, and whether the recogniser learns
    "control": (0.0, False),
    "features": (1.0, False),
    "recogniser": (0.0, True),
    "both": (1.0, True),
}


def features(recogniser: recognition.TSN, x: torch.Tensor) -> torch.Tensor:
    """What the classifier of a recogniser sees: (N, S, 3, H, W) in [0, 1] -> (N S, features)."""
    return recogniser.backbone(recogniser.normalise(x))


def showing(batch: Batch, nets: Networks, *, judge: nn.Module, weight: float, crop: int) -> Logged:
    """The network's turn: L1 of the pixels + weight * L1 of the recogniser's features, the recogniser frozen.

    -> (loss, its terms). judge: the recogniser; it is in evaluation mode here, in the other turn in training.
    """
    judge.eval().requires_grad_(False)
    hr, lr = windows(batch, crop)
    made = nets["network"](lr)
    pixel = F.l1_loss(made, hr.flatten(0, 1))
    with torch.no_grad():
        wanted = features(judge, hr)
    with torch.set_grad_enabled(weight > 0):
        task = F.l1_loss(features(judge, made.clamp(0, 1).unflatten(0, hr.shape[:2])), wanted)
    return pixel + weight * task, {"pixel": pixel, "features": task}


def seeing(batch: Batch, nets: Networks, *, judge: nn.Module, trained: Sequence[nn.Parameter], crop: int) -> Logged:
    """The recogniser's turn: mean cross-entropy of its consensus on HR, on SR, and on a mix -> (loss, its terms)."""
    judge.train()
    for parameter in trained:
        parameter.requires_grad_(True)
    hr, lr = windows(batch, crop)
    with torch.no_grad():
        made = nets["network"](lr).clamp(0, 1).unflatten(0, hr.shape[:2])
    shown = {"hr": hr, "sr": made, "mix": mixed(hr, made)}
    terms = {f"entropy {name}": F.cross_entropy(judge(x), batch["label"]) for name, x in shown.items()}
    return sum(terms.values()) / len(terms), terms


def mixed(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Patches of a and b, 4 x 4 a clip, each from either by the toss of a coin: (N, S, 3, H, W)."""
    random = torch.Generator().manual_seed(torch.initial_seed())
    coins = torch.randint(2, (len(a), 1, PATCHES, PATCHES), generator=random).to(a)
    return torch.where(F.interpolate(coins, a.shape[-2:])[:, None] > 0, a, b)


def fit_in_turns(
    method: str,
    start: str | Path,
    recogniser: str | Path,
    data: Snippets,
    folder: str | Path,
    *,
    weight: float = 1.0,
    recogniser_learns: bool = True,
    rate: float = 1e-4,
    recogniser_rate: float = 1e-3,
    **options: Any,
) -> tuple[Path, Path, pandas.DataFrame]:
    """Train the network of a method and a spatial TSN on, in turns -> (files of both, loss curves).

    weight: of the features. recogniser_learns: False leaves the recogniser as it is; what its own training froze stays
    so in any case. options: steps and batch, and others of `loop.fit`. Raises InputError for several processes, and for
    a recogniser that sees no frames.
    """
    state, crop = processes.this(), data.protocol.crop
    if state.num_processes > 1:
        raise InputError(f"{state.num_processes} processes given; turns are trained in one: start it without launcher")
    network = sr.load(method, start).requires_grad_(True)
    judge = recognition.load(recogniser, state.device, classes=data.classes)
    if getattr(judge, "stream", "") != "spatial":
        raise InputError(f"{recogniser}: expected the spatial stream of a TSN, which sees the frames")
    recipe = {"method": method, "weight": weight, "learns": recogniser_learns, "rates": [rate, recogniser_rate]}
    recipe |= {"start": sha256(start), "judge": sha256(recogniser)}
    nets = {"network": network}
    loss = {"network": partial(showing, judge=judge, weight=weight, crop=crop)}
    optimizer = {"network": torch.optim.Adam(network.parameters(), rate)}
    if recogniser_learns:
        nets["recogniser"] = judge.requires_grad_(True)
        before = judge.metadata.get("recipe", {})
        if before.get("partial_bn"):
            recognition.partial_bn(judge)
        recognition.freeze(judge, before.get("frozen", 0))
        trained = [parameter for parameter in judge.parameters() if parameter.requires_grad]
        loss["recogniser"] = partial(seeing, judge=judge, trained=trained, crop=crop)
        optimizer["recogniser"] = torch.optim.SGD(trained, recogniser_rate, momentum=0.9, weight_decay=1e-4)
    curve = fit(nets, data, loss=loss, optimizer=optimizer, clip=1.0, folder=folder, recipe=recipe, **options)
    file = Path(folder) / "recogniser.safetensors"
    about = {"protocol": judge.metadata.get("protocol"), "recipe": recipe}
    recognition.save(judge.requires_grad_(True), file, classes=data.classes, **about)
    return save_sr(network, Path(folder) / "weights.safetensors"), file, curve


def recorded(
    frames: Mapping[str, Mapping[str, Sequence[pandas.DataFrame]]],
    key: str,
    provenance: Provenance,
    *,
    groups: str | None = None,
) -> list[Record]:
    """What each arm comes to: its accuracy, KEY.ARM.on.JUDGE, and its gain, KEY.ARM.JUDGE.to_control.*.

    frames: scores by judge, then by arm, of each training. A judge is `own`, what the arm's recogniser became;
    `original`, what it was, which is the control's own; or one that no arm has seen. Accuracies are those of the first
    training; contrasts are over clips and trainings. groups: as `scores.accuracy` has it.
    """
    found = []
    for judge, arms in frames.items():
        for name, rows in arms.items():
            text = f"accuracy, trained in turns: {name}, recogniser {judge}"
            found.append(scores.accuracy(rows[0], groups=groups).record(f"{key}.{name}.on.{judge}", text, provenance))
            if name != "control":
                text = f"trained in turns: {name} less the control, recogniser {judge}"
                found += scores.compare(rows, arms["control"], f"{key}.{name}.{judge}.to_control", text, provenance)
    return found
