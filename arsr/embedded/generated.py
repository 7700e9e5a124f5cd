"""Embedded clips: a synthetic action data set with exact optical flow, made on the spot from a seed.

Articulated actors perform 18 actions before photographs. Some classes differ from their group only by a fine
detail (the object in the hand, which 4x down-sampling destroys), some only by motion, some by both. Actor,
scene and manner of moving are drawn independently of the class, with disjoint values in train and test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from arsr.embedded import puppet
from arsr.embedded.actions import ACTIONS, Action
from arsr.embedded.puppet import Layer, Sprite
from arsr_core.errors import InputError

FPS = 25.0
SPLITS = ("train", "test")

# --- what is drawn from the seed ---------------------------------------------------------------

# Ranges that the splits share out: (low, high, cells); train draws from the even cells, test from the odd.
INTERVALS: dict[str, tuple[float, float, int]] = {
    "shirt_hue": (0.0, 1.0, 12),
    "trouser_hue": (0.0, 1.0, 12),
    "skin_tone": (0.0, 1.0, 8),
    "head": (0.92, 1.12, 8),
    "girth": (0.86, 1.14, 8),
    "legs": (0.95, 1.04, 8),
    "tempo": (1.06, 1.6, 8),
    "phase": (0.0, 1.0, 12),
    "amplitude": (0.85, 1.12, 8),
}
WALLS = {  # photograph: the part used, x0, y0, x1, y1 in 0..1 (without the people in some of them)
    "train": {
        "motorcycle_left": (0.0, 0.0, 1.0, 1.0),
        "rocket": (0.02, 0.25, 0.98, 1.0),
        "coffee": (0.0, 0.0, 1.0, 1.0),
        "coins": (0.03, 0.03, 0.97, 0.97),
    },
    "test": {
        "camera": (0.58, 0.2, 1.0, 0.75),
        "astronaut": (0.6, 0.0, 1.0, 0.5),
        "chelsea": (0.0, 0.0, 1.0, 1.0),
    },
}
FLOORS = {"train": ("gravel", "brick"), "test": ("grass", "moon")}
PRINTS = {"train": ("hubble_deep_field", "color"), "test": ("retina", "logo")}  # photographs on shirts
SKINS = np.array([(250, 216, 190), (226, 172, 134), (164, 112, 80), (100, 66, 50)], float)


def cell(name: str, value: float) -> int:
    """Which cell of INTERVALS[name] a drawn value lies in: even in train, odd in test."""
    low, high, cells = INTERVALS[name]
    return int((value - low) / (high - low) * cells)


def _draw(rng, name, split) -> float:
    low, high, cells = INTERVALS[name]
    k = 2 * int(rng.integers(cells // 2)) + SPLITS.index(split)
    return low + (high - low) * (k + rng.uniform(0.1, 0.9)) / cells  # a margin keeps the splits apart


def _rgb(hue, saturation, value) -> tuple[int, int, int]:
    import colorsys

    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))


@dataclass(frozen=True)
class Look:
    """The actor: proportions relative to the average, clothes, skin and hair; colours are RGB in 0..255."""

    head: float
    girth: float
    legs: float
    skin_tone: float
    skin: tuple[int, int, int]
    hair: str
    hair_colour: tuple[int, int, int]
    shirt: str  # a key of puppet.CLOTHS or a photograph
    shirt_hue: float
    shirt_colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    long_sleeves: bool
    trousers: str
    trouser_hue: float
    trouser_colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    shorts: bool
    shoe_colour: tuple[int, int, int]
    object_colour: tuple[int, int, int]
    weave: int  # seed of the texture of the cloth


@dataclass(frozen=True)
class Scene:
    """Background, placement of the actor and camera; lengths in frame heights, angles in radians."""

    wall: str
    floor: str
    corner: tuple[float, float]  # which part of the wall's photograph, 0..1
    extent: float  # share of the photograph that is seen
    mirrored: bool
    light: float
    tint: tuple[float, float, float]
    horizon: float
    height: float  # of the actor, in frame heights
    x: float  # of the actor, in frame widths
    ground: float
    facing: int
    pan: tuple[float, float]  # over 24 frames, as zoom (end over start) and roll
    zoom: float
    roll: float
    shake: float
    shake_phase: tuple[float, float]


@dataclass(frozen=True)
class Motion:
    """Manner of moving: cycles in 24 frames, phase at the start, size of the gestures, sway of the trunk."""

    tempo: float
    phase: float
    amplitude: float
    sway: float


def _look(rng, split) -> Look:
    tone = _draw(rng, "skin_tone", split)
    skin = tuple(int(np.interp(tone * 3, range(4), SKINS[:, c])) for c in range(3))
    shirt_hue, trouser_hue = _draw(rng, "shirt_hue", split), _draw(rng, "trouser_hue", split)
    shirts = (*puppet.CLOTHS, *PRINTS[split])
    light, dark = rng.uniform(0.55, 0.95), rng.uniform(0.25, 0.6)
    return Look(
        head=_draw(rng, "head", split),
        girth=_draw(rng, "girth", split),
        legs=_draw(rng, "legs", split),
        skin_tone=tone,
        skin=skin,
        hair=str(rng.choice(["short", "long", "bun", "cap", "bald"], p=[0.35, 0.25, 0.15, 0.15, 0.1])),
        hair_colour=_rgb(rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.75), rng.uniform(0.08, 0.6)),
        shirt=str(rng.choice(shirts)),
        shirt_hue=shirt_hue,
        shirt_colours=(
            _rgb(shirt_hue, rng.uniform(0.35, 0.85), light),
            _rgb(shirt_hue + 0.5, rng.uniform(0.1, 0.5), (light + 0.5) % 1),
        ),
        long_sleeves=bool(rng.random() < 0.5),
        trousers=str(rng.choice(["plain", "plain", "stripes", "checks"])),
        trouser_hue=trouser_hue,
        trouser_colours=(
            _rgb(trouser_hue, rng.uniform(0.2, 0.7), dark),
            _rgb(trouser_hue, rng.uniform(0.1, 0.5), dark + 0.25),
        ),
        shorts=bool(rng.random() < 0.3),
        shoe_colour=_rgb(rng.random(), rng.uniform(0, 0.8), rng.uniform(0.15, 0.6)),
        object_colour=_rgb(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.45, 0.95)),
        weave=int(rng.integers(2**31)),
    )


def _scene(rng, split) -> Scene:
    ground = rng.uniform(0.925, 0.965)
    moving = rng.random() < 0.6  # the other clips come from a tripod
    return Scene(
        wall=str(rng.choice(list(WALLS[split]))),
        floor=str(rng.choice(FLOORS[split])),
        corner=(rng.random(), rng.random()),
        extent=rng.uniform(0.55, 0.95),
        mirrored=bool(rng.random() < 0.5),
        light=rng.uniform(0.7, 1.1),
        tint=tuple(rng.uniform(0.85, 1.08, 3).tolist()),
        horizon=ground - rng.uniform(0.07, 0.16),
        height=rng.uniform(0.68, 0.78),
        x=rng.uniform(0.42, 0.58),
        ground=ground,
        facing=int(rng.choice([-1, 1])),
        pan=tuple((moving * rng.uniform(-1, 1, 2) * (0.22, 0.05)).tolist()),
        zoom=float(1 + moving * rng.uniform(-0.09, 0.09)),
        roll=float(moving * rng.uniform(-0.05, 0.05)),
        shake=float(moving * rng.uniform(0, 0.012)),
        shake_phase=tuple(rng.random(2).tolist()),
    )


def _motion(rng, split) -> Motion:
    drawn = {name: _draw(rng, name, split) for name in ("tempo", "phase", "amplitude")}
    return Motion(**drawn, sway=rng.uniform(-0.012, 0.012))


# --- assembly ----------------------------------------------------------------------------------


def _background(scene: Scene, size) -> Sprite:
    """A wall with a photograph on it and a floor in perspective; wider than the frame, mirrored beyond."""
    import cv2

    margin = 0.12
    h, w = (round(puppet.DENSITY * n * (1 + 2 * margin)) for n in size)
    wall = puppet.photo(scene.wall)
    x0, y0, x1, y1 = next(used[scene.wall] for used in WALLS.values() if scene.wall in used)
    ph, pw = wall.shape[:2]
    wall = wall[round(y0 * ph) : round(y1 * ph), round(x0 * pw) : round(x1 * pw)]
    ph, pw = wall.shape[:2]
    cw = scene.extent * min(pw, ph * w / h)
    ch = cw * h / w
    x, y = scene.corner[0] * (pw - cw), scene.corner[1] * (ph - ch)
    crop = wall[int(y) : int(y + ch), int(x) : int(x + cw)]
    image = cv2.resize(crop, (w, h), interpolation=cv2.INTER_AREA if cw > w else cv2.INTER_CUBIC)
    top = round(puppet.DENSITY * size[0] * (scene.horizon + margin))
    texture = puppet.photo(scene.floor)
    n = texture.shape[0]
    away = 0.35 * w  # the near edge shows less of the texture than the far edge
    to_floor = cv2.getPerspectiveTransform(
        np.float32([(0, 0), (n, 0), (n, n), (0, n)]),
        np.float32([(0, top), (w, top), (w + away, h), (-away, h)]),
    )
    floor = cv2.warpPerspective(texture, to_floor, (w, h), flags=cv2.INTER_LINEAR)
    floor = cv2.GaussianBlur(floor, (0, 0), 1.2)  # steep minification: keep it from aliasing
    image[top:] = (0.85 * floor[top:] + 20).astype(np.uint8)
    soft = cv2.GaussianBlur(image, (0, 0), 1.5)  # slightly out of focus, as behind an actor
    image = np.clip(soft * (scene.light * np.array(scene.tint)), 0, 255).astype(np.uint8)
    if scene.mirrored:
        image = image[:, ::-1]
    k = 1 / puppet.DENSITY
    to_units = np.array([[k, 0, -margin * size[1]], [0, k, -margin * size[0]], [0, 0, 1]])
    return Sprite(np.ascontiguousarray(image), to_units, infinite=True)


def _camera(scene: Scene, size, count) -> np.ndarray:
    """Scene -> frame, (T, 3, 3): zoom and roll about the frame's centre, pan, and a smooth shake."""
    h, w = size
    t = np.linspace(-0.5, 0.5, count)
    smooth = min(1.0, count / 24) * t * (1.5 - 2 * t**2)  # eases in and out; no faster in short clips
    zoom, roll = 1.04 * scene.zoom**smooth, scene.roll * smooth
    wobble = np.sin(2 * np.pi * (np.outer(np.arange(count) / 17, (1, 1.3)) + scene.shake_phase))  # (T, 2)
    out = np.zeros((count, 3, 3))
    out[:, 0, 0] = out[:, 1, 1] = zoom * np.cos(roll)
    out[:, 1, 0], out[:, 0, 1] = zoom * np.sin(roll), -zoom * np.sin(roll)
    centre = np.array([(w - 1) / 2, (h - 1) / 2])
    shift = h * (np.outer(smooth, scene.pan) + scene.shake * wobble)
    out[:, :2, 2] = centre + shift - np.einsum("tij,j->ti", out[:, :2, :2], centre)
    out[:, 2, 2] = 1
    return out


