"""evaluate: the same scores as clip by clip by hand, whatever is killed, cached, shared or unreadable.

Networks here have random weights: what is tested is the road, not accuracy.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from arsr import evaluate, scores
from arsr.data.clips import Clip
from arsr.evaluate import Evaluation
from arsr.names import SCORES, STREAMS
from arsr_core import degrade, flow, recognition, sr, video
from arsr_core import files as core_files
from arsr_core.errors import InputError
from arsr_core.recognition import Protocol

CLASSES = ("drink", "eat", "wave")
PROTOCOL = Protocol("tiny", snippets=3, crops=1, size=(40, 56), crop=32, flow_frames=2, bound=5.0)
QUICK = {"warps": 1, "scales": 2, "outer": 2, "inner": 5}  # TV-L1 for tests


@pytest.fixture(autouse=True)
def _quick_flow(monkeypatch):
    monkeypatch.setitem(flow.PRESETS, "fast", QUICK)
    monkeypatch.setitem(flow.PRESETS, "reference", QUICK | {"inner": 6})


def made(name, label, length=9, size=(48, 64), group="a"):
    """A clip of soft noise that drifts."""

    def read():
        seed = sum(map(ord, name))
        small = torch.rand(3, 3, 8, 10, generator=torch.Generator().manual_seed(seed))
        wide = degrade.imresize(small[:1], size=(size[0] + length, size[1] + length))[0]
        frames = [wide[:, t : t + size[0], t // 2 : t // 2 + size[1]] for t in range(length)]
        return np.stack([(f.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy() for f in frames])

    return Clip(name, CLASSES[label], label, group, lambda numbers=None: read()[chosen(numbers)], lambda: length)


def chosen(numbers):
    return slice(None) if numbers is None else list(numbers)


def clips():
    return [made(f"clip{i}", i % 3) for i in range(4)] + [made("odd", 2, 7, (51, 66))]


def broken(name, label, error=InputError):
    def read():
        raise error(f"{name}: damaged after frame 3; copy or download it again")

    return Clip(name, CLASSES[label], label, "a", read, read)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Recognisers and SR networks with random weights."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    about = dict(classes=list(CLASSES), protocol={"bound": 5.0})
    for modality in ("rgb", "flow"):
        net = recognition.TSN(3, modality, "lite", flow_frames=2)
        torch.nn.init.normal_(net.fc.weight)
        recognition.save(net, folder / f"{modality}.safetensors", **about)
    net = recognition.STResNet(3, "lite", frames=2, flow_frames=2)
    recognition.save(net, folder / "both.safetensors", **about)
    for name in ("vdsr", "duf16"):
        network = sr.build(name, **sr.METHODS[name].lite)
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def config(files, tmp_path):
    return Evaluation(
        "synthetic",
        tmp_path / "scores.parquet",
        (str(files / "rgb.safetensors"), str(files / "flow.safetensors")),
        protocol=PROTOCOL,
        flow="fast",
        precision="float32",
        device="cpu",
        workers=1,
    )


def with_sr(config, files, *methods):
    names = {name for method in methods for name in method.split("+")} & {"vdsr", "duf16"}
    return replace(config, methods=methods, weights={name: files / f"{name}.safetensors" for name in names})


def values(path, **chosen):
    """{clip: scores} of the rows chosen."""
    frame = scores.select(scores.load(path)[0], **chosen)
    return dict(zip(frame["clip"], frame["scores"], strict=True))


def by_hand(clip, method, files):
    """The whole clip, stage after stage: frames (T, 3, H, W) and coded flow (T - 1, 2, H, W)."""
    hr = degrade.modcrop(torch.from_numpy(clip.read()).permute(0, 3, 1, 2).float()[None] / 255)
    if method != "hr":
        network = sr.load(method, None if method == "bicubic" else files / f"{method}.safetensors")
        lr = degrade.to_lr(hr, eight_bit=True)
        hr = degrade.quantise(sr.upscale(network, lr, precision="float32"))
    frames = degrade.quantise(recognition.resize(hr, PROTOCOL))
    motion = flow.estimate(frames, **flow.PRESETS["fast"])
    return frames[0], flow.encode_uint8(motion, PROTOCOL.bound)[0]


@torch.no_grad()
def scores_by_hand(clip, method, files):
    frames, coded = by_hand(clip, method, files)
    rgb, temporal = (recognition.load(files / f"{m}.safetensors") for m in ("rgb", "flow"))
    spots = recognition.starts(len(frames), PROTOCOL)
    fields = recognition.starts(len(coded), PROTOCOL, 2).tolist()
    stacks = flow.stack(coded[None], fields, 2)[0].float() / 255
    found = []
    for net, snippets in ((rgb, frames[spots]), (temporal, stacks)):
        found.append(net(recognition.crop(snippets, PROTOCOL).transpose(0, 1))[0].numpy())
    return found


# --- plans


def test_plan_of_tsn_and_of_st_resnet():
    both = evaluate.plan(9, STREAMS, PROTOCOL)
    assert both == ([0, 4, 8], [0, 3, 6], [0, 1, 3, 4, 6, 7], "")
    coupled = evaluate.plan(9, SCORES, PROTOCOL)
    assert coupled[0] == [1, 4, 7] and coupled[1:] == both[1:]  # the middle of each stack
    assert evaluate.plan(9, ("spatial",), PROTOCOL) == ([0, 4, 8], [], [], "")
    assert evaluate.plan(9, ("temporal",), PROTOCOL)[0] == []


def test_plan_of_a_clip_too_short_for_flow():
    short = evaluate.plan(2, STREAMS, PROTOCOL)
    assert short[:3] == ([0, 0, 0], [], []) and "leave this clip out" in short[3]
    assert evaluate.plan(2, SCORES, PROTOCOL)[0] == []


# --- the same as by hand


def test_scores_are_those_of_the_stages_by_hand(config, files):
    methods = ("hr", "bicubic", "duf16", "vdsr+duf16")
    path = evaluate.evaluate(with_sr(config, files, *methods), clips(), CLASSES)
    for method in ("hr", "bicubic", "duf16"):
        found = [values(path, stream=stream, method=method) for stream in ("spatial", "temporal")]
        for clip in clips():
            for ours, theirs in zip(found, scores_by_hand(clip, method, files), strict=True):
                np.testing.assert_allclose(ours[clip.name], theirs, rtol=1e-4, atol=1e-4)
    frame, header = scores.load(path)
    vdsr = frame[frame["method"] == "vdsr"]  # of a pair only what the pair shows
    assert set(vdsr["stream"]) == {"spatial"} and len(vdsr) == 5 and (frame["status"] == "ok").all()
    assert set(header.weights) == {"vdsr", "duf16"} and set(header.recognisers) == {"tsn/spatial/", "tsn/temporal/"}
    assert header.protocol["size"] == [40, 56] and header.flow["warps"] == 1 and header.runs[0].versions["torch"]
    table = scores.table(frame, pairs=["vdsr+duf16"])
    assert ("vdsr+duf16", "fused") in set(zip(table["method"], table["stream"], strict=True))
    assert not list(path.parent.glob("*.parts"))


@pytest.mark.parametrize("name", ["bicubic", "vdsr", "duf16"])
def test_frames_are_those_of_the_whole_clip(files, name):
    clip = made("clip", 0, length=11)
    network = sr.load(name, None if name == "bicubic" else files / f"{name}.safetensors")
    needed = evaluate.around([4, 10], network, 11)
    part = evaluate.Excerpt(11, {number: clip.read()[number] for number in needed.ravel().tolist()})
    seen = [evaluate.see(frames, [4, 10], network, PROTOCOL) for frames in (part, clip.read())]
    assert torch.equal(*seen) and needed[1].tolist() == ([7, 8, 9, 10, 10, 10, 10] if name == "duf16" else [10])
    whole, _ = by_hand(clip, name, files)
    for numbers in ([0, 1, 5, 10], [10], [4, 5, 6]):  # both ends, and gaps
        seen = evaluate.see(clip.read(), numbers, network, PROTOCOL, precision="float32")
        assert seen.dtype == torch.uint8 and seen.shape == (len(numbers), 3, 40, 56)
        difference = (seen.float() - 255 * whole[numbers]).abs()
        assert difference.max() <= 1.01 and (difference > 0.5).float().mean() < 1e-3  # rounding of other batches


def test_only_what_the_snippets_show_is_super_resolved(config, files, monkeypatch):
    counted = []
    upscale = sr.upscale
    monkeypatch.setattr(sr, "upscale", lambda net, x, **k: counted.append(len(x)) or upscale(net, x, **k))
    light = replace(with_sr(config, files, "vdsr+duf16"), protocol=replace(PROTOCOL, snippets=2))
    evaluate.evaluate(light, [made(f"clip{i}", i, length=30) for i in range(3)], CLASSES)
    assert counted == [2, 6] * 3  # a frame a snippet, and the three frames of its stack of two fields


def test_only_what_the_snippets_show_is_read(config, files):
    """And its neighbours, for networks of several frames."""
    asked = {}

    def watched(clip):
        return replace(clip, read=lambda numbers: asked.update({clip.name: numbers}) or clip.read(numbers))

    long = [made(f"clip{i}", i, length=60) for i in range(3)]
    config = with_sr(config, files, "hr", "duf16")
    evaluate.evaluate(replace(config, recognisers=config.recognisers[:1]), list(map(watched, long)), CLASSES)
    spots, _, fields, _ = evaluate.plan(60, STREAMS, PROTOCOL)
    around = {number for spot in spots for number in range(spot - 3, spot + 4)} & {*range(60)}  # DUF-16 sees seven
    assert {*asked.values()} == {tuple(sorted(around))} and len(asked) == 3
    temporal = replace(config, recognisers=config.recognisers[1:], methods=("hr",), weights={})
    evaluate.evaluate(replace(temporal, out=config.out.with_name("flow.parquet")), [watched(c) for c in long], CLASSES)
    assert {*asked.values()} == {tuple(sorted({*fields, *(p + 1 for p in fields)}))}
    with pytest.raises(KeyError):
        evaluate.Excerpt(9, {0: np.zeros((4, 4, 3), np.uint8)})[[0, 1]]


def test_memory_does_not_grow_with_a_clip(config, files, tmp_path):
    """What a video of 40 frames and one of 400 keep of their frames."""
    from arsr.data.clips import from_file

    kept = []
    pipeline = evaluate.Pipeline(with_sr(config, files, "hr", "duf16"), CLASSES, torch.device("cpu"), "")
    for length in (40, 400):
        shades = (np.full((48, 64, 3), t % 256, np.uint8) for t in range(length))
        video.write(tmp_path / f"{length}.mkv", shades, fps=25)
        clip = from_file(tmp_path, f"{length}.mkv", "eat", 1, "a")
        excerpt = pipeline.read(clip, pipeline.units)[0]
        assert len(excerpt) == length
        assert all((frame == number % 256).all() for number, frame in excerpt.frames.items())
        kept.append(len(excerpt.frames))
    assert kept[1] <= 3 * (7 + 9)  # three snippets: a frame, and the three of a stack, with three to either side
    assert kept[0] <= kept[1]


def test_a_clip_of_one_frame_and_a_clip_that_lost_frames(config, tmp_path):
    from arsr.data.clips import from_file

    video.write(tmp_path / "one.mkv", np.full((1, 48, 64, 3), 99, np.uint8), fps=25)
    video.write(tmp_path / "images", np.full((9, 48, 64, 3), 99, np.uint8))
    found = [from_file(tmp_path, name, CLASSES[i], i, "a") for i, name in enumerate(("one.mkv", "images"))]
    lost = replace(from_file(tmp_path, "images", "wave", 2, "a"), name="lost", count=lambda: 12)
    frame, _ = scores.load(evaluate.evaluate(replace(config, methods=("hr",)), [*found, lost], CLASSES))
    reasons = frame.set_index(["clip", "stream"])["reason"]
    assert reasons["one.mkv", "spatial"] == "" and "flow fields" in reasons["one.mkv", "temporal"]
    assert reasons["images", "spatial"] == reasons["images", "temporal"] == ""
    assert "images: the clip has no frame 10" in reasons["lost", "spatial"]


def test_st_resnet(config, files):
    config = replace(config, recognisers=(str(files / "both.safetensors"),), methods=("hr", "hr+bicubic"))
    path = evaluate.evaluate(config, clips(), CLASSES)
    net = recognition.load(files / "both.safetensors")
    clip = clips()[0]
    frames, (_, coded) = by_hand(clip, "hr", files)[0], by_hand(clip, "bicubic", files)
    fields = recognition.starts(len(coded), PROTOCOL, 2)
    inputs = frames[fields + 1], flow.stack(coded[None], fields.tolist(), 2)[0].float() / 255  # the frame in the middle
    with torch.no_grad():
        expected = net(*(recognition.crop(x, PROTOCOL).transpose(0, 1) for x in inputs))
    for stream in SCORES:
        got = values(path, stream=stream, method="hr+bicubic")[clip.name]
        np.testing.assert_allclose(got, expected[stream][0], rtol=1e-4, atol=1e-4)
    frame, _ = scores.load(path)
    assert set(frame["network"]) == {"st-resnet"} and len(frame) == 5 * 2 * 3


@pytest.mark.parametrize("name", ["rgb", "flow", "both"])
def test_ten_crops_and_batches(files, name):
    net = recognition.load(files / f"{name}.safetensors")
    protocol = replace(PROTOCOL, crops=10)
    generator = torch.Generator().manual_seed(0)
    shapes = {"rgb": [3], "flow": [4], "both": [3, 4]}[name]
    snippets = [torch.randint(0, 256, (5, c, 40, 56), generator=generator, dtype=torch.uint8) for c in shapes]
    got = evaluate.score(net, *snippets, protocol=protocol)
    with torch.no_grad():
        expected = net(*(recognition.crop(x.float() / 255, protocol).transpose(0, 1) for x in snippets))
    expected = expected if name == "both" else {{"rgb": "spatial", "flow": "temporal"}[name]: expected}
    for batch in (1, 7, 50):
        again = evaluate.score(net, *snippets, protocol=protocol, batch=batch)
        assert set(again) == set(expected)
        for stream in again:
            torch.testing.assert_close(again[stream], expected[stream].mean(0), rtol=1e-4, atol=1e-4)
    half = evaluate.score(net, *snippets, protocol=protocol, half=True)
    for stream in half:
        assert half[stream].dtype == torch.float32
        assert not torch.equal(half[stream], got[stream])
        torch.testing.assert_close(half[stream], got[stream], rtol=0, atol=0.5)  # random layers carry on its rounding


def test_each_group_has_its_own_recogniser(config, files, tmp_path):
    for number, group in enumerate(("ido", "eli")):
        torch.manual_seed(number)
        net = recognition.TSN(3, "rgb", "lite")
        torch.nn.init.normal_(net.fc.weight)
        recognition.save(net, tmp_path / group / "rgb.safetensors", classes=list(CLASSES))
    several = [made(f"{group}{i}", i, group=group) for i in range(3) for group in ("ido", "eli")]
    config = replace(config, recognisers=(str(tmp_path / "{fold}" / "rgb.safetensors"),), methods=("hr",))
    path = evaluate.evaluate(config, several, CLASSES)
    frame, header = scores.load(path)
    assert frame["fold"].tolist() == frame["group"].tolist()
    assert set(header.recognisers) == {"tsn/spatial/ido", "tsn/spatial/eli"}
    for clip in several:
        frames, _ = by_hand(clip, "hr", files)
        net = recognition.load(tmp_path / clip.group / "rgb.safetensors")
        with torch.no_grad():
            seen = recognition.crop(frames[recognition.starts(9, PROTOCOL)], PROTOCOL).transpose(0, 1)
            expected = net(seen)[0].numpy()
        np.testing.assert_allclose(values(path)[clip.name], expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="no such recogniser"):
        evaluate.evaluate(config, [*several, made("lena", 0, group="lena")], CLASSES)


# --- going on


def test_a_second_run_does_nothing_a_new_method_only_itself(config, files, monkeypatch):
    path = evaluate.evaluate(config, clips(), CLASSES)
    before = path.read_bytes()
    asked = []
    see = evaluate.see
    monkeypatch.setattr(
        evaluate, "see", lambda c, n, network, *a, **k: asked.append(network) or see(c, n, network, *a, **k)
    )
    assert evaluate.evaluate(config, clips(), CLASSES) == path and path.read_bytes() == before and not asked
    more = with_sr(config, files, "hr", "vdsr", "bicubic")
    evaluate.evaluate(more, clips(), CLASSES)
    assert len(asked) == 5 and all(type(network).__name__ == "VDSR" for network in asked)
    frame, header = scores.load(path)
    assert len(frame) == 5 * 3 * 2 and len(header.runs) == 2
    alone = evaluate.evaluate(replace(more, out=path.with_name("alone.parquet")), clips(), CLASSES)
    theirs, _ = scores.load(alone)
    assert all(map(np.array_equal, frame["scores"], theirs["scores"]))


def test_unreadable_clips_keep_a_row_and_are_tried_again(config):
    bad = [*clips(), broken("torn", 1), made("brief", 0, length=2), made("tiny", 2, size=(2, 64))]
    bad += [broken("locked", 2, PermissionError)]
    path = evaluate.evaluate(config, bad, CLASSES)
    frame, _ = scores.load(path)
    assert len(frame) == 9 * 4
    reasons = frame.set_index(["clip", "stream", "method"])["reason"]
    assert "damaged after frame 3" in reasons["torn", "spatial", "hr"]
    assert "flow fields" in reasons["brief", "temporal", "bicubic"] and reasons["brief", "spatial", "hr"] == ""
    assert "64x2" in reasons["tiny", "spatial", "bicubic"]
    assert scores.accuracy(scores.select(frame, stream="temporal", method="hr")).unreadable == 4
    again = evaluate.evaluate(config, [*bad[:5], made("torn", 1), *bad[6:]], CLASSES)
    frame, _ = scores.load(again)
    assert len(frame) == 9 * 4 and set(frame[frame["status"] != "ok"]["clip"]) == {"brief", "tiny", "locked"}


PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from dataclasses import replace
from pathlib import Path
from test_evaluate import CLASSES, PROTOCOL, QUICK, clips
from arsr_core import flow
from arsr.evaluate import Evaluation, evaluate

flow.PRESETS["fast"] = QUICK

def slow(clip):
    def read(numbers):
        time.sleep(float(sys.argv[1]))
        return clip.read(numbers)
    return replace(clip, read=read)

files = Path({files!r})
recognisers = (str(files / "rgb.safetensors"), str(files / "flow.safetensors"))
common = dict(protocol=PROTOCOL, flow="fast", precision="float32", device="cpu", workers=1)
evaluate(Evaluation("synthetic", {out!r}, recognisers, **common), [slow(c) for c in clips()], CLASSES)
"""


