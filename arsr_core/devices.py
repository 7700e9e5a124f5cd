"""Where to compute, and what is there to compute with."""

import os
from pathlib import Path

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


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 faster than float32: a GPU that has it, a CPU with AMX.

    AVX-512's bfloat16 alone (measured on a Xeon without AMX) takes 1.6 times as long as float32.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16"))


def memory(device: torch.device, root: Path = Path("/")) -> int:
    """Bytes: a GPU's that are free, or the machine's, or fewer where a control group or ulimit allows fewer."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    import resource  # not on every system

    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), resource.getrlimit(resource.RLIMIT_AS)[0]]
    groups = root / "proc/self/cgroup"
    for line in groups.read_text().splitlines() if groups.is_file() else ():
        _, controllers, group = line.split(":", 2)  # "0::/a/b" of version 2, "4:memory:/a/b" of version 1
        if controllers in ("", "memory"):
            folder = root / "sys/fs/cgroup" / controllers / group.lstrip("/")
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            limits = [place / name for place in (folder, *folder.parents) if (place / name).is_file()]
            found += [int(text) for text in (file.read_text().strip() for file in limits) if text != "max"]
    return min(n for n in found if n > 0)  # ulimit's -1: no limit


def require_memory(what: str, needed: float, device: torch.device, remedy: str) -> None:
    """InputError where something would take more than three quarters of the memory there is."""
    if needed > 0.75 * (there := memory(device)):
        raise InputError(f"{what} would take {needed / 2**30:.1f} GiB, {there / 2**30:.1f} GiB are there; {remedy}")
