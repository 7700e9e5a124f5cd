"""Recognisers to and from files: our own (.safetensors with a description inside) and public TSN weights."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from arsr_core.errors import InputError, checked
from arsr_core.files import write_atomically
from arsr_core.recognition import public
from arsr_core.recognition.backbones import BACKBONES
from arsr_core.recognition.recogniser import Recogniser
from arsr_core.recognition.settings import PROTOCOLS
from arsr_core.recognition.st_resnet import STResNet
from arsr_core.recognition.tsn import TSN
from arsr_core.weights import fill, read, serialised

NETWORKS: dict[str, type[Recogniser]] = {"TSN": TSN, "STResNet": STResNet}


@checked
def save(model: Recogniser, path: str | Path, **metadata: object) -> Path:
    """Write a network of NETWORKS with all that builds it again, atomically; the name ends in .safetensors.

    metadata: what JSON can hold (recipe, seed, ...), found again in `.metadata`; classes=[names in the order of the
    scores] sets `.classes`. Raises InputError for weights that are not finite and for a wrong number of names.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: expected a name that ends in .safetensors")
    state = model.state_dict()
    if bad := [key for key, value in state.items() if not value.isfinite().all()]:
        raise InputError(f"{path}: {bad[0]} has values that are not finite; the training diverged, nothing was saved")
    classes = metadata.pop("classes", model.classes)
    _check_classes(path, classes, model.arguments["classes"])
    parts = {"arguments": model.arguments, "classes": classes, "metadata": metadata}
    header = {"network": type(model).__name__} | {name: json.dumps(part) for name, part in parts.items()}
    write_atomically(path, serialised(state, header))
    return path


@checked
def load(
    path: str | Path, map_location: str | torch.device = "cpu", *, classes: int | Sequence[str] | None = None
) -> Recogniser:
    """A network that `save` wrote, in evaluation mode, with `.classes` (names or None) and `.metadata`.

    classes: how many, or which, are expected. Raises InputError for a file that is missing, damaged or of another
    origin, and for other classes than expected.
    """
    from safetensors import safe_open

    if Path(path).suffix != ".safetensors":
        raise InputError(f"{path}: expected a .safetensors file; public weights are read by load_public")
    state = read(path)
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
    try:
        arguments, names, metadata = (json.loads(header[part]) for part in ("arguments", "classes", "metadata"))
        with torch.device("meta"):  # no memory filled, no random number drawn
            model = NETWORKS[header["network"]](**arguments)
        if not (names is None or isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise TypeError("its classes are no list of names")
        model.classes, model.metadata = names and tuple(names), dict(metadata)
        if "protocol" in metadata:
            replace(PROTOCOLS["full"], **metadata["protocol"])
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        known = ", ".join(NETWORKS)
        raise InputError(f"{path}: describes no recogniser known here, {known} ({error}); train it again") from error
    _check_classes(path, names, model.arguments["classes"], classes)
    fill(model, state, where=str(path), remedy="train it again or restore the file")
    return model.to(map_location).eval()


@checked
def load_public(path: str | Path, *, classes: int | Sequence[str] | None = None) -> TSN:
    """Public TSN weights (see `public.read` for the namings), in evaluation mode; classes: how many are expected.

    Backbone, modality, length of the flow stack and number of classes are read off the file. Raises InputError, naming
    keys that are missing or left over.
    """
    name, state = public.read(path)
    if "fc.weight" not in state or state["fc.weight"].ndim != 2:
        raise InputError(f"{path}: no classifier among these weights of {name}; give them as TSN(..., imagenet=path)")
    _check_classes(path, None, len(state["fc.weight"]), classes)
    channels = public.channels(state)
    modality, flow_frames = "rgb" if channels == 3 else "flow", max(1, channels // 2)
    mean, std = BACKBONES[name].normalisation(channels)
    with torch.device("meta"):
        model = TSN(len(state["fc.weight"]), modality, name, flow_frames=flow_frames)
    fill(model, {"mean": mean, "std": std} | state, where=str(path), remedy=public.REMEDY)
    return model.eval()


def _check_classes(
    path: str | Path, names: Sequence[str] | None, count: int, expected: int | Sequence[str] | None = None
) -> None:
    """InputError unless there are as many different names as classes, and these are the expected ones."""

    def words(names: Sequence[str]) -> str:
        return ", ".join(map(str, names[:3])) + (", ..." if len(names) > 3 else "")

    if names is not None and not len(names) == len(set(names)) == count:
        raise InputError(f"{path}: expected {count} different names of classes, got {len(names)}: {words(names)}")
    number = expected if isinstance(expected, int | None) else len(expected)
    if number not in (None, count):
        raise InputError(f"{path}: a recogniser of {count} classes, expected {number}; give one trained on this data")
    if names is not None and not isinstance(expected, int | None) and list(names) != list(expected):
        raise InputError(f"{path}: its classes are {words(names)}, expected {words(expected)}")
