"""The small backbone for embedded clips: a slim ResNet that a CPU trains in minutes."""

import torch
from torch import nn

WIDTHS = (16, 32, 64, 96)


class Lite(nn.Module):
    """(N, channels, H, W) -> (N, 96) features, pooled over the picture; layers named as torchvision's ResNet.

    A ResNet-18 of a quarter of the width and less, whose first convolution is 5x5: 486,608 parameters at 3 channels.
    """

    def __init__(self, channels: int = 3):
        from torchvision.models.resnet import BasicBlock

        super().__init__()
        self.conv1 = nn.Conv2d(channels, WIDTHS[0], 5, 2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        width = WIDTHS[0]
        for i, outputs in enumerate(WIDTHS, 1):
            stride = 1 if i == 1 else 2
            shortcut = None
            if i > 1:
                shortcut = nn.Sequential(nn.Conv2d(width, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))
            units = BasicBlock(width, outputs, stride, shortcut), BasicBlock(outputs, outputs)
            self.add_module(f"layer{i}", nn.Sequential(*units))
            width = outputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W), normalised -> (N, 96)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 16, H/4, W/4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (N, 96, H/32, W/32)
        return x.mean((2, 3))
