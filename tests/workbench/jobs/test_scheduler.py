"""The queue with real, small processes: as many at once as places, failures alone, signals, a parent's death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from workbench.jobs.placement import Place, machine
from workbench.jobs.process import Child, exit_status, overall
from workbench.jobs.progress import reason
from workbench.jobs.scheduler import ProgressReporter, run_all
from workbench.jobs.task import Task
from workbench.spec.variant import Variant

# Writes when it began and ended; SIGTERM makes it end with 75, Ctrl-C with 130 after its "epoch".
WORKER = """
import os, signal, sys, time
name, seconds, status = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
wish = []
signal.signal(signal.SIGTERM, lambda *_: wish.append(75))
signal.signal(signal.SIGINT, lambda *_: wish.append(130))
print(name, "began", time.monotonic(), sorted(os.sched_getaffinity(0)), os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
deadline = time.monotonic() + seconds
while time.monotonic() < deadline and not wish:
    time.sleep(0.02)
print(name, "ended", time.monotonic(), len(wish), flush=True)
sys.exit(wish[0] if wish else status)
"""


def tasks(*names: str) -> list[Task]:
    return [Task(Variant(name, None), name, False) for name in names]  # type: ignore[arg-type]


class Recorder(ProgressReporter):
    """A board that keeps the exit status of each run and the most that worked at once."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.most = 0
        self.places: dict[str, str] = {}

    def started(self, work) -> None:
        self.places[work.task.run] = str(work.place)

    def ended(self, work, status) -> None:
        self.statuses[work.task.run] = status

    def update(self, working, waiting) -> None:
        self.most = max(self.most, len(working))


def starter(folder: Path, **wishes: tuple[float, int]):
    def start(task: Task, place: Place) -> Child:
        seconds, status = wishes.get(task.run, (0.3, 0))
        words = [sys.executable, "-c", WORKER, task.run, str(seconds), str(status)]
        return Child(words, place, folder / f"{task.run}.log")

    return start


def wait_for(path: Path, text: str, seconds: float = 1200) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and text in path.read_text():
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path} never said {text!r}")


def test_two_at_once_and_a_failure_ends_nothing_else(tmp_path: Path) -> None:
    reporter = Recorder()
    here = [Place(("0",)), Place(("1",))]
    status = run_all(tasks("a", "b", "c", "d"), here, starter(tmp_path, a=(2.5, 0), b=(0.05, 1)), reporter)
    assert status == 1
    assert reporter.statuses == {"a": 0, "b": 1, "c": 0, "d": 0}
    assert reporter.most == 2
    assert reporter.places["a"] == "GPU 0" and reporter.places["b"] == reporter.places["c"] == "GPU 1"
    assert " 1\n" in (tmp_path / "c.log").read_text()  # its CUDA_VISIBLE_DEVICES


def test_a_child_keeps_to_its_core(tmp_path: Path) -> None:
    core = machine().cores[-1]
    run_all(tasks("a"), [Place(cores=(core,))], starter(tmp_path), ProgressReporter())
    assert f"[{core}] -1" in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_is_handed_on_once_and_nothing_begins_after_it(tmp_path: Path, number, expected) -> None:
    reporter = Recorder()

    def ask() -> None:
        for name in "ab":
            wait_for(tmp_path / f"{name}.log", "began")
        os.kill(os.getpid(), number)

    threading.Thread(target=ask).start()
    status = run_all(
        tasks("a", "b", "c"), [Place(), Place()], starter(tmp_path, a=(30, 0), b=(30, 0)), reporter
    )
    assert status == expected
    assert reporter.statuses == {"a": expected, "b": expected}
    assert (tmp_path / "a.log").read_text().split()[-1] == "1"


PARENT = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests begun with nohup would hand on that it is ignored
sys.path[:0] = {paths!r}
from pathlib import Path
from test_scheduler import starter, tasks
from workbench.jobs.placement import Place
from workbench.jobs.scheduler import ProgressReporter, run_all
sys.exit(run_all(tasks("a", "b"), [Place(), Place()], starter(Path({folder!r}), a=(1200, 0), b=(1200, 0)), ProgressReporter()))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_children_stop_gently_when_their_parent_dies(tmp_path: Path, root: Path, number) -> None:
    code = PARENT.format(paths=[str(root), str(Path(__file__).parent)], folder=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    for name in "ab":
        wait_for(tmp_path / f"{name}.log", "began")
    parent.send_signal(number)
    parent.wait(1200)
    # One SIGTERM comes; the kernel may send a second one where a thread of the parent is killed after its first
    # thread, which started the children. A run takes no notice of it.
    expected = ("1", "2") if number == signal.SIGKILL else ("1",)
    for name in "ab":
        assert wait_for(tmp_path / f"{name}.log", "ended").split()[-1] in expected


def test_a_ctrl_c_of_the_terminal_reaches_children_through_the_parent_only(
    tmp_path: Path, root: Path
) -> None:
    code = PARENT.format(paths=[str(root), str(Path(__file__).parent)], folder=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    for name in "ab":
        wait_for(tmp_path / f"{name}.log", "began")
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group
    assert parent.wait(1200) == 130
    assert (tmp_path / "a.log").read_text().split()[-1] == "1"


@pytest.mark.parametrize(
    ("statuses", "asked", "left", "expected"),
    [
        ([0, 0], [], False, 0),
        ([0, 1], [], False, 1),
        ([0, 2], [], False, 2),
        ([1, 2, 75], [], False, 75),
        ([75, 130], [], False, 130),
        ([0, 137], [], False, 1),
        ([0], [signal.SIGTERM], True, 75),
        ([0], [signal.SIGINT], True, 130),
        ([0], [signal.SIGINT], False, 0),
    ],
)
def test_the_status_of_several_runs(statuses, asked, left, expected) -> None:
    assert overall(statuses, asked, left) == expected


def test_ctrl_c_reaches_a_child_that_does_not_listen_yet_even_where_its_parent_ignores_it(
    tmp_path: Path,
) -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as behind `&` in a script
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))  # as in a worker of Ray
    try:
        words = [sys.executable, "-c", "import time; print('began', flush=True); time.sleep(1200)"]
        child = Child(words, Place(), tmp_path / "log")
        wait_for(tmp_path / "log", "began")
        child.stop(signal.SIGINT)
        deadline = time.monotonic() + 1200
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert child.poll() == 130
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, old)


def test_a_death_by_signal_is_no_success() -> None:
    assert [exit_status(n) for n in (0, 2, -15, -2, -9)] == [0, 2, 75, 130, 1]


def test_the_reason_is_the_error_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert "no output" in reason(log)
    log.write_text("epoch 1\nerror: the loss is nan\nnote: views\n")
    assert reason(log) == "error: the loss is nan"
    log.write_text("Killed\n")
    assert reason(log) == "Killed"
