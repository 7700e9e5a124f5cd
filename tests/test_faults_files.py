"""Hard files: hostile and real ones, what they announce, and what functions are given; each row is a case."""

import contextlib
import inspect
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import get_type_hints

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from arsr import cli
from arsr.embedded import generated
from arsr_core import colour, degrade, devices, errors, flow, losses, metrics, ncnn, recognition, sr, video, weights
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS, TSN
from arsr_core.sr import engine, namings
from arsr_core.sr.upscaling import upscale_video


def line(call, *parts: str) -> str:
    """The one line with which a call refuses."""
    with pytest.raises(InputError) as error:
        call()
    message = str(error.value)
    assert "\n" not in message and len(message) < 700, message
    for part in parts:
        assert part in message
    return message


def smooth(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    ramp = np.linspace(0, 200, width, dtype=np.uint8)
    return np.stack([np.broadcast_to(np.roll(ramp, 3 * t)[None, :, None], (height, width, 3)) for t in range(count)])


def encode(path: Path, frames: np.ndarray, codec="libx264", pixels="yuv420p", fps=25, edit=None, **options) -> Path:
    """A file of PyAV's; `edit` changes the stream before it is opened, or a packet before it is written."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        edit = edit or (lambda stream=None, packet=None: None)
        edit(stream=stream)
        colours = "rgba" if frames.shape[-1] == 4 else "rgb24"
        images = (av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=colours) for frame in frames)
        for packet in [packet for image in [*images, None] for packet in stream.encode(image)]:
            edit(packet=packet)
            container.mux(packet)
    return path


def images(folder: Path, *names: str, size=(64, 48)) -> Path:
    folder.mkdir()
    for name in names:
        Image.new("RGB", size, (9, 99, 199)).save(folder / name)
    return folder


# Weights ----------------------------------------------------------------------------------------------------


def h5(path: Path, make) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        make(h5py, file)
    return path


def bomb(path: Path) -> Path:
    options = dict(shape=(1 << 30,), dtype="f4", chunks=(1 << 20,), compression="gzip")
    return h5(path, lambda h5py, file: file.create_dataset("a", **options))


def external_link(path: Path) -> Path:
    h5(path.with_name("other.h5"), lambda h5py, file: file.create_dataset("x", data=np.ones((3, 4), "f4")))
    return h5(path, lambda h5py, file: file.__setitem__("a", h5py.ExternalLink("other.h5", "/x")))


def external_group(path: Path) -> Path:
    h5(path.with_name("other.h5"), lambda h5py, file: file.create_dataset("g/x", data=np.ones((3, 4), "f4")))
    return h5(path, lambda h5py, file: file.__setitem__("params", h5py.ExternalLink("other.h5", "/g")))


def external_data(path: Path) -> Path:
    path.with_name("secret").write_bytes(bytes(48))
    stored = [(str(path.with_name("secret")), 0, 48)]
    return h5(path, lambda h5py, file: file.create_dataset("a", (3, 4), "f4", external=stored))


def virtual(path: Path) -> Path:
    h5(path.with_name("other.h5"), lambda h5py, file: file.create_dataset("x", data=np.ones((3, 4), "f4")))

    def make(h5py, file):
        layout = h5py.VirtualLayout((3, 4), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3, 4))
        file.create_virtual_dataset("a", layout)

    return h5(path, make)


def soft_link(path: Path) -> Path:
    def make(h5py, file):
        file.create_dataset("b", data=np.ones((3, 4), "f4"))
        file["a"] = h5py.SoftLink("/b")

    return h5(path, make)


def torch_file(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


def deflated(path: Path) -> Path:
    """A PyTorch file of zeros, compressed, as PyTorch itself never writes it."""
    torch.save({"a": torch.zeros(1 << 22)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def shared(path: Path) -> Path:
    """All tensors in one piece of memory."""
    state, memory = sr.build("vdsr", **VDSR).state_dict(), torch.rand(1 << 16)
    torch.save({key: memory[: value.numel()].view_as(value) for key, value in state.items()}, path)
    return path


def script(path: Path) -> Path:
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    return path


HELD_ELSEWHERE = "is a link or lies in another file"


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("gzipbomb.h5", bomb, "announces 4,294,967,296 bytes of tensors in a file of"),
        ("extlink.h5", external_link, HELD_ELSEWHERE),
        ("extgroup.h5", external_group, HELD_ELSEWHERE),
        ("external-data.h5", external_data, HELD_ELSEWHERE),
        ("virtual.h5", virtual, HELD_ELSEWHERE),
        ("softlink.h5", soft_link, HELD_ELSEWHERE),
        ("expand-half-8TiB.pth", lambda p: torch_file(p, {"a": torch.zeros(1).half().expand(1 << 42)}), "announces"),
        ("meta.pth", lambda p: torch_file(p, {"a": torch.empty(1 << 40, device="meta")}), "holds no tensors by name"),
        ("zipbomb.pth", deflated, "announces 16,7"),
        ("jit.pt", script, "a TorchScript program, which could run code"),
        ("model.onnx", lambda p: p.write_bytes(b"\x08\x07\x12\x07pytorch") and p, ".onnx is not read here; convert it"),
    ],
)
def test_files_of_weights_that_are_more_than_data(tmp_path, capfd, name, make, words):
    path = make(tmp_path / name)
    for read in (weights.read, lambda path: namings.convert(path, tmp_path / "x.safetensors")):
        line(lambda read=read: read(path), str(path), words)
    assert capfd.readouterr() == ("", "") and not (tmp_path / "x.safetensors").exists()


def test_a_pipe_is_no_file_of_weights_and_no_clip(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    line(lambda: weights.read(tmp_path / "pipe.pth"), "pipe.pth: no such file")
    line(lambda: video.probe(tmp_path / "pipe.pth"), "pipe.pth: no such file")
    os.mkfifo(images(tmp_path / "frames", "0.png", "1.png") / "2.png")
    line(lambda: video.read(tmp_path / "frames"), "2.png: not a file (a folder, a pipe or a device)")


def test_weights_that_share_memory_are_imported(tmp_path):
    source, target = shared(tmp_path / "w.pth"), tmp_path / "w.safetensors"
    namings.convert(source, target)
    wanted = sr.load("vdsr", source).state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in sr.load("vdsr", target).state_dict().items())
    before = target.read_bytes()
    line(lambda: namings.convert(target, target), "source and target are the same file")
    assert target.read_bytes() == before


def test_numbers_of_other_byte_order_are_read(tmp_path):
    big = h5(tmp_path / "w.h5", lambda h5py, file: file.create_dataset("a", data=np.arange(3, dtype=">f4")))
    assert weights.read(big)["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("layers", [("8", "3", "-72"), ("-8", "3", "72"), ("0", "3", "0"), ("9" * 5000, "3", "72")])
def test_ncnn_models_with_impossible_layers(tmp_path, layers):
    options = " ".join(f"{key}={value}" for key, value in zip(("0", "1", "6"), layers, strict=True))
    (tmp_path / "a.param").write_text(f"7767517\n1 1\nConvolution c 1 1 a b {options}\n")
    (tmp_path / "a.bin").write_bytes(bytes(400))
    line(lambda: ncnn.convolutions(tmp_path / "a.param"), "a.param: layer 0 is damaged")


VDSR = {"layers": 4, "features": 8}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state, old: (
            {f"generator.{k}": v for k, v in old.items()} | {f"generator_ema.{k}": v for k, v in state.items()}
        ),
        lambda state, old: {"state_dict": {f"model.{k}": v for k, v in state.items()} | {"loss.w": torch.zeros(2)}},
        lambda state, old: {"state_dict": old, "state_dict_ema": state},
        lambda state, old: {"params": old, "params_ema": state},
        lambda state, old: {"model": old, "model_ema": state},
        lambda state, old: {"epoch": 3, "net_g": state, "optimizer": {"state": {}, "param_groups": []}},
    ],
    ids=[
        "generator beside generator_ema",
        "Lightning's model",
        "timm's average",
        "BasicSR's average",
        "model_ema",
        "the only one with tensors",
    ],
)
def test_the_tensors_that_authors_infer_with_are_taken(tmp_path, wrap):
    state = sr.build("vdsr", **VDSR).state_dict()
    torch.save(wrap(state, {key: value + 1 for key, value in state.items()}), tmp_path / "w.pth")
    loaded = sr.load("vdsr", tmp_path / "w.pth").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    ("load", "state"),
    [
        (recognition.load_public, {"_conv_stem.weight": torch.zeros(3), "fc.weight": torch.zeros(2, 3)}),
        (recognition.load_public, {"conv1_7x7_s2.weight": torch.zeros(3), "fc.weight": torch.zeros(2, 3)}),
        (recognition.load_public, {"layer1.0.conv2.weight": torch.zeros(1), "fc.weight": torch.tensor(1.0)}),
        (lambda path: sr.load("duf16", path), {f"G/Rconv{'9' * 5000}a/W": torch.zeros(1)}),
        (
            lambda path: sr.load("spmc", path),
            {"lstm.gates.weight": torch.zeros(1), "window": torch.tensor(float("nan"))},
        ),
        (lambda path: sr.load("vdsr", path), {"residual_layer.0.conv.weight": torch.zeros(1)}),
    ],
)
def test_weights_of_other_shapes_are_refused(tmp_path, load, state):
    torch.save(state, tmp_path / "w.pth")
    line(lambda: load(tmp_path / "w.pth"), "w.pth")


@pytest.mark.parametrize(
    "call",
    [
        lambda: TSN(2, "flow", "lite", flow_frames=10**9),
        lambda: TSN(10**12, "rgb", "lite"),
        lambda: sr.build("vdsr", layers=10**9),
        lambda: sr.build("vdsr", layers=torch.zeros(9, 9)),
        lambda: sr.build("vdsr", features=True),
        lambda: augmented(NOISE, 0),
        lambda: flow.stack(FLOWS, torch.tensor(1)),
    ],
)
def test_networks_of_no_size(call):
    line(call, "expected")


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": '[{"a": 1}, {"b": 2}]'},
        {"classes": '[["a"], ["b"]]'},
        {"classes": '"ab"'},
        {"classes": DEEP},
        {"metadata": '["a"]'},
        {"metadata": '"text"'},
        {"metadata": '{"protocol": ["a"]}'},
        {"metadata": '{"protocol": "lite"}'},
        {"metadata": '{"protocol": {"bound": [10]}}'},
        {"metadata": json.dumps({"protocol": vars(PROTOCOLS["lite"]) | {"bound": "ten"}})},
        {"metadata": json.dumps({"protocol": vars(PROTOCOLS["lite"]) | {"bound": float("inf")}})},
        {"arguments": DEEP},
        {"arguments": '{"classes": 1e400}'},
    ],
    ids=lambda changes: str(changes)[:50],
)
def test_descriptions_of_recognisers_that_are_none(tmp_path, changes):
    path = recognition.save(TSN(2, "rgb", "lite"), tmp_path / "a.safetensors", classes=["a", "b"])
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        header, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(state, path, metadata=header | changes)
    line(lambda: recognition.load(path), str(path), "describes no recogniser known here")


# Images -----------------------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    """The start of a PNG that announces this size."""
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    parts = [struct.pack(">I", len(x) - 4) + x + struct.pack(">I", zlib.crc32(x)) for x in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(" + b"/dev/null) (w) file closefile showpage\n%%EOF\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (png(30_000, 30_000), "not a readable image (Image size (900000000 pixels) exceeds limit"),
        (png(14_000, 14_000), "not a readable image (Image size (196000000 pixels) exceeds limit"),
        (png(12_000, 10_000), "frames of 120,000,000 pixels; expected 89,478,485 at most"),
        (png(2**31 - 1, 2**31 - 1), "not a readable image"),
        (EPS, "not a readable image (cannot identify image file"),
        (b"GIF89a", "not a readable image"),
    ],
    ids=["png 30000x30000", "png 14000x14000", "png 12000x10000", "png 2^31-1", "an eps named png", "a gif named png"],
)
def test_images_that_are_more_than_they_say(tmp_path, monkeypatch, content, words):
    monkeypatch.setattr(subprocess, "check_call", lambda *a, **k: pytest.fail("a program was started"))
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("a program was started"))
    images(tmp_path / "in", "0.png", "1.png")
    for name in ("0.png", "1.png"):
        (tmp_path / "in" / name).write_bytes(content)
    line(lambda: video.read(tmp_path / "in"), "0.png", words)
    with pytest.raises(InputError):
        cli.parse(["upscale", str(tmp_path / "in"), str(tmp_path / "o.mp4"), "--fps", "25"])()
    with pytest.raises(InputError):
        flow.read(tmp_path / "in" / "0.png")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_png_whose_checksum_fails_is_damaged(tmp_path):
    images(tmp_path / "f", "0.png")
    data = bytearray((tmp_path / "f/0.png").read_bytes())
    data[data.index(b"IDAT") + 12] ^= 1
    (tmp_path / "f/0.png").write_bytes(data)
    line(lambda: video.read(tmp_path / "f"), "0.png: not a readable image", "copy or download it again")


def test_transparency_of_webm_is_said(tmp_path, capfd):
    encode(tmp_path / "a.webm", smooth(4), "libvpx-vp9", "yuva420p")
    cli.parse(["upscale", str(tmp_path / "a.webm"), str(tmp_path / "o.mp4")])()
    assert "has transparent parts, which show" in capfd.readouterr().err


def test_transparent_parts_let_black_through(tmp_path):
    rgba = np.full((48, 64, 4), 200, np.uint8)
    rgba[:, :32, 3], rgba[:, 32:, 3] = 0, 255
    images(tmp_path / "in", "0.png")
    Image.fromarray(rgba).save(tmp_path / "in" / "0.png")
    moving = encode(tmp_path / "in.mov", np.stack([rgba] * 2), "qtrle", "argb")
    for source in (tmp_path / "in", moving):
        frame = video.read(source).frames[0]
        assert (frame[:, :32] == 0).all() and (frame[:, 32:] == 200).all()


def test_an_animated_png_is_no_frame(tmp_path):
    first, second = (Image.new("RGB", (8, 6), colour) for colour in ("red", "blue"))
    (tmp_path / "in").mkdir()
    first.save(tmp_path / "in" / "0.png", save_all=True, append_images=[second])
    line(lambda: video.read(tmp_path / "in"), "0.png: holds 2 pictures (APNG)")


SEQUENCES = {
    "000 001 002": True,
    "0 5 10 15": True,
    "8 9 10": True,
    "frame8 frame9 frame10": True,
    "000000_10 000001_10 000002_10": True,
    "t0.25 t0.50 t0.75": True,
    "first second third": True,
    "7": True,
    "000 001 002 005 006 009": False,
    "0 2 3 4": False,
    "1 01 2": False,
    "t0.5 t0.25 t0.125": False,
    "a1 a2 b1 b2": False,
    "a1_1 a1_2 a2_1": False,
    "1 2 cover": False,
}


@pytest.mark.parametrize(("names", "whole"), SEQUENCES.items(), ids=SEQUENCES)
def test_a_folder_is_one_sequence(tmp_path, names, whole):
    images(tmp_path / "in", *(f"{name}.png" for name in names.split()))
    (tmp_path / "flow").mkdir()
    for name in names.split():
        flow.write(tmp_path / "flow" / f"{name}.flo", torch.zeros(1, 2, 16, 16))
    calls = (video.probe, video.count, video.read), (flow.files.listing,)
    for folder, some in zip(("in", "flow"), calls, strict=True):
        for call in some:
            if whole:
                call(tmp_path / folder)
            else:
                line(lambda call=call, folder=folder: call(tmp_path / folder), "expected the frames of one sequence")


# Videos: the rate, what is there, what is shown -------------------------------------------------------------


def last_frame_longer(path: Path) -> Path:
    packets = []

    def edit(stream=None, packet=None):
        if packet:
            packets.append(packet)
            packet.duration = 50 if len(packets) == 50 else 1

    return encode(path, smooth(50), fps=25, edit=edit, bf="0")


def fps_everywhere(path: Path) -> set[Fraction]:
    return {video.probe(path).fps, video.read(path, stop=1).fps}


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_the_length_of_the_last_frame_spoils_no_rate(tmp_path, name):
    path = last_frame_longer(tmp_path / name)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate < 20
    assert fps_everywhere(path) == {25}
    video.require_constant_rate(path)
    upscale_video(sr.load("bicubic"), path, tmp_path / "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].average_rate == 25


def test_raw_dv_has_a_rate(tmp_path):
    path = encode(tmp_path / "v.dv", smooth(5, 576, 720), "dvvideo")
    assert fps_everywhere(path) == {25} and video.count(path) == 5


def test_a_gif_rounds_its_times_to_hundredths(tmp_path):
    first, *rest = (Image.fromarray(frame) for frame in smooth(90))
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=[30, 30, 40] * 30)
    assert fps_everywhere(tmp_path / "a.gif") == {30}
    video.require_constant_rate(tmp_path / "a.gif")


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.avi", "a.ts"])
@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(15, 2), 24])
def test_exact_rates_are_read_as_they_are(tmp_path, name, fps):
    path = encode(tmp_path / name, smooth(60), "mpeg4" if "avi" in name else "libx264", fps=fps)
    assert fps_everywhere(path) == {fps}


def avi(path: Path, count: int = 20, announced: int | None = None, empty: int = 0, edit=None) -> Path:
    """An AVI of `count` frames whose header may announce others and that may end in empty chunks."""
    data = bytearray(encode(path, smooth(count), "mpeg4").read_bytes())
    announced = announced or count + empty
    struct.pack_into("<I", data, data.index(b"avih") + 8 + 16, announced)
    struct.pack_into("<I", data, data.index(b"strh") + 8 + 32, announced)
    movi, index = data.index(b"movi"), data.rindex(b"idx1")
    chunks, entries = bytearray(data[:index]), bytearray(data[index + 8 : index + 8 + 16 * count])
    for _ in range(empty):
        entries += struct.pack("<4sIII", b"00dc", 0, len(chunks) - movi, 0)
        chunks += struct.pack("<4sI", b"00dc", 0)
    struct.pack_into("<I", chunks, movi - 4, len(chunks) - movi)
    if edit:
        edit(entries)
    data = chunks + (struct.pack("<4sI", b"idx1", len(entries)) + entries if entries else b"")
    struct.pack_into("<I", data, 4, len(data) - 8)
    path.write_bytes(data)
    return path


def counts(path: Path, folder: Path) -> set[int]:
    """How many frames each way of reading finds."""
    upscale_video(sr.load("bicubic"), path, folder / "sr")
    flow.extract(path, folder / "flow", warps=1, scales=1)
    found = len(list((folder / "sr").iterdir())), len(list((folder / "flow").iterdir())) + 1
    return {video.count(path), len(video.read(path).frames), *found}


@pytest.mark.parametrize(
    "make",
    [
        lambda path: avi(path),
        lambda path: avi(path, empty=6),
        lambda path: avi(path, announced=22),
        lambda path: avi(path, edit=lambda entries: entries.clear()),
    ],
    ids=["as it should be", "last chunks repeat the picture", "110 of 100 frames", "without an index"],
)
def test_the_books_of_an_avi_do_not_matter(tmp_path, make):
    assert counts(make(tmp_path / "a.avi"), tmp_path) == {20}


def test_an_index_that_leads_astray_is_said(tmp_path):
    def astray(entries):
        for at in range(16 * 4, len(entries), 16):
            entries[at + 8 : at + 16] = entries[8:16]

    path = avi(tmp_path / "a.avi", 84, edit=astray)
    for call in (video.count, video.read, lambda path: flow.extract(path, tmp_path / "f", warps=1, scales=1)):
        line(
            lambda call=call: call(path),
            "a.avi: its header announces 84 frames, its index leads to 5",
            "ffmpeg -fflags +ignidx",
        )
    assert [p.name for p in tmp_path.iterdir()] == ["a.avi"]


def test_joined_transport_streams_are_one_clip(tmp_path):
    part = encode(tmp_path / "part.ts", smooth(25)).read_bytes()
    (tmp_path / "in.ts").write_bytes(part + part)
    assert counts(tmp_path / "in.ts", tmp_path) == {50}
    assert fps_everywhere(tmp_path / "in.ts") == {25}
    video.require_constant_rate(tmp_path / "in.ts")


@pytest.mark.parametrize(
    ("name", "codec", "pixels"), [("a.gif", "gif", "rgb8"), ("a.wmv", "wmv2", "yuv420p")], ids=["GIF", "WMV"]
)
def test_a_file_without_its_end_is_cut(tmp_path, name, codec, pixels):
    path = encode(tmp_path / name, smooth(30), codec, pixels)
    assert counts(path, tmp_path) == {30}
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    line(lambda: video.probe(path), "the file is cut")


@pytest.mark.parametrize("lost", [1, 5])
def test_a_transport_stream_that_lost_packets_is_damaged(tmp_path, lost):
    data = encode(tmp_path / "in.ts", np.random.default_rng(0).integers(0, 255, (25, 48, 64, 3), np.uint8)).read_bytes()
    middle = len(data) // 376 * 188
    (tmp_path / "in.ts").write_bytes(data[:middle] + data[middle + 188 * lost :])
    line(lambda: video.count(tmp_path / "in.ts"), "damaged after frame")


@pytest.mark.parametrize("curve", [16, 18], ids=["PQ", "HLG"])
def test_hdr_is_refused_with_what_maps_its_tones(tmp_path, curve):
    def edit(stream=None, packet=None):
        if stream:
            stream.codec_context.color_trc, stream.codec_context.color_primaries = curve, 9

    path = encode(tmp_path / "hdr.mkv", smooth(3), pixels="yuv420p10le", edit=edit)
    for call in (video.probe, video.count, video.read):
        line(lambda call=call: call(path), "hdr.mkv: HDR", "tonemap")


def test_interlacing_is_said(tmp_path, capfd):
    path = encode(tmp_path / "i.mp4", smooth(4, 64, 64), flags="+ildct+ilme")
    assert "is interlaced" in video.probe(path).remark and "bwdif" in video.probe(path).remark
    cli.parse(["upscale", str(path), str(tmp_path / "o.mp4")])()
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2 and said[0] == video.probe(path).remark
    assert not video.probe(tmp_path / "o.mp4").remark


def test_edges_that_players_cut_off_are_said(tmp_path):
    path = tmp_path / "a.mkv"
    video.write(path, smooth(3), 25)
    assert not video.probe(path).remark
    unit, left = b"\x54\xb2\x81\x04", b"\x54\xcc\x81\x08"  # DisplayUnit, which nobody needs; PixelCropLeft, 8 px
    assert path.read_bytes().count(unit) == 1
    path.write_bytes(path.read_bytes().replace(unit, left))
    assert "has edges that players cut off" in video.probe(path).remark


@pytest.mark.parametrize(("height", "tag", "kept"), [(720, 2, 2), (720, 1, 5), (480, 2, 5)])
def test_hd_without_a_colour_tag_stays_without(tmp_path, monkeypatch, height, tag, kept):
    def edit(stream=None, packet=None):
        if stream:
            stream.codec_context.colorspace = tag

    path = encode(tmp_path / "in.mp4", smooth(2, height, 2 * height), edit=edit, preset="ultrafast")
    assert video.probe(path).tagged == (kept == 5)
    given = {}
    monkeypatch.setattr(video, "encode", lambda *a, **k: given.update(k))
    upscale_video(sr.load("bicubic"), path, tmp_path / "o.mp4")
    monkeypatch.undo()
    video.encode(tmp_path / "o.mp4", smooth(2), 25, tagged=given["tagged"])
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].codec_context.colorspace == kept


def test_the_default_stream_is_read(tmp_path):
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        streams = [container.add_stream("ffv1", rate=25) for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
            stream.disposition = av.stream.Disposition.default if number else av.stream.Disposition(0)
        for _ in range(3):
            for shade, stream in zip((10, 200), streams, strict=True):
                image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
                container.mux(stream.encode(image))
        for stream in streams:
            container.mux(stream.encode())
    assert (video.read(tmp_path / "two.mkv").frames == 200).all()


def with_sound(
    path: Path, start: int = 0, seconds: int = 1, codec="libx264", pixels="yuv420p", sound="aac", gop: int = 250
) -> Path:
    """A picture from frame `start` on, and a tone from the beginning."""
    with av.open(str(path), "w") as container:
        picture, tone = container.add_stream(codec, rate=25), container.add_stream(sound, rate=16000, layout="mono")
        picture.gop_size = gop
        picture.width, picture.height, picture.pix_fmt = 64, 48, pixels
        for number, frame in enumerate(smooth(25), start):
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            image.pts, image.time_base = number, Fraction(1, 25)
            container.mux(picture.encode(image))
        container.mux(picture.encode())
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 16000 * seconds), "<i2"), format="s16", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = 16000, 0, Fraction(1, 16000)
        container.mux(tone.encode(samples))
        container.mux(tone.encode())
    return path


def times(path: Path) -> dict[str, list[float]]:
    found = {"video": [], "audio": []}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.pts is not None:
                found[packet.stream.type].append(float(packet.pts * packet.time_base))
    return found


@pytest.mark.parametrize("name", ["o.mkv", "o.mp4"])
def test_sound_before_the_picture_is_left_out(tmp_path, name):
    source = with_sound(tmp_path / "in.mkv", 25, 2, "ffv1", "bgr0")
    video.encode(tmp_path / name, smooth(25), 25, sound=source)
    made = times(tmp_path / name)
    assert made["video"][0] == 0 and 0 <= made["audio"][0] < 0.07 and 0.9 < made["audio"][-1] < 1.1


@pytest.mark.parametrize("name", ["o.mkv", "o.mp4"])
def test_sound_of_joined_files_goes_on(tmp_path, name):
    part = with_sound(tmp_path / "in.ts").read_bytes()
    (tmp_path / "in.ts").write_bytes(part + part)
    upscale_video(sr.load("bicubic"), tmp_path / "in.ts", tmp_path / name)
    made = times(tmp_path / name)
    assert len(made["video"]) == 50 and 1.9 < made["audio"][-1] < 2.2
    assert np.diff(made["audio"]) == pytest.approx(0.064, abs=0.002)


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4", "in.ts"])
def test_a_start_that_cannot_be_decoded_is_said_and_its_sound_left_out(tmp_path, capfd, name):
    """A file that starts within a group of pictures: of the 25 frames the first that decodes is 10."""
    with av.open(str(with_sound(tmp_path / "whole.mp4", gop=10))) as whole, av.open(str(tmp_path / name), "w") as cut:
        streams = [cut.add_stream_from_template(stream) for stream in whole.streams]
        for packet in whole.demux():
            if packet.dts is not None and (packet.stream.type == "audio" or packet.pts * packet.time_base > 0.15):
                packet.stream = streams[packet.stream.index]
                cut.mux(packet)
    cli.parse(["upscale", str(tmp_path / name), str(tmp_path / "o.mp4")])()
    assert "starts within a group of pictures; the 0.20 s" in capfd.readouterr().err
    made = times(tmp_path / "o.mp4")
    assert len(made["video"]) == 16 and 0.5 < made["audio"][-1] < 0.7


@pytest.mark.parametrize("codec", ["flac", "libopus"])
def test_sound_that_mov_refuses_is_named(tmp_path, codec):
    source = with_sound(tmp_path / "in.mkv", sound=codec)
    line(lambda: video.encode(tmp_path / "o.mov", smooth(9), 25, sound=source), "mov cannot hold the source's sound")
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]


# Memory, and options that are none --------------------------------------------------------------------------


def plan(size: tuple[int, int], tile: int | None) -> tuple[int | None, int]:
    return engine._plan(sr.load("bicubic"), *size, engine.Settings(tile=tile), torch.device("cpu"), False)


def test_large_frames_are_estimated_first(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "memory", lambda device: 9 << 30)
    clip = torch.zeros(1, 1, 1, 1, 1).expand(1, 2, 3, 8000, 8000)
    monkeypatch.setattr("arsr_core.sr.upscaling.require_range", lambda *a: None)
    monkeypatch.setattr("arsr_core.flow.methods.require_range", lambda *a: None)
    line(lambda: sr.upscale(sr.load("bicubic"), clip), "upscale: 2 x 8000x8000 would take", "upscale_frames")
    line(lambda: plan((8000, 8000), None), "1 x 8000x8000 in Bicubic would take", "give smaller frames")
    line(lambda: flow.tvl1(clip[0, :1], clip[0, 1:]), "tvl1: 1 x 8000x8000 would take", "smaller frames")


@pytest.mark.parametrize(
    ("size", "tile", "refused"), [((180, 144), 1, True), ((2160, 3840), 1, True), ((12, 16), 1, False)]
)
def test_tiles_that_never_end_are_refused(size, tile, refused):
    if refused:
        line(lambda: plan(size, tile), "tile=1 makes", "give a tile from")
    else:
        assert plan(size, tile)[0] == tile


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["upscale", "IN", "o.mp4", "--fps", "1e-9"], "fps from 0.001 to 1000"),
        (["upscale", "IN", "o.mp4", "--fps", "nan"], "fps"),
        (["upscale", "IN", "o.mp4", "--fps", "inf"], "fps"),
        (["upscale", "IN", "o.mp4", "--tile", "-1"], "tile"),
        (["upscale", "FRAMES", "o.mp4"], "give --fps"),
        (["flow", "IN", "o.mp4", "--bound", "inf"], "bound as a finite number"),
        (["flow", "IN", "o", "--format", "uint8", "--bound", "nan"], "bound as a finite number"),
        (["flow", "IN", "o.mp4", "--fps", "0"], "fps"),
        (["flow", "IN", "o", "--format", "uint8", "--bound", "1e300"], "bound from 0.001 to 10000"),
        (
            ["flow", "FLOWS", "o.mp4", "--method", "precomputed"],
            "flows: has no rate; give one, frames per second: --fps",
        ),
        (["flow", "FLOWS", "o", "--method", "precomputed"], "2.flo: the flow is 8x9, that before it 8x8"),
        (["flow", "FLOWS", "o", "--method", "precomputed", "--workers", "2"], "--workers is of the method tvl1"),
        (["flow", "IN", "o", "--method", "raft", "--preset", "fast"], "--preset is of the method tvl1"),
        (["flow", "IN", "o", "--download"], "--download is of the method raft"),
        (["flow", "IN", "o", "--weights", "IN"], "--weights is of the method raft"),
        (["flow", "IN", "o.mp4", "--workers", "-1"], "workers"),
        (["flow", "FRAMES", "o.mp4"], "give --fps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_are_finite_and_in_range_before_the_work(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    video.write("in.mkv", smooth(3), 25)
    images(tmp_path / "frames", "0.png", "1.png")
    (tmp_path / "flows").mkdir()
    for number, height in enumerate((8, 8, 9)):
        flow.write(f"flows/{number}.flo", torch.zeros(1, 2, height, 8))
    words = [{"IN": "in.mkv", "FRAMES": "frames", "FLOWS": "flows"}.get(word, word) for word in words]
    line(lambda: cli.parse(words)(), said)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flows", "frames", "in.mkv"]


@pytest.mark.parametrize(
    "given", [{"size": (377154, 597160)}, {"size": (120, 10**9)}, {"frames": 10**9}, {"index": None}]
)
def test_generated_clips_of_no_size(given):
    line(lambda: generated.clip(**{"index": 0} | given), next(iter(given)))


# Same input, same bytes -------------------------------------------------------------------------------------


def twice(folder: Path, name: str, make) -> None:
    for part in ("a", "b"):
        (folder / part).mkdir()
        make(folder / part / name)
    files = sorted(p.relative_to(folder / "a") for p in (folder / "a").rglob("*") if p.is_file())
    assert files and all((folder / "a" / p).read_bytes() == (folder / "b" / p).read_bytes() for p in files)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi", "frames"])
def test_clips_are_written_the_same(tmp_path, name):
    frames = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    twice(tmp_path, name, lambda path: video.write(path, frames, 25))
    if name in ("a.mp4", "a.mov", "a.mkv"):
        twice(tmp_path / "a", name, lambda path: video.encode(path, np.concatenate([frames, smooth(60)]), 25))


def test_imported_weights_are_written_the_same(tmp_path):
    torch.save(sr.build("vdsr", **VDSR).state_dict(), tmp_path / "v.pth")
    made = set()
    for number in range(8):
        namings.convert(tmp_path / "v.pth", tmp_path / f"{number}.safetensors")
        made.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(made) == 1


def test_generated_clips_are_written_the_same(tmp_path):
    options = ["--count", "2", "--frames", "4"]
    twice(tmp_path, "clips", lambda path: cli.parse(["data", "generate", str(path), *options])())


# What functions are given -----------------------------------------------------------------------------------

NOISE = torch.rand(2, 6, 3, 48, 48, generator=torch.Generator().manual_seed(0))
FRAMES, FLOW = NOISE[:, 0], torch.ones(2, 2, 48, 48)
FLOWS, MASKS = torch.ones(2, 5, 2, 48, 48), torch.ones(2, 5, 1, 48, 48, dtype=torch.bool)
MODEL, LITE = sr.load("bicubic"), PROTOCOLS["lite"]
BYTES = np.zeros((3, 48, 48, 3), np.uint8)
STATE = {"a.weight": torch.zeros(2)}


def augmented(x: torch.Tensor, crop: int) -> torch.Tensor:
    return recognition.augment(x, crop=crop, generator=torch.Generator())


CALLS = {  # every public function of the library: (function, arguments that it takes)
    "video.probe": (video.probe, {"path": "IN"}),
    "video.count": (video.count, {"path": "IN"}),
    "video.require_constant_rate": (video.require_constant_rate, {"path": "IN"}),
    "video.frames": (video.frames, {"path": "IN", "start": 0, "stop": 2, "numbers": None}),
    "video.read": (video.read, {"path": "IN", "start": 0, "stop": 2, "numbers": None}),
    "video.write": (video.write, {"path": "OUT.mp4", "frames": BYTES, "fps": 25, "aspect": 1}),
    "video.encode": (video.encode, {"path": "OUT.mp4", "frames": BYTES, "fps": 25, "aspect": 1, "sound": None}),
    "video.uniform": (video.uniform, {"where": "x", "frames": BYTES}),
    "video.to_tensor": (video.to_tensor, {"frames": BYTES}),
    "video.to_uint8": (video.to_uint8, {"clip": NOISE[:1]}),
    "degrade.imresize": (degrade.imresize, {"x": FRAMES, "scale": 0.5, "size": None}),
    "degrade.to_lr": (degrade.to_lr, {"x": FRAMES, "scale": 4, "eight_bit": False}),
    "degrade.modcrop": (degrade.modcrop, {"x": FRAMES, "scale": 4}),
    "degrade.quantise": (degrade.quantise, {"x": FRAMES}),
    "colour.rgb_to_y": (colour.rgb_to_y, {"x": FRAMES}),
    "colour.to_grey": (colour.to_grey, {"frames": FRAMES}),
    "metrics.psnr": (metrics.psnr, {"sr": FRAMES, "hr": FRAMES, "crop": 4, "luma": True}),
    "metrics.ssim": (metrics.ssim, {"sr": FRAMES, "hr": FRAMES, "crop": 4, "luma": True}),
    "metrics.epe": (metrics.epe, {"flow": FLOW, "reference": FLOW, "mask": None}),
    "metrics.epe_above": (metrics.epe_above, {"flow": FLOW, "reference": FLOW, "threshold": 1.0}),
    "metrics.still_camera": (metrics.still_camera, {"reference": 0 * FLOW, "threshold": 0.1, "share": 0.5}),
    "metrics.phantom_flow": (metrics.phantom_flow, {"flow": FLOW, "reference": 0 * FLOW, "threshold": 0.5}),
    "metrics.tof": (metrics.tof, {"sr": NOISE, "hr": NOISE}),
    "metrics.warping_error": (metrics.warping_error, {"clip": NOISE, "flow": FLOWS, "mask": MASKS}),
    "metrics.flicker": (metrics.flicker, {"clip": NOISE, "reference": FLOWS, "threshold": 0.1}),
    "metrics.temporal_profile": (metrics.temporal_profile, {"clip": NOISE, "line": ((0, 1), (9, 1))}),
    "losses.mse": (losses.mse, {"sr": FRAMES, "hr": FRAMES}),
    "losses.wmse": (losses.wmse, {"sr": FRAMES, "hr": FRAMES, "flow": FLOW, "variant": "paper"}),
    "losses.siamese_warp": (
        losses.siamese_warp,
        {name: FRAMES for name in ("sr0", "sr1", "hr0", "hr1")} | {"flow": FLOW, "form": "paper", "weights": (1, 1, 1)},
    ),
    "losses.relativistic_d": (losses.relativistic_d, {"real": FRAMES, "fake": FRAMES}),
    "losses.relativistic_g": (losses.relativistic_g, {"real": FRAMES, "fake": FRAMES}),
    "weights.read": (weights.read, {"path": "W.pth"}),
    "weights.renamed": (weights.renamed, {"state": STATE, "rules": {"a": "b"}}),
    "weights.fill": (
        weights.fill,
        {"model": torch.nn.Linear(1, 1), "state": torch.nn.Linear(1, 1).state_dict(), "where": "w"},
    ),
    "weights.serialised": (weights.serialised, {"state": STATE, "metadata": {"a": "b"}}),
    "ncnn.convolutions": (ncnn.convolutions, {"param": "absent.param"}),
    "ncnn.rrdb_state_dict": (ncnn.rrdb_state_dict, {"param": "absent.param"}),
    "sr.build": (sr.build, {"name": "vdsr", "layers": 4, "features": 8}),
    "sr.load": (sr.load, {"name": "vdsr", "path": "W.pth"}),
    "sr.interpolate": (sr.interpolate, {"a": sr.build("bicubic"), "b": sr.build("bicubic"), "alpha": 0.5}),
    "sr.upscale": (
        sr.upscale,
        {"model": MODEL, "clip": NOISE, "frames": [0], "tile": None, "batch": 1, "padding": "black"},
    ),
    "flow.encode_uint8": (flow.encode_uint8, {"flow": FLOW, "bound": 20}),
    "flow.stack": (flow.stack, {"flow": FLOWS, "starts": [0], "frames": 5}),
    "flow.to_rgb": (flow.to_rgb, {"flow": FLOW, "bound": 5}),
    "flow.wheel": (flow.wheel, {}),
    "flow.tvl1": (
        flow.tvl1,
        {"frame0": FRAMES, "frame1": FRAMES, "backend": "auto", "workers": 1, "tau": 0.25, "warps": 1},
    ),
    "flow.TVL1": (flow.TVL1, {"tau": 0.25, "warps": 1, "scale_step": 0.8}),
    "flow.extract": (flow.extract, {"source": "IN", "target": "OUT", "method": "tvl1", "bound": 20, "fps": 25}),
    "flow.read": (flow.read, {"path": "F.flo"}),
    "flow.write": (flow.write, {"path": "OUT.flo", "flow": FLOW[:1]}),
    "flow.motion_boundary": (flow.motion_boundary, {"flow": FLOW}),
    "flow.occlusion": (flow.occlusion, {"flow": FLOW, "backward": FLOW}),
    "flow.reliable": (flow.reliable, {"flow": FLOW, "backward": FLOW}),
    "flow.estimate": (flow.estimate, {"clip": NOISE[:1, :2], "method": "tvl1", "warps": 1}),
    "flow.stream": (flow.stream, {"frames": BYTES, "method": "tvl1", "batch": 2, "warps": 1}),
    "flow.speed": (flow.speed, {"flow": FLOW}),
    "flow.warp": (flow.warp, {"image": FRAMES, "flow": FLOW}),
    "recognition.augment": (augmented, {"x": NOISE, "crop": 32}),
    "recognition.cross_modality": None,  # a piece of TSN
    "recognition.Backbone": None,  # a row of a table
    "recognition.load": (recognition.load, {"path": "R.safetensors", "classes": 2}),
    "recognition.load_public": (recognition.load_public, {"path": "R.pth", "classes": 2}),
    "recognition.save": (recognition.save, {"model": TSN(2, "rgb", "lite"), "path": "OUT.safetensors"}),
    "recognition.fuse": (recognition.fuse, {"spatial": torch.ones(2), "temporal": torch.ones(2), "weights": (1, 1.5)}),
    "recognition.crop": (recognition.crop, {"x": torch.rand(1, 3, 120, 160), "protocol": LITE}),
    "recognition.mirrored": (recognition.mirrored, {"x": NOISE}),
    "recognition.resize": (recognition.resize, {"x": NOISE, "protocol": LITE}),
    "recognition.starts": (recognition.starts, {"frames": 9, "protocol": LITE, "length": 1}),
    "recognition.train_starts": (recognition.train_starts, {"frames": 9, "segments": 3, "length": 1}),
    "recognition.Recogniser": None,  # what TSN and STResNet share
    "recognition.freeze": (recognition.freeze, {"model": TSN(2, "rgb", "resnet18"), "parts": 1}),
    "recognition.parameter_groups": (
        recognition.parameter_groups,
        {"model": TSN(2, "rgb", "lite"), "rate": 0.1, "decay": 0.1, "first": 5},
    ),
    "recognition.partial_bn": (recognition.partial_bn, {"model": TSN(2, "rgb", "lite")}),
    "recognition.Augmentation": (recognition.Augmentation, {"scales": (1.0,), "mirror": 0.5}),
    "recognition.Protocol": (recognition.Protocol, vars(LITE)),
    "recognition.STResNet": (recognition.STResNet, {"classes": 2, "backbone": "lite", "frames": 5}),
    "recognition.TSN": (recognition.TSN, {"classes": 2, "modality": "rgb", "backbone": "lite", "dropout": 0.5}),
}
PARTS = {"sr": sr, "flow": flow, "recognition": recognition}
MODULES = {m.__name__.split(".")[1]: m for m in (video, degrade, colour, metrics, losses, weights, ncnn)}
BAD = {"None": None, "nan": float("nan"), "inf": float("inf"), "word": "word", "list": [], "one value": torch.zeros(1)}


def public() -> set[str]:
    """The names of the library's public functions and classes of arguments."""
    names = {f"{part}.{name}" for part, package in PARTS.items() for name in package.__all__}
    names = {name for name in names if callable(getattr(PARTS[name.split(".")[0]], name.split(".")[1]))}
    for part, module in MODULES.items():
        own = (n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__)
        names |= {f"{part}.{name}" for name in own if not name.startswith("_")}
    return names - {"sr.Method"}


def test_every_public_function_is_in_the_table():
    assert public() <= CALLS.keys()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    with contextlib.chdir(folder):
        video.write("IN", BYTES)
        torch.save(sr.build("vdsr", **VDSR).state_dict(), "W.pth")
        recognition.save(TSN(2, "rgb", "lite"), "R.safetensors")
        state = TSN(2, "rgb", "resnet18").state_dict()
        torch.save({key: value for key, value in state.items() if key not in ("mean", "std")}, "R.pth")
        flow.write("F.flo", FLOW[:1])
        yield folder


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call])
def test_bad_values_are_refused_in_one_line(place, name):
    """A bad value raises InputError, or is one that the annotation allows; nothing else is raised, nothing is left."""
    function, good = CALLS[name]
    before = sorted(p.name for p in place.iterdir())
    hints = {}
    with contextlib.suppress(NameError):  # torch, where a module loads it for the checker of types alone
        hints = get_type_hints(function if inspect.isfunction(function) else function.__init__)
    for argument in good:
        for bad, value in BAD.items():
            allowed = (
                argument in hints and not isinstance(value, torch.Tensor) and errors._allowed(value, hints[argument])
            )
            try:
                result = function(**good | {argument: value})
                result = list(result) if inspect.isgenerator(result) else result
            except InputError as error:
                assert "\n" not in str(error), error
            else:
                assert allowed or _harmless(result, value), f"{name}({argument}={bad}) gave {result!r}"
                for made in [*place.glob("OUT*"), *place.glob("word")]:
                    shutil.rmtree(made) if made.is_dir() else made.unlink()
    assert sorted(p.name for p in place.iterdir()) == before


