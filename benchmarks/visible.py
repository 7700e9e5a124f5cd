"""The share of each chapter's code that a reader sees at once: `python benchmarks/visible.py`.

Counted are lines of code cells without blank lines and comments; cells of parameters are left out. A cell whose tags
hide or remove its input is not seen.
"""

from pathlib import Path

from arsr.book import notebooks

HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


def visible(chapter: Path) -> tuple[int, int]:
    """Lines of code that are seen at once, and all of them."""
    lines = [(sum(_counts(line) for line in source.splitlines()), {*tags}) for source, tags in notebooks.code(chapter)]
    shown = [(n, not tags & HIDDEN) for n, tags in lines if "parameters" not in tags]
    return sum(n for n, seen in shown if seen), sum(n for n, _ in shown)


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith("#")


if __name__ == "__main__":
    total = [0, 0]
    for path in sorted((Path(__file__).parents[1] / "book").glob("[0-9][0-9]-*.md")):
        seen, every = visible(path)
        total = [total[0] + seen, total[1] + every]
        print(f"{path.stem:32} {seen:4} of {every:4} lines {100 * seen / max(every, 1):4.0f} %")
    print(f"{'all':32} {total[0]:4} of {total[1]:4} lines {100 * total[0] / max(total[1], 1):4.0f} %")
