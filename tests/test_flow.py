"""flow: TV-L1 on known motion, warping and colours by hand."""

import dataclasses
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import flow, metrics
from arsr_core.colour import to_grey
from arsr_core.errors import InputError


def textured(h=64, w=80, seed=0):
    """A smooth random RGB texture (h, w, 3), float32 in [0, 1]."""
    noise = np.random.default_rng(seed).random((h, w, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def moved(u, v):
    """Two frames cut from one texture: what is at p in the first is at p + (u, v) in the second."""
    image = textured()
    frame0, frame1 = image[8:56, 8:72], image[8 - v : 56 - v, 8 - u : 72 - u]
    return tuple(torch.from_numpy(x.copy()).permute(2, 0, 1)[None] for x in (frame0, frame1))


# --- TV-L1


@pytest.mark.parametrize("preset", flow.PRESETS)
@pytest.mark.parametrize("u, v", [(2, 0), (0, -2), (-3, 1), (0, 0)])
def test_tvl1_finds_known_translation(u, v, preset):
    ours = flow.tvl1(*moved(u, v), **flow.PRESETS[preset])
    assert ours.shape == (1, 2, 48, 64) and ours.dtype == torch.float32
    inner = ours[..., 6:-6, 6:-6]
    reference = torch.tensor([u, v]).float().view(1, 2, 1, 1).expand_as(inner)
    assert metrics.epe(inner, reference).item() < 0.1


def test_tvl1_is_opencv_on_grey_frames():
    frame0, frame1 = moved(1, 1)
    grey = [
        cv2.cvtColor((x[0].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8), cv2.COLOR_RGB2GRAY)
        for x in (frame0, frame1)
    ]
    theirs = cv2.optflow.DualTVL1OpticalFlow_create().calc(*grey, None)
    assert np.array_equal(flow.tvl1(frame0, frame1, backend="opencv")[0].permute(1, 2, 0).numpy(), theirs)


@pytest.mark.parametrize("backend", sorted(flow.BACKENDS))
def test_tvl1_parameters_reach_the_backend(backend):
    tvl1 = partial(flow.tvl1, *moved(2, 1), backend=backend)
    reference = tvl1()
    fast = tvl1(**flow.PRESETS["fast"])
    assert torch.equal(tvl1(**flow.PRESETS["reference"]), reference)
    assert torch.equal(tvl1(warps=2), fast) and not torch.equal(fast, reference)
    changed = {"tau": 0.1, "lambda_": 0.05, "theta": 0.5, "scales": 1, "warps": 1, "epsilon": 0.2}
    changed |= {"inner": 3, "outer": 2, "scale_step": 0.5, "median": 1}
    assert set(changed) == {f.name for f in dataclasses.fields(flow.TVL1)}
    for name, value in changed.items():
        assert not torch.equal(tvl1(**{name: value}), reference), name


def test_tvl1_defaults_are_opencvs():
    theirs = cv2.optflow.DualTVL1OpticalFlow_create()
    names = "Tau Lambda Theta ScalesNumber WarpingsNumber Epsilon InnerIterations OuterIterations ScaleStep"
    values = [getattr(theirs, f"get{name}")() for name in [*names.split(), "MedianFiltering"]]
    assert list(dataclasses.astuple(flow.TVL1())) == values


def test_tvl1_batch_workers_and_uint8_agree():
    pairs = [moved(1, 0), moved(0, 2), moved(-1, 1)]
    frame0, frame1 = (torch.cat(x) for x in zip(*pairs, strict=True))
    for backend in flow.BACKENDS:
        loop = torch.cat([flow.tvl1(*pair, warps=1, backend=backend) for pair in pairs])
        assert torch.equal(flow.tvl1(frame0, frame1, warps=1, backend=backend), loop)
        assert torch.equal(flow.tvl1(frame0, frame1, warps=1, workers=2, backend=backend), loop)
    loop = flow.tvl1(frame0, frame1, warps=1)
    eight_bit = [(x * 255 + 0.5).to(torch.uint8) for x in (frame0, frame1)]
    assert torch.equal(flow.tvl1(*eight_bit, warps=1), loop)
    assert flow.tvl1(frame0[:0], frame1[:0]).shape == (0, 2, 48, 64)


def test_grey_is_opencvs_on_a_grid_of_colours():
    levels = torch.arange(0, 256, 5, dtype=torch.uint8)
    rgb = torch.cartesian_prod(levels, levels, levels)  # (K, 3)
    theirs = cv2.cvtColor(rgb.numpy()[None], cv2.COLOR_RGB2GRAY)[0]
    bgr = cv2.cvtColor(rgb.numpy()[None, :, ::-1].copy(), cv2.COLOR_BGR2GRAY)[0]
    frames = rgb.T.reshape(1, 3, 1, -1)
    assert np.array_equal(theirs, bgr)
    for x in (frames, frames / 255, (frames / 255).double(), frames / 255 + 0.4 / 255):
        assert np.array_equal(to_grey(x).flatten().numpy(), theirs)
    assert to_grey(torch.tensor([-0.3, 1.4]).expand(1, 3, 1, 2)).flatten().tolist() == [0, 255]


# --- warp


def test_warp_integer_shift_and_validity():
    image = torch.arange(30.0).view(1, 1, 5, 6)
    shift = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 5, 6)
    warped, valid = flow.warp(image, shift)
    torch.testing.assert_close(warped[0, 0, 1:, :4], image[0, 0, :4, 2:], rtol=0, atol=1e-4)
    assert valid.shape == (1, 1, 5, 6) and valid.dtype == torch.bool
    assert valid[0, 0, 1:, :4].all() and valid.sum() == 16
    torch.testing.assert_close(warped[0, 0, 0, :], image[0, 0, 0, [2, 3, 4, 5, 5, 5]])  # nearest border value


def test_warp_follows_the_contract():
    frame0, frame1 = moved(2, -1)  # flow from 0 to 1 is (2, -1)
    motion = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 48, 64)
    warped, valid = flow.warp(frame1, motion)
    torch.testing.assert_close(warped * valid, frame0 * valid, rtol=0, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.floats(-1.9, 1.9), st.floats(-1.9, 1.9))
