import base64
import gzip
import io
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from traitlets import TraitError

from arsr.book import notebooks
from arsr.book.build import Build
from arsr.embedded import generated
from arsr.viewer import Viewer, coding, viewer
from arsr_core import degrade, metrics, video
from arsr_core.errors import InputError

T, H, W = 5, 48, 64
EVIL = '<img src=x onerror="window.evil = 1"></script><script>window.evil = 1</script>'


@pytest.fixture(scope="module")
def clip():
    return generated.clip(3, split="test", size=(H, W), frames=T)


@pytest.fixture(scope="module")
def clips(clip):
    hr = video.to_tensor(clip.frames)
    bicubic = degrade.imresize(degrade.to_lr(hr, eight_bit=True), 4, eight_bit=True)
    return {"HR": clip.frames, "bicubic": bicubic, "half": (hr / 2)[0]}


@pytest.fixture(scope="module")
def flows(clip):
    flow = clip.flow.copy()
    off = flow.copy()
    off[2, 0, 20:40, 30:50] += 5  # the worst artefact: frame 2, around (40, 30)
    return {"HR": flow, "bicubic": torch.from_numpy(off)[None], "half": torch.from_numpy(flow / 2)}


@pytest.fixture
def view(clips, flows):
    return Viewer(clips, flows, {"HR": {"a": 0.7, "b": 0.3}, "half": {"a": 0.1, "b": 0.9}}, action="a", alt="a figure")


def payload(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])