def test_killed_and_continued_by_two_processes(config, files, tmp_path):
    """kill -9 in the middle, then two gloo processes: the rows of one run that was never killed."""
    out = tmp_path / "parts" / "scores.parquet"
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent), files=str(files), out=str(out)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    victim = subprocess.Popen([sys.executable, program, "1"], env=environment)
    limit = time.monotonic() + 100
    while not list(out.parent.glob("scores.parquet.parts/*.parquet")) and time.monotonic() < limit:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL and not out.exists()
    kept = {p.name: p.stat().st_mtime_ns for p in out.parent.glob("scores.parquet.parts/*.parquet")}
    assert 0 < len(kept) < 5
    torn = f".torn.parquet.{victim.pid}-1-{core_files.HOST}.tmp.parquet"
    (out.parent / "scores.parquet.parts" / torn).write_bytes(b"PAR1")  # what a kill leaves half-written

    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = environment | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    ranks = [shared | {"RANK": str(i), "LOCAL_RANK": str(i)} for i in range(2)]
    running = [subprocess.Popen([sys.executable, program, "0"], env=rank) for rank in ranks]
    assert [process.wait(timeout=200) for process in running] == [0, 0]
    whole = evaluate.evaluate(config, clips(), CLASSES)
    ours, theirs = (scores.load(path)[0] for path in (whole, out))
    assert ours.drop(columns="scores").equals(theirs.drop(columns="scores"))
    assert all(map(np.array_equal, ours["scores"], theirs["scores"]))
    assert [p.name for p in out.parent.iterdir()] == ["scores.parquet"]


