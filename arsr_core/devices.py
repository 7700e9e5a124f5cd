"""Where to compute."""

from __future__ import annotations

import torch

from arsr_core.errors import InputError


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
