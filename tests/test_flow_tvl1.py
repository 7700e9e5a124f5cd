"""flow.dual_tvl1: our TV-L1 against OpenCV's, part by part and whole; its kernels against plain torch."""

import os
import subprocess
import sys
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import flow, metrics
from arsr_core.errors import InputError
from arsr_core.flow import dual_tvl1 as ours
from arsr_core.flow import estimation

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def texture(seed, size=(64, 80), softness=2.5):
    """A smooth random grey image in 0..255, float32 (H, W)."""
    noise = np.random.default_rng(seed).random(size, np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), softness), None, 0, 255, cv2.NORM_MINMAX)


def moved(u, v, seed=0):
    """Grey frames (1, 48, 64) cut from one texture: what is at p in the first is at p + (u, v) in the second."""
    image = torch.from_numpy(texture(seed)).round()
    return image[None, 8:56, 8:72], image[None, 8 - v : 56 - v, 8 - u : 72 - u]


def opencv(frame0, frame1, **parameters):
    """OpenCV's flow between grey frames (1, H, W) in 0..255 -> (1, 2, H, W); parameters by OpenCV's names."""
    estimator = cv2.optflow.DualTVL1OpticalFlow_create(**parameters)
    theirs = estimator.calc(*(x[0].byte().numpy() for x in (frame0, frame1)), None)
    return torch.from_numpy(theirs).permute(2, 0, 1)[None]


# --- the parts


@pytest.mark.parametrize("width", [3, 5])
def test_median_is_opencvs(width):
    x = random(2, 2, 17, 23)
    theirs = np.array([[cv2.medianBlur(plane.numpy(), width) for plane in planes] for planes in x])
    for filtered in (ours.median(x, width), ours.middle(x, width)):
        assert np.array_equal(filtered.numpy(), theirs)


@pytest.mark.parametrize("h, w", [(256, 340), (37, 53), (205, 272)])
def test_resize_is_opencvs(h, w):
    x = 255 * random(1, 1, h, w)
    smaller = cv2.resize(x[0, 0].numpy(), None, fx=0.8, fy=0.8)
    assert smaller.shape == (round(0.8 * h), round(0.8 * w))
    larger = cv2.resize(smaller, (w, h))
    first = ours.resize(x, smaller.shape, 1 / 0.8)
    assert np.abs(first[0, 0].numpy() - smaller).max() < 1e-3
    assert np.abs(ours.resize(first, (h, w))[0, 0].numpy() - larger).max() < 1e-3
    assert torch.equal(ours.resize(x, (h, w)), x)


def test_gradient_is_central_with_replicated_borders():
    image = torch.tensor([[0.0, 1, 4], [1, 3, 9], [2, 8, 8]])
    _, x, y = ours.with_gradient(image[None])[0]
    assert x.tolist() == [[0.5, 2, 1.5], [1, 4, 3], [3, 3, 0]]
    assert y.tolist() == [[0.5, 1, 2.5], [1, 3.5, 2], [0.5, 2.5, -0.5]]


def test_warping_is_opencvs_remap():
    image = torch.from_numpy(texture(0, (40, 50)))[None]
    motion = (6 * random(1, 2, 40, 50) * 32).round() / 32  # OpenCV before 5 rounds to these
    target = ours.with_gradient(image)
    y, x = np.mgrid[:40, :50].astype(np.float32)
    maps = x + motion[0, 0].numpy(), y + motion[0, 1].numpy()
    warped, gx, gy = (torch.from_numpy(cv2.remap(c.numpy(), *maps, cv2.INTER_CUBIC)) for c in target[0])
    assert (gx == 0).any()  # beyond the border
    expected = torch.stack((warped - gx * motion[0, 0] - gy * motion[0, 1] - 7, gx, gy))
    found = ours.linearise(torch.full_like(image, 7), target, motion)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