def _harmless(result: object, value: object) -> bool:
    """Elementwise functions take tensors of any shape; what they give of finite values is finite."""
    return isinstance(value, torch.Tensor) and isinstance(result, torch.Tensor) and bool(result.isfinite().all())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["psnr", "ssim", "epe", "epe_above", "phantom_flow", "warping_error", "flicker"])
def test_no_metric_of_values_that_are_none(name, value):
    function, good = CALLS[f"metrics.{name}"]
    first = next(iter(good))
    spoilt = good[first].clone()
    spoilt.view(-1)[5] = value
    line(lambda: function(**good | {first: spoilt}), f"{name}: values are NaN or infinite")


def test_unknown_flow_is_left_to_the_mask():
    unknown = FLOW.clone()
    unknown[:, :, :5] = float("nan")
    mask = ~unknown.isnan().any(1, keepdim=True)
    assert metrics.epe(FLOW, unknown, mask).tolist() == [0, 0]


def test_a_check_keeps_what_it_checks():
    @errors.checked
    def made(count: int, names: tuple[str, ...] = (), size: tuple[int, float] | None = None, **more: float):
        """A docstring."""
        return count, names, size, more

    given = dict(names=["a"], size=[1, Fraction(1, 2)], more=2)
    assert made(np.int64(3), **given) == (3, ["a"], [1, Fraction(1, 2)], {"more": 2})
    assert made.__doc__ == "A docstring." and "count: int" in str(inspect.signature(made))
    for given, words in (
        ({"count": True}, "made: expected count as a whole number, got True"),
        ({"count": 2.0}, "got 2.0"),
        ({"count": 1, "names": "ab"}, "expected names as tuple of str, got"),
        ({"count": 1, "size": (1,)}, "expected size as (a whole number, a finite number) or None, got (1,)"),
        ({"count": 10**30}, "expected count as a whole number, got 1000"),
        ({"count": 1, "names": torch.tensor(1.0)}, "expected names as tuple of str, got float32 ()"),
        ({"count": 1, "more": float("nan")}, "expected more as a finite number, got nan"),
    ):
        line(lambda given=given: made(**given), words)


# The whole command ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_large_frames_in_little_memory_are_one_line(tmp_path):
    images(tmp_path / "in", "0.png", "1.png", size=(8000, 8000))
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (9 << 30,) * 2); from arsr.cli import main; main()"
    for words in (["upscale", "in", "o"], ["flow", "in", "f", "--preset", "fast"]):
        done = subprocess.run([sys.executable, "-c", limit, *words], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert "would take" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
