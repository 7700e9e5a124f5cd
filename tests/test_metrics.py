"""metrics: analytic values, independent implementations, known motion, and MATLAB's luma of Set5."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import degrade, flow, metrics
from arsr_core.colour import to_grey
from arsr_core.errors import InputError


def frames(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_luma_of_primaries():
    # columns: black, white, red, green, blue; MATLAB's rgb2ycbcr matrix row is 65.481, 128.553, 24.966
    rgb = torch.tensor([[0, 1, 1, 0, 0], [0, 1, 0, 1, 0], [0, 1, 0, 0, 1]], dtype=torch.float64).view(1, 3, 1, 5)
    y = metrics.rgb_to_y(rgb)
    assert y.shape == (1, 1, 1, 5)
    expected = torch.tensor([16, 235, 81.481, 144.553, 40.966], dtype=torch.float64)
    torch.testing.assert_close(y.flatten() * 255, expected, rtol=0, atol=1e-12)


def test_psnr_of_constant_error():
    hr = frames(3, 3, 20, 20) / 2
    error = torch.tensor([0.1, 0.01, 0.5]).double().view(3, 1, 1, 1)
    values = metrics.psnr(hr + error, hr, luma=False)
    torch.testing.assert_close(values, torch.tensor([20.0, 40.0, 20 * math.log10(2)]).double(), rtol=0, atol=1e-4)
    # an equal error in R, G and B is 219/255 of it in luma: 1.32 dB more
    shift = 20 * math.log10(255 / 219)
    torch.testing.assert_close(metrics.psnr(hr + error, hr), values + shift, rtol=0, atol=1e-9)


def test_identical_frames():
    x = frames(2, 3, 24, 24)
    assert metrics.psnr(x, x).tolist() == [math.inf, math.inf]
    torch.testing.assert_close(metrics.ssim(x, x), torch.ones(2).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim])
def test_crop_ignores_exactly_the_border(metric):
    hr = frames(1, 3, 24, 28)
    sr = hr + 0.05 * frames(1, 3, 24, 28, seed=1)
    changed = sr.clone()
    changed[..., :4, :], changed[..., -4:, :], changed[..., :4], changed[..., -4:] = 0, 1, 1, 0
    assert torch.equal(metric(changed, hr), metric(sr, hr))
    assert not torch.equal(metric(changed, hr, crop=3), metric(sr, hr, crop=3))
    assert torch.equal(metric(sr, hr), metric(sr[..., 4:-4, 4:-4], hr[..., 4:-4, 4:-4], crop=0))


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim])
@pytest.mark.parametrize("luma", [True, False])
def test_clip_is_mean_of_its_frames(metric, luma):
    hr, noise = frames(2, 3, 3, 24, 20), frames(2, 3, 3, 24, 20, seed=1)
    sr = hr + noise * torch.tensor([0.1, 0.2, 0.01]).view(3, 1, 1, 1)
    per_frame = metric(sr.flatten(0, 1), hr.flatten(0, 1), luma=luma)
    assert per_frame.shape == (6,)
    torch.testing.assert_close(metric(sr, hr, luma=luma), per_frame.view(2, 3).mean(1))


def test_one_channel_is_luma():
    sr, hr = frames(2, 3, 24, 24), frames(2, 3, 24, 24, seed=1)
    for metric in (metrics.psnr, metrics.ssim):
        y = metric(metrics.rgb_to_y(sr), metrics.rgb_to_y(hr))
        torch.testing.assert_close(metric(sr, hr), y)


def test_ssim_of_constants():
    # no variance: (2 a b + C1) / (a^2 + b^2 + C1)
    a, b = torch.full((1, 1, 16, 16), 0.4), torch.full((1, 1, 16, 16), 0.6)
    expected = (2 * 0.24 + 1e-4) / (0.16 + 0.36 + 1e-4)
    assert metrics.ssim(a, b, crop=0).item() == pytest.approx(expected, abs=1e-6)


def test_ssim_equals_direct_window_sums():
    """Every 11x11 window by itself, with weighted moments about the mean."""
    sr, hr = frames(15, 14).numpy(), frames(15, 14, seed=1).numpy()
    g = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window = np.outer(g, g) / g.sum() ** 2
    values = []
    for i in range(5):
        for j in range(4):
            a, b = sr[i : i + 11, j : j + 11], hr[i : i + 11, j : j + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            values.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    ours = metrics.ssim(torch.tensor(sr)[None, None], torch.tensor(hr)[None, None], crop=0)
    assert ours.item() == pytest.approx(np.mean(values), abs=1e-12)


def test_ssim_equals_skimage():
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    hr = degrade.imresize(frames(1, 1, 12, 12), 4)
    sr = degrade.imresize(degrade.to_lr(hr), 4)
    theirs = structural_similarity(
        *(x[0, 0].numpy() for x in (sr, hr)),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
    )
    assert metrics.ssim(sr, hr, crop=0).item() == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.001, 1))
def test_symmetric_and_bounded(seed, amount):
    hr = frames(1, 3, 20, 20, seed=seed)
    sr = hr + amount * (frames(1, 3, 20, 20, seed=seed + 1) - 0.5)
    torch.testing.assert_close(metrics.psnr(sr, hr), metrics.psnr(hr, sr))
    torch.testing.assert_close(metrics.ssim(sr, hr), metrics.ssim(hr, sr))
    assert -1 <= metrics.ssim(sr, hr).item() < 1


def test_dtypes_and_gradients():
    hr = frames(1, 3, 20, 20)
    sr = (hr + 0.1 * frames(1, 3, 20, 20, seed=1)).requires_grad_()
    for metric in (metrics.psnr, metrics.ssim):
        value = metric(sr.float(), hr.float())
        assert value.dtype == torch.float64
        torch.testing.assert_close(value, metric(sr, hr), rtol=0, atol=1e-5)
        assert torch.autograd.gradcheck(lambda x, f=metric: f(x, hr), sr)


def test_epe_by_hand():
    reference = torch.zeros(2, 2, 2, 2)
    flow = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1) * torch.tensor([[[0, 1], [2, 0]]])  # lengths 0 5 / 10 0
    flow = torch.cat((flow, torch.zeros_like(flow)))
    assert metrics.epe(flow, reference).tolist() == [3.75, 0]
    assert metrics.epe_above(flow, reference).tolist() == [0.5, 0]
    assert metrics.epe_above(flow, reference, threshold=5).tolist() == [0.25, 0]  # above, not at
    mask = torch.tensor([[[[1, 1], [0, 0]]], [[[0, 0], [0, 0]]]]).bool()
    flow[0, 0, 1, 1] = 1e10  # an unknown pixel outside the mask does no harm
    flow[0, 0, 1, 0] = math.nan
    ours = metrics.epe(flow, reference, mask), metrics.epe_above(flow, reference, mask=mask)
    assert [x[0].item() for x in ours] == [2.5, 0.5]
    assert all(x[1].isnan() for x in ours)


def test_epe_gradient_is_finite_at_zero():
    flow = torch.zeros(1, 2, 3, 3, requires_grad=True)
    metrics.epe(flow, torch.zeros(1, 2, 3, 3)).sum().backward()
    assert torch.equal(flow.grad, torch.zeros_like(flow))


def test_epe_of_clips_is_over_all_their_pixels():
    motion, reference = torch.zeros(2, 3, 2, 4, 4), torch.zeros(2, 3, 2, 4, 4)
    motion[0, 0, 0], motion[0, 1, 1] = 3, 1.5  # frames of error 3, 1.5 and 0
    mask = torch.ones(2, 3, 1, 4, 4, dtype=torch.bool)
    assert metrics.epe(motion, reference).tolist() == [1.5, 0]
    assert metrics.epe_above(motion, reference).tolist() == pytest.approx([2 / 3, 0])
    mask[0, 0, :, 1:], mask[1] = False, False  # a quarter of the first frame counts
    ours = metrics.epe(motion, reference, mask)
    assert ours[0].item() == pytest.approx((0.25 * 3 + 1.5) / 2.25) and ours[1].isnan()


# --- known translation, rotation, static clips with noise, blur


def textured(h=80, w=96, seed=0):
    """A smooth random RGB picture (h, w, 3), float64 in [0, 1]."""
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).random((h, w, 3)), (0, 0), 2)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def as_clip(pictures):
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)[None]


def translated(u, v, count=6, h=64, w=80):
    """A clip whose picture moves by whole (u, v) a frame, and its flow (1, T - 1, 2, H, W)."""
    picture = textured(h + abs(v) * count, w + abs(u) * count)
    y, x = (max(s, 0) * (count - 1) for s in (v, u))
    clip = as_clip([picture[y - t * v : y - t * v + h, x - t * u : x - t * u + w] for t in range(count)])
    return clip, torch.tensor([u, v]).double().view(1, 1, 2, 1, 1).expand(1, count - 1, 2, h, w)


def rotated(angle, count=4, side=64):
    """A clip that turns about its centre by `angle` a frame, sampled from waves in closed form, and its flow."""
    y, x = np.meshgrid(np.arange(side) - (side - 1) / 2, np.arange(side) - (side - 1) / 2, indexing="ij")

    def picture(t):
        c, s = math.cos(t * angle), math.sin(t * angle)
        x0, y0 = c * x + s * y, c * y - s * x  # where it was at t = 0
        return np.stack([0.5 + 0.4 * np.sin(0.2 * x0 + k) * np.cos(0.15 * y0 - k) for k in range(3)], -1)

    c, s = math.cos(angle) - 1, math.sin(angle)
    motion = torch.from_numpy(np.stack([c * x - s * y, s * x + c * y]))
    return as_clip([picture(t) for t in range(count)]), motion.expand(1, count - 1, 2, side, side)


def inside(clip, motion):
    """Where the flow stays within the frame, (1, T - 1, 1, H, W)."""
    return flow.warp(clip[:, 1:].flatten(0, 1).double(), motion.flatten(0, 1).double())[1][None]


def blurred(clip, sigma=1.5):
    return as_clip([cv2.GaussianBlur(f, (0, 0), sigma) for f in clip[0].permute(0, 2, 3, 1).numpy()])


def noisy(clip, sigma, seed=0, grey=False):
    shape = (*clip.shape[:2], 1 if grey else 3, *clip.shape[3:])
    return clip + sigma * torch.randn(shape, dtype=clip.dtype, generator=torch.Generator().manual_seed(seed))


def test_phantom_flow_by_hand():
    reference, motion = torch.zeros(2, 2, 2, 2), torch.zeros(2, 2, 2, 2)
    motion[0, 0], motion[0, 1] = 0.3, 0.4  # 0.5 px everywhere ...
    motion[0, :, 0, 0] = 8
    reference[0, 0, 0, 0] = 0.5  # ... but not where the reference moves: below 0.5, not at it
    reference[1] = 3
    ours = metrics.phantom_flow(motion, reference)
    assert ours[0].item() == pytest.approx(0.5) and ours[1].isnan() and ours.dtype == torch.float64
    assert metrics.phantom_flow(motion, reference, threshold=0.6)[0].item() > 2
    clips = metrics.phantom_flow(*(x[[0, 0, 1]].expand(3, 3, 2, 2, 2) for x in (motion, reference)))
    assert clips.tolist() == pytest.approx([0.5] * 3)


@pytest.mark.parametrize("still, counts", [(0, False), (199, False), (200, True), (400, True)])
def test_phantom_flow_and_flicker_need_a_still_camera(still, counts):
    reference = torch.full(
        (2, 1, 2, 20, 20), 0.3
    )  # 0.42 px: a slow pan, which phantom flow's threshold takes for still
    reference[0].flatten(2)[..., :still] = 0.07  # 0.099 px, of 400 pixels
    motion, clip = torch.zeros(2, 1, 2, 20, 20), torch.zeros(2, 2, 3, 20, 20)
    motion[:, :, 0], clip[:, 1] = 2, 1
    assert metrics.still_camera(reference).tolist() == [counts, False]
    for found, value in (
        (metrics.phantom_flow(motion, reference), 2),
        (metrics.phantom_flow(motion[:, 0], reference[:, 0]), 2),  # frames, not clips
        (metrics.flicker(clip, reference), 219 / 255),  # black to white
    ):
        assert found[0].isfinite() == counts and found[1].isnan()  # each clip by itself
        assert not counts or found[0].item() == pytest.approx(value)


def test_a_still_camera_by_hand():
    reference = torch.zeros(1, 2, 2, 2)
    reference[0, 0, 0, 0] = 1
    assert metrics.still_camera(reference).item() and not metrics.still_camera(reference, share=0.8).item()
    reference[0, 1, 1] = 0.1  # at the threshold, not below it
    assert not metrics.still_camera(reference).item() and metrics.still_camera(reference, threshold=0.11).item()


def test_phantom_flow_of_a_static_clip_grows_with_noise():
    still = textured(48, 56)
    clip = as_clip([still, still])
    hr = flow.estimate(clip, warps=2, scales=3)
    amounts = [
        metrics.phantom_flow(flow.estimate(noisy(clip, s, grey=True), warps=2, scales=3), hr).item()
        for s in (0, 0.02, 0.08)
    ]
    assert amounts[0] == 0 and 0.01 < amounts[1] < amounts[2]


@pytest.mark.parametrize("u, v", [(2, 0), (-1, 2)])
def test_warping_error_of_a_known_translation(u, v):
    clip, motion = translated(u, v)
    mask = inside(clip, motion)
    assert metrics.warping_error(clip, motion, mask).item() < 1e-20  # whole pixels: exact
    still = metrics.warping_error(clip, torch.zeros_like(motion), mask)
    assert still.item() > 1e-3
    assert metrics.warping_error(clip, motion, torch.ones_like(mask)).item() > 1e-6  # at the border it is not


def test_warping_error_of_a_rotation():
    clip, motion = rotated(0.05)
    mask = inside(clip, motion)
    turned = metrics.warping_error(clip, motion, mask)
    wrong = metrics.warping_error(clip, -motion, mask)
    assert turned.item() < 1e-5 and wrong.item() > 100 * turned.item()  # bilinear: of second order


def test_warping_error_of_noise_and_of_blur():
    still = as_clip([textured(), textured(), textured()])
    nothing, mask = torch.zeros(1, 2, 2, 80, 96), torch.ones(1, 2, 1, 80, 96, dtype=torch.bool)
    assert metrics.warping_error(still, nothing, mask).item() < 1e-20
    noise = noisy(still, 0.05)
    ours = metrics.warping_error(noise, nothing, mask).item()
    assert ours == pytest.approx(3 * 2 * 0.05**2, rel=0.03)  # two frames' variances, three colours
    assert metrics.warping_error(blurred(noise), nothing, mask).item() < 0.1 * ours  # why it never stands alone


def test_warping_error_is_mean_over_pairs_with_a_mask():
    clip, mask = torch.zeros(1, 4, 3, 2, 2), torch.ones(1, 3, 1, 2, 2, dtype=torch.bool)
    clip[:, 1:], clip[:, 2:, 0] = 0.5, 0.7  # changes of 3 * 0.25, 0.04, 0
    nothing = torch.zeros(1, 3, 2, 2, 2)
    assert metrics.warping_error(clip, nothing, mask).item() == pytest.approx(0.79 / 3)
    mask[:, 0] = False
    assert metrics.warping_error(clip, nothing, mask).item() == pytest.approx(0.02)
    mask[:, 1, :, 0], mask[:, 2] = False, False
    assert metrics.warping_error(clip, nothing, mask).item() == pytest.approx(0.04)
    assert metrics.warping_error(clip, nothing, mask & False).isnan().all()


def test_flicker_of_noise_and_of_blur():
    still = as_clip([textured()] * 4)
    nothing = torch.zeros(1, 3, 2, 80, 96)
    assert metrics.flicker(still, nothing).item() == 0
    noise = noisy(still, 0.04, grey=True)
    ours = metrics.flicker(noise, nothing).item()
    assert ours == pytest.approx(219 / 255 * 0.04 * 2 / math.pi**0.5, rel=0.02)  # mean of |N(0, 2 sigma^2)|
    assert metrics.flicker(blurred(noise), nothing).item() < 0.4 * ours


def test_flicker_looks_only_where_nothing_moves():
    clip, reference = torch.zeros(2, 3, 3, 4, 4), torch.zeros(2, 2, 2, 4, 4)
    clip[:, 1:, :, :, 2:] = 1  # the right half lights up once
    reference[0, :, 1, :, 2:], reference[1] = 0.1, 1  # ... where the first clip moves
    assert metrics.flicker(clip, reference)[0].item() == 0 and metrics.flicker(clip, reference)[1].isnan()
    white = 219 / 255
    assert metrics.flicker(clip, torch.zeros_like(reference)).tolist() == pytest.approx([white / 4] * 2)
    assert metrics.flicker(clip, reference, threshold=0.2)[0].item() == pytest.approx(white / 4)


def test_tof_is_the_authors_code_written_out():
    hr, _ = translated(1, 0, count=7, h=70, w=90)
    sr = blurred(hr)
    grey = [to_grey(x[0]).numpy() for x in (sr, hr)]
    values = []
    for t in (2, 3):  # frames 2, 3, 4 of 0 ... 6
        flows = [cv2.calcOpticalFlowFarneback(g[t], g[t + 1], None, 0.5, 3, 15, 3, 5, 1.2, 0) for g in grey]
        difference = (flows[0] - flows[1])[(70 - 32) // 2 :, (90 - 64) // 2 :][:32, :64]  # 32 <= 70 - 16, 64 <= 90 - 16
        values.append(np.sqrt((difference.astype(float) ** 2).sum(-1)).mean())
    assert metrics.tof(sr, hr).item() == pytest.approx(np.mean(values), rel=1e-5)
    assert metrics.tof(hr, hr).item() == 0


def test_tof_of_a_clip_that_stands_still():
    hr, _ = translated(2, 1, count=6)
    sr = hr[:, :1].expand_as(hr)
    assert metrics.tof(sr, hr).item() == pytest.approx(5**0.5, rel=0.1)
    both = metrics.tof(torch.cat((sr, hr)), torch.cat((hr, hr)))
    assert both.shape == (2,) and both[0] > 1.5 and both[1] == 0


def test_profile_of_a_translation_is_slanted():
    clip, _ = translated(2, 0)
    profile = metrics.temporal_profile(clip, ((0, 30), (79, 30)))
    assert profile.shape == (1, 3, 6, 80) and profile.dtype == clip.dtype
    torch.testing.assert_close(profile, clip[:, :, :, 30].transpose(1, 2))
    torch.testing.assert_close(profile[:, :, 1:, 2:], profile[:, :, :-1, :-2])
    upright = metrics.temporal_profile(clip, ((7, 0), (7, 63)))
    torch.testing.assert_close(upright, clip[..., 7].transpose(1, 2))


@settings(max_examples=20, deadline=None)
@given(*[st.floats(0, 10)] * 4, st.integers(1, 3))
def test_profile_is_exact_on_a_ramp(x0, y0, x1, y1, count):
    y, x = torch.meshgrid(torch.arange(11).double(), torch.arange(11).double(), indexing="ij")
    ramp = torch.stack((x, y, 2 * x - 3 * y)).expand(1, count, 3, 11, 11)
    profile = metrics.temporal_profile(ramp, ((x0, y0), (x1, y1)))
    points = profile.shape[-1]
    assert math.dist((x0, y0), (x1, y1)) <= points - 1 + 1e-6
    xs, ys = torch.linspace(x0, x1, points).double(), torch.linspace(y0, y1, points).double()
    expected = torch.stack((xs, ys, 2 * xs - 3 * ys))[None, :, None].expand(1, 3, count, points)
    torch.testing.assert_close(profile, expected, rtol=0, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_clips_on_a_gpu_agree():
    clip, motion = translated(1, 1, h=64, w=64)
    sr, mask = blurred(clip), inside(clip, motion)
    for metric, *arguments in (
        (metrics.tof, sr, clip),
        (metrics.warping_error, sr, motion, mask),
        (metrics.flicker, sr, 0 * motion),
        (metrics.phantom_flow, motion, 0 * motion),
    ):
        ours = metric(*(x.cuda() for x in arguments))
        assert ours.is_cuda
        torch.testing.assert_close(ours.cpu(), metric(*arguments))
    line = ((3.5, 4), (50, 60))
    torch.testing.assert_close(
        metrics.temporal_profile(sr.cuda(), line).cpu(), metrics.temporal_profile(sr, line), rtol=0, atol=1e-9
    )


x, f = torch.rand(1, 3, 16, 16), torch.rand(1, 2, 4, 4)
clip6, flow6 = torch.rand(1, 6, 3, 48, 48), torch.rand(1, 5, 2, 48, 48)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.psnr(x, x[..., :15]), r"psnr: .* \(1, 3, 16, 16\), float32 \(1, 3, 16, 15\)"),
        (lambda: metrics.psnr(x[0], x[0]), r"float sr \(N, 3, H, W\) or \(N, T, 3, H, W\)"),
        (lambda: metrics.psnr((255 * x).byte(), (255 * x).byte()), "expected float .* got uint8"),
        (lambda: metrics.psnr(x, x, crop=8), "crop=8 does not leave 1 px of a 16x16 frame"),
        (lambda: metrics.psnr(x, x, crop=-1), "crop=-1"),
        (lambda: metrics.ssim(x, x), "crop=4 does not leave 11 px"),
        (lambda: metrics.rgb_to_y(x[:, :2]), r"\(..., 3, H, W\); got float32 \(1, 2, 16, 16\)"),
        (lambda: metrics.epe(f, f[:, :1]), r"\(1, 2, 4, 4\), float32 \(1, 1, 4, 4\)"),
        (lambda: metrics.epe(f, f, mask=torch.ones(1, 4, 4)), r"mask \(N, 1, H, W\) .* float32 \(1, 4, 4\)"),
        (lambda: metrics.phantom_flow(f, f[..., :3]), r"\(1, 2, 4, 4\), float32 \(1, 2, 4, 3\)"),
        (lambda: metrics.tof(clip6, clip6[:, :5]), r"tof: .* \(1, 6, 3, 48, 48\), float32 \(1, 5, 3, 48, 48\)"),
        (lambda: metrics.tof(clip6[:, :5], clip6[:, :5]), "expected 6 frames or more, of 48x48 px or more; got 5"),
        (lambda: metrics.tof(clip6[..., :47], clip6[..., :47]), "got 6 of 47x48"),
        (lambda: metrics.tof(x, x), r"\(N, T, 3, H, W\)"),
        (lambda: metrics.warping_error(clip6, flow6[:, :4], None), r"\(N, T-1, 2, H, W\); .* \(1, 4, 2, 48, 48\)"),
        (lambda: metrics.warping_error(clip6, flow6, None), r"mask \(N, T-1, 1, H, W\); .* NoneType"),
        (lambda: metrics.warping_error(clip6, flow6, flow6 > 0), r"bool \(1, 5, 2, 48, 48\)"),
        (lambda: metrics.flicker(clip6[:, :1], flow6[:, :0]), r"\(N, T-1, 2, H, W\); .* \(1, 0, 2, 48, 48\)"),
        (lambda: metrics.flicker(clip6.byte(), flow6), "flicker: expected float .* got uint8"),
        (lambda: metrics.flicker(clip6, None), "flicker: expected float .* NoneType"),
        (lambda: metrics.temporal_profile(clip6, ((0, 0), (48, 0))), "x from 0 to 47 and y from 0 to 47"),
        (lambda: metrics.temporal_profile(clip6, ((0, math.nan), (4, 0))), "line as .*a finite number"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.shared
@pytest.mark.parametrize(
    "name, doubles, eight_bit",
    [  # x4 bicubic, PSNR and SSIM: real numbers throughout, and MATLAB's road for uint8 frames
        ("bird", (30.1884, 0.87402), (30.1815, 0.87357)),
        ("butterfly", (22.1363, 0.73751), (22.1356, 0.73744)),
        ("head", (31.5735, 0.75487), (31.5661, 0.75457)),
    ],
)
def test_set5(shared_data, name, doubles, eight_bit):
    from scipy.io import loadmat

    golden = loadmat(shared_data / "set5_x4" / f"{name}_x4.mat")
    hr = torch.tensor(golden["im_gt"] / 255.0).permute(2, 0, 1)[None]
    luma = torch.tensor(golden["im_gt_y"] / 255.0)
    assert (metrics.rgb_to_y(hr) - luma).abs().max() < 1e-15
    for flag, expected in ((False, doubles), (True, eight_bit)):
        sr = degrade.imresize(degrade.to_lr(hr, eight_bit=flag), 4, eight_bit=flag).clamp(0, 1)
        assert metrics.psnr(sr, hr).item() == pytest.approx(expected[0], abs=6e-5)
        assert metrics.ssim(sr, hr).item() == pytest.approx(expected[1], abs=6e-6)
