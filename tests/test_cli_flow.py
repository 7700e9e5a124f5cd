"""`arsr flow` as a user types it, and flow.extract behind it: every output, constant memory, bad input."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from arsr import cli
from arsr_core import flow, video
from arsr_core.errors import InputError
from arsr_core.flow import extraction, files

FAST = {"warps": 1, "scales": 2}


def frames(count=4, height=32, width=40):
    """A smooth texture that moves 2 px to the right with each frame, uint8."""
    noise = np.random.default_rng(0).random((height, width + 2 * count, 3)).astype(np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 2)
    texture = (255 * (texture - texture.min()) / (texture.max() - texture.min())).astype(np.uint8)
    return np.stack([texture[:, 2 * (count - t) : 2 * (count - t) + width] for t in range(count)])


@pytest.fixture
def clip(tmp_path):
    video.write(tmp_path / "in.mkv", frames(), 25)
    return tmp_path / "in.mkv"


@pytest.fixture
def expected():
    return flow.estimate(video.to_tensor(frames()), **FAST)[0]  # (3, 2, 32, 40)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


# --- extract


@pytest.mark.parametrize("format, suffix, error", [("flo", ".flo", 0), ("kitti", ".png", 1 / 128)])
def test_folders_of_flow(clip, tmp_path, expected, format, suffix, error):
    flow.extract(clip, tmp_path / "out", format=format, **FAST)
    assert names(tmp_path / "out") == [f"00000{t}{suffix}" for t in range(3)]
    again = torch.cat([flow.read(path) for path in files.listing(tmp_path / "out")])
    torch.testing.assert_close(again, expected, rtol=0, atol=error)


@pytest.mark.parametrize("bound", [None, 3.0])
def test_eight_bit_images_are_tsns(clip, tmp_path, expected, bound):
    flow.extract(clip, tmp_path / "out", format="uint8", bound=bound, **FAST)
    assert names(tmp_path / "out") == [f"flow_{axis}_0000{t}.png" for axis in "xy" for t in (1, 2, 3)]
    encoded = flow.encode_uint8(expected, bound or 20)
    for t in range(3):
        for axis in (0, 1):
            image = cv2.imread(str(tmp_path / "out" / f"flow_{'xy'[axis]}_0000{t + 1}.png"), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(image, encoded[t, axis].numpy())


def test_jpegs_as_tsns_tool_stores_them(clip, tmp_path, expected):
    flow.extract(clip, tmp_path / "out", format="uint8-jpg", **FAST)
    image = cv2.imread(str(tmp_path / "out" / "flow_x_00002.jpg"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (32, 40) and len(names(tmp_path / "out")) == 6
    assert np.abs(image.astype(int) - flow.encode_uint8(expected)[1, 0].numpy()).mean() < 2


def test_colour_pictures(clip, tmp_path, expected):
    flow.extract(clip, tmp_path / "out", format="png", bound=4, **FAST)
    ours = video.read(tmp_path / "out").frames
    assert np.array_equal(ours, video.to_uint8(flow.to_rgb(expected, 4)[None]))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_colour_video(clip, tmp_path, expected, suffix):
    flow.extract(clip, tmp_path / f"out{suffix}", **FAST)
    made = video.read(tmp_path / f"out{suffix}")
    assert made.fps == 25 and made.frames.shape == (3, 32, 40, 3)
    wanted = video.to_uint8(flow.to_rgb(expected, extraction.COLOUR_BOUND)[None])
    assert np.abs(made.frames.astype(int) - wanted).mean() < 8  # H.264 keeps a quarter of the colours


def test_odd_sides_gain_a_pixel_in_video_only(tmp_path):
    video.write(tmp_path / "in", frames()[:, :31, :39])
    flow.extract(tmp_path / "in", tmp_path / "out.mp4", fps=12, **FAST)
    info = video.probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.fps) == (40, 32, 12)
    flow.extract(tmp_path / "in", tmp_path / "out", **FAST)
    assert flow.read(tmp_path / "out" / "000000.flo").shape == (1, 2, 31, 39)


def test_precomputed_flow_becomes_anything(clip, tmp_path):
    flow.extract(clip, tmp_path / "flo", **FAST)
    flow.extract(tmp_path / "flo", tmp_path / "eight", method="precomputed", format="uint8")
    flow.extract(clip, tmp_path / "direct", format="uint8", **FAST)
    for path in (tmp_path / "direct").iterdir():
        assert path.read_bytes() == (tmp_path / "eight" / path.name).read_bytes()
    flow.extract(tmp_path / "flo", tmp_path / "out.mp4", method="precomputed", fps=25)
    assert video.count(tmp_path / "out.mp4") == 3


def test_memory_does_not_grow_with_the_clip(tmp_path, monkeypatch):
    """Frames are read no further than a batch ahead of the flow that is written."""
    ahead, read, written = [], [0], [0]

    def source(path):
        for frame in frames(40, 16, 16):
            read[0] += 1
            yield frame

    def write(folder, number, motion, bound):
        written[0] += 1
        ahead.append(read[0] - written[0])

    video.write(tmp_path / "in", frames(2, 16, 16))
    monkeypatch.setattr(video, "frames", source)
    monkeypatch.setitem(extraction.FORMATS, "flo", write)
    flow.extract(tmp_path / "in", tmp_path / "out", batch=4, **FAST)
    assert written[0] == 39 and max(ahead) <= 4


def test_an_error_half_way_leaves_nothing(tmp_path):
    video.write(tmp_path / "in", frames(30))
    (tmp_path / "in" / "000025.png").write_bytes(b"damaged")
    before = names(tmp_path)
    for target in ("out", "out.mp4"):
        with pytest.raises(InputError, match="000025.png: not a readable image"):
            flow.extract(tmp_path / "in", tmp_path / target, fps=25, **FAST)
    assert names(tmp_path) == before


def test_full_disk(clip, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(InputError, match=r"out: cannot be written \(No space left on device\); free some space"):
        flow.extract(clip, tmp_path / "out", **FAST)
    assert names(tmp_path) == ["in.mkv"]


def test_bad_targets(clip, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a").write_bytes(b"")
    for target, options, message in (
        ("taken", {}, "taken: exists and would be overwritten"),
        ("out.txt", {}, r"expected .mp4, .mov, .mkv for a video, or a format"),
        ("out.mp4", {"format": "flo"}, "the format flo makes a folder"),
        ("out", {"format": "gif"}, "unknown format 'gif'; choose one of flo, kitti"),
        ("out", {"bound": 0}, "expected bound from 0.001 to 10000 pixels"),
        ("absent/out", {}, "does not exist; create it first"),
        ("in.mkv", {}, "source and target are the same"),
    ):
        with pytest.raises(InputError, match=message):
            flow.extract(clip, tmp_path / target, **options)
    assert names(tmp_path) == ["in.mkv", "taken"]


# --- the command


def test_command(clip, tmp_path):
    command = [sys.executable, "-m", "arsr", "flow", "in.mkv", "out", "--format", "uint8"]
    command += ["--preset", "fast", "--bound", "8", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "written: out\n"
    flow.extract(clip, tmp_path / "call", format="uint8", bound=8, **flow.PRESETS["fast"])
    for path in (tmp_path / "call").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["absent.mp4", "out"], "absent.mp4"),
        (["in.mkv", "out", "--method", "raft"], "give weights=FILE"),
        (["in.mkv", "out", "--method", "raft", "--preset", "fast"], "--preset is of the method tvl1"),
        (
            ["in.mkv", "out", "--preset", "slow"],
            "invalid choice 'slow' for argument '--preset'. Expected one of ('reference', 'fast', 'opencv2');",
        ),
        (["in.mkv", "out", "--device", "quantum"], "got 'quantum'"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(clip, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(sys, "argv", ["arsr", "flow", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    error = capsys.readouterr().err
    assert ended.value.code == 2 and message in error and error.count("\n") == 1, error
    assert names(tmp_path) == ["in.mkv"]


def test_bad_clips(tmp_path):
    video.write(tmp_path / "one", frames(1))
    video.write(tmp_path / "small", frames(3, 12, 40))
    for source, options, message in (
        ("one", {}, "two frames or more"),
        ("small", {}, "frames of 40x12 px are too small"),
        ("one", {"method": "nothing"}, "two frames or more|unknown method"),
        ("small", {"method": "nothing"}, "unknown method 'nothing'"),
        ("small", {"method": "precomputed"}, "not a KITTI flow"),
        ("small", {"method": "precomputed", "warps": 2}, "precomputed: no option warps"),
    ):
        with pytest.raises(InputError, match=message):
            flow.extract(tmp_path / source, tmp_path / "out", **options)
    assert names(tmp_path) == ["one", "small"]


def test_sizes_that_differ(tmp_path):
    video.write(tmp_path / "in", frames(3))
    cv2.imwrite(str(tmp_path / "in" / "000002.png"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(InputError, match="000002.png is 20x20, the frames before it are 40x32"):
        flow.extract(tmp_path / "in", tmp_path / "out", **FAST)
