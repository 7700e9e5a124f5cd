"""Flow files: Middlebury `.flo` and KITTI 16-bit PNG, chosen by suffix; unknown pixels are nan in memory.

Own code: OpenCV's writer of `.flo` does not notice a full disk, and its reader says of a bad file no more than nothing.
"""

import io
import os
import struct
import warnings
from pathlib import Path

import numpy as np
import torch

from arsr_core.errors import InputError, checked, require
from arsr_core.files import listed, require_sequence, write_atomically

TAG = 202021.25  # the first four bytes of a .flo file, PIEH, read as a float
UNKNOWN = 1e9  # Middlebury: beyond it in either channel a pixel's flow is unknown; 1e10 is written
KITTI_MAX = (2**16 - 1 - 2**15) / 64  # px, 511.98; the other way -512


@checked
def read(path: str | os.PathLike) -> torch.Tensor:
    """The flow in a `.flo` or KITTI `.png` file, float32 (1, 2, H, W) in pixels, nan where it is unknown.

    Raises InputError for missing, cut or damaged files and for other contents.
    """
    path = Path(path)
    decode, _ = _format(path)
    if not path.is_file():
        raise InputError(f"{path}: no such flow file; expected {', '.join(FORMATS)}")
    flow = decode(path, path.read_bytes())  # (2, H, W)
    return torch.from_numpy(np.where(_known(flow), flow, np.float32(np.nan)))[None]


@checked
def write(path: str | os.PathLike, flow: torch.Tensor) -> None:
    """Writes what `encode` makes, whole or not at all."""
    write_atomically(path, encode(path, flow))


@checked
def encode(path: str | os.PathLike, flow: torch.Tensor) -> bytes:
    """The bytes of a flow file of the path's suffix, `.flo` or KITTI `.png` (rounded to 1/64 px).

    flow: float (1, 2, H, W) in pixels, nan where it is unknown. Raises InputError for other suffixes and shapes, and
    for flow that KITTI's 16 bits do not hold (-512 to 511.98 px).
    """
    path = Path(path)
    _, encoder = _format(path)
    require(f"{path}", flow=(flow, "1 2 H W"))
    uv = flow[0].detach().float().cpu().numpy()
    return encoder(path, uv, _known(uv))


@checked
def listing(folder: str | os.PathLike) -> list[Path]:
    """A folder's flow files, all of one suffix, in natural order (2.flo before 10.flo)."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of flow files")
    paths = listed(folder, FORMATS)
    suffixes = sorted({p.suffix.lower() for p in paths})
    if len(suffixes) != 1:
        found = " and ".join(suffixes) or "none"
        raise InputError(f"{folder}: expected flow files of one suffix out of {', '.join(FORMATS)}; found {found}")
    require_sequence(paths)
    return paths


def _known(flow: np.ndarray) -> np.ndarray:
    return (np.abs(flow) <= UNKNOWN).all(0)  # (2, H, W) -> bool (H, W), false for nan too


# The formats: bytes <-> flow (2, H, W) float32; the path is for errors ----------------------------------------


def _decode_flo(path: Path, data: bytes) -> np.ndarray:
    if len(data) < 12 or struct.unpack("<f", data[:4])[0] != TAG:
        raise InputError(f"{path}: not a .flo file: it does not start with PIEH")
    width, height = struct.unpack("<ii", data[4:12])
    expected = 12 + 8 * width * height
    if min(width, height) < 1 or len(data) != expected:
        raise InputError(
            f"{path}: cut or damaged: its header announces {width}x{height} pixels, {expected:,} bytes; "
            f"it has {len(data):,}"
        )
    flow = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    return np.ascontiguousarray(flow.transpose(2, 0, 1), np.float32)


def _encode_flo(path: Path, flow: np.ndarray, known: np.ndarray) -> bytes:
    _, height, width = flow.shape
    flow = np.where(known, flow, np.float32(10 * UNKNOWN))
    return struct.pack("<fii", TAG, width, height) + flow.transpose(1, 2, 0).astype("<f4").tobytes()


def _decode_kitti(path: Path, data: bytes) -> np.ndarray:
    import cv2
    from PIL import Image

    try:  # OpenCV writes to the terminal what is wrong with a file
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            Image.open(io.BytesIO(data), formats=("PNG",)).verify()
    except Exception as error:  # whatever a damaged file leads the reader to
        raise InputError(f"{path}: damaged, too large or no PNG; copy it again") from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # (H, W, 3): known, v, u
    if image is None or image.dtype != np.uint16 or image.shape[2:] != (3,):
        raise InputError(f"{path}: not a KITTI flow: expected a PNG of three channels of 16 bits; a .flo will do too")
    flow = (image[..., :0:-1].astype(np.float32) - 2**15) / 64
    return np.where(image[..., 0] > 0, flow.transpose(2, 0, 1), np.float32(np.nan))


def _encode_kitti(path: Path, flow: np.ndarray, known: np.ndarray) -> bytes:
    import cv2

    flow = np.where(known, flow, 0)
    if flow.min() < -512 or flow.max() > KITTI_MAX:
        raise InputError(
            f"{path}: KITTI's 16 bits hold -512 to {KITTI_MAX:.2f} px, the flow has {flow.min():.1f} to "
            f"{flow.max():.1f} px; write .flo"
        )
    uv = np.where(known, np.rint(flow * 64) + 2**15, 0).astype(np.uint16)
    return cv2.imencode(".png", np.dstack((known.astype(np.uint16), uv[1], uv[0])))[1].tobytes()


FORMATS = {".flo": (_decode_flo, _encode_flo), ".png": (_decode_kitti, _encode_kitti)}


def _format(path: Path) -> tuple:
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: expected a flow file {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]
