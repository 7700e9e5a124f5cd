"""A cut-out puppet: painted sprites on a two-bone skeleton, rendered in depth order with exact flow.

A drawing is a list of `Layer`s from back to front, each a flat painted `Sprite` moved by one affine matrix a
frame. The flow of a pixel follows from the matrices alone: A[t + 1] A[t]^-1 p - p for the top layer at p.
Body coordinates: x forward, y up, origin on the ground below the actor, unit = the actor's standing height.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from arsr_core.errors import InputError

DENSITY = 2  # sprite and render samples per frame pixel and axis; frames are filtered down with a 1-2-1 tent
TORSO = 0.27  # hip joint to the base of the neck, in standing heights
OVERSAMPLE = 3  # painting happens on a canvas this much finer than the sprite, then is area-averaged


# --- photographs -------------------------------------------------------------------------------


@cache
def photo(name: str) -> np.ndarray:
    """A photograph out of scikit-image's installed package files, uint8 (H, W, 3) RGB; never downloads."""
    from importlib.util import find_spec
    from pathlib import Path

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


# --- sprites -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sprite:
    """A painted part: uint8 (h, w, 4) RGBA, premultiplied, and the matrix from its pixels to its units."""

    rgba: np.ndarray
    to_units: np.ndarray  # float64 (3, 3)
    infinite: bool = False  # the background: mirrored without end beyond its borders


@dataclass(frozen=True)
class Layer:
    """A sprite and its pose: float64 (T, 3, 3) from the sprite's units to the scene."""

    sprite: Sprite
    pose: np.ndarray


