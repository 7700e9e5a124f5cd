"""ST-ResNet: two residual networks of which the motion one gates the appearance one.

Feichtenhofer, Pinz and Wildes, "Spatiotemporal Residual Networks", NIPS 2016, and "Spatiotemporal Multiplier Networks",
CVPR 2017, whose multiplicative connections the paper uses.
"""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from arsr_core.errors import InputError, checked, require
from arsr_core.recognition.backbones import backbone as find_backbone
from arsr_core.recognition.recogniser import Recogniser
from arsr_core.recognition.tsn import TSN

STAGES = ("layer1", "layer2", "layer3", "layer4")


class STResNet(Recogniser):
    """Scores of a video by stream: rgb (N, S, 3, H, W), flow (N, S, 2 flow_frames, H, W) -> dict of (N, classes).

    "spatial", "temporal" and "fused" scores, before softmax; input as `TSN` takes it, both of the same S snippets.

    As the authors' code has it: in each of the four stages, what the first unit of the motion stream gives multiplies
    what the first unit of the appearance stream gives before its ReLU; the product enters the residual branch of the
    appearance stream's second unit, not its shortcut. In the same unit of both streams a convolution over three
    snippets, initialised as the identity, precedes the branch's last convolution. The last features take the maximum
    over windows of `frames` snippets (the length of a training clip), then the mean over the picture; scores are
    averaged over the windows.

    The appearance stream sees motion: "spatial" names the stream, as in the paper's tables. Our readings: the trained
    fusion sub-network is one linear layer on the features of both streams, begun as the sum of their scores (the
    authors' option of a single softmax); in ResNet-18 and `lite` the temporal convolution precedes the second 3x3; flow
    stacks have five fields as TSN's, where the authors take ten (flow_frames=10). Training: cross-entropy on each of
    the three scores.

    dropout: before the classifiers of (spatial, temporal). Start from two trained streams with `from_streams`.
    """

    stream = "both"

    @checked
    def __init__(
        self,
        classes: int,
        backbone: str = "resnet50",
        frames: int = 5,
        dropout: tuple[float, float] = (0.0, 0.8),
        flow_frames: int = 5,
    ):
        dropout = tuple(dropout)
        super().__init__(classes, backbone=backbone, frames=frames, dropout=dropout, flow_frames=flow_frames)
        kind = find_backbone(backbone)
        if not kind.residual:
            raise InputError(f"STResNet: {backbone} is no ResNet; expected resnet18, resnet50 or lite")
        if not isinstance(frames, int) or frames < 1 or len(dropout) != 2:
            raise InputError(f"STResNet: expected frames from 1 and two dropouts, got {frames} and {dropout}")
        self.frames = frames
        self.spatial = TSN(classes, "rgb", backbone, dropout[0], flow_frames)
        self.temporal = TSN(classes, "flow", backbone, dropout[1], flow_frames)
        self.spatial_time, self.temporal_time = (
            nn.ModuleList(TemporalConv(_last(getattr(stream.backbone, stage)[1]).in_channels) for stage in STAGES)
            for stream in (self.spatial, self.temporal)
        )
        self.fusion = nn.Linear(2 * kind.features, classes)
        self._begin_fusion()

    @classmethod
    def from_streams(cls, spatial: TSN, temporal: TSN, frames: int = 5) -> "STResNet":
        """Begin with two trained streams, as the authors do: same classes, same backbone, one of each modality."""
        first, second = spatial.arguments, temporal.arguments
        if any(first[key] != second[key] for key in ("classes", "backbone")):
            raise InputError(f"STResNet: expected streams of one kind, got {first} and {second}")
        if (spatial.modality, temporal.modality) != ("rgb", "flow"):
            raise InputError(f"STResNet: expected rgb and flow, got {spatial.modality} and {temporal.modality}")
        dropout = (first["dropout"], second["dropout"])
        model = cls(first["classes"], first["backbone"], frames, dropout, second["flow_frames"])
        model.spatial.load_state_dict(spatial.state_dict())
        model.temporal.load_state_dict(temporal.state_dict())
        model._begin_fusion()
        model.classes = spatial.classes
        return model

    def forward(self, rgb: torch.Tensor, flow: torch.Tensor) -> dict[str, torch.Tensor]:
        """(N, S, 3, H, W), (N, S, 2 flow_frames, H, W) in [0, 1] -> spatial, temporal, fused: each (N, classes)."""
        require("STResNet", rgb=(rgb, "N S 3 H W"), flow=(flow, f"N S {self.temporal.channels} H W"))
        n, s = rgb.shape[:2]
        a, m = self.spatial.normalise(rgb), self.temporal.normalise(flow)  # (N S, C, H, W): appearance, motion
        a, m = _stem(self.spatial.backbone, a), _stem(self.temporal.backbone, m)
        for stage, a_time, m_time in zip(STAGES, self.spatial_time, self.temporal_time, strict=True):
            look, move = (getattr(stream.backbone, stage) for stream in (self.spatial, self.temporal))  # their units
            a, m = _unit(look[0], a), _unit(move[0], m).relu_()
            a = (a.relu() + _branch(look[1], a * m, lambda x, conv=a_time: conv(x, s))).relu_()
            m = (m + _branch(move[1], m, lambda x, conv=m_time: conv(x, s))).relu_()
            a, m = look[2:](a), move[2:](m)
        a, m = self._pool(a, n, s), self._pool(m, n, s)  # (N, windows, features)
        scores = {
            "spatial": self.spatial.fc(self.spatial.dropout(a)),
            "temporal": self.temporal.fc(self.temporal.dropout(m)),
            "fused": self.fusion(torch.cat([a, m], -1)),
        }
        return {name: score.mean(1) for name, score in scores.items()}

    def streams(self) -> Iterator[tuple[str, nn.Module]]:
        """("rgb", the appearance backbone), ("flow", that of motion)."""
        yield "rgb", self.spatial.backbone
        yield "flow", self.temporal.backbone

    def _pool(self, x: torch.Tensor, n: int, s: int) -> torch.Tensor:
        """(N S, C, H, W) -> (N, windows, C): maximum over `frames` snippets at stride 1, mean over the picture."""
        x, length = x.unflatten(0, (n, s)), min(self.frames, s)
        return torch.stack([x[:, i : i + length].amax(1).mean((2, 3)) for i in range(s - length + 1)], 1)

    @torch.no_grad()
    def _begin_fusion(self) -> None:
        self.fusion.weight.copy_(torch.cat([self.spatial.fc.weight, self.temporal.fc.weight], 1))
        self.fusion.bias.copy_(self.spatial.fc.bias + self.temporal.fc.bias)


