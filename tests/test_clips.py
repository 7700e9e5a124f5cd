"""Clips of one shape, whatever was cut out; and clips in memory, embedded and real."""

import numpy as np
import pytest

from arsr.data import clips
from arsr.embedded import generated
from arsr_core import video
from arsr_core.errors import InputError


def _clip(height, width):
    """Frame t is grey level 10 t, but for a bright column in the middle."""
    frames = np.repeat(np.arange(0, 60, 10, dtype=np.uint8), height * width * 3).reshape(6, height, width, 3)
    frames[:, :, width // 2 - 4 : width // 2 + 4] = 255

    def read(numbers=None):
        return frames if numbers is None else frames[list(numbers)]

    return clips.Clip("one", "hug", 1, "fold1", read, lambda: len(frames))


@pytest.mark.parametrize("height, width", [(96, 96), (96, 160), (150, 100), (200, 300)])
def test_square(height, width):
    made = clips.square(_clip(height, width), side=48, every=2)
    frames = made.read()
    assert frames.shape == (3, 48, 48, 3) and frames.dtype == np.uint8
    assert frames[:, 0, 0, 0].tolist() == [0, 20, 40]  # every second frame
    bright = frames[0, 24, :, 0] > 128
    assert (
        bright[24] and bright[23] and abs(np.flatnonzero(bright).mean() - 23.5) < 0.6
    )  # the centre stays in the centre
    assert (made.name, made.action, made.label, made.group) == ("one", "hug", 1, "fold1")


def test_square_reads_in_part():
    whole = clips.square(_clip(96, 160), side=48, every=2)
    assert whole.count() == 3 and np.array_equal(whole.read((0, 2)), whole.read()[[0, 2]])
    assert clips.square(_clip(96, 160), every=4).count() == len(clips.square(_clip(96, 160), every=4).read()) == 2


def test_a_file_and_an_embedded_clip_read_in_part(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (7, 16, 24, 3), np.uint8)
    video.write(tmp_path / "a.mkv", frames, fps=25)
    file = clips.from_file(tmp_path, "a.mkv", "hug", 1, "a")
    drawn = clips.embedded(3, "test", frames=7)[2]
    for clip, expected in ((file, frames), (drawn, generated.clip(2, split="test", frames=7).frames)):
        assert clip.count() == 7 and np.array_equal(clip.read(), expected)
        assert np.array_equal(clip.read((1, 5, 6)), expected[[1, 5, 6]])
        with pytest.raises(InputError, match="frame"):
            clip.read((1, 7))


def test_embedded_footage_knows_its_motion():
    (one, two), what = clips.footage(count=2, frames=5, seed=3)
    made = generated.clip(1, split="test", frames=5, seed=3)
    assert what == "2 embedded test clips (synthetic)" and (two.name, two.action) == (f"{made.action} 1", made.action)
    assert (two.frames == made.frames).all() and two.hr.shape == (1, 5, 3, 120, 160) and two.hr.max() <= 1
    assert (two.flow[0].numpy() == made.flow).all() and (two.visible[0, :, 0].numpy() == ~made.occluded).all()
    part = one.cut(1, 3)
    assert (part.frames == one.frames[1:4]).all() and (part.flow == one.flow[:, 1:3]).all()
    assert part.visible.shape == (1, 2, 1, 120, 160)
    for first, count in ((3, 3), (-1, 2)):
        with pytest.raises(InputError, match="has 5 frames, expected . from frame . on"):
            one.cut(first, count)


def test_real_footage_is_read_and_cropped(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (6, 50, 66, 3), np.uint8)
    for name, count in (("wave/a", 6), ("wave/b", 1)):
        (tmp_path / "wave").mkdir(exist_ok=True)
        video.write(tmp_path / f"{name}.mkv", frames[:count], fps=25)
    (found,), what = clips.footage(tmp_path, ["*/a.mkv"], frames=4)
    assert what == "1 real clips: */a.mkv" and (found.name, found.action) == ("a", "wave")
    assert found.hr.shape == (1, 4, 3, 48, 64) and found.flow is None and found.cut(1, 2).hr.shape[1] == 2
    assert len(clips.footage(tmp_path, ["*/a.mkv"], frames=None)[0][0].frames) == 6
    with pytest.raises(InputError, match="a single frame, and flow needs two"):
        clips.footage(tmp_path, ["*/*.mkv"])
    with pytest.raises(InputError, match="no clips: ask for one or more, of a folder by glob patterns"):
        clips.footage(tmp_path)
    for wrong, message in (
        ({"frames": 1}, "frames=1: expected an integer >= 2"),
        ({"count": 0}, "no clips: ask for one or more"),
        ({"root": tmp_path, "patterns": ["*/a.mkv"], "frames": 1}, "a single frame, and flow needs two"),
        ({"root": tmp_path, "patterns": ["*/a.mkv"], "per_pattern": 0}, "no clips: ask for one or more"),
    ):
        with pytest.raises(InputError, match=message):
            clips.footage(**wrong)
    with pytest.raises(InputError, match=r"nothing matches \*.mov"):
        clips.footage(tmp_path, ["*.mov"])


def test_footage_spaces_its_choice_evenly(tmp_path):
    for name in (*(f"{i}.avi" for i in range(7)), "a.mkv"):
        video.write(tmp_path / name, np.zeros((2, 16, 16, 3), np.uint8), fps=25)

    def chosen(patterns, count):
        return [found.name for found in clips.footage(tmp_path, patterns, count)[0]]

    assert chosen(["*.avi", "*.mkv"], 3) == ["0", "3", "6", "a"]
    assert len(chosen(["*.avi"], 99)) == 7 and chosen(["*.avi"], 1) == ["0"]
