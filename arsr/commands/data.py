"""Data sets: what is complete, missing or unreadable; embedded clips as video files; training pairs."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from tyro.conf import OmitArgPrefixes

from arsr import places
from arsr.commands import say, tell
from arsr.data import windows
from arsr.names import DATASETS
from arsr.settings import Flag, Positional, settings, spelled
from arsr_core.recognition import PROTOCOLS

REAL = [name for name in DATASETS if name != "embedded"]
Out = Annotated[Positional[Path], spelled(metavar="OUT")]


@dataclass
class Check:
    """Say per class what is complete, missing, unreadable or extra. Exit code 0: complete, 1: not.

    Examples:
      arsr data check hmdb51 data/hmdb51 --splits data/splits/hmdb51_splits
      arsr data check weizmann data/weizmann --decode
      arsr data check folder clips --groups '(s[0-9]+)_' --folds 5
    """

    kind: Annotated[Positional[Literal[*REAL]], spelled(metavar="KIND")]  # ucf101, hmdb51, weizmann ..., folder
    root: Annotated[Positional[Path], spelled(metavar="ROOT")]  # the data set's folder
    splits: Path | None = None  # folder of the official split files
    split: int = 1  # official split
    decode: Flag[bool] = False  # decode every frame instead of the first
    groups: str | None = None  # of a folder's clips: '(s[0-9]+)_' finds them in names; or a CSV file of clip, group
    folds: Annotated[int, Ge(0)] = 0  # share the groups out among so many

    def __call__(self) -> None:
        from arsr.data import folders

        report = folders.check(**vars(self))
        tell(report)
        sys.exit(0 if report.complete else 1)


@settings
class Generate:
    """Write embedded (synthetic) clips as lossless video files, to look at or to use elsewhere.

    Examples:
      arsr data generate clips
      arsr data generate clips --split train --count 180
    """

    out: Out  # folder to write to: OUT/ACTION/SPLIT-INDEX.mkv
    count: Annotated[int, Ge(1), Le(100_000)] = 18  # clips; 18 is one of each action
    split: Literal["train", "test"] = "test"  # whose actors, scenes and tempi
    frames: Annotated[int, Ge(2), Le(10_000)] = 24  # frames of each clip
    seed: Annotated[int, Ge(0)] = 0  # seed of the whole set

    def __call__(self) -> None:
        from tqdm import tqdm

        from arsr.embedded import generated
        from arsr_core import video

        made = generated.clips(self.count, split=self.split, frames=self.frames, seed=self.seed)
        with places.own(self.out, "clips"):
            for clip in tqdm(made, total=self.count, unit="clip", delay=2, disable=None):
                folder = self.out / clip.action
                folder.mkdir(parents=True, exist_ok=True)
                video.write(folder / f"{self.split}-{clip.index:05d}.mkv", clip.frames, clip.fps)
        say(f"{self.count} clips written below {self.out}")


@dataclass(kw_only=True)
class Clips:
    """Prepare a recogniser's training clips: frames resized, TV-L1 flow of all pairs, coded with 8 bits.

    What was interrupted goes on with the same command; clips that cannot be read are reported and left out.

    Examples:
      arsr data clips prepared hmdb51 --data data/hmdb51
      arsr data clips prepared-lr hmdb51 --data data/hmdb51 --method bicubic
    """

    out: Out  # folder to write to; of an interrupted preparation: goes on
    kind: Annotated[Positional[Literal[*REAL]], spelled(metavar="KIND")]  # ucf101, hmdb51, weizmann ..., folder
    data: Path  # the data set's folder
    splits: Path | None = None  # folder of the official split files
    split: int = 1  # official split
    groups: str | None = None  # of a folder's clips: '(s[0-9]+)_' finds them in names; or a CSV file of clip, group
    present_only: Flag[bool] = False  # do without clips that are missing
    protocol: Literal[*PROTOCOLS] = "full"  # whose size of frames and bound of flow
    preset: Literal["reference", "fast", "opencv2"] = "reference"  # of TV-L1
    method: Literal["hr", "bicubic"] = "hr"  # the frames as they are, or reduced by four and enlarged again
    workers: Annotated[int, Ge(0)] = 0  # of TV-L1 on a CPU: pairs of frames at a time; 0: one a core
    device: str | None = None  # of TV-L1: cpu, cuda ...; default: cuda where there is one

    def __call__(self) -> None:
        from arsr.data import folders, snippets
        from arsr.studies.adaptation import lowered
        from arsr_core import devices, flow

        subset = "train" if folders.DATASETS[self.kind].splits else "test"
        how = dict(splits=self.splits, split=self.split, subset=subset, groups=self.groups)
        clips = folders.items(self.kind, self.data, present_only=self.present_only, **how)
        prepared = snippets.Preparation(PROTOCOLS[self.protocol], dict(flow.PRESETS[self.preset]), self.method)
        options = dict(workers=self.workers or None, device=str(devices.device(self.device)))
        change = lowered if self.method == "bicubic" else None
        tell(snippets.store_clips(clips, self.out, prepared, change=change, **options))


@settings
class Pairs:
    """Prepare training pairs: the windows of HR frames that move most, with their flow.

    The defaults are the paper's. What was interrupted goes on with the same command; clips that cannot serve are
    reported and left out.

    Examples:
      arsr data pairs pairs CDVL134 --workers 8
      arsr data pairs pairs --embedded 252 --patch 64 --clip-frames 4 --windows 3
    """

    out: Out  # folder to write to; of an interrupted preparation: goes on
    config: OmitArgPrefixes[windows.Pairs]
    workers: Annotated[int, Ge(1)] = 1  # of TV-L1 on a CPU: pairs of frames at a time
    device: str | None = None  # of TV-L1: cpu, cuda ...; default: cuda where there is one

    def __call__(self) -> None:
        from arsr.data import pairs
        from arsr_core import devices

        tell(pairs.store_pairs(self.config, self.out, workers=self.workers, device=str(devices.device(self.device))))
