"""Flow files: bytes by hand, round trips, OpenCV's own reader, damage and bad input."""

import struct

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import flow
from arsr_core.errors import InputError
from arsr_core.flow import files

SUFFIXES = (".flo", ".png")


def random(h=5, w=7, seed=0, scale=10.0):
    return scale * torch.randn(1, 2, h, w, generator=torch.Generator().manual_seed(seed))


def test_flo_byte_by_byte(tmp_path):
    motion = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # u = 1 2, v = 3 4, one row
    flow.write(tmp_path / "a.flo", motion)
    assert (tmp_path / "a.flo").read_bytes() == b"PIEH" + struct.pack("<ii4f", 2, 1, 1, 3, 2, 4)


def test_kitti_level_by_level(tmp_path):
    motion = torch.tensor([0.0, -512.0, 511.984375, 1 / 64, 0.4 / 64]).repeat(2, 1).view(1, 2, 1, 5)
    flow.write(tmp_path / "a.png", motion)
    image = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)  # valid, v, u
    assert image.dtype == np.uint16 and (image[..., 0] == 1).all()
    assert image[0, :, 2].tolist() == image[0, :, 1].tolist() == [32768, 0, 65535, 32769, 32768]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path, suffix):
    motion = random()
    flow.write(tmp_path / f"a{suffix}", motion)
    again = flow.read(tmp_path / f"a{suffix}")
    assert again.shape == (1, 2, 5, 7) and again.dtype == torch.float32
    torch.testing.assert_close(again, motion, rtol=0, atol=1 / 128 if suffix == ".png" else 0)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]  # no temporary file is left


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_unknown_pixels_survive(tmp_path, suffix):
    motion, unknown = random(), torch.zeros(1, 1, 5, 7, dtype=torch.bool)
    motion[0, 1, 2, 3], motion[0, 0, 4, 4] = float("nan"), 2e9
    unknown[..., 2, 3] = unknown[..., 4, 4] = True
    flow.write(tmp_path / f"a{suffix}", motion)
    again = flow.read(tmp_path / f"a{suffix}")
    assert torch.equal(again.isnan(), unknown.expand_as(again))


def test_opencv_reads_and_writes_the_same_flo(tmp_path):
    motion = random(6, 9)
    flow.write(tmp_path / "a.flo", motion)
    assert np.array_equal(cv2.readOpticalFlow(str(tmp_path / "a.flo")), motion[0].permute(1, 2, 0).numpy())
    cv2.writeOpticalFlow(str(tmp_path / "b.flo"), motion[0].permute(1, 2, 0).numpy())
    assert torch.equal(flow.read(tmp_path / "b.flo"), motion)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31), st.floats(1e-3, 100))
def test_formats_in_memory(height, width, seed, scale):
    motion = random(height, width, seed, scale).clamp(-500, 500)[0].numpy()
    valid = np.random.default_rng(seed).random((height, width)) < 0.7
    for suffix, error in ((".flo", 0), (".png", 1 / 128)):
        decode, encode = files.FORMATS[suffix]
        uv = decode("a", encode("a", motion, valid))
        assert np.array_equal((np.abs(uv) < 1e9).all(0), valid)
        assert np.abs(uv - motion)[:, valid].max(initial=0) <= error


def test_a_failed_write_leaves_the_old_file(tmp_path):
    flow.write(tmp_path / "a.png", random())
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(InputError, match=r"hold -512 to 511.98 px, the flow has .* write .flo"):
        flow.write(tmp_path / "a.png", random() + 600)
    assert (tmp_path / "a.png").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_listing_is_in_natural_order(tmp_path):
    for name in ("10.flo", "9.flo", "8.flo", "notes.txt", ".hidden.flo"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in files.listing(tmp_path)] == ["8.flo", "9.flo", "10.flo"]
    (tmp_path / "b1.flo").write_bytes(b"")
    with pytest.raises(InputError, match="9.flo, 10.flo, b1.flo: expected the frames of one sequence"):
        files.listing(tmp_path)
    (tmp_path / "3.png").write_bytes(b"")
    with pytest.raises(InputError, match="one suffix .* found .flo and .png"):
        files.listing(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("damage", ["half", "no end", "flipped", "empty", "text"])
def test_damaged_files_are_named(tmp_path, capfd, suffix, damage):
    path = tmp_path / f"a{suffix}"
    flow.write(path, random(40, 50))
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        if suffix == ".flo":
            pytest.skip(".flo has no checksum")
        data[len(data) // 2] ^= 0xFF
    cut = {"half": data[: len(data) // 2], "no end": data[:-5], "empty": b"", "text": b"no flow at all"}
    path.write_bytes(cut.get(damage, data))
    with pytest.raises(InputError, match=f"a{suffix}: ") as caught:
        flow.read(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""  # no library talks to the terminal


def test_other_contents_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="not a KITTI flow"):
        flow.read(tmp_path / "a.png")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: flow.read("absent.flo"), "absent.flo: no such flow file"),
        (lambda: flow.read("absent.tiff"), "expected a flow file .flo, .png"),
        (lambda: flow.write("a.txt", random()), "expected a flow file"),
        (
            lambda: flow.write("a.flo", random()[0]),
            r"a.flo: expected float flow \(1, 2, H, W\); got float32 \(2, 5, 7\)",
        ),
        (lambda: flow.write("a.flo", random().int()), "int32"),
        (lambda: flow.write("a.flo", None), "NoneType"),
        (lambda: files.listing("absent"), "no such folder"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.shared
def test_middlebury_and_chairs(shared_data):
    motion = flow.read(shared_data / "flow" / "rubberwhale_gt.flo")
    theirs = cv2.readOpticalFlow(str(shared_data / "flow" / "rubberwhale_gt.flo"))
    known = (np.abs(theirs) < 1e9).all(-1)
    assert np.array_equal(~motion[0, 0].isnan().numpy(), known) and not known.all()
    assert np.array_equal(motion[0].permute(1, 2, 0).numpy()[known], theirs[known])
    assert flow.read(shared_data / "flow" / "chairs0_gt.flo").isfinite().all()
