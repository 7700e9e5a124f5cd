"""Two cores, pinned threads, and the optional real clips."""

import multiprocessing
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))  # what the book quotes from them is tested, too


@pytest.fixture(scope="session", autouse=True)
def _pinned_threads():
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips, or a skip that says how to get it."""
    folder = os.environ.get("ARSR_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real clips: set ARSR_DATA to their folder")
    return Path(folder)


@pytest.fixture(scope="module")
def browser():
    """Chromium, headless."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium: install the distribution's package")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def forking():
    """A context whose processes are forked by one without threads: a fork of this one could inherit a closed lock."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["arsr.data.flow_cache", "arsr.data.snippets"])
    return context
