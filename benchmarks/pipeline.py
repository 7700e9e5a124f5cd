"""From files to both streams' scores: arsr.evaluate against the same stages run the old way, in one process.

    python benchmarks/pipeline.py [--protocol light] [--backbone resnet18] [--precision auto] [--frames 60] [--clips 2]
                                  [--threads 2] [--repeats 3] [--keep]

The old way is that of the paper's and TSN's tools: every frame to PNG, LR PNG, SR PNG by one float32 forward each, a
lossless video, its resized frames and 8-bit flow as JPEG, one float32 forward a snippet. Clips are synthetic, 320x240,
H.264. The SR network is VDSR at its published size with a last layer of zeros, so that frames look as bicubic's;
recognisers have RANDOM weights. Repeats alternate, so that a noisy machine slows both alike; a ratio of medians above
1: ours is faster.

Flow (TV-L1 of OpenCV, preset fast) is the same on both sides and takes most of a CPU's time: a first run computes it
and gives our frames/s and the share of each stage; the timed repeats find it in memory.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import _common
import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from arsr import evaluate, records
from arsr.data.clips import Clip, from_file
from arsr.embedded import generated
from arsr_core import degrade, flow, recognition, sr, video

CLASSES = tuple(f"class {i}" for i in range(51))
FLOW = "fast"


class Clock:
    """Seconds by stage."""

    def __init__(self):
        self.seconds = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - begin

    def around(self, stage: str, function: Callable) -> Callable:
        def timed(*arguments, **settings):
            with self(stage):
                return function(*arguments, **settings)

        return timed


def new_way(pipeline: evaluate.Pipeline, clips: list[Clip], flows: list | None) -> tuple[float, Clock, dict, list]:
    """-> wall seconds, seconds by stage, scores by (clip, stream), coded flows. flows: those to find in memory."""
    clock, kept, coded_flow = Clock(), [], evaluate.coded_flow

    def estimate(*arguments) -> torch.Tensor:
        kept.append(coded_flow(*arguments) if flows is None else flows[len(kept)])
        return kept[-1]

    stages = {
        "degrade": (degrade, "to_lr", degrade.to_lr),
        "super-resolve": (sr, "upscale", sr.upscale),
        "resize": (recognition, "resize", recognition.resize),
        "flow": (evaluate, "coded_flow", estimate),
        "recognise": (evaluate, "score", evaluate.score),
    }
    with ExitStack() as stack:
        for stage, (module, name, function) in stages.items():
            stack.enter_context(patch.object(module, name, clock.around(stage, function)))
        begin = time.perf_counter()
        timed = [{name: clock.around("decode", getattr(clip, name)) for name in ("count", "read")} for clip in clips]
        todo = [(replace(clip, **decode), pipeline.units) for clip, decode in zip(clips, timed, strict=True)]
        rows = [row for part in pipeline.run(todo) for row in part]
        wall = time.perf_counter() - begin
    return wall, clock, {(row["clip"], row["stream"]): np.array(row["scores"]) for row in rows}, kept


@torch.inference_mode()
def old_way(
    network: nn.Module, nets: dict[str, nn.Module], protocol, videos: list[Path], home: Path, flows: list | None
) -> tuple[Clock, dict, list]:
    """-> seconds by stage, scores by (clip, stream), coded flow of all pairs. Files go to `home`."""
    clock, found, kept = Clock(), {}, []
    for number, path in enumerate(videos):
        folder = Path(tempfile.mkdtemp(dir=home))
        for name in ("hr", "lr", "sr", "jpg"):
            (folder / name).mkdir()
        jpg = folder / "jpg"
        with clock("decode"):
            for t, frame in enumerate(video.frames(path)):
                write(folder / "hr" / f"{t:05d}.png", frame)
        names = sorted(file.name for file in (folder / "hr").iterdir())
        with clock("degrade"):
            for name in names:
                lr = degrade.to_lr(read(folder / "hr" / name), eight_bit=True)
                write(folder / "lr" / name, video.to_uint8(lr[None])[0])
        with clock("super-resolve"):
            for name in names:
                frame = network(read(folder / "lr" / name))
                write(folder / "sr" / name, video.to_uint8(frame[None])[0])
        with clock("lossless video"):
            video.write(folder / "sr.mkv", video.frames(folder / "sr"), 25)
        with clock("resize"):
            for t, frame in enumerate(video.frames(folder / "sr.mkv")):
                write(jpg / f"img_{t:05d}.jpg", cv2.resize(frame, protocol.size[::-1]))
        with clock("flow"):
            if flows is None:
                frames = [read(jpg / f"img_{t:05d}.jpg") for t in range(len(names))]
                pairs = [flow.tvl1(a, b, backend="opencv", **flow.PRESETS[FLOW]) for a, b in pairwise(frames)]
                kept.append(flow.encode_uint8(torch.cat(pairs), protocol.bound).numpy())
            else:
                kept.append(flows[number])
        with clock("flow images"):
            for t, fields in enumerate(kept[-1]):
                for axis, field in zip("xy", fields, strict=True):
                    cv2.imwrite(str(jpg / f"flow_{axis}_{t:05d}.jpg"), field)
        with clock("recognise"):
            for stream, net in nets.items():
                length = 1 if stream == "spatial" else protocol.flow_frames
                parts = []
                for start in recognition.starts(len(names) - (length > 1), protocol, length).tolist():
                    if stream == "spatial":
                        snippet = read(jpg / f"img_{start:05d}.jpg")
                    else:
                        fields = [f"flow_{axis}_{start + i:05d}.jpg" for i in range(length) for axis in "xy"]
                        images = np.stack([cv2.imread(str(jpg / name), cv2.IMREAD_GRAYSCALE) for name in fields])
                        snippet = torch.from_numpy(images)[None] / 255
                    parts.append(net.snippets(recognition.crop(snippet, protocol))[0].mean(0))  # over the crops
                found[path.stem, stream] = torch.stack(parts).mean(0).numpy()
    return clock, found, kept


def write(path: Path, frame: np.ndarray) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))


def read(path: Path) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return video.to_tensor(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)[None])[0]


def networks(folder: Path, backbone: str, protocol) -> tuple[dict[str, Path], Path]:
    """Files of two streams with random weights, and of VDSR that gives bicubic frames."""
    torch.manual_seed(0)
    streams = {}
    for stream, modality in {"spatial": "rgb", "temporal": "flow"}.items():
        net = recognition.TSN(len(CLASSES), modality, backbone, flow_frames=protocol.flow_frames)
        nn.init.normal_(net.fc.weight, std=0.1)
        streams[stream] = recognition.save(net, folder / f"{stream}.safetensors")
    state = sr.build("vdsr").state_dict()
    *_, last = (name for name in state if name.endswith("weight"))
    state[last] = torch.zeros_like(state[last])
    save_file(state, folder / "vdsr.safetensors")
    return streams, folder / "vdsr.safetensors"


def keep(values: dict[str, tuple[float, str, str]], options: argparse.Namespace) -> None:
    """Commits the numbers: results/speed-pipeline-PROTOCOL.json."""
    data = f"{options.clips} synthetic clips of {options.frames} frames, 320x240"
    note = f"random weights; {options.threads} thread(s); medians of {options.repeats} alternating repeats"
    source = _common.provenance("Speed of the whole road", data, note)
    name = options.protocol + ("" if options.precision == "auto" else f"-{options.precision}")
    kept = [
        records.Record(
            key=f"speed.pipeline.{name}.{measure}", value=value, unit=unit, description=what, provenance=source
        )
        for measure, (value, unit, what) in values.items()
    ]
    _common.save(kept, f"speed-pipeline-{name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", default="light", choices=recognition.PROTOCOLS)
    parser.add_argument("--backbone", default="resnet18", choices=recognition.BACKBONES)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--frames", type=_common.count, default=60, help="of each clip")
    parser.add_argument("--clips", type=_common.count, default=2)
    parser.add_argument("--threads", type=_common.count, default=2)
    parser.add_argument("--repeats", type=_common.count, default=3)
    parser.add_argument("--keep", action="store_true", help="write the numbers to results/ as measurements")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    protocol = recognition.PROTOCOLS[options.protocol]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        streams, vdsr = networks(home, options.backbone, protocol)
        videos = [home / f"clip{i}.mp4" for i in range(options.clips)]
        for i, path in enumerate(videos):
            video.encode(path, generated.clip(i, size=(240, 320), frames=options.frames).frames, 25)
        clips = [replace(from_file(home, p.name, CLASSES[0], 0, p.stem), name=p.stem) for p in videos]
        config = evaluate.Evaluation(
            "synthetic",
            home / "scores.parquet",
            tuple(map(str, streams.values())),
            ("vdsr",),
            {"vdsr": vdsr},
            protocol,
            FLOW,
            backend="opencv",
            precision=options.precision,
            device="cpu",
            workers=options.threads,
        )
        pipeline = evaluate.Pipeline(config, CLASSES, torch.device("cpu"), "")
        nets = {stream: recognition.load(path) for stream, path in streams.items()}
        network = sr.load("vdsr", vdsr)

        wall, clock, ours, our_flows = new_way(pipeline, clips, None)
        old_clock, theirs, old_flows = old_way(network, nets, protocol, videos, home, None)
        total = options.clips * options.frames
        busy = sum(clock.seconds.values())
        print(f"torch {torch.__version__}, {options.threads} thread(s), protocol {protocol.name}, {options.backbone}")
        print(f"ours with flow: {total / wall:.1f} frames/s; {busy / wall:.2f} stages at a time; shares of their time:")
        for stage, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
            print(f"  {stage:16} {100 * seconds / busy:5.1f} %  {1000 * seconds / total:8.1f} ms a frame of the clip")
        old_busy = sum(old_clock.seconds.values())
        print(f"the old way with flow, of all pairs: {total / old_busy:.1f} frames/s; shares:")
        for stage, seconds in sorted(old_clock.seconds.items(), key=lambda item: -item[1]):
            print(
                f"  {stage:16} {100 * seconds / old_busy:5.1f} %  {1000 * seconds / total:8.1f} ms a frame of the clip"
            )
        spread = np.std([x for x in theirs.values()], axis=-1).mean()
        apart = max(np.abs(ours[name] - theirs[name]).max() for name in theirs) / spread
        print(f"scores: at most {apart:.3f} of their spread apart (JPEG, and what bfloat16 rounds)", flush=True)

        times = []
        for _ in range(options.repeats):
            new = new_way(pipeline, clips, our_flows)[0]
            old = old_way(network, nets, protocol, videos, home, old_flows)[0].seconds
            times.append((new, sum(old.values()) - old["flow"]))
            print(
                f"without flow: ours {total / times[-1][0]:6.2f} frames/s, old way {total / times[-1][1]:6.2f}",
                flush=True,
            )
    new, old = map(statistics.median, zip(*times, strict=True))
    print(f"ratio without flow: {old / new:.2f}")
    if options.keep:
        values = {
            "ratio": (old / new, "", "times as fast as the old way, flow excluded from both"),
            "frames": (total / new, "frames/s", "the clip's frames a second, flow excluded"),
            "frames-with-flow": (total / wall, "frames/s", "the clip's frames a second, TV-L1 (fast, OpenCV) included"),
            "old.frames": (total / old, "frames/s", "the old way: the clip's frames a second, flow excluded"),
        }
        for stage, seconds in clock.seconds.items():
            values[f"share.{stage}"] = (100 * seconds / busy, "%", f"share of {stage} in the stages' time, with flow")
        keep(values, options)


if __name__ == "__main__":
    _common.run(main)
