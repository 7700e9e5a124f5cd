import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from arsr_core import sr, weights
from arsr_core.degrade import imresize, quantise
from arsr_core.errors import InputError
from arsr_core.metrics import psnr
from arsr_core.sr import namings

SMALL = {
    "vdsr": {"layers": 4, "features": 8},
    "rcan": {"groups": 2, "blocks": 3, "features": 16, "reduction": 4},
    "srgan": {"blocks": 3, "features": 8},
    "esrgan": {"features": 12, "blocks": 2, "growth": 8},
    "spmc": {"features": 4, "motion": 6},
    "duf16": {"blocks": 5, "features": 12, "growth": 4, "width": 16},
}


def network(name, **changes):
    """A small network whose every weight and statistic is random."""
    torch.manual_seed(3)
    model = sr.build(name, **SMALL[name] | changes).eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if key not in ("mean", "value_range", "motion.reach") and value.is_floating_point():
                value += 0.2 * torch.rand_like(value) - (0 if key.endswith("var") else 0.1)
    return model


def renamed(state, *rules):
    """Our naming -> another: each rule a (pattern, replacement) for the whole key."""
    out = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            if re.fullmatch(pattern, key):
                key = re.sub(pattern, replacement, key)
                break
        out[key] = value
    return out


def same(model, name, path):
    loaded = sr.load(name, path)
    assert not loaded.training
    assert all(p.device.type == "cpu" for p in (*loaded.parameters(), *loaded.buffers()))
    assert all(p.requires_grad for p in loaded.parameters())
    x = torch.rand(1, 3, 6, 7) if model.frames == 1 else torch.rand(1, model.frames, 3, 6, 7)
    with torch.inference_mode():
        assert torch.equal(loaded(x), model(x))


def saved(state, path):
    torch.save(state, path)
    return path


RRDB_2018 = (
    (r"conv_first\.(.*)", r"model.0.\1"),
    (r"body\.(\d+)\.rdb(\d)\.conv(\d)\.(.*)", r"model.1.sub.\1.RDB\2.conv\3.0.\4"),
    (r"conv_body\.(.*)", r"model.1.sub.2.\1"),  # after the two blocks
    (r"conv_up1\.(.*)", r"model.3.\1"),
    (r"conv_up2\.(.*)", r"model.6.\1"),
    (r"conv_hr\.(.*)", r"model.8.\1"),
    (r"conv_last\.(.*)", r"model.10.\1"),
)
RRDB_2019 = (
    (r"body\.(\d+)\.rdb(\d)\.(.*)", r"RRDB_trunk.\1.RDB\2.\3"),
    (r"conv_body\.(.*)", r"trunk_conv.\1"),
    (r"conv_up(\d)\.(.*)", r"upconv\1.\2"),
    (r"conv_hr\.(.*)", r"HRconv.\1"),
)
RCAN_AUTHORS = (
    (r"conv_first\.(.*)", r"head.0.\1"),
    (r"body\.(\d+)\.residual_group\.(\d+)\.rcab\.([02])\.(.*)", r"body.\1.body.\2.body.\3.\4"),
    (r"body\.(\d+)\.residual_group\.(\d+)\.rcab\.3\.attention\.1\.(.*)", r"body.\1.body.\2.body.3.conv_du.0.\3"),
    (r"body\.(\d+)\.residual_group\.(\d+)\.rcab\.3\.attention\.3\.(.*)", r"body.\1.body.\2.body.3.conv_du.2.\3"),
    (r"body\.(\d+)\.conv\.(.*)", r"body.\1.body.3.\2"),  # after the three blocks
    (r"conv_after_body\.(.*)", r"body.2.\1"),  # after the two groups
    (r"upsample\.(.*)", r"tail.0.\1"),
    (r"conv_last\.(.*)", r"tail.1.\1"),
)
DUF_BASICSR = (
    (r"conv1\.(.*)", r"conv3d1.\1"),
    (r"blocks\.([01])\.(.*)", r"dense_block1.dense_blocks.\1.\2"),
    (r"blocks\.2\.(.*)", r"dense_block2.temporal_reduce1.\1"),
    (r"blocks\.3\.(.*)", r"dense_block2.temporal_reduce2.\1"),
    (r"blocks\.4\.(.*)", r"dense_block2.temporal_reduce3.\1"),
    (r"bn2\.(.*)", r"bn3d2.\1"),
    (r"conv2\.(.*)", r"conv3d2.\1"),
    (r"residual\.0\.(.*)", r"conv3d_r1.\1"),
    (r"residual\.2\.(.*)", r"conv3d_r2.\1"),
    (r"filters\.0\.(.*)", r"conv3d_f1.\1"),
    (r"filters\.2\.(.*)", r"conv3d_f2.\1"),
)


