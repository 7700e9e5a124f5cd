"""Painting: the flat sprites that the puppet is made of, drawn as `drawings.yaml` says, and their cloth.

Colours are RGB in 0..255. Units are the actor's standing height, x forward, y up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import yaml

from arsr_core.errors import InputError

DENSITY = 2  # sprite and render samples per frame pixel and axis; frames are filtered down with a 1-2-1 tent
OVERSAMPLE = 3  # painting happens on a canvas this much finer than the sprite, then is area-averaged
CIRCLE = np.linspace(0, 2 * np.pi, 33)[:-1]


@cache
def photo(name: str) -> np.ndarray:
    """A photograph out of scikit-image's installed package files, uint8 (H, W, 3) RGB, read-only; never downloads.

    Raises InputError where the package or the photograph is not there.
    """
    import cv2

    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise InputError(f"photograph '{name}' needs scikit-image: run `pip install scikit-image`")
    folder = Path(spec.origin).parent / "data"
    found = sorted(folder.glob(f"{name}.*"))
    image = cv2.imread(str(found[0]), cv2.IMREAD_COLOR) if found else None
    if image is None:
        raise InputError(f"{folder / name}: photograph not found; expected in scikit-image >= 0.25, reinstall it")
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    image.setflags(write=False)  # cached, so shared by every clip
    return image


@cache
def drawings() -> dict[str, dict]:
    """The contents of `drawings.yaml`: what to paint, by name, and `colours`."""
    return yaml.safe_load(Path(__file__).with_name("drawings.yaml").read_text("utf-8"))


@dataclass(frozen=True)
class Sprite:
    """A painted part: uint8 (h, w, 4) RGBA, premultiplied, and the matrix from its pixels to its units."""

    rgba: np.ndarray
    to_units: np.ndarray  # float64 (3, 3)
    infinite: bool = False  # the background: mirrored without end beyond its borders


def ellipse(centre: Sequence[float], radii: Sequence[float], angle: float = 0.0, t: np.ndarray = CIRCLE) -> np.ndarray:
    """Points (n, 2) of an ellipse turned by an angle, at the parameters t (n,), radians; all around unless given."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    return np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], -1)


