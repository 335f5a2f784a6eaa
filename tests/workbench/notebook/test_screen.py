"""What a notebook shows of a training: one output drawn anew, and a run in a process of its own followed."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import InputError, RunFailed, RunKilled, RunStopped
from workbench.notebook import training
from workbench.train import notebook_screen
from workbench.train.choose_screen import screen
from workbench.train.notebook_screen import NotebookScreen, ProgressFile, in_notebook, read_progress
from workbench.train.progress import Screen


class Handle:
    def __init__(self) -> None:
        self.updates: list[str] = []

    def update(self, shown: str) -> None:
        self.updates.append(shown)


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Handle:
    """The output of a cell in what looks like a notebook's kernel."""
    found = Handle()
    outer, inner = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    outer.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    inner.HTML = str  # type: ignore[attr-defined]
    inner.display = lambda shown, display_id: found.update(shown) or found  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", outer)
    monkeypatch.setitem(sys.modules, "IPython.display", inner)
    return found


def test_a_kernel_gets_one_output_that_is_drawn_anew(handle: Handle) -> None:
    assert in_notebook()
    shown = screen()
    assert isinstance(shown, NotebookScreen)
    for number in range(20):
        shown.say(f"line {number} <b>")
    shown.at(stage=2, epoch=3, last=4, step=5, steps=10, values={"loss": 1.5})
    text = handle.updates[-1]
    assert "line 19 &lt;b&gt;" in text and "line 2 " not in text and "6 lines before" in text
    assert "width:50.0%" in text and "stage 2, epoch 3 of 4, step 5/10  loss 1.5000" in text
    shown.close()
    assert "step 5/10" not in handle.updates[-1]


def test_a_run_in_a_process_of_its_own_tells_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handle: Handle
) -> None:
    path, log = tmp_path / "progress.json", tmp_path / "output.log"
    monkeypatch.setenv(notebook_screen.VARIABLE, str(path))
    child = screen()
    assert isinstance(child, ProgressFile)
    plan: Any = types.SimpleNamespace(number=1, last_epoch=2)
    child.step(plan, 1, 3, 4, {"loss": 0.5})
    assert read_progress(path) == {
        "stage": 1,
        "epoch": 1,
        "last": 2,
        "step": 3,
        "steps": 4,
        "values": {"loss": 0.5},
    }

    log.write_text("run 1\nepoch 1/2  loss 0.5\nhalf a li")
    follower = training.LogFollower(log, path, 0, NotebookScreen())
    follower.update()
    assert follower.last == "epoch 1/2  loss 0.5" and "step 3/4" in handle.updates[-1]
    with log.open("a") as file:
        file.write("ne\n")
    follower.update()
    assert follower.last == "half a line"
    child.close()
    assert read_progress(path) is None


@pytest.mark.parametrize(
    ("status", "kind"), [(1, RunFailed), (2, InputError), (75, RunStopped), (130, RunKilled)]
)
def test_the_exit_status_of_its_process_says_how_a_run_ended(status: int, kind: type) -> None:
    with pytest.raises(kind, match="why"):
        training._raise(status, "error: why")
    training._raise(0, "")


def test_elsewhere_there_is_a_plain_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.delenv(notebook_screen.VARIABLE, raising=False)
    assert not in_notebook()
    assert type(screen()) is Screen
