"""From a video or a folder of images to its flow on disk, streaming: a coloured video or a folder of files."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from arsr_core import video
from arsr_core.errors import InputError, checked
from arsr_core.files import atomic, require_target
from arsr_core.flow import coding, files, methods
from arsr_core.flow.colour import to_rgb

VIDEOS = (".mp4", ".mov", ".mkv")
COLOUR_BOUND = 5.0  # px of full saturation


@checked
def extract(
    source: str | Path,
    target: str | Path,
    *,
    method: str = "tvl1",
    format: str | None = None,
    bound: float | None = None,
    fps: float | None = None,
    **options: object,
) -> None:
    """Writes the flow of a video or a folder of images, streaming; the target appears when it is complete.

    target: OUT.mp4, .mov or .mkv for a video in the colours of `to_rgb` (odd sides gain a pixel), or else a folder,
    new or empty, of files in the `format`: one of FORMATS (default "flo"), or "png", pictures in these colours.
    bound: px of full saturation in colours (default 5), or the bound of the 8-bit coding (default 20, TSN's).
    fps: rate of the video; default: the source's.
    method, options: as for `stream`; with method="precomputed" the source itself is a folder of flow files.
    A terminal sees a bar after two seconds. Raises InputError as `stream`, `video.frames` and `video.encode` do.

    >>> extract("clip.avi", "clip-flow", format="uint8", workers=2)
    """
    source, target = Path(source), Path(target)
    coloured = format is None and target.suffix.lower() in VIDEOS
    _check(source, target, coloured, format, bound)
    if method == "precomputed":
        if options:
            raise InputError(f"precomputed: no option {', '.join(options)}; the flow is read as it is")
        paths, rate = files.listing(source), None
        total = len(paths)
        flows = _alike(paths)
    else:
        info = video.probe(source)
        rate, total = info.fps, info.frames and info.frames - 1
        if coloured and fps is None and not source.is_dir():
            video.require_constant_rate(source)
        flows = methods.stream(video.frames(source), method, **options)
    if coloured and rate is None and fps is None:
        raise InputError(f"{source}: has no rate; give one, frames per second: --fps, or fps")
    flows = tqdm(flows, total=total, unit=" pairs", delay=2, disable=None)
    pictures = (video.to_uint8(to_rgb(flow[None], bound or COLOUR_BOUND)[None])[0] for flow in flows)  # (H, W, 3)
    if coloured:
        video.encode(target, map(_even, pictures), rate if fps is None else fps)
    elif format == "png":
        video.write(target, pictures)
    else:
        with atomic(target) as folder:
            folder.mkdir()
            for number, flow in enumerate(flows):
                FORMATS[format or "flo"](folder, number, flow[None], bound)


def _alike(paths: Iterable[Path]) -> Iterator[torch.Tensor]:
    """The flow of each file, (2, H, W), of one size."""
    size = None
    for path in paths:
        (flow,) = files.read(path)
        if size not in (None, flow.shape):
            given = f"{flow.shape[2]}x{flow.shape[1]}, that before it {size[2]}x{size[1]}"
            raise InputError(f"{path}: the flow is {given}; expected one size: part the files")
        size = flow.shape
        yield flow


def _even(rgb: np.ndarray) -> np.ndarray:
    """With even sides, as H.264 needs them."""
    return np.pad(rgb, ((0, rgb.shape[0] % 2), (0, rgb.shape[1] % 2), (0, 0)), mode="edge")


# The formats: write flow number ..., (1, 2, H, W), into a folder ---------------------------------------------


def _flow_file(suffix: str, folder: Path, number: int, flow: torch.Tensor, bound: float | None) -> None:
    path = folder / f"{number:06d}{suffix}"
    path.write_bytes(files.encode(path, flow))


def _eight_bit(suffix: str, settings: dict, folder: Path, number: int, flow: torch.Tensor, bound: float | None) -> None:
    """As TSN's tool names them: flow_x_00001 is the flow from the first frame to the second."""
    from PIL import Image

    for axis, image in zip("xy", coding.encode_uint8(flow, bound or 20)[0].numpy(), strict=True):
        Image.fromarray(image).save(folder / f"flow_{axis}_{number + 1:05d}{suffix}", **settings)


FORMATS: dict[str, Callable[[Path, int, torch.Tensor, float | None], None]] = {
    "flo": partial(_flow_file, ".flo"),
    "kitti": partial(_flow_file, ".png"),
    "uint8": partial(_eight_bit, ".png", {"compress_level": 1}),  # two 8-bit images a pair, without loss
    "uint8-jpg": partial(_eight_bit, ".jpg", {"quality": 95}),  # with the loss that TSN's tool accepts
}


def _check(source: Path, target: Path, coloured: bool, format: str | None, bound: float | None) -> None:
    if format not in (None, *FORMATS, "png"):
        raise InputError(f"unknown format {format!r}; choose one of {', '.join(FORMATS)}, png")
    if not coloured and target.suffix.lower() in VIDEOS:
        raise InputError(f"{target}: the format {format} makes a folder; give it a name without {target.suffix}")
    if not coloured and format is None and target.suffix:
        raise InputError(f"{target}: expected {', '.join(VIDEOS)} for a video, or a format for a folder of files")
    if bound is not None and not 0.001 <= bound <= 10_000:
        raise InputError(f"expected bound from 0.001 to 10000 pixels, got {bound}")
    if source.exists() and target.exists() and target.samefile(source):
        raise InputError(f"{target}: source and target are the same; choose another target")
    require_target(target, folder=not coloured)
