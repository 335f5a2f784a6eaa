"""The device of job k: which GPUs or processor cores a process gets when several work side by side.

A process sees its own devices only. GPUs are handed out through `CUDA_VISIBLE_DEVICES`; on a machine without
GPUs the processor cores are, so that two trainings on two cores do not fight for both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from workbench.errors import InputError

GPU_VARIABLE = "CUDA_VISIBLE_DEVICES"
THREAD_VARIABLES = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


@dataclass(frozen=True)
class Machine:
    """What this process may use: GPUs by the ids that CUDA takes, processor cores by number."""

    gpus: tuple[str, ...]
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """Where one job works. `gpus` are visible to it; without any it is bound to `cores` (all when empty)."""

    gpus: tuple[str, ...] = ()
    cores: tuple[int, ...] = ()

    def __str__(self) -> str:
        kind, names = ("GPU", self.gpus) if self.gpus else ("core", tuple(map(str, self.cores)))
        return f"{kind}{'s' if len(names) > 1 else ''} {','.join(names)}" if names else "this machine"

    def environment(self) -> dict[str, str]:
        """Return the variables that make a process keep to its place; set them before TensorFlow's import."""
        if self.gpus:
            return {GPU_VARIABLE: ",".join(self.gpus)}
        if not self.cores:
            return {}
        # No GPU either, where cores were asked for on a machine that has some: another job may have it.
        return {GPU_VARIABLE: "-1", **dict.fromkeys(THREAD_VARIABLES, str(len(self.cores)))}

    def bind(self) -> None:
        """Keep the calling process, and all that it starts, to the cores of the place (Linux)."""
        if self.cores:
            os.sched_setaffinity(0, self.cores)


def machine() -> Machine:
    """Return the GPUs and cores that this process may use, without importing TensorFlow."""
    return Machine(tuple(_visible(_installed_gpus())), tuple(sorted(os.sched_getaffinity(0))))


def _installed_gpus() -> list[str]:
    """Return the numbers of the machine's NVIDIA GPUs; none where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        # With a limit: beside a driver in trouble the program hangs.
        words = [program, "--query-gpu=index", "--format=csv,noheader"]
        found = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return found.split()


def _visible(installed: list[str]) -> Iterator[str]:
    """Yield what an outer `CUDA_VISIBLE_DEVICES` leaves: as in CUDA, the list ends at the first unknown one."""
    outer = os.environ.get(GPU_VARIABLE)
    if outer is None or not installed:
        yield from installed
        return
    for name in (word.strip() for word in outer.split(",")):
        if not name or (name.lstrip("-").isdigit() and name not in installed):
            return
        yield name


def place(job: int, jobs: int, devices: str | None = None) -> Place:
    """Return the place of job number `job` (from 0) of `jobs` that work at once on this machine."""
    return places(jobs, devices)[job]


def shared_place(job: int, jobs: int, here: Machine | None = None) -> Place:
    """Return the place of one of `jobs` equal workers: as `place`, but with more workers than devices they share."""
    here = here or machine()
    devices: list[str | int] = [*here.gpus] or [*here.cores]
    return _place(devices[job::jobs] or [devices[job % len(devices)]])


def places(jobs: int | None = None, devices: str | None = None, here: Machine | None = None) -> list[Place]:
    """Return the places of `jobs` jobs at once on `devices`, written `0,1`, `gpu:0,gpu:1` or `cpu:0,cpu:1`.

    A bare number counts this machine's GPUs, or its cores where it has no GPU. Without `devices` all are
    used; without `jobs` each device gets one job. Devices are dealt out evenly; naming one twice shares it.
    Raises `InputError` for a device that is not there, and for more jobs than devices.
    """
    here = here or machine()
    found: list[str | int] = [*here.gpus] or [*here.cores]
    if devices is not None:
        found = _parsed(devices, here)
    jobs = jobs or len(found)
    if jobs > len(found):
        kind = "device" if devices is not None else ("GPU" if here.gpus else "core")
        twice = ",".join(str(k % len(found)) for k in range(jobs))
        raise InputError(
            f"{jobs} jobs on {len(found)} {kind}{'s' if len(found) > 1 else ''}",
            where="--jobs",
            expected="one device or more for each job",
            do=f"to share devices name them twice: --devices {twice}",
        )
    return [_place(found[job::jobs]) for job in range(jobs)]


def _place(devices: list[str | int]) -> Place:
    gpus = tuple(name for name in devices if isinstance(name, str))
    return Place(gpus, () if gpus else tuple(name for name in devices if isinstance(name, int)))


def _parsed(text: str, here: Machine) -> list[str | int]:
    """Return the GPUs (texts) or cores (numbers) that `--devices` names."""
    found: list[str | int] = []
    for word in (part.strip() for part in text.split(",")):
        kind, colon, number = word.rpartition(":")
        kind = kind if colon else ("gpu" if here.gpus else "cpu")
        if kind not in ("gpu", "cpu") or not number.isdigit():
            raise InputError(f"{word!r} is not a device", where="--devices", expected="0,1 or gpu:0 or cpu:0")
        have: tuple[str, ...] | tuple[int, ...] = here.gpus if kind == "gpu" else here.cores
        if int(number) >= len(have):
            raise InputError(
                f"no device {kind}:{number} on this machine", where="--devices", expected=_words(here)
            )
        found.append(have[int(number)])
    if len({type(device) for device in found}) > 1:
        raise InputError(f"{text!r} mixes GPUs and cores", where="--devices", expected="devices of one kind")
    return found


def _words(here: Machine) -> str:
    gpus = f"gpu:0 to gpu:{len(here.gpus) - 1}" if len(here.gpus) > 1 else "gpu:0"
    cores = f"cpu:0 to cpu:{len(here.cores) - 1}" if len(here.cores) > 1 else "cpu:0"
    return f"{gpus} or {cores}" if here.gpus else f"{cores} (it has no GPU that CUDA sees)"
