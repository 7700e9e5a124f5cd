"""Occlusion and motion boundaries on flow that is known in closed form."""

import math

import pytest
import torch

from arsr_core import flow
from arsr_core.errors import InputError


def uniform(u, v, h=24, w=32):
    return torch.tensor([u, v]).double().view(1, 2, 1, 1).expand(1, 2, h, w)


def rotation(angle, h=40, w=40):
    """The flow of a turn about the centre by `angle`, exact: (R - 1) (p - c)."""
    y, x = torch.meshgrid(torch.arange(h).double() - (h - 1) / 2, torch.arange(w).double() - (w - 1) / 2, indexing="ij")
    c, s = math.cos(angle) - 1, math.sin(angle)
    return torch.stack((c * x - s * y, s * x + c * y))[None]


def two_layers(h=24, w=40, shift=4):
    """A square, columns 10 to 19, moves right by `shift` before a still ground: (forward, backward)."""
    forward, backward = torch.zeros(1, 2, h, w), torch.zeros(1, 2, h, w)
    forward[:, 0, :, 10:20], backward[:, 0, :, 10 + shift : 20 + shift] = shift, -shift
    return forward, backward


def test_consistent_flow_is_not_occluded():
    assert not flow.occlusion(uniform(3, -2), uniform(-3, 2)).any()
    there, back = rotation(0.1), rotation(-0.1)
    inside = flow.warp(back, there)[1]
    assert not flow.occlusion(there, back)[inside].any()


def test_threshold_of_occlusion():
    # |w + f|^2 against 0.01 (|w|^2 + |f|^2) + 0.5: f = (10, 0), w = (-10 + d, 0)
    d = (-0.2 + (0.2**2 + 4 * 0.99 * 2.5) ** 0.5) / (2 * 0.99)  # d^2 = 0.01 ((10 - d)^2 + 100) + 0.5
    assert not flow.occlusion(uniform(10, 0), uniform(-10 + 0.999 * d, 0)).any()
    assert flow.occlusion(uniform(10, 0), uniform(-10 + 1.001 * d, 0)).all()
    assert not flow.occlusion(uniform(0, 0), uniform(0.7, 0)).any()  # 0.49 < 0.0049 + 0.5
    assert flow.occlusion(uniform(0, 0), uniform(0.72, 0)).all()


def test_covered_ground_is_occluded():
    forward, backward = two_layers()
    occluded = flow.occlusion(forward, backward)
    assert occluded.shape == (1, 1, 24, 40) and occluded.dtype == torch.bool
    expected = torch.zeros(40, dtype=torch.bool)
    expected[20:24] = True  # where the square arrives; what it uncovers is not yet seen in the first frame
    assert torch.equal(occluded, expected.expand(1, 1, 24, 40))


def test_boundary_lies_before_each_step():
    boundary = flow.motion_boundary(two_layers()[0])
    expected = torch.zeros(40, dtype=torch.bool)
    expected[[9, 19]] = True  # difference to the next pixel
    assert torch.equal(boundary, expected.expand(1, 1, 24, 40))
    tall = flow.motion_boundary(two_layers()[0].transpose(2, 3))
    assert torch.equal(tall, boundary.transpose(2, 3))


def test_threshold_of_boundary():
    step = uniform(0, 0).clone()
    for size, expected in ((0.0447, False), (0.0448, True)):  # 0.002 ** 0.5 = 0.04472, before the 0.01 |f|^2
        step[:, 1, :, 16:] = size
        assert flow.motion_boundary(step)[..., 15].all() == expected
    step[:, 0] = 3  # 0.01 * 9 + 0.002: the faster, the more may differ
    assert not flow.motion_boundary(step).any()


def test_rotation_has_boundaries_only_when_fast():
    # |grad u|^2 + |grad v|^2 = 4 (1 - cos a), about 2 a^2; at the centre |f| is nothing
    assert not flow.motion_boundary(rotation(0.031)).any()
    fast = flow.motion_boundary(rotation(0.033))
    assert fast[..., 18:21, 18:21].all()
    assert not fast[..., 0, 0].any()  # far out |f| is 0.9 px


def test_reliable_is_neither():
    forward, backward = two_layers()
    mask = flow.reliable(forward, backward)
    assert torch.equal(~mask, flow.occlusion(forward, backward) | flow.motion_boundary(forward))
    assert mask.float().mean() == (40 - 6) / 40  # columns 9, 19 and 20 to 23


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees():
    forward, backward = two_layers()
    assert torch.equal(flow.reliable(forward.cuda(), backward.cuda()).cpu(), flow.reliable(forward, backward))


@pytest.mark.parametrize(
    "call",
    [
        lambda: flow.occlusion(uniform(0, 0), uniform(0, 0, w=30)),
        lambda: flow.occlusion(uniform(0, 0)[0], uniform(0, 0)[0]),
        lambda: flow.motion_boundary(torch.zeros(1, 3, 4, 4)),
        lambda: flow.motion_boundary(torch.zeros(1, 2, 4, 4, dtype=torch.int32)),
        lambda: flow.motion_boundary(None),
    ],
)
def test_bad_input(call):
    with pytest.raises(InputError, match=r"expected float flow \(N, 2, H, W\).*; got"):
        call()
