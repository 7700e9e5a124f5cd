"""Prepared clips, their snippets, and recognisers trained on them."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from arsr.data import snippets as prepared
from arsr.data import stores
from arsr.data.clips import Clip, embedded
from arsr.data.snippets import Preparation, Snippets, store_clips
from arsr.training import tasks as training
from arsr.training.recipes import RECIPES
from arsr_core import flow, recognition, video
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

FAST = {"warps": 1, "scales": 2, "outer": 2}
SMALL = replace(PROTOCOLS["lite"], size=(60, 80), crop=48)


@pytest.fixture(scope="module")
def clips():
    return embedded(6, frames=12)


@pytest.fixture(scope="module")
def store(tmp_path_factory, clips):
    folder = tmp_path_factory.mktemp("prepared")
    store_clips(clips, folder, Preparation(SMALL, flow=FAST), workers=1)
    return folder


def _clip(name, action, label, group, read):
    return Clip(name, action, label, group, read, lambda: len(read()))


def _patterned():
    """A clip whose frame t is grey level 10 t."""
    return np.repeat(np.arange(0, 120, 10, dtype=np.uint8), 3 * 64 * 64).reshape(12, 64, 64, 3)


def test_what_is_stored(store, clips):
    preparation, rows = stores.load(store, Preparation, "")
    assert [row["name"] for row in rows] == [clip.name for clip in clips]
    assert preparation == Preparation(SMALL, flow=FAST) and preparation.method == "hr"
    with stores.opened(store / rows[2]["file"]) as file:
        frames, coded = file.get_tensor("frames"), file.get_tensor("flow")
    assert frames.shape == (12, 60, 80, 3) and coded.shape == (11, 2, 60, 80) and coded.dtype == np.uint8
    x = recognition.resize(video.to_tensor(clips[2].read())[0], SMALL)
    expected = flow.encode_uint8(flow.tvl1(x[:-1], x[1:], **FAST), SMALL.bound)
    assert np.array_equal(coded, expected.numpy())


def test_preparing_again_computes_nothing(store, clips, monkeypatch):
    monkeypatch.setattr(flow, "tvl1", lambda *a, **k: pytest.fail("computed again"))
    assert store_clips(clips, store, Preparation(SMALL, flow=FAST), workers=1).clips == len(clips)


def test_a_damaged_file_is_made_again(tmp_path):
    clip = [_clip("one", "wave", 0, "a", _patterned)]
    preparation = Preparation(replace(SMALL, size=(64, 64)), flow=FAST)
    store_clips(clip, tmp_path, preparation, workers=1)
    (path,) = tmp_path.glob("*.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    store_clips(clip, tmp_path, preparation, workers=1)
    assert path.read_bytes() == whole


def test_unreadable_clips_are_reported_and_tried_again(tmp_path):
    def broken():
        raise InputError("gone.avi: no such file")

    preparation = Preparation(replace(SMALL, size=(64, 64)), flow=FAST)
    report = store_clips(
        [_clip("a", "wave", 0, "g", _patterned), _clip("b", "run", 1, "g", broken)], tmp_path, preparation
    )
    assert report.skipped == {"b": "gone.avi: no such file"}
    data = Snippets(tmp_path, "rgb")
    assert len(data) == 1 and data.classes == ["wave", "run"]
    report = store_clips(
        [_clip("a", "wave", 0, "g", _patterned), _clip("b", "run", 1, "g", _patterned)], tmp_path, preparation
    )
    assert report.clips == 2 and not report.skipped and len(Snippets(tmp_path, "rgb")) == 2


def test_snippets(tmp_path):
    preparation = Preparation(replace(SMALL, size=(64, 64)), flow=FAST)
    store_clips([_clip("one", "wave", 0, "a", _patterned)], tmp_path, preparation, workers=1)
    rgb = Snippets(tmp_path, "rgb", segments=3)[5]["rgb"]
    assert rgb.shape == (3, 64, 64, 3) and rgb.dtype == torch.uint8
    levels = rgb[:, 0, 0, 0].int()
    assert (levels % 10 == 0).all() and levels.tolist() == sorted(levels.tolist())
    assert [int(level) // 40 for level in levels] == [0, 1, 2]  # one in each third
    stacks = Snippets(tmp_path, "flow", segments=2)[0]["flow"]
    assert stacks.shape == (2, 10, 64, 64)
    x = prepared.to_float(stacks[None])
    assert x.shape == (1, 2, 10, 64, 64) and x.min() >= 0 and x.max() <= 1
    assert prepared.to_float(rgb[None]).shape == (1, 3, 3, 64, 64)


def test_stacks_interleave_u_and_v(tmp_path):
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 255, (24, 24, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    moving = np.stack([texture[16 : 16 + 64, 16 - t : 80 - t] for t in range(12)])  # to the right, 1 px a frame
    preparation = Preparation(replace(SMALL, size=(64, 64)), flow={})
    store_clips([_clip("one", "wave", 0, "a", partial(np.copy, moving))], tmp_path, preparation, workers=1)
    stack = Snippets(tmp_path, "flow", segments=1)[0]["flow"][0].float()  # (10, H, W)
    u, v = stack[::2].mean().item(), stack[1::2].mean().item()
    one = 255 / (2 * SMALL.bound)
    assert u == pytest.approx(127.5 + one, abs=2) and v == pytest.approx(127.5, abs=1.5)


def test_visits_differ_and_repeat(store):
    data = Snippets(store, "rgb")
    again = Snippets(store, "rgb")
    first, later = data[1]["rgb"], [data[1 + 6 * epoch]["rgb"] for epoch in range(1, 6)]
    assert torch.equal(first, again[1]["rgb"])
    assert any(not torch.equal(first, other) for other in later)
    assert data[1]["label"] == data[7]["label"] == 1


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_a_recogniser_learns(store, tmp_path, stream, monkeypatch):
    recipe = replace(RECIPES[f"tsn-{stream}"]["embedded"], steps=24, batch=6, rate=2e-3, dropout=0.0)
    monkeypatch.setitem(recognition.PROTOCOLS, "lite", SMALL)
    path, curve = training.train(recipe, store, tmp_path, log_every=4)
    assert curve.net.iloc[-1] < curve.net.iloc[0] - 0.2
    model = recognition.load(path, classes=6)
    assert model.metadata["seed"] == 0 and model.metadata["recipe"]["stream"] == stream
    again, _ = training.train(recipe, store, tmp_path, log_every=4)
    assert again.read_bytes() == path.read_bytes()


def test_frames_are_the_middles_of_their_stacks(tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (12, 64, 64, 3)).astype(np.uint8)
    preparation = Preparation(replace(SMALL, size=(64, 64)), flow=FAST)
    store_clips([_clip("one", "wave", 0, "a", lambda: frames)], tmp_path, preparation, workers=1)
    with stores.opened(next(tmp_path.glob("*.safetensors"))) as file:
        coded = file.get_tensor("flow")
    sample = Snippets(tmp_path, "both", segments=2)[3]
    for shown, stack in zip(sample["rgb"].numpy(), sample["flow"].numpy(), strict=True):
        start = next(t for t in range(7) if np.array_equal(coded[t : t + 5].reshape(10, 64, 64), stack))
        assert np.array_equal(frames[start + 2], shown)


def test_st_resnet_couples_two_trained_streams(store, tmp_path, monkeypatch):
    monkeypatch.setitem(recognition.PROTOCOLS, "lite", SMALL)
    start = []
    for stream in ("rgb", "flow"):
        recipe = replace(RECIPES[f"tsn-{stream}"]["embedded"], steps=1, batch=1)
        start.append(training.train(recipe, store, tmp_path / stream)[0])
    recipe = replace(RECIPES["st-resnet"]["embedded"], steps=24, batch=6, segments=3, rate=2e-3)
    path, curve = training.train(recipe, store, tmp_path / "both", start=start, log_every=4)
    assert curve.net.iloc[-1] < curve.net.iloc[0] - 0.2
    model, before = recognition.load(path, classes=6), recognition.load(start[1])
    assert model.frames == 3 and model.arguments["dropout"] == (0.2, 0.2)
    assert not torch.equal(model.fusion.weight[:, 96:], before.fc.weight)  # the fusion has learnt, too
    with pytest.raises(InputError, match="two streams"):
        replace(recipe, start=("tsn-rgb-lite",))


def test_a_stream_starts_from_one_of_other_classes(store, tmp_path, monkeypatch):
    monkeypatch.setitem(recognition.PROTOCOLS, "lite", SMALL)
    recipe = replace(RECIPES["tsn-flow"]["small"], protocol="lite", steps=1, batch=1)
    before = recognition.save(recognition.TSN(18, "flow", "lite"), tmp_path / "before.safetensors")
    net = training.recogniser_task(recipe, 6, start=[before])["model"]["net"]
    assert torch.equal(net.backbone.conv1.weight, recognition.load(before).backbone.conv1.weight)
    with pytest.raises(InputError, match="files of tsn-flow-lite"):
        training.recogniser_task(recipe, 6)
    other = recognition.save(recognition.TSN(18, "rgb", "lite"), tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="expected .*flow"):
        training.recogniser_task(recipe, 6, start=[other])


def test_frozen_parts_keep_weights_and_statistics(store, tmp_path, monkeypatch):
    monkeypatch.setitem(recognition.PROTOCOLS, "lite", SMALL)
    recipe = replace(RECIPES["tsn-rgb"]["embedded"], backbone="resnet18", steps=2, batch=2, frozen=3)
    before = training.recogniser_task(recipe, 6)["model"]["net"].state_dict()
    after = recognition.load(training.train(recipe, store, tmp_path)[0]).state_dict()
    changed = {key.split(".")[1] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"layer2", "layer3", "layer4", "weight", "bias"}  # the last two are fc's
    with pytest.raises(InputError, match="0 to 6 parts"):
        training.recogniser_task(replace(recipe, frozen=7), 6)


def test_the_seed_decides_the_weights(store, tmp_path, monkeypatch):
    monkeypatch.setitem(recognition.PROTOCOLS, "lite", SMALL)
    recipe = replace(RECIPES["tsn-rgb"]["embedded"], steps=2, batch=2)
    made = [training.train(recipe, store, tmp_path / str(n), seed=n % 2)[0] for n in range(3)]
    first, other, same = ([p for p in recognition.load(path).parameters()] for path in made)
    assert all(map(torch.equal, first, same)) and not all(map(torch.equal, first, other))


def test_a_fold_is_left_out(store, tmp_path, monkeypatch):
    monkeypatch.setitem(recognition.PROTOCOLS, "lite", SMALL)
    seen = []
    monkeypatch.setattr(training, "fit", lambda data, **task: seen.extend(row["group"] for row in data.rows))
    recipe = replace(RECIPES["tsn-rgb"]["embedded"], steps=1, batch=1)
    with pytest.raises(InputError, match="has no clips"):  # each class has one clip here, and one group
        training.train(recipe, store, tmp_path, without="train-0-3")
    training.train(recipe, store, tmp_path, without="train-0-9")
    assert seen == [f"train-0-{i}" for i in range(6)]


def test_bad_input(store, tmp_path, clips):
    with pytest.raises(InputError, match="listed twice"):
        store_clips([clips[0], clips[0]], tmp_path, Preparation(SMALL))
    with pytest.raises(InputError, match=r"settings\.json: no such file; store the clips"):
        Snippets(tmp_path / "absent", "rgb")
    with pytest.raises(InputError, match="stream"):
        replace(RECIPES["tsn-rgb"]["embedded"], stream="sound")
    recipe = replace(RECIPES["tsn-rgb"]["embedded"], steps=1, batch=1)
    with pytest.raises(InputError, match="the recipe expects"):
        training.train(recipe, store, tmp_path)
    short = [_clip("short", "wave", 0, "a", lambda: _patterned()[:4])]
    store_clips(short, tmp_path / "short", Preparation(replace(SMALL, size=(64, 64)), flow=FAST), workers=1)
    with pytest.raises(InputError, match="too short"):
        Snippets(tmp_path / "short", "flow")
