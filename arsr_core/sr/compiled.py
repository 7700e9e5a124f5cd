"""RRDBNet and RCAN compiled by OpenVINO for a CPU: with AMX in four fifths of torch's time, without it no faster."""

import warnings

import torch
from torch import nn

from arsr_core.errors import InputError

SUITED = ("RRDBNet", "RCAN")  # the others are no faster than in torch, or lose over 0.02 dB


class Compiled:
    """A network of one frame as `openvino` runs it: float32 (N, 3, H, W) of any size -> (N, 3, 4H, 4W).

    half: in bfloat16, else in float32. Raises InputError for another network, one on a GPU, and without the package.
    """

    def __init__(self, network: nn.Module, half: bool):
        if (name := type(network).__name__) not in SUITED:
            raise InputError(f"upscale: openvino serves {' and '.join(SUITED)}, got {name}; use backend torch")
        if (device := next(network.parameters()).device).type != "cpu":
            raise InputError(f"upscale: openvino computes on a CPU, got device {device}; use backend torch")
        try:
            import openvino
            from openvino.frontend import FrontEndManager
            from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
        except ImportError as error:
            raise InputError(
                "upscale: openvino is not installed; pip install openvino, or use backend torch"
            ) from error
        self.scale = network.scale
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of tracing: shapes stay as free as they are
            traced = torch.jit.trace(network, torch.zeros(1, 3, 16, 16), check_trace=False)
        decoder = TorchScriptPythonDecoder(traced)  # must outlive the conversion
        frontend = FrontEndManager().load_by_framework("pytorch")  # openvino.convert_model would report its use
        graph = frontend.convert(frontend.load(decoder))
        graph.reshape([-1, 3, -1, -1])
        precision = {"INFERENCE_PRECISION_HINT": "bf16" if half else "f32"}
        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        self.run = openvino.compile_model(graph, "CPU", precision | threads)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.run(x.contiguous().numpy())[0])
