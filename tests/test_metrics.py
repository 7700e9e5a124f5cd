"""metrics: analytic values, an independent implementation, and MATLAB's luma of Set5."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import InputError, degrade, metrics


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


x, f = torch.rand(1, 3, 16, 16), torch.rand(1, 2, 4, 4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: metrics.psnr(x, x[..., :15]), r"\(1, 3, 16, 16\) and torch.float32 \(1, 3, 16, 15\)"),
        (lambda: metrics.psnr(x[0], x[0]), "one shape"),
        (lambda: metrics.psnr((255 * x).byte(), (255 * x).byte()), "torch.uint8"),
        (lambda: metrics.psnr(x, x, crop=8), "crop=8 does not leave 1 px of a 16x16 frame"),
        (lambda: metrics.psnr(x, x, crop=-1), "crop=-1"),
        (lambda: metrics.ssim(x, x), "crop=4 does not leave 11 px"),
        (
            lambda: metrics.rgb_to_y(x[:, :2]),
            r"\(..., 3, H, W\), got torch.float32 of shape \(1, 2, 16, 16\)",
        ),
        (lambda: metrics.epe(f, f[:, :1]), r"\(1, 2, 4, 4\) and \(1, 1, 4, 4\)"),
        (lambda: metrics.epe(f, f, mask=torch.ones(1, 4, 4)), r"mask \(1, 1, 4, 4\), got \(1, 4, 4\)"),
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
