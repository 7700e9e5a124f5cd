"""`arsr data pairs`, as a user types it."""

import resource
import subprocess
import sys

import pytest

from arsr import cli
from arsr.data.pairs import PairSet

EMBEDDED = ("--embedded", "2", "--patch", "48", "--clip-frames", "2", "--windows", "2")


@pytest.fixture
def arsr(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["arsr", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def test_pairs_from_embedded_clips_and_again(arsr, tmp_path):
    code, out, err = arsr("data", "pairs", "store", *EMBEDDED)
    assert code == 0, err
    assert out.startswith("8 windows of 2 clips, 0.00 GB; warping helps in ")
    assert len(PairSet(tmp_path / "store", frames=7)) == 8
    frames = next((tmp_path / "store").glob("*.safetensors"))
    written = frames.stat().st_mtime_ns
    assert arsr("data", "pairs", "store", *EMBEDDED)[:2] == (code, out)  # nothing left to do
    assert frames.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["store"], "nothing to prepare"),
        (["store", "absent"], "absent: no such file or folder"),
        (["store", "--embedded", "1"], "frames of 120x160 px, smaller than a patch of 128 px"),
        (["store", "--embedded", "1", "--patch", "50"], "multiple of 4, got 50"),
        (["store", "--embedded", "1", "--lr", "never"], "'never'"),
        (["store", "--embedded", "1", "--preset", "slow"], "'slow'"),
        (["taken", "--embedded", "1"], "taken: holds something else"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arsr, tmp_path, arguments, message):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    code, out, err = arsr("data", "pairs", *arguments)
    assert code == 2 and not out
    assert message in err and err.count("\n") == 1, err


def test_a_full_disk_is_one_line_and_the_store_goes_on(arsr, tmp_path):
    """Files may grow to 300 kB here: the system itself refuses the rest of the first clip's frames."""
    done = subprocess.run(
        [sys.executable, "-m", "arsr", "data", "pairs", "store", *EMBEDDED],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )
    assert done.returncode == 2, done
    assert "cannot be written (File too large); free some space and try again" in done.stderr
    assert done.stderr.count("\n") == 1 and [p.name for p in (tmp_path / "store").iterdir()] == ["settings.json"]
    assert arsr("data", "pairs", "store", *EMBEDDED)[0] == 0


def test_it_explains_itself(arsr):
    _, text, _ = arsr("data", "pairs", "--help")
    assert "usage" in text and "Examples" in text and "The defaults are the paper's" in text
