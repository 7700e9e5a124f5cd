import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import sr
from arsr_core.colour import rgb_to_y
from arsr_core.degrade import imresize
from arsr_core.errors import InputError
from arsr_core.sr.networks import discriminator
from arsr_core.sr.networks.duf import DUF, bilinear_filters, dynamic_filter
from arsr_core.sr.networks.rcan import DIV2K_MEAN
from arsr_core.sr.networks.rrdb import RRDBNet
from arsr_core.sr.networks.spmc import SPMC, ConvLSTM, scatter
from arsr_core.sr.networks.srgan import MSRResNet
from arsr_core.sr.networks.vdsr import VDSR, Bicubic

TRAINABLE = [name for name in sr.METHODS if name != "bicubic"]


def count(model):
    return sum(p.numel() for p in model.parameters())


def lite(name):
    torch.manual_seed(0)
    return sr.build(name, **sr.METHODS[name].lite)


def window(model, h, w, n=1):
    return torch.rand(n, 3, h, w) if model.frames == 1 else torch.rand(n, model.frames, 3, h, w)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bicubic", 0),
        ("vdsr", 664_704),
        ("rcan", 15_592_355),
        ("srgan", 1_517_571),
        ("esrgan", 16_697_987),
        ("sosr", 16_697_987),
        ("spmc", 1_722_161),
        ("duf16", 1_900_640),
        ("duf28", 2_118_432),
        ("duf52", 5_821_952),
        ("tosr", 1_900_640),
    ],
)
def test_published_size(name, parameters):
    with torch.device("meta"):
        assert count(sr.build(name)) == parameters


def test_published_size_of_the_discriminators():
    with torch.device("meta"):
        assert count(discriminator.esrgan()) == 14_499_401
        assert count(discriminator.srgan(patch=96)) == 23_563_649
        assert count(discriminator.srgan()) == 38_243_713


def test_methods_describe_their_networks():
    assert {"bicubic", "vdsr", "rcan", "srgan", "esrgan", "sosr", "spmc", "duf16", "duf52", "tosr"} <= set(sr.METHODS)
    for name, method in sr.METHODS.items():
        model = lite(name)
        assert (method.name, method.frames, model.scale) == (name, model.frames, 4)
        assert method.paper and method.frames % 2 == 1
        if name != "bicubic":
            with torch.device("meta"):
                assert count(model) < count(sr.build(name)) / 2


@pytest.mark.parametrize("name", sr.METHODS)
@pytest.mark.parametrize("size", [(1, 1), (5, 7)])
def test_output_is_four_times_the_input(name, size):
    model = lite(name).eval()
    h, w = size
    with torch.inference_mode():
        out = model(window(model, h, w, n=2))
    assert out.shape == (2, 3, 4 * h, 4 * w)
    assert out.dtype == torch.float32 and out.isfinite().all()


@pytest.mark.parametrize("name", sr.METHODS)
def test_runs_in_bfloat16_and_copies(name):
    model = copy.deepcopy(lite(name)).eval()
    x = window(model, 8, 9)
    with torch.inference_mode():
        exact = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = model(x)
    assert (half - exact).abs().max() < 0.05 * exact.abs().max().clamp(min=1)


