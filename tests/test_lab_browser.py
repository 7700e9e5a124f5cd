"""The laboratory in Chromium, from file:// and over http, with the network blocked. Needs `make book` or `arsr lab`.

What the browser computes is compared with arsr_core on the same pixels.
"""

import base64
import functools
import http.server
import json
import math
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arsr import manifest
from arsr.data import clips
from arsr.embedded.actions import ACTIONS
from arsr.evaluate import coded_flow, score, see
from arsr.evaluation import Evaluation
from arsr.lab.export import PROTOCOL, RECOGNISERS
from arsr.lab.page import CLIPS
from arsr_core import degrade, flow, metrics, recognition, sr, video

pytestmark = pytest.mark.browser

ACTION = CLIPS[0]
EPE = 0.02  # px, mean over a pair: how far the browser's flow may be from Python's; measured: 0.0004 to 0.014
# of scores: what the browser's own flow does. Rounding grows in TV-L1's iterations, and where nothing moves, TSN's code
# falls to 127 or 128 by the sign of what rounding left. Measured on three clips: 0.006 to 0.015; torch against numba,
# 0.012 to 0.021.
OWN_FLOW = 2e-2
SECONDS = 1000
SRGAN = "lab.methods.find(({ name }) => name === 'srgan').title"


@pytest.fixture(scope="module")
def html(root) -> Path:
    folder = Path(os.environ.get("ARSR_HTML", root / "_build" / "embedded" / "html"))
    if not (folder / "lab.html").exists():
        pytest.skip("no laboratory: run `make book` or `arsr lab` first")
    return folder


