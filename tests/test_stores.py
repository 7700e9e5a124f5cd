"""What the stores on disk share: keys, sources that cannot serve, one writer, reports."""

import errno
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest

from arsr.data import stores
from arsr_core.errors import InputError


@dataclass
class Settings:
    """Of a store of numbers."""

    size: int = 3
    names: tuple[str, ...] = ("a",)


def source(name, make=None):
    return stores.Source(name, {"label": len(name)}, make or (lambda: ({"x": np.arange(3)}, {"numbers": 3})))


def refuse():
    raise InputError("nothing moves")


def test_a_key_is_of_the_content_alone():
    key = stores.content_key({"b": [1, 2.5], "a": None}, b"xy")
    assert key == hashlib.sha256(b'{"a": null, "b": [1, 2.5]}xy').hexdigest()
    assert key == stores.content_key({"a": None, "b": (1, 2.5)}, memoryview(b"xy"))
    assert key != stores.content_key({"a": None, "b": [1, 2.5]})
    for bad in (float("nan"), object()):
        with pytest.raises((TypeError, ValueError)):
            stores.content_key(bad)


def test_what_cannot_serve_is_left_out_with_its_reason_and_tried_again(tmp_path):
    words = "{numbers:,} numbers of {clips:,} clips"
    report = stores.fill(tmp_path, Settings(), [source("a"), source("b", refuse), source("c")], words)
    assert str(report) == "6 numbers of 2 clips\nleft out: 1 clips\n  b: nothing moves"
    settings, rows = stores.load(tmp_path, Settings, "fill it")
    assert settings == Settings(3, ("a",))
    assert rows[1] == {"name": "b", "label": 1, "reason": "nothing moves"}
    assert rows[2].items() >= {"name": "c", "label": 1, "numbers": 3}.items()
    with stores.opened(tmp_path / rows[2]["file"]) as file:
        assert file.get_tensor("x").tolist() == [0, 1, 2]
    (tmp_path / rows[2]["file"]).write_bytes(b"damaged")
    report = stores.fill(tmp_path, Settings(), [source("a", refuse), source("b"), source("c")], words)
    assert report.clips == 3 and not report.skipped  # what is whole is kept
    with pytest.raises(InputError, match="none of 1 clips can serve; the first, b: nothing moves"):
        stores.fill(tmp_path / "none", Settings(), [source("b", refuse)], words)
    with pytest.raises(InputError, match="a is listed twice; expected each clip once"):
        stores.fill(tmp_path / "twice", Settings(), [source("a"), source("b"), source("a")], words)


def test_a_folder_is_claimed_by_its_settings(tmp_path):
    stores.fill(tmp_path / "out", Settings(), [source("a")], "")
    with pytest.raises(InputError, match=r"prepared with other settings \(size 3, now 4\); give another folder"):
        stores.fill(tmp_path / "out", Settings(4), [source("a")], "")
    with pytest.raises(InputError, match="holds something else"):
        stores.fill(tmp_path, Settings(), [source("a")], "")


def test_a_folder_may_be_begun_by_another_process_meanwhile(tmp_path, monkeypatch):
    iterdir = Path.iterdir

    def meanwhile(folder):
        (folder / "settings.json").write_text(json.dumps(asdict(Settings())))
        return iterdir(folder)

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "iterdir", meanwhile)
    assert stores.fill(tmp_path / "out", Settings(), [source("a")], "").clips == 1


def test_a_full_disk_is_no_clips_fault(tmp_path, monkeypatch):
    """It ends the work at once, as an InputError with the remedy; no half-written file stays."""
    stores.fill(tmp_path, Settings(), [source("a")], "")
    write = Path.write_bytes

    def full(path, data):
        write(path, b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        InputError, match=r"b-\S+: cannot be written .No space left on device.; free some space and try"
    ):
        stores.fill(tmp_path, Settings(), [source("a"), source("b"), source("c")], "")
    assert sorted(p.name[0] for p in tmp_path.iterdir()) == ["a", "i", "s"]  # the first clip, index and settings


def test_names_from_others_stay_inside_the_store(tmp_path):
    names = ["a/b c.mp4", "a/../../../etc/x.mp4", "ü.mp4", "...", "a_b.mp4", "a/b.mp4", "x" * 300]
    keys = [stores.key(name) for name in names]
    assert len(set(keys)) == len(keys)
    assert all("/" not in key and key[0] != "." and len(key) < 80 and key.isascii() for key in keys)


def test_reports_name_twenty():
    assert stores.reasons("none", {}) == []
    lines = stores.reasons("lost", {f"{n}": "gone" for n in range(23)})
    assert lines[:2] == ["lost", "  0: gone"] and len(lines) == 22 and lines[-1] == "  and 3 more"


def test_what_is_missing_or_damaged_is_said(tmp_path):
    with pytest.raises(InputError, match=r"settings\.json: no such file; fill it"):
        stores.load(tmp_path, Settings, "fill it")
    stores.fill(tmp_path, Settings(), [source("a")], "")
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(InputError, match=r"index\.json: damaged .*; remove it and fill it"):
        stores.load(tmp_path, Settings, "fill it")
    with pytest.raises(InputError, match="absent.safetensors: .*remove it and prepare the clips again"):
        stores.opened(tmp_path / "absent.safetensors")