def decoded(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def unpacked(data: bytes, shape) -> np.ndarray:
    """What viewer.js does with `pack_flow`'s bytes."""
    low, high = np.frombuffer(gzip.decompress(data), np.uint8).reshape(2, -1).astype(np.int64)
    zigzag = low | (high << 8)
    step = (zigzag >> 1) ^ -(zigzag & 1)
    return step.reshape(shape).cumsum(-1).astype(np.int16)


# --- the view from Python ---


def test_the_view_is_set_and_read(view):
    assert (view.left, view.right, view.frame, view.layer, view.picked) == ("HR", "bicubic", 0, "frame", None)
    view.frame, view.right, view.layer, view.picked = np.int64(3), "half", "flow_error", (10, np.int64(20))
    assert (view.frame, view.right, view.layer, view.picked) == (3, "half", "flow_error", (10, 20))
    view.line = [0, 0, W - 1, H - 1]
    assert view.line == (0, 0, W - 1, H - 1)
    view.picked = None
    assert view.read() is None


@pytest.mark.parametrize(
    "name, value",
    [("frame", T), ("frame", -1), ("left", "SoSR"), ("layer", "depth"), ("mode", "blink"), ("trace", "chance")]
    + [("scale", 0.0), ("picked", (W, 0)), ("line", (0, 0, 0, H))],
)
def test_a_view_that_cannot_be_is_refused(view, name, value):
    before = getattr(view, name)
    with pytest.raises(TraitError, match=name):
        setattr(view, name, value)
    assert getattr(view, name) == before


def test_reading_a_pixel(view, clips, flows):
    view.frame, view.picked = 2, (40, 30)
    read = view.read()
    assert list(read) == view.labels
    hr, bicubic = read["HR"], read["bicubic"]
    assert hr["rgb"] == clips["HR"][2, 30, 40].tolist()
    assert bicubic["rgb"] == (clips["bicubic"][0, 2, :, 30, 40] * 255).round().int().tolist()
    assert hr["error"] == 0 and hr["epe"] == 0
    assert bicubic["error"] == pytest.approx(np.abs(np.subtract(bicubic["rgb"], hr["rgb"])).mean())
    assert bicubic["flow"] == pytest.approx(flows["bicubic"][0, 2, :, 30, 40].tolist())
    assert bicubic["epe"] == pytest.approx(5)
    view.frame = T - 1  # no next frame, no flow
    assert view.read()["bicubic"]["flow"] is None and view.read()["bicubic"]["epe"] is None


def test_the_worst_artefact_is_found(view):
    frame, x, y, error = view.worst("bicubic")
    assert frame == 2 and 34 <= x < 46 and 24 <= y < 36 and error == pytest.approx(5)


def test_mean_errors_are_those_of_metrics(view, flows):
    rows = view._summary("half")
    expected = metrics.epe(flows["half"], torch.from_numpy(flows["HR"]))
    assert [row[0] for row in rows] == pytest.approx(expected.tolist(), abs=1e-4)


def test_without_flow_the_frame_error_counts(clips):
    view = Viewer(clips)
    assert view.layers == ["frame", "frame_error"]
    with pytest.raises(TraitError, match="'frame', 'frame_error'"):
        view.layer = "flow"
    expected = np.abs(clips["HR"] - (clips["half"] * 255 + 0.5).floor().permute(0, 2, 3, 1).numpy()).mean((1, 2, 3))
    assert [row[0] for row in view._summary("half")] == pytest.approx(expected, abs=1e-3)


def test_flow_of_some_methods_only(clips, flows):
    view = Viewer(clips, {"HR": flows["HR"], "half": flows["half"]})
    view.picked = 3, 3
    assert view.read()["bicubic"]["flow"] is None and view.read()["HR"]["flow"] is not None
    with pytest.raises(InputError, match="bicubic has no flow"):
        view.worst("bicubic")
    assert Viewer(clips, {"half": flows["half"]}).layers == ["frame", "flow", "frame_error"]


def test_flow_of_the_reference_alone_has_nothing_to_compare(clips, flows):
    view = Viewer(clips, {"HR": flows["HR"]})
    assert view.layers == ["frame", "flow", "frame_error", "weight"]
    assert view.worst("half")[3] > 1


def test_one_frame_or_one_clip_is_enough(clips):
    assert Viewer({"HR": clips["HR"][:1]}, {"HR": np.zeros((0, 2, H, W), np.float32)}).layers == [
        "frame",
        "frame_error",
    ]
    assert Viewer({"only": clips["HR"]}).reference == "only"


@pytest.mark.parametrize("form", [lambda x: x, lambda x: torch.from_numpy(x), lambda x: x[:, ::-1][:, ::-1]])
def test_every_form_of_a_clip_gives_the_same_pixels(clips, form):
    hr = clips["HR"]
    tensor = video.to_tensor(hr)
    forms = {"a": form(hr), "b": tensor, "c": tensor[0].double(), "d": tensor.numpy(), "e": tensor[0].half()}
    view = Viewer(forms)
    for label in "abcd":
        assert (view._clips[label][1] == hr[1]).all(), label
    assert np.abs(view._clips["e"][1].astype(int) - hr[1]).max() <= 1


def frames(t=2, h=8, w=8):
    return torch.zeros(t, 3, h, w)


NAN = torch.full((1, 2, 8, 8), torch.nan)
BAD = {
    "no clips": (dict(clips={}), "at least one"),
    "a list": (dict(clips=[frames()]), "got list"),
    "a number as label": (dict(clips={1: frames()}), "labels as text"),
    "no tensor": (dict(clips={"a": "clip.avi"}), "got str"),
    "integers": (dict(clips={"a": frames().long()}), "got int64"),
    "grey": (dict(clips={"a": torch.zeros(2, 1, 8, 8)}), r"got float32 \(2, 1, 8, 8\)"),
    "two clips in one": (dict(clips={"a": torch.zeros(2, 2, 3, 8, 8)}), r"\(1, T, 3, H, W\)"),
    "no frame": (dict(clips={"a": frames(0)}), r"got float32 \(0, 3, 8, 8\)"),
    "no pixel": (dict(clips={"a": frames(2, 0)}), r"got float32 \(2, 3, 0, 8\)"),
    "NaN": (dict(clips={"a": frames() * torch.nan}), "check what made nan"),
    "0 to 255": (dict(clips={"a": frames() + 255}), "found 255 to 255; divide"),
    "lengths": (dict(clips={"a": frames(), "b": frames(3)}), "a has 2 frames of 8x8 and b has 3 frames of 8x8"),
    "sizes": (dict(clips={"a": frames(), "b": frames(2, 8, 12)}), "a has 2 frames of 8x8 and b has 2 frames of 12x8"),
    "flow of nobody": (dict(clips={"a": frames()}, flows={"b": NAN * 0}), "'b'"),
    "flow, too long": (dict(clips={"a": frames()}, flows={"a": torch.zeros(2, 2, 8, 8)}), r"float flow \(1, 2, 8, 8\)"),
    "flow, not floating": (dict(clips={"a": frames()}, flows={"a": torch.zeros(1, 2, 8, 8).int()}), "got int32"),
    "flow, NaN": (dict(clips={"a": frames()}, flows={"a": NAN}), "flow of a holds NaN"),
    "flow, infinite": (dict(clips={"a": frames()}, flows={"a": torch.full((1, 2, 8, 8), 1e9)}), "beyond 1000 px"),
    "flow, a list": (dict(clips={"a": frames()}, flows=[NAN]), "got list"),
    "scores of nobody": (dict(clips={"a": frames()}, scores={"b": {"x": 1}}), "'b'"),
    "scores, NaN": (dict(clips={"a": frames()}, scores={"a": {"x": float("nan")}}), "finite score"),
    "scores, a list": (dict(clips={"a": frames()}, scores={"a": [1, 2]}), "finite score"),
    "scores, none": (dict(clips={"a": frames()}, scores={"a": {}}), "finite score"),
    "true class": (dict(clips={"a": frames()}, scores={"a": {"x": 1.0}}, action="y"), "the true class 'y'"),
    "a view": (dict(clips={"a": frames()}, zoom=3), "no zoom; a view has"),
}


@pytest.mark.parametrize("given, says", BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_in_one_line(given, says):
    with pytest.raises(InputError, match=says) as caught:
        Viewer(**given)
    assert "\n" not in str(caught.value)


def test_the_exact_flow_weighs_and_has_its_own_range(clips, flows, view):
    exact = 3 * flows["HR"]
    found = Viewer(clips, flows, exact=exact)
    assert found.layers == [*viewer.LAYERS] and view.layers == [*viewer.LAYERS[:-1]]
    assert found.spec["bounds"]["weight"] > view.spec["bounds"]["weight"]
    found = payload(found.to_html())
    assert found["spec"]["exact"] == 3 and found["spec"]["flows"] == [True] * 4
    assert found["flows"][3] == coding.text(coding.pack_flow(exact, 1))
    assert payload(view.to_html())["spec"]["exact"] is None
    with pytest.raises(InputError, match="exact flow of HR"):
        Viewer(clips, flows, exact=exact[:1])


def test_traces_hold_a_value_a_frame(clips, flows):
    given = {"chance": {"half": [0.1] * T}}
    found = payload(Viewer(clips, flows, traces=given, trace="chance").to_html())
    assert found["spec"]["traces"] == [viewer.PSNR, "chance"] and found["traces"]["chance"] == [None, None, [0.1] * T]
    assert found["view"]["trace"] == "chance"
    reference, bicubic, half = found["traces"][viewer.PSNR]
    hr, other = (torch.from_numpy(viewer._checked_clips(clips)[label] / 255.0) for label in ("HR", "half"))
    expected = metrics.psnr(other.permute(0, 3, 1, 2)[None], hr.permute(0, 3, 1, 2)[None], crop=0, luma=False)
    assert reference is None and np.mean(half) == pytest.approx(float(expected.mean()), abs=0.02)
    assert min(bicubic) > max(half)
    for wrong in ({"chance": {"half": [0.1]}}, {"chance": {"no": [0.1] * T}}, {"chance": {"half": [np.nan] * T}}):
        with pytest.raises(InputError, match="chance|trace"):
            Viewer(clips, flows, traces=wrong)


def test_a_view_opens_on_the_worst_artefact(clips, flows):
    found = Viewer(clips, flows, at="bicubic", mode="wipe")
    frame, x, y, _ = found.worst("bicubic")
    assert (found.frame, found.picked) == (frame, (x, y)) and frame == 2
    assert abs(payload(found.to_html())["view"]["wipe"] * W / 100 - x) < 1.5
    with pytest.raises(InputError, match="no flow to measure"):
        Viewer(clips, flows, at="nobody")


def test_scores_become_ranks():
    by_class = {f"c{i}": float(i) for i in range(10)}
    spec = Viewer({"HR": frames(), "b": frames()}, scores={"b": by_class}, action="c2").spec
    assert spec["scores"] == [[], [["c9", 9.0, 1], ["c8", 8.0, 2], ["c7", 7.0, 3], ["c2", 2.0, 8]]]


def test_scores_of_two_streams_are_ranked_apart():
    both = {"spatial": {"a": 1.0, "b": 2.0}, "temporal": {"a": 3.0, "b": 0.0}}
    spec = Viewer({"HR": frames(), "b": frames()}, scores={"b": both}, action="a").spec
    rows = [["b", 2.0, 1, "spatial"], ["a", 1.0, 2, "spatial"], ["a", 3.0, 1, "temporal"], ["b", 0.0, 2, "temporal"]]
    assert spec["scores"] == [[], rows]
    with pytest.raises(InputError, match="scores of b, temporal"):
        Viewer({"HR": frames(), "b": frames()}, scores={"b": both | {"temporal": {}}})


def test_a_path_goes_by_its_numbers():
    clips = {label: frames() for label in ("HR", "end", "start", "half")}
    view = Viewer(clips, path={"end": 1, "start": 0, "half": 0.5}, path_title="share")
    assert view.spec["path"] == {"title": "share", "steps": [[2, 0.0], [3, 0.5], [1, 1.0]]}
    for wrong in ({"end": 1}, {"end": 1, "start": float("nan")}, {"end": 1, "start": "0"}):
        with pytest.raises(InputError, match="a finite number for two labels or more"):
            Viewer(clips, path=wrong)
    with pytest.raises(InputError, match="no clip for the path of 'nobody'"):
        Viewer(clips, path={"end": 1, "nobody": 0})


# --- coding ---


@settings(deadline=None, max_examples=30)
@given(hnp.arrays(np.float32, (2, 2, 5, 7), elements=st.floats(-1000, 1000, width=32)), st.sampled_from([1, 2]))
def test_flow_is_packed_to_half_a_step(flow, stride):
    kept = flow[..., ::stride, ::stride]
    back = unpacked(coding.pack_flow(flow, stride), kept.shape) / coding.UNIT
    assert np.abs(back - kept).max() <= 0.5 / coding.UNIT + 1e-4


def test_small_clips_are_exact(view, clips, flows):
    data = payload(view.to_html())
    assert data["spec"]["loss"] == ""
    [sheet] = data["sheets"][0]
    assert (decoded(sheet).reshape(clips["HR"].shape) == clips["HR"]).all()
    assert data["spec"]["stride"] == 1
    flow = unpacked(base64.b64decode(data["flows"][0]), flows["HR"].shape) / data["spec"]["unit"]
    assert np.abs(flow - flows["HR"]).max() <= 0.5 / data["spec"]["unit"] + 1e-6


def test_a_tight_budget_is_kept_and_the_loss_stated():
    clip = generated.clip(3, split="test", size=(120, 160), frames=6)
    noisy = np.clip(clip.frames + np.random.default_rng(0).normal(0, 12, clip.frames.shape), 0, 255).astype(np.uint8)
    budget = len(viewer.SCRIPT_TAG) + viewer.OVERHEAD + 150_000
    html = Viewer({"HR": clip.frames, "noisy": noisy}, budget=budget).to_html()
    assert len(html.encode()) <= budget
    data = payload(html)
    seen = [decoded(sheets[0]).reshape(noisy.shape).astype(int) for sheets in data["sheets"]]
    errors = np.abs(np.stack(seen) - np.stack([clip.frames, noisy]))
    stated = float(re.search(r"AVIF .* off by ([\d.]+) of 255", data["spec"]["loss"])[1])
    assert stated > 0 and errors.mean() == pytest.approx(stated, rel=0.2)


def test_what_does_not_fit_is_refused(clips):
    with pytest.raises(InputError, match="do not fit into"):
        Viewer(clips, budget=len(viewer.SCRIPT_TAG) + viewer.OVERHEAD + 1000).to_html()


def test_long_clips_take_several_sheets(monkeypatch):
    monkeypatch.setattr(coding, "SHEET_SIDE", 3 * H)
    data = payload(Viewer({"HR": np.arange(T * H * W * 3, dtype=np.uint8).reshape(T, H, W, 3)}).to_html())
    assert data["spec"]["rows"] == 3 and [decoded(s).shape[0] for s in data["sheets"][0]] == [3 * H, 2 * H]


# --- the book's clips ---

FASTEST = 16  # px a frame, a tenth of the width: the fastest clip shown has 13.5; 46 were seen once


def test_nothing_in_a_chapters_clip_moves_implausibly(root):
    build = Build(root)
    declared = {chapter: notebooks.declared_parameters(chapter) for chapter in build.chapters}
    shown = {chapter.stem: its | build.chapter_parameters(chapter) for chapter, its in declared.items()}
    shown = {chapter: its for chapter, its in shown.items() if "show_clip" in its}
    assert len(shown) >= 10
    for chapter, its in shown.items():
        # fewer frames show the same motion faster
        clip = generated.clip(its["show_clip"], split="test", seed=its["seed"], frames=its.get("frames", 24))
        assert np.hypot(clip.flow[:, 0], clip.flow[:, 1]).max() < FASTEST, (chapter, clip.action)


# --- outputs ---


def test_two_outputs(view):
    data, _ = view._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/html"} <= data.keys()
    poster = np.asarray(view._poster())
    zoom = viewer.POSTER_WIDTH // W
    assert poster.shape[1] == 2 * zoom * W + 8 and poster.shape[0] > zoom * H
    assert (poster[-zoom * H :: zoom, : zoom * W : zoom] == view._clips["HR"][0]).all()


def test_clips_too_long_for_a_page_open_at_once(monkeypatch, clips):
    monkeypatch.setattr(viewer, "STATIC_PIXELS", T * H * W)
    for view in (Viewer(clips), Viewer({"HR": clips["HR"]}, budget=0)):
        data, _ = view._repr_mimebundle_()
        assert "text/html" not in data and "application/vnd.jupyter.widget-view+json" in data


def test_the_same_viewer_is_the_same_page(clips, flows):
    assert Viewer(clips, flows).to_html() == Viewer(clips, flows).to_html()


def test_the_page_holds_the_view(view, tmp_path):
    view.frame, view.picked, view.layer = 3, (5, 6), "weight"
    text = view.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and "a figure" in text
    shown = payload(text)["view"]
    assert (shown["frame"], shown["picked"], shown["layer"], shown["left"]) == (3, [5, 6], "weight", "HR")


def test_labels_are_escaped(tmp_path):
    labels = {EVIL: frames(), "b": frames()}
    view = Viewer(labels, scores={EVIL: {EVIL: 1.0}}, action=EVIL, alt=EVIL)
    text = view.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert EVIL not in text and "<img src=x" not in text and text.count("<script") == 2
    assert payload(text)["spec"]["labels"][0] == EVIL


def test_the_browser_s_side_asks_nothing_of_the_network(view, tmp_path):
    from arsr.book import offline

    view.save(tmp_path / "page.html")
    assert offline.outside_loads(tmp_path) == []
    assert "http" not in viewer.SCRIPT and "export" not in viewer.SCRIPT


# --- live ---


@pytest.fixture
def ask(view, monkeypatch):
    def ask(**message):
        sent = []
        monkeypatch.setattr(view, "send", lambda reply, buffers: sent.append((reply, buffers)))
        view._answer(view, {"id": 7, **message}, [])
        [(reply, buffers)] = sent
        assert reply.pop("id") == 7
        return reply, buffers

    return ask


def test_frames_and_flow_are_sent_on_demand(ask, view, clips, flows):
    reply, [frame] = ask(ask="frame", method=0, frame=3)
    assert reply == {} and (np.asarray(Image.open(io.BytesIO(frame))) == clips["HR"][3]).all()
    _, [flow] = ask(ask="flow", method=0, frame=3)
    spec = view.spec
    assert (spec["rows"], spec["stride"]) == (1, 1)
    assert np.abs(unpacked(flow, (2, H, W)) / spec["unit"] - flows["HR"][3]).max() <= 0.5 / spec["unit"] + 1e-6
    _, [summary] = ask(ask="summary", method=1)
    assert max(json.loads(summary), key=lambda row: row[1])[2:] == list(view.worst("bicubic")[1:3])


def test_opening_copies_no_frame():
    clip = np.zeros((300, 8, 8, 3), np.uint8)
    assert np.shares_memory(Viewer({"HR": clip})._clips["HR"], clip)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_clips_may_lie_on_a_gpu(clips, flows):
    on_gpu = Viewer(
        {n: torch.as_tensor(c).cuda() for n, c in clips.items()}, {"HR": torch.as_tensor(flows["HR"]).cuda()}
    )
    assert on_gpu.to_html() == Viewer(clips, {"HR": flows["HR"]}).to_html()
