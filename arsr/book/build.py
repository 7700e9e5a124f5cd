"""The book: chapters are executed where what they depend on has changed, then Jupyter Book makes the pages.

_build/<profile>/chapters/<chapter>-<key>/   executed.ipynb, records/, figures/   (one folder an execution)
_build/<profile>/source/                     what Jupyter Book reads
_build/<profile>/read/                       what it has read: the next build reads and writes what changed
_build/<profile>/clips/<key>/                frames of the clips that the pages show when asked
_build/<profile>/html/                       the pages, among them lab.html, the laboratory, and clips.html
"""

import filecmp
import json
import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from arsr import ChapterError, manifest, paper, places, reading, records
from arsr.book import kernels, keys, notebooks, parameters
from arsr.data import real
from arsr.settings import Suppress
from arsr_core import files
from arsr_core.errors import InputError

if TYPE_CHECKING:
    from arsr.lab.page import Pictured

COMPUTED_FROM = ("weights", "figures/arsr.mplstyle")  # beside the packages
COMPUTED_BY = ("jupytext", "papermill", "matplotlib")  # and `records.INFLUENTIAL`
PAGE_MAKERS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "onnx", "onnxruntime", *COMPUTED_BY)
# of all pages, with the packages; the last two are in the laboratory
FRAME = ("_config.yml", "_toc.yml", "book/references.bib", "book/assets", "book/vendor", "weights/manifest.json")
CODE = ("arsr", "arsr_core", "book", "weights")  # what a measurement's commit is about

Say = Callable[[str], None]
Executed = dict[Path, Path]  # a chapter: the folder of its execution


@dataclass(frozen=True)
class Build:
    """One build of the book: which sources, which profile, which data, where to."""

    root: Path = Path(".")  # the project's checkout
    profile: str = "embedded"  # parameter file in book/params: embedded, small or paper
    data: Path | None = None  # folder of real clips, for the profiles that need one
    out: Path | None = None  # build folder, new or a build's; default: _build/PROFILE
    overrides: Suppress[dict[str, object]] = field(default_factory=dict)  # parameters that win over the profile's

    def __post_init__(self):
        object.__setattr__(self, "root", Path(self.root).resolve())
        _versions(PAGE_MAKERS)  # all that makes pages is there
        records.require_checkout(self.root, "_config.yml", "_toc.yml", "book")
        if self.data is not None and not self.data.is_dir():
            raise InputError(f"{self.data}: no such data folder; give --data an existing folder of clips")

    @property
    def folder(self) -> Path:
        """Where this build puts everything."""
        return Path(os.path.realpath(self.out or self.root / "_build" / self.profile))  # of endless links, too

    @cached_property
    def parameters(self) -> dict[str, object]:
        """The profile's parameters with the command line's overrides, checked against the chapters' own."""
        known = {path.stem: path for path in sorted((self.root / "book" / "params").glob("*.yaml"))}
        if self.profile not in known:
            names = ", ".join(known)
            raise InputError(f"unknown profile {self.profile!r}; choose one of {names} (files in book/params)")
        path = known[self.profile]
        values = reading.data(path, "correct it") or {}
        if not isinstance(values, dict):
            raise InputError(f"{path}: expected `name: value` lines, got a {type(values).__name__}")
        for name, option in (("data_root", "--data"), ("profile", "--profile")):
            if name in self.overrides:
                raise InputError(f"{name} is not set by --set: give it with {option}")
        written, values = values, values | {"profile": self.profile} | self.overrides
        if self.data is not None:
            if "data_root" not in values:
                raise InputError(f"profile {self.profile} makes its own clips: drop --data, or add --profile small")
            values["data_root"] = str(self.data.resolve())
        if values.get("data_root", "") is None:
            raise InputError(f"profile {self.profile} needs real clips: add --data FOLDER (layout: {path})")
        declared = {k: v for chapter in self.chapters for k, v in notebooks.declared_parameters(chapter).items()}
        if unknown := sorted(map(str, values.keys() - declared.keys() - {"profile", "data_root"})):
            names = ", ".join(sorted(declared))
            raise InputError(f"no chapter has a parameter {unknown[0]}; the chapters declare {names}")
        parameters.require(str(path), written, declared)
        parameters.require("--set", self.overrides, declared)
        return values

    @cached_property
    def pages(self) -> list[Path]:
        """The table of contents as paths, in reading order."""
        path = self.root / "_toc.yml"
        toc = reading.data(path, "correct it")
        try:
            names = [toc["root"], *(c["file"] for part in toc.get("parts", [toc]) for c in part.get("chapters", []))]
        except (TypeError, KeyError) as error:
            raise InputError(f"{path}: not a table of contents ({error!r}); see Jupyter Book") from error
        pages = [self.root / f"{name}.md" for name in names]
        for page in pages:
            if not page.is_file():
                raise InputError(f"{page}: named in _toc.yml but absent; add the page or take it out of _toc.yml")
        return pages

    @cached_property
    def chapters(self) -> list[Path]:
        """The pages that are notebooks."""
        return [page for page in self.pages if re.match(r"---\n(.+\n)*?kernelspec:", notebooks.source(page))]

    @cached_property
    def versions(self) -> list[object]:
        """Of what computes the chapters' outputs."""
        return [sys.version_info[:2], records.versions(), _versions(COMPUTED_BY)]

    def chapter_parameters(self, chapter: Path) -> dict[str, object]:
        """What this build sets of the parameters that the chapter declares."""
        declared = notebooks.declared_parameters(chapter)
        return {name: value for name, value in self.parameters.items() if name in declared}

    def command(self, chapter: Path) -> str:
        """What runs a chapter again."""
        words = ["arsr", "run", chapter.stem, "--profile", self.profile, *(["--data", "ROOT"] if self.data else [])]
        words += [word for name, value in self.overrides.items() for word in ("--set", f"{name}={json.dumps(value)}")]
        return shlex.join(words)


