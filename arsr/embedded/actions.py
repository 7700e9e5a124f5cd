"""The 18 embedded actions: how each moves the puppet, and in `actions.yaml` what sets it apart from its group."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy import cos, pi, sin

from arsr.embedded import load

HANGING = (0.05, -0.29)  # the far wrist of an arm that does nothing, from its shoulder


@dataclass(frozen=True)
class Pose:
    """What a move prescribes, in body coordinates: scalars or (T,); pairs are (near, far) of the viewer; radians."""

    feet: tuple = ((-0.05, 0.04), (0.06, 0.04))  # ankles
    toes: tuple = (0.0, 0.0)  # pitch of the shoes, toes up
    pelvis: tuple = (0.0, 0.525)
    lean: float = 0.02  # of the trunk, forward
    nod: float = 0.0  # of the head, upward
    reach: tuple = ((0.03, -0.29), HANGING)  # wrists, from the shoulders ...
    grip: tuple = (None, None)  # ... or at a place
    turn: tuple = (0.0, 0.0)  # of the hands about the wrists
    near_bend: int = -1  # -1: the near elbow points back and down
    prop: tuple | None = None  # where the object is; None: in the near palm
    tilt: float = 0.0  # of the object
    seated: bool = False  # the object is behind, the far arm before the trunk, as it is to grip something
    speed: float = 0.0  # forward, heights a cycle


def _ease(u: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Smooth step from 0 to 1 between two phases."""
    v = np.clip((u - start) / (stop - start), 0, 1)
    return v * v * (3 - 2 * v)


def _there_and_back(u: np.ndarray) -> np.ndarray:
    """From 0 to 1 and back once a cycle."""
    return 0.5 - 0.5 * cos(2 * pi * u)


# A move maps its phase u (T,) and an amplitude a near 1 to a Pose. The order of the operations is part of the data set.


def lift_to_head(u: np.ndarray, a: float) -> Pose:
    """What the near hand holds goes to the head and down again."""
    up = _ease(u % 1, 0.0, 0.32) - _ease(u % 1, 0.66, 0.98)
    near = (0.19 + 0.012 * up, -0.2 + 0.285 * up * a)
    return Pose(reach=(near, HANGING), tilt=0.1 + 0.35 * up * a, nod=-0.1 * up)


def swing(u: np.ndarray, a: float) -> Pose:
    """Both hands draw back and strike."""
    back, hit = _ease(u, 0.0, 0.32), _ease(u, 0.38, 0.8)
    feet = ((-0.12, 0.04), (0.12 + 0.05 * hit, 0.04))
    pelvis, lean = (0.05 * hit - 0.02 * back, 0.505), 0.05 - 0.18 * back + 0.36 * hit
    angle = 1.1 + 1.0 * a * back - 2.5 * a * hit
    x, y = 0.12 - 0.15 * back + 0.26 * hit, 0.62 + 0.1 * back - 0.08 * hit
    grip = ((x, y), (x + 0.05 * cos(angle), y + 0.05 * sin(angle)))
    return Pose(feet=feet, pelvis=pelvis, lean=lean, grip=grip, prop=(x, y), tilt=angle)


def sweep(u: np.ndarray, a: float) -> Pose:
    """Both hands push and pull a long handle, its end near the ground."""
    stroke = a * cos(2 * pi * u)
    low = np.stack([0.4 + 0.11 * stroke, 0.015 + 0.03 * _there_and_back(u + 0.25)])
    top = np.stack([0.03 + 0.03 * stroke, 0.84 + 0 * u])
    along = (top - low) / np.hypot(*(top - low))
    grip, angle = (low + 0.78 * along, low + 0.52 * along), np.arctan2(along[1], along[0])
    feet, lean = ((-0.1, 0.04), (0.11, 0.04)), 0.2 + 0.05 * stroke
    return Pose(feet=feet, pelvis=(0.0, 0.505), lean=lean, nod=-0.25, grip=grip, prop=low, tilt=angle)


def wave(u: np.ndarray, a: float) -> Pose:
    """The near hand, raised, goes to and fro."""
    return Pose(reach=((-0.1 + 0.11 * a * sin(4 * pi * u), 0.22), HANGING), near_bend=1)


def clap(u: np.ndarray, a: float) -> Pose:
    """Both hands meet before the chest."""
    gap = 0.015 + 0.13 * a * _there_and_back(2 * u)
    return Pose(grip=((0.16 - gap, 0.72), (0.16 + gap, 0.72)), turn=(0.9, 0.9))


def jumping_jack(u: np.ndarray, a: float) -> Pose:
    """Arms and legs spread and close."""
    spread, jump = _there_and_back(u), 0.035 * a * np.abs(sin(2 * pi * u))
    foot, toes = 0.05 + 0.13 * a * spread, -14 * jump
    feet = ((-foot, 0.04 + jump), (foot, 0.04 + jump))
    pelvis, angle = (0.0, 0.52 - 0.025 * spread + jump), 0.2 + 2.55 * spread
    x, y = 0.3 * sin(angle), -0.3 * cos(angle)
    return Pose(feet=feet, toes=(toes, toes), pelvis=pelvis, reach=((-x, y), (x, y)), near_bend=1)


