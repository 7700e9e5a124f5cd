"""Painting: the flat sprites that the puppet is made of, drawn as `drawings.yaml` says, and their cloth.

Colours are RGB in 0..255. Units are the actor's standing height, x forward or along the part, y up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from arsr.embedded import load
from arsr_core.errors import InputError

DENSITY = 2  # sprite and render samples per frame pixel and axis; frames are filtered down with a 1-2-1 tent
OVERSAMPLE = 3  # painting happens on a canvas this much finer than the sprite, then is area-averaged
Colour = Sequence[float] | Callable[["Canvas"], np.ndarray] | None  # RGB, a cloth cut for a canvas, or a hole


@cache
def photo(name: str) -> np.ndarray:
    """A photograph out of scikit-image's installed package files, uint8 (H, W, 3) RGB, read-only; never downloads.

    Raises InputError where it is not there.
    """
    spec = find_spec("skimage")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else Path("skimage/data")
    found = sorted(folder.glob(f"{name}.*"))
    image = cv2.imread(str(found[0]), cv2.IMREAD_COLOR) if found else None
    if image is None:
        raise InputError(f"{folder / name}: photograph not found; expected in scikit-image >= 0.25, reinstall it")
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    image.setflags(write=False)  # cached, so shared by every clip
    return image


@dataclass(frozen=True)
class Sprite:
    """A painted part: uint8 (h, w, 4) RGBA, premultiplied, and the matrix (3, 3) from its pixels to its units."""

    rgba: np.ndarray
    to_units: np.ndarray


def ellipse(centre: Sequence[float], radii: Sequence[float], angle: float = 0.0) -> np.ndarray:
    """Points (n, 2) all around an ellipse that is turned by an angle in radians."""
    t = np.linspace(0, 2 * np.pi, 33)[:-1]
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

    def paint(self, xy: np.ndarray, colour: Colour, width: float | None = None) -> None:
        """The polygon of the points (n, 2), or with a width in units the line through them."""
        k = self.px * OVERSAMPLE * 16  # 16: four fractional bits for OpenCV's drawing
        points = np.rint(np.stack([(xy[:, 0] - self.x0) * k, (self.y1 - xy[:, 1]) * k], -1) - 8).astype(np.int32)

        def stamp(sheet: np.ndarray, value: float | Sequence[float]) -> np.ndarray:
            if width is None:
                return cv2.fillPoly(sheet, [points], value, shift=4)
            return cv2.polylines(sheet, [points], False, value, max(1, round(width * self.px * OVERSAMPLE)), shift=4)

        if callable(colour):
            cv2.copyTo(colour(self), stamp(np.zeros_like(self.alpha), 255), self.rgb)
        elif colour is not None:
            stamp(self.rgb, np.asarray(colour).astype(np.uint8).tolist())
        stamp(self.alpha, 0 if colour is None else 255)

    def draw(self, name: str, colours: Mapping, origin: Sequence = (0.0, 0.0), scale: Sequence = (1.0, 1.0)) -> Canvas:
        """What `drawings.yaml` has by that name, in these colours, at origin + scale * (x, y)."""
        scale = np.array(scale)
        for step in load("drawings")[name]["paint"]:
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

    def sprite(self, light: np.ndarray | float) -> Sprite:
        """The colours times a factor that spreads to (h, w), at sprite resolution; a transparent border all around."""
        rgb = np.clip(self.rgb * np.asarray(light)[..., None], 0, 255).astype(np.uint8)
        h, w = self.alpha.shape
        rgba = cv2.merge([*cv2.split(cv2.bitwise_and(rgb, rgb, mask=self.alpha)), self.alpha])
        rgba = cv2.resize(rgba, (w // OVERSAMPLE, h // OVERSAMPLE), interpolation=cv2.INTER_AREA)
        rgba = cv2.copyMakeBorder(rgba, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))  # for interpolation
        k = 1 / self.px  # sprite pixel i has its centre at i; two pixels are border
        return Sprite(rgba, np.array([[k, 0, self.x0 - 1.5 * k], [0, -k, self.y1 + 1.5 * k], [0, 0, 1]]))


def part(name: str, px: float, colours: Mapping[str, Colour]) -> Sprite:
    """A part or an object of `drawings.yaml`, as flat as it is painted there; balls are lit."""
    drawing = load("drawings")[name]
    canvas = Canvas(drawing["box"], px).draw(name, colours)
    x, y = canvas.grid()
    return canvas.sprite(1.05 - 40 * ((x + 0.02) ** 2 + (y - 0.03) ** 2) if "ball" in drawing else 1.0)


def torso(px: float, colours: Mapping[str, Colour], girth: float) -> Sprite:
    """From the hips (origin) to the shoulders along +y, at three quarters with the chest towards +x."""
    canvas = Canvas(load("drawings")["torso"]["box"], px)
    canvas.draw("torso", colours, scale=(girth, 1.0)).draw("collar", colours)
    x, y = canvas.grid()
    side = np.clip((x - 0.02) / (0.115 * girth), -1, 1)
    return canvas.sprite((0.6 + 0.45 * np.sqrt(1 - 0.85 * side**2)) * (0.88 + 0.5 * np.clip(y, 0, 0.3)))


def head(px: float, colours: Mapping[str, Colour], r: float, hair: str) -> Sprite:
    """Neck, face and hair; origin at the base of the neck, radius r, face turned towards +x."""
    canvas, middle = Canvas(load("drawings")["head"]["box"], px).draw("head", colours), (0.012, 0.052 + r)
    for name in load("drawings")["hair"][hair]:
        canvas.draw(name, colours, middle, (r, r))
    x, y = canvas.grid()
    dome = 1 - ((x - middle[0] - 0.02) ** 2 + 0.6 * (y - middle[1] - 0.015) ** 2) / (1.9 * r) ** 2
    return canvas.sprite(0.62 + 0.44 * np.clip(dome, 0.2, 1))


def limb(length: float, radii: tuple[float, float], px: float, colour: Colour, bare: Colour = None) -> Sprite:
    """A tapered capsule along +x from its joint, its last 30 % in `bare` if that is given; lit as a cylinder."""
    r = max(radii)
    canvas = Canvas((-r, -r, length + r, r), px)
    t = np.linspace(np.pi / 2, 3 * np.pi / 2, 17)
    cap = np.stack([np.cos(t), np.sin(t)], -1)
    canvas.paint(np.concatenate([radii[0] * cap, (length, 0) - radii[1] * cap]), colour)
    x, y = canvas.grid()
    if bare is not None:
        canvas.rgb[(x > 0.7 * length) & (canvas.alpha > 0)] = bare
    radius = radii[0] + (radii[1] - radii[0]) * np.clip(x / length, 0, 1)
    side = np.clip(y / radius, -1, 1)
    return canvas.sprite(0.52 + 0.55 * np.sqrt(np.clip(1 - (0.9 * side - 0.15) ** 2, 0, 1)))


def faint(sprite: Sprite, px: float) -> Sprite:
    """The sprite as a soft shadow: too faint to own a pixel, so the flow is the floor's, the pixels are mixed."""
    rgba = np.rint(0.4 * sprite.rgba).astype(np.uint8)
    return Sprite(cv2.GaussianBlur(rgba, (0, 0), max(0.8, 0.012 * px)), sprite.to_units)