def test_warp_of_plane_is_exact(u, v):
    # bilinear interpolation reproduces a + b x + c y
    y, x = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
    plane = (0.3 + 0.5 * x.double() - 0.2 * y.double())[None, None]
    motion = torch.tensor([u, v], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 7, 9)
    warped, valid = flow.warp(plane, motion)
    expected = plane + 0.5 * u - 0.2 * v
    assert valid[0, 0, 2:-2, 2:-2].all()
    torch.testing.assert_close(warped[valid], expected[valid], rtol=0, atol=1e-12)


def test_warp_bilinear_weights_and_batch():
    image = torch.tensor([[[[0.0, 1.0], [2.0, 5.0]]], [[[1.0, 1.0], [1.0, 3.0]]]])
    motion = torch.zeros(2, 2, 2, 2)
    motion[:, :, 0, 0] = torch.tensor([0.25, 0.5])
    warped, _ = flow.warp(image, motion)
    # (1-u)(1-v) a + u (1-v) b + (1-u) v c + u v d
    expected = [0.125 * 1 + 0.375 * 2 + 0.125 * 5, 0.375 + 0.125 + 0.375 + 0.125 * 3]
    torch.testing.assert_close(warped[:, 0, 0, 0], torch.tensor(expected))


def test_warp_identity_on_single_pixel_sides():
    for size in ((1, 5), (4, 1), (1, 1)):
        image = torch.rand(2, 3, *size)
        warped, valid = flow.warp(image, torch.zeros(2, 2, *size))
        torch.testing.assert_close(warped, image)
        assert valid.all()


def test_warp_gradient():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 2, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    motion = 0.3 + 0.4 * torch.rand(1, 2, 4, 5, dtype=torch.float64, generator=generator)  # off the kinks
    assert torch.autograd.gradcheck(lambda i, m: flow.warp(i, m)[0], (image, motion.requires_grad_()))


# --- colour


def test_wheel():
    colours = (flow.wheel() * 255).round().int().tolist()
    assert len(colours) == 55
    assert colours[0] == [255, 0, 0] and colours[15] == [255, 255, 0] and colours[21] == [0, 255, 0]
    assert colours[25] == [0, 255, 255] and colours[36] == [0, 0, 255] and colours[49] == [255, 0, 255]
    assert colours[1] == [255, 17, 0] and colours[16] == [213, 255, 0] and colours[54] == [255, 0, 43]


