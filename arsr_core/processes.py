"""Where to compute: a device, and the processes that torchrun or `accelerate launch` started, of which this is one."""

from __future__ import annotations

import torch

from . import InputError


def device(name: str | torch.device | None = None) -> torch.device:
    """A CPU or CUDA device by name; None: "cuda" where there is one, else "cpu". InputError for one that is not here.

    >>> device("cpu")
    device(type='cpu')
    """
    found = torch.cuda.device_count()
    try:
        chosen = torch.device(name if name is not None else "cuda" if found else "cpu")
    except (RuntimeError, TypeError):
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise InputError(f"expected device as 'cpu', 'cuda' or 'cuda:0'; got {str(name)!r}")
    if chosen.type == "cuda" and (chosen.index or 0) >= found:
        raise InputError(f"device {chosen} was asked for, but torch finds {found} CUDA devices; give 'cpu'")
    return chosen


def this(name: str | torch.device | None = None):
    """This process among its like: an accelerate.PartialState, with its rank, its device, and barriers.

    name: of the device, as above. The first call settles it for good.
    """
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    cpu = device(name).type == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU")
    return PartialState(cpu=cpu)  # not told that CPUs are meant, each process would think itself alone
