"""Optical flow: TV-L1 as the recogniser's own tools compute it, and all that is done with flow.

Flow is (N, 2, H, W) float, channel 0 = u (x, to the right), 1 = v (y, down), in pixels of its own grid. A name loads
its file when it is first asked for, so that a loss which warps needs no flow method, no video and no OpenCV.
"""

from importlib import import_module

FILES = {
    "coding": ("encode_uint8", "stack"),
    "colour": ("to_rgb", "wheel"),
    "estimation": ("BACKENDS", "PRESETS", "TVL1", "tvl1"),
    "extraction": ("extract",),
    "files": ("read", "write"),
    "masks": ("motion_boundary", "occlusion", "reliable"),
    "methods": ("METHODS", "estimate", "stream"),
    "vectors": ("speed",),
    "warping": ("warp",),
}
__all__ = sorted(name for names in FILES.values() for name in names)


def __getattr__(name: str) -> object:
    """A public name, from its file (PEP 562)."""
    for file, names in FILES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{file}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for completion."""
    return __all__
