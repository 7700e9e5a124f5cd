"""The laboratory in Firefox, from file:// and over http, nothing else within reach. Needs `make book` or `arsr lab`.

Firefox is driven by Marionette, its own protocol: a length, a colon, and a list in JSON, over a local socket.
"""

import json
import shutil
import socket
import subprocess
import time

import numpy as np
import pytest
import torch
from test_lab_browser import ACTION, EPE, RECOGNISERS, browser_frame, hr, html, networks, python_frame, quiet, server  # noqa: F401 - fixtures

from arsr import manifest
from arsr.evaluate import score
from arsr.lab.export import PROTOCOL
from arsr_core import flow, metrics, recognition, video

pytestmark = pytest.mark.browser

PATIENCE = 240  # seconds for a script
# nothing is asked of the world outside: what is not on this machine goes to a proxy that is not there
SETTINGS = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1",
    "datareporting.policy.dataSubmissionEnabled": False,
}


class Tab:
    """A page in Firefox, with as much of Playwright's Page as the tests ask for."""

    def __init__(self, port: int):
        self.socket = self._connected(port)
        self.file, self.last = self.socket.makefile("rb"), 0
        self._read()
        self.tell("WebDriver:NewSession", capabilities={})
        self.tell("WebDriver:SetTimeouts", script=1000 * PATIENCE, pageLoad=60_000)

    @staticmethod
    def _connected(port: int) -> socket.socket:
        for _ in range(240):
            try:
                return socket.create_connection(("127.0.0.1", port))
            except OSError:
                time.sleep(0.5)
        raise TimeoutError("Firefox does not listen")

    def _read(self) -> list:
        size = b""
        while (byte := self.file.read(1)) != b":":
            size += byte
        return json.loads(self.file.read(int(size)))

    def tell(self, command: str, **given) -> object:
        self.last += 1
        message = json.dumps([0, self.last, command, given]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, value = self._read()
        assert not error, error
        return value

    def evaluate(self, script: str, given: object = None) -> object:
        """The value of an expression, or of an async function of `given`."""
        body = f"""const done = arguments[1];
          (async () => {{
            const found = ({script});
            return typeof found === 'function' ? found(arguments[0]) : found;
          }})().then((value) => done({{ value }}), (error) => done({{ error: String(error) }}));"""
        found = self.tell("WebDriver:ExecuteAsyncScript", script=body, args=[given], sandbox=None)["value"]
        assert "error" not in found, found
        return found.get("value")

    def wait(self, condition: str) -> None:
        script = f"""new Promise((resolve) => {{
          const timer = setInterval(() => {{ if ({condition}) {{ clearInterval(timer); resolve(); }} }}, 50);
        }})"""
        self.evaluate(script)


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("no Firefox: install the distribution's package, firefox-esr or firefox")
    profile = tmp_path_factory.mktemp("firefox")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in SETTINGS.items()]
    (profile / "user.js").write_text("\n".join([*lines, f'user_pref("marionette.port", {port});']))
    command = [program, "--headless", "--marionette", "--no-remote", "--profile", profile, "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Tab(port)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(params=["file", "http"])
def page(request, firefox, html, server):  # noqa: F811
    """The laboratory, started: its first picture is there."""
    at = html.as_uri() if request.param == "file" else server
    firefox.tell("WebDriver:Navigate", url="about:blank")
    firefox.tell("WebDriver:Navigate", url=f"{at}/lab.html#left=bicubic&right=srgan")
    firefox.evaluate("document.getElementById('start').click()")
    firefox.wait("lab.viewer?.box.dataset.painted || !document.getElementById('trouble').hidden")
    assert firefox.evaluate("document.getElementById('trouble').textContent") == ""
    quiet(firefox)
    return firefox


def test_frames_flow_and_answers_are_those_of_python(page, hr, networks, root):  # noqa: F811
    assert page.evaluate("[lab.state.clip, lab.clip.frames.length]") == [ACTION, len(hr)]
    exact, _ = browser_frame(page, "hr", 3)
    assert (exact == video.to_uint8(hr[None, 3:4])[0]).all()
    for method, t in (("bicubic", 0), ("srgan", 7), ("tosr", 1)):
        seen, measured = browser_frame(page, method, t)
        assert np.abs(seen.astype(int) - python_frame(page, networks[method], t)).max() <= 1, method
        made = video.to_tensor(np.array(seen)[None])[0]
        assert measured["psnr"] == pytest.approx(metrics.psnr(made, hr[t : t + 1]).item(), abs=1e-4)
    own = flow.tvl1(hr[:1], hr[1:2], **flow.PRESETS["fast"])
    seen = page.evaluate("async () => [...(await lab.door.ask('flow', { method: 'hr', t: 0 })).vectors]")
    assert metrics.epe(torch.tensor(seen).view(1, 2, *hr.shape[-2:]), own).item() < EPE
    ask = "async () => { await lab.network('spatial'); return lab.door.ask('scores', SPATIAL); }"
    found = torch.tensor(page.evaluate(ask.replace("SPATIAL", "{ method: 'hr', stream: 'spatial' }")))
    network = recognition.load(manifest.find(root / "weights", RECOGNISERS["spatial"]))
    frames = torch.from_numpy(video.to_uint8(hr[None])).permute(0, 3, 1, 2)
    expected = score(network, frames[recognition.starts(len(hr), PROTOCOL)], protocol=PROTOCOL)["spatial"]
    assert (found - expected).abs().max() < 1e-3


def test_a_reader_moves_on_to_another_clip_and_degradation(page):
    page.evaluate("document.querySelector('[name=clip][value=wave]').click()")
    page.wait("lab.clip.action === 'wave' && lab.viewer.box.dataset.painted")
    page.evaluate("document.querySelector('[name=scale][value=\"3\"]').click()")
    page.evaluate("lab.viewer.set({ left: 'LR', right: 'HR' })")
    page.wait("lab.viewer.store.kept.has('frames 1 0') && lab.viewer.store.kept.has('frames 0 0')")
    assert page.evaluate("[lab.state.scale, lab.viewer.view.left, lab.viewer.view.right]") == [3, "LR", "HR"]
    assert page.evaluate("document.getElementById('trouble').hidden")
