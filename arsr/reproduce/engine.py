"""Snakemake runs the jobs of a graph; this module starts it, and is what it starts: one job.

OUT/jobs/NAME/      log.txt, began.json (from what), running.json while it runs, then done.json (what was made, its
                    hash) or failed.json
OUT/machines/NAME/  what Snakemake knows on a machine: jobs.json, its log, done/

Each machine that shares OUT has a Snakemake of its own. A lock on a job's folder sees to it that a job is done once:
who comes second does another meanwhile, comes back, and finds it done. A lock goes with its process; the next goes on
from checkpoint and clips.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from arsr import places, reading
from arsr_core.errors import InputError
from arsr_core.files import sha256, write_atomically

CHECKED = 3.0  # seconds between two looks at the jobs
GRACE = 60  # seconds for jobs to stop
MEMORY, CORES = 16_000, 8  # MB and cores that a job asks a cluster for


@dataclass(frozen=True)
class Machine:
    """Where jobs run: its name, GPUs and cores, processes a job, more words for Snakemake; which GPUs jobs see."""

    name: str
    gpus: int
    cores: int
    processes: int = 1
    engine: str = ""
    visible: str | None = None  # as CUDA_VISIBLE_DEVICES; None: as the machine has it

    @property
    def asked(self) -> argparse.Namespace:
        """What the words for Snakemake say of where, and how many at a time."""
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        for names in (("--executor", "-e"), ("--profile",), ("--workflow-profile",), ("--jobs", "-j")):
            parser.add_argument(*names, nargs="?")
        return parser.parse_known_args(shlex.split(self.engine))[0]

    @property
    def cluster(self) -> bool:
        """Whether jobs go elsewhere."""
        asked = self.asked
        return bool(asked.profile or asked.workflow_profile or asked.executor not in (None, "local"))

    @property
    def devices(self) -> int:
        """How many jobs run at a time: without GPUs one, on all cores."""
        jobs = self.asked.jobs or ""
        return int(jobs) if self.cluster and jobs.isdigit() else max(1, self.gpus // self.processes)


def place(out: Path, name: str) -> Path:
    """The folder of a job."""
    return out / "jobs" / name


def state(out: Path, name: str, kind: str) -> dict | None:
    """What done.json, running.json or failed.json of a job says; None where there is none."""
    path = place(out, name) / f"{kind}.json"
    try:
        return reading.data(path, "remove it") if path.exists() else None
    except InputError:  # it goes just now
        return None


def origin(out: Path, job: dict) -> dict:
    """What a job is made from: hashes of what its needs made and of files that no job makes, and of lists of clips."""
    needs = {need: its["sha256"] for need in job["needs"] if (its := state(out, need, "done"))}
    given = {path: _hash(path, *_stamp(Path(path))) for path in job.get("given", ())}
    return {"needs": needs, "given": given, "clips": job.get("clips", "")}


def is_done(out: Path, job: dict, *, gone: bool = False) -> bool:
    """Whether a job was done, by this command, from what there is now, and its file is as it was made, or gone."""
    done, made = state(out, job["name"], "done"), Path(job["makes"])
    if not done or done["command"] != job["command"] or made.exists() == gone:
        return False
    now, stamp = origin(out, job), _stamp(made)
    if len(now["needs"]) < len(job["needs"]) or now != done.get("origin"):
        return False
    return gone or stamp == done["stamp"] or _hash(made, *stamp) == done["sha256"]


def left(out: Path, jobs: list[dict]) -> set[str]:
    """The names of those that are still to be done; jobs: each after those that it needs.

    What is to be made anew takes along what is made from it. What was removed and nobody needs now may stay away.
    """
    found, gone, used = set(), set(), {need for job in jobs for need in job["needs"]}
    for job in jobs:
        anew = found.intersection(job["needs"])
        if not anew and job["name"] in used and is_done(out, job, gone=True):
            gone.add(job["name"])
        elif anew or not is_done(out, job):
            found.add(job["name"])
    for job in reversed(jobs):  # what needs it has been looked at
        if job["name"] in found:
            found |= gone.intersection(job["needs"])
    return found


def _stamp(path: Path) -> list[int]:
    status = path.stat() if path.is_file() else None
    return [status.st_size, status.st_mtime_ns] if status else [0, 0]


@cache
def _hash(path: Path | str, size: int, changed: int) -> str:
    return sha256(path) if changed else ""


# A run of Snakemake -----------------------------------------------------------------------------------------


def run(out: Path, jobs: list[dict], machine: Machine, watch: Callable[[], None]) -> None:
    """Run the jobs on a machine or, by its engine's words, a cluster; what fails stops only what needs it.

    jobs: each with name, command, makes, needs, priority, minutes. watch is called now and then. One run a machine and
    folder: another gets an InputError.
    """
    if not find_spec("snakemake"):
        raise InputError("reproduce needs Snakemake; install the extra: pip install -e '.[study]'")
    folder = out / "machines" / machine.name
    for job in jobs:
        (place(out, job["name"]) / "failed.json").unlink(missing_ok=True)
        (folder / "done" / job["name"]).unlink(missing_ok=True)
    bury(out, jobs)
    config = configured(out, jobs, machine)
    write_atomically(folder / "jobs.json", json.dumps(config, indent=1) + "\n")
    words = ["--snakefile", files("arsr.reproduce") / "Snakefile", "--configfile", folder / "jobs.json"]
    words += ["--directory", folder, "--keep-going", "--nolock", "--rerun-incomplete", "--rerun-triggers", "mtime"]
    if not machine.cluster:
        words += ["--cores", machine.cores] + ["--resources", f"gpu={machine.gpus}"] * bool(machine.gpus)
    words += ["--scheduler", "greedy", *shlex.split(machine.engine)]
    with open(folder / "snakemake.log", "ab") as log:
        command = [sys.executable, "-m", "snakemake", *map(str, words)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "ARSR_MACHINE": machine.name}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        ended = False
        try:
            while process.poll() is None:
                watch()
                time.sleep(CHECKED)
            ended = True
        finally:
            if process.poll() is None:  # Ctrl-C, a terminal that closes: the jobs stop, too
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
            bury(out, jobs, machine.name, killed=ended)
            watch()
    ran = left(out, jobs) != config["jobs"].keys() or any(state(out, job["name"], "failed") for job in jobs)
    if process.returncode and not ran:
        lines = (folder / "snakemake.log").read_text(errors="replace").splitlines()
        raise InputError(f"Snakemake failed: {' '.join(lines[-3:])}; {folder / 'snakemake.log'} says more")


def configured(out: Path, jobs: list[dict], machine: Machine) -> dict:
    """What the Snakefile reads: the jobs that are left, each with those of its needs that are; what each may use."""
    names = left(out, jobs)
    waiting = [job | {"waits": [n for n in job["needs"] if n in names]} for job in jobs if job["name"] in names]
    abreast = max(1, machine.gpus // machine.processes)
    return {
        "python": shlex.quote(sys.executable),
        "folder": shlex.quote(str(out.resolve())),
        "place": os.getcwd(),
        "memory": MEMORY,
        "processes": machine.processes,
        "cluster": machine.cluster,
        "visible": machine.visible,
        "gpus": machine.processes if machine.gpus else 0,
        "cores": CORES if machine.cluster else max(1, machine.cores // abreast),
        "jobs": {job["name"]: job for job in waiting},
    }


def bury(out: Path, jobs: list[dict], machine: str = "", *, killed: bool = False) -> None:
    """Take away running.json of jobs that nobody is at; where a machine's were killed, they have failed."""
    for job in jobs:
        folder, running = place(out, job["name"]), state(out, job["name"], "running")
        if running:
            mine = running["machine"] == machine  # and may just be about to stop
            with _held(folder, wait=2 * CHECKED if mine else 0) as held:
                if held and (running := state(out, job["name"], "running")):
                    if killed and mine and not is_done(out, job):
                        _fail(folder, job, running, _stamp(folder / "log.txt")[1] / 1e9, "its process was killed")
                    (folder / "running.json").unlink(missing_ok=True)


