"""What there is on disk for a study: data sets with their split files, videos, weights; what lacks, in words."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch

from arsr import evaluate, manifest, names
from arsr.data import folders
from arsr.data import pairs as preparation
from arsr.data.windows import Pairs
from arsr.embedded.actions import ACTIONS
from arsr.evaluation import Evaluation
from arsr.reproduce.study import Study
from arsr_core import sr, video
from arsr_core.errors import InputError
from arsr_core.recognition import public

SUFFIXES = (".safetensors", ".pth", ".pt", ".h5")
IMAGENET = {"bn_inception": "bn_inception*.pth", "resnet50": "resnet50*.pth"}  # files of these names
RECOGNISERS = {"tsn": ("tsn-rgb", "tsn-flow"), "st-resnet": ("st-resnet",)}  # of a network; NAME-DATASET is a file
LOOKED_AT = 20  # clips whose frames are counted: the rest is taken to be alike


@dataclass(frozen=True)
class Clips:
    """A data set, or videos to train on: how many clips, how long."""

    root: Path
    test: int
    train: int = 0
    frames: float = 24.0  # of a clip, about
    first: Path | None = None  # a clip
    tested: str = field(default="", compare=False)  # hashes of the names and sizes of the files
    trained: str = field(default="", compare=False)


@dataclass(frozen=True)
class Holdings:
    """What there is."""

    datasets: dict[str, Clips] = field(default_factory=dict)
    videos: Clips | None = None  # for super-resolution; `test` counts nothing
    weights: dict[str, Path] = field(default_factory=dict)  # by method, row of a table, or NAME-DATASET
    imagenet: dict[str, str] = field(default_factory=dict)  # backbone: a file of its weights
    missing: dict[str, str] = field(default_factory=dict)  # what is not there: why


def look(study: Study) -> Holdings:
    """What a study can start from. InputError for an empty folder, damaged lists, and weights that do not fit."""
    datasets, missing = {}, {}
    for name in study.places:
        try:
            datasets[name] = _dataset(study, name)
        except _Absent as error:
            missing[name] = str(error)
    if not datasets:
        raise InputError(f"reproduce: nothing to score. {'; '.join(missing.values())}")
    if study.profile == "embedded":
        weights = {m: p for m in (*sr.METHODS, "tsn-rgb", "tsn-flow", "st-resnet") if (p := _shipped(study, m))}
        weights |= {f"{m}-embedded": weights.pop(m) for m in sum(RECOGNISERS.values(), ()) if m in weights}
        return Holdings(datasets, None, weights, missing=missing)
    videos = None
    try:
        videos = _videos(study)
    except _Absent as error:
        missing["videos"] = str(error)
    weights = _weights(study, datasets)
    places = (study.data / "weights", Path(torch.hub.get_dir()) / "checkpoints")
    imagenet = {}
    for backbone, pattern in IMAGENET.items():
        if files := [path for place in places for path in sorted(place.glob(pattern))]:
            if (found := public.read(files[0])[0]) != backbone:
                raise InputError(f"{files[0]}: weights of {found}, expected {backbone}; take it away, or rename it")
            imagenet[backbone] = str(files[0])
    return Holdings(datasets, videos, weights, imagenet, missing)


class _Absent(InputError):
    """What the study does without."""


def _dataset(study: Study, name: str) -> Clips:
    if name == "embedded":
        evaluate.check(
            evaluate.dataset_clips(Evaluation(name, Path("."), ("-",), clips=study.clips))[0], tuple(ACTIONS)
        )
        return Clips(Path("."), study.clips)
    facts = folders.DATASETS[name]
    homes = [study.data / home for home in (name, *facts.homes) if (study.data / home).is_dir()]
    if not homes and not any((study.data / folder).is_dir() for folder in facts.folders):
        raise _Absent(f"{names.title(name)}: no folder {' or '.join(facts.homes)} in {study.data}")
    root = homes[0] if homes else study.data
    how = dict(splits=study.splits, split=study.split, present_only=study.present_only)
    found = {subset: folders.items(name, root, subset=subset, **how) for subset in ("test", "train")}
    official, counted = facts.splits[study.split], {subset: len(clips) for subset, clips in found.items()}
    if not study.present_only and any(counted[subset] != official[subset] for subset in counted):
        expected = ", ".join(f"{official[subset]:,} {subset}" for subset in counted)
        given = ", ".join(f"{count:,} {subset}" for subset, count in counted.items())
        raise InputError(
            f"{root}: split files of another edition, {given} clips; split {study.split} of {facts.title} has "
            f"{expected}; download them again, or take what there is (--present-only)"
        )
    evaluate.check(found["test"], facts.classes, present_only=study.present_only)
    length = _length([clip.path for clip in _spread(found["train"] + found["test"])])
    lists = (_listed([(clip.name, clip.path) for clip in found[subset]]) for subset in ("test", "train"))
    return Clips(root, counted["test"], counted["train"], length, found["test"][0].path, *lists)


def _videos(study: Study) -> Clips:
    usual = [path for path in study.data.iterdir() if path.is_dir() and path.name.lower() in ("cdvl134", "cdvl-134")]
    roots = study.videos or tuple(usual)
    if not roots:
        raise _Absent(
            f"videos to train super-resolution on: no folder CDVL134 in {study.data}; give one, --videos FOLDER"
        )
    named = list(preparation.find(Pairs(sources=tuple(map(str, roots)))))
    found = [path for _, path in named]
    return Clips(Path(roots[0]), 0, len(found), _length(_spread(found)), found[0], trained=_listed(named))


def _listed(files: list[tuple[str, Path]]) -> str:
    return hashlib.sha256(repr([(name, path.stat().st_size) for name, path in files]).encode()).hexdigest()


def _spread(clips: list) -> list:
    return clips[:: max(1, len(clips) // LOOKED_AT)]


def _length(paths: list[Path]) -> float:
    """The mean number of frames of those that can be read."""
    counts = []
    for path in paths:
        try:
            counts.append(video.count(path))
        except InputError:  # the job that needs it says so
            continue
    if not counts:
        raise InputError(
            f"{paths[0]}: none of {len(paths)} clips that were tried can be read; 'arsr data check' says why"
        )
    return fmean(counts)


def _shipped(study: Study, name: str) -> Path | None:
    """The weights of the profile embedded."""
    entry = manifest.best(manifest.load(study.shipped), name)
    return entry and manifest.find(study.shipped, entry.name)


def _weights(study: Study, datasets: dict[str, Clips]) -> dict[str, Path]:
    """DATA/weights/NAME with some suffix, each read: InputError for another network or number of classes."""
    found: dict[str, Path] = {}
    for suffix in SUFFIXES:
        for path in sorted((study.data / "weights").glob(f"*{suffix}")):
            found.setdefault(path.name.removesuffix(suffix), path)
    for name in found.keys() & sr.METHODS.keys():
        sr.load(name, found[name])
    for dataset in datasets:
        for stem in sum(RECOGNISERS.values(), ()):
            if path := found.get(f"{stem}-{dataset}"):
                evaluate.recogniser(path, folders.DATASETS[dataset].classes)
    return found
