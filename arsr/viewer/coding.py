"""How frames and flow travel to the browser: WebP and AVIF pictures of stacked frames, int16 flow, a byte budget.

Frames of a method are stacked into one tall picture, a sheet, so that the coder finds again what stands still.
Where not every pixel fits into the budget, the whole frames are lossy and one window of them is lossless.
"""

from __future__ import annotations

import base64
import gzip
import io
from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from arsr_core.errors import InputError

SHEET_SIDE = 16383  # pixels, WebP's limit
SHEET_AREA = 12_000_000  # pixels that every browser's canvas takes
QUALITIES = (90, 85, 80, 75, 70, 65, 60, 50, 40)  # AVIF's, best first
LOSSY_SHARE = 0.5  # of the frames' budget, at most; the rest is for the window
SHARES = tuple(n / 32 for n in range(31, 3, -1))  # sides of the window as shares of the frame's, largest first

Coder = Callable[[np.ndarray], bytes]  # of a uint8 (H, W, 3) picture
Sheets = list[list[bytes]]  # [m][k] holds frames k * rows, k * rows + 1, ... of method m, one below the other


def code_clips(clips: Sequence[np.ndarray], budget: int, interest: np.ndarray, point: tuple[int, int]) -> dict:
    """uint8 clips (T, H, W, 3) of one shape as pictures of at most `budget` bytes together, before base64.

    Lossless if that fits. Otherwise AVIF 4:4:4 of the best quality that leaves room for a lossless window, and the
    largest such window: it holds `point` (x, y) and as much as it can of the map `interest` (H, W).
    Returns {"rows", "sheets", "window": None or {"x", "y", "width", "height", "sheets"}, "coding": that in words}.
    Raises InputError if even the lowest quality is too large.
    """
    _, height, width, _ = clips[0].shape
    rows = max(1, min(SHEET_SIDE // height, SHEET_AREA // (width * height)))
    exact = _estimate(clips, webp)  # sheets of clips that stand still are half of this
    if exact / 2 <= budget and (sheets := _fitting(clips, rows, webp, budget)) is not None:
        words = "Frames: every value is exact (lossless WebP)."
        return {"rows": rows, "sheets": _texts(sheets), "window": None, "coding": words}
    quality, lossy = _lossy(clips, rows, budget)
    error, window, room = _error(clips, rows, lossy), None, budget - _size(lossy)
    loss = f"off by {error.mean():.1f} of 255 levels on average, 99 % by at most {np.percentile(error, 99):.0f}"
    words = f"AVIF 4:4:4 of quality {quality}, {loss}."
    for share in SHARES:
        w, h = round(share * width / 4) * 4, round(share * height / 4) * 4
        if min(w, h) < 4 or share**2 * exact / 2 > room:
            continue
        x, y = _place(interest, point, w, h)
        crops = [np.ascontiguousarray(c[:, y : y + h, x : x + w]) for c in clips]
        if (sheets := _fitting(crops, rows, webp, room)) is not None:
            window = {"x": x, "y": y, "width": w, "height": h, "sheets": _texts(sheets)}
            where = f"inside the dashed window of {w} × {h} pixels every value is exact"
            words = f"{where} (lossless WebP), outside it {words}"
            break
    return {"rows": rows, "sheets": _texts(lossy), "window": window, "coding": f"Frames: {words}"}


def webp(picture: np.ndarray, effort: int = 4) -> bytes:
    """A uint8 (H, W, 3) picture without loss; effort 0 takes a fifteenth of the time of 4 and a fifth more bytes."""
    return encoded(Image.fromarray(picture), "WEBP", lossless=True, method=effort, quality=75 if effort else 0)


def encoded(picture: Image.Image, format: str, **options: object) -> bytes:
    """A picture as a file of a format; options are Pillow's."""
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def text(data: bytes) -> str:
    """Bytes as base64, for HTML and JSON."""
    return base64.b64encode(data).decode()


def pack_flow(flow: np.ndarray, stride: int, unit: int) -> bytes:
    """Flow (T, 2, H, W) in pixels -> gzip of every stride-th pixel as int16 in 1/unit pixels.

    Coded as differences to the left neighbour, zigzag (0, -1, 1, -2 ...), all low bytes before all high bytes.
    """
    fixed = np.rint(flow[..., ::stride, ::stride] * unit).astype(np.int16)
    step = np.diff(fixed, axis=-1, prepend=np.int16(0))  # wraps around, and so does its sum
    zigzag = ((step << 1) ^ (step >> 15)).astype("<u2")
    low_high = zigzag.reshape(-1, 1).view(np.uint8).T  # (2, samples)
    return gzip.compress(low_high.tobytes(), 6, mtime=0)


def window_sums(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """The sum of (H, W) values in each window, by its top left corner: (H - height + 1, W - width + 1)."""
    total = np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]


def _avif(quality: int) -> Coder:
    options = dict(quality=quality, subsampling="4:4:4", speed=7, max_threads=1)
    return lambda picture: encoded(Image.fromarray(picture), "AVIF", **options)


def _lossy(clips: Sequence[np.ndarray], rows: int, budget: int) -> tuple[int, Sheets]:
    """The best quality whose AVIF keeps to its share of the budget, by an estimate; InputError beyond the budget."""
    # qualities fall, so those that fit stand at the end
    first = bisect_left(QUALITIES, True, key=lambda q: _estimate(clips, _avif(q)) <= LOSSY_SHARE * budget)
    quality = QUALITIES[min(first, len(QUALITIES) - 1)]
    lossy = _fitting(clips, rows, _avif(quality), budget)
    if lossy is None:
        t, h, w, _ = clips[0].shape
        raise InputError(
            f"viewer: {len(clips)} clips of {t} frames {w}x{h} do not fit into {budget:,} bytes; "
            "give fewer or smaller frames, fewer methods, or a larger budget"
        )
    return quality, lossy


def _estimate(clips: Sequence[np.ndarray], coder: Coder) -> float:
    """Bytes of all frames from one of each clip."""
    return sum(len(coder(c[len(c) // 2])) * len(c) for c in clips)


def _fitting(clips: Sequence[np.ndarray], rows: int, coder: Coder, budget: int) -> Sheets | None:
    """The sheets of all clips, or None as soon as they take more than `budget` bytes."""
    kept: Sheets = []
    for clip in clips:
        kept.append([coder(part) for part in _stacked(clip, rows)])
        if _size(kept) > budget:
            return None
    return kept


def _stacked(clip: np.ndarray, rows: int) -> list[np.ndarray]:
    """Frames (T, H, W, 3) below each other, `rows` in a picture (rows H, W, 3)."""
    return [clip[k : k + rows].reshape(-1, *clip.shape[2:]) for k in range(0, len(clip), rows)]


def _size(sheets: Sheets) -> int:
    return sum(len(sheet) for each in sheets for sheet in each)


def _texts(sheets: Sheets) -> list[list[str]]:
    return [[text(sheet) for sheet in each] for each in sheets]


def _error(clips: Sequence[np.ndarray], rows: int, lossy: Sheets) -> np.ndarray:
    """|decoded - frame| of every sixteenth value of the lossy sheets."""
    errors = []
    for clip, sheets in zip(clips, lossy, strict=True):
        for true, sheet in zip(_stacked(clip, rows), sheets, strict=True):
            decoded = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"))
            errors.append(np.abs(decoded[::4, ::4].astype(np.int16) - true[::4, ::4]).ravel())
    return np.concatenate(errors)


def _place(interest: np.ndarray, point: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Top left corner (x, y) of the window around `point` that holds most of `interest`."""
    x, y = (max(0, p - n + 1) for p, n in zip(point, (width, height), strict=True))
    part = window_sums(interest, height, width)[y : point[1] + 1, x : point[0] + 1]
    dy, dx = np.unravel_index(part.argmax(), part.shape)
    return int(x + dx), int(y + dy)