def test_divergence_is_minus_the_adjoint_of_the_gradient():
    x, dual = random(2, 2, 7, 9).double(), random(2, 2, 2, 7, 9, seed=1).double()
    dual[0, ..., -1] = dual[1, ..., -1, :] = 0
    gradient = torch.zeros_like(dual)
    ours.forward_differences(x, out=gradient)
    inner = (x * ours.divergence(dual, out=torch.empty_like(x))).sum()
    torch.testing.assert_close((gradient * dual).sum(), -inner)


# --- the whole


@pytest.mark.parametrize("change", [{}, {"inner": 7, "outer": 2, "median": 3}, {"scales": 3, "scale_step": 0.5}])
def test_few_iterations_are_opencvs(change):
    """With little time for rounding to grow, all is the same to 0.001 px."""
    names = {"inner": "innnerIterations", "outer": "outerIterations", "scales": "nscales"}
    names |= {"scale_step": "scaleStep", "median": "medianFiltering"}
    chosen = {"warps": 1, "inner": 4, "outer": 1, "median": 1, "scales": 2} | change
    theirs = opencv(*moved(2, -1), **{names.get(name, name): value for name, value in chosen.items()})
    found = ours.dual_tvl1(*moved(2, -1), ours.TVL1(**chosen))
    torch.testing.assert_close(found, theirs, rtol=0, atol=1e-3)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31), st.integers(-3, 3), st.integers(-3, 3))
def test_agrees_with_opencv_and_the_truth_on_smooth_images(seed, u, v):
    """80 seeds gave 0.025 px at most over all, 0.007 px within the frame, and 0.01 px from the truth."""
    found, theirs = ours.dual_tvl1(*moved(u, v, seed)), opencv(*moved(u, v, seed))
    assert metrics.epe(found, theirs).item() < 0.05
    found, theirs = (x[..., 8:-8, 8:-8] for x in (found, theirs))  # what leaves the frame is anybody's guess
    assert metrics.epe(found, theirs).item() < 0.02
    assert metrics.epe(found, torch.tensor([u, v]).float().view(1, 2, 1, 1).expand_as(found)).item() < 0.05


def test_every_parameter_reaches_the_solver():
    reference = ours.dual_tvl1(*moved(2, 1))
    changed = {"tau": 0.1, "lambda_": 0.05, "theta": 0.5, "scales": 1, "warps": 1, "epsilon": 0.2}
    changed |= {"inner": 3, "outer": 2, "scale_step": 0.5, "median": 1}
    for name, value in changed.items():
        assert not torch.equal(ours.dual_tvl1(*moved(2, 1), ours.TVL1(**{name: value})), reference), name


def test_a_pair_does_not_see_its_batch():
    """Pairs that stop after few and after many iterations: one by one and together the same bits."""
    pairs = [moved(0, 0), moved(3, -2), moved(1, 0, seed=1)]
    together = ours.dual_tvl1(*(torch.cat(x) for x in zip(*pairs, strict=True)))
    assert torch.equal(together, torch.cat([ours.dual_tvl1(*pair) for pair in pairs]))


def test_a_converged_pair_is_frozen():
    linear, parameters = 20 * random(2, 3, 20, 24), ours.TVL1(inner=5, outer=4, epsilon=0.004)
    linear[0, 0] *= 0.01
    motion, dual = torch.zeros(2, 2, 20, 24), torch.zeros(2, 2, 2, 20, 24)
    quick, slow = ours.solve(motion, dual, linear, parameters).int().tolist()
    assert 1 < quick < slow <= 20
    alone, its_dual = torch.zeros(1, 2, 20, 24), torch.zeros(2, 1, 2, 20, 24)
    ours.solve(alone, its_dual, linear[:1], parameters)
    assert torch.equal(motion[:1], alone) and torch.equal(dual[:, :1], its_dual)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_backends_agree(backend):
    frames = [x[:, None].expand(-1, 3, -1, -1) / 255 for x in moved(2, -1)]
    found = flow.tvl1(*frames, backend=backend)
    assert found.dtype == torch.float32 and found.shape == (1, 2, 48, 64)
    assert metrics.epe(found, flow.tvl1(*frames, backend="opencv")).item() < 0.02
    assert flow.tvl1(frames[0][:0], frames[1][:0], backend=backend).shape == (0, 2, 48, 64)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_workers_change_nothing(backend):
    pairs = [moved(1, 0), moved(0, 2), moved(-1, 1)]
    frames = [torch.cat(x)[:, None].expand(-1, 3, -1, -1).byte() for x in zip(*pairs, strict=True)]
    one, two = (flow.tvl1(*frames, backend=backend, warps=1, workers=n) for n in (1, 2))
    assert torch.equal(one, two)