class Canvas:
    """A sheet to paint one part on: units with y up; colours are RGB in 0..255 or an (h, w, 3) texture."""

    def __init__(self, box: tuple[float, float, float, float], px: float):
        self.x0, self.y0, self.x1, self.y1 = box
        self.px = px  # sprite pixels per unit
        w, h = (max(2, round(s * px)) for s in (self.x1 - self.x0, self.y1 - self.y0))
        self.rgb = np.zeros((h * OVERSAMPLE, w * OVERSAMPLE, 3), np.uint8)
        self.alpha = np.zeros(self.rgb.shape[:2], np.uint8)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Units of every canvas sample: x (1, w) and y (h, 1)."""
        h, w = self.alpha.shape
        k = self.px * OVERSAMPLE
        return self.x0 + (np.arange(w)[None] + 0.5) / k, self.y1 - (np.arange(h)[:, None] + 0.5) / k

    def _points(self, xy) -> np.ndarray:
        xy = np.asarray(xy, float)
        k = self.px * OVERSAMPLE * 16  # 16: four fractional bits for OpenCV's drawing
        return np.rint(np.stack([(xy[..., 0] - self.x0) * k, (self.y1 - xy[..., 1]) * k], -1) - 8).astype(np.int32)

    def _stamp(self, mask: np.ndarray, colour, cut: bool = False) -> Canvas:
        inside = mask > 0
        if cut:
            self.alpha[inside] = 0
        else:
            self.rgb[inside] = colour[inside] if isinstance(colour, np.ndarray) and colour.ndim == 3 else colour
            self.alpha[inside] = 255
        return self

    def polygon(self, xy, colour, cut: bool = False) -> Canvas:
        import cv2

        mask = np.zeros_like(self.alpha)
        cv2.fillPoly(mask, [self._points(xy)], 255, shift=4)
        return self._stamp(mask, colour, cut)

    def line(self, xy, colour, width: float) -> Canvas:
        import cv2

        mask = np.zeros_like(self.alpha)
        thick = max(1, round(width * self.px * OVERSAMPLE))
        cv2.polylines(mask, [self._points(xy)], False, 255, thick, shift=4)
        return self._stamp(mask, colour)

    def ellipse(self, centre, radii, colour, angle: float = 0.0, cut: bool = False) -> Canvas:
        t = np.linspace(0, 2 * np.pi, 33)[:-1]
        c, s = np.cos(angle), np.sin(angle)
        x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
        return self.polygon(np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], -1), colour, cut)

    def limb(self, radii, length: float, colour) -> Canvas:
        """A tapered capsule from the origin along +x."""
        t = np.linspace(np.pi / 2, 3 * np.pi / 2, 17)
        start = np.stack([radii[0] * np.cos(t), radii[0] * np.sin(t)], -1)
        end = np.stack([length - radii[1] * np.cos(t), -radii[1] * np.sin(t)], -1)
        return self.polygon(np.concatenate([start, end]), colour)

    def shade(self, factor: np.ndarray) -> Canvas:
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
        to_units = np.array([[k, 0, self.x0 - 1.5 * k], [0, -k, self.y1 + 1.5 * k], [0, 0, 1]])
        return Sprite(rgba, to_units)


def cloth(canvas: Canvas, pattern: str, colour, second, rng: np.random.Generator) -> np.ndarray:
    """Cloth for a canvas, uint8 (h, w, 3): a pattern of CLOTHS, or a crop of the photograph of that name."""
    import cv2

    h, w = canvas.alpha.shape
    x, y = canvas.grid()
    colour, second = np.asarray(colour, float), np.asarray(second, float)
    if pattern in CLOTHS:
        weight = np.broadcast_to(CLOTHS[pattern](x, y), (h, w))
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


def _wave(x, period):
    return np.clip(0.5 + 1.2 * np.sin(2 * np.pi * x / period), 0, 1)


CLOTHS = {  # weight of the second colour at (x, y); periods of 4 to 6 pixels at 120 x 160
    "plain": lambda x, y: 0 * (x + y),
    "stripes": lambda x, y: _wave(x, 0.054) + 0 * y,
    "hoops": lambda x, y: _wave(y, 0.062) + 0 * x,
    "checks": lambda x, y: 0.5 * (_wave(x, 0.072) + _wave(y, 0.072)),
    "dots": lambda x, y: np.clip(2.2 * np.sin(np.pi * x / 0.036) * np.sin(np.pi * y / 0.036) - 0.9, 0, 1),
}


def limb(length, radii, px, paint, split=1.0, skin=(0, 0, 0)) -> Sprite:
    """A limb along +x from its joint, cloth up to `split` of its length, then skin; shaded as a cylinder."""
    r = max(radii)
    canvas = Canvas((-r, -r, length + r, r), px)
    canvas.limb(radii, length, paint(canvas) if callable(paint) else paint)
    x, y = canvas.grid()
    if split < 1:
        bare = np.broadcast_to(x > split * length, canvas.alpha.shape) & (canvas.alpha > 0)
        canvas.rgb[bare] = skin
    radius = radii[0] + (radii[1] - radii[0]) * np.clip(x / length, 0, 1)
    side = np.clip(y / radius, -1, 1)
    return canvas.shade(0.52 + 0.55 * np.sqrt(np.clip(1 - (0.9 * side - 0.15) ** 2, 0, 1))).sprite()


# --- the actor's parts -------------------------------------------------------------------------


def torso(look, px, paint, trousers) -> Sprite:
    """From the hips (origin) to the shoulders along +y, at three quarters with the chest towards +x."""
    g, top = look.girth, TORSO
    canvas = Canvas((-0.19, -0.09, 0.19, top + 0.05), px)
    hips = [(-0.082 * g, 0.03), (-0.078 * g, -0.055), (0.0, -0.07), (0.072 * g, -0.055), (0.075 * g, 0.03)]
    canvas.polygon(hips, trousers(canvas) if callable(trousers) else trousers)
    back = [
        (-0.083, 0.0),
        (-0.076, 0.1),
        (-0.1, 0.19),
        (-0.112, top - 0.035),
        (-0.085, top),
        (-0.03, top + 0.018),
    ]
    chest = [(0.03, top + 0.018), (0.07, top), (0.1, top - 0.04), (0.098, 0.18), (0.078, 0.1), (0.08, 0.0)]
    shirt = [(g * x, y) for x, y in (*back, *chest, (0.0, -0.012))]
    cloth_here = paint(canvas)
    canvas.polygon(shirt, cloth_here)
    canvas.polygon([(-0.03, top + 0.03), (0.038, top + 0.03), (0.016, top - 0.035)], look.skin)  # collar
    canvas.line([(-0.081 * g, 0.0), (0.0, -0.01), (0.078 * g, 0.0)], (40, 32, 28), 0.014)  # belt
    x, y = canvas.grid()
    side = np.clip((x - 0.02) / (0.115 * g), -1, 1)
    return canvas.shade((0.6 + 0.45 * np.sqrt(1 - 0.85 * side**2)) * (0.88 + 0.5 * np.clip(y, 0, 0.3))).sprite()


def head(look, px) -> Sprite:
    """Neck, face and hair; origin at the base of the neck, face turned towards +x."""
    r = 0.068 * look.head
    c = np.array([0.012, 0.052 + r])
    canvas = Canvas((-0.13, -0.03, 0.13, 0.21), px)
    dark = tuple(0.55 * np.array(look.skin))
    neck = [(-0.035, 0.07), (0.03, 0.07), (0.036, -0.005), (0.0, -0.02), (-0.036, -0.005)]
    canvas.polygon(neck, tuple(0.75 * np.array(look.skin)))
    if look.hair == "long":
        canvas.ellipse(c + (-0.026, -0.022), (0.062 * look.head, 0.092 * look.head), look.hair_colour)
    canvas.ellipse(c, (0.86 * r, 1.06 * r), look.skin)
    canvas.ellipse(c + (0.016, -0.45 * r), (0.6 * r, 0.58 * r), look.skin)  # jaw
    canvas.polygon(c + np.array([(0.66, 0.22), (1.06, -0.2), (0.66, -0.26)]) * r, look.skin)  # nose
    canvas.line(c + np.array([(0.98, -0.22), (0.66, -0.28)]) * r, dark, 0.1 * r)
    for x in (0.2, 0.72):
        canvas.ellipse(c + np.array((x, 0.13)) * r, (0.15 * r, 0.1 * r), (245, 245, 240))
        canvas.ellipse(c + np.array((x + 0.05, 0.13)) * r, (0.085 * r, 0.11 * r), (25, 20, 20))
        canvas.line(c + np.array([(x - 0.18, 0.34), (x + 0.16, 0.36)]) * r, look.hair_colour, 0.1 * r)
    canvas.line(c + np.array([(0.22, -0.56), (0.5, -0.62), (0.72, -0.54)]) * r, (130, 45, 45), 0.13 * r)
    canvas.ellipse(c + np.array((-0.42, -0.05)) * r, (0.14 * r, 0.24 * r), dark)  # ear
    canvas.ellipse(c + np.array((-0.4, -0.05)) * r, (0.1 * r, 0.18 * r), look.skin)
    if look.hair != "bald":
        t = np.linspace(0.13 * np.pi, 1.22 * np.pi, 24)
        cap = c + np.stack([0.93 * r * np.cos(t), 1.14 * r * np.sin(t)], -1)
        inner = c + np.array([(-0.55, -0.35), (-0.5, 0.2), (-0.1, 0.45), (0.3, 0.58), (0.72, 0.5)]) * r
        canvas.polygon(np.concatenate([cap, inner]), look.hair_colour)
    if look.hair == "cap":
        canvas.polygon(c + np.array([(0.45, 0.5), (1.5, 0.42), (1.45, 0.28), (0.5, 0.32)]) * r, look.hair_colour)
    if look.hair == "bun":
        canvas.ellipse(c + np.array((-0.95, 0.55)) * r, (0.42 * r, 0.42 * r), look.hair_colour)
    x, y = canvas.grid()
    round_ = np.clip(1 - ((x - c[0] - 0.02) ** 2 + 0.6 * (y - c[1] - 0.015) ** 2) / (1.9 * r) ** 2, 0.2, 1)
    return canvas.shade(0.62 + 0.44 * round_).sprite()


def hand(look, px) -> Sprite:
    """A loose fist with a thumb; origin at the wrist, fingers along +x."""
    canvas = Canvas((-0.03, -0.04, 0.08, 0.05), px)
    canvas.ellipse((0.025, 0), (0.036, 0.026), look.skin).line([(0.012, 0.018), (0.04, 0.028)], look.skin, 0.02)
    dark = tuple(0.72 * np.array(look.skin))
    for y in (-0.009, 0.006):
        canvas.line([(0.03, y), (0.058, y)], dark, 0.005)
    return canvas.sprite()


def shoe(look, px) -> Sprite:
    """Origin at the ankle, toes along +x, sole below."""
    canvas = Canvas((-0.06, -0.06, 0.13, 0.06), px)
    upper = [(-0.036, 0.03), (0.03, 0.03), (0.06, 0.002), (0.095, -0.008), (0.108, -0.03), (-0.042, -0.03)]
    canvas.polygon(upper, look.shoe_colour)
    canvas.polygon([(-0.044, -0.026), (0.11, -0.026), (0.108, -0.042), (-0.044, -0.042)], (225, 222, 215))
    for x in (0.028, 0.046, 0.064):
        canvas.line([(x, 0.02 - 0.3 * x), (x + 0.012, -0.004)], (240, 240, 235), 0.007)
    return canvas.sprite()


# --- objects: one painter each, the same coarse colour (`colour`) with its own fine structure --


def _ink(colour):  # the contrasting colour of an object's fine structure
    return (28, 26, 30) if np.mean(colour) > 110 else (238, 236, 228)


def cup(px, colour) -> Sprite:
    ink = _ink(colour)
    c = Canvas((-0.08, -0.09, 0.11, 0.09), px)
    c.ellipse((0.058, 0.0), (0.038, 0.042), colour).ellipse((0.058, 0.0), (0.02, 0.024), 0, cut=True)
    c.polygon([(-0.055, 0.07), (0.055, 0.07), (0.048, -0.075), (-0.048, -0.075)], colour)
    for y in (0.024, -0.014, -0.052):
        c.polygon([(-0.052, y + 0.009), (0.052, y + 0.009), (0.052, y - 0.009), (-0.052, y - 0.009)], ink)
    return c.ellipse((0, 0.07), (0.055, 0.014), ink).sprite()


def telephone(px, colour) -> Sprite:
    ink = _ink(colour)
    c = Canvas((-0.08, -0.1, 0.11, 0.13), px)
    c.line([(0.034, 0.07), (0.034, 0.125)], colour, 0.014)
    c.polygon([(-0.052, 0.08), (0.052, 0.08), (0.052, -0.08), (-0.052, -0.08)], colour)
    c.polygon([(-0.036, 0.066), (0.036, 0.066), (0.036, 0.03), (-0.036, 0.03)], ink)
    for y in (0.008, -0.024, -0.056):
        for x in (-0.033, 0.0, 0.033):
            c.ellipse((x, y), (0.012, 0.011), ink)
    return c.sprite()


def cone(px, colour) -> Sprite:
    ink = _ink(colour)
    c = Canvas((-0.08, -0.11, 0.09, 0.12), px)
    c.polygon([(-0.058, 0.03), (0.058, 0.03), (0.012, -0.1), (-0.012, -0.1)], colour)
    for k in (-0.05, -0.015, 0.02, 0.055):
        c.line([(k - 0.03, -0.1), (k + 0.04, 0.03)], ink, 0.01).line([(k + 0.03, -0.1), (k - 0.04, 0.03)], ink, 0.01)
    c.polygon([(-0.08, 0.03), (-0.058, 0.03), (-0.012, -0.1), (-0.012, -0.11), (-0.08, -0.11)], 0, cut=True)
    c.polygon([(0.09, 0.03), (0.058, 0.03), (0.012, -0.1), (0.012, -0.11), (0.09, -0.11)], 0, cut=True)
    c.ellipse((0, 0.055), (0.062, 0.05), colour).ellipse((0.01, 0.085), (0.03, 0.028), colour)
    for x, y in ((-0.03, 0.06), (0.0, 0.09), (0.03, 0.055), (0.0, 0.04)):
        c.ellipse((x, y), (0.01, 0.01), ink)
    return c.sprite()


def bat(px, colour) -> Sprite:
    c = Canvas((-0.06, -0.05, 0.5, 0.05), px)
    x = np.array([-0.05, -0.03, -0.03, 0.14, 0.3, 0.45, 0.48])
    half = np.array([0.022, 0.022, 0.012, 0.014, 0.032, 0.036, 0.02])
    c.polygon(np.concatenate([np.stack([x, half], -1), np.stack([x, -half], -1)[::-1]]), colour)
    c.polygon([(0.26, 0.012), (0.44, 0.015), (0.44, -0.002), (0.26, -0.002)], _ink(colour))
    return c.sprite()


def racket(px, colour) -> Sprite:
    c = Canvas((-0.06, -0.1, 0.5, 0.1), px)
    c.line([(-0.05, 0), (0.2, 0)], colour, 0.03)
    c.ellipse((0.34, 0), (0.145, 0.088), colour).ellipse((0.34, 0), (0.122, 0.066), 0, cut=True)
    for k in (-0.09, -0.054, -0.018, 0.018, 0.054, 0.09):
        half = 0.066 * np.sqrt(1 - (k / 0.122) ** 2)
        c.line([(0.34 + k, -half), (0.34 + k, half)], (235, 235, 225), 0.009)
    for k in (-0.04, -0.013, 0.013, 0.04):
        half = 0.122 * np.sqrt(1 - (k / 0.066) ** 2)
        c.line([(0.34 - half, k), (0.34 + half, k)], (235, 235, 225), 0.009)
    return c.sprite()


def sword(px, colour) -> Sprite:
    c = Canvas((-0.06, -0.08, 0.5, 0.08), px)
    c.polygon([(0.05, 0.026), (0.4, 0.02), (0.49, 0), (0.4, -0.02), (0.05, -0.026)], (222, 224, 230))
    c.polygon([(0.05, 0.008), (0.4, 0.006), (0.4, -0.006), (0.05, -0.008)], (50, 54, 64))
    c.line([(-0.05, 0), (0.05, 0)], colour, 0.028).line([(0.055, -0.07), (0.055, 0.07)], colour, 0.026)
    return c.ellipse((-0.05, 0), (0.02, 0.02), colour).sprite()


def broom(px, colour) -> Sprite:
    c = Canvas((-0.02, -0.16, 0.94, 0.16), px)
    c.line([(0.1, 0), (0.92, 0)], (150, 112, 66), 0.02)
    c.polygon([(0.0, 0.145), (0.0, -0.145), (0.13, -0.085), (0.13, 0.085)], colour)
    for k in (-0.115, -0.069, -0.023, 0.023, 0.069, 0.115):
        c.line([(0.0, k), (0.09, 0.7 * k)], _ink(colour), 0.012)
    return c.line([(0.125, -0.09), (0.125, 0.09)], (70, 50, 36), 0.03).sprite()


def rake(px, colour) -> Sprite:
    c = Canvas((-0.02, -0.16, 0.94, 0.16), px)
    c.line([(0.05, 0), (0.92, 0)], (150, 112, 66), 0.02)
    c.line([(0.115, -0.135), (0.115, 0.135)], colour, 0.03)
    for k in (-0.135, -0.081, -0.027, 0.027, 0.081, 0.135):
        c.line([(0.115, k), (0.0, k)], colour, 0.02)
    return c.sprite()


def basketball(px, colour) -> Sprite:
    c = Canvas((-0.09, -0.09, 0.09, 0.09), px)
    c.ellipse((0, 0), (0.078, 0.078), colour)
    ink, t = _ink(colour), np.linspace(-1, 1, 9)
    c.line([(-0.078, 0), (0.078, 0)], ink, 0.012).line([(0, -0.078), (0, 0.078)], ink, 0.012)
    for s in (-1, 1):
        c.line(np.stack([s * (0.028 + 0.026 * t**2), 0.06 * t], -1), ink, 0.012)
    x, y = c.grid()
    return c.shade(1.05 - 40 * ((x + 0.02) ** 2 + (y - 0.03) ** 2)).sprite()


def football(px, colour) -> Sprite:
    c = Canvas((-0.09, -0.09, 0.09, 0.09), px)
    c.ellipse((0, 0), (0.072, 0.072), colour)
    for k in range(5):
        a = 2 * np.pi * k / 5 + 0.3
        c.ellipse(0.056 * np.array([np.cos(a), np.sin(a)]), (0.016, 0.02), _ink(colour), angle=a)
    c.ellipse((0, 0), (0.022, 0.022), _ink(colour))
    x, y = c.grid()
    return c.shade(1.05 - 40 * ((x + 0.02) ** 2 + (y - 0.03) ** 2)).sprite()


def barbell(px, colour) -> Sprite:
    c = Canvas((-0.42, -0.11, 0.42, 0.11), px)
    c.line([(-0.41, 0), (0.41, 0)], (185, 188, 194), 0.02)
    for s in (-1, 1):
        for x, r in ((0.3, 0.1), (0.345, 0.085), (0.385, 0.06)):
            c.polygon([(s * x - 0.016, r), (s * x + 0.016, r), (s * x + 0.016, -r), (s * x - 0.016, -r)], colour)
    return c.sprite()


def chair(px, colour) -> Sprite:
    """Origin on the ground under the seat's front edge, back rest towards -x."""
    c = Canvas((-0.36, -0.01, 0.06, 0.62), px)
    dark = tuple(0.6 * np.asarray(colour, float))
    for x in (-0.26, -0.02):
        c.line([(x, 0.0), (x, 0.25)], dark, 0.022)
    for x in (-0.31, 0.03):
        c.line([(x, 0.0), (x + 0.01, 0.25)], colour, 0.026)
    c.line([(-0.31, 0.25), (-0.34, 0.61)], colour, 0.026)
    for y in (0.35, 0.42, 0.49, 0.56):
        c.line([(-0.33, y), (-0.25, y)], colour, 0.02)
    c.line([(-0.25, 0.26), (-0.265, 0.59)], dark, 0.022)
    return c.polygon([(-0.32, 0.245), (0.045, 0.245), (0.045, 0.285), (-0.32, 0.285)], colour).sprite()