def build(config: Build, say: Say = print, jobs: int = 0) -> tuple[Path, Executed]:
    """Execute what changed, make the pages, check them: the index page, and each chapter's folder of results.

    jobs: chapters at a time; 0: one a core. Raises InputError for wrong settings, ChapterError for a cell that fails.
    """
    if jobs < 0:
        raise InputError(f"jobs: expected 0 (one a core) or more, got {jobs}")
    _ = config.parameters  # before any work: a wrong profile or data folder stops here,
    records.load_folder(config.root / "results")  # and so do damaged records
    with alone(config):
        for parent in (parent for name in ("html", "read", "source") for parent, *_ in os.walk(config.folder / name)):
            if not os.access(parent, os.W_OK | os.X_OK):  # the old pages stay whole
                raise InputError(f"{parent}: no permission to replace what it holds; chmod u+w, or add --out OTHER")
        executed = execute(config, config.chapters, say, jobs)
        index = render(config, executed, say)
        for folder in {*config.folder.glob("chapters/*")} - {*executed.values()}:
            shutil.rmtree(folder, ignore_errors=True)
    return index, executed


def alone(config: Build) -> AbstractContextManager[None]:
    """The build folder, which nobody else has made or writes to: builds take each other's files away, and others'."""
    return places.own(config.folder, "book")


def execute(config: Build, chapters: Iterable[Path], say: Say = print, jobs: int = 0) -> Executed:
    """Run each chapter whose key has no folder yet, `alone`; returns chapter -> folder of its execution."""
    folders = {c: config.folder / "chapters" / f"{c.stem}-{chapter_key(config, c)}" for c in chapters}
    changed = [chapter for chapter, folder in folders.items() if not notebooks.whole(folder)]
    for left in (*config.folder.glob("chapters/.*"), *(folders[chapter] for chapter in changed)):
        shutil.rmtree(left, ignore_errors=True)  # of a killed build, or damaged
    for chapter in folders:
        if chapter not in changed:
            say(f"{chapter.stem}: unchanged")
    if not changed:
        return folders
    names = {str(config.data.resolve()): "DATA"} if config.data else {}
    names |= {str(config.root): "."}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jobs = min(jobs or cores, len(changed))
    # sums of floats depend on the threads: embedded chapters always have one, whatever runs beside them
    threads = 1 if config.profile == "embedded" else max(1, cores // jobs)
    forks = len(changed) > 1 and threads == 1 and sys.platform == "linux"  # other threads would be lost in a fork
    with (
        _environment(threads) as environment,
        kernels.Server(config.root / "book", environment) if forks else nullcontext(kernels) as kernel,
        ThreadPoolExecutor(jobs) as pool,
    ):
        running: list[subprocess.Popen] = [kernel] if forks else []
        more = (environment, names, kernel.launch_kernel, running)
        futures = [pool.submit(notebooks.run, c, folders[c], config.chapter_parameters(c), *more) for c in changed]
        try:
            for done in as_completed(futures):
                say(done.result())
        except BaseException:  # a failing chapter, an interrupted or terminated build: the others stop
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in futures):
                for process in running:
                    process.terminate()
                time.sleep(0.1)
            raise
    return folders


@contextmanager
def _environment(threads: int) -> Iterator[dict[str, str]]:
    """The kernels', with folders for settings where the home is read-only: remarks on that would be on the pages."""
    logging.getLogger("matplotlib").setLevel("ERROR")
    import matplotlib

    matplotlib.get_cachedir()  # sets MPLCONFIGDIR there
    with TemporaryDirectory() as settings, patch.dict(os.environ, {"IPYTHONDIR": settings}):
        yield os.environ | notebooks.ENVIRONMENT | {"OMP_NUM_THREADS": str(threads)}


