"""Processes that were started together know of each other, on CPUs too."""

import os
import subprocess
import sys

import pytest
import torch

from arsr import processes
from arsr_core.errors import InputError

PROGRAM = """
from arsr import processes
here = processes.this({device})
print(f"{{here.process_index}} {{here.num_processes}} {{here.device.type}}\\n", end="", flush=True)  # in one write
"""


@pytest.mark.parametrize("device", [None, "cpu"])
def test_two_processes_on_cpus(tmp_path, device):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(device=repr(device)))
    launch = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("ACCELERATE_USE_CPU", None)
    found = subprocess.run(
        [sys.executable, *launch, program], env=environment, capture_output=True, text=True, timeout=120
    )
    assert sorted(found.stdout.split("\n")) == ["", "0 2 cpu", "1 2 cpu"], found.stderr


def test_alone(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(device=None))
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, program], env=environment, capture_output=True, text=True, timeout=120)
    assert found.stdout == "0 1 cpu\n", found.stderr


def test_device():
    assert processes.device("cpu") == torch.device("cpu") == processes.device(torch.device("cpu"))
    assert processes.device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "expected device as 'cpu', 'cuda' or 'cuda:0'; got 'gpu'"),
        ("mps", "expected device as 'cpu', 'cuda' or 'cuda:0'; got 'mps'"),
        ("", "expected device as 'cpu', 'cuda' or 'cuda:0'; got ''"),
        ("cuda:99", r"device cuda:99 was asked for, but torch finds \d+ CUDA devices; give 'cpu'"),
    ],
)
def test_bad_device(name, message):
    for call in (processes.device, processes.this):
        with pytest.raises(InputError, match=message):
            call(name)
