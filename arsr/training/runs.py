"""From the name of a recipe to a file of weights: the data prepared, the network trained, the weights shipped."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import pandas

from arsr import manifest, processes, records, scores
from arsr.data import clips, folders, pairs, snippets, stores
from arsr.embedded import generated
from arsr.evaluate import Evaluation, evaluate
from arsr.settings import Many, Positional, Suppress, settings, spelled
from arsr.training import checkpoint, tasks
from arsr.training.recipes import RECIPES
from arsr.training.tasks import RecogniserRecipe, SRRecipe
from arsr_core import degrade, devices, files, flow, sr, video
from arsr_core.errors import InputError
from arsr_core.files import sha256
from arsr_core.metrics import psnr
from arsr_core.recognition import PROTOCOLS

EMBEDDED_CLIPS = {"rgb": 1_620, "flow": 540}  # flow takes ten times as long to prepare
TEST_CLIPS = 36  # embedded, two of each action
PAIRS = {
    "paper": {},
    "embedded": {"embedded": 360, "clip_frames": 4, "windows": 3},
    "video": {"clip_frames": 24, "windows": 8, "preset": "fast"},
}
SUFFIXES = {"paper": "", "small": "-small", "embedded": "-lite", "video": "-video"}  # of the names of weights


@settings
class Run:
    """One training: which recipe, on what, from which seed."""

    recipe: Annotated[Positional[str], spelled(metavar="RECIPE")]  # its name; --list shows them
    profile: str = "embedded"  # embedded, video (super-resolution), small (recognisers) or paper
    data: Many[tuple[Path, ...]] = ()  # a data set's folder; for SR, folders of clips, or one of 'arsr data pairs'
    dataset: str | None = None  # hmdb51, ucf101, weizmann or ut_interaction
    splits: Path | None = None  # folder of the official split files
    fold: str | None = None  # the group to leave out: an actor, a sequence
    seed: int = 0  # of weights, order and augmentation
    start: Path | None = None  # weights to start from; default: the recipe's, in `out` or `weights`
    out: Path = Path("_build/train")  # folder of prepared data, checkpoints and weights
    weights: Suppress[Path] = Path("weights")  # folder of the shipped weights
    settings: Suppress[Mapping[str, Any]] = field(default_factory=dict)  # other values of the recipe's fields
    # of loop.Schedule's: precision, workers, save_minutes
    schedule: Suppress[Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self):
        if self.recipe not in RECIPES:
            raise InputError(f"no recipe {self.recipe!r}; 'arsr train --list' shows them: {', '.join(RECIPES)}")
        if self.profile not in (profiles := RECIPES[self.recipe]):
            raise InputError(f"{self.recipe} has no profile {self.profile!r}; expected one of {', '.join(profiles)}")
        known = [f.name for f in fields(profiles[self.profile])]
        if unknown := sorted(self.settings.keys() - set(known)):
            raise InputError(f"{self.recipe}: no setting {unknown[0]!r}; expected some of {', '.join(known)}")
        _ = self.settled  # checks their values

    @property
    def settled(self) -> RecogniserRecipe | SRRecipe:
        """The recipe with the run's own settings."""
        return replace(RECIPES[self.recipe][self.profile], **self.settings)

    @property
    def fork(self) -> str:
        """What tells its name from that of the recipe and profile: the fold and the seed."""
        return (f"-without-{self.fold}" if self.fold else "") + (f"-seed{self.seed}" if self.seed else "")

    @property
    def name(self) -> str:
        """Of the folder and of the shipped file."""
        return self.recipe + SUFFIXES[self.profile] + self.fork

    @property
    def folder(self) -> Path:
        """Of checkpoints, loss curves, samples, weights."""
        return self.out / self.name


def train(
    run: Run, *, say: Callable[[str], None] = print, progress: bool | None = None
) -> tuple[Path, pandas.DataFrame]:
    """Prepare the data where that is not done, then train or go on -> (file of weights, loss curves)."""
    start = _starts(run)  # what lacks is said before the long preparation
    with processes.this().main_process_first():  # the others find it prepared
        store = prepared(run, say=say)
    options = dict(start=start, without=run.fold, seed=run.seed, progress=progress, **run.schedule)
    path, curve = tasks.train(run.settled, store, run.folder, **options)
    files.write_atomically(run.folder / "curve.csv", curve.to_csv(index=False))
    return path, curve


