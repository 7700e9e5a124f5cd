"""From the name of a recipe to a file of weights: the data prepared, the network trained, the weights shipped."""

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import pandas

from arsr import manifest, places, processes, records, scores
from arsr.data import clips, folders, folds, pairs, snippets, stores
from arsr.embedded import generated
from arsr.evaluate import Evaluation, evaluate
from arsr.training import checkpoint, tasks
from arsr.training.recipes import SUFFIXES, RecogniserRecipe, Run, SRRecipe
from arsr_core import degrade, devices, files, flow, recognition, sr, video
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


def train(run: Run, *, say: Callable[[str], None] = print) -> tuple[Path, pandas.DataFrame]:
    """Prepare the data where that is not done, then train or go on -> (file of weights, loss curves)."""
    start, state = starts(run), processes.this()  # what lacks is said before the long preparation
    _require_start(run.settled, start)
    without = _left_out(run)
    with places.own(run.folder, "training") if state.is_main_process else nullcontext():
        with state.main_process_first():  # the others find it prepared
            store = prepared(run, say=say)
        options = dict(start=start, without=without, seed=run.seed, precision=run.precision, workers=run.workers)
        path, curve = tasks.train(run.settled, store, run.folder, **options)
        files.write_atomically(run.folder / "curve.csv", curve.to_csv(index=False))
    return path, curve


def _require_start(recipe: SRRecipe | RecogniserRecipe, start: list[Path]) -> None:
    """InputError for files of weights that the networks cannot start from."""
    if isinstance(recipe, SRRecipe):
        _ = [sr.load(recipe.method, path) for path in start]
    elif recipe.stream == "both":
        _ = [recognition.load(path) for path in start]
    elif recipe.frozen and not (start or recipe.imagenet):
        given = f"{recipe.backbone} keeps {recipe.frozen} parts as ImageNet taught them"
        raise InputError(f"{given}: give those weights, --set imagenet=FILE")
    elif start or recipe.imagenet:
        tasks.recogniser_task(recipe, 2, start=start)


def _left_out(run: Run) -> frozenset[str]:
    """The groups of its fold. InputError for a fold that leaves out nothing, or all clips of a class."""
    if run.fold is None:
        return frozenset()
    if isinstance(run.settled, SRRecipe):
        raise InputError(f"{run.recipe}: super-resolution leaves out no fold; drop --fold {run.fold}")
    return folds.left_out(clips_of(run), run.fold)


def clips_of(run: Run) -> list[clips.Clip]:
    """What a run of a recogniser's recipe trains on, the fold that it leaves out among it."""
    if run.profile == "embedded":
        return clips.embedded(EMBEDDED_CLIPS["rgb" if run.settled.stream == "rgb" else "flow"])
    if len(run.data) != 1 or not run.dataset:
        raise InputError(f"{run.recipe}, profile {run.profile}: give one folder and its data set, --data, --dataset")
    split = run.dataset in folders.DATASETS and folders.DATASETS[run.dataset].splits
    subset = "train" if split else "test"  # without a split every clip is in it, and a fold is left out
    return folders.items(run.dataset, run.data[0], splits=run.splits, subset=subset, groups=run.groups, folds=run.folds)


def starts(run: Run) -> list[Path]:
    """The weights that a recipe starts from: given, trained beside, or shipped."""
    if run.start:
        return [run.start]
    names, fork = run.settled.start or (), run.fork
    if isinstance(names, str):  # super-resolution's start is of any seed
        names, fork = [names + SUFFIXES[run.profile]], ""
    beside = {name: run.out / f"{name}{fork}" / "weights.safetensors" for name in names}
    return [path if path.exists() else manifest.find(run.weights, name) for name, path in beside.items()]


