"""How frames and flow travel to the browser: WebP and AVIF pictures of stacked frames, int16 flow, a byte budget.

Frames of a method are stacked into one tall picture, a sheet, so that the coder finds again what stands still.
Where not every pixel fits into the budget, the whole frames are lossy and one window of them is lossless.
"""

from __future__ import annotations

import gzip
import io
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arsr_core.errors import InputError

SHEET_SIDE = 16383  # pixels, WebP's limit
SHEET_AREA = 12_000_000  # pixels that every browser's canvas takes
QUALITIES = (90, 85, 80, 75, 70, 65, 60, 50, 40)  # AVIF's, best first
LOSSY_SHARE = 0.5  # of the frames' budget, at most; the rest is for the window
SHARES = tuple(n / 32 for n in range(31, 3, -1))  # sides of the window as shares of the frame's, largest first


@dataclass(frozen=True)
class Window:
    """The part of every frame that is coded without loss; sheets[m]: that part of method m's frames."""

    x: int
    y: int
    width: int
    height: int
    sheets: list[list[bytes]]


@dataclass(frozen=True)
class CodedClips:
    """Clips as pictures: sheets[m][k] holds frames k * rows, k * rows + 1, ... of method m, one below the other."""

    rows: int
    sheets: list[list[bytes]]
    window: Window | None  # None: everything is lossless
    sentence: str  # the coding in words, for the page