@pytest.fixture(scope="module")
def server(html):
    """The pages over http, isolated from other origins, so that the engine may have threads."""

    class Isolated(http.server.SimpleHTTPRequestHandler):
        def end_headers(self):
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            super().end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Isolated, directory=html)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def visit(html, browser):
    """Open the laboratory; what it complains of or asks of another place fails the test."""
    contexts, trouble = [], []

    def open_page(query="", at=None, width=1280, started=True, script="", permissions=(), **options):
        while contexts:
            contexts.pop().close()
        at = at or html.as_uri()
        options = dict(viewport={"width": width, "height": 900}, offline=at.startswith("file:")) | options
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(240 * SECONDS)
        context.grant_permissions(list(permissions))
        context.add_init_script(script)

        def allow(route):
            if route.request.url.startswith((at, "data:", "blob:")):
                return route.continue_()
            trouble.append(f"fetched {route.request.url}")
            return route.abort()

        context.route("**/*", allow)
        page = context.new_page()
        page.on("console", lambda m: trouble.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(f"{at}/lab.html{query}")
        if started:
            page.click("#start")
            page.wait_for_selector("#viewer .viewer[data-painted]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    expected = ("favicon", "RANGE_NOT_SATISFIABLE", "FILE_NOT_FOUND")  # of a video without a byte, of no folder
    assert [t for t in trouble if not any(word in t for word in expected)] == []


# --- what Python makes of the same clip --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hr() -> torch.Tensor:
    """The first clip: (T, 3, H, W) in [0, 1]."""
    videos, _ = clips.footage(count=len(ACTIONS))
    return next(clip for clip in videos if clip.action == ACTION).hr[0]


@pytest.fixture(scope="module")
def networks(root):
    return {name: model.network for name, model in manifest.at_hand(root / "weights").items()}


def python_frame(page, network, t, scale=4) -> np.ndarray:
    """(H, W, 3) levels that arsr_core makes of the browser's LR frames: x4 by the network, then HR's size again."""
    count, height, width = page.evaluate("[lab.clip.frames.length, lab.clip.height, lab.clip.width]")
    rows, columns = ([math.ceil(i * side / n) for i in range(n)] for side, n in _sides(height, width, scale))
    lr = torch.zeros(1, count, 3, len(rows), len(columns))
    for i in {min(max(t + by, 0), count - 1) for by in range(-(network.frames // 2), network.frames // 2 + 1)}:
        large, _ = browser_frame(page, "lr", i)  # each pixel a block
        lr[:, i] = video.to_tensor(large[rows][:, columns][None])[0]
    out = degrade.quantise(sr.upscale(network, lr, frames=[t], precision="float32", progress=False))
    return video.to_uint8(degrade.imresize(out, size=(height, width), eight_bit=True))[0]


def _sides(height, width, scale):
    return [(side, round(side / scale)) for side in (height, width)]


def browser_frame(page, method, t) -> tuple[np.ndarray, dict]:
    """(H, W, 3) levels as the page shows them, and what it measured."""
    found = page.evaluate(
        """async ([method, t]) => {
          await lab.network(method);
          const { pixels, ...rest } = await lab.door.ask('frame', { method, t });
          return { ...rest, pixels: btoa(pixels.reduce((s, x) => s + String.fromCharCode(x), '')) };
        }""",
        [method, t],
    )

    rgba = np.frombuffer(base64.b64decode(found.pop("pixels")), np.uint8)
    return rgba.reshape(page.evaluate("lab.clip.height"), -1, 4)[..., :3], found


def quiet(page) -> None:
    """Nothing waits in the background, so that what a test asks is answered at once."""
    page.evaluate("lab.door.forget()")


def degraded(page, **changes) -> None:
    page.evaluate("async (changes) => { Object.assign(lab.state, changes); await lab.degrade(); }", changes)
    quiet(page)


# --- the same numbers ------------------------------------------------------------------------------------------------


def test_a_plain_load_is_small_and_loads_nothing_more(html, visit):
    asked = []
    page = visit(started=False)
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    assert [url.rpartition("/")[2] for url in asked if url.startswith("file:")] == ["lab.html"]
    assert (html / "lab.html").stat().st_size < 1_000_000


@pytest.mark.parametrize("host", ["file", "http"])
def test_frames_equal_those_of_python(host, visit, server, hr, networks):
    page = visit("#left=hr&right=bicubic", server if host == "http" else None)
    quiet(page)
    exact, _ = browser_frame(page, "hr", 3)
    assert (exact == video.to_uint8(hr[None, 3:4])[0]).all()
    for method, t in (("bicubic", 0), ("vdsr", 7), ("srgan", 7), ("spmc", 0), ("tosr", 1), ("duf52", 23)):
        seen, measured = browser_frame(page, method, t)
        expected = python_frame(page, networks[method], t)
        assert np.abs(seen.astype(int) - expected).max() <= 1, method
        made = video.to_tensor(np.array(seen)[None])[0]
        assert measured["psnr"] == pytest.approx(metrics.psnr(made, hr[t : t + 1]).item(), abs=1e-4)
        assert measured["ssim"] == pytest.approx(metrics.ssim(made, hr[t : t + 1]).item(), abs=1e-6)
    for scale in (2, 3):
        degraded(page, scale=scale)
        seen, _ = browser_frame(page, "srgan", 7)
        off = np.abs(seen.astype(int) - python_frame(page, networks["srgan"], 7, scale))
        assert off.max() <= 2 and (off > 1).mean() < 1e-4, scale  # two roundings follow upon one another
    threads = page.evaluate("document.getElementById('where').textContent")
    assert ("one thread" in threads) == (host == "file" or (os.cpu_count() or 1) < 2)


def test_lr_noise_and_jpeg(visit, hr):
    page = visit("#left=hr&right=lr")
    lr = degrade.to_lr(hr[5:6], eight_bit=True)
    expected = video.to_uint8(lr.repeat_interleave(4, -1).repeat_interleave(4, -2)[None])[0].astype(int)
    quiet(page)
    seen, _ = browser_frame(page, "lr", 5)
    assert np.abs(seen - expected).max() <= 1 and (seen != expected).mean() < 1e-3  # ties of float32
    degraded(page, noise=10)
    noise = browser_frame(page, "lr", 5)[0][::4, ::4].astype(int) - expected[::4, ::4]
    assert abs(noise.mean()) < 1 and 8 < noise.std() < 11
    degraded(page, noise=0, jpeg=10)
    coded = browser_frame(page, "lr", 5)[0].astype(int)
    assert 1 < np.abs(coded - expected).mean() < 20
    degraded(page, jpeg=100)
    assert (browser_frame(page, "lr", 5)[0] == seen).all()


def test_flow_is_that_of_python(visit, hr):
    page = visit("#left=hr&right=bicubic")
    quiet(page)
    own = flow.tvl1(hr[:-1], hr[1:], **flow.PRESETS["fast"])
    most = int(flow.speed(own).mean((1, 2, 3)).argmax())
    for t in {0, most}:
        ask = "async (t) => [...(await lab.door.ask('flow', { method: 'hr', t })).vectors]"
        seen = torch.tensor(page.evaluate(ask, t)).view(1, 2, *hr.shape[-2:])
        assert metrics.epe(seen, own[t : t + 1]).item() < EPE
    bicubic = [video.to_tensor(np.array(browser_frame(page, "bicubic", t)[0])[None])[0] for t in (most, most + 1)]
    mean, peak, x, y = page.evaluate("async (t) => (await lab.door.ask('flow', { method: 'bicubic', t })).row", most)
    error = metrics.epe(flow.tvl1(*bicubic, **flow.PRESETS["fast"]), own[most : most + 1]).item()
    assert mean == pytest.approx(error, abs=2 * EPE)
    assert peak > mean and 0 <= x < hr.shape[-1] and 0 <= y < hr.shape[-2]


def in_worker(more: str) -> str:
    """A script for the page that puts `more` at the end of the worker's own."""
    return """{
      const Plain = Blob;
      window.Blob = class extends Plain {
        constructor(parts, options) {
          super(/self.onmessage/.test(parts?.[0]) ? [...parts, MORE] : parts, options);
        }
      };
    }""".replace("MORE", json.dumps(more))


# another question: here is the flow of a method, compute none
GIVEN = """;asks.given = ({ method, vectors, size }) => {
  for (let t = 0; t * 2 * size < vectors.length; t += 1) {
    const [u, v] = [0, 1].map((c) => vectors.subarray((2 * t + c) * size, (2 * t + c + 1) * size));
    made.set('flow ' + method + ' ' + t, Promise.resolve({ u, v }));
  }
};"""
GIVE = """async ([method, text, size]) => {
  const vectors = new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  await lab.door.ask('given', { method, vectors, size });
}"""
SCORES = "async ([method, stream]) => { await lab.network(stream); return lab.door.ask('scores', { method, stream }); }"


@pytest.mark.slow
def test_answers_are_those_of_the_protocol(visit, hr, networks, root):
    """Of frames; and of flow, given the same flow. Its own is off by EPE: as far as Python's two backends are."""
    page = visit("#left=hr&right=bicubic", script=in_worker(GIVEN))
    quiet(page)
    frames = video.to_uint8(hr[None])
    files = [manifest.find(root / "weights", name) for name in RECOGNISERS.values()]
    config = Evaluation(
        "embedded", Path("x.parquet"), tuple(map(str, files)), protocol=PROTOCOL, flow="fast", workers=1
    )
    spatial, temporal = (recognition.load(file) for file in files)
    for method, network in (("hr", None), ("bicubic", networks["bicubic"])):
        seen = see(frames, list(range(len(frames))), network, PROTOCOL, precision="float32")
        shown = seen[recognition.starts(len(seen), PROTOCOL)]
        first = recognition.starts(len(seen) - 1, PROTOCOL, PROTOCOL.flow_frames).tolist()

        def answer(flows, first=first):
            stacks = flow.stack(flows[None], first, PROTOCOL.flow_frames)[0]
            return score(temporal, stacks, protocol=PROTOCOL)["temporal"]

        def off(stream, expected, method=method):
            found = torch.tensor(page.evaluate(SCORES, [method, stream]))
            assert found.argmax() == expected.argmax(), (method, stream)
            return (found - expected).abs().max().item()

        assert off("spatial", score(spatial, shown, protocol=PROTOCOL)["spatial"]) < 1e-3
        expected = answer(coded_flow(seen[:-1], seen[1:], config))
        other = answer(coded_flow(seen[:-1], seen[1:], replace(config, backend="torch")))
        assert off("temporal", expected) < max(OWN_FLOW, 2 * (other - expected).abs().max().item())
        vectors = flow.tvl1(seen[:-1], seen[1:], **flow.PRESETS["fast"])
        text = base64.b64encode(vectors.numpy().tobytes()).decode()
        page.evaluate(GIVE, [method, text, vectors[0, 0].numel()])
        assert off("temporal", expected) < 1e-3


# --- WebGPU, else the processor --------------------------------------------------------------------------------------

SMALL = """async () => {
  const [width, height] = [48, 36];
  const level = (k) => (_, i) => (i % 4 === 3 ? 255 : 128 + 100 * Math.sin(i / 37 + k) * Math.cos(i / 1111));
  const frames = [0, 1, 2].map((k) => Uint8ClampedArray.from({ length: 4 * width * height }, level(k)));
  await lab.own(async () => ({ width, height, frames }));
  lab.door.forget();
}"""
# a graphics processor that a page finds and cannot use
BROKEN = """;Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => ({
  info: { vendor: 'none', architecture: '', description: 'Imagined', isFallbackAdapter: false },
  features: new Set(), limits: {}, requestDevice: async () => { throw new Error('device lost'); },
}) } });"""
# one that goes while it runs
LOST = """;asks.lose = () => {
  provider = 'webgpu';
  for (const network of sessions.values()) network.session = { run: async () => { throw new Error('device lost'); } };
};"""


@pytest.mark.slow
def test_webgpu_gives_the_frames_of_python(visit, html, browser, networks):
    """On a processor that imitates a graphics processor: 20 s a frame of 12x9."""
    flags = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    imitated = browser.browser_type.launch(executable_path=program, args=flags)
    try:
        page = imitated.new_page()
        page.set_default_timeout(500 * SECONDS)
        page.goto(f"{html.as_uri()}/lab.html#left=hr&right=lr&engine=webgpu")
        page.click("#start")
        page.wait_for_selector("#viewer .viewer[data-painted]")
        page.evaluate(SMALL)
        for method in ("srgan", "tosr"):
            seen, _ = browser_frame(page, method, 1)
            assert np.abs(seen.astype(int) - python_frame(page, networks[method], 1)).max() <= 1, method
            assert "WebGPU, google swiftshader" in page.inner_text("#where")
        page.evaluate("document.getElementById('engine').value = 'auto'")
        page.select_option("#engine", "auto")  # what is imitated is slower than the processor, and not taken
        page.wait_for_function("lab.state.engine === 'auto' && lab.viewer")
        page.evaluate("lab.network('srgan')")
        assert "on this machine's processor" in page.inner_text("#where")
    finally:
        imitated.close()


@pytest.mark.parametrize("script", [BROKEN, LOST])
def test_where_webgpu_fails_the_processor_goes_on(visit, networks, script):
    page = visit("#left=hr&right=srgan", script=in_worker(script))
    if script == LOST:
        quiet(page)
        page.evaluate("lab.door.ask('lose')")
        page.evaluate("() => { lab.state.noise = 2; lab.degrade(); }")  # no frame of the network's is there any more
    page.wait_for_function("document.getElementById('where').textContent.startsWith('WebGPU failed (')")
    page.wait_for_function("lab.outcomes.get('srgan')?.psnr.length")
    line = page.inner_text("#where")
    assert ("device lost" in line or script == BROKEN) and "on this machine's processor" in line
    assert page.evaluate("lab.viewer.view.right").startswith("SRGAN") and page.is_hidden("#trouble")
    quiet(page)
    seen, _ = browser_frame(page, "srgan", 2)
    assert np.abs(seen.astype(int) - python_frame(page, networks["srgan"], 2)).max() <= 1


# --- what a reader does ---------------------------------------------------------------------------------------------


def test_a_link_opens_a_state_and_the_address_keeps_it(visit):
    page = visit("#clip=wave&times=3&noise=4&jpeg=60&left=lr&right=bicubic&frame=6&layer=frame_error&stream=spatial")
    assert page.evaluate("[lab.state.clip, lab.state.scale, lab.state.noise, lab.state.jpeg]") == ["wave", 3, 4, 60]
    view = page.evaluate("lab.viewer.view")
    assert (view["left"], view["right"], view["frame"], view["layer"]) == ("LR", "Bicubic", 6, "frame_error")
    page.keyboard.press("Tab")
    page.evaluate("lab.viewer.set({ frame: 9 })")
    page.wait_for_function("location.hash.includes('frame=9')")
    assert "clip=wave&times=3&noise=4&jpeg=60" in page.evaluate("location.hash")
    page = visit(
        "#clip=nothing&times=9&noise=-1&left=bicubic&right=lr&frame=99", started=True
    )  # what cannot be is left out
    assert page.evaluate("[lab.state.clip, lab.state.scale, lab.state.noise]") == [ACTION, 4, 0]


def test_a_slider_moved_while_all_loads_does_no_harm(visit):
    page = visit("#left=hr&right=srgan", started=False)
    page.click("#start")
    page.wait_for_function("lab.viewer")
    page.evaluate("lab.state.noise = 5; lab.degrade(); lab.state.noise = 0; lab.degrade();")
    page.wait_for_selector("#viewer .viewer[data-painted]")
    page.wait_for_function("!lab.viewer.waiting")
    assert page.is_hidden("#trouble")


def test_the_keyboard_does_it_all(visit):
    page = visit("#left=hr&right=bicubic", started=False)
    page.focus("[name='clip']:checked")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("lab.state.clip") == CLIPS[1]
    page.focus("#start")
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer .viewer[data-painted]")
    page.focus("#noise")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("lab.state.noise") == 2
    assert page.get_attribute("#noise", "aria-valuetext") == "2 of 255 levels"
    page.evaluate("lab.viewer.find('.screen').focus()")
    page.keyboard.press(".")
    assert page.evaluate("lab.viewer.view.frame") == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(visit, theme):
    from axe_playwright_python.sync_playwright import Axe

    for started in (False, True):
        page = visit("#left=hr&right=bicubic", width=390, started=started, color_scheme=theme)
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        found = Axe().run(page).response["violations"]
        serious = [
            (v["id"], n["html"][:120]) for v in found if v["impact"] in ("serious", "critical") for n in v["nodes"]
        ]
        assert serious == []


# --- the reader's own footage --------------------------------------------------------------------------------------


def give(page, path) -> None:
    page.set_input_files("#file", path)
    page.wait_for_function(
        "lab.state.clip === 'own' && lab.viewer?.box.dataset.painted || !document.getElementById('trouble').hidden"
    )


def test_a_picture_and_a_video_of_the_reader(visit, tmp_path, hr):
    large = np.tile(np.linspace(0, 255, 3840, dtype=np.uint8)[:, None], (2160, 1, 3))
    Image.fromarray(large).save(tmp_path / "large.png")
    page = visit("#left=hr&right=bicubic")
    give(page, tmp_path / "large.png")
    page.wait_for_function("lab.clip.action === null")
    assert page.evaluate("[lab.clip.width, lab.clip.height, lab.clip.frames.length]") == [160, 120, 1]
    assert "left out" in page.inner_text("#recogniser") and not page.is_visible("#viewer .scores")
    video.encode(tmp_path / "4K.mp4", iter(np.tile(large, (3, 1, 1, 1))), 25)
    give(page, tmp_path / "4K.mp4")
    page.wait_for_function("lab.viewer.box.dataset.painted")
    assert page.evaluate("[lab.clip.width, lab.clip.height]") == [160, 120] and page.is_hidden("#trouble")
    video.encode(tmp_path / "clip.mp4", iter(video.to_uint8(hr[None])), 25)
    give(page, tmp_path / "clip.mp4")
    page.wait_for_function("lab.clip.frames.length > 1")
    assert page.evaluate("[lab.clip.width, lab.clip.height, lab.clip.frames.length]") == [160, 120, 12]
    page.wait_for_selector("#viewer .viewer[data-painted]")
    assert page.is_hidden("#trouble")


def test_what_is_no_picture_is_one_line_and_the_page_goes_on(visit, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.mp4").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    import wave

    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(8000), sound.writeframes(b"\0\0" * 8000)
    page = visit("#left=hr&right=bicubic")
    said = {"text.png": "no picture", "empty.mp4": "no picture", "dot.png": "1 × 1 pixels", "sound.wav": "no pictures"}
    for name, words in said.items():
        page.evaluate("lab.complain('')")
        give(page, tmp_path / name)
        line = page.inner_text("#trouble")
        assert words in line and "\n" not in line and len(line) < 160, name
    page.click(f"label.clip:has([value='{CLIPS[1]}'])")
    page.wait_for_function(f"lab.clip.action === {CLIPS[1]!r}")
    assert page.is_hidden("#trouble")


def test_a_camera_that_is_refused_and_one_that_records(visit):
    refuse = (
        "navigator.mediaDevices && (navigator.mediaDevices.getUserMedia = async () => {"
        " throw new DOMException('', 'NotAllowedError'); })"
    )
    page = visit("#left=hr&right=bicubic", script=refuse)
    page.click("#camera")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "was not allowed" in page.inner_text("#trouble")
    fake = """navigator.mediaDevices && (navigator.mediaDevices.getUserMedia = async () => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
      const context = canvas.getContext('2d');
      setInterval(() => {
        context.fillStyle = `hsl(${Date.now() / 9} 80% 50%)`;
        context.fillRect(0, 0, 320, 240);
      }, 40);
      window.given = canvas.captureStream(25);
      return window.given;
    })"""
    page = visit("#left=hr&right=bicubic", script=fake)
    page.click("#camera")
    page.wait_for_function("lab.clip.action === null && lab.clip.frames.length === 24")
    assert page.evaluate("window.given.getTracks().every((track) => track.readyState === 'ended')")


def test_without_webassembly_and_without_memory_the_rest_works(visit):
    page = visit("#left=hr&right=bicubic", script="delete window.WebAssembly")
    page.evaluate(f"lab.viewer.set({{ right: {SRGAN} }})")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "WebAssembly" in page.inner_text("#trouble")
    page.evaluate("lab.viewer.set({ right: 'LR' })")
    page.wait_for_function("!lab.viewer.waiting")
    full = page.evaluate("lab.viewer.failed.name && true")
    assert full
    said = page.evaluate("lab.own(async () => { throw new RangeError('Array buffer allocation failed'); })")
    assert said is None and "Too little memory" in page.inner_text("#trouble")


def test_after_the_memory_ran_out_the_next_clip_has_a_fresh_worker(visit):
    spent = ";let asked = 0; const { frame: good } = asks; asks.frame = (given) => {"
    spent += " if (given.method === 'srgan') throw new RangeError('out of memory'); return good(given); };"
    page = visit("#left=hr&right=bicubic", script=in_worker(spent))
    page.evaluate(f"window.first = lab.door.worker; lab.viewer.set({{ right: {SRGAN} }})")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "Too little memory" in page.inner_text("#trouble")
    page.evaluate("lab.viewer.set({ right: 'Bicubic' })")
    page.click(f"label.clip:has([value='{CLIPS[1]}'])")
    page.wait_for_function(f"lab.clip.action === {CLIPS[1]!r} && lab.viewer.box.dataset.painted")
    assert page.evaluate("window.first !== lab.door.worker") and page.is_hidden("#trouble")


def test_an_old_browser_and_a_page_without_its_folder_get_one_line(visit, html, tmp_path):
    page = visit(started=False, script="delete window.DecompressionStream")
    page.click("#start")
    assert page.inner_text("#trouble") == (
        "This browser has no DecompressionStream, which the laboratory needs; try a newer one."
    )
    shutil.copy(html / "lab.html", tmp_path)
    page = visit(at=tmp_path.as_uri(), started=False)
    page.click("#start")
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#trouble").endswith("is missing; the folder lab belongs beside this page.")


def test_the_sentence_says_no_more_than_the_numbers(visit, root):
    page = visit(started=False)
    page.add_script_tag(content=(root / "arsr" / "lab" / "words.js").read_text("utf-8"))

    def said(hr="a", left=("a", 30.0, 0.1), right=("b", 31.0, 0.2), action="a"):
        names = ("answer", "psnr", "epe")
        one, two = ({"title": title} | dict(zip(names, x, strict=True)) for title, x in (("L", left), ("R", right)))
        given = [{"title": "HR", "answer": hr, "psnr": None, "epe": 0}, one, two, action]
        return page.evaluate("(given) => explain(...given)", given)

    assert said() == (
        "R makes it “b”; L brings “a” back. The flow of L is nearer to that of HR (0.100 against 0.200 px off on "
        "average). PSNR prefers R, by 1.0 dB; the recogniser does not."
    )
    assert said(right=("a", 30.05, 0.102)).startswith("Both keep the right answer, “a”. The two flows are about as far")
    assert "In PSNR they are alike." in said(right=("a", 30.05, 0.102))
    assert said(left=("c", 30.0, 0.1)).startswith("Both lose the right answer, “a”: L makes it “c”, R “b”.")
    assert said(hr="b").startswith("Even from HR the recogniser says “b” and not “a”")
    assert "recogniser" not in said(action=None) and "“" not in said(action=None)
    assert said(left=("a", None, None), right=("a", None, None)) == "Both keep the right answer, “a”."