def test_auto_is_compiled_on_a_cpu_and_plain_without_numba(monkeypatch):
    frames = [x[:, None].expand(-1, 3, -1, -1).byte() for x in moved(1, 0)]
    linearise, solve = estimation.fastest(torch.device("cpu"))
    assert linearise.__module__.endswith("numba") and solve.__module__.endswith("numba")
    monkeypatch.delattr("arsr_core.flow.dual_tvl1_numba")
    monkeypatch.setitem(sys.modules, "arsr_core.flow.dual_tvl1_numba", None)
    assert estimation.fastest(torch.device("cpu")) is None
    assert torch.equal(flow.tvl1(*frames, warps=1), flow.tvl1(*frames, warps=1, backend="torch"))


# --- unusual input


@pytest.mark.parametrize("backend", flow.BACKENDS)
@pytest.mark.parametrize("size", [(16, 16), (16, 45), (33, 20)])
def test_constant_frames_do_not_move(backend, size):
    grey = torch.full((1, 3, *size), 0.4)
    for other in (grey, grey + 0.3):  # brighter, but nothing to see move
        assert torch.equal(flow.tvl1(grey, other, backend=backend), torch.zeros(1, 2, *size))


@pytest.mark.parametrize("backend", flow.BACKENDS)
def test_bad_frames(backend):
    frame = torch.rand(1, 3, 20, 24)
    broken = frame.clone()
    broken[0, 1, 3, 4] = torch.nan
    with pytest.raises(InputError, match="the frames hold NaN"):
        flow.tvl1(frame, broken, backend=backend)
    with pytest.raises(InputError, match="16 px at least, got 15x24"):
        flow.tvl1(frame[..., :15, :], frame[..., :15, :], backend=backend)
    with pytest.raises(InputError, match=r"got float32 \(1, 3, 20, 24\), float32 \(1, 3, 20, 23\)"):
        flow.tvl1(frame, frame[..., :-1], backend=backend)


# --- kernels