def _gait(u: np.ndarray, stride: float, stance: float, lift: float) -> dict[str, tuple]:
    """Ankles and shoes over a cycle, the feet half a cycle apart: on the ground for `stance`, then swung forward."""
    f = np.stack([u, u + 0.5]) % 1
    air = np.clip((f - stance) / (1 - stance), 0, 1)
    x = stride * np.where(f < stance, 0.5 - f / stance, _ease(air, 0, 1) - 0.5)
    heel = _ease(f, 0.75 * stance, stance) * (1 - _ease(air, 0, 0.5))
    push = _ease(f, 0.6 * stance, stance) * (1 - _ease(air, 0.1, 0.6))
    y = 0.04 + lift * sin(pi * air) ** 1.5 + 0.03 * heel
    toes = 0.25 * _ease(air, 0.6, 1) * (f > stance) - 0.7 * push
    return {"feet": tuple(zip(x, y, strict=True)), "toes": tuple(toes)}


def walk(u: np.ndarray, a: float) -> Pose:
    """One foot is always on the ground, which it does not leave: speed is stride over stance."""
    pelvis, arm = (0.0, 0.5 + 0.012 * cos(4 * pi * (u - 0.3))), -0.5 * a * cos(2 * pi * u)
    x, y = 0.29 * sin(arm), -0.29 * cos(arm)
    reach = ((0.02 + x, y), (0.02 - x, y))
    return Pose(**_gait(u, 0.36 * a, 0.6, 0.05), pelvis=pelvis, lean=0.06, reach=reach, speed=0.6 * a)


def run(u: np.ndarray, a: float) -> Pose:
    """Both feet leave the ground; the elbows are bent."""
    pelvis, arm = (0.0, 0.49 + 0.025 * cos(4 * pi * (u - 0.45))), 0.9 * a * cos(2 * pi * (u + 0.45))
    x, y = sin(arm), -0.15 - 0.03 * cos(arm)
    reach = ((0.06 + 0.2 * x, y + 0.1 * x), (0.06 - 0.2 * x, y - 0.1 * x))
    return Pose(**_gait(u, 0.36 * a, 0.4, 0.2), pelvis=pelvis, lean=0.24, reach=reach, speed=0.9 * a)


def sit_down(u: np.ndarray, a: float) -> Pose:
    """Onto a chair, hands to the knees."""
    down, hands = _ease(u, 0.08, 0.85), _ease(u, 0.3, 0.9)
    pelvis, lean = (0.05 - 0.19 * down, 0.525 - 0.2 * down), 0.02 + 0.55 * a * sin(pi * down)
    feet, hand = ((0.08, 0.04), (0.13, 0.04)), (0.02 + 0.17 * hands, -0.29 + 0.07 * hands)
    return Pose(feet=feet, pelvis=pelvis, lean=lean, nod=-0.4 * lean, reach=(hand, hand), prop=(-0.02, 0), seated=True)


def stand_up(u: np.ndarray, a: float) -> Pose:
    """Sitting down, reversed."""
    return sit_down(1 - u, a)


def dribble(u: np.ndarray, a: float) -> Pose:
    """The near hand bounces a ball."""
    ball = 0.08 + 0.36 * a * (1 - (2 * (u % 1) - 1) ** 2)
    wrist = np.maximum(ball + 0.1, 0.44 - 0.03 * a)
    feet, pelvis = ((-0.12, 0.04), (0.13, 0.04)), (0.0, 0.435 + 0.1 * wrist)
    grip, prop = ((0.21, wrist), None), (0.27, ball)
    return Pose(feet=feet, pelvis=pelvis, lean=0.18, nod=-0.2, grip=grip, turn=(-0.5, 0.0), prop=prop, tilt=3 * u)


def kick(u: np.ndarray, a: float) -> Pose:
    """The near foot draws back and hits a ball, which flies away."""
    back, hit, rest = _ease(u, 0.0, 0.34), _ease(u, 0.36, 0.62), _ease(u, 0.74, 1.0)
    x = -0.06 - 0.2 * a * back + (0.24 + 0.36 * a) * hit - 0.2 * rest
    y = 0.04 + 0.16 * a * back * (1 - hit) + 0.2 * a * hit * _ease(u, 0.5, 0.68) * (1 - rest)
    toes = (0.5 * hit * (1 - rest) - 0.5 * back * (1 - hit), 0.0)
    lean, arm = 0.1 * back - 0.32 * hit + 0.2 * rest, 0.2 * (back - 2 * hit + rest)
    feet, reach = ((x, y), (0.05, 0.04)), ((0.04 + arm, -0.26), (0.1 - arm, -0.22))
    away = np.maximum(u - 0.52, 0)
    ball = (0.26 + 1.9 * a * away, 0.07 + 0.9 * away - 0.7 * away**2)
    return Pose(feet=feet, toes=toes, pelvis=(0.0, 0.515), lean=lean, reach=reach, prop=ball, tilt=-9 * away)


def lift(u: np.ndarray, a: float) -> Pose:
    """Both hands press a bar overhead."""
    up, dip = _there_and_back(u), 0.05 * a * sin(2 * pi * u) ** 2
    feet, pelvis = ((-0.1, 0.04), (0.1, 0.04)), (0.0, 0.525 - dip)
    y = 0.76 + 0.3 * up * a - dip
    grip, bar, tilt = ((-0.16, y), (0.16, y)), (0.0, y + 0.03), 0.03 * sin(4 * pi * u)
    return Pose(feet=feet, pelvis=pelvis, grip=grip, turn=(0.6, -0.6), near_bend=1, prop=bar, tilt=tilt)


@dataclass(frozen=True)
class Action:
    """One class; `actions.yaml` says what the fields mean."""

    name: str
    group: str
    differs_by: str
    object: str | None
    cycles: float
    move: Callable[[np.ndarray, float], Pose] = field(repr=False)


ACTIONS = {name: Action(name, **row | {"move": globals()[row["move"]]}) for name, row in load("actions").items()}
