"""Files of others whose names and numbers no record can hold: read without them, reported, and the run readable after."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from analysis.sources import load
from workbench.cli import main
from workbench.errors import WorkbenchError
from workbench.names import UNREADABLE
from workbench.tracking.runs import read_states
from workbench.tracking.store import find_store

GOOD = {"loss": [3.0, 2.0, 1.0], "accuracy": [0.1, 0.2, 0.3]}
LONG = "x" * 1_000_000


def history(**more: object) -> str:
    return json.dumps({**GOOD, **more})


DEEP = '{"a":' * 3000 + "1" + "}" * 3000
FILES = {
    "deep within.json": history()[:-1] + ',"x":' + "[" * 800 + "]" * 800 + "}",
    "megabyte name.json": json.dumps({**GOOD, LONG: [1, 2, 3]}),
    "no name.json": json.dumps({**GOOD, "": [1, 2, 3], " ": [1, 2, 3]}),
    "half a letter.json": history()[:-1] + ',"\\ud800x":[1,2,3]}',
    "four hundred digits.json": history()[:-1] + ',"a":[1' + "0" * 400 + ",2,3]}",
    "infinite epoch.json": json.dumps([{"epoch": math.inf, "loss": 1.0}, {"epoch": 2, "loss": 1.0}]),
    "megabyte column.csv": f"epoch,loss,{LONG}\n1,2,3\n2,3,4\n",
    "megabyte line.jsonl": '{"epoch":1,"loss":2}\n{"epoch":2,"loss":1,"' + LONG + '":1}\n',
}
REFUSED = {
    "deep.json": DEEP,
    "deep list.json": "[" * 100_000 + "]" * 100_000,
    "deep lines.jsonl": DEEP + "\n" + DEEP + "\n",
    "five thousand digits.json": '{"loss":[1' + "0" * 5000 + "]}",
}


def test_what_can_be_read_is_imported_and_can_be_read_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in FILES.items():
        (project / name).write_text(text)
    assert main(["import", *FILES, "--study", "old"]) == 0
    assert len("".join(capsys.readouterr())) < 8_000
    states = read_states(find_store(str(project / "mlruns")))
    assert len(states) == len(FILES)
    assert all(state.status != UNREADABLE and state.journal.accepted() for state in states)
    for words in (["list"], ["table"], ["show", states[0].run]):
        assert main(words) == 0
        assert len("".join(capsys.readouterr())) < 10_000


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_one_line(
    project: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / name).write_text(REFUSED[name])
    for command in ("import", "table"):
        assert main([command, name]) == 2
        result = capsys.readouterr().err
        assert result.startswith("error: ") and result.count("\n") == 1 and len(result) < 1_000


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**GOOD, LONG: [1, 2, 3], "": [1, 2, 3]}))
    records = load([path])
    assert set(records.epochs["metric"]) == set(GOOD)
    assert "2 values whose names are empty or longer than 250 letters, left out" in str(records.notes[-1])


def test_a_broken_name_of_a_file_is_written_out(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"r\xff.json")
    path.write_text(history())
    records = load([path])
    assert records.runs["run"].tolist() == ["r\\udcff"]
    with pytest.raises(WorkbenchError):
        load([tmp_path / "none.json"])


def test_a_megabyte_of_a_name_is_not_said_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "a.json").write_text(history())
    for option in ("--name", "--study"):
        status = main(["import", "a.json", option, LONG])
        assert status in (0, 2) and len("".join(capsys.readouterr())) < 5_000
