"""BN-Inception (Ioffe and Szegedy, ICML 2015, Figure 5), the backbone of TSN."""

import torch
import torch.nn.functional as F
from torch import nn

# Widths as TSN's model files have them: pool projections of 4c and 4d are 128 where the paper prints 96.
UNITS = {  # 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, kind of pool, pool projection; stride 2 without a 1x1
    "3a": (64, 64, 64, 64, 96, "mean", 32),
    "3b": (64, 64, 96, 64, 96, "mean", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "mean", 128),
    "4b": (192, 96, 128, 96, 128, "mean", 128),
    "4c": (160, 128, 160, 128, 160, "mean", 128),
    "4d": (96, 128, 192, 160, 192, "mean", 128),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "mean", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}


class BNInception(nn.Module):
    """(N, channels, H, W), sides multiples of 32 -> (N, 1024) features, pooled over the picture.

    10,270,240 parameters at 3 channels. The layers bear the names under which the weights circulate in PyTorch
    (`inception_3a_double_3x3_1_bn.weight`), hence one flat module.
    """

    def __init__(self, channels: int = 3):
        super().__init__()
        self._add("conv1_7x7_s2", channels, 64, 7, stride=2)
        self._add("conv2_3x3_reduce", 64, 64, 1)
        self._add("conv2_3x3", 64, 192, 3)
        width = 192
        for unit, (one, reduce, three, double_reduce, double, _, projection) in UNITS.items():
            name, stride = f"inception_{unit}", 1 if one else 2
            if one:
                self._add(f"{name}_1x1", width, one, 1)
            self._add(f"{name}_3x3_reduce", width, reduce, 1)
            self._add(f"{name}_3x3", reduce, three, 3, stride)
            self._add(f"{name}_double_3x3_reduce", width, double_reduce, 1)
            self._add(f"{name}_double_3x3_1", double_reduce, double, 3)
            self._add(f"{name}_double_3x3_2", double, double, 3, stride)
            if projection:
                self._add(f"{name}_pool_proj", width, projection, 1)
            width = one + three + double + (projection or width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W), normalised -> (N, 1024)."""
        x = _halve(self._run("conv1_7x7_s2", x))  # (N, 64, H/4, W/4)
        x = _halve(self._run("conv2_3x3", self._run("conv2_3x3_reduce", x)))  # (N, 192, H/8, W/8)
        for unit in UNITS:
            x = self._unit(unit, x)
        return x.mean((2, 3))

    def _unit(self, unit: str, x: torch.Tensor) -> torch.Tensor:
        name, (one, *_, kind, _) = f"inception_{unit}", UNITS[unit]
        three = self._run(f"{name}_3x3", self._run(f"{name}_3x3_reduce", x))
        double = self._run(f"{name}_double_3x3_1", self._run(f"{name}_double_3x3_reduce", x))
        double = self._run(f"{name}_double_3x3_2", double)
        if not one:
            return torch.cat([three, double, _halve(x)], 1)
        pool = F.avg_pool2d(x, 3, 1, padding=1) if kind == "mean" else F.max_pool2d(x, 3, 1, padding=1)
        return torch.cat([self._run(f"{name}_1x1", x), three, double, self._run(f"{name}_pool_proj", pool)], 1)

    def _add(self, name: str, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        self.add_module(name, nn.Conv2d(inputs, outputs, size, stride, padding=size // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs))

    def _run(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return F.relu_(self.get_submodule(f"{name}_bn")(self.get_submodule(name)(x)))


def _halve(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 3, 2, ceil_mode=True)