def chapter_key(config: Build, chapter: Path) -> str:
    """A short hash of what a chapter's outputs depend on.

    The code of its cells and its parameters, the modules that it reaches, the shipped weights, the committed records if
    it reads them, the data, and the versions of the libraries that compute: a new word in the prose executes nothing.
    """
    parameters, cells = config.chapter_parameters(chapter), notebooks.code(chapter)
    paths = [*keys.reached(notebooks.imports(chapter)), *(config.root / name for name in COMPUTED_FROM)]
    if any(re.search(r"\.\./results|records\.load", source) for source, _ in cells):
        paths.append(config.root / "results")
    data = keys.stats(config.data) if config.data and "data_root" in parameters else None
    return keys.digest(cells, keys.content(*paths), parameters, config.versions, data)


def _versions(names: Iterable[str]) -> dict[str, str]:
    try:
        return {name: version(name) for name in names}
    except PackageNotFoundError as error:
        raise InputError(f"building the book needs {error.name}; install the extra: pip install -e '.[book]'") from None


def all_records(config: Build, executed: Executed) -> dict[str, records.Record]:
    """The paper's numbers, the committed measurements and this build's own, by key."""
    found = dict(paper.records()) | records.load_folder(config.root / "results")
    for chapter, folder in executed.items():
        for key, record in records.load_folder(folder / "records").items():
            if key in found:
                raise InputError(f"record {key} of {folder.name} exists already; keys are unique in the whole book")
            found[key] = _from(record, command=config.command(chapter))
    return found


def keep(config: Build, chapter: Path, folder: Path) -> Path:
    """Commit a chapter's numbers as measurements: results/<profile>-<chapter>.json, keys `<profile>.<key>`."""
    how = {"command": f"{config.command(chapter)} --keep", "machine": records.machine()}
    how |= {"kind": "measured", "code": records.commit(config.root, *CODE)}
    found = records.load_folder(folder / "records").values()
    measured = [_from(r.model_copy(update={"key": f"{config.profile}.{r.key}"}), **how) for r in found]
    return records.save(measured, config.root / "results" / f"{config.profile}-{chapter.stem}.json")


def _from(record: records.Record, **source: str) -> records.Record:
    return record.model_copy(update={"provenance": record.provenance.model_copy(update=source)})


def export_figures(config: Build, executed: Executed) -> list[Path]:
    """Copy the chapters' figures to figures/, where README and talks take them from."""
    if config.data is not None:
        raise InputError("figures/ holds figures of embedded clips only: others' frames are not ours to publish")
    written = []
    for path in (p for folder in executed.values() for p in sorted(folder.glob("figures/*"))):
        written.append(config.root / "figures" / path.name)
        files.write_atomically(written[-1], path.read_bytes())
    return written


