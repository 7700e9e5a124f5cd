"""data.pairs: which windows are chosen, what a store holds whatever happens to its preparation, what training gets."""

import json
import pickle
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from arsr.data import pairs, stores
from arsr.data.pairs import Pairs, PairSet, store_pairs
from arsr.embedded import generated
from arsr_core import degrade, flow, metrics, video
from arsr_core.errors import InputError

SMALL = dict(patch=32, clip_frames=2, windows=3, frames=3, preset="fast")


def moving(count=8, size=(48, 64), step=(2, 1), seed=0):
    """A texture that moves by `step` (x, y) a frame: uint8 (T, H, W, 3)."""
    h, w = size
    far = max(map(abs, step)) * count
    noise = np.random.default_rng(seed).random((h + 2 * far, w + 2 * far, 3)).astype(np.float32)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.stack([smooth[far - step[1] * t :][:h, far - step[0] * t :][:, :w] for t in range(count)])


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two videos and a folder of frames."""
    root = tmp_path_factory.mktemp("sources") / "clips"
    (root / "deeper").mkdir(parents=True)
    video.write(root / "a.mkv", list(moving(seed=1)), 25)
    video.write(root / "deeper" / "b.avi", list(moving(step=(-1, 2), seed=2)), 25)
    video.write(root / "c", list(moving(count=9, seed=3)))
    (root / "notes.txt").write_text("no clip")
    return root


@pytest.fixture(scope="module")
def store(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "store"
    return out, store_pairs(Pairs((str(clips),), **SMALL), out)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "embedded"
    return out, store_pairs(Pairs(embedded=2, patch=64, clip_frames=3, windows=4), out)


def held(out):
    """Of each clip that serves its row of the index, its arrays, and its windows by column."""
    for row in json.loads((out / "index.json").read_text()):
        arrays = load_file(out / row["file"])
        yield row, arrays, [dict(zip(pairs.COLUMNS, window, strict=True)) for window in arrays["windows"].tolist()]


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- windows


def test_windows_are_those_of_a_search_by_hand():
    """Every window of the grid, the sums over centres taken one by one."""
    config = Pairs(embedded=1, patch=64, windows=5)
    assert (config.border, config.strides) == (5, (15, 20))
    motion = np.random.default_rng(0).normal(0, 3, (2, 120, 160)).astype(np.float16)
    motion[:, :70, :50] *= 4
    frames = moving(2, (120, 160))
    found = pairs._windows(*frames, motion, config, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    y0, x0 = rng.integers((120 - 64) % 15 + 1), rng.integers((160 - 64) % 20 + 1)
    length = np.hypot(*motion.astype(np.float64))
    means = {
        (x, y): length[y + 5 : y + 59, x + 5 : x + 59].mean()
        for y in range(y0, 120 - 64 + 1, 15)
        for x in range(x0, 160 - 64 + 1, 20)
    }
    best = sorted(means, key=means.get, reverse=True)[:5]
    assert [window[:2] for window in found] == best and best[0] == (x0, y0)


def test_paper_size_has_the_codes_grid():
    config = Pairs(embedded=1)
    assert (config.patch, config.border, config.strides, config.windows, config.spacing) == (128, 10, (30, 40), 10, 1)
    still, motion = moving(2, (240, 320), step=(0, 0)), np.ones((2, 240, 320))
    found = pairs._windows(*still, motion, config, np.random.default_rng(0))
    assert len({window[:2] for window in found}) == 10 and len({(x % 40, y % 30) for x, y, *_ in found}) == 1
    one = Pairs(embedded=1, windows=1)
    starts = [pairs._windows(*still, motion, one, np.random.default_rng(k))[0] for k in range(200)]
    # 240x320 leaves (320 - 128) % 40 = 32 and (240 - 128) % 30 = 22 px to start at
    assert {x % 40 for x, *_ in starts} == set(range(33)) and {y % 30 for _, y, *_ in starts} == set(range(23))


def test_warping_helps_with_the_right_flow_only():
    """The released code's check on the centre, in uint8: against a search without this module's functions."""
    config = Pairs(embedded=1, patch=32, windows=9)
    first, second = moving(2)
    for u, v, expected in ((2, 1, 1), (-2, -1, 0)):
        motion = np.broadcast_to(np.array([u, v], np.float32)[:, None, None], (2, 48, 64))
        found = pairs._windows(first, second, motion, config, np.random.default_rng(0))
        assert {warps for *_, warps in found} == {expected}
        for x, y, warps in found:
            a, b = first[y : y + 32, x : x + 32].astype(int), second[y : y + 32, x : x + 32].astype(int)
            rows, columns = np.clip(np.arange(32) + v, 0, 31), np.clip(np.arange(32) + u, 0, 31)
            inner = np.s_[2:-2, 2:-2]
            errors = [((a - other)[inner] ** 2).mean() for other in (b, b[rows][:, columns])]
            assert warps == (errors[1] < errors[0])


def test_windows_without_motion_are_left_out():
    config = Pairs(embedded=1, patch=32, windows=9)
    motion = np.zeros((2, 48, 96), np.float16)
    assert pairs._windows(*moving(2, (48, 96)), motion, config, np.random.default_rng(0)) == []
    motion[0, :, 80:] = 1  # reached by the centres of the last windows only
    found = pairs._windows(*moving(2, (48, 96)), motion, config, np.random.default_rng(0))
    assert 0 < len(found) < 9 and all(x + 30 > 80 for x, *_ in found)


# --- frames


@pytest.mark.parametrize(
    "size, expected",
    [
        ((720, 1280), (240, 424)),  # 240x427, cut to multiples of 4
        ((1280, 720), (424, 240)),
        ((480, 640), (240, 320)),
        ((288, 352), (288, 352)),  # CIF stays, as in CDVL-134
        ((270, 480), (268, 480)),
        ((120, 160), (120, 160)),  # never enlarged
    ],
)
def test_short_side_rule(size, expected):
    assert pairs._shrink(np.zeros((*size, 3), np.uint8), 240).shape == (*expected, 3)


def test_shrinking_is_matlabs_bicubic():
    frame = moving(1, (96, 130))[0]
    x = torch.tensor(frame).permute(2, 0, 1) / 255
    expected = degrade.imresize(x, size=(32, 43), eight_bit=True)[..., :40]
    np.testing.assert_array_equal(pairs._shrink(frame, 32), (expected * 255).round().permute(1, 2, 0).numpy())


# --- stores


def test_a_store_holds_the_clips_frames_flow_and_windows(clips, store):
    out, report = store
    assert report.clips == 3 and report.counts["windows"] == 3 * 2 * 3 and not report.skipped
    assert report.size == sum(p.stat().st_size for p in out.glob("*.safetensors"))
    assert [row["name"] for row, *_ in held(out)] == ["clips/a.mkv", "clips/c", "clips/deeper/b.avi"]
    assert {row["flow"] for row, *_ in held(out)} == {"TV-L1 fast, cpu"}
    steps = {"clips/a.mkv": (2, 1), "clips/c": (2, 1), "clips/deeper/b.avi": (-1, 2)}
    read = {"clips/c": video.read(clips / "c").frames, "clips/a.mkv": video.read(clips / "a.mkv").frames}
    for about, arrays, windows in held(out):
        frames, motion = arrays["frames"], arrays["flow"]
        assert frames.dtype == np.uint8 and motion.dtype == np.float16 and len(windows) == about["windows"] == 6
        for window in windows:
            if about["name"] in read:
                t, row = window["frame"], window["row"]
                np.testing.assert_array_equal(frames[row - 1 : row + 3], read[about["name"]][t - 1 : t + 3])
            x, y = window["x"], window["y"]
            box = motion[window["pair"], :, y + 2 : y + 30, x + 2 : x + 30].astype(float)
            assert np.abs(np.median(box, (1, 2)) - steps[about["name"]]).max() < 0.1
            assert 0 <= x <= 32 and 0 <= y <= 16 and window["warps"] == 1


def test_embedded_clips_bring_their_exact_flow(embedded):
    out, report = embedded
    for number, (about, arrays, windows) in enumerate(held(out)):
        clip = generated.clip(number)
        assert about["flow"] == "exact"
        for window in windows:
            t, row = window["frame"], window["row"]
            assert 3 <= t <= 24 - 5
            np.testing.assert_array_equal(arrays["frames"][row - 3 : row + 5], clip.frames[t - 3 : t + 5])
            np.testing.assert_array_equal(arrays["flow"][window["pair"]], clip.flow[t].astype(np.float16))


def test_the_same_seed_makes_the_same_store_whatever_the_workers(clips, store, tmp_path):
    store_pairs(Pairs((str(clips),), **SMALL), tmp_path / "again", workers=2)
    assert tree(tmp_path / "again") == tree(store[0])
    store_pairs(Pairs((str(clips),), **SMALL, seed=1), tmp_path / "other")
    assert tree(tmp_path / "other") != tree(store[0])


def test_more_clips_move_no_draw(clips, store, tmp_path):
    """Each clip has a generator of its own: alone it has the windows that it has in company."""
    alone, _ = pairs._prepare("clips/a.mkv", clips / "a.mkv", Pairs(("x",), **SMALL), 1, "cpu")
    together = load_file(store[0] / f"{stores.key('clips/a.mkv')}.safetensors")
    assert alone.keys() == together.keys() and all(np.array_equal(alone[name], together[name]) for name in alone)


def test_killed_at_any_moment_it_goes_on_to_the_same_store(clips, store, tmp_path):
    code = (
        "import os, sys\n"
        "from arsr.data import pairs\n"
        "keep, calls = pairs._windows, []\n"
        "def windows(*arguments):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 4: os.kill(os.getpid(), 9)\n"
        "    return keep(*arguments)\n"
        "pairs._windows = windows\n"
        f"pairs.store_pairs(pairs.Pairs(({str(clips)!r},), **{SMALL!r}), 'store')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    out = tmp_path / "store"
    assert len([*out.glob("*.safetensors")]) == 1
    with pytest.raises(InputError, match=r"index\.json: no such file; prepare the pairs"):
        PairSet(out)
    store_pairs(Pairs((str(clips),), **SMALL), out)
    assert tree(out) == tree(store[0])


def test_what_cannot_serve_is_reported_and_counted(tmp_path):
    root = tmp_path / "mixed"
    root.mkdir()
    video.write(root / "good.mkv", list(moving()), 25)
    video.write(root / "short.mkv", list(moving(3)), 25)
    video.write(root / "small.mkv", list(moving(size=(24, 64))), 25)
    video.write(root / "still.mkv", list(moving(step=(0, 0))), 25)
    (root / "empty.mp4").touch()
    (root / "text.avi").write_text("no video")
    data = (root / "good.mkv").read_bytes()
    (root / "cut.mkv").write_bytes(data[: len(data) // 2])
    report = store_pairs(Pairs((str(root),), **SMALL), tmp_path / "out")
    assert report.clips == 1 and report.counts["windows"] == 6
    reasons = {name.split("/")[1]: reason for name, reason in report.skipped.items()}
    assert "3 frames; expected 4 or more" in reasons.pop("short.mkv")
    assert "frames of 24x64 px, smaller than a patch of 32 px" in reasons.pop("small.mkv")
    assert "nothing moves, every weight would be zero" in reasons.pop("still.mkv")
    assert "empty (0 bytes)" in reasons.pop("empty.mp4")
    assert sorted(reasons) == ["cut.mkv", "text.avi"]
    assert "left out: 6 clips" in str(report) and "mixed/still.mkv" in str(report)
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert {row["name"]: row["reason"] for row in index if "reason" in row} == report.skipped
    assert len([*(tmp_path / "out").glob("*.safetensors")]) == 1
    data = json.loads((tmp_path / "out" / "settings.json").read_text())
    video.write(root / "text.avi", list(moving(seed=9)), 25)  # mended: the next run takes it
    assert store_pairs(Pairs(**data | {"sources": tuple(data["sources"])}), tmp_path / "out").clips == 2
    (root / "good.mkv").unlink(), (root / "text.avi").unlink()
    with pytest.raises(InputError, match="none of 5 clips can serve; the first, mixed/cut.mkv: "):
        store_pairs(Pairs((str(root),), **SMALL), tmp_path / "none")


def test_precomputed_flow(clips, tmp_path):
    """FlowNet 2.0's way in: one folder of flow files a clip, one file a pair."""

    def write(name, count, size=(48, 64), fill=2.0):
        (tmp_path / "flow" / name).mkdir(parents=True, exist_ok=True)
        for t in range(count):
            motion = torch.full((1, 2, *size), fill)
            motion[:, 1] = t
            flow.write(tmp_path / "flow" / name / f"{t}.flo", motion)

    write("a", 7), write("c", 7), write("deeper/b", 7, size=(44, 64))
    config = Pairs((str(clips),), **SMALL, flow=str(tmp_path / "flow"))
    report = store_pairs(config, tmp_path / "out")
    assert report.clips == 1
    assert "7 flow files; expected 8, one for each of the clip's 9 frames" in report.skipped["clips/c"]
    assert "clips/deeper/b.avi: flow of 44x64 px for frames of 48x64 px" in report.skipped["clips/deeper/b.avi"]
    about = json.loads((tmp_path / "out" / "index.json").read_text())[0]
    arrays = load_file(tmp_path / "out" / about["file"])
    assert about["flow"] == "precomputed"
    for t, _, pair, *_ in arrays["windows"]:
        assert (arrays["flow"][pair, 0] == 2).all() and (arrays["flow"][pair, 1] == t).all()

    write("a", 7, fill=float("nan"))
    with pytest.raises(InputError, match="unknown flow"):
        store_pairs(config, tmp_path / "nan")
    write("a", 7, size=(51, 67))  # of the frame before its last rows and columns were cut: fits
    assert store_pairs(config, tmp_path / "cut").clips == 1


