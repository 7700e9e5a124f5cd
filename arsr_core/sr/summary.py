"""What a network is made of: shapes, parameters and multiply-adds, read off the network itself."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from arsr_core.sr import METHODS, build

SIZE = (16, 20)  # of the LR frame: small and quick; costs a pixel change little with it (borders, RCAN's attention)


def shapes(name: str, size: tuple[int, int] = SIZE) -> list[dict[str, str | int]]:
    """Top-level parts of a method's network for an LR frame of `size` (H, W), in the order of the forward pass.

    Each has: part, output (shape without the batch), calls, parameters.

    >>> list(shapes("esrgan")[0].values())
    ['conv_first', '64 × 16 × 20', 1, 1792]
    """
    model, x = _fresh(name, size)
    names: dict[nn.Module, str] = {}
    for part, module in model.named_children():
        inner = module.named_children() if isinstance(module, nn.ModuleList) else [("", module)]
        names |= {child: f"{part}.{number}".rstrip(".") for number, child in inner}
    rows: dict[nn.Module, dict] = {}

    def note(module: nn.Module, inputs: tuple, output: torch.Tensor | tuple) -> None:
        output = output[0] if isinstance(output, tuple) else output
        parameters = sum(p.numel() for p in module.parameters())
        row = rows.setdefault(module, {"part": names[module], "output": "", "calls": 0, "parameters": parameters})
        row["output"] = " × ".join(map(str, output.shape[1:]))
        row["calls"] += 1

    for module in names:
        module.register_forward_hook(note)
    with torch.inference_mode():
        model(x)
    return list(rows.values())


def cost(name: str, size: tuple[int, int] = SIZE) -> tuple[int, float]:
    """Parameters, and multiply-adds of the convolutions and products for one pixel of the SR frame.

    >>> cost("esrgan")[0]
    16697987
    """
    model, x = _fresh(name, size)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        pixels = model(x)[0, 0].numel()
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() / 2 / pixels


def _fresh(name: str, size: tuple[int, int]) -> tuple[nn.Module, torch.Tensor]:
    frames = METHODS[name].frames
    return build(name).eval(), torch.rand(1, 3, *size) if frames == 1 else torch.rand(1, frames, 3, *size)