def code_clips(clips: Sequence[np.ndarray], budget: int, interest: np.ndarray, point: tuple[int, int]) -> CodedClips:
    """uint8 clips (T, H, W, 3) of one shape as pictures of at most `budget` bytes together.

    Lossless if that fits. Otherwise AVIF 4:4:4 of the best quality that leaves room for a lossless window, and the
    largest such window: it holds `point` (x, y) and as much as it can of the map `interest` (H, W).
    Raises InputError if even the lowest quality is too large.
    """
    _, height, width, _ = clips[0].shape
    rows = max(1, min(SHEET_SIDE // height, SHEET_AREA // (width * height)))
    exact = _estimate(clips, webp)  # sheets of clips that stand still are half of this
    if exact / 2 <= budget and (sheets := _fitting((_sheets(c, rows, webp) for c in clips), budget)) is not None:
        return CodedClips(rows, sheets, None, "Frames: every value is exact (lossless WebP).")
    quality, lossy = _lossy(clips, rows, budget)
    error = _error(clips, rows, lossy)
    window, room = None, budget - _size(lossy)
    for share in SHARES:
        w, h = round(share * width / 4) * 4, round(share * height / 4) * 4
        if min(w, h) < 4 or share**2 * exact / 2 > room:
            continue
        x, y = _place(interest, point, w, h)
        crops = (np.ascontiguousarray(c[:, y : y + h, x : x + w]) for c in clips)
        if (sheets := _fitting((_sheets(c, rows, webp) for c in crops), room)) is not None:
            window = Window(x, y, w, h, sheets)
            break
    loss = f"off by {error.mean():.1f} of 255 levels on average, 99 % by at most {np.percentile(error, 99):.0f}"
    sentence = f"AVIF 4:4:4 of quality {quality}, {loss}."
    if window:
        where = f"inside the dashed window of {window.width} × {window.height} pixels every value is exact"
        sentence = f"{where} (lossless WebP), outside it {sentence}"
    sentence = f"Frames: {sentence}"
    return CodedClips(rows, lossy, window, sentence)


def webp(picture: np.ndarray, effort: int = 4) -> bytes:
    """A uint8 (H, W, 3) picture without loss; effort 0 takes a fifteenth of the time of 4 and a fifth more bytes."""
    return _save(picture, "WEBP", lossless=True, method=effort, quality=75 if effort else 0)


def thumbnail(picture: np.ndarray) -> bytes:
    """A small lossy WebP, at most 900 pixels wide and high."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((900, 900))
    return _save(np.asarray(image), "WEBP", quality=60, method=4)


def png(picture: np.ndarray) -> bytes:
    """A uint8 (H, W, 3) picture as PNG."""
    return _save(picture, "PNG", optimize=True)


def pack_flow(flow: np.ndarray, stride: int, unit: int) -> bytes:
    """Flow (T, 2, H, W) in pixels -> gzip of every stride-th pixel as int16 in 1/unit pixels.

    Coded as differences to the left neighbour, zigzag (0, -1, 1, -2 ...), all low bytes before all high bytes.
    """
    fixed = np.rint(flow[..., ::stride, ::stride] * unit).astype(np.int16)
    step = np.diff(fixed, axis=-1, prepend=np.int16(0))  # wraps around, and so does its sum
    zigzag = ((step << 1) ^ (step >> 15)).astype("<u2")
    low_high = zigzag.reshape(-1, 1).view(np.uint8).T  # (2, samples)
    return gzip.compress(low_high.tobytes(), 6, mtime=0)


def _lossy(clips, rows, budget) -> tuple[int, list[list[bytes]]]:
    """The best quality whose AVIF keeps to its share of the budget, by an estimate; InputError beyond the budget."""

    def fits(quality):
        return _estimate(clips, lambda picture: _avif(picture, quality)) <= LOSSY_SHARE * budget

    # qualities fall, so those that fit stand at the end
    quality = QUALITIES[min(bisect_left(QUALITIES, True, key=fits), len(QUALITIES) - 1)]
    lossy = _fitting((_sheets(c, rows, lambda sheet: _avif(sheet, quality)) for c in clips), budget)
    if lossy is None:
        t, h, w, _ = clips[0].shape
        raise InputError(
            f"viewer: {len(clips)} clips of {t} frames {w}x{h} do not fit into {budget:,} bytes; "
            "give fewer or smaller frames, fewer methods, or a larger budget"
        )
    return quality, lossy


def _estimate(clips, coder) -> float:
    """Bytes of all frames from one of each clip."""
    return sum(len(coder(c[len(c) // 2])) * len(c) for c in clips)


def _avif(picture: np.ndarray, quality: int) -> bytes:
    return _save(picture, "AVIF", quality=quality, subsampling="4:4:4", speed=7, max_threads=1)


def _save(picture: np.ndarray, format: str, **options) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format, **options)
    return buffer.getvalue()


def _sheets(clip: np.ndarray, rows: int, coder) -> list[bytes]:
    parts = (clip[k : k + rows] for k in range(0, len(clip), rows))
    return [coder(part.reshape(-1, *part.shape[2:])) for part in parts]


def _fitting(sheets, budget: int) -> list[list[bytes]] | None:
    """The sheets of all methods, or None as soon as they take more than `budget` bytes."""
    kept = []
    for each in sheets:
        kept.append(each)
        if _size(kept) > budget:
            return None
    return kept


def _size(sheets: Sequence[Sequence[bytes]]) -> int:
    return sum(len(sheet) for each in sheets for sheet in each)


def _error(clips, rows, lossy) -> np.ndarray:
    """|decoded - frame| of every sixteenth value of the lossy sheets."""
    from PIL import Image

    errors = []
    for clip, sheets in zip(clips, lossy, strict=True):
        for k, sheet in enumerate(sheets):
            true = clip[k * rows : (k + 1) * rows].reshape(-1, *clip.shape[2:])
            decoded = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"))
            errors.append(np.abs(decoded[::4, ::4].astype(np.int16) - true[::4, ::4]).ravel())
    return np.concatenate(errors)


def _place(interest: np.ndarray, point: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Top left corner (x, y) of the window around `point` that holds most of `interest`."""
    total = np.pad(interest, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    x, y = (max(0, p - n + 1) for p, n in zip(point, (width, height), strict=True))
    inside = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    part = inside[y : point[1] + 1, x : point[0] + 1]
    dy, dx = np.unravel_index(part.argmax(), part.shape)
    return int(x + dx), int(y + dy)