def test_spacing_two(tmp_path):
    """The released code's pairs; between frames two apart embedded clips have no exact flow."""
    report = store_pairs(
        Pairs(embedded=1, patch=64, clip_frames=2, windows=2, spacing=2, preset="fast"), tmp_path / "out"
    )
    assert report.counts["windows"] == 4
    assert next(held(tmp_path / "out"))[0]["flow"] == "TV-L1 fast, cpu"
    windows = PairSet(tmp_path / "out", frames=7, pair=True, check_warp=False, augment=False)
    for n in range(4):
        t, x, y = (windows.windows[name][n] for name in ("frame", "x", "y"))
        frames = video.to_tensor(generated.clip(0).frames)[0, :, :, y : y + 64, x : x + 64]
        sample = windows[n]
        assert torch.equal(sample["hr0"], frames[t]) and torch.equal(sample["hr1"], frames[t + 2])
        torch.testing.assert_close(sample["lr1"], degrade.to_lr(frames[t - 1 : t + 6], eight_bit=True))


def test_a_folder_is_claimed_by_its_settings(clips, store, tmp_path):
    with pytest.raises(InputError, match=r"other settings \(patch 32, now 48; seed 0, now 2\); give another folder"):
        store_pairs(Pairs((str(clips),), **SMALL | {"patch": 48, "seed": 2}), store[0])
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds something else than prepared clips"):
        store_pairs(Pairs((str(clips),), **SMALL), tmp_path)


