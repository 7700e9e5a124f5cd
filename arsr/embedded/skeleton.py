"""The puppet's two-bone skeleton: joints and frames from what a move prescribes, and the parts hung on them.

Body coordinates: x forward, y up, origin on the ground below the actor, unit = the actor's standing height.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np

from arsr.embedded.formulas import evaluate, load
from arsr.embedded.painting import Sprite, cloth, faint, limb, part
from arsr.embedded.rendering import Layer

TORSO = 0.27  # hip joint to the base of the neck


def frame_at(origin: np.ndarray, angle: float | np.ndarray, scale: float | np.ndarray = 1.0) -> np.ndarray:
    """Frame (T, 3, 3): origin (T, 2), angle of its x axis, radians from x to y, and how long its units are."""
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


def actor(pose: SimpleNamespace, look: SimpleNamespace, prop: str | None, sway: np.ndarray, px: float) -> list[Layer]:
    """An actor with a look and perhaps an object (a name in `drawings.yaml`) in a pose: layers from back to front.

    pose: as of `Action.pose`. sway (T,): slow swing of the trunk in radians, added to it. px: sprite pixels per height.
    """
    weave, girth, thigh = np.random.default_rng(look.weave), look.girth, 0.245 * look.legs  # the shin is as long
    shirt = partial(cloth, pattern=look.shirt, colours=look.shirt_colours, rng=weave)
    trousers = partial(cloth, pattern=look.trousers, colours=look.trouser_colours, rng=weave)
    colours = evaluate(load("drawings")["colours"], vars(look)) | {"shirt": shirt, "trousers": trousers}

    def path(place: tuple) -> np.ndarray:  # pair of scalars or (T,) -> (T, 2)
        return np.stack(np.broadcast_arrays(*place, sway)[:2], -1)

    def painted(*names: str) -> Sprite:
        return part(names, px, colours, {"girth": girth, "r": 0.068 * look.head})

    pelvis = path(pose.pelvis) * (1, look.legs) + np.stack([0.3 * sway, 0 * sway], -1)
    lean = pose.lean + sway
    trunk = frame_at(pelvis, -lean)
    neck = frame_at(at(trunk, 0, TORSO), pose.nod - 0.5 * lean)
    shoe, hand = painted("shoe"), painted("hand")

    def leg(x: float, side: int) -> list[Layer]:
        hip = at(trunk, x * girth, 0)
        knee, ankle = bend(hip, path(pose.feet[side]), thigh, thigh, 1)
        lower = limb(thigh, (0.047 * girth, 0.034 * girth), px, look.skin if look.shorts else trousers)
        upper = limb(thigh, (0.066 * girth, 0.048 * girth), px, trousers)
        foot = frame_at(ankle, pose.toes[side])
        return [Layer(shoe, foot), Layer(lower, bone(knee, ankle)), Layer(upper, bone(hip, knee))]

    def arm(x: float, side: int, sign: int) -> list[Layer]:
        shoulder = at(trunk, x * girth, TORSO - 0.03)
        grip = pose.grip[side]
        goal = shoulder + path(pose.reach[side]) if grip is None else path(grip)
        elbow, wrist = bend(shoulder, goal, 0.165, 0.15, sign)
        upper = limb(0.165, (0.042 * girth, 0.035 * girth), px, shirt, None if look.long_sleeves else look.skin)
        lower = limb(0.15, (0.034 * girth, 0.025 * girth), px, shirt if look.long_sleeves else look.skin)
        fore = bone(elbow, wrist)
        palm = frame_at(wrist, np.arctan2(fore[:, 1, 0], fore[:, 0, 0]) + pose.turn[side])
        return [Layer(upper, bone(shoulder, elbow)), Layer(lower, fore), Layer(hand, palm)]

    legs = leg(0.036, 1) + leg(-0.034, 0)
    body = [
        Layer(painted("torso", "collar"), trunk),
        Layer(painted("head", *load("drawings")["hair"][look.hair]), neck),
    ]
    far, near = arm(0.072, 1, -1), arm(-0.085, 0, pose.near_bend)
    front = pose.far_front or pose.grip[1] is not None
    behind, gripped, held = [Layer(faint(painted("shadow"), px), frame_at(pelvis * (1, 0), 0.0))], [], []
    if prop:
        place = at(near[-1].pose, 0.03, 0) if pose.prop is None else path(pose.prop)
        slot = held if pose.prop is None else behind if pose.prop_behind else gripped
        slot.append(Layer(painted(prop), frame_at(place, pose.prop_angle)))
    return behind + far * (not front) + legs + body + gripped + far * front + near + held
