"""The parameters of chapters: what each may be, by name. The same name means the same in every chapter.

A chapter's first cell says which it has, with the values that it has by itself.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import Strict, StringConstraints

from arsr.names import DATASETS, STREAMS
from arsr.settings import check
from arsr_core.recognition import PROTOCOLS
from arsr_core.sr import METHODS

Text = Annotated[str, Strict(), MinLen(1)]
Count = Annotated[int, Strict(), Ge(1), Le(10_000)]
Index = Annotated[int, Strict(), Ge(0), Le(10_000)]
Method = Literal[tuple(METHODS)]
KINDS: dict[str, Any] = {
    "seed": Annotated[int, Strict(), Ge(0), Le(2**23 - 1)],  # what seeds of trainings are made from
    # clips, and their frames
    "clips": Annotated[Count, Ge(2)],  # one has no spread
    "test_clips": Count,
    "benchmark_clips": Count,
    "scored_clips": Count,
    "flow_scored_clips": Count,
    "training_clips": Count,
    "end_to_end_clips": Count,
    "steady_clips": Annotated[Count, Le(18)],
    "show_clip": Index,
    "one_video": Annotated[list[Index], MinLen(1)],
    "per_pattern": Count,
    "patterns": list[Text],
    "frames": Annotated[Count, Ge(2)],
    "sr_frames": Count,
    "flow_frames": Annotated[Count, Ge(6)],  # tOF leaves out two at either end
    "viewer_frames": Annotated[Count, Ge(2)],
    "flow_pairs": Count,
    # data sets, recognisers, methods
    "dataset": Literal[tuple(DATASETS)],
    "measured": Annotated[str, StringConstraints(strict=True, pattern="^[a-z0-9_]*$")],
    "splits": Annotated[str, Strict()],
    "recognisers": list[Text],
    "streams": Annotated[list[Literal[STREAMS]], MinLen(1)],
    "protocol": Literal[tuple(PROTOCOLS)],
    "preset": Literal["reference", "fast", "opencv2"],
    "weights": dict[Method, Text],
    "methods": list[Method],
    # trainings; 0 steps: none
    "training_steps": Index,
    "end_to_end_steps": Index,
    "end_to_end_weight": Annotated[float, Strict(), Ge(0), Le(1000)],
}


def require(where: str, values: Mapping[str, object], defaults: Mapping[str, object]) -> None:
    """InputError for a value that its parameter may not have; one that KINDS lacks is of the type of its default.

    where: the values stand.

    >>> require("--set", {"flow_pairs": 0}, {"flow_pairs": 1})
    Traceback (most recent call last):
    arsr_core.errors.InputError: --set: flow_pairs: expected greater than or equal to 1, got 0
    """
    for name, value in values.items():
        if name not in ("profile", "data_root"):  # which are no --set's
            kind = KINDS[name] if name in KINDS else Annotated[type(defaults[name]), Strict()]
            check(kind, value, f"{where}: {name}")