@pytest.mark.parametrize("name", TRAINABLE)
def test_one_gradient_step_lowers_the_loss(name):
    model = lite(name).train()
    x = F.avg_pool2d(torch.rand(1, model.frames * 3, 24, 24), 5, 1, 2)[..., 6:18, 6:18]  # smooth noise
    x = (x if model.frames == 1 else x.unflatten(1, (model.frames, 3))).repeat_interleave(2, 0)
    centre = x if model.frames == 1 else x[:, model.frames // 2]
    hr = imresize(centre, 4) + 0.05 * torch.rand(2, 3, 48, 48)
    before = F.mse_loss(model(x), hr)
    before.backward()
    gradients = [p.grad for p in model.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    assert sum(bool(g.any()) for g in gradients) > 0.9 * len(gradients)
    with torch.no_grad():
        # to first order a step of g * rate lowers the loss by rate * |g|^2: here by a hundredth
        rate = 0.01 * before / sum(g.square().sum() for g in gradients)
        for p, g in zip(model.parameters(), gradients, strict=True):
            p -= rate * g
        after = F.mse_loss(model(x), hr)
    assert 0.97 * before < after < 0.998 * before


def noise(count, seed):
    """Numbers in [-1, 1] that look random and are the same everywhere."""
    return 2 * torch.frac((12.9898 * torch.arange(count, dtype=torch.float64) + seed).sin().abs() * 43758.5453) - 1


@pytest.mark.parametrize(
    ("name", "changes", "golden"),
    [
        # these four: equal to BasicSR 1.4.2's networks with the same weights, bit for bit
        ("esrgan", {}, [-0.3622, 0.05634, 0.06943]),
        ("srgan", {}, [1.66851, 1.52794, 1.25694]),
        ("rcan", {}, [0.94515, -0.54189, 1.70915]),
        ("duf16", {"blocks": 6, "features": 64, "growth": 32, "width": 256}, [0.17858, 0.37092, 0.14137]),
        # no peer was run for these
        ("vdsr", {}, [1.05614, 0.84659, 1.01866]),
    ],
)
def test_golden_values_for_weights_of_a_formula(name, changes, golden):
    model = sr.build(name, **sr.METHODS[name].lite | changes).eval()
    with torch.no_grad():
        for i, (key, value) in enumerate(model.state_dict().items()):
            if value.is_floating_point() and key not in ("mean", "value_range"):
                n = noise(value.numel(), i).view(value.shape)
                scale = 2 * value[0].numel() ** -0.5 if value.ndim > 1 else 0.2
                value.copy_(1 + 0.5 * n if key.endswith("var") else scale * n)
    x = (0.5 + 0.5 * noise(model.frames * 3 * 6 * 7, 0).float()).view(1, -1, 6, 7)
    with torch.inference_mode():
        out = model(x if model.frames == 1 else x.unflatten(1, (model.frames, 3)))[0]
    assert [float(out[0, 3, 5]), float(out[1, 12, 14]), float(out[2, 20, 27])] == pytest.approx(golden, abs=3e-5)


torch.manual_seed(0)  # a network whose units are all dead by chance sees less
MARGINS = [
    Bicubic(),
    VDSR(layers=8, features=8),
    VDSR(layers=5, features=8),
    MSRResNet(blocks=2, features=16),
    RRDBNet(features=8, blocks=1, growth=8),
    DUF(blocks=4, features=16, growth=8, width=32),
]


@pytest.mark.parametrize("model", MARGINS, ids=lambda m: type(m).__name__)
def test_margin_is_the_radius_of_what_an_output_pixel_sees(model):
    torch.manual_seed(1)
    model = copy.deepcopy(model).double().eval()
    m = model.margin
    side = 2 * m + 5
    x = window(model, side, side).double().requires_grad_()
    out = model(x)[..., 4 * (m + 2) : 4 * (m + 3), 4 * (m + 2) : 4 * (m + 3)]  # the 16 pixels of the middle LR pixel
    (out * torch.randn_like(out)).sum().backward()
    seen = x.grad.flatten(0, -3).abs().amax(0) > 0  # (side, side)
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    extent = [int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())]
    assert extent == [2, 2 * m + 2, 2, 2 * m + 2]


@pytest.mark.parametrize("name", ["rcan", "spmc"])
def test_networks_without_margin_see_everything_or_anywhere(name):
    assert lite(name).margin is None


@pytest.mark.parametrize("name", ["spmc", "duf16"])
def test_every_frame_matters(name):
    model = lite(name).eval()
    x = window(model, 8, 8).requires_grad_()
    model(x).square().sum().backward()
    assert (x.grad.abs().amax((0, 2, 3, 4)) > 0).all()


def test_duf_keeps_the_authors_batch_norm():
    norms = [m for m in lite("duf52").modules() if isinstance(m, torch.nn.BatchNorm3d)]
    assert len(norms) == 2 * 8 + 1 and {m.eps for m in norms} == {1e-3}
    with torch.device("meta"):
        assert sr.build("duf52").bn2.momentum == pytest.approx(1 - 0.999)


@pytest.mark.parametrize("shape", [(1, 3, 8), (1, 1, 8, 8), (1, 7, 3, 8, 8), (1, 3, 0, 8)])
def test_wrong_shapes_for_one_frame(shape):
    with pytest.raises(InputError, match=r"VDSR: expected float x \(N, 3, H, W\); got float32 \("):
        lite("vdsr")(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 5, 3, 8, 8), (1, 7, 1, 8, 8)])
