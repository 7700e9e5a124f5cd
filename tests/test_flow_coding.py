"""8-bit coding as TSN's tool does it, and the stacks of the temporal stream."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import flow
from arsr_core.errors import InputError


def cv_round(x):
    """OpenCV's cvRound: to the nearest whole number, halves to the even one; written out."""
    below = math.floor(x)
    if x - below == 0.5:
        return below + below % 2
    return math.floor(x + 0.5)


@settings(max_examples=200, deadline=None)
@given(st.floats(-60, 60, width=32), st.sampled_from([20, 15, 1.5]))
def test_levels_are_those_of_tsns_tool(value, bound):
    level = 255 if value > bound else 0 if value < -bound else cv_round(255 * (value + bound) / (bound + bound))
    assert flow.encode_uint8(torch.tensor([value]), bound).item() == level


def test_halves_go_to_the_even_level():
    middles = torch.tensor([k + 0.5 for k in range(255)], dtype=torch.float64) * 40 / 255 - 20  # between two levels
    exact = middles[(255 * (middles + 20) / 40) % 1 == 0.5]
    assert len(exact) > 50  # the others miss the middle by their last bit
    assert (flow.encode_uint8(exact) % 2 == 0).all()
    assert flow.encode_uint8(torch.zeros(1)).item() == 128


def test_stack_interleaves_x_and_y():
    motion = torch.arange(2 * 9 * 2).view(2, 9, 2, 1, 1).expand(2, 9, 2, 3, 4)  # a number for each (n, t, axis)
    stacks = flow.stack(motion, [0, 4], frames=5)
    assert stacks.shape == (2, 2, 10, 3, 4)
    assert stacks[0, 0, :, 0, 0].tolist() == list(range(10))  # x1 y1 x2 y2 ...
    assert stacks[0, 1, :, 0, 0].tolist() == list(range(8, 18))
    assert stacks[1, 0, :, 0, 0].tolist() == list(range(18, 28))
    assert flow.stack(motion.byte(), torch.tensor([3])).dtype == torch.uint8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees():
    motion = 30 * torch.randn(1, 7, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    encoded = flow.encode_uint8(motion.cuda())
    assert torch.equal(encoded.cpu(), flow.encode_uint8(motion))
    assert torch.equal(flow.stack(encoded, [0, 2]).cpu(), flow.stack(encoded.cpu(), [0, 2]))


motion = torch.zeros(1, 6, 2, 4, 4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: flow.encode_uint8(motion, bound=0), "bound must be positive"),
        (lambda: flow.encode_uint8(motion.int()), "expected float flow .* got int32"),
        (lambda: flow.encode_uint8(motion / 0), "nan"),
        (lambda: flow.stack(motion[0], [0]), r"\(N, T-1, 2, H, W\)"),
        (lambda: flow.stack(motion, [2]), r"starts from 0 to 1, got \[2\]"),
        (lambda: flow.stack(motion, []), "starts from 0 to 1"),
        (lambda: flow.stack(motion, [0], frames=7), "expected 7 flows or more, of 8 frames; got 6"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_speed_is_the_length_of_each_vector():
    field = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 2, 3)
    assert flow.speed(field).shape == (1, 1, 2, 3) and (flow.speed(field) == 5).all()
    clip = torch.randn(2, 7, 2, 4, 5, dtype=torch.float64)
    assert torch.allclose(flow.speed(clip), torch.linalg.vector_norm(clip, dim=2, keepdim=True), rtol=1e-15)
