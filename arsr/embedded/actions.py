"""The 18 embedded actions: how each moves the puppet, and in `actions.yaml` what sets it apart from its group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from arsr.embedded.skeleton import HANGING, Pose


def _ease(u: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Smooth step from 0 to 1 between two phases."""
    v = np.clip((u - start) / (stop - start), 0, 1)
    return v * v * (3 - 2 * v)


def _there_and_back(u: np.ndarray) -> np.ndarray:
    """From 0 to 1 and back once a cycle."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * u)


# A move maps its phase u (T,) and an amplitude a near 1 to a Pose.


def lift_to_head(u: np.ndarray, a: float) -> Pose:
    """What the near hand holds goes to the head and down again."""
    f = u % 1
    up = _ease(f, 0.0, 0.32) - _ease(f, 0.66, 0.98)
    reach = (0.19 + 0.012 * up, -0.2 + 0.285 * up * a)
    return Pose(reach=(reach, HANGING), prop_angle=0.1 + 0.35 * up * a, nod=-0.1 * up)


def swing(u: np.ndarray, a: float) -> Pose:
    """Both hands draw back and strike."""
    back, hit = _ease(u, 0.0, 0.32), _ease(u, 0.38, 0.8)
    angle = 1.1 + 1.0 * a * back - 2.5 * a * hit
    x, y = 0.12 - 0.15 * back + 0.26 * hit, 0.62 + 0.1 * back - 0.08 * hit
    return Pose(
        feet=((-0.12, 0.04), (0.12 + 0.05 * hit, 0.04)),
        pelvis=(0.05 * hit - 0.02 * back, 0.505),
        lean=0.05 - 0.18 * back + 0.36 * hit,
        grip=((x, y), (x + 0.05 * np.cos(angle), y + 0.05 * np.sin(angle))),
        prop=(x, y),
        prop_angle=angle,
    )


def sweep(u: np.ndarray, a: float) -> Pose:
    """Both hands push and pull a long handle, its end near the ground."""
    stroke = a * np.cos(2 * np.pi * u)
    low = np.stack([0.4 + 0.11 * stroke, 0.015 + 0.03 * _there_and_back(u + 0.25)])
    top = np.stack([0.03 + 0.03 * stroke, 0.84 + 0 * u])
    along = (top - low) / np.hypot(*(top - low))
    return Pose(
        feet=((-0.1, 0.04), (0.11, 0.04)),
        pelvis=(0.0, 0.505),
        lean=0.2 + 0.05 * stroke,
        nod=-0.25,
        grip=(low + 0.78 * along, low + 0.52 * along),
        prop=low,
        prop_angle=np.arctan2(along[1], along[0]),
    )


def wave(u: np.ndarray, a: float) -> Pose:
    """The near hand, raised, goes to and fro."""
    return Pose(reach=((-0.1 + 0.11 * a * np.sin(4 * np.pi * u), 0.22), HANGING), near_bend=1)


def clap(u: np.ndarray, a: float) -> Pose:
    """Both hands meet before the chest."""
    gap, y = 0.015 + 0.13 * a * _there_and_back(2 * u), 0.72
    return Pose(grip=((0.16 - gap, y), (0.16 + gap, y)), turn=(0.9, 0.9))


def jumping_jack(u: np.ndarray, a: float) -> Pose:
    """Arms and legs spread and close."""
    spread, jump = _there_and_back(u), 0.035 * a * np.abs(np.sin(2 * np.pi * u))
    angle, foot, toe = 0.2 + 2.55 * spread, 0.05 + 0.13 * a * spread, -14 * jump
    x, y = 0.3 * np.sin(angle), -0.3 * np.cos(angle)
    return Pose(
        feet=((-foot, 0.04 + jump), (foot, 0.04 + jump)),
        toes=(toe, toe),
        pelvis=(0.0, 0.52 - 0.025 * spread + jump),
        reach=((-x, y), (x, y)),
        near_bend=1,
    )


def _step(u: np.ndarray, stride: float, stance: float, lift: float) -> tuple[tuple, np.ndarray]:
    """Ankle path of one foot over a cycle, and its pitch: on the ground for `stance`, then swung forward."""
    f = u % 1
    air = np.clip((f - stance) / (1 - stance), 0, 1)
    x = stride * np.where(f < stance, 0.5 - f / stance, _ease(air, 0, 1) - 0.5)
    heel = _ease(f, 0.75 * stance, stance) * (1 - _ease(air, 0, 0.5))
    push = _ease(f, 0.6 * stance, stance) * (1 - _ease(air, 0.1, 0.6))
    y = 0.04 + lift * np.sin(np.pi * air) ** 1.5 + 0.03 * heel
    return (x, y), 0.25 * _ease(air, 0.6, 1) * (f > stance) - 0.7 * push


def _gait(u: np.ndarray, a: float, stance: float, lift: float, **pose: object) -> Pose:
    """Steps of both feet, half a cycle apart."""
    (near, near_toe), (far, far_toe) = (_step(phase, 0.36 * a, stance, lift) for phase in (u, u + 0.5))
    return Pose(feet=(near, far), toes=(near_toe, far_toe), **pose)


def walk(u: np.ndarray, a: float) -> Pose:
    """One foot is always on the ground, which it does not leave: speed is stride over stance."""
    arm = -0.5 * a * np.cos(2 * np.pi * u)
    x, y = 0.29 * np.sin(arm), -0.29 * np.cos(arm)
    pelvis = (0.0, 0.5 + 0.012 * np.cos(4 * np.pi * (u - 0.3)))
    return _gait(u, a, 0.6, 0.05, pelvis=pelvis, lean=0.06, reach=((0.02 + x, y), (0.02 - x, y)), speed=0.6 * a)


def run(u: np.ndarray, a: float) -> Pose:
    """Both feet leave the ground; the elbows are bent."""
    arm = 0.9 * a * np.cos(2 * np.pi * (u + 0.45))
    x, y = np.sin(arm), -0.15 - 0.03 * np.cos(arm)
    pelvis = (0.0, 0.49 + 0.025 * np.cos(4 * np.pi * (u - 0.45)))
    reach = (0.06 + 0.2 * x, y + 0.1 * x), (0.06 - 0.2 * x, y - 0.1 * x)
    return _gait(u, a, 0.4, 0.2, pelvis=pelvis, lean=0.24, reach=reach, speed=0.9 * a)


def sit_down(u: np.ndarray, a: float) -> Pose:
    """Onto a chair, hands to the knees."""
    down, hands = _ease(u, 0.08, 0.85), _ease(u, 0.3, 0.9)
    lean = 0.02 + 0.55 * a * np.sin(np.pi * down)
    reach = (0.02 + 0.17 * hands, -0.29 + 0.07 * hands)
    return Pose(
        feet=((0.08, 0.04), (0.13, 0.04)),
        pelvis=(0.05 - 0.19 * down, 0.525 - 0.2 * down),
        lean=lean,
        nod=-0.4 * lean,
        reach=(reach, reach),
        prop=(-0.02, 0.0),
        prop_behind=True,
        far_front=True,
    )


def stand_up(u: np.ndarray, a: float) -> Pose:
    """Sitting down, reversed."""
    return sit_down(1 - u, a)


def dribble(u: np.ndarray, a: float) -> Pose:
    """The near hand bounces a ball."""
    ball = 0.08 + 0.36 * a * (1 - (2 * (u % 1) - 1) ** 2)
    wrist = np.maximum(ball + 0.1, 0.44 - 0.03 * a)
    return Pose(
        feet=((-0.12, 0.04), (0.13, 0.04)),
        pelvis=(0.0, 0.435 + 0.1 * wrist),
        lean=0.18,
        nod=-0.2,
        grip=((0.21, wrist), None),
        turn=(-0.5, 0.0),
        prop=(0.27, ball),
        prop_angle=3 * u,
    )


def kick(u: np.ndarray, a: float) -> Pose:
    """The near foot draws back and hits a ball, which flies away."""
    back, hit, rest = _ease(u, 0.0, 0.34), _ease(u, 0.36, 0.62), _ease(u, 0.74, 1.0)
    x = -0.06 - 0.2 * a * back + (0.24 + 0.36 * a) * hit - 0.2 * rest
    y = 0.04 + 0.16 * a * back * (1 - hit) + 0.2 * a * hit * _ease(u, 0.5, 0.68) * (1 - rest)
    arm, away = 0.2 * (back - 2 * hit + rest), np.clip(u - 0.52, 0, None)
    return Pose(
        feet=((x, y), (0.05, 0.04)),
        toes=(0.5 * hit * (1 - rest) - 0.5 * back * (1 - hit), 0.0),
        pelvis=(0.0, 0.515),
        lean=0.1 * back - 0.32 * hit + 0.2 * rest,
        reach=((0.04 + arm, -0.26), (0.1 - arm, -0.22)),
        prop=(0.26 + 1.9 * a * away, 0.07 + 0.9 * away - 0.7 * away**2),
        prop_angle=-9 * away,
    )


def lift(u: np.ndarray, a: float) -> Pose:
    """Both hands press a bar overhead."""
    up, dip = _there_and_back(u), 0.05 * a * np.sin(2 * np.pi * u) ** 2
    y = 0.76 + 0.3 * up * a - dip
    return Pose(
        feet=((-0.1, 0.04), (0.1, 0.04)),
        pelvis=(0.0, 0.525 - dip),
        grip=((-0.16, y), (0.16, y)),
        turn=(0.6, -0.6),
        near_bend=1,
        prop=(0.0, y + 0.03),
        prop_angle=0.03 * np.sin(4 * np.pi * u),
    )


@dataclass(frozen=True)
class Action:
    """One class; `actions.yaml` says what the fields mean."""

    name: str
    group: str
    differs_by: str
    object: str | None
    description: str
    move: Callable[[np.ndarray, float], Pose] = field(repr=False)
    cycles: float


_ROWS = yaml.safe_load(Path(__file__).with_name("actions.yaml").read_text("utf-8"))
ACTIONS: dict[str, Action] = {
    name: Action(name, **row | {"move": globals()[row["move"]]}) for name, row in _ROWS.items()
}
