"""State dicts from files, in safe formats only, and into networks."""

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from arsr_core.errors import InputError, checked, describe

State = dict[str, torch.Tensor]

# where training tools put the state dict, preferred first: averaged weights are those that authors test with
WRAPPERS = ("params_ema", "state_dict_ema", "model_ema", "params", "state_dict", "model")
# DataParallel, torch.compile, mmagic, Lightning (but for ESRGAN of 2018, model.0.weight)
PREFIXES = (r"module\.", r"_orig_mod\.", r"generator_ema\.", r"generator\.", r"model_ema\.", r"model\.(?!\d)")
FOREIGN = (".caffemodel", ".onnx", ".pb", ".tflite")  # weights in forms that are not read here
ARRAYS = ("numpy.core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype")  # what the pickle of an array names
DENSE = 16  # bytes of tensors for a byte of their file, at most: weights hardly compress
AGAIN = "copy or download it again"


@checked
def read(path: str | Path) -> State:
    """The tensors of a .safetensors, .h5 / .hdf5 or PyTorch file, or of pickled arrays, without wrappers and prefixes.

    What a file holds decides, not its suffix. A PyTorch file is read with weights_only=True, of a plain pickle nothing
    but numpy's arrays: nothing in them is executed. Floats become float32. Raises InputError for a missing, damaged or
    unsafe file and for one without a state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights; give the path of a .safetensors, .h5 or .pth file")
    state = _reader(path)(path)
    for _ in WRAPPERS:  # they nest
        state = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), state)
    if len(inner := [value for value in state.values() if _names_tensors(value)]) == 1 and not _names_tensors(state):
        state = inner[0]  # whatever the wrapper is called
    tensors = {str(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    state = {key: value.detach() for key, value in tensors.items() if value.layout is torch.strided and value.is_cpu}
    _require_held(path, sum(value.numel() * value.element_size() for value in state.values()))
    while prefix := next((p for p in PREFIXES if any(re.match(p, key) for key in state)), None):
        state = {re.sub(prefix, "", key, count=1): value for key, value in state.items() if re.match(prefix, key)}
    if not state:
        raise InputError(f"{path}: holds no tensors by name; save the network's state_dict()")
    # names reach a terminal
    state = {(key if key.isprintable() else ascii(key))[:200]: value for key, value in state.items()}
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


@checked
def serialised(state: State, metadata: Mapping[str, str]) -> bytes:
    """The bytes of a .safetensors file, always the same: the library's order of the metadata changes with each run."""
    from safetensors.torch import save

    # memory that no two tensors share
    own = {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    data = save(own, metadata=dict(metadata))
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


@checked
def renamed(state: State, rules: Mapping[str, str]) -> State:
    """The tensors under new names: each key after all rules in turn, regular expressions at its start -> replacement.

    >>> list(renamed({"HRconv.bias": torch.zeros(1)}, {"HRconv": "conv_hr"}))
    ['conv_hr.bias']
    """
    names = {}
    for key, value in state.items():
        for pattern, ours in rules.items():
            key = re.sub(f"^{pattern}", ours, key)
        names[key] = value
    return names


@checked
def fill(
    model: nn.Module, state: State, *, where: str, remedy: str = "take weights of this network at x4 for RGB"
) -> nn.Module:
    """Put the tensors into a network, which may lie on the meta device; InputError names the first differences.

    BatchNorm's counters of batches, which some formats lack, start at 0.

    >>> fill(nn.Linear(2, 1), {"weight": torch.zeros(1, 2)}, where="w.pth", remedy="train it again")
    Traceback (most recent call last):
    arsr_core.errors.InputError: w.pth: bias (1,) is missing; train it again
    """
    expected = model.state_dict()
    state = {key: torch.tensor(0) for key in expected if key.endswith("num_batches_tracked")} | state
    differences = (_difference(key, expected.get(key), state.get(key)) for key in expected | state)
    if faults := [fault for fault in differences if fault]:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(f"{where}: {'; '.join(faults[:3])}{more}; {remedy}")
    model.load_state_dict(state, assign=True)
    return model


def _difference(key: str, wanted: torch.Tensor | None, found: torch.Tensor | None) -> str:
    if found is None:
        return f"{key} {describe(wanted)} is missing"
    if wanted is None:
        return f"{key} {describe(found)} is not part of it"
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return f"{key} is {describe(found)}, expected {describe(wanted)}"
    finite = not found.is_floating_point() or found.isfinite().all()
    return "" if finite else f"{key} has values that are not finite"


def _names_tensors(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(item, torch.Tensor) for item in value.values())


def _reader(path: Path) -> Callable[[Path], Mapping]:
    """By content; by suffix where the content says nothing, for the error that fits."""
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith((b"PK\x03\x04", b"\x80\x02\x8a")):  # PyTorch's, of today and of before 2020
        return _read_torch
    if head.startswith(b"\x89HDF"):
        return _read_hdf5
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return _read_safetensors
    if path.suffix.lower() in FOREIGN:
        raise InputError(f"{path}: {path.suffix} is not read here; convert it to .safetensors, .pth or ncnn's .param")
    by_suffix = {".safetensors": _read_safetensors, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
    return by_suffix.get(path.suffix.lower(), _read_torch)


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, "safetensors file", error) from error


def _read_hdf5(path: Path) -> State:
    """VSR-DUF's parameter files: datasets in the group `params`, `/` written `_` and `_` written `__`."""
    import h5py

    def own(group: h5py.Group, key: str) -> h5py.Group | h5py.Dataset:
        """What lies in this very file: HDF5 can have other files' bytes in it."""
        item = group[key] if isinstance(group.get(key, getlink=True), h5py.HardLink) else None
        if item is None or (isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)):
            raise InputError(f"{path}: {key!a} is a link or lies in another file; save the tensors in this one")
        return item

    try:
        with h5py.File(path) as file:
            group = own(file, "params") if "params" in file else file
            items = {key: item for key in group if isinstance(item := own(group, key), h5py.Dataset) and item.ndim}
            _require_held(path, sum(item.nbytes for item in items.values()))
            names = {key: re.sub(r"(?<!_)_(?!_)", "/", key).replace("__", "_").removesuffix(":0") for key in items}
            arrays = {names[key]: item[()] for key, item in items.items()}
            return {key: torch.from_numpy(a.astype(a.dtype.newbyteorder("="))) for key, a in arrays.items()}
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, "HDF5 file of parameters", error) from error


