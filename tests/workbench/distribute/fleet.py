"""Start trainings of one, two logical, or two real workers in a scratch project, each a real process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from running import free_ports, launch, launch_workers, write_project

HERE = Path(__file__).resolve().parent
SPEC = '''"""Do several devices train as one?"""
import sys
sys.path.insert(0, {here!r})
from shallow import shallow
from workbench import ArcFace, Horovod, Mirrored, MultiWorker, Safety, Stage
base = shallow()
two = base.but(devices=Mirrored(kind="cpu", count=2))
net = base.but(devices=MultiWorker(hosts={hosts!r}, wait_seconds=1200))
long = net.but(stages=(Stage(loss=ArcFace(scale=16), epochs={epochs}),), safety=Safety(every_steps=2))
one = long.but(devices=base.devices)
experiments = [
    base.but(name="base"), two.but(name="two"), two.but(devices=two.devices.but(sync_norms=False), name="own"),
    net.but(name="net"), long.but(name="long"), one.but(name="one"),
    base.but(devices=Horovod(), name="horovod"), long.but(devices=Horovod(), name="longhorovod"),
    net.but(batch_size=15, name="odd"), net.but(devices=net.devices.but(kind="gpu"), name="gpu"),
]
'''


class Fleet:
    """A project with the spec, and its workers."""

    def __init__(self, folder: Path, epochs: int = 4) -> None:
        self.folder = folder
        self.hosts = tuple(f"127.0.0.1:{port}" for port in free_ports(2))
        write_project(folder, SPEC, "fleet", here=str(HERE), hosts=self.hosts, epochs=epochs)

    def _command(self, words: tuple[str, ...], losses: str, program: Any = None) -> list[str]:
        file = str(self.folder / f"{losses}.json")
        return [*(program or [sys.executable]), str(HERE / "stepwise.py"), file, *words]

    def start(
        self, *words: str, losses: str = "losses", program: Any = None, **more: str
    ) -> subprocess.Popen[str]:
        """Start the program by itself; `losses` is the file of its steps' losses."""
        return launch(self._command(words, losses, program), self.folder, TF_CPP_MIN_LOG_LEVEL="3", **more)

    def workers(self, *words: str, losses: str = "worker", **more: str) -> list[subprocess.Popen[str]]:
        """Start both workers of the host list."""
        commands = [self._command(words, f"{losses}{k}") for k in (0, 1)]
        return launch_workers(commands, self.folder, **more)

    def losses(self, name: str) -> list[float]:
        """Return the losses of a process's steps."""
        found: list[float] = json.loads((self.folder / f"{name}.json").read_text())
        return found


def ended(*processes: subprocess.Popen[str], seconds: float = 12000) -> list[tuple[int, str]]:
    """Return exit status and output of each process; none of them outlives this call."""
    try:
        outputs = [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
    return [(process.returncode, text) for process, text in zip(processes, outputs)]


def largest_difference(one: list[float], other: list[float], steps: int = 10) -> float:
    """Return the largest relative difference of the first steps' losses."""
    assert min(len(one), len(other)) >= steps
    return max(abs(a - b) / abs(a) for a, b in zip(one[:steps], other[:steps]))


def wait_for_steps(fleet: Fleet, name: str, steps: int, seconds: float = 1200) -> None:
    """Wait until a process has done so many steps."""
    path = fleet.folder / f"{name}.json"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().count(",") >= steps:
            return
        time.sleep(0.02)
    raise AssertionError(f"{name} did not come to step {steps}")
