"""Embedded clips: a synthetic action data set with exact optical flow, made on the spot from a seed.

Articulated actors perform 18 actions before photographs. Some classes differ from their group only by a fine
detail (the object in the hand, which 4x down-sampling destroys), some only by motion, some by both. Actor,
scene and manner of moving are drawn independently of the class, with disjoint values in train and test.
"""

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace

import cv2
import numpy as np

from arsr.embedded import load
from arsr.embedded.actions import ACTIONS, Action
from arsr.embedded.painting import CLOTHS, DENSITY, Sprite, photo
from arsr.embedded.rendering import Layer, exact, render
from arsr.embedded.skeleton import actor, frame_at
from arsr_core.errors import InputError

FPS = 25.0
SPLITS = ("train", "test")

# What is drawn from the seed, out of `scenes.yaml`. The order of the draws is part of the data set.


def _own(rng: np.random.Generator, split: str, *names: str) -> dict[str, float]:
    """A value of each of these intervals: train draws from the even cells, test from the odd."""
    drawn = {}
    for name in names:
        low, high, cells = load("scenes")["intervals"][name]
        k = 2 * int(rng.integers(cells // 2)) + SPLITS.index(split)
        drawn[name] = low + (high - low) * (k + rng.uniform(0.1, 0.9)) / cells  # a margin keeps the splits apart
    return drawn


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, ...]:
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _look(rng: np.random.Generator, split: str) -> SimpleNamespace:
    """The actor: proportions relative to the average, clothes, skin and hair; colours are RGB in 0..255."""
    hues, uniform = _own(rng, split, "skin_tone", "shirt_hue", "trouser_hue"), rng.uniform
    tone, top, bottom = hues.values()
    light, dark = uniform(0.55, 0.95), uniform(0.25, 0.6)
    return SimpleNamespace(
        **hues,
        **_own(rng, split, "head", "girth", "legs"),
        skin=tuple(int(np.interp(3 * tone, range(4), channel)) for channel in load("scenes")["skins"]),
        hair=str(rng.choice(["short", "long", "bun", "cap", "bald"], p=[0.35, 0.25, 0.15, 0.15, 0.1])),
        hair_colour=_rgb(uniform(0.03, 0.12), uniform(0.2, 0.75), uniform(0.08, 0.6)),
        shirt=str(rng.choice((*CLOTHS, *load("scenes")["prints"][split]))),  # a pattern or a photograph
        shirt_colours=(_rgb(top, uniform(0.35, 0.85), light), _rgb(top + 0.5, uniform(0.1, 0.5), (light + 0.5) % 1)),
        long_sleeves=rng.random() < 0.5,
        trousers=str(rng.choice(["plain", "plain", "stripes", "checks"])),
        trouser_colours=(_rgb(bottom, uniform(0.2, 0.7), dark), _rgb(bottom, uniform(0.1, 0.5), dark + 0.25)),
        shorts=rng.random() < 0.3,
        shoe_colour=_rgb(rng.random(), uniform(0, 0.8), uniform(0.15, 0.6)),
        object_colour=_rgb(rng.random(), uniform(0.2, 0.8), uniform(0.45, 0.95)),
        weave=int(rng.integers(2**31)),  # seed of the texture of the cloth
    )


def _scene(rng: np.random.Generator, split: str) -> SimpleNamespace:
    """Background, placement of the actor and camera; lengths in frame heights, angles in radians."""
    ground, uniform = rng.uniform(0.925, 0.965), rng.uniform
    moving = rng.random() < 0.6  # the other clips come from a tripod
    return SimpleNamespace(
        ground=ground,
        wall=str(rng.choice(list(load("scenes")["walls"][split]))),
        floor=str(rng.choice(load("scenes")["floors"][split])),
        corner=(rng.random(), rng.random()),  # which part of the wall's photograph, 0..1
        extent=uniform(0.55, 0.95),  # share of the photograph that is seen
        mirrored=rng.random() < 0.5,
        light=uniform(0.7, 1.1),
        tint=tuple(uniform(0.85, 1.08, 3).tolist()),
        horizon=ground - uniform(0.07, 0.16),
        height=uniform(0.68, 0.78),  # of the actor
        x=uniform(0.42, 0.58),  # of the actor, in frame widths
        facing=int(rng.choice([-1, 1])),
        pan=(moving * uniform(-1, 1) * 0.22, moving * uniform(-1, 1) * 0.05),  # over 24 frames, as zoom and roll
        zoom=1 + moving * uniform(-0.09, 0.09),  # end over start
        roll=moving * uniform(-0.05, 0.05),
        shake=moving * uniform(0, 0.012),
        shake_phase=(rng.random(), rng.random()),
    )


def _motion(rng: np.random.Generator, split: str) -> SimpleNamespace:
    """Manner of moving: cycles in 24 frames, phase at the start, size of the gestures, sway of the trunk."""
    return SimpleNamespace(**_own(rng, split, "tempo", "phase", "amplitude"), sway=rng.uniform(-0.012, 0.012))


def _background(scene: SimpleNamespace, size: tuple[int, int]) -> Sprite:
    """A wall with a photograph on it and a floor in perspective; wider than the frame, mirrored beyond."""
    margin = 0.12
    h, w = (round(DENSITY * n * (1 + 2 * margin)) for n in size)
    wall = photo(scene.wall)
    x0, y0, x1, y1 = next(used[scene.wall] for used in load("scenes")["walls"].values() if scene.wall in used)
    ph, pw = wall.shape[:2]
    wall = wall[round(y0 * ph) : round(y1 * ph), round(x0 * pw) : round(x1 * pw)]
    ph, pw = wall.shape[:2]
    cw = scene.extent * min(pw, ph * w / h)
    ch = cw * h / w
    x, y = scene.corner[0] * (pw - cw), scene.corner[1] * (ph - ch)
    crop = wall[int(y) : int(y + ch), int(x) : int(x + cw)]
    image = cv2.resize(crop, (w, h), interpolation=cv2.INTER_AREA if cw > w else cv2.INTER_CUBIC)
    top = round(DENSITY * size[0] * (scene.horizon + margin))
    texture = photo(scene.floor)
    n = texture.shape[0]
    away = 0.35 * w  # the near edge shows less of the texture than the far edge
    corners = [(0, 0), (n, 0), (n, n), (0, n)], [(0, top), (w, top), (w + away, h), (-away, h)]
    to_floor = cv2.getPerspectiveTransform(*map(np.float32, corners))
    floor = cv2.warpPerspective(texture, to_floor, (w, h), flags=cv2.INTER_LINEAR)
    floor = cv2.GaussianBlur(floor, (0, 0), 1.2)  # steep minification: keep it from aliasing
    image[top:] = (0.85 * floor[top:] + 20).astype(np.uint8)
    soft = cv2.GaussianBlur(image, (0, 0), 1.5)  # slightly out of focus, as behind an actor
    image = np.clip(soft * (scene.light * np.array(scene.tint)), 0, 255).astype(np.uint8)
    k = 1 / DENSITY
    to_units = np.array([[k, 0, -margin * size[1]], [0, k, -margin * size[0]], [0, 0, 1]])
    return Sprite(np.ascontiguousarray(image[:, ::-1] if scene.mirrored else image), to_units)


def _camera(scene: SimpleNamespace, size: tuple[int, int], count: int) -> np.ndarray:
    """Scene -> frame, (T, 3, 3): zoom and roll about the frame's centre, pan, and a smooth shake."""
    t = np.linspace(-0.5, 0.5, count)
    smooth = min(1.0, count / 24) * t * (1.5 - 2 * t**2)  # eases in and out; no faster in short clips
    zoom, roll = 1.04 * scene.zoom**smooth, scene.roll * smooth
    wobble = np.sin(2 * np.pi * (np.outer(np.arange(count) / 17, (1, 1.3)) + scene.shake_phase))  # (T, 2)
    centre = (np.array(size[::-1]) - 1) / 2
    shift = size[0] * (np.outer(smooth, scene.pan) + scene.shake * wobble)
    camera = frame_at(centre + shift, roll, zoom)
    camera[:, :2, 2] -= np.einsum("tij,j->ti", camera[:, :2, :2], centre)
    return camera


def _phase(action: Action, motion: SimpleNamespace, count: int) -> np.ndarray:
    """Phase u (T,): at least one cycle, more in longer clips; or once from 0 to 1, pausing at the ends."""
    t = np.linspace(0, 1, count)
    if action.cycles:
        return motion.phase + t * max(1.0, action.cycles * motion.tempo * count / 24)
    duration = 1 - 0.5 * (motion.tempo - 1)  # 0.70 .. 0.97 of the clip
    return np.clip((t - motion.phase * (1 - duration)) / duration, 0, 1)


@dataclass(frozen=True)
class GeneratedClip:
    """One clip with its exact flow, each drawn when it is first asked for.

    frames uint8 (T, H, W, 3) RGB; flow float32 (T - 1, 2, H, W), pixels, channel 0 = x, from t to t + 1.
    occluded bool (T - 1, H, W): the point seen at p in frame t leaves the frame or is covered at t + 1.
    mixed bool (T - 1, H, W): the colour at p, or one that bilinear warping reads at p + flow, blends two
    surfaces (silhouettes, thin strings, the soft shadow): the flow is that of the top one, as exact as
    elsewhere, but the warped colours are not comparable.
    """

    layers: Sequence[Layer] = field(repr=False)
    size: tuple[int, int]
    fps: float
    label: int
    action: str
    split: str
    seed: int
    index: int
    look: SimpleNamespace  # what was drawn for the actor, the scene, the manner of moving
    scene: SimpleNamespace
    motion: SimpleNamespace

    def read(self, numbers: Sequence[int] | None = None) -> np.ndarray:
        """The frames of these numbers, uint8 (K, H, W, 3), None: all; only they are drawn, and they are not kept."""
        if wrong := [number for number in numbers or () if number not in self._every]:
            raise InputError(f"the clip has frames 0 to {self._every[-1]}, got {wrong[0]}")
        chosen = self._every if numbers is None else numbers
        drawn = (frame for frame, _ in render(self.layers, self.size, chosen))
        return np.fromiter(drawn, np.dtype((np.uint8, (*self.size, 3))))

    @property
    def _every(self) -> range:
        return range(len(self.layers[0].pose))

    @cached_property
    def _drawn(self) -> tuple[np.ndarray, tuple]:
        frames, covers = zip(*render(self.layers, self.size, self._every), strict=True)
        return np.stack(frames), covers

    @cached_property
    def _exact(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return exact(self.layers, self._drawn[1], self.size)

    frames = property(lambda self: self._drawn[0])
    flow, occluded, mixed = (property(lambda self, i=i: self._exact[i]) for i in range(3))

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
    layers = actor(pose, look, ACTIONS[name].object, sway, DENSITY * unit)
    travel = scene.facing * unit * pose.speed * (u - u.mean())  # (T,) pixels
    travel *= min(1.0, 0.56 * w / max(1e-9, np.ptp(travel)))  # a long clip's walker stays in the picture
    root = np.zeros((frames, 3, 3))
    root[:, 0, 0], root[:, 1, 1], root[:, 2, 2] = scene.facing * unit, -unit, 1
    root[:, 0, 2], root[:, 1, 2] = scene.x * w + travel, scene.ground * h
    camera = _camera(scene, size, frames)
    body = [Layer(part.sprite, camera @ root @ part.pose) for part in layers]
    layers = [Layer(_background(scene, size), camera), *body]
    label = list(ACTIONS).index(name)
    return GeneratedClip(layers, size, FPS, label, name, split, seed, index, look, scene, motion)


def clips(count: int, *, split: str = "train", start: int = 0, **options: object) -> Iterator[GeneratedClip]:
    """Clips start .. start + count - 1 one by one, with the options of `clip`; balanced over ACTIONS."""
    if not isinstance(count, int | np.integer) or count < 0:
        raise InputError(f"count={count!r}: expected an integer >= 0")
    return (clip(i, split=split, **options) for i in range(start, start + count))


def _check(index: int, action: str | None, split: str, size: tuple[int, int], frames: int, seed: int) -> None:
    for name, value, known in (("action", action, (None, *ACTIONS)), ("split", split, SPLITS)):
        if value not in known:
            raise InputError(f"{name}={value!r} is unknown; choose one of {', '.join(filter(None, known))}")
    for name, value, least in (("index", index, 0), ("frames", frames, 2), ("seed", seed, 0)):
        if not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"{name}={value!r}: expected an integer >= {least}")
    if frames > 100_000:
        raise InputError(f"frames={frames}: expected 100,000 at most; make several clips")
    pair = isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(n, int | np.integer) for n in size)
    if not pair or min(size) < 48 or max(size) > 4096 or any(n % 2 for n in size):
        raise InputError(f"size={size!r}: expected (H, W) as even integers from 48 to 4096, for example (120, 160)")