@pytest.mark.parametrize("name", SMALL)
def test_own_naming_and_size_from_safetensors(tmp_path, name):
    model = network(name)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    same(model, name, tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["esrgan", "sosr"])
@pytest.mark.parametrize("rules", [RRDB_2018, RRDB_2019, ()], ids=["2018", "2019", "basicsr"])
def test_rrdb_namings(tmp_path, name, rules):
    model = network("esrgan")
    state = renamed(model.state_dict(), *rules)
    markers = ["model.1.sub.0.RDB1.conv1.0.weight", "RRDB_trunk.0.RDB1.conv1.weight", "body.0.rdb1.conv1.weight"]
    assert sum(marker in state for marker in markers) == 1
    same(model, name, saved(state, tmp_path / "w.pth"))


@pytest.mark.parametrize("value_range", [255.0, 1.0])
def test_rcan_of_the_authors(tmp_path, value_range):
    mean = torch.tensor([0.469, 0.449, 0.4036])  # another training set's
    model = network("rcan")
    model.mean.copy_(mean)
    model.value_range.fill_(value_range)
    state = renamed(model.state_dict(), *RCAN_AUTHORS)
    del state["mean"], state["value_range"]
    for key, sign in (("sub_mean", -1), ("add_mean", 1)):
        state[f"{key}.weight"], state[f"{key}.bias"] = torch.eye(3).view(3, 3, 1, 1), sign * value_range * mean
    assert {"head.0.weight", "body.0.body.0.body.0.weight", "body.2.weight", "tail.0.2.bias"} <= set(state)
    loaded = sr.load("rcan", saved(state, tmp_path / "w.pt"))
    x = torch.rand(1, 3, 6, 7)
    torch.testing.assert_close(loaded(x), model(x))  # the mean went through a product and back
    assert loaded.value_range == value_range


def test_rcan_of_basicsr_has_no_mean_in_its_file(tmp_path):
    model = network("rcan")
    state = model.state_dict()
    del state["mean"], state["value_range"]
    same(model, "rcan", saved({"params": state}, tmp_path / "w.pth"))


def test_srresnet_of_basicsr_and_of_older_files(tmp_path):
    model = network("srgan")
    same(model, "srgan", saved({"params": model.state_dict()}, tmp_path / "new.pth"))
    older = renamed(model.state_dict(), (r"body\.(.*)", r"recon_trunk.\1"), (r"conv_hr\.(.*)", r"HRconv.\1"))
    same(model, "srgan", saved(older, tmp_path / "older.pth"))


@pytest.mark.parametrize("name", ["duf16", "tosr", "duf28"])
def test_duf_of_basicsr(tmp_path, name):
    model = network("duf16")
    state = renamed(model.state_dict(), *DUF_BASICSR)
    assert not set(state) & set(model.state_dict())
    same(model, name, saved({"params": state}, tmp_path / "w.pth"))


def tensorflow(model) -> dict[str, np.ndarray]:
    """The variables of the authors' code, by name, for one of our networks."""
    layers = {"conv1": "conv1", "conv2": "conv2", "residual.0": "rconv1", "filters.0": "fconv1", "filters.2": "fconv2"}
    norms = {"bn2": "fbn1"}
    for i in range(len(model.blocks)):
        layers |= {f"blocks.{i}.2": f"Rconv{i + 1}a", f"blocks.{i}.5": f"Rconv{i + 1}b"}
        norms |= {f"blocks.{i}.0": f"Rbn{i + 1}a", f"blocks.{i}.3": f"Rbn{i + 1}b"}
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    out = {}
    for ours, theirs in layers.items():
        out[f"G/{theirs}/W:0"] = state[f"{ours}.weight"].transpose(2, 3, 4, 1, 0)  # (T, H, W, in, out)
        out[f"G/{theirs}/b:0"] = state[f"{ours}.bias"]
    for ours, theirs in norms.items():
        suffixes = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        for suffix, variable in suffixes.items():
            out[f"G/{theirs}/{variable}:0"] = state[f"{ours}.{suffix}"]
        out[f"G/{theirs}/G/{theirs}/moving_mean/biased:0"] = state[f"{ours}.running_mean"] * 0
        out[f"G/{theirs}/G/{theirs}/moving_mean/local_step:0"] = np.float32(3)
    # the residual's 48 channels: colour is the last index there, the first here
    weight, bias = state["residual.2.weight"], state["residual.2.bias"]
    order = [16 * colour + pixel for pixel in range(16) for colour in range(3)]
    out["G/rconv2/W:0"], out["G/rconv2/b:0"] = weight[order].transpose(2, 3, 4, 1, 0), bias[order]
    out["G/filter_localexpand:0"] = out["G/filter_localexpand_1:0"] = np.eye(25).reshape(5, 5, 1, 25)
    return out


