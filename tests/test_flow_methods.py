"""estimate and stream: every method by its own definition, and bad clips."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from arsr.embedded import generated
from arsr_core import flow, video
from arsr_core.errors import InputError

FAST = {"warps": 1, "scales": 2}


def random(n=2, t=4, h=40, w=48):
    """Smooth clips (N, T, 3, H, W)."""
    noise = torch.rand(n, t, 3, h // 4, w // 4, generator=torch.Generator().manual_seed(0))
    return F.interpolate(noise.flatten(0, 1), (h, w), mode="bilinear").unflatten(0, (n, t))


def test_tvl1_is_tvl1_pair_by_pair():
    clip = random()
    ours = flow.estimate(clip, **FAST)
    assert ours.shape == (2, 3, 2, 40, 48) and ours.dtype == torch.float32
    for n in range(2):
        assert torch.equal(ours[n], flow.tvl1(clip[n, :-1], clip[n, 1:], **FAST))
    assert torch.equal(flow.estimate((clip * 255 + 0.5).byte(), "tvl1", **FAST), ours)
    assert torch.equal(flow.estimate(clip, "tvl1", workers=2, **FAST), ours)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_constant_frames_do_not_move(level):
    still = flow.estimate(torch.full((1, 3, 3, 16, 20), level), **FAST)
    assert torch.equal(still, torch.zeros(1, 2, 2, 16, 20))


# --- RAFT, with random weights: its plumbing, not its flow


@pytest.fixture(scope="module")
def raft(tmp_path_factory):
    optical_flow = pytest.importorskip("torchvision.models.optical_flow")
    torch.manual_seed(0)
    network = optical_flow.raft_large().eval()
    path = tmp_path_factory.mktemp("raft") / "weights.pth"
    torch.save(network.state_dict(), path)
    return network, path


def test_raft_is_torchvisions(raft):
    network, path = raft
    clip = random(2, 3, 130, 138)  # neither side is a multiple of 8
    ours = flow.estimate(clip, "raft", weights=path, updates=2)
    assert ours.shape == (2, 2, 2, 130, 138)
    padded = F.pad(clip[1, 1:] * 2 - 1, (0, 6, 0, 6), mode="replicate")
    with torch.no_grad():
        theirs = network(padded[:1], padded[1:], num_flow_updates=2)[-1][..., :130, :138]
    torch.testing.assert_close(ours[1, 1:], theirs, rtol=0, atol=1e-3)
    assert not ours.is_inference() and not ours.requires_grad  # it may weight a loss


def test_raft_takes_small_frames_and_bytes(raft):
    clip = (random(1, 2, 24, 32) * 255).byte()
    ours = flow.estimate(clip, "raft", weights=raft[1], updates=1)
    assert ours.shape == (1, 1, 2, 24, 32)
    torch.testing.assert_close(ours, flow.estimate(clip / 255, "raft", weights=raft[1], updates=1))


def test_raft_reads_a_file_again_when_it_changes(raft, tmp_path):
    path, clip = tmp_path / "w.pth", random(1, 2, 24, 32)
    torch.save(raft[0].state_dict(), path)
    first = flow.estimate(clip, "raft", weights=path, updates=1)
    torch.save({k: v * 1.5 if v.is_floating_point() else v for k, v in raft[0].state_dict().items()}, path)
    assert not torch.equal(flow.estimate(clip, "raft", weights=path, updates=1), first)


def test_raft_without_weights_says_so(raft, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *a, **k: pytest.fail("a download nobody asked for"))
    with pytest.raises(InputError, match=r"not in torch's cache .*weights=FILE.* download=True"):
        flow.estimate(random(), "raft")


def test_raft_finds_torchs_cache_and_downloads_when_asked(raft, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    asked = []

    def fetch(url, path, hash_prefix, progress):
        asked.append((url.rsplit("/", 1)[1], hash_prefix))
        torch.save(raft[0].state_dict(), path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    clip = random(1, 2, 24, 32)
    first = flow.estimate(clip, "raft", download=True, updates=1)
    assert torch.equal(flow.estimate(clip, "raft", updates=1), first)  # now it is there
    assert asked == [("raft_large_C_T_SKHT_V2-ff5fadd5.pth", "ff5fadd5")]


def test_raft_download_that_fails(raft, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fetch(*arguments, **settings):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(InputError, match="cannot be fetched .no network.; copy them to"):
        flow.estimate(random(), "raft", download=True)


def test_raft_refuses_other_weights(raft, tmp_path):
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="w.pth: .* is missing.*; take those of torchvision's raft_large"):
        flow.estimate(random(), "raft", weights=tmp_path / "w.pth")
    with pytest.raises(InputError, match="absent.pth: no such file of weights"):
        flow.estimate(random(), "raft", weights="absent.pth")


# --- stream


@pytest.mark.parametrize("batch", [1, 2, 5, 100])
def test_stream_is_estimate(batch):
    frames = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), np.uint8)
    whole = flow.estimate(video.to_tensor(frames), **FAST)[0]
    assert torch.equal(torch.stack(list(flow.stream(iter(frames), batch=batch, **FAST))), whole)


def test_stream_reads_no_further_than_a_batch():
    read = []

    def frames():
        for t in range(100):
            read.append(t)
            yield np.full((16, 16, 3), t, np.uint8)

    flows = flow.stream(frames(), batch=3, **FAST)
    next(flows)
    assert len(read) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_stream_on_a_gpu():
    made = generated.clip(1, frames=4, size=(48, 64))
    flows = torch.stack(list(flow.stream(made.frames, device="cuda")))
    assert flows.shape == (3, 2, 48, 64) and not flows.is_cuda
    assert (flows - flow.estimate(video.to_tensor(made.frames))[0]).norm(dim=1).mean() < 0.05


# --- bad input

byte = np.zeros((16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: flow.estimate(random(), "flownet"), "unknown method 'flownet'; choose one of tvl1, raft"),
        (lambda: flow.estimate(random(), "raft", warps=2), "raft: got an unexpected keyword argument 'warps'"),
        (lambda: flow.estimate(random(), "raft", updates=0), "updates must be at least 1, got 0"),
        (lambda: flow.estimate(random(), "tvl1", warp=2), "no parameter warp"),
        (lambda: flow.estimate(random()[:, :1]), "two frames or more"),
        (lambda: flow.estimate(random()[:0]), "two frames or more"),
        (lambda: flow.estimate(random()[0]), r"\(N, T, 3, H, W\)"),
        (lambda: flow.estimate(random().int()), "expected float or uint8 clip .* got int32"),
        (lambda: flow.estimate(random()[..., :15]), "frames of 15x40 px are too small; expected 16x16"),
        (lambda: flow.estimate(random().fill_(float("nan"))), "found nan to nan"),
        (lambda: flow.estimate(255 * random()), "divide 8-bit values by 255"),
        (lambda: flow.estimate("clip.avi"), r"clip \(N, T, 3, H, W\); got str"),
        (lambda: list(flow.stream([])), "no frames; expected at least one"),
        (lambda: list(flow.stream([byte])), "two frames or more"),
        (
            lambda: list(flow.stream([byte, byte[:15]])),
            r"1: .* \(16, 16, 3\), as before: crop or resize; got uint8 \(15, 16, 3\)",
        ),
        (lambda: list(flow.stream([byte / 255])), "frame 0: expected a uint8 array .* got float64"),
        (lambda: list(flow.stream([1, 2])), "frame 0: expected a uint8 array .* got int"),
        (lambda: list(flow.stream([byte[:9], byte[:9]])), "frames of 16x9 px are too small"),
        (lambda: list(flow.stream([byte, byte], batch=0)), "batch must be at least 1"),
        (lambda: list(flow.stream([byte, byte], device="quantum")), "'cpu', 'cuda' .* got 'quantum'"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_one_nan_is_found():
    clip = random()
    clip[1, 2, 0, 3, 4] = float("nan")
    with pytest.raises(InputError, match="nan"):
        flow.estimate(clip)
