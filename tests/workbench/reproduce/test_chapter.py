"""The chapter of docs/reproducing.md on reruns and merges, word for word, as a user would type it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prose import typed
from running import finished

pytestmark = pytest.mark.tensorflow

SPEC = '''"""Does the chapter tell the truth?"""
import sys
sys.path.insert(0, {tests!r})
from specs import small
from workbench import Softmax, Stage
experiment = small(stages=Stage(loss=Softmax(), epochs=1), batch_size=32)
'''
RUN = "20260101T000000Z-0000000a"


def program(folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    return finished(folder, *words, API_TOKEN="planted-Secret-1")


def test_the_commands_of_the_readmes_chapter_do_what_it_says(tmp_path: Path, root: Path) -> None:
    here, other = tmp_path / "here", tmp_path / "other"
    for folder in (here / "experiments", here / "mlruns", other):
        folder.mkdir(parents=True)
    (here / "experiments" / "study.py").write_text(SPEC.format(tests=str(root / "tests" / "workbench")))
    words = ["run", "experiments/study.py", "--run-name", RUN, "--set", "name=token=planted-Secret-1"]
    done = program(here, words)
    assert done.returncode == 0, done.stderr
    shutil.copytree(here / "mlruns" / "journal", other / "mlruns" / "journal")
    text = (root / "docs" / "reproducing.md").read_text(encoding="utf-8")
    chapter = re.search(r"^## Was it luck.*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert chapter
    commands = list(typed(chapter[0]))
    assert len(commands) == 3
    said = []
    for command in commands:
        done = program(here, command.replace("RUN", RUN).split()[1:])
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        said.append(done.stdout)
    assert "differs" not in said[0]
    assert "epoch 1/1" not in said[0]  # nothing is trained
    assert "curve: equal, bit for bit (1 epochs" in said[1]
    assert "0 new, 0 brought up to date, 1 the same" in said[2]
    assert len(list((here / "mlruns" / "journal").glob("*.jsonl"))) == 2
    files = [path for path in here.rglob("*") if path.is_file()]
    assert [path for path in files if b"planted-Secret-1" in path.read_bytes()] == []
    assert json.loads((here / "mlruns" / "journal" / f"{RUN}.d" / "artifacts" / "spec.json").read_text())
