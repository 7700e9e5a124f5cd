"""Clips in and out: uint8 (T, H, W, 3) RGB frames with their rate, as a video file or a folder of images."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from arsr_core.errors import InputError, checked, describe, require
from arsr_core.files import atomic, listed, require_sequence, require_target

if TYPE_CHECKING:
    import av
    import torch  # loads for seconds; reading and writing need none of it

IMAGES = (".jpeg", ".jpg", ".png")
# FFmpeg would also open a text file (as ANSI art), a single picture and a play list that names other files
CONTAINERS = "asf,avi,dv,flv,gif,ivf,matroska,mov,mpeg,mpegts,mxf,nut,ogg,webm,yuv4mpegpipe"
COPY_AGAIN = "copy or download it again"
UNTAGGED = 2  # FFmpeg's number for a matrix that is not said
LARGEST = 2**30 // 12  # pixels of a frame, twice 8K: a header of some bytes can announce more than memory holds
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # its properties, the file's size among them
CROPPED = re.compile(rb"\x54[\xaa\xbb\xcc\xdd](\x81[^\0]|\x82(?!\0\0)..)", re.DOTALL)  # Matroska's PixelCrop
TONEMAP = "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv"
RGB264 = "libx264rgb", "rgb24", {"qp": "0", "preset": "veryfast"}
H264 = "libx264", "yuv420p", {"crf": "16", "mbtree": "0"}  # the macroblock tree makes other bytes of the same frames
FFV1 = "ffv1", "bgr0", {}
# codec, pixel format and options by suffix; each gives back the very RGB that went in
LOSSLESS = {".mkv": FFV1, ".avi": FFV1, ".mp4": RGB264, ".mov": RGB264}


@dataclass(frozen=True)
class Info:
    """A clip's size in pixels as displayed (rotation applied), its rate, and its length as declared."""

    width: int
    height: int
    fps: Fraction | None  # None: a folder of images has no rate
    frames: int | None  # None: the container does not say (Matroska); `count` decodes and knows
    aspect: Fraction = Fraction(1)  # of a pixel as displayed: width / height
    tagged: bool = True  # False: HD without a colour tag, which players take for BT.709 and FFmpeg for BT.601
    remark: str = ""  # what its owner should know, in a line


@dataclass(frozen=True)
class Video:
    """A clip in memory: frames uint8 (T, H, W, 3) RGB, fps in frames a second (None: folder of images)."""

    frames: np.ndarray
    fps: Fraction | None


@checked
def probe(path: str | Path) -> Info:
    """Opens a clip and decodes its first frame; raises InputError where that cannot be done.

    The rate is that of the packets' times, which the length of a single frame does not spoil.
    """
    path = Path(path)
    if path.is_dir():
        images = _images(path)
        height, width, _ = _read_image(images[0]).shape
        return Info(width, height, None, len(images))
    fps = _rate(path)
    with _open(path) as (container, stream):
        first = next(_decode(path, container, stream))
        upright = _displayed(first)
        height, width, _ = upright(np.empty((first.height, first.width, 0))).shape
        aspect = stream.sample_aspect_ratio or Fraction(1)  # none: square pixels
        aspect = 1 / aspect if upright(np.empty((1, 2, 0))).shape[0] == 2 else aspect  # turned by 90 degrees
        tagged = first.colorspace != UNTAGGED or min(height, width) < 720
        return Info(width, height, fps, stream.frames or None, aspect, tagged, _remark(path, container, stream, first))


@checked
def count(path: str | Path) -> int:
    """How many frames a video decodes to, or images a folder has; raises InputError for a damaged or cut video."""
    with _source(Path(path)) as (source, _):
        return sum(1 for _ in source)