def hdf5(variables, path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        group = file.create_group("params")
        for name, value in variables.items():
            group.create_dataset(name.replace("_", "__").replace("/", "_"), data=value)
    return path


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_duf_of_the_authors(tmp_path, suffix):
    model = network("duf16")
    same(model, "duf16", hdf5(tensorflow(model), tmp_path / f"params_16L_x4{suffix}"))


def test_duf_of_the_authors_places_the_residual_as_depth_to_space_does(tmp_path):
    model = network("duf16")
    variables = {key: np.zeros_like(value) for key, value in tensorflow(model).items()}
    bias = variables["G/rconv2/b:0"] = np.arange(48, dtype=np.float32)
    out = sr.load("duf16", hdf5(variables, tmp_path / "w.h5"))(torch.zeros(1, 7, 3, 1, 1))
    # TensorFlow: channel (4 row + column) * 3 + colour of a pixel goes to (row, column, colour) of its 4x4 block
    assert np.array_equal(out[0].detach().numpy(), bias.reshape(4, 4, 3).transpose(2, 0, 1))


@pytest.mark.parametrize("wrap", ["params", "params_ema", "state_dict", "module", "compiled", "half", "ordered"])
def test_wrappers_and_prefixes(tmp_path, wrap):
    model = network("esrgan")
    state = model.state_dict()
    if wrap == "half":
        model.half().float()
    wrapped = {
        "params": {"params": state},
        "params_ema": {"params": {k: v + 1 for k, v in state.items()}, "params_ema": state},
        "state_dict": {"epoch": 4, "state_dict": {f"module.{k}": v for k, v in state.items()}, "optimizer": {}},
        "module": {f"module.{k}": v for k, v in state.items()},
        "compiled": {f"_orig_mod.{k}": v for k, v in state.items()},
        "half": {k: v.half() for k, v in state.items()},
        "ordered": OrderedDict(state),
    }[wrap]
    same(model, "esrgan", saved(wrapped, tmp_path / "w.pth"))


def test_bicubic_needs_no_file_and_the_others_say_which():
    x = torch.rand(1, 3, 5, 6)
    assert torch.equal(sr.load("bicubic")(x), imresize(x, 4))
    for name in set(sr.METHODS) - {"bicubic"}:
        with pytest.raises(InputError, match=f"^{name} needs weights; give a file of those of .+20[0-9]{{2}}"):
            sr.load(name)
    with pytest.raises(InputError, match="bicubic has no weights"):
        sr.load("bicubic", "w.pth")
    with pytest.raises(InputError, match="unknown method"):
        sr.load("edsr", "w.pth")


@pytest.mark.parametrize("name", [name for name in sr.METHODS if name != "bicubic"])
@pytest.mark.parametrize("other", SMALL)
def test_weights_of_another_network_are_named(tmp_path, name, other):
    model = network(other)
    path = saved(model.state_dict(), tmp_path / "w.pth")
    if sr.METHODS[name].build is sr.METHODS[other].build:
        same(model, name, path)
        return
    with pytest.raises(InputError) as error:
        sr.load(name, path)
    words, _, names = str(error.value).partition("; load them with name ")
    assert words.startswith(f"{path}: these are ") and other in names.split(" or ")


def test_the_message_for_another_network_in_full(tmp_path):
    path = saved(network("esrgan").state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError) as error:
        sr.load("rcan", path)
    names = "rrdb or esrgan or sosr or realsr"
    assert str(error.value) == f"{path}: these are RRDBNet weights; load them with name {names}"


def test_another_depth_of_duf_is_named(tmp_path):
    path = saved(sr.build("duf28").state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match="weights of the size of duf28; load them with name duf28"):
        sr.load("duf16", path)
    assert len(sr.load("duf28", path).blocks) == 12


def test_loading_draws_no_random_number(tmp_path):
    path = saved(network("vdsr").state_dict(), tmp_path / "w.pth")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    sr.load("vdsr", path)
    assert torch.equal(torch.rand(3), expected)


def test_spmc_keeps_its_frames_and_its_reach(tmp_path):
    model = network("spmc", frames=5)
    model.motion.reach.fill_(2.5)
    path = tmp_path / "w.safetensors"
    save_file(model.state_dict(), path)
    loaded = sr.load("spmc", path)
    assert loaded.frames == 5 and loaded.motion.reach == 2.5
    same(model, "spmc", path)
    state = {key: value for key, value in model.state_dict().items() if key != "window"}
    save_file(state, path)
    one_line(lambda: sr.load("spmc", path), "incomplete weights of SPMC: window, the number of frames, is missing")
    save_file(state | {"window": torch.tensor(4)}, path)
    one_line(lambda: sr.load("spmc", path), str(path), "expected an odd number of frames, 3 or more, got 4")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".h5", ".bin", ""])
