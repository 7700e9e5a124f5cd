"""The puppet's two-bone skeleton: joints and frames from what a move prescribes, and the parts hung on them.

Body coordinates: x forward, y up, origin on the ground below the actor, unit = the actor's standing height.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np

from arsr.embedded import load
from arsr.embedded.actions import Pose
from arsr.embedded.painting import Colour, cloth, faint, head, limb, part, torso
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
    at_root = np.arccos(np.clip((upper**2 + reach**2 - lower**2) / (2 * upper * reach), -1, 1))
    angle = np.arctan2(d[:, 1], d[:, 0]) + sign * at_root
    middle = root + upper * np.stack([np.cos(angle), np.sin(angle)], -1)
    return middle, root + (reach / np.maximum(dist, 1e-9))[:, None] * d


def palette(look: SimpleNamespace) -> dict[str, Colour]:
    """What the names of colours in `drawings.yaml` mean for an actor with that look, by name."""
    weave, own = np.random.default_rng(look.weave), np.array(look.object_colour)
    tints = {name: share * np.array(look.skin) for name, share in load("drawings")["tints"].items()}
    return {
        **load("drawings")["colours"],
        **tints,
        "shirt": partial(cloth, pattern=look.shirt, colours=look.shirt_colours, rng=weave),
        "trousers": partial(cloth, pattern=look.trousers, colours=look.trouser_colours, rng=weave),
        "hair": look.hair_colour,
        "shoe": look.shoe_colour,
        "own": own,  # the object's
        "dark": 0.6 * own,
        "ink": (28, 26, 30) if own.mean() > 110 else (238, 236, 228),  # contrasts with it
    }


def actor(pose: Pose, look: SimpleNamespace, prop: str | None, sway: np.ndarray, px: float) -> list[Layer]:
    """An actor with a look and perhaps an object (a name in `drawings.yaml`) in a pose: layers from back to front.

    sway (T,): slow swing of the trunk in radians, added to the pose. px: sprite pixels per height.
    """
    colours, girth, thigh = palette(look), look.girth, 0.245 * look.legs  # the shin is as long
    shirt, trousers = colours["shirt"], colours["trousers"]

    def path(place: tuple) -> np.ndarray:  # pair of scalars or (T,) -> (T, 2)
        return np.stack(np.broadcast_arrays(*place, sway)[:2], -1)

    pelvis = path(pose.pelvis) * (1, look.legs) + np.stack([0.3 * sway, 0 * sway], -1)
    lean = pose.lean + sway
    trunk = frame_at(pelvis, -lean)
    neck = frame_at(at(trunk, 0, TORSO), pose.nod - 0.5 * lean)
    shoe, hand = part("shoe", px, colours), part("hand", px, colours)

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
    body = [Layer(torso(px, colours, girth), trunk), Layer(head(px, colours, 0.068 * look.head, look.hair), neck)]
    far, near = arm(0.072, 1, -1), arm(-0.085, 0, pose.near_bend)
    front = pose.seated or pose.grip[1] is not None
    behind, gripped, held = [Layer(faint(part("shadow", px, colours), px), frame_at(pelvis * (1, 0), 0.0))], [], []
    if prop:
        place = at(near[-1].pose, 0.03, 0) if pose.prop is None else path(pose.prop)
        slot = held if pose.prop is None else behind if pose.seated else gripped
        slot.append(Layer(part(prop, px, colours), frame_at(place, pose.tilt)))
    return behind + far * (not front) + legs + body + gripped + far * front + near + held
