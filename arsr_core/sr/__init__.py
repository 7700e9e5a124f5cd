"""Super-resolution x4: the networks that the paper compares, built at their size or smaller, loaded, run on clips.

>>> sr = upscale(load("vdsr", "vdsr.safetensors"), clip)  # (N, T, 3, H, W) -> (N, T, 3, 4H, 4W)
"""

import lazy_loader

FILES = {
    "building": ("build", "interpolate", "load"),
    "methods": ("METHODS", "OURS", "STARTS", "Method"),
    "upscaling": ("upscale",),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=FILES)
