"""The `arsr` command. Wrong input ends with one line and exit code 2; a failing chapter with exit code 1.

Each command is a dataclass in `arsr.commands`: its fields are the options, its docstring and their comments the help.
"""

import contextlib
import functools
import importlib
import inspect
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator

from arsr import ChapterError
from arsr_core import __version__
from arsr_core.errors import InputError
from arsr_core.files import remedy

COMMANDS = {  # what is typed: the module and dataclass in arsr.commands, loaded when it is chosen
    "book": ("book.Book", "Build the book: execute the chapters that changed, make the pages."),
    "run": ("book.Run", "Execute one chapter with papermill."),
    "claims": ("book.Claims", "Say of each claim of the paper what the numbers make of it."),
    "upscale": ("clips.Upscale", "Super-resolve your own video by four."),
    "flow": ("clips.Flow", "Write the optical flow of a video."),
    "train": ("training.Train", "Train a recogniser or a super-resolution network."),
    "train --list": ("training.List", "The recipes, with what each trains."),
    "evaluate": ("scoring.Evaluate", "Score test clips with every method, from LR clip to both streams' scores."),
    "reproduce": ("scoring.Reproduce", "Reproduce Table 4: print the plan, score every method with every recogniser."),
    "data check": ("data.Check", "Say per class what is complete, missing, unreadable or extra."),
    "data generate": ("data.Generate", "Write embedded (synthetic) clips as lossless video files."),
    "data pairs": ("data.Pairs", "Prepare training pairs: the windows of HR frames that move most."),
    "weights list": ("weights.List", "The methods, the size of their networks."),
    "weights import": ("weights.Import", "Convert public weights to .safetensors, whatever their naming."),
}


def main() -> None:
    """Run the command; wrong input ends with one line and code 2, a failing chapter with code 1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end as after Ctrl-C: kernels and scratch folders go
    try:
        parse(sys.argv[1:])()
    except InputError as error:
        _end(2, " ".join(str(error).split()))
    except ChapterError as error:
        _end(1, str(error))
    except OSError as error:
        _end(2, f"{error.filename or 'file system'}: {error.strerror or error}; {remedy(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


def load(name: str) -> type:
    """The dataclass of a command."""
    module, _, kind = COMMANDS[name][0].partition(".")
    return getattr(importlib.import_module(f"arsr.commands.{module}"), kind)


def parse(words: list[str]) -> Callable[[], None]:
    """The command that the words ask for, with its arguments."""
    if "--version" in words[:1]:
        return lambda: print(f"arsr {__version__}")
    if words == ["train"]:
        words = ["train", "--list"]
    name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
    group = next((word for word in words[:1] if any(c.startswith(f"{word} ") for c in COMMANDS)), "")
    if name is None:
        rest = words[1:] if group else words
        if rest and rest[0] not in ("-h", "--help"):
            raise InputError(f"no command {' '.join(words[:2] if group else words[:1])!r}; 'arsr --help' lists them")
        return functools.partial(print, _overview(group))
    import tyro

    said, command = io.StringIO(), load(name)

    try:
        with _wide(not {"-h", "--help"} & set(words)), contextlib.redirect_stderr(said):
            return tyro.cli(
                command, prog=f"arsr {name}", description=inspect.getdoc(command), args=words[len(name.split()) :]
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise InputError(f"{_plain(said.getvalue())}; see 'arsr {name} --help'") from None


def _overview(group: str) -> str:
    chosen = {name: line for name, (_, line) in COMMANDS.items() if name.startswith(f"{group} " if group else "")}
    lines = [f"Usage: arsr {group or 'COMMAND'} ...", ""]
    lines += [f"  {name:15} {line}" for name, line in chosen.items()]
    return "\n".join([*lines, "", "'arsr COMMAND --help' explains a command, with examples."])


@contextlib.contextmanager
def _wide(wanted: bool) -> Iterator[None]:
    """tyro frames and wraps what it has to say of wrong options; the frame comes off more easily without the wraps."""
    before = dict(os.environ)
    os.environ |= {"COLUMNS": "10000"} if wanted else {}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def _plain(framed: str) -> str:
    """The message out of tyro's frame, in one line."""
    lines = [line.strip("│ ") for line in framed.splitlines()[1:]]
    text = " ".join(" ".join(line for line in lines if re.search(r"\w", line)).split())
    text = re.split(r" (?:Argument helptext|For full helptext)", text)[0]
    return re.sub(r"^Error parsing (?:[^-]\S*: )?", "", text).rstrip(".")


def _end(code: int, message: str) -> None:
    print(f"arsr: {message}", file=sys.stderr)
    sys.exit(code)
