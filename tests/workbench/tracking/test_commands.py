"""The chapter on records is made of commands that work, and bad input gets one line."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from stores import everything, record, start

from workbench.cli import main
from workbench.tracking.store import find_store
from workbench.tracking.tracker import Tracker


@pytest.fixture
def recorded(project, schema):
    """The project's store with a finished and an interrupted run, neither of them in MLflow yet."""
    store = find_store()
    shutil.copy(schema, store.database)
    for name, status in (("whole", "finished"), ("cut", "")):
        with Tracker.open(store, start(name=name), views=[], texts={"spec.py": "1"}) as tracker:
            record(tracker, range(1, 4))
            if status:
                tracker.end(status)
    return store


def test_the_commands_of_the_chapter_work(recorded, root, capsys):
    text = (root / "docs" / "records.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\$ workbench (.+)$", text, re.MULTILINE)
    done = []
    for command in shown:
        words = command.split()
        # Trainings are tests/workbench/train/test_ends.py's, servers that run until Ctrl-C tests/workbench/views', and a
        # word in capitals stands for a name of the reader's own.
        if words[0] in ("resume", "run") or words == ["ui"] or any(word.isupper() for word in words):
            continue
        assert main(words) == 0, command
        done.append(command)
    assert {"sync", "rebuild", "list", "ui --address"} <= set(done)
    said = capsys.readouterr().out
    assert "2 runs in" in said
    assert "2 synced, 0 were in sync" in said
    assert "2 runs rebuilt from their journals" in said


def test_sync_and_rebuild_of_an_empty_store(project, capsys):
    assert main(["sync"]) == 0
    assert "0 runs" in capsys.readouterr().out
    assert not (project / "mlruns" / "mlflow.db").exists()


def test_true_states_are_listed_before_and_after_a_sync(recorded, capsys):
    for _ in range(2):
        assert main(["list", "--json"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
        assert {line["name"]: line["status"] for line in lines} == {"whole": "finished", "cut": "interrupted"}
        assert main(["sync"]) == 0
        capsys.readouterr()
    states = {
        run["tags"]["workbench.name"]: run["tags"]["workbench.status"]
        for run in everything(recorded).values()
    }
    assert states == {"whole": "finished", "cut": "interrupted"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sync", "--store", "http://127.0.0.1:9"], "MLflow does not answer"),
        (["rebuild", "--store", "http://127.0.0.1:9"], "cannot be replaced from here"),
        (["sync", "--store", "gopher://x"], "unknown kind of store"),
        (["sync", "--store", "pyproject.toml"], "not a folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(recorded, words, expected, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert expected in error
    assert error.count("\n") == 1
