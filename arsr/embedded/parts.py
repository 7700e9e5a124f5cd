"""The puppet's parts and what it holds, as sprites: shape from `drawings.yaml`, colours and girth from a look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np

from arsr.embedded.painting import Canvas, Sprite, drawings, ellipse

TORSO = 0.27  # hip joint to the base of the neck, in standing heights
Cloth = Callable[[Canvas], np.ndarray]  # the texture of a garment for a canvas


def _sheet(name: str, px: float) -> Canvas:
    return Canvas(drawings()[name]["box"], px)


def limb(
    length: float,
    radii: tuple[float, float],
    px: float,
    cover: Cloth | Sequence[int],
    split: float = 1.0,
    skin: Sequence[int] = (0, 0, 0),
) -> Sprite:
    """A tapered capsule along +x from its joint, covered up to `split` of its length; shaded as a cylinder."""
    r = max(radii)
    canvas = Canvas((-r, -r, length + r, r), px)
    t = np.linspace(np.pi / 2, 3 * np.pi / 2, 17)
    start = np.stack([radii[0] * np.cos(t), radii[0] * np.sin(t)], -1)
    end = np.stack([length - radii[1] * np.cos(t), -radii[1] * np.sin(t)], -1)
    canvas.paint(np.concatenate([start, end]), cover(canvas) if callable(cover) else cover)
    x, y = canvas.grid()
    if split < 1:
        bare = np.broadcast_to(x > split * length, canvas.alpha.shape) & (canvas.alpha > 0)
        canvas.rgb[bare] = skin
    radius = radii[0] + (radii[1] - radii[0]) * np.clip(x / length, 0, 1)
    side = np.clip(y / radius, -1, 1)
    return canvas.shade(0.52 + 0.55 * np.sqrt(np.clip(1 - (0.9 * side - 0.15) ** 2, 0, 1))).sprite()


def torso(look: SimpleNamespace, px: float, shirt: Cloth, trousers: Cloth) -> Sprite:
    """From the hips (origin) to the shoulders along +y, at three quarters with the chest towards +x."""
    canvas = _sheet("torso", px)
    worn = {"trousers": trousers(canvas), "shirt": shirt(canvas)}
    canvas.draw("torso", worn, scale=(look.girth, 1.0)).draw("collar", {"skin": look.skin})
    x, y = canvas.grid()
    side = np.clip((x - 0.02) / (0.115 * look.girth), -1, 1)
    return canvas.shade((0.6 + 0.45 * np.sqrt(1 - 0.85 * side**2)) * (0.88 + 0.5 * np.clip(y, 0, 0.3))).sprite()


def head(look: SimpleNamespace, px: float) -> Sprite:
    """Neck, face and hair; origin at the base of the neck, face turned towards +x."""
    canvas, r = _sheet("head", px), 0.068 * look.head
    c, scale = np.array([0.012, 0.052 + r]), (r, r)
    skin = np.array(look.skin)
    colours = {"skin": skin, "hair": look.hair_colour, "shade": 0.55 * skin, "neck": 0.75 * skin}
    canvas.draw("head", colours)
    if look.hair == "long":
        canvas.paint(ellipse(c + (-0.026, -0.022), (0.062 * look.head, 0.092 * look.head)), look.hair_colour)
    canvas.draw("face", colours, c, scale)
    if look.hair != "bald":
        crown = ellipse(c, (0.93 * r, 1.14 * r), t=np.linspace(0.13 * np.pi, 1.22 * np.pi, 24))
        brow = c + np.array([(-0.55, -0.35), (-0.5, 0.2), (-0.1, 0.45), (0.3, 0.58), (0.72, 0.5)]) * r
        canvas.paint(np.concatenate([crown, brow]), look.hair_colour)
    if look.hair in ("cap", "bun"):
        canvas.draw(look.hair, colours, c, scale)
    x, y = canvas.grid()
    dome = np.clip(1 - ((x - c[0] - 0.02) ** 2 + 0.6 * (y - c[1] - 0.015) ** 2) / (1.9 * r) ** 2, 0.2, 1)
    return canvas.shade(0.62 + 0.44 * dome).sprite()


def hand(look: SimpleNamespace, px: float) -> Sprite:
    """Origin at the wrist, fingers along +x."""
    return _sheet("hand", px).draw("hand", {"skin": look.skin, "fold": 0.72 * np.array(look.skin)}).sprite()


def shoe(look: SimpleNamespace, px: float) -> Sprite:
    """Origin at the ankle, toes along +x."""
    return _sheet("shoe", px).draw("shoe", {"shoe": look.shoe_colour}).sprite()


def prop(name: str, px: float, colour: Sequence[int]) -> Sprite:
    """An object in a coarse colour, with a fine structure in one that contrasts."""
    ink = (28, 26, 30) if np.mean(colour) > 110 else (238, 236, 228)
    canvas = _sheet(name, px).draw(name, {"own": colour, "ink": ink, "dark": 0.6 * np.asarray(colour, float)})
    if drawings()[name].get("ball"):
        x, y = canvas.grid()
        canvas.shade(1.05 - 40 * ((x + 0.02) ** 2 + (y - 0.03) ** 2))
    return canvas.sprite()


def shadow(px: float) -> Sprite:
    """A soft contact shadow: too faint to own a pixel, so the flow is the floor's, the pixels are mixed."""
    import cv2

    sprite = _sheet("shadow", px).draw("shadow", {}).sprite(0.4)
    return Sprite(cv2.GaussianBlur(sprite.rgba, (0, 0), max(0.8, 0.012 * px)), sprite.to_units)