# --- fast


def test_no_stage_waits_for_another(config, monkeypatch):
    """The first clip's flow only ends when two more methods have been seen and another clip has been decoded."""
    seen, decoded, release = [], [], threading.Event()
    see, coded_flow = evaluate.see, evaluate.coded_flow

    def watch(*arguments, **settings):
        seen.append(1)
        if len(seen) == 3 and len(decoded) >= 2:
            release.set()
        return see(*arguments, **settings)

    def wait(*arguments):
        assert release.wait(100), "the pipeline waited for the flow"
        return coded_flow(*arguments)

    def noted(clip):
        return replace(clip, read=lambda numbers: decoded.append(clip.name) or clip.read(numbers))

    monkeypatch.setattr(evaluate, "see", watch)
    monkeypatch.setattr(evaluate, "coded_flow", wait)
    evaluate.evaluate(config, [noted(clip) for clip in clips()], CLASSES)


def test_flow_comes_from_the_cache(config, files, tmp_path, monkeypatch):
    computed, vdsr = [], files / "vdsr.safetensors"
    coded_flow = evaluate.coded_flow
    monkeypatch.setattr(evaluate, "coded_flow", lambda *arguments: computed.append(1) or coded_flow(*arguments))
    config = replace(config, cache=tmp_path / "cache")
    first = evaluate.evaluate(config, clips(), CLASSES)
    assert len(computed) == 5 * 2
    again = evaluate.evaluate(replace(config, out=tmp_path / "again.parquet"), clips(), CLASSES)
    assert len(computed) == 5 * 2
    assert all(map(np.array_equal, scores.load(first)[0]["scores"], scores.load(again)[0]["scores"]))
    spatial = replace(
        config, out=tmp_path / "more.parquet", methods=("hr", "bicubic", "vdsr+hr"), weights={"vdsr": vdsr}
    )
    evaluate.evaluate(spatial, clips(), CLASSES)  # more frames are read, the flow is the same
    assert len(computed) == 5 * 2
    for number, changed in enumerate((dict(protocol=replace(PROTOCOL, snippets=2)), dict(flow="reference")), 1):
        other = replace(config, out=tmp_path / f"other{number}.parquet", methods=("hr",), **changed)
        evaluate.evaluate(other, clips(), CLASSES)
        assert len(computed) == 5 * (2 + number)