def test_wrong_shapes_for_seven_frames(shape):
    with pytest.raises(InputError, match=r"DUF: expected float x \(N, 7, 3, H, W\); got float32 \("):
        lite("duf16")(torch.zeros(shape))


def test_wrong_types():
    with pytest.raises(InputError, match="got uint8"):
        lite("vdsr")(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(InputError, match="got list"):
        lite("vdsr")([1.0])
    with pytest.raises(InputError, match="got int64"):
        lite("vdsr")(x=torch.zeros(1, 3, 8, 8, dtype=torch.int64))


def test_unknown_names_and_settings():
    with pytest.raises(InputError, match="unknown method 'edsr'; known: bicubic, vdsr"):
        sr.build("edsr")
    with pytest.raises(InputError, match="vdsr: no setting depth; known: layers, features"):
        sr.build("vdsr", depth=3)
    with pytest.raises(InputError, match="bicubic: no setting scale; known: none"):
        sr.build("bicubic", scale=2)


@pytest.mark.parametrize(
    ("name", "hyper", "message"),
    [
        ("vdsr", {"layers": 1}, "VDSR: expected 2 layers or more, got 1"),
        ("vdsr", {"features": 0}, "vdsr: expected features as a whole number from 1 to 4096, got 0"),
        ("vdsr", {"layers": "20"}, "got '20'"),
        ("esrgan", {"blocks": 2.0}, "esrgan: expected blocks as a whole number from 1 to 4096, got 2.0"),
        ("rcan", {"features": 8, "reduction": 16}, "a reduction that divides features, got reduction=16, features=8"),
        ("rcan", {"reduction": 7}, "got reduction=7, features=64"),
        ("spmc", {"frames": 4}, "SPMC: expected an odd number of frames, 3 or more, got 4"),
        ("spmc", {"frames": 1}, "got 1"),
        ("duf16", {"blocks": 2}, "VSR-DUF: expected 3 blocks or more, got 2"),
    ],
)
def test_numbers_that_make_no_network(name, hyper, message):
    with pytest.raises(InputError, match=message):
        sr.build(name, **hyper)


@pytest.mark.parametrize("name", sr.METHODS)
def test_a_network_without_input_says_what_it_takes(name):
    model = lite(name)
    with pytest.raises(InputError, match=r"expected float x \(N, .*got NoneType"):
        model()


def test_bicubic_is_imresize():
    x = torch.rand(1, 3, 6, 7)
    assert torch.equal(sr.build("bicubic")(x), imresize(x, 4))


def test_vdsr_adds_its_residual_to_luma_alone():
    model = lite("vdsr")
    x = torch.rand(1, 3, 8, 8)
    up = imresize(x, 4)
    added = model(x) - up
    torch.testing.assert_close(added, added[:, :1].expand_as(added))  # equal in R, G and B: chroma is bicubic's
    y = rgb_to_y(up)
    residual = model.output(model.residual_layer(model.input(y).relu()))
    torch.testing.assert_close(rgb_to_y(model(x)), y + residual)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vdsr", lambda x: imresize(x, 4)),
        ("srgan", lambda x: F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)),
        ("esrgan", lambda x: torch.zeros(1, 3, 32, 32)),
        ("rcan", lambda x: torch.tensor(DIV2K_MEAN).view(3, 1, 1).expand(1, 3, 32, 32)),
    ],
)
def test_what_remains_when_the_last_layer_is_zero(name, expected):
    model = lite(name)
    for p in (model.output if name == "vdsr" else model.conv_last).parameters():
        torch.nn.init.zeros_(p)
    x = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(model(x), expected(x))


def test_rcan_sees_frames_less_the_mean_in_its_value_range():
    model, seen = lite("rcan"), []
    model.conv_first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.full((1, 3, 4, 4), 0.5))
    expected = 255 * (0.5 - torch.tensor(DIV2K_MEAN))
    torch.testing.assert_close(seen[0][0, :, 0, 0], expected)


def test_rcan_attention_is_global():
    model = lite("rcan").eval()
    x = torch.rand(1, 3, 40, 40)
    changed = x.clone()
    changed[..., 0, 0] += 0.5
    assert not torch.equal(model(x)[..., -4:, -4:], model(changed)[..., -4:, -4:])


