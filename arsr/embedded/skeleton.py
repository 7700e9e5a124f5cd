"""The puppet's two-bone skeleton: joints and frames from what a move prescribes, and the parts hung on them.

Body coordinates: x forward, y up, origin on the ground below the actor, unit = the actor's standing height.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np

from arsr.embedded import parts
from arsr.embedded.painting import cloth
from arsr.embedded.rendering import Layer

HANGING = (0.05, -0.29)  # the far wrist of an arm that does nothing, from its shoulder


@dataclass(frozen=True)
class Pose:
    """What a move prescribes: numbers are scalars or (T,), in body coordinates; pairs are (near, far) of the viewer."""

    feet: tuple = ((-0.05, 0.04), (0.06, 0.04))  # ankles
    toes: tuple = (0.0, 0.0)  # pitch of the shoes, radians, toes up
    pelvis: tuple = (0.0, 0.525)
    lean: float = 0.02  # of the trunk, radians, forward
    nod: float = 0.0  # of the head, radians, upward
    reach: tuple = ((0.03, -0.29), HANGING)  # wrists, from the shoulders ...
    grip: tuple = (None, None)  # ... or at a place
    turn: tuple = (0.0, 0.0)  # of the hands about the wrists, radians
    near_bend: int = -1  # -1: the near elbow points back and down
    prop: tuple | None = None  # where the object is; None: in the near palm
    prop_angle: float = 0.0
    prop_behind: bool = False
    far_front: bool = False  # the far arm passes in front of the trunk, as it does to grip something
    speed: float = 0.0  # forward, heights a cycle


def frame_at(origin: np.ndarray, angle: np.ndarray, scale: float | np.ndarray = 1.0) -> np.ndarray:
    """Frame (T, 3, 3): origin (T, 2), angle (T,) of its x axis, radians from x to y, and how long its units are."""
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    out = np.zeros((len(origin), 3, 3))
    out[:, 0, 0], out[:, 0, 1], out[:, 0, 2] = c, -s, origin[:, 0]
    out[:, 1, 0], out[:, 1, 1], out[:, 1, 2] = s, c, origin[:, 1]
    out[:, 2, 2] = 1
    return out


def at(frame: np.ndarray, x: float, y: float) -> np.ndarray:
    """Where a fixed point of a moving frame (T, 3, 3) is, (T, 2)."""
    return (frame @ (x, y, 1.0))[:, :2]


def bone(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Frame (T, 3, 3) at `start` (T, 2) with its x axis towards `end` (T, 2)."""
    d = end - start
    return frame_at(start, np.arctan2(d[:, 1], d[:, 0]))


def bend(root: np.ndarray, target: np.ndarray, upper: float, lower: float, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Two-bone inverse kinematics: middle and end joint (T, 2) of a limb from `root` that reaches for a target.

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
    return middle, root + (reach / np.maximum(dist, 1e-9))[:, None] * d


def actor(pose: Pose, look: SimpleNamespace, prop: str | None, sway: np.ndarray, px: float) -> list[Layer]:
    """An actor with a look and perhaps an object (a name in `drawings.yaml`) in a pose: layers from back to front.

    sway (T,): slow swing of the trunk in radians, added to the pose. px: sprite pixels per height.
    """
    weave = np.random.default_rng(look.weave)
    shirt = partial(cloth, pattern=look.shirt, colours=look.shirt_colours, rng=weave)
    trousers = partial(cloth, pattern=look.trousers, colours=look.trouser_colours, rng=weave)
    girth, thigh = look.girth, 0.245 * look.legs  # the shin is as long

    def track(value: float | np.ndarray) -> np.ndarray:  # scalar or (T,) -> (T,)
        return np.broadcast_to(np.asarray(value, float), sway.shape)

    def path(value: tuple) -> np.ndarray:  # pair of scalars or (T,) -> (T, 2)
        return np.stack([track(v) for v in value], -1)

    pelvis = path(pose.pelvis) * (1, look.legs) + np.stack([0.3 * sway, 0 * sway], -1)
    lean = track(pose.lean) + sway
    trunk = frame_at(pelvis, -lean)
    neck = frame_at(at(trunk, 0, parts.TORSO), track(pose.nod) - 0.5 * lean)
    shod, fist = parts.shoe(look, px), parts.hand(look, px)

    def leg(x: float, side: int) -> list[Layer]:
        hip = at(trunk, x * girth, 0)
        knee, ankle = bend(hip, path(pose.feet[side]), thigh, thigh, 1)
        lower = parts.limb(thigh, (0.047 * girth, 0.034 * girth), px, look.skin if look.shorts else trousers)
        upper = parts.limb(thigh, (0.066 * girth, 0.048 * girth), px, trousers)
        foot = frame_at(ankle, track(pose.toes[side]))
        return [Layer(shod, foot), Layer(lower, bone(knee, ankle)), Layer(upper, bone(hip, knee))]

    def arm(x: float, side: int, sign: int) -> list[Layer]:
        shoulder = at(trunk, x * girth, parts.TORSO - 0.03)
        grip = pose.grip[side]
        goal = shoulder + path(pose.reach[side]) if grip is None else path(grip)
        elbow, wrist = bend(shoulder, goal, 0.165, 0.15, sign)
        covered = 1.0 if look.long_sleeves else 0.7
        upper = parts.limb(0.165, (0.042 * girth, 0.035 * girth), px, shirt, covered, look.skin)
        lower = parts.limb(0.15, (0.034 * girth, 0.025 * girth), px, shirt if look.long_sleeves else look.skin)
        fore = bone(elbow, wrist)
        palm = frame_at(wrist, np.arctan2(fore[:, 1, 0], fore[:, 0, 0]) + track(pose.turn[side]))
        return [Layer(upper, bone(shoulder, elbow)), Layer(lower, fore), Layer(fist, palm)]

    legs = leg(0.036, 1) + leg(-0.034, 0)
    body = [Layer(parts.torso(look, px, shirt, trousers), trunk), Layer(parts.head(look, px), neck)]
    far, near = arm(0.072, 1, -1), arm(-0.085, 0, pose.near_bend)
    front = pose.far_front or pose.grip[1] is not None
    behind, gripped, held = [Layer(parts.shadow(px), frame_at(pelvis * (1, 0), 0 * sway))], [], []
    if prop:
        place = at(near[-1].pose, 0.03, 0) if pose.prop is None else path(pose.prop)
        slot = held if pose.prop is None else behind if pose.prop_behind else gripped
        slot.append(Layer(parts.prop(prop, px, look.object_colour), frame_at(place, track(pose.prop_angle))))
    return behind + far * (not front) + legs + body + gripped + far * front + near + held