def _starts(run: Run) -> list[Path]:
    """The weights that a recipe starts from: given, trained beside, or shipped."""
    names, found = run.settled.start or (), []
    if isinstance(names, str):  # super-resolution's start is of any seed
        names, fork = [names + SUFFIXES[run.profile]], ""
    else:
        fork = run.fork
    for name in [] if run.start else names:
        beside = run.out / f"{name}{fork}" / "weights.safetensors"
        try:
            found.append(beside if beside.exists() else manifest.find(run.weights, name))
        except InputError as error:
            message = f"{run.recipe} starts from {name}: train that first, into {beside.parent} ({error})"
            raise InputError(message) from None
    return [run.start] if run.start else found


def prepared(run: Run, *, say: Callable[[str], None] = print) -> Path:
    """The folder of what the run trains on; prepared once for all runs that share it."""
    recipe = run.settled
    if isinstance(recipe, SRRecipe):
        if run.profile != "embedded" and not run.data:
            raise InputError(f"{run.recipe}, profile {run.profile}: give folders of HR clips, --data CDVL134")
        if len(run.data) == 1 and (run.data[0] / "settings.json").exists():  # prepared by `arsr data pairs`
            return run.data[0]
        config = pairs.Pairs(patch=recipe.patch, sources=tuple(map(str, run.data)), **PAIRS[run.profile])
        store = run.out / f"pairs-{stores.content_key(asdict(config))[:12]}"
        workers = len(os.sched_getaffinity(0))
        say(f"{store}: {pairs.store_pairs(config, store, workers=workers, device=str(devices.device()))}")
        return store
    preset = flow.PRESETS["fast" if run.profile == "embedded" else "reference"]
    preparation = snippets.Preparation(PROTOCOLS[recipe.protocol], None if recipe.stream == "rgb" else preset)
    chosen = _clips(run, recipe)
    store = run.out / f"clips-{run.dataset or 'embedded'}-{stores.content_key([asdict(preparation), len(chosen)])[:12]}"
    say(f"{store}: {snippets.store_clips(chosen, store, preparation)}")
    return store


def _clips(run: Run, recipe: RecogniserRecipe) -> list[clips.Clip]:
    if run.profile == "embedded":
        return clips.embedded(EMBEDDED_CLIPS["rgb" if recipe.stream == "rgb" else "flow"])
    if len(run.data) != 1 or run.dataset is None:
        raise InputError(f"{run.recipe}, profile {run.profile}: give one folder and its data set, --data, --dataset")
    splits = folders.DATASETS[run.dataset].splits if run.dataset in folders.DATASETS else {}
    subset = "train" if splits else "test"  # without a split every clip is in it, and a fold is left out
    return folders.items(run.dataset, run.data[0], splits=run.splits, subset=subset)


def measure(run: Run, path: Path, tests: tuple[Path, ...] = ()) -> dict[str, float]:
    """How good trained weights are: accuracy in % or PSNR in dB on embedded test clips, PSNR on each clip of `tests`.

    Of a recogniser for real clips nothing: there each fold has a test of its own. Raises InputError for a network that
    was trained for fidelity and is not better than bicubic enlargement.
    """
    recipe = run.settled
    if isinstance(recipe, RecogniserRecipe):
        return _accuracy(run, recipe, path) if run.profile == "embedded" else {}
    shown = {"embedded": [c.frames[:9] for c in generated.clips(TEST_CLIPS, split="test")]}
    shown |= {test.name: [video.read(test, stop=15).frames] for test in tests}
    found = {}
    for title, network in {"psnr": sr.load(recipe.method, path), "bicubic psnr": sr.load("bicubic")}.items():
        for name, frames in shown.items():
            hr = [degrade.modcrop(video.to_tensor(x), 4) for x in frames]
            made = (sr.upscale(network, degrade.to_lr(x, 4, eight_bit=True), progress=False) for x in hr)
            values = [float(psnr(degrade.quantise(s), h)) for s, h in zip(made, hr, strict=True)]
            found[f"{title} {name}"] = sum(values) / len(values)
    gain = found["psnr embedded"] - found["bicubic psnr embedded"]
    if not (recipe.feature or recipe.adversarial) and gain <= 0:
        raise InputError(f"{run.name} did not learn: {gain:+.2f} dB over bicubic; not shipped, train it longer")
    return found