def assemble(config: Build, executed: Executed, found: dict[str, Any]) -> Path:
    """Put together what Jupyter Book reads: configuration, executed copies, plain pages, assets, records, `status`."""
    last, source = config.folder / "source", config.folder / ".source"
    shutil.rmtree(source, ignore_errors=True)
    (source / "book").mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml", "book/references.bib"):
        shutil.copy(config.root / name, source / name)
    shutil.copytree(config.root / "book" / "assets", source / "book" / "assets")
    for page in config.pages:
        if page in executed:
            text = notebooks.text(notebooks.retold(executed[page] / "executed.ipynb", page))
            (source / "book" / f"{page.stem}.ipynb").write_text(text, encoding="utf-8")
        else:
            shutil.copy(page, source / "book" / page.name)
    records.save(all_records(config, executed).values(), source / "records.json")
    from arsr.explorer import studies

    behind = studies.index(studies.found(config.root / "results").values())
    (source / "studies.json").write_text(json.dumps(behind), encoding="utf-8")
    (source / "status.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for path in (p for p in source.rglob("*") if p.is_file()):
        before = last / path.relative_to(source)
        if before.is_file() and filecmp.cmp(path, before, shallow=False):
            shutil.copystat(before, path)  # what is as it was keeps its time: its page is not read again
    _replace(last, source)
    return last


def _replace(folder: Path, made: Path) -> None:
    """Give a folder's name to another, which is complete; the old one goes after that."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    made.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def status(config: Build, executed: Executed) -> dict[str, Any]:
    """What this build ran: chapters with run times and keys, environment, commit, hashes of data, weights, records."""
    try:
        code = f"commit {records.commit(config.root, *CODE)}"
    except InputError:
        code = "changed since its last commit, or no git checkout"
    chapters = [
        {"chapter": chapter.stem, "key": folder.name.rpartition("-")[2]}
        | reading.data(folder / "run.json", f"remove {folder}")
        for chapter, folder in executed.items()
    ]
    return {
        "chapters": chapters,
        "build": {
            "profile": config.profile,
            "data": keys.stats(config.data) if config.data else "embedded clips, generated from a seed",
            "code": code,
            "package": keys.content(*(keys.ABOVE / name for name in keys.PACKAGES)),
            "machine": f"{os.cpu_count()} cores ({platform.machine()})",
        },
        "weights": [(e.name, e.sha256[:16], e.data_hash[:16]) for e in manifest.load(config.root / "weights").values()],
        "results": {path.name: files.sha256(path)[:16] for path in sorted((config.root / "results").glob("*.json"))},
        "versions": {"python": platform.python_version()} | records.versions() | _versions(PAGE_MAKERS),
    }


def render(config: Build, executed: Executed, say: Say = print) -> Path:
    """Jupyter Book with strict warnings; the pages appear under their final name only when all checks pass.

    Then what it has read is kept for the next build: a build that fails leaves all as it was.
    """
    html, read, stamp, work = (config.folder / name for name in ("html", "read", "html.key", ".pages"))
    found = status(config, executed)
    fixed = [*(config.root / name for name in FRAME), *sorted((config.root / "results").rglob("*.parquet"))]
    made_of = found["build"]["package"], found["versions"], sorted(real.files())
    frame = keys.digest(*made_of, keys.content(*fixed))
    commands = [config.command(chapter) for chapter in executed]
    key = keys.digest(frame, found, commands, keys.content(config.root / "book"))
    before = (html.is_dir() and stamp.is_file() and stamp.read_text(errors="replace").split()) or [""]
    if before == [frame, key]:
        say("pages: unchanged")
        return html / "index.html"
    started = time.monotonic()
    say("pages: making them")
    source = assemble(config, executed, found)
    shutil.rmtree(work, ignore_errors=True)
    pool = ThreadPoolExecutor(1)
    beside = pool.submit(pictured, config)  # while Jupyter Book works
    try:
        if before[0] == frame and read.is_dir():
            shutil.copytree(read, work / "_build")
            shutil.copytree(html, work / "_build" / "html", ignore=shutil.ignore_patterns("_static"))  # made anew
        # jsonschema's rules for addresses, which no notebook has, would take two seconds to load
        main = f"import sys; sys.modules['rfc3987_syntax'] = None; {kernels.ENDS}; "
        main += "from jupyter_book.cli.main import main; main()"
        command = [sys.executable, "-c", main, "build", source, "--path-output", work, "-n", "-W", "--keep-going"]
        environment = os.environ | {"SOURCE_DATE_EPOCH": "0", "PYTHONHASHSEED": "0", "NO_COLOR": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            log = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
            places.require_space(html, log)
            lines = [line for line in log.splitlines() if re.search(r"WARNING|ERROR|error:|network", line)]
            raise ChapterError("Jupyter Book failed:\n" + ("\n".join(lines) or log[-4000:]))
        laboratory(config, work / "_build" / "html", beside.result(), say)
        stamp.unlink(missing_ok=True)
        _replace(html, work / "_build" / "html")
        _replace(read, work / "_build")
        files.write_atomically(stamp, f"{frame} {key}")
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(work, ignore_errors=True)
    say(f"pages: made in {time.monotonic() - started:.0f} s, no address outside found in them")
    return html / "index.html"


def pictured(config: Build) -> "list[Pictured]":
    """The benchmark's clips that the pages can show, their frames kept until the generator changes."""
    from arsr.explorer import page, studies

    found = studies.found(config.root / "results")
    if not found:
        return []
    key = keys.content(*keys.reached({"arsr.embedded.generated", "arsr.viewer.coding", "arsr.lab.page"}))
    folder = config.folder / "clips" / key
    for other in {*folder.parent.glob("*")} - {folder}:
        shutil.rmtree(other, ignore_errors=True)
    return page.pictured(folder, found)


def laboratory(config: Build, html: Path, shown: "list[Pictured]", say: Say = print) -> None:
    """Put the laboratory and the page of the clips beside the pages, unless nothing that they are made of changed."""
    weights = config.root / "weights"
    if manifest.load(weights) and not (html / "lab.html").is_file():
        from arsr.explorer import page as explorer
        from arsr.explorer import studies
        from arsr.lab import export, page

        page.write(html, config.root, export.networks(weights), shown)
        say(f"laboratory: {real.words()}")
        if found := studies.found(config.root / "results"):
            known = records.load_folder(config.root / "results")
            explorer.write(html, found, shown, export.hashes(weights), known)
