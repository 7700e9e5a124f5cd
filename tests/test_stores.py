"""What the stores on disk share: keys, sources that cannot serve, one writer, reports."""

import errno
import hashlib
import json
from types import SimpleNamespace

import pytest

from arsr.data import stores
from arsr_core import files
from arsr_core.errors import InputError


def sources(*names):
    return {name: SimpleNamespace(name=name) for name in names}


def test_a_key_is_of_the_content_alone():
    key = stores.content_key({"b": [1, 2.5], "a": None}, b"xy")
    assert key == hashlib.sha256(b'{"a": null, "b": [1, 2.5]}xy').hexdigest()
    assert key == stores.content_key({"a": None, "b": (1, 2.5)}, memoryview(b"xy"))
    assert key != stores.content_key({"a": None, "b": [1, 2.5]})
    for bad in (float("nan"), object()):
        with pytest.raises((TypeError, ValueError)):
            stores.content_key(bad)


def test_what_cannot_serve_is_left_out_with_its_reason():
    def make(source):
        if source.name == "b":
            raise InputError("b: nothing moves")
        return source.name.upper()

    notes = []
    made, skipped = stores.fill(sources("a", "b", "c"), make, note=lambda done: notes.append(list(done)) or "")
    assert made == {"a": "A", "c": "C"} and skipped == {"b": "b: nothing moves"}
    assert notes == [["A"], ["A"], ["A", "C"]]
    with pytest.raises(InputError, match="a is listed twice; expected each clip once"):
        stores.require_once(["a", "b", "a"])


def test_a_full_disk_is_no_clips_fault(tmp_path):
    """It ends the work at once, as an InputError with the remedy; no half-written file stays."""

    def make(source):
        with files.atomic(tmp_path / source.name) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"a: cannot be written .No space left on device.; free some space and try"):
        stores.fill(sources("a", "b"), make)
    assert not list(tmp_path.iterdir())


def test_one_writer_at_a_time(tmp_path):
    with (
        stores.sole_writer(tmp_path),
        pytest.raises(InputError, match="another preparation writes here; wait for it"),
        stores.sole_writer(tmp_path),
    ):
        pass
    with stores.sole_writer(tmp_path):
        pass


def test_reports_name_twenty():
    assert stores.reasons("none", {}) == []
    lines = stores.reasons("lost", {f"{n}": "gone" for n in range(23)})
    assert lines[:2] == ["lost", "  0: gone"] and len(lines) == 22 and lines[-1] == "  and 3 more"


def test_notes_are_read_back_or_refused(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"ü": 1}), encoding="utf-8")
    assert stores.read_json(tmp_path / "a.json", "make it") == {"ü": 1}
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(InputError, match=r"b\.json: damaged .*; remove it and make it"):
        stores.read_json(tmp_path / "b.json", "make it")
    for absent in (tmp_path / "c.json", tmp_path / "a.json" / "d.json"):
        with pytest.raises(InputError, match="no such file; make it"):
            stores.read_json(absent, "make it")
