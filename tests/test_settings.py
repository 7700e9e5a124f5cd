"""Checked dataclasses: what is wrong is one line with the place, what was expected and what was given."""

from dataclasses import FrozenInstanceError
from typing import Annotated, Literal

import pytest
from annotated_types import Ge

from arsr.settings import settings
from arsr_core.errors import InputError


@settings
class Step:
    side: Literal["left", "right"]
    length: Annotated[float, Ge(0)] = 1.0


@settings
class Walk:
    gait: str
    steps: tuple[Step, ...] = ()

    def __post_init__(self):
        if self.gait == "backward":
            raise InputError("Walk: expected to go on; got 'backward'")


def test_values_are_kept_and_nested_ones_read_from_plain_data():
    walk = Walk("slow", steps=[{"side": "left", "length": 2}])
    assert walk == Walk("slow", (Step("left", 2.0),))
    with pytest.raises((FrozenInstanceError, AttributeError)):
        walk.gait = "fast"


@pytest.mark.parametrize(
    "values, named, message",
    [
        ((3,), {}, "Walk: expected gait a valid string, got 3"),
        (("slow",), {"steps": [{"side": "up"}]}, "Walk: expected steps.0.side 'left' or 'right', got 'up'"),
        (("slow",), {"steps": [{"side": "left", "length": -1}]}, "steps.0.length greater than or equal to 0, got -1"),
        (("slow",), {"pace": 2}, "Walk: no pace; expected gait, steps"),
        ((), {}, "Walk: gait is missing"),
        (("backward",), {}, "Walk: expected to go on; got 'backward'"),
    ],
)
def test_what_is_wrong_is_one_line(values, named, message):
    with pytest.raises(InputError, match=message) as error:
        Walk(*values, **named)
    assert "\n" not in str(error.value)