# --- bad input


@pytest.mark.parametrize(
    "found, message",
    [
        ([], "no clips of drink, eat, wave"),
        ([made("a", 0), made("b", 1)], r"no clips of wave \(1 of 3 classes\)"),
        ([made("a", 0), made("a", 1), made("b", 2)], "clip 'a' is listed twice"),
        ([replace(made("a", 0), label=3)], "clip 'a': label 3, class 'drink'; expected a label from 0 to 2"),
        ([replace(made("a", 0), label=-1)], "label -1"),
        ([replace(made("a", 0), label=1)], "label 1, class 'drink'"),
    ],
)
def test_bad_clips(config, found, message):
    with pytest.raises(InputError, match=message) as error:
        evaluate.evaluate(config, found, CLASSES)
    assert "\n" not in str(error.value) and not Path(config.out).exists()


def test_present_only(config):
    path = evaluate.evaluate(replace(config, present_only=True, methods=("hr",)), [made("a", 0)], CLASSES)
    assert len(scores.load(path)[0]) == 2


@pytest.mark.parametrize(
    "changed, message",
    [
        (dict(methods=("hr", "magic")), "unknown method 'magic'"),
        (dict(methods=("hr+bicubic+vdsr",)), "unknown method 'bicubic.vdsr'"),
        (dict(methods=()), "methods: tuple should have at least 1 item"),
        (dict(recognisers=()), "no recognisers; expected the files"),
        (dict(weights={"vdsr": "w"}), "weights of vdsr, but the methods are hr, bicubic"),
        (dict(flow="quick"), "expected flow 'reference', 'fast' or 'opencv2', got 'quick'"),
        (dict(precision="int8"), "precision"),
        (dict(batch=-1), "expected batch greater than or equal to 0, got -1"),
        (dict(workers=-1), "workers"),
        (dict(clips=0), "clips"),
    ],
)
def test_bad_settings(config, changed, message):
    with pytest.raises(InputError, match=message):
        replace(config, **changed)


