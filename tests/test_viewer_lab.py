"""The viewer live in a real JupyterLab: frames from the kernel, the view in Python, keys that stay in the viewer."""

import ast
import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

pytestmark = pytest.mark.browser

TOKEN = "only-for-this-test"
SECONDS = 120  # a busy machine starts kernels slowly

SETUP = """
import numpy as np, torch
from arsr_core import degrade, video
from arsr.embedded import generated
from arsr.viewer import Viewer
clip = generated.clip(3, split="test", size=(120, 160), frames=10)
hr = video.to_tensor(clip.frames)
bicubic = degrade.imresize(degrade.to_lr(hr, eight_bit=True), 4, eight_bit=True)
off = clip.flow.copy()
off[2, :, 60:80, 100:130] += 4
viewer = Viewer({"HR": clip.frames, "bicubic": bicubic}, {"HR": clip.flow, "bicubic": off})
"""
LONG = """
ramp = torch.arange(300).remainder(256).to(torch.uint8).view(300, 1, 1, 1).expand(300, 240, 320, 3)
long = Viewer({f"method {i}": ramp for i in range(10)}, frame=77)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory, root):
    """A JupyterLab of our own: loopback, its own home and settings; ended by its process id."""
    pytest.importorskip("jupyterlab")
    import jupytext
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    home = tmp_path_factory.mktemp("lab")
    work = home / "work" / "book"
    work.mkdir(parents=True)
    for name, cells in {"live": [SETUP, "viewer"], "long": [SETUP + LONG, "long"]}.items():
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        node = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=kernel)
        nbformat.write(node, work / f"{name}.ipynb")
    jupytext.write(jupytext.read(root / "book" / "explore.md"), work / "explore.ipynb")
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = os.environ | {name: str(home / name.lower()) for name in folders} | {"HOME": str(home)}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "s"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "w")}
    environment |= {"PYTHONPATH": str(root), "JUPYTER_PREFER_ENV_PATH": "0"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        *("--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={home / 'work'}", "--LabApp.news_url="),
        *("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly"),
    ]
    command = [sys.executable, "-m", "jupyterlab", *options]
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=home)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{url}/api/status?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"JupyterLab did not start:\n{(home / 'log.txt').read_text()[-3000:]}")
                time.sleep(0.3)
        yield url, home / "jupyter_runtime_dir"
    finally:
        process.terminate()  # ends its kernels too
        process.wait(30)


@pytest.fixture
def notebook(lab, browser):
    """Open a notebook, run all its cells, wait for the viewer: the page, and a function that asks its kernel."""
    url, runtime = lab
    opened = []

    def open_notebook(name: str, until: str = "[data-arsr-viewer] .viewer[data-painted]"):
        context = browser.new_context(viewport={"width": 1400, "height": 1400})
        context.set_default_timeout(SECONDS * 1000)
        context.route(
            "**/*", lambda r: r.continue_() if r.request.url.startswith((url, "data:", "blob:")) else r.abort()
        )
        page, trouble = context.new_page(), []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(f"{url}/lab/tree/book/{name}.ipynb?token={TOKEN}&reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_selector("text=/ipykernel.* Idle/")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.wait_for_selector(until)
        with urllib.request.urlopen(f"{url}/api/sessions?token={TOKEN}") as answer:
            [kernel] = [s["kernel"]["id"] for s in json.load(answer) if s["path"].endswith(f"{name}.ipynb")]
        python = Python(runtime / f"kernel-{kernel}.json")
        opened.append((context, python))
        return page, python, trouble

    yield open_notebook
    for context, python in opened:
        python.client.stop_channels()
        context.close()


class Python:
    """The notebook's kernel, asked from outside."""

    def __init__(self, connection):
        from jupyter_client import BlockingKernelClient

        self.client = BlockingKernelClient(connection_file=str(connection))
        self.client.load_connection_file()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    def run(self, code: str, value: str = "None"):
        reply = self.client.execute(code, user_expressions={"value": value}, reply=True, timeout=SECONDS)
        assert reply["content"]["status"] == "ok", reply["content"]
        return ast.literal_eval(reply["content"]["user_expressions"]["value"]["data"]["text/plain"])

    def wait(self, value: str, expected):
        deadline = time.monotonic() + 20
        while (found := self.run("", value)) != expected and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found == expected


def picture(page, side="left") -> np.ndarray:
    """What the panel shows: (h, w, 3)."""
    width, data = page.evaluate(
        """async side => {
          const find = s => document.querySelector('[data-arsr-viewer]').shadowRoot.querySelector(s);
          const frames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
          do { await frames(); } while (find('.viewer').classList.contains('waiting'));
          const c = find(`.${side} .picture`);
          const copy = Object.assign(document.createElement('canvas'), { width: c.width, height: c.height });
          copy.getContext('2d').drawImage(c, 0, 0);
          const { data } = copy.getContext('2d').getImageData(0, 0, c.width, c.height);
          return [c.width, btoa(data.reduce((text, byte) => text + String.fromCharCode(byte), ''))];
        }""",
        side,
    )
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(-1, width, 4)[..., :3]


