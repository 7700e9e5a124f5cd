"""recognition.protocol and .augment: TSN's snippets, sizes and crops, by its own formulae and by hand."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import recognition
from arsr_core.errors import InputError
from arsr_core.recognition import AUGMENTATIONS, PROTOCOLS, Augmentation, Protocol, augment

FULL, LIGHT, LITE = (PROTOCOLS[name] for name in ("full", "light", "lite"))


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# --- protocols


def test_full_is_tsns():
    assert dataclasses.asdict(FULL) == {
        "name": "full",
        "snippets": 25,
        "crops": 10,
        "size": (256, 340),
        "crop": 224,
        "flow_frames": 5,
        "bound": 20.0,
    }
    assert all(name == p.name for name, p in PROTOCOLS.items())
    assert LITE.size == (120, 160) and LIGHT.crops == LITE.crops == 1


# --- snippets


def tsn_ticks(frames, snippets, length):
    """The rule of TSN's evaluation tool, which counts frames from 1."""
    step = (frames - length) // (snippets - 1)
    if step > 0:
        return [i - 1 for i in range(1, min(2 + step * (snippets - 1), frames + 1), step)]
    return [0] * snippets


@pytest.mark.parametrize("length", [1, 5])
def test_starts_are_tsns_for_every_length_of_clip(length):
    for frames in range(length, 320):
        for protocol in (FULL, LIGHT):
            ours = recognition.starts(frames, protocol, length).tolist()
            assert ours == tsn_ticks(frames, protocol.snippets, length), frames


def test_starts_golden():
    assert recognition.starts(100, FULL).tolist() == list(range(0, 97, 4))  # floor(99 / 24) = 4
    assert recognition.starts(100, FULL, 5).tolist() == list(range(0, 73, 3))  # floor(95 / 24) = 3
    assert recognition.starts(28, FULL, 5).tolist() == [0] * 25  # floor(23 / 24) = 0
    assert recognition.starts(23, LITE, 5).tolist() == [0, 4, 8, 12, 16]
    assert recognition.starts(9, dataclasses.replace(LITE, snippets=1), 5).tolist() == [2]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 6), st.integers(0, 99))
