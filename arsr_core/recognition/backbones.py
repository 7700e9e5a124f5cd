"""The feature extractors behind the recognisers, each with what it wants its input to be."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from arsr_core.errors import InputError
from arsr_core.recognition.bn_inception import BNInception
from arsr_core.recognition.lite import Lite

STILL = 128 / 255  # no motion, in flow coded with 8 bits


@dataclass(frozen=True)
class Backbone:
    """Called with a number of input channels: a network with fresh weights, (N, channels, H, W) -> (N, features)."""

    name: str
    build: Callable[[int], nn.Module]
    features: int
    mean: tuple[float, float, float]  # of RGB in [0, 1]: input = (x - mean) / std; that of flow is STILL
    std: tuple[float, float, float]
    flow_std: float
    parts: tuple[str, ...] = ()  # in the order of the data, for `freeze`
    multiple: int = 1  # sides of the input are multiples of it
    residual: bool = False  # torchvision's ResNet inside: two units a stage at least, which ST-ResNet couples

    def __call__(self, channels: int) -> nn.Module:
        return self.build(channels)

    def normalisation(self, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation to take from RGB (3 channels) or a flow stack: each (channels, 1, 1)."""
        mean, std = (self.mean, self.std) if channels == 3 else ((STILL,) * channels, (self.flow_std,) * channels)
        return torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)


def _resnet(name: str, channels: int) -> nn.Module:
    import torchvision

    model = getattr(torchvision.models, name)()
    if channels != 3:
        model.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.fc = nn.Identity()
    return model


def _squeezenet(channels: int) -> nn.Module:
    import torchvision

    model = torchvision.models.squeezenet1_1()
    if channels != 3:
        model.features[0] = nn.Conv2d(channels, 64, 3, 2)
        nn.init.kaiming_uniform_(model.features[0].weight)
    model.classifier = nn.AdaptiveAvgPool2d(1)
    return model


def _efficientnet_lite0(channels: int) -> nn.Module:
    import timm

    return timm.create_model("tf_efficientnet_lite0", in_chans=channels, num_classes=0)


_CAFFE = dict(mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255,) * 3, flow_std=1 / 255)  # levels of 0 to 255
_IMAGENET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), flow_std=0.226)
_RESNET = dict(parts=("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"), residual=True, **_IMAGENET)
_SQUEEZENET = dict(parts=tuple(f"features.{i}" for i in (0, 3, 4, 6, 7, 9, 10, 11, 12)), **_IMAGENET)  # fire2 to fire9
_LITE0 = dict(parts=("conv_stem", "bn1", *(f"blocks.{i}" for i in range(7)), "conv_head", "bn2"))
_LITE0 |= dict(mean=(127 / 255,) * 3, std=(128 / 255,) * 3, flow_std=128 / 255)

BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone("bn_inception", BNInception, 1024, multiple=32, **_CAFFE),
        Backbone("resnet18", partial(_resnet, "resnet18"), 512, **_RESNET),
        Backbone("resnet50", partial(_resnet, "resnet50"), 2048, **_RESNET),
        Backbone("efficientnet_lite0", _efficientnet_lite0, 1280, **_LITE0),
        Backbone("squeezenet1_1", _squeezenet, 512, **_SQUEEZENET),
        Backbone("lite", Lite, 96, residual=True, **_IMAGENET),
    )
}


def backbone(name: str) -> Backbone:
    """The entry of BACKBONES; InputError for an unknown name."""
    if name not in BACKBONES:
        raise InputError(f"no backbone {name!r}; expected one of {', '.join(BACKBONES)}")
    return BACKBONES[name]


def first_conv(model: nn.Module) -> tuple[str, nn.Conv2d]:
    """The convolution that sees the input, with its name."""
    return next(pair for pair in model.named_modules() if isinstance(pair[1], nn.Conv2d))


def cross_modality(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """TSN's first layer for flow from the RGB one: the mean over RGB, for every channel of the stack.

    weight: (outputs, 3, k, k) -> (outputs, channels, k, k).
    """
    return weight.mean(1, keepdim=True).repeat(1, channels, 1, 1)