def test_dynamic_filter_of_a_single_tap_shifts_the_frame():
    frame = torch.rand(2, 3, 6, 7)
    for row, column in ((2, 2), (1, 2), (2, 4)):
        filters = torch.zeros(2, 25, 16, 6, 7)
        filters[:, 5 * row + column] = 1
        out = dynamic_filter(frame, filters).unflatten(1, (3, 16))
        padded = F.pad(frame, (2, 2, 2, 2))
        expected = padded[..., row : row + 6, column : column + 7]
        torch.testing.assert_close(out, expected[:, :, None].expand_as(out))


def test_bilinear_filters_enlarge_as_torch_does():
    frame = torch.rand(1, 3, 6, 7)
    filters = bilinear_filters(4)[None, :, :, None, None].expand(-1, -1, -1, 6, 7)
    expected = F.interpolate(frame, scale_factor=4, mode="bilinear")[..., 4:-4, 4:-4]  # zeros, there, beyond the edge
    torch.testing.assert_close(F.pixel_shuffle(dynamic_filter(frame, filters), 4)[..., 4:-4, 4:-4], expected)
    fresh = sr.build("duf16", **sr.METHODS["duf16"].lite).eval()(frame.expand(7, -1, -1, -1)[None])
    assert (fresh[..., 4:-4, 4:-4] - expected).abs().mean() < 0.2


def test_duf_filters_sum_to_one_and_take_the_centre_frame():
    model = lite("duf16").eval()
    torch.nn.init.zeros_(model.residual[2].weight)
    x = torch.rand(1, 7, 3, 8, 8)
    x[:, 3] = 0.25
    torch.testing.assert_close(model(x)[..., 8:-8, 8:-8], torch.full((1, 3, 16, 16), 0.25))


def test_scatter_without_motion_is_zero_upsampling():
    frame = torch.rand(2, 3, 3, 4)
    out = scatter(frame, torch.zeros(2, 2, 3, 4), 4)
    expected = torch.zeros(2, 3, 12, 16)
    expected[..., ::4, ::4] = frame
    torch.testing.assert_close(out, expected)


def test_scatter_is_bilinear_on_the_hr_grid():
    frame = torch.zeros(1, 1, 4, 4)
    frame[0, 0, 1, 2] = 1
    flow = torch.zeros(1, 2, 4, 4)
    flow[:, 0], flow[:, 1] = -0.3125, 0.5  # u = -1.25 HR pixels, v = 2 HR pixels
    out = scatter(frame, flow, 4)[0, 0]
    assert out.nonzero().tolist() == [[6, 6], [6, 7]]
    torch.testing.assert_close(out[6, 6:8], torch.tensor([0.25, 0.75]))


def test_scatter_drops_what_leaves_the_frame_and_sums_what_meets():
    frame = torch.ones(1, 1, 2, 2)
    flow = torch.full((1, 2, 2, 2), 100.0)
    assert not scatter(frame, flow, 4).any()
    half_out = scatter(frame, torch.full((1, 2, 2, 2), 0.875).index_fill(1, torch.tensor([1]), 0), 4)
    assert half_out[0, 0, 0].tolist() == [0, 0, 0, 0.5, 0.5, 0, 0, 0.5]  # at 3.5, and at 7.5 between the last and none
    together = torch.tensor([[[[0.0, -1.0], [0.0, -1.0]], [[0.0, 0.0], [0.0, 0.0]]]])  # the right column onto the left
    assert scatter(frame, together, 4)[0, 0, 0, 0] == 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.floats(0, 0.9))
def test_scatter_keeps_the_sum_inside_the_frame(seed, motion):
    generator = torch.Generator().manual_seed(seed)
    frame = F.pad(torch.rand(1, 2, 4, 5, generator=generator), (1, 1, 1, 1))
    flow = (2 * torch.rand(1, 2, 6, 7, generator=generator) - 1) * motion
    torch.testing.assert_close(scatter(frame, flow, 4).sum((2, 3)), frame.sum((2, 3)))


def test_scatter_has_the_right_gradients():
    torch.manual_seed(0)
    frame = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    flow = (0.2 * torch.rand(1, 2, 3, 3, dtype=torch.float64) + 0.02).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: scatter(a, b, 4), (frame, flow))