def rgb(python, label, t) -> np.ndarray:
    data = python.run("import base64", f"base64.b64encode(viewer._clips[{label!r}][{t}].tobytes()).decode()")
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(120, 160, 3)


def test_the_view_is_shared_with_python(notebook):
    page, python, trouble = notebook("live")
    assert (picture(page, "right") == rgb(python, "bicubic", 0)).all()
    find = page.locator("[data-arsr-viewer]")

    # the reader moves, Python knows
    find.locator("button[name='next']").click()
    python.wait("viewer.frame", 1)
    find.locator(".screen.left").click(position={"x": 20, "y": 20})
    python.wait("viewer.picked is not None", True)
    x, y = python.run("", "viewer.picked")
    assert f"Pixel ({x}, {y}), frame 1" in find.locator(".reading caption").inner_text()
    read = python.run("", "viewer.read()")
    find.locator(".reading tr.right .epe").wait_for()
    page.wait_for_function(
        "!document.querySelector('[data-arsr-viewer]').shadowRoot.querySelector('.epe').textContent.includes('\u2026')"
    )
    shown = find.locator(".reading tr.right .rgb").inner_text()
    assert shown == " ".join(map(str, read["bicubic"]["rgb"]))
    shown = float(find.locator(".reading tr.right .epe").inner_text())
    assert shown == pytest.approx(read["bicubic"]["epe"], abs=0.06)

    # Python moves, the reader sees
    python.run("viewer.frame, viewer.layer = 7, 'frame'")
    page.wait_for_function(
        "document.querySelector('[data-arsr-viewer]').shadowRoot.querySelector('.viewer').dataset.painted === '7'"
    )
    assert (picture(page) == rgb(python, "HR", 7)).all()
    python.run("viewer.layer, viewer.mode, viewer.line = 'flow_error', 'wipe', (10, 60, 140, 60)")
    find.locator(".wiper").wait_for()
    find.locator(".profile canvas").first.wait_for()

    # the worst artefact and the errors of each frame are measured in the kernel, on demand
    find.locator("button[name='worst']").click()
    python.wait("viewer.frame", 2)
    assert python.run("", "viewer.picked") == python.run("", "viewer.worst('bicubic')[1:3]")
    find.locator(".curve polyline").first.wait_for()

    # keys that mean something to the notebook stay in the viewer
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    find.locator(".screen.left").focus()
    for key in ("a", "b", "x", "d", "d", "z", "m", "y", "Shift+ArrowDown", "."):
        page.keyboard.press(key)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    assert page.locator(".jp-Notebook .jp-MarkdownCell").count() == 0
    assert find.locator("input[name='arrows']").is_checked()
    assert find.locator("select[name='lens']").input_value() == "4"
    assert trouble == []


def test_a_long_clip_opens_at_once(notebook):
    page, python, trouble = notebook("long")
    seconds = python.run(
        "import time\nstart = time.perf_counter()\n"
        "Viewer({f'method {i}': ramp for i in range(10)})._repr_mimebundle_()\n",
        "time.perf_counter() - start",
    )
    assert seconds < 20  # on a busy machine
    assert (picture(page) == 77).all()
    page.locator("[data-arsr-viewer] input[name='frame']").fill("255")
    page.wait_for_function(
        "document.querySelector('[data-arsr-viewer]').shadowRoot.querySelector('.viewer').dataset.painted === '255'"
    )
    assert (picture(page, "right") == 255).all()
    python.wait("long.frame", 255)
    assert trouble == []


def test_the_exploration_notebook(notebook, lab):
    page, python, trouble = notebook("explore", until="button:has-text('Look')")
    python.run("count.value, height.value, methods.value = 3, 64, ('bicubic',)")
    page.get_by_role("button", name="Look").click()
    page.wait_for_selector("[data-arsr-viewer] .viewer[data-painted]")
    assert python.run("", "(viewer.labels, viewer._count, viewer._height)") == (["HR", "Bicubic"], 3, 64)
    page.locator("[data-arsr-viewer] .screen.left").click()
    page.wait_for_selector("table:has-text('Bicubic')")
    # a file by name, and a name that does not exist
    python.run("video.write('clip.mkv', frames(), 25)\nsource.selected_index = 1\npath.value = 'nothing.mp4'")
    page.get_by_role("button", name="Look").click()
    page.wait_for_selector("text=nothing.mp4")
    python.run("path.value = 'clip.mkv'\nfirst.value = 1\ncount.value = 2")
    page.get_by_role("button", name="Look").click()
    python.wait("(viewer._count, run.disabled)", (2, False))
    # the same file, uploaded
    page.get_by_role("tab", name="Upload").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a file").click()
    chooser.value.set_files(lab[1].parent / "work" / "book" / "clip.mkv")
    python.wait("[one.name for one in upload.value], source.selected_index", (["clip.mkv"], 2))
    python.run("first.value, count.value = 0, 3")
    page.get_by_role("button", name="Look").click()
    python.wait("(viewer._count, run.disabled)", (3, False))
    assert trouble == []
