"""Kernels that end with the build; many need not wait for imports: a process forks them that has these loaded."""

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

# no import of these starts a thread, or looks whether it happens in a notebook, as those of pyplot and widgets do
LOADED = "ipykernel.kernelapp, matplotlib.figure, numba, pandas, scipy.stats, torchvision"
SERVE = f"""
import atexit, os, sys
atexit.register(os._exit, 0)  # nobody waits for all that to be taken apart
sys.path.remove("")  # a kernel puts it elsewhere
import {LOADED}
from {__name__} import serve
serve()"""
ENDS = f"from {__name__} import end_with_parent; end_with_parent()"
NO_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}  # pyarrow's would be the only one, and lost in a fork


def end_with_parent() -> None:
    """Let this process end with the one that started it, even by kill -9; but for Linux ipykernel sees to that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def launch_kernel(command: list[str], **how: Any) -> subprocess.Popen:
    """jupyter_client's, for a kernel that ends with the thread that calls this."""
    from jupyter_client import launch_kernel

    place = command.index("-m")
    start = f"{ENDS}; import runpy; runpy.run_module({command[place + 1]!r}, run_name='__main__', alter_sys=True)"
    return launch_kernel([*command[:place], "-c", start, *command[place + 2 :]], **how)


@dataclass
class Forked:
    """A process that another one forked, with what is used of a subprocess.Popen."""

    pid: int
    stdin = stdout = stderr = None

    def send_signal(self, number: int = signal.SIGTERM) -> None:
        """To a process that may have ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        """None while it runs."""
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE:
                return None
        return -1

    terminate, wait = send_signal, poll


class Server(subprocess.Popen):
    """The process that forks; it ends with the one that started it, and its kernels with it."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0, "start_new_session": True}
        super().__init__([sys.executable, "-c", SERVE], env=environment | NO_THREAD, cwd=folder, **how)
        self.lock = threading.Lock()

    def launch_kernel(self, command: list[str], env: dict[str, str], cwd: Path, stdout: IO, **_: object) -> Forked:
        """In the place of jupyter_client.launch_kernel."""
        with self.lock:
            self.stdin.write(json.dumps([command, env, str(cwd), stdout.name]).encode() + b"\n")
            return Forked(int(self.stdout.readline()))


def serve() -> None:
    """Fork for each line of stdin, print the process id; the forked process does what ipykernel_launcher does."""
    gc.freeze()
    for line in sys.stdin:
        if not (pid := os.fork()):
            return _launch(*json.loads(line))
        print(pid, flush=True)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:  # their processor time counts
            pass


def _launch(command: list[str], env: dict[str, str], cwd: str, log: str) -> None:
    from ipykernel import kernelapp

    end_with_parent()
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.dup2(os.open(log, os.O_WRONLY), 1), 2)
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = [*command[command.index("-f") - 1 :], f"--IPKernelApp.parent_handle={os.getppid()}"]
    kernelapp.launch_new_instance()
