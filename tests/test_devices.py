"""Which device, and what it has: names, bfloat16, memory under control groups."""

import pytest
import torch

from arsr_core import devices
from arsr_core.errors import InputError

CPU = torch.device("cpu")


def test_devices_by_name():
    assert devices.device("cpu") == CPU and devices.device(CPU) == CPU
    assert devices.device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("gpu", "mps", "meta", 1.5):
        with pytest.raises(InputError, match=f"expected device as 'cpu', 'cuda' or 'cuda:0'; got '{name}'"):
            devices.device(name)
    with pytest.raises(InputError, match=r"cuda:99 was asked for, but torch finds \d+ CUDA devices; give 'cpu'"):
        devices.device("cuda:99")


@pytest.mark.parametrize(
    ("table", "files", "expected"),
    [
        ("0::/jobs/7\n", {"jobs/7/memory.max": "max", "jobs/memory.max": "3000000"}, 3000000),
        ("0::/jobs/7\n", {"jobs/7/memory.max": "2000000", "jobs/memory.max": "3000000"}, 2000000),
        ("0::/\n", {"memory.max": "1000000"}, 1000000),  # a container of version 2 sees itself as the root
        ("9:cpu:/a\n4:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "5000000"}, 5000000),
        # a container of version 1 sees its own group at the root, under the name that the host gave it
        ("4:memory:/docker/0f\n", {"memory/memory.limit_in_bytes": "4000000"}, 4000000),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("0::/\n", {}, None),
    ],
)
def test_control_groups_limit_memory(tmp_path, table, files, expected):
    texts = {"proc/self/cgroup": table} | {f"sys/fs/cgroup/{name}": f"{text}\n" for name, text in files.items()}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert devices.memory(CPU, tmp_path) == expected or (expected is None and devices.memory(CPU, tmp_path) > 1 << 28)


def test_memory_where_there_are_no_control_groups(tmp_path):
    assert devices.memory(CPU, tmp_path) > 1 << 28


def test_a_torch_without_capabilities_computes_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not devices.multiplies_bfloat16(CPU)


@pytest.mark.parametrize(("has", "faster"), [({"avx512_bf16": True}, False), ({"amx_bf16": True}, True), ({}, False)])
def test_bfloat16_is_faster_with_amx_alone(monkeypatch, has, faster):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert devices.multiplies_bfloat16(CPU) is faster
