"""The processes that torchrun or `accelerate launch` started, of which this is one."""

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from arsr_core.devices import device


def this(name: str | torch.device | None = None) -> PartialState:
    """This process among its like: an accelerate.PartialState, with its rank, its device, and barriers.

    name: of the device, as `device` takes it. The first call settles it for good; InputError for one that is not here.
    """
    cpu = device(name).type == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU")
    return PartialState(cpu=cpu)  # not told that CPUs are meant, each process would think itself alone
