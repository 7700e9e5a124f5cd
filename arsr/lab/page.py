"""`lab.html`, and the folder `lab` beside it: engine, networks and clips as scripts, which load from file:// too.

The page itself is small. What it needs when the reader starts it lies in lab/NAME.I.js, parts of gzip in base64.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from string import Template
from typing import NamedTuple

import numpy as np
from PIL import Image

from arsr.data import clips, real
from arsr.embedded.actions import ACTIONS
from arsr.lab.export import PROTOCOL, Export
from arsr.viewer import coding, viewer
from arsr_core import degrade, files, sr, video
from arsr_core.errors import InputError

ENGINE = Path("book/vendor/onnxruntime-web")  # in the checkout: npm's onnxruntime-web, see SHA256SUMS
PARTS = {  # of an engine: script, glue, WebAssembly
    "wasm": ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm.gz"),
    "webgpu": ("ort.jspi.min.js", "ort-wasm-simd-threaded.jspi.mjs", "ort-wasm-simd-threaded.jspi.wasm.gz"),
}
CLIPS = ("swing_racket", "drink", "sweep", "wave", "run", "kick")  # one of each kind of action
METHODS = ("hr", "lr", *sr.METHODS)  # what a link may name
PART = 1_000_000  # bytes of gzip in a script: progress shows, and no script is longer
POSTER = (80, 60)


class Pictured(NamedTuple):
    """A clip of the benchmark whose frames the laboratory opens."""

    name: str
    action: str
    file: Path  # `stacked`
    poster: Path  # one small frame


def write(folder: Path, root: Path, networks: list[Export], studied: Sequence[Pictured] = ()) -> Path:
    """Write the laboratory's page and the scripts beside it; root: the checkout, which has the engine.

    studied: clips of the benchmark, which links open.
    """
    videos = _clips() + _real_clips()
    assets = engine(root) | {f"net-{x.name}": gzip.compress(x.onnx, 9, mtime=0) for x in networks}
    assets |= {f"clip-{clip.name}": _whole(stacked(clip.frames)) for clip in videos}
    counts = {name: scripts(folder / "lab", name, data) for name, data in assets.items()}
    for clip in studied:  # too many to hold them all
        counts[f"clip-{clip.name}"] = scripts(folder / "lab", f"clip-{clip.name}", _whole(clip.file.read_bytes()))
    height, width = PROTOCOL.size
    index = viewer.colours() | {
        "assets": counts,
        "width": width,
        "height": height,
        "networks": [dict(name=x.name, title=x.title, frames=x.frames) for x in networks if x.frames],
        "clips": [_shown(clip) for clip in videos],
        "studied": {clip.name: clip.action for clip in studied},
        "actions": list(ACTIONS),
        "protocol": asdict(PROTOCOL),
    }
    here = Path(__file__).parent
    worker, page = (
        "\n".join((here / f"{name}.js").read_text("utf-8") for name in names)
        for names in (("pixels", "flow", "worker"), ("assets", "reading", "words", "lab"))
    )
    first = sum(len(assets[f"wasm-{part}"]) for part in range(3)) / 1e6
    text = Template((here / "lab.html").read_text("utf-8")).substitute(
        theme=(here / "theme.js").read_text("utf-8"),
        css=(here / "lab.css").read_text("utf-8"),
        weight=f"It loads {first:.0f} MB, and 1 to 2 MB for each network that you choose, once.",
        real=f"Real video: {' and '.join(real.files())}. The others are drawn." if real.files() else "",
        viewer_css=literal(viewer.CSS),
        worker=literal(worker),
        scripts=f"{viewer.JAVASCRIPT}\n{page}",
        index=literal(index),
    )
    files.write_atomically(folder / "lab.html", text)
    return folder / "lab.html"


def engine(root: Path) -> dict[str, bytes]:
    """The vendored engines' files as gzip, "wasm-0", ..., if their bytes are those that SHA256SUMS names."""
    folder = root / ENGINE
    path = folder / "SHA256SUMS"
    if not path.is_file():
        raise InputError(f"{folder}: no engine of the laboratory there; restore it from the repository")
    sums = dict(reversed(line.split()) for line in path.read_text("utf-8").splitlines() if line[:1] != "#")
    found = {}
    for name, part, file in [(name, *part) for name, parts in PARTS.items() for part in enumerate(parts)]:
        path = folder / file
        if not path.is_file() or files.sha256(path) != sums.get(file):
            raise InputError(f"{path}: missing, or not the file that SHA256SUMS names; restore it from the repository")
        data = path.read_bytes()
        found[f"{name}-{part}"] = data if path.suffix == ".gz" else gzip.compress(data, 9, mtime=0)
    return found


def _clips() -> list[clips.Footage]:
    """The test clips of the chosen actions: the first of each, as the book's chapters show them."""
    videos, _ = clips.footage(count=len(ACTIONS))
    return [replace(next(clip for clip in videos if clip.action == action), name=action) for action in CLIPS]


def _real_clips() -> list[clips.Footage]:
    """What there is of `real`: the middle, 4:3, shrunk to the size of the protocol."""
    found = []
    for name, path in real.files().items():
        frames = video.read(path, numbers=real.CLIPS[name][1]).frames
        height, width = frames.shape[1:3]
        unit = min(height // 3, width // 4)
        top, left = (height - 3 * unit) // 2, (width - 4 * unit) // 2
        middle = video.to_tensor(frames[:, top : top + 3 * unit, left : left + 4 * unit])
        found.append(clips.Footage(name, "", video.to_uint8(degrade.imresize(middle, size=PROTOCOL.size))))
    return found


def stacked(frames: np.ndarray) -> bytes:
    """All frames of a clip, uint8 (T, H, W, 3), in one lossless picture, one below the other."""
    return coding.encoded(frames.reshape(-1, *frames.shape[2:]), **coding.LOSSLESS)


def _whole(picture: bytes) -> bytes:
    """A picture as an asset, which is gzip: it is coded already."""
    return gzip.compress(picture, 1, mtime=0)


def _shown(clip: clips.Footage) -> dict[str, str | None]:
    small = Image.fromarray(clip.frames[len(clip.frames) // 2]).resize(POSTER, Image.Resampling.LANCZOS)
    poster = f"data:image/webp;base64,{coding.text(coding.encoded(small, format='WEBP', quality=70))}"
    title = clip.name.replace("_", " ")
    alt = f"A drawn puppet: {title}" if clip.action else f"Real video: {title}"
    return dict(name=clip.name, action=clip.action or None, title=title, alt=alt, poster=poster)


def scripts(folder: Path, name: str, data: bytes) -> int:
    """Write the parts of an asset; their number."""
    parts = [data[at : at + PART] for at in range(0, len(data), PART)]
    for i, part in enumerate(parts):
        key = f"{name}.{i}"
        text = f"(window.ARSR_LAB ??= {{}})[{json.dumps(key)}] = {json.dumps(coding.text(part))};\n"
        files.write_atomically(folder / f"{key}.js", text)
    return len(parts)


def literal(value: object) -> str:
    """JavaScript of a value, safe inside a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
