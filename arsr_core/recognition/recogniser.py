"""What TSN and ST-ResNet share: how they are described, and what TSN's way of fine-tuning needs."""

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from arsr_core.errors import InputError, checked
from arsr_core.recognition.backbones import backbone, first_conv


class Recogniser(nn.Module):
    """arguments: what builds the network again; classes: their names in the order of the scores, where known.

    stream: "spatial", "temporal" or "both"; metadata: what its file says of it.
    """

    stream: str

    def __init__(self, classes: int, **arguments: object):
        super().__init__()
        if not isinstance(classes, int) or not 1 <= classes <= 100_000:
            raise InputError(f"{type(self).__name__}: expected a number of classes from 1 to 100,000, got {classes!r}")
        self.arguments = {"classes": classes, **arguments}
        self.classes: tuple[str, ...] | None = None
        self.metadata: dict = {}
        self.partial_bn = False
        self.frozen: list[nn.Module] = []  # parts that training leaves as they are

    def streams(self) -> Iterator[tuple[str, nn.Module]]:
        """("rgb" or "flow", its backbone), one or both."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> "Recogniser":
        """As any module, but for what `partial_bn` and `freeze` hold still."""
        super().train(mode)
        if mode and self.partial_bn:
            for norm in _later_norms(self):
                norm.eval()
        for part in self.frozen:
            part.eval()
        return self


@checked
def freeze(model: Recogniser, parts: int) -> Recogniser:
    """The first `parts` of each backbone's `Backbone.parts` keep their weights and statistics, from now on."""
    for _, net in model.streams():
        names = backbone(model.arguments["backbone"]).parts
        if not 0 <= parts <= len(names):
            raise InputError(f"freeze: expected 0 to {len(names)} parts of {model.arguments['backbone']}, got {parts}")
        model.frozen += [net.get_submodule(name).requires_grad_(False) for name in names[:parts]]
    return model.train(model.training)


@checked
def partial_bn(model: Recogniser) -> Recogniser:
    """TSN's partial batch normalisation, from now on: all but each backbone's first keep statistics, scale and shift.

    For fine-tuning ImageNet weights on small sets; a network that starts from random weights needs them all.
    """
    model.partial_bn = True
    for norm in _later_norms(model):
        norm.requires_grad_(False)
    return model.train(model.training)


@checked
def parameter_groups(model: Recogniser, rate: float, decay: float, first: float = 5) -> list[dict]:
    """TSN's groups for an optimiser: biases learn twice as fast and do not decay, norms do not decay, and the first
    convolution of a flow stream learns `first` times as fast (its bias twice that). Frozen parameters are left out.
    """
    fast = {id(p) for modality, net in model.streams() if modality == "flow" for p in first_conv(net)[1].parameters()}
    groups: dict[tuple[float, float], list[torch.Tensor]] = defaultdict(list)
    for module in model.modules():
        norm = isinstance(module, _BatchNorm)
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                bias = name == "bias" and not norm
                speed = rate * (first if id(parameter) in fast else 1) * (2 if bias else 1)
                groups[speed, 0.0 if bias or norm else decay].append(parameter)
    return [{"params": group, "lr": lr, "weight_decay": decay} for (lr, decay), group in groups.items()]


def _later_norms(model: Recogniser) -> Iterator[nn.Module]:
    for _, net in model.streams():
        yield from [module for module in net.modules() if isinstance(module, _BatchNorm)][1:]
