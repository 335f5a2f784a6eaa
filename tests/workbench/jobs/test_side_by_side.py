"""Two real trainings side by side: their parent is killed, they stop gently, and `--resume` ends both."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from running import start

from workbench.tracking.runs import RunState, read_states
from workbench.tracking.store import find_store

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Do both end?"""
import sys
sys.path.insert(0, {tests!r})
from specs import small
base = small(stages=small().stages[:1])
experiments = [base, base.but(label_smoothing=0.1, name="smooth")]
'''


def states(project: Path) -> list[RunState]:
    return read_states(find_store(str(project / "mlruns")))


def wait_until(truth, seconds: float = 1200) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_killed_parent_loses_nothing_and_resume_ends_what_is_left(project: Path, root: Path) -> None:
    (project / "experiments" / "study.py").write_text(SPEC.format(tests=str(root / "tests" / "workbench")))
    words = ["run", "experiments/study.py", "--jobs", "2", "--devices", "cpu:0,cpu:0"]
    parent = start(root, project, *words, apart=True)
    wait_until(lambda: len(states(project)) == 2)  # both have a journal: both are past their start
    assert parent.poll() is None, "the parent was to be killed while its trainings run"
    parent.send_signal(signal.SIGKILL)
    parent.communicate(timeout=1200)
    assert parent.returncode == -signal.SIGKILL
    wait_until(lambda: all(state.status != "running" for state in states(project)))
    left = {state.status for state in states(project)}
    assert left <= {"stopped", "interrupted", "finished"}  # interrupted: before its first batch
    again = start(root, project, *words, "--resume", "--json", apart=True)
    out, said = again.communicate(timeout=1200)
    assert again.returncode == 0, said
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["status"] for line in lines] == ["finished"] * len(lines)
    assert "done in" in said and "Traceback" not in said
    found = states(project)
    assert [state.status for state in found] == ["finished", "finished"]  # no run more than the two
    assert all(len(state.journal.accepted()) == 2 for state in found if state.journal)
    third = start(root, project, *words, "--resume", apart=True)
    out, said = third.communicate(timeout=1200)
    assert (third.returncode, out) == (0, "")
    assert said.count("left alone") == 2