def test_bad_recognisers(config, files, tmp_path):
    def refused(message, classes=CLASSES, several=None, **changed):
        several = several or [made(f"{i}", i) for i in range(len(classes))]
        with pytest.raises(InputError, match=message):
            evaluate.evaluate(replace(config, **changed), several, classes)

    two = [replace(clip, action=name) for clip, name in zip([made("0", 0), made("1", 1)], "ab", strict=True)]
    refused("a recogniser of 3 classes, expected 2", ("a", "b"), two)
    nameless = str(recognition.save(recognition.TSN(3, "rgb", "lite"), tmp_path / "nameless.safetensors"))
    refused("a recogniser of 3 classes, expected 2", ("a", "b"), two, recognisers=(nameless,))
    public = recognition.TSN(4, "rgb", "resnet18")
    torch.save(
        {f"backbone.{k}": v for k, v in public.backbone.state_dict().items()}
        | {f"fc.{k}": v for k, v in public.fc.state_dict().items()},
        tmp_path / "public.pth",
    )
    refused("a recogniser of 4 classes, expected 3", recognisers=(str(tmp_path / "public.pth"),))
    refused("drink", CLASSES[::-1], [replace(made(f"{i}", 2 - i), label=i) for i in range(3)])
    refused("stacks of 2 fields coded to 5 px", protocol=replace(PROTOCOL, flow_frames=3))
    refused("coded to 5 px; the protocol tiny has 2 and 20 px", protocol=replace(PROTOCOL, bound=20.0))
    refused("one recogniser too many", recognisers=config.recognisers[:1] * 2)
    refused("one recogniser too many", recognisers=(*config.recognisers, str(files / "both.safetensors")))
    refused("no such recogniser", recognisers=("absent.safetensors",))
    refused("no recogniser known here", recognisers=(str(files / "vdsr.safetensors"),))
    refused("vdsr needs weights, --weights vdsr=FILE", methods=("vdsr",))