def _accuracy(run: Run, recipe: RecogniserRecipe, path: Path) -> dict[str, float]:
    options = dict(protocol=PROTOCOLS[recipe.protocol], flow="fast", clips=10 * TEST_CLIPS)
    out = run.folder / f"test-{sha256(path)[:12]}.parquet"  # other weights, other scores
    evaluate(Evaluation("embedded", out, (str(path),), ("hr",), **options))
    stream = {"rgb": "spatial", "flow": "temporal", "both": "fused"}[recipe.stream]
    return {"accuracy hr embedded": scores.accuracy(scores.select(scores.load(out)[0], stream=stream)).value}


def ship(
    run: Run, path: Path, *, root: Path, command: str, seconds: float, metrics: dict[str, float]
) -> manifest.Entry:
    """Copy trained weights and their loss curves to `weights/`, with an entry in its manifest; from committed code."""
    recipe, store = run.settled, prepared(run, say=lambda line: None)
    recogniser = isinstance(recipe, RecogniserRecipe)
    real = [run.dataset or "real clips"] if run.data else []
    run.weights.mkdir(exist_ok=True)
    entry = manifest.Entry(
        name=run.name,
        file=f"{run.name}.safetensors",
        sha256=sha256(path),
        kind="recogniser" if recogniser else "sr",
        method=("ST-ResNet" if recipe.stream == "both" else "TSN") if recogniser else recipe.method,
        lite=run.profile != "paper",
        recipe=checkpoint.recipe(path.parent),
        seed=run.seed,
        data=" and ".join(real + (["embedded clips (synthetic)"] if run.profile == "embedded" else [])),
        data_hash=digest(store),
        command=command,
        code=records.commit(root, "arsr", "arsr_core"),
        machine=records.machine(),
        seconds=round(seconds),
        metrics=metrics,
    )
    shutil.copyfile(path, run.weights / entry.file)
    manifest.keep_curve(run.weights, run.name, pandas.read_csv(path.with_name("curve.csv")))
    manifest.add(run.weights, entry)
    return entry


def digest(folder: Path) -> str:
    """One hash of all the files of a prepared folder, whatever its place."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        whole.update(f"{path.relative_to(folder)} {sha256(path)}\n".encode())
    return whole.hexdigest()


def listing() -> str:
    """The recipes, with what each trains."""
    lines = []
    for name, profiles in RECIPES.items():
        recipe = next(iter(profiles.values()))
        start = [recipe.start] if isinstance(recipe.start, str) else recipe.start or ()
        start = f", from {' and '.join(start)}" if start else ""
        lines.append(f"{name:22} {_title(recipe)}{start}  ({', '.join(profiles)})")
    return "\n".join(lines)


def _title(recipe: RecogniserRecipe | SRRecipe) -> str:
    if isinstance(recipe, RecogniserRecipe):
        network = "ST-ResNet" if recipe.backbone == "resnet50" else "TSN"
        stream = {"rgb": "'s spatial stream", "flow": "'s temporal stream", "both": ""}[recipe.stream]
        return network + stream
    if recipe.warp:
        terms = f"L_SR, L_warp-SR, L_warp-HR as {' : '.join(map(str, recipe.warp))}"
    else:
        weights = {recipe.pixel.upper(): recipe.pixel_weight, "feature": recipe.feature}
        weights["adversarial"] = recipe.adversarial
        terms = " + ".join(f"{weight:g} {name}" for name, weight in weights.items() if weight)
    return f"{sr.METHODS[recipe.method].title}: {terms}"
