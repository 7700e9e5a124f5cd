"""What decides how a recogniser sees clips: the test protocols, and what training draws. No torch is needed here."""

from dataclasses import dataclass

from arsr_core.errors import InputError, checked


@checked
@dataclass(frozen=True)
class Protocol:
    """What decides a score besides the network; written into every record."""

    name: str
    snippets: int  # a clip
    crops: int  # 1: the centre; 10: corners and centre, each mirrored too
    size: tuple[int, int]  # (H, W) of the frames, before flow is computed
    crop: int  # side
    flow_frames: int = 5  # fields in a stack
    bound: float = 20.0  # px of flow that 8 bits cover, either way

    def __post_init__(self):
        counts = self.snippets, self.crop, self.flow_frames
        if min(counts) < 1 or self.crops not in (1, 10) or self.crop > min(self.size) or self.bound <= 0:
            raise InputError(f"expected positive numbers, 1 or 10 crops that the frames hold, got {self}")


_ROWS = (
    Protocol("full", snippets=25, crops=10, size=(256, 340), crop=224),  # TSN's
    Protocol("light", snippets=5, crops=1, size=(256, 340), crop=224),
    # real clips on two CPU cores: Weizmann, and clips made square by `data.clips.square`
    Protocol("small", snippets=5, crops=1, size=(176, 220), crop=160, bound=10.0),
    Protocol("small-3", snippets=3, crops=1, size=(176, 220), crop=160, bound=10.0),  # of 320x180 px
    Protocol("small-square", snippets=5, crops=1, size=(144, 144), crop=128, bound=10.0),
    Protocol("lite", snippets=5, crops=1, size=(120, 160), crop=112, bound=10.0),  # embedded clips as they are
)
PROTOCOLS = {row.name: row for row in _ROWS}


@checked
@dataclass(frozen=True)
class Augmentation:
    """What is drawn at random for each training sample."""

    scales: tuple[float, ...] = (1, 0.875, 0.75, 0.66)  # of the shorter side; height and width by neighbouring ones
    mirror: float = 0.5  # share of the samples
    degrade: float = 0.0  # share of the samples whose frames lose resolution: recognisers then bear LR better
    degrade_scale: float = 2.0  # at most this, drawn evenly from 1; below the tests' 4, so that no method is favoured


AUGMENTATIONS = {"rgb": Augmentation(), "flow": Augmentation(scales=(1, 0.875, 0.75))}  # TSN's