def _read_torch(path: Path) -> Mapping:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                parts = archive.infolist()
            _require_held(path, sum(part.file_size for part in parts))
            if any(part.filename.endswith("/constants.pkl") for part in parts):
                raise _program(path, "a TorchScript program")
        # by its path, it would go by the suffix; what it remarks besides is for its own authors
        with warnings.catch_warnings(action="ignore"), path.open("rb") as file:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        with path.open("rb") as file:
            pickled = file.read(1) == b"\x80"  # a plain pickle, or PyTorch's form of before 2020
        if pickled and (arrays := _arrays(path)):
            return arrays
        if pickled or "GLOBAL" in str(error):
            raise _program(path, "holds Python objects besides tensors") from error
        raise _damaged(path, "PyTorch file") from error
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file leads the reader to
        raise _damaged(path, "PyTorch file", error) from error
    if not isinstance(state, Mapping):
        raise InputError(f"{path}: holds a {type(state).__name__}, expected a state dict")
    return state


class _Stub:
    """What stands for an array or a dtype while its pickle is read: how it is made, and its state."""

    def __init__(self, *made: object):
        self.made = made

    def __setstate__(self, state: object) -> None:
        self.state = state

    def tensor(self) -> torch.Tensor:
        """Of an array, whose state is (version, shape, dtype, whether by columns, bytes)."""
        _, shape, kind, columns, data = self.state
        kind = np.dtype(kind.state[1].strip("|") + kind.made[0])
        array = np.frombuffer(data, kind).reshape(shape, order="F" if columns else "C")
        return torch.from_numpy(array.astype(kind.newbyteorder("="), order="C"))


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Stub]:
        if f"{module}.{name}".replace("._core.", ".core.") not in ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return _Stub


def _arrays(path: Path) -> State:
    """The arrays of a pickled dict of lists, as KEY.0, KEY.1 ...; {} where it holds anything else."""
    try:
        with path.open("rb") as file:
            lists = _Unpickler(file).load()
        return {f"{key}.{i}": array.tensor() for key, arrays in lists.items() for i, array in enumerate(arrays)}
    except Exception:  # whatever a pickle of something else leads to
        return {}


def _require_held(path: Path, announced: int) -> None:
    """InputError where a header promises more than the file can hold, before memory is taken for it."""
    if announced > DENSE * (size := path.stat().st_size) + 2**20:
        raise InputError(f"{path}: announces {announced:,} bytes of tensors in a file of {size:,}; {AGAIN}")


def _program(path: Path, what: str) -> InputError:
    return InputError(
        f"{path}: {what}, which could run code; where you trust it, load it with its own program and save "
        "model.state_dict() with safetensors.torch.save_file"
    )


def _damaged(path: Path, kind: str, error: Exception | None = None) -> InputError:
    """Says the first sentence of an error; PyTorch's own is about pickles and helps nobody."""
    line = error and (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0][:120]
    return InputError(f"{path}: damaged or no {kind}{f' ({line})' if line else ''}; {AGAIN}")
