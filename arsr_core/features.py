"""The frozen ImageNet networks whose features `losses.FeatureLoss` compares, cut where the papers read them."""

from pathlib import Path

import torch
from torch import nn

from arsr_core.errors import InputError, checked
from arsr_core.weights import State, fill, read

Features = tuple[str, nn.Module, tuple[float, ...], tuple[float, ...]]  # title, phi, and its input's mean and std


@checked
def load(network: str) -> Features:
    """A network of NETWORKS by name, or "auto"; see `losses.FeatureLoss`."""
    if network == "auto":
        network = "vgg19" if _vgg19_file().is_file() else "efficientnet_lite0"
    if network not in NETWORKS:
        raise InputError(f"FeatureLoss: no network {network!r}; expected auto or one of {', '.join(NETWORKS)}")
    return NETWORKS[network]()


def _vgg19() -> Features:
    path = _vgg19_file()
    if not path.is_file():
        raise InputError(
            f"{path}: no VGG19 weights there; copy torchvision's (574 MB), or take network='efficientnet_lite0', "
            "whose weights come with a Python package"
        )
    from torchvision.models import vgg19

    with torch.device("meta"):  # no memory filled, no random number drawn
        phi = vgg19().features[:35]  # up to conv5_4; its ReLU is 35
    fill(phi, _part(read(path), "features."), where=str(path), remedy="take torchvision's vgg19")
    return "VGG19 conv5_4", phi, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _vgg19_file() -> Path:
    """Where torchvision's own download would lie."""
    return Path(torch.hub.get_dir()) / "checkpoints" / "vgg19-dcbb9e9d.pth"


def _lite0() -> Features:
    from arsr_core.recognition import public
    from arsr_core.recognition.backbones import BACKBONES

    kind, path = BACKBONES["efficientnet_lite0"], public.efficientnet_lite0_file()
    with torch.device("meta"):
        network = kind(3)
    fill(network, _part(public.read(path)[1], "backbone."), where=str(path), remedy=public.REMEDY)
    phi = nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:5])
    return "EfficientNet-Lite0 blocks.4", phi, kind.mean, kind.std


def _part(state: State, prefix: str) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


NETWORKS = {"vgg19": _vgg19, "efficientnet_lite0": _lite0}
