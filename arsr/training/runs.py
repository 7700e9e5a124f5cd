"""From the name of a recipe to a file of weights: the data prepared, the network trained, the weights shipped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import pandas

from arsr import manifest, processes, records, scores
from arsr.data import clips, folders, pairs
from arsr.data import snippets as prepared
from arsr.embedded import generated
from arsr.evaluate import Evaluation, evaluate
from arsr.training import loop, tasks
from arsr.training.recipes import RECIPES
from arsr.training.tasks import RecogniserRecipe, SRRecipe
from arsr_core import degrade, devices, files, flow, losses, video
from arsr_core.errors import InputError
from arsr_core.files import sha256
from arsr_core.metrics import psnr
from arsr_core.recognition import PROTOCOLS
from arsr_core.sr import METHODS, load, upscale

EMBEDDED_CLIPS = {"rgb": 1_620, "flow": 540}  # flow takes ten times as long to prepare
TEST_CLIPS = 36  # embedded, two of each action
EMBEDDED_PAIRS = {"embedded": 360, "clip_frames": 4, "windows": 3}


@dataclass(frozen=True)
class Run:
    """One training: which recipe, on what, from which seed."""

    recipe: str
    profile: str = "embedded"
    data: tuple[Path, ...] = ()  # a data set's folder; for super-resolution, folders of clips or prepared pairs
    dataset: str | None = None  # its name in folders.DATASETS, for recognisers on real clips
    splits: Path | None = None
    fold: str | None = None  # the group that is left out
    seed: int = 0
    start: Path | None = None  # weights to start from; None: those of the recipe's start in `out` or `weights`
    out: Path = Path("_build/train")
    weights: Path = Path("weights")
    settings: dict = field(default_factory=dict)  # other values of the recipe's fields
    schedule: dict = field(default_factory=dict)  # of train.Schedule's: precision, workers, save_minutes

    def __post_init__(self):
        if self.recipe not in RECIPES:
            raise InputError(f"no recipe {self.recipe!r}; 'arsr train --list' shows them: {', '.join(RECIPES)}")
        if self.profile not in RECIPES[self.recipe]:
            known = ", ".join(RECIPES[self.recipe])
            raise InputError(f"{self.recipe} has no profile {self.profile!r}; expected one of {known}")
        known = [f.name for f in fields(RECIPES[self.recipe][self.profile])]
        if unknown := sorted(self.settings.keys() - set(known)):
            raise InputError(f"{self.recipe}: no setting {unknown[0]!r}; expected some of {', '.join(known)}")
        for name, value in self.settings.items():
            default = getattr(RECIPES[self.recipe][self.profile], name)
            allowed = {int: (int,), float: (int, float)}.get(type(default))
            if allowed and type(value) not in allowed:  # True is no number
                kind = "whole number" if type(default) is int else "number"
                raise InputError(f"{self.recipe}: expected {name} to be a {kind} such as {default}, got {value!r}")

    @property
    def settled(self) -> RecogniserRecipe | SRRecipe:
        """The recipe with the run's own settings."""
        return replace(RECIPES[self.recipe][self.profile], **self.settings)

    @property
    def name(self) -> str:
        """Of the folder and of the shipped file."""
        fold = f"-without-{self.fold}" if self.fold else ""
        seed = f"-seed{self.seed}" if self.seed else ""
        return f"{self.recipe}{_suffix(self.profile)}{fold}{seed}"

    @property
    def folder(self) -> Path:
        return self.out / self.name


def train(run: Run, *, say: Callable[[str], None] = print, progress: bool | None = None):
    """Prepare the data where that is not done, then train or go on -> (file of weights, loss curves)."""
    recogniser = isinstance(run.settled, RecogniserRecipe)
    start = _streams(run) if recogniser else _start(run)  # what lacks is said before the long preparation
    with processes.this().main_process_first():  # the others find it prepared
        store = prepare(run, say=say)
    if recogniser:
        keep = tasks.folds([run.fold])[run.fold] if run.fold else lambda row: True
        options = dict(keep=keep, start=start, seed=run.seed, progress=progress)
        path, curve = tasks.train_recogniser(run.settled, store, run.folder, **options, **run.schedule)
    else:
        features = losses.FeatureLoss() if run.settled.feature else None
        options = dict(weights=start, features=features, seed=run.seed, progress=progress)
        path, curve = tasks.train_sr(run.settled, store, run.folder, **options, **run.schedule)
    files.write_atomically(run.folder / "curve.csv", curve.to_csv(index=False))
    return path, curve