class Canvas:
    """A sheet to paint one part on: box x0, y0, x1, y1 in units, px sprite pixels a unit."""

    def __init__(self, box: Sequence[float], px: float) -> None:
        self.x0, self.y0, self.x1, self.y1 = box
        self.px = px
        w, h = (max(2, round(s * px)) for s in (self.x1 - self.x0, self.y1 - self.y0))
        self.rgb = np.zeros((h * OVERSAMPLE, w * OVERSAMPLE, 3), np.uint8)
        self.alpha = np.zeros(self.rgb.shape[:2], np.uint8)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Units of every canvas sample: x (1, w) and y (h, 1)."""
        h, w = self.alpha.shape
        k = self.px * OVERSAMPLE
        return self.x0 + (np.arange(w)[None] + 0.5) / k, self.y1 - (np.arange(h)[:, None] + 0.5) / k

    def paint(self, xy: np.ndarray, colour: Sequence | np.ndarray | None, width: float | None = None) -> Canvas:
        """The polygon of the points (n, 2), or with a width in units the line through them.

        colour: RGB, a texture (h, w, 3), or None, which cuts a hole.
        """
        import cv2

        k = self.px * OVERSAMPLE * 16  # 16: four fractional bits for OpenCV's drawing
        points = np.rint(np.stack([(xy[:, 0] - self.x0) * k, (self.y1 - xy[:, 1]) * k], -1) - 8).astype(np.int32)
        mask = np.zeros_like(self.alpha)
        if width is None:
            cv2.fillPoly(mask, [points], 255, shift=4)
        else:
            cv2.polylines(mask, [points], False, 255, max(1, round(width * self.px * OVERSAMPLE)), shift=4)
        inside = mask > 0
        self.alpha[inside] = 0 if colour is None else 255
        if colour is not None:
            self.rgb[inside] = colour[inside] if np.ndim(colour) == 3 else colour
        return self

    def draw(self, name: str, colours: Mapping, origin: Sequence = (0.0, 0.0), scale: Sequence = (1.0, 1.0)) -> Canvas:
        """What `drawings.yaml` has by that name, in its colours and in these, at origin + scale * (x, y)."""
        colours, scale = drawings()["colours"] | {"hole": None} | dict(colours), np.array(scale)
        for step in drawings()[name]["paint"]:
            start = np.array(origin) + step.get("shift", (0.0, 0.0))
            width = scale[1] * step["width"] if "width" in step else None
            for place in step.get("at", [(0.0, 0.0)]):
                if "ellipse" in step:
                    centre, radii = step["ellipse"]
                    xy = ellipse(start + scale * np.add(centre, place), scale * radii, step.get("angle", 0.0))
                else:
                    xy = start + scale * np.add(step.get("polygon") or step["line"], place)
                self.paint(xy, colours[step["colour"]], width)
        return self

    def shade(self, factor: np.ndarray) -> Canvas:
        """Multiply the colours by a factor (h, w), or of a shape that spreads to it."""
        self.rgb = np.clip(self.rgb * factor[..., None], 0, 255).astype(np.uint8)
        return self

    def sprite(self, opacity: float = 1.0) -> Sprite:
        """Area-average to sprite resolution, with a transparent border for the interpolation."""
        import cv2

        h, w = self.alpha.shape
        self.rgb[self.alpha == 0] = 0
        rgba = np.dstack([self.rgb, self.alpha])
        rgba = cv2.resize(rgba, (w // OVERSAMPLE, h // OVERSAMPLE), interpolation=cv2.INTER_AREA)
        if opacity < 1:
            rgba = np.rint(rgba * opacity).astype(np.uint8)
        rgba = cv2.copyMakeBorder(rgba, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
        k = 1 / self.px  # sprite pixel i has its centre at i; two pixels are border
        return Sprite(rgba, np.array([[k, 0, self.x0 - 1.5 * k], [0, -k, self.y1 + 1.5 * k], [0, 0, 1]]))


# --- cloth -------------------------------------------------------------------------------------


def _wave(x: np.ndarray, period: float) -> np.ndarray:
    return np.clip(0.5 + 1.2 * np.sin(2 * np.pi * x / period), 0, 1)


CLOTHS = {  # weight of the second colour at (x, y); periods of 4 to 6 pixels at 120 x 160
    "plain": lambda x, y: 0 * (x + y),
    "stripes": lambda x, y: _wave(x, 0.054) + 0 * y,
    "hoops": lambda x, y: _wave(y, 0.062) + 0 * x,
    "checks": lambda x, y: 0.5 * (_wave(x, 0.072) + _wave(y, 0.072)),
    "dots": lambda x, y: np.clip(2.2 * np.sin(np.pi * x / 0.036) * np.sin(np.pi * y / 0.036) - 0.9, 0, 1),
}


def cloth(canvas: Canvas, pattern: str, colours: Sequence, rng: np.random.Generator) -> np.ndarray:
    """Cloth for a canvas, uint8 (h, w, 3): a pattern of CLOTHS, or a crop of the photograph of that name."""
    import cv2

    h, w = canvas.alpha.shape
    colour, second = np.asarray(colours, float)
    if pattern in CLOTHS:
        weight = np.broadcast_to(CLOTHS[pattern](*canvas.grid()), (h, w))
        out = colour + weight[..., None] * (second - colour)
    else:
        image = photo(pattern)
        side = min(image.shape[:2]) // 3
        i, j = (int(rng.integers(n - side)) for n in image.shape[:2])
        crop = cv2.resize(image[i : i + side, j : j + side], (w, h), interpolation=cv2.INTER_AREA).astype(float)
        out = 0.5 * colour + 0.6 * crop
    coarse = rng.normal(0, 1, (max(2, int(h / canvas.px * 45)), max(2, int(w / canvas.px * 45))))
    weave = cv2.resize(coarse.astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    return np.clip(out * (1 + 0.07 * weave[..., None]), 0, 255).astype(np.uint8)
