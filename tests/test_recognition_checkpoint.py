"""recognition.save, load and load_public: round trips, the namings in circulation, files that are something else."""

import json
import os
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from arsr_core import recognition
from arsr_core.errors import InputError
from arsr_core.recognition import TSN, STResNet, load, load_public, save

NAMES = ("run", "walk", "wave")


def clips(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def network(kind, *arguments, **keywords):
    """A network with norms and classifiers that do something."""
    torch.manual_seed(0)
    model = kind(*arguments, **keywords).eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if "running_mean" in key or key.endswith("bias"):
                value.normal_(0, 0.1)
            elif "running_var" in key:
                value.uniform_(0.5, 1.5)
    nn.init.normal_(model.fc.weight, std=0.1) if hasattr(model, "fc") else None
    return model


@pytest.fixture
def saved(tmp_path):
    model = network(TSN, 3, "rgb", "lite")
    return model, save(model, tmp_path / "lite.safetensors", classes=NAMES, recipe={"steps": 5}, seed=3)


# --- our own files


@pytest.mark.parametrize(
    ("kind", "arguments", "inputs"),
    [
        (TSN, (3, "rgb", "lite", 0.5), [(2, 2, 3, 32, 32)]),
        (TSN, (3, "flow", "bn_inception", 0.7, 2), [(1, 2, 4, 32, 32)]),
        (TSN, (3, "flow", "efficientnet_lite0"), [(1, 1, 10, 32, 32)]),
        (STResNet, (3, "lite", 2, (0.1, 0.2)), [(1, 3, 3, 32, 32), (1, 3, 10, 32, 32)]),
    ],
)
def test_round_trip(kind, arguments, inputs, tmp_path):
    model = network(kind, *arguments)
    loaded = load(save(model, tmp_path / "a.safetensors"))
    assert type(loaded) is kind and not loaded.training and loaded.classes is None
    assert loaded.arguments == model.arguments
    assert all(
        torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    x = [clips(*shape) for shape in inputs]
    with torch.no_grad():
        ours, theirs = model(*x), loaded(*x)
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)
    assert all(p.requires_grad for p in loaded.parameters())


def test_what_is_known_of_a_network_travels_with_it(saved, tmp_path):
    model, path = saved
    loaded = load(path, classes=NAMES)
    assert loaded.classes == NAMES and loaded.metadata == {"recipe": {"steps": 5}, "seed": 3}
    assert load(path, classes=3).classes == NAMES
    again = load(save(loaded, tmp_path / "again.safetensors"))  # names are kept
    assert again.classes == NAMES and again.metadata == {}
    state = load_file(path)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_a_file_depends_on_its_contents_alone(saved, tmp_path):
    files = [save(saved[0], tmp_path / f"{n}.safetensors", classes=NAMES, recipe={"steps": 5}) for n in range(8)]
    assert len({file.read_bytes() for file in files}) == 1


def test_channels_last_networks_are_saved_as_any(tmp_path):
    model = network(TSN, 3, "rgb", "lite").to(memory_format=torch.channels_last)
    loaded = load(save(model, tmp_path / "a.safetensors"))
    assert torch.equal(loaded.backbone.conv1.weight, model.backbone.conv1.weight)


def test_a_failed_save_leaves_the_old_file(saved, monkeypatch):
    model, path = saved
    before = path.read_bytes()
    with torch.no_grad():
        model.fc.bias[1] = float("nan")
    with pytest.raises(InputError, match="fc.bias has values that are not finite"):
        save(model, path)
    with torch.no_grad():
        model.fc.bias[1] = 0.0

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="No space left on device.; free some space"):
        save(model, path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]


