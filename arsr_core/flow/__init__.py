"""Optical flow: TV-L1 as the recogniser's own tools compute it, backward warping, the colour wheel.

Flow is (N, 2, H, W) float, channel 0 = u (x, to the right), 1 = v (y, down), in pixels of its own grid.
"""

from .colour import to_rgb, wheel
from .estimation import BACKENDS, PRESETS, TVL1, to_grey, tvl1
from .warping import warp

__all__ = ["BACKENDS", "PRESETS", "TVL1", "to_grey", "to_rgb", "tvl1", "warp", "wheel"]
