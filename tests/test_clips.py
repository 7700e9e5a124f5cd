"""Clips of one shape, whatever was cut out."""

import numpy as np
import pytest

from arsr.data import clips


def _clip(height, width):
    """Frame t is grey level 10 t, but for a bright column in the middle."""
    frames = np.repeat(np.arange(0, 60, 10, dtype=np.uint8), height * width * 3).reshape(6, height, width, 3)
    frames[:, :, width // 2 - 4 : width // 2 + 4] = 255
    return clips.Clip("one", "hug", 1, "fold1", lambda: frames)


@pytest.mark.parametrize("height, width", [(96, 96), (96, 160), (150, 100), (200, 300)])
def test_square(height, width):
    made = clips.square(_clip(height, width), side=48, every=2)
    frames = made.read()
    assert frames.shape == (3, 48, 48, 3) and frames.dtype == np.uint8
    assert frames[:, 0, 0, 0].tolist() == [0, 20, 40]  # every second frame
    bright = frames[0, 24, :, 0] > 128
    assert (
        bright[24] and bright[23] and abs(np.flatnonzero(bright).mean() - 23.5) < 0.6
    )  # the centre stays in the centre
    assert (made.name, made.action, made.label, made.group) == ("one", "hug", 1, "fold1")
