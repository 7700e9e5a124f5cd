"""Chapters as notebooks: text (MyST) -> ipynb -> papermill with a build's parameters -> an executed copy."""

from __future__ import annotations

import ast
import json
import multiprocessing
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arsr import ChapterError
from arsr_core import files
from arsr_core.errors import InputError

CELL_SECONDS = 1800
ENVIRONMENT = {
    "SOURCE_DATE_EPOCH": "0",  # dates in figures
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def notebook(chapter: Path) -> Any:
    """The text notebook as an nbformat node, with cell ids that depend on the position alone."""
    import jupytext

    try:
        node = jupytext.read(chapter)
    except Exception as error:
        raise InputError(f"{chapter}: not a MyST text notebook ({error})") from error
    for number, cell in enumerate(node.cells):
        cell["id"] = f"cell-{number:03d}"
    return node


def code(chapter: Path) -> Iterator[tuple[str, list[str]]]:
    """The code cells of a chapter, each as Python, its magics made calls, and with its tags."""
    from IPython.core.inputtransformer2 import TransformerManager

    for cell in notebook(chapter).cells:
        if cell.cell_type == "code":
            yield TransformerManager().transform_cell(cell.source), cell.metadata.get("tags", [])


def declared_parameters(chapter: Path) -> dict[str, object]:
    """Names and default values (literals) of the cell tagged `parameters`."""
    try:
        statements = [s for source, tags in code(chapter) if "parameters" in tags for s in ast.parse(source).body]
        return {s.targets[0].id: ast.literal_eval(s.value) for s in statements}
    except (SyntaxError, AttributeError, ValueError) as error:
        raise InputError(f"{chapter}: its parameters cell holds more than `name = literal` lines ({error})") from error


def imports(chapter: Path) -> set[str]:
    """What a chapter's cells import: modules, and names in modules, which may be modules too."""
    found = set()
    for source, _ in code(chapter):
        for statement in ast.walk(ast.parse(source)):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                above = f"{statement.module}." if isinstance(statement, ast.ImportFrom) else ""
                found |= {above.rstrip("."), *(above + alias.name for alias in statement.names)}
    return found


def run(chapter: Path, target: Path, parameters: dict[str, object], threads: int, names: dict[str, str]) -> str:
    """Execute a chapter. `target` appears, with executed.ipynb, records/ and figures/, when all cells are done.

    names: paths of this machine, and what the executed copy calls them. Returns a line that says how long it took.
    Raises ChapterError for a cell that fails or warns, InputError for one that was given wrong input.
    """
    import papermill

    name, started = chapter.stem, time.monotonic()
    row = int(multiprocessing.current_process().name.rpartition("-")[2]) - 1  # of a pool's processes
    bar = {"desc": name, "leave": False, "disable": None, "position": row}
    quiet = ["--log-level=ERROR"]  # a kernel says on the terminal that its sockets are not encrypted
    how = {"cwd": chapter.parent, "execution_timeout": CELL_SECONDS, "extra_arguments": quiet, "progress_bar": bar}
    with files.atomic(target) as scratch:
        scratch.mkdir()
        os.environ.update(ENVIRONMENT, OMP_NUM_THREADS=str(threads), ARSR_OUTPUT=str(scratch))  # for the kernel
        try:
            node = papermill.execute_notebook(notebook(chapter), None, parameters, **how)
        except papermill.PapermillExecutionError as error:
            cell = f"{name}, code cell {error.exec_count}"
            if error.ename == "InputError":
                raise InputError(f"{cell}: {error.evalue}") from None
            trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
            raise ChapterError(f"{cell}: {error.ename}: {error.evalue}\n{trace}") from None
        except (RuntimeError, TimeoutError) as error:  # the kernel died, or a cell takes for ever
            raise ChapterError(f"{name}: {error}") from None
        for cell in node.cells:
            for out in cell.get("outputs", []):
                if out.get("name") == "stderr":
                    what = f"{name}, code cell {cell.execution_count}"
                    raise ChapterError(f"{what} warns, and a page shows no warnings:\n{out.text}")
        node = tidy(node, {str(scratch): "OUTPUT"} | names)
        text = json.dumps(node, indent=1, ensure_ascii=False, sort_keys=True)
        (scratch / "executed.ipynb").write_text(text + "\n", encoding="utf-8")
        seconds = time.monotonic() - started
        (scratch / "run.json").write_text(json.dumps({"seconds": round(seconds, 1)}) + "\n", encoding="utf-8")
    return f"{name}: executed in {seconds:.0f} s"


def tidy(node: dict, names: dict[str, str]) -> dict:
    """An executed notebook without times, addresses and machine paths; the injected cell folded, its twin removed."""
    injected = any("injected-parameters" in cell["metadata"].get("tags", []) for cell in node["cells"])
    for number, cell in enumerate(node["cells"]):
        cell["id"] = f"cell-{number:03d}"
        for noise in ("papermill", "execution"):
            cell["metadata"].pop(noise, None)
        for out in cell.get("outputs", []):  # a widget's model ended with its kernel; its HTML stays
            out.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        tags = cell["metadata"].get("tags", [])
        if "parameters" in tags and injected:
            tags.append("remove-cell")
        if "injected-parameters" in tags:
            tags.append("hide-input")
            cell["metadata"]["mystnb"] = {"code_prompt_show": "Parameters of this build"}
    metadata = {k: v for k, v in node["metadata"].items() if k in ("kernelspec", "language_info")}
    return _renamed({**node, "metadata": metadata}, names)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """A notebook with other names for paths in its strings, and no addresses; embedded pictures are left alone."""
    if isinstance(value, dict):
        return {k: v if k.startswith("image/") else _renamed(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_renamed(v, names) for v in value]
    if not isinstance(value, str):
        return value
    for path, name in names.items():
        value = re.sub(re.escape(path) + r"(?![\w.-])", lambda _, name=name: name, value)
    return re.sub(r" at 0x[0-9a-f]{6,}", "", value)