# --- training


def test_samples_are_the_windows(embedded):
    """Frame by frame against the clip: HR, LR after the crop, temporal windows and flow."""
    windows = PairSet(embedded[0], frames=7, pair=True, check_warp=False, augment=False)
    assert len(windows) == embedded[1].counts["windows"]
    for n in (0, 7, len(windows) - 1):
        index = {name: column[n] for name, column in windows.windows.items()}
        t, x, y = index["frame"], index["x"], index["y"]
        clip = generated.clip(index["clip"])
        frames = video.to_tensor(clip.frames)[0, :, :, y : y + 64, x : x + 64]  # (24, 3, 64, 64)
        lr = degrade.to_lr(frames, eight_bit=True)
        sample = windows[n]
        assert {k: tuple(v.shape) for k, v in sample.items()} == {
            "lr0": (7, 3, 16, 16), "lr1": (7, 3, 16, 16), "hr0": (3, 64, 64), "hr1": (3, 64, 64), "flow": (2, 64, 64),
        }  # fmt: skip
        assert torch.equal(sample["hr0"], frames[t]) and torch.equal(sample["hr1"], frames[t + 1])
        torch.testing.assert_close(sample["lr0"], lr[t - 3 : t + 4])
        torch.testing.assert_close(sample["lr1"], lr[t - 2 : t + 5])
        exact = torch.from_numpy(clip.flow[t, :, y : y + 64, x : x + 64])
        torch.testing.assert_close(sample["flow"], exact, rtol=2**-11, atol=1e-6)  # float16
        single = PairSet(embedded[0], augment=False)[n]
        assert single.keys() == {"lr", "hr", "flow"} and single["lr"].shape == (3, 16, 16)
        assert torch.equal(single["lr"], sample["lr0"][3]) and torch.equal(single["hr"], sample["hr0"])


