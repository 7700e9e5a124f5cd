"""How frames and flow travel to the browser: WebP or AVIF pictures of stacked frames, int16 flow, a byte budget.

Frames of a method are stacked into one tall picture, a sheet, so that the coder finds again what stands still.
"""

import base64
import gzip
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from arsr_core.errors import InputError

UNIT = 16  # fixed-point units of flow a pixel
SHEET_SIDE = 16383  # pixels, WebP's limit
SHEET_AREA = 12_000_000  # pixels that every browser's canvas takes
LOSSLESS = {"format": "WEBP", "lossless": True, "method": 4, "quality": 75}
FAST = LOSSLESS | {"method": 0, "quality": 0}  # a fifteenth of the time, a fifth more bytes
LOSSY = {"format": "AVIF", "subsampling": "4:4:4", "speed": 7, "max_threads": 1}
QUALITIES = (90, 85, 80, 75, 70, 65, 60, 50, 40)  # AVIF's, best first

Sheets = list[list[bytes]]


def code_clips(clips: Sequence[np.ndarray], budget: int) -> tuple[Sheets, int, str]:
    """uint8 clips (T, H, W, 3) of one shape as sheets of at most `budget` bytes, frames a sheet, and the loss in words.

    Sheet [m][k] holds the frames k * rows, k * rows + 1, ... of clip m, one below the other. Lossless WebP if that
    fits, without words; otherwise AVIF of the best quality that does. InputError if even the lowest is too large.
    """
    count, height, width, _ = clips[0].shape
    rows = max(1, min(SHEET_SIDE // height, SHEET_AREA // (width * height)))
    pictures = [[clip[k : k + rows].reshape(-1, width, 3) for k in range(0, count, rows)] for clip in clips]
    if sheets := _fitting(pictures, budget, LOSSLESS):
        return sheets, rows, ""
    for quality in QUALITIES:
        if sheets := _fitting(pictures, budget, LOSSY | {"quality": quality}):
            return sheets, rows, f"AVIF 4:4:4 of quality {quality}, {_loss(pictures, sheets)}"
    raise InputError(
        f"viewer: {len(clips)} clips of {count} frames {width}x{height} do not fit into {budget:,} bytes; "
        "give fewer or smaller frames, fewer methods, or a larger budget"
    )


def encoded(picture: np.ndarray | Image.Image, **options: object) -> bytes:
    """A picture, uint8 (H, W, 3), as a file; options are Pillow's, with the format."""
    buffer = io.BytesIO()
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(buffer, **options)
    return buffer.getvalue()


def text(data: bytes) -> str:
    """Bytes as base64, for HTML and JSON."""
    return base64.b64encode(data).decode()


def pack_flow(flow: np.ndarray, stride: int) -> bytes:
    """Flow (T, 2, H, W) in pixels -> gzip of every stride-th pixel as int16 in 1/16 pixels.

    Coded as differences to the left neighbour, zigzag (0, -1, 1, -2 ...), all low bytes before all high bytes.
    """
    fixed = np.rint(flow[..., ::stride, ::stride] * UNIT).astype(np.int16)
    step = np.diff(fixed, axis=-1, prepend=np.int16(0))  # wraps around, and so does its sum
    zigzag = ((step << 1) ^ (step >> 15)).astype("<u2")
    low_high = zigzag.reshape(-1, 1).view(np.uint8).T  # (2, samples)
    return gzip.compress(low_high.tobytes(), 6, mtime=0)


def _fitting(pictures: list[list[np.ndarray]], budget: int, coder: dict) -> Sheets | None:
    """All pictures coded, or None as soon as they take more than `budget` bytes."""
    sheets: Sheets = []
    for of_clip in pictures:
        sheets.append([encoded(picture, **coder) for picture in of_clip])
        budget -= sum(map(len, sheets[-1]))
        if budget < 0:
            return None
    return sheets


def _loss(pictures: list[list[np.ndarray]], sheets: Sheets) -> str:
    """How far every sixteenth value is off when it is decoded."""
    pairs = zip(sum(pictures, []), sum(sheets, []), strict=True)
    decoded = ((true, np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"))) for true, sheet in pairs)
    error = np.concatenate([np.abs(seen[::4, ::4].astype(np.int16) - true[::4, ::4]).ravel() for true, seen in decoded])
    return f"off by {error.mean():.1f} of 255 levels on average, 99 % by at most {np.percentile(error, 99):.0f}"
