"""The cache of encoded flow: keys, recency, damage, a full disk, and many processes at a time."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from arsr.data import flow_cache
from arsr_core import flow
from arsr_core.errors import InputError


def entry(seed, size=1000):
    return torch.randint(0, 256, (size,), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def key(seed):
    return flow_cache.cache_key(bytes([seed]))


def never():
    raise AssertionError("computed though it was there")


def contents(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.parent != folder)  # without its mark


def total(folder):
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


# --- keys


def test_key_depends_on_clip_and_on_all_that_is_done_with_it():
    clip = bytes(range(32))
    made = {"sr": "vdsr", "weights": "ab12", "flow": {"method": "tvl1", "warps": 5}, "bound": 20}
    keys = {
        flow_cache.cache_key(clip, **made),
        flow_cache.cache_key(clip[::-1], **made),
        flow_cache.cache_key(clip[1:], **made),
        flow_cache.cache_key(clip, **made | {"sr": "rcan"}),
        flow_cache.cache_key(clip, **made | {"weights": "ab13"}),
        flow_cache.cache_key(clip, **made | {"flow": {"method": "tvl1", "warps": 2}}),
        flow_cache.cache_key(clip),
    }
    assert len(keys) == 7 and all(len(k) == 64 for k in keys)
    assert flow_cache.cache_key(clip, **dict(reversed(made.items()))) in keys  # order does not matter


# --- entries


def test_entry_is_computed_once(tmp_path):
    encoded = flow.encode_uint8(5 * torch.randn(1, 3, 2, 8, 10, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(flow_cache.Cache(tmp_path / "c").get(key(0), lambda: encoded), encoded)
    again = flow_cache.Cache(tmp_path / "c").get(key(0), never)
    assert torch.equal(again, encoded) and again.dtype == torch.uint8
    again += 1  # its own memory
    assert contents(tmp_path / "c") == [f"{key(0)}.npz"]
    with np.load(next((tmp_path / "c").rglob("*.npz"))) as arrays:  # a plain file that others can read
        assert np.array_equal(arrays["flow"], encoded.numpy())


def test_peek_computes_nothing(tmp_path):
    cache = flow_cache.Cache(tmp_path)
    assert cache.peek(key(0)) is None and not contents(tmp_path)
    assert torch.equal(cache.get(key(0), lambda: entry(0)), cache.peek(key(0)))
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(b"torn")
    with pytest.warns(RuntimeWarning, match="damaged cache entry"):
        assert cache.peek(key(0)) is None


def test_entry_must_be_encoded(tmp_path):
    with pytest.raises(InputError, match="uint8, got torch.float32"):
        flow_cache.Cache(tmp_path).get(key(0), lambda: torch.zeros(3))
    assert contents(tmp_path) == []


def test_error_while_computing_keeps_nothing(tmp_path):
    with pytest.raises(AssertionError):
        flow_cache.Cache(tmp_path).get(key(0), never)
    assert contents(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "other member"])
def test_damaged_entry_is_reported_and_computed_again(tmp_path, damage):
    cache = flow_cache.Cache(tmp_path)
    cache.get(key(0), lambda: entry(0))
    [path] = tmp_path.rglob("*.npz")
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    elif damage == "other member":
        np.savez(path, other=np.zeros(3))
        data = path.read_bytes()
    path.write_bytes({"cut": data[:-100], "empty": b"", "text": b"nothing of the kind"}.get(damage, data))
    with pytest.warns(RuntimeWarning, match=f"{path.name}: damaged cache entry .*computed again"):
        assert torch.equal(cache.get(key(0), lambda: entry(0)), entry(0))
    assert torch.equal(cache.get(key(0), never), entry(0))


# --- size


def used_at(folder, seed, seconds):
    [path] = folder.rglob(f"{key(seed)}.npz")
    os.utime(path, (seconds, seconds))


def test_least_recently_used_goes_first(tmp_path):
    now = time.time()
    cache = flow_cache.Cache(tmp_path, limit=4 * 1300)  # an entry: 1000 random bytes and about 200 around them
    for seed in range(4):
        cache.get(key(seed), lambda seed=seed: entry(seed))
        used_at(tmp_path, seed, now - 100 + seed)
    cache.get(key(0), never)  # the oldest is used again
    cache.get(key(4), lambda: entry(4))
    assert contents(tmp_path) == sorted(f"{key(seed)}.npz" for seed in (0, 2, 3, 4))
    assert total(tmp_path) <= 4 * 1300


def test_limit_holds_and_survives_a_new_process(tmp_path):
    for seed in range(40):
        cache = flow_cache.Cache(tmp_path, limit=20_000)  # a new process knows nothing of the others
        cache.get(key(seed), lambda seed=seed: entry(seed))
        assert total(tmp_path) <= 20_000
    assert len(contents(tmp_path)) >= 15
    cache.get(key(39), never)


def test_few_looks_at_a_large_cache(tmp_path, monkeypatch):
    cache, looks = flow_cache.Cache(tmp_path, limit=10_000_000), []
    evict = cache._evict
    monkeypatch.setattr(cache, "_evict", lambda: (looks.append(1), evict()))
    for seed in range(50):
        cache.get(key(seed), lambda seed=seed: entry(seed, 10_000))
    assert len(looks) == 1 + 49 // 10  # each 1 % of the limit, 100,000 bytes, is ten entries


def test_entry_larger_than_the_limit(tmp_path):
    cache = flow_cache.Cache(tmp_path, limit=2000)
    cache.get(key(0), lambda: entry(0))
    with pytest.raises(InputError, match="exceeds the limit of 2,000"):
        cache.get(key(1), lambda: entry(1, 5000))
    assert contents(tmp_path) == [f"{key(0)}.npz"]
    with pytest.raises(InputError, match="limit must be positive"):
        flow_cache.Cache(tmp_path, limit=0)


def test_remains_of_a_killed_process_go(tmp_path):
    cache = flow_cache.Cache(tmp_path, limit=2000)
    (tmp_path / "ab").mkdir()
    old, new = tmp_path / "ab" / ".old.tmp", tmp_path / "ab" / ".new.tmp"
    for path in (old, new):
        path.write_bytes(bytes(1500))
    os.utime(old, (time.time() - 4000,) * 2)
    cache.get(key(0), lambda: entry(0))
    assert not old.exists() and new.exists()  # the new one may still be written


# --- disk and processes


def test_full_disk_is_a_clear_error_and_harms_nothing(tmp_path):
    flow_cache.Cache(tmp_path).get(key(0), lambda: entry(0))
    code = """
        import resource, signal, sys
        import torch
        from arsr.data import flow_cache
        from arsr_core.errors import InputError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # every write beyond fails, as on a full disk
        cache = flow_cache.Cache(sys.argv[1])
        key = lambda seed: flow_cache.cache_key(bytes([seed]))
        try:
            cache.get(key(1), lambda: torch.randint(0, 256, (200_000,), dtype=torch.uint8))
        except InputError as error:
            print(error)
        print(len(cache.get(key(0), None)), len(cache.get(key(2), lambda: torch.zeros(9, dtype=torch.uint8))))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    error, still = done.stdout.splitlines()
    assert error.startswith(f"{tmp_path}/") and "cannot be written (File too large); free some space" in error
    assert still == "1000 9"
    assert contents(tmp_path) == sorted(f"{key(seed)}.npz" for seed in (0, 2))  # and no remains