def test_pairs_leave_out_windows_where_warping_does_not_help(embedded, tmp_path):
    every, kept = PairSet(embedded[0]), PairSet(embedded[0], pair=True)
    assert len(every) == embedded[1].counts["windows"] and len(kept) == embedded[1].counts["warping"]
    assert len(PairSet(embedded[0], check_warp=True)) == len(kept)
    assert len(PairSet(embedded[0], pair=True, check_warp=False)) == len(every)
    for n in range(len(kept)):
        sample = kept[n]
        hr0, hr1, motion = (sample[name][None] for name in ("hr0", "hr1", "flow"))
        warped = degrade.quantise(flow.warp(hr1, motion)[0])
        plain, helped = (metrics.psnr(x, hr0, crop=5, luma=False) for x in (hr1, warped))
        assert helped > plain


def test_lr_before_the_crop(tmp_path, clips):
    """A part of the LR frame: as LR of the crop but for its border, where that knows no neighbours."""
    store_pairs(Pairs((str(clips / "a.mkv"),), **SMALL, lr="before"), tmp_path / "out")
    windows = PairSet(tmp_path / "out", frames=3, pair=True, augment=False)
    assert not (windows.windows["x"] % 4).any() and not (windows.windows["y"] % 4).any()
    frames = video.to_tensor(video.read(clips / "a.mkv").frames)[0]
    lr = degrade.to_lr(frames, eight_bit=True)
    for n in range(len(windows)):
        t, x, y = (windows.windows[name][n] for name in ("frame", "x", "y"))
        sample, small = windows[n], np.s_[..., y // 4 : y // 4 + 8, x // 4 : x // 4 + 8]
        torch.testing.assert_close(sample["lr0"], lr[t - 1 : t + 2][small])
        torch.testing.assert_close(sample["lr1"], lr[t : t + 3][small])
        hr = frames[..., y : y + 32, x : x + 32]
        assert torch.equal(sample["hr0"], hr[t]) and torch.equal(sample["hr1"], hr[t + 1])
        after = degrade.to_lr(hr[t - 1 : t + 2], eight_bit=True)
        torch.testing.assert_close(sample["lr0"][..., 2:-2, 2:-2], after[..., 2:-2, 2:-2], rtol=0, atol=1.5 / 255)
        assert (sample["lr0"] - after).abs().max() > 3 / 255


def test_loaders_give_batches_that_depend_on_the_visit_alone(embedded):
    windows = PairSet(embedded[0], frames=7, pair=True, seed=3)
    n = len(windows)
    visits = [[0, 5, 2 * n + 3], [n + 5, 1, 9 * n]]

    def batches(workers):
        loader = torch.utils.data.DataLoader(
            windows, batch_sampler=visits, num_workers=workers, collate_fn=windows.collate
        )
        return [windows.to_batch(raw) for raw in loader]

    for here, there in zip(batches(0), batches(2), strict=True):
        assert here.keys() == there.keys() and all(torch.equal(here[k], there[k]) for k in here)
    samples = [[windows[v] for v in visit] for visit in visits]
    for batch, parts in zip(batches(0), samples, strict=True):
        assert all(torch.equal(value, torch.stack([p[name] for p in parts])) for name, value in batch.items())
    turns = windows.__getitems__(list(range(0, 64 * n, n)))["turn"]  # one sample, 64 epochs
    assert set(turns.tolist()) == set(range(8))
    assert not torch.equal(PairSet(embedded[0], seed=4).__getitems__(list(range(n)))["turn"], turns[:n])
    assert not PairSet(embedded[0], augment=False).__getitems__([n, 2 * n])["turn"].any()


def test_spawned_workers_get_it(embedded):
    windows = PairSet(embedded[0], frames=7)
    assert torch.equal(pickle.loads(pickle.dumps(windows))[0]["lr"], windows[0]["lr"])


def test_augmentation_turns_lr_with_hr(embedded):
    windows = PairSet(embedded[0], frames=3, pair=True)
    for n in range(len(windows), len(windows) + 8):
        sample = windows[n]
        for name in "01":
            torch.testing.assert_close(sample[f"lr{name}"][1], degrade.to_lr(sample[f"hr{name}"], eight_bit=True))


# --- turning


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_turned_flow_warps_turned_images(seed):
    """Turning what was warped is warping what was turned, for each of the eight symmetries."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(8, 3, 12, 12, dtype=torch.float64, generator=generator)
    motion = 6 * torch.rand(8, 2, 12, 12, dtype=torch.float64, generator=generator) - 3
    how = torch.arange(8)
    warped, valid = flow.warp(image, motion)
    again, inside = flow.warp(pairs.turn(image, how), pairs.turn_flow(motion, how))
    torch.testing.assert_close(again, pairs.turn(warped, how), rtol=0, atol=1e-9)
    assert torch.equal(inside, pairs.turn(valid, how))


def test_the_eight_turns_by_hand():
    square = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8)
    turned = pairs.turn(square.expand(8, 3, 2, 2), torch.arange(8))
    assert turned.dtype == torch.uint8 and (turned == turned[:, :1]).all()
    assert turned[:, 0].flatten(1).tolist() == [
        [1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1], [1, 3, 2, 4], [2, 4, 1, 3], [3, 1, 4, 2], [4, 2, 3, 1],
    ]  # fmt: skip
    right = torch.tensor([1.0, 0.25]).view(1, 2, 1, 1).expand(8, 2, 2, 2)
    vectors = pairs.turn_flow(right, torch.arange(8))[:, :, 0, 0].tolist()
    x, y = 1.0, 0.25
    assert vectors == [[x, y], [-x, y], [x, -y], [-x, -y], [y, x], [y, -x], [-y, x], [-y, -x]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_makes_the_same_batches(embedded):
    windows = PairSet(embedded[0], frames=7, pair=True)
    raw = windows.__getitems__(list(range(16)))
    here = windows.to_batch(raw)
    there = windows.to_batch({name: value.cuda() for name, value in raw.items()})
    for name, value in here.items():
        # float64 on a GPU: a level may round the other way
        torch.testing.assert_close(there[name].cpu(), value, rtol=0, atol=1.01 / 255 if "lr" in name else 1e-6)


# --- errors


@pytest.mark.parametrize(
    "changes, message",
    [
        ({}, "nothing to prepare"),
        ({"embedded": 1, "frames": 4}, "odd number of frames"),
        ({"embedded": 1, "windows": 0}, "expected windows greater than or equal to 1, got 0"),
        ({"embedded": 1, "side": "large"}, "expected side a valid integer, .*, got 'large'"),
        ({"embedded": 1, "patch": 30}, "expected patch a multiple of 4, got 30"),
        ({"embedded": 1, "patch": 12}, "expected patch greater than or equal to 16, got 12"),
        ({"embedded": 1, "lr": "during"}, "expected lr 'after' or 'before', got 'during'"),
        ({"embedded": 1, "preset": "slow"}, "expected preset 'reference', 'fast' or 'opencv2', got 'slow'"),
        ({"embedded": 1, "seed": -1}, "expected seed greater than or equal to 0, got -1"),
        ({"sources": ("absent",)}, "absent: no such file or folder"),
        ({"embedded": 1}, "none of 1 clips can serve; the first, embedded/0/00000: frames of 120x160 px, smaller"),
    ],
)
def test_bad_settings(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        store_pairs(Pairs(**changes), tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_bad_sources(clips, tmp_path):
    with pytest.raises(
        InputError,
        match="clips/a.mkv is listed twice; expected each clip once: take one .* or give their common folder",
    ):
        store_pairs(Pairs((str(clips), str(clips))), tmp_path / "out")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match=r"nothing: no videos \(.avi, .*\) and no folders of images in it"):
        store_pairs(Pairs((str(tmp_path / "nothing"),)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_stores(store, embedded, tmp_path):
    with pytest.raises(InputError, match=r"settings\.json: no such file; prepare the pairs"):
        PairSet(tmp_path)
    with pytest.raises(InputError, match="prepared for 3 frames or fewer, an odd number; asked for 7"):
        PairSet(store[0], frames=7)
    with pytest.raises(InputError, match="asked for 2"):
        PairSet(store[0], frames=2)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(InputError, match=r"settings\.json: damaged"):
        PairSet(tmp_path)
    (tmp_path / "index.json").write_text("[]")
    (tmp_path / "settings.json").write_text('{"sources": [], "colour": 1}')
    with pytest.raises(InputError, match="prepared by another version"):
        PairSet(tmp_path)
    shutil.copytree(store[0], tmp_path / "moved")
    path = tmp_path / "moved" / json.loads((store[0] / "index.json").read_text())[0]["file"]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{path.name}: .*remove it and prepare the clips again"):
        PairSet(tmp_path / "moved")
    still = load_file(store[0] / path.name)
    still["windows"][:, -1] = 0
    for path in (tmp_path / "moved").glob("*.safetensors"):
        save_file(still, path)
    with pytest.raises(InputError, match="helps in no window"):
        PairSet(tmp_path / "moved", pair=True)


@pytest.mark.shared
def test_real_frames(shared_data, tmp_path):
    """NTIA's Aspen, 960x540: shrunk to 240x424; TV-L1 warps most windows better than not."""
    report = store_pairs(Pairs((str(shared_data / "sr_train"),), clip_frames=1, preset="fast"), tmp_path / "out")
    assert report.counts["windows"] == 10 and report.counts["warping"] >= 8
    sample = PairSet(tmp_path / "out", frames=7, pair=True)[0]
    assert sample["lr0"].shape == (7, 3, 32, 32) and sample["flow"].isfinite().all()
