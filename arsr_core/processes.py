"""The processes that `torchrun` or `accelerate launch` started, of which this is one."""

from __future__ import annotations

import torch


def this(device: str | torch.device | None = None):
    """This process among its like: an accelerate.PartialState, with its rank, its device, and barriers.

    device: where it is to compute; None: on the accelerator, if there is one. The first call settles it for good.
    """
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    cpu = not torch.accelerator.is_available() if device is None else torch.device(device).type == "cpu"
    # accelerate lets processes on CPUs think themselves alone, unless it is told that CPUs are meant
    return PartialState(cpu=cpu or parse_flag_from_env("ACCELERATE_USE_CPU"))