def hammer(folder, number):
    torch.set_num_threads(1)
    cache = flow_cache.Cache(folder, limit=12_000)
    rng = np.random.default_rng(number)
    for seed in rng.integers(0, 20, 60).tolist():
        assert torch.equal(cache.get(key(seed), lambda seed=seed: entry(seed)), entry(seed))


@pytest.mark.filterwarnings("error")
def test_processes_share_a_cache(tmp_path, forking):
    """Four processes read, write and evict twenty entries of which nine fit: none is ever wrong or half-written."""
    with forking.Pool(4) as pool:
        pool.starmap(hammer, [(tmp_path, number) for number in range(4)])
    assert all(name.endswith(".npz") for name in contents(tmp_path))
    flow_cache.Cache(tmp_path, limit=12_000).get(key(99), lambda: entry(99))
    assert total(tmp_path) <= 12_000


def test_a_folder_may_be_claimed_by_another_process_meanwhile(tmp_path, monkeypatch):
    """It makes its mark and its first entry just after we saw an empty folder."""
    iterdir = Path.iterdir

    def meanwhile(folder):
        (folder / ".arsr-flow").touch()
        (folder / "ab").mkdir(exist_ok=True)
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", meanwhile)
    assert flow_cache.Cache(tmp_path).folder == tmp_path


def write_for_ever(folder):
    cache = flow_cache.Cache(folder)
    for seed in range(100_000):
        cache.get(flow_cache.cache_key(seed.to_bytes(4)), lambda seed=seed: entry(seed, 300_000))


def test_killed_writer_leaves_complete_entries(tmp_path, forking):
    writer = forking.Process(target=write_for_ever, args=(tmp_path,))
    writer.start()
    while len(contents(tmp_path)) < 5:
        time.sleep(0.001)
    writer.kill()
    writer.join()
    entries = list(tmp_path.rglob("[!.]*.npz"))  # without the one that was being written
    assert len(entries) >= 4
    for path in entries:
        assert len(flow_cache.Cache(tmp_path).get(path.stem, never)) == 300_000
