"""The 18 embedded actions: how each moves the puppet, and what sets it apart from the rest of its group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from arsr.embedded.puppet import Pose


def _ease(u, start, stop):
    """Smooth step from 0 to 1 between two phases."""
    v = np.clip((u - start) / (stop - start), 0, 1)
    return v * v * (3 - 2 * v)


def _there_and_back(u):
    """From 0 to 1 and back once a cycle."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * u)


# A move maps its phase u (T,) and an amplitude a near 1 to a Pose.


def lift_to_head(u, a) -> Pose:
    f = u % 1
    up = _ease(f, 0.0, 0.32) - _ease(f, 0.66, 0.98)
    reach = (0.19 + 0.012 * up, -0.2 + 0.285 * up * a)
    return Pose(near_reach=reach, prop_angle=0.1 + 0.35 * up * a, nod=-0.1 * up)


def swing(u, a) -> Pose:
    back, hit = _ease(u, 0.0, 0.32), _ease(u, 0.38, 0.8)
    angle = 1.1 + 1.0 * a * back - 2.5 * a * hit
    x, y = 0.12 - 0.15 * back + 0.26 * hit, 0.62 + 0.1 * back - 0.08 * hit
    return Pose(
        near_foot=(-0.12, 0.04),
        far_foot=(0.12 + 0.05 * hit, 0.04),
        pelvis=(0.05 * hit - 0.02 * back, 0.505),
        lean=0.05 - 0.18 * back + 0.36 * hit,
        near_grip=(x, y),
        far_grip=(x + 0.05 * np.cos(angle), y + 0.05 * np.sin(angle)),
        prop=(x, y),
        prop_angle=angle,
    )


def sweep(u, a) -> Pose:
    stroke = a * np.cos(2 * np.pi * u)
    low = np.stack([0.4 + 0.11 * stroke, 0.015 + 0.03 * _there_and_back(u + 0.25)])
    top = np.stack([0.03 + 0.03 * stroke, 0.84 + 0 * u])
    along = (top - low) / np.hypot(*(top - low))
    return Pose(
        near_foot=(-0.1, 0.04),
        far_foot=(0.11, 0.04),
        pelvis=(0.0, 0.505),
        lean=0.2 + 0.05 * stroke,
        nod=-0.25,
        near_grip=low + 0.78 * along,
        far_grip=low + 0.52 * along,
        prop=low,
        prop_angle=np.arctan2(along[1], along[0]),
    )


def wave(u, a) -> Pose:
    return Pose(near_reach=(-0.1 + 0.11 * a * np.sin(4 * np.pi * u), 0.22), near_bend=1)


def clap(u, a) -> Pose:
    gap, y = 0.015 + 0.13 * a * _there_and_back(2 * u), 0.72
    return Pose(near_grip=(0.16 - gap, y), far_grip=(0.16 + gap, y), near_turn=0.9, far_turn=0.9)


def jumping_jack(u, a) -> Pose:
    spread, jump = _there_and_back(u), 0.035 * a * np.abs(np.sin(2 * np.pi * u))
    angle, foot, toe = 0.2 + 2.55 * spread, 0.05 + 0.13 * a * spread, -14 * jump
    x, y = 0.3 * np.sin(angle), -0.3 * np.cos(angle)
    return Pose(
        near_foot=(-foot, 0.04 + jump),
        far_foot=(foot, 0.04 + jump),
        near_toe=toe,
        far_toe=toe,
        pelvis=(0.0, 0.52 - 0.025 * spread + jump),
        near_reach=(-x, y),
        far_reach=(x, y),
        near_bend=1,
    )


