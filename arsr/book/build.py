"""The book: text notebook (MyST) -> ipynb -> papermill with a profile's parameters -> executed copy -> HTML.

    _build/<profile>/chapters/<chapter>-<key>/   executed.ipynb, records/, figures/   (one folder an execution)
    _build/<profile>/source/                     what Jupyter Book reads
    _build/<profile>/html/                       the pages

A chapter is executed again only when its key changes: its source, its parameters, the package, the committed
records and weights, the data, or the versions of the libraries that compute.
"""

import ast
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

import arsr
import arsr_core
from arsr import ChapterError, records
from arsr_core import files
from arsr_core.errors import InputError

PAGE_MAKERS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "jupytext", "papermill", "matplotlib")
COMPUTED_FROM = ("weights", "figures/arsr.mplstyle")  # beside the package itself
CELL_SECONDS = 1800


@dataclass(frozen=True)
class Build:
    """One build of the book: which sources, which profile, which data, where to."""

    root: Path  # the checkout: _config.yml, _toc.yml, book/
    profile: str = "embedded"
    data: Path | None = None  # folder of real clips; the embedded profile makes its own
    out: Path | None = None  # None: <root>/_build/<profile>
    overrides: dict = field(default_factory=dict)  # parameters that win over the profile's
    jobs: int = 0  # chapters at a time; 0: one a core

    def __post_init__(self):
        object.__setattr__(self, "root", Path(self.root).resolve())
        for name in ("_config.yml", "_toc.yml", "book"):
            if not (self.root / name).exists():
                raise InputError(f"{self.root}: no {name} here; run arsr in the project's checkout or add --root")
        if self.data is not None and not self.data.is_dir():
            raise InputError(f"{self.data}: no such data folder; give --data an existing folder of clips")

    @property
    def folder(self) -> Path:
        return (self.out or self.root / "_build" / self.profile).resolve()

    @cached_property
    def parameters(self) -> dict:
        """The profile's parameters with the command line's overrides, checked against the chapters' own."""
        folder = self.root / "book" / "params"
        path = folder / f"{self.profile}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
            raise InputError(f"unknown profile {self.profile!r}; choose one of {known} (files in book/params)")
        values = _yaml(path) or {}
        if not isinstance(values, dict):
            raise InputError(f"{path}: expected `name: value` lines, got a {type(values).__name__}")
        if self.data is not None and "data_root" not in values:
            raise InputError(f"profile {self.profile} makes its own clips: drop --data, or add --profile small")
        if "data_root" in self.overrides:
            raise InputError("data_root is not set by --set: give the folder with --data")
        values |= {"profile": self.profile} | self.overrides
        if self.data is not None:
            values["data_root"] = str(self.data.resolve())
        if values.get("data_root", "") is None:
            raise InputError(f"profile {self.profile} needs real clips: add --data FOLDER (layout: {path})")
        declared = {k: v for chapter in self.chapters for k, v in declared_parameters(chapter).items()}
        for name in values.keys() - {"profile", "data_root"}:
            if name not in declared:
                known = ", ".join(sorted(declared))
                raise InputError(f"no chapter has a parameter {name}; the chapters declare {known}")
            if type(values[name]) is not type(declared[name]):
                kind = {"int": "an int"}.get(type(declared[name]).__name__, f"a {type(declared[name]).__name__}")
                raise InputError(f"parameter {name}: expected {kind} such as {declared[name]!r}, got {values[name]!r}")
        return values

    @cached_property
    def pages(self) -> list[Path]:
        """The table of contents as paths, in reading order."""
        toc = _yaml(self.root / "_toc.yml")
        try:
            names = [toc["root"], *(c["file"] for part in toc.get("parts", [toc]) for c in part.get("chapters", []))]
        except (TypeError, KeyError) as error:
            raise InputError(
                f"{self.root / '_toc.yml'}: not a table of contents ({error!r}); see Jupyter Book"
            ) from error
        paths = [self.root / f"{name}.md" for name in names]
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path}: named in _toc.yml but absent; add the page or take it out of _toc.yml")
        return paths

    @cached_property
    def chapters(self) -> list[Path]:
        """The pages that are notebooks."""
        return [p for p in self.pages if is_notebook(p)]


