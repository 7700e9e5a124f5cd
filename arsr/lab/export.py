"""The shipped lite networks as ONNX, for frames of any size, each checked against torch before it is used.

What an export takes and gives is what `arsr_core` calls float frames: colours in [0, 1], neither clamped nor rounded.
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from arsr import manifest
from arsr_core import files, recognition
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS, Protocol

TOLERANCE = 1e-4  # largest difference of a value from torch's
SIZES = ((30, 40), (40, 53))  # LR rows and columns: of the trace, and of another frame that the export has to serve
PROTOCOL = PROTOCOLS["lite"]
RECOGNISERS = {"spatial": "tsn-rgb-lite", "temporal": "tsn-flow-lite"}  # entries of the manifest, by stream


@dataclass(frozen=True)
class Export:
    """A network as the page loads it; its input is "x", its output "y"."""

    name: str  # a method, or a stream of the recogniser
    title: str
    onnx: bytes
    frames: int  # that one SR frame is made of; 0: a recogniser


def networks(weights: Path) -> list[Export]:
    """Every method with shipped weights, as `manifest.best` chooses them, and TSN's two streams.

    A method takes (1, 3, h, w), one of several frames (1, frames, 3, h, w). A stream takes the snippets of a clip,
    (snippets, C, crop, crop), and gives their mean scores (1, classes). InputError without onnxruntime, and for an
    export that differs from torch by more than TOLERANCE.
    """
    found = []
    for name, model in manifest.at_hand(weights).items():
        if model.weights:
            found.append(Export(name, model.title, _super_resolution(model.network), model.network.frames))
    for stream, entry in RECOGNISERS.items():
        network = recognition.load(manifest.find(weights, entry))
        found.append(Export(stream, network.stream, _recogniser(network, PROTOCOL), 0))
    return found


def hashes(weights: Path) -> dict[str, str]:
    """By method the sha256 of the weights that `networks` exports."""
    return {name: files.sha256(model.weights) for name, model in manifest.at_hand(weights).items() if model.weights}


def _super_resolution(network: nn.Module) -> bytes:
    window = () if network.frames == 1 else (network.frames,)
    examples = [torch.rand(1, *window, 3, *size) for size in SIZES]
    free = {len(window) + 2: "h", len(window) + 3: "w"}
    return _checked(network, examples, {"x": free, "y": {2: "height", 3: "width"}})


def _recogniser(network: nn.Module, protocol: Protocol) -> bytes:
    size = protocol.snippets, network.channels, protocol.crop, protocol.crop
    return _checked(Clip(network), [torch.rand(size), torch.rand(size)], {})


class Clip(nn.Module):
    """A TSN that takes the snippets of one clip: (S, C, H, W) -> (1, classes)."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x[None])


def _checked(network: nn.Module, examples: list[torch.Tensor], free: dict[str, dict[int, str]]) -> bytes:
    """ONNX of a network, traced with the first example, compared with torch on all; free: axes of any length."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            "the laboratory needs onnx and onnxruntime; install the extra: pip install -e '.[book]'"
        ) from None
    file = io.BytesIO()
    names = dict(input_names=["x"], output_names=["y"], dynamic_axes=free)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on tracing: the second example shows what it froze
        # torch's newer exporter gives the same numbers, and takes up to 25 s a network, this one less than 1 s
        torch.onnx.export(network.eval(), (examples[0],), file, dynamo=False, opset_version=20, **names)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for x in examples:
        with torch.inference_mode():
            expected = network(x)
        [y] = session.run(None, {"x": x.numpy()})
        if not (error := (torch.from_numpy(y) - expected).abs().max().item()) <= TOLERANCE:
            raise InputError(f"laboratory: an exported {type(network).__name__} differs from torch by {error:.1e}")
    return file.getvalue()
