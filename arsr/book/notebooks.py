"""Chapters as notebooks: text (MyST) -> ipynb -> papermill with a build's parameters -> an executed copy."""

import ast
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from arsr import ChapterError, places, reading
from arsr.book import keys
from arsr_core import files
from arsr_core.errors import InputError

CELL_SECONDS = 1800
OUTPUT_SECONDS = 300  # until what a cell shows has come: on a busy machine a viewer takes more than the usual four
ENVIRONMENT = {
    "SOURCE_DATE_EPOCH": "0",  # dates in figures
    "PYTHONHASHSEED": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as ipykernel sets it
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def source(page: Path) -> str:
    """The text of a chapter or another page."""
    return reading.text(page, "restore it")


def notebook(chapter: Path) -> Any:
    """The text notebook as an nbformat node, with cell ids that depend on the position alone."""
    # jsonschema's rules for addresses, which no notebook has, would take two seconds to load
    sys.modules.setdefault("rfc3987_syntax", None)
    import jupytext

    content = source(chapter)
    try:
        node = deepcopy(_read(jupytext.reads, content))
    except Exception as error:
        raise InputError(f"{chapter}: not a MyST text notebook ({error})") from error
    for number, cell in enumerate(node.cells):
        cell["id"] = f"cell-{number:03d}"
    return node


@cache
def _read(reads: Callable, text: str) -> Any:
    return reads(text, "md")


def code(chapter: Path) -> list[tuple[str, list[str]]]:
    """The code cells of a chapter, each as Python, its magics made calls, and with its tags."""
    return _code(chapter, source(chapter))


@cache
def _code(chapter: Path, text: str) -> list[tuple[str, list[str]]]:
    from IPython.core.inputtransformer2 import TransformerManager

    cells = [cell for cell in notebook(chapter).cells if cell.cell_type == "code"]
    return [(TransformerManager().transform_cell(cell.source), cell.metadata.get("tags", [])) for cell in cells]


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


def run(
    chapter: Path, target: Path, parameters: dict, environment: dict, names: dict, launch: Callable, running: list
) -> str:
    """Execute a chapter. `target` appears, with executed.ipynb, records/ and figures/, when all cells are done.

    names: paths of this machine, and what the executed copy calls them; launch: as jupyter_client.launch_kernel;
    running: gets the kernel's process, which the caller may terminate. Returns a line that says how long it took.
    Raises ChapterError for a cell that fails or warns, InputError for one that was given wrong input.
    """
    import papermill
    from jupyter_client import AsyncKernelManager
    from traitlets import Unicode

    papermill.log.logger.setLevel("CRITICAL")  # it raises what it logs
    name, started, failure = chapter.stem, time.monotonic(), None
    with files.atomic(target) as scratch:
        scratch.mkdir()
        executed, log = scratch / "executed.ipynb", scratch / "kernel.log"
        how = {"env": environment | {"ARSR_OUTPUT": str(scratch)}, "cwd": chapter.parent, "stderr": subprocess.STDOUT}

        class Manager(AsyncKernelManager):
            connection_file = Unicode(str(scratch / "kernel.json"))

            async def _async_launch_kernel(self, command: list[str], **_: Any) -> None:
                with log.open("w") as stdout:
                    running.append(launch(command, stdout=stdout, **how))
                self.provisioner.process = running[-1]

        settings = {"kernel_manager_class": Manager, "execution_timeout": CELL_SECONDS, "iopub_timeout": OUTPUT_SECONDS}
        settings["progress_bar"] = {"desc": name, "disable": None, "leave": False}
        try:
            papermill.execute_notebook(notebook(chapter), executed, dict(sorted(parameters.items())), **settings)
        except Exception as error:
            failure = error
        if failure:
            said = f"{failure}\n{log.read_text(errors='replace')[-4000:] if log.exists() else ''}"
            places.require_space(target, said)
        node = json.loads(executed.read_text(encoding="utf-8")) if executed.exists() else {"cells": []}
        _check(name, node["cells"])
        if failure:
            raise ChapterError(f"{name}: {said}") from failure
        cells = [round(c["metadata"]["papermill"]["duration"], 2) for c in node["cells"] if c["cell_type"] == "code"]
        executed.write_text(text(tidy(node, {str(scratch): "OUTPUT"} | names)), encoding="utf-8")
        log.unlink()
        seconds = round(time.monotonic() - started, 1)
        about = {"seconds": seconds, "cells": cells, "files": _content(scratch)}
        (scratch / "run.json").write_text(json.dumps(about))
    return f"{name}: executed in {seconds:.0f} s"


def whole(folder: Path) -> bool:
    """Whether a folder holds what `run` has put there, unchanged."""
    try:
        return json.loads((folder / "run.json").read_text())["files"] == _content(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _content(folder: Path) -> str:
    return keys.content(*sorted(path for path in folder.iterdir() if path.name != "run.json"))


def _check(chapter: str, cells: list[dict]) -> None:
    """Raise what the first cell deserves that failed, or warned."""
    for number, cell in enumerate((c for c in cells if c["cell_type"] == "code"), start=1):
        for out in cell.get("outputs", []):
            what = f"{chapter}, code cell {number}"
            if out.get("name") == "stderr":
                raise ChapterError(f"{what} warns, and a page shows no warnings:\n{''.join(out['text'])}")
            if out["output_type"] == "error":
                if out["ename"] == "InputError":
                    raise InputError(f"{what}: {out['evalue']}")
                trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(out["traceback"]))
                raise ChapterError(f"{what}: {out['ename']}: {out['evalue']}\n{trace}")


def tidy(node: dict, names: dict[str, str]) -> dict:
    """An executed notebook without times, addresses and machine paths; the injected cell folded, its twin removed."""
    injected = any("injected-parameters" in cell["metadata"].get("tags", []) for cell in node["cells"])
    for number, cell in enumerate(node["cells"]):
        cell["id"] = f"cell-{number:03d}"
        kept = {k: v for k, v in cell["metadata"].items() if k not in ("papermill", "execution")}
        cell["metadata"] = {k: v for k, v in kept.items() if v != []}  # papermill's `tags` of a cell that has none
        if "outputs" in cell:
            cell["outputs"] = _joined(cell["outputs"])
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


def _joined(outputs: list[dict]) -> list[dict]:
    """Outputs whose printed text is in one piece: how a kernel sends it in pieces depends on the time."""
    found = []
    for out in outputs:
        if out.get("output_type") == "stream":
            text = "".join(out["text"])
            if found and found[-1].get("name") == out["name"]:  # of the same stream
                text = "".join(found.pop()["text"]) + text
            out = out | {"text": text.splitlines(keepends=True)}
        found.append(out)
    return found


def retold(executed: Path, chapter: Path) -> dict:
    """An executed notebook with the prose, tags and captions that its chapter has by now; its code is the same."""
    node = reading.data(executed, f"remove {executed.parent}")
    ran, cells = iter([cell for cell in node["cells"] if cell["cell_type"] == "code"]), []
    for cell in notebook(chapter).cells:
        if cell.cell_type != "code":
            cells.append(cell | {"source": cell.source.splitlines(keepends=True)})
            continue
        cells.append(next(ran))
        if "remove-cell" in cells[-1]["metadata"].get("tags", []):  # the twin of the injected parameters
            cells.append(next(ran))
        else:
            cells[-1]["metadata"] = cell.metadata
    return node | {"cells": [cell | {"id": f"cell-{number:03d}"} for number, cell in enumerate(cells)]}


def text(node: dict) -> str:
    """A notebook as JSON, the same for the same notebook."""
    return json.dumps(node, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


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
