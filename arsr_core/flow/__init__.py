"""Optical flow: TV-L1, which recognisers see, and all that is done with flow.

Flow is (N, 2, H, W) float, channel 0 = u (x, to the right), 1 = v (y, down), in pixels of its own grid. A name loads
its file when it is first asked for, so that a loss which warps needs no flow method, no video and no OpenCV.
"""

import lazy_loader

FILES = {
    "coding": ("encode_uint8", "stack"),
    "colour": ("to_rgb", "wheel"),
    "estimation": ("BACKENDS", "PRESETS", "TVL1", "tvl1"),
    "extraction": ("extract",),
    "files": ("read", "write"),
    "masks": ("motion_boundary", "occlusion", "reliable"),
    "methods": ("METHODS", "estimate", "stream"),
    "warping": ("speed", "warp"),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=FILES)
