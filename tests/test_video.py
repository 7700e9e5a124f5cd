"""Every claim of arsr_core.video on clips that the tests write themselves."""

import weakref
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from arsr_core import video
from arsr_core.errors import InputError


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def smooth(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A soft texture that drifts by two pixels a frame: codecs need several packets and B-frames for it."""
    texture = cv2.resize(noise(1, 6, 8)[0], (width, height))
    return np.stack([np.roll(texture, 2 * t, 1) for t in range(count)])


def encode(path: Path, frames: np.ndarray, codec: str, pixels: str = "yuv420p", fps: int = 25, **stream_calls) -> Path:
    """Lossy files and files with side data, which video.write does not make."""
    with av.open(str(path), "w", options=stream_calls.pop("container", {})) as container:
        stream = container.add_stream(codec, rate=fps, options=stream_calls.pop("options", {}))
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        for call, arguments in stream_calls.items():
            getattr(stream, call)(*arguments)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def cv2_read(path: Path) -> np.ndarray:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (answer := capture.read())[0]:
        frames.append(answer[1][..., ::-1])
    return np.stack(frames)


# Round trips ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [*video.LOSSLESS, ""])
@pytest.mark.parametrize("size", [(48, 64), (37, 53), (1, 1), (2, 3)])
def test_every_kind_of_output_gives_back_every_bit(tmp_path, suffix, size):
    clip = noise(5, *size)
    path = tmp_path / f"clip{suffix}"
    video.write(path, iter(clip), fps=25)
    back = video.read(path)
    assert back.frames.dtype == np.uint8 and np.array_equal(back.frames, clip)
    assert back.fps == (Fraction(25) if suffix else None)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 4), height=st.integers(1, 20), width=st.integers(2, 20), seed=st.integers(0, 99))
def test_ffv1_is_lossless_at_any_size(tmp_path_factory, count, height, width, seed):
    clip = noise(count, height, width, seed)
    path = tmp_path_factory.mktemp("any") / "clip.mkv"
    video.write(path, clip, fps=10)
    assert np.array_equal(video.read(path).frames, clip)


@pytest.mark.parametrize("suffix", video.LOSSLESS)
@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15, 2), 60])
def test_rates_survive(tmp_path, suffix, fps):
    path = tmp_path / f"clip{suffix}"
    video.write(path, smooth(10), fps=float(fps))
    info = video.probe(path)
    assert info.fps == fps and (info.width, info.height) == (64, 48)
    assert info.frames == (None if suffix == ".mkv" else 10) and video.count(path) == 10


def test_write_replaces_a_file_also_the_one_it_reads(tmp_path):
    path, clip = tmp_path / "clip.mkv", smooth(6)
    video.write(path, clip, fps=25)
    video.write(path, (255 - frame for frame in video.frames(path)), fps=25)
    assert np.array_equal(video.read(path).frames, 255 - clip)


def test_a_view_with_negative_strides_is_written(tmp_path):
    clip = noise(3, 6, 8)
    video.write(tmp_path / "clip.mkv", clip[:, :, ::-1], fps=25)
    video.write(tmp_path / "folder", clip[:, :, ::-1])
    assert np.array_equal(video.read(tmp_path / "clip.mkv").frames, clip[:, :, ::-1])
    assert np.array_equal(video.read(tmp_path / "folder").frames, clip[:, :, ::-1])


def test_what_a_codec_cannot_write_is_said(tmp_path):
    with pytest.raises(InputError, match="clip.mkv: FFmpeg cannot write 1x5 frames as ffv1"):  # not one pixel wide
        video.write(tmp_path / "clip.mkv", noise(1, 5, 1), fps=25)
    assert not any(tmp_path.iterdir())


# Reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv444p"),
        ("a.mov", "mjpeg", "yuvj420p"),
    ],
)
def test_pixels_equal_those_of_cv2(tmp_path, name, codec, pixels):
    path = encode(tmp_path / name, smooth(20), codec, pixels)
    assert np.array_equal(video.read(path).frames, cv2_read(path))


def test_large_frames_are_decoded_in_threads_to_the_same_pixels(tmp_path):
    path = encode(tmp_path / "a.mp4", smooth(9, 488, 648), "libx264", options={"preset": "ultrafast"})
    assert np.array_equal(video.read(path).frames, cv2_read(path))


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "folder"])
@pytest.mark.parametrize("span", [{}, {"start": 3}, {"stop": 4}, {"start": 2, "stop": 9}, {"stop": 99}])
def test_spans_are_slices(tmp_path, name, span):
    clip = noise(11, 8, 10)
    video.write(tmp_path / name, clip, fps=30)
    expected = clip[slice(span.get("start", 0), span.get("stop"))]
    back = video.read(tmp_path / name, **span)
    assert np.array_equal(back.frames, expected)
    assert back.fps == (None if name == "folder" else 30)


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "folder"])
@pytest.mark.parametrize("numbers", [[0], [3, 4, 10], range(1, 11, 4), {5, 2}])
def test_numbers_choose_frames(tmp_path, name, numbers):
    clip = noise(11, 8, 10)
    video.write(tmp_path / name, clip, fps=30)
    assert np.array_equal(video.read(tmp_path / name, numbers=numbers).frames, clip[sorted(numbers)])
    for beyond in ([11], [2, 11]):
        with pytest.raises(InputError, match="the clip has no frame 11; choose a lower one"):
            video.read(tmp_path / name, numbers=beyond)
    with pytest.raises(InputError, match="expected 0 <= start < stop, got start=0, stop=0"):
        video.read(tmp_path / name, numbers=[])


def test_other_frames_are_not_converted(tmp_path, monkeypatch):
    video.write(tmp_path / "clip.mkv", noise(9, 8, 10), fps=30)
    converted, converter = [], video._rgb_converter

    def watched():
        to_rgb = converter()
        return lambda frame: converted.append(frame.pts) or to_rgb(frame)

    monkeypatch.setattr(video, "_rgb_converter", watched)
    assert video.count(tmp_path / "clip.mkv") == 9 and not converted
    video.read(tmp_path / "clip.mkv", numbers=[2, 5])
    assert len(converted) == 2
    video.write(tmp_path / "images", noise(3, 8, 10))
    (tmp_path / "images" / "000001.png").write_bytes(b"no image")
    assert video.count(tmp_path / "images") == 3 and len(video.read(tmp_path / "images", numbers=[0, 2]).frames) == 2


def test_frames_are_the_callers_own(tmp_path):
    clip = noise(4, 9, 13)  # an odd width: rows are padded
    encode(tmp_path / "raw.avi", clip, "rawvideo", "bgr24")
    encode(tmp_path / "rle.mov", clip, "qtrle", "rgb24")  # decodes to rgb24 and keeps its frame for the next
    for name in ("raw.avi", "rle.mov"):
        for frame, expected in zip(video.frames(tmp_path / name), clip, strict=True):
            assert np.array_equal(frame, expected) and frame.flags.c_contiguous and frame.flags.writeable
            frame[:] = 0


def test_streaming_holds_one_frame(tmp_path):
    references = []

    def watched(source):
        for frame in source:
            references.append(weakref.ref(frame))
            assert sum(reference() is not None for reference in references) <= 3  # ours, the user's, the next
            yield frame

    video.write(tmp_path / "clip.mkv", watched(np.full((24, 32, 3), t, np.uint8) for t in range(50)), fps=25)
    for t, frame in enumerate(watched(video.frames(tmp_path / "clip.mkv"))):
        assert frame[0, 0, 0] == t
    assert t == 49 and len(references) == 100


def test_a_clip_of_one_frame_and_a_grey_one(tmp_path):
    video.write(tmp_path / "one.avi", noise(1, 4, 4), fps=25)
    assert video.count(tmp_path / "one.avi") == 1
    grey = encode(tmp_path / "grey.avi", smooth(3), "ffv1", "gray")
    frames = video.read(grey).frames
    assert frames.shape == (3, 48, 64, 3) and np.ptp(frames, axis=-1).max() == 0 and np.ptp(frames) > 50


def test_metadata_in_another_encoding_does_no_harm(tmp_path):
    path = encode(tmp_path / "a.avi", smooth(3), "mpeg4")
    data = path.read_bytes()  # the title that HMDB51's files carry in Latin-1
    assert data.count(b"Lavf") >= 1
    path.write_bytes(data.replace(b"Lavf", b"\xd3\xe9\xf1\xd3", 1))
    assert video.count(path) == 3


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [(False, False), (True, False), (False, True)])
def test_clips_appear_as_a_player_shows_them(tmp_path, degrees, mirrored):
    path = tmp_path / "phone.mp4"
    if not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write a display matrix (18 can)")
    upright = smooth(3)
    encode(path, upright, "libx264rgb", "rgb24", options={"qp": "0"}, set_display_rotation=(degrees, *mirrored))
    expected = np.rot90(upright, degrees // 90, (1, 2))  # counter-clockwise, then mirrored
    expected = expected[:, :: -1 if mirrored[1] else 1, :: -1 if mirrored[0] else 1]
    shown = video.read(path).frames
    assert np.array_equal(shown, expected)
    assert (video.probe(path).height, video.probe(path).width) == expected.shape[1:3]
    if not any(mirrored):  # cv2 turns, but does not mirror
        assert np.array_equal(shown, cv2_read(path))


# Folders of images ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aspect", [Fraction(16, 11), Fraction(10, 11), 0.5, 1])
def test_the_shape_of_pixels_survives(tmp_path, aspect):
    frames = smooth(3)
    for name in ("a.mp4", "a.mov", "a.mkv"):
        video.encode(tmp_path / name, frames, 25, aspect=aspect)
        assert video.probe(tmp_path / name).aspect == aspect
    for name in ("b.mp4", "b.mov"):
        video.write(tmp_path / name, frames, 25, aspect=aspect)
        assert video.probe(tmp_path / name).aspect == aspect
    video.write(tmp_path / "folder", frames, aspect=aspect)
    assert video.probe(tmp_path / "folder").aspect == 1


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_ffv1_holds_square_pixels_only(tmp_path, name):
    with pytest.raises(InputError, match="FFV1 is written with square pixels, got aspect 16/11; give .mp4 or .mov"):
        video.write(tmp_path / name, smooth(2), 25, aspect=Fraction(16, 11))
    assert not list(tmp_path.iterdir())


def test_pixels_of_a_turned_clip_are_turned(tmp_path):
    if not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write a rotation")
    path = tmp_path / "a.mp4"
    for degrees, expected in ((0, Fraction(16, 11)), (90, Fraction(11, 16)), (180, Fraction(16, 11))):
        turn = {"set_display_rotation": (degrees, False, False)} if degrees else {}
        encode(path, smooth(2), "libx264", options={"aspect": "16:11"}, **turn)
        assert video.probe(path).aspect == expected


def test_a_folder_is_read_in_natural_order(tmp_path):
    clip = noise(12, 5, 7)
    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(tmp_path / f"frame{number}.PNG")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._frame0.png").write_text("what macOS leaves behind")
    assert np.array_equal(video.read(tmp_path).frames, clip)
    assert video.probe(tmp_path) == video.Info(7, 5, None, 12) and video.count(tmp_path) == 12


def test_images_of_other_kinds_become_rgb(tmp_path):
    rgb = noise(1, 16, 16)[0]
    Image.fromarray(rgb[..., 0]).save(tmp_path / "1.png")
    Image.fromarray(np.dstack([rgb, np.full_like(rgb[..., 0], 255)])).save(tmp_path / "2.png")
    Image.fromarray(rgb).save(tmp_path / "3.jpg", quality=90)
    grey, opaque, jpeg = video.read(tmp_path).frames
    assert np.array_equal(grey, np.dstack([rgb[..., 0]] * 3)) and np.array_equal(opaque, rgb)
    assert np.array_equal(jpeg, cv2.imread(str(tmp_path / "3.jpg"))[..., ::-1])


def test_a_folder_of_unequal_images_is_refused(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "1.png")
    Image.new("RGB", (8, 7)).save(tmp_path / "2.png")
    with pytest.raises(InputError, match=r"2\.png is 8x7, the frames before it are 8x6"):
        video.read(tmp_path)


def test_damaged_and_deep_images_are_refused(tmp_path):
    (tmp_path / "cut").mkdir()
    Image.fromarray(noise(1, 40, 40)[0]).save(tmp_path / "cut" / "1.png")
    whole = (tmp_path / "cut" / "1.png").read_bytes()
    (tmp_path / "cut" / "1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable image"):
        video.read(tmp_path / "cut")
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep" / "1.png")
    with pytest.raises(InputError, match="more than 8 bits"):
        video.read(tmp_path / "deep")


# Bad input --------------------------------------------------------------------------------------------------


def refused(path: Path, words: str, capfd, read=video.count) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and ";" in message  # the file, one line, a remedy
    assert capfd.readouterr() == ("", "")  # FFmpeg keeps quiet


def test_what_is_no_clip(tmp_path, capfd):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.avi").write_text("no video\n" * 100)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile /etc/hostname\n")
    Image.new("RGB", (64, 48)).save(tmp_path / "picture.jpg")
    (tmp_path / "picture.jpg").rename(tmp_path / "picture.mp4")
    (tmp_path / "folder").mkdir()
    for name, words in {
        "missing.avi": "no such file",
        "empty.mp4": "the file is empty",
        "text.avi": "not a readable video",
        "list.mp4": "not a readable video",
        "picture.mp4": "not a readable video",
        "folder": "no images",
    }.items():
        refused(tmp_path / name, words, capfd)
        refused(tmp_path / name, words, capfd, video.probe)
        refused(tmp_path / name, words, capfd, lambda path: next(video.frames(path)))


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_no_clip(tmp_path, capfd, cover):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            container.mux(picture.encode(av.VideoFrame.from_ndarray(smooth(1)[0], format="rgb24")))
            container.mux(picture.encode())
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    refused(tmp_path / "sound.mp4", "no video stream", capfd)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.9])
@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("xvid.avi", "mpeg4", {}),
        ("moov_at_the_end.mp4", "libx264", {}),
        ("moov_first.mp4", "libx264", {"movflags": "faststart"}),
        ("clip.mkv", "libx264", {}),
        ("lossless.mkv", "ffv1", {}),
    ],
)
def test_a_cut_file_is_noticed(tmp_path, capfd, name, codec, container, share):
    options = {"g": "10"} if codec == "libx264" else {}
    pixels = "bgr0" if codec == "ffv1" else "yuv420p"
    path = encode(tmp_path / name, smooth(100), codec, pixels, container=container, options=options)
    assert video.count(path) == 100
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refused(path, "cut|damaged|not a readable video|the picture ends", capfd)


def test_a_cut_inside_the_last_packet_is_noticed(tmp_path, capfd):
    path = encode(tmp_path / "clip.avi", noise(20, 96, 128), "mpeg4")
    with av.open(str(path)) as container:
        last = [packet.pos for packet in container.demux(video=0) if packet.size][-1]
    path.write_bytes(path.read_bytes()[: last + 100])
    assert video.probe(path).frames == 20  # too little is missing for the header to tell
    refused(path, "damaged after frame 19", capfd)


@pytest.mark.parametrize("name", ["clip.avi", "clip.mkv", "clip.mp4"])
def test_a_cut_between_two_packets_is_noticed(tmp_path, capfd, name):
    path = encode(tmp_path / name, smooth(60), "mpeg4", container={"movflags": "faststart"} if "4" in name else {})
    with av.open(str(path)) as container:
        packets = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: packets[50] - 8])
    refused(path, "cut|the picture ends|damaged|not a readable video", capfd)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264")])
def test_damage_in_the_middle_is_noticed(tmp_path, capfd, name, codec):
    path = encode(tmp_path / name, noise(20, 48, 64), codec)
    data = bytearray(path.read_bytes())
    middle = slice(len(data) // 2, len(data) // 2 + 500)
    data[middle] = np.random.default_rng(0).bytes(500)
    path.write_bytes(data)
    refused(path, "damaged", capfd)


@pytest.mark.parametrize("span", [{"start": -1}, {"start": 3, "stop": 3}])
def test_impossible_spans(tmp_path, span):
    with pytest.raises(InputError, match="expected 0 <= start < stop, got"):
        next(video.frames(tmp_path / "any.avi", **span))


def test_a_start_beyond_the_end(tmp_path):
    video.write(tmp_path / "clip.mkv", noise(3, 4, 4), fps=25)
    with pytest.raises(InputError, match="the clip has no frame 3"):
        video.read(tmp_path / "clip.mkv", start=3)


# Writing: all or nothing ------------------------------------------------------------------------------------


def stumble(clip: np.ndarray):
    yield from clip
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "folder"])
def test_an_error_on_the_way_leaves_nothing(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(KeyboardInterrupt):
        video.write(path, stumble(noise(5, 8, 8)), fps=25)
    assert not any(tmp_path.iterdir())
    for bad, words in [
        ([], "no frames; expected at least one"),
        (
            [noise(1, 8, 8)[0], noise(1, 8, 9)[0]],
            r"frame 1: expected a uint8 array \(8, 8, 3\), as before: .*; got uint8 \(8, 9, 3\)",
        ),
        ([np.zeros((8, 8, 3))], r"got float64 \(8, 8, 3\)"),
        ([np.zeros((8, 8), np.uint8)], r"expected a uint8 array \(H, W, 3\); got uint8 \(8, 8\)"),
        (["frame"], "got str"),
    ]:
        with pytest.raises(InputError, match=words):
            video.write(path, bad, fps=25)
        assert not any(tmp_path.iterdir())


def test_an_error_keeps_what_was_there(tmp_path):
    path = tmp_path / "clip.mkv"
    video.write(path, noise(2, 8, 8), fps=25)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        video.write(path, stumble(noise(5, 8, 8)), fps=25)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_bad_targets_are_refused_before_the_work(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.png").touch()
    (tmp_path / "file").touch()
    (tmp_path / "folder.mkv").mkdir()
    never = stumble(noise(0, 1, 1))  # would raise KeyboardInterrupt if touched
    for name, words in {
        "clip.wmv": "expected .mkv, .avi, .mp4, .mov or no suffix",
        "nowhere/clip.mkv": "does not exist; create it first",
        "full": "would be overwritten",
        "file": "would be overwritten",
        "folder.mkv": "would be overwritten",
    }.items():
        with pytest.raises(InputError, match=words):
            video.write(tmp_path / name, never, fps=25)
    for fps in (None, 0, -25, float("nan"), float("inf")):
        with pytest.raises(InputError, match="expected fps"):
            video.write(tmp_path / "clip.mkv", never, fps=fps)
    (tmp_path / "new").mkdir()
    video.write(tmp_path / "new", noise(1, 4, 4))
    assert video.count(tmp_path / "new") == 1


# Tensors ----------------------------------------------------------------------------------------------------


def test_all_levels_survive_the_way_to_tensors_and_back():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(2, 8, 16, 3)
    levels.flags.writeable = False
    clip = video.to_tensor(levels)
    assert clip.shape == (1, 2, 3, 8, 16) and clip.dtype == torch.float32 and clip.is_contiguous()
    assert clip.min() == 0 and clip.max() == 1
    assert clip[0, 1, 2, 3, 4] == levels[1, 3, 4, 2] / np.float32(255)
    assert np.array_equal(video.to_uint8(clip), levels)
    assert np.array_equal(video.to_tensor(levels[::-1]).numpy(), clip.flip(1).numpy())


def test_rounding_is_half_up_and_clamped():
    values = torch.tensor([-1, 0, 0.5 / 256, 0.5, 127.4999 / 255, 1, 2, float("inf"), float("-inf")])
    clip = values.expand(1, 1, 3, 1, -1)
    expected = [0, 0, 0, 128, 127, 255, 255, 255, 0]  # 0.5 is 127.5 levels
    assert video.to_uint8(clip)[0, 0, :, 0].tolist() == expected
    assert video.to_uint8(clip.double().requires_grad_())[0, 0, :, 2].tolist() == expected
    assert video.to_uint8(torch.full((1, 1, 3, 2, 2), 0.5, dtype=torch.bfloat16)).max() == 128


def test_wrong_shapes_and_types_are_refused():
    for bad in (
        np.zeros((2, 4, 4, 3)),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 1), np.uint8),
        "clip",
    ):
        with pytest.raises(InputError, match=r"to_tensor: expected a uint8 array \(T, H, W, 3\); got"):
            video.to_tensor(bad)
    for bad in (torch.zeros(2, 1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 3, 4, 4).int(), None):
        with pytest.raises(InputError, match=r"to_uint8: expected float clip \(1, T, 3, H, W\); got"):
            video.to_uint8(bad)
    with pytest.raises(InputError, match="NaN"):
        video.to_uint8(torch.full((1, 1, 3, 2, 2), float("nan")))


# Real clips -------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_real_clips_equal_cv2_and_raise_no_false_alarm(shared_data):
    paths = [p for suffix in ("avi", "mp4") for p in (shared_data / "clips").rglob(f"*.{suffix}")]
    assert len(paths) == 9
    for path in paths:
        clip = video.read(path)
        assert np.array_equal(clip.frames, cv2_read(path)), path
        assert 20 < clip.fps < 31 and video.count(path) == len(clip.frames)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["weizmann", "ut_interaction"])
def test_real_sets_raise_no_false_alarm(shared_data, name):
    paths = sorted((shared_data / name).rglob("*.avi"))
    assert len(paths) in (90, 120)
    assert all(video.count(path) > 10 for path in paths)


@pytest.mark.shared
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_real_clips_cut_are_noticed(shared_data, tmp_path, share):
    for path in (shared_data / "clips").rglob("*.*"):
        if path.suffix in (".avi", ".mp4"):
            data = path.read_bytes()
            cut = tmp_path / f"cut{path.suffix}"
            cut.write_bytes(data[: int(share * len(data))])
            with pytest.raises(InputError):
                video.count(cut)


def test_variable_rate_is_noticed(tmp_path):
    import av

    def write(name, times):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("ffv1", rate=50)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "bgr0"
            stream.codec_context.time_base = Fraction(1, 1000)
            for time in times:
                frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return tmp_path / name

    video.require_constant_rate(write("constant.mkv", [0, 33, 67, 100, 133, 167, 200]))  # 30 fps in milliseconds
    with pytest.raises(InputError, match="variable.mkv: its frames last 20 to 60 ms"):
        video.require_constant_rate(write("variable.mkv", [0, 20, 40, 60, 120, 180]))