def _phase(action: Action, motion: Motion, count: int) -> np.ndarray:
    """Phase u (T,): at least one cycle, more in longer clips; or once from 0 to 1, pausing at the ends."""
    t = np.linspace(0, 1, count)
    if action.cycles:
        return motion.phase + t * max(1.0, action.cycles * motion.tempo * count / 24)
    duration = 1 - 0.5 * (motion.tempo - 1)  # 0.70 .. 0.97 of the clip
    return np.clip((t - motion.phase * (1 - duration)) / duration, 0, 1)


@dataclass(frozen=True)
class GeneratedClip:
    """One clip with its exact flow.

    frames uint8 (T, H, W, 3) RGB; flow float32 (T - 1, 2, H, W), pixels, channel 0 = x, from t to t + 1.
    occluded bool (T - 1, H, W): the point seen at p in frame t leaves the frame or is covered at t + 1.
    mixed bool (T - 1, H, W): the colour at p, or one that bilinear warping reads at p + flow, blends two
    surfaces (silhouettes, thin strings, the soft shadow): the flow is that of the top one, as exact as
    elsewhere, but the warped colours are not comparable.
    """

    frames: np.ndarray
    fps: float
    flow: np.ndarray
    occluded: np.ndarray
    mixed: np.ndarray
    label: int
    action: str
    split: str
    seed: int
    index: int
    look: Look
    scene: Scene
    motion: Motion

    @property
    def valid(self) -> np.ndarray:
        """Where frame t + 1 warped by the flow shows frame t: neither occluded nor mixed, (T - 1, H, W)."""
        return ~(self.occluded | self.mixed)