def _step(u, stride, stance, lift):
    """Ankle path of one foot over a cycle, and its pitch: on the ground for `stance`, then swung forward."""
    f = u % 1
    air = np.clip((f - stance) / (1 - stance), 0, 1)
    x = stride * np.where(f < stance, 0.5 - f / stance, _ease(air, 0, 1) - 0.5)
    heel = _ease(f, 0.75 * stance, stance) * (1 - _ease(air, 0, 0.5))
    push = _ease(f, 0.6 * stance, stance) * (1 - _ease(air, 0.1, 0.6))
    y = 0.04 + lift * np.sin(np.pi * air) ** 1.5 + 0.03 * heel
    return (x, y), 0.25 * _ease(air, 0.6, 1) * (f > stance) - 0.7 * push


def walk(u, a) -> Pose:
    near_foot, near_toe = _step(u, 0.36 * a, 0.6, 0.05)
    far_foot, far_toe = _step(u + 0.5, 0.36 * a, 0.6, 0.05)
    arm = -0.5 * a * np.cos(2 * np.pi * u)
    x, y = 0.29 * np.sin(arm), -0.29 * np.cos(arm)
    return Pose(
        near_foot=near_foot,
        far_foot=far_foot,
        near_toe=near_toe,
        far_toe=far_toe,
        pelvis=(0.0, 0.5 + 0.012 * np.cos(4 * np.pi * (u - 0.3))),
        lean=0.06,
        near_reach=(0.02 + x, y),
        far_reach=(0.02 - x, y),
        speed=0.6 * a,  # stride / stance: the standing foot keeps its place
    )


def run(u, a) -> Pose:
    near_foot, near_toe = _step(u, 0.36 * a, 0.4, 0.2)
    far_foot, far_toe = _step(u + 0.5, 0.36 * a, 0.4, 0.2)
    arm = 0.9 * a * np.cos(2 * np.pi * (u + 0.45))
    x, y = np.sin(arm), -0.15 - 0.03 * np.cos(arm)
    return Pose(
        near_foot=near_foot,
        far_foot=far_foot,
        near_toe=near_toe,
        far_toe=far_toe,
        pelvis=(0.0, 0.49 + 0.025 * np.cos(4 * np.pi * (u - 0.45))),
        lean=0.24,
        near_reach=(0.06 + 0.2 * x, y + 0.1 * x),
        far_reach=(0.06 - 0.2 * x, y - 0.1 * x),
        speed=0.9 * a,
    )


def sit_down(u, a) -> Pose:
    down, hands = _ease(u, 0.08, 0.85), _ease(u, 0.3, 0.9)
    lean = 0.02 + 0.55 * a * np.sin(np.pi * down)
    reach = (0.02 + 0.17 * hands, -0.29 + 0.07 * hands)
    return Pose(
        near_foot=(0.08, 0.04),
        far_foot=(0.13, 0.04),
        pelvis=(0.05 - 0.19 * down, 0.525 - 0.2 * down),
        lean=lean,
        nod=-0.4 * lean,
        near_reach=reach,
        far_reach=reach,
        prop=(-0.02, 0.0),
        prop_behind=True,
        far_front=True,
    )


def stand_up(u, a) -> Pose:
    return sit_down(1 - u, a)


def dribble(u, a) -> Pose:
    ball = 0.08 + 0.36 * a * (1 - (2 * (u % 1) - 1) ** 2)
    wrist = np.maximum(ball + 0.1, 0.44 - 0.03 * a)
    return Pose(
        near_foot=(-0.12, 0.04),
        far_foot=(0.13, 0.04),
        pelvis=(0.0, 0.435 + 0.1 * wrist),
        lean=0.18,
        nod=-0.2,
        near_grip=(0.21, wrist),
        near_turn=-0.5,
        prop=(0.27, ball),
        prop_angle=3 * u,
    )


