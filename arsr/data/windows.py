"""How the windows of training pairs are drawn: what `arsr.data.pairs` is told. Saying so needs no torch."""

from typing import Annotated, Literal

from annotated_types import Ge, Le, MultipleOf

from arsr.settings import Positional, settings, spelled
from arsr_core.errors import InputError

SCALE = 4
Count = Annotated[int, Ge(1)]


@settings
class Pairs:
    """How windows are drawn; the defaults are the paper's, or its released code's where the paper is silent."""

    # videos, folders of frames, or folders with such in them at any depth
    sources: Annotated[Positional[tuple[str, ...]], spelled(metavar="SOURCE")] = ()
    embedded: Annotated[int, Ge(0), Le(100_000)] = 0  # Embedded training clips, with exact flow; they have 120x160 px.
    patch: Annotated[int, Ge(16), MultipleOf(SCALE)] = 128  # Side of an HR window, px.
    clip_frames: Count = 120  # Frames drawn from each clip.
    windows: Count = 10  # Kept of each frame: those with the largest motion.
    frames: Count = 7  # LR frames that make one SR frame: odd; a store of 7 serves single-frame networks too.
    spacing: Count = 1  # Frames from the first to the second of a pair; the released code has 2.
    side: Count = 240  # Clips whose short side is over 1.2 x this are shrunk to it, px: CDVL-134's, 240 to 288, stay.
    lr: Literal["after", "before"] = "after"  # Down-sampling after or before the crop; before: at multiples of 4 px.
    flow: str | None = None  # Folder of flow files, a folder a clip (FlowNet 2.0's); none: exact or TV-L1.
    preset: Literal["reference", "fast", "opencv2"] = "reference"  # Of TV-L1.
    seed: Annotated[int, Ge(0)] = 0  # Of frames and windows, and of embedded clips.

    def __post_init__(self) -> None:
        if self.frames % 2 == 0:
            raise InputError(f"Pairs: expected an odd number of frames, got {self.frames}")
        if not (self.sources or self.embedded):
            raise InputError("nothing to prepare: give folders of clips, or a number of embedded clips")

    @property
    def border(self) -> int:
        """Motion and warping are judged on a window's centre: 108 of 128 px, other sizes in proportion."""
        return round(self.patch * 10 / 128)

    @property
    def strides(self) -> tuple[int, int]:
        """Of the grid of windows in y and x: 30 and 40 px at 128, other sizes in proportion."""
        return round(self.patch * 30 / 128), round(self.patch * 40 / 128)

    @property
    def margin(self) -> int:
        """Pixels around a window that its LR depends on where it is made before the crop: half the bicubic kernel."""
        return 2 * SCALE if self.lr == "before" else 0