def test_colours_by_hand():
    nan = float("nan")
    vectors = [[0, 0], [2, 0], [1, 0], [4, 0], [-2, 0], [0, 2], [nan, 0], [2e9, 0]]
    rgb = flow.to_rgb(torch.tensor(vectors).T.reshape(1, 2, 1, 8), bound=2) * 255
    expected = [
        [255, 255, 255],  # no motion
        [255, 0, 0],  # right, full length
        [255, 127.5, 127.5],  # right, half
        [191.25, 0, 0],  # beyond the bound: 3/4 as bright
        [0, 209, 255],  # left: position 27 of the wheel, 255 - floor(255 * 2 / 11)
        [255, 229.5, 0],  # down: position 13.5, between 221 and 238
        [0, 0, 0],  # unknown
        [0, 0, 0],
    ]
    torch.testing.assert_close(rgb[0, :, 0].T, torch.tensor(expected), rtol=0, atol=1e-3)


def test_bound_defaults_to_longest_of_the_batch():
    motion = torch.randn(3, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    longest = motion.norm(dim=1).max().item()
    assert torch.equal(flow.to_rgb(motion), flow.to_rgb(motion, bound=longest))
    torch.testing.assert_close(flow.to_rgb(7 * motion), flow.to_rgb(motion), rtol=0, atol=1e-5)
    assert torch.equal(flow.to_rgb(torch.zeros(2, 2, 3, 3)), torch.ones(2, 3, 3, 3))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_colours_stay_in_range(seed, scale):
    motion = scale * torch.randn(2, 2, 6, 7, generator=torch.Generator().manual_seed(seed))
    for bound in (None, 1.0):
        rgb = flow.to_rgb(motion, bound)
        assert rgb.shape == (2, 3, 6, 7) and rgb.min() >= 0 and rgb.max() <= 1


# --- errors

frame, motion = torch.rand(1, 3, 8, 8), torch.zeros(1, 2, 8, 8)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: flow.tvl1(frame, frame, backend="cuda11"),
            "no backend 'cuda11'; expected one of auto, torch, opencv",
        ),
        (lambda: flow.tvl1(frame, frame, warp=2), "no parameter warp; expected some of tau, lambda_"),
        (lambda: flow.tvl1(frame, frame, median=4), "median 1, 3 or 5, got TVL1.*median=4"),
        (lambda: flow.tvl1(frame, frame, scale_step=1.2), "scale_step < 1"),
        (lambda: flow.tvl1(frame, frame, scales=0), "positive"),
        (lambda: flow.tvl1(frame, frame, workers=0), "workers"),
        (lambda: flow.tvl1(frame, frame[..., :7]), r"got float32 \(1, 3, 8, 8\), float32 \(1, 3, 8, 7\)"),
        (lambda: flow.tvl1(frame[0], frame[0]), r"\(N, 3, H, W\).* \(3, 8, 8\)"),
        (lambda: flow.tvl1(frame.int(), frame.int()), "expected float or uint8 frame0 .* got int32"),
        (lambda: flow.warp(frame, motion[..., :7]), r"warp: .*\(1, 3, 8, 8\), float32 \(1, 2, 8, 7\)"),
        (lambda: flow.warp(frame[0], motion), r"image \(N, C, H, W\)"),
        (lambda: flow.warp(frame, motion.double()), "float32 or float64 for both, got float32 .*, float64"),
        (lambda: flow.warp(frame.half(), motion.half()), "float32 or float64 for both, got float16"),
        (lambda: flow.to_rgb(frame), r"\(N, 2, H, W\).* \(1, 3, 8, 8\)"),
        (lambda: flow.to_rgb(motion, bound=0), "bound must be positive"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.shared
def test_tvl1_on_middlebury(shared_data):
    """RubberWhale against its ground truth: 0.17 px measured; a flow of zero is 1.26 px off."""
    folder = shared_data / "flow"
    frame0, frame1 = (
        torch.from_numpy(cv2.imread(str(folder / f"rubberwhale_frame{i}.png"))[..., ::-1].copy())
        .permute(2, 0, 1)
        .unsqueeze(0)
        for i in (0, 1)
    )
    truth = torch.from_numpy(cv2.readOpticalFlow(str(folder / "rubberwhale_gt.flo"))).permute(2, 0, 1)[None]
    known = (truth.abs() < 1e9).all(1, keepdim=True)
    error = metrics.epe(flow.tvl1(frame0, frame1, **flow.PRESETS["fast"]), truth, known).item()
    still = metrics.epe(torch.zeros_like(truth), truth, known).item()
    assert error < 0.2 and 1.2 < still < 1.3
