"""The `arsr` command. Wrong input ends with one line and exit code 2; a failing chapter with exit code 1.

Each command is a dataclass in `arsr.commands`: its fields are the options, its docstring and their comments the help.
"""

import functools
import inspect
import io
import os
import pkgutil
import re
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from itertools import pairwise
from unittest.mock import patch

from arsr import ChapterError
from arsr.printing import say
from arsr_core import __version__
from arsr_core.errors import InputError
from arsr_core.files import remedy

COMMANDS = {  # what is typed: the module and dataclass in arsr.commands, loaded when it is chosen
    "book": ("book.Book", "Build the book: execute the chapters that changed, make the pages."),
    "run": ("book.Run", "Execute one chapter with papermill."),
    "lab": ("book.Lab", "Make the laboratory alone, the page that runs the networks in a browser."),
    "claims": ("book.Claims", "Say of each claim of the paper what the numbers make of it."),
    "upscale": ("clips.Upscale", "Super-resolve your own video by four."),
    "flow": ("clips.Flow", "Write the optical flow of a video."),
    "train": ("training.Train", "Train a recogniser or a super-resolution network."),
    "train --list": ("training.List", "The recipes, with what each trains."),
    "adapt": ("training.Adapt", "Fit recogniser and video to each other."),
    "evaluate": ("scoring.Evaluate", "Score test clips with every method, from LR clip to both streams' scores."),
    "reproduce": ("scoring.Reproduce", "Reproduce the study: plan it, train what is missing, score every method."),
    "data check": ("data.Check", "Say per class what is complete, missing, unreadable or extra."),
    "data generate": ("data.Generate", "Write embedded (synthetic) clips as lossless video files."),
    "data clips": ("data.Clips", "Prepare a recogniser's training clips."),
    "data pairs": ("data.Pairs", "Prepare training pairs: the windows of HR frames that move most."),
    "weights list": ("weights.List", "The methods, the size of their networks."),
    "weights import": ("weights.Import", "Convert public weights to .safetensors, whatever their naming."),
}
FILES = ("IN", "--data", "--splits", "--start", "--test", "--weights", "--videos", "--rates", "--hr")


def main() -> None:
    """Run the command; wrong input ends with one line and code 2, a failing chapter with code 1."""
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):  # which Windows lacks
        if signal.getsignal(number) != signal.SIG_IGN:  # by nohup
            # end as after Ctrl-C: kernels and scratch folders go
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        parse(sys.argv[1:])()
    except InputError as error:
        _end(2, re.sub(r"\s*\n\s*", " ", str(error)))
    except ChapterError as error:
        _end(1, str(error))
    except BrokenPipeError:  # a reader such as `head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _end(2, f"{error.filename or 'file system'}: {error.strerror or error}; {remedy(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


def load(name: str) -> type:
    """The dataclass of a command."""
    return pkgutil.resolve_name(f"arsr.commands.{COMMANDS[name][0]}")


def parse(words: list[str]) -> Callable[[], None]:
    """The command that the words ask for, with its arguments; a list of commands where they are the start of some."""
    if words[:1] == ["--version"]:
        return functools.partial(print, f"arsr {__version__}")
    words = ["train", "--list"] if words == ["train"] else words
    asks_help = bool({"-h", "--help"} & set(words))
    name = max((name for name in COMMANDS if words[: len(name.split())] == name.split()), key=len, default=None)
    if name is None:
        typed = " ".join(word for word in words if word not in ("-h", "--help"))
        start = typed and f"{typed} "
        lines = [f"  {name:15} {line}" for name, (_, line) in COMMANDS.items() if f"{name} ".startswith(start)]
        if not lines:
            raise InputError(f"no command {typed!r}; 'arsr --help' lists them")
        about = "'arsr COMMAND --help' explains a command, with examples."
        return functools.partial(print, "Usage: arsr COMMAND ...", "", *lines, "", about, sep="\n")
    if not asks_help:
        glance(name, words[len(name.split()) :])
    import tyro

    arguments, description, said = words[len(name.split()) :], inspect.getdoc(load(name)), io.StringIO()
    # tyro frames and wraps what it has to say of wrong options: in one line the frame comes off
    wide = {} if asks_help else {"COLUMNS": "10000"}
    try:
        with redirect_stderr(said), patch.dict(os.environ, wide):
            return tyro.cli(load(name), prog=f"arsr {name}", description=description, args=arguments)
    except SystemExit as end:
        if not end.code:
            raise
        raise InputError(f"{_plain(said.getvalue())}; see 'arsr {name} --help'") from None


def glance(name: str, words: list[str]) -> None:
    """InputError for a file that is not there, for what is no device or nothing, before anything is loaded."""
    first = "IN" if name in ("upscale", "flow", "weights import") else name
    words = [part for word in words for part in (word.split("=", 1) if word[:2] == "--" else [word])]
    for option, value in pairwise([first, *words]):
        if not value:
            raise InputError(f"{option}: expected a value, got ''")
        value = value.partition("=")[2] if (name, option) == ("evaluate", "--weights") else value  # of METHOD=FILE
        if option in FILES and value[:1] not in ("-", "") and not os.path.exists(value):
            raise InputError(f"{value}: no such file or folder; check the path")
        if option == "--device" and not re.fullmatch(r"cpu|cuda(:\d+)?", value):
            raise InputError(f"expected device as 'cpu', 'cuda' or 'cuda:0'; got {value!r}")


def _plain(framed: str) -> str:
    """The message out of tyro's frame, in one line."""
    text = re.sub(r"(?:[\s─│╰╯]|-{3,})+", " ", framed.partition("\n")[2])
    text = re.split(r" (?:Argument helptext|For full helptext)", text)[0]
    return re.sub(r"^Error parsing (?:[^-]\S*: )?", "", text.strip()).rstrip(".")


def _end(code: int, message: str) -> None:
    say(f"arsr: {message}")
    sys.exit(code)
