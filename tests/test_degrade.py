"""degrade: MATLAB's imresize by hand, by an independent formula and by MATLAB's own files."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import degrade
from arsr_core.degrade import imresize, modcrop, quantise, to_lr
from arsr_core.errors import InputError


def keys(t):
    """Keys' cubic, a = -1/2, in exact fractions."""
    t, a = abs(t), Fraction(-1, 2)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else Fraction(0)


def exact_row(row, n_out, scale, antialias=True):
    """One row resized in exact arithmetic: every input of the mirrored, endless row weighs in."""
    n_in, scale = len(row), Fraction(scale)
    stretch = min(scale, Fraction(1)) if antialias else Fraction(1)
    reach = math.ceil(2 / stretch) + 1
    out = []
    for i in range(n_out):
        centre = (i + Fraction(1, 2)) / scale - Fraction(1, 2)
        near = range(math.floor(centre) - reach, math.floor(centre) + reach + 2)
        weights = [keys(stretch * (centre - j)) for j in near]
        mirrored = [j % (2 * n_in) for j in near]
        values = [row[min(j, 2 * n_in - 1 - j)] for j in mirrored]
        out.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    return out


def exact_image(image, scale, size, antialias=True):
    """Columns then rows of a list of lists of fractions, as float64."""
    down = [exact_row(column, size[0], scale[0], antialias) for column in zip(*image, strict=True)]
    rows = [exact_row(row, size[1], scale[1], antialias) for row in zip(*down, strict=True)]
    return torch.tensor([[float(v) for v in row] for row in rows], dtype=torch.float64)


def random_image(h, w, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (h, w))
    image = [[Fraction(int(v), 256) for v in row] for row in values]
    return image, torch.tensor(values / 256, dtype=torch.float64)


def test_impulse_by_hand():
    # doubling: outputs lie 1/4 or 3/4 off an input; k(1/4), k(3/4), k(5/4), k(7/4) = (111, 29, -9, -3)/128
    x = torch.zeros(1, 8, dtype=torch.float64)
    x[0, 4] = 128
    doubled = [0, 0, 0, 0, 0, -3, -9, 29, 111, 111, 29, -9, -3, 0, 0, 0]
    assert imresize(x, size=(1, 16)).flatten().tolist() == doubled
    # halving, antialiased: the kernel is twice as wide, half as high; input 8 is 1/2 before output 4's centre
    x = torch.zeros(1, 16, dtype=torch.float64)
    x[0, 8] = 256
    assert imresize(x, size=(1, 8)).flatten().tolist() == [0, 0, -3, 29, 111, -9, 0, 0]
    # without antialiasing only inputs within 2 of 8.5 count: k(1/2) = 9/16
    assert imresize(x, size=(1, 8), antialias=False).flatten().tolist() == [0, 0, 0, -16, 144, 0, 0, 0]


def test_symmetric_border_by_hand():
    # output 0 of a doubling lies at -1/4 and sees inputs -2 -1 0 1 = mirrored 1 0 0 1
    x = torch.tensor([[0.0, 128, 0, 0, 0, 0]], dtype=torch.float64)
    assert imresize(x, size=(1, 12))[0, 0] == -3 - 9 + 0  # k(7/4) from input -2, k(5/4) from input 1


@pytest.mark.parametrize("scale", [Fraction(s) for s in ("1/4", "1/3", "4", "3", "3/2", "2/5")])
def test_equals_exact_formula(scale):
    image, x = random_image(15, 22)
    size = [math.ceil(scale * n) for n in (15, 22)]
    y = imresize(x, float(scale))
    assert list(y.shape) == size
    torch.testing.assert_close(y, exact_image(image, (scale, scale), size), rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [(5, 40), (31, 7), (1, 1), (13, 9), (100, 3)])
@pytest.mark.parametrize("antialias", [True, False])
def test_size_and_anisotropic_scales(size, antialias):
    image, x = random_image(13, 9, seed=1)
    scale = Fraction(size[0], 13), Fraction(size[1], 9)
    expected = exact_image(image, scale, size, antialias)
    torch.testing.assert_close(imresize(x, size=size, antialias=antialias), expected, rtol=0, atol=1e-14)


