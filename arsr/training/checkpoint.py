"""All that a run needs to go on, in one file, and what the run is: its recipe, its schedule, the code of its loss.

What a loss computes is one hash, so that a checkpoint of another loss is refused. What runs counts: bytecode with its
constants, parameters and defaults, values closed over, and the globals it names, followed into every function and class
that a reader may edit: those of notebooks, scripts, arsr and arsr_core. A library's function counts by its name, a
tensor by its values, any other object by its type and its state. The names of the function and of its local variables,
comments, line breaks and docstrings do not count. Imports within a function are not followed.
"""

import dis
import functools
import hashlib
import io
import json
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch

from arsr_core import files
from arsr_core.errors import InputError

CHECKPOINT = "checkpoint.pt"
VALUES = (type(None), bool, int, float, complex, str, bytes, type(...), range, slice, Enum, PurePath)
VALUES += (np.generic, torch.dtype, torch.device)
NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
Seen = dict[int, tuple[str, object]]


class Checkpoint:
    """One file that changes in one instant, which accelerate's `save_state`, a folder of files, does not.

    identity: what the run is, in parts. parts: by kind and name, what has a state: modules, optimisers.
    """

    def __init__(self, path: Path, identity: dict[str, dict], parts: dict[str, dict[str, Any]]):
        self.path, self.identity, self.parts = path, json.loads(json.dumps(identity, default=str)), parts

    def save(self, step: int, rows: list[dict]) -> None:
        """Write the state after `step` steps; InputError, and the file before stays, where the disk is full."""
        content = {kind: {name: p.state_dict() for name, p in its.items()} for kind, its in self.parts.items()}
        whole = io.BytesIO()  # torch hides a full disk
        torch.save(content | {"step": step, "rows": rows, "identity": self.identity}, whole)
        with files.atomic(self.path) as temporary:
            temporary.write_bytes(whole.getbuffer())

    def restore(self) -> tuple[int, list[dict]]:
        """Fill the parts from the file -> (steps taken, rows of the curves); (0, []) where there is no file."""
        if not self.path.exists():
            return 0, []
        try:
            if not self.path.is_file():
                raise InputError("a pipe or a folder")
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            given = {part: dict(content["identity"].get(part, {})) for part in self.identity}
        except Exception as error:  # whatever a damaged archive raises
            raise self._damaged(error) from None
        if differing := [
            f"{part}.{key}"
            for part, expected in self.identity.items()
            for key in sorted(expected | given[part])
            if expected.get(key) != given[part].get(key)
        ]:
            raise InputError(
                f"{self.path}: a checkpoint of another recipe (they differ in {', '.join(differing)}); "
                "give another folder, or remove it to start anew"
            )
        try:
            for kind, its in self.parts.items():
                for name, part in its.items():
                    part.load_state_dict(content[kind][name])
            return int(content["step"]), [dict(row) for row in content["rows"]]
        except Exception as error:  # whatever foreign states raise
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self.path}: no checkpoint of this project ({type(error).__name__}); remove it")


def recipe(folder: str | Path) -> dict:
    """What the run in a folder is, as its checkpoint says: the `recipe` that `fit` was given."""
    return torch.load(Path(folder) / CHECKPOINT, map_location="cpu", weights_only=True, mmap=True)["identity"]["recipe"]


def fingerprint(value: object, but: Iterable[object] = ()) -> str:
    """16 hexadecimal digits that differ where two callables compute differently; `but`: objects that do not count.

    >>> fingerprint(lambda x: 2 * x) == fingerprint(lambda y: 2 * y), fingerprint(abs) == fingerprint(lambda x: 3 * x)
    (True, False)
    """
    return _digest(value, {id(x): ("but", x) for x in but})


def _digest(value: object, seen: Seen) -> str:
    return hashlib.sha256("\0".join(_parts(value, seen)).encode()).hexdigest()[:16]


def _parts(x: object, seen: Seen) -> Iterator[str]:
    """What counts of a value; `seen` names, and keeps, by id the objects met before, for they may know each other."""
    if isinstance(x, VALUES):
        yield repr(x)
    elif isinstance(x, (set, frozenset)):
        yield from sorted(_digest(item, dict(seen)) for item in x)
    elif isinstance(x, (tuple, list, Mapping)):
        yield f"{len(x)} items"
        for item in x.items() if isinstance(x, Mapping) else x:
            yield from _parts(item, seen)
    elif id(x) in seen:
        yield seen[id(x)][0]
    else:
        seen[id(x)] = (f"object {len(seen)}", x)
        kind = x if isinstance(x, NAMED) else type(x)
        own = _own(kind)
        yield "own" if own else f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind.__name__)}"
        yield from _parts(_inside(x, own), seen)


def _inside(x: Any, own: bool) -> object:
    """What counts of an object besides its type or, where it is a library's, its name."""
    match x:
        case torch.Tensor():
            whole = x.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
            return x.dtype, tuple(x.shape), hashlib.sha256(whole).hexdigest()
        case np.ndarray():
            return str(x.dtype), x.shape, hashlib.sha256(x.tobytes()).hexdigest()
        case types.CodeType():
            return x.co_code, x.co_names, x.co_varnames[: x.co_argcount + x.co_kwonlyargcount], x.co_consts
        case types.FunctionType() if own:
            constants = tuple("its docstring" if c is x.__doc__ else c for c in x.__code__.co_consts)
            closed = [cell.cell_contents for cell in x.__closure__ or () if cell != types.CellType()]
            named = [*_globals(x.__code__, x.__globals__)]
            return x.__code__.replace(co_consts=constants), x.__defaults__, x.__kwdefaults__, closed, named
        case type() if own:
            return {k: v for k, v in vars(x).items() if k == "__call__" or not k.startswith("__")}, x.__bases__
        case functools.partial():
            return x.func, x.args, x.keywords
        case types.MethodType():
            return x.__func__, x.__self__
        case property():
            return x.fget
    if hasattr(x, "__wrapped__"):  # static, class and cached methods
        return x.__wrapped__
    try:  # what it would be pickled by; a network's is not whether it trains
        state = None if isinstance(x, NAMED) else x.__getstate__()
    except Exception:  # what has none counts by its type
        return type(x)
    return type(x), {k: v for k, v in state.items() if k != "training"} if isinstance(state, dict) else state


def _globals(code: types.CodeType, known: dict[str, object]) -> Iterator[object]:
    """The globals that code names; of a module what it takes from it, `wmse` of `losses.wmse`."""
    value = None
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and isinstance(value, types.ModuleType):
            value = getattr(value, step.argval, None)
            continue
        if value is not None:
            yield value
        value = known.get(step.argval) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") else None
        if isinstance(step.argval, types.CodeType):
            yield from _globals(step.argval, known)


def _own(kind: object) -> bool:
    """Whether a reader may edit it: part of the project, or of no library."""
    name = kind.__name__ if isinstance(kind, types.ModuleType) else getattr(kind, "__module__", None) or "builtins"
    root = name.partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None)
    library = not file or root in sys.stdlib_module_names or "-packages" in file  # site-, dist-
    return root in ("__main__", "arsr", "arsr_core") or not library
