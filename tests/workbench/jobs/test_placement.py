"""Which device job k gets: all dealt out, none twice unless asked, and refusals that say what there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.errors import InputError
from workbench.jobs import placement as module
from workbench.jobs.placement import Machine, Place, machine, place, places, shared_place

CPU = Machine((), (0, 1, 2, 3))
GPU = Machine(("0", "1"), (0, 1, 2, 3))


@pytest.mark.parametrize(
    ("jobs", "devices", "here", "expected"),
    [
        (2, None, CPU, [Place(cores=(0, 2)), Place(cores=(1, 3))]),
        (2, "0,1", CPU, [Place(cores=(0,)), Place(cores=(1,))]),
        (None, "0,3", CPU, [Place(cores=(0,)), Place(cores=(3,))]),
        (1, "0,1", CPU, [Place(cores=(0, 1))]),
        (None, None, GPU, [Place(("0",)), Place(("1",))]),
        (2, "0,1", GPU, [Place(("0",)), Place(("1",))]),
        (None, "gpu:1", GPU, [Place(("1",))]),
        (2, "cpu:0,cpu:1", GPU, [Place(cores=(0,)), Place(cores=(1,))]),
        (3, "0,0,1", GPU, [Place(("0",)), Place(("0",)), Place(("1",))]),
    ],
)
def test_devices_are_dealt_out(jobs, devices, here, expected) -> None:
    assert places(jobs, devices, here) == expected


@pytest.mark.parametrize(
    ("jobs", "devices", "here", "said"),
    [
        (3, None, GPU, "3 jobs on 2 GPUs; expected one device or more for each job"),
        (3, None, GPU, "--devices 0,1,0"),
        (5, None, CPU, "5 jobs on 4 cores"),
        (2, "1", CPU, "2 jobs on 1 device;"),
        (None, "gpu:0", CPU, "no device gpu:0 on this machine; expected cpu:0 to cpu:3 (it has no GPU"),
        (None, "2", GPU, "no device gpu:2 on this machine; expected gpu:0 to gpu:1 or cpu:0 to cpu:3"),
        (None, "tpu:0", CPU, "'tpu:0' is not a device; expected 0,1 or gpu:0 or cpu:0"),
        (None, "0,", CPU, "'' is not a device"),
        (None, "gpu:0,cpu:0", GPU, "mixes GPUs and cores"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(jobs, devices, here, said) -> None:
    with pytest.raises(InputError) as error:
        places(jobs, devices, here)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_process_sees_its_place_only() -> None:
    assert Place(("1", "3")).environment() == {"CUDA_VISIBLE_DEVICES": "1,3"}
    result = Place(cores=(5,)).environment()
    assert result["CUDA_VISIBLE_DEVICES"] == "-1"
    assert result["TF_NUM_INTRAOP_THREADS"] == result["OMP_NUM_THREADS"] == "1"
    assert Place().environment() == {}
    assert [str(p) for p in (Place(("0",)), Place(cores=(0, 1)), Place())] == [
        "GPU 0",
        "cores 0,1",
        "this machine",
    ]


def test_a_bound_process_keeps_to_its_cores() -> None:
    core = machine().cores[-1]
    code = f"from workbench.jobs.placement import Place, machine; Place(cores=({core},)).bind(); print(machine().cores)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"({core},)"


@pytest.mark.parametrize(
    ("outer", "expected"),
    [
        (None, ("0", "1", "2")),
        ("", ()),
        ("-1", ()),
        ("2,0", ("2", "0")),
        ("1,7,0", ("1",)),
        ("GPU-ab,1", ("GPU-ab", "1")),
    ],
)
def test_gpus_are_those_that_cuda_sees(tmp_path: Path, monkeypatch, outer, expected) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n2\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if outer is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", outer)
    assert machine().gpus == expected


def test_the_place_of_one_job(monkeypatch) -> None:
    monkeypatch.setattr(module, "machine", lambda: GPU)
    assert [place(k, 2) for k in (0, 1)] == [Place(("0",)), Place(("1",))]


def test_workers_of_a_sweep_share_where_there_are_more_than_devices() -> None:
    assert [shared_place(k, 3, GPU) for k in range(3)] == [Place(("0",)), Place(("1",)), Place(("0",))]
    assert [shared_place(k, 2, CPU) for k in range(2)] == [Place(cores=(0, 2)), Place(cores=(1, 3))]
