"""Optical flow: TV-L1 as the recogniser's own tools compute it, and all that is done with flow.

Flow is (N, 2, H, W) float, channel 0 = u (x, to the right), 1 = v (y, down), in pixels of its own grid.
"""

from arsr_core.colour import to_grey
from arsr_core.flow.coding import decode_uint8, encode_uint8, stack
from arsr_core.flow.colour import to_rgb, wheel
from arsr_core.flow.estimation import BACKENDS, PRESETS, TVL1, tvl1
from arsr_core.flow.extraction import extract
from arsr_core.flow.files import read, write
from arsr_core.flow.masks import motion_boundary, occlusion, reliable
from arsr_core.flow.methods import METHODS, estimate, stream
from arsr_core.flow.warping import warp

__all__ = [
    "BACKENDS",
    "METHODS",
    "PRESETS",
    "TVL1",
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