def relabelled(path, **changes):
    """The same file with another description."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        header = file.metadata() | changes
    save_file(load_file(path), path, metadata={k: v for k, v in header.items() if v is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": None}, "describes no recogniser known here, TSN, STResNet"),
        ({"network": "RRDBNet"}, "describes no recogniser known here, TSN, STResNet .'RRDBNet'"),
        ({"network": "STResNet"}, "modality"),
        ({"arguments": "{"}, "describes no recogniser"),
        ({"arguments": "[1]"}, "describes no recogniser"),
        ({"arguments": None}, "describes no recogniser"),
        ({"arguments": json.dumps({"classes": 3, "depth": 9})}, "describes no recogniser known here.*depth"),
        ({"arguments": json.dumps({"classes": 3, "backbone": "vgg"})}, "no backbone 'vgg'"),
        ({"arguments": json.dumps({"classes": "3"})}, "expected classes as a whole number"),
        ({"arguments": json.dumps({"classes": 3, "backbone": []})}, "describes no recogniser"),
        ({"arguments": json.dumps({"classes": 4, "backbone": "lite"})}, r"expected 4 different names"),
        (
            {"arguments": json.dumps({"classes": 4, "backbone": "lite"}), "classes": "null"},
            r"fc.weight is .* \(3, 96\)",
        ),
        (
            {"arguments": json.dumps({"classes": 3, "backbone": "resnet18"})},
            "conv1.weight is .* .16, 3, 5, 5., expected",
        ),
        ({"classes": '["a", "a", "b"]'}, "3 different names"),
        ({"classes": "5"}, "describes no recogniser"),
        ({"metadata": "5"}, "describes no recogniser"),
    ],
)
def test_files_with_another_description(saved, changes, message):
    _, path = saved
    relabelled(path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_other_files_are_refused(saved, tmp_path):
    model, path = saved
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:5000])
    torch.save(model.state_dict(), tmp_path / "a.pth")
    for other, message in (
        (tmp_path / "none.safetensors", "no such file"),
        (cut, "damaged or no safetensors"),
        (tmp_path / "a.pth", "expected a .safetensors file; public weights are read by load_public"),
    ):
        with pytest.raises(InputError, match=message):
            load(other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, p: load(p, classes=51), "a recogniser of 3 classes, expected 51"),
        (lambda m, p: load(p, classes=["run", "walk"]), "a recogniser of 3 classes, expected 2"),
        (lambda m, p: load(p, classes=["walk", "run", "wave"]), "its classes are run, walk, wave, expected walk, run"),
        (lambda m, p: save(m, p, classes=["run"]), "expected 3 different names of classes, got 1: run"),
        (lambda m, p: save(m, p, classes=["run", "run", "walk"]), "3 different names"),
        (lambda m, p: save(m, p.with_suffix(".pth")), "ends in .safetensors"),
    ],
)
def test_other_classes_are_named(saved, call, message):
    with pytest.raises(InputError, match=message):
        call(*saved)


# --- public weights


def mmaction2(state):
    """torchvision's ResNet naming as mmaction2 has it: a convolution and its norm in one ConvModule."""
    out = {}
    for key, value in state.items():
        key = re.sub(r"^fc\.", "cls_head.fc_cls.", key)
        key = re.sub(r"\bbn(\d)\.", r"conv\1.bn.", key)
        key = re.sub(r"\bconv(\d)\.(weight|bias)$", r"conv\1.conv.\2", key)
        key = key.replace("downsample.0.", "downsample.conv.").replace("downsample.1.", "downsample.bn.")
        out[key] = value
    return {key: value for key, value in out.items() if key not in ("mean", "std")}


