"""Prepacked bfloat16 convolutions against torch's own."""

import pytest
import torch
from torch import nn

from arsr_core.sr.packed import Packed, packs

SHAPES = {
    "plain": dict(kernel_size=3, padding=1),
    "no bias": dict(kernel_size=3, padding=1, bias=False),
    "strided": dict(kernel_size=5, padding=2, stride=2),
    "pointwise": dict(kernel_size=1),
    "dilated": dict(kernel_size=(3, 1), padding=(2, 0), dilation=(2, 1)),
    "grouped": dict(kernel_size=3, groups=4),
}


@pytest.mark.skipif(not packs(nn.Conv2d(1, 1, 1)), reason="needs a CPU on which oneDNN multiplies bfloat16")
@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
@torch.inference_mode()
def test_a_packed_convolution_is_torchs_under_autocast_and_exact_without(options):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 12, **options)
    packed = Packed(conv)
    for size in ((9, 11), (4, 20)):  # pieces of a frame differ in size
        x = torch.rand(2, 8, *size)
        assert torch.equal(packed(x), conv(x))
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(packed(x), conv(x), atol=2**-8, rtol=2**-7)  # half a unit in the last place


def test_what_is_no_plain_convolution_stays():
    class Special(nn.Conv2d):
        pass

    others = nn.Conv2d(1, 1, 3, padding="same"), nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")
    others += Special(1, 1, 1), nn.Conv3d(1, 1, 1), nn.ConvTranspose2d(1, 1, 1), nn.ReLU()
    assert not any(map(packs, others))