@pytest.mark.parametrize("h, w, median", [(16, 20, 5), (16, 17, 1), (17, 24, 3)])
def test_compiled_steps_are_the_plain_ones(h, w, median):
    """As the Triton kernels below; flow that leaves the frame on all sides, pairs that stop at different iterations."""
    steps, plain = estimation.fastest(torch.device("cpu")), (ours.linearise, ours.solve)
    image0, image1 = 255 * random(2, 2, h, w)
    motion, target = 8 * random(2, 2, h, w, seed=1), ours.with_gradient(image1)
    linear, found = (linearise(image0, target, motion) for linearise, _ in (plain, steps))
    torch.testing.assert_close(found, linear, rtol=0, atol=1e-5 * linear.abs().max().item())
    assert (found[:, 1:] == 0).all(1).any()  # beyond the border

    linear[0] *= 0.02  # converges first
    parameters = ours.TVL1(inner=2, outer=2, median=median, epsilon=0.03)
    state = 0.1 * random(2, 2, h, w, seed=2), torch.zeros(2, 2, 2, h, w)
    states = [tuple(x.clone() for x in state) for _ in range(2)]
    counts = [way[1](*s, linear, parameters).int().tolist() for way, s in zip((plain, steps), states, strict=True)]
    assert counts[0] == counts[1] and counts[0][0] <= counts[0][1]
    for a, b in zip(*states, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


INTERPRETED = """
import torch
from arsr_core.flow import dual_tvl1 as plain, dual_tvl1_triton as fused

torch.manual_seed(0)
for (h, w), chunk, median in (((16, 20), 256, 5), ((16, 17), 16, 1), ((17, 24), 1024, 3)):
    fused.CHUNK = 256
    image0, image1 = 255 * torch.rand(2, 2, h, w)
    motion = 8 * torch.randn(2, 2, h, w)
    target = plain.with_gradient(image1)
    linear = plain.linearise(image0, target, motion)
    assert (fused.linearise(image0, target, motion) - linear).abs().max() < 1e-5 * linear.abs().max()

    fused.CHUNK = chunk  # also narrower than a row, and longer than a frame
    linear[0] *= 0.02  # converges first
    parameters = plain.TVL1(inner=2, outer=2, median=median, epsilon=0.03)
    states = [(torch.randn(2, 2, h, w).mul_(0.1), torch.zeros(2, 2, 2, h, w))]
    states.append(tuple(x.clone() for x in states[0]))
    counts = [step(*state, linear, parameters) for step, state in zip((plain.solve, fused.solve), states)]
    assert torch.equal(counts[0].int(), counts[1]), counts
    for a, b in zip(*states):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    print(counts[1].tolist())
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
def test_kernels_interpreted_on_the_cpu():
    """The GPU's kernels, run by Triton's interpreter in a process of its own (it must be chosen before import)."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", INTERPRETED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = [eval(line) for line in done.stdout.splitlines()]
    assert len(counts) == 3 and any(1 < quick < slow for quick, slow in counts), counts


@gpu
def test_gpu_agrees_and_never_waits():
    pairs = [moved(0, 0), moved(3, -2), moved(1, 0, seed=1)]
    frame0, frame1 = (torch.cat(x) for x in zip(*pairs, strict=True))
    reference = ours.dual_tvl1(frame0, frame1)
    frame0, frame1 = frame0.cuda(), frame1.cuda()
    for steps in (estimation.fastest(frame0.device), None):  # kernels, plain torch
        ours.dual_tvl1(frame0, frame1, steps=steps)  # compiles
        torch.cuda.set_sync_debug_mode("error")
        try:
            together = ours.dual_tvl1(frame0, frame1, steps=steps)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert metrics.epe(together.cpu(), reference).max() < 0.02
        alone = torch.cat([ours.dual_tvl1(a[None], b[None], steps=steps) for a, b in zip(frame0, frame1, strict=True)])
        assert torch.equal(together, alone)


@gpu
def test_gpu_is_what_auto_means():
    frames = [x[:, None].expand(-1, 3, -1, -1).cuda() / 255 for x in moved(2, -1)]
    found = flow.tvl1(*frames)
    assert found.is_cuda and metrics.epe(found, flow.tvl1(*frames, backend="torch")).item() < 0.02


# --- real pairs


@pytest.mark.shared
def test_on_middlebury(shared_data):
    """RubberWhale: as near to the truth as OpenCV, 0.001 px from it."""
    folder = shared_data / "flow"
    images = [cv2.imread(str(folder / f"rubberwhale_frame{i}.png"))[..., ::-1].copy() for i in (0, 1)]
    frames = [torch.from_numpy(x).permute(2, 0, 1)[None] for x in images]
    truth = torch.from_numpy(cv2.readOpticalFlow(str(folder / "rubberwhale_gt.flo"))).permute(2, 0, 1)[None]
    known = (truth.abs() < 1e9).all(1, keepdim=True)
    theirs = flow.tvl1(*frames, backend="opencv")
    for backend in ("auto", "torch"):
        found = flow.tvl1(*frames, backend=backend)
        assert metrics.epe(found, theirs).item() < 0.05
        assert metrics.epe(found, truth, known).item() < 1.05 * metrics.epe(theirs, truth, known).item()