@pytest.mark.parametrize("content", ["safetensors", "torch", "legacy", "hdf5"])
def test_what_a_file_holds_decides_not_its_suffix(tmp_path, content, suffix):
    model, path = network("duf16"), tmp_path / f"w{suffix}"
    if content == "safetensors":
        save_file(model.state_dict(), path)
    elif content == "hdf5":
        hdf5(tensorflow(model), path)
    else:
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=content == "torch")
    same(model, "duf16", path)


def one_line(call, *parts):
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message and len(message) < 600
    for part in parts:
        assert part in message
    return message


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_misfits_name_the_first_keys_and_shapes(tmp_path):
    state = network("esrgan").state_dict()
    path = tmp_path / "w.pth"
    missing = {key: value for key, value in state.items() if not key.startswith("conv_hr")}
    lacking = "conv_hr.weight float32 (12, 12, 3, 3) is missing"
    one_line(lambda: sr.load("esrgan", saved(missing, path)), str(path), lacking)
    extra = state | {"conv_up3.weight": torch.zeros(2, 3)}
    one_line(lambda: sr.load("esrgan", saved(extra, path)), "conv_up3.weight float32 (2, 3) is not part of it")
    twice = state | {"conv_first.weight": torch.zeros(12, 12, 3, 3)}  # Real-ESRGAN x2
    one_line(
        lambda: sr.load("esrgan", saved(twice, path)),
        "conv_first.weight is float32 (12, 12, 3, 3), expected float32 (12, 3, 3, 3)",
    )
    one_line(lambda: sr.load("esrgan", saved({k: v for k, v in state.items() if "rdb2" not in k}, path)), "and 17 more")
    headless = {key: value for key, value in state.items() if key != "conv_first.weight"}
    for call in (lambda: sr.load("esrgan", path), lambda: namings.convert(path, tmp_path / "w.safetensors")):
        saved(headless, path)
        one_line(call, str(path), "incomplete weights of RRDBNet: conv_first.weight is missing")
        for wrong in (torch.tensor(1.0), torch.zeros(12, 3, 3), torch.zeros(0, 3, 3, 3)):
            saved(state | {"conv_first.weight": wrong}, path)
            one_line(call, f"conv_first.weight is float32 {tuple(wrong.shape)}, expected a convolution's weight")
        saved(missing, path)
        one_line(call, str(path), lacking)
    assert not (tmp_path / "w.safetensors").exists()
    integer = state | {"conv_last.weight": state["conv_last.weight"].to(torch.int8)}  # quantised
    one_line(lambda: sr.load("esrgan", saved(integer, path)), "conv_last.weight is int8 (3, 12, 3, 3)")
    flat = state | {"conv_hr.bias": torch.tensor(1.0)}
    one_line(lambda: sr.load("esrgan", saved(flat, path)), "conv_hr.bias is float32 (), expected float32 (12,)")
    sparse = state | {"conv_hr.bias": torch.zeros(12).to_sparse()}
    one_line(lambda: sr.load("esrgan", saved(sparse, path)), "conv_hr.bias float32 (12,) is missing")
    noise = state | {"conv\n\x1b[2J": torch.zeros(1)}
    one_line(lambda: sr.load("esrgan", saved(noise, path)), r"'conv\n\x1b[2J' float32 (1,) is not part of it")


def test_a_file_that_wraps_itself_ends(tmp_path):
    circle = {}
    circle["params"] = circle
    one_line(lambda: sr.load("vdsr", saved(circle, tmp_path / "w.pth")), "holds no tensors by name")


