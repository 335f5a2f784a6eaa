"""Real runs of a small three-stage experiment: what is recorded, and that an interruption changes nothing."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from running import accepted, arrays, journal, start, write_project

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Does it record?"""
import sys
sys.path.insert(0, {tests!r})
from specs import small
from workbench import HeldOutPairs, Safety
base = small(evaluate=HeldOutPairs(identities=3, pairs=24, name="unseen"), safety=Safety(every_steps=2))
experiments = [base, base.but(learning_rate=1e30, stages=base.stages[:1], weight_decay=None, name="diverges")]
'''
WHOLE = "20260101T000000Z-00000000"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A project with the spec, in which the undisturbed run has been done."""
    folder = write_project(tmp_path_factory.mktemp("project"), SPEC)
    done = start(root, folder, "run", "experiments/study.py", "base", "--run-name", WHOLE, "--json")
    out, _ = done.communicate(timeout=1200)
    assert done.returncode == 0, out
    (folder / "out.txt").write_text(out)
    return folder


def assert_same_run(folder: Path, run: str) -> None:
    assert accepted(folder, run) == accepted(folder, WHOLE)
    one, other = arrays(folder, run), arrays(folder, WHOLE)
    assert one.keys() == other.keys()
    assert [name for name in one if not np.array_equal(one[name], other[name])] == []


def test_every_epoch_of_every_stage_is_in_journal_and_mlflow(place: Path) -> None:
    rows = journal(place, WHOLE).accepted()
    assert [(r.epoch, r.stage, r.stage_epoch) for r in rows] == [
        (1, 1, 1),
        (2, 1, 2),
        (3, 2, 1),
        (4, 3, 1),
        (5, 3, 2),
    ]
    wanted = {"loss", "accuracy", "lr", "val_loss", "val_accuracy", "unseen", "unseen_thresh"}
    assert wanted <= set(rows[0].metrics)
    from workbench.tracking.store import find_store
    from workbench.views.sync import sync

    # A busy machine may end the run before MLflow was ready, which the run says; the sync does the rest.
    sync(find_store(str(place / "mlruns")), lambda line: None)
    with sqlite3.connect(place / "mlruns" / "mlflow.db") as database:
        found = database.execute(
            "SELECT m.step, m.value FROM metrics m JOIN tags t ON t.run_uuid = m.run_uuid "
            "WHERE m.key = 'unseen' AND t.key = 'workbench.run' AND t.value = ? ORDER BY m.step",
            [WHOLE],
        ).fetchall()
    assert found == [(row.epoch, row.metrics["unseen"]) for row in rows]


def test_the_json_line_holds_best_values_with_their_epochs(place: Path) -> None:
    line = json.loads(
        next(text for text in (place / "out.txt").read_text().splitlines() if text.startswith("{"))
    )
    assert (line["run"], line["study"], line["name"], line["status"]) == (WHOLE, "study", "base", "finished")
    rows = journal(place, WHOLE).accepted()
    assert line["best"]["unseen"]["value"] == max(row.metrics["unseen"] for row in rows)


def test_scores_spec_and_history_are_kept_with_the_run(place: Path) -> None:
    kept = place / "mlruns" / "journal" / f"{WHOLE}.d" / "artifacts"
    assert {"history.json", "spec.json", "spec.py", "packages.txt"} <= {path.name for path in kept.iterdir()}
    scores = np.load(kept / "scores" / "last" / "unseen.npz")
    assert scores["scores"].shape == (24,)
    assert scores["epoch"] == 5


def test_a_signal_saves_and_a_resume_ends_with_equal_bits(place: Path, root: Path) -> None:
    """SIGTERM; what each signal asks for is tested in `test_stop_signals.py`."""
    run = "20260101T000000Z-00000001"
    process = start(root, place, "run", "experiments/study.py", "base", "--run-name", run)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 2/5"):
            process.send_signal(signal.SIGTERM)
            break
    process.communicate(timeout=1200)
    assert process.returncode == 75
    end = journal(place, run).end
    assert end is not None and end.status == "stopped" and "stopped by SIGTERM; " in end.reason
    again = start(root, place, "run", "experiments/study.py", "base", "--resume")
    out, _ = again.communicate(timeout=1200)
    assert again.returncode == 0, out
    assert "resumed" in out
    assert_same_run(place, run)


def test_killed_within_a_stage_and_while_writing_it_ends_with_equal_bits(place: Path, root: Path) -> None:
    run = "20260101T000000Z-00000002"
    words = ["run", "experiments/study.py", "base", "--run-name", run]
    for phase, count in (("first step of a stage", 2), ("while writing a checkpoint", 2)):
        process = start(root, place, *words, planted=(phase, count))
        out, _ = process.communicate(timeout=1200)
        assert process.returncode == -signal.SIGKILL, out
        words = ["resume", run]
    process = start(root, place, *words)
    out, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, out
    assert_same_run(place, run)
    assert journal(place, run).attempt == 3


def test_a_forecast_opens_with_its_record_and_ctrl_c_finishes_the_epoch(place: Path, root: Path) -> None:
    run = "20260101T000000Z-00000003"
    words = ["run", "experiments/study.py", "base", "--run-name", run]
    process = start(root, place, *words, "--forecast", "unseen beat=0.99 stop=0.05")
    assert process.stdout is not None
    opening = ""
    for line in process.stdout:
        opening += line if line.startswith("forecast of") else ""
        if line.startswith("stage 1/3"):
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            break
    out, _ = process.communicate(timeout=1200)
    assert re.match(
        r"forecast of unseen from [1-9] finished runs of the study as prior; (not enough evidence|stops below)",
        opening,
    )  # which of them depends on how many tests have trained before
    assert re.search(
        r"on \d+ public curves .* (the rule would have lost [\d.]+%, and \d+% in the worst family"
        r"|[\d.]+% would have been lost \(\d+% in the worst family\))",
        opening,
    )
    assert process.returncode == 130
    assert "stops after this epoch; again: checkpoint now; third: quit" in out
    found = journal(place, run)
    assert found.end.status == "stopped" and "Ctrl-C" in found.end.reason  # type: ignore[union-attr]
    assert found.accepted()[-1].epoch == found.checkpoint().epoch  # type: ignore[union-attr]


def test_a_loss_that_is_not_finite_fails_with_its_last_batches(place: Path, root: Path) -> None:
    run = "20260101T000000Z-00000004"
    process = start(root, place, "run", "experiments/study.py", "diverges", "--run-name", run)
    out, _ = process.communicate(timeout=1200)
    assert process.returncode == 1
    assert "error: run" in out
    assert "Traceback" not in out
    end = journal(place, run).end
    assert end is not None
    assert end.status == "failed"
    assert "the loss is" in end.reason
    kept = place / "mlruns" / "journal" / f"{run}.d" / "artifacts" / "last_batches.json"
    batches = json.loads(kept.read_text())
    assert {"step", "loss", "gradient_norm", "lr", "images"} <= set(batches[-1])
    assert batches[-1]["loss"] in ("nan", "inf")
    assert len(batches[-1]["images"]) == 16
