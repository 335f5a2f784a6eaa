"""What the chapter of docs/machines.md "From one device to a cluster" tells people to type, and a project to type it in."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from prose import typed
from running import ROOT, launch, write_project

# The names of the quickstart and its variants, at a size that trains in a second.
SPEC = '''"""Does the chapter tell the truth?"""
import sys
sys.path.insert(0, {tests!r})
from specs import small
from workbench import Softmax, Stage
base = small(stages=Stage(loss=Softmax(), epochs=1), name="head-stage")
experiments = [base, base.but(label_smoothing=0.1, name="no-head-stage")][:{variants}]
'''


def commands() -> list[list[str]]:
    """Return the chapter's commands as lists of words, in order."""
    text = (ROOT / "docs" / "machines.md").read_text(encoding="utf-8")
    chapter = re.search(r"^## From one device to a cluster.*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert chapter
    return [shlex.split(line) for line in typed(chapter[0])]


def chapter_project(folder: Path, variants: int = 2) -> Path:
    """Make `folder` a project with the chapter's spec; each of its `variants` is a process of its own."""
    return write_project(folder, SPEC, "quickstart", variants=variants)


def begun(folder: Path, words: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start a command of the chapter; both programs come from the Python that runs the tests."""
    program = {
        "workbench": [sys.executable, "-m", "workbench"],
        "horovodrun": [sys.executable, "-m", "horovod.runner.launch"],
    }
    command = [new for word in words for new in program.get(word, [word])]
    return launch(command, folder, TF_CPP_MIN_LOG_LEVEL="3", **environment)


def done(folder: Path, words: list[str], **environment: str) -> str:
    """Do a command of the chapter to its end and return what it printed."""
    process = begun(folder, words, **environment)
    said = process.communicate(timeout=1200)[0]
    assert process.returncode == 0, f"{' '.join(words)}\n{said}"
    return said
