"""A person's own video: super-resolved, and its optical flow."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from arsr.commands import hint, say
from arsr.settings import Flag, Positional, spelled
from arsr_core.errors import InputError
from arsr_core.sr import METHODS


@dataclass
class Upscale:
    """Super-resolve your own video by four, frame by frame, in memory that does not grow with its length.

    Examples:
      arsr upscale clip.avi clip-x4.mp4
      arsr upscale clip.avi clip-x4.mp4 --method vdsr --weights vdsr.safetensors
    """

    source: Annotated[Positional[Path], spelled(metavar="IN")]  # a video, or a folder of images
    target: Annotated[Positional[Path], spelled(metavar="OUT")]  # OUT.mp4, .mov or .mkv; keeps rate and sound
    method: Literal[*METHODS] = "bicubic"  # the network
    weights: Path | None = None  # file of weights; bicubic needs none
    padding: Literal["replicate", "reflect", "black"] = "replicate"  # beyond the ends of a clip
    device: str | None = None  # cpu, cuda, cuda:1 ...; default: cuda where there is one
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: as the hardware likes
    backend: Literal["torch", "openvino"] = "torch"  # openvino: RRDBNet, RCAN on a CPU with AMX
    tile: int = 0  # largest side, in px, of the pieces; 0: as memory asks
    batch: int = 0  # frames at a time; 0: as memory allows
    lossless: Flag[bool] = False  # write without loss (and without sound); large
    fps: float | None = None  # rate of a folder of images; for a video: drops its sound

    def __call__(self) -> None:
        if self.weights is None and self.method != "bicubic":
            raise InputError(f"{self.method} needs weights, --weights FILE; 'arsr weights import' converts public ones")
        _check(self.source, self.target, self.fps)
        hint(f"{self.source}: to four times its size by {self.method}")
        from arsr_core import devices, sr
        from arsr_core.sr import upscaling

        settings = dict(padding=self.padding, precision=self.precision, backend=self.backend)
        settings |= dict(device=devices.device(self.device))
        settings |= dict(tile=self.tile or None, batch=self.batch or None, fps=self.fps, lossless=self.lossless)
        upscaling.upscale_video(sr.load(self.method, self.weights), self.source, self.target, **settings)
        say(f"written: {self.target}")


OF_METHOD = {"preset": "tvl1", "workers": "tvl1", "weights": "raft", "download": "raft"}


@dataclass
class Flow:
    """Write the optical flow of a video: as colours to look at, or as files, in memory that does not grow.

    Colours are Middlebury's: hue is direction, saturation is speed. uint8 is what the recogniser reads: two 8-bit
    images a pair, flow_x_00001.png and flow_y_00001.png. kitti is 16-bit PNG.

    Examples:
      arsr flow clip.avi clip-flow.mp4
      arsr flow clip.avi clip-flow --format uint8 --preset fast
    """

    source: Annotated[Positional[Path], spelled(metavar="IN")]  # a video, or a folder of images
    target: Annotated[Positional[Path], spelled(metavar="OUT")]  # OUT.mp4, .mov or .mkv in colours, or a folder
    format: Literal["flo", "kitti", "png", "uint8", "uint8-jpg"] | None = None  # of a folder
    method: Literal["tvl1", "raft", "precomputed"] = "tvl1"  # precomputed: IN is a folder of flow files
    preset: Literal["reference", "fast", "opencv2"] = "reference"  # of tvl1
    weights: Path | None = None  # of raft: a file; default: torch's cache
    download: Flag[bool] = False  # fetch raft's weights if need be, 21 MB
    bound: float | None = None  # of 8 bits (20) or full colour (5), in px
    workers: int = 0  # of tvl1 on a CPU: pairs at a time; 0: one a core
    device: str | None = None  # cpu, cuda, cuda:1 ...; default: cuda where there is one
    fps: float | None = None  # rate of OUT; a folder of images has none

    def __call__(self) -> None:
        for option, method in OF_METHOD.items():
            if self.method != method and getattr(self, option) != getattr(Flow, option):
                raise InputError(f"--{option} is of the method {method}, got --method {self.method}; leave one out")
        if self.method != "precomputed":
            _check(self.source, self.target, self.fps, folder=self.format is not None)
        hint(f"{self.source}: flow by {self.method}")
        from arsr_core import devices, flow

        options, device = dict(flow.PRESETS[self.preset]), devices.device(self.device)
        if self.method == "tvl1":
            workers = self.workers or len(os.sched_getaffinity(0))
            options |= {"workers": workers, "batch": 64 if device.type == "cuda" else max(16, workers)}
        options |= {"weights": self.weights} if self.weights is not None else {}
        options |= {"download": True} if self.download else {}
        options |= {"device": device} if self.method != "precomputed" else {}
        chosen = dict(method=self.method, format=self.format, bound=self.bound, fps=self.fps)
        flow.extract(self.source, self.target, **chosen, **options)
        say(f"written: {self.target}")


def _check(source: Path, target: Path, fps: float | None, folder: bool = False) -> None:
    """InputError for what is no video and what cannot become one, before torch loads."""
    from arsr_core import video

    if not folder and target.suffix.lower() not in ("", *video.LOSSLESS):
        raise InputError(f"{target}: expected .mp4, .mov or .mkv, or no suffix for a folder of images")
    info = video.probe(source)
    if info.fps is None and fps is None and target.suffix and not folder:
        raise InputError(f"{source}: a folder of images has no rate; give --fps, frames per second")
    if info.remark:
        say(info.remark)