def test_conv_lstm_follows_its_equations():
    cell = ConvLSTM(1)
    torch.nn.init.zeros_(cell.gates.weight)
    with torch.no_grad():
        cell.gates.bias.copy_(torch.tensor([0.3, 0.7, -0.2, 0.5]))  # input, new, forget, output
    hidden, memory = cell(torch.rand(1, 1, 2, 2), (torch.rand(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.4)))
    enter, new, forget, leave = torch.tensor([0.3, 0.7, 0.8, 0.5])
    expected = 0.4 * forget.sigmoid() + enter.sigmoid() * new.tanh()
    torch.testing.assert_close(memory, expected.expand_as(memory))
    torch.testing.assert_close(hidden, (expected.tanh() * leave.sigmoid()).expand_as(hidden))


def test_spmc_gives_an_estimate_after_each_step_and_flow_within_reach():
    model = lite("spmc").eval()
    x = torch.rand(1, 3, 3, 6, 9)
    steps = model.steps(x)
    assert steps.shape == (1, 3, 3, 24, 36)
    torch.testing.assert_close(steps[:, -1], model(x))
    assert not torch.allclose(steps[:, 0], steps[:, -1])
    added = model(x) - imresize(x[:, 1], 4)
    torch.testing.assert_close(added, added[:, :1].expand_as(added))  # luma alone
    flow = model.motion(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8))
    assert flow.shape == (1, 2, 8, 8) and flow.abs().max() <= 8


def test_spmc_takes_any_odd_number_of_frames():
    assert SPMC(frames=5, features=4, motion=4)(torch.rand(1, 5, 3, 4, 4)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("build", [discriminator.esrgan, discriminator.srgan])
def test_discriminators_give_one_logit_a_patch(build):
    model = build(patch=32, features=4)
    assert model(torch.rand(3, 3, 32, 32)).shape == (3, 1)
    with pytest.raises(
        InputError, match=r"discriminator: expected float x \(N, 3, 32, 32\); got float32 \(1, 3, 16, 16\)"
    ):
        model(torch.rand(1, 3, 16, 16))
    with pytest.raises(InputError, match="multiple"):
        build(patch=100)


def test_discriminator_learns_to_tell_noise_from_flat():
    torch.manual_seed(0)
    model = discriminator.esrgan(patch=32, features=4)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    x = torch.cat((torch.rand(4, 3, 32, 32), torch.full((4, 3, 32, 32), 0.5)))
    real = torch.tensor([1.0] * 4 + [0.0] * 4)[:, None]
    for _ in range(30):
        loss = F.binary_cross_entropy_with_logits(model(x), real)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.2


def test_a_network_without_its_attributes_is_refused_by_their_names(monkeypatch):
    monkeypatch.setattr("arsr_core.sr.networks.vdsr.VDSR", lambda: torch.nn.Conv2d(3, 3, 1))
    monkeypatch.setitem(sr.METHODS, "vdsr", replace(sr.METHODS["vdsr"], hyper={}))
    with pytest.raises(InputError, match="Conv2d: no attribute scale, frames, margin, footprint"):
        sr.build("vdsr")


def test_interpolation_runs_from_one_network_to_the_other():
    torch.manual_seed(0)
    a, b = (sr.build("srgan", **sr.METHODS["srgan"].lite) for _ in range(2))
    first = next(a.parameters()).clone()
    ends = [sr.interpolate(a, b, alpha).state_dict() for alpha in (0, 1)]
    for network, end in zip((a, b), ends, strict=True):
        assert all(torch.equal(x, end[k]) for k, x in network.state_dict().items())
    middle, x = sr.interpolate(a, b, 0.25), torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(next(middle.parameters()), 0.75 * first + 0.25 * next(b.parameters()))
    assert not middle.training and middle(x).shape == (1, 3, 32, 32)
    assert torch.equal(next(a.parameters()), first)  # neither is touched


@pytest.mark.parametrize(
    ("other", "alpha", "message"),
    [
        (dict(name="srgan", blocks=2, features=32), 0.5, "MSRResNet and MSRResNet of other sizes"),
        (dict(name="vdsr", layers=4, features=8), 0.5, "MSRResNet and VDSR of other sizes"),
        (dict(name="srgan", blocks=4, features=32), 1.5, "alpha from 0 to 1, got 1.5"),
        (dict(name="srgan", blocks=4, features=32), float("nan"), "alpha as a finite number, got nan"),
    ],
)
def test_what_cannot_be_interpolated(other, alpha, message):
    with pytest.raises(InputError, match=message):
        sr.interpolate(sr.build("srgan", blocks=4, features=32), sr.build(**other), alpha)
