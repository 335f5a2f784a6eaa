"""Sweeps by their command, longer than `make test` allows: resumes, the best in full, chief and workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_sweep import SPEC, journal, place, record, run, store_of

from workbench.tracking import sweeps

__all__ = ["place"]  # the fixture: a project in which the Hyperband sweep has been done

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(900)]


def test_a_changed_space_is_named_and_refused_unless_allowed(place: Path, capsys: pytest.CaptureFixture[str]):
    run(place, "grid", "--trials", "2")
    path = place / "experiments" / "study.py"
    path.write_text(
        SPEC.replace("Choice(8, 16)", "Choice(8, 16, 24)").replace("batch_size=256", "batch_size=128")
    )
    try:
        capsys.readouterr()
        run(place, "grid", "--resume", status=2)
        said = capsys.readouterr().err
        assert "'backbone.units.1' was" in said
        assert "base.batch_size was 256 and is 128" in said
        assert "--allow-changed-space" in said
        path.write_text(SPEC.replace("Choice(8, 16)", "Choice(8, 16, 24)"))
        run(place, "grid", "--resume", "--allow-changed-space")
    finally:
        path.write_text(SPEC)
    trials = record(place, "grid").trials
    assert len({json.dumps(dict(trial.request.settings)) for trial in trials}) == len(trials) == 6


def test_the_best_settings_are_written_and_trained_in_full(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    trials = len(record(place, "band").trials)
    run(place, "band", "--resume", "--emit", "best.py", "--train-best")
    assert len(record(place, "band").trials) == trials  # nothing was left to do
    best = record(place, "band").best()
    assert best
    from workbench.spec.load import load_variants

    (variant,) = load_variants("best.py")
    states = [
        s for s in store_of(place).runs() if (j := journal(place, s)).start and j.start.name == "band-best"
    ]
    assert len(states) == 1
    assert journal(place, states[0]).start.id == variant.experiment.id
    assert journal(place, states[0]).accepted()[-1].epoch == 4
    run(place, "band", "--resume", "--emit", "best.py", status=2)  # never overwritten


def test_the_tuners_state_is_made_anew_from_the_journals(place: Path):
    before = record(place, "band")
    (sweeps.folder(store_of(place), before.run) / sweeps.STATE).unlink()
    run(place, "band", "--resume")
    after = record(place, "band")
    assert {t.id: (t.request.runs, t.score) for t in before.trials}.items() <= {
        t.id: (t.request.runs, t.score) for t in after.trials
    }.items()


def start(folder: Path, root: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "workbench", "sweep", "experiments/study.py", *words],
        cwd=folder,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_killed_worker_goes_on_with_its_trial(place: Path, root: Path):
    process = start(place, root, "grid", "--workers", "2")
    assert process.stdout is not None
    lines, killed = [], False
    for line in process.stdout:
        lines.append(line)
        if line.startswith("trial") and not killed:
            worker = _a_worker(process.pid)
            os.kill(worker, signal.SIGKILL)
            killed = True
    process.wait(timeout=1200)
    text = "".join(lines)
    assert process.returncode == 0, text
    assert "died (signal 9)" in text
    trials = record(place, "grid").trials
    assert [trial.status for trial in trials] == ["completed"] * 4
    for trial in trials:
        assert [row.epoch for row in journal(place, trial.request.runs[0]).accepted()] == [1, 2, 3, 4]


def _a_worker(parent: int) -> int:
    for _ in range(100):
        found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if found:
            return int(found[-1])
        time.sleep(0.1)
    raise AssertionError("no worker")


def test_two_workers_write_json_lines_alone(place: Path, root: Path):
    spec = SPEC.replace(
        '"backbone.units.1": Choice(8, 16)}',
        '"optimizer": Choice(SGD(), Adam()), "optimizer.momentum": Choice(0, 0.9).when("optimizer", SGD())}',
    ).replace('Choice(0, 1e-3), "opt', 'Choice(1e-3), "opt')
    (place / "experiments" / "branching.py").write_text(spec)
    words = [
        sys.executable,
        "-m",
        "workbench",
        "sweep",
        "experiments/branching.py",
        "grid",
        "--workers",
        "2",
        "--json",
    ]
    done = subprocess.run(
        words,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(root)},
        text=True,
        timeout=1200,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [
        json.loads(line) for line in done.stdout.splitlines()
    ]  # Keras Tuner prints conditions by mistake
    assert len(lines) == 3
    assert "fork" not in done.stderr  # gRPC's warnings of processes that a chief starts
    assert (
        sum(line.startswith("trial ") for line in done.stderr.splitlines()) == 3 + 1
    )  # and the table's head


def test_nothing_is_lost_with_a_killed_chief(place: Path, root: Path):
    run(place, "grid", "--trials", "1")  # a new sweep of that name
    process = start(place, root, "grid", "--resume", "--workers", "2")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("trial"):
            os.kill(process.pid, signal.SIGKILL)
            break
    said = process.stdout.read()  # ends when the workers have ended
    assert "Traceback" not in said
    run(place, "grid", "--resume")
    trials = record(place, "grid").trials
    assert [trial.status for trial in trials] == ["completed"] * 4
    for trial in trials:
        assert [row.epoch for row in journal(place, trial.request.runs[0]).accepted()] == [1, 2, 3, 4]