# One job ----------------------------------------------------------------------------------------------------


def work(out: Path, name: str) -> int:
    """Do a job, unless it is done -> exit code. While somebody else is at it, do others that nobody is at.

    Not on a cluster, whose limits of time are those of the job.
    """
    machine = os.environ.get("ARSR_MACHINE", "here")
    config = reading.data(out / "machines" / machine / "jobs.json", "run arsr reproduce again")
    os.chdir(config["place"])  # commands are as one would type them there
    if config["visible"] is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = config["visible"]
    jobs = config["jobs"]
    others = sorted((job for job in jobs.values() if job["name"] != name), key=lambda job: -job["priority"])
    while True:
        with _held(place(out, name)) as held:
            if held:
                return _do(out, jobs[name], config, machine)
        for job in others * (not config["cluster"]):
            if not is_done(out, job) and not state(out, job["name"], "failed") and _ready(out, jobs, job):
                with _held(place(out, job["name"])) as held:
                    if held:
                        _do(out, job, config, machine)
                        break
        else:
            time.sleep(1)


def _ready(out: Path, jobs: dict[str, dict], job: dict) -> bool:
    return all(is_done(out, jobs[need]) and _ready(out, jobs, jobs[need]) for need in job["waits"])


@contextmanager
def _held(folder: Path, wait: float = 0) -> Iterator[bool]:
    """Whether the lock of a job could be had; while the block runs it is."""
    with ExitStack() as stack:
        try:
            stack.enter_context(places.alone(folder, wait))
            held = True
        except InputError:
            held = False
        yield held