@pytest.mark.parametrize(("backbone", "modality"), [("resnet50", "rgb"), ("resnet50", "flow"), ("resnet18", "rgb")])
def test_mmaction2_naming(backbone, modality, tmp_path):
    model = network(TSN, 4, modality, backbone)
    public = mmaction2(model.state_dict())
    known = {"backbone.conv1.conv.weight", "backbone.conv1.bn.running_var", "cls_head.fc_cls.bias"}
    known |= {"backbone.layer1.0.conv1.conv.weight", "backbone.layer2.0.downsample.conv.weight"}
    known |= {"backbone.layer4.1.conv2.bn.bias", "backbone.layer3.0.downsample.bn.weight"}
    assert known <= set(public)
    torch.save({"state_dict": public, "meta": {"epoch": 100}}, tmp_path / "tsn.pth")
    loaded = load_public(tmp_path / "tsn.pth")
    assert loaded.arguments["backbone"] == backbone and loaded.modality == modality and loaded.fc.out_features == 4
    if modality == "flow":  # mmaction2 divides flow by 128
        torch.testing.assert_close(loaded.std, torch.full((10, 1, 1), 128 / 255))
        model.std.fill_(128 / 255)
    x = clips(1, 2, model.channels, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("modality", ["rgb", "flow"])
@pytest.mark.parametrize("naming", ["base_model", "bare"])
def test_bn_inception_naming(naming, modality, tmp_path):
    model = network(TSN, 4, modality, "bn_inception")
    public = {}
    for key, value in model.state_dict().items():
        if key in ("mean", "std") or "num_batches" in key:
            continue  # older files have no counters
        bare = key.removeprefix("backbone.").replace("fc.", "new_fc." if naming == "base_model" else "last_linear.")
        if bare == "conv1_7x7_s2.weight" and modality == "rgb":
            value = value.flip(1)  # BGR
        if naming == "base_model" and "_bn." in bare:
            value = value[None]  # Caffe's blobs
        public["module." + ("" if "fc." in bare else "base_model.") + bare if naming == "base_model" else bare] = value
    assert {"conv1_7x7_s2.weight", "inception_4e_double_3x3_2_bn.running_mean"} <= {
        key.removeprefix("module.base_model.") for key in public
    }
    torch.save(public, tmp_path / "tsn.pth")
    loaded = load_public(tmp_path / "tsn.pth")
    x = clips(1, 2, model.channels, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), model(x), rtol=1e-4, atol=1e-4)


def test_what_is_missing_or_left_over_is_named(tmp_path):
    public = mmaction2(network(TSN, 4, "rgb", "resnet18").state_dict())
    del public["backbone.layer4.1.conv2.bn.weight"]
    public["backbone.layer9.conv.weight"] = torch.zeros(1)
    path = tmp_path / "tsn.pth"
    torch.save(public, path)
    with pytest.raises(
        InputError, match=r"layer4.1.bn2.weight float32 \(512,\) is missing; .*layer9.conv.weight .* not"
    ):
        load_public(path)
    public = mmaction2(network(TSN, 4, "rgb", "resnet18").state_dict())
    del public["cls_head.fc_cls.weight"]
    torch.save(public, path)
    with pytest.raises(InputError, match="no classifier among these weights of resnet18; give them as TSN"):
        load_public(path)
    del public["backbone.conv1.conv.weight"]
    torch.save(public | {"fc.weight": torch.zeros(4, 512)}, path)
    with pytest.raises(InputError, match=r"backbone.conv1.weight float32 \(64, 3, 7, 7\) is missing"):
        load_public(path)
    torch.save({"_conv_stem.weight": torch.zeros(32, 3, 3, 3), "_blocks.19._bn9.bias": torch.zeros(1)}, path)
    with pytest.raises(
        InputError, match=r"bn1.weight float32 \(32,\) is missing; .* and \d+ more; take TSN or ImageNet weights"
    ):
        recognition.TSN(2, "rgb", "efficientnet_lite0", imagenet=path)
    torch.save({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"not the weights of a network known here, found conv.weight \(1,\)"):
        load_public(path)
    torch.save(network(TSN, 4, "rgb", "lite"), path)  # a pickled module
    with pytest.raises(InputError, match="Python objects besides tensors"):
        load_public(path)


def test_public_weights_become_our_own_file(tmp_path):
    torch.save(mmaction2(network(TSN, 3, "flow", "resnet18").state_dict()), tmp_path / "tsn.pth")
    model = load_public(tmp_path / "tsn.pth")
    assert load_public(tmp_path / "tsn.pth", classes=3).stream == "temporal" and model.metadata == {}
    with pytest.raises(InputError, match="a recogniser of 3 classes, expected 51"):
        load_public(tmp_path / "tsn.pth", classes=51)
    own = load(save(model, tmp_path / "tsn.safetensors", classes=NAMES))
    assert own.classes == NAMES and torch.equal(own.std, model.std)
    assert recognition.checkpoint.NETWORKS["TSN"] is TSN
