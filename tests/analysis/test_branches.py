"""Branches in analysis: the trunk's epochs before their own, in frames, tables' best values and figures."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.figures import draw
from analysis.figures.curves import panels
from analysis.frames import best
from analysis.sources import load
from workbench.tracking.journal import JournalWriter
from workbench.tracking.rows import EndRecord, EpochRecord, StartRecord

TRUNK, FIRST, SECOND = (f"20260101T000000Z-0000000{number}" for number in (1, 2, 3))
VALUES = {TRUNK: [0.5, 0.9, 0.6, 0.1], FIRST: [0.7, 0.8], SECOND: [0.2, 0.95]}


@pytest.fixture
def store(tmp_path):
    """A trunk of 4 epochs, a branch of it after 3, and a branch of that one after 4."""
    (tmp_path / "journal").mkdir()
    for run, trunk, first in ((TRUNK, {}, 1), (FIRST, (TRUNK, 3), 4), (SECOND, (FIRST, 4), 5)):
        trunk = {"run": trunk[0], "epoch": trunk[1]} if trunk else {}
        with JournalWriter(tmp_path / "journal" / f"{run}.jsonl") as writer:
            stages = ({"number": 1, "name": "a", "epochs": 8},)
            writer.append(
                StartRecord(
                    run=run,
                    name=run[-1],
                    from_epoch=first,
                    trunk=trunk,
                    stages=stages,
                    parameters={"label_smoothing": int(run[-1]) / 10},
                )
            )
            for epoch, value in enumerate(VALUES[run], start=first):
                writer.append(
                    EpochRecord(
                        stage=1,
                        stage_epoch=epoch,
                        epoch=epoch,
                        step=epoch,
                        metrics={"lfw": value},
                        seconds=2.0,
                    )
                )
            writer.append(EndRecord(status="finished"))
    return tmp_path


def values(records, run):
    rows = records.epochs[(records.epochs["run"] == run) & (records.epochs["metric"] == "lfw")]
    rows = rows.sort_values("epoch")
    return rows["epoch"].tolist(), rows["value"].tolist(), rows["attempt"].tolist()


def test_a_branch_of_a_branch_begins_at_epoch_one(store):
    found = load([store])
    assert values(found, SECOND) == ([1, 2, 3, 4, 5, 6], [0.5, 0.9, 0.6, 0.7, 0.2, 0.95], [0, 0, 0, 0, 1, 1])
    assert values(found, FIRST) == ([1, 2, 3, 4, 5], [0.5, 0.9, 0.6, 0.7, 0.8], [0, 0, 0, 1, 1])
    assert values(found, TRUNK) == ([1, 2, 3, 4], VALUES[TRUNK], [1] * 4)
    assert dict(zip(found.runs["run"], found.runs["seconds"])) == {TRUNK: 8, FIRST: 4, SECOND: 4}
    top = best(found.epochs, "lfw")
    assert dict(zip(top["run"], top["epoch"])) == {TRUNK: 2, FIRST: 2, SECOND: 6}


def test_a_branch_read_alone_has_its_history_and_brings_no_other_run(store):
    found = load([SECOND], store=str(store))
    assert found.runs["run"].tolist() == [SECOND]
    assert set(found.epochs["run"]) == {SECOND}
    assert values(found, SECOND)[0] == [1, 2, 3, 4, 5, 6]


def test_a_branch_whose_trunk_is_not_here_has_its_own_epochs(store):
    (store / "journal" / f"{TRUNK}.jsonl").unlink()
    (store / "journal" / f"{FIRST}.jsonl").unlink()
    assert values(load([store]), SECOND)[0] == [5, 6]


def test_a_figure_shows_the_shared_part_once_in_grey_from_epoch_one(store):
    made = panels(load([FIRST, SECOND], store=str(store)), ["lfw"], "stage", {})
    found = {curve.run: curve for curve in made[0].curves}
    assert {run: (curve.x[0], curve.shared) for run, curve in found.items()} == {
        FIRST: (1, 3),
        SECOND: (1, 4),
    }
    shared, own = draw._parts(found[SECOND])
    assert (shared[0].x.tolist(), shared[1]) == ([1, 2, 3, 4], draw.TRUNK)
    assert (own[0].x.tolist(), own[1]) == ([4, 5, 6], found[SECOND].label)
    drawn = draw.draw(made)
    grey = [line for line in drawn.axes[0].lines if line.get_color() == draw.TRUNK_COLOR]
    assert any(np.array_equal(line.get_xdata(), [1, 2, 3, 4]) for line in grey)
    assert draw.TRUNK in [text.get_text() for text in drawn.legends[0].get_texts()]
