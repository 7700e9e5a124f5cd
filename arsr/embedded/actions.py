"""The 18 embedded actions: `actions.yaml` says how each moves the puppet, and what sets it apart from its group."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from arsr.embedded.formulas import evaluate, load


def ease(u: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Smooth step from 0 to 1 between two phases."""
    v = np.clip((u - start) / (stop - start), 0, 1)
    return v * v * (3 - 2 * v)


def there_and_back(u: np.ndarray) -> np.ndarray:
    """From 0 to 1 and back once a cycle."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * u)


def step(u: np.ndarray, stride: float, stance: float, lift: float) -> tuple[tuple, np.ndarray]:
    """Ankle path of one foot over a cycle, and its pitch: on the ground for `stance`, then swung forward."""
    f = u % 1
    air = np.clip((f - stance) / (1 - stance), 0, 1)
    x = stride * np.where(f < stance, 0.5 - f / stance, ease(air, 0, 1) - 0.5)
    heel = ease(f, 0.75 * stance, stance) * (1 - ease(air, 0, 0.5))
    push = ease(f, 0.6 * stance, stance) * (1 - ease(air, 0.1, 0.6))
    y = 0.04 + lift * np.sin(np.pi * air) ** 1.5 + 0.03 * heel
    return (x, y), 0.25 * ease(air, 0.6, 1) * (f > stance) - 0.7 * push


@dataclass(frozen=True)
class Action:
    """One class; `actions.yaml` says what the fields mean."""

    name: str
    group: str
    differs_by: str
    object: str | None
    move: str
    cycles: float

    def pose(self, u: np.ndarray, a: float) -> SimpleNamespace:
        """What the move prescribes at phases u (T,), its gestures scaled by `a` near 1: what `rest` names, and more.

        Numbers are scalars or (T,), in body coordinates.
        """
        moves = load("actions")["moves"]
        rest = evaluate(moves["rest"], {})
        helpers = {"ease": ease, "there_and_back": there_and_back, "step": step}
        return SimpleNamespace(**rest | evaluate(moves[self.move], {**helpers, **rest, "u": u, "a": a}))


ACTIONS = {name: Action(name, **row) for name, row in load("actions")["actions"].items()}