def shadow(px) -> Sprite:
    """A soft contact shadow: too faint to own a pixel, so the flow is the floor's, the pixels are mixed."""
    c = Canvas((-0.26, -0.05, 0.26, 0.05), px).ellipse((0, 0), (0.2, 0.026), (0, 0, 0))
    import cv2

    sprite = c.sprite(0.4)
    blur = cv2.GaussianBlur(sprite.rgba, (0, 0), max(0.8, 0.012 * px))
    return Sprite(blur, sprite.to_units)


_PAINTERS = (cup, telephone, cone, bat, racket, sword, broom, rake, basketball, football, barbell, chair)
OBJECTS = {paint.__name__: paint for paint in _PAINTERS}  # name -> paint(px, colour)


# --- skeleton ----------------------------------------------------------------------------------


def frame_at(origin, angle) -> np.ndarray:
    """Rigid frame (T, 3, 3): origin (T, 2) and angle of its x axis, radians, counter-clockwise with y up."""
    origin, angle = np.asarray(origin, float), np.asarray(angle, float)
    out = np.zeros((len(origin), 3, 3))
    out[:, 0, 0] = out[:, 1, 1] = np.cos(angle)
    out[:, 1, 0], out[:, 0, 1] = np.sin(angle), -np.sin(angle)
    out[:, :2, 2], out[:, 2, 2] = origin, 1
    return out