def _do(out: Path, job: dict, config: dict, machine: str) -> int:
    """Do a job whose lock is held -> exit code."""
    folder, made = place(out, job["name"]), Path(job["makes"])
    if is_done(out, job):
        return 0
    begun = {"command": job["command"], "origin": origin(out, job), "seconds": 0.0}
    if before := state(out, job["name"], "began"):
        if begun["origin"] != before["origin"] or (made.suffix == ".parquet" and begun["command"] != before["command"]):
            _discard(made)
        elif not state(out, job["name"], "done"):
            begun["seconds"] = before["seconds"]
    write_atomically(folder / "began.json", json.dumps(begun))
    running = {"machine": machine, "process": os.getpid(), "since": time.time()}
    write_atomically(folder / "running.json", json.dumps(running))
    count = 0 if config["cluster"] else config["gpus"]
    with _gpus(out, machine, count) as environment, open(folder / "log.txt", "a+b") as log:
        read = log.seek(0, os.SEEK_END)
        code = subprocess.call(started(job["command"], config["processes"]), stdout=log, stderr=log, env=environment)
        log.seek(read)
        lines = log.read().decode(errors="replace").splitlines()
    if code or not made.is_file():
        ended = f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}" if code else f"no {made}"
        last = f"{lines[-1]} ({ended})" if lines else ended
        reason = next((line for line in reversed(lines) if line.startswith("arsr: ")), last)
        _fail(folder, job, running, time.time(), reason, code)
    else:
        seconds = begun["seconds"] + time.time() - running["since"]
        said = running | begun | {"seconds": seconds, "stamp": _stamp(made), "sha256": sha256(made)}
        write_atomically(folder / "done.json", json.dumps(said))
        (folder / "failed.json").unlink(missing_ok=True)
    (folder / "running.json").unlink(missing_ok=True)
    return code or int(not made.is_file())


def _fail(folder: Path, job: dict, running: dict, ended: float, reason: str, code: int | None = None) -> None:
    """Write failed.json, and to began.json the time that all attempts took."""
    begun = reading.data(folder / "began.json", "remove it")
    begun["seconds"] += max(0.0, ended - running["since"])
    write_atomically(folder / "began.json", json.dumps(begun))
    said = {"command": job["command"], "seconds": begun["seconds"], "code": code, "reason": reason}
    write_atomically(folder / "failed.json", json.dumps(running | said))


def _discard(made: Path) -> None:
    """Take away scores or weights made from something else, with what they would go on from."""
    if made.suffix in (".parquet", ".safetensors"):
        for path in (made, made.with_name(f"{made.name}.parts"), made.with_name("checkpoint.pt")):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def started(command: list[str], processes: int) -> list[str]:
    """The words that start a command: `arsr` of this Python, by several processes where it has a use for them."""
    if command[0] != "arsr":
        return command
    if processes == 1 or command[1] == "data":
        return [sys.executable, "-m", *command]
    # without "--" torchrun takes --start for a shortened option of its own
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "--"]
    return [sys.executable, "-m", *launcher, *command]


@contextmanager
def _gpus(out: Path, machine: str, count: int) -> Iterator[dict[str, str]]:
    """The environment with so many GPUs that no other job of this machine has; 0: as it is."""
    from filelock import FileLock, Timeout

    if not count:
        yield dict(os.environ)
        return
    known = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    held: list[tuple[str, FileLock]] = []
    while len(held) < count:
        for number in known:
            lock = FileLock(out / "machines" / machine / f"gpu-{number}.lock", timeout=0)
            if len(held) < count and number not in dict(held):
                try:
                    lock.acquire()
                    held.append((number, lock))
                except Timeout:
                    continue
        time.sleep(0 if len(held) == count else 1)
    try:
        yield os.environ | {"CUDA_VISIBLE_DEVICES": ",".join(number for number, _ in held)}
    finally:
        for _, lock in held:
            lock.release()


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1]), sys.argv[2]))