def test_tiny_input_mirrors_more_than_once():
    image, x = random_image(2, 3)
    expected = exact_image(image, (Fraction(1, 2), Fraction(1, 3)), (1, 1))
    torch.testing.assert_close(imresize(x, size=(1, 1)), expected, rtol=0, atol=1e-14)


def test_blocks_join_seamlessly():
    x = torch.rand(3 * degrade.BLOCK + 5, 6, dtype=torch.float64)
    whole = imresize(x, 2)
    for k in range(0, len(x) - 12, 7):  # 12 rows around each place give the same inner outputs
        torch.testing.assert_close(imresize(x[k : k + 12], 2)[6:18], whole[2 * k + 6 : 2 * k + 18], rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype, atol", [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_dtypes(dtype, atol):
    x = random_image(24, 20)[1]
    y = imresize(x.to(dtype), 1 / 4)
    assert y.dtype == dtype
    torch.testing.assert_close(y.double(), imresize(x, 1 / 4), rtol=0, atol=atol)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.1, 4.5), st.floats(-2, 2))
def test_constant_preserved(h, w, scale, value):
    y = imresize(torch.full((h, w), value, dtype=torch.float64), scale)
    assert y.shape == (math.ceil(scale * h), math.ceil(scale * w))
    torch.testing.assert_close(y, torch.full_like(y, value), rtol=0, atol=1e-13)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.2, 3), st.floats(-3, 3))
def test_linear(seed, scale, factor):
    a, b = torch.rand(2, 17, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    together = imresize(a + factor * b, scale)
    torch.testing.assert_close(together, imresize(a, scale) + factor * imresize(b, scale), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1 / 4, 1 / 2, 2, 4])
def test_ramp_keeps_its_place(scale):
    # Keys' kernel reproduces a line: the output at centre u is u, away from the mirrored borders
    x = torch.arange(64, dtype=torch.float64).expand(48, 64)
    y = imresize(x, scale)[0]
    u = (torch.arange(len(y)) + 0.5) / scale - 0.5
    inner = (u > 10) & (u < 53)
    torch.testing.assert_close(y[inner], u[inner].double(), rtol=0, atol=1e-12)


def test_lr_of_shift_by_scale_is_shift_by_one():
    x = torch.rand(1, 64, 64, dtype=torch.float64)
    a, b = to_lr(x), to_lr(x.roll((4, 8), (-2, -1)))
    torch.testing.assert_close(b[:, 4:12, 5:12], a[:, 3:11, 3:10], rtol=0, atol=1e-14)


def test_gradient():
    x = torch.rand(2, 9, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: imresize(x, 1 / 3), x)
    assert torch.autograd.gradcheck(lambda x: imresize(x, size=(11, 4)), x)


def test_gradient_after_inference_mode():
    degrade._placed.cache_clear()
    with torch.inference_mode():
        imresize(torch.rand(8, 8, dtype=torch.float64), 1 / 4)
    x = torch.rand(8, 8, dtype=torch.float64, requires_grad=True)
    imresize(x, 1 / 4).sum().backward()
    assert x.grad.sum().item() == pytest.approx(4)  # 4 outputs, each of weight 1


def test_batch_equals_loop_and_layout_does_not_matter():
    x = torch.rand(2, 3, 3, 20, 24, dtype=torch.float64)
    y = to_lr(x)
    assert y.shape == (2, 3, 3, 5, 6)
    loop = torch.stack([to_lr(image) for image in x.flatten(0, 2)]).view_as(y)
    torch.testing.assert_close(y, loop, rtol=0, atol=1e-14)
    strided = x.transpose(-1, -2).contiguous().transpose(-1, -2)
    assert not strided.is_contiguous()
    torch.testing.assert_close(to_lr(strided), y, rtol=0, atol=1e-14)


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_no_setting_costs_accuracy(precision):
    x = torch.rand(1, 3, 64, 64)
    expected = to_lr(x.double())
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(to_lr(x).double(), expected, rtol=0, atol=1e-6)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_cuda_agrees_with_cpu():
    x = torch.rand(2, 3, 64, 80)
    for scale in (1 / 4, 4):
        y = imresize(x.cuda(), scale)
        assert y.is_cuda
        torch.testing.assert_close(y.cpu(), imresize(x, scale), rtol=0, atol=1e-6)