def test_train_starts_lie_in_their_segments(extra, segments, length, seed):
    frames = length + extra - 1  # `extra` places
    generator = torch.Generator().manual_seed(seed)
    starts = recognition.train_starts(frames, segments, length, generator)
    assert starts.shape == (segments,) and starts.min() >= 0 and starts.max() + length <= frames
    assert (starts.diff() >= 0).all()
    if duration := extra // segments:
        assert (starts // duration).tolist() == list(range(segments))
    again = recognition.train_starts(frames, segments, length, generator.manual_seed(seed))
    assert torch.equal(starts, again)


def test_train_starts_reach_every_place_of_a_segment():
    generator = torch.Generator().manual_seed(0)
    seen = {recognition.train_starts(15, 3, 1, generator)[1].item() for _ in range(200)}
    assert seen == {5, 6, 7, 8, 9}


# --- size


@pytest.mark.parametrize("size", [(120, 160), (240, 320), (270, 480), (48, 64)])
def test_resize_is_opencvs(size):
    x = noise(2, 2, 3, *size)
    ours = recognition.resize(x, FULL)
    assert ours.shape == (2, 2, 3, 256, 340)
    theirs = cv2.resize(x[1, 0].permute(1, 2, 0).numpy(), (340, 256))
    torch.testing.assert_close(
        ours[1, 0].permute(1, 2, 0), torch.from_numpy(theirs), rtol=0, atol=1e-4
    )  # coordinates round
    levels = (x[0, 0].permute(1, 2, 0) * 255).round().byte()
    rounded = cv2.resize(levels.numpy(), (340, 256)) / np.float32(255)
    ours = recognition.resize((levels / 255).permute(2, 0, 1), FULL).permute(1, 2, 0)
    assert (ours - torch.from_numpy(rounded)).abs().max() < 1.01 / 255  # 8-bit OpenCV rounds


def test_resize_leaves_frames_of_the_size_alone():
    x = noise(4, 3, 120, 160)
    assert recognition.resize(x, LITE) is x


# --- crops


def test_ten_crops_by_hand():
    protocol = Protocol("t", snippets=1, crops=10, size=(6, 9), crop=4)
    x = torch.arange(2 * 2 * 3 * 54.0).view(2, 2, 3, 6, 9)  # (N, S, C, H, W)
    crops = recognition.crop(x, protocol)
    assert crops.shape == (2, 10, 2, 3, 4, 4)
    places = [(0, 0), (0, 5), (2, 0), (2, 5), (1, 2)]
    for i, (top, left) in enumerate(places):
        part = x[..., top : top + 4, left : left + 4]
        assert torch.equal(crops[:, i], part) and torch.equal(crops[:, i + 5], part.flip(-1))


def test_mirrored_flow_runs_the_other_way():
    levels = torch.randint(256, (1, 10, 6, 9), generator=torch.Generator().manual_seed(0))
    crops = recognition.crop(levels / 255, Protocol("t", snippets=1, crops=10, size=(6, 9), crop=4)) * 255
    expected = levels[..., 2:6, 5:9].flip(-1).clone()
    expected[:, ::2] = 255 - expected[:, ::2]  # u; v stays
    assert torch.equal(crops[:, 8].round().long(), expected)
    assert torch.equal(crops[:, 3].round().long(), levels[..., 2:6, 5:9])


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([2, 3, 10]), st.integers(1, 8))
def test_mirrored_twice_is_nothing(channels, width):
    x = noise(2, channels, 3, width)
    kept = x.clone()
    torch.testing.assert_close(recognition.mirrored(recognition.mirrored(x)), x, rtol=0, atol=1e-7)
    assert torch.equal(x, kept)


def test_centre_crop():
    x = noise(1, 3, 120, 160)
    assert torch.equal(recognition.crop(x, LITE), x[:, None, :, 4:116, 24:136])
    assert recognition.crop(noise(1, 25, 10, 256, 340), LIGHT).shape == (1, 1, 25, 10, 224, 224)


# --- augmentation


