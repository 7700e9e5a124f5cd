"""Scores of what was trained in several ways: which study shows them, and what a page calls them.

A file KIND-DATASET.parquet says what was trained in its rows' method, in their network, or in both.
"""

import re
from collections.abc import Iterator

import pandas as pd

from arsr.names import title
from arsr_core.errors import InputError

KINDS = {  # of files, in the page's order; with a part: of what is a study of its own
    "ablation": "losses and training",
    "joint": "one network for both streams",
    "frontier": "between fidelity and looks",
    "turns-own": "trained in turns, each by its own recogniser",
    "turns-original": "trained in turns, by the original recogniser",
    "turns-unseen": "trained in turns, by a recogniser that none has met",
    "retraining-retrained": "recognisers that learnt from LR",
    "retraining-lite": "trained end to end, by the lite recogniser",
    "retraining-efficientnet": "trained end to end, by EfficientNet",
    "published": "networks with their authors' weights",
    "rivals": "recognisers that learnt from LR or SR",
}
NAMES = {  # beside `names.METHODS`
    "vdsr-wmse-feature": "VDSR with WMSE and features",
    "esrgan-wmse-feature": "RRDBNet with WMSE and features",
    "control": "pixels alone",
    "features": "with features",
    "recogniser": "with a recogniser that learns",
    "both": "in turns",
    "start": "SRResNet, the start",
    "lite": "through the lite TSN",
    "efficientnet": "through EfficientNet",
}


def words(method: str) -> str:
    """What a page calls a method, a step on a path to it, one of several trainings, what its recogniser learnt from.

    >>> words("vdsr-mse-seed1"), words("srgan-0.25"), words("both-seed0")
    ('VDSR with MSE, training 2', 'SRGAN, α = 0.25', 'in turns, training 1')
    >>> words("bicubic@4"), words("hr@shipped"), words("sosr@sr"), words("sosr+tosr")
    ('bicubic, LR in 4 of 4', 'HR, TSN as shipped', 'SoSR, TSN of SR', 'SoSR+ToSR')
    """
    name, _, learnt = method.partition("@")
    name, _, seed = name.partition("-seed")
    if step := re.fullmatch(r"(.+)-([\d.]+)", name):
        name, more = step[1], [f"\N{GREEK SMALL LETTER ALPHA} = {step[2]}"]
    else:
        more = [f"training {int(seed) + 1}"] if seed else []
    if learnt:
        kinds = {"shipped": "TSN as shipped", "lr": "TSN of LR", "sr": "TSN of SR"}
        more.append(kinds.get(learnt, f"LR in {learnt} of 4"))
    return ", ".join([NAMES.get(name, title(name)), *more])


def place(kind: str, network: str, method: str) -> tuple[str, str]:
    """What a row's study is named by, its network or a part of the file, and its method there; no study: ("", "").

    >>> place("turns", "unseen-both-seed1", "srgan"), place("turns", "tsn", "both-seed1@unseen")
    (('unseen', 'both-seed1'), ('unseen', 'both-seed1'))
    >>> place("retraining", "retrained-4", "bicubic"), place("retraining", "end-to-end-lite-references", "hr")
    (('retrained', 'bicubic@4'), ('lite', 'hr'))
    >>> place("ablation", "st-resnet", "vdsr-mse"), place("retraining", "end-to-end-lite-lite-seen", "srgan")
    (('st-resnet', 'vdsr-mse'), ('', ''))
    """
    if kind not in ("turns", "retraining"):
        return network, method
    if "@" in method:
        trained, _, judge = method.partition("@")
        return judge, trained
    part, _, trained = network.removeprefix("end-to-end-").partition("-")
    if part == "retrained":
        return part, f"{method}@{trained}"
    if trained.endswith("-seen"):  # training clips
        return "", ""
    return part, method if trained == "references" else trained


def parted(kind: str, rows: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    """The studies of a file: their name's end, network, what they are about, and their rows, of one set of clips."""
    places = [place(kind, *row) for row in zip(rows["network"], rows["method"], strict=True)]
    rows = rows.assign(part=[part for part, _ in places], method=[method for _, method in places])
    if kind == "turns":  # where the recogniser stays, the original one is the network's own
        known = {"hr", "bicubic", *rows.loc[rows["part"] == "own", "method"]}
        stays = rows[(rows["part"] == "original") & ~rows["method"].isin(known)]
        rows = pd.concat([rows, stays.assign(part="own")])
    for part, of in rows[rows["part"] != ""].groupby("part"):
        name = kind if kind in KINDS else f"{kind}-{part}"
        if name not in KINDS:
            raise InputError(f"scores of {kind}: {part} given, which no study is named by; expected {', '.join(KINDS)}")
        network, about = part if kind in KINDS else "tsn", KINDS[name]
        clips = of.groupby("stream")["clip"].agg(frozenset)
        if clips.nunique() == 1:
            yield part, network, about, of
        else:  # nothing can be fused
            for stream, its in of.groupby("stream"):
                yield f"{part}-{stream}", network, f"{about}, {stream}", its