class TemporalConv(nn.Module):
    """Convolution over three snippets at each pixel, with zeros beyond the ends, begun as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        nn.init.dirac_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor, snippets: int) -> torch.Tensor:
        """(N S, C, H, W) -> the same, mixed over each clip's S snippets."""
        h, w = x.shape[-2:]
        x = x.unflatten(0, (-1, snippets)).transpose(1, 2).flatten(3)  # (N, C, S, H W)
        return self.conv(x).transpose(1, 2).unflatten(3, (h, w)).flatten(0, 1)  # (N S, C, H, W)


def _stem(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return net.maxpool(net.relu(net.bn1(net.conv1(x))))


def _unit(unit: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A residual unit without its last ReLU."""
    return _branch(unit, x) + (x if unit.downsample is None else unit.downsample(x))


def _branch(unit: nn.Module, x: torch.Tensor, time: Callable | None = None) -> torch.Tensor:
    """The residual branch of torchvision's BasicBlock or Bottleneck; `time` acts on the input of its last layer."""
    x = unit.relu(unit.bn1(unit.conv1(x)))
    if hasattr(unit, "conv3"):
        x = unit.relu(unit.bn2(unit.conv2(x)))
    x = _last(unit)(x if time is None else time(x))
    return unit.bn3(x) if hasattr(unit, "conv3") else unit.bn2(x)


def _last(unit: nn.Module) -> nn.Conv2d:
    return unit.conv3 if hasattr(unit, "conv3") else unit.conv2