def test_crops_lie_on_tsns_places():
    """A picture that holds its own coordinates tells where each crop came from."""
    h, w, side = 120, 160, 112
    y, x = torch.meshgrid(torch.arange(h) + 0.0, torch.arange(w) + 0.0, indexing="ij")
    picture = torch.stack([y, x, y])[None, None].expand(400, 1, 3, h, w)
    out = augment(picture, crop=side, generator=torch.Generator().manual_seed(0))
    rows, columns = out[:, 0, 0, :, 0], out[:, 0, 1, 0]
    turned = columns[:, 0] > columns[:, -1]
    assert 0.4 < turned.float().mean() < 0.6
    columns = torch.where(turned[:, None], columns.flip(-1), columns)
    heights, widths = ((z.diff(dim=1).median(1).values * side).round().int() for z in (rows, columns))
    sides = [120, 105, 90, 79]
    assert set(heights.tolist()) == set(widths.tolist()) == set(sides)
    assert all(
        abs(sides.index(a) - sides.index(b)) <= 1 for a, b in zip(heights.tolist(), widths.tolist(), strict=True)
    )
    top = (rows[:, 0] - (heights / side - 1).clamp(min=0) / 2).round().int()  # pixel centres, borders repeated
    left = (columns[:, 0] - (widths / side - 1).clamp(min=0) / 2).round().int()
    grid = (
        {s: {(h - s) // 4 * i for i in range(5)} for s in sides},
        {s: {(w - s) // 4 * i for i in range(5)} for s in sides},
    )
    for t, a, le, b in zip(top.tolist(), heights.tolist(), left.tolist(), widths.tolist(), strict=True):
        assert t in grid[0][a] and le in grid[1][b]
        steps = (t // max(1, (h - a) // 4)) + (le // ((w - b) // 4))
        assert a == h or steps % 2 == 0  # 13 of the 25 places
    assert len({(t, le, a, b) for t, le, a, b in zip(top, left, heights, widths, strict=True)}) > 60


def test_a_crop_of_nearly_the_size_is_not_resized():
    x = noise(20, 1, 3, 114, 140)
    out = augment(x, crop=112, generator=torch.Generator().manual_seed(0), augmentation=Augmentation((1,), mirror=0))
    for sample, crop in zip(x, out, strict=True):
        assert any(
            torch.equal(crop, sample[..., t : t + 112, le : le + 112]) for t in (0,) for le in (0, 7, 14, 21, 28)
        )


def test_frames_and_flow_share_their_crops_and_the_flow_turns_its_sign():
    flow = noise(30, 2, 10, 60, 80)
    frames = flow[:, :, [1, 3, 5]]  # v has no sign to turn: the same picture in both
    a, b = augment(frames, flow, crop=48, generator=torch.Generator().manual_seed(3))
    assert a.shape == (30, 2, 3, 48, 48) and b.shape == (30, 2, 10, 48, 48)
    torch.testing.assert_close(a, b[:, :, [1, 3, 5]])
    unturned = augment(flow, crop=48, generator=torch.Generator().manual_seed(3), augmentation=Augmentation(mirror=0.0))
    turned = [i for i in range(30) if not torch.equal(b[i], unturned[i])]
    assert 5 < len(turned) < 25
    expected = unturned[turned].flip(-1)
    expected[:, :, ::2] = 1 - expected[:, :, ::2]
    torch.testing.assert_close(b[turned], expected)


def test_augment_is_a_function_of_the_seed_and_of_each_sample():
    x = noise(4, 2, 3, 60, 80)
    runs = [augment(x, crop=48, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    first = augment(x[:1], crop=48, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, runs[0][:1])


def test_degraded_frames_lose_detail_and_flow_does_not():
    config = Augmentation((1,), mirror=0.0, degrade=1.0, degrade_scale=4.0)
    x, flow = noise(8, 1, 3, 60, 60), noise(8, 1, 10, 60, 60)
    rgb, motion = augment(x, flow, crop=60, generator=torch.Generator().manual_seed(0), augmentation=config)
    assert torch.equal(motion, flow)
    assert (rgb.std((1, 2, 3, 4)) < 0.9 * x.std((1, 2, 3, 4))).all() and rgb.min() >= 0 and rgb.max() <= 1
    torch.testing.assert_close(rgb.mean((3, 4)), x.mean((3, 4)), rtol=0, atol=0.02)
    assert AUGMENTATIONS["rgb"].degrade == AUGMENTATIONS["flow"].degrade == 0


# --- bad input

RANDOM = torch.Generator()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recognition.starts(0, FULL), "starts: expected a clip of one frame or more, got 0"),
        (lambda: recognition.starts(4, FULL, 5), "5 flow fields, so of 6 frames, or more, got 4; leave this clip out"),
        (lambda: recognition.train_starts(4, 3, 5), "train_starts: .*got 4"),
        (lambda: recognition.train_starts(9, 0), "snippets and length from 1, got 0 and 1"),
        (lambda: Protocol("t", 5, 5, (256, 340), 224), "1 or 10 crops"),
        (lambda: Protocol("t", 5, 1, (100, 340), 224), "that the frames hold, got Protocol"),
        (lambda: Protocol("t", 5, 1, (256, 340), 224, bound=0), "positive"),
        (lambda: recognition.crop(noise(1, 3, 200, 340), FULL), r"200x340 do not hold crops of 224 px; resize them"),
        (lambda: augment(noise(2, 1, 3, 60, 80), noise(1, 1, 10, 60, 80), crop=48, generator=RANDOM), "clips1 .N, S1"),
        (lambda: augment(noise(2, 3, 60, 80), crop=48, generator=RANDOM), r"\(N, S, C, H, W\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