def build(config: Build, say: Callable[[str], None] = print) -> tuple[Path, dict[Path, Path]]:
    """Execute what changed, make the pages, check them: the index page, and each chapter's folder of results."""
    require_book_packages()
    _ = config.parameters  # before any work: a wrong profile or data folder stops here,
    records.load_folder(config.root / "results")  # and so do damaged records
    with _alone(config):
        executed = _execute(config, config.chapters, say)
        source = assemble(config, executed)
        index = render(config, source, say)
        _drop_stale(config, executed.values())
    return index, executed


def execute(config: Build, chapters: Iterable[Path], say: Callable[[str], None] = print) -> dict[Path, Path]:
    """Run each chapter whose key has no folder yet; returns chapter -> folder of its execution."""
    require_book_packages()
    with _alone(config):
        return _execute(config, chapters, say)


@contextmanager
def _alone(config: Build):
    """Two builds into one folder would take each other's files away."""
    from filelock import FileLock, Timeout

    config.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(config.folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(f"{config.folder}: another build runs here; wait for it, or add --out OTHER_FOLDER") from None


def is_notebook(page: Path) -> bool:
    """Whether a MyST page has a kernel, i.e. is executed."""
    text = page.read_text(encoding="utf-8")
    return text.startswith("---\n") and "kernelspec:" in text.split("\n---\n", 1)[0]


def notebook(chapter: Path):
    """The text notebook as an nbformat node, with cell ids that depend on the position alone."""
    import jupytext

    try:
        node = jupytext.read(chapter)
    except Exception as error:
        raise InputError(f"{chapter}: not a MyST text notebook ({error})") from error
    for number, cell in enumerate(node.cells):
        cell["id"] = f"cell-{number:03d}"
    return node


def declared_parameters(chapter: Path) -> dict[str, object]:
    """Names and default values (literals) of the cell tagged `parameters`."""
    cells = [c for c in notebook(chapter).cells if "parameters" in c.metadata.get("tags", [])]
    try:
        statements = [s for cell in cells for s in ast.parse(cell.source).body]
        return {s.targets[0].id: ast.literal_eval(s.value) for s in statements}
    except (SyntaxError, AttributeError, ValueError) as error:
        raise InputError(f"{chapter}: its parameters cell holds more than `name = literal` lines ({error})") from error


def chapter_parameters(config: Build, chapter: Path) -> dict[str, object]:
    """What this build sets of the parameters that the chapter declares."""
    declared = declared_parameters(chapter)
    return {name: value for name, value in config.parameters.items() if name in declared}


# --- execution -----------------------------------------------------------------------------------------------


def _execute(config: Build, chapters: Iterable[Path], say: Callable[[str], None]) -> dict[Path, Path]:
    folders = {c: config.folder / "chapters" / f"{c.stem}-{chapter_key(config, c)}" for c in chapters}
    waiting = [c for c, folder in folders.items() if not folder.is_dir()]
    for chapter in folders:
        if chapter not in waiting:
            say(f"{chapter.stem}: unchanged")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jobs = min(config.jobs or cores, len(waiting))
    running: list[_Run] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                chapter = waiting.pop(0)
                # sums of floats depend on the threads: embedded chapters always have one, whatever runs beside them
                threads = 1 if config.profile == "embedded" else max(1, cores // jobs)
                running.append(_Run.start(config, chapter, folders[chapter], threads, len(running)))
            time.sleep(0.1)
            for run in [r for r in running if r.finished()]:
                running.remove(run)
                say(f"{run.chapter.stem}: executed in {run.close():.0f} s")
    finally:
        for run in running:
            run.abort()
    return folders


@dataclass
class _Run:
    """One papermill process; its result appears under its final name only when it is complete."""

    chapter: Path
    target: Path
    scratch: Path
    process: subprocess.Popen
    bar: object
    scrub: dict[str, str]
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, config: Build, chapter: Path, target: Path, threads: int, row: int) -> "_Run":
        import jupytext
        from tqdm import tqdm

        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{chapter.stem}-", dir=target.parent))
        node = notebook(chapter)
        jupytext.write(node, scratch / "input.ipynb")
        values = yaml.safe_dump(chapter_parameters(config, chapter))
        (scratch / "parameters.yaml").write_text(values, encoding="utf-8")
        command = [sys.executable, "-m", "papermill", "input.ipynb", "executed.ipynb", "-f", "parameters.yaml"]
        command += ["--cwd", str(chapter.parent), "--no-progress-bar", "--execution-timeout", str(CELL_SECONDS)]
        environment = os.environ | {
            "ARSR_OUTPUT": str(scratch),
            "SOURCE_DATE_EPOCH": "0",  # dates in figures
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": str(threads),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        with (scratch / "log.txt").open("wb") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            process = subprocess.Popen(command, cwd=scratch, env=environment, **streams)
        bar = tqdm(total=len(node.cells) + 1, desc=chapter.stem, unit="cell", disable=None, leave=False, position=row)
        scrub = {str(scratch): "OUTPUT", str(config.root): "."}
        if config.data is not None:
            scrub = {str(config.data.resolve()): "DATA"} | scrub
        return cls(chapter, target, scratch, process, bar, scrub)

    def finished(self) -> bool:
        """Whether papermill has ended; moves the progress bar on."""
        executed = self.scratch / "executed.ipynb"
        if not self.bar.disable and executed.exists():
            self.bar.n = executed.read_bytes().count(b'"status": "completed"')
            self.bar.refresh()
        return self.process.poll() is not None

    def close(self) -> float:
        """Tidy the executed notebook and give it its final name; seconds taken. A failed cell raises."""
        self.bar.close()
        try:
            self._raise_failure()
            executed = self.scratch / "executed.ipynb"
            node = json.loads(executed.read_text(encoding="utf-8"))
            text = json.dumps(tidy(node, self.scrub), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
            executed.write_text(text, encoding="utf-8")
            seconds = round(time.monotonic() - self.started, 1)
            (self.scratch / "run.json").write_text(json.dumps({"seconds": seconds}) + "\n", encoding="utf-8")
            for leftover in ("input.ipynb", "parameters.yaml", "log.txt"):
                (self.scratch / leftover).unlink()
            os.rename(self.scratch, self.target)
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return time.monotonic() - self.started

    def abort(self) -> None:
        self.bar.close()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _raise_failure(self) -> None:
        executed = self.scratch / "executed.ipynb"
        cells = json.loads(executed.read_text(encoding="utf-8"))["cells"] if executed.exists() else []
        for number, cell in enumerate((c for c in cells if c["cell_type"] == "code"), start=1):
            for out in cell.get("outputs", []):
                what = f"{self.chapter.stem}, code cell {number}"
                if out.get("name") == "stderr":
                    raise ChapterError(f"{what} warns, and a page shows no warnings:\n{''.join(out['text'])}")
                if out["output_type"] == "error":
                    if out["ename"] == "InputError":
                        raise InputError(f"{what}: {out['evalue']}")
                    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(out["traceback"]))
                    raise ChapterError(f"{what}: {out['ename']}: {out['evalue']}\n{trace}")
        if self.process.returncode:
            log = (self.scratch / "log.txt").read_text(encoding="utf-8", errors="replace").strip()
            raise ChapterError(f"{self.chapter.stem}: papermill ended with {self.process.returncode}\n{log[-4000:]}")


def tidy(node: dict, scrub: dict[str, str]) -> dict:
    """An executed notebook without times, addresses and machine paths; the injected cell folded, its twin removed."""
    node["metadata"] = {k: v for k, v in node["metadata"].items() if k in ("kernelspec", "language_info")}
    injected = any("injected-parameters" in c["metadata"].get("tags", []) for c in node["cells"])
    for number, cell in enumerate(node["cells"]):
        cell["id"] = f"cell-{number:03d}"
        for noise in ("papermill", "execution"):
            cell["metadata"].pop(noise, None)
        for out in cell.get("outputs", []):  # a widget's model ended with its kernel; its HTML stays
            out.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        tags = cell["metadata"].get("tags", [])
        if "parameters" in tags and injected:
            tags.append("remove-cell")
        if "injected-parameters" in tags:
            tags.append("hide-input")
            cell["metadata"]["mystnb"] = {"code_prompt_show": "Parameters of this build"}
    return _map_text(node, lambda text: _scrub(text, scrub))


def _map_text(value, change: Callable[[str], str]):
    """Every string of a notebook changed, embedded pictures left alone."""
    if isinstance(value, dict):
        return {k: v if k.startswith("image/") else _map_text(v, change) for k, v in value.items()}
    if isinstance(value, list):
        return [_map_text(v, change) for v in value]
    return change(value) if isinstance(value, str) else value


def _scrub(text: str, names: dict[str, str]) -> str:
    for path, name in names.items():
        text = re.sub(re.escape(path) + r"(?![\w.-])", lambda _, name=name: name, text)
    return re.sub(r" at 0x[0-9a-f]{6,}", "", text)


# --- keys ----------------------------------------------------------------------------------------------------


def chapter_key(config: Build, chapter: Path) -> str:
    """A short hash of everything that a chapter's outputs depend on."""
    parameters = chapter_parameters(config, chapter)
    parts = [chapter.read_bytes(), json.dumps(parameters, sort_keys=True, default=str).encode(), _package_hash()]
    parts += [_hash_files(config.root / name) for name in COMPUTED_FROM]
    if b"records.load" in parts[0]:  # a chapter that reads committed records
        parts.append(_hash_files(config.root / "results"))
    parts += [json.dumps([sys.version_info[:2], records.versions(), _versions(PAGE_MAKERS)]).encode()]
    if config.data is not None and "data_root" in parameters:
        parts.append(_hash_stats(config.data))
    return _digest(parts)


def _yaml(path: Path):
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({error})") from error


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _package_hash() -> bytes:
    return _digest(_hash_files(Path(package.__path__[0])) for package in (arsr_core, arsr)).encode()


def _hash_files(path: Path) -> bytes:
    """Names and contents below a folder (or of one file); nothing for an absent one."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    files = [p for p in files if "__pycache__" not in p.parts]
    return _digest(part for p in files for part in (str(p.relative_to(path.parent)).encode(), p.read_bytes())).encode()


def _hash_stats(folder: Path) -> bytes:
    """Names, sizes and times below a data folder, whose contents may be many gigabytes; links are followed."""
    walk = sorted(os.walk(folder, followlinks=True))
    paths = (Path(parent) / name for parent, _, names in walk for name in sorted(names))
    stats = ((str(p.relative_to(folder)), p.stat()) for p in paths if p.exists())
    return _digest(f"{name} {s.st_size} {s.st_mtime_ns}".encode() for name, s in stats).encode()


def _versions(names: Iterable[str]) -> dict[str, str]:
    return {name: version(name) for name in names}


def require_book_packages() -> None:
    """One clear sentence when the `book` extra is absent."""
    for name in PAGE_MAKERS:
        try:
            version(name)
        except PackageNotFoundError:
            raise InputError(f"building the book needs {name}; install the extra: pip install -e '.[book]'") from None


# --- pages ---------------------------------------------------------------------------------------------------


def assemble(config: Build, executed: dict[Path, Path]) -> Path:
    """Put together what Jupyter Book reads: configuration, executed copies, plain pages, assets, records."""
    source = config.folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    (source / "book").mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(config.root / name, source / name)
    shutil.copytree(config.root / "book" / "assets", source / "book" / "assets")
    shutil.copy(config.root / "book" / "references.bib", source / "book")
    for page in config.pages:
        if page in executed:
            shutil.copy(executed[page] / "executed.ipynb", source / "book" / f"{page.stem}.ipynb")
        else:
            shutil.copy(page, source / "book" / page.name)
    records.save(all_records(config, executed).values(), source / "records.json")
    (source / "status.json").write_text(json.dumps(status(config, executed), indent=1) + "\n", encoding="utf-8")
    return source


def status(config: Build, executed: dict[Path, Path]) -> dict:
    """What this build ran: chapters with run times and keys, environment, commit, hashes of data, weights, records."""
    try:
        code = f"commit {records.commit(config.root, 'arsr', 'arsr_core', 'book', 'weights')}"
    except InputError:
        code = "changed since its last commit, or no git checkout"
    shipped = config.root / "weights" / "manifest.json"
    entries = json.loads(shipped.read_text(encoding="utf-8")) if shipped.is_file() else []
    chapters = [
        {"chapter": chapter.stem, "key": folder.name.rpartition("-")[2]}
        | json.loads((folder / "run.json").read_text(encoding="utf-8"))
        for chapter, folder in executed.items()
    ]
    return {
        "chapters": chapters,
        "build": {
            "profile": config.profile,
            "data": _hash_stats(config.data).decode() if config.data else "embedded clips, generated from a seed",
            "code": code,
            "package": _package_hash().decode(),
            "machine": f"{os.cpu_count()} cores ({platform.machine()})",
        },
        "weights": [(e["name"], e["sha256"][:16], e["data_hash"][:16]) for e in entries],
        "results": {p.name: _hash_files(p).decode() for p in sorted((config.root / "results").glob("*.json"))},
        "versions": {"python": platform.python_version()} | records.versions() | _versions(PAGE_MAKERS),
    }


def all_records(config: Build, executed: dict[Path, Path]) -> dict[str, records.Record]:
    """The paper's numbers, the committed measurements and this build's own, by key."""
    from arsr import paper

    found = dict(paper.records()) | records.load_folder(config.root / "results")
    for chapter, folder in executed.items():
        for key, record in records.load_folder(folder / "records").items():
            if key in found:
                raise InputError(f"record {key} of {folder.name} exists already; keys are unique in the whole book")
            again = record.provenance.model_copy(update={"command": _command(config, chapter)})
            found[key] = record.model_copy(update={"provenance": again})
    return found


def keep(config: Build, chapter: Path, folder: Path) -> Path:
    """Commit a chapter's numbers as measurements: results/<profile>-<chapter>.json, keys `<profile>.<key>`."""
    code = records.commit(config.root, "arsr", "arsr_core", "book", "weights")
    command = f"{_command(config, chapter)} --keep"
    extra = {"kind": "measured", "command": command, "machine": records.machine(), "code": code}
    measured = []
    for record in records.load_folder(folder / "records").values():
        provenance = record.provenance.model_copy(update=extra)
        key = f"{config.profile}.{record.key}"
        measured.append(record.model_copy(update={"key": key, "provenance": provenance}))
    return records.save(measured, config.root / "results" / f"{config.profile}-{chapter.stem}.json")


def _command(config: Build, chapter: Path) -> str:
    """What runs a chapter again."""
    words = ["arsr", "run", chapter.stem, "--profile", config.profile, *(["--data", "ROOT"] if config.data else [])]
    words += [word for name, value in config.overrides.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    return shlex.join(words)


def codecheck(config: Build) -> dict:
    """Which of the paper's figures and tables the chapters regenerate, and where, as a CODECHECK manifest.

    A chapter's front matter has them: `regenerates: [Figure 2 in residuals, Table 2]`, with the figure's file if any.
    """
    manifest = []
    for chapter in config.chapters:
        text = chapter.read_text(encoding="utf-8")
        title = re.search(r"^# (.+)$", text, re.MULTILINE)[1]
        for line in yaml.safe_load(text.split("\n---\n", 1)[0]).get("regenerates", []):
            item, _, figure = line.partition(" in ")
            file = f"figures/{figure}.svg" if figure else f"book/{chapter.name}"
            manifest.append({"file": file, "comment": f"{item}: chapter {int(chapter.stem[:2])}, {title}"})
    return {
        "version": "https://codecheck.org.uk/spec/config/1.0/",
        "paper": {
            "title": "Two-Stream Action Recognition-Oriented Video Super-Resolution",
            "authors": [{"name": "Haochen Zhang"}, {"name": "Dong Liu"}, {"name": "Zhiwei Xiong"}],
            "reference": "https://arxiv.org/abs/1903.05577",
        },
        "manifest": manifest,
    }


def write_codecheck(config: Build) -> Path:
    """codecheck.yml in the project's root."""
    path = config.root / "codecheck.yml"
    text = yaml.safe_dump(codecheck(config), sort_keys=False, allow_unicode=True, width=120)
    files.write_atomically(path, "# Written by `arsr book --figures`.\n---\n" + text)
    return path


def export_figures(config: Build, executed: dict[Path, Path]) -> list[Path]:
    """Copy the chapters' figures to figures/, where the README and talks take them from, and list them."""
    if config.data is not None:
        raise InputError("figures/ holds figures of embedded clips only: others' frames are not ours to publish")
    written = []
    for path in (p for folder in executed.values() for p in sorted(folder.glob("figures/*"))):
        target = config.root / "figures" / path.name
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(path, temporary)
        written.append(temporary.replace(target))
    write_codecheck(config)
    return written


def render(config: Build, source: Path, say: Callable[[str], None] = print) -> Path:
    """Jupyter Book with strict warnings; the pages appear under their final name only when all checks pass."""
    html = config.folder / "html"
    versions = json.dumps(_versions(PAGE_MAKERS)).encode()
    key = _digest([_hash_files(source), _package_hash(), versions])
    stamp = config.folder / "html.key"
    if html.is_dir() and stamp.is_file() and stamp.read_text() == key:
        say("pages: unchanged")
        return html / "index.html"
    started = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix=".pages-", dir=config.folder))
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(source)]
    command += ["--path-output", str(scratch), "--all", "-n", "-W", "--keep-going"]
    try:
        environment = os.environ | {"SOURCE_DATE_EPOCH": "0", "PYTHONHASHSEED": "0", "NO_COLOR": "1"}
        say("pages: making them")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise ChapterError(f"Jupyter Book failed:\n{_failure(done.stdout + done.stderr)}")
        shutil.rmtree(html, ignore_errors=True)
        stamp.unlink(missing_ok=True)
        os.rename(scratch / "_build" / "html", html)
        files.write_atomically(stamp, key)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    say(f"pages: made in {time.monotonic() - started:.0f} s, no address outside found in them")
    return html / "index.html"


def _failure(log: str) -> str:
    """The lines of a Sphinx log that say what went wrong."""
    log = re.sub(r"\x1b\[[0-9;]*m", "", log)
    lines = [line for line in log.splitlines() if re.search(r"WARNING|ERROR|error:|network", line)]
    return "\n".join(lines) or log[-4000:]


def _drop_stale(config: Build, current: Iterable[Path]) -> None:
    """Remove executions that no page uses any more."""
    current = set(current)
    for folder in (config.folder / "chapters").iterdir():
        if folder not in current:
            shutil.rmtree(folder, ignore_errors=True)
    for scratch in config.folder.glob(".pages-*"):  # of a build that was killed
        shutil.rmtree(scratch, ignore_errors=True)
