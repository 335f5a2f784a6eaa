"""Real branches: equal to their full runs, one trunk however they start, and no harm from kills."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from running import accepted, arrays, journal, start

from workbench.tracking import branch_history
from workbench.train import checkpoint_file

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Which loss for the last epochs?"""
import sys
sys.path.insert(0, {tests!r})
from specs import tiny
from workbench import E, CosFace, HeldOutPairs, Nadam, PlainCNN, Safety, Softmax, Stage
trunk = tiny(evaluate=HeldOutPairs(identities=3, pairs=24, name="unseen"), safety=Safety(every_steps=2), name="whole",
             backbone=PlainCNN(image_size=32), embedding=E(size=16, dropout=0.2), batch_size=8)
cos = trunk.branch(at_epoch=4, stages=Stage(loss=CosFace(scale=16), epochs=2), name="cos")
experiments = {experiments}
'''
FULL, COS, SOFT = (f"20260101T000000Z-0000000{number}" for number in (0, 1, 2))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A project in which the full run of the branch `cos` was trained in a store of its own."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "experiments").mkdir()
    tests = str(root / "tests" / "workbench")
    soft = "trunk.branch(at_epoch=4, stages=Stage(loss=Softmax(), epochs=1), optimizer=Nadam(), name='soft')"
    for name, text in (("tree", f"[cos, {soft}, trunk]"), ("full", "[cos.but(trunk=None)]")):
        (folder / "experiments" / f"{name}.py").write_text(SPEC.format(tests=tests, experiments=text))
    (folder / "mlruns").mkdir()
    done = start(root, folder, "run", "experiments/full.py", "--run-name", FULL)
    out, _ = done.communicate(timeout=1200)
    assert done.returncode == 0, out
    return folder


def trunks(folder: Path) -> list[str]:
    """Return the runs of a store other than the named ones."""
    names = [path.stem for path in (folder / "mlruns" / "journal").glob("*.jsonl")]
    return [name for name in names if name not in (FULL, COS, SOFT)]


def assert_equal_to_the_full_run(folder: Path, full: Path) -> None:
    whole = accepted(full, FULL)
    rows = branch_history.all_rows(journal(folder, COS))
    assert [(r.epoch, r.stage, r.stage_epoch, r.step, dict(r.metrics)) for r in rows] == whole
    assert [row.epoch for row in journal(folder, COS).accepted()] == [5, 6]
    one, other = arrays(folder, COS), arrays(full, FULL)
    assert one.keys() == other.keys()
    assert [name for name in one if not np.array_equal(one[name], other[name])] == []
    best, wanted = (
        checkpoint_file.read(place / "mlruns" / "checkpoints" / run / checkpoint_file.BEST)
        for place, run in ((folder, COS), (full, FULL))
    )
    assert best.facts["step"] == wanted.facts["step"]
    assert all(np.array_equal(best.arrays[name], wanted.arrays[name]) for name in wanted.arrays)
    kept, same = (
        place / "mlruns" / "journal" / f"{run}.d" / "artifacts"
        for place, run in ((folder, COS), (full, FULL))
    )
    assert json.loads((kept / "history.json").read_text()) == json.loads((same / "history.json").read_text())
    assert int(np.load(kept / "scores" / "best" / "unseen.npz")["epoch"]) == best.facts["best"]["epoch"]


def test_two_branches_started_at_once_train_one_trunk_and_equal_their_full_runs(
    place: Path, root: Path
) -> None:
    words = ("run", "experiments/tree.py")
    cos = start(root, place, *words, "cos", "--run-name", COS)
    soft = start(root, place, *words, "soft", "--run-name", SOFT)
    out, _ = cos.communicate(timeout=1200)
    other, _ = soft.communicate(timeout=1200)
    assert (cos.returncode, soft.returncode) == (0, 0), out + other
    assert sum("training the trunk first" in text for text in (out, other)) == 1
    (trunk,) = trunks(place)
    executed = [len(journal(place, run).accepted()) for run in (trunk, COS, SOFT)]
    assert executed == [4, 2, 1]
    assert journal(place, trunk).start.name == "whole@4"  # type: ignore[union-attr]
    assert_equal_to_the_full_run(place, place)
    shown = start(root, place, "show", COS).communicate(timeout=1200)[0]
    assert f"branch of run {trunk} after epoch 4" in shown
    assert "epoch   1" in shown
    line = json.loads(start(root, place, "show", COS, "--json").communicate(timeout=1200)[0])
    assert (
        line["best"]
        == json.loads(start(root, place, "show", FULL, "--json").communicate(timeout=1200)[0])["best"]
    )
    with sqlite3.connect(place / "mlruns" / "mlflow.db") as database:
        tags = dict(
            database.execute(
                "SELECT t.key, t.value FROM tags t JOIN tags r ON r.run_uuid = t.run_uuid "
                "WHERE r.key = 'workbench.run' AND r.value = ?",
                [COS],
            ).fetchall()
        )
    assert (tags["workbench.parent"], tags["workbench.trunk"]) == (trunk, f"{trunk}@4")
    again = start(root, place, "rerun", COS).communicate(timeout=1200)[0]
    assert "its epochs 1 to 4 are those of its trunk" in again
    assert "curve: equal, bit for bit (2 epochs" in again
    assert len(trunks(place)) == 2  # the rerun, and no second trunk


def test_a_variant_keeps_what_its_branch_grows_from(place: Path, root: Path) -> None:
    """One after the other; tests/acceptance/test_branches.py trains them side by side."""
    folder = place / "after"
    (folder / "mlruns").mkdir(parents=True)
    shutil.copytree(place / "experiments", folder / "experiments")
    for name in ("whole", "cos"):
        process = start(root, folder, "run", "experiments/tree.py", name)
        out, _ = process.communicate(timeout=1200)
        assert process.returncode == 0, out
    found = [journal(folder, run) for run in trunks(folder)]
    executed = {each.start.name: [row.epoch for row in each.accepted()] for each in found}  # type: ignore[union-attr]
    assert executed == {"whole": [1, 2, 3, 4, 5], "cos": [5, 6]}


def attempts(folder: Path) -> list[tuple[int, list[int]]]:
    """Return attempt and accepted epochs of the trunk and of the branch, as far as they were begun."""
    found = [journal(folder, run) for run in (*trunks(folder), COS) if is_begun(folder, run)]
    return [(each.attempt, [row.epoch for row in each.accepted()]) for each in found]


def is_begun(folder: Path, run: str) -> bool:
    return (folder / "mlruns" / "journal" / f"{run}.jsonl").exists()


def test_kills_of_trunk_and_branch_change_nothing(place: Path, root: Path) -> None:
    folder = place / "killed"
    (folder / "mlruns").mkdir(parents=True)
    shutil.copytree(place / "experiments", folder / "experiments")
    words = ["run", "experiments/tree.py", "cos", "--run-name", COS]
    whole = [1, 2, 3, 4]
    for phase, count, left in (
        ("while writing a checkpoint", 2, [(1, [1])]),  # of the trunk: the one after its first epoch
        ("first step of a stage", 3, [(2, whole), (1, [])]),  # the branch's, after two of the trunk
        ("after the row, before the state", 2, [(2, whole), (2, [5])]),  # of the branch's first epoch
    ):
        process = start(root, folder, *words, planted=(phase, count))
        out, _ = process.communicate(timeout=1200)
        assert process.returncode == -signal.SIGKILL, out
        assert attempts(folder) == left, out
    process = start(root, folder, "resume", COS)
    out, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, out
    assert attempts(folder) == [(2, whole), (3, [5, 6])]
    assert_equal_to_the_full_run(folder, place)


def test_a_trunk_that_fails_ends_its_branch_with_one_clear_line(place: Path, root: Path) -> None:
    folder = place / "failing"
    (folder / "mlruns").mkdir(parents=True)
    shutil.copytree(place / "experiments", folder / "experiments")
    process = start(
        root,
        folder,
        "run",
        "experiments/tree.py",
        "cos",
        "--set",
        "learning_rate=1e30",
        "--set",
        "weight_decay=None",
        "--run-name",
        COS,
    )
    out, _ = process.communicate(timeout=1200)
    assert process.returncode == 1, out
    assert "error: no branch without its trunk: run" in out.splitlines()[-1]
    assert "the loss is" in out
    assert not (folder / "mlruns" / "journal" / f"{COS}.jsonl").exists()