def prepared(run: Run, *, say: Callable[[str], None] = print) -> Path:
    """The folder of what the run trains on; prepared once for all runs that share it."""
    recipe = run.settled
    if len(run.data) == 1 and (run.data[0] / "settings.json").exists():  # by `arsr data pairs` or `arsr data clips`
        return run.data[0]
    if isinstance(recipe, SRRecipe):
        if run.profile != "embedded" and not run.data:
            raise InputError(f"{run.recipe}, profile {run.profile}: give folders of HR clips, --data CDVL134")
        config = pairs.Pairs(patch=recipe.patch, sources=tuple(map(str, run.data)), **PAIRS[run.profile])
        store = run.out / f"pairs-{stores.content_key(asdict(config))[:12]}"
        workers = len(os.sched_getaffinity(0))
        say(f"{store}: {pairs.store_pairs(config, store, workers=workers, device=str(devices.device()))}")
        return store
    chosen, preset = clips_of(run), "fast" if run.profile == "embedded" else "reference"
    parameters = None if recipe.stream == "rgb" else flow.PRESETS[preset]
    preparation = snippets.Preparation(PROTOCOLS[recipe.protocol], parameters)
    about = [asdict(preparation), len(chosen), [str(path.resolve()) for path in run.data]]
    about += [run.groups] if run.groups else []
    store = run.out / f"clips-{run.dataset or 'embedded'}-{stores.content_key(about)[:12]}"
    say(f"{store}: {snippets.store_clips(chosen, store, preparation)}")
    return store


def measure(run: Run, path: Path, tests: tuple[Path, ...] = ()) -> dict[str, float]:
    """How good trained weights are: accuracy in % or PSNR in dB on embedded test clips, PSNR on each clip of `tests`.

    Of a recogniser for real clips nothing: there each fold has a test of its own. Raises InputError for a network that
    was trained for fidelity and is not better than bicubic enlargement.
    """
    recipe = run.settled
    if isinstance(recipe, RecogniserRecipe):
        if run.profile != "embedded":
            return {}
        out = run.folder / f"test-{sha256(path)[:12]}.parquet"  # other weights, other scores
        options = dict(protocol=PROTOCOLS[recipe.protocol], flow="fast", clips=10 * TEST_CLIPS)
        evaluate(Evaluation("embedded", out, (str(path),), ("hr",), **options))
        stream = {"rgb": "spatial", "flow": "temporal", "both": "fused"}[recipe.stream]
        return {"accuracy hr embedded": scores.accuracy(scores.select(scores.load(out)[0], stream=stream)).value}
    shown = {"embedded": [c.read(range(9)) for c in generated.clips(TEST_CLIPS, split="test")]}
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


def ship(
    run: Run, path: Path, curve: pandas.DataFrame, tests: tuple[Path, ...] = (), *, root: Path, command: str
) -> manifest.Entry:
    """Measure trained weights; copy them and their curves to `weights/`, with an entry there; from committed code."""
    recipe = run.settled
    recogniser = isinstance(recipe, RecogniserRecipe)
    real = [run.dataset or " and ".join(path.name for path in run.data)] if run.data else []
    entry = manifest.Entry(
        name=run.name,
        file=f"{run.name}.safetensors",
        sha256=sha256(path),
        kind="recogniser" if recogniser else "sr",
        method=("ST-ResNet" if recipe.stream == "both" else "TSN") if recogniser else recipe.method,
        lite=run.profile != "paper",
        recipe=checkpoint.recipe(path.parent),
        seed=run.seed,
        data=" and ".join(real + ["embedded clips (synthetic)"] * (run.profile == "embedded")),
        data_hash=stores.digest(prepared(run, say=lambda line: None)),
        command=command,
        code=records.commit(root, "arsr", "arsr_core"),
        machine=records.machine(),
        seconds=round(curve.seconds.sum()),
        metrics=measure(run, path, tests),
    )
    files.write_atomically(run.weights / entry.file, path.read_bytes())
    manifest.keep_curve(run.weights, run.name, curve)
    manifest.add(run.weights, entry)
    return entry
