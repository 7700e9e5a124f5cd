"""What reaches a terminal or a page: names that others gave, with what would move a cursor written out."""

import re
import shlex
import sys


def printable(text: object) -> str:
    r"""Text whose control characters, marks of direction and bytes that are no text are written out, as \x1b.

    >>> printable("a\x1b[2J\udce9")
    'a\\x1b[2J\\udce9'
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\N{NO-BREAK SPACE}" else ascii(c)[1:-1] for c in text)


def typed(*program: str) -> str:
    """The command as it was typed, for provenance; of absolute paths the name alone, for they are a machine's own.

    program: the words before the arguments, as `python`, `benchmarks/flow.py`.
    """
    words = (re.sub(r"(^|=)/(?:[^/]*/)*(?=[^/])", r"\1", word) for word in sys.argv[1:])
    return printable(shlex.join([*program, *words]))


def tell(text: object, **options: object) -> None:
    """Print text line by line as `printable`, and what the terminal's alphabet lacks as `\\xe9`. options: print's."""
    lines = "\n".join(map(printable, str(text).split("\n")))
    coding = getattr(options.get("file", sys.stdout), "encoding", None) or "utf-8"
    print(lines.encode(coding, "backslashreplace").decode(coding), **options)


def say(line: object) -> None:
    """A line for the person, not for a pipe."""
    tell(line, file=sys.stderr, flush=True)
