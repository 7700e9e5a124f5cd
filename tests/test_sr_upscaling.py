"""Windows, tiles, batches, precision and the three fronts of arsr_core.sr.upscaling, on tiny networks."""

import io
import sys
import time
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from arsr_core import degrade, devices, metrics, video
from arsr_core.errors import InputError
from arsr_core.sr import METHODS, build, engine, load
from arsr_core.sr.compiled import Compiled
from arsr_core.sr.engine import Settings
from arsr_core.sr.networks import bands
from arsr_core.sr.upscaling import upscale, upscale_frames, upscale_video


class Single(nn.Module):
    """Two convolutions and a pixel shuffle: a receptive field of radius 2."""

    scale, frames, margin = 4, 1, 2

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.last = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 48, 3, padding=1),
        )

    def forward(self, x):
        base = F.interpolate(x, scale_factor=4)
        return base + 0.2 * F.pixel_shuffle(self.last(self.norm(self.first(x)).relu()), 4)


class Several(nn.Module):
    """A 3-D convolution over a window of `frames`."""

    scale, margin = 4, 1

    def __init__(self, frames=3):
        super().__init__()
        torch.manual_seed(0)
        self.frames = frames
        self.conv = nn.Conv3d(3, 48, (frames, 3, 3), padding=(0, 1, 1))

    def forward(self, x):
        return F.pixel_shuffle(self.conv(x.transpose(1, 2))[:, :, 0], 4)


class Centre(nn.Module):
    """Codes the window's frames into one number: frame k of the window counts 2^k."""

    scale, margin = 4, 0

    def __init__(self, frames):
        super().__init__()
        self.frames = frames

    def forward(self, x):
        x = x if x.ndim == 5 else x[:, None]
        codes = 2.0 ** torch.arange(self.frames).view(-1, 1, 1, 1) / 2**self.frames
        return F.interpolate((x * codes).sum(1), scale_factor=4)


class Whole(Single):
    """A global average, as RCAN's channel attention: no tiles."""

    margin = None

    def forward(self, x):
        return super().forward(x) * torch.sigmoid(x.mean((-2, -1), keepdim=True))