def at(frame, x: float, y: float) -> np.ndarray:
    """Where a fixed point of a moving frame is, (T, 2)."""
    return (frame @ (x, y, 1.0))[:, :2]


def bone(start, end) -> np.ndarray:
    """Frame at `start` (T, 2) with its x axis towards `end` (T, 2)."""
    d = end - start
    return frame_at(start, np.arctan2(d[:, 1], d[:, 0]))


def bend(root, target, upper: float, lower: float, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """Two-bone inverse kinematics: middle and end joint (T, 2) of a limb that reaches for a target.

    sign +1 bends counter-clockwise of the line to the target, -1 clockwise (law of cosines). The limb points
    at what is out of reach.
    """
    d = target - root
    dist = np.hypot(d[:, 0], d[:, 1])
    reach = np.clip(dist, abs(upper - lower) + 1e-3, 0.998 * (upper + lower))
    direction = np.arctan2(d[:, 1], d[:, 0])
    at_root = np.arccos(np.clip((upper**2 + reach**2 - lower**2) / (2 * upper * reach), -1, 1))
    a = direction + sign * at_root
    middle = root + upper * np.stack([np.cos(a), np.sin(a)], -1)
    end = root + (reach / np.maximum(dist, 1e-9))[:, None] * d
    return middle, end


@dataclass(frozen=True)
class Pose:
    """What a move prescribes, each a scalar or (T,), in body coordinates; near is the viewer's side."""

    near_foot: tuple = (-0.05, 0.04)  # ankles
    far_foot: tuple = (0.06, 0.04)
    near_toe: float = 0.0  # pitch of the shoe, radians, toes up
    far_toe: float = 0.0
    pelvis: tuple = (0.0, 0.525)
    lean: float = 0.02  # of the trunk, radians, forward
    nod: float = 0.0  # of the head, radians, upward
    near_reach: tuple = (0.03, -0.29)  # wrists, from the shoulder ...
    far_reach: tuple = (0.05, -0.29)
    near_grip: tuple | None = None  # ... or at a place
    far_grip: tuple | None = None
    near_turn: float = 0.0  # of the hand about the wrist, radians
    far_turn: float = 0.0
    near_bend: int = -1  # -1: the elbow points back and down
    prop: tuple | None = None  # where the object is; None: in the near palm
    prop_angle: float = 0.0
    prop_behind: bool = False
    far_front: bool = False  # the far arm passes in front of the trunk, as it does to grip something
    speed: float = 0.0  # forward, heights a cycle


def actor(pose: Pose, look, prop: str | None, sway: np.ndarray, px: float) -> list[Layer]:
    """An actor with a look (generated.Look) and perhaps an object in a pose: layers from back to front.

    sway (T,): slow swing of the trunk in radians, added to the pose. px: sprite pixels per height.
    """
    count = len(sway)
    weave = np.random.default_rng(look.weave)

    def track(value):  # scalar or (T,) -> (T,)
        return np.broadcast_to(np.asarray(value, float), (count,))

    def path(value):  # pair of scalars or (T,) -> (T, 2)
        return np.stack([track(v) for v in value], -1)

    def shirt(canvas):
        return cloth(canvas, look.shirt, *look.shirt_colours, weave)

    def trousers(canvas):
        return cloth(canvas, look.trousers, *look.trouser_colours, weave)

    girth, thigh = look.girth, 0.245 * look.legs  # the shin is as long
    pelvis = path(pose.pelvis) * (1, look.legs) + np.stack([0.3 * sway, 0 * sway], -1)
    lean = track(pose.lean) + sway
    trunk = frame_at(pelvis, -lean)
    neck = frame_at(at(trunk, 0, TORSO), track(pose.nod) - 0.5 * lean)
    shod, fist = shoe(look, px), hand(look, px)

    def leg(x, foot, toe):
        hip = at(trunk, x * girth, 0)
        knee, ankle = bend(hip, path(foot), thigh, thigh, 1)
        lower = limb(thigh, (0.047 * girth, 0.034 * girth), px, look.skin if look.shorts else trousers)
        upper = limb(thigh, (0.066 * girth, 0.048 * girth), px, trousers)
        frames = frame_at(ankle, track(toe)), bone(knee, ankle), bone(hip, knee)
        return [Layer(*part) for part in zip((shod, lower, upper), frames, strict=True)]

    def arm(x, reach, grip, turn, sign):
        shoulder = at(trunk, x * girth, TORSO - 0.03)
        goal = shoulder + path(reach) if grip is None else path(grip)
        elbow, wrist = bend(shoulder, goal, 0.165, 0.15, sign)
        covered = 1.0 if look.long_sleeves else 0.7
        upper = limb(0.165, (0.042 * girth, 0.035 * girth), px, shirt, covered, look.skin)
        lower = limb(0.15, (0.034 * girth, 0.025 * girth), px, shirt if look.long_sleeves else look.skin)
        fore = bone(elbow, wrist)
        palm = frame_at(wrist, np.arctan2(fore[:, 1, 0], fore[:, 0, 0]) + track(turn))
        return [Layer(upper, bone(shoulder, elbow)), Layer(lower, fore), Layer(fist, palm)]

    legs = leg(0.036, pose.far_foot, pose.far_toe) + leg(-0.034, pose.near_foot, pose.near_toe)
    body = [Layer(torso(look, px, shirt, trousers), trunk), Layer(head(look, px), neck)]
    far = arm(0.072, pose.far_reach, pose.far_grip, pose.far_turn, -1)
    near = arm(-0.085, pose.near_reach, pose.near_grip, pose.near_turn, pose.near_bend)
    front = pose.far_front or pose.far_grip is not None
    behind, gripped, held = [Layer(shadow(px), frame_at(pelvis * (1, 0), 0 * sway))], [], []
    if prop:
        place = at(near[-1].pose, 0.03, 0) if pose.prop is None else path(pose.prop)
        sprite = OBJECTS[prop](px, look.object_colour)
        slot = held if pose.prop is None else behind if pose.prop_behind else gripped
        slot.append(Layer(sprite, frame_at(place, track(pose.prop_angle))))
    return behind + far * (not front) + legs + body + gripped + far * front + near + held


# --- rendering ---------------------------------------------------------------------------------


def render(layers: list[Layer], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames, forward flow, occlusion and mixed masks of layers (back to front, poses into frame pixels).

    Returns frames uint8 (T, H, W, 3); flow float32 (T - 1, 2, H, W) in pixels, t -> t + 1; occluded and mixed
    bool (T - 1, H, W). occluded: the surface point at p leaves the frame or is covered by another layer at
    t + 1. mixed: the colour at p, or one of the four that bilinear warping reads at t + 1, blends layers.
    """
    matrices = np.stack([layer.pose @ layer.sprite.to_units for layer in layers])  # (K, T, 3, 3) sprite -> frame px
    drawn = [_composite(layers, matrices[:, t], size) for t in range(matrices.shape[1])]
    frames, labels, samples, mixed = (np.stack(part) for part in zip(*drawn, strict=True))
    flow, occluded, unsure = [], [], []
    for t in range(len(frames) - 1):
        step = matrices[:, t + 1] @ np.linalg.inv(matrices[:, t])  # (K, 3, 3)
        f, o, m = _correspond(step, labels[t], samples[t + 1], mixed[t], mixed[t + 1])
        flow.append(f)
        occluded.append(o)
        unsure.append(m)
    return frames, np.stack(flow), np.stack(occluded), np.stack(unsure)


def _composite(layers, matrices, size):
    """One frame (H, W, 3), its top layer at pixels (H, W) and at samples (2H + 1, 2W + 1), mixed (H, W)."""
    import cv2

    h, w = (DENSITY * n + 1 for n in size)  # one sample around the frame for the tent filter
    to_grid = np.array([[DENSITY, 0, 1.0], [0, DENSITY, 1.0], [0, 0, 1]])
    canvas = label = soft = None
    for k, (layer, matrix) in enumerate(zip(layers, to_grid @ matrices, strict=True)):
        rgba = layer.sprite.rgba
        if layer.sprite.infinite:
            canvas = cv2.warpAffine(rgba, matrix[:2], (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            canvas, label, soft = (
                canvas[..., :3].copy(),
                np.full((h, w), k, np.uint8),
                np.zeros((h, w), np.uint8),
            )
            continue
        sh, sw = rgba.shape[:2]
        corners = matrix[:2] @ np.array([[0, sw, 0, sw], [0, 0, sh, sh], [1, 1, 1, 1.0]])
        x0, y0 = np.maximum(np.floor(corners.min(1)).astype(int) - 1, 0).tolist()
        x1, y1 = np.minimum(np.ceil(corners.max(1)).astype(int) + 2, (w, h)).tolist()
        if x0 >= x1 or y0 >= y1:
            continue
        local = matrix[:2].copy()
        local[:, 2] -= (x0, y0)
        part = cv2.warpAffine(rgba, local, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        box = np.s_[y0:y1, x0:x1]
        alpha = np.ascontiguousarray(part[..., 3])
        through = cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2RGB)
        canvas[box] = cv2.add(cv2.multiply(canvas[box], through, scale=1 / 255), cv2.cvtColor(part, cv2.COLOR_RGBA2RGB))
        np.copyto(label[box], k, where=alpha > 127)
        np.copyto(soft[box], 1, where=alpha > 4)
        np.copyto(soft[box], 0, where=alpha > 250)
    frame = cv2.GaussianBlur(canvas, (3, 3), 0)[1::DENSITY, 1::DENSITY]  # 1-2-1 tent about each pixel's centre
    square = np.ones((3, 3), np.uint8)
    mixed = cv2.dilate(soft, square) | (cv2.dilate(label, square) != cv2.erode(label, square))
    return frame, label[1::DENSITY, 1::DENSITY], label, mixed[1::DENSITY, 1::DENSITY].astype(bool)


def _correspond(step, label, samples_next, mixed, mixed_next):
    """Flow (2, H, W), occluded and mixed (H, W) of a pair, from every layer's matrix frame t -> t + 1."""
    h, w = label.shape
    x, y = np.arange(w, dtype=float)[None], np.arange(h, dtype=float)[:, None]
    row = step.reshape(len(step), 9).T
    qx, qy = (row[i][label] * x + row[i + 1][label] * y + row[i + 2][label] for i in (0, 3))
    slack = 1e-6  # rounding must not push a still border pixel out
    outside = (qx < -slack) | (qx > w - 1 + slack) | (qy < -slack) | (qy > h - 1 + slack)
    cx, cy = np.clip(qx, 0, w - 1), np.clip(qy, 0, h - 1)
    covering = samples_next[np.rint(DENSITY * cy + 1).astype(np.intp), np.rint(DENSITY * cx + 1).astype(np.intp)]
    occluded = outside | (covering > label)  # a layer in front; one behind can only be the layer's own soft edge
    wide = np.pad(mixed_next, ((0, 1), (0, 1)), mode="edge")
    footprint = wide[:-1, :-1] | wide[1:, :-1] | wide[:-1, 1:] | wide[1:, 1:]
    mixed = mixed | footprint[cy.astype(np.intp), cx.astype(np.intp)]
    return np.stack([qx - x, qy - y]).astype(np.float32), occluded, mixed