def kick(u, a) -> Pose:
    back, hit, rest = _ease(u, 0.0, 0.34), _ease(u, 0.36, 0.62), _ease(u, 0.74, 1.0)
    x = -0.06 - 0.2 * a * back + (0.24 + 0.36 * a) * hit - 0.2 * rest
    y = 0.04 + 0.16 * a * back * (1 - hit) + 0.2 * a * hit * _ease(u, 0.5, 0.68) * (1 - rest)
    arm, away = 0.2 * (back - 2 * hit + rest), np.clip(u - 0.52, 0, None)
    return Pose(
        near_foot=(x, y),
        far_foot=(0.05, 0.04),
        near_toe=0.5 * hit * (1 - rest) - 0.5 * back * (1 - hit),
        pelvis=(0.0, 0.515),
        lean=0.1 * back - 0.32 * hit + 0.2 * rest,
        near_reach=(0.04 + arm, -0.26),
        far_reach=(0.1 - arm, -0.22),
        prop=(0.26 + 1.9 * a * away, 0.07 + 0.9 * away - 0.7 * away**2),
        prop_angle=-9 * away,
    )


def lift(u, a) -> Pose:
    up, dip = _there_and_back(u), 0.05 * a * np.sin(2 * np.pi * u) ** 2
    y = 0.76 + 0.3 * up * a - dip
    return Pose(
        near_foot=(-0.1, 0.04),
        far_foot=(0.1, 0.04),
        pelvis=(0.0, 0.525 - dip),
        near_grip=(-0.16, y),
        far_grip=(0.16, y),
        near_turn=0.6,
        far_turn=-0.6,
        near_bend=1,
        prop=(0.0, y + 0.03),
        prop_angle=0.03 * np.sin(4 * np.pi * u),
    )


@dataclass(frozen=True)
class Action:
    """One class: how it looks, how it moves, and what sets it apart from the rest of its group."""

    name: str
    group: str
    differs_by: str  # from its group siblings: "detail" (object only), "motion" (motion only) or "both"
    object: str | None  # a key of puppet.OBJECTS
    description: str
    move: Callable[..., Pose] = field(repr=False)
    cycles: float  # cycles at unit tempo in 24 frames; 0: done once, from beginning to end


ACTIONS: dict[str, Action] = {
    a.name: a
    for a in (
        Action("drink", "to_head", "detail", "cup", "Raises a banded cup to the mouth.", lift_to_head, 1),
        Action("phone", "to_head", "detail", "telephone", "Raises a telephone with keys to the face.", lift_to_head, 1),
        Action("eat", "to_head", "detail", "cone", "Raises a latticed ice-cream cone to the mouth.", lift_to_head, 1),
        Action("swing_bat", "swing", "detail", "bat", "Swings a solid bat with both hands.", swing, 0),
        Action("swing_racket", "swing", "detail", "racket", "Swings a stringed racket with both hands.", swing, 0),
        Action("swing_sword", "swing", "detail", "sword", "Swings a grooved sword with both hands.", swing, 0),
        Action("sweep", "floor", "detail", "broom", "Sweeps the floor with a bristle broom.", sweep, 1),
        Action("rake", "floor", "detail", "rake", "Rakes the ground with a toothed rake.", sweep, 1),
        Action("wave", "gesture", "motion", None, "Waves one raised hand.", wave, 1),
        Action("clap", "gesture", "motion", None, "Claps both hands before the chest.", clap, 1),
        Action("jumping_jack", "gesture", "motion", None, "Jumps, spreading arms and legs.", jumping_jack, 1),
        Action("walk", "gait", "motion", None, "Walks across the scene.", walk, 1),
        Action("run", "gait", "motion", None, "Runs across the scene.", run, 1.25),
        Action("sit_down", "seat", "motion", "chair", "Sits down on a chair.", sit_down, 0),
        Action("stand_up", "seat", "motion", "chair", "Stands up from a chair: sit_down reversed.", stand_up, 0),
        Action("dribble", "sport", "both", "basketball", "Bounces a basketball.", dribble, 1.4),
        Action("kick", "sport", "both", "football", "Kicks a football away.", kick, 0),
        Action("lift", "sport", "both", "barbell", "Presses a barbell overhead.", lift, 1),
    )
}