def clip(
    index: int,
    *,
    action: str | None = None,
    split: str = "train",
    size: tuple[int, int] = (120, 160),
    frames: int = 24,
    seed: int = 0,
) -> GeneratedClip:
    """Clip number `index` of a split, the same bytes each time; action None takes the actions in turn.

    size (H, W): even, at least 48. Any number of frames from 2 shows a whole action: below 16 it is fast.
    One index keeps its actor, scene and tempo whatever the action: `clip(3, action="drink")` and
    `clip(3, action="eat")` differ by the object alone. Raises InputError for unknown names and bad sizes.

    >>> clip(0, frames=4).frames.shape
    (4, 120, 160, 3)
    """
    _check(index, action, split, size, frames, seed)
    name = action or list(ACTIONS)[index % len(ACTIONS)]
    streams = np.random.SeedSequence([seed, SPLITS.index(split), index]).spawn(3)  # no draw moves another
    rngs = map(np.random.default_rng, streams)
    look, scene, motion = (draw(next(rngs), split) for draw in (_look, _scene, _motion))
    h, w = size
    unit = scene.height * min(h, 0.75 * w)
    u = _phase(ACTIONS[name], motion, frames)
    pose = ACTIONS[name].move(u, motion.amplitude)
    sway = motion.sway * np.sin(2 * np.pi * np.arange(frames) / 31 + 6 * motion.phase)
    layers = puppet.actor(pose, look, ACTIONS[name].object, sway, puppet.DENSITY * unit)
    travel = scene.facing * unit * pose.speed * (u - u.mean())  # (T,) pixels
    travel *= min(1.0, 0.56 * w / max(1e-9, np.ptp(travel)))  # a long clip's walker stays in the picture
    root = np.zeros((frames, 3, 3))
    root[:, 0, 0], root[:, 1, 1], root[:, 2, 2] = scene.facing * unit, -unit, 1
    root[:, 0, 2], root[:, 1, 2] = scene.x * w + travel, scene.ground * h
    camera = _camera(scene, size, frames)
    body = [Layer(part.sprite, camera @ root @ part.pose) for part in layers]
    layers = [Layer(_background(scene, size), camera), *body]
    video, *exact = puppet.render(layers, size)  # flow, occluded, mixed
    label = list(ACTIONS).index(name)
    return GeneratedClip(video, FPS, *exact, label, name, split, seed, index, look, scene, motion)


def clips(count: int, *, split: str = "train", start: int = 0, **options) -> Iterator[GeneratedClip]:
    """Clips start .. start + count - 1 one by one, with the options of `clip`; balanced over ACTIONS."""
    if not isinstance(count, int | np.integer) or count < 0:
        raise InputError(f"count={count!r}: expected an integer >= 0")
    return (clip(i, split=split, **options) for i in range(start, start + count))


def _check(index, action, split, size, frames, seed) -> None:
    if action is not None and action not in ACTIONS:
        raise InputError(f"action={action!r} is unknown; choose one of {', '.join(ACTIONS)}")
    if split not in SPLITS:
        raise InputError(f"split={split!r} is unknown; choose one of {', '.join(SPLITS)}")
    for name, value, least in (("index", index, 0), ("frames", frames, 2), ("seed", seed, 0)):
        if not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"{name}={value!r}: expected an integer >= {least}")
    even = isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(n, int | np.integer) for n in size)
    if not even or min(size) < 48 or any(n % 2 for n in size):
        raise InputError(f"size={size!r}: expected (H, W) as even integers >= 48, for example (120, 160)")