@checked
def require_constant_rate(path: str | Path) -> None:
    """Raises InputError where frames are shown for unequal times: numbered frames would lose their timing.

    Reads the packets' times without decoding; a tenth of a frame more or less is the container's rounding.
    """
    with _open(Path(path)) as (container, stream):
        gaps, rounding = [float(gap * stream.time_base) for gap in _gaps(container, stream)], _rounding(container)
    if gaps and gaps[-1] - gaps[0] > 0.1 * gaps[len(gaps) // 2] + rounding:
        raise InputError(
            f"{path}: its frames last {1000 * gaps[0]:.0f} to {1000 * gaps[-1]:.0f} ms; expected a constant rate: "
            "convert it first: ffmpeg -i IN -fps_mode cfr OUT.mkv"
        )


@checked
def frames(
    path: str | Path, *, start: int = 0, stop: int | None = None, numbers: Collection[int] | None = None
) -> Iterator[np.ndarray]:
    """Yields frames start, start + 1, ... < stop, or those of `numbers`, uint8 (H, W, 3) RGB, one in memory at a time.

    A folder's images come in natural order (2.png before 10.png) and are one sequence. Frames are upright: the rotation
    and mirroring that the container asks for are applied; transparent parts let black through. Raises InputError for
    HDR and for unreadable, damaged, cut or empty input; a missing end is noticed on opening where the container allows
    it, otherwise after the last frame.

    >>> for frame in frames("clip.avi", stop=16): ...
    """
    path, number, size = Path(path), -1, None
    if numbers is not None:
        start, stop = min(numbers, default=0), max(numbers, default=-1) + 1
    if start < 0 or (stop is not None and stop <= start):
        raise InputError(f"{path}: expected 0 <= start < stop, got {start=}, {stop=}")
    with _source(path) as (source, to_rgb):
        span = islice(enumerate(source), start, stop)
        for number, item in span if numbers is None else (found for found in span if found[0] in numbers):
            frame = to_rgb(item)  # (H, W, 3)
            if size not in (None, frame.shape):
                what = item.name if isinstance(item, Path) else f"frame {number}"
                given = f"{what} is {frame.shape[1]}x{frame.shape[0]}, the frames before it are {size[1]}x{size[0]}"
                raise InputError(f"{path}: {given}; expected one size: crop or resize the frames")
            size = frame.shape
            yield frame
    if number < (needed := start if numbers is None else stop - 1):
        raise InputError(f"{path}: the clip has no frame {needed}; {'choose a lower one' if needed else COPY_AGAIN}")


@checked
def read(path: str | Path, *, start: int = 0, stop: int | None = None, numbers: Collection[int] | None = None) -> Video:
    """Reads a clip into memory as uint8 (T, H, W, 3) RGB. Errors as in `frames`."""
    source = frames(path, start=start, stop=stop, numbers=numbers)
    first = next(source)
    # fromiter grows one array, where stacking a list would hold every frame twice
    clip = np.fromiter(chain([first], source), np.dtype((np.uint8, first.shape)))
    return Video(clip, None if Path(path).is_dir() else _rate(Path(path)))


@checked
def write(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: Fraction | float | None = None,
    *,
    aspect: Fraction | float = 1,
) -> None:
    """Writes uint8 (H, W, 3) RGB frames without loss, streaming; an existing file is replaced.

    .mkv and .avi hold FFV1, .mp4 and .mov H.264 in RGB with qp 0; a path without suffix becomes a folder of
    PNGs, which needs no fps and must be new or empty. aspect: a pixel's width / height, for .mp4 and .mov; a folder
    has none. All or nothing: after an error, also one raised by `frames`, nothing is left behind. Raises InputError
    for other suffixes, shapes and dtypes, or no frames.

    >>> write("sr.mkv", (f[::-1] for f in frames("hr.mkv")), fps=25)
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix and suffix not in LOSSLESS:
        raise InputError(f"{path}: expected {', '.join(LOSSLESS)} or no suffix (a folder of PNGs)")
    require_target(path, folder=not suffix)
    if not suffix:
        from PIL import Image

        with atomic(path) as folder:
            folder.mkdir()
            for number, frame in enumerate(uniform(f"{path}", frames)):
                # level 1: a third of the time for a tenth more bytes
                Image.fromarray(frame).save(folder / f"{number:06d}.png", compress_level=1)
    elif aspect != 1 and LOSSLESS[suffix] is FFV1:  # PyAV sets no frame's aspect, nor a container's
        raise InputError(f"{path}: FFV1 is written with square pixels, got aspect {aspect}; give .mp4 or .mov")
    else:
        _write_video(path, LOSSLESS[suffix], frames, fps, aspect)


@checked
def encode(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: Fraction | float,
    *,
    aspect: Fraction | float = 1,
    sound: str | Path | None = None,
    tagged: bool = True,
) -> None:
    """Writes uint8 (H, W, 3) RGB frames, H and W even, for viewers: H.264 4:2:0 (lossy, crf 16), streaming.

    path: .mp4, .mov or .mkv. aspect: a pixel's width / height. sound: a video whose sound track is copied, unchanged,
    if it has one. tagged: say that the colours are BT.601's. The same frames give the same bytes. All or nothing, as
    `write`, which loses nothing but sound. Raises InputError for other suffixes, shapes and dtypes, no frames, or
    sound that the container cannot hold.

    >>> encode("sr.mp4", frames("hr.avi"), fps=25, sound="hr.avi")
    """
    path = Path(path)
    if path.suffix.lower() not in (".mp4", ".mov", ".mkv"):
        raise InputError(f"{path}: expected .mp4, .mov or .mkv for an encoded video")
    require_target(path)
    _write_video(path, H264, frames, fps, aspect, sound, tagged)


@checked
def uniform(where: str, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The frames, each of them checked: uint8 (H, W, 3) arrays of one size; InputError for others, and for none."""
    shape = None
    for number, frame in enumerate(frames):
        expected = shape or (*getattr(frame, "shape", ())[:2], 3)
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.shape != expected or not frame.size:
            form = f"{shape}, as before: crop or resize" if shape else "(H, W, 3)"
            raise InputError(f"{where}: frame {number}: expected a uint8 array {form}; got {describe(frame)}")
        shape = frame.shape
        yield frame
    if shape is None:
        raise InputError(f"{where}: no frames; expected at least one")


def to_tensor(frames: np.ndarray) -> torch.Tensor:
    """uint8 (T, H, W, 3) -> float32 (1, T, 3, H, W) in [0, 1], on the CPU."""
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.shape[3:] != (3,):
        raise InputError(f"to_tensor: expected a uint8 array (T, H, W, 3); got {describe(frames)}")
    import torch

    clip = torch.from_numpy(np.require(frames, requirements=["C", "W"])).permute(0, 3, 1, 2)  # (T, 3, H, W)
    return clip.to(torch.float32, memory_format=torch.contiguous_format).div_(255)[None]


def to_uint8(clip: torch.Tensor) -> np.ndarray:
    """float (1, T, 3, H, W) in [0, 1] -> uint8 (T, H, W, 3): clamped, then floor(255 x + 1/2)."""
    require("to_uint8", clip=(clip, "1 T 3 H W"))
    if clip.isnan().any():
        raise InputError(f"the clip {tuple(clip.shape)} contains NaN, which has no colour; check what made it")
    levels = clip.detach()[0].float().clamp(0, 1).mul_(255).add_(0.5)  # (T, 3, H, W); a byte truncates: half up
    return levels.byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


# Reading ----------------------------------------------------------------------------------------------------


def _av() -> ModuleType:
    import av

    av.logging.set_level(None)  # FFmpeg's own remarks stay off the terminal; errors arrive as exceptions
    return av


@contextmanager
def _source(path: Path) -> Iterator[tuple[Iterable, Callable[..., np.ndarray]]]:
    """A folder's images, or a video's frames as they are decoded, and what makes RGB of one."""
    if path.is_dir():
        yield _images(path), _read_image
    else:
        with _open(path) as opened, closing(_decode(path, *opened)) as decoded:
            yield decoded, _rgb_converter()


@contextmanager
def _open(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its video stream; refuses what is no video, cannot be shown as it is, or lacks its end."""
    av = _av()
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder; check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); {COPY_AGAIN}")
    try:
        container = av.open(
            f"file:{path}",  # the prefix keeps "a:b.avi" from being taken for a protocol
            metadata_errors="replace",  # HMDB51 has titles in Latin-1
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
        )
    except av.FFmpegError as error:
        wrong = f"not a readable video ({error.strerror}); expected avi, mp4, mov, mkv or webm"
        raise InputError(f"{path}: {wrong}; if it was cut (an mp4 without its end), {COPY_AGAIN}") from error
    with container:
        cover = av.stream.Disposition.attached_pic  # a song's cover is a video stream to FFmpeg
        stream = _chosen([s for s in container.streams.video if not s.disposition & cover])
        if stream is None:
            raise InputError(f"{path}: no video stream (sound only?); expected a video")
        if stream.codec_context is None:
            raise InputError(f"{path}: its codec is unknown to FFmpeg; convert it: ffmpeg -i IN -c:v libx264 OUT.mp4")
        pixels = stream.codec_context.width * stream.codec_context.height
        _refuse_large(path, pixels)
        if stream.codec_context.color_trc in (16, 18):  # PQ, HLG
            raise InputError(f"{path}: HDR, which 8 bits do not hold; convert it: ffmpeg -i IN -vf {TONEMAP} OUT.mkv")
        _refuse_cut(path, container, stream)
        # Measured against cv2: below VGA size the threads cost more than they give, above they give a third
        stream.thread_type = "FRAME" if pixels > 640 * 480 else "NONE"
        try:
            yield container, stream
        except av.FFmpegError as error:
            raise InputError(f"{path}: damaged ({error.strerror}); {COPY_AGAIN}") from error


def _remark(path: Path, container: av.container.InputContainer, stream: av.VideoStream, frame: av.VideoFrame) -> str:
    """What players would do to the picture and this module does not, in a line."""
    said = ["is interlaced, and its combs stay; without them: ffmpeg -i IN -vf bwdif OUT.mkv"] * frame.interlaced_frame
    if lost := float(_lost(container, stream, frame)):
        said.append(f"starts within a group of pictures; the {lost:.2f} s that cannot be decoded are left out")
    if container.format.name.startswith("matroska"):
        alpha = (
            "has transparent parts, which show; hidden: ffmpeg -c:v libvpx-vp9 -i IN -c:v ffv1 -pix_fmt bgra OUT.mkv"
        )
        said += [alpha] * (stream.metadata.get("alpha_mode") == "1")
        with path.open("rb") as file:
            header = file.read(1 << 14).partition(b"\x1f\x43\xb6\x75")[0]  # what is before the first frames
        edges = "has edges that players cut off, and they stay; without them: ffmpeg -i IN OUT.mkv"
        said += [edges] * bool(CROPPED.search(header))
    return f"{path}: {'; '.join(said)}" if said else ""


def _lost(container: av.container.InputContainer, stream: av.VideoStream, first: av.VideoFrame) -> Fraction:
    """Seconds at the start that need frames before them; 0 for an AVI, which has no times of frames as shown."""
    if container.format.name == "avi" or None in (first.pts, stream.start_time):
        return Fraction(0)
    return max(Fraction(0), (first.pts - stream.start_time) * stream.time_base)


def _chosen(streams: Sequence[av.stream.Stream]) -> av.stream.Stream | None:
    """The stream that players show: the default one, or else the first."""
    return next((s for s in streams if s.disposition & _av().stream.Disposition.default), next(iter(streams), None))


def _refuse_large(path: Path, pixels: int) -> None:
    if pixels > LARGEST:
        raise InputError(f"{path}: frames of {pixels:,} pixels; expected {LARGEST:,} at most: make it smaller first")


def _gaps(container: av.container.InputContainer, stream: av.VideoStream, packets: int | None = None) -> list[int]:
    """The times from each frame to the next as shown, rising, in the stream's unit; none where joined files meet."""
    parts, last = [[]], None
    for packet in islice(container.demux(stream), packets):
        if None not in (last, packet.dts) and packet.dts < last:  # times start again
            parts.append([])
        last = packet.dts
        if packet.pts is not None:
            parts[-1].append(packet.pts)
    return sorted(b - a for part in parts for a, b in pairwise(sorted(part)))


def _rounding(container: av.container.InputContainer) -> float:
    """How many seconds a container's rounding makes one gap longer than another: a GIF counts hundredths."""
    return 0.011 if container.format.name == "gif" else 0.002


def _rate(path: Path) -> Fraction | None:
    """Frames a second: what the container says where the usual gaps agree, whose times are rounded; else the gaps'."""
    with _open(path) as (container, stream):
        gaps = _gaps(container, stream, packets=1000)
        said = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate]
        unit, rounding = stream.time_base, _rounding(container)  # a stream's memory goes with its container
    if not gaps or not (middle := gaps[len(gaps) // 2]):
        return next(iter(said), None)
    usual = [gap for gap in gaps if abs(gap - middle) <= 0.1 * middle + rounding / unit]
    step = Fraction(sum(usual), len(usual)) * unit
    agreeing = (rate for rate in said if abs(1 / rate - step) <= 4 * unit / len(usual))
    return next(agreeing, (1 / step).limit_denominator(1001))


def _refuse_cut(path: Path, container: av.container.InputContainer, stream: av.VideoStream) -> None:
    """Raises InputError if the file is shorter than its own index or header says."""
    index = stream.index_entries
    if len(index) and (end := index[-1].pos + index[-1].size) > (size := container.size):
        wrong = f"its index names data up to byte {end:,}, it ends at byte {size:,}"
        raise InputError(f"{path}: the file is cut: {wrong}; {COPY_AGAIN}")
    # FFmpeg scales an AVI's duration (in frames) by the part of the file that is there
    if container.format.name == "avi" and stream.duration is not None:
        lost = stream.frames - stream.duration
        if lost > max(2, stream.frames // 50):
            wrong = f"its header announces {stream.frames} frames, about {stream.duration} are there"
            raise InputError(f"{path}: the file is cut: {wrong}; {COPY_AGAIN}")
    if container.format.name in ("asf", "gif"):
        with path.open("rb") as file:
            data = file.read(1 << 14)
            file.seek(max(len(data), container.size - 64))
            data += file.read()
        at = data.find(ASF_FILE)
        if container.format.name == "gif" and not data.rstrip(b"\0\r\n ").endswith(b";"):
            raise InputError(f"{path}: the file is cut: it does not end as a GIF does; {COPY_AGAIN}")
        if at >= 0 and (said := int.from_bytes(data[at + 40 : at + 48], "little")) > container.size:
            wrong = f"its header announces {said:,} bytes, it has {container.size:,}"
            raise InputError(f"{path}: the file is cut: {wrong}; {COPY_AGAIN}")


def _decode(path: Path, container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Every frame, unconverted; raises InputError at damage, or after the last if the end is missing."""
    av = _av()
    number, held, end = 0, 0, Fraction(0)
    joined, doubtful = container.format.name == "mpegts", 0
    try:
        for packet in container.demux(stream):
            broken = packet.is_corrupt
            if joined:  # where two parts meet, one of the last packets before the key frame counts as corrupt
                doubtful = 1 if broken else 0 if packet.is_keyframe else doubtful + (doubtful > 0)
                broken = doubtful > 2 or (doubtful and not packet.size)
            frames = [] if broken else packet.decode()
            if broken or any(frame.is_corrupt for frame in frames):
                raise InputError(f"{path}: damaged after frame {number}; {COPY_AGAIN}")
            yield from frames
            number += len(frames)
            held += packet.size > 0
            shown = packet.dts if packet.pts is None else packet.pts
            if shown is not None:
                end = max(end, (shown + (packet.duration or 0)) * packet.time_base)
    except av.FFmpegError as error:
        raise InputError(f"{path}: damaged after frame {number} ({error.strerror}); {COPY_AGAIN}") from error
    if not number:
        raise InputError(f"{path}: the video holds no frame; {COPY_AGAIN}")
    if container.format.name == "avi" and held < stream.frames / 2:  # a few more in the header than there are: no harm
        wrong = f"its header announces {stream.frames} frames, its index leads to {held}"
        raise InputError(f"{path}: {wrong}; write a new one: ffmpeg -fflags +ignidx -i IN -c copy OUT.avi")
    declared = _declared_end(path, container, stream)
    if declared and declared - end > max(declared / 50, 3 / (stream.average_rate or 25)):
        there = f"the picture ends after {float(end):.2f} s ({number} frames)"
        raise InputError(f"{path}: {there}, its container announces {float(declared):.2f} s; {COPY_AGAIN}")


def _declared_end(path: Path, container: av.container.InputContainer, stream: av.VideoStream) -> Fraction | None:
    """The second at which the container says the picture ends; None where FFmpeg could only estimate it."""
    if container.format.name == "avi":  # headers of many count repeated frames, too; the index does not
        return None if _has_index(path) else stream.frames * stream.time_base
    if container.format.name.startswith("mov") and stream.duration is not None:
        return ((stream.start_time or 0) + stream.duration) * stream.time_base
    clock = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))  # Matroska
    return clock and 3600 * int(clock[1]) + 60 * int(clock[2]) + Fraction(clock[3])


def _has_index(avi: Path) -> bool:
    """Whether an AVI's index lies where its chunks lead, so that nothing is missing before it."""
    with avi.open("rb") as file:
        file.seek(12)
        while (head := file.read(8))[:4] != b"idx1" and any(head[4:]):
            file.seek((int.from_bytes(head[4:], "little") + 1) // 2 * 2, 1)
    return head[:4] == b"idx1"


def _rgb_converter() -> Callable[[av.VideoFrame], np.ndarray]:
    """A converter to upright uint8 (H, W, 3) RGB with one scaler for all frames of a stream.

    VideoFrame.to_ndarray("rgb24") makes a new scaler for each frame, which is 9 times slower.
    """
    from av.video.reformatter import VideoReformatter

    # glibc's malloc learns from the largest block freed so far which sizes to keep instead of returning them to the
    # system; untaught, each frame can be fresh pages to fault in, which costs half as much again
    np.empty(31 << 20, np.uint8)
    scaler, upright = VideoReformatter(), None

    def convert(frame: av.VideoFrame) -> np.ndarray:
        nonlocal upright
        upright = upright or _displayed(frame)
        clear = any(component.is_alpha for component in frame.format.components)
        rgb = scaler.reformat(frame, format="rgba" if clear else "rgb24", threads=1)
        array = upright(rgb.to_ndarray())  # (H, W, 3 or 4), a view of the frame's rows, which may be padded
        if clear:
            return _on_black(array)
        return array.copy() if rgb is frame else np.ascontiguousarray(array)  # never the decoder's own memory

    return convert


def _on_black(rgba: np.ndarray) -> np.ndarray:
    """What is transparent lets black through: (H, W, 4) -> (H, W, 3)."""
    return ((rgba[..., :3].astype(np.uint16) * rgba[..., 3:] + 127) // 255).astype(np.uint8)


def _displayed(frame: av.VideoFrame) -> Callable[[np.ndarray], np.ndarray]:
    """The turn and mirroring that the container asks for (phones do), as a function (H, W, C) -> view.

    The display matrix maps (x, y) to (a x + c y, b x + d y); its six other entries are of no use here.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return lambda array: array
    a, b, _, c, d = np.frombuffer(bytes(matrix), "<i4").astype(float)[:5]
    turned = abs(b) > abs(a)
    rows, columns = (b, c) if turned else (d, a)

    def view(array: np.ndarray) -> np.ndarray:
        array = array.swapaxes(0, 1) if turned else array
        return array[:: -1 if rows < 0 else 1, :: -1 if columns < 0 else 1]

    return view


def _images(folder: Path) -> list[Path]:
    """A folder's images in natural order."""
    if not (images := listed(folder, IMAGES)):
        raise InputError(f"{folder}: no images; expected frames as {', '.join(IMAGES)}")
    require_sequence(images)
    return images


def _read_image(path: Path) -> np.ndarray:
    """uint8 (H, W, 3) RGB; grey and palettes expand, transparent parts let black through, EXIF turns are applied."""
    from PIL import Image, ImageOps  # unlike cv2.imread, it raises on a cut file

    if not path.is_file():
        raise InputError(f"{path}: not a file (a folder, a pipe or a device); remove it")
    try:
        with warnings.catch_warnings(action="ignore"), ExitStack() as stack:  # of large ones and of damaged EXIF
            # of other formats, EPS starts a program
            image, whole = (stack.enter_context(Image.open(path, formats=("PNG", "JPEG"))) for _ in range(2))
            if image.mode.startswith(("I", "F")):
                raise InputError(f"{path}: more than 8 bits a sample ({image.mode}); convert it to 8 bits")
            if image.format == "PNG" and image.is_animated:
                raise InputError(f"{path}: holds {image.n_frames} pictures (APNG); part them: ffmpeg -i IN OUT%04d.png")
            _refuse_large(path, image.width * image.height)
            whole.verify()  # a PNG's checksums, which decoding leaves out
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                return _on_black(np.array(upright.convert("RGBA")))
            return np.array(upright.convert("RGB"))
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file leads the reader to
        reason = (str(error).splitlines() or [type(error).__name__])[0].replace(str(path), "file")
        raise InputError(f"{path}: not a readable image ({reason}); {COPY_AGAIN}") from error


# Writing ----------------------------------------------------------------------------------------------------


def _write_video(
    path: Path,
    coding: tuple[str, str, dict[str, str]],
    frames: Iterable[np.ndarray],
    fps: Fraction | float | None,
    aspect: Fraction | float,
    sound: str | Path | None = None,
    tagged: bool = True,
) -> None:
    rate = Fraction(fps or 0).limit_denominator(1001)  # 29.97002997 is 30000/1001
    if not 0 < rate <= 1000:
        raise InputError(f"{path}: expected fps from 0.001 to 1000 frames per second, got {fps}")
    if not aspect > 0:
        raise InputError(f"{path}: expected aspect as a pixel's width / height, got {aspect}")
    av, (codec, pixels, options) = _av(), coding
    with ExitStack() as stack:
        source, start = (None, 0) if sound is None else (stack.enter_context(_open(Path(sound))), _start(Path(sound)))
        temporary = stack.enter_context(atomic(path))
        frames = uniform(f"{path}", frames)
        first = next(frames)
        try:
            with av.open(f"file:{temporary}", "w", options={"fflags": "+bitexact"}) as container:  # no random names
                stream = container.add_stream(codec, rate=rate, options=options)
                packets = _sound(path, container, source[0], start) if source else iter(())
                pending = next(packets, None)
                stream.height, stream.width, _ = first.shape
                stream.pix_fmt = pixels
                stream.codec_context.sample_aspect_ratio = Fraction(aspect).limit_denominator(4096)
                if pixels == "yuv420p":  # 16-235, BT.601: what the scaler makes of RGB
                    stream.color_range, stream.colorspace = 1, 5 if tagged else UNTAGGED
                for number, frame in enumerate(chain([first], frames)):
                    image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                    image.pts, image.time_base = number, 1 / rate
                    container.mux(stream.encode(image))
                    while pending and pending.dts * pending.time_base <= (number + 1) / rate:  # the muxer holds few
                        container.mux(pending)
                        pending = next(packets, None)
                container.mux(stream.encode())
                for packet in chain([pending] if pending else [], packets):
                    container.mux(packet)
        except av.FFmpegError as error:
            raise InputError(
                f"{path}: FFmpeg cannot write {first.shape[1]}x{first.shape[0]} frames as {codec} ({error.strerror}); "
                "check the disk's space; libx264 takes even sides only, a folder of PNGs (video.write) any"
            ) from error


def _start(path: Path) -> Fraction:
    """The second at which the first frame that decodes is shown: a file may start with some that need others."""
    with _open(path) as (container, stream):
        first = next(_decode(path, container, stream))
        return (stream.start_time or 0) * stream.time_base + _lost(container, stream, first)


def _sound(
    path: Path, target: av.container.OutputContainer, source: av.container.InputContainer, start: Fraction
) -> Iterator[av.Packet]:
    """The packets of the sound track for a new stream of `target`, timed from the picture's start, in seconds.

    Sound before it (a file cut without encoding it anew) is left out, but for what encoders begin with.
    """
    track = _chosen(source.streams.audio)
    if track is None:
        return
    name = getattr(track.codec_context, "name", "unknown")
    # listed as supported, refused by the muxer
    refused = {"mp4": name.startswith("pcm_"), "mov": name in ("flac", "opus", "truehd")}.get(target.format.name, False)
    if name not in target.supported_codecs or refused:
        raise InputError(
            f"{path}: {target.format.name} cannot hold the source's sound ({name}); give an .mkv, or convert the "
            "source first: ffmpeg -i IN -c:v copy -c:a aac OUT.mkv"
        )
    stream = target.add_stream_from_template(track)
    start, early = round(start / track.time_base), None
    last, due = -math.inf, 0
    for packet in source.demux(track):
        if packet.dts is None:  # the end
            continue
        if packet.dts - start < last:  # joined files: the next part goes on where the one before ended
            start = packet.dts - due
        packet.dts -= start
        last, due = packet.dts, packet.dts + (packet.duration or 0)
        packet.pts = packet.dts if packet.pts is None else packet.pts - start
        packet.stream = stream
        early = packet.pts * packet.time_base < -0.3 if early is None else early
        if packet.pts >= 0 or not early:
            yield packet