class Fixed(Single):
    """Gives one value."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return torch.full_like(F.interpolate(x, scale_factor=4), self.value)


def clip(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def stream(count: int, height: int = 12, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


EXACT = {"precision": "float32"}

# Tensors ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_single_frames_are_the_networks_own_output_clamped():
    model, x = Single().eval(), clip(2, 3, 3, 9, 11)
    sr = upscale(model, x, **EXACT)
    assert sr.shape == (2, 3, 3, 36, 44) and sr.dtype == torch.float32
    torch.testing.assert_close(sr.flatten(0, 1), model(x.flatten(0, 1)).clamp(0, 1), atol=1e-6, rtol=0)
    assert sr.min() == 0 and sr.max() == 1  # noise overshoots, so the clamp is at work


PAD = {"replicate": {"mode": "edge"}, "reflect": {"mode": "reflect"}, "black": {"mode": "constant"}}


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 12), radius=st.integers(0, 4), padding=st.sampled_from(sorted(PAD)))
def test_windows_are_those_of_numpys_padding(n, radius, padding):
    values = np.random.default_rng(n).random(n)
    x = torch.tensor(values, dtype=torch.float32).view(1, n, 1, 1, 1).expand(1, n, 3, 2, 2)
    padded = np.pad(values, radius, **PAD[padding])
    frames = 2 * radius + 1
    codes = 2.0 ** np.arange(frames) / 2**frames
    expected = [codes @ padded[t : t + frames] for t in range(n)]
    sr = upscale(Centre(frames), x, padding=padding, **EXACT)
    np.testing.assert_allclose(sr[0, :, 0, 0, 0], expected, atol=1e-6)


def test_windows_never_cross_clips():
    x = clip(2, 4, 3, 5, 6)
    together = upscale(Several(), x, batch=3, **EXACT)
    apart = torch.cat([upscale(Several(), c[None], batch=3, **EXACT) for c in x])
    torch.testing.assert_close(together, apart, atol=1e-6, rtol=0)


def test_the_default_padding_repeats_the_last_frame_and_black_differs():
    x = clip(1, 1, 3, 5, 6)
    model = Several()
    repeated = upscale(model, x.expand(1, 3, -1, -1, -1), **EXACT)[:, 1:2]
    torch.testing.assert_close(upscale(model, x, **EXACT), repeated, atol=1e-6, rtol=0)
    assert (upscale(model, x, padding="black", **EXACT) - repeated).abs().max() > 0.01


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(2, 23),
    width=st.integers(2, 23),
    tile=st.integers(1, 25),
    model=st.sampled_from([Single, Several]),
)
def test_tiles_leave_no_seam(height, width, tile, model):
    x = clip(1, 2, 3, height, width)
    whole = upscale(model(), x, tile=None, **EXACT)
    torch.testing.assert_close(upscale(model(), x, tile=tile, **EXACT), whole, atol=1e-6, rtol=0)


def test_a_margin_too_small_would_show():
    model, x = Single(), clip(1, 1, 3, 16, 16)
    whole = upscale(model, x, tile=None, **EXACT)
    model.margin = 1
    assert (upscale(model, x, tile=5, **EXACT) - whole).abs().max() > 1e-4


@pytest.mark.parametrize("sides", [(1, 1), (7, 40), (40, 7), (33, 50)])
@pytest.mark.parametrize("tile", [1, 8, 16, 100, None])
def test_pieces_cover_the_frame_once_and_are_no_larger_than_a_tile(sides, tile):
    model = Single()
    seen = np.zeros(sides, int)
    for top, bottom, left, right, (rows, columns) in engine._pieces(model, *sides, tile):
        seen[top:bottom, left:right] += 1
        assert min(bottom - top, right - left) >= 1
        assert max(bottom - top, right - left) <= (tile or 100)
        assert rows.start in (0, top - 2) or top < 2
        assert rows.stop in (sides[0], bottom + 2) and columns.stop in (sides[1], right + 2)
    assert (seen == 1).all()


def plan(model, height, width, half=False, **settings):
    return engine._plan(model, height, width, Settings(**settings), torch.device("cpu"), half)


def test_auto_cuts_frames_that_memory_does_not_hold(monkeypatch):
    monkeypatch.setattr(devices, "memory", lambda device: 1 << 30)
    single, whole, several = Single(), Whole(), Several(frames=7)
    single.footprint = whole.footprint = several.footprint = 256  # 1 KiB a pixel: 512 x 512 in a quarter of a gibibyte
    assert plan(single, 60, 80) == (None, 1)
    assert plan(single, 6, 8) == (None, engine.PIXELS["cpu"] // 48)
    assert plan(single, 600, 1000) == (512 - 4, 1)  # of which the margins take 2 each way
    assert plan(single, 600, 1000, half=True) == (724 - 4, 1)
    assert plan(several, 600, 1000) == (512 - 2, 1)
    assert plan(whole, 600, 1000) == (None, 1)
    assert plan(single, 200, 300, tile=64, batch=3) == (64, 3)
    single.footprint = 1 << 17
    assert plan(single, 24, 300) == (32, 1)
    assert plan(single, 20, 30) == (None, 1)


def test_frames_that_no_memory_holds_are_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(devices, "memory", lambda device: 1 << 30)
    single, whole = Single(), Whole()
    single.footprint = whole.footprint = 256
    with pytest.raises(
        InputError, match=r"1 x 1000x900 in Whole would take 1\.0 GiB, 1\.0 GiB are there; give smaller frames$"
    ):
        plan(whole, 900, 1000)
    with pytest.raises(
        InputError,
        match=r"100 x 240x200 in Single would take 5\.4 GiB.*smaller frames, a smaller tile, a smaller batch$",
    ):
        plan(single, 200, 240, batch=100)
    with pytest.raises(InputError, match="give smaller frames, a smaller tile$"):
        plan(single, 900, 1000, tile=1000)
    assert plan(single, 900, 1000) == (508, 1)
    assert plan(whole, 900, 1000, half=True) == (None, 1)


class Living(TorchDispatchMode):
    """The most bytes of tensors alive at once that operations made."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.sizes = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        for x in out if isinstance(out, (list, tuple)) else [out]:
            storage = x.untyped_storage() if isinstance(x, torch.Tensor) else None
            if storage is not None and storage._cdata not in self.sizes:
                self.sizes[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self.free, storage._cdata)
        return out

    def free(self, key):
        self.now -= self.sizes.pop(key)


