"""The laboratory's export and its page: networks as torch has them, a small page, an engine that is the right one."""

import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from arsr import manifest
from arsr.book import offline
from arsr.data import real
from arsr.lab import export, page
from arsr_core import degrade, video
from arsr_core.errors import InputError


def test_four_times_is_imresize_for_frames_of_any_size():
    for size in ((30, 40), (7, 9), (2, 3)):
        x = torch.rand(2, 3, *size)
        torch.testing.assert_close(degrade._four_times(x), degrade.imresize(x, 4), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["vdsr", "tosr", "spmc"])
def test_an_export_serves_frames_of_any_size(root, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    network = manifest.at_hand(root / "weights")[name].network
    session = onnxruntime.InferenceSession(export._super_resolution(network))
    window = () if network.frames == 1 else (network.frames,)
    x = torch.rand(1, *window, 3, 19, 26)
    with torch.inference_mode():
        expected = network(x)
    [y] = session.run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(y), expected, atol=export.TOLERANCE, rtol=0)


def test_an_export_that_froze_a_size_is_refused():
    pytest.importorskip("onnxruntime")

    class Frozen(nn.Module):
        def forward(self, x):
            return x * int(x.shape[-1])

    free = {"x": {2: "h", 3: "w"}, "y": {2: "height", 3: "width"}}
    with pytest.raises(InputError, match="Frozen differs from torch by"):
        export._checked(Frozen(), [torch.rand(1, 3, *size) for size in export.SIZES], free)


@pytest.fixture(scope="module")
def made(root, tmp_path_factory):
    networks = [export.Export("srgan", "SRGAN <b>", b"0" * 1_500, 1), export.Export("spatial", "spatial", b"", 0)]
    return page.write(tmp_path_factory.mktemp("lab"), root, networks)


def test_the_page_is_small_and_loads_nothing_from_elsewhere(made):
    assert made.stat().st_size < 1_000_000
    assert offline.outside_loads(made.parent) == []
    assert "SRGAN <b>" not in made.read_text("utf-8")


def test_scripts_hold_the_parts_that_the_page_names(made):
    counts = dict(re.findall(r'"([a-z0-9_-]+)":(\d+)', re.search(r'"assets":{(.*?)}', made.read_text("utf-8"))[1]))
    assert counts["wasm-0"] == counts["webgpu-0"] == "1" and int(counts["wasm-2"]) > 2 < int(counts["webgpu-2"])
    named = {f"{name}.{i}.js" for name, count in counts.items() for i in range(int(count))}
    assert named == {path.name for path in (made.parent / "lab").iterdir()}


def test_an_engine_that_is_absent_or_another_is_refused(root, tmp_path):
    with pytest.raises(InputError, match="no engine of the laboratory there"):
        page.engine(tmp_path)
    shutil.copytree(root / page.ENGINE, tmp_path / page.ENGINE)
    (tmp_path / page.ENGINE / "ort.wasm.min.js").write_text("alert(1)")
    with pytest.raises(InputError, match="ort.wasm.min.js: missing, or not the file that SHA256SUMS names"):
        page.engine(tmp_path)


def test_real_clips_are_there_if_their_package_is(monkeypatch, tmp_path):
    monkeypatch.setattr(real.metadata, "files", lambda _: None)
    assert real.files() == {} and real.realsr() is None and "pip install -e '.[clips]'" in real.words()
    frames = np.random.default_rng(0).integers(0, 255, (48, 30, 64, 3), np.uint8)
    video.encode(tmp_path / "carphone_pristine.mp4", iter(frames), 25)
    listed = [SimpleNamespace(name=path.name, locate=lambda path=path: path) for path in tmp_path.iterdir()]
    monkeypatch.setattr(real.metadata, "files", lambda _: listed)
    assert "carphone" in real.words() and "bikes" not in real.words()
    [clip] = page._real_clips()
    height, width = export.PROTOCOL.size
    assert clip.frames.shape == (24, height, width, 3) and not clip.action
    assert page._shown(clip)["action"] is None


def test_the_command_refuses_a_folder_that_is_no_checkout(tmp_path):
    done = subprocess.run([sys.executable, "-m", "arsr", "lab", "--root", tmp_path], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("arsr: ") and "Traceback" not in done.stderr