def prepare(run: Run, *, say: Callable[[str], None] = print) -> Path:
    """The folder of what the run trains on; prepared once for all runs that share it."""
    recipe = run.settled
    if isinstance(recipe, SRRecipe):
        if run.profile == "paper" and not run.data:
            raise InputError(f"{run.recipe}, profile paper: give folders of HR clips, --data CDVL134")
        if len(run.data) == 1 and (run.data[0] / "settings.json").exists():  # prepared by `arsr data pairs`
            return run.data[0]
        sources = {"sources": tuple(map(str, run.data))} | ({} if run.profile == "paper" else EMBEDDED_PAIRS)
        config = pairs.Pairs(patch=recipe.patch, **sources)
        store = run.out / f"pairs-{_key(asdict(config))}"
        device = str(devices.device())
        report = pairs.store_pairs(config, store, workers=len(os.sched_getaffinity(0)), device=device)
        say(f"{store}: {report}")
        return store
    protocol = PROTOCOLS[recipe.protocol]
    preset = flow.PRESETS["fast" if run.profile == "embedded" else "reference"]
    preparation = prepared.Preparation(protocol, flow=None if recipe.stream == "rgb" else preset)
    chosen = _clips(run)
    store = run.out / f"clips-{run.dataset or 'embedded'}-{_key([asdict(preparation), len(chosen)])}"
    rows = prepared.store_clips(chosen, store, preparation)
    lost = [row for row in rows if row["status"] != "ok"]
    say(f"{store}: {len(rows) - len(lost):,} clips" + "".join(f"\n  unreadable: {row['reason']}" for row in lost))
    return store


def measure(run: Run, path: Path, tests: tuple[Path, ...] = ()) -> dict[str, float]:
    """How good trained weights are: accuracy in % or PSNR in dB on embedded test clips, PSNR on each clip of `tests`.

    Raises InputError for a network that was trained for fidelity and is not better than bicubic enlargement.
    """
    recipe = run.settled
    if isinstance(recipe, RecogniserRecipe):
        return _accuracy(run, path)
    made = {"embedded": [c.frames[:9] for c in generated.clips(TEST_CLIPS, split="test")]}
    made |= {test.name: [video.read(test, stop=15).frames] for test in tests}
    found = {}
    for title, network in {"psnr": load(recipe.method, path), "bicubic psnr": load("bicubic")}.items():
        for name, frames in made.items():
            hr = [degrade.modcrop(video.to_tensor(x), 4) for x in frames]
            sr = (upscale(network, degrade.to_lr(x, 4, eight_bit=True), progress=False) for x in hr)
            values = [float(psnr(degrade.quantise(s), h)) for s, h in zip(sr, hr, strict=True)]
            found[f"{title} {name}"] = sum(values) / len(values)
    gain = found["psnr embedded"] - found["bicubic psnr embedded"]
    if not (recipe.feature or recipe.adversarial) and gain <= 0:
        raise InputError(f"{run.name} did not learn: {gain:+.2f} dB over bicubic; not shipped, train it longer")
    return found


def _accuracy(run: Run, path: Path) -> dict[str, float]:
    """On HR embedded test clips; for real clips nothing: there each fold has a test of its own."""
    if run.profile != "embedded":
        return {}
    options = dict(protocol=PROTOCOLS[run.settled.protocol], flow="fast", clips=10 * TEST_CLIPS)
    out = run.folder / f"test-{sha256(path)[:12]}.parquet"  # other weights, other scores
    evaluate(Evaluation("embedded", out, (str(path),), ("hr",), **options))
    frame, _ = scores.load(out)
    stream = {"rgb": "spatial", "flow": "temporal", "both": "fused"}[run.settled.stream]
    return {"accuracy hr embedded": scores.accuracy(scores.select(frame, stream=stream)).value}


