import struct

import numpy as np
import pytest
import torch

from arsr_core import ncnn, sr
from arsr_core.errors import InputError
from arsr_core.sr import namings


def write_model(folder, model, *, half=True):
    """An RRDBNet as an ncnn model: the text file, and the weights in the order of the forward pass."""
    state, lines, data = model.state_dict(), [], b""
    for name in [key.removesuffix(".weight") for key in state if key.endswith(".weight")]:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        lines.append(f"Convolution {name} 1 1 a b 0={len(bias)} 1=3 4=1 5=1 6={weight.numel()}")
        lines.append(f"Split s{name} 1 2 b c d")
        blob = weight.numpy().astype("<f2" if half else "<f4").tobytes()
        data += struct.pack("<I", ncnn.HALF if half else ncnn.SINGLE) + blob + b"\0" * (-len(blob) % 4)
        data += bias.numpy().astype("<f4").tobytes()
    param = folder / "model.param"
    param.write_text("\n".join(["7767517", f"{len(lines)} 9", *lines]) + "\n")
    param.with_suffix(".bin").write_bytes(data)
    return param


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = sr.build("esrgan", features=7, blocks=1, growth=3)
    for parameter in model.parameters():  # biases too, and exact in half precision
        parameter.data = torch.randint(-8, 9, parameter.shape) / 64
    return model.eval()


@pytest.mark.parametrize("half", [True, False])
def test_a_model_comes_back_as_it_was(tmp_path, model, half):
    loaded = sr.load("esrgan", write_model(tmp_path, model, half=half))
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(loaded(x), model(x))


def test_conversion_notes_what_it_was(tmp_path, model):
    param, target = write_model(tmp_path, model), tmp_path / "out.safetensors"
    note = namings.convert(param, target)
    assert note["network"] == "RRDBNet" and note["source"] == "model.bin" and len(note["sha256"]) == 64
    assert int(note["parameters"]) == sum(p.numel() for p in model.parameters())
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(sr.load("sosr", target)(x), model(x))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.bin", "model.param", "out.safetensors"]


def test_bad_models(tmp_path, model):
    param = write_model(tmp_path, model)
    binary = param.with_suffix(".bin")
    data = binary.read_bytes()
    for changed, message in [
        (data[:-8], "inside layer"),
        (data + b"\0\0\0\0", "4 bytes are left over"),
        (struct.pack("<I", 0x000D4B38) + data[4:], "layer 0 is quantised"),
    ]:
        binary.write_bytes(changed)
        with pytest.raises(InputError, match=message):
            ncnn.convolutions(param)
    binary.write_bytes(data)
    text = param.read_text()
    for old, new, message in [
        (" 6=189", "", "layer 0 is damaged"),
        (" 0=7 ", " 0=x ", "layer 0 is damaged"),
        (" 6=189", " 6=190", "no multiple of 63"),
    ]:
        param.write_text(text.replace(old, new, 1))
        with pytest.raises(InputError, match=message):
            ncnn.convolutions(param)
    param.write_text(text + "\n\n")
    assert len(ncnn.convolutions(param)) == 21  # blank lines do no harm
    param.write_text(text.replace("7767517", "1"))
    with pytest.raises(InputError, match="not an ncnn text model"):
        ncnn.convolutions(param)
    binary.unlink()
    with pytest.raises(InputError, match="model.bin: no such file"):
        ncnn.convolutions(param)


def test_other_networks_are_refused(tmp_path):
    param = tmp_path / "m.param"
    param.write_text("7767517\n1 1\nConvolution c 1 1 a b 0=2 1=1 5=0 6=2\n")
    param.with_suffix(".bin").write_bytes(struct.pack("<I", 0) + np.ones(2, "<f4").tobytes())
    [(weight, bias)] = ncnn.convolutions(param)
    assert weight.shape == (2, 1, 1, 1) and bias.tolist() == [0, 0]
    with pytest.raises(InputError, match="1 convolutions are no RRDBNet"):
        ncnn.rrdb_state_dict(param)


def test_conversion_refuses_other_targets(tmp_path, model):
    param = write_model(tmp_path, model)
    for target in (tmp_path / "out.pth", tmp_path / "absent" / "out.safetensors"):
        with pytest.raises(InputError, match="ends in .safetensors, in a folder that exists"):
            namings.convert(param, target)
    torch.save({"x": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="not the weights of a network known here: VDSR"):
        namings.convert(tmp_path / "other.pth", tmp_path / "out.safetensors")