def _stripes(x: np.ndarray, period: float) -> np.ndarray:
    return np.clip(0.5 + 1.2 * np.sin(2 * np.pi * x / period), 0, 1)


CLOTHS = {  # weight of the second colour at (x, y); periods of 4 to 6 pixels at 120 x 160
    "plain": lambda x, y: 0 * x,
    "stripes": lambda x, y: _stripes(x, 0.054),
    "hoops": lambda x, y: _stripes(y, 0.062),
    "checks": lambda x, y: 0.5 * (_stripes(x, 0.072) + _stripes(y, 0.072)),
    "dots": lambda x, y: np.clip(2.2 * np.sin(np.pi * x / 0.036) * np.sin(np.pi * y / 0.036) - 0.9, 0, 1),
}


def cloth(canvas: Canvas, pattern: str, colours: Sequence, rng: np.random.Generator) -> np.ndarray:
    """Cloth for a canvas, uint8 (h, w, 3): a pattern of CLOTHS, or a crop of the photograph of that name."""
    h, w = canvas.alpha.shape
    colour, second = np.asarray(colours, float)
    if pattern in CLOTHS:
        out = colour + CLOTHS[pattern](*canvas.grid())[..., None] * (second - colour)
    else:
        image = photo(pattern)
        side = min(image.shape[:2]) // 3
        i, j = (int(rng.integers(n - side)) for n in image.shape[:2])
        crop = cv2.resize(image[i : i + side, j : j + side], (w, h), interpolation=cv2.INTER_AREA).astype(float)
        out = 0.5 * colour + 0.6 * crop
    coarse = rng.normal(0, 1, (max(2, int(h / canvas.px * 45)), max(2, int(w / canvas.px * 45))))
    weave = cv2.resize(coarse.astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    return np.clip(out * (1 + 0.07 * weave[..., None]), 0, 255).astype(np.uint8)
