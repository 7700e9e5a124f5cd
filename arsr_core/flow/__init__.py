"""Optical flow: TV-L1 as the recogniser's own tools compute it, and all that is done with flow.

Flow is (N, 2, H, W) float, channel 0 = u (x, to the right), 1 = v (y, down), in pixels of its own grid.
"""

from .cache import Cache, cache_key
from .coding import decode_uint8, encode_uint8, stack
from .colour import to_rgb, wheel
from .estimation import BACKENDS, PRESETS, TVL1, to_grey, tvl1
from .extraction import extract
from .files import read, write
from .masks import motion_boundary, occlusion, reliable
from .methods import METHODS, estimate, stream
from .warping import warp

__all__ = [
    "BACKENDS",
    "METHODS",
    "PRESETS",
    "TVL1",
    "Cache",
    "cache_key",
    "decode_uint8",
    "encode_uint8",
    "estimate",
    "extract",
    "motion_boundary",
    "occlusion",
    "read",
    "reliable",
    "stack",
    "stream",
    "to_grey",
    "to_rgb",
    "tvl1",
    "warp",
    "wheel",
    "write",
]