@pytest.mark.parametrize("name", METHODS)
def test_the_footprint_is_what_a_forward_holds(name, monkeypatch):
    monkeypatch.setattr(bands, "PIXELS", 1)
    shallow = {"layers": 4, "groups": 1, "blocks": 4}
    model = build(name, **{k: shallow.get(k, v) for k, v in METHODS[name].hyper.items()})
    x = clip(1, model.frames, 3, 400, 8)
    with torch.no_grad(), Living() as living:
        model.eval()(x if model.frames > 1 else x[:, 0])
    assert 0.85 < living.most / (4 * 400 * 8) / model.footprint < 1.1


def test_global_operations_take_whole_frames_only():
    x = clip(1, 1, 3, 16, 16)
    assert upscale(Whole(), x).shape == (1, 1, 3, 64, 64)
    with pytest.raises(InputError, match="Whole looks at the whole frame.*give no tile instead of 8"):
        upscale(Whole(), x, tile=8)


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
@pytest.mark.parametrize("model", [Single, Several])
def test_the_batch_changes_nothing(model, batch):
    x = clip(1, 5, 3, 8, 9)
    torch.testing.assert_close(
        upscale(model(), x, batch=batch, **EXACT), upscale(model(), x, **EXACT), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("model", [Single, Several])
def test_bfloat16_costs_less_than_a_fiftieth_of_a_decibel(model):
    """Against a reference at 30 dB, which is what super-resolution reaches."""
    x = clip(1, 4, 3, 16, 16)
    exact = upscale(model(), x, **EXACT)
    half = upscale(model(), x, precision="bfloat16")
    assert half.dtype == torch.float32 and (half != exact).any()
    hr = (exact + 10 ** (-30 / 20) * torch.randn(exact.shape, generator=torch.Generator().manual_seed(1))).flatten(0, 1)
    loss = metrics.psnr(exact[0], hr).mean() - metrics.psnr(half[0], hr).mean()
    assert abs(loss) < 0.02


@pytest.mark.parametrize("name", ["esrgan", "rcan"])
def test_openvino_changes_psnr_by_less_than_a_twentieth_of_a_decibel_and_takes_any_size(name):
    pytest.importorskip("openvino")
    model = load(name, f"weights/{name}-lite.safetensors")
    for height, width in ((30, 40), (17, 23)):
        hr = degrade.imresize(clip(1, 2, 3, height // 2, width // 2), 8).clamp(0, 1)  # soft, as images are
        lr = degrade.to_lr(degrade.modcrop(hr, 4), 4, eight_bit=True)
        exact, other = (upscale(model, lr, **way) for way in (EXACT, {"backend": "openvino"}))
        lost = metrics.psnr(exact, hr) - metrics.psnr(other, hr)
        assert exact.shape == other.shape and lost.abs().max() < 0.05  # RRDBNet with AMX: 0.02 to 0.04 either way
        float32 = upscale(model, lr, backend="openvino", **EXACT)
        torch.testing.assert_close(float32, exact, atol=1e-4, rtol=0)
    torch.testing.assert_close(upscale(model, lr, backend="openvino"), other, atol=0, rtol=0)  # the same twice


def test_openvino_is_refused_where_it_does_not_serve(monkeypatch):
    with pytest.raises(InputError, match=r"^upscale: openvino serves RRDBNet and RCAN, got VDSR; use backend torch$"):
        upscale(build("vdsr"), clip(1, 1, 3, 8, 8), backend="openvino")
    with pytest.raises(InputError, match=r"^upscale: openvino computes on a CPU, got device meta; use backend torch$"):
        Compiled(build("rcan", **METHODS["rcan"].lite).to("meta"), half=False)  # stands for a GPU
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"^upscale: openvino is not installed; pip install openvino, or use backend"):
        upscale(build("rcan", **METHODS["rcan"].lite), clip(1, 1, 3, 8, 8), backend="openvino")


def test_auto_precision_follows_the_hardware(monkeypatch):
    x = clip(1, 1, 3, 8, 8)
    for native, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(devices, "multiplies_bfloat16", lambda device, native=native: native)
        assert torch.equal(upscale(Single(), x), upscale(Single(), x, precision=precision))


def test_the_network_and_torchs_switches_stay_as_they_were():
    model = Single().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tf32 = torch.backends.cudnn.allow_tf32
    sr = upscale(model, clip(1, 3, 3, 8, 8).requires_grad_())
    assert model.training and torch.backends.cudnn.allow_tf32 == tf32
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.last.weight.is_contiguous()
    assert not sr.requires_grad and not sr.is_inference()  # usable in a loss


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_networks_of_other_float_types_compute_in_float32(dtype):
    model, x = Single().to(dtype), clip(1, 1, 3, 8, 8)
    assert torch.equal(upscale(model, x, **EXACT), upscale(Single().to(dtype).float(), x, **EXACT))
    assert model.last.weight.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_become_float32(dtype):
    x = clip(1, 1, 3, 8, 8).to(dtype)
    assert torch.equal(upscale(Single(), x, **EXACT), upscale(Single(), x.float(), **EXACT))


def test_unrounded_bicubic_lr_with_its_overshoot_is_accepted():
    hr = (clip(1, 2, 3, 64, 64) > 0.5).float()
    lr = degrade.to_lr(hr.repeat_interleave(4, -1).repeat_interleave(4, -2)[..., :64, :64])
    assert lr.min() < 0 and lr.max() > 1
    assert upscale(Single(), lr).shape == (1, 2, 3, 64, 64)


def test_a_network_without_parameters_computes_where_the_clip_is():
    assert upscale(Centre(1), clip(1, 2, 3, 4, 4)).shape == (1, 2, 3, 16, 16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("model", [Single, Several])
def test_a_gpu_gives_what_the_cpu_gives(model):
    x = clip(2, 5, 3, 24, 32)
    here = upscale(model(), x, **EXACT)
    there = upscale(model(), x, device="cuda", **EXACT)
    assert there.device == x.device
    torch.testing.assert_close(there, here, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        upscale(model(), x.cuda(), device="cuda", tile=8, **EXACT).cpu(), here, atol=1e-5, rtol=0
    )
    assert (upscale(model(), x, device="cuda") - here).abs().max() < 0.02
    many = np.stack(list(upscale_frames(model(), stream(9), device="cuda", **EXACT)))
    assert np.abs(many - np.stack(list(upscale_frames(model(), stream(9), **EXACT))).astype(int)).max() <= 1


# The published networks -------------------------------------------------------------------------------------


def lite(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build(name, **METHODS[name].lite).eval()


@torch.no_grad()
@pytest.mark.parametrize("name", METHODS)
def test_published_networks_upscale_clips_of_any_length(name):
    model, x = lite(name), clip(1, 2, 3, 13, 18)
    sr = upscale(model, x, **EXACT)
    assert sr.shape == (1, 2, 3, 52, 72) and sr.min() >= 0 and sr.max() <= 1
    radius = model.frames // 2
    window = x[:, [0] * (radius + 1) + [1] * radius]  # around frame 0: itself, then frame 1
    first = model(window if radius else x[:, 0]).clamp(0, 1)
    torch.testing.assert_close(sr[:, 0], first, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_tiles_of_published_networks_leave_no_seam(name):
    model = lite(name)
    side = 16 if model.margin is None else 2 * model.margin + 9
    x = clip(1, 1, 3, side, side + 3)
    if model.margin is None:
        with pytest.raises(InputError, match="looks at the whole frame"):
            upscale(model, x, tile=8)
        return
    whole = upscale(model, x, tile=None, **EXACT)
    tiled = upscale(model, x, tile=side // 2, **EXACT)
    torch.testing.assert_close(tiled, whole, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["rcan", "srgan", "esrgan"])
def test_bands_of_the_enlarging_end_leave_no_seam(name, monkeypatch):
    model, x = lite(name), clip(3, 3, 61, 12)
    with torch.no_grad():
        whole = model(x)
        for pixels in (1, 300, 800):  # the least rows; 25 rows; frames one by one
            monkeypatch.setattr(bands, "PIXELS", pixels)
            torch.testing.assert_close(model(x), whole, atol=1e-5, rtol=1e-5)


def test_bands_are_whole_where_a_gradient_is_wanted_and_a_margin_too_small_shows(monkeypatch):
    monkeypatch.setattr(bands, "PIXELS", 1)
    seen = []

    def tail(x):
        seen.append(x.shape[-2])
        return F.interpolate(F.avg_pool2d(x, 5, 1, 2, count_include_pad=False), scale_factor=4)

    x = clip(1, 3, 40, 6)
    whole = bands.in_bands(tail, x, 2)
    with torch.no_grad():
        torch.testing.assert_close(bands.in_bands(tail, x, 2), whole)
        assert (bands.in_bands(tail, x, 1) - whole).abs().max() > 0.01
    assert seen[0] == 40 and max(seen[1:]) < 40


@pytest.mark.shared
def test_bfloat16_costs_nothing_with_published_weights_on_real_clips(shared_data):
    model = load("vdsr", shared_data / "weights" / "vdsr_291_epoch50.safetensors")
    for path in sorted((shared_data / "clips").glob("*/*/*.avi"))[:3]:
        hr = degrade.modcrop(video.to_tensor(video.read(path, stop=1).frames))
        lr = degrade.to_lr(hr, eight_bit=True)
        exact, half = (metrics.psnr(upscale(model, lr, precision=p), hr).item() for p in ("float32", "bfloat16"))
        assert exact > metrics.psnr(upscale(build("bicubic"), lr), hr).item()
        assert abs(exact - half) < 0.02


# Streams ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Single, Several])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_stream_is_the_tensor_rounded(model, count):
    frames = stream(count)
    sr = np.stack(list(upscale_frames(model(), iter(frames), **EXACT)))
    assert sr.dtype == np.uint8 and sr.shape == (count, 48, 64, 3)
    assert np.array_equal(sr, video.to_uint8(upscale(model(), video.to_tensor(frames), **EXACT)))


def test_a_stream_reads_no_further_than_a_batch_and_half_a_window():
    read = 0

    def source():
        nonlocal read
        for frame in stream(40, 4, 4):
            read += 1
            yield frame

    for done, _ in enumerate(upscale_frames(Several(frames=5), source(), batch=3), 1):
        assert read <= min(done + 2 + 2, 40)  # two more of the batch, two more of the window
    assert done == 40


def test_a_stream_may_reuse_its_array():
    frames = stream(6)

    def source():
        buffer = np.empty_like(frames[0])
        for frame in frames:
            buffer[:] = frame
            yield buffer

    expected = list(upscale_frames(Several(), frames))
    assert all(map(np.array_equal, upscale_frames(Several(), source()), expected))


def test_mirrored_views_are_frames_too():
    frames = stream(3)
    flipped = list(upscale_frames(Centre(1), (f[:, ::-1] for f in frames), **EXACT))
    straight = list(upscale_frames(Centre(1), frames, **EXACT))
    assert np.array_equal(np.stack(flipped)[:, :, ::-1], np.stack(straight))


# Files ------------------------------------------------------------------------------------------------------


def write_clip(path: Path, frames: np.ndarray, sound: str | None = "aac", fps: int = 25, delay: float = 0) -> Path:
    """A lossless clip with a tone; `delay` seconds pass before the picture and the sound start."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("ffv1", rate=fps)
        picture.height, picture.width, picture.pix_fmt = *frames[0].shape[:2], "bgr0"
        tone = sound and container.add_stream(sound, rate=16000, layout="mono")
        for number, frame in enumerate(frames):
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            image.pts, image.time_base = round(delay * fps) + number, Fraction(1, fps)
            container.mux(picture.encode(image))
        container.mux(picture.encode())
        if sound:
            wave = np.sin(np.arange(16000 * len(frames) // fps) / 5) * 8000
            samples = av.AudioFrame.from_ndarray(wave.astype("<i2")[None], format="s16", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 16000, round(16000 * delay), Fraction(1, 16000)
            container.mux(tone.encode(samples))
            container.mux(tone.encode())
    return path


def sound_packets(path: Path) -> tuple[list[bytes], list[float]]:
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(audio=0) if p.dts is not None]
        return [bytes(p) for p in packets], [float(p.pts * p.time_base) for p in packets]


@pytest.mark.parametrize("target", ["sr.mp4", "sr.mkv", "sr.mov"])
@pytest.mark.parametrize("delay", [0, 2])
def test_a_file_keeps_rate_length_and_sound(tmp_path, target, delay):
    soft = np.stack([np.full((12, 16, 3), (200, 90, 30), np.uint8) + np.uint8(t) for t in range(50)])
    source = write_clip(tmp_path / "lr.mkv", soft, delay=delay)
    upscale_video(Centre(1), source, tmp_path / target)
    sr = video.read(tmp_path / target)
    assert sr.frames.shape == (50, 48, 64, 3) and sr.fps == 25
    codes = soft.repeat(4, 1).repeat(4, 2) / 2  # Centre(1) halves the values
    assert np.abs(sr.frames - codes).max() <= 4  # colours are right: 4:2:0 of BT.601 is tagged as such
    (before, times), (after, new_times) = sound_packets(source), sound_packets(tmp_path / target)
    assert before == after and len(before) > 10
    assert max(abs(a - delay - b) for a, b in zip(times, new_times, strict=True)) < 0.03
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lr.mkv", target]


def test_a_file_keeps_the_shape_of_its_pixels(tmp_path):
    source = tmp_path / "lr.mp4"
    video.encode(source, stream(3), 25, aspect=Fraction(16, 11))
    for target, lossless in (("sr.mp4", False), ("sr.mkv", False), ("exact.mov", True)):
        upscale_video(Single(), source, tmp_path / target, lossless=lossless)
        assert video.probe(tmp_path / target).aspect == Fraction(16, 11)
    with pytest.raises(InputError, match="exact.mkv: FFV1 is written with square pixels"):
        upscale_video(Single(), source, tmp_path / "exact.mkv", lossless=True)


def test_sound_and_picture_are_interleaved(tmp_path):
    source = write_clip(tmp_path / "lr.mkv", stream(100, 4, 4))
    video.encode(tmp_path / "sr.mp4", stream(100), 25, sound=source)
    with av.open(str(tmp_path / "sr.mp4")) as container:
        order = [p.stream.type for p in sorted(container.demux(), key=lambda p: p.pos or 0) if p.dts is not None]
    assert "audio" in order[: len(order) // 4] and "video" in order[-len(order) // 4 :]


def test_sound_that_the_container_cannot_hold_is_refused(tmp_path):
    source = write_clip(tmp_path / "lr.mkv", stream(5), sound="pcm_u8")
    with pytest.raises(
        InputError, match=r"sr\.mp4: mp4 cannot hold the source's sound \(pcm_u8\); give an \.mkv, or convert"
    ):
        upscale_video(Single(), source, tmp_path / "sr.mp4")
    upscale_video(Single(), source, tmp_path / "sr.mkv")
    assert sound_packets(source)[0] == sound_packets(tmp_path / "sr.mkv")[0]


def test_silent_files_lossless_files_and_folders(tmp_path):
    frames = stream(3)
    expected = np.stack(list(upscale_frames(Single(), frames)))
    source = write_clip(tmp_path / "lr.mkv", frames, sound=None)
    upscale_video(Single(), source, tmp_path / "sr.mp4")
    assert video.probe(tmp_path / "sr.mp4").fps == 25
    upscale_video(Single(), source, tmp_path / "sr.avi", lossless=True)
    upscale_video(Single(), source, tmp_path / "sr")
    for target in ("sr.avi", "sr"):
        assert np.array_equal(video.read(tmp_path / target).frames, expected)
    with pytest.raises(InputError, match="a folder of images has no rate; give fps"):
        upscale_video(Single(), tmp_path / "sr", tmp_path / "twice.mp4")
    upscale_video(Single(), tmp_path / "sr", tmp_path / "twice.mp4", fps=12)
    assert video.probe(tmp_path / "twice.mp4").fps == 12


def test_another_rate_leaves_the_sound_out(tmp_path):
    source = write_clip(tmp_path / "lr.mkv", stream(10))
    upscale_video(Single(), source, tmp_path / "sr.mp4", fps=50)
    with av.open(str(tmp_path / "sr.mp4")) as container:
        assert not container.streams.audio and container.streams.video[0].average_rate == 50


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("target", ["sr.mp4", "sr"])
def test_a_network_that_gives_nan_leaves_no_file(tmp_path, value, target):
    source = write_clip(tmp_path / "lr.mkv", stream(4))
    if value != value:
        with pytest.raises(InputError, match="Fixed gave NaN; check its weights"):
            upscale_video(Fixed(value), source, tmp_path / target)
        assert [p.name for p in tmp_path.iterdir()] == ["lr.mkv"]
    else:  # infinity has a colour: white
        upscale_video(Fixed(value), source, tmp_path / target)
        assert video.read(tmp_path / target).frames.min() > 250


def test_an_older_target_survives_an_error(tmp_path):
    source = write_clip(tmp_path / "lr.mkv", stream(4))
    (tmp_path / "sr.mp4").write_bytes(b"precious")
    with pytest.raises(InputError):
        upscale_video(Fixed(float("nan")), source, tmp_path / "sr.mp4")
    assert (tmp_path / "sr.mp4").read_bytes() == b"precious"


def test_refused_files(tmp_path):
    source = write_clip(tmp_path / "lr.mkv", stream(2))
    with pytest.raises(InputError, match="fps from 0.001 to 1000 frames per second, got 0"):
        upscale_video(Single(), source, tmp_path / "sr.mp4", fps=0)
    for target, message in {
        "lr.mkv": "source and target are the same file",
        "sr.gif": "expected .mp4, .mov or .mkv",
        "none/sr.mp4": "the folder .*none does not exist",
    }.items():
        with pytest.raises(InputError, match=message):
            upscale_video(Single(), source, tmp_path / target)
    with pytest.raises(InputError, match="no such file"):
        upscale_video(Single(), tmp_path / "absent.avi", tmp_path / "sr.mp4")
    with pytest.raises(InputError, match="even sides only"):
        video.encode(tmp_path / "odd.mp4", stream(2, 7, 9), 25)
    assert [p.name for p in tmp_path.iterdir()] == ["lr.mkv"]


# Bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (clip(1, 2, 1, 8, 8), r"expected float clip \(N, T, 3, H, W\); got float32 \(1, 2, 1, 8, 8\)"),
        (clip(2, 3, 8, 8), r"\(2, 3, 8, 8\); video\.to_tensor"),
        ((clip(1, 1, 3, 8, 8) * 255).to(torch.uint8), r"got uint8 \(1, 1, 3, 8, 8\); video\.to_tensor"),
        (stream(2), r"uint8 \(2, 12, 16, 3\)"),
        (clip(1, 0, 3, 8, 8), r"got float32 \(1, 0, 3, 8, 8\)"),
        (clip(0, 1, 3, 8, 8), r"\(0, 1, 3, 8, 8\) is empty"),
        (torch.full((1, 1, 3, 8, 8), 255.0), r"found 255 to 255; divide 8-bit values by 255"),
        (torch.full((1, 1, 3, 8, 8), -1.0), r"found -1 to -1"),
        (torch.full((1, 1, 3, 8, 8), float("inf")), r"found inf to inf"),
        (clip(1, 1, 3, 8, 8).log().sqrt(), "found nan to nan; check what made nan"),
    ],
)
def test_bad_clips(x, message):
    with pytest.raises(InputError, match=message) as caught:
        upscale(Several(), x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"padding": "zeros"}, "padding as 'replicate', 'reflect', 'black'; got 'zeros'"),
        ({"precision": "float16"}, "precision as 'auto', 'float32', 'bfloat16'; got 'float16'"),
        ({"backend": "onnx"}, "backend as 'torch', 'openvino'; got 'onnx'"),
        ({"tile": 0}, "tile as None or a whole number from 1; got 0"),
        ({"tile": "big"}, "got 'big'"),
        ({"batch": 0}, "batch as None or a whole number from 1; got 0"),
        ({"device": "gpu"}, "expected device as 'cpu', 'cuda' or 'cuda:0'; got 'gpu'"),
        ({"device": "mps"}, "got 'mps'"),
        ({"device": "meta"}, "got 'meta'"),
        ({"device": 1.5}, "got '1.5'"),
        ({"device": "cuda:99"}, r"cuda:99 was asked for, but torch finds \d+ CUDA devices; give 'cpu'"),
    ],
)
def test_bad_settings_are_refused_by_both_fronts(setting, message):
    for call in (
        lambda: upscale(Single(), clip(1, 1, 3, 8, 8), **setting),
        lambda: next(upscale_frames(Single(), stream(1), **setting)),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_networks_and_clips_without_numbers():
    x = clip(1, 1, 3, 8, 8)
    with pytest.raises(InputError, match="Single lies on the meta device, without numbers; load weights first"):
        upscale(Single().to("meta"), x, device="cpu")
    with pytest.raises(InputError, match="is empty"):
        upscale(Single(), x.to("meta"))


@pytest.mark.parametrize("model", [nn.Conv2d(3, 3, 1), lambda x: x, "vdsr"])
def test_no_network_of_ours(model):
    with pytest.raises(InputError, match="expected a network with scale, frames, margin,|expected model as Module"):
        upscale(model, clip(1, 1, 3, 8, 8))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames; expected at least one"),
        ([np.zeros((4, 4, 3), np.float32)], r"frame 0: expected a uint8 array \(H, W, 3\); got float32 \(4, 4, 3\)"),
        ([np.zeros((4, 4, 4), np.uint8)], r"got uint8 \(4, 4, 4\)"),
        ([np.zeros((4, 4), np.uint8)], r"got uint8 \(4, 4\)"),
        ([None], "got NoneType"),
        (
            [np.zeros((4, 6, 3), np.uint8), np.zeros((6, 4, 3), np.uint8)],
            r"frame 1: expected a uint8 array \(4, 6, 3\), as before: crop or resize; got uint8 \(6, 4, 3\)",
        ),
    ],
)
def test_bad_streams(frames, message):
    with pytest.raises(InputError, match=message):
        list(upscale_frames(Several(), frames))


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you ...")],
)
def test_memory_that_runs_out_is_one_line(error):
    class Greedy(Single):
        def forward(self, x):
            raise error

    with pytest.raises(InputError, match=r"1 x 8x8 in 1 piece\(s\) do not fit.*smaller batch or tile"):
        upscale(Greedy(), clip(1, 1, 3, 8, 8))


def test_other_errors_of_a_network_stay_what_they_are():
    class Broken(Single):
        def forward(self, x):
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        upscale(Broken(), clip(1, 1, 3, 8, 8))


# Progress ---------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_for_terminals_and_long_work(monkeypatch, capsys):
    class Slow(Single):
        def forward(self, x):
            time.sleep(2.5)
            return super().forward(x)

    x = clip(1, 1, 3, 8, 8)
    upscale(Single(), x)  # no terminal
    assert capsys.readouterr() == ("", "")
    for model, progress, shown in ((Single, True, False), (Slow, False, False), (Slow, True, True)):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        upscale(model(), x, progress=progress)
        monkeypatch.undo()
        assert ("1/1" in terminal.getvalue()) == shown
        assert shown or not terminal.getvalue()


def test_a_lone_small_window_goes_in_twice():
    """torch's CPU code convolves a single one several times slower; the frame stays the same."""
    seen = []

    class Watched(Several):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    x = torch.rand(1, 3, 3, 8, 8)
    made = upscale(Watched(), x, batch=2, **EXACT)
    assert seen == [2, 2]  # two frames, and the third with its copy
    torch.testing.assert_close(made, upscale(Several(), x, batch=3, **EXACT), atol=1e-6, rtol=0)