def ship(
    run: Run, path: Path, *, root: Path, command: str, seconds: float, metrics: dict[str, float]
) -> manifest.Entry:
    """Copy trained weights and their loss curves to `weights/`, with an entry in its manifest; from committed code."""
    recipe, store = run.settled, prepare(run, say=lambda line: None)
    recogniser = isinstance(recipe, RecogniserRecipe)
    real = f"{run.dataset or 'real clips'} and " if run.data else ""
    run.weights.mkdir(exist_ok=True)
    entry = manifest.Entry(
        name=run.name,
        file=f"{run.name}.safetensors",
        sha256=sha256(path),
        kind="recogniser" if recogniser else "sr",
        method=("ST-ResNet" if recipe.stream == "both" else "TSN") if recogniser else recipe.method,
        lite=run.profile != "paper",
        recipe=loop.recipe(path.parent),
        seed=run.seed,
        data=f"{real}embedded clips (synthetic)" if run.profile == "embedded" else real.removesuffix(" and "),
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
        if isinstance(recipe, RecogniserRecipe):
            network = "ST-ResNet" if recipe.backbone == "resnet50" else "TSN"
            streams = {"rgb": f"{network}'s spatial stream", "flow": f"{network}'s temporal stream", "both": network}
            what = streams[recipe.stream]
        elif recipe.warp:
            what = f"{METHODS[recipe.method].title}: L_SR, L_warp-SR, L_warp-HR as {' : '.join(map(str, recipe.warp))}"
        else:
            weights = {recipe.pixel.upper(): recipe.pixel_weight, "feature": recipe.feature}
            weights["adversarial"] = recipe.adversarial
            what = f"{METHODS[recipe.method].title}: {' + '.join(f'{w:g} {k}' for k, w in weights.items() if w)}"
        before = [recipe.start] if isinstance(recipe.start, str) else recipe.start or ()
        start = f", from {' and '.join(before)}" if before else ""
        lines.append(f"{name:22} {what}{start}  ({', '.join(profiles)})")
    return "\n".join(lines)


def _clips(run: Run) -> list[clips.Clip]:
    if run.profile == "embedded":
        return clips.embedded(EMBEDDED_CLIPS["rgb" if run.settled.stream == "rgb" else "flow"])
    if len(run.data) != 1 or run.dataset is None:
        raise InputError(f"{run.recipe}, profile {run.profile}: give one folder and its data set, --data, --dataset")
    splits = folders.DATASETS[run.dataset].splits if run.dataset in folders.DATASETS else {}
    subset = "train" if splits else "test"  # without a split every clip is in it, and a fold is left out
    return clips.from_items(folders.items(run.dataset, run.data[0], splits=run.splits, subset=subset))


def _start(run: Run) -> Path | None:
    """The weights that a super-resolution recipe starts from: given, trained beside, or shipped."""
    before = run.settled.start
    return run.start if run.start or not before else _made(run, f"{before}{_suffix(run.profile)}")


def _streams(run: Run) -> list[Path]:
    """The weights that a recogniser starts from: of the same fold and seed, or shipped."""
    same = run.name.removeprefix(f"{run.recipe}{_suffix(run.profile)}")
    return [_made(run, name, same) for name in run.settled.start]


def _made(run: Run, name: str, same: str = "") -> Path:
    beside = run.out / f"{name}{same}" / "weights.safetensors"
    try:
        return beside if beside.exists() else manifest.find(run.weights, name)
    except InputError as error:
        raise InputError(f"{run.recipe} starts from {name}: train that first, into {beside.parent} ({error})") from None


def _suffix(profile: str) -> str:
    return {"paper": "", "small": "-small", "embedded": "-lite"}[profile]


def _key(settings: object) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:12]