def test_unknown_weights_show_their_first_keys(tmp_path):
    path = saved({"fc.weight": torch.zeros(2, 3)}, tmp_path / "w.pth")
    one_line(lambda: sr.load("vdsr", path), "not the weights of a network known here", "fc.weight (2, 3)")


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"params": {}}], ids=str)
def test_files_without_tensors(tmp_path, content):
    path = saved(content, tmp_path / "w.pth")
    one_line(lambda: sr.load("vdsr", path), str(path), "holds no tensors by name")


def test_a_bare_tensor_is_no_state_dict(tmp_path):
    path = saved(torch.zeros(3), tmp_path / "w.pth")
    one_line(lambda: sr.load("vdsr", path), "holds a Tensor, expected a state dict")


def test_missing_files(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        one_line(lambda path=path: sr.load("vdsr", path), f"{path}: no such file of weights")


class Payload:
    """Runs code when unpickled, as a malicious file would: it makes a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("legacy", [True, False])
def test_pickles_that_need_more_are_refused_with_the_remedy(tmp_path, legacy):
    path, trace = tmp_path / "w.pth", tmp_path / "trace"
    for content in (torch.nn.Linear(2, 2), {"model": Payload(trace)}):
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        one_line(lambda: sr.load("vdsr", path), str(path), "could run code", "safetensors.torch.save_file")
    path.write_bytes(pickle.dumps({"model": Payload(trace)}, protocol=2))  # without PyTorch's own header
    with pytest.raises(InputError, match="w.pth"):
        sr.load("vdsr", path)
    assert not trace.exists()


def test_pickled_arrays_are_read_without_running_anything(tmp_path):
    path, trace = tmp_path / "w.pkl", tmp_path / "trace"
    whole = np.arange(12, dtype=np.float32).reshape(3, 4)
    kinds = [whole, np.asfortranarray(whole), whole.astype(">f8"), whole.astype(np.uint8), whole[0]]
    path.write_bytes(pickle.dumps({"a": kinds}, protocol=4))
    found = weights.read(path)
    assert list(found) == [f"a.{i}" for i in range(5)] and found["a.3"].dtype == torch.uint8
    assert all(np.array_equal(x, y) for x, y in zip(found.values(), kinds, strict=True))
    for content in ([whole, Payload(trace)], [np.array([Payload(trace)], object)], [whole, 3], [np.array(["x"])]):
        path.write_bytes(pickle.dumps({"a": content}, protocol=4))
        one_line(lambda: weights.read(path), str(path), "could run code")
    assert not trace.exists()
    data = pickle.dumps({"a": [whole]}, protocol=4)
    path.write_bytes(data.replace(b"K\x03K\x04", b"K\x03K\xff"))  # a shape that its bytes do not fill
    one_line(lambda: weights.read(path), str(path))


@pytest.mark.parametrize("suffix", [".pth", ".old.pth", ".safetensors", ".h5"])
@pytest.mark.parametrize("damage", ["cut", "empty", "text", "zeros"])
def test_damaged_files(tmp_path, suffix, damage):
    model, path = network("duf16"), tmp_path / f"w{suffix}"
    if suffix == ".h5":
        hdf5(tensorflow(model), path)
    elif suffix == ".safetensors":
        save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=suffix == ".pth")
    data = path.read_bytes()
    path.write_bytes(
        {"cut": data[: len(data) * 2 // 3], "empty": b"", "text": b"<html>404</html>", "zeros": bytes(999)}[damage]
    )
    one_line(lambda: sr.load("duf16", path), str(path), "damaged or no", "copy or download it again")


@pytest.mark.shared
def test_vdsr_with_published_weights_on_set5(shared_data):
    scipy_io = pytest.importorskip("scipy.io")
    model = sr.load("vdsr", shared_data / "weights" / "vdsr_291_epoch50.safetensors")
    assert sum(p.numel() for p in model.parameters()) == 664_704
    # bicubic and VDSR, dB on luma, 8-bit output, 4 px cropped (whole Set5: the author states 31.45, the paper 31.35)
    expected = {"bird": (30.18, 33.73), "butterfly": (22.13, 27.39), "head": (31.57, 32.79)}
    for image, values in expected.items():
        mat = scipy_io.loadmat(shared_data / "set5_x4" / f"{image}_x4.mat")
        lr, hr = (torch.from_numpy(mat[k]).float().permute(2, 0, 1)[None] / 255 for k in ("im_l", "im_gt"))
        with torch.inference_mode():
            sr_frames = imresize(lr, 4), model(lr)
        assert [float(psnr(quantise(frame), hr)) for frame in sr_frames] == pytest.approx(values, abs=0.01)