def test_quantise():
    x = torch.tensor([-0.2, 0.0, 0.49 / 255, 0.5 / 255, 127.5 / 255, 1.0, 1.3], dtype=torch.float64)
    assert (quantise(x) * 255).tolist() == [0, 0, 0, 1, 128, 255, 255]
    levels = torch.arange(256) / 255
    assert torch.equal(quantise(levels), levels)


def test_eight_bit_rounds_after_each_pass():
    x = quantise(torch.rand(3, 32, 32, dtype=torch.float64))
    rows_then_columns = quantise(imresize(quantise(imresize(x, size=(8, 32))), size=(8, 8)))
    assert torch.equal(to_lr(x, eight_bit=True), rows_then_columns)
    assert not torch.equal(rows_then_columns, quantise(to_lr(x)))  # rounding once is not the same
    assert (rows_then_columns - to_lr(x)).abs().max() < 1.5 / 255


def test_modcrop():
    x = torch.arange(7 * 10.0).view(7, 10)
    assert torch.equal(modcrop(x), x[:4, :8])
    assert modcrop(x, 1).shape == (7, 10)
    assert to_lr(modcrop(x, 3), 3).shape == (2, 3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: to_lr(torch.rand(3, 10, 12)), r"10x12 is not divisible by 4; call modcrop\(x, 4\)"),
        (
            lambda: imresize(torch.zeros(8, 8, dtype=torch.uint8), 2),
            r"imresize: expected float x \(..., H, W\); got uint8",
        ),
        (lambda: imresize(np.zeros((8, 8)), 2), r"expected float x .* got float64 \(8, 8\)"),
        (lambda: imresize(torch.rand(8), 2), r"\(8,\)"),
        (lambda: imresize(torch.rand(0, 8), 2), r"got float32 \(0, 8\)"),
        (lambda: imresize(torch.rand(8, 8)), "either scale or size"),
        (lambda: imresize(torch.rand(8, 8), 2, size=(4, 4)), "either scale or size"),
        (lambda: imresize(torch.rand(8, 8), -1), "positive number, got -1"),
        (lambda: imresize(torch.rand(8, 8), math.nan), "scale as a finite number"),
        (lambda: imresize(torch.rand(8, 8), size=(0, 4)), r"positive integers .* \(0, 4\)"),
        (lambda: imresize(torch.rand(8, 8), size=(4.5, 4)), "size as .a whole number, a whole number."),
        (lambda: modcrop(torch.rand(3, 8), 4), "from 1 to 3, got 4"),
        (lambda: to_lr(torch.rand(8, 8), 2.5), "scale as a whole number"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


RGB_TO_YCBCR = torch.tensor(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112], [112, -93.786, -18.214]], dtype=torch.float64
)
OFFSET = torch.tensor([16, 128, 128], dtype=torch.float64).view(3, 1, 1)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["bird", "butterfly", "head"])
@pytest.mark.parametrize("dtype, atol", [(torch.float64, 2e-15), (torch.float32, 1e-6)])
def test_matlab_files(shared_data, name, dtype, atol):
    """MATLAB's chain: uint8 / 255 -> rgb2ycbcr -> imresize 1/4 -> imresize 4 -> ycbcr2rgb, which clamps."""
    from scipy.io import loadmat

    golden = loadmat(shared_data / "set5_x4" / f"{name}_x4.mat")
    hr, lr, up = (
        torch.tensor(golden[key] / top).permute(2, 0, 1)
        for key, top in (("im_gt", 255.0), ("im_l_ycbcr", 1.0), ("im_b", 255.0))
    )
    hr = (torch.einsum("ij,jhw->ihw", RGB_TO_YCBCR, hr) + OFFSET) / 255
    ours = to_lr(hr.to(dtype)).double()
    assert (ours - lr).abs().max() < atol
    ours = imresize(lr.to(dtype), 4).double()
    assert (ours[0] - torch.tensor(golden["im_b_y"] / 255)).abs().max() < atol
    rgb = torch.einsum("ij,jhw->ihw", torch.linalg.inv(RGB_TO_YCBCR), ours * 255 - OFFSET).clamp(0, 1)
    assert (rgb - up).abs().max() < atol