def test_other_scores_are_not_mixed_in(config, files, tmp_path):
    config = with_sr(config, files, "vdsr")
    path = evaluate.evaluate(config, clips(), CLASSES)
    before = path.read_bytes()
    torch.manual_seed(5)
    save_file(sr.build("vdsr", **sr.METHODS["vdsr"].lite).state_dict(), tmp_path / "vdsr.safetensors")
    rgb = recognition.save(recognition.TSN(3, "rgb", "lite"), tmp_path / "rgb.safetensors", classes=list(CLASSES))
    for changed, message in (
        (dict(protocol=replace(PROTOCOL, crop=24)), "another protocol"),
        (dict(flow="reference"), "another flow"),
        (dict(precision="bfloat16"), "another precision"),
        (dict(weights={"vdsr": tmp_path / "vdsr.safetensors"}), "other weights of vdsr"),
        (dict(recognisers=(str(rgb), config.recognisers[1])), "other recognisers of tsn/spatial/"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate.evaluate(replace(config, **changed), clips(), CLASSES)
        assert path.read_bytes() == before
    evaluate.evaluate(replace(config, recognisers=(str(rgb),), network="other"), clips(), CLASSES)
    assert set(scores.load(path)[0]["network"]) == {"tsn", "other"}


@pytest.mark.parametrize("native, says", [(False, "float32"), (True, "auto")])
def test_scores_say_in_which_precision_frames_were_made(config, files, monkeypatch, native, says):
    monkeypatch.setattr(evaluate.devices, "multiplies_bfloat16", lambda device: native)
    config = replace(with_sr(config, files, "vdsr"), precision="auto")
    _, header = scores.load(evaluate.evaluate(config, clips()[:3], CLASSES))
    assert header.precision == says


def test_dataset_clips():
    config = Evaluation("embedded", "s.parquet", ("r",), clips=20)
    found, classes = evaluate.dataset_clips(config)
    assert len(found) == 20 and len(classes) == 18 and found[0].name.startswith("test-")
    evaluate.check(found, classes)
    with pytest.raises(InputError, match="weizmann: give the folder of its clips, --data"):
        evaluate.dataset_clips(replace(config, dataset="weizmann"))
    with pytest.raises(InputError, match="unknown data set 'kinetics'"):
        evaluate.dataset_clips(replace(config, dataset="kinetics", root="."))


# --- other devices, real clips


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu(config, files):
    config = replace(with_sr(config, files, "hr", "duf16"), backend="opencv")
    here = evaluate.evaluate(config, clips(), CLASSES)
    there = evaluate.evaluate(replace(config, device="cuda", out=here.with_name("gpu.parquet")), clips(), CLASSES)
    ours, theirs = (scores.load(path)[0]["scores"] for path in (here, there))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.02, atol=0.02)


@pytest.mark.shared
def test_real_clips(config, shared_data, files, tmp_path):
    """Weizmann in its own folders, two clips a class, on a small protocol."""
    from arsr.data import folders

    classes = folders.DATASETS["weizmann"].classes
    items = [i for i in folders.items("weizmann", shared_data / "weizmann") if i.group in ("ido", "eli")]
    torch.manual_seed(0)
    for modality in ("rgb", "flow"):
        net = recognition.TSN(10, modality, "lite", flow_frames=2)
        recognition.save(net, tmp_path / f"{modality}.safetensors", classes=list(classes))
    own = tuple(str(tmp_path / f"{m}.safetensors") for m in ("rgb", "flow"))
    config = replace(config, dataset="weizmann", recognisers=own, methods=("bicubic",))
    frame, _ = scores.load(evaluate.evaluate(config, items, classes))
    assert len(frame) == 2 * len(items) and (frame["status"] == "ok").all()
