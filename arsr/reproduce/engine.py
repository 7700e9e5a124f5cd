"""Snakemake runs the jobs of a graph; this module starts it, and is what it starts: one job.

OUT/jobs/NAME/      log.txt, running.json while it runs, then done.json (what was made, its hash) or failed.json
OUT/machines/NAME/  what Snakemake knows on a machine: jobs.json, its log, done/

Each machine that shares OUT has a Snakemake of its own. A lock on a job's folder sees to it that a job is done once:
who comes second waits, and finds it done. A lock goes with its process; the next goes on from checkpoint and clips.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    """Where jobs run: its name, GPUs and cores, processes a job, and more words for Snakemake."""

    name: str
    gpus: int
    cores: int
    processes: int = 1
    engine: str = ""

    @property
    def cluster(self) -> bool:
        """Whether jobs go elsewhere."""
        return "--executor" in self.engine


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


def is_done(out: Path, job: dict) -> bool:
    """Whether a job's file is there, made by this command from what its needs have made since."""
    done, made = state(out, job["name"], "done"), Path(job["makes"])
    if not done or done["command"] != job["command"] or not made.is_file():
        return False
    status = made.stat()
    if [status.st_size, status.st_mtime_ns] != done["stamp"] and sha256(made) != done["sha256"]:
        return False
    needs = {need: state(out, need, "done") for need in job["needs"]}
    return all(its and its["sha256"] == done["needs"].get(need) for need, its in needs.items())


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
        running = state(out, job["name"], "running")
        if running and running["machine"] == machine.name and not _alive(running["process"]):
            (place(out, job["name"]) / "running.json").unlink(missing_ok=True)  # it was killed
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
        try:
            while process.poll() is None:
                watch()
                time.sleep(CHECKED)
        finally:
            if process.poll() is None:  # Ctrl-C, a terminal that closes: the jobs stop, too
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
    watch()
    if process.returncode and not any(state(out, job["name"], "failed") for job in jobs):
        lines = (folder / "snakemake.log").read_text(errors="replace").splitlines()
        raise InputError(f"Snakemake failed: {' '.join(lines[-3:])}; {folder / 'snakemake.log'} says more")


def configured(out: Path, jobs: list[dict], machine: Machine) -> dict:
    """What the Snakefile reads: the jobs that are left, each with those of its needs that are; what each may use."""
    left = {job["name"]: job for job in jobs if not is_done(out, job)}
    waiting = {n: job | {"waits": [need for need in job["needs"] if need in left]} for n, job in left.items()}
    abreast = max(1, (machine.gpus or machine.cores) // machine.processes)
    return {
        "python": sys.executable,
        "folder": shlex.quote(str(out.resolve())),
        "place": os.getcwd(),
        "memory": MEMORY,
        "processes": machine.processes,
        "gpus": machine.processes if machine.gpus else 0,
        "cores": CORES if machine.cluster else max(1, machine.cores // abreast),
        "jobs": waiting,
    }


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True


# One job ----------------------------------------------------------------------------------------------------


def work(out: Path, name: str) -> int:
    """Do a job, unless it is done, or wait for who is at it -> exit code."""
    machine = os.environ.get("ARSR_MACHINE", "here")
    config = reading.data(out / "machines" / machine / "jobs.json", "run arsr reproduce again")
    os.chdir(config["place"])  # commands are as one would type them there
    job, folder = config["jobs"][name], place(out, name)
    with places.alone(folder, wait=-1):
        if is_done(out, job):
            return 0
        began = {"machine": machine, "process": os.getpid(), "since": time.time()}
        write_atomically(folder / "running.json", json.dumps(began))
        with _gpus(out, machine, config["gpus"]) as environment, open(folder / "log.txt", "ab") as log:
            words = started(job["command"], config["processes"])
            code = subprocess.call(words, stdout=log, stderr=log, env=environment)
        seconds = time.time() - began["since"]
        said = began | {"command": job["command"], "seconds": seconds}
        made = Path(job["makes"])
        if code or not made.is_file():
            lines = (folder / "log.txt").read_text(errors="replace").splitlines()
            reason = next((line for line in reversed(lines) if line.startswith("arsr: ")), lines[-1] if lines else "")
            write_atomically(folder / "failed.json", json.dumps(said | {"code": code, "reason": reason}))
        else:
            needs = {need: its["sha256"] for need in job["needs"] if (its := state(out, need, "done"))}
            status = made.stat()
            said |= {"sha256": sha256(made), "stamp": [status.st_size, status.st_mtime_ns], "needs": needs}
            write_atomically(folder / "done.json", json.dumps(said))
        (folder / "running.json").unlink(missing_ok=True)
    return code or 0


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
    """The environment with so many GPUs that no other job of this machine has; a cluster gives them itself."""
    from filelock import FileLock, Timeout

    if not count or "SLURM_JOB_ID" in os.environ:
        yield dict(os.environ)
        return
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    known = given.split(",") if given else [str(i) for i in range(torch.cuda.device_count())]
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
